/* Stimulus sets from files: folders, arrays, IDX, CIFAR-10 and CSV; labels, factors, joining,
 * errors. */
#include "formats/image.h"
#include "formats/npy.h"
#include "stimuli_help.h"

/* A picture whose every pixel is (red, row, column). */
static void write_picture(const room *r, const char *name, int red, int64_t height, int64_t width)
{
    nissl_error error = {0};
    uint8_t *rgb = nissl__alloc((size_t)(height * width), 3);
    char *path = in_room(r, name);
    for (int64_t i = 0; i < height * width; i++) {
        rgb[3 * i] = (uint8_t)red;
        rgb[3 * i + 1] = (uint8_t)(i / width);
        rgb[3 * i + 2] = (uint8_t)(i % width);
    }
    check_ok(nissl__png_write(path, rgb, height, width, &error), error);
    nissl__free(path);
    nissl__free(rgb);
}

static void make_folder(const room *r, const char *name)
{
    char *path = in_room(r, name);
    assert_int_equal(mkdir(path, 0700), 0);
    nissl__free(path);
}

static void write_array(const room *r, const char *name, void *data, nissl_type type, int rank,
                        const int64_t *shape)
{
    nissl_error error = {0};
    nissl_view view = nissl_view_of(data, type, rank, shape);
    char *path = in_room(r, name);
    check_ok(nissl__npy_write(path, &view, &error), error);
    nissl__free(path);
}

/* ---- folders ---- */

static void test_folder_without_classes(void **state)
{
    const room *r = *state;
    make_folder(r, "set");
    write_picture(r, "set/b.png", 2, 4, 5);
    write_picture(r, "set/a10.PNG", 1, 4, 5);
    write_picture(r, "set/a9.png", 3, 4, 5);
    write_text(r, "set/notes.txt", "not an image");
    write_text(r, "set/.hidden.png", "not an image");
    nissl_stimuli *set = open_set(r, (request){"set", .in_folder = true});
    int64_t shape[NISSL_MAX_RANK];
    assert_int_equal(nissl_stimuli_count(set), 3);
    assert_string_equal(nissl_stimuli_id(set, 0), "a10.PNG");
    assert_string_equal(nissl_stimuli_id(set, 1), "a9.png");
    assert_string_equal(nissl_stimuli_id(set, 2), "b.png");
    assert_null(nissl_stimuli_id(set, 3));
    assert_int_equal(nissl_stimuli_n_factors(set), 0);
    assert_int_equal(nissl_stimuli_shape(set, shape), 3);
    assert_int_equal(shape[0], 3);
    assert_int_equal(shape[1], 4);
    assert_int_equal(shape[2], 5);
    float *x = load(set, 1, 2);
    check_close(x[0], 3 / 255.0, 1e-7);
    check_close(x[60], 2 / 255.0, 1e-7);
    check_close(x[20 + 5 * 3], 3 / 255.0, 1e-7);     /* green is the row */
    check_close(x[40 + 5 * 3 + 4], 4 / 255.0, 1e-7); /* blue is the column */
    nissl__free(x);
    nissl_stimuli_free(set);
}

static void test_folder_of_classes(void **state)
{
    const room *r = *state;
    make_folder(r, "set");
    make_folder(r, "set/dog");
    make_folder(r, "set/cat");
    make_folder(r, "set/dog/young");
    write_picture(r, "set/dog/1.png", 1, 4, 4);
    write_picture(r, "set/dog/young/2.png", 2, 4, 4);
    write_picture(r, "set/cat/1.png", 3, 4, 4);
    write_picture(r, "set/zebra.png", 4, 4, 4);
    nissl_stimuli *set = open_set(r, (request){"set", .in_folder = true});
    const nissl_factor *label = nissl_stimuli_factor(set, 0);
    assert_int_equal(nissl_stimuli_count(set), 4);
    assert_int_equal(nissl_stimuli_n_factors(set), 1);
    assert_string_equal(label->name, "label");
    assert_int_equal(label->kind, NISSL_FACTOR_CATEGORICAL);
    assert_int_equal(label->n_levels, 2);
    assert_null(label->value);
    assert_string_equal(nissl_stimuli_id(set, 0), "cat/1.png");
    assert_string_equal(level_of(label, 0), "cat");
    assert_string_equal(level_of(label, 1), "dog");
    assert_string_equal(level_of(label, 2), "dog");
    assert_string_equal(level_of(label, 3), "");
    nissl_stimuli_free(set);
    set = open_set(r, (request){"set", .in_folder = true, .limit = 1});
    assert_int_equal(nissl_stimuli_count(set), 1);
    assert_int_equal(nissl_stimuli_factor(set, 0)->n_levels, 1);
    nissl_stimuli_free(set);
}

static void test_folder_with_labels(void **state)
{
    const room *r = *state;
    make_folder(r, "set");
    write_picture(r, "set/a.png", 1, 4, 4);
    write_picture(r, "set/b.png", 2, 4, 4);
    write_picture(r, "set/c.png", 3, 4, 4);
    write_text(r, "set/labels.csv",
               "path,label,age [years],colour\nc.png,two,1.5,red\na.png,one,10,\"dark, blue\"\n");
    nissl_stimuli *set = open_set(r, (request){"set", .in_folder = true});
    assert_int_equal(nissl_stimuli_count(set), 2);
    assert_int_equal(nissl_stimuli_n_factors(set), 3);
    assert_string_equal(nissl_stimuli_id(set, 1), "c.png");
    assert_string_equal(level_of(factor_named(set, "label"), 0), "one");
    assert_string_equal(level_of(factor_named(set, "colour"), 0), "dark, blue");
    const nissl_factor *age = factor_named(set, "age");
    assert_string_equal(age->unit, "years");
    assert_int_equal(age->kind, NISSL_FACTOR_CONTINUOUS);
    check_close(age->value[0], 10, 0);
    check_close(age->value[1], 1.5, 0);
    assert_string_equal(age->levels[0], "1.5"); /* sorted as numbers, not as text */
    assert_string_equal(age->levels[1], "10");
    nissl_stimuli_free(set);

    write_text(r, "other.csv", "path,label\na.png,x\nmissing.png,y\n");
    check_refused(r, (request){"set", .in_folder = true, .labels = "other.csv"}, NISSL_ERR_IO,
                  "missing.png");
    write_text(r, "other.csv", "picture,label\na.png,x\n");
    check_refused(r, (request){"set", .in_folder = true, .labels = "other.csv"}, NISSL_ERR_FORMAT,
                  "line 1: the first column must be named \"path\", found \"picture\"");
    write_text(r, "other.csv", "path,label\na.png,x\nb.png,y\na.png,z\n");
    check_refused(r, (request){"set", .in_folder = true, .labels = "other.csv"}, NISSL_ERR_FORMAT,
                  "\"a.png\" stands in lines 2 and 4");
}

static void test_folder_of_different_sizes(void **state)
{
    const room *r = *state;
    int64_t shape[NISSL_MAX_RANK];
    make_folder(r, "set");
    write_picture(r, "set/a.png", 1, 40, 60);
    write_picture(r, "set/b.png", 2, 64, 32);
    check_refused(r, (request){"set", .in_folder = true}, NISSL_ERR_SHAPE,
                  "b.png: 32 x 64 pixels where the images before have 60 x 40");
    nissl_stimuli *set =
        open_set(r, (request){"set", .in_folder = true, .rank = 4, .input = {1, 3, 16, 16}});
    assert_int_equal(nissl_stimuli_shape(set, shape), 3);
    assert_int_equal(shape[2], 16);
    assert_non_null(strstr(nissl_stimuli_preprocess(set), "\"shorter\": 16"));
    float *x = load(set, 0, 1);
    check_close(x[0], 1 / 255.0, 1e-7);
    nissl__free(x);
    nissl_stimuli_free(set);
    /* what the set says of its preprocessing opens the same set */
    set = open_set(r, (request){"set", .in_folder = true, .rank = 4, .input = {-1, 3, 20, 30}});
    char *text = nissl__strdup(nissl_stimuli_preprocess(set));
    uint64_t hash = hash_of_set(r, set);
    assert_non_null(strstr(text, "\"cover\": [20, 30]"));
    nissl_stimuli_free(set);
    set = open_set(r, (request){"set", .in_folder = true, .preprocess = text});
    assert_int_equal(hash_of_set(r, set), hash);
    nissl_stimuli_shape(set, shape);
    assert_int_equal(shape[1], 20);
    assert_int_equal(shape[2], 30);
    nissl_stimuli_free(set);
    nissl__free(text);
    check_refused(r, (request){"set", .in_folder = true, .preprocess = "{\"crop\": 50}"},
                  NISSL_ERR_SHAPE,
                  "a.png: an image of 60 x 40 pixels is smaller than the crop of 50 x 50");
}

static void test_image_of_extreme_proportion(void **state)
{
    const room *r = *state;
    write_picture(r, "thin.png", 1, 1, 4000);
    check_refused(r,
                  (request){"thin.png", .in_folder = true,
                            .preprocess = "{\"resize\": {\"shorter\": 65536}}"},
                  NISSL_ERR_LIMIT,
                  "thin.png: an image of 4000 x 1 pixels would become 262144000 x 65536");
}

static void test_folder_with_what_is_no_image(void **state)
{
    const room *r = *state;
    make_folder(r, "set");
    check_refused(r, (request){"set", .in_folder = true}, NISSL_ERR_FORMAT,
                  "no files named .jpg, .jpeg or .png");
    write_text(r, "set/a.png", "this is text");
    check_refused(r, (request){"set", .in_folder = true}, NISSL_ERR_FORMAT,
                  "a.png: neither JPEG nor PNG");
}

static void test_single_image(void **state)
{
    const room *r = *state;
    write_picture(r, "one.png", 7, 4, 4);
    nissl_stimuli *set = open_set(r, (request){"one.png", .in_folder = true});
    assert_int_equal(nissl_stimuli_count(set), 1);
    assert_string_equal(nissl_stimuli_id(set, 0), "one.png");
    float *x = load(set, 0, 1);
    check_close(x[0], 7 / 255.0, 1e-7);
    nissl__free(x);
    nissl_stimuli_free(set);
}

static void test_image_that_changes_after_opening(void **state)
{
    const room *r = *state;
    float x[3 * 6 * 6];
    nissl_error error = {0};
    make_folder(r, "set");
    write_picture(r, "set/a.png", 1, 4, 4);
    nissl_stimuli *set = open_set(r, (request){"set", .in_folder = true});
    write_picture(r, "set/a.png", 1, 6, 6);
    assert_int_equal(nissl_stimuli_load(set, 0, 1, x, &error), NISSL_ERR_SHAPE);
    assert_non_null(
        strstr(error.message, "a.png: 6 x 6 pixels, 4 x 4 were there when the set was opened"));
    char *path = in_room(r, "set/a.png");
    unlink(path);
    assert_int_equal(nissl_stimuli_load(set, 0, 1, x, &error), NISSL_ERR_IO);
    nissl__free(path);
    nissl_stimuli_free(set);
}

/* ---- arrays ---- */

static void test_float_array(void **state)
{
    const room *r = *state;
    float data[2 * 3 * 4];
    double wide[24];
    const int64_t shape[3] = {2, 3, 4};
    int64_t got[NISSL_MAX_RANK];
    for (int i = 0; i < 24; i++)
        wide[i] = data[i] = (float)i / 3;
    write_array(r, "f4.npy", data, NISSL_FLOAT32, 3, shape);
    write_array(r, "f8.npy", wide, NISSL_FLOAT64, 3, shape);
    static const char *const names[] = {"f4.npy", "f8.npy"};
    for (int i = 0; i < 2; i++) {
        nissl_stimuli *set = open_set(r, (request){names[i], .in_folder = true});
        assert_int_equal(nissl_stimuli_count(set), 2);
        assert_int_equal(nissl_stimuli_shape(set, got), 2);
        assert_string_equal(nissl_stimuli_preprocess(set), "{}");
        assert_string_equal(nissl_stimuli_id(set, 1), "1");
        float *x = load(set, 0, 2);
        assert_memory_equal(x, data, sizeof data);
        nissl__free(x);
        nissl_stimuli_free(set);
    }
    nissl_stimuli *set =
        open_set(r, (request){"f4.npy", .in_folder = true, .rank = 2, .input = {-1, 12}});
    assert_int_equal(nissl_stimuli_shape(set, got), 1);
    nissl_stimuli_free(set);
    check_refused(r, (request){"f4.npy", .in_folder = true, .rank = 3, .input = {1, 4, 3}},
                  NISSL_ERR_SHAPE,
                  "stimuli of shape [n, 3, 4] do not fit the network's input [n, 4, 3]");
    check_refused(r, (request){"f4.npy", .in_folder = true, .preprocess = "{\"crop\": 2}"},
                  NISSL_ERR_ARGUMENT,
                  "resize, crop and channels are for images; these stimuli are arrays [n, 3, 4]");
    set = open_set(
        r, (request){"f4.npy", .in_folder = true,
                     .preprocess = "{\"divide\": 2, \"mean\": [0, 1, 2], \"std\": [1, 2, 4]}"});
    float *x = load(set, 1, 1);
    for (int i = 0; i < 12; i++)
        assert_true(x[i] == (data[12 + i] / 2 - (float)(i / 4)) / (float)(1 << (i / 4)));
    nissl__free(x);
    nissl_stimuli_free(set);
    check_refused(r, (request){"f4.npy", .in_folder = true, .preprocess = "{\"mean\": [1, 2]}"},
                  NISSL_ERR_SHAPE, "\"mean\" has 2 values, a stimulus has 3 channels");
}

/* The same pixels as [n, h, w, c] and as [n, c, h, w] are the same images. */
static void test_byte_array_is_images(void **state)
{
    const room *r = *state;
    uint8_t last[2 * 5 * 6 * 3], first[2 * 3 * 5 * 6], grey[2 * 5 * 6];
    const int64_t shape_last[4] = {2, 5, 6, 3}, shape_first[4] = {2, 3, 5, 6},
                  shape_grey[3] = {2, 5, 6};
    for (int n = 0; n < 2; n++)
        for (int p = 0; p < 30; p++)
            for (int c = 0; c < 3; c++)
                last[(n * 30 + p) * 3 + c] = first[(n * 3 + c) * 30 + p] =
                    (uint8_t)nissl__random_bits(1, (uint64_t)c, (uint64_t)(n * 30 + p));
    memcpy(grey, first, sizeof grey);
    write_array(r, "last.npy", last, NISSL_UINT8, 4, shape_last);
    write_array(r, "first.npy", first, NISSL_UINT8, 4, shape_first);
    write_array(r, "grey.npy", grey, NISSL_UINT8, 3, shape_grey);
    nissl_stimuli *a = open_set(r, (request){"last.npy", .in_folder = true});
    nissl_stimuli *b = open_set(r, (request){"first.npy", .in_folder = true});
    float *x = load(a, 0, 2), *y = load(b, 0, 2);
    assert_memory_equal(x, y, sizeof(float) * 180);
    for (int i = 0; i < 180; i++)
        assert_true(x[i] == (float)first[i] / 255);
    nissl__free(x);
    nissl__free(y);
    nissl_stimuli_free(a);
    nissl_stimuli_free(b);
    /* grey for a network of three channels is replicated */
    a = open_set(r, (request){"grey.npy", .in_folder = true, .rank = 4, .input = {1, 3, 5, 6}});
    x = load(a, 0, 1);
    for (int i = 0; i < 30; i++)
        assert_true(x[i] == (float)grey[i] / 255 && x[30 + i] == x[i] && x[60 + i] == x[i]);
    nissl__free(x);
    nissl_stimuli_free(a);
}

static void test_labels_of_arrays(void **state)
{
    const room *r = *state;
    float data[3 * 2] = {0};
    int64_t labels[3] = {10, 9, 10};
    const int64_t shape[2] = {3, 2};
    write_array(r, "x.npy", data, NISSL_FLOAT32, 2, shape);
    write_array(r, "y.npy", labels, NISSL_INT64, 1, shape);
    nissl_stimuli *set = open_set(r, (request){"x.npy", .in_folder = true, .labels = "y.npy"});
    const nissl_factor *label = nissl_stimuli_factor(set, 0);
    assert_int_equal(label->n_levels, 2);
    assert_string_equal(label->levels[0], "9"); /* numbers sort as numbers */
    assert_string_equal(level_of(label, 2), "10");
    nissl_stimuli_free(set);
    write_text(r, "y.csv", "label,speed [m/s]\na,1\nb,\na,3\n");
    set = open_set(r, (request){"x.npy", .in_folder = true, .labels = "y.csv", .limit = 2});
    assert_string_equal(level_of(factor_named(set, "label"), 1), "b");
    assert_true(isnan(factor_named(set, "speed")->value[1]));
    assert_int_equal(factor_named(set, "speed")->level[1], -1);
    nissl_stimuli_free(set);
    write_text(r, "y.csv", "label\na\nb\n");
    check_refused(r, (request){"x.npy", .in_folder = true, .labels = "y.csv"}, NISSL_ERR_SHAPE,
                  "2 rows of labels for 3 stimuli");
    write_array(r, "y.npy", labels, NISSL_INT64, 1, (const int64_t[]){2});
    check_refused(r, (request){"x.npy", .in_folder = true, .labels = "y.npy"}, NISSL_ERR_SHAPE,
                  "2 labels for 3 stimuli");
}

static void write_bytes(const room *r, const char *name, const void *bytes, size_t n)
{
    char *path = in_room(r, name);
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
    nissl__free(path);
}

static void test_idx_with_labels_beside(void **state)
{
    const room *r = *state;
    static const unsigned char images[] = {0, 0, 8, 3, 0, 0,  0,   2,   0,   0,   0, 2,
                                           0, 0, 0, 2, 0, 51, 102, 153, 204, 255, 0, 0};
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 4};
    int64_t shape[NISSL_MAX_RANK];
    write_bytes(r, "a-images-idx3-ubyte", images, sizeof images);
    nissl_stimuli *set = open_set(r, (request){"a-images-idx3-ubyte", .in_folder = true});
    assert_int_equal(nissl_stimuli_n_factors(set), 0);
    nissl_stimuli_free(set);
    write_bytes(r, "a-labels-idx1-ubyte", labels, sizeof labels);
    static const int64_t inputs[][5] = {
        {-1, 4}, {-1, 1, 2, 2}, {-1, 2, 2, 1}, {-1, 2, 2}, {1, 4, 1}};
    static const int ranks[] = {2, 4, 4, 3, 3};
    for (int i = 0; i < 5; i++) {
        request q = {"a-images-idx3-ubyte", .in_folder = true, .rank = ranks[i]};
        memcpy(q.input, inputs[i], sizeof inputs[i]);
        set = open_set(r, q);
        assert_string_equal(level_of(nissl_stimuli_factor(set, 0), 0), "7");
        assert_string_equal(level_of(nissl_stimuli_factor(set, 0), 1), "4");
        assert_int_equal(nissl_stimuli_shape(set, shape), ranks[i] - 1);
        for (int k = 1; k < ranks[i]; k++)
            assert_int_equal(shape[k - 1], inputs[i][k]);
        float *x = load(set, 0, 2);
        for (int k = 0; k < 8; k++)
            assert_true(x[k] == (float)images[16 + k] / 255);
        nissl__free(x);
        nissl_stimuli_free(set);
    }
    check_refused(
        r, (request){"a-images-idx3-ubyte", .in_folder = true, .rank = 2, .input = {-1, 5}},
        NISSL_ERR_SHAPE, "stimuli of shape [n, 1, 2, 2] do not fit the network's input [n, 5]");
    write_bytes(r, "a-labels-idx1-ubyte", labels, sizeof labels - 1);
    check_refused(r, (request){"a-images-idx3-ubyte", .in_folder = true}, NISSL_ERR_FORMAT,
                  "a-labels-idx1-ubyte");
}

static void test_cifar(void **state)
{
    const room *r = *state;
    unsigned char records[2 * 3073];
    for (int i = 0; i < 2 * 3073; i++)
        records[i] = (unsigned char)nissl__random_bits(4, 0, (uint64_t)i);
    records[0] = 9;
    records[3073] = 0;
    write_bytes(r, "batch.bin", records, sizeof records);
    nissl_stimuli *set = open_set(r, (request){"batch.bin", .in_folder = true});
    assert_int_equal(nissl_stimuli_count(set), 2);
    assert_string_equal(level_of(nissl_stimuli_factor(set, 0), 0), "9");
    float *x = load(set, 1, 1);
    for (int i = 0; i < 3072; i++)
        assert_true(x[i] == (float)records[3074 + i] / 255);
    nissl__free(x);
    nissl_stimuli_free(set);
    write_bytes(r, "batch.bin", records, 3080);
    check_refused(
        r, (request){"batch.bin", .in_folder = true}, NISSL_ERR_FORMAT,
        "3080 bytes are no whole number of CIFAR-10 records of 3073 bytes: 7 are left over");
}

/* ---- CSV ---- */

static void test_csv_rows(void **state)
{
    const room *r = *state;
    write_text(r, "t.csv", "width,name,height,class\n1.5,x,2,1\n3,y,-4e1,0\n");
    nissl_stimuli *set =
        open_set(r, (request){"t.csv", .in_folder = true, .rank = 2, .input = {-1, 2}});
    assert_int_equal(nissl_stimuli_count(set), 2);
    assert_int_equal(nissl_stimuli_n_factors(set), 2);
    assert_string_equal(nissl_stimuli_factor(set, 0)->name,
                        "label"); /* first, wherever its column is */
    assert_string_equal(level_of(nissl_stimuli_factor(set, 0), 0), "1");
    assert_string_equal(level_of(factor_named(set, "name"), 1), "y");
    float *x = load(set, 0, 2);
    assert_true(x[0] == 1.5f && x[1] == 2 && x[2] == 3 && x[3] == -40);
    nissl__free(x);
    nissl_stimuli_free(set);
    write_text(r, "t.csv", "1,2,red\n3,4,blue\n");
    set = open_set(r, (request){"t.csv", .in_folder = true});
    assert_int_equal(nissl_stimuli_count(set), 2);
    assert_string_equal(level_of(nissl_stimuli_factor(set, 0), 0), "red");
    nissl_stimuli_free(set);
    check_refused(r, (request){"t.csv", .in_folder = true, .rank = 2, .input = {-1, 3}},
                  NISSL_ERR_SHAPE, "stimuli of shape [n, 2] do not fit the network's input [n, 3]");
    write_text(r, "t.csv", "width,height\n1,2\n3,tall\n");
    check_refused(r, (request){"t.csv", .in_folder = true}, NISSL_ERR_FORMAT,
                  "line 3, column 2 (height): \"tall\" is not a number");
    write_text(r, "t.csv", "a,b\nx,y\n");
    check_refused(r, (request){"t.csv", .in_folder = true}, NISSL_ERR_FORMAT,
                  "no column of numbers");
    write_text(r, "t.csv", "a,b\n");
    check_refused(r, (request){"t.csv", .in_folder = true}, NISSL_ERR_FORMAT,
                  "a header and no rows");
}

/* ---- everything else ---- */

static void test_what_is_nothing(void **state)
{
    const room *r = *state;
    check_refused(r, (request){"absent", .in_folder = true}, NISSL_ERR_IO, "absent: No such file");
    check_refused(r, (request){.path = "grating"}, NISSL_ERR_IO,
                  "generators are gratings, noise and shapes");
    check_refused(r, (request){.path = ""}, NISSL_ERR_ARGUMENT, "no stimuli were named");
    check_refused(r, (request){"noise", .limit = -1}, NISSL_ERR_RANGE, "limit = -1");
    check_refused(r, (request){.path = "/dev/null"}, NISSL_ERR_IO, "neither a file nor a folder");
    write_bytes(r, "odd", "\x01\0\x02\x03zzzz", 8);
    check_refused(r, (request){"odd", .in_folder = true}, NISSL_ERR_FORMAT,
                  "none of npy, IDX, CIFAR-10");
    write_text(r, "nil", "");
    check_refused(r, (request){"nil", .in_folder = true}, NISSL_ERR_FORMAT, "an empty file");
}

static void test_preprocess_beside_the_data(void **state)
{
    const room *r = *state;
    make_folder(r, "set");
    write_picture(r, "set/a.png", 1, 4, 4);
    write_text(r, "set/preprocess.json", "{\"channels\": \"BGR\"}");
    nissl_stimuli *set = open_set(r, (request){"set", .in_folder = true});
    float *x = load(set, 0, 1);
    assert_true(x[2 * 16] == 1); /* red comes last and nothing is scaled */
    nissl__free(x);
    nissl_stimuli_free(set);
    write_text(r, "set/preprocess.json", "{\"chanels\": \"BGR\"}");
    check_refused(r, (request){"set", .in_folder = true}, NISSL_ERR_ARGUMENT,
                  "unknown key \"chanels\"");
    /* prose beside an array says how it was made */
    float data[2] = {3, 4};
    write_array(r, "set/x.npy", data, NISSL_FLOAT32, 2, (const int64_t[]){1, 2});
    write_text(r, "set/preprocess.json", "{\"steps\": [\"x/255\"]}");
    set = open_set(r, (request){"set/x.npy", .in_folder = true});
    x = load(set, 0, 1);
    assert_true(x[0] == 3 && x[1] == 4);
    nissl__free(x);
    nissl_stimuli_free(set);
}

static void test_join(void **state)
{
    const room *r = *state;
    make_folder(r, "set");
    make_folder(r, "set/cat");
    write_picture(r, "set/cat/a.png", 1, 8, 8);
    char *folder = in_room(r, "set");
    char *path = nissl__format(
        "%s+gratings:orientations=2,frequencies=2,phases=1+noise:n=3+noise:n=2", folder);
    nissl_stimuli *set = open_set(r, (request){path, .rank = 4, .input = {1, 3, 8, 8}});
    assert_int_equal(nissl_stimuli_count(set), 1 + 2 + 3 + 2);
    assert_string_equal(nissl_stimuli_factor(set, 0)->name, "label");
    assert_string_equal(level_of(factor_named(set, "label"), 0), "cat");
    assert_string_equal(level_of(factor_named(set, "label"), 1), "");
    assert_true(isnan(factor_named(set, "orientation")->value[0]));
    check_close(factor_named(set, "orientation")->value[2], 90, 0);
    assert_string_equal(level_of(factor_named(set, "source"), 7), "noise:n=2");
    /* two sources have the same ids, so all are numbered */
    assert_string_equal(nissl_stimuli_id(set, 0), "1/cat/a.png");
    assert_string_equal(nissl_stimuli_id(set, 3), "3/noise_s0_00000");
    assert_string_equal(nissl_stimuli_id(set, 6), "4/noise_s0_00000");
    float *all = load(set, 0, 8);
    for (int64_t i = 0; i < 8; i++) {
        float *one = load(set, i, 1);
        assert_memory_equal(one, all + i * 192, 192 * sizeof(float));
        nissl__free(one);
    }
    nissl__free(all);
    nissl_stimuli_free(set);
    set = open_set(r, (request){path, .rank = 4, .input = {1, 3, 8, 8}, .limit = 2});
    assert_int_equal(nissl_stimuli_count(set), 2);
    nissl_stimuli_free(set);
    nissl__free(path);
    path = nissl__format("%s+absent", folder);
    check_refused(r, (request){path, .rank = 4, .input = {1, 3, 8, 8}}, NISSL_ERR_IO, "absent");
    nissl__free(path);
    nissl__free(folder);
    /* a "+" in the name of something that exists is part of the name */
    write_text(r, "a+b.csv", "1,2\n");
    nissl_stimuli_free(open_set(r, (request){"a+b.csv", .in_folder = true}));
}

static void test_many_numbers_have_no_levels(void **state)
{
    const room *r = *state;
    float data[300] = {0};
    char text[8192] = "age\n";
    for (int i = 0; i < 300; i++)
        sprintf(text + strlen(text), "%d\n", i / (i < 150 ? 1 : 2));
    write_array(r, "x.npy", data, NISSL_FLOAT32, 2, (const int64_t[]){300, 1});
    write_text(r, "y.csv", text);
    nissl_stimuli *set = open_set(r, (request){"x.npy", .in_folder = true, .labels = "y.csv"});
    assert_int_equal(factor_named(set, "age")->n_levels, 150);
    nissl_stimuli_free(set);
    strcpy(text, "age\n");
    for (int i = 0; i < 300; i++)
        sprintf(text + strlen(text), "%d.5\n", i);
    write_text(r, "y.csv", text);
    set = open_set(r, (request){"x.npy", .in_folder = true, .labels = "y.csv"});
    const nissl_factor *age = factor_named(set, "age");
    assert_int_equal(age->n_levels, 0);
    assert_null(age->level);
    check_close(age->value[299], 299.5, 0);
    nissl_stimuli_free(set);
}

static void test_hash(void **state)
{
    const room *r = *state;
    make_folder(r, "set");
    write_picture(r, "set/a.png", 1, 4, 4);
    nissl_stimuli *set = open_set(r, (request){"set", .in_folder = true});
    uint64_t first = hash_of_set(r, set);
    assert_int_equal(hash_of_set(r, set), first);
    write_picture(r, "set/a.png", 2, 4, 4);
    assert_int_not_equal(hash_of_set(r, set), first);
    write_picture(r, "set/a.png", 1, 4, 4);
    assert_int_equal(hash_of_set(r, set), first);
    nissl_stimuli_free(set);
    set = open_set(r, (request){"set", .in_folder = true, .preprocess = "{\"divide\": 254}"});
    assert_int_not_equal(hash_of_set(r, set), first);
    nissl_stimuli_free(set);
}

static void test_pictures(void **state)
{
    const room *r = *state;
    nissl_error error = {0};
    uint8_t *rgb = NULL;
    int width = 0, height = 0;
    make_folder(r, "set");
    write_picture(r, "set/a.png", 9, 6, 10);
    nissl_stimuli *set =
        open_set(r, (request){"set", .in_folder = true, .preprocess = "{\"channels\": \"BGR\"}"});
    check_ok(nissl_stimuli_picture(set, 0, 64, &rgb, &width, &height, &error), error);
    assert_int_equal(width, 60); /* six times, the largest factor that fits */
    assert_int_equal(height, 36);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const uint8_t *p = rgb + 3 * (y * width + x);
            assert_true(p[0] == 9 && p[1] == y / 6 &&
                        p[2] == x / 6); /* RGB whatever the network wants */
        }
    free(rgb);
    check_ok(nissl_stimuli_picture(set, 0, 5, &rgb, &width, &height, &error), error);
    assert_int_equal(width, 5);
    assert_int_equal(height, 3);
    free(rgb);
    assert_int_equal(nissl_stimuli_picture(set, 1, 5, &rgb, &width, &height, &error),
                     NISSL_ERR_RANGE);
    assert_int_equal(nissl_stimuli_picture(set, 0, 0, &rgb, &width, &height, &error),
                     NISSL_ERR_RANGE);
    nissl_stimuli_free(set);
    write_text(r, "t.csv", "0,1,-1,2\n0,0,0,0\n");
    set = open_set(r, (request){"t.csv", .in_folder = true});
    check_ok(nissl_stimuli_picture(set, 0, 40, &rgb, &width, &height, &error), error);
    assert_int_equal(width, 40);
    assert_int_equal(height, 20);
    /* column heights in pixels: 0, a third up, a third down, two thirds up */
    static const int dark[4] = {0, 7, 6, 13};
    for (int bar = 0; bar < 4; bar++) {
        int n = 0;
        for (int y = 0; y < height; y++)
            n += rgb[3 * (y * width + bar * 10 + 4)] < 128;
        assert_true(abs(n - dark[bar]) <= 1);
    }
    free(rgb);
    check_ok(nissl_stimuli_picture(set, 1, 40, &rgb, &width, &height, &error), error);
    free(rgb);
    nissl_stimuli_free(set);
}

typedef struct shared_load {
    const nissl_stimuli *set;
    const float *expected;
    int64_t count;
} shared_load;

static nissl_status load_one(void *user, int64_t task, int worker, nissl_error *err)
{
    const shared_load *s = user;
    int64_t n = nissl_stimuli_count(s->set), i = task % n;
    float *x = nissl__alloc((size_t)s->count, sizeof *x);
    nissl_status status = x ? nissl_stimuli_load(s->set, i, 1, x, err) : NISSL_ERR_MEMORY;
    (void)worker;
    if (status == NISSL_OK &&
        memcmp(x, s->expected + i * s->count, (size_t)s->count * sizeof *x) != 0)
        status = NISSL__FAIL(err, NISSL_ERR_INTERNAL, "stimulus %lld differs", (long long)i);
    nissl__free(x);
    return status;
}

static void test_loading_from_many_threads(void **state)
{
    const room *r = *state;
    nissl_error error = {0};
    make_folder(r, "set");
    for (int i = 0; i < 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "set/%d.png", i);
        write_picture(r, name, i, 30 + i, 25);
    }
    char *folder = in_room(r, "set"),
         *path = nissl__format("%s+gratings:orientations=4+shapes:positions=1", folder);
    nissl_stimuli *set = open_set(r, (request){path, .rank = 4, .input = {1, 3, 16, 16}});
    int64_t n = nissl_stimuli_count(set);
    float *expected = load(set, 0, n);
    shared_load user = {set, expected, value_count(set)};
    check_ok(nissl__parallel(r->ctx, 3 * n, load_one, &user, &error), error);
    nissl__free(expected);
    nissl_stimuli_free(set);
    nissl__free(folder);
    nissl__free(path);
}

/* Each n-th allocation failing: an error or success, never a crash or a leak. */
static void test_allocation_failures(void **state)
{
    const room *r = *state;
    float data[6] = {0};
    write_array(r, "x.npy", data, NISSL_FLOAT64, 2, (const int64_t[]){1, 3});
    make_folder(r, "set");
    make_folder(r, "set/one");
    write_picture(r, "set/one/a.png", 1, 9, 9);
    write_text(r, "t.csv", "a,b,label\n1,2,x\n3,4,y\n");
    write_text(r, "l.csv", "path,label,age\none/a.png,cat,4\n");
    char *folder = in_room(r, "set");
    char *joined = nissl__format(
        "%s+gratings:orientations=1,frequencies=2+shapes:positions=1+noise:n=1", folder);
    const request all[] = {
        {"x.npy", .in_folder = true},
        {"t.csv", .in_folder = true},
        {"set", .in_folder = true, .rank = 4, .input = {1, 3, 4, 4}, .labels = "l.csv"},
        {joined, .rank = 4, .input = {1, 3, 8, 8},
         .preprocess = "{\"mean\": [1, 2, 3], \"std\": 2}"},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        nissl_status status = NISSL_ERR_MEMORY;
        for (int n = 1; status != NISSL_OK; n++) {
            nissl_stimuli *set = NULL;
            nissl_error error = {0};
            float x[192];
            uint8_t *rgb = NULL;
            int width, height;
            uint64_t hash;
            nissl_stimuli_options opt = nissl_stimuli_options_default();
            nissl_view input = {.type = NISSL_FLOAT32, .rank = all[k].rank};
            char *path = all[k].in_folder ? in_room(r, all[k].path) : nissl__strdup(all[k].path);
            char *labels = all[k].labels ? in_room(r, all[k].labels) : NULL;
            memcpy(input.shape, all[k].input, sizeof all[k].input);
            opt.preprocess = all[k].preprocess;
            opt.labels = labels;
            opt.input_shape = all[k].rank ? &input : NULL;
            nissl__alloc_fail_at((uint64_t)n);
            status = nissl_stimuli_open(r->ctx, path, &opt, &set, &error);
            if (status == NISSL_OK)
                status = nissl_stimuli_load(set, 0, 1, x, &error);
            if (status == NISSL_OK)
                status = nissl_stimuli_picture(set, 0, 16, &rgb, &width, &height, &error);
            if (status == NISSL_OK)
                status = nissl_stimuli_hash(r->ctx, set, &hash, &error);
            nissl__alloc_fail_at(0);
            if (status != NISSL_OK && status != NISSL_ERR_MEMORY)
                fail_msg("%s, allocation %d: %s: %s", all[k].path, n, nissl_status_name(status),
                         error.message);
            assert_true(n < 5000);
            free(rgb);
            nissl_stimuli_free(set);
            nissl__free(path);
            nissl__free(labels);
        }
    }
    nissl__free(folder);
    nissl__free(joined);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_open, room_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_folder_without_classes),
        TEST(test_folder_of_classes),
        TEST(test_folder_with_labels),
        TEST(test_folder_of_different_sizes),
        TEST(test_image_of_extreme_proportion),
        TEST(test_folder_with_what_is_no_image),
        TEST(test_single_image),
        TEST(test_image_that_changes_after_opening),
        TEST(test_float_array),
        TEST(test_byte_array_is_images),
        TEST(test_labels_of_arrays),
        TEST(test_idx_with_labels_beside),
        TEST(test_cifar),
        TEST(test_csv_rows),
        TEST(test_what_is_nothing),
        TEST(test_preprocess_beside_the_data),
        TEST(test_join),
        TEST(test_many_numbers_have_no_levels),
        TEST(test_hash),
        TEST(test_pictures),
        TEST(test_loading_from_many_threads),
        TEST(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
