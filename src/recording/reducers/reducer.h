/* What the reducers share: emitting an array and a clone of hot loops for wider vectors. */
#ifndef NISSL__REDUCERS_REDUCER_H
#define NISSL__REDUCERS_REDUCER_H

#include "foundation/foundation.h"
#include "nissl/reducer.h"

/* The loop is compiled for several instruction sets and chosen at load time. Element by element
 * without contraction, so the bits are the same. */
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_ADDRESS__) &&                 \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define NISSL__CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define NISSL__CLONES
#endif

/* Emits data as [n_units] or, if n_columns > 0, [n_units, n_columns]. */
nissl_status nissl__emit(nissl_emit_fn emit, void *user, const char *name, const char *unit,
                         const char *description, nissl_type type, int64_t n_units,
                         int64_t n_columns, const void *data, nissl_error *err);

#endif
