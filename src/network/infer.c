/* First pass: types and shapes of every value, and the values that are known already. */
#include <stdio.h>
#include <stdarg.h>

#include "network/program.h"

#define MAX_READ 65536 /* elements of a constant that a program of shapes looks at */

nissl_status nissl__node_fail(const nissl__compiler *c, nissl_error *err, nissl_status code,
                              const char *function, int line, const char *format, ...)
{
    char text[384];
    va_list args;
    const nissl__node *node = &c->network->nodes[c->node];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return nissl__fail(err, code, function, line, "%s: node %s (%s): %s", c->network->path,
                       node->name, node->onnx->op, text);
}

nissl__value *nissl__in(nissl__compiler *c, const nissl__node *node, int i)
{
    return i < node->n_inputs && node->inputs[i] >= 0 ? &c->values[node->inputs[i]] : NULL;
}

nissl__value *nissl__out(nissl__compiler *c, const nissl__node *node, int i)
{
    return i < node->n_outputs && node->outputs[i] >= 0 ? &c->values[node->outputs[i]] : NULL;
}

int nissl__value_index(const nissl__compiler *c, const nissl__value *value)
{
    return (int)(value - c->values);
}

/* A tensor must fit into memory. Views as well, which take none: whoever reads them does the work.
 */
static nissl_status check_size(const nissl__compiler *c, const nissl__value *value,
                               nissl_error *err)
{
    uint64_t limit = nissl__memory_limit(c->ctx);
    double bytes = (double)nissl_type_size(value->type);
    for (int i = 0; i < value->rank; i++)
        bytes *= (double)value->shape[i];
    if (c->opt->shapes_only || bytes <= (double)limit)
        return NISSL_OK;
    return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %s needs %.0f bytes, the limit is %llu",
                       c->network->path, value->name, bytes, (unsigned long long)limit);
}

nissl_status nissl__set_shape(nissl__compiler *c, nissl__value *out, nissl_type type, int rank,
                              const int64_t *shape, nissl_error *err)
{
    int64_t count = 1;
    if (!out)
        return NISSL_OK;
    if (rank < 0 || rank > NISSL_MAX_RANK)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "rank %d of %s is outside 0 .. %d", rank,
                                out->name, NISSL_MAX_RANK);
    out->type = type;
    out->rank = rank;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0 || !nissl__mul(count, shape[i] ? shape[i] : 1, &count) ||
            count > (int64_t)1 << 40)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "axis %d of %s has the impossible size %lld", i, out->name,
                                    (long long)shape[i]);
        out->shape[i] = shape[i];
    }
    out->inferred = true;
    return check_size(c, out, err);
}

int nissl__axis(const nissl__compiler *c, int64_t axis, int rank, nissl_error *err)
{
    if (axis < -rank || axis >= rank) {
        (void)NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "axis %lld is outside -%d .. %d",
                               (long long)axis, rank, rank - 1);
        return -1;
    }
    return (int)(axis < 0 ? axis + rank : axis);
}

static int64_t count_of(const nissl__value *value)
{
    int64_t count = 1;
    for (int i = 0; i < value->rank; i++)
        count *= value->shape[i];
    return count;
}

nissl_status nissl__constant_ints(nissl__compiler *c, const nissl__node *node, int input,
                                  int64_t *out, int max, int *n, nissl_error *err)
{
    const nissl__value *value = nissl__in(c, node, input);
    if (!value || !value->constant)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "input %d must be a constant: it depends on the stimulus", input);
    int64_t count = count_of(value);
    if (count > max)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "input %d has %lld values, at most %d",
                                input, (long long)count, max);
    for (int64_t i = 0; i < count; i++) {
        if (value->type == NISSL_INT64)
            out[i] = ((const int64_t *)value->constant)[i];
        else if (value->type == NISSL_INT32)
            out[i] = ((const int32_t *)value->constant)[i];
        else
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input %d is %s, not int64 or int32",
                                    input, nissl_type_name(value->type));
    }
    *n = (int)count;
    return NISSL_OK;
}

nissl_status nissl__constant_float(nissl__compiler *c, const nissl__node *node, int input,
                                   float fallback, float *out, nissl_error *err)
{
    const nissl__value *value = nissl__in(c, node, input);
    *out = fallback;
    if (!value)
        return NISSL_OK;
    if (!value->constant || value->type != NISSL_FLOAT32 || count_of(value) != 1)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "input %d must be a constant float32 scalar", input);
    *out = *(const float *)value->constant;
    return NISSL_OK;
}

void *nissl__own(nissl__compiler *c, size_t bytes)
{
    void *memory;
    if (bytes > nissl__memory_limit(c->ctx))
        return NULL;
    if (c->n_owned == c->owned_capacity) {
        int capacity = c->owned_capacity ? 2 * c->owned_capacity : 64;
        void **owned = nissl__resize(c->owned, (size_t)c->n_owned, (size_t)capacity, sizeof *owned);
        if (!owned)
            return NULL;
        c->owned = owned;
        c->owned_capacity = capacity;
    }
    memory = nissl__alloc(bytes, 1);
    if (memory)
        c->owned[c->n_owned++] = memory;
    return memory;
}

/* Constants as operators read them: aligned, and float32 where the file stores halves. */
static nissl_status take_constant(nissl__compiler *c, nissl__value *value,
                                  const nissl__onnx_tensor *tensor, nissl_error *err)
{
    size_t size = nissl_type_size(tensor->type);
    size_t n = tensor->bytes / size;
    value->type = tensor->type;
    value->rank = tensor->rank;
    memcpy(value->shape, tensor->shape, sizeof value->shape);
    value->inferred = true;
    value->constant = tensor->data;
    if (c->opt->shapes_only && n > MAX_READ) {
        if (tensor->type == NISSL_FLOAT16 || tensor->type == NISSL_BFLOAT16) {
            value->type = NISSL_FLOAT32;
            value->storage = tensor->type;
        }
        value->unread = true;
    } else if (tensor->type == NISSL_FLOAT16 || tensor->type == NISSL_BFLOAT16) {
        float *wide = nissl__own(c, n * sizeof *wide);
        if (!wide)
            return NISSL__NO_MEMORY(err, n * sizeof *wide);
        for (size_t i = 0; i < n; i++) {
            uint16_t half;
            memcpy(&half, (const char *)tensor->data + 2 * i, sizeof half);
            wide[i] = tensor->type == NISSL_FLOAT16 ? nissl__half_to_float(half)
                                                    : nissl__bfloat_to_float(half);
        }
        value->type = NISSL_FLOAT32;
        value->storage = tensor->type;
        value->constant = wide;
    } else if ((uintptr_t)tensor->data % size != 0 || n == 0) {
        void *aligned = nissl__own(c, tensor->bytes);
        if (!aligned)
            return NISSL__NO_MEMORY(err, tensor->bytes);
        if (n)
            memcpy(aligned, tensor->data, tensor->bytes);
        value->constant = aligned;
    }
    return NISSL_OK;
}

/* The value of a Constant node: a tensor, or one of the short forms. */
static nissl_status infer_constant_node(nissl__compiler *c, const nissl__node *node,
                                        nissl_error *err)
{
    nissl__value *out = nissl__out(c, node, 0);
    const nissl__onnx_tensor *tensor = nissl__network_constant(c->network, c->node);
    const nissl__onnx_attribute *a = node->onnx->n_attributes ? &node->onnx->attributes[0] : NULL;
    void *memory = NULL;
    if (!out)
        return NISSL_OK;
    if (tensor)
        return take_constant(c, out, tensor, err);
    if (!a || (a->kind != NISSL__ONNX_FLOAT && a->kind != NISSL__ONNX_INT &&
               a->kind != NISSL__ONNX_FLOATS && a->kind != NISSL__ONNX_INTS))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "constant given as %s",
                                a ? a->name : "nothing");
    bool list = a->kind == NISSL__ONNX_FLOATS || a->kind == NISSL__ONNX_INTS;
    bool real = a->kind == NISSL__ONNX_FLOATS || a->kind == NISSL__ONNX_FLOAT;
    size_t n = list ? a->n : 1, size = real ? sizeof(float) : sizeof(int64_t);
    const void *from = a->kind == NISSL__ONNX_FLOATS ? (const void *)a->floats
                       : a->kind == NISSL__ONNX_INTS ? (const void *)a->ints
                       : real                        ? (const void *)&a->f
                                                     : (const void *)&a->i;
    if (!(memory = nissl__own(c, n * size)))
        return NISSL__NO_MEMORY(err, n * size);
    if (n)
        memcpy(memory, from, n * size);
    out->constant = memory;
    return nissl__set_shape(c, out, real ? NISSL_FLOAT32 : NISSL_INT64, list,
                            &(int64_t){(int64_t)n}, err);
}

/* Memory of an arena value while a node is evaluated at compile time. */
static void *fold_memory(nissl__compiler *c, void **memory, int root)
{
    if (c->values[root].home == NISSL__HOME_CONSTANT) {
        const void *data = c->values[root].constant;
        void *writable; /* views are read-only by contract here */
        memcpy(&writable, &data, sizeof writable);
        return writable;
    }
    if (!memory[root])
        memory[root] = nissl__own(c, (size_t)NISSL__MAX(count_of(&c->values[root]), 1) *
                                         nissl_type_size(c->values[root].type));
    return memory[root];
}

static nissl_status run_folded_step(nissl__compiler *c, nissl__step *step, void **memory,
                                    nissl_error *err)
{
    nissl_view views[2 * NISSL__MAX_OPERANDS];
    nissl__call call = {.threads = 1};
    void *bound = NULL;
    nissl_status status;
    call.bound = &bound;
    if (step->empty)
        return NISSL_OK;
    for (int i = 0; i < step->n_inputs + step->n_outputs; i++) {
        int index = i < step->n_inputs ? step->inputs[i] : step->outputs[i - step->n_inputs];
        if (index < 0)
            continue;
        void *data = fold_memory(c, memory, c->values[index].root);
        if (!data)
            return NISSL__NO_MEMORY(err, 0);
        views[i] = nissl__value_view(&c->values[index], data);
        if (i < step->n_inputs)
            call.in[i] = &views[i];
        else
            call.out[i - step->n_inputs] = &views[i];
    }
    if (step->scratch_bytes && !(call.scratch = nissl__alloc(step->scratch_bytes, 1)))
        return NISSL__NO_MEMORY(err, step->scratch_bytes);
    status = step->execute(step, &call, err);
    if (bound && step->unbind)
        step->unbind(bound);
    nissl__free(call.scratch);
    return status;
}

/* Evaluates a node whose inputs are all constant, with the same kernels that would run it. */
static nissl_status fold(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl_status status;
    int n_values = c->n_values, n_steps = c->n_steps;
    void **memory = NULL;
    c->folding = true;
    status = node->op->lower(c, node, err);
    if (status == NISSL_OK && !(memory = nissl__alloc((size_t)c->n_values, sizeof *memory)))
        status = NISSL__NO_MEMORY(err, (size_t)c->n_values * sizeof *memory);
    for (int i = n_steps; i < c->n_steps && status == NISSL_OK; i++)
        status = run_folded_step(c, &c->steps[i], memory, err);
    for (int i = 0; i < node->n_outputs && status == NISSL_OK; i++) {
        nissl__value *out = nissl__out(c, node, i);
        if (!out || out->constant)
            continue;
        void *data = fold_memory(c, memory, out->root);
        void *plain =
            nissl__own(c, (size_t)NISSL__MAX(count_of(out), 1) * nissl_type_size(out->type));
        if (!data || !plain) {
            status = NISSL__NO_MEMORY(err, (size_t)count_of(out));
            break;
        }
        nissl_view view = nissl__value_view(out, data);
        status = nissl_view_copy(&view, out->type, plain, err);
        out->constant = plain;
    }
    for (int i = n_steps; i < c->n_steps; i++)
        if (c->steps[i].destroy)
            c->steps[i].destroy(c->steps[i].state);
        else
            nissl__free(c->steps[i].state);
    c->n_steps = n_steps;
    c->n_values = n_values;
    c->folding = false;
    nissl__free(memory);
    return status;
}

static void settle_constant(nissl__value *value, int index)
{
    value->root = index;
    value->offset = 0;
    value->home = NISSL__HOME_CONSTANT;
    value->dynamic = false;
    value->def_step = -1;
    nissl__dense_strides(value->rank, value->shape, NISSL__PLAIN, value->stride);
}

/* An input that the caller knows already. */
static nissl_status bind_value(nissl__compiler *c, nissl__value *value, nissl_type declared,
                               const nissl_binding *binding, nissl_error *err)
{
    const nissl_view *view = &binding->value;
    bool half = declared == NISSL_FLOAT16 || declared == NISSL_BFLOAT16;
    nissl_type type =
        view->type == NISSL_FLOAT16 || view->type == NISSL_BFLOAT16 ? NISSL_FLOAT32 : view->type;
    nissl_status status;
    int64_t count = 1;
    value->rank = 0;
    if (view->rank < 0 || view->rank > NISSL_MAX_RANK)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s: input %s is bound to a value of rank %d",
                           c->network->path, binding->name, view->rank);
    for (int i = 0; i < view->rank; i++)
        if (!nissl__mul(count, view->shape[i], &count))
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "%s: input %s is bound to a value with %lld entries along axis %d",
                               c->network->path, binding->name, (long long)view->shape[i], i);
    size_t bytes = (size_t)NISSL__MAX(count, 1) * nissl_type_size(type);
    void *memory = nissl__own(c, bytes);
    if (!memory)
        return NISSL__NO_MEMORY(err, bytes);
    if ((status = nissl_view_copy(view, type, memory, err)) != NISSL_OK)
        return status;
    value->type = type;
    value->storage = half && type == NISSL_FLOAT32 ? declared : NISSL_FLOAT32;
    value->rank = view->rank;
    memcpy(value->shape, view->shape, sizeof value->shape);
    value->inferred = true;
    value->constant = memory;
    settle_constant(value, nissl__value_index(c, value));
    return NISSL_OK;
}

/* The size of an axis of an input, or -1 if it is free. */
static int64_t input_size(const nissl__compiler *c, const nissl_port *port, const nissl_view *bound,
                          int axis)
{
    bool given = bound && axis < bound->rank;
    int64_t size = port->rank >= 0 ? port->shape[axis] : -1;
    if (c->opt->exact)
        return given ? bound->shape[axis] : size;
    if (axis == 0)
        return c->batch;
    if (size <= 0 && given)
        size = bound->shape[axis];
    return size > 0 ? size : -1;
}

static nissl_status bind_input(nissl__compiler *c, int index, nissl_error *err)
{
    const nissl_network *network = c->network;
    const nissl_port *port = &network->input_ports[index];
    nissl__value *value = &c->values[network->inputs[index]];
    const nissl_view *bound = c->opt->input_shapes && (size_t)index < c->opt->n_input_shapes
                                  ? &c->opt->input_shapes[index]
                                  : NULL;
    int rank = port->rank >= 0 ? port->rank : bound ? bound->rank : -1;
    int64_t count = 1;
    for (size_t i = 0; i < c->opt->n_bindings; i++)
        if (strcmp(c->opt->bindings[i].name, port->name) == 0)
            return bind_value(c, value, port->type, &c->opt->bindings[i], err);
    if (rank < (c->opt->exact ? 0 : 1) || rank > NISSL_MAX_RANK)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s: input %s has no axis for stimuli (rank %d)",
                           network->path, port->name, rank);
    value->type =
        port->type == NISSL_FLOAT16 || port->type == NISSL_BFLOAT16 ? NISSL_FLOAT32 : port->type;
    value->storage = port->type == value->type ? NISSL_FLOAT32 : port->type;
    value->rank = rank;
    for (int j = 0; j < rank; j++) {
        value->shape[j] = input_size(c, port, bound, j);
        if (value->shape[j] > (int64_t)1 << 40 ||
            !nissl__mul(count, NISSL__MAX(value->shape[j], 1), &count))
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "%s: axis %d of input %s has the impossible size %lld",
                               network->path, j, port->name, (long long)value->shape[j]);
        if (value->shape[j] < 0)
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "%s: axis %d (%s) of input %s is free: give its size", network->path,
                               j, port->rank >= 0 && port->symbol[j] ? port->symbol[j] : "unnamed",
                               port->name);
    }
    value->inferred = true;
    value->dynamic = true;
    value->unit_axis = rank >= 3 ? 1 : -1;
    value->root = network->inputs[index];
    value->home = NISSL__HOME_INPUT;
    value->input = index;
    value->def_step = -1;
    nissl__dense_strides(rank, value->shape, NISSL__PLAIN, value->stride);
    return check_size(c, value, err);
}

static nissl_status bind_inputs(nissl__compiler *c, nissl_error *err)
{
    const nissl_program_options *opt = c->opt;
    nissl_status status = NISSL_OK;
    for (size_t i = 0; i < opt->n_bindings; i++) {
        bool known = false;
        for (int j = 0; j < c->network->n_inputs; j++)
            known |= strcmp(opt->bindings[i].name, c->network->input_ports[j].name) == 0;
        if (!known)
            return NISSL__FAIL(err, NISSL_ERR_NAME, "%s: no input is named %s", c->network->path,
                               opt->bindings[i].name);
    }
    for (int i = 0; i < c->network->n_inputs && status == NISSL_OK; i++)
        status = bind_input(c, i, err);
    return status;
}

/* Nodes of a branch that is not taken are never looked at. Where the condition is not known, the If
 * itself says so. */
static bool guard_holds(const nissl__compiler *c, const nissl__node *node)
{
    const nissl__value *condition = &c->values[node->guard];
    return condition->inferred && condition->constant && condition->type == NISSL_BOOL &&
           (*(const uint8_t *)condition->constant != 0) == node->guard_truth;
}

/* An input that no node has computed, or -1. An If reads one branch of two. */
static int missing_input(nissl__compiler *c, const nissl__node *node)
{
    for (int i = 0; i < node->n_inputs && strcmp(node->onnx->op, "If") != 0; i++)
        if (nissl__in(c, node, i) && !nissl__in(c, node, i)->inferred)
            return i;
    return -1;
}

static nissl_status check_outputs(const nissl__compiler *c, nissl_error *err)
{
    for (int i = 0; i < c->network->n_outputs; i++) {
        const nissl__value *value = &c->values[c->network->outputs[i]];
        if (!value->inferred)
            return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                               "%s: output %s is not computed by the node that makes it",
                               c->network->path, value->name);
    }
    return NISSL_OK;
}

nissl_status nissl__infer(nissl__compiler *c, nissl_error *err)
{
    const nissl_network *network = c->network;
    nissl_status status;
    for (int i = 0; i < network->n_values; i++) {
        c->values[i].name = network->value_names[i];
        c->values[i].root = i;
        c->values[i].unit_axis = -1;
        c->values[i].def_step = -1;
        if (network->constants[i]) {
            if ((status = take_constant(c, &c->values[i], network->constants[i], err)) != NISSL_OK)
                return status;
            settle_constant(&c->values[i], i);
        }
    }
    if ((status = bind_inputs(c, err)) != NISSL_OK)
        return status;
    for (int i = 0; i < network->n_nodes; i++) {
        const nissl__node *node = &network->nodes[i];
        bool dynamic = false;
        c->node = i;
        if (node->guard >= 0 && !guard_holds(c, node))
            continue;
        if (node->n_inputs < node->op->min_inputs ||
            (node->op->max_inputs >= 0 && node->n_inputs > node->op->max_inputs))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_FORMAT, "%d inputs, expected %d .. %d",
                                    node->n_inputs, node->op->min_inputs, node->op->max_inputs);
        for (int j = 0; j < node->n_inputs; j++) {
            const nissl__value *in = nissl__in(c, node, j);
            if (!in && j < node->op->min_inputs)
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_FORMAT, "input %d is absent", j);
            dynamic |= in && in->dynamic;
        }
        int missing = missing_input(c, node);
        if (missing >= 0 && node->guard >= 0)
            continue; /* inside a branch inside one that is not taken */
        if (missing >= 0)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                    "input %d (%s) is not computed by the node that makes it",
                                    missing, nissl__in(c, node, missing)->name);
        for (int j = 0; j < node->n_outputs; j++) {
            nissl__value *out = nissl__out(c, node, j);
            if (!out)
                continue;
            out->dynamic = dynamic;
            for (int k = 0; k < node->n_inputs && out->storage == NISSL_FLOAT32; k++)
                out->storage =
                    nissl__in(c, node, k) ? nissl__in(c, node, k)->storage : NISSL_FLOAT32;
            for (int k = 0; k < node->n_inputs && node->op->follows && out->unit_axis < 0; k++) {
                const nissl__value *in = nissl__in(c, node, k);
                out->unit_axis = in && in->dynamic ? in->unit_axis : -1;
            }
        }
        if (!node->op->infer) /* Constant */
            status = infer_constant_node(c, node, err);
        else
            status = node->op->infer(c, node, err);
        if (status != NISSL_OK)
            return status;
        nissl__value *first = nissl__out(c, node, 0);
        if (first && !first->inferred)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_INTERNAL, "no shape was inferred for %s",
                                    first->name);
        bool unread = false;
        for (int j = 0; j < node->n_inputs; j++)
            unread |= nissl__in(c, node, j) && nissl__in(c, node, j)->unread;
        for (int j = 0; j < node->n_outputs && unread && !dynamic; j++)
            if (nissl__out(c, node, j))
                nissl__out(c, node, j)->unread = true;
        if (first && !dynamic && !first->constant && !unread &&
            (status = fold(c, node, err)) != NISSL_OK)
            return status;
        for (int j = 0; j < node->n_outputs; j++) {
            nissl__value *out = nissl__out(c, node, j);
            if (!out)
                continue;
            if (out->type != NISSL_FLOAT32)
                out->storage = NISSL_FLOAT32;
            if (out->constant)
                settle_constant(out, node->outputs[j]);
            else if (node->op->channels_last && out->rank >= 3)
                out->unit_axis = 1;
            if (out->unit_axis >= out->rank)
                out->unit_axis = -1;
        }
    }
    return check_outputs(c, err);
}
