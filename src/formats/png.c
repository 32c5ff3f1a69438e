/* PNG through libpng. */
#include <setjmp.h>
#include <stdio.h>

#include <png.h>

#include "formats/file.h"
#include "formats/image.h"

#define MAX_CHUNK (8u << 20) /* bytes that one ancillary chunk may take */

typedef struct coder {
    png_structp png;
    png_infop info;
    const unsigned char *data; /* reading: what is left */
    size_t left, size;
    char message[160];
    uint8_t *rgb;
    png_bytepp rows;
} coder;

static void on_error(png_structp png, png_const_charp message)
{
    coder *c = png_get_error_ptr(png);
    snprintf(c->message, sizeof c->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
    coder *c = png_get_io_ptr(png);
    if (n > c->left) {
        snprintf(c->message, sizeof c->message, "the data end at byte %zu, %zu more are needed",
                 c->size, n - c->left);
        png_longjmp(png, 1);
    }
    memcpy(out, c->data, n);
    c->data += n;
    c->left -= n;
}

static void coder_free(coder *c)
{
    if (!c)
        return;
    png_destroy_read_struct(&c->png, &c->info, NULL);
    nissl__free(c->rows);
    nissl__free(c);
}

static nissl_status reader_new(const void *bytes, size_t size, coder **out, nissl_error *err)
{
    coder *c = nissl__alloc(1, sizeof *c);
    if (!c)
        return NISSL__NO_MEMORY(err, sizeof *c);
    *c = (coder){.data = bytes, .left = size, .size = size};
    c->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    c->info = c->png ? png_create_info_struct(c->png) : NULL;
    if (!c->info) {
        coder_free(c);
        return NISSL__NO_MEMORY(err, sizeof *c);
    }
    *out = c;
    return NISSL_OK;
}

/* Leaves through longjmp on a malformed file. */
static void read_header(coder *c)
{
    png_set_read_fn(c->png, c, on_read);
    png_set_user_limits(c->png, NISSL__IMAGE_MAX_SIDE, NISSL__IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(c->png, MAX_CHUNK);
    png_set_chunk_cache_max(c->png, 64);
    /* Texts, profiles and times say nothing about pixels. */
    png_set_keep_unknown_chunks(c->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(c->png, c->info);
}

static nissl_status fail(const coder *c, const char *label, nissl_error *err)
{
    return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: PNG: %s", label, c->message);
}

nissl_status nissl__png_size(const char *label, const void *bytes, size_t size, int64_t *height,
                             int64_t *width, nissl_error *err)
{
    coder *c = NULL;
    nissl_status status = reader_new(bytes, size, &c, err);
    if (status != NISSL_OK)
        return status;
    if (setjmp(png_jmpbuf(c->png))) {
        status = fail(c, label, err);
        coder_free(c);
        return status;
    }
    read_header(c);
    *height = png_get_image_height(c->png, c->info);
    *width = png_get_image_width(c->png, c->info);
    coder_free(c);
    return NISSL_OK;
}

/* 16-bit grey, two bytes a pixel at the start of each row, to RGB in place, clipped at 255. */
static void clip_grey16(uint8_t *rgb, int64_t height, int64_t width)
{
    for (int64_t y = 0; y < height; y++) {
        uint8_t *row = rgb + y * width * 3;
        for (int64_t x = width - 1; x >= 0; x--) {
            uint8_t value = row[2 * x] ? 255 : row[2 * x + 1];
            row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = value;
        }
    }
}

static nissl_status decode(coder *c, const char *label, uint64_t budget, nissl_error *err)
{
    read_header(c);
    int64_t height = png_get_image_height(c->png, c->info),
            width = png_get_image_width(c->png, c->info);
    int depth = png_get_bit_depth(c->png, c->info), colour = png_get_color_type(c->png, c->info);
    bool grey16 = colour == PNG_COLOR_TYPE_GRAY && depth == 16;
    nissl_status status = nissl__image_alloc(label, height, width, budget, &c->rgb, err);
    if (status != NISSL_OK)
        return status;
    c->rows = nissl__alloc((size_t)height, sizeof *c->rows);
    if (!c->rows)
        return NISSL__NO_MEMORY(err, (size_t)height * sizeof *c->rows);
    for (int64_t y = 0; y < height; y++)
        c->rows[y] = c->rgb + y * width * 3;
    if (colour == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(c->png);
    if (colour == PNG_COLOR_TYPE_GRAY && depth < 8)
        png_set_expand_gray_1_2_4_to_8(c->png);
    if (!grey16) {
        png_set_strip_16(c->png);
        png_set_strip_alpha(c->png);
        png_set_gray_to_rgb(c->png);
    }
    (void)png_set_interlace_handling(c->png);
    png_read_update_info(c->png, c->info);
    size_t row_bytes = png_get_rowbytes(c->png, c->info);
    if (row_bytes != (size_t)width * (grey16 ? 2 : 3))
        return NISSL__FAIL(err, NISSL_ERR_INTERNAL, "%s: PNG: rows of %zu bytes for %lld pixels",
                           label, row_bytes, (long long)width);
    png_read_image(c->png, c->rows);
    if (grey16)
        clip_grey16(c->rgb, height, width);
    return NISSL_OK;
}

nissl_status nissl__png_decode(const char *label, const void *bytes, size_t size, uint64_t budget,
                               uint8_t **rgb, int64_t *height, int64_t *width, nissl_error *err)
{
    coder *c = NULL;
    nissl_status status = reader_new(bytes, size, &c, err);
    if (status != NISSL_OK)
        return status;
    if (setjmp(png_jmpbuf(c->png)))
        status = fail(c, label, err);
    else
        status = decode(c, label, budget, err);
    if (status == NISSL_OK) {
        *rgb = c->rgb;
        *height = png_get_image_height(c->png, c->info);
        *width = png_get_image_width(c->png, c->info);
    } else {
        nissl__free(c->rgb);
    }
    coder_free(c);
    return status;
}

static void encode(coder *c, FILE *file, const uint8_t *rgb, int64_t height, int64_t width)
{
    png_init_io(c->png, file);
    png_set_IHDR(c->png, c->info, (png_uint_32)width, (png_uint_32)height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(c->png, c->info);
    for (int64_t y = 0; y < height; y++)
        png_write_row(c->png, rgb + y * width * 3);
    png_write_end(c->png, c->info);
}

nissl_status nissl__png_write(const char *path, const uint8_t *rgb, int64_t height, int64_t width,
                              nissl_error *err)
{
    nissl__replacement output = {0};
    nissl_status status;
    coder *c;
    if (height < 1 || width < 1 || height > NISSL__IMAGE_MAX_SIDE || width > NISSL__IMAGE_MAX_SIDE)
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "%s: %lld x %lld pixels; sides of 1 to %d can be written", path,
                           (long long)width, (long long)height, NISSL__IMAGE_MAX_SIDE);
    c = nissl__alloc(1, sizeof *c);
    if (!c)
        return NISSL__NO_MEMORY(err, sizeof *c);
    c->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    c->info = c->png ? png_create_info_struct(c->png) : NULL;
    if (!c->info) {
        status = NISSL__NO_MEMORY(err, sizeof *c);
        goto done;
    }
    if ((status = nissl__replace_begin(path, &output, err)) != NISSL_OK)
        goto done;
    if (setjmp(png_jmpbuf(c->png)))
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: PNG: %s", path, c->message);
    else
        encode(c, output.file, rgb, height, width);
    if (status == NISSL_OK)
        status = nissl__replace_commit(&output, err);
    nissl__replace_cancel(&output);
done:
    png_destroy_write_struct(&c->png, &c->info);
    nissl__free(c);
    return status;
}
