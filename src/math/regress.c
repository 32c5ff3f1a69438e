/* Linear regression of many targets. */
#include "math/regress.h"

#include <float.h>

#include "math/linear.h"

#define PLS_TOLERANCE  1e-6
#define PLS_ITERATIONS 500

void nissl__ridge_weights(const double *product, const double *length, int64_t r, int64_t q,
                          double penalty, double *w)
{
    for (int64_t j = 0; j < r; j++)
        for (int64_t t = 0; t < q; t++)
            w[j * q + t] = product[j * q + t] / (length[j] + penalty);
}

double nissl__ridge_leave_one_out(const double *x, const double *y, const double *product,
                                  const double *length, const double *squares, int64_t n, int64_t r,
                                  int64_t q, double penalty, double *scratch)
{
    double *fitted = scratch, *w = fitted + n * q, *keep = w + r * q, sum = 0;
    int64_t n_targets = 0;
    nissl__ridge_weights(product, length, r, q, penalty, w);
    nissl__matmul(false, false, n, q, r, 1, x, r, w, q, 0, fitted, q);
    for (int64_t i = 0; i < n; i++) {
        double leverage = 1 / (double)n;
        for (int64_t j = 0; j < r; j++)
            leverage += x[i * r + j] * x[i * r + j] / (length[j] + penalty);
        keep[i] = fmax(1 - leverage, DBL_EPSILON);
    }
    for (int64_t t = 0; t < q; t++)
        n_targets += squares[t] > 0;
    for (int64_t i = 0; i < n; i++) {
        double here = 0;
        for (int64_t t = 0; t < q; t++) {
            double e = (y[i * q + t] - fitted[i * q + t]) / keep[i];
            here += squares[t] > 0 ? e * e / squares[t] : 0;
        }
        sum += here;
    }
    return n_targets > 0 ? sum / (double)n_targets : NAN;
}

/* ---- partial least squares ---- */

typedef struct pls {
    double *weight, *loading_x; /* [k, p] a component a row */
    double *loading_y;          /* [k, q] */
    double *old, *score, *y_score;
} pls;

/* The weights of one component: power iterations from the first column of y that is not 0. */
static bool find_weights(const double *x, const double *y, int64_t n, int64_t p, int64_t q,
                         double *w, double *c, pls *s)
{
    int64_t column = -1;
    for (int64_t t = 0; t < q && column < 0; t++)
        for (int64_t i = 0; i < n && column < 0; i++)
            if (fabs(y[i * q + t]) > DBL_EPSILON)
                column = t;
    if (column < 0)
        return false;
    for (int64_t i = 0; i < n; i++)
        s->y_score[i] = y[i * q + column];
    for (int iteration = 0; iteration < PLS_ITERATIONS; iteration++) {
        double length, change = 0, squares = nissl__dot(s->y_score, s->y_score, n);
        nissl__matvec(true, n, p, x, p, s->y_score, w);
        for (int64_t j = 0; j < p; j++)
            w[j] /= squares;
        length = sqrt(nissl__dot(w, w, p)) + DBL_EPSILON;
        for (int64_t j = 0; j < p; j++)
            w[j] /= length;
        nissl__matvec(false, n, p, x, p, w, s->score);
        squares = nissl__dot(s->score, s->score, n);
        if (!(squares > 0))
            return false;
        nissl__matvec(true, n, q, y, q, s->score, c);
        for (int64_t t = 0; t < q; t++)
            c[t] /= squares;
        squares = nissl__dot(c, c, q) + DBL_EPSILON;
        nissl__matvec(false, n, q, y, q, c, s->y_score);
        for (int64_t i = 0; i < n; i++)
            s->y_score[i] /= squares;
        for (int64_t j = 0; j < p; j++) {
            double d = w[j] - (iteration == 0 ? 100 : s->old[j]);
            change += d * d;
        }
        if (change < PLS_TOLERANCE || q == 1)
            break;
        memcpy(s->old, w, (size_t)p * sizeof *w);
    }
    return true;
}

/* a [n, m] -= score loading^T, loading = a^T score / score^T score */
static void deflate(double *a, int64_t n, int64_t m, const double *score, double *loading)
{
    double squares = nissl__dot(score, score, n);
    nissl__matvec(true, n, m, a, m, score, loading);
    for (int64_t j = 0; j < m; j++)
        loading[j] /= squares;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            a[i * m + j] -= score[i] * loading[j];
}

/* w = W (P^T W)^-1 Q^T. P^T W is upper triangular with ones on the diagonal. */
static void combine(const pls *s, int64_t p, int64_t q, int64_t k, double *w)
{
    /* rotations in place of weights: r_a = w_a - sum over b < a of (p_b . w_a) r_b */
    for (int64_t a = 0; a < k; a++)
        for (int64_t b = 0; b < a; b++) {
            double *r = s->weight + a * p, *earlier = s->weight + b * p;
            /* what went before does not change it: p_b . r_c = 0 for c < b */
            double product = nissl__dot(s->loading_x + b * p, r, p);
            for (int64_t j = 0; j < p; j++)
                r[j] -= product * earlier[j];
        }
    nissl__matmul(true, false, p, q, k, 1, s->weight, p, s->loading_y, q, 0, w, q);
}

int64_t nissl__pls_fit(double *x, double *y, int64_t n, int64_t p, int64_t q, int64_t k, double *w)
{
    pls s = {0};
    int64_t done = -1;
    s.weight = nissl__alloc((size_t)(k * p), sizeof(double));
    s.loading_x = nissl__alloc((size_t)(k * p), sizeof(double));
    s.loading_y = nissl__alloc((size_t)(k * q), sizeof(double));
    s.old = nissl__alloc((size_t)p, sizeof(double));
    s.score = nissl__alloc((size_t)n, sizeof(double));
    s.y_score = nissl__alloc((size_t)n, sizeof(double));
    if (!s.weight || !s.loading_x || !s.loading_y || !s.old || !s.score || !s.y_score)
        goto done;
    for (done = 0; done < k; done++) {
        double *weight = s.weight + done * p, *c = s.loading_y + done * q;
        for (int64_t t = 0; t < q; t++) { /* a target that is explained is rounding noise */
            double top = 0;
            for (int64_t i = 0; i < n; i++)
                top = fmax(top, fabs(y[i * q + t]));
            for (int64_t i = 0; i < n && top < 10 * DBL_EPSILON; i++)
                y[i * q + t] = 0;
        }
        if (!find_weights(x, y, n, p, q, weight, c, &s))
            break;
        nissl__matvec(false, n, p, x, p, weight, s.score);
        deflate(x, n, p, s.score, s.loading_x + done * p);
        deflate(y, n, q, s.score, c);
    }
    combine(&s, p, q, done, w);

done:
    nissl__free(s.weight);
    nissl__free(s.loading_x);
    nissl__free(s.loading_y);
    nissl__free(s.old);
    nissl__free(s.score);
    nissl__free(s.y_score);
    return done;
}
