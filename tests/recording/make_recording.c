/* Writes a recording with every reducer for validators: make_recording PATH. */
#include "bench_model.h"

int main(int argc, char **argv)
{
    bench_model b;
    nissl_plan *plan = NULL;
    nissl_error err = {0};
    nissl_subject subject = {.role = "network"};
    nissl_record_options options = {.overwrite = true, .command = "make_recording"};
    nissl_status status;
    if (argc != 2)
        return 2;
    bench_model_folder(&b);
    status = bench_model_load(&b, 2, STIMULI, &err);
    if (status == NISSL_OK)
        status = nissl_plan_new(b.ctx, b.network, b.stimuli, NULL, &plan, &err);
    subject.network = b.network;
    subject.path = argv[1];
    if (status == NISSL_OK)
        status = nissl_record(b.ctx, plan, b.stimuli, &subject, 1, &options, &err);
    if (status != NISSL_OK)
        fprintf(stderr, "%s\n", err.message);
    nissl_plan_free(plan);
    bench_model_close(&b);
    return status == NISSL_OK ? 0 : 1;
}
