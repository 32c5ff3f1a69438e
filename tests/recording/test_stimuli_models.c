/*
 * The decisive test of loading: for every network of the shared data, the stimuli that its
 * reference input was made from, loaded with a preprocessing of our own and with the one that
 * stands beside the reference, are that input.
 */
#include <unistd.h>

#include "check.h"
#include "formats/npy.h"
#include "foundation/foundation.h"
#include "nissl/stimuli.h"

#define BUDGET ((uint64_t)1 << 30)

static const char *const photographs[4] = {"n01440764_tench.JPEG", "n01980166_fiddler_crab.JPEG",
                                           "n03776460_mobile_home.JPEG",
                                           "n04562935_water_tower.JPEG"};

static const struct {
    const char *reference; /* below models */
    const char *stimuli;
    const char *preprocess; /* ours */
    int rank;
    int64_t input[4];
    int64_t items[4]; /* -1: by id, photographs */
} models[] = {
    {"squeezenet1.1/reference",
     "images/imagenet_500",
     "{\"resize\": {\"shorter\": 256, \"filter\": \"bilinear\"}, \"crop\": 224, \"channels\": "
     "\"BGR\","
     " \"mean\": [104, 117, 123]}",
     4,
     {1, 3, 224, 224},
     {-1, -1, -1, -1}},
    {"mobilenet_v1_0.25_128/reference",
     "images/imagenet_500",
     "{\"resize\": {\"shorter\": 146}, \"crop\": 128, \"divide\": 127.5, \"mean\": 1}",
     4,
     {1, 3, 128, 128},
     {-1, -1, -1, -1}},
    {"mobilenet_v1_0.5_160/reference",
     "images/imagenet_500",
     "{\"resize\": {\"shorter\": 183}, \"crop\": [160, 160], \"channels\": \"RGB\", \"divide\": "
     "127.5, \"mean\": 1}",
     4,
     {1, 3, 160, 160},
     {-1, -1, -1, -1}},
    {"resnet20_cifar10/reference",
     "cifar10/cifar10_test4000_from_jpeg.bin",
     "{\"divide\": 255, \"mean\": [0.485, 0.456, 0.406], \"std\": [0.229, 0.224, 0.225]}",
     4,
     {-1, 3, 32, 32},
     {31, 3, 6, 8}},
    {"resnet32_cifar10/reference",
     "cifar10/cifar10_test4000_from_jpeg.bin",
     "{\"scale\": 0.00392156862745098, \"mean\": [0.485, 0.456, 0.406], \"std\": [0.229, 0.224, "
     "0.225]}",
     4,
     {-1, 3, 32, 32},
     {31, 3, 6, 8}},
    {"cifar_cnn/reference",
     "cifar10/cifar10_test4000_from_jpeg.bin",
     "{\"divide\": 127.5, \"mean\": 1}",
     4,
     {-1, 3, 32, 32},
     {31, 3, 6, 8}},
    {"mnist_mlp/reference",
     "mnist/t10k-images-idx3-ubyte.gz",
     "{\"divide\": 255, \"layout\": \"flat\"}",
     2,
     {-1, 784},
     {0, 1, 2, 3}},
    {"mnist_mlp/reference_vnncomp_256x2",
     "mnist/t10k-images-idx3-ubyte.gz",
     "{\"divide\": 255}",
     3,
     {1, 784, 1},
     {0, 1, 2, 3}},
    {"mnist_mlp/reference_vnncomp_256x4",
     "mnist/t10k-images-idx3-ubyte.gz",
     "{\"divide\": 255}",
     3,
     {1, 784, 1},
     {0, 1, 2, 3}},
    {"mnist_cnn/reference",
     "mnist/t10k-images-idx3-ubyte.gz",
     "{\"divide\": 255}",
     4,
     {-1, -1, -1, -1},
     {0, 1, 2, 3}},
    {"iris/reference", "digits/iris.csv", "{}", 2, {-1, 4}, {0, 60, 90, 149}},
};

static const char *data_folder(void)
{
    const char *data = getenv("NISSL_DATA");
    return data ? data : NISSL_DATA_BESIDE;
}

static int64_t find(const nissl_stimuli *set, const char *id)
{
    for (int64_t i = 0; i < nissl_stimuli_count(set); i++)
        if (strcmp(nissl_stimuli_id(set, i), id) == 0)
            return i;
    fail_msg("no stimulus %s", id);
    return -1;
}

static void compare(nissl_context *ctx, size_t m, const char *preprocess,
                    const nissl_array *expected)
{
    nissl_error error = {0};
    nissl_stimuli *set = NULL;
    nissl_stimuli_options opt = nissl_stimuli_options_default();
    nissl_view input = {.type = NISSL_FLOAT32, .rank = models[m].rank};
    int64_t shape[NISSL_MAX_RANK], n = nissl_array_count(expected) / 4;
    char *path = nissl__format("%s/%s", data_folder(), models[m].stimuli);
    float *values = nissl__alloc((size_t)n, sizeof *values);
    memcpy(input.shape, models[m].input, sizeof models[m].input);
    opt.preprocess = preprocess;
    opt.input_shape = &input;
    check_ok(nissl_stimuli_open(ctx, path, &opt, &set, &error), error);
    int rank = nissl_stimuli_shape(set, shape);
    assert_int_equal(rank, expected->rank - 1);
    for (int i = 0; i < rank; i++)
        assert_int_equal(shape[i], expected->shape[i + 1]);
    for (int k = 0; k < 4; k++) {
        const float *reference = (const float *)expected->data + k * n;
        int64_t item = models[m].items[k] < 0 ? find(set, photographs[k]) : models[m].items[k];
        check_ok(nissl_stimuli_load(set, item, 1, values, &error), error);
        for (int64_t i = 0; i < n; i++)
            if (!(fabsf(values[i] - reference[i]) <= 1e-6f))
                fail_msg("%s, item %d, value %lld: %.9g, not %.9g", models[m].reference, k,
                         (long long)i, (double)values[i], (double)reference[i]);
    }
    nissl_stimuli_free(set);
    nissl__free(values);
    nissl__free(path);
}

static void test_reference_inputs(void **state)
{
    (void)state;
    nissl_error error = {0};
    nissl_context *ctx = NULL;
    if (access(data_folder(), R_OK) != 0)
        skip();
    check_ok(nissl_context_new(NULL, &ctx, &error), error);
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        nissl_array expected = {0};
        char *reference =
            nissl__format("%s/models/%s/reference_input.npy", data_folder(), models[m].reference);
        char *prose =
            nissl__format("%s/models/%s/preprocess.json", data_folder(), models[m].reference);
        check_ok(nissl__npy_read(reference, BUDGET, &expected, &error), error);
        compare(ctx, m, models[m].preprocess, &expected);
        compare(ctx, m, prose, &expected);
        nissl_array_free(&expected);
        nissl__free(reference);
        nissl__free(prose);
    }
    nissl_context_free(ctx);
}

/* The reference inputs themselves are a stimulus set, which passes as it is. */
static void test_npy_passes_through(void **state)
{
    (void)state;
    nissl_error error = {0};
    nissl_context *ctx = NULL;
    nissl_stimuli *set = NULL;
    nissl_array expected = {0};
    nissl_stimuli_options opt = nissl_stimuli_options_default();
    nissl_view input = {.type = NISSL_FLOAT32, .rank = 4, .shape = {-1, 3, 32, 32}};
    float values[4 * 3072];
    char *path =
        nissl__format("%s/models/resnet20_cifar10/reference/reference_input.npy", data_folder());
    if (access(path, R_OK) != 0) {
        nissl__free(path);
        skip();
    }
    opt.input_shape = &input;
    opt.preprocess = "{}";
    check_ok(nissl_context_new(NULL, &ctx, &error), error);
    check_ok(nissl__npy_read(path, BUDGET, &expected, &error), error);
    check_ok(nissl_stimuli_open(ctx, path, &opt, &set, &error), error);
    check_ok(nissl_stimuli_load(set, 0, 4, values, &error), error);
    assert_memory_equal(values, expected.data, sizeof values);
    nissl_stimuli_free(set);
    nissl_array_free(&expected);
    nissl_context_free(ctx);
    nissl__free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_inputs),
        cmocka_unit_test(test_npy_passes_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
