/* Running a program for the recorder: see nissl_run_forward. */
#ifndef NISSL__NETWORK_RUN_H
#define NISSL__NETWORK_RUN_H

#include "nissl/network.h"

/*
 * Sites that follow one another element by element: a site, the same scaled and shifted by channel
 * (BatchNormalization), the same clipped (Relu, Clip: min(max(x, low), high), NaN kept). The first
 * and at least one of the others exist. All are channels-last.
 */
typedef struct nissl__chain {
    int first, scaled, clipped; /* sites; -1 = there is none. first is -1 where there is no chain */
    const float *scale, *shift; /* [channels] */
    float low, high;
    bool keeps_scaled; /* false: nothing reads the scaled values but the clip */
} nissl__chain;

/* Does the work of a chain's steps, in place of these and of reporting the sites. Views of sites
 * that there are not are NULL; they may be the same memory. */
typedef nissl_status (*nissl__chain_fn)(void *user, const nissl__chain *chain,
                                        const nissl_view *first, const nissl_view *scaled,
                                        const nissl_view *clipped, nissl_error *err);

/* nissl_run_forward whose observer may also do the work of chains: each value is read once. chain
 * may be NULL. */
nissl_status nissl__run_forward_chaining(nissl_run *run, const nissl_view *inputs, size_t n_inputs,
                                         nissl_observe_fn observe, nissl__chain_fn chain,
                                         void *user, nissl_error *err);

#endif
