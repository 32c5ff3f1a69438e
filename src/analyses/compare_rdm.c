/* Representational dissimilarity matrices. */
#include "analyses/compare.h"
#include "math/linear.h"
#include "math/matrix.h"

nissl_rdm_options nissl_rdm_options_default(void)
{
    return (nissl_rdm_options){.metric = NISSL_RDM_EUCLIDEAN};
}

void nissl_rdm_free(nissl_rdm *rdm)
{
    if (!rdm)
        return;
    nissl__free(rdm->dissimilarity);
    *rdm = (nissl_rdm){0};
}

/* ---- means of cells: conditions, or conditions in runs ---- */

typedef struct cells {
    int64_t n_conditions, n_runs, n_cells; /* cell = run n_conditions + condition */
    int32_t *of;                           /* [n_samples] cell or -1 */
    int64_t *count;                        /* [n_cells] */
    int64_t n_samples, n_filled;           /* samples that count, cells that have one */
} cells;

static nissl_status make_cells(int64_t n, const int32_t *condition, int64_t n_conditions,
                               const int32_t *run, int64_t n_runs, cells *c, nissl_error *err)
{
    if (n_runs > INT32_MAX / n_conditions)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%lld conditions in %lld runs are too many",
                           (long long)n_conditions, (long long)n_runs);
    c->n_conditions = n_conditions;
    c->n_runs = n_runs;
    c->n_cells = n_conditions * n_runs;
    c->of = nissl__alloc((size_t)n, sizeof *c->of);
    c->count = nissl__alloc((size_t)c->n_cells, sizeof *c->count);
    if (!c->of || !c->count)
        return NISSL__NO_MEMORY(err, (size_t)c->n_cells * sizeof *c->count);
    for (int64_t i = 0; i < n; i++) {
        int32_t k = condition ? condition[i] : (int32_t)i, r = run ? run[i] : 0;
        if (k < -1 || k >= n_conditions)
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "condition %d of sample %lld is outside -1 .. %lld", (int)k,
                               (long long)i, (long long)(n_conditions - 1));
        if (r < -1 || r >= n_runs)
            return NISSL__FAIL(err, NISSL_ERR_RANGE, "run %d of sample %lld is outside -1 .. %lld",
                               (int)r, (long long)i, (long long)(n_runs - 1));
        c->of[i] = -1;
        if (k < 0 || r < 0)
            continue;
        c->of[i] = (int32_t)(r * n_conditions + k);
        c->n_samples++;
        c->n_filled += c->count[c->of[i]]++ == 0;
    }
    return NISSL_OK;
}

/* mean: [n_cells, m]; cells without samples are 0 */
static void cell_means(const double *a, int64_t n, int64_t m, const cells *c, double *mean)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m && c->of[i] >= 0; j++)
            mean[c->of[i] * m + j] += a[i * m + j];
    for (int64_t k = 0; k < c->n_cells; k++)
        for (int64_t j = 0; j < m && c->count[k] > 1; j++)
            mean[k * m + j] /= (double)c->count[k];
}

/* ---- noise ---- */

/* Residuals of the samples that count and of units that vary within cells, which move to the front
 * of a and of mean. Returns their number. */
static int64_t residuals(double *a, int64_t n, int64_t *m, const cells *c, double *mean)
{
    int64_t rows = 0, kept = 0, width = *m;
    double *squares = mean + c->n_cells * width; /* the row after the means */
    for (int64_t i = 0; i < n; i++) {
        if (c->of[i] < 0)
            continue;
        for (int64_t j = 0; j < width; j++) {
            double r = a[i * width + j] - mean[c->of[i] * width + j];
            a[rows * width + j] = c->count[c->of[i]] > 1 ? r : 0;
            squares[j] += a[rows * width + j] * a[rows * width + j];
        }
        rows++;
    }
    for (int64_t j = 0; j < width; j++)
        if (squares[j] > 0)
            squares[kept++] = (double)j; /* kept <= j: never ahead of what is read */
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < kept; j++)
            a[i * kept + j] = a[i * width + (int64_t)squares[j]];
    for (int64_t k = 0; k < c->n_cells; k++)
        for (int64_t j = 0; j < kept; j++)
            mean[k * kept + j] = mean[k * width + (int64_t)squares[j]];
    *m = kept;
    return rows;
}

/* Shrinks a covariance [m, m] of n residuals r [n, m] towards its diagonal. */
static nissl_status shrink(double *s, double *r, int64_t n, int64_t m, int64_t df, double *lambda,
                           nissl_error *err)
{
    double top = 0, bottom = 0, *fourth = nissl__alloc((size_t)(m * m), sizeof *fourth);
    if (!fourth)
        return NISSL__NO_MEMORY(err, (size_t)(m * m) * sizeof *fourth);
    for (int64_t i = 0; i < n * m; i++)
        r[i] *= r[i];
    nissl__matmul_self(true, m, n, 1, r, m, 0, fourth, m);
    /* moments of products of standardised residuals, over n - 1 as the source has them */
    for (int64_t j = 1; j < m; j++)
        for (int64_t k = 0; k < j; k++) {
            double variances = s[j * m + j] * s[k * m + k];
            double first = s[j * m + k] * (double)df / sqrt(variances) / (double)(n - 1);
            double second = fourth[j * m + k] / variances / (double)(n - 1);
            top += (double)n / ((double)df * (double)df) * (second - first * first);
            bottom += first * first;
        }
    *lambda = bottom > 0 ? fmax(fmin(top / bottom, 1), 0) : 1;
    for (int64_t j = 1; j < m; j++)
        for (int64_t k = 0; k < j; k++)
            s[j * m + k] *= 1 - *lambda;
    nissl__free(fourth);
    return NISSL_OK;
}

/* Divides means by the noise's root covariance. a: samples, spent. */
static nissl_status whiten(double *a, int64_t n, int64_t *m, const cells *c, nissl_noise noise,
                           double *mean, double *lambda, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    double *s = NULL, *columns = NULL;
    int64_t df = c->n_samples - c->n_filled, units = *m, rows, w;
    if (noise == NISSL_NOISE_IDENTITY)
        return NISSL_OK;
    if (df < 1)
        return NISSL__FAIL(
            err, NISSL_ERR_SHAPE,
            "%lld samples in %lld conditions (and runs) say nothing about noise; one "
            "needs two samples or more",
            (long long)c->n_samples, (long long)c->n_filled);
    rows = residuals(a, n, m, c, mean);
    w = *m;
    if (noise == NISSL_NOISE_DIAGONAL) {
        for (int64_t j = 0; j < w; j++) {
            double squares = 0;
            for (int64_t i = 0; i < rows; i++)
                squares += a[i * w + j] * a[i * w + j];
            for (int64_t k = 0; k < c->n_cells; k++)
                mean[k * w + j] /= sqrt(squares / (double)df);
        }
        *lambda = 1;
        return NISSL_OK;
    }
    s = nissl__alloc((size_t)(w * w), sizeof *s);
    columns = nissl__alloc((size_t)(w * c->n_cells), sizeof *columns);
    if (!s || !columns) {
        status = NISSL__NO_MEMORY(err, (size_t)(w * w) * sizeof *s);
        goto done;
    }
    nissl__matmul_self(true, w, rows, 1 / (double)df, a, w, 0, s, w);
    if (noise == NISSL_NOISE_SHRUNK)
        status = shrink(s, a, rows, w, df, lambda, err);
    if (status != NISSL_OK)
        goto done;
    if ((noise == NISSL_NOISE_FULL && df < w) || !nissl__cholesky(w, s, w)) {
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE,
                             "the noise covariance of %lld of %lld units is singular with %lld "
                             "degrees of freedom; shrink it",
                             (long long)w, (long long)units, (long long)df);
        goto done;
    }
    for (int64_t k = 0; k < c->n_cells; k++)
        for (int64_t j = 0; j < w; j++)
            columns[j * c->n_cells + k] = mean[k * w + j];
    nissl__cholesky_forward(w, c->n_cells, s, w, columns, c->n_cells);
    for (int64_t k = 0; k < c->n_cells; k++)
        for (int64_t j = 0; j < w; j++)
            mean[k * w + j] = columns[j * c->n_cells + k];

done:
    nissl__free(s);
    nissl__free(columns);
    return status;
}

/* ---- distances ---- */

/* Squared distances of rows from their Gram matrix; those that lose digits in the difference are
 * left to exact, which may be NULL. */
static void squared(const double *k, int64_t n, double scale, const double *exact, int64_t m,
                    double *out)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) {
            double sum = k[i * n + i] + k[j * n + j], d = sum - 2 * k[i * n + j];
            if (exact && d < 1e-6 * sum) {
                d = 0;
                for (int64_t u = 0; u < m; u++)
                    d += (exact[i * m + u] - exact[j * m + u]) *
                         (exact[i * m + u] - exact[j * m + u]);
            }
            *out++ = fmax(d, 0) * scale;
        }
}

static void correlations(const double *k, int64_t n, double *out)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) {
            double r = k[i * n + j] / sqrt(k[i * n + i] * k[j * n + j]); /* 0 / 0 = NaN */
            *out++ = r > 1 ? 0 : r < -1 ? 2 : 1 - r;
        }
}

/* Mean over pairs of different runs of products of differences. Of runs that both conditions have.
 * mean: [n_runs, n_conditions, m] */
static void crossvalidated(const double *mean, const cells *c, int64_t m, double scale,
                           double *scratch, double *out)
{
    int64_t n = c->n_conditions;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) {
            int64_t runs = 0;
            double squares = 0, together = 0;
            memset(scratch, 0, (size_t)m * sizeof *scratch);
            for (int64_t r = 0; r < c->n_runs; r++) {
                const double *a = mean + (r * n + i) * m, *b = mean + (r * n + j) * m;
                if (!c->count[r * n + i] || !c->count[r * n + j])
                    continue;
                runs++;
                for (int64_t u = 0; u < m; u++) {
                    double d = a[u] - b[u];
                    scratch[u] += d;
                    squares += d * d;
                }
            }
            for (int64_t u = 0; u < m; u++)
                together += scratch[u] * scratch[u];
            *out++ =
                runs > 1 ? (together - squares) / ((double)runs * (double)(runs - 1)) * scale : NAN;
        }
}

/* The same by matrix products, where every condition is in every run. sum: [n, m], k: [n, n]. */
static void crossvalidated_full(const double *mean, const cells *c, int64_t m, double scale,
                                double *sum, double *k, double *out)
{
    int64_t n = c->n_conditions, size = n * m;
    for (int64_t r = 0; r < c->n_runs; r++) {
        for (int64_t i = 0; i < size; i++)
            sum[i] += mean[r * size + i];
        nissl__matmul_self(false, n, m, -1, mean + r * size, m, r > 0, k, n);
    }
    nissl__matmul_self(false, n, m, 1, sum, m, 1, k, n);
    scale /= (double)c->n_runs * (double)(c->n_runs - 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++)
            *out++ = (k[i * n + i] + k[j * n + j] - 2 * k[j * n + i]) * scale;
}

static bool all_filled(const cells *c)
{
    return c->n_filled == c->n_cells;
}

/* NaN where a condition has no samples. */
static void blank_empty(const cells *c, double *d)
{
    for (int64_t i = 0; i < c->n_conditions; i++)
        for (int64_t j = i + 1; j < c->n_conditions; j++, d++)
            if (!c->count[i] || !c->count[j])
                *d = NAN;
}

/* Euclidean and correlation of samples as they are: no copy. */
static nissl_status of_samples(nissl_context *ctx, const nissl_view *x, nissl_rdm_metric metric,
                               double *k, double *out, nissl_error *err)
{
    int64_t n = x->shape[0];
    bool euclidean = metric == NISSL_RDM_EUCLIDEAN;
    nissl_status status =
        nissl__gram(ctx, x, "x", euclidean ? NISSL__CENTRE_UNITS : NISSL__CENTRE_SAMPLES, k, err);
    if (status == NISSL_OK && euclidean)
        squared(k, n, 1 / (double)x->shape[1], NULL, 0, out);
    else if (status == NISSL_OK)
        correlations(k, n, out);
    return status;
}

/* From means of cells. */
static nissl_status of_means(nissl_context *ctx, double *mean, const cells *c, int64_t m,
                             nissl_rdm_metric metric, double *k, double *scratch, double *out,
                             nissl_error *err)
{
    int64_t n = c->n_conditions, shape[] = {n, m};
    double scale = 1 / (double)m;
    nissl_view view = nissl_view_of(mean, NISSL_FLOAT64, 2, shape);
    nissl_status status = NISSL_OK;
    if (metric == NISSL_RDM_CROSSNOBIS) {
        if (all_filled(c) && c->n_runs > 1)
            crossvalidated_full(mean, c, m, scale, scratch, k, out);
        else
            crossvalidated(mean, c, m, scale, scratch, out);
        return NISSL_OK;
    }
    status = nissl__gram(
        ctx, &view, "x",
        metric == NISSL_RDM_CORRELATION ? NISSL__CENTRE_SAMPLES : NISSL__CENTRE_NOTHING, k, err);
    if (status != NISSL_OK)
        return status;
    if (metric == NISSL_RDM_CORRELATION)
        correlations(k, n, out);
    else
        squared(k, n, scale, mean, m, out);
    blank_empty(c, out);
    return NISSL_OK;
}

nissl_status nissl_rdm_compute(nissl_context *ctx, const nissl_view *x, const int32_t *condition,
                               int64_t n_conditions, const nissl_rdm_options *opt, nissl_rdm *out,
                               nissl_error *err)
{
    nissl_rdm_options o = opt ? *opt : nissl_rdm_options_default();
    nissl_rdm r = {0};
    cells c = {0};
    double *a = NULL, *mean = NULL, *k = NULL, *scratch = NULL;
    bool runs = o.metric == NISSL_RDM_CROSSNOBIS;
    bool noisy = runs || o.metric == NISSL_RDM_MAHALANOBIS;
    int64_t n, m;
    nissl_status status = nissl__matrix_check(x, "x", 2, err);
    if (status != NISSL_OK)
        return status;
    n = x->shape[0];
    m = r.n_units = r.n_used = x->shape[1];
    r.n_conditions = condition ? n_conditions : n;
    if (r.n_conditions < 2 || r.n_conditions > INT32_MAX / 2)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%lld conditions are outside 2 .. %d",
                           (long long)r.n_conditions, INT32_MAX / 2);
    if (runs && (!o.run || o.n_runs < 2))
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                           "the cross-validated distance needs two runs or more, not %lld",
                           o.run ? (long long)o.n_runs : 0);
    r.n_pairs = r.n_conditions * (r.n_conditions - 1) / 2;
    r.dissimilarity = nissl__alloc((size_t)r.n_pairs, sizeof(double));
    k = nissl__alloc((size_t)(r.n_conditions * r.n_conditions), sizeof *k);
    if (!r.dissimilarity || !k) {
        status = NISSL__NO_MEMORY(err, (size_t)(r.n_conditions * r.n_conditions) * sizeof *k);
        goto done;
    }
    if (!condition && !noisy) {
        status = of_samples(ctx, x, o.metric, k, r.dissimilarity, err);
        goto done;
    }
    status =
        make_cells(n, condition, r.n_conditions, runs ? o.run : NULL, runs ? o.n_runs : 1, &c, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status != NISSL_OK)
        goto done;
    mean = nissl__alloc((size_t)((c.n_cells + 1) * m), sizeof *mean);
    scratch = nissl__alloc((size_t)(r.n_conditions * m), sizeof *scratch);
    if (!mean || !scratch) {
        status = NISSL__NO_MEMORY(err, (size_t)((c.n_cells + 1) * m) * sizeof *mean);
        goto done;
    }
    cell_means(a, n, m, &c, mean);
    if (noisy)
        status = whiten(a, n, &r.n_used, &c, o.noise, mean, &r.shrinkage, err);
    if (status == NISSL_OK && r.n_used < 1)
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE, "none of %lld units varies within conditions",
                             (long long)m);
    if (status == NISSL_OK)
        status = of_means(ctx, mean, &c, r.n_used, o.metric, k, scratch, r.dissimilarity, err);

done:
    if (status == NISSL_OK) {
        *out = r;
        r = (nissl_rdm){0};
    }
    nissl_rdm_free(&r);
    nissl__free(c.of);
    nissl__free(c.count);
    nissl__free(a);
    nissl__free(mean);
    nissl__free(k);
    nissl__free(scratch);
    return status;
}
