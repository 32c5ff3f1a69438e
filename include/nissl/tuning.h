/**
 * Tuning of single units, on arrays [samples, units]: a recording, a numpy file or neurons.
 */
#ifndef NISSL_TUNING_H
#define NISSL_TUNING_H

#include "nissl/context.h"
#include "nissl/recording.h"
#include "nissl/table.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Indices of one unit. x: [n] responses to n stimuli. Undefined results are NaN, never an error. */

/** Treves-Rolls activity fraction (sum x / n)^2 / (sum x^2 / n) of max(x, 0); NaN if all are 0. */
double nissl_sparseness_treves_rolls(const float *x, int64_t n, int64_t stride);
/** Vinje-Gallant (1 - a) / (1 - 1/n): 0 uniform, 1 one-hot. */
double nissl_sparseness_vinje_gallant(const float *x, int64_t n, int64_t stride);
/** Class selectivity (m_best - m_rest) / (m_best + m_rest + 1e-7) of class means, m_rest their mean
 * over the others; needs means >= 0, else NaN. */
double nissl_selectivity_class(const double *class_mean, int64_t n_classes);
/** d' = (m1 - m2) / sqrt((s1^2 + s2^2) / 2), n - 1 in the variances. */
double nissl_dprime(const float *a, int64_t n_a, const float *b, int64_t n_b);
/** Area under the ROC curve U / (n_a n_b), ties count one half. O(n log n); scratch is allocated.
 * NaN when out of memory. */
double nissl_auroc(const float *a, int64_t n_a, const float *b, int64_t n_b);

/** Results for every unit of a set of responses. All arrays are owned. */
typedef struct nissl_tuning {
    int64_t n_units, n_conditions, n_stimuli;
    double *mean, *sd;  /* [n_units] over stimuli */
    double *curve;      /* [n_units, n_conditions] mean response per condition; NaN if empty */
    double *curve_se;   /* [n_units, n_conditions] standard error, NaN below 2 stimuli */
    int32_t *preferred; /* [n_units] condition of the largest mean over all stimuli, -1 if none
                           (constant unit) */
    int32_t *preferred_heldin; /* [n_units] the same on the choosing half */
    double *selectivity;       /* [n_units] class selectivity of rectified means, all stimuli */
    double
        *selectivity_heldout; /* [n_units] best chosen on one half, index measured on the other */
    double *dprime,
        *auroc; /* [n_units] best against rest, chosen on one half, measured on the other */
    double *lifetime_sparseness;   /* [n_units] Vinje-Gallant of rectified responses */
    double *population_sparseness; /* [n_stimuli] Vinje-Gallant of rectified responses over units */
} nissl_tuning;

typedef struct nissl_tuning_options {
    uint64_t seed; /* of the stratified split into halves */
} nissl_tuning_options;

/**
 * Tuning of all units to one factor.
 * @param x         responses [n_stimuli, n_units] row-major, float32. NaN responses make that
 * unit's results NaN.
 * @param condition [n_stimuli] 0 .. n_conditions - 1, or -1 for stimuli to leave out.
 */
nissl_status nissl_tuning_compute(nissl_context *ctx, const float *x, int64_t n_stimuli,
                                  int64_t n_units, const int32_t *condition, int64_t n_conditions,
                                  const nissl_tuning_options *opt, nissl_tuning *out,
                                  nissl_error *err);
void nissl_tuning_free(nissl_tuning *tuning);

/** The same from a recorded site and factor, read in blocks of units. */
nissl_status nissl_tuning_of_site(nissl_context *ctx, const nissl_recording *recording, size_t site,
                                  int factor, const nissl_tuning_options *opt, nissl_tuning *out,
                                  nissl_error *err);

/** Adds a row per unit (site, unit, preferred condition by name, indices) to a table with the right
 * columns, or to an empty one. */
nissl_status nissl_tuning_to_table(const nissl_tuning *tuning, const char *site,
                                   const nissl_factor *factor, nissl_table *table,
                                   nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
