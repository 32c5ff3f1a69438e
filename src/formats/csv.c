/* Reading CSV. */
#include "formats/csv.h"
#include "formats/file.h"

typedef struct scanner {
    const char *label;
    const unsigned char *at, *end;
    const unsigned char *line_start;
    int64_t line;
    char *text; /* as long as the file plus one zero per cell needs */
    size_t n_text;
} scanner;

static bool at_line_end(const scanner *s)
{
    return s->at >= s->end || *s->at == '\n' || *s->at == '\r';
}

/* Steps over LF, CRLF or CR. */
static void next_line(scanner *s)
{
    if (s->at >= s->end)
        return;
    if (*s->at == '\r' && s->at + 1 < s->end && s->at[1] == '\n')
        s->at++;
    s->at++;
    s->line++;
    s->line_start = s->at;
}

static long long column_of(const scanner *s)
{
    return (long long)(s->at - s->line_start) + 1;
}

static nissl_status zero_byte(const scanner *s, nissl_error *err)
{
    return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                       "%s: line %lld, column %lld: a zero byte; this is not text", s->label,
                       (long long)s->line, column_of(s));
}

/* Reads one cell up to the comma or the end of the line. */
static nissl_status scan_cell(scanner *s, nissl_error *err)
{
    if (s->at < s->end && *s->at == '"') {
        long long first_line = s->line, first_column = column_of(s);
        for (s->at++;; s->at++) {
            if (s->at >= s->end)
                return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                                   "%s: line %lld, column %lld: the quote is never closed",
                                   s->label, first_line, first_column);
            if (*s->at == '\0')
                return zero_byte(s, err);
            if (*s->at == '"') {
                if (s->at + 1 >= s->end || s->at[1] != '"')
                    break;
                s->at++;
            }
            s->text[s->n_text++] = (char)*s->at;
            if (*s->at == '\n') {
                s->line++;
                s->line_start = s->at + 1;
            }
        }
        s->at++;
        if (!at_line_end(s) && *s->at != ',')
            return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                               "%s: line %lld, column %lld: text after a closing quote", s->label,
                               (long long)s->line, column_of(s));
    } else {
        for (; !at_line_end(s) && *s->at != ','; s->at++) {
            if (*s->at == '\0')
                return zero_byte(s, err);
            if (*s->at == '"')
                return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                                   "%s: line %lld, column %lld: a quote inside a cell that does "
                                   "not begin with one",
                                   s->label, (long long)s->line, column_of(s));
            s->text[s->n_text++] = (char)*s->at;
        }
    }
    s->text[s->n_text++] = '\0';
    return NISSL_OK;
}

/* Rows and cells grow by doubling within the budget. */
typedef struct growth {
    size_t cells, rows; /* capacities */
    uint64_t used, budget;
} growth;

static nissl_status grow(const char *label, void **memory, size_t *capacity, size_t size, growth *g,
                         nissl_error *err)
{
    size_t wanted = *capacity ? *capacity * 2 : 64;
    uint64_t more = (uint64_t)(wanted - *capacity) * size;
    if (g->used + more > g->budget)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "%s: the table needs more than %llu bytes, the budget is %llu", label,
                           (unsigned long long)(g->used + more), (unsigned long long)g->budget);
    void *bigger = nissl__resize(*memory, *capacity, wanted, size);
    if (!bigger)
        return NISSL__NO_MEMORY(err, wanted * size);
    *memory = bigger;
    *capacity = wanted;
    g->used += more;
    return NISSL_OK;
}

static nissl_status scan_row(scanner *s, nissl__csv *csv, growth *g, nissl_error *err)
{
    nissl_status status;
    int64_t n = 0, line = s->line;
    void *memory;
    for (;;) {
        size_t total = (size_t)(csv->n_rows * csv->n_columns + n);
        if (total == g->cells) {
            memory = csv->cells;
            if ((status = grow(s->label, &memory, &g->cells, sizeof *csv->cells, g, err)) !=
                NISSL_OK)
                return status;
            csv->cells = memory;
        }
        csv->cells[total] = s->n_text;
        if ((status = scan_cell(s, err)) != NISSL_OK)
            return status;
        n++;
        if (at_line_end(s))
            break;
        if (csv->n_rows > 0 && n == csv->n_columns)
            return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                               "%s: line %lld, column %lld: more than the %lld cells of line %lld",
                               s->label, (long long)line, column_of(s), (long long)csv->n_columns,
                               (long long)csv->line[0]);
        s->at++;
    }
    if (csv->n_rows > 0 && n != csv->n_columns)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: line %lld, column %lld: %lld cells, line %lld has %lld", s->label,
                           (long long)line, column_of(s), (long long)n, (long long)csv->line[0],
                           (long long)csv->n_columns);
    if ((size_t)csv->n_rows == g->rows) {
        memory = csv->line;
        if ((status = grow(s->label, &memory, &g->rows, sizeof *csv->line, g, err)) != NISSL_OK)
            return status;
        csv->line = memory;
    }
    csv->n_columns = n;
    csv->line[csv->n_rows++] = line;
    return NISSL_OK;
}

nissl_status nissl__csv_parse(const char *label, const void *bytes, size_t size, uint64_t budget,
                              nissl__csv *out, nissl_error *err)
{
    nissl__csv csv = {0};
    nissl_status status = NISSL_OK;
    const unsigned char *data = bytes;
    growth g = {.used = (uint64_t)size + 1, .budget = budget};
    if (g.used > budget)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %zu bytes of text exceed the budget of %llu",
                           label, size, (unsigned long long)budget);
    /* A cell takes at most the bytes of its text and of the separator after it; the last has no
     * separator. */
    csv.text = nissl__alloc(size + 1, 1);
    csv.label = nissl__strdup(label);
    if (!csv.text || !csv.label) {
        status = NISSL__NO_MEMORY(err, size + 1);
        goto done;
    }
    scanner s = {
        .label = label, .at = data, .end = data ? data + size : data, .line = 1, .text = csv.text};
    if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
        s.at += 3;
    s.line_start = s.at;
    while (s.at < s.end) {
        if (!at_line_end(&s) && (status = scan_row(&s, &csv, &g, err)) != NISSL_OK)
            goto done;
        next_line(&s);
    }
    if (csv.n_rows == 0) {
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: no rows in %zu bytes", label, size);
        goto done;
    }
    *out = csv;
    csv = (nissl__csv){0};
done:
    nissl__csv_free(&csv);
    return status;
}

nissl_status nissl__csv_open(const char *path, uint64_t budget, nissl__csv *out, nissl_error *err)
{
    nissl__mapping file = {0};
    nissl_status status = nissl__map_file(path, &file, err);
    if (status != NISSL_OK)
        return status;
    status = nissl__csv_parse(path, file.data, file.size, budget, out, err);
    nissl__unmap_file(&file);
    return status;
}

void nissl__csv_free(nissl__csv *csv)
{
    if (!csv)
        return;
    nissl__free(csv->text);
    nissl__free(csv->cells);
    nissl__free(csv->line);
    nissl__free(csv->label);
    *csv = (nissl__csv){0};
}

const char *nissl__csv_cell(const nissl__csv *csv, int64_t row, int64_t column)
{
    return csv->text + csv->cells[row * csv->n_columns + column];
}

bool nissl__csv_has_header(const nissl__csv *csv)
{
    double value;
    for (int64_t i = 0; i < csv->n_columns; i++)
        if (nissl__parse_number(nissl__csv_cell(csv, 0, i), &value))
            return false;
    return true;
}

bool nissl__parse_number(const char *text, double *out)
{
    /* Powers of ten that a double holds exactly: with a mantissa below 2^53 the quotient or product
     * is rounded once. */
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *p = text;
    bool negative, exact = true;
    uint64_t mantissa = 0;
    int digits = 0, scale = 0, exponent = 0;
    while (*p == ' ' || *p == '\t')
        p++;
    const char *start = p;
    negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    for (bool point = false;; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9')
            break;
        digits++;
        if (mantissa > ((uint64_t)1 << 53) / 10 - 1)
            exact = false;
        else
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
        scale += point;
    }
    if (digits == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        const char *e = p + 1;
        bool minus = *e == '-';
        if (*e == '-' || *e == '+')
            e++;
        if (*e < '0' || *e > '9')
            return false;
        for (; *e >= '0' && *e <= '9'; e++)
            exponent = NISSL__MIN(exponent * 10 + (*e - '0'), 100000);
        if (minus)
            exponent = -exponent;
        p = e;
    }
    while (*p == ' ' || *p == '\t')
        p++;
    if (*p)
        return false;
    exponent -= scale;
    if (!exact || exponent < -22 || exponent > 22)
        return nissl__number_read(start, out) && isfinite(*out);
    double value = (double)mantissa;
    value = exponent < 0 ? value / tens[-exponent] : value * tens[exponent];
    *out = negative ? -value : value;
    return true;
}
