/* Stimuli from arrays in one file: npy, IDX and the CIFAR-10 binary layout. */
#include <stdio.h>

#include "formats/file.h"
#include "formats/idx.h"
#include "formats/npy.h"
#include "recording/stimuli.h"

#define CIFAR_SIDE   32
#define CIFAR_RECORD (1 + 3 * CIFAR_SIDE * CIFAR_SIDE)

/* Axis 0 of the view is the stimulus; for images the others are height, width and channel. */
typedef struct array_state {
    nissl_view view;
    nissl__npy npy; /* one of these owns the memory */
    nissl_array array;
    nissl__mapping file;
} array_state;

static void array_free(void *opaque)
{
    array_state *state = opaque;
    if (!state)
        return;
    nissl__npy_close(&state->npy);
    nissl_array_free(&state->array);
    nissl__unmap_file(&state->file);
    nissl__free(state);
}

static nissl_view item_view(const nissl_view *all, int64_t index)
{
    nissl_view item = {.type = all->type, .rank = all->rank - 1};
    item.data = (char *)all->data + (size_t)(index * all->stride[0]) * nissl_type_size(all->type);
    for (int i = 0; i < item.rank; i++) {
        item.shape[i] = all->shape[i + 1];
        item.stride[i] = all->stride[i + 1];
    }
    return item;
}

static nissl_status array_load(const nissl__source *source, int64_t index, nissl__item *out,
                               nissl_error *err)
{
    const array_state *state = source->state;
    nissl_view view = item_view(&state->view, index);
    nissl__item item = {.form = source->form};
    nissl_status status;
    size_t size = item.form.image ? 1 : sizeof(float);
    if (nissl_view_contiguous(&view) &&
        view.type == (item.form.image ? NISSL_UINT8 : NISSL_FLOAT32)) {
        item.bytes = item.form.image ? view.data : NULL;
        item.values = item.form.image ? NULL : view.data;
        *out = item;
        return NISSL_OK;
    }
    size_t count = (size_t)nissl_view_count(&view);
    item.memory = nissl__alloc(count, size);
    if (!item.memory)
        return NISSL__NO_MEMORY(err, count * size);
    status =
        nissl_view_copy(&view, item.form.image ? NISSL_UINT8 : NISSL_FLOAT32, item.memory, err);
    if (status != NISSL_OK) {
        nissl__item_free(&item);
        return status;
    }
    if (item.form.image)
        item.bytes = item.memory;
    else
        item.values = item.memory;
    *out = item;
    return NISSL_OK;
}

static nissl_status array_hash(const nissl__source *source, nissl__hash *hash, nissl_error *err)
{
    (void)err;
    const array_state *state = source->state;
    if (state->npy.view.data && state->npy.file.data)
        nissl__hash_add(hash, state->npy.file.data, state->npy.file.size);
    if (state->array.data)
        nissl__hash_add(hash, state->array.data,
                        (size_t)nissl_array_count(&state->array) *
                            nissl_type_size(state->array.type));
    if (state->file.data)
        nissl__hash_add(hash, state->file.data, state->file.size);
    return NISSL_OK;
}

static const nissl__source_type array_type = {"array", array_load, array_hash, array_free};

/* Gives an image view a channel axis at the end: [n, h, w] -> [n, h, w, 1], [n, c, h, w] -> [n, h,
 * w, c]. */
static bool as_images(nissl_view *view)
{
    if (view->type != NISSL_UINT8)
        return false;
    if (view->rank == 3) {
        view->rank = 4;
        view->shape[3] = 1;
        view->stride[3] = 1;
        return true;
    }
    if (view->rank != 4)
        return false;
    if (view->shape[3] == 1 || view->shape[3] == 3)
        return true;
    if (view->shape[1] != 1 && view->shape[1] != 3)
        return false;
    int64_t channels = view->shape[1], stride = view->stride[1];
    for (int i = 1; i < 3; i++) {
        view->shape[i] = view->shape[i + 1];
        view->stride[i] = view->stride[i + 1];
    }
    view->shape[3] = channels;
    view->stride[3] = stride;
    return true;
}

static nissl_status finish(const nissl__source_request *request, array_state *state,
                           nissl__source *out, nissl_error *err)
{
    nissl_view *view = &state->view;
    if (view->rank < 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "%s: an array without axes; axis 0 must be the stimulus", request->path);
    if (nissl_view_count(view) == 0)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s: an array of 0 elements", request->path);
    out->form.image = as_images(view);
    out->form.rank = view->rank - 1;
    memcpy(out->form.shape, view->shape + 1, (size_t)out->form.rank * sizeof *view->shape);
    out->n_available = view->shape[0];
    out->n = NISSL__MIN(out->n_available, request->limit);
    out->columns.n_rows = out->n;
    return nissl__source_number(out, err);
}

nissl_status nissl__source_npy(const nissl__source_request *request, nissl__source *out,
                               nissl_error *err)
{
    array_state *state = nissl__alloc(1, sizeof *state);
    nissl_status status;
    if (!state)
        return NISSL__NO_MEMORY(err, sizeof *state);
    out->type = &array_type;
    out->state = state;
    if ((status = nissl__npy_open(request->path, request->budget, &state->npy, err)) != NISSL_OK)
        return status;
    state->view = state->npy.view;
    if ((status = finish(request, state, out, err)) != NISSL_OK || !request->labels)
        return status;
    return nissl__source_label(out, request->labels, request->budget, err);
}

/* The name of the labels beside images, "t10k-images-idx3-ubyte.gz" -> "t10k-labels-idx1-ubyte.gz",
 * with and without
 * ".gz"; NULL in *out if there is no such file. */
static nissl_status labels_beside(const char *path, char **out, nissl_error *err)
{
    const char *name = nissl__file_name(path);
    const char *images = strstr(name, "images");
    *out = NULL;
    if (!images)
        return NISSL_OK;
    for (int variant = 0; variant < 2; variant++) {
        char *found = nissl__format("%.*slabels%s%s", (int)(images - path), path,
                                    images + strlen("images"), variant ? ".gz" : "");
        if (!found)
            return NISSL__NO_MEMORY(err, strlen(path) + 4);
        char *rank = strstr(found + (name - path), "-idx");
        if (rank && rank[4] >= '1' && rank[4] <= '9')
            rank[4] = '1';
        FILE *file = fopen(found, "rbe");
        size_t n = strlen(found);
        if (!file && variant == 0 && n > 3 && strcmp(found + n - 3, ".gz") == 0) {
            found[n - 3] = '\0';
            file = fopen(found, "rbe");
        }
        if (file) {
            fclose(file);
            *out = found;
            return NISSL_OK;
        }
        nissl__free(found);
    }
    return NISSL_OK;
}

nissl_status nissl__source_idx(const nissl__source_request *request, nissl__source *out,
                               nissl_error *err)
{
    array_state *state = nissl__alloc(1, sizeof *state);
    char *beside = NULL;
    nissl_status status;
    if (!state)
        return NISSL__NO_MEMORY(err, sizeof *state);
    out->type = &array_type;
    out->state = state;
    if ((status = nissl__idx_read(request->path, request->budget, &state->array, err)) != NISSL_OK)
        return status;
    state->view = nissl_array_view(&state->array);
    if ((status = finish(request, state, out, err)) != NISSL_OK)
        return status;
    if (request->labels)
        return nissl__source_label(out, request->labels, request->budget, err);
    if ((status = labels_beside(request->path, &beside, err)) == NISSL_OK && beside)
        status = nissl__source_label(out, beside, request->budget, err);
    nissl__free(beside);
    return status;
}

nissl_status nissl__source_cifar(const nissl__source_request *request, nissl__source *out,
                                 nissl_error *err)
{
    array_state *state = nissl__alloc(1, sizeof *state);
    nissl__column *label;
    nissl_status status;
    if (!state)
        return NISSL__NO_MEMORY(err, sizeof *state);
    out->type = &array_type;
    out->state = state;
    if ((status = nissl__map_file(request->path, &state->file, err)) != NISSL_OK)
        return status;
    if (state->file.size == 0 || state->file.size % CIFAR_RECORD)
        return NISSL__FAIL(
            err, NISSL_ERR_FORMAT,
            "%s: %zu bytes are no whole number of CIFAR-10 records of %d bytes: %zu are left over",
            request->path, state->file.size, CIFAR_RECORD, state->file.size % CIFAR_RECORD);
    const int64_t shape[4] = {(int64_t)(state->file.size / CIFAR_RECORD), 3, CIFAR_SIDE,
                              CIFAR_SIDE};
    state->view = nissl_view_of((void *)(uintptr_t)(state->file.data + 1), NISSL_UINT8, 4, shape);
    state->view.stride[0] = CIFAR_RECORD;
    if ((status = finish(request, state, out, err)) != NISSL_OK)
        return status;
    if (request->labels)
        return nissl__source_label(out, request->labels, request->budget, err);
    if ((status = nissl__columns_add(&out->columns, "label", "", false, &label, err)) != NISSL_OK)
        return status;
    for (int64_t i = 0; i < out->n; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", state->file.data[i * CIFAR_RECORD]);
        if ((status = nissl__column_set_text(label, i, text, err)) != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}
