/* A tensor in a file of its own. */
#include "foundation/foundation.h"
#include "formats/onnx_read.h"

#define DEFAULT_BUDGET ((uint64_t)1 << 30)

nissl_status nissl__onnx_parse_tensor(const char *label, const void *bytes, size_t size,
                                      uint64_t budget, nissl_array *out, nissl_error *err)
{
    nissl__onnx_reader r = {.label = label, .err = err};
    nissl__onnx_tensor tensor = {0};
    nissl_array array = {0};
    nissl_status status;
    r.arena.budget = budget ? budget : DEFAULT_BUDGET;
    status = nissl__onnx_read_tensor(&r, nissl__wire_of(label, bytes, size), &tensor);
    if (status == NISSL_OK && tensor.bytes > r.arena.budget)
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %zu bytes exceed the budget of %llu", label,
                             tensor.bytes, (unsigned long long)r.arena.budget);
    if (status == NISSL_OK)
        status = nissl_array_new(tensor.type, tensor.rank, tensor.shape, &array, err);
    if (status == NISSL_OK) {
        if (tensor.bytes)
            memcpy(array.data, tensor.data, tensor.bytes);
        *out = array;
    }
    nissl__onnx_unmap_external(&r);
    nissl__arena_free(&r.arena);
    return status;
}

nissl_status nissl__onnx_open_tensor(const char *path, uint64_t budget, nissl_array *out,
                                     nissl_error *err)
{
    nissl__mapping mapping = {0};
    nissl_status status = nissl__map_file(path, &mapping, err);
    if (status == NISSL_OK)
        status = nissl__onnx_parse_tensor(path, mapping.data, mapping.size, budget, out, err);
    nissl__unmap_file(&mapping);
    return status;
}
