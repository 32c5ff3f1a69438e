/* Convolution and pooling element by element: any type, up to three spatial axes, any strides, with
 * weights that depend on the stimulus. What the fast steps of conv.c and pool.c cannot do, and what
 * is folded. */
#include "network/operators/numbers.h"
#include "network/operators/operators.h"
#include "network/operators/walk.h"

/* The taps of one output position on the input. */
typedef struct taps {
    int64_t first[3], n[3]; /* first input index, number of taps that lie on the input */
    int64_t skipped[3];     /* taps before it, in the padding */
    int64_t total;          /* product of n */
    int64_t padded;         /* taps that lie on the input or its padding */
} taps;

static taps taps_at(const nissl__spatial *s, const int64_t *at)
{
    taps t = {.total = 1, .padded = 1};
    for (int i = 0; i < s->n; i++) {
        int64_t begin = at[i] * s->stride[i] - s->begin[i], d = s->dilation[i];
        int64_t limit = s->in[i] - 1 - begin, last = s->kernel[i] - 1;
        int64_t reach = limit < 0 ? -1 : NISSL__MIN(last, limit / d);
        t.skipped[i] = begin < 0 ? (-begin + d - 1) / d : 0;
        t.first[i] = begin + t.skipped[i] * d;
        t.n[i] = NISSL__MAX(reach - t.skipped[i] + 1, 0);
        t.total *= t.n[i];
        t.padded *= limit + s->end[i] < 0 ? 0 : NISSL__MIN(last, (limit + s->end[i]) / d) + 1;
    }
    return t;
}

/* ---- convolution ---- */

typedef struct conv_state {
    nissl__spatial spatial;
    int64_t groups;
} conv_state;

static double convolve(const conv_state *state, nissl__call *call, const int64_t *at)
{
    const nissl_view *in = call->in[0], *weight = call->in[1], *bias = call->in[2];
    const nissl__spatial *s = &state->spatial;
    int64_t per_group = weight->shape[0] / state->groups, channels = weight->shape[1];
    int64_t first = at[1] / per_group * channels, tap[3] = {0};
    taps t = taps_at(s, at + 2);
    double sum =
        bias ? nissl__read_number(nissl__walk_at(bias, at[1] * bias->stride[0]), bias->type) : 0;
    for (int64_t k = 0; k < t.total; k++) {
        int64_t x = at[0] * in->stride[0] + first * in->stride[1], w = at[1] * weight->stride[0];
        for (int i = 0; i < s->n; i++) {
            x += (t.first[i] + tap[i] * s->dilation[i]) * in->stride[2 + i];
            w += (t.skipped[i] + tap[i]) * weight->stride[2 + i];
        }
        for (int64_t c = 0; c < channels; c++)
            sum +=
                nissl__read_number(nissl__walk_at(in, x + c * in->stride[1]), in->type) *
                nissl__read_number(nissl__walk_at(weight, w + c * weight->stride[1]), weight->type);
        nissl__walk_next(s->n, t.n, tap);
    }
    return sum;
}

static void index_of(const nissl_view *view, int64_t k, int64_t *at)
{
    for (int i = view->rank - 1; i >= 0; i--) {
        at[i] = k % view->shape[i];
        k /= view->shape[i];
    }
}

static nissl_status execute_conv(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const nissl_view *out = call->out[0];
    int64_t n = nissl_view_count(out);
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t k = 0; k < n; k++) {
        int64_t at[NISSL_MAX_RANK];
        index_of(out, k, at);
        nissl__write_number(nissl__walk_at(out, nissl__walk_offset(out, at)), out->type,
                            convolve(step->state, call, at));
    }
    return NISSL_OK;
}

nissl_status nissl__add_direct_conv(nissl__compiler *c, const nissl__node *node,
                                    const nissl__spatial *spatial, nissl_error *err)
{
    int inputs[3] = {node->inputs[0], node->inputs[1], -1};
    if (node->n_inputs > 2)
        inputs[2] = node->inputs[2];
    nissl__place(c, nissl__out(c, node, 0));
    nissl__step *step =
        nissl__add_step(c, "direct conv", 3, inputs, 1, node->outputs, sizeof(conv_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(conv_state));
    *(conv_state *)step->state = (conv_state){*spatial, nissl__attr_int(node, "group", 1)};
    step->execute = execute_conv;
    return NISSL_OK;
}

/* ---- pooling ---- */

typedef struct pool_state {
    nissl__spatial spatial;
    nissl__pooling how;
} pool_state;

/* Where the largest value is: offsets from the image of one channel. NaN is largest. */
static int64_t find_largest(const pool_state *state, const nissl_view *in, int64_t image,
                            const taps *t, int64_t *index)
{
    const nissl__spatial *s = &state->spatial;
    int64_t best = -1, tap[3] = {0};
    bool whole = nissl__is_integer(in->type);
    int64_t top_whole = 0;
    double top_real = 0;
    for (int64_t k = 0; k < t->total; k++) {
        int64_t x = image, flat = 0, step = 1;
        for (int i = 0; i < s->n; i++)
            x += (t->first[i] + tap[i] * s->dilation[i]) * in->stride[2 + i];
        const char *p = nissl__walk_at(in, x);
        int64_t w = whole ? nissl__read_integer(p, in->type) : 0;
        double r = whole ? 0 : nissl__read_number(p, in->type);
        bool more = whole ? w > top_whole : r > top_real || (r != r && top_real == top_real);
        if (best < 0 || more) {
            best = x;
            top_whole = w;
            top_real = r;
            for (int j = 0; j < s->n; j++) {
                int i = state->how.column_major ? j : s->n - 1 - j;
                flat += (t->first[i] + tap[i] * s->dilation[i]) * step;
                step *= s->in[i];
            }
            *index = flat;
        }
        nissl__walk_next(s->n, t->n, tap);
    }
    return best;
}

static double sum_of(const pool_state *state, const nissl_view *in, int64_t image, const taps *t)
{
    const nissl__spatial *s = &state->spatial;
    double sum = 0, p = state->how.power;
    int64_t tap[3] = {0};
    for (int64_t k = 0; k < t->total; k++) {
        int64_t x = image;
        for (int i = 0; i < s->n; i++)
            x += (t->first[i] + tap[i] * s->dilation[i]) * in->stride[2 + i];
        double v = nissl__read_number(nissl__walk_at(in, x), in->type);
        sum += p == 0 ? v : p == 1 ? fabs(v) : p == 2 ? v * v : pow(fabs(v), p);
        nissl__walk_next(s->n, t->n, tap);
    }
    if (p != 0)
        return p == 1 ? sum : p == 2 ? sqrt(sum) : pow(sum, 1 / p);
    int64_t count = state->how.count_padding ? t->padded : t->total;
    return count > 0 ? sum / (double)count : 0;
}

static void pool_one(const pool_state *state, nissl__call *call, const int64_t *at)
{
    const nissl_view *in = call->in[0], *out = call->out[0], *indices = call->out[1];
    taps t = taps_at(&state->spatial, at + 2);
    int64_t image = at[0] * in->stride[0] + at[1] * in->stride[1], index = 0;
    if (!state->how.maximum) {
        nissl__write_number(nissl__walk_at(out, nissl__walk_offset(out, at)), out->type,
                            sum_of(state, in, image, &t));
        return;
    }
    int64_t from = find_largest(state, in, image, &t, &index);
    if (out) {
        int64_t to = nissl__walk_offset(out, at);
        if (from >= 0)
            nissl__walk_copy(in, from, out, to);
        else /* a window that lies in the padding alone */
            nissl__write_number(nissl__walk_at(out, to), out->type, -INFINITY);
    }
    if (indices) {
        int64_t size = 1;
        for (int i = 0; i < state->spatial.n; i++)
            size *= state->spatial.in[i];
        *(int64_t *)(void *)nissl__walk_at(indices, nissl__walk_offset(indices, at)) =
            (at[0] * in->shape[1] + at[1]) * size + index;
    }
}

static nissl_status execute_pool(const nissl__step *step, nissl__call *call, nissl_error *err)
{
    const nissl_view *out = call->out[0] ? call->out[0] : call->out[1];
    int64_t n = nissl_view_count(out);
#pragma omp parallel for num_threads(call->threads) if (call->threads > 1)
    for (int64_t k = 0; k < n; k++) {
        int64_t at[NISSL_MAX_RANK];
        index_of(out, k, at);
        pool_one(step->state, call, at);
    }
    return NISSL_OK;
}

nissl_status nissl__add_direct_pool(nissl__compiler *c, const nissl__node *node,
                                    const nissl__spatial *spatial, nissl__pooling how,
                                    nissl_error *err)
{
    int outputs[2] = {node->outputs[0], node->n_outputs > 1 ? node->outputs[1] : -1};
    for (int i = 0; i < 2; i++) {
        if (outputs[i] >= 0 && !c->values[outputs[i]].inferred)
            outputs[i] = -1; /* named by a node whose operator has no such output */
        if (outputs[i] >= 0)
            nissl__place(c, &c->values[outputs[i]]);
    }
    nissl__step *step =
        nissl__add_step(c, "direct pool", 1, node->inputs, 2, outputs, sizeof(pool_state));
    if (!step)
        return NISSL__NO_MEMORY(err, sizeof(pool_state));
    *(pool_state *)step->state = (pool_state){*spatial, how};
    step->execute = execute_pool;
    return NISSL_OK;
}
