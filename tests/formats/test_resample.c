/* Resampling: golden pixels, and properties that hold for every filter. */
#include "check.h"
#include "formats/npy.h"
#include "formats/resample.h"

#define BUDGET ((uint64_t)1 << 30)

/* As in oracles/images.py: width, height. */
static const int64_t sizes[][2] = {{23, 31}, {11, 15}, {46, 62}, {23, 7},  {7, 31}, {5, 3},
                                   {40, 17}, {17, 40}, {1, 1},   {22, 30}, {64, 2}, {21, 5}};

static void read_fixture(const char *name, nissl_array *out)
{
    nissl_error error = {0};
    char *path = nissl__format(NISSL_FIXTURES "/images/%s", name);
    check_ok(nissl__npy_read(path, BUDGET, out, &error), error);
    nissl__free(path);
}

static void test_golden(void **state)
{
    (void)state;
    nissl_array source = {0};
    read_fixture("source.npy", &source);
    for (int f = 0; f < NISSL__FILTER_COUNT; f++) {
        char name[64];
        nissl_array expected = {0};
        const uint8_t *at;
        snprintf(name, sizeof name, "resample_%s.npy", nissl__filter_name((nissl__filter)f));
        read_fixture(name, &expected);
        at = expected.data;
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            int64_t w = sizes[s][0], h = sizes[s][1], n = w * h * 3;
            nissl_error error = {0};
            uint8_t *out = nissl__alloc((size_t)n, 1);
            check_ok(nissl__resample(source.data, source.shape[0], source.shape[1], 3,
                                     (nissl__filter)f, BUDGET, out, h, w, &error),
                     error);
            for (int64_t i = 0; i < n; i++)
                if (out[i] != at[i])
                    fail_msg("%s to %lld x %lld: byte %lld is %d, not %d", name, (long long)w,
                             (long long)h, (long long)i, out[i], at[i]);
            at += n;
            nissl__free(out);
        }
        assert_int_equal(at - (const uint8_t *)expected.data, nissl_array_count(&expected));
        nissl_array_free(&expected);
    }
    nissl_array_free(&source);
}

static void test_constant_stays_constant(void **state)
{
    (void)state;
    uint8_t from[9 * 14], to[25 * 3];
    nissl_error error = {0};
    memset(from, 137, sizeof from);
    for (int f = 0; f < NISSL__FILTER_COUNT; f++) {
        check_ok(nissl__resample(from, 9, 14, 1, (nissl__filter)f, BUDGET, to, 25, 3, &error),
                 error);
        for (size_t i = 0; i < sizeof to; i++)
            assert_int_equal(to[i], 137);
    }
}

/* Channels do not mix: three channels at once are each channel alone. */
static void test_channels_are_separate(void **state)
{
    (void)state;
    enum { h = 12, w = 10, th = 5, tw = 17 };
    uint8_t from[h * w * 4], one[h * w], to[th * tw * 4], alone[th * tw];
    nissl_error error = {0};
    for (int channels = 1; channels <= 4; channels++) {
        for (int i = 0; i < h * w * channels; i++)
            from[i] = (uint8_t)nissl__random_bits(3, (uint64_t)channels, (uint64_t)i);
        check_ok(nissl__resample(from, h, w, channels, NISSL__FILTER_LANCZOS, BUDGET, to, th, tw,
                                 &error),
                 error);
        for (int c = 0; c < channels; c++) {
            for (int i = 0; i < h * w; i++)
                one[i] = from[i * channels + c];
            check_ok(
                nissl__resample(one, h, w, 1, NISSL__FILTER_LANCZOS, BUDGET, alone, th, tw, &error),
                error);
            for (int i = 0; i < th * tw; i++)
                assert_int_equal(to[i * channels + c], alone[i]);
        }
    }
}

/* Symmetric filters commute with mirroring; the box is half-open and the nearest is not symmetric.
 */
static void test_mirror(void **state)
{
    (void)state;
    enum { w = 19, tw = 8 };
    uint8_t from[w], mirrored[w], to[tw], back[tw];
    nissl_error error = {0};
    for (int i = 0; i < w; i++)
        from[i] = mirrored[w - 1 - i] = (uint8_t)nissl__random_bits(5, 0, (uint64_t)i);
    for (int f = NISSL__FILTER_BILINEAR; f < NISSL__FILTER_COUNT; f++) {
        check_ok(nissl__resample(from, 1, w, 1, (nissl__filter)f, BUDGET, to, 1, tw, &error),
                 error);
        check_ok(nissl__resample(mirrored, 1, w, 1, (nissl__filter)f, BUDGET, back, 1, tw, &error),
                 error);
        for (int i = 0; i < tw; i++)
            assert_true(abs(to[i] - back[tw - 1 - i]) <= 1);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    uint8_t from[64] = {0}, to[64];
    nissl_error error = {0};
    assert_int_equal(nissl__resample(from, 0, 8, 1, NISSL__FILTER_BOX, BUDGET, to, 4, 4, &error),
                     NISSL_ERR_RANGE);
    assert_int_equal(nissl__resample(from, 8, 8, 5, NISSL__FILTER_BOX, BUDGET, to, 4, 4, &error),
                     NISSL_ERR_RANGE);
    assert_int_equal(nissl__resample(from, 8, 8, 1, NISSL__FILTER_BOX, 10, to, 4, 4, &error),
                     NISSL_ERR_LIMIT);
    assert_non_null(strstr(error.message, "budget is 10"));
}

static void test_allocation_failures(void **state)
{
    (void)state;
    uint8_t from[64] = {0}, to[16];
    nissl_error error = {0};
    nissl_status status = NISSL_ERR_MEMORY;
    for (int n = 1; status != NISSL_OK; n++) {
        nissl__alloc_fail_at((uint64_t)n);
        status = nissl__resample(from, 8, 8, 1, NISSL__FILTER_BICUBIC, BUDGET, to, 4, 4, &error);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        assert_true(n < 100);
    }
    nissl__alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_constant_stays_constant),
        cmocka_unit_test(test_channels_are_separate),
        cmocka_unit_test(test_mirror),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
