#include <locale.h>

#include "../check.h"
#include "foundation/foundation.h"

static void check_number(double value, const char *expected)
{
    char text[NISSL__NUMBER_SIZE];
    assert_string_equal(nissl__number_text(value, text), expected);
}

static void numbers_are_the_shortest_that_read_back(void **state)
{
    char text[NISSL__NUMBER_SIZE], shorter[400];
    check_number(0, "0");
    check_number(-0.0, "-0");
    check_number(1, "1");
    check_number(0.1, "0.1");
    check_number(0.1 + 0.2, "0.30000000000000004");
    check_number(100, "100");
    check_number(2.5e-7, "2.5e-07");
    check_number(5e-324, "5e-324");
    check_number(1.7976931348623157e308, "1.7976931348623157e+308");
    check_number((double)NAN, "nan");
    check_number(-(double)INFINITY, "-inf");
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t bits = nissl__random_bits(1, 1, i);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (i % 2)
            value = (double)(float)nissl__random_uniform(1, 2, i);
        if (!isfinite(value))
            continue;
        nissl__number_text(value, text);
        assert_true(strtod(text, NULL) == value);
        /* One digit less does not do. */
        int digits = 0;
        for (const char *p = text; *p && *p != 'e'; p++)
            digits += *p >= '0' && *p <= '9' && (digits || *p != '0');
        if (digits > 1 && strchr(text, '.')) {
            snprintf(shorter, sizeof shorter, "%.*g", digits - 1, value);
            assert_true(strtod(shorter, NULL) != value);
        }
    }
}

static void numbers_keep_their_point_in_any_locale(void **state)
{
    static const char *const with_comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    const char *set = NULL;
    for (size_t i = 0; i < sizeof with_comma / sizeof *with_comma && !set; i++)
        set = setlocale(LC_NUMERIC, with_comma[i]);
    if (!set)
        skip();
    check_number(0.5, "0.5");
    double value = 0;
    assert_true(nissl__number_read("0.5", &value));
    assert_true(value == 0.5);
    setlocale(LC_NUMERIC, "C");
}

static void text_is_read_whole_or_not_at_all(void **state)
{
    static const char *const bad[] = {"", " ", "abc", "1.5x", "1 2", "--1", "1,5", "0.1.2"};
    double value = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(nissl__number_read(bad[i], &value));
    assert_true(value == 7);
    assert_true(nissl__number_read(" -22.5 ", &value) && value == -22.5);
    assert_true(nissl__number_read("1e3\n", &value) && value == 1000);
    assert_true(nissl__number_read("inf", &value) && isinf(value));
    assert_true(nissl__number_read("nan", &value) && isnan(value));
    for (uint64_t i = 0; i < 1000; i++) {
        char text[NISSL__NUMBER_SIZE];
        double x = nissl__random_normal(2, 2, i) * exp(50 * nissl__random_normal(2, 3, i));
        assert_true(nissl__number_read(nissl__number_text(x, text), &value) && value == x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_the_shortest_that_read_back),
        cmocka_unit_test(numbers_keep_their_point_in_any_locale),
        cmocka_unit_test(text_is_read_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
