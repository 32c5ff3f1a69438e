/* Parts of a report that need no recording: text, distributions, pages, chart templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "report/pages.h"

static char folder[] = "/tmp/nissl-report-XXXXXX";

static int make_folder(void **state)
{
    return mkdtemp(folder) == NULL;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    return remove(path);
}

static int remove_folder(void **state)
{
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static char *read_file(const char *name)
{
    char *path = nissl__format("%s/%s", folder, name), *text = NULL;
    assert_int_equal(nissl__report_read(path, &text, NULL, NULL), NISSL_OK);
    nissl__free(path);
    return text;
}

static void text_that_is_no_utf8_is_replaced(void **state)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"d\xe2\x80\xb2 caf\xc3\xa9", "d\xe2\x80\xb2 caf\xc3\xa9"},
        {"a\xff z", "a\xef\xbf\xbd z"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xc3\xc3\xa9\x80", "\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *text = nissl__json_text(cases[i][0]);
        assert_string_equal(json_string_value(text), cases[i][1]);
        json_decref(text);
    }
    json_t *none = nissl__json_text(NULL);
    assert_true(json_is_null(none));
    json_decref(none);
}

static void numbers_are_json(void **state)
{
    const double x[] = {0.1, -3, NAN, INFINITY, 1e300, 0};
    json_t *list = nissl__json_numbers(x, 6);
    char *text = json_dumps(list, JSON_COMPACT | JSON_REAL_PRECISION(NISSL__REPORT_DIGITS));
    assert_string_equal(text, "[0.1,-3,null,null,1e300,0]");
    free(text);
    json_decref(list);
}

/* Shares add up to one, bins hold what lies between their edges, quantiles lie in order. */
static void spreads_count_every_value(void **state)
{
    for (uint64_t trial = 0; trial < 100; trial++) {
        const int64_t n = 1 + nissl__random_below(1, trial, 0, 400);
        const int64_t m = nissl__random_below(1, trial, 1, 400);
        double *x = nissl__alloc((size_t)(n + m + 1), sizeof *x), *y = x + n;
        nissl__spread s;
        int64_t defined = 0;
        double sum = 0, twin_sum = 0;
        for (int64_t i = 0; i < n + m; i++)
            x[i] = nissl__random_below(2, trial, (uint64_t)i, 9) == 0
                       ? NAN
                       : nissl__random_normal(3, trial, (uint64_t)i);
        for (int64_t i = 0; i < n; i++)
            defined += !isnan(x[i]);
        assert_int_equal(nissl__spread_new(x, n, m > 0 ? y : NULL, m, &s, NULL), NISSL_OK);
        assert_int_equal(s.n, defined);
        assert_int_equal(s.n_bins > 0, defined > 0);
        for (int b = 0; b < s.n_bins; b++) {
            int64_t inside = 0;
            for (int64_t i = 0; i < n; i++)
                inside += x[i] >= s.edges[b] && (x[i] < s.edges[b + 1] || b == s.n_bins - 1);
            assert_true(fabs(s.share[b] - (double)inside / (double)s.n) < 1e-12);
            sum += s.share[b];
            twin_sum += s.twin != NULL ? s.twin[b] : 0;
        }
        assert_true(s.n_bins == 0 || fabs(sum - 1) < 1e-9);
        assert_true(s.twin == NULL || fabs(twin_sum - 1) < 1e-9);
        for (int q = 1; q < 5 && defined > 0; q++)
            assert_true(s.quantile[q - 1] <= s.quantile[q]);
        nissl__spread_free(&s);
        nissl__free(x);
    }
}

static void spreads_of_odd_values(void **state)
{
    const double none[] = {NAN, NAN}, same[] = {2, 2, 2}, infinite[] = {1, INFINITY};
    nissl__spread s;
    assert_int_equal(nissl__spread_new(none, 2, NULL, 0, &s, NULL), NISSL_OK);
    json_t *json = nissl__spread_json(&s);
    assert_true(json_is_null(json));
    json_decref(json);
    nissl__spread_free(&s);
    assert_int_equal(nissl__spread_new(same, 3, same, 3, &s, NULL), NISSL_OK);
    assert_int_equal(s.n_bins, 1);
    assert_true(s.edges[0] < 2 && s.edges[1] > 2 && s.share[0] > 0.999);
    nissl__spread_free(&s);
    assert_int_equal(nissl__spread_new(infinite, 2, NULL, 0, &s, NULL), NISSL_OK);
    assert_int_equal(s.n_bins, 0);
    nissl__spread_free(&s);
}

static void pages_escape_what_they_are_given(void **state)
{
    nissl__report report = {.directory = folder, .web = folder, .bundles = true};
    const char shell[] = "<title>@TITLE@</title>\n@BUNDLES@\n<i data-n=\"@NUMBER@\">a@b.c</i>";
    assert_int_equal(nissl__report_write_bytes(folder, "shell.html", shell, strlen(shell), NULL),
                     NISSL_OK);
    assert_int_equal(nissl__page_write(&report, "shell.html", "../", "</title><script>'\"&\xff",
                                       "\"1", "page.html", NULL),
                     NISSL_OK);
    char *page = read_file("page.html");
    assert_string_equal(page,
                        "<title>&lt;/title&gt;&lt;script&gt;&#39;&quot;&amp;\xef\xbf\xbd</title>\n"
                        "<script defer src=\"../assets/vega.min.js\"></script>\n"
                        "<script defer src=\"../assets/vega-lite.min.js\"></script>\n"
                        "<script defer src=\"../assets/vega-embed.min.js\"></script>\n"
                        "<i data-n=\"&quot;1\">a@b.c</i>");
    nissl__free(page);
    report.bundles = false;
    assert_int_equal(nissl__page_write(&report, "shell.html", "", "t", "1", "page.html", NULL),
                     NISSL_OK);
    page = read_file("page.html");
    assert_string_equal(page, "<title>t</title>\n<i data-n=\"1\">a@b.c</i>");
    nissl__free(page);
}

static void templates_are_filled(void **state)
{
    nissl__report report = {.directory = folder, .templates = json_object()};
    json_t *template =
        json_loads("{\"title\": \"$title\", \"width\": 5, \"data\": {},"
                   "\"layer\": [{\"y\": {\"title\": \"$unit\", \"axis\": \"$gone\"}},"
                   "{\"text\": \"$100\"}]}",
                   0, NULL);
    json_t *title = json_string("$unit <b>"), *unit = json_string("mV");
    const nissl__chart_text texts[] = {{"title", title}, {"unit", unit}};
    json_object_set_new(report.templates, "one", template);
    assert_int_equal(nissl__report_make_folder(folder, "charts", NULL), NISSL_OK);
    assert_int_equal(nissl__chart_write(&report, "one", json_pack("[{s:f}]", "x", 0.5), texts, 2,
                                        "filled", NULL),
                     NISSL_OK);
    char *text = read_file("charts/filled.vl.json");
    json_t *filled = json_loads(text, 0, NULL);
    json_t *expected =
        json_loads("{\"title\": \"$unit <b>\", \"width\": 5,"
                   "\"data\": {\"values\": [{\"x\": 0.5}]},"
                   "\"layer\": [{\"y\": {\"title\": \"mV\"}}, {\"text\": \"$100\"}]}",
                   0, NULL);
    assert_true(json_equal(filled, expected));
    assert_int_equal(report.n_charts, 1);
    json_decref(filled);
    json_decref(expected);
    json_decref(title);
    json_decref(unit);
    json_decref(report.templates);
    nissl__free(text);
}

static void file_names_are_tame(void **state)
{
    static const char *const cases[][2] = {
        {"fire2/expand1x1", "fire2_expand1x1"},
        {"../../etc", ".._.._etc"},
        {"<script>\xff", "_script__"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *name = nissl__report_file_name(cases[i][0]);
        assert_string_equal(name, cases[i][1]);
        nissl__free(name);
    }
}

static void errors_name_the_path(void **state)
{
    nissl_error err = {0};
    char *text = NULL;
    assert_int_equal(nissl__report_write_bytes("/nonexistent/nissl", "data/x.js", "x", 1, &err),
                     NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/nissl/data/x.js"));
    assert_int_equal(nissl__report_read("/nonexistent/nissl", &text, NULL, &err), NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/nissl"));
    nissl__report report = {.directory = folder, .web = folder};
    assert_int_equal(nissl__page_write(&report, "absent.html", "", "t", "1", "p.html", &err),
                     NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "absent.html"));
}

/* A file that cannot be written whole does not appear, and the one before it stays. */
static void a_full_disk_leaves_no_half_file(void **state)
{
    struct rlimit before, limit;
    nissl_error err = {0};
    char *big = nissl__alloc(100000, 1);
    memset(big, 'x', 100000);
    assert_int_equal(nissl__report_write_bytes(folder, "whole.js", "old", 3, NULL), NISSL_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){4096, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    nissl_status old = nissl__report_write_bytes(folder, "whole.js", big, 100000, &err);
    nissl_status new = nissl__report_write_bytes(folder, "new.js", big, 100000, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(old, NISSL_ERR_IO);
    assert_int_equal(new, NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "/whole.js"));
    char *text = read_file("whole.js"), *path = nissl__format("%s/new.js", folder);
    assert_string_equal(text, "old");
    assert_int_not_equal(access(path, F_OK), 0);
    nissl__free(text);
    nissl__free(path);
    nissl__free(big);
}

static void indices_are_explained(void **state)
{
    json_t *list = nissl__report_indices(), *index;
    size_t i;
    assert_int_equal(json_array_size(list), NISSL__INDEX_COUNT);
    json_array_foreach(list, i, index)
    {
        assert_true(strlen(json_string_value(json_object_get(index, "text"))) > 20);
        assert_int_equal(json_is_true(json_object_get(index, "per_factor")),
                         i < NISSL__INDEX_PER_FACTOR);
    }
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_is_no_utf8_is_replaced),
        cmocka_unit_test(numbers_are_json),
        cmocka_unit_test(spreads_count_every_value),
        cmocka_unit_test(spreads_of_odd_values),
        cmocka_unit_test(pages_escape_what_they_are_given),
        cmocka_unit_test(templates_are_filled),
        cmocka_unit_test(file_names_are_tame),
        cmocka_unit_test(errors_name_the_path),
        cmocka_unit_test(a_full_disk_leaves_no_half_file),
        cmocka_unit_test(indices_are_explained),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
