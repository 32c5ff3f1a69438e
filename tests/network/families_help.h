/* Shared by the tests of transformers: running a network on ids and keeping every site. */
#ifndef NISSL_TEST_FAMILIES_HELP_H
#define NISSL_TEST_FAMILIES_HELP_H

#include "check.h"
#include "formats/safetensors.h"
#include "foundation/foundation.h"
#include "nissl/network.h"

#define MAX_SITES 512

/* What a program reports. */
typedef struct seen {
    const nissl_program *program;
    float *values[MAX_SITES];
    int64_t counts[MAX_SITES];
} seen;

static inline nissl_status keep(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    seen *s = user;
    assert_true(site < MAX_SITES);
    s->counts[site] = nissl_view_count(view);
    s->values[site] = malloc((size_t)s->counts[site] * sizeof(float));
    return nissl_view_copy(view, NISSL_FLOAT32, s->values[site], err);
}

static inline void forget(seen *s)
{
    for (int i = 0; i < MAX_SITES; i++)
        free(s->values[i]);
    memset(s->values, 0, sizeof s->values);
}

static inline void run(const nissl_network *network, int64_t batch, int64_t tokens,
                       const int64_t *ids, nissl_program **program, seen *out)
{
    int64_t shape[2] = {batch, tokens}, data[1024];
    nissl_error error = {0};
    nissl_program_options opt = nissl_program_options_default();
    nissl_run *work = NULL;
    memcpy(data, ids, (size_t)(batch * tokens) * sizeof *data);
    nissl_view input = nissl_view_of(data, NISSL_INT64, 2, shape);
    opt.batch = batch;
    opt.observe_all = true;
    opt.input_shapes = &input;
    opt.n_input_shapes = 1;
    check_ok(nissl_program_compile(NULL, network, &opt, program, &error), error);
    check_ok(nissl_run_new(*program, &work, &error), error);
    *out = (seen){.program = *program};
    check_ok(nissl_run_forward(work, &input, 1, keep, out, &error), error);
    nissl_run_free(work);
}

static inline nissl_network *open_fixture(const char *name)
{
    nissl_network *network = NULL;
    nissl_error error = {0};
    char *path = nissl__format("%s/families/%s", getenv("NISSL_FIXTURES"), name);
    check_ok(nissl_network_open(NULL, path, &network, &error), error);
    nissl__free(path);
    return network;
}

static inline nissl__safetensors *open_expected(const char *name)
{
    nissl__safetensors *set = NULL;
    nissl_error error = {0};
    char *path =
        nissl__format("%s/families/%s/expected.safetensors", getenv("NISSL_FIXTURES"), name);
    check_ok(nissl__safetensors_open(path, 0, &set, &error), error);
    nissl__free(path);
    return set;
}

#endif
