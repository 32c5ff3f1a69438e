/*
 * The graph behind a network: nodes and values by index instead of by name, constants, and
 * attribute access.
 */
#ifndef NISSL__NETWORK_GRAPH_H
#define NISSL__NETWORK_GRAPH_H

#include "formats/arena.h"
#include "formats/onnx.h"
#include "nissl/network.h"

struct nissl__operator;

/* Where the nodes of a model function were called from: their attributes may stand for the
 * caller's. */
typedef struct nissl__call_site {
    const nissl__onnx_node *node;
    const nissl__onnx_function *function;
    const struct nissl__call_site *outer;
} nissl__call_site;

/* A node after flattening: model functions are expanded in place, the branches of an If stand
 * before it. */
typedef struct nissl__node {
    const nissl__onnx_node *onnx;
    const struct nissl__operator *op;
    const char *name; /* never "" */
    int64_t opset;    /* of the default domain where the node was written */
    int n_inputs, n_outputs;
    const int *inputs;  /* value indices, -1 = absent; of an If: condition, outputs of then, outputs
                           of else */
    const int *outputs; /* value indices, -1 = unnamed */
    int guard;          /* value whose truth decides whether the node exists, or -1 */
    bool guard_truth;   /* the truth it wants */
    const nissl__call_site *site; /* NULL outside functions */
} nissl__node;

/* What is known of a value beyond the graph: names that people use, and what its axes mean. */
typedef struct nissl__label {
    const char *const *aliases; /* [n_aliases] */
    size_t n_aliases;
    const char *roles; /* a letter per axis, 's' stimulus, 'p' position, 'u' unit; "" = by rule */
    bool plumbing;     /* no site unless it is asked for by name */
    bool setting;      /* a constant that says how the network works: no weight */
} nissl__label;

/* Bytes that identify a network, hashed when somebody asks. */
typedef struct nissl__lazy_hash {
    size_t n;
    const struct nissl__mapping *parts;
    _Atomic uint64_t value; /* 0 = not asked for yet */
} nissl__lazy_hash;

struct nissl_network {
    const nissl_network
        *original; /* of a twin; NULL otherwise. A twin borrows everything but its constants. */
    nissl__onnx_model *model;
    int64_t opset;
    char *path, *format;
    uint64_t hash, parameters;
    nissl__lazy_hash *lazy_hash; /* instead of hash; NULL where that is known. Lives with model */

    int n_values;
    const char **value_names;             /* [n_values] */
    const nissl__onnx_tensor **constants; /* [n_values] NULL where the value is no initialiser */
    int *producer;                        /* [n_values] node, or -1 */
    const nissl__label *labels;           /* [n_values], or NULL */
    nissl__arena label_memory;            /* names in labels, and labels */
    bool masks_padding; /* token ids below 0 change nothing at the tokens before them */

    int n_nodes;
    nissl__node *nodes;
    nissl_node *public_nodes;
    void **owned; /* what flattening made: operand lists, names, call sites */
    size_t n_owned, owned_capacity;
    int capacity_values, capacity_nodes;

    int n_inputs, n_outputs;
    int *inputs, *outputs; /* value indices */
    nissl_port *input_ports, *output_ports;

    nissl__onnx_tensor *twin_tensors; /* [n_values] of a twin, with data of its own */
    void **twin_data;
    /* Constant nodes' tensors of a twin, by node */
    nissl__onnx_tensor *twin_node_tensors; /* [n_nodes] data == NULL where not permuted */
};

/* A network of a graph in memory. The model is taken over, on failure too. path stands for it in
 * messages, format says what it was read from, hash identifies its bytes. */
nissl_status nissl__network_of_model(nissl_context *ctx, nissl__onnx_model *model, const char *path,
                                     const char *format, uint64_t hash, nissl_network **out,
                                     nissl_error *err);

/* The label of a value, NULL if it has none. */
const nissl__label *nissl__network_label(const nissl_network *network, int value);

/* The index of a named value, or -1: by name, then by alias. O(n_values). */
int nissl__network_find_value(const nissl_network *network, const char *name);

/* The tensor of a Constant node as this network (or twin) has it. */
const nissl__onnx_tensor *nissl__network_constant(const nissl_network *network, int node);

/* Fills values, nodes, inputs and outputs from the model. */
nissl_status nissl__network_flatten(nissl_network *network, nissl_error *err);

/* An attribute of a node, through the caller where it stands in a function; NULL if absent. */
const nissl__onnx_attribute *nissl__attribute(const nissl__node *node, const char *name);
int64_t nissl__attr_int(const nissl__node *node, const char *name, int64_t fallback);
float nissl__attr_float(const nissl__node *node, const char *name, float fallback);
const char *nissl__attr_string(const nissl__node *node, const char *name, const char *fallback);
/* The integers of a list attribute, or NULL; *n receives their number. */
const int64_t *nissl__attr_ints(const nissl__node *node, const char *name, size_t *n);

#endif
