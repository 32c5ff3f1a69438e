/* Tables and facts on stdout. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "print.h"
#include "terminal.h"

#define FACT_WIDTH    14
#define SHORTEST      8  /* a text column is never made narrower than this */
#define SHORTEST_NAME 12 /* and the first of them than this */
#define MAX_COLUMNS   64
#define CELL          512

bool cli_stdout_terminal(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

/* ---- texts ---- */

/* value to three digits with a metric prefix */
static void scaled(double value, const char *gap, const char *unit, char *buffer, size_t size)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    int prefix = 0;
    while (fabs(value) >= 999.5 && prefix < 6) {
        value /= 1000;
        prefix++;
    }
    int decimals = prefix == 0     ? (value == floor(value) ? 0
                                      : value < 10          ? 2
                                                            : 1)
                   : value < 9.995 ? 2
                   : value < 99.95 ? 1
                                   : 0;
    snprintf(buffer, size, "%.*f%s%s%s", decimals, value, *prefixes[prefix] || *unit ? gap : "",
             prefixes[prefix], unit);
}

const char *cli_text_bytes(uint64_t bytes, char *buffer, size_t size)
{
    scaled((double)bytes, " ", "B", buffer, size);
    return buffer;
}

const char *cli_text_count(double count, char *buffer, size_t size)
{
    scaled(count, " ", "", buffer, size);
    return buffer;
}

const char *cli_text_seconds(double seconds, char *buffer, size_t size)
{
    long long whole = seconds < 9e15 ? llround(seconds) : 0;
    if (seconds < 60)
        snprintf(buffer, size, seconds < 10 ? "%.1f s" : "%.0f s", seconds);
    else if (whole < 3600)
        snprintf(buffer, size, "%lld:%02lld", whole / 60, whole % 60);
    else
        snprintf(buffer, size, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    return buffer;
}

const char *cli_text_real(double value, char *buffer, size_t size)
{
    if (isnan(value))
        snprintf(buffer, size, "-");
    else
        snprintf(buffer, size, fabs(value) >= 1e-3 && fabs(value) < 1e6 ? "%.4g" : "%.3g", value);
    return buffer;
}

const char *cli_text_shape(int rank, const int64_t *shape, char *buffer, size_t size)
{
    size_t n = 0;
    snprintf(buffer, size, "1");
    for (int i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(buffer + n, size - n, "%s%" PRId64, i ? "x" : "", shape[i]);
    return buffer;
}

int cli_text_columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* ---- printing ---- */

/* What would break a line or drive a terminal becomes a space or '?'. */
static void clean(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        *c = *c == '\n' || *c == '\t' || *c == '\r' ? ' ' : *c < 32 || *c == 127 ? '?' : *c;
}

void cli_print_fact(const char *name, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    clean(text);
    if (cli_stdout_terminal())
        printf("%-*s%s\n", FACT_WIDTH, name, text);
    else
        printf("# %s\t%s\n", name, text);
}

/* The whole, exact text of a cell. */
static void exact_cell(const nissl_column *column, int64_t row, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (column->type == NISSL_COLUMN_TEXT) {
        if (column->text[row])
            snprintf(buffer, size, "%s", column->text[row]);
    } else if (column->type == NISSL_COLUMN_INTEGER) {
        if (column->integer[row] != INT64_MIN)
            snprintf(buffer, size, "%" PRId64, column->integer[row]);
    } else if (!isnan(column->real[row])) {
        for (int digits = 6; digits <= 17; digits++) { /* the shortest that reads back equal */
            snprintf(buffer, size, "%.*g", digits, column->real[row]);
            if (strtod(buffer, NULL) == column->real[row])
                break;
        }
    }
    clean(buffer);
}

/* The text of a cell for a terminal: short numbers, "-" for what is missing. */
static void short_cell(const nissl_column *column, int64_t row, char *buffer, size_t size)
{
    bool bytes = strcmp(column->unit, "bytes") == 0;
    if (column->type == NISSL_COLUMN_REAL) {
        double value = column->real[row];
        if (!isnan(value) && (fabs(value) >= 1e5 || strcmp(column->unit, "operations") == 0))
            cli_text_count(value, buffer, size);
        else
            cli_text_real(value, buffer, size);
    } else if (column->type == NISSL_COLUMN_INTEGER && column->integer[row] != INT64_MIN && bytes) {
        cli_text_bytes((uint64_t)column->integer[row], buffer, size);
    } else {
        exact_cell(column, row, buffer, size);
        if (!*buffer)
            snprintf(buffer, size, "-");
    }
}

/* Prints text in exactly `width` columns, its middle left out where it is too long. */
static void put_cell(const char *text, int width, bool right, bool last)
{
    static const char utf8_dots[] = "\xe2\x80\xa6";
    int columns = cli_text_columns(text);
    if (columns <= width) {
        printf("%*s%s%*s", right ? width - columns : 0, "", text,
               right || last ? 0 : width - columns, "");
        return;
    }
    bool utf8 = cli_terminal_utf8();
    int dots = utf8 ? 1 : 2, head = (width - dots) / 2, tail = width - dots - head, at = 0;
    for (const char *c = text; *c; c++) {
        at += ((unsigned char)*c & 0xc0) != 0x80;
        if (at == head + 1 && ((unsigned char)*c & 0xc0) != 0x80)
            fputs(utf8 ? utf8_dots : "..", stdout);
        if (at <= head || at > columns - tail)
            putchar(*c);
    }
}

static void print_aligned(const nissl_table *table)
{
    int width[MAX_COLUMNS], total = 0, available = cli_terminal_width();
    int n = table->n_columns < MAX_COLUMNS ? table->n_columns : MAX_COLUMNS;
    char cell[CELL];
    for (int c = 0; c < n; c++) {
        width[c] = cli_text_columns(table->columns[c].name);
        for (int64_t row = 0; row < table->n_rows; row++) {
            short_cell(&table->columns[c], row, cell, sizeof cell);
            if (cli_text_columns(cell) > width[c])
                width[c] = cli_text_columns(cell);
        }
        total += width[c] + (c > 0 ? 2 : 0);
    }
    /* the first text names the row, so the others give way first */
    for (int pass = 0; pass < 2; pass++)
        while (total > available) {
            int widest = -1;
            for (int c = pass == 0; c < n; c++)
                if (table->columns[c].type == NISSL_COLUMN_TEXT &&
                    width[c] > (c > 0 ? SHORTEST : SHORTEST_NAME) &&
                    (widest < 0 || width[c] > width[widest]))
                    widest = c;
            if (widest < 0)
                break;
            width[widest]--;
            total--;
        }
    for (int64_t row = -1; row < table->n_rows; row++) {
        for (int c = 0; c < n; c++) {
            bool right = table->columns[c].type != NISSL_COLUMN_TEXT;
            if (row < 0)
                snprintf(cell, sizeof cell, "%s", table->columns[c].name);
            else
                short_cell(&table->columns[c], row, cell, sizeof cell);
            fputs(c > 0 ? "  " : "", stdout);
            put_cell(cell, width[c], right, c + 1 == n);
        }
        putchar('\n');
    }
}

void cli_table_write_tabs(const nissl_table *table, FILE *file)
{
    char cell[CELL];
    for (int64_t row = -1; row < table->n_rows; row++)
        for (int c = 0; c < table->n_columns; c++) {
            const char *text = cell;
            if (row < 0)
                text = table->columns[c].name;
            else
                exact_cell(&table->columns[c], row, cell, sizeof cell);
            fprintf(file, "%s%c", text, c + 1 < table->n_columns ? '\t' : '\n');
        }
}

void cli_print_table(const nissl_table *table)
{
    if (cli_stdout_terminal())
        print_aligned(table);
    else
        cli_table_write_tabs(table, stdout);
}

/* ---- JSON ---- */

json_t *cli_real_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *cell_json(const nissl_column *column, int64_t row)
{
    if (column->type == NISSL_COLUMN_REAL)
        return cli_real_json(column->real[row]);
    if (column->type == NISSL_COLUMN_INTEGER)
        return column->integer[row] == INT64_MIN ? json_null() : json_integer(column->integer[row]);
    return column->text[row] ? json_string(column->text[row]) : json_null();
}

json_t *cli_table_json(const nissl_table *table)
{
    static const char *const types[] = {"real", "integer", "text"};
    json_t *columns = json_array(), *rows = json_array();
    for (int c = 0; c < table->n_columns; c++) {
        const nissl_column *column = &table->columns[c];
        json_array_append_new(columns, json_pack("{s:s, s:s, s:s, s:s}", "name", column->name,
                                                 "unit", column->unit, "description",
                                                 column->description, "type", types[column->type]));
    }
    for (int64_t row = 0; row < table->n_rows; row++) {
        json_t *cells = json_array();
        for (int c = 0; c < table->n_columns; c++)
            json_array_append_new(cells, cell_json(&table->columns[c], row));
        json_array_append_new(rows, cells);
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "name", table->name, "description", table->description,
                     "columns", columns, "rows", rows);
}

void cli_print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(value);
}
