/* BatchNormalization as a scale and shift per channel, and local response normalisation. */
#include "network/operators/operators.h"

typedef struct norm_state {
    float *scale, *shift; /* [channels] */
    bool relu;
    int64_t in_pixel, out_pixel; /* elements between pixels */
    int size;                    /* of LRN's window */
    float alpha, beta, k;
    const nissl__kernels *kernels;
} norm_state;

static void destroy_norm(void *memory)
{
    norm_state *state = memory;
    if (!state)
        return;
    nissl__free(state->scale);
    nissl__free(state->shift);
    nissl__free(state);
}

static nissl_status infer_norm(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    if (in->type != NISSL_FLOAT32 || in->rank < 2)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "input is %s of rank %d, expected float32 of rank 2 or more",
                                nissl_type_name(in->type), in->rank);
    for (int i = 1; i < node->n_inputs; i++) {
        const nissl__value *p = nissl__in(c, node, i);
        if (p && (p->rank != 1 || p->shape[0] != in->shape[1]))
            return NISSL__NODE_FAIL(
                c, err, NISSL_ERR_SHAPE, "input %d has %lld entries for %lld channels", i,
                (long long)(p->rank ? p->shape[0] : 1), (long long)in->shape[1]);
    }
    if (nissl__attr_int(node, "training_mode", 0))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "training_mode = 1");
    return nissl__infer_same(c, node, err);
}

/* Both kernels walk pixels: [pixels, channels] with any distance between pixels. */
static nissl_status execute_norm(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const norm_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    int64_t channels = in->shape[1], n_pixels = nissl_view_count(in) / NISSL__MAX(channels, 1);
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t pixel = 0; pixel < n_pixels; pixel++) {
        const float *x = (const float *)in->data + pixel * state->in_pixel;
        float *y = (float *)out->data + pixel * state->out_pixel;
        if (state->scale)
            state->kernels->scale_shift(channels, x, state->scale, state->shift, state->relu, y);
        else
            state->kernels->lrn(channels, x, state->size, state->alpha, state->beta, state->k, y);
    }
    return NISSL_OK;
}

/* Whether a value is rows of channels, and how far apart they lie. */
static bool pixels_of(const nissl__value *value, int64_t *pixel)
{
    if (value->rank > 2)
        return nissl__is_channels_last(value, pixel);
    *pixel = value->shape[0] > 1 ? value->stride[0] : value->shape[1];
    return value->stride[1] == 1 || value->shape[1] == 1;
}

static nissl_status add_norm(nissl__compiler *c, int in, int out, norm_state **state,
                             nissl_error *err)
{
    int64_t in_pixel, out_pixel;
    nissl_status status;
    if (c->folding)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "normalisation of a constant");
    if (!pixels_of(&c->values[in], &in_pixel)) {
        if ((status = nissl__dense(c, in, NISSL__CHANNELS_LAST, &in, err)) != NISSL_OK)
            return status;
        in_pixel = c->values[in].shape[1];
    }
    nissl__place(c, &c->values[out]);
    if (!pixels_of(&c->values[out], &out_pixel))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_INTERNAL, "output is not channels-last");
    nissl__step *step = nissl__add_step(c, "normalise", 1, &in, 1, &out, sizeof **state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof **state);
    step->execute = execute_norm;
    step->destroy = destroy_norm;
    *state = step->state;
    (*state)->kernels = nissl__kernels_best();
    (*state)->in_pixel = in_pixel;
    (*state)->out_pixel = out_pixel;
    return NISSL_OK;
}

static nissl_status lower_batch_norm(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const float *parameters[4];
    int64_t channels = c->values[node->inputs[0]].shape[1];
    nissl__epilogue epilogue = {0};
    norm_state *state = NULL;
    nissl_status status;
    int out = node->outputs[0];
    for (int i = 0; i < 4; i++) {
        const nissl__value *p = nissl__in(c, node, 1 + i);
        if (!p->constant || p->type != NISSL_FLOAT32)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                    "input %d is not a float32 constant", 1 + i);
        parameters[i] = p->constant;
    }
    int next = nissl__sole_consumer(c, out);
    if (next >= 0 && strcmp(c->network->nodes[next].onnx->op, "Relu") == 0)
        out = nissl__absorb_activation(c, out, &epilogue);
    if ((status = add_norm(c, node->inputs[0], out, &state, err)) != NISSL_OK)
        return status;
    state->scale = nissl__alloc((size_t)channels, sizeof(float));
    state->shift = nissl__alloc((size_t)channels, sizeof(float));
    if (!state->scale || !state->shift)
        return NISSL__NO_MEMORY(err, (size_t)channels * sizeof(float));
    state->relu = epilogue.activation == NISSL__ACT_RELU;
    double epsilon = (double)nissl__attr_float(node, "epsilon", 1e-5f);
    for (int64_t i = 0; i < channels; i++) {
        double scale = (double)parameters[0][i] / sqrt((double)parameters[3][i] + epsilon);
        state->scale[i] = (float)scale;
        state->shift[i] = (float)((double)parameters[1][i] - (double)parameters[2][i] * scale);
    }
    nissl__step *step = &c->steps[c->n_steps - 1];
    step->in_place = true;
    if (!state->relu) {
        step->scale = state->scale;
        step->shift = state->shift;
    }
    step->weight_bytes = 2 * (size_t)channels * sizeof(float);
    return NISSL_OK;
}

static nissl_status lower_lrn(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    norm_state *state = NULL;
    int64_t size = nissl__attr_int(node, "size", 0);
    if (size < 1 || size > 1 << 20)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "size = %lld is outside 1 .. %d",
                                (long long)size, 1 << 20);
    nissl_status status = add_norm(c, node->inputs[0], node->outputs[0], &state, err);
    if (status != NISSL_OK)
        return status;
    state->size = (int)size;
    state->alpha = nissl__attr_float(node, "alpha", 1e-4f);
    state->beta = nissl__attr_float(node, "beta", 0.75f);
    state->k = nissl__attr_float(node, "bias", 1.0f);
    return NISSL_OK;
}

const nissl__operator nissl__operators_normalise[] = {
    {"BatchNormalization", 5, 5, infer_norm, lower_batch_norm, .channels_last = true},
    {"LRN", 1, 1, infer_norm, lower_lrn, .channels_last = true},
    {0},
};
