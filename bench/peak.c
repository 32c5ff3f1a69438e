/*
 * The machine's limits as one thread reaches them: multiply-adds per second of float32 (a chain of
 * independent fused multiply-adds in registers) and bytes per second read from first-level cache,
 * second-level cache and memory. Prints: GFLOP/s, then GB/s at 16 KiB, 512 KiB and 256 MiB; the
 * best of 100.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/foundation.h"

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static double multiply_512(int64_t n)
{
    __m512 a[12], x = _mm512_set1_ps(1.0000001f), y = _mm512_set1_ps(1e-9f);
    for (int i = 0; i < 12; i++)
        a[i] = _mm512_set1_ps((float)i);
    for (int64_t k = 0; k < n; k++)
        for (int i = 0; i < 12; i++)
            a[i] = _mm512_fmadd_ps(a[i], x, y);
    float sum = 0;
    for (int i = 0; i < 12; i++)
        sum += _mm512_reduce_add_ps(a[i]);
    return sum;
}

__attribute__((target("avx2,fma"))) static double multiply_256(int64_t n)
{
    __m256 a[12], x = _mm256_set1_ps(1.0000001f), y = _mm256_set1_ps(1e-9f);
    float out[8], sum = 0;
    for (int i = 0; i < 12; i++)
        a[i] = _mm256_set1_ps((float)i);
    for (int64_t k = 0; k < n; k++)
        for (int i = 0; i < 12; i++)
            a[i] = _mm256_fmadd_ps(a[i], x, y);
    for (int i = 0; i < 12; i++) {
        _mm256_storeu_ps(out, a[i]);
        for (int j = 0; j < 8; j++)
            sum += out[j];
    }
    return sum;
}
#endif

/* 8 independent sums, so that loads and not additions are the limit; n is a multiple of 128. */
#if defined(__x86_64__)
__attribute__((target("avx512f"))) static float sum_512(const float *x, size_t n)
{
    __m512 a[8];
    for (int i = 0; i < 8; i++)
        a[i] = _mm512_setzero_ps();
    for (size_t k = 0; k < n; k += 128)
        for (size_t i = 0; i < 8; i++)
            a[i] = _mm512_add_ps(a[i], _mm512_load_ps(x + k + 16 * i));
    for (int i = 1; i < 8; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    return _mm512_reduce_add_ps(a[0]);
}
#endif

static float sum(const float *x, size_t n)
{
    float a[32] = {0}, total = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return sum_512(x, n);
#endif
    for (size_t k = 0; k < n; k += 32)
        for (size_t i = 0; i < 32; i++)
            a[i] += x[k + i];
    for (int i = 0; i < 32; i++)
        total += a[i];
    return total;
}

static volatile double sink;

static double peak(void)
{
    double best = 0;
    const int64_t n = 2000000;
    for (int i = 0; i < 100; i++) {
        double begin = nissl__now(), flops = 0;
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx512f")) {
            sink = multiply_512(n);
            flops = 12.0 * 16 * 2 * (double)n;
        } else if (__builtin_cpu_supports("avx2")) {
            sink = multiply_256(n);
            flops = 12.0 * 8 * 2 * (double)n;
        }
#endif
        double rate = flops / (nissl__now() - begin) / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

static double reading(size_t bytes)
{
    size_t n = bytes / sizeof(float), rounds = ((size_t)1 << 28) / bytes;
    float *x = aligned_alloc(64, bytes);
    double best = 0;
    if (!x)
        return 0;
    memset(x, 0, bytes);
    for (int i = 0; i < 100; i++) {
        double begin = nissl__now();
        for (size_t r = 0; r < rounds; r++)
            sink = (double)sum(x, n);
        double rate = (double)(rounds * bytes) / (nissl__now() - begin) / 1e9;
        best = rate > best ? rate : best;
    }
    free(x);
    return best;
}

int main(void)
{
    printf("%.1f\n%.1f\n%.1f\n%.1f\n", peak(), reading((size_t)16 << 10),
           reading((size_t)512 << 10), reading((size_t)256 << 20));
    return 0;
}
