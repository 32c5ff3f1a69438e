/* Conv: through oneDNN, channels-last, with what follows it applied on the way out where nobody
 * asks for the parts. */
#include "network/operators/operators.h"

#define MOST_PADDING 1024 /* of a oneDNN convolution */

nissl_status nissl__spatial_of(nissl__compiler *c, const nissl__node *node, const nissl__value *in,
                               const int64_t *kernel, bool ceil_mode, nissl__spatial *out,
                               nissl_error *err)
{
    size_t n_kernel, n_stride, n_dilation, n_pads;
    const int64_t *kernel_shape = nissl__attr_ints(node, "kernel_shape", &n_kernel);
    const int64_t *stride = nissl__attr_ints(node, "strides", &n_stride);
    const int64_t *dilation = nissl__attr_ints(node, "dilations", &n_dilation);
    const int64_t *pads = nissl__attr_ints(node, "pads", &n_pads);
    const char *auto_pad = nissl__attr_string(node, "auto_pad", "NOTSET");
    int n = in->rank - 2;
    if (n < 1 || n > 3)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "input has rank %d, expected 3 .. 5",
                                in->rank);
    if ((!kernel && n_kernel != (size_t)n) || (n_stride && n_stride != (size_t)n) ||
        (n_dilation && n_dilation != (size_t)n) || (n_pads && n_pads != 2 * (size_t)n))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "kernel_shape, strides, dilations, pads have %zu, %zu, %zu, %zu "
                                "entries for %d spatial axes",
                                n_kernel, n_stride, n_dilation, n_pads, n);
    out->n = n;
    for (int i = 0; i < n; i++) {
        int64_t begin = n_pads ? pads[i] : 0, end = n_pads ? pads[n + i] : 0;
        out->in[i] = in->shape[2 + i];
        out->kernel[i] = kernel ? kernel[i] : kernel_shape[i];
        out->stride[i] = n_stride ? stride[i] : 1;
        out->dilation[i] = n_dilation ? dilation[i] : 1;
        if (out->kernel[i] < 1 || out->stride[i] < 1 || out->dilation[i] < 1 || begin < 0 ||
            end < 0 || out->kernel[i] > 1 << 20 || out->stride[i] > 1 << 30 ||
            out->dilation[i] > 1 << 20 || begin > 1 << 20 || end > 1 << 20)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE,
                                    "kernel %lld, stride %lld, dilation %lld, pads %lld and %lld",
                                    (long long)out->kernel[i], (long long)out->stride[i],
                                    (long long)out->dilation[i], (long long)begin, (long long)end);
        int64_t extent = (out->kernel[i] - 1) * out->dilation[i] + 1;
        bool upper = strcmp(auto_pad, "SAME_UPPER") == 0,
             lower = strcmp(auto_pad, "SAME_LOWER") == 0;
        if (upper || lower) {
            out->out[i] = (out->in[i] + out->stride[i] - 1) / out->stride[i];
            int64_t total = NISSL__MAX((out->out[i] - 1) * out->stride[i] + extent - out->in[i], 0);
            begin = lower ? (total + 1) / 2 : total / 2;
            end = total - begin;
        } else {
            if (strcmp(auto_pad, "VALID") == 0)
                begin = end = 0;
            int64_t room = out->in[i] + begin + end - extent;
            if (room < 0)
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                        "kernel extent %lld exceeds the padded input %lld",
                                        (long long)extent, (long long)(out->in[i] + begin + end));
            out->out[i] = room / out->stride[i] + 1;
            if (ceil_mode) {
                out->out[i] = (room + out->stride[i] - 1) / out->stride[i] + 1;
                if ((out->out[i] - 1) * out->stride[i] >=
                    out->in[i] + begin) /* no window may begin in the end padding */
                    out->out[i]--;
            }
        }
        out->begin[i] = begin;
        out->end[i] = end;
    }
    return NISSL_OK;
}

bool nissl__wide_padding(const nissl__spatial *spatial)
{
    bool wide = false;
    for (int i = 0; i < spatial->n; i++)
        wide |= spatial->begin[i] > MOST_PADDING || spatial->end[i] > MOST_PADDING;
    return wide;
}

static nissl_status infer_conv(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *weight = nissl__in(c, node, 1),
                       *bias = nissl__in(c, node, 2);
    nissl__spatial spatial;
    int64_t shape[NISSL_MAX_RANK], groups = nissl__attr_int(node, "group", 1);
    nissl_status status;
    if ((in->type != NISSL_FLOAT32 && in->type != NISSL_FLOAT64) || weight->type != in->type ||
        (bias && bias->type != in->type))
        return NISSL__NODE_FAIL(
            c, err, NISSL_ERR_TYPE,
            "input is %s, weight %s, bias %s; float32 and float64 are supported",
            nissl_type_name(in->type), nissl_type_name(weight->type),
            bias ? nissl_type_name(bias->type) : "absent");
    if (weight->rank != in->rank || groups < 1 || groups > 1 << 30)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "input has rank %d, weight %d, groups %lld", in->rank, weight->rank,
                                (long long)groups);
    if ((status = nissl__spatial_of(c, node, in, weight->shape + 2, false, &spatial, err)) !=
        NISSL_OK)
        return status;
    if (in->shape[1] != weight->shape[1] * groups || weight->shape[0] % groups != 0)
        return NISSL__NODE_FAIL(
            c, err, NISSL_ERR_SHAPE, "input has %lld channels, weight wants %lld in %lld groups",
            (long long)in->shape[1], (long long)weight->shape[1] * groups, (long long)groups);
    if (bias && (bias->rank != 1 || bias->shape[0] != weight->shape[0]))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "bias has %lld entries for %lld channels",
                                (long long)(bias->rank ? bias->shape[0] : 1),
                                (long long)weight->shape[0]);
    shape[0] = in->shape[0];
    shape[1] = weight->shape[0];
    for (int i = 0; i < spatial.n; i++)
        shape[2 + i] = spatial.out[i];
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, in->rank, shape, err);
}

/* A following BatchNormalization with constant parameters becomes part of the weights. */
static nissl_status absorb_normalisation(nissl__compiler *c, int *value, int64_t channels,
                                         const float **weight, int64_t per_channel,
                                         const float **bias, nissl_error *err)
{
    int next = nissl__sole_consumer(c, *value);
    const float *parameters[4];
    const nissl__node *norm;
    if (next < 0)
        return NISSL_OK;
    norm = &c->network->nodes[next];
    if (strcmp(norm->onnx->op, "BatchNormalization") != 0 || norm->inputs[0] != *value)
        return NISSL_OK;
    for (int i = 0; i < 4; i++) {
        const nissl__value *p = nissl__in(c, norm, 1 + i);
        if (!p || !p->constant || p->type != NISSL_FLOAT32)
            return NISSL_OK;
        parameters[i] = p->constant;
    }
    float epsilon = nissl__attr_float(norm, "epsilon", 1e-5f);
    float *new_weight = nissl__own(c, (size_t)(channels * per_channel) * sizeof *new_weight);
    float *new_bias = nissl__own(c, (size_t)channels * sizeof *new_bias);
    if (!new_weight || !new_bias)
        return NISSL__NO_MEMORY(err, (size_t)(channels * per_channel) * sizeof *new_weight);
    for (int64_t i = 0; i < channels; i++) {
        double scale = (double)parameters[0][i] / sqrt((double)parameters[3][i] + (double)epsilon);
        double shift = (*bias ? (double)(*bias)[i] : 0.0) - (double)parameters[2][i];
        new_bias[i] = (float)((double)parameters[1][i] + shift * scale);
        for (int64_t j = 0; j < per_channel; j++)
            new_weight[i * per_channel + j] =
                (float)((double)(*weight)[i * per_channel + j] * scale);
    }
    *weight = new_weight;
    *bias = new_bias;
    *value = norm->outputs[0];
    c->absorbed[next] = true;
    return NISSL_OK;
}

/* A following Add of a tensor that is there already and dies there: the convolution accumulates
 * into its memory. */
static int absorb_sum(nissl__compiler *c, int *value)
{
    int next = nissl__sole_consumer(c, *value);
    if (next < 0)
        return -1;
    const nissl__node *add = &c->network->nodes[next];
    if (strcmp(add->onnx->op, "Add") != 0)
        return -1;
    int other = add->inputs[0] == *value ? add->inputs[1] : add->inputs[0];
    if (other < 0 || other == *value)
        return -1;
    const nissl__value *summand = &c->values[other], *result = &c->values[add->outputs[0]],
                       *mine = &c->values[*value];
    if (summand->constant || summand->home != NISSL__HOME_ARENA || summand->root != other ||
        summand->n_uses != 1 || summand->output || summand->placed || result->placed ||
        summand->def_step < 0 || !nissl__is_dense(summand, NISSL__CHANNELS_LAST) ||
        summand->rank != mine->rank)
        return -1;
    for (int i = 0; i < mine->rank; i++)
        if (summand->shape[i] != mine->shape[i])
            return -1;
    c->absorbed[next] = true;
    *value = add->outputs[0];
    return other;
}

int nissl__absorb_activation(nissl__compiler *c, int value, nissl__epilogue *epilogue)
{
    int next = nissl__sole_consumer(c, value);
    if (next < 0)
        return value;
    const nissl__node *node = &c->network->nodes[next];
    const char *op = node->onnx->op;
    if (strcmp(op, "Relu") == 0) {
        epilogue->activation = NISSL__ACT_RELU;
    } else if (strcmp(op, "LeakyRelu") == 0) {
        epilogue->activation = NISSL__ACT_RELU;
        epilogue->alpha = nissl__attr_float(node, "alpha", 0.01f);
    } else if (strcmp(op, "Clip") == 0 && node->inputs[0] == value) {
        nissl_error ignored;
        float low = nissl__attr_float(node, "min", -INFINITY),
              high = nissl__attr_float(node, "max", INFINITY);
        if ((node->n_inputs > 1 &&
             nissl__constant_float(c, node, 1, low, &low, &ignored) != NISSL_OK) ||
            (node->n_inputs > 2 &&
             nissl__constant_float(c, node, 2, high, &high, &ignored) != NISSL_OK))
            return value;
        epilogue->activation = NISSL__ACT_CLIP;
        epilogue->alpha = low;
        epilogue->beta = high;
    } else {
        return value;
    }
    c->absorbed[next] = true;
    return node->outputs[0];
}

nissl_status nissl__constant_floats(nissl__compiler *c, const nissl__value *value, const char *what,
                                    const float **out, nissl_error *err)
{
    *out = NULL;
    if (!value)
        return NISSL_OK;
    if (!value->constant)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "%s depends on the stimulus; it must be constant", what);
    *out = value->constant;
    return NISSL_OK;
}

static bool is_pointwise(const nissl__conv_spec *spec)
{
    bool pointwise = spec->groups == 1 && !spec->transposed;
    for (int i = 0; i < spec->n_spatial; i++)
        pointwise &= spec->kernel[i] == 1 && spec->stride[i] == 1 && spec->pad_begin[i] == 0 &&
                     spec->in[i] == spec->out[i];
    return pointwise;
}

/* A 1x1 convolution is a product of pixels and weights, which oneDNN writes with any distance
 * between rows: into its place in a concatenation. */
static nissl_status add_pointwise(nissl__compiler *c, const nissl__conv_spec *spec, int in, int out,
                                  nissl_error *err)
{
    nissl__matmul_spec product = {
        .rank = 2, .b = spec->weight, .bias = spec->bias, .epilogue = spec->epilogue};
    int64_t pixels = spec->batch;
    for (int i = 0; i < spec->n_spatial; i++)
        pixels *= spec->out[i];
    memcpy(product.a_shape, (int64_t[]){pixels, spec->in_channels}, sizeof(int64_t[2]));
    memcpy(product.a_stride, (int64_t[]){spec->in_pixel, 1}, sizeof(int64_t[2]));
    memcpy(product.b_shape, (int64_t[]){spec->in_channels, spec->out_channels}, sizeof(int64_t[2]));
    memcpy(product.b_stride, (int64_t[]){1, spec->in_channels}, sizeof(int64_t[2]));
    memcpy(product.out_shape, (int64_t[]){pixels, spec->out_channels}, sizeof(int64_t[2]));
    memcpy(product.out_stride, (int64_t[]){spec->out_pixel, 1}, sizeof(int64_t[2]));
    nissl__step *step = nissl__add_step(c, "conv", 1, &in, 1, &out, 0);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *step);
    return nissl__dnnl_matmul(c, step, &product, err);
}

nissl_status nissl__add_convolution(nissl__compiler *c, nissl__conv_spec *spec, int in, int out,
                                    int summand, nissl_error *err)
{
    /* First as it lies, then into a dense tensor of its own, then from a dense input as well. */
    int target = out;
    bool good = false;
    nissl_status status;
    if (summand < 0 && is_pointwise(spec) &&
        !nissl__is_dense(&c->values[out], NISSL__CHANNELS_LAST) &&
        nissl__is_channels_last(&c->values[out], &spec->out_pixel))
        return add_pointwise(c, spec, in, out, err);
    for (int attempt = 0; attempt < 3 && !good; attempt++) {
        if (attempt >= 1 && target == out &&
            !nissl__is_dense(&c->values[out], NISSL__CHANNELS_LAST)) {
            target = nissl__new_value(c, NISSL_FLOAT32, c->values[out].rank, c->values[out].shape,
                                      NISSL__CHANNELS_LAST, err);
            if (target < 0)
                return NISSL_ERR_INTERNAL;
        }
        if (attempt == 2) {
            if ((status = nissl__dense(c, in, NISSL__CHANNELS_LAST, &in, err)) != NISSL_OK)
                return status;
            spec->in_pixel = spec->in_channels;
        }
        if (!nissl__is_channels_last(&c->values[target], &spec->out_pixel))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_INTERNAL, "output is not channels-last");
        int inputs[2] = {in, summand};
        nissl__step *step = nissl__add_step(c, "conv", summand >= 0 ? 2 : 1, inputs, 1, &target, 0);
        if (!step)
            return NISSL__NO_MEMORY(err, sizeof *step);
        step->overwrite = summand >= 0 ? 1 : -1;
        if ((status = nissl__dnnl_conv(c, step, spec, &good, err)) != NISSL_OK)
            return status;
        if (!good)
            c->n_steps--;
    }
    if (!good)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "oneDNN has no kernel for this convolution");
    if (target != out) {
        int copied = target;
        c->values[copied].dynamic = true;
        nissl__step *step = nissl__add_step(c, "reorder", 1, &copied, 1, &out, 0);
        if (!step)
            return NISSL__NO_MEMORY(err, sizeof *step);
        step->execute = nissl__execute_copy;
    }
    return NISSL_OK;
}

static nissl_status lower_conv(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *weight = nissl__in(c, node, 1);
    nissl__conv_spec spec = {.groups = nissl__attr_int(node, "group", 1)};
    nissl__spatial spatial;
    nissl_status status;
    int in = node->inputs[0], out = node->outputs[0], summand;
    int64_t per_channel = 1;
    const nissl__value *bias = nissl__in(c, node, 2);
    if ((status = nissl__spatial_of(c, node, &c->values[in], weight->shape + 2, false, &spatial,
                                    err)) != NISSL_OK)
        return status;
    if (c->folding || nissl__any_empty(c, node) || nissl__wide_padding(&spatial) ||
        weight->type != NISSL_FLOAT32 || !weight->constant || (bias && !bias->constant))
        return nissl__add_direct_conv(c, node, &spatial, err);
    if ((status = nissl__constant_floats(c, weight, "weight", &spec.weight, err)) != NISSL_OK ||
        (status = nissl__constant_floats(c, bias, "bias", &spec.bias, err)) != NISSL_OK)
        return status;
    for (int i = 1; i < weight->rank; i++)
        per_channel *= weight->shape[i];
    if ((status = absorb_normalisation(c, &out, weight->shape[0], &spec.weight, per_channel,
                                       &spec.bias, err)) != NISSL_OK)
        return status;
    summand = absorb_sum(c, &out);
    spec.epilogue.accumulate = summand >= 0;
    out = nissl__absorb_activation(c, out, &spec.epilogue);
    if (!nissl__is_channels_last(&c->values[in], &spec.in_pixel)) {
        if ((status = nissl__dense(c, in, NISSL__CHANNELS_LAST, &in, err)) != NISSL_OK)
            return status;
        spec.in_pixel = c->values[in].shape[1];
    }
    nissl__place(c, &c->values[out]);
    spec.n_spatial = spatial.n;
    spec.batch = c->values[in].shape[0];
    spec.in_channels = c->values[in].shape[1];
    spec.out_channels = weight->shape[0];
    for (int i = 0; i < spatial.n; i++) {
        spec.in[i] = spatial.in[i];
        spec.out[i] = spatial.out[i];
        spec.kernel[i] = spatial.kernel[i];
        spec.stride[i] = spatial.stride[i];
        spec.dilation[i] = spatial.dilation[i];
        spec.pad_begin[i] = spatial.begin[i];
        /* what the last window reaches, which may be less than the file's padding */
        spec.pad_end[i] = (spatial.out[i] - 1) * spatial.stride[i] +
                          (spatial.kernel[i] - 1) * spatial.dilation[i] + 1 - spatial.in[i] -
                          spatial.begin[i];
    }
    return nissl__add_convolution(c, &spec, in, out, summand, err);
}

const nissl__operator nissl__operators_conv[] = {
    {"Conv", 2, 3, infer_conv, lower_conv, .channels_last = true},
    {0},
};
