/* The imaging library's resampling rule. */
#include "formats/resample.h"

#define PRECISION_BITS 22 /* 32 bits less 8 of the pixel and 2 of overshoot */
#define MAX_SIDE       ((int64_t)1 << 24)

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0.0)
        return 1.0;
    if (x >= 1.0)
        return 0.0;
    x *= M_PI;
    return sin(x) / x *
           (0.54f + 0.46f * cos(x)); /* single-precision constants, as in the library */
}

/* Keys 1981 with a = -1/2. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= M_PI;
    return sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static const struct {
    const char *name;
    double (*weight)(double x);
    double support;
} filters[NISSL__FILTER_COUNT] = {
    [NISSL__FILTER_NEAREST] = {"nearest", NULL, 0},
    [NISSL__FILTER_BOX] = {"box", box, 0.5},
    [NISSL__FILTER_BILINEAR] = {"bilinear", bilinear, 1},
    [NISSL__FILTER_HAMMING] = {"hamming", hamming, 1},
    [NISSL__FILTER_BICUBIC] = {"bicubic", bicubic, 2},
    [NISSL__FILTER_LANCZOS] = {"lanczos", lanczos, 3},
};

const char *nissl__filter_name(nissl__filter filter)
{
    return (unsigned)filter < NISSL__FILTER_COUNT ? filters[filter].name : "unknown";
}

bool nissl__filter_find(const char *name, nissl__filter *out)
{
    for (int i = 0; i < NISSL__FILTER_COUNT; i++)
        if (strcmp(filters[i].name, name) == 0) {
            *out = (nissl__filter)i;
            return true;
        }
    return false;
}

/* For each pixel of one output axis: the first input pixel, their number, and a row of weights. */
typedef struct taps {
    int64_t *first, *count; /* [n] */
    int32_t *weight;        /* [n, width] */
    int64_t width;
    int64_t from, to; /* the range of input pixels that any output pixel needs */
} taps;

static void taps_free(taps *t)
{
    nissl__free(t->first);
    nissl__free(t->count);
    nissl__free(t->weight);
    *t = (taps){0};
}

static int32_t fixed(double weight)
{
    double scaled = weight * (1 << PRECISION_BITS);
    return (int32_t)(weight < 0 ? -0.5 + scaled : 0.5 + scaled);
}

static nissl_status taps_new(int64_t n_in, int64_t n_out, nissl__filter filter, uint64_t budget,
                             taps *out, nissl_error *err)
{
    double scale = (double)n_in / (double)n_out;
    double filter_scale = NISSL__MAX(scale, 1.0);
    double support = filters[filter].support * filter_scale;
    double inverse = 1.0 / filter_scale;
    taps t = {.width = (int64_t)ceil(support) * 2 + 1, .from = n_in};
    double *row = NULL;
    nissl_status status = NISSL_OK;
    uint64_t bytes = (uint64_t)n_out * ((uint64_t)t.width * sizeof *t.weight + 2 * sizeof *t.first);
    if (bytes > budget)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "resampling %lld pixels to %lld needs %llu bytes, the budget is %llu",
                           (long long)n_in, (long long)n_out, (unsigned long long)bytes,
                           (unsigned long long)budget);
    t.first = nissl__alloc((size_t)n_out, sizeof *t.first);
    t.count = nissl__alloc((size_t)n_out, sizeof *t.count);
    t.weight = nissl__alloc((size_t)(n_out * t.width), sizeof *t.weight);
    row = nissl__alloc((size_t)t.width, sizeof *row);
    if (!t.first || !t.count || !t.weight || !row) {
        status = NISSL__NO_MEMORY(err, bytes);
        goto done;
    }
    for (int64_t i = 0; i < n_out; i++) {
        double centre = 0.0 + ((double)i + 0.5) * scale, sum = 0.0;
        int64_t first = (int64_t)(centre - support + 0.5);
        int64_t last = (int64_t)(centre + support + 0.5);
        first = NISSL__MAX(first, 0);
        last = NISSL__MIN(last, n_in);
        int64_t count = last - first;
        for (int64_t k = 0; k < count; k++) {
            row[k] = filters[filter].weight(((double)(k + first) - centre + 0.5) * inverse);
            sum += row[k];
        }
        for (int64_t k = 0; k < count; k++)
            t.weight[i * t.width + k] = fixed(sum != 0.0 ? row[k] / sum : row[k]);
        t.first[i] = first;
        t.count[i] = count;
        t.from = NISSL__MIN(t.from, first);
        t.to = NISSL__MAX(t.to, last);
    }
    *out = t;
    t = (taps){0};
done:
    nissl__free(row);
    taps_free(&t);
    return status;
}

static uint8_t clip(int32_t sum)
{
    int32_t value = sum >> PRECISION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* One row of width pixels to t's n_out pixels. */
static void resample_row(const uint8_t *from, int channels, const taps *t, int64_t n_out,
                         uint8_t *to)
{
    for (int64_t i = 0; i < n_out; i++) {
        const uint8_t *p = from + t->first[i] * channels;
        const int32_t *weight = t->weight + i * t->width;
        int32_t sum[4] = {1 << (PRECISION_BITS - 1), 1 << (PRECISION_BITS - 1),
                          1 << (PRECISION_BITS - 1), 1 << (PRECISION_BITS - 1)};
        if (channels == 3) {
            for (int64_t k = 0; k < t->count[i]; k++, p += 3) {
                sum[0] += p[0] * weight[k];
                sum[1] += p[1] * weight[k];
                sum[2] += p[2] * weight[k];
            }
        } else {
            for (int64_t k = 0; k < t->count[i]; k++, p += channels)
                for (int c = 0; c < channels; c++)
                    sum[c] += p[c] * weight[k];
        }
        for (int c = 0; c < channels; c++)
            *to++ = clip(sum[c]);
    }
}

/* One output row from the rows that its taps name; row first_row of the image is rows[0]. */
static void resample_column(const uint8_t *rows, int64_t first_row, int64_t row_bytes,
                            const taps *t, int64_t i, int32_t *sum, uint8_t *to)
{
    const int32_t *weight = t->weight + i * t->width;
    for (int64_t x = 0; x < row_bytes; x++)
        sum[x] = 1 << (PRECISION_BITS - 1);
    for (int64_t k = 0; k < t->count[i]; k++) {
        const uint8_t *row = rows + (t->first[i] - first_row + k) * row_bytes;
        for (int64_t x = 0; x < row_bytes; x++)
            sum[x] += row[x] * weight[k];
    }
    for (int64_t x = 0; x < row_bytes; x++)
        to[x] = clip(sum[x]);
}

/* The library's nearest filter is an affine transform whose coordinate is a running sum. */
static nissl_status nearest(const uint8_t *from, int64_t height, int64_t width, int channels,
                            uint8_t *to, int64_t to_height, int64_t to_width, nissl_error *err)
{
    double step_x = (double)width / (double)to_width, step_y = (double)height / (double)to_height;
    double x = step_x * 0.5, y = step_y * 0.5;
    int64_t *columns = nissl__alloc((size_t)to_width, sizeof *columns);
    if (!columns)
        return NISSL__NO_MEMORY(err, (size_t)to_width * sizeof *columns);
    for (int64_t i = 0; i < to_width; i++, x += step_x)
        columns[i] = NISSL__MIN((int64_t)x, width - 1) * channels;
    for (int64_t j = 0; j < to_height; j++, y += step_y) {
        const uint8_t *row = from + NISSL__MIN((int64_t)y, height - 1) * width * channels;
        for (int64_t i = 0; i < to_width; i++)
            for (int c = 0; c < channels; c++)
                *to++ = row[columns[i] + c];
    }
    nissl__free(columns);
    return NISSL_OK;
}

/* An image between the passes, within the budget. */
static nissl_status new_rows(int64_t n_rows, int64_t row_bytes, uint64_t budget, uint8_t **out,
                             nissl_error *err)
{
    int64_t bytes;
    if (!nissl__mul(n_rows, row_bytes, &bytes) || (uint64_t)bytes > budget)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "resampling needs %lld rows of %lld bytes, the budget is %llu bytes",
                           (long long)n_rows, (long long)row_bytes, (unsigned long long)budget);
    *out = nissl__alloc((size_t)bytes, 1);
    return *out ? NISSL_OK : NISSL__NO_MEMORY(err, (size_t)bytes);
}

/* Rows first .. last - 1 of an image to rows of t's width. */
static void pass_across(const uint8_t *from, int64_t width, int channels, int64_t first,
                        int64_t last, const taps *t, int64_t to_width, uint8_t *to)
{
    for (int64_t y = first; y < last; y++)
        resample_row(from + y * width * channels, channels, t, to_width,
                     to + (y - first) * to_width * channels);
}

/* Columns of an image whose rows begin with first_row. */
static nissl_status pass_down(const uint8_t *rows, int64_t first_row, int64_t row_bytes,
                              const taps *t, int64_t to_height, uint8_t *to, nissl_error *err)
{
    int32_t *sum = nissl__alloc((size_t)row_bytes, sizeof *sum);
    if (!sum)
        return NISSL__NO_MEMORY(err, (size_t)row_bytes * sizeof *sum);
    for (int64_t y = 0; y < to_height; y++)
        resample_column(rows, first_row, row_bytes, t, y, sum, to + y * row_bytes);
    nissl__free(sum);
    return NISSL_OK;
}

nissl_status nissl__resample(const uint8_t *from, int64_t height, int64_t width, int channels,
                             nissl__filter filter, uint64_t budget, uint8_t *to, int64_t to_height,
                             int64_t to_width, nissl_error *err)
{
    taps across = {0}, down = {0};
    uint8_t *between = NULL;
    nissl_status status = NISSL_OK;
    if (NISSL__MIN(NISSL__MIN(height, width), NISSL__MIN(to_height, to_width)) < 1 ||
        NISSL__MAX(NISSL__MAX(height, width), NISSL__MAX(to_height, to_width)) > MAX_SIDE)
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "cannot resample %lld x %lld pixels to %lld x %lld: sides of 1 to %lld",
                           (long long)width, (long long)height, (long long)to_width,
                           (long long)to_height, (long long)MAX_SIDE);
    if (channels < 1 || channels > 4)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%d channels are outside 1 .. 4", channels);
    if (height == to_height && width == to_width) {
        memcpy(to, from, (size_t)(height * width * channels));
        return NISSL_OK;
    }
    if (filter == NISSL__FILTER_NEAREST)
        return nearest(from, height, width, channels, to, to_height, to_width, err);
    bool vertical_first = height > to_height && height - to_height > (width - to_width) * 2;
    if ((height != to_height &&
         (status = taps_new(height, to_height, filter, budget, &down, err)) != NISSL_OK) ||
        (width != to_width &&
         (status = taps_new(width, to_width, filter, budget, &across, err)) != NISSL_OK))
        goto done;
    if (width == to_width) {
        status = pass_down(from, 0, width * channels, &down, to_height, to, err);
    } else if (height == to_height) {
        pass_across(from, width, channels, 0, height, &across, to_width, to);
    } else if (vertical_first) {
        if ((status = new_rows(to_height, width * channels, budget, &between, err)) == NISSL_OK &&
            (status = pass_down(from, 0, width * channels, &down, to_height, between, err)) ==
                NISSL_OK)
            pass_across(between, width, channels, 0, to_height, &across, to_width, to);
    } else if ((status = new_rows(down.to - down.from, to_width * channels, budget, &between,
                                  err)) == NISSL_OK) {
        pass_across(from, width, channels, down.from, down.to, &across, to_width, between);
        status = pass_down(between, down.from, to_width * channels, &down, to_height, to, err);
    }
done:
    taps_free(&across);
    taps_free(&down);
    nissl__free(between);
    return status;
}
