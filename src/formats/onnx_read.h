/*
 * Shared by the files of the ONNX reader.
 */
#ifndef NISSL__FORMATS_ONNX_READ_H
#define NISSL__FORMATS_ONNX_READ_H

#include "formats/arena.h"
#include "formats/file.h"
#include "formats/onnx.h"
#include "formats/wire.h"

typedef struct nissl__onnx_external nissl__onnx_external;

/* Lives as long as the model and is its owner. */
typedef struct nissl__onnx_reader {
    nissl__onnx_model model;
    nissl__arena arena;
    nissl__mapping mapping;         /* of the file, if it is one */
    nissl__onnx_external *external; /* mapped files of external data */
    const char *path;               /* NULL: parsed from memory; only used while reading */
    const char *label;              /* begins every message */
    nissl_error *err;               /* only while reading */
} nissl__onnx_reader;

/* "LABEL: byte N: message"; place is inside the file. */
#define NISSL__ONNX_FAIL(r, wire, place, code, ...)                                                \
    nissl__onnx_fail((r), (wire), (place), NISSL__FAIL((r)->err, (code), __VA_ARGS__))
nissl_status nissl__onnx_fail(nissl__onnx_reader *r, const nissl__wire *wire, const uint8_t *place,
                              nissl_status status);

/* From the arena; an error gets the label. */
nissl_status nissl__onnx_take(nissl__onnx_reader *r, size_t count, size_t size, void **out);

/* A NUL-terminated copy of a field that must be UTF-8 text without NUL. */
nissl_status nissl__onnx_read_text(nissl__onnx_reader *r, const nissl__wire *wire,
                                   const nissl__wire_field *field, const char *what,
                                   const char **out);

nissl_status nissl__onnx_read_tensor(nissl__onnx_reader *r, nissl__wire wire,
                                     nissl__onnx_tensor *out);

/* The nissl_type of a TensorProto.DataType, or NISSL_TYPE_COUNT, and the name in either case. */
nissl_type nissl__onnx_type(uint64_t data_type);
const char *nissl__onnx_type_name(uint64_t data_type);
int nissl__onnx_type_code(nissl_type type); /* back; 0 if there is none */

void nissl__onnx_unmap_external(nissl__onnx_reader *r);

#endif
