/*
 * Runs ONNX backend tests: folders with model.onnx and test_data_set_N/{input,output}_N.pb, at any
 * depth below the folder given (node, simple, pytorch-converted, pytorch-operator, or tests of your
 * own).
 *
 * usage: conformance [--list] [--expect FILE] FOLDER
 * --list    one line per test: its outcome, its name, why
 * --expect  names that must pass, one a line; those that do not are counted as failed
 *
 * A test passes if every output has the type and shape stored, integers and truth values are equal,
 * and reals differ by at most atol + rtol |stored|. onnx.backend.test takes rtol 1e-3 and atol 1e-7
 * (onnx/backend/test/loader) unless data.json beside the model says otherwise; so does this.
 *
 * A model is tried with every input unknown until it runs, then with integers and truth values
 * known when it is compiled (shapes, axes, indices), then with every input known. It is skipped if
 * it needs what Nissl does not have; the last lines count why. The last line of all is
 *
 *     N passed, N failed, N skipped
 *
 * and the exit code is 0 if nothing failed and something passed.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "conformance/reason.h"
#include "foundation/foundation.h"
#include "nissl/network.h"

#define MOST_INPUTS 256
#define MOST_BYTES  ((uint64_t)1 << 30)
#define MOST_DEPTH  16

typedef enum outcome { PASSED, FAILED, SKIPPED } outcome;

/* How much is known when a model is compiled. */
typedef enum knowledge {
    NOTHING_KNOWN,
    INTEGERS_KNOWN,
    PARAMETERS_KNOWN, /* all but the first input */
    ALL_KNOWN,
    N_KNOWLEDGE
} knowledge;

typedef struct tally {
    nissl_context *ctx;
    bool list;
    int passed, failed, skipped;
    int by_knowledge[N_KNOWLEDGE];
    int by_reason[N_REASONS];
    char **names; /* that passed, for --expect */
    int n_names, capacity;
} tally;

typedef struct trial {
    const char *folder;
    double rtol, atol;
    knowledge known;
    double largest; /* |difference| beyond what the worst failed element may differ */
    reason why;
    char text[512];
} trial;

static outcome give(trial *t, outcome result, reason why, const char *text)
{
    t->why = why;
    snprintf(t->text, sizeof t->text, "%s", text);
    return result;
}

/* ---- comparing ---- */

static bool is_real(nissl_type type)
{
    return type <= NISSL_BFLOAT16;
}

/* What a program's tensor holds where the file stores halves. */
static nissl_type computed_type(nissl_type type)
{
    return type == NISSL_FLOAT16 || type == NISSL_BFLOAT16 ? NISSL_FLOAT32 : type;
}

static bool same_real(const trial *t, double got, double want)
{
    if (got != got || want != want)
        return got != got && want != want;
    return got == want || fabs(got - want) <= t->atol + t->rtol * fabs(want);
}

static outcome compare(trial *t, const char *name, const nissl_view *got, const nissl_array *want)
{
    nissl_view stored = nissl_array_view(want);
    nissl_error err = {0};
    int64_t n = nissl_array_count(want), n_bad = 0, first = -1;
    bool same = got->rank == want->rank;
    char text[256];
    outcome result = PASSED;
    if (got->type != computed_type(want->type)) {
        snprintf(text, sizeof text, "%s is %s, stored is %s", name, nissl_type_name(got->type),
                 nissl_type_name(want->type));
        return give(t, FAILED, REASON_NONE, text);
    }
    for (int i = 0; i < want->rank && same; i++)
        same = got->shape[i] == want->shape[i];
    if (!same) {
        int at = snprintf(text, sizeof text, "%s has shape [", name);
        for (int i = 0; i < got->rank; i++)
            at += snprintf(text + at, sizeof text - (size_t)at, " %lld", (long long)got->shape[i]);
        at += snprintf(text + at, sizeof text - (size_t)at, " ], stored is [");
        for (int i = 0; i < want->rank; i++)
            at += snprintf(text + at, sizeof text - (size_t)at, " %lld", (long long)want->shape[i]);
        snprintf(text + at, sizeof text - (size_t)at, " ]");
        return give(t, FAILED, REASON_NONE, text);
    }
    double *a = nissl__alloc((size_t)n + 1, sizeof *a), *b = nissl__alloc((size_t)n + 1, sizeof *b);
    if (!a || !b || nissl_view_copy(got, NISSL_FLOAT64, a, &err) != NISSL_OK ||
        nissl_view_copy(&stored, NISSL_FLOAT64, b, &err) != NISSL_OK) {
        result = give(t, FAILED, REASON_NONE, err.message);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        if (want->type == NISSL_FLOAT16) /* the file's output holds halves */
            a[i] = (double)nissl__half_to_float(nissl__float_to_half((float)a[i]));
        if (is_real(want->type) ? same_real(t, a[i], b[i]) : a[i] == b[i])
            continue;
        if (n_bad++ == 0 || fabs(a[i] - b[i]) > t->largest) {
            t->largest = fabs(a[i] - b[i]);
            first = i;
        }
    }
    if (n_bad) {
        snprintf(text, sizeof text,
                 "%s: %lld of %lld differ, most at element %lld: %.9g, stored %.9g", name,
                 (long long)n_bad, (long long)n, (long long)first, a[first], b[first]);
        result = give(t, FAILED, REASON_NONE, text);
    }
done:
    nissl__free(a);
    nissl__free(b);
    return result;
}

/* ---- one data set ---- */

typedef struct data_set {
    nissl_array inputs[MOST_INPUTS], outputs[MOST_INPUTS];
    size_t n_inputs, n_outputs;
} data_set;

static void data_set_free(data_set *data)
{
    for (size_t i = 0; i < data->n_inputs; i++)
        nissl_array_free(&data->inputs[i]);
    for (size_t i = 0; i < data->n_outputs; i++)
        nissl_array_free(&data->outputs[i]);
}

static nissl_status read_tensors(const char *folder, const char *kind, nissl_array *arrays,
                                 size_t *n, nissl_error *err)
{
    for (*n = 0; *n < MOST_INPUTS; ++*n) {
        char path[2048 + 64];
        nissl_status status;
        snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, kind, *n);
        if (access(path, R_OK) != 0)
            return NISSL_OK;
        if ((status = nissl__onnx_open_tensor(path, MOST_BYTES, &arrays[*n], err)) != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

/* Halves are given to a program as float32. */
static nissl_status widen(nissl_array *array, nissl_error *err)
{
    nissl_array wide = {0};
    nissl_view view = nissl_array_view(array);
    nissl_status status;
    if (computed_type(array->type) == array->type)
        return NISSL_OK;
    if ((status = nissl_array_new(NISSL_FLOAT32, array->rank, array->shape, &wide, err)) !=
            NISSL_OK ||
        (status = nissl_view_copy(&view, NISSL_FLOAT32, wide.data, err)) != NISSL_OK) {
        nissl_array_free(&wide);
        return status;
    }
    nissl_array_free(array);
    *array = wide;
    return NISSL_OK;
}

static nissl_status compile(nissl_context *ctx, const nissl_network *network, data_set *data,
                            knowledge known, nissl_program **out, nissl_error *err)
{
    nissl_view shapes[MOST_INPUTS];
    nissl_binding bindings[MOST_INPUTS];
    nissl_program_options opt = nissl_program_options_default();
    for (size_t i = 0; i < data->n_inputs; i++) {
        shapes[i] = nissl_array_view(&data->inputs[i]);
        if (known == ALL_KNOWN || (known == PARAMETERS_KNOWN && i > 0) ||
            (known == INTEGERS_KNOWN && !is_real(shapes[i].type)))
            bindings[opt.n_bindings++] =
                (nissl_binding){nissl_network_input(network, i)->name, shapes[i]};
    }
    opt.exact = true;
    opt.input_shapes = shapes;
    opt.n_input_shapes = data->n_inputs;
    opt.bindings = bindings;
    return nissl_program_compile(ctx, network, &opt, out, err);
}

static outcome run_program(trial *t, const nissl_network *network, const nissl_program *program,
                           data_set *data)
{
    nissl_run *run = NULL;
    nissl_error err = {0};
    nissl_view inputs[MOST_INPUTS];
    outcome result = PASSED;
    for (size_t i = 0; i < data->n_inputs; i++)
        inputs[i] = nissl_array_view(&data->inputs[i]);
    if (nissl_run_new(program, &run, &err) != NISSL_OK ||
        nissl_run_forward(run, inputs, data->n_inputs, NULL, NULL, &err) != NISSL_OK)
        result = give(t, FAILED, REASON_NONE, err.message);
    for (size_t i = 0; i < data->n_outputs && result == PASSED; i++) {
        nissl_view got;
        if (nissl_run_output(run, i, &got, &err) != NISSL_OK)
            result = give(t, FAILED, REASON_NONE, err.message);
        else
            result = compare(t, nissl_network_output(network, i)->name, &got, &data->outputs[i]);
    }
    nissl_run_free(run);
    return result;
}

static outcome run_data_set(nissl_context *ctx, trial *t, const nissl_network *network,
                            const nissl__onnx_model *model, const char *folder)
{
    static data_set data; /* large; one thread */
    nissl_program *program = NULL;
    nissl_error err = {0};
    nissl_status status;
    outcome result = FAILED;
    data = (data_set){0};
    if ((status = read_tensors(folder, "input", data.inputs, &data.n_inputs, &err)) != NISSL_OK ||
        (status = read_tensors(folder, "output", data.outputs, &data.n_outputs, &err)) !=
            NISSL_OK) {
        result = status == NISSL_ERR_UNSUPPORTED ? give(t, SKIPPED, REASON_TYPE, err.message)
                                                 : give(t, FAILED, REASON_NONE, err.message);
        goto done;
    }
    if (data.n_inputs != nissl_network_n_inputs(network) ||
        data.n_outputs > nissl_network_n_outputs(network)) {
        snprintf(t->text, sizeof t->text,
                 "%zu inputs and %zu outputs stored, the model has %zu, %zu", data.n_inputs,
                 data.n_outputs, nissl_network_n_inputs(network), nissl_network_n_outputs(network));
        goto done;
    }
    for (size_t i = 0; i < data.n_inputs; i++)
        if (widen(&data.inputs[i], &err) != NISSL_OK) {
            result = give(t, FAILED, REASON_NONE, err.message);
            goto done;
        }
    for (int known = NOTHING_KNOWN; known < N_KNOWLEDGE && !program; known++) {
        t->known = known > (int)t->known ? (knowledge)known : t->known;
        status = compile(ctx, network, &data, (knowledge)known, &program, &err);
    }
    if (program)
        result = run_program(t, network, program, &data);
    else if (status == NISSL_ERR_UNSUPPORTED)
        result = give(t, SKIPPED, REASON_FORM, err.message);
    else if (status == NISSL_ERR_TYPE && reason_foreign_type(model))
        result = give(t, SKIPPED, REASON_TYPE, err.message);
    else
        result = give(t, FAILED, REASON_NONE, err.message);
done:
    data_set_free(&data);
    nissl_program_free(program);
    return result;
}

/* ---- one test ---- */

static void read_tolerance(trial *t)
{
    char path[2048];
    json_t *root;
    snprintf(path, sizeof path, "%s/data.json", t->folder);
    t->rtol = 1e-3;
    t->atol = 1e-7;
    if (!(root = json_load_file(path, 0, NULL)))
        return;
    if (json_is_number(json_object_get(root, "rtol")))
        t->rtol = json_number_value(json_object_get(root, "rtol"));
    if (json_is_number(json_object_get(root, "atol")))
        t->atol = json_number_value(json_object_get(root, "atol"));
    json_decref(root);
}

static outcome run_test(nissl_context *ctx, trial *t)
{
    char path[2048];
    nissl_network *network = NULL;
    nissl__onnx_model *model = NULL;
    nissl_error err = {0};
    nissl_status status;
    outcome result = PASSED;
    int n_sets = 0;
    read_tolerance(t);
    snprintf(path, sizeof path, "%s/model.onnx", t->folder);
    if ((status = nissl__onnx_open(path, MOST_BYTES, &model, &err)) != NISSL_OK) {
        result = status == NISSL_ERR_UNSUPPORTED ? give(t, SKIPPED, REASON_TYPE, err.message)
                                                 : give(t, FAILED, REASON_NONE, err.message);
        goto done;
    }
    reason why = reason_to_skip(model, t->text, sizeof t->text);
    if (why != REASON_NONE) {
        t->why = why;
        result = SKIPPED;
        goto done;
    }
    if ((status = nissl_network_open(ctx, path, &network, &err)) != NISSL_OK) {
        result = status == NISSL_ERR_UNSUPPORTED ? give(t, SKIPPED, REASON_FORM, err.message)
                                                 : give(t, FAILED, REASON_NONE, err.message);
        goto done;
    }
    for (; result == PASSED; n_sets++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", t->folder, n_sets);
        if (access(path, R_OK) != 0)
            break;
        result = run_data_set(ctx, t, network, model, path);
    }
    if (n_sets == 0)
        result = give(t, FAILED, REASON_NONE, "no test_data_set_0");
done:
    nissl_network_free(network);
    nissl__onnx_free(model);
    return result;
}

/* ---- all ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void remember(tally *all, const char *name)
{
    if (all->n_names == all->capacity) {
        int capacity = 2 * all->capacity + 256;
        char **names =
            nissl__resize(all->names, (size_t)all->capacity, (size_t)capacity, sizeof *names);
        if (!names)
            return;
        all->names = names;
        all->capacity = capacity;
    }
    if ((all->names[all->n_names] = nissl__strdup(name)))
        all->n_names++;
}

static void count(tally *all, const char *folder)
{
    static const char *const words[] = {"passed", "FAILED", "skipped"};
    trial t = {.folder = folder};
    outcome result = run_test(all->ctx, &t);
    if (result == PASSED) {
        all->passed++;
        all->by_knowledge[t.known]++;
        remember(all, base_name(folder));
    } else if (result == FAILED) {
        all->failed++;
    } else {
        all->skipped++;
        all->by_reason[t.why]++;
    }
    if (result == FAILED || all->list) {
        printf("%s %s", words[result], base_name(folder));
        if (result == SKIPPED)
            printf(": %s", reason_text(t.why));
        if (result != PASSED)
            printf(": %s", t.text);
        if (result == FAILED && t.largest > 0)
            printf(" (largest difference %.3g)", t.largest);
        printf("\n");
        fflush(stdout);
    }
}

static bool visit(tally *all, const char *folder, int depth)
{
    struct dirent **names = NULL;
    char path[2048];
    int n;
    bool fine = true;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (access(path, R_OK) == 0) {
        count(all, folder);
        return true;
    }
    if ((n = scandir(folder, &names, NULL, alphasort)) < 0)
        return false;
    for (int i = 0; i < n; i++) {
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && depth < MOST_DEPTH && stat(path, &info) == 0 &&
            S_ISDIR(info.st_mode))
            fine = visit(all, path, depth + 1) && fine;
        free(names[i]);
    }
    free(names);
    return fine;
}

/* Names of a list that did not pass. */
static int check_expected(const tally *all, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[512];
    int missing = 0;
    if (!file) {
        fprintf(stderr, "conformance: cannot read %s\n", path);
        return 1;
    }
    while (fgets(line, sizeof line, file)) {
        bool found = false;
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0] || line[0] == '#')
            continue;
        for (int i = 0; i < all->n_names && !found; i++)
            found = strcmp(all->names[i], base_name(line)) == 0;
        if (!found) {
            printf("FAILED %s: expected to pass, and did not\n", line);
            missing++;
        }
    }
    fclose(file);
    return missing;
}

int main(int argc, char **argv)
{
    static const char *const known[] = {"with every input unknown until it runs",
                                        "with integer inputs known when compiled",
                                        "with all inputs but the first known when compiled",
                                        "with every input known when compiled"};
    tally all = {0};
    const char *folder = NULL, *expected = NULL;
    nissl_error err = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            all.list = true;
        else if (strcmp(argv[i], "--expect") == 0 && i + 1 < argc)
            expected = argv[++i];
        else
            folder = argv[i];
    }
    if (!folder) {
        fprintf(stderr, "usage: conformance [--list] [--expect FILE] FOLDER\n");
        return 2;
    }
    if (nissl_context_new(NULL, &all.ctx, &err) != NISSL_OK || !visit(&all, folder, 0)) {
        fprintf(stderr, "conformance: %s: %s\n", folder,
                err.message[0] ? err.message : "cannot be read");
        nissl_context_free(all.ctx);
        return 1;
    }
    if (expected)
        all.failed += check_expected(&all, expected);
    for (int i = 0; i < N_KNOWLEDGE; i++)
        printf("%5d passed %s\n", all.by_knowledge[i], known[i]);
    for (int i = 1; i < N_REASONS; i++)
        if (all.by_reason[i])
            printf("%5d skipped: %s\n", all.by_reason[i], reason_text((reason)i));
    printf("%d passed, %d failed, %d skipped\n", all.passed, all.failed, all.skipped);
    for (int i = 0; i < all.n_names; i++)
        nissl__free(all.names[i]);
    nissl__free(all.names);
    nissl_context_free(all.ctx);
    return all.failed > 0 || all.passed == 0;
}
