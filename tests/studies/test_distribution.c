/* Distributions over units: values from numpy and scipy, and intervals that cover as they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "studies/distribution.h"

static const double x[] = {3.5, -1.0, 2.0, 2.0, 7.25, 0.5, 11.0};
static const double y[] = {1.0, 2.0, 2.0, -4.0, 8.0};

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", value, tolerance, expected);
}

/* oracles/distribution.py */
static void values_are_those_of_scipy(void **state)
{
    static const double at[] = {0.05, 0.25, 0.5, 0.75, 0.95};
    static const double expected[] = {-0.55, 1.25, 2.0, 5.375, 9.875};
    const int32_t count[] = {2, 0, 1, 3, 1, 1, 2};
    double a[7], b[5];
    assert_int_equal(nissl__sort_defined(x, 7, a), 7);
    assert_int_equal(nissl__sort_defined(y, 5, b), 5);
    for (int i = 0; i < 5; i++)
        assert_near(nissl__quantile(a, 7, at[i]), expected[i], 1e-14);
    assert_near(nissl__exceedance(a, 7, b, 5), 0.6, 1e-15);
    assert_near(nissl__rank_trend(x, 7, NULL), 0.3783937343321348, 1e-14);
    assert_near(nissl__rank_trend(x, 7, count), 0.31416066131273496, 1e-14);
}

static void undefined_values_are_left_out(void **state)
{
    const double holes[] = {NAN, 3.5, -1.0, NAN, 2.0, 2.0, 7.25, 0.5, NAN, 11.0};
    double a[10], b[7];
    assert_int_equal(nissl__sort_defined(holes, 10, a), 7);
    nissl__sort_defined(x, 7, b);
    assert_memory_equal(a, b, sizeof b);
    assert_near(nissl__rank_trend(holes, 10, NULL), nissl__rank_trend(x, 7, NULL), 1e-14);
    assert_true(isnan(nissl__quantile(a, 0, 0.5)));
    const double infinite[] = {1.0, 2.0, INFINITY, INFINITY, INFINITY};
    assert_true(nissl__quantile(infinite, 5, 0.25) == 2.0);
    assert_true(nissl__quantile(infinite, 5, 0.3) == INFINITY);
    assert_true(nissl__quantile(infinite, 5, 0.6) == INFINITY);
    assert_true(isnan(nissl__exceedance(a, 7, b, 0)));
    assert_true(isnan(nissl__exceedance(a, 0, b, 7)));
    assert_true(isnan(nissl__share_above(a, 0, 1.0)));
    assert_true(isnan(nissl__rank_trend(x, 2, NULL)));
    assert_true(isnan(nissl__rank_trend((const double[]){1.0, 1.0, 1.0, 1.0}, 4, NULL)));
}

/* Many ties: against the definition, pair by pair. */
static void exceedance_counts_pairs(void **state)
{
    for (uint64_t trial = 0; trial < 200; trial++) {
        double a[30], b[30];
        const int64_t n = 1 + nissl__random_below(1, trial, 0, 30);
        const int64_t m = 1 + nissl__random_below(1, trial, 1, 30);
        double pairs = 0.0, above = 0.0;
        for (int64_t i = 0; i < n; i++)
            a[i] = (double)nissl__random_below(2, trial, (uint64_t)i, 8);
        for (int64_t i = 0; i < m; i++)
            b[i] = (double)nissl__random_below(3, trial, (uint64_t)i, 8);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < m; j++)
                pairs += a[i] > b[j] ? 1.0 : a[i] < b[j] ? 0.0 : 0.5;
            above += a[i] > 4.0;
        }
        nissl__sort_defined(a, n, a);
        nissl__sort_defined(b, m, b);
        assert_near(nissl__exceedance(a, n, b, m), pairs / (double)(n * m), 1e-14);
        assert_near(nissl__exceedance(b, m, a, n), 1.0 - pairs / (double)(n * m), 1e-14);
        assert_near(nissl__share_above(a, n, 4.0), above / (double)n, 1e-15);
    }
}

/* A 95 % percentile interval of the median and of the exceedance covers the truth at about its
 * rate: 400 trials, so a rate of .95 has a standard error of .011. */
static void intervals_cover(void **state)
{
    int covers_median = 0, covers_exceedance = 0;
    for (uint64_t trial = 0; trial < 400; trial++) {
        double a[40], b[30], low, high;
        for (uint64_t i = 0; i < 40; i++)
            a[i] = nissl__random_normal(4, trial, i);
        for (uint64_t i = 0; i < 30; i++)
            b[i] = 2.0 * nissl__random_normal(5, trial, i);
        nissl__sort_defined(a, 40, a);
        nissl__sort_defined(b, 30, b);
        assert_int_equal(nissl__bootstrap_median(6, trial, a, 40, &low, &high, NULL), NISSL_OK);
        assert_true(low <= nissl__quantile(a, 40, 0.5) && nissl__quantile(a, 40, 0.5) <= high);
        covers_median += low <= 0.0 && 0.0 <= high;
        assert_int_equal(nissl__bootstrap_exceedance(7, trial, a, 40, b, 30, &low, &high, NULL),
                         NISSL_OK);
        covers_exceedance += low <= 0.5 && 0.5 <= high;
    }
    assert_in_range(covers_median, 364, 396);
    assert_in_range(covers_exceedance, 364, 396);
}

/* Samples apart: the bound is that of as many disjoint pairs. */
static void separated_samples_are_bounded(void **state)
{
    const double a[] = {4.0, 5.0, 6.0, 7.0}, b[] = {1.0, 2.0, 3.0};
    double low, high;
    assert_int_equal(nissl__bootstrap_exceedance(1, 0, a, 4, b, 3, &low, &high, NULL), NISSL_OK);
    assert_near(low * low * low, 0.025, 1e-12);
    assert_true(high == 1.0);
    assert_int_equal(nissl__bootstrap_exceedance(1, 0, b, 3, a, 4, &low, &high, NULL), NISSL_OK);
    assert_near(pow(1.0 - high, 3.0), 0.025, 1e-12);
    assert_true(low == 0.0);
}

static void resampling_is_keyed(void **state)
{
    double a[7], low[3], high[3];
    nissl__sort_defined(x, 7, a);
    for (int i = 0; i < 3; i++)
        assert_int_equal(nissl__bootstrap_median(8, i == 2 ? 1 : 0, a, 7, &low[i], &high[i], NULL),
                         NISSL_OK);
    assert_true(low[0] == low[1] && high[0] == high[1]);
    const double one[] = {4.0};
    assert_int_equal(nissl__bootstrap_median(8, 0, one, 1, &low[0], &high[0], NULL), NISSL_OK);
    assert_true(low[0] == 4.0 && high[0] == 4.0);
    assert_int_equal(nissl__bootstrap_median(8, 0, one, 0, &low[0], &high[0], NULL), NISSL_OK);
    assert_true(isnan(low[0]) && isnan(high[0]));
    nissl_error err = {0};
    nissl__alloc_fail_at(1);
    assert_int_equal(nissl__bootstrap_median(8, 0, one, 1, &low[0], &high[0], &err),
                     NISSL_ERR_MEMORY);
    nissl__alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_scipy),
        cmocka_unit_test(undefined_values_are_left_out),
        cmocka_unit_test(exceedance_counts_pairs),
        cmocka_unit_test(intervals_cover),
        cmocka_unit_test(separated_samples_are_bounded),
        cmocka_unit_test(resampling_is_keyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
