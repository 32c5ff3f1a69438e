/*
 * Analysis of variance of all units at once.
 *
 * The design is the same for every unit, and within a cell of the crossed factors its rows are
 * equal. So the work is split in two: once for the design, an orthonormal basis of what each effect
 * adds to the others, over cells weighted by their number of samples (anova_design.c); and for each
 * unit, sums over the samples of each cell and the squared lengths of their projections (here).
 */
#include <stdio.h>

#include "analyses/anova.h"
#include "math/distribution.h"

#define LANES 16

nissl_anova_options nissl_anova_options_default(void)
{
    return (nissl_anova_options){0};
}

void nissl_anova_free(nissl_anova *anova)
{
    if (!anova)
        return;
    nissl__free(anova->effect);
    nissl__free(anova->df);
    nissl__free(anova->mean);
    nissl__free(anova->ss_total);
    nissl__free(anova->ss_error);
    nissl__free(anova->ss);
    nissl__free(anova->f);
    nissl__free(anova->p);
    nissl__free(anova->omega2);
    nissl__free(anova->partial_omega2);
    *anova = (nissl_anova){0};
}

void nissl_anova_effect_name(const nissl_anova *anova, int effect, const char *const *factor_names,
                             char *name, size_t n)
{
    size_t at = 0;
    if (n)
        name[0] = '\0';
    for (int k = 0; k < anova->n_factors && at < n; k++)
        if (anova->effect[effect] >> k & 1u)
            at += (size_t)snprintf(name + at, n - at, "%s%s", at ? ":" : "", factor_names[k]);
}

/* ---- one tile of units ---- */

typedef struct tile {
    double *rows;  /* [n_counted, LANES] */
    double *cells; /* [n_cells, LANES] */
} tile;

typedef struct anova_job {
    const nissl_view *x;
    const nissl__anova_design *design;
    nissl_anova *result;
    tile *tiles; /* one per worker */
} anova_job;

static void fill_rows(const anova_job *job, int64_t unit, int n_lanes, double *rows,
                      double shift[LANES])
{
    const nissl_view *x = job->x;
    for (int64_t i = 0; i < job->design->n_counted; i++) {
        int64_t at = job->design->order[i] * x->stride[0] + unit * x->stride[1];
        for (int l = 0; l < n_lanes; l++, at += x->stride[1])
            rows[i * LANES + l] = x->type == NISSL_FLOAT32 ? (double)((const float *)x->data)[at]
                                                           : ((const double *)x->data)[at];
        for (int l = n_lanes; l < LANES; l++)
            rows[i * LANES + l] = 0;
    }
    /* From the first sample on, so that a constant unit is exactly 0 and a large mean costs no
     * digits. */
    memcpy(shift, rows, LANES * sizeof *rows);
    for (int64_t i = 0; i < job->design->n_counted; i++)
        for (int l = 0; l < LANES; l++)
            rows[i * LANES + l] -= shift[l];
}

/* Adds the squared lengths of the projections of cells on n rows of a basis. */
static void add_projections(const double *basis, int64_t n, const double *cells, int64_t n_cells,
                            double squares[LANES])
{
    for (int64_t j = 0; j < n; j++) {
        double product[LANES] = {0};
        for (int64_t c = 0; c < n_cells; c++)
            for (int l = 0; l < LANES; l++)
                product[l] += basis[j * n_cells + c] * cells[c * LANES + l];
        for (int l = 0; l < LANES; l++)
            squares[l] += product[l] * product[l];
    }
}

/* Within-cell squares and, in cells, sqrt(n) (cell mean - mean), whose squares are those between
 * cells and whose projections those of the effects. */
static void sum_cells(const nissl__anova_design *design, tile *t, double mean[LANES],
                      double within[LANES], double between[LANES])
{
    for (int l = 0; l < LANES; l++)
        mean[l] = within[l] = between[l] = 0;
    for (int64_t c = 0; c < design->n_cells; c++) {
        const double *rows = t->rows + design->start[c] * LANES;
        int64_t n = design->start[c + 1] - design->start[c];
        double sum[LANES] = {0}, squares[LANES] = {0}, *cell = t->cells + c * LANES;
        for (int64_t i = 0; i < n; i++)
            for (int l = 0; l < LANES; l++)
                sum[l] += rows[i * LANES + l];
        for (int l = 0; l < LANES; l++) {
            mean[l] += sum[l];
            cell[l] = sum[l] / (double)n;
        }
        for (int64_t i = 0; i < n && n > 1; i++)
            for (int l = 0; l < LANES; l++) {
                double d = rows[i * LANES + l] - cell[l];
                squares[l] += d * d;
            }
        for (int l = 0; l < LANES; l++)
            within[l] += squares[l];
    }
    for (int l = 0; l < LANES; l++)
        mean[l] /= (double)design->n_counted;
    for (int64_t c = 0; c < design->n_cells; c++) {
        double *cell = t->cells + c * LANES;
        double weight = sqrt((double)(design->start[c + 1] - design->start[c]));
        for (int l = 0; l < LANES; l++) {
            cell[l] = (cell[l] - mean[l]) * weight;
            between[l] += cell[l] * cell[l];
        }
    }
}

static void write_effect(nissl_anova *r, int64_t unit, int effect, double ss, double ss_total,
                         double ss_error)
{
    int64_t at = unit * r->n_effects + effect;
    double df = (double)r->df[effect], mse = ss_error / (double)r->df_error;
    bool testable = r->df_error > 0 && r->df[effect] > 0;
    double f = testable ? ss / df / mse : NAN; /* 0 / 0 = NaN for a constant unit */
    r->ss[at] = ss;
    r->f[at] = f;
    r->p[at] = nissl__f_upper(f, df, (double)r->df_error);
    r->omega2[at] = testable ? (ss - df * mse) / (ss_total + mse) : NAN;
    r->partial_omega2[at] = isinf(f) ? 1 : df * (f - 1) / (df * (f - 1) + (double)r->n_samples);
}

static nissl_status tile_task(void *user, int64_t task, int worker, nissl_error *err)
{
    anova_job *job = user;
    const nissl__anova_design *design = job->design;
    nissl_anova *r = job->result;
    tile *t = &job->tiles[worker];
    int64_t unit = task * LANES;
    int n_lanes = (int)NISSL__MIN(LANES, r->n_units - unit);
    double shift[LANES], mean[LANES], within[LANES], between[LANES], error[LANES];
    fill_rows(job, unit, n_lanes, t->rows, shift);
    sum_cells(design, t, mean, within, between);
    memcpy(error, within, sizeof error);
    add_projections(design->lack, design->n_lack, t->cells, design->n_cells, error);
    for (int l = 0; l < n_lanes; l++) {
        bool finite = isfinite(between[l] + within[l]);
        r->mean[unit + l] = finite ? shift[l] + mean[l] : NAN;
        r->ss_total[unit + l] = finite ? between[l] + within[l] : NAN;
        r->ss_error[unit + l] = finite ? error[l] : NAN;
    }
    for (int e = 0; e < r->n_effects; e++) {
        double squares[LANES] = {0};
        add_projections(design->basis[e], r->df[e], t->cells, design->n_cells, squares);
        for (int l = 0; l < n_lanes; l++) {
            double total = r->ss_total[unit + l];
            write_effect(r, unit + l, e, isnan(total) ? NAN : squares[l], total,
                         r->ss_error[unit + l]);
        }
    }
    return NISSL_OK;
}

/* ---- all of them ---- */

static bool allocate_result(nissl_anova *r)
{
    size_t units = (size_t)r->n_units, cells = units * (size_t)r->n_effects;
    r->mean = nissl__alloc(units, sizeof(double));
    r->ss_total = nissl__alloc(units, sizeof(double));
    r->ss_error = nissl__alloc(units, sizeof(double));
    r->ss = nissl__alloc(cells, sizeof(double));
    r->f = nissl__alloc(cells, sizeof(double));
    r->p = nissl__alloc(cells, sizeof(double));
    r->omega2 = nissl__alloc(cells, sizeof(double));
    r->partial_omega2 = nissl__alloc(cells, sizeof(double));
    return r->mean && r->ss_total && r->ss_error && r->ss && r->f && r->p && r->omega2 &&
           r->partial_omega2;
}

nissl_status nissl_anova_compute(nissl_context *ctx, const nissl_view *x,
                                 const int32_t *const *level, const int *n_levels, int n_factors,
                                 const nissl_anova_options *opt, nissl_anova *out, nissl_error *err)
{
    nissl_anova_options options = opt ? *opt : nissl_anova_options_default();
    nissl_status status = NISSL_OK;
    nissl__anova_design design = {0};
    nissl_anova result = {0};
    tile *tiles = NULL;
    int n_threads = nissl_context_threads(ctx);
    int64_t bytes;
    if (x->rank != 2 || x->shape[0] < 1 || x->shape[1] < 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "responses need 2 axes, samples and units, of at least 1: rank %d, "
                           "%lld x %lld",
                           x->rank, (long long)(x->rank > 0 ? x->shape[0] : 0),
                           (long long)(x->rank > 1 ? x->shape[1] : 0));
    if (x->type != NISSL_FLOAT32 && x->type != NISSL_FLOAT64)
        return NISSL__FAIL(err, NISSL_ERR_TYPE, "responses are %s, not float32 or float64",
                           nissl_type_name(x->type));
    status = nissl__anova_design_new(x->shape[0], level, n_levels, n_factors, &options, &design,
                                     &result, err);
    if (status != NISSL_OK)
        goto done;
    result.n_units = x->shape[1];
    if (!nissl__mul(result.n_units, 8 * (int64_t)result.n_effects, &bytes)) {
        status = NISSL__FAIL(err, NISSL_ERR_RANGE, "%lld units and %d effects overflow",
                             (long long)result.n_units, result.n_effects);
        goto done;
    }
    tiles = nissl__alloc((size_t)n_threads, sizeof *tiles);
    if (!tiles || !allocate_result(&result)) {
        status = NISSL__NO_MEMORY(err, 5 * bytes);
        goto done;
    }
    for (int i = 0; i < n_threads; i++) {
        tiles[i].rows = nissl__alloc((size_t)design.n_counted * LANES, sizeof(double));
        tiles[i].cells = nissl__alloc((size_t)design.n_cells * LANES, sizeof(double));
        if (!tiles[i].rows || !tiles[i].cells) {
            status = NISSL__NO_MEMORY(err, (size_t)design.n_counted * LANES * sizeof(double));
            goto done;
        }
    }
    anova_job job = {x, &design, &result, tiles};
    status = nissl__parallel(ctx, (result.n_units + LANES - 1) / LANES, tile_task, &job, err);
    if (status == NISSL_OK) {
        *out = result;
        result = (nissl_anova){0};
    }
done:
    for (int i = 0; i < n_threads && tiles; i++) {
        nissl__free(tiles[i].rows);
        nissl__free(tiles[i].cells);
    }
    nissl__free(tiles);
    nissl__anova_design_free(&design);
    nissl_anova_free(&result);
    return status;
}
