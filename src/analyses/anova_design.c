/*
 * The design of an analysis of variance: cells, effects and for each effect an orthonormal basis
 * of what it adds to the effects that it is adjusted for.
 *
 * A row of the model belongs to a cell, weighted by the square root of its samples. Columns are
 * sum-to-zero codes and their products. Orthogonalising twice (Gram-Schmidt; Giraud, Langou and
 * Rozloznik 2005) keeps them orthogonal to rounding; a column of which less than 1e-10 is left is a
 * combination of those before it and adds no degree of freedom.
 */
#include "analyses/anova.h"

#define MAX_COLUMNS 1024
#define MAX_CELLS   4096
#define DEPENDENT   1e-10

typedef struct sample_cell {
    int64_t cell, sample;
} sample_cell;

/* A growing orthonormal set of vectors. */
typedef struct span {
    double *vectors; /* [n, length] */
    int64_t n, length;
} span;

typedef struct model {
    int n_factors, n_effects;
    int n_levels[NISSL_ANOVA_MAX_FACTORS]; /* that occur */
    uint32_t *effect;                      /* [n_effects] */
    int64_t n_columns;                     /* of all effects */
    int64_t *first_column;                 /* [n_effects + 1] */
    int64_t n_cells;
    int32_t *cell_level; /* [n_cells, n_factors] */
    double *weight;      /* [n_cells] square root of the samples */
    double *columns;     /* [n_columns, n_cells] weighted codes */
    double *span_memory; /* [n_columns + 1, n_cells] */
} model;

void nissl__anova_design_free(nissl__anova_design *design)
{
    nissl__free(design->order);
    nissl__free(design->start);
    for (int e = 0; e < design->n_effects && design->basis; e++)
        nissl__free(design->basis[e]);
    nissl__free(design->basis);
    nissl__free(design->lack);
    *design = (nissl__anova_design){0};
}

static void model_free(model *m)
{
    nissl__free(m->first_column);
    nissl__free(m->cell_level);
    nissl__free(m->weight);
    nissl__free(m->columns);
    nissl__free(m->span_memory);
}

static int by_cell(const void *a, const void *b)
{
    const sample_cell *x = a, *y = b;
    if (x->cell != y->cell)
        return x->cell < y->cell ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* ---- cells ---- */

static nissl_status check_levels(int64_t n_samples, const int32_t *const *level,
                                 const int *n_levels, int n_factors, nissl_error *err)
{
    int64_t n_combinations = 1;
    if (n_factors < 1 || n_factors > NISSL_ANOVA_MAX_FACTORS)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "n_factors = %d is outside 1 .. %d", n_factors,
                           NISSL_ANOVA_MAX_FACTORS);
    for (int k = 0; k < n_factors; k++) {
        if (n_levels[k] < 1 || !nissl__mul(n_combinations, n_levels[k], &n_combinations))
            return NISSL__FAIL(err, NISSL_ERR_RANGE, "factor %d has %d levels", k, n_levels[k]);
        for (int64_t i = 0; i < n_samples; i++)
            if (level[k][i] < -1 || level[k][i] >= n_levels[k])
                return NISSL__FAIL(err, NISSL_ERR_RANGE,
                                   "level %d of factor %d at sample %lld is outside -1 .. %d",
                                   level[k][i], k, (long long)i, n_levels[k] - 1);
    }
    return NISSL_OK;
}

/* Sorts the samples by cell. sorted: [n_samples] */
static nissl_status find_cells(int64_t n_samples, const int32_t *const *level, const int *n_levels,
                               sample_cell *sorted, nissl__anova_design *design, model *m,
                               nissl_error *err)
{
    int64_t n = 0, c = -1;
    for (int64_t i = 0; i < n_samples; i++) {
        int64_t cell = 0;
        bool counts = true;
        for (int k = 0; k < m->n_factors; k++) {
            counts = counts && level[k][i] >= 0;
            cell = cell * n_levels[k] + (counts ? level[k][i] : 0);
        }
        if (counts)
            sorted[n++] = (sample_cell){cell, i};
    }
    if (n == 0)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "none of %lld samples has a level of all %d factors",
                           (long long)n_samples, m->n_factors);
    qsort(sorted, (size_t)n, sizeof *sorted, by_cell);
    for (int64_t i = 0; i < n; i++)
        m->n_cells += i == 0 || sorted[i].cell != sorted[i - 1].cell;
    if (m->n_cells > MAX_CELLS)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "the design has %lld cells, more than %d",
                           (long long)m->n_cells, MAX_CELLS);
    design->n_counted = n;
    design->n_cells = m->n_cells;
    design->order = nissl__alloc((size_t)n, sizeof *design->order);
    design->start = nissl__alloc((size_t)m->n_cells + 1, sizeof *design->start);
    m->weight = nissl__alloc((size_t)m->n_cells, sizeof *m->weight);
    m->cell_level = nissl__alloc((size_t)m->n_cells * (size_t)m->n_factors, sizeof *m->cell_level);
    if (!design->order || !design->start || !m->weight || !m->cell_level)
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *design->order);
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || sorted[i].cell != sorted[i - 1].cell) {
            design->start[++c] = i;
            for (int k = 0; k < m->n_factors; k++)
                m->cell_level[c * m->n_factors + k] = level[k][sorted[i].sample];
        }
        design->order[i] = sorted[i].sample;
    }
    design->start[m->n_cells] = n;
    for (c = 0; c < m->n_cells; c++)
        m->weight[c] = sqrt((double)(design->start[c + 1] - design->start[c]));
    return NISSL_OK;
}

/* Numbers the levels that occur from 0 on: an empty one is no level. */
static nissl_status drop_empty_levels(const int *n_levels, model *m, nissl_error *err)
{
    for (int k = 0; k < m->n_factors; k++) {
        int32_t *number = nissl__alloc((size_t)n_levels[k], sizeof *number);
        if (!number)
            return NISSL__NO_MEMORY(err, (size_t)n_levels[k] * sizeof *number);
        for (int64_t c = 0; c < m->n_cells; c++)
            number[m->cell_level[c * m->n_factors + k]] = 1;
        for (int i = 0; i < n_levels[k]; i++)
            if (number[i])
                number[i] = m->n_levels[k]++;
        for (int64_t c = 0; c < m->n_cells; c++) {
            int32_t *level = &m->cell_level[c * m->n_factors + k];
            *level = number[*level];
        }
        nissl__free(number);
    }
    return NISSL_OK;
}

/* ---- effects and their columns ---- */

static int n_bits(uint32_t set)
{
    return __builtin_popcount(set);
}

static nissl_status list_effects(int max_order, model *m, nissl_anova *result, nissl_error *err)
{
    uint32_t n_sets = 1u << m->n_factors;
    m->effect = result->effect = nissl__alloc(n_sets, sizeof *m->effect);
    result->df = nissl__alloc(n_sets, sizeof *result->df);
    m->first_column = nissl__alloc((size_t)n_sets + 1, sizeof *m->first_column);
    if (!m->effect || !result->df || !m->first_column)
        return NISSL__NO_MEMORY(err, n_sets * sizeof *result->df);
    for (int order = 1; order <= max_order; order++)
        for (uint32_t set = 1; set < n_sets; set++) {
            int64_t n = 1;
            if (n_bits(set) != order)
                continue;
            for (int k = 0; k < m->n_factors; k++)
                if (set >> k & 1u && !nissl__mul(n, m->n_levels[k] - 1, &n))
                    n = MAX_COLUMNS + 1;
            m->n_columns += NISSL__MIN(n, MAX_COLUMNS + 1);
            if (m->n_columns >= MAX_COLUMNS)
                return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                                   "the model has more than %d columns: lower max_order = %d",
                                   MAX_COLUMNS, max_order);
            m->effect[m->n_effects++] = set;
            m->first_column[m->n_effects] = m->n_columns;
        }
    result->n_effects = m->n_effects;
    return NISSL_OK;
}

/* Sum-to-zero code of a level in the column of another: 1 at that, -1 at the last, else 0. */
static double code(int32_t level, int column, int n_levels)
{
    return level == column ? 1 : level == n_levels - 1 ? -1 : 0;
}

static void fill_columns(const model *m)
{
    for (int e = 0; e < m->n_effects; e++)
        for (int64_t j = m->first_column[e]; j < m->first_column[e + 1]; j++)
            for (int64_t c = 0; c < m->n_cells; c++) {
                double value = m->weight[c];
                int64_t digits = j - m->first_column[e];
                for (int k = 0; k < m->n_factors; k++) {
                    if (!(m->effect[e] >> k & 1u))
                        continue;
                    value *= code(m->cell_level[c * m->n_factors + k],
                                  (int)(digits % (m->n_levels[k] - 1)), m->n_levels[k]);
                    digits /= m->n_levels[k] - 1;
                }
                m->columns[j * m->n_cells + c] = value;
            }
}

/* ---- orthogonal bases ---- */

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Adds what is new in a vector, if anything. Room for it is the caller's business. */
static void span_add(span *s, const double *vector)
{
    double *v = s->vectors + s->n * s->length, before = sqrt(dot(vector, vector, s->length)), left;
    memcpy(v, vector, (size_t)s->length * sizeof *v);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t j = 0; j < s->n; j++) {
            const double *q = s->vectors + j * s->length;
            double along = dot(q, v, s->length);
            for (int64_t i = 0; i < s->length; i++)
                v[i] -= along * q[i];
        }
    left = sqrt(dot(v, v, s->length));
    if (!(left > DEPENDENT * before))
        return;
    for (int64_t i = 0; i < s->length; i++)
        v[i] /= left;
    s->n++;
}

static void span_add_effect(span *s, const model *m, int e)
{
    for (int64_t j = m->first_column[e]; j < m->first_column[e + 1]; j++)
        span_add(s, m->columns + j * m->n_cells);
}

/* The constant, in a span with room for the whole model. */
static span span_of_mean(const model *m)
{
    span s = {.vectors = m->span_memory, .length = m->n_cells};
    span_add(&s, m->weight);
    return s;
}

static nissl_status effect_basis(const model *m, int e, nissl_anova_sums sums,
                                 nissl__anova_design *design, nissl_anova *result, nissl_error *err)
{
    span s = span_of_mean(m);
    int64_t n_others;
    size_t bytes;
    for (int o = 0; o < m->n_effects; o++) {
        bool contains = (m->effect[o] & m->effect[e]) == m->effect[e];
        if (o != e && (sums == NISSL_ANOVA_TYPE_III || !contains))
            span_add_effect(&s, m, o);
    }
    n_others = s.n;
    span_add_effect(&s, m, e);
    result->df[e] = s.n - n_others;
    bytes = (size_t)(result->df[e] * m->n_cells) * sizeof(double);
    design->basis[e] = nissl__alloc(bytes, 1);
    if (!design->basis[e])
        return NISSL__NO_MEMORY(err, bytes);
    memcpy(design->basis[e], s.vectors + n_others * m->n_cells, bytes);
    return NISSL_OK;
}

/* What of the cells the whole model leaves. */
static nissl_status lack_basis(const model *m, nissl_anova_sums sums, nissl__anova_design *design,
                               nissl_anova *result, nissl_error *err)
{
    span s = span_of_mean(m);
    int64_t rank, n_cells = m->n_cells;
    double *unit = NULL, *all = NULL;
    nissl_status status = NISSL_OK;
    for (int e = 0; e < m->n_effects; e++)
        span_add_effect(&s, m, e);
    rank = s.n;
    if (sums == NISSL_ANOVA_TYPE_III && rank < m->n_columns + 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "type III sums of squares need samples in every cell: the model has "
                           "%lld columns, the %lld cells with samples allow %lld; use type II or a "
                           "lower max_order",
                           (long long)m->n_columns + 1, (long long)n_cells, (long long)rank);
    result->df_error = design->n_counted - rank;
    design->n_lack = n_cells - rank;
    all = nissl__alloc((size_t)n_cells * ((size_t)n_cells + 1), sizeof *all);
    unit = nissl__alloc((size_t)n_cells, sizeof *unit);
    design->lack = nissl__alloc((size_t)(design->n_lack * n_cells), sizeof *design->lack);
    if (!all || !unit || !design->lack) {
        status = NISSL__NO_MEMORY(err, (size_t)n_cells * (size_t)n_cells * sizeof *all);
        goto done;
    }
    memcpy(all, s.vectors, (size_t)(rank * n_cells) * sizeof *all);
    s.vectors = all;
    /* Each unit vector that is passed over lies in the span, so in the end the span is the whole.
     */
    for (int64_t c = 0; c < n_cells && s.n < n_cells; c++) {
        unit[c] = 1;
        span_add(&s, unit);
        unit[c] = 0;
    }
    memcpy(design->lack, all + rank * n_cells,
           (size_t)(design->n_lack * n_cells) * sizeof *design->lack);
done:
    nissl__free(all);
    nissl__free(unit);
    return status;
}

nissl_status nissl__anova_design_new(int64_t n_samples, const int32_t *const *level,
                                     const int *n_levels, int n_factors,
                                     const nissl_anova_options *opt, nissl__anova_design *design,
                                     nissl_anova *result, nissl_error *err)
{
    model m = {.n_factors = n_factors};
    sample_cell *sorted = NULL;
    int max_order = opt->max_order ? NISSL__MIN(opt->max_order, n_factors) : n_factors;
    nissl_status status = check_levels(n_samples, level, n_levels, n_factors, err);
    if (status != NISSL_OK)
        return status;
    if (opt->max_order < 0 || (unsigned)opt->sums > NISSL_ANOVA_TYPE_III)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "max_order = %d, sums = %d", opt->max_order,
                           (int)opt->sums);
    sorted = nissl__alloc((size_t)n_samples, sizeof *sorted);
    if (!sorted)
        return NISSL__NO_MEMORY(err, (size_t)n_samples * sizeof *sorted);
    status = find_cells(n_samples, level, n_levels, sorted, design, &m, err);
    if (status == NISSL_OK)
        status = drop_empty_levels(n_levels, &m, err);
    if (status == NISSL_OK)
        status = list_effects(max_order, &m, result, err);
    if (status != NISSL_OK)
        goto done;
    result->n_factors = n_factors;
    result->n_samples = design->n_counted;
    m.columns = nissl__alloc((size_t)(m.n_columns * m.n_cells), sizeof *m.columns);
    /* One more than can be kept, for the vector that is looked at. */
    m.span_memory = nissl__alloc((size_t)((m.n_columns + 2) * m.n_cells), sizeof *m.span_memory);
    design->basis = nissl__alloc((size_t)m.n_effects, sizeof *design->basis);
    if (!m.columns || !m.span_memory || !design->basis) {
        status = NISSL__NO_MEMORY(err, (size_t)(m.n_columns * m.n_cells) * sizeof *m.columns);
        goto done;
    }
    design->n_effects = m.n_effects;
    fill_columns(&m);
    status = lack_basis(&m, opt->sums, design, result, err);
    for (int e = 0; e < m.n_effects && status == NISSL_OK; e++)
        status = effect_basis(&m, e, opt->sums, design, result, err);
done:
    nissl__free(sorted);
    model_free(&m);
    return status;
}
