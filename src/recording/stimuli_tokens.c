/*
 * Stimuli of token ids: integer npy [n, tokens], or text with one stimulus a line. Lengths may
 * differ; the shorter are padded behind with NISSL__PADDING, which no id is. All ids of a set are
 * in memory, four bytes each.
 */
#include "formats/file.h"
#include "formats/npy.h"
#include "recording/stimuli.h"

typedef struct tokens_state {
    int32_t *ids;    /* every stimulus' ids, one after the other */
    int64_t *start;  /* [n] where a stimulus begins in ids */
    int64_t *length; /* [n] */
    int64_t n, n_ids, capacity, id_capacity;
    uint64_t budget;
} tokens_state;

static void tokens_free(void *opaque)
{
    tokens_state *state = opaque;
    if (!state)
        return;
    nissl__free(state->ids);
    nissl__free(state->start);
    nissl__free(state->length);
    nissl__free(state);
}

static nissl_status tokens_load(const nissl__source *source, int64_t index, nissl__item *out,
                                nissl_error *err)
{
    const tokens_state *state = source->state;
    nissl__item item = {.form = source->form};
    (void)err;
    item.ids = state->ids + state->start[index];
    item.form.shape[0] = state->length[index];
    *out = item;
    return NISSL_OK;
}

static nissl_status tokens_hash(const nissl__source *source, nissl__hash *hash, nissl_error *err)
{
    const tokens_state *state = source->state;
    (void)err;
    nissl__hash_add(hash, state->length, (size_t)source->n * sizeof *state->length);
    nissl__hash_add(hash, state->ids, (size_t)state->n_ids * sizeof *state->ids);
    return NISSL_OK;
}

static const nissl__source_type tokens_type = {"tokens", tokens_load, tokens_hash, tokens_free};

/* ---- collecting ---- */

static nissl_status reserve(tokens_state *s, void **list, int64_t n, int64_t *capacity, size_t size,
                            nissl_error *err)
{
    if (n < *capacity)
        return NISSL_OK;
    int64_t bigger = 2 * *capacity + 1024;
    if ((uint64_t)bigger * size > s->budget)
        return NISSL__FAIL(err, NISSL_ERR_LIMIT, "%lld token ids exceed the budget of %llu bytes",
                           (long long)s->n_ids, (unsigned long long)s->budget);
    void *memory = nissl__resize(*list, (size_t)n, (size_t)bigger, size);
    if (!memory)
        return NISSL__NO_MEMORY(err, (size_t)bigger * size);
    *list = memory;
    *capacity = bigger;
    return NISSL_OK;
}

static nissl_status add_id(tokens_state *s, int64_t id, nissl_error *err)
{
    void *list = s->ids;
    nissl_status status = reserve(s, &list, s->n_ids, &s->id_capacity, sizeof *s->ids, err);
    s->ids = list;
    if (status == NISSL_OK)
        s->ids[s->n_ids++] = (int32_t)id;
    return status;
}

/* The ids from start to the last one added are a stimulus. */
static nissl_status end_stimulus(tokens_state *s, int64_t start, nissl_error *err)
{
    void *list = s->start;
    int64_t capacity = s->capacity;
    nissl_status status = reserve(s, &list, s->n, &capacity, sizeof *s->start, err);
    s->start = list;
    if (status != NISSL_OK)
        return status;
    list = s->length;
    status = reserve(s, &list, s->n, &s->capacity, sizeof *s->length, err);
    s->length = list;
    if (status != NISSL_OK)
        return status;
    s->start[s->n] = start;
    s->length[s->n++] = s->n_ids - start;
    return NISSL_OK;
}

/* ---- text ---- */

static bool is_gap(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\r';
}

/* The ids of one line; a line of gaps alone is none. */
static nissl_status read_line(tokens_state *s, const char *path, int64_t number, const char *at,
                              const char *end, nissl_error *err)
{
    int64_t start = s->n_ids;
    nissl_status status = NISSL_OK;
    while (status == NISSL_OK) {
        int64_t id = 0;
        while (at < end && is_gap(*at))
            at++;
        if (at == end)
            break;
        const char *word = at;
        while (at < end && *at >= '0' && *at <= '9' && id <= INT32_MAX)
            id = 10 * id + (*at++ - '0');
        if (id > INT32_MAX || (at < end && !is_gap(*at))) {
            while (at < end && !is_gap(*at))
                at++;
            return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                               "%s: line %lld: \"%.*s\" is no token id of 0 .. %d", path,
                               (long long)number, (int)NISSL__MIN(at - word, 40), word, INT32_MAX);
        }
        status = add_id(s, id, err);
    }
    return status == NISSL_OK && s->n_ids > start ? end_stimulus(s, start, err) : status;
}

static nissl_status read_text(tokens_state *s, const nissl__source_request *request,
                              int64_t *n_available, nissl_error *err)
{
    nissl__mapping file = {0};
    nissl_status status = nissl__map_file(request->path, &file, err);
    const char *at = (const char *)file.data, *end = at ? at + file.size : NULL;
    for (int64_t number = 1; status == NISSL_OK && at < end && s->n < request->limit; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        status = read_line(s, request->path, number, at, stop ? stop : end, err);
        at = stop ? stop + 1 : end;
    }
    *n_available = s->n;
    nissl__unmap_file(&file);
    return status;
}

/* ---- npy ---- */

static int64_t integer_at(const nissl_view *view, int64_t offset)
{
    switch (view->type) {
    case NISSL_INT8: return ((const int8_t *)view->data)[offset];
    case NISSL_UINT8: return ((const uint8_t *)view->data)[offset];
    case NISSL_INT16: return ((const int16_t *)view->data)[offset];
    case NISSL_UINT16: return ((const uint16_t *)view->data)[offset];
    case NISSL_INT32: return ((const int32_t *)view->data)[offset];
    case NISSL_UINT32: return ((const uint32_t *)view->data)[offset];
    case NISSL_INT64: return ((const int64_t *)view->data)[offset];
    default: return (int64_t)NISSL__MIN(((const uint64_t *)view->data)[offset], INT64_MAX);
    }
}

/* One row: ids, then -1 to its end where it is shorter than the others. */
static nissl_status read_row(tokens_state *s, const char *path, const nissl_view *view, int64_t row,
                             nissl_error *err)
{
    int64_t n = view->shape[1], start = s->n_ids;
    nissl_status status = NISSL_OK;
    while (n > 0 &&
           integer_at(view, row * view->stride[0] + (n - 1) * view->stride[1]) == NISSL__PADDING)
        n--;
    if (n == 0)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s: stimulus %lld has 0 tokens", path,
                           (long long)row);
    for (int64_t i = 0; i < n && status == NISSL_OK; i++) {
        int64_t id = integer_at(view, row * view->stride[0] + i * view->stride[1]);
        if (id < 0 || id > INT32_MAX)
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "%s: token %lld of stimulus %lld is %lld, outside 0 .. %d", path,
                               (long long)i, (long long)row, (long long)id, INT32_MAX);
        status = add_id(s, id, err);
    }
    return status == NISSL_OK ? end_stimulus(s, start, err) : status;
}

static nissl_status read_npy(tokens_state *s, const nissl__source_request *request,
                             int64_t *n_available, nissl_error *err)
{
    nissl__npy npy = {0};
    nissl_status status = nissl__npy_open(request->path, request->budget, &npy, err);
    const nissl_view *view = &npy.view;
    if (status == NISSL_OK &&
        (view->rank != 2 || view->type < NISSL_INT8 || view->type > NISSL_UINT64))
        status = NISSL__FAIL(err, NISSL_ERR_TYPE,
                             "%s: %s of %d axes; token ids are integers [n, tokens]", request->path,
                             nissl_type_name(view->type), view->rank);
    if (status == NISSL_OK)
        *n_available = view->shape[0];
    for (int64_t i = 0; status == NISSL_OK && i < NISSL__MIN(view->shape[0], request->limit); i++)
        status = read_row(s, request->path, view, i, err);
    nissl__npy_close(&npy);
    return status;
}

nissl_status nissl__source_tokens(const nissl__source_request *request, bool npy,
                                  nissl__source *out, nissl_error *err)
{
    tokens_state *state = nissl__alloc(1, sizeof *state);
    nissl_status status;
    if (!state)
        return NISSL__NO_MEMORY(err, sizeof *state);
    state->budget = request->budget;
    out->type = &tokens_type;
    out->state = state;
    status = npy ? read_npy(state, request, &out->n_available, err)
                 : read_text(state, request, &out->n_available, err);
    if (status != NISSL_OK)
        return status;
    if (state->n == 0)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s: 0 stimuli of token ids", request->path);
    out->n = state->n;
    out->lengths = state->length;
    out->form = (nissl__form){.tokens = true, .rank = 1};
    for (int64_t i = 0; i < state->n; i++)
        out->form.shape[0] = NISSL__MAX(out->form.shape[0], state->length[i]);
    out->columns.n_rows = out->n;
    if ((status = nissl__source_number(out, err)) != NISSL_OK || !request->labels)
        return status;
    return nissl__source_label(out, request->labels, request->budget, err);
}
