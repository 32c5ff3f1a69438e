/* What every test needs: cmocka and comparison of floating-point numbers. */
#ifndef NISSL_TEST_CHECK_H
#define NISSL_TEST_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* |value - expected| <= tolerance * max(1, |expected|); two NaNs are equal. */
#define check_close(value, expected, tolerance)                                                    \
    check_close_at((double)(value), (double)(expected), (double)(tolerance), #value, __FILE__,     \
                   __LINE__)

static inline void check_close_at(double value, double expected, double tolerance, const char *what,
                                  const char *file, int line)
{
    if ((isnan(value) && isnan(expected)) || value == expected ||
        fabs(value - expected) <= tolerance * fmax(1.0, fabs(expected)))
        return;
    print_error("%s is %.17g, not %.17g within %g\n", what, value, expected, tolerance);
    _fail(file, line);
}

/* Fails unless the code is NISSL_OK, and prints the error's message then. */
#define check_ok(code, err)                                                                        \
    do {                                                                                           \
        if ((code) != NISSL_OK) {                                                                  \
            print_error("%s\n", (err).message);                                                    \
            _fail(__FILE__, __LINE__);                                                             \
        }                                                                                          \
    } while (0)

#endif
