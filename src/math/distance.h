/* Distances between samples. */
#ifndef NISSL__DISTANCE_H
#define NISSL__DISTANCE_H

#include "foundation/foundation.h"

/*
 * Squared Euclidean distances from a Gram matrix: |x_i|^2 + |x_j|^2 - 2 x_i x_j, not below 0, zero
 * on the diagonal. out may be k. Rounding of 1e-16 (|x_i|^2 + |x_j|^2) remains: centre x first.
 */
void nissl__distances_of_gram(const double *k, int64_t n, double *out);

/*
 * Squared distances to the n_near nearest other samples of each sample, ascending; each computed by
 * differences, candidates found by matrix products.
 * x: [n, m], best centred; out: [n, n_near]. Needs n > n_near >= 1.
 * Cost: 2 n^2 m flops. Memory: 128 n doubles per worker. The same bits for any number of threads.
 */
nissl_status nissl__nearest(nissl_context *ctx, const double *x, int64_t n, int64_t m, int n_near,
                            double *out, nissl_error *err);

#endif
