/* Reads a folder of tensors that another framework stored. */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

#include "formats/npy.h"
#include "studies/reference.h"

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* directory/name in out, or NULL when there is no such file. The caller frees it. */
static nissl_status existing(const char *directory, const char *name, char **out, nissl_error *err)
{
    char *path = nissl__format("%s/%s", directory, name);
    *out = NULL;
    if (!path)
        return NISSL__NO_MEMORY(err, strlen(directory) + strlen(name) + 2);
    if (exists(path))
        *out = path;
    else
        nissl__free(path);
    return NISSL_OK;
}

static nissl_status read_as(nissl_context *ctx, const char *path, nissl_type type, nissl_array *out,
                            nissl_error *err)
{
    nissl__npy npy = {0};
    nissl_array array = {0};
    nissl_status status = nissl__npy_open(path, nissl__memory_limit(ctx), &npy, err);
    if (status != NISSL_OK)
        return status;
    if (npy.view.rank < 1 || npy.view.shape[0] < 1)
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE,
                             "%s: a stored tensor needs a first axis of at least 1 stimulus", path);
    if (status == NISSL_OK)
        status = nissl_array_new(type, npy.view.rank, npy.view.shape, &array, err);
    if (status == NISSL_OK) {
        status = nissl_view_copy(&npy.view, type, array.data, err);
        if (status != NISSL_OK)
            nissl__error_prefix(err, "%s", path);
    }
    nissl__npy_close(&npy);
    if (status == NISSL_OK)
        *out = array;
    else
        nissl_array_free(&array);
    return status;
}

/* Appends a stored tensor. Takes channels whatever happens. */
static nissl_status add_tensor(nissl__reference *ref, const char *tensor, const char *kind,
                               const char *path, int64_t *channels, int64_t n_channels,
                               nissl_error *err)
{
    nissl__stored one = {.kind = kind, .channels = channels, .n_channels = n_channels};
    nissl__stored *grown =
        nissl__resize(ref->tensors, ref->n_tensors, ref->n_tensors + 1, sizeof one);
    nissl_status status;
    if (grown)
        ref->tensors = grown;
    one.tensor = nissl__strdup(tensor);
    if (!grown || !one.tensor) {
        nissl__free(one.tensor);
        nissl__free(channels);
        return NISSL__NO_MEMORY(err, sizeof one);
    }
    status = read_as(ref->ctx, path, NISSL_FLOAT32, &one.value, err);
    if (status == NISSL_OK && one.value.shape[0] > ref->input.shape[0])
        status =
            NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s holds %" PRId64 " stimuli and the input %" PRId64,
                        path, one.value.shape[0], ref->input.shape[0]);
    if (status == NISSL_OK && channels && (one.value.rank < 2 || one.value.shape[1] != n_channels))
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE,
                             "%s: channels_kept has %" PRId64 " entries and axis 1 %" PRId64, path,
                             n_channels, one.value.rank < 2 ? 0 : one.value.shape[1]);
    if (status != NISSL_OK) {
        nissl_array_free(&one.value);
        nissl__free(one.tensor);
        nissl__free(channels);
        return status;
    }
    ref->tensors[ref->n_tensors++] = one;
    return NISSL_OK;
}

static nissl_status read_channels(const char *path, const json_t *kept, int64_t **out,
                                  int64_t *n_out, nissl_error *err)
{
    size_t n = json_array_size(kept);
    int64_t *channels;
    *out = NULL;
    *n_out = 0;
    if (!kept)
        return NISSL_OK;
    channels = nissl__alloc(n ? n : 1, sizeof *channels);
    if (!channels)
        return NISSL__NO_MEMORY(err, n * sizeof *channels);
    for (size_t i = 0; i < n; i++) {
        const json_t *channel = json_array_get(kept, i);
        channels[i] = json_is_integer(channel) ? json_integer_value(channel) : -1;
        if (channels[i] < 0) {
            nissl__free(channels);
            return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                               "%s: entry %zu of channels_kept is not an index", path, i);
        }
    }
    *out = channels;
    *n_out = (int64_t)n;
    return NISSL_OK;
}

/* The tensors that sites.json lists. */
static nissl_status read_listed(nissl__reference *ref, const char *folder, const char *list,
                                nissl_error *err)
{
    json_error_t where;
    json_t *root = json_load_file(list, JSON_REJECT_DUPLICATES, &where);
    json_t *sites = json_object_get(root, "sites"), *site;
    nissl_status status = NISSL_OK;
    size_t i;
    if (!root)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: line %d: %s", list, where.line, where.text);
    if (!json_is_array(sites))
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: no list \"sites\"", list);
    for (i = 0; status == NISSL_OK && i < json_array_size(sites); i++) {
        const char *tensor, *file;
        char *path = NULL;
        int64_t *channels = NULL, n_channels = 0;
        site = json_array_get(sites, i);
        tensor = json_string_value(json_object_get(site, "tensor"));
        file = json_string_value(json_object_get(site, "file"));
        if (!tensor || !file || strchr(file, '/'))
            status = NISSL__FAIL(err, NISSL_ERR_FORMAT,
                                 "%s: entry %zu needs a \"tensor\" and a \"file\" of this folder",
                                 list, i);
        if (status == NISSL_OK)
            status = read_channels(list, json_object_get(site, "channels_kept"), &channels,
                                   &n_channels, err);
        if (status == NISSL_OK && !(path = nissl__format("%s/%s", folder, file))) {
            nissl__free(channels);
            status = NISSL__NO_MEMORY(err, strlen(folder));
        }
        if (status == NISSL_OK)
            status = add_tensor(ref, tensor, "site", path, channels, n_channels, err);
        nissl__free(path);
        const char *folded = json_string_value(json_object_get(site, "equals_in_folded_file"));
        if (status == NISSL_OK && folded) {
            nissl__stored *added = &ref->tensors[ref->n_tensors - 1];
            if (!(added->folded = nissl__strdup(folded)))
                status = NISSL__NO_MEMORY(err, strlen(folded));
        }
    }
    json_decref(root);
    return status;
}

/* Whether a file's name without ".npy" is a tensor's name made safe for file systems. */
static bool file_is_tensor(const char *file, size_t length, const char *tensor)
{
    while (*tensor && !isalnum((unsigned char)*tensor) && !strchr("_-", *tensor))
        tensor++;
    if (strlen(tensor) != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)tensor[i];
        if (file[i] != (isalnum(c) || strchr("_.-", c) ? (char)c : '.'))
            return false;
    }
    return true;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The tensors whose names are those of the folder's files; all: every site of the network. */
static nissl_status read_named(nissl__reference *ref, const char *folder, const nissl_program *all,
                               nissl_error *err)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, NULL, by_name);
    nissl_status status = NISSL_OK;
    if (n < 0)
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: cannot list the folder", folder);
    for (int i = 0; i < n && status == NISSL_OK; i++) {
        const char *file = entries[i]->d_name, *tensor = NULL;
        size_t length = strlen(file);
        char *path = NULL, *name = NULL;
        if (length < 5 || strcmp(file + length - 4, ".npy") != 0)
            continue;
        length -= 4;
        for (size_t s = 0; s < nissl_program_n_sites(all) && !tensor; s++)
            if (file_is_tensor(file, length, nissl_program_site(all, s)->name))
                tensor = nissl_program_site(all, s)->name;
        path = nissl__format("%s/%s", folder, file);
        name = nissl__format("%.*s", (int)length, file);
        if (!path || !name)
            status = NISSL__NO_MEMORY(err, length);
        else
            status = add_tensor(ref, tensor ? tensor : name, "site", path, NULL, 0, err);
        nissl__free(path);
        nissl__free(name);
    }
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return status;
}

/* What preprocess.json says of names; without it they stay NULL. */
static nissl_status read_names(const nissl__reference *ref, char **logits_tensor,
                               char **output_tensor, nissl_error *err)
{
    char *path;
    json_error_t where;
    json_t *root;
    const char *logits, *output;
    nissl_status status = existing(ref->directory, "preprocess.json", &path, err);
    if (!path)
        return status;
    root = json_load_file(path, 0, &where);
    if (!root) {
        NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: line %d: %s", path, where.line, where.text);
        nissl__free(path);
        return NISSL_ERR_FORMAT;
    }
    logits = json_string_value(json_object_get(root, "logits_tensor"));
    output = json_string_value(json_object_get(root, "graph_output_tensor"));
    if (logits && !(*logits_tensor = nissl__strdup(logits)))
        status = NISSL__NO_MEMORY(err, strlen(logits));
    if (output && !(*output_tensor = nissl__strdup(output)))
        status = NISSL__NO_MEMORY(err, strlen(output));
    json_decref(root);
    nissl__free(path);
    return status;
}

nissl_status nissl__reference_input(nissl__reference *ref, nissl_type type, nissl_error *err)
{
    nissl_array_free(&ref->input);
    char *path;
    nissl_status status = existing(ref->directory, "reference_input.npy", &path, err);
    if (status == NISSL_OK && !path)
        status = existing(ref->directory, "input.npy", &path, err);
    if (status != NISSL_OK)
        return status;
    if (!path)
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: no reference_input.npy or input.npy here",
                           ref->directory);
    status = read_as(ref->ctx, path, type, &ref->input, err);
    nissl__free(path);
    return status;
}

/* One file beside the input, if it is there. */
static nissl_status read_file(nissl__reference *ref, const char *file, const char *tensor,
                              const char *kind, nissl_error *err)
{
    char *path;
    nissl_status status = existing(ref->directory, file, &path, err);
    if (path)
        status = add_tensor(ref, tensor, kind, path, NULL, 0, err);
    nissl__free(path);
    return status;
}

/* The tensors beside the input, then those of the folders of sites. */
static nissl_status read_files(nissl__reference *ref, const nissl_network *network,
                               const char *logits, const char *output, const nissl_program *all,
                               nissl_error *err)
{
    static const char *const folders[] = {"reference_sites", "sites"};
    nissl_status status = read_file(ref, "reference_logits.npy", logits, "logits", err);
    if (status == NISSL_OK)
        status = read_file(ref, "reference_output.npy", output, "output", err);
    if (status == NISSL_OK)
        status = read_file(ref, "output.npy", output, "output", err);
    for (size_t i = 1; status == NISSL_OK && i < nissl_network_n_outputs(network); i++) {
        char file[32];
        snprintf(file, sizeof file, "output%zu.npy", i);
        status = read_file(ref, file, nissl_network_output(network, i)->name, "output", err);
    }
    for (size_t i = 0; status == NISSL_OK && i < sizeof folders / sizeof *folders; i++) {
        char *folder, *list = NULL;
        status = existing(ref->directory, folders[i], &folder, err);
        if (folder)
            status = existing(folder, "sites.json", &list, err);
        if (status == NISSL_OK && list)
            status = read_listed(ref, folder, list, err);
        else if (status == NISSL_OK && folder)
            status = read_named(ref, folder, all, err);
        nissl__free(folder);
        nissl__free(list);
    }
    if (status == NISSL_OK && ref->n_tensors == 0)
        status = NISSL__FAIL(err, NISSL_ERR_IO,
                             "%s: no reference_logits.npy, reference_output.npy, output.npy or "
                             "folder of sites here",
                             ref->directory);
    return status;
}

static void stored_free(nissl__stored *tensor)
{
    nissl__free(tensor->tensor);
    nissl__free(tensor->folded);
    nissl__free(tensor->channels);
    nissl_array_free(&tensor->value);
}

/* Where a normalisation was folded into a convolution, the convolution's output has the
 * normalisation's values: what is stored under its own name no longer applies and is left out. */
static void follow_folding(nissl__reference *ref, const nissl_program *all)
{
    size_t kept = 0;
    for (size_t i = 0; i < ref->n_tensors; i++) {
        nissl__stored *tensor = &ref->tensors[i];
        if (!tensor->folded || nissl_program_find_site(all, tensor->tensor) >= 0 ||
            nissl_program_find_site(all, tensor->folded) < 0)
            continue;
        for (size_t j = 0; j < ref->n_tensors; j++)
            if (j != i && strcmp(ref->tensors[j].kind, "site") == 0 &&
                strcmp(ref->tensors[j].tensor, tensor->folded) == 0)
                ref->tensors[j].superseded = true;
        nissl__free(tensor->tensor);
        tensor->tensor = tensor->folded;
        tensor->folded = NULL;
    }
    for (size_t i = 0; i < ref->n_tensors; i++) {
        if (ref->tensors[i].superseded)
            stored_free(&ref->tensors[i]);
        else
            ref->tensors[kept++] = ref->tensors[i];
    }
    ref->n_tensors = kept;
}

nissl_status nissl__reference_tensors(nissl__reference *ref, const nissl_network *network,
                                      const nissl_program *all, nissl_error *err)
{
    const char *first = nissl_network_output(network, 0)->name;
    char *logits = NULL, *output = NULL;
    nissl_status status = read_names(ref, &logits, &output, err);
    if (status == NISSL_OK)
        status =
            read_files(ref, network, logits ? logits : first, output ? output : first, all, err);
    if (status == NISSL_OK)
        follow_folding(ref, all);
    nissl__free(logits);
    nissl__free(output);
    return status;
}

void nissl__reference_free(nissl__reference *ref)
{
    for (size_t i = 0; i < ref->n_tensors; i++)
        stored_free(&ref->tensors[i]);
    nissl__free(ref->tensors);
    nissl_array_free(&ref->input);
    ref->tensors = NULL;
    ref->n_tensors = 0;
}
