/* A binary counter of reducer states; see states.h. */
#include "recording/states.h"
#include "foundation/foundation.h"

/* Levels that a pass of n_stimuli needs: none if it is one leaf. */
static int levels_of(const nissl_reducer *reducer, int64_t n_stimuli, int64_t leaf_stimuli)
{
    int64_t n_leaves = (n_stimuli + leaf_stimuli - 1) / leaf_stimuli;
    int n = 0;
    if (n_leaves <= 1 || reducer->needs & NISSL_REDUCER_EXACT)
        return 0;
    while (n_leaves >> n)
        n++;
    return n;
}

static int64_t open_capacity(const nissl_reducer *reducer, int64_t n_stimuli, int64_t leaf_stimuli)
{
    return reducer->needs & NISSL_REDUCER_EXACT ? n_stimuli : NISSL__MIN(n_stimuli, leaf_stimuli);
}

/* The state of a level takes a second one of its size before it moves up. */
static int64_t level_capacity(int64_t n_stimuli, int64_t leaf_stimuli, int level)
{
    return leaf_stimuli > n_stimuli >> (level + 1) ? n_stimuli : leaf_stimuli << (level + 1);
}

uint64_t nissl__states_bytes(const nissl_reducer *reducer, const nissl_reducer_site *site,
                             int64_t leaf_stimuli)
{
    int64_t n = site->n_stimuli;
    int n_levels = levels_of(reducer, n, leaf_stimuli);
    uint64_t total;
    if (reducer->needs & NISSL_REDUCER_STREAM)
        return 0;
    total = reducer->bytes(site, open_capacity(reducer, n, leaf_stimuli));
    for (int l = 0; total && l < n_levels; l++)
        total += reducer->bytes(site, level_capacity(n, leaf_stimuli, l));
    return total;
}

static nissl_status new_state(const nissl_reducer *reducer, const nissl_reducer_site *site,
                              int64_t capacity, void **out, uint64_t *allocated, nissl_error *err)
{
    size_t bytes = reducer->bytes(site, capacity);
    *out = nissl__alloc(bytes, 1);
    if (!*out)
        return NISSL__NO_MEMORY(err, bytes);
    *allocated += bytes;
    reducer->init(*out, site, capacity);
    return NISSL_OK;
}

nissl_status nissl__states_new(const nissl_reducer *reducer, const nissl_reducer_site *site,
                               int64_t leaf_stimuli, nissl__states *out, uint64_t *allocated,
                               nissl_error *err)
{
    nissl__states states = {.reducer = reducer, .site = site, .leaf_stimuli = leaf_stimuli};
    nissl_status status;
    states.open_capacity = open_capacity(reducer, site->n_stimuli, leaf_stimuli);
    states.open_empty = true;
    status = new_state(reducer, site, states.open_capacity, &states.open, allocated, err);
    for (int n = levels_of(reducer, site->n_stimuli, leaf_stimuli);
         status == NISSL_OK && states.n_levels < n; states.n_levels++) {
        int l = states.n_levels;
        states.capacity[l] = level_capacity(site->n_stimuli, leaf_stimuli, l);
        status = new_state(reducer, site, states.capacity[l], &states.level[l], allocated, err);
    }
    if (status == NISSL_OK)
        *out = states;
    else
        nissl__states_free(&states);
    return status;
}

void nissl__states_free(nissl__states *states)
{
    if (!states)
        return;
    nissl__free(states->open);
    for (int l = 0; l < NISSL__MAX_LEVELS; l++)
        nissl__free(states->level[l]);
    *states = (nissl__states){0};
}

static void push_leaf(nissl__states *states)
{
    const nissl_reducer *reducer = states->reducer;
    const void *carry = states->open;
    for (int l = 0; l < states->n_levels; l++) {
        if (!states->pending[l]) {
            reducer->init(states->level[l], states->site, states->capacity[l]);
            reducer->merge(states->level[l], carry, states->site);
            states->pending[l] = true;
            break;
        }
        reducer->merge(states->level[l], carry, states->site);
        states->pending[l] = false;
        carry = states->level[l];
    }
    reducer->init(states->open, states->site, states->open_capacity);
    states->open_empty = true;
}

void nissl__states_update(nissl__states *states, const nissl_batch *batch)
{
    states->reducer->update(states->open, states->site, batch);
    states->open_empty = false;
    if (states->n_levels > 0 && (batch->first + batch->n_stimuli) % states->leaf_stimuli == 0)
        push_leaf(states);
}

const void *nissl__states_finish(nissl__states *states)
{
    void *carry = NULL;
    if (states->n_levels == 0)
        return states->open;
    if (!states->open_empty)
        push_leaf(states);
    for (int l = 0; l < states->n_levels; l++) {
        if (!states->pending[l])
            continue;
        if (carry)
            states->reducer->merge(states->level[l], carry, states->site);
        carry = states->level[l];
    }
    return carry ? carry : states->open;
}
