/* nissl verify */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "commands.h"
#include "nissl/verify.h"
#include "print.h"
#include "runtime.h"
#include "subject.h"

static void print_json_text(const char *text)
{
    json_t *root = json_loads(text, 0, NULL);
    cli_print_json(root ? root : json_null());
}

/* ---- against stored tensors ---- */

/* A tensor that differs is an outcome, not an error: it is printed, and the exit code says it. */
static int compare(cli_app *app, const nissl_network *network, const char *directory,
                   const char *label)
{
    nissl_verify_options opt = nissl_verify_options_default();
    nissl_verification v = {0};
    int code;
    opt.tolerance = app->set.tolerance;
    opt.batch = app->set.batch;
    if (nissl_verify_reference(app->ctx, network, directory, &opt, &v, &app->err) != NISSL_OK)
        return CLI_EXIT_FAILED;
    if (app->set.json) {
        print_json_text(v.json);
    } else {
        char ratio[32];
        cli_print_fact("model", "%s", nissl_network_path(network));
        cli_print_fact("reference", "%s", label);
        cli_print_fact("inputs", "%" PRId64, v.n_inputs);
        cli_print_fact("tolerance", "%g of a tensor's range", v.tolerance);
        cli_print_fact("worst", "%s of its range",
                       cli_text_real(v.worst_ratio, ratio, sizeof ratio));
        if (!isnan(v.top1_agreement))
            cli_print_fact("top-1", "agrees on %.4g %% of the inputs", 100 * v.top1_agreement);
        cli_print_fact("verdict", "%s: %" PRId64 " of %" PRId64 " tensors agree",
                       v.passed ? "passed" : "FAILED", v.n_compared - v.n_failed, v.n_compared);
        cli_print_table(&v.tensors);
    }
    if (v.n_absent)
        cli_terminal_note(&app->terminal,
                          "warning: %" PRId64 " stored tensors are not in this file and were not "
                          "compared",
                          v.n_absent);
    if (v.passed) {
        code = CLI_EXIT_OK;
    } else {
        code = CLI_EXIT_FAILED;
        cli_fail(&app->err, NISSL_ERR_RANGE,
                 "%" PRId64 " of %" PRId64 " tensors differ by more than %g of their range",
                 v.n_failed, v.n_compared, v.tolerance);
    }
    nissl_verification_free(&v);
    return code;
}

/* ---- against labels ---- */

static int classify(cli_app *app, cli_subject *subject)
{
    nissl_accuracy_options opt = nissl_accuracy_options_default();
    nissl_accuracy a = {0};
    opt.classes = app->set.classes;
    opt.class_offset = app->set.class_offset;
    opt.batch = app->set.batch;
    if (nissl_accuracy_measure(app->ctx, subject->network, subject->stimuli, &opt, &a, &app->err) !=
        NISSL_OK)
        return CLI_EXIT_FAILED;
    if (app->set.json) {
        print_json_text(a.json);
    } else {
        double n = (double)a.n_labelled;
        cli_print_fact("model", "%s", nissl_network_path(subject->network));
        cli_print_fact("stimuli", "%s (%" PRId64 ", %" PRId64 " with a class)",
                       nissl_stimuli_source(subject->stimuli), a.n_stimuli, a.n_labelled);
        cli_print_fact("top-1", "%.2f %% (%" PRId64 " of %" PRId64 ")", 100 * (double)a.n_top1 / n,
                       a.n_top1, a.n_labelled);
        if (a.n_top5 >= 0)
            cli_print_fact("top-5", "%.2f %% (%" PRId64 " of %" PRId64 ")",
                           100 * (double)a.n_top5 / n, a.n_top5, a.n_labelled);
        if (app->set.details)
            cli_print_table(&a.classes);
    }
    nissl_accuracy_free(&a);
    return CLI_EXIT_OK;
}

/* ---- the command ---- */

static int usage(cli_app *app, const char *text)
{
    cli_fail(&app->err, NISSL_ERR_ARGUMENT, "%s", text);
    return CLI_EXIT_USAGE;
}

static int run(cli_app *app)
{
    const cli_settings *set = &app->set;
    cli_subject subject = {0};
    int code = CLI_EXIT_FAILED;
    if (!set->reference && !set->runtime && !set->stimuli)
        return usage(app, "against what? give --reference DIR, --runtime onnxruntime, or "
                          "--stimuli STIMULI for accuracy");
    if (set->reference && set->runtime)
        return usage(app, "--reference and --runtime are two references; give one");
    if (set->save && !set->runtime)
        return usage(app, "--save keeps what --runtime made; give both");
    if (cli_subject_open(app, set->operand[0], set->stimuli, &subject) == NISSL_OK) {
        code = CLI_EXIT_OK;
        if (set->reference)
            code = compare(app, subject.network, set->reference, set->reference);
        else if (set->runtime) {
            cli_runtime runtime = {0};
            code = cli_exit_code(cli_runtime_run(app, &subject, &runtime));
            if (code == CLI_EXIT_OK)
                code = compare(app, subject.network, runtime.folder,
                               set->save ? set->save : "onnxruntime, run now");
            cli_runtime_close(&runtime);
        }
        if (code == CLI_EXIT_OK && set->stimuli && !set->runtime)
            code = classify(app, &subject);
    }
    cli_subject_free(&subject);
    return code;
}

static const cli_operand operands[] = {
    {"MODEL", "ONNX file, folder with safetensors, or llama2.c file"}, {0}};
static const cli_option options[] = {
    {.name = "reference",
     .letter = 'r',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, reference),
     .argument = "DIR",
     .help = "folder with reference_input.npy and reference_logits.npy or reference_output.npy "
             "(or input.npy and output.npy), and perhaps reference_sites/ or sites/"},
    {.name = "tolerance",
     .type = CLI_REAL,
     .offset = offsetof(cli_settings, tolerance),
     .argument = "X",
     .high = 1000,
     .help = "largest difference allowed, as a fraction of a tensor's range",
     .fallback = "1e-4"},
    {.name = "runtime",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, runtime),
     .argument = "NAME",
     .choices = "onnxruntime",
     .help = "make the reference now with Python's onnxruntime, of every site"},
    {.name = "inputs",
     .type = CLI_INTEGER,
     .offset = offsetof(cli_settings, n_random),
     .argument = "N",
     .low = 1,
     .high = 100000,
     .help = "with --runtime: how many stimuli, or random inputs without --stimuli",
     .fallback = "4"},
    {.name = "save",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, save),
     .argument = "DIR",
     .help = "with --runtime: keep the reference there, for --reference later"},
    {.name = "batch",
     .letter = 'b',
     .type = CLI_INTEGER,
     .offset = offsetof(cli_settings, batch),
     .argument = "N",
     .high = 65536,
     .help = "stimuli per run of the network; 0 = automatic",
     .fallback = "0"},
    {.name = "stimuli",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, stimuli),
     .argument = "STIMULI",
     .help = "measure top-1 and top-5 accuracy on these, as for nissl record"},
    {.name = "classes",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, classes),
     .argument = "FILE",
     .help = "CSV or tab-separated: output index and names of each class [labels that are "
             "numbers, or in sorted order]"},
    {.name = "class-offset",
     .type = CLI_INTEGER,
     .offset = offsetof(cli_settings, class_offset),
     .argument = "N",
     .low = -1000000,
     .high = 1000000,
     .help = "added to every class index: 1 where output 0 is a background class",
     .fallback = "0"},
    {.name = "by-class",
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, details),
     .help = "with --stimuli: also a row per class"},
    {0}};
static const cli_option *const groups[] = {options, cli_stimuli_options, cli_common_options, NULL};
static const cli_example examples[] = {
    {"does Nissl compute what the framework computed?", "nissl verify net.onnx -r reference/"},
    {"make the reference here and now (Python with onnxruntime)",
     "nissl verify net.onnx --runtime onnxruntime"},
    {"accuracy on ImageNet files named n01440764_tench.JPEG",
     "nissl verify net.onnx --stimuli images/ --preprocess preprocess.json --classes "
     "imagenet_classes.tsv"},
    {0}};

const cli_command cli_command_verify = {
    .name = "verify",
    .title = "compare tensors with another framework's, or measure accuracy",
    .synopsis = "MODEL --reference DIR [options]\nMODEL --runtime onnxruntime [options]\n"
                "MODEL --stimuli STIMULI [--classes FILE] [options]",
    .description =
        "Runs stored inputs and compares every stored tensor with the network's: the largest "
        "difference, the reference's range, their ratio, and whether the largest output is the "
        "same. Exit code 1 if any ratio is above the tolerance. With --stimuli alone, or beside "
        "--reference, it measures accuracy on labelled stimuli.",
    .operands = operands,
    .min_operands = 1,
    .max_operands = 1,
    .groups = groups,
    .writes = "DIR, when --save names one.",
    .examples = examples,
    .run = run,
};
