/*
 * Demixed principal components.
 *
 * With means X [units, cells] = A S B^T (thin) and the marginal X_p = X M_p, M_p an average over
 * cells, the regression of X_p on X is C = X_p B S (S^2 + penalty)^-1 A^T, and C X = A G with G = S
 * (B^T M_p B) S^2 (S^2 + penalty)^-1 B^T of min(units, cells) rows. Encoders are A times the left
 * singular vectors of G, decoders C^T times encoders.
 */
#include <float.h>
#include <stdio.h>

#include "math/linear.h"
#include "math/matrix.h"
#include "nissl/population.h"

#define MOST_CELLS  ((int64_t)1 << 20)
#define LEAVE_NAME  ((uint64_t)0x6470 << 48) /* "dp": keeps its streams apart */
#define N_PENALTIES 9

nissl_dpca_options nissl_dpca_options_default(const nissl_context *ctx)
{
    return (nissl_dpca_options){
        .n_components = 10, .n_repeats = 10, .seed = nissl_context_seed(ctx)};
}

void nissl_dpca_free(nissl_dpca *dpca)
{
    if (!dpca)
        return;
    for (int p = 0; dpca->parts && p < dpca->n_parts; p++) {
        nissl__free(dpca->parts[p].decoder);
        nissl__free(dpca->parts[p].encoder);
        nissl__free(dpca->parts[p].explained);
        nissl__free(dpca->parts[p].projected);
    }
    nissl__free(dpca->parts);
    nissl__free(dpca->mean);
    *dpca = (nissl_dpca){0};
}

/* ---- cells and marginals ---- */

typedef struct design {
    int n_factors, n_parts;
    const int *n_levels;
    int64_t n_cells, n_samples, n_units;
    int64_t *cell;  /* [n_samples of the input] or -1 */
    int64_t *count; /* [n_cells] */
    uint32_t part[1 << NISSL_DPCA_MAX_FACTORS];
} design;

static int n_bits(uint32_t set)
{
    return __builtin_popcount(set);
}

/* Single factors first, then pairs and so on, each in order. */
static void list_parts(design *d)
{
    for (int size = 1; size <= d->n_factors; size++)
        for (uint32_t set = 1; set < 1u << d->n_factors; set++)
            if (n_bits(set) == size)
                d->part[d->n_parts++] = set;
}

static nissl_status make_design(int64_t n, const int32_t *const *level, const int *n_levels,
                                int n_factors, int64_t most, design *d, nissl_error *err)
{
    if (n_factors < 1 || n_factors > NISSL_DPCA_MAX_FACTORS)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%d factors are outside 1 .. %d", n_factors,
                           NISSL_DPCA_MAX_FACTORS);
    d->n_factors = n_factors;
    d->n_levels = n_levels;
    d->n_cells = 1;
    for (int f = 0; f < n_factors; f++) {
        if (n_levels[f] < 2)
            return NISSL__FAIL(err, NISSL_ERR_RANGE, "factor %d has %d levels, fewer than 2", f,
                               n_levels[f]);
        if (d->n_cells > MOST_CELLS / n_levels[f])
            return NISSL__FAIL(err, NISSL_ERR_LIMIT, "more than %lld combinations of levels",
                               (long long)MOST_CELLS);
        d->n_cells *= n_levels[f];
    }
    d->cell = nissl__alloc((size_t)n, sizeof *d->cell);
    d->count = nissl__alloc((size_t)d->n_cells, sizeof *d->count);
    if (!d->cell || !d->count)
        return NISSL__NO_MEMORY(err, (size_t)(n + d->n_cells) * sizeof *d->cell);
    for (int64_t i = 0; i < n; i++) {
        for (int f = 0; f < n_factors; f++) {
            int32_t k = level[f][i];
            if (k < -1 || k >= n_levels[f])
                return NISSL__FAIL(err, NISSL_ERR_RANGE,
                                   "level %d of factor %d at sample %lld is outside -1 .. %d",
                                   (int)k, f, (long long)i, n_levels[f] - 1);
            if (d->cell[i] >= 0)
                d->cell[i] = k < 0 ? -1 : d->cell[i] * n_levels[f] + k;
        }
        if (d->cell[i] >= 0)
            d->count[d->cell[i]]++;
    }
    for (int64_t c = 0; c < d->n_cells; c++)
        if (d->count[c] < most) {
            char text[64];
            size_t at = 0;
            int64_t rest = c, below = d->n_cells;
            for (int f = 0; f < n_factors && at < sizeof text; f++) {
                below /= n_levels[f];
                at += (size_t)snprintf(text + at, sizeof text - at, "%s%lld", f ? ", " : "",
                                       (long long)(rest / below));
                rest %= below;
            }
            return NISSL__FAIL(
                err, NISSL_ERR_SHAPE,
                "the levels (%s) have %lld samples together; at least %lld are needed", text,
                (long long)d->count[c], (long long)most);
        }
    list_parts(d);
    return NISSL_OK;
}

/* Means over cells [n_cells, m] of samples, leaving out those of skip (NULL = none), which is a
 * sample of each cell. */
static void cell_means(const design *d, const double *a, int64_t n, const int64_t *skip,
                       double *mean)
{
    int64_t m = d->n_units;
    memset(mean, 0, (size_t)(d->n_cells * m) * sizeof *mean);
    for (int64_t i = 0; i < n; i++)
        if (d->cell[i] >= 0 && (!skip || skip[d->cell[i]] != i))
            for (int64_t j = 0; j < m; j++)
                mean[d->cell[i] * m + j] += a[i * m + j];
    for (int64_t c = 0; c < d->n_cells; c++)
        for (int64_t j = 0; j < m; j++)
            mean[c * m + j] /= (double)(d->count[c] - (skip != NULL));
}

/*
 * The part of rows [n_cells, k] that the factors of a set have alone: alternating sums of averages,
 * built by averaging over one factor after the other: over those outside the set it is the mean,
 * over those inside the values less the mean.
 */
static void marginalise(const design *d, uint32_t set, double *a, int64_t k, double *scratch)
{
    int64_t stride = d->n_cells;
    for (int f = 0; f < d->n_factors; f++) {
        int64_t levels = d->n_levels[f], outer;
        stride /= levels;
        outer = d->n_cells / (levels * stride);
        for (int64_t o = 0; o < outer; o++)
            for (int64_t s = 0; s < stride; s++) {
                double *first = a + (o * levels * stride + s) * k;
                memset(scratch, 0, (size_t)k * sizeof *scratch);
                for (int64_t l = 0; l < levels; l++)
                    for (int64_t j = 0; j < k; j++)
                        scratch[j] += first[l * stride * k + j] / (double)levels;
                for (int64_t l = 0; l < levels; l++)
                    for (int64_t j = 0; j < k; j++) {
                        double *value = &first[l * stride * k + j];
                        *value = set >> f & 1 ? *value - scratch[j] : scratch[j];
                    }
            }
    }
}

/* ---- fitting ---- */

/* Means as A S B^T. */
typedef struct factors {
    int64_t r;
    double *units; /* [r, m] A^T */
    double *s;     /* [r] */
    double *cells; /* [n_cells, r] B */
    double squares;
} factors;

static void free_factors(factors *f)
{
    nissl__free(f->units);
    nissl__free(f->s);
    nissl__free(f->cells);
    *f = (factors){0};
}

/* mean: [n_cells, m], spent; its grand mean was removed. */
static nissl_status factorise(const design *d, double *mean, factors *f, nissl_error *err)
{
    int64_t c = d->n_cells, m = d->n_units, k = NISSL__MIN(c, m);
    nissl_status status;
    f->units = nissl__alloc((size_t)(k * m), sizeof(double));
    f->s = nissl__alloc((size_t)k, sizeof(double));
    f->cells = nissl__alloc((size_t)(c * k), sizeof(double));
    if (!f->units || !f->s || !f->cells)
        return NISSL__NO_MEMORY(err, (size_t)((c + m) * k) * sizeof(double));
    f->squares = nissl__dot(mean, mean, c * m);
    status = nissl__svd(c, m, mean, f->s, f->cells, f->units, err);
    if (status != NISSL_OK)
        return status;
    while (f->r < k && f->s[f->r] > (double)NISSL__MAX(c, m) * DBL_EPSILON * f->s[0])
        f->r++;
    for (int64_t i = 0; i < c; i++)
        memmove(f->cells + i * f->r, f->cells + i * k, (size_t)f->r * sizeof(double));
    return NISSL_OK;
}

/*
 * Components of one part in the space of A: left [r, k] singular vectors of G as columns, decoders
 * in the same space [k, r]. Returns their number. penalty: absolute.
 */
static nissl_status fit_part(const design *d, const factors *f, uint32_t set, double penalty,
                             int64_t most, double *left, double *decoder, int64_t *n_components,
                             nissl_error *err)
{
    int64_t c = d->n_cells, r = f->r, k = NISSL__MIN(r, c);
    nissl_status status = NISSL_OK;
    double *part = nissl__alloc((size_t)(c * r), 8), *cross = nissl__alloc((size_t)(r * r), 8);
    double *g = nissl__alloc((size_t)(r * c), 8), *v = nissl__alloc((size_t)(k * c), 8);
    double *u = nissl__alloc((size_t)(r * k), 8), *s = nissl__alloc((size_t)k, 8);
    double *scratch = nissl__alloc((size_t)r, 8);
    *n_components = 0;
    if (!part || !cross || !g || !v || !u || !s || !scratch) {
        status = NISSL__NO_MEMORY(err, (size_t)(r * c) * sizeof(double));
        goto done;
    }
    memcpy(part, f->cells, (size_t)(c * r) * sizeof *part);
    marginalise(d, set, part, r, scratch);
    /* cross = S (M_p B)^T B S (S^2 + penalty)^-1, so that C = A cross A^T and G = cross S B^T */
    nissl__matmul(true, false, r, r, c, 1, part, r, f->cells, r, 0, cross, r);
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++)
            cross[i * r + j] *= f->s[i] * f->s[j] / (f->s[j] * f->s[j] + penalty);
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < r; j++)
            part[i * r + j] = f->cells[i * r + j] * f->s[j];
    nissl__matmul(false, true, r, c, r, 1, cross, r, part, r, 0, g, c);
    status = nissl__svd(r, c, g, s, u, v, err);
    if (status != NISSL_OK)
        goto done;
    /* below: rounding of averages of B that cancel */
    while (*n_components < NISSL__MIN(k, most) &&
           s[*n_components] * s[*n_components] > 1e-24 * f->squares)
        ++*n_components;
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < *n_components; j++)
            left[i * *n_components + j] = u[i * k + j];
    nissl__matmul(true, false, *n_components, r, r, 1, left, *n_components, cross, r, 0, decoder,
                  r);

done:
    nissl__free(part);
    nissl__free(cross);
    nissl__free(g);
    nissl__free(v);
    nissl__free(u);
    nissl__free(s);
    nissl__free(scratch);
    return status;
}

/* Makes public arrays of a part, and measures. */
static nissl_status make_part(const design *d, const factors *f, uint32_t set, double penalty,
                              int64_t most, nissl_dpca_part *out, nissl_error *err)
{
    int64_t m = d->n_units, r = f->r, c = d->n_cells, k;
    double *left = nissl__alloc((size_t)(r * r), 8), *decoder = nissl__alloc((size_t)(r * r), 8);
    double *cells = nissl__alloc((size_t)(c * r), 8), *part = nissl__alloc((size_t)(c * r), 8);
    double *scratch = nissl__alloc((size_t)r, 8);
    double *seen = nissl__alloc((size_t)c, 8), *own = nissl__alloc((size_t)c, 8);
    nissl_status status = NISSL_OK;
    out->factors = set;
    if (!left || !decoder || !cells || !part || !scratch || !seen || !own) {
        status = NISSL__NO_MEMORY(err, (size_t)(c * r) * sizeof(double));
        goto done;
    }
    status = fit_part(d, f, set, penalty, most, left, decoder, &out->n_components, err);
    if (status != NISSL_OK)
        goto done;
    k = out->n_components;
    out->decoder = nissl__alloc((size_t)(k * m), sizeof(double));
    out->encoder = nissl__alloc((size_t)(k * m), sizeof(double));
    out->explained = nissl__alloc((size_t)k, sizeof(double));
    out->projected = nissl__alloc((size_t)k, sizeof(double));
    if (!out->decoder || !out->encoder || !out->explained || !out->projected) {
        status = NISSL__NO_MEMORY(err, (size_t)(k * m) * sizeof(double));
        goto done;
    }
    nissl__matmul(false, false, k, m, r, 1, decoder, r, f->units, m, 0, out->decoder, m);
    nissl__matmul(true, false, k, m, r, 1, left, k, f->units, m, 0, out->encoder, m);
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < r; j++)
            cells[i * r + j] = part[i * r + j] = f->cells[i * r + j] * f->s[j];
    marginalise(d, set, part, r, scratch);
    out->variance = nissl__dot(part, part, c * r) / f->squares;
    for (int64_t j = 0; j < k; j++) {
        double *e = out->encoder + j * m, both = 0;
        int64_t top = 0;
        /* |X_p|^2 - |X_p - f d X_p|^2 = 2 (f X_p) . (d X_p) - |d X_p|^2, and (f X_p) . (d X_p) = (f
         * X_p) . (d X) since X_p is an average of X over cells */
        nissl__matvec(false, c, r, cells, r, decoder + j * r, seen);
        nissl__matvec(false, c, r, part, r, decoder + j * r, own);
        for (int64_t i = 0; i < r; i++)
            scratch[i] = left[i * k + j];
        for (int64_t i = 0; i < c; i++)
            both += own[i] * nissl__dot(part + i * r, scratch, r);
        out->projected[j] = nissl__dot(seen, seen, c) / f->squares;
        out->explained[j] = (2 * both - nissl__dot(own, own, c)) / f->squares;
        for (int64_t i = 1; i < m; i++)
            if (fabs(e[i]) > fabs(e[top]))
                top = i;
        for (int64_t i = 0, flip = e[top] < 0; i < m && flip; i++) {
            e[i] = -e[i];
            out->decoder[j * m + i] = -out->decoder[j * m + i];
        }
    }

done:
    nissl__free(left);
    nissl__free(decoder);
    nissl__free(cells);
    nissl__free(part);
    nissl__free(scratch);
    nissl__free(seen);
    nissl__free(own);
    return status;
}

/* ---- choosing the penalty ---- */

static double penalty_at(int index)
{
    return index == 0 ? 0 : pow(10, index - N_PENALTIES + 1);
}

/* Adds, for every penalty, the error of predicting the marginals of means that lack one sample a
 * cell from that sample. */
static nissl_status leave_out(const design *d, const double *a, int64_t n,
                              const nissl_dpca_options *o, int repeat, double *error,
                              nissl_error *err)
{
    int64_t c = d->n_cells, m = d->n_units, r, k;
    int64_t *skip = nissl__alloc((size_t)c, sizeof *skip), *seen = nissl__alloc((size_t)c, 8);
    double *mean = nissl__alloc((size_t)(c * m), 8), *held = nissl__alloc((size_t)(c * m), 8);
    double *coordinates = NULL, *part = NULL, *left = NULL, *decoder = NULL, *guess = NULL;
    double *scratch = NULL, *score = NULL;
    factors f = {0};
    nissl_status status = NISSL_OK;
    if (!skip || !seen || !mean || !held) {
        status = NISSL__NO_MEMORY(err, (size_t)(c * m) * sizeof *mean);
        goto done;
    }
    for (int64_t i = 0; i < c; i++)
        skip[i] =
            nissl__random_below(o->seed, LEAVE_NAME | (uint64_t)repeat, (uint64_t)i, d->count[i]);
    for (int64_t i = 0; i < n; i++) { /* from its number in the cell to that in the input */
        int64_t cell = d->cell[i];
        if (cell >= 0 && seen[cell]++ == skip[cell] && skip[cell] >= 0) {
            memcpy(held + cell * m, a + i * m, (size_t)m * sizeof *held);
            skip[cell] = -1 - i;
        }
    }
    for (int64_t i = 0; i < c; i++)
        skip[i] = -1 - skip[i];
    cell_means(d, a, n, skip, mean);
    nissl__center_columns(mean, c, m, NULL);
    nissl__center_columns(held, c, m, NULL);
    status = factorise(d, mean, &f, err);
    if (status != NISSL_OK)
        goto done;
    r = f.r;
    coordinates = nissl__alloc((size_t)(c * r), 8);
    part = nissl__alloc((size_t)(c * r), 8);
    guess = nissl__alloc((size_t)(c * r), 8);
    left = nissl__alloc((size_t)(r * r), 8);
    decoder = nissl__alloc((size_t)(r * r), 8);
    scratch = nissl__alloc((size_t)r, 8);
    score = nissl__alloc((size_t)(c * r), 8);
    if (!coordinates || !part || !guess || !left || !decoder || !scratch || !score) {
        status = NISSL__NO_MEMORY(err, (size_t)(c * r) * sizeof *part);
        goto done;
    }
    nissl__matmul(false, true, c, r, m, 1, held, m, f.units, m, 0, coordinates, r);
    for (int p = 0; p < d->n_parts; p++) {
        for (int64_t i = 0; i < c; i++)
            for (int64_t j = 0; j < r; j++)
                part[i * r + j] = f.cells[i * r + j] * f.s[j];
        marginalise(d, d->part[p], part, r, scratch);
        for (int i = 0; i < N_PENALTIES; i++) {
            status = fit_part(d, &f, d->part[p], penalty_at(i) * f.squares, o->n_components, left,
                              decoder, &k, err);
            if (status != NISSL_OK)
                goto done;
            memcpy(guess, part, (size_t)(c * r) * sizeof *guess);
            nissl__matmul(false, true, c, k, r, 1, coordinates, r, decoder, r, 0, score, k);
            nissl__matmul(false, true, c, r, k, -1, score, k, left, k, 1, guess, r);
            error[i] += nissl__dot(guess, guess, c * r) / f.squares;
        }
    }

done:
    free_factors(&f);
    nissl__free(skip);
    nissl__free(seen);
    nissl__free(mean);
    nissl__free(held);
    nissl__free(coordinates);
    nissl__free(part);
    nissl__free(guess);
    nissl__free(left);
    nissl__free(decoder);
    nissl__free(scratch);
    nissl__free(score);
    return status;
}

typedef struct leave_job {
    const design *d;
    const double *a;
    int64_t n;
    const nissl_dpca_options *o;
    double *error; /* [repeats, N_PENALTIES] */
} leave_job;

static nissl_status leave_task(void *user, int64_t task, int worker, nissl_error *err)
{
    leave_job *job = user;
    return leave_out(job->d, job->a, job->n, job->o, (int)task, job->error + task * N_PENALTIES,
                     err);
}

static nissl_status choose_penalty(nissl_context *ctx, const design *d, const double *a, int64_t n,
                                   const nissl_dpca_options *o, double *penalty, nissl_error *err)
{
    leave_job job = {d, a, n, o, nissl__alloc((size_t)o->n_repeats * N_PENALTIES, 8)};
    double best = INFINITY;
    nissl_status status;
    if (!job.error)
        return NISSL__NO_MEMORY(err, (size_t)o->n_repeats * N_PENALTIES * sizeof(double));
    status = nissl__parallel(ctx, o->n_repeats, leave_task, &job, err);
    for (int i = 0; i < N_PENALTIES && status == NISSL_OK; i++) {
        double sum = 0;
        for (int repeat = 0; repeat < o->n_repeats; repeat++)
            sum += job.error[repeat * N_PENALTIES + i];
        if (sum < best) {
            best = sum;
            *penalty = penalty_at(i);
        }
    }
    nissl__free(job.error);
    return status;
}

/* ---- all of it ---- */

nissl_status nissl_dpca_compute(nissl_context *ctx, const nissl_view *x,
                                const int32_t *const *level, const int *n_levels, int n_factors,
                                const nissl_dpca_options *opt, nissl_dpca *out, nissl_error *err)
{
    nissl_dpca_options o = opt ? *opt : nissl_dpca_options_default(ctx);
    nissl_dpca r = {0};
    design d = {0};
    factors f = {0};
    double *a = NULL, *mean = NULL;
    bool automatic = o.penalty < 0;
    int64_t n;
    nissl_status status = nissl__matrix_load(x, "x", 2, &a, err);
    if (status != NISSL_OK)
        return status;
    if (o.n_components < 1 || !(o.penalty < INFINITY) || (automatic && o.n_repeats < 1)) {
        status =
            NISSL__FAIL(err, NISSL_ERR_RANGE, "n_components = %lld, penalty = %g, n_repeats = %d",
                        (long long)o.n_components, o.penalty, o.n_repeats);
        goto done;
    }
    n = x->shape[0];
    d.n_units = r.n_units = x->shape[1];
    status = make_design(n, level, n_levels, n_factors, automatic ? 2 : 1, &d, err);
    if (status != NISSL_OK)
        goto done;
    r.n_cells = d.n_cells;
    r.n_factors = n_factors;
    r.n_parts = d.n_parts;
    mean = nissl__alloc((size_t)(d.n_cells * d.n_units), sizeof *mean);
    r.mean = nissl__alloc((size_t)d.n_units, sizeof(double));
    r.parts = nissl__alloc((size_t)d.n_parts, sizeof *r.parts);
    if (!mean || !r.mean || !r.parts) {
        status = NISSL__NO_MEMORY(err, (size_t)(d.n_cells * d.n_units) * sizeof *mean);
        goto done;
    }
    r.penalty = o.penalty;
    if (automatic)
        status = choose_penalty(ctx, &d, a, n, &o, &r.penalty, err);
    if (status != NISSL_OK)
        goto done;
    cell_means(&d, a, n, NULL, mean);
    nissl__center_columns(mean, d.n_cells, d.n_units, r.mean);
    status = factorise(&d, mean, &f, err);
    if (status == NISSL_OK && f.r == 0)
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE, "no mean response of %lld units differs",
                             (long long)d.n_units);
    for (int p = 0; p < d.n_parts && status == NISSL_OK; p++)
        status =
            make_part(&d, &f, d.part[p], r.penalty * f.squares, o.n_components, &r.parts[p], err);
    if (status == NISSL_OK) {
        *out = r;
        r = (nissl_dpca){0};
    }

done:
    nissl_dpca_free(&r);
    free_factors(&f);
    nissl__free(d.cell);
    nissl__free(d.count);
    nissl__free(a);
    nissl__free(mean);
    return status;
}
