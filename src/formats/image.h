/*
 * JPEG and PNG files: decoded to 8-bit RGB as the Python imaging library's
 * open(path).convert("RGB") does, and written.
 *
 * JPEG: libjpeg-turbo's slow integer transform and smooth chroma upsampling, the library's
 * defaults. Grey is replicated; CMYK and YCCK are taken as inverted, as Adobe writes them, and
 * multiplied out without colour profiles. PNG: palettes expanded, alpha dropped (not blended),
 * 16-bit colour cut to its high byte; 16-bit grey is clipped at 255, which makes most of it white:
 * that is what the imaging library does. Gamma, profiles and orientation tags are ignored.
 */
#ifndef NISSL__FORMATS_IMAGE_H
#define NISSL__FORMATS_IMAGE_H

#include "foundation/foundation.h"

#define NISSL__IMAGE_MAX_SIDE 65535

/* Width and height from the header alone. */
nissl_status nissl__image_size(const char *path, int64_t *height, int64_t *width, nissl_error *err);

/* Decodes a file. budget: bytes for pixels and for the decoder's coefficients.
 * rgb: [height, width, 3], free with nissl__free. */
nissl_status nissl__image_read(const char *path, uint64_t budget, uint8_t **rgb, int64_t *height,
                               int64_t *width, nissl_error *err);
/* The same from memory; label stands for the file's name in messages. */
nissl_status nissl__image_decode(const char *label, const void *bytes, size_t size, uint64_t budget,
                                 uint8_t **rgb, int64_t *height, int64_t *width, nissl_error *err);

/* Writes [height, width, 3] whole or not at all. quality: 1 .. 100. */
nissl_status nissl__png_write(const char *path, const uint8_t *rgb, int64_t height, int64_t width,
                              nissl_error *err);
nissl_status nissl__jpeg_write(const char *path, const uint8_t *rgb, int64_t height, int64_t width,
                               int quality, nissl_error *err);

/* ---- between image.c, jpeg.c and png.c ---- */

/* Checks height x width x 3 against the budget and allocates. */
nissl_status nissl__image_alloc(const char *label, int64_t height, int64_t width, uint64_t budget,
                                uint8_t **rgb, nissl_error *err);
nissl_status nissl__jpeg_size(const char *label, const void *bytes, size_t size, int64_t *height,
                              int64_t *width, nissl_error *err);
nissl_status nissl__png_size(const char *label, const void *bytes, size_t size, int64_t *height,
                             int64_t *width, nissl_error *err);
nissl_status nissl__jpeg_decode(const char *label, const void *bytes, size_t size, uint64_t budget,
                                uint8_t **rgb, int64_t *height, int64_t *width, nissl_error *err);
nissl_status nissl__png_decode(const char *label, const void *bytes, size_t size, uint64_t budget,
                               uint8_t **rgb, int64_t *height, int64_t *width, nissl_error *err);

#endif
