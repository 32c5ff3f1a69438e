#include "nissl/population.h"
#include "reference.h"

#define TOLERANCE 1e-9

static nissl_context *ctx;
static nissl_error err;

/* ---- golden ---- */

static void reference_logistic(void **state)
{
    static const double expected[] = {
        1.515583239719074,    1.1579267164911287,  -0.39466997249763297, -1.4090560846135873,
        -0.00638298268265042, 0.24663048850661312, -0.16256103318953932};
    /* solver="newton-cholesky", whose gradient is 1e-15 where that of the above is 7e-7 */
    static const double optimum[] = {
        1.5155842303027238,     1.1579268964098692, -0.39467027430999646, -1.4090555367315767,
        -0.0063850467778481645, 0.2466289854637974, -0.16255786418889348};
    matrix x = read_reference("X.csv"), y = read_reference("Y.csv");
    nissl_view view = view_matrix(&x);
    int32_t label[40];
    double w[7];
    for (int i = 0; i < 40; i++)
        label[i] = y.a[i * y.m] > 0;
    check_ok(nissl_decoder_fit(ctx, &view, label, 2, NISSL_DECODER_LOGISTIC, 1, w, &err), err);
    for (int j = 0; j < 7; j++) {
        check_close(w[j], expected[j], 5e-6); /* where scikit-learn's L-BFGS stopped */
        check_close(w[j], optimum[j], TOLERANCE);
    }
    free(x.a);
    free(y.a);
}

typedef struct data {
    matrix file;
    int32_t label[60], fold[60];
    nissl_view x;
} data;

static data read_data(void)
{
    data d = {.file = read_fixture("decode", "data.csv", true)};
    assert_int_equal(d.file.n, 60);
    for (int i = 0; i < 60; i++) {
        d.label[i] = (int32_t)d.file.a[i * d.file.m];
        d.fold[i] = (int32_t)d.file.a[i * d.file.m + 1];
    }
    d.x = view_of(d.file.a + 2, 60, d.file.m - 2);
    d.x.stride[0] = d.file.m;
    return d;
}

static void weights_of_each_decoder(void **state)
{
    data d = read_data();
    matrix expected = read_fixture("decode", "weights.csv", true);
    int n = 0;
    for (int64_t row = 0; row < expected.n;) {
        const double *e = expected.a + row * expected.m;
        int classes = (int)e[0], rows = classes == 2 ? 1 : 3;
        double x[60 * 8], w[3 * 9];
        int32_t label[60];
        int64_t kept = 0;
        for (int i = 0; i < 60; i++) {
            if (d.label[i] >= classes)
                continue;
            memcpy(x + kept * 8, d.file.a + i * d.file.m + 2, 8 * sizeof *x);
            label[kept++] = d.label[i];
        }
        nissl_view view = view_of(x, kept, 8);
        check_ok(nissl_decoder_fit(ctx, &view, label, classes, (nissl_decoder)e[1], e[2], w, &err),
                 err);
        for (int r = 0; r < rows; r++, row++)
            for (int j = 0; j < 9; j++) {
                double tolerance = (int)e[1] == 3 ? 1e-6 : TOLERANCE; /* liblinear ends there */
                check_close(w[r * 9 + j], expected.a[row * expected.m + 4 + j], tolerance);
                n++;
            }
    }
    assert_int_equal(n, 4 * 2 * 4 * 9);
    free(d.file.a);
    free(expected.a);
}

static void compare_predictions(const char *name, int64_t n_selected)
{
    data d = read_data();
    matrix expected = read_fixture("decode", name, true);
    assert_int_equal(expected.n, 8);
    for (int64_t row = 0; row < expected.n; row++) {
        const double *e = expected.a + row * expected.m;
        nissl_decode_options opt = {.decoder = (nissl_decoder)e[0],
                                    .n_folds = 5,
                                    .fold = d.fold,
                                    .penalty = &e[1],
                                    .n_penalties = 1,
                                    .standardise = true,
                                    .n_selected = n_selected};
        nissl_decoding r = {0};
        int right = 0;
        check_ok(nissl_decode(ctx, &d.x, d.label, 3, &opt, &r, &err), err);
        for (int i = 0; i < 60; i++) {
            assert_int_equal(r.predicted[i], (int)e[2 + i]);
            assert_int_equal(r.fold[i], d.fold[i]);
            right += r.predicted[i] == d.label[i];
        }
        check_close(r.accuracy, right / 60., 1e-15);
        nissl_decoding_free(&r);
    }
    free(d.file.a);
    free(expected.a);
}

static void predictions_of_each_decoder(void **state)
{
    compare_predictions("predicted.csv", 0);
}

static void predictions_from_units_chosen_inside(void **state)
{
    compare_predictions("selected.csv", 3);
}

/* ---- planted ---- */

/* Responses of n samples, classes in turn, of which the first unit separates 0 and 1 by dprime. */
static double *planted(int64_t n, int64_t m, double dprime, uint64_t seed, int32_t *label)
{
    double *x = normals(n * m, seed, 1);
    for (int64_t i = 0; i < n; i++) {
        label[i] = (int32_t)(i % 2);
        x[i * m] += label[i] ? dprime / 2 : -dprime / 2;
    }
    return x;
}

static void accuracy_of_two_gaussians(void **state)
{
    static int32_t label[2000];
    static const double dprimes[] = {0, .5, 1, 2, 4};
    for (size_t d = 0; d < sizeof dprimes / sizeof *dprimes; d++) {
        double *x = planted(2000, 10, dprimes[d], 3 + d, label);
        nissl_view view = view_of(x, 2000, 10);
        double best = .5 * erfc(-dprimes[d] / 2 / sqrt(2));
        for (int kind = 0; kind < 4; kind++) {
            nissl_decode_options opt = nissl_decode_options_default(ctx);
            nissl_decoding r = {0};
            opt.decoder = (nissl_decoder)kind;
            check_ok(nissl_decode(ctx, &view, label, 2, &opt, &r, &err), err);
            assert_true(fabs(r.accuracy - best) < .03); /* 2.7 standard errors at worst */
            nissl_decoding_free(&r);
        }
        free(x);
    }
}

static void units_chosen_inside_decode_noise_at_chance(void **state)
{
    enum { N = 40, M = 500, WORLDS = 20 };
    double inside = 0;
    int32_t label[N];
    for (int w = 0; w < WORLDS; w++) {
        double *x = planted(N, M, 0, 100 + (uint64_t)w, label);
        nissl_view view = view_of(x, N, M);
        nissl_decode_options opt = nissl_decode_options_default(ctx);
        nissl_decoding r = {0};
        double penalty = 1;
        opt.n_selected = 10;
        opt.penalty = &penalty;
        opt.n_penalties = 1;
        check_ok(nissl_decode(ctx, &view, label, 2, &opt, &r, &err), err);
        inside += r.balanced / WORLDS;
        nissl_decoding_free(&r);
        free(x);
    }
    assert_true(fabs(inside - .5) < .06); /* chosen outside, it is about .9 */
}

/* ---- calibration ---- */

static double false_positives(int n_worlds, bool grouped, int n_penalties)
{
    enum { N = 24, M = 4 };
    static const double penalties[] = {1, 100};
    int rejected = 0;
    int32_t label[N];
    int64_t group[N];
    for (int w = 0; w < n_worlds; w++) {
        double *x = normals(N * M, 1000 + (uint64_t)w, 2);
        for (int i = 0; i < N; i++) {
            group[i] = grouped ? i / 2 : i;
            label[i] = (int32_t)(group[i] % 2);
            for (int j = 0; grouped && i % 2 && j < M; j++) /* copies, nearly */
                x[i * M + j] = x[(i - 1) * M + j] + .1 * x[i * M + j];
        }
        nissl_view view = view_of(x, N, M);
        nissl_decode_options opt = {.decoder = NISSL_DECODER_RIDGE,
                                    .n_folds = 4,
                                    .group = group,
                                    .penalty = penalties,
                                    .n_penalties = n_penalties,
                                    .n_permutations = 19,
                                    .seed = (uint64_t)w};
        nissl_decoding r = {0};
        check_ok(nissl_decode(ctx, &view, label, 2, &opt, &r, &err), err);
        rejected += r.p <= .05;
        nissl_decoding_free(&r);
        free(x);
    }
    return (double)rejected / n_worlds;
}

static void permutations_reject_five_percent(void **state)
{
    double rate = false_positives(7300, false, 1);
    print_message("false positives: %.4f\n", rate);
    assert_true(rate > .04 && rate < .06);
    rate = false_positives(2000, false, 2);
    print_message("with a choice of penalty: %.4f\n", rate);
    assert_true(rate > .035 && rate < .065);
    rate = false_positives(2000, true, 1);
    print_message("copies in groups: %.4f\n", rate);
    assert_true(rate > .035 && rate < .065);
}

/* ---- properties ---- */

static void same_bits_for_any_number_of_threads(void **state)
{
    int32_t label[50];
    double *x = planted(50, 80, 1, 9, label);
    nissl_view view = view_of(x, 50, 80);
    nissl_decoding r[2] = {{0}};
    for (int t = 0; t < 2; t++) {
        nissl_context *other = context_of(1 + 3 * t);
        nissl_decode_options opt = nissl_decode_options_default(other);
        opt.n_permutations = 13;
        check_ok(nissl_decode(other, &view, label, 2, &opt, &r[t], &err), err);
        nissl_context_free(other);
    }
    assert_memory_equal(r[0].null, r[1].null, 13 * sizeof(double));
    assert_memory_equal(r[0].predicted, r[1].predicted, sizeof label);
    assert_memory_equal(r[0].fold_penalty, r[1].fold_penalty, 5 * sizeof(double));
    assert_true(r[0].p == r[1].p && r[0].balanced == r[1].balanced);
    nissl_decoding_free(&r[0]);
    nissl_decoding_free(&r[1]);
    free(x);
}

static void units_may_be_permuted_scaled_and_float32(void **state)
{
    enum { N = 60, M = 30 };
    int32_t label[N];
    double *x = planted(N, M, 1, 4, label), y[N * M];
    static float z[N * M];
    int64_t shape[] = {N, M};
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++) {
            y[i * M + (M - 1 - j)] = (j % 2 ? 8 : -.25) * x[i * M + j] + j;
            z[i * M + j] = (float)x[i * M + j];
        }
    nissl_view views[] = {view_of(x, N, M), view_of(y, N, M),
                          nissl_view_of(z, NISSL_FLOAT32, 2, shape)};
    nissl_decoding r[3] = {{0}};
    for (int v = 0; v < 3; v++)
        check_ok(nissl_decode(ctx, &views[v], label, 2, NULL, &r[v], &err), err);
    for (int v = 1; v < 3; v++) {
        assert_memory_equal(r[0].predicted, r[v].predicted, sizeof label);
        for (int f = 0; f < 5; f++)
            check_close(r[v].fold_penalty[f], r[0].fold_penalty[f], 1e-5);
    }
    for (int v = 0; v < 3; v++)
        nissl_decoding_free(&r[v]);
    free(x);
}

static void folds_keep_groups_and_classes(void **state)
{
    enum { N = 90 };
    int32_t label[N];
    int64_t group[N];
    double *x = normals(N * 2, 8, 1);
    int count[2][5] = {{0}};
    for (int i = 0; i < N; i++) {
        group[i] = (i * 7) % 30 - 1000;
        label[i] = group[i] % 3 == 0;
    }
    nissl_view view = view_of(x, N, 2);
    nissl_decode_options opt = nissl_decode_options_default(ctx);
    nissl_decoding r = {0};
    opt.group = group;
    check_ok(nissl_decode(ctx, &view, label, 2, &opt, &r, &err), err);
    for (int i = 0; i < N; i++) {
        count[label[i]][r.fold[i]]++;
        for (int j = 0; j < i; j++)
            assert_true(group[i] != group[j] || r.fold[i] == r.fold[j]);
    }
    for (int f = 0; f < 5; f++) { /* 10 groups of 3 samples in class 1, 20 in class 0 */
        assert_int_equal(count[1][f], 6);
        assert_int_equal(count[0][f], 12);
    }
    nissl_decoding_free(&r);
    free(x);
}

/* ---- what cannot be ---- */

static void refuses(nissl_status expected, const char *text, const nissl_view *x,
                    const int32_t *label, int64_t n_classes, const nissl_decode_options *opt)
{
    nissl_decoding r = {0};
    assert_int_equal(nissl_decode(ctx, x, label, n_classes, opt, &r, &err), expected);
    if (!strstr(err.message, text)) {
        print_error("'%s' lacks '%s'\n", err.message, text);
        fail();
    }
    assert_null(r.predicted);
}

static void impossible_requests(void **state)
{
    double x[8 * 2] = {0};
    int32_t label[8] = {0, 0, 0, 0, 1, 1, 1, 1}, one[8] = {0}, lonely[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    int32_t fold[8] = {0, 0, 0, 0, 1, 1, 1, 1};
    int64_t group[8] = {1, 2, 3, 4, 4, 5, 6, 7};
    double penalty[] = {2, 1};
    nissl_view view = view_of(x, 8, 2);
    nissl_decode_options opt = nissl_decode_options_default(ctx), o;
    opt.n_folds = 3;
    refuses(NISSL_ERR_SHAPE, "1 of 5 classes", &view, one, 5, &opt);
    refuses(NISSL_ERR_SHAPE, "class 1 has 1 samples", &view, lonely, 2, &opt);
    refuses(NISSL_ERR_RANGE, "label 1 of sample 4 is outside -1 .. 0", &view, label, 1, &opt);
    o = opt;
    o.fold = fold;
    refuses(NISSL_ERR_SHAPE, "none is left", &view, label, 2, &o);
    o = opt;
    o.group = group;
    refuses(NISSL_ERR_ARGUMENT, "sample 4 has label 1, others of its group 0", &view, label, 2, &o);
    o = opt;
    o.penalty = penalty;
    o.n_penalties = 2;
    refuses(NISSL_ERR_RANGE, "penalty 1 is 1", &view, label, 2, &o);
    o = opt;
    o.n_folds = 9;
    refuses(NISSL_ERR_RANGE, "9 folds are outside 3 .. 8", &view, label, 2, &o);
    o = opt;
    o.n_selected = 3;
    refuses(NISSL_ERR_RANGE, "n_selected = 3 is outside 0 .. 2", &view, label, 2, &o);
    x[11] = (double)NAN;
    refuses(NISSL_ERR_NONFINITE, "sample 5 of unit 1", &view, label, 2, &opt);
}

static void silent_units_decode_at_chance(void **state)
{
    double x[20 * 3];
    int32_t label[20];
    for (int i = 0; i < 20; i++) {
        label[i] = i % 2 ? 5 : 2; /* classes 0, 1, 3 and 4 are empty */
        for (int j = 0; j < 3; j++)
            x[i * 3 + j] = 1e6 / 3;
    }
    nissl_view view = view_of(x, 20, 3);
    for (int kind = 0; kind < 4; kind++) {
        nissl_decode_options opt = nissl_decode_options_default(ctx);
        nissl_decoding r = {0};
        opt.decoder = (nissl_decoder)kind;
        opt.n_permutations = 9;
        check_ok(nissl_decode(ctx, &view, label, 6, &opt, &r, &err), err);
        check_close(r.balanced, .5, 1e-12);
        check_close(r.p, 1, 1e-12); /* nothing distinguishes the labels from any others */
        nissl_decoding_free(&r);
    }
}

static void every_failing_allocation_is_reported(void **state)
{
    int32_t label[20];
    double *x = planted(20, 5, 1, 2, label);
    nissl_view view = view_of(x, 20, 5);
    nissl_context *alone = context_of(1);
    nissl_decode_options opt = {.n_folds = 3, .n_permutations = 2, .n_selected = 2};
    for (uint64_t n = 1;; n++) {
        nissl_decoding r = {0};
        nissl__alloc_fail_at(n);
        nissl_status status = nissl_decode(alone, &view, label, 2, &opt, &r, &err);
        nissl__alloc_fail_at(0);
        nissl_decoding_free(&r);
        if (status == NISSL_OK) {
            assert_true(n > 30);
            break;
        }
        assert_int_equal(status, NISSL_ERR_MEMORY);
    }
    nissl_context_free(alone);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_logistic),
        cmocka_unit_test(weights_of_each_decoder),
        cmocka_unit_test(predictions_of_each_decoder),
        cmocka_unit_test(predictions_from_units_chosen_inside),
        cmocka_unit_test(accuracy_of_two_gaussians),
        cmocka_unit_test(units_chosen_inside_decode_noise_at_chance),
        cmocka_unit_test(permutations_reject_five_percent),
        cmocka_unit_test(same_bits_for_any_number_of_threads),
        cmocka_unit_test(units_may_be_permuted_scaled_and_float32),
        cmocka_unit_test(folds_keep_groups_and_classes),
        cmocka_unit_test(impossible_requests),
        cmocka_unit_test(silent_units_decode_at_chance),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    ctx = context_of(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nissl_context_free(ctx);
    return failed;
}
