/* Operators that only say differently where elements lie: views of the same memory, unless the
 * layout forbids it. */
#include "network/loop.h"
#include "network/operators/operators.h"

static int64_t count_of(const nissl__value *value)
{
    int64_t count = 1;
    for (int i = 0; i < value->rank; i++)
        count *= value->shape[i];
    return count;
}

/* Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout: the same elements in row-major order. */
static nissl_status lower_same_order(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int in = node->inputs[0];
    nissl__value *out = nissl__out(c, node, 0);
    const nissl__value *from = &c->values[in];
    int64_t stride[NISSL_MAX_RANK];
    bool same = from->rank == out->rank;
    for (int i = 0; i < out->rank && same; i++)
        same = from->shape[i] == out->shape[i];
    if (same && !out->placed) {
        nissl__alias(c, out, in, 0, from->stride);
        return NISSL_OK;
    }
    nissl_status status = nissl__dense(c, in, NISSL__PLAIN, &in, err);
    if (status != NISSL_OK)
        return status;
    nissl__dense_strides(out->rank, out->shape, NISSL__PLAIN, stride);
    nissl__alias(c, out, in, 0, stride);
    return NISSL_OK;
}

static nissl_status infer_reshape(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t shape[NISSL_MAX_RANK], known = 1, count = count_of(in);
    size_t n_attr;
    const int64_t *attr = nissl__attr_ints(node, "shape", &n_attr); /* opset 1 .. 4 */
    bool allow_zero = nissl__attr_int(node, "allowzero", 0) != 0;
    int rank = 0, free_axis = -1;
    if (nissl__in(c, node, 1)) {
        nissl_status status = nissl__constant_ints(c, node, 1, shape, NISSL_MAX_RANK, &rank, err);
        if (status != NISSL_OK)
            return status;
    } else if (n_attr && n_attr <= NISSL_MAX_RANK) {
        rank = (int)n_attr;
        memcpy(shape, attr, n_attr * sizeof *attr);
    } else {
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_FORMAT, "no shape is given");
    }
    for (int i = 0; i < rank; i++) {
        if (shape[i] == 0 && !allow_zero) {
            if (i >= in->rank)
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                        "axis %d copies an axis of a rank-%d input", i, in->rank);
            shape[i] = in->shape[i];
        }
        if (shape[i] == -1 && free_axis < 0)
            free_axis = i;
        else if (shape[i] < 0 || !nissl__mul(known, shape[i], &known))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "axis %d has the impossible size %lld",
                                    i, (long long)shape[i]);
    }
    /* A file made for one stimulus writes 1 where the batch belongs. */
    if (free_axis < 0 && in->dynamic && rank > 0 && shape[0] == 1 && c->batch > 1 && in->rank > 0 &&
        in->shape[0] == c->batch && known * c->batch == count) {
        shape[0] = c->batch;
        known = count;
    }
    if (free_axis >= 0) {
        if (known == 0 || count % known != 0)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%lld elements do not divide by %lld",
                                    (long long)count, (long long)known);
        shape[free_axis] = count / known;
    } else if (known != count) {
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%lld elements into a shape of %lld",
                                (long long)count, (long long)known);
    }
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, rank, shape, err);
}

static nissl_status infer_flatten(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t axis = nissl__attr_int(node, "axis", 1), shape[2] = {1, 1};
    if (axis < -in->rank || axis > in->rank)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "axis %lld is outside -%d .. %d",
                                (long long)axis, in->rank, in->rank);
    if (axis < 0)
        axis += in->rank;
    for (int i = 0; i < in->rank; i++)
        shape[i >= axis] *= in->shape[i];
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, 2, shape, err);
}

/* The axes of Squeeze and Unsqueeze: an attribute until opset 12, an input since. */
static nissl_status axes_of(nissl__compiler *c, const nissl__node *node, int rank, bool *chosen,
                            int *n, nissl_error *err)
{
    int64_t axes[NISSL_MAX_RANK];
    size_t n_attr;
    const int64_t *attr = nissl__attr_ints(node, "axes", &n_attr);
    *n = 0;
    if (nissl__in(c, node, 1)) {
        nissl_status status = nissl__constant_ints(c, node, 1, axes, NISSL_MAX_RANK, n, err);
        if (status != NISSL_OK)
            return status;
    } else if (n_attr <= NISSL_MAX_RANK) {
        *n = (int)n_attr;
        if (n_attr)
            memcpy(axes, attr, n_attr * sizeof *attr);
    } else {
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%zu axes, at most %d", n_attr,
                                NISSL_MAX_RANK);
    }
    for (int i = 0; i < *n; i++) {
        int axis = nissl__axis(c, axes[i], rank, err);
        if (axis < 0)
            return NISSL_ERR_SHAPE;
        if (chosen[axis])
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "axis %d is named twice", axis);
        chosen[axis] = true;
    }
    return NISSL_OK;
}

static nissl_status infer_squeeze(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    bool chosen[2 * NISSL_MAX_RANK] = {false};
    int64_t shape[NISSL_MAX_RANK];
    int n_axes, rank = 0;
    nissl_status status = axes_of(c, node, in->rank, chosen, &n_axes, err);
    if (status != NISSL_OK)
        return status;
    for (int i = 0; i < in->rank; i++) {
        if (n_axes ? chosen[i] : in->shape[i] == 1) {
            if (in->shape[i] != 1)
                return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "axis %d has size %lld, not 1", i,
                                        (long long)in->shape[i]);
            continue;
        }
        shape[rank++] = in->shape[i];
    }
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, rank, shape, err);
}

static nissl_status infer_unsqueeze(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    bool chosen[2 * NISSL_MAX_RANK] = {false};
    int64_t shape[2 * NISSL_MAX_RANK];
    size_t n_attr;
    int n_axes = 0, from = 0;
    (void)nissl__attr_ints(node, "axes", &n_attr);
    const nissl__value *input = nissl__in(c, node, 1);
    int rank =
        in->rank + (input && input->rank == 1 ? (int)NISSL__MIN(input->shape[0], NISSL_MAX_RANK)
                    : input                   ? 1
                                              : (int)NISSL__MIN(n_attr, NISSL_MAX_RANK));
    nissl_status status = axes_of(c, node, rank, chosen, &n_axes, err);
    if (status != NISSL_OK)
        return status;
    for (int i = 0; i < rank; i++)
        shape[i] = chosen[i] ? 1 : in->shape[from++];
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, rank, shape, err);
}

static nissl_status infer_transpose(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    size_t n;
    const int64_t *perm = nissl__attr_ints(node, "perm", &n);
    int64_t shape[NISSL_MAX_RANK];
    bool seen[NISSL_MAX_RANK] = {false};
    if (n && n != (size_t)in->rank)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "perm has %zu entries for rank %d", n,
                                in->rank);
    for (int i = 0; i < in->rank; i++) {
        int64_t from = n ? perm[i] : in->rank - 1 - i;
        if (from < 0 || from >= in->rank || seen[from])
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "perm entry %d = %lld is no permutation of %d axes", i,
                                    (long long)from, in->rank);
        seen[from] = true;
        shape[i] = in->shape[from];
        if (from == in->unit_axis)
            out->unit_axis = i;
    }
    return nissl__set_shape(c, out, in->type, in->rank, shape, err);
}

static nissl_status lower_transpose(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    size_t n;
    const int64_t *perm = nissl__attr_ints(node, "perm", &n);
    int64_t stride[NISSL_MAX_RANK];
    for (int i = 0; i < in->rank; i++)
        stride[i] = in->stride[n ? perm[i] : in->rank - 1 - i];
    nissl__alias(c, nissl__out(c, node, 0), node->inputs[0], 0, stride);
    return NISSL_OK;
}

/* Start, step and length along each axis of a Slice. */
static nissl_status slice_of(nissl__compiler *c, const nissl__node *node, int64_t *start,
                             int64_t *step, int64_t *length, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t starts[NISSL_MAX_RANK], ends[NISSL_MAX_RANK], axes[NISSL_MAX_RANK],
        steps[NISSL_MAX_RANK];
    int n = 0, n_ends = 0, n_axes = 0, n_steps = 0;
    nissl_status status;
    for (int i = 0; i < in->rank; i++) {
        start[i] = 0;
        step[i] = 1;
        length[i] = in->shape[i];
    }
    if (nissl__in(c, node, 1)) {
        if ((status = nissl__constant_ints(c, node, 1, starts, NISSL_MAX_RANK, &n, err)) !=
                NISSL_OK ||
            (nissl__in(c, node, 2)
                 ? status = nissl__constant_ints(c, node, 2, ends, NISSL_MAX_RANK, &n_ends, err)
                 : NISSL_OK) != NISSL_OK ||
            (nissl__in(c, node, 3) &&
             (status = nissl__constant_ints(c, node, 3, axes, NISSL_MAX_RANK, &n_axes, err)) !=
                 NISSL_OK) ||
            (nissl__in(c, node, 4) &&
             (status = nissl__constant_ints(c, node, 4, steps, NISSL_MAX_RANK, &n_steps, err)) !=
                 NISSL_OK))
            return status;
    } else {
        size_t ns, ne, na;
        const int64_t *s = nissl__attr_ints(node, "starts", &ns),
                      *e = nissl__attr_ints(node, "ends", &ne),
                      *a = nissl__attr_ints(node, "axes", &na);
        n = (int)NISSL__MIN(ns, NISSL_MAX_RANK);
        n_ends = (int)NISSL__MIN(ne, NISSL_MAX_RANK);
        n_axes = (int)NISSL__MIN(na, NISSL_MAX_RANK);
        for (int i = 0; i < n; i++)
            starts[i] = s[i];
        for (int i = 0; i < n_ends; i++)
            ends[i] = e[i];
        for (int i = 0; i < n_axes; i++)
            axes[i] = a[i];
    }
    if (n_ends != n || (n_axes && n_axes != n) || (n_steps && n_steps != n) || n > in->rank)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "%d starts, %d ends, %d axes, %d steps for rank %d", n, n_ends,
                                n_axes, n_steps, in->rank);
    for (int i = 0; i < n; i++) {
        int axis = nissl__axis(c, n_axes ? axes[i] : i, in->rank, err);
        if (axis < 0)
            return NISSL_ERR_SHAPE;
        int64_t size = in->shape[axis], by = n_steps ? steps[i] : 1, from = starts[i], to = ends[i];
        if (by == 0 || by == INT64_MIN)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "step %lld along axis %d",
                                    (long long)by, axis);
        if (from < 0)
            from = from < -size ? (by > 0 ? 0 : -1) : from + size;
        if (to < 0)
            to = to < -size ? -1 : to + size;
        if (by > 0) {
            from = NISSL__MIN(from, size);
            to = NISSL__MAX(NISSL__MIN(to, size), 0);
            length[axis] = to > from ? (to - from - 1) / by + 1 : 0;
        } else {
            from = NISSL__MIN(from, size - 1);
            to = NISSL__MIN(to, size - 1);
            to = NISSL__MAX(to, -1);
            length[axis] = from > to ? (from - to - 1) / -by + 1 : 0;
        }
        start[axis] = length[axis] ? from : 0;
        step[axis] = by;
    }
    return NISSL_OK;
}

static nissl_status infer_slice(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    int64_t start[NISSL_MAX_RANK], step[NISSL_MAX_RANK], length[NISSL_MAX_RANK];
    nissl_status status = slice_of(c, node, start, step, length, err);
    if (status != NISSL_OK)
        return status;
    out->unit_axis = in->unit_axis;
    return nissl__set_shape(c, out, in->type, in->rank, length, err);
}

static nissl_status lower_slice(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t start[NISSL_MAX_RANK], step[NISSL_MAX_RANK], length[NISSL_MAX_RANK],
        stride[NISSL_MAX_RANK], offset = 0;
    nissl_status status = slice_of(c, node, start, step, length, err);
    if (status != NISSL_OK)
        return status;
    for (int i = 0; i < in->rank; i++) {
        offset += start[i] * in->stride[i];
        stride[i] = length[i] > 1 ? step[i] * in->stride[i] : in->stride[i];
    }
    nissl__alias(c, nissl__out(c, node, 0), node->inputs[0], offset, stride);
    return NISSL_OK;
}

static nissl_status infer_identity(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__value *out = nissl__out(c, node, 0);
    if (out)
        out->unit_axis = nissl__in(c, node, 0)->unit_axis;
    return nissl__infer_same(c, node, err);
}

/* Whether Dropout drops anything: asked for, and with a ratio other than 0. */
static nissl_status check_no_dropping(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *ratio = nissl__in(c, node, 1), *training = nissl__in(c, node, 2);
    bool none = ratio && ratio->constant && ratio->type == NISSL_FLOAT32 && ratio->rank == 0 &&
                *(const float *)ratio->constant == 0.0f;
    if (c->network->opset < 7)
        none = nissl__attr_int(node, "is_test", 0) != 0;
    else if (!training)
        none = true;
    if (training && !none && !training->constant)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "training_mode must be a constant: it depends on the stimulus");
    if (none || (training && !*(const uint8_t *)training->constant))
        return NISSL_OK;
    return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "dropping at random (training)");
}

/* Out of training nothing is dropped, and the mask says so. */
static nissl_status infer_dropout(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *mask = nissl__out(c, node, 1);
    nissl_status status = check_no_dropping(c, node, err);
    if (status == NISSL_OK && mask) {
        int64_t n = count_of(in);
        bool truth = c->network->opset >= 10;
        uint8_t *ones;
        if (!truth && in->type != NISSL_FLOAT32)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "a mask of %s",
                                    nissl_type_name(in->type));
        size_t bytes = (size_t)NISSL__MAX(n, 1) * (truth ? 1 : sizeof(float));
        if (!(ones = nissl__own(c, bytes)))
            return NISSL__NO_MEMORY(err, bytes);
        for (int64_t i = 0; i < n; i++) {
            if (truth)
                ones[i] = 1;
            else
                ((float *)(void *)ones)[i] = 1.0f;
        }
        mask->constant = ones;
        status =
            nissl__set_shape(c, mask, truth ? NISSL_BOOL : NISSL_FLOAT32, in->rank, in->shape, err);
    }
    return status == NISSL_OK ? infer_identity(c, node, err) : status;
}

static nissl_status infer_shape(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    int64_t from = nissl__attr_int(node, "start", 0), to = nissl__attr_int(node, "end", in->rank);
    int64_t *sizes = nissl__own(c, NISSL_MAX_RANK * sizeof *sizes);
    if (!sizes)
        return NISSL__NO_MEMORY(err, NISSL_MAX_RANK * sizeof *sizes);
    from = NISSL__MAX(NISSL__MIN(from < 0 ? from + in->rank : from, in->rank), 0);
    to = NISSL__MAX(NISSL__MIN(to < 0 ? to + in->rank : to, in->rank), from);
    memcpy(sizes, in->shape + from, (size_t)(to - from) * sizeof *sizes);
    out->constant = sizes;
    return nissl__set_shape(c, out, NISSL_INT64, 1, &(int64_t){to - from}, err);
}

static nissl_status lower_nothing(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    return NISSL_OK; /* its output is constant */
}

const nissl__operator nissl__operators_reshape[] = {
    {"Reshape", 1, 2, infer_reshape, lower_same_order, .follows = false},
    {"Flatten", 1, 1, infer_flatten, lower_same_order, .follows = false},
    {"Squeeze", 1, 2, infer_squeeze, lower_same_order, .follows = false},
    {"Unsqueeze", 1, 2, infer_unsqueeze, lower_same_order, .follows = false},
    {"Identity", 1, 1, infer_identity, lower_same_order, .follows = true},
    {"Dropout", 1, 3, infer_dropout, lower_same_order, .follows = true},
    {"Transpose", 1, 1, infer_transpose, lower_transpose, .follows = false},
    {"Slice", 1, 5, infer_slice, lower_slice, .follows = true},
    {"Shape", 1, 1, infer_shape, lower_nothing, .follows = false},
    {0},
};
