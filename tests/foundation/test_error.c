#include "../check.h"
#include "foundation/foundation.h"

static void every_status_has_its_text_and_name(void **state)
{
    for (int i = 0; i < NISSL_STATUS_COUNT; i++) {
        assert_true(strlen(nissl_status_text((nissl_status)i)) > 0);
        assert_memory_equal(nissl_status_name((nissl_status)i), "NISSL_", 6);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(nissl_status_name((nissl_status)i),
                                    nissl_status_name((nissl_status)j));
    }
    assert_string_equal(nissl_status_text(NISSL_ERR_SHAPE), "shapes do not agree");
    assert_string_equal(nissl_status_name(NISSL_ERR_SHAPE), "NISSL_ERR_SHAPE");
    assert_string_equal(nissl_status_text((nissl_status)-1), "unknown status");
    assert_string_equal(nissl_status_name(NISSL_STATUS_COUNT), "NISSL_UNKNOWN");
}

static void fail_writes_code_place_and_message(void **state)
{
    nissl_error err = {0};
    assert_int_equal(NISSL__FAIL(&err, NISSL_ERR_SHAPE, "n = %d exceeds %d", 9, 3),
                     NISSL_ERR_SHAPE);
    assert_int_equal(err.line, __LINE__ - 2);
    assert_int_equal(err.code, NISSL_ERR_SHAPE);
    assert_string_equal(err.function, __func__);
    assert_string_equal(err.message, "n = 9 exceeds 3");
    assert_int_equal(NISSL__FAIL(NULL, NISSL_ERR_IO, "unheard"), NISSL_ERR_IO);
    nissl__error_prefix(&err, "file %s", "a.onnx");
    assert_string_equal(err.message, "file a.onnx: n = 9 exceeds 3");
    nissl__error_prefix(NULL, "unheard");
}

static void long_messages_are_cut_and_prefixes_give_way(void **state)
{
    nissl_error err = {0};
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    NISSL__FAIL(&err, NISSL_ERR_IO, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    NISSL__FAIL(&err, NISSL_ERR_IO, "both numbers: 1 and 2");
    nissl__error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_non_null(strstr(err.message, "xx: both numbers: 1 and 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_text_and_name),
        cmocka_unit_test(fail_writes_code_place_and_message),
        cmocka_unit_test(long_messages_are_cut_and_prefixes_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
