/* The IDX reader, and zlib under it, on hostile bytes. */
#include "formats/idx.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl_array array = {0};
    nissl_error error = {0};
    const char *path = fuzz_file(data, size);
    if (path && nissl__idx_read(path, (uint64_t)1 << 20, &array, &error) == NISSL_OK)
        nissl_array_free(&array);
    return 0;
}
