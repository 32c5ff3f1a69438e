/*
 * What the options of every command are read into. A command uses the fields that its option table
 * names; the others keep zero.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#define CLI_MAX_OPERANDS 3
#define CLI_MAX_OPTIONS  48

/* Where a value came from. */
typedef enum cli_origin { CLI_DEFAULT, CLI_CONFIGURATION, CLI_COMMAND_LINE } cli_origin;

typedef struct cli_settings {
    /* every command */
    bool help;
    bool json;
    bool quiet;
    int64_t threads;
    int64_t seed;
    uint64_t memory; /* bytes, 0 = automatic */
    const char *config;

    /* outputs */
    const char *output;
    bool force;
    bool dry_run;

    /* stimuli */
    const char *shape;
    const char *preprocess;
    const char *labels;
    int64_t limit;

    /* plan */
    const char *sites;
    const char *reduce;
    const char *summary;
    int64_t top;
    int64_t batch;

    /* twin: a flag for examine, a path for record ("" = beside the recording) */
    bool twin;
    const char *twin_path;

    /* inspect */
    bool nodes;

    /* verify */
    const char *reference;
    double tolerance;
    const char *runtime;
    const char *stimuli;
    const char *classes;
    int64_t class_offset;
    int64_t n_random;
    const char *save;

    /* tuning, unit */
    const char *factor;
    bool ascii;

    /* examine */
    const char *title;
    const char *web;

    /* version */
    bool details;

    const char *operand[CLI_MAX_OPERANDS];
    int n_operands;
    unsigned char origin[CLI_MAX_OPTIONS]; /* by place in the command's table */
    void *owned;                           /* what texts of the configuration live in */
} cli_settings;

#endif
