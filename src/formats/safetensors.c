/* Reading safetensors headers: a parser of just the JSON that the format allows. */
#include "formats/safetensors.h"
#include "formats/arena.h"
#include "formats/file.h"
#include "formats/utf8.h"
#include "foundation/foundation.h"
#include "formats/safetensors_set.h"

/* A header while it is read. */
typedef struct header {
    const char *label;
    const uint8_t *begin, *at, *end; /* begin is byte 8 of the file */
    const uint8_t *data;
    uint64_t data_size;
    nissl__safetensors *set;
    nissl__onnx_tensor *tensors;
    size_t n, capacity;
    nissl_error *err;
} header;

/* "LABEL: byte N of the header: message" */
#define HEADER_FAIL(h, code, ...) fail_at((h), NISSL__FAIL((h)->err, (code), __VA_ARGS__))

static nissl_status fail_at(header *h, nissl_status status)
{
    nissl__error_prefix(h->err, "%s: byte %zu", h->label, (size_t)(h->at - h->begin) + 8);
    return status;
}

static void skip_space(header *h)
{
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\t' || *h->at == '\n' || *h->at == '\r'))
        h->at++;
}

static bool accept(header *h, char c)
{
    skip_space(h);
    if (h->at == h->end || *h->at != (uint8_t)c)
        return false;
    h->at++;
    return true;
}

static nissl_status expect(header *h, char c)
{
    if (accept(h, c))
        return NISSL_OK;
    if (h->at == h->end)
        return HEADER_FAIL(h, NISSL_ERR_FORMAT, "the header ends where '%c' belongs", c);
    return HEADER_FAIL(h, NISSL_ERR_FORMAT, "byte 0x%02x in the header where '%c' belongs", *h->at,
                       c);
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The code unit of \uXXXX at p; -1 if there is none. */
static int32_t code_unit(const uint8_t *p, const uint8_t *end)
{
    int32_t unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static char *put_utf8(char *to, uint32_t c)
{
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = n - 1; i > 0; i--) {
        to[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    to[0] = (char)(lead[n] | c);
    return to + n;
}

/* One escape sequence from *from, which stands on the backslash. */
static bool unescape(const uint8_t **from, const uint8_t *end, char **to)
{
    static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const uint8_t *p = *from;
    if (end - p < 2)
        return false;
    if (p[1] != 'u') {
        const char *found = p[1] ? strchr(plain, p[1]) : NULL;
        if (!found)
            return false;
        *(*to)++ = means[found - plain];
        *from += 2;
        return true;
    }
    int32_t unit = code_unit(p, end), low;
    if (unit <= 0 || (unit >= 0xdc00 && unit < 0xe000))
        return false;
    *from += 6;
    if (unit >= 0xd800 && unit < 0xdc00) {
        low = code_unit(*from, end);
        if (low < 0xdc00 || low >= 0xe000)
            return false;
        *from += 6;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    *to = put_utf8(*to, (uint32_t)unit);
    return true;
}

/* A string as NUL-terminated text in the set's memory. */
static nissl_status read_text(header *h, const char **out)
{
    nissl_status status = expect(h, '"');
    void *memory = NULL;
    if (status != NISSL_OK)
        return status;
    const uint8_t *from = h->at, *close = from;
    while (close < h->end && *close != '"')
        close += *close == '\\' && close + 1 < h->end ? 2 : 1;
    if (close >= h->end)
        return HEADER_FAIL(h, NISSL_ERR_FORMAT, "a string does not end within the header");
    size_t n = (size_t)(close - from); /* escapes only shrink */
    if ((status = nissl__arena_take(&h->set->arena, n + 1, 1, &memory, h->err)) != NISSL_OK)
        return fail_at(h, status);
    char *to = memory;
    while (from < close) {
        if (*from < 0x20)
            return HEADER_FAIL(h, NISSL_ERR_FORMAT, "control byte 0x%02x inside a string", *from);
        if (*from != '\\')
            *to++ = (char)*from++;
        else if (!unescape(&from, close, &to))
            return HEADER_FAIL(h, NISSL_ERR_FORMAT, "a bad escape sequence in a string");
    }
    *to = '\0';
    n = (size_t)(to - (char *)memory);
    if (nissl__utf8_prefix(memory, n) != n)
        return HEADER_FAIL(h, NISSL_ERR_FORMAT, "a string is not UTF-8");
    h->at = close + 1;
    *out = memory;
    return NISSL_OK;
}

static nissl_status read_number(header *h, const char *what, int64_t *out)
{
    int64_t n = 0;
    skip_space(h);
    const uint8_t *start = h->at;
    while (h->at < h->end && *h->at >= '0' && *h->at <= '9') {
        if (!nissl__mul(n, 10, &n) || !nissl__add(n, *h->at - '0', &n))
            return HEADER_FAIL(h, NISSL_ERR_FORMAT, "%s exceeds 2^63 - 1", what);
        h->at++;
    }
    if (h->at == start)
        return HEADER_FAIL(h, NISSL_ERR_FORMAT, "%s is no natural number", what);
    *out = n;
    return NISSL_OK;
}

/* "[1, 2, 3]" of at most max numbers. */
static nissl_status read_numbers(header *h, const char *what, int max, int64_t *out, int *n)
{
    nissl_status status = expect(h, '[');
    *n = 0;
    if (status != NISSL_OK || accept(h, ']'))
        return status;
    do {
        if (*n == max)
            return HEADER_FAIL(h, NISSL_ERR_UNSUPPORTED, "%s has more than %d numbers", what, max);
        if ((status = read_number(h, what, &out[(*n)++])) != NISSL_OK)
            return status;
    } while (accept(h, ','));
    return expect(h, ']');
}

static nissl_type type_of(const char *dtype)
{
    static const struct {
        const char *name;
        nissl_type type;
    } types[] = {{"F32", NISSL_FLOAT32},   {"F64", NISSL_FLOAT64}, {"F16", NISSL_FLOAT16},
                 {"BF16", NISSL_BFLOAT16}, {"I8", NISSL_INT8},     {"U8", NISSL_UINT8},
                 {"I16", NISSL_INT16},     {"U16", NISSL_UINT16},  {"I32", NISSL_INT32},
                 {"U32", NISSL_UINT32},    {"I64", NISSL_INT64},   {"U64", NISSL_UINT64},
                 {"BOOL", NISSL_BOOL}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, dtype) == 0)
            return types[i].type;
    return NISSL_TYPE_COUNT;
}

/* Do shape and type agree with the offsets, and do those lie inside the data? */
static nissl_status settle(header *h, nissl__onnx_tensor *tensor, const char *dtype,
                           const int64_t offsets[2])
{
    int64_t bytes;
    tensor->type = type_of(dtype);
    if (tensor->type == NISSL_TYPE_COUNT)
        return HEADER_FAIL(h, NISSL_ERR_UNSUPPORTED, "tensor %.200s has the type %.40s",
                           tensor->name, dtype);
    bytes = (int64_t)nissl_type_size(tensor->type);
    for (int i = 0; i < tensor->rank; i++)
        if (!nissl__mul(bytes, tensor->shape[i], &bytes))
            return HEADER_FAIL(h, NISSL_ERR_FORMAT,
                               "the size of tensor %.200s exceeds 2^63 - 1 bytes at axis %d (%lld)",
                               tensor->name, i, (long long)tensor->shape[i]);
    if (offsets[0] > offsets[1] || (uint64_t)offsets[1] > h->data_size)
        return HEADER_FAIL(h, NISSL_ERR_FORMAT,
                           "tensor %.200s lies at %lld .. %lld of %llu bytes of data", tensor->name,
                           (long long)offsets[0], (long long)offsets[1],
                           (unsigned long long)h->data_size);
    if (offsets[1] - offsets[0] != bytes)
        return HEADER_FAIL(h, NISSL_ERR_FORMAT,
                           "tensor %.200s has %lld bytes by its offsets, %lld by its shape",
                           tensor->name, (long long)(offsets[1] - offsets[0]), (long long)bytes);
    tensor->data = h->data + offsets[0];
    tensor->bytes = (size_t)bytes;
    return NISSL_OK;
}

/* {"dtype": ..., "shape": ..., "data_offsets": ...} in any order. */
static nissl_status read_entry(header *h, nissl__onnx_tensor *tensor)
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    nissl_status status = expect(h, '{');
    const char *key, *dtype = "";
    int64_t offsets[2] = {0};
    int seen = 0, n = 0;
    if (status != NISSL_OK)
        return status;
    do {
        if ((status = read_text(h, &key)) != NISSL_OK || (status = expect(h, ':')) != NISSL_OK)
            return status;
        int part = strcmp(key, "dtype") == 0          ? DTYPE
                   : strcmp(key, "shape") == 0        ? SHAPE
                   : strcmp(key, "data_offsets") == 0 ? OFFSETS
                                                      : 0;
        if (!part || (seen & part))
            return HEADER_FAIL(h, NISSL_ERR_FORMAT, "tensor %.200s has %s key \"%.80s\"",
                               tensor->name, part ? "a second" : "the unknown", key);
        seen |= part;
        if (part == DTYPE)
            status = read_text(h, &dtype);
        else if (part == SHAPE)
            status = read_numbers(h, "a shape", NISSL_MAX_RANK, tensor->shape, &tensor->rank);
        else if ((status = read_numbers(h, "data_offsets", 2, offsets, &n)) == NISSL_OK && n != 2)
            status = HEADER_FAIL(h, NISSL_ERR_FORMAT,
                                 "data_offsets of %.200s has %d numbers, not 2", tensor->name, n);
        if (status != NISSL_OK)
            return status;
    } while (accept(h, ','));
    if ((status = expect(h, '}')) != NISSL_OK)
        return status;
    if (seen != (DTYPE | SHAPE | OFFSETS))
        return HEADER_FAIL(h, NISSL_ERR_FORMAT, "tensor %.200s has no %s", tensor->name,
                           !(seen & DTYPE)   ? "dtype"
                           : !(seen & SHAPE) ? "shape"
                                             : "data_offsets");
    return settle(h, tensor, dtype, offsets);
}

/* {"key": "text"}: read past, but checked. */
static nissl_status read_metadata(header *h)
{
    nissl_status status = expect(h, '{');
    const char *text;
    if (status != NISSL_OK || accept(h, '}'))
        return status;
    do {
        if ((status = read_text(h, &text)) != NISSL_OK || (status = expect(h, ':')) != NISSL_OK ||
            (status = read_text(h, &text)) != NISSL_OK)
            return status;
    } while (accept(h, ','));
    return expect(h, '}');
}

static nissl_status add_tensor(header *h, const nissl__onnx_tensor *tensor)
{
    if (h->n == h->capacity) {
        size_t capacity = 2 * h->capacity + 64;
        if (capacity * sizeof *tensor > h->set->arena.budget)
            return HEADER_FAIL(h, NISSL_ERR_LIMIT, "%zu tensors exceed the budget of %llu bytes",
                               capacity, (unsigned long long)h->set->arena.budget);
        nissl__onnx_tensor *tensors = nissl__resize(h->tensors, h->n, capacity, sizeof *h->tensors);
        if (!tensors)
            return NISSL__NO_MEMORY(h->err, capacity * sizeof *h->tensors);
        h->tensors = tensors;
        h->capacity = capacity;
    }
    h->tensors[h->n++] = *tensor;
    return NISSL_OK;
}

static nissl_status read_header(header *h)
{
    nissl_status status = expect(h, '{');
    bool metadata = false;
    if (status != NISSL_OK)
        return status;
    if (!accept(h, '}')) {
        do {
            nissl__onnx_tensor tensor = {0};
            if ((status = read_text(h, &tensor.name)) != NISSL_OK ||
                (status = expect(h, ':')) != NISSL_OK)
                return status;
            if (strcmp(tensor.name, "__metadata__") == 0) {
                if (metadata)
                    return HEADER_FAIL(h, NISSL_ERR_FORMAT, "__metadata__ stands there twice");
                metadata = true;
                status = read_metadata(h);
            } else if ((status = read_entry(h, &tensor)) == NISSL_OK) {
                status = add_tensor(h, &tensor);
            }
            if (status != NISSL_OK)
                return status;
        } while (accept(h, ','));
        if ((status = expect(h, '}')) != NISSL_OK)
            return status;
    }
    skip_space(h);
    return h->at == h->end ? NISSL_OK
                           : HEADER_FAIL(h, NISSL_ERR_FORMAT,
                                         "byte 0x%02x after the end of the header's JSON", *h->at);
}

static int by_place(const void *a, const void *b)
{
    const nissl__onnx_tensor *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Together the tensors fill the data: none overlaps another and nothing lies between them. */
static nissl_status check_places(header *h)
{
    const uint8_t *end = h->data;
    if (h->n)
        qsort(h->tensors, h->n, sizeof *h->tensors, by_place);
    for (size_t i = 0; i < h->n; i++) {
        const nissl__onnx_tensor *t = &h->tensors[i];
        const uint8_t *begin = t->data;
        if (begin != end)
            return NISSL__FAIL(h->err, NISSL_ERR_FORMAT,
                               "%s: tensor %.200s begins at byte %lld of the data, %s", h->label,
                               t->name, (long long)(begin - h->data),
                               begin < end ? "inside another" : "after bytes that are no tensor's");
        end += t->bytes;
    }
    if (end != h->data + h->data_size)
        return NISSL__FAIL(h->err, NISSL_ERR_FORMAT,
                           "%s: the tensors end at byte %lld of the data, which has %llu bytes",
                           h->label, (long long)(end - h->data), (unsigned long long)h->data_size);
    return NISSL_OK;
}

int nissl__safetensors_by_name(const void *a, const void *b)
{
    return strcmp(((const nissl__onnx_tensor *)a)->name, ((const nissl__onnx_tensor *)b)->name);
}

nissl_status nissl__safetensors_read(const char *label, const void *bytes, size_t size,
                                     nissl__safetensors *set, nissl__onnx_tensor **tensors,
                                     size_t *n, nissl_error *err)
{
    header h = {.label = label, .set = set, .err = err};
    const uint8_t *file = bytes;
    uint64_t length = 0;
    nissl_status status;
    if (size < 8)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %zu bytes; the header's length takes 8",
                           label, size);
    for (int i = 7; i >= 0; i--)
        length = length << 8 | file[i];
    if (length > NISSL__SAFETENSORS_MAX_HEADER)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: a header of %llu bytes, at most %d", label,
                           (unsigned long long)length, NISSL__SAFETENSORS_MAX_HEADER);
    if (length > size - 8)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: a header of %llu bytes in a file of %zu",
                           label, (unsigned long long)length, size);
    h.begin = h.at = file + 8;
    h.end = h.data = h.begin + length;
    h.data_size = size - 8 - length;
    if ((status = read_header(&h)) != NISSL_OK || (status = check_places(&h)) != NISSL_OK)
        goto done;
    if (h.n)
        qsort(h.tensors, h.n, sizeof *h.tensors, nissl__safetensors_by_name);
    for (size_t i = 1; i < h.n; i++)
        if (strcmp(h.tensors[i].name, h.tensors[i - 1].name) == 0) {
            status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: two tensors are named %.200s", label,
                                 h.tensors[i].name);
            goto done;
        }
    *tensors = h.tensors;
    *n = h.n;
    h.tensors = NULL;
done:
    nissl__free(h.tensors);
    return status;
}
