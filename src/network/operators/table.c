/* All operators by name. */
#include "network/operators/operators.h"

const nissl__operator *nissl__operator_find(const char *domain, const char *name)
{
    static const nissl__operator *const families[] = {
        nissl__operators_conv,      nissl__operators_matmul,    nissl__operators_pool,
        nissl__operators_normalise, nissl__operators_unary,     nissl__operators_binary,
        nissl__operators_reshape,   nissl__operators_move,      nissl__operators_reduce,
        nissl__operators_constant,  nissl__operators_softmax,   nissl__operators_resize,
        nissl__operators_einsum,    nissl__operators_recurrent, nissl__operators_conv_transpose,
        nissl__operators_resize,    nissl__operators_einsum,    nissl__operators_recurrent,
        nissl__operators_layernorm, nissl__operators_cast,      nissl__operators_view,
        nissl__operators_pick,      nissl__operators_scatter,   nissl__operators_order,
        nissl__operators_fill,
    };
    if (domain[0])
        return NULL;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const nissl__operator *op = families[i]; op->name; op++)
            if (strcmp(op->name, name) == 0)
                return op;
    return NULL;
}

nissl_status nissl__infer_same(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, in->rank, in->shape, err);
}

nissl_status nissl__check_float32(nissl__compiler *c, const nissl__node *node, int n,
                                  nissl_error *err)
{
    for (int i = 0; i < n; i++) {
        const nissl__value *in = nissl__in(c, node, i);
        if (in && in->type != NISSL_FLOAT32)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input %d is %s; float32 is supported",
                                    i, nissl_type_name(in->type));
    }
    return NISSL_OK;
}

bool nissl__any_empty(nissl__compiler *c, const nissl__node *node)
{
    bool empty = false;
    for (int i = 0; i < node->n_inputs + node->n_outputs; i++) {
        const nissl__value *value =
            i < node->n_inputs ? nissl__in(c, node, i) : nissl__out(c, node, i - node->n_inputs);
        for (int j = 0; value && j < value->rank; j++)
            empty |= value->shape[j] == 0;
    }
    return empty;
}

double nissl__node_operations(nissl__compiler *c, const nissl__node *node, uint64_t *parameters)
{
    const nissl__value *out = nissl__out(c, node, 0);
    const nissl__value *weight = nissl__in(c, node, 1);
    double count = 1, work = 1;
    uint64_t n_parameters = 0;
    if (!out || !out->inferred || out->constant)
        return 0;
    for (int i = 0; i < out->rank; i++)
        count *= (double)out->shape[i];
    for (int j = 1; j < node->n_inputs; j++) {
        const nissl__value *in = nissl__in(c, node, j);
        uint64_t n = 1;
        if (!in || (!in->constant && !in->unread) || in->type != NISSL_FLOAT32)
            continue;
        for (int i = 0; i < in->rank; i++)
            n *= (uint64_t)in->shape[i];
        n_parameters += n;
    }
    if (parameters)
        *parameters = n_parameters;
    if (strcmp(node->onnx->op, "Conv") == 0 && weight && weight->inferred) {
        work = 2;
        for (int i = 1; i < weight->rank; i++)
            work *= (double)weight->shape[i];
    } else if (strcmp(node->onnx->op, "ConvTranspose") == 0 && weight && weight->inferred) {
        const nissl__value *in = nissl__in(c, node, 0);
        count = 1; /* every input element meets every tap of every output channel of its group */
        for (int i = 0; i < in->rank; i++)
            count *= (double)in->shape[i];
        work = 2;
        for (int i = 1; i < weight->rank; i++)
            work *= (double)weight->shape[i];
    } else if (strcmp(node->onnx->op, "Gemm") == 0 && nissl__in(c, node, 0)) {
        const nissl__value *a = nissl__in(c, node, 0);
        work = 2 * (double)a->shape[nissl__attr_int(node, "transA", 0) ? 0 : a->rank - 1];
    } else if (strcmp(node->onnx->op, "MatMul") == 0) {
        const nissl__value *a = nissl__in(c, node, 0);
        work = 2 * (double)a->shape[a->rank - 1];
    }
    return count * work;
}
