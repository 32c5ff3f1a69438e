/* ReduceMean and ReduceSum over any axes, Softmax and LogSoftmax along one or, before opset 13,
 * from one on. */
#include "network/loop.h"
#include "network/operators/operators.h"

typedef struct reduce_state {
    bool axes[NISSL_MAX_RANK];
    bool mean;
    const nissl__kernels *kernels;
} reduce_state;

static nissl_status reduced_axes(nissl__compiler *c, const nissl__node *node, bool *chosen,
                                 nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t axes[NISSL_MAX_RANK];
    size_t n_attr;
    const int64_t *attr = nissl__attr_ints(node, "axes", &n_attr);
    int n = 0;
    if (nissl__in(c, node, 1)) {
        nissl_status status = nissl__constant_ints(c, node, 1, axes, NISSL_MAX_RANK, &n, err);
        if (status != NISSL_OK)
            return status;
    } else if (n_attr <= NISSL_MAX_RANK) {
        n = (int)n_attr;
        if (n)
            memcpy(axes, attr, n_attr * sizeof *attr);
    } else {
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%zu axes, at most %d", n_attr,
                                NISSL_MAX_RANK);
    }
    bool all = n == 0 && !nissl__attr_int(node, "noop_with_empty_axes", 0);
    for (int i = 0; i < in->rank; i++)
        chosen[i] = all;
    for (int i = 0; i < n; i++) {
        int axis = nissl__axis(c, axes[i], in->rank, err);
        if (axis < 0)
            return NISSL_ERR_SHAPE;
        chosen[axis] = true;
    }
    return NISSL_OK;
}

static nissl_status infer_reduce(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    bool chosen[NISSL_MAX_RANK], keep = nissl__attr_int(node, "keepdims", 1) != 0;
    int64_t shape[NISSL_MAX_RANK];
    int rank = 0;
    nissl_status status = reduced_axes(c, node, chosen, err);
    if (status != NISSL_OK)
        return status;
    if (in->type != NISSL_FLOAT32)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input is %s; float32 is supported",
                                nissl_type_name(in->type));
    for (int i = 0; i < in->rank; i++) {
        if (i == in->unit_axis && !chosen[i])
            nissl__out(c, node, 0)->unit_axis = rank;
        if (!chosen[i])
            shape[rank++] = in->shape[i];
        else if (keep)
            shape[rank++] = 1;
    }
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, rank, shape, err);
}

/* The reduced axes become one or a few inner loops; every sum runs in float64. */
static nissl_status execute_reduce(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const reduce_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    int64_t inner_shape[NISSL_MAX_RANK], inner_stride[NISSL_MAX_RANK], n_inner = 1;
    int64_t outer_shape[NISSL_MAX_RANK], outer_in[NISSL_MAX_RANK], outer_out[NISSL_MAX_RANK],
        n_outer = 1;
    int n_i = 0, n_o = 0, o = 0;
    bool keep = in->rank == out->rank;
    for (int i = 0; i < in->rank; i++) {
        if (state->axes[i]) {
            inner_shape[n_i] = in->shape[i];
            inner_stride[n_i++] = in->stride[i];
            n_inner *= in->shape[i];
            o += keep;
        } else {
            outer_shape[n_o] = in->shape[i];
            outer_in[n_o] = in->stride[i];
            outer_out[n_o++] = out->stride[o++];
            n_outer *= in->shape[i];
        }
    }
    for (int64_t k = 0; k < n_outer; k++) {
        int64_t rest = k, from = 0, to = 0;
        double sum = 0;
        for (int i = n_o - 1; i >= 0; i--) {
            from += rest % outer_shape[i] * outer_in[i];
            to += rest % outer_shape[i] * outer_out[i];
            rest /= outer_shape[i];
        }
        int64_t run = n_i ? inner_shape[n_i - 1] : 1, run_stride = n_i ? inner_stride[n_i - 1] : 1;
        for (int64_t r = 0; r < (run ? n_inner / run : 0); r++) {
            int64_t row = r, at = from;
            for (int i = n_i - 2; i >= 0; i--) {
                at += row % inner_shape[i] * inner_stride[i];
                row /= inner_shape[i];
            }
            sum += state->kernels->sum(run, (const float *)in->data + at, run_stride);
        }
        ((float *)out->data)[to] = (float)(state->mean ? sum / (double)n_inner : sum);
    }
    return NISSL_OK;
}

static nissl_status lower_reduce(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0];
    reduce_state state = {.mean = strcmp(node->onnx->op, "ReduceMean") == 0,
                          .kernels = nissl__kernels_best()};
    nissl_status status = reduced_axes(c, node, state.axes, err);
    if (status != NISSL_OK)
        return status;
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "reduce", 1, &in, 1, &out, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(reduce_state *)step->state = state;
    step->execute = execute_reduce;
    return NISSL_OK;
}

typedef struct softmax_state {
    int first_axis, last_axis;
    bool log;
    const nissl__kernels *kernels;
} softmax_state;

static nissl_status infer_softmax(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    if (in->type != NISSL_FLOAT32)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input is %s; float32 is supported",
                                nissl_type_name(in->type));
    if (nissl__axis(c, nissl__attr_int(node, "axis", c->network->opset >= 13 ? -1 : 1), in->rank,
                    err) < 0)
        return NISSL_ERR_SHAPE;
    nissl__out(c, node, 0)->unit_axis = in->unit_axis;
    return nissl__infer_same(c, node, err);
}

/* Rows of the softmax axes, gathered into scratch where they are not contiguous. */
static nissl_status execute_softmax(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const softmax_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    nissl_view row_in = *in, row_out = *out;
    int64_t n = 1, n_rows = 1;
    row_in.rank = row_out.rank = 0;
    for (int i = state->first_axis; i <= state->last_axis; i++) {
        row_in.shape[row_in.rank] = row_out.shape[row_in.rank] = in->shape[i];
        row_in.stride[row_in.rank] = in->stride[i];
        row_out.stride[row_in.rank++] = out->stride[i];
        n *= in->shape[i];
    }
    row_out.rank = row_in.rank;
    for (int i = 0; i < in->rank; i++)
        n_rows *= i < state->first_axis || i > state->last_axis ? in->shape[i] : 1;
    if (n == 0)
        return NISSL_OK;
    nissl_view packed = nissl_view_of(call->scratch, NISSL_FLOAT32, row_in.rank, row_in.shape);
    bool direct = nissl_view_contiguous(&row_in) && nissl_view_contiguous(&row_out);
    for (int64_t row = 0; row < n_rows; row++) {
        int64_t rest = row, from = 0, to = 0;
        for (int i = in->rank - 1; i >= 0; i--) {
            if (i >= state->first_axis && i <= state->last_axis)
                continue;
            from += rest % in->shape[i] * in->stride[i];
            to += rest % in->shape[i] * out->stride[i];
            rest /= in->shape[i];
        }
        row_in.data = (float *)in->data + from;
        row_out.data = (float *)out->data + to;
        if (direct) {
            state->kernels->softmax(n, row_in.data, state->log, row_out.data);
            continue;
        }
        nissl__copy_view(&row_in, &packed, 1);
        state->kernels->softmax(n, packed.data, state->log, packed.data);
        nissl__copy_view(&packed, &row_out, 1);
    }
    return NISSL_OK;
}

static nissl_status lower_softmax(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0], rank = c->values[in].rank;
    bool flattened = c->network->opset < 13;
    int axis = nissl__axis(c, nissl__attr_int(node, "axis", flattened ? 1 : -1), rank, err);
    softmax_state state = {axis, flattened ? rank - 1 : axis,
                           strcmp(node->onnx->op, "LogSoftmax") == 0, nissl__kernels_best()};
    int64_t n = 1;
    for (int i = state.first_axis; i <= state.last_axis; i++)
        n *= c->values[in].shape[i];
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "softmax", 1, &in, 1, &out, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(softmax_state *)step->state = state;
    step->execute = execute_softmax;
    step->scratch_bytes = (size_t)n * sizeof(float);
    return NISSL_OK;
}

const nissl__operator nissl__operators_reduce[] = {
    {"ReduceMean", 1, 2, infer_reduce, lower_reduce, .follows = false},
    {"ReduceSum", 1, 2, infer_reduce, lower_reduce, .follows = false},
    {"Softmax", 1, 1, infer_softmax, lower_softmax, .follows = true},
    {"LogSoftmax", 1, 1, infer_softmax, lower_softmax, .follows = true},
    {0},
};
