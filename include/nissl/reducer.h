/**
 * Reducers: statistics computed in one streaming pass.
 *
 * A reducer is a table of functions over a flat, pointer-free state. Serialising a state is copying
 * its bytes; merging is associative over consecutive ranges of micro-batches, and the recorder
 * merges in a fixed tree over the micro-batch index, so that results do not depend on threads,
 * resumption or shards. To add one: write src/recording/reducers/NAME.c with a `const nissl_reducer
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
} nissl_reducer_site;

/** One micro-batch at one site. */
typedef struct nissl_batch {
    int64_t first;     /* index of its first stimulus */
    int64_t n_stimuli; /* without padding */
    int64_t n_units;
    int64_t n_positions;
    const float *value; /* [n_stimuli, n_units] summary over positions */
    const uint32_t
        *active; /* [n_stimuli, n_units] positions where the unit is > 0; NULL unless needed */
    const nissl_view *view; /* the site as the program has it, padding included */
} nissl_batch;

#define NISSL_REDUCER_NEEDS_ACTIVE 1u

/** Receives what a finished reducer has learned: one array per call, borrowed for its duration. */
typedef nissl_status (*nissl_emit_fn)(void *user, const char *name, const char *unit,
                                      const char *description, const nissl_array *array,
                                      nissl_error *err);

typedef struct nissl_reducer {
    const char *name;    /* "moments" */
    const char *summary; /* one line for --help */
    unsigned needs;      /* NISSL_REDUCER_NEEDS_* */
    /** Bytes of a state that covers at most n_stimuli stimuli. 0 = this reducer has nothing to do
     * at this site. */
    size_t (*bytes)(const nissl_reducer_site *site, int64_t n_stimuli);
    void (*init)(void *state, const nissl_reducer_site *site, int64_t n_stimuli);
    void (*update)(void *state, const nissl_reducer_site *site, const nissl_batch *batch);
    /** into covers stimuli before those of from; into's state was made for at least the sum of
     * both. */
    void (*merge)(void *into, const void *from, const nissl_reducer_site *site);
    /** Emits arrays whose first axis is the unit. */
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
