/* nissl version */
#include <stdlib.h>

#include <jansson.h>

#include "app.h"
#include "commands.h"
#include "print.h"

/* Prints a value of the version's JSON under its name, objects flattened with a dot. */
static void print_value(const char *name, json_t *value)
{
    char inner[128];
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach(value, key, member)
        {
            snprintf(inner, sizeof inner, "%s%s%s", name, *name ? "." : "", key);
            print_value(inner, member);
        }
    } else if (json_is_array(value)) {
        printf("%-32s", name);
        json_array_foreach(value, i, member)
        {
            char *text = json_is_string(member) ? NULL : json_dumps(member, JSON_ENCODE_ANY);
            printf("%s%s", i ? ", " : "", text ? text : json_string_value(member));
            free(text);
        }
        puts(json_array_size(value) ? "" : "none");
    } else if (json_is_string(value)) {
        printf("%-32s%s\n", name, json_string_value(value));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        printf("%-32s%s\n", name, text ? text : "");
        free(text);
    }
}

static int run(cli_app *app)
{
    char *text = nissl_version_json();
    json_t *root = text ? json_loads(text, 0, NULL) : NULL;
    int code = CLI_EXIT_OK;
    if (!root) {
        code = cli_exit_code(cli_fail(&app->err, NISSL_ERR_MEMORY, "out of memory"));
    } else if (app->set.json) {
        cli_print_json(json_incref(root));
    } else if (app->set.details) {
        print_value("", root);
    } else {
        const json_t *warnings = json_object_get(root, "warnings");
        printf("nissl %s\n", nissl_version());
        for (size_t i = 0; i < json_array_size(warnings); i++)
            cli_terminal_note(&app->terminal, "warning: %s",
                              json_string_value(json_array_get(warnings, i)));
    }
    json_decref(root);
    free(text);
    return code;
}

static const cli_option options[] = {
    {.name = "long",
     .letter = 'l',
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, details),
     .help = "also compiler, libraries, processor, instruction sets, licence and warnings"},
    {0}};
static const cli_option *const groups[] = {options, cli_report_options, NULL};
static const cli_example examples[] = {
    {"what a bug report needs", "nissl version --long"},
    {"the BLAS that this build runs on", "nissl version --json | jq .libraries"},
    {0}};

const cli_command cli_command_version = {
    .name = "version",
    .title = "say what this build is and what it runs on",
    .synopsis = "[--long] [--json]",
    .description =
        "Prints the version. With --long or --json also the compiler, the libraries with "
        "their versions, the processor and the instruction sets in use, and warnings "
        "where something runs slower than this machine allows.",
    .groups = groups,
    .examples = examples,
    .no_context = true,
    .run = run,
};
