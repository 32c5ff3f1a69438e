/* Shared by the files that compare populations. */
#ifndef NISSL__COMPARE_H
#define NISSL__COMPARE_H

#include "foundation/foundation.h"
#include "nissl/compare.h"

/* Refuses two arrays that are no matrices or have different numbers of samples. */
nissl_status nissl__compare_check(const nissl_view *x, const nissl_view *y, int64_t min_samples,
                                  nissl_error *err);

/* The centred kernel matrix of CKA, packed: n (n + 1) / 2 numbers, and scaled to length 1; all NaN
 * if it has no length. */
nissl_status nissl__cka_kernel(nissl_context *ctx, const nissl_view *x, const char *what,
                               const nissl_cka_options *opt, double *packed, nissl_error *err);

/* Thin SVD of centred responses up to their rank, or fewer with keep < 1. Owned. */
typedef struct nissl__factor {
    int64_t n, rank; /* samples, singular values that count */
    double *u;       /* [n, rank] */
    double *s;       /* [rank] */
} nissl__factor;

nissl_status nissl__factor_make(const nissl_view *x, const char *what, double keep,
                                nissl__factor *out, nissl_error *err);
void nissl__factor_free(nissl__factor *factor);

/* Singular values of x->u^T y->u scaled by sx and sy [rank] (NULL = 1); value: [min of ranks].
 * left: [rank_x, min] singular vectors, or NULL. */
nissl_status nissl__factor_cross(const nissl__factor *x, const double *sx, const nissl__factor *y,
                                 const double *sy, double *value, double *left, nissl_error *err);
/* Singular values after partial whitening; scale: [rank]. */
void nissl__shape_scale(const nissl__factor *factor, double alpha, double *scale);
nissl_status nissl__shape_pair(const nissl__factor *x, const double *sx, const nissl__factor *y,
                               const double *sy, bool euclidean, double *out, nissl_error *err);

#endif
