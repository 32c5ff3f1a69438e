/*
 * Transformers in files of exporters: the tensors that are named hold what the framework has under
 * those names, and a graph that computes something else is not named.
 */
#include <unistd.h>

#include "families_help.h"
#include "formats/onnx.h"

static const struct {
    const char *model, *file;
    int n_named; /* values of the framework that are found by name */
} exports[] = {
    {"gpt2", "torchscript_17.onnx", 28},  {"neox", "dynamo_18.onnx", 26},
    {"llama", "torchscript_13.onnx", 40}, {"qwen3", "dynamo_20.onnx", 34},
    {"bert", "torchscript_13.onnx", 26},
};

/* Values of a site, those of heads with tokens before heads. */
static void tokens_first(const nissl_site *site, const float *values, float *out)
{
    const int64_t *n = site->shape;
    for (int64_t b = 0; b < n[0]; b++)
        for (int64_t h = 0; h < n[1]; h++)
            for (int64_t t = 0; t < n[2]; t++)
                memcpy(out + ((b * n[2] + t) * n[1] + h) * n[3],
                       values + ((b * n[1] + h) * n[2] + t) * n[3], (size_t)n[3] * sizeof *out);
}

static void check_export(const char *model, const char *file, int n_named)
{
    char *path = nissl__format("%s/%s", model, file);
    nissl_network *network = open_fixture(path);
    nissl__safetensors *expected = open_expected(model);
    nissl_program *program = NULL;
    seen s;
    int n = 0;
    const nissl__onnx_tensor *ids = nissl__safetensors_find(expected, "ids");
    run(network, ids->shape[0], ids->shape[1], ids->data, &program, &s);
    for (size_t i = 0; i < nissl__safetensors_count(expected); i++) {
        const nissl__onnx_tensor *tensor = nissl__safetensors_at(expected, i);
        int64_t at = nissl_program_find_site(program, tensor->name);
        if (at < 0)
            continue;
        const nissl_site *site = nissl_program_site(program, (size_t)at);
        double range = 0, worst = 0;
        float *values = malloc((size_t)s.counts[at] * sizeof *values);
        memcpy(values, s.values[at], (size_t)s.counts[at] * sizeof *values);
        if (site->rank == 4 && site->role[1] == NISSL_AXIS_UNIT && site->role[3] == NISSL_AXIS_UNIT)
            tokens_first(site, s.values[at], values);
        assert_int_equal(s.counts[at] * 4, tensor->bytes);
        for (int64_t k = 0; k < s.counts[at]; k++) {
            float want;
            memcpy(&want, (const char *)tensor->data + k * 4, sizeof want);
            range = fmax(range, fabs((double)want));
            worst = fmax(worst, fabs((double)values[k] - (double)want));
        }
        if (!(worst <= 1e-5 * range))
            fail_msg("%s: %s differs by %g of a range of %g", path, tensor->name, worst, range);
        free(values);
        n++;
    }
    if (n < n_named)
        fail_msg("%s: %d of %d names were found", path, n, n_named);
    forget(&s);
    nissl_program_free(program);
    nissl__safetensors_free(expected);
    nissl_network_free(network);
    nissl__free(path);
}

static void test_exports(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof exports / sizeof *exports; i++)
        check_export(exports[i].model, exports[i].file, exports[i].n_named);
}

/* A causal export takes padding; one that looks ahead does not. */
static void test_padding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof exports / sizeof *exports; i++) {
        char *path = nissl__format("%s/%s", exports[i].model, exports[i].file);
        nissl_network *network = open_fixture(path);
        assert_int_equal(nissl_network_masks_padding(network),
                         strcmp(exports[i].model, "bert") != 0);
        nissl_network_free(network);
        nissl__free(path);
    }
}

/* Patterns, heads and streams have the axes that they are named for. */
static void test_roles(void **state)
{
    (void)state;
    const int64_t ids[6] = {1, 2, 3, 4, 5, 6};
    nissl_network *network = open_fixture("llama/torchscript_13.onnx");
    nissl_program *program = NULL;
    seen s;
    run(network, 1, 6, ids, &program, &s);
    const nissl_site *pattern = nissl_program_site(
        program, (size_t)nissl_program_find_site(program, "blocks.1.attn.hook_pattern"));
    assert_int_equal(pattern->n_units, 4);
    assert_int_equal(pattern->n_positions, 36);
    const nissl_site *rotated = nissl_program_site(
        program, (size_t)nissl_program_find_site(program, "blocks.1.attn.hook_rot_k"));
    assert_int_equal(rotated->n_units, 8);
    assert_int_equal(rotated->n_positions, 6);
    forget(&s);
    nissl_program_free(program);
    nissl_network_free(network);
}

/* The same graph with one operator exchanged computes something that has no name. */
static void check_mutant(const char *model, const char *op, const char *instead, const char *lost,
                         const char *kept)
{
    char *path = nissl__format("%s/families/%s", getenv("NISSL_FIXTURES"), model);
    char mutant[] = "/tmp/nissl-mutant-XXXXXX";
    int fd = mkstemp(mutant), n = 0;
    nissl__onnx_model *graph = NULL;
    nissl_network *network = NULL;
    nissl_program *program = NULL;
    nissl_error error = {0};
    seen s;
    const int64_t ids[5] = {1, 2, 3, 4, 5};
    assert_true(fd >= 0);
    check_ok(nissl__onnx_open(path, 0, &graph, &error), error);
    for (size_t i = 0; i < graph->graph.n_nodes && n == 0; i++)
        if (strcmp(graph->graph.nodes[i].op, op) == 0) {
            nissl__onnx_node *node;
            const nissl__onnx_node *found = &graph->graph.nodes[i];
            memcpy(&node, &found, sizeof node); /* the test's own model */
            node->op = instead;
            n++;
        }
    assert_int_equal(n, 1);
    check_ok(nissl__onnx_write(graph, mutant, &error), error);
    nissl__onnx_free(graph);
    check_ok(nissl_network_open(NULL, mutant, &network, &error), error);
    run(network, 1, 5, ids, &program, &s);
    if (nissl_program_find_site(program, lost) >= 0)
        fail_msg("%s with %s for %s still has %s", model, instead, op, lost);
    if (nissl_program_find_site(program, kept) < 0)
        fail_msg("%s with %s for %s lost %s", model, instead, op, kept);
    forget(&s);
    nissl_program_free(program);
    nissl_network_free(network);
    unlink(mutant);
    close(fd);
    nissl__free(path);
}

static void test_mutants(void **state)
{
    (void)state;
    /* an activation that is none, norms without their root, a rotation that shortens, a stream
     * that is no sum: each in block 0, block 1 keeps its names */
    check_mutant("gpt2/torchscript_17.onnx", "Tanh", "Sigmoid", "blocks.0.mlp.hook_post",
                 "blocks.1.mlp.hook_post");
    check_mutant("llama/torchscript_13.onnx", "Neg", "Identity", "blocks.0.attn.hook_rot_q",
                 "blocks.1.attn.hook_rot_q");
    check_mutant("llama/torchscript_13.onnx", "Sigmoid", "Tanh", "blocks.0.mlp.hook_pre",
                 "blocks.1.mlp.hook_pre");
    check_mutant("qwen3/dynamo_20.onnx", "Softmax", "Sigmoid", "blocks.0.attn.hook_pattern",
                 "blocks.1.attn.hook_pattern");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exports),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_mutants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
