/* Summaries of site views: against the definition in float64, and bit-equal over strides and
 * instruction sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "foundation/foundation.h"
#include "recording/summary.h"

/* Strides of a site [n, c, h, w]. */
typedef enum layout { CHANNELS_FIRST, CHANNELS_LAST, GAPPED, TRANSPOSED, DOUBLES } layout;
enum { N_LAYOUTS = DOUBLES + 1 };

typedef struct site {
    int64_t n, c, h, w;
    float *logical; /* row-major [n, c, h, w] */
} site;

static site new_site(int64_t n, int64_t c, int64_t h, int64_t w, uint64_t seed)
{
    site s = {n, c, h, w, nissl__alloc((size_t)(n * c * h * w), sizeof(float))};
    for (int64_t i = 0; i < n * c * h * w; i++)
        s.logical[i] = (float)(exp(nissl__random_normal(seed, 0, (uint64_t)i)) *
                               (nissl__random_uniform(seed, 1, (uint64_t)i) - 0.4));
    return s;
}

/* A copy of the site in a layout, as a view over memory to free. */
static nissl_view lay_out(const site *s, layout how)
{
    int64_t shape[4] = {s->n, s->c, s->h, s->w};
    nissl_view v = nissl_view_of(NULL, NISSL_FLOAT32, 4, shape);
    int64_t c = s->c, h = s->h, w = s->w;
    const int64_t strides[N_LAYOUTS][4] = {
        {c * h * w, h * w, w, 1}, {c * h * w, 1, w * c, c}, {c * h * w * 4, h * w * 2, w * 2, 2},
        {c * h * w, h * w, 1, h}, {c * h * w, h * w, w, 1},
    };
    memcpy(v.stride, strides[how], sizeof strides[how]);
    v.role[0] = NISSL_AXIS_STIMULUS;
    v.role[1] = NISSL_AXIS_UNIT;
    v.role[2] = v.role[3] = NISSL_AXIS_POSITION;
    v.type = how == DOUBLES ? NISSL_FLOAT64 : NISSL_FLOAT32;
    v.data = nissl__alloc((size_t)(s->n * c * h * w * 4), nissl_type_size(v.type));
    for (int64_t i = 0; i < s->n * c * h * w; i++) {
        int64_t at = i / (c * h * w) * v.stride[0] + i / (h * w) % c * v.stride[1] +
                     i / w % h * v.stride[2] + i % w * v.stride[3];
        if (how == DOUBLES)
            ((double *)v.data)[at] = (double)s->logical[i];
        else
            ((float *)v.data)[at] = s->logical[i];
    }
    return v;
}

static const int64_t shapes[][3] = {{1, 1, 1},   {3, 20, 31}, {10, 1, 1}, {64, 13, 13},
                                    {37, 7, 9},  {16, 56, 3}, {5, 8, 8},  {1, 300, 1},
                                    {130, 2, 2}, {24, 1, 63}};

static void test_definition(void **state)
{
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        site s = new_site(2, shapes[k][0], shapes[k][1], shapes[k][2], k);
        int64_t positions = s.h * s.w, n = s.n * s.c;
        float *value = nissl__alloc((size_t)n, sizeof *value);
        uint32_t *active = nissl__alloc((size_t)n, sizeof *active);
        double *scratch = nissl__alloc((size_t)s.c, sizeof *scratch);
        nissl_view v = lay_out(&s, CHANNELS_LAST);
        for (int summary = NISSL_SUMMARY_MEAN; summary <= NISSL_SUMMARY_CENTRE; summary++) {
            const nissl__summary_kernels *kernels = nissl__summary_kernels_of(nissl__summary_isa());
            assert_int_equal(nissl__summarise(kernels, (nissl_summary)summary, &v, 2, scratch,
                                              value, active, NULL),
                             NISSL_OK);
            for (int64_t i = 0; i < n; i++) {
                const float *x = s.logical + i * positions;
                double sum = 0, size = 0;
                float max = x[0];
                uint32_t count = 0;
                for (int64_t p = 0; p < positions; p++) {
                    sum += (double)x[p];
                    size += fabs((double)x[p]);
                    max = NISSL__MAX(max, x[p]);
                    count += x[p] > 0;
                }
                assert_int_equal(active[i], count);
                if (summary == NISSL_SUMMARY_MEAN)
                    assert_true(fabs((double)value[i] - sum / (double)positions) <=
                                7e-7 * size / (double)positions);
                else if (summary == NISSL_SUMMARY_MAX)
                    assert_true(value[i] == max);
                else
                    assert_true(value[i] == x[s.h / 2 * s.w + s.w / 2]);
            }
        }
        nissl__free(v.data);
        nissl__free(value);
        nissl__free(active);
        nissl__free(scratch);
        nissl__free(s.logical);
    }
}

/* The order that summary.h states, in the plainest way. */
static void plain_loop(const site *s, nissl_summary summary, float *value, uint32_t *active)
{
    int64_t positions = s->h * s->w;
    for (int64_t i = 0; i < s->n * s->c; i++) {
        const float *x = s->logical + i * positions;
        double sum = 0;
        float max = -INFINITY;
        active[i] = 0;
        for (int64_t first = 0; first < positions; first += 64) {
            float t[8] = {0};
            for (int64_t p = first; p < positions && p < first + 64; p++) {
                t[p % 8] += x[p];
                max = x[p] > max || x[p] != x[p] ? x[p] : max;
                active[i] += x[p] > 0;
            }
            sum += (double)(((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7])));
        }
        value[i] = summary == NISSL_SUMMARY_MEAN  ? (float)(sum / (double)positions)
                   : summary == NISSL_SUMMARY_MAX ? max
                                                  : x[s->h / 2 * s->w + s->w / 2];
        value[i] = value[i] != value[i] ? NAN : value[i] + 0.0f;
    }
}

/* Every layout and instruction set gives the bits of the plain loop. */
static void test_same_bits(void **state)
{
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        site s = new_site(3, shapes[k][0], shapes[k][1], shapes[k][2], 100 + k);
        size_t n = (size_t)(s.n * s.c);
        float *value = nissl__alloc(2 * n, sizeof *value);
        uint32_t *active = nissl__alloc(2 * n, sizeof *active);
        double *scratch = nissl__alloc((size_t)s.c, sizeof *scratch);
        if (k % 2) /* NaN must reach the mean and the maximum wherever it stands */
            s.logical[(int64_t)k * 7 % (s.n * s.c * s.h * s.w)] = NAN;
        for (int summary = NISSL_SUMMARY_MEAN; summary <= NISSL_SUMMARY_CENTRE; summary++) {
            plain_loop(&s, (nissl_summary)summary, value, active);
            for (int how = 0; how < N_LAYOUTS; how++) {
                nissl_view v = lay_out(&s, (layout)how);
                for (int isa = 0; isa <= (int)nissl__summary_isa(); isa++) {
                    const nissl__summary_kernels *kernels =
                        nissl__summary_kernels_of((nissl__isa)isa);
                    memset(value + n, 0xff, n * sizeof *value);
                    memset(active + n, 0xff, n * sizeof *active);
                    assert_int_equal(nissl__summarise(kernels, (nissl_summary)summary, &v, s.n,
                                                      scratch, value + n, active + n, NULL),
                                     NISSL_OK);
                    assert_memory_equal(value, value + n, n * sizeof *value);
                    assert_memory_equal(active, active + n, n * sizeof *active);
                    memset(value + n, 0xff, n * sizeof *value);
                    assert_int_equal(nissl__summarise(kernels, (nissl_summary)summary, &v, s.n,
                                                      scratch, value + n, NULL, NULL),
                                     NISSL_OK);
                    assert_memory_equal(value, value + n, n * sizeof *value);
                }
                nissl__free(v.data);
            }
        }
        nissl__free(value);
        nissl__free(active);
        nissl__free(scratch);
        nissl__free(s.logical);
    }
}

/* The kinds of chain, in memory of their own or in one. */
static const struct {
    bool scales, clips, in_place;
} chains[] = {{false, true, false}, {false, true, true}, {true, false, false},
              {true, false, true},  {true, true, false}, {true, true, true}};

/* A chain gives its tensors and the bits of the summaries of each, at every instruction set. */
static void test_chain(void **state)
{
    static const float bounds[][2] = {{0, INFINITY}, {0, 6}, {-0.5f, 0.25f}, {0.1f, 1}};
    for (size_t k = 0; k < 4 * (sizeof shapes / sizeof *shapes); k++) {
        const int64_t *shape = shapes[k / 4];
        site s = new_site(3, shape[0], shape[1], shape[2], 200 + k), scaled = s, clipped = s;
        size_t n = (size_t)(s.n * s.c), all = n * (size_t)(s.h * s.w);
        float *value = nissl__alloc(6 * n, sizeof *value);
        uint32_t *active = nissl__alloc(6 * n, sizeof *active);
        double *scratch = nissl__alloc(3 * (size_t)s.c, sizeof *scratch);
        float *scale = nissl__alloc((size_t)s.c, sizeof *scale);
        float *shift = nissl__alloc((size_t)s.c, sizeof *shift);
        scaled.logical = nissl__alloc(all, sizeof(float));
        clipped.logical = nissl__alloc(all, sizeof(float));
        for (int64_t i = 0; i < s.c; i++) {
            scale[i] = (float)nissl__random_normal(k, 2, (uint64_t)i);
            shift[i] = (float)nissl__random_normal(k, 3, (uint64_t)i);
        }
        s.logical[all / 2] = -0.0f;
        if (k % 3 == 0)
            s.logical[all / 3] = NAN;
        for (size_t kind = 0; kind < sizeof chains / sizeof *chains; kind++) {
            bool scales = chains[kind].scales, clips = chains[kind].clips;
            nissl__chain chain = {.scale = scales ? scale : NULL,
                                  .shift = scales ? shift : NULL,
                                  .low = bounds[k % 4][0],
                                  .high = bounds[k % 4][1],
                                  .keeps_scaled = scales && !(clips && chains[kind].in_place)};
            for (size_t i = 0; i < all; i++) {
                size_t unit = i / (size_t)(s.h * s.w) % (size_t)s.c;
                float v = s.logical[i];
                scaled.logical[i] = v = scales ? v * scale[unit] + shift[unit] : v;
                clipped.logical[i] = v < chain.low ? chain.low : v > chain.high ? chain.high : v;
            }
            plain_loop(&s, NISSL_SUMMARY_MEAN, value, active);
            plain_loop(&scaled, NISSL_SUMMARY_MEAN, value + n, active + n);
            plain_loop(&clipped, NISSL_SUMMARY_MEAN, value + 2 * n, active + 2 * n);
            nissl_view expected[2] = {lay_out(&scaled, CHANNELS_LAST),
                                      lay_out(&clipped, CHANNELS_LAST)};
            for (int isa = 0; isa <= (int)nissl__summary_isa(); isa++) {
                nissl_view memory[3], at[3];
                nissl__summary_of of[3];
                for (int i = 0; i < 3; i++) {
                    memory[i] = lay_out(&s, CHANNELS_LAST);
                    at[i] = memory[chains[kind].in_place ? 0 : i];
                    of[i].value = value + (3 + (size_t)i) * n;
                    of[i].active = active + (3 + (size_t)i) * n;
                }
                memset(value + 3 * n, 0xff, 3 * n * sizeof *value);
                nissl__summarise_chain(nissl__summary_kernels_of((nissl__isa)isa), &chain, &at[0],
                                       scales ? &at[1] : NULL, clips ? &at[2] : NULL, s.n, scratch,
                                       of);
                for (int i = 0; i < 3; i++)
                    if (i == 0 || (i == 1 && scales) || (i == 2 && clips)) {
                        assert_memory_equal(value + (size_t)i * n, of[i].value, n * sizeof *value);
                        assert_memory_equal(active + (size_t)i * n, of[i].active,
                                            n * sizeof *active);
                    }
                if (chain.keeps_scaled)
                    assert_memory_equal(at[1].data, expected[0].data, all * sizeof(float));
                if (clips)
                    assert_memory_equal(at[2].data, expected[1].data, all * sizeof(float));
                for (int i = 0; i < 3; i++)
                    nissl__free(memory[i].data);
            }
            nissl__free(expected[0].data);
            nissl__free(expected[1].data);
        }
        nissl__free(scaled.logical);
        nissl__free(clipped.logical);
        nissl__free(s.logical);
        nissl__free(scale);
        nissl__free(shift);
        nissl__free(value);
        nissl__free(active);
        nissl__free(scratch);
    }
}

static void test_refusals(void **state)
{
    int64_t shape[2] = {2, 3};
    int64_t ids[6] = {0};
    nissl_view v = nissl_view_of(ids, NISSL_INT64, 2, shape);
    float value[6];
    double scratch[3];
    nissl_error err = {0};
    const nissl__summary_kernels *kernels = nissl__summary_kernels_of(NISSL__ISA_BASE);
    v.role[1] = NISSL_AXIS_UNIT;
    assert_int_equal(
        nissl__summarise(kernels, NISSL_SUMMARY_MEAN, &v, 2, scratch, value, NULL, &err),
        NISSL_ERR_TYPE);
    v.type = NISSL_FLOAT32;
    assert_int_equal(
        nissl__summarise(kernels, NISSL_SUMMARY_MEAN, &v, 3, scratch, value, NULL, &err),
        NISSL_ERR_SHAPE);
    assert_non_null(strstr(err.message, "3 stimuli"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
