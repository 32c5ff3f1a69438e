/*
 * Histogram of a unit's value over stimuli in log-linear bins, as in HdrHistogram and DDSketch:
 * each octave of each sign is cut into 8 equal bins.
 *
 * Every unit has 16 octaves, the highest being that of the largest finite |value| seen; what lies
 * below them, |value| < 2^(top - 15), is counted as zero. When the window moves up, bins that fall
 * out of it are added to the zero bin, so the counts are a function of the values alone: any order
 * of updates and merges gives the same bits. NaN and infinities are counted apart.
 *
 * A quantile is that of rank max(1, ceil(q n)) among the finite values, estimated by the
 * representative 2 a b / (a + b) of its bin [a, b): relative error at most 1/17 = 5.9 %, or
 * absolute error below 2^(top - 15) if it is in the zero bin.
 */
#include <stddef.h>
#include <stdio.h>

#include "recording/reducers/reducer.h"

#define OCTAVES      16
#define BINS         8 /* of an octave: the three highest bits of the mantissa */
#define SIDE         (OCTAVES * BINS)
#define COLUMNS      (2 * SIDE + 1)
#define N_QUANTILES  9
#define EXPONENT_ONE 127 /* biased exponent of 1 <= |x| < 2 */

/* One unit: 1036 bytes. */
typedef struct unit_counts {
    int32_t top; /* biased exponent of the highest octave; 0 = only zeros seen */
    uint32_t n_not_finite;
    uint32_t count[COLUMNS]; /* from the lowest value to the highest; count[SIDE] is zero */
} unit_counts;

static const double quantiles[N_QUANTILES] = {0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99};

static size_t bytes(const nissl_reducer_site *site, int64_t n_stimuli)
{
    return (size_t)site->n_units * sizeof(unit_counts);
}

static void init(void *state, const nissl_reducer_site *site, int64_t n_stimuli)
{
    memset(state, 0, bytes(site, n_stimuli));
}

/* Moves the window up to the octave of biased exponent top. */
static void raise_top(unit_counts *unit, int32_t top)
{
    int32_t shift = NISSL__MIN((top - unit->top) * BINS, SIDE);
    uint32_t *positive = unit->count + SIDE + 1, *negative = unit->count, zero = 0;
    if (unit->top > 0) {
        for (int32_t i = 0; i < shift; i++)
            zero += positive[i] + negative[SIDE - 1 - i];
        unit->count[SIDE] += zero;
        memmove(positive, positive + shift, (size_t)(SIDE - shift) * sizeof *positive);
        memset(positive + SIDE - shift, 0, (size_t)shift * sizeof *positive);
        memmove(negative + shift, negative, (size_t)(SIDE - shift) * sizeof *negative);
        memset(negative, 0, (size_t)shift * sizeof *negative);
    }
    unit->top = top;
}

#define BLOCK_UNITS   32 /* whose words are found together */
#define BLOCK_STIMULI 16

/* The words of unit_counts that values add one to. */
enum { WORD_NOT_FINITE = 1, WORD_ZERO = 2 + SIDE };
_Static_assert(sizeof(unit_counts) == (2 + COLUMNS) * sizeof(uint32_t), "words of 32 bits");
_Static_assert(offsetof(unit_counts, n_not_finite) == WORD_NOT_FINITE * sizeof(uint32_t) &&
                   offsetof(unit_counts, count) == 2 * sizeof(uint32_t),
               "words in this order");

static inline int32_t bits_of(const float *x)
{
    int32_t bits;
    memcpy(&bits, x, sizeof bits);
    return bits;
}

/* Exponent and three bits of mantissa: the number of a bin, counted from the smallest |value|. */
static inline int32_t bin_of(int32_t bits)
{
    return bits >> 20 & 0x7ff;
}

/* highest[u] becomes the largest exponent of n units' finite values; x: [n_stimuli, stride]. */
NISSL__CLONES static void find_tops(int64_t n, int64_t n_stimuli, int64_t stride,
                                    const float *restrict x, int32_t *restrict highest)
{
    for (int64_t i = 0; i < n_stimuli; i++)
        for (int64_t u = 0; u < n; u++) {
            int32_t exponent = bin_of(bits_of(x + i * stride + u)) / BINS;
            exponent = exponent == 0xff ? 0 : exponent;
            highest[u] = exponent > highest[u] ? exponent : highest[u];
        }
}

/* word[i, u] of BLOCK_UNITS a row: which word of unit u the value of stimulus i adds one to. */
NISSL__CLONES static void find_words(int64_t n, int64_t n_stimuli, int64_t stride,
                                     const float *restrict x, const int32_t *restrict top,
                                     int32_t *restrict word)
{
    for (int64_t i = 0; i < n_stimuli; i++)
        for (int64_t u = 0; u < n; u++) {
            int32_t bits = bits_of(x + i * stride + u), bin = bin_of(bits);
            int32_t place = bin - (top[u] - OCTAVES + 1) * BINS;
            int32_t at = bits < 0 ? WORD_ZERO - 1 - place : WORD_ZERO + 1 + place;
            at = place < 0 || bin < BINS ? WORD_ZERO : at;
            word[i * BLOCK_UNITS + u] = bin >= 0xff * BINS ? WORD_NOT_FINITE : at;
        }
}

static void update_block(unit_counts *units, int64_t n, int64_t n_stimuli, int64_t stride,
                         const float *value)
{
    int32_t highest[BLOCK_UNITS], word[BLOCK_STIMULI * BLOCK_UNITS];
    for (int64_t u = 0; u < n; u++)
        highest[u] = units[u].top;
    find_tops(n, n_stimuli, stride, value, highest);
    for (int64_t u = 0; u < n; u++)
        if (highest[u] > units[u].top)
            raise_top(&units[u], highest[u]);
    find_words(n, n_stimuli, stride, value, highest, word);
    for (int64_t u = 0; u < n; u++) {
        uint32_t *words = (uint32_t *)(void *)&units[u];
        for (int64_t i = 0; i < n_stimuli; i++)
            words[word[i * BLOCK_UNITS + u]]++;
    }
}

static void update(void *state, const nissl_reducer_site *site, const nissl_batch *batch)
{
    unit_counts *units = state;
    for (int64_t u = 0; u < site->n_units; u += BLOCK_UNITS)
        for (int64_t i = 0; i < batch->n_stimuli; i += BLOCK_STIMULI)
            update_block(units + u, NISSL__MIN(BLOCK_UNITS, site->n_units - u),
                         NISSL__MIN(BLOCK_STIMULI, batch->n_stimuli - i), site->n_units,
                         batch->value + i * site->n_units + u);
}

static void merge(void *into, const void *from, const nissl_reducer_site *site)
{
    unit_counts *a = into;
    const unit_counts *b = from;
    for (int64_t u = 0; u < site->n_units; u++) {
        unit_counts other = b[u];
        if (other.top > a[u].top)
            raise_top(&a[u], other.top);
        else if (a[u].top > other.top)
            raise_top(&other, a[u].top);
        a[u].n_not_finite += other.n_not_finite;
        for (int i = 0; i < COLUMNS; i++)
            a[u].count[i] += other.count[i];
    }
}

/* The representative of a column, exact in float64. */
static double representative(const unit_counts *unit, int column)
{
    int place = column < SIDE ? SIDE - 1 - column : column - SIDE - 1;
    double a, b, scale;
    if (column == SIDE)
        return 0;
    scale = ldexp(1.0 / BINS, unit->top - OCTAVES + 1 + place / BINS - EXPONENT_ONE);
    a = scale * (BINS + place % BINS);
    b = scale * (BINS + place % BINS + 1);
    return (column < SIDE ? -2 : 2) * (a * (b / (a + b)));
}

/* out: [N_QUANTILES]; quantiles ascend, so one walk over the columns finds them all. */
static void find_quantiles(const unit_counts *unit, double *out)
{
    uint64_t n = 0, seen = unit->count[0];
    int column = 0;
    for (int i = 0; i < COLUMNS; i++)
        n += unit->count[i];
    for (int q = 0; q < N_QUANTILES; q++) {
        uint64_t rank = NISSL__MAX((uint64_t)ceil(quantiles[q] * (double)n), 1);
        while (n > 0 && seen < rank)
            seen += unit->count[++column];
        out[q] = n > 0 ? representative(unit, column) : NAN;
    }
}

static uint64_t result_bytes(const nissl_reducer_site *site)
{
    return (uint64_t)site->n_units *
           ((COLUMNS + 1) * sizeof(uint32_t) + sizeof(int32_t) + N_QUANTILES * sizeof(double));
}

static nissl_status finish(const void *state, const nissl_reducer_site *site, nissl_emit_fn emit,
                           void *user, nissl_error *err)
{
    const unit_counts *units = state;
    size_t n = (size_t)site->n_units;
    uint32_t *count = nissl__alloc(n, COLUMNS * sizeof *count);
    uint32_t *not_finite = nissl__alloc(n, sizeof *not_finite);
    int32_t *top = nissl__alloc(n, sizeof *top);
    double *quantile = nissl__alloc(n, N_QUANTILES * sizeof *quantile);
    nissl_status status = NISSL_OK;
    if (!count || !not_finite || !top || !quantile) {
        status = NISSL__NO_MEMORY(err, n * COLUMNS * sizeof *count);
        goto done;
    }
    for (size_t u = 0; u < n; u++) {
        memcpy(count + u * COLUMNS, units[u].count, sizeof units[u].count);
        not_finite[u] = units[u].n_not_finite;
        top[u] = units[u].top - EXPONENT_ONE;
        find_quantiles(&units[u], quantile + u * N_QUANTILES);
    }
    status = nissl__emit(
        emit, user, "counts", "1",
        "Stimuli per bin, lowest values first. Column 128 is |value| < 2^(top - 15). Column "
        "129 + 8 j + i is a <= value < a + 2^(top - 18 + j), a = 2^(top - 15 + j) (1 + i / 8); "
        "column 127 - 8 j - i is the same for -value.",
        NISSL_UINT32, site->n_units, COLUMNS, count, err);
    if (status == NISSL_OK)
        status = nissl__emit(emit, user, "top", "1",
                             "Exponent of the highest octave of counts: 2^top <= largest |value| < "
                             "2^(top + 1); -127 where all values are zero.",
                             NISSL_INT32, site->n_units, 0, top, err);
    if (status == NISSL_OK)
        status = nissl__emit(emit, user, "not_finite", "1", "Stimuli with value NaN or infinite.",
                             NISSL_UINT32, site->n_units, 0, not_finite, err);
    if (status == NISSL_OK)
        status = nissl__emit(
            emit, user, "quantiles", "1",
            "Quantiles 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99: the value of rank "
            "ceil(q n) to a relative error of 1/17 (the harmonic mean of its bin's edges), or an "
            "absolute error of 2^(top - 15) around zero.",
            NISSL_FLOAT64, site->n_units, N_QUANTILES, quantile, err);

done:
    nissl__free(count);
    nissl__free(not_finite);
    nissl__free(top);
    nissl__free(quantile);
    return status;
}

const nissl_reducer nissl__reducer_histogram = {
    .name = "histogram",
    .summary = "counts in log-linear bins and quantiles to 1/17 of their value",
    .needs = NISSL_REDUCER_EXACT,
    .bytes = bytes,
    .init = init,
    .update = update,
    .merge = merge,
    .result_bytes = result_bytes,
    .finish = finish,
};
