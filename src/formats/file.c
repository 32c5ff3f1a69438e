/* Mapped files and whole-file replacement. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/foundation.h"
#include "formats/file.h"

nissl_status nissl__map_file(const char *path, nissl__mapping *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    struct stat info;
    void *data;
    /* O_NONBLOCK: a pipe must not hang the open. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(info.st_mode)) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s, not a file", path,
                             S_ISDIR(info.st_mode) ? "a directory" : "a pipe or device");
        goto done;
    }
    if (info.st_size == 0) {
        *out = (nissl__mapping){.data = (const unsigned char *)"", .size = 0};
        goto done;
    }
    data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: %lld bytes cannot be mapped: %s", path,
                             (long long)info.st_size, strerror(errno));
        goto done;
    }
    *out = (nissl__mapping){.data = data, .size = (size_t)info.st_size};
done:
    close(fd);
    return status;
}

void nissl__unmap_file(nissl__mapping *mapping)
{
    if (!mapping)
        return;
    if (mapping->size)
        munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (nissl__mapping){0};
}

/* Opens a new file beside path; O_EXCL keeps threads and leftovers apart. */
static int open_beside(const char *path, char **temporary)
{
    int fd = -1;
    for (int attempt = 0; attempt < 100 && fd < 0; attempt++) {
        nissl__free(*temporary);
        *temporary = nissl__format("%s.tmp-%ld-%d", path, (long)getpid(), attempt);
        if (!*temporary) {
            errno = ENOMEM;
            return -1;
        }
        fd = open(*temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            return -1;
    }
    return fd;
}

nissl_status nissl__replace_begin(const char *path, nissl__replacement *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl__replacement made = {0};
    int fd = -1;
    if (!(made.path = nissl__strdup(path)))
        return NISSL__NO_MEMORY(err, strlen(path) + 1);
    fd = open_beside(path, &made.temporary);
    if (fd < 0) {
        status = errno == ENOMEM ? NISSL__NO_MEMORY(err, strlen(path) + 32)
                                 : NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be written: %s", path,
                                               strerror(errno));
        goto done;
    }
    made.file = fdopen(fd, "wb");
    if (!made.file) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
        close(fd);
        unlink(made.temporary);
        goto done;
    }
    *out = made;
done:
    if (status != NISSL_OK) {
        nissl__free(made.path);
        nissl__free(made.temporary);
    }
    return status;
}

/* The rename is on the disk once the folder is. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? nissl__format("%.*s", slash == path ? 1 : (int)(slash - path), path)
                         : nissl__strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd); /* some file systems cannot; the rename itself has succeeded */
        close(fd);
    }
    nissl__free(folder);
}

nissl_status nissl__replace_commit(nissl__replacement *replacement, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    const char *step = NULL;
    int code = 0;
    errno = 0;
    if (ferror(replacement->file) || fflush(replacement->file) != 0)
        step = "writing";
    else if (fsync(fileno(replacement->file)) != 0)
        step = "flushing to the disk";
    code = errno;
    if (fclose(replacement->file) != 0 && !step) {
        step = "closing";
        code = errno;
    }
    replacement->file = NULL;
    if (!step && rename(replacement->temporary, replacement->path) != 0) {
        step = "renaming";
        code = errno;
    }
    if (step) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s failed: %s", replacement->path, step,
                             code ? strerror(code) : "an earlier write failed");
    } else {
        sync_folder(replacement->path);
        nissl__free(replacement->temporary);
        replacement->temporary = NULL;
    }
    nissl__replace_cancel(replacement);
    return status;
}

void nissl__replace_cancel(nissl__replacement *replacement)
{
    if (!replacement)
        return;
    if (replacement->file)
        fclose(replacement->file);
    if (replacement->temporary)
        unlink(replacement->temporary);
    nissl__free(replacement->temporary);
    nissl__free(replacement->path);
    *replacement = (nissl__replacement){0};
}

const char *nissl__file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
