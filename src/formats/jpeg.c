/* JPEG through libjpeg-turbo. */
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#include "formats/file.h"
#include "formats/image.h"

/* A file of thousands of empty progressive scans costs hours (libjpeg-turbo's own advice is a
 * limit). */
#define MAX_SCANS 100

/* The library's error handlers find this through cinfo->err. */
typedef struct handler {
    struct jpeg_error_mgr base;
    jmp_buf leave;
    char message[JMSG_LENGTH_MAX];
    size_t size; /* of the file */
} handler;

typedef struct decoder {
    struct jpeg_decompress_struct jpeg;
    handler errors;
    struct jpeg_progress_mgr progress;
    uint8_t *rgb;  /* result */
    JSAMPLE *cmyk; /* one row */
} decoder;

static void on_error(j_common_ptr jpeg)
{
    handler *errors = (handler *)jpeg->err;
    jpeg->err->format_message(jpeg, errors->message);
    longjmp(errors->leave, 1);
}

/* Warnings are damage that the library papers over. Only the end of the data is taken as an error,
 * as in the imaging library. */
static void on_message(j_common_ptr jpeg, int level)
{
    handler *errors = (handler *)jpeg->err;
    if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF) {
        snprintf(errors->message, sizeof errors->message,
                 "the data end at byte %zu, before the image does", errors->size);
        longjmp(errors->leave, 1);
    }
}

static void on_progress(j_common_ptr common)
{
    const struct jpeg_decompress_struct *jpeg = (j_decompress_ptr)common;
    handler *errors = (handler *)jpeg->err;
    if (jpeg->input_scan_number > MAX_SCANS) {
        snprintf(errors->message, sizeof errors->message, "more than %d scans", MAX_SCANS);
        longjmp(errors->leave, 1);
    }
}

static void set_up(decoder *d, size_t size)
{
    d->jpeg.err = jpeg_std_error(&d->errors.base);
    d->errors.base.error_exit = on_error;
    d->errors.base.emit_message = on_message;
    d->errors.size = size;
}

static nissl_status fail(const decoder *d, const char *label, nissl_error *err)
{
    return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: JPEG: %s", label, d->errors.message);
}

static void read_header(decoder *d, const void *bytes, size_t size)
{
    jpeg_create_decompress(&d->jpeg);
    jpeg_mem_src(&d->jpeg, bytes, size);
    jpeg_read_header(&d->jpeg, TRUE);
}

nissl_status nissl__jpeg_size(const char *label, const void *bytes, size_t size, int64_t *height,
                              int64_t *width, nissl_error *err)
{
    nissl_status status;
    decoder *d = nissl__alloc(1, sizeof *d);
    if (!d)
        return NISSL__NO_MEMORY(err, sizeof *d);
    set_up(d, size);
    if (setjmp(d->errors.leave)) {
        status = fail(d, label, err);
    } else {
        read_header(d, bytes, size);
        *height = d->jpeg.image_height;
        *width = d->jpeg.image_width;
        status = NISSL_OK;
    }
    jpeg_destroy_decompress(&d->jpeg);
    nissl__free(d);
    return status;
}

/* a * b / 255, rounded. */
static int multiply(int a, int b)
{
    int t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* Inverted CMYK, as files have it: ink 0 is 255. */
static void cmyk_to_rgb(const JSAMPLE *from, int64_t n, uint8_t *to)
{
    for (int64_t i = 0; i < n; i++, from += 4)
        for (int c = 0; c < 3; c++)
            *to++ = (uint8_t)(from[3] - multiply(255 - from[c], from[3]));
}

static void grey_to_rgb(const JSAMPLE *from, int64_t n, uint8_t *to)
{
    /* In place from the right: the row begins where its pixels will end up. */
    for (int64_t i = n - 1; i >= 0; i--)
        to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[i];
}

/* Runs between set_up and destroy; leaves through longjmp on a decoder's error. */
static nissl_status decode(decoder *d, const char *label, const void *bytes, size_t size,
                           uint64_t budget, nissl_error *err)
{
    j_decompress_ptr jpeg = &d->jpeg;
    nissl_status status;
    read_header(d, bytes, size);
    jpeg->mem->max_memory_to_use = (long)NISSL__MIN(budget, (uint64_t)LONG_MAX);
    d->progress.progress_monitor = on_progress;
    jpeg->progress = &d->progress;
    int64_t height = jpeg->image_height, width = jpeg->image_width;
    if (jpeg->num_components == 1)
        jpeg->out_color_space = JCS_GRAYSCALE;
    else if (jpeg->num_components == 3)
        jpeg->out_color_space = JCS_RGB;
    else if (jpeg->num_components == 4)
        jpeg->out_color_space = JCS_CMYK;
    else
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                           "%s: JPEG with %d components; 1, 3 and 4 are supported", label,
                           jpeg->num_components);
    if ((status = nissl__image_alloc(label, height, width, budget, &d->rgb, err)) != NISSL_OK)
        return status;
    /* Files of several scans keep all coefficients, two bytes each. */
    uint64_t coefficients = (uint64_t)(height * width) * (uint64_t)jpeg->num_components * 2;
    if (jpeg_has_multiple_scans(jpeg) && coefficients > budget)
        return NISSL__FAIL(
            err, NISSL_ERR_LIMIT,
            "%s: %lld x %lld pixels in several scans need %llu bytes, the budget is %llu", label,
            (long long)width, (long long)height, (unsigned long long)coefficients,
            (unsigned long long)budget);
    if (jpeg->out_color_space == JCS_CMYK && !(d->cmyk = nissl__alloc((size_t)width, 4)))
        return NISSL__NO_MEMORY(err, (size_t)width * 4);
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = d->rgb + (int64_t)jpeg->output_scanline * width * 3;
        JSAMPROW row = d->cmyk ? d->cmyk : to;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (jpeg->out_color_space == JCS_CMYK)
            cmyk_to_rgb(row, width, to);
        else if (jpeg->out_color_space == JCS_GRAYSCALE)
            grey_to_rgb(row, width, to);
    }
    return NISSL_OK;
}

nissl_status nissl__jpeg_decode(const char *label, const void *bytes, size_t size, uint64_t budget,
                                uint8_t **rgb, int64_t *height, int64_t *width, nissl_error *err)
{
    nissl_status status;
    decoder *d = nissl__alloc(1, sizeof *d);
    if (!d)
        return NISSL__NO_MEMORY(err, sizeof *d);
    set_up(d, size);
    if (setjmp(d->errors.leave))
        status = fail(d, label, err);
    else
        status = decode(d, label, bytes, size, budget, err);
    if (status == NISSL_OK) {
        *rgb = d->rgb;
        *height = d->jpeg.image_height;
        *width = d->jpeg.image_width;
    } else {
        nissl__free(d->rgb);
    }
    jpeg_destroy_decompress(&d->jpeg);
    nissl__free(d->cmyk);
    nissl__free(d);
    return status;
}

typedef struct encoder {
    struct jpeg_compress_struct jpeg;
    handler errors;
} encoder;

static void encode(encoder *e, FILE *file, const uint8_t *rgb, int64_t height, int64_t width,
                   int quality)
{
    j_compress_ptr jpeg = &e->jpeg;
    jpeg_create_compress(jpeg);
    jpeg_stdio_dest(jpeg, file);
    jpeg->image_width = (JDIMENSION)width;
    jpeg->image_height = (JDIMENSION)height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (int64_t)jpeg->next_scanline * width * 3);
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

nissl_status nissl__jpeg_write(const char *path, const uint8_t *rgb, int64_t height, int64_t width,
                               int quality, nissl_error *err)
{
    nissl__replacement output = {0};
    nissl_status status;
    encoder *e;
    if (height < 1 || width < 1 || height > NISSL__IMAGE_MAX_SIDE || width > NISSL__IMAGE_MAX_SIDE)
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "%s: %lld x %lld pixels; sides of 1 to %d can be written", path,
                           (long long)width, (long long)height, NISSL__IMAGE_MAX_SIDE);
    e = nissl__alloc(1, sizeof *e);
    if (!e)
        return NISSL__NO_MEMORY(err, sizeof *e);
    if ((status = nissl__replace_begin(path, &output, err)) != NISSL_OK) {
        nissl__free(e);
        return status;
    }
    e->jpeg.err = jpeg_std_error(&e->errors.base);
    e->errors.base.error_exit = on_error;
    e->errors.base.emit_message = on_message;
    if (setjmp(e->errors.leave))
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: JPEG: %s", path, e->errors.message);
    else
        encode(e, output.file, rgb, height, width, quality);
    jpeg_destroy_compress(&e->jpeg);
    nissl__free(e);
    if (status == NISSL_OK)
        return nissl__replace_commit(&output, err);
    nissl__replace_cancel(&output);
    return status;
}
