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

/* Cells whose built-in values the examination found again. */
typedef struct recovery {
    int64_t n, orientation, frequency, both;
} recovery;

/* Half the distance between neighbouring levels of a factor whose levels are evenly spaced. */
static double half_step(const nissl_factor *factor)
{
    return factor->n_levels < 2
               ? 0
               : (strtod(factor->levels[1], NULL) - strtod(factor->levels[0], NULL)) / 2;
}

/* The factor's place among those that were tuned to, or -1. */
static int find_factor(const nissl_examination *e, const char *name)
{
    for (int f = 0; f < e->n_factors; f++)
        if (strcmp(nissl_recording_factor(e->recording, e->factors[f])->name, name) == 0)
            return f;
    return -1;
}

/* Counts over one network's cells; values: room for the units of any site, three times. */
static nissl_status count(const nissl_examination *e, const nissl_recording *recording,
                          const nissl_visual_cortex_unit *units, size_t n, double *values,
                          int64_t room, recovery out[2], nissl_error *err)
{
    int orientation = find_factor(e, "orientation"), frequency = find_factor(e, "frequency");
    double *angle = values, *cycles = values + room, *unused = values + 2 * room;
    int64_t last = -1;
    for (size_t i = 0; i < n && orientation >= 0 && frequency >= 0; i++) {
        const nissl_visual_cortex_unit *u = &units[i];
        int64_t site = nissl_recording_find_site(recording, u->site);
        recovery *r = &out[u->complex_cell];
        nissl_status status = NISSL_OK;
        if (site < 0)
            continue;
        if (site != last)
            status = nissl_examination_preferences(e, recording, (size_t)site, orientation, angle,
                                                   unused, err);
        if (site != last && status == NISSL_OK)
            status = nissl_examination_preferences(e, recording, (size_t)site, frequency, cycles,
                                                   unused, err);
        if (status != NISSL_OK)
            return status;
        last = site;
        bool same = fabs(remainder(angle[u->unit] - u->orientation, 180)) <=
                    half_step(nissl_recording_factor(e->recording, e->factors[orientation]));
        bool close = fabs(cycles[u->unit] - u->frequency) <=
                     half_step(nissl_recording_factor(e->recording, e->factors[frequency]));
        r->n++;
        r->orientation += same;
        r->frequency += close;
        r->both += same && close;
    }
    return NISSL_OK;
}

/* found[network, twin][simple, complex] */
static nissl_status count_all(const nissl_examination *e, const nissl_visual_cortex_unit *units,
                              size_t n, recovery found[2][2], nissl_error *err)
{
    int64_t room = 1;
    nissl_status status;
    for (size_t s = 0; s < e->n_sites; s++)
        if (nissl_recording_site(e->recording, s)->n_units > room)
            room = nissl_recording_site(e->recording, s)->n_units;
    double *values = calloc((size_t)room, 3 * sizeof *values);
    if (!values)
        return cli_fail(err, NISSL_ERR_MEMORY, "out of memory");
    status = count(e, e->recording, units, n, values, room, found[0], err);
    if (status == NISSL_OK && e->twin)
        status = count(e, e->twin, units, n, values, room, found[1], err);
    free(values);
    return status;
}

/* A row per kind of cell and network. */
static nissl_status recovery_table(const nissl_examination *e,
                                   const nissl_visual_cortex_unit *units, size_t n,
                                   nissl_table *out, nissl_error *err)
{
    static const char *const kinds[] = {"simple", "complex"};
    static const char *const columns[][2] = {
        {"n", "cells whose truth is built in"},
        {"orientation",
         "cells whose preferred orientation is the built-in one within half a tested step"},
        {"frequency",
         "cells whose preferred frequency is the built-in one within half a tested step"},
        {"both", "cells of which both are"}};
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
    int n_networks = e->twin ? 2 : 1;
    if (status == NISSL_OK)
        status = count_all(e, units, n, found, err);
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
        puts("cells whose built-in orientation and frequency the examination found, within half "
             "a\ntested step:");
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
    cli_output output = {.lock = -1};
    cli_job job = {0};
    int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    nissl_status status = NISSL_OK;
    if (home < 0)
        status = cli_fail(&app->err, NISSL_ERR_IO, "cannot open .: %s", strerror(errno));
    else
        status =
            cli_output_begin_folder(folder, app->set.force, &app->terminal, &output, &app->err);
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
