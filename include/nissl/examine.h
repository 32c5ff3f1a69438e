/**
 * The main job: record a network and its twin on a stimulus set in one pass, and tune every unit.
 */
#ifndef NISSL_EXAMINE_H
#define NISSL_EXAMINE_H

#include "nissl/recording.h"
#include "nissl/tuning.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nissl_examine_options {
    nissl_plan_options plan;
    bool twin;           /* default true */
    const char *command; /* the command line, for provenance; may be NULL */
} nissl_examine_options;

nissl_examine_options nissl_examine_options_default(void);

/** A sentence that an examination can answer for, with what it rests on. */
typedef struct nissl_finding {
    char *text;               /* the sentence, numbers and control included */
    char *site;               /* the site it is about; "" where it is about the whole network */
    char *factor;             /* the factor it is about; "" where none */
    char *measure;            /* what effect, interval and control are: "median held-out auROC" */
    double effect, low, high; /* estimate and 95 % bootstrap interval over the sample */
    double control;           /* the same measure of the twin; NaN without a twin */
    int64_t n;                /* size of the sample that was resampled */
    char *sample;             /* what was measured: "128 units, 500 stimuli" */
    char *threat;             /* the most important reason why it may not hold */
} nissl_finding;

/**
 * What an examination found. Owned; free with nissl_examination_free.
 *
 * sites has a row per site and factor (one row per site where nothing has 2 .. 1000 levels), units
 * a row per unit and factor; the descriptions of their columns say what each holds.
 */
typedef struct nissl_examination {
    nissl_recording *recording;
    nissl_recording *twin;     /* NULL without one */
    size_t n_sites;            /* those of the recording, in its order */
    int n_factors;             /* factors with 2 .. 1000 levels, each tuned to */
    int *factors;              /* [n_factors] indices into the recording's factors */
    nissl_tuning *tuning;      /* [n_sites, n_factors] */
    nissl_tuning *twin_tuning; /* [n_sites, n_factors], NULL without a twin; curve and curve_se are
                                  NULL, they are not kept */
    nissl_table sites;
    nissl_table units;
    nissl_finding *findings; /* [n_findings] strongest first */
    size_t n_findings;
    char **not_tested; /* [n_not_tested] sentences: what this examination leaves open */
    size_t n_not_tested;
    double seconds_recording, seconds_tuning;
    uint64_t planned_bytes;  /* planned allocations */
    uint64_t expected_bytes; /* peak resident size that the plan expects (nissl_plan_resident) */
    uint64_t baseline_bytes; /* resident size of the process before it began */
    uint64_t resident_bytes; /* its peak, baseline included; 0 where the system does not tell */
} nissl_examination;

/**
 * Examines a network: writes recording.nwb (and twin.nwb) and the tables sites, units, findings and
 * not_tested, each as .csv and .json, into a folder that exists, and returns what the report needs.
 * Existing files of these names are replaced.
 *
 * @param stimuli what to show; factors with 2 .. 1000 levels are tuned to.
 * @param opt     NULL for defaults.
 * @param out     untouched on error.
 * @return NISSL_OK; NISSL_ERR_IO; NISSL_ERR_NAME, NISSL_ERR_SHAPE from the plan; NISSL_ERR_LIMIT if
 * the tuning curves exceed the context's memory limit, with both numbers; NISSL_ERR_MEMORY;
 * NISSL_ERR_CANCELLED.
 *
 * Cost: one pass of the network and its twin over the stimuli, then O(n log n) per unit and factor
 * in the number of stimuli.
 */
nissl_status nissl_examine(nissl_context *ctx, const nissl_network *network,
                           const nissl_stimuli *stimuli, const nissl_examine_options *opt,
                           const char *directory, nissl_examination *out, nissl_error *err);
void nissl_examination_free(nissl_examination *examination);

/**
 * Preferred values of a tuned factor where all other factors are those of each unit's best
 * stimulus, as the units table has them, of the network or of the twin.
 * @param recording that of the network or of the twin.
 * @param f         index into examination->factors.
 * @param preferred [n_units] in the factor's unit; NaN where there is none, and for factors without
 *                  numbers.
 * @param strength  [n_units] for a circular factor how strong the preference is, else NaN.
 */
nissl_status nissl_examination_preferences(const nissl_examination *examination,
                                           const nissl_recording *recording, size_t site, int f,
                                           double *preferred, double *strength, nissl_error *err);

/**
 * The built-in default: an analytic model of early visual cortex (S1 and C1 of Riesenhuber & Poggio
 * 1999, with the parameters of Serre et al. 2007). Gabor simple cells over orientations and scales,
 * rectified; complex cells by max pooling over position, phase and neighbouring scales. Written as
 * an ONNX file whose truth is known. Input "image" [batch, 1, side, side], grey in 0 .. 1.
 */
typedef struct nissl_visual_cortex_options {
    int side;           /* input pixels a side; 0 = 64 */
    int n_orientations; /* 0 = 8 */
    int n_scales;       /* 1 .. 16, smallest first; 0 = 4 */
} nissl_visual_cortex_options;

/** Stimuli that tell the cells of the default model apart. Frequencies are odd, so that the pixels
 * of 64 sample every phase of a grating: at 16 a rectified cell would see 4 of them, and its mean
 * would depend on which. */
#define NISSL_VISUAL_CORTEX_STIMULI                                                                \
    "gratings:orientations=16,frequencies=5,7,9,11,13,15,17,19,21,phases=4+shapes"

/** What is built in: an entry per simple cell of the sites "S1/scale<s>/rectified", then one per
 * complex cell of "C1/band<b>/complex". The terms are those of the gratings in nissl/stimuli.h. */
typedef struct nissl_visual_cortex_unit {
    char site[64];
    int64_t unit;
    double orientation; /* degrees, 0 <= orientation < 180, of the preferred grating's bars */
    double frequency;   /* cycles per image */
    double phase;       /* degrees, of the best grating where the cell looks; NaN: complex cell */
    bool complex_cell;
} nissl_visual_cortex_unit;

/**
 * Writes the model.
 * @param opt   NULL for defaults.
 * @param units receives its truth, malloc'ed [n_units], the caller frees it with free(); may be
 * NULL.
 * @return NISSL_OK; NISSL_ERR_RANGE naming the option; NISSL_ERR_IO; NISSL_ERR_MEMORY.
 */
nissl_status nissl_visual_cortex_write(const nissl_visual_cortex_options *opt, const char *path,
                                       nissl_visual_cortex_unit **units, size_t *n_units,
                                       nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
