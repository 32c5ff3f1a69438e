/* The units of a site in files of NISSL__REPORT_CHUNK: tuning curves, histograms, exemplars. */
#include "report/pages.h"

typedef struct condition {
    double mean;
    int32_t level;
} condition;

/* Strongest first, then in the order of the levels; conditions without responses last. */
static int compare_conditions(const void *a, const void *b)
{
    const condition *x = a, *y = b;
    const bool no_x = isnan(x->mean), no_y = isnan(y->mean);
    if (no_x || no_y)
        return no_x != no_y ? no_x - no_y : (x->level > y->level) - (x->level < y->level);
    if (x->mean > y->mean || x->mean < y->mean)
        return x->mean > y->mean ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

/* A unit's curve over more conditions than a page can show: the strongest, and the ranked curve at
 * equally spaced ranks. */
static void add_long_curve(const double *mean, const double *se, int n, condition *order,
                           json_t *levels, json_t *means, json_t *ses, json_t *ranked, bool *failed)
{
    json_t *some_levels = json_array(), *some_means = json_array(), *some_ses = json_array();
    json_t *curve = json_array();
    int defined = 0;
    for (int c = 0; c < n; c++) {
        order[c] = (condition){mean[c], c};
        defined += !isnan(mean[c]);
    }
    qsort(order, (size_t)n, sizeof *order, compare_conditions);
    for (int i = 0; i < NISSL__MIN(NISSL__REPORT_TOP, defined); i++) {
        nissl__json_add(some_levels, json_integer(order[i].level), failed);
        nissl__json_add(some_means, nissl__json_number(order[i].mean), failed);
        nissl__json_add(some_ses, nissl__json_number(se == NULL ? NAN : se[order[i].level]),
                        failed);
    }
    for (int i = 0; i < NISSL__REPORT_RANKED && defined > 0; i++) {
        const int rank = (int)((double)i * (defined - 1) / (NISSL__REPORT_RANKED - 1) + 0.5);
        nissl__json_add(curve, nissl__json_number(order[rank].mean), failed);
    }
    nissl__json_add(levels, some_levels, failed);
    nissl__json_add(means, some_means, failed);
    nissl__json_add(ses, some_ses, failed);
    nissl__json_add(ranked, curve, failed);
}

static json_t *curves_of(const nissl_tuning *tuning, int64_t first, int64_t count, bool *failed)
{
    const int n = (int)tuning->n_conditions;
    json_t *out = json_object(), *means = json_array(), *ses = json_array();
    const bool whole = n <= NISSL__REPORT_CURVE;
    json_t *levels = whole ? NULL : json_array(), *ranked = whole ? NULL : json_array();
    condition *order = whole ? NULL : nissl__alloc((size_t)n, sizeof *order);
    *failed = *failed || (!whole && order == NULL);
    for (int64_t u = first; u < first + count && !*failed; u++) {
        const double *mean = tuning->curve + u * n;
        const double *se = tuning->curve_se == NULL ? NULL : tuning->curve_se + u * n;
        if (whole) {
            nissl__json_add(means, nissl__json_numbers(mean, n), failed);
            nissl__json_add(ses, nissl__json_numbers(se, n), failed);
        } else {
            add_long_curve(mean, se, n, order, levels, means, ses, ranked, failed);
        }
    }
    nissl__json_put(out, "mean", means, failed);
    nissl__json_put(out, "se", ses, failed);
    if (!whole) {
        nissl__json_put(out, "levels", levels, failed);
        nissl__json_put(out, "ranked", ranked, failed);
    }
    nissl__free(order);
    return out;
}

static json_t *histograms_of(const nissl__site_numbers *numbers, int64_t first, int64_t count,
                             bool *failed)
{
    json_t *out = json_object(), *counts = json_array();
    nissl__json_put(out, "low", nissl__json_numbers(numbers->low + first, count), failed);
    nissl__json_put(out, "high", nissl__json_numbers(numbers->high + first, count), failed);
    for (int64_t u = first; u < first + count; u++) {
        json_t *bins = json_array();
        for (int b = 0; b < NISSL__REPORT_BINS; b++)
            nissl__json_add(bins,
                            json_integer((json_int_t)numbers->counts[u * NISSL__REPORT_BINS + b]),
                            failed);
        nissl__json_add(counts, bins, failed);
    }
    nissl__json_put(out, "counts", counts, failed);
    nissl__json_put(out, "counted", json_string("stimuli"), failed);
    nissl__json_put(out, "text", json_string("one per stimulus"), failed);
    return out;
}

/* Exemplars at one end of a site. */
typedef struct exemplars {
    nissl_array stimulus, value; /* int64, float32 [n_units, k] */
    int64_t k;
} exemplars;

static nissl_status read_exemplars(const nissl_recording *recording, size_t site, bool top,
                                   exemplars *out, nissl_error *err)
{
    const nissl_recorded_site *info = nissl_recording_site(recording, site);
    nissl_status status;
    if (!nissl_recording_has(recording, site,
                             top ? "exemplars/top_value" : "exemplars/bottom_value"))
        return NISSL_OK;
    status = nissl_recording_array(recording, site,
                                   top ? "exemplars/top_stimulus" : "exemplars/bottom_stimulus",
                                   &out->stimulus, err);
    if (status == NISSL_OK)
        status = nissl_recording_array(recording, site,
                                       top ? "exemplars/top_value" : "exemplars/bottom_value",
                                       &out->value, err);
    if (status != NISSL_OK)
        return status;
    if (out->stimulus.type != NISSL_INT64 || out->value.type != NISSL_FLOAT32 ||
        out->stimulus.rank != 2 || out->value.rank != 2 ||
        out->stimulus.shape[0] != info->n_units || out->value.shape[0] != info->n_units ||
        out->stimulus.shape[1] != out->value.shape[1])
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "exemplars of site %s are not stimuli and values of its %lld units",
                           info->name, (long long)info->n_units);
    out->k = out->value.shape[1];
    return NISSL_OK;
}

static json_t *exemplars_of(nissl__report *report, const exemplars *x, int64_t first, int64_t count,
                            bool *failed)
{
    json_t *out = json_object(), *stimuli = json_array(), *values = json_array();
    const int64_t *index = x->stimulus.data;
    const float *value = x->value.data;
    for (int64_t u = first; u < first + count; u++) {
        json_t *some = json_array(), *their = json_array();
        for (int64_t i = u * x->k; i < (u + 1) * x->k; i++) {
            if (index[i] < 0 || index[i] >= report->n_stimuli)
                continue;
            report->pictured[index[i]] = true;
            nissl__json_add(some, json_integer(index[i]), failed);
            nissl__json_add(their, nissl__json_number((double)value[i]), failed);
        }
        nissl__json_add(stimuli, some, failed);
        nissl__json_add(values, their, failed);
    }
    nissl__json_put(out, "stimulus", stimuli, failed);
    nissl__json_put(out, "value", values, failed);
    return out;
}

nissl_status nissl__units_write(nissl__report *report, size_t site,
                                const nissl__site_numbers *numbers, nissl_error *err)
{
    nissl_status status;
    exemplars top = {0}, bottom = {0};
    status = read_exemplars(report->e->recording, site, true, &top, err);
    if (status == NISSL_OK)
        status = read_exemplars(report->e->recording, site, false, &bottom, err);
    for (int64_t first = 0; first < numbers->n_units && status == NISSL_OK;
         first += NISSL__REPORT_CHUNK) {
        const int64_t count = NISSL__MIN(NISSL__REPORT_CHUNK, numbers->n_units - first);
        char *name = nissl__format("data/site_%03zu_%lld.js", site + 1, (long long)first);
        json_t *chunk = json_object(), *curves = json_array();
        bool failed = name == NULL;
        nissl__json_put(chunk, "site", json_integer((json_int_t)site + 1), &failed);
        nissl__json_put(chunk, "first", json_integer(first), &failed);
        for (int f = 0; f < report->e->n_factors; f++)
            nissl__json_add(curves, curves_of(&numbers->tuning[f], first, count, &failed), &failed);
        nissl__json_put(chunk, "curves", curves, &failed);
        nissl__json_put(chunk, "histogram", histograms_of(numbers, first, count, &failed), &failed);
        if (top.k > 0)
            nissl__json_put(chunk, "strongest", exemplars_of(report, &top, first, count, &failed),
                            &failed);
        if (bottom.k > 0)
            nissl__json_put(chunk, "weakest", exemplars_of(report, &bottom, first, count, &failed),
                            &failed);
        status = failed ? NISSL__NO_MEMORY(err, 0)
                        : nissl__report_write_json(report->directory, name, "NISSL.units(", chunk,
                                                   ");\n", JSON_COMPACT, err);
        json_decref(chunk);
        nissl__free(name);
    }
    nissl_array_free(&top.stimulus);
    nissl_array_free(&top.value);
    nissl_array_free(&bottom.stimulus);
    nissl_array_free(&bottom.value);
    return status;
}
