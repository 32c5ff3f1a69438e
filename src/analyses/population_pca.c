/* Principal components and how many of them are more than chance. */
#include "math/linear.h"
#include "math/matrix.h"
#include "nissl/population.h"

#define SHUFFLE_NAME ((uint64_t)0x7061 << 48) /* "pa": keeps its streams apart */
#define STRIPE       64

void nissl_pca_free(nissl_pca *pca)
{
    if (!pca)
        return;
    nissl__free(pca->mean);
    nissl__free(pca->variance);
    nissl__free(pca->component);
    nissl__free(pca->score);
    *pca = (nissl_pca){0};
}

nissl_status nissl_pca_compute(nissl_context *ctx, const nissl_view *x, int64_t n_components,
                               nissl_pca *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl_pca r = {0};
    double *a = NULL, *s = NULL, *u = NULL, *v = NULL;
    int64_t n, m, k, most;
    status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status != NISSL_OK)
        return status;
    n = r.n_samples = x->shape[0];
    m = r.n_units = x->shape[1];
    k = NISSL__MIN(n, m);
    most = NISSL__MIN(n - 1, m);
    if (n_components < 0 || n_components > most) {
        status = NISSL__FAIL(err, NISSL_ERR_RANGE,
                             "n_components = %lld is outside 0 .. min(samples - 1 = %lld, units = "
                             "%lld)",
                             (long long)n_components, (long long)(n - 1), (long long)m);
        goto done;
    }
    r.n_components = n_components ? n_components : most;
    r.mean = nissl__alloc((size_t)m, sizeof(double));
    r.variance = nissl__alloc((size_t)r.n_components, sizeof(double));
    r.component = nissl__alloc((size_t)(r.n_components * m), sizeof(double));
    r.score = nissl__alloc((size_t)(n * r.n_components), sizeof(double));
    s = nissl__alloc((size_t)k, sizeof(double));
    u = nissl__alloc((size_t)(n * k), sizeof(double));
    v = nissl__alloc((size_t)(k * m), sizeof(double));
    if (!r.mean || !r.variance || !r.component || !r.score || !s || !u || !v) {
        status = NISSL__NO_MEMORY(err, (size_t)(n + m) * (size_t)k * sizeof(double));
        goto done;
    }
    nissl__center_columns(a, n, m, r.mean);
    status = nissl__svd(n, m, a, s, u, v, err);
    if (status != NISSL_OK)
        goto done;
    for (int64_t c = 0; c < k; c++)
        r.total_variance += s[c] * s[c] / (double)(n - 1);
    for (int64_t c = 0; c < r.n_components; c++)
        r.variance[c] = s[c] * s[c] / (double)(n - 1);
    memcpy(r.component, v, (size_t)(r.n_components * m) * sizeof(double));
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < r.n_components; c++)
            r.score[i * r.n_components + c] = u[i * k + c] * s[c];
    *out = r;
    r = (nissl_pca){0};

done:
    nissl_pca_free(&r);
    nissl__free(a);
    nissl__free(s);
    nissl__free(u);
    nissl__free(v);
    return status;
}

/* ---- parallel analysis ---- */

nissl_parallel_options nissl_parallel_options_default(const nissl_context *ctx)
{
    return (nissl_parallel_options){
        .n_shuffles = 100, .level = .95, .standardise = true, .seed = nissl_context_seed(ctx)};
}

void nissl_parallel_free(nissl_parallel *parallel)
{
    if (!parallel)
        return;
    nissl__free(parallel->variance);
    nissl__free(parallel->null_quantile);
    *parallel = (nissl_parallel){0};
}

typedef struct shuffle_job {
    const double *unit; /* [m, n] centred responses, a row per unit */
    int64_t n, m, k;    /* k: components */
    uint64_t seed;
    double *square;       /* [workers, min(n, m), min(n, m)] */
    double *stripe;       /* [workers, STRIPE, n] */
    int64_t *permutation; /* [workers, n] */
    double *scratch;      /* [workers, m, n] if m < n: all units shuffled */
    double *null;         /* [shuffles, k] */
} shuffle_job;

/* Variances of principal components of units whose samples are permuted, or as they are if
 * shuffle < 0. */
static nissl_status spectrum(const shuffle_job *job, int64_t shuffle, int worker, double *variance,
                             nissl_error *err)
{
    int64_t n = job->n, m = job->m, order = NISSL__MIN(n, m);
    bool wide = n <= m;
    double *square = job->square + worker * order * order;
    double *rows = wide ? job->stripe + worker * STRIPE * n : job->scratch + worker * m * n;
    int64_t *permutation = job->permutation + worker * n, height = wide ? STRIPE : m;
    double *value = rows; /* free after the last product */
    nissl_status status;
    for (int64_t first = 0; first < m; first += height) {
        int64_t here = NISSL__MIN(height, m - first);
        for (int64_t r = 0; r < here; r++) {
            const double *unit = job->unit + (first + r) * n;
            if (shuffle < 0) {
                memcpy(rows + r * n, unit, (size_t)n * sizeof *unit);
                continue;
            }
            nissl__random_permutation(
                job->seed, SHUFFLE_NAME | (uint64_t)shuffle << 32 | (uint64_t)(first + r), n,
                permutation);
            for (int64_t i = 0; i < n; i++)
                rows[r * n + i] = unit[permutation[i]];
        }
        nissl__matmul_self(wide, order, wide ? here : n, 1 / (double)(n - 1), rows, n, first > 0,
                           square, order);
    }
    status = nissl__eigen(order, square, value, false, err);
    for (int64_t c = 0; c < job->k && status == NISSL_OK; c++)
        variance[c] = fmax(value[c], 0);
    return status;
}

static nissl_status shuffle_task(void *user, int64_t task, int worker, nissl_error *err)
{
    shuffle_job *job = user;
    return spectrum(job, task, worker, job->null + task * job->k, err);
}

/* Centred and, if asked, standardised rows of units; constant units are left out then. */
static int64_t make_units(const double *a, int64_t n, int64_t m, bool standardise, double *unit)
{
    int64_t kept = 0;
    for (int64_t j = 0; j < m; j++) {
        double *row = unit + kept * n, squares = 0;
        for (int64_t i = 0; i < n; i++)
            row[i] = a[i * m + j];
        squares = nissl__dot(row, row, n);
        if (standardise && !(squares > 0))
            continue;
        double scale = standardise ? sqrt((double)(n - 1) / squares) : 1;
        for (int64_t i = 0; i < n; i++)
            row[i] *= scale;
        kept++;
    }
    return kept;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The quantile of n values as numpy has it, by linear interpolation; sorts them. */
static double quantile(double *value, int64_t n, double level)
{
    double at = level * (double)(n - 1);
    int64_t low = (int64_t)at;
    qsort(value, (size_t)n, sizeof *value, ascending);
    return low + 1 < n ? value[low] + (at - (double)low) * (value[low + 1] - value[low])
                       : value[n - 1];
}

nissl_status nissl_parallel_compute(nissl_context *ctx, const nissl_view *x,
                                    const nissl_parallel_options *opt, nissl_parallel *out,
                                    nissl_error *err)
{
    nissl_parallel_options options = opt ? *opt : nissl_parallel_options_default(ctx);
    nissl_status status;
    nissl_parallel r = {0};
    shuffle_job job = {.seed = options.seed};
    double *a = NULL, *unit = NULL, *column = NULL;
    size_t workers = (size_t)nissl_context_threads(ctx), shuffles = (size_t)options.n_shuffles;
    int64_t order;
    if (options.n_shuffles < 1 || options.n_shuffles > 65535 || !(options.level > 0) ||
        !(options.level < 1))
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "n_shuffles = %d and level = %g; they must be in 1 .. 65535 and between "
                           "0 and 1",
                           options.n_shuffles, options.level);
    status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status != NISSL_OK)
        return status;
    job.n = r.n_samples = x->shape[0];
    r.n_units = x->shape[1];
    unit = nissl__alloc((size_t)(job.n * r.n_units), sizeof *unit);
    if (!unit) {
        status = NISSL__NO_MEMORY(err, (size_t)(job.n * r.n_units) * sizeof *unit);
        goto done;
    }
    nissl__center_columns(a, job.n, r.n_units, NULL);
    job.m = make_units(a, job.n, r.n_units, options.standardise, unit);
    nissl__free(a);
    a = NULL;
    job.unit = unit;
    order = NISSL__MIN(job.n, job.m);
    job.k = r.n_components = NISSL__MIN(job.n - 1, job.m);
    job.square = nissl__alloc(workers * (size_t)(order * order), sizeof(double));
    job.stripe = nissl__alloc(workers * STRIPE * (size_t)job.n, sizeof(double));
    job.permutation = nissl__alloc(workers * (size_t)job.n, sizeof(int64_t));
    job.scratch =
        nissl__alloc(job.m < job.n ? workers * (size_t)(job.m * job.n) : 1, sizeof(double));
    job.null = nissl__alloc(shuffles * (size_t)job.k, sizeof(double));
    column = nissl__alloc(shuffles, sizeof(double));
    r.variance = nissl__alloc((size_t)job.k, sizeof(double));
    r.null_quantile = nissl__alloc((size_t)job.k, sizeof(double));
    if (!job.square || !job.stripe || !job.permutation || !job.scratch || !job.null || !column ||
        !r.variance || !r.null_quantile) {
        status = NISSL__NO_MEMORY(err, workers * (size_t)(order * order) * sizeof(double));
        goto done;
    }
    if (job.m > 0)
        status = spectrum(&job, -1, 0, r.variance, err);
    if (status == NISSL_OK && job.m > 0)
        status = nissl__parallel(ctx, options.n_shuffles, shuffle_task, &job, err);
    if (status != NISSL_OK)
        goto done;
    for (int64_t c = 0; c < job.k; c++) {
        for (size_t s = 0; s < shuffles; s++)
            column[s] = job.null[(int64_t)s * job.k + c];
        r.null_quantile[c] = quantile(column, options.n_shuffles, options.level);
    }
    while (r.n_above < job.k && r.variance[r.n_above] > r.null_quantile[r.n_above])
        r.n_above++;
    *out = r;
    r = (nissl_parallel){0};

done:
    nissl_parallel_free(&r);
    nissl__free(a);
    nissl__free(unit);
    nissl__free(column);
    nissl__free(job.square);
    nissl__free(job.stripe);
    nissl__free(job.permutation);
    nissl__free(job.scratch);
    nissl__free(job.null);
    return status;
}
