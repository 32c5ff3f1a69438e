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
     offsetof(nissl__factor_summary, heldout), true, true},
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

/* What is added to the columns of tuning. Mean and deviation only where nothing was tuned to,
 * values at the best stimulus only where something was. */
enum { FREQUENCY, TOP, BOTTOM, MEAN, SD, N_UNIT_COLUMNS, VALUE_AT_BEST = MEAN, STRENGTH_AT_BEST };

static const struct column unit_columns[N_UNIT_COLUMNS] = {
    [FREQUENCY] = {"frequency", "1", "Share of stimuli and positions at which the unit is > 0.",
                   NISSL_COLUMN_REAL},
    [TOP] = {"top_stimulus", "", "Stimulus of the largest response.", NISSL_COLUMN_TEXT},
    [BOTTOM] = {"bottom_stimulus", "", "Stimulus of the smallest response.", NISSL_COLUMN_TEXT},
    [MEAN] = {"mean", "1", "Mean response over stimuli.", NISSL_COLUMN_REAL},
    [SD] = {"sd", "1", "Standard deviation of the response over stimuli.", NISSL_COLUMN_REAL},
};

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

/* Fills the added columns, which begin at first_column, in the rows of one site. */
static nissl_status fill_activity(const nissl_examination *e, int64_t n_units,
                                  const site_arrays *arrays, nissl_table *table, int64_t first_row,
                                  int first_column, nissl_error *err)
{
    nissl_column *column = table->columns + first_column;
    for (int64_t u = 0; u < n_units; u++) {
        const int64_t row = first_row + u;
        column[FREQUENCY].real[row] = element(&arrays->frequency, u);
        nissl_status status =
            set_exemplar(e->recording, &arrays->top, u, table, row, first_column + TOP, err);
        if (status == NISSL_OK)
            status = set_exemplar(e->recording, &arrays->bottom, u, table, row,
                                  first_column + BOTTOM, err);
        if (status != NISSL_OK)
            return status;
        if (e->n_factors > 0)
            continue;
        column[MEAN].real[row] = element(&arrays->mean, u);
        column[SD].real[row] = sqrt(element(&arrays->variance, u));
    }
    return NISSL_OK;
}

static const struct column tuned_columns[] = {
    {"preferred_value_at_best", "",
     "Preferred value of a numeric factor where all other factors are those of the unit's best "
     "stimulus; the plain preferred value averages over them.",
     NISSL_COLUMN_REAL},
    {"vector_strength_at_best", "1", "1 - circular variance of that curve, for circular factors.",
     NISSL_COLUMN_REAL},
};

/* Rows of a recording without factors. */
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

nissl_status nissl__units_table(const nissl_examination *e, nissl_table *out, nissl_error *err)
{
    nissl_table table = {0};
    site_arrays arrays = {0};
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
    const int first_column = table.n_columns;
    for (int c = 0; c < N_UNIT_COLUMNS && status == NISSL_OK; c++) {
        const struct column *column =
            c >= MEAN && e->n_factors > 0 ? &tuned_columns[c - MEAN] : &unit_columns[c];
        status = nissl_table_add_column(&table, column->type, column->name, column->unit,
                                        column->description, NULL, err);
    }
    for (size_t i = 0; i < e->n_sites && status == NISSL_OK; i++) {
        const int64_t n_units = nissl_recording_site(e->recording, i)->n_units;
        status = read_site(e->recording, i, &arrays, err);
        for (int f = 0; f < NISSL__MAX(e->n_factors, 1) && status == NISSL_OK; f++) {
            status = fill_activity(e, n_units, &arrays, &table, row, first_column, err);
            if (status == NISSL_OK && e->n_factors > 0)
                status = nissl_examination_preferences(
                    e, e->recording, i, f, &table.columns[first_column + VALUE_AT_BEST].real[row],
                    &table.columns[first_column + STRENGTH_AT_BEST].real[row], err);
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
