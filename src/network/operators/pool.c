/* MaxPool, AveragePool and their global forms over channels-last tensors, one or two spatial axes;
 * what else there is goes through direct.c. */
#include "network/operators/operators.h"

typedef struct pool_state {
    nissl__spatial spatial;
    bool maximum;
    bool count_padding;
    const nissl__kernels *kernels;
} pool_state;

static nissl_status infer_pool(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__spatial spatial;
    int64_t shape[NISSL_MAX_RANK];
    nissl_status status;
    bool maximum = strcmp(node->onnx->op, "MaxPool") == 0;
    bool real = in->type == NISSL_FLOAT32 || in->type == NISSL_FLOAT64;
    if ((!real && (!maximum || in->type == NISSL_UINT64)) || in->type == NISSL_BOOL)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input is %s", nissl_type_name(in->type));
    if ((status = nissl__spatial_of(c, node, in, NULL, nissl__attr_int(node, "ceil_mode", 0) != 0,
                                    &spatial, err)) != NISSL_OK)
        return status;
    shape[0] = in->shape[0];
    shape[1] = in->shape[1];
    for (int i = 0; i < spatial.n; i++)
        shape[2 + i] = spatial.out[i];
    if ((status = nissl__set_shape(c, nissl__out(c, node, 1), NISSL_INT64, in->rank, shape, err)) !=
        NISSL_OK)
        return status;
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, in->rank, shape, err);
}

/* The taps of output position `at` that lie on the input: first index, number, and how many lie on
 * input or padding. */
static void taps(const nissl__spatial *s, int axis, int64_t at, int64_t *first, int64_t *n,
                 int64_t *n_padded)
{
    int64_t begin = at * s->stride[axis] - s->begin[axis], d = s->dilation[axis];
    int64_t skip = begin < 0 ? (-begin + d - 1) / d : 0;
    int64_t last = s->kernel[axis] - 1, limit = s->in[axis] - 1 - begin,
            padded = limit + s->end[axis];
    int64_t reach = limit < 0 ? -1 : NISSL__MIN(last, limit / d);
    *first = begin + skip * d;
    *n = NISSL__MAX(reach - skip + 1, 0);
    *n_padded = padded < 0 ? 0 : NISSL__MIN(last, padded / d) + 1;
}

static nissl_status execute_pool(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const pool_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    bool flat = in->rank == 3;
    nissl__spatial s = state->spatial;
    int64_t channels = in->shape[1], width = flat ? out->shape[2] : out->shape[3],
            height = flat ? 1 : out->shape[2];
    int64_t in_row = flat ? 0 : in->stride[2], in_pixel = in->stride[in->rank - 1];
    int64_t out_row = flat ? 0 : out->stride[2], out_pixel = out->stride[out->rank - 1];
    if (flat) { /* one row */
        s.in[1] = s.in[0], s.kernel[1] = s.kernel[0], s.stride[1] = s.stride[0],
        s.dilation[1] = s.dilation[0];
        s.begin[1] = s.begin[0], s.end[1] = s.end[0];
        s.in[0] = s.kernel[0] = s.stride[0] = s.dilation[0] = 1;
        s.begin[0] = s.end[0] = 0;
    }
    int64_t n_rows = in->shape[0] * height;
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        int64_t stimulus = row / height, y = row % height, first_y, n_y, padded_y;
        const float *image = (const float *)in->data + stimulus * in->stride[0];
        float *to = (float *)out->data + stimulus * out->stride[0] + y * out_row;
        taps(&s, 0, y, &first_y, &n_y, &padded_y);
        for (int64_t x = 0; x < width; x++) {
            int64_t first_x, n_x, padded_x;
            taps(&s, 1, x, &first_x, &n_x, &padded_x);
            nissl__window window = {image + first_y * in_row + first_x * in_pixel, n_y, n_x,
                                    s.dilation[0] * in_row, s.dilation[1] * in_pixel};
            if (state->maximum) {
                state->kernels->pool_max(channels, &window, to + x * out_pixel);
            } else {
                int64_t count = state->count_padding ? padded_y * padded_x : n_y * n_x;
                state->kernels->pool_sum(channels, &window, count > 0 ? 1.0f / (float)count : 0.0f,
                                         to + x * out_pixel);
            }
        }
    }
    return NISSL_OK;
}

/* Settles a channels-last input and output for a step; strides between pixels are free. */
static nissl_status add_pool(nissl__compiler *c, const nissl__node *node,
                             const nissl__spatial *spatial, bool maximum, bool count_padding,
                             nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0];
    int64_t pixel;
    nissl_status status;
    if (c->folding || c->values[in].type != NISSL_FLOAT32 || c->values[in].rank > 4 ||
        nissl__out(c, node, 1)) {
        nissl__pooling how = {.maximum = maximum,
                              .count_padding = count_padding,
                              .column_major = nissl__attr_int(node, "storage_order", 0) != 0};
        return nissl__add_direct_pool(c, node, spatial, how, err);
    }
    if (!nissl__is_channels_last(&c->values[in], &pixel) &&
        (status = nissl__dense(c, in, NISSL__CHANNELS_LAST, &in, err)) != NISSL_OK)
        return status;
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "pool", 1, &in, 1, &out, sizeof(pool_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(pool_state));
    *(pool_state *)step->state =
        (pool_state){*spatial, maximum, count_padding, nissl__kernels_best()};
    step->execute = execute_pool;
    return NISSL_OK;
}

static nissl_status lower_pool(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__spatial spatial;
    nissl_status status =
        nissl__spatial_of(c, node, nissl__in(c, node, 0), NULL,
                          nissl__attr_int(node, "ceil_mode", 0) != 0, &spatial, err);
    if (status != NISSL_OK)
        return status;
    return add_pool(c, node, &spatial, strcmp(node->onnx->op, "MaxPool") == 0,
                    nissl__attr_int(node, "count_include_pad", 0) != 0, err);
}

static nissl_status infer_global(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t shape[NISSL_MAX_RANK];
    if (in->type != NISSL_FLOAT32 && in->type != NISSL_FLOAT64)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input is %s", nissl_type_name(in->type));
    if (in->rank < 3 || in->rank > 5)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "input has rank %d, expected 3 .. 5",
                                in->rank);
    for (int i = 0; i < in->rank; i++)
        shape[i] = i < 2 ? in->shape[i] : 1;
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, in->rank, shape, err);
}

/* One window that covers the image. */
static nissl__spatial whole_image(const nissl__value *in)
{
    nissl__spatial spatial = {.n = in->rank - 2};
    for (int i = 0; i < spatial.n; i++) {
        spatial.in[i] = spatial.kernel[i] = in->shape[2 + i];
        spatial.out[i] = spatial.stride[i] = spatial.dilation[i] = 1;
    }
    return spatial;
}

static nissl_status lower_global(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__spatial spatial = whole_image(nissl__in(c, node, 0));
    return add_pool(c, node, &spatial, strcmp(node->onnx->op, "GlobalMaxPool") == 0, false, err);
}

/* ---- LpPool and GlobalLpPool ---- */

static nissl_status lower_lp(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__spatial spatial;
    nissl__pooling how = {.power = (double)nissl__attr_int(node, "p", 2)};
    nissl_status status;
    if (!(how.power >= 1))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "p = %g, at least 1", how.power);
    if (strcmp(node->onnx->op, "GlobalLpPool") == 0)
        spatial = whole_image(nissl__in(c, node, 0));
    else if ((status = nissl__spatial_of(c, node, nissl__in(c, node, 0), NULL,
                                         nissl__attr_int(node, "ceil_mode", 0) != 0, &spatial,
                                         err)) != NISSL_OK)
        return status;
    return nissl__add_direct_pool(c, node, &spatial, how, err);
}

const nissl__operator nissl__operators_pool[] = {
    {"MaxPool", 1, 1, infer_pool, lower_pool, .channels_last = true},
    {"AveragePool", 1, 1, infer_pool, lower_pool, .channels_last = true},
    {"GlobalAveragePool", 1, 1, infer_global, lower_global, .channels_last = true},
    {"GlobalMaxPool", 1, 1, infer_global, lower_global, .channels_last = true},
    {"LpPool", 1, 1, infer_pool, lower_lp, .channels_last = true},
    {"GlobalLpPool", 1, 1, infer_global, lower_lp, .channels_last = true},
    {0},
};
