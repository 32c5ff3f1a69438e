/* nissl demo */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "app.h"
#include "commands.h"
#include "job.h"
#include "output.h"
#include "print.h"

#define MODEL  "model/visual_cortex.onnx"
#define FOLDER "nissl-demo"

/* Cells whose built-in value was found again, of one kind. */
typedef struct recovery {
    int64_t n, orientation, frequency, twin_orientation, twin_frequency;
} recovery;

/* Distance on a circle of 180 degrees. */
static double between(double a, double b)
{
    double d = fabs(fmod(a - b, 180));
    return d > 90 ? 180 - d : d;
}

/* The factor's place among those that were tuned to, or -1. */
static int find_factor(const nissl_examination *e, const char *name)
{
    for (int f = 0; f < e->n_factors; f++)
        if (strcmp(nissl_recording_factor(e->recording, e->factors[f])->name, name) == 0)
            return f;
    return -1;
}

/* Whether no tested level is nearer to the truth than the preferred one. */
static bool recovered(const nissl_examination *e, const nissl_tuning *tuning, int64_t site,
                      int factor, int64_t unit, double truth, bool circular)
{
    const nissl_factor *levels = nissl_recording_factor(e->recording, e->factors[factor]);
    const nissl_tuning *t = &tuning[site * e->n_factors + factor];
    int32_t preferred = unit < t->n_units ? t->preferred[unit] : -1;
    double nearest = INFINITY, found = INFINITY;
    for (int i = 0; i < levels->n_levels; i++) {
        double value = strtod(levels->levels[i], NULL);
        double distance = circular ? between(value, truth) : fabs(value - truth);
        nearest = fmin(nearest, distance);
        if (i == preferred)
            found = distance;
    }
    return found <= nearest + 1e-9;
}

static void count(const nissl_examination *e, const nissl_visual_cortex_unit *units, size_t n,
                  recovery out[2])
{
    int orientation = find_factor(e, "orientation"), frequency = find_factor(e, "frequency");
    for (size_t i = 0; i < n; i++) {
        const nissl_visual_cortex_unit *u = &units[i];
        int64_t site = nissl_recording_find_site(e->recording, u->site);
        recovery *r = &out[u->complex_cell];
        if (site < 0 || orientation < 0 || frequency < 0)
            continue;
        r->n++;
        r->orientation += recovered(e, e->tuning, site, orientation, u->unit, u->orientation, true);
        r->frequency += recovered(e, e->tuning, site, frequency, u->unit, u->frequency, false);
        if (!e->twin_tuning)
            continue;
        r->twin_orientation +=
            recovered(e, e->twin_tuning, site, orientation, u->unit, u->orientation, true);
        r->twin_frequency +=
            recovered(e, e->twin_tuning, site, frequency, u->unit, u->frequency, false);
    }
}

static json_t *recovery_json(const recovery *r, bool twin)
{
    json_t *root = json_pack("{s:I, s:I, s:I}", "cells", (json_int_t)r->n, "orientation",
                             (json_int_t)r->orientation, "frequency", (json_int_t)r->frequency);
    if (twin) {
        json_object_set_new(root, "twin_orientation", json_integer(r->twin_orientation));
        json_object_set_new(root, "twin_frequency", json_integer(r->twin_frequency));
    }
    return root;
}

static void print_recovery(const char *kind, const recovery *r, bool twin)
{
    char text[2][64] = {"", ""};
    if (twin) {
        snprintf(text[0], sizeof text[0], " (twin %" PRId64 ")", r->twin_orientation);
        snprintf(text[1], sizeof text[1], " (twin %" PRId64 ")", r->twin_frequency);
    }
    printf("%-14sbuilt-in orientation recovered for %" PRId64 " of %" PRId64
           "%s, frequency for %" PRId64 "%s\n",
           kind, r->orientation, r->n, text[0], r->frequency, text[1]);
}

static void print_all(cli_app *app, const cli_job *job, const nissl_visual_cortex_unit *units,
                      size_t n, const char *folder)
{
    recovery r[2] = {{0}, {0}};
    bool twin = job->examination.twin_tuning != NULL;
    json_t *extra = NULL;
    count(&job->examination, units, n, r);
    if (app->set.json) {
        extra = json_pack("{s:{s:o, s:o}}", "recovered", "simple", recovery_json(&r[0], twin),
                          "complex", recovery_json(&r[1], twin));
    } else {
        print_recovery("simple cells", &r[0], twin);
        print_recovery("complex cells", &r[1], twin);
        putchar('\n');
    }
    cli_job_print(app, job, folder, extra);
}

/* Writes the model and the report into the working folder, so that the report names the model by a
 * path that holds wherever the folder is moved. */
static nissl_status make(cli_app *app, cli_job *job, nissl_visual_cortex_unit **units, size_t *n)
{
    nissl_status status;
    if (mkdir("model", 0777) != 0)
        return cli_fail(&app->err, NISSL_ERR_IO, "cannot make the folder model: %s",
                        strerror(errno));
    status = nissl_visual_cortex_write(NULL, MODEL, units, n, &app->err);
    if (status == NISSL_OK)
        status = cli_job_run(app, MODEL, NISSL_VISUAL_CORTEX_STIMULI,
                             "A model of early visual cortex", ".", job);
    return status;
}

static int run(cli_app *app)
{
    const char *folder = app->set.output;
    char *web = app->set.web ? realpath(app->set.web, NULL) : NULL; /* holds in any folder */
    nissl_visual_cortex_unit *units = NULL;
    size_t n = 0;
    cli_output output;
    cli_job job = {0};
    int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    nissl_status status =
        home < 0
            ? cli_fail(&app->err, NISSL_ERR_IO, "cannot open .: %s", strerror(errno))
            : cli_output_begin_folder(folder, app->set.force, &app->terminal, &output, &app->err);
    if (status != NISSL_OK) {
        free(web);
        if (home >= 0)
            close(home);
        return cli_exit_code(status);
    }
    if (web)
        app->set.web = web;
    if (chdir(output.partial) != 0)
        status = cli_fail(&app->err, NISSL_ERR_IO, "cannot enter %.300s: %s", output.partial,
                          strerror(errno));
    else
        status = make(app, &job, &units, &n);
    if (fchdir(home) != 0 && status == NISSL_OK)
        status = cli_fail(&app->err, NISSL_ERR_IO, "cannot go back: %s", strerror(errno));
    if (status == NISSL_OK)
        status = cli_output_commit(&output, &app->err);
    if (status == NISSL_OK)
        print_all(app, &job, units, n, folder);
    cli_output_abandon(&output);
    cli_job_free(&job);
    free(units);
    free(web);
    close(home);
    return cli_exit_code(status);
}

static const cli_option options[] = {{.name = "output",
                                      .letter = 'o',
                                      .type = CLI_TEXT,
                                      .offset = offsetof(cli_settings, output),
                                      .argument = "DIR",
                                      .help = "the folder to write",
                                      .fallback = FOLDER},
                                     {0}};
static const cli_option *const groups[] = {options, cli_job_options, cli_plan_options,
                                           cli_common_options, NULL};
static const cli_example examples[] = {{"a first report, without any download", "nissl demo"},
                                       {"somewhere else", "nissl demo -o /tmp/cortex"},
                                       {"one of its units in the terminal",
                                        "nissl unit nissl-demo/recording.nwb "
                                        "S1/scale1/rectified:3"},
                                       {0}};

const cli_command cli_command_demo = {
    .name = "demo",
    .title = "examine a built-in model of visual cortex whose answers are known",
    .synopsis = "[-o DIR] [options]",
    .description =
        "Builds an analytic model of early visual cortex (Gabor simple cells, complex cells by "
        "max pooling), shows it and its twin gratings and shapes, and reports on it as nissl "
        "examine does. Then it says for how many cells the examination found the orientation and "
        "spatial frequency that were built in.",
    .groups = groups,
    .writes = "DIR/index.html and the rest of the report, DIR/model/visual_cortex.onnx, "
              "DIR/recording.nwb, DIR/twin.nwb. The folder appears when it is whole.",
    .examples = examples,
    .run = run,
};
