#include "../check.h"
#include "foundation/foundation.h"
#include "nissl/information.h"
#include "nissl/tuning.h"

static nissl_context *context_of(int threads)
{
    nissl_context_options opt = {.threads = threads, .seed = 3};
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    check_ok(nissl_context_new(&opt, &ctx, &err), err);
    return ctx;
}

static int read_fixture(const char *name, double *values, int capacity)
{
    char path[1024], line[4096];
    const char *folder = getenv("NISSL_FIXTURES");
    int n = 0;
    snprintf(path, sizeof path, "%s/information/%s", folder ? folder : "tests/fixtures", name);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file)) {
        print_error("cannot read %s\n", path);
        fail();
    }
    while (fgets(line, sizeof line, file))
        for (char *cell = strtok(line, ",\n"); cell && n < capacity; cell = strtok(NULL, ",\n"))
            values[n++] = strtod(cell, NULL);
    fclose(file);
    return n;
}

/* ---- golden ---- */

static void published_table(void **state)
{
    const int64_t count[] = {30, 10, 5, 5, 25, 25};
    double corrected;
    check_close(nissl_information_table(count, 2, 3, &corrected), 0.28859005599116655, 1e-14);
    check_close(corrected, 0.2741631055822769, 1e-14);
}

static void ccmas_of_equal_and_unequal_classes(void **state)
{
    const double means[] = {.1, .4, .9, .2}, negative[] = {-.1, .5}, silent[] = {0, 0};
    const int64_t equal[] = {5, 5, 5, 5}, unequal[] = {8, 1, 3, 1}, holes[] = {5, 0, 5, 0};
    const int64_t two[] = {3, 3}, one[] = {3, 0};
    check_close(nissl_selectivity_ccmas(means, equal, 4), 2.0 / 3 / (1.8 - 2.0 / 3), 1e-14);
    /* But for its 1e-7, class selectivity. */
    check_close(nissl_selectivity_ccmas(means, equal, 4), 0.5882352422145375, 1e-7);
    check_close(nissl_selectivity_ccmas(means, unequal, 4), (.9 - .14) / (.9 + .14), 1e-14);
    check_close(nissl_selectivity_ccmas(means, holes, 4), .8, 1e-14);
    assert_true(isnan(nissl_selectivity_ccmas(negative, two, 2)));
    assert_true(isnan(nissl_selectivity_ccmas(silent, two, 2)));
    assert_true(isnan(nissl_selectivity_ccmas(means, one, 2)));
}

static void oracle_of_binned_responses(void **state)
{
    enum { units = 5, stimuli = 90 };
    static double t[stimuli * (units + 1)], e[60];
    int32_t condition[stimuli];
    assert_int_equal(read_fixture("data.csv", t, stimuli * (units + 1)), stimuli * (units + 1));
    int n = read_fixture("expected.csv", e, 60);
    assert_int_equal(n, 60);
    int64_t shape[] = {stimuli, units};
    nissl_view x = nissl_view_of(t + 1, NISSL_FLOAT64, 2, shape);
    nissl_context *ctx = context_of(2);
    nissl_error err = {0};
    x.stride[0] = units + 1;
    for (int s = 0; s < stimuli; s++)
        condition[s] = (int32_t)t[s * (units + 1)];
    for (int i = 0; i < n; i += 4) {
        nissl_information r = {0};
        nissl_information_options opt = {.n_bins = (int)e[i]};
        check_ok(nissl_information_compute(ctx, &x, condition, 5, &opt, &r, &err), err);
        check_close(r.bits[(int)e[i + 1]], e[i + 2], 1e-12);
        check_close(r.corrected[(int)e[i + 1]], e[i + 3], 1e-12);
        assert_true(isnan(r.p[0]) && isnan(r.null_mean[0]));
        nissl_information_free(&r);
    }
    nissl_context_free(ctx);
}

/* ---- properties ---- */

static void tables_obey_the_laws(void **state)
{
    int64_t count[12], turned[12];
    for (uint64_t k = 0; k < 200; k++) {
        double corrected, again;
        for (int i = 0; i < 12; i++) {
            count[i] = nissl__random_below(1, k, (uint64_t)i, 1 + (int64_t)(k % 9));
            turned[i % 4 * 3 + i / 4] = count[i];
        }
        count[0] = turned[0] = 3;
        double bits = nissl_information_table(count, 3, 4, &corrected);
        check_close(nissl_information_table(turned, 4, 3, &again), bits, 1e-13);
        check_close(again, corrected, 1e-13);
        assert_true(bits > -1e-12 && bits <= log2(3) + 1e-12);
        for (int i = 0; i < 12; i++)
            turned[i] = 7 * count[i];
        check_close(nissl_information_table(turned, 3, 4, NULL), bits, 1e-12);
    }
    const int64_t product[] = {2, 4, 6, 3, 6, 9}, diagonal[] = {5, 0, 0, 5}, none[] = {0, 0};
    const int64_t negative[] = {1, -1};
    double corrected;
    check_close(nissl_information_table(product, 2, 3, NULL), 0, 1e-14);
    check_close(nissl_information_table(diagonal, 2, 2, NULL), 1, 1e-14);
    assert_true(isnan(nissl_information_table(none, 1, 2, &corrected)) && isnan(corrected));
    assert_true(isnan(nissl_information_table(negative, 1, 2, &corrected)) && isnan(corrected));
}

enum { STIMULI = 160, UNITS = 30, CONDITIONS = 4 };

static void fill(float *x, int32_t *condition, double gain)
{
    for (int s = 0; s < STIMULI; s++) {
        condition[s] = s % CONDITIONS;
        for (int u = 0; u < UNITS; u++)
            x[s * UNITS + u] =
                (float)(nissl__random_normal(5, (uint64_t)u, (uint64_t)s) + gain * condition[s]);
    }
}

static void threads_and_growing_functions_do_not_matter(void **state)
{
    static float x[STIMULI * UNITS], y[STIMULI * UNITS];
    int32_t condition[STIMULI];
    int64_t shape[] = {STIMULI, UNITS};
    nissl_information_options opt = {.n_shuffles = 20, .seed = 9};
    nissl_information r[3] = {0};
    nissl_error err = {0};
    fill(x, condition, 0.3);
    for (int i = 0; i < STIMULI * UNITS; i++)
        y[i] = 8 * x[i];
    for (int k = 0; k < 3; k++) {
        nissl_context *ctx = context_of(k + 1);
        nissl_view view = nissl_view_of(k == 2 ? y : x, NISSL_FLOAT32, 2, shape);
        check_ok(nissl_information_compute(ctx, &view, condition, CONDITIONS, &opt, &r[k], &err),
                 err);
        nissl_context_free(ctx);
    }
    assert_int_equal(r[0].n_bins, 8);
    for (int k = 1; k < 3; k++) {
        assert_memory_equal(r[0].bits, r[k].bits, UNITS * sizeof(double));
        assert_memory_equal(r[0].corrected, r[k].corrected, UNITS * sizeof(double));
        assert_memory_equal(r[0].null_mean, r[k].null_mean, UNITS * sizeof(double));
        assert_memory_equal(r[0].p, r[k].p, UNITS * sizeof(double));
    }
    for (int k = 0; k < 3; k++)
        nissl_information_free(&r[k]);
    nissl_information_free(&r[0]);
    nissl_information_free(NULL);
}

static void odd_units_and_mistakes(void **state)
{
    static float x[STIMULI * UNITS];
    int32_t condition[STIMULI];
    int64_t shape[] = {STIMULI, UNITS};
    nissl_context *ctx = context_of(2);
    nissl_information r = {0};
    nissl_error err = {0};
    fill(x, condition, 0);
    for (int s = 0; s < STIMULI; s++)
        x[s * UNITS + 1] = 4;
    x[9 * UNITS + 2] = NAN;
    nissl_view view = nissl_view_of(x, NISSL_FLOAT32, 2, shape), wrong = view;
    nissl_information_options opt = {.n_shuffles = 9};
    check_ok(nissl_information_compute(ctx, &view, condition, CONDITIONS, &opt, &r, &err), err);
    check_close(r.bits[1], 0, 1e-12); /* constant: nothing to know, and no surprise */
    check_close(r.p[1], 1, 0);
    assert_true(isnan(r.bits[2]) && isnan(r.corrected[2]) && isnan(r.p[2]));
    assert_true(isfinite(r.bits[3]));
    nissl_information_free(&r);
#define REFUSED(v, n, o, code)                                                                     \
    assert_int_equal(nissl_information_compute(ctx, v, condition, n, o, &r, &err), code)
    wrong.type = NISSL_INT8;
    REFUSED(&wrong, CONDITIONS, NULL, NISSL_ERR_TYPE);
    wrong = view;
    wrong.rank = 1;
    REFUSED(&wrong, CONDITIONS, NULL, NISSL_ERR_SHAPE);
    REFUSED(&view, 0, NULL, NISSL_ERR_SHAPE);
    REFUSED(&view, CONDITIONS - 1, NULL, NISSL_ERR_RANGE);
    assert_string_equal(err.message, "condition 3 of sample 3 is outside -1 .. 2");
    opt.n_bins = 65537;
    REFUSED(&view, CONDITIONS, &opt, NISSL_ERR_RANGE);
    opt = (nissl_information_options){.n_shuffles = -1};
    REFUSED(&view, CONDITIONS, &opt, NISSL_ERR_RANGE);
    int n_failures = 0;
    for (uint64_t k = 1; k < 40; k++) {
        nissl__alloc_fail_at(k);
        nissl_status status =
            nissl_information_compute(ctx, &view, condition, CONDITIONS, NULL, &r, &err);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        n_failures += status != NISSL_OK;
        nissl_information_free(&r);
    }
    nissl__alloc_fail_at(0);
    assert_true(n_failures > 15);
    for (int s = 0; s < STIMULI; s++)
        condition[s] = -1;
    REFUSED(&view, CONDITIONS, NULL, NISSL_ERR_SHAPE);
#undef REFUSED
    assert_null(r.bits);
    nissl_context_free(ctx);
}

/* ---- planted truth ---- */

/* A binary channel: the response is the condition, flipped with probability e. Its information is
 * 1 - H(e) bits. The correction removes the more of the bias the fuller the cells: at e = .1 and 40
 * samples, two of them in each rare cell, .014 of .035 bits; at 160 samples all but .003. */
static void a_noisy_channel_has_its_capacity(void **state)
{
    enum { units = 3000 };
    static const double flips[] = {0.1, 0.2, 0.3, 0.4};
    static const int samples[] = {40, 160};
    nissl_context *ctx = context_of(2);
    for (int f = 0; f < 4; f++)
        for (int m = 0; m < 2; m++) {
            int n = samples[m];
            double e = flips[f], capacity = 1 + e * log2(e) + (1 - e) * log2(1 - e);
            double corrected = 0, squares = 0, bits = 0;
            float *x = nissl__alloc((size_t)(n * units), sizeof *x);
            int32_t *condition = nissl__alloc((size_t)n, sizeof *condition);
            for (int s = 0; s < n; s++) {
                condition[s] = s % 2;
                for (int u = 0; u < units; u++)
                    x[s * units + u] =
                        (float)(condition[s] ^ (nissl__random_uniform(7, (uint64_t)(f * units + u),
                                                                      (uint64_t)s) < e));
            }
            int64_t shape[] = {n, units};
            nissl_view view = nissl_view_of(x, NISSL_FLOAT32, 2, shape);
            /* As many bins as samples: ties share a bin, so the two values get one each. */
            nissl_information_options opt = {.n_bins = n};
            nissl_information r = {0};
            nissl_error err = {0};
            check_ok(nissl_information_compute(ctx, &view, condition, 2, &opt, &r, &err), err);
            for (int u = 0; u < units; u++) {
                corrected += r.corrected[u] / units;
                squares += r.corrected[u] * r.corrected[u] / units;
                bits += r.bits[u] / units;
            }
            double error = sqrt((squares - corrected * corrected) / units);
            assert_true(bits - capacity > 8 * error || m == 1);
            assert_true(fabs(corrected - capacity) < 0.65 * (bits - capacity) + 2 * error);
            if (e >= 0.2)
                assert_true(fabs(corrected - capacity) < 0.35 * (bits - capacity) + 4 * error);
            if (m == 1)
                check_close(corrected, capacity, 4 * error + 0.003);
            nissl_information_free(&r);
            nissl__free(x);
            nissl__free(condition);
        }
    nissl_context_free(ctx);
}

/* ---- calibration ---- */

/* Untuned units: bits are above 0, corrected bits are 0 on average and equal to what the shuffles
 * say, and the shuffles' p-values reject 4 to 6 % at 5 %. Fresh units and shuffles in every world,
 * because units share their shuffles. */
static void untuned_units_carry_no_information(void **state)
{
    enum { n = 120, units = 50, worlds = 160, conditions = 5 };
    static float x[n * units];
    int32_t condition[n];
    double bits = 0, corrected = 0, null = 0, squares = 0;
    int rejected = 0;
    nissl_context *ctx = context_of(2);
    for (int w = 0; w < worlds; w++) {
        for (int s = 0; s < n; s++) {
            condition[s] = s % conditions;
            for (int u = 0; u < units; u++) {
                double value = nissl__random_normal(40, (uint64_t)(w * units + u), (uint64_t)s);
                x[s * units + u] = (float)(u % 2 && value < 0 ? 0 : value);
            }
        }
        int64_t shape[] = {n, units};
        nissl_view view = nissl_view_of(x, NISSL_FLOAT32, 2, shape);
        nissl_information_options opt = {.n_bins = 4, .n_shuffles = 99, .seed = (uint64_t)w};
        nissl_information r = {0};
        nissl_error err = {0};
        check_ok(nissl_information_compute(ctx, &view, condition, conditions, &opt, &r, &err), err);
        for (int u = 0; u < units; u++) {
            bits += r.bits[u] / (units * worlds);
            corrected += r.corrected[u] / (units * worlds);
            squares += r.corrected[u] * r.corrected[u] / (units * worlds);
            null += (r.bits[u] - r.null_mean[u]) / (units * worlds);
            rejected += r.p[u] <= 0.05;
        }
        nissl_information_free(&r);
    }
    double error = sqrt(squares / (units * worlds));
    print_message("bits %.4f, corrected %.5f, above shuffles %.5f; %.2f %% rejected at 5 %%\n",
                  bits, corrected, null, 100.0 * rejected / (units * worlds));
    assert_true(bits > 0.02);
    check_close(corrected, 0, 0.01); /* second order in 1 / n remains: 6 samples per cell */
    assert_true(bits > 8 * fabs(corrected));
    check_close(null, 0, 4 * error);
    assert_true(rejected >= 0.04 * units * worlds && rejected <= 0.06 * units * worlds);
    nissl_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_table),
        cmocka_unit_test(ccmas_of_equal_and_unequal_classes),
        cmocka_unit_test(oracle_of_binned_responses),
        cmocka_unit_test(tables_obey_the_laws),
        cmocka_unit_test(threads_and_growing_functions_do_not_matter),
        cmocka_unit_test(odd_units_and_mistakes),
        cmocka_unit_test(a_noisy_channel_has_its_capacity),
        cmocka_unit_test(untuned_units_carry_no_information),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
