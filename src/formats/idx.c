/* Reading IDX, through zlib, which passes plain files on as they are. */
#include <zlib.h>

#include "formats/file.h"
#include "formats/idx.h"

#define CHUNK ((int64_t)1 << 20)

static const struct {
    unsigned char code;
    nissl_type type;
} types[] = {
    {0x08, NISSL_UINT8}, {0x09, NISSL_INT8},    {0x0b, NISSL_INT16},
    {0x0c, NISSL_INT32}, {0x0d, NISSL_FLOAT32}, {0x0e, NISSL_FLOAT64},
};

typedef struct reader {
    const char *path;
    gzFile file;
    int64_t position; /* bytes read so far, after decompression */
} reader;

/* Reads exactly n bytes. */
static nissl_status read_bytes(reader *r, void *out, int64_t n, const char *what, nissl_error *err)
{
    int64_t done = 0;
    while (done < n) {
        int got = gzread(r->file, (char *)out + done, (unsigned)NISSL__MIN(n - done, CHUNK));
        if (got < 0) {
            int code = 0;
            const char *text = gzerror(r->file, &code);
            return NISSL__FAIL(err, code == Z_ERRNO ? NISSL_ERR_IO : NISSL_ERR_FORMAT,
                               "%s: at byte %lld of %s: %s", r->path, (long long)r->position, what,
                               text);
        }
        if (got == 0)
            break;
        done += got;
        r->position += got;
    }
    if (done < n)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: ends after %lld bytes of %s, expected %lld",
                           r->path, (long long)done, what, (long long)n);
    return NISSL_OK;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static nissl_status read_header(reader *r, uint64_t budget, nissl_type *type, int *rank,
                                int64_t *shape, int64_t *bytes, nissl_error *err)
{
    unsigned char head[4], dimension[4];
    int known = -1;
    nissl_status status = read_bytes(r, head, 4, "the magic number", err);
    if (status != NISSL_OK)
        return status;
    for (int i = 0; i < (int)(sizeof types / sizeof types[0]); i++)
        if (types[i].code == head[2])
            known = i;
    if (head[0] || head[1] || known < 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: not an IDX file (magic number %02x%02x%02x%02x)", r->path, head[0],
                           head[1], head[2], head[3]);
    *type = types[known].type;
    *rank = head[3];
    if (*rank < 1 || *rank > NISSL_MAX_RANK)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %d dimensions, 1 to %d are supported",
                           r->path, *rank, NISSL_MAX_RANK);
    *bytes = (int64_t)nissl_type_size(*type);
    for (int i = 0; i < *rank; i++) {
        if ((status = read_bytes(r, dimension, 4, "the dimensions", err)) != NISSL_OK)
            return status;
        shape[i] = big_endian(dimension);
        if (!nissl__mul(*bytes, shape[i], bytes))
            return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                               "%s: dimension %d of %lld makes the array larger than 2^63 bytes",
                               r->path, i, (long long)shape[i]);
    }
    if ((uint64_t)*bytes > budget)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "%s: the dimensions need %lld bytes, the budget is %llu", r->path,
                           (long long)*bytes, (unsigned long long)budget);
    return NISSL_OK;
}

/* Refuses dimensions that no file of this size can fill, before memory is touched: deflate expands
 * at most 1032 times.
 */
static nissl_status check_size(const reader *r, int64_t bytes, nissl_error *err)
{
    nissl__mapping file = {0};
    nissl_status status = nissl__map_file(r->path, &file, err);
    if (status != NISSL_OK)
        return status;
    int64_t most = gzdirect(r->file) ? (int64_t)file.size - r->position : (int64_t)file.size * 1032;
    nissl__unmap_file(&file);
    if (bytes > most)
        return NISSL__FAIL(
            err, NISSL_ERR_FORMAT,
            "%s: the dimensions need %lld bytes of data, the file holds at most %lld", r->path,
            (long long)bytes, (long long)most);
    return NISSL_OK;
}

static void swap_bytes(void *data, int64_t count, size_t size)
{
    unsigned char *p = data;
    for (int64_t i = 0; i < count; i++, p += size)
        for (size_t a = 0, b = size - 1; a < b; a++, b--) {
            unsigned char t = p[a];
            p[a] = p[b];
            p[b] = t;
        }
}

nissl_status nissl__idx_read(const char *path, uint64_t budget, nissl_array *out, nissl_error *err)
{
    reader r = {.path = path};
    nissl_array array = {0};
    nissl__mapping probe = {0};
    nissl_type type = NISSL_UINT8;
    int rank = 0;
    int64_t shape[NISSL_MAX_RANK] = {0}, bytes = 0;
    unsigned char extra;
    /* zlib says little about why a file cannot be opened; the mapping does. */
    nissl_status status = nissl__map_file(path, &probe, err);
    if (status != NISSL_OK)
        return status;
    nissl__unmap_file(&probe);
    r.file = gzopen(path, "rbe");
    if (!r.file)
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot open", path);
    if ((status = read_header(&r, budget, &type, &rank, shape, &bytes, err)) != NISSL_OK ||
        (status = check_size(&r, bytes, err)) != NISSL_OK ||
        (status = nissl_array_new(type, rank, shape, &array, err)) != NISSL_OK ||
        (status = read_bytes(&r, array.data, bytes, "data", err)) != NISSL_OK)
        goto done;
    int more = gzread(r.file, &extra, 1);
    if (more != 0) {
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT,
                             more > 0 ? "%s: more data than the %lld bytes of its dimensions"
                                      : "%s: damaged after the %lld bytes of its dimensions",
                             path, (long long)bytes);
        goto done;
    }
    if (nissl_type_size(type) > 1)
        swap_bytes(array.data, nissl_array_count(&array), nissl_type_size(type));
    *out = array;
    array = (nissl_array){0};
done:
    gzclose(r.file);
    nissl_array_free(&array);
    return status;
}

static bool ends_with(const char *text, size_t n, const char *end)
{
    size_t m = strlen(end);
    return n >= m && memcmp(text + n - m, end, m) == 0;
}

bool nissl__idx_named(const char *path)
{
    const char *name = nissl__file_name(path);
    size_t n = strlen(name);
    if (ends_with(name, n, ".gz"))
        n -= 3;
    const char *idx = strstr(name, "idx");
    return ends_with(name, n, ".idx") || (idx && idx > name && (idx[-1] == '-' || idx[-1] == '.') &&
                                          idx[3] >= '1' && idx[3] <= '9' && idx[4] == '-');
}
