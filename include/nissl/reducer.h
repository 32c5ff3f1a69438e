/**
 * Reducers: statistics computed in one streaming pass.
 *
 * A reducer is a table of functions over a flat, pointer-free state. Serialising a state is copying
 * its bytes. A leaf is a fixed number of consecutive micro-batches; its state is updated in
 * micro-batch order, and leaves merge in a fixed binary tree over their index, so that results do
 * not depend on threads, resumption or shards. A reducer whose updates and merges are exactly
 * associative and commutative (integer counts, a total order) says NISSL_REDUCER_EXACT and keeps
 * one state for the whole pass.
 *
 * To add one: write src/recording/reducers/NAME.c with a `const nissl_reducer
 * nissl__reducer_NAME`, and add NAME to the list in src/recording/reducers/meson.build. Nothing
 * else changes.
 */
#ifndef NISSL_REDUCER_H
#define NISSL_REDUCER_H

#include "nissl/array.h"
#include "nissl/network.h"
#include "nissl/stimuli.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How the positions of a unit become its one value on a stimulus. */
typedef enum nissl_summary {
    NISSL_SUMMARY_MEAN,
    NISSL_SUMMARY_MAX,
    NISSL_SUMMARY_CENTRE
} nissl_summary;

/** What a reducer knows of its site before the pass. */
typedef struct nissl_reducer_site {
    int64_t n_units;
    int64_t n_positions;
    int64_t n_stimuli; /* of the whole pass */
    int n_factors;     /* factors that have levels */
    const nissl_factor *const *factors;
    int64_t top_k; /* exemplars kept at each end */
    bool gated;    /* its units are act(gate) * linear, and both inputs are sites of the plan too */
} nissl_reducer_site;

/** Sign quadrants of a gated unit: (gate, linear) is (+, +), (+, -), (-, +), (-, -). */
#define NISSL_N_QUADRANTS 4

/** Consecutive stimuli at one site: one or more micro-batches, without padding. */
typedef struct nissl_batch {
    int64_t first; /* index of the first stimulus */
    int64_t n_stimuli;
    int64_t n_units;
    int64_t n_positions;
    int64_t n_samples;  /* (stimulus, position) pairs that count, padding left out; 0 = n_stimuli *
                           n_positions */
    const float *value; /* [n_stimuli, n_units] summary over positions */
    const uint32_t
        *active; /* [n_stimuli, n_units] positions where the unit is > 0; NULL unless needed */
    /* [n_stimuli, NISSL_N_QUADRANTS, n_units] each; NULL unless needed and the site is gated. A
     * sample at which gate or linear input is zero or NaN is in no quadrant. */
    const uint32_t *quadrant_count;    /* samples in the quadrant */
    const uint32_t *quadrant_position; /* of the strongest of them, row-major over position axes;
                                          of equally strong ones the first */
    const float *quadrant_value; /* of the unit there: the largest magnitude; NaN = no sample */
} nissl_batch;

#define NISSL_REDUCER_NEEDS_ACTIVE 1u /* the batch's active counts */
#define NISSL_REDUCER_EXACT        2u /* any order of updates and merges gives the same bits */
#define NISSL_REDUCER_STREAM                                                                       \
    4u /* the result is every value, written as it comes: no state; only name, summary and         \
          result_bytes are set */
/** The batch's quadrants. The plan finds gated sites by name, PREFIX.hook_post beside
 * PREFIX.hook_pre (the gate) and PREFIX.hook_pre_linear, and is refused where there is none. */
#define NISSL_REDUCER_NEEDS_QUADRANTS 8u

/**
 * Receives what a finished reducer has learned: one array per call, borrowed for its duration. Its
 * first axis is the unit; type and further axes are the same at every site of a plan.
 */
typedef nissl_status (*nissl_emit_fn)(void *user, const char *name, const char *unit,
                                      const char *description, const nissl_array *array,
                                      nissl_error *err);

typedef struct nissl_reducer {
    const char *name;    /* "moments" */
    const char *summary; /* one line for --help */
    unsigned needs;      /* NISSL_REDUCER_* */
    /** Bytes of a state that covers at most n_stimuli stimuli. 0 = this reducer has nothing to do
     * at this site. */
    size_t (*bytes)(const nissl_reducer_site *site, int64_t n_stimuli);
    void (*init)(void *state, const nissl_reducer_site *site, int64_t n_stimuli);
    void (*update)(void *state, const nissl_reducer_site *site, const nissl_batch *batch);
    /** into covers stimuli before those of from; into's state was made for at least the sum of
     * both. Merging into a state fresh from init copies from exactly. */
    void (*merge)(void *into, const void *from, const nissl_reducer_site *site);
    /** Bytes of the arrays that finish emits. */
    uint64_t (*result_bytes)(const nissl_reducer_site *site);
    /** Emits arrays named "mean" or "label/mean"; the recording holds them as "moments/mean". */
    nissl_status (*finish)(const void *state, const nissl_reducer_site *site, nissl_emit_fn emit,
                           void *user, nissl_error *err);
} nissl_reducer;

/** All reducers of this build, ended by NULL. */
const nissl_reducer *const *nissl_reducers(void);
/** By name, or NULL. */
const nissl_reducer *nissl_reducer_find(const char *name);

#ifdef __cplusplus
}
#endif
#endif
