/*
 * ONNX files that are right: shared models against counts of the onnx package
 * (oracles/check_onnx.py, onnx 1.23.2), every form of tensor data, every attribute kind, writing
 * and reading back, a full disk, and each allocation failing.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "formats/onnx.h"
#include "foundation/foundation.h"
#include "wire_bytes.h"

/* ---- equality ---- */

static void same_text(const char *a, const char *b)
{
    assert_string_equal(a ? a : "", b ? b : "");
}

static void same_texts(size_t n, const char *const *a, const char *const *b)
{
    for (size_t i = 0; i < n; i++)
        same_text(a[i], b[i]);
}

static void same_tensor(const nissl__onnx_tensor *a, const nissl__onnx_tensor *b)
{
    same_text(a->name, b->name);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->shape, b->shape, sizeof a->shape);
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->data, b->data, a->bytes);
}

static void same_value(const nissl__onnx_value *a, const nissl__onnx_value *b)
{
    same_text(a->name, b->name);
    assert_int_equal(a->has_type, b->has_type);
    assert_int_equal(a->has_shape, b->has_shape);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->shape, b->shape, sizeof a->shape);
    same_texts(NISSL_MAX_RANK, a->dim_names, b->dim_names);
    assert_int_equal(a->foreign_bytes, b->foreign_bytes);
    if (a->foreign_bytes)
        assert_memory_equal(a->foreign_type, b->foreign_type, a->foreign_bytes);
}

static void same_graph(const nissl__onnx_graph *a, const nissl__onnx_graph *b);

static void same_attribute(const nissl__onnx_attribute *a, const nissl__onnx_attribute *b)
{
    same_text(a->name, b->name);
    same_text(a->reference, b->reference);
    assert_int_equal(a->kind, b->kind);
    assert_memory_equal(&a->f, &b->f, sizeof a->f);
    assert_int_equal(a->i, b->i);
    assert_int_equal(a->n, b->n);
    switch (a->kind) {
    case NISSL__ONNX_STRING: assert_memory_equal(a->s, b->s, a->n + 1); break;
    case NISSL__ONNX_FLOATS: assert_memory_equal(a->floats, b->floats, a->n * sizeof(float)); break;
    case NISSL__ONNX_INTS: assert_memory_equal(a->ints, b->ints, a->n * sizeof(int64_t)); break;
    case NISSL__ONNX_STRINGS: same_texts(a->n, a->strings, b->strings); break;
    case NISSL__ONNX_TENSOR:
    case NISSL__ONNX_TENSORS:
        for (size_t i = 0; i < a->n; i++)
            same_tensor(&a->tensor[i], &b->tensor[i]);
        break;
    case NISSL__ONNX_GRAPH:
    case NISSL__ONNX_GRAPHS:
        for (size_t i = 0; i < a->n; i++)
            same_graph(&a->graph[i], &b->graph[i]);
        break;
    default: break;
    }
}

static void same_attributes(size_t n, const nissl__onnx_attribute *a,
                            const nissl__onnx_attribute *b)
{
    for (size_t i = 0; i < n; i++)
        same_attribute(&a[i], &b[i]);
}

static void same_nodes(size_t n, const nissl__onnx_node *a, const nissl__onnx_node *b)
{
    for (size_t i = 0; i < n; i++) {
        same_text(a[i].name, b[i].name);
        same_text(a[i].op, b[i].op);
        same_text(a[i].domain, b[i].domain);
        assert_int_equal(a[i].n_inputs, b[i].n_inputs);
        assert_int_equal(a[i].n_outputs, b[i].n_outputs);
        assert_int_equal(a[i].n_attributes, b[i].n_attributes);
        same_texts(a[i].n_inputs, a[i].inputs, b[i].inputs);
        same_texts(a[i].n_outputs, a[i].outputs, b[i].outputs);
        same_attributes(a[i].n_attributes, a[i].attributes, b[i].attributes);
    }
}

static void same_graph(const nissl__onnx_graph *a, const nissl__onnx_graph *b)
{
    same_text(a->name, b->name);
    assert_int_equal(a->n_nodes, b->n_nodes);
    assert_int_equal(a->n_initializers, b->n_initializers);
    assert_int_equal(a->n_inputs, b->n_inputs);
    assert_int_equal(a->n_outputs, b->n_outputs);
    assert_int_equal(a->n_values, b->n_values);
    same_nodes(a->n_nodes, a->nodes, b->nodes);
    for (size_t i = 0; i < a->n_initializers; i++)
        same_tensor(&a->initializers[i], &b->initializers[i]);
    for (size_t i = 0; i < a->n_inputs; i++)
        same_value(&a->inputs[i], &b->inputs[i]);
    for (size_t i = 0; i < a->n_outputs; i++)
        same_value(&a->outputs[i], &b->outputs[i]);
    for (size_t i = 0; i < a->n_values; i++)
        same_value(&a->values[i], &b->values[i]);
}

static void same_opsets(size_t n, const nissl__onnx_opset *a, const nissl__onnx_opset *b)
{
    for (size_t i = 0; i < n; i++) {
        same_text(a[i].domain, b[i].domain);
        assert_int_equal(a[i].version, b[i].version);
    }
}

static void same_model(const nissl__onnx_model *a, const nissl__onnx_model *b)
{
    assert_int_equal(a->ir_version, b->ir_version);
    assert_int_equal(a->opset, b->opset);
    same_text(a->producer_name, b->producer_name);
    same_text(a->producer_version, b->producer_version);
    assert_int_equal(a->n_opsets, b->n_opsets);
    assert_int_equal(a->n_functions, b->n_functions);
    same_opsets(a->n_opsets, a->opsets, b->opsets);
    for (size_t i = 0; i < a->n_functions; i++) {
        const nissl__onnx_function *f = &a->functions[i], *g = &b->functions[i];
        same_text(f->name, g->name);
        same_text(f->domain, g->domain);
        assert_int_equal(f->n_inputs, g->n_inputs);
        assert_int_equal(f->n_outputs, g->n_outputs);
        assert_int_equal(f->n_nodes, g->n_nodes);
        assert_int_equal(f->n_opsets, g->n_opsets);
        assert_int_equal(f->n_attributes, g->n_attributes);
        assert_int_equal(f->n_defaults, g->n_defaults);
        same_texts(f->n_inputs, f->inputs, g->inputs);
        same_texts(f->n_outputs, f->outputs, g->outputs);
        same_texts(f->n_attributes, f->attributes, g->attributes);
        same_nodes(f->n_nodes, f->nodes, g->nodes);
        same_opsets(f->n_opsets, f->opsets, g->opsets);
        same_attributes(f->n_defaults, f->defaults, g->defaults);
    }
    same_graph(&a->graph, &b->graph);
}

/* ---- a folder for what a test writes ---- */

typedef struct folder {
    char path[64];
    char *model, *data;
} folder;

static folder make_folder(void)
{
    folder f = {.path = "/tmp/nissl-onnx-XXXXXX"};
    assert_non_null(mkdtemp(f.path));
    f.model = nissl__format("%s/model.onnx", f.path);
    f.data = nissl__format("%s/data.bin", f.path);
    return f;
}

/* Fails if anything but the two files is left. */
static void remove_folder(folder *f)
{
    unlink(f->model);
    unlink(f->data);
    assert_int_equal(rmdir(f->path), 0);
    nissl__free(f->model);
    nissl__free(f->data);
}

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* ---- a model with everything a model can have ---- */

static const float weights[6] = {0.5f, -1, 2, 0.25f, 1e-30f, -0.0f};
static const int64_t axes[3] = {-1, 0, INT64_MIN};
static const nissl__onnx_tensor tensors[] = {
    {"w", NISSL_FLOAT32, 2, {2, 3}, weights, sizeof weights},
    {"scalar", NISSL_INT64, 0, {0}, axes, 8},
    {"none", NISSL_FLOAT16, 2, {0, 7}, "", 0},
    {"bytes", NISSL_UINT8, 1, {3}, "abc", 3},
};
static const char *const names[] = {"x", "", "ünïcode"};
static const nissl__onnx_node inner_node = {.name = "inner",
                                            .op = "Identity",
                                            .n_inputs = 1,
                                            .n_outputs = 1,
                                            .inputs = names,
                                            .outputs = names + 2};
static const nissl__onnx_graph branch = {.name = "branch", .n_nodes = 1, .nodes = &inner_node};
static const nissl__onnx_attribute attributes[] = {
    {.name = "f", .kind = NISSL__ONNX_FLOAT, .f = -0.0f},
    {.name = "i", .kind = NISSL__ONNX_INT, .i = -7},
    {.name = "s", .kind = NISSL__ONNX_STRING, .s = "a\0b", .n = 3},
    {.name = "t", .kind = NISSL__ONNX_TENSOR, .n = 1, .tensor = tensors},
    {.name = "g", .kind = NISSL__ONNX_GRAPH, .n = 1, .graph = &branch},
    {.name = "floats", .kind = NISSL__ONNX_FLOATS, .n = 6, .floats = weights},
    {.name = "ints", .kind = NISSL__ONNX_INTS, .n = 3, .ints = axes},
    {.name = "strings", .kind = NISSL__ONNX_STRINGS, .n = 3, .strings = names},
    {.name = "tensors", .kind = NISSL__ONNX_TENSORS, .n = 4, .tensor = tensors},
    {.name = "graphs", .kind = NISSL__ONNX_GRAPHS, .n = 1, .graph = &branch},
    {.name = "no ints", .kind = NISSL__ONNX_INTS},
};
static const nissl__onnx_attribute reference = {
    .name = "alpha", .reference = "slope", .kind = NISSL__ONNX_FLOAT};
static const nissl__onnx_node nodes[] = {
    {.name = "first",
     .op = "Everything",
     .domain = "org.example",
     .n_inputs = 3,
     .n_outputs = 1,
     .n_attributes = sizeof attributes / sizeof *attributes,
     .inputs = names,
     .outputs = names + 2,
     .attributes = attributes},
    {.op = "Relu", .n_inputs = 1, .n_outputs = 1, .inputs = names, .outputs = names + 2},
};
static const nissl__onnx_node function_node = {.op = "LeakyRelu",
                                               .n_inputs = 1,
                                               .n_outputs = 1,
                                               .n_attributes = 1,
                                               .inputs = names,
                                               .outputs = names + 2,
                                               .attributes = &reference};
static const nissl__onnx_opset opsets[] = {{"", 17}, {"org.example", 2}};
static const char *const slope[] = {"slope"};
static const nissl__onnx_function function = {.name = "leak",
                                              .domain = "org.example",
                                              .n_inputs = 1,
                                              .n_outputs = 1,
                                              .n_nodes = 1,
                                              .n_opsets = 1,
                                              .n_attributes = 1,
                                              .n_defaults = 2,
                                              .inputs = names,
                                              .outputs = names + 2,
                                              .nodes = &function_node,
                                              .opsets = opsets,
                                              .attributes = slope,
                                              .defaults = attributes};
static const nissl__onnx_value values[] = {
    {.name = "x",
     .has_type = true,
     .has_shape = true,
     .type = NISSL_FLOAT32,
     .rank = 4,
     .shape = {-1, 3, -1, 0},
     .dim_names = {"batch"}},
    {.name = "y", .has_type = true, .type = NISSL_BOOL},
    {.name = "z", .has_type = true, .has_shape = true, .type = NISSL_FLOAT64},
    {.name = "bare"},
    {.name = "strings", .foreign_type = "\x0a\x02\x08\x08", .foreign_bytes = 4},
};
static const nissl__onnx_model everything = {.ir_version = 8,
                                             .opset = 17,
                                             .producer_name = "nissl",
                                             .producer_version = "test",
                                             .n_opsets = 2,
                                             .n_functions = 1,
                                             .opsets = opsets,
                                             .functions = &function,
                                             .graph = {.name = "graph",
                                                       .n_nodes = 2,
                                                       .n_initializers = 4,
                                                       .n_inputs = 2,
                                                       .n_outputs = 1,
                                                       .n_values = 5,
                                                       .nodes = nodes,
                                                       .initializers = tensors,
                                                       .inputs = values,
                                                       .outputs = values + 2,
                                                       .values = values}};

static void test_everything_is_read_back(void **state)
{
    folder f = make_folder();
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    check_ok(nissl__onnx_write(&everything, f.model, &err), err);
    check_ok(nissl__onnx_open(f.model, 0, &model, &err), err);
    same_model(&everything, model);
    assert_ptr_equal(nissl__onnx_find_attribute(&model->graph.nodes[0], "ints"),
                     &model->graph.nodes[0].attributes[6]);
    assert_null(nissl__onnx_find_attribute(&model->graph.nodes[0], "int"));
    nissl__onnx_free(model);
    remove_folder(&f);
}

/* ---- forms of tensor data ---- */

static void check_tensor(bytes tensor, nissl_type type, const void *data, size_t n_bytes)
{
    bytes b = model_of_tensor(tensor);
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    check_ok(nissl__onnx_parse("tensor", b.data, b.n, 0, &model, &err), err);
    assert_int_equal(model->graph.n_initializers, 1);
    assert_int_equal(model->graph.initializers[0].type, type);
    assert_int_equal(model->graph.initializers[0].bytes, n_bytes);
    assert_memory_equal(model->graph.initializers[0].data, data, n_bytes);
    nissl__onnx_free(model);
    free(b.data);
}

/* The numbers in one varint field, packed, and once more one by one. */
static void check_numbers(unsigned data_type, unsigned field, size_t n, const int64_t *numbers,
                          nissl_type type, const void *data)
{
    bytes packed = vector_of(data_type, (int64_t)n), single = vector_of(data_type, (int64_t)n);
    bytes all = {0};
    for (size_t i = 0; i < n; i++) {
        add_varint(&all, (uint64_t)numbers[i]);
        add_int(&single, field, (uint64_t)numbers[i]);
    }
    add_message(&packed, field, all);
    check_tensor(packed, type, data, n * nissl_type_size(type));
    check_tensor(single, type, data, n * nissl_type_size(type));
}

static void test_integer_data(void **state)
{
    check_numbers(2, 5, 2, (int64_t[]){0, 255}, NISSL_UINT8, (uint8_t[]){0, 255});
    check_numbers(3, 5, 2, (int64_t[]){-128, 127}, NISSL_INT8, (int8_t[]){-128, 127});
    check_numbers(4, 5, 2, (int64_t[]){1, 65535}, NISSL_UINT16, (uint16_t[]){1, 65535});
    check_numbers(5, 5, 2, (int64_t[]){-32768, 32767}, NISSL_INT16, (int16_t[]){-32768, 32767});
    check_numbers(6, 5, 2, (int64_t[]){INT32_MIN, INT32_MAX}, NISSL_INT32,
                  (int32_t[]){INT32_MIN, INT32_MAX});
    check_numbers(7, 7, 3, (int64_t[]){INT64_MIN, -1, INT64_MAX}, NISSL_INT64,
                  (int64_t[]){INT64_MIN, -1, INT64_MAX});
    check_numbers(9, 5, 3, (int64_t[]){0, 1, 2}, NISSL_BOOL, (uint8_t[]){0, 1, 1});
    check_numbers(10, 5, 2, (int64_t[]){0x3c00, 0xfbff}, NISSL_FLOAT16,
                  (uint16_t[]){0x3c00, 0xfbff});
    check_numbers(16, 5, 2, (int64_t[]){0x3f80, 0xff80}, NISSL_BFLOAT16,
                  (uint16_t[]){0x3f80, 0xff80});
    check_numbers(12, 11, 2, (int64_t[]){0, UINT32_MAX}, NISSL_UINT32, (uint32_t[]){0, UINT32_MAX});
    check_numbers(13, 11, 2, (int64_t[]){0, -1}, NISSL_UINT64, (uint64_t[]){0, UINT64_MAX});
}

static void test_floating_data(void **state)
{
    const float f[4] = {1, -2.5f, 1e-40f, 3e38f};
    const double d[2] = {0.1, -1e300};
    bytes one = vector_of(1, 4), pieces = vector_of(1, 4), doubles = vector_of(11, 2);
    add_bytes(&one, 4, f, sizeof f);
    check_tensor(one, NISSL_FLOAT32, f, sizeof f);
    add_tag(&pieces, 4, FIXED32);
    add_raw(&pieces, f, 4);
    add_bytes(&pieces, 4, f + 1, 8);
    add_bytes(&pieces, 4, "", 0);
    add_tag(&pieces, 4, FIXED32);
    add_raw(&pieces, f + 3, 4);
    check_tensor(pieces, NISSL_FLOAT32, f, sizeof f);
    add_tag(&doubles, 10, FIXED64);
    add_raw(&doubles, d, 8);
    add_bytes(&doubles, 10, d + 1, 8);
    check_tensor(doubles, NISSL_FLOAT64, d, sizeof d);
}

static void test_raw_data_stays_in_place(void **state)
{
    bytes tensor = vector_of(7, 2), b;
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    const uint8_t *data;
    add_bytes(&tensor, 9, axes, 16);
    b = model_of_tensor(tensor);
    check_ok(nissl__onnx_parse("tensor", b.data, b.n, 0, &model, &err), err);
    data = model->graph.initializers[0].data;
    assert_ptr_equal(data, b.data + b.n - 16);
    nissl__onnx_free(model);
    free(b.data);
}

static void add_pair(bytes *tensor, const char *key, const char *value)
{
    bytes pair = {0};
    add_text(&pair, 1, key);
    add_text(&pair, 2, value);
    add_message(tensor, 13, pair);
}

/* Two tensors in one file beside the model, the second up to its end. */
static bytes external_model(void)
{
    bytes first = vector_of(1, 2), second = vector_of(2, 3), graph = {0};
    add_pair(&first, "location", "data.bin");
    add_pair(&first, "length", "8");
    add_pair(&first, "checksum", "not looked at");
    add_int(&first, 14, 1);
    add_pair(&second, "location", "data.bin");
    add_pair(&second, "offset", "8");
    add_int(&second, 14, 1);
    add_message(&graph, 5, first);
    add_message(&graph, 5, second);
    return model_of(graph);
}

static void test_external_data(void **state)
{
    folder f = make_folder();
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    bytes b = external_model();
    uint8_t data[11] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 7, 8, 9};
    write_file(f.model, b.data, b.n);
    write_file(f.data, data, sizeof data);
    check_ok(nissl__onnx_open(f.model, 0, &model, &err), err);
    assert_memory_equal(model->graph.initializers[0].data, ((float[]){1, 2}), 8);
    assert_memory_equal(model->graph.initializers[1].data, data + 8, 3);
    nissl__onnx_free(model);
    free(b.data);
    remove_folder(&f);
}

/* What the format leaves open: unknown fields, kinds without a type, old models without opsets. */
static void test_leniency(void **state)
{
    bytes b = {0}, graph = {0}, node = {0}, packed = {0}, attribute = {0}, value = {0};
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    const nissl__onnx_attribute *a;
    add_int(&b, 1, 2);
    add_int(&b, 1000, 5);
    add_text(&b, 1001, "unknown");
    add_text(&attribute, 1, "axes"); /* without a type: told by its field */
    add_varint(&packed, UINT64_MAX);
    add_varint(&packed, 300);
    add_message(&attribute, 8, packed);
    add_int(&attribute, 8, 5);
    add_text(&node, 4, "Squeeze");
    add_text(&node, 7, "ai.onnx");
    add_message(&node, 5, attribute);
    add_message(&graph, 1, node);
    add_text(&value, 1, "sequence"); /* sequence of tensors: no tensor type */
    add_message(&value, 2, one_message(4, one_message(1, one_message(1, (bytes){0}))));
    add_message(&graph, 12, value);
    add_message(&b, 7, graph);
    check_ok(nissl__onnx_parse("old", b.data, b.n, 0, &model, &err), err);
    assert_int_equal(model->opset, 1);
    assert_string_equal(model->graph.nodes[0].domain, "");
    a = nissl__onnx_find_attribute(&model->graph.nodes[0], "axes");
    assert_int_equal(a->kind, NISSL__ONNX_INTS);
    assert_int_equal(a->n, 3);
    assert_memory_equal(a->ints, ((int64_t[]){-1, 300, 5}), 24);
    assert_string_equal(model->graph.outputs[0].name, "sequence");
    assert_false(model->graph.outputs[0].has_type);
    nissl__onnx_free(model);
    free(b.data);
}

/* ---- failures ---- */

static void test_each_allocation_failing(void **state)
{
    folder f = make_folder();
    nissl_error err = {0};
    nissl_status status = NISSL_ERR_MEMORY;
    bytes b = external_model();
    uint64_t n;
    write_file(f.data, "0123456789a", 11);
    for (int round = 0; round < 2; round++) {
        if (round == 0)
            check_ok(nissl__onnx_write(&everything, f.model, &err), err);
        else
            write_file(f.model, b.data, b.n);
        for (n = 1, status = NISSL_ERR_MEMORY; status != NISSL_OK; n++) {
            nissl__onnx_model *model = NULL;
            err = (nissl_error){0};
            nissl__alloc_fail_at(n);
            status = nissl__onnx_open(f.model, 0, &model, &err);
            nissl__alloc_fail_at(0);
            if (status != NISSL_OK) {
                assert_int_equal(status, NISSL_ERR_MEMORY);
                assert_non_null(strstr(err.message, "out of memory"));
                assert_null(model);
            }
            nissl__onnx_free(model);
        }
        assert_true(n > 3);
    }
    free(b.data);
    remove_folder(&f);
}

static void test_each_allocation_failing_in_writing(void **state)
{
    folder f = make_folder();
    nissl_error err = {0};
    nissl_status status = NISSL_ERR_MEMORY;
    uint64_t n;
    for (n = 1; status != NISSL_OK; n++) {
        nissl__alloc_fail_at(n);
        status = nissl__onnx_write(&everything, f.model, &err);
        nissl__alloc_fail_at(0);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        assert_true(status == NISSL_OK || access(f.model, F_OK) != 0);
    }
    remove_folder(&f); /* fails if a temporary file is left */
}

static void test_budget(void **state)
{
    folder f = make_folder();
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    check_ok(nissl__onnx_write(&everything, f.model, &err), err);
    assert_int_equal(nissl__onnx_open(f.model, 1000, &model, &err), NISSL_ERR_LIMIT);
    assert_non_null(strstr(err.message, f.model));
    assert_non_null(strstr(err.message, "of 1000 bytes are used"));
    check_ok(nissl__onnx_open(f.model, 64 << 10, &model, &err), err);
    nissl__onnx_free(model);
    remove_folder(&f);
}

static void test_refuses_to_write(void **state)
{
    folder f = make_folder();
    nissl_error err = {0};
    nissl__onnx_model model = everything;
    nissl__onnx_tensor tensor = tensors[0];
    nissl__onnx_attribute other = {.name = "sparse", .kind = NISSL__ONNX_OTHER};
    nissl__onnx_node node = nodes[1];
    tensor.bytes = 20;
    model.graph.initializers = &tensor;
    model.graph.n_initializers = 1;
    assert_int_equal(nissl__onnx_write(&model, f.model, &err), NISSL_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "tensor \"w\" has 20 bytes, but its shape needs 24"));
    tensor.shape[0] = -2;
    assert_int_equal(nissl__onnx_write(&model, f.model, &err), NISSL_ERR_ARGUMENT);
    model.graph.n_initializers = 0;
    node.attributes = &other;
    node.n_attributes = 1;
    model.graph.nodes = &node;
    model.graph.n_nodes = 1;
    assert_int_equal(nissl__onnx_write(&model, f.model, &err), NISSL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "attribute \"sparse\""));
    assert_int_equal(nissl__onnx_write(&everything, "/nonexistent/model.onnx", &err), NISSL_ERR_IO);
    assert_string_equal(err.message,
                        "/nonexistent/model.onnx: cannot be written: No such file or directory");
    remove_folder(&f);
}

/* A disk that is full after 8 KiB: the file that was there stays, and nothing else. */
static void test_full_disk(void **state)
{
    folder f = make_folder();
    nissl_error err = {0};
    nissl__onnx_model model = everything;
    nissl__onnx_tensor big = {"big", NISSL_UINT8, 1, {100000}, NULL, 100000};
    struct rlimit old, limit;
    struct stat before, after;
    nissl_status status;
    void *zeros = calloc(100000, 1);
    big.data = zeros;
    model.graph.initializers = &big;
    model.graph.n_initializers = 1;
    check_ok(nissl__onnx_write(&everything, f.model, &err), err);
    assert_int_equal(stat(f.model, &before), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 8 << 10;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    status = nissl__onnx_write(&model, f.model, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "model.onnx: writing failed: File too large"));
    assert_int_equal(stat(f.model, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    free(zeros);
    remove_folder(&f);
}

/* ---- shared models ---- */

typedef struct shared {
    const char *path;
    int64_t ir_version, opset;
    size_t nodes, initializers, inputs, values, attributes;
    int64_t elements;
    double sum; /* of all elements of all initializers */
} shared;

static const shared models[] = {
    {"cifar_cnn/winml_ImageClassifier_cifar10", 6, 10, 12, 10, 1, 0, 28, 50182, -716.9374900865639},
    {"iris/winml_iris_Network", 6, 11, 5, 6, 1, 0, 9, 795, 6.004734471382108},
    {"mnist_cnn/mnist_cntk_winml", 3, 7, 12, 8, 9, 11, 18, 5998, 416.75912789030735},
    {"mnist_mlp/mnist_mlp_784_500_10", 7, 13, 3, 4, 1, 0, 6, 397510, -2504.091859428733},
    {"mnist_mlp/vnncomp_mnist-net_256x2", 4, 9, 6, 6, 1, 0, 10, 269322, -13701.199749667065},
    {"mnist_mlp/vnncomp_mnist-net_256x4", 4, 9, 10, 10, 1, 0, 16, 400906, -13853.486195694299},
    {"mobilenet_v1_0.25_128/mobilenet_v1_0.25_128_fp32_derived", 3, 7, 58, 56, 57, 0, 168, 467593,
     2328.1839061982027},
    {"mobilenet_v1_0.5_160/mobilenet_v1_0.5_160_fp32_derived", 3, 7, 58, 56, 57, 0, 168, 1326633,
     427.11661834926053},
    {"resnet20_cifar10/resnet20_bn", 7, 13, 95, 97, 1, 0, 159, 271098, 139.7826495598208},
    {"resnet20_cifar10/resnet20_bn_unsimplified", 7, 13, 123, 97, 1, 0, 181, 271098,
     139.7826495598208},
    {"resnet20_cifar10/resnet20_folded", 7, 13, 76, 40, 1, 0, 121, 269034, -900.9954395975244},
    {"resnet32_cifar10/resnet32_folded", 7, 13, 106, 64, 1, 0, 181, 463018, -1251.134498003581},
    {"squeezenet1.1/SqueezeNet1.1_fp32_derived", 3, 7, 66, 52, 53, 0, 96, 1235496,
     1223.8778478503227},
    {"squeezenet1.1/SqueezeNet_fp16", 3, 7, 66, 52, 53, 65, 96, 1235496, 1223.8778478503227},
};

static double tensor_sum(const nissl__onnx_tensor *tensor, int64_t *count)
{
    nissl_array aligned = {0};
    nissl_view view;
    double sum = 0, *wide;
    nissl_error err = {0};
    check_ok(nissl_array_new(tensor->type, tensor->rank, tensor->shape, &aligned, &err), err);
    memcpy(aligned.data, tensor->data, tensor->bytes);
    view = nissl_array_view(&aligned);
    *count = nissl_array_count(&aligned);
    wide = malloc((size_t)*count * sizeof *wide + 1);
    check_ok(nissl_view_copy(&view, NISSL_FLOAT64, wide, &err), err);
    for (int64_t i = 0; i < *count; i++)
        sum += wide[i];
    free(wide);
    nissl_array_free(&aligned);
    return sum;
}

static void check_shared(const shared *expected, const nissl__onnx_model *model)
{
    size_t n_attributes = 0;
    int64_t elements = 0;
    double sum = 0;
    for (size_t i = 0; i < model->graph.n_nodes; i++)
        n_attributes += model->graph.nodes[i].n_attributes;
    for (size_t i = 0; i < model->graph.n_initializers; i++) {
        int64_t count;
        sum += tensor_sum(&model->graph.initializers[i], &count);
        elements += count;
    }
    assert_int_equal(model->ir_version, expected->ir_version);
    assert_int_equal(model->opset, expected->opset);
    assert_int_equal(model->graph.n_nodes, expected->nodes);
    assert_int_equal(model->graph.n_initializers, expected->initializers);
    assert_int_equal(model->graph.n_inputs, expected->inputs);
    assert_int_equal(model->graph.n_outputs, 1);
    assert_int_equal(model->graph.n_values, expected->values);
    assert_int_equal(n_attributes, expected->attributes);
    assert_int_equal(elements, expected->elements);
    check_close(sum, expected->sum, 1e-9);
}

static void test_shared_models(void **state)
{
    const char *data = getenv("NISSL_DATA");
    folder f = make_folder();
    size_t n_read = 0;
    if (!data)
        data = NISSL_DATA_BESIDE;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char *path = nissl__format("%s/models/%s.onnx", data, models[i].path);
        nissl__onnx_model *model = NULL, *copy = NULL;
        nissl_error err = {0};
        if (access(path, R_OK) == 0) {
            check_ok(nissl__onnx_open(path, 0, &model, &err), err);
            check_shared(&models[i], model);
            check_ok(nissl__onnx_write(model, f.model, &err), err);
            check_ok(nissl__onnx_open(f.model, 0, &copy, &err), err);
            same_model(model, copy);
            n_read++;
        }
        nissl__onnx_free(copy);
        nissl__onnx_free(model);
        nissl__free(path);
    }
    remove_folder(&f);
    if (n_read == 0)
        skip();
    assert_int_equal(n_read, sizeof models / sizeof *models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_read_back),
        cmocka_unit_test(test_integer_data),
        cmocka_unit_test(test_floating_data),
        cmocka_unit_test(test_raw_data_stays_in_place),
        cmocka_unit_test(test_external_data),
        cmocka_unit_test(test_leniency),
        cmocka_unit_test(test_each_allocation_failing),
        cmocka_unit_test(test_each_allocation_failing_in_writing),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_refuses_to_write),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_shared_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
