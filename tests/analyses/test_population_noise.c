#include "nissl/population.h"
#include "reference.h"

#define TOLERANCE 1e-9

static nissl_context *ctx;
static nissl_error err;

/* ---- golden ---- */

static void reference_noise(void **state)
{
    matrix t = read_reference("noisecorr_cond_a_b.csv");
    nissl_view x = view_of(t.a + 1, t.n, 2);
    int32_t condition[1000];
    nissl_noise_correlation r = {0};
    nissl_fisher fisher = {0};
    int most = 0;
    x.stride[0] = t.m;
    for (int64_t i = 0; i < t.n; i++) {
        condition[i] = (int32_t)t.a[i * t.m];
        most = condition[i] > most ? condition[i] : most;
    }
    check_ok(nissl_noise_correlation_compute(ctx, &x, condition, most + 1, true, &r, &err), err);
    relative(r.signal[1], 0.99274258356841, TOLERANCE);
    relative(r.noise[1], 0.0009299834115320001, 1e-8); /* 2e-16 of 1, here */
    relative(r.mean_noise, 0.0009299834115320001, 1e-8);
    relative(r.mean_signal, 0.99274258356841, TOLERANCE);
    nissl_noise_correlation_free(&r);
    check_ok(nissl_fisher_compute(ctx, &x, condition, 1, 2, &fisher, &err), err);
    assert_int_equal(fisher.n_a, 25);
    relative(fisher.naive, 6.169177087476301, TOLERANCE);
    relative(fisher.corrected, 5.623603519509032, TOLERANCE);
    free(t.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_noise),
    };
    ctx = context_of(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nissl_context_free(ctx);
    return failed;
}
