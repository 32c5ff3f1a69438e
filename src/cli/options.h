/*
 * One table of options feeds the flags, --help, the JSON configuration and the list of parameters
 * that a report shows.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "nissl/error.h"
#include "settings.h"

typedef enum cli_option_type {
    CLI_FLAG,    /* bool: --name, --no-name */
    CLI_INTEGER, /* int64_t within low .. high */
    CLI_REAL,    /* double within low .. high */
    CLI_SIZE,    /* uint64_t bytes: 1000, 64K, 1.5G (powers of 1024) */
    CLI_TEXT     /* const char * */
} cli_option_type;

typedef struct cli_option {
    const char
        *name;   /* "threads": --threads, and "threads" in a configuration; NULL ends a table */
    char letter; /* 't': -t; 0 = none */
    cli_option_type type;
    size_t offset;        /* in cli_settings */
    const char *argument; /* "N", "FILE"; NULL for a flag */
    const char *fallback; /* the default as text; what --help and a report show and what is parsed;
                             NULL = zero, which `help` explains */
    const char *help;
    int64_t low, high;   /* for numbers */
    const char *choices; /* "mean|max|centre"; NULL = any text */
    bool optional;       /* --name alone is "", --name=VALUE sets */
} cli_option;

/* A word on the command line that is no option. */
typedef struct cli_operand {
    const char *name; /* "MODEL"; "model" in a configuration; NULL ends */
    const char *help;
} cli_operand;

/* A line of --help's examples: what it does, then what to type. */
typedef struct cli_example {
    const char *text, *command;
} cli_example;

struct cli_app;

typedef struct cli_command {
    const char *name;
    const char *title;    /* one line for the list of commands */
    const char *synopsis; /* "MODEL STIMULI -o REC.nwb [options]" */
    const char *description;
    const cli_operand *operands; /* NULL = none */
    int min_operands, max_operands;
    const cli_option *const *groups; /* tables of options, ended by NULL; the command's own first */
    const char *writes;              /* NULL = nothing but standard output */
    const cli_example *examples;     /* ended by text NULL */
    bool hidden;                     /* from the list of commands */
    bool no_context;
    /* 0 = done; otherwise an exit code, with the app's error filled in or a message printed */
    int (*run)(struct cli_app *app);
} cli_command;

/* Options that every command has. */
extern const cli_option cli_common_options[];
/* Of them, what a command that runs no network has. */
extern const cli_option cli_help_options[];   /* --help */
extern const cli_option cli_report_options[]; /* --json, --quiet, --help */
/* How stimuli are read: --shape, --preprocess, --labels, --limit. */
extern const cli_option cli_stimuli_options[];
/* What is recorded: --sites, --reduce, --summary, --top, --batch. */
extern const cli_option cli_plan_options[];

/* The option at a place of a command's table, NULL past its end. */
const cli_option *cli_option_at(const cli_command *command, int index);

/*
 * Reads the defaults, then the configuration that --config names, then the command line, which
 * wins. argv[0] is the first word after the command's name. Texts are borrowed from argv or owned
 * by the settings.
 * @return NISSL_OK; NISSL_ERR_ARGUMENT with a line that says what to type instead.
 */
nissl_status cli_settings_read(const cli_command *command, int argc, char *const *argv,
                               cli_settings *out, nissl_error *err);
void cli_settings_free(cli_settings *settings);

/* "16", "yes", "mean" or "" of an option's present value, into buffer. */
const char *cli_option_text(const cli_option *option, const cli_settings *settings, char *buffer,
                            size_t size);

/*
 * Every option of the command with its value, default and origin as JSON text:
 * [{"name", "value", "default", "set", "description"}]. malloc'ed, NULL when out of memory.
 */
char *cli_parameters_json(const cli_command *command, const cli_settings *settings);

/* The nearest of n names within a typo's distance, or NULL. */
const char *cli_suggest(const char *word, const char *const *names, size_t n);

/* What `nissl NAME --help` prints. */
void cli_help_command(const cli_command *command);

/* Writes an error of the command line's own: code, and a message that fits. Returns code. */
nissl_status cli_fail(nissl_error *err, nissl_status code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
#ifdef __clang_analyzer__ /* shows the analyser that failing is never NISSL_OK */
#define cli_fail(err, code, ...) (cli_fail((err), (code), __VA_ARGS__), (code))
#endif

#endif
