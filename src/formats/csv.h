/*
 * CSV as RFC 4180 has it: commas, quotes doubled inside quotes, LF, CRLF or CR. A UTF-8 byte order
 * mark and blank lines are skipped; every row must have as many cells as the first; a quote inside
 * an unquoted cell, text after a closing quote and a zero byte are errors with line and column (in
 * bytes, from 1).
 */
#ifndef NISSL__FORMATS_CSV_H
#define NISSL__FORMATS_CSV_H

#include "foundation/foundation.h"

/* Zero-initialise; nissl__csv_free is idempotent. Row 0 is the header where the file has one. */
typedef struct nissl__csv {
    int64_t n_rows, n_columns;
    char *text;    /* all cells, each ended by a zero */
    size_t *cells; /* [n_rows, n_columns] offsets into text */
    int64_t *line; /* [n_rows] line of the file, from 1 */
    char *label;   /* the file's name, for messages */
} nissl__csv;

nissl_status nissl__csv_open(const char *path, uint64_t budget, nissl__csv *out, nissl_error *err);
nissl_status nissl__csv_parse(const char *label, const void *bytes, size_t size, uint64_t budget,
                              nissl__csv *out, nissl_error *err);
void nissl__csv_free(nissl__csv *csv);

const char *nissl__csv_cell(const nissl__csv *csv, int64_t row, int64_t column);

/* Is row 0 a header? It is when no cell of it is a number. */
bool nissl__csv_has_header(const nissl__csv *csv);

/* A decimal number with nothing but blanks around it, "." as decimal point whatever the locale.
 * False for empty, hex, nan and inf. */
bool nissl__parse_number(const char *text, double *out);

#endif
