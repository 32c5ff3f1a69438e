/* A real llama2.c checkpoint: greedy continuations are those of oracles/llama2c.py. */
#include <sys/stat.h>

#include "check.h"
#include "foundation/foundation.h"
#include "nissl/network.h"

#define STEPS 48

/* The first n_prompt ids are given; the rest were chosen. */
static const struct {
    int n_prompt;
    int64_t ids[STEPS];
} continuations[] = {
    {1, {1,   403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426,
         338, 401, 396, 267, 337, 410, 408, 419, 292, 411, 322, 265, 282, 295, 433, 426,
         385, 328, 432, 358, 394, 261, 370, 432, 352, 266, 268, 388, 426, 338, 391, 266}},
    {5, {1,   291, 262, 433, 422, 286, 399, 262, 415, 271, 422, 269, 262, 415, 271, 422,
         426, 359, 413, 286, 261, 370, 432, 262, 415, 271, 422, 268, 421, 425, 411, 268,
         388, 426, 291, 268, 421, 425, 411, 268, 388, 286, 399, 393, 426, 291, 268, 421}},
};

static nissl_network *open_checkpoint(void)
{
    const char *data = getenv("NISSL_DATA");
    char *path = nissl__format("%s/models/llm/stories260K.bin", data ? data : NISSL_DATA_BESIDE);
    struct stat info;
    nissl_network *network = NULL;
    nissl_error error = {0};
    if (stat(path, &info) == 0)
        check_ok(nissl_network_open(NULL, path, &network, &error), error);
    nissl__free(path);
    return network;
}

/* The id with the highest logit after the last of n tokens. */
static int64_t next(const nissl_network *network, const int64_t *ids, int64_t n)
{
    int64_t shape[2] = {1, n}, data[STEPS], best = 0;
    nissl_view input = nissl_view_of(data, NISSL_INT64, 2, shape), logits;
    nissl_program_options opt = nissl_program_options_default();
    nissl_program *program = NULL;
    nissl_run *run = NULL;
    nissl_error error = {0};
    memcpy(data, ids, (size_t)n * sizeof *data);
    opt.batch = 1;
    opt.input_shapes = &input;
    opt.n_input_shapes = 1;
    check_ok(nissl_program_compile(NULL, network, &opt, &program, &error), error);
    check_ok(nissl_run_new(program, &run, &error), error);
    check_ok(nissl_run_forward(run, &input, 1, NULL, NULL, &error), error);
    check_ok(nissl_run_output(run, 0, &logits, &error), error);
    assert_int_equal(logits.shape[2], 512);
    float values[STEPS * 512];
    check_ok(nissl_view_copy(&logits, NISSL_FLOAT32, values, &error), error);
    const float *last = values + (n - 1) * 512;
    for (int64_t i = 1; i < 512; i++)
        best = last[i] > last[best] ? i : best;
    nissl_run_free(run);
    nissl_program_free(program);
    return best;
}

static void test_greedy(void **state)
{
    (void)state;
    nissl_network *network = open_checkpoint();
    if (!network)
        skip();
    assert_string_equal(nissl_network_format(network), "llama2.c, version 0");
    assert_int_equal(nissl_network_parameters(network), 260032);
    for (size_t c = 0; c < sizeof continuations / sizeof *continuations; c++)
        for (int i = continuations[c].n_prompt; i < STEPS; i++)
            if (next(network, continuations[c].ids, i) != continuations[c].ids[i])
                fail_msg("continuation %zu differs at id %d", c, i);
    nissl_network_free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
