/* Result tables and their two written forms. */
#include <errno.h>
#include <stdio.h>

#include "foundation/foundation.h"
#include "nissl/table.h"

static void column_free(nissl_column *column, int64_t n_rows)
{
    if (column->text)
        for (int64_t i = 0; i < n_rows; i++)
            nissl__free(column->text[i]);
    nissl__free(column->text);
    nissl__free(column->real);
    nissl__free(column->integer);
    nissl__free(column->name);
    nissl__free(column->unit);
    nissl__free(column->description);
}

void nissl_table_free(nissl_table *table)
{
    if (!table)
        return;
    for (int i = 0; i < table->n_columns; i++)
        column_free(&table->columns[i], table->n_rows);
    nissl__free(table->columns);
    nissl__free(table->name);
    nissl__free(table->description);
    *table = (nissl_table){0};
}

nissl_status nissl_table_new(const char *name, const char *description, nissl_table *out,
                             nissl_error *err)
{
    nissl_table table = {.name = nissl__strdup(name), .description = nissl__strdup(description)};
    if (!table.name || !table.description) {
        nissl_table_free(&table);
        return NISSL__NO_MEMORY(err, strlen(name) + strlen(description) + 2);
    }
    *out = table;
    return NISSL_OK;
}

static size_t cell_size(nissl_column_type type)
{
    return type == NISSL_COLUMN_REAL      ? sizeof(double)
           : type == NISSL_COLUMN_INTEGER ? sizeof(int64_t)
                                          : sizeof(char *);
}

/* The column's memory grown to capacity rows, of which those from n_rows on are missing values. */
static void *grown_cells(const nissl_column *column, int64_t n_rows, int64_t capacity)
{
    size_t size = cell_size(column->type);
    const void *old = column->type == NISSL_COLUMN_REAL      ? (const void *)column->real
                      : column->type == NISSL_COLUMN_INTEGER ? (const void *)column->integer
                                                             : (const void *)column->text;
    void *cells = nissl__alloc((size_t)capacity, size);
    if (!cells)
        return NULL;
    if (old && n_rows)
        memcpy(cells, old, (size_t)n_rows * size);
    for (int64_t i = n_rows; i < capacity; i++) {
        if (column->type == NISSL_COLUMN_REAL)
            ((double *)cells)[i] = NAN;
        else if (column->type == NISSL_COLUMN_INTEGER)
            ((int64_t *)cells)[i] = INT64_MIN;
    }
    return cells;
}

static void set_cells(nissl_column *column, void *cells)
{
    if (column->type == NISSL_COLUMN_REAL) {
        nissl__free(column->real);
        column->real = cells;
    } else if (column->type == NISSL_COLUMN_INTEGER) {
        nissl__free(column->integer);
        column->integer = cells;
    } else {
        nissl__free(column->text);
        column->text = cells;
    }
}

nissl_status nissl_table_add_column(nissl_table *table, nissl_column_type type, const char *name,
                                    const char *unit, const char *description, int *out,
                                    nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl_column column = {.type = type};
    nissl_column *columns = NULL;
    void *cells = NULL;
    if ((unsigned)type > NISSL_COLUMN_TEXT)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "column %s: unknown type %d", name, (int)type);
    if (nissl_table_find(table, name) >= 0)
        return NISSL__FAIL(err, NISSL_ERR_EXISTS, "table %s: column %s is there already as %d",
                           table->name, name, nissl_table_find(table, name));
    column.name = nissl__strdup(name);
    column.unit = nissl__strdup(unit);
    column.description = nissl__strdup(description);
    cells = grown_cells(&column, 0, table->capacity);
    columns = nissl__resize(NULL, 0, (size_t)table->n_columns + 1, sizeof *columns);
    if (!column.name || !column.unit || !column.description || !cells || !columns) {
        status = NISSL__NO_MEMORY(err, (size_t)table->capacity * cell_size(type));
        goto done;
    }
    set_cells(&column, cells);
    cells = NULL;
    if (table->n_columns)
        memcpy(columns, table->columns, (size_t)table->n_columns * sizeof *columns);
    columns[table->n_columns] = column;
    column = (nissl_column){0};
    nissl__free(table->columns);
    table->columns = columns;
    columns = NULL;
    if (out)
        *out = table->n_columns;
    table->n_columns++;
done:
    column_free(&column, 0);
    nissl__free(cells);
    nissl__free(columns);
    return status;
}

nissl_status nissl_table_add_rows(nissl_table *table, int64_t n_rows, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    void **grown = NULL;
    int64_t needed, capacity;
    if (n_rows < 0 || !nissl__add(table->n_rows, n_rows, &needed) || needed > INT64_MAX / 16)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "table %s: cannot add %lld rows to %lld",
                           table->name, (long long)n_rows, (long long)table->n_rows);
    if (needed > table->capacity) {
        capacity = NISSL__MAX(needed, table->capacity + table->capacity / 2);
        grown = nissl__alloc((size_t)table->n_columns, sizeof *grown);
        if (!grown) {
            status = NISSL__NO_MEMORY(err, (size_t)table->n_columns * sizeof *grown);
            goto done;
        }
        /* All columns or none: a table whose columns differ in length would be worse than none. */
        for (int i = 0; i < table->n_columns; i++) {
            grown[i] = grown_cells(&table->columns[i], table->n_rows, capacity);
            if (!grown[i]) {
                status =
                    NISSL__NO_MEMORY(err, (size_t)capacity * cell_size(table->columns[i].type));
                goto done;
            }
        }
        for (int i = 0; i < table->n_columns; i++) {
            set_cells(&table->columns[i], grown[i]);
            grown[i] = NULL;
        }
        table->capacity = capacity;
    }
    table->n_rows = needed;
done:
    if (grown)
        for (int i = 0; i < table->n_columns; i++)
            nissl__free(grown[i]);
    nissl__free(grown);
    return status;
}

nissl_status nissl_table_set_text(nissl_table *table, int64_t row, int column, const char *text,
                                  nissl_error *err)
{
    char *copy = NULL;
    char **cell;
    if (row < 0 || row >= table->n_rows || column < 0 || column >= table->n_columns)
        return NISSL__FAIL(
            err, NISSL_ERR_RANGE, "table %s: cell (%lld, %d) is outside %lld rows and %d columns",
            table->name, (long long)row, column, (long long)table->n_rows, table->n_columns);
    if (table->columns[column].type != NISSL_COLUMN_TEXT)
        return NISSL__FAIL(err, NISSL_ERR_TYPE, "table %s: column %s holds no text", table->name,
                           table->columns[column].name);
    if (text && !(copy = nissl__strdup(text)))
        return NISSL__NO_MEMORY(err, strlen(text) + 1);
    cell = &table->columns[column].text[row];
    nissl__free(*cell);
    *cell = copy;
    return NISSL_OK;
}

int nissl_table_find(const nissl_table *table, const char *column)
{
    for (int i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, column) == 0)
            return i;
    return -1;
}

/* ---- CSV ---- */

static void csv_text(FILE *file, const char *text)
{
    size_t n = strlen(text);
    bool quote = n == 0 || strpbrk(text, ",\"\r\n") || text[0] == ' ' || text[n - 1] == ' ';
    if (!quote) {
        fputs(text, file);
        return;
    }
    putc('"', file);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', file);
        putc(*text, file);
    }
    putc('"', file);
}

static nissl_status written(FILE *file, const nissl_table *table, nissl_error *err)
{
    if (fflush(file) != 0 || ferror(file))
        return NISSL__FAIL(err, NISSL_ERR_IO, "cannot write table %s of %lld rows: %s", table->name,
                           (long long)table->n_rows, errno ? strerror(errno) : "output failed");
    return NISSL_OK;
}

nissl_status nissl_table_write_csv(const nissl_table *table, FILE *file, nissl_error *err)
{
    char number[NISSL__NUMBER_SIZE];
    errno = 0;
    for (int c = 0; c < table->n_columns; c++) {
        if (c)
            putc(',', file);
        csv_text(file, table->columns[c].name);
    }
    putc('\n', file);
    for (int64_t r = 0; r < table->n_rows && !ferror(file); r++) {
        for (int c = 0; c < table->n_columns; c++) {
            const nissl_column *column = &table->columns[c];
            if (c)
                putc(',', file);
            if (column->type == NISSL_COLUMN_TEXT && column->text[r])
                csv_text(file, column->text[r]);
            else if (column->type == NISSL_COLUMN_INTEGER && column->integer[r] != INT64_MIN)
                fprintf(file, "%lld", (long long)column->integer[r]);
            else if (column->type == NISSL_COLUMN_REAL && !isnan(column->real[r]))
                fputs(nissl__number_text(column->real[r], number), file);
        }
        putc('\n', file);
    }
    return written(file, table, err);
}

/* ---- JSON ---- */

/* Length of the well-formed UTF-8 sequence at text, 0 if there is none (RFC 3629). */
static int utf8_length(const unsigned char *text)
{
    unsigned char first = text[0];
    int n = first < 0x80                     ? 1
            : first >= 0xc2 && first <= 0xdf ? 2
            : first >= 0xe0 && first <= 0xef ? 3
            : first >= 0xf0 && first <= 0xf4 ? 4
                                             : 0;
    for (int i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
        (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f))
        return 0;
    return n;
}

/* Names come from files; a byte that is no UTF-8 becomes U+FFFD so that the JSON stays JSON. */
static void json_text(FILE *file, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    putc('"', file);
    while (*p) {
        int n = utf8_length(p);
        if (*p == '"' || *p == '\\')
            fprintf(file, "\\%c", *p);
        else if (*p < 0x20)
            fprintf(file, "\\u%04x", *p);
        else if (n == 0)
            fputs("\xef\xbf\xbd", file);
        else
            fwrite(p, 1, (size_t)n, file);
        p += NISSL__MAX(n, 1);
    }
    putc('"', file);
}

static void json_cell(FILE *file, const nissl_column *column, int64_t row)
{
    char number[NISSL__NUMBER_SIZE];
    if (column->type == NISSL_COLUMN_TEXT && column->text[row])
        json_text(file, column->text[row]);
    else if (column->type == NISSL_COLUMN_INTEGER && column->integer[row] != INT64_MIN)
        fprintf(file, "%lld", (long long)column->integer[row]);
    else if (column->type == NISSL_COLUMN_REAL && isinf(column->real[row]))
        fputs(column->real[row] < 0 ? "\"-Infinity\"" : "\"Infinity\"", file);
    else if (column->type == NISSL_COLUMN_REAL && !isnan(column->real[row]))
        fputs(nissl__number_text(column->real[row], number), file);
    else
        fputs("null", file);
}

nissl_status nissl_table_write_json(const nissl_table *table, FILE *file, nissl_error *err)
{
    static const char *const types[] = {"real", "integer", "text"};
    errno = 0;
    fputs("{\"name\":", file);
    json_text(file, table->name);
    fputs(",\"description\":", file);
    json_text(file, table->description);
    fputs(",\"columns\":[", file);
    for (int c = 0; c < table->n_columns; c++) {
        const nissl_column *column = &table->columns[c];
        fputs(c ? ",\n{\"name\":" : "\n{\"name\":", file);
        json_text(file, column->name);
        fputs(",\"unit\":", file);
        json_text(file, column->unit);
        fputs(",\"description\":", file);
        json_text(file, column->description);
        fprintf(file, ",\"type\":\"%s\"}", types[column->type]);
    }
    fputs("],\"rows\":[", file);
    for (int64_t r = 0; r < table->n_rows && !ferror(file); r++) {
        fputs(r ? ",\n[" : "\n[", file);
        for (int c = 0; c < table->n_columns; c++) {
            if (c)
                putc(',', file);
            json_cell(file, &table->columns[c], r);
        }
        putc(']', file);
    }
    fputs("]}\n", file);
    return written(file, table, err);
}
