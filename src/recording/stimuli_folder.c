/* Stimuli from image files: one, those under a folder, or those that a CSV names. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#include "formats/file.h"
#include "formats/idx.h"
#include "formats/image.h"
#include "recording/stimuli.h"

#define MAX_DEPTH 8
#define LABELS    "labels.csv"

typedef struct folder_state {
    char *root;         /* "" or a folder with "/" at the end */
    nissl__texts names; /* below the root, sorted */
    int64_t *sizes;     /* [n, 2] height and width */
    uint64_t budget;
} folder_state;

static void folder_free(void *opaque)
{
    folder_state *state = opaque;
    if (!state)
        return;
    nissl__free(state->root);
    nissl__free(state->sizes);
    nissl__texts_free(&state->names);
    nissl__free(state);
}

static nissl_status path_of(const folder_state *state, int64_t index, char **out, nissl_error *err)
{
    *out = nissl__format("%s%s", state->root, nissl__texts_at(&state->names, index));
    return *out ? NISSL_OK : NISSL__NO_MEMORY(err, strlen(state->root) + 256);
}

static nissl_status folder_load(const nissl__source *source, int64_t index, nissl__item *out,
                                nissl_error *err)
{
    const folder_state *state = source->state;
    nissl__item item = {.form = source->form};
    uint8_t *rgb = NULL;
    char *path = NULL;
    nissl_status status = path_of(state, index, &path, err);
    if (status != NISSL_OK)
        return status;
    status =
        nissl__image_read(path, state->budget, &rgb, &item.form.shape[0], &item.form.shape[1], err);
    nissl__free(path);
    if (status != NISSL_OK)
        return status;
    item.bytes = rgb;
    item.memory = rgb;
    *out = item;
    return NISSL_OK;
}

static nissl_status folder_hash(const nissl__source *source, nissl__hash *hash, nissl_error *err)
{
    const folder_state *state = source->state;
    for (int64_t i = 0; i < source->n; i++) {
        nissl__mapping file = {0};
        char *path = NULL;
        nissl_status status = path_of(state, i, &path, err);
        if (status == NISSL_OK)
            status = nissl__map_file(path, &file, err);
        nissl__free(path);
        if (status != NISSL_OK)
            return status;
        uint64_t size = file.size;
        nissl__hash_add(hash, &size, sizeof size);
        nissl__hash_add(hash, file.data, file.size);
        nissl__unmap_file(&file);
    }
    return NISSL_OK;
}

static const nissl__source_type folder_type = {"folder", folder_load, folder_hash, folder_free};

/* ---- finding the files ---- */

static bool is_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
                   strcasecmp(dot, ".png") == 0);
}

/* Adds the images under root/below; below is "" or ends with "/". */
static nissl_status collect(const char *root, const char *below, int depth, nissl__texts *names,
                            nissl_error *err)
{
    nissl_status status = NISSL_OK;
    const struct dirent *entry;
    char *folder = nissl__format("%s%s", root, below);
    DIR *dir = folder ? opendir(*folder ? folder : ".") : NULL;
    if (!dir) {
        status = folder ? NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s", folder, strerror(errno))
                        : NISSL__NO_MEMORY(err, strlen(root) + strlen(below) + 1);
        nissl__free(folder);
        return status;
    }
    while (status == NISSL_OK && (entry = readdir(dir))) {
        struct stat info;
        if (entry->d_name[0] == '.')
            continue;
        char *name = nissl__format("%s%s", below, entry->d_name);
        char *path = nissl__format("%s%s", root, name ? name : "");
        if (!name || !path)
            status =
                NISSL__NO_MEMORY(err, strlen(root) + strlen(below) + strlen(entry->d_name) + 1);
        else if (stat(path, &info) != 0)
            status = is_image_name(name)
                         ? NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s", path, strerror(errno))
                         : NISSL_OK;
        else if (S_ISDIR(info.st_mode) && depth == MAX_DEPTH)
            status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: folders nested more than %d deep", path,
                                 MAX_DEPTH);
        else if (S_ISDIR(info.st_mode)) {
            char *deeper = nissl__format("%s/", name);
            status = deeper ? collect(root, deeper, depth + 1, names, err)
                            : NISSL__NO_MEMORY(err, strlen(name) + 2);
            nissl__free(deeper);
        } else if (is_image_name(name)) {
            status = nissl__texts_add(names, name, err);
        }
        nissl__free(name);
        nissl__free(path);
    }
    closedir(dir);
    nissl__free(folder);
    return status;
}

static nissl_status collect_from_csv(const char *path, uint64_t budget, nissl__texts *names,
                                     nissl_error *err)
{
    nissl__csv csv = {0};
    nissl_status status = nissl__csv_open(path, budget, &csv, err);
    if (status != NISSL_OK)
        return status;
    if (!nissl__csv_has_header(&csv) || strcasecmp(nissl__csv_cell(&csv, 0, 0), "path") != 0)
        status =
            NISSL__FAIL(err, NISSL_ERR_FORMAT,
                        "%s: line %lld: the first column must be named \"path\", found \"%.60s\"",
                        path, (long long)csv.line[0], nissl__csv_cell(&csv, 0, 0));
    for (int64_t row = 1; row < csv.n_rows && status == NISSL_OK; row++)
        status = nissl__texts_add(names, nissl__csv_cell(&csv, row, 0), err);
    nissl__csv_free(&csv);
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The first `limit` names in sorted order. */
static nissl_status sort_names(const nissl__texts *all, int64_t limit, nissl__texts *out,
                               nissl_error *err)
{
    nissl_status status = NISSL_OK;
    const char **sorted = nissl__alloc((size_t)all->n, sizeof *sorted);
    if (!sorted)
        return NISSL__NO_MEMORY(err, (size_t)all->n * sizeof *sorted);
    for (int64_t i = 0; i < all->n; i++)
        sorted[i] = nissl__texts_at(all, i);
    qsort(sorted, (size_t)all->n, sizeof *sorted, by_text);
    for (int64_t i = 0; i < all->n && i < limit && status == NISSL_OK; i++)
        status = nissl__texts_add(out, sorted[i], err);
    nissl__free(sorted);
    return status;
}

static bool is_array_of_labels(const char *path)
{
    size_t n = strlen(path);
    return nissl__idx_named(path) || (n > 4 && strcmp(path + n - 4, ".npy") == 0);
}

/* Finds the files and, in *labels, the CSV that names them (allocated, or NULL). */
static nissl_status find_files(const nissl__source_request *request, folder_state *state,
                               int64_t *n_available, char **labels, nissl_error *err)
{
    nissl__texts all = {0};
    struct stat info;
    nissl_status status;
    size_t n = strlen(request->path);
    bool folder = stat(request->path, &info) == 0 && S_ISDIR(info.st_mode);
    if (folder)
        state->root = nissl__format("%s%s", request->path, request->path[n - 1] == '/' ? "" : "/");
    else
        state->root = nissl__format("%.*s", (int)(nissl__file_name(request->path) - request->path),
                                    request->path);
    if (!state->root)
        return NISSL__NO_MEMORY(err, n + 2);
    if (request->labels && !is_array_of_labels(request->labels)) {
        *labels = nissl__strdup(request->labels);
    } else if (!request->labels && folder) {
        *labels = nissl__format("%s" LABELS, state->root);
        if (*labels && stat(*labels, &info) != 0) {
            nissl__free(*labels);
            *labels = NULL;
        } else if (!*labels) {
            return NISSL__NO_MEMORY(err, n + sizeof LABELS);
        }
    }
    if (!folder)
        status = nissl__texts_add(&all, nissl__file_name(request->path), err);
    else if (*labels)
        status = collect_from_csv(*labels, request->budget, &all, err);
    else
        status = collect(state->root, "", 0, &all, err);
    if (status == NISSL_OK && all.n == 0)
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: no files named .jpg, .jpeg or .png",
                             request->path);
    if (status == NISSL_OK)
        status = sort_names(&all, request->limit, &state->names, err);
    *n_available = all.n;
    nissl__texts_free(&all);
    return status;
}

static nissl_status read_sizes(const nissl__source_request *request, folder_state *state,
                               nissl_error *err)
{
    nissl_status status = NISSL_OK;
    state->sizes = nissl__alloc((size_t)state->names.n, 2 * sizeof *state->sizes);
    if (!state->sizes)
        return NISSL__NO_MEMORY(err, (size_t)state->names.n * 2 * sizeof *state->sizes);
    for (int64_t i = 0; i < state->names.n && status == NISSL_OK; i++) {
        char *path = NULL;
        if (request->ctx && nissl_context_cancelled(request->ctx))
            return NISSL__FAIL(err, NISSL_ERR_CANCELLED, "cancelled");
        if ((status = path_of(state, i, &path, err)) == NISSL_OK)
            status = nissl__image_size(path, &state->sizes[2 * i], &state->sizes[2 * i + 1], err);
        nissl__free(path);
    }
    return status;
}

/* The first folder of each name is its class, where any image lies in one. */
static nissl_status label_by_folder(nissl__source *source, nissl_error *err)
{
    nissl__column *label = NULL;
    nissl_status status = NISSL_OK;
    for (int64_t i = 0; i < source->n && status == NISSL_OK; i++) {
        const char *name = nissl__texts_at(&source->ids, i), *slash = strchr(name, '/');
        char *class;
        if (!slash)
            continue;
        if (!label && (status = nissl__columns_add(&source->columns, "label", "", false, &label,
                                                   err)) != NISSL_OK)
            return status;
        if (!(class = nissl__format("%.*s", (int)(slash - name), name)))
            return NISSL__NO_MEMORY(err, (size_t)(slash - name) + 1);
        status = nissl__column_set_text(label, i, class, err);
        nissl__free(class);
    }
    return status;
}

nissl_status nissl__source_folder(const nissl__source_request *request, nissl__source *out,
                                  nissl_error *err)
{
    folder_state *state = nissl__alloc(1, sizeof *state);
    char *labels = NULL;
    nissl_status status;
    if (!state)
        return NISSL__NO_MEMORY(err, sizeof *state);
    out->type = &folder_type;
    out->state = state;
    state->budget = request->budget;
    if ((status = find_files(request, state, &out->n_available, &labels, err)) != NISSL_OK)
        goto done;
    out->n = state->names.n;
    out->columns.n_rows = out->n;
    for (int64_t i = 0; i < out->n && status == NISSL_OK; i++)
        status = nissl__texts_add(&out->ids, nissl__texts_at(&state->names, i), err);
    if (status != NISSL_OK || (status = read_sizes(request, state, err)) != NISSL_OK)
        goto done;
    out->form = (nissl__form){.image = true, .rank = 3, .shape = {-1, -1, 3}};
    out->sizes = state->sizes;
    if (labels || request->labels)
        status = nissl__source_label(out, labels ? labels : request->labels, request->budget, err);
    else
        status = label_by_folder(out, err);
done:
    nissl__free(labels);
    return status;
}
