/* A unit's sheet on a terminal: curves as bars, a histogram as a line of blocks; or as JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "print.h"
#include "sheet.h"

#define FACT       14
#define MOST_BARS  40 /* a curve of more levels shows its highest */
#define LABEL      24 /* columns of a level's or stimulus' name */
#define MOST_LABEL 40

static void real(const char *name, double value)
{
    char text[32];
    printf("%-*s%s\n", FACT, name, cli_text_real(value, text, sizeof text));
}

/* Prints a name in `width` columns, cut at the end of what fits. */
static void name_in(const char *name, int width)
{
    int columns = 0;
    for (; *name; name++) {
        bool begins = ((unsigned char)*name & 0xc0) != 0x80;
        if (begins && columns == width)
            break;
        columns += begins;
        putchar((unsigned char)*name < 32 || *name == 127 ? '?' : *name);
    }
    printf("%*s", width - columns, "");
}

/* fraction 0 .. 1 of `width` columns, in eighths where there are such characters */
static void bar(double fraction, int width, bool ascii)
{
    static const char *const eighths[] = {"",
                                          "\xe2\x96\x8f",
                                          "\xe2\x96\x8e",
                                          "\xe2\x96\x8d",
                                          "\xe2\x96\x8c",
                                          "\xe2\x96\x8b",
                                          "\xe2\x96\x8a",
                                          "\xe2\x96\x89"};
    int units = isfinite(fraction) ? (int)lround(fraction * width * 8) : 0, whole = units / 8;
    if (ascii)
        whole = (units + 4) / 8;
    for (int i = 0; i < whole; i++)
        fputs(ascii ? "#" : "\xe2\x96\x88", stdout);
    if (!ascii)
        fputs(eighths[units % 8], stdout);
    printf("%*s", width - whole - (!ascii && units % 8 > 0), "");
}

static void histogram(const cli_sheet *s, bool ascii)
{
    static const char ramp[] = " .:-=+*#";
    int64_t most = 1;
    char low[32], high[32];
    for (int i = 0; i < CLI_SHEET_BINS; i++)
        most = s->count[i] > most ? s->count[i] : most;
    printf("%-*s", FACT, "histogram");
    for (int i = 0; i < CLI_SHEET_BINS; i++) {
        int level = (int)ceil(8.0 * (double)s->count[i] / (double)most);
        if (ascii)
            putchar(ramp[level ? level - 1 : 0]);
        else if (level == 0)
            putchar(' ');
        else
            printf("\xe2\x96%c", 0x80 + level);
    }
    printf("  %s .. %s\n", cli_text_real(s->low, low, sizeof low),
           cli_text_real(s->high, high, sizeof high));
}

/* ---- tuning curves ---- */

/* A level and its mean, for showing the highest of many. */
typedef struct level_mean {
    int level;
    double mean;
} level_mean;

static int highest_first(const void *a, const void *b)
{
    const level_mean *x = a, *y = b;
    double p = isnan(x->mean) ? -INFINITY : x->mean, q = isnan(y->mean) ? -INFINITY : y->mean;
    return p != q ? (p > q ? -1 : 1) : x->level - y->level;
}

/* Bars begin at 0, or at the lowest mean where one is below 0. */
static void curve(const nissl_factor *factor, const nissl_tuning *t, bool ascii, int width)
{
    level_mean order[1000];
    double low = 0, high = 0;
    int n = factor->n_levels, shown = n < MOST_BARS ? n : MOST_BARS, label = 1;
    for (int i = 0; i < n; i++) {
        order[i] = (level_mean){i, t->curve[i]};
        low = fmin(low, isnan(t->curve[i]) ? low : t->curve[i]);
        high = fmax(high, isnan(t->curve[i]) ? high : t->curve[i]);
    }
    if (n > shown)
        qsort(order, (size_t)n, sizeof *order, highest_first);
    for (int i = 0; i < shown; i++) {
        int columns = cli_text_columns(factor->levels[order[i].level]);
        label = columns > label ? columns : label;
    }
    label = label > LABEL ? LABEL : label;
    width -= label + 4 + 22;
    for (int i = 0; i < shown; i++) {
        int level = order[i].level;
        char mean[32], se[32];
        printf("  ");
        name_in(factor->levels[level], label);
        printf("  ");
        bar(high > low ? (t->curve[level] - low) / (high - low) : 0, width > 8 ? width : 8, ascii);
        printf("  %s", cli_text_real(t->curve[level], mean, sizeof mean));
        if (!isnan(t->curve_se[level]))
            printf(" %s %s", ascii ? "+-" : "\xc2\xb1",
                   cli_text_real(t->curve_se[level], se, sizeof se));
        putchar('\n');
    }
    if (n > shown)
        printf("  and %d levels with lower means\n", n - shown);
    if (low < 0) {
        char text[32];
        printf("  bars begin at %s\n", cli_text_real(low, text, sizeof text));
    }
}

static void tuning(const nissl_factor *factor, const nissl_tuning *t, bool ascii, int width)
{
    char text[5][32];
    printf("\n%s%s%s%s: ", factor->name, *factor->unit ? " (" : "", factor->unit,
           *factor->unit ? ")" : "");
    if (t->preferred[0] < 0)
        puts("no preference");
    else
        printf("prefers %s\n", factor->levels[t->preferred[0]]);
    curve(factor, t, ascii, width);
    printf("  selectivity %s (held out %s), d' %s, auROC %s\n  lifetime sparseness %s\n",
           cli_text_real(t->selectivity[0], text[0], sizeof text[0]),
           cli_text_real(t->selectivity_heldout[0], text[1], sizeof text[1]),
           cli_text_real(t->dprime[0], text[2], sizeof text[2]),
           cli_text_real(t->auroc[0], text[3], sizeof text[3]),
           cli_text_real(t->lifetime_sparseness[0], text[4], sizeof text[4]));
}

/* ---- exemplars ---- */

static int64_t exemplars_of(const cli_sheet *s, int n_exemplars)
{
    return s->n_ordered < n_exemplars ? s->n_ordered : n_exemplars;
}

/* Levels of a stimulus, as far as they fit behind `column`. */
static void levels_of(const cli_sheet *s, int64_t stimulus, int column, int width)
{
    for (int f = 0; f < s->n_factors; f++) {
        int32_t level = s->factor[f]->level[stimulus];
        char text[128];
        if (level < 0)
            continue;
        snprintf(text, sizeof text, "%.50s %.60s", s->factor[f]->name, s->factor[f]->levels[level]);
        column += 2 + cli_text_columns(text);
        if (column > width)
            return;
        printf("  %s", text);
    }
}

static void exemplars(const cli_sheet *s, bool strongest, int n_exemplars, int width)
{
    const int64_t *order = strongest ? s->strongest : s->weakest;
    int64_t n = exemplars_of(s, n_exemplars);
    int label = 1;
    for (int64_t k = 0; k < n; k++) {
        int columns = cli_text_columns(nissl_recording_stimulus_id(s->recording, order[k]));
        label = columns > label ? columns : label;
    }
    label = label > MOST_LABEL ? MOST_LABEL : label;
    printf("\n%s\n", strongest ? "strongest" : "weakest");
    for (int64_t k = 0; k < n; k++) {
        char text[32];
        printf("  %-10s", cli_text_real(s->value[order[k]], text, sizeof text));
        name_in(nissl_recording_stimulus_id(s->recording, order[k]), label);
        levels_of(s, order[k], 12 + label, width);
        putchar('\n');
    }
}

void cli_sheet_print(const cli_app *app, const cli_sheet *s, int n_exemplars)
{
    bool ascii = app->set.ascii || !cli_terminal_utf8();
    int width = cli_stdout_terminal() ? cli_terminal_width() : 80;
    char shape[160];
    cli_text_shape(s->site->rank - 1, s->site->shape + 1, shape, sizeof shape);
    printf("%-*s%s:%" PRId64 " (%s, %s, unit %" PRId64 " of %" PRId64 ")\n", FACT, "unit",
           s->site->name, s->unit, s->site->op, shape, s->unit, s->site->n_units);
    printf("%-*s%" PRId64 "\n", FACT, "stimuli", s->n);
    if (s->n_finite < s->n)
        printf("%-*s%" PRId64 " responses are NaN or infinite\n", FACT, "not finite",
               s->n - s->n_finite);
    real("mean", s->mean);
    real("sd", s->sd);
    printf("%-*s%.1f %% of stimuli\n", FACT, "above 0",
           s->n ? 100.0 * (double)s->n_active / (double)s->n : 0);
    if (s->n_finite)
        histogram(s, ascii);
    for (int f = 0; f < s->n_factors; f++)
        tuning(s->factor[f], &s->tuning[f], ascii, width);
    exemplars(s, true, n_exemplars, width);
    exemplars(s, false, n_exemplars, width);
}

/* ---- JSON ---- */

static json_t *exemplars_json(const cli_sheet *s, bool strongest, int n_exemplars)
{
    json_t *list = json_array();
    for (int64_t k = 0; k < exemplars_of(s, n_exemplars); k++) {
        int64_t i = strongest ? s->strongest[k] : s->weakest[k];
        json_array_append_new(list, json_pack("{s:I, s:s, s:o}", "index", (json_int_t)i, "stimulus",
                                              nissl_recording_stimulus_id(s->recording, i), "value",
                                              cli_real_json(s->value[i])));
    }
    return list;
}

static json_t *factor_json(const nissl_factor *factor, const nissl_tuning *t)
{
    json_t *levels = json_array(), *means = json_array(), *errors = json_array();
    for (int i = 0; i < factor->n_levels; i++) {
        json_array_append_new(levels, json_string(factor->levels[i]));
        json_array_append_new(means, cli_real_json(t->curve[i]));
        json_array_append_new(errors, cli_real_json(t->curve_se[i]));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s?, s:o, s:o, s:o, s:o, s:o}", "name",
                     factor->name, "unit", factor->unit, "levels", levels, "mean", means,
                     "standard_error", errors, "preferred",
                     t->preferred[0] < 0 ? NULL : factor->levels[t->preferred[0]], "selectivity",
                     cli_real_json(t->selectivity[0]), "selectivity_heldout",
                     cli_real_json(t->selectivity_heldout[0]), "dprime",
                     cli_real_json(t->dprime[0]), "auroc", cli_real_json(t->auroc[0]),
                     "lifetime_sparseness", cli_real_json(t->lifetime_sparseness[0]));
}

void cli_sheet_print_json(const cli_app *app, const cli_sheet *s, int n_exemplars)
{
    json_t *counts = json_array(), *factors = json_array(), *shape = json_array();
    (void)app;
    for (int i = 0; i < CLI_SHEET_BINS; i++)
        json_array_append_new(counts, json_integer(s->count[i]));
    for (int f = 0; f < s->n_factors; f++)
        json_array_append_new(factors, factor_json(s->factor[f], &s->tuning[f]));
    for (int i = 1; i < s->site->rank; i++)
        json_array_append_new(shape, json_integer(s->site->shape[i]));
    cli_print_json(json_pack(
        "{s:s, s:I, s:s, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:o, s:o, s:o}",
        "site", s->site->name, "unit", (json_int_t)s->unit, "op", s->site->op, "shape", shape,
        "n_units", (json_int_t)s->site->n_units, "n_stimuli", (json_int_t)s->n, "n_active",
        (json_int_t)s->n_active, "mean", cli_real_json(s->mean), "sd", cli_real_json(s->sd), "min",
        cli_real_json(s->low), "max", cli_real_json(s->high), "histogram", "low",
        cli_real_json(s->low), "high", cli_real_json(s->high), "counts", counts, "factors", factors,
        "strongest", exemplars_json(s, true, n_exemplars), "weakest",
        exemplars_json(s, false, n_exemplars)));
}
