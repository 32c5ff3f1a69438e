/* Reading a recording. Whatever the file says is checked before it is used. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "nissl/recording.h"
#include "foundation/foundation.h"
#include "recording/h5.h"
#include "recording/heap.h"

#define MAX_TEXT    (1 << 20)
#define MAX_FACTORS 4096

/* An array of a reducer: a column of /units. */
typedef struct column {
    char *array; /* "moments/mean" */
    char *path;  /* "/units/moments_mean" */
    nissl_type type;
    int rank;
    int64_t shape[NISSL_MAX_RANK];
} result_column;

typedef struct owned_factor {
    nissl_factor factor;
    char *name, *unit;
    char **levels;
    int32_t *level;
    double *value;
    int32_t order;
} owned_factor;

struct nissl_recording {
    hid_t file;
    nissl__heap heap;
    char *path, *provenance;
    size_t n_sites;
    nissl_recorded_site *sites;
    char **names, **ops, **nodes, **series; /* [n_sites] */
    int64_t n_units, n_stimuli;
    char **ids; /* [n_stimuli] */
    int n_factors;
    owned_factor *factors;
    size_t n_columns;
    result_column *columns;
    uint64_t budget; /* bytes that may still be allocated */
};

static nissl_status bad(const nissl_recording *r, nissl_error *err, const char *object,
                        const char *what)
{
    return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %s %s", r->path, object, what);
}

static void free_texts(char **texts, size_t n)
{
    for (size_t i = 0; texts && i < n; i++)
        nissl__free(texts[i]);
    nissl__free(texts);
}

static void *take(nissl_recording *r, int64_t count, size_t size, const char *object,
                  nissl_status *status, nissl_error *err)
{
    int64_t bytes;
    void *memory;
    if (!nissl__mul(count, (int64_t)size, &bytes) || (uint64_t)bytes > r->budget) {
        *status = NISSL__FAIL(
            err, NISSL_ERR_LIMIT, "%s: %s has %lld elements of %zu bytes; %llu bytes are allowed",
            r->path, object, (long long)count, size, (unsigned long long)r->budget);
        return NULL;
    }
    memory = nissl__alloc((size_t)count, size);
    if (!memory)
        *status = NISSL__NO_MEMORY(err, bytes);
    r->budget -= memory ? (uint64_t)bytes : 0;
    return memory;
}

/* ---- datasets ---- */

typedef struct dataset {
    hid_t id, type, space;
    int rank;
    int64_t shape[NISSL_MAX_RANK];
    bool contiguous;
    uint64_t offset; /* in the file, if it is contiguous */
} dataset;

static void dataset_close(dataset *set)
{
    if (set->space >= 0)
        H5Sclose(set->space);
    if (set->type >= 0)
        H5Tclose(set->type);
    if (set->id >= 0)
        H5Dclose(set->id);
}

/* Asks for every group on the way, so that links to other files are not followed. */
static bool is_inside(hid_t file, const char *path)
{
    char part[1024];
    size_t n = strlen(path);
    if (n >= sizeof part)
        return false;
    for (size_t i = 1; i <= n; i++) {
        H5L_info_t link;
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0 ||
            H5Lget_info(file, part, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
            return false;
    }
    return true;
}

static nissl_status dataset_open(const nissl_recording *r, const char *path, dataset *set,
                                 nissl_error *err)
{
    hsize_t dims[H5S_MAX_RANK] = {0};
    hid_t list;
    H5D_layout_t layout;
    int n_external;
    *set = (dataset){.id = H5I_INVALID_HID, .type = H5I_INVALID_HID, .space = H5I_INVALID_HID};
    if (!is_inside(r->file, path))
        return bad(r, err, path, "is missing");
    set->id = H5Dopen2(r->file, path, H5P_DEFAULT);
    if (set->id < 0)
        return bad(r, err, path, "is not a dataset that can be read");
    set->type = H5Dget_type(set->id);
    set->space = H5Dget_space(set->id);
    set->rank = H5Sget_simple_extent_ndims(set->space);
    if (set->type < 0 || set->space < 0 || set->rank < 0 || set->rank > 2 ||
        H5Sget_simple_extent_dims(set->space, dims, NULL) < 0)
        return bad(r, err, path, "has no shape of at most 2 axes");
    for (int i = 0; i < set->rank; i++) {
        if (dims[i] > INT64_MAX / 16)
            return bad(r, err, path, "is too large");
        set->shape[i] = (int64_t)dims[i];
    }
    list = H5Dget_create_plist(set->id);
    n_external = H5Pget_external_count(list);
    layout = H5Pget_layout(list);
    if (n_external == 0 && layout == H5D_CONTIGUOUS) {
        haddr_t at = H5Dget_offset(set->id);
        hsize_t bytes = H5Dget_storage_size(set->id), all = r->heap.file_bytes;
        if (at != HADDR_UNDEF && (bytes > all || at > all - bytes)) {
            H5Pclose(list);
            return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                               "%s: %s ends at byte %llu of a file of %llu bytes", r->path, path,
                               (unsigned long long)(at + bytes), (unsigned long long)all);
        }
        set->contiguous = at != HADDR_UNDEF;
        set->offset = at;
    }
    H5Pclose(list);
    if (n_external != 0 || layout == H5D_VIRTUAL || layout == H5D_LAYOUT_ERROR)
        return bad(r, err, path, "keeps its data in other files");
    return NISSL_OK;
}

/* Reads numbers [n] or, if n_columns > 0, [n, n_columns], converted to type. */
static nissl_status read_numbers(nissl_recording *r, const char *path, nissl_type type, int64_t n,
                                 int64_t n_columns, void **out, nissl_error *err)
{
    dataset set;
    void *data = NULL;
    int64_t count = n;
    nissl_status status = dataset_open(r, path, &set, err);
    if (status != NISSL_OK)
        goto done;
    if (set.rank != (n_columns > 0 ? 2 : 1) || set.shape[0] != n ||
        (n_columns > 0 && set.shape[1] != n_columns)) {
        status =
            n_columns > 0
                ? NISSL__FAIL(err, NISSL_ERR_FORMAT,
                              "%s: %s is [%lld, %lld]; [%lld, %lld] belongs there", r->path, path,
                              (long long)set.shape[0], (long long)set.shape[1], (long long)n,
                              (long long)n_columns)
                : NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %s has %lld rows where there are %lld",
                              r->path, path, (long long)set.shape[0], (long long)n);
        goto done;
    }
    if (H5Tget_class(set.type) != H5T_INTEGER && H5Tget_class(set.type) != H5T_FLOAT) {
        status = bad(r, err, path, "does not hold numbers");
        goto done;
    }
    if (n_columns > 0 && !nissl__mul(n, n_columns, &count)) {
        status = bad(r, err, path, "is too large");
        goto done;
    }
    data = take(r, count, nissl_type_size(type), path, &status, err);
    if (data && count > 0 &&
        H5Dread(set.id, nissl__h5_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        status = bad(r, err, path, "cannot be read");

done:
    dataset_close(&set);
    if (status == NISSL_OK)
        *out = data;
    else
        nissl__free(data);
    return status;
}

/* n bytes, or fewer if a zero comes before. */
static nissl_status copy_text(nissl_recording *r, const char *path, const char *text, size_t n,
                              char **out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    if (n > MAX_TEXT)
        return bad(r, err, path, "holds a text of more than 1 MiB");
    n = strnlen(text, n);
    *out = take(r, (int64_t)n + 1, 1, path, &status, err);
    if (*out && n)
        memcpy(*out, text, n);
    return status;
}

/* Reads n variable-length texts; n < 0: as many as there are, told in *count; 0 axes: one. */
static nissl_status read_texts(nissl_recording *r, const char *path, int64_t n, int64_t *count,
                               char ***out, nissl_error *err)
{
    dataset set;
    unsigned char *references = NULL;
    char **texts = NULL;
    int64_t rows = 0;
    nissl_status status = dataset_open(r, path, &set, err);
    if (status != NISSL_OK)
        goto done;
    rows = set.rank == 0 ? 1 : set.shape[0];
    if (set.rank > 1 || (n >= 0 && rows != n)) {
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %s has %lld rows where there are %lld",
                             r->path, path, (long long)rows, (long long)n);
        goto done;
    }
    if (H5Tis_variable_str(set.type) <= 0) {
        status = bad(r, err, path, "does not hold variable-length texts");
        goto done;
    }
    references = take(r, rows, NISSL__HEAP_REFERENCE, path, &status, err);
    texts = references ? take(r, rows, sizeof *texts, path, &status, err) : NULL;
    if (!texts)
        goto done;
    if (rows > 0 && !set.contiguous) {
        status = bad(r, err, path, "is stored in chunks; a recording keeps its texts in one piece");
        goto done;
    }
    if (rows > 0 && !nissl__heap_read(&r->heap, references, (uint64_t)rows * NISSL__HEAP_REFERENCE,
                                      set.offset)) {
        status = bad(r, err, path, "cannot be read");
        goto done;
    }
    for (int64_t i = 0; i < rows && status == NISSL_OK; i++) {
        const char *text;
        uint32_t length;
        status =
            nissl__heap_text(&r->heap, references + i * NISSL__HEAP_REFERENCE, &text, &length, err);
        if (status == NISSL_OK)
            status = copy_text(r, path, text, length, &texts[i], err);
    }

done:
    dataset_close(&set);
    nissl__free(references);
    if (status == NISSL_OK) {
        *out = texts;
        if (count)
            *count = rows;
    } else {
        free_texts(texts, (size_t)rows);
    }
    return status;
}

/* A text attribute of fixed length, or an error that names it. */
static nissl_status read_text_attr(nissl_recording *r, const char *path, const char *name,
                                   char **out, nissl_error *err)
{
    char place[1200], *text = NULL;
    hid_t attr, type, space;
    size_t size;
    nissl_status status = NISSL_OK;
    snprintf(place, sizeof place, "%s attribute %s", path, name);
    attr = H5Aopen_by_name(r->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attr < 0)
        return bad(r, err, place, "is missing");
    type = H5Aget_type(attr);
    space = H5Aget_space(attr);
    size = H5Tget_size(type);
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || size > MAX_TEXT ||
        H5Sget_simple_extent_npoints(space) != 1)
        status = bad(r, err, place, "is not a text of fixed length");
    else
        text = take(r, (int64_t)size + 1, 1, place, &status, err);
    if (text)
        status = H5Aread(attr, type, text) < 0 ? bad(r, err, place, "cannot be read")
                                               : copy_text(r, place, text, size, out, err);
    nissl__free(text);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attr);
    return status;
}

/* ---- what open reads ---- */

static nissl_status read_sites(nissl_recording *r, nissl_error *err)
{
    static const char *const names[4] = {"n_units", "n_positions", "first_unit", "rank"};
    int64_t *numbers[4] = {NULL}, *shape = NULL, n = 0;
    char path[100];
    nissl_status status = read_texts(r, "/processing/network/sites/site", -1, &n, &r->names, err);
    if (status != NISSL_OK)
        return status;
    r->n_sites = (size_t)n;
    if (status == NISSL_OK)
        status = read_texts(r, "/processing/network/sites/op", n, NULL, &r->ops, err);
    if (status == NISSL_OK)
        status = read_texts(r, "/processing/network/sites/node", n, NULL, &r->nodes, err);
    if (status == NISSL_OK)
        status = read_texts(r, "/processing/network/sites/responses", n, NULL, &r->series, err);
    for (int i = 0; i < 4 && status == NISSL_OK; i++) {
        snprintf(path, sizeof path, "/processing/network/sites/%s", names[i]);
        status = read_numbers(r, path, NISSL_INT64, n, 0, (void **)&numbers[i], err);
    }
    if (status == NISSL_OK)
        status = read_numbers(r, "/processing/network/sites/shape", NISSL_INT64, n, NISSL_MAX_RANK,
                              (void **)&shape, err);
    if (status == NISSL_OK)
        r->sites = take(r, n, sizeof *r->sites, "sites", &status, err);
    for (size_t i = 0; i < r->n_sites && status == NISSL_OK; i++) {
        nissl_recorded_site *site = &r->sites[i];
        *site = (nissl_recorded_site){.name = r->names[i],
                                      .op = r->ops[i],
                                      .node = r->nodes[i],
                                      .n_units = numbers[0][i],
                                      .n_positions = numbers[1][i],
                                      .first_unit = numbers[2][i],
                                      .rank = (int)NISSL__MIN(numbers[3][i], NISSL_MAX_RANK + 1)};
        if (site->n_units < 1 || site->n_positions < 1 || site->rank < 1 ||
            site->rank > NISSL_MAX_RANK || site->first_unit != r->n_units ||
            !nissl__add(r->n_units, site->n_units, &r->n_units))
            status = NISSL__FAIL(err, NISSL_ERR_FORMAT,
                                 "%s: site %zu has %lld units from row %lld on, %lld positions, "
                                 "rank %lld; row %lld is next",
                                 r->path, i, (long long)numbers[0][i], (long long)numbers[2][i],
                                 (long long)numbers[1][i], (long long)numbers[3][i],
                                 (long long)r->n_units);
        else
            memcpy(site->shape, shape + i * NISSL_MAX_RANK, sizeof site->shape);
    }
    for (int i = 0; i < 4; i++)
        nissl__free(numbers[i]);
    nissl__free(shape);
    return status;
}

static nissl_status read_factor(nissl_recording *r, const char *name, nissl_error *err)
{
    owned_factor *f = &r->factors[r->n_factors++];
    char path[700], column[700], *kind = NULL, *value_column = NULL, *level_column = NULL;
    int64_t n_levels = 0;
    hid_t attr;
    nissl_status status;
    snprintf(path, sizeof path, "/processing/conditions/%s", name);
    status = read_text_attr(r, path, "factor", &f->name, err);
    if (status == NISSL_OK)
        status = read_text_attr(r, path, "unit", &f->unit, err);
    if (status == NISSL_OK)
        status = read_text_attr(r, path, "kind", &kind, err);
    if (status == NISSL_OK)
        status = read_text_attr(r, path, "value_column", &value_column, err);
    if (status == NISSL_OK)
        status = read_text_attr(r, path, "level_column", &level_column, err);
    if (status != NISSL_OK)
        goto done;
    attr = H5Aopen_by_name(r->file, path, "order", H5P_DEFAULT, H5P_DEFAULT);
    if (attr >= 0) {
        H5Aread(attr, H5T_NATIVE_INT32, &f->order);
        H5Aclose(attr);
    }
    f->factor.kind =
        strcmp(kind, "continuous") == 0 ? NISSL_FACTOR_CONTINUOUS : NISSL_FACTOR_CATEGORICAL;
    snprintf(path, sizeof path, "/processing/conditions/%s/level", name);
    status = read_texts(r, path, -1, &n_levels, &f->levels, err);
    if (status != NISSL_OK)
        goto done;
    f->factor.n_levels = (int)NISSL__MIN(n_levels, INT32_MAX);
    if (n_levels > INT32_MAX) {
        status = bad(r, err, path, "has too many levels");
        goto done;
    }
    snprintf(column, sizeof column, "/intervals/trials/%.500s", level_column);
    if (n_levels > 0)
        status = read_numbers(r, column, NISSL_INT32, r->n_stimuli, 0, (void **)&f->level, err);
    for (int64_t i = 0; i < r->n_stimuli && n_levels > 0 && status == NISSL_OK; i++)
        if (f->level[i] < -1 || f->level[i] >= n_levels)
            status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %s row %lld is level %d of %lld",
                                 r->path, column, (long long)i, f->level[i], (long long)n_levels);
    snprintf(column, sizeof column, "/intervals/trials/%.500s", value_column);
    if (f->factor.kind == NISSL_FACTOR_CONTINUOUS && status == NISSL_OK)
        status = read_numbers(r, column, NISSL_FLOAT64, r->n_stimuli, 0, (void **)&f->value, err);
    f->factor.name = f->name;
    f->factor.unit = f->unit;
    f->factor.levels = (const char *const *)f->levels;
    f->factor.level = f->level;
    f->factor.value = f->value;

done:
    nissl__free(kind);
    nissl__free(value_column);
    nissl__free(level_column);
    return status;
}

static int by_order(const void *a, const void *b)
{
    const owned_factor *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

/* Name of the index-th link of a group; false if it is longer than a name may be. */
static bool link_name(hid_t group, hsize_t index, char *name, size_t size)
{
    ssize_t n =
        H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, index, name, size, H5P_DEFAULT);
    return n > 0 && (size_t)n < size;
}

static nissl_status read_factors(nissl_recording *r, nissl_error *err)
{
    H5G_info_t info;
    hid_t group;
    nissl_status status = NISSL_OK;
    char name[512];
    if (!is_inside(r->file, "/processing/conditions"))
        return NISSL_OK;
    group = H5Gopen2(r->file, "/processing/conditions", H5P_DEFAULT);
    if (group < 0 || H5Gget_info(group, &info) < 0 || info.nlinks > MAX_FACTORS) {
        if (group >= 0)
            H5Gclose(group);
        return bad(r, err, "/processing/conditions", "is not a group of at most 4096 tables");
    }
    r->factors = take(r, (int64_t)info.nlinks, sizeof *r->factors, "factors", &status, err);
    for (hsize_t i = 0; i < info.nlinks && status == NISSL_OK; i++)
        status = link_name(group, i, name, sizeof name)
                     ? read_factor(r, name, err)
                     : bad(r, err, "/processing/conditions", "holds a name that is too long");
    H5Gclose(group);
    if (status == NISSL_OK)
        qsort(r->factors, (size_t)r->n_factors, sizeof *r->factors, by_order);
    return status;
}

/* The nissl_type whose numbers a file type holds. */
static bool type_of(hid_t type, nissl_type *out)
{
    for (int i = 0; i < NISSL_TYPE_COUNT; i++) {
        hid_t candidate = nissl__h5_type((nissl_type)i);
        if (candidate >= 0 && H5Tequal(type, candidate) > 0) {
            *out = (nissl_type)i;
            return true;
        }
    }
    return false;
}

static nissl_status read_column(nissl_recording *r, const char *name, nissl_error *err)
{
    result_column *c = &r->columns[r->n_columns];
    dataset set = {.id = H5I_INVALID_HID, .type = H5I_INVALID_HID, .space = H5I_INVALID_HID};
    char path[600];
    nissl_status status = NISSL_OK;
    snprintf(path, sizeof path, "/units/%s", name);
    if (!is_inside(r->file, path) || H5Aexists_by_name(r->file, path, "array", H5P_DEFAULT) <= 0)
        return NISSL_OK; /* site, index and whatever others have added */
    r->n_columns++;
    status = read_text_attr(r, path, "array", &c->array, err);
    if (status == NISSL_OK)
        status = dataset_open(r, path, &set, err);
    if (status != NISSL_OK)
        goto done;
    c->rank = set.rank;
    memcpy(c->shape, set.shape, sizeof c->shape);
    if (set.rank < 1 || set.shape[0] != r->n_units)
        status =
            NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: %s has %lld rows where there are %lld units",
                        r->path, path, (long long)set.shape[0], (long long)r->n_units);
    else if (!type_of(set.type, &c->type))
        status = bad(r, err, path, "does not hold numbers of a known type");
    else
        status = copy_text(r, path, path, strlen(path), &c->path, err);

done:
    dataset_close(&set);
    return status;
}

static nissl_status read_columns(nissl_recording *r, nissl_error *err)
{
    H5G_info_t info;
    hid_t group = is_inside(r->file, "/units") ? H5Gopen2(r->file, "/units", H5P_DEFAULT) : -1;
    nissl_status status = NISSL_OK;
    char name[512];
    if (group < 0 || H5Gget_info(group, &info) < 0) {
        if (group >= 0)
            H5Gclose(group);
        return bad(r, err, "/units", "is missing");
    }
    r->columns = take(r, (int64_t)NISSL__MIN(info.nlinks, INT32_MAX), sizeof *r->columns, "/units",
                      &status, err);
    for (hsize_t i = 0; i < NISSL__MIN(info.nlinks, INT32_MAX) && status == NISSL_OK; i++)
        status = link_name(group, i, name, sizeof name)
                     ? read_column(r, name, err)
                     : bad(r, err, "/units", "holds a name that is too long");
    H5Gclose(group);
    return status;
}

static nissl_status check_responses(nissl_recording *r, nissl_error *err)
{
    for (size_t i = 0; i < r->n_sites; i++) {
        char path[700];
        dataset set;
        nissl_status status;
        if (!r->series[i][0])
            continue;
        snprintf(path, sizeof path, "/processing/ann/%.500s/data", r->series[i]);
        status = dataset_open(r, path, &set, err);
        if (status == NISSL_OK &&
            (set.rank != 2 || set.shape[0] != r->n_stimuli || set.shape[1] != r->sites[i].n_units ||
             H5Tget_class(set.type) != H5T_FLOAT))
            status = NISSL__FAIL(err, NISSL_ERR_FORMAT,
                                 "%s: %s is [%lld, %lld]; there are %lld stimuli and %lld units",
                                 r->path, path, (long long)set.shape[0], (long long)set.shape[1],
                                 (long long)r->n_stimuli, (long long)r->sites[i].n_units);
        dataset_close(&set);
        if (status != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

static nissl_status read_all(nissl_recording *r, nissl_error *err)
{
    char **notes = NULL;
    nissl_status status = read_sites(r, err);
    if (status == NISSL_OK)
        status = read_texts(r, "/intervals/trials/stimulus", -1, &r->n_stimuli, &r->ids, err);
    if (status == NISSL_OK)
        status = read_factors(r, err);
    if (status == NISSL_OK)
        status = read_columns(r, err);
    if (status == NISSL_OK)
        status = check_responses(r, err);
    if (status == NISSL_OK)
        status = read_texts(r, "/general/notes", 1, NULL, &notes, err);
    if (status == NISSL_OK) {
        r->provenance = notes[0];
        nissl__free(notes);
    }
    return status;
}

static nissl_status open_file(nissl_recording *r, nissl_error *err)
{
    hsize_t user_block = 0;
    size_t address_size = 0, length_size = 0;
    hid_t list;
    nissl_status status = nissl__heap_open(r->path, &r->heap, err);
    if (status != NISSL_OK)
        return status;
    r->file = H5Fopen(r->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (r->file < 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: an HDF5 file of %llu bytes that cannot be opened; it is cut short "
                           "or damaged",
                           r->path, (unsigned long long)r->heap.file_bytes);
    list = H5Fget_create_plist(r->file);
    H5Pget_userblock(list, &user_block);
    H5Pget_sizes(list, &address_size, &length_size);
    H5Pclose(list);
    if (user_block != 0 || address_size != 8 || length_size != 8)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: an HDF5 file with a user block of %llu bytes and addresses of %zu; "
                           "a recording has 0 and 8",
                           r->path, (unsigned long long)user_block, address_size);
    return NISSL_OK;
}

nissl_status nissl_recording_open(nissl_context *ctx, const char *path, nissl_recording **out,
                                  nissl_error *err)
{
    nissl_recording *r = nissl__alloc(1, sizeof *r);
    nissl__h5_quiet quiet;
    struct stat about;
    nissl_status status = NISSL_OK;
    if (!r)
        return NISSL__NO_MEMORY(err, sizeof *r);
    quiet = nissl__h5_quiet_begin();
    r->file = H5I_INVALID_HID;
    r->heap.fd = -1;
    r->budget = nissl__memory_limit(ctx);
    r->path = nissl__strdup(path);
    if (!r->path) {
        status = NISSL__NO_MEMORY(err, strlen(path));
    } else if (stat(path, &about) != 0) {
        status = NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(about.st_mode) || H5Fis_hdf5(path) <= 0) {
        status = NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: not an HDF5 file", path);
    } else {
        status = open_file(r, err);
        if (status == NISSL_OK)
            status = read_all(r, err);
    }
    nissl__h5_quiet_end(quiet);
    if (status == NISSL_OK)
        *out = r;
    else
        nissl_recording_free(r);
    return status;
}

void nissl_recording_free(nissl_recording *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->n_factors; i++) {
        nissl__free(r->factors[i].name);
        nissl__free(r->factors[i].unit);
        free_texts(r->factors[i].levels, (size_t)r->factors[i].factor.n_levels);
        nissl__free(r->factors[i].level);
        nissl__free(r->factors[i].value);
    }
    for (size_t i = 0; i < r->n_columns; i++) {
        nissl__free(r->columns[i].array);
        nissl__free(r->columns[i].path);
    }
    nissl__free(r->columns);
    nissl__free(r->factors);
    free_texts(r->names, r->n_sites);
    free_texts(r->ops, r->n_sites);
    free_texts(r->nodes, r->n_sites);
    free_texts(r->series, r->n_sites);
    free_texts(r->ids, (size_t)r->n_stimuli);
    nissl__free(r->sites);
    nissl__free(r->provenance);
    nissl__heap_close(&r->heap);
    nissl__free(r->path);
    if (r->file >= 0) {
        nissl__h5_quiet quiet = nissl__h5_quiet_begin();
        H5Fclose(r->file);
        nissl__h5_quiet_end(quiet);
    }
    nissl__free(r);
}

size_t nissl_recording_n_sites(const nissl_recording *r)
{
    return r->n_sites;
}

const nissl_recorded_site *nissl_recording_site(const nissl_recording *r, size_t index)
{
    return index < r->n_sites ? &r->sites[index] : NULL;
}

int64_t nissl_recording_find_site(const nissl_recording *r, const char *name)
{
    for (size_t i = 0; i < r->n_sites; i++)
        if (strcmp(r->sites[i].name, name) == 0)
            return (int64_t)i;
    return -1;
}

int64_t nissl_recording_n_stimuli(const nissl_recording *r)
{
    return r->n_stimuli;
}

const char *nissl_recording_stimulus_id(const nissl_recording *r, int64_t index)
{
    return index >= 0 && index < r->n_stimuli ? r->ids[index] : NULL;
}

int nissl_recording_n_factors(const nissl_recording *r)
{
    return r->n_factors;
}

const nissl_factor *nissl_recording_factor(const nissl_recording *r, int index)
{
    return index >= 0 && index < r->n_factors ? &r->factors[index].factor : NULL;
}

const char *nissl_recording_provenance(const nissl_recording *r)
{
    return r->provenance;
}

static const result_column *find_column(const nissl_recording *r, const char *name)
{
    for (size_t i = 0; i < r->n_columns; i++)
        if (strcmp(r->columns[i].array, name) == 0)
            return &r->columns[i];
    return NULL;
}

bool nissl_recording_has(const nissl_recording *r, size_t site, const char *name)
{
    if (site >= r->n_sites)
        return false;
    if (strcmp(name, "responses") == 0)
        return r->series[site][0] != '\0';
    return find_column(r, name) != NULL;
}

/* Reads rows first .. first + n - 1 (axis 0) or columns (axis 1) of a dataset of rank 1 or 2. */
static nissl_status read_part(const nissl_recording *r, const char *path, nissl_type type, int axis,
                              int64_t first, int64_t n, void *out, nissl_error *err)
{
    nissl__h5_quiet quiet = nissl__h5_quiet_begin();
    hid_t memory = H5I_INVALID_HID;
    hsize_t start[2] = {0}, count[2];
    dataset set;
    nissl_status status = dataset_open(r, path, &set, err);
    if (status == NISSL_OK) {
        count[0] = (hsize_t)set.shape[0];
        count[1] = (hsize_t)set.shape[1];
        start[axis] = (hsize_t)first;
        count[axis] = (hsize_t)n;
        memory = H5Screate_simple(set.rank, count, NULL);
        if (H5Sselect_hyperslab(set.space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
            H5Dread(set.id, nissl__h5_type(type), memory, set.space, H5P_DEFAULT, out) < 0)
            status = bad(r, err, path, "cannot be read");
        H5Sclose(memory);
    }
    dataset_close(&set);
    nissl__h5_quiet_end(quiet);
    return status;
}

nissl_status nissl_recording_array(const nissl_recording *r, size_t site, const char *name,
                                   nissl_array *out, nissl_error *err)
{
    const result_column *c = find_column(r, name);
    const nissl_recorded_site *of;
    nissl_array array = {0};
    int64_t shape[2];
    nissl_status status;
    if (site >= r->n_sites)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "site %zu of %zu", site, r->n_sites);
    if (!c) {
        char names[300] = "";
        size_t used = 0;
        for (size_t i = 0; i < r->n_columns && used + 60 < sizeof names; i++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.50s", i ? ", " : "",
                                     r->columns[i].array);
        return NISSL__FAIL(err, NISSL_ERR_NAME, "%.100s holds no \"%.80s\"; it holds %s", r->path,
                           name, names);
    }
    of = &r->sites[site];
    shape[0] = of->n_units;
    shape[1] = c->shape[1];
    status = nissl_array_new(c->type, c->rank, shape, &array, err);
    if (status != NISSL_OK)
        return status;
    status = read_part(r, c->path, c->type, 0, of->first_unit, of->n_units, array.data, err);
    if (status == NISSL_OK)
        *out = array;
    else
        nissl_array_free(&array);
    return status;
}

nissl_status nissl_recording_responses(const nissl_recording *r, size_t site, int64_t first_unit,
                                       int64_t n_units, float *out, nissl_error *err)
{
    char path[700];
    if (site >= r->n_sites)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "site %zu of %zu", site, r->n_sites);
    if (!r->series[site][0])
        return NISSL__FAIL(err, NISSL_ERR_NAME, "%.200s holds no responses of site \"%.200s\"",
                           r->path, r->sites[site].name);
    if (first_unit < 0 || n_units < 1 || first_unit > r->sites[site].n_units - n_units)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "units %lld .. %lld of %lld",
                           (long long)first_unit, (long long)(first_unit + n_units - 1),
                           (long long)r->sites[site].n_units);
    snprintf(path, sizeof path, "/processing/ann/%.500s/data", r->series[site]);
    return read_part(r, path, NISSL_FLOAT32, 1, first_unit, n_units, out, err);
}
