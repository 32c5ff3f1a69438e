/* Sets of tensors: one file, memory, or the files that an index names. */
#include <jansson.h>

#include "foundation/foundation.h"
#include "formats/safetensors_set.h"

#define MAX_FILES     4096
#define JSON_OVERHEAD 64 /* bytes of parsed JSON per byte of text, at most */

static nissl_status new_set(uint64_t budget, nissl__safetensors **out, nissl_error *err)
{
    nissl__safetensors *set = nissl__alloc(1, sizeof *set);
    if (!set)
        return NISSL__NO_MEMORY(err, sizeof *set);
    set->arena.budget = budget ? budget : (uint64_t)1 << 30;
    *out = set;
    return NISSL_OK;
}

void nissl__safetensors_free(nissl__safetensors *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n_files; i++)
        nissl__unmap_file(&set->files[i]);
    nissl__free(set->files);
    nissl__free(set->tensors);
    nissl__arena_free(&set->arena);
    nissl__free(set);
}

nissl_status nissl__safetensors_parse(const char *label, const void *bytes, size_t size,
                                      uint64_t budget, nissl__safetensors **out, nissl_error *err)
{
    nissl__safetensors *set = NULL;
    nissl_status status = new_set(budget, &set, err);
    if (status != NISSL_OK)
        return status;
    set->memory = bytes;
    set->memory_size = size;
    status = nissl__safetensors_read(label, bytes, size, set, &set->tensors, &set->n, err);
    if (status == NISSL_OK)
        *out = set;
    else
        nissl__safetensors_free(set);
    return status;
}

nissl_status nissl__safetensors_open(const char *path, uint64_t budget, nissl__safetensors **out,
                                     nissl_error *err)
{
    nissl__safetensors *set = NULL;
    nissl_status status = new_set(budget, &set, err);
    if (status != NISSL_OK)
        return status;
    set->files = nissl__alloc(1, sizeof *set->files);
    if (!set->files) {
        status = NISSL__NO_MEMORY(err, sizeof *set->files);
        goto done;
    }
    if ((status = nissl__map_file(path, &set->files[0], err)) != NISSL_OK)
        goto done;
    set->n_files = 1;
    status = nissl__safetensors_read(path, set->files[0].data, set->files[0].size, set,
                                     &set->tensors, &set->n, err);
done:
    if (status == NISSL_OK)
        *out = set;
    else
        nissl__safetensors_free(set);
    return status;
}

/* ---- an index ---- */

/* The files of an index while they are opened. */
typedef struct shards {
    nissl__safetensors *set;
    const char *index; /* path */
    const char **name; /* [set->n_files] borrowed from the JSON */
    nissl__onnx_tensor **tensors;
    size_t *n;
} shards;

static nissl_status open_shard(shards *s, const char *name, size_t *out, nissl_error *err)
{
    nissl__safetensors *set = s->set;
    size_t i = set->n_files;
    nissl_status status;
    for (size_t k = 0; k < set->n_files; k++)
        if (strcmp(s->name[k], name) == 0) {
            *out = k;
            return NISSL_OK;
        }
    if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: \"%.200s\" is no name of a file beside the index", s->index, name);
    if (i == MAX_FILES)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s names more than %d files", s->index,
                           MAX_FILES);
    char *path =
        nissl__format("%.*s%s", (int)(nissl__file_name(s->index) - s->index), s->index, name);
    if (!path)
        return NISSL__NO_MEMORY(err, strlen(name));
    status = nissl__map_file(path, &set->files[i], err);
    if (status == NISSL_OK) {
        set->n_files++;
        s->name[i] = name;
        status = nissl__safetensors_read(path, set->files[i].data, set->files[i].size, set,
                                         &s->tensors[i], &s->n[i], err);
    }
    nissl__free(path);
    *out = i;
    return status;
}

/* Every tensor of the map from the file that it names. */
static nissl_status take_tensors(shards *s, json_t *map, nissl_error *err)
{
    const char *name;
    json_t *file;
    json_object_foreach(map, name, file)
    {
        size_t shard = 0;
        nissl_status status;
        if (!json_is_string(file))
            return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: the file of \"%.200s\" is no string",
                               s->index, name);
        if ((status = open_shard(s, json_string_value(file), &shard, err)) != NISSL_OK)
            return status;
        nissl__onnx_tensor key = {.name = name};
        const nissl__onnx_tensor *found = s->n[shard]
                                              ? bsearch(&key, s->tensors[shard], s->n[shard],
                                                        sizeof key, nissl__safetensors_by_name)
                                              : NULL;
        if (!found)
            return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %.100s does not hold the tensor %.200s",
                               s->index, json_string_value(file), name);
        s->set->tensors[s->set->n++] = *found;
    }
    if (s->set->n)
        qsort(s->set->tensors, s->set->n, sizeof *s->set->tensors, nissl__safetensors_by_name);
    return NISSL_OK;
}

nissl_status nissl__safetensors_open_index(const char *path, uint64_t budget,
                                           nissl__safetensors **out, nissl_error *err)
{
    nissl__safetensors *set = NULL;
    nissl__mapping file = {0};
    json_t *root = NULL, *map = NULL;
    json_error_t problem;
    shards s = {0};
    nissl_status status = new_set(budget, &set, err);
    if (status != NISSL_OK)
        return status;
    if ((status = nissl__map_file(path, &file, err)) != NISSL_OK)
        goto done;
    if (file.size > set->arena.budget / JSON_OVERHEAD) {
        status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %zu bytes exceed %llu", path, file.size,
                             (unsigned long long)set->arena.budget / JSON_OVERHEAD);
        goto done;
    }
    root = json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, &problem);
    map = json_object_get(root, "weight_map");
    if (!root) {
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s:%d:%d: %s", path, problem.line,
                             problem.column, problem.text);
        goto done;
    }
    if (!json_is_object(map)) {
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: no object \"weight_map\"", path);
        goto done;
    }
    s = (shards){set, path, nissl__alloc(MAX_FILES, sizeof *s.name),
                 nissl__alloc(MAX_FILES, sizeof *s.tensors), nissl__alloc(MAX_FILES, sizeof *s.n)};
    set->files = nissl__alloc(MAX_FILES, sizeof *set->files);
    set->tensors = nissl__alloc(json_object_size(map), sizeof *set->tensors);
    if (!s.name || !s.tensors || !s.n || !set->files || !set->tensors) {
        status = NISSL__NO_MEMORY(err, json_object_size(map) * sizeof *set->tensors);
        goto done;
    }
    status = take_tensors(&s, map, err);
done:
    for (size_t i = 0; s.tensors && set && i < set->n_files; i++)
        nissl__free(s.tensors[i]);
    nissl__free(s.name);
    nissl__free(s.tensors);
    nissl__free(s.n);
    json_decref(root);
    nissl__unmap_file(&file);
    if (status == NISSL_OK)
        *out = set;
    else
        nissl__safetensors_free(set);
    return status;
}

/* ---- what a set holds ---- */

size_t nissl__safetensors_count(const nissl__safetensors *set)
{
    return set->n;
}

const nissl__onnx_tensor *nissl__safetensors_at(const nissl__safetensors *set, size_t index)
{
    return index < set->n ? &set->tensors[index] : NULL;
}

const nissl__onnx_tensor *nissl__safetensors_find(const nissl__safetensors *set, const char *name)
{
    nissl__onnx_tensor key = {.name = name};
    return set->n ? bsearch(&key, set->tensors, set->n, sizeof key, nissl__safetensors_by_name)
                  : NULL;
}

bool nissl__safetensors_file(const nissl__safetensors *set, size_t i, const void **bytes,
                             size_t *size)
{
    if (set->memory && i == 0) {
        *bytes = set->memory;
        *size = set->memory_size;
        return true;
    }
    if (i >= set->n_files)
        return false;
    *bytes = set->files[i].data;
    *size = set->files[i].size;
    return true;
}
