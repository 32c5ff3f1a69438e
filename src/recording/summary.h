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

#include "network/run.h"
#include "nissl/reducer.h"

typedef enum nissl__isa { NISSL__ISA_BASE, NISSL__ISA_AVX2, NISSL__ISA_AVX512 } nissl__isa;

/* The best this machine runs; the tests also ask for lower ones. */
nissl__isa nissl__summary_isa(void);

/* A block of positions of one stimulus at the sites of a chain (network/run.h): the first, the same
 * scaled, the same clipped. Units are adjacent, positions stride apart; all may be one memory. */
typedef struct nissl__chain_block {
    const float *first;
    float *scaled;  /* where it is to be kept, or NULL */
    float *clipped; /* NULL where nothing is clipped */
    int64_t first_stride, scaled_stride, clipped_stride;
    const float *scale, *shift; /* [n_units]; NULL where nothing is scaled */
    float low, high;            /* low <= high */
    double *sum[3];             /* [n_units] of each site that there is: they are added to */
    uint32_t *active[3];        /* the same, or all NULL */
} nissl__chain_block;

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
    /* n <= 64 positions of a chain, the first of them the first of a block. */
    void (*chain_block)(const nissl__chain_block *block, int64_t n_units, int64_t n);
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
 * Does the work of a chain for all stimuli of its views and takes the means of the first n_stimuli
 * of each: one read and one write of each element; see nissl__chain_fn. The bits are those of
 * nissl__summarise.
 * scratch: [3, n_units] float64. of: where each site's summaries go.
 */
void nissl__summarise_chain(const nissl__summary_kernels *kernels, const nissl__chain *chain,
                            const nissl_view *first, const nissl_view *scaled,
                            const nissl_view *clipped, int64_t n_stimuli, double *scratch,
                            const nissl__summary_of of[3]);

#endif
