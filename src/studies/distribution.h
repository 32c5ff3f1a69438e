/*
 * Distributions of an index over units: quantiles, comparison with a control, bootstrap intervals.
 */
#ifndef NISSL__STUDIES_DISTRIBUTION_H
#define NISSL__STUDIES_DISTRIBUTION_H

#include "foundation/foundation.h"

/* Copies the values that are not NaN in rising order. out: [n]. Returns how many. */
int64_t nissl__sort_defined(const double *x, int64_t n, double *out);

/* Quantile of sorted values, linear between order statistics (Hyndman & Fan's type 7); NaN if
 * n = 0. */
double nissl__quantile(const double *sorted, int64_t n, double q);

/* Probability that a value of a exceeds one of b, ties counting one half: the area under the ROC
 * curve, U / (n_a n_b). Both sorted. NaN if one is empty. */
double nissl__exceedance(const double *a, int64_t n_a, const double *b, int64_t n_b);

/* Share of a above a threshold; NaN if n = 0. */
double nissl__share_above(const double *sorted, int64_t n, double threshold);

/* Spearman's rank correlation of y with 0 .. n - 1, each counted count[i] times (NULL: once). Rows
 * where y is NaN are left out; NaN below three or without variation. */
double nissl__rank_trend(const double *y, int64_t n, const int32_t *count);

/* A statistic of a resample, given by how often each element was drawn. count_a: [n_a]; count_b:
 * [n_b]. NaN where it is undefined. */
typedef double (*nissl__statistic_fn)(const void *user, const int32_t *count_a,
                                      const int32_t *count_b);

#define NISSL__BOOTSTRAP_RESAMPLES 1000

/* Percentile bootstrap (Efron & Tibshirani 1993, chapter 13): two samples drawn again with
 * replacement, each from itself; the 2.5 and 97.5 % quantiles of the statistic, NaN if fewer than
 * half of the resamples define it. n_b may be 0. The draws are keyed (seed, stream, index). */
nissl_status nissl__bootstrap(uint64_t seed, uint64_t stream, int64_t n_a, int64_t n_b,
                              nissl__statistic_fn statistic, const void *user, double *low,
                              double *high, nissl_error *err);

/* Intervals of the median of one sample, and of nissl__exceedance. Values sorted. Where all of one
 * sample exceed all of the other, resamples do as well and say nothing; m = min(n_a, n_b) disjoint
 * pairs that all agree then bound the probability by .025^(1 / m) (Clopper & Pearson). */
nissl_status nissl__bootstrap_median(uint64_t seed, uint64_t stream, const double *sorted,
                                     int64_t n, double *low, double *high, nissl_error *err);
nissl_status nissl__bootstrap_exceedance(uint64_t seed, uint64_t stream, const double *a,
                                         int64_t n_a, const double *b, int64_t n_b, double *low,
                                         double *high, nissl_error *err);

#endif
