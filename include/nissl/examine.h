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

/** What an examination found. Owned; free with nissl_examination_free. */
typedef struct nissl_examination {
    nissl_recording *recording;
    nissl_recording *twin;     /* NULL without one */
    size_t n_sites;            /* those of the recording, in its order */
    int n_factors;             /* factors with 2 .. 1000 levels, each tuned to */
    int *factors;              /* [n_factors] indices into the recording's factors */
    nissl_tuning *tuning;      /* [n_sites, n_factors] */
    nissl_tuning *twin_tuning; /* [n_sites, n_factors], NULL without a twin */
    nissl_table sites; /* a row per site: size, cost, medians of the indices beside the twin's */
    nissl_table units; /* a row per unit and factor */
    double seconds_recording, seconds_tuning;
    uint64_t planned_bytes, resident_bytes; /* planned allocations; peak resident size */
} nissl_examination;

/**
 * Examines a network: writes recording.nwb (and twin.nwb), sites.csv, sites.json, units.csv and
 * units.json into a folder that exists, and returns what the report needs.
 */
nissl_status nissl_examine(nissl_context *ctx, const nissl_network *network,
                           const nissl_stimuli *stimuli, const nissl_examine_options *opt,
                           const char *directory, nissl_examination *out, nissl_error *err);
void nissl_examination_free(nissl_examination *examination);

/**
 * The built-in default: an analytic model of early visual cortex (S1 and C1 of Riesenhuber & Poggio
 * 1999, with the parameters of Serre et al. 2007). Gabor simple cells over orientations and scales,
 * rectified; complex cells by max pooling over position and neighbouring scales. Written as an ONNX
 * file whose truth is known.
 */
typedef struct nissl_visual_cortex_options {
    int side;           /* input pixels a side; 0 = 64 */
    int n_orientations; /* 0 = 8 */
    int n_scales;       /* 0 = 4 */
} nissl_visual_cortex_options;

/** What is built in, one entry per simple-cell channel of each scale's site. */
typedef struct nissl_visual_cortex_unit {
    char site[64];
    int64_t unit;
    double orientation; /* degrees 0 .. 180 of the preferred grating's bars */
    double frequency;   /* cycles per image */
    double phase;       /* degrees */
    bool complex_cell;
} nissl_visual_cortex_unit;

/** Writes the model; units (malloc'ed, caller frees with free(), may be NULL to skip) receives its
 * truth. */
nissl_status nissl_visual_cortex_write(const nissl_visual_cortex_options *opt, const char *path,
                                       nissl_visual_cortex_unit **units, size_t *n_units,
                                       nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
