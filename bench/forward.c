/*
 * Times forward passes for bench/forward.py. For each line on standard input: "run" runs the batch
 * once and answers milliseconds; "write PATH" runs it once and writes the first output there,
 * float32 one after the other.
 *
 *     forward MODEL INPUT.npy THREADS [MICRO] [all]
 *
 * INPUT: [batch, ...], float32 or int64. Batches larger than the micro-batch are spread over the
 * workers; a single micro-batch is divided inside. "all" keeps every site exact, as a recording of
 * all sites does, without looking at them.
 * First line out: micro-batch, operations per stimulus.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/npy.h"
#include "foundation/foundation.h"
#include "nissl/network.h"

typedef struct work {
    nissl_program *program;
    nissl_run **runs;
    nissl_view input;
    int64_t micro;
} work;

static nissl_status ignore(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    (void)user, (void)site, (void)view, (void)err;
    return NISSL_OK;
}

static nissl_status run_one(void *user, int64_t task, int worker, nissl_error *err)
{
    work *w = user;
    nissl_view view = w->input;
    view.shape[0] = w->micro;
    view.data =
        (char *)view.data + (size_t)(task * w->micro * view.stride[0]) * nissl_type_size(view.type);
    return nissl_run_forward(w->runs[worker], &view, 1, ignore, NULL, err);
}

static void check(nissl_status status, const nissl_error *err)
{
    if (status == NISSL_OK)
        return;
    fprintf(stderr, "forward: %s\n", err->message);
    exit(1);
}

static void write_output(work *w, int64_t n_tasks, const char *path)
{
    nissl_error err = {0};
    FILE *file = fopen(path, "wb");
    bool good = file != NULL;
    for (int64_t i = 0; i < n_tasks && good; i++) {
        nissl_view out;
        check(run_one(w, i, 0, &err), &err);
        check(nissl_run_output(w->runs[0], 0, &out, &err), &err);
        size_t count = (size_t)nissl_view_count(&out);
        float *dense = nissl__alloc(count, sizeof *dense);
        good = dense && nissl_view_copy(&out, NISSL_FLOAT32, dense, &err) == NISSL_OK &&
               fwrite(dense, sizeof *dense, count, file) == count;
        nissl__free(dense);
    }
    if (!file || fclose(file) != 0 || !good) {
        fprintf(stderr, "forward: cannot write %s\n", path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    nissl_error err = {0};
    nissl_context *ctx = NULL;
    nissl_network *network = NULL;
    nissl__npy input = {0};
    nissl_context_options context_options = nissl_context_options_default();
    nissl_program_options options = nissl_program_options_default();
    work w = {0};
    char line[1024];
    if (argc < 4) {
        fprintf(stderr, "usage: forward MODEL INPUT.npy THREADS [MICRO] [all]\n");
        return 2;
    }
    int threads = atoi(argv[3]);
    context_options.threads = threads;
    options.batch = argc > 4 ? atoll(argv[4]) : 0;
    options.observe_all = argc > 5 && strcmp(argv[5], "all") == 0;
    check(nissl_context_new(&context_options, &ctx, &err), &err);
    check(nissl__npy_open(argv[2], UINT64_MAX, &input, &err), &err);
    w.input = input.view;
    options.input_shapes = &w.input;
    options.n_input_shapes = 1;
    check(nissl_network_open(ctx, argv[1], &network, &err), &err);
    check(nissl_program_compile(ctx, network, &options, &w.program, &err), &err);
    w.micro = nissl_program_batch(w.program);
    int64_t batch = w.input.shape[0];
    if (w.micro >= batch) { /* one micro-batch: divide inside it */
        nissl_program_free(w.program);
        options.batch = batch;
        options.threads = threads;
        check(nissl_program_compile(ctx, network, &options, &w.program, &err), &err);
        w.micro = nissl_program_batch(w.program);
    }
    int64_t n_tasks = batch / w.micro;
    w.runs = calloc((size_t)threads, sizeof *w.runs);
    if (!w.runs || n_tasks * w.micro != batch) {
        fprintf(stderr, "forward: %lld stimuli in micro-batches of %lld\n", (long long)batch,
                (long long)w.micro);
        return 1;
    }
    for (int i = 0; i < threads; i++)
        check(nissl_run_new(w.program, &w.runs[i], &err), &err);
    check(nissl__parallel(ctx, n_tasks, run_one, &w, &err), &err);
    printf("%lld %.0f\n", (long long)w.micro, nissl_program_operations(w.program));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        double begin = nissl__now();
        if (strncmp(line, "write ", 6) == 0)
            write_output(&w, n_tasks, line + 6);
        else
            check(nissl__parallel(ctx, n_tasks, run_one, &w, &err), &err);
        printf("%.6f\n", (nissl__now() - begin) * 1e3);
        fflush(stdout);
    }
    for (int i = 0; i < threads; i++)
        nissl_run_free(w.runs[i]);
    free(w.runs);
    nissl_program_free(w.program);
    nissl_network_free(network);
    nissl__npy_close(&input);
    nissl_context_free(ctx);
    return 0;
}
