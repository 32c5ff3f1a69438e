/* Indices of one unit: sparseness, class selectivity, d' and the area under the ROC curve. */
#include "analyses/tuning.h"

/* ---- sparseness ---- */

static double activity_fraction(double sum, double sum_squares, int64_t n)
{
    return sum * sum / ((double)n * sum_squares); /* 0 / 0 = NaN where all are 0 */
}

double nissl__vinje_gallant(double sum, double sum_squares, int64_t n)
{
    if (n < 2)
        return NAN;
    return (1 - activity_fraction(sum, sum_squares, n)) / (1 - 1 / (double)n);
}

static void rectified_sums(const float *x, int64_t n, int64_t stride, double *sum,
                           double *sum_squares)
{
    *sum = *sum_squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double value = x[i * stride];
        value = value < 0 ? 0 : value; /* a NaN stays one */
        *sum += value;
        *sum_squares += value * value;
    }
}

double nissl_sparseness_treves_rolls(const float *x, int64_t n, int64_t stride)
{
    double sum, sum_squares;
    rectified_sums(x, n, stride, &sum, &sum_squares);
    return activity_fraction(sum, sum_squares, n);
}

double nissl_sparseness_vinje_gallant(const float *x, int64_t n, int64_t stride)
{
    double sum, sum_squares;
    rectified_sums(x, n, stride, &sum, &sum_squares);
    return nissl__vinje_gallant(sum, sum_squares, n);
}

/* ---- selectivity ---- */

double nissl_selectivity_class(const double *class_mean, int64_t n_classes)
{
    int64_t best = -1, n = 0;
    double rest = 0;
    for (int64_t c = 0; c < n_classes; c++) {
        if (class_mean[c] < 0)
            return NAN;
        if (isnan(class_mean[c]))
            continue;
        n++;
        if (best < 0 || class_mean[c] > class_mean[best])
            best = c;
    }
    if (n < 2)
        return NAN;
    for (int64_t c = 0; c < n_classes; c++)
        if (c != best && !isnan(class_mean[c]))
            rest += class_mean[c];
    rest /= (double)(n - 1);
    return (class_mean[best] - rest) / (class_mean[best] + rest + NISSL__SELECTIVITY_EPSILON);
}

double nissl_selectivity_ccmas(const double *class_mean, const int64_t *class_count,
                               int64_t n_classes)
{
    int64_t best = -1, n = 0;
    double rest = 0;
    for (int64_t c = 0; c < n_classes; c++) {
        if (class_count[c] < 1)
            continue;
        if (!(class_mean[c] >= 0))
            return NAN;
        if (best < 0 || class_mean[c] > class_mean[best])
            best = c;
    }
    for (int64_t c = 0; c < n_classes; c++)
        if (c != best && class_count[c] > 0) {
            rest += (double)class_count[c] * class_mean[c];
            n += class_count[c];
        }
    if (n == 0)
        return NAN;
    rest /= (double)n;
    return (class_mean[best] - rest) / (class_mean[best] + rest); /* 0 / 0 = NaN */
}

/* ---- d' ---- */

static void mean_and_variance(const float *x, int64_t n, double *mean, double *variance)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += (x[i] - *mean) * (x[i] - *mean);
    *variance = squares / (double)(n - 1);
}

double nissl_dprime(const float *a, int64_t n_a, const float *b, int64_t n_b)
{
    double mean_a, mean_b, variance_a, variance_b;
    if (n_a < 2 || n_b < 2)
        return NAN;
    mean_and_variance(a, n_a, &mean_a, &variance_a);
    mean_and_variance(b, n_b, &mean_b, &variance_b);
    return (mean_a - mean_b) / sqrt((variance_a + variance_b) / 2);
}

/* ---- auROC ---- */

/* Unsigned integers in the order of the floats; -0 and 0 are one. */
static uint32_t ordered_bits(float value)
{
    uint32_t bits;
    value += 0.0f;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

#define DIGIT_BITS 11
#define N_BUCKETS  (1 << DIGIT_BITS)

/* Sorts keys [n] by three passes over 11 bits; a pass in which all agree is left out. Returns
 * whichever of keys and other holds the result. */
static uint32_t *radix_sort(uint32_t *keys, uint32_t *other, int64_t n)
{
    uint32_t count[3][N_BUCKETS];
    memset(count, 0, sizeof count);
    for (int64_t i = 0; i < n; i++)
        for (int pass = 0; pass < 3; pass++)
            count[pass][keys[i] >> (DIGIT_BITS * pass) & (N_BUCKETS - 1)]++;
    for (int pass = 0; pass < 3; pass++) {
        uint32_t *buckets = count[pass], at = 0;
        int shift = DIGIT_BITS * pass;
        if (buckets[keys[0] >> shift & (N_BUCKETS - 1)] == (uint64_t)n)
            continue;
        for (int b = 0; b < N_BUCKETS; b++) {
            uint32_t size = buckets[b];
            buckets[b] = at;
            at += size;
        }
        for (int64_t i = 0; i < n; i++)
            other[buckets[keys[i] >> shift & (N_BUCKETS - 1)]++] = keys[i];
        uint32_t *swap = keys;
        keys = other;
        other = swap;
    }
    return keys;
}

static uint64_t count_by_merging(const float *a, int64_t n_a, const float *b, int64_t n_b,
                                 uint32_t *scratch)
{
    uint32_t *keys_a = scratch, *keys_b = scratch + 2 * n_a;
    int64_t below = 0, not_above = 0;
    uint64_t twice = 0;
    for (int64_t i = 0; i < n_a; i++)
        keys_a[i] = ordered_bits(a[i]);
    for (int64_t i = 0; i < n_b; i++)
        keys_b[i] = ordered_bits(b[i]);
    keys_a = radix_sort(keys_a, keys_a + n_a, n_a);
    keys_b = radix_sort(keys_b, keys_b + n_b, n_b);
    for (int64_t i = 0; i < n_a; i++) {
        while (below < n_b && keys_b[below] < keys_a[i])
            below++;
        not_above = NISSL__MAX(not_above, below);
        while (not_above < n_b && keys_b[not_above] == keys_a[i])
            not_above++;
        twice += (uint64_t)below + (uint64_t)not_above;
    }
    return twice;
}

static uint64_t count_by_comparing(const float *a, int64_t n_a, const float *b, int64_t n_b)
{
    uint64_t twice = 0;
    for (int64_t i = 0; i < n_a; i++) {
        int32_t count = 0; /* 2 n_b fits: the caller sees to it */
        float value = a[i];
        for (int64_t j = 0; j < n_b; j++)
            count += (b[j] < value) + (b[j] <= value);
        twice += (uint32_t)count;
    }
    return twice;
}

uint64_t nissl__count_below_twice(const float *a, int64_t n_a, const float *b, int64_t n_b,
                                  uint32_t *scratch)
{
    /* A comparison costs about a fiftieth of what sorting one value does; the sort's buckets cost
     * as much as 60,000 comparisons. */
    if (n_b < 1 << 20 && n_a * n_b <= 50 * (n_a + n_b) + 60000)
        return count_by_comparing(a, n_a, b, n_b);
    return count_by_merging(a, n_a, b, n_b, scratch);
}

static bool any_nan(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (isnan(x[i]))
            return true;
    return false;
}

double nissl_auroc(const float *a, int64_t n_a, const float *b, int64_t n_b)
{
    uint32_t *scratch = NULL;
    uint64_t twice;
    /* 32-bit bucket counts */
    if (n_a < 1 || n_b < 1 || n_a > UINT32_MAX || n_b > UINT32_MAX || any_nan(a, n_a) ||
        any_nan(b, n_b))
        return NAN;
    scratch = nissl__alloc(2 * ((size_t)n_a + (size_t)n_b), sizeof *scratch);
    if (!scratch)
        return NAN;
    twice = nissl__count_below_twice(a, n_a, b, n_b, scratch);
    nissl__free(scratch);
    return (double)twice / (2 * (double)n_a * (double)n_b);
}
