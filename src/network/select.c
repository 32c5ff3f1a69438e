/* Second pass: what is needed, in which layout it lies, and which parts are written straight into a
 * concatenation. */
#include "network/program.h"

static void mark_needed(nissl__compiler *c)
{
    const nissl_network *network = c->network;
    for (int i = 0; i < network->n_outputs; i++) {
        c->values[network->outputs[i]].output = true;
        c->values[network->outputs[i]].needed = true;
    }
    for (int i = 0; i < network->n_values; i++)
        c->values[i].needed |= c->values[i].observed;
    for (int i = network->n_nodes - 1; i >= 0; i--) {
        const nissl__node *node = &network->nodes[i];
        bool needed = false;
        for (int j = 0; j < node->n_outputs; j++) {
            const nissl__value *out = nissl__out(c, node, j);
            needed |= out && out->needed && out->inferred && !out->constant;
        }
        for (int j = 0; j < node->n_inputs && needed; j++) {
            nissl__value *in = nissl__in(c, node, j);
            if (in) {
                in->needed = true;
                in->n_uses++;
            }
        }
    }
}

static void choose_layouts(nissl__compiler *c)
{
    const nissl_network *network = c->network;
    for (int i = 0; i < network->n_nodes; i++) {
        const nissl__node *node = &network->nodes[i];
        bool last = node->op->channels_last;
        for (int j = 0; j < node->n_inputs && node->op->follows && !last; j++) {
            const nissl__value *in = nissl__in(c, node, j);
            last = in && in->dynamic && in->layout == NISSL__CHANNELS_LAST;
        }
        for (int j = 0; j < node->n_outputs; j++) {
            nissl__value *out = nissl__out(c, node, j);
            if (out && !out->constant && out->rank >= 3 && last)
                out->layout = NISSL__CHANNELS_LAST;
        }
    }
}

/* Operators whose output lies in the memory of their input. */
static bool only_views(const char *op)
{
    return strcmp(op, "Identity") == 0 || strcmp(op, "Dropout") == 0 || strcmp(op, "Slice") == 0;
}

/* Concat along channels of channels-last parts, each made by a kernel that can leave gaps between
 * pixels: the parts are written where they belong and nothing is copied. */
static void place_concatenations(nissl__compiler *c)
{
    const nissl_network *network = c->network;
    for (int i = network->n_nodes - 1; i >= 0; i--) {
        const nissl__node *node = &network->nodes[i];
        nissl__value *out = nissl__out(c, node, 0);
        int64_t offset = 0;
        if (strcmp(node->onnx->op, "Concat") != 0 || !out || !out->needed || out->constant ||
            out->rank < 3 || out->layout != NISSL__CHANNELS_LAST)
            continue;
        int64_t axis = nissl__attr_int(node, "axis", 0);
        if (axis != 1 && axis != 1 - out->rank)
            continue;
        if (!out->placed) {
            nissl__dense_strides(out->rank, out->shape, NISSL__CHANNELS_LAST, out->stride);
            out->root = node->outputs[0];
            out->home = NISSL__HOME_ARENA;
            out->placed = true;
        }
        for (int j = 0; j < node->n_inputs; j++) {
            nissl__value *part = nissl__in(c, node, j);
            int maker = part ? network->producer[node->inputs[j]] : -1;
            bool eligible =
                maker >= 0 && !part->placed && !part->constant && part->type == out->type &&
                (network->nodes[maker].op->channels_last || network->nodes[maker].op->follows) &&
                !only_views(network->nodes[maker].onnx->op);
            if (eligible) {
                part->root = out->root;
                part->offset = out->offset + offset;
                memcpy(part->stride, out->stride, sizeof part->stride);
                part->home = NISSL__HOME_ARENA;
                part->placed = true;
            }
            if (part)
                offset += part->shape[1];
        }
    }
}

nissl_status nissl__select(nissl__compiler *c, nissl_error *err)
{
    mark_needed(c);
    choose_layouts(c);
    place_concatenations(c);
    return NISSL_OK;
}
