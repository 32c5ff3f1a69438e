/* Tuning as rows of a table. */
#include "analyses/tuning.h"

enum {
    SITE,
    UNIT,
    FACTOR,
    PREFERRED,
    PREFERRED_HELDIN,
    MEAN,
    SD,
    SELECTIVITY,
    SELECTIVITY_HELDOUT,
    DPRIME,
    AUROC,
    LIFETIME_SPARSENESS,
    PREFERRED_VALUE,
    VECTOR_STRENGTH,
    N_COLUMNS
};

static const struct {
    nissl_column_type type;
    const char *name, *unit, *description;
} columns[N_COLUMNS] = {
    [SITE] = {NISSL_COLUMN_TEXT, "site", "", "Site of the unit."},
    [UNIT] = {NISSL_COLUMN_INTEGER, "unit", "1", "Index of the unit in its site, from 0."},
    [FACTOR] = {NISSL_COLUMN_TEXT, "factor", "", "Factor whose levels are the conditions."},
    [PREFERRED] = {NISSL_COLUMN_TEXT, "preferred", "",
                   "Condition of the largest mean response over all stimuli."},
    [PREFERRED_HELDIN] = {NISSL_COLUMN_TEXT, "preferred_heldin", "",
                          "Condition of the largest mean response on the choosing half."},
    [MEAN] = {NISSL_COLUMN_REAL, "mean", "1", "Mean response over stimuli."},
    [SD] = {NISSL_COLUMN_REAL, "sd", "1", "Standard deviation of the response over stimuli."},
    [SELECTIVITY] = {NISSL_COLUMN_REAL, "selectivity", "1",
                     "Class selectivity (best - rest) / (best + rest) of rectified means on all "
                     "stimuli; inflated by noise."},
    [SELECTIVITY_HELDOUT] = {NISSL_COLUMN_REAL, "selectivity_heldout", "1",
                             "Class selectivity of the condition chosen on one half of the "
                             "stimuli, measured on the other."},
    [DPRIME] = {NISSL_COLUMN_REAL, "dprime", "1",
                "d' of the condition chosen on one half against the rest, measured on the other."},
    [AUROC] = {NISSL_COLUMN_REAL, "auroc", "1",
               "Area under the ROC curve of the condition chosen on one half against the rest, "
               "measured on the other."},
    [LIFETIME_SPARSENESS] = {NISSL_COLUMN_REAL, "lifetime_sparseness", "1",
                             "Vinje-Gallant sparseness of rectified responses over stimuli."},
    [PREFERRED_VALUE] = {NISSL_COLUMN_REAL, "preferred_value", "",
                         "Preferred value of a numeric factor between its levels, in its unit: "
                         "direction of the vector sum of the rectified curve if circular, else "
                         "peak of the Gaussian through the best level and its neighbours."},
    [VECTOR_STRENGTH] = {NISSL_COLUMN_REAL, "vector_strength", "1",
                         "1 - circular variance of the curve over a circular factor: 0 flat, 1 "
                         "one level only."},
};

/* Where each column is; makes them in a table without columns. */
static nissl_status find_columns(nissl_table *table, int at[N_COLUMNS], nissl_error *err)
{
    nissl_status status = NISSL_OK;
    if (!table->name) {
        nissl_table made = {0};
        status = nissl_table_new("tuning", "Tuning of units to factors, a row per unit and factor.",
                                 &made, err);
        if (status != NISSL_OK)
            return status;
        *table = made;
    }
    for (int c = 0, empty = table->n_columns == 0; c < N_COLUMNS; c++) {
        if (empty)
            status = nissl_table_add_column(table, columns[c].type, columns[c].name,
                                            columns[c].unit, columns[c].description, NULL, err);
        if (status != NISSL_OK)
            return status;
        at[c] = nissl_table_find(table, columns[c].name);
        if (at[c] < 0)
            return NISSL__FAIL(err, NISSL_ERR_NAME, "table %s has no column %s", table->name,
                               columns[c].name);
        if (table->columns[at[c]].type != columns[c].type)
            return NISSL__FAIL(err, NISSL_ERR_TYPE, "table %s: column %s has type %d, not %d",
                               table->name, columns[c].name, (int)table->columns[at[c]].type,
                               (int)columns[c].type);
    }
    return NISSL_OK;
}

void nissl__tuning_prefer(const nissl_factor *factor, const double *curve, const double *value,
                          double *preferred, double *strength)
{
    bool positive = true;
    *preferred = *strength = NAN;
    if (!value)
        return;
    if (strcmp(factor->unit, "deg") == 0) {
        double period = strstr(factor->name, "orientation") ? 180 : 360;
        nissl_tuning_circular(curve, value, factor->n_levels, period, preferred, strength);
        return;
    }
    for (int k = 0; k < factor->n_levels; k++)
        positive = positive && value[k] > 0;
    nissl_tuning_peak(curve, value, factor->n_levels, positive, preferred, NULL);
}

static nissl_status fill_row(const nissl_tuning *t, int64_t unit, const char *site,
                             const nissl_factor *factor, const double *value, nissl_table *table,
                             int64_t row, const int at[N_COLUMNS], nissl_error *err)
{
    const int32_t choices[] = {t->preferred[unit], t->preferred_heldin[unit]};
    const int choice_columns[] = {at[PREFERRED], at[PREFERRED_HELDIN]};
    nissl_column *c = table->columns;
    nissl_status status = nissl_table_set_text(table, row, at[SITE], site, err);
    if (status == NISSL_OK)
        status = nissl_table_set_text(table, row, at[FACTOR], factor->name, err);
    for (int i = 0; i < 2 && status == NISSL_OK; i++)
        if (choices[i] >= 0)
            status = nissl_table_set_text(table, row, choice_columns[i], factor->levels[choices[i]],
                                          err);
    c[at[UNIT]].integer[row] = unit;
    c[at[MEAN]].real[row] = t->mean[unit];
    c[at[SD]].real[row] = t->sd[unit];
    c[at[SELECTIVITY]].real[row] = t->selectivity[unit];
    c[at[SELECTIVITY_HELDOUT]].real[row] = t->selectivity_heldout[unit];
    c[at[DPRIME]].real[row] = t->dprime[unit];
    c[at[AUROC]].real[row] = t->auroc[unit];
    c[at[LIFETIME_SPARSENESS]].real[row] = t->lifetime_sparseness[unit];
    nissl__tuning_prefer(factor, t->curve + unit * t->n_conditions, value,
                         &c[at[PREFERRED_VALUE]].real[row], &c[at[VECTOR_STRENGTH]].real[row]);
    return status;
}

/* Takes rows from first on away again. */
static void drop_rows(nissl_table *table, int64_t first)
{
    for (int c = 0; c < table->n_columns; c++)
        for (int64_t r = first; r < table->n_rows; r++) {
            nissl_column *column = &table->columns[c];
            if (column->type == NISSL_COLUMN_TEXT) {
                nissl__free(column->text[r]);
                column->text[r] = NULL;
            } else if (column->type == NISSL_COLUMN_REAL) {
                column->real[r] = NAN;
            } else {
                column->integer[r] = INT64_MIN;
            }
        }
    table->n_rows = first;
}

nissl_status nissl_tuning_to_table(const nissl_tuning *tuning, const char *site,
                                   const nissl_factor *factor, nissl_table *table, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    int at[N_COLUMNS];
    int64_t first = 0;
    double *value = NULL;
    if (factor->n_levels != tuning->n_conditions)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "factor %s has %d levels, its tuning %lld",
                           factor->name, factor->n_levels, (long long)tuning->n_conditions);
    status = find_columns(table, at, err);
    if (status != NISSL_OK)
        return status;
    if (factor->value) { /* a label may be written in digits without being a number */
        value = nissl__alloc((size_t)factor->n_levels, sizeof *value);
        if (!value)
            return NISSL__NO_MEMORY(err, (size_t)factor->n_levels * sizeof *value);
        if (nissl_tuning_level_values(factor, value, NULL) != NISSL_OK) {
            nissl__free(value);
            value = NULL;
        }
    }
    first = table->n_rows;
    status = nissl_table_add_rows(table, tuning->n_units, err);
    for (int64_t u = 0; u < tuning->n_units && status == NISSL_OK; u++)
        status = fill_row(tuning, u, site, factor, value, table, first + u, at, err);
    if (status != NISSL_OK)
        drop_rows(table, first);
    nissl__free(value);
    return status;
}
