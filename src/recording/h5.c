/* HDF5 and NWB objects in few words; see h5.h. */
#include <stdio.h>

#include "recording/h5.h"
#include "foundation/foundation.h"

static void fail_at(nissl__h5 *h5, const char *object, const char *name)
{
    if (!h5->failed)
        snprintf(h5->what, sizeof h5->what, "%.180s%s%.60s", object, name ? " " : "",
                 name ? name : "");
    h5->failed = true;
}

void nissl__h5_no_memory(nissl__h5 *h5, const char *object)
{
    h5->no_memory = h5->no_memory || !h5->failed; /* only as the first failure */
    fail_at(h5, object, NULL);
}

hid_t nissl__h5_type(nissl_type type)
{
    switch (type) {
    case NISSL_FLOAT32: return H5T_IEEE_F32LE;
    case NISSL_FLOAT64: return H5T_IEEE_F64LE;
    case NISSL_INT8: return H5T_STD_I8LE;
    case NISSL_UINT8: return H5T_STD_U8LE;
    case NISSL_INT16: return H5T_STD_I16LE;
    case NISSL_UINT16: return H5T_STD_U16LE;
    case NISSL_INT32: return H5T_STD_I32LE;
    case NISSL_UINT32: return H5T_STD_U32LE;
    case NISSL_INT64: return H5T_STD_I64LE;
    case NISSL_UINT64: return H5T_STD_U64LE;
    default: return H5I_INVALID_HID;
    }
}

nissl__h5_quiet nissl__h5_quiet_begin(void)
{
    nissl__h5_quiet quiet = {0};
    /* after a close that failed, on a full disk, HDF5's exit handler closes the file again and
     * crashes */
    H5dont_atexit();
    H5open();
    H5Eget_auto2(H5E_DEFAULT, &quiet.function, &quiet.data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return quiet;
}

void nissl__h5_quiet_end(nissl__h5_quiet quiet)
{
    H5Eset_auto2(H5E_DEFAULT, quiet.function, quiet.data);
}

void nissl__h5_name(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; text[n] && n + 1 < size; n++) {
        char c = text[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '.' || c == '-';
        out[n] = plain ? c : '_';
    }
    out[n] = '\0';
    if (strcmp(out, ".") == 0 || strcmp(out, "..") == 0 || n == 0)
        snprintf(out, size, "_");
}

/* ---- files ---- */

void nissl__h5_create(nissl__h5 *h5, const char *path, uint64_t identity)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    *h5 = (nissl__h5){.identity = identity};
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110);
    H5Pset_sieve_buf_size(access, 0); /* rows are written whole: reading around them is waste */
    h5->file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    if (h5->file < 0)
        fail_at(h5, path, NULL);
}

void nissl__h5_open(nissl__h5 *h5, const char *path, uint64_t identity)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    *h5 = (nissl__h5){.identity = identity};
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110);
    H5Pset_sieve_buf_size(access, 0); /* rows are written whole: reading around them is waste */
    h5->file = H5Fopen(path, H5F_ACC_RDWR, access);
    H5Pclose(access);
    if (h5->file < 0)
        fail_at(h5, path, NULL);
}

void nissl__h5_close(nissl__h5 *h5)
{
    if (h5->file > 0 && H5Fclose(h5->file) < 0)
        fail_at(h5, "close", NULL);
    h5->file = 0;
}

/* ---- attributes ---- */

static hid_t text_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static void attribute(nissl__h5 *h5, const char *object, const char *name, hid_t type, hid_t space,
                      const void *data)
{
    hid_t attr;
    if (h5->failed)
        return;
    attr = H5Acreate_by_name(h5->file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT,
                             H5P_DEFAULT);
    if (attr < 0 || H5Awrite(attr, type, data) < 0)
        fail_at(h5, object, name);
    if (attr >= 0)
        H5Aclose(attr);
}

void nissl__h5_text_attr(nissl__h5 *h5, const char *object, const char *name, const char *text)
{
    hid_t type = text_type(), space = H5Screate(H5S_SCALAR);
    attribute(h5, object, name, type, space, &text);
    H5Sclose(space);
    H5Tclose(type);
}

void nissl__h5_fixed_attr(nissl__h5 *h5, const char *object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    attribute(h5, object, name, type, space, text);
    H5Sclose(space);
    H5Tclose(type);
}

void nissl__h5_texts_attr(nissl__h5 *h5, const char *object, const char *name,
                          const char *const *texts, size_t n)
{
    hsize_t dims = n;
    hid_t type = text_type(), space = H5Screate_simple(1, &dims, NULL);
    attribute(h5, object, name, type, space, texts);
    H5Sclose(space);
    H5Tclose(type);
}

void nissl__h5_number_attr(nissl__h5 *h5, const char *object, const char *name, hid_t type,
                           const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    attribute(h5, object, name, type, space, value);
    H5Sclose(space);
}

void nissl__h5_typed(nissl__h5 *h5, const char *path, const char *neurodata_type, const char *space)
{
    char id[40];
    uint64_t part[2];
    for (uint64_t i = 0; i < 2; i++) {
        nissl__hash hash;
        nissl__hash_begin(&hash);
        nissl__hash_add(&hash, &h5->identity, sizeof h5->identity);
        nissl__hash_add(&hash, &i, sizeof i);
        nissl__hash_add(&hash, path, strlen(path));
        part[i] = nissl__hash_end(&hash);
    }
    /* version 8 (custom) and the variant of RFC 9562 */
    part[0] = (part[0] & ~UINT64_C(0xf000)) | UINT64_C(0x8000);
    part[1] = (part[1] & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    snprintf(id, sizeof id, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(part[0] >> 32),
             (unsigned)(part[0] >> 16 & 0xffff), (unsigned)(part[0] & 0xffff),
             (unsigned)(part[1] >> 48), (unsigned long long)(part[1] & UINT64_C(0xffffffffffff)));
    nissl__h5_text_attr(h5, path, "neurodata_type", neurodata_type);
    nissl__h5_text_attr(h5, path, "namespace", space);
    nissl__h5_text_attr(h5, path, "object_id", id);
}

/* ---- groups and datasets ---- */

void nissl__h5_group(nissl__h5 *h5, const char *path, const char *neurodata_type, const char *space)
{
    hid_t list, group;
    if (h5->failed)
        return;
    list = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(list, false);
    group = H5Gcreate2(h5->file, path, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Pclose(list);
    if (group < 0)
        fail_at(h5, path, NULL);
    else
        H5Gclose(group);
    if (neurodata_type)
        nissl__h5_typed(h5, path, neurodata_type, space);
}

static void dataset(nissl__h5 *h5, const char *path, hid_t type, hid_t space, const void *data)
{
    hid_t list, set;
    if (h5->failed)
        return;
    list = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(list, false);
    H5Pset_layout(list, H5D_CONTIGUOUS);
    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(list,
                     H5Tis_variable_str(type) > 0 ? H5D_FILL_TIME_IFSET : H5D_FILL_TIME_NEVER);
    set = H5Dcreate2(h5->file, path, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Pclose(list);
    if (set < 0 || (data && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0))
        fail_at(h5, path, NULL);
    if (set >= 0 && H5Dclose(set) < 0)
        fail_at(h5, path, NULL);
}

void nissl__h5_text(nissl__h5 *h5, const char *path, const char *text)
{
    hid_t type = text_type(), space = H5Screate(H5S_SCALAR);
    dataset(h5, path, type, space, &text);
    H5Sclose(space);
    H5Tclose(type);
}

void nissl__h5_texts(nissl__h5 *h5, const char *path, const char *const *texts, size_t n)
{
    hsize_t dims = n;
    hid_t type = text_type(), space = H5Screate_simple(1, &dims, NULL);
    dataset(h5, path, type, space, n ? texts : NULL);
    H5Sclose(space);
    H5Tclose(type);
}

static hid_t space_of(int rank, const int64_t *shape)
{
    hsize_t dims[NISSL_MAX_RANK] = {0};
    for (int i = 0; i < rank; i++)
        dims[i] = (hsize_t)shape[i];
    return rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
}

void nissl__h5_dataset(nissl__h5 *h5, const char *path, nissl_type type, int rank,
                       const int64_t *shape, const void *data)
{
    hid_t space = space_of(rank, shape);
    dataset(h5, path, nissl__h5_type(type), space, data);
    H5Sclose(space);
}

void nissl__h5_rows(nissl__h5 *h5, const char *path, nissl_type type, int rank,
                    const int64_t *shape, int64_t first, const void *data)
{
    hsize_t start[NISSL_MAX_RANK] = {(hsize_t)first}, count[NISSL_MAX_RANK] = {0};
    hid_t set, in_file, in_memory;
    if (h5->failed)
        return;
    for (int i = 0; i < rank; i++)
        count[i] = (hsize_t)shape[i];
    set = H5Dopen2(h5->file, path, H5P_DEFAULT);
    if (set < 0) {
        fail_at(h5, path, NULL);
        return;
    }
    in_file = H5Dget_space(set);
    in_memory = space_of(rank, shape);
    if (H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dwrite(set, nissl__h5_type(type), in_memory, in_file, H5P_DEFAULT, data) < 0)
        fail_at(h5, path, NULL);
    H5Sclose(in_memory);
    H5Sclose(in_file);
    if (H5Dclose(set) < 0)
        fail_at(h5, path, NULL);
}

/* ---- DynamicTable ---- */

void nissl__h5_table_begin(nissl__h5 *h5, nissl__h5_table *table, const char *path,
                           const char *type, const char *description, int64_t n_rows)
{
    char id[600];
    int64_t *ids = nissl__alloc((size_t)n_rows, sizeof *ids);
    *table = (nissl__h5_table){.n_rows = n_rows};
    if (!ids) {
        nissl__h5_no_memory(h5, path);
        return;
    }
    for (int64_t i = 0; i < n_rows; i++)
        ids[i] = i;
    snprintf(table->path, sizeof table->path, "%s", path);
    nissl__h5_group(h5, path, type, strcmp(type, "DynamicTable") == 0 ? "hdmf-common" : "core");
    nissl__h5_text_attr(h5, path, "description", description);
    snprintf(id, sizeof id, "%s/id", path);
    nissl__h5_dataset(h5, id, NISSL_INT64, 1, &n_rows, ids);
    nissl__h5_typed(h5, id, "ElementIdentifiers", "hdmf-common");
    nissl__free(ids);
}

static bool taken(const nissl__h5_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i], name) == 0)
            return true;
    return strcmp(name, "id") == 0;
}

/* A column's name, unique in the table, and its path. */
static const char *add_column(nissl__h5 *h5, nissl__h5_table *table, const char *name, char *path,
                              size_t size)
{
    char plain[300];
    size_t length;
    path[0] = '\0';
    if (h5->failed)
        return "";
    nissl__h5_name(name, plain, sizeof plain - 16);
    length = strlen(plain);
    for (int n = 2; taken(table, plain); n++)
        snprintf(plain + length, sizeof plain - length, "_%d", n);
    if (table->n_columns == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 16;
        char **columns = nissl__resize(table->columns, table->n_columns, capacity, sizeof *columns);
        if (!columns) {
            nissl__h5_no_memory(h5, table->path);
            return "";
        }
        table->columns = columns;
        table->capacity = capacity;
    }
    table->columns[table->n_columns] = nissl__strdup(plain);
    if (!table->columns[table->n_columns]) {
        nissl__h5_no_memory(h5, table->path);
        return "";
    }
    snprintf(path, size, "%s/%s", table->path, plain);
    return table->columns[table->n_columns++];
}

static void describe_column(nissl__h5 *h5, const char *path, const char *description)
{
    nissl__h5_typed(h5, path, "VectorData", "hdmf-common");
    nissl__h5_text_attr(h5, path, "description", description);
}

const char *nissl__h5_column_texts(nissl__h5 *h5, nissl__h5_table *table, const char *name,
                                   const char *description, const char *const *texts)
{
    char path[900];
    const char *column = add_column(h5, table, name, path, sizeof path);
    nissl__h5_texts(h5, path, texts, (size_t)table->n_rows);
    describe_column(h5, path, description);
    return column;
}

const char *nissl__h5_column(nissl__h5 *h5, nissl__h5_table *table, const char *name,
                             const char *description, nissl_type type, int64_t n_columns,
                             const void *data)
{
    char path[900];
    int64_t shape[2] = {table->n_rows, n_columns};
    const char *column = add_column(h5, table, name, path, sizeof path);
    nissl__h5_dataset(h5, path, type, n_columns > 0 ? 2 : 1, shape, data);
    describe_column(h5, path, description);
    return column;
}

void nissl__h5_table_end(nissl__h5 *h5, nissl__h5_table *table)
{
    nissl__h5_texts_attr(h5, table->path, "colnames", (const char *const *)table->columns,
                         table->n_columns);
    nissl__h5_table_free(table);
}

void nissl__h5_table_free(nissl__h5_table *table)
{
    for (size_t i = 0; i < table->n_columns; i++)
        nissl__free(table->columns[i]);
    nissl__free(table->columns);
    *table = (nissl__h5_table){0};
}
