/*
 * The messages of an ONNX file but for tensors: model, graph, node, attribute, value, function.
 *
 * Each message is walked twice: once to count its repeated fields, so that arrays are allocated at
 * their size, and once to read. Field numbers are those of onnx.proto (IR version 8 and later).
 */
#include "foundation/foundation.h"
#include "formats/onnx_read.h"
#include "formats/utf8.h"

#define DEFAULT_BUDGET ((uint64_t)1 << 30)
#define LABEL_CHARS    200 /* of a longer path the end is shown */

#define TRY(call)                                                                                  \
    do {                                                                                           \
        nissl_status try_status = (call);                                                          \
        if (try_status != NISSL_OK)                                                                \
            return try_status;                                                                     \
    } while (0)

nissl_status nissl__onnx_fail(nissl__onnx_reader *r, const nissl__wire *wire, const uint8_t *place,
                              nissl_status status)
{
    nissl__error_prefix(r->err, "%s: byte %llu", r->label, nissl__wire_offset(wire, place));
    return status;
}

nissl_status nissl__onnx_take(nissl__onnx_reader *r, size_t count, size_t size, void **out)
{
    nissl_status status = nissl__arena_take(&r->arena, count, size, out, r->err);
    if (status != NISSL_OK)
        nissl__error_prefix(r->err, "%s", r->label);
    return status;
}

/* ---- text ---- */

static nissl_status copy_bytes(nissl__onnx_reader *r, const nissl__wire_field *field,
                               const char **out)
{
    void *copy = NULL;
    TRY(nissl__onnx_take(r, field->size + 1, 1, &copy));
    memcpy(copy, field->bytes, field->size);
    *out = copy;
    return NISSL_OK;
}

nissl_status nissl__onnx_read_text(nissl__onnx_reader *r, const nissl__wire *wire,
                                   const nissl__wire_field *field, const char *what,
                                   const char **out)
{
    size_t n;
    TRY(nissl__wire_expect(wire, field, NISSL__WIRE_BYTES, what, r->err));
    n = nissl__utf8_prefix(field->bytes, field->size);
    if (n < field->size)
        return NISSL__ONNX_FAIL(r, wire, field->bytes + n, NISSL_ERR_FORMAT,
                                "%s of %zu bytes is not UTF-8 text: byte %zu of it is 0x%02x", what,
                                field->size, n, (unsigned)field->bytes[n]);
    return copy_bytes(r, field, out);
}

/* A NUL inside would cut the copy short unseen. */
static nissl_status read_c_string(nissl__onnx_reader *r, const nissl__wire *wire,
                                  const nissl__wire_field *field, const char *what,
                                  const char **out)
{
    const uint8_t *nul;
    TRY(nissl__wire_expect(wire, field, NISSL__WIRE_BYTES, what, r->err));
    nul = field->size ? memchr(field->bytes, 0, field->size) : NULL;
    if (nul)
        return NISSL__ONNX_FAIL(r, wire, nul, NISSL_ERR_FORMAT,
                                "%s of %zu bytes has a NUL at byte %zu of it", what, field->size,
                                (size_t)(nul - field->bytes));
    return copy_bytes(r, field, out);
}

static nissl_status read_domain(nissl__onnx_reader *r, const nissl__wire *wire,
                                const nissl__wire_field *field, const char **out)
{
    TRY(nissl__onnx_read_text(r, wire, field, "domain", out));
    if (strcmp(*out, "ai.onnx") == 0)
        *out = "";
    return NISSL_OK;
}

/* ---- walking ---- */

/* The content of a field that must be a message. */
static nissl_status enter(nissl__onnx_reader *r, const nissl__wire *wire,
                          const nissl__wire_field *field, const char *what, int depth,
                          nissl__wire *inside)
{
    TRY(nissl__wire_expect(wire, field, NISSL__WIRE_BYTES, what, r->err));
    if (depth >= NISSL__ONNX_MAX_DEPTH)
        return NISSL__ONNX_FAIL(r, wire, field->start, NISSL_ERR_LIMIT,
                                "%s lies %d messages deep; at most %d are read", what, depth + 1,
                                NISSL__ONNX_MAX_DEPTH);
    *inside = nissl__wire_inside(wire, field);
    return NISSL_OK;
}

static nissl_status read_integer(nissl__onnx_reader *r, const nissl__wire *wire,
                                 const nissl__wire_field *field, const char *what, int64_t *out)
{
    TRY(nissl__wire_expect(wire, field, NISSL__WIRE_VARINT, what, r->err));
    *out = (int64_t)field->value;
    return NISSL_OK;
}

/* A message that may occur once. */
static nissl_status only_once(nissl__onnx_reader *r, const nissl__wire *wire, size_t count,
                              const char *what)
{
    if (count > 1)
        return NISSL__ONNX_FAIL(r, wire, wire->at, NISSL_ERR_FORMAT,
                                "%s occurs %zu times where 1 belongs", what, count);
    return NISSL_OK;
}

/* ---- values ---- */

static nissl_status read_dimension(nissl__onnx_reader *r, nissl__wire wire, int64_t *size,
                                   const char **name)
{
    *size = -1;
    while (wire.at < wire.end) {
        nissl__wire_field field;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number == 1) {
            TRY(read_integer(r, &wire, &field, "dim_value", size));
            *size = NISSL__MAX(*size, -1); /* exporters write negative for unknown */
        } else if (field.number == 2) {
            TRY(nissl__onnx_read_text(r, &wire, &field, "dim_param", name));
            if (!**name)
                *name = NULL;
        }
    }
    return NISSL_OK;
}

static nissl_status read_shape(nissl__onnx_reader *r, nissl__wire wire, int depth,
                               nissl__onnx_value *out)
{
    size_t counts[NISSL__WIRE_COUNTS];
    TRY(nissl__wire_count(wire, counts, r->err));
    if (counts[1] > NISSL_MAX_RANK)
        return NISSL__ONNX_FAIL(r, &wire, wire.at, NISSL_ERR_UNSUPPORTED,
                                "value \"%.100s\" has %zu axes; at most %d fit", out->name,
                                counts[1], NISSL_MAX_RANK);
    out->has_shape = true;
    while (wire.at < wire.end) {
        nissl__wire_field field;
        nissl__wire inside;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number != 1)
            continue;
        TRY(enter(r, &wire, &field, "dim", depth, &inside));
        TRY(read_dimension(r, inside, &out->shape[out->rank], &out->dim_names[out->rank]));
        out->rank++;
    }
    return NISSL_OK;
}

static nissl_status read_tensor_type(nissl__onnx_reader *r, nissl__wire wire, int depth,
                                     nissl__onnx_value *out)
{
    size_t counts[NISSL__WIRE_COUNTS];
    TRY(nissl__wire_count(wire, counts, r->err));
    TRY(only_once(r, &wire, counts[2], "the shape of a value"));
    while (wire.at < wire.end) {
        nissl__wire_field field;
        nissl__wire inside;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number == 1) {
            TRY(nissl__wire_expect(&wire, &field, NISSL__WIRE_VARINT, "elem_type", r->err));
            out->type = nissl__onnx_type(field.value);
            out->has_type = out->type != NISSL_TYPE_COUNT;
        } else if (field.number == 2) {
            TRY(enter(r, &wire, &field, "shape", depth, &inside));
            TRY(read_shape(r, inside, depth + 1, out));
        }
    }
    return NISSL_OK;
}

/* Sequences, maps and optional values stay without a type, and are not looked into. */
static nissl_status read_type(nissl__onnx_reader *r, nissl__wire wire, int depth,
                              nissl__onnx_value *out)
{
    size_t counts[NISSL__WIRE_COUNTS];
    TRY(nissl__wire_count(wire, counts, r->err));
    TRY(only_once(r, &wire, counts[1], "the tensor type of a value"));
    while (wire.at < wire.end) {
        nissl__wire_field field;
        nissl__wire inside;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number != 1)
            continue;
        TRY(enter(r, &wire, &field, "tensor_type", depth, &inside));
        TRY(read_tensor_type(r, inside, depth + 1, out));
    }
    return NISSL_OK;
}

static nissl_status read_value(nissl__onnx_reader *r, nissl__wire wire, int depth,
                               nissl__onnx_value *out)
{
    size_t counts[NISSL__WIRE_COUNTS];
    nissl__wire_field type = {0};
    nissl__wire inside;
    nissl__wire at = wire;
    out->name = "";
    TRY(nissl__wire_count(wire, counts, r->err));
    TRY(only_once(r, &wire, counts[2], "the type of a value"));
    while (at.at < at.end) {
        nissl__wire_field field;
        TRY(nissl__wire_next(&at, &field, r->err));
        if (field.number == 1)
            TRY(nissl__onnx_read_text(r, &at, &field, "value name", &out->name));
        else if (field.number == 2)
            type = field; /* read last, so that a message can name the value */
    }
    if (!type.start)
        return NISSL_OK;
    TRY(enter(r, &wire, &type, "type", depth, &inside));
    TRY(read_type(r, inside, depth + 1, out));
    if (!out->has_type) { /* a shape without a type says nothing */
        const char *name = out->name;
        *out = (nissl__onnx_value){
            .name = name, .foreign_type = type.bytes, .foreign_bytes = type.size};
    }
    return NISSL_OK;
}

/* ---- attributes and nodes ---- */

static nissl_status read_graph(nissl__onnx_reader *r, nissl__wire wire, int depth,
                               nissl__onnx_graph *out);

/* Field number, kind, and what messages call it, by AttributeProto.AttributeType. */
static const struct {
    uint32_t field;
    nissl__onnx_attribute_kind kind;
    const char *name;
} attribute_types[] = {
    {0, NISSL__ONNX_OTHER, ""},
    {2, NISSL__ONNX_FLOAT, "attribute f"},
    {3, NISSL__ONNX_INT, "attribute i"},
    {4, NISSL__ONNX_STRING, "attribute s"},
    {5, NISSL__ONNX_TENSOR, "attribute t"},
    {6, NISSL__ONNX_GRAPH, "attribute g"},
    {7, NISSL__ONNX_FLOATS, "attribute floats"},
    {8, NISSL__ONNX_INTS, "attribute ints"},
    {9, NISSL__ONNX_STRINGS, "attribute strings"},
    {10, NISSL__ONNX_TENSORS, "attribute tensors"},
    {11, NISSL__ONNX_GRAPHS, "attribute graphs"},
};
#define N_ATTRIBUTE_TYPES (sizeof attribute_types / sizeof *attribute_types)

static nissl_status read_number_list(nissl__onnx_reader *r, const nissl__wire *wire,
                                     const nissl__wire_field *field, bool is_float, size_t *at,
                                     void *out)
{
    nissl__wire packed;
    if (is_float) {
        uint32_t bits = (uint32_t)field->value;
        const void *from = field->type == NISSL__WIRE_BYTES ? (const void *)field->bytes : &bits;
        size_t bytes = field->type == NISSL__WIRE_BYTES ? field->size : sizeof bits;
        memcpy((float *)out + *at, from, bytes);
        *at += bytes / sizeof(float);
        return NISSL_OK;
    }
    if (field->type != NISSL__WIRE_BYTES) {
        ((int64_t *)out)[(*at)++] = (int64_t)field->value;
        return NISSL_OK;
    }
    packed = nissl__wire_inside(wire, field);
    while (packed.at < packed.end) {
        uint64_t value;
        TRY(nissl__wire_varint(&packed, &value, r->err));
        ((int64_t *)out)[(*at)++] = (int64_t)value;
    }
    return NISSL_OK;
}

/* floats and ints: all elements of all occurrences. */
static nissl_status read_numbers(nissl__onnx_reader *r, nissl__wire wire, size_t type,
                                 nissl__onnx_attribute *out)
{
    bool is_float = attribute_types[type].kind == NISSL__ONNX_FLOATS;
    size_t n = 0, at = 0;
    void *memory = NULL;
    for (nissl__wire w = wire; w.at < w.end;) {
        nissl__wire_field field;
        size_t more = 0;
        TRY(nissl__wire_next(&w, &field, r->err));
        if (field.number == attribute_types[type].field)
            TRY(nissl__wire_scalars(&w, &field, is_float ? NISSL__WIRE_FIXED32 : NISSL__WIRE_VARINT,
                                    attribute_types[type].name, &more, r->err));
        n += more;
    }
    TRY(nissl__onnx_take(r, n, is_float ? sizeof(float) : sizeof(int64_t), &memory));
    while (wire.at < wire.end) {
        nissl__wire_field field;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number == attribute_types[type].field)
            TRY(read_number_list(r, &wire, &field, is_float, &at, memory));
    }
    out->n = n;
    if (is_float)
        out->floats = memory;
    else
        out->ints = memory;
    return NISSL_OK;
}

/* strings, tensors or graphs; also the one t or g. */
static nissl_status read_objects(nissl__onnx_reader *r, nissl__wire wire, size_t type, size_t n,
                                 int depth, nissl__onnx_attribute *out)
{
    nissl__onnx_attribute_kind kind = attribute_types[type].kind;
    bool is_tensor = kind == NISSL__ONNX_TENSOR || kind == NISSL__ONNX_TENSORS;
    size_t at = 0, size = kind == NISSL__ONNX_STRINGS ? sizeof(const char *)
                          : is_tensor                 ? sizeof(nissl__onnx_tensor)
                                                      : sizeof(nissl__onnx_graph);
    void *memory = NULL;
    TRY(nissl__onnx_take(r, n, size, &memory));
    while (wire.at < wire.end) {
        nissl__wire_field field;
        nissl__wire inside;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number != attribute_types[type].field)
            continue;
        if (kind == NISSL__ONNX_STRINGS) {
            TRY(read_c_string(r, &wire, &field, attribute_types[type].name,
                              (const char **)memory + at++));
            continue;
        }
        TRY(enter(r, &wire, &field, attribute_types[type].name, depth, &inside));
        if (is_tensor)
            TRY(nissl__onnx_read_tensor(r, inside, (nissl__onnx_tensor *)memory + at++));
        else
            TRY(read_graph(r, inside, depth + 1, (nissl__onnx_graph *)memory + at++));
    }
    out->n = n;
    if (kind == NISSL__ONNX_STRINGS)
        out->strings = memory;
    else if (is_tensor)
        out->tensor = memory;
    else
        out->graph = memory;
    return NISSL_OK;
}

/* f, i or s: the last occurrence counts, none is zero. */
static nissl_status read_single(nissl__onnx_reader *r, nissl__wire wire, size_t type,
                                nissl__onnx_attribute *out)
{
    while (wire.at < wire.end) {
        nissl__wire_field field;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number != attribute_types[type].field)
            continue;
        if (attribute_types[type].kind == NISSL__ONNX_FLOAT) {
            uint32_t bits = (uint32_t)field.value;
            TRY(nissl__wire_expect(&wire, &field, NISSL__WIRE_FIXED32, "attribute f", r->err));
            memcpy(&out->f, &bits, sizeof out->f);
        } else if (attribute_types[type].kind == NISSL__ONNX_INT) {
            TRY(read_integer(r, &wire, &field, "attribute i", &out->i));
        } else {
            TRY(nissl__wire_expect(&wire, &field, NISSL__WIRE_BYTES, "attribute s", r->err));
            TRY(copy_bytes(r, &field, &out->s));
            out->n = field.size;
        }
    }
    return NISSL_OK;
}

/* The name, the reference and the type, which IR version 1 leaves to be inferred. */
static nissl_status read_attribute_head(nissl__onnx_reader *r, nissl__wire wire,
                                        const size_t counts[NISSL__WIRE_COUNTS], size_t *type,
                                        nissl__onnx_attribute *out)
{
    uint64_t said = 0;
    out->name = out->reference = "";
    out->s = "";
    while (wire.at < wire.end) {
        nissl__wire_field field;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number == 1) {
            TRY(nissl__onnx_read_text(r, &wire, &field, "attribute name", &out->name));
        } else if (field.number == 21) {
            TRY(nissl__onnx_read_text(r, &wire, &field, "ref_attr_name", &out->reference));
        } else if (field.number == 20) {
            TRY(nissl__wire_expect(&wire, &field, NISSL__WIRE_VARINT, "attribute type", r->err));
            said = field.value;
        }
    }
    *type = said < N_ATTRIBUTE_TYPES ? (size_t)said : 0;
    for (size_t i = 1; i < N_ATTRIBUTE_TYPES && said == 0; i++)
        if (counts[attribute_types[i].field])
            said = *type = i;
    out->kind = attribute_types[*type].kind;
    return NISSL_OK;
}

static nissl_status read_attribute(nissl__onnx_reader *r, nissl__wire wire, int depth,
                                   nissl__onnx_attribute *out)
{
    size_t counts[NISSL__WIRE_COUNTS], type = 0, n;
    TRY(nissl__wire_count(wire, counts, r->err));
    TRY(read_attribute_head(r, wire, counts, &type, out));
    n = counts[attribute_types[type].field];
    if (*out->reference)
        return NISSL_OK;
    switch (out->kind) {
    case NISSL__ONNX_FLOAT:
    case NISSL__ONNX_INT:
    case NISSL__ONNX_STRING: return read_single(r, wire, type, out);
    case NISSL__ONNX_FLOATS:
    case NISSL__ONNX_INTS: return read_numbers(r, wire, type, out);
    case NISSL__ONNX_TENSOR:
    case NISSL__ONNX_GRAPH:
        if (n != 1)
            return NISSL__ONNX_FAIL(r, &wire, wire.at, NISSL_ERR_FORMAT,
                                    "%s of \"%.100s\" occurs %zu times where 1 belongs",
                                    attribute_types[type].name, out->name, n);
        return read_objects(r, wire, type, n, depth, out);
    case NISSL__ONNX_STRINGS:
    case NISSL__ONNX_TENSORS:
    case NISSL__ONNX_GRAPHS: return read_objects(r, wire, type, n, depth, out);
    default: return NISSL_OK;
    }
}

static nissl_status read_node(nissl__onnx_reader *r, nissl__wire wire, int depth,
                              nissl__onnx_node *out)
{
    size_t counts[NISSL__WIRE_COUNTS];
    nissl__wire start = wire;
    void *inputs = NULL, *outputs = NULL, *attributes = NULL;
    out->name = out->op = out->domain = "";
    TRY(nissl__wire_count(wire, counts, r->err));
    TRY(nissl__onnx_take(r, counts[1], sizeof(const char *), &inputs));
    TRY(nissl__onnx_take(r, counts[2], sizeof(const char *), &outputs));
    TRY(nissl__onnx_take(r, counts[5], sizeof(nissl__onnx_attribute), &attributes));
    while (wire.at < wire.end) {
        nissl__wire_field field;
        nissl__wire inside;
        TRY(nissl__wire_next(&wire, &field, r->err));
        switch (field.number) {
        case 1:
            TRY(nissl__onnx_read_text(r, &wire, &field, "node input",
                                      (const char **)inputs + out->n_inputs++));
            break;
        case 2:
            TRY(nissl__onnx_read_text(r, &wire, &field, "node output",
                                      (const char **)outputs + out->n_outputs++));
            break;
        case 3: TRY(nissl__onnx_read_text(r, &wire, &field, "node name", &out->name)); break;
        case 4: TRY(nissl__onnx_read_text(r, &wire, &field, "op_type", &out->op)); break;
        case 5:
            TRY(enter(r, &wire, &field, "attribute", depth, &inside));
            TRY(read_attribute(r, inside, depth + 1,
                               (nissl__onnx_attribute *)attributes + out->n_attributes++));
            break;
        case 7: TRY(read_domain(r, &wire, &field, &out->domain)); break;
        default: break;
        }
    }
    out->inputs = inputs;
    out->outputs = outputs;
    out->attributes = attributes;
    if (!*out->op)
        return NISSL__ONNX_FAIL(r, &start, start.at, NISSL_ERR_FORMAT,
                                "node \"%.100s\" has no op_type", out->name);
    return NISSL_OK;
}

/* ---- graphs and functions ---- */

static nissl_status fail_sparse(nissl__onnx_reader *r, const nissl__wire *wire,
                                const nissl__wire_field *field)
{
    const char *name = "";
    nissl__wire sparse, values;
    TRY(nissl__wire_expect(wire, field, NISSL__WIRE_BYTES, "sparse_initializer", r->err));
    sparse = nissl__wire_inside(wire, field);
    while (sparse.at < sparse.end) {
        nissl__wire_field f;
        TRY(nissl__wire_next(&sparse, &f, r->err));
        if (f.number != 1 || f.type != NISSL__WIRE_BYTES)
            continue;
        values = nissl__wire_inside(&sparse, &f);
        while (values.at < values.end) {
            TRY(nissl__wire_next(&values, &f, r->err));
            if (f.number == 8)
                TRY(nissl__onnx_read_text(r, &values, &f, "tensor name", &name));
        }
    }
    return NISSL__ONNX_FAIL(r, wire, field->start, NISSL_ERR_UNSUPPORTED,
                            "sparse initializer \"%.100s\"; dense ones are read", name);
}

static nissl_status read_graph(nissl__onnx_reader *r, nissl__wire wire, int depth,
                               nissl__onnx_graph *out)
{
    size_t counts[NISSL__WIRE_COUNTS];
    void *nodes = NULL, *tensors = NULL, *inputs = NULL, *outputs = NULL, *values = NULL;
    out->name = "";
    TRY(nissl__wire_count(wire, counts, r->err));
    TRY(nissl__onnx_take(r, counts[1], sizeof(nissl__onnx_node), &nodes));
    TRY(nissl__onnx_take(r, counts[5], sizeof(nissl__onnx_tensor), &tensors));
    TRY(nissl__onnx_take(r, counts[11], sizeof(nissl__onnx_value), &inputs));
    TRY(nissl__onnx_take(r, counts[12], sizeof(nissl__onnx_value), &outputs));
    TRY(nissl__onnx_take(r, counts[13], sizeof(nissl__onnx_value), &values));
    while (wire.at < wire.end) {
        nissl__wire_field field;
        nissl__wire inside;
        TRY(nissl__wire_next(&wire, &field, r->err));
        switch (field.number) {
        case 1:
            TRY(enter(r, &wire, &field, "node", depth, &inside));
            TRY(read_node(r, inside, depth + 1, (nissl__onnx_node *)nodes + out->n_nodes++));
            break;
        case 2: TRY(nissl__onnx_read_text(r, &wire, &field, "graph name", &out->name)); break;
        case 5:
            TRY(enter(r, &wire, &field, "initializer", depth, &inside));
            TRY(nissl__onnx_read_tensor(r, inside,
                                        (nissl__onnx_tensor *)tensors + out->n_initializers++));
            break;
        case 11:
            TRY(enter(r, &wire, &field, "graph input", depth, &inside));
            TRY(read_value(r, inside, depth + 1, (nissl__onnx_value *)inputs + out->n_inputs++));
            break;
        case 12:
            TRY(enter(r, &wire, &field, "graph output", depth, &inside));
            TRY(read_value(r, inside, depth + 1, (nissl__onnx_value *)outputs + out->n_outputs++));
            break;
        case 13:
            TRY(enter(r, &wire, &field, "value_info", depth, &inside));
            TRY(read_value(r, inside, depth + 1, (nissl__onnx_value *)values + out->n_values++));
            break;
        case 15: return fail_sparse(r, &wire, &field);
        default: break;
        }
    }
    out->nodes = nodes;
    out->initializers = tensors;
    out->inputs = inputs;
    out->outputs = outputs;
    out->values = values;
    return NISSL_OK;
}

static nissl_status read_opset(nissl__onnx_reader *r, nissl__wire wire, nissl__onnx_opset *out)
{
    out->domain = "";
    while (wire.at < wire.end) {
        nissl__wire_field field;
        TRY(nissl__wire_next(&wire, &field, r->err));
        if (field.number == 1)
            TRY(read_domain(r, &wire, &field, &out->domain));
        else if (field.number == 2)
            TRY(read_integer(r, &wire, &field, "opset version", &out->version));
    }
    return NISSL_OK;
}

static nissl_status read_function(nissl__onnx_reader *r, nissl__wire wire, int depth,
                                  nissl__onnx_function *out)
{
    size_t counts[NISSL__WIRE_COUNTS];
    void *inputs = NULL, *outputs = NULL, *nodes = NULL, *opsets = NULL;
    void *attributes = NULL, *defaults = NULL;
    out->name = out->domain = "";
    TRY(nissl__wire_count(wire, counts, r->err));
    TRY(nissl__onnx_take(r, counts[4], sizeof(const char *), &inputs));
    TRY(nissl__onnx_take(r, counts[5], sizeof(const char *), &outputs));
    TRY(nissl__onnx_take(r, counts[6], sizeof(const char *), &attributes));
    TRY(nissl__onnx_take(r, counts[7], sizeof(nissl__onnx_node), &nodes));
    TRY(nissl__onnx_take(r, counts[9], sizeof(nissl__onnx_opset), &opsets));
    TRY(nissl__onnx_take(r, counts[11], sizeof(nissl__onnx_attribute), &defaults));
    while (wire.at < wire.end) {
        nissl__wire_field field;
        nissl__wire inside;
        TRY(nissl__wire_next(&wire, &field, r->err));
        switch (field.number) {
        case 1: TRY(nissl__onnx_read_text(r, &wire, &field, "function name", &out->name)); break;
        case 4:
            TRY(nissl__onnx_read_text(r, &wire, &field, "function input",
                                      (const char **)inputs + out->n_inputs++));
            break;
        case 5:
            TRY(nissl__onnx_read_text(r, &wire, &field, "function output",
                                      (const char **)outputs + out->n_outputs++));
            break;
        case 6:
            TRY(nissl__onnx_read_text(r, &wire, &field, "function attribute",
                                      (const char **)attributes + out->n_attributes++));
            break;
        case 7:
            TRY(enter(r, &wire, &field, "function node", depth, &inside));
            TRY(read_node(r, inside, depth + 1, (nissl__onnx_node *)nodes + out->n_nodes++));
            break;
        case 9:
            TRY(enter(r, &wire, &field, "function opset_import", depth, &inside));
            TRY(read_opset(r, inside, (nissl__onnx_opset *)opsets + out->n_opsets++));
            break;
        case 10: TRY(read_domain(r, &wire, &field, &out->domain)); break;
        case 11:
            TRY(enter(r, &wire, &field, "function attribute_proto", depth, &inside));
            TRY(read_attribute(r, inside, depth + 1,
                               (nissl__onnx_attribute *)defaults + out->n_defaults++));
            break;
        default: break;
        }
    }
    out->inputs = inputs;
    out->outputs = outputs;
    out->nodes = nodes;
    out->opsets = opsets;
    out->attributes = attributes;
    out->defaults = defaults;
    return NISSL_OK;
}

/* ---- the model ---- */

static void choose_opset(nissl__onnx_model *model)
{
    model->opset = model->n_opsets == 0; /* IR versions 1 and 2 had no opset_import */
    for (size_t i = 0; i < model->n_opsets; i++)
        if (!*model->opsets[i].domain)
            model->opset = NISSL__MAX(model->opset, model->opsets[i].version);
}

static nissl_status read_model_field(nissl__onnx_reader *r, const nissl__wire *wire,
                                     const nissl__wire_field *field, nissl__onnx_opset *opsets,
                                     nissl__onnx_function *functions)
{
    nissl__onnx_model *model = &r->model;
    nissl__wire inside;
    switch (field->number) {
    case 1: return read_integer(r, wire, field, "ir_version", &model->ir_version);
    case 2: return nissl__onnx_read_text(r, wire, field, "producer_name", &model->producer_name);
    case 3:
        return nissl__onnx_read_text(r, wire, field, "producer_version", &model->producer_version);
    case 7:
        TRY(enter(r, wire, field, "graph", 1, &inside));
        return read_graph(r, inside, 2, &model->graph);
    case 8:
        TRY(enter(r, wire, field, "opset_import", 1, &inside));
        return read_opset(r, inside, opsets + model->n_opsets++);
    case 25:
        TRY(enter(r, wire, field, "function", 1, &inside));
        return read_function(r, inside, 2, functions + model->n_functions++);
    default: return NISSL_OK;
    }
}

static nissl_status read_model(nissl__onnx_reader *r, nissl__wire wire)
{
    nissl__onnx_model *model = &r->model;
    nissl__wire start = wire;
    size_t counts[NISSL__WIRE_COUNTS];
    void *opsets = NULL, *functions = NULL;
    model->producer_name = model->producer_version = "";
    if (wire.at == wire.end)
        return NISSL__ONNX_FAIL(r, &wire, wire.at, NISSL_ERR_FORMAT, "the file is empty");
    TRY(nissl__wire_count(wire, counts, r->err));
    if (!counts[7] || !counts[1])
        return NISSL__ONNX_FAIL(r, &wire, wire.end, NISSL_ERR_FORMAT,
                                "the file ends without %s, so it is not an ONNX model",
                                counts[7] ? "an ir_version" : "a graph");
    TRY(only_once(r, &wire, counts[7], "graph"));
    TRY(nissl__onnx_take(r, counts[8], sizeof(nissl__onnx_opset), &opsets));
    TRY(nissl__onnx_take(r, counts[25], sizeof(nissl__onnx_function), &functions));
    while (wire.at < wire.end) {
        nissl__wire_field field;
        TRY(nissl__wire_next(&wire, &field, r->err));
        TRY(read_model_field(r, &wire, &field, opsets, functions));
    }
    model->opsets = opsets;
    model->functions = functions;
    choose_opset(model);
    if (model->ir_version < 1)
        return NISSL__ONNX_FAIL(r, &start, start.at, NISSL_ERR_FORMAT,
                                "ir_version is %lld; the first was 1",
                                (long long)model->ir_version);
    return NISSL_OK;
}

/* What a file that is no ONNX model seems to be, or NULL. */
static const char *guess_content(const uint8_t *bytes, size_t size)
{
    static const char lfs[] = "version https://git-lfs";
    size_t n = NISSL__MIN(size, 256);
    if (size >= sizeof lfs - 1 && memcmp(bytes, lfs, sizeof lfs - 1) == 0)
        return "this is a Git LFS pointer, not the file itself";
    for (size_t i = 0; i < n; i++)
        if (bytes[i] == 0x7f || (bytes[i] < 0x20 && !strchr("\t\n\r", bytes[i])) || !bytes[i])
            return NULL;
    return n ? "this is a text file, not an ONNX model" : NULL;
}

static nissl_status read_bytes(nissl__onnx_reader *r, const void *bytes, size_t size)
{
    nissl_status status = read_model(r, nissl__wire_of(r->label, bytes, size));
    const char *guess = status == NISSL_ERR_FORMAT ? guess_content(bytes, size) : NULL;
    if (guess)
        status = NISSL__FAIL(r->err, NISSL_ERR_FORMAT, "%s: byte 0: %s", r->label, guess);
    return status;
}

static nissl_status make_reader(const char *label, uint64_t budget, nissl_error *err,
                                nissl__onnx_reader **out)
{
    nissl__onnx_reader *r = nissl__alloc(1, sizeof *r);
    size_t n = strlen(label), skip = n > LABEL_CHARS ? n - LABEL_CHARS : 0;
    nissl_status status;
    void *copy = NULL;
    if (!r)
        return NISSL__NO_MEMORY(err, sizeof *r);
    r->arena.budget = budget ? budget : DEFAULT_BUDGET;
    r->err = err;
    r->label = label;
    status = nissl__onnx_take(r, n - skip + 4, 1, &copy);
    if (status != NISSL_OK) {
        nissl__free(r);
        return status;
    }
    memcpy(copy, skip ? "..." : "", skip ? 3 : 0);
    memcpy((char *)copy + (skip ? 3 : 0), label + skip, n - skip);
    r->label = copy;
    r->model.owner = r;
    *out = r;
    return NISSL_OK;
}

nissl_status nissl__onnx_open(const char *path, uint64_t budget, nissl__onnx_model **out,
                              nissl_error *err)
{
    nissl__onnx_reader *r = NULL;
    nissl_status status = make_reader(path, budget, err, &r);
    if (status != NISSL_OK)
        return status;
    r->path = path;
    if ((status = nissl__map_file(path, &r->mapping, err)) != NISSL_OK)
        goto done;
    status = read_bytes(r, r->mapping.data, r->mapping.size);
done:
    r->path = NULL;
    r->err = NULL;
    if (status == NISSL_OK)
        *out = &r->model;
    else
        nissl__onnx_free(&r->model);
    return status;
}

nissl_status nissl__onnx_parse(const char *label, const void *bytes, size_t size, uint64_t budget,
                               nissl__onnx_model **out, nissl_error *err)
{
    nissl__onnx_reader *r = NULL;
    nissl_status status = make_reader(label, budget, err, &r);
    if (status != NISSL_OK)
        return status;
    status = read_bytes(r, bytes, size);
    r->err = NULL;
    if (status == NISSL_OK)
        *out = &r->model;
    else
        nissl__onnx_free(&r->model);
    return status;
}

void nissl__onnx_free(nissl__onnx_model *model)
{
    nissl__onnx_reader *r = model ? model->owner : NULL;
    if (!r)
        return;
    if (model->release) {
        model->release(model->owner);
        return;
    }
    nissl__onnx_unmap_external(r);
    nissl__unmap_file(&r->mapping);
    nissl__arena_free(&r->arena);
    nissl__free(r);
}

const nissl__onnx_attribute *nissl__onnx_find_attribute(const nissl__onnx_node *node,
                                                        const char *name)
{
    for (size_t i = 0; i < node->n_attributes; i++)
        if (strcmp(node->attributes[i].name, name) == 0)
            return &node->attributes[i];
    return NULL;
}
