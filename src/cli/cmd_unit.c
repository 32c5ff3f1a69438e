/* nissl unit */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "commands.h"
#include "sheet.h"
#include "source.h"

/* Splits "site:index" at its last colon; site is malloc'ed. */
static nissl_status parse_unit(const char *text, char **site, int64_t *unit, nissl_error *err)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    errno = 0;
    if (colon && colon > text)
        *unit = strtoll(colon + 1, &end, 10);
    if (!end || end == colon + 1 || *end || errno == ERANGE || *unit < 0)
        return cli_fail(err, NISSL_ERR_ARGUMENT,
                        "'%.200s' is no unit; write SITE:INDEX, e.g. fire2/expand1x1_1:17", text);
    *site = strndup(text, (size_t)(colon - text));
    return *site ? NISSL_OK : cli_fail(err, NISSL_ERR_MEMORY, "out of memory");
}

static nissl_status find(const nissl_recording *recording, const char *site, int64_t unit,
                         size_t *out, nissl_error *err)
{
    int64_t index = nissl_recording_find_site(recording, site);
    size_t n = nissl_recording_n_sites(recording);
    const nissl_recorded_site *found;
    if (index < 0) {
        const char **names = malloc((n + 1) * sizeof *names), *near = NULL;
        for (size_t i = 0; names && i < n; i++)
            names[i] = nissl_recording_site(recording, i)->name;
        if (names)
            near = cli_suggest(site, names, n);
        cli_fail(err, NISSL_ERR_NAME, "no site '%.200s'; %s '%.200s'", site,
                 near ? "did you mean" : "the first of them is",
                 near         ? near
                 : names && n ? names[0]
                              : "");
        free(names);
        return NISSL_ERR_NAME;
    }
    found = nissl_recording_site(recording, (size_t)index);
    if (unit >= found->n_units)
        return cli_fail(err, NISSL_ERR_RANGE,
                        "unit %" PRId64 " of site '%.200s' is outside 0 .. %" PRId64, unit, site,
                        found->n_units - 1);
    *out = (size_t)index;
    return NISSL_OK;
}

static int run(cli_app *app)
{
    const cli_settings *set = &app->set;
    const char *last = set->operand[set->n_operands - 1];
    const char *stimuli = set->n_operands == 3 ? set->operand[1] : NULL;
    cli_source source = {0};
    cli_sheet sheet = {0};
    char *site = NULL;
    int64_t unit = 0;
    size_t index = 0;
    nissl_status status = parse_unit(last, &site, &unit, &app->err);
    if (status != NISSL_OK)
        return CLI_EXIT_USAGE;
    status = cli_source_open(app, set->operand[0], stimuli, site, &source);
    if (status == NISSL_OK)
        status = find(source.recording, site, unit, &index, &app->err);
    if (status == NISSL_OK)
        status = cli_sheet_make(app, source.recording, index, unit, set->factor, &sheet);
    if (status == NISSL_OK && set->json)
        cli_sheet_print_json(app, &sheet, (int)set->top);
    else if (status == NISSL_OK)
        cli_sheet_print(app, &sheet, (int)set->top);
    cli_sheet_free(&sheet);
    cli_source_close(&source);
    free(site);
    return cli_exit_code(status);
}

static const cli_operand operands[] = {
    {"RECORDING", "a recording that nissl record or nissl examine wrote (or a MODEL)"},
    {"STIMULI", "with a MODEL: what to show it, as for nissl record"},
    {"SITE:INDEX", "the unit: a site's name and the unit's index, from 0"},
    {0}};
static const cli_option options[] = {
    {.name = "factor",
     .letter = 'F',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, factor),
     .argument = "NAME",
     .help = "tuning to this factor only [every factor with 2 .. 1000 levels]"},
    {.name = "top",
     .type = CLI_INTEGER,
     .offset = offsetof(cli_settings, top),
     .argument = "K",
     .low = 1,
     .high = 1000,
     .help = "strongest and weakest stimuli to list",
     .fallback = "5"},
    {.name = "ascii",
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, ascii),
     .help = "draw with # instead of Unicode blocks"},
    {.name = "summary",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, summary),
     .argument = "HOW",
     .choices = "mean|max|centre",
     .help = "with a MODEL: how the positions of a unit become its one value on a stimulus: mean, "
             "max or centre",
     .fallback = "mean"},
    {0}};
static const cli_option *const groups[] = {options, cli_stimuli_options, cli_common_options, NULL};
static const cli_example examples[] = {
    {"a unit of a recording", "nissl unit net.nwb fire2/expand1x1_1:17"},
    {"a unit without a recording", "nissl unit net.onnx gratings conv1_1:3 --factor orientation"},
    {"its tuning curve as JSON", "nissl unit net.nwb conv1_1:3 --json | jq .factors"},
    {0}};

const cli_command cli_command_unit = {
    .name = "unit",
    .title = "print one unit's sheet: tuning, indices, strongest stimuli",
    .synopsis = "RECORDING SITE:INDEX [options]\nMODEL STIMULI SITE:INDEX [options]",
    .description =
        "Prints what a recording says about one unit: mean, spread and histogram of its "
        "responses, a tuning curve per factor with selectivity, d' and auROC, and the stimuli it "
        "responds to most and least. With a MODEL the one site is recorded for the occasion.",
    .operands = operands,
    .min_operands = 2,
    .max_operands = 3,
    .groups = groups,
    .examples = examples,
    .run = run,
};
