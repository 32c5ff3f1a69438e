/* Fourth pass: offsets in one arena. A value's memory is free for others outside its life;
 * elementwise steps take over the memory of an input that dies with them. */
#include "network/program.h"

#define ALIGNMENT 64

static int64_t root_bytes(const nissl__value *root)
{
    int64_t count = 1;
    for (int i = 0; i < root->rank; i++)
        count *= root->shape[i];
    count *= (int64_t)nissl_type_size(root->type);
    return (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void touch(nissl__compiler *c, int value, int step)
{
    nissl__value *root;
    if (value < 0)
        return;
    root = &c->values[c->values[value].root];
    if (step < root->first_step)
        root->first_step = step;
    if (step > root->last_step)
        root->last_step = step;
}

static void find_lives(nissl__compiler *c)
{
    for (int i = 0; i < c->n_values; i++) {
        c->values[i].first_step = INT32_MAX;
        c->values[i].last_step = -1;
    }
    for (int i = 0; i < c->n_steps; i++) {
        const nissl__step *step = &c->steps[i];
        for (int j = 0; j < step->n_inputs; j++) {
            touch(c, step->inputs[j], i);
            if (step->inputs[j] >= 0)
                c->values[c->values[step->inputs[j]].root].n_step_uses++;
        }
        for (int j = 0; j < step->n_outputs; j++)
            touch(c, step->outputs[j], i);
    }
    for (int i = 0; i < c->n_values; i++)
        if (c->values[i].output && c->values[i].needed) {
            touch(c, i, c->n_steps);
            c->values[c->values[i].root].n_step_uses++;
        }
}

static bool same_memory_shape(const nissl__value *a, const nissl__value *b)
{
    if (a->type != b->type || a->rank != b->rank || a->offset != 0 || b->offset != 0)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->shape[i] != b->shape[i] || (a->shape[i] > 1 && a->stride[i] != b->stride[i]))
            return false;
    return true;
}

static void merge_roots(nissl__compiler *c, int from, int into)
{
    c->values[into].last_step = NISSL__MAX(c->values[into].last_step, c->values[from].last_step);
    for (int i = 0; i < c->n_values; i++)
        if (c->values[i].root == from)
            c->values[i].root = into;
}

static void share_in_place(nissl__compiler *c)
{
    for (int i = 0; i < c->n_steps; i++) {
        const nissl__step *step = &c->steps[i];
        int input = step->overwrite >= 0 ? step->overwrite : 0;
        if ((!step->in_place && step->overwrite < 0) || step->inputs[input] < 0)
            continue;
        const nissl__value *in = &c->values[step->inputs[input]];
        const nissl__value *out = &c->values[step->outputs[0]];
        const nissl__value *in_root = &c->values[in->root];
        bool read_elsewhere = false;
        for (int j = 0; j < step->n_inputs; j++)
            read_elsewhere |=
                j != input && step->inputs[j] >= 0 && c->values[step->inputs[j]].root == in->root;
        if (!read_elsewhere && in->root != out->root && out->root == step->outputs[0] &&
            in_root->home == NISSL__HOME_ARENA && in_root->last_step == i &&
            same_memory_shape(in, out) && root_bytes(in_root) == root_bytes(out))
            merge_roots(c, out->root, in->root);
    }
}

/* Largest first, each at the lowest offset that is free during its life. */
nissl_status nissl__plan_memory(nissl__compiler *c, uint64_t *arena_bytes, uint64_t *scratch_bytes,
                                nissl_error *err)
{
    nissl_status status = NISSL_OK;
    int *order = nissl__alloc((size_t)c->n_values, sizeof *order);
    int *laid = nissl__alloc((size_t)c->n_values, sizeof *laid);
    int n = 0, n_laid = 0;
    int64_t end = 0;
    if (!order || !laid) {
        status = NISSL__NO_MEMORY(err, (size_t)c->n_values * sizeof *order);
        goto done;
    }
    find_lives(c);
    share_in_place(c);
    for (int i = 0; i < c->n_values; i++)
        if (c->values[i].root == i && c->values[i].home == NISSL__HOME_ARENA &&
            c->values[i].last_step >= 0)
            order[n++] = i;
    for (int i = 1; i < n; i++) { /* insertion sort: stable, hundreds of values */
        int value = order[i], j = i;
        int64_t bytes = root_bytes(&c->values[value]);
        for (; j > 0 && root_bytes(&c->values[order[j - 1]]) < bytes; j--)
            order[j] = order[j - 1];
        order[j] = value;
    }
    for (int i = 0; i < n; i++) {
        nissl__value *value = &c->values[order[i]];
        int64_t bytes = root_bytes(value), offset = 0;
        int at = 0;
        /* laid is sorted by offset: slide past everything that lives at the same time */
        for (int j = 0; j < n_laid; j++) {
            const nissl__value *other = &c->values[laid[j]];
            bool apart =
                other->last_step < value->first_step || other->first_step > value->last_step;
            if (apart)
                continue;
            if (offset + bytes <= other->arena_offset)
                break;
            offset = NISSL__MAX(offset, other->arena_offset + root_bytes(other));
        }
        value->arena_offset = offset;
        end = NISSL__MAX(end, offset + bytes);
        while (at < n_laid && c->values[laid[at]].arena_offset <= offset)
            at++;
        memmove(laid + at + 1, laid + at, (size_t)(n_laid - at) * sizeof *laid);
        laid[at] = order[i];
        n_laid++;
    }
    *arena_bytes = (uint64_t)end;
    *scratch_bytes = 0;
    for (int i = 0; i < c->n_steps; i++)
        *scratch_bytes = NISSL__MAX(*scratch_bytes, c->steps[i].scratch_bytes);
done:
    nissl__free(order);
    nissl__free(laid);
    return status;
}
