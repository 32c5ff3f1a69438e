/*
 * Resize and Upsample: nearest, linear and cubic. Every axis is resampled by itself: an output
 * position is a weighted sum of few input positions, listed once when the program is compiled.
 */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"

#define MAX_TAPS_PER_AXIS ((int64_t)1 << 26)

/* One axis: taps[i * n_taps + k] and weights of output position i. */
typedef struct resize_axis {
    int axis;
    int64_t n_taps;
    int64_t *taps; /* input position, or -1: outside, contributes extrapolation */
    float *weights;
} resize_axis;

typedef struct resize_state {
    int n_axes;
    resize_axis axes[NISSL_MAX_RANK];
    float extrapolation;
} resize_state;

static void destroy_resize(void *memory)
{
    resize_state *state = memory;
    if (!state)
        return;
    for (int i = 0; i < state->n_axes; i++) {
        nissl__free(state->axes[i].taps);
        nissl__free(state->axes[i].weights);
    }
    nissl__free(state);
}

typedef struct resize_spec {
    double scale[NISSL_MAX_RANK];
    double roi_begin[NISSL_MAX_RANK], roi_end[NISSL_MAX_RANK];
    int64_t shape[NISSL_MAX_RANK];
} resize_spec;

static nissl_status constant_reals(nissl__compiler *c, const nissl__node *node, int input,
                                   double *out, int *n, nissl_error *err)
{
    const nissl__value *v = nissl__in(c, node, input);
    *n = 0;
    if (!v)
        return NISSL_OK;
    if (!v->constant || v->rank > 1)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "input %d must be a constant list",
                                input);
    int64_t count = v->rank ? v->shape[0] : 1;
    if (count > 2 * NISSL_MAX_RANK)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "input %d has %lld values", input,
                                (long long)count);
    for (int64_t i = 0; i < count; i++)
        out[i] = nissl__read_number(
            (const char *)v->constant + (size_t)i * nissl_type_size(v->type), v->type);
    *n = (int)count;
    return NISSL_OK;
}

static nissl_status spec_of(nissl__compiler *c, const nissl__node *node, resize_spec *spec,
                            nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    bool upsample = strcmp(node->onnx->op, "Upsample") == 0;
    bool old = upsample || (node->opset < 11 && node->n_inputs == 2);
    double roi[2 * NISSL_MAX_RANK], scales[2 * NISSL_MAX_RANK], sizes[2 * NISSL_MAX_RANK];
    int n_roi = 0, n_scales = 0, n_sizes = 0;
    size_t n_axes, n_attr_scales = 0;
    const int64_t *axes = nissl__attr_ints(node, "axes", &n_axes);
    const nissl__onnx_attribute *attr_scales = nissl__attribute(node, "scales");
    nissl_status status;
    if (old) {
        if ((status = constant_reals(c, node, 1, scales, &n_scales, err)) != NISSL_OK)
            return status;
        if (!n_scales && attr_scales && attr_scales->kind == NISSL__ONNX_FLOATS &&
            attr_scales->n <= NISSL_MAX_RANK) {
            n_attr_scales = attr_scales->n;
            for (size_t i = 0; i < n_attr_scales; i++)
                scales[i] = (double)attr_scales->floats[i];
            n_scales = (int)n_attr_scales;
        }
    } else if ((status = constant_reals(c, node, 1, roi, &n_roi, err)) != NISSL_OK ||
               (status = constant_reals(c, node, 2, scales, &n_scales, err)) != NISSL_OK ||
               (status = constant_reals(c, node, 3, sizes, &n_sizes, err)) != NISSL_OK) {
        return status;
    }
    int n = n_axes ? (int)n_axes : in->rank;
    if (n > in->rank || (n_sizes ? n_sizes : n_scales) != n || (n_roi && n_roi != 2 * n))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "%d scales, %d sizes, %d regions for %d axes", n_scales, n_sizes,
                                n_roi, n);
    for (int i = 0; i < in->rank; i++) {
        spec->scale[i] = 1;
        spec->shape[i] = in->shape[i];
        spec->roi_begin[i] = 0;
        spec->roi_end[i] = 1;
    }
    const char *policy = nissl__attr_string(node, "keep_aspect_ratio_policy", "stretch");
    double common = strcmp(policy, "not_larger") == 0 ? INFINITY : 0;
    for (int i = 0; i < n; i++) {
        int axis = nissl__axis(c, n_axes ? axes[i] : i, in->rank, err);
        if (axis < 0)
            return NISSL_ERR_SHAPE;
        double scale = n_sizes ? sizes[i] / (double)in->shape[axis] : scales[i];
        if (!(scale > 0) || scale > 1e6)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "scale %g along axis %d", scale, axis);
        spec->scale[axis] = scale;
        spec->shape[axis] =
            n_sizes ? (int64_t)sizes[i] : (int64_t)floor((double)in->shape[axis] * scale);
        common = strcmp(policy, "not_larger") == 0 ? fmin(common, scale) : fmax(common, scale);
        if (n_roi) {
            spec->roi_begin[axis] = roi[i];
            spec->roi_end[axis] = roi[n + i];
        }
    }
    for (int i = 0; i < n && n_sizes && strcmp(policy, "stretch") != 0; i++) {
        int axis = nissl__axis(c, n_axes ? axes[i] : i, in->rank, err);
        spec->scale[axis] = common;
        spec->shape[axis] = (int64_t)floor((double)in->shape[axis] * common + 0.5);
    }
    return NISSL_OK;
}

static nissl_status infer_resize(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    resize_spec spec;
    nissl_status status = spec_of(c, node, &spec, err);
    if (status != NISSL_OK)
        return status;
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, in->rank, spec.shape, err);
}

/* Where output position i lies on the input axis. */
static double source_position(const char *mode, double i, double scale, double in, double out,
                              double roi_begin, double roi_end)
{
    if (strcmp(mode, "asymmetric") == 0)
        return i / scale;
    if (strcmp(mode, "align_corners") == 0)
        return out > 1 ? i * (in - 1) / (out - 1) : 0;
    if (strcmp(mode, "pytorch_half_pixel") == 0)
        return out > 1 ? (i + 0.5) / scale - 0.5 : 0;
    if (strcmp(mode, "tf_half_pixel_for_nn") == 0)
        return (i + 0.5) / scale;
    if (strcmp(mode, "tf_crop_and_resize") == 0)
        return out > 1 ? roi_begin * (in - 1) + i * (roi_end - roi_begin) * (in - 1) / (out - 1)
                       : 0.5 * (roi_begin + roi_end) * (in - 1);
    if (strcmp(mode, "half_pixel_symmetric") == 0) {
        double adjustment = out / (scale * in), centre = in / 2;
        return centre * (1 - adjustment) + (i + 0.5) / scale - 0.5;
    }
    return (i + 0.5) / scale - 0.5; /* half_pixel */
}

static int64_t nearest(const char *mode, double x)
{
    if (strcmp(mode, "floor") == 0)
        return (int64_t)floor(x);
    if (strcmp(mode, "ceil") == 0)
        return (int64_t)ceil(x);
    if (strcmp(mode, "round_prefer_ceil") == 0)
        return (int64_t)floor(x + 0.5);
    return (int64_t)ceil(x - 0.5);
}

static double cubic_weight(double x, double a)
{
    x = fabs(x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* The taps of one axis. Antialiasing widens the kernel by the reduction and, as the standard's
 * reference does, repeats the border. Aligned corners are those of the length before it is cut to
 * whole positions. */
static nissl_status make_axis(nissl__compiler *c, const nissl__node *node, const resize_spec *spec,
                              int axis, int64_t in, resize_axis *out, nissl_error *err)
{
    const char *transform =
        nissl__attr_string(node, "coordinate_transformation_mode", "half_pixel");
    const char *mode = nissl__attr_string(node, "mode", "nearest");
    const char *rounding = nissl__attr_string(node, "nearest_mode", "round_prefer_floor");
    bool upsample = strcmp(node->onnx->op, "Upsample") == 0 || node->opset < 11;
    bool cubic = strcmp(mode, "cubic") == 0,
         linear = strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0;
    bool smooth = nissl__attr_int(node, "antialias", 0) != 0 && spec->scale[axis] < 1;
    bool exclude = nissl__attr_int(node, "exclude_outside", 0) != 0;
    double a = (double)nissl__attr_float(node, "cubic_coeff_a", -0.75f), scale = spec->scale[axis];
    bool crop = strcmp(transform, "tf_crop_and_resize") == 0;
    if (upsample) {
        transform = "asymmetric";
        rounding = "floor";
    }
    if (!cubic && !linear && strcmp(mode, "nearest") != 0)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "mode %s", mode);
    double width = (cubic ? 2 : 1) / (smooth ? scale : 1); /* half of the kernel's support */
    int64_t n = spec->shape[axis], n_taps = cubic || linear ? 2 * (int64_t)ceil(width) : 1;
    if (smooth)
        n_taps++;
    if (n_taps > MAX_TAPS_PER_AXIS / NISSL__MAX(n, 1))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_LIMIT, "%lld positions of %lld taps",
                                (long long)n, (long long)n_taps);
    out->axis = axis;
    out->n_taps = n_taps;
    out->taps = nissl__alloc((size_t)(n * n_taps), sizeof *out->taps);
    out->weights = nissl__alloc((size_t)(n * n_taps), sizeof *out->weights);
    if (!out->taps || !out->weights)
        return NISSL__NO_MEMORY(err, (size_t)(n * n_taps) * sizeof *out->taps);
    for (int64_t i = 0; i < n; i++) {
        double x = source_position(transform, (double)i, scale, (double)in, (double)in * scale,
                                   spec->roi_begin[axis], spec->roi_end[axis]);
        if (crop)
            x = source_position(transform, (double)i, scale, (double)in, (double)n,
                                spec->roi_begin[axis], spec->roi_end[axis]);
        else if (strcmp(transform, "pytorch_half_pixel") == 0)
            x = n > 1 ? (i + 0.5) / scale - 0.5 : 0;
        else if (strcmp(transform, "half_pixel_symmetric") == 0)
            x = source_position(transform, (double)i, scale, (double)in, (double)n, 0, 1);
        int64_t *taps = out->taps + i * n_taps;
        float *weights = out->weights + i * n_taps;
        if (crop && (x < 0 || x > (double)(in - 1))) {
            for (int64_t k = 0; k < n_taps; k++) {
                taps[k] = -1;
                weights[k] = k == 0;
            }
            continue;
        }
        if (n_taps == 1) {
            int64_t at = nearest(rounding, x);
            taps[0] = NISSL__MIN(NISSL__MAX(at, 0), in - 1);
            weights[0] = 1;
            continue;
        }
        int64_t first = smooth ? (int64_t)ceil(x - width) : (int64_t)floor(x) - (cubic ? 1 : 0);
        double total = 0;
        for (int64_t k = 0; k < n_taps; k++) {
            int64_t at = first + k;
            double d = ((double)at - x) * (smooth ? scale : 1);
            double w = cubic ? cubic_weight(d, a) : fmax(0, 1 - fabs(d));
            if (exclude && (at < 0 || at >= in))
                w = 0;
            taps[k] = NISSL__MIN(NISSL__MAX(at, 0), in - 1);
            weights[k] = (float)w;
            total += w;
        }
        for (int64_t k = 0; k < n_taps && (exclude || smooth) && total != 0; k++)
            weights[k] = (float)((double)weights[k] / total);
    }
    return NISSL_OK;
}

/* Resamples one axis of src into dst; all other axes have equal sizes. */
static void resample(const resize_state *state, const resize_axis *r, const nissl_view *src,
                     const nissl_view *dst, int threads)
{
    int64_t n = dst->shape[r->axis], n_other = n ? nissl_view_count(dst) / n : 0,
            size = (int64_t)nissl_type_size(src->type);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < n_other; row++) {
        int64_t rest = row, from = 0, to = 0;
        for (int i = dst->rank - 1; i >= 0; i--) {
            if (i == r->axis)
                continue;
            from += rest % dst->shape[i] * src->stride[i];
            to += rest % dst->shape[i] * dst->stride[i];
            rest /= dst->shape[i];
        }
        for (int64_t i = 0; i < n; i++) {
            const int64_t *taps = r->taps + i * r->n_taps;
            const float *weights = r->weights + i * r->n_taps;
            char *y = (char *)dst->data + (to + i * dst->stride[r->axis]) * size;
            if (src->type != NISSL_FLOAT32 && r->n_taps == 1 && taps[0] >= 0) {
                memcpy(y, (const char *)src->data + (from + taps[0] * src->stride[r->axis]) * size,
                       (size_t)size);
                continue;
            }
            double sum = 0;
            for (int64_t k = 0; k < r->n_taps; k++) {
                double x =
                    taps[k] < 0
                        ? (double)state->extrapolation
                        : nissl__read_number((const char *)src->data +
                                                 (from + taps[k] * src->stride[r->axis]) * size,
                                             src->type);
                sum += x * (double)weights[k];
            }
            nissl__write_number(y, dst->type, sum);
        }
    }
}

static nissl_status execute_resize(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const resize_state *state = step->state;
    nissl_view source = *call->in[0];
    char *scratch[2] = {call->scratch, (char *)call->scratch + step->scratch_bytes / 2};
    if (state->n_axes == 0) {
        nissl__copy_view(call->in[0], call->out[0], call->threads);
        return NISSL_OK;
    }
    for (int i = 0; i < state->n_axes; i++) {
        const resize_axis *r = &state->axes[i];
        nissl_view target = *call->out[0];
        if (i < state->n_axes - 1) {
            int64_t shape[NISSL_MAX_RANK];
            memcpy(shape, source.shape, sizeof shape);
            shape[r->axis] = call->out[0]->shape[r->axis];
            target = nissl_view_of(scratch[i % 2], source.type, source.rank, shape);
        }
        resample(state, r, &source, &target, call->threads);
        source = target;
    }
    return NISSL_OK;
}

static nissl_status lower_resize(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0];
    const nissl__value *from = &c->values[in];
    resize_spec spec;
    nissl_status status = spec_of(c, node, &spec, err);
    if (status != NISSL_OK)
        return status;
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "resize", 1, &in, 1, &out, sizeof(resize_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(resize_state));
    resize_state *state = step->state;
    step->execute = execute_resize;
    step->destroy = destroy_resize;
    state->extrapolation = nissl__attr_float(node, "extrapolation_value", 0);
    bool crop = strcmp(nissl__attr_string(node, "coordinate_transformation_mode", "half_pixel"),
                       "tf_crop_and_resize") == 0;
    int64_t largest = 1, count = 1;
    for (int i = 0; i < from->rank; i++)
        largest *= NISSL__MAX(from->shape[i], spec.shape[i]);
    for (int i = 0; i < from->rank; i++) {
        bool cropped = crop && (spec.roi_begin[i] != 0 || spec.roi_end[i] != 1);
        if (spec.scale[i] == 1 && spec.shape[i] == from->shape[i] && !cropped)
            continue;
        state->n_axes++;
        if ((status = make_axis(c, node, &spec, i, from->shape[i], &state->axes[state->n_axes - 1],
                                err)) != NISSL_OK)
            return status;
        count = largest;
    }
    step->scratch_bytes = 2 * (size_t)count * nissl_type_size(from->type);
    return NISSL_OK;
}

const nissl__operator nissl__operators_resize[] = {
    {"Resize", 1, 4, infer_resize, lower_resize, .follows = true},
    {"Upsample", 1, 2, infer_resize, lower_resize, .follows = true},
    {0},
};
