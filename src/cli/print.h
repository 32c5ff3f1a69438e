/*
 * Results on stdout: aligned columns with short numbers for a terminal, tab-separated values with
 * whole names and exact numbers for anything else, JSON when asked.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "nissl/table.h"

/* Short texts for people, into buffer, which is returned. */
const char *cli_text_bytes(uint64_t bytes, char *buffer, size_t size);   /* "1.24 MB", 1000s */
const char *cli_text_count(double count, char *buffer, size_t size);     /* "1.24 M" */
const char *cli_text_seconds(double seconds, char *buffer, size_t size); /* "0.8 s", "3:07" */
const char *cli_text_real(double value, char *buffer, size_t size);      /* "0.0123" */
const char *cli_text_shape(int rank, const int64_t *shape, char *buffer, size_t size); /* 3x8x8 */

/* Columns that a terminal on `width` columns of text has, counting UTF-8 characters. */
int cli_text_columns(const char *text);

/* "name: value" above a table: aligned on a terminal, "# name<TAB>value" otherwise. */
void cli_print_fact(const char *name, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Prints a table; on a terminal the longest text columns are shortened in the middle to fit. */
void cli_print_table(const nissl_table *table);

/* Tab-separated values, a header first, numbers as the shortest text that reads back equal. */
void cli_table_write_tabs(const nissl_table *table, FILE *file);

/* The table in the schema of all results: name, description, columns, rows. NULL: no memory. */
json_t *cli_table_json(const nissl_table *table);
/* A number, null where it is not finite. */
json_t *cli_real_json(double value);
/* Prints a JSON value and a line break; takes the reference. */
void cli_print_json(json_t *value);

/* Whether stdout is a terminal. */
bool cli_stdout_terminal(void);

#endif
