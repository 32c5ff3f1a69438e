/*
 * Times forward passes for bench/forward.py: reads "run\n" from standard input, runs one batch,
 * answers milliseconds.
 *
 *     forward MODEL BATCH THREADS [MICRO] [all]
 *
 * Batches larger than the micro-batch are spread over the workers; a single micro-batch is divided
 * inside. "all" keeps every site exact, as a recording of all sites does, without looking at them.
 * First line out: micro-batch, operations per stimulus, a checksum of the outputs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/foundation.h"
#include "nissl/network.h"

typedef struct work {
    nissl_program *program;
    nissl_run **runs;
    float *input;
    int64_t micro, per;
} work;

static nissl_status ignore(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    (void)user, (void)site, (void)view, (void)err;
    return NISSL_OK;
}

static nissl_status run_one(void *user, int64_t task, int worker, nissl_error *err)
{
    work *w = user;
    const nissl_site *in = nissl_program_input(w->program, 0);
    nissl_view view =
        nissl_view_of(w->input + task * w->micro * w->per, NISSL_FLOAT32, in->rank, in->shape);
    return nissl_run_forward(w->runs[worker], &view, 1, ignore, NULL, err);
}

static void check(nissl_status status, const nissl_error *err)
{
    if (status == NISSL_OK)
        return;
    fprintf(stderr, "forward: %s\n", err->message);
    exit(1);
}

int main(int argc, char **argv)
{
    nissl_error err = {0};
    nissl_context *ctx = NULL;
    nissl_network *network = NULL;
    nissl_context_options context_options = nissl_context_options_default();
    nissl_program_options options = nissl_program_options_default();
    work w = {0};
    char line[64];
    if (argc < 4) {
        fprintf(stderr, "usage: forward MODEL BATCH THREADS [MICRO] [all]\n");
        return 2;
    }
    int64_t batch = atoll(argv[2]);
    int threads = atoi(argv[3]);
    context_options.threads = threads;
    options.batch = argc > 4 ? atoll(argv[4]) : 0;
    options.observe_all = argc > 5 && strcmp(argv[5], "all") == 0;
    check(nissl_context_new(&context_options, &ctx, &err), &err);
    check(nissl_network_open(ctx, argv[1], &network, &err), &err);
    check(nissl_program_compile(ctx, network, &options, &w.program, &err), &err);
    w.micro = nissl_program_batch(w.program);
    if (w.micro >= batch) { /* one micro-batch: divide inside it */
        nissl_program_free(w.program);
        options.batch = batch;
        options.threads = threads;
        check(nissl_program_compile(ctx, network, &options, &w.program, &err), &err);
        w.micro = nissl_program_batch(w.program);
    }
    int64_t n_tasks = batch / w.micro;
    const nissl_site *in = nissl_program_input(w.program, 0);
    w.per = in->n_units * in->n_positions;
    w.runs = calloc((size_t)threads, sizeof *w.runs);
    w.input = malloc((size_t)(batch * w.per) * sizeof *w.input);
    if (!w.runs || !w.input)
        return 1;
    for (int i = 0; i < threads; i++)
        check(nissl_run_new(w.program, &w.runs[i], &err), &err);
    for (int64_t i = 0; i < batch * w.per; i++)
        w.input[i] = (float)(nissl__random_uniform(1, 0, (uint64_t)i) - 0.5);
    check(nissl__parallel(ctx, n_tasks, run_one, &w, &err), &err);
    nissl_view out;
    check(nissl_run_output(w.runs[0], 0, &out, &err), &err);
    printf("%lld %.0f %.9g\n", (long long)w.micro, nissl_program_operations(w.program),
           (double)((float *)out.data)[0]);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) && strncmp(line, "run", 3) == 0) {
        double begin = nissl__now();
        check(nissl__parallel(ctx, n_tasks, run_one, &w, &err), &err);
        printf("%.6f\n", (nissl__now() - begin) * 1e3);
        fflush(stdout);
    }
    for (int i = 0; i < threads; i++)
        nissl_run_free(w.runs[i]);
    free(w.runs);
    free(w.input);
    nissl_program_free(w.program);
    nissl_network_free(network);
    nissl_context_free(ctx);
    return 0;
}
