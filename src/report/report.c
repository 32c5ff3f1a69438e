/* The report: a folder of pages that opens from disk. */
#include <stdio.h>

#include "report/pages.h"

nissl_report_options nissl_report_options_default(void)
{
    return (nissl_report_options){0};
}

const nissl_factor *nissl__report_factor(const nissl__report *report, int factor)
{
    return nissl_recording_factor(report->e->recording, report->e->factors[factor]);
}

char *nissl__report_file_name(const char *text)
{
    char *out = nissl__format("%.60s", text);
    for (char *c = out; c != NULL && *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              *c == '-' || *c == '.'))
            *c = '_';
    return out;
}

/* Names of the tuned factors as parts of file names; one that is taken gets its number. */
static nissl_status name_factors(nissl__report *report, nissl_error *err)
{
    const int n = report->e->n_factors;
    report->factor_files = nissl__alloc((size_t)n + 1, sizeof *report->factor_files);
    if (report->factor_files == NULL)
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *report->factor_files);
    for (int f = 0; f < n; f++) {
        char *name = nissl__report_file_name(nissl__report_factor(report, f)->name);
        bool taken = false;
        for (int g = 0; g < f && name != NULL; g++)
            taken = taken || strcmp(name, report->factor_files[g]) == 0;
        report->factor_files[f] = taken ? nissl__format("%s_%d", name, f + 1) : name;
        if (taken)
            nissl__free(name);
        if (report->factor_files[f] == NULL)
            return NISSL__NO_MEMORY(err, 64);
    }
    return NISSL_OK;
}

/* What each site costs: the network compiled for one stimulus, without weights or buffers. */
static nissl_status compile(nissl__report *report, nissl_error *err)
{
    nissl_program_options opt = nissl_program_options_default();
    nissl_view input = {.type = NISSL_FLOAT32};
    int64_t shape[NISSL_MAX_RANK];
    const int rank = nissl_stimuli_shape(report->stimuli, shape);
    input.rank = NISSL__MIN(rank + 1, NISSL_MAX_RANK);
    input.shape[0] = 1;
    memcpy(input.shape + 1, shape, (size_t)(input.rank - 1) * sizeof *shape);
    opt.batch = 1;
    opt.shapes_only = true;
    opt.observe_all = true;
    opt.input_shapes = &input;
    opt.n_input_shapes = 1;
    return nissl_program_compile(report->ctx, report->network, &opt, &report->program, err);
}

/* The model's file name without folder and extension. */
static char *title_of(const nissl_network *network)
{
    const char *path = nissl_network_path(network), *slash = strrchr(path, '/');
    const char *name = slash != NULL && slash[1] != '\0' ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return dot != NULL && dot != name ? nissl__format("%.*s", (int)(dot - name), name)
                                      : nissl__strdup(name);
}

static nissl_status prepare(nissl__report *report, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    const char *provenance = nissl_recording_provenance(report->e->recording);
    report->n_stimuli = nissl_recording_n_stimuli(report->e->recording);
    if (report->n_stimuli != nissl_stimuli_count(report->stimuli))
        return NISSL__FAIL(
            err, NISSL_ERR_SHAPE, "the recording has %lld stimuli, the stimulus set %lld",
            (long long)report->n_stimuli, (long long)nissl_stimuli_count(report->stimuli));
    report->pictured = nissl__alloc((size_t)report->n_stimuli + 1, sizeof *report->pictured);
    report->sites = json_array();
    report->provenance = json_loads(provenance != NULL ? provenance : "{}", 0, NULL);
    if (report->provenance == NULL)
        report->provenance = nissl__json_text(provenance);
    if (report->pictured == NULL || report->sites == NULL || report->provenance == NULL)
        status = NISSL__NO_MEMORY(err, (size_t)report->n_stimuli * sizeof *report->pictured);
    if (status == NISSL_OK)
        status = name_factors(report, err);
    if (status == NISSL_OK)
        status = compile(report, err);
    return status;
}

static void free_report(nissl__report *report)
{
    for (int f = 0; report->factor_files != NULL && f < report->e->n_factors; f++)
        nissl__free(report->factor_files[f]);
    nissl__free(report->factor_files);
    nissl__free(report->pictured);
    nissl__free(report->web);
    nissl_program_free(report->program);
    json_decref(report->templates);
    json_decref(report->provenance);
    json_decref(report->sites);
}

nissl_status nissl_report_write(nissl_context *ctx, const nissl_examination *examination,
                                const nissl_network *network, const nissl_stimuli *stimuli,
                                const nissl_report_options *opt, const char *directory,
                                nissl_error *err)
{
    const nissl_report_options defaults = nissl_report_options_default();
    nissl__report report = {.ctx = ctx,
                            .e = examination,
                            .network = network,
                            .stimuli = stimuli,
                            .opt = opt != NULL ? opt : &defaults,
                            .directory = directory};
    nissl_status status = NISSL_OK;
    nissl__progress progress;
    char *index = nissl__format("%s/index.html", directory);
    char *title = report.opt->title != NULL ? nissl__strdup(report.opt->title) : title_of(network);

    if (index == NULL || title == NULL) {
        status = NISSL__NO_MEMORY(err, strlen(directory));
        goto done;
    }
    remove(index); /* an older report's; the new one appears when the folder is complete */
    status = prepare(&report, err);
    if (status == NISSL_OK)
        status = nissl__assets_write(&report, err);
    if (status != NISSL_OK)
        goto done;
    nissl__progress_begin(&progress, ctx, "reporting", "sites", examination->n_sites);
    for (size_t i = 0; i < examination->n_sites && status == NISSL_OK; i++) {
        status = nissl__site_write(&report, i, err);
        nissl__progress_add(&progress, 1, 0);
    }
    nissl__progress_end(&progress);
    if (status == NISSL_OK)
        status = nissl__pictures_write(&report, err);
    if (status == NISSL_OK)
        status = nissl__overview_write(&report, title, err);
    if (status == NISSL_OK)
        status = nissl__page_write(&report, "index.html", "", title, "", "index.html", err);
done:
    free_report(&report);
    nissl__free(index);
    nissl__free(title);
    return status;
}
