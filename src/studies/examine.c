/*
 * The main job: one pass of a network and its twin over a stimulus set, tuning of every unit to
 * every factor, tables, and the sentences that the report begins with.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "studies/examination.h"

#define MOST_LEVELS 1000

nissl_examine_options nissl_examine_options_default(void)
{
    return (nissl_examine_options){.plan = nissl_plan_options_default(), .twin = true};
}

/* ---- before anything runs ---- */

static bool is_usable(const nissl_factor *factor)
{
    return factor->n_levels >= 2 && factor->n_levels <= MOST_LEVELS;
}

/* Is name in a comma-separated list? */
static bool list_has(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *p = list; p != NULL; p = strchr(p, ',')) {
        p += *p == ',';
        p += strspn(p, " ");
        const size_t m = strcspn(p, ", ");
        if (m == n && strncmp(p, name, n) == 0)
            return true;
    }
    return false;
}

/* Bytes that the tuning of a plan's sites to the stimuli's factors will hold. */
static uint64_t tuning_bytes(const nissl_plan *plan, const nissl_stimuli *stimuli, bool twin)
{
    const uint64_t n_stimuli = (uint64_t)nissl_stimuli_count(stimuli);
    uint64_t bytes = 0;
    const char *last = NULL;
    for (size_t i = 0; i < nissl_plan_n_costs(plan); i++) {
        const nissl_plan_cost *cost = nissl_plan_cost_at(plan, i);
        if (strcmp(cost->reducer, "responses") != 0 ||
            (last != NULL && strcmp(last, cost->site) == 0))
            continue;
        last = cost->site;
        for (int f = 0; f < nissl_stimuli_n_factors(stimuli); f++) {
            const nissl_factor *factor = nissl_stimuli_factor(stimuli, f);
            if (!is_usable(factor))
                continue;
            const uint64_t indices = 7 * sizeof(double) + 2 * sizeof(int32_t);
            const uint64_t curves = 2 * sizeof(double) * (uint64_t)factor->n_levels;
            bytes += (uint64_t)cost->n_units * (indices * (twin ? 2 : 1) + curves);
            bytes += n_stimuli * sizeof(double) * (twin ? 2 : 1);
        }
    }
    return bytes;
}

static nissl_status check_plan(nissl_context *ctx, const nissl_plan *plan,
                               const nissl_stimuli *stimuli, const nissl_examine_options *opt,
                               uint64_t *planned, nissl_error *err)
{
    const uint64_t tuning = tuning_bytes(plan, stimuli, opt->twin);
    const uint64_t limit = nissl__memory_limit(ctx);
    if (opt->plan.reducers != NULL && !list_has(opt->plan.reducers, "responses"))
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                           "reducers = %s lacks \"responses\", which tuning is computed from",
                           opt->plan.reducers);
    if (tuning > limit)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "tuning curves of all sites and factors take %llu bytes, more than the "
                           "limit of %llu; choose fewer sites or factors",
                           (unsigned long long)tuning, (unsigned long long)limit);
    const uint64_t recording = nissl_plan_memory(plan, opt->twin ? 2 : 1);
    *planned = NISSL__MAX(recording, tuning);
    return NISSL_OK;
}

/* ---- recording ---- */

static const char *const table_names[] = {"sites", "units", "findings", "not_tested"};

/* Tables of an earlier run, which a new recording makes wrong. */
static nissl_status remove_tables(const char *directory, nissl_error *err)
{
    static const char *const extensions[] = {"csv", "json"};
    for (int i = 0; i < 8; i++) {
        char *path = nissl__format("%s/%s.%s", directory, table_names[i / 2], extensions[i % 2]);
        if (path == NULL)
            return NISSL__NO_MEMORY(err, strlen(directory) + 32);
        const bool removed = unlink(path) == 0 || errno == ENOENT;
        if (!removed)
            NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
        nissl__free(path);
        if (!removed)
            return NISSL_ERR_IO;
    }
    return NISSL_OK;
}

static nissl_status record(nissl_context *ctx, const nissl_network *network, const nissl_plan *plan,
                           const nissl_stimuli *stimuli, const nissl_examine_options *opt,
                           const char *directory, nissl_examination *e, nissl_error *err)
{
    nissl_network *twin = NULL;
    nissl_status status = NISSL_OK;
    char *paths[2] = {nissl__format("%s/recording.nwb", directory),
                      nissl__format("%s/twin.nwb", directory)};
    const size_t n = opt->twin ? 2 : 1;
    const double started = nissl__now();
    if (paths[0] == NULL || paths[1] == NULL) {
        status = NISSL__NO_MEMORY(err, strlen(directory) + 16);
        goto done;
    }
    if (opt->twin)
        status = nissl_network_twin(ctx, network, nissl_context_seed(ctx), &twin, err);
    else if (unlink(paths[1]) != 0 && errno != ENOENT) /* of an earlier run: not this one's */
        status =
            NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be removed: %s", paths[1], strerror(errno));
    if (status != NISSL_OK)
        goto done;
    const nissl_subject subjects[2] = {{network, paths[0], "network"}, {twin, paths[1], "twin"}};
    const nissl_record_options record_options = {.overwrite = true, .command = opt->command};
    status = nissl_record(ctx, plan, stimuli, subjects, n, &record_options, err);
    if (status == NISSL_OK)
        status = remove_tables(directory, err);
    if (status == NISSL_OK)
        status = nissl_recording_open(ctx, paths[0], &e->recording, err);
    if (status == NISSL_OK && opt->twin)
        status = nissl_recording_open(ctx, paths[1], &e->twin, err);
    if (status == NISSL_OK)
        e->n_sites = nissl_recording_n_sites(e->recording);
    e->seconds_recording = nissl__now() - started;
done:
    nissl_network_free(twin);
    nissl__free(paths[0]);
    nissl__free(paths[1]);
    return status;
}

/* ---- tuning ---- */

static nissl_status choose_factors(nissl_examination *e, nissl_error *err)
{
    const int n = nissl_recording_n_factors(e->recording);
    e->factors = nissl__alloc((size_t)n + 1, sizeof *e->factors);
    if (e->factors == NULL)
        return NISSL__NO_MEMORY(err, ((size_t)n + 1) * sizeof *e->factors);
    for (int i = 0; i < n; i++)
        if (is_usable(nissl_recording_factor(e->recording, i)))
            e->factors[e->n_factors++] = i;
    return NISSL_OK;
}

static nissl_status tune_sites(nissl_context *ctx, nissl_examination *e, nissl_error *err)
{
    const nissl_tuning_options options = {.seed = nissl_context_seed(ctx)};
    const size_t n = e->n_sites * (size_t)e->n_factors;
    nissl_status status = NISSL_OK;
    nissl__progress progress;
    const double started = nissl__now();
    nissl__progress_begin(&progress, ctx, "tuning", "sites", n);
    e->tuning = nissl__alloc(n + 1, sizeof *e->tuning);
    if (e->twin != NULL)
        e->twin_tuning = nissl__alloc(n + 1, sizeof *e->twin_tuning);
    if (e->tuning == NULL || (e->twin != NULL && e->twin_tuning == NULL))
        status = NISSL__NO_MEMORY(err, (n + 1) * sizeof *e->tuning);
    for (size_t i = 0; i < n && status == NISSL_OK; i++) {
        const size_t site = i / (size_t)e->n_factors;
        const int factor = e->factors[i % (size_t)e->n_factors];
        status =
            nissl_tuning_of_site(ctx, e->recording, site, factor, &options, &e->tuning[i], err);
        if (status == NISSL_OK && e->twin != NULL) {
            nissl_tuning *t = &e->twin_tuning[i];
            status = nissl_tuning_of_site(ctx, e->twin, site, factor, &options, t, err);
            nissl__free(t->curve); /* largest, and no unit of the twin corresponds to one here */
            nissl__free(t->curve_se);
            t->curve = t->curve_se = NULL;
        }
        nissl__progress_add(&progress, 1, 0);
    }
    nissl__progress_end(&progress);
    e->seconds_tuning = nissl__now() - started;
    return status;
}

/* ---- what operators cost ---- */

static nissl_status add_costs(nissl_context *ctx, const nissl_network *network,
                              const nissl_stimuli *stimuli, const nissl_examination *e,
                              nissl__summary *summary, nissl_error *err)
{
    nissl_program *program = NULL;
    nissl_view shape = {.type = NISSL_FLOAT32};
    nissl_program_options options = nissl_program_options_default();
    int64_t one[NISSL_MAX_RANK] = {0};
    shape.rank = nissl_stimuli_shape(stimuli, one) + 1;
    shape.shape[0] = 1;
    for (int i = 1; i < shape.rank; i++)
        shape.shape[i] = one[i - 1];
    options.batch = 1;
    options.shapes_only = true;
    options.observe_all = true;
    options.input_shapes = &shape;
    options.n_input_shapes = 1;
    const nissl_status status = nissl_program_compile(ctx, network, &options, &program, err);
    if (status != NISSL_OK)
        return status;
    for (size_t i = 0; i < nissl_program_n_sites(program); i++) {
        const nissl_site *site = nissl_program_site(program, i);
        const int64_t at = nissl_recording_find_site(e->recording, site->name);
        if (at < 0)
            continue;
        summary->sites[at].parameters = site->parameters;
        summary->sites[at].operations = site->operations;
        summary->sites[at].is_output = site->is_output;
    }
    nissl_program_free(program);
    return NISSL_OK;
}

/* ---- results ---- */

typedef nissl_status (*write_fn)(const nissl_table *table, FILE *file, nissl_error *err);

/* Writes a table beside its name and renames it, so that what is there is whole. */
static nissl_status write_file(const nissl_table *table, write_fn write_table,
                               const char *directory, const char *extension, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    FILE *file = NULL;
    bool exists = false;
    char *path = nissl__format("%s/%s.%s", directory, table->name, extension);
    char *part = nissl__format("%s/.%s.%s.part", directory, table->name, extension);
    if (path == NULL || part == NULL) {
        status = NISSL__NO_MEMORY(err, strlen(directory) + 64);
        goto done;
    }
    file = fopen(part, "w");
    exists = file != NULL;
    if (file != NULL)
        status = write_table(table, file, err);
    if (status != NISSL_OK)
        goto done;
    const bool closed = file != NULL && fclose(file) == 0;
    file = NULL;
    if (!closed || rename(part, path) != 0) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
        goto done;
    }
    exists = false;
done:
    if (file != NULL)
        fclose(file);
    if (exists)
        unlink(part);
    nissl__free(path);
    nissl__free(part);
    return status;
}

static nissl_status write_table_files(const nissl_table *table, const char *directory,
                                      nissl_error *err)
{
    const nissl_status status = write_file(table, nissl_table_write_csv, directory, "csv", err);
    return status == NISSL_OK ? write_file(table, nissl_table_write_json, directory, "json", err)
                              : status;
}

static nissl_status findings_table(const nissl_examination *e, nissl_table *table, nissl_error *err)
{
    static const struct {
        const char *name, *description;
        nissl_column_type type;
    } column[] = {
        {"text", "The sentence.", NISSL_COLUMN_TEXT},
        {"site", "The site it is about; missing: the whole network.", NISSL_COLUMN_TEXT},
        {"factor", "The factor it is about.", NISSL_COLUMN_TEXT},
        {"measure", "What effect, interval and control are.", NISSL_COLUMN_TEXT},
        {"sample", "What was measured.", NISSL_COLUMN_TEXT},
        {"threat", "Why it may not hold.", NISSL_COLUMN_TEXT},
        {"effect", "The estimate.", NISSL_COLUMN_REAL},
        {"low", "Lower end of its 95 % bootstrap interval.", NISSL_COLUMN_REAL},
        {"high", "Upper end of that interval.", NISSL_COLUMN_REAL},
        {"control", "The same of the twin, or what chance gives.", NISSL_COLUMN_REAL},
        {"n", "Size of the sample that was resampled.", NISSL_COLUMN_INTEGER},
    };
    nissl_status status =
        nissl_table_new(table_names[2], "The strongest statements, strongest first.", table, err);
    for (size_t c = 0; c < sizeof column / sizeof column[0] && status == NISSL_OK; c++)
        status = nissl_table_add_column(table, column[c].type, column[c].name,
                                        column[c].type == NISSL_COLUMN_TEXT ? "" : "1",
                                        column[c].description, NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_rows(table, (int64_t)e->n_findings, err);
    for (int64_t row = 0; row < table->n_rows && status == NISSL_OK; row++) {
        const nissl_finding *f = &e->findings[row];
        const char *const text[] = {f->text, f->site, f->factor, f->measure, f->sample, f->threat};
        for (int c = 0; c < 6 && status == NISSL_OK; c++)
            if (text[c][0] != '\0')
                status = nissl_table_set_text(table, row, c, text[c], err);
        const double real[] = {f->effect, f->low, f->high, f->control};
        for (int c = 0; c < 4; c++)
            table->columns[6 + c].real[row] = real[c];
        table->columns[10].integer[row] = f->n;
    }
    return status;
}

static nissl_status not_tested_table(const nissl_examination *e, nissl_table *table,
                                     nissl_error *err)
{
    nissl_status status =
        nissl_table_new(table_names[3], "What the examination leaves open.", table, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(table, NISSL_COLUMN_TEXT, "text", "", "The sentence.", NULL,
                                        err);
    if (status == NISSL_OK)
        status = nissl_table_add_rows(table, (int64_t)e->n_not_tested, err);
    for (int64_t row = 0; row < table->n_rows && status == NISSL_OK; row++)
        status = nissl_table_set_text(table, row, 0, e->not_tested[row], err);
    return status;
}

static nissl_status write_results(const nissl_examination *e, const char *directory,
                                  nissl_error *err)
{
    nissl_table findings = {0}, not_tested = {0};
    nissl_status status = findings_table(e, &findings, err);
    if (status == NISSL_OK)
        status = not_tested_table(e, &not_tested, err);
    const nissl_table *const tables[] = {&e->sites, &e->units, &findings, &not_tested};
    for (int i = 0; i < 4 && status == NISSL_OK; i++)
        status = write_table_files(tables[i], directory, err);
    nissl_table_free(&findings);
    nissl_table_free(&not_tested);
    return status;
}

nissl_status nissl_examine(nissl_context *ctx, const nissl_network *network,
                           const nissl_stimuli *stimuli, const nissl_examine_options *opt,
                           const char *directory, nissl_examination *out, nissl_error *err)
{
    const nissl_examine_options options = opt == NULL ? nissl_examine_options_default() : *opt;
    nissl_examination e = {.baseline_bytes = nissl__resident_now()};
    nissl__summary summary = {0};
    nissl_plan *plan = NULL;
    nissl_status status = nissl_plan_new(ctx, network, stimuli, &options.plan, &plan, err);
    if (status == NISSL_OK)
        status = check_plan(ctx, plan, stimuli, &options, &e.planned_bytes, err);
    if (status == NISSL_OK)
        e.expected_bytes = nissl_plan_resident(plan, options.twin ? 2 : 1);
    if (status == NISSL_OK)
        status = record(ctx, network, plan, stimuli, &options, directory, &e, err);
    if (status == NISSL_OK)
        status = choose_factors(&e, err);
    if (status == NISSL_OK)
        status = tune_sites(ctx, &e, err);
    if (status == NISSL_OK)
        status = nissl__summary_new(ctx, &e, &summary, err);
    if (status == NISSL_OK)
        status = add_costs(ctx, network, stimuli, &e, &summary, err);
    if (status == NISSL_OK)
        status = nissl__sites_table(&e, &summary, &e.sites, err);
    if (status == NISSL_OK)
        status = nissl__units_table(&e, &e.units, err);
    if (status == NISSL_OK)
        status = nissl__findings(ctx, &summary, &e, err);
    if (status == NISSL_OK)
        status = nissl__not_tested(&summary, network, stimuli, &options, &e, err);
    if (status == NISSL_OK)
        status = write_results(&e, directory, err);
    if (status == NISSL_OK) {
        e.resident_bytes = nissl__resident_peak();
        *out = e;
        e = (nissl_examination){0};
    }
    nissl_examination_free(&e);
    nissl__summary_free(&summary);
    nissl_plan_free(plan);
    return status;
}

void nissl_examination_free(nissl_examination *e)
{
    if (e == NULL)
        return;
    const size_t n = e->n_sites * (size_t)e->n_factors;
    for (size_t i = 0; i < n; i++) {
        if (e->tuning != NULL)
            nissl_tuning_free(&e->tuning[i]);
        if (e->twin_tuning != NULL)
            nissl_tuning_free(&e->twin_tuning[i]);
    }
    for (size_t i = 0; i < e->n_findings; i++) {
        nissl_finding *f = &e->findings[i];
        char *const strings[] = {f->text, f->site, f->factor, f->measure, f->sample, f->threat};
        for (int k = 0; k < 6; k++)
            nissl__free(strings[k]);
    }
    for (size_t i = 0; i < e->n_not_tested; i++)
        nissl__free(e->not_tested[i]);
    nissl__free(e->findings);
    nissl__free(e->not_tested);
    nissl__free(e->tuning);
    nissl__free(e->twin_tuning);
    nissl__free(e->factors);
    nissl_table_free(&e->sites);
    nissl_table_free(&e->units);
    nissl_recording_free(e->recording);
    nissl_recording_free(e->twin);
    *e = (nissl_examination){0};
}
