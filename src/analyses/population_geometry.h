/* Shared by the files on the geometry of conditions. */
#ifndef NISSL__POPULATION_GEOMETRY_H
#define NISSL__POPULATION_GEOMETRY_H

#include "foundation/foundation.h"

/*
 * Half the distance between the convex hulls of two sets of points, from products of all points k
 * [n, n] (their Gram matrix). side_a: bits of the points of one set, side_b of the other.
 * Wolfe 1976. NISSL_ERR_MEMORY.
 */
nissl_status nissl__hull_margin(const double *k, int n, uint64_t side_a, uint64_t side_b,
                                double *margin, nissl_error *err);

/* The most over pairings of both sides of the mean cosine between differences; NaN where it is not
 * defined. */
double nissl__parallelism(const double *k, int n, uint64_t side_a, uint64_t side_b);

#endif
