/* Dimensionality: participation ratio, TwoNN, maximum likelihood. */
#include "math/distance.h"
#include "math/linear.h"
#include "math/matrix.h"
#include "nissl/population.h"

nissl_dimension_options nissl_dimension_options_default(void)
{
    return (nissl_dimension_options){.discard = .1, .n_neighbours = 2};
}

/* From the Gram matrix of centred responses, which is spent. */
static void participation(double *k, int64_t n, nissl_dimension *r)
{
    double trace = 0, squares = 0, total = 0, rows = 0, distances = 0, unbiased;
    double count = (double)n * (double)(n - 1) * (double)(n - 2) * (double)(n - 3);
    for (int64_t i = 0; i < n; i++)
        trace += k[i * n + i];
    squares = nissl__dot(k, k, n * n);
    r->total_variance = trace / (double)(n - 1);
    r->participation_ratio = squares > 0 ? trace * trace / squares : NAN;
    r->participation_corrected = NAN;
    if (n < 4 || !(squares > 0))
        return;
    /* (trace of the covariance)^2 from pairs of distances that share no sample */
    for (int64_t i = 0; i < n; i++) {
        double row = 0;
        for (int64_t j = 0; j < n; j++) {
            double d = j == i ? 0 : k[i * n + i] + k[j * n + j] - 2 * k[i * n + j];
            row += d;
            distances += d * d;
        }
        total += row;
        rows += row * row;
    }
    double trace_squared = (total * total - 4 * rows + 2 * distances) / (4 * count);
    nissl__gram_u_centre(k, n);
    unbiased = nissl__dot(k, k, n * n) / ((double)n * (double)(n - 3));
    r->participation_corrected = unbiased > 0 ? trace_squared / unbiased : NAN;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* near: [n, k] squared distances; log_ratio: [n] scratch */
static void manifold(const double *near, int64_t n, int k, double discard, double *log_ratio,
                     nissl_dimension *r)
{
    double sum = 0, xy = 0, xx = 0;
    int64_t kept = 0, used;
    for (int64_t i = 0; i < n; i++) {
        const double *d = near + i * k;
        if (!(d[0] > 0))
            continue;
        log_ratio[kept++] = .5 * log(d[1] / d[0]);
        for (int j = 0; j < k - 1; j++)
            sum += .5 * log(d[k - 1] / d[j]);
    }
    r->n_duplicates = n - kept;
    r->two_nn = r->mle = NAN;
    if (kept < k + 2)
        return;
    r->mle = sum > 0 ? ((double)kept * (double)(k - 1) - 1) / sum : NAN;
    qsort(log_ratio, (size_t)kept, sizeof *log_ratio, ascending);
    used = NISSL__MIN((int64_t)((double)kept * (1 - discard)), kept - 1); /* F < 1 */
    for (int64_t i = 0; i < used; i++) {
        double y = -log1p(-(double)(i + 1) / (double)kept);
        xy += log_ratio[i] * y;
        xx += log_ratio[i] * log_ratio[i];
    }
    r->two_nn = xx > 0 ? xy / xx : NAN;
}

nissl_status nissl_dimension_compute(nissl_context *ctx, const nissl_view *x,
                                     const nissl_dimension_options *opt, nissl_dimension *out,
                                     nissl_error *err)
{
    nissl_dimension_options options = opt ? *opt : nissl_dimension_options_default();
    nissl_dimension r = {0};
    nissl_status status;
    double *a = NULL, *gram = NULL, *near = NULL, *log_ratio = NULL;
    int64_t n, m;
    int k = options.n_neighbours;
    if (k < 2 || k > 64 || !(options.discard >= 0) || !(options.discard < 1))
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "n_neighbours = %d and discard = %g; they must be in 2 .. 64 and 0 <= "
                           "discard < 1",
                           k, options.discard);
    status = nissl__matrix_load(x, "x", k + 2, &a, err);
    if (status != NISSL_OK)
        return status;
    n = r.n_samples = x->shape[0];
    m = r.n_units = x->shape[1];
    gram = nissl__alloc((size_t)(n * n), sizeof *gram);
    near = nissl__alloc((size_t)(n * k), sizeof *near);
    log_ratio = nissl__alloc((size_t)n, sizeof *log_ratio);
    if (!gram || !near || !log_ratio) {
        status = NISSL__NO_MEMORY(err, (size_t)(n * n) * sizeof *gram);
        goto done;
    }
    status = nissl__gram(ctx, x, "x", NISSL__CENTRE_UNITS, gram, err);
    if (status != NISSL_OK)
        goto done;
    participation(gram, n, &r);
    nissl__center_columns(a, n, m, NULL);
    status = nissl__nearest(ctx, a, n, m, k, near, err);
    if (status != NISSL_OK)
        goto done;
    manifold(near, n, k, options.discard, log_ratio, &r);
    *out = r;

done:
    nissl__free(a);
    nissl__free(gram);
    nissl__free(near);
    nissl__free(log_ratio);
    return status;
}
