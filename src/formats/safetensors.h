/*
 * safetensors: named tensors in one mapped file, or in several behind an index.
 *
 * A file is 8 bytes of header length (little-endian), a JSON header {"name": {"dtype": "F32",
 * "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key": "text"}}, and the data, which
 * the tensors fill without gaps or overlap. Opening reads the headers alone: data is first touched
 * by whoever reads a tensor, so a model larger than memory opens at once.
 *
 * Files are hostile: the header's length, nesting and size, duplicate names, types, shapes,
 * products and offsets are checked, and an error names the file, the byte or tensor, and both
 * numbers.
 *
 * Format: https://github.com/huggingface/safetensors#format
 */
#ifndef NISSL__FORMATS_SAFETENSORS_H
#define NISSL__FORMATS_SAFETENSORS_H

#include "formats/onnx.h" /* nissl__onnx_tensor: a constant tensor that points into a file */

#define NISSL__SAFETENSORS_MAX_HEADER 100000000 /* bytes, as the format's own reader has it */

typedef struct nissl__safetensors nissl__safetensors;

/* Opens one file. budget: bytes that may be allocated besides the mapping; 0 = 1 GiB. NISSL_ERR_IO,
 * _FORMAT, _LIMIT, _UNSUPPORTED (a type without a nissl_type, more than NISSL_MAX_RANK axes). */
nissl_status nissl__safetensors_open(const char *path, uint64_t budget, nissl__safetensors **out,
                                     nissl_error *err);
/* Opens every file that an index (model.safetensors.index.json) names; they lie beside it. The set
 * holds the tensors that the index lists. */
nissl_status nissl__safetensors_open_index(const char *path, uint64_t budget,
                                           nissl__safetensors **out, nissl_error *err);
/* One file in memory that outlives the result. */
nissl_status nissl__safetensors_parse(const char *label, const void *bytes, size_t size,
                                      uint64_t budget, nissl__safetensors **out, nissl_error *err);
void nissl__safetensors_free(nissl__safetensors *set);

size_t nissl__safetensors_count(const nissl__safetensors *set);
/* Tensors sorted by name. Data may be unaligned. */
const nissl__onnx_tensor *nissl__safetensors_at(const nissl__safetensors *set, size_t index);
const nissl__onnx_tensor *nissl__safetensors_find(const nissl__safetensors *set, const char *name);
/* The mapped bytes of file i, for hashing; false past the last. */
bool nissl__safetensors_file(const nissl__safetensors *set, size_t i, const void **bytes,
                             size_t *size);

#endif
