#include "nissl/compare.h"
#include "reference.h"

#define TOLERANCE 1e-9

static nissl_context *ctx;
static nissl_error err;

/* ---- golden ---- */

typedef struct runs {
    double *x; /* [16, 6] both runs, 8 conditions each */
    int32_t condition[16], run[16];
    nissl_view view;
} runs;

static runs read_runs(void)
{
    runs r;
    matrix one = read_reference("rsa_run1.csv"), two = read_reference("rsa_run2.csv");
    r.x = malloc(96 * sizeof *r.x);
    assert_non_null(r.x);
    memcpy(r.x, one.a, 48 * sizeof *r.x);
    memcpy(r.x + 48, two.a, 48 * sizeof *r.x);
    for (int i = 0; i < 16; i++) {
        r.condition[i] = i % 8;
        r.run[i] = i / 8;
    }
    r.view = view_of(r.x, 16, 6);
    free(one.a);
    free(two.a);
    return r;
}

static nissl_rdm rdm_of(const runs *r, nissl_rdm_metric metric)
{
    nissl_rdm_options opt = {.metric = metric, .run = r->run, .n_runs = 2};
    nissl_rdm rdm = {0};
    check_ok(nissl_rdm_compute(ctx, &r->view, r->condition, 8, &opt, &rdm, &err), err);
    return rdm;
}

static void reference_rdms(void **state)
{
    static const double euclidean[] = {2.6995738793611452, 2.422420983860101, 2.0965697213577186,
                                       0.371996064067251, 2.7805480410935903};
    static const double correlation[] = {0.6229605361351649, 0.7293889344897646, 0.7497696256054631,
                                         0.0999947506567096, 0.9488197353548337};
    static const double crossnobis[] = {2.504323812069234, 2.271129321568511, 2.0007729705864397,
                                        0.2729563642982082, 2.7301937492693575};
    static const double *const expected[] = {euclidean, correlation, NULL, crossnobis};
    runs r = read_runs();
    for (int metric = 0; metric < 4; metric++) {
        if (!expected[metric])
            continue;
        nissl_rdm rdm = rdm_of(&r, (nissl_rdm_metric)metric);
        assert_int_equal(rdm.n_pairs, 28);
        for (int i = 0; i < 5; i++)
            relative(rdm.dissimilarity[i], expected[metric][i], TOLERANCE);
        nissl_rdm_free(&rdm);
    }
    free(r.x);
}

static void reference_similarities(void **state)
{
    static const double expected[] = {
        [NISSL_RDM_COSINE] = 0.9522195544449867,
        [NISSL_RDM_PEARSON] = 0.7802743587389148,
        [NISSL_RDM_SPEARMAN] = 0.758073344280241,
        [NISSL_RDM_RHO_A] = 0.7580733442802408,
        [NISSL_RDM_TAU_A] = 0.5555555555555556,
        [NISSL_RDM_TAU_B] = 0.5555555555555556,
        [NISSL_RDM_WHITENED_COSINE] = 0.9240229610453834,
        [NISSL_RDM_WHITENED_PEARSON] = 0.8794022805969186,
        [NISSL_RDM_BURES] = 0.9351443049164088,
    };
    runs r = read_runs();
    nissl_rdm a = rdm_of(&r, NISSL_RDM_EUCLIDEAN), b = rdm_of(&r, NISSL_RDM_CORRELATION);
    for (int s = 0; s < 9; s++) {
        double value;
        check_ok(nissl_rdm_compare(ctx, a.dissimilarity, 1, b.dissimilarity, 1, 8,
                                   (nissl_rdm_similarity)s, &value, &err),
                 err);
        relative(value, expected[s], TOLERANCE);
    }
    nissl_rdm_free(&a);
    nissl_rdm_free(&b);
    free(r.x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_rdms),
        cmocka_unit_test(reference_similarities),
    };
    ctx = context_of(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nissl_context_free(ctx);
    return failed;
}
