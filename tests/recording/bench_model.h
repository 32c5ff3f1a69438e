/* A small network of known truth with gratings and noise, and a folder for what is written. */
#ifndef NISSL_TEST_BENCH_MODEL_H
#define NISSL_TEST_BENCH_MODEL_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../check.h"
#include "foundation/foundation.h"
#include "nissl.h"
#include "recording/recorder.h"

#define STIMULI "gratings:orientations=6,frequencies=3,phases=2+noise:n=23"

typedef struct bench_model {
    char folder[256], model[300];
    nissl_context *ctx;
    nissl_network *network, *twin;
    nissl_stimuli *stimuli;
} bench_model;

static inline const char *in_folder(const bench_model *b, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", b->folder, name);
    return path;
}

/* A new folder with the model in it. */
static inline void bench_model_folder(bench_model *b)
{
    nissl_visual_cortex_options cortex = {.side = 24, .n_orientations = 4, .n_scales = 2};
    nissl_error err = {0};
    const char *tmp = getenv("TMPDIR");
    memset(b, 0, sizeof *b);
    snprintf(b->folder, sizeof b->folder, "%s/nissl_recording_XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(b->folder));
    in_folder(b, "cortex.onnx", b->model, sizeof b->model);
    check_ok(nissl_visual_cortex_write(&cortex, b->model, NULL, NULL, &err), err);
}

static inline nissl_status bench_model_load(bench_model *b, int threads, const char *stimuli,
                                            nissl_error *err)
{
    nissl_context_options options = nissl_context_options_default();
    nissl_stimuli_options shown = nissl_stimuli_options_default();
    int64_t shape[NISSL_MAX_RANK];
    nissl_view input;
    nissl_status status;
    options.threads = threads;
    if ((status = nissl_context_new(&options, &b->ctx, err)) != NISSL_OK ||
        (status = nissl_network_open(b->ctx, b->model, &b->network, err)) != NISSL_OK ||
        (status = nissl_network_twin(b->ctx, b->network, 7, &b->twin, err)) != NISSL_OK)
        return status;
    memcpy(shape, nissl_network_input(b->network, 0)->shape, sizeof shape);
    shape[0] = 1;
    input = nissl_view_of(NULL, NISSL_FLOAT32, nissl_network_input(b->network, 0)->rank, shape);
    shown.input_shape = &input;
    return nissl_stimuli_open(b->ctx, stimuli, &shown, &b->stimuli, err);
}

static inline void bench_model_open(bench_model *b, int threads, const char *stimuli)
{
    nissl_error err = {0};
    bench_model_folder(b);
    check_ok(bench_model_load(b, threads, stimuli, &err), err);
}

/* Names in the folder that are not the model's. */
static inline int count_files(const bench_model *b)
{
    DIR *folder = opendir(b->folder);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        n += entry->d_name[0] != '.' && strncmp(entry->d_name, "cortex", 6) != 0;
    closedir(folder);
    return n;
}

static inline void bench_model_close(bench_model *b)
{
    DIR *folder = opendir(b->folder);
    char path[600];
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlink(in_folder(b, entry->d_name, path, sizeof path));
    closedir(folder);
    rmdir(b->folder);
    nissl_stimuli_free(b->stimuli);
    nissl_network_free(b->twin);
    nissl_network_free(b->network);
    nissl_context_free(b->ctx);
}

/* Records network and twin to NAME.nwb and NAME.twin.nwb in the folder. */
static inline nissl_status record_both(bench_model *b, const nissl_plan *plan, const char *name,
                                       uint64_t *allocated, nissl_error *err)
{
    char first[600], second[600];
    nissl_subject subjects[2] = {{b->network, first, "network"}, {b->twin, second, "twin"}};
    nissl_record_options options = {.command = "nissl record"};
    snprintf(first, sizeof first, "%s/%s.nwb", b->folder, name);
    snprintf(second, sizeof second, "%s/%s.twin.nwb", b->folder, name);
    return nissl__record(b->ctx, plan, b->stimuli, subjects, 2, &options, allocated, err);
}

#endif
