/* Applying preprocessing: defaults for a network input, checks of shapes, and the work itself. */
#include <stdio.h>

#include "recording/preprocess.h"

#define MAX_SIDE ((int64_t)1 << 24) /* so that three channels of a square are far from 2^63 */

void nissl__item_free(nissl__item *item)
{
    nissl__free(item->memory);
    *item = (nissl__item){0};
}

void nissl__pipeline_free(nissl__pipeline *pipeline)
{
    if (!pipeline)
        return;
    nissl__preprocess_free(&pipeline->steps);
    *pipeline = (nissl__pipeline){0};
}

/* ---- the picture of an input ---- */

typedef struct picture {
    bool flat;
    int64_t count;                   /* of a flat input */
    int64_t height, width, channels; /* -1 = free */
    nissl__layout layout;
} picture;

static bool one_or_three(int64_t n)
{
    return n == 1 || n == 3;
}

/* The picture that an input of that shape takes; false where it takes none. */
static bool picture_of(const nissl_view *wanted, picture *out)
{
    picture p = {.height = -1, .width = -1, .channels = -1, .layout = NISSL__LAYOUT_NCHW};
    int64_t count = 1;
    int n_long = 0, n_free = 0;
    const int64_t *d = wanted->shape + 1;
    for (int i = 1; i < wanted->rank; i++) {
        n_long += wanted->shape[i] != 1;
        n_free += wanted->shape[i] < 0;
        if (!nissl__mul(count, wanted->shape[i] < 0 ? 1 : wanted->shape[i], &count))
            return false;
    }
    if (n_long <= 1 && n_free == 0) {
        int64_t side = (int64_t)llround(sqrt((double)count));
        int64_t side_rgb = (int64_t)llround(sqrt((double)count / 3));
        p.flat = true;
        p.count = count;
        if (side * side == count) {
            p.height = p.width = side;
            p.channels = 1;
        } else if (3 * side_rgb * side_rgb == count) {
            p.height = p.width = side_rgb;
            p.channels = 3;
        }
    } else if (wanted->rank == 4 && (one_or_three(d[0]) || (d[0] < 0 && !one_or_three(d[2])))) {
        p.channels = d[0];
        p.height = d[1];
        p.width = d[2];
    } else if (wanted->rank == 4 && one_or_three(d[2])) {
        p.layout = NISSL__LAYOUT_NHWC;
        p.height = d[0];
        p.width = d[1];
        p.channels = d[2];
    } else if (wanted->rank == 3) {
        p.height = d[0];
        p.width = d[1];
        p.channels = 1;
    } else {
        return false;
    }
    *out = p;
    return true;
}

static void shape_text(const int64_t *shape, int rank, bool batch, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[%s", batch ? "n" : "");
    for (int i = 0; i < rank && n < size; i++) {
        const char *comma = i || batch ? ", " : "";
        if (shape[i] < 0)
            n += (size_t)snprintf(out + n, size - n, "%sany", comma);
        else
            n += (size_t)snprintf(out + n, size - n, "%s%lld", comma, (long long)shape[i]);
    }
    if (n < size)
        snprintf(out + n, size - n, "]");
}

nissl_status nissl__picture_of_input(const nissl_view *wanted, int64_t *height, int64_t *width,
                                     int64_t *channels, nissl_error *err)
{
    picture p;
    char text[200];
    if (!wanted)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                           "a generator needs the input shape of a network");
    shape_text(wanted->shape + 1, wanted->rank - 1, true, text, sizeof text);
    if (!picture_of(wanted, &p) || p.height < 1 || p.width < 1)
        return NISSL__FAIL(
            err, NISSL_ERR_SHAPE,
            "the network's input %s is no picture of known size: [n, channels, height, width], [n, "
            "height, width, channels] or [n, side * side * channels] is",
            text);
    *height = p.height;
    *width = p.width;
    *channels = p.channels < 0 ? 1 : p.channels;
    return NISSL_OK;
}

/* ---- sizes ---- */

/* Size of an image after the resize. Sides are rounded half to even, as Python's round does. */
static void resized(const nissl__preprocess *steps, int64_t height, int64_t width,
                    int64_t *out_height, int64_t *out_width)
{
    double factor;
    *out_height = height;
    *out_width = width;
    switch (steps->resize) {
    case NISSL__RESIZE_NONE: break;
    case NISSL__RESIZE_SHORTER:
        *out_height = (int64_t)nearbyint((double)(height * steps->height) /
                                         (double)NISSL__MIN(height, width));
        *out_width =
            (int64_t)nearbyint((double)(width * steps->height) / (double)NISSL__MIN(height, width));
        break;
    case NISSL__RESIZE_EXACT:
        *out_height = steps->height;
        *out_width = steps->width;
        break;
    case NISSL__RESIZE_COVER:
        factor = NISSL__MAX((double)steps->height / (double)height,
                            (double)steps->width / (double)width);
        *out_height = NISSL__MAX((int64_t)nearbyint((double)height * factor), steps->height);
        *out_width = NISSL__MAX((int64_t)nearbyint((double)width * factor), steps->width);
        break;
    }
}

static nissl_status framed_size(const nissl__preprocess *steps, int64_t height, int64_t width,
                                int64_t *out_height, int64_t *out_width, nissl_error *err)
{
    int64_t h, w;
    resized(steps, height, width, &h, &w);
    if (h > MAX_SIDE || w > MAX_SIDE || h < 1 || w < 1)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "an image of %lld x %lld pixels would become %lld x %lld; sides of 1 to "
                           "%lld are possible",
                           (long long)width, (long long)height, (long long)w, (long long)h,
                           (long long)MAX_SIDE);
    if (steps->crop) {
        if (h < steps->crop_height || w < steps->crop_width)
            return NISSL__FAIL(
                err, NISSL_ERR_SHAPE,
                "an image of %lld x %lld pixels is smaller than the crop of %lld x %lld",
                (long long)w, (long long)h, (long long)steps->crop_width,
                (long long)steps->crop_height);
        h = steps->crop_height;
        w = steps->crop_width;
    }
    *out_height = h;
    *out_width = w;
    return NISSL_OK;
}

/* ---- making a pipeline ---- */

/* A shape fits where sizes agree one by one, where both are the same but for axes of 1, or where
 * one of them is flat and the counts agree. */
static bool fit_shape(int rank, const int64_t *shape, int wanted_rank, const int64_t *wanted,
                      int64_t *out)
{
    int64_t count = 1, wanted_count = 1, a[NISSL_MAX_RANK], b[NISSL_MAX_RANK];
    int n_a = 0, n_b = 0, free_axis = -1, n_free = 0;
    bool same = rank == wanted_rank;
    for (int i = 0; same && i < rank; i++)
        same = wanted[i] < 0 || wanted[i] == shape[i];
    if (same) {
        memcpy(out, shape, (size_t)rank * sizeof *out);
        return true;
    }
    for (int i = 0; i < rank; i++) {
        count *= shape[i];
        if (shape[i] != 1)
            a[n_a++] = shape[i];
    }
    for (int i = 0; i < wanted_rank; i++) {
        out[i] = wanted[i];
        if (wanted[i] < 0) {
            n_free++;
            free_axis = i;
        } else if (!nissl__mul(wanted_count, wanted[i], &wanted_count)) {
            return false;
        }
    }
    if (n_free > 1 || wanted_count == 0)
        return false;
    if (n_free == 1) {
        if (count % wanted_count)
            return false;
        out[free_axis] = count / wanted_count;
    } else if (count != wanted_count) {
        return false;
    }
    for (int i = 0; i < wanted_rank; i++)
        if (out[i] != 1)
            b[n_b++] = out[i];
    if (n_a <= 1 || n_b <= 1)
        return true;
    return n_a == n_b && memcmp(a, b, (size_t)n_a * sizeof *a) == 0;
}

static nissl_status fit(const char *what, int rank, const int64_t *shape, const nissl_view *wanted,
                        nissl__pipeline *pipeline, nissl_error *err)
{
    char have[200], want[200];
    if (!wanted) {
        pipeline->rank = rank;
        memcpy(pipeline->shape, shape, (size_t)rank * sizeof *shape);
        return NISSL_OK;
    }
    if (fit_shape(rank, shape, wanted->rank - 1, wanted->shape + 1, pipeline->shape)) {
        pipeline->rank = wanted->rank - 1;
        return NISSL_OK;
    }
    shape_text(shape, rank, true, have, sizeof have);
    shape_text(wanted->shape + 1, wanted->rank - 1, true, want, sizeof want);
    return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                       "%s: stimuli of shape %s do not fit the network's input %s", what, have,
                       want);
}

static nissl_status check_values(const char *what, const nissl__preprocess *steps, int64_t count,
                                 int64_t channels, nissl_error *err)
{
    const int64_t n[2] = {steps->n_mean, steps->n_std};
    for (int i = 0; i < 2; i++)
        if (n[i] > 1 && n[i] != channels && n[i] != count)
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "%s: \"%s\" has %lld values, a stimulus has %lld channels", what,
                               i ? "std" : "mean", (long long)n[i], (long long)channels);
    return NISSL_OK;
}

/* Do all images have this size? */
static bool all_of_size(const nissl__form *form, const int64_t *sizes, int64_t n, int64_t height,
                        int64_t width)
{
    if (!sizes)
        return form->shape[0] == height && form->shape[1] == width;
    for (int64_t i = 0; i < n; i++)
        if (sizes[2 * i] != height || sizes[2 * i + 1] != width)
            return false;
    return true;
}

/* What the preprocessing leaves open, from the network's input. */
static void fill_image_defaults(nissl__pipeline *p, const int64_t *sizes, int64_t n,
                                const nissl_view *wanted)
{
    nissl__preprocess *steps = &p->steps;
    int64_t channels = p->form.shape[2];
    picture target = {.height = -1, .width = -1, .channels = -1, .layout = NISSL__LAYOUT_NCHW};
    int64_t height = sizes ? sizes[0] : p->form.shape[0],
            width = sizes ? sizes[1] : p->form.shape[1];
    if (wanted)
        (void)picture_of(wanted, &target);
    /* A flat input takes an image as it is where the counts agree, and otherwise a square. */
    if (target.flat && all_of_size(&p->form, sizes, n, height, width)) {
        if (height * width * channels == target.count)
            target = (picture){
                .height = height, .width = width, .channels = channels, .layout = target.layout};
        else if (height * width == target.count)
            target =
                (picture){.height = height, .width = width, .channels = 1, .layout = target.layout};
    }
    if (steps->layout == NISSL__LAYOUT_AUTO)
        steps->layout = target.layout;
    if (steps->channels == NISSL__CHANNELS_KEEP)
        steps->channels = (one_or_three(target.channels) ? target.channels : channels) == 1
                              ? NISSL__CHANNELS_GREY
                              : NISSL__CHANNELS_RGB;
    p->channels = steps->channels == NISSL__CHANNELS_GREY ? 1 : 3;
    if (p->form.drawn) {
        steps->resize = NISSL__RESIZE_NONE;
        steps->crop = false;
    } else if (steps->resize == NISSL__RESIZE_NONE && !steps->crop && target.height > 0 &&
               target.width > 0 && !all_of_size(&p->form, sizes, n, target.height, target.width)) {
        steps->resize = target.height == target.width ? NISSL__RESIZE_SHORTER : NISSL__RESIZE_COVER;
        steps->filter = NISSL__FILTER_BILINEAR;
        steps->height = steps->crop_height = target.height;
        steps->width = steps->crop_width = target.width;
        steps->crop = true;
    }
}

static nissl_status new_for_images(const char *what, const int64_t *sizes, int64_t n,
                                   const nissl_view *wanted, nissl__pipeline *p, int64_t *bad_item,
                                   nissl_error *err)
{
    nissl_status status;
    int64_t height = 0, width = 0, shape[3];
    fill_image_defaults(p, sizes, n, wanted);
    for (int64_t i = 0; i < (sizes ? n : 1); i++) {
        int64_t h = sizes ? sizes[2 * i] : p->form.shape[0],
                w = sizes ? sizes[2 * i + 1] : p->form.shape[1];
        *bad_item = sizes ? i : -1;
        if ((status = framed_size(&p->steps, h, w, &height, &width, err)) != NISSL_OK)
            return status;
        if (i == 0) {
            p->out_height = height;
            p->out_width = width;
        } else if (height != p->out_height || width != p->out_width) {
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "%lld x %lld pixels where the images before have %lld x %lld; give "
                               "a preprocessing that "
                               "resizes and crops",
                               (long long)width, (long long)height, (long long)p->out_width,
                               (long long)p->out_height);
        }
    }
    *bad_item = -1;
    if ((status = check_values(what, &p->steps, p->channels, p->channels, err)) != NISSL_OK)
        return status;
    if (p->steps.layout == NISSL__LAYOUT_NHWC) {
        shape[0] = p->out_height;
        shape[1] = p->out_width;
        shape[2] = p->channels;
    } else {
        shape[0] = p->channels;
        shape[1] = p->out_height;
        shape[2] = p->out_width;
    }
    if (p->steps.layout == NISSL__LAYOUT_FLAT)
        shape[0] *= shape[1] * shape[2];
    return fit(what, p->steps.layout == NISSL__LAYOUT_FLAT ? 1 : 3, shape, wanted, p, err);
}

static nissl_status new_for_arrays(const char *what, const nissl_view *wanted, nissl__pipeline *p,
                                   nissl_error *err)
{
    nissl_status status;
    int64_t count = 1, channels;
    const nissl__form *form = &p->form;
    char text[200];
    if (p->steps.resize != NISSL__RESIZE_NONE || p->steps.crop ||
        p->steps.channels != NISSL__CHANNELS_KEEP) {
        shape_text(form->shape, form->rank, true, text, sizeof text);
        return NISSL__FAIL(
            err, NISSL_ERR_ARGUMENT,
            "%s: resize, crop and channels are for images; these stimuli are arrays %s", what,
            text);
    }
    for (int i = 0; i < form->rank; i++)
        count *= form->shape[i];
    channels = form->rank == 0                         ? 1
               : p->steps.layout == NISSL__LAYOUT_NHWC ? form->shape[form->rank - 1]
                                                       : form->shape[0];
    p->channels = channels;
    if ((status = check_values(what, &p->steps, count, channels, err)) != NISSL_OK)
        return status;
    if (p->steps.layout == NISSL__LAYOUT_FLAT)
        return fit(what, 1, &count, wanted, p, err);
    return fit(what, form->rank, form->shape, wanted, p, err);
}

/* Ids are shown as they are, the shorter stimuli padded to the longest or to what the network
 * takes. */
static nissl_status new_for_tokens(const char *what, bool given, const nissl_view *wanted,
                                   nissl__pipeline *p, nissl_error *err)
{
    int64_t longest = p->form.shape[0], n = longest;
    if (given)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                           "%s: preprocessing is for images and arrays; these are token ids", what);
    if (wanted && wanted->rank != 2)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "%s: token ids for an input of %d axes; [n, tokens] has 2", what,
                           wanted->rank);
    if (wanted && wanted->shape[1] >= 0)
        n = wanted->shape[1];
    if (longest > n)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "%s: a stimulus of %lld tokens; the network takes %lld", what,
                           (long long)longest, (long long)n);
    p->rank = 1;
    p->shape[0] = n;
    return NISSL_OK;
}

nissl_status nissl__pipeline_new(const char *what, const nissl__form *form, const int64_t *sizes,
                                 int64_t n, const nissl__preprocess *given,
                                 const nissl_view *wanted, uint64_t budget, nissl__pipeline *out,
                                 int64_t *bad_item, nissl_error *err)
{
    nissl__pipeline pipeline = {.form = *form, .budget = budget, .out_height = -1, .out_width = -1};
    nissl_status status = NISSL_OK;
    *bad_item = -1;
    if (given) {
        if ((status = nissl__preprocess_copy(given, &pipeline.steps, err)) != NISSL_OK)
            return status;
    } else if (form->image) {
        pipeline.steps.has_divide = true;
        pipeline.steps.divide = 255;
    }
    if (form->tokens)
        status = new_for_tokens(what, given != NULL, wanted, &pipeline, err);
    else if (form->image)
        status = new_for_images(what, sizes, n, wanted, &pipeline, bad_item, err);
    else
        status = new_for_arrays(what, wanted, &pipeline, err);
    if (status == NISSL_OK)
        *out = pipeline;
    else
        nissl__pipeline_free(&pipeline);
    return status;
}

/* ---- applying ---- */

/* An image after resize and crop. */
typedef struct frame {
    const uint8_t *bytes;       /* at the first pixel, or NULL */
    const float *values;        /* the same for drawn images */
    int64_t height, width, row; /* row: elements from one row to the next */
    int channels;
    uint8_t *memory;
} frame;

static nissl_status frame_of(const nissl__pipeline *p, const nissl__item *item, frame *out,
                             nissl_error *err)
{
    int64_t height = item->form.shape[0], width = item->form.shape[1], h, w, bytes;
    frame f = {.bytes = item->bytes, .values = item->values, .channels = (int)item->form.shape[2]};
    nissl_status status = framed_size(&p->steps, height, width, &f.height, &f.width, err);
    if (status != NISSL_OK)
        return status;
    if (f.height != p->out_height || f.width != p->out_width)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "%lld x %lld pixels, %lld x %lld were there when the set was opened",
                           (long long)f.width, (long long)f.height, (long long)p->out_width,
                           (long long)p->out_height);
    resized(&p->steps, height, width, &h, &w);
    if (f.bytes && (h != height || w != width)) {
        if (!nissl__mul(h, w, &bytes) || !nissl__mul(bytes, f.channels, &bytes) ||
            (uint64_t)bytes > p->budget)
            return NISSL__FAIL(
                err, NISSL_ERR_LIMIT,
                "a resized image of %lld x %lld pixels exceeds the budget of %llu bytes",
                (long long)w, (long long)h, (unsigned long long)p->budget);
        f.memory = nissl__alloc((size_t)bytes, 1);
        if (!f.memory)
            return NISSL__NO_MEMORY(err, (size_t)bytes);
        status = nissl__resample(f.bytes, height, width, f.channels, p->steps.filter, p->budget,
                                 f.memory, h, w, err);
        if (status != NISSL_OK) {
            nissl__free(f.memory);
            return status;
        }
        f.bytes = f.memory;
    }
    f.row = w * f.channels;
    int64_t skip = (h - f.height) / 2 * f.row + (w - f.width) / 2 * f.channels;
    if (f.bytes)
        f.bytes += skip;
    else
        f.values += skip;
    *out = f;
    return NISSL_OK;
}

/* scale, divide, mean, std in this order, each rounded to float32 as numpy does. */
static float change_value(const nissl__preprocess *steps, float x, int64_t mean_index,
                          int64_t std_index)
{
    if (steps->has_scale)
        x *= steps->scale;
    if (steps->has_divide)
        x /= steps->divide;
    if (steps->n_mean)
        x -= steps->mean[mean_index];
    if (steps->n_std)
        x /= steps->std[std_index];
    return x;
}

/* The luma that the imaging library's grey conversion takes (ITU-R 601-2, 16 fractional bits). */
static uint8_t luma(const uint8_t *rgb)
{
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

static float luma_of_values(const float *rgb)
{
    return 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
}

/* Where output channel k comes from: a channel of the frame, or -1 for luma. */
static int source_channel(const nissl__pipeline *p, const frame *f, int64_t k)
{
    if (f->channels == 1)
        return 0;
    if (p->steps.channels == NISSL__CHANNELS_GREY)
        return -1;
    return p->steps.channels == NISSL__CHANNELS_BGR ? 2 - (int)k : (int)k;
}

static void write_frame(const nissl__pipeline *p, const frame *f, float *out)
{
    bool last = p->steps.layout == NISSL__LAYOUT_NHWC;
    int64_t step = last ? p->channels : 1;
    for (int64_t k = 0; k < p->channels; k++) {
        int from = source_channel(p, f, k);
        int64_t mean = p->steps.n_mean > 1 ? k : 0, std = p->steps.n_std > 1 ? k : 0;
        float *to = out + (last ? k : k * f->height * f->width);
        float value[256];
        if (f->bytes)
            for (int i = 0; i < 256; i++)
                value[i] = change_value(&p->steps, (float)i, mean, std);
        for (int64_t y = 0; y < f->height; y++)
            for (int64_t x = 0; x < f->width; x++, to += step) {
                int64_t at = y * f->row + x * f->channels;
                if (f->bytes)
                    *to = value[from < 0 ? luma(f->bytes + at) : f->bytes[at + from]];
                else
                    *to = change_value(
                        &p->steps, from < 0 ? luma_of_values(f->values + at) : f->values[at + from],
                        mean, std);
            }
    }
}

static void write_array(const nissl__pipeline *p, const nissl__item *item, float *out)
{
    const nissl__preprocess *steps = &p->steps;
    int64_t count = 1, inner;
    for (int i = 0; i < item->form.rank; i++)
        count *= item->form.shape[i];
    if (!steps->has_scale && !steps->has_divide && !steps->n_mean && !steps->n_std) {
        memcpy(out, item->values, (size_t)count * sizeof *out);
        return;
    }
    inner = steps->layout == NISSL__LAYOUT_NHWC ? 1 : p->channels ? count / p->channels : 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t channel = p->channels ? i / inner % p->channels : 0;
        int64_t mean = steps->n_mean == count ? i : steps->n_mean > 1 ? channel : 0;
        int64_t std = steps->n_std == count ? i : steps->n_std > 1 ? channel : 0;
        out[i] = change_value(steps, item->values[i], mean, std);
    }
}

nissl_status nissl__pipeline_apply(const nissl__pipeline *pipeline, const nissl__item *item,
                                   float *out, nissl_error *err)
{
    frame f = {0};
    if (!item->form.image) {
        write_array(pipeline, item, out);
        return NISSL_OK;
    }
    nissl_status status = frame_of(pipeline, item, &f, err);
    if (status != NISSL_OK)
        return status;
    write_frame(pipeline, &f, out);
    nissl__free(f.memory);
    return NISSL_OK;
}

nissl_status nissl__pipeline_picture(const nissl__pipeline *pipeline, const nissl__item *item,
                                     uint8_t **rgb, int64_t *height, int64_t *width,
                                     nissl_error *err)
{
    frame f = {0};
    nissl_status status = frame_of(pipeline, item, &f, err);
    if (status != NISSL_OK)
        return status;
    uint8_t *out = malloc((size_t)(f.height * f.width) * 3);
    if (!out) {
        nissl__free(f.memory);
        return NISSL__NO_MEMORY(err, (size_t)(f.height * f.width) * 3);
    }
    uint8_t *to = out;
    bool grey = pipeline->steps.channels == NISSL__CHANNELS_GREY && f.channels == 3;
    for (int64_t y = 0; y < f.height; y++)
        for (int64_t x = 0; x < f.width; x++)
            for (int k = 0; k < 3; k++) {
                int64_t at = y * f.row + x * f.channels;
                int from = f.channels == 1 ? 0 : k;
                float value;
                if (f.bytes)
                    value = grey ? luma(f.bytes + at) : f.bytes[at + from];
                else
                    value = grey ? luma_of_values(f.values + at) : f.values[at + from];
                *to++ = (uint8_t)lrintf(fminf(fmaxf(value, 0), 255));
            }
    nissl__free(f.memory);
    *rgb = out;
    *height = f.height;
    *width = f.width;
    return NISSL_OK;
}
