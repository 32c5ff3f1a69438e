/*
 * Records a network on generated gratings and reads the recording back: for every site, the unit
 * with the largest mean response.
 *
 *     record MODEL.onnx RECORDING.nwb
 *
 * MODEL.onnx is written first if it does not exist: the analytic model of early visual cortex.
 */
#include <inttypes.h>
#include <stdio.h>

#include <nissl.h>

static nissl_status open_network(nissl_context *ctx, const char *path, nissl_network **network,
                                 nissl_error *error)
{
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    else if (nissl_visual_cortex_write(NULL, path, NULL, NULL, error) != NISSL_OK)
        return error->code;
    return nissl_network_open(ctx, path, network, error);
}

static nissl_status print_strongest(const nissl_recording *recording, size_t index,
                                    nissl_error *error)
{
    const nissl_recorded_site *site = nissl_recording_site(recording, index);
    nissl_array mean = {0}; /* float64 [n_units] */
    nissl_status status = nissl_recording_array(recording, index, "moments/mean", &mean, error);
    const double *value = mean.data;
    int64_t best = 0;
    if (status != NISSL_OK)
        return status;
    for (int64_t unit = 1; unit < site->n_units; unit++)
        if (value[unit] > value[best])
            best = unit;
    printf("%s:%" PRId64 " %.6g\n", site->name, best, value[best]);
    nissl_array_free(&mean);
    return NISSL_OK;
}

int main(int argc, char **argv)
{
    nissl_error error = {0};
    nissl_context *ctx = NULL;
    nissl_network *network = NULL;
    nissl_program *program = NULL;
    nissl_stimuli *stimuli = NULL;
    nissl_plan *plan = NULL;
    nissl_recording *recording = NULL;
    nissl_program_options shapes = nissl_program_options_default();
    nissl_stimuli_options showing = nissl_stimuli_options_default();
    nissl_plan_options planning = nissl_plan_options_default();
    nissl_record_options recording_options = {.overwrite = true, .command = "examples/record"};
    nissl_subject subject = {.role = "network"};
    const nissl_site *input;
    nissl_view input_shape;
    int result = 1;

    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL.onnx RECORDING.nwb\n", argv[0]);
        return 2;
    }
    shapes.shapes_only = true;
    planning.reducers = "moments"; /* one statistic is enough here */
    if (nissl_context_new(NULL, &ctx, &error) != NISSL_OK ||
        open_network(ctx, argv[1], &network, &error) != NISSL_OK ||
        nissl_program_compile(ctx, network, &shapes, &program, &error) != NISSL_OK)
        goto done;

    /* A generator draws what fits the network's input. */
    input = nissl_program_input(program, 0);
    input_shape = nissl_view_of(NULL, input->type, input->rank, input->shape);
    input_shape.shape[0] = 1;
    showing.input_shape = &input_shape;
    if (nissl_stimuli_open(ctx, "gratings", &showing, &stimuli, &error) != NISSL_OK ||
        nissl_plan_new(ctx, network, stimuli, &planning, &plan, &error) != NISSL_OK)
        goto done;
    fprintf(stderr, "%" PRId64 " gratings; %" PRIu64 " bytes of memory, %" PRIu64 " of disk\n",
            nissl_stimuli_count(stimuli), nissl_plan_memory(plan, 1), nissl_plan_disk(plan));

    subject.network = network;
    subject.path = argv[2];
    if (nissl_record(ctx, plan, stimuli, &subject, 1, &recording_options, &error) != NISSL_OK ||
        nissl_recording_open(ctx, argv[2], &recording, &error) != NISSL_OK)
        goto done;
    for (size_t i = 0; i < nissl_recording_n_sites(recording); i++)
        if (print_strongest(recording, i, &error) != NISSL_OK)
            goto done;
    result = 0;
done:
    if (result)
        fprintf(stderr, "%s\n", error.message);
    nissl_recording_free(recording);
    nissl_plan_free(plan);
    nissl_stimuli_free(stimuli);
    nissl_program_free(program);
    nissl_network_free(network);
    nissl_context_free(ctx);
    return result;
}
