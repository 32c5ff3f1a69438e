#include <jansson.h>

#include "../check.h"
#include "foundation/foundation.h"
#include "nissl/table.h"

static nissl_table table_of_three(void)
{
    nissl_table table = {0};
    nissl_error err = {0};
    int column = -1;
    check_ok(nissl_table_new("tuning", "A \"test\" table", &table, &err), err);
    check_ok(nissl_table_add_column(&table, NISSL_COLUMN_TEXT, "site", "", "Site.", &column, &err),
             err);
    assert_int_equal(column, 0);
    check_ok(nissl_table_add_rows(&table, 2, &err), err);
    /* Columns that come after rows are missing in them. */
    check_ok(nissl_table_add_column(&table, NISSL_COLUMN_REAL, "mean", "1", "Mean.", &column, &err),
             err);
    assert_int_equal(column, 1);
    check_ok(nissl_table_add_column(&table, NISSL_COLUMN_INTEGER, "unit,index", "1", "Unit.", NULL,
                                    &err),
             err);
    check_ok(nissl_table_add_rows(&table, 3, &err), err);
    return table;
}

/* What a writer wrote, as allocated text. */
static char *written_by(nissl_status (*write)(const nissl_table *, FILE *, nissl_error *),
                        const nissl_table *table)
{
    char *text = NULL;
    size_t n = 0;
    nissl_error err = {0};
    FILE *file = open_memstream(&text, &n);
    check_ok(write(table, file, &err), err);
    fclose(file);
    return text;
}

static void columns_and_rows_begin_missing(void **state)
{
    nissl_table table = table_of_three();
    assert_int_equal(table.n_rows, 5);
    assert_int_equal(table.n_columns, 3);
    for (int64_t i = 0; i < 5; i++) {
        assert_null(table.columns[0].text[i]);
        assert_true(isnan(table.columns[1].real[i]));
        assert_true(table.columns[2].integer[i] == INT64_MIN);
    }
    assert_int_equal(nissl_table_find(&table, "mean"), 1);
    assert_int_equal(nissl_table_find(&table, "median"), -1);
    table.columns[1].real[4] = 7;
    nissl_error err = {0};
    for (int i = 0; i < 100; i++)
        check_ok(nissl_table_add_rows(&table, i % 7, &err), err);
    assert_true(table.columns[1].real[4] == 7);
    assert_true(isnan(table.columns[1].real[table.n_rows - 1]));
    assert_true(table.capacity >= table.n_rows);
    nissl_table_free(&table);
    nissl_table_free(&table);
    nissl_table_free(NULL);
}

static void mistakes_are_told(void **state)
{
    nissl_table table = table_of_three();
    nissl_error err = {0};
    assert_int_equal(
        nissl_table_add_column(&table, NISSL_COLUMN_REAL, "mean", "1", "Again.", NULL, &err),
        NISSL_ERR_EXISTS);
    assert_non_null(strstr(err.message, "mean"));
    assert_int_equal(
        nissl_table_add_column(&table, (nissl_column_type)3, "x", "1", "Odd.", NULL, &err),
        NISSL_ERR_ARGUMENT);
    assert_int_equal(nissl_table_add_rows(&table, -1, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_table_add_rows(&table, INT64_MAX, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_table_set_text(&table, 5, 0, "x", &err), NISSL_ERR_RANGE);
    assert_non_null(strstr(err.message, "(5, 0) is outside 5 rows and 3 columns"));
    assert_int_equal(nissl_table_set_text(&table, 0, 3, "x", &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_table_set_text(&table, -1, 0, "x", &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_table_set_text(&table, 0, 1, "x", &err), NISSL_ERR_TYPE);
    FILE *full = fopen("/dev/full", "w");
    if (full) {
        assert_int_equal(nissl_table_write_csv(&table, full, &err), NISSL_ERR_IO);
        assert_non_null(strstr(err.message, "No space left"));
        fclose(full);
    }
    nissl_table_free(&table);
}

static void memory_may_run_out_anywhere(void **state)
{
    int failures = 0;
    for (uint64_t n = 1; n < 40; n++) {
        nissl_table table = {0};
        nissl_error err = {0};
        nissl__alloc_fail_at(n);
        nissl_status status = nissl_table_new("t", "d", &table, &err);
        for (int c = 0; c < 3 && status == NISSL_OK; c++) {
            char name[2] = {(char)('a' + c), 0};
            status =
                nissl_table_add_column(&table, (nissl_column_type)c, name, "1", "d", NULL, &err);
        }
        for (int r = 0; r < 3 && status == NISSL_OK; r++)
            status = nissl_table_add_rows(&table, 2, &err);
        if (status == NISSL_OK)
            status = nissl_table_set_text(&table, 5, 2, "x", &err);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        failures += status != NISSL_OK;
        for (int c = 0; c < table.n_columns; c++) /* still whole: every cell may be read */
            for (int64_t r = 0; r < table.n_rows; r++)
                assert_true(c != 0 || isnan(table.columns[0].real[r]));
        nissl_table_free(&table);
    }
    nissl__alloc_fail_at(0);
    assert_true(failures > 20 && failures < 39);
}

static void csv_quotes_what_needs_it(void **state)
{
    static const char *const cells[] = {"fire2/expand1x1", "a,b", "say \"hi\"", "two\nlines", ""};
    nissl_table table = table_of_three();
    nissl_error err = {0};
    for (int i = 0; i < 5; i++)
        check_ok(nissl_table_set_text(&table, i, 0, cells[i], &err), err);
    check_ok(nissl_table_set_text(&table, 0, 0, " padded", &err), err);
    check_ok(nissl_table_set_text(&table, 1, 0, NULL, &err), err);
    table.columns[1].real[0] = 0.1;
    table.columns[1].real[1] = -INFINITY;
    table.columns[1].real[2] = 1e300;
    table.columns[2].integer[2] = -7;
    char *text = written_by(nissl_table_write_csv, &table);
    assert_string_equal(text, "site,mean,\"unit,index\"\n"
                              "\" padded\",0.1,\n"
                              ",-inf,\n"
                              "\"say \"\"hi\"\"\",1e+300,-7\n"
                              "\"two\nlines\",,\n"
                              "\"\",,\n");
    free(text);
    nissl_table_free(&table);
}

static void json_reads_back(void **state)
{
    nissl_table table = table_of_three();
    nissl_error err = {0};
    json_error_t where;
    check_ok(nissl_table_set_text(&table, 0, 0, "a\"\\\n\x01 \xc3\xa9", &err), err);
    /* Not UTF-8: a lone byte, a truncated, an overlong, a surrogate and a too large sequence. */
    check_ok(nissl_table_set_text(&table, 1, 0, "\xff|\xc3|\xc0\xaf|\xed\xa0\x80|\xf5\x80\x80\x80",
                                  &err),
             err);
    table.columns[1].real[0] = 1.0 / 3;
    table.columns[1].real[1] = INFINITY;
    table.columns[2].integer[1] = INT64_MAX;
    char *text = written_by(nissl_table_write_json, &table);
    json_t *root = json_loads(text, JSON_DECODE_ANY, &where);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "name")), "tuning");
    assert_string_equal(json_string_value(json_object_get(root, "description")),
                        "A \"test\" table");
    json_t *columns = json_object_get(root, "columns"), *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(columns), 3);
    assert_int_equal(json_array_size(rows), 5);
    json_t *first = json_array_get(rows, 0), *second = json_array_get(rows, 1);
    assert_string_equal(json_string_value(json_array_get(first, 0)), "a\"\\\n\x01 \xc3\xa9");
    assert_true(json_real_value(json_array_get(first, 1)) == 1.0 / 3);
    assert_true(json_is_null(json_array_get(first, 2)));
    const char *mended = json_string_value(json_array_get(second, 0));
    assert_memory_equal(mended, "\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd", 11);
    assert_string_equal(json_string_value(json_array_get(second, 1)), "Infinity");
    assert_true(json_integer_value(json_array_get(second, 2)) == INT64_MAX);
    json_t *mean = json_array_get(columns, 1);
    assert_string_equal(json_string_value(json_object_get(mean, "unit")), "1");
    assert_string_equal(json_string_value(json_object_get(mean, "type")), "real");
    json_decref(root);
    free(text);
    nissl_table_free(&table);
}

static void an_empty_table_is_written(void **state)
{
    nissl_table table = {0};
    nissl_error err = {0};
    check_ok(nissl_table_new("empty", "", &table, &err), err);
    char *csv = written_by(nissl_table_write_csv, &table);
    char *json = written_by(nissl_table_write_json, &table);
    assert_string_equal(csv, "\n");
    json_t *root = json_loads(json, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "rows")), 0);
    json_decref(root);
    free(csv);
    free(json);
    nissl_table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_and_rows_begin_missing),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(csv_quotes_what_needs_it),
        cmocka_unit_test(json_reads_back),
        cmocka_unit_test(an_empty_table_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
