/*
 * Moments of a unit's value over stimuli: n, mean, variance, minimum, maximum, and the mean and
 * mean square of max(value, 0), which sparseness needs.
 *
 * Updates follow Welford 1962, merges Chan, Golub & LeVeque 1979, in float64. NaN makes a unit's
 * mean and variance NaN and is left out of minimum and maximum.
 */
#include "recording/reducers/reducer.h"

typedef struct header {
    int64_t n;
    int64_t reserved[7]; /* keeps the arrays on cache lines */
} header;

/* Arrays [n_units] after the header. */
typedef struct moments {
    header *head;
    double *mean, *m2, *positive, *positive_square;
    float *min, *max;
} moments;

static moments at(const void *state, int64_t n_units)
{
    moments m;
    void *memory;
    memcpy(&memory, &state, sizeof state);
    m.head = memory;
    m.mean = (double *)(m.head + 1);
    m.m2 = m.mean + n_units;
    m.positive = m.m2 + n_units;
    m.positive_square = m.positive + n_units;
    m.min = (float *)(m.positive_square + n_units);
    m.max = m.min + n_units;
    return m;
}

static size_t bytes(const nissl_reducer_site *site, int64_t n_stimuli)
{
    return sizeof(header) + (size_t)site->n_units * (4 * sizeof(double) + 2 * sizeof(float));
}

static void init(void *state, const nissl_reducer_site *site, int64_t n_stimuli)
{
    moments m = at(state, site->n_units);
    memset(state, 0, bytes(site, n_stimuli));
    for (int64_t u = 0; u < site->n_units; u++) {
        m.min[u] = INFINITY;
        m.max[u] = -INFINITY;
    }
}

/* n counts x already. */
NISSL__CLONES static void add(int64_t n_units, double n, const float *restrict x,
                              double *restrict mean, double *restrict m2, double *restrict positive,
                              double *restrict positive_square, float *restrict min,
                              float *restrict max)
{
    for (int64_t u = 0; u < n_units; u++) {
        double v = (double)x[u], delta = v - mean[u];
        double p = v > 0 ? v : v != v ? v : 0;
        mean[u] += delta / n;
        m2[u] += delta * (v - mean[u]);
        positive[u] += p;
        positive_square[u] += p * p;
        min[u] = x[u] < min[u] ? x[u] : min[u];
        max[u] = x[u] > max[u] ? x[u] : max[u];
    }
}

static void update(void *state, const nissl_reducer_site *site, const nissl_batch *batch)
{
    moments m = at(state, site->n_units);
    for (int64_t i = 0; i < batch->n_stimuli; i++) {
        m.head->n++;
        add(site->n_units, (double)m.head->n, batch->value + i * site->n_units, m.mean, m.m2,
            m.positive, m.positive_square, m.min, m.max);
    }
}

static void merge(void *into, const void *from, const nissl_reducer_site *site)
{
    moments a = at(into, site->n_units), b = at(from, site->n_units);
    double n_a = (double)a.head->n, n_b = (double)b.head->n, n = n_a + n_b;
    if (b.head->n == 0)
        return;
    if (a.head->n == 0) {
        memcpy(into, from, bytes(site, 0));
        return;
    }
    for (int64_t u = 0; u < site->n_units; u++) {
        double delta = b.mean[u] - a.mean[u];
        a.mean[u] += delta * (n_b / n);
        a.m2[u] += b.m2[u] + delta * delta * (n_a * (n_b / n));
        a.positive[u] += b.positive[u];
        a.positive_square[u] += b.positive_square[u];
        a.min[u] = NISSL__MIN(a.min[u], b.min[u]);
        a.max[u] = NISSL__MAX(a.max[u], b.max[u]);
    }
    a.head->n += b.head->n;
}

static uint64_t result_bytes(const nissl_reducer_site *site)
{
    return (uint64_t)site->n_units * (sizeof(int64_t) + 6 * sizeof(double));
}

static nissl_status finish(const void *state, const nissl_reducer_site *site, nissl_emit_fn emit,
                           void *user, nissl_error *err)
{
    static const struct {
        const char *name, *description;
    } real[6] = {
        {"mean", "Mean over stimuli."},
        {"variance", "Variance over stimuli, n - 1 in the denominator; NaN below two stimuli."},
        {"min", "Smallest value; NaN where there is none."},
        {"max", "Largest value; NaN where there is none."},
        {"rectified_mean", "Mean of max(value, 0) over stimuli."},
        {"rectified_mean_square", "Mean square of max(value, 0) over stimuli."},
    };
    moments m = at(state, site->n_units);
    int64_t n_units = site->n_units;
    double n = (double)m.head->n, *out = NULL;
    int64_t *count = NULL;
    nissl_status status = NISSL_OK;

    count = nissl__alloc((size_t)n_units, sizeof *count);
    out = nissl__alloc((size_t)n_units, 6 * sizeof *out);
    if (!count || !out) {
        status = NISSL__NO_MEMORY(err, (size_t)n_units * 6 * sizeof *out);
        goto done;
    }
    for (int64_t u = 0; u < n_units; u++) {
        count[u] = m.head->n;
        out[u] = m.head->n ? m.mean[u] : NAN;
        out[n_units + u] = m.head->n > 1 ? m.m2[u] / (n - 1) : NAN;
        out[2 * n_units + u] = m.min[u] <= m.max[u] ? (double)m.min[u] : NAN;
        out[3 * n_units + u] = m.min[u] <= m.max[u] ? (double)m.max[u] : NAN;
        out[4 * n_units + u] = m.positive[u] / n;
        out[5 * n_units + u] = m.positive_square[u] / n;
    }
    status = nissl__emit(emit, user, "n", "1", "Number of stimuli.", NISSL_INT64, n_units, 0, count,
                         err);
    for (int i = 0; i < 6 && status == NISSL_OK; i++)
        status = nissl__emit(emit, user, real[i].name, "1", real[i].description, NISSL_FLOAT64,
                             n_units, 0, out + i * n_units, err);

done:
    nissl__free(count);
    nissl__free(out);
    return status;
}

const nissl_reducer nissl__reducer_moments = {
    .name = "moments",
    .summary = "mean, variance, minimum, maximum and rectified moments over stimuli",
    .bytes = bytes,
    .init = init,
    .update = update,
    .merge = merge,
    .result_bytes = result_bytes,
    .finish = finish,
};
