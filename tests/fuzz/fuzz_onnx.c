/* The ONNX reader on hostile bytes. */
#include "formats/onnx.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl__onnx_model *model = NULL;
    nissl_error error = {0};
    if (nissl__onnx_parse("fuzz", data, size, (uint64_t)64 << 20, &model, &error) == NISSL_OK)
        nissl__onnx_free(model);
    return 0;
}
