/* UTF-8 as RFC 3629 has it. */
#include "foundation/foundation.h"
#include "formats/utf8.h"

/* Bytes of the character at the front of n >= 1 bytes; 0 if it is not one or is NUL. */
static size_t character(const uint8_t *at, size_t n)
{
    static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    uint32_t code;
    if (length == 0 || length > n || at[0] > 0xf4)
        return 0;
    code = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return length;
}

size_t nissl__utf8_prefix(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    size_t i = 0;
    while (i < n) {
        size_t length = character(at + i, n - i);
        if (length == 0)
            break;
        i += length;
    }
    return i;
}
