/* The recorder, with what tests look at. */
#ifndef NISSL__RECORDER_H
#define NISSL__RECORDER_H

#include "nissl/recording.h"

/* nissl_record. allocated (may be NULL) receives the bytes of weights, runs, states and buffers
 * that were allocated, which nissl_plan_memory foretells. */
nissl_status nissl__record(nissl_context *ctx, const nissl_plan *plan, const nissl_stimuli *stimuli,
                           const nissl_subject *subjects, size_t n_subjects,
                           const nissl_record_options *opt, uint64_t *allocated, nissl_error *err);

#endif
