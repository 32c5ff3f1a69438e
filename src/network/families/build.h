/*
 * Writing a graph: what the families' files share. The first failure is kept and everything after
 * it does nothing, so a family's file reads as the network it writes.
 */
#ifndef NISSL__NETWORK_FAMILY_BUILD_H
#define NISSL__NETWORK_FAMILY_BUILD_H

#include "formats/arena.h"
#include "formats/file.h"
#include "formats/llama2c.h"
#include "formats/safetensors.h"
#include "network/families/config.h"
#include "network/graph.h"

#define NISSL__BUILD_OPSET 24 /* RMSNormalization and Swish are operators */

/* A label while the graph is written. */
typedef struct nissl__built_label {
    const char *value;
    nissl__label label;
    size_t capacity; /* of aliases */
} nissl__built_label;

/* What a model in memory owns. */
typedef struct nissl__built {
    nissl__onnx_model model;
    nissl__arena arena;
    nissl__safetensors *set;
    nissl__llama2c checkpoint;
    nissl__mapping config;
    nissl__lazy_hash lazy_hash;
} nissl__built;

typedef struct nissl__builder {
    nissl__built *built;
    const nissl__family_config *config;
    const char *path;
    const nissl__onnx_tensor *weights; /* [n_weights] sorted by name */
    size_t n_weights;
    nissl_status status;
    nissl_error *err;
    nissl__onnx_node *nodes;
    nissl__onnx_tensor *initializers;
    nissl__built_label *labels;
    nissl__onnx_value *outputs;
    size_t n_nodes, n_initializers, n_labels, n_outputs;
    size_t node_capacity, initializer_capacity, label_capacity, output_capacity;
    const char *ids, *tokens, *shape; /* input, input without negative numbers, int64 [2] of it */
    const char *mask;                 /* added to scores, "" = none */
    const char *cosine, *sine;        /* [1, tokens, 1, d_rotary] */
} nissl__builder;

/* ---- names and nodes ---- */

const char *nissl__text(nissl__builder *b, const char *format, ...) NISSL__PRINTF(2, 3);
/* "blocks.3.attn.hook_q" */
#define NISSL__BLOCK(b, layer, name) nissl__text((b), "blocks.%d." name, (layer))

#define NISSL__IN(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NISSL__WITH(...)                                                                           \
    ((const nissl__onnx_attribute[]){__VA_ARGS__, {.name = NULL, .kind = NISSL__ONNX_OTHER}})
#define NISSL__INT(key, number)                                                                    \
    {                                                                                              \
        .name = (key), .kind = NISSL__ONNX_INT, .i = (number)                                      \
    }
#define NISSL__FLOAT(key, number)                                                                  \
    {                                                                                              \
        .name = (key), .kind = NISSL__ONNX_FLOAT, .f = (number)                                    \
    }
#define NISSL__TEXT(key, text)                                                                     \
    {                                                                                              \
        .name = (key), .kind = NISSL__ONNX_STRING, .s = (text), .n = strlen(text)                  \
    }
#define NISSL__INTS(key, ...)                                                                      \
    {                                                                                              \
        .name = (key), .kind = NISSL__ONNX_INTS, .ints = (const int64_t[]){__VA_ARGS__},           \
        .n = sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)                              \
    }

/* Adds a node and returns its output. inputs end with NULL, attributes with one without a name (or
 * NULL). name NULL: plumbing. */
const char *nissl__node_add(nissl__builder *b, const char *name, const char *op,
                            const char *const *inputs, const nissl__onnx_attribute *attributes);
/* Says what the axes of a value mean; it is a site. */
void nissl__site_is(nissl__builder *b, const char *value, const char *roles);
void nissl__alias_add(nissl__builder *b, const char *value, const char *format, ...)
    NISSL__PRINTF(3, 4);
/* Makes a value with n entries along its last axis an output of the graph: [batch, tokens, n], or
 * [batch, n] where it is not per token. */
void nissl__output_is(nissl__builder *b, const char *value, bool per_token, int64_t n);

/* ---- constants ---- */

const char *nissl__ints(nissl__builder *b, int n, const int64_t *values); /* [n] */
#define NISSL__SHAPE(b, ...)                                                                       \
    nissl__ints((b), (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),              \
                (const int64_t[]){__VA_ARGS__})
const char *nissl__int_scalar(nissl__builder *b, int64_t value);
const char *nissl__float_scalar(nissl__builder *b, float value);
/* float32 [n] that is no weight: taken over from values. */
const char *nissl__floats(nissl__builder *b, int64_t n, const float *values);

/* ---- weights ---- */

/* Whether there is a tensor of that name. */
bool nissl__has_weight(const nissl__builder *b, const char *name);
/* Its size along axis 0; 0 where there is none. */
int64_t nissl__weight_rows(const nissl__builder *b, const char *name);
/* A weight that must be there, of that shape. */
const char *nissl__weight(nissl__builder *b, const char *name, int rank, const int64_t *shape);
#define NISSL__WEIGHT(b, name, ...)                                                                \
    nissl__weight((b), (name), (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),    \
                  (const int64_t[]){__VA_ARGS__})

/* ---- pieces ---- */

/* The input, its shape and what is gathered by; the causal mask or, for BERT, that of padding. */
void nissl__begin_tokens(nissl__builder *b, bool causal);
/* Rows of a table [n, d_model] by token, of float32 [batch, tokens, d_model]. */
const char *nissl__embed(nissl__builder *b, const char *name, const char *table);
/* The first tokens rows of a table [n_positions, d_model]: [1, tokens, d_model], the same for every
 * stimulus and so no site. */
const char *nissl__embed_positions(nissl__builder *b, const char *name, const char *table);

/* x [batch, tokens, n_in] through a layer; weight "P.weight" [n_out, n_in] (or [n_in, n_out] if
 * plain) and, where there is one, "P.bias" [n_out]. */
const char *nissl__linear(nissl__builder *b, const char *name, const char *x, const char *prefix,
                          int64_t n_in, int64_t n_out, bool plain);
const char *nissl__layer_norm(nissl__builder *b, const char *name, const char *x,
                              const char *prefix);
/* Over the last axis, of n entries, in two sites: normalised, and times the weight. */
const char *nissl__rms_norm(nissl__builder *b, const char *normalized, const char *name,
                            const char *x, const char *weight, int64_t n);
const char *nissl__activate(nissl__builder *b, const char *name, const char *x);

/* [batch, tokens, n_heads * d_head] as [batch, tokens, n_heads, d_head]: a site. */
const char *nissl__heads(nissl__builder *b, const char *name, const char *x, int64_t n_heads);
/* Cosines and sines for every token. */
void nissl__begin_rotation(nissl__builder *b);
/* Rotates [batch, tokens, heads, d_head]: a site. */
const char *nissl__rotate(nissl__builder *b, const char *name, const char *x, int64_t n_heads);
/* Attention of q [batch, tokens, n_heads, d_head] to k and v [batch, tokens, n_kv_heads, d_head]:
 * sites hook_attn_scores (before the mask), hook_pattern and hook_z of the block. Returns z as
 * [batch, tokens, n_heads * d_head]. */
const char *nissl__attend(nissl__builder *b, int layer, const char *q, const char *k,
                          const char *v);
/* a + b, a site [batch, tokens, d_model]. */
const char *nissl__add_residual(nissl__builder *b, const char *name, const char *a,
                                const char *other);
/* Scores of the vocabulary, an output; from the embedding table where they are tied. The last
 * normalised state is the output where there is neither. */
void nissl__end_with_logits(nissl__builder *b, const char *x, const char *head, const char *bias,
                            const char *embedding);

/* ---- families ---- */

void nissl__build_gpt2(nissl__builder *b);
void nissl__build_neox(nissl__builder *b);
void nissl__build_llama(nissl__builder *b);
void nissl__build_bert(nissl__builder *b);

#endif
