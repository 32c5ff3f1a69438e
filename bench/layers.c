/*
 * Where a forward pass spends its time, by kind of layer.
 *
 *     layers MODEL PEAK [BATCH] [all]
 *
 * One thread. PEAK is the machine's multiply-add rate in GFLOP/s (bench/peak.c). Each step keeps
 * the fastest of 30 passes. Prints a markdown row per kind: its share of the time, the rate it
 * reaches and the fraction of the peak. "all" keeps every site.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/foundation.h"
#include "network/program.h"

#define KINDS  32
#define PASSES 30

typedef struct kind {
    char name[48];
    int n;
    double seconds, operations, bytes;
} kind;

static void check(nissl_status status, const nissl_error *err)
{
    if (status == NISSL_OK)
        return;
    fprintf(stderr, "layers: %s\n", err->message);
    exit(1);
}

static double bytes_of(const nissl_program *program, int value)
{
    double bytes = 4;
    for (int i = 0; value >= 0 && i < program->values[value].rank; i++)
        bytes *= (double)program->values[value].shape[i];
    return value >= 0 ? bytes : 0;
}

/* "conv 3x3", "conv 3x3 depthwise", "matmul", "pool", ... */
static void name_of(const nissl_program *program, const nissl__step *step, char *out, size_t size)
{
    const nissl__node *node = &program->network->nodes[step->node];
    snprintf(out, size, "%s", step->kind);
    if (strcmp(step->kind, "conv") == 0 && node->n_inputs > 1) {
        const nissl__value *w = &program->values[node->inputs[1]],
                           *x = &program->values[node->inputs[0]];
        bool depthwise = nissl__attr_int(node, "group", 1) > 1;
        if (w->rank == 4)
            snprintf(out, size, "conv %lldx%lld%s%s", (long long)w->shape[2],
                     (long long)w->shape[3], depthwise ? " depthwise" : "",
                     x->shape[1] <= 3 ? ", of the image" : "");
    }
}

static int by_time(const void *a, const void *b)
{
    const kind *x = a, *y = b;
    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : 0;
}

int main(int argc, char **argv)
{
    nissl_error err = {0};
    nissl_context *ctx = NULL;
    nissl_network *network = NULL;
    nissl_program *program = NULL;
    nissl_run *run = NULL;
    nissl_program_options options = nissl_program_options_default();
    kind kinds[KINDS] = {0};
    int n_kinds = 0;
    double total = 0, work = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: layers MODEL PEAK [BATCH] [all]\n");
        return 2;
    }
    double peak = atof(argv[2]);
    options.batch = argc > 3 ? atoll(argv[3]) : 1;
    options.observe_all = argc > 4;
    check(nissl_context_new(&(nissl_context_options){.threads = 1}, &ctx, &err), &err);
    check(nissl_network_open(ctx, argv[1], &network, &err), &err);
    check(nissl_program_compile(ctx, network, &options, &program, &err), &err);
    check(nissl_run_new(program, &run, &err), &err);
    const nissl_site *in = nissl_program_input(program, 0);
    nissl_array input = {0};
    check(nissl_array_new(in->type, in->rank, in->shape, &input, &err), &err);
    for (int64_t i = 0; i < nissl_array_count(&input) && in->type == NISSL_FLOAT32; i++)
        ((float *)input.data)[i] = (float)(nissl__random_uniform(1, 0, (uint64_t)i) - 0.5);
    nissl_view view = nissl_array_view(&input);
    double *best = nissl__alloc((size_t)program->n_steps, sizeof *best);
    double *seconds = nissl__alloc((size_t)program->n_steps, sizeof *seconds);
    if (!best || !seconds)
        return 1;
    for (int pass = 0; pass < PASSES; pass++) {
        memset(seconds, 0, (size_t)program->n_steps * sizeof *seconds);
        check(nissl__run_timed(run, &view, 1, seconds, &err), &err);
        for (int i = 0; i < program->n_steps; i++)
            best[i] = pass == 0 || seconds[i] < best[i] ? seconds[i] : best[i];
    }
    for (int i = 0; i < program->n_steps; i++) {
        const nissl__step *step = &program->steps[i];
        char name[48];
        int k = 0;
        name_of(program, step, name, sizeof name);
        while (k < n_kinds && strcmp(kinds[k].name, name) != 0)
            k++;
        if (k == KINDS)
            continue;
        if (k == n_kinds)
            snprintf(kinds[n_kinds++].name, sizeof name, "%s", name);
        kinds[k].n++;
        kinds[k].seconds += best[i];
        kinds[k].operations += step->operations;
        for (int j = 0; j < step->n_inputs; j++)
            kinds[k].bytes += bytes_of(program, step->inputs[j]);
        for (int j = 0; j < step->n_outputs; j++)
            kinds[k].bytes += bytes_of(program, step->outputs[j]);
        total += best[i];
        work += step->operations;
    }
    qsort(kinds, (size_t)n_kinds, sizeof *kinds, by_time);
    for (int k = 0; k < n_kinds; k++) {
        printf("| %s | %d | %.3f | %.1f %% | ", kinds[k].name, kinds[k].n, kinds[k].seconds * 1e3,
               100 * kinds[k].seconds / total);
        if (kinds[k].operations > 0)
            printf("%.0f GFLOP/s | %.0f %% |\n", kinds[k].operations / kinds[k].seconds / 1e9,
                   100 * kinds[k].operations / kinds[k].seconds / 1e9 / peak);
        else
            printf("%.0f GB/s | |\n", kinds[k].bytes / kinds[k].seconds / 1e9);
    }
    printf("| **all** | %d | %.3f | 100 %% | %.0f GFLOP/s | %.0f %% |\n", program->n_steps,
           total * 1e3, work / total / 1e9, 100 * work / total / 1e9 / peak);
    nissl__free(best);
    nissl__free(seconds);
    nissl_array_free(&input);
    nissl_run_free(run);
    nissl_program_free(program);
    nissl_network_free(network);
    nissl_context_free(ctx);
    return 0;
}
