/* ScatterND, ScatterElements and its old name Scatter: a copy of the data, then updates in their
 * order. */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"
#include "network/operators/walk.h"

typedef enum reduction {
    REDUCE_NONE,
    REDUCE_ADD,
    REDUCE_MUL,
    REDUCE_MIN,
    REDUCE_MAX,
    N_REDUCTIONS
} reduction;

typedef struct scatter_state {
    int axis;
    reduction how;
} scatter_state;

static reduction reduction_of(const nissl__node *node)
{
    static const char *const names[N_REDUCTIONS] = {"none", "add", "mul", "min", "max"};
    const char *name = nissl__attr_string(node, "reduction", "none");
    for (int i = 0; i < N_REDUCTIONS; i++)
        if (strcmp(names[i], name) == 0)
            return (reduction)i;
    return N_REDUCTIONS;
}

static double reduce_real(reduction how, double a, double b)
{
    switch (how) {
    case REDUCE_ADD: return a + b;
    case REDUCE_MUL: return a * b;
    case REDUCE_MIN: return a != a || a < b ? a : b;
    case REDUCE_MAX: return a != a || a > b ? a : b;
    default: return b;
    }
}

static int64_t reduce_integer(reduction how, int64_t a, int64_t b)
{
    switch (how) {
    case REDUCE_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
    case REDUCE_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
    case REDUCE_MIN: return a < b ? a : b;
    case REDUCE_MAX: return a > b ? a : b;
    default: return b;
    }
}

static void update(reduction how, const nissl_view *src, int64_t from, const nissl_view *dst,
                   int64_t to)
{
    const char *b = nissl__walk_at(src, from);
    char *a = nissl__walk_at(dst, to);
    if (how == REDUCE_NONE)
        nissl__walk_copy(src, from, dst, to);
    else if (nissl__is_integer(dst->type))
        nissl__write_integer(a, dst->type,
                             reduce_integer(how, nissl__read_integer(a, dst->type),
                                            nissl__read_integer(b, dst->type)));
    else
        nissl__write_number(
            a, dst->type,
            reduce_real(how, nissl__read_number(a, dst->type), nissl__read_number(b, dst->type)));
}

/* What both operators ask of their inputs. */
static nissl_status check_operands(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *index = nissl__in(c, node, 1),
                       *updates = nissl__in(c, node, 2);
    nissl_status status = nissl__check_indices(c, index, err);
    if (status != NISSL_OK)
        return status;
    if (updates->type != in->type)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "updates are %s, the data %s",
                                nissl_type_name(updates->type), nissl_type_name(in->type));
    reduction how = reduction_of(node);
    if (how == N_REDUCTIONS)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "reduction %s",
                                nissl__attr_string(node, "reduction", "none"));
    if (how != REDUCE_NONE && in->type == NISSL_UINT64)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_TYPE, "reduction of uint64");
    nissl__out(c, node, 0)->unit_axis = in->unit_axis;
    return NISSL_OK;
}

static nissl_status
add_step(nissl__compiler *c, const nissl__node *node, const char *kind, int axis,
         nissl_status (*execute)(const nissl__step *, nissl__call *, nissl_error *),
         nissl_error *err)
{
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step =
        nissl__add_step(c, kind, 3, node->inputs, 1, node->outputs, sizeof(scatter_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(scatter_state));
    *(scatter_state *)step->state = (scatter_state){axis, reduction_of(node)};
    step->execute = execute;
    return NISSL_OK;
}

/* ---- ScatterElements ---- */

static nissl_status infer_elements(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *index = nissl__in(c, node, 1),
                       *updates = nissl__in(c, node, 2);
    nissl_status status = check_operands(c, node, err);
    int axis;
    if (status != NISSL_OK)
        return status;
    if ((axis = nissl__axis(c, nissl__attr_int(node, "axis", 0), in->rank, err)) < 0)
        return NISSL_ERR_SHAPE;
    if (index->rank != in->rank || updates->rank != in->rank)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "data, indices and updates have ranks %d, %d and %d", in->rank,
                                index->rank, updates->rank);
    for (int i = 0; i < in->rank; i++)
        if (index->shape[i] != updates->shape[i] || (i != axis && index->shape[i] > in->shape[i]))
            return NISSL__NODE_FAIL(
                c, err, NISSL_ERR_SHAPE, "axis %d: %lld indices, %lld updates, %lld entries", i,
                (long long)index->shape[i], (long long)updates->shape[i], (long long)in->shape[i]);
    return nissl__infer_same(c, node, err);
}

static nissl_status execute_elements(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const scatter_state *state = step->state;
    const nissl_view *index = call->in[1], *updates = call->in[2], *out = call->out[0];
    int axis = state->axis;
    int64_t n = nissl_view_count(index), at[NISSL_MAX_RANK] = {0}, to;
    nissl_view rest = *out;
    rest.stride[axis] = 0;
    nissl__copy_view(call->in[0], out, call->threads);
    for (int64_t k = 0; k < n; k++) {
        nissl_status status = nissl__read_index(
            "ScatterElements", index, nissl__walk_offset(index, at), out->shape[axis], &to, err);
        if (status != NISSL_OK)
            return status;
        update(state->how, updates, nissl__walk_offset(updates, at), out,
               nissl__walk_offset(&rest, at) + to * out->stride[axis]);
        nissl__walk_next(index->rank, index->shape, at);
    }
    return NISSL_OK;
}

static nissl_status lower_elements(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    int axis = nissl__axis(c, nissl__attr_int(node, "axis", 0), nissl__in(c, node, 0)->rank, err);
    return add_step(c, node, "scatter elements", axis, execute_elements, err);
}

/* ---- ScatterND ---- */

static nissl_status infer_nd(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0), *index = nissl__in(c, node, 1),
                       *updates = nissl__in(c, node, 2);
    nissl_status status = check_operands(c, node, err);
    if (status != NISSL_OK)
        return status;
    int64_t depth = index->rank ? index->shape[index->rank - 1] : 0;
    if (depth < 1 || depth > in->rank || updates->rank != index->rank - 1 + in->rank - (int)depth)
        return NISSL__NODE_FAIL(
            c, err, NISSL_ERR_SHAPE,
            "indices of %lld axes; data, indices and updates have ranks %d, %d and %d",
            (long long)depth, in->rank, index->rank, updates->rank);
    for (int i = 0; i < updates->rank; i++) {
        int64_t want =
            i < index->rank - 1 ? index->shape[i] : in->shape[i - (index->rank - 1) + (int)depth];
        if (updates->shape[i] != want)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                    "axis %d of the updates has %lld entries, expected %lld", i,
                                    (long long)updates->shape[i], (long long)want);
    }
    return nissl__infer_same(c, node, err);
}

static nissl_status execute_nd(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const scatter_state *state = step->state;
    const nissl_view *index = call->in[1], *updates = call->in[2], *out = call->out[0];
    int last = index->rank - 1, depth = (int)index->shape[last];
    nissl_view tuples = nissl__walk_head(index, last), heads = nissl__walk_head(updates, last);
    nissl_view from = nissl__walk_tail(updates, last), to = nissl__walk_tail(out, depth);
    int64_t n = nissl_view_count(&tuples), at[NISSL_MAX_RANK] = {0};
    nissl__copy_view(call->in[0], out, call->threads);
    for (int64_t k = 0; k < n; k++) {
        int64_t offset = 0, entry, inside[NISSL_MAX_RANK] = {0};
        for (int i = 0; i < depth; i++) {
            nissl_status status = nissl__read_index(
                "ScatterND", index, nissl__walk_offset(&tuples, at) + i * index->stride[last],
                out->shape[i], &entry, err);
            if (status != NISSL_OK)
                return status;
            offset += entry * out->stride[i];
        }
        from.data = nissl__walk_at(updates, nissl__walk_offset(&heads, at));
        to.data = nissl__walk_at(out, offset);
        if (state->how == REDUCE_NONE) {
            nissl__copy_view(&from, &to, 1);
        } else {
            int64_t n_inside = nissl_view_count(&to);
            for (int64_t j = 0; j < n_inside; j++) {
                update(state->how, &from, nissl__walk_offset(&from, inside), &to,
                       nissl__walk_offset(&to, inside));
                nissl__walk_next(to.rank, to.shape, inside);
            }
        }
        nissl__walk_next(last, tuples.shape, at);
    }
    return NISSL_OK;
}

static nissl_status lower_nd(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    return add_step(c, node, "scatter nd", 0, execute_nd, err);
}

const nissl__operator nissl__operators_scatter[] = {
    {"ScatterElements", 3, 3, infer_elements, lower_elements, .follows = false},
    {"Scatter", 3, 3, infer_elements, lower_elements, .follows = false},
    {"ScatterND", 3, 3, infer_nd, lower_nd, .follows = false},
    {0},
};
