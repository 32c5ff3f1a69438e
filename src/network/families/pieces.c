/* Layers that families share: embeddings, linear layers, norms, residual sums, logits. */
#include <float.h>

#include "network/families/build.h"

void nissl__begin_tokens(nissl__builder *b, bool causal)
{
    const char *zero = nissl__int_scalar(b, 0), *one = nissl__int_scalar(b, 1);
    const char *allowed;
    b->ids = "input_ids";
    b->shape = nissl__node_add(b, NULL, "Shape", NISSL__IN(b->ids), NULL);
    b->tokens = nissl__node_add(b, NULL, "Max", NISSL__IN(b->ids, zero), NULL);
    const char *no = nissl__float_scalar(b, 0), *never = nissl__float_scalar(b, -FLT_MAX);
    if (causal) { /* query i sees keys 0 .. i */
        const char *n = nissl__node_add(b, NULL, "Gather", NISSL__IN(b->shape, one), NULL);
        const char *key = nissl__node_add(b, NULL, "Range", NISSL__IN(zero, n, one), NULL);
        const char *query =
            nissl__node_add(b, NULL, "Unsqueeze", NISSL__IN(key, NISSL__SHAPE(b, 1)), NULL);
        allowed = nissl__node_add(b, NULL, "LessOrEqual", NISSL__IN(key, query), NULL);
        b->mask = nissl__node_add(b, NULL, "Where", NISSL__IN(allowed, no, never), NULL);
    } else { /* every query sees the keys that are no padding */
        allowed = nissl__node_add(b, NULL, "GreaterOrEqual", NISSL__IN(b->ids, zero), NULL);
        const char *keys = nissl__node_add(b, NULL, "Where", NISSL__IN(allowed, no, never), NULL);
        b->mask =
            nissl__node_add(b, NULL, "Unsqueeze", NISSL__IN(keys, NISSL__SHAPE(b, 1, 2)), NULL);
    }
}

const char *nissl__embed(nissl__builder *b, const char *name, const char *table)
{
    const char *x = nissl__node_add(b, name, "Gather", NISSL__IN(table, b->tokens), NULL);
    nissl__site_is(b, x, "spu");
    return x;
}

const char *nissl__embed_positions(nissl__builder *b, const char *name, const char *table)
{
    const char *zero = nissl__int_scalar(b, 0), *one = nissl__int_scalar(b, 1);
    const char *n = nissl__node_add(b, NULL, "Gather", NISSL__IN(b->shape, one), NULL);
    const char *rows = nissl__node_add(b, NULL, "Range", NISSL__IN(zero, n, one), NULL);
    const char *x = nissl__node_add(b, NULL, "Gather", NISSL__IN(table, rows), NULL);
    return nissl__node_add(b, name, "Unsqueeze", NISSL__IN(x, NISSL__SHAPE(b, 0)), NULL);
}

/* An int64 vector [batch, tokens, n]. */
static const char *wide_shape(nissl__builder *b, int64_t n)
{
    return nissl__node_add(b, NULL, "Concat", NISSL__IN(b->shape, NISSL__SHAPE(b, n)),
                           NISSL__WITH(NISSL__INT("axis", 0)));
}

/* weight [n_out, n_in], as frameworks keep it: the product of one tall matrix takes it as it is. */
static const char *product(nissl__builder *b, const char *name, const char *x, const char *weight,
                           const char *bias, int64_t n_in, int64_t n_out)
{
    const char *flat =
        nissl__node_add(b, NULL, "Reshape", NISSL__IN(x, NISSL__SHAPE(b, -1, n_in)), NULL);
    const char *y = nissl__node_add(b, NULL, "Gemm",
                                    bias ? NISSL__IN(flat, weight, bias) : NISSL__IN(flat, weight),
                                    NISSL__WITH(NISSL__INT("transB", 1)));
    y = nissl__node_add(b, name, "Reshape", NISSL__IN(y, wide_shape(b, n_out)), NULL);
    return y;
}

const char *nissl__linear(nissl__builder *b, const char *name, const char *x, const char *prefix,
                          int64_t n_in, int64_t n_out, bool plain)
{
    const char *weight_name = nissl__text(b, "%s.weight", prefix);
    const char *bias_name = nissl__text(b, "%s.bias", prefix);
    const char *bias = nissl__has_weight(b, bias_name) ? NISSL__WEIGHT(b, bias_name, n_out) : NULL;
    const char *y;
    if (!plain) {
        const char *weight = NISSL__WEIGHT(b, weight_name, n_out, n_in);
        y = product(b, name, x, weight, bias, n_in, n_out);
    } else {
        const char *weight = NISSL__WEIGHT(b, weight_name, n_in, n_out);
        y = nissl__node_add(b, bias ? NULL : name, "MatMul", NISSL__IN(x, weight), NULL);
        if (bias)
            y = nissl__node_add(b, name, "Add", NISSL__IN(y, bias), NULL);
    }
    if (name)
        nissl__site_is(b, y, "spu");
    return y;
}

const char *nissl__layer_norm(nissl__builder *b, const char *name, const char *x,
                              const char *prefix)
{
    int64_t n = b->config->d_model;
    const char *names[2] = {nissl__text(b, "%s.weight", prefix), nissl__text(b, "%s.bias", prefix)};
    if (!nissl__has_weight(b, names[0]) &&
        nissl__has_weight(b, nissl__text(b, "%s.gamma", prefix))) { /* of older files */
        names[0] = nissl__text(b, "%s.gamma", prefix);
        names[1] = nissl__text(b, "%s.beta", prefix);
    }
    const char *y = nissl__node_add(
        b, name, "LayerNormalization",
        NISSL__IN(x, NISSL__WEIGHT(b, names[0], n), NISSL__WEIGHT(b, names[1], n)),
        NISSL__WITH(NISSL__INT("axis", -1), NISSL__FLOAT("epsilon", b->config->epsilon)));
    nissl__site_is(b, y, "spu");
    return y;
}

const char *nissl__rms_norm(nissl__builder *b, const char *normalized, const char *name,
                            const char *x, const char *weight, int64_t n)
{
    float *ones = nissl__alloc((size_t)n, sizeof *ones);
    if (!ones) {
        if (b->status == NISSL_OK)
            b->status = NISSL__NO_MEMORY(b->err, (size_t)n * sizeof *ones);
        return "";
    }
    for (int64_t i = 0; i < n; i++)
        ones[i] = 1;
    const char *y = nissl__node_add(
        b, normalized, "RMSNormalization", NISSL__IN(x, nissl__floats(b, n, ones)),
        NISSL__WITH(NISSL__INT("axis", -1), NISSL__FLOAT("epsilon", b->config->epsilon)));
    nissl__free(ones);
    return nissl__node_add(b, name, "Mul", NISSL__IN(y, NISSL__WEIGHT(b, weight, n)), NULL);
}

const char *nissl__activate(nissl__builder *b, const char *name, const char *x)
{
    const char *op = "Gelu";
    const char *approximate = "none";
    switch (b->config->activation) {
    case NISSL__ACTIVATION_GELU: break;
    case NISSL__ACTIVATION_GELU_TANH: approximate = "tanh"; break;
    case NISSL__ACTIVATION_RELU: op = "Relu"; break;
    case NISSL__ACTIVATION_SILU: op = "Swish"; break;
    case NISSL__ACTIVATION_TANH: op = "Tanh"; break;
    }
    const char *y = nissl__node_add(
        b, name, op, NISSL__IN(x),
        strcmp(op, "Gelu") == 0 ? NISSL__WITH(NISSL__TEXT("approximate", approximate)) : NULL);
    if (name)
        nissl__site_is(b, y, "spu");
    return y;
}

const char *nissl__add_residual(nissl__builder *b, const char *name, const char *a,
                                const char *other)
{
    const char *x = nissl__node_add(b, name, "Add", NISSL__IN(a, other), NULL);
    nissl__site_is(b, x, "spu");
    return x;
}

void nissl__end_with_logits(nissl__builder *b, const char *x, const char *head, const char *bias,
                            const char *embedding)
{
    const nissl__family_config *c = b->config;
    const char *name = nissl__text(b, "%s.weight", head);
    const char *weight = nissl__has_weight(b, name) ? name : c->tied ? embedding : NULL;
    if (!weight) {
        nissl__output_is(b, x, true, c->d_model);
        return;
    }
    bias = nissl__has_weight(b, bias) ? NISSL__WEIGHT(b, bias, c->n_vocab) : NULL;
    const char *y = product(b, "logits", x, NISSL__WEIGHT(b, weight, c->n_vocab, c->d_model), bias,
                            c->d_model, c->n_vocab);
    nissl__site_is(b, y, "spu");
    nissl__alias_add(b, y, "%s", head);
    nissl__output_is(b, y, true, c->n_vocab);
}
