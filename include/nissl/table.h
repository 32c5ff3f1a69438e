/**
 * Result tables: named columns with units and descriptions, and provenance. Written as CSV and
 * JSON, one schema for all analyses.
 */
#ifndef NISSL_TABLE_H
#define NISSL_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "nissl/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum nissl_column_type {
    NISSL_COLUMN_REAL,
    NISSL_COLUMN_INTEGER,
    NISSL_COLUMN_TEXT
} nissl_column_type;

typedef struct nissl_column {
    char *name;        /* snake_case: "class_selectivity" */
    char *unit;        /* "1", "deg", "cycles/image"; "" for text */
    char *description; /* one sentence */
    nissl_column_type type;
    /* one of these, by type, n_rows long; a missing value is NaN, INT64_MIN or NULL */
    double *real;
    int64_t *integer;
    char **text;
} nissl_column;

typedef struct nissl_table {
    char *name;        /* "tuning" */
    char *description; /* one sentence */
    int64_t n_rows;
    int64_t capacity;
    int n_columns;
    nissl_column *columns;
} nissl_table;

/** Starts an empty table. Strings are copied. */
nissl_status nissl_table_new(const char *name, const char *description, nissl_table *out,
                             nissl_error *err);
void nissl_table_free(nissl_table *table);

/**
 * Adds a column of missing values (to rows that are there already as well).
 * @param out its index; may be NULL.
 * @return NISSL_OK; NISSL_ERR_EXISTS if the name is taken; NISSL_ERR_ARGUMENT; NISSL_ERR_MEMORY.
 */
nissl_status nissl_table_add_column(nissl_table *table, nissl_column_type type, const char *name,
                                    const char *unit, const char *description, int *out,
                                    nissl_error *err);
/** Adds rows of missing values: all columns grow, or none. NISSL_ERR_RANGE, NISSL_ERR_MEMORY. */
nissl_status nissl_table_add_rows(nissl_table *table, int64_t n_rows, nissl_error *err);
/** Copies a text into a cell, NULL for missing. NISSL_ERR_RANGE, NISSL_ERR_TYPE,
 * NISSL_ERR_MEMORY. */
nissl_status nissl_table_set_text(nissl_table *table, int64_t row, int column, const char *text,
                                  nissl_error *err);
/** Index of a column, or -1. */
int nissl_table_find(const nissl_table *table, const char *column);

/**
 * CSV: header row first, quoting of RFC 4180, lines end in LF, "." decimal point, the shortest text
 * that reads back equal, "inf" and "-inf", nothing for a missing value, "" for an empty text.
 * @return NISSL_OK; NISSL_ERR_IO when the file takes no more.
 */
nissl_status nissl_table_write_csv(const nissl_table *table, FILE *file, nissl_error *err);
/**
 * JSON: {"name", "description", "columns": [{"name", "unit", "description", "type"}], "rows":
 * [[...]]}. A missing value is null; infinities, which JSON lacks, are "Infinity" and "-Infinity";
 * a byte of a text that is no UTF-8 becomes U+FFFD.
 * @return NISSL_OK; NISSL_ERR_IO when the file takes no more.
 */
nissl_status nissl_table_write_json(const nissl_table *table, FILE *file, nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
