/* A network of one node, made in memory, run on given arrays: what tests of operators need. */
#ifndef NISSL__GRAPH_OF_ONE_H
#define NISSL__GRAPH_OF_ONE_H

#include "foundation/foundation.h"
#include "formats/onnx.h"
#include "network/graph.h"
#include "nissl/network.h"

#define ONE_MOST 6

/* A node under test: outputs o0, o1, .. of inputs i0, i1, .. */
typedef struct one {
    const char *op;
    int64_t opset; /* 0 = 18 */
    size_t n_inputs, n_outputs, n_attributes;
    nissl_view inputs[ONE_MOST];
    bool known[ONE_MOST]; /* bound when compiled */
    nissl__onnx_attribute attributes[ONE_MOST];
    nissl_array outputs[ONE_MOST]; /* made by one_run */
    double run_bytes;
} one;

static inline nissl_view one_view(void *data, nissl_type type, int rank, const int64_t *shape)
{
    return nissl_view_of(data, type, rank, shape);
}

static inline void one_int(one *o, const char *name, int64_t value)
{
    o->attributes[o->n_attributes++] =
        (nissl__onnx_attribute){.name = name, .reference = "", .kind = NISSL__ONNX_INT, .i = value};
}

static inline void one_string(one *o, const char *name, const char *value)
{
    o->attributes[o->n_attributes++] = (nissl__onnx_attribute){
        .name = name, .reference = "", .kind = NISSL__ONNX_STRING, .s = value, .n = strlen(value)};
}

static inline void one_ints(one *o, const char *name, const int64_t *values, size_t n)
{
    o->attributes[o->n_attributes++] = (nissl__onnx_attribute){
        .name = name, .reference = "", .kind = NISSL__ONNX_INTS, .ints = values, .n = n};
}

static inline void one_free(one *o)
{
    for (size_t i = 0; i < o->n_outputs; i++)
        nissl_array_free(&o->outputs[i]);
}

/* Compiles and runs it; row-major copies of the outputs in o->outputs. */
static inline nissl_status one_run(one *o, nissl_error *err)
{
    static const char *const in_names[ONE_MOST] = {"i0", "i1", "i2", "i3", "i4", "i5"};
    static const char *const out_names[ONE_MOST] = {"o0", "o1", "o2", "o3", "o4", "o5"};
    nissl_context *ctx = NULL;
    nissl_network *network = NULL;
    nissl_program *program = NULL;
    nissl_run *run = NULL;
    nissl__onnx_value ins[ONE_MOST] = {{0}}, outs[ONE_MOST] = {{0}};
    nissl_binding bindings[ONE_MOST];
    nissl_program_options opt = nissl_program_options_default();
    nissl__onnx_node node = {.name = "node",
                             .op = o->op,
                             .domain = "",
                             .n_inputs = o->n_inputs,
                             .n_outputs = o->n_outputs,
                             .n_attributes = o->n_attributes,
                             .inputs = in_names,
                             .outputs = out_names,
                             .attributes = o->attributes};
    nissl__onnx_model model = {.ir_version = 8,
                               .opset = o->opset ? o->opset : 18,
                               .producer_name = "",
                               .producer_version = ""};
    nissl_status status;
    for (size_t i = 0; i < o->n_inputs; i++) {
        ins[i] = (nissl__onnx_value){.name = in_names[i],
                                     .has_type = true,
                                     .has_shape = true,
                                     .type = o->inputs[i].type,
                                     .rank = o->inputs[i].rank};
        memcpy(ins[i].shape, o->inputs[i].shape, sizeof ins[i].shape);
        if (o->known[i])
            bindings[opt.n_bindings++] = (nissl_binding){in_names[i], o->inputs[i]};
    }
    for (size_t i = 0; i < o->n_outputs; i++)
        outs[i] = (nissl__onnx_value){.name = out_names[i]};
    model.graph = (nissl__onnx_graph){.name = "one",
                                      .n_nodes = 1,
                                      .nodes = &node,
                                      .n_inputs = o->n_inputs,
                                      .inputs = ins,
                                      .n_outputs = o->n_outputs,
                                      .outputs = outs};
    opt.exact = true;
    opt.bindings = bindings;
    if ((status = nissl_context_new(NULL, &ctx, err)) != NISSL_OK ||
        (status = nissl__network_of_model(ctx, &model, "test", "memory", 0, &network, err)) !=
            NISSL_OK ||
        (status = nissl_program_compile(ctx, network, &opt, &program, err)) != NISSL_OK ||
        (status = nissl_run_new(program, &run, err)) != NISSL_OK ||
        (status = nissl_run_forward(run, o->inputs, o->n_inputs, NULL, NULL, err)) != NISSL_OK)
        goto done;
    o->run_bytes = (double)nissl_program_run_bytes(program);
    for (size_t i = 0; i < o->n_outputs && status == NISSL_OK; i++) {
        nissl_view view;
        if ((status = nissl_run_output(run, i, &view, err)) != NISSL_OK ||
            (status = nissl_array_new(view.type, view.rank, view.shape, &o->outputs[i], err)) !=
                NISSL_OK)
            break;
        status = nissl_view_copy(&view, view.type, o->outputs[i].data, err);
    }
done:
    nissl_run_free(run);
    nissl_program_free(program);
    nissl_network_free(network);
    nissl_context_free(ctx);
    return status;
}

#endif
