/*
 * Sign quadrants of gated units, act(gate) * linear: how often gate and linear input have which
 * signs, and in each quadrant the top_k stimuli at which the unit's magnitude is largest, with the
 * value and the position. A list of largest values alone shows one quadrant of what such a unit
 * does: where the gate is closed the value is small, and its sign is the product of two (GLUScope,
 * arXiv 2602.23826).
 *
 * A stimulus is in a list once, with its strongest sample. Ties go to the stimulus of smaller
 * index, in a stimulus to the first position, so that any order of updates and merges gives the
 * same lists.
 */
#include <stdio.h>

#include "recording/reducers/reducer.h"

/* Quadrant by quadrant: counts [4, n_units]; lists [4, n_units, top_k], strongest first. */
typedef struct quadrants {
    uint64_t *samples; /* one number: in any quadrant or none */
    uint64_t *count;
    int64_t *stimulus; /* -1 = free */
    uint32_t *position;
    float *value;
} quadrants;

static const char *const names[NISSL_N_QUADRANTS] = {"plus_plus", "plus_minus", "minus_plus",
                                                     "minus_minus"};

static size_t bytes(const nissl_reducer_site *site, int64_t n_stimuli)
{
    size_t n = NISSL_N_QUADRANTS * (size_t)site->n_units, k = (size_t)site->top_k;
    return site->gated
               ? (1 + n + n * k) * sizeof(int64_t) + n * k * (sizeof(uint32_t) + sizeof(float))
               : 0;
}

static quadrants at(const void *state, const nissl_reducer_site *site)
{
    quadrants q;
    void *memory;
    int64_t n = NISSL_N_QUADRANTS * site->n_units;
    memcpy(&memory, &state, sizeof state);
    q.samples = memory;
    q.count = q.samples + 1;
    q.stimulus = (int64_t *)(q.count + n);
    q.position = (uint32_t *)(q.stimulus + n * site->top_k);
    q.value = (float *)(q.position + n * site->top_k);
    return q;
}

static void init(void *state, const nissl_reducer_site *site, int64_t n_stimuli)
{
    quadrants q = at(state, site);
    memset(state, 0, bytes(site, n_stimuli));
    for (int64_t i = 0; i < NISSL_N_QUADRANTS * site->n_units * site->top_k; i++)
        q.stimulus[i] = -1;
}

/* Free entries come after all others. */
static bool before(float value, int64_t stimulus, float other, int64_t other_stimulus)
{
    float a = fabsf(value), b = fabsf(other);
    return other_stimulus < 0 || a > b || (a == b && stimulus < other_stimulus);
}

/* Into the list that begins at entry first. */
static void insert(quadrants *q, int64_t first, int64_t top_k, float value, int64_t stimulus,
                   uint32_t position)
{
    int64_t place = first + top_k;
    while (place > first && before(value, stimulus, q->value[place - 1], q->stimulus[place - 1])) {
        place--;
        if (place + 1 < first + top_k) {
            q->value[place + 1] = q->value[place];
            q->stimulus[place + 1] = q->stimulus[place];
            q->position[place + 1] = q->position[place];
        }
    }
    if (place == first + top_k)
        return;
    q->value[place] = value;
    q->stimulus[place] = stimulus;
    q->position[place] = position;
}

static void update(void *state, const nissl_reducer_site *site, const nissl_batch *batch)
{
    quadrants q = at(state, site);
    int64_t n = NISSL_N_QUADRANTS * site->n_units;
    *q.samples +=
        (uint64_t)(batch->n_samples ? batch->n_samples : batch->n_stimuli * batch->n_positions);
    for (int64_t i = 0; i < batch->n_stimuli; i++)
        for (int64_t u = 0; u < n; u++) {
            float value = batch->quadrant_value[i * n + u];
            q.count[u] += batch->quadrant_count[i * n + u];
            if (value == value)
                insert(&q, u * site->top_k, site->top_k, value, batch->first + i,
                       batch->quadrant_position[i * n + u]);
        }
}

static void merge(void *into, const void *from, const nissl_reducer_site *site)
{
    quadrants a = at(into, site), b = at(from, site);
    int64_t k = site->top_k;
    *a.samples += *b.samples;
    for (int64_t u = 0; u < NISSL_N_QUADRANTS * site->n_units; u++) {
        a.count[u] += b.count[u];
        for (int64_t i = u * k; i < (u + 1) * k && b.stimulus[i] >= 0; i++)
            insert(&a, u * k, k, b.value[i], b.stimulus[i], b.position[i]);
    }
}

static uint64_t result_bytes(const nissl_reducer_site *site)
{
    uint64_t n = NISSL_N_QUADRANTS * (uint64_t)site->n_units;
    return site->gated ? n * (sizeof(int64_t) + sizeof(double)) +
                             n * (uint64_t)site->top_k * (sizeof(float) + 2 * sizeof(int64_t))
                       : 0;
}

static nissl_status emit_counts(const quadrants *q, const nissl_reducer_site *site,
                                nissl_emit_fn emit, void *user, nissl_error *err)
{
    int64_t n_units = site->n_units;
    int64_t *count = nissl__alloc((size_t)n_units, NISSL_N_QUADRANTS * sizeof *count);
    double *fraction = nissl__alloc((size_t)n_units, NISSL_N_QUADRANTS * sizeof *fraction);
    nissl_status status = NISSL_OK;
    if (!count || !fraction) {
        status = NISSL__NO_MEMORY(err, (size_t)n_units * NISSL_N_QUADRANTS * sizeof *count);
        goto done;
    }
    for (int64_t u = 0; u < n_units; u++)
        for (int i = 0; i < NISSL_N_QUADRANTS; i++) {
            uint64_t c = q->count[i * n_units + u];
            count[u * NISSL_N_QUADRANTS + i] = (int64_t)c;
            fraction[u * NISSL_N_QUADRANTS + i] =
                *q->samples ? (double)c / (double)*q->samples : NAN;
        }
    status = nissl__emit(emit, user, "count", "1",
                         "Number of (stimulus, position) samples at which (gate, linear) is "
                         "(+, +), (+, -), (-, +), (-, -); none where either is zero.",
                         NISSL_INT64, n_units, NISSL_N_QUADRANTS, count, err);
    if (status == NISSL_OK)
        status = nissl__emit(emit, user, "fraction", "1",
                             "Fraction of all (stimulus, position) samples in each quadrant.",
                             NISSL_FLOAT64, n_units, NISSL_N_QUADRANTS, fraction, err);

done:
    nissl__free(count);
    nissl__free(fraction);
    return status;
}

/* The lists of one quadrant. value and position: [n_units, top_k] to fill. */
static nissl_status emit_list(const quadrants *q, const nissl_reducer_site *site, int quadrant,
                              float *value, int64_t *position, nissl_emit_fn emit, void *user,
                              nissl_error *err)
{
    static const char *const parts[3] = {"top_value", "top_stimulus", "top_position"};
    static const char *const texts[3] = {
        "Values of largest magnitude with these signs of gate and linear input, one per stimulus, "
        "strongest first; NaN where there are fewer.",
        "Row of their trials; of equal magnitudes the earlier stimulus first; -1 where there are "
        "fewer.",
        "Their positions, counted row by row over position axes (of text: the token); -1 where "
        "there are fewer."};
    int64_t n = site->n_units * site->top_k, first = quadrant * n;
    nissl_status status = NISSL_OK;
    for (int64_t i = 0; i < n; i++) {
        bool free_entry = q->stimulus[first + i] < 0;
        value[i] = free_entry ? NAN : q->value[first + i];
        position[i] = free_entry ? -1 : (int64_t)q->position[first + i];
    }
    for (int i = 0; i < 3 && status == NISSL_OK; i++) {
        char name[40];
        const void *data = i == 0   ? (const void *)value
                           : i == 1 ? (const void *)(q->stimulus + first)
                                    : (const void *)position;
        snprintf(name, sizeof name, "%s/%s", names[quadrant], parts[i]);
        status =
            nissl__emit(emit, user, name, i ? "" : "1", texts[i], i ? NISSL_INT64 : NISSL_FLOAT32,
                        site->n_units, site->top_k, data, err);
    }
    return status;
}

static nissl_status finish(const void *state, const nissl_reducer_site *site, nissl_emit_fn emit,
                           void *user, nissl_error *err)
{
    quadrants q = at(state, site);
    size_t n = (size_t)(site->n_units * site->top_k);
    float *value = nissl__alloc(n, sizeof *value);
    int64_t *position = nissl__alloc(n, sizeof *position);
    nissl_status status = value && position ? emit_counts(&q, site, emit, user, err)
                                            : NISSL__NO_MEMORY(err, n * sizeof *position);
    for (int i = 0; i < NISSL_N_QUADRANTS && status == NISSL_OK; i++)
        status = emit_list(&q, site, i, value, position, emit, user, err);
    nissl__free(value);
    nissl__free(position);
    return status;
}

const nissl_reducer nissl__reducer_quadrants = {
    .name = "quadrants",
    .summary = "of gated units: samples and strongest stimuli in each sign quadrant of gate and "
               "linear input",
    .needs = NISSL_REDUCER_NEEDS_QUADRANTS | NISSL_REDUCER_EXACT,
    .bytes = bytes,
    .init = init,
    .update = update,
    .merge = merge,
    .result_bytes = result_bytes,
    .finish = finish,
};
