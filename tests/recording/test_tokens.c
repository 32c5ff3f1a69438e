/*
 * Token ids as stimuli: what is read, what is refused, and that a recording of stimuli of many
 * lengths says of each what the network computes for it alone.
 */
#include "formats/npy.h"
#include "nissl/recording.h"
#include "stimuli_help.h"

static nissl_status open_ids(const room *r, const char *name, int rank, int64_t tokens,
                             nissl_type type, nissl_stimuli **out, nissl_error *err)
{
    const int64_t shape[3] = {1, tokens, 1};
    nissl_view wanted = nissl_view_of(NULL, type, rank, shape);
    nissl_stimuli_options opt = nissl_stimuli_options_default();
    char *path = in_room(r, name);
    opt.input_shape = &wanted;
    nissl_status status = nissl_stimuli_open(r->ctx, path, &opt, out, err);
    nissl__free(path);
    return status;
}

static void check_ids(const nissl_stimuli *set, const int64_t *want, int64_t n, int64_t tokens)
{
    int64_t shape[NISSL_MAX_RANK], ids[64];
    nissl_error error = {0};
    assert_int_equal(nissl_stimuli_count(set), n);
    assert_int_equal(nissl_stimuli_shape(set, shape), 1);
    assert_int_equal(shape[0], tokens);
    check_ok(nissl_stimuli_load(set, 0, n, ids, &error), error);
    for (int64_t i = 0; i < n * tokens; i++)
        assert_int_equal(ids[i], want[i]);
}

static void test_text(void **state)
{
    const room *r = *state;
    nissl_stimuli *set = NULL;
    nissl_error error = {0};
    int32_t narrow[8];
    write_text(r, "ids.txt", "1 2,3\r\n\n \t \n 2147483647\t0\n5");
    check_ok(open_ids(r, "ids.txt", 2, -1, NISSL_INT64, &set, &error), error);
    assert_int_equal(nissl_stimuli_type(set), NISSL_INT64);
    check_ids(set, (const int64_t[]){1, 2, 3, 2147483647, 0, -1, 5, -1, -1}, 3, 3);
    assert_int_equal(nissl_stimuli_length(set, 0), 3);
    assert_int_equal(nissl_stimuli_length(set, 2), 1);
    assert_int_equal(nissl_stimuli_length(set, 3), 0);
    nissl_stimuli_free(set);
    check_ok(open_ids(r, "ids.txt", 2, 4, NISSL_INT32, &set, &error), error);
    check_ok(nissl_stimuli_load(set, 0, 2, narrow, &error), error);
    assert_int_equal(narrow[3], -1);
    assert_int_equal(narrow[4], 2147483647);
    nissl_stimuli_free(set);
}

static void test_npy(void **state)
{
    const room *r = *state;
    const int64_t shape[2] = {2, 3};
    int16_t ids[6] = {4, 5, -1, 7, 0, 9};
    nissl_view view = nissl_view_of(ids, NISSL_INT16, 2, shape);
    nissl_stimuli *set = NULL;
    nissl_error error = {0};
    char *path = in_room(r, "ids.npy");
    check_ok(nissl__npy_write(path, &view, &error), error);
    check_ok(open_ids(r, "ids.npy", 2, -1, NISSL_INT64, &set, &error), error);
    check_ids(set, (const int64_t[]){4, 5, -1, 7, 0, 9}, 2, 3);
    assert_int_equal(nissl_stimuli_length(set, 0), 2);
    nissl_stimuli_free(set);
    ids[3] = -1;
    check_ok(nissl__npy_write(path, &view, &error), error);
    assert_int_equal(open_ids(r, "ids.npy", 2, -1, NISSL_INT64, &set, &error), NISSL_ERR_RANGE);
    assert_non_null(strstr(error.message, "token 0 of stimulus 1 is -1, outside 0 .. 2147483647"));
    ids[0] = ids[1] = -1;
    check_ok(nissl__npy_write(path, &view, &error), error);
    assert_int_equal(open_ids(r, "ids.npy", 2, -1, NISSL_INT64, &set, &error), NISSL_ERR_SHAPE);
    assert_non_null(strstr(error.message, "stimulus 0 has 0 tokens"));
    float floats[6] = {0};
    view = nissl_view_of(floats, NISSL_FLOAT32, 2, shape);
    check_ok(nissl__npy_write(path, &view, &error), error);
    assert_int_equal(open_ids(r, "ids.npy", 2, -1, NISSL_INT64, &set, &error), NISSL_ERR_TYPE);
    assert_non_null(strstr(error.message, "token ids are integers [n, tokens]"));
    nissl__free(path);
}

static void test_refused(void **state)
{
    const room *r = *state;
    static const struct {
        const char *text;
        int rank;
        int64_t tokens;
        nissl_status code;
        const char *message;
    } bad[] = {
        {"1 2\n3 x4\n", 2, -1, NISSL_ERR_FORMAT, "line 2: \"x4\" is no token id"},
        {"1.5", 2, -1, NISSL_ERR_FORMAT, "line 1: \"1.5\" is no token id"},
        {"-1 2", 2, -1, NISSL_ERR_FORMAT, "\"-1\" is no token id"},
        {"2147483648", 2, -1, NISSL_ERR_FORMAT, "\"2147483648\" is no token id of 0 .. 2147483647"},
        {"99999999999999999999999", 2, -1, NISSL_ERR_FORMAT, "is no token id"},
        {"\n \n", 2, -1, NISSL_ERR_SHAPE, "0 stimuli of token ids"},
        {"1 2 3", 2, 2, NISSL_ERR_SHAPE, "a stimulus of 3 tokens; the network takes 2"},
        {"1 2 3", 3, 3, NISSL_ERR_SHAPE, "token ids for an input of 3 axes"},
    };
    nissl_stimuli *set = NULL;
    nissl_error error = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(r, "bad.txt", bad[i].text);
        if (open_ids(r, "bad.txt", bad[i].rank, bad[i].tokens, NISSL_INT64, &set, &error) !=
                bad[i].code ||
            !strstr(error.message, bad[i].message))
            fail_msg("\"%s\": %s", bad[i].text, error.message);
    }
    assert_int_equal(open_ids(r, ".", 2, -1, NISSL_INT64, &set, &error), NISSL_ERR_FORMAT);
    assert_non_null(strstr(error.message, "the network takes token ids"));
}

static void test_labels_and_picture(void **state)
{
    const room *r = *state;
    const int64_t shape[2] = {1, -1};
    nissl_view wanted = nissl_view_of(NULL, NISSL_INT64, 2, shape);
    nissl_stimuli_options opt = nissl_stimuli_options_default();
    nissl_stimuli *set = NULL;
    nissl_error error = {0};
    uint8_t *rgb = NULL;
    int width, height;
    uint64_t hash[2];
    write_text(r, "l.txt", "1 2 3\n4 5\n");
    write_text(r, "l.csv", "label\nnoun\nverb\n");
    char *path = in_room(r, "l.txt"), *labels = in_room(r, "l.csv");
    opt.input_shape = &wanted;
    opt.labels = labels;
    check_ok(nissl_stimuli_open(r->ctx, path, &opt, &set, &error), error);
    assert_string_equal(nissl_stimuli_factor(set, 0)->levels[1], "verb");
    check_ok(nissl_stimuli_picture(set, 1, 64, &rgb, &width, &height, &error), error);
    assert_true(width > 0 && height > 0);
    free(rgb);
    check_ok(nissl_stimuli_hash(r->ctx, set, &hash[0], &error), error);
    nissl_stimuli_free(set);
    write_text(r, "l.txt", "1 2\n3 4 5\n");
    check_ok(nissl_stimuli_open(r->ctx, path, &opt, &set, &error), error);
    check_ok(nissl_stimuli_hash(r->ctx, set, &hash[1], &error), error);
    assert_true(hash[0] != hash[1]);
    nissl_stimuli_free(set);
    nissl__free(path);
    nissl__free(labels);
}

/* ---- recording ---- */

static const char *const lines[] = {"1 5 9 2 52", "7 7 0", "3", "11 12 13 14 15", "8 9 10 11"};
#define N_LINES ((int64_t)(sizeof lines / sizeof *lines))
#define N_KINDS 3
static const char *const sites[N_KINDS] = {"blocks.1.hook_resid_post", "blocks.0.attn.hook_pattern",
                                           "blocks.1.attn.hook_z"};

/* Records stimuli at the three sites. */
static nissl_recording *record(const room *r, const char *model, const char *text, const char *name)
{
    nissl_network *network = NULL;
    nissl_stimuli *set = NULL;
    nissl_plan *plan = NULL;
    nissl_recording *recording = NULL;
    nissl_error error = {0};
    nissl_plan_options opt = nissl_plan_options_default();
    char *path = nissl__format("%s/families/%s", NISSL_FIXTURES, model), *out = in_room(r, name);
    opt.sites = "blocks.1.hook_resid_post,blocks.0.attn.hook_pattern,blocks.1.attn.hook_z";
    opt.reducers = "moments,frequency,responses";
    opt.batch = 2;
    write_text(r, "r.txt", text);
    check_ok(nissl_network_open(r->ctx, path, &network, &error), error);
    check_ok(open_ids(r, "r.txt", 2, -1, NISSL_INT64, &set, &error), error);
    check_ok(nissl_plan_new(r->ctx, network, set, &opt, &plan, &error), error);
    nissl_subject subject = {network, out, "network"};
    check_ok(nissl_record(r->ctx, plan, set, &subject, 1, NULL, &error), error);
    check_ok(nissl_recording_open(r->ctx, out, &recording, &error), error);
    nissl_plan_free(plan);
    nissl_stimuli_free(set);
    nissl_network_free(network);
    nissl__free(path);
    nissl__free(out);
    return recording;
}

static void get(const nissl_recording *recording, const char *name, float *values,
                int64_t active[64], double frequency[64], int64_t *n_units)
{
    nissl_error error = {0};
    nissl_array array = {0};
    int64_t site = nissl_recording_find_site(recording, name);
    assert_true(site >= 0);
    *n_units = nissl_recording_site(recording, (size_t)site)->n_units;
    assert_true(*n_units <= 64);
    check_ok(nissl_recording_responses(recording, (size_t)site, 0, *n_units, values, &error),
             error);
    check_ok(nissl_recording_array(recording, (size_t)site, "frequency/active", &array, &error),
             error);
    memcpy(active, array.data, (size_t)*n_units * sizeof *active);
    nissl_array_free(&array);
    check_ok(nissl_recording_array(recording, (size_t)site, "frequency/frequency", &array, &error),
             error);
    memcpy(frequency, array.data, (size_t)*n_units * sizeof *frequency);
    nissl_array_free(&array);
}

/* Every stimulus among others has the values that it has alone, and samples are real tokens. */
static void check_ragged(const room *r, const char *model)
{
    char text[400] = "";
    float alone[64], all[N_LINES * 64];
    int64_t active[64], counted[N_KINDS][64] = {{0}}, n_units;
    double frequency[64], samples[N_KINDS] = {0};
    for (int64_t i = 0; i < N_LINES; i++) {
        strcat(text, lines[i]);
        strcat(text, "\n");
    }
    nissl_recording *whole = record(r, model, text, "whole.nwb");
    for (int64_t i = 0; i < N_LINES; i++) {
        char name[32];
        int64_t tokens = 1;
        for (const char *c = lines[i]; *c; c++)
            tokens += *c == ' ';
        snprintf(name, sizeof name, "%d.nwb", (int)i);
        nissl_recording *one = record(r, model, lines[i], name);
        for (int k = 0; k < N_KINDS; k++) {
            get(one, sites[k], alone, active, frequency, &n_units);
            samples[k] += (double)(k == 1 ? tokens * tokens : tokens);
            for (int64_t u = 0; u < n_units; u++)
                counted[k][u] += active[u];
            get(whole, sites[k], all, active, frequency, &n_units);
            for (int64_t u = 0; u < n_units; u++)
                check_close(all[i * n_units + u], alone[u], 1e-5);
        }
        nissl_recording_free(one);
    }
    for (int k = 0; k < N_KINDS; k++) {
        get(whole, sites[k], all, active, frequency, &n_units);
        for (int64_t u = 0; u < n_units; u++) {
            assert_int_equal(active[u], counted[k][u]);
            check_close(frequency[u], (double)active[u] / samples[k], 1e-12);
        }
    }
    nissl_recording_free(whole);
}

static void test_ragged_causal(void **state)
{
    check_ragged(*state, "llama");
}

static void test_ragged_bidirectional(void **state)
{
    check_ragged(*state, "bert_pooled");
}

/* A network that knows no padding takes stimuli of one length only. */
static void test_unmasked(void **state)
{
    const room *r = *state;
    nissl_network *network = NULL;
    nissl_stimuli *set = NULL;
    nissl_plan *plan = NULL;
    nissl_error error = {0};
    check_ok(nissl_network_open(r->ctx, NISSL_FIXTURES "/networks/embedding/model.onnx", &network,
                                &error),
             error);
    write_text(r, "u.txt", "1 2 3 4 5 6\n6 5 4 3 2 1\n");
    check_ok(open_ids(r, "u.txt", 2, 6, NISSL_INT64, &set, &error), error);
    check_ok(nissl_plan_new(r->ctx, network, set, NULL, &plan, &error), error);
    nissl_plan_free(plan);
    nissl_stimuli_free(set);
    write_text(r, "u.txt", "1 2 3 4 5 6\n6 5 4\n");
    check_ok(open_ids(r, "u.txt", 2, 6, NISSL_INT64, &set, &error), error);
    assert_int_equal(nissl_plan_new(r->ctx, network, set, NULL, &plan, &error), NISSL_ERR_SHAPE);
    assert_non_null(strstr(error.message, "stimulus 1 has 3 tokens, the longest 6, and"));
    nissl_stimuli_free(set);
    nissl_network_free(network);
}

/* Globs find aliases: a residual stream before a block is the one after the block before. */
static void test_alias_globs(void **state)
{
    const room *r = *state;
    nissl_network *network = NULL;
    nissl_stimuli *set = NULL;
    nissl_plan *plan = NULL;
    nissl_error error = {0};
    nissl_plan_options opt = nissl_plan_options_default();
    opt.sites = "blocks.*.hook_resid_pre,model.layers.1.mlp";
    opt.reducers = "moments";
    check_ok(nissl_network_open(r->ctx, NISSL_FIXTURES "/families/llama", &network, &error), error);
    write_text(r, "g.txt", "1 2 3\n");
    check_ok(open_ids(r, "g.txt", 2, -1, NISSL_INT64, &set, &error), error);
    check_ok(nissl_plan_new(r->ctx, network, set, &opt, &plan, &error), error);
    assert_int_equal(nissl_plan_n_costs(plan), 3);
    assert_string_equal(nissl_plan_cost_at(plan, 0)->site, "hook_embed");
    assert_string_equal(nissl_plan_cost_at(plan, 1)->site, "blocks.0.hook_resid_post");
    assert_string_equal(nissl_plan_cost_at(plan, 2)->site, "blocks.1.hook_mlp_out");
    nissl_plan_free(plan);
    nissl_stimuli_free(set);
    nissl_network_free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_npy, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_refused, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_labels_and_picture, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_ragged_causal, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_ragged_bidirectional, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_unmasked, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_alias_globs, room_open, room_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
