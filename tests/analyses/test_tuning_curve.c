#include "../check.h"
#include "analyses/tuning.h"

#define PI 3.14159265358979323846

/* ---- circular factors ---- */

static void vector_sum_of_a_cosine_is_exact(void **state)
{
    double curve[12], value[12];
    for (int n = 3; n <= 12; n++)
        for (double centre = 0; centre < 180; centre += 7.3) {
            double preferred, selectivity;
            for (int k = 0; k < n; k++) {
                value[k] = 180.0 * k / n;
                curve[k] = 2 + cos(2 * (value[k] - centre) * PI / 180);
            }
            nissl_tuning_circular(curve, value, n, 180, &preferred, &selectivity);
            double apart = fabs(preferred - centre);
            assert_true(fmin(apart, 180 - apart) < 1e-9);
            assert_true(preferred >= 0 && preferred < 180);
            check_close(selectivity, 0.25, 1e-12);
        }
}

/* von Mises curves between eight orientations: recovered, and sharper is more selective; |R| of the
 * sampled curve is I1(k) / I0(k) (scipy.special.iv) as soon as eight levels resolve it. */
static void von_mises_curves_are_recovered(void **state)
{
    static const double concentration[] = {0.25, 0.5, 1, 2, 4};
    static const double ratio[] = {0.124033502, 0.242499613, 0.446389966, 0.697774658, 0.863522611};
    double curve[8], value[8], last = 0;
    for (int i = 0; i < 5; i++)
        for (double centre = 1; centre < 180; centre += 11) {
            double preferred, selectivity;
            for (int k = 0; k < 8; k++) {
                value[k] = 22.5 * k;
                curve[k] = exp(concentration[i] * cos(2 * (value[k] - centre) * PI / 180));
            }
            nissl_tuning_circular(curve, value, 8, 180, &preferred, &selectivity);
            assert_true(fabs(remainder(preferred - centre, 180)) < 0.2);
            check_close(selectivity, ratio[i], 3e-3); /* the seventh harmonic folds back */
            if (centre == 1) {
                assert_true(selectivity > last);
                last = selectivity;
            }
        }
}

/* With noise on the curve the error grows, in the way of the vector sum of n independent errors:
 * sd sqrt(2 / n) / amplitude radians of the doubled angle. */
static void orientation_error_follows_the_noise(void **state)
{
    enum { n = 12, units = 2000 };
    static const double sds[] = {0.02, 0.05, 0.1, 0.2};
    double curve[n], value[n];
    for (int i = 0; i < 4; i++) {
        double squares = 0;
        for (uint64_t u = 0; u < units; u++) {
            double centre = 180 * nissl__random_uniform(1, u, 1000), preferred;
            for (int k = 0; k < n; k++) {
                value[k] = 180.0 * k / n;
                curve[k] = 2 + cos(2 * (value[k] - centre) * PI / 180) +
                           sds[i] * nissl__random_normal(2, u, (uint64_t)k);
            }
            nissl_tuning_circular(curve, value, n, 180, &preferred, NULL);
            squares += pow(remainder(preferred - centre, 180), 2);
        }
        double expected = sds[i] * sqrt(2.0 / n) * 90 / PI;
        check_close(sqrt(squares / units) / expected, 1, 0.08);
    }
}

static void rotation_scale_and_order_of_levels(void **state)
{
    const double curve[] = {1, 5, 2, 0.5}, value[] = {0, 45, 90, 135};
    const double shuffled[] = {2, 0.5, 1, 5}, shuffled_value[] = {90, 135, 0, 45};
    double moved[4], scaled[4], a, b, s, t;
    nissl_tuning_circular(curve, value, 4, 180, &a, &s);
    nissl_tuning_circular(shuffled, shuffled_value, 4, 180, &b, &t);
    check_close(b, a, 1e-14);
    check_close(t, s, 1e-14);
    for (int k = 0; k < 4; k++) {
        moved[k] = value[k] + 400;
        scaled[k] = 7 * curve[k];
    }
    nissl_tuning_circular(scaled, moved, 4, 180, &b, &t);
    check_close(remainder(b - a - 400, 180), 0, 1e-9);
    check_close(t, s, 1e-12);
    nissl_tuning_circular(curve, value, 4, 180, NULL, NULL);
}

static void flat_and_silent_curves_prefer_nothing(void **state)
{
    const double flat[] = {3, 3, 3, 3}, silent[] = {0, -1, 0, -2}, one[] = {0, 0, 4, 0};
    const double holes[] = {NAN, NAN, 4, NAN}, value[] = {0, 45, 90, 135};
    const double opposite[] = {2, NAN, 2, NAN};
    double preferred, selectivity;
    nissl_tuning_circular(flat, value, 4, 180, &preferred, &selectivity);
    assert_true(isnan(preferred));
    check_close(selectivity, 0, 1e-15);
    nissl_tuning_circular(silent, value, 4, 180, &preferred, &selectivity);
    assert_true(isnan(preferred) && isnan(selectivity));
    nissl_tuning_circular(one, value, 4, 180, &preferred, &selectivity);
    check_close(preferred, 90, 1e-12);
    check_close(selectivity, 1, 1e-15);
    nissl_tuning_circular(holes, value, 4, 180, &preferred, &selectivity);
    assert_true(isnan(preferred) && isnan(selectivity));
    nissl_tuning_circular(opposite, value, 4, 180, &preferred, &selectivity);
    assert_true(isnan(preferred));
    check_close(selectivity, 0, 1e-15);
}

/* ---- ordered factors ---- */

static void gaussians_in_log_frequency_are_exact(void **state)
{
    const double value[] = {16, 2, 4, 32, 8, 1}; /* in no order */
    double curve[6], preferred, bandwidth;
    for (double centre = 2.2; centre < 15; centre *= 1.13)
        for (double octaves = 0.5; octaves < 4; octaves += 0.7) {
            double sigma = octaves / (2 * sqrt(2 * log(2)));
            for (int k = 0; k < 6; k++)
                curve[k] = 3 * exp(-pow(log2(value[k] / centre) / sigma, 2) / 2);
            nissl_tuning_peak(curve, value, 6, true, &preferred, &bandwidth);
            check_close(preferred / centre, 1, 1e-12);
            check_close(bandwidth / octaves, 1, 1e-11);
        }
}

static void gaussians_on_uneven_levels_are_exact(void **state)
{
    const double value[] = {-3, -1, 0.5, 1, 4};
    double curve[5], preferred, bandwidth;
    for (double centre = -0.8; centre < 1; centre += 0.23) {
        for (int k = 0; k < 5; k++)
            curve[k] = exp(-pow((value[k] - centre) / 1.5, 2) / 2);
        nissl_tuning_peak(curve, value, 5, false, &preferred, &bandwidth);
        check_close(preferred, centre, 1e-12);
        check_close(bandwidth, 1.5 * 2 * sqrt(2 * log(2)), 1e-11);
    }
}

static void peaks_at_the_end_or_nowhere(void **state)
{
    const double value[] = {1, 2, 4}, falling[] = {5, 3, 1}, rising[] = {1, 3, 5};
    const double flat[] = {2, 2, 2}, silent[] = {-1, 0, -1}, gap[] = {0, 3, 1};
    const double empty[] = {NAN, NAN, NAN}, plateau[] = {1, 3, 3}, negative[] = {-1, 0, 1};
    const double hole[] = {1, NAN, 0.5}, middle[] = {1, 3, 2};
    double preferred, bandwidth;
    nissl_tuning_peak(falling, value, 3, true, &preferred, &bandwidth);
    assert_true(preferred == 1 && isnan(bandwidth));
    nissl_tuning_peak(rising, value, 3, true, &preferred, &bandwidth);
    assert_true(preferred == 4 && isnan(bandwidth));
    nissl_tuning_peak(flat, value, 3, true, &preferred, &bandwidth);
    assert_true(isnan(preferred) && isnan(bandwidth));
    nissl_tuning_peak(silent, value, 3, true, &preferred, &bandwidth);
    assert_true(isnan(preferred));
    nissl_tuning_peak(gap, value, 3, true, &preferred, &bandwidth); /* no logarithm of 0 */
    assert_true(preferred == 2 && isnan(bandwidth));
    nissl_tuning_peak(empty, value, 3, true, &preferred, &bandwidth);
    assert_true(isnan(preferred));
    nissl_tuning_peak(plateau, value, 3, true, &preferred, &bandwidth);
    check_close(preferred, sqrt(8), 1e-12); /* half-way between 2 and 4 in octaves */
    nissl_tuning_peak(rising, negative, 3, true, &preferred, &bandwidth);
    assert_true(preferred == 1);
    nissl_tuning_peak(middle, negative, 3, true, &preferred, &bandwidth);
    assert_true(isnan(preferred)); /* 0 has no logarithm */
    nissl_tuning_peak(hole, value, 3, true, &preferred, &bandwidth);
    assert_true(preferred == 1);
    nissl_tuning_peak(middle, value, 3, true, NULL, NULL);
}

/* ---- factors and tables ---- */

static void levels_become_numbers_or_not(void **state)
{
    const char *const numbers[] = {"0", "22.5", "1e2"}, *const words[] = {"0", "circle"};
    const char *const infinite[] = {"inf"};
    double value[3];
    nissl_error err = {0};
    nissl_factor factor = {.name = "orientation", .n_levels = 3, .levels = numbers};
    check_ok(nissl_tuning_level_values(&factor, value, &err), err);
    assert_true(value[0] == 0 && value[1] == 22.5 && value[2] == 100);
    factor = (nissl_factor){.name = "shape", .n_levels = 2, .levels = words};
    assert_int_equal(nissl_tuning_level_values(&factor, value, &err), NISSL_ERR_TYPE);
    assert_string_equal(err.message, "factor shape: level 1, \"circle\", is not a number");
    factor = (nissl_factor){.name = "x", .n_levels = 1, .levels = infinite};
    assert_int_equal(nissl_tuning_level_values(&factor, value, NULL), NISSL_ERR_TYPE);
}

enum { N_STIMULI = 32, N_UNITS = 3 };

typedef struct design {
    nissl_context *ctx;
    nissl_tuning tuning;
    nissl_factor factor;
    int32_t level[N_STIMULI];
    double value[N_STIMULI];
} design;

static const char *const orientations[] = {"0", "45", "90", "135"};

/* Unit 0 prefers 45, unit 1 is constant, unit 2 prefers between 90 and 135. */
static void make_design(design *d)
{
    float x[N_STIMULI * N_UNITS];
    nissl_error err = {0};
    nissl_context_options opt = {.threads = 1};
    check_ok(nissl_context_new(&opt, &d->ctx, &err), err);
    for (int s = 0; s < N_STIMULI; s++) {
        d->level[s] = s % 4;
        d->value[s] = 45 * d->level[s];
        x[s * N_UNITS] = d->level[s] == 1 ? 2 + 0.1f * (float)(s / 4) : 0;
        x[s * N_UNITS + 1] = 1;
        x[s * N_UNITS + 2] = d->level[s] == 2 ? 1.01f : d->level[s] == 3 ? 1 : 0;
    }
    d->factor = (nissl_factor){.name = "orientation",
                               .unit = "deg",
                               .kind = NISSL_FACTOR_CONTINUOUS,
                               .n_levels = 4,
                               .levels = orientations,
                               .level = d->level,
                               .value = d->value};
    check_ok(
        nissl_tuning_compute(d->ctx, x, N_STIMULI, N_UNITS, d->level, 4, NULL, &d->tuning, &err),
        err);
}

static void free_design(design *d)
{
    nissl_tuning_free(&d->tuning);
    nissl_context_free(d->ctx);
}

static const nissl_column *column_of(const nissl_table *table, const char *name)
{
    int column = nissl_table_find(table, name);
    assert_true(column >= 0);
    return &table->columns[column];
}

static void rows_say_what_was_found(void **state)
{
    design d = {0};
    nissl_table table = {0};
    nissl_error err = {0};
    make_design(&d);
    check_ok(nissl_tuning_to_table(&d.tuning, "conv1", &d.factor, &table, &err), err);
    check_ok(nissl_tuning_to_table(&d.tuning, "conv2", &d.factor, &table, &err), err);
    assert_int_equal(table.n_rows, 2 * N_UNITS);
    assert_string_equal(table.name, "tuning");
    assert_string_equal(column_of(&table, "site")->text[2], "conv1");
    assert_string_equal(column_of(&table, "site")->text[3], "conv2");
    assert_string_equal(column_of(&table, "factor")->text[5], "orientation");
    assert_int_equal(column_of(&table, "unit")->integer[5], 2);
    assert_string_equal(column_of(&table, "preferred")->text[0], "45");
    assert_string_equal(column_of(&table, "preferred_heldin")->text[0], "45");
    assert_null(column_of(&table, "preferred")->text[1]);
    check_close(column_of(&table, "auroc")->real[0], 1, 0);
    assert_true(isnan(column_of(&table, "auroc")->real[1]));
    check_close(column_of(&table, "mean")->real[1], 1, 0);
    check_close(column_of(&table, "preferred_value")->real[0], 45, 1e-12);
    check_close(column_of(&table, "vector_strength")->real[0], 1, 1e-12);
    double between = column_of(&table, "preferred_value")->real[2];
    assert_true(between > 112 && between < 112.5);
    assert_true(isnan(column_of(&table, "preferred_value")->real[1]));
    for (int u = 0; u < N_UNITS; u++) {
        check_close(column_of(&table, "selectivity")->real[u], d.tuning.selectivity[u], 0);
        check_close(column_of(&table, "selectivity_heldout")->real[u],
                    d.tuning.selectivity_heldout[u], 0);
        check_close(column_of(&table, "dprime")->real[u], d.tuning.dprime[u], 0);
        check_close(column_of(&table, "sd")->real[u], d.tuning.sd[u], 0);
        check_close(column_of(&table, "lifetime_sparseness")->real[u],
                    d.tuning.lifetime_sparseness[u], 0);
    }
    d.factor.name = "direction"; /* the same angles over 360 degrees */
    check_ok(nissl_tuning_to_table(&d.tuning, "conv3", &d.factor, &table, &err), err);
    check_close(column_of(&table, "preferred_value")->real[6], 45, 1e-12);
    d.factor.value = NULL; /* digits, but labels */
    check_ok(nissl_tuning_to_table(&d.tuning, "conv4", &d.factor, &table, &err), err);
    assert_true(isnan(column_of(&table, "preferred_value")->real[9]));
    nissl_table_free(&table);
    free_design(&d);
}

static void numeric_factors_get_their_peak(void **state)
{
    static const char *const frequencies[] = {"1", "2", "4", "8"};
    design d = {0};
    nissl_table table = {0};
    nissl_error err = {0};
    make_design(&d);
    d.factor.name = "frequency";
    d.factor.unit = "cycles/image";
    d.factor.levels = frequencies;
    for (int c = 0; c < 4; c++)
        d.tuning.curve[c] = exp(-pow(log2(exp2(c) / 3), 2));
    check_ok(nissl_tuning_to_table(&d.tuning, "conv1", &d.factor, &table, &err), err);
    check_close(column_of(&table, "preferred_value")->real[0], 3, 1e-12);
    assert_true(isnan(column_of(&table, "vector_strength")->real[0]));
    nissl_table_free(&table);
    free_design(&d);
}

static void unfit_tables_are_refused(void **state)
{
    design d = {0};
    nissl_table table = {0};
    nissl_error err = {0};
    make_design(&d);
    check_ok(nissl_table_new("t", "d", &table, &err), err);
    check_ok(nissl_table_add_column(&table, NISSL_COLUMN_TEXT, "site", "", "", NULL, &err), err);
    assert_int_equal(nissl_tuning_to_table(&d.tuning, "s", &d.factor, &table, &err),
                     NISSL_ERR_NAME);
    assert_string_equal(err.message, "table t has no column unit");
    check_ok(nissl_table_add_column(&table, NISSL_COLUMN_REAL, "unit", "", "", NULL, &err), err);
    assert_int_equal(nissl_tuning_to_table(&d.tuning, "s", &d.factor, &table, &err),
                     NISSL_ERR_TYPE);
    nissl_table_free(&table);
    d.factor.n_levels = 3;
    assert_int_equal(nissl_tuning_to_table(&d.tuning, "s", &d.factor, &table, &err),
                     NISSL_ERR_SHAPE);
    d.factor.n_levels = 4;
    int n_failures = 0;
    check_ok(nissl_tuning_to_table(&d.tuning, "s", &d.factor, &table, &err), err);
    for (uint64_t n = 1; n < 60; n++) {
        int64_t before = table.n_rows;
        nissl__alloc_fail_at(n);
        nissl_status status = nissl_tuning_to_table(&d.tuning, "s", &d.factor, &table, &err);
        assert_int_equal(table.n_rows - before, status == NISSL_OK ? N_UNITS : 0);
        n_failures += status != NISSL_OK;
    }
    nissl__alloc_fail_at(0);
    assert_true(n_failures > 10);
    nissl_table_free(&table);
    free_design(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_sum_of_a_cosine_is_exact),
        cmocka_unit_test(von_mises_curves_are_recovered),
        cmocka_unit_test(orientation_error_follows_the_noise),
        cmocka_unit_test(rotation_scale_and_order_of_levels),
        cmocka_unit_test(flat_and_silent_curves_prefer_nothing),
        cmocka_unit_test(gaussians_in_log_frequency_are_exact),
        cmocka_unit_test(gaussians_on_uneven_levels_are_exact),
        cmocka_unit_test(peaks_at_the_end_or_nowhere),
        cmocka_unit_test(levels_become_numbers_or_not),
        cmocka_unit_test(rows_say_what_was_found),
        cmocka_unit_test(numeric_factors_get_their_peak),
        cmocka_unit_test(unfit_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
