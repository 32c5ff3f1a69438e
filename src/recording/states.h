/*
 * The states of one reducer at one site during a pass, merged in a fixed tree.
 *
 * Leaves are runs of leaf_stimuli consecutive stimuli, each updated in order in the open state. A
 * finished leaf goes into a binary counter: level l holds at most one state, of 2^l leaves, and two
 * of a level merge into the next. What merges with what depends on the number of leaves alone. An
 * exact reducer has the open state only, for the whole pass.
 */
#ifndef NISSL__STATES_H
#define NISSL__STATES_H

#include "nissl/reducer.h"

#define NISSL__MAX_LEVELS 48

typedef struct nissl__states {
    const nissl_reducer *reducer;
    const nissl_reducer_site *site;
    int64_t leaf_stimuli, open_capacity;
    int n_levels;
    void *open;
    bool open_empty;
    void *level[NISSL__MAX_LEVELS];
    int64_t capacity[NISSL__MAX_LEVELS]; /* stimuli a level's state is made for */
    bool pending[NISSL__MAX_LEVELS];
} nissl__states;

/* Bytes that nissl__states_new allocates; 0 if the reducer has nothing to do at the site. */
uint64_t nissl__states_bytes(const nissl_reducer *reducer, const nissl_reducer_site *site,
                             int64_t leaf_stimuli);

/* allocated grows by what was allocated. site must outlive the states. */
nissl_status nissl__states_new(const nissl_reducer *reducer, const nissl_reducer_site *site,
                               int64_t leaf_stimuli, nissl__states *out, uint64_t *allocated,
                               nissl_error *err);
void nissl__states_free(nissl__states *states);

/* The next micro-batch in order; one that crosses no leaf boundary. */
void nissl__states_update(nissl__states *states, const nissl_batch *batch);

/* Merges what is there; the result belongs to states. */
const void *nissl__states_finish(nissl__states *states);

#endif
