/* A reference made now by another framework, through a script that Python runs. */
#ifndef CLI_RUNTIME_H
#define CLI_RUNTIME_H

#include "app.h"
#include "subject.h"

typedef struct cli_runtime {
    char *folder; /* input.npy, output.npy, sites/, as nissl_verify_reference reads them */
    bool keep;    /* the user named it */
} cli_runtime;

/*
 * Writes the first --inputs stimuli, or random numbers, and has onnxruntime run them.
 * @return NISSL_ERR_UNSUPPORTED when Python, numpy, onnx or onnxruntime is missing, saying which;
 * NISSL_ERR_IO when the script is missing or fails.
 */
nissl_status cli_runtime_run(cli_app *app, const cli_subject *subject, cli_runtime *out);
void cli_runtime_close(cli_runtime *runtime);

#endif
