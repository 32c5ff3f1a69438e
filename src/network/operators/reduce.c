/* Reductions over any axes of any numeric type. Sums of float32 run in float64. */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"

typedef enum reduction {
    REDUCE_MEAN,
    REDUCE_SUM,
    REDUCE_MAX,
    REDUCE_MIN,
    REDUCE_PROD,
    REDUCE_L1,
    REDUCE_L2,
    REDUCE_SUM_SQUARE,
    REDUCE_LOG_SUM,
    REDUCE_LOG_SUM_EXP,
    REDUCE_COUNT
} reduction;

static const char *const names[REDUCE_COUNT] = {
    "ReduceMean", "ReduceSum", "ReduceMax",       "ReduceMin",    "ReduceProd",
    "ReduceL1",   "ReduceL2",  "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
};

typedef struct reduce_state {
    bool axes[NISSL_MAX_RANK];
    reduction kind;
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
    if (in->type == NISSL_FLOAT16 || in->type == NISSL_BFLOAT16)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input is %s", nissl_type_name(in->type));
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

/* What has been gathered of one output element. */
typedef struct gathered {
    double real, shift; /* shift: largest exponent of a log-sum-exp */
    int64_t integer;
    int64_t n;
} gathered;

static void begin(gathered *g, reduction kind, nissl_type type)
{
    *g = (gathered){.real = kind == REDUCE_PROD ? 1 : 0,
                    .integer = kind == REDUCE_PROD ? 1 : 0,
                    .shift = -INFINITY};
    if (kind == REDUCE_MAX) {
        int bits = 8 * (int)nissl_type_size(type);
        bool positive = type == NISSL_BOOL || type == NISSL_UINT8 || type == NISSL_UINT16 ||
                        type == NISSL_UINT32 || type == NISSL_UINT64;
        g->real = -INFINITY;
        g->integer = positive ? 0 : bits == 64 ? INT64_MIN : -((int64_t)1 << (bits - 1));
    } else if (kind == REDUCE_MIN) {
        int bits = 8 * (int)nissl_type_size(type);
        g->real = INFINITY;
        g->integer = bits == 64           ? INT64_MAX
                     : type == NISSL_BOOL ? 1
                                          : ((int64_t)1 << (bits - 1)) - 1;
    }
}

static void add_real(gathered *g, reduction kind, double x)
{
    g->n++;
    switch (kind) {
    case REDUCE_MAX: g->real = x > g->real || x != x ? x : g->real; break;
    case REDUCE_MIN: g->real = x < g->real || x != x ? x : g->real; break;
    case REDUCE_PROD: g->real *= x; break;
    case REDUCE_L1: g->real += fabs(x); break;
    case REDUCE_L2:
    case REDUCE_SUM_SQUARE: g->real += x * x; break;
    case REDUCE_LOG_SUM_EXP:
        if (x > g->shift) {
            g->real = g->real * exp(g->shift - x) + 1;
            g->shift = x;
        } else if (x == x && g->shift > -INFINITY) {
            g->real += exp(x - g->shift);
        } else if (x != x) {
            g->real = NAN;
        }
        break;
    default: g->real += x; break;
    }
}

/* Sums of integers wrap round. */
static int64_t wrapped(int64_t sum, uint64_t x)
{
    return (int64_t)((uint64_t)sum + x);
}

static void add_integer(gathered *g, reduction kind, int64_t x)
{
    g->n++;
    switch (kind) {
    case REDUCE_MAX: g->integer = NISSL__MAX(g->integer, x); break;
    case REDUCE_MIN: g->integer = NISSL__MIN(g->integer, x); break;
    case REDUCE_PROD: g->integer = (int64_t)((uint64_t)g->integer * (uint64_t)x); break;
    case REDUCE_L1: g->integer = wrapped(g->integer, x < 0 ? 0 - (uint64_t)x : (uint64_t)x); break;
    case REDUCE_SUM_SQUARE: g->integer = wrapped(g->integer, (uint64_t)x * (uint64_t)x); break;
    default: g->integer = wrapped(g->integer, (uint64_t)x); break;
    }
}

static double finish_real(const gathered *g, reduction kind)
{
    switch (kind) {
    case REDUCE_MEAN: return g->real / (double)g->n;
    case REDUCE_L2: return sqrt(g->real);
    case REDUCE_LOG_SUM: return log(g->real);
    case REDUCE_LOG_SUM_EXP: return g->shift == -INFINITY ? -INFINITY : log(g->real) + g->shift;
    default: return g->real;
    }
}

/* One inner run of a reduction. */
static void gather_run(const reduce_state *state, gathered *g, const nissl_view *in, int64_t at,
                       int64_t n, int64_t stride, bool integers)
{
    int64_t size = (int64_t)nissl_type_size(in->type);
    const char *p = (const char *)in->data + at * size;
    if (in->type == NISSL_FLOAT32 && (state->kind == REDUCE_MEAN || state->kind == REDUCE_SUM)) {
        g->real += state->kernels->sum(n, (const float *)in->data + at, stride);
        g->n += n;
        return;
    }
    for (int64_t i = 0; i < n; i++, p += stride * size) {
        if (integers)
            add_integer(g, state->kind, nissl__read_integer(p, in->type));
        else
            add_real(g, state->kind, nissl__read_number(p, in->type));
    }
}

static nissl_status execute_reduce(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const reduce_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    int64_t inner_shape[NISSL_MAX_RANK], inner_stride[NISSL_MAX_RANK], n_inner = 1;
    int64_t outer_shape[NISSL_MAX_RANK], outer_in[NISSL_MAX_RANK], outer_out[NISSL_MAX_RANK],
        n_outer = 1;
    int n_i = 0, n_o = 0, o = 0;
    bool keep = in->rank == out->rank;
    bool integers = nissl__is_integer(in->type) &&
                    (state->kind == REDUCE_SUM || state->kind == REDUCE_MAX ||
                     state->kind == REDUCE_MIN || state->kind == REDUCE_PROD ||
                     state->kind == REDUCE_L1 || state->kind == REDUCE_SUM_SQUARE);
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
    int64_t run = n_i ? inner_shape[n_i - 1] : 1, run_stride = n_i ? inner_stride[n_i - 1] : 1;
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t k = 0; k < n_outer; k++) {
        int64_t rest = k, from = 0, to = 0;
        gathered g;
        begin(&g, state->kind, in->type);
        for (int i = n_o - 1; i >= 0; i--) {
            from += rest % outer_shape[i] * outer_in[i];
            to += rest % outer_shape[i] * outer_out[i];
            rest /= outer_shape[i];
        }
        for (int64_t r = 0; r < (run ? n_inner / run : 0); r++) {
            int64_t row = r, at = from;
            for (int i = n_i - 2; i >= 0; i--) {
                at += row % inner_shape[i] * inner_stride[i];
                row /= inner_shape[i];
            }
            gather_run(state, &g, in, at, run, run_stride, integers);
        }
        char *y = (char *)out->data + to * (int64_t)nissl_type_size(out->type);
        if (integers)
            nissl__write_integer(y, out->type, g.integer);
        else
            nissl__write_number(y, out->type, finish_real(&g, state->kind));
    }
    return NISSL_OK;
}

static nissl_status lower_reduce(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0], kind = 0;
    reduce_state state = {.kernels = nissl__kernels_best()};
    nissl_status status = reduced_axes(c, node, state.axes, err);
    if (status != NISSL_OK)
        return status;
    while (strcmp(names[kind], node->onnx->op) != 0)
        kind++;
    state.kind = (reduction)kind;
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "reduce", 1, &in, 1, &out, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(reduce_state *)step->state = state;
    step->execute = execute_reduce;
    return NISSL_OK;
}

#define REDUCE(name)                                                                               \
    {                                                                                              \
        name, 1, 2, infer_reduce, lower_reduce, .follows = false                                   \
    }

const nissl__operator nissl__operators_reduce[] = {
    REDUCE("ReduceMean"),
    REDUCE("ReduceSum"),
    REDUCE("ReduceMax"),
    REDUCE("ReduceMin"),
    REDUCE("ReduceProd"),
    REDUCE("ReduceL1"),
    REDUCE("ReduceL2"),
    REDUCE("ReduceSumSquare"),
    REDUCE("ReduceLogSum"),
    REDUCE("ReduceLogSumExp"),
    {0},
};
