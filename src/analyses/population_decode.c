/*
 * Decoding with nested cross-validation.
 *
 * The inner folds are the other outer folds, so that a classifier that has seen neither fold k nor
 * l chooses for both, and so that labels exchanged within folds leave every split as it was:
 * samples are then rotated once per split for all permutations.
 */
#include "analyses/population_decode.h"
#include "math/linear.h"
#include "math/matrix.h"

#define MOST_PENALTIES 64
#define MOST_FOLDS     1000
#define TOLERANCE      1e-5

nissl_decode_options nissl_decode_options_default(const nissl_context *ctx)
{
    return (nissl_decode_options){
        .n_folds = 5, .standardise = true, .seed = nissl_context_seed(ctx)};
}

void nissl_decoding_free(nissl_decoding *decoding)
{
    if (!decoding)
        return;
    nissl__free(decoding->null);
    nissl__free(decoding->fold_balanced);
    nissl__free(decoding->fold_penalty);
    nissl__free(decoding->fold);
    nissl__free(decoding->predicted);
    nissl__free(decoding->confusion);
    *decoding = (nissl_decoding){0};
}

nissl__classifier nissl__decoder_kind(nissl_decoder decoder)
{
    switch (decoder) {
    case NISSL_DECODER_RIDGE: return NISSL__RIDGE;
    case NISSL_DECODER_LDA: return NISSL__LDA;
    case NISSL_DECODER_SVM: return NISSL__HINGE;
    default: return NISSL__LOGISTIC;
    }
}

/* What one worker has of a split. */
typedef struct bench {
    double *z;     /* [n, m] standardised: training samples, then the others */
    double *x, *y; /* [n_train, r], [n_test, r] coordinates */
    int64_t *row;  /* [n] samples of the split in that order */
    int64_t n_train, n_test, r, n_units;
    double scale;    /* mean squared length of a training sample */
    int32_t *label;  /* [n] of a permutation */
    int32_t *train;  /* [n] labels in the order of the split */
    int64_t *unit;   /* [m] selected */
    double *merit;   /* [m] */
    double *moments; /* [(classes + 2) m] */
    double *w;       /* [rows, n + 1] */
    double *score;   /* [n, rows] */
    double *scratch;
    int64_t *shuffle; /* [3 n_groups] */
} bench;

typedef struct decode_job {
    const nissl_decode_options *opt;
    const nissl__folds *folds;
    nissl__classifier kind;
    const double *a; /* [n, m] samples that count */
    int64_t m;
    int n_penalties, rows;
    double penalty[MOST_PENALTIES]; /* or multiples of the scale if automatic */
    bool automatic;
    int64_t n_permutations, per_chunk, n_chunks; /* permutation 0 is the data as it is */
    bench *benches;
    double *inner; /* [permutations, folds (held out), folds (judged), penalties] balanced */
    /* of the outer folds */
    double *chosen;     /* [permutations, folds] */
    double *balanced;   /* [permutations, folds] */
    double *margin;     /* [permutations, folds] summed */
    int64_t *confusion; /* [permutations, folds, classes, classes] */
    int32_t *predicted; /* [n] */
} decode_job;

/* ---- a split ---- */

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

/* The units with the largest F over classes on training samples: that is, the largest share of
 * squares between classes. */
static void select_units(const decode_job *job, bench *b)
{
    int64_t m = job->m;
    int k = job->folds->n_classes;
    double *sum = b->moments, *squares = sum + k * m, *total = squares + m;
    memset(b->moments, 0, (size_t)((k + 2) * m) * sizeof *sum);
    for (int64_t i = 0; i < b->n_train; i++) {
        const double *row = job->a + b->row[i] * m;
        double *of_class = sum + b->train[i] * m;
        for (int64_t j = 0; j < m; j++) {
            of_class[j] += row[j];
            squares[j] += row[j] * row[j];
        }
    }
    memset(b->merit, 0, (size_t)m * sizeof *b->merit);
    for (int c = 0; c < k; c++) {
        int64_t n = 0;
        for (int64_t i = 0; i < b->n_train; i++)
            n += b->train[i] == c;
        for (int64_t j = 0; j < m && n > 0; j++) {
            total[j] += sum[c * m + j];
            b->merit[j] += sum[c * m + j] * sum[c * m + j] / (double)n;
        }
    }
    for (int64_t j = 0; j < m; j++) {
        double mean = total[j] * total[j] / (double)b->n_train, spread = squares[j] - mean;
        b->merit[j] = spread > 1e-12 * squares[j] ? (b->merit[j] - mean) / spread : -1;
        b->unit[j] = j;
    }
    qsort_r(b->unit, (size_t)m, sizeof *b->unit, descending, b->merit);
    qsort(b->unit, (size_t)job->opt->n_selected, sizeof *b->unit, ascending);
}

/* Fills z with means, and deviations if asked, of training samples removed. */
static void standardise(const decode_job *job, bench *b)
{
    int64_t m = job->m, p = b->n_units, n = b->n_train + b->n_test;
    double *mean = b->moments, *squares = mean + p;
    bool all = job->opt->n_selected == 0;
    for (int64_t i = 0; i < n; i++) {
        const double *row = job->a + b->row[i] * m;
        double *z = b->z + i * p;
        if (all)
            memcpy(z, row, (size_t)p * sizeof *z);
        else
            for (int64_t j = 0; j < p; j++)
                z[j] = row[b->unit[j]];
    }
    memset(mean, 0, (size_t)(2 * p) * sizeof *mean);
    for (int64_t i = 0; i < b->n_train; i++)
        for (int64_t j = 0; j < p; j++)
            mean[j] += b->z[i * p + j];
    for (int64_t j = 0; j < p; j++)
        mean[j] /= (double)b->n_train;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < p; j++)
            b->z[i * p + j] -= mean[j];
    for (int64_t i = 0; i < b->n_train; i++)
        for (int64_t j = 0; j < p; j++)
            squares[j] += b->z[i * p + j] * b->z[i * p + j];
    for (int64_t j = 0; j < p && job->opt->standardise; j++) {
        /* of a unit that is constant but for rounding, nothing is left */
        double sd = sqrt(squares[j] / (double)b->n_train);
        mean[j] = sd > 1e-12 * fabs(mean[j]) ? 1 / sd : 0;
    }
    for (int64_t i = 0; i < n && job->opt->standardise; i++)
        for (int64_t j = 0; j < p; j++)
            b->z[i * p + j] *= mean[j];
}

/* Training samples are those outside folds k and l. */
static void list_rows(const decode_job *job, bench *b, int k, int l)
{
    const nissl__folds *f = job->folds;
    b->n_train = b->n_test = 0;
    for (int64_t i = 0; i < f->n; i++)
        if (f->fold[i] != k && f->fold[i] != l)
            b->row[b->n_train++] = i;
    for (int64_t i = 0; i < f->n; i++)
        if (f->fold[i] == k || f->fold[i] == l)
            b->row[b->n_train + b->n_test++] = i;
}

static nissl_status prepare(const decode_job *job, bench *b, nissl_error *err)
{
    nissl_status status;
    b->n_units = job->m;
    if (job->opt->n_selected > 0) {
        select_units(job, b);
        b->n_units = job->opt->n_selected;
    }
    standardise(job, b);
    status = nissl__principal_axes(b->z, b->n_train, b->n_units, b->z + b->n_train * b->n_units,
                                   b->n_test, b->x, b->y, &b->r, err);
    b->scale = nissl__dot(b->x, b->x, b->n_train * b->r) / (double)b->n_train;
    return status;
}

/* Labels of a permutation, in the order of the split; rotates samples when that is due. */
static nissl_status begin(const decode_job *job, bench *b, int64_t permutation, bool first,
                          nissl_error *err)
{
    nissl__folds_permute(job->folds, job->opt->seed, permutation, b->label, b->shuffle);
    for (int64_t i = 0; i < b->n_train + b->n_test; i++)
        b->train[i] = b->label[b->row[i]];
    return first || job->opt->n_selected > 0 ? prepare(job, b, err) : NISSL_OK;
}

static double penalty_of(const decode_job *job, const bench *b, int index)
{
    return job->penalty[index] * (job->automatic && job->kind != NISSL__LDA ? b->scale : 1);
}

/* w: where to start. A silent problem (r = 0) keeps intercepts alone. */
static void fit(const decode_job *job, bench *b, double penalty)
{
    nissl__training t = {.x = b->x,
                         .label = b->train,
                         .n = b->n_train,
                         .r = b->r,
                         .n_units = b->n_units,
                         .n_classes = job->folds->n_classes,
                         .penalty = penalty,
                         .tolerance = TOLERANCE};
    if (!nissl__classify_fit(job->kind, &t, b->w, b->scratch) && job->kind == NISSL__LDA)
        memset(b->w, 0, (size_t)(job->rows * (b->r + 1)) * sizeof *b->w);
    nissl__classify_scores(b->y, b->n_test, b->r, b->w, job->rows, b->score);
}

/* Held-out samples of one fold: mean recall of the classes there; confusion may be NULL. */
static double judge(const decode_job *job, const bench *b, int fold, int64_t *confusion,
                    double *margin_sum, int32_t *predicted)
{
    int k = job->folds->n_classes, n_present = 0;
    double recall = 0, margin;
    int64_t right, total;
    for (int c = 0; c < k; c++) {
        right = total = 0;
        for (int64_t i = 0; i < b->n_test; i++) {
            int64_t row = b->row[b->n_train + i];
            int32_t truth = b->train[b->n_train + i], guess;
            if (truth != c || job->folds->fold[row] != fold)
                continue;
            guess = nissl__classify_decide(b->score + i * job->rows, job->rows, truth, &margin);
            right += guess == truth;
            total++;
            if (confusion)
                confusion[truth * k + guess]++;
            if (margin_sum)
                *margin_sum += margin;
            if (predicted)
                predicted[row] = guess;
        }
        n_present += total > 0;
        recall += total > 0 ? (double)right / (double)total : 0;
    }
    return n_present > 0 ? recall / n_present : NAN;
}

/* ---- choosing penalties ---- */

static nissl_status inner_task(void *user, int64_t task, int worker, nissl_error *err)
{
    decode_job *job = user;
    bench *b = &job->benches[worker];
    int64_t split = task / job->n_chunks, from = task % job->n_chunks * job->per_chunk;
    int64_t to = NISSL__MIN(from + job->per_chunk, job->n_permutations + 1);
    int n_folds = job->folds->n_folds, k = 0, l = 1;
    for (int64_t s = 0; s < split; s++) /* the split-th pair k < l */
        if (++l == n_folds)
            l = ++k + 1;
    list_rows(job, b, k, l);
    for (int64_t p = from; p < to; p++) {
        nissl_status status = begin(job, b, p, p == from, err);
        double *inner = job->inner + p * n_folds * n_folds * job->n_penalties;
        if (status != NISSL_OK)
            return status;
        memset(b->w, 0, (size_t)(job->rows * (b->r + 1)) * sizeof *b->w);
        for (int i = job->n_penalties - 1; i >= 0; i--) { /* from the largest, each a start */
            fit(job, b, penalty_of(job, b, i));
            inner[(k * n_folds + l) * job->n_penalties + i] = judge(job, b, l, NULL, NULL, NULL);
            inner[(l * n_folds + k) * job->n_penalties + i] = judge(job, b, k, NULL, NULL, NULL);
        }
    }
    return NISSL_OK;
}

/* The best penalty for a held-out fold, the largest of equals. */
static int choose(const decode_job *job, int64_t permutation, int fold)
{
    int n_folds = job->folds->n_folds, best = job->n_penalties - 1;
    double top = -1;
    for (int i = job->n_penalties - 1; i >= 0; i--) {
        double sum = 0, n = 0;
        for (int l = 0; l < n_folds; l++) {
            double value =
                job->inner[((permutation * n_folds + fold) * n_folds + l) * job->n_penalties + i];
            if (l != fold && !isnan(value)) {
                sum += value;
                n++;
            }
        }
        if (n > 0 && sum / n > top + 1e-12) {
            top = sum / n;
            best = i;
        }
    }
    return best;
}

/* ---- held-out folds ---- */

static nissl_status outer_task(void *user, int64_t task, int worker, nissl_error *err)
{
    decode_job *job = user;
    bench *b = &job->benches[worker];
    int64_t from = task % job->n_chunks * job->per_chunk;
    int64_t to = NISSL__MIN(from + job->per_chunk, job->n_permutations + 1);
    int fold = (int)(task / job->n_chunks), n_folds = job->folds->n_folds;
    int k = job->folds->n_classes;
    list_rows(job, b, fold, fold);
    for (int64_t p = from; p < to; p++) {
        nissl_status status = begin(job, b, p, p == from, err);
        int64_t at = p * n_folds + fold;
        if (status != NISSL_OK)
            return status;
        memset(b->w, 0, (size_t)(job->rows * (b->r + 1)) * sizeof *b->w);
        job->chosen[at] = penalty_of(job, b, job->inner ? choose(job, p, fold) : 0);
        fit(job, b, job->chosen[at]);
        job->balanced[at] = judge(job, b, fold, job->confusion + at * k * k, &job->margin[at],
                                  p == 0 ? job->predicted : NULL);
    }
    return NISSL_OK;
}

/* ---- summing up ---- */

/* Over folds: balanced accuracy, and the mean margin that orders equals. */
static void add_up(const decode_job *job, int64_t permutation, int64_t *confusion, double *balanced,
                   double *margin)
{
    int k = job->folds->n_classes, n_folds = job->folds->n_folds;
    memset(confusion, 0, (size_t)(k * k) * sizeof *confusion);
    *balanced = *margin = 0;
    for (int f = 0; f < n_folds; f++) {
        const int64_t *from = job->confusion + (permutation * n_folds + f) * k * k;
        for (int i = 0; i < k * k; i++)
            confusion[i] += from[i];
        *margin += job->margin[permutation * n_folds + f];
    }
    for (int c = 0; c < k; c++) {
        int64_t total = 0;
        for (int d = 0; d < k; d++)
            total += confusion[c * k + d];
        *balanced += (double)confusion[c * k + c] / (double)total / k;
    }
}

static nissl_status conclude(const decode_job *job, int64_t n_samples, int64_t n_classes,
                             nissl_decoding *r, nissl_error *err)
{
    const nissl__folds *f = job->folds;
    int k = f->n_classes;
    int64_t right = 0, better = 0;
    double margin = 0, other = 0, sum = 0;
    int64_t *confusion = nissl__alloc((size_t)(k * k), sizeof *confusion);
    r->n_samples = f->n;
    r->n_units = job->m;
    r->n_classes = n_classes;
    r->n_folds = f->n_folds;
    r->n_permutations = (int)job->n_permutations;
    r->null = nissl__alloc((size_t)job->n_permutations, sizeof(double));
    r->fold_balanced = nissl__alloc((size_t)f->n_folds, sizeof(double));
    r->fold_penalty = nissl__alloc((size_t)f->n_folds, sizeof(double));
    r->fold = nissl__alloc((size_t)n_samples, sizeof(int32_t));
    r->predicted = nissl__alloc((size_t)n_samples, sizeof(int32_t));
    r->confusion = nissl__alloc((size_t)(n_classes * n_classes), sizeof(int64_t));
    if (!confusion || !r->null || !r->fold_balanced || !r->fold_penalty || !r->fold ||
        !r->predicted || !r->confusion) {
        nissl__free(confusion);
        return NISSL__NO_MEMORY(err, (size_t)(n_classes * n_classes) * sizeof(int64_t));
    }
    for (int64_t p = 1; p <= job->n_permutations; p++) /* the data last: confusion stays */
        add_up(job, p, confusion, &r->null[p - 1], &other);
    add_up(job, 0, confusion, &r->balanced, &margin);
    for (int i = 0; i < k; i++) {
        right += confusion[i * k + i];
        for (int j = 0; j < k; j++)
            r->confusion[f->class_of[i] * n_classes + f->class_of[j]] = confusion[i * k + j];
    }
    r->accuracy = (double)right / (double)f->n;
    for (int64_t p = 1; p <= job->n_permutations; p++) {
        sum += r->null[p - 1];
        if (r->null[p - 1] < r->balanced - 1e-9)
            continue;
        add_up(job, p, confusion, &r->null[p - 1], &other);
        better += r->null[p - 1] > r->balanced + 1e-9 || other >= margin;
    }
    r->chance = job->n_permutations ? sum / (double)job->n_permutations : NAN;
    r->p = job->n_permutations ? (double)(1 + better) / (double)(1 + job->n_permutations) : NAN;
    memcpy(r->fold_balanced, job->balanced, (size_t)f->n_folds * sizeof(double));
    memcpy(r->fold_penalty, job->chosen, (size_t)f->n_folds * sizeof(double));
    for (int64_t i = 0; i < n_samples; i++)
        r->fold[i] = r->predicted[i] = -1;
    for (int64_t i = 0; i < f->n; i++) {
        r->fold[f->sample[i]] = f->fold[i];
        r->predicted[f->sample[i]] = f->class_of[job->predicted[i]];
    }
    nissl__free(confusion);
    return NISSL_OK;
}

/* ---- all of it ---- */

static nissl_status check_options(const nissl_decode_options *o, int64_t m, nissl_error *err)
{
    if ((unsigned)o->decoder > NISSL_DECODER_SVM)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "there is no decoder %d", (int)o->decoder);
    if (o->n_folds < 2 || o->n_folds > MOST_FOLDS)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "n_folds = %d is outside 2 .. %d", o->n_folds,
                           MOST_FOLDS);
    if (o->n_selected < 0 || o->n_selected > m)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "n_selected = %lld is outside 0 .. %lld units",
                           (long long)o->n_selected, (long long)m);
    if (o->n_permutations < 0 || o->n_permutations > 1000000)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "n_permutations = %d is outside 0 .. 1000000",
                           o->n_permutations);
    if (o->penalty && (o->n_penalties < 1 || o->n_penalties > MOST_PENALTIES))
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "n_penalties = %d is outside 1 .. %d",
                           o->n_penalties, MOST_PENALTIES);
    for (int i = 0; o->penalty && i < o->n_penalties; i++)
        if (!(o->penalty[i] > 0) || isinf(o->penalty[i]) ||
            (o->decoder == NISSL_DECODER_LDA && o->penalty[i] > 1) ||
            (i > 0 && o->penalty[i] <= o->penalty[i - 1]))
            return NISSL__FAIL(
                err, NISSL_ERR_RANGE, "penalty %d is %g; they must ascend and be above 0%s", i,
                o->penalty[i], o->decoder == NISSL_DECODER_LDA ? ", shrinkages at most 1" : "");
    return NISSL_OK;
}

static void fill_penalties(decode_job *job)
{
    static const double shrinkage[] = {.001, .01, .1, .3, .6, .9, 1};
    const nissl_decode_options *o = job->opt;
    job->automatic = !o->penalty;
    if (o->penalty) {
        job->n_penalties = o->n_penalties;
        memcpy(job->penalty, o->penalty, (size_t)o->n_penalties * sizeof(double));
    } else if (job->kind == NISSL__LDA) {
        job->n_penalties = sizeof shrinkage / sizeof *shrinkage;
        memcpy(job->penalty, shrinkage, sizeof shrinkage);
    } else {
        job->n_penalties = 8;
        for (int i = 0; i < 8; i++)
            job->penalty[i] = pow(10, i - 4);
    }
}

static nissl_status make_bench(const decode_job *job, bench *b, nissl_error *err)
{
    const nissl__folds *f = job->folds;
    size_t n = (size_t)f->n, m = (size_t)job->m, k = NISSL__MIN(n, m), rows = (size_t)job->rows;
    size_t classes = (size_t)f->n_classes;
    b->z = nissl__alloc(n * m, sizeof *b->z);
    b->x = nissl__alloc(n * k, sizeof *b->x);
    b->y = nissl__alloc(n * k, sizeof *b->y);
    b->row = nissl__alloc(n, sizeof *b->row);
    b->label = nissl__alloc(n, sizeof *b->label);
    b->train = nissl__alloc(n, sizeof *b->train);
    b->unit = nissl__alloc(m, sizeof *b->unit);
    b->merit = nissl__alloc(m, sizeof *b->merit);
    b->moments = nissl__alloc((classes + 2) * m, sizeof *b->moments);
    b->w = nissl__alloc(rows * (k + 1), sizeof *b->w);
    b->score = nissl__alloc(n * rows, sizeof *b->score);
    b->scratch = nissl__alloc(
        (size_t)nissl__classify_scratch(job->kind, f->n, (int64_t)k, f->n_classes), sizeof(double));
    b->shuffle = nissl__alloc(3 * (size_t)f->n_groups, sizeof *b->shuffle);
    if (!b->z || !b->x || !b->y || !b->row || !b->label || !b->train || !b->unit || !b->merit ||
        !b->moments || !b->w || !b->score || !b->scratch || !b->shuffle)
        return NISSL__NO_MEMORY(err, n * m * sizeof *b->z);
    return NISSL_OK;
}

static void free_bench(bench *b)
{
    nissl__free(b->z);
    nissl__free(b->x);
    nissl__free(b->y);
    nissl__free(b->row);
    nissl__free(b->label);
    nissl__free(b->train);
    nissl__free(b->unit);
    nissl__free(b->merit);
    nissl__free(b->moments);
    nissl__free(b->w);
    nissl__free(b->score);
    nissl__free(b->scratch);
    nissl__free(b->shuffle);
}

static nissl_status make_job(nissl_context *ctx, decode_job *job, int64_t n_splits,
                             nissl_error *err)
{
    const nissl__folds *f = job->folds;
    size_t threads = (size_t)nissl_context_threads(ctx);
    size_t cells = (size_t)(job->n_permutations + 1) * (size_t)f->n_folds;
    size_t classes = (size_t)f->n_classes;
    /* enough chunks of permutations to keep all workers busy */
    job->n_chunks =
        NISSL__MIN((2 * (int64_t)threads + n_splits - 1) / n_splits, job->n_permutations + 1);
    job->per_chunk = (job->n_permutations + job->n_chunks) / job->n_chunks;
    job->n_chunks = (job->n_permutations + job->per_chunk) / job->per_chunk;
    job->benches = nissl__alloc(threads, sizeof *job->benches);
    job->chosen = nissl__alloc(cells, sizeof(double));
    job->balanced = nissl__alloc(cells, sizeof(double));
    job->margin = nissl__alloc(cells, sizeof(double));
    job->confusion = nissl__alloc(cells * classes * classes, sizeof(int64_t));
    job->predicted = nissl__alloc((size_t)f->n, sizeof(int32_t));
    if (job->n_penalties > 1)
        job->inner =
            nissl__alloc(cells * (size_t)f->n_folds * (size_t)job->n_penalties, sizeof(double));
    if (!job->benches || !job->chosen || !job->balanced || !job->margin || !job->confusion ||
        !job->predicted || (job->n_penalties > 1 && !job->inner))
        return NISSL__NO_MEMORY(err, cells * classes * classes * sizeof(int64_t));
    for (size_t i = 0; i < threads; i++) {
        nissl_status status = make_bench(job, &job->benches[i], err);
        if (status != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

static void free_job(nissl_context *ctx, decode_job *job)
{
    for (int i = 0; job->benches && i < nissl_context_threads(ctx); i++)
        free_bench(&job->benches[i]);
    nissl__free(job->benches);
    nissl__free(job->inner);
    nissl__free(job->chosen);
    nissl__free(job->balanced);
    nissl__free(job->margin);
    nissl__free(job->confusion);
    nissl__free(job->predicted);
}

nissl_status nissl_decode(nissl_context *ctx, const nissl_view *x, const int32_t *label,
                          int64_t n_classes, const nissl_decode_options *opt, nissl_decoding *out,
                          nissl_error *err)
{
    nissl_decode_options o = opt ? *opt : nissl_decode_options_default(ctx);
    nissl__folds folds = {0};
    nissl_decoding r = {0};
    decode_job job = {.opt = &o, .folds = &folds, .n_permutations = o.n_permutations};
    double *a = NULL;
    int64_t n_pairs, m;
    nissl_status status = nissl__matrix_check(x, "x", 2, err);
    if (status == NISSL_OK)
        status = check_options(&o, x->shape[1], err);
    if (status != NISSL_OK)
        return status;
    m = job.m = x->shape[1];
    job.kind = nissl__decoder_kind(o.decoder);
    fill_penalties(&job);
    status = nissl__folds_make(x->shape[0], label, n_classes, &o, job.n_penalties > 1, &folds, err);
    if (status == NISSL_OK)
        status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status != NISSL_OK)
        goto done;
    for (int64_t i = 0; i < folds.n; i++)
        memmove(a + i * m, a + folds.sample[i] * m, (size_t)m * sizeof *a);
    nissl__center_columns(a, folds.n, m, NULL); /* changes nothing but rounding */
    job.a = a;
    job.rows = nissl__classifier_rows(folds.n_classes);
    n_pairs = (int64_t)folds.n_folds * (folds.n_folds - 1) / 2;
    status = make_job(ctx, &job, folds.n_folds, err);
    if (status == NISSL_OK && job.n_penalties > 1)
        status = nissl__parallel(ctx, n_pairs * job.n_chunks, inner_task, &job, err);
    if (status == NISSL_OK)
        status = nissl__parallel(ctx, folds.n_folds * job.n_chunks, outer_task, &job, err);
    if (status == NISSL_OK)
        status = conclude(&job, x->shape[0], n_classes, &r, err);
    if (status == NISSL_OK) {
        *out = r;
        r = (nissl_decoding){0};
    }

done:
    free_job(ctx, &job);
    nissl_decoding_free(&r);
    nissl__folds_free(&folds);
    nissl__free(a);
    return status;
}

/* ---- one classifier ---- */

static nissl_status check_labels(int64_t n, const int32_t *label, int n_classes, nissl_error *err)
{
    int64_t *count;
    nissl_status status = NISSL_OK;
    if (n_classes < 2)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%d classes; at least 2 are needed", n_classes);
    count = nissl__alloc((size_t)n_classes, sizeof *count);
    if (!count)
        return NISSL__NO_MEMORY(err, (size_t)n_classes * sizeof *count);
    for (int64_t i = 0; i < n && status == NISSL_OK; i++) {
        if (label[i] < 0 || label[i] >= n_classes)
            status = NISSL__FAIL(err, NISSL_ERR_RANGE, "label %d of sample %lld is outside 0 .. %d",
                                 (int)label[i], (long long)i, n_classes - 1);
        else
            count[label[i]]++;
    }
    for (int c = 0; c < n_classes && status == NISSL_OK; c++)
        if (count[c] == 0)
            status =
                NISSL__FAIL(err, NISSL_ERR_SHAPE, "class %d of %d has no samples", c, n_classes);
    nissl__free(count);
    return status;
}

nissl_status nissl_decoder_fit(nissl_context *ctx, const nissl_view *x, const int32_t *label,
                               int n_classes, nissl_decoder decoder, double penalty, double *weight,
                               nissl_error *err)
{
    nissl__classifier kind = nissl__decoder_kind(decoder);
    int64_t n = x->shape[0], m = x->shape[1], k, r = 0;
    int rows = nissl__classifier_rows(n_classes);
    double *a = NULL, *mean = NULL, *c = NULL, *w = NULL, *scratch = NULL, *v = NULL;
    bool good;
    nissl_decode_options o = {
        .decoder = decoder, .n_folds = 2, .penalty = &penalty, .n_penalties = 1};
    nissl_status status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status == NISSL_OK)
        status = check_options(&o, m, err);
    if (status == NISSL_OK)
        status = check_labels(n, label, n_classes, err);
    if (status != NISSL_OK)
        goto done;
    k = NISSL__MIN(n, m);
    mean = nissl__alloc((size_t)m, sizeof *mean);
    c = nissl__alloc((size_t)(n * k), sizeof *c);
    w = nissl__alloc((size_t)(rows * (k + 1)), sizeof *w);
    v = nissl__alloc((size_t)(n * rows), sizeof *v);
    scratch = nissl__alloc((size_t)nissl__classify_scratch(kind, n, k, n_classes), sizeof(double));
    if (!mean || !c || !w || !v || !scratch) {
        status = NISSL__NO_MEMORY(err, (size_t)(n * k) * sizeof *c);
        goto done;
    }
    if (kind == NISSL__LOGISTIC || kind == NISSL__RIDGE) /* their intercepts follow any shift */
        nissl__center_columns(a, n, m, mean);
    status = nissl__principal_axes(a, n, m, a, 0, c, c, &r, err);
    if (status != NISSL_OK)
        goto done;
    nissl__training t = {.x = c,
                         .label = label,
                         .n = n,
                         .r = r,
                         .n_units = m,
                         .n_classes = n_classes,
                         .penalty = penalty,
                         .tolerance = 1e-12};
    good = nissl__classify_fit(kind, &t, w, scratch);
    if (!good && kind == NISSL__LDA) {
        status = NISSL__FAIL(err, NISSL_ERR_NOT_CONVERGED,
                             "the covariance within %d classes is singular: shrink it", n_classes);
        goto done;
    }
    /* From coordinates c = a V, whose columns have squared lengths l, V = a^T c / l. */
    for (int64_t j = 0; j < r; j++) {
        double length = 0;
        for (int64_t i = 0; i < n; i++)
            length += c[i * r + j] * c[i * r + j];
        for (int64_t i = 0; i < n; i++)
            c[i * r + j] /= length;
    }
    nissl__matmul(false, true, rows, n, r, 1, w, r + 1, c, r, 0, v, n);
    nissl__matmul(false, false, rows, m, n, 1, v, n, a, m, 0, weight, m + 1);
    for (int row = 0; row < rows; row++)
        weight[row * (m + 1) + m] =
            w[row * (r + 1) + r] - nissl__dot(weight + row * (m + 1), mean, m);
    if (!good)
        status = NISSL__FAIL(err, NISSL_ERR_NOT_CONVERGED,
                             "the classifier did not converge in 200 iterations");

done:
    nissl__free(a);
    nissl__free(mean);
    nissl__free(c);
    nissl__free(w);
    nissl__free(v);
    nissl__free(scratch);
    return status;
}
