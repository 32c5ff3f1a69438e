/* The reader of config.json on hostile text; what it accepts has sizes that can be computed with.
 */
#include "fuzz.h"
#include "network/families/config.h"

static volatile float sink; /* keeps the reading from being left out */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl__family_config config;
    nissl_error error = {0};
    if (nissl__family_config_parse("fuzz", (const char *)data, size, &config, &error) != NISSL_OK)
        return 0;
    if (config.d_head < 1 || config.n_heads % config.n_kv_heads || config.d_rotary > config.d_head)
        abort();
    if (config.d_rotary < 2 || config.d_rotary > 4096)
        return 0;
    float *frequencies = nissl__alloc((size_t)config.d_rotary / 2, sizeof *frequencies);
    if (frequencies) {
        nissl__rope_frequencies(&config, frequencies);
        sink = frequencies[config.d_rotary / 2 - 1];
    }
    nissl__free(frequencies);
    return 0;
}
