/* Softmax, LogSoftmax and Hardmax along one axis or, before opset 13, over all axes from one on. */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"

typedef enum softmax_kind { SOFTMAX, LOG_SOFTMAX, HARDMAX } softmax_kind;

typedef struct softmax_state {
    int first_axis, last_axis;
    softmax_kind kind;
    const nissl__kernels *kernels;
} softmax_state;

static nissl_status infer_softmax(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    if (in->type != NISSL_FLOAT32 && in->type != NISSL_FLOAT64)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE,
                                "input is %s; float32 and float64 are supported",
                                nissl_type_name(in->type));
    if (nissl__axis(c, nissl__attr_int(node, "axis", node->opset >= 13 ? -1 : 1), in->rank, err) <
        0)
        return NISSL_ERR_SHAPE;
    nissl__out(c, node, 0)->unit_axis = in->unit_axis;
    return nissl__infer_same(c, node, err);
}

static void hardmax(int64_t n, const float *x, float *y)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    for (int64_t i = 0; i < n; i++)
        y[i] = i == best;
}

static void double_row(softmax_kind kind, int64_t n, double *x)
{
    double largest = x[0], sum = 0;
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > largest) {
            largest = x[i];
            best = i;
        }
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i] - largest);
    for (int64_t i = 0; i < n; i++)
        x[i] = kind == HARDMAX       ? i == best
               : kind == LOG_SOFTMAX ? x[i] - largest - log(sum)
                                     : exp(x[i] - largest) / sum;
}

/* Rows of the softmax axes, gathered into scratch where they are not contiguous. */
static nissl_status execute_softmax(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const softmax_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    nissl_view row_in = *in, row_out = *out;
    int64_t n = 1, n_rows = 1, size = (int64_t)nissl_type_size(in->type);
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
    nissl_view packed = nissl_view_of(call->scratch, in->type, row_in.rank, row_in.shape);
    bool direct = in->type == NISSL_FLOAT32 && nissl_view_contiguous(&row_in) &&
                  nissl_view_contiguous(&row_out);
    int threads = direct ? call->threads : 1; /* scratch is one row */
#pragma omp parallel for num_threads(threads) if (threads > 1) firstprivate(row_in, row_out)
    for (int64_t row = 0; row < n_rows; row++) {
        int64_t rest = row, from = 0, to = 0;
        for (int i = in->rank - 1; i >= 0; i--) {
            if (i >= state->first_axis && i <= state->last_axis)
                continue;
            from += rest % in->shape[i] * in->stride[i];
            to += rest % in->shape[i] * out->stride[i];
            rest /= in->shape[i];
        }
        row_in.data = (char *)in->data + from * size;
        row_out.data = (char *)out->data + to * size;
        const float *x = direct ? row_in.data : packed.data;
        float *y = direct ? row_out.data : packed.data;
        if (!direct)
            nissl__copy_view(&row_in, &packed, 1);
        if (in->type == NISSL_FLOAT64)
            double_row(state->kind, n, packed.data);
        else if (state->kind == HARDMAX)
            hardmax(n, x, y);
        else
            state->kernels->softmax(n, x, state->kind == LOG_SOFTMAX, y);
        if (!direct)
            nissl__copy_view(&packed, &row_out, 1);
    }
    return NISSL_OK;
}

static nissl_status lower_softmax(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0], rank = c->values[in].rank;
    bool flattened = node->opset < 13;
    int axis = nissl__axis(c, nissl__attr_int(node, "axis", flattened ? 1 : -1), rank, err);
    const char *op = node->onnx->op;
    softmax_state state = {axis, flattened ? rank - 1 : axis,
                           strcmp(op, "Hardmax") == 0      ? HARDMAX
                           : strcmp(op, "LogSoftmax") == 0 ? LOG_SOFTMAX
                                                           : SOFTMAX,
                           nissl__kernels_best()};
    int64_t n = 1;
    for (int i = state.first_axis; i <= state.last_axis; i++)
        n *= c->values[in].shape[i];
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "softmax", 1, &in, 1, &out, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(softmax_state *)step->state = state;
    step->execute = execute_softmax;
    step->in_place = true;
    step->scratch_bytes = (size_t)n * nissl_type_size(c->values[in].type);
    return NISSL_OK;
}

const nissl__operator nissl__operators_softmax[] = {
    {"Softmax", 1, 1, infer_softmax, lower_softmax, .follows = true},
    {"LogSoftmax", 1, 1, infer_softmax, lower_softmax, .follows = true},
    {"Hardmax", 1, 1, infer_softmax, lower_softmax, .follows = true},
    {0},
};
