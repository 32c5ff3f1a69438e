/* Split and Expand: views of their input's memory. Tile, DepthToSpace and SpaceToDepth: copies that
 * one rearranged view describes. */
#include "network/operators/operators.h"
#include "network/operators/walk.h"

/* ---- Split ---- */

/* The axis and the length of every part. */
static nissl_status parts_of(nissl__compiler *c, const nissl__node *node, int *axis,
                             int64_t *lengths, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    size_t n_attr;
    const int64_t *attr = nissl__attr_ints(node, "split", &n_attr);
    int64_t n_given = nissl__attr_int(node, "num_outputs", node->n_outputs), total = 0;
    int n = node->n_outputs;
    if ((*axis = nissl__axis(c, nissl__attr_int(node, "axis", 0), in->rank, err)) < 0)
        return NISSL_ERR_SHAPE;
    int64_t size = in->shape[*axis];
    if (nissl__in(c, node, 1)) {
        nissl_status status =
            nissl__constant_ints(c, node, 1, lengths, NISSL__MAX_OPERANDS, &n, err);
        if (status != NISSL_OK)
            return status;
    } else if (n_attr) {
        n = (int)NISSL__MIN(n_attr, NISSL__MAX_OPERANDS);
        memcpy(lengths, attr, (size_t)n * sizeof *attr);
    } else {
        if (n_given != n)
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "num_outputs = %lld, outputs are %d",
                                    (long long)n_given, n);
        int64_t length = (size + n - 1) / NISSL__MAX(n, 1);
        for (int i = 0; i < n; i++)
            lengths[i] = NISSL__MAX(NISSL__MIN(length, size - i * length), 0);
    }
    if (n != node->n_outputs)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%d parts for %d outputs", n,
                                node->n_outputs);
    for (int i = 0; i < n; i++)
        if (lengths[i] < 0 || !nissl__add(total, lengths[i], &total))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "part %d has %lld entries", i,
                                    (long long)lengths[i]);
    if (total != size)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE,
                                "the parts have %lld entries along axis %d, the input %lld",
                                (long long)total, *axis, (long long)size);
    return NISSL_OK;
}

static nissl_status infer_split(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t lengths[NISSL__MAX_OPERANDS], shape[NISSL_MAX_RANK];
    int axis;
    nissl_status status = parts_of(c, node, &axis, lengths, err);
    memcpy(shape, in->shape, sizeof shape);
    for (int i = 0; i < node->n_outputs && status == NISSL_OK; i++) {
        nissl__value *out = nissl__out(c, node, i);
        if (!out)
            continue;
        shape[axis] = lengths[i];
        out->unit_axis = in->unit_axis;
        status = nissl__set_shape(c, out, in->type, in->rank, shape, err);
    }
    return status;
}

static nissl_status lower_split(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t lengths[NISSL__MAX_OPERANDS], at = 0;
    int axis;
    nissl_status status = parts_of(c, node, &axis, lengths, err);
    if (status != NISSL_OK)
        return status;
    for (int i = 0; i < node->n_outputs; i++) {
        nissl__value *out = nissl__out(c, node, i);
        if (out)
            nissl__alias(c, out, node->inputs[0], lengths[i] ? at * in->stride[axis] : 0,
                         in->stride);
        at += lengths[i];
    }
    return NISSL_OK;
}

/* ---- Expand ---- */

static nissl_status infer_expand(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    nissl__value wanted = {.name = ""};
    int64_t shape[NISSL_MAX_RANK];
    int rank;
    nissl_status status =
        nissl__constant_ints(c, node, 1, wanted.shape, NISSL_MAX_RANK, &wanted.rank, err);
    if (status != NISSL_OK || (status = nissl__broadcast(c, in, &wanted, &rank, shape, err)))
        return status;
    if (in->unit_axis >= 0)
        out->unit_axis = in->unit_axis + rank - in->rank;
    return nissl__set_shape(c, out, in->type, rank, shape, err);
}

static nissl_status lower_expand(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    int64_t stride[NISSL_MAX_RANK] = {0};
    int before = out->rank - in->rank;
    for (int i = 0; i < in->rank; i++)
        stride[before + i] = in->shape[i] == out->shape[before + i] ? in->stride[i] : 0;
    nissl__alias(c, out, node->inputs[0], 0, stride);
    return NISSL_OK;
}

/* ---- Tile ---- */

static nissl_status infer_tile(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    nissl__value *out = nissl__out(c, node, 0);
    int64_t repeats[NISSL_MAX_RANK], shape[NISSL_MAX_RANK];
    int n;
    nissl_status status = nissl__constant_ints(c, node, 1, repeats, NISSL_MAX_RANK, &n, err);
    if (status != NISSL_OK)
        return status;
    if (n != in->rank)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%d repeats for rank %d", n, in->rank);
    for (int i = 0; i < n; i++)
        if (repeats[i] < 0 || !nissl__mul(in->shape[i], repeats[i], &shape[i]))
            return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%lld repeats of %lld along axis %d",
                                    (long long)repeats[i], (long long)in->shape[i], i);
    out->unit_axis = in->unit_axis;
    return nissl__set_shape(c, out, in->type, in->rank, shape, err);
}

static nissl_status execute_tile(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const nissl_view *in = call->in[0], *out = call->out[0];
    int64_t at[NISSL_MAX_RANK] = {0}, repeats[NISSL_MAX_RANK], n = 1;
    if (nissl_view_count(out) == 0)
        return NISSL_OK;
    for (int i = 0; i < in->rank; i++)
        n *= repeats[i] = out->shape[i] / in->shape[i];
    for (int64_t k = 0; k < n; k++) {
        nissl_view tile = *out;
        int64_t offset = 0;
        for (int i = 0; i < in->rank; i++) {
            offset += at[i] * in->shape[i] * out->stride[i];
            tile.shape[i] = in->shape[i];
        }
        tile.data = nissl__walk_at(out, offset);
        nissl__copy_view(in, &tile, call->threads);
        nissl__walk_next(in->rank, repeats, at);
    }
    return NISSL_OK;
}

/* ---- DepthToSpace and SpaceToDepth ---- */

static nissl_status block_of(nissl__compiler *c, const nissl__node *node, int64_t *block,
                             nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    *block = nissl__attr_int(node, "blocksize", 0);
    if (in->rank != 4 || *block < 1 || *block > 1 << 20)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "blocksize %lld and rank %d, expected 4",
                                (long long)*block, in->rank);
    return NISSL_OK;
}

static nissl_status infer_depth_to_space(nissl__compiler *c, const nissl__node *node,
                                         nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    const char *mode = nissl__attr_string(node, "mode", "DCR");
    int64_t block, shape[4];
    nissl_status status = block_of(c, node, &block, err);
    if (status != NISSL_OK)
        return status;
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_UNSUPPORTED, "mode %s", mode);
    if (in->shape[1] % (block * block) != 0)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%lld channels do not divide by %lld",
                                (long long)in->shape[1], (long long)(block * block));
    shape[0] = in->shape[0];
    shape[1] = in->shape[1] / (block * block);
    if (!nissl__mul(in->shape[2], block, &shape[2]) || !nissl__mul(in->shape[3], block, &shape[3]))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "blocksize %lld", (long long)block);
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, 4, shape, err);
}

static nissl_status infer_space_to_depth(nissl__compiler *c, const nissl__node *node,
                                         nissl_error *err)
{
    const nissl__value *in = nissl__in(c, node, 0);
    int64_t block, shape[4];
    nissl_status status = block_of(c, node, &block, err);
    if (status != NISSL_OK)
        return status;
    if (in->shape[2] % block != 0 || in->shape[3] % block != 0)
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "%lld x %lld do not divide by %lld",
                                (long long)in->shape[2], (long long)in->shape[3], (long long)block);
    shape[0] = in->shape[0];
    if (!nissl__mul(in->shape[1], block * block, &shape[1]))
        return NISSL__NODE_FAIL(c, err, NISSL_ERR_SHAPE, "blocksize %lld", (long long)block);
    shape[2] = in->shape[2] / block;
    shape[3] = in->shape[3] / block;
    return nissl__set_shape(c, nissl__out(c, node, 0), in->type, 4, shape, err);
}

/* A view [n, channel, y, block y, x, block x] of the deep tensor and of the wide one. */
static nissl_view deep_view(const nissl_view *v, int64_t block, bool channel_first)
{
    int64_t channels = v->shape[1] / (block * block), s = v->stride[1];
    nissl_view deep = *v;
    int64_t shape[6] = {v->shape[0], channels, v->shape[2], block, v->shape[3], block};
    int64_t stride[6] = {v->stride[0], channel_first ? s * block * block : s,
                         v->stride[2], channel_first ? s * block : s * channels * block,
                         v->stride[3], channel_first ? s : s * channels};
    deep.rank = 6;
    memcpy(deep.shape, shape, sizeof shape);
    memcpy(deep.stride, stride, sizeof stride);
    return deep;
}

static nissl_view wide_view(const nissl_view *v, int64_t block)
{
    nissl_view wide = *v;
    int64_t shape[6] = {v->shape[0], v->shape[1],         v->shape[2] / block,
                        block,       v->shape[3] / block, block};
    int64_t stride[6] = {v->stride[0], v->stride[1],         v->stride[2] * block,
                         v->stride[2], v->stride[3] * block, v->stride[3]};
    wide.rank = 6;
    memcpy(wide.shape, shape, sizeof shape);
    memcpy(wide.stride, stride, sizeof stride);
    return wide;
}

typedef struct block_state {
    int64_t block;
    bool channel_first; /* mode CRD */
} block_state;

static nissl_status execute_depth_to_space(const nissl__step *step, nissl__call *call,
                                           nissl_error *err)
{
    const block_state *state = step->state;
    nissl_view deep = deep_view(call->in[0], state->block, state->channel_first);
    nissl_view wide = wide_view(call->out[0], state->block);
    nissl__copy_view(&deep, &wide, call->threads);
    return NISSL_OK;
}

static nissl_status execute_space_to_depth(const nissl__step *step, nissl__call *call,
                                           nissl_error *err)
{
    const block_state *state = step->state;
    nissl_view deep = deep_view(call->out[0], state->block, false);
    nissl_view wide = wide_view(call->in[0], state->block);
    nissl__copy_view(&wide, &deep, call->threads);
    return NISSL_OK;
}

static nissl_status add_block_step(nissl__compiler *c, const nissl__node *node, const char *kind,
                                   nissl_status (*execute)(const nissl__step *, nissl__call *,
                                                           nissl_error *),
                                   nissl_error *err)
{
    block_state state = {.channel_first =
                             strcmp(nissl__attr_string(node, "mode", "DCR"), "CRD") == 0};
    nissl_status status = block_of(c, node, &state.block, err);
    if (status != NISSL_OK)
        return status;
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step =
        nissl__add_step(c, kind, 1, node->inputs, 1, node->outputs, sizeof(block_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(block_state));
    *(block_state *)step->state = state;
    step->execute = execute;
    return NISSL_OK;
}

static nissl_status lower_depth_to_space(nissl__compiler *c, const nissl__node *node,
                                         nissl_error *err)
{
    return add_block_step(c, node, "depth to space", execute_depth_to_space, err);
}

static nissl_status lower_space_to_depth(nissl__compiler *c, const nissl__node *node,
                                         nissl_error *err)
{
    return add_block_step(c, node, "space to depth", execute_space_to_depth, err);
}

static nissl_status lower_tile(nissl__compiler *c, const nissl__node *node, nissl_error *err)
{
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step = nissl__add_step(c, "tile", 1, node->inputs, 1, node->outputs, 0);
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof *step);
    step->execute = execute_tile;
    return NISSL_OK;
}

const nissl__operator nissl__operators_view[] = {
    {"Split", 1, 2, infer_split, lower_split, .follows = false},
    {"Expand", 2, 2, infer_expand, lower_expand, .follows = false},
    {"Tile", 2, 2, infer_tile, lower_tile, .follows = true},
    {"DepthToSpace", 1, 1, infer_depth_to_space, lower_depth_to_space, .follows = true},
    {"SpaceToDepth", 1, 1, infer_space_to_depth, lower_space_to_depth, .follows = true},
    {0},
};
