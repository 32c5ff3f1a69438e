/* Third pass: the steps that compute what is needed. Also the tools with which operators make them.
 */
#include "network/program.h"

void nissl__dense_strides(int rank, const int64_t *shape, nissl__layout layout, int64_t *stride)
{
    uint64_t step = 1; /* wraps round where a tensor without elements has large axes */
    if (layout == NISSL__CHANNELS_LAST && rank >= 3) {
        stride[1] = 1;
        step = (uint64_t)shape[1];
        for (int i = rank - 1; i >= 0; i--) {
            if (i == 1)
                continue;
            stride[i] = (int64_t)step;
            step *= (uint64_t)shape[i];
        }
        return;
    }
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = (int64_t)step;
        step *= (uint64_t)shape[i];
    }
}

bool nissl__is_dense(const nissl__value *value, nissl__layout layout)
{
    int64_t stride[NISSL_MAX_RANK];
    nissl__dense_strides(value->rank, value->shape, layout, stride);
    for (int i = 0; i < value->rank; i++)
        if (value->shape[i] > 1 && value->stride[i] != stride[i])
            return false;
    return true;
}

bool nissl__is_channels_last(const nissl__value *value, int64_t *pixel)
{
    int64_t step;
    int inner = value->rank - 1;
    if (value->rank < 3 || (value->shape[1] > 1 && value->stride[1] != 1))
        return false;
    while (inner > 1 && value->shape[inner] == 1)
        inner--;
    if (inner == 1) /* one pixel per stimulus */
        step = value->shape[0] > 1 ? value->stride[0] : value->shape[1];
    else
        step = value->stride[inner];
    if (step < value->shape[1])
        return false;
    *pixel = step;
    for (int i = value->rank - 1; i >= 0; i--) {
        if (i == 1)
            continue;
        if (value->shape[i] > 1 && value->stride[i] != step)
            return false;
        step *= value->shape[i];
    }
    return true;
}

nissl_view nissl__value_view(const nissl__value *value, void *data)
{
    nissl_view view = {.type = value->type, .rank = value->rank};
    view.data = (char *)data + value->offset * (int64_t)nissl_type_size(value->type);
    memcpy(view.shape, value->shape, sizeof view.shape);
    memcpy(view.stride, value->stride, sizeof view.stride);
    return view;
}

int nissl__new_value(nissl__compiler *c, nissl_type type, int rank, const int64_t *shape,
                     nissl__layout layout, nissl_error *err)
{
    if (c->n_values ==
        c->capacity) { /* room for every operand was made: pointers to values stay valid */
        (void)NISSL__NODE_FAIL(c, err, NISSL_ERR_INTERNAL, "more than %d values", c->capacity);
        return -1;
    }
    nissl__value *value = &c->values[c->n_values];
    *value = (nissl__value){.name = "",
                            .type = type,
                            .rank = rank,
                            .inferred = true,
                            .dynamic = true,
                            .unit_axis = -1,
                            .needed = true,
                            .layout = layout,
                            .root = c->n_values,
                            .home = NISSL__HOME_ARENA};
    if (rank)
        memcpy(value->shape, shape, (size_t)rank * sizeof *shape);
    nissl__dense_strides(rank, shape, layout, value->stride);
    return c->n_values++;
}

void nissl__place(nissl__compiler *c, nissl__value *out)
{
    if (out->placed)
        return;
    out->root = nissl__value_index(c, out);
    out->offset = 0;
    out->home = NISSL__HOME_ARENA;
    nissl__dense_strides(out->rank, out->shape, c->folding ? NISSL__PLAIN : out->layout,
                         out->stride);
}

void nissl__alias(nissl__compiler *c, nissl__value *out, int in, int64_t offset,
                  const int64_t *stride)
{
    const nissl__value *from = &c->values[in];
    out->root = from->root;
    out->offset = from->offset + offset;
    out->home = c->values[from->root].home;
    out->def_step = from->def_step;
    memcpy(out->stride, stride, (size_t)out->rank * sizeof *stride);
}

static bool has_elements(const nissl__value *value)
{
    bool some = true;
    for (int i = 0; i < value->rank; i++)
        some &= value->shape[i] > 0;
    return some;
}

nissl__step *nissl__add_step(nissl__compiler *c, const char *kind, int n_inputs, const int *inputs,
                             int n_outputs, const int *outputs, size_t state_bytes)
{
    if (c->n_steps == c->step_capacity) {
        int capacity = 2 * c->step_capacity + 64;
        nissl__step *steps =
            nissl__resize(c->steps, (size_t)c->n_steps, (size_t)capacity, sizeof *steps);
        if (!steps)
            return NULL;
        c->steps = steps;
        c->step_capacity = capacity;
    }
    nissl__step *step = &c->steps[c->n_steps];
    *step = (nissl__step){.node = c->node,
                          .kind = kind,
                          .n_inputs = n_inputs,
                          .n_outputs = n_outputs,
                          .overwrite = -1};
    memcpy(step->inputs, inputs, (size_t)n_inputs * sizeof *inputs);
    memcpy(step->outputs, outputs, (size_t)n_outputs * sizeof *outputs);
    if (state_bytes && !(step->state = nissl__alloc(state_bytes, 1)))
        return NULL;
    step->empty = true;
    for (int i = 0; i < n_outputs; i++)
        if (outputs[i] >= 0) {
            c->values[outputs[i]].def_step = c->n_steps;
            step->empty &= !has_elements(&c->values[outputs[i]]);
        }
    c->n_steps++;
    return step;
}

nissl_status nissl__execute_copy(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    nissl__copy_view(call->in[0], call->out[0], call->threads);
    return NISSL_OK;
}

nissl_status nissl__dense(nissl__compiler *c, int value, nissl__layout layout, int *out,
                          nissl_error *err)
{
    if (c->folding)
        layout = NISSL__PLAIN;
    if (nissl__is_dense(&c->values[value], layout)) {
        *out = value;
        return NISSL_OK;
    }
    int copy = nissl__new_value(c, c->values[value].type, c->values[value].rank,
                                c->values[value].shape, layout, err);
    if (copy < 0)
        return NISSL_ERR_MEMORY;
    c->values[copy].dynamic = c->values[value].dynamic;
    nissl__step *step = nissl__add_step(c, "reorder", 1, &value, 1, &copy, 0);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *step);
    step->execute = nissl__execute_copy;
    *out = copy;
    return NISSL_OK;
}

int nissl__sole_consumer(const nissl__compiler *c, int value)
{
    const nissl__value *v = &c->values[value];
    int found = -1;
    if (c->folding || v->observed || v->output || v->n_uses != 1 || v->placed)
        return -1;
    for (int i = c->node + 1; i < c->network->n_nodes && found < 0; i++) {
        const nissl__node *node = &c->network->nodes[i];
        for (int j = 0; j < node->n_inputs; j++)
            if (node->inputs[j] == value)
                found = i;
    }
    if (found < 0 || c->absorbed[found])
        return -1;
    const nissl__node *node = &c->network->nodes[found];
    return node->n_outputs >= 1 && node->outputs[0] >= 0 && c->values[node->outputs[0]].needed
               ? found
               : -1;
}

nissl_status nissl__lower(nissl__compiler *c, nissl_error *err)
{
    for (int i = 0; i < c->network->n_nodes; i++) {
        const nissl__node *node = &c->network->nodes[i];
        bool needed = false;
        nissl_status status;
        c->node = i;
        for (int j = 0; j < node->n_outputs; j++) {
            const nissl__value *out = nissl__out(c, node, j);
            needed |= out && out->needed && out->inferred && !out->constant;
        }
        if (!needed || c->absorbed[i])
            continue;
        bool done = false;
        if (node->op->follows && (status = nissl__fuse(c, &done, err)) != NISSL_OK)
            return status;
        if (!done && (status = node->op->lower(c, node, err)) != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}
