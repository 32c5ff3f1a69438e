/*
 * Linear classifiers with a quadratic penalty, as scikit-learn defines them: logistic regression
 * (multinomial above two classes), the support vector machine with squared hinge loss, linear
 * discriminant analysis, ridge.
 */
#ifndef NISSL__CLASSIFY_H
#define NISSL__CLASSIFY_H

#include "foundation/foundation.h"

typedef enum nissl__classifier {
    NISSL__LOGISTIC, /* LogisticRegression(C=1/penalty), intercept not penalised */
    NISSL__HINGE,    /* LinearSVC(C=1/penalty, loss="squared_hinge"), intercept penalised, one
                        against the rest above two classes */
    NISSL__LDA,      /* LinearDiscriminantAnalysis(solver="lsqr", shrinkage=penalty) */
    NISSL__RIDGE     /* RidgeClassifier(alpha=penalty) */
} nissl__classifier;

/*
 * A training set. x: [n, r] coordinates of n samples. Penalties are invariant to rotation, so that
 * coordinates in the space that the samples span do for any number of units; the solver is fast
 * when columns are uncorrelated (principal components). Ridge needs columns of mean 0 that are
 * orthogonal.
 */
typedef struct nissl__training {
    const double *x;
    const int32_t *label; /* [n] 0 .. n_classes - 1, each at least once */
    int64_t n, r;
    int64_t n_units; /* before the rotation, for the shrinkage of LDA */
    int n_classes;
    double penalty;
    double tolerance; /* |gradient| over that of zero weights, at which iterations end */
} nissl__training;

/* Rows of weights: 1 for two classes, else one a class. Each is r weights and an intercept. */
int nissl__classifier_rows(int n_classes);
/* Doubles of scratch for nissl__classify_fit. */
int64_t nissl__classify_scratch(nissl__classifier kind, int64_t n, int64_t r, int n_classes);
/*
 * w: [rows, r + 1]; where logistic and hinge start, and the result. false if the covariance of LDA
 * is singular or iterations did not end within 200; w is the best so far then.
 */
bool nissl__classify_fit(nissl__classifier kind, const nissl__training *t, double *w,
                         double *scratch);
/* Scores [n, rows] of samples x [n, r]. */
void nissl__classify_scores(const double *x, int64_t n, int64_t r, const double *w, int rows,
                            double *score);
/* The class of a row of scores and, if margin is not NULL, by how much truth exceeds the best other
 * class. */
int32_t nissl__classify_decide(const double *score, int rows, int32_t truth, double *margin);

#endif
