/* Linear prediction of one population by another, on held-out samples. */
#include "analyses/compare.h"
#include "math/linear.h"
#include "math/matrix.h"
#include "math/rank.h"
#include "math/regress.h"

#define SPLIT_NAME     ((uint64_t)0x7072 << 48) /* "pr": keeps its streams apart */
#define HALF_NAME      ((uint64_t)0x726c << 48) /* "rl" */
#define MOST_PENALTIES 64

nissl_predict_options nissl_predict_options_default(const nissl_context *ctx)
{
    return (nissl_predict_options){
        .n_splits = 10, .train_fraction = .9, .n_components = 25, .seed = nissl_context_seed(ctx)};
}

void nissl_prediction_free(nissl_prediction *prediction)
{
    if (!prediction)
        return;
    nissl__free(prediction->r);
    nissl__free(prediction->r2);
    nissl__free(prediction->penalty);
    *prediction = (nissl_prediction){0};
}

/* What one worker has of a split. */
typedef struct work {
    int64_t *row; /* [n] training samples, then the others */
    int64_t n_train, n_test, p, r;
    double *z;          /* [n, m] centred units */
    double *y;          /* [n, q] centred targets */
    double *x, *x_test; /* coordinates */
    double *w;          /* [r, q] */
    double *fitted;     /* [n, q] */
    double *length;     /* [min(n, m)] */
    double *product;    /* [min(n, m), q] */
    double *squares;    /* [q] */
    double *merit;      /* [m] */
    int64_t *unit;      /* [m] */
    double *scratch;    /* [n q + min(n, m) q + n] */
    int64_t *order;     /* [n_groups] */
} work;

typedef struct predict_job {
    const nissl_predict_options *opt;
    const double *x, *y; /* [n, m], [n, q] */
    int64_t n, m, q;
    int64_t *group; /* [n] 0 .. n_groups - 1 */
    int64_t n_groups;
    int n_penalties;
    double penalty[MOST_PENALTIES];
    work *works;
    double *r, *r2, *chosen; /* [splits, q], [splits, q], [splits] */
} predict_job;

/* ---- a split ---- */

static void list_rows(const predict_job *job, work *w, int64_t split)
{
    int64_t n_train = (int64_t)(job->opt->train_fraction * (double)job->n_groups + .5);
    w->n_train = w->n_test = 0;
    if (job->opt->n_splits == 0) {
        for (int64_t i = 0; i < job->n; i++)
            w->row[i] = i;
        w->n_train = job->n;
        return;
    }
    nissl__random_permutation(job->opt->seed, SPLIT_NAME | (uint64_t)split, job->n_groups,
                              w->order);
    for (int test = 0; test < 2; test++)
        for (int64_t i = 0; i < job->n; i++)
            if ((w->order[job->group[i]] >= n_train) == test) {
                w->row[w->n_train + w->n_test] = i;
                *(test ? &w->n_test : &w->n_train) += 1;
            }
}

/* Rows in the order of the split, less the mean of training samples. */
static void gather(const double *from, const work *w, int64_t n, int64_t m, double *out)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(out + i * m, from + w->row[i] * m, (size_t)m * sizeof *out);
    for (int64_t j = 0; j < m; j++) {
        double sum = 0;
        for (int64_t i = 0; i < w->n_train; i++)
            sum += out[i * m + j];
        sum /= (double)w->n_train;
        for (int64_t i = 0; i < n; i++)
            out[i * m + j] -= sum;
    }
}

static int descending(const void *a, const void *b, void *merit)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    double x = ((const double *)merit)[i], y = ((const double *)merit)[j];
    if (x != y)
        return x > y ? -1 : 1;
    return i < j ? -1 : i > j;
}

static int ascending(const void *a, const void *b)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    return i < j ? -1 : i > j;
}

/* Keeps the units of z that correlate best with targets on training samples. */
static void select_units(const predict_job *job, work *w)
{
    int64_t m = job->m, q = job->q, k = job->opt->n_selected;
    for (int64_t j = 0; j < m; j++) {
        double length = 0;
        w->unit[j] = j;
        w->merit[j] = 0;
        for (int64_t i = 0; i < w->n_train; i++)
            length += w->z[i * m + j] * w->z[i * m + j];
        memset(w->scratch, 0, (size_t)q * sizeof *w->scratch);
        for (int64_t i = 0; i < w->n_train; i++)
            for (int64_t t = 0; t < q; t++)
                w->scratch[t] += w->z[i * m + j] * w->y[i * q + t];
        for (int64_t t = 0; t < q; t++)
            if (length > 0 && w->squares[t] > 0)
                w->merit[j] += w->scratch[t] * w->scratch[t] / (length * w->squares[t]);
    }
    qsort_r(w->unit, (size_t)m, sizeof *w->unit, descending, w->merit);
    qsort(w->unit, (size_t)k, sizeof *w->unit, ascending);
    for (int64_t i = 0; i < w->n_train + w->n_test; i++) /* never ahead of what is read */
        for (int64_t j = 0; j < k; j++)
            w->z[i * k + j] = w->z[i * m + w->unit[j]];
    w->p = k;
}

static nissl_status prepare(const predict_job *job, work *w, int64_t split, nissl_error *err)
{
    int64_t n = job->n, q = job->q;
    nissl_status status;
    list_rows(job, w, split);
    gather(job->x, w, n, job->m, w->z);
    gather(job->y, w, n, q, w->y);
    memset(w->squares, 0, (size_t)q * sizeof *w->squares);
    for (int64_t i = 0; i < w->n_train; i++)
        for (int64_t t = 0; t < q; t++)
            w->squares[t] += w->y[i * q + t] * w->y[i * q + t];
    w->p = job->m;
    if (job->opt->n_selected > 0)
        select_units(job, w);
    status = nissl__principal_axes(w->z, w->n_train, w->p, w->z + w->n_train * w->p, w->n_test,
                                   w->x, w->x_test, &w->r, err);
    return status;
}

static void fit_ridge(const predict_job *job, work *w, double *chosen)
{
    int64_t n = w->n_train, r = w->r, q = job->q;
    double best = INFINITY, scale = 0;
    memset(w->length, 0, (size_t)r * sizeof *w->length);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < r; j++)
            w->length[j] += w->x[i * r + j] * w->x[i * r + j];
    for (int64_t j = 0; j < r; j++)
        scale += w->length[j] / (double)n;
    scale = job->opt->penalty ? 1 : scale;
    nissl__matmul(true, false, r, q, n, 1, w->x, r, w->y, q, 0, w->product, q);
    *chosen = job->penalty[0] * scale;
    for (int i = 0; i < job->n_penalties && job->n_penalties > 1; i++) {
        double error = nissl__ridge_leave_one_out(w->x, w->y, w->product, w->length, w->squares, n,
                                                  r, q, job->penalty[i] * scale, w->scratch);
        if (error <= best) { /* the largest of equals */
            best = error;
            *chosen = job->penalty[i] * scale;
        }
    }
    nissl__ridge_weights(w->product, w->length, r, q, *chosen, w->w);
}

static nissl_status fit_pls(const predict_job *job, work *w, double *chosen, nissl_error *err)
{
    int64_t n = w->n_train, k = NISSL__MIN(job->opt->n_components, NISSL__MIN(w->r, n - 1));
    *chosen = NAN;
    /* NIPALS takes its data apart: coordinates go into z, which is not needed any more, targets
     * into fitted */
    memcpy(w->z, w->x, (size_t)(n * w->r) * sizeof *w->z);
    memcpy(w->fitted, w->y, (size_t)(n * job->q) * sizeof *w->fitted);
    if (nissl__pls_fit(w->z, w->fitted, n, w->r, job->q, k, w->w) < 0)
        return NISSL__NO_MEMORY(err, (size_t)(k * (w->r + job->q)) * sizeof(double));
    return NISSL_OK;
}

/* Correlation and share of variance of one target; y: centred on the training mean */
static void judge(const double *y, const double *fitted, int64_t n, int64_t q, double *r,
                  double *r2)
{
    double my = 0, mf = 0, yy = 0, ff = 0, yf = 0, error = 0, total = 0;
    for (int64_t i = 0; i < n; i++) {
        my += y[i * q] / (double)n;
        mf += fitted[i * q] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        double a = y[i * q] - my, b = fitted[i * q] - mf, e = y[i * q] - fitted[i * q];
        yy += a * a;
        ff += b * b;
        yf += a * b;
        error += e * e;
        total += y[i * q] * y[i * q];
    }
    /* a prediction that is constant but for rounding predicts nothing */
    bool flat = ff <= 1e-24 * (ff + (double)n * mf * mf) || ff == 0;
    *r = yy > 0 ? flat ? 0 : yf / sqrt(yy * ff) : NAN;
    *r2 = yy > 0 ? 1 - error / total : NAN;
}

static nissl_status split_task(void *user, int64_t split, int worker, nissl_error *err)
{
    predict_job *job = user;
    work *w = &job->works[worker];
    int64_t q = job->q, n, first;
    nissl_status status = prepare(job, w, split, err);
    if (status != NISSL_OK)
        return status;
    if (job->opt->predictor == NISSL_PREDICTOR_RIDGE)
        fit_ridge(job, w, &job->chosen[split]);
    else
        status = fit_pls(job, w, &job->chosen[split], err);
    if (status != NISSL_OK)
        return status;
    n = w->n_test > 0 ? w->n_test : w->n_train;
    first = w->n_test > 0 ? w->n_train : 0;
    nissl__matmul(false, false, n, q, w->r, 1, w->n_test > 0 ? w->x_test : w->x, w->r, w->w, q, 0,
                  w->fitted, q);
    for (int64_t t = 0; t < q; t++)
        judge(w->y + first * q + t, w->fitted + t, n, q, &job->r[split * q + t],
              &job->r2[split * q + t]);
    return NISSL_OK;
}

/* ---- summing up ---- */

/* Median of the values that are numbers; spends them. */
static double median(double *value, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(value[i]))
            value[kept++] = value[i];
    if (kept == 0)
        return NAN;
    double high = nissl__select(value, kept, kept / 2);
    return kept % 2 ? high : .5 * (high + nissl__select(value, kept, kept / 2 - 1));
}

static void conclude(const predict_job *job, int64_t n_splits, nissl_prediction *out,
                     double *scratch)
{
    int64_t q = job->q;
    const double *const from[] = {job->r, job->r2};
    double *const to[] = {out->r, out->r2};
    for (int k = 0; k < 2; k++)
        for (int64_t t = 0; t < q; t++) {
            double sum = 0, n = 0;
            for (int64_t s = 0; s < n_splits; s++)
                if (!isnan(from[k][s * q + t])) {
                    sum += from[k][s * q + t];
                    n++;
                }
            to[k][t] = n > 0 ? sum / n : NAN;
        }
    memcpy(scratch, out->r, (size_t)q * sizeof *scratch);
    out->median_r = median(scratch, q);
    memcpy(scratch, out->r2, (size_t)q * sizeof *scratch);
    out->median_r2 = median(scratch, q);
    for (int64_t t = 0; t < q; t++) {
        double ceiling = job->opt->ceiling ? job->opt->ceiling[t] : 1;
        scratch[t] = ceiling > 0 ? out->r[t] / ceiling : NAN;
    }
    out->normalised = median(scratch, q);
    memcpy(out->penalty, job->chosen, (size_t)n_splits * sizeof(double));
}

/* ---- all of it ---- */

static int by_value(const void *a, const void *b, void *value)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    int64_t x = ((const int64_t *)value)[i], y = ((const int64_t *)value)[j];
    if (x != y)
        return x < y ? -1 : 1;
    return i < j ? -1 : i > j;
}

/* Numbers groups by ascending id. */
static nissl_status number_groups(predict_job *job, nissl_error *err)
{
    const int64_t *group = job->opt->group;
    int64_t *order = nissl__alloc((size_t)job->n, sizeof *order);
    job->group = nissl__alloc((size_t)job->n, sizeof *job->group);
    if (!order || !job->group) {
        nissl__free(order);
        return NISSL__NO_MEMORY(err, (size_t)job->n * sizeof *order);
    }
    for (int64_t i = 0; i < job->n; i++)
        order[i] = i;
    if (group) {
        int64_t *copy = job->group; /* qsort_r wants it writable */
        memcpy(copy, group, (size_t)job->n * sizeof *copy);
        qsort_r(order, (size_t)job->n, sizeof *order, by_value, copy);
    }
    for (int64_t i = 0; i < job->n; i++) {
        job->n_groups += i == 0 || !group || group[order[i]] != group[order[i - 1]];
        job->group[order[i]] = job->n_groups - 1;
    }
    nissl__free(order);
    return NISSL_OK;
}

static nissl_status check_options(const predict_job *job, nissl_error *err)
{
    const nissl_predict_options *o = job->opt;
    int64_t n_train = (int64_t)(o->train_fraction * (double)job->n_groups + .5);
    if (o->n_splits < 0 || o->n_splits > 100000 || o->n_components < 1 || o->n_selected < 0 ||
        o->n_selected > job->m)
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "n_splits = %d, n_components = %lld, n_selected = %lld; they must be in "
                           "0 .. 100000, 1 or more, and 0 .. %lld units",
                           o->n_splits, (long long)o->n_components, (long long)o->n_selected,
                           (long long)job->m);
    if (o->n_splits > 0 && (n_train < 3 || job->n_groups - n_train < 2))
        return NISSL__FAIL(
            err, NISSL_ERR_SHAPE,
            "%lld samples (or groups), of which a fraction of %g is to learn from: at "
            "least 3 there and 2 for the test are needed",
            (long long)job->n_groups, o->train_fraction);
    if (o->penalty && (o->n_penalties < 1 || o->n_penalties > MOST_PENALTIES))
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "n_penalties = %d is outside 1 .. %d",
                           o->n_penalties, MOST_PENALTIES);
    for (int i = 0; o->penalty && i < o->n_penalties; i++)
        if (!(o->penalty[i] > 0) || isinf(o->penalty[i]) ||
            (i > 0 && o->penalty[i] <= o->penalty[i - 1]))
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "penalty %d is %g; they must ascend and be above 0", i,
                               o->penalty[i]);
    return NISSL_OK;
}

static nissl_status make_work(const predict_job *job, work *w, nissl_error *err)
{
    size_t n = (size_t)job->n, m = (size_t)job->m, q = (size_t)job->q, k = NISSL__MIN(n, m);
    w->row = nissl__alloc(n, sizeof *w->row);
    w->z = nissl__alloc(n * m, sizeof *w->z);
    w->y = nissl__alloc(n * q, sizeof *w->y);
    w->x = nissl__alloc(n * k, sizeof *w->x);
    w->x_test = nissl__alloc(n * k, sizeof *w->x_test);
    w->w = nissl__alloc(k * q, sizeof *w->w);
    w->fitted = nissl__alloc(n * q, sizeof *w->fitted);
    w->length = nissl__alloc(k, sizeof *w->length);
    w->product = nissl__alloc(k * q, sizeof *w->product);
    w->squares = nissl__alloc(q, sizeof *w->squares);
    w->merit = nissl__alloc(m, sizeof *w->merit);
    w->unit = nissl__alloc(m, sizeof *w->unit);
    w->scratch = nissl__alloc(n * q + k * q + n, sizeof *w->scratch);
    w->order = nissl__alloc((size_t)job->n_groups, sizeof *w->order);
    if (!w->row || !w->z || !w->y || !w->x || !w->x_test || !w->w || !w->fitted || !w->length ||
        !w->product || !w->squares || !w->merit || !w->unit || !w->scratch || !w->order)
        return NISSL__NO_MEMORY(err, n * (m + 3 * q) * sizeof(double));
    return NISSL_OK;
}

static void free_work(work *w)
{
    nissl__free(w->row);
    nissl__free(w->z);
    nissl__free(w->y);
    nissl__free(w->x);
    nissl__free(w->x_test);
    nissl__free(w->w);
    nissl__free(w->fitted);
    nissl__free(w->length);
    nissl__free(w->product);
    nissl__free(w->squares);
    nissl__free(w->merit);
    nissl__free(w->unit);
    nissl__free(w->scratch);
    nissl__free(w->order);
}

nissl_status nissl_predict(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                           const nissl_predict_options *opt, nissl_prediction *out,
                           nissl_error *err)
{
    nissl_predict_options o = opt ? *opt : nissl_predict_options_default(ctx);
    predict_job job = {.opt = &o};
    nissl_prediction r = {0};
    double *a = NULL, *b = NULL, *scratch = NULL;
    int n_works = 0;
    int64_t n_splits = NISSL__MAX(o.n_splits, 1);
    nissl_status status = nissl__compare_check(x, y, 3, err);
    if (status != NISSL_OK)
        return status;
    job.n = r.n_samples = x->shape[0];
    job.m = r.n_units = x->shape[1];
    job.q = r.n_targets = y->shape[1];
    r.n_splits = o.n_splits;
    job.n_penalties = o.penalty ? o.n_penalties : 9;
    status = number_groups(&job, err);
    if (status == NISSL_OK)
        status = check_options(&job, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(x, "x", 3, &a, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(y, "y", 3, &b, err);
    if (status != NISSL_OK)
        goto done;
    for (int i = 0; i < job.n_penalties; i++)
        job.penalty[i] = o.penalty ? o.penalty[i] : pow(10, i - 4);
    nissl__center_columns(a, job.n, job.m, NULL); /* changes nothing but rounding */
    nissl__center_columns(b, job.n, job.q, NULL);
    job.x = a;
    job.y = b;
    n_works = nissl_context_threads(ctx);
    job.works = nissl__alloc((size_t)n_works, sizeof *job.works);
    job.r = nissl__alloc((size_t)(n_splits * job.q), sizeof *job.r);
    job.r2 = nissl__alloc((size_t)(n_splits * job.q), sizeof *job.r2);
    job.chosen = nissl__alloc((size_t)n_splits, sizeof *job.chosen);
    scratch = nissl__alloc((size_t)job.q, sizeof *scratch);
    r.r = nissl__alloc((size_t)job.q, sizeof(double));
    r.r2 = nissl__alloc((size_t)job.q, sizeof(double));
    r.penalty = nissl__alloc((size_t)n_splits, sizeof(double));
    if (!job.works || !job.r || !job.r2 || !job.chosen || !scratch || !r.r || !r.r2 || !r.penalty) {
        status = NISSL__NO_MEMORY(err, (size_t)(n_splits * job.q) * sizeof(double));
        goto done;
    }
    for (int i = 0; i < n_works && status == NISSL_OK; i++)
        status = make_work(&job, &job.works[i], err);
    if (status == NISSL_OK)
        status = nissl__parallel(ctx, n_splits, split_task, &job, err);
    if (status != NISSL_OK)
        goto done;
    conclude(&job, n_splits, &r, scratch);
    *out = r;
    r = (nissl_prediction){0};

done:
    for (int i = 0; job.works && i < n_works; i++)
        free_work(&job.works[i]);
    nissl_prediction_free(&r);
    nissl__free(job.works);
    nissl__free(job.group);
    nissl__free(job.r);
    nissl__free(job.r2);
    nissl__free(job.chosen);
    nissl__free(scratch);
    nissl__free(a);
    nissl__free(b);
    return status;
}

nissl_status nissl_ridge_fit(nissl_context *ctx, const nissl_view *x, const nissl_view *y,
                             double penalty, double *weight, nissl_error *err)
{
    double *a = NULL, *b = NULL, *mean = NULL, *target = NULL, *c = NULL, *length = NULL;
    double *product = NULL, *w = NULL;
    int64_t n, m, q, k, r = 0;
    nissl_status status = nissl__compare_check(x, y, 2, err);
    if (status == NISSL_OK && (!(penalty > 0) || isinf(penalty)))
        status = NISSL__FAIL(err, NISSL_ERR_RANGE, "penalty = %g is not above 0", penalty);
    if (status == NISSL_OK)
        status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(y, "y", 2, &b, err);
    if (status != NISSL_OK)
        goto done;
    n = x->shape[0];
    m = x->shape[1];
    q = y->shape[1];
    k = NISSL__MIN(n, m);
    mean = nissl__alloc((size_t)m, sizeof *mean);
    target = nissl__alloc((size_t)q, sizeof *target);
    c = nissl__alloc((size_t)(n * k), sizeof *c);
    length = nissl__alloc((size_t)k, sizeof *length);
    product = nissl__alloc((size_t)(k * q), sizeof *product);
    w = nissl__alloc((size_t)(q * n), sizeof *w);
    if (!mean || !target || !c || !length || !product || !w) {
        status = NISSL__NO_MEMORY(err, (size_t)(n * k) * sizeof *c);
        goto done;
    }
    nissl__center_columns(a, n, m, mean);
    nissl__center_columns(b, n, q, target);
    status = nissl__principal_axes(a, n, m, a, 0, c, c, &r, err);
    if (status != NISSL_OK)
        goto done;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < r; j++)
            length[j] += c[i * r + j] * c[i * r + j];
    nissl__matmul(true, false, r, q, n, 1, c, r, b, q, 0, product, q);
    /* w = V g with V = a^T c / length and g = product / (length + penalty) */
    for (int64_t j = 0; j < r; j++)
        for (int64_t t = 0; t < q; t++)
            product[j * q + t] /= (length[j] + penalty) * length[j];
    nissl__matmul(true, true, q, n, r, 1, product, q, c, r, 0, w, n);
    nissl__matmul(false, false, q, m, n, 1, w, n, a, m, 0, weight, m + 1);
    for (int64_t t = 0; t < q; t++)
        weight[t * (m + 1) + m] = target[t] - nissl__dot(weight + t * (m + 1), mean, m);

done:
    nissl__free(a);
    nissl__free(b);
    nissl__free(mean);
    nissl__free(target);
    nissl__free(c);
    nissl__free(length);
    nissl__free(product);
    nissl__free(w);
    return status;
}

/* ---- reliability ---- */

/* Means of stimuli over the samples of each half. half: [n_samples] 0, 1 or -1 */
static void half_means(const double *a, int64_t n, int64_t m, const int32_t *stimulus,
                       const int8_t *half, int64_t n_stimuli, double *mean, double *count)
{
    memset(mean, 0, (size_t)(2 * n_stimuli * m) * sizeof *mean);
    memset(count, 0, (size_t)(2 * n_stimuli) * sizeof *count);
    for (int64_t i = 0; i < n; i++) {
        if (half[i] < 0)
            continue;
        int64_t at = half[i] * n_stimuli + stimulus[i];
        count[at]++;
        for (int64_t j = 0; j < m; j++)
            mean[at * m + j] += a[i * m + j];
    }
    for (int64_t s = 0; s < 2 * n_stimuli; s++)
        for (int64_t j = 0; j < m && count[s] > 0; j++)
            mean[s * m + j] /= count[s];
}

/* Deals the samples of each stimulus to halves; a stimulus of one sample to none, the odd one of
 * others to none either. */
static int64_t deal(int64_t n, const int32_t *stimulus, int64_t n_stimuli, uint64_t seed, int split,
                    int8_t *half, int64_t *member, int64_t *order)
{
    int64_t used = 0;
    memset(half, -1, (size_t)n);
    for (int64_t s = 0; s < n_stimuli; s++) {
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++)
            if (stimulus[i] == s)
                member[count++] = i;
        if (count < 2)
            continue;
        used++;
        nissl__random_permutation(seed, HALF_NAME | (uint64_t)split << 32 | (uint64_t)s, count,
                                  order);
        for (int64_t i = 0; i < count / 2 * 2; i++)
            half[member[order[i]]] = (int8_t)(i % 2);
    }
    return used;
}

static double half_correlation(const double *mean, const double *count, int64_t n_stimuli,
                               int64_t m)
{
    double sx = 0, sy = 0, xx = 0, yy = 0, xy = 0, n = 0;
    for (int64_t s = 0; s < n_stimuli; s++)
        if (count[s] > 0) {
            sx += mean[s * m];
            sy += mean[(n_stimuli + s) * m];
            n++;
        }
    for (int64_t s = 0; s < n_stimuli; s++)
        if (count[s] > 0) {
            double x = mean[s * m] - sx / n, y = mean[(n_stimuli + s) * m] - sy / n;
            xx += x * x;
            yy += y * y;
            xy += x * y;
        }
    return xy / sqrt(xx * yy);
}

nissl_status nissl_reliability(nissl_context *ctx, const nissl_view *x, const int32_t *stimulus,
                               int64_t n_stimuli, int n_splits, uint64_t seed, double *ceiling,
                               nissl_error *err)
{
    double *a = NULL, *mean = NULL, *count = NULL, *sum = NULL;
    int64_t *member = NULL, *order = NULL, n, m;
    int8_t *half = NULL;
    nissl_status status = nissl__matrix_load(x, "x", 6, &a, err);
    if (status != NISSL_OK)
        return status;
    n = x->shape[0];
    m = x->shape[1];
    if (n_splits < 1 || n_stimuli < 1 || n_stimuli > INT32_MAX / 2) {
        status = NISSL__FAIL(err, NISSL_ERR_RANGE, "n_splits = %d and n_stimuli = %lld", n_splits,
                             (long long)n_stimuli);
        goto done;
    }
    for (int64_t i = 0; i < n; i++)
        if (stimulus[i] < -1 || stimulus[i] >= n_stimuli) {
            status = NISSL__FAIL(err, NISSL_ERR_RANGE,
                                 "stimulus %d of sample %lld is outside -1 .. %lld",
                                 (int)stimulus[i], (long long)i, (long long)(n_stimuli - 1));
            goto done;
        }
    mean = nissl__alloc((size_t)(2 * n_stimuli * m), sizeof *mean);
    count = nissl__alloc((size_t)(2 * n_stimuli), sizeof *count);
    sum = nissl__alloc((size_t)m, sizeof *sum);
    member = nissl__alloc((size_t)n, sizeof *member);
    order = nissl__alloc((size_t)n, sizeof *order);
    half = nissl__alloc((size_t)n, sizeof *half);
    if (!mean || !count || !sum || !member || !order || !half) {
        status = NISSL__NO_MEMORY(err, (size_t)(2 * n_stimuli * m) * sizeof *mean);
        goto done;
    }
    nissl__center_columns(a, n, m, NULL);
    for (int split = 0; split < n_splits; split++) {
        int64_t used = deal(n, stimulus, n_stimuli, seed, split, half, member, order);
        if (used < 3) {
            status = NISSL__FAIL(err, NISSL_ERR_SHAPE,
                                 "%lld of %lld stimuli have repeats; at least 3 are needed",
                                 (long long)used, (long long)n_stimuli);
            goto done;
        }
        half_means(a, n, m, stimulus, half, n_stimuli, mean, count);
        for (int64_t j = 0; j < m; j++) {
            double r = half_correlation(mean + j, count, n_stimuli, m);
            sum[j] += 2 * r / (1 + r) / n_splits;
        }
    }
    for (int64_t j = 0; j < m; j++)
        ceiling[j] = isnan(sum[j]) ? NAN : sqrt(fmax(sum[j], 0));

done:
    nissl__free(a);
    nissl__free(mean);
    nissl__free(count);
    nissl__free(sum);
    nissl__free(member);
    nissl__free(order);
    nissl__free(half);
    return status;
}
