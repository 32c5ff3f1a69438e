/*
 * What every room stands on: failing with a message, memory, the worker pool, progress,
 * counter-based randomness, hashes and small helpers.
 */
#ifndef NISSL__FOUNDATION_H
#define NISSL__FOUNDATION_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nissl/array.h"
#include "nissl/context.h"
#include "nissl/error.h"

/* ---- errors ---- */

#if defined(__GNUC__)
#define NISSL__PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define NISSL__PRINTF(a, b)
#endif

/* Writes err (may be NULL) and returns code. */
nissl_status nissl__fail(nissl_error *err, nissl_status code, const char *function, int line,
                         const char *format, ...) NISSL__PRINTF(5, 6);
#ifndef __clang_analyzer__
#define NISSL__FAIL(err, code, ...) nissl__fail((err), (code), __func__, __LINE__, __VA_ARGS__)
#else /* shows the analyser, which sees one file at a time, that failing is never NISSL_OK */
#define NISSL__FAIL(err, code, ...)                                                                \
    (nissl__fail((err), (code), __func__, __LINE__, __VA_ARGS__), (code))
#endif
/* Out of memory, with the size that was asked for. */
#define NISSL__NO_MEMORY(err, bytes)                                                               \
    NISSL__FAIL(err, NISSL_ERR_MEMORY, "out of memory: %zu bytes", (size_t)(bytes))
/* Puts "prefix: " before the message of an error that is passed on. */
void nissl__error_prefix(nissl_error *err, const char *format, ...) NISSL__PRINTF(2, 3);

/* ---- memory: 64-byte aligned, zeroed, NULL on failure or overflow; free with nissl__free ---- */

void *nissl__alloc(size_t count, size_t size);
void *nissl__resize(void *old, size_t old_count, size_t new_count,
                    size_t size); /* old stays valid on NULL */
void nissl__free(void *memory);
char *nissl__strdup(const char *text);
char *nissl__format(const char *format, ...)
    NISSL__PRINTF(1, 2); /* allocated; NULL when out of memory */
/* Tests: the n-th allocation from now fails (1 = the next), once; 0 = never. Process-wide, for
 * tests only. */
void nissl__alloc_fail_at(uint64_t n);

/* a * b and a + b in *out; false on overflow or if an operand is negative. */
bool nissl__mul(int64_t a, int64_t b, int64_t *out);
bool nissl__add(int64_t a, int64_t b, int64_t *out);

/* ---- the worker pool ---- */

/* One task. worker is 0 .. threads - 1 and is never two tasks at once. */
typedef nissl_status (*nissl__task_fn)(void *user, int64_t task, int worker, nissl_error *err);

/* Runs tasks 0 .. n - 1 on the context's workers (the caller is worker 0), taken in order. On
 * failure no new task starts and the error of the lowest failed task is returned. Cancelling the
 * context stops it with NISSL_ERR_CANCELLED. Nested calls run inline on the calling worker. */
nissl_status nissl__parallel(nissl_context *ctx, int64_t n, nissl__task_fn task, void *user,
                             nissl_error *err);

/* ---- progress and log ---- */

typedef struct nissl__progress {
    nissl_context *ctx;
    nissl_progress state;
    double started, last;
} nissl__progress;

double nissl__now(void); /* monotonic seconds */
void nissl__progress_begin(nissl__progress *progress, nissl_context *ctx, const char *task,
                           const char *noun, uint64_t total);
void nissl__progress_add(nissl__progress *progress, uint64_t done,
                         uint64_t bytes); /* thread-safe */
void nissl__progress_end(nissl__progress *progress);
void nissl__log(nissl_context *ctx, nissl_log_level level, const char *format, ...)
    NISSL__PRINTF(3, 4);
uint64_t nissl__memory_limit(
    const nissl_context *ctx); /* bytes a reader may allocate for one file; ctx may be NULL */

/* ---- counter-based randomness: Philox4x32-10 keyed (seed, stream, index) ---- */

void nissl__philox(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4]);
uint64_t nissl__random_bits(uint64_t seed, uint64_t stream, uint64_t index);
double nissl__random_uniform(uint64_t seed, uint64_t stream, uint64_t index); /* [0, 1), 53 bits */
double nissl__random_normal(uint64_t seed, uint64_t stream,
                            uint64_t index); /* Box-Muller, one per index */
int64_t nissl__random_below(uint64_t seed, uint64_t stream, uint64_t index,
                            int64_t n); /* 0 .. n - 1, unbiased to 2^-64 */
void nissl__random_permutation(uint64_t seed, uint64_t stream, int64_t n,
                               int64_t *out); /* Fisher-Yates */

/* ---- hashes (not cryptographic): 64-bit, streamed over bytes, the same on every machine ---- */

typedef struct nissl__hash {
    uint64_t state[4];
    uint64_t total;
    unsigned char tail[32];
    size_t n_tail;
} nissl__hash;

void nissl__hash_begin(nissl__hash *hash);
void nissl__hash_add(nissl__hash *hash, const void *bytes, size_t n);
uint64_t nissl__hash_end(const nissl__hash *hash);

/* ---- the process: resident bytes, 0 where the system does not tell ---- */

uint64_t nissl__resident_now(void);
uint64_t nissl__resident_peak(void);

/* ---- numbers ---- */

#define NISSL__NUMBER_SIZE 32
/* The shortest text that reads back equal, "." in any locale; "nan", "inf", "-inf". Returns text.
 */
const char *nissl__number_text(double value, char text[NISSL__NUMBER_SIZE]);
/* Reads a text that is one number and nothing else but white space, "." in any locale. */
bool nissl__number_read(const char *text, double *out);
float nissl__half_to_float(uint16_t half);
uint16_t nissl__float_to_half(float value); /* round to nearest even */
float nissl__bfloat_to_float(uint16_t bfloat);

/* ---- the build ---- */

/* What there is to say about an OpenBLAS core on a CPU with vectors of cpu_bits, given two
 * environment variables (NULL = unset): an allocated line, or NULL when all is well. */
char *nissl__blas_warning(const char *core, int cpu_bits, const char *coretype,
                          const char *l2_size);

#define NISSL__MIN(a, b) ((a) < (b) ? (a) : (b))
#define NISSL__MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
