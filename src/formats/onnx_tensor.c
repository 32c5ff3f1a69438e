/* TensorProto: raw data, typed data and data in files beside the model. */
#include <limits.h>

#include "foundation/foundation.h"
#include "formats/onnx_read.h"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX data is read in place and needs a little-endian machine"
#endif

/* Field numbers of TensorProto. */
enum {
    DIMS = 1,
    DATA_TYPE = 2,
    SEGMENT = 3,
    FLOAT_DATA = 4,
    INT32_DATA = 5,
    STRING_DATA = 6,
    INT64_DATA = 7,
    NAME = 8,
    RAW_DATA = 9,
    DOUBLE_DATA = 10,
    UINT64_DATA = 11,
    EXTERNAL_DATA = 13,
    DATA_LOCATION = 14
};

/* By TensorProto.DataType. */
static const struct {
    const char *name;
    nissl_type type;
    int field; /* where typed data of it lies */
} data_types[] = {
    {"undefined", NISSL_TYPE_COUNT, 0},          {"float", NISSL_FLOAT32, FLOAT_DATA},
    {"uint8", NISSL_UINT8, INT32_DATA},          {"int8", NISSL_INT8, INT32_DATA},
    {"uint16", NISSL_UINT16, INT32_DATA},        {"int16", NISSL_INT16, INT32_DATA},
    {"int32", NISSL_INT32, INT32_DATA},          {"int64", NISSL_INT64, INT64_DATA},
    {"string", NISSL_TYPE_COUNT, STRING_DATA},   {"bool", NISSL_BOOL, INT32_DATA},
    {"float16", NISSL_FLOAT16, INT32_DATA},      {"double", NISSL_FLOAT64, DOUBLE_DATA},
    {"uint32", NISSL_UINT32, UINT64_DATA},       {"uint64", NISSL_UINT64, UINT64_DATA},
    {"complex64", NISSL_TYPE_COUNT, FLOAT_DATA}, {"complex128", NISSL_TYPE_COUNT, DOUBLE_DATA},
    {"bfloat16", NISSL_BFLOAT16, INT32_DATA},
};
#define N_DATA_TYPES (sizeof data_types / sizeof *data_types)

nissl_type nissl__onnx_type(uint64_t data_type)
{
    return data_type < N_DATA_TYPES ? data_types[data_type].type : NISSL_TYPE_COUNT;
}

const char *nissl__onnx_type_name(uint64_t data_type)
{
    return data_type < N_DATA_TYPES ? data_types[data_type].name : "unknown";
}

int nissl__onnx_type_code(nissl_type type)
{
    for (size_t i = 1; i < N_DATA_TYPES; i++)
        if (data_types[i].type == type && type != NISSL_TYPE_COUNT)
            return (int)i;
    return 0;
}

/* Typed data: the fields it may lie in. */
static const struct {
    int field;
    nissl__wire_type element;
    size_t size; /* of a fixed element */
    const char *name;
} typed[] = {
    {FLOAT_DATA, NISSL__WIRE_FIXED32, 4, "float_data"},
    {INT32_DATA, NISSL__WIRE_VARINT, 0, "int32_data"},
    {INT64_DATA, NISSL__WIRE_VARINT, 0, "int64_data"},
    {DOUBLE_DATA, NISSL__WIRE_FIXED64, 8, "double_data"},
    {UINT64_DATA, NISSL__WIRE_VARINT, 0, "uint64_data"},
};
#define N_TYPED (sizeof typed / sizeof *typed)

/* What the fields of one message say, before it is checked. */
typedef struct parts {
    nissl__wire wire; /* the whole message */
    const char *name;
    uint64_t data_type;
    uint64_t rank; /* may exceed NISSL_MAX_RANK */
    int64_t shape[NISSL_MAX_RANK];
    const uint8_t *raw; /* NULL: none */
    size_t raw_bytes;
    size_t n_typed[N_TYPED]; /* elements */
    size_t n_chunks[N_TYPED];
    const uint8_t *chunk[N_TYPED]; /* the last packed one */
    bool is_external;
    const char *location;
    uint64_t offset, length;
    bool has_length;
} parts;

#define FAIL(r, p, code, ...) NISSL__ONNX_FAIL(r, &(p)->wire, (p)->wire.at, code, __VA_ARGS__)

static int find_typed(uint32_t number)
{
    for (size_t i = 0; i < N_TYPED; i++)
        if (typed[i].field == (int)number)
            return (int)i;
    return -1;
}

static void add_dim(parts *p, uint64_t value)
{
    if (p->rank < NISSL_MAX_RANK)
        p->shape[p->rank] = (int64_t)value;
    p->rank++;
}

static nissl_status gather_dims(nissl__onnx_reader *r, parts *p, const nissl__wire_field *field)
{
    size_t n;
    nissl_status status =
        nissl__wire_scalars(&p->wire, field, NISSL__WIRE_VARINT, "dims", &n, r->err);
    if (status != NISSL_OK)
        return status;
    if (field->type == NISSL__WIRE_VARINT) {
        add_dim(p, field->value);
        return NISSL_OK;
    }
    nissl__wire packed = nissl__wire_inside(&p->wire, field);
    while (packed.at < packed.end) {
        uint64_t value;
        if ((status = nissl__wire_varint(&packed, &value, r->err)) != NISSL_OK)
            return status;
        add_dim(p, value);
    }
    return NISSL_OK;
}

/* "offset" and "length" of external data are decimal text. */
static nissl_status read_decimal(nissl__onnx_reader *r, parts *p, const char *key, const char *text,
                                 uint64_t *out)
{
    uint64_t value = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            break;
    if (*c || c == text)
        return FAIL(r, p, NISSL_ERR_FORMAT,
                    "external data has the %s \"%.40s\", not a whole number", key, text);
    *out = value;
    return NISSL_OK;
}

static nissl_status gather_external(nissl__onnx_reader *r, parts *p, const nissl__wire_field *field)
{
    nissl_status status =
        nissl__wire_expect(&p->wire, field, NISSL__WIRE_BYTES, "external_data", r->err);
    nissl__wire entry;
    const char *key = "", *value = "";
    if (status != NISSL_OK)
        return status;
    entry = nissl__wire_inside(&p->wire, field);
    while (entry.at < entry.end) {
        nissl__wire_field f;
        if ((status = nissl__wire_next(&entry, &f, r->err)) != NISSL_OK)
            return status;
        if (f.number == 1)
            status = nissl__onnx_read_text(r, &entry, &f, "external_data key", &key);
        else if (f.number == 2)
            status = nissl__onnx_read_text(r, &entry, &f, "external_data value", &value);
        if (status != NISSL_OK)
            return status;
    }
    if (strcmp(key, "location") == 0) {
        p->location = value;
    } else if (strcmp(key, "offset") == 0) {
        status = read_decimal(r, p, key, value, &p->offset);
    } else if (strcmp(key, "length") == 0) {
        status = read_decimal(r, p, key, value, &p->length);
        p->has_length = true;
    }
    return status;
}

static nissl_status gather_field(nissl__onnx_reader *r, parts *p, const nissl__wire_field *field)
{
    nissl_status status = NISSL_OK;
    int index = find_typed(field->number);
    if (index >= 0) {
        size_t n = 0;
        status = nissl__wire_scalars(&p->wire, field, typed[index].element, typed[index].name, &n,
                                     r->err);
        p->n_typed[index] += n;
        p->n_chunks[index]++;
        p->chunk[index] = field->type == NISSL__WIRE_BYTES ? field->bytes : NULL;
        return status;
    }
    switch (field->number) {
    case DIMS: return gather_dims(r, p, field);
    case DATA_TYPE:
        p->data_type = field->value;
        return nissl__wire_expect(&p->wire, field, NISSL__WIRE_VARINT, "data_type", r->err);
    case SEGMENT:
        return NISSL__ONNX_FAIL(r, &p->wire, field->start, NISSL_ERR_UNSUPPORTED,
                                "a tensor in segments");
    case NAME: return nissl__onnx_read_text(r, &p->wire, field, "tensor name", &p->name);
    case RAW_DATA:
        p->raw = field->bytes;
        p->raw_bytes = field->size;
        return nissl__wire_expect(&p->wire, field, NISSL__WIRE_BYTES, "raw_data", r->err);
    case EXTERNAL_DATA: return gather_external(r, p, field);
    case DATA_LOCATION:
        p->is_external = field->value == 1;
        return nissl__wire_expect(&p->wire, field, NISSL__WIRE_VARINT, "data_location", r->err);
    default: return NISSL_OK;
    }
}

/* The type, the shape and the number of elements. */
static nissl_status check_shape(nissl__onnx_reader *r, const parts *p, nissl__onnx_tensor *out,
                                int64_t *count)
{
    out->type = nissl__onnx_type(p->data_type);
    if (p->data_type == 0)
        return FAIL(r, p, NISSL_ERR_FORMAT, "tensor \"%.100s\" has no data_type", p->name);
    if (out->type == NISSL_TYPE_COUNT)
        return FAIL(r, p, NISSL_ERR_UNSUPPORTED, "tensor \"%.100s\" has data_type %llu (%s)",
                    p->name, (unsigned long long)p->data_type, nissl__onnx_type_name(p->data_type));
    if (p->rank > NISSL_MAX_RANK)
        return FAIL(r, p, NISSL_ERR_UNSUPPORTED, "tensor \"%.100s\" has %llu axes; at most %d fit",
                    p->name, (unsigned long long)p->rank, NISSL_MAX_RANK);
    *count = 1;
    out->rank = (int)p->rank;
    for (int i = 0; i < out->rank; i++) {
        out->shape[i] = p->shape[i];
        if (p->shape[i] < 0)
            return FAIL(r, p, NISSL_ERR_FORMAT,
                        "tensor \"%.100s\": axis %d of %d has %lld elements", p->name, i, out->rank,
                        (long long)p->shape[i]);
        if (!nissl__mul(*count, p->shape[i], count))
            return FAIL(r, p, NISSL_ERR_FORMAT,
                        "tensor \"%.100s\" declares more than 2^63 elements (axis %d of %d has "
                        "%lld), but its message has %llu bytes",
                        p->name, i, out->rank, (long long)p->shape[i],
                        (unsigned long long)(p->wire.end - p->wire.at));
    }
    return NISSL_OK;
}

/* count elements against what is there, in elements of unit bytes. */
static nissl_status check_count(nissl__onnx_reader *r, const parts *p, int64_t count, size_t unit,
                                uint64_t bytes, const char *where)
{
    if ((uint64_t)count == bytes / unit && bytes % unit == 0)
        return NISSL_OK;
    if ((uint64_t)count > UINT64_MAX / unit)
        return FAIL(r, p, NISSL_ERR_FORMAT,
                    "tensor \"%.100s\" declares %lld elements of %zu bytes, but %s has %llu bytes",
                    p->name, (long long)count, unit, where, (unsigned long long)bytes);
    return FAIL(r, p, NISSL_ERR_FORMAT,
                "tensor \"%.100s\" declares %lld elements (%llu bytes), but %s has %llu bytes",
                p->name, (long long)count, (unsigned long long)((uint64_t)count * unit), where,
                (unsigned long long)bytes);
}

/* One number of a varint field into element i; false if it does not fit the type. */
static bool store(nissl_type type, uint64_t value, size_t i, void *out)
{
    int64_t number = (int64_t)value;
    switch (type) {
    case NISSL_INT8: ((int8_t *)out)[i] = (int8_t)number; return number >= -128 && number <= 127;
    case NISSL_UINT8: ((uint8_t *)out)[i] = (uint8_t)number; return number >= 0 && number <= 255;
    case NISSL_BOOL: ((uint8_t *)out)[i] = number != 0; return true;
    case NISSL_INT16:
        ((int16_t *)out)[i] = (int16_t)number;
        return number >= INT16_MIN && number <= INT16_MAX;
    case NISSL_UINT16:
    case NISSL_FLOAT16:  /* the bits */
    case NISSL_BFLOAT16: /* the bits */
        ((uint16_t *)out)[i] = (uint16_t)number;
        return number >= 0 && number <= UINT16_MAX;
    case NISSL_INT32:
        ((int32_t *)out)[i] = (int32_t)number;
        return number >= INT32_MIN && number <= INT32_MAX;
    case NISSL_UINT32: ((uint32_t *)out)[i] = (uint32_t)value; return value <= UINT32_MAX;
    case NISSL_INT64: ((int64_t *)out)[i] = number; return true;
    case NISSL_UINT64: ((uint64_t *)out)[i] = value; return true;
    case NISSL_FLOAT32: ((uint32_t *)out)[i] = (uint32_t)value; return true; /* the bits */
    case NISSL_FLOAT64: ((uint64_t *)out)[i] = value; return true;           /* the bits */
    default: return false;
    }
}

/* Stores the numbers of one field from element i on. */
static nissl_status decode_field(nissl__onnx_reader *r, const parts *p, int index,
                                 const nissl__wire_field *field, nissl_type type, size_t *i,
                                 void *out)
{
    nissl_status status;
    nissl__wire packed;
    if (field->type != NISSL__WIRE_BYTES) {
        if (!store(type, field->value, *i, out))
            goto outside;
        ++*i;
        return NISSL_OK;
    }
    if (typed[index].element != NISSL__WIRE_VARINT) { /* as wide as the type: see data_types */
        memcpy((char *)out + *i * typed[index].size, field->bytes, field->size);
        *i += field->size / typed[index].size;
        return NISSL_OK;
    }
    packed = nissl__wire_inside(&p->wire, field);
    while (packed.at < packed.end) {
        uint64_t value;
        if ((status = nissl__wire_varint(&packed, &value, r->err)) != NISSL_OK)
            return status;
        if (!store(type, value, *i, out))
            goto outside;
        ++*i;
    }
    return NISSL_OK;
outside:
    return NISSL__ONNX_FAIL(r, &p->wire, field->start, NISSL_ERR_FORMAT,
                            "tensor \"%.100s\": element %zu in %s does not fit %s", p->name, *i,
                            typed[index].name, nissl_type_name(type));
}

static nissl_status read_typed(nissl__onnx_reader *r, const parts *p, int index, int64_t count,
                               nissl__onnx_tensor *out)
{
    nissl_status status;
    nissl__wire wire = p->wire;
    size_t unit = nissl_type_size(out->type), i = 0;
    void *data = NULL;
    if ((uint64_t)count != p->n_typed[index])
        return FAIL(r, p, NISSL_ERR_FORMAT,
                    "tensor \"%.100s\" declares %lld elements, but %s has %zu", p->name,
                    (long long)count, typed[index].name, p->n_typed[index]);
    out->bytes = (size_t)count * unit; /* count is at most the file's size here */
    if (p->n_chunks[index] == 1 && p->chunk[index] && typed[index].element != NISSL__WIRE_VARINT) {
        out->data = p->chunk[index];
        return NISSL_OK;
    }
    if ((status = nissl__onnx_take(r, (size_t)count, unit, &data)) != NISSL_OK)
        return status;
    while (wire.at < wire.end) {
        nissl__wire_field field;
        if ((status = nissl__wire_next(&wire, &field, r->err)) != NISSL_OK)
            return status;
        if ((int)field.number != typed[index].field)
            continue;
        if ((status = decode_field(r, p, index, &field, out->type, &i, data)) != NISSL_OK)
            return status;
    }
    out->data = data;
    return NISSL_OK;
}

/* ---- data in other files ---- */

struct nissl__onnx_external {
    nissl__onnx_external *next;
    const char *location;
    nissl__mapping mapping;
};

void nissl__onnx_unmap_external(nissl__onnx_reader *r)
{
    for (nissl__onnx_external *e = r->external; e; e = e->next)
        nissl__unmap_file(&e->mapping);
    r->external = NULL; /* the list itself lies in the arena */
}

/* Relative, and no step of it is "..". */
static bool stays_inside(const char *location)
{
    if (!*location || *location == '/')
        return false;
    for (const char *step = location; step; step = strchr(step, '/')) {
        step += *step == '/';
        if (strncmp(step, "..", 2) == 0 && (step[2] == '/' || !step[2]))
            return false;
    }
    return true;
}

/* Whether both paths, links resolved, are such that file lies under folder. */
static bool resolves_inside(const char *folder, const char *file)
{
    char *real_folder = realpath(folder, NULL), *real_file = realpath(file, NULL);
    size_t n = real_folder ? strlen(real_folder) : 0;
    bool inside = real_folder && real_file && strncmp(real_folder, real_file, n) == 0 &&
                  (real_file[n] == '/' || n == 1);
    free(real_folder);
    free(real_file);
    return inside;
}

static nissl_status map_external(nissl__onnx_reader *r, const parts *p, nissl__mapping *out)
{
    nissl_status status = NISSL_OK;
    const char *slash = strrchr(r->path, '/');
    char *folder =
        slash ? nissl__format("%.*s/", (int)(slash - r->path), r->path) : nissl__strdup("./");
    char *path = folder ? nissl__format("%s%s", folder, p->location) : NULL;
    nissl__onnx_external *entry = NULL;
    nissl__mapping mapping = {0};
    void *memory = NULL;
    if (!path) {
        status = NISSL__NO_MEMORY(r->err, strlen(r->path) + strlen(p->location) + 3);
        goto done;
    }
    if ((status = nissl__onnx_take(r, 1, sizeof *entry, &memory)) != NISSL_OK)
        goto done;
    if ((status = nissl__map_file(path, &mapping, r->err)) != NISSL_OK) {
        nissl__error_prefix(r->err, "%s: external data of tensor \"%.60s\"", r->label, p->name);
        goto done;
    }
    if (!resolves_inside(folder, path)) {
        status =
            FAIL(r, p, NISSL_ERR_FORMAT,
                 "tensor \"%.100s\": external data \"%.100s\" is a link that leaves the model's "
                 "folder",
                 p->name, p->location);
        goto done;
    }
    entry = memory;
    *entry = (nissl__onnx_external){r->external, p->location, mapping};
    r->external = entry;
    *out = mapping;
done:
    if (status != NISSL_OK)
        nissl__unmap_file(&mapping);
    nissl__free(path);
    nissl__free(folder);
    return status;
}

static nissl_status read_external(nissl__onnx_reader *r, const parts *p, int64_t count,
                                  nissl__onnx_tensor *out)
{
    nissl_status status;
    nissl__mapping mapping = {0};
    size_t unit = nissl_type_size(out->type);
    uint64_t length = p->length;
    if (!p->location)
        return FAIL(r, p, NISSL_ERR_FORMAT, "tensor \"%.100s\": external data has no location",
                    p->name);
    if (!stays_inside(p->location))
        return FAIL(r, p, NISSL_ERR_FORMAT,
                    "tensor \"%.100s\": external data \"%.100s\" is not inside the model's folder",
                    p->name, p->location);
    if (!r->path)
        return FAIL(r, p, NISSL_ERR_UNSUPPORTED,
                    "tensor \"%.100s\": external data \"%.100s\" of a model in memory", p->name,
                    p->location);
    for (const nissl__onnx_external *e = r->external; e && !mapping.data; e = e->next)
        if (strcmp(e->location, p->location) == 0)
            mapping = e->mapping;
    if (!mapping.data && (status = map_external(r, p, &mapping)) != NISSL_OK)
        return status;
    if (!p->has_length && p->offset <= mapping.size)
        length = mapping.size - p->offset;
    if (p->offset > mapping.size || length > mapping.size - p->offset)
        return FAIL(r, p, NISSL_ERR_FORMAT,
                    "tensor \"%.100s\": bytes %llu + %llu lie beyond the end of external data "
                    "\"%.100s\" of %zu bytes",
                    p->name, (unsigned long long)p->offset, (unsigned long long)length, p->location,
                    mapping.size);
    if ((status = check_count(r, p, count, unit, length, "its external data")) != NISSL_OK)
        return status;
    out->data = mapping.data + p->offset;
    out->bytes = (size_t)length;
    return NISSL_OK;
}

nissl_status nissl__onnx_read_tensor(nissl__onnx_reader *r, nissl__wire wire,
                                     nissl__onnx_tensor *out)
{
    nissl_status status;
    parts p = {.wire = wire, .name = ""};
    nissl__onnx_tensor tensor = {0};
    int64_t count = 0;
    int index = -1;
    while (wire.at < wire.end) {
        nissl__wire_field field;
        if ((status = nissl__wire_next(&wire, &field, r->err)) != NISSL_OK ||
            (status = gather_field(r, &p, &field)) != NISSL_OK)
            return status;
    }
    if ((status = check_shape(r, &p, &tensor, &count)) != NISSL_OK)
        return status;
    for (size_t i = 0; i < N_TYPED; i++) {
        if (!p.n_typed[i])
            continue;
        if (typed[i].field != data_types[p.data_type].field || p.raw_bytes || p.is_external)
            return FAIL(r, &p, NISSL_ERR_FORMAT, "tensor \"%.100s\" of %s has %zu elements of %s%s",
                        p.name, nissl_type_name(tensor.type), p.n_typed[i], typed[i].name,
                        p.raw_bytes     ? " beside raw_data"
                        : p.is_external ? " beside external data"
                                        : "");
        index = (int)i;
    }
    tensor.name = p.name;
    tensor.data = "";
    if (p.is_external) {
        status = read_external(r, &p, count, &tensor);
    } else if (index >= 0) {
        status = read_typed(r, &p, index, count, &tensor);
    } else {
        status = check_count(r, &p, count, nissl_type_size(tensor.type), p.raw_bytes,
                             p.raw ? "raw_data" : "it");
        tensor.bytes = p.raw_bytes;
        if (p.raw)
            tensor.data = p.raw;
    }
    if (status == NISSL_OK)
        *out = tensor;
    return status;
}
