/* The table of commands, in the order in which a person meets them. */
#include "app.h"
#include "commands.h"

const cli_command *const cli_commands[] = {&cli_command_examine, &cli_command_demo,
                                           &cli_command_inspect, &cli_command_verify,
                                           &cli_command_record,  &cli_command_tuning,
                                           &cli_command_unit,    &cli_command_version,
                                           &cli_command_help,    NULL};
