/*
 * Tunes units that come from anywhere: responses in a numpy file [samples, units], and the
 * condition of each sample in another, integers [samples]. Writes a table with a row per unit to
 * standard output.
 *
 *     tune RESPONSES.npy LABELS.npy
 *
 * Analyses take arrays, so the same function serves units of a network and neurons.
 */
#include <stdio.h>
#include <stdlib.h>

#include <nissl.h>

int main(int argc, char **argv)
{
    nissl_error error = {0};
    nissl_context *ctx = NULL;
    nissl_stimuli *samples = NULL;
    nissl_stimuli_options options = nissl_stimuli_options_default();
    nissl_tuning tuning = {0};
    nissl_table table = {0};
    const nissl_factor *label;
    float *responses = NULL; /* [n_samples, n_units] */
    int64_t shape[NISSL_MAX_RANK], n_samples, n_units = 1;
    int rank, result = 1;

    if (argc != 3) {
        fprintf(stderr, "usage: %s RESPONSES.npy LABELS.npy\n", argv[0]);
        return 2;
    }
    options.labels = argv[2];
    if (nissl_context_new(NULL, &ctx, &error) != NISSL_OK ||
        nissl_stimuli_open(ctx, argv[1], &options, &samples, &error) != NISSL_OK)
        goto done;
    n_samples = nissl_stimuli_count(samples);
    rank = nissl_stimuli_shape(samples, shape);
    for (int axis = 0; axis < rank; axis++)
        n_units *= shape[axis];
    label = nissl_stimuli_n_factors(samples) > 0 ? nissl_stimuli_factor(samples, 0) : NULL;
    responses = calloc((size_t)(n_samples * n_units), sizeof *responses);
    if (!label || !label->level || !responses) {
        snprintf(error.message, sizeof error.message, "%s has no labels, or memory is short",
                 argv[2]);
        goto done;
    }
    if (nissl_stimuli_load(samples, 0, n_samples, responses, &error) != NISSL_OK ||
        nissl_tuning_compute(ctx, responses, n_samples, n_units, label->level, label->n_levels,
                             NULL, &tuning, &error) != NISSL_OK ||
        nissl_table_new("tuning", "Tuning of each unit.", &table, &error) != NISSL_OK ||
        nissl_tuning_to_table(&tuning, argv[1], label, &table, &error) != NISSL_OK ||
        nissl_table_write_csv(&table, stdout, &error) != NISSL_OK)
        goto done;
    result = 0;
done:
    if (result)
        fprintf(stderr, "%s\n", error.message);
    nissl_table_free(&table);
    nissl_tuning_free(&tuning);
    free(responses);
    nissl_stimuli_free(samples);
    nissl_context_free(ctx);
    return result;
}
