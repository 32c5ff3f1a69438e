/* A report of a small random network whose tensors, files and classes have names that try to be
 * markup. */
#ifndef TESTS_REPORT_HOSTILE_H
#define TESTS_REPORT_HOSTILE_H

#include "nissl/report.h"

#define HOSTILE_UNITS 300 /* of the widest site: more than one file of units */

/* Writes model, stimuli and report into folders of directory, which exists: model.onnx, stimuli/,
 * report/. web: where the pages come from. */
nissl_status hostile_report_write(nissl_context *ctx, const char *directory, const char *web,
                                  nissl_error *err);

#endif
