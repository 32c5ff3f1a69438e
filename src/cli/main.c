/* nissl: one program, a subcommand per job. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "app.h"
#include "commands.h"

const cli_command *cli_command_find(const char *name)
{
    for (int i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

int cli_exit_code(nissl_status status)
{
    return status == NISSL_OK ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

/* Whether a shell reads a word as it stands. */
static bool plain_word(const char *word)
{
    return *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "_./:=,+-@%") == strlen(word);
}

/* The command line as a person would type it again, with the program's name first. */
static char *quoted_command_line(int argc, char *const *argv)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fputs("nissl", out);
    for (int i = 1; i < argc; i++) {
        putc(' ', out);
        if (plain_word(argv[i])) {
            fputs(argv[i], out);
            continue;
        }
        putc('\'', out);
        for (const char *c = argv[i]; *c; c++)
            if (*c == '\'')
                fputs("'\\''", out);
            else
                putc(*c, out);
        putc('\'', out);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* Warnings about this build on this machine, such as a slow BLAS, once per command. */
static void warn_of_build(cli_terminal *terminal)
{
    char *text = terminal->quiet ? NULL : nissl_version_json();
    json_t *root = text ? json_loads(text, 0, NULL) : NULL;
    const json_t *warnings = json_object_get(root, "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++)
        cli_terminal_note(terminal, "warning: %s", json_string_value(json_array_get(warnings, i)));
    json_decref(root);
    free(text);
}

/* Says that stdout could not be written, which a full disk or a closed pipe does. */
static int finish_stdout(cli_app *app, int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    nissl_error err;
    cli_fail(&err, NISSL_ERR_IO, "cannot write standard output: %s", strerror(errno));
    cli_terminal_error(&app->terminal, err.message);
    return code == CLI_EXIT_OK ? CLI_EXIT_FAILED : code;
}

static int run_command(cli_app *app)
{
    const cli_settings *set = &app->set;
    nissl_context_options options = nissl_context_options_default();
    int code;
    if (app->command->no_context)
        return app->command->run(app);
    warn_of_build(&app->terminal);
    options.threads = (int)set->threads;
    options.seed = (uint64_t)set->seed;
    options.memory_limit = set->memory;
    options.log = cli_terminal_log;
    options.log_user = &app->terminal;
    options.progress = cli_terminal_progress;
    options.progress_user = &app->terminal;
    if (nissl_context_new(&options, &app->ctx, &app->err) != NISSL_OK)
        return CLI_EXIT_FAILED;
    cli_signals_watch(app->ctx);
    code = app->command->run(app);
    cli_signals_watch(NULL);
    nissl_context_free(app->ctx);
    if (code != CLI_EXIT_OK && app->err.code == NISSL_ERR_CANCELLED && cli_signal_caught())
        return 128 + cli_signal_caught();
    return code;
}

static int unknown_command(cli_app *app, const char *word)
{
    const char *names[32], *near;
    size_t n = 0;
    for (int i = 0; cli_commands[i] && n < sizeof names / sizeof *names; i++)
        names[n++] = cli_commands[i]->name;
    near = cli_suggest(word, names, n);
    if (near)
        cli_fail(&app->err, NISSL_ERR_ARGUMENT, "unknown command '%.60s'; did you mean '%s'?", word,
                 near);
    else
        cli_fail(&app->err, NISSL_ERR_ARGUMENT, "unknown command '%.60s'; see nissl help", word);
    cli_terminal_error(&app->terminal, app->err.message);
    return CLI_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    cli_app app = {0};
    const char *word = argc > 1 ? argv[1] : NULL;
    int code;
    setlocale(LC_CTYPE, ""); /* numbers keep the decimal point */
    cli_terminal_init(&app.terminal, false);
    if (!word) {
        cli_help_commands(stderr);
        return CLI_EXIT_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    else if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        word = "version";
    if (!(app.command = cli_command_find(word)))
        return unknown_command(&app, word);
    if (cli_settings_read(app.command, argc - 2, argv + 2, &app.set, &app.err) != NISSL_OK) {
        cli_terminal_error(&app.terminal, app.err.message);
        cli_settings_free(&app.set);
        return CLI_EXIT_USAGE;
    }
    app.terminal.quiet = app.set.quiet;
    if (app.set.help) {
        cli_help_command(app.command);
        code = CLI_EXIT_OK;
    } else {
        app.command_line = quoted_command_line(argc, argv);
        code = run_command(&app);
        if (code != CLI_EXIT_OK && app.err.message[0])
            cli_terminal_error(&app.terminal, app.err.message);
    }
    code = finish_stdout(&app, code);
    free(app.command_line);
    cli_settings_free(&app.set);
    return code;
}
