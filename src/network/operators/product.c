/* Matrix products element by element, for float64 and integers; float32 is in matmul.c. Sums of
 * integers wrap round. */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"
#include "network/operators/walk.h"

/* out[.., i, j] = alpha sum over k of a[.., i, k] b[.., k, j] + beta c[.., i, j] */
typedef struct product_state {
    bool transpose_a, transpose_b;
    bool row, column; /* a is a vector that stands for a row; b one that stands for a column */
    double alpha, beta;
} product_state;

/* An operand with the axes of the whole product: [batch axes, rows, columns], stride 0 along those
 * that it has not. */
static nissl_view spread(const nissl_view *v, int rank, const int64_t *batch, bool vector,
                         bool column, bool transposed)
{
    nissl_view wide = {.data = v->data, .type = v->type, .rank = rank};
    int n = v->rank, offset = rank - n;
    for (int i = 0; i < rank; i++)
        wide.shape[i] = i < rank - 2 ? batch[i] : 1;
    if (vector) {
        int axis = column ? rank - 2 : rank - 1;
        wide.shape[axis] = v->shape[0];
        wide.stride[axis] = v->stride[0];
        return wide;
    }
    for (int i = 0; i < n; i++) {
        int to = i + offset;
        if (i >= n - 2 && transposed)
            to = to == rank - 1 ? rank - 2 : rank - 1;
        if (to >= rank - 2)
            wide.shape[to] = v->shape[i];
        wide.stride[to] = v->shape[i] == 1 ? 0 : v->stride[i];
    }
    return wide;
}

static nissl_status execute_product(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const product_state *state = step->state;
    const nissl_view *out = call->out[0], *c = call->in[2];
    int rank = NISSL__MAX(NISSL__MAX(call->in[0]->rank, call->in[1]->rank), 2);
    int64_t n = nissl_view_count(out);
    nissl_view a = spread(call->in[0], rank, out->shape, state->row, false, state->transpose_a),
               b = spread(call->in[1], rank, out->shape, state->column, true, state->transpose_b);
    int64_t depth = a.shape[rank - 1];
    bool whole = nissl__is_integer(out->type) && state->alpha == 1 && state->beta == 1;
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t index = 0; index < n; index++) {
        int64_t at[NISSL_MAX_RANK] = {0}, rest = index, addend = 0, to = 0;
        int axis = rank - 1; /* of the product; the output lacks rows or columns of vectors */
        for (int i = out->rank - 1; i >= 0; i--, axis--) {
            int64_t entry = rest % out->shape[i];
            rest /= out->shape[i];
            if (axis == rank - 1 && state->column)
                axis--;
            if (axis == rank - 2 && state->row)
                axis--;
            at[axis] = entry;
            to += entry * out->stride[i];
            int j = c ? i - (out->rank - c->rank) : -1;
            if (j >= 0 && c->shape[j] > 1)
                addend += entry * c->stride[j];
        }
        int64_t column = at[rank - 1], x, y;
        uint64_t sum = 0;
        double real = 0;
        at[rank - 1] = 0;
        x = nissl__walk_offset(&a, at);
        at[rank - 1] = column;
        at[rank - 2] = 0;
        y = nissl__walk_offset(&b, at);
        for (int64_t k = 0; k < depth; k++) {
            const char *p = nissl__walk_at(&a, x + k * a.stride[rank - 1]),
                       *q = nissl__walk_at(&b, y + k * b.stride[rank - 2]);
            if (whole)
                sum += (uint64_t)nissl__read_integer(p, a.type) *
                       (uint64_t)nissl__read_integer(q, b.type);
            else
                real += nissl__read_number(p, a.type) * nissl__read_number(q, b.type);
        }
        char *result = nissl__walk_at(out, to);
        if (whole) {
            sum += c ? (uint64_t)nissl__read_integer(nissl__walk_at(c, addend), c->type) : 0;
            nissl__write_integer(result, out->type, (int64_t)sum);
        } else {
            real *= state->alpha;
            real += c ? state->beta * nissl__read_number(nissl__walk_at(c, addend), c->type) : 0;
            nissl__write_number(result, out->type, real);
        }
    }
    return NISSL_OK;
}

nissl_status nissl__add_direct_product(nissl__compiler *c, const nissl__node *node,
                                       nissl_error *err)
{
    bool gemm = strcmp(node->onnx->op, "Gemm") == 0;
    int inputs[3] = {node->inputs[0], node->inputs[1], -1};
    product_state state = {.row = nissl__in(c, node, 0)->rank == 1,
                           .column = nissl__in(c, node, 1)->rank == 1,
                           .alpha = 1,
                           .beta = 1};
    if (gemm) {
        state.transpose_a = nissl__attr_int(node, "transA", 0) != 0;
        state.transpose_b = nissl__attr_int(node, "transB", 0) != 0;
        state.alpha = (double)nissl__attr_float(node, "alpha", 1.0f);
        state.beta = (double)nissl__attr_float(node, "beta", 1.0f);
        inputs[2] = node->n_inputs > 2 ? node->inputs[2] : -1;
    }
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step =
        nissl__add_step(c, "direct product", 3, inputs, 1, node->outputs, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(product_state *)step->state = state;
    step->execute = execute_product;
    return NISSL_OK;
}
