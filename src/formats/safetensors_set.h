/* Shared by the files of the safetensors reader. */
#ifndef NISSL__FORMATS_SAFETENSORS_SET_H
#define NISSL__FORMATS_SAFETENSORS_SET_H

#include "formats/arena.h"
#include "formats/file.h"
#include "formats/safetensors.h"

struct nissl__safetensors {
    nissl__arena arena;
    nissl__onnx_tensor *tensors; /* sorted by name */
    size_t n;
    nissl__mapping *files; /* NULL: parsed from memory */
    size_t n_files;
    const void *memory; /* then this */
    size_t memory_size;
};

/* Reads one file's header; names go into the set's arena, *tensors (nissl__free, sorted by name)
 * are the caller's. */
nissl_status nissl__safetensors_read(const char *label, const void *bytes, size_t size,
                                     nissl__safetensors *set, nissl__onnx_tensor **tensors,
                                     size_t *n, nissl_error *err);
int nissl__safetensors_by_name(const void *a, const void *b);

#endif
