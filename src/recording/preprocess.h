/*
 * Preprocessing: from an item as its source has it to what the network sees. docs/preprocess.md
 * describes the JSON.
 */
#ifndef NISSL__RECORDING_PREPROCESS_H
#define NISSL__RECORDING_PREPROCESS_H

#include "formats/resample.h"
#include "foundation/foundation.h"

/* What an item is: an image [height, width, channels] of values 0 .. 255, with 1 or 3 channels; an
 * array; or token ids. */
typedef struct nissl__form {
    bool image;
    bool drawn;  /* an image made for the network's input size: float values, never resized */
    bool tokens; /* ids, rank 1; the shape is that of the longest */
    int rank;
    int64_t shape[NISSL_MAX_RANK]; /* height and width are -1 where images differ */
} nissl__form;

typedef struct nissl__item {
    nissl__form form;
    const uint8_t *bytes; /* images that are not drawn */
    const float *values;  /* the others */
    const int32_t *ids;   /* of token ids, and nothing else */
    void *memory;         /* what the above points into, if the item owns it */
} nissl__item;

void nissl__item_free(nissl__item *item);

typedef enum nissl__resize_kind {
    NISSL__RESIZE_NONE,
    NISSL__RESIZE_SHORTER,
    NISSL__RESIZE_EXACT,
    NISSL__RESIZE_COVER
} nissl__resize_kind;
typedef enum nissl__channels {
    NISSL__CHANNELS_KEEP,
    NISSL__CHANNELS_RGB,
    NISSL__CHANNELS_BGR,
    NISSL__CHANNELS_GREY
} nissl__channels;
typedef enum nissl__layout {
    NISSL__LAYOUT_AUTO,
    NISSL__LAYOUT_NCHW,
    NISSL__LAYOUT_NHWC,
    NISSL__LAYOUT_FLAT
} nissl__layout;

typedef struct nissl__preprocess {
    nissl__resize_kind resize;
    int64_t height, width; /* of the resize; of SHORTER both are the shorter side */
    nissl__filter filter;
    bool crop;
    int64_t crop_height, crop_width;
    nissl__channels channels;
    bool has_scale, has_divide;
    float scale, divide;
    int64_t n_mean, n_std; /* 0, 1, or one per channel or feature */
    float *mean, *std;
    nissl__layout layout;
    bool prose; /* read from the form with steps in prose */
} nissl__preprocess;

/* Reads JSON text. label stands for its file in messages. An unknown key is NISSL_ERR_ARGUMENT
 * naming it. */
nissl_status nissl__preprocess_parse(const char *label, const char *text, size_t size,
                                     nissl__preprocess *out, nissl_error *err);
void nissl__preprocess_free(nissl__preprocess *preprocess);
nissl_status nissl__preprocess_copy(const nissl__preprocess *from, nissl__preprocess *out,
                                    nissl_error *err);
/* JSON text that reads back as the same; allocated. */
nissl_status nissl__preprocess_json(const nissl__preprocess *preprocess, char **out,
                                    nissl_error *err);

/* A preprocessing with every default filled in for one form and one network input. */
typedef struct nissl__pipeline {
    nissl__preprocess steps;
    nissl__form form;
    int64_t channels;              /* images: of the output */
    int64_t out_height, out_width; /* images: -1 until the first item's size is known */
    int rank;                      /* of one stimulus as the network sees it */
    int64_t shape[NISSL_MAX_RANK];
    uint64_t budget;
} nissl__pipeline;

/* given may be NULL: then the defaults. wanted (shape [1, ...], -1 = free) may be NULL. sizes: [n,
 * 2] or NULL. what names the source and item_name(user, i) an item, for messages. */
nissl_status nissl__pipeline_new(const char *what, const nissl__form *form, const int64_t *sizes,
                                 int64_t n, const nissl__preprocess *given,
                                 const nissl_view *wanted, uint64_t budget, nissl__pipeline *out,
                                 int64_t *bad_item, nissl_error *err);
void nissl__pipeline_free(nissl__pipeline *pipeline);

/* The picture that a network input wants: the size and channels that a generator draws.
 * NISSL_ERR_SHAPE where it is free or no picture. */
nissl_status nissl__picture_of_input(const nissl_view *wanted, int64_t *height, int64_t *width,
                                     int64_t *channels, nissl_error *err);

/* One item to float32 of the pipeline's shape, row-major. */
nissl_status nissl__pipeline_apply(const nissl__pipeline *pipeline, const nissl__item *item,
                                   float *out, nissl_error *err);
/* The item resized and cropped, before any change of values, as 8-bit RGB [height, width, 3];
 * images only. Allocated with malloc. */
nissl_status nissl__pipeline_picture(const nissl__pipeline *pipeline, const nissl__item *item,
                                     uint8_t **rgb, int64_t *height, int64_t *width,
                                     nissl_error *err);

#endif
