/*
 * HDF5 and NWB objects in few words. Failures stick: after one, calls do nothing and the first
 * failure is what nissl__h5_status reports. HDF5 itself is kept from printing.
 */
#ifndef NISSL__H5_H
#define NISSL__H5_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "nissl/array.h"

typedef struct nissl__h5 {
    hid_t file;
    uint64_t identity; /* object ids are made from it and the object's path */
    bool failed, no_memory;
    char what[256]; /* that failed first */
} nissl__h5;

/* Notes that memory ran out while writing an object. */
void nissl__h5_no_memory(nissl__h5 *h5, const char *object);

/* HDF5 type of a nissl_type; H5I_INVALID_HID if NWB has none. Not to be closed. */
hid_t nissl__h5_type(nissl_type type);

/* Turns HDF5's printing off for the calling thread and restores it. */
typedef struct nissl__h5_quiet {
    H5E_auto2_t function;
    void *data;
} nissl__h5_quiet;
nissl__h5_quiet nissl__h5_quiet_begin(void);
void nissl__h5_quiet_end(nissl__h5_quiet quiet);

/* File name made of any text: characters other than letters, digits, "_", "." and "-" become "_".
 */
void nissl__h5_name(const char *text, char *out, size_t size);

/* ---- writing; objects are addressed by absolute path ---- */

void nissl__h5_create(nissl__h5 *h5, const char *path, uint64_t identity);
void nissl__h5_open(nissl__h5 *h5, const char *path, uint64_t identity);
void nissl__h5_close(nissl__h5 *h5);

void nissl__h5_text_attr(nissl__h5 *h5, const char *object, const char *name, const char *text);
/* The same with a length of its own, which readers need no heap for. */
void nissl__h5_fixed_attr(nissl__h5 *h5, const char *object, const char *name, const char *text);
void nissl__h5_texts_attr(nissl__h5 *h5, const char *object, const char *name,
                          const char *const *texts, size_t n);
void nissl__h5_number_attr(nissl__h5 *h5, const char *object, const char *name, hid_t type,
                           const void *value);

/* A group, with neurodata_type, namespace and object_id unless type is NULL. */
void nissl__h5_group(nissl__h5 *h5, const char *path, const char *neurodata_type,
                     const char *space);
void nissl__h5_text(nissl__h5 *h5, const char *path, const char *text);
void nissl__h5_texts(nissl__h5 *h5, const char *path, const char *const *texts, size_t n);
/* A contiguous dataset, its space in the file taken at once; data may be NULL. */
void nissl__h5_dataset(nissl__h5 *h5, const char *path, nissl_type type, int rank,
                       const int64_t *shape, const void *data);
/* Rows first .. of a dataset. */
void nissl__h5_rows(nissl__h5 *h5, const char *path, nissl_type type, int rank,
                    const int64_t *shape, int64_t first, const void *data);
/* Marks a dataset as a typed NWB object. */
void nissl__h5_typed(nissl__h5 *h5, const char *path, const char *neurodata_type,
                     const char *space);

/* ---- DynamicTable ---- */

typedef struct nissl__h5_table {
    char path[512];
    int64_t n_rows;
    size_t n_columns, capacity;
    char **columns;
} nissl__h5_table;

/* Begins a table of n_rows; type is "DynamicTable" (hdmf-common), "TimeIntervals" or "Units"
 * (core). */
void nissl__h5_table_begin(nissl__h5 *h5, nissl__h5_table *table, const char *path,
                           const char *type, const char *description, int64_t n_rows);
/* Columns: texts; or numbers [n_rows] or, if n_columns > 0, [n_rows, n_columns]. Returns the name,
 * made unique, that the column has; "" after a failure. */
const char *nissl__h5_column_texts(nissl__h5 *h5, nissl__h5_table *table, const char *name,
                                   const char *description, const char *const *texts);
const char *nissl__h5_column(nissl__h5 *h5, nissl__h5_table *table, const char *name,
                             const char *description, nissl_type type, int64_t n_columns,
                             const void *data);
/* Writes the list of columns and frees the table. */
void nissl__h5_table_end(nissl__h5 *h5, nissl__h5_table *table);
void nissl__h5_table_free(nissl__h5_table *table);

#endif
