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

#define OCTAVES 0.25 /* how far from the built-in frequency the preferred one may lie */

/* Cells whose built-in values the examination found again. */
typedef struct recovery {
    int64_t n, orientation, frequency, both;
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

/* The level that a unit prefers, NaN if none. */
static double preferred(const nissl_examination *e, const nissl_tuning *tuning, int64_t site,
                        int factor, int64_t unit)
{
    const nissl_factor *levels = nissl_recording_factor(e->recording, e->factors[factor]);
    const nissl_tuning *t = &tuning[site * e->n_factors + factor];
    int32_t level = unit < t->n_units ? t->preferred[unit] : -1;
    return level >= 0 ? strtod(levels->levels[level], NULL) : NAN;
}

/* Whether no tested orientation is nearer to the built-in one than the preferred one. */
static bool nearest(const nissl_factor *levels, double found, double truth)
{
    double least = INFINITY;
    for (int i = 0; i < levels->n_levels; i++)
        least = fmin(least, between(strtod(levels->levels[i], NULL), truth));
    return between(found, truth) <= least + 1e-9;
}

static void count(const nissl_examination *e, const nissl_tuning *tuning,
                  const nissl_visual_cortex_unit *units, size_t n, recovery out[2])
{
    int orientation = find_factor(e, "orientation"), frequency = find_factor(e, "frequency");
    for (size_t i = 0; i < n && orientation >= 0 && frequency >= 0; i++) {
        const nissl_visual_cortex_unit *u = &units[i];
        int64_t site = nissl_recording_find_site(e->recording, u->site);
        recovery *r = &out[u->complex_cell];
        if (site < 0)
            continue;
        bool same = nearest(nissl_recording_factor(e->recording, e->factors[orientation]),
                            preferred(e, tuning, site, orientation, u->unit), u->orientation);
        double ratio = preferred(e, tuning, site, frequency, u->unit) / u->frequency;
        bool close = fabs(log2(ratio)) <= OCTAVES;
        r->n++;
        r->orientation += same;
        r->frequency += close;
        r->both += same && close;
    }
}

/* A row per kind of cell and network. */
static nissl_status recovery_table(const nissl_examination *e,
                                   const nissl_visual_cortex_unit *units, size_t n,
                                   nissl_table *out, nissl_error *err)
{
    static const char *const kinds[] = {"simple", "complex"};
    static const char *const columns[][2] = {
        {"n", "cells whose truth is built in"},
        {"orientation", "cells that prefer the tested orientation nearest to the built-in one"},
        {"frequency", "cells that prefer a frequency within a quarter octave of the built-in one"},
        {"both", "cells that prefer both"}};
    nissl_table table = {0};
    nissl_status status =
        nissl_table_new("recovered", "Cells whose built-in preference was found", &table, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_TEXT, "cells", "", "kind of cell",
                                        NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_TEXT, "in", "",
                                        "the network or its twin", NULL, err);
    for (int i = 0; status == NISSL_OK && i < 4; i++)
        status = nissl_table_add_column(&table, NISSL_COLUMN_INTEGER, columns[i][0], "1",
                                        columns[i][1], NULL, err);
    recovery found[2][2] = {{{0}, {0}}, {{0}, {0}}};
    int n_networks = e->twin_tuning ? 2 : 1;
    for (int twin = 0; twin < n_networks; twin++)
        count(e, twin ? e->twin_tuning : e->tuning, units, n, found[twin]);
    for (int i = 0; status == NISSL_OK && i < 2 * n_networks; i++) {
        int kind = i / n_networks, twin = i % n_networks;
        const recovery *r = &found[twin][kind];
        status = nissl_table_add_rows(&table, 1, err);
        if (status == NISSL_OK)
            status = nissl_table_set_text(&table, i, 0, kinds[kind], err);
        if (status == NISSL_OK)
            status = nissl_table_set_text(&table, i, 1, twin ? "twin" : "network", err);
        if (status != NISSL_OK)
            break;
        table.columns[2].integer[i] = r->n;
        table.columns[3].integer[i] = r->orientation;
        table.columns[4].integer[i] = r->frequency;
        table.columns[5].integer[i] = r->both;
    }
    if (status == NISSL_OK)
        *out = table;
    else
        nissl_table_free(&table);
    return status;
}

static nissl_status print_all(cli_app *app, const cli_job *job,
                              const nissl_visual_cortex_unit *units, size_t n, const char *folder)
{
    nissl_table table = {0};
    json_t *extra = NULL;
    nissl_status status = recovery_table(&job->examination, units, n, &table, &app->err);
    if (status != NISSL_OK)
        return status;
    if (app->set.json) {
        extra = json_pack("{s:o}", "recovered", cli_table_json(&table));
    } else {
        puts("cells whose built-in orientation (the nearest tested) and frequency (within a "
             "quarter\noctave) the examination found:");
        cli_print_table(&table);
        putchar('\n');
    }
    cli_job_print(app, job, folder, extra);
    nissl_table_free(&table);
    return NISSL_OK;
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
        status = print_all(app, &job, units, n, folder);
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
