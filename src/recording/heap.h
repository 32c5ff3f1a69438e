/*
 * Variable-length texts read straight from an HDF5 file's global heap.
 *
 * HDF5 1.10 trusts the lengths that a file states there and reads past its buffers when they are
 * wrong; this reader checks each against the heap. Format: HDF5 File Format Specification 3.0,
 * sections III.E and IV.A.2.d (references of 4 + 8 + 4 bytes, collections of objects).
 */
#ifndef NISSL__HEAP_H
#define NISSL__HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "nissl/error.h"

typedef struct nissl__heap {
    int fd;
    const char *path; /* for messages */
    uint64_t file_bytes;
    uint64_t address; /* of the collection in block; 0 = none */
    unsigned char *block;
    uint64_t block_bytes;
} nissl__heap;

#define NISSL__HEAP_REFERENCE 16 /* bytes of a reference */

nissl_status nissl__heap_open(const char *path, nissl__heap *heap, nissl_error *err);
void nissl__heap_close(nissl__heap *heap);

/* Bytes of the file; false if they are not all there. */
bool nissl__heap_read(const nissl__heap *heap, void *out, uint64_t bytes, uint64_t at);

/* The text of a reference as it stands in the file. text is not terminated and lives until the next
 * call. */
nissl_status nissl__heap_text(nissl__heap *heap, const unsigned char *reference, const char **text,
                              uint32_t *length, nissl_error *err);

#endif
