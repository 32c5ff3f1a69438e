/* Functions of one element: those of kernels.h fast, the others through the C library. */
#include "network/loop.h"
#include "network/operators/numbers.h"
#include "network/operators/operators.h"

typedef double (*real_function)(double x, double alpha, double beta);

static double f_relu(double x, double a, double b)
{
    return x < 0 ? 0 : x;
}
static double f_leaky(double x, double a, double b)
{
    return x < 0 ? a * x : x;
}
static double f_clip(double x, double a, double b)
{
    return x < a ? a : x > b ? b : x;
}
static double f_sigmoid(double x, double a, double b)
{
    return 1 / (1 + exp(-x));
}
static double f_tanh(double x, double a, double b)
{
    return tanh(x);
}
static double f_hard_sigmoid(double x, double a, double b)
{
    return fmax(0, fmin(1, a * x + b));
}
static double f_hard_swish(double x, double a, double b)
{
    return x * fmax(0, fmin(1, x / 6 + 0.5));
}
static double f_exp(double x, double a, double b)
{
    return exp(x);
}
static double f_sqrt(double x, double a, double b)
{
    return sqrt(x);
}
static double f_neg(double x, double a, double b)
{
    return -x;
}
static double f_abs(double x, double a, double b)
{
    return fabs(x);
}
static double f_reciprocal(double x, double a, double b)
{
    return 1 / x;
}
static double f_log(double x, double a, double b)
{
    return log(x);
}
static double f_erf(double x, double a, double b)
{
    return erf(x);
}
static double f_sin(double x, double a, double b)
{
    return sin(x);
}
static double f_cos(double x, double a, double b)
{
    return cos(x);
}
static double f_tan(double x, double a, double b)
{
    return tan(x);
}
static double f_asin(double x, double a, double b)
{
    return asin(x);
}
static double f_acos(double x, double a, double b)
{
    return acos(x);
}
static double f_atan(double x, double a, double b)
{
    return atan(x);
}
static double f_sinh(double x, double a, double b)
{
    return sinh(x);
}
static double f_cosh(double x, double a, double b)
{
    return cosh(x);
}
static double f_asinh(double x, double a, double b)
{
    return asinh(x);
}
static double f_acosh(double x, double a, double b)
{
    return acosh(x);
}
static double f_atanh(double x, double a, double b)
{
    return atanh(x);
}
static double f_ceil(double x, double a, double b)
{
    return ceil(x);
}
static double f_floor(double x, double a, double b)
{
    return floor(x);
}
static double f_round(double x, double a, double b)
{
    return nearbyint(x);
}
static double f_sign(double x, double a, double b)
{
    return x > 0 ? 1 : x < 0 ? -1 : x;
}
static double f_elu(double x, double a, double b)
{
    return x < 0 ? a * expm1(x) : x;
}
static double f_celu(double x, double a, double b)
{
    return fmax(0, x) + fmin(0, a * expm1(x / a));
}
static double f_selu(double x, double a, double b)
{
    return b * (x > 0 ? x : a * expm1(x));
}
static double f_softplus(double x, double a, double b)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}
static double f_softsign(double x, double a, double b)
{
    return x / (1 + fabs(x));
}
static double f_mish(double x, double a, double b)
{
    return x * tanh(f_softplus(x, a, b));
}
static double f_thresholded(double x, double a, double b)
{
    return x > a ? x : 0;
}
static double f_shrink(double x, double bias, double lambd)
{
    return x < -lambd ? x + bias : x > lambd ? x - bias : 0;
}
static double f_swish(double x, double a, double b)
{
    return x / (1 + exp(-a * x));
}
static double f_gelu(double x, double a, double b)
{
    return 0.5 * x * (1 + erf(x * 0.70710678118654752440));
}
static double f_gelu_tanh(double x, double a, double b)
{
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static double f_not(double x, double a, double b)
{
    return x == 0;
}
static double f_bit_not(double x, double a, double b) /* only a name: see slow_run */
{
    return x;
}
static double f_is_nan(double x, double a, double b)
{
    return x != x;
}
static double f_is_inf(double x, double negative, double positive)
{
    return isinf(x) && ((x > 0 && positive != 0) || (x < 0 && negative != 0));
}

#define NO_KERNEL NISSL__UNARY_COUNT

static const struct {
    const char *name;
    nissl__unary kernel;
    real_function function;
    const char *alpha_name, *beta_name; /* attributes */
    float alpha, beta;                  /* their defaults */
} functions[] = {
    {"Relu", NISSL__UNARY_RELU, f_relu, "", "", 0, 0},
    {"LeakyRelu", NISSL__UNARY_LEAKY_RELU, f_leaky, "alpha", "", 0.01f, 0},
    {"Sigmoid", NISSL__UNARY_SIGMOID, f_sigmoid, "", "", 0, 0},
    {"Tanh", NISSL__UNARY_TANH, f_tanh, "", "", 0, 0},
    {"HardSigmoid", NISSL__UNARY_HARD_SIGMOID, f_hard_sigmoid, "alpha", "beta", 0.2f, 0.5f},
    {"HardSwish", NISSL__UNARY_HARD_SWISH, f_hard_swish, "", "", 0, 0},
    {"Exp", NISSL__UNARY_EXP, f_exp, "", "", 0, 0},
    {"Sqrt", NISSL__UNARY_SQRT, f_sqrt, "", "", 0, 0},
    {"Neg", NISSL__UNARY_NEG, f_neg, "", "", 0, 0},
    {"Abs", NISSL__UNARY_ABS, f_abs, "", "", 0, 0},
    {"Reciprocal", NISSL__UNARY_RECIPROCAL, f_reciprocal, "", "", 0, 0},
    {"Clip", NISSL__UNARY_CLIP, f_clip, "min", "max", -INFINITY, INFINITY},
    {"Erf", NISSL__UNARY_ERF, f_erf, "", "", 0, 0},
    {"Gelu", NISSL__UNARY_GELU, f_gelu, "", "", 0, 0},
    {"Gelu/tanh", NISSL__UNARY_GELU_TANH, f_gelu_tanh, "", "", 0, 0},
    {"Swish", NISSL__UNARY_SWISH, f_swish, "alpha", "", 1, 0},
    {"Elu", NO_KERNEL, f_elu, "alpha", "", 1, 0},
    {"Celu", NO_KERNEL, f_celu, "alpha", "", 1, 0},
    {"Selu", NO_KERNEL, f_selu, "alpha", "gamma", 1.67326319217681884765625f,
     1.05070102214813232421875f},
    {"Softplus", NO_KERNEL, f_softplus, "", "", 0, 0},
    {"Softsign", NO_KERNEL, f_softsign, "", "", 0, 0},
    {"Mish", NO_KERNEL, f_mish, "", "", 0, 0},
    {"ThresholdedRelu", NO_KERNEL, f_thresholded, "alpha", "", 1, 0},
    {"Shrink", NO_KERNEL, f_shrink, "bias", "lambd", 0, 0.5f},
    {"Log", NO_KERNEL, f_log, "", "", 0, 0},
    {"Sin", NO_KERNEL, f_sin, "", "", 0, 0},
    {"Cos", NO_KERNEL, f_cos, "", "", 0, 0},
    {"Tan", NO_KERNEL, f_tan, "", "", 0, 0},
    {"Asin", NO_KERNEL, f_asin, "", "", 0, 0},
    {"Acos", NO_KERNEL, f_acos, "", "", 0, 0},
    {"Atan", NO_KERNEL, f_atan, "", "", 0, 0},
    {"Sinh", NO_KERNEL, f_sinh, "", "", 0, 0},
    {"Cosh", NO_KERNEL, f_cosh, "", "", 0, 0},
    {"Asinh", NO_KERNEL, f_asinh, "", "", 0, 0},
    {"Acosh", NO_KERNEL, f_acosh, "", "", 0, 0},
    {"Atanh", NO_KERNEL, f_atanh, "", "", 0, 0},
    {"Ceil", NO_KERNEL, f_ceil, "", "", 0, 0},
    {"Floor", NO_KERNEL, f_floor, "", "", 0, 0},
    {"Round", NO_KERNEL, f_round, "", "", 0, 0},
    {"Sign", NO_KERNEL, f_sign, "", "", 0, 0},
    {"Not", NO_KERNEL, f_not, "", "", 0, 0},
    {"BitwiseNot", NO_KERNEL, f_bit_not, "", "", 0, 0},
    {"IsNaN", NO_KERNEL, f_is_nan, "", "", 0, 0},
    {"IsInf", NO_KERNEL, f_is_inf, "detect_negative", "detect_positive", 1, 1},
};

typedef struct unary_state {
    int function;
    float alpha, beta;
    const nissl__kernels *kernels;
} unary_state;

/* The entry for a node, or -1. */
static int function_of(const nissl__node *node)
{
    const char *name = node->onnx->op;
    if (strcmp(name, "Gelu") == 0 &&
        strcmp(nissl__attr_string(node, "approximate", "none"), "tanh") == 0)
        name = "Gelu/tanh";
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0)
            return (int)i;
    return -1;
}

static nissl_status infer_unary(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    int function = function_of(node);
    bool predicate = function >= 0 && (functions[function].function == f_not ||
                                       functions[function].function == f_is_nan ||
                                       functions[function].function == f_is_inf);
    if (in->type == NISSL_FLOAT16 || in->type == NISSL_BFLOAT16)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input is %s", nissl_type_name(in->type));
    if (function >= 0 && functions[function].function == f_bit_not &&
        (!nissl__is_integer(in->type) || in->type == NISSL_BOOL))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input is %s, not an integer",
                                nissl_type_name(in->type));
    return nissl__set_shape(c, out, predicate ? NISSL_BOOL : in->type, in->rank, in->shape, err);
}

/* One element at a time, any type. */
static void slow_run(const unary_state *state, int64_t n, const char *x, nissl_type x_type,
                     int64_t sx, char *y, nissl_type y_type, int64_t sy)
{
    real_function function = functions[state->function].function;
    int64_t x_size = (int64_t)nissl_type_size(x_type), y_size = (int64_t)nissl_type_size(y_type);
    bool exact = nissl__is_integer(x_type) &&
                 (function == f_neg || function == f_abs || function == f_bit_not);
    for (int64_t i = 0; i < n; i++, x += sx * x_size, y += sy * y_size) {
        if (exact) {
            int64_t v = nissl__read_integer(x, x_type);
            bool negate = function == f_neg || (v < 0 && x_type != NISSL_UINT64);
            nissl__write_integer(y, y_type,
                                 function == f_bit_not ? ~v
                                 : negate              ? (int64_t)(0 - (uint64_t)v)
                                                       : v);
        } else {
            double v = nissl__read_number(x, x_type);
            nissl__write_number(y, y_type, function(v, (double)state->alpha, (double)state->beta));
        }
    }
}

static nissl_status execute_unary(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const unary_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    nissl__unary kernel = functions[state->function].kernel;
    nissl__loop loop;
    if (nissl_view_count(out) == 0)
        return NISSL_OK;
    nissl__loop_make(&loop, 2, (const nissl_view *const[]){out, in});
    int last = loop.rank - 1;
    int64_t n = loop.shape[last], sy = loop.stride[0][last], sx = loop.stride[1][last];
    bool fast =
        kernel != NO_KERNEL && in->type == NISSL_FLOAT32 && ((sx == 1 && sy == 1) || n == 1);
    int64_t x_size = (int64_t)nissl_type_size(in->type),
            y_size = (int64_t)nissl_type_size(out->type);
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t row = 0; row < loop.n_rows; row++) {
        int64_t at[NISSL__LOOP_VIEWS];
        nissl__loop_row(&loop, row, at);
        const char *x = (const char *)in->data + at[1] * x_size;
        char *y = (char *)out->data + at[0] * y_size;
        if (fast)
            state->kernels->unary(kernel, n, (const float *)(const void *)x, (float *)(void *)y,
                                  state->alpha, state->beta);
        else
            slow_run(state, n, x, in->type, sx, y, out->type, sy);
    }
    return NISSL_OK;
}

static nissl_status add_function(nissl__compiler *c, const unary_state *state, int in, int out,
                                 nissl_error *err)
{
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "unary", 1, &in, 1, &out, sizeof *state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *state);
    *(unary_state *)step->state = *state;
    step->execute = execute_unary;
    step->in_place = c->values[in].type == c->values[out].type;
    if (functions[state->function].kernel == NISSL__UNARY_RELU) {
        step->clips = c->values[in].type == NISSL_FLOAT32;
        step->high = INFINITY;
    } else if (functions[state->function].kernel == NISSL__UNARY_CLIP) {
        step->clips = c->values[in].type == NISSL_FLOAT32;
        step->low = state->alpha;
        step->high = state->beta;
    }
    return NISSL_OK;
}

bool nissl__unary_kernel(const nissl__node *node, nissl__unary *kernel, float *alpha, float *beta)
{
    int function = function_of(node);
    if (function < 0 || functions[function].kernel == NO_KERNEL || node->n_inputs != 1 ||
        node->onnx->domain[0])
        return false;
    *kernel = functions[function].kernel;
    *alpha = nissl__attr_float(node, functions[function].alpha_name, functions[function].alpha);
    *beta = nissl__attr_float(node, functions[function].beta_name, functions[function].beta);
    return true;
}

static nissl_status lower_unary(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0];
    unary_state state = {.function = function_of(node), .kernels = nissl__kernels_best()};
    bool integers = functions[state.function].function == f_is_inf;
    const char *alpha = functions[state.function].alpha_name,
               *beta = functions[state.function].beta_name;
    state.alpha = functions[state.function].alpha;
    state.beta = functions[state.function].beta;
    if (integers) {
        state.alpha = (float)nissl__attr_int(node, alpha, 1);
        state.beta = (float)nissl__attr_int(node, beta, 1);
    } else {
        state.alpha = nissl__attr_float(node, alpha, state.alpha);
        state.beta = nissl__attr_float(node, beta, state.beta);
    }
    return add_function(c, &state, in, out, err);
}

/* ---- Clip ---- */

static nissl_status infer_clip(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    for (int i = 1; i < 3; i++) {
        const nissl__value *bound = nissl__in(c, node, i);
        int64_t count = 1;
        for (int j = 0; bound && j < bound->rank; j++)
            count *= bound->shape[j];
        if (bound && (bound->type != in->type || count != 1 || bound->rank > in->rank))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "bound %d is %s with %lld values", i,
                                    nissl_type_name(bound->type), (long long)count);
    }
    return infer_unary(c, node, err);
}

/* min(max(x, least), most), which is most where least exceeds it. float32 with constant bounds has
 * a kernel; the others take the two steps. */
static nissl_status lower_clip(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0),
                       *bounds[2] = {nissl__in(c, node, 1), nissl__in(c, node, 2)};
    int at = node->inputs[0], out = node->outputs[0];
    nissl_status status;
    bool constant = (!bounds[0] || bounds[0]->constant) && (!bounds[1] || bounds[1]->constant);
    if (in->type == NISSL_FLOAT32 && constant) {
        unary_state state = {.function = function_of(node), .kernels = nissl__kernels_best()};
        state.alpha = bounds[0] ? *(const float *)bounds[0]->constant
                                : nissl__attr_float(node, "min", -INFINITY);
        state.beta = bounds[1] ? *(const float *)bounds[1]->constant
                               : nissl__attr_float(node, "max", INFINITY);
        state.alpha = state.alpha > state.beta ? state.beta : state.alpha;
        return add_function(c, &state, at, out, err);
    }
    if (!bounds[0] && !bounds[1]) {
        if (nissl__onnx_find_attribute(node->onnx, "min") ||
            nissl__onnx_find_attribute(node->onnx, "max"))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "attributes min and max of %s",
                                    nissl_type_name(in->type));
        nissl__place(c, &c->values[out]);
        nissl__step *step = nissl__add_step(c, "copy", 1, &at, 1, &out, 0);
        if (!step)
            return NISSL__NO_MEMORY(err, sizeof *step);
        step->execute = nissl__execute_copy;
        return NISSL_OK;
    }
    for (int i = 0; i < 2; i++) {
        int to = out;
        if (!bounds[i])
            continue;
        if (i == 0 && bounds[1] &&
            (to = nissl__new_value(c, in->type, in->rank, in->shape,
                                   c->folding ? NISSL__PLAIN : c->values[out].layout, err)) < 0)
            return NISSL_ERR_INTERNAL;
        status = nissl__add_binary(c, i == 0 ? NISSL__BINARY_MAX : NISSL__BINARY_MIN, at,
                                   node->inputs[1 + i], to, err);
        if (status != NISSL_OK)
            return status;
        at = to;
    }
    return NISSL_OK;
}

#define UNARY(name)                                                                                \
    {                                                                                              \
        name, 1, 1, infer_unary, lower_unary, .follows = true                                      \
    }

const nissl__operator nissl__operators_unary[] = {
    UNARY("Relu"),
    UNARY("LeakyRelu"),
    UNARY("Sigmoid"),
    UNARY("Tanh"),
    UNARY("HardSigmoid"),
    UNARY("HardSwish"),
    UNARY("Exp"),
    UNARY("Sqrt"),
    UNARY("Neg"),
    UNARY("Abs"),
    UNARY("Reciprocal"),
    UNARY("Erf"),
    UNARY("Gelu"),
    UNARY("Swish"),
    UNARY("Elu"),
    UNARY("Celu"),
    UNARY("Selu"),
    UNARY("Softplus"),
    UNARY("Softsign"),
    UNARY("Mish"),
    UNARY("ThresholdedRelu"),
    UNARY("Shrink"),
    UNARY("Log"),
    UNARY("Sin"),
    UNARY("Cos"),
    UNARY("Tan"),
    UNARY("Asin"),
    UNARY("Acos"),
    UNARY("Atan"),
    UNARY("Sinh"),
    UNARY("Cosh"),
    UNARY("Asinh"),
    UNARY("Acosh"),
    UNARY("Atanh"),
    UNARY("Ceil"),
    UNARY("Floor"),
    UNARY("Round"),
    UNARY("Sign"),
    UNARY("Not"),
    UNARY("BitwiseNot"),
    UNARY("IsNaN"),
    UNARY("IsInf"),
    {"Clip", 1, 3, infer_clip, lower_clip, .follows = true},
    {0},
};
