/*
 * Attention by blocks: the same logits as operator by operator, and memory that grows with the
 * number of tokens unless a plan asks for the pattern.
 */
#include "check.h"
#include "foundation/foundation.h"
#include "nissl/network.h"

#define MAX_TOKENS 1024

typedef struct result {
    uint64_t bytes;
    float *logits; /* [tokens, vocabulary] */
    int64_t n;
} result;

static result run_llama(const char *family, int64_t n_tokens, int threads, const char *observed)
{
    char path[1024];
    int64_t shape[2] = {1, n_tokens};
    int64_t *ids = nissl__alloc((size_t)n_tokens, sizeof *ids);
    nissl_context *ctx = NULL;
    nissl_network *network = NULL;
    nissl_program *program = NULL;
    nissl_run *run = NULL;
    nissl_error error = {0};
    nissl_view logits;
    result r = {0};
    snprintf(path, sizeof path, "%s/families/%s", getenv("NISSL_FIXTURES"), family);
    for (int64_t i = 0; i < n_tokens; i++)
        ids[i] = nissl__random_below(3, 0, (uint64_t)i, 50);
    nissl_view input = nissl_view_of(ids, NISSL_INT64, 2, shape);
    nissl_program_options opt = nissl_program_options_default();
    opt.batch = 1;
    opt.threads = threads;
    opt.input_shapes = &input;
    opt.n_input_shapes = 1;
    opt.observe = &observed;
    opt.n_observe = observed ? 1 : 0;
    check_ok(nissl_context_new(NULL, &ctx, &error), error);
    check_ok(nissl_network_open(ctx, path, &network, &error), error);
    check_ok(nissl_program_compile(ctx, network, &opt, &program, &error), error);
    check_ok(nissl_run_new(program, &run, &error), error);
    r.bytes = nissl_program_run_bytes(program);
    check_ok(nissl_run_forward(run, &input, 1, NULL, NULL, &error), error);
    check_ok(nissl_run_output(run, 0, &logits, &error), error);
    r.n = nissl_view_count(&logits);
    r.logits = nissl__alloc((size_t)r.n, sizeof *r.logits);
    check_ok(nissl_view_copy(&logits, NISSL_FLOAT32, r.logits, &error), error);
    nissl_run_free(run);
    nissl_program_free(program);
    nissl_network_free(network);
    nissl_context_free(ctx);
    nissl__free(ids);
    return r;
}

static void test_same_as_by_operators(void **state)
{
    static const int64_t lengths[] = {1, 31, 32, 33, 100};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        result blocks = run_llama("llama", lengths[i], 1, NULL);
        result threads = run_llama("llama", lengths[i], 2, NULL);
        float low = INFINITY, high = -INFINITY;
        /* both layers by operators: one observed pattern leaves the other layer to blocks, so both
         * are tried */
        result first = run_llama("llama", lengths[i], 1, "blocks.0.attn.hook_pattern");
        result second = run_llama("llama", lengths[i], 1, "blocks.1.attn.hook_pattern");
        assert_int_equal(blocks.n, first.n);
        for (int64_t k = 0; k < blocks.n; k++) {
            low = fminf(low, first.logits[k]);
            high = fmaxf(high, first.logits[k]);
        }
        for (int64_t k = 0; k < blocks.n; k++) {
            assert_true(fabsf(blocks.logits[k] - first.logits[k]) <= 2e-6f * (high - low));
            assert_true(fabsf(blocks.logits[k] - second.logits[k]) <= 2e-6f * (high - low));
        }
        assert_memory_equal(blocks.logits, threads.logits, (size_t)blocks.n * sizeof(float));
        nissl__free(blocks.logits);
        nissl__free(threads.logits);
        nissl__free(first.logits);
        nissl__free(second.logits);
    }
}

static void test_memory_grows_with_tokens(void **state)
{
    result one = run_llama("llama", MAX_TOKENS / 2, 1, NULL),
           two = run_llama("llama", MAX_TOKENS, 1, NULL);
    result seen = run_llama("llama", MAX_TOKENS, 1, "blocks.0.attn.hook_pattern");
    uint64_t pattern =
        (uint64_t)4 * MAX_TOKENS * MAX_TOKENS * sizeof(float); /* heads x queries x keys */
    assert_true(two.bytes < one.bytes * 22 / 10);
    assert_true(two.bytes < pattern);
    assert_true(seen.bytes >= pattern);
    nissl__free(one.logits);
    nissl__free(two.logits);
    nissl__free(seen.logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_by_operators),
        cmocka_unit_test(test_memory_grows_with_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
