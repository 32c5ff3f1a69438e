#include "nissl/population.h"
#include "reference.h"

#define TOLERANCE 1e-9

static nissl_context *ctx;
static nissl_error err;

/* ---- golden ---- */

static void reference_dpca(void **state)
{
    static const double variance[] = {0.32461720523191184, 0.6647929204250244, 0.01058987434306392};
    static const double explained[][2] = {{0.3245835258036531, 1.0092735852910615e-05},
                                          {0.6644818072707925, 9.08728951554321e-05},
                                          {0.009632374571692269, 0.00025981083067649967}};
    static const double decoder[] = {0.11224750708602624, 0.6818440646082509, 0.5090490280383998,
                                     0.17977091306316004};
    static const double encoder[] = {0.5705132273248755, 0.13805886039418935, 0.22345781561492406,
                                     0.16776072518441107};
    matrix t = read_reference("dpca_10x3x8.csv"); /* units are rows */
    nissl_view x = view_of(t.a, 24, 10);
    int32_t stimulus[24], time[24];
    const int32_t *const level[] = {stimulus, time};
    const int n_levels[] = {3, 8};
    nissl_dpca_options opt = {.n_components = 2};
    nissl_dpca r = {0};
    x.stride[0] = 1;
    x.stride[1] = 24;
    for (int i = 0; i < 24; i++) {
        stimulus[i] = i / 8;
        time[i] = i % 8;
    }
    check_ok(nissl_dpca_compute(ctx, &x, level, n_levels, 2, &opt, &r, &err), err);
    assert_int_equal(r.n_parts, 3);
    for (int p = 0; p < 3; p++) {
        assert_int_equal(r.parts[p].factors, p + 1);
        assert_int_equal(r.parts[p].n_components, 2);
        relative(r.parts[p].variance, variance[p], TOLERANCE);
        for (int k = 0; k < 2; k++)
            check_close(r.parts[p].explained[k], explained[p][k], 1e-12);
    }
    for (int j = 0; j < 4; j++) {
        relative(fabs(r.parts[0].decoder[j]), decoder[j], TOLERANCE);
        relative(fabs(r.parts[0].encoder[j]), encoder[j], TOLERANCE);
    }
    nissl_dpca_free(&r);
    free(t.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_dpca),
    };
    ctx = context_of(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nissl_context_free(ctx);
    return failed;
}
