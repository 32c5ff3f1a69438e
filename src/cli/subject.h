/* What most commands begin with: a network and a stimulus set, opened as the options say. */
#ifndef CLI_SUBJECT_H
#define CLI_SUBJECT_H

#include "app.h"
#include "nissl/network.h"
#include "nissl/recording.h"
#include "nissl/stimuli.h"

typedef struct cli_subject {
    nissl_network *network;
    nissl_stimuli *stimuli;
    nissl_plan *plan;
} cli_subject;

/*
 * The shape [1, ...] of the network's first input: the file's, with what it leaves open taken from
 * --shape, else -1.
 * @return NISSL_ERR_SHAPE when --shape contradicts the file, NISSL_ERR_ARGUMENT when it is no
 * shape.
 */
nissl_status cli_input_shape(cli_app *app, const nissl_network *network, nissl_view *out);

/* Opens a network and, where path is not NULL, stimuli of its input's shape. */
nissl_status cli_subject_open(cli_app *app, const char *model, const char *stimuli,
                              cli_subject *out);
/* Makes the plan that --sites, --reduce, --summary, --top and --batch describe. */
nissl_status cli_subject_plan(cli_app *app, cli_subject *subject);
/* The plan options of the settings. */
nissl_plan_options cli_plan_options_of(const cli_settings *settings);
/* Refuses a plan that needs more than --memory. */
nissl_status cli_subject_afford(cli_app *app, const cli_subject *subject, int n_subjects);
void cli_subject_free(cli_subject *subject);

/* Whether a file begins like HDF5, which a recording does. */
bool cli_is_recording(const char *path);

/* "units of 12 sites, 500 stimuli ..." for --dry-run: facts, then sites by reducers. */
nissl_status cli_print_plan(cli_app *app, const cli_subject *subject, int n_subjects);

/* Whether a name matches one of comma-separated globs and none that begins with "!"; without any
 * but those, all names match. As in a plan. */
bool cli_glob_match(const char *globs, const char *name);
/* The same of a site's name and aliases. */
bool cli_glob_match_site(const char *globs, const nissl_site *site);

#endif
