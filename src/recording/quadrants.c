/* Signs of gate and linear projection, and what products do in each quadrant; see quadrants.h. */
#include "recording/quadrants.h"
#include "recording/axes.h"
#include "recording/reducers/reducer.h"

#define CHUNK 256 /* units handled together: what they touch stays in the first cache */

/* Two bits: 1 = above zero, 2 = below, 0 = neither (zero or NaN). */
NISSL__CLONES static void note(int64_t n, const float *restrict x, int shift,
                               uint8_t *restrict signs)
{
    uint8_t keep = (uint8_t)(shift ? 3 : 12);
    for (int64_t u = 0; u < n; u++)
        signs[u] = (uint8_t)((signs[u] & keep) | (((x[u] > 0) | ((x[u] < 0) << 1)) << shift));
}

/* One quadrant of one sample of some units. */
NISSL__CLONES static void offer(int64_t n, const float *restrict x, const uint8_t *restrict signs,
                                uint8_t code, uint32_t at, uint32_t *restrict count,
                                uint32_t *restrict position, float *restrict value)
{
    for (int64_t u = 0; u < n; u++) {
        bool here = signs[u] == code;
        float key = fabsf(x[u]), best = fabsf(value[u]); /* NaN while there is none */
        bool better = here & (key == key) & !(best >= key);
        count[u] += here;
        position[u] = better ? at : position[u];
        value[u] = better ? x[u] + 0.0f : value[u];
    }
}

/* n units from the first of a sample, side by side: where they are, or copied to buffer. */
static const float *units_of(const nissl_view *view, const nissl__axes *units, int64_t at,
                             int64_t first, int64_t n, float *buffer)
{
    if (view->type == NISSL_FLOAT32 && (units->n == 0 || (units->n == 1 && units->stride[0] == 1)))
        return (const float *)view->data + at + first;
    for (int64_t u = 0; u < n; u++)
        buffer[u] = nissl__view_element(view, at + nissl__axes_offset(units, first + u));
    return buffer;
}

nissl_view nissl__signs_beside(const nissl_view *view, uint8_t *signs)
{
    static const nissl_axis_role order[3] = {NISSL_AXIS_UNIT, NISSL_AXIS_POSITION,
                                             NISSL_AXIS_STIMULUS};
    nissl_view beside = *view;
    int64_t stride = 1;
    beside.data = signs;
    beside.type = NISSL_UINT8;
    for (int k = 0; k < 3; k++)
        for (int axis = view->rank - 1; axis >= 0; axis--)
            if (view->role[axis] == order[k]) {
                beside.stride[axis] = stride;
                stride *= view->shape[axis];
            }
    return beside;
}

void nissl__signs_note(const nissl_view *view, int64_t n_stimuli, int shift,
                       const nissl_view *signs)
{
    nissl__axes stimuli = nissl__axes_of(view, NISSL_AXIS_STIMULUS);
    nissl__axes positions = nissl__axes_of(view, NISSL_AXIS_POSITION);
    nissl__axes units = nissl__axes_of(view, NISSL_AXIS_UNIT);
    uint8_t *to = signs->data;
    float buffer[CHUNK];
    for (int64_t s = 0; s < n_stimuli; s++) {
        nissl__walk walk = {.a = &positions};
        int64_t origin = nissl__axes_offset(&stimuli, s);
        for (int64_t p = 0; p < positions.count; p++) {
            int64_t at = origin + nissl__walk_next(&walk);
            for (int64_t u = 0; u < units.count; u += CHUNK) {
                int64_t n = NISSL__MIN(CHUNK, units.count - u);
                note(n, units_of(view, &units, at, u, n, buffer), shift, to + u);
            }
            to += units.count;
        }
    }
}

void nissl__quadrants_reduce(const nissl_view *view, const nissl_view *signs, nissl__quadrants out)
{
    static const uint8_t codes[NISSL_N_QUADRANTS] = {1 | 1 << 2, 1 | 2 << 2, 2 | 1 << 2,
                                                     2 | 2 << 2};
    nissl__axes positions = nissl__axes_of(view, NISSL_AXIS_POSITION);
    nissl__axes sign_positions = nissl__axes_of(signs, NISSL_AXIS_POSITION);
    nissl__axes units = nissl__axes_of(view, NISSL_AXIS_UNIT);
    nissl__walk walk = {.a = &positions}, sign_walk = {.a = &sign_positions};
    int64_t n_units = units.count;
    float buffer[CHUNK];
    memset(out.count, 0, NISSL_N_QUADRANTS * (size_t)n_units * sizeof *out.count);
    memset(out.position, 0, NISSL_N_QUADRANTS * (size_t)n_units * sizeof *out.position);
    for (int64_t i = 0; i < NISSL_N_QUADRANTS * n_units; i++)
        out.value[i] = NAN;
    for (int64_t p = 0; p < positions.count; p++) {
        int64_t at = nissl__walk_next(&walk), sign_at = nissl__walk_next(&sign_walk);
        uint32_t position = (uint32_t)(sign_at / n_units);
        const uint8_t *sign = (const uint8_t *)signs->data + sign_at;
        for (int64_t u = 0; u < n_units; u += CHUNK) {
            int64_t n = NISSL__MIN(CHUNK, n_units - u);
            const float *x = units_of(view, &units, at, u, n, buffer);
            for (int q = 0; q < NISSL_N_QUADRANTS; q++)
                offer(n, x, sign + u, codes[q], position, out.count + q * n_units + u,
                      out.position + q * n_units + u, out.value + q * n_units + u);
        }
    }
}
