/* Verification and accuracy: planted differences are measured, planted labels are counted. */
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "formats/npy.h"
#include "foundation/foundation.h"
#include "nissl/verify.h"

#define SITE   "/0/Conv_output_0" /* 6 channels of 12 x 12 */
#define SOURCE "trained_cnn"

typedef struct bench {
    nissl_context *ctx;
    nissl_network *network;
    nissl_array input, output, site; /* what onnxruntime stored */
    char folder[64];
} bench;

static void fixture(const char *name, char path[512])
{
    const char *root = getenv("NISSL_FIXTURES");
    assert_non_null(root);
    snprintf(path, 512, "%s/networks/" SOURCE "/%s", root, name);
}

static void read_npy(const char *name, nissl_array *out)
{
    char path[512];
    nissl_error err = {0};
    fixture(name, path);
    check_ok(nissl__npy_read(path, 1 << 24, out, &err), err);
}

static void write_npy(const bench *b, const char *name, const nissl_array *array)
{
    char path[512];
    nissl_view view = nissl_array_view(array);
    nissl_error err = {0};
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    check_ok(nissl__npy_write(path, &view, &err), err);
}

static void write_text(const bench *b, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    bench *b = calloc(1, sizeof *b);
    nissl_context_options opt = nissl_context_options_default();
    nissl_error err = {0};
    char path[512];
    strcpy(b->folder, "/tmp/nissl-verify-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    opt.threads = 2;
    check_ok(nissl_context_new(&opt, &b->ctx, &err), err);
    fixture("model.onnx", path);
    check_ok(nissl_network_open(b->ctx, path, &b->network, &err), err);
    read_npy("input.npy", &b->input);
    read_npy("output.npy", &b->output);
    read_npy("sites/0.Conv_output_0.npy", &b->site);
    snprintf(path, sizeof path, "%s/sites", b->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    write_npy(b, "input.npy", &b->input);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"input.npy",
                                        "output.npy",
                                        "labels.npy",
                                        "classes.csv",
                                        "sites/a.npy",
                                        "sites/sites.json",
                                        "sites/0.Conv_output_0.npy",
                                        "in.npy"};
    bench *b = *state;
    char path[512];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", b->folder, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/sites", b->folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(b->folder), 0);
    nissl_array_free(&b->input);
    nissl_array_free(&b->output);
    nissl_array_free(&b->site);
    nissl_network_free(b->network);
    nissl_context_free(b->ctx);
    free(b);
    return 0;
}

static void verify(const bench *b, double tolerance, nissl_verification *v)
{
    nissl_verify_options opt = nissl_verify_options_default();
    nissl_error err = {0};
    opt.tolerance = tolerance;
    check_ok(nissl_verify_reference(b->ctx, b->network, b->folder, &opt, v, &err), err);
}

static double range_of(const nissl_array *array)
{
    const float *x = array->data;
    double low = x[0], high = x[0];
    for (int64_t i = 0; i < nissl_array_count(array); i++) {
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
    }
    return high - low;
}

static void a_planted_difference_is_measured(void **state)
{
    bench *b = *state;
    float *y = b->output.data;
    nissl_verification v;
    const double range = range_of(&b->output);
    int lowest = 0;
    for (int i = 0; i < 4; i++) /* of the first stimulus, so that top-1 stays */
        lowest = y[i] < y[lowest] ? i : lowest;
    y[lowest] += (float)(0.01 * range);
    write_npy(b, "output.npy", &b->output);
    const double ratio = 0.01 * range / range_of(&b->output);

    verify(b, 0, &v);
    assert_int_equal(v.n_compared, 1);
    assert_int_equal(v.n_failed, 1);
    assert_false(v.passed);
    check_close(v.tolerance, 1e-4, 0);
    check_close(v.worst_ratio, ratio, 1e-5);
    check_close(v.top1_agreement, 1, 0);
    assert_non_null(strstr(v.json, "\"passed\":false"));
    nissl_verification_free(&v);

    verify(b, ratio * 1.01, &v);
    assert_true(v.passed);
    nissl_verification_free(&v);
    verify(b, ratio * 0.99, &v);
    assert_false(v.passed);
    nissl_verification_free(&v);
}

static void a_moved_maximum_is_counted(void **state)
{
    bench *b = *state;
    float *y = b->output.data;
    nissl_verification v;
    int highest = 0;
    for (int i = 0; i < 4; i++)
        highest = y[i] > y[highest] ? i : highest;
    y[(highest + 1) % 4] = y[highest] + 1;
    write_npy(b, "output.npy", &b->output);
    verify(b, 0, &v);
    check_close(v.top1_agreement, 1 - 1.0 / (double)b->output.shape[0], 1e-12);
    nissl_verification_free(&v);
}

static void nan_agrees_with_nan_alone(void **state)
{
    bench *b = *state;
    nissl_verification v;
    ((float *)b->output.data)[1] = NAN;
    write_npy(b, "output.npy", &b->output);
    verify(b, 1e6, &v);
    assert_false(v.passed);
    assert_true(isinf(v.worst_ratio));
    nissl_verification_free(&v);
}

static void fewer_stimuli_are_the_first(void **state)
{
    bench *b = *state;
    nissl_verification v;
    nissl_error err = {0};
    b->output.shape[0] -= 1;
    write_npy(b, "output.npy", &b->output);
    verify(b, 0, &v);
    assert_true(v.passed);
    assert_int_equal(v.tensors.columns[2].integer[0], b->output.shape[0]);
    nissl_verification_free(&v);
    b->output.shape[0] += 1;
    b->input.shape[0] -= 1;
    write_npy(b, "output.npy", &b->output);
    write_npy(b, "input.npy", &b->input);
    assert_int_equal(nissl_verify_reference(b->ctx, b->network, b->folder, NULL, &v, &err),
                     NISSL_ERR_SHAPE);
    b->input.shape[0] += 1;
}

/* Stores two of the site's channels under a list that names them. */
static void store_channels(bench *b, const int64_t kept[2], const char *tensor, const char *extra)
{
    const int64_t n = b->site.shape[0], n_channels = b->site.shape[1], size = 12 * 12;
    const int64_t shape[4] = {n, 2, 12, 12};
    nissl_array two = {0};
    nissl_error err = {0};
    char text[512];
    check_ok(nissl_array_new(NISSL_FLOAT32, 4, shape, &two, &err), err);
    for (int64_t s = 0; s < n; s++)
        for (int64_t k = 0; k < 2; k++)
            memcpy((float *)two.data + (s * 2 + k) * size,
                   (float *)b->site.data + (s * n_channels + kept[k]) * size, size * sizeof(float));
    write_npy(b, "sites/a.npy", &two);
    nissl_array_free(&two);
    snprintf(text, sizeof text,
             "{\"sites\": [{\"tensor\": \"%s\", \"file\": \"a.npy\", \"channels_kept\": [%" PRId64
             ", 4]%s}]}",
             tensor, kept[0], extra);
    write_text(b, "sites/sites.json", text);
}

static void kept_channels_are_found(void **state)
{
    bench *b = *state;
    nissl_verification v;
    nissl_error err = {0};
    const int64_t right[2] = {1, 4}, wrong[2] = {1, 3};
    write_npy(b, "output.npy", &b->output);
    store_channels(b, right, SITE, "");
    verify(b, 0, &v);
    assert_int_equal(v.n_compared, 2);
    assert_true(v.passed);
    nissl_verification_free(&v);
    store_channels(b, wrong, SITE, ""); /* holds channel 3 where the list says 4 */
    verify(b, 0, &v);
    assert_int_equal(v.n_failed, 1);
    nissl_verification_free(&v);
    write_text(b, "sites/sites.json",
               "{\"sites\": [{\"tensor\": \"" SITE
               "\", \"file\": \"a.npy\", \"channels_kept\": [1, 6]}]}");
    assert_int_equal(nissl_verify_reference(b->ctx, b->network, b->folder, NULL, &v, &err),
                     NISSL_ERR_SHAPE);
    assert_non_null(strstr(err.message, "channel 6 of 6"));
    write_text(b, "sites/sites.json",
               "{\"sites\": [{\"tensor\": \"x\", \"file\": \"../output.npy\"}]}");
    assert_int_equal(nissl_verify_reference(b->ctx, b->network, b->folder, NULL, &v, &err),
                     NISSL_ERR_FORMAT);
}

static void a_folded_name_stands_in(void **state)
{
    bench *b = *state;
    nissl_verification v;
    const int64_t kept[2] = {1, 4};
    write_npy(b, "output.npy", &b->output);
    store_channels(b, kept, "normalised", ", \"equals_in_folded_file\": \"" SITE "\"");
    verify(b, 0, &v);
    assert_int_equal(v.n_compared, 2);
    assert_int_equal(v.n_absent, 0);
    assert_string_equal(v.tensors.columns[0].text[1], SITE);
    assert_true(v.passed);
    nissl_verification_free(&v);
    store_channels(b, kept, "normalised", "");
    verify(b, 0, &v);
    assert_int_equal(v.n_absent, 1);
    nissl_verification_free(&v);
}

static void files_are_matched_by_name(void **state)
{
    bench *b = *state;
    nissl_verification v;
    write_npy(b, "output.npy", &b->output);
    write_npy(b, "sites/0.Conv_output_0.npy", &b->site);
    verify(b, 0, &v);
    assert_int_equal(v.n_compared, 2);
    assert_string_equal(v.tensors.columns[0].text[1], SITE);
    assert_true(v.passed);
    nissl_verification_free(&v);
}

static void random_inputs_follow_the_seed(void **state)
{
    bench *b = *state;
    char path[512];
    nissl_error err = {0};
    nissl_array x[2] = {{0}, {0}};
    snprintf(path, sizeof path, "%s/in.npy", b->folder);
    for (int i = 0; i < 2; i++) {
        check_ok(nissl_verify_write_input(b->ctx, b->network, NULL, NULL, 50, path, &err), err);
        check_ok(nissl__npy_read(path, 1 << 24, &x[i], &err), err);
    }
    double sum = 0, squares = 0, n = (double)nissl_array_count(&x[0]);
    assert_int_equal(x[0].shape[0], 50);
    assert_memory_equal(x[0].data, x[1].data, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < (int64_t)n; i++) {
        sum += ((float *)x[0].data)[i];
        squares += pow(((float *)x[0].data)[i], 2);
    }
    check_close(sum / n, 0, 5 / sqrt(n));
    check_close(squares / n, 1, 5 * sqrt(2 / n));
    nissl_array_free(&x[0]);
    nissl_array_free(&x[1]);
    assert_int_equal(nissl_verify_write_input(b->ctx, b->network, NULL, NULL, 0, path, &err),
                     NISSL_ERR_RANGE);
}

/* ---- accuracy ---- */

static int64_t largest(const bench *b, int64_t stimulus)
{
    const float *y = (const float *)b->output.data + stimulus * 4;
    int64_t best = 0;
    for (int64_t i = 0; i < 4; i++)
        best = y[i] > y[best] ? i : best;
    return best;
}

/* Labels are factor times the network's own answer plus shift, so what is right is known. */
static nissl_status classify(const bench *b, int64_t factor, int64_t shift,
                             const nissl_accuracy_options *opt, nissl_accuracy *out,
                             nissl_error *err)
{
    const int64_t n = b->input.shape[0];
    nissl_stimuli_options how = nissl_stimuli_options_default();
    nissl_stimuli *stimuli = NULL;
    nissl_array labels = {0};
    char input[512], path[512];
    check_ok(nissl_array_new(NISSL_INT64, 1, &n, &labels, err), *err);
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)labels.data)[i] = factor * largest(b, i) + shift;
    write_npy(b, "labels.npy", &labels);
    nissl_array_free(&labels);
    snprintf(input, sizeof input, "%s/input.npy", b->folder);
    snprintf(path, sizeof path, "%s/labels.npy", b->folder);
    how.labels = path;
    check_ok(nissl_stimuli_open(b->ctx, input, &how, &stimuli, err), *err);
    nissl_status status = nissl_accuracy_measure(b->ctx, b->network, stimuli, opt, out, err);
    nissl_stimuli_free(stimuli);
    return status;
}

static void its_own_answers_are_right(void **state)
{
    bench *b = *state;
    nissl_accuracy a;
    nissl_error err = {0};
    nissl_accuracy_options opt = nissl_accuracy_options_default();
    for (opt.batch = 0; opt.batch < 3; opt.batch++) {
        check_ok(classify(b, 1, 0, &opt, &a, &err), err);
        assert_int_equal(a.n_stimuli, b->input.shape[0]);
        assert_int_equal(a.n_labelled, a.n_stimuli);
        assert_int_equal(a.n_outputs, 4);
        assert_int_equal(a.n_top1, a.n_stimuli);
        assert_int_equal(a.n_top5, -1); /* of four outputs that would say nothing */
        nissl_accuracy_free(&a);
    }
    opt.batch = 0;
    opt.class_offset = -1;
    check_ok(classify(b, 1, 1, &opt, &a, &err), err);
    assert_int_equal(a.n_top1, a.n_stimuli);
    nissl_accuracy_free(&a);
    assert_int_equal(classify(b, 1, 4, NULL, &a, &err), NISSL_ERR_RANGE);
}

static void a_class_file_translates(void **state)
{
    bench *b = *state;
    nissl_accuracy a;
    nissl_error err = {0};
    nissl_accuracy_options opt = nissl_accuracy_options_default();
    char path[512];
    snprintf(path, sizeof path, "%s/classes.csv", b->folder);
    opt.classes = path;
    /* label 10 - k is output k */
    write_text(b, "classes.csv", "name,index\n10,0\n9,1\n8,2\n7,3\n");
    check_ok(classify(b, -1, 10, &opt, &a, &err), err);
    assert_int_equal(a.n_top1, a.n_stimuli);
    nissl_accuracy_free(&a);
    /* every label is the output after the right one */
    write_text(b, "classes.csv", "name\tindex\n10\t1\n9\t2\n8\t3\n7\t0\n");
    check_ok(classify(b, -1, 10, &opt, &a, &err), err);
    assert_int_equal(a.n_top1, 0);
    for (int64_t row = 0; row < a.classes.n_rows; row++) /* output - 1 was taken for it */
        assert_int_equal(a.classes.columns[5].integer[row],
                         (a.classes.columns[1].integer[row] + 3) % 4);
    nissl_accuracy_free(&a);
    write_text(b, "classes.csv", "name,index\nten,0\n");
    assert_int_equal(classify(b, -1, 20, &opt, &a, &err), NISSL_ERR_RANGE);
    write_text(b, "classes.csv", "name,index\nten,12\n");
    assert_int_equal(classify(b, 1, 0, &opt, &a, &err), NISSL_ERR_RANGE);
    write_text(b, "classes.csv", "name,other\nten,eleven\n");
    assert_int_equal(classify(b, 1, 0, &opt, &a, &err), NISSL_ERR_FORMAT);
}

static void out_of_memory_is_reported(void **state)
{
    bench *b = *state;
    bool failed = true;
    write_npy(b, "output.npy", &b->output);
    write_npy(b, "sites/0.Conv_output_0.npy", &b->site);
    for (uint64_t n = 1; failed && n < 100000; n++) {
        nissl_verification v;
        nissl_error err = {0};
        nissl__alloc_fail_at(n);
        nissl_status status = nissl_verify_reference(b->ctx, b->network, b->folder, NULL, &v, &err);
        nissl__alloc_fail_at(0);
        failed = status != NISSL_OK;
        if (failed && status != NISSL_ERR_MEMORY)
            fail_msg("allocation %" PRIu64 ": %s: %s", n, nissl_status_name(status), err.message);
        if (!failed) {
            assert_true(v.passed); /* never a smaller comparison that passes quietly */
            assert_int_equal(v.n_compared, 2);
            nissl_verification_free(&v);
        }
    }
    assert_false(failed);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_planted_difference_is_measured), TEST(a_moved_maximum_is_counted),
        TEST(nan_agrees_with_nan_alone),        TEST(fewer_stimuli_are_the_first),
        TEST(kept_channels_are_found),          TEST(a_folded_name_stands_in),
        TEST(files_are_matched_by_name),        TEST(random_inputs_follow_the_seed),
        TEST(its_own_answers_are_right),        TEST(a_class_file_translates),
        TEST(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
