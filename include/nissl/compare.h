/**
 * How alike two populations are, on arrays [samples, units] whose rows are the same stimuli: kernel
 * alignment, canonical correlation, shape distances, representational dissimilarity, prediction.
 *
 * Arrays are float32 or float64 with any strides and are borrowed. A value that is no finite number
 * is refused with NISSL_ERR_NONFINITE, which names its sample and unit. Constant units carry
 * nothing; where a whole array is constant, results are NaN. Results have the same bits for any
 * number of threads.
 *
 * Every index here is well above 0 for networks that have learned nothing: two untrained networks
 * of one architecture have a debiased CKA of about .8 on the same images. Compare with such a pair.
 */
#ifndef NISSL_COMPARE_H
#define NISSL_COMPARE_H

#include "nissl/array.h"
#include "nissl/context.h"
#include "nissl/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- centred kernel alignment ---- */

typedef enum nissl_kernel {
    NISSL_KERNEL_LINEAR,
    NISSL_KERNEL_RBF /* exp(-d^2 / (2 w^2 m)), m the median of all n^2 squared distances, the n
                        zeros of the diagonal included */
} nissl_kernel;

typedef struct nissl_cka_options {
    nissl_kernel kernel;
    double width; /* w of the RBF kernel: 1 */
    bool biased;  /* HSIC_0, which is near 1 for unrelated data with more units than samples;
                     otherwise HSIC_1, which is 0 then on average and may be negative */
} nissl_cka_options;

nissl_cka_options nissl_cka_options_default(void); /* linear, debiased */

/**
 * Centred kernel alignment <K, L> / (|K| |L|), K and L doubly centred (biased) or U-centred
 * (debiased) kernel matrices over samples.
 *
 * @param out 1 = the same up to rotation and scale. NaN if either is constant, or debiased and
 *            not distinguishable from it (|K| = 0).
 * @return NISSL_OK; NISSL_ERR_SHAPE if the numbers of samples differ or are below 4;
 * NISSL_ERR_TYPE; NISSL_ERR_RANGE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost: n^2 (m_x + m_y) flops. Memory: 2 n^2 doubles, whatever the number of units.
 * Source: Kornblith et al. 2019; Song et al. 2012 (HSIC_1); Szekely and Rizzo 2014 (U-centring).
 * Oracle: oracles/compare.py (numpy).
 */
nissl_status nissl_cka(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                       const nissl_cka_options *opt, double *out, nissl_error *err);

/* ---- canonical correlation ---- */

typedef struct nissl_cca_options {
    double keep; /* SVCCA: first keep the leading singular vectors of each whose singular values sum
                    to this fraction of all; 1 = keep all. .99 and .9 are in use */
} nissl_cca_options;

nissl_cca_options nissl_cca_options_default(void); /* keep all */

/** All arrays are owned. */
typedef struct nissl_cca {
    int64_t rank_x, rank_y;
    int64_t n;           /* min(rank_x, rank_y) */
    double *correlation; /* [n] descending */
    double mean;         /* of the correlations */
    double r2;           /* mean of their squares */
    double pwcca;        /* weighted by how much of x each direction accounts for */
    double *weight;      /* [n] of pwcca; sums to 1 */
} nissl_cca;

/**
 * Canonical correlations, and with opt->keep < 1 those of leading principal components (SVCCA).
 *
 * With ranks r_x + r_y >= n_samples - 1 some correlations are 1 whatever the data, and with more
 * units than samples all are: reduce first. Directions with singular values below max(n, m) eps
 * times the largest do not count.
 *
 * pwcca weighs the correlation of canonical variate h_i of x by sum over units |<h_i, x_j>|
 * (Morcos, Raghu and Bengio 2018), so it is not symmetric.
 *
 * @param out free with nissl_cca_free. n = 0 and NaN means if either is constant.
 * @return NISSL_OK; NISSL_ERR_SHAPE if the numbers of samples differ or are below 3;
 * NISSL_ERR_RANGE if keep is outside 0 .. 1; NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY.
 *
 * Cost: two singular value decompositions. Source: Raghu et al. 2017; Morcos et al. 2018. Oracle:
 * oracles/compare.py (numpy), google/svcca.
 */
nissl_status nissl_cca_compute(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                               const nissl_cca_options *opt, nissl_cca *out, nissl_error *err);
void nissl_cca_free(nissl_cca *cca);

/**
 * The number that the program google/svcca gives for PWCCA, which is not the definition above: it
 * applies directions that belong to whitened responses to the responses themselves, adds the units'
 * means, and orthogonalises the result, so that the number depends on the arbitrary signs of
 * LAPACK's singular vectors. For comparison with published numbers only.
 * @return as nissl_cca_compute; NISSL_ERR_SHAPE if x has more units than y, which the program does
 * not manage, or as many as samples.
 */
nissl_status nissl_pwcca_of_svcca(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                                  double *out, nissl_error *err);

/* ---- shape distances ---- */

typedef struct nissl_shape_options {
    double alpha;   /* 1 = rotations only (Procrustes), 0 = any linear map (like CCA); between them
                       partial whitening (1 - alpha) C^(-1/2) + alpha, rescaled to keep the total
                       variance */
    bool euclidean; /* |X - Y Q| instead of the angle between X and Y Q */
} nissl_shape_options;

nissl_shape_options nissl_shape_options_default(void); /* Procrustes, angular */

/**
 * Distance after the best rotation (and reflection) of one centred response matrix onto the other:
 * arccos(|X^T Y|_* / (|X| |Y|)), |.|_* the sum of singular values, or with euclidean
 * sqrt(|X|^2 + |Y|^2 - 2 |X^T Y|_*). Different numbers of units are fine: the smaller is padded
 * with zeros. A metric: symmetric, and the triangle inequality holds.
 *
 * @param out radians 0 .. pi/2, or the unit of the responses. NaN if either is constant.
 * @return NISSL_OK; NISSL_ERR_SHAPE if the numbers of samples differ or are below 2;
 * NISSL_ERR_RANGE if alpha is outside 0 .. 1; NISSL_ERR_TYPE; NISSL_ERR_NONFINITE;
 * NISSL_ERR_MEMORY.
 *
 * Cost: three singular value decompositions. Source: Williams, Kunz, Kornblith and Linderman 2021.
 * Oracle: oracles/compare.py (numpy), netrep.
 */
nissl_status nissl_shape_distance(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                                  const nissl_shape_options *opt, double *out, nissl_error *err);

/* ---- representational dissimilarity ---- */

typedef enum nissl_rdm_metric {
    NISSL_RDM_EUCLIDEAN,   /* squared, over n_units */
    NISSL_RDM_CORRELATION, /* 1 - Pearson correlation over units; NaN for a constant pattern */
    NISSL_RDM_MAHALANOBIS, /* squared, with the noise covariance, over n_units */
    NISSL_RDM_CROSSNOBIS   /* cross-validated over runs: the mean over pairs of different runs of
                              d_m^T S^-1 d_m', over n_units; unbiased, so that it may be below 0 */
} nissl_rdm_metric;

/** Noise covariance of units, from residuals about the means of conditions (and runs). */
typedef enum nissl_noise {
    NISSL_NOISE_IDENTITY,
    NISSL_NOISE_DIAGONAL,
    NISSL_NOISE_SHRUNK, /* towards its diagonal by Schaefer and Strimmer's estimate */
    NISSL_NOISE_FULL
} nissl_noise;

typedef struct nissl_rdm_options {
    nissl_rdm_metric metric;
    nissl_noise noise;  /* for Mahalanobis and crossnobis */
    const int32_t *run; /* [n_samples] for crossnobis: 0 .. n_runs - 1, -1 = leave out */
    int64_t n_runs;
} nissl_rdm_options;

nissl_rdm_options nissl_rdm_options_default(void); /* Euclidean, identity */

/** All arrays are owned. */
typedef struct nissl_rdm {
    int64_t n_conditions, n_units;
    int64_t n_pairs; /* n_conditions (n_conditions - 1) / 2 */
    int64_t n_used;  /* units that count: with a noise model, those that vary within conditions */
    double *dissimilarity; /* [n_pairs] (0,1), (0,2) .. (1,2) ..; NaN where a condition has no
                              samples, or crossnobis fewer than two runs with both */
    double shrinkage;      /* of the noise covariance towards its diagonal, 0 .. 1 */
} nissl_rdm;

/**
 * Dissimilarities between the mean responses of conditions.
 *
 * @param condition [n_samples] 0 .. n_conditions - 1, or -1 for samples to leave out; NULL = every
 *                  sample is a condition of its own and n_conditions is ignored.
 * @param opt       NULL for defaults.
 * @param out       free with nissl_rdm_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE below 2 conditions, or a noise model without two samples of a
 * condition (in a run), or a full covariance with fewer degrees of freedom than units;
 * NISSL_ERR_RANGE naming the first condition or run outside its range; NISSL_ERR_ARGUMENT for
 * crossnobis without runs; NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY.
 *
 * Cost: n_conditions^2 n_units flops (a run each for crossnobis). Memory: n_conditions^2 doubles,
 * with conditions n_conditions n_units, and with a shrunk or full covariance 3 n_units^2.
 * Source: Kriegeskorte, Mur and Bandettini 2008; Walther et al. 2016; Schaefer and Strimmer 2005.
 * Oracle: oracles/rsa.py (rsatoolbox).
 */
nissl_status nissl_rdm_compute(nissl_context *ctx, const nissl_view *x, const int32_t *condition,
                               int64_t n_conditions, const nissl_rdm_options *opt, nissl_rdm *out,
                               nissl_error *err);
void nissl_rdm_free(nissl_rdm *rdm);

typedef enum nissl_rdm_similarity {
    NISSL_RDM_COSINE,
    NISSL_RDM_PEARSON,
    NISSL_RDM_SPEARMAN, /* correlation of ranks, equals share theirs */
    NISSL_RDM_RHO_A,    /* the same with ties broken at random, on average */
    NISSL_RDM_TAU_A,    /* (concordant - discordant) / pairs */
    NISSL_RDM_TAU_B,
    NISSL_RDM_WHITENED_COSINE,  /* cosine after whitening by the covariance of distances that share
                                   conditions; equal to CKA of the centred similarity matrices */
    NISSL_RDM_WHITENED_PEARSON, /* the same after subtracting means */
    NISSL_RDM_BURES /* nuclear norm of the product of root similarity matrices, normalised */
} nissl_rdm_similarity;

/** "cosine", "whitened-cosine"; NULL past the end. Static. */
const char *nissl_rdm_similarity_name(nissl_rdm_similarity similarity);

/**
 * Similarity of every RDM of a to every RDM of b.
 *
 * Pairs of conditions that are NaN in any of them are left out everywhere; Bures has no answer then
 * (NaN). A constant RDM has NaN (0 / 0) except tau-a and rho-a, which are 0.
 *
 * @param a, b [n_a, n_pairs] and [n_b, n_pairs], in the order of nissl_rdm.
 * @param out  [n_a, n_b].
 * @return NISSL_OK; NISSL_ERR_SHAPE below 2 conditions; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost per pair of RDMs: O(n_pairs) for cosines, O(n_pairs log n_pairs) for tau, and for Bures
 * O(n_conditions^3); ranks are sorted once per RDM. Whitening is in closed form: V = 2 I + B^T B,
 * B the incidence matrix of the complete graph, so V^-1 costs O(n_pairs) too.
 * Source: Diedrichsen et al. 2021 (whitening); Schuett et al. 2023 (rho-a). Oracle: oracles/rsa.py
 * (rsatoolbox).
 */
nissl_status nissl_rdm_compare(nissl_context *ctx, const double *a, int64_t n_a, const double *b,
                               int64_t n_b, int64_t n_conditions, nissl_rdm_similarity similarity,
                               double *out, nissl_error *err);

/* ---- prediction ---- */

typedef enum nissl_predictor {
    NISSL_PREDICTOR_RIDGE, /* one penalty for all targets, by leave-one-out error on training
                              samples */
    NISSL_PREDICTOR_PLS    /* partial least squares (NIPALS) on centred units */
} nissl_predictor;

typedef struct nissl_predict_options {
    nissl_predictor predictor;
    int n_splits;          /* random splits: 10. 0 = none: fitted and measured on all samples */
    double train_fraction; /* of samples (or groups): .9 */
    const int64_t *group;  /* [n_samples] samples of one group stay together; NULL = each its own */
    int64_t n_components;  /* of partial least squares: 25; fewer where there are fewer */
    const double *penalty; /* [n_penalties] ascending; NULL = automatic: nine from 1e-4 to 1e4 times
                              the mean squared length of a training sample */
    int n_penalties;
    int64_t n_selected;    /* units of x with the largest mean squared correlation with targets, on
                              training samples; 0 = all */
    const double *ceiling; /* [n_targets] highest correlation that noise allows; NULL = 1 */
    uint64_t seed;
} nissl_predict_options;

/** Ridge, 10 splits, nine tenths, 25 components, the context's seed. */
nissl_predict_options nissl_predict_options_default(const nissl_context *ctx);

/** All arrays are owned. */
typedef struct nissl_prediction {
    int64_t n_samples, n_units, n_targets;
    int n_splits;
    double *r;  /* [n_targets] correlation with held-out responses, mean over splits; NaN for a
                   target that is constant in all */
    double *r2; /* [n_targets] 1 - squared error / squares about the training mean, likewise; may be
                   below 0 */
    double median_r, median_r2; /* over targets that have them */
    double normalised;          /* median of r over ceiling; of targets with a ceiling above 0 */
    double *penalty;            /* [max(n_splits, 1)] chosen; NaN for partial least squares */
} nissl_prediction;

/**
 * How well the units of x predict those of y, linearly, on samples that were not used.
 *
 * @param y   targets [n_samples, n_targets].
 * @param out free with nissl_prediction_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE if the numbers of samples differ, or a split leaves fewer than
 * 3 samples to learn from or 2 to test; NISSL_ERR_RANGE for an option out of range; NISSL_ERR_TYPE;
 * NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost per split: 2 n^2 m flops to rotate samples, then for ridge 2 n^2 targets flops a penalty,
 * for partial least squares 4 n (n + targets) a component and iteration. Memory: per thread n (m +
 * 3 targets) doubles. Splits are spread over threads. Source: Schrimpf et al. 2018 (splits, median,
 * ceiling); Wold 1975 (NIPALS). Oracle: oracles/compare.py (scikit-learn).
 */
nissl_status nissl_predict(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                           const nissl_predict_options *opt, nissl_prediction *out,
                           nissl_error *err);
void nissl_prediction_free(nissl_prediction *prediction);

/**
 * Ridge weights on all samples: scikit-learn's Ridge(alpha=penalty).
 * @param weight [n_targets, n_units + 1], the intercept last.
 * @return as nissl_predict.
 */
nissl_status nissl_ridge_fit(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                             double penalty, double *weight, nissl_error *err);

/**
 * Reliability of units: correlation of mean responses between random halves of the repeats,
 * corrected to the full number of repeats (Spearman and Brown), mean over n_splits halvings.
 *
 * @param x         responses [n_samples, n_units]; samples of a stimulus are its repeats.
 * @param stimulus  [n_samples] 0 .. n_stimuli - 1 or -1. Stimuli of one sample are left out.
 * @param ceiling   [n_units] square root of the reliability, which is what a perfect model's
 *                  correlation with the mean response would be; 0 where reliability is not above 0,
 *                  NaN for a constant unit.
 * @return NISSL_OK; NISSL_ERR_SHAPE if fewer than 3 stimuli have 2 repeats; NISSL_ERR_RANGE;
 * NISSL_ERR_TYPE; NISSL_ERR_NONFINITE; NISSL_ERR_MEMORY.
 */
nissl_status nissl_reliability(nissl_context *ctx, const nissl_view *x, const int32_t *stimulus,
                               int64_t n_stimuli, int n_splits, uint64_t seed, double *ceiling,
                               nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
