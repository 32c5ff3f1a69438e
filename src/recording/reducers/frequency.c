/*
 * Activation frequency: the fraction of samples, (stimulus, position) pairs, at which a unit is
 * > 0. NaN is not > 0. Counts are exact.
 */
#include "recording/reducers/reducer.h"

/* A state is uint64 [1 + n_units]: samples, then active samples of each unit. */

static size_t bytes(const nissl_reducer_site *site, int64_t n_stimuli)
{
    return ((size_t)site->n_units + 1) * sizeof(uint64_t);
}

static void init(void *state, const nissl_reducer_site *site, int64_t n_stimuli)
{
    memset(state, 0, bytes(site, n_stimuli));
}

static void update(void *state, const nissl_reducer_site *site, const nissl_batch *batch)
{
    uint64_t *count = state;
    count[0] +=
        (uint64_t)(batch->n_samples ? batch->n_samples : batch->n_stimuli * batch->n_positions);
    for (int64_t i = 0; i < batch->n_stimuli; i++)
        for (int64_t u = 0; u < site->n_units; u++)
            count[1 + u] += batch->active[i * site->n_units + u];
}

static void merge(void *into, const void *from, const nissl_reducer_site *site)
{
    uint64_t *a = into;
    const uint64_t *b = from;
    for (int64_t i = 0; i <= site->n_units; i++)
        a[i] += b[i];
}

static uint64_t result_bytes(const nissl_reducer_site *site)
{
    return (uint64_t)site->n_units * (sizeof(int64_t) + sizeof(double));
}

static nissl_status finish(const void *state, const nissl_reducer_site *site, nissl_emit_fn emit,
                           void *user, nissl_error *err)
{
    const uint64_t *count = state;
    double samples = (double)count[0];
    double *frequency = nissl__alloc((size_t)site->n_units, sizeof *frequency);
    nissl_status status = NISSL_OK;
    if (!frequency)
        return NISSL__NO_MEMORY(err, (size_t)site->n_units * sizeof *frequency);
    for (int64_t u = 0; u < site->n_units; u++)
        frequency[u] = samples > 0 ? (double)count[1 + u] / samples : NAN;
    status = nissl__emit(emit, user, "active", "1",
                         "Number of (stimulus, position) samples at which the unit is > 0.",
                         NISSL_INT64, site->n_units, 0, count + 1, err);
    if (status == NISSL_OK)
        status = nissl__emit(emit, user, "frequency", "1",
                             "Fraction of (stimulus, position) samples at which the unit is > 0.",
                             NISSL_FLOAT64, site->n_units, 0, frequency, err);
    nissl__free(frequency);
    return status;
}

const nissl_reducer nissl__reducer_frequency = {
    .name = "frequency",
    .summary = "fraction of samples (stimulus, position) at which a unit is > 0",
    .needs = NISSL_REDUCER_NEEDS_ACTIVE | NISSL_REDUCER_EXACT,
    .bytes = bytes,
    .init = init,
    .update = update,
    .merge = merge,
    .result_bytes = result_bytes,
    .finish = finish,
};
