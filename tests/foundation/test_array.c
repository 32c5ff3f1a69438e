#include "../check.h"
#include "foundation/foundation.h"

static void types_have_sizes_and_names(void **state)
{
    static const size_t sizes[NISSL_TYPE_COUNT] = {4, 8, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 1};
    for (int i = 0; i < NISSL_TYPE_COUNT; i++) {
        assert_int_equal(nissl_type_size((nissl_type)i), sizes[i]);
        assert_string_not_equal(nissl_type_name((nissl_type)i), "unknown");
    }
    assert_string_equal(nissl_type_name(NISSL_BFLOAT16), "bfloat16");
    assert_int_equal(nissl_type_size(NISSL_TYPE_COUNT), 0);
    assert_string_equal(nissl_type_name((nissl_type)-1), "unknown");
}

static void arrays_are_made_and_freed(void **state)
{
    nissl_error err = {0};
    nissl_array array = {0};
    int64_t shape[] = {2, 3, 5};
    check_ok(nissl_array_new(NISSL_FLOAT64, 3, shape, &array, &err), err);
    assert_int_equal(nissl_array_count(&array), 30);
    for (int i = 0; i < 30; i++)
        assert_true(((double *)array.data)[i] == 0);
    nissl_array_free(&array);
    nissl_array_free(&array);
    nissl_array_free(NULL);
    assert_null(array.data);
    check_ok(nissl_array_new(NISSL_INT8, 0, NULL, &array, &err), err); /* a scalar */
    assert_int_equal(nissl_array_count(&array), 1);
    nissl_array_free(&array);
    int64_t empty[] = {0, 4};
    check_ok(nissl_array_new(NISSL_INT8, 2, empty, &array, &err), err);
    assert_int_equal(nissl_array_count(&array), 0);
    nissl_array_free(&array);
}

static void impossible_arrays_are_refused(void **state)
{
    nissl_error err = {0};
    nissl_array array = {0};
    int64_t wide[NISSL_MAX_RANK + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    int64_t negative[] = {3, -1};
    int64_t huge[] = {(int64_t)1 << 32, (int64_t)1 << 32};
    int64_t many[] = {(int64_t)1 << 61};
    assert_int_equal(nissl_array_new(NISSL_INT8, NISSL_MAX_RANK + 1, wide, &array, &err),
                     NISSL_ERR_RANGE);
    assert_int_equal(nissl_array_new(NISSL_INT8, -1, wide, &array, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_array_new(NISSL_INT8, 2, negative, &array, &err), NISSL_ERR_RANGE);
    assert_non_null(strstr(err.message, "axis 1"));
    assert_int_equal(nissl_array_new(NISSL_INT8, 2, huge, &array, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_array_new(NISSL_FLOAT64, 1, many, &array, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_array_new(NISSL_TYPE_COUNT, 1, wide, &array, &err), NISSL_ERR_RANGE);
    nissl__alloc_fail_at(1);
    assert_int_equal(nissl_array_new(NISSL_INT8, 1, wide, &array, &err), NISSL_ERR_MEMORY);
    assert_null(array.data);
}

static void views_know_when_they_are_contiguous(void **state)
{
    float data[24];
    int64_t shape[] = {2, 3, 4};
    nissl_view view = nissl_view_of(data, NISSL_FLOAT32, 3, shape);
    assert_int_equal(nissl_view_count(&view), 24);
    assert_true(nissl_view_contiguous(&view));
    view.stride[0] = 24;
    assert_false(nissl_view_contiguous(&view));
    view.shape[0] = 1; /* the stride of an axis of one says nothing */
    assert_true(nissl_view_contiguous(&view));
    view = nissl_view_of(data, NISSL_FLOAT32, 3, shape);
    view.shape[2] = 3;
    assert_false(nissl_view_contiguous(&view));
}

/* Copies by strides against a plain triple loop: transposed, broadcast, reversed. */
static void copies_follow_the_strides(void **state)
{
    static const int64_t shapes[][3] = {{4, 3, 2}, {2, 5, 3}, {1, 4, 6}, {3, 2, 1}};
    static const int64_t strides[][3] = {{1, 4, 12}, {15, 0, 1}, {7, -6, 1}, {-8, 3, 5}};
    static const int64_t starts[] = {0, 0, 18, 16};
    float data[64], out[64];
    double wide[64];
    nissl_error err = {0};
    for (int i = 0; i < 64; i++)
        data[i] = (float)i * 0.5f;
    for (int c = 0; c < 4; c++) {
        nissl_view view = nissl_view_of(data + starts[c], NISSL_FLOAT32, 3, shapes[c]);
        memcpy(view.stride, strides[c], sizeof strides[c]);
        check_ok(nissl_view_copy(&view, NISSL_FLOAT32, out, &err), err);
        check_ok(nissl_view_copy(&view, NISSL_FLOAT64, wide, &err), err);
        int64_t at = 0;
        for (int64_t i = 0; i < shapes[c][0]; i++)
            for (int64_t j = 0; j < shapes[c][1]; j++)
                for (int64_t k = 0; k < shapes[c][2]; k++, at++) {
                    float expected =
                        data[starts[c] + i * strides[c][0] + j * strides[c][1] + k * strides[c][2]];
                    assert_true(out[at] == expected);
                    assert_true(wide[at] == (double)expected);
                }
    }
}

static void copies_convert_every_type(void **state)
{
    nissl_error err = {0};
    int64_t shape[] = {2};
    float out[2];
    double wide[2];
#define CONVERTS(type, ctype, a, b)                                                                \
    do {                                                                                           \
        ctype data[2] = {a, b};                                                                    \
        nissl_view view = nissl_view_of(data, type, 1, shape);                                     \
        check_ok(nissl_view_copy(&view, NISSL_FLOAT32, out, &err), err);                           \
        check_ok(nissl_view_copy(&view, NISSL_FLOAT64, wide, &err), err);                          \
        assert_true(out[0] == (float)(a) && out[1] == (float)(b));                                 \
        assert_true(wide[0] == (double)(a) && wide[1] == (double)(b));                             \
    } while (0)
    CONVERTS(NISSL_FLOAT64, double, -2.25, 1e10);
    CONVERTS(NISSL_INT8, int8_t, -128, 127);
    CONVERTS(NISSL_UINT8, uint8_t, 0, 255);
    CONVERTS(NISSL_INT16, int16_t, -32768, 32767);
    CONVERTS(NISSL_UINT16, uint16_t, 1, 65535);
    CONVERTS(NISSL_INT32, int32_t, -5, INT32_MAX);
    CONVERTS(NISSL_UINT32, uint32_t, 5, UINT32_MAX);
    CONVERTS(NISSL_INT64, int64_t, -((int64_t)1 << 40), 3);
    CONVERTS(NISSL_UINT64, uint64_t, UINT64_MAX, 3);
    CONVERTS(NISSL_BOOL, uint8_t, 0, 1);
#undef CONVERTS
    uint16_t halves[2] = {0x3c00, 0xc000}, bfloats[2] = {0x3f80, 0xc000};
    nissl_view view = nissl_view_of(halves, NISSL_FLOAT16, 1, shape);
    check_ok(nissl_view_copy(&view, NISSL_FLOAT32, out, &err), err);
    assert_true(out[0] == 1.0f && out[1] == -2.0f);
    view = nissl_view_of(bfloats, NISSL_BFLOAT16, 1, shape);
    check_ok(nissl_view_copy(&view, NISSL_FLOAT32, out, &err), err);
    assert_true(out[0] == 1.0f && out[1] == -2.0f);
    assert_int_equal(nissl_view_copy(&view, NISSL_INT32, out, &err), NISSL_ERR_TYPE);
    assert_non_null(strstr(err.message, "bfloat16 into int32"));
}

/* The value of a half by its definition (IEEE 754 binary16). */
static double half_value(uint16_t half)
{
    int sign = half >> 15, exponent = half >> 10 & 31, fraction = half & 1023;
    double magnitude = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
                       : exponent == 0 ? ldexp(fraction, -24)
                                       : ldexp(1024 + fraction, exponent - 25);
    return sign ? -magnitude : magnitude;
}

static void all_halves_both_ways(void **state)
{
    for (uint32_t i = 0; i < 65536; i++) {
        double expected = half_value((uint16_t)i);
        float value = nissl__half_to_float((uint16_t)i);
        uint16_t back = nissl__float_to_half(value);
        if (isnan(expected)) {
            assert_true(isnan(value));
            assert_true(isnan(half_value(back)));
        } else {
            assert_true((double)value == expected && !signbit(value) == !signbit(expected));
            assert_int_equal(back, i);
        }
    }
}

/* Between two neighbouring halves: below the middle down, above it up, the middle to even. */
static void halves_round_to_nearest_even(void **state)
{
    for (uint32_t i = 0; i < 0x7bff; i++) {
        double low = half_value((uint16_t)i), high = half_value((uint16_t)(i + 1));
        float middle = (float)((low + high) / 2); /* exact: one bit more than a half has */
        uint32_t even = i % 2 == 0 ? i : i + 1;
        assert_int_equal(nissl__float_to_half(middle), even);
        assert_int_equal(nissl__float_to_half(nextafterf(middle, 0)), i);
        assert_int_equal(nissl__float_to_half(nextafterf(middle, INFINITY)), i + 1);
        assert_int_equal(nissl__float_to_half(-middle), even | 0x8000u);
    }
    assert_int_equal(nissl__float_to_half(65519.0f), 0x7bff);
    assert_int_equal(nissl__float_to_half(65520.0f), 0x7c00);
    assert_int_equal(nissl__float_to_half(1e-30f), 0);
    assert_int_equal(nissl__float_to_half(-INFINITY), 0xfc00);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_sizes_and_names),
        cmocka_unit_test(arrays_are_made_and_freed),
        cmocka_unit_test(impossible_arrays_are_refused),
        cmocka_unit_test(views_know_when_they_are_contiguous),
        cmocka_unit_test(copies_follow_the_strides),
        cmocka_unit_test(copies_convert_every_type),
        cmocka_unit_test(all_halves_both_ways),
        cmocka_unit_test(halves_round_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
