/* Elements of any numeric type as double or int64_t, for what is not hot. */
#ifndef NISSL__NETWORK_NUMBERS_H
#define NISSL__NETWORK_NUMBERS_H

#include "nissl/array.h"

static inline bool nissl__is_integer(nissl_type type)
{
    return type >= NISSL_INT8 && type <= NISSL_BOOL;
}

static inline double nissl__read_number(const void *p, nissl_type type)
{
    switch (type) {
    case NISSL_FLOAT32: return (double)*(const float *)p;
    case NISSL_FLOAT64: return *(const double *)p;
    case NISSL_INT8: return *(const int8_t *)p;
    case NISSL_UINT8: return *(const uint8_t *)p;
    case NISSL_INT16: return *(const int16_t *)p;
    case NISSL_UINT16: return *(const uint16_t *)p;
    case NISSL_INT32: return *(const int32_t *)p;
    case NISSL_UINT32: return *(const uint32_t *)p;
    case NISSL_INT64: return (double)*(const int64_t *)p;
    case NISSL_UINT64: return (double)*(const uint64_t *)p;
    case NISSL_BOOL: return *(const uint8_t *)p != 0;
    default: return 0;
    }
}

static inline int64_t nissl__read_integer(const void *p, nissl_type type)
{
    switch (type) {
    case NISSL_INT8: return *(const int8_t *)p;
    case NISSL_UINT8: return *(const uint8_t *)p;
    case NISSL_INT16: return *(const int16_t *)p;
    case NISSL_UINT16: return *(const uint16_t *)p;
    case NISSL_INT32: return *(const int32_t *)p;
    case NISSL_UINT32: return *(const uint32_t *)p;
    case NISSL_INT64: return *(const int64_t *)p;
    case NISSL_UINT64: return (int64_t) * (const uint64_t *)p;
    case NISSL_BOOL: return *(const uint8_t *)p != 0;
    default: return (int64_t)nissl__read_number(p, type);
    }
}

static inline void nissl__write_integer(void *p, nissl_type type, int64_t x)
{
    switch (type) {
    case NISSL_FLOAT32: *(float *)p = (float)x; break;
    case NISSL_FLOAT64: *(double *)p = (double)x; break;
    case NISSL_INT8: *(int8_t *)p = (int8_t)x; break;
    case NISSL_UINT8: *(uint8_t *)p = (uint8_t)x; break;
    case NISSL_INT16: *(int16_t *)p = (int16_t)x; break;
    case NISSL_UINT16: *(uint16_t *)p = (uint16_t)x; break;
    case NISSL_INT32: *(int32_t *)p = (int32_t)x; break;
    case NISSL_UINT32: *(uint32_t *)p = (uint32_t)x; break;
    case NISSL_INT64: *(int64_t *)p = x; break;
    case NISSL_UINT64: *(uint64_t *)p = (uint64_t)x; break;
    case NISSL_BOOL: *(uint8_t *)p = x != 0; break;
    default: break;
    }
}

/* Reals are cut towards zero and held to what an int64_t can say. */
static inline void nissl__write_number(void *p, nissl_type type, double x)
{
    if (type == NISSL_FLOAT32)
        *(float *)p = (float)x;
    else if (type == NISSL_FLOAT64)
        *(double *)p = x;
    else if (type == NISSL_BOOL)
        *(uint8_t *)p = x != 0;
    else
        nissl__write_integer(p, type,
                             x >= 0x1p63    ? INT64_MAX
                             : x <= -0x1p63 ? INT64_MIN
                             : x != x       ? 0
                                            : (int64_t)x);
}

#endif
