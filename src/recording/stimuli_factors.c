/* Ids, columns and the factors that are made of them. */
#include <stdio.h>

#include "recording/stimuli.h"

#define MAX_NUMERIC_LEVELS 256

/* ---- texts ---- */

nissl_status nissl__texts_add(nissl__texts *texts, const char *text, nissl_error *err)
{
    size_t n = strlen(text) + 1;
    if (texts->used + n > texts->capacity) {
        size_t wanted = NISSL__MAX(texts->capacity * 2, texts->used + n + 256);
        char *block = nissl__resize(texts->block, texts->used, wanted, 1);
        if (!block)
            return NISSL__NO_MEMORY(err, wanted);
        texts->block = block;
        texts->capacity = wanted;
    }
    if (texts->n == texts->n_capacity) {
        int64_t wanted = NISSL__MAX(texts->n_capacity * 2, 16);
        size_t *offset =
            nissl__resize(texts->offset, (size_t)texts->n, (size_t)wanted, sizeof *offset);
        if (!offset)
            return NISSL__NO_MEMORY(err, (size_t)wanted * sizeof *offset);
        texts->offset = offset;
        texts->n_capacity = wanted;
    }
    memcpy(texts->block + texts->used, text, n);
    texts->offset[texts->n++] = texts->used;
    texts->used += n;
    return NISSL_OK;
}

const char *nissl__texts_at(const nissl__texts *texts, int64_t index)
{
    return texts->block + texts->offset[index];
}

void nissl__texts_free(nissl__texts *texts)
{
    nissl__free(texts->block);
    nissl__free(texts->offset);
    *texts = (nissl__texts){0};
}

/* ---- columns ---- */

static void column_free(nissl__column *column)
{
    nissl__free(column->name);
    nissl__free(column->unit);
    nissl__free(column->value);
    nissl__free(column->code);
    nissl__free(column->table);
    nissl__texts_free(&column->texts);
}

nissl_status nissl__columns_add(nissl__columns *columns, const char *name, const char *unit,
                                bool numeric, nissl__column **out, nissl_error *err)
{
    nissl__column column = {.numeric = numeric};
    size_t n = (size_t)columns->n_rows;
    nissl__column *items =
        nissl__resize(columns->items, (size_t)columns->n, (size_t)columns->n + 1, sizeof *items);
    if (!items)
        return NISSL__NO_MEMORY(err, ((size_t)columns->n + 1) * sizeof *items);
    columns->items = items;
    column.name = nissl__strdup(name);
    column.unit = nissl__strdup(unit);
    if (numeric)
        column.value = nissl__alloc(n, sizeof *column.value);
    else
        column.code = nissl__alloc(n, sizeof *column.code);
    if (!column.name || !column.unit || (numeric ? !column.value : !column.code)) {
        column_free(&column);
        return NISSL__NO_MEMORY(err, n * sizeof(double));
    }
    for (size_t i = 0; i < n; i++)
        if (numeric)
            column.value[i] = NAN;
        else
            column.code[i] = -1;
    items[columns->n] = column;
    *out = &items[columns->n++];
    return NISSL_OK;
}

void nissl__columns_free(nissl__columns *columns)
{
    for (int i = 0; i < columns->n; i++)
        column_free(&columns->items[i]);
    nissl__free(columns->items);
    *columns = (nissl__columns){0};
}

static uint64_t hash_text(const char *text)
{
    nissl__hash hash;
    nissl__hash_begin(&hash);
    nissl__hash_add(&hash, text, strlen(text));
    return nissl__hash_end(&hash);
}

/* The slot of a text in the column's open-addressing table: its own, or the free one where it
 * belongs. */
static int64_t find_slot(const nissl__column *column, const char *text)
{
    int64_t mask = column->n_table - 1;
    int64_t slot = (int64_t)(hash_text(text) & (uint64_t)mask);
    while (column->table[slot] &&
           strcmp(nissl__texts_at(&column->texts, column->table[slot] - 1), text) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

static nissl_status grow_table(nissl__column *column, nissl_error *err)
{
    int64_t wanted = NISSL__MAX(column->n_table * 2, 64);
    int32_t *table = nissl__alloc((size_t)wanted, sizeof *table);
    if (!table)
        return NISSL__NO_MEMORY(err, (size_t)wanted * sizeof *table);
    nissl__free(column->table);
    column->table = table;
    column->n_table = wanted;
    for (int64_t i = 0; i < column->texts.n; i++)
        table[find_slot(column, nissl__texts_at(&column->texts, i))] = (int32_t)i + 1;
    return NISSL_OK;
}

nissl_status nissl__column_set_text(nissl__column *column, int64_t row, const char *text,
                                    nissl_error *err)
{
    nissl_status status;
    if (column->texts.n * 2 >= column->n_table && (status = grow_table(column, err)) != NISSL_OK)
        return status;
    int64_t slot = find_slot(column, text);
    if (!column->table[slot]) {
        if (column->texts.n >= INT32_MAX - 1)
            return NISSL__FAIL(err, NISSL_ERR_LIMIT, "factor '%s' has more than %d distinct texts",
                               column->name, INT32_MAX - 1);
        if ((status = nissl__texts_add(&column->texts, text, err)) != NISSL_OK)
            return status;
        column->table[slot] = (int32_t)column->texts.n;
    }
    column->code[row] = column->table[slot] - 1;
    return NISSL_OK;
}

/* ---- factors ---- */

typedef struct level {
    const char *text;
    double number;
    int32_t code;
} level;

static int by_number(const void *a, const void *b)
{
    const level *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->text, y->text); /* "1" and "1.0" */
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const level *)a)->text, ((const level *)b)->text);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const char **new_levels(int64_t n, size_t bytes, char **block)
{
    /* The texts follow the pointers in one block. */
    const char **levels = nissl__alloc((size_t)n * sizeof *levels + bytes, 1);
    if (levels)
        *block = (char *)(levels + n);
    return levels;
}

static nissl_status categorical(const nissl__column *column, int64_t n_rows, nissl_factor *factor,
                                nissl_error *err)
{
    int64_t n = column->texts.n;
    level *sorted = nissl__alloc((size_t)n, sizeof *sorted);
    int32_t *rank = nissl__alloc((size_t)n, sizeof *rank);
    int32_t *levels_of_rows = nissl__alloc((size_t)n_rows, sizeof *levels_of_rows);
    char *block = NULL;
    const char **levels = new_levels(n, column->texts.used, &block);
    bool numbers = true;
    if (!sorted || !rank || !levels || !levels_of_rows) {
        nissl__free(sorted);
        nissl__free(rank);
        nissl__free(levels);
        nissl__free(levels_of_rows);
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *sorted);
    }
    for (int64_t i = 0; i < n; i++) {
        sorted[i] = (level){.text = nissl__texts_at(&column->texts, i), .code = (int32_t)i};
        numbers = numbers && nissl__parse_number(sorted[i].text, &sorted[i].number);
    }
    qsort(sorted, (size_t)n, sizeof *sorted, numbers ? by_number : by_text);
    for (int64_t i = 0; i < n; i++) {
        size_t length = strlen(sorted[i].text) + 1;
        rank[sorted[i].code] = (int32_t)i;
        levels[i] = memcpy(block, sorted[i].text, length);
        block += length;
    }
    for (int64_t i = 0; i < n_rows; i++)
        levels_of_rows[i] = column->code[i] < 0 ? -1 : rank[column->code[i]];
    nissl__free(sorted);
    nissl__free(rank);
    factor->kind = NISSL_FACTOR_CATEGORICAL;
    factor->n_levels = (int)n;
    factor->levels = levels;
    factor->level = levels_of_rows;
    return NISSL_OK;
}

static nissl_status continuous(const nissl__column *column, int64_t n_rows, nissl_factor *factor,
                               nissl_error *err)
{
    nissl_status status = NISSL_OK;
    double *sorted = nissl__alloc((size_t)n_rows, sizeof *sorted);
    double *value = nissl__alloc((size_t)n_rows, sizeof *value);
    int32_t *level_of_row = NULL;
    const char **levels = NULL;
    char *block = NULL;
    int64_t n = 0, n_distinct = 0;
    if (!sorted || !value)
        goto no_memory;
    memcpy(value, column->value, (size_t)n_rows * sizeof *value);
    for (int64_t i = 0; i < n_rows; i++)
        if (!isnan(value[i]))
            sorted[n++] = value[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || sorted[i] != sorted[n_distinct - 1])
            sorted[n_distinct++] = sorted[i];
    if (n_distinct <= MAX_NUMERIC_LEVELS) {
        level_of_row = nissl__alloc((size_t)n_rows, sizeof *level_of_row);
        levels = new_levels(n_distinct, (size_t)n_distinct * 32, &block);
        if (!levels || !level_of_row)
            goto no_memory;
        for (int64_t i = 0; i < n_distinct; i++, block += 32) {
            nissl__number_text(sorted[i], block);
            levels[i] = block;
        }
        for (int64_t i = 0; i < n_rows; i++) {
            const double *at = isnan(value[i]) ? NULL
                                               : bsearch(&value[i], sorted, (size_t)n_distinct,
                                                         sizeof *sorted, by_value);
            level_of_row[i] = at ? (int32_t)(at - sorted) : -1;
        }
    }
    factor->kind = NISSL_FACTOR_CONTINUOUS;
    factor->n_levels = levels ? (int)n_distinct : 0;
    factor->levels = levels;
    factor->level = level_of_row;
    factor->value = value;
    goto done;
no_memory:
    status = NISSL__NO_MEMORY(err, (size_t)n_rows * sizeof *sorted);
    nissl__free(value);
    nissl__free(level_of_row);
    nissl__free(levels);
done:
    nissl__free(sorted);
    return status;
}

nissl_status nissl__factors_new(const nissl__columns *columns, nissl_factor **out, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    nissl_factor *factors = nissl__alloc((size_t)columns->n, sizeof *factors);
    int n = 0;
    if (!factors)
        return NISSL__NO_MEMORY(err, (size_t)columns->n * sizeof *factors);
    for (int pass = 0; pass < 2 && status == NISSL_OK; pass++)
        for (int i = 0; i < columns->n && status == NISSL_OK; i++) {
            const nissl__column *column = &columns->items[i];
            nissl_factor factor = {0};
            if ((strcmp(column->name, "label") == 0) != (pass == 0))
                continue;
            char *name = nissl__strdup(column->name), *unit = nissl__strdup(column->unit);
            factor.name = name;
            factor.unit = unit;
            if (!name || !unit)
                status = NISSL__NO_MEMORY(err, strlen(column->name) + strlen(column->unit) + 2);
            else if (column->numeric)
                status = continuous(column, columns->n_rows, &factor, err);
            else
                status = categorical(column, columns->n_rows, &factor, err);
            factors[n++] = factor;
        }
    if (status == NISSL_OK)
        *out = factors;
    else
        nissl__factors_free(factors, n);
    return status;
}

void nissl__factors_free(nissl_factor *factors, int n)
{
    for (int i = 0; factors && i < n; i++) {
        nissl__free((void *)(uintptr_t)factors[i].name);
        nissl__free((void *)(uintptr_t)factors[i].unit);
        nissl__free((void *)(uintptr_t)factors[i].levels);
        nissl__free((void *)(uintptr_t)factors[i].level);
        nissl__free((void *)(uintptr_t)factors[i].value);
    }
    nissl__free(factors);
}
