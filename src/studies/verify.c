/* Compares what a network computes with tensors that another framework stored. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "formats/npy.h"
#include "foundation/foundation.h"
#include "nissl/verify.h"
#include "studies/reference.h"
#include "studies/summary.h"

#define DEFAULT_TOLERANCE 1e-4
#define LARGEST_BATCH     32
#define INPUT_STREAM      0x76657269 /* of random inputs: "veri" */

/* How far the network's tensor is from a stored one. */
typedef struct comparison {
    int64_t site; /* of the program, -1 = the network has no such tensor */
    double max_difference;
    double low, high; /* of the reference */
    int64_t n_agree;  /* stimuli whose largest value is at the same place */
} comparison;

typedef struct study {
    nissl__reference ref;
    comparison *found; /* [ref.n_tensors] */
    nissl_program *program;
    float *copy;          /* one site's micro-batch, row-major */
    int64_t first, n_now; /* stimuli of the micro-batch that runs */
} study;

nissl_verify_options nissl_verify_options_default(void)
{
    return (nissl_verify_options){.tolerance = DEFAULT_TOLERANCE};
}

/* ---- running and comparing ---- */

static int64_t per_stimulus(const nissl_array *array)
{
    return nissl_array_count(array) / array->shape[0];
}

/* Compares one stimulus of a stored tensor with the network's values [n_values]. */
static nissl_status compare_one(const nissl__stored *tensor, int64_t stimulus, const float *found,
                                const nissl_view *view, int64_t n_values, comparison *c,
                                nissl_error *err)
{
    int64_t n = per_stimulus(&tensor->value), n_positions = 1, best = 0, best_found = 0;
    int64_t n_kept = tensor->n_channels, expected = n;
    const float *want = (const float *)tensor->value.data + stimulus * n;
    if (tensor->channels) {
        n_positions = n_kept ? NISSL__MAX(n / n_kept, 1) : 1;
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
        c->max_difference = NISSL__MAX(c->max_difference, difference);
        if (isfinite(a)) {
            c->low = NISSL__MIN(c->low, a);
            c->high = NISSL__MAX(c->high, a);
        }
        if (want[i] > want[best])
            best = i;
        if (found[at] > found[best_found])
            best_found = at;
    }
    c->n_agree += best == best_found;
    return NISSL_OK;
}

static nissl_status observe(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    study *s = user;
    int64_t n_values = nissl_view_count(view) / NISSL__MAX(view->shape[0], 1);
    bool copied = false;
    for (size_t i = 0; i < s->ref.n_tensors; i++) {
        const nissl__stored *tensor = &s->ref.tensors[i];
        nissl_status status = NISSL_OK;
        if (s->found[i].site != (int64_t)site || s->first >= tensor->value.shape[0])
            continue;
        if (!copied)
            status = nissl_view_copy(view, NISSL_FLOAT32, s->copy, err);
        copied = true;
        for (int64_t k = 0; status == NISSL_OK && k < s->n_now; k++)
            if (s->first + k < tensor->value.shape[0])
                status = compare_one(tensor, s->first + k, s->copy + k * n_values, view, n_values,
                                     &s->found[i], err);
        if (status != NISSL_OK)
            return status;
    }
    return NISSL_OK;
}

/* Compiles a program that observes the stored tensors. */
static nissl_status compile(study *s, const nissl_network *network, const nissl_program *all,
                            int64_t batch, const nissl_view *shape, nissl_error *err)
{
    nissl_program_options opt = nissl_program_options_default();
    const char **names = nissl__alloc(s->ref.n_tensors, sizeof *names);
    int64_t largest = 1;
    nissl_status status;
    if (!names)
        return NISSL__NO_MEMORY(err, s->ref.n_tensors * sizeof *names);
    for (size_t i = 0; i < s->ref.n_tensors; i++) {
        bool again = false;
        if (nissl_program_find_site(all, s->ref.tensors[i].tensor) < 0)
            continue;
        for (size_t j = 0; j < opt.n_observe; j++)
            again |= strcmp(names[j], s->ref.tensors[i].tensor) == 0;
        if (!again)
            names[opt.n_observe++] = s->ref.tensors[i].tensor;
    }
    if (opt.n_observe == 0)
        status = NISSL__FAIL(err, NISSL_ERR_NAME,
                             "%s: none of its %zu tensors is one of %s; the first is '%s'",
                             s->ref.directory, s->ref.n_tensors, nissl_network_path(network),
                             s->ref.tensors[0].tensor);
    else {
        opt.batch = batch;
        opt.threads = nissl_context_threads(s->ref.ctx);
        opt.observe = names;
        opt.input_shapes = shape;
        opt.n_input_shapes = 1;
        status = nissl_program_compile(s->ref.ctx, network, &opt, &s->program, err);
    }
    nissl__free(names);
    for (size_t i = 0; status == NISSL_OK && i < s->ref.n_tensors; i++)
        s->found[i].site = nissl_program_find_site(s->program, s->ref.tensors[i].tensor);
    for (size_t i = 0; status == NISSL_OK && i < nissl_program_n_sites(s->program); i++) {
        const nissl_site *site = nissl_program_site(s->program, i);
        int64_t n = nissl_program_batch(s->program) * site->n_units * site->n_positions;
        largest = NISSL__MAX(largest, n);
    }
    if (status == NISSL_OK && !(s->copy = nissl__alloc((size_t)largest, sizeof *s->copy)))
        status = NISSL__NO_MEMORY(err, (size_t)largest * sizeof *s->copy);
    return status;
}

static nissl_status run_all(study *s, nissl_error *err)
{
    int64_t n = s->ref.input.shape[0], batch = nissl_program_batch(s->program);
    int64_t size = per_stimulus(&s->ref.input) * (int64_t)nissl_type_size(s->ref.input.type);
    nissl_array micro = {0};
    nissl_view view;
    nissl_run *run = NULL;
    int64_t shape[NISSL_MAX_RANK];
    nissl_status status;
    memcpy(shape, s->ref.input.shape, sizeof shape);
    shape[0] = batch;
    status = nissl_array_new(s->ref.input.type, s->ref.input.rank, shape, &micro, err);
    if (status == NISSL_OK)
        status = nissl_run_new(s->program, &run, err);
    for (s->first = 0; status == NISSL_OK && s->first < n; s->first += batch) {
        s->n_now = NISSL__MIN(batch, n - s->first);
        for (int64_t k = 0; k < batch; k++) { /* the tail is padded with its last stimulus */
            int64_t from = s->first + NISSL__MIN(k, s->n_now - 1);
            memcpy((char *)micro.data + k * size, (const char *)s->ref.input.data + from * size,
                   (size_t)size);
        }
        view = nissl_array_view(&micro);
        status = nissl_run_forward(run, &view, 1, observe, s, err);
    }
    nissl_run_free(run);
    nissl_array_free(&micro);
    return status;
}

/* ---- results ---- */

static double ratio_of(const comparison *c)
{
    double range = c->high > c->low ? c->high - c->low : 0;
    return c->max_difference == 0 ? 0 : range > 0 ? c->max_difference / range : INFINITY;
}

static nissl_status make_table(const study *s, double tolerance, nissl_table *out, nissl_error *err)
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
        status = nissl_table_add_rows(&table, (int64_t)s->ref.n_tensors, err);
    for (size_t i = 0; status == NISSL_OK && i < s->ref.n_tensors; i++) {
        const nissl__stored *tensor = &s->ref.tensors[i];
        const comparison *c = &s->found[i];
        int64_t row = (int64_t)i, n = tensor->value.shape[0];
        double ratio = ratio_of(c);
        bool present = c->site >= 0;
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
        table.columns[4].real[row] = c->max_difference;
        table.columns[5].real[row] = c->high > c->low ? c->high - c->low : 0;
        table.columns[6].real[row] = ratio;
        if (strcmp(tensor->kind, "site") != 0)
            table.columns[7].real[row] = (double)c->n_agree / (double)n;
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

static nissl_status summarise(const study *s, const nissl_network *network, nissl_verification *v,
                              nissl_error *err)
{
    char sentence[512], agree[64] = "", absent[64] = "";
    const char *worst = NULL;
    json_t *summary;
    v->n_inputs = s->ref.input.shape[0];
    v->top1_agreement = NAN;
    for (size_t i = 0; i < s->ref.n_tensors; i++) {
        const nissl__stored *tensor = &s->ref.tensors[i];
        const comparison *c = &s->found[i];
        double ratio = ratio_of(c);
        if (c->site < 0) {
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
            v->top1_agreement = (double)c->n_agree / (double)tensor->value.shape[0];
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
                        "reference", s->ref.directory, "tolerance", v->tolerance, "n_inputs",
                        (json_int_t)v->n_inputs, "n_compared", (json_int_t)v->n_compared,
                        "n_failed", (json_int_t)v->n_failed, "n_absent", (json_int_t)v->n_absent,
                        "worst_tensor", worst, "worst_ratio", real_json(v->worst_ratio),
                        "top1_agreement", real_json(v->top1_agreement));
    v->json = nissl__summary_json(summary, &v->tensors, "tensors");
    return v->json ? NISSL_OK : NISSL__NO_MEMORY(err, 0);
}

nissl_status nissl_verify_reference(nissl_context *ctx, const nissl_network *network,
                                    const char *directory, const nissl_verify_options *opt,
                                    nissl_verification *out, nissl_error *err)
{
    nissl_verify_options options = opt ? *opt : nissl_verify_options_default();
    nissl_program_options look = nissl_program_options_default();
    nissl_program *all = NULL;
    nissl_verification result = {0};
    study s = {.ref = {.ctx = ctx, .directory = directory}};
    nissl_type type;
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
    type = nissl_network_input(network, 0)->type;
    if (type == NISSL_FLOAT16 || type == NISSL_BFLOAT16)
        type = NISSL_FLOAT32; /* half precision is widened when a network is compiled */
    status = nissl__reference_input(&s.ref, type, err);
    if (status != NISSL_OK)
        goto done;
    if (options.batch == 0)
        options.batch = NISSL__MIN(s.ref.input.shape[0], LARGEST_BATCH);
    shape = nissl_array_view(&s.ref.input);
    look.batch = options.batch;
    look.shapes_only = true;
    look.observe_all = true;
    look.input_shapes = &shape;
    look.n_input_shapes = 1;
    status = nissl_program_compile(ctx, network, &look, &all, err);
    if (status == NISSL_OK)
        status = nissl__reference_tensors(&s.ref, network, all, err);
    if (status != NISSL_OK)
        goto done;
    if (!(s.found = nissl__alloc(s.ref.n_tensors, sizeof *s.found))) {
        status = NISSL__NO_MEMORY(err, s.ref.n_tensors * sizeof *s.found);
        goto done;
    }
    for (size_t i = 0; i < s.ref.n_tensors; i++)
        s.found[i] = (comparison){.site = -1, .low = INFINITY, .high = -INFINITY};
    if ((status = compile(&s, network, all, options.batch, &shape, err)) != NISSL_OK ||
        (status = run_all(&s, err)) != NISSL_OK ||
        (status = make_table(&s, options.tolerance, &result.tensors, err)) != NISSL_OK)
        goto done;
    result.tolerance = options.tolerance;
    status = summarise(&s, network, &result, err);

done:
    nissl_program_free(all);
    nissl_program_free(s.program);
    nissl__reference_free(&s.ref);
    nissl__free(s.found);
    nissl__free(s.copy);
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

/* Token ids that every vocabulary has. */
static void draw_ids(uint64_t seed, nissl_array *ids)
{
    for (int64_t i = 0; i < nissl_array_count(ids); i++) {
        int64_t id = nissl__random_below(seed, INPUT_STREAM, (uint64_t)i, 32);
        if (ids->type == NISSL_INT64)
            ((int64_t *)ids->data)[i] = id;
        else
            ((int32_t *)ids->data)[i] = (int32_t)id;
    }
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
    nissl_type type = stimuli ? nissl_stimuli_type(stimuli) : port->type;
    if (type != NISSL_INT64 && type != NISSL_INT32)
        type = NISSL_FLOAT32;
    if ((status = nissl_array_new(type, rank, size, &input, err)) != NISSL_OK)
        return status;
    if (stimuli)
        status = nissl_stimuli_load(stimuli, 0, n, input.data, err);
    else if (type != NISSL_FLOAT32)
        draw_ids(nissl_context_seed(ctx), &input);
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
