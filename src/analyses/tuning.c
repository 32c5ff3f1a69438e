/*
 * Tuning of all units to one factor.
 *
 * Units are taken 16 at a time: their responses are copied into a tile whose rows are stimuli,
 * sorted by condition and within it by half, so that every statistic of a condition is a sum over
 * consecutive rows and every operation one over 16 neighbouring units.
 */
#include "analyses/tuning.h"

#define LANES      16
#define TILES      4           /* filled at once: a page of x is visited for 256 bytes of it */
#define SPLIT_NAME 0x74756e65u /* "tune": keeps the split's streams apart from others of a seed */

/* What one worker needs for one tile. */
typedef struct tile_scratch {
    float *tiles;      /* [TILES, n_counted, LANES] */
    const float *rows; /* [n_counted, LANES] of the tile at hand */
    double *mean;      /* [n_conditions, LANES] over both halves */
    double *mean_b;    /* [n_conditions, LANES] over the measuring half, as are the next two */
    double *squares_b; /* sum of squared deviations from mean_b */
    double *rectified_b;
    float *column;  /* [n_measured] one unit on the measuring half */
    uint32_t *sort; /* [4 n_measured] */
} tile_scratch;

/* Of one stimulus over units, in lanes. */
typedef struct population_sums {
    double rectified[LANES], squares[LANES];
    uint32_t n_finite[LANES];
} population_sums;

struct nissl__tuning_work {
    nissl_context *ctx;
    int64_t n_counted;   /* stimuli that have a condition */
    int64_t n_measured;  /* of those, in the measuring half */
    int64_t n_nonempty;  /* conditions that have a stimulus */
    int64_t *order;      /* [n_counted] stimuli by condition, the choosing half of each first */
    int64_t *start;      /* [n_conditions + 1] into order */
    int64_t *n_choosing; /* [n_conditions] */
    int64_t *measured;   /* [n_conditions + 1] start of each condition in the measuring half */
    population_sums *population; /* [n_stimuli] over the units so far */
    nissl_tuning result;
    int n_scratch;
    tile_scratch *scratch; /* one per worker */
};

nissl_tuning_options nissl_tuning_options_default(const nissl_context *ctx)
{
    return (nissl_tuning_options){.seed = nissl_context_seed(ctx)};
}

void nissl_tuning_free(nissl_tuning *tuning)
{
    if (!tuning)
        return;
    nissl__free(tuning->mean);
    nissl__free(tuning->sd);
    nissl__free(tuning->curve);
    nissl__free(tuning->curve_se);
    nissl__free(tuning->preferred);
    nissl__free(tuning->preferred_heldin);
    nissl__free(tuning->selectivity);
    nissl__free(tuning->selectivity_heldout);
    nissl__free(tuning->dprime);
    nissl__free(tuning->auroc);
    nissl__free(tuning->lifetime_sparseness);
    nissl__free(tuning->population_sparseness);
    *tuning = (nissl_tuning){0};
}

/* ---- before: sizes, memory, the split ---- */

static nissl_status check_sizes(int64_t n_stimuli, int64_t n_units, const int32_t *condition,
                                int64_t n_conditions, nissl_error *err)
{
    int64_t cells, bytes;
    if (n_stimuli < 1 || n_units < 1 || n_conditions < 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "tuning needs at least one of each: n_stimuli = %lld, n_units = %lld, "
                           "n_conditions = %lld",
                           (long long)n_stimuli, (long long)n_units, (long long)n_conditions);
    if (n_conditions > INT32_MAX || n_stimuli > UINT32_MAX ||
        !nissl__mul(n_units, n_conditions, &cells) || !nissl__mul(cells, 16, &bytes) ||
        !nissl__mul(n_units, n_stimuli, &cells) || !nissl__mul(cells, 16, &bytes))
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "tuning of %lld units to %lld conditions over %lld stimuli overflows",
                           (long long)n_units, (long long)n_conditions, (long long)n_stimuli);
    for (int64_t s = 0; s < n_stimuli; s++)
        if (condition[s] < -1 || condition[s] >= n_conditions)
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "condition %d of stimulus %lld is outside -1 .. %lld", condition[s],
                               (long long)s, (long long)n_conditions - 1);
    return NISSL_OK;
}

static bool allocate_result(nissl_tuning *r)
{
    size_t units = (size_t)r->n_units, cells = units * (size_t)r->n_conditions;
    r->mean = nissl__alloc(units, sizeof(double));
    r->sd = nissl__alloc(units, sizeof(double));
    r->curve = nissl__alloc(cells, sizeof(double));
    r->curve_se = nissl__alloc(cells, sizeof(double));
    r->preferred = nissl__alloc(units, sizeof(int32_t));
    r->preferred_heldin = nissl__alloc(units, sizeof(int32_t));
    r->selectivity = nissl__alloc(units, sizeof(double));
    r->selectivity_heldout = nissl__alloc(units, sizeof(double));
    r->dprime = nissl__alloc(units, sizeof(double));
    r->auroc = nissl__alloc(units, sizeof(double));
    r->lifetime_sparseness = nissl__alloc(units, sizeof(double));
    r->population_sparseness = nissl__alloc((size_t)r->n_stimuli, sizeof(double));
    return r->mean && r->sd && r->curve && r->curve_se && r->preferred && r->preferred_heldin &&
           r->selectivity && r->selectivity_heldout && r->dprime && r->auroc &&
           r->lifetime_sparseness && r->population_sparseness;
}

static bool allocate_scratch(tile_scratch *scratch, int64_t n_counted, int64_t n_measured,
                             int64_t n_conditions)
{
    size_t cells = (size_t)n_conditions * LANES;
    scratch->tiles = nissl__alloc((size_t)n_counted * TILES * LANES, sizeof(float));
    scratch->mean = nissl__alloc(cells, sizeof(double));
    scratch->mean_b = nissl__alloc(cells, sizeof(double));
    scratch->squares_b = nissl__alloc(cells, sizeof(double));
    scratch->rectified_b = nissl__alloc(cells, sizeof(double));
    scratch->column = nissl__alloc((size_t)n_measured, sizeof(float));
    scratch->sort = nissl__alloc(4 * (size_t)n_measured, sizeof(uint32_t));
    return scratch->tiles && scratch->mean && scratch->mean_b && scratch->squares_b &&
           scratch->rectified_b && scratch->column && scratch->sort;
}

static void free_scratch(tile_scratch *scratch)
{
    nissl__free(scratch->tiles);
    nissl__free(scratch->mean);
    nissl__free(scratch->mean_b);
    nissl__free(scratch->squares_b);
    nissl__free(scratch->rectified_b);
    nissl__free(scratch->column);
    nissl__free(scratch->sort);
}

/* Sorts the stimuli by condition and each condition's into its choosing and its measuring half,
 * which keep the order of the stimuli. */
static nissl_status split(nissl__tuning_work *work, const int32_t *condition, uint64_t seed,
                          nissl_error *err)
{
    nissl_status status = NISSL_OK;
    int64_t n_conditions = work->result.n_conditions, largest = 0;
    int64_t *next = nissl__alloc((size_t)n_conditions, sizeof *next);
    int64_t *members = NULL, *drawn = NULL;
    bool *chooses = NULL;
    if (!next) {
        status = NISSL__NO_MEMORY(err, (size_t)n_conditions * sizeof *next);
        goto done;
    }
    for (int64_t s = 0; s < work->result.n_stimuli; s++)
        if (condition[s] >= 0)
            work->start[condition[s] + 1]++;
    for (int64_t c = 0; c < n_conditions; c++) {
        int64_t n = work->start[c + 1];
        work->n_choosing[c] = n / 2;
        work->measured[c + 1] = work->measured[c] + n - n / 2;
        work->n_nonempty += n > 0;
        largest = NISSL__MAX(largest, n);
        work->start[c + 1] += work->start[c];
        next[c] = work->start[c];
    }
    work->n_counted = work->start[n_conditions];
    work->n_measured = work->measured[n_conditions];
    members = nissl__alloc((size_t)largest, sizeof *members);
    drawn = nissl__alloc((size_t)largest, sizeof *drawn);
    chooses = nissl__alloc((size_t)largest, sizeof *chooses);
    if (!members || !drawn || !chooses) {
        status = NISSL__NO_MEMORY(err, (size_t)largest * sizeof *members);
        goto done;
    }
    for (int64_t s = 0; s < work->result.n_stimuli; s++)
        if (condition[s] >= 0)
            work->order[next[condition[s]]++] = s;
    for (int64_t c = 0; c < n_conditions; c++) {
        int64_t *order = work->order + work->start[c];
        int64_t n = work->start[c + 1] - work->start[c], n_a = work->n_choosing[c], a = 0, b = n_a;
        nissl__random_permutation(seed, (uint64_t)SPLIT_NAME << 32 | (uint64_t)c, n, drawn);
        for (int64_t i = 0; i < n; i++)
            chooses[i] = false;
        for (int64_t i = 0; i < n_a; i++)
            chooses[drawn[i]] = true;
        memcpy(members, order, (size_t)n * sizeof *members);
        for (int64_t i = 0; i < n; i++)
            order[chooses[i] ? a++ : b++] = members[i];
    }
done:
    nissl__free(next);
    nissl__free(members);
    nissl__free(drawn);
    nissl__free(chooses);
    return status;
}

nissl_status nissl__tuning_begin(nissl_context *ctx, int64_t n_stimuli, int64_t n_units,
                                 const int32_t *condition, int64_t n_conditions,
                                 const nissl_tuning_options *opt, nissl__tuning_work **out,
                                 nissl_error *err)
{
    nissl_status status = check_sizes(n_stimuli, n_units, condition, n_conditions, err);
    nissl_tuning_options options = opt ? *opt : nissl_tuning_options_default(ctx);
    nissl__tuning_work *work = NULL;
    size_t n = (size_t)n_stimuli, n_starts = (size_t)n_conditions + 1;
    if (status != NISSL_OK)
        return status;
    work = nissl__alloc(1, sizeof *work);
    if (!work)
        return NISSL__NO_MEMORY(err, sizeof *work);
    work->ctx = ctx;
    work->result.n_stimuli = n_stimuli;
    work->result.n_units = n_units;
    work->result.n_conditions = n_conditions;
    work->order = nissl__alloc(n, sizeof *work->order);
    work->start = nissl__alloc(n_starts, sizeof *work->start);
    work->n_choosing = nissl__alloc(n_starts, sizeof *work->n_choosing);
    work->measured = nissl__alloc(n_starts, sizeof *work->measured);
    work->population = nissl__alloc(n, sizeof *work->population);
    work->scratch = nissl__alloc((size_t)nissl_context_threads(ctx), sizeof *work->scratch);
    if (!work->order || !work->start || !work->n_choosing || !work->measured || !work->population ||
        !work->scratch || !allocate_result(&work->result)) {
        status = NISSL__FAIL(err, NISSL_ERR_MEMORY,
                             "out of memory: tuning of %lld units to %lld conditions",
                             (long long)n_units, (long long)n_conditions);
        goto done;
    }
    work->n_scratch = nissl_context_threads(ctx);
    status = split(work, condition, options.seed, err);
    for (int i = 0; i < work->n_scratch && status == NISSL_OK; i++)
        if (!allocate_scratch(&work->scratch[i], work->n_counted, work->n_measured, n_conditions))
            status = NISSL__FAIL(err, NISSL_ERR_MEMORY,
                                 "out of memory: scratch for %lld stimuli and %lld conditions",
                                 (long long)n_stimuli, (long long)n_conditions);
done:
    if (status == NISSL_OK)
        *out = work;
    else
        nissl__tuning_abandon(work);
    return status;
}

void nissl__tuning_abandon(nissl__tuning_work *work)
{
    if (!work)
        return;
    for (int i = 0; i < work->n_scratch; i++)
        free_scratch(&work->scratch[i]);
    nissl__free(work->scratch);
    nissl__free(work->order);
    nissl__free(work->start);
    nissl__free(work->n_choosing);
    nissl__free(work->measured);
    nissl__free(work->population);
    nissl_tuning_free(&work->result);
    nissl__free(work);
}

/* ---- one tile ---- */

typedef struct block_job {
    nissl__tuning_work *work;
    const float *x;
    int64_t first, n_units;
} block_job;

/* The largest of values that come one condition at a time, per lane. */
typedef struct lane_best {
    double highest[LANES], lowest[LANES];
    int32_t at[LANES];
} lane_best;

static void best_begin(lane_best *best)
{
    for (int l = 0; l < LANES; l++) {
        best->highest[l] = -INFINITY;
        best->lowest[l] = INFINITY;
        best->at[l] = -1;
    }
}

static void best_add(lane_best *best, const double value[LANES], int32_t condition)
{
    for (int l = 0; l < LANES; l++) {
        best->at[l] = value[l] > best->highest[l] ? condition : best->at[l];
        best->highest[l] = value[l] > best->highest[l] ? value[l] : best->highest[l];
        best->lowest[l] = value[l] < best->lowest[l] ? value[l] : best->lowest[l];
    }
}

/* -1 where no two values differ. */
static int32_t best_of(const lane_best *best, int lane)
{
    return best->highest[lane] > best->lowest[lane] ? best->at[lane] : -1;
}

/*
 * Mean, squared deviations from it and mean of max(x, 0) over n >= 1 rows; adds max(x, 0)^2 to
 * rectified_squares.
 */
static void segment_statistics(const float *restrict rows, int64_t n, double mean[restrict LANES],
                               double squares[restrict LANES], double rectified[restrict LANES],
                               double rectified_squares[restrict LANES])
{
    double sum[LANES] = {0}, positive[LANES] = {0}, deviations[LANES] = {0};
    for (int64_t i = 0; i < n; i++)
        for (int l = 0; l < LANES; l++) {
            double value = rows[i * LANES + l];
            double r = value < 0 ? 0 : value;
            sum[l] += value;
            positive[l] += r;
            rectified_squares[l] += r * r;
        }
    for (int l = 0; l < LANES; l++) {
        mean[l] = sum[l] / (double)n;
        rectified[l] = positive[l] / (double)n;
    }
    for (int64_t i = 0; i < n && n > 1; i++)
        for (int l = 0; l < LANES; l++) {
            double d = rows[i * LANES + l] - mean[l];
            deviations[l] += d * d;
        }
    for (int l = 0; l < LANES; l++)
        squares[l] = deviations[l];
}

/* Copies the responses of n_units units; lanes beyond them keep what was there, finite or not, and
 * nobody reads their results. */
static void fill_tiles(const block_job *job, int64_t unit, int64_t n_units, float *tiles)
{
    const nissl__tuning_work *work = job->work;
    for (int64_t i = 0; i < work->n_counted; i++) {
        const float *from = job->x + work->order[i] * job->n_units + unit;
        for (int64_t u = 0; u < n_units; u += LANES)
            memcpy(tiles + (u * work->n_counted + i * LANES), from + u,
                   (size_t)NISSL__MIN(LANES, n_units - u) * sizeof *from);
    }
}

/* Everything that is measured on all stimuli; leaves the measuring half's statistics in scratch and
 * the choices in chosen. unit: of the whole result. */
static void describe(nissl__tuning_work *work, tile_scratch *scratch, int64_t unit, int n_lanes,
                     lane_best *chosen)
{
    nissl_tuning *result = &work->result;
    int64_t n_conditions = result->n_conditions;
    lane_best preferred, selected;
    double squares[LANES] = {0}, total[LANES] = {0}, between[LANES] = {0};
    double rectified_total[LANES] = {0}, rectified_sum[LANES] = {0}, rectified_squares[LANES] = {0};
    best_begin(&preferred);
    best_begin(&selected);
    best_begin(chosen);
    for (int64_t c = 0; c < n_conditions; c++) {
        const float *rows = scratch->rows + work->start[c] * LANES;
        int64_t n = work->start[c + 1] - work->start[c], n_a = work->n_choosing[c], n_b = n - n_a;
        double *mean = scratch->mean + c * LANES, *mean_b = scratch->mean_b + c * LANES;
        double *squares_b = scratch->squares_b + c * LANES;
        double *rectified_b = scratch->rectified_b + c * LANES;
        double mean_a[LANES] = {0}, squares_a[LANES] = {0}, rectified_a[LANES] = {0}, se[LANES];
        double rectified[LANES];
        if (n == 0) {
            for (int l = 0; l < n_lanes; l++)
                result->curve[(unit + l) * n_conditions + c] =
                    result->curve_se[(unit + l) * n_conditions + c] = NAN;
            continue;
        }
        segment_statistics(rows + n_a * LANES, n_b, mean_b, squares_b, rectified_b,
                           rectified_squares);
        if (n_a > 0) {
            segment_statistics(rows, n_a, mean_a, squares_a, rectified_a, rectified_squares);
            best_add(chosen, mean_a, (int32_t)c);
        }
        for (int l = 0; l < LANES; l++) {
            double apart = mean_a[l] - mean_b[l];
            double s = squares_a[l] + squares_b[l] +
                       apart * apart * ((double)n_a * (double)n_b / (double)n);
            double sum = (double)n_a * mean_a[l] + (double)n_b * mean_b[l];
            double sum_rectified = (double)n_a * rectified_a[l] + (double)n_b * rectified_b[l];
            mean[l] = sum / (double)n;
            rectified[l] = sum_rectified / (double)n;
            se[l] = n < 2 ? NAN : sqrt(s / ((double)(n - 1) * (double)n));
            squares[l] += s;
            total[l] += sum;
            rectified_sum[l] += sum_rectified;
            rectified_total[l] += rectified[l];
        }
        best_add(&preferred, mean, (int32_t)c);
        best_add(&selected, rectified, (int32_t)c);
        for (int l = 0; l < n_lanes; l++) {
            result->curve[(unit + l) * n_conditions + c] = mean[l];
            result->curve_se[(unit + l) * n_conditions + c] = se[l];
        }
    }
    for (int l = 0; l < LANES; l++)
        total[l] /= (double)work->n_counted;
    for (int64_t c = 0; c < n_conditions; c++) {
        double n = (double)(work->start[c + 1] - work->start[c]);
        for (int l = 0; l < LANES && n > 0; l++) {
            double d = scratch->mean[c * LANES + l] - total[l];
            between[l] += n * d * d;
        }
    }
    for (int l = 0; l < n_lanes; l++) {
        int64_t u = unit + l;
        double best = selected.highest[l];
        double rest = (rectified_total[l] - best) / (double)(work->n_nonempty - 1);
        result->mean[u] = total[l];
        result->sd[u] = work->n_counted < 2
                            ? NAN
                            : sqrt((squares[l] + between[l]) / (double)(work->n_counted - 1));
        result->preferred[u] = best_of(&preferred, l);
        result->selectivity[u] =
            work->n_nonempty < 2 ? NAN : (best - rest) / (best + rest + NISSL__SELECTIVITY_EPSILON);
        result->lifetime_sparseness[u] =
            nissl__vinje_gallant(rectified_sum[l], rectified_squares[l], work->n_counted);
    }
}

/* The chosen condition against the rest on the measuring half. */
static void measure(nissl__tuning_work *work, tile_scratch *scratch, int64_t unit, int n_lanes,
                    const lane_best *chosen)
{
    nissl_tuning *result = &work->result;
    int64_t n_conditions = result->n_conditions;
    int32_t best[LANES];
    double rest_sum[LANES] = {0}, rest_squares[LANES] = {0}, rest_rectified[LANES] = {0};
    double rest_mean[LANES], n_rest[LANES];
    for (int l = 0; l < LANES; l++) {
        best[l] = best_of(chosen, l);
        n_rest[l] = (double)work->n_measured;
        if (best[l] >= 0)
            n_rest[l] -= (double)(work->measured[best[l] + 1] - work->measured[best[l]]);
    }
    for (int64_t c = 0; c < n_conditions; c++) {
        double n = (double)(work->measured[c + 1] - work->measured[c]);
        for (int l = 0; l < LANES && n > 0; l++) {
            double keep = best[l] == c ? 0 : 1;
            rest_sum[l] += keep * n * scratch->mean_b[c * LANES + l];
            rest_rectified[l] += keep * scratch->rectified_b[c * LANES + l];
        }
    }
    for (int l = 0; l < LANES; l++)
        rest_mean[l] = rest_sum[l] / n_rest[l];
    for (int64_t c = 0; c < n_conditions; c++) {
        double n = (double)(work->measured[c + 1] - work->measured[c]);
        for (int l = 0; l < LANES && n > 0; l++) {
            double keep = best[l] == c ? 0 : 1;
            double d = scratch->mean_b[c * LANES + l] - rest_mean[l];
            rest_squares[l] += keep * (scratch->squares_b[c * LANES + l] + n * d * d);
        }
    }
    for (int l = 0; l < n_lanes; l++) {
        int64_t u = unit + l, b = best[l];
        result->preferred_heldin[u] = best[l];
        result->dprime[u] = result->auroc[u] = result->selectivity_heldout[u] = NAN;
        if (b < 0)
            continue;
        int64_t n_best = work->measured[b + 1] - work->measured[b];
        double r_best = scratch->rectified_b[b * LANES + l];
        double r_rest = rest_rectified[l] / (double)(work->n_nonempty - 1);
        double mean = scratch->mean_b[b * LANES + l];
        result->selectivity_heldout[u] =
            (r_best - r_rest) / (r_best + r_rest + NISSL__SELECTIVITY_EPSILON);
        if (n_best > 1 && n_rest[l] > 1) {
            double variance = scratch->squares_b[b * LANES + l] / (double)(n_best - 1);
            double rest_variance = rest_squares[l] / (n_rest[l] - 1);
            result->dprime[u] = (mean - rest_mean[l]) / sqrt((variance + rest_variance) / 2);
        }
        float *column = scratch->column;
        for (int64_t c = 0; c < n_conditions; c++) {
            const float *rows = scratch->rows + (work->start[c] + work->n_choosing[c]) * LANES + l;
            for (int64_t i = work->measured[c]; i < work->measured[c + 1]; i++, rows += LANES)
                column[i] = *rows;
        }
        /* Counted against all of the half: among themselves the best make n_best^2. */
        uint64_t twice = nissl__count_below_twice(column + work->measured[b], n_best, column,
                                                  work->n_measured, scratch->sort) -
                         (uint64_t)n_best * (uint64_t)n_best;
        result->auroc[u] = (double)twice / (2 * (double)n_best * n_rest[l]);
    }
}

static void erase_unit(nissl_tuning *result, int64_t u)
{
    for (int64_t c = 0; c < result->n_conditions; c++)
        result->curve[u * result->n_conditions + c] =
            result->curve_se[u * result->n_conditions + c] = NAN;
    result->mean[u] = result->sd[u] = result->selectivity[u] = result->selectivity_heldout[u] = NAN;
    result->dprime[u] = result->auroc[u] = result->lifetime_sparseness[u] = NAN;
    result->preferred[u] = result->preferred_heldin[u] = -1;
}

static void tune_tile(nissl__tuning_work *work, tile_scratch *scratch, int64_t unit, int n_lanes)
{
    lane_best chosen;
    describe(work, scratch, unit, n_lanes, &chosen);
    /* Sums of finite floats cannot overflow a double, so the mean tells if all were finite. */
    for (int l = 0; l < n_lanes; l++)
        if (!isfinite(work->result.mean[unit + l]))
            chosen.highest[l] = chosen.lowest[l] = 0;
    measure(work, scratch, unit, n_lanes, &chosen);
    for (int l = 0; l < n_lanes; l++)
        if (!isfinite(work->result.mean[unit + l]))
            erase_unit(&work->result, unit + l);
}

static nissl_status tiles_task(void *user, int64_t task, int worker, nissl_error *err)
{
    block_job *job = user;
    tile_scratch *scratch = &job->work->scratch[worker];
    int64_t unit = task * TILES * LANES;
    int64_t n_units = NISSL__MIN(TILES * LANES, job->n_units - unit);
    fill_tiles(job, unit, n_units, scratch->tiles);
    for (int64_t u = 0; u < n_units; u += LANES) {
        scratch->rows = scratch->tiles + u * job->work->n_counted;
        tune_tile(job->work, scratch, job->first + unit + u, (int)NISSL__MIN(LANES, n_units - u));
    }
    return NISSL_OK;
}

/* Adds the responses of units to one stimulus' sums. Unit u goes to lane u mod LANES, so that sums
 * depend neither on blocks nor on how wide vectors are. */
static void add_population(population_sums *sums, const float *x, int64_t first, int64_t n_units)
{
    int64_t u = 0;
    int lane = (int)(first % LANES);
    while (u < n_units) {
        int n = (int)NISSL__MIN(LANES - lane, n_units - u);
        if (n == LANES) {
            uint32_t bits[LANES];
            float rectified[LANES];
            memcpy(bits, x + u, sizeof bits);
            for (int l = 0; l < LANES; l++) {
                sums->n_finite[l] += (bits[l] & 0x7fffffffu) < 0x7f800000u;
                bits[l] &= 0u - (bits[l] < 0x7f800000u); /* neither negative nor infinite nor NaN */
            }
            memcpy(rectified, bits, sizeof bits);
            for (int l = 0; l < LANES; l++) {
                double r = rectified[l];
                sums->rectified[l] += r;
                sums->squares[l] += r * r;
            }
        } else {
            for (int l = lane; l < lane + n; l++) {
                double value = x[u + l - lane];
                double rectified = isfinite(value) && value > 0 ? value : 0;
                sums->rectified[l] += rectified;
                sums->squares[l] += rectified * rectified;
                sums->n_finite[l] += isfinite(value);
            }
        }
        u += n;
        lane = 0;
    }
}

static nissl_status population_task(void *user, int64_t task, int worker, nissl_error *err)
{
    block_job *job = user;
    population_sums sums = job->work->population[task]; /* away from its neighbours' cache lines */
    add_population(&sums, job->x + task * job->n_units, job->first, job->n_units);
    job->work->population[task] = sums;
    return NISSL_OK;
}

nissl_status nissl__tuning_block(nissl__tuning_work *work, const float *x, int64_t first,
                                 int64_t n_units, nissl_error *err)
{
    block_job job = {work, x, first, n_units};
    int64_t per_task = TILES * LANES;
    nissl_status status =
        nissl__parallel(work->ctx, (n_units + per_task - 1) / per_task, tiles_task, &job, err);
    if (status == NISSL_OK)
        status = nissl__parallel(work->ctx, work->result.n_stimuli, population_task, &job, err);
    return status;
}

void nissl__tuning_end(nissl__tuning_work *work, nissl_tuning *out)
{
    for (int64_t s = 0; s < work->result.n_stimuli; s++) {
        const population_sums *sums = &work->population[s];
        double rectified = 0, squares = 0;
        int64_t n_finite = 0;
        for (int l = 0; l < LANES; l++) {
            rectified += sums->rectified[l];
            squares += sums->squares[l];
            n_finite += sums->n_finite[l];
        }
        work->result.population_sparseness[s] = nissl__vinje_gallant(rectified, squares, n_finite);
    }
    *out = work->result;
    work->result = (nissl_tuning){0};
}

nissl_status nissl_tuning_compute(nissl_context *ctx, const float *x, int64_t n_stimuli,
                                  int64_t n_units, const int32_t *condition, int64_t n_conditions,
                                  const nissl_tuning_options *opt, nissl_tuning *out,
                                  nissl_error *err)
{
    nissl__tuning_work *work = NULL;
    nissl_status status =
        nissl__tuning_begin(ctx, n_stimuli, n_units, condition, n_conditions, opt, &work, err);
    if (status == NISSL_OK)
        status = nissl__tuning_block(work, x, 0, n_units, err);
    if (status == NISSL_OK)
        nissl__tuning_end(work, out);
    nissl__tuning_abandon(work);
    return status;
}
