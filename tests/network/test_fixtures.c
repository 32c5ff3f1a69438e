/*
 * Small networks of our own with outputs and sites stored by another runtime (oracles/fixtures.py):
 * every operator and form that exports use. Each runs fused, with every site kept, and with the
 * batch in one piece and one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "formats/npy.h"
#include "foundation/foundation.h"
#include "nissl/network.h"

static const char *folder(void)
{
    return getenv("NISSL_FIXTURES");
}

static nissl_array read_array(const char *network, const char *kind, const char *file)
{
    char path[1024];
    nissl_array array = {0};
    nissl_error err = {0};
    snprintf(path, sizeof path, "%s/networks/%s/%s%s", folder(), network, kind, file);
    if (nissl__npy_read(path, (uint64_t)1 << 30, &array, &err) != NISSL_OK)
        fail_msg("%s", err.message);
    return array;
}

typedef struct expectation {
    const char *network, *kind; /* kind: folder of its files */
    json_t *tensors;            /* [{tensor, file}] */
    const nissl_program *program;
    int64_t first;
    double tolerance; /* of the stored tensor's range */
    int n_seen;
} expectation;

/* Compares what is seen of stimuli first .. first + n with the stored tensor. */
static void compare(expectation *e, const char *name, const nissl_view *view)
{
    size_t i;
    json_t *entry;
    json_array_foreach(e->tensors, i, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "tensor")), name) != 0)
            continue;
        nissl_array stored =
            read_array(e->network, e->kind, json_string_value(json_object_get(entry, "file")));
        nissl_view all = nissl_array_view(&stored);
        nissl_error err = {0};
        int64_t total = nissl_array_count(&stored), n = nissl_view_count(view);
        double *want = calloc((size_t)total + 1, sizeof *want),
               *got = calloc((size_t)n + 1, sizeof *got);
        double low = INFINITY, high = -INFINITY;
        if (nissl_view_copy(&all, NISSL_FLOAT64, want, &err) != NISSL_OK ||
            nissl_view_copy(view, NISSL_FLOAT64, got, &err) != NISSL_OK)
            fail_msg("%s", err.message);
        int64_t per = view->rank && view->shape[0] ? n / view->shape[0] : n, from = e->first * per;
        if (from + n > total)
            fail_msg("%s: %s has %lld values, %lld are stored", e->network, name,
                     (long long)(from + n), (long long)total);
        for (int64_t k = 0; k < total; k++) {
            low = NISSL__MIN(low, want[k]);
            high = NISSL__MAX(high, want[k]);
        }
        double scale = NISSL__MAX(high - low, NISSL__MAX(fabs(low), fabs(high)) * 1e-3);
        for (int64_t k = 0; k < n; k++) {
            double d = fabs(got[k] - want[from + k]);
            bool same =
                got[k] == want[from + k] || (got[k] != got[k] && want[from + k] != want[from + k]);
            if (!same && !(d <= e->tolerance * scale))
                fail_msg("%s: %s[%lld] is %.9g, expected %.9g (range %g)", e->network, name,
                         (long long)(from + k), got[k], want[from + k], scale);
        }
        e->n_seen++;
        free(want);
        free(got);
        nissl_array_free(&stored);
    }
}

static nissl_status look(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    expectation *e = user;
    compare(e, nissl_program_site(e->program, site)->name, view);
    return NISSL_OK;
}

static void run_fixture(nissl_context *ctx, json_t *entry, int64_t batch, bool all)
{
    char path[1024];
    nissl_error err = {0};
    nissl_network *network = NULL;
    nissl_program *program = NULL;
    nissl_run *run = NULL;
    const char *name = json_string_value(json_object_get(entry, "name"));
    snprintf(path, sizeof path, "%s/networks/%s/model.onnx", folder(), name);
    if (nissl_network_open(ctx, path, &network, &err) != NISSL_OK)
        fail_msg("%s", err.message);
    nissl_array input = read_array(name, "", "input.npy");
    int64_t n = input.shape[0], per = nissl_array_count(&input) / n;
    nissl_program_options opt = {.batch = batch ? batch : n, .observe_all = all};
    if (nissl_program_compile(ctx, network, &opt, &program, &err) != NISSL_OK)
        fail_msg("%s", err.message);
    if (nissl_run_new(program, &run, &err) != NISSL_OK)
        fail_msg("%s", err.message);
    int64_t micro = nissl_program_batch(program);
    assert_true(n % micro == 0);
    /* float32 throughout agrees far better than what the oracle asks; halves were rounded by it at
     * every step */
    double tolerance = NISSL__MAX(json_real_value(json_object_get(entry, "tolerance")) / 5, 2e-5);
    expectation sites = {name, "sites/", json_object_get(entry, "sites"), program, 0, tolerance, 0};
    expectation outputs = {name, "", json_object_get(entry, "outputs"), program, 0, tolerance, 0};
    const nissl_site *in = nissl_program_input(program, 0);
    for (int64_t i = 0; i < n; i += micro) {
        size_t k;
        json_t *output;
        nissl_view view =
            nissl_view_of((char *)input.data + (size_t)(i * per) * nissl_type_size(input.type),
                          input.type, in->rank, in->shape);
        sites.first = outputs.first = i;
        if (nissl_run_forward(run, &view, 1, look, &sites, &err) != NISSL_OK)
            fail_msg("%s", err.message);
        json_array_foreach(outputs.tensors, k, output)
        {
            for (size_t o = 0; o < nissl_network_n_outputs(network); o++) {
                nissl_view result;
                if (strcmp(nissl_network_output(network, o)->name,
                           json_string_value(json_object_get(output, "tensor"))) != 0)
                    continue;
                assert_int_equal(nissl_run_output(run, o, &result, &err), NISSL_OK);
                compare(&outputs, nissl_network_output(network, o)->name, &result);
            }
        }
    }
    assert_int_equal(outputs.n_seen, (int)json_array_size(outputs.tensors) * (int)(n / micro));
    nissl_array_free(&input);
    nissl_run_free(run);
    nissl_program_free(program);
    nissl_network_free(network);
}

static void run_all(int64_t batch, bool all)
{
    char path[1024];
    json_error_t problem;
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    size_t i;
    json_t *entry;
    snprintf(path, sizeof path, "%s/networks/manifest.json", folder());
    json_t *manifest = json_load_file(path, 0, &problem);
    if (!manifest)
        fail_msg("%s: %s", path, problem.text);
    assert_int_equal(nissl_context_new(NULL, &ctx, &err), NISSL_OK);
    assert_true(json_array_size(json_object_get(manifest, "networks")) > 40);
    json_array_foreach(json_object_get(manifest, "networks"), i, entry)
        run_fixture(ctx, entry, batch, all);
    nissl_context_free(ctx);
    json_decref(manifest);
}

static void test_fused(void **state)
{
    run_all(0, false);
}

static void test_all_sites(void **state)
{
    run_all(0, true);
}

static void test_one_by_one(void **state)
{
    run_all(1, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused),
        cmocka_unit_test(test_all_sites),
        cmocka_unit_test(test_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
