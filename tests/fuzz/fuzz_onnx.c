/* The ONNX reader on hostile bytes; what it accepts is then read to its last byte. */
#include <string.h>

#include "formats/onnx.h"
#include "fuzz.h"

static volatile uint64_t sink; /* keeps the reading from being left out */

static void touch(const void *bytes, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((const uint8_t *)bytes)[i];
    sink = sum;
}

static void touch_texts(size_t n, const char *const *texts)
{
    for (size_t i = 0; i < n; i++)
        touch(texts[i], strlen(texts[i]));
}

static void touch_tensors(size_t n, const nissl__onnx_tensor *tensors)
{
    for (size_t i = 0; i < n; i++) {
        touch_texts(1, &tensors[i].name);
        touch(tensors[i].data, tensors[i].bytes);
    }
}

static void touch_values(size_t n, const nissl__onnx_value *values)
{
    for (size_t i = 0; i < n; i++) {
        touch_texts(1, &values[i].name);
        for (int k = 0; k < values[i].rank; k++)
            if (values[i].dim_names[k])
                touch_texts(1, &values[i].dim_names[k]);
    }
}

static void touch_graph(const nissl__onnx_graph *graph);

static void touch_attributes(size_t n, const nissl__onnx_attribute *attributes)
{
    for (size_t i = 0; i < n; i++) {
        const nissl__onnx_attribute *a = &attributes[i];
        touch_texts(1, &a->name);
        touch_texts(1, &a->reference);
        if (a->kind == NISSL__ONNX_STRING)
            touch(a->s, a->n + 1);
        if (a->floats)
            touch(a->floats, a->n * sizeof(float));
        if (a->ints)
            touch(a->ints, a->n * sizeof(int64_t));
        if (a->strings)
            touch_texts(a->n, a->strings);
        if (a->tensor)
            touch_tensors(a->n, a->tensor);
        for (size_t k = 0; a->graph && k < a->n; k++)
            touch_graph(&a->graph[k]);
    }
}

static void touch_nodes(size_t n, const nissl__onnx_node *nodes)
{
    for (size_t i = 0; i < n; i++) {
        touch_texts(1, &nodes[i].name);
        touch_texts(1, &nodes[i].op);
        touch_texts(1, &nodes[i].domain);
        touch_texts(nodes[i].n_inputs, nodes[i].inputs);
        touch_texts(nodes[i].n_outputs, nodes[i].outputs);
        touch_attributes(nodes[i].n_attributes, nodes[i].attributes);
    }
}

static void touch_graph(const nissl__onnx_graph *graph)
{
    touch_texts(1, &graph->name);
    touch_nodes(graph->n_nodes, graph->nodes);
    touch_tensors(graph->n_initializers, graph->initializers);
    touch_values(graph->n_inputs, graph->inputs);
    touch_values(graph->n_outputs, graph->outputs);
    touch_values(graph->n_values, graph->values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl__onnx_model *model = NULL;
    nissl_error error = {0};
    if (nissl__onnx_parse("fuzz", data, size, (uint64_t)64 << 20, &model, &error) != NISSL_OK)
        return 0;
    for (size_t i = 0; i < model->n_opsets; i++)
        touch_texts(1, &model->opsets[i].domain);
    for (size_t i = 0; i < model->n_functions; i++) {
        const nissl__onnx_function *f = &model->functions[i];
        touch_texts(f->n_inputs, f->inputs);
        touch_texts(f->n_outputs, f->outputs);
        touch_texts(f->n_attributes, f->attributes);
        touch_nodes(f->n_nodes, f->nodes);
        touch_attributes(f->n_defaults, f->defaults);
    }
    touch_graph(&model->graph);
    nissl__onnx_free(model);
    return 0;
}
