/*
 * IDX files (LeCun's MNIST format), plain or gzip: big-endian header, bytes, integers and floats.
 */
#ifndef NISSL__FORMATS_IDX_H
#define NISSL__FORMATS_IDX_H

#include "foundation/foundation.h"

/* Reads a whole file into a row-major array of uint8, int8, int16, int32, float32 or float64. The
 * sizes of the header are checked against the budget before anything is allocated and against the
 * data read.
 * @return NISSL_OK; NISSL_ERR_IO; NISSL_ERR_FORMAT; NISSL_ERR_LIMIT above the budget. */
nissl_status nissl__idx_read(const char *path, uint64_t budget, nissl_array *out, nissl_error *err);

/* Does the name end as IDX files do: "-idx3-ubyte", ".idx" and so on, with or without ".gz"? */
bool nissl__idx_named(const char *path);

#endif
