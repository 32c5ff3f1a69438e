#include "../check.h"
#include "foundation/foundation.h"

static void memory_is_aligned_and_zeroed(void **state)
{
    for (size_t n = 0; n < 300; n += 37) {
        unsigned char *memory = nissl__alloc(n, 1);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, n); /* so that a reused block would show */
        nissl__free(memory);
    }
    nissl__free(NULL);
}

static void sizes_that_overflow_are_refused(void **state)
{
    assert_null(nissl__alloc(SIZE_MAX, 2));
    assert_null(nissl__alloc(2, SIZE_MAX));
    assert_null(nissl__alloc(SIZE_MAX, 1));
    assert_null(nissl__alloc((size_t)1 << 33, (size_t)1 << 33));
}

static void resize_keeps_and_zeroes(void **state)
{
    int32_t *values = nissl__alloc(3, sizeof *values);
    for (int i = 0; i < 3; i++)
        values[i] = i + 1;
    values = nissl__resize(values, 3, 100, sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < 100; i++)
        assert_int_equal(values[i], i < 3 ? i + 1 : 0);
    values = nissl__resize(values, 100, 2, sizeof *values);
    assert_int_equal(values[1], 2);
    assert_null(nissl__resize(values, 2, SIZE_MAX, sizeof *values));
    assert_int_equal(values[1], 2); /* still ours */
    nissl__free(values);
}

static void the_nth_allocation_fails_once(void **state)
{
    for (uint64_t n = 1; n < 5; n++) {
        nissl__alloc_fail_at(n);
        for (uint64_t i = 1; i < 8; i++) {
            void *memory = nissl__alloc(1, 1);
            assert_int_equal(memory == NULL, i == n);
            nissl__free(memory);
        }
    }
    nissl__alloc_fail_at(1);
    nissl__alloc_fail_at(0);
    void *memory = nissl__alloc(1, 1);
    assert_non_null(memory);
    nissl__free(memory);
}

static void text_is_copied_and_formatted(void **state)
{
    char *copy = nissl__strdup("unit");
    char *text = nissl__format("%s:%d", copy, 17);
    assert_string_equal(text, "unit:17");
    nissl__free(copy);
    nissl__free(text);
    nissl__alloc_fail_at(1);
    assert_null(nissl__strdup("unit"));
    nissl__alloc_fail_at(1);
    assert_null(nissl__format("%d", 1));
}

static void checked_arithmetic(void **state)
{
    int64_t out = 7;
    assert_true(nissl__mul(3, 5, &out));
    assert_int_equal(out, 15);
    assert_true(nissl__mul(INT64_MAX, 1, &out));
    assert_true(nissl__mul(0, INT64_MAX, &out));
    assert_int_equal(out, 0);
    assert_false(nissl__mul((int64_t)1 << 32, (int64_t)1 << 31, &out));
    assert_false(nissl__mul(-1, 5, &out));
    assert_false(nissl__mul(5, -1, &out));
    assert_true(nissl__add(INT64_MAX - 1, 1, &out));
    assert_int_equal(out, INT64_MAX);
    assert_false(nissl__add(INT64_MAX, 1, &out));
    assert_false(nissl__add(-1, 1, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_zeroed),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(resize_keeps_and_zeroes),
        cmocka_unit_test(the_nth_allocation_fails_once),
        cmocka_unit_test(text_is_copied_and_formatted),
        cmocka_unit_test(checked_arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
