/* ConvTranspose, as oneDNN's deconvolution, channels-last. */
#include "network/operators/operators.h"

static nissl_status transposed_of(nissl__compiler *c, const nissl__node *node, nissl__spatial *s,
                                  nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *weight = nissl__in(c, node, 1);
    size_t n_stride, n_dilation, n_pads, n_extra, n_shape;
    const int64_t *stride = nissl__attr_ints(node, "strides", &n_stride);
    const int64_t *dilation = nissl__attr_ints(node, "dilations", &n_dilation);
    const int64_t *pads = nissl__attr_ints(node, "pads", &n_pads);
    const int64_t *extra = nissl__attr_ints(node, "output_padding", &n_extra);
    const int64_t *shape = nissl__attr_ints(node, "output_shape", &n_shape);
    const char *auto_pad = nissl__attr_string(node, "auto_pad", "NOTSET");
    int n = in->rank - 2;
    if (n < 1 || n > 3 || weight->rank != in->rank)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "input has rank %d, weight %d, expected 3 .. 5", in->rank,
                                weight->rank);
    if ((n_stride && n_stride != (size_t)n) || (n_dilation && n_dilation != (size_t)n) ||
        (n_pads && n_pads != 2 * (size_t)n) || (n_extra && n_extra != (size_t)n) ||
        (n_shape && n_shape < (size_t)n))
        return NISSL__NODE_FAIL(
            c, err, NISSL_ERR_SHAPE,
            "strides, dilations, pads, output_padding have %zu, %zu, %zu, %zu entries for %d axes",
            n_stride, n_dilation, n_pads, n_extra, n);
    s->n = n;
    for (int i = 0; i < n; i++) {
        s->in[i] = in->shape[2 + i];
        s->kernel[i] = weight->shape[2 + i];
        s->stride[i] = n_stride ? stride[i] : 1;
        s->dilation[i] = n_dilation ? dilation[i] : 1;
        s->begin[i] = n_pads ? pads[i] : 0;
        s->end[i] = n_pads ? pads[n + i] : 0;
        int64_t more = n_extra ? extra[i] : 0;
        if (s->kernel[i] < 1 || s->stride[i] < 1 || s->dilation[i] < 1 || s->begin[i] < 0 ||
            s->end[i] < 0 || more < 0 || s->kernel[i] > 1 << 20 || s->stride[i] > 1 << 20 ||
            s->dilation[i] > 1 << 20 || more > 1 << 20 || s->begin[i] > 1 << 20 ||
            s->end[i] > 1 << 20 || s->in[i] > 1 << 30)
            return NISSL__NODE_FAIL(
                c, err, NISSL_ERR_RANGE, "kernel %lld, stride %lld, dilation %lld",
                (long long)s->kernel[i], (long long)s->stride[i], (long long)s->dilation[i]);
        int64_t whole =
            (s->in[i] - 1) * s->stride[i] + (s->kernel[i] - 1) * s->dilation[i] + 1 + more;
        bool upper = strcmp(auto_pad, "SAME_UPPER") == 0,
             lower = strcmp(auto_pad, "SAME_LOWER") == 0;
        if (n_shape || upper || lower) {
            s->out[i] = n_shape ? shape[n_shape - (size_t)n + (size_t)i] : s->in[i] * s->stride[i];
            if (s->out[i] < 1 || s->out[i] > (int64_t)1 << 40)
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "output_shape has %lld",
                                        (long long)s->out[i]);
            int64_t total = NISSL__MAX(whole - s->out[i], 0);
            s->begin[i] = upper ? total / 2 : total - total / 2;
            s->end[i] = total - s->begin[i];
        } else {
            s->out[i] = whole - s->begin[i] - s->end[i];
        }
        if (s->out[i] < 1 || s->out[i] > whole + s->begin[i] + s->stride[i])
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "spatial axis %d would have %lld positions", i,
                                    (long long)s->out[i]);
    }
    return NISSL_OK;
}

static nissl_status infer_transposed(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *weight = nissl__in(c, node, 1),
                       *bias = nissl__in(c, node, 2);
    nissl__spatial spatial;
    int64_t shape[NISSL_MAX_RANK], groups = nissl__attr_int(node, "group", 1);
    nissl_status status = transposed_of(c, node, &spatial, err);
    if (status != NISSL_OK)
        return status;
    if (in->type != NISSL_FLOAT32 || weight->type != NISSL_FLOAT32)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE,
                                "input is %s and weight %s; float32 is supported",
                                nissl_type_name(in->type), nissl_type_name(weight->type));
    if (groups < 1 || groups > 1 << 30 || in->shape[1] != weight->shape[0] ||
        weight->shape[0] % groups != 0)
        return NISSL__NODE_FAIL(
            c, err, NISSL_ERR_SHAPE, "input has %lld channels, weight %lld in %lld groups",
            (long long)in->shape[1], (long long)weight->shape[0], (long long)groups);
    if (bias && (bias->rank != 1 || bias->shape[0] != weight->shape[1] * groups))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "bias has %lld entries for %lld channels",
                                (long long)(bias->rank ? bias->shape[0] : 1),
                                (long long)(weight->shape[1] * groups));
    shape[0] = in->shape[0];
    shape[1] = weight->shape[1] * groups;
    for (int i = 0; i < spatial.n; i++)
        shape[2 + i] = spatial.out[i];
    return nissl__set_shape(c, nissl__out(c, node, 0), NISSL_FLOAT32, in->rank, shape, err);
}

static nissl_status lower_transposed(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__conv_spec spec = {.groups = nissl__attr_int(node, "group", 1), .transposed = true};
    nissl__spatial spatial;
    int in = node->inputs[0], out = node->outputs[0];
    nissl_status status;
    if (c->folding)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "convolution of a constant");
    if (nissl__any_empty(c, node))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "an operand without elements");
    if ((status = transposed_of(c, node, &spatial, err)) != NISSL_OK ||
        (status = nissl__constant_floats(c, nissl__in(c, node, 1), "weight", &spec.weight, err)) !=
            NISSL_OK ||
        (status = nissl__constant_floats(c, nissl__in(c, node, 2), "bias", &spec.bias, err)) !=
            NISSL_OK ||
        (status = nissl__dense(c, in, NISSL__CHANNELS_LAST, &in, err)) != NISSL_OK)
        return status;
    if (nissl__wide_padding(&spatial))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "padding of more than 1024");
    out = nissl__absorb_activation(c, out, &spec.epilogue);
    nissl__place(c, &c->values[out]);
    spec.n_spatial = spatial.n;
    spec.batch = c->values[in].shape[0];
    spec.in_channels = spec.in_pixel = c->values[in].shape[1];
    spec.out_channels = c->values[out].shape[1];
    for (int i = 0; i < spatial.n; i++) {
        spec.in[i] = spatial.in[i];
        spec.out[i] = spatial.out[i];
        spec.kernel[i] = spatial.kernel[i];
        spec.stride[i] = spatial.stride[i];
        spec.dilation[i] = spatial.dilation[i];
        spec.pad_begin[i] = spatial.begin[i];
        /* so that oneDNN's own formula gives this output: output_padding is a smaller padding at
         * the end */
        spec.pad_end[i] = (spatial.in[i] - 1) * spatial.stride[i] +
                          (spatial.kernel[i] - 1) * spatial.dilation[i] + 1 - spatial.begin[i] -
                          spatial.out[i];
    }
    return nissl__add_convolution(c, &spec, in, out, -1, err);
}

const nissl__operator nissl__operators_conv_transpose[] = {
    {"ConvTranspose", 2, 3, infer_transposed, lower_transposed, .channels_last = true},
    {0},
};
