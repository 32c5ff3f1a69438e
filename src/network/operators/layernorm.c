/* Normalisation by statistics of the stimulus itself: layer, root-mean-square, instance, group and
 * Lp. */
#include "network/operators/operators.h"

typedef struct layernorm_state {
    int64_t n; /* elements of a row */
    bool rms;
    float epsilon;
    int64_t channels; /* instance and group: scale and shift are per channel; 0 = per element of the
                         row */
    int64_t groups;   /* rows per stimulus */
    bool per_group;   /* group normalisation before opset 21 */
    const nissl__kernels *kernels;
} layernorm_state;

static int64_t count_from(const nissl__value *value, int axis)
{
    int64_t count = 1;
    for (int i = axis; i < value->rank; i++)
        count *= value->shape[i];
    return count;
}

static nissl_status infer_layernorm(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *scale = nissl__in(c, node, 1),
                       *shift = nissl__in(c, node, 2);
    int axis = nissl__axis(c, nissl__attr_int(node, "axis", -1), in->rank, err);
    int64_t shape[NISSL_MAX_RANK];
    nissl_status status;
    if (axis < 0)
        return NISSL_ERR_SHAPE;
    if ((status = nissl__check_float32(c, node, 3, err)) != NISSL_OK)
        return status;
    if (count_from(scale, 0) != count_from(in, axis) ||
        (shift && count_from(shift, 0) != count_from(in, axis)))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "scale of %lld elements for rows of %lld",
                                (long long)count_from(scale, 0), (long long)count_from(in, axis));
    for (int i = 0; i < in->rank; i++)
        shape[i] = i < axis ? in->shape[i] : 1;
    nissl__out(c, node, 0)->unit_axis = in->unit_axis;
    for (int i = 1; i < node->n_outputs; i++)
        if ((status = nissl__set_shape(c, nissl__out(c, node, i), NISSL_FLOAT32, in->rank, shape,
                                       err)) != NISSL_OK)
            return status;
    return nissl__infer_same(c, node, err);
}

static nissl_status execute_rows(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const layernorm_state *state = step->state;
    const float *x = call->in[0]->data, *scale = call->in[1] ? call->in[1]->data : NULL;
    const float *shift = call->in[2] ? call->in[2]->data : NULL;
    float *y = call->out[0]->data, *mean = call->out[1] ? call->out[1]->data : NULL;
    float *deviation = call->out[2] ? call->out[2]->data : NULL;
    int64_t n_rows = state->n ? nissl_view_count(call->in[0]) / state->n : 0;
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        float moments[2];
        state->kernels->layer_norm(state->n, x + row * state->n, scale, shift, state->epsilon,
                                   state->rms, y + row * state->n, moments);
        if (mean)
            mean[row] = moments[0];
        if (deviation)
            deviation[row] = moments[1];
    }
    return NISSL_OK;
}

/* A product with a constant row that follows a root-mean-square norm becomes part of its scale.
 * Returns the value that then holds the result, and in *scale that of the scale. */
static int absorb_scale(nissl__compiler *c, int value, int *scale, nissl_error *err)
{
    int next = nissl__sole_consumer(c, value);
    if (next < 0 || strcmp(c->network->nodes[next].onnx->op, "Mul") != 0)
        return value;
    const nissl__node *mul = &c->network->nodes[next];
    const nissl__value *own = &c->values[*scale];
    int other = mul->inputs[0] == value ? mul->inputs[1] : mul->inputs[0];
    const nissl__value *row = other >= 0 ? &c->values[other] : NULL;
    if (!row || other == value || !row->constant || !own->constant || row->type != NISSL_FLOAT32 ||
        own->type != NISSL_FLOAT32 || row->rank != 1 || own->rank != 1 ||
        row->shape[0] != own->shape[0])
        return value;
    const float *a = own->constant, *b = row->constant;
    float *both = nissl__own(c, (size_t)row->shape[0] * sizeof *both);
    int merged = both ? nissl__new_value(c, NISSL_FLOAT32, 1, row->shape, NISSL__PLAIN, err) : -1;
    if (merged < 0)
        return value;
    for (int64_t i = 0; i < row->shape[0]; i++)
        both[i] = a[i] * b[i];
    c->values[merged].constant = both;
    c->values[merged].home = NISSL__HOME_CONSTANT;
    c->values[merged].dynamic = false;
    *scale = merged;
    c->absorbed[next] = true;
    return mul->outputs[0];
}

static nissl_status lower_layernorm(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int inputs[3] = {-1, -1, -1}, outputs[3] = {-1, -1, -1};
    nissl_status status;
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] >= 0 &&
            (status = nissl__dense(c, node->inputs[i], NISSL__PLAIN, &inputs[i], err)) != NISSL_OK)
            return status;
    for (int i = 0; i < node->n_outputs; i++) {
        nissl__value *out = nissl__out(c, node, i);
        if (!out || (i > 0 && !out->needed && !c->folding))
            continue;
        outputs[i] = node->outputs[i];
        if (i == 0 && strcmp(node->onnx->op, "RMSNormalization") == 0)
            outputs[0] = absorb_scale(c, outputs[0], &inputs[1], err);
        nissl__place(c, &c->values[outputs[i]]);
    }
    if (outputs[0] < 0)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "only the statistics are asked for");
    nissl__step *step =
        nissl__add_step(c, "layernorm", 3, inputs, 3, outputs, sizeof(layernorm_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(layernorm_state));
    const nissl__value *in = &c->values[inputs[0]];
    *(layernorm_state *)step->state = (layernorm_state){
        .n = count_from(in, nissl__axis(c, nissl__attr_int(node, "axis", -1), in->rank, err)),
        .rms = strcmp(node->onnx->op, "RMSNormalization") == 0,
        .epsilon = nissl__attr_float(node, "epsilon", 1e-5f),
        .kernels = nissl__kernels_best(),
    };
    step->execute = execute_rows;
    step->in_place = true;
    return NISSL_OK;
}

/* ---- instance and group normalisation: rows of spatial positions, one scale and shift per channel
 * ---- */

static nissl_status infer_groups(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *scale = nissl__in(c, node, 1),
                       *shift = nissl__in(c, node, 2);
    bool instance = strcmp(node->onnx->op, "InstanceNormalization") == 0;
    int64_t channels = in->rank >= 2 ? in->shape[1] : 0;
    int64_t groups = instance ? channels : nissl__attr_int(node, "num_groups", 0);
    nissl_status status = nissl__check_float32(c, node, 3, err);
    if (status != NISSL_OK)
        return status;
    if (in->rank < 2 || groups < 1 || channels % groups != 0)
        return NISSL__NODE_FAIL(
            c, err, NISSL_ERR_SHAPE, "input is %s of rank %d with %lld channels in %lld groups",
            nissl_type_name(in->type), in->rank, (long long)channels, (long long)groups);
    int64_t n = count_from(scale, 0);
    if (n != count_from(shift, 0) || (n != channels && n != groups))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "%lld scales and %lld shifts for %lld channels", (long long)n,
                                (long long)count_from(shift, 0), (long long)channels);
    nissl__out(c, node, 0)->unit_axis = 1;
    return nissl__infer_same(c, node, err);
}

static nissl_status execute_groups(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const layernorm_state *state = step->state;
    const float *x = call->in[0]->data, *scale = call->in[1]->data, *shift = call->in[2]->data;
    float *y = call->out[0]->data;
    int64_t n_rows = state->n ? nissl_view_count(call->in[0]) / state->n : 0;
    int64_t per_row = state->channels / state->groups, positions = state->n / per_row;
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        float *to = y + row * state->n;
        state->kernels->layer_norm(state->n, x + row * state->n, NULL, NULL, state->epsilon, 0, to,
                                   NULL);
        for (int64_t i = 0; i < per_row; i++) {
            int64_t group = row % state->groups,
                    at = state->per_group ? group : group * per_row + i;
            for (int64_t j = 0; j < positions; j++)
                to[i * positions + j] = to[i * positions + j] * scale[at] + shift[at];
        }
    }
    return NISSL_OK;
}

static nissl_status lower_groups(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int inputs[3], out = node->outputs[0], target = out;
    nissl_status status;
    for (int i = 0; i < 3; i++)
        if ((status = nissl__dense(c, node->inputs[i], NISSL__PLAIN, &inputs[i], err)) != NISSL_OK)
            return status;
    const nissl__value *in = &c->values[inputs[0]];
    nissl__place(c, &c->values[out]);
    if (!nissl__is_dense(&c->values[out], NISSL__PLAIN) &&
        (target = nissl__new_value(c, NISSL_FLOAT32, in->rank, in->shape, NISSL__PLAIN, err)) < 0)
        return NISSL_ERR_INTERNAL;
    nissl__step *step =
        nissl__add_step(c, "groupnorm", 3, inputs, 1, &target, sizeof(layernorm_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(layernorm_state));
    bool instance = strcmp(node->onnx->op, "InstanceNormalization") == 0;
    int64_t channels = in->shape[1],
            groups = instance ? channels : nissl__attr_int(node, "num_groups", 1);
    *(layernorm_state *)step->state = (layernorm_state){
        .n = count_from(in, 1) / groups,
        .epsilon = nissl__attr_float(node, "epsilon", 1e-5f),
        .channels = channels,
        .groups = groups,
        .per_group = count_from(nissl__in(c, node, 1), 0) != channels,
        .kernels = nissl__kernels_best(),
    };
    step->execute = execute_groups;
    if (target == out)
        return NISSL_OK;
    step = nissl__add_step(c, "reorder", 1, &target, 1, &out, 0);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *step);
    step->execute = nissl__execute_copy;
    return NISSL_OK;
}

const nissl__operator nissl__operators_layernorm[] = {
    {"LayerNormalization", 2, 3, infer_layernorm, lower_layernorm, .follows = false},
    {"RMSNormalization", 2, 2, infer_layernorm, lower_layernorm, .follows = false},
    {"InstanceNormalization", 3, 3, infer_groups, lower_groups, .follows = true},
    {"GroupNormalization", 3, 3, infer_groups, lower_groups, .follows = true},
    {0},
};
