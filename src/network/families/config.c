/* Reading config.json: what each family calls its sizes, and what is refused. */
#include <jansson.h>

#include "network/families/config.h"

#define MAX_TEXT   ((size_t)1 << 20)
#define MAX_SIZE   ((int64_t)1 << 24)
#define MAX_LAYERS 1024

const char *nissl__family_name(nissl__family family)
{
    static const char *const names[NISSL__FAMILY_COUNT] = {"GPT-2", "GPT-NeoX", "Llama",
                                                           "Qwen2", "Qwen3",    "BERT"};
    return names[family];
}

/* The object being read; failures stay in status. */
typedef struct reader {
    const char *label;
    json_t *root;
    nissl_status status;
    nissl_error *err;
} reader;

#define READ_FAIL(r, code, ...) ((r)->status = NISSL__FAIL((r)->err, (code), __VA_ARGS__))

/* The value of a key that is there and not null. */
static json_t *get(const reader *r, const char *key)
{
    json_t *value = json_object_get(r->root, key);
    return json_is_null(value) ? NULL : value;
}

/* A size of at least 1, or fallback (0 = the key must be there). */
static int64_t size_of(reader *r, const char *key, int64_t fallback)
{
    json_t *value = get(r, key);
    if (r->status != NISSL_OK)
        return 1;
    if (!value && fallback > 0)
        return fallback;
    if (!value)
        READ_FAIL(r, NISSL_ERR_FORMAT, "%s: no \"%s\"", r->label, key);
    else if (!json_is_integer(value) || json_integer_value(value) < 1 ||
             json_integer_value(value) > MAX_SIZE)
        READ_FAIL(r, NISSL_ERR_FORMAT, "%s: \"%s\" is %s, not a whole number of 1 .. %lld",
                  r->label, key, json_is_integer(value) ? "out of range" : "no whole number",
                  (long long)MAX_SIZE);
    else
        return json_integer_value(value);
    return 1;
}

static double number_in(reader *r, json_t *object, const char *key, double fallback)
{
    json_t *value = json_object_get(object, key);
    if (r->status != NISSL_OK || !value || json_is_null(value))
        return fallback;
    double x = json_number_value(value);
    if (json_is_number(value) && x > 0 && x < 1e30)
        return x;
    READ_FAIL(r, NISSL_ERR_FORMAT, "%s: \"%s\" is no positive number", r->label, key);
    return fallback;
}

static bool flag(reader *r, const char *key, bool fallback)
{
    json_t *value = get(r, key);
    if (r->status != NISSL_OK || !value)
        return fallback;
    if (json_is_boolean(value))
        return json_is_true(value);
    READ_FAIL(r, NISSL_ERR_FORMAT, "%s: \"%s\" is neither true nor false", r->label, key);
    return fallback;
}

static const char *text_in(reader *r, json_t *object, const char *key, const char *fallback)
{
    json_t *value = json_object_get(object, key);
    if (r->status != NISSL_OK || !value || json_is_null(value))
        return fallback;
    if (json_is_string(value))
        return json_string_value(value);
    READ_FAIL(r, NISSL_ERR_FORMAT, "%s: \"%s\" is no text", r->label, key);
    return fallback;
}

/* Refuses a setting that is not its usual self. */
static void want_flag(reader *r, const char *key, bool usual)
{
    if (flag(r, key, usual) != usual && r->status == NISSL_OK)
        READ_FAIL(r, NISSL_ERR_UNSUPPORTED, "%s: \"%s\": %s is not supported", r->label, key,
                  usual ? "false" : "true");
}

static void want_text(reader *r, const char *key, const char *usual)
{
    const char *text = text_in(r, r->root, key, usual);
    if (strcmp(text, usual) != 0 && r->status == NISSL_OK)
        READ_FAIL(r, NISSL_ERR_UNSUPPORTED, "%s: \"%s\": \"%.80s\" is not supported, \"%s\" is",
                  r->label, key, text, usual);
}

static nissl__activation activation(reader *r, const char *key, const char *fallback)
{
    static const struct {
        const char *name;
        nissl__activation activation;
    } known[] = {
        {"gelu", NISSL__ACTIVATION_GELU},
        {"gelu_new", NISSL__ACTIVATION_GELU_TANH},
        {"gelu_fast", NISSL__ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", NISSL__ACTIVATION_GELU_TANH},
        {"relu", NISSL__ACTIVATION_RELU},
        {"silu", NISSL__ACTIVATION_SILU},
        {"swish", NISSL__ACTIVATION_SILU},
        {"tanh", NISSL__ACTIVATION_TANH},
    };
    const char *name = text_in(r, r->root, key, fallback);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].activation;
    if (r->status == NISSL_OK)
        READ_FAIL(r, NISSL_ERR_UNSUPPORTED,
                  "%s: the activation \"%.80s\" is not supported; gelu, gelu_new, "
                  "gelu_pytorch_tanh, relu, silu and tanh are",
                  r->label, name);
    return NISSL__ACTIVATION_GELU;
}

/* Rotary embedding: top-level keys of older files, "rope_parameters" of newer ones. */
static void read_rope(reader *r, nissl__family_config *c, const char *base_key, double base,
                      const char *part_key, double part)
{
    json_t *rope = get(r, "rope_parameters");
    json_t *scaling = rope ? rope : get(r, "rope_scaling");
    if (scaling && !json_is_object(scaling)) {
        READ_FAIL(r, NISSL_ERR_FORMAT, "%s: \"%s\" is no object", r->label,
                  rope ? "rope_parameters" : "rope_scaling");
        return;
    }
    base = number_in(r, r->root, base_key, base);
    c->rope_base = number_in(r, rope, "rope_theta", base);
    part = number_in(r, r->root, part_key, part);
    part = number_in(r, rope, "partial_rotary_factor", part);
    c->d_rotary = (int64_t)((double)c->d_head * part);
    c->rope_factor = 1;
    const char *type = text_in(r, scaling, "type", "default");
    type = text_in(r, scaling, "rope_type", type);
    if (r->status != NISSL_OK || strcmp(type, "default") == 0)
        return;
    c->rope_factor = number_in(r, scaling, "factor", 1);
    if (strcmp(type, "llama3") == 0) {
        c->rope_llama3 = true;
        c->rope_low = number_in(r, scaling, "low_freq_factor", 1);
        c->rope_high = number_in(r, scaling, "high_freq_factor", 4);
        c->rope_original_length =
            number_in(r, scaling, "original_max_position_embeddings", (double)c->n_positions);
        if (r->status == NISSL_OK && c->rope_high <= c->rope_low)
            READ_FAIL(r, NISSL_ERR_FORMAT,
                      "%s: high_freq_factor = %g is not above "
                      "low_freq_factor = %g",
                      r->label, c->rope_high, c->rope_low);
    } else if (strcmp(type, "linear") != 0) {
        READ_FAIL(r, NISSL_ERR_UNSUPPORTED,
                  "%s: rotary embeddings of type \"%.80s\" are not supported; default, linear and "
                  "llama3 are",
                  r->label, type);
    }
}

static void read_gpt2(reader *r, nissl__family_config *c)
{
    c->d_model = size_of(r, "n_embd", 0);
    c->d_mlp = size_of(r, "n_inner", 4 * c->d_model);
    c->n_layers = size_of(r, "n_layer", 0);
    c->n_heads = c->n_kv_heads = size_of(r, "n_head", 0);
    c->n_vocab = size_of(r, "vocab_size", 0);
    c->n_positions = size_of(r, "n_positions", 1024);
    c->epsilon = (float)number_in(r, r->root, "layer_norm_epsilon", 1e-5);
    c->activation = activation(r, "activation_function", "gelu_new");
    c->scale_attention = flag(r, "scale_attn_weights", true);
    c->scale_by_layer = flag(r, "scale_attn_by_inverse_layer_idx", false);
    c->tied = flag(r, "tie_word_embeddings", true);
    want_flag(r, "add_cross_attention", false);
}

static void read_neox(reader *r, nissl__family_config *c)
{
    c->d_model = size_of(r, "hidden_size", 0);
    c->d_mlp = size_of(r, "intermediate_size", 0);
    c->n_layers = size_of(r, "num_hidden_layers", 0);
    c->n_heads = c->n_kv_heads = size_of(r, "num_attention_heads", 0);
    c->d_head = c->d_model % c->n_heads ? 0 : c->d_model / c->n_heads;
    c->n_vocab = size_of(r, "vocab_size", 0);
    c->n_positions = size_of(r, "max_position_embeddings", 2048);
    c->epsilon = (float)number_in(r, r->root, "layer_norm_eps", 1e-5);
    c->activation = activation(r, "hidden_act", "gelu");
    c->parallel = flag(r, "use_parallel_residual", true);
    c->tied = flag(r, "tie_word_embeddings", false);
    read_rope(r, c, "rotary_emb_base", 10000, "rotary_pct", 0.25);
}

static void read_llama(reader *r, nissl__family_config *c)
{
    c->d_model = size_of(r, "hidden_size", 0);
    c->d_mlp = size_of(r, "intermediate_size", 0);
    c->n_layers = size_of(r, "num_hidden_layers", 0);
    c->n_heads = size_of(r, "num_attention_heads", 0);
    c->n_kv_heads = size_of(r, "num_key_value_heads", c->n_heads);
    c->d_head =
        size_of(r, "head_dim",
                c->family == NISSL__FAMILY_QWEN3 ? 128 : NISSL__MAX(c->d_model / c->n_heads, 1));
    c->n_vocab = size_of(r, "vocab_size", 0);
    c->n_positions = size_of(r, "max_position_embeddings", 2048);
    c->epsilon = (float)number_in(r, r->root, "rms_norm_eps", 1e-6);
    c->activation = activation(r, "hidden_act", "silu");
    c->tied = flag(r, "tie_word_embeddings", false);
    read_rope(r, c, "rope_theta", 10000, "partial_rotary_factor", 1);
    want_flag(r, "use_sliding_window", false);
    json_t *types = get(r, "layer_types");
    for (size_t i = 0; i < json_array_size(types) && r->status == NISSL_OK; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!type || strcmp(type, "full_attention") != 0)
            READ_FAIL(r, NISSL_ERR_UNSUPPORTED,
                      "%s: layer %zu is of type \"%.80s\"; full_attention is supported", r->label,
                      i, type ? type : "");
    }
}

static void read_bert(reader *r, nissl__family_config *c)
{
    c->d_model = size_of(r, "hidden_size", 0);
    c->d_mlp = size_of(r, "intermediate_size", 0);
    c->n_layers = size_of(r, "num_hidden_layers", 0);
    c->n_heads = c->n_kv_heads = size_of(r, "num_attention_heads", 0);
    c->n_vocab = size_of(r, "vocab_size", 0);
    c->n_positions = size_of(r, "max_position_embeddings", 512);
    c->epsilon = (float)number_in(r, r->root, "layer_norm_eps", 1e-12);
    c->activation = activation(r, "hidden_act", "gelu");
    c->tied = flag(r, "tie_word_embeddings", true);
    want_text(r, "position_embedding_type", "absolute");
    want_flag(r, "is_decoder", false);
}

static void check(reader *r, const nissl__family_config *c)
{
    if (r->status != NISSL_OK)
        return;
    if (c->n_layers > MAX_LAYERS)
        READ_FAIL(r, NISSL_ERR_LIMIT, "%s: %lld layers, at most %d", r->label,
                  (long long)c->n_layers, MAX_LAYERS);
    else if (c->d_model % c->n_heads && c->d_head * c->n_heads == 0)
        READ_FAIL(r, NISSL_ERR_FORMAT, "%s: %lld dimensions do not divide into %lld heads",
                  r->label, (long long)c->d_model, (long long)c->n_heads);
    else if (c->d_head < 1 || c->n_heads % c->n_kv_heads)
        READ_FAIL(r, NISSL_ERR_FORMAT,
                  "%s: %lld heads of %lld dimensions over %lld key-value heads", r->label,
                  (long long)c->n_heads, (long long)c->d_head, (long long)c->n_kv_heads);
    else if (c->rope_base > 0 && (c->d_rotary < 2 || c->d_rotary % 2 || c->d_rotary > c->d_head))
        READ_FAIL(r, NISSL_ERR_FORMAT, "%s: %lld rotary dimensions of a head's %lld", r->label,
                  (long long)c->d_rotary, (long long)c->d_head);
}

nissl_status nissl__family_config_parse(const char *label, const char *text, size_t size,
                                        nissl__family_config *out, nissl_error *err)
{
    static const struct {
        const char *type;
        nissl__family family;
        void (*read)(reader *r, nissl__family_config *c);
    } families[] = {
        {"gpt2", NISSL__FAMILY_GPT2, read_gpt2},    {"gpt_neox", NISSL__FAMILY_NEOX, read_neox},
        {"llama", NISSL__FAMILY_LLAMA, read_llama}, {"qwen2", NISSL__FAMILY_QWEN2, read_llama},
        {"qwen3", NISSL__FAMILY_QWEN3, read_llama}, {"bert", NISSL__FAMILY_BERT, read_bert},
    };
    const size_t n_families = sizeof families / sizeof *families;
    reader r = {.label = label, .err = err};
    nissl__family_config config = {.scale_attention = true};
    json_error_t problem;
    size_t i = 0;
    if (size > MAX_TEXT)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %zu bytes, at most %zu", label, size,
                           MAX_TEXT);
    r.root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    if (!r.root)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s:%d:%d: %s", label, problem.line,
                           problem.column, problem.text);
    const char *type = text_in(&r, r.root, "model_type", "");
    while (r.status == NISSL_OK && i < n_families && strcmp(families[i].type, type) != 0)
        i++;
    if (r.status == NISSL_OK && i == n_families)
        READ_FAIL(&r, NISSL_ERR_UNSUPPORTED,
                  "%s: model_type \"%.80s\" is not supported without ONNX; gpt2, gpt_neox, llama, "
                  "qwen2, qwen3 and bert are",
                  label, type);
    if (r.status == NISSL_OK) {
        config.family = families[i].family;
        families[i].read(&r, &config);
        if (config.d_head == 0 && config.d_model % config.n_heads == 0)
            config.d_head = config.d_model / config.n_heads;
        check(&r, &config);
    }
    if (r.status == NISSL_OK)
        *out = config;
    json_decref(r.root);
    return r.status;
}

void nissl__rope_frequencies(const nissl__family_config *config, float *out)
{
    const double pi = 3.14159265358979323846;
    for (int64_t i = 0; i < config->d_rotary / 2; i++) {
        float power = powf((float)config->rope_base, (float)(2 * i) / (float)config->d_rotary);
        float frequency = 1.0f / power;
        if (config->rope_llama3) {
            /* Llama 3.1: wavelengths beyond the old context are divided, those well inside it are
             * kept, and between them the two are mixed. */
            double wavelength = 2 * pi / (double)frequency;
            double length = config->rope_original_length;
            double mix =
                (length / wavelength - config->rope_low) / (config->rope_high - config->rope_low);
            mix = fmin(fmax(mix, 0), 1);
            frequency = (float)((1 - mix) * (double)frequency / config->rope_factor +
                                mix * (double)frequency);
        } else if (config->rope_factor != 1) {
            frequency = (float)((double)frequency / config->rope_factor);
        }
        out[i] = frequency;
    }
}
