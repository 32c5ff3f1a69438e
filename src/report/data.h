/*
 * What the report writes: JSON values (jansson), script files that hand them to a page, and files
 * that are whole or absent. The data contract is docs/report-data.md.
 */
#ifndef NISSL__REPORT_DATA_H
#define NISSL__REPORT_DATA_H

#include <jansson.h>

#include "foundation/foundation.h"

#define NISSL__REPORT_DIGITS 5 /* significant digits of a number in a data file */

/* A finite number, or null. */
json_t *nissl__json_number(double value);
/* Text; NULL is null, a byte that is no UTF-8 becomes U+FFFD. */
json_t *nissl__json_text(const char *text);
/* [n] numbers, stride apart. x may be NULL: null. */
json_t *nissl__json_numbers(const double *x, int64_t n);
json_t *nissl__json_indices(const int32_t *x, int64_t n);
json_t *nissl__json_shape(const int64_t *shape, int rank);

/* Sets a key or appends a value, taking it over. A NULL value or a failure sets *failed, so that
 * one check at the end is enough. */
void nissl__json_put(json_t *object, const char *key, json_t *value, bool *failed);
void nissl__json_add(json_t *array, json_t *value, bool *failed);

/* Writes "prefix JSON suffix" to directory/name; the file appears when it is whole. */
nissl_status nissl__report_write_json(const char *directory, const char *name, const char *prefix,
                                      const json_t *value, const char *suffix, size_t flags,
                                      nissl_error *err);
nissl_status nissl__report_write_bytes(const char *directory, const char *name, const void *bytes,
                                       size_t size, nissl_error *err);
/* Makes directory/name if it is not there. */
nissl_status nissl__report_make_folder(const char *directory, const char *name, nissl_error *err);

/* A whole file as allocated text, NUL-terminated. NISSL_ERR_LIMIT above 64 MiB. */
nissl_status nissl__report_read(const char *path, char **out, size_t *size, nissl_error *err);

#endif
