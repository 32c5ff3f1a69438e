/* Shattering dimensionality, cross-condition generalisation, parallelism. */
#include "analyses/population_geometry.h"

#include "analyses/population_decode.h"
#include "math/linear.h"
#include "math/matrix.h"

#define MOST         NISSL_GEOMETRY_MAX_CONDITIONS
#define FOLD_NAME    ((uint64_t)0x6766 << 48) /* "gf": keeps streams apart */
#define PERMUTE_NAME ((uint64_t)0x6770 << 48) /* "gp" */
#define NULL_NAME    ((uint64_t)0x676e << 48) /* "gn" */
#define DRAW_NAME    ((uint64_t)0x6764 << 48) /* "gd" */

nissl_geometry_options nissl_geometry_options_default(const nissl_context *ctx)
{
    return (nissl_geometry_options){.decoder = NISSL_DECODER_SVM,
                                    .n_folds = 5,
                                    .max_dichotomies = 1000,
                                    .seed = nissl_context_seed(ctx)};
}

void nissl_geometry_free(nissl_geometry *geometry)
{
    if (!geometry)
        return;
    nissl__free(geometry->dichotomy);
    nissl__free(geometry->accuracy);
    nissl__free(geometry->accuracy_p);
    nissl__free(geometry->ccgp);
    nissl__free(geometry->ccgp_p);
    nissl__free(geometry->ccgp_null);
    nissl__free(geometry->parallelism);
    nissl__free(geometry->parallelism_p);
    nissl__free(geometry->parallelism_null);
    nissl__free(geometry->margin);
    *geometry = (nissl_geometry){0};
}

/* What one worker needs for a fit. */
typedef struct bench {
    double *train, *test; /* [n, r] */
    int32_t *label, *condition;
    int64_t *row; /* [n] of the test samples */
    double *w, *score, *scratch;
    double *cloud, *x; /* [n, m], [n, min(n, m)] of a random geometry */
    double *k;         /* [conditions, conditions] */
    int64_t *order;    /* [max(n, m)] twice */
} bench;

typedef struct geometry_job {
    const nissl_geometry_options *o;
    nissl_geometry *out;
    nissl__classifier kind;
    const double *a; /* [n, m] centred samples that count */
    const double *x; /* [n, r] coordinates */
    int64_t n, m, r;
    int n_conditions;
    uint64_t present;   /* conditions with samples */
    int32_t *condition; /* [n] */
    int32_t *fold;      /* [n] */
    double penalty;
    bench *benches;
    double *accuracy;                     /* [1 + permutations, dichotomies] */
    double *ccgp_null, *parallelism_null; /* [n_null, dichotomies] */
} geometry_job;

/* ---- one decoder ---- */

/* Fits on the samples that skip does not name, counts those right that it does by condition. */
typedef struct split {
    const double *x;
    int64_t r;
    const int32_t *condition;
    uint64_t side_a;
    int fold;          /* held out, or -1 */
    uint64_t held_out; /* conditions, with fold -1 */
    double penalty;
} split;

static void fit_split(const geometry_job *job, bench *b, const split *s, int64_t *right,
                      int64_t *total)
{
    int64_t n_train = 0, n_test = 0, r = s->r;
    int present[2] = {0};
    for (int64_t i = 0; i < job->n; i++) {
        int32_t c = s->condition[i];
        bool test = s->fold >= 0 ? job->fold[i] == s->fold : s->held_out >> c & 1;
        double *to = test ? b->test + n_test * r : b->train + n_train * r;
        memcpy(to, s->x + i * r, (size_t)r * sizeof *to);
        if (test) {
            b->row[n_test++] = i;
        } else {
            b->label[n_train] = s->side_a >> c & 1;
            present[b->label[n_train++]] = 1;
        }
    }
    memset(b->w, 0, (size_t)(r + 1) * sizeof *b->w);
    if (present[0] && present[1]) {
        nissl__training t = {.x = b->train,
                             .label = b->label,
                             .n = n_train,
                             .r = r,
                             .n_units = job->m,
                             .n_classes = 2,
                             .penalty = s->penalty,
                             .tolerance = 1e-5};
        nissl__classify_fit(job->kind, &t, b->w, b->scratch);
    }
    nissl__classify_scores(b->test, n_test, r, b->w, 1, b->score);
    for (int64_t i = 0; i < n_test; i++) {
        int32_t c = s->condition[b->row[i]];
        total[c]++;
        right[c] += (b->score[i] > 0) == (s->side_a >> c & 1);
    }
}

/* Mean over conditions of a set of the fraction right. */
static double mean_right(uint64_t set, const int64_t *right, const int64_t *total)
{
    double sum = 0, n = 0;
    for (int c = 0; c < MOST; c++)
        if (set >> c & 1 && total[c] > 0) {
            sum += (double)right[c] / (double)total[c];
            n++;
        }
    return n > 0 ? sum / n : NAN;
}

static double decode(const geometry_job *job, bench *b, const int32_t *condition, uint64_t side_a)
{
    int64_t right[MOST] = {0}, total[MOST] = {0};
    split s = {job->x, job->r, condition, side_a, 0, 0, job->penalty};
    for (s.fold = 0; s.fold < job->o->n_folds; s.fold++)
        fit_split(job, b, &s, right, total);
    return mean_right(job->present, right, total);
}

static double generalise(const geometry_job *job, bench *b, const double *x, int64_t r,
                         double penalty, uint64_t side_a)
{
    uint64_t side_b = job->present & ~side_a;
    double sum = 0, n = 0;
    if (__builtin_popcountll(side_a) < 2 || __builtin_popcountll(side_b) < 2)
        return NAN;
    for (int i = 0; i < job->n_conditions; i++)
        for (int j = 0; j < job->n_conditions; j++) {
            int64_t right[MOST] = {0}, total[MOST] = {0};
            split s = {x, r, job->condition, side_a, -1, 1ull << i | 1ull << j, penalty};
            if (!(side_a >> i & 1) || !(side_b >> j & 1))
                continue;
            fit_split(job, b, &s, right, total);
            sum += mean_right(s.held_out, right, total);
            n++;
        }
    return sum / n;
}

/* ---- tasks ---- */

/* Products between mean responses. */
static void mean_products(const geometry_job *job, const double *x, int64_t r, bench *b)
{
    int64_t count[MOST] = {0};
    double *mean = b->train; /* free between fits; n >= 2 conditions */
    memset(mean, 0, (size_t)(job->n_conditions * r) * sizeof *mean);
    for (int64_t i = 0; i < job->n; i++) {
        count[job->condition[i]]++;
        for (int64_t j = 0; j < r; j++)
            mean[job->condition[i] * r + j] += x[i * r + j];
    }
    for (int c = 0; c < job->n_conditions; c++)
        for (int64_t j = 0; j < r && count[c] > 0; j++)
            mean[c * r + j] /= (double)count[c];
    nissl__matmul_self(false, job->n_conditions, r, 1, mean, r, 0, b->k, job->n_conditions);
    nissl__mirror(b->k, job->n_conditions, job->n_conditions);
}

static nissl_status data_task(void *user, int64_t d, int worker, nissl_error *err)
{
    geometry_job *job = user;
    bench *b = &job->benches[worker];
    nissl_geometry *out = job->out;
    uint64_t side_a = out->dichotomy[d];
    mean_products(job, job->x, job->r, b);
    out->parallelism[d] =
        nissl__parallelism(b->k, job->n_conditions, side_a, job->present & ~side_a);
    nissl_status status = nissl__hull_margin(b->k, job->n_conditions, side_a,
                                             job->present & ~side_a, &out->margin[d], err);
    if (status != NISSL_OK)
        return status;
    job->accuracy[d] = decode(job, b, job->condition, side_a);
    out->ccgp[d] = generalise(job, b, job->x, job->r, job->penalty, side_a);
    return NISSL_OK;
}

/* Samples of each fold exchange their conditions. */
static nissl_status permutation_task(void *user, int64_t task, int worker, nissl_error *err)
{
    geometry_job *job = user;
    bench *b = &job->benches[worker];
    int64_t *member = b->order, *order = b->order + job->n;
    for (int f = 0; f < job->o->n_folds; f++) {
        int64_t count = 0;
        for (int64_t i = 0; i < job->n; i++)
            if (job->fold[i] == f)
                member[count++] = i;
        nissl__random_permutation(job->o->seed, PERMUTE_NAME | (uint64_t)task << 16 | (uint64_t)f,
                                  count, order);
        for (int64_t i = 0; i < count; i++)
            b->condition[member[i]] = job->condition[member[order[i]]];
    }
    for (int64_t d = 0; d < job->out->n_dichotomies; d++)
        job->accuracy[(task + 1) * job->out->n_dichotomies + d] =
            decode(job, b, b->condition, job->out->dichotomy[d]);
    return NISSL_OK;
}

/* Units of each condition are permuted. */
static nissl_status null_task(void *user, int64_t task, int worker, nissl_error *err)
{
    geometry_job *job = user;
    bench *b = &job->benches[worker];
    int64_t m = job->m, r = 0, n_d = job->out->n_dichotomies;
    nissl_status status;
    for (int c = 0; c < job->n_conditions; c++) {
        nissl__random_permutation(job->o->seed, NULL_NAME | (uint64_t)task << 16 | (uint64_t)c, m,
                                  b->order);
        for (int64_t i = 0; i < job->n; i++)
            for (int64_t j = 0; j < m && job->condition[i] == c; j++)
                b->cloud[i * m + j] = job->a[i * m + b->order[j]];
    }
    nissl__center_columns(b->cloud, job->n, m, NULL);
    status = nissl__principal_axes(b->cloud, job->n, m, b->cloud, 0, b->x, b->x, &r, err);
    if (status != NISSL_OK)
        return status;
    for (int64_t d = 0; d < n_d; d++) {
        uint64_t side_a = job->out->dichotomy[d];
        mean_products(job, b->x, r, b);
        job->parallelism_null[task * n_d + d] =
            nissl__parallelism(b->k, job->n_conditions, side_a, job->present & ~side_a);
        job->ccgp_null[task * n_d + d] = generalise(job, b, b->x, r, job->penalty, side_a);
    }
    return NISSL_OK;
}

/* ---- dichotomies ---- */

static double choose(int n, int k)
{
    double c = 1;
    for (int i = 0; i < k; i++)
        c = c * (n - i) / (i + 1);
    return c + .5;
}

/* Sets of half the conditions that have samples; of an even number those with the first. */
static nissl_status list_dichotomies(geometry_job *job, nissl_error *err)
{
    const nissl_geometry_options *o = job->o;
    nissl_geometry *out = job->out;
    int which[MOST], n = 0, half, fixed;
    int64_t total, count = 0;
    for (int c = 0; c < job->n_conditions; c++)
        if (job->present >> c & 1)
            which[n++] = c;
    half = n / 2;
    fixed = n % 2 == 0;
    total = o->dichotomy ? o->n_dichotomies : (int64_t)choose(n - fixed, half - fixed);
    out->n_dichotomies = o->dichotomy ? total : NISSL__MIN(total, o->max_dichotomies);
    out->dichotomy = nissl__alloc((size_t)out->n_dichotomies, sizeof *out->dichotomy);
    if (!out->dichotomy)
        return NISSL__NO_MEMORY(err, (size_t)out->n_dichotomies * sizeof *out->dichotomy);
    if (o->dichotomy) {
        for (int64_t d = 0; d < total; d++) {
            out->dichotomy[d] = o->dichotomy[d] & job->present;
            if (!out->dichotomy[d] || out->dichotomy[d] == job->present ||
                o->dichotomy[d] >> job->n_conditions)
                return NISSL__FAIL(err, NISSL_ERR_RANGE,
                                   "dichotomy %lld (%llx) has a side without samples or names more "
                                   "than %d conditions",
                                   (long long)d, (unsigned long long)o->dichotomy[d],
                                   job->n_conditions);
        }
        return NISSL_OK;
    }
    if (total <= o->max_dichotomies) {
        for (uint64_t set = 0; set < 1ull << n; set++) {
            uint64_t chosen = 0;
            if (__builtin_popcountll(set) != half || (fixed && !(set & 1)))
                continue;
            for (int i = 0; i < n; i++)
                chosen |= (set >> i & 1) << which[i];
            out->dichotomy[count++] = chosen;
        }
        return NISSL_OK;
    }
    for (uint64_t draw = 0; count < out->n_dichotomies; draw++) {
        int64_t order[MOST];
        uint64_t chosen = fixed ? 1ull << which[0] : 0;
        bool known = false;
        nissl__random_permutation(o->seed, DRAW_NAME | draw, n - fixed, order);
        for (int i = 0; i < half - fixed; i++)
            chosen |= 1ull << which[order[i] + fixed];
        for (int64_t d = 0; d < count && !known; d++)
            known = out->dichotomy[d] == chosen;
        if (!known)
            out->dichotomy[count++] = chosen;
    }
    return NISSL_OK;
}

/* ---- setting up ---- */

static nissl_status gather(geometry_job *job, const int32_t *condition, int64_t n_samples,
                           double *a, nissl_error *err)
{
    int64_t count[MOST] = {0}, dealt[MOST] = {0}, *order, *member;
    nissl_status status = NISSL_OK;
    for (int64_t i = 0; i < n_samples; i++) {
        if (condition[i] < -1 || condition[i] >= job->n_conditions)
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "condition %d of sample %lld is outside -1 .. %d", (int)condition[i],
                               (long long)i, job->n_conditions - 1);
        if (condition[i] < 0)
            continue;
        memmove(a + job->n * job->m, a + i * job->m, (size_t)job->m * sizeof *a);
        job->condition[job->n++] = condition[i];
        count[condition[i]]++;
        job->present |= 1ull << condition[i];
    }
    if (__builtin_popcountll(job->present) < 2)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%d of %d conditions have samples; 2 are needed",
                           __builtin_popcountll(job->present), job->n_conditions);
    order = nissl__alloc((size_t)job->n, sizeof *order);
    member = nissl__alloc((size_t)job->n, sizeof *member);
    if (!order || !member)
        status = NISSL__NO_MEMORY(err, (size_t)job->n * sizeof *order);
    for (int c = 0; c < job->n_conditions && status == NISSL_OK; c++) {
        if (count[c] == 1)
            status = NISSL__FAIL(err, NISSL_ERR_SHAPE,
                                 "condition %d has 1 sample; 2 are needed to learn from one and "
                                 "test the other",
                                 c);
        for (int64_t i = 0; i < job->n && status == NISSL_OK; i++)
            if (job->condition[i] == c)
                member[dealt[c]++] = i;
        if (status == NISSL_OK)
            nissl__random_permutation(job->o->seed, FOLD_NAME | (uint64_t)c, count[c], order);
        for (int64_t i = 0; i < count[c] && status == NISSL_OK; i++)
            job->fold[member[order[i]]] = (int32_t)(i % job->o->n_folds);
    }
    nissl__free(order);
    nissl__free(member);
    return status;
}

static nissl_status make_bench(const geometry_job *job, bench *b, nissl_error *err)
{
    size_t n = (size_t)job->n, m = (size_t)job->m, k = NISSL__MIN(n, m);
    size_t conditions = (size_t)job->n_conditions, rows = NISSL__MAX(n, conditions);
    bool null = job->o->n_null > 0;
    b->train = nissl__alloc(rows * k, sizeof *b->train);
    b->test = nissl__alloc(n * k, sizeof *b->test);
    b->label = nissl__alloc(n, sizeof *b->label);
    b->condition = nissl__alloc(n, sizeof *b->condition);
    b->row = nissl__alloc(n, sizeof *b->row);
    b->w = nissl__alloc(k + 1, sizeof *b->w);
    b->score = nissl__alloc(n, sizeof *b->score);
    b->scratch = nissl__alloc((size_t)nissl__classify_scratch(job->kind, job->n, (int64_t)k, 2),
                              sizeof *b->scratch);
    b->cloud = nissl__alloc(null ? n * m : 1, sizeof *b->cloud);
    b->x = nissl__alloc(null ? n * k : 1, sizeof *b->x);
    b->k = nissl__alloc(conditions * conditions, sizeof *b->k);
    b->order = nissl__alloc(2 * NISSL__MAX(n, m), sizeof *b->order);
    if (!b->train || !b->test || !b->label || !b->condition || !b->row || !b->w || !b->score ||
        !b->scratch || !b->cloud || !b->x || !b->k || !b->order)
        return NISSL__NO_MEMORY(err, n * m * sizeof(double));
    return NISSL_OK;
}

static void free_bench(bench *b)
{
    nissl__free(b->train);
    nissl__free(b->test);
    nissl__free(b->label);
    nissl__free(b->condition);
    nissl__free(b->row);
    nissl__free(b->w);
    nissl__free(b->score);
    nissl__free(b->scratch);
    nissl__free(b->cloud);
    nissl__free(b->x);
    nissl__free(b->k);
    nissl__free(b->order);
}

static nissl_status make_results(geometry_job *job, nissl_error *err)
{
    nissl_geometry *g = job->out;
    size_t d = (size_t)g->n_dichotomies;
    double **const each[] = {&g->accuracy,      &g->accuracy_p,       &g->ccgp,
                             &g->ccgp_p,        &g->ccgp_null,        &g->parallelism,
                             &g->parallelism_p, &g->parallelism_null, &g->margin};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (!(*each[i] = nissl__alloc(d, sizeof(double))))
            return NISSL__NO_MEMORY(err, d * sizeof(double));
    job->accuracy = nissl__alloc(d * (size_t)(1 + job->o->n_permutations), sizeof(double));
    job->ccgp_null = nissl__alloc(d * (size_t)job->o->n_null, sizeof(double));
    job->parallelism_null = nissl__alloc(d * (size_t)job->o->n_null, sizeof(double));
    if (!job->accuracy || !job->ccgp_null || !job->parallelism_null)
        return NISSL__NO_MEMORY(err, d * (size_t)(1 + job->o->n_permutations) * sizeof(double));
    return NISSL_OK;
}

/* ---- summing up ---- */

/* Share of n values, stride apart, that are at least as large; and their mean. */
static double upper_share(const double *null, int n, int64_t stride, double value, double *mean)
{
    double sum = 0;
    int as_large = 0;
    for (int i = 0; i < n; i++) {
        sum += null[i * stride];
        as_large += null[i * stride] >= value - 1e-12;
    }
    if (mean)
        *mean = n > 0 ? sum / n : NAN;
    return n > 0 && !isnan(value) ? (1. + as_large) / (1. + n) : NAN;
}

static void conclude(geometry_job *job)
{
    nissl_geometry *g = job->out;
    double scale = 0, n_pairs = 0;
    bench *b = &job->benches[0];
    mean_products(job, job->x, job->r, b);
    for (int i = 0; i < job->n_conditions; i++)
        for (int j = 0; j < i; j++)
            if (job->present >> i & job->present >> j & 1) {
                int n = job->n_conditions;
                scale += sqrt(fmax(b->k[i * n + i] + b->k[j * n + j] - 2 * b->k[i * n + j], 0));
                n_pairs++;
            }
    scale /= n_pairs;
    for (int64_t d = 0; d < g->n_dichotomies; d++) {
        g->accuracy[d] = job->accuracy[d];
        g->shattering += g->accuracy[d] / (double)g->n_dichotomies;
        g->separable += (g->margin[d] > 1e-6 * scale) / (double)g->n_dichotomies;
        g->accuracy_p[d] = upper_share(job->accuracy + g->n_dichotomies + d, job->o->n_permutations,
                                       g->n_dichotomies, g->accuracy[d], NULL);
        g->ccgp_p[d] = upper_share(job->ccgp_null + d, job->o->n_null, g->n_dichotomies, g->ccgp[d],
                                   &g->ccgp_null[d]);
        g->parallelism_p[d] =
            upper_share(job->parallelism_null + d, job->o->n_null, g->n_dichotomies,
                        g->parallelism[d], &g->parallelism_null[d]);
    }
}

static nissl_status check_options(const nissl_geometry_options *o, int64_t n_conditions,
                                  nissl_error *err)
{
    if (n_conditions < 2 || n_conditions > MOST)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%lld conditions are outside 2 .. %d",
                           (long long)n_conditions, MOST);
    if (o->decoder != NISSL_DECODER_SVM && o->decoder != NISSL_DECODER_LOGISTIC)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "decoder %d is neither logistic nor the SVM",
                           (int)o->decoder);
    if (!(o->penalty >= 0) || isinf(o->penalty) || o->n_folds < 2 || o->n_folds > 1000 ||
        o->max_dichotomies < 1 || o->n_permutations < 0 || o->n_null < 0 ||
        o->n_permutations > 1000000 || o->n_null > 1000000 ||
        (o->dichotomy && o->n_dichotomies < 1))
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "penalty = %g, n_folds = %d, max_dichotomies = %lld, n_permutations = "
                           "%d, n_null = %d: one is out of range",
                           o->penalty, o->n_folds, (long long)o->max_dichotomies, o->n_permutations,
                           o->n_null);
    return NISSL_OK;
}

nissl_status nissl_geometry_compute(nissl_context *ctx, const nissl_view *x,
                                    const int32_t *condition, int64_t n_conditions,
                                    const nissl_geometry_options *opt, nissl_geometry *out,
                                    nissl_error *err)
{
    nissl_geometry_options o = opt ? *opt : nissl_geometry_options_default(ctx);
    nissl_geometry r = {0};
    geometry_job job = {.o = &o, .out = &r, .kind = nissl__decoder_kind(o.decoder)};
    double *a = NULL, *c = NULL;
    int threads = nissl_context_threads(ctx);
    int64_t k;
    nissl_status status = check_options(&o, n_conditions, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status != NISSL_OK)
        return status;
    job.n_conditions = (int)n_conditions;
    job.m = r.n_units = x->shape[1];
    r.n_conditions = n_conditions;
    job.condition = nissl__alloc((size_t)x->shape[0], sizeof *job.condition);
    job.fold = nissl__alloc((size_t)x->shape[0], sizeof *job.fold);
    if (!job.condition || !job.fold) {
        status = NISSL__NO_MEMORY(err, (size_t)x->shape[0] * sizeof *job.fold);
        goto done;
    }
    status = gather(&job, condition, x->shape[0], a, err);
    if (status == NISSL_OK)
        status = list_dichotomies(&job, err);
    if (status == NISSL_OK)
        status = make_results(&job, err);
    if (status != NISSL_OK)
        goto done;
    r.n_samples = job.n;
    k = NISSL__MIN(job.n, job.m);
    c = nissl__alloc((size_t)(job.n * k), sizeof *c);
    job.benches = nissl__alloc((size_t)threads, sizeof *job.benches);
    if (!c || !job.benches) {
        status = NISSL__NO_MEMORY(err, (size_t)(job.n * k) * sizeof *c);
        goto done;
    }
    for (int i = 0; i < threads && status == NISSL_OK; i++)
        status = make_bench(&job, &job.benches[i], err);
    if (status != NISSL_OK)
        goto done;
    nissl__center_columns(a, job.n, job.m, NULL);
    status = nissl__principal_axes(a, job.n, job.m, a, 0, c, c, &job.r, err);
    if (status != NISSL_OK)
        goto done;
    job.a = a;
    job.x = c;
    job.penalty = o.penalty > 0
                      ? o.penalty
                      : fmax(.01 * nissl__dot(c, c, job.n * job.r) / (double)job.n, 1e-300);
    status = nissl__parallel(ctx, r.n_dichotomies, data_task, &job, err);
    if (status == NISSL_OK)
        status = nissl__parallel(ctx, o.n_permutations, permutation_task, &job, err);
    if (status == NISSL_OK)
        status = nissl__parallel(ctx, o.n_null, null_task, &job, err);
    if (status != NISSL_OK)
        goto done;
    conclude(&job);
    *out = r;
    r = (nissl_geometry){0};

done:
    for (int i = 0; job.benches && i < threads; i++)
        free_bench(&job.benches[i]);
    nissl_geometry_free(&r);
    nissl__free(job.benches);
    nissl__free(job.condition);
    nissl__free(job.fold);
    nissl__free(job.accuracy);
    nissl__free(job.ccgp_null);
    nissl__free(job.parallelism_null);
    nissl__free(a);
    nissl__free(c);
    return status;
}
