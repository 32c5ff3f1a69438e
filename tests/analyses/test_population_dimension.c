#include "nissl/population.h"
#include "reference.h"

#define TOLERANCE 1e-9

static nissl_context *ctx;
static nissl_error err;

/* ---- golden ---- */

static void reference_spectra(void **state)
{
    static const double x_variance[] = {1.469200171297864,  1.17950468410194,
                                        1.1382959905617487, 0.8674532514329455,
                                        0.6866343939948559, 0.49402369357305664};
    static const double y_variance[] = {12.132439300047796, 5.589079023660256, 2.9226347525607133,
                                        0.6471081283054639, 0.2572531053174289};
    matrix x = read_reference("X.csv"), y = read_reference("Y.csv");
    nissl_view views[] = {view_matrix(&x), view_matrix(&y)};
    const double *expected[] = {x_variance, y_variance};
    const double ratio[] = {5.392973254204731, 2.4769922051054536};
    for (int i = 0; i < 2; i++) {
        nissl_pca pca = {0};
        nissl_dimension d = {0};
        check_ok(nissl_pca_compute(ctx, &views[i], 0, &pca, &err), err);
        assert_int_equal(pca.n_components, views[i].shape[1]);
        for (int64_t c = 0; c < pca.n_components; c++)
            relative(pca.variance[c], expected[i][c], TOLERANCE);
        nissl_pca_free(&pca);
        check_ok(nissl_dimension_compute(ctx, &views[i], NULL, &d, &err), err);
        relative(d.participation_ratio, ratio[i], TOLERANCE);
    }
    free(x.a);
    free(y.a);
}

static void reference_two_nn(void **state)
{
    matrix x = read_reference("twonn_500x8.csv");
    nissl_view view = view_matrix(&x);
    nissl_dimension d = {0};
    check_ok(nissl_dimension_compute(ctx, &view, NULL, &d, &err), err);
    relative(d.two_nn, 3.074696901922353, TOLERANCE);
    relative(d.mle, 3.074375861932431, TOLERANCE);
    assert_int_equal(d.n_duplicates, 0);
    free(x.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_spectra),
        cmocka_unit_test(reference_two_nn),
    };
    ctx = context_of(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nissl_context_free(ctx);
    return failed;
}
