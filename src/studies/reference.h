/*
 * A folder of tensors that another framework stored: the input it saw and what it computed. The
 * layout is that of nissl_verify_reference.
 */
#ifndef NISSL__STUDIES_REFERENCE_H
#define NISSL__STUDIES_REFERENCE_H

#include "foundation/foundation.h"
#include "nissl/network.h"

/* One stored tensor. */
typedef struct nissl__stored {
    char *tensor;       /* the network's name for it */
    char *folded;       /* its name where batch normalisations are folded away, or NULL */
    bool superseded;    /* folding gave its name to another tensor */
    const char *kind;   /* "logits", "output" or "site"; static */
    nissl_array value;  /* float32 [n_stimuli, ...] */
    int64_t *channels;  /* which indices of axis 1 are stored, NULL = all */
    int64_t n_channels; /* 0 = all */
} nissl__stored;

/* Zero-initialise with ctx and directory; free is idempotent. */
typedef struct nissl__reference {
    nissl_context *ctx;
    const char *directory;
    nissl_array input; /* [n, ...] in the type that the network wants */
    nissl__stored *tensors;
    size_t n_tensors;
} nissl__reference;

/* Reads the input, again if it was read before, as values of a type. */
nissl_status nissl__reference_input(nissl__reference *reference, nissl_type type, nissl_error *err);
/* Reads the tensors. all: a program that observes every site of the network. */
nissl_status nissl__reference_tensors(nissl__reference *reference, const nissl_network *network,
                                      const nissl_program *all, nissl_error *err);
void nissl__reference_free(nissl__reference *reference);

#endif
