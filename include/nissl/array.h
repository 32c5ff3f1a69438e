/**
 * Arrays and views: a pointer with type, shape and strides, and for a site the role of each axis.
 */
#ifndef NISSL_ARRAY_H
#define NISSL_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nissl/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NISSL_MAX_RANK 8

typedef enum nissl_type {
    NISSL_FLOAT32,
    NISSL_FLOAT64,
    NISSL_FLOAT16,  /* storage only */
    NISSL_BFLOAT16, /* storage only */
    NISSL_INT8,
    NISSL_UINT8,
    NISSL_INT16,
    NISSL_UINT16,
    NISSL_INT32,
    NISSL_UINT32,
    NISSL_INT64,
    NISSL_UINT64,
    NISSL_BOOL, /* one byte, 0 or 1 */
    NISSL_TYPE_COUNT
} nissl_type;

size_t nissl_type_size(nissl_type type);      /* bytes of one element */
const char *nissl_type_name(nissl_type type); /* "float32"; static */

/** What an axis of a site means. */
typedef enum nissl_axis_role {
    NISSL_AXIS_STIMULUS, /* exactly one */
    NISSL_AXIS_POSITION, /* none or more: height, width, token, query, key */
    NISSL_AXIS_UNIT      /* one or more: channel, feature, head */
} nissl_axis_role;

/** Borrowed memory. Strides are in elements and may be any value, 0 included. */
typedef struct nissl_view {
    void *data;
    nissl_type type;
    int rank;
    int64_t shape[NISSL_MAX_RANK];
    int64_t stride[NISSL_MAX_RANK];
    uint8_t role[NISSL_MAX_RANK]; /* nissl_axis_role; only meaningful for site views */
} nissl_view;

/** Owned, row-major contiguous memory, 64-byte aligned. Zero-initialise; nissl_array_free is
 * idempotent. */
typedef struct nissl_array {
    void *data;
    nissl_type type;
    int rank;
    int64_t shape[NISSL_MAX_RANK];
} nissl_array;

/**
 * Allocates a zeroed array.
 * @return NISSL_OK; NISSL_ERR_RANGE if rank or a dimension is negative or too large, or the size
 * overflows; NISSL_ERR_MEMORY.
 */
nissl_status nissl_array_new(nissl_type type, int rank, const int64_t *shape, nissl_array *out,
                             nissl_error *err);
void nissl_array_free(nissl_array *array);

int64_t nissl_array_count(const nissl_array *array); /* elements */

/** A row-major view of borrowed memory; roles are zero. */
nissl_view nissl_view_of(void *data, nissl_type type, int rank, const int64_t *shape);
nissl_view nissl_array_view(const nissl_array *array);
int64_t nissl_view_count(const nissl_view *view);
bool nissl_view_contiguous(const nissl_view *view); /* row-major without gaps */

/**
 * Copies a view of any numeric type into row-major float32 or the same type, in the logical order
 * of its axes.
 * @param out memory for nissl_view_count(view) elements of out_type.
 * @return NISSL_OK; NISSL_ERR_TYPE for a conversion other than to the same type, float32 or
 * float64.
 */
nissl_status nissl_view_copy(const nissl_view *view, nissl_type out_type, void *out,
                             nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
