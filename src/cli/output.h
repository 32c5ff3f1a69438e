/* Outputs that appear under their names whole or not at all. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "nissl/table.h"
#include "terminal.h"

/* A file or folder on its way: it is written as PATH.partial and renamed when it is whole. */
typedef struct cli_output {
    char *path, *partial;
    bool force;
    bool folder;
    bool standard; /* it is stdout */
    int lock;      /* descriptor of a folder that no other run may write; -1 = none */
    FILE *file;
} cli_output;

/* Refuses a path that exists unless force is set. "-" is stdout and always free. */
nissl_status cli_output_check(const char *path, bool force, nissl_error *err);

/*
 * Starts a folder: makes PATH.partial. What a killed run left there is removed, with a note. With
 * force a folder that this program wrote may be replaced; any other is refused.
 */
nissl_status cli_output_begin_folder(const char *path, bool force, cli_terminal *terminal,
                                     cli_output *out, nissl_error *err);
/* Starts a file: out->file is open for writing; stdout when path is "-". */
nissl_status cli_output_begin_file(const char *path, bool force, cli_output *out, nissl_error *err);
/* Puts it under its name. On failure what was there before is there still. */
nissl_status cli_output_commit(cli_output *output, nissl_error *err);
/* Removes what was not committed. Idempotent. */
void cli_output_abandon(cli_output *output);

/* Writes a table as CSV, as JSON where the name ends in .json, or tab-separated for .tsv. */
nissl_status cli_output_table(const nissl_table *table, const char *path, bool force,
                              nissl_error *err);

#endif
