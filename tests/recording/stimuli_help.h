/* Shared by the tests of stimuli: opening a set, and a folder of its own for each test. */
#ifndef NISSL_TEST_STIMULI_HELP_H
#define NISSL_TEST_STIMULI_HELP_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "foundation/foundation.h"
#include "nissl/stimuli.h"

typedef struct room {
    nissl_context *ctx;
    char folder[64];
} room;

static inline void remove_all(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        unlink(path);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            char *inside = nissl__format("%s/%s", path, entry->d_name);
            remove_all(inside);
            nissl__free(inside);
        }
    closedir(dir);
    rmdir(path);
}

static inline int room_open(void **state)
{
    room *r = calloc(1, sizeof *r);
    nissl_error error = {0};
    nissl_context_options opt = nissl_context_options_default();
    opt.threads = 4;
    strcpy(r->folder, "/tmp/nissl-stimuli-XXXXXX");
    *state = r;
    return !mkdtemp(r->folder) || nissl_context_new(&opt, &r->ctx, &error) != NISSL_OK;
}

static inline int room_close(void **state)
{
    room *r = *state;
    remove_all(r->folder);
    nissl_context_free(r->ctx);
    free(r);
    return 0;
}

/* The path of a file in the room; the caller frees it. */
static inline char *in_room(const room *r, const char *name)
{
    return nissl__format("%s/%s", r->folder, name);
}

static inline void write_text(const room *r, const char *name, const char *text)
{
    char *path = in_room(r, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    nissl__free(path);
}

/* What to open; every part may be left out. */
typedef struct request {
    const char *path; /* a generator, or the name of something in the room if in_folder is set */
    bool in_folder;
    const char *preprocess;
    const char *labels; /* in the room */
    int rank;           /* of input; 0: no network */
    int64_t input[5];
    int64_t limit;
} request;

static inline nissl_status try_open(const room *r, request q, nissl_stimuli **set,
                                    nissl_error *error)
{
    nissl_stimuli_options opt = nissl_stimuli_options_default();
    nissl_view input = {.type = NISSL_FLOAT32, .rank = q.rank};
    char *path = q.in_folder ? in_room(r, q.path) : nissl__strdup(q.path);
    char *labels = q.labels ? in_room(r, q.labels) : NULL;
    nissl_status status;
    memcpy(input.shape, q.input, sizeof q.input);
    opt.preprocess = q.preprocess;
    opt.labels = labels;
    opt.input_shape = q.rank ? &input : NULL;
    opt.limit = q.limit;
    status = nissl_stimuli_open(r->ctx, path, &opt, set, error);
    nissl__free(path);
    nissl__free(labels);
    return status;
}

static inline nissl_stimuli *open_set(const room *r, request q)
{
    nissl_stimuli *set = NULL;
    nissl_error error = {0};
    check_ok(try_open(r, q, &set, &error), error);
    return set;
}

/* Opening must fail with this status and a message that contains says. */
static inline void check_refused(const room *r, request q, nissl_status expected, const char *says)
{
    nissl_stimuli *set = NULL;
    nissl_error error = {0};
    nissl_status status = try_open(r, q, &set, &error);
    if (status != expected || !strstr(error.message, says))
        fail_msg("%s: %s: %s (expected %s: %s)", q.path, nissl_status_name(status), error.message,
                 nissl_status_name(expected), says);
    assert_null(set);
}

static inline int64_t value_count(const nissl_stimuli *set)
{
    int64_t shape[NISSL_MAX_RANK], count = 1;
    int rank = nissl_stimuli_shape(set, shape);
    for (int i = 0; i < rank; i++)
        count *= shape[i];
    return count;
}

/* Values of stimuli first .. first + n - 1; the caller frees them. */
static inline float *load(const nissl_stimuli *set, int64_t first, int64_t n)
{
    float *values = nissl__alloc((size_t)(n * value_count(set)), sizeof *values);
    nissl_error error = {0};
    check_ok(nissl_stimuli_load(set, first, n, values, &error), error);
    return values;
}

static inline const nissl_factor *factor_named(const nissl_stimuli *set, const char *name)
{
    for (int i = 0; i < nissl_stimuli_n_factors(set); i++)
        if (strcmp(nissl_stimuli_factor(set, i)->name, name) == 0)
            return nissl_stimuli_factor(set, i);
    fail_msg("no factor %s", name);
    return NULL;
}

/* The level's text of stimulus i, "" if it is missing. */
static inline const char *level_of(const nissl_factor *factor, int64_t i)
{
    return factor->level[i] < 0 ? "" : factor->levels[factor->level[i]];
}

static inline uint64_t hash_of_set(const room *r, const nissl_stimuli *set)
{
    uint64_t hash = 0;
    nissl_error error = {0};
    check_ok(nissl_stimuli_hash(r->ctx, set, &hash, &error), error);
    return hash;
}

#endif
