/* Tensors made from a rule: Range, Size, EyeLike (known when compiled), OneHot, Trilu, CumSum,
 * CumProd. */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"
#include "network/operators/walk.h"

#define MAX_ELEMENTS ((int64_t)1 << 28)

static nissl_status lower_nothing(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    return NISSL_OK; /* its output is constant */
}

/* ---- Range ---- */

static nissl_status infer_range(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *start = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    double bounds[3];
    int64_t integers[3], n = 0;
    bool exact = nissl__is_integer(start->type);
    for (int i = 0; i < 3; i++) {
        const nissl__value *in = nissl__in(c, node, i);
        if (!in->constant)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                    "input %d must be a constant: the shape follows from it", i);
        bool single = true;
        for (int j = 0; j < in->rank; j++)
            single &= in->shape[j] == 1;
        if (!single || in->type != start->type || in->type == NISSL_BOOL ||
            in->type == NISSL_UINT64)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "input %d is %s of rank %d, input 0 %s",
                                    i, nissl_type_name(in->type), in->rank,
                                    nissl_type_name(start->type));
        bounds[i] = nissl__read_number(in->constant, in->type);
        integers[i] = nissl__read_integer(in->constant, in->type);
    }
    if (exact && integers[2] != 0) {
        /* unsigned: the distance of two int64 may not fit one */
        bool up = integers[2] > 0, any = up ? integers[0] < integers[1] : integers[0] > integers[1];
        uint64_t distance = up ? (uint64_t)integers[1] - (uint64_t)integers[0]
                               : (uint64_t)integers[0] - (uint64_t)integers[1];
        uint64_t by = up ? (uint64_t)integers[2] : 0 - (uint64_t)integers[2];
        uint64_t steps = any ? (distance - 1) / by + 1 : 0;
        n = steps > (uint64_t)MAX_ELEMENTS ? MAX_ELEMENTS + 1 : (int64_t)steps;
    } else {
        double steps = ceil((bounds[1] - bounds[0]) / bounds[2]);
        if (!(fabs(steps) < 0x1p62))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "%g .. %g by %g", bounds[0], bounds[1],
                                    bounds[2]);
        n = (int64_t)fmax(steps, 0);
    }
    if (n > MAX_ELEMENTS)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_LIMIT, "%g .. %g by %g has more than %lld values",
                                bounds[0], bounds[1], bounds[2], (long long)MAX_ELEMENTS);
    size_t size = nissl_type_size(start->type);
    char *data = nissl__own(c, (size_t)NISSL__MAX(n, 1) * size);
    if (!data)
        return NISSL__NO_MEMORY(err, (size_t)n * size);
    for (int64_t i = 0; i < n; i++) {
        if (exact)
            nissl__write_integer(
                data + (size_t)i * size, start->type,
                (int64_t)((uint64_t)integers[0] + (uint64_t)i * (uint64_t)integers[2]));
        else
            nissl__write_number(data + (size_t)i * size, start->type,
                                bounds[0] + (double)i * bounds[2]);
    }
    out->constant = data;
    return nissl__set_shape(c, out, start->type, 1, &n, err);
}

/* ---- Size ---- */

static nissl_status infer_size(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    int64_t *count = nissl__own(c, sizeof *count);
    if (!count)
        return NISSL__NO_MEMORY(err, sizeof *count);
    *count = 1;
    for (int i = 0; i < in->rank; i++)
        *count *= in->shape[i];
    out->constant = count;
    return nissl__set_shape(c, out, NISSL_INT64, 0, count, err);
}

/* ---- EyeLike ---- */

static nissl_status infer_eye(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    int64_t k = nissl__attr_int(node, "k", 0), count;
    nissl_type type = in->type;
    if (nissl__onnx_find_attribute(node->onnx, "dtype")) {
        nissl_status status =
            nissl__type_of_code(c, nissl__attr_int(node, "dtype", 0), &type, &out->storage, err);
        if (status != NISSL_OK)
            return status;
    }
    size_t size = nissl_type_size(type);
    if (in->rank != 2)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "rank %d, expected 2", in->rank);
    if (!nissl__mul(in->shape[0], in->shape[1], &count) || count > MAX_ELEMENTS)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_LIMIT, "%lld x %lld elements exceed %lld",
                                (long long)in->shape[0], (long long)in->shape[1],
                                (long long)MAX_ELEMENTS);
    char *data = nissl__own(c, (size_t)NISSL__MAX(count, 1) * size);
    if (!data)
        return NISSL__NO_MEMORY(err, (size_t)count * size);
    for (int64_t i = 0; i < in->shape[0]; i++) {
        bool inside = k >= -i && k < in->shape[1] - i;
        if (inside)
            nissl__write_integer(data + (size_t)(i * in->shape[1] + i + k) * size, type, 1);
    }
    out->constant = data;
    return nissl__set_shape(c, out, type, 2, in->shape, err);
}

/* ---- OneHot ---- */

static nissl_status hot_axis(nissl__compiler *c, const nissl__node *node, int *axis, int64_t *depth,
                             nissl_error *err)
{
    const nissl__value *index = nissl__in(c, node, 0), *size = nissl__in(c, node, 1);
    if (!size->constant)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED,
                                "the depth must be a constant: the shape follows from it");
    if (size->rank > 1 || (size->rank == 1 && size->shape[0] != 1))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "the depth has rank %d", size->rank);
    double real = nissl__read_number(size->constant, size->type);
    if (!(real >= 0 && real <= (double)MAX_ELEMENTS))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_RANGE, "depth %g is outside 0 .. %lld", real,
                                (long long)MAX_ELEMENTS);
    *depth = (int64_t)real;
    *axis = nissl__axis(c, nissl__attr_int(node, "axis", -1), index->rank + 1, err);
    return *axis < 0 ? NISSL_ERR_SHAPE : NISSL_OK;
}

static nissl_status infer_one_hot(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *index = nissl__in(c, node, 0), *values = nissl__in(c, node, 2);
    nissl__value *out = nissl__out(c, node, 0);
    int64_t shape[NISSL_MAX_RANK + 1], depth = 0;
    int axis = 0, rank = 0;
    nissl_status status = hot_axis(c, node, &axis, &depth, err);
    if (status != NISSL_OK)
        return status;
    if (values->rank != 1 || values->shape[0] != 2)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "values has rank %d and %lld entries",
                                values->rank, (long long)(values->rank ? values->shape[0] : 1));
    for (int i = 0; i <= index->rank; i++)
        shape[i] = i == axis ? depth : index->shape[rank++];
    out->storage = values->storage;
    return nissl__set_shape(c, out, values->type, index->rank + 1, shape, err);
}

typedef struct axis_state {
    int axis;
    bool exclusive, reverse, product;
} axis_state;

static nissl_status execute_one_hot(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const nissl_view *index = call->in[0], *values = call->in[2], *out = call->out[0];
    int axis = ((const axis_state *)step->state)->axis;
    int64_t n = nissl_view_count(index), depth = out->shape[axis], at[NISSL_MAX_RANK] = {0};
    nissl_view off = {.data = values->data, .type = values->type}, rest = *out;
    nissl__copy_view(&off, out, call->threads);
    rest.rank = index->rank;
    for (int i = axis; i < index->rank; i++)
        rest.stride[i] = out->stride[i + 1];
    for (int64_t k = 0; k < n; k++) {
        const char *p = nissl__walk_at(index, nissl__walk_offset(index, at));
        double real = nissl__read_number(p, index->type);
        if (real >= -(double)depth && real < (double)depth) {
            int64_t hot = (int64_t)floor(real);
            hot = hot < 0 ? hot + depth : hot;
            nissl__walk_copy(values, values->stride[0], out,
                             nissl__walk_offset(&rest, at) + hot * out->stride[axis]);
        }
        nissl__walk_next(index->rank, index->shape, at);
    }
    return NISSL_OK;
}

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

static nissl_status lower_one_hot(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int64_t depth;
    axis_state state = {0};
    nissl_status status = hot_axis(c, node, &state.axis, &depth, err);
    return status == NISSL_OK ? add_step(c, node, "one hot", 3, state, execute_one_hot, err)
                              : status;
}

/* ---- Trilu ---- */

typedef struct triangle_state {
    int64_t k;
    bool upper;
} triangle_state;

static nissl_status infer_triangle(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t k;
    int n;
    if (in->rank < 2)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "rank %d, at least 2", in->rank);
    if (nissl__in(c, node, 1)) {
        nissl_status status = nissl__constant_ints(c, node, 1, &k, 1, &n, err);
        if (status != NISSL_OK)
            return status;
    }
    nissl__out(c, node, 0)->unit_axis = in->unit_axis;
    return nissl__infer_same(c, node, err);
}

static nissl_status execute_triangle(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const triangle_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    size_t size = nissl_type_size(out->type);
    int rows = out->rank - 2, columns = out->rank - 1;
    int64_t n = nissl_view_count(out), at[NISSL_MAX_RANK] = {0};
    for (int64_t i = 0; i < n; i++) {
        int64_t to = nissl__walk_offset(out, at), diagonal = at[columns] - at[rows];
        if (state->upper ? diagonal >= state->k : diagonal <= state->k)
            nissl__walk_copy(in, nissl__walk_offset(in, at), out, to);
        else
            memset(nissl__walk_at(out, to), 0, size);
        nissl__walk_next(out->rank, out->shape, at);
    }
    return NISSL_OK;
}

static nissl_status lower_triangle(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    triangle_state state = {.upper = nissl__attr_int(node, "upper", 1) != 0};
    int n = 0;
    if (nissl__in(c, node, 1)) {
        nissl_status status = nissl__constant_ints(c, node, 1, &state.k, 1, &n, err);
        if (status != NISSL_OK)
            return status;
    }
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step =
        nissl__add_step(c, "triangle", 1, node->inputs, 1, node->outputs, sizeof state);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof state);
    *(triangle_state *)step->state = state;
    step->execute = execute_triangle;
    return NISSL_OK;
}

/* ---- CumSum and CumProd ---- */

static nissl_status cumulated_axis(nissl__compiler *c, const nissl__node *node, int *axis,
                                   nissl_error *err)
{
    int64_t given;
    int n;
    nissl_status status = nissl__constant_ints(c, node, 1, &given, 1, &n, err);
    if (status != NISSL_OK)
        return status;
    if (n != 1)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "axis has %d values, expected 1", n);
    *axis = nissl__axis(c, given, nissl__in(c, node, 0)->rank, err);
    return *axis < 0 ? NISSL_ERR_SHAPE : NISSL_OK;
}

static nissl_status infer_cumulate(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int axis;
    nissl_status status = cumulated_axis(c, node, &axis, err);
    if (status != NISSL_OK)
        return status;
    nissl__out(c, node, 0)->unit_axis = nissl__in(c, node, 0)->unit_axis;
    return nissl__infer_same(c, node, err);
}

static nissl_status execute_cumulate(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const axis_state *state = step->state;
    const nissl_view *in = call->in[0], *out = call->out[0];
    int axis = state->axis;
    bool integers = nissl__is_integer(in->type);
    nissl_view slices = nissl__walk_without(in, axis);
    int64_t n = nissl_view_count(&slices), length = in->shape[axis], at[NISSL_MAX_RANK] = {0};
    for (int64_t k = 0; k < n && length > 0; k++) {
        uint64_t whole = state->product ? 1 : 0;
        double real = state->product ? 1 : 0;
        int64_t from = nissl__walk_offset(in, at), to = nissl__walk_offset(out, at);
        for (int64_t i = 0; i < length; i++) {
            int64_t j = state->reverse ? length - 1 - i : i;
            const char *x = nissl__walk_at(in, from + j * in->stride[axis]);
            char *y = nissl__walk_at(out, to + j * out->stride[axis]);
            uint64_t next_whole = integers ? (uint64_t)nissl__read_integer(x, in->type) : 0;
            double next_real = integers ? 0 : nissl__read_number(x, in->type);
            next_whole = state->product ? whole * next_whole : whole + next_whole;
            next_real = state->product ? real * next_real : real + next_real;
            if (integers)
                nissl__write_integer(y, out->type,
                                     (int64_t)(state->exclusive ? whole : next_whole));
            else
                nissl__write_number(y, out->type, state->exclusive ? real : next_real);
            whole = next_whole;
            real = next_real;
        }
        nissl__walk_next(slices.rank, slices.shape, at);
    }
    return NISSL_OK;
}

static nissl_status lower_cumulate(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    axis_state state = {.exclusive = nissl__attr_int(node, "exclusive", 0) != 0,
                        .reverse = nissl__attr_int(node, "reverse", 0) != 0,
                        .product = strcmp(node->onnx->op, "CumProd") == 0};
    nissl_status status = cumulated_axis(c, node, &state.axis, err);
    return status == NISSL_OK ? add_step(c, node, "cumulate", 1, state, execute_cumulate, err)
                              : status;
}

const nissl__operator nissl__operators_fill[] = {
    {"Range", 3, 3, infer_range, lower_nothing, .follows = false},
    {"Size", 1, 1, infer_size, lower_nothing, .follows = false},
    {"EyeLike", 1, 1, infer_eye, lower_nothing, .follows = false},
    {"OneHot", 3, 3, infer_one_hot, lower_one_hot, .follows = false},
    {"Trilu", 1, 2, infer_triangle, lower_triangle, .follows = true},
    {"CumSum", 2, 2, infer_cumulate, lower_cumulate, .follows = true},
    {"CumProd", 2, 2, infer_cumulate, lower_cumulate, .follows = true},
    {0},
};
