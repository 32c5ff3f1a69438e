/*
 * Text from files: is it UTF-8?
 */
#ifndef NISSL__FORMATS_UTF8_H
#define NISSL__FORMATS_UTF8_H

#include <stddef.h>

/* How many of the n bytes from the start are UTF-8 text without NUL; n if all are. Refuses overlong
 * forms, surrogates and what lies beyond U+10FFFF (RFC 3629). */
size_t nissl__utf8_prefix(const void *bytes, size_t n);

#endif
