/* The design of an analysis of variance, once for all units. */
#ifndef NISSL__ANOVA_H
#define NISSL__ANOVA_H

#include "foundation/foundation.h"
#include "nissl/anova.h"

typedef struct nissl__anova_design {
    int64_t n_counted; /* samples whose levels are all known */
    int64_t n_cells;   /* combinations of levels that have samples */
    int64_t *order;    /* [n_counted] samples by cell */
    int64_t *start;    /* [n_cells + 1] into order */
    int n_effects;
    double **basis; /* [n_effects] of [df, n_cells]: orthonormal, over cells weighted by the square
                       root of their samples, of what the effect adds to those it is adjusted for */
    int64_t n_lack;
    double *lack; /* [n_lack, n_cells] what of the cells no effect explains */
} nissl__anova_design;

/* Also sets n_samples, n_factors, n_effects, effect, df and df_error of result. */
nissl_status nissl__anova_design_new(int64_t n_samples, const int32_t *const *level,
                                     const int *n_levels, int n_factors,
                                     const nissl_anova_options *opt, nissl__anova_design *design,
                                     nissl_anova *result, nissl_error *err);
void nissl__anova_design_free(nissl__anova_design *design);

#endif
