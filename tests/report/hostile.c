#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "foundation/foundation.h"
#include "formats/image.h"
#include "formats/onnx.h"
#include "hostile.h"

#define SIDE      16
#define FILTERS   8
#define N_STIMULI 24

static const char conv_name[] = "<script>hacked=1</script>";
static const char relu_name[] = "\"><img src=x onerror=hacked=1>";
static const char pool_name[] = "../../escape &amp; \xe2\x80\xa8";
static const char flat_name[] = "__proto__";
/* longer than a narrow page and without a place to break */
static const char long_name[] =
    "stimuli_"
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
static const char *const classes[] = {"<b onclick=hacked=1>bold", "');hacked=1;('", "plain"};

static nissl_status write_model(const char *path, nissl_error *err)
{
    static float filters[FILTERS * 25], weights[HOSTILE_UNITS * FILTERS], bias[HOSTILE_UNITS];
    for (int i = 0; i < FILTERS * 25; i++)
        filters[i] = (float)nissl__random_normal(1, 1, (uint64_t)i);
    for (int i = 0; i < HOSTILE_UNITS * FILTERS; i++)
        weights[i] = (float)nissl__random_normal(1, 2, (uint64_t)i);
    for (int i = 0; i < HOSTILE_UNITS; i++)
        bias[i] = (float)nissl__random_normal(1, 3, (uint64_t)i);
    const nissl__onnx_tensor tensors[] = {
        {"filters", NISSL_FLOAT32, 4, {FILTERS, 1, 5, 5}, filters, sizeof filters},
        {"weights", NISSL_FLOAT32, 2, {HOSTILE_UNITS, FILTERS}, weights, sizeof weights},
        {"bias", NISSL_FLOAT32, 1, {HOSTILE_UNITS}, bias, sizeof bias},
    };
    const nissl__onnx_attribute transposed = {
        .name = "transB", .reference = "", .kind = NISSL__ONNX_INT, .i = 1};
    const nissl__onnx_node nodes[] = {
        {"", "Conv", "", 2, 1, 0, (const char *const[]){"x", "filters"},
         (const char *const[]){conv_name}, NULL},
        {"<u>node", "Relu", "", 1, 1, 0, (const char *const[]){conv_name},
         (const char *const[]){relu_name}, NULL},
        {"", "GlobalAveragePool", "", 1, 1, 0, (const char *const[]){relu_name},
         (const char *const[]){pool_name}, NULL},
        {"", "Flatten", "", 1, 1, 0, (const char *const[]){pool_name},
         (const char *const[]){flat_name}, NULL},
        {"", "Gemm", "", 3, 1, 1, (const char *const[]){flat_name, "weights", "bias"},
         (const char *const[]){"y"}, &transposed},
    };
    const nissl__onnx_value input = {.name = "x",
                                     .has_type = true,
                                     .has_shape = true,
                                     .rank = 4,
                                     .type = NISSL_FLOAT32,
                                     .shape = {-1, 1, SIDE, SIDE},
                                     .dim_names = {"n"}};
    const nissl__onnx_value output = {.name = "y",
                                      .has_type = true,
                                      .has_shape = true,
                                      .rank = 2,
                                      .type = NISSL_FLOAT32,
                                      .shape = {-1, HOSTILE_UNITS},
                                      .dim_names = {"n"}};
    const nissl__onnx_model model = {.ir_version = 8,
                                     .opset = 13,
                                     .producer_name = "<i>tests</i>",
                                     .producer_version = "1",
                                     .graph = {.name = "hostile",
                                               .n_nodes = 5,
                                               .n_initializers = 3,
                                               .n_inputs = 1,
                                               .n_outputs = 1,
                                               .nodes = nodes,
                                               .initializers = tensors,
                                               .inputs = &input,
                                               .outputs = &output}};
    return nissl__onnx_write(&model, path, err);
}

static nissl_status make(const char *path, nissl_error *err)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s", path, strerror(errno));
    return NISSL_OK;
}

static nissl_status write_stimuli(const char *directory, nissl_error *err)
{
    uint8_t rgb[SIDE * SIDE * 3];
    nissl_status status = make(directory, err);
    for (uint64_t s = 0; s < N_STIMULI && status == NISSL_OK; s++) {
        char folder[600], path[700];
        snprintf(folder, sizeof folder, "%s/%s", directory, classes[s % 3]);
        snprintf(path, sizeof path, "%s/%d<img src=x onerror=hacked=1>%s.png", folder, (int)s,
                 s == 5 ? "\xff" : "");
        for (uint64_t i = 0; i < SIDE * SIDE; i++)
            memset(rgb + 3 * i, (int)(nissl__random_bits(2, s, i / (1 + s % 3 * 8)) & 255), 3);
        status = make(folder, err);
        if (status == NISSL_OK)
            status = nissl__png_write(path, rgb, SIDE, SIDE, err);
    }
    return status;
}

void hostile_free(hostile *h)
{
    nissl_examination_free(&h->examination);
    nissl_stimuli_free(h->stimuli);
    nissl_network_free(h->network);
    *h = (hostile){0};
}

nissl_status hostile_examine(nissl_context *ctx, const char *directory, const char *web,
                             hostile *out, nissl_error *err)
{
    const nissl_view input = {.rank = 4, .shape = {-1, 1, SIDE, SIDE}};
    nissl_stimuli_options options = nissl_stimuli_options_default();
    char model[512], shown[512];
    hostile h = {.options = nissl_report_options_default()};
    nissl_status status;
    snprintf(model, sizeof model, "%s/model.onnx", directory);
    snprintf(shown, sizeof shown, "%s/%s", directory, long_name);
    snprintf(h.report, sizeof h.report, "%s/report", directory);
    options.input_shape = &input;
    options.preprocess = "{}";
    h.options.web = web;
    h.options.title = "<title>&\"hostile\"</title><script>hacked=1</script>";
    h.options.parity = "{\"passed\": true, \"sentence\": \"<script>hacked=1</script>\"}";
    h.options.parameters = "[{\"name\": \"<u>seed\", \"value\": 7, \"default\": 0, \"set\": "
                           "\"command line\", \"description\": \"</script>\"}]";
    status = write_model(model, err);
    if (status == NISSL_OK)
        status = write_stimuli(shown, err);
    if (status == NISSL_OK)
        status = make(h.report, err);
    if (status == NISSL_OK)
        status = nissl_network_open(ctx, model, &h.network, err);
    if (status == NISSL_OK)
        status = nissl_stimuli_open(ctx, shown, &options, &h.stimuli, err);
    if (status == NISSL_OK)
        status = nissl_examine(ctx, h.network, h.stimuli, NULL, h.report, &h.examination, err);
    if (status == NISSL_OK)
        *out = h;
    else
        hostile_free(&h);
    return status;
}

nissl_status hostile_report_write(nissl_context *ctx, const char *directory, const char *web,
                                  nissl_error *err)
{
    hostile h = {0};
    nissl_status status = hostile_examine(ctx, directory, web, &h, err);
    if (status == NISSL_OK)
        status = nissl_report_write(ctx, &h.examination, h.network, h.stimuli, &h.options, h.report,
                                    err);
    hostile_free(&h);
    return status;
}
