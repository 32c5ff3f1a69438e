/*
 * Similarity of representational dissimilarity matrices.
 *
 * Every similarity but tau and Bures is an inner product of features, made once per RDM: values,
 * ranks, or values and what whitening takes away from their product. For independent noise of equal
 * variance the covariance of squared distances is V = 2 I + B^T B, where B [conditions, pairs] says
 * which conditions a pair has, so a^T V^-1 b = (a^T b - w_a^T w_b) / 2 with w = (2 I + B
 * B^T)^(-1/2) B a. For all pairs 2 I + B B^T = n I + J, whose root is known.
 */
#include "analyses/compare.h"
#include "math/linear.h"
#include "math/matrix.h"
#include "math/rank.h"

static const char *const names[] = {
    [NISSL_RDM_COSINE] = "cosine",
    [NISSL_RDM_PEARSON] = "pearson",
    [NISSL_RDM_SPEARMAN] = "spearman",
    [NISSL_RDM_RHO_A] = "rho-a",
    [NISSL_RDM_TAU_A] = "tau-a",
    [NISSL_RDM_TAU_B] = "tau-b",
    [NISSL_RDM_WHITENED_COSINE] = "whitened-cosine",
    [NISSL_RDM_WHITENED_PEARSON] = "whitened-pearson",
    [NISSL_RDM_BURES] = "bures",
};

const char *nissl_rdm_similarity_name(nissl_rdm_similarity similarity)
{
    size_t n = sizeof names / sizeof *names;
    return (size_t)similarity < n ? names[similarity] : NULL;
}

/* The RDMs of one side: values of the pairs that count, and features. */
typedef struct side {
    const double *rdm;
    int64_t n;
    double *value;   /* [n, n_kept] */
    double *feature; /* [n, width] */
    double *length;  /* [n] product of a feature with itself; trace for Bures */
} side;

typedef struct similarity_job {
    nissl_rdm_similarity kind;
    int64_t n_conditions, n_pairs, n_kept, width;
    int64_t n_minus; /* last features, whose products are subtracted */
    int64_t *kept;   /* [n_kept] pairs */
    double *root;    /* [n_conditions, n_conditions] Cholesky factor of 2 I + B B^T if pairs lack */
    side a, b;
    uint64_t *scratch; /* [workers, n_scratch] */
    int64_t n_scratch;
    double *out; /* [a.n, b.n] */
} similarity_job;

static bool whitened(nissl_rdm_similarity kind)
{
    return kind == NISSL_RDM_WHITENED_COSINE || kind == NISSL_RDM_WHITENED_PEARSON;
}

static void subtract_mean(double *x, int64_t n)
{
    nissl__center_rows(x, n > 0, n);
}

static void whitening_features(const similarity_job *job, const double *value, double *w)
{
    int64_t n = job->n_conditions, pair = 0, at = 0;
    double sum = 0;
    memset(w, 0, (size_t)n * sizeof *w);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++, pair++) {
            if (at >= job->n_kept || job->kept[at] != pair)
                continue;
            w[i] += value[at];
            w[j] += value[at];
            sum += 2 * value[at++];
        }
    if (job->root) {
        nissl__cholesky_forward(n, 1, job->root, n, w, 1);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        w[i] = (w[i] - (1 - sqrt(.5)) / (double)n * sum) / sqrt((double)n);
}

/* Columns of the root of the similarity matrix -H D H / 2; length: its trace. */
static nissl_status bures_features(const similarity_job *job, const double *value, double *root,
                                   double *trace, nissl_error *err)
{
    int64_t n = job->n_conditions;
    double *eigenvalue = NULL;
    nissl_status status = NISSL_OK;
    if (job->n_kept < job->n_pairs) {
        *trace = NAN;
        return NISSL_OK;
    }
    eigenvalue = nissl__alloc((size_t)n, sizeof *eigenvalue);
    if (!eigenvalue)
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *eigenvalue);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++)
            root[i * n + j] = root[j * n + i] = -.5 * *value++;
    nissl__gram_centre(root, n);
    *trace = 0;
    for (int64_t i = 0; i < n; i++)
        *trace += root[i * n + i];
    status = nissl__eigen(n, root, eigenvalue, true, err);
    for (int64_t i = 0; i < n && status == NISSL_OK; i++)
        for (int64_t j = 0; j < n; j++)
            root[i * n + j] *= sqrt(fmax(eigenvalue[i], 0));
    nissl__free(eigenvalue);
    return status;
}

static nissl_status feature_task(void *user, int64_t task, int worker, nissl_error *err)
{
    similarity_job *job = user;
    side *s = task < job->a.n ? &job->a : &job->b;
    int64_t r = task < job->a.n ? task : task - job->a.n, n = job->n_kept;
    double *value = s->value + r * n, *feature = s->feature + r * job->width;
    uint64_t *scratch = job->scratch + worker * job->n_scratch;
    for (int64_t p = 0; p < n; p++)
        value[p] = s->rdm[r * job->n_pairs + job->kept[p]];
    switch (job->kind) {
    case NISSL_RDM_TAU_A:
    case NISSL_RDM_TAU_B: return NISSL_OK;
    case NISSL_RDM_BURES: return bures_features(job, value, feature, &s->length[r], err);
    case NISSL_RDM_SPEARMAN:
    case NISSL_RDM_RHO_A: nissl__rank(value, n, feature, scratch); break;
    default: memcpy(feature, value, (size_t)n * sizeof *feature);
    }
    if (job->kind != NISSL_RDM_COSINE && job->kind != NISSL_RDM_WHITENED_COSINE)
        subtract_mean(feature, n);
    if (whitened(job->kind))
        whitening_features(job, feature, feature + n);
    s->length[r] =
        nissl__dot(feature, feature, n) - nissl__dot(feature + n, feature + n, job->n_minus);
    return NISSL_OK;
}

static nissl_status bures_pair(similarity_job *job, int64_t i, int64_t j, nissl_error *err)
{
    int64_t n = job->n_conditions;
    double sum = 0, traces = job->a.length[i] * job->b.length[j];
    double *c = NULL, *s = NULL, *out = job->out + i * job->b.n + j;
    nissl_status status = NISSL_OK;
    if (!(traces > 0)) {
        *out = NAN;
        return NISSL_OK;
    }
    c = nissl__alloc((size_t)(n * n), sizeof *c);
    s = nissl__alloc((size_t)n, sizeof *s);
    if (!c || !s) {
        status = NISSL__NO_MEMORY(err, (size_t)(n * n) * sizeof *c);
        goto done;
    }
    nissl__matmul(false, true, n, n, n, 1, job->a.feature + i * n * n, n,
                  job->b.feature + j * n * n, n, 0, c, n);
    status = nissl__svd(n, n, c, s, NULL, NULL, err);
    for (int64_t k = 0; k < n; k++)
        sum += s[k];
    *out = sum / sqrt(traces);

done:
    nissl__free(c);
    nissl__free(s);
    return status;
}

static double tau(const similarity_job *job, int64_t i, int64_t j, uint64_t *scratch)
{
    int64_t n = job->n_kept;
    nissl__pairs p = nissl__count_pairs(job->a.value + i * n, job->b.value + j * n, n, scratch);
    double difference = (double)(p.concordant - p.discordant);
    if (job->kind == NISSL_RDM_TAU_A)
        return difference / (double)p.total;
    return difference / (sqrt((double)(p.total - p.tied_x)) * sqrt((double)(p.total - p.tied_y)));
}

static nissl_status pair_task(void *user, int64_t task, int worker, nissl_error *err)
{
    similarity_job *job = user;
    int64_t i = task / job->b.n, j = task % job->b.n, n = job->n_kept;
    uint64_t *scratch = job->scratch + worker * job->n_scratch;
    const double *f = job->a.feature + i * job->width, *g = job->b.feature + j * job->width;
    double product;
    if (job->kind == NISSL_RDM_BURES)
        return bures_pair(job, i, j, err);
    if (job->kind == NISSL_RDM_TAU_A || job->kind == NISSL_RDM_TAU_B) {
        job->out[task] = tau(job, i, j, scratch);
        return NISSL_OK;
    }
    product = nissl__dot(f, g, n) - nissl__dot(f + n, g + n, job->n_minus);
    if (job->kind == NISSL_RDM_RHO_A)
        job->out[task] = 12 * product / ((double)n * (double)n * (double)n - (double)n);
    else /* 0 / 0 = NaN */
        job->out[task] = product / (sqrt(job->a.length[i]) * sqrt(job->b.length[j]));
    return NISSL_OK;
}

/* Which pairs are numbers in all RDMs. */
static void keep_pairs(similarity_job *job)
{
    for (int64_t p = 0; p < job->n_pairs; p++) {
        bool good = true;
        for (int64_t r = 0; r < job->a.n && good; r++)
            good = !isnan(job->a.rdm[r * job->n_pairs + p]);
        for (int64_t r = 0; r < job->b.n && good; r++)
            good = !isnan(job->b.rdm[r * job->n_pairs + p]);
        if (good)
            job->kept[job->n_kept++] = p;
    }
}

/* Cholesky factor of 2 I + B B^T for the pairs that are kept. */
static void make_root(similarity_job *job)
{
    int64_t n = job->n_conditions, pair = 0, at = 0;
    double *k = job->root;
    for (int64_t i = 0; i < n; i++)
        k[i * n + i] = 2;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++, pair++) {
            if (at >= job->n_kept || job->kept[at] != pair)
                continue;
            at++;
            k[i * n + i]++;
            k[j * n + j]++;
            k[j * n + i]++;
        }
    nissl__cholesky(n, k, n); /* its smallest eigenvalue is at least 2 */
}

static bool make_side(similarity_job *job, side *s)
{
    s->value = nissl__alloc((size_t)(s->n * job->n_kept), sizeof(double));
    s->feature = nissl__alloc((size_t)(s->n * job->width), sizeof(double));
    s->length = nissl__alloc((size_t)s->n, sizeof(double));
    return s->value && s->feature && s->length;
}

static void free_side(side *s)
{
    nissl__free(s->value);
    nissl__free(s->feature);
    nissl__free(s->length);
}

nissl_status nissl_rdm_compare(nissl_context *ctx, const double *a, int64_t n_a, const double *b,
                               int64_t n_b, int64_t n_conditions, nissl_rdm_similarity similarity,
                               double *out, nissl_error *err)
{
    similarity_job job = {.kind = similarity,
                          .n_conditions = n_conditions,
                          .n_pairs = n_conditions * (n_conditions - 1) / 2,
                          .a = {.rdm = a, .n = n_a},
                          .b = {.rdm = b, .n = n_b}};
    nissl_status status = NISSL_OK;
    if (n_conditions < 2 || n_a < 1 || n_b < 1 || !nissl_rdm_similarity_name(similarity))
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "%lld and %lld matrices of %lld conditions; at least 1, 1 and 2 are "
                           "needed",
                           (long long)n_a, (long long)n_b, (long long)n_conditions);
    job.kept = nissl__alloc((size_t)job.n_pairs, sizeof *job.kept);
    job.out = nissl__alloc((size_t)(n_a * n_b), sizeof *job.out);
    if (!job.kept || !job.out) {
        status = NISSL__NO_MEMORY(err, (size_t)job.n_pairs * sizeof *job.kept);
        goto done;
    }
    keep_pairs(&job);
    job.n_minus = whitened(similarity) ? n_conditions : 0;
    job.width =
        similarity == NISSL_RDM_BURES ? n_conditions * n_conditions : job.n_kept + job.n_minus;
    job.n_scratch = similarity == NISSL_RDM_BURES ? 0 : 6 * job.n_kept;
    job.scratch =
        nissl__alloc((size_t)(nissl_context_threads(ctx) * job.n_scratch), sizeof *job.scratch);
    if (whitened(similarity) && job.n_kept < job.n_pairs) {
        job.root = nissl__alloc((size_t)(n_conditions * n_conditions), sizeof *job.root);
        if (job.root)
            make_root(&job);
    }
    if (!make_side(&job, &job.a) || !make_side(&job, &job.b) || !job.scratch ||
        (whitened(similarity) && job.n_kept < job.n_pairs && !job.root)) {
        status = NISSL__NO_MEMORY(err, (size_t)((n_a + n_b) * job.width) * sizeof(double));
        goto done;
    }
    status = nissl__parallel(ctx, n_a + n_b, feature_task, &job, err);
    if (status == NISSL_OK)
        status = nissl__parallel(ctx, n_a * n_b, pair_task, &job, err);
    if (status == NISSL_OK)
        memcpy(out, job.out, (size_t)(n_a * n_b) * sizeof *out);

done:
    free_side(&job.a);
    free_side(&job.b);
    nissl__free(job.kept);
    nissl__free(job.out);
    nissl__free(job.root);
    nissl__free(job.scratch);
    return status;
}
