/*
 * Times recording for bench/record.py: for each word on standard input goes over all stimuli once
 * and answers milliseconds.
 *
 *     record MODEL STIMULI.npy THREADS RECORDING [REDUCERS]
 *
 * plain   forward passes alone: fused as the compiler likes, inputs in memory, nothing looked at
 * exact   forward passes that compute every site as the file writes it, nothing looked at
 * summary the same, and every site summarised to one value per stimulus and unit
 * record  nissl_record of every site to RECORDING: loading and hashing the stimuli, forward passes,
 *         summaries, reducers, the file; all but making the plan, which packs the weights. A second
 *         number says how long its pass over the stimuli took, which is all but hashing them,
 *         allocating states and writing the file
 * files   loading every stimulus and hashing the file, as a recording does
 *
 * All use the micro-batch that the plan of the recording has, and THREADS workers.
 * First line out: micro-batch, stimuli, sites, units.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/foundation.h"
#include "nissl/recording.h"
#include "recording/summary.h"

typedef struct work {
    nissl_program *plain, *exact, *program;
    nissl_run **plain_runs, **exact_runs;
    nissl_run **runs;
    const nissl_stimuli *stimuli;
    char **loaded; /* [workers] one micro-batch */
    char *input;   /* [n_stimuli, size] of the input's type */
    float **value; /* [workers] one site of one micro-batch */
    uint32_t **active;
    double **scratch; /* [workers] */
    int64_t micro, n, size;
    bool summarise;
} work;

typedef struct watch {
    const work *w;
    int worker;
} watch;

static void check(nissl_status status, const nissl_error *err)
{
    if (status == NISSL_OK)
        return;
    fprintf(stderr, "record: %s\n", err->message);
    exit(1);
}

static void *memory(size_t count, size_t size)
{
    void *at = nissl__alloc(count, size);
    if (!at) {
        fputs("record: out of memory\n", stderr);
        exit(1);
    }
    return at;
}

static nissl_status observe(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    const watch *o = user;
    if (!o->w->summarise)
        return NISSL_OK;
    return nissl__summarise(nissl__summary_kernels_of(nissl__summary_isa()), NISSL_SUMMARY_MEAN,
                            view, o->w->micro, o->w->scratch[o->worker], o->w->value[o->worker],
                            o->w->active[o->worker], err);
}

static nissl_status run_one(void *user, int64_t task, int worker, nissl_error *err)
{
    work *w = user;
    watch o = {w, worker};
    const nissl_site *in = nissl_program_input(w->program, 0);
    int64_t first = NISSL__MIN(task * w->micro, w->n - w->micro);
    nissl_view view =
        nissl_view_of(w->input + (size_t)(first * w->size) * nissl_type_size(in->type), in->type,
                      in->rank, in->shape);
    return nissl_run_forward(w->runs[worker], &view, 1, observe, &o, err);
}

static nissl_status load_one(void *user, int64_t task, int worker, nissl_error *err)
{
    work *w = user;
    int64_t first = NISSL__MIN(task * w->micro, w->n - w->micro);
    return nissl_stimuli_load(w->stimuli, first, w->micro, w->loaded[worker], err);
}

/* user: where the milliseconds of a recording's pass go. */
static void note_pass(void *user, const nissl_progress *progress)
{
    if (progress->finished && strcmp(progress->task, "recording") == 0)
        *(double *)user = progress->seconds * 1e3;
}

int main(int argc, char **argv)
{
    nissl_error err = {0};
    nissl_context *ctx = NULL;
    nissl_network *network = NULL;
    nissl_stimuli *stimuli = NULL;
    nissl_plan *plan = NULL;
    nissl_context_options context_options = nissl_context_options_default();
    nissl_plan_options plan_options = {.reducers = "moments,histogram,exemplars,frequency"};
    nissl_program_options options = nissl_program_options_default();
    nissl_stimuli_options stimuli_options = nissl_stimuli_options_default();
    nissl_record_options record_options = {.overwrite = true};
    work w = {0};
    char line[64];
    double pass = 0;
    if (argc < 5) {
        fputs("usage: record MODEL STIMULI.npy THREADS RECORDING [REDUCERS]\n", stderr);
        return 2;
    }
    int threads = atoi(argv[3]);
    if (argc > 5)
        plan_options.reducers = argv[5];
    context_options.threads = threads;
    context_options.progress = note_pass;
    context_options.progress_user = &pass;
    check(nissl_context_new(&context_options, &ctx, &err), &err);
    check(nissl_network_open(ctx, argv[1], &network, &err), &err);
    const nissl_port *port = nissl_network_input(network, 0);
    nissl_view wanted = nissl_view_of(NULL, port->type, port->rank, port->shape);
    stimuli_options.input_shape = &wanted;
    check(nissl_stimuli_open(ctx, argv[2], &stimuli_options, &stimuli, &err), &err);
    check(nissl_plan_new(ctx, network, stimuli, &plan_options, &plan, &err), &err);
    w.n = nissl_stimuli_count(stimuli);
    w.micro = options.batch = nissl_plan_batch(plan);
    check(nissl_program_compile(ctx, network, &options, &w.plain, &err), &err);
    options.observe_all = true;
    check(nissl_program_compile(ctx, network, &options, &w.exact, &err), &err);
    const nissl_site *in = nissl_program_input(w.plain, 0);
    int64_t n_units = 0, largest = 0;
    for (size_t i = 0; i < nissl_program_n_sites(w.exact); i++) {
        n_units += nissl_program_site(w.exact, i)->n_units;
        largest = NISSL__MAX(largest, nissl_program_site(w.exact, i)->n_units);
    }
    w.size = in->n_units * in->n_positions;
    w.input = memory((size_t)(w.n * w.size), nissl_type_size(in->type));
    check(nissl_stimuli_load(stimuli, 0, w.n, w.input, &err), &err);
    w.plain_runs = memory((size_t)threads, sizeof(nissl_run *));
    w.exact_runs = memory((size_t)threads, sizeof(nissl_run *));
    w.value = memory((size_t)threads, sizeof *w.value);
    w.active = memory((size_t)threads, sizeof *w.active);
    w.scratch = memory((size_t)threads, sizeof *w.scratch);
    w.loaded = memory((size_t)threads, sizeof *w.loaded);
    w.stimuli = stimuli;
    for (int i = 0; i < threads; i++) {
        check(nissl_run_new(w.plain, &w.plain_runs[i], &err), &err);
        check(nissl_run_new(w.exact, &w.exact_runs[i], &err), &err);
        w.value[i] = memory((size_t)(w.micro * largest), sizeof **w.value);
        w.active[i] = memory((size_t)(w.micro * largest), sizeof **w.active);
        w.loaded[i] = memory((size_t)(w.micro * w.size), nissl_type_size(in->type));
        w.scratch[i] = memory((size_t)largest, sizeof **w.scratch);
    }
    printf("%lld %lld %zu %lld\n", (long long)w.micro, (long long)w.n,
           nissl_program_n_sites(w.exact), (long long)n_units);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        double begin = nissl__now();
        if (strcmp(line, "record") == 0) {
            nissl_subject subject = {network, argv[4], "network"};
            check(nissl_record(ctx, plan, stimuli, &subject, 1, &record_options, &err), &err);
        } else if (strcmp(line, "files") == 0) {
            uint64_t hash;
            check(nissl_stimuli_hash(ctx, stimuli, &hash, &err), &err);
            check(nissl__parallel(ctx, (w.n + w.micro - 1) / w.micro, load_one, &w, &err), &err);
        } else {
            bool plain = strcmp(line, "plain") == 0;
            w.summarise = strcmp(line, "summary") == 0;
            w.program = plain ? w.plain : w.exact;
            w.runs = plain ? w.plain_runs : w.exact_runs;
            check(nissl__parallel(ctx, (w.n + w.micro - 1) / w.micro, run_one, &w, &err), &err);
        }
        double ms = (nissl__now() - begin) * 1e3;
        if (strcmp(line, "record") == 0)
            printf("%.4f %.4f\n", ms, pass);
        else
            printf("%.4f\n", ms);
        fflush(stdout);
    }
    for (int i = 0; i < threads; i++) {
        nissl_run_free(w.plain_runs[i]);
        nissl_run_free(w.exact_runs[i]);
        nissl__free(w.value[i]);
        nissl__free(w.active[i]);
        nissl__free(w.scratch[i]);
        nissl__free(w.loaded[i]);
    }
    nissl__free(w.plain_runs);
    nissl__free(w.exact_runs);
    nissl__free(w.value);
    nissl__free(w.active);
    nissl__free(w.scratch);
    nissl__free(w.loaded);
    nissl__free(w.input);
    nissl_program_free(w.plain);
    nissl_program_free(w.exact);
    nissl_plan_free(plan);
    nissl_stimuli_free(stimuli);
    nissl_network_free(network);
    nissl_context_free(ctx);
    return 0;
}
