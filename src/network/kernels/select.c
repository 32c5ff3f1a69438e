/* The best kernel table for this CPU. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "network/kernels/kernels.h"

extern const nissl__kernels nissl__kernels_default;
#if defined(__x86_64__)
extern const nissl__kernels nissl__kernels_avx2;
extern const nissl__kernels nissl__kernels_avx512;
#endif

const nissl__kernels *nissl__kernels_best(void)
{
#if defined(__x86_64__)
    const char *limit = getenv("NISSL_MAX_ISA");
    bool plain = limit && strcmp(limit, "default") == 0;
    bool avx2 = !plain && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && !(limit && strcmp(limit, "avx2") == 0) &&
                  __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    if (avx512)
        return &nissl__kernels_avx512;
    if (avx2)
        return &nissl__kernels_avx2;
#endif
    return &nissl__kernels_default;
}
