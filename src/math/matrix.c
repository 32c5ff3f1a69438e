/* Responses as float64 matrices. */
#include "math/matrix.h"

#include <limits.h>

#include "math/linear.h"

#define BLOCK_BYTES ((int64_t)8 << 20)
#define TILE        128

nissl_status nissl__matrix_check(const nissl_view *x, const char *what, int64_t min_samples,
                                 nissl_error *err)
{
    if (x->rank != 2)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s has %d axes, not 2 (samples, units)", what,
                           x->rank);
    if (x->type != NISSL_FLOAT32 && x->type != NISSL_FLOAT64)
        return NISSL__FAIL(err, NISSL_ERR_TYPE, "%s is %s, not float32 or float64", what,
                           nissl_type_name(x->type));
    if (x->shape[0] < min_samples || x->shape[1] < 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "%s has %lld samples and %lld units; at least %lld and 1 are needed",
                           what, (long long)x->shape[0], (long long)x->shape[1],
                           (long long)min_samples);
    if (x->shape[0] > INT_MAX / 2 || x->shape[1] > INT_MAX / 2)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s has %lld samples and %lld units, more than %d",
                           what, (long long)x->shape[0], (long long)x->shape[1], INT_MAX / 2);
    return NISSL_OK;
}

nissl_status nissl__matrix_block(const nissl_view *x, const char *what, int64_t first_sample,
                                 int64_t n, int64_t first_unit, int64_t m, double *out,
                                 nissl_error *err)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t step = x->stride[1];
        int64_t at = (first_sample + i) * x->stride[0] + first_unit * step;
        double *row = out + i * m, sum = 0;
        if (x->type == NISSL_FLOAT32)
            for (int64_t j = 0; j < m; j++)
                row[j] = (double)((const float *)x->data)[at + j * step];
        else
            for (int64_t j = 0; j < m; j++)
                row[j] = ((const double *)x->data)[at + j * step];
        for (int64_t j = 0; j < m; j++)
            sum += row[j] * 0; /* NaN if any is NaN or infinite */
        for (int64_t j = 0; j < m && sum != 0; j++)
            if (!isfinite(row[j]))
                return NISSL__FAIL(err, NISSL_ERR_NONFINITE, "%s: sample %lld of unit %lld is %g",
                                   what, (long long)(first_sample + i), (long long)(first_unit + j),
                                   row[j]);
    }
    return NISSL_OK;
}

nissl_status nissl__matrix_load(const nissl_view *x, const char *what, int64_t min_samples,
                                double **out, nissl_error *err)
{
    nissl_status status = nissl__matrix_check(x, what, min_samples, err);
    double *a;
    int64_t count;
    if (status != NISSL_OK)
        return status;
    if (!nissl__mul(x->shape[0], x->shape[1], &count) || count > INT64_MAX / 8)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%s: %lld x %lld overflows", what,
                           (long long)x->shape[0], (long long)x->shape[1]);
    a = nissl__alloc((size_t)count, sizeof *a);
    if (!a)
        return NISSL__NO_MEMORY(err, (size_t)count * sizeof *a);
    status = nissl__matrix_block(x, what, 0, x->shape[0], 0, x->shape[1], a, err);
    if (status == NISSL_OK)
        *out = a;
    else
        nissl__free(a);
    return status;
}

/* Subtracts column means of at most TILE columns. From the first sample on, so that a constant
 * column becomes exactly 0 and a large mean costs no digits. */
static void centre_stripe(double *a, int64_t n, int64_t m, int64_t width, double *mean)
{
    double shift[TILE], sum[TILE] = {0};
    memcpy(shift, a, (size_t)width * sizeof *a);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < width; j++) {
            a[i * m + j] -= shift[j];
            sum[j] += a[i * m + j];
        }
    for (int64_t j = 0; j < width; j++)
        sum[j] /= (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < width; j++)
            a[i * m + j] -= sum[j];
    for (int64_t j = 0; mean && j < width; j++)
        mean[j] = shift[j] + sum[j];
}

void nissl__center_columns(double *a, int64_t n, int64_t m, double *mean)
{
    for (int64_t j = 0; j < m; j += TILE)
        centre_stripe(a + j, n, m, NISSL__MIN(TILE, m - j), mean ? mean + j : NULL);
}

void nissl__center_rows(double *a, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < n; i++) {
        double *row = a + i * m, shift = row[0], sum = 0;
        for (int64_t j = 0; j < m; j++) {
            row[j] -= shift;
            sum += row[j];
        }
        sum /= (double)m;
        for (int64_t j = 0; j < m; j++)
            row[j] -= sum;
    }
}

/* ---- Gram matrices ---- */

typedef struct gram_job {
    const nissl_view *x;
    const char *what;
    nissl__centring centre;
    double *shift, *mean; /* [n] first value of each sample, and what its mean is above it */
    int64_t first, width; /* of the block of units */
    double *block;        /* [n, width] */
    double *out;
} gram_job;

static nissl_status load_task(void *user, int64_t task, int worker, nissl_error *err)
{
    gram_job *job = user;
    int64_t from = task * TILE, n = NISSL__MIN(TILE, job->x->shape[0] - from);
    return nissl__matrix_block(job->x, job->what, from, n, job->first, job->width,
                               job->block + from * job->width, err);
}

static nissl_status centre_task(void *user, int64_t task, int worker, nissl_error *err)
{
    gram_job *job = user;
    int64_t j = task * TILE;
    if (j < job->width) /* the last block is narrower */
        centre_stripe(job->block + j, job->x->shape[0], job->width,
                      NISSL__MIN(TILE, job->width - j), NULL);
    return NISSL_OK;
}

static nissl_status sum_task(void *user, int64_t task, int worker, nissl_error *err)
{
    gram_job *job = user;
    int64_t from = task * TILE, to = NISSL__MIN(from + TILE, job->x->shape[0]);
    for (int64_t i = from; i < to; i++) {
        const double *row = job->block + i * job->width;
        if (job->first == 0)
            job->shift[i] = row[0];
        for (int64_t j = 0; j < job->width; j++)
            job->mean[i] += row[j] - job->shift[i];
    }
    return NISSL_OK;
}

static nissl_status shift_task(void *user, int64_t task, int worker, nissl_error *err)
{
    gram_job *job = user;
    int64_t from = task * TILE, to = NISSL__MIN(from + TILE, job->x->shape[0]);
    for (int64_t i = from; i < to; i++)
        for (int64_t j = 0; j < job->width; j++)
            job->block[i * job->width + j] =
                job->block[i * job->width + j] - job->shift[i] - job->mean[i];
    return NISSL_OK;
}

/* A row of tiles of the lower triangle. */
static nissl_status product_task(void *user, int64_t task, int worker, nissl_error *err)
{
    gram_job *job = user;
    int64_t n = job->x->shape[0], n_tiles = (n + TILE - 1) / TILE;
    int64_t i = (n_tiles - 1 - task) * TILE, rows = NISSL__MIN(TILE, n - i);
    const double *a = job->block + i * job->width;
    double beta = job->first > 0;
    if (i > 0)
        nissl__matmul(false, true, rows, i, job->width, 1, a, job->width, job->block, job->width,
                      beta, job->out + i * n, n);
    nissl__matmul_self(false, rows, job->width, 1, a, job->width, beta, job->out + i * n + i, n);
    return NISSL_OK;
}

/* Runs a pass over blocks of units: loads each, then up to two steps on it. */
static nissl_status pass(nissl_context *ctx, gram_job *job, int64_t width, nissl__task_fn step,
                         int64_t n_step, nissl__task_fn last, nissl_error *err)
{
    int64_t n = job->x->shape[0], m = job->x->shape[1], tiles = (n + TILE - 1) / TILE;
    nissl_status status = NISSL_OK;
    for (job->first = 0; job->first < m && status == NISSL_OK; job->first += width) {
        job->width = NISSL__MIN(width, m - job->first);
        status = nissl__parallel(ctx, tiles, load_task, job, err);
        if (status == NISSL_OK && step)
            status = nissl__parallel(ctx, n_step > 0 ? n_step : tiles, step, job, err);
        if (status == NISSL_OK && last)
            status = nissl__parallel(ctx, tiles, last, job, err);
    }
    return status;
}

nissl_status nissl__gram(nissl_context *ctx, const nissl_view *x, const char *what,
                         nissl__centring centre, double *out, nissl_error *err)
{
    int64_t n = x->shape[0], m = x->shape[1];
    int64_t width = NISSL__MIN(NISSL__MAX(BLOCK_BYTES / 8 / n, 64), m);
    nissl_status status = NISSL_OK;
    gram_job job = {.x = x, .what = what, .centre = centre, .out = out};
    job.block = nissl__alloc((size_t)n * (size_t)width, sizeof *job.block);
    job.shift = nissl__alloc((size_t)n, sizeof *job.shift);
    job.mean = nissl__alloc((size_t)n, sizeof *job.mean);
    if (!job.block || !job.shift || !job.mean) {
        status = NISSL__NO_MEMORY(err, (size_t)n * (size_t)width * sizeof *job.block);
        goto done;
    }
    if (centre == NISSL__CENTRE_SAMPLES) {
        status = pass(ctx, &job, width, sum_task, 0, NULL, err);
        for (int64_t i = 0; i < n; i++)
            job.mean[i] /= (double)m;
    }
    if (status == NISSL_OK)
        status =
            pass(ctx, &job, width,
                 centre == NISSL__CENTRE_UNITS     ? centre_task
                 : centre == NISSL__CENTRE_SAMPLES ? shift_task
                                                   : NULL,
                 centre == NISSL__CENTRE_UNITS ? (width + TILE - 1) / TILE : 0, product_task, err);
    if (status == NISSL_OK)
        nissl__mirror(out, n, n);

done:
    nissl__free(job.block);
    nissl__free(job.shift);
    nissl__free(job.mean);
    return status;
}

void nissl__gram_centre(double *k, int64_t n)
{
    nissl__center_rows(k, n, n);
    nissl__center_columns(k, n, n, NULL);
}

void nissl__gram_u_centre(double *k, int64_t n)
{
    double total = 0, scale = (double)(n - 2);
    /* Row sums stay on the diagonal, which becomes 0 in the end. */
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        k[i * n + i] = 0;
        for (int64_t j = 0; j < n; j++)
            sum += k[i * n + j];
        total += sum;
        k[i * n + i] = sum;
    }
    total /= (double)(n - 1) * scale;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            double value = k[i * n + j] - (k[i * n + i] + k[j * n + j]) / scale + total;
            k[i * n + j] = k[j * n + i] = value;
        }
    for (int64_t i = 0; i < n; i++)
        k[i * n + i] = 0;
}

void nissl__gram_pack(const double *k, int64_t n, double *out)
{
    const double root = 1.4142135623730950488;
    double *packed = out; /* never ahead of what is read */
    for (int64_t i = 0; i < n; i++) {
        double diagonal = k[i * n + i];
        for (int64_t j = 0; j < i; j++)
            *packed++ = root * k[i * n + j];
        *packed++ = diagonal;
    }
}

nissl_status nissl__principal_axes(const double *a, int64_t n, int64_t m, const double *b,
                                   int64_t n_b, double *x, double *y, int64_t *r, nissl_error *err)
{
    bool wide = m > n;
    int64_t k = NISSL__MIN(n, m), rank = 0;
    nissl_status status = NISSL_OK;
    double *axis = nissl__alloc((size_t)(k * k), sizeof *axis); /* rows */
    double *moment = nissl__alloc((size_t)k, sizeof *moment);
    double *cross = nissl__alloc(wide ? (size_t)(n_b * n) : 1, sizeof *cross);
    if (!axis || !moment || !cross) {
        status = NISSL__NO_MEMORY(err, (size_t)(k * k) * sizeof *axis);
        goto done;
    }
    nissl__matmul_self(!wide, k, wide ? m : n, 1, a, m, 0, axis, k);
    status = nissl__eigen(k, axis, moment, true, err);
    if (status != NISSL_OK)
        goto done;
    while (rank < k && moment[rank] > 0 && moment[rank] > 1e-12 * moment[0])
        rank++;
    if (wide) {
        for (int64_t j = 0; j < rank; j++)
            for (int64_t i = 0; i < n; i++)
                x[i * rank + j] = axis[j * n + i] * sqrt(moment[j]);
        nissl__matmul(false, true, n_b, n, m, 1, b, m, a, m, 0, cross, n);
        nissl__matmul(false, true, n_b, rank, n, 1, cross, n, axis, n, 0, y, rank);
        for (int64_t i = 0; i < n_b; i++)
            for (int64_t j = 0; j < rank; j++)
                y[i * rank + j] /= sqrt(moment[j]);
    } else {
        nissl__matmul(false, true, n, rank, m, 1, a, m, axis, m, 0, x, rank);
        nissl__matmul(false, true, n_b, rank, m, 1, b, m, axis, m, 0, y, rank);
    }
    *r = rank;

done:
    nissl__free(axis);
    nissl__free(moment);
    nissl__free(cross);
    return status;
}
