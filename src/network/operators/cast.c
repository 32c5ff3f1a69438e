/* Conversions between types: Cast, CastLike, BitCast. */
#include "network/loop.h"
#include "network/operators/numbers.h"
#include "network/operators/operators.h"

nissl_status nissl__type_of_code(const nissl__compiler *c, int64_t code, nissl_type *type,
                                 nissl_type *storage, nissl_error *err)
{
    static const nissl_type by_code[] = {
        /* TensorProto.DataType */
        [1] = NISSL_FLOAT32,  [2] = NISSL_UINT8,    [3] = NISSL_INT8,    [4] = NISSL_UINT16,
        [5] = NISSL_INT16,    [6] = NISSL_INT32,    [7] = NISSL_INT64,   [9] = NISSL_BOOL,
        [10] = NISSL_FLOAT16, [11] = NISSL_FLOAT64, [12] = NISSL_UINT32, [13] = NISSL_UINT64,
        [16] = NISSL_BFLOAT16};
    static const char *const others[] = {[8] = "string",
                                         [14] = "complex64",
                                         [15] = "complex128",
                                         [17] = "float8e4m3fn",
                                         [18] = "float8e4m3fnuz",
                                         [19] = "float8e5m2",
                                         [20] = "float8e5m2fnuz",
                                         [21] = "uint4",
                                         [22] = "int4",
                                         [23] = "float4e2m1",
                                         [24] = "float8e8m0",
                                         [25] = "uint2",
                                         [26] = "int2"};
    int64_t n_others = (int64_t)(sizeof others / sizeof *others);
    if (code < 1 || code > 16 || code == 8 || code == 14 || code == 15)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "data type %lld (%s)", (long long)code,
                                code >= 0 && code < n_others && others[code] ? others[code]
                                                                             : "unknown");
    *type = by_code[code];
    *storage = NISSL_FLOAT32;
    if (*type == NISSL_FLOAT16 || *type == NISSL_BFLOAT16) {
        *storage = *type;
        *type = NISSL_FLOAT32;
    }
    return NISSL_OK;
}

/* ---- rounding ---- */

/* A float whose rounding to fewer bits is that of x: rounded to odd. */
static float to_odd(double x)
{
    float f = (float)x;
    uint32_t bits;
    if ((double)f == x || f != f || isinf(x))
        return f;
    memcpy(&bits, &f, sizeof bits);
    if (fabs((double)f) > fabs(x))
        bits--;
    bits |= 1;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Nearest, ties to even. */
static float round_to_half(double x)
{
    return nissl__half_to_float(nissl__float_to_half(to_odd(x)));
}

static float round_to_bfloat(double x)
{
    float f = to_odd(x);
    uint32_t bits;
    if (f != f)
        return f;
    memcpy(&bits, &f, sizeof bits);
    bits += 0x7fff + (bits >> 16 & 1);
    bits &= 0xffff0000u;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* ---- Cast ---- */

typedef struct cast_state {
    nissl_type storage; /* to be rounded to */
} cast_state;

static void cast_element(const char *from, nissl_type in, char *to, nissl_type out,
                         nissl_type storage)
{
    if (storage != NISSL_FLOAT32) {
        double x = nissl__read_number(from, in);
        *(float *)(void *)to = storage == NISSL_FLOAT16 ? round_to_half(x) : round_to_bfloat(x);
    } else if (in == NISSL_UINT64 && !nissl__is_integer(out)) {
        uint64_t x = *(const uint64_t *)(const void *)from;
        if (out == NISSL_FLOAT32)
            *(float *)(void *)to = (float)x;
        else
            *(double *)(void *)to = (double)x;
    } else if (nissl__is_integer(in)) {
        nissl__write_integer(to, out, nissl__read_integer(from, in));
    } else if (out == NISSL_UINT64 && nissl__read_number(from, in) >= 0x1p63) {
        double x = nissl__read_number(from, in);
        *(uint64_t *)(void *)to = x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
    } else {
        nissl__write_number(to, out, nissl__read_number(from, in));
    }
}

static nissl_status execute_cast(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const nissl_view *in = call->in[0], *out = call->out[0];
    nissl_type storage = ((const cast_state *)step->state)->storage;
    nissl__loop loop;
    if (in->type == out->type && storage == NISSL_FLOAT32) {
        nissl__copy_view(in, out, call->threads);
        return NISSL_OK;
    }
    if (nissl_view_count(out) == 0)
        return NISSL_OK;
    nissl__loop_make(&loop, 2, (const nissl_view *const[]){out, in});
    int last = loop.rank - 1;
    int64_t out_size = (int64_t)nissl_type_size(out->type),
            in_size = (int64_t)nissl_type_size(in->type);
    for (int64_t row = 0; row < loop.n_rows; row++) {
        int64_t at[NISSL__LOOP_VIEWS];
        nissl__loop_row(&loop, row, at);
        for (int64_t i = 0; i < loop.shape[last]; i++)
            cast_element((const char *)in->data + (at[1] + i * loop.stride[1][last]) * in_size,
                         in->type,
                         (char *)out->data + (at[0] + i * loop.stride[0][last]) * out_size,
                         out->type, storage);
    }
    return NISSL_OK;
}

static nissl_status infer_to(nissl__compiler *c, const nissl__node *node, nissl_type type,
                             nissl_type storage, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    out->unit_axis = in->unit_axis;
    out->storage = storage;
    return nissl__set_shape(c, out, type, in->rank, in->shape, err);
}

static nissl_status infer_cast(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl_type type, storage;
    nissl_status status =
        nissl__type_of_code(c, nissl__attr_int(node, "to", 0), &type, &storage, err);
    return status == NISSL_OK ? infer_to(c, node, type, storage, err) : status;
}

static nissl_status infer_cast_like(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *like = nissl__in(c, node, 1);
    return infer_to(c, node, like->type, like->storage, err);
}

static nissl_status lower_cast(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__value *out = nissl__out(c, node, 0);
    nissl__place(c, out);
    nissl__step *step =
        nissl__add_step(c, "cast", 1, node->inputs, 1, node->outputs, sizeof(cast_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(cast_state));
    ((cast_state *)step->state)->storage = out->storage;
    step->execute = execute_cast;
    return NISSL_OK;
}

/* ---- BitCast: the same bits under another name ---- */

static nissl_status infer_bit_cast(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl_type type, storage;
    nissl_status status =
        nissl__type_of_code(c, nissl__attr_int(node, "to", 0), &type, &storage, err);
    if (status != NISSL_OK)
        return status;
    if (storage != NISSL_FLOAT32 || in->storage != NISSL_FLOAT32)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE,
                                "bits of float16 or bfloat16, which are computed as float32");
    if (nissl_type_size(type) != nissl_type_size(in->type) ||
        (type == NISSL_BOOL && in->type != NISSL_BOOL)) /* a byte may be neither 0 nor 1 */
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "bits of %s as %s",
                                nissl_type_name(in->type), nissl_type_name(type));
    return infer_to(c, node, type, NISSL_FLOAT32, err);
}

static nissl_status lower_bit_cast(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__alias(c, nissl__out(c, node, 0), node->inputs[0], 0, nissl__in(c, node, 0)->stride);
    return NISSL_OK;
}

const nissl__operator nissl__operators_cast[] = {
    {"Cast", 1, 1, infer_cast, lower_cast, .follows = true},
    {"CastLike", 2, 2, infer_cast_like, lower_cast, .follows = true},
    {"BitCast", 1, 1, infer_bit_cast, lower_bit_cast, .follows = false},
    {0},
};
