/* Distances between samples. */
#include "math/distance.h"

#include "math/linear.h"

#define TILE  128
#define SPARE 8 /* candidates beyond those asked for */

void nissl__distances_of_gram(const double *k, int64_t n, double *out)
{
    for (int64_t i = 0; i < n; i++) /* the diagonal of row i is read after its row is written */
        for (int64_t j = 0; j < n; j++)
            if (j != i)
                out[i * n + j] = fmax(k[i * n + i] + k[j * n + j] - 2 * k[i * n + j], 0);
    for (int64_t i = 0; i < n; i++)
        out[i * n + i] = 0;
}

typedef struct near_job {
    const double *x;
    double *square; /* [n] */
    double *tile;   /* [workers, TILE, n] */
    int64_t n, m;
    int n_near;
    double *out;
} near_job;

static double squared_distance(const double *a, const double *b, int64_t m)
{
    double sum = 0;
    for (int64_t j = 0; j < m; j++)
        sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sum;
}

typedef struct candidate {
    double distance;
    int64_t index;
} candidate;

/* Keeps list ascending; the last falls off. */
static void insert(candidate *list, int n, candidate c)
{
    if (!(c.distance < list[n - 1].distance))
        return;
    int at = n - 1;
    for (; at > 0 && c.distance < list[at - 1].distance; at--)
        list[at] = list[at - 1];
    list[at] = c;
}

/* The nearest of one sample, given products of it with all. */
static void nearest_of(const near_job *job, int64_t i, const double *product, candidate *list)
{
    int64_t n = job->n, m = job->m;
    int n_list = (int)NISSL__MIN(job->n_near + SPARE, n - 1);
    for (int k = 0; k < n_list; k++)
        list[k] = (candidate){INFINITY, -1};
    for (int64_t j = 0; j < n; j++)
        if (j != i)
            insert(list, n_list, (candidate){job->square[j] - 2 * product[j], j});
    double slack = 1e-12 * (job->square[i] + job->square[list[n_list - 1].index]);
    double reach = list[n_list - 1].distance;
    double *out = job->out + i * job->n_near;
    bool sure = n_list == n - 1 || list[job->n_near - 1].distance + slack < reach;
    candidate exact[64];
    for (int k = 0; k < job->n_near; k++)
        exact[k] = (candidate){INFINITY, -1};
    if (sure)
        for (int k = 0; k < n_list; k++) {
            int64_t j = list[k].index;
            insert(exact, job->n_near,
                   (candidate){squared_distance(job->x + i * m, job->x + j * m, m), j});
        }
    else /* more samples about equally near than candidates */
        for (int64_t j = 0; j < n; j++)
            if (j != i && job->square[j] - 2 * product[j] <= reach + slack)
                insert(exact, job->n_near,
                       (candidate){squared_distance(job->x + i * m, job->x + j * m, m), j});
    for (int k = 0; k < job->n_near; k++)
        out[k] = exact[k].distance;
}

static nissl_status near_task(void *user, int64_t task, int worker, nissl_error *err)
{
    near_job *job = user;
    int64_t first = task * TILE, rows = NISSL__MIN(TILE, job->n - first);
    double *tile = job->tile + worker * TILE * job->n;
    candidate list[64 + SPARE];
    nissl__matmul(false, true, rows, job->n, job->m, 1, job->x + first * job->m, job->m, job->x,
                  job->m, 0, tile, job->n);
    for (int64_t i = 0; i < rows; i++)
        nearest_of(job, first + i, tile + i * job->n, list);
    return NISSL_OK;
}

nissl_status nissl__nearest(nissl_context *ctx, const double *x, int64_t n, int64_t m, int n_near,
                            double *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    near_job job = {.x = x, .n = n, .m = m, .n_near = n_near, .out = out};
    size_t tile = (size_t)nissl_context_threads(ctx) * TILE * (size_t)n;
    if (n_near < 1 || n_near > 64 || n_near >= n)
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "%d neighbours are outside 1 .. min(64, samples - 1 = %lld)", n_near,
                           (long long)(n - 1));
    job.square = nissl__alloc((size_t)n, sizeof *job.square);
    job.tile = nissl__alloc(tile, sizeof *job.tile);
    if (!job.square || !job.tile) {
        status = NISSL__NO_MEMORY(err, tile * sizeof *job.tile);
        goto done;
    }
    for (int64_t i = 0; i < n; i++)
        job.square[i] = nissl__dot(x + i * m, x + i * m, m);
    status = nissl__parallel(ctx, (n + TILE - 1) / TILE, near_task, &job, err);

done:
    nissl__free(job.square);
    nissl__free(job.tile);
    return status;
}
