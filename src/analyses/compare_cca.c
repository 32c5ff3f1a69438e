/* Canonical correlation analysis, SVCCA, PWCCA. */
#include <float.h>

#include "analyses/compare.h"
#include "math/linear.h"
#include "math/matrix.h"

nissl_cca_options nissl_cca_options_default(void)
{
    return (nissl_cca_options){.keep = 1};
}

void nissl_cca_free(nissl_cca *cca)
{
    if (!cca)
        return;
    nissl__free(cca->correlation);
    nissl__free(cca->weight);
    *cca = (nissl_cca){0};
}

void nissl__factor_free(nissl__factor *factor)
{
    nissl__free(factor->u);
    nissl__free(factor->s);
    *factor = (nissl__factor){0};
}

/* How many of k descending singular values count. */
static int64_t rank_of(const double *s, int64_t k, int64_t longest, double keep)
{
    int64_t rank = 0, kept = 0;
    double total = 0, sum = 0;
    while (rank < k && s[rank] > 0 && s[rank] > (double)longest * DBL_EPSILON * s[0])
        total += s[rank++];
    if (keep >= 1)
        return rank;
    while (kept < rank && sum < keep * total)
        sum += s[kept++];
    return kept;
}

nissl_status nissl__factor_make(const nissl_view *x, const char *what, double keep,
                                nissl__factor *out, nissl_error *err)
{
    int64_t n = x->shape[0], m = x->shape[1], k = NISSL__MIN(n, m);
    nissl__factor f = {.n = n};
    double *a = NULL, *u = NULL, *v = NULL;
    nissl_status status = nissl__matrix_load(x, what, 2, &a, err);
    if (status != NISSL_OK)
        return status;
    f.s = nissl__alloc((size_t)k, sizeof *f.s);
    u = nissl__alloc((size_t)(n * k), sizeof *u);
    v = nissl__alloc((size_t)(k * m), sizeof *v);
    if (!f.s || !u || !v) {
        status = NISSL__NO_MEMORY(err, (size_t)((n + m) * k) * sizeof *u);
        goto done;
    }
    nissl__center_columns(a, n, m, NULL);
    status = nissl__svd(n, m, a, f.s, u, v, err);
    if (status != NISSL_OK)
        goto done;
    f.rank = rank_of(f.s, k, NISSL__MAX(n, m), keep);
    for (int64_t i = 0; i < n; i++)
        memmove(u + i * f.rank, u + i * k, (size_t)f.rank * sizeof *u);
    f.u = u;
    u = NULL;
    *out = f;
    f = (nissl__factor){0};

done:
    nissl__factor_free(&f);
    nissl__free(a);
    nissl__free(u);
    nissl__free(v);
    return status;
}

nissl_status nissl__factor_cross(const nissl__factor *x, const double *sx, const nissl__factor *y,
                                 const double *sy, double *value, double *left, nissl_error *err)
{
    int64_t p = x->rank, q = y->rank, k = NISSL__MIN(p, q);
    nissl_status status = NISSL_OK;
    double *c = NULL, *v = NULL;
    if (k == 0)
        return NISSL_OK;
    c = nissl__alloc((size_t)(p * q), sizeof *c);
    v = nissl__alloc(left ? (size_t)(k * q) : 1, sizeof *v);
    if (!c || !v) {
        status = NISSL__NO_MEMORY(err, (size_t)(p * q) * sizeof *c);
        goto done;
    }
    nissl__matmul(true, false, p, q, x->n, 1, x->u, p, y->u, q, 0, c, q);
    for (int64_t i = 0; i < p && (sx || sy); i++)
        for (int64_t j = 0; j < q; j++)
            c[i * q + j] *= (sx ? sx[i] : 1) * (sy ? sy[j] : 1);
    status = nissl__svd(p, q, c, value, left, left ? v : NULL, err);

done:
    nissl__free(c);
    nissl__free(v);
    return status;
}

/* Weights of canonical variates of x: how much of its units' length lies along each. */
static nissl_status project(const nissl_view *x, const nissl__factor *f, const double *left,
                            int64_t k, double *weight, nissl_error *err)
{
    int64_t n = x->shape[0], m = x->shape[1];
    double *a = NULL, *h = NULL, *c = NULL, sum = 0;
    nissl_status status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status != NISSL_OK)
        return status;
    h = nissl__alloc((size_t)(n * k), sizeof *h);
    c = nissl__alloc((size_t)(k * m), sizeof *c);
    if (!h || !c) {
        status = NISSL__NO_MEMORY(err, (size_t)((n + m) * k) * sizeof *h);
        goto done;
    }
    nissl__center_columns(a, n, m, NULL);
    nissl__matmul(false, false, n, k, f->rank, 1, f->u, f->rank, left, k, 0, h, k);
    nissl__matmul(true, false, k, m, n, 1, h, k, a, m, 0, c, m);
    for (int64_t i = 0; i < k; i++) {
        weight[i] = 0;
        for (int64_t j = 0; j < m; j++)
            weight[i] += fabs(c[i * m + j]);
        sum += weight[i];
    }
    for (int64_t i = 0; i < k; i++)
        weight[i] /= sum;

done:
    nissl__free(a);
    nissl__free(h);
    nissl__free(c);
    return status;
}

nissl_status nissl_cca_compute(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                               const nissl_cca_options *opt, nissl_cca *out, nissl_error *err)
{
    nissl_cca_options options = opt ? *opt : nissl_cca_options_default();
    nissl__factor fx = {0}, fy = {0};
    nissl_cca r = {.mean = NAN, .r2 = NAN, .pwcca = NAN};
    double *left = NULL;
    nissl_status status = nissl__compare_check(x, y, 3, err);
    if (status != NISSL_OK)
        return status;
    if (!(options.keep > 0) || !(options.keep <= 1))
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "keep = %g is outside 0 .. 1", options.keep);
    status = nissl__factor_make(x, "x", options.keep, &fx, err);
    if (status == NISSL_OK)
        status = nissl__factor_make(y, "y", options.keep, &fy, err);
    if (status != NISSL_OK)
        goto done;
    r.rank_x = fx.rank;
    r.rank_y = fy.rank;
    r.n = NISSL__MIN(fx.rank, fy.rank);
    r.correlation = nissl__alloc((size_t)r.n, sizeof(double));
    r.weight = nissl__alloc((size_t)r.n, sizeof(double));
    left = nissl__alloc((size_t)(fx.rank * r.n), sizeof *left);
    if (!r.correlation || !r.weight || !left) {
        status = NISSL__NO_MEMORY(err, (size_t)(fx.rank * r.n) * sizeof *left);
        goto done;
    }
    status = nissl__factor_cross(&fx, NULL, &fy, NULL, r.correlation, left, err);
    if (status == NISSL_OK && r.n > 0)
        status = project(x, &fx, left, r.n, r.weight, err);
    if (status != NISSL_OK)
        goto done;
    for (int64_t i = 0; i < r.n; i++) {
        double c = r.correlation[i] = fmin(r.correlation[i], 1);
        r.mean = (i ? r.mean : 0) + c / (double)r.n;
        r.r2 = (i ? r.r2 : 0) + c * c / (double)r.n;
        r.pwcca = (i ? r.pwcca : 0) + c * r.weight[i];
    }
    *out = r;
    r = (nissl_cca){0};

done:
    nissl_cca_free(&r);
    nissl__factor_free(&fx);
    nissl__factor_free(&fy);
    nissl__free(left);
    return status;
}

/* Orthonormal columns that span those of a [n, k], in order; twice, for accuracy. */
static void orthogonalise(double *a, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < k; j++)
        for (int twice = 0; twice < 2; twice++) {
            double length = 0;
            for (int64_t l = 0; l < j; l++) {
                double product = 0;
                for (int64_t i = 0; i < n; i++)
                    product += a[i * k + l] * a[i * k + j];
                for (int64_t i = 0; i < n; i++)
                    a[i * k + j] -= product * a[i * k + l];
            }
            for (int64_t i = 0; i < n; i++)
                length += a[i * k + j] * a[i * k + j];
            for (int64_t i = 0; i < n; i++)
                a[i * k + j] /= sqrt(length);
        }
}

/* b^T C^(-1/2) for centred responses b [n, m] up to a factor: v^T u^T. out: [m, n] */
static nissl_status whitened(const double *b, int64_t n, int64_t m, double *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    double *a = nissl__alloc((size_t)(n * m), sizeof *a), *u = nissl__alloc((size_t)(n * m), 8);
    double *v = nissl__alloc((size_t)(m * m), sizeof *v), *s = nissl__alloc((size_t)m, sizeof *s);
    if (!a || !u || !v || !s) {
        status = NISSL__NO_MEMORY(err, (size_t)(n * m) * sizeof *a);
        goto done;
    }
    memcpy(a, b, (size_t)(n * m) * sizeof *a);
    status = nissl__svd(n, m, a, s, u, v, err);
    if (status != NISSL_OK)
        goto done;
    if (!(s[m - 1] > (double)n * DBL_EPSILON * s[0])) {
        status = NISSL__FAIL(err, NISSL_ERR_RANGE,
                             "%lld units are linearly dependent, which the program cannot invert",
                             (long long)m);
        goto done;
    }
    nissl__matmul(true, true, m, n, m, 1, v, m, u, m, 0, out, n);

done:
    nissl__free(a);
    nissl__free(u);
    nissl__free(v);
    nissl__free(s);
    return status;
}

nissl_status nissl_pwcca_of_svcca(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                                  double *out, nissl_error *err)
{
    double *raw = NULL, *a = NULL, *b = NULL, *wa = NULL, *wb = NULL, *c = NULL, *rho = NULL;
    double *left = NULL, *right = NULL, *mean = NULL, *d = NULL, sum = 0, total = 0;
    int64_t n, m, q;
    nissl_status status = nissl__compare_check(x, y, 3, err);
    if (status != NISSL_OK)
        return status;
    n = x->shape[0];
    m = x->shape[1];
    q = y->shape[1];
    if (m > q || q >= n)
        return NISSL__FAIL(
            err, NISSL_ERR_SHAPE,
            "x has %lld units, y %lld, and there are %lld samples: the program needs "
            "x <= y < samples",
            (long long)m, (long long)q, (long long)n);
    status = nissl__matrix_load(x, "x", 3, &raw, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(x, "x", 3, &a, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(y, "y", 3, &b, err);
    if (status != NISSL_OK)
        goto done;
    wa = nissl__alloc((size_t)(m * n), sizeof *wa);
    wb = nissl__alloc((size_t)(q * n), sizeof *wb);
    c = nissl__alloc((size_t)(q * m), sizeof *c);
    rho = nissl__alloc((size_t)m, sizeof *rho);
    left = nissl__alloc((size_t)(q * m), sizeof *left);
    right = nissl__alloc((size_t)(m * m), sizeof *right);
    mean = nissl__alloc((size_t)m, sizeof *mean);
    d = nissl__alloc((size_t)(n * m), sizeof *d);
    if (!wa || !wb || !c || !rho || !left || !right || !mean || !d) {
        status = NISSL__NO_MEMORY(err, (size_t)(q * n) * sizeof *wb);
        goto done;
    }
    nissl__center_columns(a, n, m, mean);
    nissl__center_columns(b, n, q, NULL);
    status = whitened(a, n, m, wa, err);
    if (status == NISSL_OK)
        status = whitened(b, n, q, wb, err);
    if (status != NISSL_OK)
        goto done;
    /* Signs matter, since means are added: numpy gives LAPACK the matrix whose rows here are y. */
    nissl__matmul(false, true, q, m, n, 1, wb, n, wa, n, 0, c, m);
    status = nissl__svd_raw(q, m, c, rho, left, right, err);
    if (status != NISSL_OK)
        goto done;
    nissl__matmul(false, true, n, m, m, 1, a, m, right, m, 0, d, m);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            d[i * m + j] += mean[j];
    orthogonalise(d, n, m);
    nissl__matmul(true, false, m, m, n, 1, d, m, raw, m, 0, right, m);
    for (int64_t i = 0; i < m; i++) {
        double weight = 0;
        for (int64_t j = 0; j < m; j++)
            weight += fabs(right[i * m + j]);
        sum += weight * rho[i];
        total += weight;
    }
    *out = sum / total;

done:
    nissl__free(raw);
    nissl__free(a);
    nissl__free(b);
    nissl__free(wa);
    nissl__free(wb);
    nissl__free(c);
    nissl__free(rho);
    nissl__free(left);
    nissl__free(right);
    nissl__free(mean);
    nissl__free(d);
    return status;
}
