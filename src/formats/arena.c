/* A budgeted arena: blocks from nissl__alloc, pieces cut off their front. */
#include "foundation/foundation.h"
#include "formats/arena.h"

#define PIECE_ALIGNMENT 16
#define BLOCK_BYTES     ((size_t)32 << 10)

struct nissl__arena_block {
    nissl__arena_block *next;
    size_t used, size; /* of memory, header included */
};

static size_t align_up(size_t n)
{
    return (n + PIECE_ALIGNMENT - 1) / PIECE_ALIGNMENT * PIECE_ALIGNMENT;
}

nissl_status nissl__arena_take(nissl__arena *arena, size_t count, size_t size, void **out,
                               nissl_error *err)
{
    const size_t header = align_up(sizeof(nissl__arena_block));
    nissl__arena_block *block = arena->blocks;
    uint64_t left = arena->budget - arena->used;
    size_t bytes, block_bytes;
    if (size && count > (SIZE_MAX / 2 - header) / size)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%zu x %zu bytes exceed the budget of %llu", count,
                           size, (unsigned long long)arena->budget);
    bytes = align_up(count * size);
    if (block && block->size - block->used >= bytes) {
        *out = (char *)block + block->used;
        block->used += bytes;
        return NISSL_OK;
    }
    if (bytes > left || header > left - bytes)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "%zu bytes more exceed the budget: %llu of %llu bytes are used", bytes,
                           (unsigned long long)arena->used, (unsigned long long)arena->budget);
    /* A large piece gets a block of its own, behind the one that still has room. */
    block_bytes =
        bytes > BLOCK_BYTES / 4 ? header + bytes : NISSL__MIN((uint64_t)BLOCK_BYTES, left);
    block = nissl__alloc(block_bytes, 1);
    if (!block)
        return NISSL__NO_MEMORY(err, block_bytes);
    *block = (nissl__arena_block){.used = header + bytes, .size = block_bytes};
    if (block->used == block->size && arena->blocks) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    arena->used += block_bytes;
    *out = (char *)block + header;
    return NISSL_OK;
}

void nissl__arena_free(nissl__arena *arena)
{
    if (!arena)
        return;
    while (arena->blocks) {
        nissl__arena_block *next = arena->blocks->next;
        nissl__free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}
