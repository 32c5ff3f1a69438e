/* Texts of an HDF5 global heap; see heap.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording/heap.h"
#include "foundation/foundation.h"

#define COLLECTION_HEAD 16
#define OBJECT_HEAD     16
#define MAX_COLLECTION  ((uint64_t)64 << 20)

static uint64_t number(const unsigned char *bytes, int n)
{
    uint64_t value = 0;
    for (int i = n - 1; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

nissl_status nissl__heap_open(const char *path, nissl__heap *heap, nissl_error *err)
{
    struct stat about;
    *heap = (nissl__heap){.fd = open(path, O_RDONLY | O_CLOEXEC), .path = path};
    if (heap->fd < 0 || fstat(heap->fd, &about) != 0)
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s", path, strerror(errno));
    heap->file_bytes = (uint64_t)about.st_size;
    return NISSL_OK;
}

void nissl__heap_close(nissl__heap *heap)
{
    if (heap->fd >= 0)
        close(heap->fd);
    nissl__free(heap->block);
    *heap = (nissl__heap){.fd = -1};
}

bool nissl__heap_read(const nissl__heap *heap, void *out, uint64_t bytes, uint64_t at)
{
    uint64_t done = 0;
    if (at > heap->file_bytes || bytes > heap->file_bytes - at)
        return false;
    while (done < bytes) {
        ssize_t n = pread(heap->fd, (char *)out + done, bytes - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (uint64_t)n;
    }
    return true;
}

static nissl_status load(nissl__heap *heap, uint64_t address, nissl_error *err)
{
    unsigned char head[COLLECTION_HEAD];
    uint64_t bytes;
    if (heap->address == address && heap->block)
        return NISSL_OK;
    if (!nissl__heap_read(heap, head, sizeof head, address) || memcmp(head, "GCOL\1", 5) != 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: no global heap at byte %llu of %llu",
                           heap->path, (unsigned long long)address,
                           (unsigned long long)heap->file_bytes);
    bytes = number(head + 8, 8);
    if (bytes < COLLECTION_HEAD || bytes > MAX_COLLECTION || bytes > heap->file_bytes - address)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: the global heap at byte %llu states %llu bytes of a file of %llu",
                           heap->path, (unsigned long long)address, (unsigned long long)bytes,
                           (unsigned long long)heap->file_bytes);
    nissl__free(heap->block);
    heap->address = 0;
    heap->block = nissl__alloc(bytes, 1);
    if (!heap->block)
        return NISSL__NO_MEMORY(err, bytes);
    if (!nissl__heap_read(heap, heap->block, bytes, address))
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: reading %llu bytes at byte %llu: %s", heap->path,
                           (unsigned long long)bytes, (unsigned long long)address, strerror(errno));
    heap->address = address;
    heap->block_bytes = bytes;
    return NISSL_OK;
}

nissl_status nissl__heap_text(nissl__heap *heap, const unsigned char *reference, const char **text,
                              uint32_t *length, nissl_error *err)
{
    uint64_t n = number(reference, 4), address = number(reference + 4, 8);
    uint64_t index = number(reference + 12, 4), at = COLLECTION_HEAD;
    nissl_status status;
    *text = "";
    *length = 0;
    if (n == 0 || address == 0)
        return NISSL_OK;
    status = load(heap, address, err);
    if (status != NISSL_OK)
        return status;
    while (at + OBJECT_HEAD <= heap->block_bytes) {
        const unsigned char *object = heap->block + at;
        uint64_t bytes = number(object + 8, 8), room = heap->block_bytes - at - OBJECT_HEAD;
        uint64_t of = number(object, 2);
        if (of == 0)
            break; /* free space ends the objects */
        if (bytes > room)
            break;
        if (of == index && n <= bytes) {
            *text = (const char *)object + OBJECT_HEAD;
            *length = (uint32_t)n;
            return NISSL_OK;
        }
        if (of == index)
            break;
        at += OBJECT_HEAD + (bytes + 7) / 8 * 8;
    }
    return NISSL__FAIL(
        err, NISSL_ERR_FORMAT, "%s: the global heap at byte %llu has no object %llu of %llu bytes",
        heap->path, (unsigned long long)address, (unsigned long long)index, (unsigned long long)n);
}
