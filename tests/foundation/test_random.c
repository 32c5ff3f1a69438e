#include "../check.h"
#include "foundation/foundation.h"

/* The philox4x32 10 lines of Random123 1.14.0, tests/kat_vectors: counter, key, output. */
static void philox_answers_as_published(void **state)
{
    static const uint32_t known[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        const uint32_t *k = known[i];
        uint32_t out[4];
        nissl__philox((uint64_t)k[5] << 32 | k[4], (uint64_t)k[3] << 32 | k[2],
                      (uint64_t)k[1] << 32 | k[0], out);
        assert_memory_equal(out, k + 6, sizeof out);
        assert_true(nissl__random_bits((uint64_t)k[5] << 32 | k[4], (uint64_t)k[3] << 32 | k[2],
                                       (uint64_t)k[1] << 32 | k[0]) ==
                    ((uint64_t)k[7] << 32 | k[6]));
    }
}

/* Seeds are fixed, so these tests give one answer; the bounds are far quantiles (p about 1e-5). */
static void uniform_numbers_are_uniform(void **state)
{
    enum { n = 1 << 16, bins = 64 };
    for (uint64_t seed = 0; seed < 4; seed++) {
        int count[bins] = {0};
        double sum = 0, chi2 = 0, lagged = 0, last = 0.5;
        for (uint64_t i = 0; i < n; i++) {
            double u = nissl__random_uniform(seed, 5, i);
            assert_true(u >= 0 && u < 1);
            count[(int)(u * bins)]++;
            sum += u;
            lagged += (u - 0.5) * (last - 0.5);
            last = u;
        }
        for (int b = 0; b < bins; b++)
            chi2 += pow(count[b] - (double)n / bins, 2) / ((double)n / bins);
        assert_true(chi2 > 25 && chi2 < 122); /* 63 degrees of freedom */
        assert_true(fabs(sum / n - 0.5) < 4.4 / sqrt(12.0 * n));
        assert_true(fabs(lagged * 12 / n) < 4.4 / sqrt(n));
    }
}

static void neighbouring_streams_and_seeds_are_unrelated(void **state)
{
    enum { n = 1 << 15 };
    double streams = 0, seeds = 0;
    for (uint64_t i = 0; i < n; i++) {
        double u = nissl__random_uniform(1, 1, i) - 0.5;
        streams += u * (nissl__random_uniform(1, 2, i) - 0.5);
        seeds += u * (nissl__random_uniform(2, 1, i) - 0.5);
    }
    assert_true(fabs(streams * 12 / n) < 4.4 / sqrt(n));
    assert_true(fabs(seeds * 12 / n) < 4.4 / sqrt(n));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov distance to the normal distribution, and the first four moments. */
static void normal_numbers_are_normal(void **state)
{
    enum { n = 1 << 15 };
    double *x = nissl__alloc(n, sizeof *x);
    double m[5] = {0}, distance = 0;
    for (uint64_t i = 0; i < n; i++) {
        x[i] = nissl__random_normal(3, 9, i);
        for (int k = 1; k <= 4; k++)
            m[k] += pow(x[i], k) / n;
    }
    qsort(x, n, sizeof *x, ascending);
    for (int i = 0; i < n; i++) {
        double f = 0.5 * erfc(-x[i] / sqrt(2));
        distance = fmax(distance, fmax(f - (double)i / n, (double)(i + 1) / n - f));
    }
    assert_true(distance * sqrt(n) < 2.47); /* p = 1e-5 */
    assert_true(fabs(m[1]) < 4.4 / sqrt(n));
    assert_true(fabs(m[2] - 1) < 4.4 * sqrt(2.0 / n));
    assert_true(fabs(m[3]) < 4.4 * sqrt(15.0 / n));
    assert_true(fabs(m[4] - 3) < 4.4 * sqrt(96.0 / n));
    nissl__free(x);
}

static void below_is_the_high_half_of_the_product(void **state)
{
    static const int64_t sizes[] = {1, 2, 3, 10, 1000003, (int64_t)1 << 40, INT64_MAX};
    int count[3] = {0};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t i = 0; i < 2000; i++) {
            int64_t value = nissl__random_below(4, s, i, sizes[s]);
            __extension__ unsigned __int128 product = nissl__random_bits(4, s, i);
            product *= (uint64_t)sizes[s];
            assert_true(value == (int64_t)(product >> 64));
            assert_true(value >= 0 && value < sizes[s]);
        }
    for (uint64_t i = 0; i < 30000; i++)
        count[nissl__random_below(4, 100, i, 3)]++;
    for (int k = 0; k < 3; k++)
        assert_true(abs(count[k] - 10000) < 4.4 * sqrt(30000 * 2 / 9.0));
}

static void permutations_are_permutations_and_uniform(void **state)
{
    enum { n = 1000, draws = 24000 };
    int64_t *order = nissl__alloc(n, sizeof *order);
    char *seen = nissl__alloc(n, 1);
    nissl__random_permutation(1, 2, n, order);
    for (int i = 0; i < n; i++) {
        assert_true(order[i] >= 0 && order[i] < n && !seen[order[i]]);
        seen[order[i]] = 1;
    }
    nissl__random_permutation(1, 2, 0, order); /* nothing to do */
    int count[24] = {0};
    double chi2 = 0;
    for (uint64_t stream = 0; stream < draws; stream++) {
        int64_t p[4];
        nissl__random_permutation(7, stream, 4, p);
        int rank = 0;
        for (int i = 0; i < 4; i++) {
            int smaller = 0;
            for (int j = i + 1; j < 4; j++)
                smaller += p[j] < p[i];
            rank = rank * (4 - i) + smaller;
        }
        count[rank]++;
    }
    for (int k = 0; k < 24; k++)
        chi2 += pow(count[k] - draws / 24.0, 2) / (draws / 24.0);
    assert_true(chi2 > 4.5 && chi2 < 63); /* 23 degrees of freedom */
    nissl__free(order);
    nissl__free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_answers_as_published),
        cmocka_unit_test(uniform_numbers_are_uniform),
        cmocka_unit_test(neighbouring_streams_and_seeds_are_unrelated),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(below_is_the_high_half_of_the_product),
        cmocka_unit_test(permutations_are_permutations_and_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
