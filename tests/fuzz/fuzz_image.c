/* The JPEG and PNG readers on hostile bytes; what is decoded can be resampled. */
#include "formats/image.h"
#include "formats/resample.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t budget = (uint64_t)1 << 20;
    uint8_t *rgb = NULL, small[5 * 7 * 3];
    int64_t height = 0, width = 0;
    nissl_error error = {0};
    if (nissl__image_decode("fuzz", data, size, budget, &rgb, &height, &width, &error) ==
        NISSL_OK) {
        (void)nissl__resample(rgb, height, width, 3, NISSL__FILTER_BICUBIC, budget, small, 5, 7,
                              &error);
        nissl__free(rgb);
    }
    return 0;
}
