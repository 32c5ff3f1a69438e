/* The model of early visual cortex: its filters recover the orientation and frequency that its
 * truth names, by direct correlation with gratings, without the engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "foundation/foundation.h"
#include "formats/onnx.h"
#include "nissl/examine.h"

static const double pi = 3.14159265358979323846;

/* A name for a file that does not exist yet. */
static char *temporary_name(void)
{
    const char *folder = getenv("TMPDIR");
    char *name = nissl__format("%s/nissl-cortex-XXXXXX", folder == NULL ? "/tmp" : folder);
    assert_non_null(name);
    const int file = mkstemp(name);
    assert_true(file >= 0);
    close(file);
    unlink(name);
    return name;
}

static const nissl__onnx_tensor *find_tensor(const nissl__onnx_model *model, const char *name)
{
    for (size_t i = 0; i < model->graph.n_initializers; i++)
        if (strcmp(model->graph.initializers[i].name, name) == 0)
            return &model->graph.initializers[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

/* The filter of one channel. w: [k, k]; returns k */
static int get_filter(const nissl__onnx_model *model, int scale, int64_t channel, float *w)
{
    char name[64];
    snprintf(name, sizeof name, "S1/scale%d/filters", scale);
    const nissl__onnx_tensor *t = find_tensor(model, name);
    const int k = (int)t->shape[2];
    assert_int_equal(t->rank, 4);
    assert_int_equal(t->shape[1], 1);
    assert_int_equal(t->shape[3], k);
    assert_true(k <= 37);
    const size_t bytes = (size_t)(k * k) * sizeof(float);
    memcpy(w, (const char *)t->data + (size_t)channel * bytes, bytes);
    return k;
}

/* Response of a filter at the image's centre pixel to a grating as nissl/stimuli.h defines it. */
static double respond(const float *w, int k, int side, double orientation, double frequency,
                      double phase)
{
    const double t = pi / 180.0 * (90.0 - orientation);
    double sum = 0.0;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) {
            const double row = side / 2 + i - k / 2, column = side / 2 + j - k / 2;
            const double x = (column + 0.5 - 0.5 * side) / side,
                         y = (row + 0.5 - 0.5 * side) / side;
            const double luminance =
                0.5 +
                0.5 * cos(2.0 * pi * frequency * (x * cos(t) + y * sin(t)) + pi / 180.0 * phase);
            sum += w[i * k + j] * (luminance - 0.5);
        }
    return sum;
}

/* Amplitude over phases, from two in quadrature. */
static double amplitude(const float *w, int k, int side, double orientation, double frequency)
{
    return hypot(respond(w, k, side, orientation, frequency, 0.0),
                 respond(w, k, side, orientation, frequency, 90.0));
}

static double circular_difference(double a, double b, double period)
{
    return fabs(remainder(a - b, period));
}

static void check_truth(const nissl_visual_cortex_options *opt)
{
    nissl_visual_cortex_unit *units = NULL;
    size_t n_units = 0;
    nissl_error err = {0};
    char *path = temporary_name();
    const int side = opt == NULL || opt->side == 0 ? 64 : opt->side;
    assert_int_equal(nissl_visual_cortex_write(opt, path, &units, &n_units, &err), NISSL_OK);
    nissl__onnx_model *model = NULL;
    assert_int_equal(nissl__onnx_open(path, 0, &model, &err), NISSL_OK);

    size_t n_simple = 0;
    for (size_t i = 0; i < n_units; i++) {
        const nissl_visual_cortex_unit *u = &units[i];
        int scale;
        if (u->complex_cell)
            continue;
        n_simple++;
        assert_int_equal(sscanf(u->site, "S1/scale%d/rectified", &scale), 1);
        float w[37 * 37];
        const int k = get_filter(model, scale, u->unit, w);
        double sum = 0.0, squares = 0.0;
        for (int j = 0; j < k * k; j++) {
            sum += w[j];
            squares += (double)w[j] * w[j];
        }
        assert_true(fabs(sum) < 1e-5);
        assert_true(fabs(squares - 1.0) < 1e-5);

        double best = 0.0, orientation = -1.0, frequency = -1.0, phase = -1.0;
        for (double o = 0.0; o < 180.0; o += 5.0)
            for (double r = 0.6; r < 1.6; r *= 1.08) { /* frequency relative to the nominal one */
                const double a = amplitude(w, k, side, o, u->frequency * r);
                if (a > best) {
                    best = a;
                    orientation = o;
                    frequency = u->frequency * r;
                }
            }
        assert_true(circular_difference(orientation, u->orientation, 180.0) <= 2.5);
        assert_true(fabs(log(frequency / u->frequency)) <= log(1.08));

        /* The phase that is best where the filter looks, half a pixel right of and below the
         * centre. */
        best = 0.0;
        const double t = pi / 180.0 * (90.0 - u->orientation);
        for (double p = 0.0; p < 360.0; p += 5.0) {
            const double r = respond(w, k, side, u->orientation, u->frequency, p);
            if (r > best) {
                best = r;
                phase = p + 360.0 * u->frequency * 0.5 / side * (cos(t) + sin(t));
            }
        }
        assert_true(circular_difference(phase, u->phase, 360.0) <= 2.6);
    }
    assert_true(n_simple > 0 && n_simple < n_units);
    nissl__onnx_free(model);
    free(units);
    unlink(path);
    nissl__free(path);
}

static void filters_prefer_what_is_built_in(void **state)
{
    check_truth(NULL);
}

static void every_scale_of_the_table_holds(void **state)
{
    check_truth(&(nissl_visual_cortex_options){.side = 96, .n_orientations = 3, .n_scales = 15});
}

/* In a band the larger filter has the larger gain at its own frequency: the truth of C1. */
static void complex_cells_prefer_the_larger_scale(void **state)
{
    nissl_visual_cortex_unit *units = NULL;
    size_t n_units = 0;
    nissl_error err = {0};
    char *path = temporary_name();
    const nissl_visual_cortex_options opt = {.n_scales = 16};
    assert_int_equal(nissl_visual_cortex_write(&opt, path, &units, &n_units, &err), NISSL_OK);
    nissl__onnx_model *model = NULL;
    assert_int_equal(nissl__onnx_open(path, 0, &model, &err), NISSL_OK);
    int n_complex = 0;
    for (size_t i = 0; i < n_units; i++) {
        int band;
        if (!units[i].complex_cell)
            continue;
        n_complex++;
        assert_int_equal(sscanf(units[i].site, "C1/band%d/complex", &band), 1);
        assert_true(isnan(units[i].phase));
        double best = 0.0, frequency = 0.0;
        for (double r = 0.7; r < 1.6; r *= 1.04) {
            double largest = 0.0; /* over the members of the band */
            for (int scale = 2 * band; scale < 2 * band + 2; scale++)
                for (int j = 0; j < 2; j++) {
                    float w[37 * 37];
                    const int k = get_filter(model, scale, 8 * j + units[i].unit, w);
                    const double a =
                        amplitude(w, k, 64, units[i].orientation, r * units[i].frequency);
                    largest = NISSL__MAX(largest, a);
                }
            if (largest > best) {
                best = largest;
                frequency = r * units[i].frequency;
            }
        }
        assert_true(fabs(log(frequency / units[i].frequency)) <= log(1.06));
    }
    assert_int_equal(n_complex, 64);
    nissl__onnx_free(model);
    free(units);
    unlink(path);
    nissl__free(path);
}

static void bad_options_are_named(void **state)
{
    static const nissl_visual_cortex_options bad[] = {
        {.side = 6},
        {.side = 12, .n_scales = 4},
        {.side = 5000},
        {.n_orientations = -1},
        {.n_orientations = 181},
        {.n_scales = -1},
        {.n_scales = 17},
    };
    char *path = temporary_name();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        nissl_error err = {0};
        nissl_visual_cortex_unit *units = NULL;
        size_t n = 77;
        assert_int_equal(nissl_visual_cortex_write(&bad[i], path, &units, &n, &err),
                         NISSL_ERR_RANGE);
        assert_non_null(strstr(err.message, " = "));
        assert_null(units);
        assert_int_equal(n, 77);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    nissl__free(path);
}

static void failing_to_write_is_reported(void **state)
{
    nissl_error err = {0};
    assert_int_equal(
        nissl_visual_cortex_write(NULL, "/nonexistent-folder/cortex.onnx", NULL, NULL, &err),
        NISSL_ERR_IO);
    char *path = temporary_name();
    bool succeeded = false;
    for (uint64_t n = 1; n < 1000 && !succeeded; n++) { /* every allocation in turn */
        nissl_visual_cortex_unit *units = NULL;
        nissl__alloc_fail_at(n);
        const nissl_status status = nissl_visual_cortex_write(NULL, path, &units, NULL, &err);
        nissl__alloc_fail_at(0);
        succeeded = status == NISSL_OK;
        assert_true(succeeded || status == NISSL_ERR_MEMORY);
        assert_int_equal(access(path, F_OK) == 0, succeeded);
        free(units);
    }
    assert_true(succeeded);
    unlink(path);
    nissl__free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_prefer_what_is_built_in),
        cmocka_unit_test(every_scale_of_the_table_holds),
        cmocka_unit_test(complex_cells_prefer_the_larger_scale),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(failing_to_write_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
