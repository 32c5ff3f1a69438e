/*
 * Inside a stimulus set: sources, which know items in their own form; columns, from which factors
 * are made; and the preprocessing, which turns an item into what the network sees.
 */
#ifndef NISSL__RECORDING_STIMULI_H
#define NISSL__RECORDING_STIMULI_H

#include "formats/csv.h"
#include "foundation/foundation.h"
#include "nissl/stimuli.h"
#include "recording/preprocess.h"

/* ---- ids: many short strings in one block ---- */

typedef struct nissl__texts {
    char *block;
    size_t used, capacity;
    size_t *offset; /* [n] */
    int64_t n, n_capacity;
} nissl__texts;

nissl_status nissl__texts_add(nissl__texts *texts, const char *text, nissl_error *err);
const char *nissl__texts_at(const nissl__texts *texts, int64_t index);
void nissl__texts_free(nissl__texts *texts);

/* ---- columns: what factors are made of ---- */

typedef struct nissl__column {
    char *name, *unit;
    bool numeric;
    double *value;      /* [n] if numeric, NaN = missing */
    int32_t *code;      /* [n] if not: index into texts in order of appearance, -1 = missing */
    nissl__texts texts; /* distinct texts */
    int32_t *table;     /* hash table over texts: index + 1, 0 = free */
    int64_t n_table;
} nissl__column;

typedef struct nissl__columns {
    nissl__column *items;
    int n;
    int64_t n_rows;
} nissl__columns;

/* Adds a column of n_rows missing values and gives it out; the pointer holds until the next is
 * added. */
nissl_status nissl__columns_add(nissl__columns *columns, const char *name, const char *unit,
                                bool numeric, nissl__column **out, nissl_error *err);
nissl_status nissl__column_set_text(nissl__column *column, int64_t row, const char *text,
                                    nissl_error *err);
void nissl__columns_free(nissl__columns *columns);

/* Factors of sorted levels, "label" first. Free with nissl__factors_free. */
nissl_status nissl__factors_new(const nissl__columns *columns, nissl_factor **out,
                                nissl_error *err);
void nissl__factors_free(nissl_factor *factors, int n);

/* ---- sources ---- */

typedef struct nissl__source nissl__source;

typedef struct nissl__source_type {
    const char *name;
    /* Thread-safe. */
    nissl_status (*load)(const nissl__source *source, int64_t index, nissl__item *out,
                         nissl_error *err);
    /* Adds the bytes that the items are made of. */
    nissl_status (*hash)(const nissl__source *source, nissl__hash *hash, nissl_error *err);
    void (*free)(void *state);
} nissl__source_type;

struct nissl__source {
    const nissl__source_type *type;
    void *state;
    int64_t n;           /* items, at most the limit */
    int64_t n_available; /* items of the source itself */
    nissl__form form;    /* of every item */
    const int64_t
        *sizes; /* [n, 2] height and width where images differ; else NULL. Lives in state. */
    const int64_t *lengths; /* [n] tokens of each item; NULL where all have form.shape. Lives in
                               state. */
    nissl__texts ids;
    nissl__columns columns;
    char *label; /* for messages: the path or the generator's text */
};

void nissl__source_free(nissl__source *source);

/* A picture for people, at most max_side a side; malloc'ed [height, width, 3]. */
nissl_status nissl__draw_item(const nissl__pipeline *pipeline, const nissl__item *item,
                              int max_side, uint8_t **rgb, int *width, int *height,
                              nissl_error *err);

typedef struct nissl__source_request {
    nissl_context *ctx;
    const char *path;
    const char *labels;       /* or NULL */
    const nissl_view *wanted; /* shape [1, ...] or NULL */
    int64_t limit;            /* most items wanted, > 0 */
    uint64_t budget;
} nissl__source_request;

/* One opener per kind. out is zeroed before; on failure the caller frees what is there. */
nissl_status nissl__source_npy(const nissl__source_request *request, nissl__source *out,
                               nissl_error *err);
nissl_status nissl__source_idx(const nissl__source_request *request, nissl__source *out,
                               nissl_error *err);
nissl_status nissl__source_csv(const nissl__source_request *request, nissl__source *out,
                               nissl_error *err);
nissl_status nissl__source_cifar(const nissl__source_request *request, nissl__source *out,
                                 nissl_error *err);
nissl_status nissl__source_folder(const nissl__source_request *request, nissl__source *out,
                                  nissl_error *err);
nissl_status nissl__source_generator(const nissl__source_request *request, nissl__source *out,
                                     nissl_error *err);
#define NISSL__PADDING (-1) /* stands for the tokens that a shorter stimulus lacks */
/* Token ids: of an integer npy, or of text. */
nissl_status nissl__source_tokens(const nissl__source_request *request, bool npy,
                                  nissl__source *out, nissl_error *err);
bool nissl__is_generator(const char *path);

/* Labels of a file, row i for item i (IDX, npy, CSV) or by path (CSV with a column "path"). */
nissl_status nissl__source_label(nissl__source *source, const char *path, uint64_t budget,
                                 nissl_error *err);
/* The columns of a CSV but the one named skip become columns; rows[i] is the table's row for item
 * i. */
nissl_status nissl__source_columns_of_csv(nissl__source *source, const nissl__csv *csv,
                                          const int64_t *rows, int64_t skip, bool header,
                                          nissl_error *err);
/* Ids "00000", "00001", ... */
nissl_status nissl__source_number(nissl__source *source, nissl_error *err);

#endif
