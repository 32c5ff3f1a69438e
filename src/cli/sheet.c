/* What is on a unit's sheet. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sheet.h"

#define MOST_LEVELS 1000

/* One stimulus and its value, for sorting. */
typedef struct place {
    float value;
    int64_t index;
} place;

static int weakest_first(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int strongest_first(const void *a, const void *b)
{
    const place *x = a, *y = b;
    return x->value != y->value ? weakest_first(b, a) : weakest_first(a, b);
}

static nissl_status sort(cli_sheet *s, nissl_error *err)
{
    place *places = malloc((size_t)(s->n ? s->n : 1) * sizeof *places);
    if (!places)
        return cli_fail(err, NISSL_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < s->n; i++)
        if (!isnan(s->value[i]))
            places[s->n_ordered++] = (place){s->value[i], i};
    qsort(places, (size_t)s->n_ordered, sizeof *places, strongest_first);
    for (int64_t i = 0; i < s->n_ordered; i++)
        s->strongest[i] = places[i].index;
    qsort(places, (size_t)s->n_ordered, sizeof *places, weakest_first);
    for (int64_t i = 0; i < s->n_ordered; i++)
        s->weakest[i] = places[i].index;
    free(places);
    return NISSL_OK;
}

static void describe(cli_sheet *s)
{
    double sum = 0, squares = 0;
    s->low = INFINITY;
    s->high = -INFINITY;
    for (int64_t i = 0; i < s->n; i++) {
        if (!isfinite(s->value[i]))
            continue;
        s->n_finite++;
        s->n_active += s->value[i] > 0;
        sum += s->value[i];
        s->low = fmin(s->low, s->value[i]);
        s->high = fmax(s->high, s->value[i]);
    }
    s->mean = s->n_finite ? sum / (double)s->n_finite : NAN;
    for (int64_t i = 0; i < s->n; i++) {
        if (!isfinite(s->value[i]))
            continue;
        squares += (s->value[i] - s->mean) * (s->value[i] - s->mean);
        double at = s->high > s->low ? (s->value[i] - s->low) / (s->high - s->low) : 0;
        int bin = (int)(at * CLI_SHEET_BINS);
        s->count[bin < CLI_SHEET_BINS ? bin : CLI_SHEET_BINS - 1]++;
    }
    s->sd = s->n_finite > 1 ? sqrt(squares / (double)(s->n_finite - 1)) : NAN;
}

static nissl_status tune(cli_app *app, cli_sheet *s, const char *only)
{
    nissl_tuning_options opt = {.seed = (uint64_t)app->set.seed};
    int n = nissl_recording_n_factors(s->recording);
    s->factor = calloc((size_t)n + 1, sizeof *s->factor);
    s->tuning = calloc((size_t)n + 1, sizeof *s->tuning);
    if (!s->factor || !s->tuning)
        return cli_fail(&app->err, NISSL_ERR_MEMORY, "out of memory");
    for (int i = 0; i < n; i++) {
        const nissl_factor *factor = nissl_recording_factor(s->recording, i);
        nissl_status status;
        if (factor->n_levels < 2 || factor->n_levels > MOST_LEVELS || !factor->level ||
            (only && strcmp(only, factor->name) != 0))
            continue;
        status = nissl_tuning_compute(app->ctx, s->value, s->n, 1, factor->level, factor->n_levels,
                                      &opt, &s->tuning[s->n_factors], &app->err);
        if (status != NISSL_OK)
            return status;
        s->factor[s->n_factors++] = factor;
    }
    if (only && s->n_factors == 0)
        return cli_fail(&app->err, NISSL_ERR_NAME,
                        "the stimuli have no factor '%.100s' with 2 .. %d levels", only,
                        MOST_LEVELS);
    return NISSL_OK;
}

nissl_status cli_sheet_make(cli_app *app, const nissl_recording *recording, size_t site_index,
                            int64_t unit, const char *only, cli_sheet *out)
{
    cli_sheet s = {.recording = recording,
                   .site = nissl_recording_site(recording, site_index),
                   .unit = unit,
                   .n = nissl_recording_n_stimuli(recording)};
    nissl_status status;
    s.value = calloc((size_t)(s.n ? s.n : 1), sizeof *s.value);
    s.strongest = malloc((size_t)(s.n ? s.n : 1) * sizeof *s.strongest);
    s.weakest = malloc((size_t)(s.n ? s.n : 1) * sizeof *s.weakest);
    if (!s.value || !s.strongest || !s.weakest)
        status = cli_fail(&app->err, NISSL_ERR_MEMORY, "out of memory");
    else
        status = nissl_recording_responses(recording, site_index, unit, 1, s.value, &app->err);
    if (status == NISSL_OK)
        status = sort(&s, &app->err);
    if (status == NISSL_OK) {
        describe(&s);
        status = tune(app, &s, only);
    }
    if (status == NISSL_OK)
        *out = s;
    else
        cli_sheet_free(&s);
    return status;
}

void cli_sheet_free(cli_sheet *sheet)
{
    for (int i = 0; i < sheet->n_factors; i++)
        nissl_tuning_free(&sheet->tuning[i]);
    free(sheet->factor);
    free(sheet->tuning);
    free(sheet->value);
    free(sheet->strongest);
    free(sheet->weakest);
    *sheet = (cli_sheet){0};
}
