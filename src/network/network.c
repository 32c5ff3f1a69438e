/* Opening a network: the file's graph with names turned into indices, and its unsupported operators
 * named. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/file.h"
#include "foundation/foundation.h"
#include "network/families/family.h"
#include "network/families/recognise.h"
#include "network/graph.h"
#include "network/program.h"

int nissl__network_find_value(const nissl_network *network, const char *name)
{
    for (int i = 0; i < network->n_values; i++)
        if (strcmp(network->value_names[i], name) == 0)
            return i;
    for (int i = 0; i < network->n_values && network->labels; i++)
        for (size_t k = 0; k < network->labels[i].n_aliases; k++)
            if (strcmp(network->labels[i].aliases[k], name) == 0)
                return i;
    return -1;
}

const nissl__label *nissl__network_label(const nissl_network *network, int value)
{
    return network->labels && value < network->n_values ? &network->labels[value] : NULL;
}

/* ---- attributes ---- */

const nissl__onnx_attribute *nissl__attribute(const nissl__node *node, const char *name)
{
    const nissl__onnx_attribute *a = nissl__onnx_find_attribute(node->onnx, name);
    for (const nissl__call_site *site = node->site; a && a->reference && a->reference[0];
         site = site->outer) {
        const char *wanted = a->reference;
        if (!site)
            return NULL;
        a = nissl__onnx_find_attribute(site->node, wanted);
        for (size_t i = 0; i < site->function->n_defaults && !a; i++)
            if (strcmp(site->function->defaults[i].name, wanted) == 0)
                a = &site->function->defaults[i];
    }
    return a;
}

int64_t nissl__attr_int(const nissl__node *node, const char *name, int64_t fallback)
{
    const nissl__onnx_attribute *a = nissl__attribute(node, name);
    return a && a->kind == NISSL__ONNX_INT ? a->i : fallback;
}

float nissl__attr_float(const nissl__node *node, const char *name, float fallback)
{
    const nissl__onnx_attribute *a = nissl__attribute(node, name);
    return a && a->kind == NISSL__ONNX_FLOAT ? a->f : fallback;
}

const char *nissl__attr_string(const nissl__node *node, const char *name, const char *fallback)
{
    const nissl__onnx_attribute *a = nissl__attribute(node, name);
    return a && a->kind == NISSL__ONNX_STRING ? a->s : fallback;
}

const int64_t *nissl__attr_ints(const nissl__node *node, const char *name, size_t *n)
{
    const nissl__onnx_attribute *a = nissl__attribute(node, name);
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

static bool same_operator(const nissl__onnx_node *a, const nissl__onnx_node *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->domain, b->domain) == 0;
}

/* Every unsupported operator in one message: name, first node, how many. */
static nissl_status check_operators(nissl_network *network, nissl_error *err)
{
    char list[320] = "";
    size_t used = 0;
    int n_kinds = 0;
    const char *advice = "";
    for (int i = 0; i < network->n_nodes; i++) {
        const nissl__onnx_node *node = network->nodes[i].onnx;
        int count = 0;
        bool seen = false;
        if (network->nodes[i].op)
            continue;
        for (int j = 0; j < i && !seen; j++)
            seen = same_operator(node, network->nodes[j].onnx);
        if (seen)
            continue;
        for (int j = i; j < network->n_nodes; j++)
            count += same_operator(node, network->nodes[j].onnx);
        if (strcmp(node->domain, "com.microsoft") == 0)
            advice = "; export without onnxruntime's fusions (optimum: --optimize none; "
                     "torch.onnx.export writes none)";
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
                       "%s: %d operator%s not supported at opset %lld: %s%s", network->path,
                       n_kinds, n_kinds == 1 ? " is" : "s are", (long long)network->opset, list,
                       advice);
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
    if ((status = nissl__network_flatten(network, err)) != NISSL_OK)
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
    if (nissl__family_claims(path))
        return nissl__family_open(ctx, path, out, err);
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
    nissl_network *network = NULL;
    status = nissl__network_of_model(ctx, model, path, format, hash, &network, err);
    nissl__free(format);
    if (status == NISSL_OK)
        status = nissl__recognise(ctx, network, NISSL__RECOGNISE_OPERATIONS, err);
    if (status == NISSL_OK)
        *out = network;
    else
        nissl_network_free(network);
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
        nissl__arena_free(&network->label_memory);
        nissl__free(network->nodes);
        nissl__free(network->public_nodes);
        for (size_t i = 0; i < network->n_owned; i++)
            nissl__free(network->owned[i]);
        nissl__free(network->owned);
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
    nissl__lazy_hash *lazy = network->lazy_hash;
    uint64_t value = lazy ? atomic_load(&lazy->value) : network->hash;
    if (lazy && value == 0) { /* two threads may both compute it, and agree */
        nissl__hash hash;
        nissl__hash_begin(&hash);
        for (size_t i = 0; i < lazy->n; i++)
            nissl__hash_add(&hash, lazy->parts[i].data, lazy->parts[i].size);
        value = NISSL__MAX(nissl__hash_end(&hash), 1);
        atomic_store(&lazy->value, value);
    }
    return value;
}

bool nissl_network_masks_padding(const nissl_network *network)
{
    return network->masks_padding;
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
