/* An index over the units of a site, network beside twin. */
#include "report/pages.h"
#include "studies/distribution.h"

static const double levels[5] = {0.05, 0.25, 0.5, 0.75, 0.95};

static double *shares(const double *sorted, int64_t n, const double *edges, int n_bins)
{
    double *out = nissl__alloc((size_t)n_bins, sizeof *out);
    int bin = 0;
    for (int64_t i = 0; i < n && out != NULL; i++) {
        while (bin < n_bins - 1 && sorted[i] >= edges[bin + 1])
            bin++;
        out[bin] += 1.0 / (double)n;
    }
    return out;
}

nissl_status nissl__spread_new(const double *x, int64_t n, const double *twin, int64_t twin_n,
                               nissl__spread *out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl__spread s = {0};
    double *a = nissl__alloc((size_t)(n + twin_n + 2), sizeof *a),
           *b = a == NULL ? NULL : a + n + 1;
    double low, high;
    if (a == NULL)
        return NISSL__NO_MEMORY(err, (size_t)(n + twin_n + 2) * sizeof *a);
    s.n = x == NULL ? 0 : nissl__sort_defined(x, n, a);
    s.twin_n = twin == NULL ? 0 : nissl__sort_defined(twin, twin_n, b);
    for (int q = 0; q < 5; q++) {
        s.quantile[q] = nissl__quantile(a, s.n, levels[q]);
        s.twin_quantile[q] = nissl__quantile(b, s.twin_n, levels[q]);
    }
    if (s.n > 0) {
        /* Rice's rule on the smaller sample, within what a small chart can show */
        const int64_t fewest = s.twin_n > 0 ? NISSL__MIN(s.n, s.twin_n) : s.n;
        low = s.twin_n > 0 ? NISSL__MIN(a[0], b[0]) : a[0];
        high = s.twin_n > 0 ? NISSL__MAX(a[s.n - 1], b[s.twin_n - 1]) : a[s.n - 1];
        if (!isfinite(low) || !isfinite(high))
            goto done; /* an infinity has no place on an axis; the quantiles tell */
        s.n_bins = (int)ceil(2 * cbrt((double)fewest));
        s.n_bins = NISSL__MAX(6, NISSL__MIN(s.n_bins, 40));
        if (!(low < high)) {
            low -= fabs(low) > 0 ? 0.5 * fabs(low) : 0.5;
            high += fabs(high) > 0 ? 0.5 * fabs(high) : 0.5;
            s.n_bins = 1;
        }
        s.edges = nissl__alloc((size_t)s.n_bins + 1, sizeof *s.edges);
        for (int i = 0; i <= s.n_bins && s.edges != NULL; i++)
            s.edges[i] = low + (high - low) * i / s.n_bins;
        s.share = s.edges == NULL ? NULL : shares(a, s.n, s.edges, s.n_bins);
        if (s.twin_n > 0 && s.edges != NULL)
            s.twin = shares(b, s.twin_n, s.edges, s.n_bins);
        if (s.share == NULL || (s.twin_n > 0 && s.twin == NULL)) {
            status = NISSL__NO_MEMORY(err, (size_t)s.n_bins * sizeof *s.edges);
            nissl__spread_free(&s);
        }
    }
done:
    if (status == NISSL_OK)
        *out = s;
    nissl__free(a);
    return status;
}

void nissl__spread_free(nissl__spread *spread)
{
    nissl__free(spread->edges);
    nissl__free(spread->share);
    nissl__free(spread->twin);
    *spread = (nissl__spread){0};
}

json_t *nissl__spread_json(const nissl__spread *spread)
{
    bool failed = false;
    json_t *out;
    if (spread->n_bins == 0)
        return json_null();
    out = json_object();
    nissl__json_put(out, "edges", nissl__json_numbers(spread->edges, spread->n_bins + 1), &failed);
    nissl__json_put(out, "network", nissl__json_numbers(spread->share, spread->n_bins), &failed);
    nissl__json_put(out, "q", nissl__json_numbers(spread->quantile, 5), &failed);
    if (spread->twin != NULL) {
        nissl__json_put(out, "twin", nissl__json_numbers(spread->twin, spread->n_bins), &failed);
        nissl__json_put(out, "twin_q", nissl__json_numbers(spread->twin_quantile, 5), &failed);
    }
    if (failed) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *nissl__spread_summary(const nissl__spread *spread)
{
    bool failed = false;
    json_t *out = nissl__json_numbers(spread->quantile + 1, 3);
    nissl__json_add(out, json_integer(spread->n), &failed);
    for (int q = 1; q < 4; q++)
        nissl__json_add(out, nissl__json_number(spread->twin_quantile[q]), &failed);
    nissl__json_add(out, json_integer(spread->twin_n), &failed);
    if (failed) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *nissl__spread_rows(const nissl__spread *spread)
{
    bool failed = false;
    json_t *out = json_array();
    /* the last row closes the steps and has no upper end */
    for (int i = 0; i <= spread->n_bins && spread->n_bins > 0; i++) {
        const int bin = NISSL__MIN(i, spread->n_bins - 1);
        json_t *row = json_object();
        nissl__json_put(row, "low", nissl__json_number(spread->edges[i]), &failed);
        nissl__json_put(row, "high",
                        i < spread->n_bins ? nissl__json_number(spread->edges[i + 1]) : json_null(),
                        &failed);
        nissl__json_put(row, "network", nissl__json_number(spread->share[bin]), &failed);
        if (spread->twin != NULL)
            nissl__json_put(row, "twin", nissl__json_number(spread->twin[bin]), &failed);
        nissl__json_add(out, row, &failed);
    }
    if (failed) {
        json_decref(out);
        return NULL;
    }
    return out;
}
