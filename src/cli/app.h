/* What a running command has at hand. */
#ifndef CLI_APP_H
#define CLI_APP_H

#include "nissl/context.h"
#include "options.h"
#include "terminal.h"

enum { CLI_EXIT_OK = 0, CLI_EXIT_FAILED = 1, CLI_EXIT_USAGE = 2 };

typedef struct cli_app {
    const cli_command *command;
    cli_settings set;
    cli_terminal terminal;
    nissl_context *ctx; /* NULL for commands that need none */
    nissl_error err;    /* printed by main when a command fails */
    char *command_line; /* as typed, quoted where a shell needs it; for provenance */
} cli_app;

/* The commands of this program, ended by a NULL. */
extern const cli_command *const cli_commands[];
const cli_command *cli_command_find(const char *name);

/* The exit code of a command that ended with this status; err says why. */
int cli_exit_code(nissl_status status);

#endif
