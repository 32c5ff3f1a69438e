/* What a site's units are in numbers: read from the recording, once for the network and the twin.
 */
#include "report/pages.h"

#define BLOCK_BYTES ((int64_t)16 << 20) /* of responses that are read at once */

/* A float64 [n_units] array of the recording into out; NaN where the recording lacks it. */
static nissl_status read_column(const nissl_recording *recording, size_t site, const char *name,
                                int64_t n_units, double *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl_array array = {0};
    nissl_view view;
    if (!nissl_recording_has(recording, site, name)) {
        for (int64_t u = 0; u < n_units; u++)
            out[u] = NAN;
        return NISSL_OK;
    }
    status = nissl_recording_array(recording, site, name, &array, err);
    if (status != NISSL_OK)
        return status;
    view = nissl_array_view(&array);
    if (nissl_array_count(&array) != n_units)
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s of site %s has %lld values for %lld units",
                             name, nissl_recording_site(recording, site)->name,
                             (long long)nissl_array_count(&array), (long long)n_units);
    else
        status = nissl_view_copy(&view, NISSL_FLOAT64, out, err);
    nissl_array_free(&array);
    return status;
}

/* Counts the values x[0], x[stride], ... of a unit in equal bins from its least to its largest. */
static void count_values(const float *x, int64_t n, int64_t stride, uint32_t *counts, double *low,
                         double *high)
{
    double least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)x[i * stride];
        if (isfinite(v)) {
            least = v < least ? v : least;
            most = v > most ? v : most;
        }
    }
    *low = least < most ? least : NAN;
    *high = least < most ? most : NAN;
    for (int64_t i = 0; i < n && least < most; i++) {
        const double v = (double)x[i * stride];
        if (isfinite(v)) {
            const int bin = (int)((v - least) / (most - least) * NISSL__REPORT_BINS);
            counts[NISSL__MIN(bin, NISSL__REPORT_BINS - 1)]++;
        }
    }
}

/* Lifetime sparseness, histograms and what population sparseness needs, from blocks of units. */
static nissl_status read_responses(nissl_context *ctx, const nissl_recording *recording,
                                   size_t site, nissl__site_numbers *out, nissl_error *err)
{
    const int64_t n_stimuli = out->n_stimuli, n_units = out->n_units;
    const int64_t block =
        NISSL__MIN(n_units, NISSL__MAX(1, BLOCK_BYTES / ((int64_t)sizeof(float) * n_stimuli)));
    nissl_status status = NISSL_OK;
    float *x = nissl__alloc((size_t)n_stimuli, (size_t)block * sizeof *x);
    double *sum = nissl__alloc((size_t)n_stimuli, 2 * sizeof *sum), *squares;
    if (x == NULL || sum == NULL) {
        status = NISSL__NO_MEMORY(err, (size_t)(n_stimuli * block) * sizeof *x);
        goto done;
    }
    squares = sum + n_stimuli;
    for (int64_t first = 0; first < n_units; first += block) {
        const int64_t n = NISSL__MIN(block, n_units - first);
        if (nissl_context_cancelled(ctx))
            status = NISSL__FAIL(err, NISSL_ERR_CANCELLED, "cancelled while writing the report");
        else
            status = nissl_recording_responses(recording, site, first, n, x, err);
        if (status != NISSL_OK)
            goto done;
        for (int64_t s = 0; s < n_stimuli; s++)
            for (int64_t u = 0; u < n; u++) {
                const double rate = (double)NISSL__MAX(x[s * n + u], 0.0f);
                sum[s] += rate;
                squares[s] += rate * rate;
            }
        for (int64_t u = 0; u < n; u++) {
            out->lifetime[first + u] = nissl_sparseness_vinje_gallant(x + u, n_stimuli, n);
            if (out->counts != NULL)
                count_values(x + u, n_stimuli, n, out->counts + (first + u) * NISSL__REPORT_BINS,
                             &out->low[first + u], &out->high[first + u]);
        }
    }
    for (int64_t s = 0; s < n_stimuli; s++) {
        const double n = (double)n_units;
        out->population[s] = squares[s] > 0.0 && n_units > 1
                                 ? (1.0 - sum[s] * sum[s] / (n * squares[s])) / (1.0 - 1.0 / n)
                                 : NAN;
    }
done:
    nissl__free(x);
    nissl__free(sum);
    return status;
}

nissl_status nissl__site_numbers_read(nissl_context *ctx, const nissl_recording *recording,
                                      size_t site, const nissl_tuning *tuning, bool histograms,
                                      nissl__site_numbers *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl__site_numbers n = {.n_units = nissl_recording_site(recording, site)->n_units,
                             .n_stimuli = nissl_recording_n_stimuli(recording),
                             .tuning = tuning};
    double **columns[] = {&n.mean, &n.sd, &n.active, &n.lifetime, &n.low, &n.high};
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++)
        *columns[c] = nissl__alloc((size_t)n.n_units + 1, sizeof(double));
    n.population = nissl__alloc((size_t)n.n_stimuli + 1, sizeof(double));
    if (histograms)
        n.counts = nissl__alloc((size_t)n.n_units + 1, NISSL__REPORT_BINS * sizeof *n.counts);
    if (n.mean == NULL || n.sd == NULL || n.active == NULL || n.lifetime == NULL || n.low == NULL ||
        n.high == NULL || n.population == NULL || (histograms && n.counts == NULL)) {
        status = NISSL__NO_MEMORY(err, (size_t)n.n_units * NISSL__REPORT_BINS * sizeof *n.counts);
        goto done;
    }
    status = read_column(recording, site, "moments/mean", n.n_units, n.mean, err);
    if (status == NISSL_OK)
        status = read_column(recording, site, "moments/variance", n.n_units, n.sd, err);
    if (status == NISSL_OK)
        status = read_column(recording, site, "frequency/frequency", n.n_units, n.active, err);
    if (status == NISSL_OK)
        status = read_responses(ctx, recording, site, &n, err);
    if (status != NISSL_OK)
        goto done;
    for (int64_t u = 0; u < n.n_units; u++)
        n.sd[u] = sqrt(n.sd[u]);
    *out = n;
    n = (nissl__site_numbers){0};
done:
    nissl__site_numbers_free(&n);
    return status;
}

void nissl__site_numbers_free(nissl__site_numbers *numbers)
{
    nissl__free(numbers->mean);
    nissl__free(numbers->sd);
    nissl__free(numbers->active);
    nissl__free(numbers->lifetime);
    nissl__free(numbers->population);
    nissl__free(numbers->counts);
    nissl__free(numbers->low);
    nissl__free(numbers->high);
    *numbers = (nissl__site_numbers){0};
}

const double *nissl__site_values(const nissl__site_numbers *numbers, nissl__index_key key,
                                 int factor, int64_t *n)
{
    const nissl_tuning *tuning = numbers->tuning == NULL ? NULL : &numbers->tuning[factor];
    *n = numbers->n_units;
    switch (key) {
    case NISSL__INDEX_SELECTIVITY: return tuning == NULL ? NULL : tuning->selectivity;
    case NISSL__INDEX_SELECTIVITY_HELDOUT:
        return tuning == NULL ? NULL : tuning->selectivity_heldout;
    case NISSL__INDEX_AUROC: return tuning == NULL ? NULL : tuning->auroc;
    case NISSL__INDEX_DPRIME: return tuning == NULL ? NULL : tuning->dprime;
    case NISSL__INDEX_LIFETIME: return numbers->lifetime;
    case NISSL__INDEX_POPULATION: *n = numbers->n_stimuli; return numbers->population;
    case NISSL__INDEX_ACTIVE: return numbers->active;
    case NISSL__INDEX_MEAN: return numbers->mean;
    case NISSL__INDEX_SD: return numbers->sd;
    case NISSL__INDEX_COUNT: break;
    }
    return NULL;
}
