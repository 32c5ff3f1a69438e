/* Reading the protobuf wire format: https://protobuf.dev/programming-guides/encoding/ */
#include "foundation/foundation.h"
#include "formats/wire.h"

#define FAIL_AT(wire, place, err, ...)                                                             \
    fail_at(err, wire, place, NISSL__FAIL(err, NISSL_ERR_FORMAT, __VA_ARGS__))

static nissl_status fail_at(nissl_error *err, const nissl__wire *wire, const uint8_t *place,
                            nissl_status status)
{
    nissl__error_prefix(err, "%s: byte %llu", wire->label, nissl__wire_offset(wire, place));
    return status;
}

static const char *type_name(unsigned type)
{
    static const char *const names[] = {"varint",      "64-bit",    "length-delimited",
                                        "group start", "group end", "32-bit"};
    return type < sizeof names / sizeof *names ? names[type] : "unknown";
}

nissl__wire nissl__wire_of(const char *label, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    return (nissl__wire){.label = label, .base = at, .at = at, .end = at + size};
}

nissl__wire nissl__wire_inside(const nissl__wire *wire, const nissl__wire_field *field)
{
    return (nissl__wire){.label = wire->label,
                         .base = wire->base,
                         .at = field->bytes,
                         .end = field->bytes + field->size};
}

unsigned long long nissl__wire_offset(const nissl__wire *wire, const uint8_t *at)
{
    return (unsigned long long)(at - wire->base);
}

nissl_status nissl__wire_varint(nissl__wire *wire, uint64_t *value, nissl_error *err)
{
    const uint8_t *start = wire->at;
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte;
        if (wire->at == wire->end)
            return FAIL_AT(wire, start, err, "a number is cut off after %llu bytes",
                           (unsigned long long)(wire->at - start));
        byte = *wire->at++;
        if (shift == 63 && byte > 1)
            return FAIL_AT(wire, start, err, "a number has more than 64 bits");
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *value = result;
            return NISSL_OK;
        }
    }
    return FAIL_AT(wire, start, err, "a number has more than 64 bits");
}

static uint64_t little_endian(const uint8_t *at, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

nissl_status nissl__wire_next(nissl__wire *wire, nissl__wire_field *field, nissl_error *err)
{
    nissl_status status;
    uint64_t tag, size;
    nissl__wire_field read = {.start = wire->at};
    if ((status = nissl__wire_varint(wire, &tag, err)) != NISSL_OK)
        return status;
    if (tag > UINT32_MAX || tag >> 3 == 0)
        return FAIL_AT(wire, read.start, err, "field number %llu is outside 1 .. 536870911",
                       (unsigned long long)(tag >> 3));
    read.number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case NISSL__WIRE_VARINT:
        read.type = NISSL__WIRE_VARINT;
        if ((status = nissl__wire_varint(wire, &read.value, err)) != NISSL_OK)
            return status;
        break;
    case NISSL__WIRE_FIXED32:
    case NISSL__WIRE_FIXED64:
        read.type = (nissl__wire_type)(tag & 7);
        size = read.type == NISSL__WIRE_FIXED32 ? 4 : 8;
        if ((uint64_t)(wire->end - wire->at) < size)
            return FAIL_AT(wire, read.start, err, "field %u needs %llu bytes, but %llu are left",
                           read.number, (unsigned long long)size,
                           (unsigned long long)(wire->end - wire->at));
        read.value = little_endian(wire->at, (unsigned)size);
        wire->at += size;
        break;
    case NISSL__WIRE_BYTES:
        read.type = NISSL__WIRE_BYTES;
        if ((status = nissl__wire_varint(wire, &size, err)) != NISSL_OK)
            return status;
        if (size > (uint64_t)(wire->end - wire->at))
            return FAIL_AT(wire, read.start, err, "field %u claims %llu bytes, but %llu are left",
                           read.number, (unsigned long long)size,
                           (unsigned long long)(wire->end - wire->at));
        read.bytes = wire->at;
        read.size = (size_t)size;
        wire->at += size;
        break;
    default:
        return FAIL_AT(wire, read.start, err,
                       "field %u has wire type %u (%s), which ONNX never has", read.number,
                       (unsigned)(tag & 7), type_name((unsigned)(tag & 7)));
    }
    *field = read;
    return NISSL_OK;
}

nissl_status nissl__wire_count(nissl__wire wire, size_t counts[NISSL__WIRE_COUNTS],
                               nissl_error *err)
{
    memset(counts, 0, NISSL__WIRE_COUNTS * sizeof *counts);
    while (wire.at < wire.end) {
        nissl__wire_field field;
        nissl_status status = nissl__wire_next(&wire, &field, err);
        if (status != NISSL_OK)
            return status;
        if (field.number < NISSL__WIRE_COUNTS)
            counts[field.number]++;
    }
    return NISSL_OK;
}

nissl_status nissl__wire_expect(const nissl__wire *wire, const nissl__wire_field *field,
                                nissl__wire_type type, const char *what, nissl_error *err)
{
    if (field->type != type)
        return FAIL_AT(wire, field->start, err, "%s has wire type %d (%s) where %d (%s) belongs",
                       what, (int)field->type, type_name((unsigned)field->type), (int)type,
                       type_name((unsigned)type));
    return NISSL_OK;
}

nissl_status nissl__wire_scalars(const nissl__wire *wire, const nissl__wire_field *field,
                                 nissl__wire_type element, const char *what, size_t *count,
                                 nissl_error *err)
{
    size_t n = 0, size = element == NISSL__WIRE_FIXED32 ? 4 : 8;
    if (field->type != NISSL__WIRE_BYTES) {
        *count = 1;
        return nissl__wire_expect(wire, field, element, what, err);
    }
    if (element == NISSL__WIRE_VARINT) {
        for (size_t i = 0; i < field->size; i++)
            n += !(field->bytes[i] & 0x80);
        if (field->size && field->bytes[field->size - 1] & 0x80)
            return FAIL_AT(wire, field->start, err, "%s of %zu bytes ends inside a number", what,
                           field->size);
    } else {
        n = field->size / size;
        if (field->size % size)
            return FAIL_AT(wire, field->start, err, "%s of %zu bytes is no multiple of %zu", what,
                           field->size, size);
    }
    *count = n;
    return NISSL_OK;
}
