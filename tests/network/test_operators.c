/* Operators by what must hold of them: inverses, orders, sums, ties, and bad indices. Their forms
 * and numbers are tested by the ONNX backend tests (tests/conformance). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "network/graph_of_one.h"

static void must_run(one *o)
{
    nissl_error err = {0};
    if (one_run(o, &err) != NISSL_OK)
        fail_msg("%s: %s", o->op, err.message);
}

static void must_fail(one *o, nissl_status code, const char *part)
{
    nissl_error err = {0};
    nissl_status status = one_run(o, &err);
    if (status != code || !strstr(err.message, part))
        fail_msg("%s: status %d, expected %d: %s (expected %s)", o->op, (int)status, (int)code,
                 err.message, part);
}

static void fill(float *x, int64_t n, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)nissl__random_normal(7, stream, (uint64_t)i);
}

static nissl_view floats(float *x, int rank, const int64_t *shape)
{
    return one_view(x, NISSL_FLOAT32, rank, shape);
}

static nissl_view integers(int64_t *x, int rank, const int64_t *shape)
{
    return one_view(x, NISSL_INT64, rank, shape);
}

#define SHAPE(...)                                                                                 \
    (const int64_t[])                                                                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* ---- options ---- */

static void test_bound_input_decides_shape(void **state)
{
    float x[6] = {1, 2, 3, 4, 5, 6};
    int64_t shape[2] = {3, -1};
    one o = {.op = "Reshape", .n_inputs = 2, .n_outputs = 1};
    o.inputs[0] = floats(x, 2, SHAPE(2, 3));
    o.inputs[1] = integers(shape, 1, SHAPE(2));
    must_fail(&o, NISSL_ERR_UNSUPPORTED, "input 1 must be a constant");
    o.known[1] = true;
    must_run(&o);
    assert_int_equal(o.outputs[0].shape[0], 3);
    assert_int_equal(o.outputs[0].shape[1], 2);
    assert_memory_equal(o.outputs[0].data, x, sizeof x);
    one_free(&o);
}

static void test_exact_shapes_need_no_stimulus_axis(void **state)
{
    float x = -2;
    one o = {.op = "Abs", .n_inputs = 1, .n_outputs = 1};
    o.inputs[0] = floats(&x, 0, NULL);
    must_run(&o);
    assert_int_equal(o.outputs[0].rank, 0);
    assert_true(*(float *)o.outputs[0].data == 2);
    one_free(&o);
}

/* ---- order ---- */

static void test_top_is_sorted(void **state)
{
    enum { N = 1000 };
    float x[2 * N];
    int64_t k = N;
    one o = {.op = "TopK", .n_inputs = 2, .n_outputs = 2, .known = {false, true}};
    fill(x, 2 * N, 1);
    for (int i = 0; i < N; i += 3) /* many equal ones */
        x[i] = roundf(x[i]);
    o.inputs[0] = floats(x, 2, SHAPE(2, N));
    o.inputs[1] = integers(&k, 1, SHAPE(1));
    must_run(&o);
    const float *values = o.outputs[0].data;
    const int64_t *at = o.outputs[1].data;
    for (int row = 0; row < 2; row++) {
        bool seen[N] = {false};
        for (int i = 0; i < N; i++) {
            const float *v = values + row * N + i;
            int64_t j = at[row * N + i];
            assert_true(j >= 0 && j < N && !seen[j]);
            seen[j] = true;
            assert_true(*v == x[row * N + j]);
            if (i > 0 && v[-1] == *v)
                assert_true(at[row * N + i - 1] < j);
            else if (i > 0)
                assert_true(v[-1] > *v);
        }
    }
    one_free(&o);
}

static void test_extremes_see_nan_and_large_unsigned(void **state)
{
    float x[4] = {1, -3, NAN, 2};
    uint64_t u[3] = {5, UINT64_MAX, (uint64_t)1 << 63};
    one o = {.op = "ArgMin", .n_inputs = 1, .n_outputs = 1};
    o.inputs[0] = floats(x, 1, SHAPE(4));
    must_run(&o);
    assert_int_equal(*(int64_t *)o.outputs[0].data, 2);
    one_free(&o);
    one p = {.op = "ArgMax", .n_inputs = 1, .n_outputs = 1};
    p.inputs[0] = one_view(u, NISSL_UINT64, 1, SHAPE(3));
    must_run(&p);
    assert_int_equal(*(int64_t *)p.outputs[0].data, 1);
    one_free(&p);
}

static void test_last_of_equal_extremes(void **state)
{
    float x[4] = {1, 3, 3, 2};
    one o = {.op = "ArgMax", .n_inputs = 1, .n_outputs = 1};
    o.inputs[0] = floats(x, 1, SHAPE(4));
    must_run(&o);
    assert_int_equal(*(int64_t *)o.outputs[0].data, 1);
    one_free(&o);
    one_int(&o, "select_last_index", 1);
    must_run(&o);
    assert_int_equal(*(int64_t *)o.outputs[0].data, 2);
    one_free(&o);
}

/* ---- picking and scattering ---- */

static void test_scatter_undoes_gather(void **state)
{
    enum { ROWS = 3, N = 17 };
    float x[ROWS * N], zero[ROWS * N] = {0};
    int64_t index[ROWS * N];
    one gather = {.op = "GatherElements", .n_inputs = 2, .n_outputs = 1};
    one scatter = {.op = "ScatterElements", .n_inputs = 3, .n_outputs = 1};
    fill(x, ROWS * N, 2);
    for (int row = 0; row < ROWS; row++)
        nissl__random_permutation(3, (uint64_t)row, N, index + row * N);
    index[4] -= N; /* the same entry, counted from the end */
    gather.inputs[0] = floats(x, 2, SHAPE(ROWS, N));
    gather.inputs[1] = integers(index, 2, SHAPE(ROWS, N));
    one_int(&gather, "axis", -1);
    must_run(&gather);
    assert_memory_not_equal(gather.outputs[0].data, x, sizeof x);
    scatter.inputs[0] = floats(zero, 2, SHAPE(ROWS, N));
    scatter.inputs[1] = gather.inputs[1];
    scatter.inputs[2] = floats(gather.outputs[0].data, 2, SHAPE(ROWS, N));
    one_int(&scatter, "axis", 1);
    must_run(&scatter);
    assert_memory_equal(scatter.outputs[0].data, x, sizeof x);
    one_free(&gather);
    one_free(&scatter);
}

static void test_scattered_sums_keep_every_update(void **state)
{
    float x[4] = {0}, updates[6] = {1, 2, 3, 4, 5, 6};
    int64_t index[6] = {0, 3, 0, 0, -1, 2};
    one o = {.op = "ScatterND", .n_inputs = 3, .n_outputs = 1};
    o.inputs[0] = floats(x, 1, SHAPE(4));
    o.inputs[1] = integers(index, 2, SHAPE(6, 1));
    o.inputs[2] = floats(updates, 1, SHAPE(6));
    one_string(&o, "reduction", "add");
    must_run(&o);
    const float *y = o.outputs[0].data;
    assert_true(y[0] == 8 && y[1] == 0 && y[2] == 6 && y[3] == 7);
    one_free(&o);
}

static void test_indices_outside_are_refused(void **state)
{
    float x[4] = {0}, updates[1] = {1};
    int64_t index[1] = {4}, low[1] = {-5};
    one o = {.op = "GatherElements", .n_inputs = 2, .n_outputs = 1};
    o.inputs[0] = floats(x, 1, SHAPE(4));
    o.inputs[1] = integers(index, 1, SHAPE(1));
    must_fail(&o, NISSL_ERR_RANGE, "index 4 is outside -4 .. 3");
    o.op = "GatherND";
    must_fail(&o, NISSL_ERR_RANGE, "index 4 is outside -4 .. 3");
    one p = {.op = "ScatterND", .n_inputs = 3, .n_outputs = 1};
    p.inputs[0] = o.inputs[0];
    p.inputs[1] = integers(low, 2, SHAPE(1, 1));
    p.inputs[2] = floats(updates, 1, SHAPE(1));
    must_fail(&p, NISSL_ERR_RANGE, "index -5 is outside -4 .. 3");
}

/* ---- views ---- */

static void test_expand_needs_no_memory(void **state)
{
    float x[4] = {1, 2, 3, 4};
    int64_t shape[3] = {1000, 4, 1000};
    one o = {.op = "Expand", .n_inputs = 2, .n_outputs = 1, .known = {false, true}};
    o.inputs[0] = floats(x, 2, SHAPE(4, 1));
    o.inputs[1] = integers(shape, 1, SHAPE(3));
    must_run(&o);
    assert_true(o.run_bytes < 1e5); /* the output has 16 MB */
    const float *y = o.outputs[0].data;
    for (int64_t i = 0; i < 4000000; i++)
        assert_true(y[i] == x[i / 1000 % 4]);
    one_free(&o);
}

static void test_split_covers_the_input(void **state)
{
    float x[2 * 7];
    one o = {.op = "Split", .n_inputs = 1, .n_outputs = 3};
    fill(x, 14, 4);
    o.inputs[0] = floats(x, 2, SHAPE(2, 7));
    one_int(&o, "axis", 1);
    one_int(&o, "num_outputs", 3);
    must_run(&o);
    int64_t first = 0;
    for (int i = 0; i < 3; i++) {
        const float *y = o.outputs[i].data;
        int64_t n = o.outputs[i].shape[1];
        assert_int_equal(n, i < 2 ? 3 : 1);
        for (int64_t row = 0; row < 2; row++)
            for (int64_t j = 0; j < n; j++)
                assert_true(y[row * n + j] == x[row * 7 + first + j]);
        first += n;
    }
    assert_int_equal(first, 7);
    one_free(&o);
}

static void test_space_to_depth_undoes_depth_to_space(void **state)
{
    float x[2 * 8 * 3 * 2];
    one deep = {.op = "DepthToSpace", .n_inputs = 1, .n_outputs = 1};
    one wide = {.op = "SpaceToDepth", .n_inputs = 1, .n_outputs = 1};
    fill(x, 96, 5);
    deep.inputs[0] = floats(x, 4, SHAPE(2, 8, 3, 2));
    one_int(&deep, "blocksize", 2);
    must_run(&deep);
    assert_int_equal(deep.outputs[0].shape[2], 6);
    wide.inputs[0] = floats(deep.outputs[0].data, 4, deep.outputs[0].shape);
    one_int(&wide, "blocksize", 2);
    must_run(&wide);
    assert_memory_equal(wide.outputs[0].data, x, sizeof x);
    one_free(&deep);
    one_free(&wide);
}

/* ---- sums ---- */

static void test_exclusive_sum_and_input_make_inclusive_sum(void **state)
{
    int64_t x[10], axis = 0;
    one inclusive = {.op = "CumSum", .n_inputs = 2, .n_outputs = 1, .known = {false, true}};
    for (int i = 0; i < 10; i++)
        x[i] = nissl__random_below(1, 6, (uint64_t)i, 100) - 50;
    inclusive.inputs[0] = integers(x, 2, SHAPE(5, 2));
    inclusive.inputs[1] = integers(&axis, 0, NULL);
    one exclusive = inclusive;
    one_int(&exclusive, "exclusive", 1);
    for (int reverse = 0; reverse < 2; reverse++) {
        if (reverse) {
            one_int(&inclusive, "reverse", 1);
            one_int(&exclusive, "reverse", 1);
        }
        must_run(&inclusive);
        must_run(&exclusive);
        const int64_t *all = inclusive.outputs[0].data, *before = exclusive.outputs[0].data;
        for (int i = 0; i < 10; i++)
            assert_int_equal(all[i], before[i] + x[i]);
        assert_int_equal(before[reverse ? 8 : 0], 0);
        one_free(&inclusive);
        one_free(&exclusive);
    }
}

/* ---- types ---- */

static float cast_to_half(double x)
{
    one o = {.op = "Cast", .n_inputs = 1, .n_outputs = 1};
    o.inputs[0] = one_view(&x, NISSL_FLOAT64, 0, NULL);
    one_int(&o, "to", 10);
    must_run(&o);
    float y = *(float *)o.outputs[0].data;
    one_free(&o);
    return y;
}

static void test_halves_round_once(void **state)
{
    assert_true(cast_to_half(1 + 0x1p-11) == 1);                      /* a tie, to even */
    assert_true(cast_to_half(1 + 3 * 0x1p-11) == 1 + 0x1p-9f);        /* a tie, to even */
    assert_true(cast_to_half(1 + 0x1p-11 + 0x1p-40) == 1 + 0x1p-10f); /* no tie as a double */
    assert_true(cast_to_half(-1 - 0x1p-11 - 0x1p-40) == -1 - 0x1p-10f);
    assert_true(cast_to_half(65519.999) == 65504);
    assert_true(isinf(cast_to_half(65520)));
    assert_true(cast_to_half(0x1p-25) == 0);
    assert_true(cast_to_half(0x1.8p-25) == 0x1p-24f);
}

static void test_large_integers_stay_exact(void **state)
{
    int64_t x[3] = {((int64_t)1 << 53) + 1, -((int64_t)1 << 62) - 3, 5}, low = 6,
            high = ((int64_t)1 << 53) + 1;
    one o = {.op = "Clip", .n_inputs = 3, .n_outputs = 1};
    o.inputs[0] = integers(x, 1, SHAPE(3));
    o.inputs[1] = integers(&low, 0, NULL);
    o.inputs[2] = integers(&high, 0, NULL);
    must_run(&o);
    const int64_t *y = o.outputs[0].data;
    assert_true(y[0] == x[0] && y[1] == 6 && y[2] == 6);
    one_free(&o);
    uint64_t a[2] = {UINT64_MAX, 7}, b[2] = {2, UINT64_MAX};
    one d = {.op = "Div", .n_inputs = 2, .n_outputs = 1};
    d.inputs[0] = one_view(a, NISSL_UINT64, 1, SHAPE(2));
    d.inputs[1] = one_view(b, NISSL_UINT64, 1, SHAPE(2));
    must_run(&d);
    assert_true(((uint64_t *)d.outputs[0].data)[0] == UINT64_MAX / 2);
    assert_true(((uint64_t *)d.outputs[0].data)[1] == 0);
    one_free(&d);
}

/* ---- slow forms against fast ones ---- */

static void assert_close(const nissl_array *a, const nissl_array *b)
{
    int64_t n = nissl_array_count(a);
    nissl_error err = {0};
    assert_int_equal(n, nissl_array_count(b));
    for (int64_t i = 0; i < n; i++) {
        nissl_view va = nissl_array_view(a), vb = nissl_array_view(b);
        double x, y;
        va.data = (char *)a->data + i * (int64_t)nissl_type_size(a->type);
        vb.data = (char *)b->data + i * (int64_t)nissl_type_size(b->type);
        va.rank = vb.rank = 0;
        assert_int_equal(nissl_view_copy(&va, NISSL_FLOAT64, &x, &err), NISSL_OK);
        assert_int_equal(nissl_view_copy(&vb, NISSL_FLOAT64, &y, &err), NISSL_OK);
        if (fabs(x - y) > 1e-5 * (1 + fabs(y)))
            fail_msg("element %lld: %.9g and %.9g", (long long)i, x, y);
    }
}

static void test_direct_convolution_agrees(void **state)
{
    float x[2 * 4 * 7 * 6], w[6 * 2 * 3 * 2], b[6];
    one fast = {.op = "Conv", .n_inputs = 3, .n_outputs = 1, .known = {false, true, true}};
    fill(x, 336, 7);
    fill(w, 72, 8);
    fill(b, 6, 9);
    fast.inputs[0] = floats(x, 4, SHAPE(2, 4, 7, 6));
    fast.inputs[1] = floats(w, 4, SHAPE(6, 2, 3, 2));
    fast.inputs[2] = floats(b, 1, SHAPE(6));
    one_int(&fast, "group", 2);
    one_ints(&fast, "strides", SHAPE(2, 1), 2);
    one_ints(&fast, "dilations", SHAPE(1, 2), 2);
    one_ints(&fast, "pads", SHAPE(1, 0, 2, 1), 4);
    one dynamic = fast, folded = fast;
    dynamic.known[1] = dynamic.known[2] = false;
    folded.known[0] = true;
    must_run(&fast);
    must_run(&dynamic);
    must_run(&folded);
    assert_close(&dynamic.outputs[0], &fast.outputs[0]);
    assert_close(&folded.outputs[0], &fast.outputs[0]);
    one_free(&fast);
    one_free(&dynamic);
    one_free(&folded);
}

static void test_direct_pooling_agrees(void **state)
{
    static const char *const kinds[] = {"MaxPool", "AveragePool"};
    float x[3 * 8 * 9];
    double wide[3 * 8 * 9];
    fill(x, 216, 10);
    for (int i = 0; i < 216; i++)
        wide[i] = (double)x[i];
    for (int kind = 0; kind < 2; kind++)
        for (int ceil = 0; ceil < 2; ceil++) {
            one fast = {.op = kinds[kind], .n_inputs = 1, .n_outputs = 1};
            fast.inputs[0] = floats(x, 4, SHAPE(1, 3, 8, 9));
            one_ints(&fast, "kernel_shape", SHAPE(3, 2), 2);
            one_ints(&fast, "strides", SHAPE(2, 3), 2);
            one_ints(&fast, "pads", SHAPE(1, 1, 0, 1), 4);
            one_int(&fast, "ceil_mode", ceil);
            if (kind == 1)
                one_int(&fast, "count_include_pad", ceil);
            one direct = fast;
            direct.inputs[0] = one_view(wide, NISSL_FLOAT64, 4, SHAPE(1, 3, 8, 9));
            must_run(&fast);
            must_run(&direct);
            assert_close(&direct.outputs[0], &fast.outputs[0]);
            one_free(&fast);
            one_free(&direct);
        }
}

static void test_indices_of_maxima_point_at_them(void **state)
{
    float x[2 * 5 * 5];
    one o = {.op = "MaxPool", .n_inputs = 1, .n_outputs = 2};
    fill(x, 50, 11);
    o.inputs[0] = floats(x, 4, SHAPE(1, 2, 5, 5));
    one_ints(&o, "kernel_shape", SHAPE(3, 3), 2);
    one_ints(&o, "pads", SHAPE(1, 1, 1, 1), 4);
    must_run(&o);
    for (int64_t i = 0; i < 50; i++)
        assert_true(((float *)o.outputs[0].data)[i] == x[((int64_t *)o.outputs[1].data)[i]]);
    one_free(&o);
}

static void test_products_of_other_types_agree(void **state)
{
    float a[2 * 3 * 4], b[4 * 5];
    double wide_a[24], wide_b[20];
    int64_t whole_a[24], whole_b[20];
    for (int i = 0; i < 24; i++)
        wide_a[i] = (double)(a[i] = (float)(whole_a[i] = i % 7 - 3));
    for (int i = 0; i < 20; i++)
        wide_b[i] = (double)(b[i] = (float)(whole_b[i] = i % 5 - 2));
    one fast = {.op = "MatMul", .n_inputs = 2, .n_outputs = 1};
    fast.inputs[0] = floats(a, 3, SHAPE(2, 3, 4));
    fast.inputs[1] = floats(b, 2, SHAPE(4, 5));
    one real = fast, whole = fast;
    real.inputs[0] = one_view(wide_a, NISSL_FLOAT64, 3, SHAPE(2, 3, 4));
    real.inputs[1] = one_view(wide_b, NISSL_FLOAT64, 2, SHAPE(4, 5));
    whole.inputs[0] = integers(whole_a, 3, SHAPE(2, 3, 4));
    whole.inputs[1] = integers(whole_b, 2, SHAPE(4, 5));
    must_run(&fast);
    must_run(&real);
    must_run(&whole);
    assert_close(&real.outputs[0], &fast.outputs[0]);
    assert_close(&whole.outputs[0], &fast.outputs[0]);
    one_free(&fast);
    one_free(&real);
    one_free(&whole);
}

static void test_products_with_vectors(void **state)
{
    double a[3] = {1, 2, 3}, b[6] = {1, 2, 3, 4, 5, 6};
    one row = {.op = "MatMul", .n_inputs = 2, .n_outputs = 1};
    row.inputs[0] = one_view(a, NISSL_FLOAT64, 1, SHAPE(3));
    row.inputs[1] = one_view(b, NISSL_FLOAT64, 2, SHAPE(3, 2));
    must_run(&row);
    assert_int_equal(row.outputs[0].rank, 1);
    assert_true(((double *)row.outputs[0].data)[0] == 22);
    assert_true(((double *)row.outputs[0].data)[1] == 28);
    one_free(&row);
    one column = row;
    column.inputs[0] = one_view(b, NISSL_FLOAT64, 2, SHAPE(2, 3));
    column.inputs[1] = one_view(a, NISSL_FLOAT64, 1, SHAPE(3));
    must_run(&column);
    assert_true(((double *)column.outputs[0].data)[0] == 14);
    assert_true(((double *)column.outputs[0].data)[1] == 32);
    one_free(&column);
    column.inputs[0] = column.inputs[1];
    must_run(&column);
    assert_int_equal(column.outputs[0].rank, 0);
    assert_true(*(double *)column.outputs[0].data == 14);
    one_free(&column);
}

/* ---- defects that mutated graphs have found ---- */

static void test_output_that_no_operator_has(void **state)
{
    float x[16] = {0};
    one o = {.op = "Relu", .n_inputs = 1, .n_outputs = 2};
    o.inputs[0] = floats(x, 4, SHAPE(1, 1, 4, 4));
    must_fail(&o, NISSL_ERR_UNSUPPORTED, "output o1 is not computed");
    o.op = "GlobalMaxPool";
    must_fail(&o, NISSL_ERR_UNSUPPORTED, "output o1 is not computed");
}

static void test_convolution_without_elements(void **state)
{
    float x[1] = {0}, w[2 * 9] = {0};
    one o = {.op = "Conv", .n_inputs = 2, .n_outputs = 1, .known = {false, true}};
    o.inputs[0] = floats(x, 4, SHAPE(0, 1, 5, 5));
    o.inputs[1] = floats(w, 4, SHAPE(2, 1, 3, 3));
    must_run(&o);
    assert_int_equal(o.outputs[0].shape[0], 0);
    assert_int_equal(o.outputs[0].shape[3], 3);
    one_free(&o);
}

static void test_product_without_terms_is_zero(void **state)
{
    float a[1] = {1};
    one o = {.op = "MatMul", .n_inputs = 2, .n_outputs = 1, .known = {false, true}};
    o.inputs[0] = floats(a, 2, SHAPE(2, 0));
    o.inputs[1] = floats(a, 2, SHAPE(0, 3));
    must_run(&o);
    for (int i = 0; i < 6; i++)
        assert_true(((float *)o.outputs[0].data)[i] == 0);
    one_free(&o);
}

static void test_padding_of_a_million(void **state)
{
    float x[5] = {1, 2, 3, 4, 5}, w[2] = {1, 10};
    one o = {.op = "Conv", .n_inputs = 2, .n_outputs = 1, .known = {false, true}};
    o.inputs[0] = floats(x, 3, SHAPE(1, 1, 5));
    o.inputs[1] = floats(w, 3, SHAPE(1, 1, 2));
    one_ints(&o, "pads", SHAPE(1000000, 0), 2);
    must_run(&o);
    const float *y = o.outputs[0].data;
    assert_int_equal(o.outputs[0].shape[2], 1000004);
    assert_true(y[999998] == 0 && y[999999] == 10 && y[1000000] == 21 && y[1000003] == 54);
    one_free(&o);
}

static void test_operands_of_other_types(void **state)
{
    float x[4] = {0};
    uint8_t truth[2] = {1, 0};
    one o = {.op = "LayerNormalization", .n_inputs = 3, .n_outputs = 1};
    o.inputs[0] = floats(x, 2, SHAPE(2, 2));
    o.inputs[1] = floats(x, 1, SHAPE(2));
    o.inputs[2] = one_view(truth, NISSL_BOOL, 1, SHAPE(2));
    must_fail(&o, NISSL_ERR_TYPE, "input 2 is bool");
    one gemm = {.op = "Gemm", .n_inputs = 3, .n_outputs = 1};
    gemm.inputs[0] = gemm.inputs[1] = floats(x, 2, SHAPE(2, 2));
    gemm.inputs[2] = floats(x, 1, SHAPE(3));
    must_fail(&gemm, NISSL_ERR_SHAPE, "axis 0 of C has 3 entries");
    one pad = {.op = "Pad", .n_inputs = 3, .n_outputs = 1, .known = {false, true, true}};
    int64_t pads[2] = {1, 1};
    pad.inputs[0] = floats(x, 1, SHAPE(4));
    pad.inputs[1] = integers(pads, 1, SHAPE(2));
    pad.inputs[2] = one_view(truth, NISSL_BOOL, 0, NULL);
    must_fail(&pad, NISSL_ERR_TYPE, "1 values of bool for float32");
}

static void test_steps_and_axes_at_the_end_of_int64(void **state)
{
    float x[4] = {1, 2, 3, 4};
    int64_t start = 3, end = INT64_MAX, axis = 0, step = INT64_MAX;
    one o = {
        .op = "Slice", .n_inputs = 5, .n_outputs = 1, .known = {false, true, true, true, true}};
    o.inputs[0] = floats(x, 1, SHAPE(4));
    o.inputs[1] = integers(&start, 1, SHAPE(1));
    o.inputs[2] = integers(&end, 1, SHAPE(1));
    o.inputs[3] = integers(&axis, 1, SHAPE(1));
    o.inputs[4] = integers(&step, 1, SHAPE(1));
    must_run(&o);
    assert_int_equal(o.outputs[0].shape[0], 1);
    assert_true(*(float *)o.outputs[0].data == 4);
    one_free(&o);
    one add = {.op = "Add", .opset = 6, .n_inputs = 2, .n_outputs = 1};
    add.inputs[0] = add.inputs[1] = o.inputs[0];
    one_int(&add, "broadcast", 1);
    one_int(&add, "axis", INT64_MAX);
    must_run(&add);
    assert_true(((float *)add.outputs[0].data)[3] == 8);
    one_free(&add);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_input_decides_shape),
        cmocka_unit_test(test_exact_shapes_need_no_stimulus_axis),
        cmocka_unit_test(test_top_is_sorted),
        cmocka_unit_test(test_extremes_see_nan_and_large_unsigned),
        cmocka_unit_test(test_last_of_equal_extremes),
        cmocka_unit_test(test_scatter_undoes_gather),
        cmocka_unit_test(test_scattered_sums_keep_every_update),
        cmocka_unit_test(test_indices_outside_are_refused),
        cmocka_unit_test(test_expand_needs_no_memory),
        cmocka_unit_test(test_split_covers_the_input),
        cmocka_unit_test(test_space_to_depth_undoes_depth_to_space),
        cmocka_unit_test(test_exclusive_sum_and_input_make_inclusive_sum),
        cmocka_unit_test(test_halves_round_once),
        cmocka_unit_test(test_large_integers_stay_exact),
        cmocka_unit_test(test_direct_convolution_agrees),
        cmocka_unit_test(test_direct_pooling_agrees),
        cmocka_unit_test(test_indices_of_maxima_point_at_them),
        cmocka_unit_test(test_products_of_other_types_agree),
        cmocka_unit_test(test_products_with_vectors),
        cmocka_unit_test(test_output_that_no_operator_has),
        cmocka_unit_test(test_convolution_without_elements),
        cmocka_unit_test(test_product_without_terms_is_zero),
        cmocka_unit_test(test_padding_of_a_million),
        cmocka_unit_test(test_operands_of_other_types),
        cmocka_unit_test(test_steps_and_axes_at_the_end_of_int64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
