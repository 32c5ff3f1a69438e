/**
 * Analysis of variance of single units over crossed factors, on arrays [samples, units].
 */
#ifndef NISSL_ANOVA_H
#define NISSL_ANOVA_H

#include "nissl/array.h"
#include "nissl/context.h"
#include "nissl/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NISSL_ANOVA_MAX_FACTORS 8

typedef enum nissl_anova_sums {
    NISSL_ANOVA_TYPE_II, /* each effect after all that do not contain it */
    NISSL_ANOVA_TYPE_III /* each effect after all others, sum-to-zero coding */
} nissl_anova_sums;

typedef struct nissl_anova_options {
    nissl_anova_sums sums; /* in a balanced design both are the same */
    int max_order; /* of interactions in the model: 1 = main effects only; 0 = automatic: all */
} nissl_anova_options;

nissl_anova_options nissl_anova_options_default(void); /* type II, all interactions */

/**
 * Results. All arrays are owned. Effects are sets of factors, main effects first, then pairs and so
 * on, each in the order of the factors.
 *
 * Of a unit with a NaN or infinite response on a sample that counts, every number is NaN. Of a
 * constant unit the sums of squares are 0 and the ratios NaN. Without degrees of freedom for the
 * error (one sample per cell and all interactions) ss_error is 0 and the ratios are NaN.
 */
typedef struct nissl_anova {
    int64_t n_units;
    int64_t n_samples; /* that count: all levels known */
    int n_factors, n_effects;
    uint32_t *effect; /* [n_effects] bit k set: factor k takes part */
    int64_t *df;      /* [n_effects]; below the product of levels - 1 where cells are empty */
    int64_t df_error;
    double *mean, *ss_total, *ss_error; /* [n_units] ss_total about the mean */
    double *ss, *f, *p;                 /* [n_units, n_effects] */
    double *omega2;         /* [n_units, n_effects] (ss - df mse) / (ss_total + mse): share of
                               variance explained, unbiased, so that it may be below 0 */
    double *partial_omega2; /* [n_units, n_effects] df (f - 1) / (df (f - 1) + n_samples) */
} nissl_anova;

/**
 * Analysis of variance of every unit.
 *
 * The stimulus is the replicate: augmented copies of a stimulus, or positions in an image, are not
 * samples, and counting them as such makes untuned units significant.
 *
 * With empty cells a model of all interactions has fewer degrees of freedom; type II sums are still
 * defined, type III sums are not and are refused.
 *
 * @param x        responses [n_samples, n_units], any strides, float32 or float64. Borrowed.
 * @param level    [n_factors] of [n_samples]: 0 .. n_levels - 1, -1 = missing (the sample is left
 *                 out).
 * @param n_levels [n_factors].
 * @param opt      NULL for defaults.
 * @param out      free with nissl_anova_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE if x has not 2 axes, is empty, no sample counts, or type III is
 * asked of a design that lacks cells; NISSL_ERR_TYPE; NISSL_ERR_RANGE for a level out of range or
 * n_factors outside 1 .. 8; NISSL_ERR_LIMIT for a model of more than 1024 columns or a design of
 * more than 4096 cells that have samples; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost: 4 flops per response and 2 (columns of the model) (cells) per unit, after O(cells columns^2
 * effects) once. Memory: (5 n_effects + 3) doubles per unit. The same bits for any number of
 * threads.
 * Source: Fox 2016, chapter 8; Olejnik and Algina 2003 (omega squared). Oracle: oracles/anova.py
 * (statsmodels).
 */
nissl_status nissl_anova_compute(nissl_context *ctx, const nissl_view *x,
                                 const int32_t *const *level, const int *n_levels, int n_factors,
                                 const nissl_anova_options *opt, nissl_anova *out,
                                 nissl_error *err);
void nissl_anova_free(nissl_anova *anova);

/** The name of an effect, "shape:size", in memory of the caller, cut to fit. */
void nissl_anova_effect_name(const nissl_anova *anova, int effect, const char *const *factor_names,
                             char *name, size_t n);

#ifdef __cplusplus
}
#endif
#endif
