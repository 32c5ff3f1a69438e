/* A whole report, from a network whose every name tries to be markup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostile.h"
#include "report/pages.h"

static char folder[] = "/tmp/nissl-report-XXXXXX";
static char report_folder[64];
static nissl_context *ctx;
static hostile examined;

static nissl_status write_into(const char *directory, const char *web, nissl_error *err)
{
    nissl_report_options options = examined.options;
    options.web = web;
    return nissl_report_write(ctx, &examined.examination, examined.network, examined.stimuli,
                              &options, directory, err);
}

static int write_report(void **state)
{
    nissl_error err = {0};
    if (mkdtemp(folder) == NULL || nissl_context_new(NULL, &ctx, &err) != NISSL_OK)
        return 1;
    snprintf(report_folder, sizeof report_folder, "%s/report", folder);
    if (hostile_examine(ctx, folder, getenv("NISSL_WEB"), &examined, &err) != NISSL_OK ||
        write_into(report_folder, getenv("NISSL_WEB"), &err) != NISSL_OK)
        fprintf(stderr, "%s\n", err.message);
    return err.code != NISSL_OK;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    return remove(path);
}

static int remove_report(void **state)
{
    hostile_free(&examined);
    nissl_context_free(ctx);
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Not inlined: gcc 12 would take the text for a local that is gone. */
__attribute__((noinline)) static char *read_file(const char *name)
{
    char *path = nissl__format("%s/%s", report_folder, name), *text = NULL;
    nissl_error err = {0};
    if (nissl__report_read(path, &text, NULL, &err) != NISSL_OK)
        fail_msg("%s", err.message);
    nissl__free(path);
    return text;
}

/* The JSON that a data file hands to a page. */
static json_t *read_data(const char *name)
{
    char *text = read_file(name), *begin = strchr(text, '('), *end = strrchr(text, ')');
    json_error_t where;
    json_t *value;
    assert_true(strncmp(text, "NISSL.", 6) == 0 && begin != NULL && end > begin);
    value = json_loadb(begin + 1, (size_t)(end - begin - 1), 0, &where);
    if (value == NULL)
        fail_msg("%s: %s", name, where.text);
    nissl__free(text);
    return value;
}

/* Calls visit with each file of a folder; returns how many there are. */
static int each_file(const char *name, void (*visit)(const char *path))
{
    char *path = nissl__format("%s/%s", report_folder, name);
    DIR *directory = opendir(path);
    int n = 0;
    assert_non_null(directory);
    for (struct dirent *e = readdir(directory); e != NULL; e = readdir(directory)) {
        char *file = nissl__format("%s/%s", name, e->d_name);
        if (e->d_name[0] != '.') {
            visit(file);
            n++;
        }
        nissl__free(file);
    }
    closedir(directory);
    nissl__free(path);
    return n;
}

static void parses_as_data(const char *path)
{
    json_decref(read_data(path));
}

static void parses_as_specification(const char *path)
{
    char *text = read_file(path);
    json_error_t where;
    json_t *spec = json_loads(text, 0, &where);
    if (spec == NULL)
        fail_msg("%s: %s", path, where.text);
    assert_string_equal(json_string_value(json_object_get(spec, "$schema")),
                        "https://vega.github.io/schema/vega-lite/v6.json");
    assert_true(json_array_size(json_object_get(json_object_get(spec, "data"), "values")) > 0);
    assert_non_null(json_object_get(spec, "title"));
    assert_null(strstr(text, "\"$title\""));
    assert_null(strstr(text, "\"$unit\""));
    json_decref(spec);
    nissl__free(text);
}

/* No markup but the page's own: as many "<" as its template, and none of the names as they are. */
static void is_escaped(const char *path)
{
    char *text = read_file(path),
         *web = nissl__format("%s/%s", getenv("NISSL_WEB"),
                              strcmp(path, "index.html") == 0 ? "index.html" : "site.html"),
         *shell = NULL;
    int more = 0, bundles = 0;
    assert_int_equal(nissl__report_read(web, &shell, NULL, NULL), NISSL_OK);
    for (const char *c = text; *c != '\0'; c++)
        more += *c == '<';
    for (const char *c = shell; *c != '\0'; c++)
        more -= *c == '<';
    for (const char *c = text; (c = strstr(c, ".min.js\"></script>")) != NULL; c++)
        bundles++;
    assert_int_equal(more, 2 * bundles);
    assert_null(strstr(text, "hacked=1</script>"));
    assert_null(strstr(text, "<img"));
    assert_null(strstr(text, "@TITLE@"));
    assert_null(strstr(text, "http:"));
    assert_null(strstr(text, "https:"));
    assert_non_null(strstr(text, "Content-Security-Policy"));
    nissl__free(text);
    nissl__free(web);
    nissl__free(shell);
}

static void is_small_picture(const char *path)
{
    char *full = nissl__format("%s/%s", report_folder, path);
    struct stat info;
    assert_int_equal(stat(full, &info), 0);
    assert_in_range(info.st_size, 50, 30000);
    nissl__free(full);
}

static void every_file_parses(void **state)
{
    json_t *report = read_data("data/report.js");
    const size_t n_sites = json_array_size(json_object_get(report, "sites"));
    assert_true(n_sites >= 4);
    assert_true(each_file("data", parses_as_data) >= (int)(3 + 2 * n_sites));
    assert_true(each_file("charts", parses_as_specification) > (int)(5 * n_sites));
    assert_int_equal(each_file("site", is_escaped), n_sites);
    is_escaped("index.html");
    assert_true(each_file("stimuli", is_small_picture) <= 24);
    json_decref(report);
}

static void overview_says_what_was_done(void **state)
{
    json_t *report = read_data("data/report.js"), *site, *file;
    json_t *network = json_object_get(report, "network"),
           *stimuli = json_object_get(report, "stimuli");
    json_int_t units = 0;
    size_t i;
    assert_string_equal(json_string_value(json_object_get(report, "title")),
                        "<title>&\"hostile\"</title><script>hacked=1</script>");
    assert_int_equal(json_integer_value(json_object_get(network, "nodes")), 5);
    assert_int_equal(json_integer_value(json_object_get(network, "parameters")),
                     8 * 25 + HOSTILE_UNITS * 8 + HOSTILE_UNITS);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(network, "operators"), "Gemm")), 1);
    assert_int_equal(json_integer_value(json_object_get(stimuli, "count")), 24);
    assert_true(json_is_true(json_object_get(json_object_get(report, "parity"), "passed")));
    assert_int_equal(json_array_size(json_object_get(report, "parameters")), 1);
    assert_true(json_array_size(json_object_get(report, "not_tested")) > 0);
    assert_true(json_real_value(
                    json_object_get(json_object_get(report, "cost"), "stimuli_per_second")) > 0 ||
                json_integer_value(
                    json_object_get(json_object_get(report, "cost"), "stimuli_per_second")) > 0);
    json_array_foreach(json_object_get(report, "sites"), i, site)
    {
        char *page = read_file(json_string_value(json_object_get(site, "file")));
        nissl__free(page);
        units += json_integer_value(json_object_get(site, "units"));
        assert_int_equal(json_integer_value(json_object_get(site, "n")), i + 1);
    }
    assert_int_equal(json_integer_value(json_object_get(report, "n_units")), units);
    json_array_foreach(json_object_get(report, "files"), i, file)
    {
        char *path =
            nissl__format("%s/%s", report_folder, json_string_value(json_array_get(file, 0)));
        assert_int_equal(access(path, R_OK), 0);
        nissl__free(path);
    }
    json_decref(report);
}

/* Site data against the recording it was made from. */
static void sites_say_what_was_recorded(void **state)
{
    nissl_recording *recording = NULL;
    char *path = nissl__format("%s/recording.nwb", report_folder);
    assert_int_equal(nissl_recording_open(ctx, path, &recording, NULL), NISSL_OK);
    for (size_t s = 0; s < nissl_recording_n_sites(recording); s++) {
        const nissl_recorded_site *site = nissl_recording_site(recording, s);
        const int64_t n_stimuli = nissl_recording_n_stimuli(recording);
        char *name = nissl__format("data/site_%03zu.js", s + 1);
        json_t *data = read_data(name),
               *means = json_object_get(json_object_get(data, "columns"), "mean");
        nissl_array mean = {0};
        assert_int_equal(nissl_recording_array(recording, s, "moments/mean", &mean, NULL),
                         NISSL_OK);
        assert_int_equal(json_array_size(means), site->n_units);
        for (int64_t first = 0; first < site->n_units; first += NISSL__REPORT_CHUNK) {
            char *chunk = nissl__format("data/site_%03zu_%lld.js", s + 1, (long long)first);
            json_t *units = read_data(chunk);
            json_t *counts = json_object_get(json_object_get(units, "histogram"), "counts");
            json_t *top = json_object_get(json_object_get(units, "strongest"), "value");
            json_t *which = json_object_get(json_object_get(units, "strongest"), "stimulus");
            const int64_t n = NISSL__MIN(NISSL__REPORT_CHUNK, site->n_units - first);
            float *x = nissl__alloc((size_t)(n * n_stimuli), sizeof *x);
            assert_int_equal(nissl_recording_responses(recording, s, first, n, x, NULL), NISSL_OK);
            assert_int_equal(json_array_size(counts), n);
            for (int64_t u = 0; u < n; u++) {
                json_t *bins = json_array_get(counts, (size_t)u), *bin;
                json_t *low = json_array_get(
                    json_object_get(json_object_get(units, "histogram"), "low"), (size_t)u);
                json_int_t total = 0;
                size_t b;
                const double shown = json_number_value(json_array_get(means, (size_t)(first + u)));
                const double value = ((const double *)mean.data)[first + u];
                const int64_t best =
                    json_integer_value(json_array_get(json_array_get(which, (size_t)u), 0));
                const double peak =
                    json_number_value(json_array_get(json_array_get(top, (size_t)u), 0));
                json_array_foreach(bins, b, bin) total += json_integer_value(bin);
                assert_int_equal(total, json_is_null(low) ? 0 : n_stimuli);
                assert_true(fabs(shown - value) <= 1e-4 * fabs(value));
                assert_true(fabs(peak - (double)x[best * n + u]) <= 1e-4 * fabs(peak));
            }
            nissl__free(x);
            nissl__free(chunk);
            json_decref(units);
        }
        nissl_array_free(&mean);
        json_decref(data);
        nissl__free(name);
    }
    nissl_recording_free(recording);
    nissl__free(path);
}

static void every_exemplar_has_its_picture(void **state)
{
    json_t *stimuli = read_data("data/stimuli.js"), *item;
    const char *key;
    json_object_foreach(json_object_get(stimuli, "items"), key, item)
    {
        char *path = nissl__format("%s/stimuli/%s.%s", report_folder, key,
                                   json_string_value(json_array_get(item, 4)));
        assert_int_equal(access(path, R_OK), 0);
        assert_in_range(json_integer_value(json_array_get(item, 2)), 1, NISSL__REPORT_SIDE);
        nissl__free(path);
    }
    json_t *units = read_data("data/site_001_0.js"), *list, *index;
    static const char *const ends[] = {"strongest", "weakest"};
    for (int e = 0; e < 2; e++) {
        size_t i, j;
        json_array_foreach(json_object_get(json_object_get(units, ends[e]), "stimulus"), i, list)
        {
            assert_true(json_array_size(list) > 0);
            json_array_foreach(list, j, index)
            {
                char text[24];
                snprintf(text, sizeof text, "%lld", (long long)json_integer_value(index));
                assert_non_null(json_object_get(json_object_get(stimuli, "items"), text));
            }
        }
    }
    json_decref(stimuli);
    json_decref(units);
}

static char *other_folder(const char *name)
{
    char *path = nissl__format("%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0777), 0);
    return path;
}

static void a_missing_web_folder_is_named(void **state)
{
    nissl_error err = {0};
    char *other = other_folder("other");
    assert_int_equal(write_into(other, "/nonexistent/web", &err), NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/web/index.html"));
    assert_int_equal(write_into("/nonexistent/report", getenv("NISSL_WEB"), &err), NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/report"));
    nissl__free(other);
}

/* The folder of the sources holds everything but the bundles. */
static void without_bundles_the_rest_is_there(void **state)
{
    char *other = other_folder("plain"), *path = nissl__format("%s/index.html", other),
         *page = NULL;
    const char *web = getenv("NISSL_WEB_SOURCE");
    assert_non_null(web);
    assert_int_equal(write_into(other, web, NULL), NISSL_OK);
    assert_int_equal(nissl__report_read(path, &page, NULL, NULL), NISSL_OK);
    assert_null(strstr(page, "vega"));
    assert_null(strstr(page, "@"));
    nissl__free(path);
    path = nissl__format("%s/charts/depth-active.vl.json", other);
    assert_int_equal(access(path, R_OK), 0);
    nissl__free(path);
    nissl__free(page);
    nissl__free(other);
}

/* A report that could not be finished has no index.html, also where an older one had. */
static void running_out_of_memory_leaves_no_index(void **state)
{
    char *other = other_folder("memory"), *path = nissl__format("%s/index.html", other);
    int failures = 0;
    for (uint64_t n = 1; n < 4000; n += 1 + n / 4) {
        nissl_error err = {0};
        nissl_status status;
        nissl__report_write_bytes(other, "index.html", "old", 3, NULL);
        nissl__alloc_fail_at(n);
        status = write_into(other, getenv("NISSL_WEB"), &err);
        nissl__alloc_fail_at(0);
        if (status == NISSL_OK)
            continue;
        failures++;
        assert_true(err.message[0] != '\0');
        assert_true(n < 3 || access(path, F_OK) != 0);
    }
    assert_true(failures > 20);
    nissl__free(path);
    nissl__free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_parses),
        cmocka_unit_test(overview_says_what_was_done),
        cmocka_unit_test(sites_say_what_was_recorded),
        cmocka_unit_test(every_exemplar_has_its_picture),
        cmocka_unit_test(a_missing_web_folder_is_named),
        cmocka_unit_test(without_bundles_the_rest_is_there),
        cmocka_unit_test(running_out_of_memory_leaves_no_index),
    };
    return cmocka_run_group_tests(tests, write_report, remove_report);
}
