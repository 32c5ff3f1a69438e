/* Compares what a network computes with tensors that another framework stored. */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

#include "formats/npy.h"
#include "foundation/foundation.h"
#include "nissl/verify.h"
#include "studies/summary.h"

#define DEFAULT_TOLERANCE 1e-4
#define LARGEST_BATCH     32
#define INPUT_STREAM      0x76657269 /* of random inputs: "veri" */

/* One stored tensor and how far it is from the network's. */
typedef struct stored {
    char *tensor;       /* the network's name for it */
    char *folded;       /* its name where batch normalisations are folded away, or NULL */
    bool superseded;    /* folding gave its name to another tensor */
    const char *kind;   /* "logits", "output" or "site" */
    nissl_array value;  /* float32 [n_stimuli, ...] */
    int64_t *channels;  /* which indices of axis 1 are stored, NULL = all */
    int64_t n_channels; /* 0 = all */
    int64_t site;       /* of the program, -1 = the network has no such tensor */
    double max_difference;
    double low, high; /* of the reference */
    int64_t n_agree;  /* stimuli whose largest value is at the same place */
} stored;

typedef struct reference {
    nissl_context *ctx;
    const char *directory;
    nissl_array input; /* [n, ...] in the type that the network wants */
    char *logits_tensor, *output_tensor;
    stored *tensors;
    size_t n_tensors;
    nissl_program *program;
    float *copy;          /* one site's micro-batch, row-major */
    int64_t first, n_now; /* stimuli of the micro-batch that runs */
} reference;

nissl_verify_options nissl_verify_options_default(void)
{
    return (nissl_verify_options){.tolerance = DEFAULT_TOLERANCE};
}

/* ---- reading the folder ---- */

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* directory/name, or NULL when there is no such file. The caller frees it. */
static char *existing(const char *directory, const char *name)
{
    char *path = nissl__format("%s/%s", directory, name);
    if (path && !exists(path)) {
        nissl__free(path);
        path = NULL;
    }
    return path;
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
static nissl_status add_tensor(reference *ref, const char *tensor, const char *kind,
                               const char *path, int64_t *channels, int64_t n_channels,
                               nissl_error *err)
{
    stored one = {.kind = kind, .site = -1, .channels = channels, .n_channels = n_channels};
    stored *grown = nissl__resize(ref->tensors, ref->n_tensors, ref->n_tensors + 1, sizeof one);
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
static nissl_status read_listed(reference *ref, const char *folder, const char *list,
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
            stored *added = &ref->tensors[ref->n_tensors - 1];
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
static nissl_status read_named(reference *ref, const char *folder, const nissl_program *all,
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
static nissl_status read_names(reference *ref, nissl_error *err)
{
    char *path = existing(ref->directory, "preprocess.json");
    json_error_t where;
    json_t *root;
    const char *logits, *output;
    if (!path)
        return NISSL_OK;
    root = json_load_file(path, 0, &where);
    if (!root) {
        NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: line %d: %s", path, where.line, where.text);
        nissl__free(path);
        return NISSL_ERR_FORMAT;
    }
    logits = json_string_value(json_object_get(root, "logits_tensor"));
    output = json_string_value(json_object_get(root, "graph_output_tensor"));
    ref->logits_tensor = logits ? nissl__strdup(logits) : NULL;
    ref->output_tensor = output ? nissl__strdup(output) : NULL;
    json_decref(root);
    nissl__free(path);
    return NISSL_OK;
}

static nissl_status read_input(reference *ref, nissl_type type, nissl_error *err)
{
    char *path = existing(ref->directory, "reference_input.npy");
    nissl_status status;
    if (!path)
        path = existing(ref->directory, "input.npy");
    if (!path)
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: no reference_input.npy or input.npy here",
                           ref->directory);
    status = read_as(ref->ctx, path, type, &ref->input, err);
    nissl__free(path);
    return status;
}

/* One file beside the input, if it is there. */
static nissl_status read_file(reference *ref, const char *file, const char *tensor,
                              const char *kind, nissl_error *err)
{
    char *path = existing(ref->directory, file);
    nissl_status status = NISSL_OK;
    if (path)
        status = add_tensor(ref, tensor, kind, path, NULL, 0, err);
    nissl__free(path);
    return status;
}

static nissl_status read_tensors(reference *ref, const nissl_network *network,
                                 const nissl_program *all, nissl_error *err)
{
    static const char *const folders[] = {"reference_sites", "sites"};
    const char *first = nissl_network_output(network, 0)->name;
    const char *logits = ref->logits_tensor ? ref->logits_tensor : first;
    const char *output = ref->output_tensor ? ref->output_tensor : first;
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
        char *folder = existing(ref->directory, folders[i]);
        char *list = folder ? existing(folder, "sites.json") : NULL;
        if (list)
            status = read_listed(ref, folder, list, err);
        else if (folder)
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

/* ---- running and comparing ---- */

static int64_t per_stimulus(const nissl_array *array)
{
    return nissl_array_count(array) / array->shape[0];
}

/* Compares one stimulus of a stored tensor with the network's values [n_values]. */
static nissl_status compare_one(stored *tensor, int64_t stimulus, const float *found,
                                const nissl_view *view, int64_t n_values, nissl_error *err)
{
    int64_t n = per_stimulus(&tensor->value), n_positions = 1, best = 0, best_found = 0;
    int64_t n_kept = tensor->n_channels, expected = n;
    const float *want = (const float *)tensor->value.data + stimulus * n;
    if (tensor->channels) {
        n_positions = n_kept ? n / n_kept : 0;
        expected = view->rank > 1 ? view->shape[1] * n_positions : -1;
        for (int64_t k = 0; k < n_kept; k++)
            if (view->rank < 2 || tensor->channels[k] >= view->shape[1])
                return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                                   "%s: stored channel %" PRId64 " of %" PRId64, tensor->tensor,
                                   tensor->channels[k], view->rank < 2 ? 0 : view->shape[1]);
    }
    if (expected != n_values)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "%s: the reference stores %" PRId64
                           " values per stimulus and the network has %" PRId64,
                           tensor->tensor, expected, n_values);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = tensor->channels
                         ? tensor->channels[i / n_positions] * n_positions + i % n_positions
                         : i;
        double a = want[i], b = found[at], difference = fabs(a - b);
        if (isnan(a) && isnan(b))
            continue;
        if (a == b) /* two infinities agree */
            difference = 0;
        if (isnan(difference))
            difference = INFINITY;
        tensor->max_difference = NISSL__MAX(tensor->max_difference, difference);
        if (isfinite(a)) {
            tensor->low = NISSL__MIN(tensor->low, a);
            tensor->high = NISSL__MAX(tensor->high, a);
        }
        if (want[i] > want[best])
            best = i;
        if (found[at] > found[best_found])
            best_found = at;
    }
    tensor->n_agree += best == best_found;
    return NISSL_OK;
}

static nissl_status observe(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    reference *ref = user;
    bool copied = false;
    for (size_t i = 0; i < ref->n_tensors; i++) {
        stored *tensor = &ref->tensors[i];
        int64_t n_values = nissl_view_count(view) / NISSL__MAX(view->shape[0], 1);
        if (tensor->site != (int64_t)site || ref->first >= tensor->value.shape[0])
            continue;
        if (!copied) {
            nissl_status status = nissl_view_copy(view, NISSL_FLOAT32, ref->copy, err);
            if (status != NISSL_OK)
                return status;
            copied = true;
        }
        for (int64_t s = 0; s < ref->n_now && ref->first + s < tensor->value.shape[0]; s++) {
            nissl_status status =
                compare_one(tensor, ref->first + s, ref->copy + s * n_values, view, n_values, err);
            if (status != NISSL_OK)
                return status;
        }
    }
    return NISSL_OK;
}

static void stored_free(stored *tensor)
{
    nissl__free(tensor->tensor);
    nissl__free(tensor->folded);
    nissl__free(tensor->channels);
    nissl_array_free(&tensor->value);
}

/* Where a normalisation was folded into a convolution, the convolution's output has the
 * normalisation's values: what is stored under its own name no longer applies and is left out. */
static void follow_folding(reference *ref, const nissl_program *all)
{
    size_t kept = 0;
    for (size_t i = 0; i < ref->n_tensors; i++) {
        stored *tensor = &ref->tensors[i];
        if (!tensor->folded || nissl_program_find_site(all, tensor->tensor) >= 0 ||
            nissl_program_find_site(all, tensor->folded) < 0)
            continue;
        for (size_t j = 0; j < ref->n_tensors; j++)
            if (j != i && strcmp(ref->tensors[j].tensor, tensor->folded) == 0)
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

/* Compiles a program that observes the stored tensors. */
static nissl_status compile(reference *ref, const nissl_network *network, const nissl_program *all,
                            int64_t batch, const nissl_view *shape, nissl_error *err)
{
    nissl_program_options opt = nissl_program_options_default();
    const char **names = nissl__alloc(ref->n_tensors, sizeof *names);
    int64_t largest = 1;
    nissl_status status;
    if (!names)
        return NISSL__NO_MEMORY(err, ref->n_tensors * sizeof *names);
    for (size_t i = 0; i < ref->n_tensors; i++) {
        bool again = false;
        if (nissl_program_find_site(all, ref->tensors[i].tensor) < 0)
            continue;
        for (size_t j = 0; j < opt.n_observe; j++)
            again |= strcmp(names[j], ref->tensors[i].tensor) == 0;
        if (!again)
            names[opt.n_observe++] = ref->tensors[i].tensor;
    }
    if (opt.n_observe == 0)
        status = NISSL__FAIL(
            err, NISSL_ERR_NAME, "%s: none of its %zu tensors is one of %s; the first is '%s'",
            ref->directory, ref->n_tensors, nissl_network_path(network), ref->tensors[0].tensor);
    else {
        opt.batch = batch;
        opt.threads = nissl_context_threads(ref->ctx);
        opt.observe = names;
        opt.input_shapes = shape;
        opt.n_input_shapes = 1;
        status = nissl_program_compile(ref->ctx, network, &opt, &ref->program, err);
    }
    nissl__free(names);
    for (size_t i = 0; status == NISSL_OK && i < ref->n_tensors; i++)
        ref->tensors[i].site = nissl_program_find_site(ref->program, ref->tensors[i].tensor);
    for (size_t i = 0; status == NISSL_OK && i < nissl_program_n_sites(ref->program); i++) {
        const nissl_site *site = nissl_program_site(ref->program, i);
        int64_t n = nissl_program_batch(ref->program) * site->n_units * site->n_positions;
        largest = NISSL__MAX(largest, n);
    }
    if (status == NISSL_OK && !(ref->copy = nissl__alloc((size_t)largest, sizeof *ref->copy)))
        status = NISSL__NO_MEMORY(err, (size_t)largest * sizeof *ref->copy);
    return status;
}

static nissl_status run_all(reference *ref, nissl_error *err)
{
    int64_t n = ref->input.shape[0], batch = nissl_program_batch(ref->program);
    int64_t size = per_stimulus(&ref->input) * (int64_t)nissl_type_size(ref->input.type);
    nissl_array micro = {0};
    nissl_view view;
    nissl_run *run = NULL;
    int64_t shape[NISSL_MAX_RANK];
    nissl_status status;
    memcpy(shape, ref->input.shape, sizeof shape);
    shape[0] = batch;
    status = nissl_array_new(ref->input.type, ref->input.rank, shape, &micro, err);
    if (status == NISSL_OK)
        status = nissl_run_new(ref->program, &run, err);
    for (ref->first = 0; status == NISSL_OK && ref->first < n; ref->first += batch) {
        ref->n_now = NISSL__MIN(batch, n - ref->first);
        for (int64_t s = 0; s < batch; s++) { /* the tail is padded with its last stimulus */
            int64_t from = ref->first + NISSL__MIN(s, ref->n_now - 1);
            memcpy((char *)micro.data + s * size, (const char *)ref->input.data + from * size,
                   (size_t)size);
        }
        view = nissl_array_view(&micro);
        status = nissl_run_forward(run, &view, 1, observe, ref, err);
    }
    nissl_run_free(run);
    nissl_array_free(&micro);
    return status;
}

/* ---- results ---- */

static double ratio_of(const stored *tensor)
{
    double range = tensor->high > tensor->low ? tensor->high - tensor->low : 0;
    return tensor->max_difference == 0 ? 0 : range > 0 ? tensor->max_difference / range : INFINITY;
}

static nissl_status make_table(const reference *ref, double tolerance, nissl_table *out,
                               nissl_error *err)
{
    static const struct {
        nissl_column_type type;
        const char *name, *unit, *description;
    } columns[] = {
        {NISSL_COLUMN_TEXT, "tensor", "", "name of the tensor in the network"},
        {NISSL_COLUMN_TEXT, "kind", "", "logits, output or site"},
        {NISSL_COLUMN_INTEGER, "stimuli", "1", "stored stimuli"},
        {NISSL_COLUMN_INTEGER, "values", "1", "values compared, over all stimuli"},
        {NISSL_COLUMN_REAL, "max_difference", "u", "largest |network - reference|"},
        {NISSL_COLUMN_REAL, "range", "u", "maximum - minimum of the reference"},
        {NISSL_COLUMN_REAL, "ratio", "1", "max_difference / range"},
        {NISSL_COLUMN_REAL, "top1_agreement", "1",
         "fraction of stimuli whose largest value is at the same place; of logits and outputs"},
        {NISSL_COLUMN_TEXT, "verdict", "",
         "ok, differs (ratio above the tolerance), absent from the network, or folded into "
         "another"},
    };
    nissl_table table = {0};
    nissl_status status = nissl_table_new(
        "verification", "Stored tensors of another framework against this network's", &table, err);
    for (size_t i = 0; status == NISSL_OK && i < sizeof columns / sizeof *columns; i++)
        status = nissl_table_add_column(&table, columns[i].type, columns[i].name, columns[i].unit,
                                        columns[i].description, NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_rows(&table, (int64_t)ref->n_tensors, err);
    for (size_t i = 0; status == NISSL_OK && i < ref->n_tensors; i++) {
        const stored *tensor = &ref->tensors[i];
        int64_t row = (int64_t)i, n = tensor->value.shape[0];
        double ratio = ratio_of(tensor);
        bool present = tensor->site >= 0;
        if ((status = nissl_table_set_text(&table, row, 0, tensor->tensor, err)) != NISSL_OK ||
            (status = nissl_table_set_text(&table, row, 1, tensor->kind, err)) != NISSL_OK ||
            (status = nissl_table_set_text(&table, row, 8,
                                           !present             ? "absent"
                                           : ratio <= tolerance ? "ok"
                                                                : "differs",
                                           err)) != NISSL_OK)
            break;
        table.columns[2].integer[row] = n;
        if (!present)
            continue;
        table.columns[3].integer[row] = nissl_array_count(&tensor->value);
        table.columns[4].real[row] = tensor->max_difference;
        table.columns[5].real[row] = tensor->high > tensor->low ? tensor->high - tensor->low : 0;
        table.columns[6].real[row] = ratio;
        if (strcmp(tensor->kind, "site") != 0)
            table.columns[7].real[row] = (double)tensor->n_agree / (double)n;
    }
    if (status == NISSL_OK)
        *out = table;
    else
        nissl_table_free(&table);
    return status;
}

static json_t *real_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static nissl_status summarise(const reference *ref, const nissl_network *network,
                              nissl_verification *v, nissl_error *err)
{
    char sentence[512], agree[64] = "", absent[64] = "";
    const char *worst = NULL;
    json_t *summary;
    v->n_inputs = ref->input.shape[0];
    v->top1_agreement = NAN;
    for (size_t i = 0; i < ref->n_tensors; i++) {
        const stored *tensor = &ref->tensors[i];
        double ratio = ratio_of(tensor);
        if (tensor->site < 0) {
            v->n_absent++;
            continue;
        }
        if (!worst || ratio > v->worst_ratio) {
            v->worst_ratio = ratio;
            worst = tensor->tensor;
        }
        v->n_compared++;
        v->n_failed += !(ratio <= v->tolerance);
        if (strcmp(tensor->kind, "site") != 0 && isnan(v->top1_agreement))
            v->top1_agreement = (double)tensor->n_agree / (double)tensor->value.shape[0];
    }
    v->passed = v->n_compared > 0 && v->n_failed == 0;
    if (!isnan(v->top1_agreement))
        snprintf(agree, sizeof agree, "; top-1 agrees on %.4g %% of the inputs",
                 100 * v->top1_agreement);
    if (v->n_absent)
        snprintf(absent, sizeof absent, "; %" PRId64 " stored tensors are not in this file",
                 v->n_absent);
    snprintf(sentence, sizeof sentence,
             "%" PRId64 " of %" PRId64 " stored tensors agree within %g of their range on %" PRId64
             " inputs; the largest difference is %.2g of the range, at %.200s%s%s",
             v->n_compared - v->n_failed, v->n_compared, v->tolerance, v->n_inputs, v->worst_ratio,
             worst, agree, absent);
    summary = json_pack("{s:b, s:s, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:s, s:o, s:o}", "passed",
                        (int)v->passed, "sentence", sentence, "model", nissl_network_path(network),
                        "reference", ref->directory, "tolerance", v->tolerance, "n_inputs",
                        (json_int_t)v->n_inputs, "n_compared", (json_int_t)v->n_compared,
                        "n_failed", (json_int_t)v->n_failed, "n_absent", (json_int_t)v->n_absent,
                        "worst_tensor", worst, "worst_ratio", real_json(v->worst_ratio),
                        "top1_agreement", real_json(v->top1_agreement));
    v->json = nissl__summary_json(summary, &v->tensors, "tensors");
    return v->json ? NISSL_OK : NISSL__NO_MEMORY(err, 0);
}

static void reference_free(reference *ref)
{
    for (size_t i = 0; i < ref->n_tensors; i++)
        stored_free(&ref->tensors[i]);
    nissl__free(ref->tensors);
    nissl__free(ref->logits_tensor);
    nissl__free(ref->output_tensor);
    nissl__free(ref->copy);
    nissl_array_free(&ref->input);
    nissl_program_free(ref->program);
}

nissl_status nissl_verify_reference(nissl_context *ctx, const nissl_network *network,
                                    const char *directory, const nissl_verify_options *opt,
                                    nissl_verification *out, nissl_error *err)
{
    nissl_verify_options options = opt ? *opt : nissl_verify_options_default();
    nissl_program_options look = nissl_program_options_default();
    nissl_program *all = NULL;
    nissl_verification result = {0};
    reference ref = {.ctx = ctx, .directory = directory};
    nissl_view shape;
    nissl_status status;
    if (options.tolerance == 0)
        options.tolerance = DEFAULT_TOLERANCE;
    if (!(options.tolerance > 0) || options.batch < 0)
        return NISSL__FAIL(err, NISSL_ERR_RANGE,
                           "tolerance = %g and batch = %" PRId64 " must not be negative",
                           options.tolerance, options.batch);
    if (nissl_network_n_inputs(network) != 1)
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                           "%s has %zu inputs; verification works with 1",
                           nissl_network_path(network), nissl_network_n_inputs(network));
    if ((status = read_input(&ref, nissl_network_input(network, 0)->type, err)) != NISSL_OK ||
        (status = read_names(&ref, err)) != NISSL_OK)
        goto done;
    if (options.batch == 0)
        options.batch = NISSL__MIN(ref.input.shape[0], LARGEST_BATCH);
    shape = nissl_array_view(&ref.input);
    look.batch = options.batch;
    look.shapes_only = true;
    look.observe_all = true;
    look.input_shapes = &shape;
    look.n_input_shapes = 1;
    if ((status = nissl_program_compile(ctx, network, &look, &all, err)) != NISSL_OK)
        goto done;
    if (nissl_program_input(all, 0)->type != ref.input.type) { /* half precision is widened */
        nissl_array_free(&ref.input);
        if ((status = read_input(&ref, nissl_program_input(all, 0)->type, err)) != NISSL_OK)
            goto done;
    }
    if ((status = read_tensors(&ref, network, all, err)) != NISSL_OK)
        goto done;
    for (size_t i = 0; i < ref.n_tensors; i++) {
        ref.tensors[i].low = INFINITY;
        ref.tensors[i].high = -INFINITY;
    }
    follow_folding(&ref, all);
    if ((status = compile(&ref, network, all, options.batch, &shape, err)) != NISSL_OK ||
        (status = run_all(&ref, err)) != NISSL_OK ||
        (status = make_table(&ref, options.tolerance, &result.tensors, err)) != NISSL_OK)
        goto done;
    result.tolerance = options.tolerance;
    status = summarise(&ref, network, &result, err);

done:
    nissl_program_free(all);
    reference_free(&ref);
    if (status == NISSL_OK)
        *out = result;
    else
        nissl_verification_free(&result);
    return status;
}

void nissl_verification_free(nissl_verification *verification)
{
    if (!verification)
        return;
    nissl_table_free(&verification->tensors);
    free(verification->json);
    *verification = (nissl_verification){0};
}

nissl_status nissl_verify_write_input(nissl_context *ctx, const nissl_network *network,
                                      const nissl_stimuli *stimuli, const nissl_view *shape,
                                      int64_t n, const char *path, nissl_error *err)
{
    const nissl_port *port = nissl_network_input(network, 0);
    int64_t size[NISSL_MAX_RANK], one[NISSL_MAX_RANK];
    int rank = port ? port->rank : 0;
    nissl_array input = {0};
    nissl_view view;
    nissl_status status;
    if (n < 1 || (stimuli && n > nissl_stimuli_count(stimuli)))
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%" PRId64 " inputs asked for, of %" PRId64, n,
                           stimuli ? nissl_stimuli_count(stimuli) : INT64_MAX);
    if (stimuli)
        rank = nissl_stimuli_shape(stimuli, one) + 1;
    else if (shape)
        rank = shape->rank;
    if (rank < 1 || rank > NISSL_MAX_RANK)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "an input of rank %d is outside 1 .. %d", rank,
                           NISSL_MAX_RANK);
    size[0] = n;
    for (int i = 1; i < rank; i++) {
        size[i] = stimuli ? one[i - 1] : shape ? shape->shape[i] : port->shape[i];
        if (size[i] < 1)
            return NISSL__FAIL(err, NISSL_ERR_SHAPE, "axis %d of the input is left open", i);
    }
    if ((status = nissl_array_new(NISSL_FLOAT32, rank, size, &input, err)) != NISSL_OK)
        return status;
    if (stimuli)
        status = nissl_stimuli_load(stimuli, 0, n, input.data, err);
    else
        for (int64_t i = 0; i < nissl_array_count(&input); i++)
            ((float *)input.data)[i] =
                (float)nissl__random_normal(nissl_context_seed(ctx), INPUT_STREAM, (uint64_t)i);
    view = nissl_array_view(&input);
    if (status == NISSL_OK)
        status = nissl__npy_write(path, &view, err);
    nissl_array_free(&input);
    return status;
}
