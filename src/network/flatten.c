/*
 * From a file's graph to one list of nodes: names become indices, model functions are expanded
 * where they are called, and the branches of an If stand before it, each node guarded by the
 * condition. A Loop whose count is written in the file is unrolled.
 */
#include <stdio.h>

#include "foundation/foundation.h"
#include "network/graph.h"
#include "network/program.h"

#define MAX_DEPTH    32
#define MAX_NODES    4000000
#define MAX_UNROLLED 4096

/* Names of one graph, function or branch. Inner graphs see outer names. */
typedef struct scope {
    const char **keys;
    int *values;
    size_t mask, used;
    const struct scope *outer; /* NULL for functions: they see their inputs alone */
    const char *prefix;        /* "" at the top */
    const nissl__call_site *site;
    int guard;
    bool guard_truth;
    int64_t opset;
    int depth;
} scope;

static size_t slot_of(const scope *s, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    size_t slot = (size_t)(h ^ h >> 32) & s->mask;
    while (s->keys[slot] && strcmp(s->keys[slot], name) != 0)
        slot = (slot + 1) & s->mask;
    return slot;
}

static bool scope_reserve(scope *s, size_t n)
{
    scope bigger = *s;
    size_t size = 16;
    while (size < 2 * n + 2)
        size *= 2;
    if (s->keys && size <= s->mask + 1)
        return true;
    bigger.mask = size - 1;
    bigger.keys = nissl__alloc(size, sizeof *bigger.keys);
    bigger.values = nissl__alloc(size, sizeof *bigger.values);
    if (!bigger.keys || !bigger.values) {
        nissl__free(bigger.keys);
        nissl__free(bigger.values);
        return false;
    }
    for (size_t i = 0; s->keys && i <= s->mask; i++)
        if (s->keys[i]) {
            size_t slot = slot_of(&bigger, s->keys[i]);
            bigger.keys[slot] = s->keys[i];
            bigger.values[slot] = s->values[i];
        }
    nissl__free(s->keys);
    nissl__free(s->values);
    *s = bigger;
    return true;
}

static void scope_free(scope *s)
{
    nissl__free(s->keys);
    nissl__free(s->values);
}

static int look_up(const scope *s, const char *name)
{
    for (; s; s = s->outer) {
        size_t slot = slot_of(s, name);
        if (s->keys[slot])
            return s->values[slot];
    }
    return -1;
}

static bool bind(scope *s, const char *name, int value)
{
    if (!scope_reserve(s, s->used + 1))
        return false;
    size_t slot = slot_of(s, name);
    s->used += !s->keys[slot];
    s->keys[slot] = name;
    s->values[slot] = value;
    return true;
}

/* Memory that lives with the network. */
static void *own(nissl_network *network, void *memory)
{
    if (!memory)
        return NULL;
    if (network->n_owned == network->owned_capacity) {
        size_t capacity = 2 * network->owned_capacity + 64;
        void **owned = nissl__resize(network->owned, network->n_owned, capacity, sizeof *owned);
        if (!owned) {
            nissl__free(memory);
            return NULL;
        }
        network->owned = owned;
        network->owned_capacity = capacity;
    }
    network->owned[network->n_owned++] = memory;
    return memory;
}

static nissl_status no_memory(nissl_error *err)
{
    return NISSL__NO_MEMORY(err, 0);
}

/* A new value. Its name is prefixed inside functions and branches. */
static nissl_status new_value(nissl_network *network, scope *s, const char *name, int *out,
                              nissl_error *err)
{
    if (network->n_values == network->capacity_values) {
        int old = network->n_values, capacity = 2 * old + 64;
        const char **names =
            nissl__resize(network->value_names, (size_t)old, (size_t)capacity, sizeof *names);
        if (names)
            network->value_names = names;
        const nissl__onnx_tensor **constants =
            nissl__resize(network->constants, (size_t)old, (size_t)capacity, sizeof *constants);
        if (constants)
            network->constants = constants;
        int *producer =
            nissl__resize(network->producer, (size_t)old, (size_t)capacity, sizeof *producer);
        if (producer)
            network->producer = producer;
        if (!names || !constants || !producer)
            return no_memory(err);
        network->capacity_values = capacity;
    }
    const char *shown = name;
    if (s->prefix[0] && !(shown = own(network, nissl__format("%s/%s", s->prefix, name))))
        return no_memory(err);
    if (!bind(s, name, network->n_values))
        return no_memory(err);
    network->value_names[network->n_values] = shown;
    network->constants[network->n_values] = NULL;
    network->producer[network->n_values] = -1;
    *out = network->n_values++;
    return NISSL_OK;
}

static nissl_status new_node(nissl_network *network, nissl__node **out, nissl_error *err)
{
    if (network->n_nodes >= MAX_NODES)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "%s: more than %d nodes after expanding functions and loops",
                           network->path, MAX_NODES);
    if (network->n_nodes == network->capacity_nodes) {
        int capacity = 2 * network->n_nodes + 64;
        nissl__node *nodes = nissl__resize(network->nodes, (size_t)network->n_nodes,
                                           (size_t)capacity, sizeof *nodes);
        if (!nodes)
            return no_memory(err);
        network->nodes = nodes;
        network->capacity_nodes = capacity;
    }
    *out = &network->nodes[network->n_nodes];
    **out = (nissl__node){.guard = -1};
    return NISSL_OK;
}

static nissl_status add_constant(nissl_network *network, scope *s, const nissl__onnx_tensor *tensor,
                                 nissl_error *err)
{
    int value;
    nissl_status status;
    if (!tensor->name[0])
        return NISSL_OK;
    if ((status = new_value(network, s, tensor->name, &value, err)) != NISSL_OK)
        return status;
    network->constants[value] = tensor;
    if (tensor->type == NISSL_FLOAT32 || tensor->type == NISSL_FLOAT64 ||
        tensor->type == NISSL_FLOAT16 || tensor->type == NISSL_BFLOAT16)
        network->parameters += tensor->bytes / nissl_type_size(tensor->type);
    return NISSL_OK;
}

static nissl_status flatten_nodes(nissl_network *network, scope *s, const nissl__onnx_node *nodes,
                                  size_t n, nissl_error *err);

/* A branch or body: its initialisers and nodes in a scope inside this one. Its outputs are then
 * found by look_up. */
static nissl_status flatten_subgraph(nissl_network *network, scope *inner,
                                     const nissl__onnx_graph *graph, nissl_error *err)
{
    nissl_status status;
    if (inner->depth > MAX_DEPTH)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: graphs and functions nest deeper than %d",
                           network->path, MAX_DEPTH);
    for (size_t i = 0; i < graph->n_initializers; i++)
        if ((status = add_constant(network, inner, &graph->initializers[i], err)) != NISSL_OK)
            return status;
    return flatten_nodes(network, inner, graph->nodes, graph->n_nodes, err);
}

static nissl_status output_of(const nissl_network *network, const scope *s, const char *name,
                              int *out, nissl_error *err)
{
    *out = name[0] ? look_up(s, name) : -1;
    if (name[0] && *out < 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: output \"%s\" is made by no node",
                           network->path, name);
    return NISSL_OK;
}

/* Operands of a node, from names; extra room for what an If adds. */
static nissl_status fill_node(nissl_network *network, scope *s, const nissl__onnx_node *from,
                              int n_extra, const int *extra, nissl_error *err)
{
    nissl__node *node = NULL;
    size_t n_inputs = from->n_inputs + (size_t)n_extra;
    nissl_status status;
    if (n_inputs > NISSL__MAX_OPERANDS || from->n_outputs > NISSL__MAX_OPERANDS)
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                           "%s: node %d (%s) has %zu operands, at most %d", network->path,
                           network->n_nodes, from->op, NISSL__MAX(n_inputs, from->n_outputs),
                           NISSL__MAX_OPERANDS);
    int *operands = own(network, nissl__alloc(n_inputs + from->n_outputs, sizeof *operands));
    if (!operands)
        return no_memory(err);
    for (size_t j = 0; j < from->n_inputs; j++) {
        operands[j] = from->inputs[j][0] ? look_up(s, from->inputs[j]) : -1;
        if (from->inputs[j][0] && operands[j] < 0)
            return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                               "%s: node %d (%s) reads \"%s\", which nothing before it makes",
                               network->path, network->n_nodes, from->op, from->inputs[j]);
    }
    if (n_extra)
        memcpy(operands + from->n_inputs, extra, (size_t)n_extra * sizeof *extra);
    int *outputs = operands + n_inputs;
    for (size_t j = 0; j < from->n_outputs; j++) {
        outputs[j] = -1;
        if (!from->outputs[j][0])
            continue;
        if (s->keys[slot_of(s, from->outputs[j])])
            return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: node %d (%s) makes \"%s\" a second time",
                               network->path, network->n_nodes, from->op, from->outputs[j]);
        if ((status = new_value(network, s, from->outputs[j], &outputs[j], err)) != NISSL_OK)
            return status;
    }
    if ((status = new_node(network, &node, err)) != NISSL_OK)
        return status;
    node->onnx = from;
    node->op = nissl__operator_find(from->domain, from->op);
    node->opset = s->opset;
    node->site = s->site;
    node->guard = s->guard;
    node->guard_truth = s->guard_truth;
    node->n_inputs = (int)n_inputs;
    node->n_outputs = (int)from->n_outputs;
    node->inputs = operands;
    node->outputs = outputs;
    node->name = from->name;
    if (from->name[0] && s->prefix[0] &&
        !(node->name = own(network, nissl__format("%s/%s", s->prefix, from->name))))
        return no_memory(err);
    if (!from->name[0] && from->n_outputs && outputs[0] >= 0)
        node->name = network->value_names[outputs[0]];
    if (!node->name[0])
        node->name = from->op;
    for (size_t j = 0; j < from->n_outputs; j++)
        if (outputs[j] >= 0)
            network->producer[outputs[j]] = network->n_nodes;
    network->n_nodes++;
    return NISSL_OK;
}

/* The scope of something inside a node of this one. */
static nissl_status inner_scope(nissl_network *network, const scope *s,
                                const nissl__onnx_node *node, const char *part, scope *out,
                                nissl_error *err)
{
    const char *name = node->name[0] ? node->name : node->n_outputs ? node->outputs[0] : node->op;
    *out = (scope){.outer = s,
                   .site = s->site,
                   .guard = s->guard,
                   .guard_truth = s->guard_truth,
                   .opset = s->opset,
                   .depth = s->depth + 1};
    out->prefix = own(network, nissl__format("%s%s%s%s%s", s->prefix, s->prefix[0] ? "/" : "", name,
                                             part[0] ? "/" : "", part));
    if (!out->prefix || !scope_reserve(out, 16)) {
        scope_free(out);
        return no_memory(err);
    }
    return NISSL_OK;
}

static nissl_status flatten_if(nissl_network *network, scope *s, const nissl__onnx_node *from,
                               nissl_error *err)
{
    static const char *const branches[2] = {"then_branch", "else_branch"};
    int results[2 * NISSL__MAX_OPERANDS], n = 0;
    nissl_status status = NISSL_OK;
    int condition = from->n_inputs ? look_up(s, from->inputs[0]) : -1;
    if (condition < 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: node %s (If) has no condition",
                           network->path, from->name);
    if (1 + 2 * from->n_outputs > NISSL__MAX_OPERANDS)
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                           "%s: node %s (If) has %zu outputs, at most %d", network->path,
                           from->name, from->n_outputs, (NISSL__MAX_OPERANDS - 1) / 2);
    for (int b = 0; b < 2 && status == NISSL_OK; b++) {
        const nissl__onnx_attribute *a = nissl__onnx_find_attribute(from, branches[b]);
        scope inner;
        if (!a || a->kind != NISSL__ONNX_GRAPH || a->graph->n_outputs != from->n_outputs)
            return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                               "%s: node %s (If): %s is missing or does not give %zu outputs",
                               network->path, from->name, branches[b], from->n_outputs);
        if ((status = inner_scope(network, s, from, b == 0 ? "then" : "else", &inner, err)) !=
            NISSL_OK)
            return status;
        inner.guard = condition;
        inner.guard_truth = b == 0;
        status = flatten_subgraph(network, &inner, a->graph, err);
        for (size_t i = 0; i < a->graph->n_outputs && status == NISSL_OK; i++)
            status = output_of(network, &inner, a->graph->outputs[i].name, &results[n++], err);
        scope_free(&inner);
    }
    if (status != NISSL_OK)
        return status;
    return fill_node(network, s, from, n, results, err);
}

/* The integer that a value is known to be already in the file. */
static bool written_integer(const nissl_network *network, int value, int64_t *out)
{
    const nissl__onnx_tensor *tensor = network->constants[value];
    if (!tensor && network->producer[value] >= 0 &&
        strcmp(network->nodes[network->producer[value]].onnx->op, "Constant") == 0)
        tensor = nissl__network_constant(network, network->producer[value]);
    if (!tensor || (tensor->type != NISSL_INT64 && tensor->type != NISSL_BOOL) ||
        tensor->bytes != nissl_type_size(tensor->type))
        return false;
    *out = 0;
    memcpy(out, tensor->data, tensor->bytes);
    return true;
}

/* Whether a body's condition is always the one that came in, or true. */
static bool goes_on(const nissl_network *network, int condition, int incoming)
{
    int64_t truth;
    while (condition != incoming) {
        int producer = network->producer[condition];
        if (written_integer(network, condition, &truth))
            return truth != 0;
        if (producer < 0 || strcmp(network->nodes[producer].onnx->op, "Identity") != 0)
            return false;
        condition = network->nodes[producer].inputs[0];
    }
    return true;
}

static nissl_status loop_constant(nissl_network *network, scope *s, const char *name,
                                  nissl_type type, int64_t number, nissl_error *err)
{
    nissl__onnx_tensor *tensor = own(network, nissl__alloc(1, sizeof *tensor));
    int64_t *data = own(network, nissl__alloc(1, sizeof *data));
    if (!tensor || !data)
        return no_memory(err);
    *data = number;
    *tensor = (nissl__onnx_tensor){
        .name = name, .type = type, .data = data, .bytes = nissl_type_size(type)};
    return add_constant(network, s, tensor, err);
}

static nissl_status flatten_loop(nissl_network *network, scope *s, const nissl__onnx_node *from,
                                 nissl_error *err)
{
    const nissl__onnx_attribute *a = nissl__onnx_find_attribute(from, "body");
    const nissl__onnx_graph *body = a && a->kind == NISSL__ONNX_GRAPH ? a->graph : NULL;
    int64_t count = -1, truth = 1;
    int carried[NISSL__MAX_OPERANDS];
    size_t n = from->n_inputs >= 2 ? from->n_inputs - 2 : 0;
    nissl_status status = NISSL_OK;
    int limit = from->n_inputs > 0 && from->inputs[0][0] ? look_up(s, from->inputs[0]) : -1;
    int condition = from->n_inputs > 1 && from->inputs[1][0] ? look_up(s, from->inputs[1]) : -1;
    if (!body || body->n_inputs != n + 2 || body->n_outputs != n + 1 || from->n_outputs > n ||
        n > NISSL__MAX_OPERANDS)
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                           "%s: node %s (Loop): scan outputs are not supported", network->path,
                           from->name);
    if (limit < 0 || !written_integer(network, limit, &count) || count < 0 ||
        count > MAX_UNROLLED || (condition >= 0 && !written_integer(network, condition, &truth)))
        return NISSL__FAIL(
            err, NISSL_ERR_UNSUPPORTED,
            "%s: node %s (Loop): the number of turns must be written in the file, at most %d",
            network->path, from->name, MAX_UNROLLED);
    for (size_t i = 0; i < n; i++)
        if ((status = output_of(network, s, from->inputs[2 + i], &carried[i], err)) != NISSL_OK)
            return status;
    for (int64_t turn = 0; turn < (truth ? count : 0); turn++) {
        char part[32];
        scope inner;
        int next[NISSL__MAX_OPERANDS], goes, incoming = -1;
        snprintf(part, sizeof part, "%lld", (long long)turn);
        if ((status = inner_scope(network, s, from, part, &inner, err)) != NISSL_OK)
            return status;
        status = loop_constant(network, &inner, body->inputs[0].name, NISSL_INT64, turn, err);
        if (status == NISSL_OK)
            status = loop_constant(network, &inner, body->inputs[1].name, NISSL_BOOL, 1, err);
        for (size_t i = 0; i < n && status == NISSL_OK; i++)
            if (!bind(&inner, body->inputs[2 + i].name, carried[i]))
                status = no_memory(err);
        if (status == NISSL_OK)
            status = flatten_subgraph(network, &inner, body, err);
        if (status == NISSL_OK &&
            (status = output_of(network, &inner, body->outputs[0].name, &goes, err)) == NISSL_OK) {
            incoming = look_up(&inner, body->inputs[1].name);
            if (goes < 0 || !goes_on(network, goes, incoming))
                status = NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                                     "%s: node %s (Loop): its end depends on what it computes",
                                     network->path, from->name);
        }
        for (size_t i = 0; i < n && status == NISSL_OK; i++)
            status = output_of(network, &inner, body->outputs[1 + i].name, &next[i], err);
        scope_free(&inner);
        if (status != NISSL_OK)
            return status;
        memcpy(carried, next, n * sizeof *next);
    }
    for (size_t i = 0; i < from->n_outputs;
         i++) /* the outputs are other names of what was carried */
        if (from->outputs[i][0] && !bind(s, from->outputs[i], carried[i]))
            return no_memory(err);
    return NISSL_OK;
}

static const nissl__onnx_function *function_of(const nissl_network *network,
                                               const nissl__onnx_node *node)
{
    for (size_t i = 0; i < network->model->n_functions; i++) {
        const nissl__onnx_function *f = &network->model->functions[i];
        if (strcmp(f->name, node->op) == 0 && strcmp(f->domain, node->domain) == 0)
            return f;
    }
    return NULL;
}

static nissl_status flatten_call(nissl_network *network, scope *s, const nissl__onnx_node *from,
                                 const nissl__onnx_function *function, nissl_error *err)
{
    scope inner;
    nissl__call_site *site = own(network, nissl__alloc(1, sizeof *site));
    nissl_status status = site ? inner_scope(network, s, from, "", &inner, err) : no_memory(err);
    if (status != NISSL_OK)
        return status;
    *site = (nissl__call_site){from, function, s->site};
    inner.outer = NULL;
    inner.site = site;
    for (size_t i = 0; i < function->n_opsets; i++)
        if (!function->opsets[i].domain[0])
            inner.opset = function->opsets[i].version;
    if (inner.depth > MAX_DEPTH)
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: graphs and functions nest deeper than %d",
                             network->path, MAX_DEPTH);
    for (size_t i = 0; i < function->n_inputs && status == NISSL_OK; i++) {
        int actual = -1;
        if (i < from->n_inputs && from->inputs[i][0])
            status = output_of(network, s, from->inputs[i], &actual, err);
        if (status == NISSL_OK && actual >= 0 && !bind(&inner, function->inputs[i], actual))
            status = no_memory(err);
    }
    if (status == NISSL_OK)
        status = flatten_nodes(network, &inner, function->nodes, function->n_nodes, err);
    for (size_t i = 0; i < from->n_outputs && i < function->n_outputs && status == NISSL_OK; i++) {
        int value;
        if (!from->outputs[i][0])
            continue;
        status = output_of(network, &inner, function->outputs[i], &value, err);
        if (status != NISSL_OK)
            break;
        if (s->keys[slot_of(s, from->outputs[i])])
            status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: \"%s\" is made a second time",
                                 network->path, from->outputs[i]);
        else if (!bind(s, from->outputs[i], value))
            status = no_memory(err);
        /* what the caller names has the caller's name */
        if (status == NISSL_OK && network->producer[value] >= 0 && !s->prefix[0])
            network->value_names[value] = from->outputs[i];
    }
    scope_free(&inner);
    return status;
}

static nissl_status flatten_nodes(nissl_network *network, scope *s, const nissl__onnx_node *nodes,
                                  size_t n, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    for (size_t i = 0; i < n && status == NISSL_OK; i++) {
        const nissl__onnx_function *function =
            network->model->n_functions ? function_of(network, &nodes[i]) : NULL;
        if (function)
            status = flatten_call(network, s, &nodes[i], function, err);
        else if (strcmp(nodes[i].op, "If") == 0 && !nodes[i].domain[0])
            status = flatten_if(network, s, &nodes[i], err);
        else if (strcmp(nodes[i].op, "Loop") == 0 && !nodes[i].domain[0])
            status = flatten_loop(network, s, &nodes[i], err);
        else
            status = fill_node(network, s, &nodes[i], 0, NULL, err);
    }
    return status;
}

static void fill_port(nissl_port *port, const nissl__onnx_value *value)
{
    port->name = value->name;
    port->type = value->type;
    port->rank = value->has_shape ? value->rank : -1;
    for (int i = 0; i < value->rank; i++) {
        port->shape[i] = value->shape[i];
        port->symbol[i] = value->dim_names[i];
    }
}

/* What a caller of the library sees of the nodes. */
static nissl_status publish_nodes(nissl_network *network, nissl_error *err)
{
    network->public_nodes = nissl__alloc((size_t)network->n_nodes, sizeof *network->public_nodes);
    if (!network->public_nodes)
        return no_memory(err);
    for (int i = 0; i < network->n_nodes; i++) {
        const nissl__node *node = &network->nodes[i];
        size_t n = (size_t)(node->n_inputs + node->n_outputs);
        const char **names = own(network, nissl__alloc(n, sizeof *names));
        if (!names)
            return no_memory(err);
        for (int j = 0; j < node->n_inputs; j++)
            names[j] = node->inputs[j] >= 0 ? network->value_names[node->inputs[j]] : "";
        for (int j = 0; j < node->n_outputs; j++)
            names[node->n_inputs + j] =
                node->outputs[j] >= 0 ? network->value_names[node->outputs[j]] : "";
        network->public_nodes[i] = (nissl_node){node->name,
                                                node->onnx->op,
                                                node->onnx->domain,
                                                (size_t)node->n_inputs,
                                                (size_t)node->n_outputs,
                                                names,
                                                names + node->n_inputs};
    }
    return NISSL_OK;
}

nissl_status nissl__network_flatten(nissl_network *network, nissl_error *err)
{
    const nissl__onnx_graph *graph = &network->model->graph;
    scope top = {.prefix = "", .guard = -1, .opset = network->opset};
    nissl_status status = NISSL_OK;
    network->inputs = nissl__alloc(graph->n_inputs, sizeof *network->inputs);
    network->outputs = nissl__alloc(graph->n_outputs, sizeof *network->outputs);
    network->input_ports = nissl__alloc(graph->n_inputs, sizeof *network->input_ports);
    network->output_ports = nissl__alloc(graph->n_outputs, sizeof *network->output_ports);
    if (!network->inputs || !network->outputs || !network->input_ports || !network->output_ports ||
        !scope_reserve(&top, 2 * graph->n_nodes + graph->n_initializers)) {
        status = NISSL__NO_MEMORY(err, graph->n_nodes * sizeof(void *));
        goto done;
    }
    for (size_t i = 0; i < graph->n_initializers; i++)
        if ((status = add_constant(network, &top, &graph->initializers[i], err)) != NISSL_OK)
            goto done;
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const nissl__onnx_value *input = &graph->inputs[i];
        if (!input->name[0] ||
            look_up(&top, input->name) >= 0) /* an initialiser that is listed as an input */
            continue;
        if (!input->has_type && input->foreign_type) {
            status = NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                                 "%s: input %s is no tensor of numbers, or of a type that is not "
                                 "supported",
                                 network->path, input->name);
            goto done;
        }
        fill_port(&network->input_ports[network->n_inputs], input);
        if ((status = new_value(network, &top, input->name, &network->inputs[network->n_inputs],
                                err)) != NISSL_OK)
            goto done;
        network->n_inputs++;
    }
    if ((status = flatten_nodes(network, &top, graph->nodes, graph->n_nodes, err)) != NISSL_OK)
        goto done;
    for (size_t i = 0; i < graph->n_outputs; i++) {
        if ((status = output_of(network, &top, graph->outputs[i].name, &network->outputs[i],
                                err)) != NISSL_OK)
            goto done;
        if (network->outputs[i] < 0) {
            status =
                NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: output %zu has no name", network->path, i);
            goto done;
        }
        fill_port(&network->output_ports[network->n_outputs++], &graph->outputs[i]);
    }
    if (network->n_outputs == 0)
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: the graph has no output", network->path);
    else
        status = publish_nodes(network, err);
done:
    scope_free(&top);
    return status;
}
