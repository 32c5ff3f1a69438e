/*
 * Files as the readers and writers of this room see them: mapped read-only, or replaced whole.
 */
#ifndef NISSL__FORMATS_FILE_H
#define NISSL__FORMATS_FILE_H

#include <stdio.h>

#include "nissl/error.h"

/* A whole file in memory. data is never NULL after success, also for an empty file. A file that
 * another program shortens while it is mapped raises SIGBUS on access, as with every mapping. */
typedef struct nissl__mapping {
    const unsigned char *data;
    size_t size;
} nissl__mapping;

/* Maps a regular file. NISSL_ERR_IO if it cannot be opened or is not a regular file. */
nissl_status nissl__map_file(const char *path, nissl__mapping *out, nissl_error *err);
void nissl__unmap_file(nissl__mapping *mapping); /* idempotent */

/* A file that is written beside its final place and then renamed over it, so that path holds either
 * what it held before or the whole new content. */
typedef struct nissl__replacement {
    FILE *file;
    char *path, *temporary;
} nissl__replacement;

nissl_status nissl__replace_begin(const char *path, nissl__replacement *out, nissl_error *err);
/* Flushes to the disk and renames; after a failure the temporary file is gone. */
nissl_status nissl__replace_commit(nissl__replacement *replacement, nissl_error *err);
void nissl__replace_cancel(nissl__replacement *replacement); /* idempotent, also after a commit */

/* The last component of a path, within it. */
const char *nissl__file_name(const char *path);

#endif
