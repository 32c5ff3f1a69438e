/* Operators that work element by element: unary functions and broadcast arithmetic. */
#include "network/loop.h"
#include "network/operators/operators.h"

/* ---- unary ---- */

typedef struct unary_state {
    nissl__unary op;
    float alpha, beta;
    const nissl__kernels *kernels;
} unary_state;

static const struct {
    const char *name;
    nissl__unary op;
    float alpha, beta; /* defaults of the attributes */
} unaries[] = {
    {"Relu", NISSL__UNARY_RELU, 0, 0},
    {"LeakyRelu", NISSL__UNARY_LEAKY_RELU, 0.01f, 0},
    {"Sigmoid", NISSL__UNARY_SIGMOID, 0, 0},
    {"Tanh", NISSL__UNARY_TANH, 0, 0},
    {"HardSigmoid", NISSL__UNARY_HARD_SIGMOID, 0.2f, 0.5f},
    {"HardSwish", NISSL__UNARY_HARD_SWISH, 0, 0},
    {"Exp", NISSL__UNARY_EXP, 0, 0},
    {"Sqrt", NISSL__UNARY_SQRT, 0, 0},
    {"Neg", NISSL__UNARY_NEG, 0, 0},
    {"Abs", NISSL__UNARY_ABS, 0, 0},
    {"Reciprocal", NISSL__UNARY_RECIPROCAL, 0, 0},
    {"Clip", NISSL__UNARY_CLIP, -INFINITY, INFINITY},
};

static nissl_status infer_unary(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    if (in->type != NISSL_FLOAT32)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input is %s; float32 is supported",
                                nissl_type_name(in->type));
    return nissl__infer_same(c, node, err);
}

static nissl_status execute_unary(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const unary_state *state = step->state;
    nissl__loop loop;
    if (nissl_view_count(call->out[0]) == 0)
        return NISSL_OK;
    nissl__loop_make(&loop, 2, (const nissl_view *const[]){call->out[0], call->in[0]});
    int last = loop.rank - 1;
    const float *x = call->in[0]->data;
    float *y = call->out[0]->data;
    bool dense = loop.stride[1][last] == 1 && (loop.stride[0][last] == 1 || loop.shape[last] == 1);
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t row = 0; row < loop.n_rows; row++) {
        int64_t at[NISSL__LOOP_VIEWS];
        nissl__loop_row(&loop, row, at);
        if (dense) {
            state->kernels->unary(state->op, loop.shape[last], x + at[1], y + at[0], state->alpha,
                                  state->beta);
            continue;
        }
        for (int64_t i = 0; i < loop.shape[last]; i++)
            state->kernels->unary(state->op, 1, x + at[1] + i * loop.stride[1][last],
                                  y + at[0] + i * loop.stride[0][last], state->alpha, state->beta);
    }
    return NISSL_OK;
}

static nissl_status lower_unary(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0];
    unary_state state = {.kernels = nissl__kernels_best()};
    nissl_status status;
    for (size_t i = 0; i < sizeof unaries / sizeof *unaries; i++) {
        if (strcmp(unaries[i].name, node->onnx->op) != 0)
            continue;
        bool clip = unaries[i].op == NISSL__UNARY_CLIP;
        state.op = unaries[i].op;
        state.alpha = nissl__attr_float(node, clip ? "min" : "alpha", unaries[i].alpha);
        state.beta = nissl__attr_float(node, clip ? "max" : "beta", unaries[i].beta);
    }
    if ((status = nissl__constant_float(c, node, 1, state.alpha, &state.alpha, err)) != NISSL_OK ||
        (status = nissl__constant_float(c, node, 2, state.beta, &state.beta, err)) != NISSL_OK)
        return status;
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "unary", 1, &in, 1, &out, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(unary_state *)step->state = state;
    step->execute = execute_unary;
    step->in_place = true;
    return NISSL_OK;
}

/* ---- binary ---- */

nissl_status nissl__broadcast(nissl__compiler *c, const nissl__value *a, const nissl__value *b,
                              int *rank, int64_t *shape, nissl_error *err)
{
    *rank = NISSL__MAX(a->rank, b->rank);
    for (int i = 0; i < *rank; i++) {
        int ia = i - (*rank - a->rank), ib = i - (*rank - b->rank);
        int64_t sa = ia >= 0 ? a->shape[ia] : 1, sb = ib >= 0 ? b->shape[ib] : 1;
        if (sa != sb && sa != 1 && sb != 1)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "axis %d: %lld and %lld cannot be broadcast together", i,
                                    (long long)sa, (long long)sb);
        shape[i] = sa == 1 ? sb : sa;
    }
    return NISSL_OK;
}

static nissl_status infer_binary(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *a = nissl__in(c, node, 0), *b = nissl__in(c, node, 1);
    int64_t shape[NISSL_MAX_RANK];
    int rank;
    nissl_status status;
    if (a->type != b->type || (a->type != NISSL_FLOAT32 && a->type != NISSL_FLOAT64 &&
                               a->type != NISSL_INT64 && a->type != NISSL_INT32))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "operands are %s and %s",
                                nissl_type_name(a->type), nissl_type_name(b->type));
    if ((status = nissl__broadcast(c, a, b, &rank, shape, err)) != NISSL_OK)
        return status;
    nissl__value *out = nissl__out(c, node, 0);
    if ((status = nissl__set_shape(c, out, a->type, rank, shape, err)) != NISSL_OK)
        return status;
    const nissl__value *wide = a->dynamic && a->rank == rank ? a : b;
    if (out->unit_axis < 0 && wide->rank == rank)
        out->unit_axis = wide->unit_axis;
    return NISSL_OK;
}

typedef struct binary_state {
    nissl__binary op;
    const nissl__kernels *kernels;
} binary_state;

static int64_t integer_op(nissl__binary op, int64_t a, int64_t b)
{
    switch (op) {
    case NISSL__BINARY_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
    case NISSL__BINARY_SUB: return (int64_t)((uint64_t)a - (uint64_t)b);
    case NISSL__BINARY_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
    case NISSL__BINARY_DIV: return b == 0 || (b == -1 && a == INT64_MIN) ? 0 : a / b;
    case NISSL__BINARY_MAX: return NISSL__MAX(a, b);
    default: return NISSL__MIN(a, b);
    }
}

static double real_op(nissl__binary op, double a, double b)
{
    switch (op) {
    case NISSL__BINARY_ADD: return a + b;
    case NISSL__BINARY_SUB: return a - b;
    case NISSL__BINARY_MUL: return a * b;
    case NISSL__BINARY_DIV: return a / b;
    case NISSL__BINARY_MAX: return NISSL__MAX(a, b);
    default: return NISSL__MIN(a, b);
    }
}

/* float64, int32 and int64: shape arithmetic and the like, not hot. */
static void other_types(nissl__binary op, nissl_type type, int64_t n, const char *a, int64_t sa,
                        const char *b, int64_t sb, char *y, int64_t sy)
{
    size_t size = nissl_type_size(type);
    for (int64_t i = 0; i < n; i++) {
        const void *pa = a + (int64_t)size * i * sa, *pb = b + (int64_t)size * i * sb;
        void *py = y + (int64_t)size * i * sy;
        if (type == NISSL_INT64) {
            *(int64_t *)py = integer_op(op, *(const int64_t *)pa, *(const int64_t *)pb);
        } else if (type == NISSL_INT32) {
            *(int32_t *)py = (int32_t)integer_op(op, *(const int32_t *)pa, *(const int32_t *)pb);
        } else if (type == NISSL_FLOAT64) {
            *(double *)py = real_op(op, *(const double *)pa, *(const double *)pb);
        }
    }
}

static nissl_status execute_binary(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const binary_state *state = step->state;
    const nissl_view *out = call->out[0];
    nissl__loop loop;
    if (nissl_view_count(out) == 0)
        return NISSL_OK;
    nissl__loop_make(&loop, 3, (const nissl_view *const[]){out, call->in[0], call->in[1]});
    int last = loop.rank - 1;
    int64_t n = loop.shape[last], sy = loop.stride[0][last], sa = loop.stride[1][last],
            sb = loop.stride[2][last];
    bool fast = out->type == NISSL_FLOAT32 && (sy == 1 || n == 1) && (sa == 0 || sa == 1) &&
                (sb == 0 || sb == 1) && (sa || sb || n == 1);
    size_t size = nissl_type_size(out->type);
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t row = 0; row < loop.n_rows; row++) {
        int64_t at[NISSL__LOOP_VIEWS];
        nissl__loop_row(&loop, row, at);
        const char *a = (const char *)call->in[0]->data + at[1] * (int64_t)size;
        const char *b = (const char *)call->in[1]->data + at[2] * (int64_t)size;
        char *y = (char *)out->data + at[0] * (int64_t)size;
        if (fast) {
            state->kernels->binary(state->op, n, (const float *)(const void *)a, sa,
                                   (const float *)(const void *)b, sb, (float *)(void *)y);
        } else if (out->type == NISSL_FLOAT32) {
            for (int64_t i = 0; i < n; i++)
                state->kernels->binary(state->op, 1, (const float *)(const void *)a + i * sa, 1,
                                       (const float *)(const void *)b + i * sb, 1,
                                       (float *)(void *)y + i * sy);
        } else {
            other_types(state->op, out->type, n, a, sa, b, sb, y, sy);
        }
    }
    return NISSL_OK;
}

nissl_status nissl__add_binary(nissl__compiler *c, nissl__binary op, int a, int b, int out,
                               nissl_error *err)
{
    nissl__place(c, &c->values[out]);
    nissl__step *step =
        nissl__add_step(c, "binary", 2, (const int[]){a, b}, 1, &out, sizeof(binary_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(binary_state));
    *(binary_state *)step->state = (binary_state){op, nissl__kernels_best()};
    step->execute = execute_binary;
    step->in_place = a != b;
    return NISSL_OK;
}

static nissl_status lower_binary(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    static const char *const names[NISSL__BINARY_COUNT] = {"Add", "Sub", "Mul",
                                                           "Div", "Max", "Min"};
    for (int op = 0; op < NISSL__BINARY_COUNT; op++)
        if (strcmp(names[op], node->onnx->op) == 0)
            return nissl__add_binary(c, (nissl__binary)op, node->inputs[0], node->inputs[1],
                                     node->outputs[0], err);
    return NISSL__NODE_FAIL(c, err, NISSL_ERR_INTERNAL, "no such function");
}

const nissl__operator nissl__operators_elementwise[] = {
    {"Relu", 1, 1, infer_unary, lower_unary, .follows = true},
    {"LeakyRelu", 1, 1, infer_unary, lower_unary, .follows = true},
    {"Sigmoid", 1, 1, infer_unary, lower_unary, .follows = true},
    {"Tanh", 1, 1, infer_unary, lower_unary, .follows = true},
    {"HardSigmoid", 1, 1, infer_unary, lower_unary, .follows = true},
    {"HardSwish", 1, 1, infer_unary, lower_unary, .follows = true},
    {"Exp", 1, 1, infer_unary, lower_unary, .follows = true},
    {"Sqrt", 1, 1, infer_unary, lower_unary, .follows = true},
    {"Neg", 1, 1, infer_unary, lower_unary, .follows = true},
    {"Abs", 1, 1, infer_unary, lower_unary, .follows = true},
    {"Reciprocal", 1, 1, infer_unary, lower_unary, .follows = true},
    {"Clip", 1, 3, infer_unary, lower_unary, .follows = true},
    {"Add", 2, 2, infer_binary, lower_binary, .follows = true},
    {"Sub", 2, 2, infer_binary, lower_binary, .follows = true},
    {"Mul", 2, 2, infer_binary, lower_binary, .follows = true},
    {"Div", 2, 2, infer_binary, lower_binary, .follows = true},
    {"Max", 2, 2, infer_binary, lower_binary, .follows = true},
    {"Min", 2, 2, infer_binary, lower_binary, .follows = true},
    {0},
};
