/* Stimulus sets: which source a path means, joining sources, and the public functions. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

#include "formats/file.h"
#include "formats/idx.h"
#include "recording/stimuli.h"

#define MAX_PARTS 16

/* One source with its preprocessing. */
typedef struct part {
    nissl__source source;
    nissl__pipeline pipeline;
    int64_t first; /* index of its first stimulus in the set */
} part;

struct nissl_stimuli {
    char *path;
    part parts[MAX_PARTS];
    int n_parts;
    nissl_type type; /* of what is loaded */
    int64_t n;
    nissl__texts ids;
    nissl_factor *factors;
    int n_factors;
    char *preprocess;
};

nissl_stimuli_options nissl_stimuli_options_default(void)
{
    return (nissl_stimuli_options){0};
}

void nissl__source_free(nissl__source *source)
{
    if (source->type)
        source->type->free(source->state);
    nissl__texts_free(&source->ids);
    nissl__columns_free(&source->columns);
    nissl__free(source->label);
    *source = (nissl__source){0};
}

void nissl_stimuli_free(nissl_stimuli *stimuli)
{
    if (!stimuli)
        return;
    for (int i = 0; i < stimuli->n_parts; i++) {
        nissl__source_free(&stimuli->parts[i].source);
        nissl__pipeline_free(&stimuli->parts[i].pipeline);
    }
    nissl__texts_free(&stimuli->ids);
    nissl__factors_free(stimuli->factors, stimuli->n_factors);
    nissl__free(stimuli->path);
    nissl__free(stimuli->preprocess);
    nissl__free(stimuli);
}

/* ---- opening ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Whether an input is of token ids. */
static bool wants_tokens(const nissl_view *wanted)
{
    return wanted && (wanted->type == NISSL_INT64 || wanted->type == NISSL_INT32);
}

static nissl_status open_source(const nissl__source_request *request, nissl__source *out,
                                nissl_error *err)
{
    struct stat info;
    unsigned char head[8] = {0};
    size_t n_head;
    bool tokens = wants_tokens(request->wanted);
    if (nissl__is_generator(request->path) && !tokens)
        return nissl__source_generator(request, out, err);
    if (stat(request->path, &info) != 0)
        return NISSL__FAIL(
            err, NISSL_ERR_IO, "%s: %s%s", request->path, strerror(errno),
            strchr(request->path, '/') ? "" : " (generators are gratings, noise and shapes)");
    if (tokens && !S_ISREG(info.st_mode))
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: the network takes token ids: an integer npy [n, tokens], or text "
                           "with one stimulus a line",
                           request->path);
    if (S_ISDIR(info.st_mode))
        return nissl__source_folder(request, out, err);
    if (!S_ISREG(info.st_mode))
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: neither a file nor a folder", request->path);
    FILE *file = fopen(request->path, "rbe");
    if (!file)
        return NISSL__FAIL(err, NISSL_ERR_IO, "%s: %s", request->path, strerror(errno));
    n_head = fread(head, 1, sizeof head, file);
    fclose(file);
    if (tokens)
        return nissl__source_tokens(request, n_head >= 6 && memcmp(head, "\x93NUMPY", 6) == 0, out,
                                    err);
    /* By content, then by name where content says little. */
    if (n_head >= 6 && memcmp(head, "\x93NUMPY", 6) == 0)
        return nissl__source_npy(request, out, err);
    if (n_head >= 3 && (memcmp(head, "\xff\xd8\xff", 3) == 0 || memcmp(head, "\x89PN", 3) == 0))
        return nissl__source_folder(request, out, err);
    if (ends_with(request->path, ".bin"))
        return nissl__source_cifar(request, out, err);
    if (nissl__idx_named(request->path) ||
        (n_head >= 4 && head[0] == 0 && head[1] == 0 && head[2] >= 8) ||
        (n_head >= 2 && head[0] == 0x1f && head[1] == 0x8b))
        return nissl__source_idx(request, out, err);
    if (ends_with(request->path, ".npy"))
        return nissl__source_npy(request, out, err);
    if (n_head == 0)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: an empty file", request->path);
    if (memchr(head, 0, n_head))
        return NISSL__FAIL(
            err, NISSL_ERR_FORMAT,
            "%s: none of npy, IDX, CIFAR-10 (.bin), JPEG, PNG and CSV; it begins with the bytes "
            "%02x %02x %02x %02x",
            request->path, head[0], head[1], head[2], head[3]);
    return nissl__source_csv(request, out, err);
}

/* The preprocessing given: text, a file, or preprocess.json beside the data. *found says whether
 * there is one. */
static nissl_status read_preprocess(const char *given, const char *path, nissl__preprocess *out,
                                    bool *found, nissl_error *err)
{
    nissl__mapping file = {0};
    char *beside = NULL;
    struct stat info;
    nissl_status status;
    *found = false;
    if (given) {
        const char *text = given + strspn(given, " \t\r\n");
        if (*text == '{') {
            status = nissl__preprocess_parse("preprocessing", text, strlen(text), out, err);
            *found = status == NISSL_OK;
            return status;
        }
    } else {
        if (nissl__is_generator(path))
            return NISSL_OK;
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            beside = nissl__format("%s/preprocess.json", path);
        else
            beside =
                nissl__format("%.*spreprocess.json", (int)(nissl__file_name(path) - path), path);
        if (!beside)
            return NISSL__NO_MEMORY(err, strlen(path) + 20);
        if (stat(beside, &info) != 0) {
            nissl__free(beside);
            return NISSL_OK;
        }
        given = beside;
    }
    status = nissl__map_file(given, &file, err);
    if (status == NISSL_OK)
        status = nissl__preprocess_parse(given, (const char *)file.data, file.size, out, err);
    *found = status == NISSL_OK;
    nissl__unmap_file(&file);
    nissl__free(beside);
    return status;
}

/* Opens one part of the path, up to limit items. */
static nissl_status open_part(nissl_context *ctx, const char *path,
                              const nissl_stimuli_options *opt, int64_t limit, part *out,
                              nissl_error *err)
{
    nissl__source_request request = {.ctx = ctx,
                                     .path = path,
                                     .labels = nissl__is_generator(path) ? NULL : opt->labels,
                                     .wanted = opt->input_shape,
                                     .limit = limit,
                                     .budget = nissl__memory_limit(ctx)};
    nissl__preprocess preprocess = {0};
    bool found = false;
    int64_t bad_item = -1;
    nissl_status status;
    out->source.label = nissl__strdup(path);
    if (!out->source.label)
        return NISSL__NO_MEMORY(err, strlen(path) + 1);
    if ((status = open_source(&request, &out->source, err)) != NISSL_OK ||
        (status = read_preprocess(opt->preprocess, path, &preprocess, &found, err)) != NISSL_OK)
        return status;
    /* Steps in prose that lie beside an array tell how it was made, not what is left to do. */
    if (!opt->preprocess && preprocess.prose && !out->source.form.image)
        found = false;
    if (!opt->preprocess && out->source.form.tokens) /* of other files in that folder */
        found = false;
    status = nissl__pipeline_new(path, &out->source.form, out->source.sizes, out->source.n,
                                 found ? &preprocess : NULL, opt->input_shape, request.budget,
                                 &out->pipeline, &bad_item, err);
    if (status != NISSL_OK && bad_item >= 0)
        nissl__error_prefix(err, "%s", nissl__texts_at(&out->source.ids, bad_item));
    nissl__preprocess_free(&preprocess);
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Are ids of different parts equal anywhere? */
static nissl_status ids_collide(const nissl_stimuli *set, bool *out, nissl_error *err)
{
    const char **sorted = nissl__alloc((size_t)set->n, sizeof *sorted);
    int64_t n = 0;
    if (!sorted)
        return NISSL__NO_MEMORY(err, (size_t)set->n * sizeof *sorted);
    for (int p = 0; p < set->n_parts; p++)
        for (int64_t i = 0; i < set->parts[p].source.n; i++)
            sorted[n++] = nissl__texts_at(&set->parts[p].source.ids, i);
    qsort(sorted, (size_t)n, sizeof *sorted, by_text);
    *out = false;
    for (int64_t i = 1; i < n; i++)
        *out = *out || strcmp(sorted[i], sorted[i - 1]) == 0;
    nissl__free(sorted);
    return NISSL_OK;
}

static nissl_status join_ids(nissl_stimuli *set, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    bool collide = false;
    if (set->n_parts == 1) {
        set->ids = set->parts[0].source.ids;
        set->parts[0].source.ids = (nissl__texts){0};
        return NISSL_OK;
    }
    if ((status = ids_collide(set, &collide, err)) != NISSL_OK)
        return status;
    for (int p = 0; p < set->n_parts; p++)
        for (int64_t i = 0; i < set->parts[p].source.n && status == NISSL_OK; i++) {
            const char *id = nissl__texts_at(&set->parts[p].source.ids, i);
            char *numbered = collide ? nissl__format("%d/%s", p + 1, id) : NULL;
            if (collide && !numbered)
                return NISSL__NO_MEMORY(err, strlen(id) + 8);
            status = nissl__texts_add(&set->ids, numbered ? numbered : id, err);
            nissl__free(numbered);
        }
    return status;
}

static nissl__column *find_column(const nissl__columns *columns, const char *name)
{
    for (int i = 0; i < columns->n; i++)
        if (strcmp(columns->items[i].name, name) == 0)
            return &columns->items[i];
    return NULL;
}

/* A cell of one column into another of the same name, as text where one of them is text. */
static nissl_status copy_cell(const nissl__column *from, int64_t from_row, nissl__column *to,
                              int64_t row, nissl_error *err)
{
    char text[32];
    if (from->numeric && to->numeric) {
        to->value[row] = from->value[from_row];
        return NISSL_OK;
    }
    if (!from->numeric)
        return from->code[from_row] < 0
                   ? NISSL_OK
                   : nissl__column_set_text(
                         to, row, nissl__texts_at(&from->texts, from->code[from_row]), err);
    if (isnan(from->value[from_row]))
        return NISSL_OK;
    nissl__number_text(from->value[from_row], text);
    return nissl__column_set_text(to, row, text, err);
}

/* Columns of equal names are one column; a column is numeric only if it is so in every part that
 * has it. A joined set gets a first factor "source". */
static nissl_status join_columns(const nissl_stimuli *set, nissl__columns *out, nissl_error *err)
{
    nissl_status status;
    nissl__column *column;
    out->n_rows = set->n;
    if ((status = nissl__columns_add(out, "source", "", false, &column, err)) != NISSL_OK)
        return status;
    for (int p = 0; p < set->n_parts; p++) {
        const part *from = &set->parts[p];
        for (int64_t i = 0; i < from->source.n; i++)
            if ((status = nissl__column_set_text(column, from->first + i, from->source.label,
                                                 err)) != NISSL_OK)
                return status;
    }
    for (int p = 0; p < set->n_parts; p++)
        for (int c = 0; c < set->parts[p].source.columns.n; c++) {
            const nissl__column *first = &set->parts[p].source.columns.items[c];
            bool numeric = true;
            if (find_column(out, first->name))
                continue;
            for (int q = p; q < set->n_parts; q++) {
                const nissl__column *other =
                    find_column(&set->parts[q].source.columns, first->name);
                numeric = numeric && (!other || other->numeric);
            }
            if ((status = nissl__columns_add(out, first->name, first->unit, numeric, &column,
                                             err)) != NISSL_OK)
                return status;
            for (int q = p; q < set->n_parts; q++) {
                const part *from = &set->parts[q];
                const nissl__column *other = find_column(&from->source.columns, first->name);
                for (int64_t i = 0; other && i < from->source.n; i++)
                    if ((status = copy_cell(other, i, column, from->first + i, err)) != NISSL_OK)
                        return status;
            }
        }
    return NISSL_OK;
}

static nissl_status make_factors(nissl_stimuli *set, nissl_error *err)
{
    nissl__columns joined = {0};
    nissl_status status = NISSL_OK;
    const nissl__columns *columns = &set->parts[0].source.columns;
    if (set->n_parts > 1) {
        status = join_columns(set, &joined, err);
        columns = &joined;
    }
    if (status == NISSL_OK)
        status = nissl__factors_new(columns, &set->factors, err);
    if (status == NISSL_OK)
        set->n_factors = columns->n;
    nissl__columns_free(&joined);
    for (int p = 0; p < set->n_parts; p++)
        nissl__columns_free(&set->parts[p].source.columns);
    return status;
}

/* One preprocessing as it is; several as {"parts": [...]}. */
static nissl_status describe(nissl_stimuli *set, nissl_error *err)
{
    nissl_status status =
        nissl__preprocess_json(&set->parts[0].pipeline.steps, &set->preprocess, err);
    bool same = true;
    json_t *list;
    if (status != NISSL_OK || set->n_parts == 1)
        return status;
    list = json_array();
    for (int p = 0; p < set->n_parts && status == NISSL_OK; p++) {
        char *text = NULL;
        status = nissl__preprocess_json(&set->parts[p].pipeline.steps, &text, err);
        if (status != NISSL_OK)
            break;
        same = same && strcmp(text, set->preprocess) == 0;
        json_array_append_new(list, json_loads(text, 0, NULL));
        nissl__free(text);
    }
    if (status == NISSL_OK && !same) {
        json_t *root = json_pack("{s:O}", "parts", list);
        char *text = root ? json_dumps(root, JSON_REAL_PRECISION(9)) : NULL;
        nissl__free(set->preprocess);
        set->preprocess = text ? nissl__strdup(text) : NULL;
        if (!set->preprocess)
            status = NISSL__NO_MEMORY(err, 256);
        free(text);
        json_decref(root);
    }
    json_decref(list);
    return status;
}

static nissl_status check_same_shape(const nissl_stimuli *set, nissl_error *err)
{
    const nissl__pipeline *a = &set->parts[0].pipeline;
    for (int p = 1; p < set->n_parts; p++) {
        const nissl__pipeline *b = &set->parts[p].pipeline;
        bool same = a->rank == b->rank;
        for (int i = 0; same && i < a->rank; i++)
            same = a->shape[i] == b->shape[i];
        if (!same)
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "%s and %s give stimuli of different shapes (%d axes, first %lld; "
                               "%d axes, first %lld)",
                               set->parts[0].source.label, set->parts[p].source.label, a->rank,
                               (long long)(a->rank ? a->shape[0] : 0), b->rank,
                               (long long)(b->rank ? b->shape[0] : 0));
    }
    return NISSL_OK;
}

/* Splits at "+" where every piece is a generator or exists; a path that exists as a whole is one
 * piece. */
static nissl_status open_parts(nissl_context *ctx, nissl_stimuli *set,
                               const nissl_stimuli_options *opt, nissl_error *err)
{
    struct stat info;
    int64_t limit = opt->limit ? opt->limit : INT64_MAX;
    bool whole = !nissl__is_generator(set->path) && stat(set->path, &info) == 0;
    const char *at = set->path;
    nissl_status status = NISSL_OK;
    for (bool more = true; more && status == NISSL_OK;) {
        const char *plus = whole ? NULL : strchr(at, '+');
        char *piece = plus ? nissl__format("%.*s", (int)(plus - at), at) : nissl__strdup(at);
        if (!piece)
            return NISSL__NO_MEMORY(err, strlen(at) + 1);
        more = plus != NULL;
        if (set->n_parts == MAX_PARTS) {
            status = NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: more than %d sources joined", set->path,
                                 MAX_PARTS);
        } else if (set->n < limit) {
            part *next = &set->parts[set->n_parts++];
            next->first = set->n;
            status = open_part(ctx, piece, opt, limit - set->n, next, err);
            set->n += next->source.n;
        }
        at = plus ? plus + 1 : at;
        nissl__free(piece);
    }
    return status;
}

nissl_status nissl_stimuli_open(nissl_context *ctx, const char *path,
                                const nissl_stimuli_options *opt, nissl_stimuli **out,
                                nissl_error *err)
{
    nissl_stimuli_options options = opt ? *opt : nissl_stimuli_options_default();
    nissl_stimuli *set = NULL;
    nissl_status status;
    if (!path || !*path)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "no stimuli were named");
    if (options.limit < 0)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "limit = %lld is below 0",
                           (long long)options.limit);
    if (options.input_shape &&
        (options.input_shape->rank < 1 || options.input_shape->rank > NISSL_MAX_RANK))
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "the input shape has %d axes, 1 to %d are possible",
                           options.input_shape->rank, NISSL_MAX_RANK);
    set = nissl__alloc(1, sizeof *set);
    if (!set || !(set->path = nissl__strdup(path))) {
        nissl__free(set);
        return NISSL__NO_MEMORY(err, sizeof *set);
    }
    set->type = wants_tokens(options.input_shape) ? options.input_shape->type : NISSL_FLOAT32;
    if ((status = open_parts(ctx, set, &options, err)) == NISSL_OK &&
        (status = check_same_shape(set, err)) == NISSL_OK &&
        (status = join_ids(set, err)) == NISSL_OK &&
        (status = make_factors(set, err)) == NISSL_OK && (status = describe(set, err)) == NISSL_OK)
        *out = set;
    else
        nissl_stimuli_free(set);
    return status;
}

/* ---- what a set says of itself ---- */

int64_t nissl_stimuli_count(const nissl_stimuli *stimuli)
{
    return stimuli->n;
}

const char *nissl_stimuli_source(const nissl_stimuli *stimuli)
{
    return stimuli->path;
}

const char *nissl_stimuli_id(const nissl_stimuli *stimuli, int64_t index)
{
    return index >= 0 && index < stimuli->n ? nissl__texts_at(&stimuli->ids, index) : NULL;
}

int nissl_stimuli_n_factors(const nissl_stimuli *stimuli)
{
    return stimuli->n_factors;
}

const nissl_factor *nissl_stimuli_factor(const nissl_stimuli *stimuli, int index)
{
    return index >= 0 && index < stimuli->n_factors ? &stimuli->factors[index] : NULL;
}

int nissl_stimuli_shape(const nissl_stimuli *stimuli, int64_t shape[NISSL_MAX_RANK])
{
    const nissl__pipeline *pipeline = &stimuli->parts[0].pipeline;
    memcpy(shape, pipeline->shape, sizeof pipeline->shape);
    return pipeline->rank;
}

nissl_type nissl_stimuli_type(const nissl_stimuli *stimuli)
{
    return stimuli->type;
}

const char *nissl_stimuli_preprocess(const nissl_stimuli *stimuli)
{
    return stimuli->preprocess;
}

static void hash_text(nissl__hash *hash, const char *text)
{
    nissl__hash_add(hash, text, strlen(text) + 1);
}

nissl_status nissl_stimuli_hash(nissl_context *ctx, const nissl_stimuli *stimuli, uint64_t *out,
                                nissl_error *err)
{
    nissl__hash hash;
    nissl_status status;
    nissl__hash_begin(&hash);
    for (int64_t i = 0; i < stimuli->n; i++)
        hash_text(&hash, nissl__texts_at(&stimuli->ids, i));
    for (int f = 0; f < stimuli->n_factors; f++) {
        const nissl_factor *factor = &stimuli->factors[f];
        hash_text(&hash, factor->name);
        hash_text(&hash, factor->unit);
        for (int i = 0; i < factor->n_levels; i++)
            hash_text(&hash, factor->levels[i]);
        if (factor->level)
            nissl__hash_add(&hash, factor->level, (size_t)stimuli->n * sizeof *factor->level);
        if (factor->value)
            nissl__hash_add(&hash, factor->value, (size_t)stimuli->n * sizeof *factor->value);
    }
    hash_text(&hash, stimuli->preprocess);
    for (int p = 0; p < stimuli->n_parts; p++) {
        const nissl__source *source = &stimuli->parts[p].source;
        if (ctx && nissl_context_cancelled(ctx))
            return NISSL__FAIL(err, NISSL_ERR_CANCELLED, "cancelled");
        if ((status = source->type->hash(source, &hash, err)) != NISSL_OK)
            return status;
    }
    *out = nissl__hash_end(&hash);
    return NISSL_OK;
}

/* ---- loading ---- */

static const part *part_of(const nissl_stimuli *stimuli, int64_t index)
{
    int p = stimuli->n_parts - 1;
    while (stimuli->parts[p].first > index)
        p--;
    return &stimuli->parts[p];
}

static nissl_status check_range(const nissl_stimuli *stimuli, int64_t first, int64_t n,
                                nissl_error *err)
{
    if (first < 0 || n < 0 || first > stimuli->n || n > stimuli->n - first)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "stimuli %lld .. %lld are outside 0 .. %lld",
                           (long long)first, (long long)(first + n - 1), (long long)stimuli->n - 1);
    return NISSL_OK;
}

int64_t nissl_stimuli_length(const nissl_stimuli *stimuli, int64_t index)
{
    if (index < 0 || index >= stimuli->n)
        return 0;
    const part *p = part_of(stimuli, index);
    return p->source.lengths      ? p->source.lengths[index - p->first]
           : p->pipeline.rank > 0 ? p->pipeline.shape[0]
                                  : 1;
}

/* Ids of one stimulus and padding to count, as int32 or int64. */
static void write_ids(const nissl__item *item, nissl_type type, int64_t count, void *out)
{
    int64_t n = item->form.shape[0];
    for (int64_t i = 0; i < count; i++) {
        int32_t id = i < n ? item->ids[i] : NISSL__PADDING;
        if (type == NISSL_INT64)
            ((int64_t *)out)[i] = id;
        else
            ((int32_t *)out)[i] = id;
    }
}

nissl_status nissl_stimuli_load(const nissl_stimuli *stimuli, int64_t first, int64_t n, void *out,
                                nissl_error *err)
{
    nissl_status status = check_range(stimuli, first, n, err);
    int64_t count = 1, size = (int64_t)nissl_type_size(stimuli->type);
    for (int i = 0; i < stimuli->parts[0].pipeline.rank; i++)
        count *= stimuli->parts[0].pipeline.shape[i];
    for (int64_t i = first; i < first + n && status == NISSL_OK; i++) {
        const part *p = part_of(stimuli, i);
        nissl__item item = {0};
        status = p->source.type->load(&p->source, i - p->first, &item, err);
        if (status == NISSL_OK) {
            void *to = (char *)out + (i - first) * count * size;
            if (item.form.tokens)
                write_ids(&item, stimuli->type, count, to);
            else
                status = nissl__pipeline_apply(&p->pipeline, &item, to, err);
            if (status != NISSL_OK)
                nissl__error_prefix(err, "%s", nissl__texts_at(&stimuli->ids, i));
        }
        nissl__item_free(&item);
    }
    return status;
}

nissl_status nissl_stimuli_picture(const nissl_stimuli *stimuli, int64_t index, int max_side,
                                   uint8_t **rgb, int *width, int *height, nissl_error *err)
{
    nissl_status status = check_range(stimuli, index, 1, err);
    nissl__item item = {0};
    if (status != NISSL_OK)
        return status;
    if (max_side < 1 || max_side > 4096)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "max_side = %d is outside 1 .. 4096", max_side);
    const part *p = part_of(stimuli, index);
    status = p->source.type->load(&p->source, index - p->first, &item, err);
    if (status == NISSL_OK) {
        status = nissl__draw_item(&p->pipeline, &item, max_side, rgb, width, height, err);
        if (status != NISSL_OK)
            nissl__error_prefix(err, "%s", nissl__texts_at(&stimuli->ids, index));
    }
    nissl__item_free(&item);
    return status;
}
