#include "conformance/reason.h"

#include <stdio.h>
#include <string.h>

#include "foundation/foundation.h"
#include "network/program.h"

const char *reason_text(reason why)
{
    static const char *const texts[N_REASONS] = {
        "",
        "operator not supported",
        "operator of another domain",
        "string values",
        "sequence, optional or map values",
        "type not supported",
        "form not supported, or a shape that depends on data",
    };
    return texts[why];
}

/* ---- types ---- */

/* The one varint or length-delimited field at the start of a TypeProto: its number and content. */
static int first_field(const uint8_t *bytes, size_t n, const uint8_t **inside, size_t *n_inside)
{
    if (n < 2)
        return 0;
    *inside = bytes + 2;
    *n_inside = bytes[1] < 128 ? NISSL__MIN((size_t)bytes[1], n - 2) : n - 2;
    return bytes[0] >> 3;
}

/* What a value without a nissl_type is: a tensor of strings, of numbers unknown to us, or none. */
static reason foreign(const nissl__onnx_value *value)
{
    const uint8_t *inside;
    size_t n;
    if (value->has_type || !value->foreign_type)
        return REASON_NONE;
    if (first_field(value->foreign_type, value->foreign_bytes, &inside, &n) != 1)
        return REASON_SEQUENCE;
    /* TypeProto.Tensor: elem_type = 1 */
    return n >= 2 && inside[0] == 8 && inside[1] == 8 ? REASON_STRINGS : REASON_TYPE;
}

static reason foreign_values(size_t n, const nissl__onnx_value *values, char *text, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        reason why = foreign(&values[i]);
        if (why == REASON_NONE)
            continue;
        snprintf(text, size, "value %s", values[i].name);
        return why;
    }
    return REASON_NONE;
}

static bool computed(nissl_type type)
{
    return type == NISSL_FLOAT32 || type == NISSL_FLOAT64 || type == NISSL_FLOAT16 ||
           type == NISSL_INT32 || type == NISSL_INT64 || type == NISSL_BOOL;
}

static bool foreign_node(const nissl__onnx_node *node)
{
    for (size_t i = 0; i < node->n_attributes; i++) {
        const nissl__onnx_attribute *a = &node->attributes[i];
        bool type_code = strcmp(a->name, "to") == 0 || strcmp(a->name, "dtype") == 0;
        if (a->kind == NISSL__ONNX_INT && type_code) {
            bool known = false;
            static const int codes[] = {1, 6, 7, 9, 10, 11}; /* TensorProto.DataType */
            for (size_t j = 0; j < sizeof codes / sizeof *codes; j++)
                known |= a->i == codes[j];
            if (!known)
                return true;
        }
        if (a->kind == NISSL__ONNX_TENSOR && !computed(a->tensor->type))
            return true;
    }
    return false;
}

bool reason_foreign_type(const nissl__onnx_model *model)
{
    const nissl__onnx_graph *g = &model->graph;
    for (size_t i = 0; i < g->n_inputs; i++)
        if (!computed(g->inputs[i].type))
            return true;
    for (size_t i = 0; i < g->n_outputs; i++)
        if (!computed(g->outputs[i].type))
            return true;
    for (size_t i = 0; i < g->n_initializers; i++)
        if (!computed(g->initializers[i].type))
            return true;
    for (size_t i = 0; i < g->n_nodes; i++)
        if (foreign_node(&g->nodes[i]))
            return true;
    return false;
}

/* ---- operators ---- */

static bool is_function(const nissl__onnx_model *model, const nissl__onnx_node *node)
{
    for (size_t i = 0; i < model->n_functions; i++)
        if (strcmp(model->functions[i].name, node->op) == 0 &&
            strcmp(model->functions[i].domain, node->domain) == 0)
            return true;
    return false;
}

static reason unknown_nodes(const nissl__onnx_model *model, size_t n, const nissl__onnx_node *nodes,
                            char *text, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        const nissl__onnx_node *node = &nodes[i];
        bool control = !node->domain[0] && /* resolved when a file is opened */
                       (strcmp(node->op, "If") == 0 || strcmp(node->op, "Loop") == 0);
        if (!control && !is_function(model, node) &&
            !nissl__operator_find(node->domain, node->op)) {
            snprintf(text, size, "%s%s%s", node->domain, node->domain[0] ? "." : "", node->op);
            return node->domain[0] ? REASON_DOMAIN : REASON_OPERATOR;
        }
        for (size_t j = 0; j < node->n_attributes; j++) {
            const nissl__onnx_attribute *a = &node->attributes[j];
            if (a->kind == NISSL__ONNX_GRAPH) {
                reason why = unknown_nodes(model, a->graph->n_nodes, a->graph->nodes, text, size);
                if (why != REASON_NONE)
                    return why;
            }
        }
    }
    return REASON_NONE;
}

reason reason_to_skip(const nissl__onnx_model *model, char *text, size_t size)
{
    const nissl__onnx_graph *g = &model->graph;
    reason why = foreign_values(g->n_inputs, g->inputs, text, size);
    if (why == REASON_NONE)
        why = foreign_values(g->n_outputs, g->outputs, text, size);
    if (why == REASON_NONE)
        why = unknown_nodes(model, g->n_nodes, g->nodes, text, size);
    for (size_t i = 0; i < model->n_functions && why == REASON_NONE; i++)
        why = unknown_nodes(model, model->functions[i].n_nodes, model->functions[i].nodes, text,
                            size);
    return why;
}
