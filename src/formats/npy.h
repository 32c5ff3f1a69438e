/*
 * numpy's .npy files, versions 1 to 3: every boolean, integer and floating type of nissl_type,
 * little-endian, C and Fortran order.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#ifndef NISSL__FORMATS_NPY_H
#define NISSL__FORMATS_NPY_H

#include "formats/file.h"
#include "foundation/foundation.h"

/* An open file. view points into the mapping, or into a copy where the file's data is not aligned
 * for its type; its strides say whether the order is C or Fortran. Zero-initialise; close is
 * idempotent. */
typedef struct nissl__npy {
    nissl_view view;
    nissl__mapping file;
    void *copy;
} nissl__npy;

/* budget: bytes that may be allocated besides the mapping. */
nissl_status nissl__npy_open(const char *path, uint64_t budget, nissl__npy *out, nissl_error *err);
/* The same from memory that outlives the result; label stands for the file's name in messages. */
nissl_status nissl__npy_parse(const char *label, const void *bytes, size_t size, uint64_t budget,
                              nissl__npy *out, nissl_error *err);
void nissl__npy_close(nissl__npy *npy);

/* Reads a file into a row-major array of its own type. */
nissl_status nissl__npy_read(const char *path, uint64_t budget, nissl_array *out, nissl_error *err);

/* Writes a view row-major as version 1, whole or not at all. bfloat16, which numpy lacks, is
 * refused. */
nissl_status nissl__npy_write(const char *path, const nissl_view *view, nissl_error *err);

#endif
