/*
 * The protobuf wire format over memory: tags, varints, fixed numbers, length-delimited bytes.
 * Nothing is copied and nothing recurses. Errors read "LABEL: byte N: what, with both numbers".
 */
#ifndef NISSL__FORMATS_WIRE_H
#define NISSL__FORMATS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "nissl/error.h"

typedef enum nissl__wire_type {
    NISSL__WIRE_VARINT = 0,
    NISSL__WIRE_FIXED64 = 1,
    NISSL__WIRE_BYTES = 2,
    NISSL__WIRE_FIXED32 = 5 /* 3 and 4, groups, are refused */
} nissl__wire_type;

/* A message, or what is left of one. */
typedef struct nissl__wire {
    const char *label;   /* of the file */
    const uint8_t *base; /* of the file; offsets count from here */
    const uint8_t *at, *end;
} nissl__wire;

typedef struct nissl__wire_field {
    uint32_t number;
    nissl__wire_type type;
    const uint8_t *start; /* of the tag */
    uint64_t value;       /* of a varint or fixed number */
    const uint8_t *bytes; /* of a length-delimited field */
    size_t size;
} nissl__wire_field;

#define NISSL__WIRE_COUNTS 32

nissl__wire nissl__wire_of(const char *label, const void *bytes, size_t size);
/* The content of a length-delimited field. */
nissl__wire nissl__wire_inside(const nissl__wire *wire, const nissl__wire_field *field);
unsigned long long nissl__wire_offset(const nissl__wire *wire, const uint8_t *at);

/* Both need wire->at < wire->end. */
nissl_status nissl__wire_next(nissl__wire *wire, nissl__wire_field *field, nissl_error *err);
nissl_status nissl__wire_varint(nissl__wire *wire, uint64_t *value, nissl_error *err);

/* How often each field number below NISSL__WIRE_COUNTS occurs. Walks the whole message. */
nissl_status nissl__wire_count(nissl__wire wire, size_t counts[NISSL__WIRE_COUNTS],
                               nissl_error *err);

/* Numbers in one occurrence of a repeated scalar field, packed or not, of the given element type;
 * fails on a wrong wire type or a packed size that is no whole number of elements. */
nissl_status nissl__wire_scalars(const nissl__wire *wire, const nissl__wire_field *field,
                                 nissl__wire_type element, const char *what, size_t *count,
                                 nissl_error *err);

/* Fails unless the field has the wire type. */
nissl_status nissl__wire_expect(const nissl__wire *wire, const nissl__wire_field *field,
                                nissl__wire_type type, const char *what, nissl_error *err);

#endif
