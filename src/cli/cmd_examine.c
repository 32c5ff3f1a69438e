/* nissl examine */
#include <string.h>

#include "app.h"
#include "commands.h"
#include "job.h"
#include "output.h"

static nissl_status dry_run(cli_app *app)
{
    cli_subject subject = {0};
    nissl_status status = cli_subject_open(app, app->set.operand[0], app->set.operand[1], &subject);
    if (status == NISSL_OK)
        status = cli_subject_plan(app, &subject);
    if (status == NISSL_OK)
        status = cli_print_plan(app, &subject, app->set.twin ? 2 : 1);
    cli_subject_free(&subject);
    return status;
}

static int run(cli_app *app)
{
    const cli_settings *set = &app->set;
    cli_output output = {.lock = -1};
    cli_job job = {0};
    nissl_status status;
    if (set->dry_run)
        return cli_exit_code(dry_run(app));
    if (!set->output) {
        cli_fail(&app->err, NISSL_ERR_ARGUMENT,
                 "where to? give -o REPORT, or --dry-run to see what it would cost");
        return CLI_EXIT_USAGE;
    }
    status = cli_output_begin_folder(set->output, set->force, &app->terminal, &output, &app->err);
    if (status != NISSL_OK)
        return cli_exit_code(status);
    status = cli_job_run(app, set->operand[0], set->operand[1], set->title, output.partial, &job);
    if (status == NISSL_OK)
        status = cli_output_commit(&output, &app->err);
    if (status == NISSL_OK)
        cli_job_print(app, &job, set->output, NULL);
    cli_output_abandon(&output);
    cli_job_free(&job);
    return cli_exit_code(status);
}

static const cli_operand operands[] = {
    {"MODEL", "ONNX file, folder with safetensors, or llama2.c file"},
    {"STIMULI", "folder of images, IDX, npy, CSV or CIFAR-10 file, token ids (npy or text), or a "
                "generator: gratings, "
                "noise, shapes, joined with +"},
    {0}};
static const cli_option options[] = {
    {.name = "output",
     .letter = 'o',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, output),
     .argument = "REPORT",
     .help = "the folder to write"},
    {.name = "dry-run",
     .letter = 'n',
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, dry_run),
     .help = "print sites, statistics, memory and disk; run and write nothing"},
    {.name = "title",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, title),
     .argument = "TEXT",
     .help = "title of the report [the model's file name]"},
    {.name = "reference",
     .letter = 'r',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, reference),
     .argument = "DIR",
     .help = "verify the network against stored tensors first, as nissl verify does, and show the "
             "outcome"},
    {.name = "tolerance",
     .type = CLI_REAL,
     .offset = offsetof(cli_settings, tolerance),
     .argument = "X",
     .high = 1000,
     .help = "largest difference from the reference allowed, as a fraction of a tensor's range",
     .fallback = "1e-4"},
    {0}};
static const cli_option *const groups[] = {
    options, cli_job_options, cli_plan_options, cli_stimuli_options, cli_common_options, NULL};
static const cli_example examples[] = {
    {"a network on a folder of images", "nissl examine net.onnx images/ -o report"},
    {"without images of one's own", "nissl examine net.onnx gratings+shapes -o report"},
    {"what it would cost", "nissl examine net.onnx images/ --dry-run"},
    {"some layers only, checked against stored outputs first",
     "nissl examine net.onnx images/ -o report --sites 'conv*' --reference reference/"},
    {0}};

const cli_command cli_command_examine = {
    .name = "examine",
    .title = "record, tune and report on every unit: the main job",
    .synopsis = "MODEL STIMULI -o REPORT [options]",
    .description =
        "Shows the stimuli to the network and to its twin in one pass, works out what each unit "
        "responds to and how selectively, and writes a report that opens in a browser. Beside "
        "every number stands the twin's, so that nobody takes for learned what a shuffled network "
        "shows as well.",
    .operands = operands,
    .min_operands = 2,
    .max_operands = 2,
    .groups = groups,
    .writes = "REPORT/index.html, a page per site, pictures of the stimuli, charts; recording.nwb "
              "and twin.nwb; sites, units, findings and not_tested as .csv and .json. The folder "
              "appears when it is whole.",
    .examples = examples,
    .run = run,
};
