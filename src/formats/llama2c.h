/*
 * llama2.c checkpoints, version 0: seven int32 and float32 tensors, mapped.
 *
 * The header is dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len, little-endian;
 * a negative vocab_size says that a classifier of its own follows the tables. Every layer of a kind
 * stands together, so tensor i of a kind is a slice.
 *
 * Layout: https://github.com/karpathy/llama2.c (run.c, memory_map_weights).
 */
#ifndef NISSL__FORMATS_LLAMA2C_H
#define NISSL__FORMATS_LLAMA2C_H

#include "formats/file.h"
#include <stdbool.h>
#include <stdint.h>

#include "nissl/error.h"

typedef struct nissl__llama2c {
    int64_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len;
    bool shared_classifier;
    const float *token_embedding;               /* [vocab_size, dim] */
    const float *rms_att, *rms_ffn, *rms_final; /* [n_layers, dim], the same, [dim] */
    const float *wq, *wk, *wv, *wo; /* [n_layers, dim, dim], [n_layers, kv_dim, dim] twice,
                                       [n_layers, dim, dim]; kv_dim = dim n_kv_heads / n_heads */
    const float *w1, *w2, *w3;      /* [n_layers, hidden_dim, dim], [n_layers, dim, hidden_dim],
                                       [n_layers, hidden_dim, dim] */
    const float *wcls;              /* [vocab_size, dim]: the embedding where it is shared */
    nissl__mapping file;
} nissl__llama2c;

/* Whether bytes begin like such a file, whose whole size is given: header and size agree. */
bool nissl__llama2c_recognise(const void *bytes, size_t n, uint64_t file_size);

/* Opens a file. NISSL_ERR_IO; NISSL_ERR_FORMAT with what the header says and what the file holds.
 */
nissl_status nissl__llama2c_open(const char *path, nissl__llama2c *out, nissl_error *err);
/* The same from 4-byte aligned memory that outlives the result. */
nissl_status nissl__llama2c_parse(const char *label, const void *bytes, size_t size,
                                  nissl__llama2c *out, nissl_error *err);
void nissl__llama2c_close(nissl__llama2c *checkpoint); /* idempotent */

#endif
