/*
 * Transformers built from a configuration: against the framework's own values at every site that
 * it names, and by their properties. oracles/families.py makes the fixtures.
 */
#include "families_help.h"

static void check_values(const char *family, const nissl__onnx_tensor *expected,
                         const nissl_site *site, const float *values, int64_t count)
{
    double range = 0, worst = 0;
    if (expected->rank != site->rank)
        fail_msg("%s: %s has rank %d, not %d", family, expected->name, site->rank, expected->rank);
    for (int i = 0; i < site->rank; i++)
        if (site->shape[i] != expected->shape[i])
            fail_msg("%s: axis %d of %s has %lld entries, not %lld", family, i, expected->name,
                     (long long)site->shape[i], (long long)expected->shape[i]);
    for (int64_t i = 0; i < count; i++) {
        float want;
        memcpy(&want, (const char *)expected->data + i * 4, sizeof want);
        range = fmax(range, fabs((double)want));
        worst = fmax(worst, fabs((double)values[i] - (double)want));
    }
    if (!(worst <= 1e-5 * range))
        fail_msg("%s: %s differs by %g of a range of %g", family, expected->name, worst, range);
}

/* Every value of the framework is a site under that very name, and the site holds it. */
static void check_family(const char *name)
{
    nissl_network *network = open_fixture(name);
    nissl__safetensors *expected = open_expected(name);
    nissl_program *program = NULL;
    seen s;
    const nissl__onnx_tensor *ids = nissl__safetensors_find(expected, "ids");
    run(network, ids->shape[0], ids->shape[1], ids->data, &program, &s);
    for (size_t i = 0; i < nissl__safetensors_count(expected); i++) {
        const nissl__onnx_tensor *tensor = nissl__safetensors_at(expected, i);
        if (tensor == ids)
            continue;
        int64_t site = nissl_program_find_site(program, tensor->name);
        if (site < 0)
            fail_msg("%s: no site is named %s", name, tensor->name);
        check_values(name, tensor, nissl_program_site(program, (size_t)site), s.values[site],
                     s.counts[site]);
    }
    forget(&s);
    nissl_program_free(program);
    nissl__safetensors_free(expected);
    nissl_network_free(network);
}

static void test_gpt2(void **state)
{
    (void)state;
    check_family("gpt2");
    check_family("gpt2_bare");
}

static void test_neox(void **state)
{
    (void)state;
    check_family("neox");
    check_family("neox_serial");
}

static void test_llama(void **state)
{
    (void)state;
    check_family("llama");
    check_family("llama_scaled");
}

static void test_qwen2(void **state)
{
    (void)state;
    check_family("qwen2");
}

static void test_qwen3(void **state)
{
    (void)state;
    check_family("qwen3");
}

static void test_bert(void **state)
{
    (void)state;
    check_family("bert");
    check_family("bert_pooled");
    check_family("bert_classifier");
}

/* ---- properties ---- */

static const char *const all[] = {"gpt2",         "gpt2_bare", "neox",  "neox_serial", "llama",
                                  "llama_scaled", "qwen2",     "qwen3", "bert"};
#define N_ALL    (sizeof all / sizeof *all)
#define N_CAUSAL (N_ALL - 1)

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void test_patterns_sum_to_one(void **state)
{
    (void)state;
    const int64_t ids[10] = {1, 5, 9, 2, 52, 7, 7, 0, 3, 11};
    for (size_t f = 0; f < N_ALL; f++) {
        nissl_network *network = open_fixture(all[f]);
        nissl_program *program = NULL;
        seen s;
        int n = 0;
        run(network, 2, 5, ids, &program, &s);
        for (size_t i = 0; i < nissl_program_n_sites(program); i++) {
            const nissl_site *site = nissl_program_site(program, i);
            if (!ends_with(site->name, "hook_pattern"))
                continue;
            n++;
            assert_int_equal(site->rank, 4);
            for (int64_t row = 0; row < s.counts[i] / 5; row++) {
                double sum = 0;
                for (int64_t k = 0; k < 5; k++)
                    sum += (double)s.values[i][row * 5 + k];
                check_close(sum, 1, 1e-6);
            }
        }
        assert_int_equal(n, 2);
        forget(&s);
        nissl_program_free(program);
        nissl_network_free(network);
    }
}

/* How many tokens a site has along each axis: axis 1 where that is a token, 2 and 3 of patterns. */
static void check_prefix(const char *family, const nissl_site *site, const float *a, const float *b,
                         int64_t tokens, int64_t kept)
{
    bool square = site->rank == 4 && site->role[2] == NISSL_AXIS_POSITION;
    int64_t inner = 1, outer = square ? site->shape[0] * site->shape[1] : site->shape[0];
    for (int i = square ? 3 : 2; i < site->rank; i++)
        inner *= site->shape[i];
    assert_int_equal(site->shape[square ? 2 : 1], tokens);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t t = 0; t < kept; t++)
            for (int64_t i = 0; i < (square ? kept : inner); i++) {
                int64_t at = (o * tokens + t) * inner + i;
                if (a[at] != b[at])
                    fail_msg("%s: %s changes at token %lld from %g to %g", family, site->name,
                             (long long)t, (double)a[at], (double)b[at]);
            }
}

/* Later tokens, other ids or padding, leave every value before them bit for bit as it was. */
static void test_causal(void **state)
{
    (void)state;
    int64_t first[10] = {1, 5, 9, 2, 52, 7, 7, 0, 3, 11};
    int64_t second[10] = {1, 5, 9, 30, -1, 7, 7, 0, -1, -1};
    for (size_t f = 0; f < N_CAUSAL; f++) {
        nissl_network *network = open_fixture(all[f]);
        nissl_program *programs[2] = {NULL, NULL};
        seen a, b;
        run(network, 2, 5, first, &programs[0], &a);
        run(network, 2, 5, second, &programs[1], &b);
        for (size_t i = 0; i < nissl_program_n_sites(programs[0]); i++)
            check_prefix(all[f], nissl_program_site(programs[0], i), a.values[i], b.values[i], 5,
                         3);
        forget(&a);
        forget(&b);
        nissl_program_free(programs[0]);
        nissl_program_free(programs[1]);
        nissl_network_free(network);
    }
}

/* BERT looks ahead, but not at padding: the same values as without it. */
static void test_bert_padding(void **state)
{
    (void)state;
    const int64_t whole[3] = {4, 8, 15}, padded[5] = {4, 8, 15, -1, -1};
    nissl_network *network = open_fixture("bert");
    nissl_program *programs[2] = {NULL, NULL};
    seen a, b;
    run(network, 1, 3, whole, &programs[0], &a);
    run(network, 1, 5, padded, &programs[1], &b);
    int64_t site = nissl_program_find_site(programs[0], "logits");
    for (int64_t i = 0; i < a.counts[site]; i++)
        check_close(b.values[site][i], a.values[site][i], 1e-5);
    forget(&a);
    forget(&b);
    nissl_program_free(programs[0]);
    nissl_program_free(programs[1]);
    nissl_network_free(network);
}

/* Roles, shapes and names as people expect them; plumbing is no site. */
static void test_sites(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int rank;
        int64_t shape[4], n_units, n_positions;
        const char *roles;
    } want[] = {
        {"blocks.0.hook_resid_pre", 3, {1, 6, 16}, 16, 6, "spu"},
        {"blocks.1.hook_resid_pre", 3, {1, 6, 16}, 16, 6, "spu"},
        {"blocks.1.attn.hook_q", 4, {1, 6, 4, 4}, 16, 6, "spuu"},
        {"blocks.1.attn.hook_k", 4, {1, 6, 2, 4}, 8, 6, "spuu"},
        {"blocks.1.attn.hook_z", 4, {1, 6, 4, 4}, 16, 6, "spuu"},
        {"blocks.1.attn.hook_pattern", 4, {1, 4, 6, 6}, 4, 36, "supp"},
        {"model.layers.1.mlp.gate_proj", 3, {1, 6, 40}, 40, 6, "spu"},
        {"model.layers.1.mlp", 3, {1, 6, 16}, 16, 6, "spu"},
    };
    static const char letters[] = {'s', 'p', 'u'};
    const int64_t ids[6] = {1, 2, 3, 4, 5, 6};
    nissl_network *network = open_fixture("llama");
    nissl_program *program = NULL;
    seen s;
    run(network, 1, 6, ids, &program, &s);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        int64_t at = nissl_program_find_site(program, want[i].name);
        assert_true(at >= 0);
        const nissl_site *site = nissl_program_site(program, (size_t)at);
        assert_int_equal(site->rank, want[i].rank);
        assert_int_equal(site->n_units, want[i].n_units);
        assert_int_equal(site->n_positions, want[i].n_positions);
        for (int k = 0; k < site->rank; k++) {
            assert_int_equal(site->shape[k], want[i].shape[k]);
            assert_int_equal(letters[site->role[k]], want[i].roles[k]);
        }
    }
    for (size_t i = 0; i < nissl_program_n_sites(program); i++)
        assert_int_not_equal(nissl_program_site(program, i)->name[0], '~');
    assert_int_equal(nissl_program_find_site(program, "blocks.2.hook_resid_pre"), -1);
    forget(&s);
    nissl_program_free(program);
    nissl_network_free(network);
}

/* Observing by alias alone reports the tensor. */
static void test_observe_alias(void **state)
{
    (void)state;
    int64_t shape[2] = {1, 4};
    const char *names[] = {"transformer.h.1.mlp.c_fc"};
    nissl_network *network = open_fixture("gpt2");
    nissl_program *program = NULL;
    nissl_error error = {0};
    nissl_view input = nissl_view_of(NULL, NISSL_INT64, 2, shape);
    nissl_program_options opt = nissl_program_options_default();
    opt.batch = 1;
    opt.observe = names;
    opt.n_observe = 1;
    opt.input_shapes = &input;
    opt.n_input_shapes = 1;
    check_ok(nissl_program_compile(NULL, network, &opt, &program, &error), error);
    assert_int_equal(nissl_program_n_sites(program), 2);
    assert_string_equal(nissl_program_site(program, 0)->name, "blocks.1.mlp.hook_pre");
    nissl_program_free(program);
    nissl_network_free(network);
}

/* A twin keeps positions and masks: its patterns still sum to one and still look back only. */
static void test_twin(void **state)
{
    (void)state;
    const int64_t ids[5] = {1, 5, 9, 2, 52};
    nissl_network *network = open_fixture("llama"), *twin = NULL;
    nissl_context *ctx = NULL;
    nissl_program *programs[2] = {NULL, NULL};
    nissl_error error = {0};
    seen a, b;
    check_ok(nissl_context_new(NULL, &ctx, &error), error);
    check_ok(nissl_network_twin(ctx, network, 3, &twin, &error), error);
    run(network, 1, 5, ids, &programs[0], &a);
    run(twin, 1, 5, ids, &programs[1], &b);
    int64_t pattern = nissl_program_find_site(programs[1], "blocks.0.attn.hook_pattern");
    int64_t normalized = nissl_program_find_site(programs[1], "blocks.0.ln1.hook_normalized");
    double sum = 0;
    for (int64_t row = 0; row < 4 * 5; row++)
        for (int64_t k = 0; k < 5; k++) {
            double value = (double)b.values[pattern][row * 5 + k];
            assert_true(k <= row % 5 || value == 0);
            sum += value;
        }
    check_close(sum, 20, 1e-5);
    sum = 0; /* the rows are normalised still: the ones they are scaled by are no weights */
    for (int64_t i = 0; i < 16; i++)
        sum += (double)b.values[normalized][i] * (double)b.values[normalized][i];
    check_close(sum, 16, 1e-3);
    int64_t logits = nissl_program_find_site(programs[1], "logits");
    double change = 0;
    for (int64_t i = 0; i < b.counts[logits]; i++)
        change = fmax(change, fabs((double)(a.values[logits][i] - b.values[logits][i])));
    assert_true(change > 0.1);
    forget(&a);
    forget(&b);
    nissl_program_free(programs[0]);
    nissl_program_free(programs[1]);
    nissl_network_free(twin);
    nissl_network_free(network);
    nissl_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_neox),
        cmocka_unit_test(test_llama),
        cmocka_unit_test(test_qwen2),
        cmocka_unit_test(test_qwen3),
        cmocka_unit_test(test_bert),
        cmocka_unit_test(test_patterns_sum_to_one),
        cmocka_unit_test(test_causal),
        cmocka_unit_test(test_bert_padding),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_observe_alias),
        cmocka_unit_test(test_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
