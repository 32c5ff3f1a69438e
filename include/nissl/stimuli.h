/**
 * Stimulus sets: ordered inputs with an id, an optional label and any number of factors.
 *
 * Token ids, for networks whose input is int64 or int32 [n, tokens]: an integer npy [n, tokens], or
 * text with one stimulus a line, ids separated by blanks or commas. Stimuli may differ in length;
 * the shorter are padded behind with -1 (an npy writes it so), and padding never counts as a
 * sample.
 *
 * Sources: a folder of JPEG and PNG images (class from the subfolder, from a CSV
 * "path,label,factor...", or none), IDX (plain or gzip, labels beside it), npy, CSV rows, the
 * CIFAR-10 binary layout, and generators. Loading is thread-safe and reads one stimulus at a time,
 * so a set may be larger than memory.
 */
#ifndef NISSL_STIMULI_H
#define NISSL_STIMULI_H

#include "nissl/array.h"
#include "nissl/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nissl_stimuli nissl_stimuli;

typedef enum nissl_factor_kind {
    NISSL_FACTOR_CATEGORICAL,
    NISSL_FACTOR_CONTINUOUS
} nissl_factor_kind;

/** A factor, e.g. orientation. The label, where a set has one, is the first factor and is named
 * "label". */
typedef struct nissl_factor {
    const char *name;
    const char *unit; /* "deg", "cycles/image"; "" where none */
    nissl_factor_kind kind;
    int n_levels; /* distinct values; 0 for a continuous factor with more than 256 of them */
    const char *const
        *levels; /* [n_levels] text of each level, sorted (numerically where all are numbers) */
    const int32_t *level; /* [n_stimuli] index into levels, -1 = missing; NULL if n_levels is 0 */
    const double *value;  /* [n_stimuli] NaN = missing; for categorical factors NULL */
} nissl_factor;

typedef struct nissl_stimuli_options {
    const char *preprocess; /* JSON file or JSON text beginning with "{"; NULL = beside the data
                               ("preprocess.json"), or defaults */
    const char *labels;     /* CSV "path,label,factor..." or IDX/npy labels; NULL = automatic */
    const nissl_view *input_shape; /* shape [1, ...] and type the network wants, -1 where free;
                                      NULL = whatever the data has */
    int64_t limit;                 /* use the first so many stimuli; 0 = all */
} nissl_stimuli_options;

nissl_stimuli_options nissl_stimuli_options_default(void);

/**
 * Opens a stimulus set. path is a file or folder, or a generator: "gratings",
 * "gratings:orientations=12,...", "noise:n=500", "shapes", and joined with "+": "gratings+shapes".
 * A generator needs input_shape. Image sizes, types and labels are checked here; pixels are decoded
 * on load.
 *
 * Generators (a list is written key=a,b,c; one whole number for orientations, phases or positions
 * is a count):
 *
 * gratings: orientations=12, frequencies=2,4,8,... octaves up to a quarter of the shorter side,
 *     phases=4, contrasts=1; factors orientation (deg), frequency (cycles/image), phase (deg),
 *     contrast. Orientation is that of the bars: 0 = horizontal, 90 = vertical, growing
 *     counter-clockwise as seen (45 rises to the right), 0 <= orientation < 180. A count of n gives
 *     i 180 / n and, for phases, i 360 / n. With x to the right and y down, both from the image's
 *     centre in units of the shorter side, x = (column + 1/2 - width / 2) / min(width, height), y
 *     likewise with rows, frequency f in cycles per shorter side, t = 90 deg - orientation the
 *     direction along which luminance changes, the luminance is
 *         L(x, y) = 1/2 + contrast / 2 cos(2 pi f (x cos t + y sin t) + phase),
 *     0 black, 1 white. So phase 0 has the middle of a bright bar at the centre.
 * noise: n=100, seed=0; independent grey values, uniform on 0 .. 1, one per pixel.
 * shapes: shapes=circle,square,triangle,cross, positions=3 (an n by n lattice), sizes=0.25,0.5 (of
 *     the shorter side), colours=white,red,green,blue (white alone for one channel), on mid-grey;
 *     factors shape, x, y (fraction of the image), size, colour.
 *
 * A generator's luminance is a picture value of 255 L, not rounded, and then takes the scale, mean,
 * deviation and channel order of the preprocessing, which without any is x / 255.
 *
 * @return NISSL_OK; NISSL_ERR_IO; NISSL_ERR_FORMAT; NISSL_ERR_LIMIT; NISSL_ERR_ARGUMENT for an
 * unknown generator, option or preprocessing key; NISSL_ERR_SHAPE with both shapes.
 */
nissl_status nissl_stimuli_open(nissl_context *ctx, const char *path,
                                const nissl_stimuli_options *opt, nissl_stimuli **out,
                                nissl_error *err);
void nissl_stimuli_free(nissl_stimuli *stimuli);

int64_t nissl_stimuli_count(const nissl_stimuli *stimuli);
const char *nissl_stimuli_source(const nissl_stimuli *stimuli); /* the path or generator text */
const char *nissl_stimuli_id(const nissl_stimuli *stimuli,
                             int64_t index); /* unique: "n01440764_tench.JPEG" */
int nissl_stimuli_n_factors(const nissl_stimuli *stimuli);
const nissl_factor *nissl_stimuli_factor(const nissl_stimuli *stimuli, int index);
/** Shape of one stimulus as the network sees it, without the batch axis. */
int nissl_stimuli_shape(const nissl_stimuli *stimuli, int64_t shape[NISSL_MAX_RANK]);
/** The type that is loaded: float32, or int64 or int32 for token ids. */
nissl_type nissl_stimuli_type(const nissl_stimuli *stimuli);
/** How many entries along its first axis a stimulus has; what follows them is padding. 0 outside
 * the set. */
int64_t nissl_stimuli_length(const nissl_stimuli *stimuli, int64_t index);
/** The preprocessing in force, as JSON text. Lives with the set. */
const char *nissl_stimuli_preprocess(const nissl_stimuli *stimuli);
/** Hash over ids, labels, factors, preprocessing and the bytes of the sources. Reads every file
 * once. */
nissl_status nissl_stimuli_hash(nissl_context *ctx, const nissl_stimuli *stimuli, uint64_t *out,
                                nissl_error *err);

/**
 * Decodes and preprocesses stimuli first .. first + n - 1. Thread-safe.
 * @param out [n, shape...] row-major, of the type that nissl_stimuli_type tells.
 */
nissl_status nissl_stimuli_load(const nissl_stimuli *stimuli, int64_t first, int64_t n, void *out,
                                nissl_error *err);

/**
 * A picture of a stimulus for people, at most max_side pixels a side; small ones are enlarged by
 * whole factors. A vector that is no image becomes a bar chart of its values. Thread-safe.
 * @param rgb malloc'ed [height, width, 3]; the caller frees it.
 */
nissl_status nissl_stimuli_picture(const nissl_stimuli *stimuli, int64_t index, int max_side,
                                   uint8_t **rgb, int *width, int *height, nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
