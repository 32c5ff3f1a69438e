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

/* ---- decoding ---- */

typedef enum nissl_decoder {
    NISSL_DECODER_LOGISTIC, /* logistic regression, multinomial; penalty |w|^2 / 2 (1 / C) */
    NISSL_DECODER_RIDGE,    /* least squares on +1 and -1; penalty |w|^2 (alpha) */
    NISSL_DECODER_LDA,      /* linear discriminant; penalty = shrinkage of the covariance, 0 .. 1 */
    NISSL_DECODER_SVM       /* squared hinge; penalty |w|^2 / 2 (1 / C), intercept penalised too */
} nissl_decoder;

typedef struct nissl_decode_options {
    nissl_decoder decoder;
    int n_folds;           /* 5; 0 = automatic: 5, or fewer where a class has fewer samples */
    const int32_t *fold;   /* [n_samples] folds of one's own, 0 .. n_folds - 1; NULL = drawn so that
                              each class is spread evenly */
    const int64_t *group;  /* [n_samples] samples of one group stay in one fold and share a label:
                              copies or positions of one stimulus; NULL = each its own. Ids are any
                              numbers */
    const double *penalty; /* [n_penalties] to choose from, NULL = automatic: eight from 1e-4 to 1e3
                              times the mean squared length of a training sample, or shrinkages .001
                              to 1. One = no choice */
    int n_penalties;
    bool standardise;   /* units to mean 0 and variance 1 over training samples; yes. Otherwise
                           mean 0 only */
    int64_t n_selected; /* units with the largest F over classes, chosen on training samples; 0 =
                           all */
    int n_permutations; /* of labels, for chance and p; 0 = none */
    uint64_t seed;
} nissl_decode_options;

/** Logistic, 5 folds, standardised, all units, no permutations, the context's seed. */
nissl_decode_options nissl_decode_options_default(const nissl_context *ctx);

/** All arrays are owned. */
typedef struct nissl_decoding {
    int64_t n_samples; /* that count */
    int64_t n_units, n_classes;
    int n_folds, n_permutations;
    double accuracy; /* fraction of held-out samples right */
    double balanced; /* mean over classes of the fraction right: 1 / classes by chance */
    double chance;   /* mean of balanced over permutations, NaN without */
    double p;        /* (1 + permutations at least as good) / (1 + n_permutations), NaN without */
    double *null;    /* [n_permutations] balanced */
    double *fold_balanced; /* [n_folds] */
    double *fold_penalty;  /* [n_folds] chosen */
    int32_t *fold;         /* [n_samples of the input] -1 = left out */
    int32_t *predicted;    /* [n_samples of the input] held-out; -1 = left out */
    int64_t *confusion;    /* [n_classes, n_classes] true, predicted */
} nissl_decoding;

/**
 * Decodes classes from responses with nested cross-validation.
 *
 * Whatever depends on data is learned inside the training folds: means, deviations, the choice of
 * units, the penalty. The penalty for fold k is the one with the best mean balanced accuracy when
 * each other fold is predicted from the rest without k (of equals the largest).
 *
 * Permutations exchange labels within folds, so that each fold keeps its classes and the test is
 * exact; a permutation is as good if its balanced accuracy is higher, or equal with a mean margin
 * (true class against the best other) at least as high, so that p is uniform under the null
 * although accuracies are discrete.
 *
 * @param label [n_samples] 0 .. n_classes - 1, or -1 for samples to leave out. Classes without
 *              samples are allowed and not counted.
 * @param opt   NULL for defaults.
 * @param out   free with nissl_decoding_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE if fewer than 2 classes have samples, or a class has fewer
 * samples (or groups) than 2, or than 3 when a penalty is to be chosen; NISSL_ERR_RANGE naming the
 * first label, fold or option out of range; NISSL_ERR_ARGUMENT for a group with two labels or two
 * folds; NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost: samples are rotated into the space they span, so iterations cost n^2 whatever the number of
 * units; n_folds (n_folds + 1) / 2 rotations of 2 n^2 m flops, once for all permutations unless
 * units are selected. Memory: n m doubles (with selection one more per thread) and per thread n m.
 * Splits and permutations are spread over threads. Source: Varma and Simon 2006 (nested); Ojala and
 * Garriga 2010 (permutations). Oracle: oracles/decode.py (scikit-learn).
 */
nissl_status nissl_decode(nissl_context *ctx, const nissl_view *x, const int32_t *label,
                          int64_t n_classes, const nissl_decode_options *opt, nissl_decoding *out,
                          nissl_error *err);
void nissl_decoding_free(nissl_decoding *decoding);

/**
 * One linear classifier on all samples, without cross-validation.
 *
 * @param label  [n_samples] 0 .. n_classes - 1; at least one sample of each.
 * @param weight [rows, n_units + 1] weights and, last, the intercept; rows = 1 for two classes
 *               (positive scores mean class 1), else n_classes. In the units of x.
 * @return NISSL_OK; NISSL_ERR_SHAPE for a class without samples; NISSL_ERR_RANGE for a label or
 * penalty out of range (above 0; LDA 0 .. 1); NISSL_ERR_NOT_CONVERGED (weight is set), also for LDA
 * with a singular covariance; NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY.
 *
 * As scikit-learn's LogisticRegression(C=1/penalty), RidgeClassifier(alpha=penalty),
 * LinearDiscriminantAnalysis("lsqr", shrinkage=penalty) and LinearSVC(C=1/penalty).
 */
nissl_status nissl_decoder_fit(nissl_context *ctx, const nissl_view *x, const int32_t *label,
                               int n_classes, nissl_decoder decoder, double penalty, double *weight,
                               nissl_error *err);

/* ---- noise ---- */

/** All arrays are owned. */
typedef struct nissl_noise_correlation {
    int64_t n_samples;             /* of conditions with two samples or more */
    int64_t n_units, n_conditions; /* the latter with samples */
    double mean_noise;             /* over pairs of units that vary */
    double mean_signal;
    double *noise;  /* [n_units, n_units] or NULL; NaN for units that never vary */
    double *signal; /* [n_units, n_units] or NULL */
} nissl_noise_correlation;

/**
 * Noise correlations: responses are made z-scores within each condition (n - 1) and pooled, and
 * signal correlations, those of condition means.
 *
 * A unit that is constant within a condition counts there as 0.
 *
 * @param condition [n_samples] 0 .. n_conditions - 1, or -1 for samples to leave out.
 * @param matrices  keep both matrices; otherwise only their means, at a cost of O(n m) instead of
 *                  O(n m^2).
 * @param out       free with nissl_noise_correlation_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE if no condition has two samples; NISSL_ERR_RANGE naming the
 * first condition out of range; NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY.
 *
 * Source: Cohen and Kohn 2011. Oracle: oracles/population.py (numpy).
 */
nissl_status nissl_noise_correlation_compute(nissl_context *ctx, const nissl_view *x,
                                             const int32_t *condition, int64_t n_conditions,
                                             bool matrices, nissl_noise_correlation *out,
                                             nissl_error *err);
void nissl_noise_correlation_free(nissl_noise_correlation *noise);

/** Linear Fisher information about which of two conditions there is, d^T S^-1 d with d the
 * difference of means (for two values of a parameter, over the square of their difference). */
typedef struct nissl_fisher {
    int64_t n_a, n_b; /* samples */
    double naive;     /* biased upwards */
    double corrected; /* unbiased for Gaussian noise: naive (v - n_units - 1) / v - n_units (1 / n_a
                         + 1 / n_b), v = n_a + n_b - 2 */
} nissl_fisher;

/**
 * @param condition [n_samples]; those that are a or b count.
 * @return NISSL_OK; NISSL_ERR_SHAPE if n_a + n_b - 2 <= n_units + 1, when there is no estimate, or
 * either has fewer than 2; NISSL_ERR_RANGE if the covariance is singular (a constant unit);
 * NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY.
 *
 * Source: Kanitscheider, Coen-Cagli, Kohn and Pouget 2015. Oracle: oracles/population.py (numpy).
 */
nissl_status nissl_fisher_compute(nissl_context *ctx, const nissl_view *x, const int32_t *condition,
                                  int32_t a, int32_t b, nissl_fisher *out, nissl_error *err);

/* ---- demixed principal components ---- */

#define NISSL_DPCA_MAX_FACTORS 4

typedef struct nissl_dpca_options {
    int64_t n_components; /* of each marginalisation: 10, or as many as there are */
    double penalty;       /* ridge penalty over the squares of the means, |X|^2: 0. Below 0 =
                             automatic: the best of 0 and 1e-7 .. 1 by repeatedly leaving out one
                             sample of each cell and predicting the rest's marginals from it */
    int n_repeats;        /* of that: 10 */
    uint64_t seed;
} nissl_dpca_options;

nissl_dpca_options nissl_dpca_options_default(const nissl_context *ctx);

/** One marginalisation. */
typedef struct nissl_dpca_part {
    uint32_t factors;     /* bit k set: factor k takes part */
    double variance;      /* fraction of the squares of means that it has */
    int64_t n_components; /* at most the rank of what it has */
    double *decoder;      /* [n_components, n_units] what to multiply responses with */
    double *encoder;   /* [n_components, n_units] of length 1: how the component looks over units;
                          the entry of largest magnitude is positive */
    double *explained; /* [n_components] fraction of all squares: (|X_p|^2 - |X_p - F D X_p|^2) /
                          |X|^2 of this part X_p of the means */
    double *projected; /* [n_components] |D X|^2 / |X|^2 of all means */
} nissl_dpca_part;

/** All arrays are owned. */
typedef struct nissl_dpca {
    int64_t n_units, n_cells;
    int n_factors, n_parts; /* 2^n_factors - 1 */
    double penalty;         /* in force */
    double *mean;           /* [n_units] grand mean over cells, removed first */
    nissl_dpca_part *parts; /* [n_parts] single factors first, then pairs and so on */
} nissl_dpca;

/**
 * Demixed principal components: for each set of factors, the directions that best carry what the
 * mean responses owe to those factors alone, by reduced-rank regression of each marginal on the
 * means.
 *
 * @param level    [n_factors] of [n_samples]: 0 .. n_levels - 1, or -1 (the sample is left out).
 *                 Time is a factor like others: a sample per trial and time. Every combination of
 *                 levels needs a sample; cells count alike whatever their number of samples.
 * @param n_levels [n_factors] at least 2 each.
 * @param opt      NULL for defaults.
 * @param out      free with nissl_dpca_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE naming the first combination without samples, or with one where
 * the penalty is automatic; NISSL_ERR_RANGE; NISSL_ERR_LIMIT above 2^20 cells; NISSL_ERR_TYPE;
 * NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY.
 *
 * Cost: a singular value decomposition of units by cells, and one of min(units, cells) by cells for
 * each part (and repeat and penalty).
 * Source: Kobak et al. 2016. Oracle: oracles/population.py (numpy), machenslab/dPCA.
 */
nissl_status nissl_dpca_compute(nissl_context *ctx, const nissl_view *x,
                                const int32_t *const *level, const int *n_levels, int n_factors,
                                const nissl_dpca_options *opt, nissl_dpca *out, nissl_error *err);
void nissl_dpca_free(nissl_dpca *dpca);

/* ---- geometry of conditions ---- */

#define NISSL_GEOMETRY_MAX_CONDITIONS 24

typedef struct nissl_geometry_options {
    nissl_decoder decoder;     /* NISSL_DECODER_SVM, as the source has it, or logistic */
    double penalty;            /* 0 = automatic: .01 times the mean squared length of a centred
                                  sample */
    int n_folds;               /* of each condition's samples, for decoding: 5 */
    const uint64_t *dichotomy; /* [n_dichotomies] bit c set: condition c is on side A; NULL = every
                                  split into halves (of an odd number, one side has one more), or
                                  max_dichotomies of them at random */
    int64_t n_dichotomies;
    int64_t max_dichotomies; /* 1000 */
    int n_permutations;      /* of samples' conditions, for accuracy: 0 */
    int n_null;              /* random geometries, for generalisation and parallelism: 0 */
    uint64_t seed;
} nissl_geometry_options;

/** The context's seed. */
nissl_geometry_options nissl_geometry_options_default(const nissl_context *ctx);

/** All arrays are owned. [n_dichotomies] unless said otherwise. */
typedef struct nissl_geometry {
    int64_t n_samples, n_units,
        n_conditions; /* the last of the input; empty ones belong to no side */
    int64_t n_dichotomies;
    uint64_t *dichotomy;
    double *accuracy; /* cross-validated, mean over conditions of the fraction right */
    double
        *accuracy_p;   /* (1 + permutations at least as good) / (1 + n_permutations); NaN without */
    double *ccgp;      /* cross-condition generalisation: trained without one condition of each
                          side and tested on those two, mean over all such pairs; NaN with one
                          condition on a side */
    double *ccgp_p;    /* against random geometries; NaN without */
    double *ccgp_null; /* their mean */
    double *parallelism; /* mean cosine between coding vectors (side B less side A, condition by
                            condition), the most over pairings; NaN for sides of different size, of
                            one condition, or above 8 */
    double *parallelism_p, *parallelism_null;
    double *margin;    /* half the distance between the convex hulls of both sides' mean
                          responses; 0 where no plane separates them */
    double shattering; /* shattering dimensionality: mean accuracy */
    double separable;  /* fraction of dichotomies with a margin above 1e-6 of the mean distance
                          between means: what noise-free means allow; 7 of 35 for a cube */
} nissl_geometry;

/**
 * How the mean responses of conditions lie: can any split of them be decoded (shattering
 * dimensionality), does a decoder carry over to conditions it never saw (cross-condition
 * generalisation), are differences parallel.
 *
 * A random geometry keeps each condition's cloud but permutes its units, separately for each
 * condition (about the grand mean), so that decoding stays and the arrangement goes; label shuffles
 * would be the wrong null for generalisation, which high-dimensional clouds fail below chance too.
 *
 * Parallelism of noisy means is biased towards 0. The maximum over pairings is above 0 by chance:
 * compare with parallelism_null.
 *
 * @param condition [n_samples] 0 .. n_conditions - 1, or -1 for samples to leave out.
 * @param n_conditions at most 24.
 * @param opt       NULL for defaults.
 * @param out       free with nissl_geometry_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE below 2 conditions with samples, or one with fewer samples than
 * 2; NISSL_ERR_RANGE for a condition, dichotomy (a side without samples) or option out of range;
 * NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost: a rotation of 2 n^2 m flops, then (n_folds (1 + n_permutations) + pairs (1 + n_null)) fits
 * of n^2 a dichotomy; random geometries rotate anew. Memory: n m doubles, and again per thread with
 * random geometries.
 * Source: Bernardi et al. 2020; Rigotti et al. 2013. Oracle: oracles/population.py (scikit-learn).
 */
nissl_status nissl_geometry_compute(nissl_context *ctx, const nissl_view *x,
                                    const int32_t *condition, int64_t n_conditions,
                                    const nissl_geometry_options *opt, nissl_geometry *out,
                                    nissl_error *err);
void nissl_geometry_free(nissl_geometry *geometry);

#ifdef __cplusplus
}
#endif
#endif
