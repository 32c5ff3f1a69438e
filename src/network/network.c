/* Opening a network: the file's graph with names turned into indices, and its unsupported operators
 * named. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/foundation.h"
#include "network/graph.h"
#include "network/program.h"

/* ---- names ---- */

typedef struct name_table {
    const char **keys;
    int *values;
    size_t mask;
} name_table;

static size_t name_slot(const name_table *table, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    size_t slot = (size_t)(h ^ h >> 32) & table->mask;
    while (table->keys[slot] && strcmp(table->keys[slot], name) != 0)
        slot = (slot + 1) & table->mask;
    return slot;
}

static bool name_table_new(name_table *table, size_t n)
{
    size_t size = 16;
    while (size < 2 * n + 2)
        size *= 2;
    table->mask = size - 1;
    table->keys = nissl__alloc(size, sizeof *table->keys);
    table->values = nissl__alloc(size, sizeof *table->values);
    return table->keys && table->values;
}

static void name_table_free(name_table *table)
{
    nissl__free(table->keys);
    nissl__free(table->values);
}

/* The index of a name, adding it if it is new. */
static int intern(nissl_network *network, name_table *table, const char *name)
{
    if (!name[0])
        return -1;
    size_t slot = name_slot(table, name);
    if (!table->keys[slot]) {
        table->keys[slot] = name;
        table->values[slot] = network->n_values;
        network->value_names[network->n_values++] = name;
    }
    return table->values[slot];
}

int nissl__network_find_value(const nissl_network *network, const char *name)
{
    for (int i = 0; i < network->n_values; i++)
        if (strcmp(network->value_names[i], name) == 0)
            return i;
    return -1;
}

/* ---- attributes ---- */

int64_t nissl__attr_int(const nissl__node *node, const char *name, int64_t fallback)
{
    const nissl__onnx_attribute *a = nissl__onnx_find_attribute(node->onnx, name);
    return a && a->kind == NISSL__ONNX_INT ? a->i : fallback;
}

float nissl__attr_float(const nissl__node *node, const char *name, float fallback)
{
    const nissl__onnx_attribute *a = nissl__onnx_find_attribute(node->onnx, name);
    return a && a->kind == NISSL__ONNX_FLOAT ? a->f : fallback;
}

const char *nissl__attr_string(const nissl__node *node, const char *name, const char *fallback)
{
    const nissl__onnx_attribute *a = nissl__onnx_find_attribute(node->onnx, name);
    return a && a->kind == NISSL__ONNX_STRING ? a->s : fallback;
}

const int64_t *nissl__attr_ints(const nissl__node *node, const char *name, size_t *n)
{
    const nissl__onnx_attribute *a = nissl__onnx_find_attribute(node->onnx, name);
    *n = a && a->kind == NISSL__ONNX_INTS ? a->n : 0;
    return *n ? a->ints : NULL;
}

const nissl__onnx_tensor *nissl__network_constant(const nissl_network *network, int node)
{
    const nissl__onnx_attribute *a = nissl__onnx_find_attribute(network->nodes[node].onnx, "value");
    if (network->twin_node_tensors && network->twin_node_tensors[node].data)
        return &network->twin_node_tensors[node];
    return a && a->kind == NISSL__ONNX_TENSOR ? a->tensor : NULL;
}

/* ---- opening ---- */

static nissl_status hash_file(const char *path, uint64_t *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl__hash hash;
    struct stat info;
    void *bytes = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot read", path);
        goto done;
    }
    nissl__hash_begin(&hash);
    if (info.st_size > 0) {
        bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot map %lld bytes", path,
                                 (long long)info.st_size);
            goto done;
        }
        nissl__hash_add(&hash, bytes, (size_t)info.st_size);
        munmap(bytes, (size_t)info.st_size);
    }
    *out = nissl__hash_end(&hash);
done:
    if (fd >= 0)
        close(fd);
    return status;
}

/* Every unsupported operator in one message: name, first node, how many. */
static nissl_status check_operators(nissl_network *network, nissl_error *err)
{
    char list[384] = "";
    size_t used = 0;
    int n_kinds = 0;
    for (int i = 0; i < network->n_nodes; i++) {
        const nissl__onnx_node *node = network->nodes[i].onnx;
        int count = 0;
        bool seen = false;
        if (network->nodes[i].op)
            continue;
        for (int j = 0; j < network->n_nodes; j++) {
            const nissl__onnx_node *other = network->nodes[j].onnx;
            if (strcmp(node->op, other->op) == 0 && strcmp(node->domain, other->domain) == 0) {
                seen |= j < i;
                count++;
            }
        }
        if (seen)
            continue;
        n_kinds++;
        if (used < sizeof list - 1) {
            int n = snprintf(list + used, sizeof list - used, "%s%s%s%s (node %s, %d in all)",
                             n_kinds > 1 ? ", " : "", node->domain, node->domain[0] ? "." : "",
                             node->op, network->nodes[i].name, count);
            used += n > 0 ? (size_t)n : 0;
        }
    }
    if (n_kinds == 0)
        return NISSL_OK;
    return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                       "%s: %d operator%s not supported at opset %lld: %s", network->path, n_kinds,
                       n_kinds == 1 ? " is" : "s are", (long long)network->opset, list);
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

static nissl_status index_graph(nissl_network *network, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    const nissl__onnx_graph *graph = &network->model->graph;
    name_table table = {0};
    size_t n_operands = 0, n_names = graph->n_initializers + graph->n_inputs + graph->n_outputs;
    for (size_t i = 0; i < graph->n_nodes; i++)
        n_operands += graph->nodes[i].n_inputs + graph->nodes[i].n_outputs;
    n_names += n_operands;
    if (n_names > INT32_MAX / 4) {
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %zu names exceed %d", network->path,
                             n_names, INT32_MAX / 4);
        goto done;
    }
    network->value_names = nissl__alloc(n_names, sizeof *network->value_names);
    network->constants = nissl__alloc(n_names, sizeof *network->constants);
    network->producer = nissl__alloc(n_names, sizeof *network->producer);
    network->nodes = nissl__alloc(graph->n_nodes, sizeof *network->nodes);
    network->public_nodes = nissl__alloc(graph->n_nodes, sizeof *network->public_nodes);
    network->operands = nissl__alloc(n_operands, sizeof *network->operands);
    network->inputs = nissl__alloc(graph->n_inputs, sizeof *network->inputs);
    network->outputs = nissl__alloc(graph->n_outputs, sizeof *network->outputs);
    network->input_ports = nissl__alloc(graph->n_inputs, sizeof *network->input_ports);
    network->output_ports = nissl__alloc(graph->n_outputs, sizeof *network->output_ports);
    if (!network->value_names || !network->constants || !network->producer || !network->nodes ||
        !network->public_nodes || !network->operands || !network->inputs || !network->outputs ||
        !network->input_ports || !network->output_ports || !name_table_new(&table, n_names)) {
        status = NISSL__NO_MEMORY(err, n_names * sizeof(void *));
        goto done;
    }
    for (size_t i = 0; i < n_names; i++)
        network->producer[i] = -1;
    for (size_t i = 0; i < graph->n_initializers; i++) {
        int value = intern(network, &table, graph->initializers[i].name);
        if (value < 0)
            continue;
        network->constants[value] = &graph->initializers[i];
        if (graph->initializers[i].type == NISSL_FLOAT32 ||
            graph->initializers[i].type == NISSL_FLOAT64 ||
            graph->initializers[i].type == NISSL_FLOAT16 ||
            graph->initializers[i].type == NISSL_BFLOAT16)
            network->parameters +=
                graph->initializers[i].bytes / nissl_type_size(graph->initializers[i].type);
    }
    for (size_t i = 0; i < graph->n_inputs; i++) {
        int value = intern(network, &table, graph->inputs[i].name);
        if (value < 0 || network->constants[value])
            continue;
        fill_port(&network->input_ports[network->n_inputs], &graph->inputs[i]);
        network->inputs[network->n_inputs++] = value;
    }
    int *operand = network->operands;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const nissl__onnx_node *from = &graph->nodes[i];
        nissl__node *node = &network->nodes[i];
        nissl_node *shown = &network->public_nodes[i];
        if (from->n_inputs > NISSL__MAX_OPERANDS || from->n_outputs > NISSL__MAX_OPERANDS) {
            status = NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                                 "%s: node %zu (%s) has %zu operands, at most %d", network->path, i,
                                 from->op, NISSL__MAX(from->n_inputs, from->n_outputs),
                                 NISSL__MAX_OPERANDS);
            goto done;
        }
        node->onnx = from;
        node->op = nissl__operator_find(from->domain, from->op);
        node->name = from->name;
        node->n_inputs = (int)from->n_inputs;
        node->n_outputs = (int)from->n_outputs;
        network->n_nodes++;
        node->inputs = operand;
        for (size_t j = 0; j < from->n_inputs; j++) {
            int before = network->n_values;
            *operand = intern(network, &table, from->inputs[j]);
            if (*operand >= before) {
                status =
                    NISSL__FAIL(err, NISSL_ERR_FORMAT,
                                "%s: node %zu (%s) reads \"%s\", which nothing before it makes",
                                network->path, i, from->op, from->inputs[j]);
                goto done;
            }
            operand++;
        }
        node->outputs = operand;
        for (size_t j = 0; j < from->n_outputs; j++) {
            int before = network->n_values;
            *operand = intern(network, &table, from->outputs[j]);
            if (*operand >= 0 && *operand < before) {
                status = NISSL__FAIL(err, NISSL_ERR_FORMAT,
                                     "%s: node %zu (%s) makes \"%s\" a second time", network->path,
                                     i, from->op, from->outputs[j]);
                goto done;
            }
            if (*operand >= 0)
                network->producer[*operand] = (int)i;
            operand++;
        }
        if (!node->name[0] && from->n_outputs && from->outputs[0][0])
            node->name = from->outputs[0];
        *shown = (nissl_node){node->name,      from->op,     from->domain, from->n_inputs,
                              from->n_outputs, from->inputs, from->outputs};
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        int before = network->n_values;
        int value = intern(network, &table, graph->outputs[i].name);
        if (value < 0 || value >= before) {
            status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: output %zu \"%s\" is made by no node",
                                 network->path, i, graph->outputs[i].name);
            goto done;
        }
        fill_port(&network->output_ports[network->n_outputs], &graph->outputs[i]);
        network->outputs[network->n_outputs++] = value;
    }
    if (network->n_outputs == 0)
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: the graph has no output", network->path);
done:
    name_table_free(&table);
    return status;
}

nissl_status nissl__network_of_model(nissl_context *ctx, nissl__onnx_model *model, const char *path,
                                     const char *format, uint64_t hash, nissl_network **out,
                                     nissl_error *err)
{
    nissl_status status;
    nissl_network *network = nissl__alloc(1, sizeof *network);
    if (!network) {
        nissl__onnx_free(model);
        return NISSL__NO_MEMORY(err, sizeof *network);
    }
    network->model = model;
    network->opset = model->opset;
    network->hash = hash;
    network->path = nissl__strdup(path);
    network->format = nissl__strdup(format);
    if (!network->path || !network->format) {
        status = NISSL__NO_MEMORY(err, strlen(path) + strlen(format) + 2);
        goto done;
    }
    if ((status = index_graph(network, err)) != NISSL_OK)
        goto done;
    if ((status = check_operators(network, err)) != NISSL_OK)
        goto done;
    *out = network;
    network = NULL;
done:
    nissl_network_free(network);
    return status;
}

nissl_status nissl_network_open(nissl_context *ctx, const char *path, nissl_network **out,
                                nissl_error *err)
{
    nissl__onnx_model *model = NULL;
    uint64_t hash = 0;
    nissl_status status = nissl__onnx_open(path, nissl__memory_limit(ctx), &model, err);
    if (status != NISSL_OK)
        return status;
    if ((status = hash_file(path, &hash, err)) != NISSL_OK) {
        nissl__onnx_free(model);
        return status;
    }
    char *format = nissl__format("ONNX, opset %lld%s%s%s%s", (long long)model->opset,
                                 model->producer_name[0] ? ", " : "", model->producer_name,
                                 model->producer_version[0] ? " " : "", model->producer_version);
    if (!format) {
        nissl__onnx_free(model);
        return NISSL__NO_MEMORY(err, 64);
    }
    status = nissl__network_of_model(ctx, model, path, format, hash, out, err);
    nissl__free(format);
    return status;
}

void nissl_network_free(nissl_network *network)
{
    if (!network)
        return;
    if (network->twin_data)
        for (int i = 0; i < network->n_values + network->n_nodes; i++)
            nissl__free(network->twin_data[i]);
    nissl__free(network->twin_data);
    nissl__free(network->twin_tensors);
    nissl__free(network->twin_node_tensors);
    nissl__free(network->constants);
    if (!network->original) {
        nissl__onnx_free(network->model);
        nissl__free(network->path);
        nissl__free(network->format);
        nissl__free(network->value_names);
        nissl__free(network->producer);
        nissl__free(network->nodes);
        nissl__free(network->public_nodes);
        nissl__free(network->operands);
        nissl__free(network->inputs);
        nissl__free(network->outputs);
        nissl__free(network->input_ports);
        nissl__free(network->output_ports);
    }
    nissl__free(network);
}

const char *nissl_network_path(const nissl_network *network)
{
    return network->path;
}

const char *nissl_network_format(const nissl_network *network)
{
    return network->format;
}

uint64_t nissl_network_parameters(const nissl_network *network)
{
    return network->parameters;
}

uint64_t nissl_network_hash(const nissl_network *network)
{
    return network->hash;
}

size_t nissl_network_n_nodes(const nissl_network *network)
{
    return (size_t)network->n_nodes;
}

const nissl_node *nissl_network_node(const nissl_network *network, size_t index)
{
    return index < (size_t)network->n_nodes ? &network->public_nodes[index] : NULL;
}

size_t nissl_network_n_inputs(const nissl_network *network)
{
    return (size_t)network->n_inputs;
}

const nissl_port *nissl_network_input(const nissl_network *network, size_t index)
{
    return index < (size_t)network->n_inputs ? &network->input_ports[index] : NULL;
}

size_t nissl_network_n_outputs(const nissl_network *network)
{
    return (size_t)network->n_outputs;
}

const nissl_port *nissl_network_output(const nissl_network *network, size_t index)
{
    return index < (size_t)network->n_outputs ? &network->output_ports[index] : NULL;
}
