/* Tensors in files of their own, right and malformed, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "formats/onnx.h"
#include "foundation/foundation.h"

/* dims = 2; data_type = float; raw_data = 8 bytes */
static const uint8_t right[] = {0x08, 2, 0x10, 1, 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0};

static void test_reads_raw_data(void **state)
{
    nissl_array array = {0};
    nissl_error err = {0};
    assert_int_equal(nissl__onnx_parse_tensor("t", right, sizeof right, 0, &array, &err), NISSL_OK);
    assert_int_equal(array.type, NISSL_FLOAT32);
    assert_int_equal(array.rank, 1);
    assert_int_equal(array.shape[0], 2);
    assert_true(((float *)array.data)[0] == 1 && ((float *)array.data)[1] == -2);
    nissl_array_free(&array);
}

static void must_fail(const uint8_t *bytes, size_t n, uint64_t budget, nissl_status code,
                      const char *part)
{
    nissl_array array = {0};
    nissl_error err = {0};
    uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past its end */
    assert_non_null(exact);
    memcpy(exact, bytes, n);
    nissl_status status = nissl__onnx_parse_tensor("t", exact, n, budget, &array, &err);
    free(exact);
    if (status != code || !strstr(err.message, part))
        fail_msg("status %d, expected %d: %s", (int)status, (int)code, err.message);
    assert_null(array.data);
}

static void test_refuses_what_is_malformed(void **state)
{
    static const uint8_t few[] = {0x08, 3, 0x10, 1, 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0};
    static const uint8_t text[] = {0x08, 1, 0x10, 8, 0x32, 1, 'a'};
    static const uint8_t external[] = {0x08, 1,   0x10, 1,   0x70, 1,   0x6a, 13,   0x0a, 8,  'l',
                                       'o',  'c', 'a',  't', 'i',  'o', 'n',  0x12, 1,    'a'};
    must_fail(right, 0, 0, NISSL_ERR_FORMAT, "no data_type");
    must_fail(right, sizeof right - 1, 0, NISSL_ERR_FORMAT, "byte 4");
    must_fail(few, sizeof few, 0, NISSL_ERR_FORMAT, "declares 3 elements (12 bytes)");
    must_fail(text, sizeof text, 0, NISSL_ERR_UNSUPPORTED, "string");
    must_fail(external, sizeof external, 0, NISSL_ERR_UNSUPPORTED, "external");
    must_fail(right, sizeof right, 4, NISSL_ERR_LIMIT, "8 bytes exceed the budget of 4");
}

static void test_cut_anywhere_is_refused(void **state)
{
    for (size_t n = 0; n < sizeof right; n++) {
        nissl_array array = {0};
        nissl_error err = {0};
        assert_int_not_equal(nissl__onnx_parse_tensor("t", right, n, 0, &array, &err), NISSL_OK);
        assert_true(err.message[0] != '\0');
    }
}

static void test_absent_file_is_named(void **state)
{
    nissl_array array = {0};
    nissl_error err = {0};
    assert_int_equal(nissl__onnx_open_tensor("/nowhere/input_0.pb", 0, &array, &err), NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "/nowhere/input_0.pb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_raw_data),
        cmocka_unit_test(test_refuses_what_is_malformed),
        cmocka_unit_test(test_cut_anywhere_is_refused),
        cmocka_unit_test(test_absent_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
