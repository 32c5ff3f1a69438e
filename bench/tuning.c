/*
 * Times tuning for bench/tuning.py: for each line "run" on standard input tunes all units once and
 * answers milliseconds; a line "write PATH" writes the last results, float64 one after the other:
 * [units] selectivity, held-out selectivity, d', auROC, lifetime sparseness and
 * [units, conditions] curve.
 *
 *     tuning DATA N_STIMULI N_UNITS N_CONDITIONS THREADS
 *
 * DATA: int32 condition [n_stimuli], then float32 response [n_stimuli, n_units].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/foundation.h"
#include "nissl/tuning.h"

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "tuning: %s\n", what);
    exit(1);
}

static void write_results(const nissl_tuning *t, const char *path)
{
    FILE *file = fopen(path, "wb");
    size_t n = (size_t)t->n_units, written = 0;
    require(file != NULL, "cannot write the results");
    const double *const columns[] = {t->selectivity, t->selectivity_heldout, t->dprime, t->auroc,
                                     t->lifetime_sparseness};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        written += fwrite(columns[i], sizeof(double), n, file);
    written += fwrite(t->curve, sizeof(double), n * (size_t)t->n_conditions, file);
    require(fclose(file) == 0 && written == n * (5 + (size_t)t->n_conditions), "cannot write");
}

int main(int argc, char **argv)
{
    nissl_error err = {0};
    nissl_context_options options = nissl_context_options_default();
    nissl_context *ctx = NULL;
    nissl_tuning tuning = {0};
    char line[1024];
    require(argc == 6, "usage: tuning DATA N_STIMULI N_UNITS N_CONDITIONS THREADS");
    int64_t n_stimuli = atoll(argv[2]), n_units = atoll(argv[3]), n_conditions = atoll(argv[4]);
    options.threads = atoi(argv[5]);
    FILE *file = fopen(argv[1], "rb");
    require(file != NULL, "cannot open the data");
    size_t n = (size_t)n_stimuli, cells = n * (size_t)n_units;
    int32_t *condition = nissl__alloc(n, sizeof *condition);
    float *x = nissl__alloc(cells, sizeof *x);
    require(condition && x, "out of memory");
    require(fread(condition, sizeof *condition, n, file) == n &&
                fread(x, sizeof *x, cells, file) == cells,
            "the data is too short");
    fclose(file);
    require(nissl_context_new(&options, &ctx, &err) == NISSL_OK, err.message);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "run") == 0) {
            double started = nissl__now();
            nissl_tuning_free(&tuning);
            require(nissl_tuning_compute(ctx, x, n_stimuli, n_units, condition, n_conditions, NULL,
                                         &tuning, &err) == NISSL_OK,
                    err.message);
            printf("%.4f\n", (nissl__now() - started) * 1e3);
        } else if (strncmp(line, "write ", 6) == 0) {
            write_results(&tuning, line + 6);
            puts("written");
        }
        fflush(stdout);
    }
    nissl_tuning_free(&tuning);
    nissl_context_free(ctx);
    nissl__free(condition);
    nissl__free(x);
    return 0;
}
