/* Reads defaults, configuration and command line into the settings, by one table. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "options.h"

#define AT(field) offsetof(cli_settings, field)

#define JSON_OPTION                                                                                \
    {                                                                                              \
        .name = "json", .type = CLI_FLAG, .offset = AT(json), .help = "print results as JSON"      \
    }
#define QUIET_OPTION                                                                               \
    {                                                                                              \
        .name = "quiet", .letter = 'q', .type = CLI_FLAG, .offset = AT(quiet),                     \
        .help = "no progress, notes or warnings; errors only"                                      \
    }
#define HELP_OPTION                                                                                \
    {                                                                                              \
        .name = "help", .letter = 'h', .type = CLI_FLAG, .offset = AT(help), .help = "print this"  \
    }

const cli_option cli_help_options[] = {HELP_OPTION, {0}};
const cli_option cli_report_options[] = {JSON_OPTION, QUIET_OPTION, HELP_OPTION, {0}};

const cli_option cli_common_options[] = {
    JSON_OPTION,
    {.name = "threads",
     .letter = 't',
     .type = CLI_INTEGER,
     .offset = AT(threads),
     .argument = "N",
     .high = 1024,
     .help = "worker threads; 0 = the CPUs this process may use; results do not depend on it",
     .fallback = "0"},
    {.name = "seed",
     .type = CLI_INTEGER,
     .offset = AT(seed),
     .argument = "N",
     .high = INT64_MAX,
     .help = "root of every random choice",
     .fallback = "0"},
    {.name = "memory",
     .type = CLI_SIZE,
     .offset = AT(memory),
     .argument = "SIZE",
     .help = "stop before anything that needs more memory than this, e.g. 800M or 2G "
             "[half of the machine's for any one file; no limit on a recording]"},
    {.name = "config",
     .type = CLI_TEXT,
     .offset = AT(config),
     .argument = "FILE",
     .help = "read options from a JSON object, e.g. {\"threads\": 2, \"sites\": \"conv*\"}; the "
             "command line wins"},
    QUIET_OPTION,
    HELP_OPTION,
    {0}};

const cli_option cli_stimuli_options[] = {
    {.name = "preprocess",
     .type = CLI_TEXT,
     .offset = AT(preprocess),
     .argument = "FILE",
     .help = "JSON that says how images become inputs (resize, crop, channel order, mean, std) "
             "[preprocess.json beside the stimuli, else none]"},
    {.name = "labels",
     .type = CLI_TEXT,
     .offset = AT(labels),
     .argument = "FILE",
     .help = "CSV with a header path,label,factor... or IDX or npy labels [subfolders, or a file "
             "of labels beside the stimuli]"},
    {.name = "limit",
     .type = CLI_INTEGER,
     .offset = AT(limit),
     .argument = "N",
     .high = INT64_MAX,
     .help = "use the first N stimuli; 0 = all",
     .fallback = "0"},
    {.name = "shape",
     .type = CLI_TEXT,
     .offset = AT(shape),
     .argument = "DIMS",
     .help = "shape of one input without the batch, e.g. 3x224x224, where the network leaves it "
             "open [the network's, else the stimuli's]"},
    {0}};

const cli_option cli_plan_options[] = {
    {.name = "sites",
     .letter = 's',
     .type = CLI_TEXT,
     .offset = AT(sites),
     .argument = "GLOBS",
     .help = "sites to record: names or globs, comma-separated, ! excludes, e.g. "
             "'conv*,!conv10*' [all]"},
    {.name = "reduce",
     .type = CLI_TEXT,
     .offset = AT(reduce),
     .argument = "LIST",
     .help = "statistics to keep, comma-separated: moments, by-condition, histogram, exemplars, "
             "frequency, responses, quadrants (of gated units) [all but quadrants]"},
    {.name = "summary",
     .type = CLI_TEXT,
     .offset = AT(summary),
     .argument = "HOW",
     .choices = "mean|max|centre",
     .help = "how the positions of a unit become its one value on a stimulus: mean, max or centre",
     .fallback = "mean"},
    {.name = "top",
     .type = CLI_INTEGER,
     .offset = AT(top),
     .argument = "K",
     .low = 1,
     .high = 1000,
     .help = "strongest and weakest stimuli kept per unit",
     .fallback = "9"},
    {.name = "batch",
     .letter = 'b',
     .type = CLI_INTEGER,
     .offset = AT(batch),
     .argument = "N",
     .high = 65536,
     .help = "stimuli per run of the network; 0 = automatic",
     .fallback = "0"},
    {0}};

nissl_status(cli_fail)(nissl_error *err, nissl_status code, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
        err->code = code;
        err->line = 0;
        err->function = NULL;
    }
    return code;
}

const cli_option *cli_option_at(const cli_command *command, int index)
{
    for (int g = 0; command->groups[g]; g++)
        for (const cli_option *option = command->groups[g]; option->name; option++)
            if (index-- == 0)
                return option;
    return NULL;
}

static int count_options(const cli_command *command)
{
    int n = 0;
    while (cli_option_at(command, n))
        n++;
    return n;
}

static int find_option(const cli_command *command, const char *name, size_t length)
{
    const cli_option *option;
    for (int i = 0; (option = cli_option_at(command, i)); i++)
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return i;
    return -1;
}

static int find_letter(const cli_command *command, char letter)
{
    const cli_option *option;
    for (int i = 0; (option = cli_option_at(command, i)); i++)
        if (option->letter == letter)
            return i;
    return -1;
}

static void *field(const cli_option *option, cli_settings *settings)
{
    return (char *)settings + option->offset;
}

static const void *const_field(const cli_option *option, const cli_settings *settings)
{
    return (const char *)settings + option->offset;
}

/* ---- values from text ---- */

static bool choice_allowed(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *c = choices; c && *c; c += strcspn(c, "|"), c += *c == '|')
        if (strcspn(c, "|") == n && strncmp(c, text, n) == 0)
            return true;
    return false;
}

static nissl_status parse_integer(const cli_option *option, const char *text, int64_t *out,
                                  nissl_error *err)
{
    char *end;
    errno = 0;
    int64_t value = strtoll(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text))
        return cli_fail(err, NISSL_ERR_ARGUMENT, "--%s needs a whole number, not '%.100s'",
                        option->name, text);
    if (errno == ERANGE || value < option->low || value > option->high)
        return cli_fail(err, NISSL_ERR_ARGUMENT, "--%s %.100s is outside %" PRId64 " .. %" PRId64,
                        option->name, text, option->low, option->high);
    *out = value;
    return NISSL_OK;
}

static nissl_status parse_real(const cli_option *option, const char *text, double *out,
                               nissl_error *err)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || isspace((unsigned char)*text) || !isfinite(value))
        return cli_fail(err, NISSL_ERR_ARGUMENT, "--%s needs a number, not '%.100s'", option->name,
                        text);
    if (value < (double)option->low || value > (double)option->high)
        return cli_fail(err, NISSL_ERR_ARGUMENT, "--%s %.100s is outside %" PRId64 " .. %" PRId64,
                        option->name, text, option->low, option->high);
    *out = value;
    return NISSL_OK;
}

static nissl_status parse_size(const cli_option *option, const char *text, uint64_t *out,
                               nissl_error *err)
{
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end), scale = 1;
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    bool number = end != text && (isdigit((unsigned char)*text) || *text == '.');
    if (unit) {
        for (const char *u = units; u <= unit; u++)
            scale *= 1024;
        end++;
        if (end[0] == 'i' && end[1] == 'B')
            end += 2;
        else if (end[0] == 'B')
            end++;
    } else if (*end == 'B') {
        end++;
    }
    if (!number || *end || !isfinite(value))
        return cli_fail(err, NISSL_ERR_ARGUMENT,
                        "--%s needs a size such as 500000, 64K, 800M or 2G, not '%.100s'",
                        option->name, text);
    if (value * scale >= 9e18)
        return cli_fail(err, NISSL_ERR_ARGUMENT, "--%s %.100s is more than 8 EiB", option->name,
                        text);
    *out = (uint64_t)(value * scale);
    return NISSL_OK;
}

static nissl_status set_text(const cli_option *option, const char *text, cli_settings *settings,
                             nissl_error *err)
{
    void *at = field(option, settings);
    switch (option->type) {
    case CLI_FLAG: *(bool *)at = strcmp(text, "yes") == 0; return NISSL_OK;
    case CLI_INTEGER: return parse_integer(option, text, at, err);
    case CLI_REAL: return parse_real(option, text, at, err);
    case CLI_SIZE: return parse_size(option, text, at, err);
    case CLI_TEXT:
        if (option->choices && !choice_allowed(option->choices, text))
            return cli_fail(err, NISSL_ERR_ARGUMENT, "--%s '%.100s' is none of %s", option->name,
                            text, option->choices);
        *(const char **)at = text;
        return NISSL_OK;
    }
    return NISSL_OK;
}

/* ---- the command line ---- */

static nissl_status unknown_option(const cli_command *command, const char *word, size_t length,
                                   nissl_error *err)
{
    const char *names[CLI_MAX_OPTIONS], *near = NULL;
    int n = count_options(command);
    char name[64];
    for (int i = 0; i < n; i++)
        names[i] = cli_option_at(command, i)->name;
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    near = cli_suggest(name, names, (size_t)n);
    if (near)
        return cli_fail(err, NISSL_ERR_ARGUMENT,
                        "unknown option '--%s' of nissl %s; did you mean '--%s'?", name,
                        command->name, near);
    return cli_fail(err, NISSL_ERR_ARGUMENT, "unknown option '--%s'; see nissl %s --help", name,
                    command->name);
}

/* One argument that begins with "--". *used is set when the next word was its value. */
static nissl_status read_long(const cli_command *command, const char *word, const char *next,
                              cli_settings *settings, bool *used, nissl_error *err)
{
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const char *value = equals ? equals + 1 : NULL;
    int index = find_option(command, word, length);
    bool negated = false;
    if (index < 0 && strncmp(word, "no-", 3) == 0) {
        index = find_option(command, word + 3, length - 3);
        negated = index >= 0 && cli_option_at(command, index)->type == CLI_FLAG;
        if (!negated)
            index = -1;
    }
    if (index < 0)
        return unknown_option(command, word, length, err);
    const cli_option *option = cli_option_at(command, index);
    if (option->type == CLI_FLAG) {
        if (value)
            return cli_fail(err, NISSL_ERR_ARGUMENT, "--%.*s takes no value", (int)length, word);
        value = negated ? "no" : "yes";
    } else if (!value && option->optional) {
        value = "";
    } else if (!value) {
        if (!next)
            return cli_fail(err, NISSL_ERR_ARGUMENT, "--%s needs a value: --%s %s", option->name,
                            option->name, option->argument);
        value = next;
        *used = true;
    }
    settings->origin[index] = CLI_COMMAND_LINE;
    return set_text(option, value, settings, err);
}

/* One argument of letters: "-q", "-o FILE", "-oFILE", "-qo FILE". */
static nissl_status read_letters(const cli_command *command, const char *word, const char *next,
                                 cli_settings *settings, bool *used, nissl_error *err)
{
    for (const char *letter = word; *letter; letter++) {
        int index = find_letter(command, *letter);
        if (index < 0)
            return cli_fail(err, NISSL_ERR_ARGUMENT, "unknown option '-%c'; see nissl %s --help",
                            isprint((unsigned char)*letter) ? *letter : '?', command->name);
        const cli_option *option = cli_option_at(command, index);
        settings->origin[index] = CLI_COMMAND_LINE;
        if (option->type == CLI_FLAG) {
            set_text(option, "yes", settings, err);
            continue;
        }
        if (letter[1])
            return set_text(option, letter + 1, settings, err);
        if (!next)
            return cli_fail(err, NISSL_ERR_ARGUMENT, "-%c needs a value: -%c %s", *letter, *letter,
                            option->argument);
        *used = true;
        return set_text(option, next, settings, err);
    }
    return NISSL_OK;
}

static nissl_status read_command_line(const cli_command *command, int argc, char *const *argv,
                                      cli_settings *settings, nissl_error *err)
{
    bool options_over = false;
    settings->n_operands = 0;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool used = false;
        nissl_status status = NISSL_OK;
        if (!options_over && strcmp(word, "--") == 0) {
            options_over = true;
        } else if (!options_over && strncmp(word, "--", 2) == 0) {
            status = read_long(command, word + 2, next, settings, &used, err);
        } else if (!options_over && word[0] == '-' && word[1]) {
            status = read_letters(command, word + 1, next, settings, &used, err);
        } else if (settings->n_operands >= command->max_operands) {
            return cli_fail(err, NISSL_ERR_ARGUMENT,
                            "too many operands: '%.200s' is number %d and nissl %s takes %d", word,
                            settings->n_operands + 1, command->name, command->max_operands);
        } else {
            settings->operand[settings->n_operands++] = word;
        }
        if (status != NISSL_OK)
            return status;
        i += used;
    }
    return NISSL_OK;
}

/* ---- the configuration ---- */

static nissl_status set_json(const cli_option *option, const char *file, json_t *value,
                             cli_settings *settings, nissl_error *err)
{
    char number[64];
    const char *text = NULL;
    nissl_error inner = {0};
    if (option->type == CLI_FLAG && json_is_boolean(value))
        text = json_is_true(value) ? "yes" : "no";
    else if ((option->type == CLI_INTEGER || option->type == CLI_SIZE) && json_is_integer(value))
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (option->type == CLI_REAL && json_is_number(value))
        snprintf(number, sizeof number, "%.17g", json_number_value(value));
    else if (option->type == CLI_TEXT && option->optional && json_is_boolean(value))
        text = json_is_true(value) ? "" : NULL;
    else if ((option->type == CLI_TEXT || option->type == CLI_SIZE) && json_is_string(value))
        text = json_string_value(value);
    else
        return cli_fail(err, NISSL_ERR_ARGUMENT, "%.200s: \"%s\" needs a %s", file, option->name,
                        option->type == CLI_FLAG      ? "boolean"
                        : option->type == CLI_INTEGER ? "whole number"
                        : option->type == CLI_REAL    ? "number"
                        : option->type == CLI_SIZE    ? "number of bytes or a text such as \"2G\""
                                                      : "text");
    if (!text && json_is_number(value))
        text = number;
    if (text && set_text(option, text, settings, &inner) != NISSL_OK)
        return cli_fail(err, NISSL_ERR_ARGUMENT, "%.200s: %.280s", file, inner.message);
    return NISSL_OK;
}

static int find_operand(const cli_command *command, const char *name)
{
    for (int i = 0; command->operands && command->operands[i].name; i++)
        if (strcasecmp(command->operands[i].name, name) == 0)
            return i;
    return -1;
}

static nissl_status read_configuration(const cli_command *command, const char *file,
                                       cli_settings *settings, nissl_error *err)
{
    const char *operand[CLI_MAX_OPERANDS] = {0};
    json_error_t where;
    const char *key;
    json_t *value, *root = json_load_file(file, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return cli_fail(err, NISSL_ERR_ARGUMENT, "%.200s: line %d: %s", file, where.line,
                        where.text);
    settings->owned = root;
    if (!json_is_object(root))
        return cli_fail(err, NISSL_ERR_ARGUMENT, "%.200s: not a JSON object", file);
    json_object_foreach(root, key, value)
    {
        int index = find_option(command, key, strlen(key)), place = find_operand(command, key);
        nissl_status status;
        if (place >= 0) {
            if (!json_is_string(value))
                return cli_fail(err, NISSL_ERR_ARGUMENT, "%.200s: \"%.100s\" needs a text", file,
                                key);
            operand[place] = json_string_value(value);
            continue;
        }
        if (index < 0) {
            nissl_error inner = {0};
            unknown_option(command, key, strlen(key), &inner);
            return cli_fail(err, NISSL_ERR_ARGUMENT, "%.200s: %.280s", file, inner.message);
        }
        if (settings->origin[index] == CLI_COMMAND_LINE)
            continue;
        settings->origin[index] = CLI_CONFIGURATION;
        status = set_json(cli_option_at(command, index), file, value, settings, err);
        if (status != NISSL_OK)
            return status;
    }
    /* operands of the configuration stand in for a command line that has none */
    for (int i = 0, none = settings->n_operands == 0; none && i < CLI_MAX_OPERANDS; i++)
        if (operand[i])
            settings->operand[settings->n_operands++] = operand[i];
    return NISSL_OK;
}

nissl_status cli_settings_read(const cli_command *command, int argc, char *const *argv,
                               cli_settings *out, nissl_error *err)
{
    const cli_option *option;
    nissl_status status;
    *out = (cli_settings){0};
    for (int i = 0; (option = cli_option_at(command, i)); i++)
        if (option->fallback && (status = set_text(option, option->fallback, out, err)) != NISSL_OK)
            return status;
    if ((status = read_command_line(command, argc, argv, out, err)) != NISSL_OK)
        return status;
    if (out->help)
        return NISSL_OK;
    if (out->config && (status = read_configuration(command, out->config, out, err)) != NISSL_OK)
        return status;
    if (out->n_operands < command->min_operands)
        return cli_fail(err, NISSL_ERR_ARGUMENT, "%s is missing; usage: nissl %s %.*s",
                        command->operands[out->n_operands].name, command->name,
                        (int)strcspn(command->synopsis, "\n"), command->synopsis);
    return NISSL_OK;
}

void cli_settings_free(cli_settings *settings)
{
    json_decref(settings->owned);
    settings->owned = NULL;
}

/* ---- the list of parameters ---- */

const char *cli_option_text(const cli_option *option, const cli_settings *settings, char *buffer,
                            size_t size)
{
    const void *at = const_field(option, settings);
    switch (option->type) {
    case CLI_FLAG: return *(const bool *)at ? "yes" : "no";
    case CLI_INTEGER: snprintf(buffer, size, "%" PRId64, *(const int64_t *)at); return buffer;
    case CLI_REAL: snprintf(buffer, size, "%g", *(const double *)at); return buffer;
    case CLI_SIZE: snprintf(buffer, size, "%" PRIu64, *(const uint64_t *)at); return buffer;
    case CLI_TEXT: return *(const char *const *)at ? *(const char *const *)at : "";
    }
    return "";
}

char *cli_parameters_json(const cli_command *command, const cli_settings *settings)
{
    static const char *const origins[] = {"default", "configuration", "command line"};
    json_t *list = json_array();
    const cli_option *option;
    for (int i = 0; (option = cli_option_at(command, i)); i++) {
        char buffer[64];
        const char *fallback = option->fallback           ? option->fallback
                               : option->type == CLI_FLAG ? "no"
                                                          : "";
        const char *value = cli_option_text(option, settings, buffer, sizeof buffer);
        if (strcmp(option->name, "help") == 0)
            continue;
        if (!option->fallback && option->type == CLI_SIZE && settings->origin[i] == CLI_DEFAULT)
            value = "";
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", option->name, "value",
                                        value, "default", fallback, "set",
                                        origins[settings->origin[i]], "description", option->help));
    }
    char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}
