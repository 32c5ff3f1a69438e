/* Linear regression of many targets: ridge with leave-one-out errors, partial least squares. */
#ifndef NISSL__REGRESS_H
#define NISSL__REGRESS_H

#include "foundation/foundation.h"

/*
 * Ridge weights in orthogonal coordinates: w [r, q] = x^T y / (length + penalty), for x [n, r] of
 * mean 0 with orthogonal columns of squared lengths [r], product [r, q] = x^T y.
 */
void nissl__ridge_weights(const double *product, const double *length, int64_t r, int64_t q,
                          double penalty, double *w);
/*
 * Mean over targets of leave-one-out squared error over the target's squares, for such x and
 * centred y [n, q] with squares [q] (targets of 0 are left out), the intercept refitted too.
 * scratch: [n q + r q + n]
 */
double nissl__ridge_leave_one_out(const double *x, const double *y, const double *product,
                                  const double *length, const double *squares, int64_t n, int64_t r,
                                  int64_t q, double penalty, double *scratch);

/*
 * Partial least squares by NIPALS, as scikit-learn's PLSRegression(n_components=k, scale=False,
 * tol=1e-6, max_iter=500).
 * x [n, p], y [n, q]: centred; become residuals. w: [p, q] coefficients.
 * Returns how many components there were; fewer than k when nothing is left to explain. -1 when out
 * of memory.
 */
int64_t nissl__pls_fit(double *x, double *y, int64_t n, int64_t p, int64_t q, int64_t k, double *w);

#endif
