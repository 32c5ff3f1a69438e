/* nissl help */
#include "app.h"
#include "commands.h"

void cli_help_commands(FILE *file)
{
    fputs("nissl: a laboratory for artificial neural networks\n\n"
          "Usage: nissl COMMAND [operands] [options]\n\n"
          "Commands:\n",
          file);
    for (int i = 0; cli_commands[i]; i++)
        fprintf(file, "  %-9s %s\n", cli_commands[i]->name, cli_commands[i]->title);
    fputs("\nnissl COMMAND --help explains one. Results go to standard output, messages to\n"
          "standard error; exit codes: 0 done, 1 failed, 2 not understood.\n",
          file);
}

static int run(cli_app *app)
{
    const cli_command *command;
    if (app->set.n_operands == 0) {
        cli_help_commands(stdout);
        return CLI_EXIT_OK;
    }
    command = cli_command_find(app->set.operand[0]);
    if (!command) {
        cli_fail(&app->err, NISSL_ERR_ARGUMENT, "unknown command '%.60s'; see nissl help",
                 app->set.operand[0]);
        return CLI_EXIT_USAGE;
    }
    cli_help_command(command);
    return CLI_EXIT_OK;
}

static const cli_operand operands[] = {{"COMMAND", "the command to explain [all, a line each]"},
                                       {0}};
static const cli_option *const groups[] = {cli_help_options, NULL};

const cli_command cli_command_help = {
    .name = "help",
    .title = "explain a command",
    .synopsis = "[COMMAND]",
    .description = "Lists the commands, or explains one of them as COMMAND --help does.",
    .operands = operands,
    .max_operands = 1,
    .groups = groups,
    .no_context = true,
    .run = run,
};
