/* Messages in the protobuf wire format, built byte by byte, well formed or not. */
#ifndef NISSL_TEST_WIRE_BYTES_H
#define NISSL_TEST_WIRE_BYTES_H

#include "check.h"

typedef struct bytes {
    uint8_t *data;
    size_t n, room;
} bytes;

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, GROUP = 3, FIXED32 = 5 };

static inline void add_raw(bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->data = realloc(b->data, b->room);
        assert_non_null(b->data);
    }
    if (n)
        memcpy(b->data + b->n, data, n);
    b->n += n;
}

static inline void add_varint(bytes *b, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        add_raw(b, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void add_tag(bytes *b, unsigned field, unsigned type)
{
    add_varint(b, (uint64_t)field << 3 | type);
}

static inline void add_int(bytes *b, unsigned field, uint64_t value)
{
    add_tag(b, field, VARINT);
    add_varint(b, value);
}

static inline void add_bytes(bytes *b, unsigned field, const void *data, size_t n)
{
    add_tag(b, field, LENGTH);
    add_varint(b, n);
    add_raw(b, data, n);
}

static inline void add_text(bytes *b, unsigned field, const char *text)
{
    add_bytes(b, field, text, strlen(text));
}

/* Takes the inner message. */
static inline void add_message(bytes *b, unsigned field, bytes inner)
{
    add_bytes(b, field, inner.data, inner.n);
    free(inner.data);
}

static inline bytes one_message(unsigned field, bytes inner)
{
    bytes b = {0};
    add_message(&b, field, inner);
    return b;
}

/* A model of IR version 8 and opset 13 whose graph, the last field, is the message given. */
static inline bytes model_of(bytes graph)
{
    bytes b = {0}, opset = {0};
    add_int(&b, 1, 8);
    add_int(&opset, 2, 13);
    add_message(&b, 8, opset);
    add_message(&b, 7, graph);
    return b;
}

/* A model with one initializer, or one node with one attribute. */
static inline bytes model_of_tensor(bytes tensor)
{
    return model_of(one_message(5, tensor));
}

static inline bytes model_of_node(bytes node)
{
    return model_of(one_message(1, node));
}

static inline bytes model_of_attribute(bytes attribute)
{
    bytes node = {0};
    add_text(&node, 4, "Constant");
    add_message(&node, 5, attribute);
    return model_of_node(node);
}

/* The front of a tensor "w": name, type and shape. */
static inline bytes tensor_of(unsigned data_type, size_t rank, const int64_t *shape)
{
    bytes b = {0};
    for (size_t i = 0; i < rank; i++)
        add_int(&b, 1, (uint64_t)shape[i]);
    add_int(&b, 2, data_type);
    add_text(&b, 8, "w");
    return b;
}

static inline bytes vector_of(unsigned data_type, int64_t n)
{
    return tensor_of(data_type, 1, &n);
}

#endif
