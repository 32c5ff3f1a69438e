/**
 * Mutual information between responses and conditions, on arrays [samples, units].
 */
#ifndef NISSL_INFORMATION_H
#define NISSL_INFORMATION_H

#include "nissl/array.h"
#include "nissl/context.h"
#include "nissl/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Mutual information of a table of counts [n_rows, n_columns]: sum p log2(p / (p_row p_column)).
 * @param corrected bits less the bias (K - K_row - K_column + 1) / (2 N ln 2), K the numbers of
 *                  cells, rows and columns that occur (Miller 1955; Panzeri and Treves 1996). May
 *                  be below 0. First order only: .007 bits remain of .069 with 6 samples per cell,
 *                  and cells too rare to occur make it too high; shuffles do neither. May be NULL.
 * @return bits; NaN for a table without counts or with a negative one.
 */
double nissl_information_table(const int64_t *count, int64_t n_rows, int64_t n_columns,
                               double *corrected);

typedef struct nissl_information_options {
    int n_bins;     /* of responses; 0 = automatic: a quarter of the mean number of samples per
                       condition, at least 2 and at most 8 (Panzeri et al. 2007) */
    int n_shuffles; /* of conditions, for the null; 0 = none */
    uint64_t seed;  /* of the shuffles */
} nissl_information_options;

/** Automatic bins, no shuffles, the context's seed. */
nissl_information_options nissl_information_options_default(const nissl_context *ctx);

/** Results. All arrays are owned. A unit with a NaN on a sample that counts is NaN throughout. */
typedef struct nissl_information {
    int64_t n_units, n_samples; /* samples that have a condition */
    int n_bins, n_shuffles;
    double *bits;      /* [n_units] biased upwards by chance */
    double *corrected; /* [n_units] less the Miller-Madow bias */
    double *null_mean; /* [n_units] of bits over shuffles; NaN without shuffles */
    double *p; /* [n_units] (1 + shuffles with as many bits) / (1 + n_shuffles); NaN without */
} nissl_information;

/**
 * Mutual information between each unit's response and the condition.
 *
 * Responses go to bins of equal numbers: one that exceeds r of n others is in bin
 * floor(n_bins r / n), so that equal responses share a bin and the bins of a unit that is mostly
 * silent are the silence and the rest.
 *
 * The same shuffles serve all units, so p-values of correlated units are correlated.
 *
 * @param x         responses [n_samples, n_units], any strides, float32 or float64. Borrowed.
 * @param condition [n_samples] 0 .. n_conditions - 1, or -1 for samples to leave out.
 * @param opt       NULL for defaults.
 * @param out       free with nissl_information_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE; NISSL_ERR_TYPE; NISSL_ERR_RANGE for a condition, n_bins (above
 * 65536) or n_shuffles out of range; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost per unit: a sort of its responses and (1 + n_shuffles) (n_samples + n_conditions n_bins)
 * steps. Memory: 4 n_shuffles n_samples bytes. The same bits for any number of threads.
 * Oracle: oracles/information.py (scikit-learn).
 */
nissl_status nissl_information_compute(nissl_context *ctx, const nissl_view *x,
                                       const int32_t *condition, int64_t n_conditions,
                                       const nissl_information_options *opt, nissl_information *out,
                                       nissl_error *err);
void nissl_information_free(nissl_information *information);

#ifdef __cplusplus
}
#endif
#endif
