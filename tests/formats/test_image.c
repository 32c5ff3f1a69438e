/* JPEG and PNG: golden pixels, malformed files by name of defect, what is written. */
#include <unistd.h>

#include "check.h"
#include "formats/file.h"
#include "formats/image.h"
#include "formats/npy.h"
#include "formats/resample.h"
#include "golden_imagenet.h"

#define BUDGET ((uint64_t)1 << 30)
#define IMAGES NISSL_FIXTURES "/images/"

static const char *const names[] = {"rgb_444.jpg",
                                    "rgb_422.jpg",
                                    "rgb_420.jpg",
                                    "rgb_progressive.jpg",
                                    "rgb_restart.jpg",
                                    "grey.jpg",
                                    "cmyk.jpg",
                                    "one_pixel.jpg",
                                    "rgb.png",
                                    "rgb_interlaced.png",
                                    "grey.png",
                                    "rgba.png",
                                    "grey_alpha.png",
                                    "grey1.png",
                                    "grey2.png",
                                    "grey4.png",
                                    "grey16.png",
                                    "rgb16.png",
                                    "grey_alpha16.png",
                                    "rgba16.png",
                                    "palette4.png",
                                    "palette4_transparent.png",
                                    "grey_transparent.png",
                                    "grey_gamma.png"};

static uint64_t hash_of(const void *bytes, size_t n)
{
    nissl__hash hash;
    nissl__hash_begin(&hash);
    nissl__hash_add(&hash, bytes, n);
    return nissl__hash_end(&hash);
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        nissl_error error = {0};
        nissl_array expected = {0};
        uint8_t *rgb = NULL;
        int64_t height = 0, width = 0, h = 0, w = 0;
        char *path = nissl__format(IMAGES "%s", names[i]),
             *golden = nissl__format(IMAGES "%s.npy", names[i]);
        check_ok(nissl__npy_read(golden, BUDGET, &expected, &error), error);
        check_ok(nissl__image_read(path, BUDGET, &rgb, &height, &width, &error), error);
        check_ok(nissl__image_size(path, &h, &w, &error), error);
        assert_int_equal(height, expected.shape[0]);
        assert_int_equal(width, expected.shape[1]);
        assert_int_equal(h, height);
        assert_int_equal(w, width);
        for (int64_t k = 0; k < height * width * 3; k++)
            if (rgb[k] != ((const uint8_t *)expected.data)[k])
                fail_msg("%s: byte %lld is %d, not %d", names[i], (long long)k, rgb[k],
                         ((const uint8_t *)expected.data)[k]);
        nissl__free(rgb);
        nissl__free(path);
        nissl__free(golden);
        nissl_array_free(&expected);
    }
}

static void test_imagenet(void **state)
{
    (void)state;
    const char *data = getenv("NISSL_DATA");
    if (!data)
        data = NISSL_DATA_BESIDE;
    for (size_t i = 0; i < sizeof golden_imagenet / sizeof *golden_imagenet; i++) {
        nissl_error error = {0};
        uint8_t *rgb = NULL, *resized, *cropped;
        int64_t h = 0, w = 0;
        char *path = nissl__format("%s/images/imagenet_500/%s", data, golden_imagenet[i].name);
        if (access(path, R_OK) != 0) {
            nissl__free(path);
            skip();
        }
        check_ok(nissl__image_read(path, BUDGET, &rgb, &h, &w, &error), error);
        assert_int_equal(h, golden_imagenet[i].height);
        assert_int_equal(w, golden_imagenet[i].width);
        if (hash_of(rgb, (size_t)(h * w * 3)) != golden_imagenet[i].decoded)
            fail_msg("%s: decoded pixels differ", path);
        int64_t shorter = NISSL__MIN(h, w);
        int64_t th = (int64_t)nearbyint((double)(h * 256) / (double)shorter);
        int64_t tw = (int64_t)nearbyint((double)(w * 256) / (double)shorter);
        resized = nissl__alloc((size_t)(th * tw), 3);
        check_ok(
            nissl__resample(rgb, h, w, 3, NISSL__FILTER_BILINEAR, BUDGET, resized, th, tw, &error),
            error);
        cropped = nissl__alloc((size_t)224 * 224, 3);
        for (int64_t y = 0; y < 224; y++)
            memcpy(cropped + y * 224 * 3,
                   resized + ((y + (th - 224) / 2) * tw + (tw - 224) / 2) * 3, 224 * 3);
        if (hash_of(cropped, (size_t)224 * 224 * 3) != golden_imagenet[i].cropped)
            fail_msg("%s: resized pixels differ", path);
        nissl__free(rgb);
        nissl__free(resized);
        nissl__free(cropped);
        nissl__free(path);
    }
}

/* ---- malformed files, made from good ones ---- */

typedef struct bytes {
    unsigned char *data;
    size_t size;
} bytes;

static bytes fixture(const char *name)
{
    nissl__mapping file = {0};
    nissl_error error = {0};
    char *path = nissl__format(IMAGES "%s", name);
    bytes b;
    check_ok(nissl__map_file(path, &file, &error), error);
    b.size = file.size;
    b.data = malloc(file.size);
    memcpy(b.data, file.data, file.size);
    nissl__unmap_file(&file);
    nissl__free(path);
    return b;
}

static bytes text_named_jpg(void)
{
    static const char text[] = "This is not an image.\n";
    bytes b = {malloc(sizeof text), sizeof text - 1};
    memcpy(b.data, text, sizeof text);
    return b;
}

static bytes empty(void)
{
    return (bytes){calloc(1, 1), 0};
}

static bytes jpeg_cut_in_half(void)
{
    bytes b = fixture("rgb_444.jpg");
    b.size = b.size / 2;
    return b;
}

static bytes jpeg_only_magic(void)
{
    bytes b = fixture("rgb_444.jpg");
    b.size = 3;
    return b;
}

/* Finds the frame header (SOF0) of a baseline file. */
static unsigned char *frame(bytes b)
{
    for (size_t i = 0; i + 10 < b.size; i++)
        if (b.data[i] == 0xff && b.data[i + 1] == 0xc0)
            return b.data + i;
    fail_msg("no frame header");
    return NULL;
}

static bytes jpeg_of_65500_squared(void)
{
    bytes b = fixture("rgb_444.jpg");
    memcpy(frame(b) + 5, "\xff\xdc\xff\xdc", 4);
    return b;
}

static bytes jpeg_of_zero_width(void)
{
    bytes b = fixture("rgb_444.jpg");
    memcpy(frame(b) + 7, "\0\0", 2);
    return b;
}

static bytes jpeg_of_12_bits(void)
{
    bytes b = fixture("rgb_444.jpg");
    frame(b)[4] = 12;
    return b;
}

static bytes png_cut_in_half(void)
{
    bytes b = fixture("rgb.png");
    b.size = b.size / 2;
    return b;
}

static bytes png_only_magic(void)
{
    bytes b = fixture("rgb.png");
    b.size = 8;
    return b;
}

static bytes png_wrong_checksum(void)
{
    bytes b = fixture("rgb.png");
    b.data[29] ^= 1; /* of IHDR */
    return b;
}

static bytes png_damaged_data(void)
{
    bytes b = fixture("rgb.png");
    b.data[b.size / 2] ^= 0x40;
    return b;
}

/* IHDR with a new size and the right checksum. */
static bytes png_of_size(uint32_t width, uint32_t height)
{
    bytes b = fixture("rgb.png");
    uint32_t crc = 0xffffffffu;
    for (int i = 0; i < 4; i++) {
        b.data[16 + i] = (unsigned char)(width >> (24 - 8 * i));
        b.data[20 + i] = (unsigned char)(height >> (24 - 8 * i));
    }
    for (int i = 12; i < 29; i++) {
        crc ^= b.data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    crc = ~crc;
    for (int i = 0; i < 4; i++)
        b.data[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
    return b;
}

static bytes png_of_two_billion_squared(void)
{
    return png_of_size(2000000000u, 2000000000u);
}

static bytes png_of_60000_squared(void)
{
    return png_of_size(60000u, 60000u);
}

static bytes png_of_zero_height(void)
{
    return png_of_size(29u, 0u);
}

static const struct {
    const char *defect;
    bytes (*make)(void);
    nissl_status status;
    const char *says;
} malformed[] = {
    {"text_named_jpg", text_named_jpg, NISSL_ERR_FORMAT, "neither JPEG nor PNG"},
    {"empty", empty, NISSL_ERR_FORMAT, "0 bytes are no image"},
    {"jpeg_cut_in_half", jpeg_cut_in_half, NISSL_ERR_FORMAT, "the data end at byte"},
    {"jpeg_only_magic", jpeg_only_magic, NISSL_ERR_FORMAT, "the data end at byte 3"},
    {"jpeg_of_65500_squared", jpeg_of_65500_squared, NISSL_ERR_LIMIT, "budget is 1073741824"},
    {"jpeg_of_zero_width", jpeg_of_zero_width, NISSL_ERR_FORMAT, "JPEG: "},
    {"jpeg_of_12_bits", jpeg_of_12_bits, NISSL_ERR_FORMAT, "12"},
    {"png_cut_in_half", png_cut_in_half, NISSL_ERR_FORMAT, "the data end at byte"},
    {"png_only_magic", png_only_magic, NISSL_ERR_FORMAT, "the data end at byte 8"},
    {"png_wrong_checksum", png_wrong_checksum, NISSL_ERR_FORMAT, "CRC"},
    {"png_damaged_data", png_damaged_data, NISSL_ERR_FORMAT, "PNG: "},
    {"png_of_two_billion_squared", png_of_two_billion_squared, NISSL_ERR_FORMAT, "PNG: "},
    {"png_of_60000_squared", png_of_60000_squared, NISSL_ERR_LIMIT, "budget is 1073741824"},
    {"png_of_zero_height", png_of_zero_height, NISSL_ERR_FORMAT, "PNG: "},
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        bytes b = malformed[i].make();
        uint8_t *rgb = NULL;
        int64_t h = 0, w = 0;
        nissl_error error = {0};
        nissl_status status =
            nissl__image_decode(malformed[i].defect, b.data, b.size, BUDGET, &rgb, &h, &w, &error);
        if (status != malformed[i].status || !strstr(error.message, malformed[i].says) ||
            strncmp(error.message, malformed[i].defect, strlen(malformed[i].defect)) != 0)
            fail_msg("%s: %s: %s", malformed[i].defect, nissl_status_name(status), error.message);
        assert_null(rgb);
        free(b.data);
    }
}

static void test_missing(void **state)
{
    (void)state;
    uint8_t *rgb = NULL;
    int64_t h, w;
    nissl_error error = {0};
    assert_int_equal(nissl__image_read(IMAGES "absent.png", BUDGET, &rgb, &h, &w, &error),
                     NISSL_ERR_IO);
    assert_non_null(strstr(error.message, "absent.png"));
    assert_int_equal(nissl__image_size(IMAGES, &h, &w, &error), NISSL_ERR_IO);
}

static void test_written(void **state)
{
    (void)state;
    enum { h = 13, w = 19 };
    uint8_t rgb[h * w * 3], *back = NULL;
    int64_t height = 0, width = 0;
    nissl_error error = {0};
    char folder[] = "/tmp/nissl-image-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = nissl__format("%s/picture", folder);
    for (int i = 0; i < h * w * 3; i++)
        rgb[i] = (uint8_t)(40 + 3 * (i / 3 % w) + 4 * (i / 3 / w) + 20 * (i % 3));
    check_ok(nissl__png_write(path, rgb, h, w, &error), error);
    check_ok(nissl__image_read(path, BUDGET, &back, &height, &width, &error), error);
    assert_int_equal(height, h);
    assert_int_equal(width, w);
    assert_memory_equal(rgb, back, sizeof rgb);
    nissl__free(back);
    check_ok(nissl__jpeg_write(path, rgb, h, w, 95, &error), error);
    check_ok(nissl__image_read(path, BUDGET, &back, &height, &width, &error), error);
    assert_int_equal(height, h);
    for (int i = 0; i < h * w * 3; i++)
        assert_true(abs(rgb[i] - back[i]) <= 16);
    nissl__free(back);
    unlink(path);
    assert_int_equal(nissl__png_write(path, rgb, 0, w, &error), NISSL_ERR_RANGE);
    assert_int_equal(access(path, F_OK), -1);
    nissl__free(path);
    path = nissl__format("%s/absent/picture.png", folder);
    assert_int_equal(nissl__png_write(path, rgb, h, w, &error), NISSL_ERR_IO);
    assert_int_equal(nissl__jpeg_write(path, rgb, h, w, 90, &error), NISSL_ERR_IO);
    nissl__free(path);
    rmdir(folder);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    static const char *const some[] = {IMAGES "cmyk.jpg", IMAGES "rgb_interlaced.png"};
    for (int i = 0; i < 2; i++) {
        nissl_status status = NISSL_ERR_MEMORY;
        for (int n = 1; status != NISSL_OK; n++) {
            uint8_t *rgb = NULL;
            int64_t h, w;
            nissl_error error = {0};
            nissl__alloc_fail_at((uint64_t)n);
            status = nissl__image_read(some[i], BUDGET, &rgb, &h, &w, &error);
            assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
            assert_true(n < 100);
            nissl__free(rgb);
        }
        nissl__alloc_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),    cmocka_unit_test(test_imagenet),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_missing),
        cmocka_unit_test(test_written),   cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
