/* Where an analysis takes its responses from: a recording, or a network and stimuli that are
 * recorded for the occasion. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "app.h"
#include "nissl/recording.h"

typedef struct cli_source {
    nissl_recording *recording;
    char *folder; /* of a recording made for the occasion; removed afterwards */
} cli_source;

/*
 * Opens operand 0 as a recording, or records operand 0, a network, on operand 1.
 * @param stimuli   operand 1 or NULL.
 * @param sites     globs of the sites to record; NULL = all. A recording is opened whole.
 */
nissl_status cli_source_open(cli_app *app, const char *path, const char *stimuli, const char *sites,
                             cli_source *out);
void cli_source_close(cli_source *source);

#endif
