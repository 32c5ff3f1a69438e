/* The safetensors reader on hostile bytes; what it accepts is then read to its last byte. */
#include <string.h>

#include "formats/safetensors.h"
#include "fuzz.h"

static volatile uint64_t sink; /* keeps the reading from being left out */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl__safetensors *set = NULL;
    nissl_error error = {0};
    uint64_t sum = 0;
    if (nissl__safetensors_parse("fuzz", data, size, (uint64_t)1 << 20, &set, &error) != NISSL_OK)
        return 0;
    for (size_t i = 0; i < nissl__safetensors_count(set); i++) {
        const nissl__onnx_tensor *tensor = nissl__safetensors_at(set, i);
        for (size_t k = 0; k < tensor->bytes; k++)
            sum += ((const uint8_t *)tensor->data)[k];
        sum += strlen(tensor->name) + (nissl__safetensors_find(set, tensor->name) == tensor);
    }
    sink = sum;
    nissl__safetensors_free(set);
    return 0;
}
