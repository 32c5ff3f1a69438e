/*
 * Resampling of 8-bit images by the rule of the Python imaging library (Pillow 13), bit for bit.
 *
 * Separable, each pass rounded to 8 bits: the horizontal pass comes first, except where height
 * shrinks by more than twice the pixels that width does. (Before Pillow 13 the horizontal pass was
 * always first; the two differ by one grey level in a part of the pixels of tall images.) A
 * filter's support is scaled by the reduction factor, so that reducing averages; coefficients are
 * normalised in double precision, then rounded to 22 fractional bits. Oracle: oracles/images.py.
 */
#ifndef NISSL__FORMATS_RESAMPLE_H
#define NISSL__FORMATS_RESAMPLE_H

#include "foundation/foundation.h"

typedef enum nissl__filter {
    NISSL__FILTER_NEAREST,
    NISSL__FILTER_BOX,
    NISSL__FILTER_BILINEAR,
    NISSL__FILTER_HAMMING,
    NISSL__FILTER_BICUBIC,
    NISSL__FILTER_LANCZOS,
    NISSL__FILTER_COUNT
} nissl__filter;

const char *nissl__filter_name(nissl__filter filter); /* "bilinear" */
bool nissl__filter_find(const char *name, nissl__filter *out);

/* Resamples [height, width, channels] bytes, 1 to 4 channels, each for itself.
 * from:   row-major, without gaps
 * budget: bytes that may be allocated for coefficients and for the rows between the passes
 * to:     memory for to_height * to_width * channels bytes */
nissl_status nissl__resample(const uint8_t *from, int64_t height, int64_t width, int channels,
                             nissl__filter filter, uint64_t budget, uint8_t *to, int64_t to_height,
                             int64_t to_width, nissl_error *err);

#endif
