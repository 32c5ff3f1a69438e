/* Walking a graph for structure; see recognise.h. */
#ifndef NISSL__NETWORK_RECOGNISE_WALK_H
#define NISSL__NETWORK_RECOGNISE_WALK_H

#include "network/families/recognise.h"

/* A graph with shapes and with readers of every value. */
typedef struct nissl__walk {
    const nissl_network *network;
    const nissl__value *values; /* of a program of shapes */
    int64_t batch;
    int *first;   /* [n_values + 1] into readers */
    int *readers; /* nodes */
} nissl__walk;

nissl_status nissl__walk_new(const nissl_network *network, const nissl_program *program,
                             nissl__walk *out, nissl_error *err);
void nissl__walk_free(nissl__walk *walk);

/* Fills a block from the softmax node that makes its pattern; false where the surroundings are not
 * those of a transformer block. */
bool nissl__walk_block(const nissl__walk *w, int softmax, nissl__found_block *out);
/* Whether a node is a softmax over keys whose result multiplies values. */
bool nissl__walk_is_attention(const nissl__walk *w, int node);
/* The input of the linear layer (weight, and bias if any) whose result a value is, or -1. */
int nissl__walk_linear_input(const nissl__walk *w, int value);
/* Whether everything that value is computed from passes through `through`. */
bool nissl__walk_passes(const nissl__walk *w, int value, int through);

#endif
