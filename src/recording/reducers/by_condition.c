/*
 * Moments by condition: for every level of every factor that has levels, the mean and variance of a
 * unit's value over the stimuli of that level, as in moments.c.
 *
 * A state that covers n stimuli holds at most min(n_levels, n) conditions per factor. Results are
 * float32; they are accumulated in float64. How many stimuli a condition has is the same for every
 * unit and stands in the recording's table of conditions.
 */
#include "recording/reducers/reducer.h"

/* A state: int64 n_stimuli it was made for; then for each factor a block. */
typedef struct block {
    int64_t n_levels, n_slots;
    int64_t *slot;  /* [n_levels] where a level's moments are, -1 = not seen */
    int64_t *used;  /* slots taken */
    int64_t *count; /* [n_slots] stimuli */
    double *mean;   /* [n_slots, n_units] */
    double *m2;     /* [n_slots, n_units] */
} block;

static size_t block_bytes(const nissl_reducer_site *site, int factor, int64_t n_stimuli)
{
    size_t n_levels = (size_t)site->factors[factor]->n_levels;
    size_t n_slots = NISSL__MIN(n_levels, (size_t)n_stimuli);
    return (n_levels + 1 + n_slots) * sizeof(int64_t) +
           2 * n_slots * (size_t)site->n_units * sizeof(double);
}

static size_t bytes(const nissl_reducer_site *site, int64_t n_stimuli)
{
    size_t total = sizeof(int64_t);
    for (int f = 0; f < site->n_factors; f++)
        total += block_bytes(site, f, n_stimuli);
    return site->n_factors > 0 ? total : 0;
}

static block at(const void *state, const nissl_reducer_site *site, int factor)
{
    block b;
    char *memory;
    int64_t n_stimuli;
    memcpy(&memory, &state, sizeof state);
    memcpy(&n_stimuli, state, sizeof n_stimuli);
    memory += sizeof n_stimuli;
    for (int f = 0; f < factor; f++)
        memory += block_bytes(site, f, n_stimuli);
    b.n_levels = site->factors[factor]->n_levels;
    b.n_slots = NISSL__MIN(b.n_levels, n_stimuli);
    b.slot = (int64_t *)(void *)memory;
    b.used = b.slot + b.n_levels;
    b.count = b.used + 1;
    b.mean = (double *)(b.count + b.n_slots);
    b.m2 = b.mean + b.n_slots * site->n_units;
    return b;
}

static void init(void *state, const nissl_reducer_site *site, int64_t n_stimuli)
{
    memset(state, 0, bytes(site, n_stimuli));
    memcpy(state, &n_stimuli, sizeof n_stimuli);
    for (int f = 0; f < site->n_factors; f++) {
        block b = at(state, site, f);
        for (int64_t level = 0; level < b.n_levels; level++)
            b.slot[level] = -1;
    }
}

/* The slot of a level, taking the next free one if it has none. */
static int64_t slot_of(block *b, int64_t level)
{
    if (b->slot[level] < 0)
        b->slot[level] = (*b->used)++;
    return b->slot[level];
}

NISSL__CLONES static void add(int64_t n_units, double n, const float *restrict x,
                              double *restrict mean, double *restrict m2)
{
    for (int64_t u = 0; u < n_units; u++) {
        double v = (double)x[u], delta = v - mean[u];
        mean[u] += delta / n;
        m2[u] += delta * (v - mean[u]);
    }
}

static void update(void *state, const nissl_reducer_site *site, const nissl_batch *batch)
{
    int64_t n_units = site->n_units;
    for (int f = 0; f < site->n_factors; f++) {
        block b = at(state, site, f);
        for (int64_t i = 0; i < batch->n_stimuli; i++) {
            int64_t level = site->factors[f]->level[batch->first + i], slot;
            if (level < 0)
                continue;
            slot = slot_of(&b, level);
            b.count[slot]++;
            add(n_units, (double)b.count[slot], batch->value + i * n_units, b.mean + slot * n_units,
                b.m2 + slot * n_units);
        }
    }
}

static void merge(void *into, const void *from, const nissl_reducer_site *site)
{
    int64_t n_units = site->n_units;
    for (int f = 0; f < site->n_factors; f++) {
        block a = at(into, site, f), b = at(from, site, f);
        for (int64_t level = 0; level < b.n_levels; level++) {
            int64_t slot_b = b.slot[level], slot_a;
            double n_a, n_b, n, *mean_a, *m2_a, *mean_b, *m2_b;
            if (slot_b < 0)
                continue;
            slot_a = slot_of(&a, level);
            mean_a = a.mean + slot_a * n_units;
            m2_a = a.m2 + slot_a * n_units;
            mean_b = b.mean + slot_b * n_units;
            m2_b = b.m2 + slot_b * n_units;
            n_a = (double)a.count[slot_a];
            n_b = (double)b.count[slot_b];
            n = n_a + n_b;
            a.count[slot_a] += b.count[slot_b];
            if (n_a <= 0) {
                memcpy(mean_a, mean_b, (size_t)n_units * sizeof *mean_a);
                memcpy(m2_a, m2_b, (size_t)n_units * sizeof *m2_a);
                continue;
            }
            for (int64_t u = 0; u < n_units; u++) {
                double delta = mean_b[u] - mean_a[u];
                mean_a[u] += delta * (n_b / n);
                m2_a[u] += m2_b[u] + delta * delta * (n_a * (n_b / n));
            }
        }
    }
}

static uint64_t result_bytes(const nissl_reducer_site *site)
{
    uint64_t total = 0;
    for (int f = 0; f < site->n_factors; f++)
        total += 2 * (uint64_t)site->n_units * (uint64_t)site->factors[f]->n_levels * sizeof(float);
    return total;
}

/* out: [n_units, n_levels] */
static void table_of(const block *b, int64_t n_units, bool variance, float *out)
{
    for (int64_t level = 0; level < b->n_levels; level++) {
        int64_t slot = b->slot[level], n = slot < 0 ? 0 : b->count[slot];
        const double *of = (variance ? b->m2 : b->mean) + (slot < 0 ? 0 : slot) * n_units;
        for (int64_t u = 0; u < n_units; u++)
            out[u * b->n_levels + level] = n <= (variance ? 1 : 0) ? NAN
                                           : variance ? (float)(of[u] / (double)(n - 1))
                                                      : (float)of[u];
    }
}

static nissl_status finish(const void *state, const nissl_reducer_site *site, nissl_emit_fn emit,
                           void *user, nissl_error *err)
{
    static const char *const names[2] = {"mean", "variance"};
    static const char *const texts[2] = {
        "Mean over the stimuli of each level of factor %s (columns, in the order of its table of "
        "conditions); NaN where a level has none.",
        "Variance over the stimuli of each level of factor %s (columns, in the order of its table "
        "of conditions), n - 1 in the denominator; NaN below two stimuli."};
    nissl_status status = NISSL_OK;
    for (int f = 0; f < site->n_factors && status == NISSL_OK; f++) {
        const char *factor = site->factors[f]->name;
        block b = at(state, site, f);
        size_t n = (size_t)site->n_units * (size_t)b.n_levels;
        float *out = nissl__alloc(n, sizeof *out);
        if (!out)
            return NISSL__NO_MEMORY(err, n * sizeof *out);
        for (int i = 0; i < 2 && status == NISSL_OK; i++) {
            char *name = nissl__format("%s/%s", factor, names[i]);
            char *text = nissl__format(texts[i], factor);
            table_of(&b, site->n_units, i == 1, out);
            status = !name || !text ? NISSL__NO_MEMORY(err, strlen(factor) + 200)
                                    : nissl__emit(emit, user, name, "1", text, NISSL_FLOAT32,
                                                  site->n_units, b.n_levels, out, err);
            nissl__free(name);
            nissl__free(text);
        }
        nissl__free(out);
    }
    return status;
}

const nissl_reducer nissl__reducer_by_condition = {
    .name = "by-condition",
    .summary = "mean and variance over the stimuli of each level of each factor",
    .bytes = bytes,
    .init = init,
    .update = update,
    .merge = merge,
    .result_bytes = result_bytes,
    .finish = finish,
};
