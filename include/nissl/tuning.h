/**
 * Tuning of single units, on arrays [samples, units]: a recording, a numpy file or neurons.
 */
#ifndef NISSL_TUNING_H
#define NISSL_TUNING_H

#include "nissl/context.h"
#include "nissl/recording.h"
#include "nissl/table.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Indices of one unit. x: [n] responses to n stimuli. Undefined results are NaN, never an error;
 * a NaN among the inputs gives NaN. */

/** Treves-Rolls activity fraction (sum x / n)^2 / (sum x^2 / n) of max(x, 0); NaN if all are 0.
 * Source: Treves and Rolls 1991. */
double nissl_sparseness_treves_rolls(const float *x, int64_t n, int64_t stride);
/** Vinje-Gallant (1 - a) / (1 - 1/n) of max(x, 0), a the activity fraction: 0 uniform, 1 one-hot;
 * NaN if all are 0 or n < 2. Source: Vinje and Gallant 2000. */
double nissl_sparseness_vinje_gallant(const float *x, int64_t n, int64_t stride);
/**
 * Class selectivity (m_best - m_rest) / (m_best + m_rest + 1e-7) of class means, m_rest the mean of
 * the others' means whatever their sizes. NaN entries are empty classes and are left out; fewer
 * than two classes or a mean below 0 give NaN; all means 0 give 0.
 * Source: Morcos et al. 2018; the 1e-7 is Leavitt and Morcos 2020.
 */
double nissl_selectivity_class(const double *class_mean, int64_t n_classes);
/**
 * Class-conditional mean activity selectivity: as class selectivity, but m_rest is the mean over
 * all stimuli that are not of the best class, so classes count by their size. Without the 1e-7; all
 * means 0 give NaN. The same as class selectivity when all classes have one size.
 * @param class_count [n_classes] stimuli per class; classes of 0 are left out.
 * Source: Zhou et al. 2018.
 */
double nissl_selectivity_ccmas(const double *class_mean, const int64_t *class_count,
                               int64_t n_classes);
/** d' = (m_a - m_b) / sqrt((s_a^2 + s_b^2) / 2), n - 1 in the variances; NaN below two of either.
 * Infinite where only the means differ. */
double nissl_dprime(const float *a, int64_t n_a, const float *b, int64_t n_b);
/** Area under the ROC curve U / (n_a n_b): how often a value of a exceeds one of b, ties count one
 * half. Exact counts; O(n log n) at most; scratch is allocated. NaN when out of memory or empty. */
double nissl_auroc(const float *a, int64_t n_a, const float *b, int64_t n_b);

/* Indices of one tuning curve. curve: [n] mean responses, NaN where there is none; value: [n] the
 * levels' values in any order. */

/**
 * Preferred value on a circle and how strong the preference is, by the vector sum of max(curve, 0).
 *
 * R = sum_k r_k exp(2 pi i value_k / period) / sum_k r_k. The values should be spaced equally over
 * the period, otherwise R is biased towards where they are dense.
 *
 * @param period      180 for orientation in degrees, 360 for direction, phase or hue.
 * @param preferred   arg R on 0 .. period; NaN where |R| < 1e-9 (a flat curve prefers nothing).
 *                    May be NULL.
 * @param selectivity |R| = 1 - circular variance: 0 flat, 1 one level only; NaN where all r are 0
 *                    or fewer than two levels have a mean. May be NULL.
 * Source: Batschelet 1981; Swindale 1998; Mazurek, Kager and Van Hooser 2014.
 */
void nissl_tuning_circular(const double *curve, const double *value, int64_t n, double period,
                           double *preferred, double *selectivity);

/**
 * Preferred value of an ordered factor, between the levels: the peak of the Gaussian through the
 * highest point and its two neighbours, that is of the parabola through their logarithms.
 *
 * At the lowest or highest level, or beside a mean that is not above 0, there is no such peak: the
 * level itself is the answer and the bandwidth is NaN. A curve whose means are all equal or not
 * above 0 prefers nothing.
 *
 * @param logarithmic take the logarithm of the values first (spatial frequency, size): a Gaussian
 *                    over log value is recovered exactly. Values must then be > 0.
 * @param preferred   in the unit of value, NaN if none. May be NULL.
 * @param bandwidth   full width at half height: octaves if logarithmic, else the unit of value.
 *                    May be NULL.
 */
void nissl_tuning_peak(const double *curve, const double *value, int64_t n, bool logarithmic,
                       double *preferred, double *bandwidth);

/**
 * Numeric values of a factor's levels.
 * @param value [factor->n_levels].
 * @return NISSL_OK; NISSL_ERR_TYPE naming the first level that is no finite number. value may be
 * partly written then.
 */
nissl_status nissl_tuning_level_values(const nissl_factor *factor, double *value, nissl_error *err);

/**
 * Results for every unit of a set of responses. All arrays are owned.
 *
 * Of a unit with a NaN or infinite response on a stimulus that counts, every number is NaN and both
 * conditions are -1.
 */
typedef struct nissl_tuning {
    int64_t n_units, n_conditions, n_stimuli;
    double *mean, *sd;  /* [n_units] over stimuli that count; sd has n - 1, NaN for one stimulus */
    double *curve;      /* [n_units, n_conditions] mean response per condition; NaN if empty */
    double *curve_se;   /* [n_units, n_conditions] standard error, NaN below 2 stimuli */
    int32_t *preferred; /* [n_units] condition of the largest mean over all stimuli, the lowest of
                           equals; -1 if no two means differ (constant unit) */
    int32_t *preferred_heldin;   /* [n_units] the same on the choosing half */
    double *selectivity;         /* [n_units] class selectivity of rectified means, all stimuli */
    double *selectivity_heldout; /* [n_units] class selectivity of preferred_heldin, measured on the
                                    other half; negative where the choice does not hold up. NaN if
                                    nothing could be chosen */
    double *dprime, *auroc; /* [n_units] responses to preferred_heldin against the rest, measured on
                               the other half. NaN if nothing could be chosen; d' also with fewer
                               than 2 stimuli on a side, infinite without any variance */
    double *lifetime_sparseness;   /* [n_units] Vinje-Gallant of rectified responses */
    double *population_sparseness; /* [n_stimuli] Vinje-Gallant of rectified responses over units,
                                      left-out stimuli included, responses that are no finite number
                                      left out */
} nissl_tuning;

typedef struct nissl_tuning_options {
    uint64_t seed; /* of the stratified split into halves */
} nissl_tuning_options;

/** The context's seed. */
nissl_tuning_options nissl_tuning_options_default(const nissl_context *ctx);

/**
 * Tuning of all units to one factor.
 *
 * The best of many conditions is the best by luck as well, so what depends on the choice is also
 * measured where the choice was not made: the stimuli of each condition are split into halves, the
 * best condition is that of the largest mean on the choosing half, and d', auROC and the held-out
 * selectivity are measured on the other. Of k stimuli the choosing half gets floor(k / 2), drawn by
 * a permutation keyed (seed, condition). A condition of one stimulus can therefore not be chosen
 * and is only part of the rest; with one stimulus in every condition all held-out results are NaN.
 *
 * Class selectivity needs responses >= 0: it is defined here on max(response, 0), whose mean is
 * taken per condition. A unit that is never above 0 has selectivity 0 and sparseness NaN. In halves
 * of few stimuli the held-out selectivity of an untuned unit is below 0, because the index is
 * concave in the best mean (rectified Gaussian noise, 10 conditions: -.16 with 6 stimuli each, -.06
 * with 20, -.01 with 80, where in sample it is .38, .24 and .13); auROC is .5 there on average, and
 * d' is 0 if responses are not skewed.
 *
 * @param x         responses [n_stimuli, n_units] row-major, float32.
 * @param condition [n_stimuli] 0 .. n_conditions - 1, or -1 for stimuli to leave out.
 * @param opt       NULL for defaults.
 * @param out       free with nissl_tuning_free. Untouched on error.
 * @return NISSL_OK; NISSL_ERR_SHAPE if a size is below 1; NISSL_ERR_RANGE naming the first
 * condition outside its range, or for sizes that overflow; NISSL_ERR_MEMORY; NISSL_ERR_CANCELLED.
 *
 * Cost: about 12 flops per response and 50 per unit and condition, and for auROC the lesser of a
 * sort of the measuring half and n_best comparisons per response in it; bound by memory. Memory: 16
 * bytes per unit and condition for the curves, 320 per stimulus, and for each thread 280 per
 * stimulus and 512 per condition. The same bits for any number of threads. bench/tuning.py.
 * Oracle: oracles/tuning.py (numpy, scipy, scikit-learn).
 */
nissl_status nissl_tuning_compute(nissl_context *ctx, const float *x, int64_t n_stimuli,
                                  int64_t n_units, const int32_t *condition, int64_t n_conditions,
                                  const nissl_tuning_options *opt, nissl_tuning *out,
                                  nissl_error *err);
void nissl_tuning_free(nissl_tuning *tuning);

/**
 * The same from a recorded site and factor, read in blocks of units of at most 64 MiB; the bits are
 * those of nissl_tuning_compute on the whole array.
 * @return as nissl_tuning_compute; NISSL_ERR_RANGE for a site or factor that is not there;
 * NISSL_ERR_TYPE for a factor without levels; errors of nissl_recording_responses.
 */
nissl_status nissl_tuning_of_site(nissl_context *ctx, const nissl_recording *recording, size_t site,
                                  int factor, const nissl_tuning_options *opt, nissl_tuning *out,
                                  nissl_error *err);

/**
 * Adds a row per unit to a table with the right columns, or to an empty one (all zero, or without
 * columns), which gets them: site, unit, factor, the preferred condition by name on all stimuli and
 * on the choosing half, every index, and for a numeric factor (one with values) the preferred value
 * between the levels.
 *
 * The preferred value is that of nissl_tuning_circular for a factor whose unit is "deg", with
 * period 180 if its name contains "orientation" and 360 if not; and that of nissl_tuning_peak
 * otherwise, logarithmic where all levels are above 0.
 *
 * @return NISSL_OK; NISSL_ERR_NAME if the table lacks a column; NISSL_ERR_TYPE if it has another
 * type; NISSL_ERR_SHAPE if factor and tuning have different numbers of levels; NISSL_ERR_MEMORY,
 * which leaves the table without the new rows.
 */
nissl_status nissl_tuning_to_table(const nissl_tuning *tuning, const char *site,
                                   const nissl_factor *factor, nissl_table *table,
                                   nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
