#include "../check.h"
#include "foundation/foundation.h"
#include "math/distribution.h"
#include "nissl/anova.h"

enum { MAX_NUMBERS = 1 << 14 };

/* The numbers of a CSV file, without a header line if it has one. */
static int read_numbers(const char *path, bool header, double *values)
{
    char line[4096];
    int n = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    if (header && !fgets(line, sizeof line, file))
        fail();
    while (fgets(line, sizeof line, file))
        for (char *cell = strtok(line, ",\n"); cell && n < MAX_NUMBERS; cell = strtok(NULL, ",\n"))
            values[n++] = strtod(cell, NULL);
    fclose(file);
    return n;
}

static int read_fixture(const char *name, double *values)
{
    char path[1024];
    const char *folder = getenv("NISSL_FIXTURES");
    snprintf(path, sizeof path, "%s/anova/%s", folder ? folder : "tests/fixtures", name);
    int n = read_numbers(path, true, values);
    if (n < 0) {
        print_error("cannot read %s\n", path);
        fail();
    }
    return n;
}

static nissl_context *context_of(int threads)
{
    nissl_context_options opt = {.threads = threads};
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    check_ok(nissl_context_new(&opt, &ctx, &err), err);
    return ctx;
}

static int effect_of(const nissl_anova *a, uint32_t set)
{
    for (int e = 0; e < a->n_effects; e++)
        if (a->effect[e] == set)
            return e;
    fail();
    return -1;
}

static void relative(double value, double expected, double tolerance)
{
    if (isnan(expected) && isnan(value))
        return;
    if (!(fabs(value - expected) <= tolerance * fabs(expected) + 1e-300)) {
        print_error("%.17g is not %.17g within %g\n", value, expected, tolerance);
        fail();
    }
}

/* ---- golden ---- */

static void f_distribution_to_twelve_digits(void **state)
{
    static double t[MAX_NUMBERS];
    int n = read_fixture("f_upper.csv", t);
    assert_true(n > 400);
    for (int i = 0; i < n; i += 4)
        if (t[i + 3] > 1e-290)
            relative(nissl__f_upper(t[i], t[i + 1], t[i + 2]), t[i + 3], 3e-11);
    assert_true(nissl__f_upper(0, 2, 3) == 1);
    assert_true(nissl__f_upper((double)INFINITY, 2, 3) == 0);
    assert_true(nissl__f_upper(1e308, 300, 3) < 1e-200);
    assert_true(isnan(nissl__f_upper(-1, 2, 3)));
    assert_true(isnan(nissl__f_upper((double)NAN, 2, 3)));
    assert_true(isnan(nissl__f_upper(1, 0, 3)));
    assert_true(isnan(nissl__f_upper(1, 2, 0)));
}

static void reference_file_of_two_factors(void **state)
{
    static double t[MAX_NUMBERS];
    static const double ss[] = {17.911277747003002, 32.62259390571041, 6.677500729620512};
    static const double f[] = {19.813350200788324, 18.04346084745673, 3.693306035749694};
    static const double p[] = {4.317330241542662e-05, 9.971588357765963e-07, 0.03137924944761371};
    static const double omega2[] = {0.1590484893152222, 0.2881716091563047, 0.045538540629686375};
    static const double partial[] = {0.23870765743187689, 0.3622918157046716, 0.08238096302663915};
    static const int64_t df[] = {1, 2, 2};
    char path[1024];
    const char *data = getenv("NISSL_DATA");
    snprintf(path, sizeof path, "%s/reference/anova_y_a_b.csv", data ? data : "../shared/data");
    int n = read_numbers(path, false, t);
    if (n < 0)
        skip();
    assert_int_equal(n, 180);
    double y[60];
    int32_t a[60], b[60];
    for (int i = 0; i < 60; i++) {
        y[i] = t[3 * i];
        a[i] = (int32_t)t[3 * i + 1];
        b[i] = (int32_t)t[3 * i + 2];
    }
    const int32_t *const level[] = {a, b};
    const int n_levels[] = {2, 3};
    int64_t shape[] = {60, 1};
    nissl_view x = nissl_view_of(y, NISSL_FLOAT64, 2, shape);
    nissl_context *ctx = context_of(1);
    nissl_error err = {0};
    for (int sums = 0; sums < 2; sums++) { /* balanced: the same */
        nissl_anova_options opt = {.sums = (nissl_anova_sums)sums};
        nissl_anova r = {0};
        check_ok(nissl_anova_compute(ctx, &x, level, n_levels, 2, &opt, &r, &err), err);
        assert_int_equal(r.n_effects, 3);
        assert_int_equal(r.df_error, 54);
        assert_int_equal(r.n_samples, 60);
        relative(r.ss_error[0], 48.81602497994909, 1e-12);
        for (int e = 0; e < 3; e++) {
            assert_int_equal(r.df[e], df[e]);
            relative(r.ss[e], ss[e], 1e-12);
            relative(r.f[e], f[e], 1e-12);
            relative(r.p[e], p[e], 1e-11);
            relative(r.omega2[e], omega2[e], 1e-11);
            relative(r.partial_omega2[e], partial[e], 1e-11);
        }
        nissl_anova_free(&r);
    }
    nissl_context_free(ctx);
}

/* Three unbalanced factors: both types, all interactions and pairs only, with and without an empty
 * cell. */
static void oracle_of_unbalanced_designs(void **state)
{
    enum { units = 5, columns = 3 + units, n_cases = 6 };
    static const int sums[n_cases] = {2, 3, 2, 3, 2, 3}, order[n_cases] = {3, 3, 2, 2, 3, 2};
    static double t[MAX_NUMBERS], e[MAX_NUMBERS], w[MAX_NUMBERS];
    int n = read_fixture("data.csv", t) / columns;
    int n_effects = read_fixture("effects.csv", e) / 9, n_units = read_fixture("units.csv", w) / 6;
    int32_t a[100], b[100], c[100];
    const int32_t *const level[] = {a, b, c};
    const int n_levels[] = {2, 4, 2}; /* level 3 of b does not occur */
    int64_t shape[] = {n, units};
    int n_checked = 0;
    nissl_view x = nissl_view_of(t + 3, NISSL_FLOAT64, 2, shape);
    nissl_context *ctx = context_of(2);
    nissl_error err = {0};
    x.stride[0] = columns;
    assert_true(n > 40 && n <= 100);
    for (int i = 0; i < n_cases; i++) {
        nissl_anova_options opt = {.sums =
                                       sums[i] == 2 ? NISSL_ANOVA_TYPE_II : NISSL_ANOVA_TYPE_III,
                                   .max_order = order[i] == 3 ? 0 : order[i]};
        nissl_anova r = {0};
        for (int s = 0; s < n; s++) {
            a[s] = (int32_t)t[s * columns];
            b[s] = (int32_t)t[s * columns + 1];
            c[s] = (int32_t)t[s * columns + 2];
            if (i >= 4 && a[s] == 1 && b[s] == 2 && c[s] == 0)
                c[s] = -1; /* left out */
        }
        check_ok(nissl_anova_compute(ctx, &x, level, n_levels, 3, &opt, &r, &err), err);
        for (int k = 0; k < n_units; k++) {
            const double *row = w + 6 * k;
            int u = (int)row[1];
            if (row[0] != i)
                continue;
            relative(r.mean[u], row[2], 1e-12);
            relative(r.ss_total[u], row[3], 1e-9);
            relative(r.ss_error[u], row[4], 1e-9);
            assert_int_equal(r.df_error, (int64_t)row[5]);
        }
        for (int k = 0; k < n_effects; k++) {
            const double *row = e + 9 * k;
            if (row[0] != i)
                continue;
            int effect = effect_of(&r, (uint32_t)row[2]);
            int64_t at = (int64_t)row[1] * r.n_effects + effect;
            assert_int_equal(r.df[effect], (int64_t)row[3]);
            /* A difference of residuals, against the total: 1e-9 of the error's mean square. */
            check_close(r.ss[at], row[4], 1e-9);
            check_close(r.f[at], row[5], 1e-9);
            check_close(r.p[at], row[6], 1e-9);
            check_close(r.omega2[at], row[7], 1e-9);
            check_close(r.partial_omega2[at], row[8], 1e-9);
            n_checked++;
        }
        nissl_anova_free(&r);
    }
    assert_int_equal(n_checked, n_effects);
    nissl_context_free(ctx);
}

/* ---- properties ---- */

typedef struct design {
    int64_t n;
    int n_factors, n_levels[3];
    int32_t level[3][600];
    const int32_t *levels[3];
} design;

/* Drawn cells, so unbalanced, with every cell filled at least twice. */
static design drawn_design(uint64_t seed, int64_t n, int la, int lb, int lc)
{
    design d = {.n = n, .n_factors = 3, .n_levels = {la, lb, lc}};
    int cells = la * lb * lc;
    for (int64_t i = 0; i < n; i++) {
        int cell = i < 2 * cells ? (int)(i % cells)
                                 : (int)nissl__random_below(seed, 77, (uint64_t)i, cells);
        d.level[0][i] = cell / (lb * lc);
        d.level[1][i] = cell / lc % lb;
        d.level[2][i] = cell % lc;
    }
    return d;
}

static nissl_anova run(nissl_context *ctx, const float *x, design *d, int64_t units,
                       const nissl_anova_options *opt)
{
    nissl_anova out = {0};
    nissl_error err = {0};
    int64_t shape[] = {d->n, units};
    nissl_view view = nissl_view_of((void *)(uintptr_t)x, NISSL_FLOAT32, 2, shape);
    for (int k = 0; k < 3; k++)
        d->levels[k] = d->level[k];
    check_ok(nissl_anova_compute(ctx, &view, d->levels, d->n_levels, d->n_factors, opt, &out, &err),
             err);
    return out;
}

static float *noise(uint64_t seed, int64_t n, int64_t units)
{
    float *x = nissl__alloc((size_t)(n * units), sizeof *x);
    for (int64_t i = 0; i < n * units; i++)
        x[i] = (float)nissl__random_normal(seed, 5, (uint64_t)i);
    return x;
}

static void threads_types_and_layouts_do_not_matter(void **state)
{
    enum { n = 150, units = 37 };
    design d = drawn_design(1, n, 3, 2, 2);
    float *x = noise(1, n, units), *moved = nissl__alloc(n * units, sizeof *moved);
    nissl_context *one = context_of(1), *three = context_of(3);
    nissl_anova a = run(one, x, &d, units, NULL), b = run(three, x, &d, units, NULL);
    size_t bytes = (size_t)(units * a.n_effects) * sizeof(double);
    assert_memory_equal(a.ss, b.ss, bytes);
    assert_memory_equal(a.p, b.p, bytes);
    assert_memory_equal(a.omega2, b.omega2, bytes);
    nissl_anova_free(&b);
    /* The same array with units as rows. */
    for (int i = 0; i < n; i++)
        for (int u = 0; u < units; u++)
            moved[u * n + i] = x[i * units + u];
    int64_t shape[] = {n, units};
    nissl_view view = nissl_view_of(moved, NISSL_FLOAT32, 2, shape);
    nissl_error err = {0};
    view.stride[0] = 1;
    view.stride[1] = n;
    check_ok(nissl_anova_compute(one, &view, d.levels, d.n_levels, 3, NULL, &b, &err), err);
    assert_memory_equal(a.ss, b.ss, bytes);
    nissl_anova_free(&b);
    nissl_anova_free(&a);
    nissl_anova_free(&a);
    nissl_anova_free(NULL);
    nissl_context_free(one);
    nissl_context_free(three);
    nissl__free(x);
    nissl__free(moved);
}

/* Order of samples, names of levels, order of factors, offset and scale. */
static void names_and_units_do_not_matter(void **state)
{
    enum { n = 200, units = 9 };
    static const int relabel[] = {2, 0, 1};
    design d = drawn_design(2, n, 3, 2, 3), other = d;
    float *x = noise(2, n, units), *y = nissl__alloc(n * units, sizeof *y);
    int64_t order[n];
    nissl_context *ctx = context_of(1);
    for (int sums = 0; sums < 2; sums++) {
        nissl_anova_options opt = {.sums = (nissl_anova_sums)sums};
        nissl_anova a = run(ctx, x, &d, units, &opt);
        nissl__random_permutation(4, 4, n, order);
        other.n_levels[0] = d.n_levels[2];
        other.n_levels[2] = d.n_levels[0];
        for (int i = 0; i < n; i++) {
            other.level[0][i] = d.level[2][order[i]];
            other.level[1][i] = d.level[1][order[i]];
            other.level[2][i] = relabel[d.level[0][order[i]]];
            for (int u = 0; u < units; u++)
                y[i * units + u] = 8 * x[order[i] * units + u] + 16;
        }
        nissl_anova b = run(ctx, y, &other, units, &opt);
        for (int u = 0; u < units; u++)
            for (int e = 0; e < a.n_effects; e++) {
                uint32_t set = a.effect[e];
                uint32_t swapped = (set & 2u) | (set << 2 & 4u) | (set >> 2 & 1u);
                int64_t at = u * a.n_effects + e, bt = u * a.n_effects + effect_of(&b, swapped);
                assert_int_equal(a.df[e], b.df[effect_of(&b, swapped)]);
                check_close(b.ss[bt] / 64, a.ss[at], 1e-5); /* floats near 16 */
                check_close(b.p[bt], a.p[at], 1e-5);
                check_close(b.omega2[bt], a.omega2[at], 1e-6);
            }
        nissl_anova_free(&a);
        nissl_anova_free(&b);
    }
    nissl_context_free(ctx);
    nissl__free(x);
    nissl__free(y);
}

/* In a balanced design the sums of squares add up to the total, and type II is type III. */
static void balanced_sums_add_up(void **state)
{
    enum { n = 2 * 3 * 4 * 5, units = 6 };
    design d = {.n = n, .n_factors = 3, .n_levels = {2, 3, 4}};
    float *x = noise(3, n, units);
    nissl_context *ctx = context_of(1);
    for (int i = 0; i < n; i++) {
        d.level[0][i] = i % 2;
        d.level[1][i] = i / 2 % 3;
        d.level[2][i] = i / 6 % 4;
    }
    nissl_anova_options three = {.sums = NISSL_ANOVA_TYPE_III}, pairs = {.max_order = 2};
    nissl_anova a = run(ctx, x, &d, units, NULL), b = run(ctx, x, &d, units, &three);
    nissl_anova c = run(ctx, x, &d, units, &pairs);
    assert_int_equal(a.n_effects, 7);
    assert_int_equal(c.n_effects, 6);
    for (int u = 0; u < units; u++) {
        double sum = a.ss_error[u];
        for (int e = 0; e < 7; e++) {
            sum += a.ss[u * 7 + e];
            check_close(b.ss[u * 7 + e], a.ss[u * 7 + e], 1e-12);
            if (e < 6)
                check_close(c.ss[u * 6 + e], a.ss[u * 7 + e], 1e-12);
        }
        check_close(sum, a.ss_total[u], 1e-12);
        /* What is not in the model is in the error. */
        check_close(c.ss_error[u], a.ss_error[u] + a.ss[u * 7 + 6], 1e-12);
    }
    assert_int_equal(c.df_error, a.df_error + a.df[6]);
    nissl_anova_free(&a);
    nissl_anova_free(&b);
    nissl_anova_free(&c);
    nissl_context_free(ctx);
    nissl__free(x);
}

static void names_of_effects(void **state)
{
    const char *const factors[] = {"shape", "size", "colour"};
    char name[32], cut[6];
    design d = drawn_design(5, 60, 2, 2, 2);
    float *x = noise(5, 60, 1);
    nissl_context *ctx = context_of(1);
    nissl_anova a = run(ctx, x, &d, 1, NULL);
    static const char *const expected[] = {
        "shape",        "size",        "colour",           "shape:size",
        "shape:colour", "size:colour", "shape:size:colour"};
    for (int e = 0; e < 7; e++) {
        nissl_anova_effect_name(&a, e, factors, name, sizeof name);
        assert_string_equal(name, expected[e]);
    }
    nissl_anova_effect_name(&a, 6, factors, cut, sizeof cut);
    assert_string_equal(cut, "shape");
    nissl_anova_free(&a);
    nissl_context_free(ctx);
    nissl__free(x);
}

static void odd_units_and_designs_are_defined(void **state)
{
    enum { n = 60, units = 5 };
    design d = drawn_design(6, n, 3, 2, 1); /* the third factor has one level */
    float *x = noise(6, n, units);
    nissl_context *ctx = context_of(1);
    for (int i = 0; i < n; i++) {
        x[i * units + 1] = 0.1f;                     /* constant */
        x[i * units + 2] = (float)d.level[0][i] * 3; /* nothing within cells */
    }
    x[7 * units + 3] = NAN;
    x[8 * units + 4] = INFINITY;
    nissl_anova a = run(ctx, x, &d, units, NULL);
    int first = effect_of(&a, 1), third = effect_of(&a, 4), none = effect_of(&a, 6);
    assert_int_equal(a.df[third], 0);
    assert_true(isnan(a.f[third]) && isnan(a.omega2[third]) && a.ss[third] == 0);
    assert_int_equal(a.df[none], 0);
    for (int e = 0; e < a.n_effects; e++) {
        assert_true(a.ss[a.n_effects + e] == 0 && isnan(a.f[a.n_effects + e]));
        assert_true(isnan(a.p[a.n_effects + e]) && isnan(a.omega2[a.n_effects + e]));
        assert_true(isnan(a.ss[3 * a.n_effects + e]) && isnan(a.p[3 * a.n_effects + e]));
        assert_true(isnan(a.ss[4 * a.n_effects + e]) && isnan(a.omega2[4 * a.n_effects + e]));
    }
    assert_true(isnan(a.mean[3]) && isnan(a.ss_total[4]));
    assert_true(a.ss_error[2] == 0 && a.p[2 * a.n_effects + first] == 0);
    assert_true(isinf(a.f[2 * a.n_effects + first]));
    assert_true(a.partial_omega2[2 * a.n_effects + first] == 1);
    /* Some of it is the other factor's as well, and type II sums count that for neither. */
    check_close(a.omega2[2 * a.n_effects + first], a.ss[2 * a.n_effects + first] / a.ss_total[2],
                1e-12);
    assert_true(a.omega2[2 * a.n_effects + first] > 0.9);
    check_close(a.mean[1], 0.1f, 0);
    nissl_anova_free(&a);
    /* One sample per cell: nothing is left for the error. */
    d = drawn_design(6, 12, 3, 2, 2);
    a = run(ctx, x, &d, 1, NULL);
    assert_int_equal(a.df_error, 0);
    assert_true(a.ss[0] > 0 && isnan(a.f[0]) && isnan(a.p[0]) && isnan(a.omega2[0]));
    check_close(a.ss_error[0], 0, 1e-12);
    nissl_anova_free(&a);
    nissl_anova_options main_only = {.max_order = 1};
    a = run(ctx, x, &d, 1, &main_only);
    assert_int_equal(a.df_error, 12 - 5);
    assert_true(isfinite(a.p[0]));
    nissl_anova_free(&a);
    nissl_context_free(ctx);
    nissl__free(x);
}

static void mistakes_are_told(void **state)
{
    enum { n = 30 };
    design d = drawn_design(7, n, 3, 2, 2);
    float *x = noise(7, n, 2);
    int64_t shape[] = {n, 2}, flat[] = {n};
    nissl_context *ctx = context_of(2);
    nissl_anova a = {0};
    nissl_error err = {0};
    nissl_view view = nissl_view_of(x, NISSL_FLOAT32, 2, shape), wrong = view;
    for (int k = 0; k < 3; k++)
        d.levels[k] = d.level[k];
#define REFUSED(v, factors, opt, code)                                                             \
    assert_int_equal(nissl_anova_compute(ctx, v, d.levels, d.n_levels, factors, opt, &a, &err),    \
                     code)
    wrong = nissl_view_of(x, NISSL_FLOAT32, 1, flat);
    REFUSED(&wrong, 3, NULL, NISSL_ERR_SHAPE);
    wrong = view;
    wrong.shape[1] = 0;
    REFUSED(&wrong, 3, NULL, NISSL_ERR_SHAPE);
    wrong = view;
    wrong.type = NISSL_INT32;
    REFUSED(&wrong, 3, NULL, NISSL_ERR_TYPE);
    REFUSED(&view, 0, NULL, NISSL_ERR_RANGE);
    REFUSED(&view, 9, NULL, NISSL_ERR_RANGE);
    d.level[1][4] = 2;
    REFUSED(&view, 3, NULL, NISSL_ERR_RANGE);
    assert_string_equal(err.message, "level 2 of factor 1 at sample 4 is outside -1 .. 1");
    d.level[1][4] = 1;
    nissl_anova_options negative = {.max_order = -1};
    REFUSED(&view, 3, &negative, NISSL_ERR_ARGUMENT);
    int n_failures = 0;
    for (uint64_t k = 1; k < 80; k++) {
        nissl__alloc_fail_at(k);
        nissl_status status =
            nissl_anova_compute(ctx, &view, d.levels, d.n_levels, 3, NULL, &a, &err);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        n_failures += status != NISSL_OK;
        nissl_anova_free(&a);
    }
    nissl__alloc_fail_at(0);
    assert_true(n_failures > 30);
    for (int i = 0; i < n; i++) /* a cell without samples */
        if (d.level[0][i] == 1 && d.level[1][i] == 1 && d.level[2][i] == 1)
            d.level[2][i] = -1;
    nissl_anova_options three = {.sums = NISSL_ANOVA_TYPE_III};
    REFUSED(&view, 3, &three, NISSL_ERR_SHAPE);
    assert_non_null(strstr(err.message, "12 columns, the 11 cells"));
    for (int i = 0; i < n; i++)
        d.level[0][i] = -1;
    REFUSED(&view, 3, NULL, NISSL_ERR_SHAPE);
#undef REFUSED
    assert_null(a.ss);
    nissl_context_free(ctx);
    nissl__free(x);
    /* Too wide a model. */
    enum { wide = 2400 };
    static int32_t p[wide], q[wide];
    const int32_t *const levels[] = {p, q};
    const int n_levels[] = {40, 30};
    for (int i = 0; i < wide; i++) {
        p[i] = i % 40;
        q[i] = i / 40 % 30;
    }
    ctx = context_of(1);
    x = noise(8, wide, 1);
    int64_t long_shape[] = {wide, 1};
    view = nissl_view_of(x, NISSL_FLOAT32, 2, long_shape);
    assert_int_equal(nissl_anova_compute(ctx, &view, levels, n_levels, 2, NULL, &a, &err),
                     NISSL_ERR_LIMIT);
    nissl_anova_options main_only = {.max_order = 1};
    check_ok(nissl_anova_compute(ctx, &view, levels, n_levels, 2, &main_only, &a, &err), err);
    assert_int_equal(a.df_error, wide - 1 - 39 - 29);
    nissl_anova_free(&a);
    nissl_context_free(ctx);
    nissl__free(x);
}

/* ---- planted truth ---- */

/* A factor that explains a known share of the variance: omega squared finds it without bias at any
 * noise and number of samples, which eta squared (ss / total) does not. */
static void planted_shares_are_recovered(void **state)
{
    enum { units = 600 };
    static const double shares[] = {0, 0.1, 0.3, 0.6};
    static const int per_cell[] = {3, 12};
    nissl_context *ctx = context_of(2);
    for (int s = 0; s < 4; s++)
        for (int m = 0; m < 2; m++) {
            int n = 12 * per_cell[m];
            design d = {.n = n, .n_factors = 3, .n_levels = {2, 3, 2}};
            float *x = noise((uint64_t)(10 + s), n, units);
            for (int i = 0; i < n; i++) {
                d.level[0][i] = i % 2;
                d.level[1][i] = i / 2 % 3;
                d.level[2][i] = i / 6 % 2;
                double signal = (d.level[1][i] - 1) * sqrt(1.5 * shares[s] / (1 - shares[s]));
                for (int u = 0; u < units; u++)
                    x[i * units + u] += (float)signal;
            }
            nissl_anova a = run(ctx, x, &d, units, NULL);
            int b = effect_of(&a, 2), other = effect_of(&a, 1);
            double omega2 = 0, eta2 = 0, rest = 0;
            for (int u = 0; u < units; u++) {
                omega2 += a.omega2[u * a.n_effects + b] / units;
                eta2 += a.ss[u * a.n_effects + b] / a.ss_total[u] / units;
                rest += a.omega2[u * a.n_effects + other] / units;
            }
            check_close(omega2, shares[s], 0.012);
            check_close(rest, 0, 0.006);
            if (m == 0 && shares[s] < 0.5)
                assert_true(eta2 > shares[s] + 0.015);
            nissl_anova_free(&a);
            nissl__free(x);
        }
    nissl_context_free(ctx);
}

/* ---- calibration ---- */

/* Untuned units in unbalanced designs: every test of every effect rejects 4 to 6 % at 5 %, with
 * normal noise and with the skewed one of a rectified unit; its p-values are uniform. */
static void null_p_values_are_uniform(void **state)
{
    enum { units = 9000, n = 120 };
    nissl_context *ctx = context_of(2);
    design d = drawn_design(20, n, 2, 3, 2);
    for (int kind = 0; kind < 2; kind++)
        for (int sums = 0; sums < 2; sums++) {
            nissl_anova_options opt = {.sums = (nissl_anova_sums)sums};
            float *x = noise((uint64_t)(30 + kind), n, units);
            for (int64_t i = 0; i < n * units && kind; i++)
                x[i] = x[i] < 0 ? 0 : x[i];
            nissl_anova a = run(ctx, x, &d, units, &opt);
            for (int e = 0; e < a.n_effects; e++) {
                int rejected = 0, bins[10] = {0};
                double chi2 = 0;
                for (int u = 0; u < units; u++) {
                    double p = a.p[u * a.n_effects + e];
                    rejected += p < 0.05;
                    bins[p >= 1 ? 9 : (int)(10 * p)]++;
                }
                for (int k = 0; k < 10; k++)
                    chi2 += pow(bins[k] - units / 10.0, 2) / (units / 10.0);
                assert_true(rejected >= 0.04 * units && rejected <= 0.06 * units);
                if (kind == 0)
                    assert_true(chi2 < 40); /* 9 degrees of freedom, p = 1e-5 */
            }
            nissl_anova_free(&a);
            nissl__free(x);
        }
    nissl_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f_distribution_to_twelve_digits),
        cmocka_unit_test(reference_file_of_two_factors),
        cmocka_unit_test(oracle_of_unbalanced_designs),
        cmocka_unit_test(threads_types_and_layouts_do_not_matter),
        cmocka_unit_test(names_and_units_do_not_matter),
        cmocka_unit_test(balanced_sums_add_up),
        cmocka_unit_test(names_of_effects),
        cmocka_unit_test(odd_units_and_designs_are_defined),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(planted_shares_are_recovered),
        cmocka_unit_test(null_p_values_are_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
