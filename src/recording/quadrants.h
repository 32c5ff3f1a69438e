/*
 * What gated units, act(gate) * linear, do in each sign quadrant of their two inputs, in the pass.
 *
 * Views live only while they are shown, and the three sites of a block are shown one after another.
 * So the signs of gate and linear projection wait, a byte per sample and unit, until the product is
 * shown; then each stimulus is reduced to a count and a strongest sample per quadrant and unit.
 */
#ifndef NISSL__QUADRANTS_H
#define NISSL__QUADRANTS_H

#include "nissl/reducer.h"
#include "recording/plan.h"

/* Bytes per stimulus, unit and quadrant of what is below. */
#define NISSL__QUADRANT_BYTES (2 * sizeof(uint32_t) + sizeof(float))

/* As in nissl_batch: [n_stimuli, NISSL_N_QUADRANTS, n_units]. */
typedef struct nissl__quadrants {
    uint32_t *count, *position;
    float *value;
} nissl__quadrants;

/*
 * Finds the gated units of a plan whose program is there: sites named PREFIX.hook_post beside
 * PREFIX.hook_pre (the gate) and PREFIX.hook_pre_linear, all three recorded and of one shape. Marks
 * them, and lays out where signs wait in a worker's buffer: sites whose signs wait at the same time
 * lie apart, others share. NISSL_ERR_NAME if there is none.
 */
nissl_status nissl__plan_gates(nissl_plan *plan, nissl_error *err);

/* A view of signs beside that of a site: same shape and roles, units adjacent, then positions. */
nissl_view nissl__signs_beside(const nissl_view *view, uint8_t *signs);

/* Notes the signs of the first n_stimuli stimuli of a gate (shift 0) or linear projection (2). */
void nissl__signs_note(const nissl_view *view, int64_t n_stimuli, int shift,
                       const nissl_view *signs);

/* Reduces the one stimulus of a view of products to out [NISSL_N_QUADRANTS, n_units]. Both views
 * may be cut at the end of position axes; positions are counted in the whole of signs. */
void nissl__quadrants_reduce(const nissl_view *view, const nissl_view *signs, nissl__quadrants out);

#endif
