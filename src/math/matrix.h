/* Responses [samples, units] as float64 matrices: loading with checks, centring, Gram matrices. */
#ifndef NISSL__MATRIX_H
#define NISSL__MATRIX_H

#include "foundation/foundation.h"

/*
 * Checks that a view has two axes of at least min_samples and 1, is float32 or float64 and no axis
 * is too long for BLAS. what names it in messages: "x".
 */
nissl_status nissl__matrix_check(const nissl_view *x, const char *what, int64_t min_samples,
                                 nissl_error *err);
/* A block of samples and units into out [n, m], row-major; NISSL_ERR_NONFINITE names the first
 * sample and unit that is no finite number. */
nissl_status nissl__matrix_block(const nissl_view *x, const char *what, int64_t first_sample,
                                 int64_t n, int64_t first_unit, int64_t m, double *out,
                                 nissl_error *err);
/* Both, into new memory [n_samples, n_units]. */
nissl_status nissl__matrix_load(const nissl_view *x, const char *what, int64_t min_samples,
                                double **out, nissl_error *err);

/* Subtracts from each column its mean, which goes to mean [m] unless NULL. A constant column
 * becomes exactly 0. */
void nissl__center_columns(double *a, int64_t n, int64_t m, double *mean);
/* Subtracts from each row its mean; a constant row becomes exactly 0. */
void nissl__center_rows(double *a, int64_t n, int64_t m);

typedef enum nissl__centring {
    NISSL__CENTRE_NOTHING,
    NISSL__CENTRE_UNITS,  /* each unit's mean over samples is subtracted */
    NISSL__CENTRE_SAMPLES /* each sample's mean over units */
} nissl__centring;

/*
 * Gram matrix [n_samples, n_samples] of a view that was checked, in blocks of units so that memory
 * stays at 8 MiB (or 64 units) besides the result. Both triangles. The same bits for any number of
 * threads.
 */
nissl_status nissl__gram(nissl_context *ctx, const nissl_view *x, const char *what,
                         nissl__centring centre, double *out, nissl_error *err);

/* Subtracts row and column means: H K H. */
void nissl__gram_centre(double *k, int64_t n);
/*
 * U-centring (Szekely and Rizzo 2014): off-diagonal entries less their row's and column's sum over
 * n - 2 plus the total over (n - 1)(n - 2), zero diagonal. Inner products of two such matrices over
 * n (n - 3) are unbiased HSIC (Song et al. 2012). Needs n >= 3.
 */
void nissl__gram_u_centre(double *k, int64_t n);
/* The lower triangle row by row, off the diagonal times sqrt 2: n (n + 1) / 2 numbers whose dot
 * products are the inner products of the symmetric matrices. out may be k. */
void nissl__gram_pack(const double *k, int64_t n, double *out);

/*
 * Coordinates of rows in the principal axes of a [n, m] (second moments, not centred): x [n, r] of
 * a itself, whose columns are orthogonal, and y [n_b, r] of b [n_b, m]. r <= min(n, m) is the
 * number of axes with more than 1e-12 of the first one's moment. Distances and products within the
 * span of a are kept. x and y have room for min(n, m) columns.
 */
nissl_status nissl__principal_axes(const double *a, int64_t n, int64_t m, const double *b,
                                   int64_t n_b, double *x, double *y, int64_t *r, nissl_error *err);

#endif
