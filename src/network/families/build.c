/* Nodes, names, constants and weights of a graph in memory. */
#include <stdarg.h>
#include <stdio.h>

#include "network/families/build.h"

#define MAX_ALIASES 8

static void *take(nissl__builder *b, size_t count, size_t size)
{
    void *memory = NULL;
    if (b->status == NISSL_OK)
        b->status = nissl__arena_take(&b->built->arena, count, size, &memory, b->err);
    return memory;
}

/* A list with room for one more; what it outgrows stays in the arena until the end. */
static bool grow(nissl__builder *b, void **list, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return true;
    size_t bigger = 2 * *capacity + 64;
    void *memory = take(b, bigger, size);
    if (!memory)
        return false;
    if (n)
        memcpy(memory, *list, n * size);
    *list = memory;
    *capacity = bigger;
    return true;
}

static const char *format_text(nissl__builder *b, const char *format, va_list args)
{
    char text[512];
    int n = vsnprintf(text, sizeof text, format, args);
    char *copy;
    if (n < 0 || (size_t)n >= sizeof text) {
        if (b->status == NISSL_OK)
            b->status = NISSL__FAIL(b->err, NISSL_ERR_INTERNAL, "a name is too long");
        return "";
    }
    if (!(copy = take(b, (size_t)n + 1, 1)))
        return "";
    memcpy(copy, text, (size_t)n + 1);
    return copy;
}

const char *nissl__text(nissl__builder *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = format_text(b, format, args);
    va_end(args);
    return text;
}

/* ---- nodes ---- */

static nissl__label *label_of(nissl__builder *b, const char *value)
{
    for (size_t i = b->n_labels; i-- > 0;)
        if (strcmp(b->labels[i].value, value) == 0)
            return &b->labels[i].label;
    void *list = b->labels;
    if (!grow(b, &list, b->n_labels, &b->label_capacity, sizeof *b->labels))
        return NULL;
    b->labels = list;
    b->labels[b->n_labels] = (nissl__built_label){.value = value, .label = {.roles = ""}};
    return &b->labels[b->n_labels++].label;
}

static const nissl__onnx_attribute *copy_attributes(nissl__builder *b,
                                                    const nissl__onnx_attribute *from, size_t *n)
{
    for (*n = 0; from && from[*n].name;)
        (*n)++;
    nissl__onnx_attribute *copy = *n ? take(b, *n, sizeof *copy) : NULL;
    for (size_t i = 0; copy && i < *n; i++) {
        copy[i] = from[i];
        copy[i].reference = "";
        if (from[i].kind == NISSL__ONNX_INTS) {
            int64_t *ints = take(b, from[i].n, sizeof *ints);
            if (ints)
                memcpy(ints, from[i].ints, from[i].n * sizeof *ints);
            copy[i].ints = ints;
        }
    }
    return copy;
}

const char *nissl__node_add(nissl__builder *b, const char *name, const char *op,
                            const char *const *inputs, const nissl__onnx_attribute *attributes)
{
    nissl__onnx_node node = {.name = "", .op = op, .domain = "", .n_outputs = 1};
    void *list = b->nodes;
    while (inputs[node.n_inputs])
        node.n_inputs++;
    const char **names = take(b, node.n_inputs + 1, sizeof *names);
    bool plumbing = !name;
    if (plumbing)
        name = nissl__text(b, "~%zu.%s", b->n_nodes, op);
    node.attributes = copy_attributes(b, attributes, &node.n_attributes);
    if (!grow(b, &list, b->n_nodes, &b->node_capacity, sizeof *b->nodes) || b->status != NISSL_OK)
        return "";
    b->nodes = list;
    memcpy(names, inputs, node.n_inputs * sizeof *names);
    names[node.n_inputs] = name;
    node.inputs = names;
    node.outputs = names + node.n_inputs;
    b->nodes[b->n_nodes++] = node;
    if (plumbing) {
        nissl__label *label = label_of(b, name);
        if (label)
            label->plumbing = true;
    }
    return name;
}

void nissl__site_is(nissl__builder *b, const char *value, const char *roles)
{
    nissl__label *label = b->status == NISSL_OK ? label_of(b, value) : NULL;
    if (!label)
        return;
    label->roles = roles;
    label->plumbing = false;
}

void nissl__alias_add(nissl__builder *b, const char *value, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = format_text(b, format, args);
    va_end(args);
    nissl__label *label = b->status == NISSL_OK ? label_of(b, value) : NULL;
    if (!label)
        return;
    if (label->n_aliases == MAX_ALIASES) {
        b->status = NISSL__FAIL(b->err, NISSL_ERR_INTERNAL, "%s has more than %d aliases", value,
                                MAX_ALIASES);
        return;
    }
    const char **aliases = take(b, label->n_aliases + 1, sizeof *aliases);
    if (!aliases)
        return;
    if (label->n_aliases)
        memcpy(aliases, label->aliases, label->n_aliases * sizeof *aliases);
    aliases[label->n_aliases++] = text;
    label->aliases = aliases;
}

void nissl__output_is(nissl__builder *b, const char *value, bool per_token, int64_t n)
{
    void *list = b->outputs;
    if (!grow(b, &list, b->n_outputs, &b->output_capacity, sizeof *b->outputs))
        return;
    b->outputs = list;
    nissl__onnx_value *out = &b->outputs[b->n_outputs++];
    *out = (nissl__onnx_value){.name = value,
                               .has_type = true,
                               .has_shape = true,
                               .type = NISSL_FLOAT32,
                               .rank = per_token ? 3 : 2,
                               .shape = {-1, -1},
                               .dim_names = {"batch", per_token ? "tokens" : NULL}};
    out->shape[out->rank - 1] = n;
}

/* ---- constants ---- */

static void add_initializer(nissl__builder *b, const nissl__onnx_tensor *tensor)
{
    void *list = b->initializers;
    if (b->status != NISSL_OK ||
        !grow(b, &list, b->n_initializers, &b->initializer_capacity, sizeof *b->initializers))
        return;
    b->initializers = list;
    b->initializers[b->n_initializers++] = *tensor;
}

/* A tensor that is no weight: neither counted nor permuted in a twin. */
static const char *add_constant(nissl__builder *b, nissl_type type, int rank, int64_t n,
                                const void *values)
{
    size_t bytes = (size_t)n * nissl_type_size(type);
    void *data = take(b, bytes, 1);
    nissl__onnx_tensor *tensor = take(b, 1, sizeof *tensor);
    if (!data || !tensor)
        return "";
    memcpy(data, values, bytes);
    *tensor = (nissl__onnx_tensor){
        .name = "", .type = type, .rank = rank, .shape = {n}, .data = data, .bytes = bytes};
    const char *value = nissl__node_add(
        b, NULL, "Constant", NISSL__IN(NULL),
        NISSL__WITH({.name = "value", .kind = NISSL__ONNX_TENSOR, .n = 1, .tensor = tensor}));
    nissl__label *label = b->status == NISSL_OK ? label_of(b, value) : NULL;
    if (label)
        label->setting = true;
    return value;
}

const char *nissl__ints(nissl__builder *b, int n, const int64_t *values)
{
    return add_constant(b, NISSL_INT64, 1, n, values);
}

const char *nissl__int_scalar(nissl__builder *b, int64_t value)
{
    return add_constant(b, NISSL_INT64, 0, 1, &value);
}

const char *nissl__float_scalar(nissl__builder *b, float value)
{
    return add_constant(b, NISSL_FLOAT32, 0, 1, &value);
}

const char *nissl__floats(nissl__builder *b, int64_t n, const float *values)
{
    return add_constant(b, NISSL_FLOAT32, 1, n, values);
}

/* ---- weights ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const nissl__onnx_tensor *)a)->name, ((const nissl__onnx_tensor *)b)->name);
}

static const nissl__onnx_tensor *find_weight(const nissl__builder *b, const char *name)
{
    nissl__onnx_tensor key = {.name = name};
    return b->n_weights ? bsearch(&key, b->weights, b->n_weights, sizeof key, by_name) : NULL;
}

bool nissl__has_weight(const nissl__builder *b, const char *name)
{
    return find_weight(b, name) != NULL;
}

int64_t nissl__weight_rows(const nissl__builder *b, const char *name)
{
    const nissl__onnx_tensor *tensor = find_weight(b, name);
    return tensor && tensor->rank ? tensor->shape[0] : 0;
}

static void shape_text(char *text, size_t size, int rank, const int64_t *shape)
{
    size_t n = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (n < size)
        snprintf(text + n, size - n, "]");
}

const char *nissl__weight(nissl__builder *b, const char *name, int rank, const int64_t *shape)
{
    const nissl__onnx_tensor *tensor = find_weight(b, name);
    char have[200], want[200];
    if (b->status != NISSL_OK)
        return "";
    shape_text(want, sizeof want, rank, shape);
    if (!tensor) {
        b->status =
            NISSL__FAIL(b->err, NISSL_ERR_FORMAT, "%s: no tensor %s %s", b->path, name, want);
        return "";
    }
    bool same = tensor->rank == rank;
    for (int i = 0; i < rank && same; i++)
        same = tensor->shape[i] == shape[i];
    if (!same) {
        shape_text(have, sizeof have, tensor->rank, tensor->shape);
        b->status = NISSL__FAIL(b->err, NISSL_ERR_SHAPE,
                                "%s: tensor %s is %s, its configuration asks for %s", b->path, name,
                                have, want);
        return "";
    }
    if (tensor->type != NISSL_FLOAT32 && tensor->type != NISSL_FLOAT16 &&
        tensor->type != NISSL_BFLOAT16) {
        b->status = NISSL__FAIL(b->err, NISSL_ERR_TYPE,
                                "%s: tensor %s is %s; float32, float16 and bfloat16 are supported",
                                b->path, name, nissl_type_name(tensor->type));
        return "";
    }
    for (size_t i = 0; i < b->n_initializers; i++)
        if (strcmp(b->initializers[i].name, name) == 0)
            return b->initializers[i].name;
    add_initializer(b, tensor);
    return tensor->name;
}
