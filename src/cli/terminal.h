/*
 * What a person sees while work goes on: a progress line, notes and warnings on stderr, and what
 * Ctrl-C does.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#include "nissl/context.h"

/* The state behind a context's log and progress callbacks. */
typedef struct cli_terminal {
    bool quiet;
    bool stderr_is_terminal;
    bool line_shown; /* a progress line stands on the last row */
    double last_drawn;
} cli_terminal;

void cli_terminal_init(cli_terminal *terminal, bool quiet);

/* Callbacks for nissl_context_options; user is a cli_terminal. */
void cli_terminal_log(void *user, nissl_log_level level, const char *line);
void cli_terminal_progress(void *user, const nissl_progress *progress);

/* "nissl: ..." on stderr, one line, whatever the text holds. Notes are silenced by --quiet. */
void cli_terminal_error(cli_terminal *terminal, const char *text);
void cli_terminal_note(cli_terminal *terminal, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* Columns of the terminal on stdout, 80 where unknown. */
int cli_terminal_width(void);
/* Whether the locale writes UTF-8. */
bool cli_terminal_utf8(void);

/*
 * SIGINT and SIGTERM cancel the context, so that the command cleans up and returns; a second one
 * ends the process at once. NULL restores the defaults. A file larger than the limit becomes a
 * failed write instead of a signal.
 */
void cli_signals_watch(nissl_context *ctx);
/* The signal that came, or 0. */
int cli_signal_caught(void);

#endif
