/* Stimuli from the rows of a CSV, and labels and factors from files beside the stimuli. */
#include <stdio.h>
#include <strings.h>

#include "formats/file.h"
#include "formats/idx.h"
#include "formats/npy.h"
#include "recording/stimuli.h"

nissl_status nissl__source_number(nissl__source *source, nissl_error *err)
{
    int width = snprintf(NULL, 0, "%lld", (long long)NISSL__MAX(source->n - 1, 0));
    nissl_status status = NISSL_OK;
    for (int64_t i = 0; i < source->n && status == NISSL_OK; i++) {
        char text[32];
        snprintf(text, sizeof text, "%0*lld", width, (long long)i);
        status = nissl__texts_add(&source->ids, text, err);
    }
    return status;
}

/* ---- rows as stimuli ---- */

typedef struct csv_state {
    int64_t n_values;
    float *values; /* [n, n_values] */
} csv_state;

static void csv_free(void *opaque)
{
    csv_state *state = opaque;
    if (!state)
        return;
    nissl__free(state->values);
    nissl__free(state);
}

static nissl_status csv_load(const nissl__source *source, int64_t index, nissl__item *out,
                             nissl_error *err)
{
    const csv_state *state = source->state;
    (void)err;
    *out = (nissl__item){.form = source->form, .values = state->values + index * state->n_values};
    return NISSL_OK;
}

static nissl_status csv_hash(const nissl__source *source, nissl__hash *hash, nissl_error *err)
{
    const csv_state *state = source->state;
    (void)err;
    nissl__hash_add(hash, state->values,
                    (size_t)(source->n * state->n_values) * sizeof *state->values);
    return NISSL_OK;
}

static const nissl__source_type csv_type = {"csv", csv_load, csv_hash, csv_free};

static bool is_label_name(const char *name)
{
    return strcasecmp(name, "label") == 0 || strcasecmp(name, "class") == 0;
}

/* The name of a column: the header's, or "column 3". */
static void column_name(const nissl__csv *csv, bool header, int64_t column, char *out, size_t size)
{
    if (header && *nissl__csv_cell(csv, 0, column))
        snprintf(out, size, "%.60s", nissl__csv_cell(csv, 0, column));
    else
        snprintf(out, size, "column %lld", (long long)column + 1);
}

static nissl_status bad_number(const nissl__csv *csv, bool header, int64_t row, int64_t column,
                               nissl_error *err)
{
    char name[80];
    column_name(csv, header, column, name, sizeof name);
    return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                       "%s: line %lld, column %lld (%s): \"%.40s\" is not a number", csv->label,
                       (long long)csv->line[row], (long long)column + 1, name,
                       nissl__csv_cell(csv, row, column));
}

/* Adds a factor of texts from one column; empty cells are missing. */
static nissl_status add_text_column(nissl__source *source, const nissl__csv *csv,
                                    const int64_t *rows, int64_t column, const char *name,
                                    nissl_error *err)
{
    nissl__column *factor;
    nissl_status status = nissl__columns_add(&source->columns, name, "", false, &factor, err);
    for (int64_t i = 0; i < source->n && status == NISSL_OK; i++) {
        const char *cell = nissl__csv_cell(csv, rows[i], column);
        if (*cell)
            status = nissl__column_set_text(factor, i, cell, err);
    }
    return status;
}

/* A header may carry a unit: "orientation [deg]". Cuts it off the name. */
static void split_unit(char *name, char *unit, size_t size)
{
    size_t n = strlen(name);
    char *open = strrchr(name, '[');
    unit[0] = '\0';
    if (!open || n == 0 || name[n - 1] != ']' || open == name)
        return;
    name[n - 1] = '\0';
    snprintf(unit, size, "%s", open + 1);
    *open = '\0';
    for (n = strlen(name); n > 0 && name[n - 1] == ' '; n--)
        name[n - 1] = '\0';
}

nissl_status nissl__source_columns_of_csv(nissl__source *source, const nissl__csv *csv,
                                          const int64_t *rows, int64_t skip, bool header,
                                          nissl_error *err)
{
    nissl_status status = NISSL_OK;
    for (int64_t c = 0; c < csv->n_columns && status == NISSL_OK; c++) {
        char name[80], unit[80];
        bool numeric = true;
        double value;
        nissl__column *factor;
        if (c == skip)
            continue;
        column_name(csv, header, c, name, sizeof name);
        if (is_label_name(name) || (!header && c == (skip == 0))) {
            status = add_text_column(source, csv, rows, c, "label", err);
            continue;
        }
        for (int64_t i = 0; i < source->n && numeric; i++) {
            const char *cell = nissl__csv_cell(csv, rows[i], c);
            numeric = !*cell || nissl__parse_number(cell, &value);
        }
        if (!numeric) {
            status = add_text_column(source, csv, rows, c, name, err);
            continue;
        }
        split_unit(name, unit, sizeof unit);
        status = nissl__columns_add(&source->columns, name, unit, true, &factor, err);
        for (int64_t i = 0; i < source->n && status == NISSL_OK; i++)
            if (nissl__parse_number(nissl__csv_cell(csv, rows[i], c), &value))
                factor->value[i] = value;
    }
    return status;
}

/* Which columns are the vector, by the first row of data: those of numbers, except a last one that
 * is named as a label. */
static nissl_status choose_columns(const nissl__csv *csv, bool header, bool *is_value,
                                   int64_t *n_values, int64_t *label, nissl_error *err)
{
    int64_t last = csv->n_columns - 1;
    double value;
    *n_values = 0;
    *label = -1;
    for (int64_t c = 0; c < csv->n_columns; c++) {
        is_value[c] = nissl__parse_number(nissl__csv_cell(csv, header, c), &value);
        if (c == last && (!is_value[c] || (header && is_label_name(nissl__csv_cell(csv, 0, c))))) {
            is_value[c] = false;
            *label = c;
        }
        *n_values += is_value[c];
    }
    if (*n_values == 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: line %lld: no column of numbers among %lld",
                           csv->label, (long long)csv->line[header], (long long)csv->n_columns);
    return NISSL_OK;
}

static nissl_status read_values(const nissl__csv *csv, bool header, const bool *is_value,
                                csv_state *state, int64_t n, nissl_error *err)
{
    float *out = state->values;
    for (int64_t row = header; row < n + header; row++)
        for (int64_t c = 0; c < csv->n_columns; c++) {
            double value;
            if (!is_value[c])
                continue;
            if (!nissl__parse_number(nissl__csv_cell(csv, row, c), &value))
                return bad_number(csv, header, row, c, err);
            *out++ = (float)value;
        }
    return NISSL_OK;
}

nissl_status nissl__source_csv(const nissl__source_request *request, nissl__source *out,
                               nissl_error *err)
{
    nissl__csv csv = {0};
    csv_state *state = nissl__alloc(1, sizeof *state);
    bool *is_value = NULL;
    int64_t *rows = NULL, label, bytes;
    if (!state)
        return NISSL__NO_MEMORY(err, sizeof *state);
    out->type = &csv_type;
    out->state = state;
    nissl_status status = nissl__csv_open(request->path, request->budget, &csv, err);
    if (status != NISSL_OK)
        return status;
    bool header = nissl__csv_has_header(&csv);
    if (csv.n_rows - header < 1) {
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: a header and no rows", request->path);
        goto done;
    }
    out->n_available = csv.n_rows - header;
    out->n = NISSL__MIN(out->n_available, request->limit);
    out->columns.n_rows = out->n;
    is_value = nissl__alloc((size_t)csv.n_columns, sizeof *is_value);
    rows = nissl__alloc((size_t)out->n, sizeof *rows);
    if (!is_value || !rows) {
        status = NISSL__NO_MEMORY(err, (size_t)out->n * sizeof *rows);
        goto done;
    }
    status = choose_columns(&csv, header, is_value, &state->n_values, &label, err);
    if (status != NISSL_OK)
        goto done;
    if (!nissl__mul(out->n, state->n_values * (int64_t)sizeof(float), &bytes) ||
        (uint64_t)bytes > request->budget) {
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT,
                             "%s: %lld rows of %lld numbers exceed the budget of %llu bytes",
                             request->path, (long long)out->n, (long long)state->n_values,
                             (unsigned long long)request->budget);
        goto done;
    }
    state->values = nissl__alloc((size_t)(out->n * state->n_values), sizeof(float));
    if (!state->values) {
        status = NISSL__NO_MEMORY(err, (size_t)bytes);
        goto done;
    }
    for (int64_t i = 0; i < out->n; i++)
        rows[i] = i + header;
    if ((status = read_values(&csv, header, is_value, state, out->n, err)) != NISSL_OK)
        goto done;
    out->form.rank = 1;
    out->form.shape[0] = state->n_values;
    if ((status = nissl__source_number(out, err)) != NISSL_OK)
        goto done;
    for (int64_t c = 0; c < csv.n_columns && status == NISSL_OK; c++) {
        char name[80];
        column_name(&csv, header, c, name, sizeof name);
        if (!is_value[c] && (c != label || !request->labels))
            status = add_text_column(out, &csv, rows, c, c == label ? "label" : name, err);
    }
    if (status == NISSL_OK && request->labels)
        status = nissl__source_label(out, request->labels, request->budget, err);
done:
    nissl__free(is_value);
    nissl__free(rows);
    nissl__csv_free(&csv);
    return status;
}

/* ---- labels from a file ---- */

static nissl_status label_by_array(nissl__source *source, const char *path, const nissl_view *view,
                                   nissl_error *err)
{
    nissl__column *label;
    nissl_status status;
    double *values = NULL;
    if (nissl_view_count(view) != view->shape[0] || view->rank < 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "%s: labels must be one per stimulus, the array has %d axes", path,
                           view->rank);
    if (view->shape[0] != source->n_available)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s: %lld labels for %lld stimuli of %s", path,
                           (long long)view->shape[0], (long long)source->n_available,
                           source->label);
    values = nissl__alloc((size_t)view->shape[0], sizeof *values);
    if (!values)
        return NISSL__NO_MEMORY(err, (size_t)view->shape[0] * sizeof *values);
    status = nissl_view_copy(view, NISSL_FLOAT64, values, err);
    if (status == NISSL_OK)
        status = nissl__columns_add(&source->columns, "label", "", false, &label, err);
    for (int64_t i = 0; i < source->n && status == NISSL_OK; i++) {
        char text[32];
        if (isnan(values[i]))
            continue;
        nissl__number_text(values[i], text);
        status = nissl__column_set_text(label, i, text, err);
    }
    nissl__free(values);
    return status;
}

static bool is_path_name(const char *name)
{
    return strcasecmp(name, "path") == 0 || strcasecmp(name, "file") == 0 ||
           strcasecmp(name, "id") == 0;
}

typedef struct named_row {
    const char *name;
    int64_t row;
} named_row;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named_row *)a)->name, ((const named_row *)b)->name);
}

/* rows[i] becomes the row whose first cell is item i's id. */
static nissl_status match_ids(const nissl__source *source, const nissl__csv *csv, bool header,
                              int64_t *rows, nissl_error *err)
{
    int64_t n = csv->n_rows - header;
    nissl_status status = NISSL_OK;
    named_row *sorted = nissl__alloc((size_t)n, sizeof *sorted);
    if (!sorted)
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *sorted);
    for (int64_t i = 0; i < n; i++)
        sorted[i] = (named_row){nissl__csv_cell(csv, i + header, 0), i + header};
    qsort(sorted, (size_t)n, sizeof *sorted, by_name);
    for (int64_t i = 1; i < n && status == NISSL_OK; i++)
        if (strcmp(sorted[i].name, sorted[i - 1].name) == 0)
            status = NISSL__FAIL(
                err, NISSL_ERR_FORMAT, "%s: \"%.200s\" stands in lines %lld and %lld", csv->label,
                sorted[i].name, (long long)csv->line[NISSL__MIN(sorted[i].row, sorted[i - 1].row)],
                (long long)csv->line[NISSL__MAX(sorted[i].row, sorted[i - 1].row)]);
    for (int64_t i = 0; i < source->n && status == NISSL_OK; i++) {
        named_row key = {.name = nissl__texts_at(&source->ids, i)};
        const named_row *found = bsearch(&key, sorted, (size_t)n, sizeof *sorted, by_name);
        if (!found) {
            status = NISSL__FAIL(err, NISSL_ERR_NAME, "%s: no row for \"%.200s\" among %lld",
                                 csv->label, key.name, (long long)n);
            break;
        }
        rows[i] = found->row;
    }
    nissl__free(sorted);
    return status;
}

static nissl_status label_by_csv(nissl__source *source, const char *path, uint64_t budget,
                                 nissl_error *err)
{
    nissl__csv csv = {0};
    int64_t *rows = NULL;
    nissl_status status = nissl__csv_open(path, budget, &csv, err);
    if (status != NISSL_OK)
        return status;
    bool header = nissl__csv_has_header(&csv);
    bool by_id = header && is_path_name(nissl__csv_cell(&csv, 0, 0));
    rows = nissl__alloc((size_t)source->n, sizeof *rows);
    if (!rows) {
        status = NISSL__NO_MEMORY(err, (size_t)source->n * sizeof *rows);
        goto done;
    }
    if (by_id) {
        if ((status = match_ids(source, &csv, header, rows, err)) != NISSL_OK)
            goto done;
    } else {
        if (csv.n_rows - header != source->n_available) {
            status = NISSL__FAIL(
                err, NISSL_ERR_SHAPE, "%s: %lld rows of labels for %lld stimuli of %s", path,
                (long long)(csv.n_rows - header), (long long)source->n_available, source->label);
            goto done;
        }
        for (int64_t i = 0; i < source->n; i++)
            rows[i] = i + header;
    }
    status = nissl__source_columns_of_csv(source, &csv, rows, by_id ? 0 : -1, header, err);
done:
    nissl__free(rows);
    nissl__csv_free(&csv);
    return status;
}

nissl_status nissl__source_label(nissl__source *source, const char *path, uint64_t budget,
                                 nissl_error *err)
{
    nissl_array array = {0};
    nissl_status status;
    size_t n = strlen(path);
    bool npy = n > 4 && strcmp(path + n - 4, ".npy") == 0;
    if (!npy && !nissl__idx_named(path))
        return label_by_csv(source, path, budget, err);
    status = npy ? nissl__npy_read(path, budget, &array, err)
                 : nissl__idx_read(path, budget, &array, err);
    if (status != NISSL_OK)
        return status;
    nissl_view view = nissl_array_view(&array);
    status = label_by_array(source, path, &view, err);
    nissl_array_free(&array);
    return status;
}
