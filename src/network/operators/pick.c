/* Elements picked by index: GatherElements, GatherND, Compress, ReverseSequence; and NonZero, which
 * finds them. */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"
#include "network/operators/walk.h"

nissl_status nissl__check_indices(nissl__compiler *c, const nissl__value *index, nissl_error *err)
{
    if (index->type == NISSL_INT64 || index->type == NISSL_INT32)
        return NISSL_OK;
    return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "indices are %s, not int64 or int32",
                            nissl_type_name(index->type));
}

nissl_status nissl__read_index(const char *kind, const nissl_view *index, int64_t offset,
                               int64_t size, int64_t *out, nissl_error *err)
{
    int64_t at = nissl__read_integer(nissl__walk_at(index, offset), index->type);
    if (at < -size || at >= size)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%s: index %lld is outside -%lld .. %lld", kind,
                           (long long)at, (long long)size, (long long)size - 1);
    *out = at < 0 ? at + size : at;
    return NISSL_OK;
}

typedef struct axis_state {
    int axis, batch;
} axis_state;

static nissl_status add_step(
    nissl__compiler *c, const nissl__node *node, const char *kind, int n_inputs, axis_state state,
    nissl_status (*execute)(const nissl__step *, nissl__call *, nissl_error *), nissl_error *err)
{
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step =
        nissl__add_step(c, kind, n_inputs, node->inputs, 1, node->outputs, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(axis_state *)step->state = state;
    step->execute = execute;
    return NISSL_OK;
}

/* ---- GatherElements ---- */

static nissl_status infer_gather_elements(nissl__compiler *c, const nissl__node *node,
                                          nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *index = nissl__in(c, node, 1);
    nissl_status status = nissl__check_indices(c, index, err);
    int axis;
    if (status != NISSL_OK)
        return status;
    if ((axis = nissl__axis(c, nissl__attr_int(node, "axis", 0), in->rank, err)) < 0)
        return NISSL_ERR_SHAPE;
    if (index->rank != in->rank)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "indices have rank %d, the data rank %d",
                                index->rank, in->rank);
    for (int i = 0; i < in->rank; i++)
        if (i != axis && index->shape[i] > in->shape[i])
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "axis %d: indices have %lld entries, the data %lld", i,
                                    (long long)index->shape[i], (long long)in->shape[i]);
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, index->rank, index->shape, err);
}

static nissl_status execute_gather_elements(const nissl__step *step, nissl__call *call,
                                            nissl_error *err)
{
    const nissl_view *in = call->in[0], *index = call->in[1], *out = call->out[0];
    int axis = ((const axis_state *)step->state)->axis;
    int64_t n = nissl_view_count(out), at[NISSL_MAX_RANK] = {0}, from;
    nissl_view rest = nissl__walk_without(in, axis);
    rest.stride[axis] = 0;
    for (int64_t k = 0; k < n; k++) {
        nissl_status status = nissl__read_index(
            "GatherElements", index, nissl__walk_offset(index, at), in->shape[axis], &from, err);
        if (status != NISSL_OK)
            return status;
        nissl__walk_copy(in, nissl__walk_offset(&rest, at) + from * in->stride[axis], out,
                         nissl__walk_offset(out, at));
        nissl__walk_next(out->rank, out->shape, at);
    }
    return NISSL_OK;
}

static nissl_status lower_gather_elements(nissl__compiler *c, const nissl__node *node,
                                          nissl_error *err)
{
    int axis = nissl__axis(c, nissl__attr_int(node, "axis", 0), nissl__in(c, node, 0)->rank, err);
    return add_step(c, node, "gather elements", 2, (axis_state){axis, 0}, execute_gather_elements,
                    err);
}

/* ---- GatherND ---- */

static nissl_status infer_gather_nd(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *index = nissl__in(c, node, 1);
    int64_t batch = nissl__attr_int(node, "batch_dims", 0), shape[2 * NISSL_MAX_RANK];
    nissl_status status = nissl__check_indices(c, index, err);
    int rank = 0;
    if (status != NISSL_OK)
        return status;
    if (index->rank < 1 || batch < 0 || batch >= index->rank || batch >= in->rank)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "batch_dims = %lld with data of rank %d and indices of rank %d",
                                (long long)batch, in->rank, index->rank);
    int64_t depth = index->shape[index->rank - 1];
    if (depth < 1 || depth > in->rank - batch)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "indices of %lld axes into data of rank %d with batch_dims = %lld",
                                (long long)depth, in->rank, (long long)batch);
    for (int i = 0; i < batch; i++)
        if (in->shape[i] != index->shape[i])
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "axis %d: data have %lld entries, indices %lld", i,
                                    (long long)in->shape[i], (long long)index->shape[i]);
    for (int i = 0; i < index->rank - 1; i++)
        shape[rank++] = index->shape[i];
    for (int i = (int)(batch + depth); i < in->rank; i++)
        shape[rank++] = in->shape[i];
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, rank, shape, err);
}

static nissl_status execute_gather_nd(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const nissl_view *in = call->in[0], *index = call->in[1], *out = call->out[0];
    int batch = ((const axis_state *)step->state)->batch, last = index->rank - 1;
    int depth = (int)index->shape[last];
    int64_t at[NISSL_MAX_RANK] = {0};
    nissl_view tuples = nissl__walk_head(index, last), heads = nissl__walk_head(out, last);
    nissl_view from = nissl__walk_tail(in, batch + depth), to = nissl__walk_tail(out, last);
    int64_t n = nissl_view_count(&tuples);
    for (int64_t k = 0; k < n; k++) {
        int64_t offset = 0, entry;
        for (int i = 0; i < batch; i++)
            offset += at[i] * in->stride[i];
        for (int i = 0; i < depth; i++) {
            nissl_status status = nissl__read_index(
                "GatherND", index, nissl__walk_offset(&tuples, at) + i * index->stride[last],
                in->shape[batch + i], &entry, err);
            if (status != NISSL_OK)
                return status;
            offset += entry * in->stride[batch + i];
        }
        from.data = nissl__walk_at(in, offset);
        to.data = nissl__walk_at(out, nissl__walk_offset(&heads, at));
        nissl__copy_view(&from, &to, 1);
        nissl__walk_next(last, tuples.shape, at);
    }
    return NISSL_OK;
}

static nissl_status lower_gather_nd(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int batch = (int)nissl__attr_int(node, "batch_dims", 0);
    return add_step(c, node, "gather nd", 2, (axis_state){0, batch}, execute_gather_nd, err);
}

/* ---- Compress ---- */

/* The axis of Compress, or -1 for the flattened input, and how many entries stay. */
static nissl_status kept_of(nissl__compiler *c, const nissl__node *node, int *axis, int64_t *n,
                            nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *condition = nissl__in(c, node, 1);
    int64_t size = 1;
    *axis = -1;
    if (!condition->constant)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "the condition must be a constant: the shape follows from it");
    if (condition->type != NISSL_BOOL || condition->rank != 1)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "the condition is %s of rank %d",
                                nissl_type_name(condition->type), condition->rank);
    if (nissl__onnx_find_attribute(node->onnx, "axis") &&
        (*axis = nissl__axis(c, nissl__attr_int(node, "axis", 0), in->rank, err)) < 0)
        return NISSL_ERR_SHAPE;
    for (int i = 0; i < in->rank; i++)
        size *= *axis < 0 || i == *axis ? in->shape[i] : 1;
    if (condition->shape[0] > size)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "the condition has %lld entries for %lld elements",
                                (long long)condition->shape[0], (long long)size);
    *n = 0;
    for (int64_t i = 0; i < condition->shape[0]; i++)
        *n += ((const uint8_t *)condition->constant)[i] != 0;
    return NISSL_OK;
}

static nissl_status infer_compress(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t shape[NISSL_MAX_RANK], n;
    int axis;
    nissl_status status = kept_of(c, node, &axis, &n, err);
    if (status != NISSL_OK)
        return status;
    memcpy(shape, in->shape, sizeof shape);
    shape[axis < 0 ? 0 : axis] = n;
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, axis < 0 ? 1 : in->rank, shape,
                            err);
}

/* in[1]: the condition; in[0] is dense where the axis is -1. */
static nissl_status execute_compress(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    int axis = ((const axis_state *)step->state)->axis;
    const nissl_view *out = call->out[0], *condition = call->in[1];
    const uint8_t *keep = condition->data;
    nissl_view from = *call->in[0], to = *out;
    int64_t n = 0;
    if (axis < 0) {
        from.rank = 1;
        from.shape[0] = nissl_view_count(call->in[0]);
        from.stride[0] = 1;
        axis = 0;
    }
    int64_t step_in = from.stride[axis];
    const nissl_view whole = from;
    from.shape[axis] = to.shape[axis] = 1;
    for (int64_t i = 0; i < condition->shape[0]; i++) {
        if (!keep[i])
            continue;
        from.data = nissl__walk_at(&whole, i * step_in);
        to.data = nissl__walk_at(out, n++ * out->stride[axis]);
        nissl__copy_view(&from, &to, 1);
    }
    return NISSL_OK;
}

static nissl_status lower_compress(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int64_t n;
    int axis, inputs[2] = {node->inputs[0], node->inputs[1]};
    nissl_status status = kept_of(c, node, &axis, &n, err);
    if (status == NISSL_OK && axis < 0)
        status = nissl__dense(c, inputs[0], NISSL__PLAIN, &inputs[0], err);
    if (status != NISSL_OK)
        return status;
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step =
        nissl__add_step(c, "compress", 2, inputs, 1, node->outputs, sizeof(axis_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(axis_state));
    ((axis_state *)step->state)->axis = axis;
    step->execute = execute_compress;
    return NISSL_OK;
}

/* ---- ReverseSequence ---- */

static nissl_status infer_reverse(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *lengths = nissl__in(c, node, 1);
    int64_t batch = nissl__attr_int(node, "batch_axis", 1),
            time = nissl__attr_int(node, "time_axis", 0);
    nissl_status status = nissl__check_indices(c, lengths, err);
    if (status != NISSL_OK)
        return status;
    if (in->rank < 2 || batch < 0 || batch > 1 || time < 0 || time > 1 || batch == time)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "batch_axis %lld and time_axis %lld of rank %d", (long long)batch,
                                (long long)time, in->rank);
    if (lengths->rank != 1 || lengths->shape[0] != in->shape[batch])
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%lld lengths for %lld sequences",
                                (long long)(lengths->rank ? lengths->shape[0] : 1),
                                (long long)in->shape[batch]);
    nissl__out(c, node, 0)->unit_axis = in->unit_axis;
    return nissl__infer_same(c, node, err);
}

static nissl_status execute_reverse(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const axis_state *state = step->state;
    const nissl_view *in = call->in[0], *lengths = call->in[1], *out = call->out[0];
    nissl_view from = nissl__walk_tail(in, 2), to = nissl__walk_tail(out, 2);
    int time = state->axis, batch = state->batch;
    for (int64_t i = 0; i < in->shape[batch]; i++) {
        int64_t length =
            nissl__read_integer(nissl__walk_at(lengths, i * lengths->stride[0]), lengths->type);
        if (length < 0 || length > in->shape[time])
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "ReverseSequence: length %lld of sequence %lld is outside 0 .. %lld",
                               (long long)length, (long long)i, (long long)in->shape[time]);
        for (int64_t j = 0; j < in->shape[time]; j++) {
            int64_t source = j < length ? length - 1 - j : j;
            from.data = nissl__walk_at(in, i * in->stride[batch] + source * in->stride[time]);
            to.data = nissl__walk_at(out, i * out->stride[batch] + j * out->stride[time]);
            nissl__copy_view(&from, &to, 1);
        }
    }
    return NISSL_OK;
}

static nissl_status lower_reverse(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    axis_state state = {(int)nissl__attr_int(node, "time_axis", 0),
                        (int)nissl__attr_int(node, "batch_axis", 1)};
    return add_step(c, node, "reverse sequence", 2, state, execute_reverse, err);
}

/* ---- NonZero ---- */

static nissl_status infer_non_zero(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    int64_t count = 1, n = 0, found = 0, at[NISSL_MAX_RANK] = {0}, *indices;
    int rank = NISSL__MAX(in->rank, 1); /* a scalar is a vector of one, as in numpy */
    if (!in->constant || in->unread)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "the input must be a constant: the shape follows from its values");
    size_t size = nissl_type_size(in->type);
    const char *data = in->constant;
    for (int i = 0; i < in->rank; i++)
        count *= in->shape[i];
    for (int64_t k = 0; k < count; k++)
        n += nissl__read_number(data + (size_t)k * size, in->type) != 0;
    size_t bytes = (size_t)NISSL__MAX(n, 1) * (size_t)rank * sizeof *indices;
    if (!(indices = nissl__own(c, bytes)))
        return NISSL__NO_MEMORY(err, bytes);
    for (int64_t k = 0; k < count; k++) {
        if (nissl__read_number(data + (size_t)k * size, in->type) != 0) {
            for (int i = 0; i < rank; i++)
                indices[i * n + found] = at[i];
            found++;
        }
        nissl__walk_next(in->rank, in->shape, at);
    }
    out->constant = indices;
    return nissl__set_shape(c, out, NISSL_INT64, 2, (const int64_t[]){rank, n}, err);
}

static nissl_status lower_nothing(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    return NISSL_OK; /* its output is constant */
}

const nissl__operator nissl__operators_pick[] = {
    {"GatherElements", 2, 2, infer_gather_elements, lower_gather_elements, .follows = false},
    {"GatherND", 2, 2, infer_gather_nd, lower_gather_nd, .follows = false},
    {"Compress", 2, 2, infer_compress, lower_compress, .follows = false},
    {"ReverseSequence", 2, 2, infer_reverse, lower_reverse, .follows = false},
    {"NonZero", 1, 1, infer_non_zero, lower_nothing, .follows = false},
    {0},
};
