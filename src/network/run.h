/* Running a program for the recorder: see nissl_run_forward. */
#ifndef NISSL__NETWORK_RUN_H
#define NISSL__NETWORK_RUN_H

#include "nissl/network.h"

/* Does the work of a step that clips one observed site into another (Relu, Clip), in place of the
 * step and of reporting both sites: out = min(max(in, low), high), NaN kept. Both views are
 * channels-last; out may be in. */
typedef nissl_status (*nissl__clip_fn)(void *user, size_t in_site, size_t out_site,
                                       const nissl_view *in, const nissl_view *out, float low,
                                       float high, nissl_error *err);

/* nissl_run_forward whose observer may also clip: each value of such a pair is read once. clip may
 * be NULL. */
nissl_status nissl__run_forward_clipping(nissl_run *run, const nissl_view *inputs, size_t n_inputs,
                                         nissl_observe_fn observe, nissl__clip_fn clip, void *user,
                                         nissl_error *err);

#endif
