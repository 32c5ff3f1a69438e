/* Chart specifications: templates (Vega-Lite) that are filled in here and by the pages alike. */
#include "report/pages.h"

static const char *const names[] = {"curve-named", "curve-ordered",   "depth",  "distribution",
                                    "preferred",   "preferred-named", "ranked", "values"};

nissl_status nissl__charts_load(nissl__report *report, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    bool failed = false;
    report->templates = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == NISSL_OK; i++) {
        char *path = nissl__format("%s/charts/%s.vl.json", report->web, names[i]), *text = NULL;
        json_error_t where;
        json_t *template = NULL;
        size_t size = 0;
        if (path == NULL)
            return NISSL__NO_MEMORY(err, strlen(report->web));
        status = nissl__report_read(path, &text, &size, err);
        if (status == NISSL_OK && (template = json_loadb(text, size, 0, &where)) == NULL)
            status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s:%d: %s", path, where.line, where.text);
        if (status == NISSL_OK)
            nissl__json_put(report->templates, names[i], template, &failed);
        nissl__free(path);
        nissl__free(text);
    }
    if (status == NISSL_OK && failed)
        status = NISSL__NO_MEMORY(err, 0);
    if (status == NISSL_OK)
        status = nissl__report_write_json(report->directory, "data/charts.js", "NISSL.charts(",
                                          report->templates, ");\n", JSON_COMPACT, err);
    return status;
}

static bool is_placeholder(const json_t *value)
{
    const char *text = json_string_value(value);
    if (text == NULL || text[0] != '$' || text[1] == '\0')
        return false;
    for (text++; *text != '\0'; text++)
        if (*text < 'a' || *text > 'z')
            return false;
    return true;
}

static json_t *text_for(const json_t *placeholder, const nissl__chart_text *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(texts[i].name, json_string_value(placeholder) + 1) == 0)
            return texts[i].value;
    return NULL;
}

/* Puts texts in the place of "$name"; what has no text is removed. Depth is that of the template,
 * which is a file of the program's own. */
static void fill(json_t *node, const nissl__chart_text *texts, size_t n, bool *failed)
{
    void *next;
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_array(node)) {
        json_array_foreach(node, i, value) fill(value, texts, n, failed);
        return;
    }
    json_object_foreach_safe(node, next, key, value)
    {
        if (!is_placeholder(value)) {
            fill(value, texts, n, failed);
            continue;
        }
        value = text_for(value, texts, n);
        if (value == NULL)
            json_object_del(node, key);
        else if (json_object_set(node, key, value) != 0)
            *failed = true;
    }
}

nissl_status nissl__chart_write(nissl__report *report, const char *template_name, json_t *values,
                                const nissl__chart_text *texts, size_t n_texts, const char *name,
                                nissl_error *err)
{
    nissl_status status = NISSL_OK;
    bool failed = values == NULL;
    char *path = nissl__format("charts/%s.vl.json", name);
    json_t *spec = json_deep_copy(json_object_get(report->templates, template_name));
    json_t *data = json_object();
    nissl__json_put(data, "values", values, &failed);
    nissl__json_put(spec, "data", data, &failed);
    fill(spec, texts, n_texts, &failed);
    if (failed || path == NULL)
        status = NISSL__NO_MEMORY(err, strlen(name));
    else
        status = nissl__report_write_json(report->directory, path, "", spec, "\n",
                                          JSON_COMPACT | JSON_PRESERVE_ORDER, err);
    report->n_charts++;
    json_decref(spec);
    nissl__free(path);
    return status;
}
