/* Procrustes and generalised shape distances. */
#include "analyses/compare.h"
#include "math/linear.h"

nissl_shape_options nissl_shape_options_default(void)
{
    return (nissl_shape_options){.alpha = 1};
}

void nissl__shape_scale(const nissl__factor *factor, double alpha, double *scale)
{
    double before = 0, after = 0;
    for (int64_t i = 0; i < factor->rank; i++) {
        scale[i] = alpha * factor->s[i] + (1 - alpha);
        before += factor->s[i] * factor->s[i];
        after += scale[i] * scale[i];
    }
    for (int64_t i = 0; i < factor->rank; i++)
        scale[i] *= sqrt(before / after);
}

nissl_status nissl__shape_pair(const nissl__factor *x, const double *sx, const nissl__factor *y,
                               const double *sy, bool euclidean, double *out, nissl_error *err)
{
    int64_t k = NISSL__MIN(x->rank, y->rank);
    double nuclear = 0, xx = 0, yy = 0;
    double *value = nissl__alloc((size_t)k, sizeof *value);
    nissl_status status;
    if (!value)
        return NISSL__NO_MEMORY(err, (size_t)k * sizeof *value);
    status = nissl__factor_cross(x, sx, y, sy, value, NULL, err);
    if (status == NISSL_OK) {
        for (int64_t i = 0; i < k; i++)
            nuclear += value[i];
        for (int64_t i = 0; i < x->rank; i++)
            xx += sx[i] * sx[i];
        for (int64_t i = 0; i < y->rank; i++)
            yy += sy[i] * sy[i];
        if (k == 0)
            *out = NAN;
        else if (euclidean)
            *out = sqrt(fmax(xx + yy - 2 * nuclear, 0));
        else
            *out = acos(fmin(nuclear / sqrt(xx * yy), 1));
    }
    nissl__free(value);
    return status;
}

nissl_status nissl_shape_distance(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                                  const nissl_shape_options *opt, double *out, nissl_error *err)
{
    nissl_shape_options options = opt ? *opt : nissl_shape_options_default();
    nissl__factor fx = {0}, fy = {0};
    double *sx = NULL, *sy = NULL;
    nissl_status status = nissl__compare_check(x, y, 2, err);
    if (status != NISSL_OK)
        return status;
    if (!(options.alpha >= 0) || !(options.alpha <= 1))
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "alpha = %g is outside 0 .. 1", options.alpha);
    status = nissl__factor_make(x, "x", 1, &fx, err);
    if (status == NISSL_OK)
        status = nissl__factor_make(y, "y", 1, &fy, err);
    if (status != NISSL_OK)
        goto done;
    sx = nissl__alloc((size_t)fx.rank, sizeof *sx);
    sy = nissl__alloc((size_t)fy.rank, sizeof *sy);
    if (!sx || !sy) {
        status = NISSL__NO_MEMORY(err, (size_t)(fx.rank + fy.rank) * sizeof *sx);
        goto done;
    }
    nissl__shape_scale(&fx, options.alpha, sx);
    nissl__shape_scale(&fy, options.alpha, sy);
    status = nissl__shape_pair(&fx, sx, &fy, sy, options.euclidean, out, err);

done:
    nissl__factor_free(&fx);
    nissl__factor_free(&fy);
    nissl__free(sx);
    nissl__free(sy);
    return status;
}
