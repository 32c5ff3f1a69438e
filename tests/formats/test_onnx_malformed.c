/* ONNX files that are wrong, by name of defect: a status, and a message that names file and place.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "formats/onnx.h"
#include "foundation/foundation.h"
#include "wire_bytes.h"

enum { FLOAT = 1, UINT8 = 2, INT8 = 3, UINT16 = 4, INT32 = 6, INT64 = 7, STRING = 8, FLOAT16 = 10 };
enum { COMPLEX64 = 14, UINT32 = 12 };

/* ---- the wire ---- */

static bytes from(const void *data, size_t n)
{
    bytes b = {0};
    add_raw(&b, data, n);
    return b;
}

static bytes empty(void)
{
    return (bytes){0};
}

static bytes text(void)
{
    static const char page[] = "<!DOCTYPE html>\n<html><body>404: Not Found</body></html>\n";
    return from(page, sizeof page - 1);
}

static bytes lfs_pointer(void)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    return from(pointer, sizeof pointer - 1);
}

static bytes number_of_eleven_bytes(void)
{
    return from("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12);
}

static bytes number_of_65_bits(void)
{
    return from("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11);
}

static bytes number_cut_off(void)
{
    return from("\x08\x80", 2);
}

static bytes length_cut_off(void)
{
    return from("\x08\x08\x3a\xff", 4);
}

static bytes length_beyond_end(void)
{
    return from("\x08\x08\x3a\x05\x12\x01", 6);
}

static bytes length_of_2_63(void)
{
    return from("\x08\x08\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 13);
}

static bytes field_zero(void)
{
    return from("\x08\x08\x00\x00", 4);
}

static bytes group(void)
{
    return from("\x08\x08\x3b\x3c", 4);
}

static bytes wire_type_seven(void)
{
    return from("\x08\x08\x3f", 3);
}

static bytes fixed_cut_off(void)
{
    return from("\x08\x08\xfd\x07\x00\x00\x00", 7);
}

static bytes graph_as_number(void)
{
    return from("\x08\x08\x38\x01", 4);
}

static bytes version_as_text(void)
{
    bytes b = {0};
    add_text(&b, 1, "8");
    add_text(&b, 7, "");
    return b;
}

static bytes no_graph(void)
{
    return from("\x08\x08", 2);
}

static bytes no_version(void)
{
    return from("\x3a\x00", 2);
}

static bytes version_zero(void)
{
    return from("\x08\x00\x3a\x00", 4);
}

static bytes two_graphs(void)
{
    return from("\x08\x08\x3a\x00\x3a\x00", 6);
}

/* ---- nesting, names, nodes ---- */

/* Written from the inside out into the end of a buffer: what lies inside is never copied. */
static bytes nested(unsigned levels)
{
    const size_t room = 64 + (size_t)levels * 48;
    uint8_t *data = malloc(room);
    size_t at = room;
    bytes b = {0};
    assert_non_null(data);
    for (unsigned i = 0; i < levels; i++) {
        /* attribute.g, node.attribute, graph.node: each a tag and the length of what follows */
        static const unsigned fields[] = {6, 5, 1};
        for (unsigned k = 0; k < 3; k++) {
            bytes head = {0};
            if (k == 1)
                add_text(&head, 4, "If");
            add_tag(&head, fields[k], LENGTH);
            add_varint(&head, room - at);
            assert_true(at >= head.n);
            at -= head.n;
            memcpy(data + at, head.data, head.n);
            free(head.data);
        }
    }
    add_raw(&b, data + at, room - at);
    free(data);
    return model_of(b);
}

static bytes ten_thousand_deep(void)
{
    return nested(10000);
}

static bytes named(const char *name, size_t n)
{
    bytes node = {0};
    add_text(&node, 4, "Relu");
    add_bytes(&node, 3, name, n);
    return model_of_node(node);
}

static bytes name_with_nul(void)
{
    return named("re\0lu", 5);
}

static bytes name_in_latin_1(void)
{
    return named("caf\xe9", 4);
}

static bytes name_in_overlong_utf8(void)
{
    return named("\xc0\xaf", 2);
}

static bytes name_with_surrogate(void)
{
    return named("\xed\xa0\x80", 3);
}

static bytes name_beyond_unicode(void)
{
    return named("\xf4\x90\x80\x80", 4);
}

static bytes node_without_op(void)
{
    bytes node = {0};
    add_text(&node, 3, "first");
    return model_of_node(node);
}

static bytes many_nodes(void)
{
    bytes graph = {0}, node = {0};
    add_text(&node, 4, "A");
    for (int i = 0; i < 100000; i++)
        add_bytes(&graph, 1, node.data, node.n);
    free(node.data);
    return model_of(graph);
}

static bytes attribute_without_tensor(void)
{
    bytes attribute = {0};
    add_text(&attribute, 1, "value");
    add_int(&attribute, 20, 4);
    return model_of_attribute(attribute);
}

static bytes attribute_with_two_tensors(void)
{
    bytes attribute = {0};
    add_text(&attribute, 1, "value");
    add_message(&attribute, 5, vector_of(FLOAT, 0));
    add_message(&attribute, 5, vector_of(FLOAT, 0));
    return model_of_attribute(attribute);
}

static bytes attribute_float_as_text(void)
{
    bytes attribute = {0};
    add_int(&attribute, 20, 1);
    add_text(&attribute, 2, "0.5");
    return model_of_attribute(attribute);
}

static bytes attribute_floats_of_six_bytes(void)
{
    bytes attribute = {0};
    add_int(&attribute, 20, 6);
    add_bytes(&attribute, 7, "abcdef", 6);
    return model_of_attribute(attribute);
}

static bytes attribute_strings_with_nul(void)
{
    bytes attribute = {0};
    add_int(&attribute, 20, 8);
    add_bytes(&attribute, 9, "a\0b", 3);
    return model_of_attribute(attribute);
}

static bytes value_of_nine_axes(void)
{
    bytes shape = {0}, value = {0};
    for (int i = 0; i < 9; i++)
        add_bytes(&shape, 1, "", 0);
    add_text(&value, 1, "image");
    add_message(&value, 2, one_message(1, one_message(2, shape)));
    return model_of(one_message(11, value));
}

static bytes sparse_initializer(void)
{
    return model_of(one_message(15, one_message(1, vector_of(FLOAT, 3))));
}

/* ---- tensors ---- */

static bytes declares_2_60(void)
{
    bytes tensor = vector_of(FLOAT, (int64_t)1 << 60);
    add_bytes(&tensor, 9, "0123456789abcdef", 16);
    return model_of_tensor(tensor);
}

static bytes declares_2_60_without_data(void)
{
    return model_of_tensor(vector_of(FLOAT, (int64_t)1 << 60));
}

static bytes declares_2_62_doubles(void)
{
    return model_of_tensor(vector_of(11, (int64_t)1 << 62));
}

static bytes declares_2_80(void)
{
    return model_of_tensor(tensor_of(FLOAT, 2, (int64_t[]){(int64_t)1 << 40, (int64_t)1 << 40}));
}

static bytes negative_axis(void)
{
    return model_of_tensor(tensor_of(FLOAT, 2, (int64_t[]){4, -4}));
}

static bytes nine_axes(void)
{
    return model_of_tensor(tensor_of(FLOAT, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}));
}

static bytes million_axes(void)
{
    static uint8_t ones[1000000];
    bytes tensor = vector_of(FLOAT, 1);
    memset(ones, 1, sizeof ones);
    add_bytes(&tensor, 1, ones, sizeof ones);
    return model_of_tensor(tensor);
}

static bytes no_data_type(void)
{
    return model_of_tensor(vector_of(0, 1));
}

static bytes of_strings(void)
{
    return model_of_tensor(vector_of(STRING, 1));
}

static bytes of_complex(void)
{
    return model_of_tensor(vector_of(COMPLEX64, 1));
}

static bytes of_unknown_type(void)
{
    return model_of_tensor(vector_of(99, 1));
}

static bytes raw_data_short(void)
{
    bytes tensor = vector_of(FLOAT, 3);
    add_bytes(&tensor, 9, "0123456789a", 11);
    return model_of_tensor(tensor);
}

static bytes raw_data_long(void)
{
    bytes tensor = vector_of(FLOAT, 3);
    add_bytes(&tensor, 9, "0123456789abc", 13);
    return model_of_tensor(tensor);
}

static bytes float_data_short(void)
{
    bytes tensor = vector_of(FLOAT, 3);
    add_bytes(&tensor, 4, "01234567", 8);
    return model_of_tensor(tensor);
}

static bytes float_data_of_seven_bytes(void)
{
    bytes tensor = vector_of(FLOAT, 2);
    add_bytes(&tensor, 4, "0123456", 7);
    return model_of_tensor(tensor);
}

static bytes float_data_as_numbers(void)
{
    bytes tensor = vector_of(FLOAT, 1);
    add_int(&tensor, 4, 1);
    return model_of_tensor(tensor);
}

static bytes int64_data_cut_off(void)
{
    bytes tensor = vector_of(INT64, 2);
    add_bytes(&tensor, 7, "\x01\x02\x80", 3);
    return model_of_tensor(tensor);
}

static bytes int64_data_overlong(void)
{
    bytes tensor = vector_of(INT64, 1);
    add_bytes(&tensor, 7, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    return model_of_tensor(tensor);
}

static bytes typed(unsigned data_type, unsigned field, uint64_t value)
{
    bytes tensor = vector_of(data_type, 1);
    add_int(&tensor, field, value);
    return model_of_tensor(tensor);
}

static bytes int8_of_300(void)
{
    return typed(INT8, 5, 300);
}

static bytes uint8_of_minus_1(void)
{
    return typed(UINT8, 5, UINT64_MAX);
}

static bytes half_of_17_bits(void)
{
    return typed(FLOAT16, 5, 70000);
}

static bytes int32_of_33_bits(void)
{
    return typed(INT32, 5, (uint64_t)1 << 32);
}

static bytes uint32_of_33_bits(void)
{
    return typed(UINT32, 11, (uint64_t)1 << 32);
}

static bytes raw_and_float_data(void)
{
    bytes tensor = vector_of(FLOAT, 1);
    add_bytes(&tensor, 4, "0123", 4);
    add_bytes(&tensor, 9, "0123", 4);
    return model_of_tensor(tensor);
}

static bytes int64_data_of_float(void)
{
    return typed(FLOAT, 7, 1);
}

static bytes in_segments(void)
{
    bytes tensor = vector_of(FLOAT, 0);
    add_bytes(&tensor, 3, "", 0);
    return model_of_tensor(tensor);
}

/* ---- external data ---- */

static void add_pair(bytes *tensor, const char *key, const char *value)
{
    bytes pair = {0};
    add_text(&pair, 1, key);
    add_text(&pair, 2, value);
    add_message(tensor, 13, pair);
}

/* Four floats in the file of that name; NULL leaves a key out. */
static bytes external(const char *location, const char *offset, const char *length)
{
    bytes tensor = vector_of(FLOAT, 4);
    if (location)
        add_pair(&tensor, "location", location);
    if (offset)
        add_pair(&tensor, "offset", offset);
    if (length)
        add_pair(&tensor, "length", length);
    add_int(&tensor, 14, 1);
    return model_of_tensor(tensor);
}

static bytes external_of_memory(void)
{
    return external("data.bin", NULL, NULL);
}

static bytes external_without_location(void)
{
    return external(NULL, "0", "16");
}

static bytes external_absolute(void)
{
    return external("/etc/passwd", NULL, NULL);
}

static bytes external_above(void)
{
    return external("../data.bin", NULL, NULL);
}

static bytes external_above_inside(void)
{
    return external("a/../../data.bin", NULL, NULL);
}

static bytes external_ends_above(void)
{
    return external("a/..", NULL, NULL);
}

static bytes external_empty_location(void)
{
    return external("", NULL, NULL);
}

static bytes external_negative_offset(void)
{
    return external("data.bin", "-1", NULL);
}

static bytes external_huge_offset(void)
{
    return external("data.bin", "18446744073709551616", NULL);
}

typedef struct defect {
    const char *name;
    bytes (*build)(void);
    nissl_status status;
    const char *says; /* part of the message */
} defect;

#define DEFECT(name, status, says)                                                                 \
    {                                                                                              \
#name, name, NISSL_ERR_##status, says                                                      \
    }

static const defect defects[] = {
    DEFECT(empty, FORMAT, "byte 0: the file is empty"),
    DEFECT(text, FORMAT, "byte 0: this is a text file"),
    DEFECT(lfs_pointer, FORMAT, "byte 0: this is a Git LFS pointer"),
    DEFECT(number_of_eleven_bytes, FORMAT, "byte 1: a number has more than 64 bits"),
    DEFECT(number_of_65_bits, FORMAT, "byte 1: a number has more than 64 bits"),
    DEFECT(number_cut_off, FORMAT, "byte 1: a number is cut off after 1 bytes"),
    DEFECT(length_cut_off, FORMAT, "byte 3: a number is cut off after 1 bytes"),
    DEFECT(length_beyond_end, FORMAT, "byte 2: field 7 claims 5 bytes, but 2 are left"),
    DEFECT(length_of_2_63, FORMAT, "claims 9223372036854775808 bytes, but 0 are left"),
    DEFECT(field_zero, FORMAT, "byte 2: field number 0"),
    DEFECT(group, FORMAT, "byte 2: field 7 has wire type 3 (group start)"),
    DEFECT(wire_type_seven, FORMAT, "byte 2: field 7 has wire type 7"),
    DEFECT(fixed_cut_off, FORMAT, "byte 2: field 127 needs 4 bytes, but 3 are left"),
    DEFECT(graph_as_number, FORMAT, "byte 2: graph has wire type 0"),
    DEFECT(version_as_text, FORMAT, "byte 0: ir_version has wire type 2"),
    DEFECT(no_graph, FORMAT, "byte 2: the file ends without a graph"),
    DEFECT(no_version, FORMAT, "byte 2: the file ends without an ir_version"),
    DEFECT(version_zero, FORMAT, "ir_version is 0"),
    DEFECT(two_graphs, FORMAT, "graph occurs 2 times where 1 belongs"),
    DEFECT(ten_thousand_deep, LIMIT, "lies 65 messages deep; at most 64 are read"),
    DEFECT(name_with_nul, FORMAT, "node name of 5 bytes is not UTF-8 text: byte 2 of it is 0x00"),
    DEFECT(name_in_latin_1, FORMAT, "byte 3 of it is 0xe9"),
    DEFECT(name_in_overlong_utf8, FORMAT, "byte 0 of it is 0xc0"),
    DEFECT(name_with_surrogate, FORMAT, "byte 0 of it is 0xed"),
    DEFECT(name_beyond_unicode, FORMAT, "byte 0 of it is 0xf4"),
    DEFECT(node_without_op, FORMAT, "node \"first\" has no op_type"),
    DEFECT(many_nodes, LIMIT, "exceed the budget: "),
    DEFECT(attribute_without_tensor, FORMAT, "\"value\" occurs 0 times where 1 belongs"),
    DEFECT(attribute_with_two_tensors, FORMAT, "\"value\" occurs 2 times where 1 belongs"),
    DEFECT(attribute_float_as_text, FORMAT, "attribute f has wire type 2"),
    DEFECT(attribute_floats_of_six_bytes, FORMAT,
           "attribute floats of 6 bytes is no multiple of 4"),
    DEFECT(attribute_strings_with_nul, FORMAT, "attribute strings of 3 bytes has a NUL at byte 1"),
    DEFECT(value_of_nine_axes, UNSUPPORTED, "value \"image\" has 9 axes; at most 8 fit"),
    DEFECT(sparse_initializer, UNSUPPORTED, "sparse initializer \"w\""),
    DEFECT(declares_2_60, FORMAT,
           "tensor \"w\" declares 1152921504606846976 elements (4611686018427387904 bytes), but "
           "raw_data has 16 bytes"),
    DEFECT(declares_2_60_without_data, FORMAT, "declares 1152921504606846976 elements"),
    DEFECT(declares_2_62_doubles, FORMAT,
           "declares 4611686018427387904 elements of 8 bytes, but it has 0 bytes"),
    DEFECT(declares_2_80, FORMAT, "tensor \"w\" declares more than 2^63 elements"),
    DEFECT(negative_axis, FORMAT, "tensor \"w\": axis 1 of 2 has -4 elements"),
    DEFECT(nine_axes, UNSUPPORTED, "tensor \"w\" has 9 axes; at most 8 fit"),
    DEFECT(million_axes, UNSUPPORTED, "tensor \"w\" has 1000001 axes; at most 8 fit"),
    DEFECT(no_data_type, FORMAT, "tensor \"w\" has no data_type"),
    DEFECT(of_strings, UNSUPPORTED, "tensor \"w\" has data_type 8 (string)"),
    DEFECT(of_complex, UNSUPPORTED, "tensor \"w\" has data_type 14 (complex64)"),
    DEFECT(of_unknown_type, UNSUPPORTED, "tensor \"w\" has data_type 99 (unknown)"),
    DEFECT(raw_data_short, FORMAT, "declares 3 elements (12 bytes), but raw_data has 11 bytes"),
    DEFECT(raw_data_long, FORMAT, "declares 3 elements (12 bytes), but raw_data has 13 bytes"),
    DEFECT(float_data_short, FORMAT, "tensor \"w\" declares 3 elements, but float_data has 2"),
    DEFECT(float_data_of_seven_bytes, FORMAT, "float_data of 7 bytes is no multiple of 4"),
    DEFECT(float_data_as_numbers, FORMAT, "float_data has wire type 0 (varint) where 5"),
    DEFECT(int64_data_cut_off, FORMAT, "int64_data of 3 bytes ends inside a number"),
    DEFECT(int64_data_overlong, FORMAT, "a number has more than 64 bits"),
    DEFECT(int8_of_300, FORMAT, "tensor \"w\": element 0 in int32_data does not fit int8"),
    DEFECT(uint8_of_minus_1, FORMAT, "does not fit uint8"),
    DEFECT(half_of_17_bits, FORMAT, "does not fit float16"),
    DEFECT(int32_of_33_bits, FORMAT, "does not fit int32"),
    DEFECT(uint32_of_33_bits, FORMAT, "does not fit uint32"),
    DEFECT(raw_and_float_data, FORMAT, "1 elements of float_data beside raw_data"),
    DEFECT(int64_data_of_float, FORMAT, "tensor \"w\" of float32 has 1 elements of int64_data"),
    DEFECT(in_segments, UNSUPPORTED, "a tensor in segments"),
    DEFECT(external_of_memory, UNSUPPORTED, "external data \"data.bin\" of a model in memory"),
    DEFECT(external_without_location, FORMAT, "external data has no location"),
    DEFECT(external_absolute, FORMAT, "\"/etc/passwd\" is not inside the model's folder"),
    DEFECT(external_above, FORMAT, "\"../data.bin\" is not inside the model's folder"),
    DEFECT(external_above_inside, FORMAT, "is not inside the model's folder"),
    DEFECT(external_ends_above, FORMAT, "is not inside the model's folder"),
    DEFECT(external_empty_location, FORMAT, "\"\" is not inside the model's folder"),
    DEFECT(external_negative_offset, FORMAT, "has the offset \"-1\", not a whole number"),
    DEFECT(external_huge_offset, FORMAT, "\"18446744073709551616\", not a whole number"),
};

/* The reader refuses b with the status, and says so in one line about the file. */
static void check_refused(const char *name, const bytes *b, nissl_status status, const char *says)
{
    char *label = nissl__format("%s.onnx", name);
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    nissl_status got = nissl__onnx_parse(label, b->n ? b->data : (const void *)"", b->n,
                                         (uint64_t)8 << 20, &model, &err);
    if (got != status || !strstr(err.message, label) || !strstr(err.message, says) ||
        strchr(err.message, '\n')) {
        print_error("%s: %s: %s\n", name, nissl_status_name(got), err.message);
        fail();
    }
    assert_null(model);
    assert_int_equal(err.code, status);
    nissl__free(label);
}

static void test_defects(void **state)
{
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        bytes b = defects[i].build();
        check_refused(defects[i].name, &b, defects[i].status, defects[i].says);
        free(b.data);
    }
}

static void test_without_error_struct(void **state)
{
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        bytes b = defects[i].build();
        nissl__onnx_model *model = NULL;
        assert_int_equal(nissl__onnx_parse("x", b.n ? b.data : (const void *)"", b.n,
                                           (uint64_t)8 << 20, &model, NULL),
                         defects[i].status);
        free(b.data);
    }
}

/* A graph may lie as deep as the limit, and no deeper. */
static void test_nesting_at_the_limit(void **state)
{
    /* model, graph, then node, attribute and graph for each level */
    const unsigned most = (NISSL__ONNX_MAX_DEPTH - 2) / 3;
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    bytes fits = nested(most), deep = nested(most + 1);
    check_ok(nissl__onnx_parse("fits", fits.data, fits.n, 0, &model, &err), err);
    nissl__onnx_free(model);
    check_refused("deep", &deep, NISSL_ERR_LIMIT, "messages deep");
    free(fits.data);
    free(deep.data);
}

/* The graph is the last field, so that no front of the file is a model. */
static void test_truncated_everywhere(void **state)
{
    bytes tensor = tensor_of(FLOAT, 2, (int64_t[]){2, 2}), node = {0}, graph = {0}, attribute = {0};
    bytes whole;
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    add_bytes(&tensor, 9, "0123456789abcdef", 16);
    add_text(&attribute, 1, "axes");
    add_bytes(&attribute, 8, "\x01\x02\x83\x01", 4);
    add_text(&node, 1, "x");
    add_text(&node, 2, "y");
    add_text(&node, 4, "Relu");
    add_message(&node, 5, attribute);
    add_message(&graph, 1, node);
    add_text(&graph, 2, "graph");
    add_message(&graph, 5, tensor);
    whole = model_of(graph);
    check_ok(nissl__onnx_parse("whole", whole.data, whole.n, 0, &model, &err), err);
    nissl__onnx_free(model);
    for (size_t n = 0; n < whole.n; n++) {
        /* A copy of its own size, so that a sanitizer sees a read past its end. */
        bytes cut = from(whole.data, n);
        cut.data = realloc(cut.data, n ? n : 1);
        check_refused("cut", &cut, NISSL_ERR_FORMAT, "byte ");
        free(cut.data);
    }
    free(whole.data);
}

/* ---- files ---- */

typedef struct folder {
    char path[64];
    char *model, *data;
} folder;

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static folder make_folder(void)
{
    folder f = {.path = "/tmp/nissl-onnx-XXXXXX"};
    assert_non_null(mkdtemp(f.path));
    f.model = nissl__format("%s/model.onnx", f.path);
    f.data = nissl__format("%s/data.bin", f.path);
    return f;
}

static void remove_folder(folder *f)
{
    unlink(f->model);
    unlink(f->data);
    rmdir(f->path);
    nissl__free(f->model);
    nissl__free(f->data);
}

static nissl_status open_model(const folder *f, bytes model, nissl_error *err)
{
    nissl__onnx_model *opened = NULL;
    nissl_status status;
    write_file(f->model, model.data, model.n);
    free(model.data);
    status = nissl__onnx_open(f->model, 0, &opened, err);
    assert_true((status == NISSL_OK) == (opened != NULL));
    if (status != NISSL_OK)
        assert_non_null(strstr(err->message, f->model));
    nissl__onnx_free(opened);
    return status;
}

static void test_external_data_beyond_the_end(void **state)
{
    folder f = make_folder();
    nissl_error err = {0};
    write_file(f.data, "0123456789abcdef0123", 20);
    check_ok(open_model(&f, external("data.bin", "4", "16"), &err), err);
    check_ok(open_model(&f, external("./data.bin", "4", NULL), &err), err);
    assert_int_equal(open_model(&f, external("data.bin", "5", "16"), &err), NISSL_ERR_FORMAT);
    assert_non_null(strstr(err.message, "bytes 5 + 16 lie beyond the end of external data "
                                        "\"data.bin\" of 20 bytes"));
    assert_int_equal(open_model(&f, external("data.bin", "21", NULL), &err), NISSL_ERR_FORMAT);
    assert_int_equal(open_model(&f, external("data.bin", "8", "18446744073709551608"), &err),
                     NISSL_ERR_FORMAT);
    assert_int_equal(open_model(&f, external("data.bin", "0", "12"), &err), NISSL_ERR_FORMAT);
    assert_non_null(strstr(err.message, "declares 4 elements (16 bytes), but its external data has "
                                        "12 bytes"));
    assert_int_equal(open_model(&f, external("data.bin", NULL, NULL), &err), NISSL_ERR_FORMAT);
    remove_folder(&f);
}

static void test_external_data_elsewhere(void **state)
{
    folder f = make_folder();
    nissl_error err = {0};
    assert_int_equal(open_model(&f, external("data.bin", NULL, NULL), &err), NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "No such file"));
    assert_int_equal(symlink("/proc/self/exe", f.data), 0);
    assert_int_equal(open_model(&f, external("data.bin", "0", "16"), &err), NISSL_ERR_FORMAT);
    assert_non_null(strstr(err.message, "is a link that leaves the model's folder"));
    assert_int_equal(unlink(f.data), 0);
    assert_int_equal(mkdir(f.data, 0777), 0);
    assert_int_equal(open_model(&f, external("data.bin", NULL, NULL), &err), NISSL_ERR_IO);
    assert_int_equal(rmdir(f.data), 0);
    assert_int_equal(mkfifo(f.data, 0666), 0); /* must not wait for a writer */
    assert_int_equal(open_model(&f, external("data.bin", NULL, NULL), &err), NISSL_ERR_IO);
    remove_folder(&f);
}

static void test_no_file(void **state)
{
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    assert_int_equal(nissl__onnx_open("/nonexistent/model.onnx", 0, &model, &err), NISSL_ERR_IO);
    assert_string_equal(err.message,
                        "/nonexistent/model.onnx: cannot be opened: No such file or directory");
    assert_int_equal(nissl__onnx_open("/tmp", 0, &model, &err), NISSL_ERR_IO);
    assert_string_equal(err.message, "/tmp: a directory, not a file");
    assert_null(model);
}

/* A name longer than a message must not push out what is wrong. */
static void test_long_names(void **state)
{
    char label[1000], name[1000];
    bytes node = {0}, b;
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    memset(label, 'l', sizeof label);
    memcpy(label + sizeof label - 11, "model.onnx", 11);
    memset(name, 'n', sizeof name);
    add_bytes(&node, 3, name, sizeof name);
    b = model_of_node(node);
    assert_int_equal(nissl__onnx_parse(label, b.data, b.n, 0, &model, &err), NISSL_ERR_FORMAT);
    assert_non_null(strstr(err.message, "model.onnx: byte "));
    assert_non_null(strstr(err.message, "has no op_type"));
    free(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defects),
        cmocka_unit_test(test_without_error_struct),
        cmocka_unit_test(test_nesting_at_the_limit),
        cmocka_unit_test(test_truncated_everywhere),
        cmocka_unit_test(test_external_data_beyond_the_end),
        cmocka_unit_test(test_external_data_elsewhere),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
