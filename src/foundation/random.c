/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
 * easy as 1, 2, 3"). The key is the seed, the counter is (index, stream), so a number depends on
 * nothing but its name.
 */
#include "foundation/foundation.h"

void nissl__philox(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    uint32_t x0 = (uint32_t)index, x1 = (uint32_t)(index >> 32);
    uint32_t x2 = (uint32_t)stream, x3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53u * x0;
        uint64_t p1 = (uint64_t)0xcd9e8d57u * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

uint64_t nissl__random_bits(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t x[4];
    nissl__philox(seed, stream, index, x);
    return (uint64_t)x[1] << 32 | x[0];
}

double nissl__random_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(nissl__random_bits(seed, stream, index) >> 11) * 0x1p-53;
}

double nissl__random_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t x[4];
    nissl__philox(seed, stream, index, x);
    double u = (double)(((uint64_t)x[1] << 32 | x[0]) >> 11) * 0x1p-53;
    double v = (double)(((uint64_t)x[3] << 32 | x[2]) >> 11) * 0x1p-53;
    return sqrt(-2.0 * log1p(-u)) * cos(6.283185307179586477 * v);
}

int64_t nissl__random_below(uint64_t seed, uint64_t stream, uint64_t index, int64_t n)
{
    /* The high half of the 128-bit product bits * n (Lemire 2019). */
    uint64_t bits = nissl__random_bits(seed, stream, index), m = (uint64_t)n;
    uint64_t low = (bits & 0xffffffffu) * (m & 0xffffffffu);
    uint64_t mid = (bits >> 32) * (m & 0xffffffffu) + (low >> 32);
    uint64_t mid2 = (bits & 0xffffffffu) * (m >> 32) + (mid & 0xffffffffu);
    return (int64_t)((bits >> 32) * (m >> 32) + (mid >> 32) + (mid2 >> 32));
}

void nissl__random_permutation(uint64_t seed, uint64_t stream, int64_t n, int64_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t j = nissl__random_below(seed, stream, (uint64_t)i, i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}
