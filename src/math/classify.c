/*
 * Linear classifiers.
 *
 * Logistic and hinge losses are minimised by Newton's method, steps solved by conjugate gradients
 * that the diagonal of the Hessian preconditions (the coordinates are nearly uncorrelated, so few
 * steps do), with a line search that costs no product since scores are linear in the step.
 */
#include "math/classify.h"

#include "math/linear.h"

#define MOST_NEWTON 200
#define MOST_STEPS  500

int nissl__classifier_rows(int n_classes)
{
    return n_classes == 2 ? 1 : n_classes;
}

/* ---- Newton's method ---- */

/* A problem in k rows of r + 1 weights at once. */
typedef struct newton {
    const nissl__training *t;
    nissl__classifier kind;
    int k;            /* rows: 1, or the classes of a multinomial problem */
    int32_t positive; /* with one row: the class that is +1 */
    int64_t size;     /* k (r + 1) */
    double *z;        /* [n, k] scores */
    double *p;        /* [n, k] probabilities, or the curvature of one row */
    double *dz, *dp;  /* [n, k] of the step */
    double *gradient, *step, *residual, *direction, *product, *diagonal; /* [size] */
} newton;

static int64_t newton_scratch(int64_t n, int64_t r, int k)
{
    return 4 * n * k + 6 * k * (r + 1);
}

static void newton_place(newton *s, double *scratch)
{
    int64_t scores = s->t->n * s->k;
    double **const part[] = {&s->z, &s->p, &s->dz, &s->dp};
    double **const vector[] = {&s->gradient,  &s->step,    &s->residual,
                               &s->direction, &s->product, &s->diagonal};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++, scratch += scores)
        *part[i] = scratch;
    for (size_t i = 0; i < sizeof vector / sizeof *vector; i++, scratch += s->size)
        *vector[i] = scratch;
}

/* z [n, k] = x w^T + intercepts */
static void scores_of(const newton *s, const double *w, double *z)
{
    const nissl__training *t = s->t;
    nissl__classify_scores(t->x, t->n, t->r, w, s->k, z);
}

/* out [k, r + 1] = q^T [x, 1] + penalty w */
static void back(const newton *s, const double *q, const double *w, double *out)
{
    const nissl__training *t = s->t;
    int64_t stride = t->r + 1;
    if (s->k == 1)
        nissl__matvec(true, t->n, t->r, t->x, t->r, q, out);
    else
        nissl__matmul(true, false, s->k, t->r, t->n, 1, q, s->k, t->x, t->r, 0, out, stride);
    for (int c = 0; c < s->k; c++) {
        double sum = 0, *row = out + c * stride;
        for (int64_t i = 0; i < t->n; i++)
            sum += q[i * s->k + c];
        for (int64_t j = 0; j < t->r; j++)
            row[j] += t->penalty * w[c * stride + j];
        row[t->r] = sum + (s->kind == NISSL__HINGE ? t->penalty * w[c * stride + t->r] : 0);
    }
}

static double sign_of(const newton *s, int64_t i)
{
    return s->t->label[i] == s->positive ? 1 : -1;
}

/* ln(1 + exp(-m)) without overflow */
static double log_loss(double m)
{
    return m > 0 ? log1p(exp(-m)) : log1p(exp(m)) - m;
}

/* Loss at scores z + step dz. */
static double loss_at(const newton *s, double step)
{
    double sum = 0;
    for (int64_t i = 0; i < s->t->n; i++) {
        const double *z = s->z + i * s->k, *dz = s->dz + i * s->k;
        if (s->k == 1) {
            double m = sign_of(s, i) * (z[0] + step * dz[0]);
            sum += s->kind == NISSL__LOGISTIC ? log_loss(m) : m < 1 ? (1 - m) * (1 - m) : 0;
            continue;
        }
        double top = -INFINITY, total = 0;
        for (int c = 0; c < s->k; c++)
            top = fmax(top, z[c] + step * dz[c]);
        for (int c = 0; c < s->k; c++)
            total += exp(z[c] + step * dz[c] - top);
        sum += log(total) + top - z[s->t->label[i]] - step * dz[s->t->label[i]];
    }
    return sum;
}

/* Derivatives of the loss by scores into dp, and in p what its curvature needs. */
static void differentiate(newton *s)
{
    for (int64_t i = 0; i < s->t->n; i++) {
        const double *z = s->z + i * s->k;
        double *p = s->p + i * s->k, *d = s->dp + i * s->k;
        if (s->k == 1) {
            double y = sign_of(s, i), m = y * z[0];
            if (s->kind == NISSL__LOGISTIC) {
                double q = 1 / (1 + exp(m)); /* probability of the other class */
                d[0] = -y * q;
                p[0] = q * (1 - q);
            } else {
                d[0] = m < 1 ? -2 * y * (1 - m) : 0;
                p[0] = m < 1 ? 2 : 0;
            }
            continue;
        }
        double top = -INFINITY, total = 0;
        for (int c = 0; c < s->k; c++)
            top = fmax(top, z[c]);
        for (int c = 0; c < s->k; c++)
            total += p[c] = exp(z[c] - top);
        for (int c = 0; c < s->k; c++) {
            p[c] /= total;
            d[c] = p[c] - (s->t->label[i] == c);
        }
    }
}

/* out = Hessian times v */
static void curve(const newton *s, const double *v, double *out)
{
    scores_of(s, v, s->dz);
    for (int64_t i = 0; i < s->t->n; i++) {
        const double *p = s->p + i * s->k, *dz = s->dz + i * s->k;
        double *dp = s->dp + i * s->k, mean = 0;
        if (s->k == 1) {
            dp[0] = p[0] * dz[0];
            continue;
        }
        for (int c = 0; c < s->k; c++)
            mean += p[c] * dz[c];
        for (int c = 0; c < s->k; c++)
            dp[c] = p[c] * (dz[c] - mean);
    }
    back(s, s->dp, v, out);
}

static void fill_diagonal(newton *s)
{
    const nissl__training *t = s->t;
    int64_t stride = t->r + 1;
    memset(s->diagonal, 0, (size_t)s->size * sizeof(double));
    for (int64_t i = 0; i < t->n; i++)
        for (int c = 0; c < s->k; c++) {
            double p = s->p[i * s->k + c], weight = s->k == 1 ? p : p * (1 - p);
            const double *x = t->x + i * t->r;
            double *d = s->diagonal + c * stride;
            if (weight == 0)
                continue;
            for (int64_t j = 0; j < t->r; j++)
                d[j] += weight * x[j] * x[j];
            d[t->r] += weight;
        }
    for (int c = 0; c < s->k; c++) {
        double *d = s->diagonal + c * stride;
        for (int64_t j = 0; j < t->r; j++)
            d[j] += t->penalty;
        d[t->r] += s->kind == NISSL__HINGE ? t->penalty : 0;
        d[t->r] = fmax(d[t->r], 1e-300);
    }
}

/* step = -Hessian^-1 gradient, to a fraction eta of the gradient's length */
static void solve_step(newton *s, double eta)
{
    double product = 0, goal, length;
    for (int64_t i = 0; i < s->size; i++) {
        s->step[i] = 0;
        s->residual[i] = -s->gradient[i];
        s->direction[i] = s->residual[i] / s->diagonal[i];
        product += s->residual[i] * s->direction[i];
    }
    goal = eta * sqrt(nissl__dot(s->gradient, s->gradient, s->size));
    for (int k = 0; k < MOST_STEPS; k++) {
        double curvature, alpha, next = 0;
        curve(s, s->direction, s->product);
        curvature = nissl__dot(s->direction, s->product, s->size);
        if (!(curvature > 0))
            break;
        alpha = product / curvature;
        for (int64_t i = 0; i < s->size; i++) {
            s->step[i] += alpha * s->direction[i];
            s->residual[i] -= alpha * s->product[i];
            next += s->residual[i] * s->residual[i] / s->diagonal[i];
        }
        length = sqrt(nissl__dot(s->residual, s->residual, s->size));
        if (length <= goal)
            break;
        for (int64_t i = 0; i < s->size; i++)
            s->direction[i] = s->residual[i] / s->diagonal[i] + next / product * s->direction[i];
        product = next;
    }
}

/* Products of weights and step that the penalty counts. */
static double penalised(const newton *s, const double *a, const double *b)
{
    int64_t stride = s->t->r + 1;
    double sum = 0;
    for (int c = 0; c < s->k; c++)
        sum += nissl__dot(a + c * stride, b + c * stride,
                          s->kind == NISSL__HINGE ? stride : stride - 1);
    return sum * s->t->penalty;
}

static bool minimise(newton *s, double *w)
{
    const nissl__training *t = s->t;
    double first = 0, *zero = s->step;
    bool done = false;
    /* the gradient of zero weights is what lengths are measured by */
    memset(zero, 0, (size_t)s->size * sizeof *zero);
    memset(s->z, 0, (size_t)(t->n * s->k) * sizeof *s->z);
    differentiate(s);
    back(s, s->dp, zero, s->gradient);
    first = sqrt(nissl__dot(s->gradient, s->gradient, s->size));
    for (int iteration = 0; iteration < MOST_NEWTON && !done; iteration++) {
        double length, slope, value, ww, wd, dd, step = 1;
        scores_of(s, w, s->z);
        differentiate(s);
        back(s, s->dp, w, s->gradient);
        length = sqrt(nissl__dot(s->gradient, s->gradient, s->size));
        done = length <= t->tolerance * first;
        if (done)
            break;
        fill_diagonal(s);
        solve_step(s, fmin(.1, sqrt(length / first)));
        scores_of(s, s->step, s->dz);
        slope = nissl__dot(s->gradient, s->step, s->size);
        ww = penalised(s, w, w);
        wd = penalised(s, w, s->step);
        dd = penalised(s, s->step, s->step);
        value = loss_at(s, 0);
        while (step > 1e-10 && !(loss_at(s, step) - value + step * wd + .5 * step * step * dd <=
                                 1e-4 * step * slope + 1e-13 * (value + .5 * ww)))
            step *= .5;
        for (int64_t i = 0; i < s->size; i++)
            w[i] += step * s->step[i];
    }
    return done;
}

static bool fit_newton(nissl__classifier kind, const nissl__training *t, double *w, double *scratch)
{
    bool good = true;
    bool together = kind == NISSL__LOGISTIC && t->n_classes > 2;
    int rows = nissl__classifier_rows(t->n_classes), k = together ? rows : 1;
    for (int row = 0; row < rows; row += k) {
        newton s = {
            .t = t, .kind = kind, .k = k, .positive = rows == 1 ? 1 : row, .size = k * (t->r + 1)};
        newton_place(&s, scratch);
        good = minimise(&s, w + row * (t->r + 1)) && good;
    }
    if (together) { /* nothing but their differences matters: mean 0, as scikit-learn has it */
        double mean = 0;
        for (int c = 0; c < rows; c++)
            mean += w[c * (t->r + 1) + t->r] / rows;
        for (int c = 0; c < rows; c++)
            w[c * (t->r + 1) + t->r] -= mean;
    }
    return good;
}

/* ---- in closed form ---- */

/* Class means [k, r] and sizes. */
static void class_means(const nissl__training *t, double *mean, double *count)
{
    memset(mean, 0, (size_t)(t->n_classes * t->r) * sizeof *mean);
    memset(count, 0, (size_t)t->n_classes * sizeof *count);
    for (int64_t i = 0; i < t->n; i++) {
        count[t->label[i]]++;
        for (int64_t j = 0; j < t->r; j++)
            mean[t->label[i] * t->r + j] += t->x[i * t->r + j];
    }
    for (int c = 0; c < t->n_classes; c++)
        for (int64_t j = 0; j < t->r; j++)
            mean[c * t->r + j] /= count[c];
}

static bool fit_lda(const nissl__training *t, double *w, double *scratch)
{
    int64_t r = t->r, stride = r + 1;
    int k = t->n_classes;
    double *s = scratch, *d = s + r * r, *mean = d + t->n * r, *count = mean + k * r;
    double *solved = count + k, trace = 0; /* [r, k] */
    class_means(t, mean, count);
    for (int64_t i = 0; i < t->n; i++)
        for (int64_t j = 0; j < r; j++)
            d[i * r + j] = t->x[i * r + j] - mean[t->label[i] * r + j];
    nissl__matmul_self(true, r, t->n, 1 / (double)t->n, d, r, 0, s, r);
    for (int64_t j = 0; j < r; j++)
        trace += s[j * r + j];
    for (int64_t j = 0; j < r; j++) {
        for (int64_t l = 0; l <= j; l++)
            s[j * r + l] *= 1 - t->penalty;
        s[j * r + j] += t->penalty * trace / (double)t->n_units;
    }
    if (!nissl__cholesky(r, s, r))
        return false;
    for (int64_t j = 0; j < r; j++)
        for (int c = 0; c < k; c++)
            solved[j * k + c] = mean[c * r + j];
    nissl__cholesky_solve(r, k, s, r, solved, k);
    for (int c = 0; c < k; c++) {
        double product = 0, intercept;
        for (int64_t j = 0; j < r; j++)
            product += mean[c * r + j] * solved[j * k + c];
        intercept = log(count[c] / (double)t->n) - .5 * product;
        if (k > 2) {
            for (int64_t j = 0; j < r; j++)
                w[c * stride + j] = solved[j * k + c];
            w[c * stride + r] = intercept;
            continue;
        }
        for (int64_t j = 0; j < r; j++)
            w[j] = c == 0 ? -solved[j * k] : w[j] + solved[j * k + 1];
        w[r] = c == 0 ? -intercept : w[r] + intercept;
    }
    return true;
}

static bool fit_ridge(const nissl__training *t, double *w, double *scratch)
{
    int64_t r = t->r, stride = r + 1;
    int rows = nissl__classifier_rows(t->n_classes);
    double *length = scratch;
    memset(length, 0, (size_t)r * sizeof *length);
    memset(w, 0, (size_t)(rows * stride) * sizeof *w);
    for (int64_t i = 0; i < t->n; i++) {
        const double *x = t->x + i * r;
        for (int64_t j = 0; j < r; j++)
            length[j] += x[j] * x[j];
        for (int c = 0; c < rows; c++) {
            double y = t->label[i] == (rows == 1 ? 1 : c) ? 1 : -1;
            for (int64_t j = 0; j < r; j++)
                w[c * stride + j] += y * x[j];
            w[c * stride + r] += y / (double)t->n;
        }
    }
    for (int c = 0; c < rows; c++)
        for (int64_t j = 0; j < r; j++)
            w[c * stride + j] /= length[j] + t->penalty;
    return true;
}

/* ---- all of them ---- */

int64_t nissl__classify_scratch(nissl__classifier kind, int64_t n, int64_t r, int n_classes)
{
    switch (kind) {
    case NISSL__LDA: return r * r + n * r + 2 * n_classes * r + n_classes;
    case NISSL__RIDGE: return r;
    default: return newton_scratch(n, r, nissl__classifier_rows(n_classes));
    }
}

bool nissl__classify_fit(nissl__classifier kind, const nissl__training *t, double *w,
                         double *scratch)
{
    switch (kind) {
    case NISSL__LDA: return fit_lda(t, w, scratch);
    case NISSL__RIDGE: return fit_ridge(t, w, scratch);
    default: return fit_newton(kind, t, w, scratch);
    }
}

void nissl__classify_scores(const double *x, int64_t n, int64_t r, const double *w, int rows,
                            double *score)
{
    if (rows == 1)
        nissl__matvec(false, n, r, x, r, w, score);
    else
        nissl__matmul(false, true, n, rows, r, 1, x, r, w, r + 1, 0, score, rows);
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < rows; c++)
            score[i * rows + c] += w[c * (r + 1) + r];
}

int32_t nissl__classify_decide(const double *score, int rows, int32_t truth, double *margin)
{
    int32_t best = 0;
    if (rows == 1) {
        best = score[0] > 0;
        if (margin)
            *margin = truth == 1 ? score[0] : -score[0];
        return best;
    }
    for (int32_t c = 1; c < rows; c++)
        if (score[c] > score[best])
            best = c;
    if (margin) {
        double other = -INFINITY;
        for (int32_t c = 0; c < rows; c++)
            if (c != truth)
                other = fmax(other, score[c]);
        *margin = score[truth] - other;
    }
    return best;
}
