/* Constant, ConstantOfShape, and If, which a constant decides. */
#include "network/operators/operators.h"

#define MAX_ELEMENTS ((int64_t)1 << 28)

static nissl_status lower_nothing(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    return NISSL_OK;
}

static nissl_status infer_constant_of_shape(nissl__compiler *c, const nissl__node *node,
                                            nissl_error *err)
{
    const nissl__onnx_attribute *a = nissl__attribute(node, "value");
    const nissl__onnx_tensor *tensor = a && a->kind == NISSL__ONNX_TENSOR ? a->tensor : NULL;
    nissl__value *out = nissl__out(c, node, 0);
    int64_t shape[NISSL_MAX_RANK], count = 1;
    int rank;
    nissl_status status = nissl__constant_ints(c, node, 0, shape, NISSL_MAX_RANK, &rank, err);
    if (status != NISSL_OK)
        return status;
    nissl_type type = tensor ? tensor->type : NISSL_FLOAT32;
    size_t size = nissl_type_size(type);
    if (tensor && tensor->bytes < size)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_FORMAT, "value has %zu bytes, expected %zu",
                                tensor->bytes, size);
    for (int i = 0; i < rank; i++)
        if (!nissl__mul(count, shape[i], &count) || count > MAX_ELEMENTS)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_LIMIT,
                                    "axis %d of %lld elements exceeds %lld in all", i,
                                    (long long)shape[i], (long long)MAX_ELEMENTS);
    char *data = nissl__own(c, (size_t)NISSL__MAX(count, 1) * size);
    if (!data)
        return NISSL__NO_MEMORY(err, (size_t)count * size);
    for (int64_t i = 0; i < count && tensor; i++)
        memcpy(data + (size_t)i * size, tensor->data, size);
    out->constant = data;
    return nissl__set_shape(c, out, type, rank, shape, err);
}

/* Inputs: condition, outputs of then, outputs of else (see flatten.c). */
static int taken(nissl__compiler *c, const nissl__node *node, int output)
{
    bool truth = *(const uint8_t *)nissl__in(c, node, 0)->constant != 0;
    return node->inputs[1 + (truth ? 0 : node->n_outputs) + output];
}

static nissl_status infer_if(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *condition = nissl__in(c, node, 0);
    nissl_status status;
    for (int i = 0; i < condition->rank; i++)
        if (condition->shape[i] != 1)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "the condition has rank %d",
                                    condition->rank);
    if (!condition->constant || condition->type != NISSL_BOOL)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "the condition depends on the stimulus");
    for (int i = 0; i < node->n_outputs; i++) {
        nissl__value *out = nissl__out(c, node, i);
        const nissl__value *from = &c->values[taken(c, node, i)];
        if (!out)
            continue;
        if (!from->inferred)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                    "output %d is not computed by the branch", i);
        out->unit_axis = from->unit_axis;
        out->dynamic = from->dynamic;
        if ((status = nissl__set_shape(c, out, from->type, from->rank, from->shape, err)) !=
            NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

static nissl_status lower_if(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    for (int i = 0; i < node->n_outputs; i++) {
        nissl__value *out = nissl__out(c, node, i);
        if (out && (out->needed || c->folding))
            nissl__alias(c, out, taken(c, node, i), 0, c->values[taken(c, node, i)].stride);
    }
    return NISSL_OK;
}

const nissl__operator nissl__operators_constant[] = {
    {"Constant", 0, 0, NULL, lower_nothing, .follows = false},
    {"If", 1, -1, infer_if, lower_if, .follows = false},
    {"ConstantOfShape", 1, 1, infer_constant_of_shape, lower_nothing, .follows = false},
    {0},
};
