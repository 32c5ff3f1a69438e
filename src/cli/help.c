/* What --help prints. */
#include <stdio.h>
#include <string.h>

#include "options.h"

#define WIDTH  80
#define INDENT 2

/* Prints text wrapped at words; the cursor stands at `column`, further lines begin at `indent`. */
static void wrapped(const char *text, int column, int indent)
{
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + (int)word > WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += (int)word;
        text += word;
        if (*text == '\n' && text[1]) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        text += *text != '\0';
    }
    putchar('\n');
}

/* "  left   right, wrapped", the right part beginning at `column`. */
static void entry(const char *left, const char *right, int column)
{
    int printed = printf("%*s%s", INDENT, "", left);
    if (printed + 2 > column) {
        putchar('\n');
        printed = 0;
    }
    printf("%*s", column - printed, "");
    wrapped(right, column, column);
}

static void option_flags(const cli_option *option, char *out, size_t size)
{
    bool negated =
        option->type == CLI_FLAG && option->fallback && strcmp(option->fallback, "yes") == 0;
    char letter[8] = "    ";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(out, size, "%s--%s%s%s%s%s", letter, negated ? "no-" : "", option->name,
             option->optional   ? "[="
             : option->argument ? " "
                                : "",
             option->argument ? option->argument : "", option->optional ? "]" : "");
}

static void options(const cli_option *table)
{
    for (const cli_option *option = table; option->name; option++) {
        char left[64], right[640];
        option_flags(option, left, sizeof left);
        if (option->type == CLI_FLAG || !option->fallback)
            snprintf(right, sizeof right, "%s", option->help);
        else
            snprintf(right, sizeof right, "%s [%s]", option->help, option->fallback);
        entry(left, right, 26);
    }
}

static const char *heading_of(const cli_option *table)
{
    return table == cli_common_options || table == cli_report_options ? "Common options"
           : table == cli_stimuli_options                             ? "Stimuli"
           : table == cli_plan_options                                ? "What is recorded"
                                                                      : "Options";
}

void cli_help_command(const cli_command *command)
{
    printf("nissl %s: %s\n\n", command->name, command->title);
    /* a synopsis of several forms has a line for each */
    for (const char *form = command->synopsis; form; form = strchr(form, '\n')) {
        form += *form == '\n';
        printf("%s nissl %s %.*s\n", form == command->synopsis ? "Usage:" : "      ", command->name,
               (int)strcspn(form, "\n"), form);
    }
    putchar('\n');
    wrapped(command->description, 0, 0);
    if (command->operands) {
        putchar('\n');
        for (const cli_operand *operand = command->operands; operand->name; operand++)
            entry(operand->name, operand->help, 13);
    }
    const char *heading = "";
    for (int i = 0; command->groups[i]; i++) {
        if (strcmp(heading, heading_of(command->groups[i])) != 0)
            printf("\n%s:\n", heading_of(command->groups[i]));
        heading = heading_of(command->groups[i]);
        options(command->groups[i]);
    }
    if (command->writes) {
        printf("\nWrites: ");
        wrapped(command->writes, 8, 8);
    }
    if (command->examples) {
        printf("\nExamples:\n");
        for (const cli_example *example = command->examples; example->text; example++)
            printf("  # %s\n  %s\n", example->text, example->command);
    }
}
