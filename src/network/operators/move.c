/* Operators that copy elements to new places: Concat, Gather, Pad. */
#include "network/loop.h"
#include "network/operators/operators.h"

/* ---- Concat ---- */

static nissl_status infer_concat(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *first = nissl__in(c, node, 0);
    int64_t shape[NISSL_MAX_RANK], given = nissl__attr_int(node, "axis", 1);
    int axis = nissl__axis(c, given, first->rank, err);
    if (axis < 0)
        return NISSL_ERR_SHAPE;
    memcpy(shape, first->shape, sizeof shape);
    for (int i = 1; i < node->n_inputs; i++) {
        const nissl__value *in = nissl__in(c, node, i);
        bool same = in && in->rank == first->rank && in->type == first->type;
        for (int j = 0; j < first->rank && same; j++)
            same = j == axis || in->shape[j] == first->shape[j];
        if (!same)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "input %d does not fit the first one outside axis %d", i, axis);
        shape[axis] += in->shape[axis];
    }
    return nissl__set_shape(c, nissl__out(c, node, 0), first->type, first->rank, shape, err);
}

static nissl_status lower_concat(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int out = node->outputs[0], last = -1;
    int64_t offset = 0;
    nissl__value *whole = &c->values[out];
    int axis = nissl__axis(c, nissl__attr_int(node, "axis", 1), whole->rank, err);
    nissl__place(c, whole);
    for (int i = 0; i < node->n_inputs; i++) {
        const nissl__value *in = nissl__in(c, node, i);
        int64_t at = whole->offset + offset * whole->stride[axis];
        offset += in->shape[axis];
        if (in->root == whole->root && in->offset == at && in->placed) { /* written there already */
            last = NISSL__MAX(last, in->def_step);
            continue;
        }
        int part = nissl__new_value(c, in->type, in->rank, in->shape, NISSL__PLAIN, err);
        if (part < 0)
            return NISSL_ERR_INTERNAL;
        nissl__value *slot = &c->values[part];
        slot->root = whole->root;
        slot->offset = at;
        slot->placed = true;
        memcpy(slot->stride, whole->stride, sizeof slot->stride);
        nissl__step *step = nissl__add_step(c, "concat", 1, &node->inputs[i], 1, &part, 0);
        if (!step)
            return NISSL__NO_MEMORY(err, sizeof *step);
        step->execute = nissl__execute_copy;
        last = c->n_steps - 1;
    }
    whole->def_step = last;
    return NISSL_OK;
}

/* ---- Gather ---- */

static nissl_status infer_gather(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *index = nissl__in(c, node, 1);
    int64_t shape[2 * NISSL_MAX_RANK];
    int axis = nissl__axis(c, nissl__attr_int(node, "axis", 0), in->rank, err), rank = 0;
    if (axis < 0)
        return NISSL_ERR_SHAPE;
    if (index->type != NISSL_INT64 && index->type != NISSL_INT32)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "indices are %s",
                                nissl_type_name(index->type));
    for (int i = 0; i < axis; i++)
        shape[rank++] = in->shape[i];
    for (int i = 0; i < index->rank; i++)
        shape[rank++] = index->shape[i];
    for (int i = axis + 1; i < in->rank; i++)
        shape[rank++] = in->shape[i];
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, rank, shape, err);
}

typedef struct axis_state {
    int axis;
} axis_state;

static nissl_status execute_gather(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    int axis = ((const axis_state *)step->state)->axis;
    const nissl_view *in = call->in[0], *index = call->in[1], *out = call->out[0];
    int64_t n = nissl_view_count(index), size = in->shape[axis];
    /* one copy per index: the output without the index axes, as a view */
    for (int64_t i = 0; i < n; i++) {
        nissl_view from = *in, to = *out;
        int64_t rest = i, at = index->type == NISSL_INT64 ? ((const int64_t *)index->data)[i]
                                                          : ((const int32_t *)index->data)[i];
        int64_t offset = 0;
        if (at < -size || at >= size)
            return NISSL__FAIL(err, NISSL_ERR_RANGE, "Gather: index %lld is outside -%lld .. %lld",
                               (long long)at, (long long)size, (long long)size - 1);
        at = at < 0 ? at + size : at;
        for (int j = index->rank - 1; j >= 0; j--) {
            offset += rest % index->shape[j] * out->stride[axis + j];
            rest /= index->shape[j];
        }
        from.data = (char *)in->data + at * in->stride[axis] * (int64_t)nissl_type_size(in->type);
        to.data = (char *)out->data + offset * (int64_t)nissl_type_size(out->type);
        from.rank = to.rank = 0;
        for (int j = 0; j < in->rank; j++) {
            if (j == axis)
                continue;
            int k = j < axis ? j : j - 1 + index->rank;
            from.shape[from.rank] = to.shape[to.rank] = in->shape[j];
            from.stride[from.rank++] = in->stride[j];
            to.stride[to.rank++] = out->stride[k];
        }
        nissl__copy_view(&from, &to, 1);
    }
    return NISSL_OK;
}

static nissl_status lower_gather(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int index = node->inputs[1], out = node->outputs[0];
    nissl_status status = nissl__dense(c, index, NISSL__PLAIN, &index, err);
    if (status != NISSL_OK)
        return status;
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "gather", 2, (const int[]){node->inputs[0], index}, 1,
                                        &out, sizeof(axis_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(axis_state));
    ((axis_state *)step->state)->axis =
        nissl__axis(c, nissl__attr_int(node, "axis", 0), nissl__in(c, node, 0)->rank, err);
    step->execute = execute_gather;
    return NISSL_OK;
}

/* ---- Pad ---- */

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

typedef struct pad_state {
    pad_mode mode;
    int64_t begin[NISSL_MAX_RANK];
    char value[8]; /* one element */
} pad_state;

static nissl_status pads_of(nissl__compiler *c, const nissl__node *node, int64_t *begin,
                            int64_t *end, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t pads[2 * NISSL_MAX_RANK], axes[NISSL_MAX_RANK];
    int n = 0, n_axes = 0;
    nissl_status status;
    for (int i = 0; i < in->rank; i++) {
        begin[i] = end[i] = 0;
        axes[i] = i;
    }
    if (nissl__in(c, node, 1)) {
        if ((status = nissl__constant_ints(c, node, 1, pads, 2 * NISSL_MAX_RANK, &n, err)) !=
            NISSL_OK)
            return status;
    } else {
        size_t n_attr;
        const int64_t *attr = nissl__attr_ints(node, "pads", &n_attr);
        if (!attr || n_attr > 2 * NISSL_MAX_RANK)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_FORMAT, "no pads are given");
        n = (int)n_attr;
        memcpy(pads, attr, n_attr * sizeof *attr);
    }
    n_axes = in->rank;
    if (nissl__in(c, node, 3) &&
        (status = nissl__constant_ints(c, node, 3, axes, NISSL_MAX_RANK, &n_axes, err)) != NISSL_OK)
        return status;
    if (n != 2 * n_axes)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%d pads for %d axes", n, n_axes);
    for (int i = 0; i < n_axes; i++) {
        int axis = nissl__axis(c, axes[i], in->rank, err);
        if (axis < 0)
            return NISSL_ERR_SHAPE;
        begin[axis] = pads[i];
        end[axis] = pads[n_axes + i];
        if (begin[axis] < -(1 << 30) || begin[axis] > 1 << 30 || end[axis] < -(1 << 30) ||
            end[axis] > 1 << 30)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "pads %lld and %lld along axis %d",
                                    (long long)begin[axis], (long long)end[axis], axis);
    }
    return NISSL_OK;
}

static nissl_status infer_pad(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    const char *mode = nissl__attr_string(node, "mode", "constant");
    int64_t begin[NISSL_MAX_RANK], end[NISSL_MAX_RANK], shape[NISSL_MAX_RANK];
    nissl_status status = pads_of(c, node, begin, end, err);
    if (status != NISSL_OK)
        return status;
    for (int i = 0; i < in->rank; i++) {
        shape[i] = in->shape[i] + begin[i] + end[i];
        bool mirrored =
            strcmp(mode, "reflect") == 0 && (begin[i] >= in->shape[i] || end[i] >= in->shape[i]);
        bool nothing = strcmp(mode, "constant") != 0 && in->shape[i] == 0 && shape[i] > 0;
        if ((mirrored && (begin[i] > 0 || end[i] > 0)) || nothing || shape[i] < 0)
            return NISSL__NODE_FAIL(
                c, err, NISSL_ERR_SHAPE, "pads %lld and %lld do not fit axis %d of size %lld",
                (long long)begin[i], (long long)end[i], i, (long long)in->shape[i]);
    }
    const nissl__value *value = nissl__in(c, node, 2);
    int64_t n_values = 1;
    for (int i = 0; value && i < value->rank; i++)
        n_values *= value->shape[i];
    if (value && (value->type != in->type || n_values != 1))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "the padding is %lld values of %s for %s",
                                (long long)n_values, nissl_type_name(value->type),
                                nissl_type_name(in->type));
    out->unit_axis = in->unit_axis;
    return nissl__set_shape(c, out, in->type, in->rank, shape, err);
}

/* The input index that padding copies from, or -1 for the constant. */
static int64_t pad_source(pad_mode mode, int64_t i, int64_t size)
{
    if (i >= 0 && i < size)
        return i;
    if (mode == PAD_CONSTANT)
        return -1;
    if (mode == PAD_EDGE)
        return i < 0 ? 0 : size - 1;
    if (mode == PAD_WRAP)
        return (i % size + size) % size;
    return i < 0 ? -i : 2 * (size - 1) - i;
}

static nissl_status execute_pad(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const pad_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    int64_t size = (int64_t)nissl_type_size(out->type), n = nissl_view_count(out);
    int64_t at[NISSL_MAX_RANK] = {0};
    if (state->mode == PAD_CONSTANT) { /* fill, then copy the middle */
        nissl_view middle = *out, value = {.data = NULL, .type = out->type}, from = *in;
        char element[8];
        memcpy(element, state->value, sizeof element);
        value.data = element;
        nissl__copy_view(&value, out, call->threads);
        for (int i = 0; i < in->rank; i++) {
            int64_t begin = state->begin[i], skip = begin < 0 ? -begin : 0;
            int64_t first = begin > 0 ? begin : 0;
            middle.data = (char *)middle.data + first * out->stride[i] * size;
            from.data = (char *)from.data + skip * in->stride[i] * size;
            from.shape[i] = middle.shape[i] =
                NISSL__MAX(NISSL__MIN(in->shape[i] - skip, out->shape[i] - first), 0);
        }
        nissl__copy_view(&from, &middle, call->threads);
        return NISSL_OK;
    }
    for (int64_t k = 0; k < n; k++) {
        int64_t from = 0, to = 0;
        for (int i = 0; i < out->rank; i++) {
            from += pad_source(state->mode, at[i] - state->begin[i], in->shape[i]) * in->stride[i];
            to += at[i] * out->stride[i];
        }
        memcpy((char *)out->data + to * size, (const char *)in->data + from * size, (size_t)size);
        for (int i = out->rank - 1; i >= 0 && ++at[i] == out->shape[i]; i--)
            at[i] = 0;
    }
    return NISSL_OK;
}

static nissl_status lower_pad(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0], out = node->outputs[0];
    const char *mode = nissl__attr_string(node, "mode", "constant");
    const nissl__value *value = nissl__in(c, node, 2);
    pad_state state = {.mode = PAD_CONSTANT};
    int64_t end[NISSL_MAX_RANK];
    float constant = nissl__attr_float(node, "value", 0.0f);
    nissl_status status = pads_of(c, node, state.begin, end, err);
    if (status != NISSL_OK)
        return status;
    if (strcmp(mode, "reflect") == 0)
        state.mode = PAD_REFLECT;
    else if (strcmp(mode, "edge") == 0)
        state.mode = PAD_EDGE;
    else if (strcmp(mode, "wrap") == 0)
        state.mode = PAD_WRAP;
    else if (strcmp(mode, "constant") != 0)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "mode %s", mode);
    if (value && !value->constant)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "the padding value depends on the stimulus");
    if (value && value->type == c->values[in].type)
        memcpy(state.value, value->constant, nissl_type_size(value->type));
    else if (c->values[in].type == NISSL_FLOAT32)
        memcpy(state.value, &constant, sizeof constant);
    nissl__place(c, &c->values[out]);
    nissl__step *step = nissl__add_step(c, "pad", 1, &in, 1, &out, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(pad_state *)step->state = state;
    step->execute = execute_pad;
    return NISSL_OK;
}

const nissl__operator nissl__operators_move[] = {
    {"Concat", 1, -1, infer_concat, lower_concat, .follows = true},
    {"Gather", 2, 2, infer_gather, lower_gather, .follows = false},
    {"Pad", 1, 4, infer_pad, lower_pad, .follows = true},
    {0},
};
