/* Shared by the files of the tuning room. */
#ifndef NISSL__TUNING_H
#define NISSL__TUNING_H

#include "foundation/foundation.h"
#include "nissl/tuning.h"

#define NISSL__SELECTIVITY_EPSILON 1e-7

/* (1 - a) / (1 - 1/n) from the sums of x and x^2 over n values that are >= 0. */
double nissl__vinje_gallant(double sum, double sum_squares, int64_t n);

/*
 * sum over a_i of (number of b < a_i) + (number of b <= a_i), that is 2 U with ties counted one
 * half. Exact; finite values only. Few a are compared one by one, many are merged with b after a
 * radix sort.
 * scratch: [2 (n_a + n_b)]
 */
uint64_t nissl__count_below_twice(const float *a, int64_t n_a, const float *b, int64_t n_b,
                                  uint32_t *scratch);

/* Preferred value between the levels of a factor and, if it is circular, how strong; NaN where it
 * has none. curve: [n_levels]; value: [n_levels], or NULL for levels that are no numbers */
void nissl__tuning_prefer(const nissl_factor *factor, const double *curve, const double *value,
                          double *preferred, double *strength);

/* Tuning in blocks of units: begin, each block once, end. */
typedef struct nissl__tuning_work nissl__tuning_work;

nissl_status nissl__tuning_begin(nissl_context *ctx, int64_t n_stimuli, int64_t n_units,
                                 const int32_t *condition, int64_t n_conditions,
                                 const nissl_tuning_options *opt, nissl__tuning_work **out,
                                 nissl_error *err);
/* Units first .. first + n_units - 1, in ascending order. x: [n_stimuli, n_units]. */
nissl_status nissl__tuning_block(nissl__tuning_work *work, const float *x, int64_t first,
                                 int64_t n_units, nissl_error *err);
/* Hands the results over. */
void nissl__tuning_end(nissl__tuning_work *work, nissl_tuning *out);
void nissl__tuning_abandon(nissl__tuning_work *work); /* NULL-safe; also after the end */

#endif
