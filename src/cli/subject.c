/* Opening networks and stimuli, planning, and saying what a plan costs. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "subject.h"

/* Reads "3x224x224" (or with commas) into shape[1...]; the rank with the batch axis, 0 = no shape.
 */
static int parse_shape(const char *text, int64_t shape[NISSL_MAX_RANK])
{
    int rank = 1;
    shape[0] = 1;
    for (const char *c = text; rank < NISSL_MAX_RANK;) {
        char *end;
        long long n = strtoll(c, &end, 10);
        if (end == c || n < 1 || n > INT32_MAX)
            return 0;
        shape[rank++] = n;
        if (!*end)
            return rank;
        if (*end != 'x' && *end != ',')
            return 0;
        c = end + 1;
    }
    return 0;
}

nissl_status cli_input_shape(cli_app *app, const nissl_network *network, nissl_view *out)
{
    const nissl_port *port;
    char given[128], file[128];
    if (nissl_network_n_inputs(network) == 0)
        return cli_fail(&app->err, NISSL_ERR_SHAPE, "%.300s has no input",
                        nissl_network_path(network));
    port = nissl_network_input(network, 0);
    *out = nissl_view_of(NULL, port->type, port->rank, port->shape);
    if (out->rank > 0)
        out->shape[0] = 1;
    if (!app->set.shape)
        return NISSL_OK;
    int64_t shape[NISSL_MAX_RANK];
    int rank = parse_shape(app->set.shape, shape);
    bool agree = rank == port->rank;
    if (rank == 0)
        return cli_fail(&app->err, NISSL_ERR_ARGUMENT,
                        "--shape needs dimensions such as 3x224x224, not '%.100s'", app->set.shape);
    for (int i = 1; agree && i < rank; i++)
        agree = port->shape[i] < 0 || port->shape[i] == shape[i];
    if (!agree)
        return cli_fail(&app->err, NISSL_ERR_SHAPE,
                        "--shape %s and the input '%.100s' of the network do not agree: %s (-1 is "
                        "open)",
                        cli_text_shape(rank - 1, shape + 1, given, sizeof given), port->name,
                        cli_text_shape(port->rank - 1, port->shape + 1, file, sizeof file));
    *out = nissl_view_of(NULL, port->type, rank, shape);
    return NISSL_OK;
}

nissl_status cli_subject_open(cli_app *app, const char *model, const char *stimuli,
                              cli_subject *out)
{
    nissl_stimuli_options opt = nissl_stimuli_options_default();
    nissl_view shape;
    nissl_status status = nissl_network_open(app->ctx, model, &out->network, &app->err);
    if (status != NISSL_OK || !stimuli)
        return status;
    if ((status = cli_input_shape(app, out->network, &shape)) != NISSL_OK)
        return status;
    opt.preprocess = app->set.preprocess;
    opt.labels = app->set.labels;
    opt.limit = app->set.limit;
    opt.input_shape = &shape;
    return nissl_stimuli_open(app->ctx, stimuli, &opt, &out->stimuli, &app->err);
}

nissl_plan_options cli_plan_options_of(const cli_settings *settings)
{
    nissl_plan_options opt = nissl_plan_options_default();
    opt.sites = settings->sites;
    opt.reducers = settings->reduce;
    opt.summary = !settings->summary                         ? NISSL_SUMMARY_MEAN
                  : strcmp(settings->summary, "max") == 0    ? NISSL_SUMMARY_MAX
                  : strcmp(settings->summary, "centre") == 0 ? NISSL_SUMMARY_CENTRE
                                                             : NISSL_SUMMARY_MEAN;
    opt.top_k = settings->top;
    opt.batch = settings->batch;
    return opt;
}

nissl_status cli_subject_plan(cli_app *app, cli_subject *subject)
{
    nissl_plan_options opt = cli_plan_options_of(&app->set);
    return nissl_plan_new(app->ctx, subject->network, subject->stimuli, &opt, &subject->plan,
                          &app->err);
}

nissl_status cli_subject_afford(cli_app *app, const cli_subject *subject, int n_subjects)
{
    uint64_t needed = nissl_plan_memory(subject->plan, n_subjects);
    char text[2][32];
    if (app->set.memory == 0 || needed <= app->set.memory)
        return NISSL_OK;
    return cli_fail(&app->err, NISSL_ERR_LIMIT,
                    "the plan needs %s of memory and --memory allows %s; fewer --sites, a smaller "
                    "--batch or fewer --threads need less",
                    cli_text_bytes(needed, text[0], sizeof text[0]),
                    cli_text_bytes(app->set.memory, text[1], sizeof text[1]));
}

void cli_subject_free(cli_subject *subject)
{
    nissl_plan_free(subject->plan);
    nissl_stimuli_free(subject->stimuli);
    nissl_network_free(subject->network);
    *subject = (cli_subject){0};
}

bool cli_is_recording(const char *path)
{
    static const unsigned char hdf5[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char begin[8];
    FILE *file = fopen(path, "rb");
    bool is = file && fread(begin, 1, sizeof begin, file) == sizeof begin &&
              memcmp(begin, hdf5, sizeof hdf5) == 0;
    if (file)
        fclose(file);
    return is;
}

static bool same_name(const char *glob, const char *name)
{
    return strcmp(glob, name) == 0 || fnmatch(glob, name, 0) == 0;
}

/* Whether a list of globs takes what has these names: a name and n aliases. */
static bool match(const char *globs, const char *name, size_t n_aliases, const char *const *aliases)
{
    char glob[512];
    bool any_positive = false, matched = false;
    for (const char *c = globs; c && *c; c += *c == ',') {
        size_t n = strcspn(c, ",");
        bool excludes = *c == '!';
        const char *begin = c + excludes;
        size_t length = n - excludes;
        c += n;
        if (length == 0 || length >= sizeof glob)
            continue;
        memcpy(glob, begin, length);
        glob[length] = '\0';
        bool same = same_name(glob, name);
        for (size_t i = 0; i < n_aliases && !same; i++)
            same = same_name(glob, aliases[i]);
        if (same && excludes)
            return false;
        any_positive |= !excludes;
        matched |= same;
    }
    return matched || !any_positive;
}

bool cli_glob_match(const char *globs, const char *name)
{
    return match(globs, name, 0, NULL);
}

bool cli_glob_match_site(const char *globs, const nissl_site *site)
{
    return match(globs, site->name, site->n_aliases, site->aliases);
}

/* ---- what a plan costs ---- */

static nissl_status plan_table(const nissl_plan *plan, nissl_table *out, nissl_error *err)
{
    size_t n = nissl_plan_n_costs(plan);
    nissl_table table = {0};
    nissl_status status =
        nissl_table_new("plan", "What each statistic costs at each site", &table, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_TEXT, "site", "", "name of the site",
                                        NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_TEXT, "statistic", "",
                                        "name of the reducer", NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_INTEGER, "units", "1",
                                        "units of the site", NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_INTEGER, "positions", "1",
                                        "positions of each unit", NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_INTEGER, "memory", "bytes",
                                        "memory of its states while recording", NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_INTEGER, "disk", "bytes",
                                        "size of its results in one recording", NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_rows(&table, (int64_t)n, err);
    for (size_t i = 0; status == NISSL_OK && i < n; i++) {
        const nissl_plan_cost *cost = nissl_plan_cost_at(plan, i);
        status = nissl_table_set_text(&table, (int64_t)i, 0, cost->site, err);
        if (status == NISSL_OK)
            status = nissl_table_set_text(&table, (int64_t)i, 1, cost->reducer, err);
        table.columns[2].integer[i] = cost->n_units;
        table.columns[3].integer[i] = cost->n_positions;
        table.columns[4].integer[i] = (int64_t)cost->memory;
        table.columns[5].integer[i] = (int64_t)cost->disk;
    }
    if (status == NISSL_OK)
        *out = table;
    else
        nissl_table_free(&table);
    return status;
}

nissl_status cli_print_plan(cli_app *app, const cli_subject *subject, int n_subjects)
{
    uint64_t memory = nissl_plan_memory(subject->plan, n_subjects);
    uint64_t resident = nissl_plan_resident(subject->plan, n_subjects);
    uint64_t disk = nissl_plan_disk(subject->plan) * (uint64_t)n_subjects;
    int64_t n_stimuli = nissl_stimuli_count(subject->stimuli);
    int64_t batch = nissl_plan_batch(subject->plan);
    nissl_table table = {0};
    char text[32];
    nissl_status status = plan_table(subject->plan, &table, &app->err);
    if (status != NISSL_OK)
        return status;
    if (app->set.json) {
        cli_print_json(json_pack(
            "{s:s, s:s, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:o}", "model",
            nissl_network_path(subject->network), "stimuli", nissl_stimuli_source(subject->stimuli),
            "n_stimuli", (json_int_t)n_stimuli, "batch", (json_int_t)batch, "networks", n_subjects,
            "threads", nissl_context_threads(app->ctx), "memory_bytes", (json_int_t)memory,
            "resident_bytes", (json_int_t)resident, "disk_bytes", (json_int_t)disk, "plan",
            cli_table_json(&table)));
    } else {
        cli_print_fact("model", "%s", nissl_network_path(subject->network));
        cli_print_fact("stimuli", "%s (%" PRId64 ")", nissl_stimuli_source(subject->stimuli),
                       n_stimuli);
        cli_print_fact("networks", n_subjects > 1 ? "%d (the network and its twin)" : "%d",
                       n_subjects);
        cli_print_fact("batch", "%" PRId64, batch);
        cli_print_fact("threads", "%d", nissl_context_threads(app->ctx));
        cli_print_fact("memory", "%s (%" PRIu64 " bytes)",
                       cli_text_bytes(memory, text, sizeof text), memory);
        cli_print_fact("resident", "%s expected, with the program and its libraries",
                       cli_text_bytes(resident, text, sizeof text));
        cli_print_fact("disk", "%s (%" PRIu64 " bytes)", cli_text_bytes(disk, text, sizeof text),
                       disk);
        cli_print_table(&table);
    }
    nissl_table_free(&table);
    return NISSL_OK;
}
