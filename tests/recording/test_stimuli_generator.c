/* Gratings, noise and shapes: that they are what the header says. */
#include "stimuli_help.h"

#define INPUT_64 .rank = 4, .input = {1, 1, 64, 64}

static void test_grating_formula(void **state)
{
    const room *r = *state;
    nissl_stimuli *set = open_set(
        r,
        (request){
            "gratings:orientations=0,20,45,90,137.5,frequencies=1,3.5,phases=0,60,contrasts=1,0.4",
            .rank = 4, .input = {-1, 1, 24, 36}});
    int64_t n = nissl_stimuli_count(set);
    assert_int_equal(n, 5 * 2 * 2 * 2);
    float *x = load(set, 0, n);
    for (int64_t i = 0; i < n; i++) {
        double orientation = factor_named(set, "orientation")->value[i],
               f = factor_named(set, "frequency")->value[i];
        double phase = factor_named(set, "phase")->value[i],
               contrast = factor_named(set, "contrast")->value[i];
        double t = (90 - orientation) * M_PI / 180;
        for (int row = 0; row < 24; row++)
            for (int column = 0; column < 36; column++) {
                double u = (column + 0.5 - 18) / 24,
                       v = (row + 0.5 - 12) / 24; /* the shorter side is 24 */
                double expected =
                    0.5 + contrast / 2 *
                              cos(2 * M_PI * f * (u * cos(t) + v * sin(t)) + phase * M_PI / 180);
                check_close(x[(i * 24 + row) * 36 + column], expected, 1e-6);
            }
    }
    nissl__free(x);
    nissl_stimuli_free(set);
}

/* 0 degrees: rows are constant; 90: columns are; 45: bars rise to the right. */
static void test_orientation_is_that_of_the_bars(void **state)
{
    const room *r = *state;
    nissl_stimuli *set = open_set(
        r, (request){"gratings:orientations=0,90,45,135,frequencies=4,phases=0,30", INPUT_64});
    for (int64_t i = 0; i < 8; i++) {
        static const int step[4][2] = {
            {0, 1}, {1, 0}, {-1, 1}, {1, 1}}; /* rows, columns along a bar */
        const int *s = step[i / 2];
        float *x = load(set, i, 1);
        double along = 0, across = 0;
        for (int row = 1; row < 62; row++)
            for (int column = 1; column < 62; column++) {
                along += fabs(x[row * 64 + column] - x[(row + s[0]) * 64 + column + s[1]]);
                across += fabs(x[row * 64 + column] - x[(row + s[1]) * 64 + column - s[0]]);
            }
        assert_true(along < 1e-3 * across);
        nissl__free(x);
    }
    nissl_stimuli_free(set);
}

/* The frequency found by counting: f cycles over the shorter side. */
static void test_frequency_is_per_shorter_side(void **state)
{
    const room *r = *state;
    nissl_stimuli *set =
        open_set(r, (request){"gratings:orientations=90,91,frequencies=5,phases=90,91", .rank = 4,
                              .input = {1, 1, 40, 80}});
    float *x = load(set, 0, 1);
    int crossings = 0;
    for (int column = 0; column + 1 < 80; column++)
        crossings += (x[column] > 0.5f) != (x[column + 1] > 0.5f);
    assert_int_equal(crossings, 2 * 5 * 2 - 1); /* 10 cycles over twice the shorter side */
    nissl__free(x);
    nissl_stimuli_free(set);
}

static void test_grating_defaults(void **state)
{
    const room *r = *state;
    nissl_stimuli *set = open_set(r, (request){"gratings", INPUT_64});
    assert_int_equal(nissl_stimuli_count(set), 12 * 4 * 4);
    const nissl_factor *orientation = factor_named(set, "orientation"),
                       *frequency = factor_named(set, "frequency");
    assert_int_equal(orientation->n_levels, 12);
    assert_string_equal(orientation->unit, "deg");
    assert_string_equal(orientation->levels[11], "165");
    assert_string_equal(frequency->unit, "cycles/image");
    assert_int_equal(frequency->n_levels, 4);
    assert_string_equal(frequency->levels[0], "2");
    assert_string_equal(frequency->levels[3], "16");
    assert_int_equal(factor_named(set, "phase")->n_levels, 4);
    assert_string_equal(nissl_stimuli_id(set, 0), "grating_o0_f2_p0_c1");
    assert_string_equal(nissl_stimuli_source(set), "gratings");
    nissl_stimuli_free(set);
    set = open_set(r, (request){"gratings:orientations=8", .rank = 4, .input = {-1, -1, 16, 16}});
    assert_int_equal(nissl_stimuli_count(set), 8 * 2 * 4);
    check_close(factor_named(set, "orientation")->value[2 * 4], 22.5, 0);
    nissl_stimuli_free(set);
}

/* One picture, whatever the layout of the input. */
static void test_layouts(void **state)
{
    const room *r = *state;
    nissl_stimuli *first =
        open_set(r, (request){"shapes:positions=1,sizes=0.5", .rank = 4, .input = {1, 3, 16, 16}});
    nissl_stimuli *last =
        open_set(r, (request){"shapes:positions=1,sizes=0.5", .rank = 4, .input = {1, 16, 16, 3}});
    nissl_stimuli *flat =
        open_set(r, (request){"shapes:positions=1,sizes=0.5", .rank = 2, .input = {1, 768}});
    for (int64_t i = 0; i < nissl_stimuli_count(first); i++) {
        float *a = load(first, i, 1), *b = load(last, i, 1), *c = load(flat, i, 1);
        for (int p = 0; p < 256; p++)
            for (int k = 0; k < 3; k++)
                assert_true(a[k * 256 + p] == b[p * 3 + k] && a[k * 256 + p] == c[k * 256 + p]);
        nissl__free(a);
        nissl__free(b);
        nissl__free(c);
    }
    nissl_stimuli_free(first);
    nissl_stimuli_free(last);
    nissl_stimuli_free(flat);
    nissl_stimuli *grey = open_set(r, (request){"noise:n=1", .rank = 2, .input = {1, 784}});
    assert_int_equal(value_count(grey), 784);
    nissl_stimuli_free(grey);
}

static void test_noise(void **state)
{
    const room *r = *state;
    enum { n = 200, pixels = 4096 };
    nissl_stimuli *set = open_set(r, (request){"noise:n=200,seed=3", INPUT_64});
    nissl_stimuli *again = open_set(r, (request){"noise:n=200,seed=3", INPUT_64});
    nissl_stimuli *other = open_set(r, (request){"noise:n=200,seed=4", INPUT_64});
    float *x = load(set, 0, n), *y = load(again, 0, n), *z = load(other, 0, n);
    assert_memory_equal(x, y, (size_t)n * pixels * sizeof *x);
    assert_memory_not_equal(x, z, (size_t)n * pixels * sizeof *x);
    /* Uniform on 0 .. 1 and independent: means, variances and correlations within 5 standard
     * errors. */
    double sum = 0, square = 0, neighbour = 0, next = 0, count = (double)n * pixels;
    for (int64_t i = 0; i < n * pixels; i++) {
        double v = x[i] - 0.5;
        assert_true(x[i] >= 0 && x[i] <= 1);
        sum += v;
        square += v * v;
        neighbour += i % pixels ? v * (x[i - 1] - 0.5) : 0;
        next += i >= pixels ? v * (x[i - pixels] - 0.5) : 0;
    }
    check_close(sum / count, 0, 5 / sqrt(12 * count));
    check_close(square / count, 1.0 / 12, 5 / sqrt(180 * count));
    check_close(neighbour / count, 0, 5 / (12 * sqrt(count)));
    check_close(next / count, 0, 5 / (12 * sqrt(count)));
    nissl__free(x);
    nissl__free(y);
    nissl__free(z);
    nissl_stimuli_free(set);
    nissl_stimuli_free(again);
    nissl_stimuli_free(other);
    /* a colour network sees grey noise */
    set = open_set(r, (request){"noise:n=1", .rank = 4, .input = {1, 3, 8, 8}});
    x = load(set, 0, 1);
    for (int i = 0; i < 64; i++)
        assert_true(x[i] == x[64 + i] && x[i] == x[128 + i]);
    nissl__free(x);
    nissl_stimuli_free(set);
}

/* Areas and centres of mass are those of the shapes. */
static void test_shapes(void **state)
{
    const room *r = *state;
    nissl_stimuli *set = open_set(
        r, (request){"shapes:positions=2,sizes=0.25,0.5", .rank = 4, .input = {1, 1, 64, 64}});
    const nissl_factor *shape = factor_named(set, "shape"), *size = factor_named(set, "size");
    const nissl_factor *at_x = factor_named(set, "x"), *at_y = factor_named(set, "y");
    assert_int_equal(nissl_stimuli_count(set), 4 * 4 * 2);
    assert_int_equal(factor_named(set, "colour")->n_levels, 1);
    for (int64_t i = 0; i < nissl_stimuli_count(set); i++) {
        const char *name = level_of(shape, i);
        float *x = load(set, i, 1);
        double area = 0, cx = 0, cy = 0, side = size->value[i] * 64;
        for (int p = 0; p < 4096; p++) {
            double cover = (x[p] - 0.5) * 2;
            area += cover;
            cx += cover * (p % 64 + 0.5);
            cy += cover * (p / 64 + 0.5);
        }
        double expected = side * side *
                          (strcmp(name, "circle") == 0     ? M_PI / 4
                           : strcmp(name, "triangle") == 0 ? 0.5
                           : strcmp(name, "cross") == 0    ? 5.0 / 9
                                                           : 1);
        check_close(area / expected, 1, 0.03);
        check_close(cx / area, at_x->value[i] * 64, 0.02);
        if (strcmp(name, "triangle") != 0)
            check_close(cy / area, at_y->value[i] * 64, 0.02);
        nissl__free(x);
    }
    nissl_stimuli_free(set);
}

static void test_shape_colours(void **state)
{
    const room *r = *state;
    nissl_stimuli *set =
        open_set(r, (request){"shapes:shapes=square,positions=1,sizes=0.5,colours=red,black,cyan",
                              .rank = 4, .input = {1, 3, 8, 8}});
    static const char *const names[3] = {"red", "black", "cyan"};
    static const float rgb[3][3] = {{1, 0, 0}, {0, 0, 0}, {0, 1, 1}};
    assert_int_equal(nissl_stimuli_count(set), 3);
    for (int64_t i = 0; i < 3; i++) {
        float *x = load(set, i, 1);
        assert_string_equal(level_of(factor_named(set, "colour"), i), names[i]);
        for (int k = 0; k < 3; k++) {
            check_close(x[k * 64 + 4 * 8 + 4], rgb[i][k], 1e-7);
            check_close(x[k * 64], 0.5, 1e-7);
        }
        nissl__free(x);
    }
    nissl_stimuli_free(set);
}

/* Values pass through scale, mean and deviation like any picture's; resize and crop do not touch
 * them. */
static void test_preprocessing(void **state)
{
    const room *r = *state;
    request plain = {"gratings:orientations=3,frequencies=2", .rank = 4, .input = {1, 3, 8, 8}};
    request with = plain;
    with.preprocess =
        "{\"resize\": {\"shorter\": 256}, \"crop\": 224, \"channels\": \"BGR\", \"divide\": 127.5, "
        "\"mean\": [1, 2, 3]}";
    nissl_stimuli *a = open_set(r, plain), *b = open_set(r, with);
    float *x = load(a, 5, 1), *y = load(b, 5, 1);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 64; i++)
            check_close(y[k * 64 + i], 2 * (double)x[k * 64 + i] - 1 - k, 1e-6);
    nissl__free(x);
    nissl__free(y);
    nissl_stimuli_free(a);
    nissl_stimuli_free(b);
}

static const struct {
    const char *text;
    nissl_status status;
    const char *says;
} wrong[] = {
    {"gratings:angles=3", NISSL_ERR_ARGUMENT,
     "unknown option \"angles\" (known: orientations, frequencies"},
    {"gratings:orientations=0", NISSL_ERR_ARGUMENT, "orientations = \"0\" is no count in 1 .. 256"},
    {"gratings:orientations=2.5", NISSL_ERR_ARGUMENT, "is no count"},
    {"gratings:orientations=10,200", NISSL_ERR_ARGUMENT,
     "orientations = \"200\" is no number in 0 .. 180"},
    {"gratings:frequencies=33", NISSL_ERR_ARGUMENT, "frequencies = \"33\" is no number in 0 .. 32"},
    {"gratings:frequencies=many", NISSL_ERR_ARGUMENT, "\"many\""},
    {"gratings:contrasts=1.5", NISSL_ERR_ARGUMENT, "no number in 0 .. 1"},
    {"gratings:contrasts", NISSL_ERR_ARGUMENT, "\"contrasts\" is no key=value"},
    {"gratings:contrasts=", NISSL_ERR_ARGUMENT, "empty value"},
    {"gratings:contrasts=1,contrasts=0.5", NISSL_ERR_ARGUMENT, "given twice"},
    {"noise:n=0", NISSL_ERR_ARGUMENT, "n = \"0\" is no whole number in 1 .."},
    {"noise:n=1e12", NISSL_ERR_ARGUMENT, "n = \"1e12\""},
    {"noise:seed=-1", NISSL_ERR_ARGUMENT, "seed = \"-1\""},
    {"shapes:shapes=hexagon", NISSL_ERR_ARGUMENT, "\"hexagon\" is unknown"},
    {"shapes:colours=red,red", NISSL_ERR_ARGUMENT, "\"red\" twice"},
    {"shapes:sizes=0", NISSL_ERR_ARGUMENT, "sizes = \"0\""},
    {"shapes+grating", NISSL_ERR_IO, "generators are"},
};

static void test_wrong_options(void **state)
{
    const room *r = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        check_refused(r, (request){wrong[i].text, INPUT_64}, wrong[i].status, wrong[i].says);
    check_refused(r, (request){.path = "gratings"}, NISSL_ERR_ARGUMENT, "needs the input shape");
    check_refused(r, (request){"gratings", .rank = 2, .input = {1, 4711}}, NISSL_ERR_SHAPE,
                  "input [n, 4711] is no picture");
    check_refused(r, (request){"gratings", .rank = 4, .input = {1, 3, -1, -1}}, NISSL_ERR_SHAPE,
                  "input [n, 3, any, any] is no picture of known size");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_open, room_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_grating_formula),
        TEST(test_orientation_is_that_of_the_bars),
        TEST(test_frequency_is_per_shorter_side),
        TEST(test_grating_defaults),
        TEST(test_layouts),
        TEST(test_noise),
        TEST(test_shapes),
        TEST(test_shape_colours),
        TEST(test_preprocessing),
        TEST(test_wrong_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
