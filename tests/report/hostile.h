/* A report of a small random network whose tensors, files and classes have names that try to be
 * markup. */
#ifndef TESTS_REPORT_HOSTILE_H
#define TESTS_REPORT_HOSTILE_H

#include "nissl/report.h"

#define HOSTILE_UNITS 300 /* of the widest site: more than one file of units */

/* An examination of it, and what its report is to be written with. */
typedef struct hostile {
    nissl_network *network;
    nissl_stimuli *stimuli;
    nissl_examination examination;
    nissl_report_options options;
    char report[512]; /* the folder to write into */
} hostile;

/* Writes model.onnx and stimuli into a folder that exists, makes report/ there and examines. web:
 * where the pages come from. */
nissl_status hostile_examine(nissl_context *ctx, const char *directory, const char *web,
                             hostile *out, nissl_error *err);
void hostile_free(hostile *h);

/* The same, and the report. */
nissl_status hostile_report_write(nissl_context *ctx, const char *directory, const char *web,
                                  nissl_error *err);

#endif
