/*
 * Sign quadrants of gated units: golden numbers of a small Llama, built and exported, whatever the
 * threads and micro-batches; the reduction of views beside the plain loop; lists beside a full
 * sort; a planted sample; what is refused.
 */
#include "nissl/recording.h"
#include "recording/quadrants.h"
#include "recording/recorder.h"
#include "recording/states.h"
#include "stimuli_help.h"

#include "golden_quadrants.h"

static const char *const names[NISSL_N_QUADRANTS] = {"plus_plus", "plus_minus", "minus_plus",
                                                     "minus_minus"};

static nissl_stimuli *open_texts(nissl_context *ctx, const room *r)
{
    const int64_t shape[2] = {1, -1};
    nissl_view wanted = nissl_view_of(NULL, NISSL_INT64, 2, shape);
    nissl_stimuli_options opt = nissl_stimuli_options_default();
    nissl_stimuli *stimuli = NULL;
    nissl_error error = {0};
    char *path = in_room(r, "texts.txt");
    write_text(r, "texts.txt", texts);
    opt.input_shape = &wanted;
    check_ok(nissl_stimuli_open(ctx, path, &opt, &stimuli, &error), error);
    nissl__free(path);
    return stimuli;
}

static nissl_status plan_of(nissl_context *ctx, const nissl_network *network, const char *sites,
                            int64_t batch, const nissl_stimuli *stimuli, nissl_plan **plan,
                            nissl_error *err)
{
    nissl_plan_options opt = nissl_plan_options_default();
    opt.reducers = "quadrants,frequency";
    opt.sites = sites;
    opt.batch = batch;
    opt.top_k = TOP_K;
    return nissl_plan_new(ctx, network, stimuli, &opt, plan, err);
}

/* A recording of the network and its twin; memory was foretold. */
static nissl_recording *record(const room *r, const char *model, int threads, int64_t batch)
{
    nissl_context_options with = nissl_context_options_default();
    nissl_context *ctx = NULL;
    nissl_network *network = NULL, *twin = NULL;
    nissl_stimuli *stimuli = NULL;
    nissl_plan *plan = NULL;
    nissl_recording *recording = NULL;
    nissl_error error = {0};
    uint64_t allocated = 0;
    nissl_record_options replace = {.overwrite = true};
    char *path = nissl__format("%s/%s", NISSL_FIXTURES, model), *out = in_room(r, "q.nwb");
    char *out_twin = in_room(r, "q.twin.nwb");
    with.threads = threads;
    check_ok(nissl_context_new(&with, &ctx, &error), error);
    check_ok(nissl_network_open(ctx, path, &network, &error), error);
    check_ok(nissl_network_twin(ctx, network, 1, &twin, &error), error);
    stimuli = open_texts(ctx, r);
    check_ok(plan_of(ctx, network, NULL, batch, stimuli, &plan, &error), error);
    nissl_subject subjects[2] = {{network, out, "network"}, {twin, out_twin, "twin"}};
    check_ok(nissl__record(ctx, plan, stimuli, subjects, 2, &replace, &allocated, &error), error);
    assert_int_equal(allocated, nissl_plan_memory(plan, 2));
    check_ok(nissl_recording_open(r->ctx, out, &recording, &error), error);
    nissl_plan_free(plan);
    nissl_stimuli_free(stimuli);
    nissl_network_free(twin);
    nissl_network_free(network);
    nissl_context_free(ctx);
    nissl__free(path);
    nissl__free(out);
    nissl__free(out_twin);
    return recording;
}

static nissl_array array_of(const nissl_recording *recording, int64_t site, const char *name)
{
    nissl_error error = {0};
    nissl_array array = {0};
    check_ok(nissl_recording_array(recording, (size_t)site, name, &array, &error), error);
    return array;
}

static nissl_array list_of(const nissl_recording *recording, int64_t site, int quadrant,
                           const char *part)
{
    char name[60];
    snprintf(name, sizeof name, "quadrants/%s/%s", names[quadrant], part);
    return array_of(recording, site, name);
}

static void check_site(const nissl_recording *recording, int64_t site, int layer)
{
    nissl_array found = array_of(recording, site, "quadrants/count");
    nissl_array of_all = array_of(recording, site, "quadrants/fraction");
    int64_t samples = 0;
    for (const char *c = texts; *c; c++)
        samples += *c == ' ' || *c == '\n';
    for (int i = 0; i < N_UNITS * NISSL_N_QUADRANTS; i++) {
        int64_t expected = count[layer * N_UNITS * NISSL_N_QUADRANTS + i];
        assert_int_equal(((const int64_t *)found.data)[i], expected);
        check_close(((const double *)of_all.data)[i], (double)expected / (double)samples, 1e-15);
    }
    nissl_array_free(&found);
    nissl_array_free(&of_all);
    for (int q = 0; q < NISSL_N_QUADRANTS; q++) {
        nissl_array stimulus = list_of(recording, site, q, "top_stimulus");
        nissl_array position = list_of(recording, site, q, "top_position");
        nissl_array value = list_of(recording, site, q, "top_value");
        for (int i = 0; i < N_UNITS * TOP_K; i++) {
            int at = (layer * NISSL_N_QUADRANTS + q) * N_UNITS * TOP_K + i;
            assert_int_equal(((const int64_t *)stimulus.data)[i], top_stimulus[at]);
            assert_int_equal(((const int64_t *)position.data)[i], top_position[at]);
            check_close(((const float *)value.data)[i], top_value[at], 1e-5);
        }
        nissl_array_free(&stimulus);
        nissl_array_free(&position);
        nissl_array_free(&value);
    }
}

/* Built from safetensors and exported: the same, for any micro-batch. Other sites say nothing. */
static void test_golden(void **state)
{
    static const char *const models[] = {"families/llama", "families/llama/torchscript_13.onnx"};
    static const int64_t batches[] = {1, 5, 0};
    for (size_t m = 0; m < 2; m++)
        for (size_t b = 0; b < 3; b++) {
            nissl_recording *recording = record(*state, models[m], 3, batches[b]);
            for (int layer = 0; layer < N_LAYERS; layer++) {
                char name[60];
                snprintf(name, sizeof name, "blocks.%d.mlp.hook_post", layer);
                int64_t site = -1;
                for (size_t s = 0; s < nissl_recording_n_sites(recording) && m == 0; s++)
                    if (strcmp(nissl_recording_site(recording, s)->name, name) == 0)
                        site = (int64_t)s;
                /* the export's own names: gated sites in order of layers */
                for (size_t s = 0, n = 0; s < nissl_recording_n_sites(recording) && m == 1; s++) {
                    nissl_array found = array_of(recording, (int64_t)s, "quadrants/count");
                    bool gated = *(const int64_t *)found.data >= 0;
                    nissl_array_free(&found);
                    if (gated && (int)n++ == layer)
                        site = (int64_t)s;
                }
                assert_true(site >= 0);
                check_site(recording, site, layer);
            }
            nissl_array none = array_of(recording, 0, "quadrants/count");
            nissl_array nothing = list_of(recording, 0, 3, "top_value");
            assert_int_equal(*(const int64_t *)none.data, -1);
            assert_true(isnan(*(const float *)nothing.data));
            nissl_array_free(&none);
            nissl_array_free(&nothing);
            nissl_recording_free(recording);
        }
}

/* Bit by bit, whatever the number of threads. */
static void test_threads(void **state)
{
    nissl_recording *one = record(*state, "families/qwen3", 1, 2);
    nissl_recording *four = record(*state, "families/qwen3", 4, 2);
    int64_t site = nissl_recording_find_site(one, "blocks.1.mlp.hook_post");
    static const char *const parts[3] = {"top_value", "top_stimulus", "top_position"};
    assert_true(site >= 0);
    for (int i = 0; i < 3 * NISSL_N_QUADRANTS; i++) {
        nissl_array a = list_of(one, site, i / 3, parts[i % 3]);
        nissl_array b = list_of(four, site, i / 3, parts[i % 3]);
        assert_memory_equal(a.data, b.data,
                            (size_t)nissl_array_count(&a) * nissl_type_size(a.type));
        nissl_array_free(&a);
        nissl_array_free(&b);
    }
    nissl_recording_free(one);
    nissl_recording_free(four);
}

static void test_refused(void **state)
{
    static const struct {
        const char *model, *sites;
    } bad[] = {{"families/bert", NULL},
               {"families/llama", "*.mlp.hook_post"},
               {"families/llama", "*.mlp.hook_*,!*.hook_pre_linear"}};
    const room *r = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nissl_network *network = NULL;
        nissl_stimuli *stimuli = NULL;
        nissl_plan *plan = NULL;
        nissl_error error = {0};
        char *path = nissl__format("%s/%s", NISSL_FIXTURES, bad[i].model);
        check_ok(nissl_network_open(r->ctx, path, &network, &error), error);
        stimuli = open_texts(r->ctx, r);
        assert_int_equal(plan_of(r->ctx, network, bad[i].sites, 2, stimuli, &plan, &error),
                         NISSL_ERR_NAME);
        assert_non_null(strstr(error.message, "hook_pre and hook_pre_linear are recorded too"));
        nissl_stimuli_free(stimuli);
        nissl_network_free(network);
        nissl__free(path);
    }
}

/* Every allocation may fail; an error comes of it, and nothing is lost. */
static void test_out_of_memory(void **state)
{
    const room *r = *state;
    nissl_network *network = NULL;
    nissl_error error = {0};
    int n_failed = 0;
    check_ok(nissl_network_open(r->ctx, NISSL_FIXTURES "/families/llama", &network, &error), error);
    for (uint64_t n = 1; n < 4000; n += 1 + n / 10) {
        nissl_stimuli *stimuli = open_texts(r->ctx, r);
        nissl_plan *plan = NULL;
        nissl_status status;
        char *out = in_room(r, "m.nwb");
        nissl_subject subject = {network, out, "network"};
        nissl_record_options replace = {.overwrite = true};
        nissl__alloc_fail_at(n);
        status = plan_of(r->ctx, network, "*.mlp.hook_p*", 4, stimuli, &plan, &error);
        if (status == NISSL_OK)
            status = nissl_record(r->ctx, plan, stimuli, &subject, 1, &replace, &error);
        nissl__alloc_fail_at(0);
        assert_true(status == NISSL_OK || error.message[0] != '\0');
        n_failed += status != NISSL_OK;
        nissl_plan_free(plan);
        nissl_stimuli_free(stimuli);
        nissl__free(out);
    }
    assert_true(n_failed > 30);
    nissl_network_free(network);
}

/* ---- views ---- */

enum { STIMULI = 3, POSITIONS = 70, UNITS = 301 }; /* more than a chunk of units */

static float noise(uint64_t index)
{
    return 2 * (float)nissl__random_uniform(11, 3, index) - 1;
}

static int quadrant_of(float gate, float linear)
{
    if (!(gate > 0 || gate < 0) || !(linear > 0 || linear < 0))
        return -1;
    return (gate < 0) * 2 + (linear < 0);
}

/* Values of [stimulus, position, unit] in a view with the axes in another order. */
static nissl_view view_of(float *memory, const float *values, int layout)
{
    static const int orders[3][3] = {{0, 1, 2}, {0, 2, 1}, {2, 0, 1}};
    static const uint8_t roles[3] = {NISSL_AXIS_STIMULUS, NISSL_AXIS_POSITION, NISSL_AXIS_UNIT};
    const int64_t size[3] = {STIMULI, POSITIONS, UNITS};
    nissl_view view = {.data = memory, .type = NISSL_FLOAT32, .rank = 3};
    int64_t stride[3], step = 1;
    for (int axis = 2; axis >= 0; axis--) {
        int role = orders[layout][axis];
        view.shape[axis] = size[role];
        view.role[axis] = roles[role];
        view.stride[axis] = step;
        stride[role] = step;
        step *= size[role];
    }
    for (int64_t s = 0; s < STIMULI; s++)
        for (int64_t p = 0; p < POSITIONS; p++)
            for (int64_t u = 0; u < UNITS; u++)
                memory[s * stride[0] + p * stride[1] + u * stride[2]] =
                    values[(s * POSITIONS + p) * UNITS + u];
    return view;
}

static nissl_view cut(const nissl_view *view, int64_t stimulus, int64_t length)
{
    nissl_view one = *view;
    for (int axis = 0; axis < 3; axis++) {
        if (view->role[axis] == NISSL_AXIS_STIMULUS) {
            one.data = (char *)view->data +
                       stimulus * view->stride[axis] * (int64_t)nissl_type_size(view->type);
            one.shape[axis] = 1;
        } else if (view->role[axis] == NISSL_AXIS_POSITION) {
            one.shape[axis] = length;
        }
    }
    return one;
}

static void check_stimulus(const float *gate, const float *linear, const float *product,
                           int64_t length, nissl__quadrants found)
{
    for (int64_t u = 0; u < UNITS; u++)
        for (int q = 0; q < NISSL_N_QUADRANTS; q++) {
            uint32_t n = 0, best = 0;
            float value = NAN;
            for (int64_t p = 0; p < length; p++) {
                int64_t at = p * UNITS + u;
                if (quadrant_of(gate[at], linear[at]) != q)
                    continue;
                n++;
                if (product[at] == product[at] && !(fabsf(value) >= fabsf(product[at]))) {
                    best = (uint32_t)p;
                    value = product[at];
                }
            }
            assert_int_equal(found.count[q * UNITS + u], n);
            assert_int_equal(found.position[q * UNITS + u], best);
            check_close(found.value[q * UNITS + u], value, 0);
        }
}

/* Every layout beside the plain loop; zeros, NaN, ties, and positions that are left out. */
static void test_views(void **state)
{
    int64_t n = STIMULI * POSITIONS * UNITS;
    float *values[3], *memory[3];
    uint8_t *signs = calloc((size_t)n, 1);
    uint32_t counts[2 * NISSL_N_QUADRANTS * UNITS];
    float best[NISSL_N_QUADRANTS * UNITS];
    nissl__quadrants out = {counts, counts + NISSL_N_QUADRANTS * UNITS, best};
    for (int k = 0; k < 3; k++) {
        values[k] = malloc((size_t)n * sizeof(float));
        memory[k] = malloc((size_t)n * sizeof(float));
        for (int64_t i = 0; i < n; i++)
            values[k][i] = roundf(16 * noise((uint64_t)(k * n + i))) / 16; /* ties, zeros */
    }
    for (int64_t i = 0; i < n; i++)
        values[2][i] = values[0][i] * values[1][i];
    for (int64_t i = 0; i < n; i += 97)
        values[i % 3][i] = NAN;
    for (int layout = 0; layout < 9; layout++) {
        nissl_view gate = view_of(memory[0], values[0], layout % 3);
        nissl_view linear = view_of(memory[1], values[1], layout % 3);
        nissl_view product = view_of(memory[2], values[2], layout % 3);
        nissl_view beside = nissl__signs_beside(&gate, signs);
        /* whichever comes first, over what was there before */
        nissl__signs_note(layout < 5 ? &gate : &linear, STIMULI, layout < 5 ? 0 : 2, &beside);
        nissl__signs_note(layout < 5 ? &linear : &gate, STIMULI, layout < 5 ? 2 : 0, &beside);
        for (int64_t s = 0; s < STIMULI; s++) {
            int64_t length = layout < 3 ? POSITIONS : 1 + 20 * s + layout;
            int64_t at = s * POSITIONS * UNITS;
            nissl_view one = cut(&product, s, length), its = cut(&beside, s, length);
            nissl__quadrants_reduce(&one, &its, out);
            check_stimulus(values[0] + at, values[1] + at, values[2] + at, length, out);
        }
    }
    for (int k = 0; k < 3; k++) {
        free(values[k]);
        free(memory[k]);
    }
    free(signs);
}

/* ---- lists ---- */

typedef struct lists {
    nissl_array array[2 + 3 * NISSL_N_QUADRANTS];
    int n;
} lists;

static nissl_status collect(void *user, const char *name, const char *unit, const char *description,
                            const nissl_array *array, nissl_error *err)
{
    lists *to = user;
    nissl_array *copy = &to->array[to->n++];
    assert_true(name && unit && description && to->n <= 14);
    assert_int_equal(nissl_array_new(array->type, array->rank, array->shape, copy, err), NISSL_OK);
    memcpy(copy->data, array->data,
           (size_t)nissl_array_count(array) * nissl_type_size(array->type));
    return NISSL_OK;
}

static void drop(lists *of)
{
    for (int i = 0; i < of->n; i++)
        nissl_array_free(&of->array[i]);
    *of = (lists){0};
}

enum { MANY = 60, FEW_UNITS = 5, KEPT = 4, CELLS = NISSL_N_QUADRANTS * FEW_UNITS };

typedef struct samples {
    uint32_t count[MANY * CELLS], position[MANY * CELLS];
    float value[MANY * CELLS];
} samples;

/* first .. first + n - 1 into a state, batch by batch. */
static void feed(const nissl_reducer *reducer, const nissl_reducer_site *site, const samples *x,
                 void *state, int64_t first, int64_t n, int64_t batch)
{
    for (int64_t i = first; i < first + n; i += batch) {
        nissl_batch b = {.first = i,
                         .n_stimuli = NISSL__MIN(batch, first + n - i),
                         .n_units = FEW_UNITS,
                         .n_positions = 9,
                         .quadrant_count = x->count + i * CELLS,
                         .quadrant_position = x->position + i * CELLS,
                         .quadrant_value = x->value + i * CELLS};
        reducer->update(state, site, &b);
    }
}

/* Any batches, and merges in any order, give the lists that a full sort gives. */
static void test_lists(void **state)
{
    const nissl_reducer *reducer = nissl_reducer_find("quadrants");
    nissl_reducer_site site = {
        .n_units = FEW_UNITS, .n_positions = 9, .n_stimuli = MANY, .top_k = KEPT, .gated = true};
    samples *x = calloc(1, sizeof *x);
    size_t bytes = reducer->bytes(&site, MANY);
    void *whole = calloc(1, bytes), *part = calloc(1, bytes), *merged = calloc(1, bytes);
    for (int i = 0; i < MANY * CELLS; i++) {
        x->value[i] = i % 7 == 0 ? NAN : roundf(6 * noise((uint64_t)i)) / 4;
        x->count[i] = i % 7 == 0 ? 0 : 1 + (uint32_t)i % 9;
        x->position[i] = (uint32_t)i % 9;
        if (i % CELLS == 3 && i / CELLS > 1) /* fewer than are kept */
            x->value[i] = NAN;
    }
    x->value[41 * CELLS + FEW_UNITS + 2] = -50; /* planted: unit 2, (+, -), stimulus 41 */
    x->position[41 * CELLS + FEW_UNITS + 2] = 8;
    reducer->init(whole, &site, MANY);
    feed(reducer, &site, x, whole, 0, MANY, MANY);
    for (int64_t batch = 1; batch < MANY; batch += 6) {
        static const int64_t ends[] = {0, 17, 18, 44, MANY};
        reducer->init(merged, &site, MANY);
        for (int k = 3; k >= 0; k--) {
            reducer->init(part, &site, MANY);
            feed(reducer, &site, x, part, ends[k], ends[k + 1] - ends[k], batch);
            reducer->merge(merged, part, &site);
        }
        assert_memory_equal(merged, whole, bytes);
    }
    lists found = {0};
    assert_int_equal(reducer->finish(whole, &site, collect, &found, NULL), NISSL_OK);
    assert_int_equal(found.n, 14);
    for (int q = 0; q < NISSL_N_QUADRANTS; q++)
        for (int u = 0; u < FEW_UNITS; u++) {
            bool taken[MANY] = {false};
            int64_t total = 0;
            for (int i = 0; i < MANY; i++)
                total += x->count[i * CELLS + q * FEW_UNITS + u];
            assert_int_equal(((const int64_t *)found.array[0].data)[u * NISSL_N_QUADRANTS + q],
                             total);
            check_close(((const double *)found.array[1].data)[u * NISSL_N_QUADRANTS + q],
                        (double)total / (MANY * 9), 1e-15);
            for (int k = 0; k < KEPT; k++) {
                const nissl_array *list = &found.array[2 + 3 * q];
                int best = -1, at;
                for (int i = 0; i < MANY; i++) {
                    float v = fabsf(x->value[i * CELLS + q * FEW_UNITS + u]);
                    if (!taken[i] && v == v &&
                        (best < 0 || v > fabsf(x->value[best * CELLS + q * FEW_UNITS + u])))
                        best = i;
                }
                at = best * CELLS + q * FEW_UNITS + u;
                assert_int_equal(((const int64_t *)list[1].data)[u * KEPT + k], best);
                assert_int_equal(((const int64_t *)list[2].data)[u * KEPT + k],
                                 best < 0 ? -1 : (int64_t)x->position[at]);
                check_close(((const float *)list[0].data)[u * KEPT + k],
                            best < 0 ? NAN : x->value[at], 0);
                if (best >= 0)
                    taken[best] = true;
            }
        }
    assert_int_equal(((const int64_t *)found.array[6].data)[2 * KEPT], 41);
    assert_int_equal(((const int64_t *)found.array[7].data)[2 * KEPT], 8);
    uint64_t emitted = 0;
    for (int i = 0; i < found.n; i++)
        emitted +=
            (uint64_t)nissl_array_count(&found.array[i]) * nissl_type_size(found.array[i].type);
    assert_int_equal(emitted, reducer->result_bytes(&site));
    site.gated = false;
    assert_int_equal(reducer->bytes(&site, MANY), 0);
    drop(&found);
    free(x);
    free(whole);
    free(part);
    free(merged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_golden, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_threads, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_refused, room_open, room_close),
        cmocka_unit_test_setup_teardown(test_out_of_memory, room_open, room_close),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
