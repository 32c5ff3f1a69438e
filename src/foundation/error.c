/* Status texts and error messages. */
#include <stdarg.h>
#include <stdio.h>

#include "foundation/foundation.h"

static const char *const texts[NISSL_STATUS_COUNT] = {
#define TEXT(code, text) text,
    NISSL_STATUS_LIST(TEXT)
#undef TEXT
};

static const char *const names[NISSL_STATUS_COUNT] = {
#define NAME(code, text) "NISSL_" #code,
    NISSL_STATUS_LIST(NAME)
#undef NAME
};

const char *nissl_status_text(nissl_status status)
{
    return (unsigned)status < NISSL_STATUS_COUNT ? texts[status] : "unknown status";
}

const char *nissl_status_name(nissl_status status)
{
    return (unsigned)status < NISSL_STATUS_COUNT ? names[status] : "NISSL_UNKNOWN";
}

nissl_status nissl__fail(nissl_error *err, nissl_status code, const char *function, int line,
                         const char *format, ...)
{
    if (err) {
        va_list args;
        err->code = code;
        err->function = function;
        err->line = line;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return code;
}

void nissl__error_prefix(nissl_error *err, const char *format, ...)
{
    char prefix[sizeof err->message];
    char rest[sizeof err->message];
    va_list args;
    if (!err)
        return;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(rest, err->message, sizeof rest);
    rest[sizeof rest - 1] = '\0';
    /* A long prefix gives way to the message. */
    size_t n_rest = strlen(rest), n_prefix = strlen(prefix);
    if (n_rest + 3 + 8 > sizeof err->message)
        return;
    n_prefix = NISSL__MIN(n_prefix, sizeof err->message - 3 - n_rest);
    memcpy(err->message, prefix, n_prefix);
    memcpy(err->message + n_prefix, ": ", 2);
    memcpy(err->message + n_prefix + 2, rest, n_rest + 1);
}
