/* The preprocessing JSON: every key, what it refuses, and that its own text reads back. */
#include "check.h"
#include "recording/preprocess.h"

static void parse(const char *text, nissl__preprocess *out)
{
    nissl_error error = {0};
    check_ok(nissl__preprocess_parse("text", text, strlen(text), out, &error), error);
}

static void test_all_keys(void **state)
{
    (void)state;
    nissl__preprocess p = {0};
    parse("{\"description\": \"x\", \"resize\": {\"height\": 10, \"width\": 20, \"filter\": "
          "\"lanczos\"},"
          " \"crop\": [5, 6], \"channels\": \"grey\", \"scale\": 0.5, \"divide\": 255, \"mean\": "
          "[0.5], \"std\": 2,"
          " \"layout\": \"NHWC\"}",
          &p);
    assert_int_equal(p.resize, NISSL__RESIZE_EXACT);
    assert_int_equal(p.height, 10);
    assert_int_equal(p.width, 20);
    assert_int_equal(p.filter, NISSL__FILTER_LANCZOS);
    assert_true(p.crop);
    assert_int_equal(p.crop_height, 5);
    assert_int_equal(p.crop_width, 6);
    assert_int_equal(p.channels, NISSL__CHANNELS_GREY);
    assert_true(p.has_scale && p.scale == 0.5f && p.has_divide && p.divide == 255);
    assert_true(p.n_mean == 1 && p.mean[0] == 0.5f && p.n_std == 1 && p.std[0] == 2);
    assert_int_equal(p.layout, NISSL__LAYOUT_NHWC);
    assert_false(p.prose);
    nissl__preprocess_free(&p);
    nissl__preprocess_free(&p);
    parse("{\"resize\": {\"shorter\": 7}, \"crop\": 3}", &p);
    assert_int_equal(p.resize, NISSL__RESIZE_SHORTER);
    assert_int_equal(p.filter, NISSL__FILTER_BILINEAR);
    assert_int_equal(p.crop_width, 3);
    nissl__preprocess_free(&p);
}

static const char *const texts[] = {
    "{}",
    "{\"resize\": {\"shorter\": 256, \"filter\": \"bilinear\"}, \"crop\": [224, 224], "
    "\"channels\": \"BGR\", "
    "\"mean\": [104, 117, 123]}",
    "{\"resize\": {\"cover\": [3, 4], \"filter\": \"box\"}, \"scale\": 0.003921569, \"layout\": "
    "\"flat\"}",
    "{\"resize\": {\"height\": 3, \"width\": 4, \"filter\": \"nearest\"}, \"divide\": 127.5, "
    "\"mean\": 1, \"std\": "
    "[0.229, 0.224, 0.225], \"layout\": \"NCHW\"}",
};

static void test_text_reads_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        nissl__preprocess p = {0};
        nissl_error error = {0};
        char *text = NULL;
        parse(texts[i], &p);
        check_ok(nissl__preprocess_json(&p, &text, &error), error);
        assert_string_equal(text, texts[i]);
        nissl__free(text);
        nissl__preprocess_free(&p);
    }
}

static const struct {
    const char *text;
    nissl_status status;
    const char *says;
} wrong[] = {
    {"", NISSL_ERR_FORMAT, "line 1, column 0"},
    {"[1]", NISSL_ERR_FORMAT, "must be a JSON object"},
    {"{\"crop\": 3,\n \"crop\": 4}", NISSL_ERR_FORMAT, "line 2"},
    {"{\"crop\" 3}", NISSL_ERR_FORMAT, "line 1, column 9"},
    {"{\"colour\": 1}", NISSL_ERR_ARGUMENT, "unknown key \"colour\" (known: resize, crop,"},
    {"{\"resize\": 256}", NISSL_ERR_ARGUMENT, "\"resize\" must be an object such as"},
    {"{\"resize\": {}}", NISSL_ERR_ARGUMENT, "\"resize\" must be an object with shorter"},
    {"{\"resize\": {\"height\": 3}}", NISSL_ERR_ARGUMENT, "height and width, found"},
    {"{\"resize\": {\"longer\": 3}}", NISSL_ERR_ARGUMENT, "unknown key \"resize.longer\""},
    {"{\"resize\": {\"shorter\": 3, \"width\": 3}}", NISSL_ERR_ARGUMENT, "takes one of"},
    {"{\"resize\": {\"shorter\": 3, \"filter\": \"cubic\"}}", NISSL_ERR_ARGUMENT,
     "found \"cubic\""},
    {"{\"crop\": 0}", NISSL_ERR_ARGUMENT,
     "\"crop\" must be a whole number of pixels, 1 .. 65536, found 0"},
    {"{\"crop\": 1152921504606846976}", NISSL_ERR_ARGUMENT, "found 1152921504606846976"},
    {"{\"crop\": [1, 2, 3]}", NISSL_ERR_ARGUMENT, "\"crop\" must be a side or [height, width]"},
    {"{\"channels\": \"rgb\"}", NISSL_ERR_ARGUMENT, "\"RGB\", \"BGR\" or \"grey\", found \"rgb\""},
    {"{\"layout\": 3}", NISSL_ERR_ARGUMENT, "found 3"},
    {"{\"scale\": 0}", NISSL_ERR_ARGUMENT, "\"scale\" must be a finite number other than 0"},
    {"{\"scale\": 1e300}", NISSL_ERR_ARGUMENT, "\"scale\""},
    {"{\"divide\": \"255\"}", NISSL_ERR_ARGUMENT, "found \"255\""},
    {"{\"mean\": []}", NISSL_ERR_ARGUMENT, "\"mean\" must be a number or a list"},
    {"{\"mean\": [1, null]}", NISSL_ERR_ARGUMENT, "\"mean\" must be finite numbers, found null"},
    {"{\"std\": [1, 0]}", NISSL_ERR_ARGUMENT,
     "\"std\" must be finite numbers other than 0, found 0"},
    {"{\"description\": 1}", NISSL_ERR_ARGUMENT, "\"description\" must be text"},
    {"{\"steps\": [\"whiten\"]}", NISSL_ERR_ARGUMENT, "the step \"whiten\" is not understood"},
    {"{\"steps\": [1]}", NISSL_ERR_ARGUMENT, "\"steps\" must be a list of texts"},
    {"{\"steps\": [\"(x-mean)/std per channel\"]}", NISSL_ERR_ARGUMENT,
     "needs \"mean_RGB\" or \"mean_BGR\""},
    {"{\"steps\": [\"resize so that the shorter side is 0, bilinear with antialiasing\"]}",
     NISSL_ERR_ARGUMENT, "is not understood"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        nissl__preprocess p = {0};
        nissl_error error = {0};
        nissl_status status =
            nissl__preprocess_parse("pp.json", wrong[i].text, strlen(wrong[i].text), &p, &error);
        if (status != wrong[i].status || !strstr(error.message, wrong[i].says) ||
            strncmp(error.message, "pp.json: ", 9) != 0)
            fail_msg("%s: %s: %s", wrong[i].text, nissl_status_name(status), error.message);
    }
}

static void test_prose(void **state)
{
    (void)state;
    nissl__preprocess p = {0};
    parse("{\"model\": \"m\", \"mean_BGR\": [1, 2, 3], \"steps\": [\"decode JPEG to RGB 8-bit\", "
          "\"resize so that the "
          "shorter side is 256, bilinear with antialiasing\", \"centre crop 224x200 at ...\", "
          "\"reverse channels: RGB "
          "-> BGR\", \"subtract the mean per channel; no division\"]}",
          &p);
    assert_true(p.prose);
    assert_int_equal(p.height, 256);
    assert_int_equal(p.crop_width, 224);
    assert_int_equal(p.crop_height, 200);
    assert_int_equal(p.channels, NISSL__CHANNELS_BGR);
    assert_true(p.n_mean == 3 && p.mean[2] == 3);
    assert_false(p.has_divide || p.has_scale);
    nissl__preprocess_free(&p);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    nissl_status status = NISSL_ERR_MEMORY;
    const char *text = texts[3];
    for (int n = 1; status != NISSL_OK; n++) {
        nissl__preprocess p = {0}, copy = {0};
        nissl_error error = {0};
        char *json = NULL;
        nissl__alloc_fail_at((uint64_t)n);
        status = nissl__preprocess_parse("text", text, strlen(text), &p, &error);
        if (status == NISSL_OK)
            status = nissl__preprocess_copy(&p, &copy, &error);
        if (status == NISSL_OK)
            status = nissl__preprocess_json(&copy, &json, &error);
        assert_true(status == NISSL_OK || status == NISSL_ERR_MEMORY);
        assert_true(n < 50);
        nissl__free(json);
        nissl__preprocess_free(&p);
        nissl__preprocess_free(&copy);
    }
    nissl__alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_keys),
        cmocka_unit_test(test_text_reads_back),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_prose),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
