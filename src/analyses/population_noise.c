/* Noise correlations and linear Fisher information. */
#include "math/linear.h"
#include "math/matrix.h"
#include "nissl/population.h"

void nissl_noise_correlation_free(nissl_noise_correlation *noise)
{
    if (!noise)
        return;
    nissl__free(noise->noise);
    nissl__free(noise->signal);
    *noise = (nissl_noise_correlation){0};
}

/* ---- noise correlations ---- */

static nissl_status count_conditions(int64_t n, const int32_t *condition, int64_t n_conditions,
                                     int64_t *count, nissl_noise_correlation *r, nissl_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (condition[i] < -1 || condition[i] >= n_conditions)
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "condition %d of sample %lld is outside -1 .. %lld",
                               (int)condition[i], (long long)i, (long long)(n_conditions - 1));
        if (condition[i] >= 0)
            count[condition[i]]++;
    }
    for (int64_t c = 0; c < n_conditions; c++) {
        r->n_conditions += count[c] > 0;
        r->n_samples += count[c] > 1 ? count[c] : 0;
    }
    if (r->n_samples == 0)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "none of %lld conditions has two samples: nothing is known of noise",
                           (long long)n_conditions);
    return NISSL_OK;
}

/* Moves condition means to the front of mean [n_conditions with samples, m], and z-scores within
 * conditions to the front of a [n_samples, m]. square: [n_conditions, m] scratch */
static void z_scores(double *a, int64_t n, int64_t m, const int32_t *condition,
                     const int64_t *count, int64_t n_conditions, double *mean, double *square)
{
    int64_t rows = 0, kept = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m && condition[i] >= 0; j++)
            mean[condition[i] * m + j] += a[i * m + j] / (double)count[condition[i]];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m && condition[i] >= 0; j++) {
            a[i * m + j] -= mean[condition[i] * m + j];
            square[condition[i] * m + j] += a[i * m + j] * a[i * m + j];
        }
    for (int64_t i = 0; i < n; i++) {
        int32_t c = condition[i];
        if (c < 0 || count[c] < 2)
            continue;
        for (int64_t j = 0; j < m; j++) {
            double sd = sqrt(square[c * m + j] / (double)(count[c] - 1));
            /* constant but for rounding of its mean */
            bool varies = sd > 1e-12 * fabs(mean[c * m + j]);
            a[rows * m + j] = varies ? a[i * m + j] / sd : 0;
        }
        rows++;
    }
    for (int64_t c = 0; c < n_conditions; c++)
        if (count[c] > 0)
            memmove(mean + kept++ * m, mean + c * m, (size_t)m * sizeof *mean);
}

/* Scales columns of a [n, m] to length 1; those of length 0 stay 0. Returns how many are not. */
static int64_t unit_columns(double *a, int64_t n, int64_t m, double *length)
{
    int64_t varying = 0;
    memset(length, 0, (size_t)m * sizeof *length);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            length[j] += a[i * m + j] * a[i * m + j];
    for (int64_t j = 0; j < m; j++)
        varying += length[j] > 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            a[i * m + j] /= length[j] > 0 ? sqrt(length[j]) : 1;
    return varying;
}

/* Mean product of pairs of different columns of length 1, and if asked all products. */
static double mean_product(const double *a, int64_t n, int64_t m, int64_t varying,
                           const double *length, double *matrix)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < m; j++)
            sum += a[i * m + j];
        total += sum * sum;
    }
    if (matrix) {
        nissl__matmul_self(true, m, n, 1, a, m, 0, matrix, m);
        nissl__mirror(matrix, m, m);
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < m; j++) {
                double *r = &matrix[i * m + j];
                *r = !(length[i] > 0) || !(length[j] > 0) ? NAN : fmax(fmin(*r, 1), -1);
            }
    }
    return varying > 1 ? (total - (double)varying) / ((double)varying * (double)(varying - 1))
                       : NAN;
}

nissl_status nissl_noise_correlation_compute(nissl_context *ctx, const nissl_view *x,
                                             const int32_t *condition, int64_t n_conditions,
                                             bool matrices, nissl_noise_correlation *out,
                                             nissl_error *err)
{
    nissl_noise_correlation r = {0};
    double *a = NULL, *mean = NULL, *square = NULL, *length = NULL;
    int64_t *count = NULL, n, m, varying;
    nissl_status status = nissl__matrix_check(x, "x", 2, err);
    if (status != NISSL_OK)
        return status;
    if (n_conditions < 1 || n_conditions > INT32_MAX / 2)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%lld conditions are outside 1 .. %d",
                           (long long)n_conditions, INT32_MAX / 2);
    n = x->shape[0];
    m = r.n_units = x->shape[1];
    count = nissl__alloc((size_t)n_conditions, sizeof *count);
    mean = nissl__alloc((size_t)(n_conditions * m), sizeof *mean);
    square = nissl__alloc((size_t)(n_conditions * m), sizeof *square);
    length = nissl__alloc((size_t)m, sizeof *length);
    r.noise = matrices ? nissl__alloc((size_t)(m * m), sizeof(double)) : NULL;
    r.signal = matrices ? nissl__alloc((size_t)(m * m), sizeof(double)) : NULL;
    if (!count || !mean || !square || !length || (matrices && (!r.noise || !r.signal))) {
        status = NISSL__NO_MEMORY(err, (size_t)(n_conditions * m) * sizeof *mean);
        goto done;
    }
    status = count_conditions(n, condition, n_conditions, count, &r, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status != NISSL_OK)
        goto done;
    nissl__center_columns(a, n, m, NULL);
    z_scores(a, n, m, condition, count, n_conditions, mean, square);
    varying = unit_columns(a, r.n_samples, m, length);
    r.mean_noise = mean_product(a, r.n_samples, m, varying, length, r.noise);
    nissl__center_columns(mean, r.n_conditions, m, NULL);
    varying = unit_columns(mean, r.n_conditions, m, length);
    r.mean_signal = mean_product(mean, r.n_conditions, m, varying, length, r.signal);
    *out = r;
    r = (nissl_noise_correlation){0};

done:
    nissl_noise_correlation_free(&r);
    nissl__free(a);
    nissl__free(mean);
    nissl__free(square);
    nissl__free(length);
    nissl__free(count);
    return status;
}

/* ---- linear Fisher information ---- */

nissl_status nissl_fisher_compute(nissl_context *ctx, const nissl_view *x, const int32_t *condition,
                                  int32_t a, int32_t b, nissl_fisher *out, nissl_error *err)
{
    nissl_fisher r = {0};
    double *all = NULL, *mean = NULL, *s = NULL, *d = NULL, *solved = NULL, df;
    int64_t n, m, rows = 0;
    nissl_status status = nissl__matrix_load(x, "x", 4, &all, err);
    if (status != NISSL_OK)
        return status;
    n = x->shape[0];
    m = x->shape[1];
    for (int64_t i = 0; i < n; i++) {
        r.n_a += condition[i] == a;
        r.n_b += condition[i] == b && a != b;
    }
    df = (double)(r.n_a + r.n_b - 2);
    if (r.n_a < 2 || r.n_b < 2 || df <= (double)(m + 1)) {
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE,
                             "%lld and %lld samples for %lld units; at least 2 each and %lld "
                             "together are needed",
                             (long long)r.n_a, (long long)r.n_b, (long long)m, (long long)(m + 4));
        goto done;
    }
    mean = nissl__alloc((size_t)(2 * m), sizeof *mean);
    s = nissl__alloc((size_t)(m * m), sizeof *s);
    d = nissl__alloc((size_t)m, sizeof *d);
    solved = nissl__alloc((size_t)m, sizeof *solved);
    if (!mean || !s || !d || !solved) {
        status = NISSL__NO_MEMORY(err, (size_t)(m * m) * sizeof *s);
        goto done;
    }
    nissl__center_columns(all, n, m, NULL);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m && (condition[i] == a || condition[i] == b); j++)
            mean[(condition[i] == b) * m + j] +=
                all[i * m + j] / (double)(condition[i] == b ? r.n_b : r.n_a);
    for (int64_t i = 0; i < n; i++) {
        if (condition[i] != a && condition[i] != b)
            continue;
        for (int64_t j = 0; j < m; j++)
            all[rows * m + j] = all[i * m + j] - mean[(condition[i] == b) * m + j];
        rows++;
    }
    nissl__matmul_self(true, m, rows, 1 / df, all, m, 0, s, m); /* pooled */
    for (int64_t j = 0; j < m; j++)
        d[j] = solved[j] = mean[m + j] - mean[j];
    if (!nissl__cholesky(m, s, m)) {
        status = NISSL__FAIL(err, NISSL_ERR_RANGE,
                             "the covariance of %lld units is singular: a unit is constant or a "
                             "combination of others",
                             (long long)m);
        goto done;
    }
    nissl__cholesky_solve(m, 1, s, m, solved, 1);
    r.naive = nissl__dot(d, solved, m);
    r.corrected =
        r.naive * (df - (double)m - 1) / df - (double)m * (1 / (double)r.n_a + 1 / (double)r.n_b);
    *out = r;

done:
    nissl__free(all);
    nissl__free(mean);
    nissl__free(s);
    nissl__free(d);
    nissl__free(solved);
    return status;
}
