/* nissl tuning */
#include <string.h>

#include "app.h"
#include "commands.h"
#include "nissl/tuning.h"
#include "output.h"
#include "print.h"
#include "source.h"
#include "subject.h"

#define MOST_LEVELS 1000

static bool usable(const nissl_factor *factor)
{
    return factor->n_levels >= 2 && factor->n_levels <= MOST_LEVELS && factor->level;
}

/* Refuses a factor that the recording does not have or that has no levels to be tuned to. */
static nissl_status check_factor(cli_app *app, const nissl_recording *recording)
{
    const char *names[64], *near;
    size_t n = 0;
    bool any = false;
    for (int i = 0; i < nissl_recording_n_factors(recording); i++) {
        const nissl_factor *factor = nissl_recording_factor(recording, i);
        any |= usable(factor);
        if (n < sizeof names / sizeof *names)
            names[n++] = factor->name;
        if (!app->set.factor || strcmp(factor->name, app->set.factor) != 0)
            continue;
        if (usable(factor))
            return NISSL_OK;
        return cli_fail(&app->err, NISSL_ERR_RANGE,
                        "factor '%.100s' has %d levels; tuning needs 2 .. %d", factor->name,
                        factor->n_levels, MOST_LEVELS);
    }
    if (app->set.factor) {
        near = cli_suggest(app->set.factor, names, n);
        return cli_fail(&app->err, NISSL_ERR_NAME, "no factor '%.100s'; %s%.100s", app->set.factor,
                        near ? "did you mean "
                        : n  ? "the first of them is "
                             : "the stimuli have none",
                        near ? near
                        : n  ? names[0]
                             : "");
    }
    if (!any)
        return cli_fail(&app->err, NISSL_ERR_NAME,
                        "the stimuli have no label and no factor with 2 .. %d levels to be tuned "
                        "to; give --labels when recording",
                        MOST_LEVELS);
    return NISSL_OK;
}

static nissl_status tune(cli_app *app, const nissl_recording *recording, nissl_table *table)
{
    nissl_tuning_options opt = {.seed = (uint64_t)app->set.seed};
    size_t n_matched = 0;
    nissl_status status = check_factor(app, recording);
    for (size_t s = 0; status == NISSL_OK && s < nissl_recording_n_sites(recording); s++) {
        const nissl_recorded_site *site = nissl_recording_site(recording, s);
        if (!cli_glob_match(app->set.sites, site->name))
            continue;
        n_matched++;
        for (int f = 0; status == NISSL_OK && f < nissl_recording_n_factors(recording); f++) {
            const nissl_factor *factor = nissl_recording_factor(recording, f);
            nissl_tuning tuning = {0};
            if (!usable(factor) || (app->set.factor && strcmp(factor->name, app->set.factor) != 0))
                continue;
            status = nissl_tuning_of_site(app->ctx, recording, s, f, &opt, &tuning, &app->err);
            if (status == NISSL_OK)
                status = nissl_tuning_to_table(&tuning, site->name, factor, table, &app->err);
            nissl_tuning_free(&tuning);
        }
    }
    if (status == NISSL_OK && n_matched == 0)
        status = cli_fail(
            &app->err, NISSL_ERR_NAME,
            "no site matches '%.200s'; the recording has %zu, the first '%.200s'",
            app->set.sites ? app->set.sites : "", nissl_recording_n_sites(recording),
            nissl_recording_n_sites(recording) ? nissl_recording_site(recording, 0)->name : "");
    return status;
}

static int run(cli_app *app)
{
    const cli_settings *set = &app->set;
    cli_source source = {0};
    nissl_table table = {0};
    nissl_status status = NISSL_OK;
    if (set->output)
        status = cli_output_check(set->output, set->force, &app->err);
    if (status == NISSL_OK)
        status = cli_source_open(app, set->operand[0], set->n_operands > 1 ? set->operand[1] : NULL,
                                 set->sites, &source);
    if (status == NISSL_OK)
        status = tune(app, source.recording, &table);
    if (status == NISSL_OK && set->output)
        status = cli_output_table(&table, set->output, set->force, &app->err);
    else if (status == NISSL_OK && set->json)
        cli_print_json(cli_table_json(&table));
    else if (status == NISSL_OK)
        cli_print_table(&table);
    nissl_table_free(&table);
    cli_source_close(&source);
    return cli_exit_code(status);
}

static const cli_operand operands[] = {
    {"RECORDING", "a recording that nissl record or nissl examine wrote (or a MODEL)"},
    {"STIMULI", "with a MODEL: what to show it, as for nissl record"},
    {0}};
static const cli_option options[] = {
    {.name = "output",
     .letter = 'o',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, output),
     .argument = "FILE",
     .help = "write the table there: CSV, or JSON or tab-separated where the name ends in .json "
             "or .tsv [standard output]"},
    {.name = "force",
     .letter = 'f',
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, force),
     .help = "replace a file that exists"},
    {.name = "factor",
     .letter = 'F',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, factor),
     .argument = "NAME",
     .help = "tune to this factor, e.g. label or orientation [every factor with 2 .. 1000 levels]"},
    {.name = "sites",
     .letter = 's',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, sites),
     .argument = "GLOBS",
     .help = "only these sites: names or globs, comma-separated, ! excludes [all]"},
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
    {"a table for pandas or R", "nissl tuning net.nwb -o tuning.csv"},
    {"which orientation each unit of a layer prefers",
     "nissl tuning net.nwb --factor orientation --sites 'conv1*'"},
    {"without a recording", "nissl tuning net.onnx gratings --factor orientation"},
    {0}};

const cli_command cli_command_tuning = {
    .name = "tuning",
    .title = "say what each unit responds to, and how selectively",
    .synopsis = "RECORDING [options]\nMODEL STIMULI [options]",
    .description =
        "Prints a row per unit and factor: the preferred condition, class selectivity, d' and "
        "auROC of the preferred condition against the rest (chosen on one half of the stimuli, "
        "measured on the other), and lifetime sparseness. A recording needs the responses "
        "statistic, which nissl record keeps unless told otherwise.",
    .operands = operands,
    .min_operands = 1,
    .max_operands = 2,
    .groups = groups,
    .writes = "FILE, when -o names one; it appears when it is whole.",
    .examples = examples,
    .run = run,
};
