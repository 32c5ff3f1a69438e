/*
 * Distributions over units. A resample is held as counts over sorted values, so that a statistic
 * costs O(n) instead of a sort.
 */
#include "studies/distribution.h"

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int64_t nissl__sort_defined(const double *x, int64_t n, double *out)
{
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            out[m++] = x[i];
    qsort(out, (size_t)m, sizeof *out, compare);
    return m;
}

double nissl__quantile(const double *sorted, int64_t n, double q)
{
    if (n == 0)
        return NAN;
    const double at = q * (double)(n - 1);
    const int64_t i = (int64_t)at;
    if (i + 1 >= n || sorted[i] == sorted[i + 1] || at == (double)i)
        return sorted[NISSL__MIN(i, n - 1)]; /* also where the difference of infinities is none */
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

/* Exceedance where element i of a is there count_a[i] times; NULL: once. */
static double weighted_exceedance(const double *a, int64_t n_a, const int32_t *count_a,
                                  const double *b, int64_t n_b, const int32_t *count_b)
{
    double below = 0.0, sum = 0.0, total_a = 0.0, total_b = 0.0;
    int64_t i = 0, j = 0;
    while (i < n_a) {
        for (; j < n_b && b[j] < a[i]; j++)
            below += count_b == NULL ? 1 : count_b[j];
        double tied = 0.0;
        for (int64_t k = j; k < n_b && b[k] <= a[i]; k++)
            tied += count_b == NULL ? 1 : count_b[k];
        const double value = a[i];
        for (; i < n_a && a[i] <= value; i++) { /* all that tie share the same scan */
            const double w = count_a == NULL ? 1 : count_a[i];
            sum += w * (below + 0.5 * tied);
            total_a += w;
        }
    }
    for (j = 0; j < n_b; j++)
        total_b += count_b == NULL ? 1 : count_b[j];
    return total_a > 0.0 && total_b > 0.0 ? sum / (total_a * total_b) : NAN;
}

double nissl__exceedance(const double *a, int64_t n_a, const double *b, int64_t n_b)
{
    return weighted_exceedance(a, n_a, NULL, b, n_b, NULL);
}

double nissl__share_above(const double *sorted, int64_t n, double threshold)
{
    int64_t low = 0, high = n; /* the first element above lies in low .. high */
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sorted[middle] > threshold)
            high = middle;
        else
            low = middle + 1;
    }
    return n == 0 ? NAN : (double)(n - low) / (double)n;
}

double nissl__rank_trend(const double *y, int64_t n, const int32_t *count)
{
    /* Mid-ranks of both variables under the multiplicities; n is a number of sites, so O(n^2). */
    double total = 0.0, sx = 0.0, sy = 0.0, sxx = 0.0, syy = 0.0, sxy = 0.0;
    int64_t distinct = 0;
    for (int64_t i = 0; i < n; i++) {
        const double w = count == NULL ? 1.0 : count[i];
        if (isnan(y[i]) || w == 0.0)
            continue;
        double rx = 0.5 * w, ry = 0.0;
        for (int64_t j = 0; j < n; j++) {
            const double v = count == NULL ? 1.0 : count[j];
            if (isnan(y[j]))
                continue;
            rx += j < i ? v : 0.0;
            ry += y[j] < y[i] ? v : y[j] > y[i] ? 0.0 : 0.5 * v;
        }
        distinct++;
        total += w;
        sx += w * rx;
        sy += w * ry;
        sxx += w * rx * rx;
        syy += w * ry * ry;
        sxy += w * rx * ry;
    }
    const double vx = sxx - sx * sx / total, vy = syy - sy * sy / total;
    return distinct < 3 || !(vx > 0.0) || !(vy > 0.0) ? NAN
                                                      : (sxy - sx * sy / total) / sqrt(vx * vy);
}

static void draw(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, int32_t *count)
{
    memset(count, 0, (size_t)n * sizeof *count);
    for (int64_t i = 0; i < n; i++)
        count[nissl__random_below(seed, stream, first + (uint64_t)i, n)]++;
}

nissl_status nissl__bootstrap(uint64_t seed, uint64_t stream, int64_t n_a, int64_t n_b,
                              nissl__statistic_fn statistic, const void *user, double *low,
                              double *high, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    double value[NISSL__BOOTSTRAP_RESAMPLES];
    int64_t n = 0;
    int32_t *count = nissl__alloc((size_t)(n_a + n_b + 1), sizeof *count);
    if (count == NULL) {
        status = NISSL__NO_MEMORY(err, (size_t)(n_a + n_b + 1) * sizeof *count);
        goto done;
    }
    for (int r = 0; r < NISSL__BOOTSTRAP_RESAMPLES; r++) {
        const uint64_t first = (uint64_t)r * (uint64_t)(n_a + n_b);
        draw(seed, stream, first, n_a, count);
        draw(seed, stream, first + (uint64_t)n_a, n_b, count + n_a);
        const double v = statistic(user, count, count + n_a);
        if (!isnan(v))
            value[n++] = v;
    }
    qsort(value, (size_t)n, sizeof *value, compare);
    *low = *high = NAN;
    if (2 * n >= NISSL__BOOTSTRAP_RESAMPLES) {
        *low = nissl__quantile(value, n, 0.025);
        *high = nissl__quantile(value, n, 0.975);
    }
done:
    nissl__free(count);
    return status;
}

typedef struct two_samples {
    const double *a, *b;
    int64_t n_a, n_b;
} two_samples;

static double median_of(const void *user, const int32_t *count_a, const int32_t *count_b)
{
    const two_samples *s = user;
    const int64_t lower = (s->n_a - 1) / 2, upper = s->n_a / 2; /* ranks in the middle */
    int64_t seen = 0;
    double first = NAN;
    for (int64_t i = 0; i < s->n_a; i++) {
        if (seen <= lower && lower < seen + count_a[i])
            first = s->a[i];
        if (seen <= upper && upper < seen + count_a[i])
            return 0.5 * (first + s->a[i]);
        seen += count_a[i];
    }
    return NAN;
}

static double exceedance_of(const void *user, const int32_t *count_a, const int32_t *count_b)
{
    const two_samples *s = user;
    return weighted_exceedance(s->a, s->n_a, count_a, s->b, s->n_b, count_b);
}

nissl_status nissl__bootstrap_median(uint64_t seed, uint64_t stream, const double *sorted,
                                     int64_t n, double *low, double *high, nissl_error *err)
{
    const two_samples s = {.a = sorted, .n_a = n};
    return nissl__bootstrap(seed, stream, n, 0, median_of, &s, low, high, err);
}

nissl_status nissl__bootstrap_exceedance(uint64_t seed, uint64_t stream, const double *a,
                                         int64_t n_a, const double *b, int64_t n_b, double *low,
                                         double *high, nissl_error *err)
{
    const two_samples s = {a, b, n_a, n_b};
    const double p = nissl__exceedance(a, n_a, b, n_b);
    if (p == 0.0 || p == 1.0) {
        const double bound = pow(0.025, 1.0 / (double)NISSL__MIN(n_a, n_b));
        *low = p == 1.0 ? bound : 0.0;
        *high = p == 1.0 ? 1.0 : 1.0 - bound;
        return NISSL_OK;
    }
    return nissl__bootstrap(seed, stream, n_a, n_b, exceedance_of, &s, low, high, err);
}
