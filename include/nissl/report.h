/**
 * The report: a folder that opens from disk in a browser without a server.
 */
#ifndef NISSL_REPORT_H
#define NISSL_REPORT_H

#include "nissl/examine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nissl_report_options {
    const char *web; /* folder with report.js, report.css and the vega bundles; NULL = the installed
                        one, or beside the program */
    const char *title;      /* NULL = from the model's file name */
    const char *parameters; /* JSON list of every option in force, or NULL: [{"name", "value",
                               "default", "set" ("default", "configuration", "command line"),
                               "description"}] */
    const char
        *parity; /* JSON of a verify run to show, or NULL: "not verified" is then what the report
                    says. nissl_verification's json: "passed", "sentence", "tensors" */
} nissl_report_options;

nissl_report_options nissl_report_options_default(void);

/**
 * Writes index.html, one page per site with a linkable anchor per unit, the stimuli as pictures,
 * tables, chart specifications (Vega-Lite JSON) and every parameter into a folder that exists.
 */
nissl_status nissl_report_write(nissl_context *ctx, const nissl_examination *examination,
                                const nissl_network *network, const nissl_stimuli *stimuli,
                                const nissl_report_options *opt, const char *directory,
                                nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
