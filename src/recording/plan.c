/* Plans: which reducers run at which sites, and what that costs. */
#include <fnmatch.h>
#include <stdio.h>

#include "recording/plan.h"
#include "foundation/foundation.h"
#include "recording/quadrants.h"
#include "recording/states.h"

#define DEFAULT_REDUCERS "moments,by-condition,histogram,exemplars,frequency,responses"
#define DEFAULT_TOP_K    9
#define MAX_TOP_K        10000
#define LEAF_STIMULI     1024 /* at least so many, where there are, in a leaf of the merge tree */
#define TASK_STIMULI     16 /* at least so many reduced together: states leave the cache between */
#define MIN_TASKS        16 /* but no fewer tasks than that, where there are, for the workers */

nissl_plan_options nissl_plan_options_default(void)
{
    return (nissl_plan_options){0};
}

const char *nissl__summary_name(nissl_summary summary)
{
    static const char *const names[] = {"mean", "max", "centre"};
    return names[summary];
}

int64_t nissl__plan_slots(const nissl_plan *plan)
{
    return NISSL__MIN(2 * (int64_t)plan->workers, plan->n_tasks);
}

void nissl_plan_free(nissl_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->n_sites && plan->sites; i++) {
        nissl__free(plan->sites[i].name);
        nissl__free(plan->sites[i].op);
        nissl__free(plan->sites[i].node);
    }
    nissl_program_free(plan->program);
    nissl__free(plan->sites);
    nissl__free(plan->observe);
    nissl__free(plan->reducers);
    nissl__free(plan->factors);
    nissl__free(plan->costs);
    nissl__free(plan);
}

/* The next comma-separated word of *text in word, without blanks around it; false at the end. */
static bool next_word(const char **text, char *word, size_t size)
{
    while (**text) {
        const char *end = strchr(*text, ','), *start = *text;
        size_t n = end ? (size_t)(end - start) : strlen(start);
        *text = end ? end + 1 : start + n;
        while (n > 0 && (start[0] == ' ' || start[0] == '\t')) {
            start++;
            n--;
        }
        while (n > 0 && (start[n - 1] == ' ' || start[n - 1] == '\t'))
            n--;
        if (n == 0)
            continue;
        n = NISSL__MIN(n, size - 1);
        memcpy(word, start, n);
        word[n] = '\0';
        return true;
    }
    return false;
}

/* "a, b, c, ... (66 in all)" into text. */
static void list_names(char *text, size_t size, size_t n, const char *(*name)(const void *, size_t),
                       const void *of)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const char *s = name(of, i);
        if (used + strlen(s) + 30 > size) {
            snprintf(text + used, size - used, ", ... (%zu in all)", n);
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", s);
    }
}

static const char *program_site_name(const void *of, size_t index)
{
    return nissl_program_site(of, index)->name;
}

static const char *reducer_name(const void *of, size_t index)
{
    return ((const nissl_reducer *const *)of)[index]->name;
}

static nissl_status choose_reducers(nissl_plan *plan, const char *text, nissl_error *err)
{
    const nissl_reducer *const *all = nissl_reducers();
    size_t n = 0;
    char word[256], names[300];
    bool *chosen = NULL;
    nissl_status status = NISSL_OK;
    while (all[n])
        n++;
    chosen = nissl__alloc(n, sizeof *chosen);
    plan->reducers = nissl__alloc(n, sizeof *plan->reducers);
    if (!chosen || !plan->reducers) {
        status = NISSL__NO_MEMORY(err, n * sizeof *plan->reducers);
        goto done;
    }
    while (next_word(&text, word, sizeof word)) {
        size_t i = 0;
        while (i < n && strcmp(all[i]->name, word) != 0)
            i++;
        if (i == n) {
            list_names(names, sizeof names, n, reducer_name, all);
            status =
                NISSL__FAIL(err, NISSL_ERR_NAME, "no reducer \"%s\"; there are %s", word, names);
            goto done;
        }
        chosen[i] = true;
    }
    for (size_t i = 0; i < n; i++) {
        if (!chosen[i])
            continue;
        plan->reducers[plan->n_reducers++] = all[i];
        plan->needs_active |= (all[i]->needs & NISSL_REDUCER_NEEDS_ACTIVE) != 0;
        plan->needs_quadrants |= (all[i]->needs & NISSL_REDUCER_NEEDS_QUADRANTS) != 0;
        plan->streams |= (all[i]->needs & NISSL_REDUCER_STREAM) != 0;
    }
    if (plan->n_reducers == 0)
        status = NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "the list of reducers is empty");

done:
    nissl__free(chosen);
    return status;
}

/* Whether a glob asks for a site by its name or one of its aliases. */
static bool matches(const char *glob, const nissl_site *site)
{
    bool found = strcmp(glob, site->name) == 0 || fnmatch(glob, site->name, 0) == 0;
    for (size_t i = 0; i < site->n_aliases && !found; i++)
        found = strcmp(glob, site->aliases[i]) == 0 || fnmatch(glob, site->aliases[i], 0) == 0;
    return found;
}

/* Marks the program's sites that a list of globs asks for. */
static nissl_status choose_sites(const nissl_program *program, const char *globs, bool *chosen,
                                 nissl_error *err)
{
    size_t n = nissl_program_n_sites(program);
    const char *text = globs ? globs : "";
    char word[512], names[300];
    bool any = false;
    while (next_word(&text, word, sizeof word)) {
        size_t n_matched = 0;
        bool exclude = word[0] == '!';
        for (size_t i = 0; i < n; i++)
            n_matched += matches(word + exclude, nissl_program_site(program, i));
        any |= !exclude;
        if (n_matched == 0) {
            list_names(names, sizeof names, n, program_site_name, program);
            return NISSL__FAIL(err, NISSL_ERR_NAME, "no site matches \"%.150s\"; there are %s",
                               word + exclude, names);
        }
    }
    for (size_t i = 0; i < n; i++) {
        const nissl_site *site = nissl_program_site(program, i);
        chosen[i] = !any;
        for (text = globs ? globs : ""; next_word(&text, word, sizeof word);)
            if (word[0] != '!' && matches(word, site))
                chosen[i] = true;
        for (text = globs ? globs : ""; next_word(&text, word, sizeof word);)
            if (word[0] == '!' && matches(word + 1, site))
                chosen[i] = false;
    }
    return NISSL_OK;
}

static void shape_text(char *text, size_t size, int rank, const int64_t *shape)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, i ? ", %lld" : "%lld", (long long)shape[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
}

nissl_status nissl__check_padding(const nissl_network *network, const nissl_stimuli *stimuli,
                                  int64_t *padded_to, nissl_error *err)
{
    int64_t shape[NISSL_MAX_RANK];
    *padded_to = 0;
    if (nissl_stimuli_type(stimuli) == NISSL_FLOAT32 || nissl_stimuli_shape(stimuli, shape) != 1)
        return NISSL_OK;
    for (int64_t i = 0; i < nissl_stimuli_count(stimuli); i++) {
        int64_t length = nissl_stimuli_length(stimuli, i);
        if (length == shape[0])
            continue;
        *padded_to = shape[0];
        if (!nissl_network_masks_padding(network))
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "%s: stimulus %lld has %lld tokens, the longest %lld, and %s does "
                               "not leave padding out; give stimuli of one length",
                               nissl_stimuli_source(stimuli), (long long)i, (long long)length,
                               (long long)shape[0], nissl_network_path(network));
    }
    return NISSL_OK;
}

/* Checks that the network takes these stimuli; sets the plan's input with batch axis 1. */
static nissl_status bind_input(nissl_plan *plan, const nissl_network *network, nissl_error *err)
{
    const nissl_port *port;
    int64_t shape[NISSL_MAX_RANK], full[NISSL_MAX_RANK] = {1};
    int rank = nissl_stimuli_shape(plan->stimuli, shape);
    bool agree;
    if (nissl_network_n_inputs(network) != 1)
        return NISSL__FAIL(err, NISSL_ERR_UNSUPPORTED,
                           "%s has %zu inputs; stimuli can be shown to 1",
                           nissl_network_path(network), nissl_network_n_inputs(network));
    port = nissl_network_input(network, 0);
    plan->stimulus_size = 1;
    for (int i = 0; i < rank && i + 1 < NISSL_MAX_RANK; i++) {
        full[i + 1] = shape[i];
        if (!nissl__mul(plan->stimulus_size, shape[i], &plan->stimulus_size))
            return NISSL__FAIL(err, NISSL_ERR_LIMIT, "a stimulus has too many elements");
    }
    agree = rank + 1 == port->rank;
    for (int i = 1; agree && i < port->rank; i++)
        agree = port->shape[i] < 0 || port->shape[i] == full[i];
    if (!agree) {
        char theirs[128], ours[128];
        shape_text(theirs, sizeof theirs, port->rank, port->shape);
        shape_text(ours, sizeof ours, rank, shape);
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "input \"%s\" of %s has shape %s, a stimulus of %s has shape %s",
                           port->name, nissl_network_path(network), theirs,
                           nissl_stimuli_source(plan->stimuli), ours);
    }
    nissl_type type =
        port->type == NISSL_FLOAT16 || port->type == NISSL_BFLOAT16 ? NISSL_FLOAT32 : port->type;
    if (type != nissl_stimuli_type(plan->stimuli))
        return NISSL__FAIL(err, NISSL_ERR_TYPE,
                           "input \"%s\" of %s is %s, the stimuli of %s are %s", port->name,
                           nissl_network_path(network), nissl_type_name(port->type),
                           nissl_stimuli_source(plan->stimuli),
                           nissl_type_name(nissl_stimuli_type(plan->stimuli)));
    plan->input = nissl_view_of(NULL, type, rank + 1, full);
    return nissl__check_padding(network, plan->stimuli, &plan->padded_to, err);
}

static nissl_status compile(nissl_context *ctx, nissl_plan *plan, const nissl_network *network,
                            int64_t batch, bool shapes_only, nissl_program **out, nissl_error *err)
{
    nissl_program_options opt = nissl_program_options_default();
    opt.batch = batch;
    opt.shapes_only = shapes_only;
    opt.threads = 1;
    opt.observe_all = plan->observe == NULL;
    opt.observe = plan->observe;
    opt.n_observe = plan->n_sites;
    opt.input_shapes = &plan->input;
    opt.n_input_shapes = 1;
    return nissl_program_compile(ctx, network, &opt, out, err);
}

/* Copies the chosen sites out of the program that reports all. */
static nissl_status take_sites(nissl_plan *plan, const nissl_program *program, const char *globs,
                               nissl_error *err)
{
    size_t n = nissl_program_n_sites(program);
    bool *chosen = nissl__alloc(n, sizeof *chosen);
    nissl_status status = NISSL_OK;
    plan->sites = nissl__alloc(n, sizeof *plan->sites);
    if (!chosen || !plan->sites) {
        status = NISSL__NO_MEMORY(err, n * sizeof *plan->sites);
        goto done;
    }
    status = choose_sites(program, globs, chosen, err);
    for (size_t i = 0; i < n && status == NISSL_OK; i++) {
        const nissl_site *site = nissl_program_site(program, i);
        nissl__planned_site *to = &plan->sites[plan->n_sites];
        if (!chosen[i])
            continue;
        plan->n_sites++;
        to->name = nissl__strdup(site->name);
        to->op = nissl__strdup(site->op);
        to->node = nissl__strdup(site->node);
        to->rank = site->rank;
        for (int axis = 0; axis < site->rank; axis++)
            to->shape[axis] = site->role[axis] == NISSL_AXIS_STIMULUS ? 1 : site->shape[axis];
        for (int axis = 0; axis < site->rank; axis++)
            to->token_axes += plan->padded_to > 0 && site->role[axis] == NISSL_AXIS_POSITION &&
                              site->shape[axis] == plan->padded_to;
        to->first_unit = plan->n_units;
        to->product = -1;
        to->site = (nissl_reducer_site){.n_units = site->n_units,
                                        .n_positions = site->n_positions,
                                        .n_stimuli = plan->n_stimuli,
                                        .n_factors = plan->n_factors,
                                        .factors = plan->factors,
                                        .top_k = plan->top_k};
        plan->n_units += site->n_units;
        plan->max_units = NISSL__MAX(plan->max_units, site->n_units);
        if (!to->name || !to->op || !to->node)
            status = NISSL__NO_MEMORY(err, strlen(site->name));
    }
    if (status == NISSL_OK && plan->n_sites == 0)
        status = NISSL__FAIL(err, NISSL_ERR_NAME, "\"%.200s\" leaves no site of %zu",
                             globs ? globs : "", n);
    if (status != NISSL_OK)
        goto done;
    plan->observe = nissl__alloc(plan->n_sites, sizeof *plan->observe);
    if (!plan->observe) {
        status = NISSL__NO_MEMORY(err, plan->n_sites * sizeof *plan->observe);
        goto done;
    }
    for (size_t i = 0; i < plan->n_sites; i++)
        plan->observe[i] = plan->sites[i].name;

done:
    nissl__free(chosen);
    return status;
}

static nissl_status take_factors(nissl_plan *plan, nissl_error *err)
{
    int n = nissl_stimuli_n_factors(plan->stimuli);
    plan->factors = nissl__alloc((size_t)n, sizeof *plan->factors);
    if (!plan->factors)
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *plan->factors);
    for (int i = 0; i < n; i++) {
        const nissl_factor *factor = nissl_stimuli_factor(plan->stimuli, i);
        if (factor->n_levels > 0)
            plan->factors[plan->n_factors++] = factor;
    }
    return NISSL_OK;
}

static nissl_status count_costs(nissl_plan *plan, nissl_error *err)
{
    plan->costs = nissl__alloc(plan->n_sites * plan->n_reducers, sizeof *plan->costs);
    if (!plan->costs)
        return NISSL__NO_MEMORY(err, plan->n_sites * plan->n_reducers * sizeof *plan->costs);
    for (size_t s = 0; s < plan->n_sites; s++) {
        const nissl_reducer_site *site = &plan->sites[s].site;
        for (size_t r = 0; r < plan->n_reducers; r++) {
            const nissl_reducer *reducer = plan->reducers[r];
            bool stream = (reducer->needs & NISSL_REDUCER_STREAM) != 0;
            uint64_t memory = nissl__states_bytes(reducer, site, plan->leaf_stimuli);
            if (memory == 0 && !stream)
                continue;
            plan->costs[plan->n_costs++] = (nissl_plan_cost){.site = plan->sites[s].name,
                                                             .reducer = reducer->name,
                                                             .n_units = site->n_units,
                                                             .n_positions = site->n_positions,
                                                             .memory = memory,
                                                             .disk = reducer->result_bytes(site)};
        }
    }
    return NISSL_OK;
}

/* Nothing here may depend on the number of threads, but for how many are used. */
static void plan_tasks(nissl_plan *plan)
{
    int64_t n_batches = (plan->n_stimuli + plan->batch - 1) / plan->batch;
    int64_t wanted = (TASK_STIMULI + plan->batch - 1) / plan->batch;
    int64_t together = NISSL__MAX(NISSL__MIN(wanted, n_batches / MIN_TASKS), 1);
    plan->task_stimuli = together * plan->batch;
    plan->n_tasks = (n_batches + together - 1) / together;
    plan->workers = (int)NISSL__MIN((int64_t)plan->workers, plan->n_tasks);
    plan->leaf_stimuli =
        (LEAF_STIMULI + plan->task_stimuli - 1) / plan->task_stimuli * plan->task_stimuli;
}

static nissl_status check_options(const nissl_plan_options *opt, nissl_error *err)
{
    if ((int)opt->summary < NISSL_SUMMARY_MEAN || opt->summary > NISSL_SUMMARY_CENTRE)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "no summary of number %d; there are 0 .. 2",
                           (int)opt->summary);
    if (opt->top_k < 0 || opt->top_k > MAX_TOP_K)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "top_k = %lld is outside 0 .. %d",
                           (long long)opt->top_k, MAX_TOP_K);
    if (opt->batch < 0 || opt->batch > 65536)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "batch = %lld is outside 0 .. 65536",
                           (long long)opt->batch);
    return NISSL_OK;
}

nissl_status nissl_plan_new(nissl_context *ctx, const nissl_network *network,
                            const nissl_stimuli *stimuli, const nissl_plan_options *opt,
                            nissl_plan **out, nissl_error *err)
{
    nissl_plan_options options = opt ? *opt : nissl_plan_options_default();
    nissl_program *program = NULL;
    nissl_plan *plan = NULL;
    nissl_status status = check_options(&options, err);
    if (status != NISSL_OK)
        return status;
    plan = nissl__alloc(1, sizeof *plan);
    if (!plan)
        return NISSL__NO_MEMORY(err, sizeof *plan);
    plan->stimuli = stimuli;
    plan->workers = nissl_context_threads(ctx);
    plan->summary = options.summary;
    plan->top_k = options.top_k ? options.top_k : DEFAULT_TOP_K;
    plan->n_stimuli = nissl_stimuli_count(stimuli);
    plan->top_k = NISSL__MIN(plan->top_k, NISSL__MAX(plan->n_stimuli, 1));
    if (plan->n_stimuli < 1) {
        status = NISSL__FAIL(err, NISSL_ERR_RANGE, "%s has 0 stimuli; a recording needs 1",
                             nissl_stimuli_source(stimuli));
        goto done;
    }
    status = bind_input(plan, network, err);
    if (status == NISSL_OK)
        status = take_factors(plan, err);
    if (status == NISSL_OK)
        status = choose_reducers(plan, options.reducers ? options.reducers : DEFAULT_REDUCERS, err);
    if (status == NISSL_OK)
        status = compile(ctx, plan, network, options.batch, true, &program, err);
    if (status == NISSL_OK)
        status = take_sites(plan, program, options.sites, err);
    if (status != NISSL_OK)
        goto done;
    plan->batch = nissl_program_batch(program);
    if (options.batch == 0)
        plan->batch = NISSL__MIN(plan->batch, plan->n_stimuli);
    /* only a whole program knows what its weights and buffers take; recording goes on to use it */
    status = compile(ctx, plan, network, plan->batch, false, &plan->program, err);
    if (status != NISSL_OK)
        goto done;
    plan->network = network;
    plan->batch = nissl_program_batch(plan->program);
    plan->input.shape[0] = plan->batch;
    plan->weight_bytes = nissl_program_weight_bytes(plan->program);
    plan->run_bytes = nissl_program_run_bytes(plan->program);
    plan_tasks(plan);
    if (plan->needs_quadrants)
        status = nissl__plan_gates(plan, err);
    if (status == NISSL_OK)
        status = count_costs(plan, err);

done:
    nissl_program_free(program);
    if (status == NISSL_OK)
        *out = plan;
    else
        nissl_plan_free(plan);
    return status;
}

size_t nissl_plan_n_costs(const nissl_plan *plan)
{
    return plan->n_costs;
}

const nissl_plan_cost *nissl_plan_cost_at(const nissl_plan *plan, size_t index)
{
    return index < plan->n_costs ? &plan->costs[index] : NULL;
}

int64_t nissl_plan_batch(const nissl_plan *plan)
{
    return plan->batch;
}

uint64_t nissl_plan_memory(const nissl_plan *plan, int n_subjects)
{
    uint64_t workers = (uint64_t)plan->workers, batch = (uint64_t)plan->batch;
    uint64_t slot = (uint64_t)plan->task_stimuli * (uint64_t)plan->n_units *
                        (sizeof(float) + (plan->needs_active ? sizeof(uint32_t) : 0)) +
                    (uint64_t)plan->task_stimuli * (uint64_t)plan->n_gated * NISSL_N_QUADRANTS *
                        NISSL__QUADRANT_BYTES;
    uint64_t worker = batch * (uint64_t)plan->stimulus_size * nissl_type_size(plan->input.type) +
                      3 * (uint64_t)plan->max_units * sizeof(double) + (uint64_t)plan->sign_bytes;
    uint64_t subject =
        plan->weight_bytes + workers * plan->run_bytes + (uint64_t)nissl__plan_slots(plan) * slot;
    for (size_t i = 0; i < plan->n_costs; i++)
        subject += plan->costs[i].memory;
    return (uint64_t)n_subjects * subject + workers * worker;
}

uint64_t nissl_plan_resident(const nissl_plan *plan, int n_subjects)
{
    uint64_t now = nissl__resident_now();
    return now ? now + nissl_plan_memory(plan, n_subjects) - plan->weight_bytes : 0;
}

uint64_t nissl_plan_disk(const nissl_plan *plan)
{
    uint64_t total = nissl__store_overhead(plan);
    for (size_t i = 0; i < plan->n_costs; i++)
        total += plan->costs[i].disk;
    return total;
}
