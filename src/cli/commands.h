/* The commands, one cmd_*.c each. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdio.h>

#include "options.h"

extern const cli_command cli_command_help;
extern const cli_command cli_command_inspect;
extern const cli_command cli_command_record;
extern const cli_command cli_command_examine;
extern const cli_command cli_command_demo;
extern const cli_command cli_command_unit;
extern const cli_command cli_command_tuning;
extern const cli_command cli_command_verify;
extern const cli_command cli_command_version;

/* The list of commands, as `nissl help` prints it. */
void cli_help_commands(FILE *file);

#endif
