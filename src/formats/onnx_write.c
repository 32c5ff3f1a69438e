/*
 * Writing ONNX files.
 *
 * Every message is emitted into a sink that counts, or counts and writes: the length in front of a
 * nested message comes from emitting it into a counting sink first.
 */
#include <errno.h>

#include "foundation/foundation.h"
#include "formats/onnx_read.h"

#define MAX_BYTES ((uint64_t)INT32_MAX) /* protobuf's limit for one message */

typedef struct sink {
    FILE *file; /* NULL: only count */
    uint64_t bytes;
    int code;            /* errno of the first failed write */
    nissl_status status; /* the first thing that cannot be written */
    nissl_error *err;
} sink;

typedef void (*emit_fn)(sink *s, const void *object);

static void put(sink *s, const void *bytes, size_t n)
{
    s->bytes += n;
    if (s->file && n && s->code == 0 && fwrite(bytes, 1, n, s->file) != n)
        s->code = errno ? errno : EIO;
}

static void put_varint(sink *s, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        n++;
    } while (value);
    put(s, bytes, n);
}

static void put_tag(sink *s, uint32_t field, nissl__wire_type type)
{
    put_varint(s, (uint64_t)field << 3 | (uint64_t)type);
}

static void put_int(sink *s, uint32_t field, int64_t value)
{
    put_tag(s, field, NISSL__WIRE_VARINT);
    put_varint(s, (uint64_t)value);
}

static void put_float(sink *s, uint32_t field, float value)
{
    put_tag(s, field, NISSL__WIRE_FIXED32);
    put(s, &value, sizeof value);
}

static void put_bytes(sink *s, uint32_t field, const void *bytes, size_t n)
{
    put_tag(s, field, NISSL__WIRE_BYTES);
    put_varint(s, n);
    put(s, bytes, n);
}

static void put_string(sink *s, uint32_t field, const char *text)
{
    put_bytes(s, field, text ? text : "", text ? strlen(text) : 0);
}

/* Left out when it is empty, as its absence means the same. */
static void put_text(sink *s, uint32_t field, const char *text)
{
    if (text && *text)
        put_string(s, field, text);
}

static void put_message(sink *s, uint32_t field, emit_fn emit, const void *object)
{
    sink count = {.status = s->status, .err = s->err};
    emit(&count, object);
    s->status = count.status;
    put_tag(s, field, NISSL__WIRE_BYTES);
    put_varint(s, count.bytes);
    if (s->file)
        emit(s, object);
    else
        s->bytes += count.bytes;
}

/* ---- messages: field numbers of onnx.proto ---- */

static void emit_tensor(sink *s, const void *object)
{
    const nissl__onnx_tensor *tensor = object;
    const char *name = tensor->name ? tensor->name : "";
    int64_t bytes = (int64_t)nissl_type_size(tensor->type);
    bool fits = bytes > 0 && tensor->rank >= 0 && tensor->rank <= NISSL_MAX_RANK;
    for (int i = 0; fits && i < tensor->rank; i++)
        fits = nissl__mul(bytes, tensor->shape[i], &bytes);
    if (s->status == NISSL_OK && !fits)
        s->status = NISSL__FAIL(s->err, NISSL_ERR_ARGUMENT,
                                "tensor \"%.100s\" has no writable type or shape (rank %d)", name,
                                tensor->rank);
    else if (s->status == NISSL_OK && (uint64_t)bytes != tensor->bytes)
        s->status = NISSL__FAIL(s->err, NISSL_ERR_ARGUMENT,
                                "tensor \"%.100s\" has %zu bytes, but its shape needs %lld", name,
                                tensor->bytes, (long long)bytes);
    if (s->status != NISSL_OK)
        return;
    for (int i = 0; i < tensor->rank; i++)
        put_int(s, 1, tensor->shape[i]);
    put_int(s, 2, nissl__onnx_type_code(tensor->type));
    put_text(s, 8, name);
    put_bytes(s, 9, tensor->data, tensor->bytes);
}

typedef struct dimension {
    int64_t size;
    const char *name;
} dimension;

static void emit_dimension(sink *s, const void *object)
{
    const dimension *dim = object;
    if (dim->name && *dim->name)
        put_string(s, 2, dim->name);
    else if (dim->size >= 0)
        put_int(s, 1, dim->size);
}

static void emit_shape(sink *s, const void *object)
{
    const nissl__onnx_value *value = object;
    for (int i = 0; i < value->rank; i++) {
        dimension dim = {value->shape[i], value->dim_names[i]};
        put_message(s, 1, emit_dimension, &dim);
    }
}

static void emit_tensor_type(sink *s, const void *object)
{
    const nissl__onnx_value *value = object;
    put_int(s, 1, nissl__onnx_type_code(value->type));
    if (value->has_shape)
        put_message(s, 2, emit_shape, value);
}

static void emit_type(sink *s, const void *object)
{
    put_message(s, 1, emit_tensor_type, object);
}

static void emit_value(sink *s, const void *object)
{
    const nissl__onnx_value *value = object;
    put_text(s, 1, value->name);
    if (value->has_type)
        put_message(s, 2, emit_type, value);
    else if (value->foreign_bytes)
        put_bytes(s, 2, value->foreign_type, value->foreign_bytes);
}

static void emit_graph(sink *s, const void *object);

static void emit_attribute(sink *s, const void *object)
{
    /* By nissl__onnx_attribute_kind: AttributeProto.AttributeType and the field of the value. */
    static const struct {
        int64_t type;
        uint32_t field;
    } kinds[] = {
        [NISSL__ONNX_FLOAT] = {1, 2},    [NISSL__ONNX_INT] = {2, 3},
        [NISSL__ONNX_STRING] = {3, 4},   [NISSL__ONNX_TENSOR] = {4, 5},
        [NISSL__ONNX_GRAPH] = {5, 6},    [NISSL__ONNX_FLOATS] = {6, 7},
        [NISSL__ONNX_INTS] = {7, 8},     [NISSL__ONNX_STRINGS] = {8, 9},
        [NISSL__ONNX_TENSORS] = {9, 10}, [NISSL__ONNX_GRAPHS] = {10, 11},
        [NISSL__ONNX_OTHER] = {0, 0},
    };
    const nissl__onnx_attribute *a = object;
    uint32_t field;
    if (s->status != NISSL_OK)
        return;
    if ((unsigned)a->kind >= NISSL__ONNX_OTHER) {
        s->status = NISSL__FAIL(s->err, NISSL_ERR_UNSUPPORTED,
                                "attribute \"%.100s\" is of a kind that cannot be written",
                                a->name ? a->name : "");
        return;
    }
    field = kinds[a->kind].field;
    put_text(s, 1, a->name);
    if (a->reference && *a->reference) {
        put_int(s, 20, kinds[a->kind].type);
        put_string(s, 21, a->reference);
        return;
    }
    switch (a->kind) {
    case NISSL__ONNX_FLOAT: put_float(s, field, a->f); break;
    case NISSL__ONNX_INT: put_int(s, field, a->i); break;
    case NISSL__ONNX_STRING: put_bytes(s, field, a->s, a->n); break;
    case NISSL__ONNX_TENSOR: put_message(s, field, emit_tensor, a->tensor); break;
    case NISSL__ONNX_GRAPH: put_message(s, field, emit_graph, a->graph); break;
    default: break;
    }
    for (size_t i = 0; i < a->n; i++) {
        switch (a->kind) {
        case NISSL__ONNX_FLOATS: put_float(s, field, a->floats[i]); break;
        case NISSL__ONNX_INTS: put_int(s, field, a->ints[i]); break;
        case NISSL__ONNX_STRINGS: put_string(s, field, a->strings[i]); break;
        case NISSL__ONNX_TENSORS: put_message(s, field, emit_tensor, &a->tensor[i]); break;
        case NISSL__ONNX_GRAPHS: put_message(s, field, emit_graph, &a->graph[i]); break;
        default: break;
        }
    }
    put_int(s, 20, kinds[a->kind].type);
}

static void emit_node(sink *s, const void *object)
{
    const nissl__onnx_node *node = object;
    for (size_t i = 0; i < node->n_inputs; i++)
        put_string(s, 1, node->inputs[i]);
    for (size_t i = 0; i < node->n_outputs; i++)
        put_string(s, 2, node->outputs[i]);
    put_text(s, 3, node->name);
    put_text(s, 4, node->op);
    for (size_t i = 0; i < node->n_attributes; i++)
        put_message(s, 5, emit_attribute, &node->attributes[i]);
    put_text(s, 7, node->domain);
}

static void emit_graph(sink *s, const void *object)
{
    const nissl__onnx_graph *graph = object;
    for (size_t i = 0; i < graph->n_nodes; i++)
        put_message(s, 1, emit_node, &graph->nodes[i]);
    put_text(s, 2, graph->name);
    for (size_t i = 0; i < graph->n_initializers; i++)
        put_message(s, 5, emit_tensor, &graph->initializers[i]);
    for (size_t i = 0; i < graph->n_inputs; i++)
        put_message(s, 11, emit_value, &graph->inputs[i]);
    for (size_t i = 0; i < graph->n_outputs; i++)
        put_message(s, 12, emit_value, &graph->outputs[i]);
    for (size_t i = 0; i < graph->n_values; i++)
        put_message(s, 13, emit_value, &graph->values[i]);
}

static void emit_opset(sink *s, const void *object)
{
    const nissl__onnx_opset *opset = object;
    put_text(s, 1, opset->domain);
    put_int(s, 2, opset->version);
}

static void emit_function(sink *s, const void *object)
{
    const nissl__onnx_function *function = object;
    put_text(s, 1, function->name);
    for (size_t i = 0; i < function->n_inputs; i++)
        put_string(s, 4, function->inputs[i]);
    for (size_t i = 0; i < function->n_outputs; i++)
        put_string(s, 5, function->outputs[i]);
    for (size_t i = 0; i < function->n_attributes; i++)
        put_string(s, 6, function->attributes[i]);
    for (size_t i = 0; i < function->n_nodes; i++)
        put_message(s, 7, emit_node, &function->nodes[i]);
    for (size_t i = 0; i < function->n_opsets; i++)
        put_message(s, 9, emit_opset, &function->opsets[i]);
    put_text(s, 10, function->domain);
    for (size_t i = 0; i < function->n_defaults; i++)
        put_message(s, 11, emit_attribute, &function->defaults[i]);
}

static void emit_model(sink *s, const void *object)
{
    const nissl__onnx_model *model = object;
    nissl__onnx_opset opset = {"", model->opset};
    put_int(s, 1, model->ir_version);
    put_text(s, 2, model->producer_name);
    put_text(s, 3, model->producer_version);
    put_message(s, 7, emit_graph, &model->graph);
    for (size_t i = 0; i < model->n_opsets; i++)
        put_message(s, 8, emit_opset, &model->opsets[i]);
    if (model->n_opsets == 0 && model->ir_version >= 3) /* opset_import came with version 3 */
        put_message(s, 8, emit_opset, &opset);
    for (size_t i = 0; i < model->n_functions; i++)
        put_message(s, 25, emit_function, &model->functions[i]);
}

nissl_status nissl__onnx_write(const nissl__onnx_model *model, const char *path, nissl_error *err)
{
    nissl_status status;
    nissl__replacement replacement = {0};
    sink s = {.err = err};
    if (model->ir_version < 1)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%s: ir_version %lld cannot be written", path,
                           (long long)model->ir_version);
    emit_model(&s, model);
    if (s.status != NISSL_OK) {
        nissl__error_prefix(err, "%s", path);
        return s.status;
    }
    if (s.bytes > MAX_BYTES)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT,
                           "%s: the model needs %llu bytes; one ONNX file holds at most %llu", path,
                           (unsigned long long)s.bytes, (unsigned long long)MAX_BYTES);
    if ((status = nissl__replace_begin(path, &replacement, err)) != NISSL_OK)
        return status;
    s = (sink){.file = replacement.file, .err = err};
    emit_model(&s, model);
    if (s.code == 0)
        return nissl__replace_commit(&replacement, err);
    status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: writing failed: %s", path, strerror(s.code));
    nissl__replace_cancel(&replacement);
    return status;
}
