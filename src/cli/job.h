/* The main job, for nissl examine and nissl demo: examine, report, say what was found. */
#ifndef CLI_JOB_H
#define CLI_JOB_H

#include <jansson.h>

#include "app.h"
#include "nissl/examine.h"
#include "subject.h"

typedef struct cli_job {
    cli_subject subject;
    nissl_examination examination;
    char *parity; /* JSON of a verification, NULL = not verified */
    double seconds;
} cli_job;

/* Options that nissl examine and nissl demo share: --force, --no-twin, --web. */
extern const cli_option cli_job_options[];

/*
 * Examines a model on stimuli and writes the report into a folder that exists.
 * @param title NULL = from the model's name.
 */
nissl_status cli_job_run(cli_app *app, const char *model, const char *stimuli, const char *title,
                         const char *folder, cli_job *out);
/* Prints what was found and where it lies; extra, which may be NULL, is added to the JSON. */
void cli_job_print(cli_app *app, const cli_job *job, const char *folder, json_t *extra);
void cli_job_free(cli_job *job);

#endif
