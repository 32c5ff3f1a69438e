/* IDX: plain and gzip, every type, malformed files by name of defect. */
#include <unistd.h>
#include <zlib.h>

#include "check.h"
#include "formats/idx.h"

#define BUDGET ((uint64_t)1 << 20)

static char folder[] = "/tmp/nissl-idx-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/file-idx3-ubyte", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* zlib's mode "wb" compresses, "wbT" does not. */
static void write_file(const char *mode, const void *bytes, size_t n)
{
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)n), (int)n);
    assert_int_equal(gzclose(file), Z_OK);
}

static void test_bytes(void **state)
{
    (void)state;
    static const unsigned char file[] = {0, 0, 8, 3, 0, 0, 0, 2, 0,   0,   0,
                                         1, 0, 0, 0, 3, 1, 2, 3, 250, 251, 252};
    for (int compressed = 0; compressed < 2; compressed++) {
        nissl_array array = {0};
        nissl_error error = {0};
        write_file(compressed ? "wb" : "wbT", file, sizeof file);
        check_ok(nissl__idx_read(path, BUDGET, &array, &error), error);
        assert_int_equal(array.type, NISSL_UINT8);
        assert_int_equal(array.rank, 3);
        assert_int_equal(array.shape[0], 2);
        assert_int_equal(array.shape[1], 1);
        assert_int_equal(array.shape[2], 3);
        assert_memory_equal(array.data, file + 16, 6);
        nissl_array_free(&array);
    }
}

static void test_other_types(void **state)
{
    (void)state;
    static const unsigned char shorts[] = {0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 0x01, 0x02};
    static const unsigned char ints[] = {0, 0, 0x0c, 1, 0, 0, 0, 1, 0x80, 0, 0, 1};
    static const unsigned char floats[] = {0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0};
    static const unsigned char doubles[] = {0,    0,    0x0e, 1, 0, 0, 0, 1,
                                            0xbf, 0xf8, 0,    0, 0, 0, 0, 0};
    static const unsigned char signed_bytes[] = {0, 0, 0x09, 1, 0, 0, 0, 1, 0xff};
    nissl_array array = {0};
    nissl_error error = {0};
    write_file("wbT", shorts, sizeof shorts);
    check_ok(nissl__idx_read(path, BUDGET, &array, &error), error);
    assert_int_equal(((int16_t *)array.data)[0], -2);
    assert_int_equal(((int16_t *)array.data)[1], 258);
    nissl_array_free(&array);
    write_file("wb", ints, sizeof ints);
    check_ok(nissl__idx_read(path, BUDGET, &array, &error), error);
    assert_int_equal(((int32_t *)array.data)[0], INT32_MIN + 1);
    nissl_array_free(&array);
    write_file("wb", floats, sizeof floats);
    check_ok(nissl__idx_read(path, BUDGET, &array, &error), error);
    check_close(((float *)array.data)[0], 1.5, 0);
    nissl_array_free(&array);
    write_file("wb", doubles, sizeof doubles);
    check_ok(nissl__idx_read(path, BUDGET, &array, &error), error);
    check_close(((double *)array.data)[0], -1.5, 0);
    nissl_array_free(&array);
    write_file("wb", signed_bytes, sizeof signed_bytes);
    check_ok(nissl__idx_read(path, BUDGET, &array, &error), error);
    assert_int_equal(((int8_t *)array.data)[0], -1);
    nissl_array_free(&array);
}

static const struct {
    const char *defect;
    unsigned char bytes[32];
    size_t n;
    nissl_status status;
    const char *says;
} malformed[] = {
    {"empty", {0}, 0, NISSL_ERR_FORMAT, "ends after 0 bytes of the magic number, expected 4"},
    {"wrong_magic",
     {1, 2, 3, 4, 5},
     5,
     NISSL_ERR_FORMAT,
     "not an IDX file (magic number 01020304)"},
    {"unknown_type", {0, 0, 7, 1, 0, 0, 0, 1, 0}, 9, NISSL_ERR_FORMAT, "not an IDX file"},
    {"no_dimensions", {0, 0, 8, 0, 0}, 5, NISSL_ERR_FORMAT, "0 dimensions, 1 to 8"},
    {"many_dimensions", {0, 0, 8, 200}, 4, NISSL_ERR_FORMAT, "200 dimensions, 1 to 8"},
    {"dimensions_cut_off",
     {0, 0, 8, 2, 0, 0, 0, 1, 0},
     9,
     NISSL_ERR_FORMAT,
     "ends after 1 bytes of the dimensions, expected 4"},
    {"product_overflows",
     {0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
     16,
     NISSL_ERR_FORMAT,
     "larger than 2^63 bytes"},
    {"over_budget",
     {0, 0, 8, 1, 0, 0x20, 0, 0},
     8,
     NISSL_ERR_LIMIT,
     "need 2097152 bytes, the budget is 1048576"},
    {"data_too_short",
     {0, 0, 8, 1, 0, 0, 0, 5, 1, 2},
     10,
     NISSL_ERR_FORMAT,
     "need 5 bytes of data, the file holds at most 2"},
    {"data_too_long",
     {0, 0, 8, 1, 0, 0, 0, 2, 1, 2, 3},
     11,
     NISSL_ERR_FORMAT,
     "more data than the 2 bytes of its dimensions"},
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        nissl_array array = {0};
        nissl_error error = {0};
        write_file("wbT", malformed[i].bytes, malformed[i].n);
        nissl_status status = nissl__idx_read(path, BUDGET, &array, &error);
        if (status != malformed[i].status || !strstr(error.message, malformed[i].says) ||
            strncmp(error.message, path, strlen(path)) != 0)
            fail_msg("%s: %s: %s", malformed[i].defect, nissl_status_name(status), error.message);
        assert_null(array.data);
    }
}

/* A few compressed bytes that claim a megabyte: what is missing is found while reading. */
static void test_gzip_that_promises_more(void **state)
{
    (void)state;
    static const unsigned char file[] = {0, 0, 8, 1, 0, 0, 0x4, 0, 1, 2};
    nissl_array array = {0};
    nissl_error error = {0};
    write_file("wb", file, sizeof file);
    assert_int_equal(nissl__idx_read(path, BUDGET, &array, &error), NISSL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "ends after 2 bytes of data, expected 1024"));
}

static void test_damaged_gzip(void **state)
{
    (void)state;
    unsigned char file[2048] = {0, 0, 8, 1, 0, 0, 7, 0xf8};
    unsigned char packed[4096];
    nissl_array array = {0};
    nissl_error error = {0};
    for (int i = 8; i < 2048; i++)
        file[i] = (unsigned char)nissl__random_bits(1, 2, (uint64_t)i);
    write_file("wb", file, sizeof file);
    check_ok(nissl__idx_read(path, BUDGET, &array, &error), error);
    nissl_array_free(&array);
    FILE *in = fopen(path, "rb");
    size_t n = fread(packed, 1, sizeof packed, in);
    fclose(in);
    FILE *out = fopen(path, "wb");
    fwrite(packed, 1, n / 2, out);
    fclose(out);
    assert_int_equal(nissl__idx_read(path, BUDGET, &array, &error), NISSL_ERR_FORMAT);
    packed[n - 6] ^= 1; /* the checksum */
    out = fopen(path, "wb");
    fwrite(packed, 1, n, out);
    fclose(out);
    assert_int_equal(nissl__idx_read(path, BUDGET, &array, &error), NISSL_ERR_FORMAT);
    assert_null(array.data);
}

static void test_missing(void **state)
{
    (void)state;
    nissl_array array = {0};
    nissl_error error = {0};
    assert_int_equal(nissl__idx_read("/absent/file", BUDGET, &array, &error), NISSL_ERR_IO);
    assert_int_equal(nissl__idx_read("/", BUDGET, &array, &error), NISSL_ERR_IO);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(nissl__idx_named("a/t10k-images-idx3-ubyte.gz"));
    assert_true(nissl__idx_named("train-labels.idx1-ubyte"));
    assert_true(nissl__idx_named("x.idx"));
    assert_false(nissl__idx_named("idx3-ubyte/data.csv"));
    assert_false(nissl__idx_named("index.csv"));
}

static void test_mnist(void **state)
{
    (void)state;
    const char *data = getenv("NISSL_DATA");
    char *file =
        nissl__format("%s/mnist/t10k-labels-idx1-ubyte.gz", data ? data : NISSL_DATA_BESIDE);
    nissl_array array = {0};
    nissl_error error = {0};
    if (access(file, R_OK) != 0) {
        nissl__free(file);
        skip();
    }
    check_ok(nissl__idx_read(file, BUDGET, &array, &error), error);
    assert_int_equal(array.shape[0], 10000);
    assert_memory_equal(array.data, "\x07\x02\x01\x00\x04\x01", 6);
    nissl_array_free(&array);
    nissl__free(file);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    static const unsigned char file[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 2};
    nissl_status status = NISSL_ERR_MEMORY;
    write_file("wb", file, sizeof file);
    for (int n = 1; status != NISSL_OK; n++) {
        nissl_array array = {0};
        nissl_error error = {0};
        nissl__alloc_fail_at((uint64_t)n);
        status = nissl__idx_read(path, BUDGET, &array, &error);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        assert_true(n < 50);
        nissl_array_free(&array);
    }
    nissl__alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_gzip_that_promises_more),
        cmocka_unit_test(test_damaged_gzip),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_mnist),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
