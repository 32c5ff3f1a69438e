/* Pictures of stimuli for people. */
#include "recording/stimuli.h"

/* Values as bytes, from their smallest (black) to their largest (white). */
static void to_bytes(const float *values, int64_t count, int64_t step, uint8_t *out)
{
    float low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i])) {
            low = fminf(low, values[i]);
            high = fmaxf(high, values[i]);
        }
    for (int64_t i = 0; i < count; i++) {
        float v = high > low && isfinite(values[i]) ? (values[i] - low) / (high - low) : 0.5f;
        out[i * step] = (uint8_t)lrintf(255 * v);
    }
}

/* The picture in an array: [h, w], [c, h, w] or [h, w, c] with 1 or 3 channels, or a flat square.
 */
static bool shape_of_array(const nissl__form *form, int64_t *height, int64_t *width,
                           int64_t *channels, bool *last)
{
    const int64_t *d = form->shape;
    int64_t count = 1;
    int n_long = 0;
    *channels = 1;
    *last = true;
    for (int i = 0; i < form->rank; i++) {
        count *= d[i];
        n_long += d[i] != 1;
    }
    if (form->rank == 2 && n_long == 2) {
        *height = d[0];
        *width = d[1];
    } else if (form->rank == 3 && n_long >= 2 && (d[0] == 1 || d[0] == 3)) {
        *channels = d[0];
        *height = d[1];
        *width = d[2];
        *last = false;
    } else if (form->rank == 3 && n_long >= 2 && (d[2] == 1 || d[2] == 3)) {
        *height = d[0];
        *width = d[1];
        *channels = d[2];
    } else {
        int64_t side = (int64_t)llround(sqrt((double)count));
        if (n_long != 1 || side * side != count || side < 8)
            return false;
        *height = *width = side;
    }
    return *height <= 16384 && *width <= 16384;
}

static nissl_status picture_of_array(const nissl__item *item, int64_t height, int64_t width,
                                     int64_t channels, bool last, uint8_t **rgb, nissl_error *err)
{
    int64_t count = height * width;
    uint8_t *bytes = nissl__alloc((size_t)(count * channels), 1);
    uint8_t *out = malloc((size_t)count * 3);
    if (!bytes || !out) {
        nissl__free(bytes);
        free(out);
        return NISSL__NO_MEMORY(err, (size_t)count * 3);
    }
    to_bytes(item->values, count * channels, 1, bytes);
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < 3; k++) {
            int64_t c = channels == 3 ? k : 0;
            out[3 * i + k] = bytes[last ? i * channels + c : c * count + i];
        }
    nissl__free(bytes);
    *rgb = out;
    return NISSL_OK;
}

/* Bars from zero, one per value; more values than columns share a bar by their mean. */
static nissl_status bar_chart(const nissl__item *item, int max_side, uint8_t **rgb, int *width,
                              int *height, nissl_error *err)
{
    int64_t n = 1;
    double low = 0, high = 0;
    for (int i = 0; i < item->form.rank; i++)
        n *= item->form.shape[i];
    int bars = (int)NISSL__MIN(n, max_side);
    int bar = NISSL__MAX(max_side / NISSL__MAX(bars, 1), 1);
    int w = bars * bar, h = NISSL__MAX(max_side / 2, 1);
    double *mean = nissl__alloc((size_t)bars, sizeof *mean);
    uint8_t *out = malloc((size_t)w * (size_t)h * 3);
    if (!mean || !out) {
        nissl__free(mean);
        free(out);
        return NISSL__NO_MEMORY(err, (size_t)w * (size_t)h * 3);
    }
    for (int b = 0; b < bars; b++) {
        int64_t from = b * n / bars, to = (b + 1) * n / bars;
        for (int64_t i = from; i < to; i++)
            mean[b] +=
                isfinite(item->values[i]) ? (double)item->values[i] / (double)(to - from) : 0;
        low = fmin(low, mean[b]);
        high = fmax(high, mean[b]);
    }
    double span = high > low ? high - low : 1;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double value = mean[x / bar], level = high - (y + 0.5) / h * span;
            bool gap = bar >= 4 && x % bar == bar - 1;
            bool inside =
                !gap && (value >= 0 ? level >= 0 && level <= value : level < 0 && level >= value);
            uint8_t *pixel = out + 3 * ((size_t)y * (size_t)w + (size_t)x);
            memcpy(pixel, inside ? "\x30\x60\x90" : "\xf4\xf4\xf4", 3);
        }
    nissl__free(mean);
    *rgb = out;
    *width = w;
    *height = h;
    return NISSL_OK;
}

/* Reduces to max_side with an averaging filter, or enlarges by the largest whole factor that fits.
 */
static nissl_status fit_picture(const nissl__pipeline *pipeline, uint8_t **rgb, int64_t h,
                                int64_t w, int max_side, int *width, int *height, nissl_error *err)
{
    int64_t longer = NISSL__MAX(h, w);
    int64_t to_h = h, to_w = w;
    nissl_status status;
    if (longer > max_side) {
        to_h = NISSL__MAX((int64_t)nearbyint((double)h * max_side / (double)longer), 1);
        to_w = NISSL__MAX((int64_t)nearbyint((double)w * max_side / (double)longer), 1);
    } else {
        to_h = h * (max_side / longer);
        to_w = w * (max_side / longer);
    }
    if (to_h != h || to_w != w) {
        uint8_t *out = malloc((size_t)(to_h * to_w) * 3);
        if (!out)
            return NISSL__NO_MEMORY(err, (size_t)(to_h * to_w) * 3);
        status = nissl__resample(*rgb, h, w, 3,
                                 longer > max_side ? NISSL__FILTER_BILINEAR : NISSL__FILTER_NEAREST,
                                 pipeline->budget, out, to_h, to_w, err);
        if (status != NISSL_OK) {
            free(out);
            return status;
        }
        free(*rgb);
        *rgb = out;
    }
    *width = (int)to_w;
    *height = (int)to_h;
    return NISSL_OK;
}

nissl_status nissl__draw_item(const nissl__pipeline *pipeline, const nissl__item *item,
                              int max_side, uint8_t **rgb, int *width, int *height,
                              nissl_error *err)
{
    uint8_t *picture = NULL;
    int64_t h = 0, w = 0, channels;
    bool last;
    nissl_status status;
    if (item->form.tokens) {
        int64_t n = item->form.shape[0];
        float *values = nissl__alloc((size_t)n, sizeof *values);
        nissl__item bars = {.form = item->form, .values = values};
        if (!values)
            return NISSL__NO_MEMORY(err, (size_t)n * sizeof *values);
        for (int64_t i = 0; i < n; i++)
            values[i] = (float)item->ids[i];
        status = bar_chart(&bars, max_side, rgb, width, height, err);
        nissl__free(values);
        return status;
    }
    if (item->form.image) {
        status = nissl__pipeline_picture(pipeline, item, &picture, &h, &w, err);
    } else if (shape_of_array(&item->form, &h, &w, &channels, &last)) {
        status = picture_of_array(item, h, w, channels, last, &picture, err);
    } else {
        return bar_chart(item, max_side, rgb, width, height, err);
    }
    if (status == NISSL_OK)
        status = fit_picture(pipeline, &picture, h, w, max_side, width, height, err);
    if (status == NISSL_OK)
        *rgb = picture;
    else
        free(picture);
    return status;
}
