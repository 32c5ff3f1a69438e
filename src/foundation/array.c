/* Types, arrays, views and copies between them. */
#include "foundation/foundation.h"

static const struct {
    const char *name;
    size_t size;
} types[NISSL_TYPE_COUNT] = {
    [NISSL_FLOAT32] = {"float32", 4}, [NISSL_FLOAT64] = {"float64", 8},
    [NISSL_FLOAT16] = {"float16", 2}, [NISSL_BFLOAT16] = {"bfloat16", 2},
    [NISSL_INT8] = {"int8", 1},       [NISSL_UINT8] = {"uint8", 1},
    [NISSL_INT16] = {"int16", 2},     [NISSL_UINT16] = {"uint16", 2},
    [NISSL_INT32] = {"int32", 4},     [NISSL_UINT32] = {"uint32", 4},
    [NISSL_INT64] = {"int64", 8},     [NISSL_UINT64] = {"uint64", 8},
    [NISSL_BOOL] = {"bool", 1},
};

size_t nissl_type_size(nissl_type type)
{
    return (unsigned)type < NISSL_TYPE_COUNT ? types[type].size : 0;
}

const char *nissl_type_name(nissl_type type)
{
    return (unsigned)type < NISSL_TYPE_COUNT ? types[type].name : "unknown";
}

nissl_status nissl_array_new(nissl_type type, int rank, const int64_t *shape, nissl_array *out,
                             nissl_error *err)
{
    int64_t count = 1;
    size_t size = nissl_type_size(type);
    nissl_array array = {.type = type, .rank = rank};
    if (rank < 0 || rank > NISSL_MAX_RANK)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "rank %d is outside 0 .. %d", rank,
                           NISSL_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        if (!nissl__mul(count, shape[i], &count))
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "axis %d of %lld elements overflows the array's size", i,
                               (long long)shape[i]);
        array.shape[i] = shape[i];
    }
    if (size == 0 || (uint64_t)count > (uint64_t)INT64_MAX / size)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%lld elements of %zu bytes overflow",
                           (long long)count, size);
    array.data = nissl__alloc((size_t)count, size);
    if (!array.data)
        return NISSL__NO_MEMORY(err, (size_t)count * size);
    *out = array;
    return NISSL_OK;
}

void nissl_array_free(nissl_array *array)
{
    if (!array)
        return;
    nissl__free(array->data);
    *array = (nissl_array){0};
}

static int64_t product(int rank, const int64_t *shape)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= shape[i];
    return count;
}

int64_t nissl_array_count(const nissl_array *array)
{
    return product(array->rank, array->shape);
}

int64_t nissl_view_count(const nissl_view *view)
{
    return product(view->rank, view->shape);
}

nissl_view nissl_view_of(void *data, nissl_type type, int rank, const int64_t *shape)
{
    nissl_view view = {.data = data, .type = type, .rank = rank};
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        view.shape[i] = shape[i];
        view.stride[i] = stride;
        stride *= shape[i];
    }
    return view;
}

nissl_view nissl_array_view(const nissl_array *array)
{
    return nissl_view_of(array->data, array->type, array->rank, array->shape);
}

bool nissl_view_contiguous(const nissl_view *view)
{
    int64_t stride = 1;
    for (int i = view->rank - 1; i >= 0; i--) {
        if (view->shape[i] != 1 && view->stride[i] != stride)
            return false;
        stride *= view->shape[i];
    }
    return true;
}

static double element_as_double(const void *data, nissl_type type, int64_t at)
{
    switch (type) {
    case NISSL_FLOAT32: return ((const float *)data)[at];
    case NISSL_FLOAT64: return ((const double *)data)[at];
    case NISSL_FLOAT16: return nissl__half_to_float(((const uint16_t *)data)[at]);
    case NISSL_BFLOAT16: return nissl__bfloat_to_float(((const uint16_t *)data)[at]);
    case NISSL_INT8: return ((const int8_t *)data)[at];
    case NISSL_UINT8: return ((const uint8_t *)data)[at];
    case NISSL_INT16: return ((const int16_t *)data)[at];
    case NISSL_UINT16: return ((const uint16_t *)data)[at];
    case NISSL_INT32: return ((const int32_t *)data)[at];
    case NISSL_UINT32: return ((const uint32_t *)data)[at];
    case NISSL_INT64: return (double)((const int64_t *)data)[at];
    case NISSL_UINT64: return (double)((const uint64_t *)data)[at];
    case NISSL_BOOL: return ((const uint8_t *)data)[at] != 0;
    default: return NAN;
    }
}

/* Copies the innermost axis: n elements, stride apart. */
static void copy_row(const nissl_view *view, int64_t at, int64_t n, int64_t stride, nissl_type type,
                     char *out)
{
    size_t size = nissl_type_size(type);
    if (type == view->type && stride == 1) {
        memcpy(out, (const char *)view->data + (size_t)at * size, (size_t)n * size);
    } else if (type == view->type) {
        const char *from = (const char *)view->data;
        for (int64_t i = 0; i < n; i++)
            memcpy(out + (size_t)i * size, from + (size_t)(at + i * stride) * size, size);
    } else if (type == NISSL_FLOAT32) {
        for (int64_t i = 0; i < n; i++)
            ((float *)(void *)out)[i] =
                (float)element_as_double(view->data, view->type, at + i * stride);
    } else {
        for (int64_t i = 0; i < n; i++)
            ((double *)(void *)out)[i] = element_as_double(view->data, view->type, at + i * stride);
    }
}

nissl_status nissl_view_copy(const nissl_view *view, nissl_type out_type, void *out,
                             nissl_error *err)
{
    int64_t index[NISSL_MAX_RANK] = {0};
    int64_t inner = view->rank ? view->shape[view->rank - 1] : 1;
    int64_t inner_stride = view->rank ? view->stride[view->rank - 1] : 1;
    int64_t n_rows = inner ? nissl_view_count(view) / inner : 0;
    size_t row_bytes = (size_t)inner * nissl_type_size(out_type);
    if (out_type != view->type && out_type != NISSL_FLOAT32 && out_type != NISSL_FLOAT64)
        return NISSL__FAIL(err, NISSL_ERR_TYPE, "cannot copy %s into %s",
                           nissl_type_name(view->type), nissl_type_name(out_type));
    for (int64_t row = 0; row < n_rows; row++) {
        int64_t at = 0;
        for (int i = 0; i < view->rank - 1; i++)
            at += index[i] * view->stride[i];
        copy_row(view, at, inner, inner_stride, out_type, (char *)out + (size_t)row * row_bytes);
        for (int i = view->rank - 2; i >= 0; i--) {
            if (++index[i] < view->shape[i])
                break;
            index[i] = 0;
        }
    }
    return NISSL_OK;
}

float nissl__half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 0x1fu;
    uint32_t fraction = half & 0x3ffu;
    uint32_t bits;
    float value;
    if (exponent == 0x1f) {
        bits = sign | 0x7f800000u | fraction << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t nissl__float_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return sign | 0x7e00u;
    if (magnitude >= 0x477ff000u) /* rounds to 65536 or more */
        return sign | 0x7c00u;
    if (magnitude >= 0x38800000u) {
        uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
    }
    float scaled;
    memcpy(&scaled, &magnitude, sizeof scaled);
    return (uint16_t)(sign | (uint16_t)nearbyintf(scaled * 0x1p24f));
}

float nissl__bfloat_to_float(uint16_t bfloat)
{
    uint32_t bits = (uint32_t)bfloat << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
