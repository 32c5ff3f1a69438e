/* Numbers as text and back, the same in every locale. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>

#include "foundation/foundation.h"

/* Writes value with so many digits and a "." whatever the locale, and tells if it reads back. */
static bool digits_suffice(double value, int digits, char text[NISSL__NUMBER_SIZE])
{
    const char *point = localeconv()->decimal_point;
    size_t n_point = strlen(point);
    snprintf(text, NISSL__NUMBER_SIZE, "%.*g", digits, value);
    bool equal = strtod(text, NULL) == value;
    char *at = n_point && strcmp(point, ".") != 0 ? strstr(text, point) : NULL;
    if (at) {
        *at = '.';
        memmove(at + 1, at + n_point, strlen(at + n_point) + 1);
    }
    return equal;
}

const char *nissl__number_text(double value, char text[NISSL__NUMBER_SIZE])
{
    if (isnan(value))
        return strcpy(text, "nan");
    if (isinf(value))
        return strcpy(text, value < 0 ? "-inf" : "inf");
    /* A text of up to 15 digits survives the way through a normal double, so printing 15 finds the
     * shortest one where there is one; subnormals hold fewer digits. */
    int digits = fabs(value) < 0x1p-1022 ? 1 : 15;
    int saved = errno; /* strtod sets it for subnormals, and callers report theirs */
    while (!digits_suffice(value, digits, text) && digits < 17)
        digits++;
    errno = saved;
    return text;
}

bool nissl__number_read(const char *text, double *out)
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    int saved = errno;
    char *end = NULL;
    double value;
    if (c == (locale_t)0)
        return false;
    value = strtod_l(text, &end, c);
    freelocale(c);
    errno = saved;
    if (end == text)
        return false;
    end += strspn(end, " \t\r\n");
    if (*end != '\0')
        return false;
    *out = value;
    return true;
}
