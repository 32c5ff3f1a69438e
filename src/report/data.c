#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/utf8.h"
#include "report/data.h"

#define MAX_READ ((size_t)64 << 20)

/* ---- values ---- */

json_t *nissl__json_number(double value)
{
    if (!isfinite(value))
        return json_null();
    if (fabs(value) < 1e15 && value == (double)(int64_t)value)
        return json_integer((json_int_t)value);
    return json_real(value);
}

json_t *nissl__json_text(const char *text)
{
    json_t *out;
    char *clean;
    size_t n, used = 0;
    if (text == NULL)
        return json_null();
    n = strlen(text);
    if (nissl__utf8_prefix(text, n) == n)
        return json_stringn_nocheck(text, n);
    clean = nissl__alloc(n + 1, 3);
    if (clean == NULL)
        return NULL;
    for (size_t i = 0; i < n;) {
        const size_t good = nissl__utf8_prefix(text + i, n - i);
        memcpy(clean + used, text + i, good);
        used += good;
        i += good;
        if (i < n) {
            memcpy(clean + used, "\xef\xbf\xbd", 3);
            used += 3;
            i++;
        }
    }
    out = json_stringn(clean, used);
    nissl__free(clean);
    return out;
}

json_t *nissl__json_numbers(const double *x, int64_t n)
{
    json_t *out;
    if (x == NULL)
        return json_null();
    out = json_array();
    for (int64_t i = 0; i < n; i++)
        if (json_array_append_new(out, nissl__json_number(x[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

json_t *nissl__json_indices(const int32_t *x, int64_t n)
{
    json_t *out = json_array();
    for (int64_t i = 0; i < n; i++)
        if (json_array_append_new(out, json_integer(x[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

json_t *nissl__json_shape(const int64_t *shape, int rank)
{
    json_t *out = json_array();
    for (int i = 0; i < rank; i++)
        if (json_array_append_new(out, json_integer(shape[i])) != 0) {
            json_decref(out);
            return NULL;
        }
    return out;
}

void nissl__json_put(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (json_object_set_new(object, key, value) != 0)
        *failed = true;
}

void nissl__json_add(json_t *array, json_t *value, bool *failed)
{
    if (json_array_append_new(array, value) != 0)
        *failed = true;
}

/* ---- files ---- */

typedef struct piece {
    const void *bytes;
    size_t size;
} piece;

/* Writes beside the final place and renames. */
static nissl_status write_pieces(const char *directory, const char *name, const piece *pieces,
                                 int n_pieces, nissl_error *err)
{
    char *path = nissl__format("%s/%s", directory, name);
    char *temporary = nissl__format("%s/%s.tmp-%ld", directory, name, (long)getpid());
    nissl_status status = NISSL_OK;
    FILE *file = NULL;
    bool good = true;

    if (path == NULL || temporary == NULL) {
        status = NISSL__NO_MEMORY(err, strlen(directory) + strlen(name));
        goto done;
    }
    file = fopen(temporary, "wbe");
    if (file == NULL) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
        goto done;
    }
    errno = 0;
    for (int i = 0; i < n_pieces && good; i++)
        good = pieces[i].size == 0 ||
               fwrite(pieces[i].bytes, 1, pieces[i].size, file) == pieces[i].size;
    good = fclose(file) == 0 && good;
    if (!good || rename(temporary, path) != 0) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be written whole: %s", path,
                             strerror(errno != 0 ? errno : EIO));
        remove(temporary);
    }
done:
    nissl__free(path);
    nissl__free(temporary);
    return status;
}

nissl_status nissl__report_write_bytes(const char *directory, const char *name, const void *bytes,
                                       size_t size, nissl_error *err)
{
    const piece one = {bytes, size};
    return write_pieces(directory, name, &one, 1, err);
}

nissl_status nissl__report_write_json(const char *directory, const char *name, const char *prefix,
                                      const json_t *value, const char *suffix, size_t flags,
                                      nissl_error *err)
{
    nissl_status status;
    char *text = json_dumps(value, flags | JSON_REAL_PRECISION(NISSL__REPORT_DIGITS));
    if (text == NULL)
        return NISSL__FAIL(err, NISSL_ERR_MEMORY, "%s/%s: out of memory", directory, name);
    status = write_pieces(
        directory, name,
        (const piece[]){{prefix, strlen(prefix)}, {text, strlen(text)}, {suffix, strlen(suffix)}},
        3, err);
    free(text);
    return status;
}

nissl_status nissl__report_make_folder(const char *directory, const char *name, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    char *path = nissl__format("%s/%s", directory, name);
    struct stat info;
    if (path == NULL)
        return NISSL__NO_MEMORY(err, strlen(directory) + strlen(name));
    if (mkdir(path, 0777) != 0 &&
        (errno != EEXIST || stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: the folder cannot be made: %s", path,
                             strerror(errno));
    nissl__free(path);
    return status;
}

nissl_status nissl__report_read(const char *path, char **out, size_t *size, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    FILE *file = fopen(path, "rbe");
    char *text = NULL;
    struct stat info;
    size_t n;

    if (file == NULL || fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot be read: %s", path,
                             errno != 0 ? strerror(errno) : "not a file");
        goto done;
    }
    n = (size_t)info.st_size;
    if (n > MAX_READ) {
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %zu bytes exceed %zu", path, n, MAX_READ);
        goto done;
    }
    text = nissl__alloc(n + 1, 1);
    if (text == NULL) {
        status = NISSL__NO_MEMORY(err, n + 1);
        goto done;
    }
    if (fread(text, 1, n, file) != n) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: ended before its %zu bytes", path, n);
        goto done;
    }
    *out = text;
    text = NULL;
    if (size != NULL)
        *size = n;
done:
    nissl__free(text);
    if (file != NULL)
        fclose(file);
    return status;
}
