/* Aligned, zeroed, overflow-checked memory with a failure switch for tests. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "foundation/foundation.h"

#define ALIGNMENT 64

static _Atomic uint64_t fail_at; /* tests only: counts down to the allocation that fails */

void nissl__alloc_fail_at(uint64_t n)
{
    atomic_store(&fail_at, n);
}

static bool must_fail(void)
{
    uint64_t n = atomic_load_explicit(&fail_at, memory_order_relaxed);
    while (n > 0)
        if (atomic_compare_exchange_weak(&fail_at, &n, n - 1))
            return n == 1;
    return false;
}

void *nissl__alloc(size_t count, size_t size)
{
    size_t bytes;
    void *memory;
    if (must_fail() || (size && count > (SIZE_MAX - ALIGNMENT) / size))
        return NULL;
    bytes = count * size;
    if (bytes == 0)
        bytes = 1;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memory = aligned_alloc(ALIGNMENT, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void *nissl__resize(void *old, size_t old_count, size_t new_count, size_t size)
{
    void *memory = nissl__alloc(new_count, size);
    if (memory && old) {
        memcpy(memory, old, NISSL__MIN(old_count, new_count) * size);
        nissl__free(old);
    }
    return memory;
}

void nissl__free(void *memory)
{
    free(memory);
}

char *nissl__strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = nissl__alloc(n, 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

char *nissl__format(const char *format, ...)
{
    va_list args;
    char *text;
    int n;
    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !(text = nissl__alloc((size_t)n + 1, 1)))
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

bool nissl__mul(int64_t a, int64_t b, int64_t *out)
{
    return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out);
}

bool nissl__add(int64_t a, int64_t b, int64_t *out)
{
    return a >= 0 && b >= 0 && !__builtin_add_overflow(a, b, out);
}
