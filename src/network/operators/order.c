/* What needs the order of elements: TopK, ArgMax, ArgMin. NaN counts as the most extreme value, and
 * of equal ones the first comes first, as in numpy and torch. */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"
#include "network/operators/walk.h"

/* An integer that is ordered as the elements are; NaN is INT64_MAX. */
static int64_t key_of(const char *p, nissl_type type)
{
    double x;
    int64_t bits;
    if (type == NISSL_UINT64)
        return (int64_t)(*(const uint64_t *)(const void *)p ^ (uint64_t)1 << 63);
    if (nissl__is_integer(type))
        return nissl__read_integer(p, type);
    x = nissl__read_number(p, type);
    if (x != x)
        return INT64_MAX;
    if (x == 0)
        return 0; /* both zeros */
    memcpy(&bits, &x, sizeof bits);
    return bits < 0 ? INT64_MIN - bits : bits;
}

/* ---- ArgMax and ArgMin ---- */

typedef struct extreme_state {
    int axis;
    bool keep, least, last;
} extreme_state;

static nissl_status infer_extreme(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t shape[NISSL_MAX_RANK];
    bool keep = nissl__attr_int(node, "keepdims", 1) != 0;
    int rank = 0, axis = nissl__axis(c, nissl__attr_int(node, "axis", 0), in->rank, err);
    if (axis < 0)
        return NISSL_ERR_SHAPE;
    if (in->shape[axis] == 0)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "axis %d has no entries", axis);
    for (int i = 0; i < in->rank; i++)
        if (i != axis || keep)
            shape[rank++] = i == axis ? 1 : in->shape[i];
    return nissl__set_shape(c, nissl__out(c, node, 0), NISSL_INT64, rank, shape, err);
}

/* The output with the axis put back, so that both views have the same rank. */
static nissl_view with_axis(const nissl_view *out, int axis, bool kept)
{
    nissl_view view = *out;
    if (kept)
        return view;
    for (int i = out->rank; i > axis; i--) {
        view.shape[i] = out->shape[i - 1];
        view.stride[i] = out->stride[i - 1];
    }
    view.shape[axis] = 1;
    view.stride[axis] = 0;
    view.rank = out->rank + 1;
    return view;
}

static nissl_status execute_extreme(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const extreme_state *state = step->state;
    const nissl_view *in = call->in[0];
    nissl_view out = with_axis(call->out[0], state->axis, state->keep);
    int64_t n = nissl_view_count(&out), length = in->shape[state->axis], at[NISSL_MAX_RANK] = {0};
    for (int64_t k = 0; k < n; k++) {
        int64_t from = nissl__walk_offset(in, at), best = 0, best_key = 0;
        for (int64_t i = 0; i < length; i++) {
            int64_t key = key_of(nissl__walk_at(in, from + i * in->stride[state->axis]), in->type);
            if (state->least) /* ~ turns the order round; NaN stays extreme */
                key = key == INT64_MAX && !nissl__is_integer(in->type) ? key : ~key;
            if (i == 0 || key > best_key || (key == best_key && state->last)) {
                best = i;
                best_key = key;
            }
        }
        *(int64_t *)(void *)nissl__walk_at(&out, nissl__walk_offset(&out, at)) = best;
        nissl__walk_next(out.rank, out.shape, at);
    }
    return NISSL_OK;
}

static nissl_status lower_extreme(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step =
        nissl__add_step(c, "arg max", 1, node->inputs, 1, node->outputs, sizeof(extreme_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(extreme_state));
    *(extreme_state *)step->state = (extreme_state){
        nissl__axis(c, nissl__attr_int(node, "axis", 0), nissl__in(c, node, 0)->rank, err),
        nissl__attr_int(node, "keepdims", 1) != 0, strcmp(node->onnx->op, "ArgMin") == 0,
        nissl__attr_int(node, "select_last_index", 0) != 0};
    step->execute = execute_extreme;
    return NISSL_OK;
}

/* ---- TopK ---- */

typedef struct top_state {
    int axis;
    bool largest;
} top_state;

static nissl_status infer_top(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t shape[NISSL_MAX_RANK], k = nissl__attr_int(node, "k", -1);
    int n = 0, axis = nissl__axis(c, nissl__attr_int(node, "axis", -1), in->rank, err);
    nissl_status status;
    if (axis < 0)
        return NISSL_ERR_SHAPE;
    if (nissl__in(c, node, 1)) {
        if ((status = nissl__constant_ints(c, node, 1, &k, 1, &n, err)) != NISSL_OK)
            return status;
        if (n != 1)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "K has %d values, expected 1", n);
    }
    if (k < 0 || k > in->shape[axis])
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "K = %lld is outside 0 .. %lld",
                                (long long)k, (long long)in->shape[axis]);
    memcpy(shape, in->shape, sizeof shape);
    shape[axis] = k;
    if ((status = nissl__set_shape(c, nissl__out(c, node, 0), in->type, in->rank, shape, err)) !=
        NISSL_OK)
        return status;
    return nissl__set_shape(c, nissl__out(c, node, 1), NISSL_INT64, in->rank, shape, err);
}

typedef struct entry {
    int64_t key, index;
} entry;

/* Stable: larger keys first. from and to have room for n; the result is in the one returned. */
static entry *sort(entry *from, entry *to, int64_t n)
{
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            int64_t a = start, b = NISSL__MIN(start + width, n), middle = b,
                    end = NISSL__MIN(start + 2 * width, n);
            for (int64_t k = start; k < end; k++)
                to[k] =
                    b >= end || (a < middle && from[a].key >= from[b].key) ? from[a++] : from[b++];
        }
        entry *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

static nissl_status execute_top(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const top_state *state = step->state;
    const nissl_view *in = call->in[0], *values = call->out[0], *indices = call->out[1];
    int axis = state->axis;
    int64_t length = in->shape[axis], k = (values ? values : indices)->shape[axis];
    nissl_view slices = nissl__walk_without(in, axis);
    int64_t n = nissl_view_count(&slices), at[NISSL_MAX_RANK] = {0};
    entry *all = call->scratch;
    for (int64_t slice = 0; slice < n; slice++) {
        int64_t from = nissl__walk_offset(in, at);
        for (int64_t i = 0; i < length; i++) {
            int64_t key = key_of(nissl__walk_at(in, from + i * in->stride[axis]), in->type);
            all[i] = (entry){state->largest ? key : ~key, i};
        }
        const entry *sorted = sort(all, all + length, length);
        for (int64_t i = 0; i < k; i++) {
            if (values)
                nissl__walk_copy(in, from + sorted[i].index * in->stride[axis], values,
                                 nissl__walk_offset(values, at) + i * values->stride[axis]);
            if (indices)
                *(int64_t *)(void *)nissl__walk_at(indices, nissl__walk_offset(indices, at) +
                                                                i * indices->stride[axis]) =
                    sorted[i].index;
        }
        nissl__walk_next(slices.rank, slices.shape, at);
    }
    return NISSL_OK;
}

static nissl_status lower_top(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int axis = nissl__axis(c, nissl__attr_int(node, "axis", -1), in->rank, err);
    int outputs[2] = {node->n_outputs > 0 ? node->outputs[0] : -1,
                      node->n_outputs > 1 ? node->outputs[1] : -1};
    for (int i = 0; i < 2; i++)
        if (outputs[i] >= 0)
            nissl__place(c, &c->values[outputs[i]]);
    nissl__step *step = nissl__add_step(c, "top k", 1, node->inputs, 2, outputs, sizeof(top_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(top_state));
    *(top_state *)step->state = (top_state){axis, nissl__attr_int(node, "largest", 1) != 0};
    step->scratch_bytes = 2 * (size_t)in->shape[axis] * sizeof(entry);
    step->execute = execute_top;
    return NISSL_OK;
}

const nissl__operator nissl__operators_order[] = {
    {"ArgMax", 1, 1, infer_extreme, lower_extreme, .follows = false},
    {"ArgMin", 1, 1, infer_extreme, lower_extreme, .follows = false},
    {"TopK", 1, 2, infer_top, lower_top, .follows = false},
    {0},
};
