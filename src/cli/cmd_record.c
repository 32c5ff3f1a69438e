/* nissl record */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app.h"
#include "commands.h"
#include "output.h"
#include "print.h"
#include "subject.h"

/* Where the twin's recording goes: --twin=PATH, or REC.nwb becomes REC.twin.nwb. malloc'ed. */
static char *twin_path(const cli_settings *set)
{
    const char *ending = strrchr(set->output, '.');
    char *path = NULL;
    size_t stem;
    if (*set->twin_path)
        return strdup(set->twin_path);
    if (!ending || strchr(ending, '/'))
        ending = set->output + strlen(set->output);
    stem = (size_t)(ending - set->output);
    if ((path = malloc(strlen(set->output) + 6)))
        sprintf(path, "%.*s.twin%s", (int)stem, set->output, ending);
    return path;
}

static void report_done(cli_app *app, const cli_subject *subject, const char *twin)
{
    const char *paths[2] = {app->set.output, twin};
    char text[32];
    for (int i = 0; i < 2 && paths[i]; i++) {
        struct stat info;
        if (stat(paths[i], &info) == 0)
            cli_terminal_note(&app->terminal, "wrote %s, %s", paths[i],
                              cli_text_bytes((uint64_t)info.st_size, text, sizeof text));
    }
    if (app->set.json)
        cli_print_json(json_pack("{s:s, s:s?, s:I}", "recording", app->set.output, "twin", twin,
                                 "n_stimuli", (json_int_t)nissl_stimuli_count(subject->stimuli)));
}

static nissl_status record(cli_app *app, cli_subject *subject, const char *twin)
{
    nissl_network *permuted = NULL;
    nissl_record_options opt = {.overwrite = app->set.force, .command = app->command_line};
    nissl_subject subjects[2] = {{subject->network, app->set.output, "network"}};
    nissl_status status = NISSL_OK;
    if (twin)
        status = nissl_network_twin(app->ctx, subject->network, (uint64_t)app->set.seed, &permuted,
                                    &app->err);
    subjects[1] = (nissl_subject){permuted, twin, "twin"};
    if (status == NISSL_OK)
        status = nissl_record(app->ctx, subject->plan, subject->stimuli, subjects, twin ? 2 : 1,
                              &opt, &app->err);
    nissl_network_free(permuted);
    if (status == NISSL_OK)
        report_done(app, subject, twin);
    return status;
}

static int run(cli_app *app)
{
    const cli_settings *set = &app->set;
    cli_subject subject = {0};
    char *twin = NULL;
    int n_subjects = set->twin_path ? 2 : 1;
    nissl_status status = NISSL_OK;
    if (!set->output && !set->dry_run) {
        cli_fail(&app->err, NISSL_ERR_ARGUMENT,
                 "where to? give -o REC.nwb, or --dry-run to see what it would cost");
        return CLI_EXIT_USAGE;
    }
    if (set->output && !set->dry_run) {
        status = cli_output_check(set->output, set->force, &app->err);
        if (status == NISSL_OK && set->twin_path && (twin = twin_path(set)))
            status = cli_output_check(twin, set->force, &app->err);
    }
    if (status == NISSL_OK)
        status = cli_subject_open(app, set->operand[0], set->operand[1], &subject);
    if (status == NISSL_OK)
        status = cli_subject_plan(app, &subject);
    if (status == NISSL_OK && set->dry_run)
        status = cli_print_plan(app, &subject, n_subjects);
    else if (status == NISSL_OK &&
             (status = cli_subject_afford(app, &subject, n_subjects)) == NISSL_OK)
        status = record(app, &subject, twin);
    cli_subject_free(&subject);
    free(twin);
    return cli_exit_code(status);
}

static const cli_operand operands[] = {
    {"MODEL", "ONNX file, folder with safetensors, or llama2.c file"},
    {"STIMULI", "folder of images, IDX, npy, CSV or CIFAR-10 file, token ids (npy or text), or a "
                "generator: gratings, "
                "noise, shapes, joined with +, with settings after a colon: "
                "gratings:orientations=12"},
    {0}};
static const cli_option options[] = {
    {.name = "output",
     .letter = 'o',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, output),
     .argument = "REC.nwb",
     .help = "the recording to write"},
    {.name = "force",
     .letter = 'f',
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, force),
     .help = "replace a recording that exists"},
    {.name = "dry-run",
     .letter = 'n',
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, dry_run),
     .help = "print sites, statistics, memory and disk; run and write nothing"},
    {.name = "twin",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, twin_path),
     .argument = "PATH",
     .optional = true,
     .help = "in the same pass record a twin, the network with its weights permuted "
             "[PATH: REC.twin.nwb]"},
    {0}};
static const cli_option *const groups[] = {options, cli_plan_options, cli_stimuli_options,
                                           cli_common_options, NULL};
static const cli_example examples[] = {
    {"everything about every unit", "nissl record net.onnx images/ -o net.nwb"},
    {"what that would cost", "nissl record net.onnx images/ --dry-run"},
    {"two layers and their twin, on the built-in gratings",
     "nissl record net.onnx gratings -o conv.nwb --sites 'conv1*,conv2*' --twin"},
    {"labels and factors from a table, images prepared as the network was trained",
     "nissl record net.onnx images/ -o net.nwb --labels table.csv --preprocess preprocess.json"},
    {0}};

const cli_command cli_command_record = {
    .name = "record",
    .title = "record what every unit of a network does on a set of stimuli",
    .synopsis = "MODEL STIMULI -o REC.nwb [options]",
    .description = "Shows each stimulus to the network once and keeps statistics of every unit of "
                   "every site in one NWB file. The file opens in nissl tuning and nissl unit, and "
                   "in pynwb, h5py and MATLAB.",
    .operands = operands,
    .min_operands = 2,
    .max_operands = 2,
    .groups = groups,
    .writes = "REC.nwb (HDF5, NWB 2): the units, the stimuli with labels and factors, the "
              "statistics per site, and how it was made. It appears when it is whole.",
    .examples = examples,
    .run = run,
};
