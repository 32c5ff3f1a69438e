/* Opening a network without ONNX: which files a path means, its configuration, and its graph. */
#include <stdio.h>
#include <sys/stat.h>

#include "network/families/build.h"
#include "network/families/family.h"

#define CONFIG  "config.json"
#define WEIGHTS "model.safetensors"
#define INDEX   "model.safetensors.index.json"
#define HEAD    64 /* bytes that tell a file's kind */

typedef enum path_kind {
    PATH_OTHER,
    PATH_FOLDER,
    PATH_SAFETENSORS,
    PATH_INDEX,
    PATH_CONFIG,
    PATH_LLAMA2C
} path_kind;

static bool is_named(const char *path, const char *name)
{
    size_t n = strlen(path), m = strlen(name);
    return n >= m && strcmp(path + n - m, name) == 0;
}

/* A header length that fits the file, then the beginning of a JSON object. */
static bool begins_as_safetensors(const uint8_t *head, size_t n, uint64_t size)
{
    uint64_t length = 0;
    for (int i = 7; i >= 0 && n >= 9; i--)
        length = length << 8 | head[i];
    return n >= 9 && length >= 2 && length <= size - 8 && head[8] == '{';
}

static path_kind kind_of(const char *path)
{
    struct stat info;
    uint8_t head[HEAD];
    if (stat(path, &info) != 0)
        return PATH_OTHER;
    if (S_ISDIR(info.st_mode))
        return PATH_FOLDER;
    FILE *file = S_ISREG(info.st_mode) ? fopen(path, "rbe") : NULL;
    if (!file)
        return PATH_OTHER;
    size_t n = fread(head, 1, sizeof head, file);
    uint64_t size = (uint64_t)info.st_size;
    fclose(file);
    if (begins_as_safetensors(head, n, size))
        return PATH_SAFETENSORS;
    if (n && head[0] == '{' && is_named(path, ".safetensors.index.json"))
        return PATH_INDEX;
    if (n && head[0] == '{' && strcmp(nissl__file_name(path), CONFIG) == 0)
        return PATH_CONFIG;
    return nissl__llama2c_recognise(head, n, size) ? PATH_LLAMA2C : PATH_OTHER;
}

bool nissl__family_claims(const char *path)
{
    return kind_of(path) != PATH_OTHER;
}

static void free_built(void *owner)
{
    nissl__built *built = owner;
    nissl__safetensors_free(built->set);
    nissl__llama2c_close(&built->checkpoint);
    nissl__unmap_file(&built->config);
    nissl__arena_free(&built->arena);
    nissl__free(built);
}

/* ---- the graph ---- */

/* The model of what was written. */
static nissl_status finish_model(nissl__builder *b)
{
    static const nissl__onnx_opset opset = {"", NISSL__BUILD_OPSET};
    nissl__onnx_model *model = &b->built->model;
    void *input = NULL;
    if (b->status == NISSL_OK)
        b->status =
            nissl__arena_take(&b->built->arena, 1, sizeof(nissl__onnx_value), &input, b->err);
    if (b->status != NISSL_OK)
        return b->status;
    *(nissl__onnx_value *)input = (nissl__onnx_value){.name = b->ids,
                                                      .has_type = true,
                                                      .has_shape = true,
                                                      .type = NISSL_INT64,
                                                      .rank = 2,
                                                      .shape = {-1, -1},
                                                      .dim_names = {"batch", "tokens"}};
    *model = (nissl__onnx_model){
        .ir_version = 10,
        .opset = NISSL__BUILD_OPSET,
        .producer_name = "nissl",
        .producer_version = "",
        .n_opsets = 1,
        .opsets = &opset,
        .graph = {.name = nissl__family_name(b->config->family),
                  .n_nodes = b->n_nodes,
                  .nodes = b->nodes,
                  .n_initializers = b->n_initializers,
                  .initializers = b->initializers,
                  .n_inputs = 1,
                  .inputs = input,
                  .n_outputs = b->n_outputs,
                  .outputs = b->outputs},
        .owner = b->built,
        .release = free_built,
    };
    return NISSL_OK;
}

/* The files' bytes, for the hash: configuration, then weights in order. */
static nissl_status list_parts(nissl__built *built, nissl_error *err)
{
    size_t n = 0, size;
    const void *bytes;
    void *memory = NULL;
    while (built->set && nissl__safetensors_file(built->set, n, &bytes, &size))
        n++;
    nissl_status status =
        nissl__arena_take(&built->arena, n + 2, sizeof(nissl__mapping), &memory, err);
    if (status != NISSL_OK)
        return status;
    nissl__mapping *parts = memory;
    parts[0] = built->config;
    parts[1] = built->checkpoint.file;
    for (size_t i = 0; i < n; i++) {
        (void)nissl__safetensors_file(built->set, i, &bytes, &size);
        parts[i + 2] = (nissl__mapping){bytes, size};
    }
    built->lazy_hash.n = n + 2;
    built->lazy_hash.parts = parts;
    return NISSL_OK;
}

/* Labels from names to value indices. */
static nissl_status place_labels(nissl__builder *b, nissl_network *network, nissl_error *err)
{
    void *memory = NULL;
    network->label_memory.budget = UINT64_MAX / 2;
    nissl_status status = nissl__arena_take(&network->label_memory, (size_t)network->n_values,
                                            sizeof(nissl__label), &memory, err);
    if (status != NISSL_OK)
        return status;
    nissl__label *labels = memory;
    for (int i = 0; i < network->n_values; i++)
        labels[i].roles = "";
    for (size_t i = 0; i < b->n_labels; i++) {
        int value = nissl__network_find_value(network, b->labels[i].value);
        if (value >= 0)
            labels[value] = b->labels[i].label;
    }
    network->labels = labels;
    return NISSL_OK;
}

/* Writes the graph of a configuration and weights, and opens it. built is taken over. */
static nissl_status build(nissl_context *ctx, nissl__builder *b, const char *format,
                          nissl_network **out, nissl_error *err)
{
    static void (*const families[NISSL__FAMILY_COUNT])(nissl__builder *) = {
        nissl__build_gpt2,  nissl__build_neox,  nissl__build_llama,
        nissl__build_llama, nissl__build_llama, nissl__build_bert};
    nissl__built *built = b->built;
    nissl_network *network = NULL;
    families[b->config->family](b);
    nissl_status status = finish_model(b);
    if (status == NISSL_OK)
        status = list_parts(built, err);
    if (status != NISSL_OK) {
        free_built(built);
        return status;
    }
    status = nissl__network_of_model(ctx, &built->model, b->path, format, 0, &network, err);
    if (status != NISSL_OK)
        return status;
    network->lazy_hash = &built->lazy_hash;
    network->masks_padding = true;
    status = place_labels(b, network, err);
    if (status == NISSL_OK)
        *out = network;
    else
        nissl_network_free(network);
    return status;
}

/* ---- a folder ---- */

/* What is beside a file of a folder, or in the folder. */
static char *beside(const char *path, bool folder, const char *name)
{
    size_t n = strlen(path);
    if (folder)
        return nissl__format("%s%s%s", path, n && path[n - 1] == '/' ? "" : "/", name);
    return nissl__format("%.*s%s", (int)(nissl__file_name(path) - path), path, name);
}

static nissl_status open_weights(const char *path, path_kind kind, uint64_t budget,
                                 nissl__safetensors **out, nissl_error *err)
{
    struct stat info;
    bool folder = kind == PATH_FOLDER;
    nissl_status status;
    if (kind == PATH_SAFETENSORS)
        return nissl__safetensors_open(path, budget, out, err);
    if (kind == PATH_INDEX)
        return nissl__safetensors_open_index(path, budget, out, err);
    char *whole = beside(path, folder, WEIGHTS), *index = beside(path, folder, INDEX);
    if (!whole || !index)
        status = NISSL__NO_MEMORY(err, strlen(path) + sizeof INDEX);
    else if (stat(whole, &info) == 0)
        status = nissl__safetensors_open(whole, budget, out, err);
    else if (stat(index, &info) == 0)
        status = nissl__safetensors_open_index(index, budget, out, err);
    else
        status =
            NISSL__FAIL(err, NISSL_ERR_IO, "%s: neither " WEIGHTS " nor " INDEX " is there", path);
    nissl__free(whole);
    nissl__free(index);
    return status;
}

static nissl_status open_folder(nissl_context *ctx, const char *path, path_kind kind,
                                nissl_network **out, nissl_error *err)
{
    uint64_t budget = nissl__memory_limit(ctx);
    nissl__family_config config;
    nissl__built *built = nissl__alloc(1, sizeof *built);
    char *config_path = beside(path, kind == PATH_FOLDER, CONFIG), *format = NULL;
    nissl_status status;
    if (!built || !config_path) {
        status = NISSL__NO_MEMORY(err, sizeof *built);
        goto done;
    }
    built->arena.budget = budget;
    if ((status = nissl__map_file(config_path, &built->config, err)) != NISSL_OK ||
        (status = nissl__family_config_parse(config_path, (const char *)built->config.data,
                                             built->config.size, &config, err)) != NISSL_OK ||
        (status = open_weights(path, kind, budget, &built->set, err)) != NISSL_OK)
        goto done;
    format = nissl__format("safetensors, %s", nissl__family_name(config.family));
    if (!format) {
        status = NISSL__NO_MEMORY(err, 32);
        goto done;
    }
    nissl__builder b = {.built = built, .config = &config, .path = path, .err = err};
    b.n_weights = nissl__safetensors_count(built->set);
    b.weights = nissl__safetensors_at(built->set, 0);
    status = build(ctx, &b, format, out, err);
    built = NULL;
done:
    if (built)
        free_built(built);
    nissl__free(config_path);
    nissl__free(format);
    return status;
}

/* ---- llama2.c ---- */

/* The checkpoint's tensors, sorted, under the names of Llama. */
typedef struct checkpoint_table {
    nissl__builder *b;
    nissl__onnx_tensor *tensors;
    size_t n;
} checkpoint_table;

static void add_tensor(checkpoint_table *t, const char *name, const float *data, int rank,
                       int64_t rows, int64_t columns)
{
    t->tensors[t->n++] =
        (nissl__onnx_tensor){.name = name,
                             .type = NISSL_FLOAT32,
                             .rank = rank,
                             .shape = {rows, columns},
                             .data = data,
                             .bytes = (size_t)(rows * (rank > 1 ? columns : 1)) * sizeof *data};
}

static void add_layers(checkpoint_table *t, const char *name, const float *data, int rank,
                       int64_t rows, int64_t columns)
{
    int64_t size = rows * (rank > 1 ? columns : 1);
    for (int64_t i = 0; i < t->b->config->n_layers; i++)
        add_tensor(t, nissl__text(t->b, "model.layers.%d.%s.weight", (int)i, name), data + i * size,
                   rank, rows, columns);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const nissl__onnx_tensor *)a)->name, ((const nissl__onnx_tensor *)b)->name);
}

static void name_tensors(nissl__builder *b, const nissl__llama2c *c)
{
    checkpoint_table t = {.b = b};
    void *memory = NULL;
    int64_t kv = c->dim / c->n_heads * c->n_kv_heads;
    b->status = nissl__arena_take(&b->built->arena, 9 * (size_t)c->n_layers + 3, sizeof *t.tensors,
                                  &memory, b->err);
    if (b->status != NISSL_OK)
        return;
    t.tensors = memory;
    add_tensor(&t, "model.embed_tokens.weight", c->token_embedding, 2, c->vocab_size, c->dim);
    add_tensor(&t, "model.norm.weight", c->rms_final, 1, c->dim, 0);
    if (!c->shared_classifier)
        add_tensor(&t, "lm_head.weight", c->wcls, 2, c->vocab_size, c->dim);
    add_layers(&t, "input_layernorm", c->rms_att, 1, c->dim, 0);
    add_layers(&t, "self_attn.q_proj", c->wq, 2, c->dim, c->dim);
    add_layers(&t, "self_attn.k_proj", c->wk, 2, kv, c->dim);
    add_layers(&t, "self_attn.v_proj", c->wv, 2, kv, c->dim);
    add_layers(&t, "self_attn.o_proj", c->wo, 2, c->dim, c->dim);
    add_layers(&t, "post_attention_layernorm", c->rms_ffn, 1, c->dim, 0);
    add_layers(&t, "mlp.gate_proj", c->w1, 2, c->hidden_dim, c->dim);
    add_layers(&t, "mlp.down_proj", c->w2, 2, c->dim, c->hidden_dim);
    add_layers(&t, "mlp.up_proj", c->w3, 2, c->hidden_dim, c->dim);
    qsort(t.tensors, t.n, sizeof *t.tensors, by_name);
    b->weights = t.tensors;
    b->n_weights = t.n;
}

static nissl_status open_llama2c(nissl_context *ctx, const char *path, nissl_network **out,
                                 nissl_error *err)
{
    nissl__built *built = nissl__alloc(1, sizeof *built);
    if (!built)
        return NISSL__NO_MEMORY(err, sizeof *built);
    built->arena.budget = nissl__memory_limit(ctx);
    nissl_status status = nissl__llama2c_open(path, &built->checkpoint, err);
    if (status != NISSL_OK) {
        free_built(built);
        return status;
    }
    const nissl__llama2c *c = &built->checkpoint;
    nissl__family_config config = {
        .family = NISSL__FAMILY_LLAMA,
        .d_model = c->dim,
        .d_mlp = c->hidden_dim,
        .n_layers = c->n_layers,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads,
        .d_head = c->dim / c->n_heads,
        .n_vocab = c->vocab_size,
        .n_positions = c->seq_len,
        .activation = NISSL__ACTIVATION_SILU,
        .epsilon = 1e-5f,
        .tied = c->shared_classifier,
        .scale_attention = true,
        .d_rotary = c->dim / c->n_heads,
        .interleaved = true,
        .rope_base = 10000,
        .rope_factor = 1,
    };
    nissl__builder b = {.built = built, .config = &config, .path = path, .err = err};
    name_tensors(&b, c);
    return build(ctx, &b, "llama2.c, version 0", out, err);
}

nissl_status nissl__family_open(nissl_context *ctx, const char *path, nissl_network **out,
                                nissl_error *err)
{
    path_kind kind = kind_of(path);
    return kind == PATH_LLAMA2C ? open_llama2c(ctx, path, out, err)
                                : open_folder(ctx, path, kind, out, err);
}
