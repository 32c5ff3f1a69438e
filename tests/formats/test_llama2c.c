/* llama2.c checkpoints: where each tensor lies, and headers that lie. */
#include "check.h"
#include "formats/llama2c.h"
#include "foundation/foundation.h"

/* dim 8, hidden 12, 2 layers, 2 heads, 1 key-value head, 5 words, 3 positions */
#define COUNT                                                                                      \
    (5 * 8 + 2 * 8 + 2 * 8 * 8 + 2 * 4 * 8 + 2 * 4 * 8 + 2 * 8 * 8 + 2 * 8 + 3 * 2 * 12 * 8 + 8 +  \
     2 * 3 * 2)

static const int32_t good[7] = {8, 12, 2, 2, 1, 5, 3};

static float *make(const int32_t header[7], size_t n)
{
    float *file = malloc((7 + n) * sizeof *file);
    memcpy(file, header, 7 * sizeof *header);
    for (size_t i = 0; i < n; i++)
        file[7 + i] = (float)i;
    return file;
}

static void test_layout(void **state)
{
    (void)state;
    nissl__llama2c c = {0};
    nissl_error error = {0};
    float *file = make(good, COUNT);
    check_ok(nissl__llama2c_parse("file", file, (7 + COUNT) * 4, &c, &error), error);
    assert_true(nissl__llama2c_recognise(file, 28, (7 + COUNT) * 4));
    assert_int_equal(c.n_kv_heads, 1);
    assert_true(c.shared_classifier);
    const float *const in_order[] = {c.token_embedding, c.rms_att, c.wq, c.wk, c.wv,       c.wo,
                                     c.rms_ffn,         c.w1,      c.w2, c.w3, c.rms_final};
    const int64_t sizes[] = {40, 16, 128, 64, 64, 128, 16, 192, 192, 192, 8};
    int64_t at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_close(in_order[i][0], at, 0);
        at += sizes[i];
    }
    assert_ptr_equal(c.wcls, c.token_embedding);
    nissl__llama2c_close(&c);
    free(file);
}

static void test_own_classifier(void **state)
{
    (void)state;
    int32_t header[7];
    nissl__llama2c c = {0};
    nissl_error error = {0};
    memcpy(header, good, sizeof header);
    header[5] = -5;
    float *file = make(header, COUNT + 40);
    check_ok(nissl__llama2c_parse("file", file, (7 + COUNT + 40) * 4, &c, &error), error);
    assert_int_equal(c.vocab_size, 5);
    assert_false(c.shared_classifier);
    check_close(c.wcls[0], COUNT, 0);
    free(file);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *defect;
        int at;
        int32_t value;
        nissl_status code;
        const char *message;
    } bad[] = {
        {"zero dim", 0, 0, NISSL_ERR_FORMAT, "dim = 0 in the header is below 1"},
        {"negative hidden", 1, -12, NISSL_ERR_FORMAT, "hidden_dim = -12"},
        {"no layers", 2, 0, NISSL_ERR_FORMAT, "n_layers = 0"},
        {"layers", 2, 2000000000, NISSL_ERR_LIMIT, "2000000000 layers, at most 1024"},
        {"heads do not divide", 3, 3, NISSL_ERR_FORMAT, "do not divide"},
        {"odd heads", 3, 8, NISSL_ERR_FORMAT, "heads of an even size"},
        {"more key-value heads", 4, 4, NISSL_ERR_FORMAT, "do not divide"},
        {"no words", 5, 0, NISSL_ERR_FORMAT, "vocab_size = 0"},
        {"too many words", 5, 2147483647, NISSL_ERR_FORMAT, "asks for"},
        {"least int", 5, INT32_MIN, NISSL_ERR_FORMAT, "asks for"},
        {"no positions", 6, 0, NISSL_ERR_FORMAT, "seq_len = 0"},
        {"one position more", 6, 4, NISSL_ERR_FORMAT,
         "the header asks for 1056 float32 after it, the file has 4208 bytes there"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int32_t header[7];
        nissl__llama2c c = {0};
        nissl_error error = {0};
        memcpy(header, good, sizeof header);
        header[bad[i].at] = bad[i].value;
        float *file = make(header, COUNT);
        if (nissl__llama2c_parse("file", file, (7 + COUNT) * 4, &c, &error) != bad[i].code ||
            !strstr(error.message, bad[i].message))
            fail_msg("%s: %s", bad[i].defect, error.message);
        assert_false(nissl__llama2c_recognise(file, 28, (7 + COUNT) * 4));
        free(file);
    }
    nissl__llama2c c = {0};
    nissl_error error = {0};
    assert_int_equal(nissl__llama2c_parse("file", good, 27, &c, &error), NISSL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "27 bytes"));
}

/* Sizes whose product leaves int64 are an error, not a small number. */
static void test_overflow(void **state)
{
    (void)state;
    const int32_t header[7] = {2147483644, 2147483647, 1024, 2, 2, 2147483647, 2147483647};
    nissl__llama2c c = {0};
    nissl_error error = {0};
    assert_int_equal(nissl__llama2c_parse("file", header, sizeof header, &c, &error),
                     NISSL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "2^63 - 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_own_classifier),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
