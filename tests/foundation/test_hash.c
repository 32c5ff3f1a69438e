#include "../check.h"
#include "foundation/foundation.h"

static uint64_t hash_of(const void *bytes, size_t n)
{
    nissl__hash hash;
    nissl__hash_begin(&hash);
    nissl__hash_add(&hash, bytes, n);
    return nissl__hash_end(&hash);
}

/* The test buffer of the reference implementation's own sanity check. */
static void fill(unsigned char *buffer, size_t n)
{
    uint64_t generator = 2654435761u;
    for (size_t i = 0; i < n; i++) {
        buffer[i] = (unsigned char)(generator >> 56);
        generator *= 11400714785074694797u;
    }
}

static void answers_as_published(void **state)
{
    /* XXH64 with seed 0; lengths 0, 1, 4, 14 and 222 are in xxHash's sanity check, all were
     * computed by python-xxhash 4.1.0. */
    static const struct {
        size_t n;
        uint64_t hash;
    } known[] = {
        {0, 0xef46db3751d8e999},    {1, 0xe934a84adb052768},    {4, 0x9136a0dca57457ee},
        {14, 0x8282dcc4994e35c8},   {31, 0x299b39a290e6d783},   {32, 0x18b216492bb44b70},
        {33, 0x55c8dc3e578f5b59},   {64, 0xef558f8acac2b5cd},   {222, 0xb641ae8cb691c174},
        {1000, 0x52bd1358f22e9ef7}, {2367, 0xa82418ddec0ea581},
    };
    unsigned char buffer[2367];
    fill(buffer, sizeof buffer);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(hash_of(buffer, known[i].n) == known[i].hash);
    assert_true(hash_of("abc", 3) == 0x44bc2cf5ad770999);
    assert_true(hash_of("Nobody inspects the spammish repetition", 39) == 0xfbcea83c8a378bf1);
}

static void pieces_do_not_matter(void **state)
{
    unsigned char buffer[300];
    fill(buffer, sizeof buffer);
    for (size_t n = 0; n <= sizeof buffer; n += 7)
        for (size_t piece = 1; piece < 70; piece++) {
            nissl__hash hash;
            nissl__hash_begin(&hash);
            for (size_t at = 0; at < n; at += piece)
                nissl__hash_add(&hash, buffer + at, NISSL__MIN(piece, n - at));
            assert_true(nissl__hash_end(&hash) == hash_of(buffer, n));
            assert_true(nissl__hash_end(&hash) == hash_of(buffer, n)); /* ending changes nothing */
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_published),
        cmocka_unit_test(pieces_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
