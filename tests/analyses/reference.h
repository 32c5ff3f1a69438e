/* Matrices from CSV files: the reference data, where there is any, and fixtures. */
#ifndef NISSL_TEST_REFERENCE_H
#define NISSL_TEST_REFERENCE_H

#include "../check.h"
#include "foundation/foundation.h"

typedef struct matrix {
    double *a;
    int64_t n, m;
} matrix;

/* Numbers of a CSV file whose first line is left out if it is a header; n = 0 if there is no file.
 * Free a. */
static inline matrix read_matrix(const char *path, bool header)
{
    matrix x = {0};
    size_t capacity = 0, count = 0, size = 0;
    char *line = NULL;
    FILE *file = fopen(path, "r");
    if (!file)
        return x;
    while (getline(&line, &size, file) >= 0) {
        int64_t columns = 0;
        if (header) {
            header = false;
            continue;
        }
        for (char *cell = strtok(line, ",\n"); cell; cell = strtok(NULL, ",\n"), columns++) {
            if (count == capacity) {
                double *more = realloc(x.a, (capacity = 2 * capacity + 64) * sizeof *more);
                assert_non_null(more);
                x.a = more;
            }
            x.a[count++] = strtod(cell, NULL);
        }
        if (columns == 0)
            continue;
        if (x.n > 0)
            assert_int_equal(columns, x.m);
        x.m = columns;
        x.n++;
    }
    free(line);
    fclose(file);
    return x;
}

/* A file of the reference data; the test is skipped where there is none. */
static inline matrix read_reference(const char *name)
{
    char path[1024];
    const char *data = getenv("NISSL_DATA");
    matrix x;
    snprintf(path, sizeof path, "%s/reference/%s", data ? data : "../shared/data", name);
    x = read_matrix(path, false);
    if (x.n == 0)
        skip();
    return x;
}

static inline matrix read_fixture(const char *folder, const char *name, bool header)
{
    char path[1024];
    const char *fixtures = getenv("NISSL_FIXTURES");
    matrix x;
    snprintf(path, sizeof path, "%s/%s/%s", fixtures ? fixtures : "tests/fixtures", folder, name);
    x = read_matrix(path, header);
    if (x.n == 0) {
        print_error("cannot read %s\n", path);
        fail();
    }
    return x;
}

static inline nissl_view view_of(double *a, int64_t n, int64_t m)
{
    int64_t shape[] = {n, m};
    return nissl_view_of(a, NISSL_FLOAT64, 2, shape);
}

static inline nissl_view view_matrix(const matrix *x)
{
    return view_of(x->a, x->n, x->m);
}

static inline nissl_context *context_of(int threads)
{
    nissl_context_options opt = {.threads = threads};
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    check_ok(nissl_context_new(&opt, &ctx, &err), err);
    return ctx;
}

/* Fails unless value is within a relative tolerance of expected. */
#define relative(value, expected, tolerance)                                                       \
    relative_at((double)(value), (double)(expected), (double)(tolerance), #value, __FILE__,        \
                __LINE__)

static inline void relative_at(double value, double expected, double tolerance, const char *what,
                               const char *file, int line)
{
    if ((isnan(expected) && isnan(value)) ||
        fabs(value - expected) <= tolerance * fabs(expected) + 1e-300)
        return;
    print_error("%s is %.17g, not %.17g within %g\n", what, value, expected, tolerance);
    _fail(file, line);
}

/* Standard normal numbers from a seed and a stream. */
static inline double *normals(int64_t n, uint64_t seed, uint64_t stream)
{
    double *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = nissl__random_normal(seed, stream, (uint64_t)i);
    return x;
}

#endif
