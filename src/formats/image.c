/* Which decoder a file needs, and what the decoders share. */
#include "formats/file.h"
#include "formats/image.h"

static bool is_jpeg(const unsigned char *data, size_t size)
{
    return size >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0;
}

static bool is_png(const unsigned char *data, size_t size)
{
    return size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static nissl_status neither(const char *label, const unsigned char *data, size_t size,
                            nissl_error *err)
{
    if (size < 4)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %zu bytes are no image", label, size);
    return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                       "%s: neither JPEG nor PNG; it begins with the bytes %02x %02x %02x %02x",
                       label, data[0], data[1], data[2], data[3]);
}

nissl_status nissl__image_alloc(const char *label, int64_t height, int64_t width, uint64_t budget,
                                uint8_t **rgb, nissl_error *err)
{
    int64_t bytes;
    if (height < 1 || width < 1 || height > NISSL__IMAGE_MAX_SIDE || width > NISSL__IMAGE_MAX_SIDE)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "%s: %lld x %lld pixels; sides of 1 to %d are supported", label,
                           (long long)width, (long long)height, NISSL__IMAGE_MAX_SIDE);
    bytes = height * width * 3;
    if ((uint64_t)bytes > budget)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "%s: %lld x %lld pixels need %lld bytes, the budget is %llu", label,
                           (long long)width, (long long)height, (long long)bytes,
                           (unsigned long long)budget);
    *rgb = nissl__alloc((size_t)bytes, 1);
    return *rgb ? NISSL_OK : NISSL__NO_MEMORY(err, (size_t)bytes);
}

nissl_status nissl__image_decode(const char *label, const void *bytes, size_t size, uint64_t budget,
                                 uint8_t **rgb, int64_t *height, int64_t *width, nissl_error *err)
{
    if (is_jpeg(bytes, size))
        return nissl__jpeg_decode(label, bytes, size, budget, rgb, height, width, err);
    if (is_png(bytes, size))
        return nissl__png_decode(label, bytes, size, budget, rgb, height, width, err);
    return neither(label, bytes, size, err);
}

nissl_status nissl__image_size(const char *path, int64_t *height, int64_t *width, nissl_error *err)
{
    nissl__mapping file = {0};
    nissl_status status = nissl__map_file(path, &file, err);
    if (status != NISSL_OK)
        return status;
    if (is_jpeg(file.data, file.size))
        status = nissl__jpeg_size(path, file.data, file.size, height, width, err);
    else if (is_png(file.data, file.size))
        status = nissl__png_size(path, file.data, file.size, height, width, err);
    else
        status = neither(path, file.data, file.size, err);
    nissl__unmap_file(&file);
    return status;
}

nissl_status nissl__image_read(const char *path, uint64_t budget, uint8_t **rgb, int64_t *height,
                               int64_t *width, nissl_error *err)
{
    nissl__mapping file = {0};
    nissl_status status = nissl__map_file(path, &file, err);
    if (status != NISSL_OK)
        return status;
    status = nissl__image_decode(path, file.data, file.size, budget, rgb, height, width, err);
    nissl__unmap_file(&file);
    return status;
}
