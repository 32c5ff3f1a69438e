/* The overview: what the network is, what was shown, what was found, what it cost. */
#include <stdio.h>
#include <sys/stat.h>

#include "report/pages.h"

/* ---- the network ---- */

static json_t *describe_port(const nissl_port *port, bool *failed)
{
    json_t *out = json_object();
    nissl__json_put(out, "name", nissl__json_text(port->name), failed);
    nissl__json_put(out, "type", json_string(nissl_type_name(port->type)), failed);
    nissl__json_put(out, "shape", nissl__json_shape(port->shape, port->rank), failed);
    return out;
}

static json_t *describe_network(const nissl__report *report, bool *failed)
{
    const nissl_network *network = report->network;
    json_t *out = json_object(), *inputs = json_array(), *outputs = json_array();
    json_t *operators = json_object();
    char hash[24];
    for (size_t i = 0; i < nissl_network_n_inputs(network); i++)
        nissl__json_add(inputs, describe_port(nissl_network_input(network, i), failed), failed);
    for (size_t i = 0; i < nissl_network_n_outputs(network); i++)
        nissl__json_add(outputs, describe_port(nissl_network_output(network, i), failed), failed);
    for (size_t i = 0; i < nissl_network_n_nodes(network); i++) {
        json_t *op = nissl__json_text(nissl_network_node(network, i)->op);
        const char *key = json_string_value(op);
        if (key == NULL)
            *failed = true;
        else
            nissl__json_put(operators, key,
                            json_integer(1 + json_integer_value(json_object_get(operators, key))),
                            failed);
        json_decref(op);
    }
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)nissl_network_hash(network));
    nissl__json_put(out, "path", nissl__json_text(nissl_network_path(network)), failed);
    nissl__json_put(out, "format", nissl__json_text(nissl_network_format(network)), failed);
    nissl__json_put(out, "parameters", json_integer((json_int_t)nissl_network_parameters(network)),
                    failed);
    nissl__json_put(out, "operations",
                    nissl__json_number(nissl_program_operations(report->program)), failed);
    nissl__json_put(out, "nodes", json_integer((json_int_t)nissl_network_n_nodes(network)), failed);
    nissl__json_put(out, "hash", json_string(hash), failed);
    nissl__json_put(out, "inputs", inputs, failed);
    nissl__json_put(out, "outputs", outputs, failed);
    nissl__json_put(out, "operators", operators, failed);
    return out;
}

/* ---- what was shown ---- */

static json_t *describe_factor(const nissl_factor *factor, int64_t n_stimuli, bool *failed)
{
    json_t *out = json_object(), *levels = json_array(), *counts = json_array();
    int64_t *count = nissl__alloc((size_t)factor->n_levels + 1, sizeof *count);
    nissl__json_put(out, "name", nissl__json_text(factor->name), failed);
    nissl__json_put(out, "unit", nissl__json_text(factor->unit), failed);
    nissl__json_put(
        out, "kind",
        json_string(factor->kind == NISSL_FACTOR_CONTINUOUS ? "continuous" : "categorical"),
        failed);
    if (factor->value != NULL) {
        double low = INFINITY, high = -INFINITY;
        for (int64_t s = 0; s < n_stimuli; s++) {
            low = factor->value[s] < low ? factor->value[s] : low;
            high = factor->value[s] > high ? factor->value[s] : high;
        }
        nissl__json_put(out, "range",
                        json_pack("[o, o]", nissl__json_number(low), nissl__json_number(high)),
                        failed);
    }
    for (int64_t s = 0; s < n_stimuli && factor->level != NULL && count != NULL; s++)
        if (factor->level[s] >= 0)
            count[factor->level[s]]++;
    for (int l = 0; l < factor->n_levels && count != NULL; l++) {
        nissl__json_add(levels, nissl__json_text(factor->levels[l]), failed);
        nissl__json_add(counts, json_integer(count[l]), failed);
    }
    if (factor->n_levels > 0) {
        nissl__json_put(out, "levels", levels, failed);
        nissl__json_put(out, "counts", counts, failed);
    } else {
        json_decref(levels);
        json_decref(counts);
    }
    *failed = *failed || count == NULL;
    nissl__free(count);
    return out;
}

/* JSON text as a value; text that is no JSON stays text. */
static json_t *parse_or_text(const char *text)
{
    json_t *out = text == NULL ? NULL : json_loads(text, JSON_DECODE_ANY, NULL);
    return out != NULL ? out : nissl__json_text(text);
}

static json_t *describe_stimuli(const nissl__report *report, bool *failed)
{
    json_t *out = json_object(), *factors = json_array(), *contact = json_array();
    int64_t shape[NISSL_MAX_RANK];
    const int rank = nissl_stimuli_shape(report->stimuli, shape);
    for (int f = 0; f < nissl_recording_n_factors(report->e->recording); f++)
        nissl__json_add(factors,
                        describe_factor(nissl_recording_factor(report->e->recording, f),
                                        report->n_stimuli, failed),
                        failed);
    for (int64_t i = 0; i < nissl__contact_size(report); i++)
        nissl__json_add(contact, json_integer(nissl__contact_stimulus(report, i)), failed);
    nissl__json_put(out, "source", nissl__json_text(nissl_stimuli_source(report->stimuli)), failed);
    nissl__json_put(out, "count", json_integer(report->n_stimuli), failed);
    nissl__json_put(out, "shape", nissl__json_shape(shape, rank), failed);
    nissl__json_put(out, "preprocess", parse_or_text(nissl_stimuli_preprocess(report->stimuli)),
                    failed);
    nissl__json_put(out, "factors", factors, failed);
    nissl__json_put(out, "contact", contact, failed);
    return out;
}

/* ---- what was found, left open, paid ---- */

static json_t *describe_findings(const nissl_examination *e, bool *failed)
{
    json_t *out = json_array();
    for (size_t i = 0; i < e->n_findings; i++) {
        const nissl_finding *f = &e->findings[i];
        const struct {
            const char *key, *text;
        } texts[] = {{"text", f->text},       {"site", f->site},     {"factor", f->factor},
                     {"measure", f->measure}, {"sample", f->sample}, {"threat", f->threat}};
        json_t *entry = json_object();
        for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
            nissl__json_put(entry, texts[t].key, nissl__json_text(texts[t].text), failed);
        nissl__json_put(entry, "effect", nissl__json_number(f->effect), failed);
        nissl__json_put(entry, "low", nissl__json_number(f->low), failed);
        nissl__json_put(entry, "high", nissl__json_number(f->high), failed);
        nissl__json_put(entry, "control", nissl__json_number(f->control), failed);
        nissl__json_put(entry, "n", json_integer(f->n), failed);
        nissl__json_add(out, entry, failed);
    }
    return out;
}

static json_int_t file_size(const char *directory, const char *name)
{
    struct stat info;
    char *path = nissl__format("%s/%s", directory, name);
    const json_int_t size = path != NULL && stat(path, &info) == 0 ? (json_int_t)info.st_size : -1;
    nissl__free(path);
    return size;
}

static json_t *describe_cost(const nissl__report *report, bool *failed)
{
    const nissl_examination *e = report->e;
    const json_int_t one = file_size(report->directory, "recording.nwb");
    const json_int_t two = e->twin == NULL ? -1 : file_size(report->directory, "twin.nwb");
    json_t *out = json_object();
    nissl__json_put(out, "seconds_recording", nissl__json_number(e->seconds_recording), failed);
    nissl__json_put(out, "seconds_tuning", nissl__json_number(e->seconds_tuning), failed);
    nissl__json_put(out, "stimuli_per_second",
                    nissl__json_number(e->seconds_recording > 0
                                           ? (double)report->n_stimuli / e->seconds_recording
                                           : NAN),
                    failed);
    nissl__json_put(out, "planned_bytes", json_integer((json_int_t)e->planned_bytes), failed);
    nissl__json_put(out, "expected_bytes", json_integer((json_int_t)e->expected_bytes), failed);
    nissl__json_put(out, "resident_bytes", json_integer((json_int_t)e->resident_bytes), failed);
    if (one >= 0)
        nissl__json_put(out, "disk_bytes", json_integer(one + NISSL__MAX(two, 0)), failed);
    nissl__json_put(out, "threads", json_integer(nissl_context_threads(report->ctx)), failed);
    return out;
}

static json_t *list_files(const nissl__report *report, bool *failed)
{
    static const struct {
        const char *name, *text;
    } files[] = {
        {"sites.csv", "a row per site and factor: size, cost, indices beside the twin’s"},
        {"sites.json", "the same, with units and descriptions of the columns"},
        {"units.csv", "a row per unit and factor: preferred condition, indices"},
        {"units.json", "the same, with units and descriptions of the columns"},
        {"findings.csv", "the findings with effect, interval, control, sample and threat"},
        {"findings.json", "the same, with descriptions of the columns"},
        {"not_tested.csv", "what this examination leaves open"},
        {"not_tested.json", "the same"},
        {"recording.nwb", "everything recorded of the network: NWB 2, opens in pynwb and h5py"},
        {"twin.nwb", "the same of the twin"},
    };
    json_t *out = json_array();
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const json_int_t size = file_size(report->directory, files[i].name);
        if (size >= 0)
            nissl__json_add(out, json_pack("[s, I, s]", files[i].name, size, files[i].text),
                            failed);
    }
    if (report->n_charts > 0)
        nissl__json_add(out,
                        json_pack("[s, n, s]", "charts/",
                                  "specifications of the charts with their data: "
                                  "Vega-Lite, to edit and to use elsewhere"),
                        failed);
    return out;
}

static json_t *describe_all(const nissl__report *report, const char *title, bool *failed)
{
    const nissl_examination *e = report->e;
    json_t *out = json_object(), *tuned = json_array(), *open = json_array();
    json_t *generator = json_object(), *parameters = parse_or_text(report->opt->parameters);
    const json_t *plan = json_object_get(report->provenance, "plan");
    int64_t n_units = 0;
    for (int f = 0; f < e->n_factors; f++)
        nissl__json_add(tuned, json_integer(e->factors[f]), failed);
    for (size_t i = 0; i < e->n_not_tested; i++)
        nissl__json_add(open, nissl__json_text(e->not_tested[i]), failed);
    for (size_t i = 0; i < e->n_sites; i++)
        n_units += nissl_recording_site(e->recording, i)->n_units;
    if (!json_is_array(parameters)) {
        json_decref(parameters);
        parameters = json_array();
    }
    nissl__json_put(generator, "version", json_string(nissl_version()), failed);
    nissl__json_put(
        generator, "time",
        nissl__json_text(json_string_value(json_object_get(report->provenance, "started"))),
        failed);

    nissl__json_put(out, "format", json_integer(1), failed);
    nissl__json_put(out, "title", nissl__json_text(title), failed);
    nissl__json_put(out, "generator", generator, failed);
    nissl__json_put(out, "n_units", json_integer(n_units), failed);
    nissl__json_put(out, "twin", json_boolean(e->twin != NULL), failed);
    nissl__json_put(out, "summary",
                    nissl__json_text(json_string_value(json_object_get(plan, "summary"))), failed);
    nissl__json_put(out, "tuned", tuned, failed);
    nissl__json_put(out, "network", describe_network(report, failed), failed);
    nissl__json_put(out, "stimuli", describe_stimuli(report, failed), failed);
    nissl__json_put(out, "findings", describe_findings(e, failed), failed);
    nissl__json_put(out, "parity", parse_or_text(report->opt->parity), failed);
    nissl__json_put(out, "cost", describe_cost(report, failed), failed);
    nissl__json_put(out, "indices", nissl__report_indices(), failed);
    nissl__json_put(out, "sites", json_incref(report->sites), failed);
    nissl__json_put(out, "not_tested", open, failed);
    nissl__json_put(out, "parameters", parameters, failed);
    nissl__json_put(out, "provenance", json_incref(report->provenance), failed);
    nissl__json_put(out, "files", list_files(report, failed), failed);
    return out;
}

/* ---- charts across depth ---- */

/* A row per site and subject of an index; factor < 0: not per factor. */
static json_t *depth_rows(const nissl__report *report, const char *key, int factor, bool *failed)
{
    json_t *out = json_array(), *site;
    size_t i;
    json_array_foreach(report->sites, i, site)
    {
        const json_t *of = factor < 0
                               ? json_object_get(site, "plain")
                               : json_array_get(json_object_get(site, "tuned"), (size_t)factor);
        const json_t *q = json_object_get(of, key);
        for (size_t twin = 0; twin < 2; twin++) {
            json_t *row;
            if (!json_is_number(json_array_get(q, 4 * twin + 1)))
                continue;
            row = json_object();
            nissl__json_put(row, "depth", json_integer((json_int_t)i + 1), failed);
            nissl__json_put(row, "site", json_incref(json_object_get(site, "name")), failed);
            nissl__json_put(row, "op", json_incref(json_object_get(site, "op")), failed);
            nissl__json_put(row, "units", json_incref(json_object_get(site, "units")), failed);
            nissl__json_put(row, "who", json_string(twin ? "twin" : "network"), failed);
            nissl__json_put(row, "low", json_incref(json_array_get(q, 4 * twin)), failed);
            nissl__json_put(row, "median", json_incref(json_array_get(q, 4 * twin + 1)), failed);
            nissl__json_put(row, "high", json_incref(json_array_get(q, 4 * twin + 2)), failed);
            nissl__json_add(out, row, failed);
        }
    }
    return out;
}

static nissl_status write_depth(nissl__report *report, nissl__index_key key, int factor,
                                nissl_error *err)
{
    const nissl__index *index = nissl__report_index(key);
    const char *of = factor < 0 ? "" : report->factor_files[factor];
    bool failed = false;
    json_t *rows = depth_rows(report, index->key, factor, &failed);
    char *name = nissl__format("depth-%s%s%s", index->key, *of != '\0' ? "-" : "", of);
    char *title = nissl__format("%s across depth%s%s", index->name, *of != '\0' ? ", " : "", of);
    json_t *text = nissl__json_text(title), *axis = json_string(index->axis);
    json_t *zero = json_boolean(!(index->low > 0)); /* an axis that need not begin at 0 */
    const nissl__chart_text texts[] = {
        {"title", text}, {"description", text}, {"unit", axis}, {"zero", zero}};
    nissl_status status = NISSL_OK;
    if (failed || name == NULL || text == NULL || axis == NULL)
        status = NISSL__NO_MEMORY(err, 0);
    else if (json_array_size(rows) > 0)
        status = nissl__chart_write(report, "depth", json_incref(rows), texts,
                                    sizeof texts / sizeof texts[0], name, err);
    json_decref(rows);
    json_decref(text);
    json_decref(axis);
    json_decref(zero);
    nissl__free(name);
    nissl__free(title);
    return status;
}

nissl_status nissl__overview_write(nissl__report *report, const char *title, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    bool failed = false;
    json_t *data;
    for (int k = 0; k < NISSL__INDEX_COUNT; k++) {
        const bool per_factor = k < NISSL__INDEX_PER_FACTOR;
        const int n = per_factor ? report->e->n_factors : 1;
        for (int f = 0; f < n && nissl__report_index((nissl__index_key)k)->depth; f++) {
            status = write_depth(report, (nissl__index_key)k, per_factor ? f : -1, err);
            if (status != NISSL_OK)
                return status;
        }
    }
    data = describe_all(report, title, &failed);
    status = failed ? NISSL__NO_MEMORY(err, 0)
                    : nissl__report_write_json(report->directory, "data/report.js", "NISSL.report(",
                                               data, ");\n", JSON_COMPACT, err);
    json_decref(data);
    return status;
}
