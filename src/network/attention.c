/*
 * softmax(Q K^T scale + mask) V where nobody asks for scores or pattern: by blocks of queries whose
 * scores stay in the second-level cache, so that memory grows with the number of tokens and not
 * with its square. A plan that observes the pattern or the scores gets them from the operators one
 * by one.
 */
#include "network/attention.h"
#include "network/operators/numbers.h"
#include "network/operators/operators.h"

#define QUERIES 32 /* rows of scores that are computed together */

/* What was absorbed, kept from the first product until the last. */
struct nissl__attention {
    int first, last; /* nodes */
    int q, k, v;     /* values */
    int mask;        /* or -1 */
    float scale;
};

typedef struct attention_state {
    float scale;
    const nissl__kernels *kernels;
} attention_state;

static bool is_op(const nissl__compiler *c, int node, const char *op)
{
    return node >= 0 && strcmp(c->network->nodes[node].onnx->op, op) == 0 &&
           !c->network->nodes[node].onnx->domain[0];
}

static bool scalar_of(const nissl__compiler *c, int value, float *out)
{
    const nissl__value *v = &c->values[value];
    for (int i = 0; i < v->rank; i++)
        if (v->shape[i] != 1)
            return false;
    if (!v->constant || v->type != NISSL_FLOAT32)
        return false;
    *out = *(const float *)v->constant;
    return true;
}

/* Whether the mask can be read beside scores [..., queries, keys]. */
static bool fits(const nissl__value *mask, const nissl__value *scores)
{
    if (mask->type != NISSL_FLOAT32 || mask->rank > scores->rank)
        return false;
    for (int i = 0; i < mask->rank; i++) {
        int64_t size = scores->shape[scores->rank - mask->rank + i];
        if (mask->shape[i] != 1 && mask->shape[i] != size)
            return false;
    }
    return true;
}

/* Follows the chain of sole consumers from the scores; false if it is no attention. */
static bool follow(nissl__compiler *c, struct nissl__attention *at, int *absorbed, int *n_absorbed)
{
    const nissl__node *first = &c->network->nodes[at->first];
    int value = first->outputs[0], next = nissl__sole_consumer(c, value);
    const nissl__value *scores = &c->values[value];
    if ((is_op(c, next, "Mul") || is_op(c, next, "Div"))) {
        const nissl__node *node = &c->network->nodes[next];
        int other = node->inputs[0] == value ? node->inputs[1] : node->inputs[0];
        bool divides = is_op(c, next, "Div");
        float s;
        if ((divides && node->inputs[0] != value) || other == value || !scalar_of(c, other, &s))
            return false;
        at->scale = divides ? 1.0f / s : s;
        absorbed[(*n_absorbed)++] = next;
        value = node->outputs[0];
        next = nissl__sole_consumer(c, value);
    }
    if (is_op(c, next, "Add")) {
        const nissl__node *node = &c->network->nodes[next];
        int other = node->inputs[0] == value ? node->inputs[1] : node->inputs[0];
        const nissl__value *result = &c->values[node->outputs[0]];
        if (other == value || other < 0 || !fits(&c->values[other], scores) ||
            result->rank != scores->rank)
            return false;
        at->mask = other;
        absorbed[(*n_absorbed)++] = next;
        value = node->outputs[0];
        next = nissl__sole_consumer(c, value);
    }
    if (!is_op(c, next, "Softmax"))
        return false;
    const nissl__node *softmax = &c->network->nodes[next];
    int64_t axis = nissl__attr_int(softmax, "axis", softmax->opset >= 13 ? -1 : 1);
    if (axis != -1 && axis != scores->rank - 1)
        return false;
    absorbed[(*n_absorbed)++] = next;
    value = softmax->outputs[0];
    next = nissl__sole_consumer(c, value);
    if (!is_op(c, next, "MatMul") || c->network->nodes[next].inputs[0] != value ||
        c->network->nodes[next].inputs[1] == value)
        return false;
    at->last = next;
    at->v = c->network->nodes[next].inputs[1];
    return true;
}

void nissl__attention_begin(nissl__compiler *c, bool *done)
{
    const nissl__node *node = &c->network->nodes[c->node];
    struct nissl__attention at = {.first = c->node, .mask = -1, .scale = 1};
    int absorbed[4], n_absorbed = 0;
    *done = false;
    at.q = node->inputs[0];
    at.k = node->inputs[1];
    const nissl__value *q = &c->values[at.q], *k = &c->values[at.k],
                       *scores = nissl__out(c, node, 0);
    if (c->folding || q->rank < 3 || k->rank != q->rank || q->type != NISSL_FLOAT32 ||
        !q->dynamic || !k->dynamic || scores->rank != q->rank ||
        !follow(c, &at, absorbed, &n_absorbed))
        return;
    const nissl__value *v = &c->values[at.v], *out = nissl__out(c, &c->network->nodes[at.last], 0);
    bool same =
        v->rank == q->rank && v->type == NISSL_FLOAT32 && out->rank == q->rank && !out->placed;
    for (int i = 0; i < q->rank - 2 && same; i++) /* no broadcasting between heads here */
        same = q->shape[i] == k->shape[i] && q->shape[i] == v->shape[i] && q->shape[i] > 0;
    if (!same || k->shape[q->rank - 1] != v->shape[q->rank - 2] || nissl__any_empty(c, node))
        return;
    struct nissl__attention *kept = nissl__own(c, sizeof *kept);
    if (!kept)
        return; /* out of memory shows itself in the next step */
    *kept = at;
    c->attention[at.last] = kept;
    for (int i = 0; i < n_absorbed; i++)
        c->absorbed[absorbed[i]] = true;
    *done = true;
}

/* A matrix of each head as sgemm reads it: one of the two last axes contiguous. */
static bool readable(const nissl__value *v)
{
    int64_t row = v->stride[v->rank - 2], column = v->stride[v->rank - 1];
    bool usable = (column == 1 && row >= v->shape[v->rank - 1]) ||
                  (row == 1 && column >= v->shape[v->rank - 2]);
    for (int i = 0; i < v->rank; i++)
        usable &= v->stride[i] >= 0;
    return usable;
}

/* Leading dimension and whether the matrix lies transposed. */
static int64_t leading(const nissl_view *view, bool *transposed)
{
    int64_t row = view->stride[view->rank - 2], column = view->stride[view->rank - 1];
    *transposed = column != 1;
    if (view->shape[view->rank - 2] == 1 && column == 1)
        row = view->shape[view->rank - 1];
    return *transposed ? column : row;
}

static int64_t head_offset(const nissl_view *view, int64_t head)
{
    int64_t at = 0;
    for (int i = view->rank - 3; i >= 0; i--) {
        at += head % view->shape[i] * view->stride[i];
        head /= view->shape[i];
    }
    return at;
}

/* The element of the mask at a head, query and key, as strides (0 where it is broadcast). */
typedef struct mask_view {
    const float *data;
    int64_t stride[NISSL_MAX_RANK]; /* beside the scores' axes */
} mask_view;

static mask_view mask_beside(const nissl_view *mask, int rank)
{
    mask_view m = {.data = mask ? mask->data : NULL};
    for (int i = 0; mask && i < mask->rank; i++)
        m.stride[rank - mask->rank + i] = mask->shape[i] == 1 ? 0 : mask->stride[i];
    return m;
}

static void scale_and_mask(const attention_state *state, const mask_view *mask, const nissl_view *q,
                           int64_t head, int64_t query, int64_t n_keys, float *row)
{
    int rank = q->rank;
    const float *m = mask->data;
    int64_t step = mask->stride[rank - 1];
    if (state->scale != 1.0f)
        for (int64_t j = 0; j < n_keys; j++)
            row[j] *= state->scale;
    if (!m)
        return;
    for (int i = rank - 3; i >= 0; i--) {
        m += head % q->shape[i] * mask->stride[i];
        head /= q->shape[i];
    }
    m += query * mask->stride[rank - 2];
    for (int64_t j = 0; j < n_keys; j++)
        row[j] += m[j * step];
}

static nissl_status attend(const attention_state *state, const nissl__call *call,
                           const mask_view *mask, int64_t head, int64_t first, float *scores,
                           nissl_error *err)
{
    const nissl_view *q = call->in[0], *k = call->in[1], *v = call->in[2], *out = call->out[0];
    int rank = q->rank;
    int64_t n_keys = k->shape[rank - 1], depth = q->shape[rank - 1], width = v->shape[rank - 1];
    int64_t n = NISSL__MIN(QUERIES, q->shape[rank - 2] - first);
    bool q_turned, k_turned, v_turned, out_turned;
    int64_t ldq = leading(q, &q_turned), ldk = leading(k, &k_turned), ldv = leading(v, &v_turned),
            ldo = leading(out, &out_turned);
    const float *qd = (const float *)q->data + head_offset(q, head) + first * ldq;
    const float *kd = (const float *)k->data + head_offset(k, head);
    const float *vd = (const float *)v->data + head_offset(v, head);
    float *od = (float *)out->data + head_offset(out, head) + first * ldo;
    nissl_status status = nissl__dnnl_sgemm_strided(n, n_keys, depth, qd, ldq, kd, ldk, k_turned,
                                                    scores, n_keys, err);
    if (status != NISSL_OK)
        return status;
    for (int64_t i = 0; i < n; i++) {
        scale_and_mask(state, mask, q, head, first + i, n_keys, scores + i * n_keys);
        state->kernels->softmax(n_keys, scores + i * n_keys, 0, scores + i * n_keys);
    }
    return nissl__dnnl_sgemm_strided(n, width, n_keys, scores, n_keys, vd, ldv, v_turned, od, ldo,
                                     err);
}

static nissl_status execute_attention(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const attention_state *state = step->state;
    const nissl_view *q = call->in[0];
    mask_view mask = mask_beside(call->in[3], q->rank);
    int64_t n_blocks = (q->shape[q->rank - 2] + QUERIES - 1) / QUERIES, n_heads = 1;
    int64_t n_keys = call->in[1]->shape[q->rank - 1];
    nissl_status status = NISSL_OK;
    for (int i = 0; i < q->rank - 2; i++)
        n_heads *= q->shape[i];
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t task = 0; task < n_heads * n_blocks; task++) {
        int worker = call->threads > 1 ? nissl__thread_number() : 0;
        float *scores = (float *)call->scratch + worker * QUERIES * n_keys;
        nissl_error local = {0};
        nissl_status one =
            attend(state, call, &mask, task / n_blocks, task % n_blocks * QUERIES, scores, &local);
        if (one != NISSL_OK) {
#pragma omp critical
            {
                status = one;
                if (err)
                    *err = local;
            }
        }
    }
    return status;
}

nissl_status nissl__attention_end(nissl__compiler *c, bool *done, nissl_error *err)
{
    const struct nissl__attention *at = c->attention[c->node];
    int out = c->network->nodes[c->node].outputs[0], inputs[4];
    nissl_status status;
    *done = at != NULL;
    if (!at)
        return NISSL_OK;
    inputs[0] = at->q;
    inputs[1] = at->k;
    inputs[2] = at->v;
    inputs[3] = at->mask;
    for (int i = 0; i < 3; i++) {
        bool turned = i == 0 && c->values[inputs[i]].stride[c->values[inputs[i]].rank - 1] != 1;
        if ((turned || !readable(&c->values[inputs[i]])) &&
            (status = nissl__dense(c, inputs[i], NISSL__PLAIN, &inputs[i], err)) != NISSL_OK)
            return status;
    }
    nissl__place(c, &c->values[out]);
    if (!nissl__is_dense(&c->values[out], NISSL__PLAIN))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_INTERNAL, "output is not row-major");
    nissl__step *step =
        nissl__add_step(c, "attention", 4, inputs, 1, &out, sizeof(attention_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(attention_state));
    *(attention_state *)step->state = (attention_state){at->scale, nissl__kernels_best()};
    step->execute = execute_attention;
    const nissl__value *k = &c->values[at->k];
    step->scratch_bytes =
        (size_t)c->threads * QUERIES * (size_t)k->shape[k->rank - 1] * sizeof(float);
    return NISSL_OK;
}
