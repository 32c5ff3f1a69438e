/* Opening folders: configurations that lie or ask for what is not built, weights that do not fit
 * them, and a model larger than memory. */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "foundation/foundation.h"
#include "network/families/config.h"
#include "nissl/network.h"

#define LLAMA                                                                                      \
    "\"model_type\":\"llama\",\"hidden_size\":16,\"intermediate_size\":40,\"vocab_size\":53,"      \
    "\"num_hidden_layers\":2"
#define WHOLE LLAMA ",\"num_attention_heads\":4,\"num_key_value_heads\":2"

static const struct {
    const char *defect, *text;
    nissl_status code;
    const char *message;
} bad[] = {
    {"no JSON", "{", NISSL_ERR_FORMAT, "config.json:1:"},
    {"a list", "[1]", NISSL_ERR_UNSUPPORTED, "model_type \"\" is not supported"},
    {"other family", "{\"model_type\":\"mamba\"}", NISSL_ERR_UNSUPPORTED,
     "model_type \"mamba\" is not supported without ONNX; gpt2, gpt_neox, llama"},
    {"model_type no text", "{\"model_type\":3}", NISSL_ERR_FORMAT, "\"model_type\" is no text"},
    {"key missing", "{" LLAMA "}", NISSL_ERR_FORMAT, "no \"num_attention_heads\""},
    {"duplicate key", "{" WHOLE ",\"hidden_size\":16}", NISSL_ERR_FORMAT, "duplicate"},
    {"zero size", "{" LLAMA ",\"num_attention_heads\":0}", NISSL_ERR_FORMAT,
     "\"num_attention_heads\" is out of range"},
    {"size as text", "{" LLAMA ",\"num_attention_heads\":\"4\"}", NISSL_ERR_FORMAT,
     "\"num_attention_heads\" is no whole number"},
    {"huge size", "{" WHOLE ",\"head_dim\":99999999999}", NISSL_ERR_FORMAT,
     "\"head_dim\" is out of range"},
    {"heads", "{" LLAMA ",\"num_attention_heads\":4,\"num_key_value_heads\":3}", NISSL_ERR_FORMAT,
     "4 heads of 4 dimensions over 3 key-value heads"},
    {"odd rotation", "{" WHOLE ",\"head_dim\":5}", NISSL_ERR_FORMAT,
     "5 rotary dimensions of a head's 5"},
    {"layers",
     "{\"model_type\":\"gpt2\",\"n_embd\":8,\"n_head\":2,\"n_layer\":5000,\"vocab_size\":3}",
     NISSL_ERR_LIMIT, "5000 layers, at most 1024"},
    {"heads do not divide",
     "{\"model_type\":\"gpt2\",\"n_embd\":8,\"n_head\":3,\"n_layer\":1,\"vocab_size\":3}",
     NISSL_ERR_FORMAT, "8 dimensions do not divide into 3 heads"},
    {"activation", "{" WHOLE ",\"hidden_act\":\"mish\"}", NISSL_ERR_UNSUPPORTED,
     "the activation \"mish\" is not supported"},
    {"sliding window", "{" WHOLE ",\"use_sliding_window\":true}", NISSL_ERR_UNSUPPORTED,
     "\"use_sliding_window\": true is not supported"},
    {"sliding layer", "{" WHOLE ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}",
     NISSL_ERR_UNSUPPORTED, "layer 1 is of type \"sliding_attention\""},
    {"flag as number", "{" WHOLE ",\"tie_word_embeddings\":1}", NISSL_ERR_FORMAT,
     "\"tie_word_embeddings\" is neither true nor false"},
    {"rotation type", "{" WHOLE ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2.0}}",
     NISSL_ERR_UNSUPPORTED, "rotary embeddings of type \"yarn\""},
    {"rotation no object", "{" WHOLE ",\"rope_parameters\":[1]}", NISSL_ERR_FORMAT,
     "\"rope_parameters\" is no object"},
    {"base", "{" WHOLE ",\"rope_theta\":-1}", NISSL_ERR_FORMAT,
     "\"rope_theta\" is no positive number"},
    {"epsilon", "{" WHOLE ",\"rms_norm_eps\":\"small\"}", NISSL_ERR_FORMAT,
     "\"rms_norm_eps\" is no positive number"},
    {"bands", "{" WHOLE ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"high_freq_factor\":0.5}}",
     NISSL_ERR_FORMAT, "high_freq_factor = 0.5 is not above low_freq_factor = 1"},
    {"relative positions",
     "{\"model_type\":\"bert\",\"hidden_size\":8,\"intermediate_size\":8,\"num_hidden_layers\":1,"
     "\"num_attention_heads\":2,\"vocab_size\":3,\"position_embedding_type\":\"relative_key\"}",
     NISSL_ERR_UNSUPPORTED, "\"relative_key\" is not supported, \"absolute\" is"},
};

static void test_configurations(void **state)
{
    (void)state;
    nissl__family_config config;
    nissl_error error = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (nissl__family_config_parse("config.json", bad[i].text, strlen(bad[i].text), &config,
                                       &error) != bad[i].code ||
            !strstr(error.message, bad[i].message))
            fail_msg("%s: %s", bad[i].defect, error.message);
    check_ok(nissl__family_config_parse("config.json", "{" WHOLE "}", strlen("{" WHOLE "}"),
                                        &config, &error),
             error);
    assert_int_equal(config.d_head, 4);
    assert_int_equal(config.d_rotary, 4);
    char *deep = malloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = '\0';
    assert_int_equal(nissl__family_config_parse("config.json", deep, 100000, &config, &error),
                     NISSL_ERR_FORMAT);
    free(deep);
    assert_int_equal(
        nissl__family_config_parse("config.json", "", (size_t)2 << 20, &config, &error),
        NISSL_ERR_LIMIT);
}

/* ---- folders ---- */

static char folder[] = "/tmp/nissl-family-XXXXXX";

static char *in_folder(const char *name)
{
    return nissl__format("%s/%s", folder, name);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    nissl__free(path);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

/* A file of float32 (or bfloat16) tensors of zeros that are not written: a hole. */
static int64_t write_hole(const char *name, const char *dtype, int size, size_t n,
                          const char *const *names, const int64_t (*shapes)[2])
{
    char *header = malloc(n * 200 + 8), *path = in_folder(name);
    size_t used = 1;
    int64_t at = 0;
    header[0] = '{';
    for (size_t i = 0; i < n; i++) {
        int64_t bytes = size * shapes[i][0] * (shapes[i][1] ? shapes[i][1] : 1);
        used += (size_t)sprintf(header + used, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%lld",
                                i ? "," : "", names[i], dtype, (long long)shapes[i][0]);
        if (shapes[i][1])
            used += (size_t)sprintf(header + used, ",%lld", (long long)shapes[i][1]);
        used += (size_t)sprintf(header + used, "],\"data_offsets\":[%lld,%lld]}", (long long)at,
                                (long long)(at + bytes));
        at += bytes;
    }
    header[used++] = '}';
    while (used % 8)
        header[used++] = ' ';
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(used >> 8 * i);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(length, 1, 8, file);
    fwrite(header, 1, used, file);
    fclose(file);
    if (truncate(path, (off_t)(8 + used) + at) != 0)
        at = -1;
    free(header);
    nissl__free(path);
    return at;
}

#define D     ((int64_t)8192)
#define MLP   ((int64_t)28672)
#define WORDS ((int64_t)128256)

/* As many layers of Llama 70B as make 64 GiB of bfloat16. */
static int64_t write_large(int n_layers)
{
    static const struct {
        const char *name;
        int64_t shape[2];
    } of_layer[9] = {{"input_layernorm", {D}},        {"self_attn.q_proj", {D, D}},
                     {"self_attn.k_proj", {1024, D}}, {"self_attn.v_proj", {1024, D}},
                     {"self_attn.o_proj", {D, D}},    {"post_attention_layernorm", {D}},
                     {"mlp.gate_proj", {MLP, D}},     {"mlp.up_proj", {MLP, D}},
                     {"mlp.down_proj", {D, MLP}}};
    size_t n = 0;
    const char **names = calloc((size_t)n_layers * 9 + 3, sizeof *names);
    int64_t(*shapes)[2] = calloc((size_t)n_layers * 9 + 3, sizeof *shapes);
    for (int i = 0; i < n_layers; i++)
        for (int k = 0; k < 9; k++, n++) {
            names[n] = nissl__format("model.layers.%d.%s.weight", i, of_layer[k].name);
            memcpy(shapes[n], of_layer[k].shape, sizeof *shapes);
        }
    size_t n_own = n;
    names[n] = "model.embed_tokens.weight";
    memcpy(shapes[n++], (int64_t[2]){WORDS, D}, sizeof *shapes);
    names[n] = "lm_head.weight";
    memcpy(shapes[n++], (int64_t[2]){WORDS, D}, sizeof *shapes);
    names[n] = "model.norm.weight";
    memcpy(shapes[n++], (int64_t[2]){D, 0}, sizeof *shapes);
    int64_t bytes =
        write_hole("model.safetensors", "BF16", 2, n, names, (const int64_t(*)[2])shapes);
    for (size_t i = 0; i < n_own; i++) {
        char *name;
        memcpy(&name, &names[i], sizeof name);
        nissl__free(name);
    }
    free(names);
    free(shapes);
    return bytes;
}

static long resident_kb(void)
{
    long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%ld %ld", &ignored, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* 64 GiB of weights open, and every site and its cost are known, without reading one of them. */
static void test_larger_than_memory(void **state)
{
    (void)state;
    char text[600];
    int n_layers = 38;
    nissl_network *network = NULL;
    nissl_program *program = NULL;
    nissl_error error = {0};
    int64_t shape[2] = {1, 2048};
    nissl_view input = nissl_view_of(NULL, NISSL_INT64, 2, shape);
    snprintf(text, sizeof text,
             "{\"model_type\":\"llama\",\"hidden_size\":%lld,\"intermediate_size\":%lld,"
             "\"vocab_size\":%lld,\"num_hidden_layers\":%d,\"num_attention_heads\":64,"
             "\"num_key_value_heads\":8,\"rope_theta\":500000.0,\"torch_dtype\":\"bfloat16\"}",
             (long long)D, (long long)MLP, (long long)WORDS, n_layers);
    write_text("config.json", text);
    int64_t bytes = write_large(n_layers);
    if (bytes < 0)
        skip();
    assert_true(bytes > (int64_t)60 << 30);
    long before = resident_kb();
    check_ok(nissl_network_open(NULL, folder, &network, &error), error);
    assert_int_equal(nissl_network_parameters(network), bytes / 2);
    nissl_program_options opt = nissl_program_options_default();
    opt.batch = 1;
    opt.shapes_only = true;
    opt.observe_all = true;
    opt.input_shapes = &input;
    opt.n_input_shapes = 1;
    check_ok(nissl_program_compile(NULL, network, &opt, &program, &error), error);
    int64_t at = nissl_program_find_site(program, "blocks.37.mlp.hook_post");
    assert_true(at >= 0);
    assert_int_equal(nissl_program_site(program, (size_t)at)->n_units, MLP);
    at = nissl_program_find_site(program, "model.layers.3.mlp.down_proj");
    assert_true(at >= 0);
    assert_int_equal(nissl_program_site(program, (size_t)at)->parameters, D * MLP);
    assert_true(nissl_program_operations(program) > 2 * 2048.0 * 30e9);
    long used = resident_kb() - before;
    if (used > 200 * 1024) /* a mask and positions of 2048 tokens are 20 MB */
        fail_msg("%ld kB became resident", used);
    nissl_program_free(program);
    nissl_network_free(network);
}

/* Weights that do not fit the configuration are named with both shapes. */
static void test_weights(void **state)
{
    (void)state;
    static const char *const names[] = {"model.embed_tokens.weight"};
    const int64_t shape[1][2] = {{53, 15}};
    nissl_network *network = NULL;
    nissl_error error = {0};
    write_text("config.json", "{" WHOLE "}");
    write_hole("model.safetensors", "F32", 4, 1, names, shape);
    assert_int_equal(nissl_network_open(NULL, folder, &network, &error), NISSL_ERR_SHAPE);
    assert_non_null(strstr(error.message, "tensor model.embed_tokens.weight is [53, 15], its "
                                          "configuration asks for [53, 16]"));
    write_hole("model.safetensors", "F32", 4, 1, names, (const int64_t[1][2]){{53, 16}});
    assert_int_equal(nissl_network_open(NULL, folder, &network, &error), NISSL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "no tensor model.layers.0.input_layernorm.weight [16]"));
    write_hole("model.safetensors", "I32", 4, 1, names, (const int64_t[1][2]){{53, 16}});
    assert_int_equal(nissl_network_open(NULL, folder, &network, &error), NISSL_ERR_TYPE);
    assert_non_null(strstr(error.message, "is int32; float32, float16 and bfloat16"));
}

static void test_missing_files(void **state)
{
    (void)state;
    static const char *const names[] = {"model.safetensors", "config.json"};
    nissl_network *network = NULL;
    nissl_error error = {0};
    write_text("config.json", "{" WHOLE "}");
    for (int i = 0; i < 2; i++) {
        char *path = in_folder(names[i]);
        unlink(path);
        nissl__free(path);
        assert_int_equal(nissl_network_open(NULL, folder, &network, &error), NISSL_ERR_IO);
        assert_non_null(strstr(error.message, i ? "config.json: cannot be opened"
                                                : "neither model.safetensors nor "
                                                  "model.safetensors.index.json is there"));
    }
}

/* Each way to name a model opens the same one, and the hash is that of its bytes. */
static void test_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {"gpt2", "gpt2/", "gpt2/model.safetensors",
                                        "gpt2/config.json", "qwen2"};
    uint64_t hash[5];
    for (size_t i = 0; i < 5; i++) {
        nissl_network *network = NULL;
        nissl_error error = {0};
        char *path = nissl__format("%s/families/%s", getenv("NISSL_FIXTURES"), paths[i]);
        check_ok(nissl_network_open(NULL, path, &network, &error), error);
        hash[i] = nissl_network_hash(network);
        assert_true(hash[i] == nissl_network_hash(network));
        assert_string_equal(nissl_network_format(network),
                            i < 4 ? "safetensors, GPT-2" : "safetensors, Qwen2");
        nissl_network_free(network);
        nissl__free(path);
    }
    for (int i = 1; i < 4; i++)
        assert_true(hash[i] == hash[0]);
    assert_true(hash[4] != hash[0]);
}

/* Every allocation failing in turn leaves an error and nothing behind. */
static void test_allocations(void **state)
{
    (void)state;
    char *path = nissl__format("%s/families/qwen3", getenv("NISSL_FIXTURES"));
    nissl_status status = NISSL_ERR_MEMORY;
    for (uint64_t n = 1; status != NISSL_OK && n < 5000; n++) {
        nissl_network *network = NULL;
        nissl_error error = {0};
        nissl__alloc_fail_at(n);
        status = nissl_network_open(NULL, path, &network, &error);
        nissl__alloc_fail_at(0);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        nissl_network_free(network);
    }
    assert_int_equal(status, NISSL_OK);
    nissl__free(path);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "model.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = in_folder(names[i]);
        unlink(path);
        nissl__free(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configurations), cmocka_unit_test(test_larger_than_memory),
        cmocka_unit_test(test_weights),        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_paths),          cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
