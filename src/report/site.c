/* One site: its page, its data, its chart specifications, its entry in the overview. */
#include "report/pages.h"

typedef struct site_job {
    nissl__report *report;
    const nissl_recorded_site *site;
    size_t index;
    nissl__site_numbers network, twin;
    bool has_twin;
    json_t *data;  /* of the page */
    json_t *entry; /* of the overview */
    bool failed;   /* JSON ran out of memory */
} site_job;

static nissl_status write_distribution(site_job *job, nissl__index_key key, int factor,
                                       const nissl__spread *spread, nissl_error *err)
{
    const nissl__index *index = nissl__report_index(key);
    const char *of = key < NISSL__INDEX_PER_FACTOR ? job->report->factor_files[factor] : NULL;
    const char *over = index->over_stimuli ? "stimuli" : "units";
    char *name = nissl__format("site_%03zu-%s%s%s", job->index + 1, index->key,
                               of != NULL ? "-" : "", of != NULL ? of : "");
    char *title = nissl__format("%s, %s%s%s", job->site->name, index->name, of != NULL ? ", " : "",
                                of != NULL ? of : "");
    char *share = nissl__format("share of %s", over);
    json_t *text = nissl__json_text(title), *axis = json_string(index->axis);
    json_t *shares = json_string(share != NULL ? share : "");
    nissl_status status;
    const nissl__chart_text texts[] = {
        {"title", text}, {"description", text}, {"unit", axis}, {"share", shares}};
    if (name == NULL || title == NULL || share == NULL || text == NULL)
        status = NISSL__NO_MEMORY(err, strlen(job->site->name));
    else
        status = nissl__chart_write(job->report, "distribution", nissl__spread_rows(spread), texts,
                                    sizeof texts / sizeof texts[0], name, err);
    json_decref(text);
    json_decref(axis);
    json_decref(shares);
    nissl__free(name);
    nissl__free(title);
    nissl__free(share);
    return status;
}

/* Distributions and quartiles of the indices first .. last - 1, into two objects. */
static nissl_status add_indices(site_job *job, int first, int last, int factor, json_t *spreads,
                                json_t *quartiles, nissl_error *err)
{
    for (int k = first; k < last; k++) {
        const nissl__index_key key = (nissl__index_key)k;
        const nissl__index *index = nissl__report_index(key);
        int64_t n = 0, twin_n = 0;
        const double *x = nissl__site_values(&job->network, key, factor, &n);
        const double *twin =
            job->has_twin ? nissl__site_values(&job->twin, key, factor, &twin_n) : NULL;
        nissl__spread spread = {0};
        nissl_status status = nissl__spread_new(x, n, twin, twin_n, &spread, err);
        if (status != NISSL_OK)
            return status;
        nissl__json_put(spreads, index->key, nissl__spread_json(&spread), &job->failed);
        nissl__json_put(quartiles, index->key, nissl__spread_summary(&spread), &job->failed);
        if (index->distribution && spread.n_bins > 0)
            status = write_distribution(job, key, factor, &spread, err);
        nissl__spread_free(&spread);
        if (status != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

/* How many units prefer each level. */
static json_t *count_preferred(const nissl_tuning *tuning, int n_levels, bool *failed)
{
    json_t *out = json_array();
    int64_t *count = nissl__alloc((size_t)n_levels + 1, sizeof *count);
    for (int64_t u = 0; u < tuning->n_units && count != NULL; u++)
        if (tuning->preferred[u] >= 0 && tuning->preferred[u] < n_levels)
            count[tuning->preferred[u]]++;
    for (int level = 0; level < n_levels && count != NULL; level++)
        nissl__json_add(out, json_integer(count[level]), failed);
    *failed = *failed || count == NULL;
    nissl__free(count);
    return out;
}

static void add_tuned(site_job *job, int factor, json_t *tuned, json_t *preferred)
{
    const nissl_tuning *tuning = &job->network.tuning[factor];
    const int n_levels = nissl__report_factor(job->report, factor)->n_levels;
    json_t *columns = json_object(), *counts = json_object();
    nissl__json_put(columns, "preferred", nissl__json_indices(tuning->preferred, tuning->n_units),
                    &job->failed);
    for (int k = 0; k < NISSL__INDEX_PER_FACTOR; k++) {
        int64_t n = 0;
        const double *x = nissl__site_values(&job->network, (nissl__index_key)k, factor, &n);
        nissl__json_put(columns, nissl__report_index((nissl__index_key)k)->key,
                        nissl__json_numbers(x, n), &job->failed);
    }
    nissl__json_add(tuned, columns, &job->failed);
    nissl__json_put(counts, "network", count_preferred(tuning, n_levels, &job->failed),
                    &job->failed);
    if (job->has_twin && job->twin.tuning != NULL)
        nissl__json_put(counts, "twin",
                        count_preferred(&job->twin.tuning[factor], n_levels, &job->failed),
                        &job->failed);
    nissl__json_add(preferred, counts, &job->failed);
}

static int64_t count_silent(const nissl__site_numbers *numbers)
{
    int64_t n = 0;
    for (int64_t u = 0; u < numbers->n_units; u++)
        n += numbers->sd[u] <= 0;
    return n;
}

static nissl_status describe(site_job *job, const char *file, nissl_error *err)
{
    nissl__report *r = job->report;
    const nissl_recorded_site *site = job->site;
    const int64_t found = nissl_program_find_site(r->program, site->name);
    const nissl_site *cost = found < 0 ? NULL : nissl_program_site(r->program, (size_t)found);
    json_t *e = job->entry, *d = job->data, *columns = json_object(), *tuned = json_array();
    json_t *spreads = json_object(), *plain = json_object(), *preferred = json_array();
    json_t *by_factor = json_array(), *quartiles = json_object(), *summaries = json_array();
    nissl_status status;
    bool *failed = &job->failed;

    nissl__json_put(e, "n", json_integer((json_int_t)job->index + 1), failed);
    nissl__json_put(e, "name", nissl__json_text(site->name), failed);
    nissl__json_put(e, "op", nissl__json_text(site->op), failed);
    nissl__json_put(e, "node", nissl__json_text(site->node), failed);
    nissl__json_put(e, "shape", nissl__json_shape(site->shape, site->rank), failed);
    nissl__json_put(e, "units", json_integer(site->n_units), failed);
    nissl__json_put(e, "positions", json_integer(site->n_positions), failed);
    nissl__json_put(e, "file", json_string(file), failed);
    nissl__json_put(e, "silent", json_integer(count_silent(&job->network)), failed);
    if (job->has_twin)
        nissl__json_put(e, "twin_silent", json_integer(count_silent(&job->twin)), failed);
    if (cost != NULL) {
        nissl__json_put(e, "parameters", json_integer((json_int_t)cost->parameters), failed);
        nissl__json_put(e, "operations", nissl__json_number(cost->operations), failed);
        nissl__json_put(e, "output", json_boolean(cost->is_output), failed);
    }

    nissl__json_put(d, "n", json_integer((json_int_t)job->index + 1), failed);
    nissl__json_put(d, "chunk", json_integer(NISSL__REPORT_CHUNK), failed);
    for (int k = NISSL__INDEX_PER_FACTOR; k < NISSL__INDEX_COUNT; k++) {
        int64_t n = 0;
        const double *x = nissl__site_values(&job->network, (nissl__index_key)k, 0, &n);
        const nissl__index *index = nissl__report_index((nissl__index_key)k);
        if (!index->over_stimuli)
            nissl__json_put(columns, index->key, nissl__json_numbers(x, n), failed);
    }
    status =
        add_indices(job, NISSL__INDEX_PER_FACTOR, NISSL__INDEX_COUNT, 0, plain, quartiles, err);
    for (int f = 0; f < r->e->n_factors && status == NISSL_OK; f++) {
        json_t *spread = json_object(), *summary = json_object();
        status = add_indices(job, 0, NISSL__INDEX_PER_FACTOR, f, spread, summary, err);
        nissl__json_add(by_factor, spread, failed);
        nissl__json_add(summaries, summary, failed);
        add_tuned(job, f, tuned, preferred);
    }
    nissl__json_put(d, "columns", columns, failed);
    nissl__json_put(d, "tuned", tuned, failed);
    nissl__json_put(spreads, "plain", plain, failed);
    nissl__json_put(spreads, "tuned", by_factor, failed);
    nissl__json_put(d, "distributions", spreads, failed);
    nissl__json_put(d, "preferred", preferred, failed);
    nissl__json_put(e, "plain", quartiles, failed);
    nissl__json_put(e, "tuned", summaries, failed);
    return status;
}

nissl_status nissl__site_write(nissl__report *report, size_t site, nissl_error *err)
{
    const nissl_examination *e = report->e;
    const size_t n_factors = (size_t)e->n_factors;
    site_job job = {.report = report,
                    .site = nissl_recording_site(e->recording, site),
                    .index = site,
                    .has_twin = e->twin != NULL,
                    .data = json_object(),
                    .entry = json_object()};
    const nissl_tuning *tuning = n_factors > 0 ? &e->tuning[site * n_factors] : NULL;
    const nissl_tuning *twin_tuning =
        n_factors > 0 && e->twin_tuning != NULL ? &e->twin_tuning[site * n_factors] : NULL;
    char *clean = nissl__report_file_name(job.site->name),
         *number = nissl__format("%03zu", site + 1);
    char *page = nissl__format("site/%s-%s.html", number, clean);
    char *data = nissl__format("data/site_%s.js", number);
    nissl_status status = clean == NULL || number == NULL || page == NULL || data == NULL
                              ? NISSL__NO_MEMORY(err, strlen(job.site->name))
                              : nissl__site_numbers_read(report->ctx, e->recording, site, tuning,
                                                         true, &job.network, err);
    if (status == NISSL_OK && job.has_twin)
        status = nissl__site_numbers_read(report->ctx, e->twin, site, twin_tuning, false, &job.twin,
                                          err);
    if (status == NISSL_OK)
        status = describe(&job, page, err);
    if (status == NISSL_OK && job.failed)
        status = NISSL__NO_MEMORY(err, 0);
    if (status == NISSL_OK)
        status = nissl__report_write_json(report->directory, data, "NISSL.site(", job.data, ");\n",
                                          JSON_COMPACT, err);
    if (status == NISSL_OK)
        status = nissl__units_write(report, site, &job.network, err);
    if (status == NISSL_OK)
        status = nissl__page_write(report, "site.html", "../", job.site->name, number, page, err);
    if (status == NISSL_OK) {
        nissl__json_add(report->sites, json_incref(job.entry), &job.failed);
        if (job.failed)
            status = NISSL__NO_MEMORY(err, 0);
    }
    json_decref(job.data);
    json_decref(job.entry);
    nissl__site_numbers_free(&job.network);
    nissl__site_numbers_free(&job.twin);
    nissl__free(clean);
    nissl__free(number);
    nissl__free(page);
    nissl__free(data);
    return status;
}
