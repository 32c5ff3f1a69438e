/* The npy reader on hostile bytes; what it accepts can be copied whole. */
#include "formats/npy.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl__npy npy = {0};
    nissl_error error = {0};
    if (nissl__npy_parse("fuzz", data, size, (uint64_t)1 << 20, &npy, &error) == NISSL_OK) {
        int64_t count = nissl_view_count(&npy.view);
        float *values = nissl__alloc((size_t)count, sizeof *values);
        if (values)
            (void)nissl_view_copy(&npy.view, NISSL_FLOAT32, values, &error);
        nissl__free(values);
        nissl__npy_close(&npy);
    }
    return 0;
}
