/*
 * Mutual information between responses and conditions, from counts.
 *
 * With N samples, I = (sum n log2 n over cells - over rows - over columns + N log2 N) / N, so that
 * a table of n log2 n serves every unit and shuffle, and shuffles change only the sum over cells.
 */
#include "foundation/foundation.h"
#include "nissl/information.h"

#define MAX_BINS     65536
#define SHUFFLE_NAME 0x696e666fu /* "info": keeps its streams apart from others of a seed */

static double n_log_n(double n)
{
    return n > 0 ? n * log2(n) : 0;
}

static double miller_madow(double bits, int64_t cells, int64_t rows, int64_t columns, double n)
{
    return bits - (double)(cells - rows - columns + 1) / (2 * n * log(2));
}

double nissl_information_table(const int64_t *count, int64_t n_rows, int64_t n_columns,
                               double *corrected)
{
    double n = 0, cells = 0, rows = 0, columns = 0, bits;
    int64_t k_cells = 0, k_rows = 0, k_columns = 0;
    for (int64_t r = 0; r < n_rows; r++) {
        double row = 0;
        for (int64_t c = 0; c < n_columns; c++) {
            double value = (double)count[r * n_columns + c];
            if (value < 0)
                goto undefined;
            row += value;
            cells += n_log_n(value);
            k_cells += value > 0;
        }
        n += row;
        rows += n_log_n(row);
        k_rows += row > 0;
    }
    for (int64_t c = 0; c < n_columns; c++) {
        double column = 0;
        for (int64_t r = 0; r < n_rows; r++)
            column += (double)count[r * n_columns + c];
        columns += n_log_n(column);
        k_columns += column > 0;
    }
    if (!(n > 0))
        goto undefined;
    bits = (cells - rows - columns + n_log_n(n)) / n;
    if (corrected)
        *corrected = miller_madow(bits, k_cells, k_rows, k_columns, n);
    return bits;
undefined:
    if (corrected)
        *corrected = NAN;
    return NAN;
}

nissl_information_options nissl_information_options_default(const nissl_context *ctx)
{
    return (nissl_information_options){.seed = nissl_context_seed(ctx)};
}

void nissl_information_free(nissl_information *information)
{
    if (!information)
        return;
    nissl__free(information->bits);
    nissl__free(information->corrected);
    nissl__free(information->null_mean);
    nissl__free(information->p);
    *information = (nissl_information){0};
}

/* ---- one unit ---- */

typedef struct unit_scratch {
    double *value, *sorted; /* [n] */
    int32_t *bin;           /* [n] */
    int32_t *count;         /* [n_conditions, n_bins] */
} unit_scratch;

typedef struct information_job {
    const nissl_view *x;
    int64_t n, n_conditions, n_nonempty;
    int64_t *sample;    /* [n] that count */
    int32_t *condition; /* [n] of those */
    int32_t *shuffled;  /* [n_shuffles, n] */
    double *logarithms; /* [n + 1] i log2 i */
    double conditions;  /* sum of n log2 n over them */
    nissl_information *result;
    unit_scratch *scratch; /* one per worker */
} information_job;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How many of sorted [n] are below value. */
static int64_t count_below(const double *sorted, int64_t n, double value)
{
    int64_t low = 0;
    while (n > 0) {
        int64_t half = n / 2;
        if (sorted[low + half] < value) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

/* Sum of n log2 n over the cells that samples of these conditions fall into. */
static double sum_over_cells(const information_job *job, const int32_t *condition,
                             unit_scratch *scratch, int64_t *n_occupied)
{
    int64_t n_bins = job->result->n_bins, n_cells = job->n_conditions * n_bins;
    double sum = 0;
    memset(scratch->count, 0, (size_t)n_cells * sizeof *scratch->count);
    for (int64_t i = 0; i < job->n; i++)
        scratch->count[condition[i] * n_bins + scratch->bin[i]]++;
    *n_occupied = 0;
    for (int64_t c = 0; c < n_cells; c++) {
        sum += job->logarithms[scratch->count[c]];
        *n_occupied += scratch->count[c] > 0;
    }
    return sum;
}

static void write_unit(information_job *job, int64_t u, unit_scratch *scratch)
{
    nissl_information *r = job->result;
    int64_t n = job->n, n_cells, n_filled = 0;
    double cells, bins = 0, null_sum = 0, fixed;
    int n_as_many = 0;
    memcpy(scratch->sorted, scratch->value, (size_t)n * sizeof *scratch->sorted);
    qsort(scratch->sorted, (size_t)n, sizeof *scratch->sorted, ascending);
    for (int64_t i = 0; i < n; i++)
        scratch->bin[i] =
            (int32_t)(count_below(scratch->sorted, n, scratch->value[i]) * r->n_bins / n);
    for (int64_t i = 0; i < n;) { /* ties share a bin, so bins are runs of the sorted values */
        int64_t bin = count_below(scratch->sorted, n, scratch->sorted[i]) * r->n_bins / n,
                first = i;
        while (i < n && count_below(scratch->sorted, n, scratch->sorted[i]) * r->n_bins / n == bin)
            i++;
        bins += job->logarithms[i - first];
        n_filled++;
    }
    fixed = job->logarithms[n] - job->conditions - bins;
    cells = sum_over_cells(job, job->condition, scratch, &n_cells);
    r->bits[u] = (cells + fixed) / (double)n;
    r->corrected[u] = miller_madow(r->bits[u], n_cells, job->n_nonempty, n_filled, (double)n);
    for (int s = 0; s < r->n_shuffles; s++) {
        double shuffled = sum_over_cells(job, job->shuffled + s * n, scratch, &n_cells);
        null_sum += (shuffled + fixed) / (double)n;
        n_as_many += shuffled >= cells - 1e-9; /* the same counts in another order */
    }
    r->null_mean[u] = r->n_shuffles ? null_sum / r->n_shuffles : NAN;
    r->p[u] = r->n_shuffles ? (1.0 + n_as_many) / (1.0 + r->n_shuffles) : NAN;
}

static nissl_status unit_task(void *user, int64_t unit, int worker, nissl_error *err)
{
    information_job *job = user;
    unit_scratch *scratch = &job->scratch[worker];
    const nissl_view *x = job->x;
    bool known = true;
    for (int64_t i = 0; i < job->n; i++) {
        int64_t at = job->sample[i] * x->stride[0] + unit * x->stride[1];
        scratch->value[i] = x->type == NISSL_FLOAT32 ? (double)((const float *)x->data)[at]
                                                     : ((const double *)x->data)[at];
        known = known && !isnan(scratch->value[i]);
    }
    if (known)
        write_unit(job, unit, scratch);
    else
        job->result->bits[unit] = job->result->corrected[unit] = job->result->null_mean[unit] =
            job->result->p[unit] = NAN;
    return NISSL_OK;
}

/* ---- all of them ---- */

static nissl_status check(const nissl_view *x, const int32_t *condition, int64_t n_conditions,
                          const nissl_information_options *opt, nissl_error *err)
{
    if (x->rank != 2 || x->shape[0] < 1 || x->shape[1] < 1 || n_conditions < 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "responses need 2 axes, samples and units, and conditions at least 1: "
                           "rank %d, %lld x %lld, n_conditions = %lld",
                           x->rank, (long long)(x->rank > 0 ? x->shape[0] : 0),
                           (long long)(x->rank > 1 ? x->shape[1] : 0), (long long)n_conditions);
    if (x->type != NISSL_FLOAT32 && x->type != NISSL_FLOAT64)
        return NISSL__FAIL(err, NISSL_ERR_TYPE, "responses are %s, not float32 or float64",
                           nissl_type_name(x->type));
    if (opt->n_bins < 0 || opt->n_bins > MAX_BINS || opt->n_shuffles < 0 ||
        x->shape[0] > INT32_MAX || n_conditions > INT32_MAX)
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "n_bins = %d (0 .. %d), n_shuffles = %d, n_samples = %lld, "
                           "n_conditions = %lld",
                           opt->n_bins, MAX_BINS, opt->n_shuffles, (long long)x->shape[0],
                           (long long)n_conditions);
    for (int64_t i = 0; i < x->shape[0]; i++)
        if (condition[i] < -1 || condition[i] >= n_conditions)
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "condition %d of sample %lld is outside -1 .. %lld", condition[i],
                               (long long)i, (long long)n_conditions - 1);
    return NISSL_OK;
}

/* The samples that count, their conditions and shuffles of these. */
static nissl_status prepare(information_job *job, const int32_t *condition,
                            const nissl_information_options *opt, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl_information *r = job->result;
    int64_t n = 0, n_all = job->x->shape[0], *order = NULL, *per_condition = NULL;
    size_t shuffled = (size_t)n_all * (size_t)opt->n_shuffles;
    job->sample = nissl__alloc((size_t)n_all, sizeof *job->sample);
    job->condition = nissl__alloc((size_t)n_all, sizeof *job->condition);
    job->logarithms = nissl__alloc((size_t)n_all + 1, sizeof *job->logarithms);
    job->shuffled = nissl__alloc(shuffled, sizeof *job->shuffled);
    order = nissl__alloc((size_t)n_all, sizeof *order);
    per_condition = nissl__alloc((size_t)job->n_conditions, sizeof *per_condition);
    if (!job->sample || !job->condition || !job->logarithms || !job->shuffled || !order ||
        !per_condition) {
        status = NISSL__NO_MEMORY(err, shuffled * sizeof *job->shuffled + (size_t)n_all * 32);
        goto done;
    }
    for (int64_t i = 0; i < n_all; i++) {
        job->logarithms[i + 1] = n_log_n((double)(i + 1));
        if (condition[i] < 0)
            continue;
        job->sample[n] = i;
        job->condition[n++] = condition[i];
        per_condition[condition[i]]++;
    }
    if (n == 0) {
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE, "none of %lld samples has a condition",
                             (long long)n_all);
        goto done;
    }
    for (int64_t c = 0; c < job->n_conditions; c++) {
        job->conditions += job->logarithms[per_condition[c]];
        job->n_nonempty += per_condition[c] > 0;
    }
    for (int s = 0; s < opt->n_shuffles; s++) {
        nissl__random_permutation(opt->seed, (uint64_t)SHUFFLE_NAME << 32 | (uint64_t)s, n, order);
        for (int64_t i = 0; i < n; i++)
            job->shuffled[s * n + i] = job->condition[order[i]];
    }
    job->n = r->n_samples = n;
    r->n_shuffles = opt->n_shuffles;
    r->n_bins =
        opt->n_bins ? opt->n_bins : (int)NISSL__MIN(NISSL__MAX(n / job->n_nonempty / 4, 2), 8);
done:
    nissl__free(order);
    nissl__free(per_condition);
    return status;
}

static nissl_status allocate(information_job *job, int n_threads, nissl_error *err)
{
    nissl_information *r = job->result;
    size_t n = (size_t)job->n, units = (size_t)r->n_units;
    r->bits = nissl__alloc(units, sizeof *r->bits);
    r->corrected = nissl__alloc(units, sizeof *r->corrected);
    r->null_mean = nissl__alloc(units, sizeof *r->null_mean);
    r->p = nissl__alloc(units, sizeof *r->p);
    job->scratch = nissl__alloc((size_t)n_threads, sizeof *job->scratch);
    if (!r->bits || !r->corrected || !r->null_mean || !r->p || !job->scratch)
        return NISSL__NO_MEMORY(err, 4 * units * sizeof *r->bits);
    for (int i = 0; i < n_threads; i++) {
        unit_scratch *s = &job->scratch[i];
        s->value = nissl__alloc(n, sizeof *s->value);
        s->sorted = nissl__alloc(n, sizeof *s->sorted);
        s->bin = nissl__alloc(n, sizeof *s->bin);
        s->count = nissl__alloc((size_t)job->n_conditions * (size_t)r->n_bins, sizeof *s->count);
        if (!s->value || !s->sorted || !s->bin || !s->count)
            return NISSL__NO_MEMORY(err, (size_t)job->n_conditions * (size_t)r->n_bins *
                                             sizeof *s->count);
    }
    return NISSL_OK;
}

nissl_status nissl_information_compute(nissl_context *ctx, const nissl_view *x,
                                       const int32_t *condition, int64_t n_conditions,
                                       const nissl_information_options *opt, nissl_information *out,
                                       nissl_error *err)
{
    nissl_information_options options = opt ? *opt : nissl_information_options_default(ctx);
    nissl_information result = {0};
    information_job job = {.x = x, .n_conditions = n_conditions, .result = &result};
    int n_threads = nissl_context_threads(ctx);
    nissl_status status = check(x, condition, n_conditions, &options, err);
    if (status != NISSL_OK)
        return status;
    result.n_units = x->shape[1];
    status = prepare(&job, condition, &options, err);
    if (status == NISSL_OK)
        status = allocate(&job, n_threads, err);
    if (status == NISSL_OK)
        status = nissl__parallel(ctx, result.n_units, unit_task, &job, err);
    if (status == NISSL_OK) {
        *out = result;
        result = (nissl_information){0};
    }
    for (int i = 0; i < n_threads && job.scratch; i++) {
        nissl__free(job.scratch[i].value);
        nissl__free(job.scratch[i].sorted);
        nissl__free(job.scratch[i].bin);
        nissl__free(job.scratch[i].count);
    }
    nissl__free(job.scratch);
    nissl__free(job.sample);
    nissl__free(job.condition);
    nissl__free(job.shuffled);
    nissl__free(job.logarithms);
    nissl_information_free(&result);
    return status;
}
