/* The llama2.c reader on hostile bytes; of what it accepts, every tensor's ends are read. */
#include <string.h>

#include "formats/llama2c.h"
#include "foundation/foundation.h"
#include "fuzz.h"

static volatile float sink; /* keeps the reading from being left out */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl__llama2c c = {0};
    nissl_error error = {0};
    float *aligned = nissl__alloc(size, 1);
    if (!aligned)
        return 0;
    if (size)
        memcpy(aligned, data, size);
    bool known = nissl__llama2c_recognise(aligned, NISSL__MIN(size, 64), size);
    bool read = nissl__llama2c_parse("fuzz", aligned, size, &c, &error) == NISSL_OK;
    if (known != read)
        abort();
    if (read) {
        int64_t kv = c.dim / c.n_heads * c.n_kv_heads;
        sink = c.token_embedding[0] + c.wq[0] + c.wk[c.n_layers * kv * c.dim - 1] +
               c.wv[c.n_layers * kv * c.dim - 1] + c.wo[c.n_layers * c.dim * c.dim - 1] +
               c.w2[c.n_layers * c.dim * c.hidden_dim - 1] + c.rms_final[c.dim - 1] +
               c.wcls[c.vocab_size * c.dim - 1];
    }
    nissl__llama2c_close(&c);
    nissl__free(aligned);
    return 0;
}
