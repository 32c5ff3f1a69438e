/*
 * Dense linear algebra on row-major float64 matrices. The one place that calls BLAS and LAPACK.
 *
 * OpenBLAS keeps a pool of threads of its own, for the whole process. Every function here sets it
 * to one thread before it calls, because work is spread by the context's workers: results then have
 * the same bits for any number of them. A program that uses OpenBLAS beside this library finds it
 * set to one thread.
 *
 * Dimensions must be below 2^31; nissl__matrix_load and nissl__gram refuse larger ones.
 */
#ifndef NISSL__LINEAR_H
#define NISSL__LINEAR_H

#include "foundation/foundation.h"

/* c [m, n] = alpha op(a) op(b) + beta c, where op(a) is [m, k], transposed if asked; ld: distance
 * between rows. */
void nissl__matmul(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                   double alpha, const double *a, int64_t lda, const double *b, int64_t ldb,
                   double beta, double *c, int64_t ldc);
/* c [n, n] = alpha a a^T + beta c for a [n, k], or a^T a for a [k, n] if transposed: the lower
 * triangle. nissl__mirror copies it to the upper one. */
void nissl__matmul_self(bool transpose, int64_t n, int64_t k, double alpha, const double *a,
                        int64_t lda, double beta, double *c, int64_t ldc);
void nissl__mirror(double *c, int64_t n, int64_t ldc);
/* y [m] = a [m, n] x, or y [n] = a^T x if transposed. */
void nissl__matvec(bool transpose, int64_t m, int64_t n, const double *a, int64_t lda,
                   const double *x, double *y);
double nissl__dot(const double *a, const double *b, int64_t n);

/*
 * Eigenvalues of a symmetric matrix, largest first, and its eigenvectors as rows in the same order,
 * of length 1, the entry of largest magnitude (the first of equals) positive.
 * a: [n, n], the lower triangle is read; becomes the eigenvectors, or scratch if vectors is false.
 * NISSL_ERR_NOT_CONVERGED, NISSL_ERR_MEMORY.
 */
nissl_status nissl__eigen(int64_t n, double *a, double *value, bool vectors, nissl_error *err);

/*
 * Thin singular value decomposition a = u diag(s) v, k = min(m, n), s descending.
 * a: [m, n], destroyed. u: [m, k], v: [k, n]; both or neither NULL. The entry of largest magnitude
 * in each row of v is positive.
 */
nissl_status nissl__svd(int64_t m, int64_t n, double *a, double *s, double *u, double *v,
                        nissl_error *err);
/* The same with signs as LAPACK leaves them for the transposed problem it is given. */
nissl_status nissl__svd_raw(int64_t m, int64_t n, double *a, double *s, double *u, double *v,
                            nissl_error *err);

/* a becomes its lower Cholesky factor (the upper triangle keeps what it had); false if it is not
 * positive definite. */
bool nissl__cholesky(int64_t n, double *a, int64_t lda);
/* b [n, k] becomes (l l^T)^-1 b; k = 1 is a vector. */
void nissl__cholesky_solve(int64_t n, int64_t k, const double *l, int64_t ldl, double *b,
                           int64_t ldb);
/* b [n, k] becomes l^-1 b. */
void nissl__cholesky_forward(int64_t n, int64_t k, const double *l, int64_t ldl, double *b,
                             int64_t ldb);

#endif
