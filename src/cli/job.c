/* Examine, report, print. */
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "files.h"
#include "job.h"
#include "nissl/report.h"
#include "nissl/verify.h"
#include "print.h"

#define FINDINGS_SHOWN 5

const cli_option cli_job_options[] = {
    {.name = "force",
     .letter = 'f',
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, force),
     .help = "replace a report that exists"},
    {.name = "twin",
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, twin),
     .fallback = "yes",
     .help = "leave out the twin, the same network with its weights permuted, beside which every "
             "index is shown"},
    {.name = "web",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, web),
     .argument = "DIR",
     .help = "folder of the report's scripts and chart library [the installed one]"},
    {0}};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static nissl_status verify(cli_app *app, cli_job *job)
{
    nissl_verify_options opt = nissl_verify_options_default();
    nissl_verification v = {0};
    nissl_status status;
    if (!app->set.reference)
        return NISSL_OK;
    opt.tolerance = app->set.tolerance;
    status = nissl_verify_reference(app->ctx, job->subject.network, app->set.reference, &opt, &v,
                                    &app->err);
    if (status != NISSL_OK)
        return status;
    if (!v.passed)
        cli_terminal_note(&app->terminal,
                          "warning: %" PRId64 " of %" PRId64
                          " stored tensors differ; nissl verify says which, and the report says so",
                          v.n_failed, v.n_compared);
    job->parity = v.json;
    v.json = NULL;
    nissl_verification_free(&v);
    return NISSL_OK;
}

/* The examination makes its own plan, and a plan packs weights: this one goes before that comes. */
static nissl_status afford(cli_app *app, cli_subject *subject)
{
    nissl_status status;
    if (app->set.memory == 0)
        return NISSL_OK;
    status = cli_subject_plan(app, subject);
    if (status == NISSL_OK)
        status = cli_subject_afford(app, subject, app->set.twin ? 2 : 1);
    nissl_plan_free(subject->plan);
    subject->plan = NULL;
    return status;
}

nissl_status cli_job_run(cli_app *app, const char *model, const char *stimuli, const char *title,
                         const char *folder, cli_job *out)
{
    cli_job job = {0};
    nissl_examine_options examine = nissl_examine_options_default();
    nissl_report_options report = nissl_report_options_default();
    char *parameters = cli_parameters_json(app->command, &app->set);
    double started = now();
    nissl_status status = cli_subject_open(app, model, stimuli, &job.subject);
    if (status == NISSL_OK)
        status = afford(app, &job.subject);
    if (status == NISSL_OK)
        status = verify(app, &job);
    examine.plan = cli_plan_options_of(&app->set);
    examine.twin = app->set.twin;
    examine.command = app->command_line;
    if (status == NISSL_OK)
        status = nissl_examine(app->ctx, job.subject.network, job.subject.stimuli, &examine, folder,
                               &job.examination, &app->err);
    report.web = app->set.web;
    report.title = title;
    report.parameters = parameters;
    report.parity = job.parity;
    if (status == NISSL_OK)
        status = nissl_report_write(app->ctx, &job.examination, job.subject.network,
                                    job.subject.stimuli, &report, folder, &app->err);
    job.seconds = now() - started;
    free(parameters);
    if (status == NISSL_OK)
        *out = job;
    else
        cli_job_free(&job);
    return status;
}

/* ---- what was found ---- */

static json_t *findings_json(const nissl_examination *e)
{
    json_t *list = json_array();
    for (size_t i = 0; i < e->n_findings; i++) {
        const nissl_finding *f = &e->findings[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:s, s:s}", "text",
                            f->text, "site", f->site, "factor", f->factor, "measure", f->measure,
                            "effect", cli_real_json(f->effect), "low", cli_real_json(f->low),
                            "high", cli_real_json(f->high), "control", cli_real_json(f->control),
                            "n", (json_int_t)f->n, "sample", f->sample, "threat", f->threat));
    }
    return list;
}

/* "1. text", wrapped on a terminal with further lines under the text */
static void print_finding(size_t number, const char *text)
{
    int width = cli_stdout_terminal() ? cli_terminal_width() : INT_MAX, column = 4;
    printf("%2zu. ", number);
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > 4 && column + 1 + (int)word > width) {
            fputs("\n    ", stdout);
            column = 4;
        } else if (column > 4) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += (int)word;
        text += word + (text[word] == ' ');
    }
    putchar('\n');
}

void cli_job_print(cli_app *app, const cli_job *job, const char *folder, json_t *extra)
{
    const nissl_examination *e = &job->examination;
    char *whole = realpath(folder, NULL);
    char *index = cli_path_join(whole ? whole : folder, "index.html");
    char text[4][32];
    if (app->set.json) {
        json_t *root = json_pack(
            "{s:s, s:f, s:f, s:f, s:I, s:I, s:I, s:o, s:o, s:o?}", "report", index, "seconds",
            job->seconds, "seconds_recording", e->seconds_recording, "seconds_tuning",
            e->seconds_tuning, "planned_bytes", (json_int_t)e->planned_bytes, "resident_bytes",
            (json_int_t)e->resident_bytes, "expected_bytes", (json_int_t)e->expected_bytes,
            "findings", findings_json(e), "sites", cli_table_json(&e->sites), "parity",
            job->parity ? json_loads(job->parity, 0, NULL) : NULL);
        if (extra)
            json_object_update(root, extra);
        cli_print_json(root);
    } else {
        for (size_t i = 0; i < e->n_findings && i < FINDINGS_SHOWN; i++)
            print_finding(i + 1, e->findings[i].text);
        if (e->n_findings == 0)
            puts("no finding that effect and control support; the report has every number");
        if (e->n_findings > FINDINGS_SHOWN)
            printf("    and %zu more in the report\n", e->n_findings - FINDINGS_SHOWN);
        printf("\n%-14s%s (%s planned, %s resident, %s expected)\n", "time",
               cli_text_seconds(job->seconds, text[0], sizeof text[0]),
               cli_text_bytes(e->planned_bytes, text[1], sizeof text[1]),
               cli_text_bytes(e->resident_bytes, text[2], sizeof text[2]),
               cli_text_bytes(e->expected_bytes, text[3], sizeof text[3]));
        printf("%-14s%s\n", "report", index ? index : folder);
    }
    json_decref(extra);
    free(whole);
    free(index);
}

void cli_job_free(cli_job *job)
{
    nissl_examination_free(&job->examination);
    cli_subject_free(&job->subject);
    free(job->parity);
    *job = (cli_job){0};
}
