/*
 * Recognising transformers in a graph from a file, so that their tensors answer to the names that
 * people use. Structure is found by walking the graph; what it means is then computed on random
 * input, and nothing is named that the numbers do not bear out.
 */
#ifndef NISSL__NETWORK_RECOGNISE_H
#define NISSL__NETWORK_RECOGNISE_H

#include "network/program.h"

/* Adds aliases and axis roles to a network from a file. A network that is no transformer, or that
 * cannot be run on a guess of its input, is left as it is: only running out of memory is an error.
 * Cost: for networks with attention, compiling and running once, of at most most_operations; larger
 * ones are not named. */
#define NISSL__RECOGNISE_OPERATIONS 2e11
nissl_status nissl__recognise(nissl_context *ctx, nissl_network *network, double most_operations,
                              nissl_error *err);

/* ---- shared by the files that do it ---- */

/* One attention with what surrounds it; values by index, -1 where there is none. */
typedef struct nissl__found_block {
    int in, attn_out, mid, mlp_out, out; /* residual stream and what is added to it */
    int norm1, norm2;                    /* what attention and MLP read */
    int bare1, bare2;                    /* root-mean-square norms before their weight */
    int norm_out;                        /* post-norm: the normalised output */
    int q, k, v, rotated_q, rotated_k;
    int scores, pattern, z;
    int pre, linear, post; /* of the MLP; linear: the ungated half of a gated one */
    bool after;            /* norms come after the sums */
    bool parallel;         /* attention and MLP read the same residual */
    bool rms;              /* norms take no mean; set by the check */
} nissl__found_block;

/* Values of a run on random input. */
typedef struct nissl__found_values {
    const nissl__value *values; /* of the program: shapes */
    float **data;               /* [n_values] row-major, NULL where not asked for */
    int64_t batch, tokens;
} nissl__found_values;

/* Whether the numbers agree with what a block is taken for: rows of patterns sum to one, z =
 * pattern v, scores = q k, sums are sums, norms are norms, the activation is a known one. Sets rms.
 * *why names the first disagreement. */
bool nissl__confirm_block(const nissl__found_values *f, nissl__found_block *block,
                          const char **why);
/* Whether y is x, row by row, normalised and then scaled (and, unless rms, shifted) by feature. */
bool nissl__confirm_norm(const nissl__found_values *f, int x, int y, bool *rms);
/* Whether every pattern is zero after its own token. */
bool nissl__confirm_causal(const nissl__found_values *f, const nissl__found_block *block);

#endif
