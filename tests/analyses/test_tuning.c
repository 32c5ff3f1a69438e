#include "../check.h"
#include "analyses/tuning.h"

static nissl_context *context_of(int threads)
{
    nissl_context_options opt = nissl_context_options_default();
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    opt.threads = threads;
    opt.seed = 20;
    check_ok(nissl_context_new(&opt, &ctx, &err), err);
    return ctx;
}

/* The numbers of a CSV file after its header, row after row. Freed with free. */
static double *read_numbers(const char *path, int64_t *n)
{
    int64_t capacity = 1 << 14;
    double *values = malloc((size_t)capacity * sizeof *values);
    char line[4096];
    FILE *file = fopen(path, "r");
    *n = 0;
    if (!file || !fgets(line, sizeof line, file)) {
        print_error("cannot read %s\n", path);
        fail();
    }
    while (fgets(line, sizeof line, file))
        for (char *cell = strtok(line, ",\n"); cell && *n < capacity; cell = strtok(NULL, ",\n"))
            values[(*n)++] = strtod(cell, NULL);
    fclose(file);
    return values;
}

static double *read_fixture(const char *name, int64_t *n)
{
    char path[1024];
    const char *folder = getenv("NISSL_FIXTURES");
    snprintf(path, sizeof path, "%s/tuning/%s", folder ? folder : "tests/fixtures", name);
    return read_numbers(path, n);
}

/* Relative 1e-12, or absolute where the expected number is itself a difference of larger ones. */
static void check_golden(double value, double expected, const char *what, int64_t row)
{
    if ((isnan(value) && isnan(expected)) || value == expected ||
        fabs(value - expected) <= 1e-12 * fabs(expected) + 1e-14)
        return;
    print_error("%s of row %lld is %.17g, not %.17g\n", what, (long long)row, value, expected);
    fail();
}

static nissl_tuning tune(nissl_context *ctx, const float *x, int64_t n_stimuli, int64_t n_units,
                         const int32_t *condition, int64_t n_conditions)
{
    nissl_tuning out = {0};
    nissl_error err = {0};
    check_ok(
        nissl_tuning_compute(ctx, x, n_stimuli, n_units, condition, n_conditions, NULL, &out, &err),
        err);
    return out;
}

/* ---- golden ---- */

static void published_numbers(void **state)
{
    const float x[] = {0, 1, 2, 3, 10};
    const float strided[] = {0, -9, 1, -9, 2, -9, 3, -9, 10};
    const double means[] = {.1, .4, .9, .2};
    check_close(nissl_sparseness_treves_rolls(x, 5, 1), 0.4491228070175439, 1e-15);
    check_close(nissl_sparseness_vinje_gallant(x, 5, 1), 0.6885964912280701, 1e-15);
    check_close(nissl_sparseness_vinje_gallant(strided, 5, 2), 0.6885964912280701, 1e-15);
    check_close(nissl_selectivity_class(means, 4), 0.5882352422145375, 1e-15);
}

static void reference_file_of_dprime_and_auroc(void **state)
{
    char path[1024];
    const char *data = getenv("NISSL_DATA");
    snprintf(path, sizeof path, "%s/reference/dprime_ab.csv", data ? data : "../shared/data");
    FILE *file = fopen(path, "r");
    float a[64], b[64];
    double x, y, sum_a = 0, sum_b = 0, squares_a = 0, squares_b = 0;
    int n = 0;
    if (!file)
        skip();
    while (n < 64 && fscanf(file, "%lf,%lf", &x, &y) == 2) {
        a[n] = (float)x;
        b[n++] = (float)y;
        sum_a += x;
        sum_b += y;
        squares_a += x * x;
        squares_b += y * y;
    }
    fclose(file);
    assert_int_equal(n, 20);
    /* The file has doubles; responses are floats, so d' agrees to their rounding. */
    check_close(nissl_dprime(a, n, b, n), 1.305732837264295, 1e-7);
    check_close(nissl_auroc(a, n, b, n), 0.8375, 0);
    double variance = (squares_a - sum_a * sum_a / n + squares_b - sum_b * sum_b / n) / (n - 1) / 2;
    check_close((sum_a - sum_b) / n / sqrt(variance), 1.305732837264295, 1e-12);
}

static void oracle_of_every_result(void **state)
{
    int64_t n = 0, n_expected = 0;
    double *table = read_fixture("responses.csv", &n);
    enum { units = 12, stimuli = 67, conditions = 7 };
    assert_int_equal(n, stimuli * (units + 1));
    float x[stimuli * units];
    int32_t condition[stimuli];
    for (int s = 0; s < stimuli; s++) {
        condition[s] = (int32_t)table[s * (units + 1)];
        for (int u = 0; u < units; u++)
            x[s * units + u] = (float)table[s * (units + 1) + 1 + u];
    }
    free(table);
    nissl_context *ctx = context_of(2);
    nissl_tuning t = tune(ctx, x, stimuli, units, condition, conditions);
    double *e = read_fixture("units.csv", &n_expected);
    assert_int_equal(n_expected, units * 9);
    for (int u = 0; u < units; u++) {
        check_golden(t.mean[u], e[u * 9], "mean", u);
        check_golden(t.sd[u], e[u * 9 + 1], "sd", u);
        check_golden(t.preferred[u], e[u * 9 + 2], "preferred", u);
        check_golden(t.preferred_heldin[u], e[u * 9 + 3], "preferred_heldin", u);
        check_golden(t.selectivity[u], e[u * 9 + 4], "selectivity", u);
        check_golden(t.selectivity_heldout[u], e[u * 9 + 5], "selectivity_heldout", u);
        check_golden(t.dprime[u], e[u * 9 + 6], "dprime", u);
        check_golden(t.auroc[u], e[u * 9 + 7], "auroc", u);
        check_golden(t.lifetime_sparseness[u], e[u * 9 + 8], "lifetime_sparseness", u);
    }
    free(e);
    e = read_fixture("curves.csv", &n_expected);
    assert_int_equal(n_expected, units * conditions * 2);
    for (int i = 0; i < units * conditions; i++) {
        check_golden(t.curve[i], e[2 * i], "curve", i);
        check_golden(t.curve_se[i], e[2 * i + 1], "curve_se", i);
    }
    free(e);
    e = read_fixture("population.csv", &n_expected);
    assert_int_equal(n_expected, stimuli);
    for (int s = 0; s < stimuli; s++)
        check_golden(t.population_sparseness[s], e[s], "population_sparseness", s);
    free(e);
    nissl_tuning_free(&t);
    nissl_context_free(ctx);
}

/* ---- properties of the indices ---- */

static double slow_auroc(const float *a, int64_t n_a, const float *b, int64_t n_b)
{
    double u = 0;
    for (int64_t i = 0; i < n_a; i++)
        for (int64_t j = 0; j < n_b; j++)
            u += a[i] > b[j] ? 1 : a[i] == b[j] ? 0.5 : 0;
    return u / ((double)n_a * (double)n_b);
}

/* Sizes on both sides of where sorting takes over from comparing; ties, signs and zeros. */
static void auroc_counts_exactly(void **state)
{
    static const int64_t sizes[][2] = {{1, 1},     {3, 2},      {50, 700},   {500, 40},
                                       {700, 700}, {2000, 600}, {300, 3000}, {1000, 1001}};
    float *a = nissl__alloc(4000, sizeof *a), *b = nissl__alloc(4000, sizeof *b);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int kind = 0; kind < 4; kind++) {
            int64_t n_a = sizes[s][0], n_b = sizes[s][1];
            for (int64_t i = 0; i < NISSL__MAX(n_a, n_b); i++) {
                double x = nissl__random_normal(s, 1, (uint64_t)i);
                double y = nissl__random_normal(s, 2, (uint64_t)i);
                a[i] = (float)(kind == 0   ? x + 0.5
                               : kind == 1 ? round(2 * x)
                               : kind == 2 ? 1e-42 * round(5 * x) /* subnormal */
                                           : (x > 0 ? 0.0 : -0.0));
                b[i] = (float)(kind == 0   ? y
                               : kind == 1 ? round(2 * y)
                               : kind == 2 ? 1e-42 * round(5 * y)
                                           : (y > 0 ? 0.0 : -0.0));
            }
            double auroc = nissl_auroc(a, n_a, b, n_b);
            check_close(auroc, slow_auroc(a, n_a, b, n_b), 1e-15);
            check_close(nissl_auroc(b, n_b, a, n_a), 1 - auroc, 1e-15);
            if (kind == 3)
                assert_true(auroc == 0.5);
            if (kind == 0) { /* a growing function changes nothing */
                for (int64_t i = 0; i < n_a; i++)
                    a[i] = ldexpf(a[i], a[i] > 0 ? 3 : 2);
                for (int64_t i = 0; i < n_b; i++)
                    b[i] = ldexpf(b[i], b[i] > 0 ? 3 : 2);
                assert_true(nissl_auroc(a, n_a, b, n_b) == auroc);
            }
        }
    nissl__free(a);
    nissl__free(b);
}

static void undefined_indices_are_nan(void **state)
{
    const float zero[] = {0, 0, 0}, below[] = {-1, -2}, bad[] = {1, NAN, 2}, one[] = {4};
    const float same[] = {2, 2}, other[] = {1, 1}, infinite[] = {INFINITY, 1};
    const double negative[] = {-.1, .5}, single[] = {.5}, empty[] = {.3, NAN, .1};
    const double silent[] = {0, 0};
    assert_true(isnan(nissl_sparseness_treves_rolls(zero, 3, 1)));
    assert_true(isnan(nissl_sparseness_vinje_gallant(zero, 3, 1)));
    assert_true(isnan(nissl_sparseness_vinje_gallant(below, 2, 1)));
    assert_true(isnan(nissl_sparseness_treves_rolls(bad, 3, 1)));
    assert_true(isnan(nissl_sparseness_vinje_gallant(one, 1, 1)));
    assert_true(isnan(nissl_sparseness_vinje_gallant(one, 0, 1)));
    assert_true(isnan(nissl_selectivity_class(negative, 2)));
    assert_true(isnan(nissl_selectivity_class(single, 1)));
    check_close(nissl_selectivity_class(empty, 3), .2 / (.4 + 1e-7), 1e-15);
    assert_true(nissl_selectivity_class(silent, 2) == 0);
    assert_true(isnan(nissl_dprime(one, 1, same, 2)));
    assert_true(isnan(nissl_dprime(same, 2, same, 2)));
    assert_true(nissl_dprime(same, 2, other, 2) == INFINITY);
    assert_true(isnan(nissl_auroc(bad, 3, zero, 3)));
    assert_true(isnan(nissl_auroc(zero, 0, zero, 3)));
    assert_true(nissl_auroc(infinite, 2, zero, 3) == 1);
    nissl__alloc_fail_at(1);
    assert_true(isnan(nissl_auroc(same, 2, other, 2)));
}

/* ---- properties of the whole ---- */

/* n_units of noise, a third of it rectified, unit u preferring condition u % n_conditions by
 * gain; conditions in turn, so every one has n_stimuli / n_conditions. Freed with nissl__free. */
static float *noisy_units(uint64_t seed, int64_t n_stimuli, int64_t n_units, int64_t n_conditions,
                          double gain, int32_t *condition)
{
    float *x = nissl__alloc((size_t)(n_stimuli * n_units), sizeof *x);
    for (int64_t s = 0; s < n_stimuli; s++) {
        condition[s] = (int32_t)(s % n_conditions);
        for (int64_t u = 0; u < n_units; u++) {
            double value = nissl__random_normal(seed, (uint64_t)u, (uint64_t)s) +
                           (condition[s] == u % n_conditions ? gain : 0);
            x[s * n_units + u] = (float)(u % 3 == 0 && value < 0 ? 0 : value);
        }
    }
    return x;
}

#define SAME(a, b, what, n)                                                                        \
    assert_memory_equal((a)->what, (b)->what, (size_t)(n) * sizeof *(a)->what)

static void check_same_bits(const nissl_tuning *a, const nissl_tuning *b)
{
    assert_int_equal(a->n_units, b->n_units);
    SAME(a, b, mean, a->n_units);
    SAME(a, b, sd, a->n_units);
    SAME(a, b, curve, a->n_units * a->n_conditions);
    SAME(a, b, curve_se, a->n_units * a->n_conditions);
    SAME(a, b, preferred, a->n_units);
    SAME(a, b, preferred_heldin, a->n_units);
    SAME(a, b, selectivity, a->n_units);
    SAME(a, b, selectivity_heldout, a->n_units);
    SAME(a, b, dprime, a->n_units);
    SAME(a, b, auroc, a->n_units);
    SAME(a, b, lifetime_sparseness, a->n_units);
    SAME(a, b, population_sparseness, a->n_stimuli);
}

static void threads_and_blocks_do_not_matter(void **state)
{
    enum { stimuli = 230, units = 501, conditions = 9 };
    int32_t condition[stimuli];
    float *x = noisy_units(1, stimuli, units, conditions, 1, condition);
    nissl_context *one = context_of(1);
    nissl_tuning expected = tune(one, x, stimuli, units, condition, conditions);
    for (int threads = 2; threads <= 3; threads++) {
        nissl_context *ctx = context_of(threads);
        nissl_tuning t = tune(ctx, x, stimuli, units, condition, conditions);
        check_same_bits(&t, &expected);
        nissl_tuning_free(&t);
        nissl_context_free(ctx);
    }
    for (int64_t size = 1; size < units; size = 5 * size + 2) {
        nissl__tuning_work *work = NULL;
        nissl_tuning t = {0};
        nissl_error err = {0};
        float *block = nissl__alloc((size_t)(stimuli * size), sizeof *block);
        check_ok(nissl__tuning_begin(one, stimuli, units, condition, conditions, NULL, &work, &err),
                 err);
        for (int64_t first = 0; first < units; first += size) {
            int64_t n = NISSL__MIN(size, units - first);
            for (int64_t s = 0; s < stimuli; s++)
                memcpy(block + s * n, x + s * units + first, (size_t)n * sizeof *x);
            check_ok(nissl__tuning_block(work, block, first, n, &err), err);
        }
        nissl__tuning_end(work, &t);
        nissl__tuning_abandon(work);
        check_same_bits(&t, &expected);
        nissl_tuning_free(&t);
        nissl__free(block);
    }
    nissl_tuning_free(&expected);
    nissl_context_free(one);
    nissl__free(x);
}

/* Moving stimuli past those of other conditions leaves each condition's order and so the split:
 * nothing changes. Any other order draws another split: what is measured on all stimuli stays. */
static void order_of_stimuli_is_only_in_the_split(void **state)
{
    enum { stimuli = 120, units = 40, conditions = 4 };
    int32_t condition[stimuli], moved_condition[stimuli];
    int64_t order[stimuli];
    float *x = noisy_units(2, stimuli, units, conditions, 0.7, condition);
    float *moved = nissl__alloc(stimuli * units, sizeof *moved);
    nissl_context *ctx = context_of(2);
    nissl_tuning a = tune(ctx, x, stimuli, units, condition, conditions), b;
    for (int c = 0, at = 0; c < conditions; c++) /* sorted by condition */
        for (int s = 0; s < stimuli; s++)
            if (condition[s] == c) {
                moved_condition[at] = c;
                memcpy(moved + at++ * units, x + s * units, units * sizeof *x);
            }
    b = tune(ctx, moved, stimuli, units, moved_condition, conditions);
    SAME(&a, &b, curve, units * conditions);
    SAME(&a, &b, sd, units);
    SAME(&a, &b, auroc, units);
    SAME(&a, &b, dprime, units);
    SAME(&a, &b, selectivity_heldout, units);
    nissl_tuning_free(&b);
    nissl__random_permutation(3, 3, stimuli, order);
    for (int s = 0; s < stimuli; s++) {
        moved_condition[s] = condition[order[s]];
        memcpy(moved + s * units, x + order[s] * units, units * sizeof *x);
    }
    b = tune(ctx, moved, stimuli, units, moved_condition, conditions);
    SAME(&a, &b, preferred, units);
    int n_changed = 0;
    for (int u = 0; u < units; u++) {
        check_close(b.mean[u], a.mean[u], 1e-13);
        check_close(b.sd[u], a.sd[u], 1e-13);
        check_close(b.selectivity[u], a.selectivity[u], 1e-12);
        check_close(b.lifetime_sparseness[u], a.lifetime_sparseness[u], 1e-13);
        for (int c = 0; c < conditions; c++) {
            check_close(b.curve[u * conditions + c], a.curve[u * conditions + c], 1e-13);
            check_close(b.curve_se[u * conditions + c], a.curve_se[u * conditions + c], 1e-13);
        }
        n_changed += b.auroc[u] != a.auroc[u];
    }
    assert_true(n_changed > units / 2);
    for (int s = 0; s < stimuli; s++)
        assert_true(b.population_sparseness[s] == a.population_sparseness[order[s]]);
    nissl_tuning_free(&a);
    nissl_tuning_free(&b);
    nissl_context_free(ctx);
    nissl__free(x);
    nissl__free(moved);
}

static void scale_and_neighbours_do_not_matter(void **state)
{
    enum { stimuli = 90, units = 35, conditions = 5 };
    int32_t condition[stimuli];
    float *x = noisy_units(4, stimuli, units, conditions, 1, condition);
    float *scaled = nissl__alloc(stimuli * units, sizeof *scaled), alone[stimuli];
    nissl_context *ctx = context_of(1);
    nissl_tuning a = tune(ctx, x, stimuli, units, condition, conditions), b;
    for (int i = 0; i < stimuli * units; i++)
        scaled[i] = 4 * x[i];
    b = tune(ctx, scaled, stimuli, units, condition, conditions);
    SAME(&a, &b, preferred, units);
    SAME(&a, &b, preferred_heldin, units);
    SAME(&a, &b, dprime, units);
    SAME(&a, &b, auroc, units);
    SAME(&a, &b, lifetime_sparseness, units);
    SAME(&a, &b, population_sparseness, stimuli);
    for (int u = 0; u < units; u++) { /* but for the 1e-7 */
        check_close(b.selectivity[u], a.selectivity[u], 1e-5);
        check_close(b.selectivity_heldout[u], a.selectivity_heldout[u], 1e-5);
        for (int c = 0; c < conditions; c++)
            assert_true(b.curve[u * conditions + c] == 4 * a.curve[u * conditions + c]);
    }
    nissl_tuning_free(&b);
    for (int u = 0; u < units; u += 7) {
        for (int s = 0; s < stimuli; s++)
            alone[s] = x[s * units + u];
        b = tune(ctx, alone, stimuli, 1, condition, conditions);
        assert_true(b.auroc[0] == a.auroc[u] && b.dprime[0] == a.dprime[u]);
        assert_true(b.selectivity_heldout[0] == a.selectivity_heldout[u]);
        assert_memory_equal(b.curve, a.curve + u * conditions, conditions * sizeof *b.curve);
        check_close(b.lifetime_sparseness[0], nissl_sparseness_vinje_gallant(alone, stimuli, 1),
                    1e-13);
        nissl_tuning_free(&b);
    }
    nissl_tuning_free(&a);
    nissl_context_free(ctx);
    nissl__free(x);
    nissl__free(scaled);
}

/* d', auROC and selectivity again from the public functions on the measuring half, which the
 * results themselves give away: with two stimuli per condition it is the one that is not chosen. */
static void odd_designs_are_defined(void **state)
{
    enum { stimuli = 12, units = 5 };
    int32_t condition[stimuli];
    float *x = noisy_units(5, stimuli, units, 12, 1, condition);
    nissl_context *ctx = context_of(1);
    nissl_tuning t = tune(ctx, x, stimuli, units, condition, 12);
    for (int u = 0; u < units; u++) { /* one stimulus per condition: nothing can be held out */
        assert_true(t.preferred[u] >= 0);
        assert_true(isfinite(t.selectivity[u]));
        assert_int_equal(t.preferred_heldin[u], -1);
        assert_true(isnan(t.dprime[u]) && isnan(t.auroc[u]) && isnan(t.selectivity_heldout[u]));
        for (int c = 0; c < 12; c++) {
            assert_true(t.curve[u * 12 + c] == x[c * units + u]);
            assert_true(isnan(t.curve_se[u * 12 + c]));
        }
    }
    nissl_tuning_free(&t);
    for (int s = 0; s < stimuli; s++) /* one condition only */
        condition[s] = 2;
    t = tune(ctx, x, stimuli, units, condition, 3);
    for (int u = 0; u < units; u++) {
        assert_int_equal(t.preferred[u], -1);
        assert_true(isnan(t.selectivity[u]) && isnan(t.auroc[u]));
        assert_true(isnan(t.curve[u * 3]) && isfinite(t.curve[u * 3 + 2]));
    }
    nissl_tuning_free(&t);
    for (int s = 0; s < stimuli; s++) /* none */
        condition[s] = -1;
    t = tune(ctx, x, stimuli, units, condition, 3);
    for (int u = 0; u < units; u++)
        assert_true(isnan(t.mean[u]) && isnan(t.curve[3 * u]) && t.preferred[u] == -1);
    assert_true(isfinite(t.population_sparseness[0]));
    nissl_tuning_free(&t);
    t = tune(ctx, x, 1, units, condition, 1); /* a single stimulus */
    assert_true(isnan(t.sd[0]));
    nissl_tuning_free(&t);
    nissl_context_free(ctx);
    nissl__free(x);
}

static void bad_numbers_stay_in_their_unit(void **state)
{
    enum { stimuli = 40, units = 20, conditions = 4 };
    int32_t condition[stimuli];
    float *x = noisy_units(6, stimuli, units, conditions, 1, condition);
    nissl_context *ctx = context_of(1);
    condition[7] = -1;
    nissl_tuning a = tune(ctx, x, stimuli, units, condition, conditions), b;
    x[5 * units + 3] = NAN;
    x[6 * units + 17] = -INFINITY;
    x[7 * units + 9] = NAN; /* on a stimulus that does not count */
    b = tune(ctx, x, stimuli, units, condition, conditions);
    for (int u = 0; u < units; u++) {
        if (u == 3 || u == 17) {
            assert_true(isnan(b.mean[u]) && isnan(b.sd[u]) && isnan(b.selectivity[u]));
            assert_true(isnan(b.dprime[u]) && isnan(b.auroc[u]) && isnan(b.selectivity_heldout[u]));
            assert_true(isnan(b.lifetime_sparseness[u]) && isnan(b.curve[u * conditions]));
            assert_true(isnan(b.curve_se[u * conditions]));
            assert_true(b.preferred[u] == -1 && b.preferred_heldin[u] == -1);
        } else {
            assert_true(b.mean[u] == a.mean[u] && b.auroc[u] == a.auroc[u]);
            assert_true(b.dprime[u] == a.dprime[u] && b.preferred[u] == a.preferred[u]);
        }
    }
    for (int s = 0; s < stimuli; s++)
        assert_true(isfinite(b.population_sparseness[s]));
    nissl_tuning_free(&a);
    nissl_tuning_free(&b);
    nissl_tuning_free(&b);
    nissl_tuning_free(NULL);
    nissl_context_free(ctx);
    nissl__free(x);
}

static void mistakes_are_told(void **state)
{
    const float x[4] = {1, 2, 3, 4};
    const int32_t good[2] = {0, 1}, high[2] = {0, 2}, low[2] = {-2, 1};
    nissl_context *ctx = context_of(2);
    nissl_tuning t = {0};
    nissl_error err = {0};
    assert_int_equal(nissl_tuning_compute(ctx, x, 0, 2, good, 2, NULL, &t, &err), NISSL_ERR_SHAPE);
    assert_non_null(strstr(err.message, "n_stimuli = 0"));
    assert_int_equal(nissl_tuning_compute(ctx, x, 2, 0, good, 2, NULL, &t, &err), NISSL_ERR_SHAPE);
    assert_int_equal(nissl_tuning_compute(ctx, x, 2, 2, good, 0, NULL, &t, &err), NISSL_ERR_SHAPE);
    assert_int_equal(nissl_tuning_compute(ctx, x, 2, 2, high, 2, NULL, &t, &err), NISSL_ERR_RANGE);
    assert_string_equal(err.message, "condition 2 of stimulus 1 is outside -1 .. 1");
    assert_int_equal(nissl_tuning_compute(ctx, x, 2, 2, low, 2, NULL, &t, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_tuning_compute(ctx, x, 2, (int64_t)1 << 61, good, 2, NULL, &t, &err),
                     NISSL_ERR_RANGE);
    int n_failures = 0;
    for (uint64_t n = 1; n < 60; n++) {
        nissl__alloc_fail_at(n);
        nissl_status status = nissl_tuning_compute(ctx, x, 2, 2, good, 2, NULL, &t, &err);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        n_failures += status != NISSL_OK;
        assert_true(status == NISSL_OK || !t.mean);
        nissl_tuning_free(&t);
    }
    nissl__alloc_fail_at(0);
    assert_true(n_failures > 30 && n_failures < 59);
    nissl_context_cancel(ctx);
    assert_int_equal(nissl_tuning_compute(ctx, x, 2, 2, good, 2, NULL, &t, &err),
                     NISSL_ERR_CANCELLED);
    assert_null(t.mean);
    nissl_context_free(ctx);
}

/* ---- planted truth ---- */

/* Gaussian units that respond by gain more to one condition of five, 30 stimuli each: found more
 * and more often with gain, and where found d' is the gain and auROC is Phi(gain / sqrt 2). */
static void planted_preferences_are_recovered(void **state)
{
    enum { conditions = 5, per_condition = 30, stimuli = conditions * per_condition, units = 2000 };
    static const double gains[] = {0, 0.25, 0.5, 1, 2, 4};
    int32_t condition[stimuli];
    double last_share = 0;
    nissl_context *ctx = context_of(2);
    for (int g = 0; g < 6; g++) {
        float *x = nissl__alloc(stimuli * units, sizeof *x);
        for (int s = 0; s < stimuli; s++) {
            condition[s] = s % conditions;
            for (int u = 0; u < units; u++)
                x[s * units + u] =
                    (float)(nissl__random_normal(10, (uint64_t)(g * units + u), (uint64_t)s) +
                            (condition[s] == u % conditions ? gains[g] : 0));
        }
        nissl_tuning t = tune(ctx, x, stimuli, units, condition, conditions);
        double share = 0, auroc = 0, dprime = 0;
        int n = 0;
        for (int u = 0; u < units; u++) {
            share += (t.preferred[u] == u % conditions) / (double)units;
            if (t.preferred_heldin[u] != u % conditions)
                continue;
            auroc += t.auroc[u];
            dprime += t.dprime[u];
            n++;
        }
        auroc /= n;
        dprime /= n;
        assert_true(share >= last_share);
        last_share = share;
        if (g == 0)
            assert_true(fabs(share - 0.2) < 4 * sqrt(0.16 / units));
        if (gains[g] >= 1)
            assert_true(share > 0.995);
        /* n >= 400 units of standard error about .09 in auROC and .3 in d' */
        check_close(auroc, 0.5 * erfc(-gains[g] / 2), 4 * 0.09 / sqrt(n));
        check_close(dprime, gains[g], 4 * 0.35 / sqrt(n) + 0.03 * gains[g]);
        nissl_tuning_free(&t);
        nissl__free(x);
    }
    nissl_context_free(ctx);
}

/* ---- calibration ---- */

/* Untuned rectified noise. In-sample selectivity is inflated however many stimuli there are, most
 * with few; what was held out is not: auROC .5 with the variance of the Mann-Whitney statistic, so
 * that 5 % tests reject 4 to 6 %, and held-out selectivity that goes to 0 from below. */
static void untuned_units_are_not_tuned_where_it_was_held_out(void **state)
{
    enum { conditions = 10, units = 6000 };
    static const int per_condition[] = {6, 20, 80};
    static const double inflated[] = {0.35, 0.2, 0.09}, bias[] = {-0.3, -0.1, -0.03};
    nissl_context *ctx = context_of(2);
    for (int d = 0; d < 3; d++) {
        int stimuli = conditions * per_condition[d];
        int n_best = per_condition[d] - per_condition[d] / 2, n_rest = n_best * (conditions - 1);
        double expected_sd = sqrt((n_best + n_rest + 1) / (12.0 * n_best * n_rest));
        double auroc = 0, spread = 0, dprime = 0, dprime2 = 0, selectivity = 0, heldout = 0;
        int rejected = 0;
        int32_t *condition = nissl__alloc((size_t)stimuli, sizeof *condition);
        float *x = nissl__alloc((size_t)(stimuli * units), sizeof *x);
        for (int s = 0; s < stimuli; s++) {
            condition[s] = s % conditions;
            for (int u = 0; u < units; u++) {
                double value = nissl__random_normal(30, (uint64_t)u, (uint64_t)s);
                /* Half of them rectified: the index is made for those; no ties in the others. */
                x[s * units + u] = (float)(u % 2 == 0 && value < 0 ? 0 : value);
            }
        }
        nissl_tuning t = tune(ctx, x, stimuli, units, condition, conditions);
        for (int u = 0; u < units; u++) {
            double z = (t.auroc[u] - 0.5) / expected_sd;
            auroc += t.auroc[u] / units;
            if (u % 2) { /* in skewed responses mean and deviation of few go together */
                dprime += 2 * t.dprime[u] / units;
                dprime2 += 2 * t.dprime[u] * t.dprime[u] / units;
                spread += 2 * z * z / units;
                rejected += fabs(z) > 1.959964;
            } else {
                selectivity += 2 * t.selectivity[u] / units;
                heldout += 2 * t.selectivity_heldout[u] / units;
            }
        }
        print_message("%d per condition: selectivity %.3f, held out %.3f; auROC %.4f, d' %.4f; "
                      "%.2f %% beyond the 5 %% bounds\n",
                      per_condition[d], selectivity, heldout, auroc, dprime,
                      200.0 * rejected / units);
        check_close(auroc, 0.5, 4 * expected_sd / sqrt(units));
        check_close(dprime, 0, 4 * sqrt(2 * dprime2 / units));
        check_close(spread, 1, 4 * sqrt(4.0 / units)); /* variance of z^2 is 2 */
        assert_true(rejected >= 0.04 * units / 2 && rejected <= 0.06 * units / 2);
        assert_true(selectivity > inflated[d]);
        assert_true(heldout < 0.01 && heldout > bias[d]);
        nissl_tuning_free(&t);
        nissl__free(x);
        nissl__free(condition);
    }
    nissl_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_numbers),
        cmocka_unit_test(reference_file_of_dprime_and_auroc),
        cmocka_unit_test(oracle_of_every_result),
        cmocka_unit_test(auroc_counts_exactly),
        cmocka_unit_test(undefined_indices_are_nan),
        cmocka_unit_test(threads_and_blocks_do_not_matter),
        cmocka_unit_test(order_of_stimuli_is_only_in_the_split),
        cmocka_unit_test(scale_and_neighbours_do_not_matter),
        cmocka_unit_test(odd_designs_are_defined),
        cmocka_unit_test(bad_numbers_stay_in_their_unit),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(planted_preferences_are_recovered),
        cmocka_unit_test(untuned_units_are_not_tuned_where_it_was_held_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
