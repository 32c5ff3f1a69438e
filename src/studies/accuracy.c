/* Top-1 and top-5 accuracy of a classifier on labelled stimuli. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "formats/csv.h"
#include "formats/file.h"
#include "foundation/foundation.h"
#include "nissl/verify.h"
#include "recording/plan.h"
#include "studies/summary.h"

#define TOP 5

/* A name of a class. */
typedef struct class_name {
    const char *text; /* in the class file's cells */
    int64_t index;
} class_name;

/* A stimulus of a known class and what the network made of it. */
typedef struct outcome {
    int64_t class_index, predicted;
    bool top1, top5;
} outcome;

typedef struct study {
    nissl_context *ctx;
    const nissl_stimuli *stimuli;
    const nissl_accuracy_options *opt;
    nissl__csv file;
    class_name *names; /* sorted by text */
    size_t n_names;
    int64_t n_outputs;
    int64_t *class_of; /* [n_stimuli] output index, -1 = unknown */
    outcome *outcomes; /* [n_labelled] */
    int64_t n_labelled;
    const char **label; /* [n_outputs] a name for the table, NULL = none */
} study;

nissl_accuracy_options nissl_accuracy_options_default(void)
{
    return (nissl_accuracy_options){0};
}

/* ---- the class file ---- */

/* Tabs become commas and every cell is quoted, so that one reader serves both. */
static nissl_status parse_tabs(const char *path, const nissl__mapping *bytes, uint64_t budget,
                               nissl__csv *out, nissl_error *err)
{
    char *text = nissl__alloc(bytes->size * 3 + 4, 1);
    size_t n = 0;
    bool inside = false;
    nissl_status status;
    if (!text)
        return NISSL__NO_MEMORY(err, bytes->size * 3);
    for (size_t i = 0; i < bytes->size; i++) {
        char c = (char)bytes->data[i];
        if (c == '\r' && i + 1 < bytes->size && bytes->data[i + 1] == '\n')
            continue;
        if (!inside && c != '\n') {
            text[n++] = '"';
            inside = true;
        }
        if (c == '\n') {
            if (inside)
                text[n++] = '"';
            inside = false;
        } else if (c == '"') {
            text[n++] = '"';
        }
        if (c == '\t') {
            memcpy(text + n, "\",\"", 3);
            n += 3;
        } else {
            text[n++] = c;
        }
    }
    if (inside)
        text[n++] = '"';
    status = nissl__csv_parse(path, text, n, budget, out, err);
    nissl__free(text);
    return status;
}

static nissl_status read_cells(study *s, nissl_error *err)
{
    nissl__mapping bytes = {0};
    uint64_t budget = nissl__memory_limit(s->ctx);
    const unsigned char *line_end, *tab;
    nissl_status status = nissl__map_file(s->opt->classes, &bytes, err);
    if (status != NISSL_OK)
        return status;
    if (bytes.size > budget / 3) {
        status =
            NISSL__FAIL(err, NISSL_ERR_LIMIT, "%s: %zu bytes exceed a third of the budget %" PRIu64,
                        s->opt->classes, bytes.size, budget);
    } else {
        line_end = memchr(bytes.data, '\n', bytes.size);
        tab = memchr(bytes.data, '\t', line_end ? (size_t)(line_end - bytes.data) : bytes.size);
        status =
            tab ? parse_tabs(s->opt->classes, &bytes, budget, &s->file, err)
                : nissl__csv_parse(s->opt->classes, bytes.data, bytes.size, budget, &s->file, err);
    }
    nissl__unmap_file(&bytes);
    return status;
}

static bool whole_number(const char *text, int64_t *out)
{
    double value;
    if (!nissl__parse_number(text, &value) || value != floor(value) || fabs(value) > 1e15)
        return false;
    *out = (int64_t)value;
    return true;
}

/* The column of output indices, -1 if there is none. */
static int64_t index_column(const nissl__csv *file, int64_t first_row)
{
    int64_t ignored;
    for (int64_t c = 0; first_row > 0 && c < file->n_columns; c++)
        if (strcmp(nissl__csv_cell(file, 0, c), "index") == 0 ||
            strcmp(nissl__csv_cell(file, 0, c), "output") == 0)
            return c;
    for (int64_t c = 0; c < file->n_columns; c++) {
        bool all = file->n_rows > first_row;
        for (int64_t r = first_row; all && r < file->n_rows; r++)
            all = whole_number(nissl__csv_cell(file, r, c), &ignored);
        if (all)
            return c;
    }
    return -1;
}

static int by_text(const void *a, const void *b)
{
    const class_name *x = a, *y = b;
    return strcmp(x->text, y->text);
}

static nissl_status read_classes(study *s, nissl_error *err)
{
    int64_t first, column, n = 0;
    nissl_status status;
    if (!s->opt->classes)
        return NISSL_OK;
    if ((status = read_cells(s, err)) != NISSL_OK)
        return status;
    first = s->file.n_rows > 0 && nissl__csv_has_header(&s->file);
    column = index_column(&s->file, first);
    if (column < 0 || s->file.n_columns < 2)
        return NISSL__FAIL(err, NISSL_ERR_FORMAT,
                           "%s: needs a column of whole numbers, the output indices, and a column "
                           "of names; it has %" PRId64 " columns and %" PRId64 " rows",
                           s->opt->classes, s->file.n_columns, s->file.n_rows);
    s->names = nissl__alloc((size_t)(s->file.n_rows * s->file.n_columns), sizeof *s->names);
    if (!s->names)
        return NISSL__NO_MEMORY(err, (size_t)s->file.n_rows * sizeof *s->names);
    for (int64_t r = first; r < s->file.n_rows; r++) {
        int64_t index;
        if (!whole_number(nissl__csv_cell(&s->file, r, column), &index))
            return NISSL__FAIL(err, NISSL_ERR_FORMAT, "%s: line %" PRId64 ": '%s' is no index",
                               s->opt->classes, s->file.line[r],
                               nissl__csv_cell(&s->file, r, column));
        index += s->opt->class_offset;
        if (index < 0 || index >= s->n_outputs)
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "%s: line %" PRId64 ": output %" PRId64
                               " is outside the network's 0 .. %" PRId64,
                               s->opt->classes, s->file.line[r], index, s->n_outputs - 1);
        for (int64_t c = 0; c < s->file.n_columns; c++) {
            const char *text = nissl__csv_cell(&s->file, r, c);
            if (c == column || !*text)
                continue;
            s->names[n++] = (class_name){text, index};
            s->label[index] = text; /* the last column reads best: index, id, name */
        }
    }
    s->n_names = (size_t)n;
    qsort(s->names, s->n_names, sizeof *s->names, by_text);
    return NISSL_OK;
}

static int64_t class_named(const study *s, const char *text)
{
    class_name key = {text, 0};
    const class_name *found =
        s->n_names ? bsearch(&key, s->names, s->n_names, sizeof key, by_text) : NULL;
    return found ? found->index : -1;
}

/* ---- the class of each stimulus ---- */

/* The class one of whose names begins the file's name, up to "_", "-" or ".". */
static int64_t class_of_id(const study *s, const char *id)
{
    char name[256];
    const char *file = nissl__file_name(id);
    for (size_t i = 1; file[i] && i < sizeof name; i++) {
        int64_t index;
        if (!strchr("_-.", file[i]))
            continue;
        memcpy(name, file, i);
        name[i] = '\0';
        if ((index = class_named(s, name)) >= 0)
            return index;
    }
    return -1;
}

static const nissl_factor *label_factor(const nissl_stimuli *stimuli)
{
    for (int i = 0; i < nissl_stimuli_n_factors(stimuli); i++) {
        const nissl_factor *factor = nissl_stimuli_factor(stimuli, i);
        if (strcmp(factor->name, "label") == 0 && factor->n_levels > 0)
            return factor;
    }
    return NULL;
}

/* Output index per level; -1 = the class file does not know it. */
static nissl_status classes_of_levels(study *s, const nissl_factor *label, int64_t *out,
                                      nissl_error *err)
{
    bool numbers = true;
    for (int i = 0; i < label->n_levels; i++)
        numbers = numbers && whole_number(label->levels[i], &out[i]);
    if (!s->opt->classes && !numbers &&
        label->n_levels != s->n_outputs - NISSL__MAX(s->opt->class_offset, 0))
        return NISSL__FAIL(err, NISSL_ERR_NAME,
                           "%d labels such as '%s' do not say which of %" PRId64
                           " outputs they are; a class file says so",
                           label->n_levels, label->levels[0], s->n_outputs);
    for (int i = 0; i < label->n_levels; i++) {
        int64_t named = class_named(s, label->levels[i]);
        if (s->opt->classes && (named >= 0 || !numbers)) {
            out[i] = named; /* the offset is in it */
            continue;
        }
        out[i] = (numbers ? out[i] : i) + s->opt->class_offset;
        if (out[i] < 0 || out[i] >= s->n_outputs)
            return NISSL__FAIL(err, NISSL_ERR_RANGE,
                               "label '%s' is output %" PRId64
                               ", outside the network's 0 .. %" PRId64,
                               label->levels[i], out[i], s->n_outputs - 1);
        if (!s->label[out[i]])
            s->label[out[i]] = label->levels[i];
    }
    return NISSL_OK;
}

static nissl_status find_classes(study *s, nissl_error *err)
{
    int64_t n = nissl_stimuli_count(s->stimuli);
    const nissl_factor *label = label_factor(s->stimuli);
    int64_t *of_level = nissl__alloc(label ? (size_t)label->n_levels : 1, sizeof *of_level);
    nissl_status status = NISSL_OK;
    s->class_of = nissl__alloc((size_t)NISSL__MAX(n, 1), sizeof *s->class_of);
    if (!of_level || !s->class_of)
        status = NISSL__NO_MEMORY(err, (size_t)n * sizeof *s->class_of);
    if (status == NISSL_OK && label)
        status = classes_of_levels(s, label, of_level, err);
    for (int64_t i = 0; status == NISSL_OK && i < n; i++) {
        if (label)
            s->class_of[i] = label->level[i] < 0 ? -1 : of_level[label->level[i]];
        else
            s->class_of[i] = class_of_id(s, nissl_stimuli_id(s->stimuli, i));
        s->n_labelled += s->class_of[i] >= 0;
    }
    if (status == NISSL_OK && s->n_labelled == 0)
        status = NISSL__FAIL(err, NISSL_ERR_NAME,
                             s->opt->classes ? "none of %" PRId64
                                               " stimuli has a label or file name that %s knows"
                                             : "none of %" PRId64 " stimuli has a label%s",
                             n, s->opt->classes ? s->opt->classes : "");
    nissl__free(of_level);
    return status;
}

/* ---- running ---- */

/* One micro-batch being loaded. */
typedef struct load {
    const nissl_stimuli *stimuli;
    int64_t first, n;
    size_t size; /* bytes of a stimulus */
    char *out;   /* [batch, size] */
} load;

static nissl_status load_one(void *user, int64_t task, int worker, nissl_error *err)
{
    const load *l = user;
    int64_t from = l->first + NISSL__MIN(task, l->n - 1); /* the tail repeats its last */
    return nissl_stimuli_load(l->stimuli, from, 1, l->out + (size_t)task * l->size, err);
}

/* Where the value of the true class stands among all; ties go to the smaller index. */
static outcome judge(const float *value, int64_t n, int64_t truth)
{
    outcome o = {.class_index = truth};
    int64_t rank = 0;
    for (int64_t i = 0; i < n; i++) {
        rank += value[i] > value[truth] || (value[i] == value[truth] && i < truth);
        if (value[i] > value[o.predicted])
            o.predicted = i;
    }
    o.top1 = rank == 0 && !isnan(value[truth]);
    o.top5 = rank < TOP && !isnan(value[truth]);
    return o;
}

static nissl_status run_batches(study *s, const nissl_program *program, nissl_error *err)
{
    int64_t n = nissl_stimuli_count(s->stimuli), batch = nissl_program_batch(program), done = 0;
    const nissl_site *port = nissl_program_input(program, 0);
    nissl_array input = {0}, output = {0};
    nissl_run *run = NULL;
    nissl__progress progress;
    const int64_t size[2] = {batch, s->n_outputs};
    nissl_status status =
        nissl_array_new(nissl_stimuli_type(s->stimuli), port->rank, port->shape, &input, err);
    if (status == NISSL_OK)
        status = nissl_array_new(NISSL_FLOAT32, 2, size, &output, err);
    if (status == NISSL_OK)
        status = nissl_run_new(program, &run, err);
    nissl__progress_begin(&progress, s->ctx, "classifying", "stimuli", (uint64_t)n);
    for (int64_t first = 0; status == NISSL_OK && first < n; first += batch) {
        load l = {s->stimuli, first, NISSL__MIN(batch, n - first),
                  (size_t)(nissl_array_count(&input) / batch) * nissl_type_size(input.type),
                  input.data};
        nissl_view in = nissl_array_view(&input), out;
        status = nissl__parallel(s->ctx, batch, load_one, &l, err);
        if (status == NISSL_OK)
            status = nissl_run_forward(run, &in, 1, NULL, NULL, err);
        if (status == NISSL_OK)
            status = nissl_run_output(run, 0, &out, err);
        if (status == NISSL_OK)
            status = nissl_view_copy(&out, NISSL_FLOAT32, output.data, err);
        for (int64_t i = 0; status == NISSL_OK && i < l.n; i++)
            if (s->class_of[first + i] >= 0)
                s->outcomes[done++] = judge((const float *)output.data + i * s->n_outputs,
                                            s->n_outputs, s->class_of[first + i]);
        nissl__progress_add(&progress, (uint64_t)l.n, 0);
    }
    nissl__progress_end(&progress);
    nissl_run_free(run);
    nissl_array_free(&input);
    nissl_array_free(&output);
    return status;
}

static nissl_status compile(study *s, const nissl_network *network, nissl_program **out,
                            nissl_error *err)
{
    nissl_program_options opt = nissl_program_options_default();
    int64_t one[NISSL_MAX_RANK], shape[NISSL_MAX_RANK] = {1};
    int rank = nissl_stimuli_shape(s->stimuli, one);
    const nissl_site *output = NULL;
    const char *name = nissl_network_output(network, 0)->name;
    nissl_view input;
    nissl_status status;
    for (int i = 0; i < rank && i + 1 < NISSL_MAX_RANK; i++)
        shape[i + 1] = one[i];
    input = nissl_view_of(NULL, nissl_stimuli_type(s->stimuli),
                          NISSL__MIN(rank + 1, NISSL_MAX_RANK), shape);
    opt.batch = s->opt->batch;
    opt.threads = nissl_context_threads(s->ctx);
    opt.input_shapes = &input;
    opt.n_input_shapes = 1;
    int64_t padded_to;
    if ((status = nissl__check_padding(network, s->stimuli, &padded_to, err)) != NISSL_OK ||
        (status = nissl_program_compile(s->ctx, network, &opt, out, err)) != NISSL_OK)
        return status;
    int64_t at = nissl_program_find_site(*out, name);
    if (at >= 0)
        output = nissl_program_site(*out, (size_t)at);
    s->n_outputs = output ? output->n_units * output->n_positions : 0;
    if (s->n_outputs < 2)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "output '%s' has %" PRId64 " values per stimulus; a classifier has at "
                           "least 2",
                           name, s->n_outputs);
    return NISSL_OK;
}

/* ---- results ---- */

static int by_class(const void *a, const void *b)
{
    const outcome *x = a, *y = b;
    if (x->class_index != y->class_index)
        return x->class_index < y->class_index ? -1 : 1;
    return x->predicted < y->predicted ? -1 : x->predicted > y->predicted;
}

/* The wrong output that outcomes [n], sorted by prediction, hold most often; INT64_MIN if none. */
static int64_t most_confused(const outcome *o, int64_t n)
{
    int64_t best = INT64_MIN, best_count = 0, count = 0;
    for (int64_t i = 0; i < n; i++) {
        count = i > 0 && o[i].predicted == o[i - 1].predicted ? count + 1 : 1;
        if (!o[i].top1 && count > best_count) {
            best = o[i].predicted;
            best_count = count;
        }
    }
    return best;
}

static nissl_status make_table(study *s, nissl_table *out, nissl_error *err)
{
    static const char *const columns[][3] = {
        {"output", "1", "index of the output that stands for the class"},
        {"stimuli", "1", "stimuli of the class"},
        {"top1", "1", "of them, those whose largest output is the class"},
        {"top5", "1", "of them, those with the class among the five largest outputs"},
        {"most_confused_with", "1", "the wrong output that was largest most often"}};
    nissl_table table = {0};
    nissl_status status = nissl_table_new(
        "accuracy", "Accuracy by class, of the classes that were shown", &table, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_TEXT, "label", "", "name of the class",
                                        NULL, err);
    for (size_t i = 0; status == NISSL_OK && i < sizeof columns / sizeof *columns; i++)
        status = nissl_table_add_column(&table, NISSL_COLUMN_INTEGER, columns[i][0], columns[i][1],
                                        columns[i][2], NULL, err);
    qsort(s->outcomes, (size_t)s->n_labelled, sizeof *s->outcomes, by_class);
    for (int64_t first = 0, next; status == NISSL_OK && first < s->n_labelled; first = next) {
        int64_t row = table.n_rows, class_index = s->outcomes[first].class_index, top[2] = {0};
        for (next = first; next < s->n_labelled && s->outcomes[next].class_index == class_index;
             next++) {
            top[0] += s->outcomes[next].top1;
            top[1] += s->outcomes[next].top5;
        }
        if ((status = nissl_table_add_rows(&table, 1, err)) != NISSL_OK ||
            (status = nissl_table_set_text(&table, row, 0, s->label[class_index], err)) != NISSL_OK)
            break;
        table.columns[1].integer[row] = class_index;
        table.columns[2].integer[row] = next - first;
        table.columns[3].integer[row] = top[0];
        if (s->n_outputs > TOP)
            table.columns[4].integer[row] = top[1];
        table.columns[5].integer[row] = most_confused(s->outcomes + first, next - first);
    }
    if (status == NISSL_OK)
        *out = table;
    else
        nissl_table_free(&table);
    return status;
}

static nissl_status summarise(study *s, const nissl_network *network, nissl_accuracy *a,
                              nissl_error *err)
{
    nissl_status status = make_table(s, &a->classes, err);
    json_t *summary;
    double n = (double)s->n_labelled;
    if (status != NISSL_OK)
        return status;
    a->n_stimuli = nissl_stimuli_count(s->stimuli);
    a->n_labelled = s->n_labelled;
    a->n_outputs = s->n_outputs;
    for (int64_t i = 0; i < s->n_labelled; i++) {
        a->n_top1 += s->outcomes[i].top1;
        a->n_top5 += s->outcomes[i].top5;
    }
    if (s->n_outputs <= TOP)
        a->n_top5 = -1;
    summary = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:o, s:o}", "model",
                        nissl_network_path(network), "stimuli", nissl_stimuli_source(s->stimuli),
                        "n_stimuli", (json_int_t)a->n_stimuli, "n_labelled",
                        (json_int_t)a->n_labelled, "n_outputs", (json_int_t)a->n_outputs, "n_top1",
                        (json_int_t)a->n_top1, "top1", (double)a->n_top1 / n, "n_top5",
                        a->n_top5 < 0 ? json_null() : json_integer(a->n_top5), "top5",
                        a->n_top5 < 0 ? json_null() : json_real((double)a->n_top5 / n));
    a->json = nissl__summary_json(summary, &a->classes, "classes");
    return a->json ? NISSL_OK : NISSL__NO_MEMORY(err, 0);
}

nissl_status nissl_accuracy_measure(nissl_context *ctx, const nissl_network *network,
                                    const nissl_stimuli *stimuli, const nissl_accuracy_options *opt,
                                    nissl_accuracy *out, nissl_error *err)
{
    nissl_accuracy_options defaults = nissl_accuracy_options_default();
    study s = {.ctx = ctx, .stimuli = stimuli, .opt = opt ? opt : &defaults};
    nissl_accuracy result = {0};
    nissl_program *program = NULL;
    nissl_status status;
    if (nissl_network_n_inputs(network) != 1)
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED, "%s has %zu inputs; accuracy needs 1",
                           nissl_network_path(network), nissl_network_n_inputs(network));
    if ((status = compile(&s, network, &program, err)) != NISSL_OK)
        goto done;
    s.label = nissl__alloc((size_t)s.n_outputs, sizeof *s.label);
    if (!s.label) {
        status = NISSL__NO_MEMORY(err, (size_t)s.n_outputs * sizeof *s.label);
        goto done;
    }
    if ((status = read_classes(&s, err)) != NISSL_OK ||
        (status = find_classes(&s, err)) != NISSL_OK)
        goto done;
    s.outcomes = nissl__alloc((size_t)s.n_labelled, sizeof *s.outcomes);
    if (!s.outcomes) {
        status = NISSL__NO_MEMORY(err, (size_t)s.n_labelled * sizeof *s.outcomes);
        goto done;
    }
    if ((status = run_batches(&s, program, err)) == NISSL_OK)
        status = summarise(&s, network, &result, err);

done:
    nissl_program_free(program);
    nissl__csv_free(&s.file);
    nissl__free(s.names);
    nissl__free(s.label);
    nissl__free(s.class_of);
    nissl__free(s.outcomes);
    if (status == NISSL_OK)
        *out = result;
    else
        nissl_accuracy_free(&result);
    return status;
}

void nissl_accuracy_free(nissl_accuracy *accuracy)
{
    if (!accuracy)
        return;
    nissl_table_free(&accuracy->classes);
    free(accuracy->json);
    *accuracy = (nissl_accuracy){0};
}
