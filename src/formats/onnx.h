/*
 * ONNX files: a zero-copy reader of the protobuf wire format over mapped memory, and a writer.
 *
 * The reader treats its file as hostile: every length is checked against what is left, nesting is
 * limited to NISSL__ONNX_MAX_DEPTH, node and dimension counts and every allocation count against a
 * budget, and an error names the file, the byte offset or the field path, and both numbers.
 */
#ifndef NISSL__FORMATS_ONNX_H
#define NISSL__FORMATS_ONNX_H

#include "nissl/array.h"
#include "nissl/error.h"

#define NISSL__ONNX_MAX_DEPTH 64 /* messages inside messages, the model included */

typedef struct nissl__onnx_graph nissl__onnx_graph;

/* A constant tensor. data is little-endian, row-major, exactly count * type size bytes, never NULL,
 * and may be unaligned: it points into the mapped file (raw_data, external data, float_data in one
 * piece) or, for other typed fields, into memory of the model. */
typedef struct nissl__onnx_tensor {
    const char *name; /* never NULL, may be "" */
    nissl_type type;
    int rank;
    int64_t shape[NISSL_MAX_RANK];
    const void *data;
    size_t bytes;
} nissl__onnx_tensor;

typedef enum nissl__onnx_attribute_kind {
    NISSL__ONNX_FLOAT,
    NISSL__ONNX_INT,
    NISSL__ONNX_STRING,
    NISSL__ONNX_TENSOR,
    NISSL__ONNX_GRAPH,
    NISSL__ONNX_FLOATS,
    NISSL__ONNX_INTS,
    NISSL__ONNX_STRINGS,
    NISSL__ONNX_TENSORS,
    NISSL__ONNX_GRAPHS,
    NISSL__ONNX_OTHER /* kept by name so that an error can name it */
} nissl__onnx_attribute_kind;

typedef struct nissl__onnx_attribute {
    const char *name;
    const char *reference; /* "" or, inside a function, the function's attribute it stands for */
    nissl__onnx_attribute_kind kind;
    float f;
    int64_t i;
    const char *s; /* NUL-terminated copy */
    size_t n;      /* length of s, or how many floats, ints, strings, tensors or graphs */
    const float *floats;
    const int64_t *ints;
    const char *const *strings;       /* without NUL inside */
    const nissl__onnx_tensor *tensor; /* of TENSOR; the first of n of TENSORS */
    const nissl__onnx_graph *graph;   /* of GRAPH; the first of n of GRAPHS */
} nissl__onnx_attribute;

typedef struct nissl__onnx_node {
    const char *name;   /* may be "" */
    const char *op;     /* "Conv" */
    const char *domain; /* "" is the default domain; "ai.onnx" is read as "" */
    size_t n_inputs, n_outputs, n_attributes;
    const char *const *inputs; /* "" is an absent optional input */
    const char *const *outputs;
    const nissl__onnx_attribute *attributes;
} nissl__onnx_node;

/* A graph input, output or annotated value. */
typedef struct nissl__onnx_value {
    const char *name;
    bool has_type; /* false: nothing is known but the name, and foreign_type */
    bool has_shape;
    nissl_type type;
    int rank;
    int64_t shape[NISSL_MAX_RANK];         /* -1: symbolic or unknown */
    const char *dim_names[NISSL_MAX_RANK]; /* NULL or the symbol: "batch" */
    const void *foreign_type; /* TypeProto of strings, sequences and the like, to be written back */
    size_t foreign_bytes;
} nissl__onnx_value;

struct nissl__onnx_graph {
    const char *name;
    size_t n_nodes, n_initializers, n_inputs, n_outputs, n_values;
    const nissl__onnx_node *nodes;
    const nissl__onnx_tensor *initializers;
    const nissl__onnx_value
        *inputs; /* initializers that are listed as inputs (ir_version < 4) are still listed */
    const nissl__onnx_value *outputs;
    const nissl__onnx_value *values;
};

typedef struct nissl__onnx_opset {
    const char *domain;
    int64_t version;
} nissl__onnx_opset;

typedef struct nissl__onnx_function {
    const char *name, *domain;
    size_t n_inputs, n_outputs, n_nodes, n_opsets, n_attributes, n_defaults;
    const char *const *inputs;
    const char *const *outputs;
    const nissl__onnx_node *nodes;
    const nissl__onnx_opset *opsets;
    const char *const *attributes;         /* without a default */
    const nissl__onnx_attribute *defaults; /* attributes with one */
} nissl__onnx_function;

typedef struct nissl__onnx_model {
    int64_t ir_version;
    int64_t opset; /* of the default domain; 1 in a file without any, 0 if only others are named */
    const char *producer_name, *producer_version;
    size_t n_opsets, n_functions;
    const nissl__onnx_opset *opsets;
    const nissl__onnx_function *functions;
    nissl__onnx_graph graph;
    void *owner;                  /* private: arena and mappings */
    void (*release)(void *owner); /* of a model built in memory: frees it; NULL: it was read */
} nissl__onnx_model;

/* Opens a file; external data files are looked for beside it and may not leave its folder, also not
 * by a symbolic link. budget: bytes that may be allocated besides the mapping; 0 = 1 GiB.
 * NISSL_ERR_IO, _FORMAT (malformed), _LIMIT (budget, nesting), _UNSUPPORTED (sparse initializers,
 * element types without a nissl_type, tensors of more than NISSL_MAX_RANK axes), _MEMORY. Names are
 * checked to be UTF-8 without NUL; that nodes and values fit together is not checked here. */
nissl_status nissl__onnx_open(const char *path, uint64_t budget, nissl__onnx_model **out,
                              nissl_error *err);

/* The same from memory that outlives the model (fuzzing, tests, models built in memory). External
 * data is refused. */
nissl_status nissl__onnx_parse(const char *label, const void *bytes, size_t size, uint64_t budget,
                               nissl__onnx_model **out, nissl_error *err);
void nissl__onnx_free(nissl__onnx_model *model);

/* One tensor in a file of its own (TensorProto, as onnx.save_tensor and the backend tests write
 * them), or in memory. float16 and bfloat16 stay as they are. Errors as nissl__onnx_open; external
 * data is refused. */
nissl_status nissl__onnx_open_tensor(const char *path, uint64_t budget, nissl_array *out,
                                     nissl_error *err);
nissl_status nissl__onnx_parse_tensor(const char *label, const void *bytes, size_t size,
                                      uint64_t budget, nissl_array *out, nissl_error *err);

/* The attribute of that name, or NULL. */
const nissl__onnx_attribute *nissl__onnx_find_attribute(const nissl__onnx_node *node,
                                                        const char *name);

/* Writes a model (graph, functions, opsets, producer; tensors as raw_data) to a new file, whole or
 * not at all (temporary file, fsync, rename). owner is ignored, and a NULL string is "". Written
 * are the opsets listed, or if there are none, opset for the default domain. NISSL_ERR_UNSUPPORTED
 * for an attribute of kind OTHER, NISSL_ERR_LIMIT past protobuf's 2^31 - 1 bytes,
 * NISSL_ERR_ARGUMENT for a tensor whose bytes do not agree with its shape. Of a file that was read,
 * doc strings, metadata, denotations, quantisation annotations and training information are lost.
 */
nissl_status nissl__onnx_write(const nissl__onnx_model *model, const char *path, nissl_error *err);

#endif
