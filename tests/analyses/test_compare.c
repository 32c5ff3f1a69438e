#include "nissl/compare.h"
#include "reference.h"

#define TOLERANCE 1e-9

static nissl_context *ctx;
static nissl_error err;

static double cka_of(const nissl_view *x, const nissl_view *y, nissl_cka_options opt)
{
    double value = NAN;
    check_ok(nissl_cka(ctx, x, y, &opt, &value, &err), err);
    return value;
}

static double shape_of(const nissl_view *x, const nissl_view *y, double alpha, bool euclidean)
{
    nissl_shape_options opt = {.alpha = alpha, .euclidean = euclidean};
    double value = NAN;
    check_ok(nissl_shape_distance(ctx, x, y, &opt, &value, &err), err);
    return value;
}

/* ---- golden ---- */

static void reference_cka(void **state)
{
    matrix x = read_reference("X.csv"), y = read_reference("Y.csv");
    nissl_view vx = view_matrix(&x), vy = view_matrix(&y);
    relative(cka_of(&vx, &vy, (nissl_cka_options){.width = 1, .biased = true}), 0.6055171706319556,
             TOLERANCE);
    relative(cka_of(&vx, &vy, nissl_cka_options_default()), 0.572045841258386, TOLERANCE);
    relative(cka_of(&vx, &vy,
                    (nissl_cka_options){.kernel = NISSL_KERNEL_RBF, .width = 1, .biased = true}),
             0.6244007486528259, TOLERANCE);
    relative(acos(cka_of(&vx, &vy, (nissl_cka_options){.width = 1, .biased = true})),
             0.9203807710960965, TOLERANCE); /* netrep's LinearCKA is this angle */
    free(x.a);
    free(y.a);
}

static void reference_cca(void **state)
{
    static const double rho[] = {0.9894403821441269, 0.9768194987893634, 0.9688067137072417,
                                 0.890154595566581, 0.411418188614086};
    matrix x = read_reference("X.csv"), y = read_reference("Y.csv");
    nissl_view vx = view_matrix(&x), vy = view_matrix(&y);
    nissl_cca cca = {0};
    nissl_cca_options opt = {.keep = .9};
    double pwcca;
    check_ok(nissl_cca_compute(ctx, &vx, &vy, NULL, &cca, &err), err);
    assert_int_equal(cca.n, 5);
    for (int i = 0; i < 5; i++)
        relative(cca.correlation[i], rho[i], TOLERANCE);
    relative(cca.mean, 0.8473278757642799, TOLERANCE);
    relative(cca.r2, 0.7666790362975286, TOLERANCE);
    nissl_cca_free(&cca);
    check_ok(nissl_cca_compute(ctx, &vx, &vy, &opt, &cca, &err), err);
    assert_int_equal(cca.rank_x, 6);
    assert_int_equal(cca.rank_y, 4);
    relative(cca.mean, 0.954642708342844, TOLERANCE);
    nissl_cca_free(&cca);
    check_ok(nissl_pwcca_of_svcca(ctx, &vy, &vx, &pwcca, &err), err);
    relative(pwcca, 0.9132166456748507, TOLERANCE);
    free(x.a);
    free(y.a);
}

static void reference_shape(void **state)
{
    matrix x = read_reference("X.csv"), y = read_reference("Y.csv");
    nissl_view vx = view_matrix(&x), vy = view_matrix(&y);
    vx.shape[1] = 5; /* the first five units */
    relative(shape_of(&vx, &vy, 1, false), 0.8508046493933609, TOLERANCE);
    relative(shape_of(&vx, &vy, 0, false), 0.768242954402356, TOLERANCE);
    relative(shape_of(&vx, &vy, 1, true), 22.46365153836054, TOLERANCE);
    free(x.a);
    free(y.a);
}

static void reference_prediction(void **state)
{
    static const double ridge[] = {1.1697300213536503, 1.1396738913086344, 0.09883460192218237,
                                   -1.023246101796666, -0.253581798141493, 0.418415021130958};
    static const double pls[] = {0.9709853097903831, 0.8254931143188696, 0.9071055871999276,
                                 0.9426921924708167, 0.9413585574028801};
    matrix x = read_reference("X.csv"), y = read_reference("Y.csv");
    nissl_view vx = view_matrix(&x), vy = view_matrix(&y);
    nissl_predict_options opt = {.predictor = NISSL_PREDICTOR_PLS, .n_components = 3};
    nissl_prediction r = {0};
    double w[5 * 7];
    check_ok(nissl_ridge_fit(ctx, &vx, &vy, 1, w, &err), err);
    for (int j = 0; j < 6; j++)
        relative(w[j], ridge[j], TOLERANCE);
    check_ok(nissl_predict(ctx, &vx, &vy, &opt, &r, &err), err);
    for (int t = 0; t < 5; t++)
        relative(r.r[t], pls[t], TOLERANCE);
    nissl_prediction_free(&r);
    free(x.a);
    free(y.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_cka),
        cmocka_unit_test(reference_cca),
        cmocka_unit_test(reference_shape),
        cmocka_unit_test(reference_prediction),
    };
    ctx = context_of(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nissl_context_free(ctx);
    return failed;
}
