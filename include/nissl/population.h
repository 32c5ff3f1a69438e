/**
 * What a population of units carries, on arrays [samples, units]: a recording, a numpy file or
 * neurons.
 *
 * Arrays are float32 or float64 with any strides and are borrowed. A value that is no finite number
 * is refused with NISSL_ERR_NONFINITE, which names its sample and unit: a population has no answer
 * that leaves out one unit silently. A constant unit is allowed everywhere and carries nothing.
 * Results have the same bits for any number of threads.
 */
#ifndef NISSL_POPULATION_H
#define NISSL_POPULATION_H

#include "nissl/array.h"
#include "nissl/context.h"
#include "nissl/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- principal components ---- */

/** All arrays are owned. */
typedef struct nissl_pca {
    int64_t n_samples, n_units, n_components;
    double total_variance; /* of all units, n_samples - 1 in the denominator */
    double *mean;          /* [n_units] */
    double *variance;      /* [n_components] descending; 0 beyond the rank */
    double *component;     /* [n_components, n_units] of length 1; the loading of largest magnitude
                              is positive */
    double *score;         /* [n_samples, n_components] centred responses along each component */
} nissl_pca;

/**
 * Principal components by singular value decomposition of centred responses.
 *
 * @param n_components 0 = automatic: min(n_samples - 1, n_units). More units than samples are
 *                     fine.
 * @param out          free with nissl_pca_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE below 2 samples; NISSL_ERR_RANGE if n_components is above
 * min(n_samples - 1, n_units); NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY.
 *
 * Cost: O(n m min(n, m)) time, four arrays of n m doubles. One thread.
 * Source: Jolliffe 2002, chapter 3. Oracle: oracles/population.py (numpy).
 */
nissl_status nissl_pca_compute(nissl_context *ctx, const nissl_view *x, int64_t n_components,
                               nissl_pca *out, nissl_error *err);
void nissl_pca_free(nissl_pca *pca);

/* ---- dimensionality ---- */

typedef struct nissl_dimension_options {
    double discard;   /* fraction of samples with the largest r2 / r1 that TwoNN leaves out: .1 */
    int n_neighbours; /* of the maximum-likelihood estimate: 2, at most 64 */
} nissl_dimension_options;

nissl_dimension_options nissl_dimension_options_default(void);

typedef struct nissl_dimension {
    int64_t n_samples, n_units;
    double total_variance;
    double participation_ratio; /* (sum of variances)^2 / sum of squared variances over principal
                                   components; at most n_samples - 1; NaN if all is constant */
    double participation_corrected; /* the same from unbiased estimates of both, so that it does
                                       not grow with n_samples; the ratio may be above n_units or
                                       below 0 by chance; NaN below 4 samples */
    double two_nn;                  /* from the ratio of distances to the two nearest samples */
    double mle;           /* maximum likelihood from distances to n_neighbours nearest samples */
    int64_t n_duplicates; /* samples with a sample at distance 0; both of the last leave them out */
} nissl_dimension;

/**
 * How many dimensions responses fill: linear ones (participation ratio) and those of the manifold
 * they lie on (TwoNN, maximum likelihood).
 *
 * TwoNN: with mu = r2 / r1 sorted and F_i = i / n (i from 1), the slope through the origin of
 * -ln(1 - F) on ln mu. The estimate falls below the truth in more than about 15 dimensions with
 * hundreds of samples. Maximum likelihood: (n (k - 1) - 1) / sum over samples and j < k of
 * ln(r_k / r_j), which for k = 2 is the likelihood of TwoNN. Both NaN if fewer than n_neighbours +
 * 2 samples are not duplicates.
 *
 * @param opt NULL for defaults.
 * @return NISSL_OK; NISSL_ERR_SHAPE if n_samples < n_neighbours + 2; NISSL_ERR_RANGE;
 * NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost: 3 n^2 m flops. Memory: n m + n^2 doubles.
 * Source: Rajan, Abbott and Sompolinsky 2010; Facco et al. 2017; Levina and Bickel 2004; unbiased
 * moments as Song et al. 2012. Oracle: oracles/population.py (numpy), scikit-dimension.
 */
nissl_status nissl_dimension_compute(nissl_context *ctx, const nissl_view *x,
                                     const nissl_dimension_options *opt, nissl_dimension *out,
                                     nissl_error *err);

typedef struct nissl_parallel_options {
    int n_shuffles;   /* 100 */
    double level;     /* quantile of the null: .95 */
    bool standardise; /* units to variance 1: Horn's analysis of the correlation matrix; yes */
    uint64_t seed;
} nissl_parallel_options;

/** The context's seed. */
nissl_parallel_options nissl_parallel_options_default(const nissl_context *ctx);

/** All arrays are owned. */
typedef struct nissl_parallel {
    int64_t n_samples, n_units, n_components; /* min(n_samples - 1, n_units) */
    int64_t n_above;                  /* leading components whose variance exceeds the null's */
    double *variance, *null_quantile; /* [n_components] */
} nissl_parallel;

/**
 * Horn's parallel analysis: how many principal components have more variance than those of
 * independent units. The null permutes the samples of each unit separately, and the k-th component
 * is compared with the quantile of the null's k-th; the count stops at the first that fails.
 *
 * Constant units are left out when standardising.
 *
 * @param out free with nissl_parallel_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE below 2 samples; NISSL_ERR_RANGE if n_shuffles < 1 or the level
 * is outside 0 .. 1; NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost: n_shuffles times a Gram or covariance matrix and its eigenvalues, shuffles spread over
 * threads. Memory: n m + per thread min(n, m)^2 + 64 n doubles.
 * Source: Horn 1965; Buja and Eyuboglu 1992 (permutation). Oracle: oracles/population.py (numpy).
 */
nissl_status nissl_parallel_compute(nissl_context *ctx, const nissl_view *x,
                                    const nissl_parallel_options *opt, nissl_parallel *out,
                                    nissl_error *err);
void nissl_parallel_free(nissl_parallel *parallel);

#ifdef __cplusplus
}
#endif
#endif
