/* Recognising transformers: find blocks, run once, keep what the numbers bear out, and name it. */
#include <stddef.h>
#include <stdio.h>

#include "network/families/recognise_walk.h"

#define MAX_BLOCKS     1024
#define MAX_ALIASES    8
#define MAX_PARAMETERS ((uint64_t)1 << 29) /* beyond them opening would take long */
#define MAX_NODES      200000
#define STREAM         0x7265636f676eu /* of the random input */
#define LOWEST_VOCAB   32

/* A recognition under way. */
typedef struct recognition {
    nissl_context *ctx;
    nissl_network *network;
    nissl_error *err;
    int64_t tokens, batch;
    double most_operations;
    size_t n_blocks;
    nissl__found_block *blocks;
    int *numbers; /* [n_blocks] which attention of the network each is, then which layer */
    int *final_numbers;
    bool final_rms;
    int final_norm; /* after the last block, before the output's linear layer; -1 = none */
    nissl__found_values found;
    nissl__label *labels;
} recognition;

/* ---- input ---- */

static bool takes_ids(const nissl_port *port)
{
    return port->rank == 2 && (port->type == NISSL_INT64 || port->type == NISSL_INT32);
}

/* Words that every table which ids choose from has. */
static int64_t vocabulary(const nissl_network *network)
{
    int64_t n = 0;
    for (int i = 0; i < network->n_nodes; i++) {
        const nissl__node *node = &network->nodes[i];
        if (strcmp(node->onnx->op, "Gather") != 0 || node->n_inputs < 2 ||
            node->inputs[1] != network->inputs[0] || node->inputs[0] < 0 ||
            !network->constants[node->inputs[0]])
            continue;
        int64_t rows = network->constants[node->inputs[0]]->shape[0];
        n = n && n < rows ? n : rows;
    }
    return n ? n : LOWEST_VOCAB;
}

/* The shape to run with; false where an axis cannot be guessed. */
static bool guess_shape(const nissl_port *port, int64_t tokens, nissl_view *out)
{
    if (port->rank < 2 || (port->type != NISSL_FLOAT32 && !takes_ids(port)))
        return false;
    *out = nissl_view_of(NULL, port->type, port->rank, port->shape);
    if (takes_ids(port) && out->shape[1] < 1)
        out->shape[1] = tokens;
    for (int i = 1; i < port->rank; i++)
        if (out->shape[i] < 1)
            return false;
    return true;
}

static void fill_input(const recognition *r, const nissl_view *view)
{
    int64_t n = nissl_view_count(view), words = vocabulary(r->network);
    for (int64_t i = 0; i < n; i++) {
        if (view->type == NISSL_INT64)
            ((int64_t *)view->data)[i] = nissl__random_below(1, STREAM, (uint64_t)i, words);
        else if (view->type == NISSL_INT32)
            ((int32_t *)view->data)[i] =
                (int32_t)nissl__random_below(1, STREAM, (uint64_t)i, words);
        else
            ((float *)view->data)[i] = (float)nissl__random_normal(1, STREAM, (uint64_t)i);
    }
}

/* ---- finding ---- */

static bool may_hold_attention(const nissl_network *network)
{
    for (int i = 0; i < network->n_nodes; i++)
        if (strcmp(network->nodes[i].onnx->op, "Softmax") == 0)
            return true;
    return false;
}

/* Whether a size of heads is that of tokens, so that shapes do not tell them apart. */
static bool ambiguous(const nissl__walk *w, const nissl__found_block *b)
{
    const nissl__value *q = &w->values[b->q], *v = &w->values[b->v];
    int64_t tokens = w->values[b->pattern].shape[3], heads = w->values[b->pattern].shape[1];
    return heads == tokens || q->shape[3] == tokens || v->shape[3] == tokens ||
           v->shape[1] == v->shape[2] || q->shape[1] == q->shape[2];
}

/* The number between two dots that a name has first: 3 of "model.layers.3.mlp.0.weight"; or -1. */
static int first_number(const char *name)
{
    for (const char *at = name; (at = strchr(at, '.')); at++) {
        int n = 0, digits = 0;
        while (at[1 + digits] >= '0' && at[1 + digits] <= '9' && digits < 5)
            n = 10 * n + (at[1 + digits++] - '0');
        if (digits && (at[1 + digits] == '.' || at[1 + digits] == '/'))
            return n;
    }
    return -1;
}

/* Which layer a block is by the names of its weights and nodes; -1 where they do not say. */
static int number_of(const nissl_network *network, const nissl__found_block *b)
{
    int found = -1;
    for (int i = network->producer[b->norm1]; i <= network->producer[b->out]; i++) {
        const nissl__node *node = i >= 0 ? &network->nodes[i] : NULL;
        for (int j = -1; node && j < node->n_inputs; j++) {
            int value = j >= 0 ? node->inputs[j] : -1, n = -1;
            if (j < 0)
                n = first_number(node->name);
            else if (value >= 0 && network->constants[value])
                n = first_number(network->value_names[value]);
            if (n >= 0 && found >= 0 && n != found)
                return -1;
            found = n >= 0 ? n : found;
        }
    }
    return found;
}

/* Numbers blocks by their names in the file, and otherwise by their place where each follows
 * directly on the one before. What cannot be numbered is left out. */
static void number_blocks(recognition *r)
{
    size_t n = 0;
    bool follows = false; /* the block before was numbered by its place */
    int before = -1;      /* its output */
    for (size_t i = 0; i < r->n_blocks; i++) {
        const nissl__found_block *b = &r->blocks[i];
        int own = number_of(r->network, b), place = r->numbers[i];
        bool placed = place == 0 || (follows && b->in == before && place == r->numbers[i - 1] + 1);
        follows = placed && (own < 0 || own == place);
        before = b->after ? b->norm_out : b->out;
        r->numbers[i] = place;
        if (own < 0 && !placed)
            continue;
        r->blocks[n] = *b;
        r->final_numbers[n++] = own >= 0 ? own : place;
    }
    memcpy(r->numbers, r->final_numbers, n * sizeof *r->numbers);
    r->n_blocks = n;
}

static nissl_status find_blocks(recognition *r, const nissl_program *shapes, bool *clear)
{
    nissl__walk w;
    int number = 0;
    nissl_status status = nissl__walk_new(r->network, shapes, &w, r->err);
    if (status != NISSL_OK)
        return status;
    *clear = true;
    r->n_blocks = 0;
    for (int i = 0; i < r->network->n_nodes && r->n_blocks < MAX_BLOCKS; i++) {
        nissl__found_block *b = &r->blocks[r->n_blocks];
        if (!nissl__walk_is_attention(&w, i))
            continue;
        if (nissl__walk_block(&w, i, b)) {
            r->tokens = w.values[b->pattern].shape[3];
            *clear &= !ambiguous(&w, b);
            r->numbers[r->n_blocks++] = number;
        }
        number++;
    }
    r->final_norm = -1;
    if (r->n_blocks && !r->blocks[r->n_blocks - 1].after) {
        int norm = nissl__walk_linear_input(&w, r->network->outputs[0]);
        if (norm >= 0 && nissl__walk_passes(&w, norm, r->blocks[r->n_blocks - 1].out))
            r->final_norm = norm;
    }
    nissl__walk_free(&w);
    return NISSL_OK;
}

/* ---- running ---- */

static nissl_status keep(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    nissl__found_values *found = ((void **)user)[0];
    const nissl_program *program = ((void **)user)[1];
    int value = program->site_values[site];
    size_t n = (size_t)nissl_view_count(view);
    if (found->data[value])
        return NISSL_OK;
    if (!(found->data[value] = nissl__alloc(n, sizeof(float))))
        return NISSL__NO_MEMORY(err, n * sizeof(float));
    return nissl_view_copy(view, NISSL_FLOAT32, found->data[value], err);
}

/* Every value that a block names. */
static int values_of(const nissl__found_block *b, int values[24])
{
    const int all[] = {b->in,    b->attn_out,  b->mid,       b->mlp_out,  b->out,     b->norm1,
                       b->norm2, b->bare1,     b->bare2,     b->norm_out, b->q,       b->k,
                       b->v,     b->rotated_q, b->rotated_k, b->scores,   b->pattern, b->z,
                       b->pre,   b->linear,    b->post};
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0)
            values[n++] = all[i];
    return n;
}

static nissl_status list_names(const recognition *r, const char ***names, size_t *n)
{
    int values[24];
    bool *wanted = nissl__alloc((size_t)r->network->n_values, sizeof *wanted);
    const char **list = nissl__alloc((size_t)r->network->n_values, sizeof *list);
    if (!wanted || !list) {
        nissl__free(wanted);
        nissl__free(list);
        return NISSL__NO_MEMORY(r->err, (size_t)r->network->n_values * sizeof *list);
    }
    *n = 0;
    for (size_t i = 0; i < r->n_blocks; i++)
        for (int k = values_of(&r->blocks[i], values); k-- > 0;)
            wanted[values[k]] = true;
    if (r->final_norm >= 0)
        wanted[r->final_norm] = true;
    for (int i = 0; i < r->network->n_values; i++) /* an input needs no observing */
        if (wanted[i] && r->network->producer[i] >= 0)
            list[(*n)++] = r->network->value_names[i];
    nissl__free(wanted);
    *names = list;
    return NISSL_OK;
}

/* Whether padding behind tokens leaves the first output before it as it was. */
static nissl_status try_padding(recognition *r, nissl_run *run, const nissl_view *input)
{
    nissl_view out;
    int64_t tokens = input->shape[1], batch = input->shape[0], kept = tokens - 3;
    nissl_status status = nissl_run_output(run, 0, &out, r->err);
    if (status != NISSL_OK || kept < 1 || out.rank != 3 || out.shape[0] != batch ||
        out.shape[1] != tokens)
        return status;
    int64_t n = nissl_view_count(&out), width = out.shape[2];
    float *before = nissl__alloc((size_t)n, sizeof *before);
    float *after = nissl__alloc((size_t)n, sizeof *after);
    if (!before || !after) {
        status = NISSL__NO_MEMORY(r->err, (size_t)n * sizeof *before);
        goto done;
    }
    if ((status = nissl_view_copy(&out, NISSL_FLOAT32, before, r->err)) != NISSL_OK)
        goto done;
    for (int64_t i = 0; i < batch; i++)
        for (int64_t t = kept; t < tokens; t++) {
            if (input->type == NISSL_INT64)
                ((int64_t *)input->data)[i * tokens + t] = -1;
            else
                ((int32_t *)input->data)[i * tokens + t] = -1;
        }
    if (nissl_run_forward(run, input, 1, NULL, NULL, NULL) != NISSL_OK)
        goto done; /* ids below 0 are refused: padding is not for this network */
    if ((status = nissl_run_output(run, 0, &out, r->err)) != NISSL_OK ||
        (status = nissl_view_copy(&out, NISSL_FLOAT32, after, r->err)) != NISSL_OK)
        goto done;
    bool same = true;
    for (int64_t i = 0; i < batch; i++)
        same &= memcmp(before + i * tokens * width, after + i * tokens * width,
                       (size_t)(kept * width) * sizeof *before) == 0;
    r->network->masks_padding = same;
done:
    nissl__free(before);
    nissl__free(after);
    return status;
}

/* Keeps the blocks that the numbers agree with. */
static void confirm(recognition *r)
{
    size_t n = 0;
    bool rms = false;
    int last = r->n_blocks ? r->blocks[r->n_blocks - 1].out : -1;
    if (r->final_norm >= 0 &&
        (last < 0 || !nissl__confirm_norm(&r->found, last, r->final_norm, &rms)))
        r->final_norm = -1;
    r->final_rms = rms;
    for (size_t i = 0; i < r->n_blocks; i++) {
        const char *why = "";
        if (nissl__confirm_block(&r->found, &r->blocks[i], &why)) {
            r->numbers[n] = r->numbers[i];
            r->blocks[n++] = r->blocks[i];
        } else {
            nissl__log(r->ctx, NISSL_LOG_INFO, "%s: attention %d is not named as a block: %s",
                       r->network->path, r->numbers[i], why);
        }
    }
    r->n_blocks = n;
}

static nissl_status run_once(recognition *r, const nissl_view *shape)
{
    nissl_program_options opt = nissl_program_options_default();
    nissl_program *program = NULL;
    nissl_run *run = NULL;
    nissl_array array = {0};
    const char **names = NULL;
    bool causal = true;
    nissl_status status = list_names(r, &names, &opt.n_observe);
    if (status != NISSL_OK)
        return status;
    opt.observe = names;
    opt.batch = r->batch;
    opt.input_shapes = shape;
    opt.n_input_shapes = 1;
    status = nissl_program_compile(r->ctx, r->network, &opt, &program, r->err);
    if (status == NISSL_OK)
        status = nissl_run_new(program, &run, r->err);
    if (status == NISSL_OK)
        status = nissl_array_new(shape->type, program->inputs[0].rank, program->inputs[0].shape,
                                 &array, r->err);
    if (status == NISSL_OK)
        r->found.data = nissl__alloc((size_t)program->n_values, sizeof *r->found.data);
    if (status == NISSL_OK && !r->found.data)
        status = NISSL__NO_MEMORY(r->err, (size_t)program->n_values * sizeof *r->found.data);
    if (status != NISSL_OK)
        goto done;
    nissl_view input = nissl_array_view(&array);
    void *user[2] = {&r->found, program};
    fill_input(r, &input);
    r->found.values = program->values;
    r->found.batch = program->batch;
    r->found.tokens = r->tokens;
    if ((status = nissl_run_forward(run, &input, 1, keep, user, r->err)) != NISSL_OK)
        goto done;
    confirm(r);
    for (size_t i = 0; i < r->n_blocks; i++)
        causal &= nissl__confirm_causal(&r->found, &r->blocks[i]);
    if (causal && r->n_blocks && takes_ids(&r->network->input_ports[0]))
        status = try_padding(r, run, &input);
done:
    for (int i = 0; r->found.data && program && i < program->n_values; i++)
        nissl__free(r->found.data[i]);
    nissl__free(r->found.data);
    r->found.data = NULL;
    nissl_array_free(&array);
    nissl_run_free(run);
    nissl_program_free(program);
    nissl__free(names);
    return status;
}

/* ---- naming ---- */

static nissl_status add_alias(recognition *r, int value, const char *text)
{
    void *memory = NULL;
    nissl__label *label = &r->labels[value];
    if (label->n_aliases == MAX_ALIASES || nissl__network_find_value(r->network, text) >= 0)
        return NISSL_OK;
    for (int i = 0; i < r->network->n_values; i++) /* labels are not the network's yet */
        for (size_t k = 0; k < r->labels[i].n_aliases; k++)
            if (strcmp(r->labels[i].aliases[k], text) == 0)
                return NISSL_OK;
    nissl_status status = nissl__arena_take(
        &r->network->label_memory, sizeof(char *) * (label->n_aliases + 1) + strlen(text) + 1, 1,
        &memory, r->err);
    if (status != NISSL_OK)
        return status;
    const char **list = memory;
    char *copy = (char *)(list + label->n_aliases + 1);
    strcpy(copy, text);
    if (label->n_aliases)
        memcpy(list, label->aliases, label->n_aliases * sizeof *list);
    list[label->n_aliases++] = copy;
    label->aliases = list;
    return NISSL_OK;
}

/* "ROOT.NUMBER.PART", or "ROOT.NUMBER". */
static nissl_status add_numbered(recognition *r, int value, const char *root, int number,
                                 const char *part)
{
    char text[200];
    snprintf(text, sizeof text, "%s.%d%s%s", root, number, *part ? "." : "", part);
    return add_alias(r, value, text);
}

/* A module path, where the file's own names of weights or nodes show that there is such a module.
 */
static bool has_module(const nissl_network *network, const char *path)
{
    size_t n = strlen(path);
    for (int i = 0; i < network->n_values; i++) {
        const char *at = network->constants[i] ? strstr(network->value_names[i], path) : NULL;
        if (at && at[n] == '.' && (at == network->value_names[i] || at[-1] == '.'))
            return true;
    }
    for (int i = 0; i < network->n_nodes; i++) { /* "/model/layers.0/mlp/gate_proj/MatMul" */
        const char *name = network->nodes[i].name;
        for (const char *at = strchr(name, '/'); at; at = strchr(at + 1, '/')) {
            size_t k = 0;
            while (k < n && at[1 + k] && (at[1 + k] == '/' ? '.' : at[1 + k]) == path[k])
                k++;
            if (k == n && at[1 + n] == '/')
                return true;
        }
    }
    return false;
}

/* Which value a module's output is, by the paths of Hugging Face. */
typedef struct module {
    const char *root;  /* "transformer.h" */
    const char *paths; /* as the file may have it: without the model's own name in front */
    const char *part;  /* "mlp.c_fc", "" = the block */
    size_t value;      /* offset of the value in the block */
} module;

#define VALUE(field) offsetof(nissl__found_block, field)

static nissl_status name_modules(recognition *r, const nissl__found_block *b, int number)
{
    static const module modules[] = {
        {"transformer.h", "h", "ln_1", VALUE(norm1)},
        {"transformer.h", "h", "attn", VALUE(attn_out)},
        {"transformer.h", "h", "ln_2", VALUE(norm2)},
        {"transformer.h", "h", "mlp.c_fc", VALUE(pre)},
        {"transformer.h", "h", "mlp.act", VALUE(post)},
        {"transformer.h", "h", "mlp", VALUE(mlp_out)},
        {"transformer.h", "h", "", VALUE(out)},
        {"gpt_neox.layers", "layers", "input_layernorm", VALUE(norm1)},
        {"gpt_neox.layers", "layers", "attention", VALUE(attn_out)},
        {"gpt_neox.layers", "layers", "post_attention_layernorm", VALUE(norm2)},
        {"gpt_neox.layers", "layers", "mlp.dense_h_to_4h", VALUE(pre)},
        {"gpt_neox.layers", "layers", "mlp.act", VALUE(post)},
        {"gpt_neox.layers", "layers", "mlp", VALUE(mlp_out)},
        {"gpt_neox.layers", "layers", "", VALUE(out)},
        {"model.layers", "layers", "input_layernorm", VALUE(norm1)},
        {"model.layers", "layers", "self_attn", VALUE(attn_out)},
        {"model.layers", "layers", "post_attention_layernorm", VALUE(norm2)},
        {"model.layers", "layers", "mlp.gate_proj", VALUE(pre)},
        {"model.layers", "layers", "mlp.up_proj", VALUE(linear)},
        {"model.layers", "layers", "mlp", VALUE(mlp_out)},
        {"model.layers", "layers", "", VALUE(out)},
        {"bert.encoder.layer", "encoder.layer", "attention", VALUE(norm2)},
        {"bert.encoder.layer", "encoder.layer", "intermediate.dense", VALUE(pre)},
        {"bert.encoder.layer", "encoder.layer", "intermediate", VALUE(post)},
        {"bert.encoder.layer", "encoder.layer", "output.dense", VALUE(mlp_out)},
        {"bert.encoder.layer", "encoder.layer", "", VALUE(norm_out)},
    };
    nissl_status status = NISSL_OK;
    for (size_t i = 0; i < sizeof modules / sizeof *modules && status == NISSL_OK; i++) {
        const module *m = &modules[i];
        char path[160];
        int value = *(const int *)((const char *)b + m->value);
        snprintf(path, sizeof path, "%s.%d%s%s", m->root, number, *m->part ? "." : "", m->part);
        bool there = has_module(r->network, path);
        if (!there && strcmp(m->root, "bert.encoder.layer") == 0) {
            snprintf(path, sizeof path, "%s.%d%s%s", m->paths, number, *m->part ? "." : "",
                     m->part);
            there = has_module(r->network, path);
        }
        if (there && value >= 0)
            status = add_numbered(r, value, m->root, number, m->part);
    }
    return status;
}

/* How heads lie: tokens before heads as people write them, or as the file has them. */
static const char *roles_of_heads(const recognition *r, const nissl__value *v)
{
    return v->shape[1] == r->tokens ? "spuu" : "supu";
}

static nissl_status name_block(recognition *r, const nissl_program *shapes,
                               const nissl__found_block *b, int number)
{
    const struct {
        int value;
        const char *name;
        char kind; /* 't' tokens by width, 'h' heads, 'p' pattern */
    } sites[] = {
        {b->in, "hook_resid_pre", 't'},
        {b->norm1,
         b->after ? NULL
         : b->rms ? "ln1.hook_out"
                  : "ln1.hook_normalized",
         't'},
        {b->bare1, "ln1.hook_normalized", 't'},
        {b->q, "attn.hook_q", 'h'},
        {b->k, "attn.hook_k", 'h'},
        {b->v, "attn.hook_v", 'h'},
        {b->rotated_q, "attn.hook_rot_q", 'h'},
        {b->rotated_k, "attn.hook_rot_k", 'h'},
        {b->scores, "attn.hook_attn_scores", 'p'},
        {b->pattern, "attn.hook_pattern", 'p'},
        {b->z, "attn.hook_z", 'h'},
        {b->attn_out, "hook_attn_out", 't'},
        {b->mid, "hook_resid_mid", 't'},
        {b->norm2,
         b->after ? "ln1.hook_normalized"
         : b->rms ? "ln2.hook_out"
                  : "ln2.hook_normalized",
         't'},
        {b->bare2, "ln2.hook_normalized", 't'},
        {b->pre, "mlp.hook_pre", 't'},
        {b->linear, "mlp.hook_pre_linear", 't'},
        {b->post, "mlp.hook_post", 't'},
        {b->mlp_out, "hook_mlp_out", 't'},
        {b->out, "hook_resid_post", 't'},
        {b->norm_out, "hook_normalized_resid_post", 't'},
    };
    nissl_status status = NISSL_OK;
    for (size_t i = 0; i < sizeof sites / sizeof *sites && status == NISSL_OK; i++) {
        if (sites[i].value < 0 || !sites[i].name)
            continue;
        const nissl__value *v = &shapes->values[sites[i].value];
        r->labels[sites[i].value].roles = sites[i].kind == 'h'   ? roles_of_heads(r, v)
                                          : sites[i].kind == 'p' ? "supp"
                                                                 : "spu";
        status = add_numbered(r, sites[i].value, "blocks", number, sites[i].name);
    }
    return status == NISSL_OK ? name_modules(r, b, number) : status;
}

/* What comes before the first block and after the last: rows of a table chosen by ids, the last
 * norm, and the linear layer that reads it and is the output. */
static nissl_status name_ends(recognition *r)
{
    static const char *const paths[] = {"transformer.ln_f", "gpt_neox.final_layer_norm",
                                        "model.norm"};
    nissl_status status = NISSL_OK;
    for (int i = 0; i < r->network->n_nodes && status == NISSL_OK; i++) {
        const nissl__node *node = &r->network->nodes[i];
        bool table = strcmp(node->onnx->op, "Gather") == 0 && node->n_inputs == 2 &&
                     node->inputs[0] >= 0 && r->network->constants[node->inputs[0]] &&
                     r->network->constants[node->inputs[0]]->rank == 2 &&
                     nissl__attr_int(node, "axis", 0) == 0;
        if (!table || node->inputs[1] != r->network->inputs[0] || node->outputs[0] < 0)
            continue;
        r->labels[node->outputs[0]].roles = "spu";
        status = add_alias(r, node->outputs[0], "hook_embed");
    }
    if (status != NISSL_OK || r->final_norm < 0)
        return status;
    r->labels[r->final_norm].roles = "spu";
    status = add_alias(r, r->final_norm,
                       r->final_rms ? "ln_final.hook_out" : "ln_final.hook_normalized");
    for (size_t i = 0; i < sizeof paths / sizeof *paths && status == NISSL_OK; i++)
        if (has_module(r->network, paths[i]))
            status = add_alias(r, r->final_norm, paths[i]);
    if (status == NISSL_OK)
        status = add_alias(r, r->network->outputs[0], "logits");
    return status;
}

static nissl_status name_all(recognition *r, const nissl_program *shapes)
{
    size_t n = (size_t)r->network->n_values;
    void *memory = NULL;
    r->network->label_memory.budget = UINT64_MAX / 2;
    nissl_status status =
        nissl__arena_take(&r->network->label_memory, n, sizeof *r->labels, &memory, r->err);
    if (status != NISSL_OK)
        return status;
    r->labels = memory;
    for (size_t i = 0; i < n; i++)
        r->labels[i].roles = "";
    for (size_t i = 0; i < r->n_blocks && status == NISSL_OK; i++)
        status = name_block(r, shapes, &r->blocks[i], r->numbers[i]);
    if (status == NISSL_OK)
        status = name_ends(r);
    r->network->labels = r->labels;
    return status;
}

/* Compiles shapes, at a length that no size of heads has, and finds blocks. */
static nissl_status find(recognition *r, nissl_view *shape, nissl_program **shapes)
{
    static const int64_t lengths[] = {7, 11, 13, 5};
    const nissl_port *port = &r->network->input_ports[0];
    nissl_status status = NISSL_OK;
    bool clear = false;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths && !clear; i++) {
        nissl_program_options opt = nissl_program_options_default();
        nissl_program_free(*shapes);
        *shapes = NULL;
        r->n_blocks = 0;
        if (!guess_shape(port, lengths[i], shape))
            return NISSL_OK;
        opt.shapes_only = true;
        opt.batch = takes_ids(port) ? 2 : 1;
        opt.input_shapes = shape;
        opt.n_input_shapes = 1;
        status = nissl_program_compile(r->ctx, r->network, &opt, shapes, r->err);
        if (status != NISSL_OK)
            return status;
        r->batch = nissl_program_batch(*shapes);
        if (nissl_program_operations(*shapes) * (double)r->batch > r->most_operations)
            return NISSL_OK;
        if ((status = find_blocks(r, *shapes, &clear)) != NISSL_OK)
            return status;
    }
    if (!clear)
        r->n_blocks = 0;
    number_blocks(r);
    return status;
}

nissl_status nissl__recognise(nissl_context *ctx, nissl_network *network, double most_operations,
                              nissl_error *err)
{
    nissl_error own = {0};
    recognition r = {
        .ctx = ctx, .network = network, .err = &own, .most_operations = most_operations};
    nissl_program *shapes = NULL;
    nissl_view shape;
    nissl_status status = NISSL_OK;
    if (network->n_inputs != 1 || network->parameters > MAX_PARAMETERS ||
        network->n_nodes > MAX_NODES || !may_hold_attention(network))
        return NISSL_OK;
    r.blocks = nissl__alloc(MAX_BLOCKS, sizeof *r.blocks);
    r.numbers = nissl__alloc(MAX_BLOCKS, sizeof *r.numbers);
    r.final_numbers = nissl__alloc(MAX_BLOCKS, sizeof *r.final_numbers);
    if (!r.blocks || !r.numbers || !r.final_numbers) {
        status = NISSL__NO_MEMORY(&own, MAX_BLOCKS * sizeof *r.blocks);
        goto done;
    }
    status = find(&r, &shape, &shapes);
    if (status == NISSL_OK && r.n_blocks)
        status = run_once(&r, &shape);
    if (status == NISSL_OK && r.n_blocks)
        status = name_all(&r, shapes);
done:
    nissl_program_free(shapes);
    nissl__free(r.blocks);
    nissl__free(r.numbers);
    nissl__free(r.final_numbers);
    if (status == NISSL_ERR_MEMORY) {
        if (err)
            *err = own;
        return status;
    }
    return NISSL_OK;
}
