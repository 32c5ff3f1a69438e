/*
 * Fusing elementwise operators: a group of them whose parts nobody asks for becomes one step that
 * walks the tensor in blocks small enough for the first-level cache. A decomposed GELU, a mask and
 * a scale, a gated product read their inputs once and write once.
 */
#include "network/operators/operators.h"

#define BLOCK         1024 /* elements; a register of the group is 4 KiB */
#define MAX_OPS       24
#define MAX_EXTERNALS 8

/* Where an operand of one operation comes from. */
typedef struct operand {
    enum { EXTERNAL, REGISTER } from;
    int index;
} operand;

typedef struct operation {
    bool binary;
    nissl__unary unary;
    nissl__binary op;
    float alpha, beta;
    operand a, b;
    int value; /* that it makes */
    int out;   /* register */
} operation;

/* How an external input lies beside the output. */
typedef enum reach { FULL, ROW, SCALAR } reach;

typedef struct group {
    int n_ops, n_externals, n_registers;
    operation ops[MAX_OPS];
    int external[MAX_EXTERNALS]; /* values */
    reach reach[MAX_EXTERNALS];
    int64_t row; /* elements of the last axis where an external is a row */
    const nissl__kernels *kernels;
} group;

static int64_t count_of(const nissl__value *value)
{
    int64_t count = 1;
    for (int i = 0; i < value->rank; i++)
        count *= value->shape[i];
    return count;
}

static bool same_shape(const nissl__value *a, const nissl__value *b)
{
    bool same = a->rank == b->rank;
    for (int i = 0; i < a->rank && same; i++)
        same = a->shape[i] == b->shape[i];
    return same;
}

/* The operation of a node, if it is one that groups can hold. */
static bool operation_of(nissl__compiler *c, const nissl__node *node, operation *op)
{
    const nissl__value *out = nissl__out(c, node, 0);
    *op = (operation){.out = -1};
    if (!out || node->n_outputs != 1 || out->type != NISSL_FLOAT32 || out->constant || out->placed)
        return false;
    for (int i = 0; i < node->n_inputs; i++)
        if (!nissl__in(c, node, i) || nissl__in(c, node, i)->type != NISSL_FLOAT32)
            return false;
    op->value = node->outputs[0];
    if (node->n_inputs == 1)
        return nissl__unary_kernel(node, &op->unary, &op->alpha, &op->beta);
    op->binary = true;
    if (node->n_inputs != 2)
        return false;
    const nissl__value *power = nissl__in(c, node, 1);
    if (strcmp(node->onnx->op, "Pow") == 0 && power->constant && count_of(power) == 1) {
        float exponent = *(const float *)power->constant;
        op->binary = false;
        op->unary = exponent == 2   ? NISSL__UNARY_SQUARE
                    : exponent == 3 ? NISSL__UNARY_CUBE
                                    : NISSL__UNARY_COUNT;
        return op->unary != NISSL__UNARY_COUNT;
    }
    return nissl__binary_kernel(node, &op->op);
}

static int register_of(const group *g, int value)
{
    for (int i = 0; i < g->n_ops; i++)
        if (g->ops[i].value == value)
            return i; /* the operation, whose register is assigned later */
    return -1;
}

/* The reach of a value beside an output, or -1 if it cannot be read by blocks. */
static int reach_of(const nissl__compiler *c, int value, const nissl__value *out)
{
    const nissl__value *v = &c->values[value];
    int64_t last = out->rank ? out->shape[out->rank - 1] : 1;
    if (count_of(v) == 1)
        return SCALAR;
    if (same_shape(v, out))
        return FULL;
    if (count_of(v) == last && v->rank >= 1 && v->shape[v->rank - 1] == last &&
        v->rank <= out->rank)
        return ROW;
    return -1;
}

/* An operand as part of the group; false if it is not there yet or does not fit. */
static bool take_operand(nissl__compiler *c, group *g, int value, const nissl__value *out,
                         operand *to)
{
    const nissl__value *v = &c->values[value];
    int made = register_of(g, value);
    if (made >= 0) {
        *to = (operand){REGISTER, made};
        return true;
    }
    int r = reach_of(c, value, out);
    bool ready = v->constant || c->values[v->root].home == NISSL__HOME_INPUT ||
                 (c->values[v->root].home == NISSL__HOME_ARENA && v->def_step >= 0);
    if (r < 0 || !ready || (r == FULL && !nissl__is_dense(v, out->layout)))
        return false;
    for (int i = 0; i < g->n_externals; i++)
        if (g->external[i] == value) {
            *to = (operand){EXTERNAL, i};
            return true;
        }
    if (g->n_externals == MAX_EXTERNALS)
        return false;
    g->external[g->n_externals] = value;
    g->reach[g->n_externals] = (reach)r;
    *to = (operand){EXTERNAL, g->n_externals++};
    return true;
}

/* Whether every use of a value is by an operation of the group. */
static bool only_inside(const nissl__compiler *c, const group *g, int n_ops, int value)
{
    const nissl__value *v = &c->values[value];
    int uses = 0;
    for (int i = 0; i < n_ops; i++) {
        const operation *op = &g->ops[i];
        uses += op->a.from == REGISTER && g->ops[op->a.index].value == value;
        uses += op->binary && op->b.from == REGISTER && g->ops[op->b.index].value == value;
    }
    return !v->observed && !v->output && v->n_uses == uses;
}

/* How many of the first operations make a group with one result, which is the last one's. */
static int closed_prefix(const nissl__compiler *c, const group *g)
{
    for (int n = g->n_ops; n > 1; n--) {
        bool closed = true;
        for (int i = 0; i < n - 1 && closed; i++)
            closed = only_inside(c, g, n, g->ops[i].value);
        if (closed)
            return n;
    }
    return 0;
}

/* Forgets externals that only operations beyond the group read. */
static void trim_externals(group *g)
{
    int moved[MAX_EXTERNALS], n = 0;
    for (int e = 0; e < g->n_externals; e++) {
        bool read = false;
        for (int i = 0; i < g->n_ops; i++)
            read |= (g->ops[i].a.from == EXTERNAL && g->ops[i].a.index == e) ||
                    (g->ops[i].binary && g->ops[i].b.from == EXTERNAL && g->ops[i].b.index == e);
        moved[e] = n;
        if (!read)
            continue;
        g->external[n] = g->external[e];
        g->reach[n++] = g->reach[e];
    }
    g->n_externals = n;
    for (int i = 0; i < g->n_ops; i++) {
        if (g->ops[i].a.from == EXTERNAL)
            g->ops[i].a.index = moved[g->ops[i].a.index];
        if (g->ops[i].binary && g->ops[i].b.from == EXTERNAL)
            g->ops[i].b.index = moved[g->ops[i].b.index];
    }
}

/* A register per operation, taken again when its last reader has run. */
static void assign_registers(group *g)
{
    int last_use[MAX_OPS], busy[MAX_OPS] = {0};
    for (int i = 0; i < g->n_ops; i++) {
        last_use[i] = i;
        if (g->ops[i].a.from == REGISTER)
            last_use[g->ops[i].a.index] = i;
        if (g->ops[i].binary && g->ops[i].b.from == REGISTER)
            last_use[g->ops[i].b.index] = i;
    }
    for (int i = 0; i < g->n_ops; i++) {
        int r = 0;
        while (r < g->n_registers && busy[r] > i)
            r++;
        g->n_registers = NISSL__MAX(g->n_registers, r + 1);
        busy[r] = last_use[i] + (last_use[i] == i);
        g->ops[i].out = r;
    }
}

static const float *operand_data(const group *g, const operand *o, float *const *registers,
                                 const float *const *external, int64_t at, int64_t column,
                                 int64_t *stride)
{
    *stride = 1;
    if (o->from == REGISTER)
        return registers[g->ops[o->index].out];
    *stride = g->reach[o->index] != SCALAR;
    return external[o->index] + (g->reach[o->index] == FULL  ? at
                                 : g->reach[o->index] == ROW ? column
                                                             : 0);
}

static void run_block(const group *g, const float *const *external, float *scratch, int64_t at,
                      int64_t column, int64_t n, float *out)
{
    float *registers[MAX_OPS];
    for (int r = 0; r < g->n_registers; r++)
        registers[r] = scratch + r * BLOCK;
    for (int i = 0; i < g->n_ops; i++) {
        const operation *op = &g->ops[i];
        float *to = i == g->n_ops - 1 ? out : registers[op->out];
        int64_t sa, sb;
        const float *a = operand_data(g, &op->a, registers, external, at, column, &sa);
        if (!op->binary) { /* its operand has the shape of the result */
            g->kernels->unary(op->unary, n, a, to, op->alpha, op->beta);
            continue;
        }
        const float *b = operand_data(g, &op->b, registers, external, at, column, &sb);
        g->kernels->binary(op->op, n, a, sa, b, sb, to);
    }
}

static nissl_status execute_group(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const group *g = step->state;
    const float *external[MAX_EXTERNALS] = {NULL};
    int64_t n = nissl_view_count(call->out[0]), row = g->row ? g->row : n;
    int64_t per_row = row ? (row + BLOCK - 1) / BLOCK : 0, n_blocks = row ? n / row * per_row : 0;
    for (int i = 0; i < g->n_externals; i++)
        external[i] = call->in[i]->data;
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t k = 0; k < n_blocks; k++) {
        float scratch[MAX_OPS * BLOCK / 4]; /* at most 6 registers live at once: see fuse_group */
        int64_t column = k % per_row * BLOCK, at = k / per_row * row + column;
        run_block(g, external, scratch, at, column, NISSL__MIN(BLOCK, row - column),
                  (float *)call->out[0]->data + at);
    }
    return NISSL_OK;
}

/* Everything that reads the same way as the output: one set of strides for all full externals. */
static nissl_status lower_group(nissl__compiler *c, group *g, nissl_error *err)
{
    int out = g->ops[g->n_ops - 1].value, inputs[MAX_EXTERNALS];
    nissl__value *result = &c->values[out];
    nissl__layout layout = c->folding ? NISSL__PLAIN : result->layout;
    nissl_status status;
    bool rows = false;
    for (int i = 0; i < g->n_externals; i++)
        rows |= g->reach[i] == ROW;
    if (rows && layout != NISSL__PLAIN)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_INTERNAL, "rows beside a channels-last tensor");
    for (int i = 0; i < g->n_externals; i++) {
        inputs[i] = g->external[i];
        nissl__layout wanted = g->reach[i] == FULL ? layout : NISSL__PLAIN;
        if ((status = nissl__dense(c, inputs[i], wanted, &inputs[i], err)) != NISSL_OK)
            return status;
    }
    nissl__place(c, result);
    nissl__step *step = nissl__add_step(c, "fused", g->n_externals, inputs, 1, &out, sizeof *g);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *g);
    g->row = rows ? result->shape[result->rank - 1] : 0;
    g->kernels = nissl__kernels_best();
    memcpy(step->state, g, sizeof *g);
    step->execute = execute_group;
    return NISSL_OK;
}

nissl_status nissl__fuse(nissl__compiler *c, bool *done, nissl_error *err)
{
    const nissl__node *first = &c->network->nodes[c->node];
    group g = {0};
    int nodes[MAX_OPS], n_nodes = 0;
    *done = false;
    operation op;
    if (!operation_of(c, first, &op))
        return NISSL_OK;
    const nissl__value *shape = nissl__out(c, first, 0);
    for (int i = c->node; i < c->network->n_nodes && g.n_ops < MAX_OPS && i < c->node + 64; i++) {
        const nissl__node *node = &c->network->nodes[i];
        group before = g;
        if (c->absorbed[i] || !operation_of(c, node, &op) || !c->values[op.value].needed ||
            !same_shape(nissl__out(c, node, 0), shape) ||
            nissl__out(c, node, 0)->layout != shape->layout)
            continue;
        bool part = take_operand(c, &g, node->inputs[0], shape, &op.a) &&
                    (!op.binary || take_operand(c, &g, node->inputs[1], shape, &op.b));
        bool linked = i == c->node || op.a.from == REGISTER || (op.binary && op.b.from == REGISTER);
        if (!part || !linked) {
            g = before;
            continue;
        }
        nodes[n_nodes++] = i;
        g.ops[g.n_ops++] = op;
    }
    int n = closed_prefix(c, &g);
    if (n < 2)
        return NISSL_OK;
    g.n_ops = n;
    trim_externals(&g);
    assign_registers(&g);
    bool rows = false;
    for (int i = 0; i < g.n_externals; i++)
        rows |= g.reach[i] == ROW;
    if (g.n_registers > MAX_OPS / 4 || (rows && shape->layout != NISSL__PLAIN))
        return NISSL_OK;
    for (int i = 1; i < n; i++)
        c->absorbed[nodes[i]] = true;
    *done = true;
    return lower_group(c, &g, err);
}
