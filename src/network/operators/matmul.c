/* Gemm and MatMul: constant right-hand sides are packed once, a following bias or activation is
 * applied on the way out. */
#include "network/attention.h"
#include "network/operators/operators.h"

/* Operands of one type: float32, or another that product.c computes. */
static nissl_status check_types(const nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl_type type = c->values[node->inputs[0]].type;
    for (int i = 0; i < node->n_inputs; i++) {
        if (node->inputs[i] < 0)
            continue;
        if (c->values[node->inputs[i]].type != type || type == NISSL_BOOL)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "operand 0 is %s, operand %d %s",
                                    nissl_type_name(type), i,
                                    nissl_type_name(c->values[node->inputs[i]].type));
    }
    return NISSL_OK;
}

static nissl_status infer_gemm(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *a = nissl__in(c, node, 0), *b = nissl__in(c, node, 1);
    bool ta = nissl__attr_int(node, "transA", 0) != 0, tb = nissl__attr_int(node, "transB", 0) != 0;
    nissl_status status = check_types(c, node, err);
    if (status != NISSL_OK)
        return status;
    if (a->rank != 2 || b->rank != 2 || a->shape[ta ? 0 : 1] != b->shape[tb ? 1 : 0])
        return NISSL__NODE_FAIL(
            c, err, NISSL_ERR_SHAPE, "[%lld, %lld] times [%lld, %lld]%s%s",
            (long long)(a->rank > 0 ? a->shape[0] : 1), (long long)(a->rank > 1 ? a->shape[1] : 1),
            (long long)(b->rank > 0 ? b->shape[0] : 1), (long long)(b->rank > 1 ? b->shape[1] : 1),
            ta ? ", A transposed" : "", tb ? ", B transposed" : "");
    int64_t shape[2] = {a->shape[ta ? 1 : 0], b->shape[tb ? 0 : 1]};
    const nissl__value *addend = nissl__in(c, node, 2);
    for (int i = 0; addend && i < addend->rank; i++) {
        int axis = 2 - addend->rank + i;
        if (axis < 0 || (addend->shape[i] != 1 && addend->shape[i] != shape[axis]))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "axis %d of C has %lld entries; the product is [%lld, %lld]", i,
                                    (long long)addend->shape[i], (long long)shape[0],
                                    (long long)shape[1]);
    }
    return nissl__set_shape(c, nissl__out(c, node, 0), a->type, 2, shape, err);
}

/* A following Add of a constant row vector becomes the bias. */
static int absorb_bias(nissl__compiler *c, int value, const float **bias)
{
    int next = nissl__sole_consumer(c, value);
    if (next < 0)
        return value;
    const nissl__node *add = &c->network->nodes[next];
    const nissl__value *product = &c->values[value];
    if (strcmp(add->onnx->op, "Add") != 0)
        return value;
    int other = add->inputs[0] == value ? add->inputs[1] : add->inputs[0];
    const nissl__value *row = other >= 0 ? &c->values[other] : NULL;
    if (!row || !row->constant || row->type != NISSL_FLOAT32 || row->rank < 1 ||
        row->rank > product->rank || row->shape[row->rank - 1] != product->shape[product->rank - 1])
        return value;
    for (int i = 0; i < row->rank - 1; i++)
        if (row->shape[i] != 1)
            return value;
    *bias = row->constant;
    c->absorbed[next] = true;
    return add->outputs[0];
}

static float *scaled(nissl__compiler *c, const float *from, int64_t n, float factor)
{
    float *to = nissl__own(c, (size_t)n * sizeof *to);
    for (int64_t i = 0; i < n && to; i++)
        to[i] = from[i] * factor;
    return to;
}

/* Adds a step for a product whose operands are set in spec except strides of the output. */
static nissl_status add_product(nissl__compiler *c, nissl__matmul_spec *spec, int a, int b, int out,
                                nissl_error *err)
{
    nissl__value *result = &c->values[out];
    nissl__place(c, result);
    int target = out;
    if (!nissl__is_dense(result, NISSL__PLAIN)) {
        target = nissl__new_value(c, NISSL_FLOAT32, result->rank, result->shape, NISSL__PLAIN, err);
        if (target < 0)
            return NISSL_ERR_INTERNAL;
    }
    nissl__dense_strides(spec->rank, spec->out_shape, NISSL__PLAIN, spec->out_stride);
    int inputs[2] = {a, b};
    nissl__step *step = nissl__add_step(c, "matmul", spec->b ? 1 : 2, inputs, 1, &target, 0);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *step);
    nissl_status status = nissl__dnnl_matmul(c, step, spec, err);
    if (status == NISSL_OK && target != out) {
        step = nissl__add_step(c, "reorder", 1, &target, 1, &out, 0);
        if (!step)
            return NISSL__NO_MEMORY(err, sizeof *step);
        step->execute = nissl__execute_copy;
    }
    return status;
}

/* out = a * factor, in its own step. */
static nissl_status add_scaled(nissl__compiler *c, int a, float factor, int out, nissl_error *err)
{
    float *scalar = nissl__own(c, sizeof *scalar);
    int n = scalar ? nissl__new_value(c, NISSL_FLOAT32, 0, NULL, NISSL__PLAIN, err) : -1;
    if (n < 0)
        return NISSL__NO_MEMORY(err, sizeof *scalar);
    *scalar = factor;
    c->values[n].constant = scalar;
    c->values[n].home = NISSL__HOME_CONSTANT;
    return nissl__add_binary(c, NISSL__BINARY_MUL, a, n, out, err);
}

/* C of a Gemm that is not a constant row: scaled and added in steps of its own. */
static nissl_status add_addend(nissl__compiler *c, int product, int addend, float beta, int out,
                               nissl_error *err)
{
    if (beta != 1.0f) {
        const nissl__value *v = &c->values[addend];
        int scaled_addend = nissl__new_value(c, v->type, v->rank, v->shape, NISSL__PLAIN, err);
        if (scaled_addend < 0)
            return NISSL_ERR_INTERNAL;
        nissl_status status = add_scaled(c, addend, beta, scaled_addend, err);
        if (status != NISSL_OK)
            return status;
        addend = scaled_addend;
    }
    return nissl__add_binary(c, NISSL__BINARY_ADD, product, addend, out, err);
}

static nissl_status lower_gemm(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    bool ta = nissl__attr_int(node, "transA", 0) != 0, tb = nissl__attr_int(node, "transB", 0) != 0;
    float alpha = nissl__attr_float(node, "alpha", 1.0f),
          beta = nissl__attr_float(node, "beta", 1.0f);
    int a = node->inputs[0], b = node->inputs[1], out = node->outputs[0];
    nissl_status status;
    if (c->values[a].type != NISSL_FLOAT32 || nissl__any_empty(c, node))
        return nissl__add_direct_product(c, node, err);
    nissl__matmul_spec spec = {.rank = 2};
    if ((status = nissl__dense(c, a, NISSL__PLAIN, &a, err)) != NISSL_OK ||
        (status = nissl__dense(c, b, NISSL__PLAIN, &b, err)) != NISSL_OK)
        return status;
    const nissl__value *va = &c->values[a], *vb = &c->values[b], *vc = nissl__in(c, node, 2);
    int64_t m = va->shape[ta], k = va->shape[!ta], n = vb->shape[!tb];
    memcpy(spec.a_shape, (int64_t[]){m, k}, sizeof(int64_t[2]));
    memcpy(spec.a_stride, ta ? (int64_t[]){1, m} : (int64_t[]){k, 1}, sizeof(int64_t[2]));
    memcpy(spec.b_shape, (int64_t[]){k, n}, sizeof(int64_t[2]));
    memcpy(spec.b_stride, tb ? (int64_t[]){1, k} : (int64_t[]){n, 1}, sizeof(int64_t[2]));
    memcpy(spec.out_shape, (int64_t[]){m, n}, sizeof(int64_t[2]));
    bool row = vc && vc->constant && vc->rank >= 1 && vc->shape[vc->rank - 1] == n &&
               (vc->rank == 1 || vc->shape[0] == 1);
    spec.b = vb->constant;
    if (spec.b && alpha != 1.0f && !(spec.b = scaled(c, spec.b, k * n, alpha)))
        return NISSL__NO_MEMORY(err, (size_t)(k * n) * sizeof(float));
    if (row && spec.b) {
        spec.bias = vc->constant;
        if (beta != 1.0f && !(spec.bias = scaled(c, spec.bias, n, beta)))
            return NISSL__NO_MEMORY(err, (size_t)n * sizeof(float));
    }
    float late_alpha = spec.b ? 1.0f : alpha; /* what is not in packed weights */
    if ((!vc || spec.bias) && late_alpha == 1.0f) {
        out = nissl__absorb_activation(c, out, &spec.epilogue);
        return add_product(c, &spec, a, b, out, err);
    }
    int product = nissl__new_value(c, NISSL_FLOAT32, 2, spec.out_shape, NISSL__PLAIN, err);
    if (product < 0)
        return NISSL_ERR_INTERNAL;
    if ((status = add_product(c, &spec, a, b, product, err)) != NISSL_OK)
        return status;
    if (late_alpha != 1.0f) {
        int whole =
            vc ? nissl__new_value(c, NISSL_FLOAT32, 2, spec.out_shape, NISSL__PLAIN, err) : out;
        if (whole < 0)
            return NISSL_ERR_INTERNAL;
        if ((status = add_scaled(c, product, late_alpha, whole, err)) != NISSL_OK || !vc)
            return status;
        product = whole;
    }
    return add_addend(c, product, node->inputs[2], beta, out, err);
}

static nissl_status infer_matmul(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *a = nissl__in(c, node, 0), *b = nissl__in(c, node, 1);
    int64_t shape[NISSL_MAX_RANK];
    int rank = NISSL__MAX(NISSL__MAX(a->rank, b->rank), 2), n = 0;
    nissl_status status = check_types(c, node, err);
    if (status != NISSL_OK)
        return status;
    if (a->rank < 1 || b->rank < 1)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "operands have rank %d and %d", a->rank,
                                b->rank);
    int64_t ka = a->shape[a->rank - 1], kb = b->rank == 1 ? b->shape[0] : b->shape[b->rank - 2];
    if (ka != kb)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%lld columns times %lld rows",
                                (long long)ka, (long long)kb);
    for (int i = 0; i < rank - 2; i++) {
        int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        int64_t sa = ia >= 0 && a->rank > 1 ? a->shape[ia] : 1,
                sb = ib >= 0 && b->rank > 1 ? b->shape[ib] : 1;
        if (sa != sb && sa != 1 && sb != 1)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "batch axes %lld and %lld do not agree", (long long)sa,
                                    (long long)sb);
        shape[n++] = sa == 1 ? sb : sa;
    }
    if (a->rank > 1)
        shape[n++] = a->shape[a->rank - 2];
    if (b->rank > 1)
        shape[n++] = b->shape[b->rank - 1];
    return nissl__set_shape(c, nissl__out(c, node, 0), a->type, n, shape, err);
}

/* Shape and strides of an operand seen with `rank` axes; a matrix may be stored either way round.
 */
static nissl_status operand(nissl__compiler *c, int *value, int rank, bool column, int64_t *shape,
                            int64_t *stride, nissl_error *err)
{
    const nissl__value *v = &c->values[*value];
    int n = v->rank;
    bool usable = n >= 2 && ((v->stride[n - 1] == 1 && v->stride[n - 2] >= v->shape[n - 1]) ||
                             (v->stride[n - 2] == 1 && v->stride[n - 1] >= v->shape[n - 2]));
    for (int i = 0; i < n && usable; i++)
        usable = v->stride[i] > 0;
    if (!usable) {
        nissl_status status = nissl__dense(c, *value, NISSL__PLAIN, value, err);
        if (status != NISSL_OK)
            return status;
        v = &c->values[*value];
    }
    int64_t outer = 1;
    for (int i = rank - 1; i >= 0; i--) {
        int j = n == 1 ? (i == rank - (column ? 2 : 1) ? 0 : -1) : i - (rank - n);
        shape[i] = j >= 0 ? v->shape[j] : 1;
        stride[i] = j >= 0 ? v->stride[j] : outer;
        if (shape[i] * stride[i] > outer)
            outer = shape[i] * stride[i];
    }
    return NISSL_OK;
}

static nissl_status lower_matmul(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int a = node->inputs[0], b = node->inputs[1], out = node->outputs[0];
    nissl__matmul_spec spec = {0};
    nissl_status status;
    bool done = false;
    if (c->values[a].type != NISSL_FLOAT32 || nissl__any_empty(c, node))
        return nissl__add_direct_product(c, node, err);
    if ((status = nissl__attention_end(c, &done, err)) != NISSL_OK || done)
        return status;
    nissl__attention_begin(c, &done);
    if (done)
        return NISSL_OK;
    spec.rank = NISSL__MAX(NISSL__MAX(c->values[a].rank, c->values[b].rank), 2);
    const float *weights = c->values[b].constant;
    bool flat = weights && c->values[b].rank == 2 && spec.rank > 2;
    if (flat) { /* [.., rows, k] times [k, n]: one tall matrix */
        if ((status = nissl__dense(c, a, NISSL__PLAIN, &a, err)) != NISSL_OK)
            return status;
        int64_t k = c->values[b].shape[0], n = c->values[b].shape[1], rows = 1;
        for (int i = 0; i < c->values[a].rank - 1; i++)
            rows *= c->values[a].shape[i];
        spec.rank = 2;
        memcpy(spec.a_shape, (int64_t[]){rows, k}, sizeof(int64_t[2]));
        memcpy(spec.a_stride, (int64_t[]){k, 1}, sizeof(int64_t[2]));
        memcpy(spec.b_shape, (int64_t[]){k, n}, sizeof(int64_t[2]));
        memcpy(spec.b_stride, (int64_t[]){n, 1}, sizeof(int64_t[2]));
        memcpy(spec.out_shape, (int64_t[]){rows, n}, sizeof(int64_t[2]));
    } else {
        if ((status = operand(c, &a, spec.rank, false, spec.a_shape, spec.a_stride, err)) !=
                NISSL_OK ||
            (status = operand(c, &b, spec.rank, true, spec.b_shape, spec.b_stride, err)) !=
                NISSL_OK)
            return status;
        for (int i = 0; i < spec.rank - 2; i++)
            spec.out_shape[i] = NISSL__MAX(spec.a_shape[i], spec.b_shape[i]);
        spec.out_shape[spec.rank - 2] = spec.a_shape[spec.rank - 2];
        spec.out_shape[spec.rank - 1] = spec.b_shape[spec.rank - 1];
    }
    spec.b = spec.rank == 2 ? weights : NULL;
    if (spec.b)
        out = absorb_bias(c, out, &spec.bias);
    out = nissl__absorb_activation(c, out, &spec.epilogue);
    return add_product(c, &spec, a, b, out, err);
}

const nissl__operator nissl__operators_matmul[] = {
    {"Gemm", 2, 3, infer_gemm, lower_gemm, .follows = false},
    {"MatMul", 2, 2, infer_matmul, lower_matmul, .follows = false},
    {0},
};
