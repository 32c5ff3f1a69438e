/* Reading and writing .npy. */
#include <ctype.h>

#include "formats/npy.h"

#define MAGIC      "\x93NUMPY"
#define MAX_HEADER 65536 /* numpy itself refuses headers above 10000 characters */

static const char *const descriptors[NISSL_TYPE_COUNT] = {
    [NISSL_FLOAT32] = "<f4", [NISSL_FLOAT64] = "<f8", [NISSL_FLOAT16] = "<f2",
    [NISSL_INT8] = "|i1",    [NISSL_UINT8] = "|u1",   [NISSL_INT16] = "<i2",
    [NISSL_UINT16] = "<u2",  [NISSL_INT32] = "<i4",   [NISSL_UINT32] = "<u4",
    [NISSL_INT64] = "<i8",   [NISSL_UINT64] = "<u8",  [NISSL_BOOL] = "|b1",
};

/* The header: a Python dictionary literal with the keys descr, fortran_order and shape. */
typedef struct parser {
    const char *label;
    const char *text; /* start */
    const char *at, *end;
    size_t offset; /* of the text in the file */
} parser;

static nissl_status syntax(const parser *p, const char *expected, nissl_error *err)
{
    if (p->at < p->end && isprint((unsigned char)*p->at))
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: header at byte %zu: expected %s, found '%c'",
                           p->label, p->offset + (size_t)(p->at - p->text), expected, *p->at);
    return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: header at byte %zu: expected %s", p->label,
                       p->offset + (size_t)(p->at - p->text), expected);
}

static void skip_space(parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

static bool accept(parser *p, char c)
{
    skip_space(p);
    if (p->at >= p->end || *p->at != c)
        return false;
    p->at++;
    return true;
}

static nissl_status parse_string(parser *p, char *out, size_t capacity, nissl_error *err)
{
    size_t n = 0;
    skip_space(p);
    if (p->at >= p->end || (*p->at != '\'' && *p->at != '"'))
        return syntax(p, "a quoted string", err);
    char quote = *p->at++;
    while (p->at < p->end && *p->at != quote) {
        if (n + 1 >= capacity)
            return syntax(p, "a shorter string", err);
        out[n++] = *p->at++;
    }
    if (p->at >= p->end)
        return syntax(p, "a closing quote", err);
    p->at++;
    out[n] = '\0';
    return NISSL_OK;
}

static nissl_status parse_descriptor(parser *p, nissl_type *type, nissl_error *err)
{
    char text[32];
    nissl_status status;
    skip_space(p);
    if (p->at < p->end && (*p->at == '[' || *p->at == '('))
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED, "%s: structured arrays are not supported",
                           p->label);
    if ((status = parse_string(p, text, sizeof text, err)) != NISSL_OK)
        return status;
    /* "=" is the writer's own order; every machine that this runs on is little-endian. */
    const char *code = strchr("<=|", text[0]) && text[0] ? text + 1 : text;
    for (int i = 0; text[0] != '>' && i < NISSL_TYPE_COUNT; i++)
        if (descriptors[i] && strcmp(descriptors[i] + 1, code) == 0) {
            *type = (nissl_type)i;
            return NISSL_OK;
        }
    if (text[0] == '>')
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                           "%s: element type '%s' is big-endian; save it with .astype('<%s')",
                           p->label, text, text + 1);
    return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                       "%s: element type '%s' is not supported (booleans, integers and floats of 2 "
                       "to 8 bytes are)",
                       p->label, text);
}

static nissl_status parse_shape(parser *p, nissl_view *view, nissl_error *err)
{
    if (!accept(p, '('))
        return syntax(p, "'('", err);
    view->rank = 0;
    for (;;) {
        int64_t value = 0;
        if (accept(p, ')'))
            return NISSL_OK;
        if (p->at >= p->end || !isdigit((unsigned char)*p->at))
            return syntax(p, "a dimension", err);
        if (view->rank == NISSL_MAX_RANK)
            return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED, "%s: more than %d dimensions", p->label,
                               NISSL_MAX_RANK);
        while (p->at < p->end && isdigit((unsigned char)*p->at)) {
            if (!nissl__mul(value, 10, &value) || !nissl__add(value, *p->at - '0', &value))
                return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                                   "%s: dimension %d of the shape exceeds 2^63 - 1", p->label,
                                   view->rank);
            p->at++;
        }
        if (p->at < p->end && *p->at == 'L') /* files of Python 2 */
            p->at++;
        view->shape[view->rank++] = value;
        if (!accept(p, ',')) {
            if (!accept(p, ')'))
                return syntax(p, "',' or ')'", err);
            return NISSL_OK;
        }
    }
}

static nissl_status parse_header(parser *p, nissl_view *view, bool *fortran, nissl_error *err)
{
    nissl_status status;
    bool have_type = false, have_order = false, have_shape = false;
    char key[32];
    if (!accept(p, '{'))
        return syntax(p, "'{'", err);
    while (!accept(p, '}')) {
        if ((status = parse_string(p, key, sizeof key, err)) != NISSL_OK)
            return status;
        if (!accept(p, ':'))
            return syntax(p, "':'", err);
        if (strcmp(key, "descr") == 0) {
            status = parse_descriptor(p, &view->type, err);
            have_type = true;
        } else if (strcmp(key, "fortran_order") == 0) {
            skip_space(p);
            size_t left = (size_t)(p->end - p->at);
            *fortran = left >= 4 && memcmp(p->at, "True", 4) == 0;
            if (!*fortran && (left < 5 || memcmp(p->at, "False", 5) != 0))
                return syntax(p, "True or False", err);
            p->at += *fortran ? 4 : 5;
            have_order = true;
        } else if (strcmp(key, "shape") == 0) {
            status = parse_shape(p, view, err);
            have_shape = true;
        } else {
            return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: unknown header key '%s'", p->label, key);
        }
        if (status != NISSL_OK)
            return status;
        if (!accept(p, ',')) {
            if (!accept(p, '}'))
                return syntax(p, "',' or '}'", err);
            break;
        }
    }
    if (!have_type || !have_order || !have_shape)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: the header lacks the key '%s'", p->label,
                           !have_type    ? "descr"
                           : !have_order ? "fortran_order"
                                         : "shape");
    return NISSL_OK;
}

/* Checks count * size against what the file holds and sets the strides. */
static nissl_status layout(const char *label, size_t available, bool fortran, nissl_view *view,
                           size_t *bytes, nissl_error *err)
{
    int64_t total, stride = 1;
    total = (int64_t)nissl_type_size(view->type);
    for (int i = 0; i < view->rank; i++) {
        int axis = fortran ? i : view->rank - 1 - i;
        view->stride[axis] = stride;
        if (!nissl__mul(stride, view->shape[axis], &stride) ||
            !nissl__mul(total, view->shape[axis], &total))
            return NISSL__FAIL(
                err, NISSL_ERR_FORMAT,
                "%s: the shape's axis %d of %lld elements makes the array larger than 2^63 bytes",
                label, axis, (long long)view->shape[axis]);
    }
    if ((uint64_t)total > available)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: the shape needs %lld bytes of data, the file holds %zu", label,
                           (long long)total, available);
    *bytes = (size_t)total;
    return NISSL_OK;
}

nissl_status nissl__npy_parse(const char *label, const void *bytes, size_t size, uint64_t budget,
                              nissl__npy *out, nissl_error *err)
{
    const unsigned char *data = bytes;
    nissl__npy npy = {0};
    nissl_status status;
    bool fortran = false;
    size_t n_header, prefix, n_data = 0;
    if (size < 10 || memcmp(data, MAGIC, 6) != 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: not an npy file (%zu bytes, no \\x93NUMPY at byte 0)", label, size);
    if (data[6] < 1 || data[6] > 3)
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                           "%s: npy version %d, versions 1 to 3 are supported", label, data[6]);
    prefix = data[6] == 1 ? 10 : 12;
    if (size < prefix)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: ends at byte %zu, inside the header of %zu",
                           label, size, prefix);
    n_header = (size_t)data[8] | (size_t)data[9] << 8;
    if (data[6] != 1)
        n_header |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (n_header > MAX_HEADER)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: a header of %zu bytes exceeds %d", label,
                           n_header, MAX_HEADER);
    if (n_header > size - prefix)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: a header of %zu bytes, %zu are left", label,
                           n_header, size - prefix);
    const char *text = (const char *)data + prefix;
    parser p = {.label = label, .text = text, .at = text, .end = text + n_header, .offset = prefix};
    if ((status = parse_header(&p, &npy.view, &fortran, err)) != NISSL_OK)
        return status;
    status = layout(label, size - prefix - n_header, fortran, &npy.view, &n_data, err);
    if (status != NISSL_OK)
        return status;
    const unsigned char *start = data + prefix + n_header;
    if ((uintptr_t)start % nissl_type_size(npy.view.type) != 0 && n_data) {
        if (n_data > budget)
            return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                               "%s: %zu bytes of unaligned data exceed the budget of %llu", label,
                               n_data, (unsigned long long)budget);
        npy.copy = nissl__alloc(n_data, 1);
        if (!npy.copy)
            return NISSL__NO_MEMORY(err, n_data);
        memcpy(npy.copy, start, n_data);
        npy.view.data = npy.copy;
    } else {
        npy.view.data = (void *)(uintptr_t)start; /* read-only, as every view of a file */
    }
    *out = npy;
    return NISSL_OK;
}

nissl_status nissl__npy_open(const char *path, uint64_t budget, nissl__npy *out, nissl_error *err)
{
    nissl__mapping file = {0};
    nissl__npy npy = {0};
    nissl_status status = nissl__map_file(path, &file, err);
    if (status != NISSL_OK)
        return status;
    status = nissl__npy_parse(path, file.data, file.size, budget, &npy, err);
    if (status != NISSL_OK) {
        nissl__unmap_file(&file);
        return status;
    }
    npy.file = file;
    *out = npy;
    return NISSL_OK;
}

void nissl__npy_close(nissl__npy *npy)
{
    if (!npy)
        return;
    nissl__free(npy->copy);
    nissl__unmap_file(&npy->file);
    *npy = (nissl__npy){0};
}

nissl_status nissl__npy_read(const char *path, uint64_t budget, nissl_array *out, nissl_error *err)
{
    nissl__npy npy = {0};
    nissl_array array = {0};
    nissl_status status = nissl__npy_open(path, budget, &npy, err);
    if (status != NISSL_OK)
        return status;
    uint64_t bytes = (uint64_t)nissl_view_count(&npy.view) * nissl_type_size(npy.view.type);
    if (bytes > budget)
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %llu bytes exceed the budget of %llu", path,
                             (unsigned long long)bytes, (unsigned long long)budget);
    if (status == NISSL_OK)
        status = nissl_array_new(npy.view.type, npy.view.rank, npy.view.shape, &array, err);
    if (status == NISSL_OK)
        status = nissl_view_copy(&npy.view, npy.view.type, array.data, err);
    if (status == NISSL_OK)
        *out = array;
    else
        nissl_array_free(&array);
    nissl__npy_close(&npy);
    return status;
}

/* The header, padded with spaces so that the data begins at a multiple of 64. */
static size_t write_header(const nissl_view *view, char *out, size_t capacity)
{
    size_t n = 10;
    n += (size_t)snprintf(out + n, capacity - n,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (",
                          descriptors[view->type]);
    for (int i = 0; i < view->rank; i++)
        n += (size_t)snprintf(out + n, capacity - n, "%lld%s", (long long)view->shape[i],
                              i + 1 < view->rank ? ", "
                              : view->rank == 1  ? ","
                                                 : "");
    n += (size_t)snprintf(out + n, capacity - n, "), }");
    while ((n + 1) % 64)
        out[n++] = ' ';
    out[n++] = '\n';
    memcpy(out, MAGIC "\x01", 8); /* the terminating zero is the minor version */
    out[8] = (char)((n - 10) & 0xff);
    out[9] = (char)((n - 10) >> 8);
    return n;
}

nissl_status nissl__npy_write(const char *path, const nissl_view *view, nissl_error *err)
{
    char header[512];
    nissl__replacement output = {0};
    void *row_major = NULL;
    nissl_status status = NISSL_OK;
    size_t size = nissl_type_size(view->type);
    size_t count = (size_t)nissl_view_count(view);
    const void *data = view->data;
    if ((unsigned)view->type >= NISSL_TYPE_COUNT || !descriptors[view->type])
        return NISSL__FAIL(err, NISSL_ERR_TYPE, "%s: numpy has no type %s", path,
                           nissl_type_name(view->type));
    if (!nissl_view_contiguous(view)) {
        row_major = nissl__alloc(count, size);
        if (!row_major)
            return NISSL__NO_MEMORY(err, count * size);
        status = nissl_view_copy(view, view->type, row_major, err);
        data = row_major;
    }
    if (status == NISSL_OK)
        status = nissl__replace_begin(path, &output, err);
    if (status != NISSL_OK)
        goto done;
    size_t n = write_header(view, header, sizeof header);
    fwrite(header, 1, n, output.file); /* the commit sees whether these failed */
    fwrite(data, size, count, output.file);
    status = nissl__replace_commit(&output, err);
done:
    nissl__replace_cancel(&output);
    nissl__free(row_major);
    return status;
}
