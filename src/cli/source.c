/* Recordings, there already or made for the occasion. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "source.h"
#include "subject.h"

/* Records the responses of a network into a folder of its own. */
static nissl_status record(cli_app *app, const char *model, const char *stimuli, const char *sites,
                           const char *path)
{
    cli_subject subject = {0};
    nissl_record_options opt = {.command = app->command_line};
    nissl_status status = cli_subject_open(app, model, stimuli, &subject);
    if (status == NISSL_OK) {
        nissl_plan_options plan = cli_plan_options_of(&app->set);
        plan.sites = sites;
        plan.reducers = "responses";
        status = nissl_plan_new(app->ctx, subject.network, subject.stimuli, &plan, &subject.plan,
                                &app->err);
    }
    if (status == NISSL_OK)
        status = cli_subject_afford(app, &subject, 1);
    if (status == NISSL_OK) {
        nissl_subject one = {subject.network, path, "network"};
        status = nissl_record(app->ctx, subject.plan, subject.stimuli, &one, 1, &opt, &app->err);
    }
    cli_subject_free(&subject);
    return status;
}

nissl_status cli_source_open(cli_app *app, const char *path, const char *stimuli, const char *sites,
                             cli_source *out)
{
    char *recording;
    nissl_status status;
    *out = (cli_source){0};
    if (cli_is_recording(path)) {
        if (stimuli)
            return cli_fail(&app->err, NISSL_ERR_ARGUMENT,
                            "%.200s is a recording, which has its stimuli; '%.200s' is too much",
                            path, stimuli);
        return nissl_recording_open(app->ctx, path, &out->recording, &app->err);
    }
    if (!stimuli) {
        if (access(path, R_OK) != 0)
            return cli_fail(&app->err, NISSL_ERR_IO, "cannot read %.300s: %s", path,
                            strerror(errno));
        return cli_fail(&app->err, NISSL_ERR_ARGUMENT,
                        "%.300s is not a recording; a network needs STIMULI after it", path);
    }
    if ((status = cli_temporary_folder(&out->folder, &app->err)) != NISSL_OK)
        return status;
    recording = cli_path_join(out->folder, "recording.nwb");
    status = recording ? record(app, path, stimuli, sites, recording)
                       : cli_fail(&app->err, NISSL_ERR_MEMORY, "out of memory");
    if (status == NISSL_OK)
        status = nissl_recording_open(app->ctx, recording, &out->recording, &app->err);
    free(recording);
    return status;
}

void cli_source_close(cli_source *source)
{
    nissl_recording_free(source->recording);
    if (source->folder)
        cli_remove_tree(source->folder);
    free(source->folder);
    *source = (cli_source){0};
}
