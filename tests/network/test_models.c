/*
 * Real networks with stored logits and sites from another framework: the fused program, the one
 * that keeps every site, and threads inside a run.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "formats/npy.h"
#include "foundation/foundation.h"
#include "nissl/network.h"

#define TOLERANCE 1e-4

static const struct {
    const char *model, *reference, *logits;
} models[] = {
    {"squeezenet1.1/SqueezeNet_fp16.onnx", "squeezenet1.1/reference", "pool10_1"},
    {"squeezenet1.1/SqueezeNet1.1_fp32_derived.onnx", "squeezenet1.1/reference", "pool10_1"},
    {"mobilenet_v1_0.25_128/mobilenet_v1_0.25_128_fp32_derived.onnx",
     "mobilenet_v1_0.25_128/reference", "t87"},
    {"mobilenet_v1_0.5_160/mobilenet_v1_0.5_160_fp32_derived.onnx",
     "mobilenet_v1_0.5_160/reference", "t87"},
    {"resnet20_cifar10/resnet20_bn.onnx", "resnet20_cifar10/reference", "logits"},
    {"resnet20_cifar10/resnet20_bn_unsimplified.onnx", "resnet20_cifar10/reference", "logits"},
    {"resnet20_cifar10/resnet20_folded.onnx", "resnet20_cifar10/reference", "logits"},
    {"resnet32_cifar10/resnet32_folded.onnx", "resnet32_cifar10/reference", "logits"},
    {"cifar_cnn/winml_ImageClassifier_cifar10.onnx", "cifar_cnn/reference", "modelOutput"},
    {"mnist_mlp/mnist_mlp_784_500_10.onnx", "mnist_mlp/reference", "logits"},
    {"mnist_mlp/vnncomp_mnist-net_256x2.onnx", "mnist_mlp/reference_vnncomp_256x2", "12"},
    {"mnist_mlp/vnncomp_mnist-net_256x4.onnx", "mnist_mlp/reference_vnncomp_256x4", "20"},
    {"mnist_cnn/mnist_cntk_winml.onnx", "mnist_cnn/reference", "Plus214_Output_0"},
    {"iris/winml_iris_Network.onnx", "iris/reference", "output"},
};

static const char *data_folder(void)
{
    const char *folder = getenv("NISSL_DATA");
    if (!folder)
        folder = NISSL_DATA_BESIDE;
    return access(folder, R_OK) == 0 ? folder : NULL;
}

static nissl_array read_floats(const char *folder, const char *name)
{
    char path[1024];
    nissl_array file = {0}, floats = {0};
    nissl_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (nissl__npy_read(path, (uint64_t)1 << 32, &file, &err) != NISSL_OK)
        fail_msg("%s", err.message);
    assert_int_equal(nissl_array_new(NISSL_FLOAT32, file.rank, file.shape, &floats, &err),
                     NISSL_OK);
    nissl_view view = nissl_array_view(&file);
    assert_int_equal(nissl_view_copy(&view, NISSL_FLOAT32, floats.data, &err), NISSL_OK);
    nissl_array_free(&file);
    return floats;
}

/* What the observer saw of one site over all batches: [n, elements]. */
typedef struct seen {
    const nissl_program *program;
    int64_t first;
    float **values; /* [n_sites] row-major per stimulus */
} seen;

static nissl_status look(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    seen *s = user;
    int64_t per = nissl_view_count(view) / view->shape[0];
    if (!s->values[site])
        s->values[site] = calloc((size_t)per * 64, sizeof(float));
    return nissl_view_copy(view, NISSL_FLOAT32, s->values[site] + s->first * per, err);
}

static float *run_model(nissl_context *ctx, const nissl_network *network,
                        const nissl_program_options *opt, const nissl_array *input,
                        const char *name, seen *s)
{
    nissl_program *program = NULL;
    nissl_run *run = NULL;
    nissl_error err = {0};
    if (nissl_program_compile(ctx, network, opt, &program, &err) != NISSL_OK)
        fail_msg("%s", err.message);
    if (nissl_run_new(program, &run, &err) != NISSL_OK)
        fail_msg("%s", err.message);
    int64_t batch = nissl_program_batch(program), n = input->shape[0],
            per = nissl_array_count(input) / n;
    assert_true(n % batch == 0);
    const nissl_site *in = nissl_program_input(program, 0);
    seen local = {program, 0, calloc(nissl_program_n_sites(program), sizeof(float *))};
    for (int64_t i = 0; i < n; i += batch) {
        nissl_view view =
            nissl_view_of((float *)input->data + i * per, NISSL_FLOAT32, in->rank, in->shape);
        local.first = i;
        if (nissl_run_forward(run, &view, 1, look, &local, &err) != NISSL_OK)
            fail_msg("%s", err.message);
    }
    int64_t wanted = nissl_program_find_site(program, name);
    assert_true(wanted >= 0);
    float *result = local.values[wanted];
    nissl_run_free(run); /* before its program */
    if (s) {
        *s = local;
    } else {
        for (size_t i = 0; i < nissl_program_n_sites(program); i++)
            if ((int64_t)i != wanted)
                free(local.values[i]);
        free(local.values);
        nissl_program_free(program);
    }
    return result;
}

static double worst_ratio(const float *got, const nissl_array *expected)
{
    int64_t n = nissl_array_count(expected);
    const float *want = expected->data;
    double low = INFINITY, high = -INFINITY, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        worst = d > worst || d != d ? d : worst;
        low = NISSL__MIN(low, (double)want[i]);
        high = NISSL__MAX(high, (double)want[i]);
    }
    return worst / (high - low);
}

static void test_logits(void **state)
{
    const char *data = data_folder();
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    if (!data)
        skip();
    assert_int_equal(nissl_context_new(NULL, &ctx, &err), NISSL_OK);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[1024], folder[1024];
        nissl_network *network = NULL;
        snprintf(path, sizeof path, "%s/models/%s", data, models[i].model);
        snprintf(folder, sizeof folder, "%s/models/%s", data, models[i].reference);
        if (nissl_network_open(ctx, path, &network, &err) != NISSL_OK)
            fail_msg("%s", err.message);
        nissl_array input = read_floats(folder, "reference_input.npy");
        nissl_array logits = read_floats(folder, "reference_logits.npy");
        int64_t n = input.shape[0];
        const char *one[] = {models[i].logits};
        nissl_program_options variants[] = {
            {.batch = 1, .observe = one, .n_observe = 1},
            {.batch = n, .observe = one, .n_observe = 1},
            {.batch = n, .observe_all = true},
            {.batch = n, .observe = one, .n_observe = 1, .threads = 2},
        };
        float *results[4];
        for (size_t v = 0; v < 4; v++) {
            results[v] = run_model(ctx, network, &variants[v], &input, models[i].logits, NULL);
            double ratio = worst_ratio(results[v], &logits);
            if (!(ratio < TOLERANCE))
                fail_msg("%s, variant %zu: worst difference is %g of the range", models[i].model, v,
                         ratio);
        }
        /* threads inside a run change no bit */
        assert_memory_equal(results[1], results[3],
                            (size_t)nissl_array_count(&logits) * sizeof(float));
        for (size_t v = 0; v < 4; v++)
            free(results[v]);
        nissl_array_free(&input);
        nissl_array_free(&logits);
        nissl_network_free(network);
    }
    nissl_context_free(ctx);
}

static void test_twin_keeps_weights_and_loses_function(void **state)
{
    const char *data = data_folder();
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    nissl_network *network = NULL, *twin = NULL, *again = NULL;
    char path[1024], folder[1024];
    if (!data)
        skip();
    assert_int_equal(nissl_context_new(NULL, &ctx, &err), NISSL_OK);
    snprintf(path, sizeof path, "%s/models/%s", data, models[4].model);
    snprintf(folder, sizeof folder, "%s/models/%s", data, models[4].reference);
    assert_int_equal(nissl_network_open(ctx, path, &network, &err), NISSL_OK);
    assert_int_equal(nissl_network_twin(ctx, network, 7, &twin, &err), NISSL_OK);
    assert_int_equal(nissl_network_twin(ctx, network, 7, &again, &err), NISSL_OK);
    assert_int_equal(nissl_network_parameters(network), nissl_network_parameters(twin));
    nissl_array input = read_floats(folder, "reference_input.npy");
    nissl_array logits = read_floats(folder, "reference_logits.npy");
    nissl_program_options opt = {.batch = input.shape[0]};
    float *a = run_model(ctx, twin, &opt, &input, "logits", NULL);
    float *b = run_model(ctx, again, &opt, &input, "logits", NULL);
    assert_memory_equal(a, b, (size_t)nissl_array_count(&logits) * sizeof(float));
    assert_true(worst_ratio(a, &logits) > 0.05);
    free(a);
    free(b);
    nissl_array_free(&input);
    nissl_array_free(&logits);
    nissl_network_free(again);
    nissl_network_free(twin);
    nissl_network_free(network);
    nissl_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_twin_keeps_weights_and_loses_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
