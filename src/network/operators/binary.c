/* Functions of two or more elements with broadcasting: arithmetic, comparison, logic, Where. */
#include "network/loop.h"
#include "network/operators/numbers.h"
#include "network/operators/operators.h"

static double f_add(double a, double b)
{
    return a + b;
}
static double f_sub(double a, double b)
{
    return a - b;
}
static double f_mul(double a, double b)
{
    return a * b;
}
static double f_div(double a, double b)
{
    return a / b;
}
static double f_max(double a, double b)
{
    return a != a || a > b ? a : b;
}
static double f_min(double a, double b)
{
    return a != a || a < b ? a : b;
}
static double f_pow(double a, double b)
{
    return pow(a, b);
}
static double f_prelu(double a, double b)
{
    return a < 0 ? a * b : a;
}
static double f_fmod(double a, double b)
{
    return fmod(a, b);
}
static double f_mod(double a, double b)
{
    return a - floor(a / b) * b;
}
static double f_equal(double a, double b)
{
    return a == b;
}
static double f_less(double a, double b)
{
    return a < b;
}
static double f_greater(double a, double b)
{
    return a > b;
}
static double f_less_equal(double a, double b)
{
    return a <= b;
}
static double f_greater_equal(double a, double b)
{
    return a >= b;
}
static double f_and(double a, double b)
{
    return a != 0 && b != 0;
}
static double f_or(double a, double b)
{
    return a != 0 || b != 0;
}
static double f_xor(double a, double b)
{
    return (a != 0) != (b != 0);
}

static int64_t i_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static int64_t i_sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static int64_t i_mul(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}
static int64_t i_div(int64_t a, int64_t b)
{
    return b == 0 || (b == -1 && a == INT64_MIN) ? 0 : a / b;
}
static int64_t i_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
static int64_t i_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static int64_t i_rest(int64_t a, int64_t b)
{
    return b == 0 || b == -1 ? 0 : a % b;
}
static int64_t i_mod(int64_t a, int64_t b)
{
    int64_t rest = i_rest(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
static int64_t i_pow(int64_t a, int64_t b)
{
    uint64_t result = 1, base = (uint64_t)a;
    if (b < 0)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    for (; b; b >>= 1, base *= base)
        result *= b & 1 ? base : 1;
    return (int64_t)result;
}
static int64_t i_equal(int64_t a, int64_t b)
{
    return a == b;
}
static int64_t i_less(int64_t a, int64_t b)
{
    return a < b;
}
static int64_t i_greater(int64_t a, int64_t b)
{
    return a > b;
}
static int64_t i_less_equal(int64_t a, int64_t b)
{
    return a <= b;
}
static int64_t i_greater_equal(int64_t a, int64_t b)
{
    return a >= b;
}

/* uint64_t in the bits of int64_t, where that makes a difference */
static int64_t u_div(int64_t a, int64_t b)
{
    return b == 0 ? 0 : (int64_t)((uint64_t)a / (uint64_t)b);
}
static int64_t u_mod(int64_t a, int64_t b)
{
    return b == 0 ? 0 : (int64_t)((uint64_t)a % (uint64_t)b);
}
static int64_t u_max(int64_t a, int64_t b)
{
    return (uint64_t)a > (uint64_t)b ? a : b;
}
static int64_t u_min(int64_t a, int64_t b)
{
    return (uint64_t)a < (uint64_t)b ? a : b;
}
static int64_t u_less(int64_t a, int64_t b)
{
    return (uint64_t)a < (uint64_t)b;
}
static int64_t u_greater(int64_t a, int64_t b)
{
    return (uint64_t)a > (uint64_t)b;
}
static int64_t u_less_equal(int64_t a, int64_t b)
{
    return (uint64_t)a <= (uint64_t)b;
}
static int64_t u_greater_equal(int64_t a, int64_t b)
{
    return (uint64_t)a >= (uint64_t)b;
}

static int64_t i_bit_and(int64_t a, int64_t b)
{
    return a & b;
}
static int64_t i_bit_or(int64_t a, int64_t b)
{
    return a | b;
}
static int64_t i_bit_xor(int64_t a, int64_t b)
{
    return a ^ b;
}
static int64_t i_shift_left(int64_t a, int64_t b)
{
    return (uint64_t)b < 64 ? (int64_t)((uint64_t)a << b) : 0;
}
static int64_t i_shift_right(int64_t a, int64_t b) /* of unsigned types */
{
    return (uint64_t)b < 64 ? (int64_t)((uint64_t)a >> b) : 0;
}

#define NO_KERNEL NISSL__BINARY_COUNT

typedef struct function {
    const char *name;
    nissl__binary kernel;
    double (*real)(double a, double b);
    int64_t (*integer)(int64_t a, int64_t b);   /* NULL: integers go through real */
    bool predicate;                             /* the result is bool */
    int64_t (*unsigned_)(int64_t a, int64_t b); /* of uint64_t; NULL: as integer */
} function;

static const function functions[] = {
    {"Add", NISSL__BINARY_ADD, f_add, i_add, false, NULL},
    {"Sub", NISSL__BINARY_SUB, f_sub, i_sub, false, NULL},
    {"Mul", NISSL__BINARY_MUL, f_mul, i_mul, false, NULL},
    {"Div", NISSL__BINARY_DIV, f_div, i_div, false, u_div},
    {"Max", NISSL__BINARY_MAX, f_max, i_max, false, u_max},
    {"Min", NISSL__BINARY_MIN, f_min, i_min, false, u_min},
    {"Sum", NISSL__BINARY_ADD, f_add, i_add, false, NULL},
    {"Mean", NISSL__BINARY_ADD, f_add, i_add, false, NULL},
    {"Pow", NO_KERNEL, f_pow, i_pow, false, NULL},
    {"PRelu", NO_KERNEL, f_prelu, NULL, false, NULL},
    {"Mod", NO_KERNEL, f_mod, i_mod, false, u_mod},
    {"Mod/fmod", NO_KERNEL, f_fmod, i_rest, false, u_mod},
    {"Equal", NO_KERNEL, f_equal, i_equal, true, NULL},
    {"Less", NO_KERNEL, f_less, i_less, true, u_less},
    {"Greater", NO_KERNEL, f_greater, i_greater, true, u_greater},
    {"LessOrEqual", NO_KERNEL, f_less_equal, i_less_equal, true, u_less_equal},
    {"GreaterOrEqual", NO_KERNEL, f_greater_equal, i_greater_equal, true, u_greater_equal},
    {"And", NO_KERNEL, f_and, NULL, true, NULL},
    {"Or", NO_KERNEL, f_or, NULL, true, NULL},
    {"Xor", NO_KERNEL, f_xor, NULL, true, NULL},
    {"BitwiseAnd", NO_KERNEL, NULL, i_bit_and, false, NULL},
    {"BitwiseOr", NO_KERNEL, NULL, i_bit_or, false, NULL},
    {"BitwiseXor", NO_KERNEL, NULL, i_bit_xor, false, NULL},
    {"BitShift/LEFT", NO_KERNEL, NULL, i_shift_left, false, NULL},
    {"BitShift/RIGHT", NO_KERNEL, NULL, i_shift_right, false, NULL},
};

static const function *function_of(const nissl__node *node)
{
    const char *name = node->onnx->op;
    if (strcmp(name, "Mod") == 0 && nissl__attr_int(node, "fmod", 0))
        name = "Mod/fmod";
    if (strcmp(name, "BitShift") == 0)
        name = strcmp(nissl__attr_string(node, "direction", ""), "LEFT") == 0 ? "BitShift/LEFT"
                                                                              : "BitShift/RIGHT";
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0)
            return &functions[i];
    return NULL;
}

nissl_status nissl__broadcast(nissl__compiler *c, const nissl__value *a, const nissl__value *b,
                              int *rank, int64_t *shape, nissl_error *err)
{
    int n = NISSL__MAX(a->rank, b->rank);
    int64_t result[NISSL_MAX_RANK];
    for (int i = 0; i < n; i++) {
        int ia = i - (n - a->rank), ib = i - (n - b->rank);
        int64_t sa = ia >= 0 ? a->shape[ia] : 1, sb = ib >= 0 ? b->shape[ib] : 1;
        if (sa != sb && sa != 1 && sb != 1)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "axis %d: %lld and %lld cannot be broadcast together", i,
                                    (long long)sa, (long long)sb);
        result[i] = sa == 1 ? sb : sa;
    }
    memcpy(shape, result, sizeof result);
    *rank = n;
    return NISSL_OK;
}

/* All inputs broadcast together, which for Where includes the condition. */
static nissl_status infer_together(nissl__compiler *c, const nissl__node *node, int first,
                                   nissl_type type, nissl_error *err)
{
    nissl__value shape = *nissl__in(c, node, 0), *out = nissl__out(c, node, 0);
    nissl_status status;
    for (int i = 0; i < node->n_inputs; i++) {
        const nissl__value *in = nissl__in(c, node, i);
        if (!in)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_FORMAT, "input %d is absent", i);
        if (i >= first && in->type != nissl__in(c, node, first)->type &&
            strcmp(node->onnx->op, "Pow") != 0)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "operands are %s and %s",
                                    nissl_type_name(nissl__in(c, node, first)->type),
                                    nissl_type_name(in->type));
        if (in->type == NISSL_FLOAT16 || in->type == NISSL_BFLOAT16)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "operand %d is %s", i,
                                    nissl_type_name(in->type));
        if ((status = nissl__broadcast(c, &shape, in, &shape.rank, shape.shape, err)) != NISSL_OK)
            return status;
    }
    if ((status = nissl__set_shape(c, out, type, shape.rank, shape.shape, err)) != NISSL_OK)
        return status;
    out->unit_axis = -1;
    for (int i = 0; i < node->n_inputs; i++) { /* of an operand that reaches over all axes */
        const nissl__value *in = nissl__in(c, node, i);
        if (out->unit_axis < 0 && in->dynamic && in->rank == out->rank)
            out->unit_axis = in->unit_axis;
    }
    return NISSL_OK;
}

/* Before opset 7 a smaller second operand could be laid along axes in the middle: of "broadcast"
 * from "axis" on, and of PRelu's slopes along axis 1. Returns how many axes follow it, 0 as today.
 */
static int legacy_axes(const nissl__compiler *c, const nissl__node *node, const nissl__value *a,
                       const nissl__value *b)
{
    int64_t axis = -1;
    if (c->network->opset >= 7)
        return 0;
    if (strcmp(node->onnx->op, "PRelu") == 0 && b->rank == 1 && b->shape[0] > 1 && a->rank > 1)
        axis = 1;
    else if (nissl__attr_int(node, "broadcast", 0) &&
             nissl__onnx_find_attribute(node->onnx, "axis"))
        axis = nissl__attr_int(node, "axis", 0);
    if (axis < 0 || axis > a->rank - b->rank)
        return 0;
    return a->rank - (int)axis - b->rank;
}

static nissl_status infer_binary(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const function *f = function_of(node);
    nissl_type type = nissl__in(c, node, 0)->type;
    if (!f->real && (!nissl__is_integer(type) || type == NISSL_BOOL))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "operands are %s, not integers",
                                nissl_type_name(type));
    nissl__value *out = nissl__out(c, node, 0);
    if (node->n_inputs == 2 && legacy_axes(c, node, nissl__in(c, node, 0), nissl__in(c, node, 1))) {
        const nissl__value *a = nissl__in(c, node, 0), *b = nissl__in(c, node, 1);
        int first = a->rank - b->rank - legacy_axes(c, node, a, b);
        for (int i = 0; i < b->rank; i++)
            if (b->shape[i] != a->shape[first + i])
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "axis %d: %lld and %lld entries",
                                        first + i, (long long)a->shape[first + i],
                                        (long long)b->shape[i]);
        if (a->type != b->type)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "operands are %s and %s",
                                    nissl_type_name(a->type), nissl_type_name(b->type));
        out->unit_axis = a->unit_axis;
        return nissl__set_shape(c, out, f->predicate ? NISSL_BOOL : type, a->rank, a->shape, err);
    }
    return infer_together(c, node, 0, f->predicate ? NISSL_BOOL : type, err);
}

typedef struct binary_state {
    const function *function;
    const nissl__kernels *kernels;
} binary_state;

static void slow_run(const function *f, int64_t n, const char *a, nissl_type type_a, int64_t sa,
                     const char *b, nissl_type type_b, int64_t sb, char *y, nissl_type type_y,
                     int64_t sy)
{
    int64_t size_a = (int64_t)nissl_type_size(type_a), size_b = (int64_t)nissl_type_size(type_b);
    int64_t size_y = (int64_t)nissl_type_size(type_y);
    int64_t (*whole)(int64_t, int64_t) =
        nissl__is_integer(type_a) && nissl__is_integer(type_b) ? f->integer : NULL;
    if (whole && type_a == NISSL_UINT64 && f->unsigned_)
        whole = f->unsigned_;
    for (int64_t i = 0; i < n; i++, a += sa * size_a, b += sb * size_b, y += sy * size_y) {
        if (whole)
            nissl__write_integer(
                y, type_y, whole(nissl__read_integer(a, type_a), nissl__read_integer(b, type_b)));
        else
            nissl__write_number(
                y, type_y, f->real(nissl__read_number(a, type_a), nissl__read_number(b, type_b)));
    }
}

static nissl_status execute_binary(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const binary_state *state = step->state;
    const nissl_view *out = call->out[0], *va = call->in[0], *vb = call->in[1];
    nissl__loop loop;
    if (nissl_view_count(out) == 0)
        return NISSL_OK;
    nissl__loop_make(&loop, 3, (const nissl_view *const[]){out, va, vb});
    int last = loop.rank - 1;
    int64_t n = loop.shape[last], sy = loop.stride[0][last], sa = loop.stride[1][last],
            sb = loop.stride[2][last];
    nissl__binary kernel = state->function->kernel;
    bool fast = kernel != NO_KERNEL && va->type == NISSL_FLOAT32 && (sy == 1 || n == 1) &&
                (sa == 0 || sa == 1) && (sb == 0 || sb == 1) && (sa || sb || n == 1);
    nissl__unary power = NISSL__UNARY_COUNT; /* squares and cubes need no pow() */
    if (state->function->real == f_pow && va->type == NISSL_FLOAT32 && nissl_view_count(vb) == 1 &&
        ((sa == 1 && sy == 1) || n == 1)) {
        double exponent = nissl__read_number(vb->data, vb->type);
        power = exponent == 2   ? NISSL__UNARY_SQUARE
                : exponent == 3 ? NISSL__UNARY_CUBE
                                : NISSL__UNARY_COUNT;
    }
    int64_t size_a = (int64_t)nissl_type_size(va->type),
            size_b = (int64_t)nissl_type_size(vb->type);
    int64_t size_y = (int64_t)nissl_type_size(out->type);
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t row = 0; row < loop.n_rows; row++) {
        int64_t at[NISSL__LOOP_VIEWS];
        nissl__loop_row(&loop, row, at);
        const char *a = (const char *)va->data + at[1] * size_a,
                   *b = (const char *)vb->data + at[2] * size_b;
        char *y = (char *)out->data + at[0] * size_y;
        if (fast)
            state->kernels->binary(kernel, n, (const float *)(const void *)a, sa,
                                   (const float *)(const void *)b, sb, (float *)(void *)y);
        else if (power != NISSL__UNARY_COUNT)
            state->kernels->unary(power, n, (const float *)(const void *)a, (float *)(void *)y, 0,
                                  0);
        else
            slow_run(state->function, n, a, va->type, sa, b, vb->type, sb, y, out->type, sy);
    }
    return NISSL_OK;
}

static nissl_status add_function(nissl__compiler *c, const function *f, int a, int b, int out,
                                 nissl_error *err)
{
    nissl__step *step =
        nissl__add_step(c, "binary", 2, (const int[]){a, b}, 1, &out, sizeof(binary_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(binary_state));
    *(binary_state *)step->state = (binary_state){f, nissl__kernels_best()};
    step->execute = execute_binary;
    step->in_place = a != b && c->values[a].type == c->values[out].type;
    return NISSL_OK;
}

nissl_status nissl__add_binary(nissl__compiler *c, nissl__binary op, int a, int b, int out,
                               nissl_error *err)
{
    nissl__place(c, &c->values[out]);
    return add_function(c, &functions[op], a, b, out,
                        err); /* the first entries are in the kernels' order */
}

bool nissl__binary_kernel(const nissl__node *node, nissl__binary *kernel)
{
    const function *f = function_of(node);
    if (!f || f->kernel == NO_KERNEL || node->n_inputs != 2 || node->opset < 7 ||
        node->onnx->domain[0] || strcmp(f->name, "Mean") == 0)
        return false;
    *kernel = f->kernel;
    return true;
}

static nissl_status lower_binary(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int out = node->outputs[0], second = node->inputs[1];
    int n_after = legacy_axes(c, node, nissl__in(c, node, 0), nissl__in(c, node, 1));
    if (n_after) { /* the same memory with axes of one entry behind it */
        const nissl__value *b = nissl__in(c, node, 1);
        int64_t shape[NISSL_MAX_RANK], stride[NISSL_MAX_RANK] = {0};
        for (int i = 0; i < b->rank + n_after; i++) {
            shape[i] = i < b->rank ? b->shape[i] : 1;
            stride[i] = i < b->rank ? b->stride[i] : 0;
        }
        second = nissl__new_value(c, b->type, b->rank + n_after, shape, NISSL__PLAIN, err);
        if (second < 0)
            return NISSL_ERR_INTERNAL;
        nissl__alias(c, &c->values[second], node->inputs[1], 0, stride);
    }
    nissl__place(c, &c->values[out]);
    return add_function(c, function_of(node), node->inputs[0], second, out, err);
}

/* Max, Min, Sum and Mean of any number of inputs: one after the other, in their order. */
static nissl_status lower_variadic(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int out = node->outputs[0], sum = node->inputs[0];
    bool mean = strcmp(node->onnx->op, "Mean") == 0;
    const nissl__value *result = &c->values[out];
    nissl_status status;
    nissl__place(c, &c->values[out]);
    if (node->n_inputs == 1) {
        nissl__step *step = nissl__add_step(c, "copy", 1, &sum, 1, &out, 0);
        if (!step)
            return NISSL__NO_MEMORY(err, sizeof *step);
        step->execute = nissl__execute_copy;
        return NISSL_OK;
    }
    for (int i = 1; i < node->n_inputs; i++) {
        int to = out;
        if ((i < node->n_inputs - 1 || mean) &&
            (to = nissl__new_value(c, result->type, result->rank, result->shape,
                                   c->folding ? NISSL__PLAIN : result->layout, err)) < 0)
            return NISSL_ERR_INTERNAL;
        if ((status = add_function(c, function_of(node), sum, node->inputs[i], to, err)) !=
            NISSL_OK)
            return status;
        sum = to;
    }
    if (!mean)
        return NISSL_OK;
    void *count = nissl__own(c, sizeof(double));
    int n = count ? nissl__new_value(c, result->type, 0, result->shape, NISSL__PLAIN, err) : -1;
    if (n < 0)
        return NISSL__NO_MEMORY(err, sizeof(double));
    nissl__write_number(count, result->type, node->n_inputs);
    c->values[n].constant = count;
    c->values[n].home = NISSL__HOME_CONSTANT;
    return add_function(c, &functions[NISSL__BINARY_DIV], sum, n, out, err);
}

/* ---- Where ---- */

static nissl_status infer_where(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    if (nissl__in(c, node, 0)->type != NISSL_BOOL)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "condition is %s, not bool",
                                nissl_type_name(nissl__in(c, node, 0)->type));
    return infer_together(c, node, 1, nissl__in(c, node, 1)->type, err);
}

static nissl_status execute_where(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const nissl_view *out = call->out[0];
    nissl__loop loop;
    if (nissl_view_count(out) == 0)
        return NISSL_OK;
    nissl__loop_make(&loop, 4,
                     (const nissl_view *const[]){out, call->in[0], call->in[1], call->in[2]});
    int last = loop.rank - 1;
    int64_t size = (int64_t)nissl_type_size(out->type);
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t row = 0; row < loop.n_rows; row++) {
        int64_t at[NISSL__LOOP_VIEWS];
        nissl__loop_row(&loop, row, at);
        for (int64_t i = 0; i < loop.shape[last]; i++) {
            bool yes = ((const uint8_t *)call->in[0]->data)[at[1] + i * loop.stride[1][last]] != 0;
            int64_t from =
                yes ? at[2] + i * loop.stride[2][last] : at[3] + i * loop.stride[3][last];
            const char *x = (const char *)call->in[yes ? 1 : 2]->data + from * size;
            char *y = (char *)out->data + (at[0] + i * loop.stride[0][last]) * size;
            if (size == 4)
                memcpy(y, x, 4);
            else
                memcpy(y, x, (size_t)size);
        }
    }
    return NISSL_OK;
}

static nissl_status lower_where(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__place(c, &c->values[node->outputs[0]]);
    nissl__step *step = nissl__add_step(c, "where", 3, node->inputs, 1, node->outputs, 0);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *step);
    step->execute = execute_where;
    return NISSL_OK;
}

#define BINARY(name)                                                                               \
    {                                                                                              \
        name, 2, 2, infer_binary, lower_binary, .follows = true                                    \
    }
#define VARIADIC(name)                                                                             \
    {                                                                                              \
        name, 1, -1, infer_binary, lower_variadic, .follows = true                                 \
    }

const nissl__operator nissl__operators_binary[] = {
    BINARY("Add"),
    BINARY("Sub"),
    BINARY("Mul"),
    BINARY("Div"),
    BINARY("Pow"),
    BINARY("PRelu"),
    BINARY("Mod"),
    BINARY("Equal"),
    BINARY("Less"),
    BINARY("Greater"),
    BINARY("LessOrEqual"),
    BINARY("GreaterOrEqual"),
    BINARY("And"),
    BINARY("Or"),
    BINARY("Xor"),
    BINARY("BitwiseAnd"),
    BINARY("BitwiseOr"),
    BINARY("BitwiseXor"),
    BINARY("BitShift"),
    VARIADIC("Max"),
    VARIADIC("Min"),
    VARIADIC("Sum"),
    VARIADIC("Mean"),
    {"Where", 3, 3, infer_where, lower_where, .follows = true},
    {0},
};
