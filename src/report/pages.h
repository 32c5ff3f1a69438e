/*
 * The parts of a report, private to it. A report is written in this order: folders and assets, one
 * site after the other (its data, its units in files of NISSL__REPORT_CHUNK, its chart
 * specifications), pictures of the stimuli that those refer to, the overview, and index.html last:
 * a folder that has one is complete.
 */
#ifndef NISSL__REPORT_PAGES_H
#define NISSL__REPORT_PAGES_H

#include "nissl/report.h"
#include "report/data.h"

#define NISSL__REPORT_CHUNK   128 /* units in one data file */
#define NISSL__REPORT_CURVE   40  /* conditions up to which a tuning curve is written whole */
#define NISSL__REPORT_TOP     20  /* conditions of a longer one */
#define NISSL__REPORT_RANKED  41  /* points of a longer one's ranked curve */
#define NISSL__REPORT_BINS    32  /* of a unit's histogram */
#define NISSL__REPORT_CONTACT 48  /* pictures of the contact sheet */
#define NISSL__REPORT_SIDE    112 /* pixels of a picture's longer side, at most */

typedef struct nissl__report {
    nissl_context *ctx;
    const nissl_examination *e;
    const nissl_network *network;
    const nissl_stimuli *stimuli;
    const nissl_report_options *opt;
    const char *directory;
    char *web;              /* where pages, styles, templates and bundles come from */
    bool bundles;           /* all three are there */
    nissl_program *program; /* shapes only: what each site costs */
    json_t *templates;      /* chart templates by name */
    json_t *provenance;     /* of the recording */
    json_t *sites;          /* what the overview says of each site */
    bool *pictured;         /* [n_stimuli] some page shows it */
    char **factor_files;    /* [n_factors] names of the tuned factors for files, all different */
    int64_t n_stimuli;
    int64_t n_charts;
} nissl__report;

/* ---- indices: what they are, where their values are ---- */

typedef enum nissl__index_key {
    NISSL__INDEX_SELECTIVITY,
    NISSL__INDEX_SELECTIVITY_HELDOUT,
    NISSL__INDEX_AUROC,
    NISSL__INDEX_DPRIME,
    NISSL__INDEX_PER_FACTOR, /* those above are per factor, those below are not */
    NISSL__INDEX_LIFETIME = NISSL__INDEX_PER_FACTOR,
    NISSL__INDEX_POPULATION,
    NISSL__INDEX_ACTIVE,
    NISSL__INDEX_MEAN,
    NISSL__INDEX_SD,
    NISSL__INDEX_COUNT
} nissl__index_key;

typedef struct nissl__index {
    const char *key;   /* in the data files */
    const char *name;  /* for headings */
    const char *label; /* for table headers */
    const char *axis;
    const char *text, *formula, *source;
    double low, high;  /* range for bars; NaN: none */
    bool over_stimuli; /* one value per stimulus instead of per unit */
    bool percent, depth, table, sheet, sort, distribution;
} nissl__index;

const nissl__index *nissl__report_index(nissl__index_key key);
json_t *nissl__report_indices(void);

/* What a site's units (and population, over stimuli) are in numbers, for one subject. */
typedef struct nissl__site_numbers {
    int64_t n_units, n_stimuli;
    double *mean, *sd, *active, *lifetime; /* [n_units] */
    double *population;                    /* [n_stimuli] */
    uint32_t *counts;                      /* [n_units, NISSL__REPORT_BINS], or NULL */
    double *low, *high;                    /* [n_units] ends of the histogram */
    const nissl_tuning *tuning;            /* [n_factors], borrowed; NULL without factors */
} nissl__site_numbers;

/* histograms: also count every unit's values. */
nissl_status nissl__site_numbers_read(nissl_context *ctx, const nissl_recording *recording,
                                      size_t site, const nissl_tuning *tuning, bool histograms,
                                      nissl__site_numbers *out, nissl_error *err);
void nissl__site_numbers_free(nissl__site_numbers *numbers);
/* Values of an index, and how many; NULL if it has none. */
const double *nissl__site_values(const nissl__site_numbers *numbers, nissl__index_key key,
                                 int factor, int64_t *n);

/* The n-th tuned factor. */
const nissl_factor *nissl__report_factor(const nissl__report *report, int factor);
/* A name for files: letters, digits, "_", "-" and "." of text, at most 60 of them; allocated. */
char *nissl__report_file_name(const char *text);

/* An index over units or stimuli of network and twin: quantiles and a histogram of both in the same
 * bins. */
typedef struct nissl__spread {
    int64_t n, twin_n;                    /* where it is defined */
    double quantile[5], twin_quantile[5]; /* 5, 25, 50, 75, 95 %; NaN without values */
    int n_bins;
    double *edges;        /* [n_bins + 1] */
    double *share, *twin; /* [n_bins], of n and twin_n; twin is NULL without a twin */
} nissl__spread;

/* twin may be NULL. n_bins is 0 where the network has no defined value. */
nissl_status nissl__spread_new(const double *x, int64_t n, const double *twin, int64_t twin_n,
                               nissl__spread *out, nissl_error *err);
void nissl__spread_free(nissl__spread *spread);
/* For a site's data file; null without bins. */
json_t *nissl__spread_json(const nissl__spread *spread);
/* For the overview: [q1, median, q3, n, twin's q1, median, q3, n]. */
json_t *nissl__spread_summary(const nissl__spread *spread);
/* Rows of the chart "distribution". */
json_t *nissl__spread_rows(const nissl__spread *spread);

/* ---- charts ---- */

typedef struct nissl__chart_text {
    const char *name; /* "unit" fills in "$unit" */
    json_t *value;    /* borrowed; NULL: what asked for it is left out */
} nissl__chart_text;

nissl_status nissl__charts_load(nissl__report *report, nissl_error *err);
/* Writes charts/name.vl.json: a template with its data (taken over) and texts. */
nissl_status nissl__chart_write(nissl__report *report, const char *template_name, json_t *values,
                                const nissl__chart_text *texts, size_t n_texts, const char *name,
                                nissl_error *err);

/* ---- parts of the folder ---- */

/* Finds the web folder, loads chart templates, copies assets. */
nissl_status nissl__assets_write(nissl__report *report, nissl_error *err);
/* A page from web/template with @TITLE@, @NUMBER@ and @BUNDLES@ filled in, text escaped. root leads
 * from the page to the folder: "" or "../". */
nissl_status nissl__page_write(const nissl__report *report, const char *template_name,
                               const char *root, const char *title, const char *number,
                               const char *name, nissl_error *err);
/* Everything about one site; appends to report->sites and marks stimuli that it shows. */
nissl_status nissl__site_write(nissl__report *report, size_t site, nissl_error *err);
nissl_status nissl__units_write(nissl__report *report, size_t site,
                                const nissl__site_numbers *numbers, nissl_error *err);
/* data/stimuli.js and the pictures of marked stimuli. */
nissl_status nissl__pictures_write(nissl__report *report, nissl_error *err);
/* The stimulus of a place on the contact sheet, and how many places there are. */
int64_t nissl__contact_size(const nissl__report *report);
int64_t nissl__contact_stimulus(const nissl__report *report, int64_t place);
/* data/report.js and the charts across depth. */
nissl_status nissl__overview_write(nissl__report *report, const char *title, nissl_error *err);

#endif
