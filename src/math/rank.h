/* Ranks and rank correlation. No NaN among the inputs. */
#ifndef NISSL__RANK_H
#define NISSL__RANK_H

#include "foundation/foundation.h"

/*
 * Indices that sort x ascending; equals stay in order. A radix sort, O(n).
 * order: [n]; scratch: [3 n] of 64 bits. n < 2^32.
 */
void nissl__order(const double *x, int64_t n, uint32_t *order, uint64_t *scratch);

/* Ranks from 1, equals get the mean of theirs. scratch as for nissl__order. */
void nissl__rank(const double *x, int64_t n, double *rank, uint64_t *scratch);

/* The k-th smallest value, k from 0; reorders x. O(n). */
double nissl__select(double *x, int64_t n, int64_t k);

/* Concordant and discordant pairs of x and y, and pairs tied in x, in y and in both. */
typedef struct nissl__pairs {
    int64_t total, concordant, discordant, tied_x, tied_y, tied_both;
} nissl__pairs;

/* O(n log n) (Knight 1966). scratch: [6 n] of 64 bits. */
nissl__pairs nissl__count_pairs(const double *x, const double *y, int64_t n, uint64_t *scratch);

#endif
