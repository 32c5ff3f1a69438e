/*
 * Centred kernel alignment. Debiased HSIC is the inner product of U-centred kernel matrices, so
 * that for biased and debiased alike an array becomes one packed vector of length 1 and CKA is a
 * dot product: all pairs of many sites are one matrix product.
 */
#include "analyses/compare.h"
#include "math/distance.h"
#include "math/linear.h"
#include "math/matrix.h"
#include "math/rank.h"

nissl_cka_options nissl_cka_options_default(void)
{
    return (nissl_cka_options){.width = 1};
}

nissl_status nissl__compare_check(const nissl_view *x, const nissl_view *y, int64_t min_samples,
                                  nissl_error *err)
{
    nissl_status status = nissl__matrix_check(x, "x", min_samples, err);
    if (status == NISSL_OK)
        status = nissl__matrix_check(y, "y", min_samples, err);
    if (status == NISSL_OK && x->shape[0] != y->shape[0])
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE, "x has %lld samples, y %lld",
                             (long long)x->shape[0], (long long)y->shape[0]);
    return status;
}

/* The median of all n^2 squared distances: n zeros and every other distance twice. */
static nissl_status median_distance(const double *d, int64_t n, double *out, nissl_error *err)
{
    int64_t n_pairs = n * (n - 1) / 2, count = 0, total = n * n;
    int64_t low = (total - 1) / 2, high = total / 2;
    double *pair = nissl__alloc((size_t)n_pairs, sizeof *pair), a, b;
    if (!pair)
        return NISSL__NO_MEMORY(err, (size_t)n_pairs * sizeof *pair);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            pair[count++] = d[i * n + j];
    a = low < n ? 0 : nissl__select(pair, n_pairs, (low - n) / 2);
    b = high < n ? 0 : nissl__select(pair, n_pairs, (high - n) / 2);
    *out = .5 * (a + b);
    nissl__free(pair);
    return NISSL_OK;
}

nissl_status nissl__cka_kernel(nissl_context *ctx, const nissl_view *x, const char *what,
                               const nissl_cka_options *opt, double *packed, nissl_error *err)
{
    int64_t n = x->shape[0], size = n * (n + 1) / 2;
    nissl_status status = NISSL_OK;
    double *k = nissl__alloc((size_t)(n * n), sizeof *k), length, median = 0;
    if (!k)
        return NISSL__NO_MEMORY(err, (size_t)(n * n) * sizeof *k);
    status = nissl__gram(ctx, x, what, NISSL__CENTRE_UNITS, k, err);
    if (status == NISSL_OK && opt->kernel == NISSL_KERNEL_RBF) {
        nissl__distances_of_gram(k, n, k);
        status = median_distance(k, n, &median, err);
        for (int64_t i = 0; i < n * n && status == NISSL_OK; i++)
            k[i] = median > 0 ? exp(-k[i] / (2 * opt->width * opt->width * median)) : NAN;
    }
    if (status == NISSL_OK) {
        if (opt->biased)
            nissl__gram_centre(k, n);
        else
            nissl__gram_u_centre(k, n);
        nissl__gram_pack(k, n, packed);
        length = sqrt(nissl__dot(packed, packed, size));
        for (int64_t i = 0; i < size; i++)
            packed[i] = length > 0 ? packed[i] / length : NAN;
    }
    nissl__free(k);
    return status;
}

nissl_status nissl_cka(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                       const nissl_cka_options *opt, double *out, nissl_error *err)
{
    nissl_cka_options options = opt ? *opt : nissl_cka_options_default();
    double *k = NULL, *l = NULL;
    int64_t size;
    nissl_status status = nissl__compare_check(x, y, 4, err);
    if (status != NISSL_OK)
        return status;
    if (!(options.width > 0))
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "the width of the kernel is %g, not above 0",
                           options.width);
    size = x->shape[0] * (x->shape[0] + 1) / 2;
    k = nissl__alloc((size_t)size, sizeof *k);
    l = nissl__alloc((size_t)size, sizeof *l);
    if (!k || !l) {
        status = NISSL__NO_MEMORY(err, (size_t)size * sizeof *k);
        goto done;
    }
    status = nissl__cka_kernel(ctx, x, "x", &options, k, err);
    if (status == NISSL_OK)
        status = nissl__cka_kernel(ctx, y, "y", &options, l, err);
    if (status == NISSL_OK)
        *out = nissl__dot(k, l, size);

done:
    nissl__free(k);
    nissl__free(l);
    return status;
}
