/*
 * Memory that a reader hands out piece by piece under a budget and frees all at once.
 */
#ifndef NISSL__FORMATS_ARENA_H
#define NISSL__FORMATS_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "nissl/error.h"

typedef struct nissl__arena_block nissl__arena_block;

typedef struct nissl__arena {
    nissl__arena_block *blocks; /* newest first */
    uint64_t budget, used;      /* bytes */
} nissl__arena;

/* count zeroed elements of size bytes, aligned to 16. *out is untouched on failure: NISSL_ERR_LIMIT
 * past the budget (with both numbers), NISSL_ERR_MEMORY. */
nissl_status nissl__arena_take(nissl__arena *arena, size_t count, size_t size, void **out,
                               nissl_error *err);
void nissl__arena_free(nissl__arena *arena); /* idempotent; the budget stays */

#endif
