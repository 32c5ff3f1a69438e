/* Reducers: golden values, any order for exact ones, the merge tree, planted exemplars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "foundation/foundation.h"
#include "recording/states.h"

#include "golden_reducers.h"

/* ---- collecting what a reducer emits ---- */

typedef struct collected {
    int n;
    char name[16][64];
    nissl_array array[16];
    uint64_t bytes;
} collected;

static nissl_status collect(void *user, const char *name, const char *unit, const char *description,
                            const nissl_array *array, nissl_error *err)
{
    collected *c = user;
    nissl_array *to = &c->array[c->n];
    size_t bytes = (size_t)nissl_array_count(array) * nissl_type_size(array->type);
    assert_true(c->n < 16 && strlen(description) > 10 && unit);
    snprintf(c->name[c->n++], sizeof c->name[0], "%s", name);
    assert_int_equal(nissl_array_new(array->type, array->rank, array->shape, to, err), NISSL_OK);
    memcpy(to->data, array->data, bytes);
    c->bytes += bytes;
    return NISSL_OK;
}

static const nissl_array *array_of(const collected *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (strcmp(c->name[i], name) == 0)
            return &c->array[i];
    fail_msg("no array %s", name);
    return NULL;
}

static void drop(collected *c)
{
    for (int i = 0; i < c->n; i++)
        nissl_array_free(&c->array[i]);
    c->n = 0;
}

static nissl_factor golden_factor(void)
{
    return (nissl_factor){.name = "label", .unit = "", .n_levels = N_LEVELS, .level = levels_of};
}

static nissl_reducer_site golden_site(const nissl_factor *const *factors)
{
    return (nissl_reducer_site){.n_units = N_UNITS,
                                .n_positions = 3,
                                .n_stimuli = N_STIMULI,
                                .n_factors = 1,
                                .factors = factors,
                                .top_k = TOP_K};
}

/* Runs a reducer over x in micro-batches with the recorder's tree. */
static collected reduce(const nissl_reducer *reducer, const nissl_reducer_site *site,
                        const float *x, const uint32_t *active, int64_t batch, int64_t leaf)
{
    nissl__states states;
    uint64_t allocated = 0;
    collected c = {0};
    assert_int_equal(nissl__states_new(reducer, site, leaf, &states, &allocated, NULL), NISSL_OK);
    assert_int_equal(allocated, nissl__states_bytes(reducer, site, leaf));
    for (int64_t first = 0; first < site->n_stimuli; first += batch) {
        nissl_batch b = {.first = first,
                         .n_stimuli = NISSL__MIN(batch, site->n_stimuli - first),
                         .n_units = site->n_units,
                         .n_positions = site->n_positions,
                         .value = x + first * site->n_units,
                         .active = active ? active + first * site->n_units : NULL};
        nissl__states_update(&states, &b);
    }
    assert_int_equal(reducer->finish(nissl__states_finish(&states), site, collect, &c, NULL),
                     NISSL_OK);
    assert_int_equal(c.bytes, reducer->result_bytes(site));
    nissl__states_free(&states);
    return c;
}

static void near(double found, double expected, double relative)
{
    if (isnan(expected))
        assert_true(isnan(found));
    else if (!(fabs(found - expected) <= relative * fabs(expected)))
        fail_msg("found %.17g, expected %.17g", found, expected);
}

static void near_all(const nissl_array *found, const double *expected, double relative)
{
    for (int64_t i = 0; i < nissl_array_count(found); i++)
        near(found->type == NISSL_FLOAT64 ? ((const double *)found->data)[i]
                                          : (double)((const float *)found->data)[i],
             expected[i], relative);
}

/* Whatever the micro-batches and leaves. */
static void test_golden(void **state)
{
    nissl_factor factor = golden_factor();
    const nissl_factor *factors[1] = {&factor};
    nissl_reducer_site site = golden_site(factors);
    static const int64_t splits[][2] = {{48, 48}, {1, 1}, {4, 8}, {5, 10}, {7, 7}, {64, 64}};
    for (size_t k = 0; k < sizeof splits / sizeof *splits; k++) {
        int64_t batch = splits[k][0], leaf = splits[k][1];
        collected c = reduce(nissl_reducer_find("moments"), &site, responses, NULL, batch, leaf);
        near_all(array_of(&c, "mean"), mean, 1e-13);
        /* unit 5 is 1000 +- 0.001: what float64 can resolve of its variance */
        near_all(array_of(&c, "variance"), variance, 1e-7);
        near_all(array_of(&c, "min"), minimum, 0);
        near_all(array_of(&c, "max"), maximum, 0);
        near_all(array_of(&c, "rectified_mean"), rectified_mean, 1e-13);
        near_all(array_of(&c, "rectified_mean_square"), rectified_mean_square, 1e-13);
        for (int u = 0; u < N_UNITS; u++)
            assert_int_equal(((const int64_t *)array_of(&c, "n")->data)[u], N_STIMULI);
        drop(&c);

        c = reduce(nissl_reducer_find("by-condition"), &site, responses, NULL, batch, leaf);
        near_all(array_of(&c, "label/mean"), condition_mean, 1e-7);
        near_all(array_of(&c, "label/variance"), condition_variance, 1e-6);
        assert_int_equal(array_of(&c, "label/mean")->shape[1], N_LEVELS);
        drop(&c);

        c = reduce(nissl_reducer_find("exemplars"), &site, responses, NULL, batch, leaf);
        assert_memory_equal(array_of(&c, "top_stimulus")->data, top_stimulus, sizeof top_stimulus);
        assert_memory_equal(array_of(&c, "bottom_stimulus")->data, bottom_stimulus,
                            sizeof bottom_stimulus);
        for (int i = 0; i < N_UNITS * TOP_K; i++) {
            int u = i / TOP_K;
            assert_true(((const float *)array_of(&c, "top_value")->data)[i] ==
                        responses[top_stimulus[i] * N_UNITS + u]);
            assert_true(((const float *)array_of(&c, "bottom_value")->data)[i] ==
                        responses[bottom_stimulus[i] * N_UNITS + u]);
        }
        drop(&c);

        c = reduce(nissl_reducer_find("histogram"), &site, responses, NULL, batch, leaf);
        for (int u = 0; u < N_UNITS; u++) {
            int top = ((const int32_t *)array_of(&c, "top")->data)[u];
            const double *found = (const double *)array_of(&c, "quantiles")->data + u * 9;
            for (int q = 0; q < 9; q++) {
                double expected = quantile[u * 9 + q];
                double bound = fabs(expected) / 17 * (1 + 1e-12);
                if (fabs(expected) < ldexp(1, top - 15))
                    bound = ldexp(1, top - 15);
                assert_true(fabs(found[q] - expected) <= bound);
            }
        }
        drop(&c);
    }
}

/* ---- properties ---- */

static float *random_values(int64_t n, uint64_t seed)
{
    float *x = nissl__alloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        double size = exp(12 * nissl__random_uniform(seed, 0, (uint64_t)i) - 6);
        x[i] = (float)(nissl__random_normal(seed, 1, (uint64_t)i) * size);
        if (nissl__random_below(seed, 2, (uint64_t)i, 10) < 3)
            x[i] = 0; /* ties */
        if (nissl__random_below(seed, 2, (uint64_t)i, 1000) == 999)
            x[i] = i % 2 ? NAN : -INFINITY;
    }
    return x;
}

/* Exact reducers: shuffled stimuli one at a time, merged in a random tree, give the same arrays. */
static void test_exact_in_any_order(void **state)
{
    enum { STIMULI = 300, UNITS = 7 };
    nissl_reducer_site site = {
        .n_units = UNITS, .n_positions = 9, .n_stimuli = STIMULI, .top_k = 6};
    float *x = random_values(STIMULI * UNITS, 5);
    uint32_t active[STIMULI * UNITS];
    for (int i = 0; i < STIMULI * UNITS; i++)
        active[i] = (uint32_t)nissl__random_below(6, 0, (uint64_t)i, 10);
    for (size_t r = 0; nissl_reducers()[r]; r++) {
        const nissl_reducer *reducer = nissl_reducers()[r];
        if (!(reducer->needs & NISSL_REDUCER_EXACT) || reducer->bytes(&site, STIMULI) == 0)
            continue;
        collected in_order = reduce(reducer, &site, x, active, 32, 32);
        for (uint64_t trial = 0; trial < 5; trial++) {
            enum { PARTS = 4 };
            int64_t order[STIMULI];
            void *part[PARTS];
            collected c = {0};
            nissl__random_permutation(trial, 7, STIMULI, order);
            for (int p = 0; p < PARTS; p++) {
                part[p] = nissl__alloc(reducer->bytes(&site, STIMULI), 1);
                reducer->init(part[p], &site, STIMULI);
            }
            for (int i = 0; i < STIMULI; i++) {
                nissl_batch b = {.first = order[i],
                                 .n_stimuli = 1,
                                 .n_units = UNITS,
                                 .n_positions = 9,
                                 .value = x + order[i] * UNITS,
                                 .active = active + order[i] * UNITS};
                reducer->update(part[nissl__random_below(trial, 8, (uint64_t)i, PARTS)], &site, &b);
            }
            reducer->merge(part[1], part[3], &site);
            reducer->merge(part[2], part[1], &site);
            reducer->merge(part[2], part[0], &site);
            assert_int_equal(reducer->finish(part[2], &site, collect, &c, NULL), NISSL_OK);
            assert_int_equal(c.n, in_order.n);
            for (int i = 0; i < c.n; i++)
                assert_memory_equal(c.array[i].data, in_order.array[i].data,
                                    (size_t)nissl_array_count(&c.array[i]) *
                                        nissl_type_size(c.array[i].type));
            for (int p = 0; p < PARTS; p++)
                nissl__free(part[p]);
            drop(&c);
        }
        drop(&in_order);
    }
    nissl__free(x);
}

/* The tree over leaves: shards that hold whole subtrees, merged, give the bits of one pass. */
static void test_tree_is_fixed(void **state)
{
    enum { UNITS = 5, LEAF = 8, STIMULI = 8 * 11 + 3 };
    static const char *const names[] = {"moments", "by-condition"};
    int32_t level[STIMULI];
    nissl_factor factor = {.name = "label", .n_levels = 6, .level = level};
    const nissl_factor *factors[1] = {&factor};
    nissl_reducer_site site = {.n_units = UNITS,
                               .n_positions = 1,
                               .n_stimuli = STIMULI,
                               .n_factors = 1,
                               .factors = factors,
                               .top_k = 3};
    float *x = random_values(STIMULI * UNITS, 11);
    for (int i = 0; i < STIMULI; i++)
        level[i] = (int32_t)nissl__random_below(12, 0, (uint64_t)i, 6);
    for (int r = 0; r < 2; r++) {
        const nissl_reducer *reducer = nissl_reducer_find(names[r]);
        /* leaves 0..7, 8..9, 10, 11 in the tree; whatever the micro-batch in a leaf */
        static const int span[4][2] = {{0, 8}, {8, 10}, {10, 11}, {11, 12}};
        void *part[4] = {NULL};
        collected whole = reduce(reducer, &site, x, NULL, 8, LEAF), c = {0};
        collected small = reduce(reducer, &site, x, NULL, 2, LEAF);
        for (int i = 0; i < whole.n; i++)
            assert_memory_equal(whole.array[i].data, small.array[i].data,
                                (size_t)nissl_array_count(&whole.array[i]) *
                                    nissl_type_size(whole.array[i].type));
        for (int p = 0; p < 4; p++) {
            int n = span[p][1] - span[p][0];
            nissl__states states;
            uint64_t allocated = 0;
            nissl_reducer_site shard = site;
            shard.n_stimuli = NISSL__MIN(STIMULI, span[p][1] * LEAF) - span[p][0] * LEAF;
            assert_int_equal(nissl__states_new(reducer, &shard, LEAF, &states, &allocated, NULL),
                             NISSL_OK);
            for (int leaf = 0; leaf < n; leaf++) {
                int64_t first = (span[p][0] + leaf) * LEAF;
                nissl_batch b = {.first = first,
                                 .n_stimuli = NISSL__MIN(LEAF, STIMULI - first),
                                 .n_units = UNITS,
                                 .value = x + first * UNITS};
                nissl__states_update(&states, &b);
            }
            part[p] = nissl__alloc(reducer->bytes(&site, STIMULI), 1);
            reducer->init(part[p], &site, STIMULI);
            reducer->merge(part[p], nissl__states_finish(&states), &site);
            nissl__states_free(&states);
        }
        /* the last leaves pair as a counter does: (10, 11), then with 8..9, then with 0..7 */
        reducer->merge(part[2], part[3], &site);
        reducer->merge(part[1], part[2], &site);
        reducer->merge(part[0], part[1], &site);
        assert_int_equal(reducer->finish(part[0], &site, collect, &c, NULL), NISSL_OK);
        for (int i = 0; i < whole.n; i++)
            assert_memory_equal(whole.array[i].data, c.array[i].data,
                                (size_t)nissl_array_count(&whole.array[i]) *
                                    nissl_type_size(whole.array[i].type));
        for (int p = 0; p < 4; p++)
            nissl__free(part[p]);
        drop(&whole);
        drop(&small);
        drop(&c);
    }
    nissl__free(x);
}

/* Exemplars planted among ties are found, earlier stimuli first. */
static void test_planted_exemplars(void **state)
{
    enum { STIMULI = 1000, UNITS = 3 };
    nissl_reducer_site site = {
        .n_units = UNITS, .n_positions = 1, .n_stimuli = STIMULI, .top_k = 4};
    float *x = nissl__alloc(STIMULI * UNITS, sizeof *x);
    static const int64_t planted[UNITS][2] = {{777, 3}, {0, 999}, {500, 499}};
    collected c;
    const int64_t *top, *bottom;
    for (int u = 0; u < UNITS; u++) {
        x[planted[u][0] * UNITS + u] = 2;
        x[planted[u][1] * UNITS + u] = -1;
    }
    c = reduce(nissl_reducer_find("exemplars"), &site, x, NULL, 16, 16);
    top = array_of(&c, "top_stimulus")->data;
    bottom = array_of(&c, "bottom_stimulus")->data;
    for (int u = 0; u < UNITS; u++) {
        assert_int_equal(top[u * 4], planted[u][0]);
        assert_int_equal(bottom[u * 4], planted[u][1]);
        /* the rest are zeros: the first stimuli that are neither planted */
        for (int k = 1, next = 0; k < 4; k++, next++) {
            while (next == planted[u][0] || next == planted[u][1])
                next++;
            assert_int_equal(top[u * 4 + k], next);
            assert_int_equal(bottom[u * 4 + k], next);
        }
    }
    drop(&c);
    nissl__free(x);
}

/* The window of a histogram moves up when larger values come; counts stay whole. */
static void test_histogram_window(void **state)
{
    float x[8] = {1e-30f, -1e-6f, 0.0f, 1.0f, -1.5f, 3e38f, NAN, INFINITY};
    nissl_reducer_site site = {.n_units = 1, .n_positions = 1, .n_stimuli = 8, .top_k = 1};
    collected c = reduce(nissl_reducer_find("histogram"), &site, x, NULL, 1, 1);
    const uint32_t *counts = array_of(&c, "counts")->data;
    assert_int_equal(((const int32_t *)array_of(&c, "top")->data)[0], 127);
    assert_int_equal(((const uint32_t *)array_of(&c, "not_finite")->data)[0], 2);
    assert_int_equal(counts[128], 5);
    assert_int_equal(counts[129 + 15 * 8 + 6], 1); /* 3e38 = 1.763 * 2^127 */
    drop(&c);
    site.n_stimuli = 5;
    c = reduce(nissl_reducer_find("histogram"), &site, x, NULL, 2, 2);
    counts = array_of(&c, "counts")->data;
    assert_int_equal(((const int32_t *)array_of(&c, "top")->data)[0], 0);
    assert_int_equal(counts[128], 3);
    assert_int_equal(counts[129 + 15 * 8], 1);
    assert_int_equal(counts[127 - 15 * 8 - 4], 1);
    drop(&c);
}

/* The states of 500 conditions and 12,000 units: no more slots than stimuli. */
static void test_condition_memory(void **state)
{
    nissl_factor factor = {.name = "label", .n_levels = 500};
    const nissl_factor *factors[1] = {&factor};
    nissl_reducer_site site = {
        .n_units = 12000, .n_stimuli = 50000, .n_factors = 1, .factors = factors};
    const nissl_reducer *reducer = nissl_reducer_find("by-condition");
    assert_true(reducer->bytes(&site, 32) < 32 * 12000 * 16 + 10000);
    assert_true(reducer->bytes(&site, 50000) < 500 * 12000 * 16 + 10000);
}

static void test_frequency(void **state)
{
    static const uint32_t active[6] = {0, 9, 3, 1, 9, 0};
    static const float x[6] = {0};
    nissl_reducer_site site = {.n_units = 2, .n_positions = 9, .n_stimuli = 3};
    collected c = reduce(nissl_reducer_find("frequency"), &site, x, active, 2, 2);
    assert_int_equal(((const int64_t *)array_of(&c, "active")->data)[0], 12);
    assert_true(((const double *)array_of(&c, "frequency")->data)[1] == 10.0 / 27.0);
    drop(&c);
}

static void test_list(void **state)
{
    static const char *const names[] = {"moments",   "by-condition", "histogram", "exemplars",
                                        "frequency", "quadrants",    "responses"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(nissl_reducer_find(names[i])->name, names[i]);
    assert_null(nissl_reducer_find("mode"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),           cmocka_unit_test(test_exact_in_any_order),
        cmocka_unit_test(test_tree_is_fixed),    cmocka_unit_test(test_planted_exemplars),
        cmocka_unit_test(test_histogram_window), cmocka_unit_test(test_condition_memory),
        cmocka_unit_test(test_frequency),        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
