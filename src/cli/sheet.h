/* One unit's sheet: everything a recording of responses says about it. */
#ifndef CLI_SHEET_H
#define CLI_SHEET_H

#include "app.h"
#include "nissl/recording.h"
#include "nissl/tuning.h"

#define CLI_SHEET_BINS 40

typedef struct cli_sheet {
    const nissl_recording *recording;
    const nissl_recorded_site *site;
    int64_t unit;
    int64_t n;                  /* stimuli */
    float *value;               /* [n] */
    int64_t *strongest;         /* [n_ordered] stimuli, equals by index */
    int64_t *weakest;           /* [n_ordered] stimuli, equals by index */
    int64_t n_ordered;          /* values that are not NaN */
    int64_t n_finite, n_active; /* finite values; values above 0 */
    double mean, sd, low, high;
    int64_t count[CLI_SHEET_BINS]; /* stimuli per bin of equal width from low to high */
    int n_factors;
    const nissl_factor **factor; /* [n_factors] those with 2 .. 1000 levels */
    nissl_tuning *tuning;        /* [n_factors] */
} cli_sheet;

/*
 * @param site_index, unit of the recording.
 * @param only a factor's name, NULL = all.
 */
nissl_status cli_sheet_make(cli_app *app, const nissl_recording *recording, size_t site_index,
                            int64_t unit, const char *only, cli_sheet *out);
void cli_sheet_free(cli_sheet *sheet);

void cli_sheet_print(const cli_app *app, const cli_sheet *sheet, int n_exemplars);
void cli_sheet_print_json(const cli_app *app, const cli_sheet *sheet, int n_exemplars);

#endif
