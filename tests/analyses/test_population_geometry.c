#include "nissl/population.h"
#include "reference.h"

static nissl_context *ctx;
static nissl_error err;

enum { TRIALS = 40 };

/* Eight conditions of 40 trials about given means [8, m], with noise. */
static double *trials(const double *mean, int64_t m, double noise, uint64_t seed,
                      int32_t *condition)
{
    double *x = normals(8 * TRIALS * m, seed, 7);
    for (int i = 0; i < 8 * TRIALS; i++) {
        condition[i] = i % 8;
        for (int64_t j = 0; j < m; j++)
            x[i * m + j] = noise * x[i * m + j] + mean[(i % 8) * m + j];
    }
    return x;
}

static void cube_means(double mean[24])
{
    for (int c = 0; c < 8; c++)
        for (int j = 0; j < 3; j++)
            mean[c * 3 + j] = c >> j & 1 ? 1 : -1;
}

static const uint64_t axes[] = {0xaa, 0xcc, 0xf0}; /* conditions with bit 0, 1, 2 */

/* ---- exact ---- */

static void seven_of_thirty_five_dichotomies_of_the_cube(void **state)
{
    double mean[24];
    int32_t condition[8 * TRIALS];
    nissl_geometry g = {0};
    cube_means(mean);
    double *x = trials(mean, 3, 0, 1, condition);
    nissl_view view = view_of(x, 8 * TRIALS, 3);
    int separable = 0;
    check_ok(nissl_geometry_compute(ctx, &view, condition, 8, NULL, &g, &err), err);
    assert_int_equal(g.n_dichotomies, 35);
    check_close(g.separable, 7. / 35, 1e-12);
    for (int d = 0; d < 35; d++) {
        bool axis = false;
        for (int k = 0; k < 3; k++)
            axis |= g.dichotomy[d] == axes[k] || g.dichotomy[d] == (0xff & ~axes[k]);
        if (axis) { /* faces at distance 2, parallel edges */
            check_close(g.margin[d], 1, 1e-9);
            check_close(g.parallelism[d], 1, 1e-12);
            check_close(g.ccgp[d], 1, 1e-12);
        }
        if (g.margin[d] > 1e-6) {
            separable++;
            check_close(g.accuracy[d], 1, 1e-12);
            /* a vertex and its neighbours against the opposite four: 1 / sqrt 3 */
            assert_true(axis || fabs(g.margin[d] - 1 / sqrt(3)) < 1e-9);
        } else {
            assert_true(g.accuracy[d] < 1);
        }
    }
    assert_int_equal(separable, 7);
    nissl_geometry_free(&g);
    free(x);
}

/* ---- planted: the contrast of Bernardi et al. 2020 ---- */

static void a_cube_generalises_and_random_points_shatter(void **state)
{
    double mean[24];
    int32_t condition[8 * TRIALS];
    nissl_geometry g = {0};
    nissl_geometry_options opt = nissl_geometry_options_default(ctx);
    opt.penalty = 1;
    cube_means(mean);
    double *x = trials(mean, 3, .2, 2, condition);
    nissl_view view = view_of(x, 8 * TRIALS, 3);
    check_ok(nissl_geometry_compute(ctx, &view, condition, 8, &opt, &g, &err), err);
    int perfect = 0;
    for (int d = 0; d < 35; d++)
        perfect += g.accuracy[d] > .99;
    assert_int_equal(perfect, 7);
    /* the reference has .77205 with noise of its own and scikit-learn's LinearSVC */
    assert_true(fabs(g.shattering - .772) < .01);
    nissl_geometry_free(&g);
    opt.dichotomy = axes;
    opt.n_dichotomies = 3;
    opt.n_null = 19;
    opt.n_permutations = 19;
    check_ok(nissl_geometry_compute(ctx, &view, condition, 8, &opt, &g, &err), err);
    for (int d = 0; d < 3; d++) {
        assert_true(g.ccgp[d] == 1);
        assert_true(g.parallelism[d] > .99);
        check_close(g.accuracy_p[d], .05, 1e-12);
    }
    nissl_geometry_free(&g);
    free(x);

    double *points = normals(8 * 20, 11, 1);
    x = trials(points, 20, .2, 3, condition);
    view = view_of(x, 8 * TRIALS, 20);
    opt.dichotomy = NULL;
    opt.n_null = opt.n_permutations = 0;
    check_ok(nissl_geometry_compute(ctx, &view, condition, 8, &opt, &g, &err), err);
    double ccgp = 0;
    for (int d = 0; d < 35; d++)
        ccgp += g.ccgp[d] / 35;
    assert_true(g.shattering > .999);
    check_close(g.separable, 1, 1e-12);
    assert_true(ccgp < .75);
    nissl_geometry_free(&g);
    free(points);
    free(x);
}

/* ---- calibration ---- */

/* Clouds whose units are exchangeable within a condition are random geometries themselves. */
static void random_geometries_are_rejected_at_their_rate(void **state)
{
    enum { WORLDS = 400, M = 6, PER = 4 };
    static const uint64_t side = 3;
    int ccgp = 0, parallelism = 0;
    for (int w = 0; w < WORLDS; w++) {
        int32_t condition[4 * PER];
        double *x = normals(4 * PER * M, 500 + (uint64_t)w, 3);
        double *mean = normals(4 * M, 500 + (uint64_t)w, 4);
        for (int i = 0; i < 4 * PER; i++) {
            condition[i] = i % 4;
            for (int j = 0; j < M; j++)
                x[i * M + j] = .3 * x[i * M + j] + mean[(i % 4) * M + j];
        }
        nissl_view view = view_of(x, 4 * PER, M);
        nissl_geometry_options opt = {.decoder = NISSL_DECODER_SVM,
                                      .n_folds = 2,
                                      .dichotomy = &side,
                                      .n_dichotomies = 1,
                                      .max_dichotomies = 1,
                                      .n_null = 19,
                                      .seed = (uint64_t)w};
        nissl_geometry g = {0};
        check_ok(nissl_geometry_compute(ctx, &view, condition, 4, &opt, &g, &err), err);
        ccgp += g.ccgp_p[0] <= .05;
        parallelism += g.parallelism_p[0] <= .05;
        nissl_geometry_free(&g);
        free(x);
        free(mean);
    }
    print_message("false positives of %d: generalisation %d, parallelism %d\n", WORLDS, ccgp,
                  parallelism);
    /* 5 % is 20, standard error 4.4; accuracies are discrete, so that fewer are rejected */
    assert_true(parallelism > 7 && parallelism < 34);
    assert_true(ccgp < 34);
}

/* ---- properties ---- */

static void rotation_and_scale_change_nothing(void **state)
{
    enum { N = 8 * TRIALS };
    double mean[24], turned[N * 3];
    int32_t condition[N];
    nissl_geometry g[2] = {{0}};
    cube_means(mean);
    double *x = trials(mean, 3, .5, 5, condition);
    double c = cos(.7), s = sin(.7);
    for (int i = 0; i < N; i++) {
        turned[i * 3] = 7 * (c * x[i * 3] - s * x[i * 3 + 1]) + 5;
        turned[i * 3 + 1] = 7 * (s * x[i * 3] + c * x[i * 3 + 1]);
        turned[i * 3 + 2] = 7 * x[i * 3 + 2] - 9;
    }
    nissl_view views[] = {view_of(x, N, 3), view_of(turned, N, 3)};
    for (int v = 0; v < 2; v++)
        check_ok(nissl_geometry_compute(ctx, &views[v], condition, 8, NULL, &g[v], &err), err);
    for (int d = 0; d < 35; d++) {
        check_close(g[1].parallelism[d], g[0].parallelism[d], 1e-10);
        check_close(g[1].margin[d], 7 * g[0].margin[d], 1e-6);
        check_close(g[1].accuracy[d], g[0].accuracy[d], .004); /* a sample on the border */
        check_close(g[1].ccgp[d], g[0].ccgp[d], .004);
    }
    nissl_geometry_free(&g[0]);
    nissl_geometry_free(&g[1]);
    free(x);
}

static void same_bits_for_any_number_of_threads(void **state)
{
    int32_t condition[48];
    double *x = normals(48 * 7, 4, 4);
    nissl_geometry g[2] = {{0}};
    for (int i = 0; i < 48; i++)
        condition[i] = i % 6;
    nissl_view view = view_of(x, 48, 7);
    for (int t = 0; t < 2; t++) {
        nissl_context *other = context_of(1 + 2 * t);
        nissl_geometry_options opt = nissl_geometry_options_default(other);
        opt.n_null = opt.n_permutations = 5;
        check_ok(nissl_geometry_compute(other, &view, condition, 6, &opt, &g[t], &err), err);
        nissl_context_free(other);
    }
    assert_int_equal(g[0].n_dichotomies, 10);
    assert_memory_equal(g[0].accuracy, g[1].accuracy, 10 * sizeof(double));
    assert_memory_equal(g[0].ccgp, g[1].ccgp, 10 * sizeof(double));
    assert_memory_equal(g[0].ccgp_null, g[1].ccgp_null, 10 * sizeof(double));
    assert_memory_equal(g[0].parallelism, g[1].parallelism, 10 * sizeof(double));
    nissl_geometry_free(&g[0]);
    nissl_geometry_free(&g[1]);
    free(x);
}

/* ---- edges ---- */

static void odd_empty_and_lonely_conditions(void **state)
{
    int32_t condition[30];
    double *x = normals(30 * 4, 6, 6);
    nissl_geometry g = {0};
    for (int i = 0; i < 30; i++) { /* 0, 2, 3, 5, 6 have samples */
        static const int32_t which[] = {0, 2, 3, 5, 6};
        condition[i] = which[i % 5];
    }
    nissl_view view = view_of(x, 30, 4);
    check_ok(nissl_geometry_compute(ctx, &view, condition, 7, NULL, &g, &err), err);
    assert_int_equal(g.n_dichotomies, 10); /* two of five */
    for (int d = 0; d < 10; d++) {
        assert_true(isnan(g.parallelism[d])); /* sides of 2 and 3 */
        assert_true(g.ccgp[d] >= 0 && g.ccgp[d] <= 1);
        assert_true(isnan(g.ccgp_p[d]) && isnan(g.accuracy_p[d]));
    }
    nissl_geometry_free(&g);
    condition[0] = 1; /* a condition of one sample */
    assert_int_equal(nissl_geometry_compute(ctx, &view, condition, 7, NULL, &g, &err),
                     NISSL_ERR_SHAPE);
    assert_non_null(strstr(err.message, "condition 1 has 1 sample"));
    condition[0] = 7;
    assert_int_equal(nissl_geometry_compute(ctx, &view, condition, 7, NULL, &g, &err),
                     NISSL_ERR_RANGE);
    assert_non_null(strstr(err.message, "condition 7 of sample 0"));
    for (int i = 0; i < 120; i++) /* silence */
        x[i] = 3;
    condition[0] = 0;
    check_ok(nissl_geometry_compute(ctx, &view, condition, 7, NULL, &g, &err), err);
    check_close(g.separable, 0, 0);
    nissl_geometry_free(&g);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seven_of_thirty_five_dichotomies_of_the_cube),
        cmocka_unit_test(a_cube_generalises_and_random_points_shatter),
        cmocka_unit_test(random_geometries_are_rejected_at_their_rate),
        cmocka_unit_test(rotation_and_scale_change_nothing),
        cmocka_unit_test(same_bits_for_any_number_of_threads),
        cmocka_unit_test(odd_empty_and_lonely_conditions),
    };
    ctx = context_of(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nissl_context_free(ctx);
    return failed;
}
