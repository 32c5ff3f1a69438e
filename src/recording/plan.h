/* What a plan holds. */
#ifndef NISSL__PLAN_H
#define NISSL__PLAN_H

#include "nissl/recording.h"

typedef struct nissl__planned_site {
    char *name, *op, *node;
    int rank;
    int64_t shape[NISSL_MAX_RANK]; /* logical, batch axis = 1 */
    nissl_reducer_site site;
    int64_t first_unit;  /* row of its first unit among all units */
    int token_axes;      /* position axes that count tokens, where stimuli are padded */
    int64_t product;     /* of a gate or linear projection: the gated site it goes into; else -1 */
    int shift;           /* and where its signs go: 0 of a gate, 2 of a linear projection */
    int64_t gate;        /* of a gated site: how many come before it, and */
    int64_t first_gated; /* the row of its first unit among all gated units */
    int64_t signs_at;    /* where the signs of its inputs wait in a worker's buffer */
} nissl__planned_site;

struct nissl_plan {
    const nissl_network *network;
    const nissl_stimuli *stimuli;
    nissl_program *program; /* of network, for the sites and batch below */
    int workers;            /* runs at once: threads, but no more than micro-batches */
    nissl_summary summary;
    int64_t top_k, batch, n_stimuli;
    int64_t task_stimuli; /* of a task: one or more micro-batches, reduced together */
    int64_t n_tasks;
    int64_t leaf_stimuli;  /* of a leaf of the merge tree: a multiple of task_stimuli */
    int64_t stimulus_size; /* elements of one stimulus */
    nissl_view input;      /* [batch, stimulus...] as compiled */
    int64_t padded_to;     /* tokens of a padded stimulus; 0 where none is padded */
    size_t n_sites;
    nissl__planned_site *sites;
    const char **observe; /* [n_sites] */
    int64_t n_units;      /* over all sites */
    int64_t max_units;    /* of a site */
    size_t n_reducers;
    const nissl_reducer **reducers;
    bool needs_active, needs_quadrants, streams;
    int64_t n_gated;    /* units of gated sites, where quadrants are needed */
    int64_t sign_bytes; /* of a worker's buffer of signs; see quadrants.h */
    int n_factors;      /* with levels */
    const nissl_factor **factors;
    size_t n_costs;
    nissl_plan_cost *costs;
    uint64_t weight_bytes, run_bytes;
};

/* Fails where stimuli are padded and the network would take padding for tokens. *padded_to receives
 * how many tokens they are padded to, 0 where none is. */
nissl_status nissl__check_padding(const nissl_network *network, const nissl_stimuli *stimuli,
                                  int64_t *padded_to, nissl_error *err);

/* Tasks that may be under way at once. */
int64_t nissl__plan_slots(const nissl_plan *plan);

/* Bytes of a recording beside its arrays: objects, names, trials, units. */
uint64_t nissl__store_overhead(const nissl_plan *plan);

/* The word for a summary: "mean". */
const char *nissl__summary_name(nissl_summary summary);

#endif
