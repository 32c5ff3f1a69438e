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

/** Adds a column of missing values (to rows that are there already as well). Returns its index in
 * out if not NULL. */
nissl_status nissl_table_add_column(nissl_table *table, nissl_column_type type, const char *name,
                                    const char *unit, const char *description, int *out,
                                    nissl_error *err);
/** Adds rows of missing values. */
nissl_status nissl_table_add_rows(nissl_table *table, int64_t n_rows, nissl_error *err);
nissl_status nissl_table_set_text(nissl_table *table, int64_t row, int column, const char *text,
                                  nissl_error *err);
/** Index of a column, or -1. */
int nissl_table_find(const nissl_table *table, const char *column);

/** CSV (RFC 4180, "." decimal point, shortest text that reads back equal, empty for missing),
 * header row first. */
nissl_status nissl_table_write_csv(const nissl_table *table, FILE *file, nissl_error *err);
/** {"name", "description", "columns": [{"name","unit","description","type"}], "rows": [[...]]};
 * missing is null. */
nissl_status nissl_table_write_json(const nissl_table *table, FILE *file, nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
