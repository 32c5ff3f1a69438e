/*
 * Structure of a transformer block in a graph from any exporter.
 *
 * The tool is the cut: a value through which everything that another is computed from passes. Cuts
 * do not care how many operators a norm, a rotation or a GELU was written in.
 */
#include "network/families/recognise_walk.h"

#define MAX_CUTS     96
#define MAX_OPEN     64
#define MAX_STEPS    16
#define MAX_EXPANDED 4096 /* nodes looked at for one list of cuts */
#define MAX_BETWEEN  1024 /* nodes between two sums of a block */

nissl_status nissl__walk_new(const nissl_network *network, const nissl_program *program,
                             nissl__walk *out, nissl_error *err)
{
    nissl__walk w = {.network = network, .values = program->values, .batch = program->batch};
    size_t n = (size_t)network->n_values, total = 0;
    for (int i = 0; i < network->n_nodes; i++)
        total += (size_t)network->nodes[i].n_inputs;
    w.first = nissl__alloc(n + 2, sizeof *w.first);
    w.readers = nissl__alloc(total, sizeof *w.readers);
    if (!w.first || !w.readers) {
        nissl__walk_free(&w);
        return NISSL__NO_MEMORY(err, (n + total) * sizeof *w.first);
    }
    /* counted one place further on, so that filling moves each beginning to where it belongs */
    for (int i = 0; i < network->n_nodes; i++)
        for (int j = 0; j < network->nodes[i].n_inputs; j++)
            if (network->nodes[i].inputs[j] >= 0)
                w.first[network->nodes[i].inputs[j] + 2]++;
    for (size_t i = 2; i < n + 2; i++)
        w.first[i] += w.first[i - 1];
    for (int i = 0; i < network->n_nodes; i++)
        for (int j = 0; j < network->nodes[i].n_inputs; j++)
            if (network->nodes[i].inputs[j] >= 0)
                w.readers[w.first[network->nodes[i].inputs[j] + 1]++] = i;
    *out = w;
    return NISSL_OK;
}

void nissl__walk_free(nissl__walk *walk)
{
    nissl__free(walk->first);
    nissl__free(walk->readers);
    *walk = (nissl__walk){0};
}

/* ---- values and nodes ---- */

static bool depends(const nissl__walk *w, int value)
{
    return value >= 0 && w->values[value].inferred && w->values[value].dynamic &&
           !w->values[value].constant;
}

static const nissl__node *maker(const nissl__walk *w, int value)
{
    int producer = value >= 0 ? w->network->producer[value] : -1;
    return producer >= 0 ? &w->network->nodes[producer] : NULL;
}

static bool is(const nissl__node *node, const char *op)
{
    return node && strcmp(node->onnx->op, op) == 0;
}

static bool is_one_of(const nissl__node *node, const char *const *ops)
{
    for (; *ops; ops++)
        if (is(node, *ops))
            return true;
    return false;
}

/* Operators that leave every number as it is, where it is. */
static bool is_same(const nissl__node *node)
{
    static const char *const ops[] = {"Identity", "Dropout", "Cast", NULL};
    return is_one_of(node, ops);
}

static int64_t count_of(const nissl__walk *w, int value)
{
    int64_t n = 1;
    for (int i = 0; i < w->values[value].rank; i++)
        n *= w->values[value].shape[i];
    return n;
}

static bool same_shape(const nissl__walk *w, int a, int b)
{
    const nissl__value *x = &w->values[a], *y = &w->values[b];
    bool same = x->rank == y->rank;
    for (int i = 0; same && i < x->rank; i++)
        same = x->shape[i] == y->shape[i];
    return same;
}

/* A constant with one number per entry of the last axis, or one number. */
static bool is_row(const nissl__walk *w, int value)
{
    if (value < 0 || depends(w, value) || !w->values[value].inferred)
        return false;
    for (int i = 0; i < w->values[value].rank - 1; i++)
        if (w->values[value].shape[i] != 1)
            return false;
    return true;
}

/* The operand of a two-operand node that depends on the stimulus where the other is a row; else -1.
 */
static int beside_row(const nissl__walk *w, const nissl__node *node)
{
    if (!node || node->n_inputs != 2)
        return -1;
    for (int i = 0; i < 2; i++)
        if (depends(w, node->inputs[i]) && is_row(w, node->inputs[1 - i]))
            return node->inputs[i];
    return -1;
}

/* A reader of a value whose own result depends on the stimulus, the index-th; NULL past the last.
 */
static const nissl__node *reader(const nissl__walk *w, int value, int index)
{
    for (int i = w->first[value]; i < w->first[value + 1]; i++) {
        const nissl__node *node = &w->network->nodes[w->readers[i]];
        bool repeated = i > w->first[value] && w->readers[i] == w->readers[i - 1];
        if (!repeated && node->n_outputs > 0 && depends(w, node->outputs[0]) && index-- == 0)
            return node;
    }
    return NULL;
}

/* The values through which all of a value's computation passes, nearest first. */
static int cuts_of(const nissl__walk *w, int value, int *cuts)
{
    int open[MAX_OPEN], n_open = 1, n = 0;
    open[0] = value;
    for (int step = 0; n < MAX_CUTS && step < MAX_EXPANDED; step++) {
        int latest = 0;
        for (int i = 1; i < n_open; i++)
            if (w->network->producer[open[i]] > w->network->producer[open[latest]])
                latest = i;
        const nissl__node *node = maker(w, open[latest]);
        if (!node)
            break;
        open[latest] = open[--n_open];
        for (int j = 0; j < node->n_inputs; j++) {
            int in = node->inputs[j];
            bool known = !depends(w, in);
            for (int i = 0; i < n_open && !known; i++)
                known = open[i] == in;
            if (known)
                continue;
            if (n_open == MAX_OPEN)
                return n;
            open[n_open++] = in;
        }
        if (n_open == 0)
            break;
        if (n_open == 1)
            cuts[n++] = open[0];
    }
    return n;
}

bool nissl__walk_passes(const nissl__walk *w, int value, int through)
{
    int cuts[MAX_CUTS], n = cuts_of(w, value, cuts);
    for (int i = 0; i < n; i++)
        if (cuts[i] == through)
            return true;
    return false;
}

/* ---- linear layers ---- */

/* Back over Reshape and what leaves numbers as they are. */
static int unshaped(const nissl__walk *w, int value)
{
    const nissl__node *node = maker(w, value);
    while (is_same(node) || is(node, "Reshape")) {
        value = node->inputs[0];
        node = maker(w, value);
    }
    return value;
}

int nissl__walk_linear_input(const nissl__walk *w, int value)
{
    value = unshaped(w, value);
    const nissl__node *node = maker(w, value);
    if (is(node, "Add") && beside_row(w, node) >= 0) {
        value = unshaped(w, beside_row(w, node));
        node = maker(w, value);
    }
    if (!is(node, "MatMul") && !is(node, "Gemm"))
        return -1;
    int in = node->inputs[0], weight = node->inputs[1];
    if (!depends(w, in) || depends(w, weight) || w->values[weight].rank != 2)
        return -1;
    while (w->values[in].rank == 2 && (is_same(maker(w, in)) || is(maker(w, in), "Reshape")))
        in = maker(w, in)->inputs[0];
    return in;
}

/* ---- attention ---- */

/* The product of a pattern with values: the MatMul node, or NULL. */
static const nissl__node *mixing(const nissl__walk *w, int *pattern)
{
    for (int step = 0; step < 4; step++) {
        const nissl__node *node, *next = NULL;
        for (int i = 0; (node = reader(w, *pattern, i)); i++) {
            if (is(node, "MatMul") && node->inputs[0] == *pattern && depends(w, node->inputs[1]))
                return node;
            if (is_same(node) || is(node, "Where")) /* Where: no number where a row was empty */
                next = node;
        }
        if (!next || !same_shape(w, *pattern, next->outputs[0]))
            return NULL;
        *pattern = next->outputs[0];
    }
    return NULL;
}

bool nissl__walk_is_attention(const nissl__walk *w, int index)
{
    const nissl__node *node = &w->network->nodes[index];
    int pattern = node->n_outputs ? node->outputs[0] : -1;
    if (!is(node, "Softmax") || !depends(w, pattern) || w->values[pattern].rank != 4)
        return false;
    const nissl__value *v = &w->values[pattern];
    return v->shape[0] == w->batch && v->shape[2] == v->shape[3] && mixing(w, &pattern) != NULL;
}

/* Back from a softmax to the product of queries and keys. scores receives what is last before a
 * mask. */
static const nissl__node *scoring(const nissl__walk *w, const nissl__node *softmax, int *scores)
{
    static const char *const passed[] = {"Add", "Sub", "Where", "Mul", "Div", NULL};
    int at = softmax->inputs[0], shape = softmax->outputs[0];
    *scores = at;
    for (int step = 0; step < MAX_STEPS; step++) {
        const nissl__node *node = maker(w, at);
        int next = -1;
        if (is(node, "MatMul"))
            return depends(w, node->inputs[0]) && depends(w, node->inputs[1]) ? node : NULL;
        if (!is_same(node) && !is_one_of(node, passed))
            return NULL;
        for (int j = 0; j < node->n_inputs; j++)
            if (depends(w, node->inputs[j]) && same_shape(w, node->inputs[j], shape) &&
                w->values[node->inputs[j]].type == NISSL_FLOAT32)
                next = node->inputs[j];
        if (next < 0)
            return NULL;
        if (is(node, "Add") || is(node, "Sub") || is(node, "Where"))
            *scores = next;
        at = next;
    }
    return NULL;
}

/* Whether a value is of heads: [batch, tokens, heads, d] or [batch, heads, tokens, d]. */
static bool is_heads(const nissl__walk *w, int value, int64_t tokens, int64_t d)
{
    const nissl__value *v = &w->values[value];
    return v->rank == 4 && v->shape[0] == w->batch && v->shape[3] == d &&
           (v->shape[1] == tokens || v->shape[2] == tokens);
}

/* Heads as they come from their linear layer, and as rotated (-1 where they are not); the layer's
 * input. */
static bool find_heads(const nissl__walk *w, int value, int64_t tokens, int64_t d, int *heads,
                       int *rotated, int *input)
{
    int cuts[MAX_CUTS + 1];
    cuts[0] = value;
    int n = 1 + cuts_of(w, value, cuts + 1);
    *heads = *rotated = *input = -1;
    for (int i = 0; i < n; i++) {
        const nissl__node *node = maker(w, cuts[i]);
        if (w->values[cuts[i]].rank < 4)
            break;
        if (!is_heads(w, cuts[i], tokens, d))
            continue;
        bool sum = is(node, "Add") && depends(w, node->inputs[0]) && depends(w, node->inputs[1]);
        if (*rotated < 0 && (sum || is(node, "Concat")))
            *rotated = cuts[i];
        *heads = cuts[i];
    }
    for (int i = 0; i < n && *heads >= 0; i++) {
        bool past = false;
        for (int k = 0; k <= i; k++)
            past |= cuts[k] == *heads;
        if (past && (*input = nissl__walk_linear_input(w, cuts[i])) >= 0)
            break;
    }
    if (*rotated == *heads)
        *rotated = -1;
    return *heads >= 0 && *input >= 0;
}

/* Forward from pattern times values to the sum with the residual stream. */
static const nissl__node *joining(const nissl__walk *w, int mixed, int64_t tokens, int64_t d,
                                  int *z, int *attn_out)
{
    bool linear = false;
    int at = mixed;
    *z = -1;
    for (int step = 0; step < MAX_STEPS; step++) {
        const nissl__node *node = reader(w, at, 0);
        if (!node || reader(w, at, 1))
            return NULL;
        if (!linear && is_heads(w, at, tokens, d))
            *z = at;
        if ((is(node, "MatMul") || is(node, "Gemm")) && node->inputs[0] == at &&
            !depends(w, node->inputs[1])) {
            linear = true;
        } else if (is(node, "Add") && linear && beside_row(w, node) < 0) {
            *attn_out = at;
            return *z >= 0 && w->values[at].rank == 3 ? node : NULL;
        } else if (!is_same(node) && !is(node, "Reshape") && !(is(node, "Transpose") && !linear) &&
                   !(is(node, "Add") && linear)) {
            return NULL;
        }
        at = node->outputs[0];
    }
    return NULL;
}

/* Back over what leaves every number as it is. */
static int original(const nissl__walk *w, int value)
{
    while (is_same(maker(w, value)))
        value = maker(w, value)->inputs[0];
    return value;
}

/* The other operand of a sum one of whose operands is a value, perhaps cast. */
static int other_operand(const nissl__walk *w, const nissl__node *sum, int value)
{
    int first = original(w, sum->inputs[0]), second = original(w, sum->inputs[1]);
    return first == original(w, value) ? second : first;
}

/* The sum of a value, perhaps cast, with another of its shape. */
static const nissl__node *sum_with(const nissl__walk *w, int value)
{
    for (int step = 0; step < 4; step++) {
        const nissl__node *node, *cast = NULL;
        for (int i = 0; (node = reader(w, value, i)); i++) {
            if (is(node, "Add") && node->n_inputs == 2 && depends(w, node->inputs[0]) &&
                depends(w, node->inputs[1]) && same_shape(w, node->inputs[0], node->inputs[1]))
                return node;
            cast = is_same(node) ? node : cast;
        }
        if (!cast)
            return NULL;
        value = cast->outputs[0];
    }
    return NULL;
}

/* ---- the MLP ---- */

/* pre, linear and post of the MLP that ends in mlp_out; its input. */
static bool find_mlp(const nissl__walk *w, nissl__found_block *b)
{
    int cuts[MAX_CUTS];
    b->post = nissl__walk_linear_input(w, b->mlp_out);
    if (b->post < 0)
        return false;
    int n = cuts_of(w, b->post, cuts);
    for (int i = 0; i < n; i++) {
        if (w->values[cuts[i]].rank != 3 || count_of(w, cuts[i]) != count_of(w, b->post))
            break;
        if ((b->norm2 = nissl__walk_linear_input(w, cuts[i])) >= 0) {
            b->pre = cuts[i];
            return true;
        }
    }
    const nissl__node *product = maker(w, b->post);
    if (!is(product, "Mul") || product->n_inputs != 2)
        return false;
    for (int i = 0; i < 2; i++) {
        int linear = product->inputs[i], act = product->inputs[1 - i];
        int in = nissl__walk_linear_input(w, linear);
        n = in >= 0 ? cuts_of(w, act, cuts) : 0;
        for (int k = 0; k < n && w->values[cuts[k]].rank == 3; k++)
            if (nissl__walk_linear_input(w, cuts[k]) == in && cuts[k] != linear) {
                b->pre = cuts[k];
                b->linear = linear;
                b->norm2 = in;
                return true;
            }
    }
    return false;
}

/* What a product with a row scales: a norm before its weight. */
static int before_scale(const nissl__walk *w, int value)
{
    const nissl__node *node = maker(w, value);
    int bare = is(node, "Mul") ? beside_row(w, node) : -1;
    return bare >= 0 ? original(w, bare) : -1;
}

/* The residual stream around an attention whose contribution and sum are known. */
static bool find_stream(const nissl__walk *w, const nissl__node *sum, nissl__found_block *b)
{
    int other = other_operand(w, sum, b->attn_out);
    bool from_stream = other == original(w, b->norm1) || nissl__walk_passes(w, b->norm1, other);
    if (!from_stream) { /* (MLP + attention) + stream */
        const nissl__node *last = sum_with(w, sum->outputs[0]);
        if (!last)
            return false;
        b->parallel = true;
        b->mlp_out = other;
        b->in = other_operand(w, last, sum->outputs[0]);
        b->out = last->outputs[0];
        return nissl__walk_passes(w, b->norm1, b->in) && find_mlp(w, b) &&
               nissl__walk_passes(w, b->norm2, b->in);
    }
    b->in = other;
    b->mid = sum->outputs[0];
    b->after = b->in == original(w, b->norm1);
    const nissl__node *last = NULL;
    if (!b->after) {
        last = sum_with(w, b->mid);
        if (!last)
            return false;
        b->mlp_out = other_operand(w, last, b->mid);
        b->out = last->outputs[0];
        if (!find_mlp(w, b))
            return false;
        if (nissl__walk_passes(w, b->norm2, b->mid))
            return true;
        b->parallel = true; /* (stream + attention) + MLP */
        b->mid = -1;
        return nissl__walk_passes(w, b->norm2, b->in);
    }
    /* The normalised sum is what the MLP reads and is added to: a value whose sum with something
     * computed from itself follows. */
    int begin = w->network->producer[b->mid],
        end = NISSL__MIN(begin + MAX_BETWEEN, w->network->n_nodes);
    for (int node = begin; node < end && !last; node++) {
        const nissl__node *add = &w->network->nodes[node];
        if (!is(add, "Add") || add->n_inputs != 2 || !depends(w, add->inputs[0]) ||
            !depends(w, add->inputs[1]) || !same_shape(w, add->inputs[0], add->inputs[1]))
            continue;
        for (int i = 0; i < 2 && !last; i++) {
            int stream = original(w, add->inputs[i]);
            if (!nissl__walk_passes(w, stream, b->mid))
                continue;
            b->mlp_out = add->inputs[1 - i];
            if (find_mlp(w, b) && original(w, b->norm2) == stream)
                last = add;
        }
    }
    if (!last)
        return false;
    b->out = last->outputs[0];
    return true;
}

/* Post-norm: the norm of the output is the first value that the next layers read and that passes
 * through it. */
static int norm_after(const nissl__walk *w, int value)
{
    int at = value;
    for (int step = 0; step < 3 * MAX_STEPS; step++) {
        const nissl__node *node, *next = NULL;
        for (int i = 0; (node = reader(w, at, i)); i++)
            if (!next || node > next) /* the latest: after mean and deviation were taken */
                next = node;
        if (!next || !depends(w, next->outputs[0]))
            return -1;
        if (is(next, "MatMul") || is(next, "Gemm") || is(next, "Reshape") || is(next, "Gather") ||
            is(next, "Slice") || (is(next, "Add") && sum_with(w, at) == next))
            return at == value ? -1 : at;
        at = next->outputs[0];
        for (int i = 0; i < w->network->n_outputs; i++)
            if (w->network->outputs[i] == at)
                return at;
    }
    return -1;
}

bool nissl__walk_block(const nissl__walk *w, int softmax, nissl__found_block *out)
{
    nissl__found_block b;
    memset(&b, -1, sizeof b); /* every index -1 */
    b.after = b.parallel = b.rms = false;
    const nissl__node *node = &w->network->nodes[softmax];
    b.pattern = node->outputs[0];
    const nissl__node *scores = scoring(w, node, &b.scores), *mix = mixing(w, &b.pattern);
    if (!scores || !mix)
        return false;
    int64_t tokens = w->values[b.pattern].shape[3];
    const nissl__value *q = &w->values[scores->inputs[0]], *v = &w->values[mix->inputs[1]];
    if (q->rank != 4 || v->rank != 4)
        return false;
    int inputs[3], none;
    if (!find_heads(w, scores->inputs[0], tokens, q->shape[3], &b.q, &b.rotated_q, &inputs[0]) ||
        !find_heads(w, scores->inputs[1], tokens, q->shape[3], &b.k, &b.rotated_k, &inputs[1]) ||
        !find_heads(w, mix->inputs[1], tokens, v->shape[3], &b.v, &none, &inputs[2]) ||
        inputs[0] != inputs[1] || inputs[0] != inputs[2])
        return false;
    b.norm1 = inputs[0];
    const nissl__node *sum = joining(w, mix->outputs[0], tokens, v->shape[3], &b.z, &b.attn_out);
    if (!sum || !find_stream(w, sum, &b))
        return false;
    if (b.after && (b.norm_out = norm_after(w, b.out)) < 0)
        return false;
    b.bare1 = b.after ? -1 : before_scale(w, b.norm1);
    b.bare2 = b.after ? -1 : before_scale(w, b.norm2);
    *out = b;
    return true;
}
