/* Twins: the same graph with the entries of each weight tensor permuted. */
#include "foundation/foundation.h"
#include "network/graph.h"

static bool is_weight(const nissl__onnx_tensor *tensor)
{
    bool floating = tensor->type == NISSL_FLOAT32 || tensor->type == NISSL_FLOAT64 ||
                    tensor->type == NISSL_FLOAT16 || tensor->type == NISSL_BFLOAT16;
    return floating && tensor->bytes > nissl_type_size(tensor->type);
}

/* Inputs that look like weights but say how an operator works. */
static bool is_setting(const nissl__onnx_node *node, size_t input)
{
    if (strcmp(node->op, "Resize") == 0 || strcmp(node->op, "Upsample") == 0)
        return input > 0;
    return false;
}

static nissl_status permuted(const nissl__onnx_tensor *from, uint64_t seed, uint64_t stream,
                             nissl__onnx_tensor *to, void **data, nissl_error *err)
{
    size_t size = nissl_type_size(from->type);
    size_t n = from->bytes / size;
    int64_t *order = nissl__alloc(n, sizeof *order);
    char *copy = nissl__alloc(n, size);
    if (!order || !copy) {
        nissl__free(order);
        nissl__free(copy);
        return NISSL__NO_MEMORY(err, n * sizeof *order);
    }
    nissl__random_permutation(seed, stream, (int64_t)n, order);
    for (size_t i = 0; i < n; i++)
        memcpy(copy + i * size, (const char *)from->data + (size_t)order[i] * size, size);
    nissl__free(order);
    *to = *from;
    to->data = copy;
    *data = copy;
    return NISSL_OK;
}

typedef struct twin_job {
    const nissl_network *from;
    nissl_network *to;
    uint64_t seed;
    uint64_t *stream; /* [n_values + n_nodes] UINT64_MAX = keep */
} twin_job;

static nissl_status permute_task(void *user, int64_t task, int worker, nissl_error *err)
{
    twin_job *job = user;
    int n_values = job->from->n_values;
    if (job->stream[task] == UINT64_MAX)
        return NISSL_OK;
    if (task < n_values)
        return permuted(job->from->constants[task], job->seed, job->stream[task],
                        &job->to->twin_tensors[task], &job->to->twin_data[task], err);
    int node = (int)task - n_values;
    return permuted(nissl__network_constant(job->from, node), job->seed, job->stream[task],
                    &job->to->twin_node_tensors[node], &job->to->twin_data[task], err);
}

nissl_status nissl_network_twin(nissl_context *ctx, const nissl_network *network, uint64_t seed,
                                nissl_network **out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    size_t n_values = (size_t)network->n_values, n_nodes = (size_t)network->n_nodes;
    nissl_network *twin = nissl__alloc(1, sizeof *twin);
    twin_job job = {network, twin, seed, nissl__alloc(n_values + n_nodes, sizeof *job.stream)};
    if (!twin || !job.stream) {
        status = NISSL__NO_MEMORY(err, (n_values + n_nodes) * sizeof *job.stream);
        goto done;
    }
    *twin = *network;
    twin->original = network;
    twin->twin_tensors = nissl__alloc(n_values, sizeof *twin->twin_tensors);
    twin->twin_node_tensors = nissl__alloc(n_nodes, sizeof *twin->twin_node_tensors);
    twin->twin_data = nissl__alloc(n_values + n_nodes, sizeof *twin->twin_data);
    twin->constants = nissl__alloc(n_values, sizeof *twin->constants);
    if (!twin->twin_tensors || !twin->twin_node_tensors || !twin->twin_data || !twin->constants) {
        status = NISSL__NO_MEMORY(err, n_values * sizeof *twin->twin_tensors);
        goto done;
    }
    for (size_t i = 0; i < n_values; i++)
        job.stream[i] = network->constants[i] && is_weight(network->constants[i]) ? i : UINT64_MAX;
    for (size_t i = 0; i < n_nodes; i++) {
        const nissl__node *node = &network->nodes[i];
        const nissl__onnx_tensor *constant = strcmp(node->onnx->op, "Constant") == 0
                                                 ? nissl__network_constant(network, (int)i)
                                                 : NULL;
        const nissl__label *label = constant && node->outputs[0] >= 0
                                        ? nissl__network_label(network, node->outputs[0])
                                        : NULL;
        bool setting = label && label->setting;
        job.stream[n_values + i] =
            constant && is_weight(constant) && !setting ? n_values + i : UINT64_MAX;
    }
    for (size_t i = 0; i < n_nodes; i++) {
        const nissl__node *node = &network->nodes[i];
        bool norm = strcmp(node->onnx->op, "BatchNormalization") == 0;
        for (int j = 0; j < node->n_inputs; j++) {
            int value = node->inputs[j];
            if (value < 0)
                continue;
            int maker = network->producer[value];
            uint64_t *stream =
                maker >= 0 ? &job.stream[n_values + (size_t)maker] : &job.stream[value];
            if (*stream == UINT64_MAX)
                continue;
            if (is_setting(node->onnx, (size_t)j))
                *stream = UINT64_MAX;
            else if (norm &&
                     j > 0) /* one permutation per node: the same stream and the same length */
                *stream = n_values + n_nodes + i;
        }
    }
    status = nissl__parallel(ctx, (int64_t)(n_values + n_nodes), permute_task, &job, err);
    if (status != NISSL_OK)
        goto done;
    for (size_t i = 0; i < n_values; i++)
        twin->constants[i] =
            twin->twin_tensors[i].data ? &twin->twin_tensors[i] : network->constants[i];
    *out = twin;
    twin = NULL;
done:
    nissl__free(job.stream);
    if (twin && !twin->original)
        nissl__free(twin);
    else
        nissl_network_free(twin);
    return status;
}
