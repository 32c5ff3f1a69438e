/*
 * From a site's view to one value per stimulus and unit, in one read of the view.
 *
 * Mean: position p (row-major over the position axes) goes to lane p mod 8 of block p / 64. A lane
 * adds its at most 8 terms in order in float32, the 8 lanes of a block add as
 * ((0+4)+(2+6))+((1+5)+(3+7)), blocks add in order in float64, and the total is divided by the
 * number of positions. At most 10 roundings to float32: the error is below 6e-7 of the mean of |x|.
 * The order does not depend on strides or instruction set, so neither do the bits.
 * Max: NaN if any is NaN. Centre: the position of index size / 2 along every position axis.
 */
#ifndef NISSL__SUMMARY_H
#define NISSL__SUMMARY_H

#include "nissl/reducer.h"

typedef enum nissl__isa { NISSL__ISA_BASE, NISSL__ISA_AVX2, NISSL__ISA_AVX512 } nissl__isa;

/* The best this machine runs; the tests also ask for lower ones. */
nissl__isa nissl__summary_isa(void);

/* Kernels for float32 of one stimulus. active may be NULL. */
typedef struct nissl__summary_kernels {
    /* n <= 64 positions, the first of them the first of a block, stride apart; units adjacent.
     * They add to sum, value and active. */
    void (*mean_block)(const float *block, int64_t n_units, int64_t n, int64_t stride, double *sum,
                       uint32_t *active);
    void (*max_block)(const float *block, int64_t n_units, int64_t n, int64_t stride, float *value,
                      uint32_t *active);
    /* all positions, adjacent; units stride apart. They set value and active. */
    void (*mean_positions)(const float *x, int64_t n_units, int64_t n_positions, int64_t stride,
                           float *value, uint32_t *active);
    void (*max_positions)(const float *x, int64_t n_units, int64_t n_positions, int64_t stride,
                          float *value, uint32_t *active);
    /* mean_block that clips on the way, out = min(max(block, low), high) with NaN kept, low <=
     * high, and adds the sums and counts of both; out may be block. active and out_active may be
     * NULL together. */
    void (*clip_block)(const float *block, int64_t n_units, int64_t n, int64_t stride, float low,
                       float high, float *out, int64_t out_stride, double *sum, double *out_sum,
                       uint32_t *active, uint32_t *out_active);
    void (*mean_of_sum)(int64_t n_units, const double *sum, int64_t n_positions, float *value);
} nissl__summary_kernels;

const nissl__summary_kernels *nissl__summary_kernels_of(nissl__isa isa);

/*
 * Summarises the first n_stimuli stimuli of a site's view.
 * scratch: [n_units] float64. value: [n_stimuli, n_units]. active: the same, or NULL: positions
 * where the unit is > 0.
 */
nissl_status nissl__summarise(const nissl__summary_kernels *kernels, nissl_summary summary,
                              const nissl_view *view, int64_t n_stimuli, double *scratch,
                              float *value, uint32_t *active, nissl_error *err);

/* Where one site's summaries go: as value and active of nissl__summarise. */
typedef struct nissl__summary_of {
    float *value;
    uint32_t *active;
} nissl__summary_of;

/*
 * Clips all stimuli of a channels-last view into another and takes the means of the first n_stimuli
 * of both: one read and one write of each element; see nissl__clip_fn. The bits are those of
 * nissl__summarise.
 * scratch: [2, n_units] float64.
 */
void nissl__summarise_clip(const nissl__summary_kernels *kernels, const nissl_view *in,
                           const nissl_view *out, float low, float high, int64_t n_stimuli,
                           double *scratch, nissl__summary_of of_in, nissl__summary_of of_out);

#endif
