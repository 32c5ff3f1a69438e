/*
 * config.json of the families that are built, read into one form.
 */
#ifndef NISSL__NETWORK_FAMILY_CONFIG_H
#define NISSL__NETWORK_FAMILY_CONFIG_H

#include "foundation/foundation.h"

typedef enum nissl__family {
    NISSL__FAMILY_GPT2,
    NISSL__FAMILY_NEOX,
    NISSL__FAMILY_LLAMA, /* and llama2.c */
    NISSL__FAMILY_QWEN2,
    NISSL__FAMILY_QWEN3,
    NISSL__FAMILY_BERT,
    NISSL__FAMILY_COUNT
} nissl__family;

typedef enum nissl__activation {
    NISSL__ACTIVATION_GELU,
    NISSL__ACTIVATION_GELU_TANH,
    NISSL__ACTIVATION_RELU,
    NISSL__ACTIVATION_SILU,
    NISSL__ACTIVATION_TANH
} nissl__activation;

typedef struct nissl__family_config {
    nissl__family family;
    int64_t d_model, d_mlp, n_layers, n_heads, n_kv_heads, d_head, n_vocab, n_positions;
    nissl__activation activation;
    float epsilon;
    bool tied; /* the head is the embedding where the weights hold no head */

    bool parallel;        /* NeoX: attention and MLP read the same residual */
    bool scale_attention; /* by 1 / sqrt(d_head) */
    bool scale_by_layer;  /* and by 1 / (layer + 1) */
    int64_t d_rotary;     /* rotated dimensions of a head */
    bool interleaved;     /* neighbours rotate together, not halves */
    double rope_base;
    bool rope_llama3;            /* frequencies stretched by band, as Llama 3.1 does */
    double rope_factor;          /* > 1: positions (linear) or low frequencies (llama3) shrink */
    double rope_low, rope_high;  /* llama3: low_freq_factor, high_freq_factor */
    double rope_original_length; /* llama3 */
} nissl__family_config;

const char *nissl__family_name(nissl__family family); /* "GPT-2" */

/* Reads JSON text; label stands for the file in messages. NISSL_ERR_FORMAT, NISSL_ERR_LIMIT;
 * NISSL_ERR_UNSUPPORTED for a model_type, activation or setting that changes what is computed and
 * is not built. */
nissl_status nissl__family_config_parse(const char *label, const char *text, size_t size,
                                        nissl__family_config *out, nissl_error *err);

/* Rotations per position of pair i of d_rotary / 2, in float32 as the reference computes them. */
void nissl__rope_frequencies(const nissl__family_config *config, float *out);

#endif
