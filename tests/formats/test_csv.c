/* CSV: RFC 4180 by its own examples, malformed files by name of defect, numbers. */
#include <locale.h>

#include "check.h"
#include "formats/csv.h"

#define BUDGET ((uint64_t)1 << 20)

static void parse(const char *text, nissl__csv *csv)
{
    nissl_error error = {0};
    check_ok(nissl__csv_parse("text", text, strlen(text), BUDGET, csv, &error), error);
}

static void check_cell(const nissl__csv *csv, int64_t row, int64_t column, const char *expected)
{
    assert_string_equal(nissl__csv_cell(csv, row, column), expected);
}

/* Rules 1 to 7 of RFC 4180, section 2. */
static void test_rfc_4180(void **state)
{
    (void)state;
    static const char *const endings[] = {"aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n",
                                          "aaa,bbb,ccc\r\nzzz,yyy,xxx",
                                          "aaa,bbb,ccc\nzzz,yyy,xxx\n",
                                          "aaa,bbb,ccc\rzzz,yyy,xxx\r",
                                          "\"aaa\",\"bbb\",\"ccc\"\r\nzzz,yyy,xxx",
                                          ("\xef\xbb\xbf"
                                           "aaa,bbb,ccc\nzzz,yyy,xxx"),
                                          "\n\naaa,bbb,ccc\r\n\r\nzzz,yyy,xxx\n\n"};
    nissl__csv csv = {0};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        parse(endings[i], &csv);
        assert_int_equal(csv.n_rows, 2);
        assert_int_equal(csv.n_columns, 3);
        check_cell(&csv, 0, 0, "aaa");
        check_cell(&csv, 0, 2, "ccc");
        check_cell(&csv, 1, 2, "xxx");
        nissl__csv_free(&csv);
        nissl__csv_free(&csv);
    }
    parse("\"aaa\",\"b \r\nbb\",\"c,c\"\r\n\"b\"\"bb\", y ,\r\n,,\"\"", &csv);
    assert_int_equal(csv.n_rows, 3);
    check_cell(&csv, 0, 1, "b \r\nbb");
    check_cell(&csv, 0, 2, "c,c");
    check_cell(&csv, 1, 0, "b\"bb");
    check_cell(&csv, 1, 1, " y ");
    check_cell(&csv, 1, 2, "");
    check_cell(&csv, 2, 0, "");
    check_cell(&csv, 2, 2, "");
    assert_int_equal(csv.line[0], 1);
    assert_int_equal(csv.line[1], 3); /* after the line break inside quotes */
    nissl__csv_free(&csv);
}

static const struct {
    const char *defect, *text;
    size_t n;
    nissl_status status;
    const char *says;
} malformed[] = {
    {"empty", "", 0, NISSL_ERR_FORMAT, "no rows in 0 bytes"},
    {"only_line_ends", "\r\n\n", 3, NISSL_ERR_FORMAT, "no rows in 3 bytes"},
    {"quote_not_closed", "a,b\n1,\"2\n3", 9, NISSL_ERR_FORMAT,
     "line 2, column 3: the quote is never closed"},
    {"text_after_quote", "a,b\n\"1\"2,3", 10, NISSL_ERR_FORMAT,
     "line 2, column 4: text after a closing quote"},
    {"quote_inside", "a,b\n1,2\"3\"", 10, NISSL_ERR_FORMAT,
     "line 2, column 4: a quote inside a cell"},
    {"row_too_short", "a,b,c\n1,2,3\n\n1,2\n", 17, NISSL_ERR_FORMAT,
     "line 4, column 4: 2 cells, line 1 has 3"},
    {"row_too_long", "a,b\n1,2,3\n", 10, NISSL_ERR_FORMAT,
     "line 2, column 4: more than the 2 cells of line 1"},
    {"zero_byte", "a,b\n1,\0\n", 8, NISSL_ERR_FORMAT, "line 2, column 3: a zero byte"},
    {"zero_byte_in_quotes", "a,b\n1,\"\0\"\n", 10, NISSL_ERR_FORMAT,
     "line 2, column 4: a zero byte"},
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        nissl__csv csv = {0};
        nissl_error error = {0};
        nissl_status status = nissl__csv_parse(malformed[i].defect, malformed[i].text,
                                               malformed[i].n, BUDGET, &csv, &error);
        if (status != malformed[i].status || !strstr(error.message, malformed[i].says) ||
            strncmp(error.message, malformed[i].defect, strlen(malformed[i].defect)) != 0)
            fail_msg("%s: %s: %s", malformed[i].defect, nissl_status_name(status), error.message);
        assert_null(csv.text);
    }
}

static void test_budget(void **state)
{
    (void)state;
    static char commas[5000];
    nissl__csv csv = {0};
    nissl_error error = {0};
    memset(commas, ',', sizeof commas);
    assert_int_equal(nissl__csv_parse("commas", commas, sizeof commas, 20000, &csv, &error),
                     NISSL_ERR_LIMIT);
    assert_non_null(strstr(error.message, "budget is 20000"));
    assert_int_equal(nissl__csv_parse("commas", commas, sizeof commas, 100, &csv, &error),
                     NISSL_ERR_LIMIT);
    check_ok(nissl__csv_parse("commas", commas, sizeof commas, 200000, &csv, &error), error);
    assert_int_equal(csv.n_columns, 5001);
    nissl__csv_free(&csv);
}

static void test_header(void **state)
{
    (void)state;
    nissl__csv csv = {0};
    parse("x,y\n1,2\n", &csv);
    assert_true(nissl__csv_has_header(&csv));
    nissl__csv_free(&csv);
    parse("5.1,3.5,setosa\n1,2,virginica\n", &csv);
    assert_false(nissl__csv_has_header(&csv));
    nissl__csv_free(&csv);
}

static const struct {
    const char *text;
    double value;
} numbers[] = {
    {"0", 0},
    {"-0", -0.0},
    {"1", 1},
    {" 12 ", 12},
    {"+3.5", 3.5},
    {".28", 0.28},
    {"5.", 5},
    {"1e3", 1000},
    {"1E-3", 0.001},
    {"-2.5e+2", -250},
    {"0.1", 0.1},
    {"3.141592653589793", 3.141592653589793},
    {"123456789012345678", 123456789012345678.0},
    {"1e-30", 1e-30},
    {"1.7976931348623157e308", 1.7976931348623157e308},
    {"4.9e-324", 4.9e-324},
    {"0.00000000000000000000000000001", 1e-29},
    {"9007199254740993", 9007199254740992.0},
};

static const char *const no_numbers[] = {"",    " ",     "-",     ".",     "e5",  "1e",
                                         "1e+", "0x10",  "nan",   "inf",   "1,5", "1 2",
                                         "--1", "1.2.3", "1e999", "setosa"};

static void check_numbers(void)
{
    double value;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        value = NAN;
        assert_true(nissl__parse_number(numbers[i].text, &value));
        if (value != numbers[i].value)
            fail_msg("\"%s\" is %.17g, not %.17g", numbers[i].text, value, numbers[i].value);
    }
    for (size_t i = 0; i < sizeof no_numbers / sizeof *no_numbers; i++)
        if (nissl__parse_number(no_numbers[i], &value))
            fail_msg("\"%s\" was read as %g", no_numbers[i], value);
}

static void test_numbers(void **state)
{
    (void)state;
    check_numbers();
    /* where the decimal point is a comma, if this machine has such a locale */
    if (setlocale(LC_ALL, "de_DE.UTF-8"))
        check_numbers();
    setlocale(LC_ALL, "C");
}

/* Numbers read as the C library reads them, for random texts of up to 20 digits. */
static void test_numbers_round_like_strtod(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        char text[64];
        double value = NAN;
        int digits = 1 + (int)nissl__random_below(9, 0, i, 20);
        int exponent = (int)nissl__random_below(9, 1, i, 60) - 30;
        snprintf(text, sizeof text, "%.*ge%d", digits, nissl__random_normal(9, 2, i) * 1e3,
                 exponent);
        if (strchr(text, 'e') != strrchr(text, 'e'))
            continue;
        assert_true(nissl__parse_number(text, &value));
        if (value != strtod(text, NULL))
            fail_msg("\"%s\" is %.17g, not %.17g", text, value, strtod(text, NULL));
    }
}

static void test_allocation_failures(void **state)
{
    (void)state;
    nissl_status status = NISSL_ERR_MEMORY;
    for (int n = 1; status != NISSL_OK; n++) {
        nissl__csv csv = {0};
        nissl_error error = {0};
        nissl__alloc_fail_at((uint64_t)n);
        status = nissl__csv_parse("text", "a,b\n1,2\n", 8, BUDGET, &csv, &error);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        assert_true(n < 50);
        nissl__csv_free(&csv);
    }
    nissl__alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_4180),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_round_like_strtod),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
