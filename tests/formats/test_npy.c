/* npy: files of numpy, malformed files by name of defect, and round trips. */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "formats/npy.h"

#define BUDGET ((uint64_t)1 << 20)
#define NPY    NISSL_FIXTURES "/npy/"

static const struct {
    const char *name;
    nissl_type type;
    int rank;
    int64_t shape[3];
} good[] = {
    {"c_b1", NISSL_BOOL, 3, {3, 4, 2}},          {"c_i1", NISSL_INT8, 3, {3, 4, 2}},
    {"c_u1", NISSL_UINT8, 3, {3, 4, 2}},         {"c_i2", NISSL_INT16, 3, {3, 4, 2}},
    {"c_u2", NISSL_UINT16, 3, {3, 4, 2}},        {"c_i4", NISSL_INT32, 3, {3, 4, 2}},
    {"c_u4", NISSL_UINT32, 3, {3, 4, 2}},        {"c_i8", NISSL_INT64, 3, {3, 4, 2}},
    {"c_u8", NISSL_UINT64, 3, {3, 4, 2}},        {"c_f2", NISSL_FLOAT16, 3, {3, 4, 2}},
    {"c_f4", NISSL_FLOAT32, 3, {3, 4, 2}},       {"c_f8", NISSL_FLOAT64, 3, {3, 4, 2}},
    {"fortran_f4", NISSL_FLOAT32, 3, {3, 4, 2}}, {"fortran_u1", NISSL_UINT8, 2, {5, 3}},
    {"version2_f4", NISSL_FLOAT32, 2, {2, 3}},   {"version3_i4", NISSL_INT32, 2, {2, 3}},
    {"empty_f4", NISSL_FLOAT32, 2, {0, 3}},      {"vector_i8", NISSL_INT64, 1, {7}},
};

static double expected_value(nissl_type type, int64_t i)
{
    switch (type) {
    case NISSL_BOOL: return (double)(i % 2);
    case NISSL_FLOAT16:
    case NISSL_FLOAT32:
    case NISSL_FLOAT64: return (double)i / 2;
    case NISSL_INT8:
    case NISSL_INT16:
    case NISSL_INT32:
    case NISSL_INT64: return (double)(i - 5);
    default: return (double)i;
    }
}

static void check_values(const char *name, const nissl_view *view)
{
    double values[64];
    nissl_error error = {0};
    check_ok(nissl_view_copy(view, NISSL_FLOAT64, values, &error), error);
    for (int64_t i = 0; i < nissl_view_count(view); i++)
        if (values[i] != expected_value(view->type, i))
            fail_msg("%s: value %lld is %g, not %g", name, (long long)i, values[i],
                     expected_value(view->type, i));
}

static void test_numpy_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        nissl__npy npy = {0};
        nissl_array array = {0};
        nissl_error error = {0};
        char *path = nissl__format(NPY "%s.npy", good[i].name);
        check_ok(nissl__npy_open(path, BUDGET, &npy, &error), error);
        assert_int_equal(npy.view.type, good[i].type);
        assert_int_equal(npy.view.rank, good[i].rank);
        for (int k = 0; k < good[i].rank; k++)
            assert_int_equal(npy.view.shape[k], good[i].shape[k]);
        check_values(good[i].name, &npy.view);
        nissl__npy_close(&npy);
        nissl__npy_close(&npy);
        check_ok(nissl__npy_read(path, BUDGET, &array, &error), error);
        nissl_view view = nissl_array_view(&array);
        check_values(good[i].name, &view);
        nissl_array_free(&array);
        nissl__free(path);
    }
}

static void test_scalar(void **state)
{
    (void)state;
    nissl_array array = {0};
    nissl_error error = {0};
    check_ok(nissl__npy_read(NPY "scalar_f8.npy", BUDGET, &array, &error), error);
    assert_int_equal(array.rank, 0);
    check_close(*(double *)array.data, 2.5, 0);
    nissl_array_free(&array);
}

/* Data at an address that its type does not allow is copied. */
static void test_unaligned(void **state)
{
    (void)state;
    nissl__npy npy = {0};
    nissl__mapping file = {0};
    nissl_error error = {0};
    check_ok(nissl__map_file(NPY "c_f8.npy", &file, &error), error);
    unsigned char *moved = malloc(file.size + 1);
    memcpy(moved + 1, file.data, file.size);
    check_ok(nissl__npy_parse("moved", moved + 1, file.size, BUDGET, &npy, &error), error);
    check_values("moved", &npy.view);
    assert_non_null(npy.copy);
    nissl__npy_close(&npy);
    assert_int_equal(nissl__npy_parse("moved", moved + 1, file.size, 10, &npy, &error),
                     NISSL_ERR_LIMIT);
    free(moved);
    nissl__unmap_file(&file);
}

/* A file of version 1 with this header text and n_data bytes of data. */
static size_t make(unsigned char *out, const char *header, size_t n_data)
{
    size_t n = strlen(header);
    memcpy(out, "\x93NUMPY\x01", 8);
    out[8] = (unsigned char)(n & 0xff);
    out[9] = (unsigned char)(n >> 8);
    memcpy(out + 10, header, n);
    memset(out + 10 + n, 0, n_data);
    return 10 + n + n_data;
}

static const struct {
    const char *defect, *header;
    size_t n_data;
    nissl_status status;
    const char *says;
} malformed[] = {
    {"no_brace", "'descr'", 4, NISSL_ERR_FORMAT, "byte 10: expected '{'"},
    {"unknown_key", "{'descr': '<f4', 'colour': 1}", 4, NISSL_ERR_FORMAT,
     "unknown header key 'colour'"},
    {"no_shape", "{'descr': '<f4', 'fortran_order': False}", 4, NISSL_ERR_FORMAT,
     "lacks the key 'shape'"},
    {"no_descr", "{'fortran_order': False, 'shape': ()}", 4, NISSL_ERR_FORMAT,
     "lacks the key 'descr'"},
    {"quote_not_closed", "{'descr", 4, NISSL_ERR_FORMAT, "expected a closing quote"},
    {"order_is_maybe", "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}", 4,
     NISSL_ERR_FORMAT, "expected True or False, found 'M'"},
    {"negative_dimension", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4,
     NISSL_ERR_FORMAT, "expected a dimension, found '-'"},
    {"shape_not_closed", "{'descr': '<f4', 'fortran_order': False, 'shape': (1", 4,
     NISSL_ERR_FORMAT, "expected ',' or ')'"},
    {"nine_dimensions", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 4,
     NISSL_ERR_UNSUPPORTED, "more than 8 dimensions"},
    {"dimension_of_2_64",
     "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}", 4,
     NISSL_ERR_FORMAT, "exceeds 2^63 - 1"},
    {"elements_2_60", "{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,)}",
     4, NISSL_ERR_FORMAT, "larger than 2^63 bytes"},
    {"product_overflows",
     "{'descr': '<u1', 'fortran_order': True, 'shape': (4294967296, 4294967296)}", 4,
     NISSL_ERR_FORMAT, "axis 1 of 4294967296 elements"},
    {"data_too_short", "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 8,
     NISSL_ERR_FORMAT, "needs 12 bytes of data, the file holds 8"},
    {"text_type", "{'descr': '<U8', 'fortran_order': False, 'shape': (1,)}", 64,
     NISSL_ERR_UNSUPPORTED, "'<U8'"},
    {"object_type", "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 64,
     NISSL_ERR_UNSUPPORTED, "'|O'"},
    {"empty_type", "{'descr': '', 'fortran_order': False, 'shape': (1,)}", 64,
     NISSL_ERR_UNSUPPORTED, "''"},
};

static void test_malformed(void **state)
{
    (void)state;
    unsigned char file[512];
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        nissl__npy npy = {0};
        nissl_error error = {0};
        size_t n = make(file, malformed[i].header, malformed[i].n_data);
        nissl_status status = nissl__npy_parse(malformed[i].defect, file, n, BUDGET, &npy, &error);
        if (status != malformed[i].status || !strstr(error.message, malformed[i].says) ||
            strncmp(error.message, malformed[i].defect, strlen(malformed[i].defect)) != 0)
            fail_msg("%s: %s: %s", malformed[i].defect, nissl_status_name(status), error.message);
    }
}

static void test_malformed_prefix(void **state)
{
    (void)state;
    unsigned char file[256];
    nissl__npy npy = {0};
    nissl_error error = {0};
    size_t n = make(file, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", 4);
    check_ok(nissl__npy_parse("good", file, n, BUDGET, &npy, &error), error);
    nissl__npy_close(&npy);
    /* every truncation is refused, and none reads past the end */
    for (size_t cut = 0; cut < n; cut++) {
        unsigned char *exact = malloc(cut ? cut : 1);
        memcpy(exact, file, cut);
        assert_int_equal(nissl__npy_parse("cut", exact, cut, BUDGET, &npy, &error),
                         NISSL_ERR_FORMAT);
        free(exact);
    }
    file[6] = 4;
    assert_int_equal(nissl__npy_parse("v4", file, n, BUDGET, &npy, &error), NISSL_ERR_UNSUPPORTED);
    file[6] = 2; /* a header of 4 bytes' length: the text's first bytes make it huge */
    assert_int_equal(nissl__npy_parse("v2", file, n, BUDGET, &npy, &error), NISSL_ERR_LIMIT);
    file[6] = 1;
    file[8] = 0xff;
    assert_int_equal(nissl__npy_parse("long", file, n, BUDGET, &npy, &error), NISSL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "a header of 255 bytes"));
    file[0] = 'P';
    assert_int_equal(nissl__npy_parse("magic", file, n, BUDGET, &npy, &error), NISSL_ERR_FORMAT);
}

static void test_unsupported_files(void **state)
{
    (void)state;
    nissl__npy npy = {0};
    nissl_error error = {0};
    assert_int_equal(nissl__npy_open(NPY "big_endian.npy", BUDGET, &npy, &error),
                     NISSL_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "big-endian"));
    assert_int_equal(nissl__npy_open(NPY "complex.npy", BUDGET, &npy, &error),
                     NISSL_ERR_UNSUPPORTED);
    assert_int_equal(nissl__npy_open(NPY "structured.npy", BUDGET, &npy, &error),
                     NISSL_ERR_UNSUPPORTED);
    assert_int_equal(nissl__npy_open(NPY "absent.npy", BUDGET, &npy, &error), NISSL_ERR_IO);
    nissl_array array = {0};
    assert_int_equal(nissl__npy_read(NPY "c_f8.npy", 100, &array, &error), NISSL_ERR_LIMIT);
    assert_non_null(strstr(error.message, "192 bytes exceed the budget of 100"));
}

static void test_round_trip(void **state)
{
    (void)state;
    char folder[] = "/tmp/nissl-npy-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = nissl__format("%s/a.npy", folder);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        nissl_error error = {0};
        nissl__npy from = {0}, back = {0};
        char *source = nissl__format(NPY "%s.npy", good[i].name);
        check_ok(nissl__npy_open(source, BUDGET, &from, &error), error);
        check_ok(nissl__npy_write(path, &from.view, &error), error);
        check_ok(nissl__npy_open(path, BUDGET, &back, &error), error);
        assert_int_equal(back.view.type, from.view.type);
        assert_int_equal((back.file.size -
                          (size_t)nissl_view_count(&back.view) * nissl_type_size(back.view.type)) %
                             64,
                         0);
        check_values(good[i].name, &back.view);
        nissl__npy_close(&from);
        nissl__npy_close(&back);
        nissl__free(source);
    }
    nissl_error error = {0};
    int64_t shape[1] = {1};
    uint16_t value = 0;
    nissl_view bfloat = nissl_view_of(&value, NISSL_BFLOAT16, 1, shape);
    unlink(path);
    assert_int_equal(nissl__npy_write(path, &bfloat, &error), NISSL_ERR_TYPE);
    assert_int_equal(access(path, F_OK), -1);
    nissl__free(path);
    rmdir(folder);
}

/* What numpy writes is what we write: the same bytes. */
static void test_same_bytes_as_numpy(void **state)
{
    (void)state;
    nissl_error error = {0};
    nissl__npy npy = {0};
    nissl__mapping ours = {0}, theirs = {0};
    char folder[] = "/tmp/nissl-npy-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = nissl__format("%s/a.npy", folder);
    static const char *const names[] = {"c_f4", "c_b1", "c_i8", "vector_i8", "empty_f4"};
    for (int i = 0; i < 5; i++) {
        char *source = nissl__format(NPY "%s.npy", names[i]);
        check_ok(nissl__npy_open(source, BUDGET, &npy, &error), error);
        check_ok(nissl__npy_write(path, &npy.view, &error), error);
        check_ok(nissl__map_file(path, &ours, &error), error);
        check_ok(nissl__map_file(source, &theirs, &error), error);
        assert_int_equal(ours.size, theirs.size);
        assert_memory_equal(ours.data, theirs.data, ours.size);
        nissl__unmap_file(&ours);
        nissl__unmap_file(&theirs);
        nissl__npy_close(&npy);
        nissl__free(source);
    }
    unlink(path);
    rmdir(folder);
    nissl__free(path);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    nissl_status status = NISSL_ERR_MEMORY;
    for (int n = 1; status != NISSL_OK; n++) {
        nissl_array array = {0};
        nissl_error error = {0};
        nissl__alloc_fail_at((uint64_t)n);
        status = nissl__npy_read(NPY "fortran_f4.npy", BUDGET, &array, &error);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        assert_true(n < 50);
        nissl_array_free(&array);
    }
    nissl__alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numpy_files),         cmocka_unit_test(test_scalar),
        cmocka_unit_test(test_unaligned),           cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_malformed_prefix),    cmocka_unit_test(test_unsupported_files),
        cmocka_unit_test(test_round_trip),          cmocka_unit_test(test_same_bytes_as_numpy),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
