/* Tuning of a recorded site, in blocks of units so that memory stays bounded. */
#include "analyses/tuning.h"

#define BLOCK_BYTES ((int64_t)64 << 20)

nissl_status nissl_tuning_of_site(nissl_context *ctx, const nissl_recording *recording, size_t site,
                                  int factor, const nissl_tuning_options *opt, nissl_tuning *out,
                                  nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl__tuning_work *work = NULL;
    float *x = NULL;
    const nissl_factor *f = NULL;
    int64_t n_stimuli = nissl_recording_n_stimuli(recording), n_units, per_block;
    if (site >= nissl_recording_n_sites(recording))
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "site %zu is not one of %zu", site,
                           nissl_recording_n_sites(recording));
    if (factor < 0 || factor >= nissl_recording_n_factors(recording))
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "factor %d is not one of %d", factor,
                           nissl_recording_n_factors(recording));
    f = nissl_recording_factor(recording, factor);
    if (f->n_levels < 1 || !f->level)
        return NISSL__FAIL(err, NISSL_ERR_TYPE,
                           "factor %s has %d levels: tuning needs a factor with levels", f->name,
                           f->n_levels);
    n_units = nissl_recording_site(recording, site)->n_units;
    if (n_stimuli < 1 || n_units < 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "site %s: %lld stimuli and %lld units",
                           nissl_recording_site(recording, site)->name, (long long)n_stimuli,
                           (long long)n_units);
    per_block = NISSL__MAX(BLOCK_BYTES / (int64_t)sizeof *x / n_stimuli, 16);
    per_block = NISSL__MIN(per_block / 16 * 16, n_units);
    status = nissl__tuning_begin(ctx, n_stimuli, n_units, f->level, f->n_levels, opt, &work, err);
    if (status != NISSL_OK)
        return status;
    x = nissl__alloc((size_t)n_stimuli * (size_t)per_block, sizeof *x);
    if (!x) {
        status = NISSL__NO_MEMORY(err, (size_t)n_stimuli * (size_t)per_block * sizeof *x);
        goto done;
    }
    for (int64_t first = 0; first < n_units; first += per_block) {
        int64_t n = NISSL__MIN(per_block, n_units - first);
        status = nissl_recording_responses(recording, site, first, n, x, err);
        if (status == NISSL_OK)
            status = nissl__tuning_block(work, x, first, n, err);
        if (status != NISSL_OK)
            goto done;
    }
    nissl__tuning_end(work, out);
done:
    nissl__free(x);
    nissl__tuning_abandon(work);
    return status;
}
