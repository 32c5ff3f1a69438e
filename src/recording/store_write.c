/* Writing a recording; see store.h. The layout is that of docs/recording.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "recording/store.h"
#include "foundation/foundation.h"
#include "recording/h5.h"

#define MAX_ARRAYS 4096

struct nissl__store {
    const nissl_plan *plan;
    char *path, *partial;
    bool overwrite, created;
    int fd; /* of PATH.partial, while HDF5 has it closed */
    uint64_t identity;
    int64_t *offset; /* [n_sites] of the responses; -1 = none */
    nissl__h5 h5;
    nissl__h5_table units;
    size_t n_arrays;
    char *arrays[MAX_ARRAYS];        /* names of the arrays seen */
    const char *columns[MAX_ARRAYS]; /* their columns in units */
    nissl_type types[MAX_ARRAYS];
    int64_t widths[MAX_ARRAYS]; /* second axis; 0 = none */
};

/* Rows of units of which a reducer says nothing are there all the same. */
static uint64_t absent_bytes(const nissl_plan *plan, const nissl_reducer *reducer)
{
    uint64_t absent = 0, of_a_unit = 0;
    if (reducer->needs & NISSL_REDUCER_STREAM)
        return 0;
    for (size_t i = 0; i < plan->n_sites; i++) {
        const nissl_reducer_site *site = &plan->sites[i].site;
        if (reducer->bytes(site, 1) > 0)
            of_a_unit = reducer->result_bytes(site) / (uint64_t)site->n_units;
        else
            absent += (uint64_t)site->n_units;
    }
    return absent * of_a_unit;
}

uint64_t nissl__store_overhead(const nissl_plan *plan)
{
    uint64_t n_units = (uint64_t)plan->n_units, n_stimuli = (uint64_t)plan->n_stimuli;
    uint64_t total = 28 << 10, names = 0, ids = 0;
    /* a text costs its reference, a header and its bytes rounded up in the heap */
    for (size_t i = 0; i < plan->n_sites; i++) {
        const nissl__planned_site *site = &plan->sites[i];
        uint64_t text = 3 * 32 + strlen(site->name) + strlen(site->op) + strlen(site->node) + 12;
        names += (uint64_t)site->site.n_units * text;
        total += 2 * text + 600 + (plan->streams ? 1700 : 0);
    }
    for (int64_t i = 0; i < plan->n_stimuli; i++)
        ids += 32 + strlen(nissl_stimuli_id(plan->stimuli, i)) + 4;
    total += names + n_units * 16 + ids + n_stimuli * 24;
    for (int i = 0; i < nissl_stimuli_n_factors(plan->stimuli); i++) {
        const nissl_factor *factor = nissl_stimuli_factor(plan->stimuli, i);
        uint64_t row =
            (factor->n_levels ? 4 : 0) + (factor->kind == NISSL_FACTOR_CONTINUOUS ? 8 : 32 + 8);
        total += 4096 + n_stimuli * row + (uint64_t)factor->n_levels * 56;
    }
    for (size_t r = 0; r < plan->n_reducers; r++)
        total += absent_bytes(plan, plan->reducers[r]);
    return total + plan->n_reducers * 3000;
}

static nissl_status fail_io(const nissl__store *store, const char *what, nissl_error *err)
{
    struct statvfs fs;
    uint64_t need = nissl_plan_disk(store->plan), have = 0;
    int code = errno;
    if (statvfs(store->partial, &fs) == 0)
        have = (uint64_t)fs.f_bavail * fs.f_frsize;
    return NISSL__FAIL(err, NISSL_ERR_IO,
                       "%s: %s failed: %s (the recording is about %llu bytes, its file system has "
                       "%llu free)",
                       store->partial, what, code ? strerror(code) : "HDF5 error",
                       (unsigned long long)need, (unsigned long long)have);
}

static nissl_status h5_status(const nissl__store *store, nissl_error *err)
{
    char what[300];
    if (!store->h5.failed)
        return NISSL_OK;
    if (store->h5.no_memory)
        return NISSL__FAIL(err, NISSL_ERR_MEMORY, "%s: out of memory while writing %s",
                           store->partial, store->h5.what);
    snprintf(what, sizeof what, "writing %s", store->h5.what);
    return fail_io(store, what, err);
}

/* ---- the file before the pass ---- */

static void write_root(nissl__store *store, const nissl__store_info *info)
{
    static const char *const groups[] = {
        "/acquisition",           "/analysis",           "/processing", "/stimulus",
        "/stimulus/presentation", "/stimulus/templates", "/general",    "/intervals"};
    nissl__h5 *h5 = &store->h5;
    char text[1024];
    nissl__h5_typed(h5, "/", "NWBFile", "core");
    nissl__h5_text_attr(h5, "/", "nwb_version", "2.7.0");
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        nissl__h5_group(h5, groups[i], NULL, NULL);
    snprintf(text, sizeof text, "nissl-%s-%016llx", info->role, (unsigned long long)info->identity);
    nissl__h5_text(h5, "/identifier", text);
    snprintf(text, sizeof text, "Responses of the %s %s to %lld stimuli of %s.", info->role,
             info->model, (long long)store->plan->n_stimuli, info->source);
    nissl__h5_text(h5, "/session_description", text);
    nissl__h5_text(h5, "/session_start_time", info->started);
    nissl__h5_text(h5, "/timestamps_reference_time", info->started);
    nissl__h5_texts(h5, "/file_create_date", &info->started, 1);
    nissl__h5_text(h5, "/general/experiment_description",
                   "An artificial neural network shown a set of stimuli, one per second of nominal "
                   "time; /general/notes holds the provenance as JSON.");
    nissl__h5_text(h5, "/general/notes", info->provenance);
    nissl__h5_text(h5, "/general/source_script", info->command ? info->command : "");
    nissl__h5_text_attr(h5, "/general/source_script", "file_name", "nissl");
}

/* Names of the columns of a factor in the table of trials. */
typedef struct factor_columns {
    char value[320], level[320];
} factor_columns;

/* Texts of a categorical factor's level on every stimulus, or values; and the level. */
static void write_trial_factor(nissl__store *store, nissl__h5_table *trials, int index,
                               factor_columns *columns)
{
    const nissl_factor *factor = nissl_stimuli_factor(store->plan->stimuli, index);
    int64_t n = store->plan->n_stimuli;
    char name[400], description[600];
    const char **texts = NULL;
    snprintf(description, sizeof description, "Factor %s%s%s.", factor->name,
             factor->unit[0] ? " in " : "", factor->unit);
    if (factor->kind == NISSL_FACTOR_CONTINUOUS && factor->value) {
        snprintf(columns->value, sizeof columns->value, "%s",
                 nissl__h5_column(&store->h5, trials, factor->name, description, NISSL_FLOAT64, 0,
                                  factor->value));
    } else {
        texts = nissl__alloc((size_t)n, sizeof *texts);
        if (!texts) {
            nissl__h5_no_memory(&store->h5, factor->name);
            return;
        }
        for (int64_t i = 0; i < n; i++)
            texts[i] =
                factor->level && factor->level[i] >= 0 ? factor->levels[factor->level[i]] : "";
        snprintf(columns->value, sizeof columns->value, "%s",
                 nissl__h5_column_texts(&store->h5, trials, factor->name, description, texts));
        nissl__free(texts);
    }
    if (factor->n_levels == 0)
        return;
    snprintf(name, sizeof name, "%s_level", columns->value);
    snprintf(description, sizeof description,
             "Row of the level of factor %s in its table of conditions; -1 = missing.",
             factor->name);
    snprintf(
        columns->level, sizeof columns->level, "%s",
        nissl__h5_column(&store->h5, trials, name, description, NISSL_INT32, 0, factor->level));
}

static void write_conditions(nissl__store *store, int index, const factor_columns *columns)
{
    const nissl_factor *factor = nissl_stimuli_factor(store->plan->stimuli, index);
    int64_t *count = nissl__alloc((size_t)factor->n_levels, sizeof *count);
    nissl__h5_table table;
    char path[600], description[600];
    if (!count) {
        nissl__h5_no_memory(&store->h5, factor->name);
        return;
    }
    for (int64_t i = 0; factor->level && i < store->plan->n_stimuli; i++)
        if (factor->level[i] >= 0)
            count[factor->level[i]]++;
    snprintf(path, sizeof path, "/processing/conditions/%s", columns->value);
    snprintf(description, sizeof description, "Levels of factor %s.", factor->name);
    nissl__h5_table_begin(&store->h5, &table, path, "DynamicTable", description, factor->n_levels);
    nissl__h5_fixed_attr(&store->h5, path, "factor", factor->name);
    nissl__h5_fixed_attr(&store->h5, path, "value_column", columns->value);
    nissl__h5_fixed_attr(&store->h5, path, "level_column", columns->level);
    nissl__h5_fixed_attr(&store->h5, path, "unit", factor->unit);
    nissl__h5_fixed_attr(&store->h5, path, "kind",
                         factor->kind == NISSL_FACTOR_CONTINUOUS ? "continuous" : "categorical");
    nissl__h5_number_attr(&store->h5, path, "order", H5T_STD_I32LE, &(int32_t){index});
    nissl__h5_column_texts(&store->h5, &table, "level", "Text of the level.", factor->levels);
    nissl__h5_column(&store->h5, &table, "n_stimuli", "Number of stimuli of the level.",
                     NISSL_INT64, 0, count);
    nissl__h5_table_end(&store->h5, &table);
    nissl__free(count);
}

static nissl_status write_trials(nissl__store *store, nissl_error *err)
{
    const nissl_stimuli *stimuli = store->plan->stimuli;
    int64_t n = store->plan->n_stimuli;
    double *time = nissl__alloc((size_t)n, 2 * sizeof *time);
    const char **ids = nissl__alloc((size_t)n, sizeof *ids);
    nissl__h5 *h5 = &store->h5;
    nissl__h5_table trials = {0};
    nissl_status status = NISSL_OK;
    if (!time || !ids) {
        status = NISSL__NO_MEMORY(err, (size_t)n * sizeof *time);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        time[i] = (double)i;
        time[n + i] = (double)i + 0.5;
        ids[i] = nissl_stimuli_id(stimuli, i);
    }
    nissl__h5_table_begin(h5, &trials, "/intervals/trials", "TimeIntervals",
                          "One trial per stimulus: half of each second of nominal time.", n);
    nissl__h5_column(h5, &trials, "start_time", "Nominal time of the stimulus in seconds.",
                     NISSL_FLOAT64, 0, time);
    nissl__h5_column(h5, &trials, "stop_time", "Nominal end of the stimulus in seconds.",
                     NISSL_FLOAT64, 0, time + n);
    nissl__h5_column_texts(h5, &trials, "stimulus", "Id of the stimulus.", ids);
    if (nissl_stimuli_n_factors(stimuli) > 0) {
        nissl__h5_group(h5, "/processing/conditions", "ProcessingModule", "core");
        nissl__h5_text_attr(h5, "/processing/conditions", "description",
                            "A table per factor of the stimuli: its levels.");
    }
    for (int f = 0; f < nissl_stimuli_n_factors(stimuli); f++) {
        factor_columns columns = {"", ""};
        write_trial_factor(store, &trials, f, &columns);
        write_conditions(store, f, &columns);
    }
    nissl__h5_table_end(h5, &trials);

done:
    nissl__h5_table_free(&trials);
    nissl__free(time);
    nissl__free(ids);
    return status;
}

/* The room for a site's responses; its name under /processing/ann in name. */
static void write_series(nissl__store *store, size_t index, char *name, size_t size)
{
    const nissl__planned_site *site = &store->plan->sites[index];
    int64_t shape[2] = {store->plan->n_stimuli, site->site.n_units};
    nissl__h5 *h5 = &store->h5;
    char path[600], data[640], rate[640];
    char base[400];
    nissl__h5_name(site->name, base, sizeof base);
    snprintf(name, size, "%s", base);
    for (int n = 2;; n++) {
        snprintf(path, sizeof path, "/processing/ann/%s", name);
        if (h5->failed || H5Lexists(h5->file, path, H5P_DEFAULT) <= 0)
            break;
        snprintf(name, size, "%s_%d", base, n);
    }
    snprintf(data, sizeof data, "%s/data", path);
    snprintf(rate, sizeof rate, "%s/starting_time", path);
    nissl__h5_group(h5, path, "TimeSeries", "core");
    nissl__h5_text_attr(h5, path, "description",
                        "Value of each unit (columns) on each stimulus (rows): of the unit's "
                        "positions, the summary named in the provenance.");
    nissl__h5_text_attr(h5, path, "comments", site->name);
    nissl__h5_dataset(h5, data, NISSL_FLOAT32, 2, shape, NULL);
    nissl__h5_text_attr(h5, data, "unit", "a.u.");
    nissl__h5_number_attr(h5, data, "conversion", H5T_IEEE_F32LE, &(float){1});
    nissl__h5_number_attr(h5, data, "offset", H5T_IEEE_F32LE, &(float){0});
    nissl__h5_number_attr(h5, data, "resolution", H5T_IEEE_F32LE, &(float){-1});
    nissl__h5_dataset(h5, rate, NISSL_FLOAT64, 0, NULL, &(double){0});
    nissl__h5_number_attr(h5, rate, "rate", H5T_IEEE_F32LE, &(float){1});
    nissl__h5_text_attr(h5, rate, "unit", "seconds");
}

/* Columns of /processing/network/sites and of /units that repeat a site's texts. */
typedef struct site_columns {
    const char **name, **op, **node;
} site_columns;

static void write_sites(nissl__store *store, const char **series, int64_t *numbers,
                        const site_columns *texts)
{
    static const struct {
        const char *name, *description;
    } columns[4] = {
        {"n_units", "Units of the site."},
        {"n_positions", "Positions that a unit's value on a stimulus summarises."},
        {"first_unit", "Row of the site's first unit in the table of units."},
        {"rank", "Axes of the site."},
    };
    const nissl_plan *plan = store->plan;
    size_t n = plan->n_sites;
    nissl__h5 *h5 = &store->h5;
    nissl__h5_table table;
    nissl__h5_group(h5, "/processing/network", "ProcessingModule", "core");
    nissl__h5_text_attr(h5, "/processing/network", "description",
                        "What is known of the recorded network.");
    nissl__h5_table_begin(h5, &table, "/processing/network/sites", "DynamicTable",
                          "The recorded sites in order of execution.", (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        texts->name[i] = plan->sites[i].name;
        texts->op[i] = plan->sites[i].op;
        texts->node[i] = plan->sites[i].node;
        numbers[i] = plan->sites[i].site.n_units;
        numbers[n + i] = plan->sites[i].site.n_positions;
        numbers[2 * n + i] = plan->sites[i].first_unit;
        numbers[3 * n + i] = plan->sites[i].rank;
        memcpy(numbers + 4 * n + i * NISSL_MAX_RANK, plan->sites[i].shape,
               sizeof plan->sites[i].shape);
    }
    nissl__h5_column_texts(h5, &table, "site", "Name of the tensor.", texts->name);
    nissl__h5_column_texts(h5, &table, "op", "Operator that makes it.", texts->op);
    nissl__h5_column_texts(h5, &table, "node", "Node that makes it.", texts->node);
    nissl__h5_column_texts(h5, &table, "responses",
                           "Name of its time series in the module ann; empty where values were not "
                           "kept.",
                           series);
    for (int c = 0; c < 4; c++)
        nissl__h5_column(h5, &table, columns[c].name, columns[c].description, NISSL_INT64, 0,
                         numbers + (size_t)c * n);
    nissl__h5_column(h5, &table, "shape", "Logical shape, stimulus axis 1, filled up with zeros.",
                     NISSL_INT64, NISSL_MAX_RANK, numbers + 4 * n);
    nissl__h5_table_end(h5, &table);
}

static void write_units(nissl__store *store, int64_t *index, const site_columns *texts)
{
    const nissl_plan *plan = store->plan;
    nissl__h5 *h5 = &store->h5;
    int64_t row = 0;
    for (size_t s = 0; s < plan->n_sites; s++)
        for (int64_t u = 0; u < plan->sites[s].site.n_units; u++, row++) {
            index[row] = u;
            texts->name[row] = plan->sites[s].name;
            texts->op[row] = plan->sites[s].op;
            texts->node[row] = plan->sites[s].node;
        }
    nissl__h5_table_begin(h5, &store->units, "/units", "Units",
                          "Units of the network: indices along the unit axis of its sites.",
                          plan->n_units);
    nissl__h5_column_texts(h5, &store->units, "site", "Name of the tensor.", texts->name);
    nissl__h5_column(h5, &store->units, "index", "Index of the unit in its site.", NISSL_INT64, 0,
                     index);
    nissl__h5_column_texts(h5, &store->units, "op", "Operator that makes the site.", texts->op);
    nissl__h5_column_texts(h5, &store->units, "node", "Node that makes the site.", texts->node);
}

static nissl_status write_objects(nissl__store *store, const nissl__store_info *info,
                                  nissl_error *err)
{
    const nissl_plan *plan = store->plan;
    size_t n = NISSL__MAX(plan->n_sites, (size_t)plan->n_units);
    size_t n_numbers = NISSL__MAX((size_t)plan->n_units, plan->n_sites * (4 + NISSL_MAX_RANK));
    site_columns texts = {nissl__alloc(n, sizeof *texts.name), nissl__alloc(n, sizeof *texts.op),
                          nissl__alloc(n, sizeof *texts.node)};
    int64_t *numbers = nissl__alloc(n_numbers, sizeof *numbers);
    char(*names)[420] = nissl__alloc(plan->n_sites, sizeof *names);
    const char **series = nissl__alloc(plan->n_sites, sizeof *series);
    nissl_status status = NISSL_OK;
    if (!texts.name || !texts.op || !texts.node || !numbers || !names || !series) {
        status = NISSL__NO_MEMORY(err, n_numbers * sizeof *numbers);
        goto done;
    }
    write_root(store, info);
    status = write_trials(store, err);
    if (status != NISSL_OK)
        goto done;
    if (plan->streams) {
        nissl__h5_group(&store->h5, "/processing/ann", "ProcessingModule", "core");
        nissl__h5_text_attr(&store->h5, "/processing/ann", "description",
                            "Responses: a time series per site, stimuli by units.");
    }
    for (size_t i = 0; i < plan->n_sites; i++) {
        if (plan->streams)
            write_series(store, i, names[i], sizeof names[i]);
        series[i] = names[i];
    }
    write_sites(store, series, numbers, &texts);
    write_units(store, numbers, &texts);
    for (size_t i = 0; i < plan->n_sites && plan->streams && !store->h5.failed; i++) {
        char path[600];
        hid_t set;
        snprintf(path, sizeof path, "/processing/ann/%s/data", names[i]);
        set = H5Dopen2(store->h5.file, path, H5P_DEFAULT);
        store->offset[i] = set < 0 ? -1 : (int64_t)H5Dget_offset(set);
        if (set >= 0)
            H5Dclose(set);
        if (store->offset[i] < 0)
            status = NISSL__FAIL(err, NISSL_ERR_INTERNAL, "%s has no place in the file", path);
    }

done:
    nissl__free(texts.name);
    nissl__free(texts.op);
    nissl__free(texts.node);
    nissl__free(numbers);
    nissl__free(names);
    nissl__free(series);
    return status;
}

/* Takes the space of the whole recording, so that a full disk shows before the pass. */
static nissl_status reserve(nissl__store *store, nissl_error *err)
{
    off_t size = (off_t)nissl_plan_disk(store->plan);
    store->fd = open(store->partial, O_RDWR | O_CLOEXEC);
    if (store->fd < 0)
        return fail_io(store, "opening", err);
    errno = 0;
    if (fallocate(store->fd, 0, 0, size) != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        return fail_io(store, "reserving space", err);
    return NISSL_OK;
}

static nissl_status check_path(const char *path, bool overwrite, nissl_error *err)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return NISSL_OK;
    if (!S_ISREG(about.st_mode))
        return NISSL__FAIL(err, NISSL_ERR_EXISTS, "%s exists and is not a file", path);
    if (!overwrite)
        return NISSL__FAIL(err, NISSL_ERR_EXISTS, "%s exists already", path);
    return NISSL_OK;
}

nissl_status nissl__store_create(const nissl_plan *plan, const char *path, bool overwrite,
                                 const nissl__store_info *info, nissl__store **out,
                                 nissl_error *err)
{
    nissl__store *store = NULL;
    nissl__h5_quiet quiet;
    struct statvfs fs;
    int probe;
    nissl_status status = check_path(path, overwrite, err);
    if (status != NISSL_OK)
        return status;
    store = nissl__alloc(1, sizeof *store);
    if (!store)
        return NISSL__NO_MEMORY(err, sizeof *store);
    quiet = nissl__h5_quiet_begin();
    store->plan = plan;
    store->fd = -1;
    store->overwrite = overwrite;
    store->identity = info->identity;
    store->path = nissl__strdup(path);
    store->partial = nissl__format("%s.partial", path);
    store->offset = nissl__alloc(plan->n_sites, sizeof *store->offset);
    if (!store->path || !store->partial || !store->offset) {
        status = NISSL__NO_MEMORY(err, plan->n_sites * sizeof *store->offset);
        goto done;
    }
    probe = open(store->partial, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (probe < 0) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s", store->partial, strerror(errno));
        goto done;
    }
    close(probe);
    store->created = true;
    if (statvfs(store->partial, &fs) == 0 && fs.f_blocks > 0 &&
        (uint64_t)fs.f_bavail * fs.f_frsize < nissl_plan_disk(plan)) {
        errno = ENOSPC;
        status = fail_io(store, "reserving space", err);
        goto done;
    }
    errno = 0;
    nissl__h5_create(&store->h5, store->partial, info->identity);
    status = write_objects(store, info, err);
    nissl__h5_close(&store->h5);
    if (status == NISSL_OK)
        status = h5_status(store, err);
    if (status == NISSL_OK)
        status = reserve(store, err);

done:
    nissl__h5_quiet_end(quiet);
    if (status == NISSL_OK)
        *out = store;
    else
        nissl__store_free(store);
    return status;
}

/* ---- during the pass ---- */

nissl_status nissl__store_responses(nissl__store *store, size_t site, int64_t first,
                                    int64_t n_stimuli, const float *value, nissl_error *err)
{
    int64_t n_units = store->plan->sites[site].site.n_units;
    size_t bytes = (size_t)(n_stimuli * n_units) * sizeof *value, done = 0;
    off_t at = (off_t)(store->offset[site] + first * n_units * (int64_t)sizeof *value);
    while (done < bytes) {
        ssize_t n = pwrite(store->fd, (const char *)value + done, bytes - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return fail_io(store, "writing responses", err);
        }
        done += (size_t)n;
    }
    return NISSL_OK;
}

/* ---- after the pass ---- */

nissl_status nissl__store_reopen(nissl__store *store, nissl_error *err)
{
    nissl__h5_quiet quiet = nissl__h5_quiet_begin();
    errno = 0;
    nissl__h5_open(&store->h5, store->partial, store->identity);
    nissl__h5_quiet_end(quiet);
    return h5_status(store, err);
}

nissl_status nissl__store_array(nissl__store *store, size_t site, const char *name,
                                const char *unit, const char *description, const nissl_array *array,
                                nissl_error *err)
{
    const nissl__planned_site *of = &store->plan->sites[site];
    nissl__h5_quiet quiet = nissl__h5_quiet_begin();
    char path[900];
    size_t i = 0;
    errno = 0;
    while (i < store->n_arrays && strcmp(store->arrays[i], name) != 0)
        i++;
    if (i == store->n_arrays && i < MAX_ARRAYS) {
        store->columns[i] =
            nissl__h5_column(&store->h5, &store->units, name, description, array->type,
                             array->rank > 1 ? array->shape[1] : 0, NULL);
        snprintf(path, sizeof path, "/units/%s", store->columns[i]);
        nissl__h5_fixed_attr(&store->h5, path, "array", name);
        nissl__h5_fixed_attr(&store->h5, path, "unit", unit);
        store->arrays[i] = nissl__strdup(name);
        store->types[i] = array->type;
        store->widths[i] = array->rank > 1 ? array->shape[1] : 0;
        store->n_arrays += store->arrays[i] != NULL;
    }
    if (i == store->n_arrays) {
        nissl__h5_quiet_end(quiet);
        if (i < MAX_ARRAYS)
            return NISSL__NO_MEMORY(err, strlen(name) + 1);
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "no room for array %s beside %zu", name, i);
    }
    snprintf(path, sizeof path, "/units/%s", store->columns[i]);
    nissl__h5_rows(&store->h5, path, array->type, array->rank, array->shape, of->first_unit,
                   array->data);
    nissl__h5_quiet_end(quiet);
    return h5_status(store, err);
}

nissl_status nissl__store_absent(nissl__store *store, size_t site, const char *reducer,
                                 nissl_error *err)
{
    const nissl__planned_site *of = &store->plan->sites[site];
    nissl__h5_quiet quiet = nissl__h5_quiet_begin();
    nissl_status status = NISSL_OK;
    errno = 0;
    for (size_t i = 0; i < store->n_arrays && status == NISSL_OK; i++) {
        int64_t shape[2] = {of->site.n_units, store->widths[i]};
        int64_t n = shape[0] * NISSL__MAX(shape[1], 1);
        size_t size = nissl_type_size(store->types[i]), length = strlen(reducer);
        char path[900], *data;
        if (strncmp(store->arrays[i], reducer, length) != 0 || store->arrays[i][length] != '/')
            continue;
        data = nissl__alloc((size_t)n, size);
        if (!data) {
            status = NISSL__NO_MEMORY(err, (size_t)n * size);
            break;
        }
        memset(data, 0xff, (size_t)n * size); /* -1 */
        for (int64_t k = 0; k < n && store->types[i] == NISSL_FLOAT32; k++)
            ((float *)(void *)data)[k] = NAN;
        for (int64_t k = 0; k < n && store->types[i] == NISSL_FLOAT64; k++)
            ((double *)(void *)data)[k] = NAN;
        snprintf(path, sizeof path, "/units/%s", store->columns[i]);
        nissl__h5_rows(&store->h5, path, store->types[i], store->widths[i] ? 2 : 1, shape,
                       of->first_unit, data);
        nissl__free(data);
    }
    nissl__h5_quiet_end(quiet);
    return status == NISSL_OK ? h5_status(store, err) : status;
}

nissl_status nissl__store_close(nissl__store *store, nissl_error *err)
{
    nissl__h5_quiet quiet = nissl__h5_quiet_begin();
    nissl_status status;
    errno = 0;
    nissl__h5_table_end(&store->h5, &store->units);
    nissl__h5_close(&store->h5);
    nissl__h5_quiet_end(quiet);
    status = h5_status(store, err);
    if (status == NISSL_OK && fsync(store->fd) != 0)
        status = fail_io(store, "fsync", err);
    return status;
}

nissl_status nissl__store_publish(nissl__store *store, nissl_error *err)
{
    char *slash, *folder;
    int fd;
    nissl_status status = check_path(store->path, store->overwrite, err);
    if (status != NISSL_OK)
        return status;
    if (rename(store->partial, store->path) != 0)
        return NISSL__FAIL(err, NISSL_ERR_IO, "renaming %s to %s: %s", store->partial, store->path,
                           strerror(errno));
    store->created = false;
    folder = nissl__strdup(store->path);
    if (!folder)
        return NISSL_OK;
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd); /* the name; a file system that cannot do this has lost nothing yet */
        close(fd);
    }
    nissl__free(folder);
    return NISSL_OK;
}

void nissl__store_free(nissl__store *store)
{
    nissl__h5_quiet quiet;
    if (!store)
        return;
    quiet = nissl__h5_quiet_begin();
    nissl__h5_close(&store->h5);
    nissl__h5_quiet_end(quiet);
    nissl__h5_table_free(&store->units);
    if (store->fd >= 0)
        close(store->fd);
    if (store->created)
        unlink(store->partial);
    for (size_t i = 0; i < store->n_arrays; i++)
        nissl__free(store->arrays[i]);
    nissl__free(store->path);
    nissl__free(store->partial);
    nissl__free(store->offset);
    nissl__free(store);
}
