/* The recording reader on hostile bytes; what it accepts is then read. */
#include <string.h>

#include "foundation/foundation.h"
#include "fuzz.h"
#include "nissl/recording.h"

static volatile uint64_t sink; /* keeps the reading from being left out */

static void touch(const void *bytes, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((const uint8_t *)bytes)[i];
    sink = sum;
}

static void touch_factor(const nissl_factor *factor, int64_t n_stimuli)
{
    touch(factor->name, strlen(factor->name));
    touch(factor->unit, strlen(factor->unit));
    for (int i = 0; i < factor->n_levels; i++)
        touch(factor->levels[i], strlen(factor->levels[i]));
    for (int64_t i = 0; factor->n_levels > 0 && i < n_stimuli; i++)
        if (factor->level[i] >= 0)
            touch(factor->levels[factor->level[i]], 1);
    if (factor->value)
        touch(factor->value, (size_t)n_stimuli * sizeof *factor->value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl_context_options options = nissl_context_options_default();
    nissl_context *ctx = NULL;
    nissl_recording *r = NULL;
    const char *path = fuzz_file(data, size);
    int64_t n_stimuli;
    options.threads = 1;
    options.memory_limit = (uint64_t)16 << 20;
    if (!path || nissl_context_new(&options, &ctx, NULL) != NISSL_OK)
        return 0;
    if (nissl_recording_open(ctx, path, &r, NULL) != NISSL_OK)
        goto done;
    n_stimuli = nissl_recording_n_stimuli(r);
    touch(nissl_recording_provenance(r), strlen(nissl_recording_provenance(r)));
    for (int64_t i = 0; i < n_stimuli; i++)
        touch(nissl_recording_stimulus_id(r, i), strlen(nissl_recording_stimulus_id(r, i)));
    for (int f = 0; f < nissl_recording_n_factors(r); f++)
        touch_factor(nissl_recording_factor(r, f), n_stimuli);
    for (size_t s = 0; s < nissl_recording_n_sites(r); s++) {
        const nissl_recorded_site *site = nissl_recording_site(r, s);
        nissl_array array = {0};
        touch(site->name, strlen(site->name));
        touch(site->shape, sizeof site->shape);
        if (nissl_recording_array(r, s, "moments/mean", &array, NULL) == NISSL_OK)
            touch(array.data, (size_t)nissl_array_count(&array) * nissl_type_size(array.type));
        nissl_array_free(&array);
        if (nissl_recording_has(r, s, "responses") && n_stimuli > 0 && n_stimuli < 100000) {
            float *x = nissl__alloc((size_t)n_stimuli, sizeof *x);
            if (x && nissl_recording_responses(r, s, 0, 1, x, NULL) == NISSL_OK)
                touch(x, (size_t)n_stimuli * sizeof *x);
            nissl__free(x);
        }
    }

done:
    nissl_recording_free(r);
    nissl_context_free(ctx);
    return 0;
}
