/*
 * The parts of an examination: activity and comparisons with the twin, tables, findings. Private to
 * the study.
 */
#ifndef NISSL__STUDIES_EXAMINATION_H
#define NISSL__STUDIES_EXAMINATION_H

#include "foundation/foundation.h"
#include "nissl/examine.h"

/* An index over the units of a site (or over stimuli, for population sparseness), beside the
 * twin's. Twin and comparison are NaN and 0 without a twin. */
typedef struct nissl__comparison {
    int64_t n, twin_n; /* where the index is defined */
    double quartile[3], twin_quartile[3];
    double beyond;    /* share above the 95th percentile of the twin */
    double exceeds;   /* probability that one of the network exceeds one of the twin */
    double low, high; /* its 95 % bootstrap interval; NaN where it was not asked for */
} nissl__comparison;

/* A site over all stimuli. */
typedef struct nissl__site_summary {
    uint64_t parameters;
    double operations;               /* per stimulus */
    int64_t constant, twin_constant; /* units with one value on all stimuli */
    bool is_signed;                  /* most units are negative on some stimulus */
    bool is_output;                  /* of the network: what it says, not how it comes to it */
    nissl__comparison lifetime, population;
} nissl__site_summary;

/* A site and a factor. */
typedef struct nissl__factor_summary {
    nissl__comparison selectivity, heldout, auroc, dprime;
} nissl__factor_summary;

/* The index that findings about a factor rest on. An auROC compares single responses, so where
 * other factors vary too it counts what they do as noise; a selectivity index compares means, but
 * makes no sense of units that are negative. */
typedef enum nissl__speaker {
    NISSL__SPEAKER_AUROC,      /* held out; nothing else varies */
    NISSL__SPEAKER_HELDOUT,    /* held-out selectivity; other factors vary */
    NISSL__SPEAKER_SELECTIVITY /* in sample: too few stimuli to hold any out */
} nissl__speaker;

/* What a factor offers. */
typedef struct nissl__factor_design {
    int64_t n_stimuli;    /* that have a level */
    int64_t fewest, most; /* stimuli of a level */
    nissl__speaker speaker;
} nissl__factor_design;

typedef struct nissl__summary {
    nissl__site_summary *sites;     /* [n_sites] */
    nissl__factor_summary *factors; /* [n_sites, n_factors] */
    nissl__factor_design *designs;  /* [n_factors] */
} nissl__summary;

/* Summarises recordings and tuning. parameters, operations and is_output are left 0. */
nissl_status nissl__summary_new(nissl_context *ctx, const nissl_examination *e, nissl__summary *out,
                                nissl_error *err);
void nissl__summary_free(nissl__summary *summary);

nissl_status nissl__sites_table(const nissl_examination *e, const nissl__summary *summary,
                                nissl_table *out, nissl_error *err);
nissl_status nissl__units_table(const nissl_examination *e, nissl_table *out, nissl_error *err);

/* Fills in findings and not_tested of e. */
nissl_status nissl__findings(nissl_context *ctx, const nissl__summary *summary,
                             nissl_examination *e, nissl_error *err);
nissl_status nissl__not_tested(const nissl__summary *summary, const nissl_network *network,
                               const nissl_stimuli *stimuli, const nissl_examine_options *opt,
                               nissl_examination *e, nissl_error *err);

#endif
