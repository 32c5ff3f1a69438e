/*
 * Exemplars: the top_k stimuli of largest and of smallest value, with the values.
 *
 * Ties go to the stimulus of smaller index, at both ends, so that (value, index) is a total order
 * and any order of updates and merges gives the same lists. NaN is never an exemplar; where there
 * are fewer than top_k values the rest is NaN and index -1.
 */
#include "recording/reducers/reducer.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* One end: lists [n_units, top_k], best first. */
typedef struct end {
    float *value;
    int64_t *index;
    float *worst; /* [n_units] value of the last entry: what a newcomer must reach */
} end;

static size_t end_bytes(const nissl_reducer_site *site)
{
    size_t n = (size_t)site->n_units, k = (size_t)site->top_k;
    return n * k * sizeof(int64_t) + (n * k + n + (n * k + n) % 2) * sizeof(float);
}

static size_t bytes(const nissl_reducer_site *site, int64_t n_stimuli)
{
    return site->top_k > 0 ? 2 * end_bytes(site) : 0;
}

static end at(const void *state, const nissl_reducer_site *site, int which)
{
    end e;
    char *memory;
    memcpy(&memory, &state, sizeof state);
    memory += which ? end_bytes(site) : 0;
    e.index = (int64_t *)(void *)memory;
    e.value = (float *)(e.index + site->n_units * site->top_k);
    e.worst = e.value + site->n_units * site->top_k;
    return e;
}

/* Both ends hold keys that are better when larger: the value, or its negative at the bottom. */
static void init(void *state, const nissl_reducer_site *site, int64_t n_stimuli)
{
    memset(state, 0, bytes(site, n_stimuli));
    for (int which = 0; which < 2; which++) {
        end e = at(state, site, which);
        for (int64_t i = 0; i < site->n_units * site->top_k; i++) {
            e.value[i] = -INFINITY;
            e.index[i] = -1;
        }
        for (int64_t u = 0; u < site->n_units; u++)
            e.worst[u] = -INFINITY;
    }
}

/* Free entries (index -1) come after all others. */
static bool before(float key, int64_t index, float other_key, int64_t other_index)
{
    return other_index < 0 || key > other_key || (key == other_key && index < other_index);
}

static void insert(end *e, int64_t unit, int64_t top_k, float key, int64_t index)
{
    float *value = e->value + unit * top_k;
    int64_t *of = e->index + unit * top_k, place = top_k - 1;
    if (!before(key, index, value[place], of[place]))
        return;
    for (; place > 0 && before(key, index, value[place - 1], of[place - 1]); place--) {
        value[place] = value[place - 1];
        of[place] = of[place - 1];
    }
    value[place] = key;
    of[place] = index;
    e->worst[unit] = value[top_k - 1];
}

#define BLOCK 64 /* units whose lists stay in cache for all stimuli of a batch */

#if defined(__x86_64__)
/* Bits of the 4 units that value x brings into a list. */
static inline unsigned newcomers(const float *x, const float *worst_top, const float *worst_bottom)
{
    __m128 v = _mm_loadu_ps(x), negative = _mm_xor_ps(v, _mm_set1_ps(-0.0f));
    __m128 top = _mm_cmpge_ps(v, _mm_loadu_ps(worst_top));
    __m128 bottom = _mm_cmpge_ps(negative, _mm_loadu_ps(worst_bottom));
    return (unsigned)_mm_movemask_ps(_mm_or_ps(top, bottom));
}
#else
static inline unsigned newcomers(const float *x, const float *worst_top, const float *worst_bottom)
{
    unsigned bits = 0;
    for (int u = 0; u < 4; u++)
        bits |= (unsigned)(x[u] >= worst_top[u] || -x[u] >= worst_bottom[u]) << u;
    return bits;
}
#endif

static void offer(end *top, end *bottom, int64_t unit, int64_t top_k, float x, int64_t index)
{
    if (x >= top->worst[unit])
        insert(top, unit, top_k, x, index);
    if (-x >= bottom->worst[unit])
        insert(bottom, unit, top_k, -x, index);
}

static void update(void *state, const nissl_reducer_site *site, const nissl_batch *batch)
{
    end top = at(state, site, 0), bottom = at(state, site, 1);
    for (int64_t first = 0; first < site->n_units; first += BLOCK)
        for (int64_t i = 0; i < batch->n_stimuli; i++) {
            const float *x = batch->value + i * site->n_units;
            int64_t u = first, end_unit = NISSL__MIN(first + BLOCK, site->n_units);
            for (; u + 4 <= end_unit; u += 4)
                for (unsigned bits = newcomers(x + u, top.worst + u, bottom.worst + u); bits;
                     bits &= bits - 1) {
                    int64_t unit = u + __builtin_ctz(bits);
                    offer(&top, &bottom, unit, site->top_k, x[unit], batch->first + i);
                }
            for (; u < end_unit; u++)
                offer(&top, &bottom, u, site->top_k, x[u], batch->first + i);
        }
}

static void merge(void *into, const void *from, const nissl_reducer_site *site)
{
    for (int which = 0; which < 2; which++) {
        end a = at(into, site, which), b = at(from, site, which);
        for (int64_t u = 0; u < site->n_units; u++)
            for (int64_t i = u * site->top_k; i < (u + 1) * site->top_k && b.index[i] >= 0; i++)
                insert(&a, u, site->top_k, b.value[i], b.index[i]);
    }
}

static uint64_t result_bytes(const nissl_reducer_site *site)
{
    return 2 * (uint64_t)site->n_units * (uint64_t)site->top_k * (sizeof(float) + sizeof(int64_t));
}

static nissl_status finish(const void *state, const nissl_reducer_site *site, nissl_emit_fn emit,
                           void *user, nissl_error *err)
{
    static const char *const names[2][2] = {{"top_value", "top_stimulus"},
                                            {"bottom_value", "bottom_stimulus"}};
    static const char *const texts[2][2] = {
        {"Largest values, largest first; NaN where there are fewer.",
         "Row of their trials; of equal values the earlier stimulus first; -1 where there are "
         "fewer."},
        {"Smallest values, smallest first; NaN where there are fewer.",
         "Row of their trials; of equal values the earlier stimulus first; -1 where there are "
         "fewer."}};
    int64_t n = site->n_units * site->top_k;
    float *value = nissl__alloc((size_t)n, sizeof *value);
    nissl_status status = NISSL_OK;
    if (!value)
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *value);
    for (int which = 0; which < 2 && status == NISSL_OK; which++) {
        end e = at(state, site, which);
        for (int64_t i = 0; i < n; i++)
            value[i] = e.index[i] < 0 ? NAN : which ? 0.0f - e.value[i] : e.value[i];
        status = nissl__emit(emit, user, names[which][0], "1", texts[which][0], NISSL_FLOAT32,
                             site->n_units, site->top_k, value, err);
        if (status == NISSL_OK)
            status = nissl__emit(emit, user, names[which][1], "", texts[which][1], NISSL_INT64,
                                 site->n_units, site->top_k, e.index, err);
    }
    nissl__free(value);
    return status;
}

const nissl_reducer nissl__reducer_exemplars = {
    .name = "exemplars",
    .summary = "the stimuli of largest and of smallest value; ties go to the earlier stimulus",
    .needs = NISSL_REDUCER_EXACT,
    .bytes = bytes,
    .init = init,
    .update = update,
    .merge = merge,
    .result_bytes = result_bytes,
    .finish = finish,
};
