/*
 * The two tables of an examination: sites beside their twin's, and units.
 */
#include <stddef.h>
#include <stdio.h>

#include "studies/examination.h"

#define NONE INT64_MIN /* a missing integer */

/* ---- sites ---- */

/* What a comparison becomes: columns "<index>_<part>". */
static const struct part {
    const char *name, *description;
    size_t offset;
    bool integer, twin; /* twin: only where one was recorded */
} parts[] = {
#define PART(name, member, integer, twin, description)                                             \
    {                                                                                              \
        name, description, offsetof(nissl__comparison, member), integer, twin                      \
    }
    PART("n", n, true, false, "how many define it"),
    PART("median", quartile[1], false, false, "median"),
    PART("q1", quartile[0], false, false, "first quartile"),
    PART("q3", quartile[2], false, false, "third quartile"),
    PART("twin_n", twin_n, true, true, "how many of the twin define it"),
    PART("twin_median", twin_quartile[1], false, true, "median of the twin"),
    PART("twin_q1", twin_quartile[0], false, true, "first quartile of the twin"),
    PART("twin_q3", twin_quartile[2], false, true, "third quartile of the twin"),
    PART("beyond_twin", beyond, false, true, "share above the 95th percentile of the twin"),
    PART("exceeds_twin", exceeds, false, true,
         "probability that one of the network exceeds one of the twin (area under the ROC curve)"),
    PART("exceeds_twin_low", low, false, true,
         "lower end of its 95 % interval, 1000 bootstrap resamples of units"),
    PART("exceeds_twin_high", high, false, true, "upper end of that interval"),
#undef PART
};

/* The indices of a site, and those of a site and a factor. */
static const struct index {
    const char *name, *description;
    size_t offset;
    bool of_factor, interval;
} indices[] = {
    {"lifetime_sparseness",
     "Vinje-Gallant sparseness of a unit's rectified responses over all stimuli",
     offsetof(nissl__site_summary, lifetime), false, true},
    {"population_sparseness",
     "Vinje-Gallant sparseness of rectified responses over units, per stimulus",
     offsetof(nissl__site_summary, population), false, false},
    {"selectivity", "Selectivity index of the best condition, all stimuli",
     offsetof(nissl__factor_summary, selectivity), true, true},
    {"selectivity_heldout",
     "Selectivity index of the condition chosen on one half of the stimuli, measured on the other",
     offsetof(nissl__factor_summary, heldout), true, false},
    {"auroc", "Area under the ROC curve, best condition against the rest, on the held-out half",
     offsetof(nissl__factor_summary, auroc), true, true},
    {"dprime", "d', best condition against the rest, on the held-out half",
     offsetof(nissl__factor_summary, dprime), true, false},
};

#define N_PARTS   (sizeof parts / sizeof parts[0])
#define N_INDICES (sizeof indices / sizeof indices[0])

static bool has_part(const struct index *index, const struct part *part, bool twin)
{
    const bool interval = part->offset == offsetof(nissl__comparison, low) ||
                          part->offset == offsetof(nissl__comparison, high);
    return (twin || !part->twin) && (index->interval || !interval);
}

static nissl_status add_comparison_columns(nissl_table *table, bool twin, nissl_error *err)
{
    for (size_t i = 0; i < N_INDICES; i++)
        for (size_t p = 0; p < N_PARTS; p++) {
            char name[96], description[256];
            if (!has_part(&indices[i], &parts[p], twin))
                continue;
            snprintf(name, sizeof name, "%s_%s", indices[i].name, parts[p].name);
            snprintf(description, sizeof description, "%s: %s.", indices[i].description,
                     parts[p].description);
            const nissl_status status = nissl_table_add_column(
                table, parts[p].integer ? NISSL_COLUMN_INTEGER : NISSL_COLUMN_REAL, name, "1",
                description, NULL, err);
            if (status != NISSL_OK)
                return status;
        }
    return NISSL_OK;
}

/* Fills the comparison columns of a row, which begin at column. factor is NULL where none is. */
static void set_comparisons(nissl_table *table, int64_t row, int column, bool twin,
                            const nissl__site_summary *site, const nissl__factor_summary *factor)
{
    for (size_t i = 0; i < N_INDICES; i++) {
        const char *base = indices[i].of_factor ? (const char *)factor : (const char *)site;
        for (size_t p = 0; p < N_PARTS; p++) {
            if (!has_part(&indices[i], &parts[p], twin))
                continue;
            if (base != NULL && parts[p].integer)
                memcpy(&table->columns[column].integer[row],
                       base + indices[i].offset + parts[p].offset, sizeof(int64_t));
            else if (base != NULL)
                memcpy(&table->columns[column].real[row],
                       base + indices[i].offset + parts[p].offset, sizeof(double));
            column++;
        }
    }
}

enum {
    SITE,
    OP,
    NODE,
    SHAPE,
    UNITS,
    POSITIONS,
    PARAMETERS,
    OPERATIONS,
    CONSTANT,
    TWIN_CONSTANT,
    FACTOR,
    CONDITIONS,
    STIMULI,
    FEWEST,
    MOST,
    N_SITE_COLUMNS
};

static const struct column {
    const char *name, *unit, *description;
    nissl_column_type type;
} site_columns[N_SITE_COLUMNS] = {
    [SITE] = {"site", "", "Name of the tensor.", NISSL_COLUMN_TEXT},
    [OP] = {"op", "", "Operator that makes it.", NISSL_COLUMN_TEXT},
    [NODE] = {"node", "", "Name of its node.", NISSL_COLUMN_TEXT},
    [SHAPE] = {"shape", "", "Shape for one stimulus, batch axis first.", NISSL_COLUMN_TEXT},
    [UNITS] = {"units", "1", "Number of units.", NISSL_COLUMN_INTEGER},
    [POSITIONS] = {"positions", "1", "Positions of each unit.", NISSL_COLUMN_INTEGER},
    [PARAMETERS] = {"parameters", "1", "Weight elements of the node.", NISSL_COLUMN_INTEGER},
    [OPERATIONS] = {"operations", "1/stimulus", "Arithmetic operations of the node.",
                    NISSL_COLUMN_REAL},
    [CONSTANT] = {"constant_units", "1", "Units with one and the same value on all stimuli.",
                  NISSL_COLUMN_INTEGER},
    [TWIN_CONSTANT] = {"twin_constant_units", "1", "The same of the twin; missing without one.",
                       NISSL_COLUMN_INTEGER},
    [FACTOR] = {"factor", "", "What units are tuned to in this row; missing where nothing varies.",
                NISSL_COLUMN_TEXT},
    [CONDITIONS] = {"conditions", "1", "Levels of the factor.", NISSL_COLUMN_INTEGER},
    [STIMULI] = {"stimuli", "1", "Stimuli that have a level.", NISSL_COLUMN_INTEGER},
    [FEWEST] = {"fewest_per_condition", "1", "Stimuli of the rarest level.", NISSL_COLUMN_INTEGER},
    [MOST] = {"most_per_condition", "1", "Stimuli of the commonest level.", NISSL_COLUMN_INTEGER},
};

static void format_shape(const nissl_recorded_site *site, char *text, size_t size)
{
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < site->rank && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%lld", i == 0 ? "" : "x",
                              (long long)site->shape[i]);
}

static nissl_status fill_site(nissl_table *table, int64_t row, const nissl_examination *e, size_t i,
                              const nissl__site_summary *summary, nissl_error *err)
{
    const nissl_recorded_site *site = nissl_recording_site(e->recording, i);
    char shape[128];
    format_shape(site, shape, sizeof shape);
    const char *const text[] = {site->name, site->op, site->node, shape};
    for (int c = SITE; c <= SHAPE; c++) {
        const nissl_status status = nissl_table_set_text(table, row, c, text[c], err);
        if (status != NISSL_OK)
            return status;
    }
    table->columns[UNITS].integer[row] = site->n_units;
    table->columns[POSITIONS].integer[row] = site->n_positions;
    table->columns[PARAMETERS].integer[row] = (int64_t)summary->parameters;
    table->columns[OPERATIONS].real[row] = summary->operations;
    table->columns[CONSTANT].integer[row] = summary->constant;
    table->columns[TWIN_CONSTANT].integer[row] = e->twin == NULL ? NONE : summary->twin_constant;
    return NISSL_OK;
}

nissl_status nissl__sites_table(const nissl_examination *e, const nissl__summary *summary,
                                nissl_table *out, nissl_error *err)
{
    const int n_factors = e->n_factors;
    const int per_site = NISSL__MAX(n_factors, 1);
    nissl_table table = {0};
    nissl_status status = nissl_table_new(
        "sites",
        "Each site and factor: size, cost, and the indices of its units beside the twin's.", &table,
        err);
    for (int c = 0; c < N_SITE_COLUMNS && status == NISSL_OK; c++)
        status =
            nissl_table_add_column(&table, site_columns[c].type, site_columns[c].name,
                                   site_columns[c].unit, site_columns[c].description, NULL, err);
    if (status == NISSL_OK)
        status = add_comparison_columns(&table, e->twin != NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_rows(&table, (int64_t)e->n_sites * per_site, err);
    for (int64_t row = 0; row < table.n_rows && status == NISSL_OK; row++) {
        const size_t site = (size_t)(row / per_site);
        const int f = (int)(row % per_site);
        status = fill_site(&table, row, e, site, &summary->sites[site], err);
        if (status == NISSL_OK && n_factors > 0) {
            const nissl_factor *factor = nissl_recording_factor(e->recording, e->factors[f]);
            table.columns[CONDITIONS].integer[row] = factor->n_levels;
            table.columns[STIMULI].integer[row] = summary->designs[f].n_stimuli;
            table.columns[FEWEST].integer[row] = summary->designs[f].fewest;
            table.columns[MOST].integer[row] = summary->designs[f].most;
            status = nissl_table_set_text(&table, row, FACTOR, factor->name, err);
        }
        if (status == NISSL_OK)
            set_comparisons(&table, row, N_SITE_COLUMNS, e->twin != NULL, &summary->sites[site],
                            n_factors > 0 ? &summary->factors[row] : NULL);
    }
    if (status == NISSL_OK) {
        *out = table;
        table = (nissl_table){0};
    }
    nissl_table_free(&table);
    return status;
}

/* ---- units ---- */

enum { MEAN, SD, FREQUENCY, TOP, BOTTOM, PREFERRED_VALUE, VECTOR_STRENGTH, N_UNIT_COLUMNS };

static const struct column unit_columns[N_UNIT_COLUMNS] = {
    [MEAN] = {"mean", "1", "Mean response over all stimuli.", NISSL_COLUMN_REAL},
    [SD] = {"sd", "1", "Standard deviation of the response over all stimuli.", NISSL_COLUMN_REAL},
    [FREQUENCY] = {"frequency", "1", "Share of stimuli and positions at which the unit is > 0.",
                   NISSL_COLUMN_REAL},
    [TOP] = {"top_stimulus", "", "Stimulus of the largest response.", NISSL_COLUMN_TEXT},
    [BOTTOM] = {"bottom_stimulus", "", "Stimulus of the smallest response.", NISSL_COLUMN_TEXT},
    [PREFERRED_VALUE] = {"preferred_value", "",
                         "Preferred value of a numeric factor, in its unit: the direction of the "
                         "vector sum of the rectified curve where the factor is circular, else the "
                         "peak of a parabola through the best level and its neighbours.",
                         NISSL_COLUMN_REAL},
    [VECTOR_STRENGTH] = {"vector_strength", "1",
                         "Length of that vector sum over the sum of the rectified curve: 0 flat, 1 "
                         "one level; only for circular factors.",
                         NISSL_COLUMN_REAL},
};

/* Values of the levels of a numeric factor; NaN where none is known. value: [n_levels] */
static void level_values(const nissl_factor *factor, int64_t n_stimuli, double *value)
{
    for (int k = 0; k < factor->n_levels; k++)
        value[k] = NAN;
    for (int64_t i = 0; i < n_stimuli && factor->value != NULL; i++)
        if (factor->level[i] >= 0)
            value[factor->level[i]] = factor->value[i];
}

/* Vector sum of a rectified tuning curve over a circular factor. */
static void circular_preference(const double *curve, const double *value, int64_t n, double period,
                                double *preferred, double *strength)
{
    const double turn = 2.0 * 3.14159265358979323846 / period;
    double x = 0.0, y = 0.0, sum = 0.0;
    for (int64_t k = 0; k < n; k++) {
        const double r = curve[k] > 0.0 ? curve[k] : 0.0; /* an empty level is NaN: 0 */
        x += r * cos(turn * value[k]);
        y += r * sin(turn * value[k]);
        sum += r;
    }
    *preferred = *strength = NAN;
    if (!(sum > 0.0))
        return;
    *strength = hypot(x, y) / sum;
    if (*strength < 1e-12)
        return; /* no direction */
    const double angle = atan2(y, x) / turn;
    *preferred = angle < 0.0 ? angle + period : angle;
}

/* Peak of the parabola through the largest value of a curve and its neighbours; the level itself at
 * the ends. Levels are sorted. */
static double peak(const double *curve, const double *value, int64_t n, int32_t best)
{
    if (best < 0)
        return NAN;
    if (best == 0 || best == n - 1)
        return value[best];
    const double *x = value + best - 1, *y = curve + best - 1;
    const double left = (y[1] - y[0]) * (x[1] - x[2]), right = (y[1] - y[2]) * (x[1] - x[0]);
    const double bend = left - right;
    if (isnan(bend) || bend == 0.0)
        return x[1];
    const double at =
        x[1] - 0.5 * (left * (x[1] - x[2]) - right * (x[1] - x[0])) / bend; /* the vertex */
    return NISSL__MIN(NISSL__MAX(at, x[0]), x[2]);
}

/* The rows of one site: its frequency and exemplars, where they were recorded. */
typedef struct site_arrays {
    nissl_array frequency, top, bottom, mean, variance;
} site_arrays;

static void free_arrays(site_arrays *arrays)
{
    nissl_array_free(&arrays->frequency);
    nissl_array_free(&arrays->top);
    nissl_array_free(&arrays->bottom);
    nissl_array_free(&arrays->mean);
    nissl_array_free(&arrays->variance);
}

/* A float64 array's element, NaN where it was not recorded. */
static double element(const nissl_array *array, int64_t unit)
{
    return array->data == NULL || array->type != NISSL_FLOAT64 || unit >= array->shape[0]
               ? NAN
               : ((const double *)array->data)[unit];
}

static nissl_status read_site(const nissl_recording *recording, size_t site, site_arrays *out,
                              nissl_error *err)
{
    static const char *const names[] = {"frequency/frequency", "exemplars/top_stimulus",
                                        "exemplars/bottom_stimulus", "moments/mean",
                                        "moments/variance"};
    nissl_array *const arrays[] = {&out->frequency, &out->top, &out->bottom, &out->mean,
                                   &out->variance};
    for (int i = 0; i < 5; i++) {
        if (!nissl_recording_has(recording, site, names[i]))
            continue;
        const nissl_status status =
            nissl_recording_array(recording, site, names[i], arrays[i], err);
        if (status != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

static nissl_status set_exemplar(const nissl_recording *recording, const nissl_array *array,
                                 int64_t unit, nissl_table *table, int64_t row, int column,
                                 nissl_error *err)
{
    if (array->data == NULL || array->type != NISSL_INT64 || array->rank != 2 ||
        unit >= array->shape[0])
        return NISSL_OK;
    const int64_t stimulus = ((const int64_t *)array->data)[unit * array->shape[1]];
    if (stimulus < 0 || stimulus >= nissl_recording_n_stimuli(recording))
        return NISSL_OK;
    return nissl_table_set_text(table, row, column,
                                nissl_recording_stimulus_id(recording, stimulus), err);
}

/* Fills what does not depend on a factor in the rows of one site. column: where each lies */
static nissl_status fill_activity(const nissl_examination *e, int64_t n_units,
                                  const site_arrays *arrays, nissl_table *table, int64_t first_row,
                                  const int *column, nissl_error *err)
{
    for (int64_t u = 0; u < n_units; u++) {
        const int64_t row = first_row + u;
        table->columns[column[MEAN]].real[row] = element(&arrays->mean, u);
        table->columns[column[SD]].real[row] = sqrt(element(&arrays->variance, u));
        table->columns[column[FREQUENCY]].real[row] = element(&arrays->frequency, u);
        nissl_status status =
            set_exemplar(e->recording, &arrays->top, u, table, row, column[TOP], err);
        if (status == NISSL_OK)
            status =
                set_exemplar(e->recording, &arrays->bottom, u, table, row, column[BOTTOM], err);
        if (status != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

/* Fills preferred values in the rows of one site and factor. */
static nissl_status fill_preferences(const nissl_examination *e, const nissl_tuning *t,
                                     const nissl_factor *factor, nissl_table *table,
                                     int64_t first_row, const int *column, nissl_error *err)
{
    const double period = nissl__factor_period(factor);
    double *value = nissl__alloc((size_t)factor->n_levels, sizeof *value);
    if (value == NULL)
        return NISSL__NO_MEMORY(err, (size_t)factor->n_levels * sizeof *value);
    level_values(factor, nissl_recording_n_stimuli(e->recording), value);
    for (int64_t u = 0; u < t->n_units; u++) {
        const double *curve = t->curve + u * t->n_conditions;
        double preferred = NAN, strength = NAN;
        if (period > 0.0)
            circular_preference(curve, value, t->n_conditions, period, &preferred, &strength);
        else if (factor->value != NULL)
            preferred = peak(curve, value, t->n_conditions, t->preferred[u]);
        table->columns[column[PREFERRED_VALUE]].real[first_row + u] = preferred;
        table->columns[column[VECTOR_STRENGTH]].real[first_row + u] = strength;
    }
    nissl__free(value);
    return NISSL_OK;
}

/* Rows of a recording without factors: the mean and variance that the moments reducer saw. */
static nissl_status add_untuned(const nissl_examination *e, nissl_table *table, nissl_error *err)
{
    int64_t row = 0;
    nissl_status status = nissl_table_add_column(table, NISSL_COLUMN_TEXT, "site", "",
                                                 "Name of the tensor.", NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(table, NISSL_COLUMN_INTEGER, "unit", "1",
                                        "Index along the site's unit axis.", NULL, err);
    for (size_t i = 0; i < e->n_sites && status == NISSL_OK; i++) {
        const nissl_recorded_site *site = nissl_recording_site(e->recording, i);
        status = nissl_table_add_rows(table, site->n_units, err);
        for (int64_t u = 0; u < site->n_units && status == NISSL_OK; u++, row++) {
            status = nissl_table_set_text(table, row, 0, site->name, err);
            table->columns[1].integer[row] = u;
        }
    }
    return status;
}

/* Columns that tuning does not write; those that it does are found by name. */
static nissl_status add_unit_columns(nissl_table *table, int *column, nissl_error *err)
{
    for (int c = 0; c < N_UNIT_COLUMNS; c++) {
        column[c] = nissl_table_find(table, unit_columns[c].name);
        if (column[c] >= 0 && table->columns[column[c]].type == unit_columns[c].type)
            continue;
        const nissl_status status = nissl_table_add_column(
            table, unit_columns[c].type, unit_columns[c].name, unit_columns[c].unit,
            unit_columns[c].description, &column[c], err);
        if (status != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

nissl_status nissl__units_table(const nissl_examination *e, nissl_table *out, nissl_error *err)
{
    nissl_table table = {0};
    site_arrays arrays = {0};
    int column[N_UNIT_COLUMNS];
    int64_t row = 0;
    nissl_status status = nissl_table_new(
        "units", "Each unit and factor: preferred condition, indices, exemplars.", &table, err);
    for (size_t i = 0; i < e->n_sites * (size_t)e->n_factors && status == NISSL_OK; i++)
        status = nissl_tuning_to_table(
            &e->tuning[i], nissl_recording_site(e->recording, i / (size_t)e->n_factors)->name,
            nissl_recording_factor(e->recording, e->factors[i % (size_t)e->n_factors]), &table,
            err);
    if (status == NISSL_OK && e->n_factors == 0)
        status = add_untuned(e, &table, err);
    if (status == NISSL_OK)
        status = add_unit_columns(&table, column, err);
    for (size_t i = 0; i < e->n_sites && status == NISSL_OK; i++) {
        const int64_t n_units = nissl_recording_site(e->recording, i)->n_units;
        status = read_site(e->recording, i, &arrays, err);
        for (int f = 0; f < NISSL__MAX(e->n_factors, 1) && status == NISSL_OK; f++) {
            status = fill_activity(e, n_units, &arrays, &table, row, column, err);
            if (status == NISSL_OK && e->n_factors > 0)
                status = fill_preferences(e, &e->tuning[i * (size_t)e->n_factors + (size_t)f],
                                          nissl_recording_factor(e->recording, e->factors[f]),
                                          &table, row, column, err);
            row += n_units;
        }
        free_arrays(&arrays);
    }
    if (status == NISSL_OK) {
        *out = table;
        table = (nissl_table){0};
    }
    nissl_table_free(&table);
    return status;
}
