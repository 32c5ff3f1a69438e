/* safetensors: good files, malformed ones by name of defect, indexes, and laziness. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "formats/safetensors.h"
#include "foundation/foundation.h"

#define BUDGET ((uint64_t)1 << 20)

/* A file of this header and n_data bytes of data, each its index. */
static uint8_t *make(const char *header, size_t n_data, size_t *size)
{
    size_t n = strlen(header);
    uint8_t *file = malloc(8 + n + n_data + 1);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)(n >> 8 * i);
    memcpy(file + 8, header, n);
    for (size_t i = 0; i < n_data; i++)
        file[8 + n + i] = (uint8_t)i;
    *size = 8 + n + n_data;
    return file;
}

static nissl_status parse(const char *header, size_t n_data, nissl__safetensors **out,
                          uint8_t **file, nissl_error *err)
{
    size_t size;
    *file = make(header, n_data, &size);
    return nissl__safetensors_parse("file", *file, size, BUDGET, out, err);
}

static void test_good(void **state)
{
    (void)state;
    nissl__safetensors *set = NULL;
    nissl_error error = {0};
    uint8_t *file;
    check_ok(parse(" {\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[3,11]},\n"
                   "\"__metadata__\":{\"format\":\"pt\"},"
                   "\"a\\u00e9\\ud83d\\ude00\":{\"data_offsets\":[0,3],\"shape\":[3],\"dtype\":"
                   "\"U8\"},\"none\":{\"dtype\":\"BF16\",\"shape\":[0,4],\"data_offsets\":[11,11]},"
                   "\"one\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[11,13]}}  ",
                   13, &set, &file, &error),
             error);
    assert_int_equal(nissl__safetensors_count(set), 4);
    const nissl__onnx_tensor *a = nissl__safetensors_at(set, 0);
    assert_string_equal(a->name, "a\xc3\xa9\xf0\x9f\x98\x80");
    assert_int_equal(a->type, NISSL_UINT8);
    assert_int_equal(((const uint8_t *)a->data)[2], 2);
    const nissl__onnx_tensor *b = nissl__safetensors_find(set, "b");
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(b->bytes, 8);
    assert_int_equal(((const uint8_t *)b->data)[0], 3);
    assert_int_equal(nissl__safetensors_find(set, "none")->bytes, 0);
    assert_int_equal(nissl__safetensors_find(set, "one")->rank, 0);
    assert_null(nissl__safetensors_find(set, "c"));
    nissl__safetensors_free(set);
    free(file);
    check_ok(parse("{}", 0, &set, &file, &error), error);
    assert_int_equal(nissl__safetensors_count(set), 0);
    nissl__safetensors_free(set);
    free(file);
}

#define F32(name, shape, offsets)                                                                  \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *defect, *header;
    size_t n_data;
    nissl_status code;
    const char *message;
} malformed[] = {
    {"overlap", "{" F32("a", "[2]", "[0,8]") "," F32("b", "[2]", "[4,12]") "}", 12,
     NISSL_ERR_FORMAT, "tensor b begins at byte 4 of the data, inside another"},
    {"same place", "{" F32("a", "[2]", "[0,8]") "," F32("b", "[2]", "[0,8]") "}", 8,
     NISSL_ERR_FORMAT, "inside another"},
    {"hole", "{" F32("a", "[1]", "[0,4]") "," F32("b", "[1]", "[8,12]") "}", 12, NISSL_ERR_FORMAT,
     "after bytes that are no tensor's"},
    {"trailing data", "{" F32("a", "[1]", "[0,4]") "}", 6, NISSL_ERR_FORMAT,
     "the tensors end at byte 4 of the data, which has 6 bytes"},
    {"past the end", "{" F32("a", "[4]", "[0,16]") "}", 8, NISSL_ERR_FORMAT,
     "tensor a lies at 0 .. 16 of 8 bytes of data"},
    {"offsets reversed", "{" F32("a", "[1]", "[8,4]") "}", 8, NISSL_ERR_FORMAT, "8 .. 4"},
    {"shape and offsets", "{" F32("a", "[3]", "[0,8]") "}", 8, NISSL_ERR_FORMAT,
     "tensor a has 8 bytes by its offsets, 12 by its shape"},
    {"shape overflows", "{" F32("a", "[4294967296,4294967296]", "[0,8]") "}", 8, NISSL_ERR_FORMAT,
     "exceeds 2^63 - 1 bytes at axis 1"},
    {"number overflows", "{" F32("a", "[9223372036854775808]", "[0,8]") "}", 8, NISSL_ERR_FORMAT,
     "a shape exceeds 2^63 - 1"},
    {"negative size", "{" F32("a", "[-1]", "[0,4]") "}", 4, NISSL_ERR_FORMAT,
     "a shape is no natural number"},
    {"fraction", "{" F32("a", "[1.5]", "[0,4]") "}", 4, NISSL_ERR_FORMAT, "where ']' belongs"},
    {"nine axes", "{" F32("a", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, NISSL_ERR_UNSUPPORTED,
     "more than 8 numbers"},
    {"one offset", "{" F32("a", "[1]", "[4]") "}", 4, NISSL_ERR_FORMAT, "has 1 numbers, not 2"},
    {"three offsets", "{" F32("a", "[1]", "[0,4,8]") "}", 4, NISSL_ERR_UNSUPPORTED,
     "more than 2 numbers"},
    {"duplicate name", "{" F32("a", "[1]", "[0,4]") "," F32("a", "[1]", "[4,8]") "}", 8,
     NISSL_ERR_FORMAT, "two tensors are named a"},
    {"duplicate key", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 4, NISSL_ERR_FORMAT,
     "tensor a has a second key \"dtype\""},
    {"unknown key", "{\"a\":{\"type\":\"U8\"}}", 4, NISSL_ERR_FORMAT,
     "tensor a has the unknown key \"type\""},
    {"no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, NISSL_ERR_FORMAT,
     "tensor a has no dtype"},
    {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, NISSL_ERR_FORMAT,
     "tensor a has no shape"},
    {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, NISSL_ERR_FORMAT,
     "tensor a has no data_offsets"},
    {"unknown dtype", "{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
     NISSL_ERR_UNSUPPORTED, "tensor a has the type F8_E4M3"},
    {"nesting", "{\"a\":{\"shape\":[[[[1]]]]}}", 4, NISSL_ERR_FORMAT, "no natural number"},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, NISSL_ERR_FORMAT, "twice"},
    {"nested metadata", "{\"__metadata__\":{\"a\":{}}}", 0, NISSL_ERR_FORMAT, "where '\"' belongs"},
    {"no object", "[]", 0, NISSL_ERR_FORMAT, "byte 0x5b in the header where '{' belongs"},
    {"empty header", "", 0, NISSL_ERR_FORMAT, "the header ends where '{' belongs"},
    {"cut short", "{\"a\":{\"dtype\":\"F32\"", 0, NISSL_ERR_FORMAT, "the header ends where"},
    {"open string", "{\"a", 0, NISSL_ERR_FORMAT, "a string does not end"},
    {"escaped end", "{\"a\\", 0, NISSL_ERR_FORMAT, "a string does not end"},
    {"bad escape", "{\"\\x\":1}", 0, NISSL_ERR_FORMAT, "bad escape"},
    {"lone surrogate", "{\"\\ud800\":1}", 0, NISSL_ERR_FORMAT, "bad escape"},
    {"escaped NUL", "{\"\\u0000\":1}", 0, NISSL_ERR_FORMAT, "bad escape"},
    {"control character", "{\"a\nb\":1}", 0, NISSL_ERR_FORMAT, "control byte 0x0a"},
    {"not UTF-8", "{\"\xff\":1}", 0, NISSL_ERR_FORMAT, "not UTF-8"},
    {"after the end", "{} x", 0, NISSL_ERR_FORMAT, "byte 0x78 after the end"},
    {"trailing comma", "{" F32("a", "[1]", "[0,4]") ",}", 4, NISSL_ERR_FORMAT, "where '\"'"},
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        nissl__safetensors *set = NULL;
        nissl_error error = {0};
        uint8_t *file;
        nissl_status code = parse(malformed[i].header, malformed[i].n_data, &set, &file, &error);
        if (code != malformed[i].code || !strstr(error.message, malformed[i].message) ||
            strncmp(error.message, "file: ", 6) != 0)
            fail_msg("%s: %d, %s", malformed[i].defect, code, error.message);
        assert_null(set);
        free(file);
    }
}

static void test_header_length(void **state)
{
    (void)state;
    nissl__safetensors *set = NULL;
    nissl_error error = {0};
    uint8_t file[64] = {60, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    assert_int_equal(nissl__safetensors_parse("file", file, 64, BUDGET, &set, &error),
                     NISSL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "a header of 60 bytes in a file of 64"));
    file[4] = 1;
    assert_int_equal(nissl__safetensors_parse("file", file, 64, BUDGET, &set, &error),
                     NISSL_ERR_LIMIT);
    assert_int_equal(nissl__safetensors_parse("file", file, 7, BUDGET, &set, &error),
                     NISSL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "7 bytes"));
}

/* Names and the list of tensors count against the budget. */
static void test_budget(void **state)
{
    (void)state;
    size_t n = 1000, used = 1, size;
    char *header = malloc(n * 64 + 8);
    nissl__safetensors *set = NULL;
    nissl_error error = {0};
    header[0] = '{';
    for (size_t i = 0; i < n; i++)
        used += (size_t)sprintf(header + used,
                                "%s\"%zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                                i ? "," : "", i);
    strcpy(header + used, "}");
    uint8_t *file = make(header, 0, &size);
    assert_int_equal(nissl__safetensors_parse("file", file, size, 10000, &set, &error),
                     NISSL_ERR_LIMIT);
    check_ok(nissl__safetensors_parse("file", file, size, BUDGET, &set, &error), error);
    assert_int_equal(nissl__safetensors_count(set), n);
    nissl__safetensors_free(set);
    free(file);
    free(header);
}

/* ---- files ---- */

static char folder[] = "/tmp/nissl-safetensors-XXXXXX";

static char *in_folder(const char *name)
{
    return nissl__format("%s/%s", folder, name);
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
    nissl__free(path);
}

static nissl_status open_index(const char *text, nissl__safetensors **out, nissl_error *err)
{
    write_file("model.safetensors.index.json", text, strlen(text));
    char *path = in_folder("model.safetensors.index.json");
    nissl_status status = nissl__safetensors_open_index(path, BUDGET, out, err);
    nissl__free(path);
    return status;
}

static void test_index(void **state)
{
    (void)state;
    nissl__safetensors *set = NULL;
    nissl_error error = {0};
    size_t size;
    uint8_t *one =
        make("{" F32("x", "[1]", "[0,4]") "," F32("shared", "[1]", "[4,8]") "}", 8, &size);
    write_file("1.safetensors", one, size);
    uint8_t *two =
        make("{" F32("shared", "[1]", "[0,4]") "," F32("a", "[2]", "[4,12]") "}", 12, &size);
    write_file("2.safetensors", two, size);
    check_ok(open_index("{\"metadata\":{\"total_size\":20},\"weight_map\":{\"x\":\"1.safetensors\","
                        "\"a\":\"2.safetensors\",\"shared\":\"2.safetensors\"}}",
                        &set, &error),
             error);
    assert_int_equal(nissl__safetensors_count(set), 3);
    assert_string_equal(nissl__safetensors_at(set, 0)->name, "a");
    assert_int_equal(*(const uint8_t *)nissl__safetensors_find(set, "shared")->data, 0);
    const void *bytes;
    assert_true(nissl__safetensors_file(set, 1, &bytes, &size));
    assert_false(nissl__safetensors_file(set, 2, &bytes, &size));
    nissl__safetensors_free(set);
    static const struct {
        const char *text;
        nissl_status code;
        const char *message;
    } bad[] = {
        {"{\"weight_map\":{\"y\":\"1.safetensors\"}}", NISSL_ERR_FORMAT,
         "1.safetensors does not hold the tensor y"},
        {"{\"weight_map\":{\"x\":\"../1.safetensors\"}}", NISSL_ERR_FORMAT,
         "is no name of a file beside the index"},
        {"{\"weight_map\":{\"x\":\"..\"}}", NISSL_ERR_FORMAT, "is no name of a file"},
        {"{\"weight_map\":{\"x\":\"\"}}", NISSL_ERR_FORMAT, "is no name of a file"},
        {"{\"weight_map\":{\"x\":3}}", NISSL_ERR_FORMAT, "the file of \"x\" is no string"},
        {"{\"weight_map\":{\"x\":\"3.safetensors\"}}", NISSL_ERR_IO, "3.safetensors"},
        {"{\"weight_map\":{\"x\":\"1.safetensors\",\"x\":\"1.safetensors\"}}", NISSL_ERR_FORMAT,
         "duplicate"},
        {"{\"weight_map\":[]}", NISSL_ERR_FORMAT, "no object \"weight_map\""},
        {"{}", NISSL_ERR_FORMAT, "no object \"weight_map\""},
        {"{", NISSL_ERR_FORMAT, "index.json:1:"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (open_index(bad[i].text, &set, &error) != bad[i].code ||
            !strstr(error.message, bad[i].message))
            fail_msg("%s: %s", bad[i].text, error.message);
    free(one);
    free(two);
}

/* 64 GiB of holes open at once: nothing is read but the header. */
static void test_sparse(void **state)
{
    (void)state;
    nissl__safetensors *set = NULL;
    nissl_error error = {0};
    struct rusage usage;
    size_t size;
    int64_t bytes = (int64_t)64 << 30;
    char header[200];
    snprintf(header, sizeof header, "{" F32("a", "[131072,131072]", "[0,%lld]") "}",
             (long long)bytes);
    uint8_t *file = make(header, 0, &size);
    write_file("sparse.safetensors", file, size);
    char *path = in_folder("sparse.safetensors");
    if (truncate(path, (off_t)size + bytes) != 0) { /* a file system without holes that large */
        free(file);
        nissl__free(path);
        skip();
    }
    check_ok(nissl__safetensors_open(path, BUDGET, &set, &error), error);
    assert_int_equal(nissl__safetensors_at(set, 0)->bytes, bytes);
    getrusage(RUSAGE_SELF, &usage);
    assert_true(usage.ru_maxrss < 1 << 20); /* kB */
    nissl__safetensors_free(set);
    unlink(path);
    nissl__free(path);
    free(file);
}

/* Every allocation failing in turn leaves an error and nothing behind. */
static void test_allocations(void **state)
{
    (void)state;
    nissl_status status = NISSL_ERR_MEMORY;
    for (uint64_t n = 1; status == NISSL_ERR_MEMORY && n < 100; n++) {
        nissl__safetensors *set = NULL;
        nissl_error error = {0};
        uint8_t *file;
        nissl__alloc_fail_at(n);
        status = parse("{" F32("a", "[1]", "[0,4]") "}", 4, &set, &file, &error);
        nissl__alloc_fail_at(0);
        nissl__safetensors_free(set);
        free(file);
    }
    assert_int_equal(status, NISSL_OK);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"1.safetensors", "2.safetensors", "sparse.safetensors",
                                        "model.safetensors.index.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = in_folder(names[i]);
        unlink(path);
        nissl__free(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_header_length), cmocka_unit_test(test_budget),
        cmocka_unit_test(test_index),         cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
