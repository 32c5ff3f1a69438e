#include <unistd.h>

#include "../check.h"
#include "analyses/tuning.h"

/* A small trained network records gratings and noise once for all tests. */
typedef struct recorded {
    nissl_context *ctx;
    nissl_recording *recording;
    char path[64];
} recorded;

static int record(void **state)
{
    static recorded r;
    char model[1024];
    const char *fixtures = getenv("NISSL_FIXTURES");
    nissl_error err = {0};
    nissl_network *network = NULL;
    nissl_stimuli *stimuli = NULL;
    nissl_plan *plan = NULL;
    nissl_context_options context_options = nissl_context_options_default();
    nissl_stimuli_options options = nissl_stimuli_options_default();
    nissl_record_options record_options = {.overwrite = true};
    nissl_view shape = {.rank = 4, .shape = {1, 1, 12, 12}};
    context_options.threads = 2;
    options.input_shape = &shape;
    snprintf(model, sizeof model, "%s/networks/trained_cnn/model.onnx",
             fixtures ? fixtures : "tests/fixtures");
    snprintf(r.path, sizeof r.path, "/tmp/nissl_test_tuning_%ld.nwb", (long)getpid());
    check_ok(nissl_context_new(&context_options, &r.ctx, &err), err);
    check_ok(nissl_network_open(r.ctx, model, &network, &err), err);
    check_ok(nissl_stimuli_open(r.ctx, "gratings:orientations=6,frequencies=1,2,3+noise:n=20",
                                &options, &stimuli, &err),
             err);
    check_ok(nissl_plan_new(r.ctx, network, stimuli, NULL, &plan, &err), err);
    nissl_subject subject = {.network = network, .path = r.path, .role = "network"};
    check_ok(nissl_record(r.ctx, plan, stimuli, &subject, 1, &record_options, &err), err);
    check_ok(nissl_recording_open(r.ctx, r.path, &r.recording, &err), err);
    nissl_plan_free(plan);
    nissl_stimuli_free(stimuli);
    nissl_network_free(network);
    *state = &r;
    return 0;
}

static int forget(void **state)
{
    recorded *r = *state;
    nissl_recording_free(r->recording);
    nissl_context_free(r->ctx);
    return unlink(r->path);
}

static void every_site_and_factor_as_from_the_array(void **state)
{
    const recorded *r = *state;
    nissl_error err = {0};
    int64_t n = nissl_recording_n_stimuli(r->recording);
    int n_compared = 0;
    for (size_t site = 0; site < nissl_recording_n_sites(r->recording); site++) {
        int64_t units = nissl_recording_site(r->recording, site)->n_units;
        float *x = nissl__alloc((size_t)(n * units), sizeof *x);
        check_ok(nissl_recording_responses(r->recording, site, 0, units, x, &err), err);
        for (int f = 0; f < nissl_recording_n_factors(r->recording); f++) {
            const nissl_factor *factor = nissl_recording_factor(r->recording, f);
            nissl_tuning a = {0}, b = {0};
            check_ok(nissl_tuning_of_site(r->ctx, r->recording, site, f, NULL, &a, &err), err);
            check_ok(nissl_tuning_compute(r->ctx, x, n, units, factor->level, factor->n_levels,
                                          NULL, &b, &err),
                     err);
            size_t cells = (size_t)(units * factor->n_levels) * sizeof(double);
            assert_int_equal(a.n_units, units);
            assert_int_equal(a.n_conditions, factor->n_levels);
            assert_memory_equal(a.curve, b.curve, cells);
            assert_memory_equal(a.curve_se, b.curve_se, cells);
            assert_memory_equal(a.auroc, b.auroc, (size_t)units * sizeof(double));
            assert_memory_equal(a.dprime, b.dprime, (size_t)units * sizeof(double));
            assert_memory_equal(a.selectivity_heldout, b.selectivity_heldout,
                                (size_t)units * sizeof(double));
            assert_memory_equal(a.population_sparseness, b.population_sparseness,
                                (size_t)n * sizeof(double));
            nissl_tuning_free(&a);
            nissl_tuning_free(&b);
            n_compared++;
        }
        nissl__free(x);
    }
    assert_true(n_compared >= 8 * 2); /* eight sites; orientation and frequency at least */
}

/* The recording's own moments, which another room computed, are those of tuning. */
static void moments_agree_with_the_reducers(void **state)
{
    const recorded *r = *state;
    nissl_error err = {0};
    for (size_t site = 0; site < nissl_recording_n_sites(r->recording); site++) {
        nissl_array mean = {0};
        nissl_tuning t = {0};
        int64_t n = nissl_recording_n_stimuli(r->recording);
        int64_t units = nissl_recording_site(r->recording, site)->n_units;
        int32_t *condition = nissl__alloc((size_t)n, sizeof *condition); /* all count */
        float *x = nissl__alloc((size_t)(n * units), sizeof *x);
        check_ok(nissl_recording_array(r->recording, site, "moments/mean", &mean, &err), err);
        check_ok(nissl_recording_responses(r->recording, site, 0, units, x, &err), err);
        check_ok(nissl_tuning_compute(r->ctx, x, n, units, condition, 1, NULL, &t, &err), err);
        for (int64_t u = 0; u < units; u++)
            check_close(t.mean[u], ((const double *)mean.data)[u], 1e-6);
        nissl_array_free(&mean);
        nissl_tuning_free(&t);
        nissl__free(condition);
        nissl__free(x);
    }
}

static void what_is_not_there_is_refused(void **state)
{
    const recorded *r = *state;
    nissl_error err = {0};
    nissl_tuning t = {0};
    size_t n_sites = nissl_recording_n_sites(r->recording);
    int n_factors = nissl_recording_n_factors(r->recording), n_failures = 0;
    assert_int_equal(nissl_tuning_of_site(r->ctx, r->recording, n_sites, 0, NULL, &t, &err),
                     NISSL_ERR_RANGE);
    assert_int_equal(nissl_tuning_of_site(r->ctx, r->recording, 0, n_factors, NULL, &t, &err),
                     NISSL_ERR_RANGE);
    assert_int_equal(nissl_tuning_of_site(r->ctx, r->recording, 0, -1, NULL, &t, &err),
                     NISSL_ERR_RANGE);
    for (uint64_t n = 1; n < 60; n++) {
        nissl__alloc_fail_at(n);
        nissl_status status = nissl_tuning_of_site(r->ctx, r->recording, 0, 0, NULL, &t, &err);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        n_failures += status != NISSL_OK;
        nissl_tuning_free(&t);
    }
    nissl__alloc_fail_at(0);
    assert_true(n_failures > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_site_and_factor_as_from_the_array),
        cmocka_unit_test(moments_agree_with_the_reducers),
        cmocka_unit_test(what_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, record, forget);
}
