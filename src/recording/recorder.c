/*
 * The recorder: one pass over the stimuli for one or more networks of one graph.
 *
 * A task is one or more micro-batches: at least 16 stimuli, where there are enough, since states
 * leave the cache between tasks. It loads the stimuli, runs every subject, and keeps the summary of
 * every site in a slot. Slots then go through stages, one per subject and site, which update the
 * reducers and write the responses. A stage takes slots strictly in order, by whichever worker is
 * free, so the results do not depend on who ran what; workers do not wait for a stage that is busy
 * or not ready but go on with the next task while slots last.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "recording/recorder.h"
#include "foundation/foundation.h"
#include "network/run.h"
#include "recording/plan.h"
#include "recording/provenance.h"
#include "recording/quadrants.h"
#include "recording/states.h"
#include "recording/store.h"
#include "recording/summary.h"

/* Values of one task of one subject at all sites. */
typedef struct slot {
    float *value;               /* site by site [n_stimuli of this task, n_units] */
    uint32_t *active;           /* the same, or NULL */
    nissl__quadrants quadrants; /* gated site by gated site [n_stimuli of this task, 4, n_units] */
} slot;

typedef struct subject {
    nissl_program *compiled; /* its own program; NULL where it is the plan's */
    const nissl_program *program;
    int64_t *site_of;      /* [sites of the program] index in the plan, -1 = not recorded */
    bool chains;           /* sites of a chain are summarised at once */
    nissl_run **runs;      /* [workers] */
    slot *slots;           /* [n_slots] */
    nissl__states *states; /* [n_sites, n_reducers] */
    nissl__store *store;
    char *provenance;
} subject;

typedef struct stage {
    int64_t next; /* task it takes next */
    bool busy;
} stage;

typedef struct recorder {
    nissl_context *ctx;
    const nissl_plan *plan;
    const nissl__summary_kernels *kernels;
    size_t n_subjects;
    subject *subjects;
    int64_t n_slots;
    void **inputs;    /* [workers] stimuli of a micro-batch */
    double **scratch; /* [workers] */
    uint8_t **signs;  /* [workers] plan->sign_bytes, or NULL */
    uint64_t allocated;
    nissl__progress progress;

    /* guarded by lock */
    pthread_mutex_t lock;
    pthread_cond_t freed;
    stage *stages;      /* [n_subjects * n_sites] */
    bool *worker_taken; /* [workers] sets of runs and buffers in use */
    int64_t *ready;     /* [n_slots] task whose values the slot holds, -1 = none */
    int64_t *left;      /* [n_slots] stages that have not taken it */
    int64_t done;       /* tasks that all stages have taken */
    bool failed;
    nissl_status status;
    nissl_error error;
} recorder;

/* One run under way. */
typedef struct watch {
    recorder *rec;
    const subject *subject;
    const slot *slot;
    int64_t n_task;           /* stimuli of the task */
    int64_t first, n_stimuli; /* those of this micro-batch, counted in the task */
    int64_t first_in_set;     /* of the micro-batch */
    double *scratch;
    uint8_t *signs;
} watch;

static void *take(recorder *rec, size_t count, size_t size)
{
    void *memory = nissl__alloc(count, size);
    rec->allocated += memory ? count * size : 0;
    return memory;
}

static int64_t task_size(const nissl_plan *plan, int64_t task)
{
    return NISSL__MIN(plan->task_stimuli, plan->n_stimuli - task * plan->task_stimuli);
}

/* ---- running the micro-batches of a task ---- */

/* One stimulus of a view without the padding behind its tokens. */
static nissl_view one_stimulus(const nissl_plan *plan, const nissl_view *view, int64_t index,
                               int64_t index_in_set)
{
    nissl_view one = *view;
    for (int axis = 0; axis < view->rank; axis++) {
        if (view->role[axis] == NISSL_AXIS_STIMULUS) {
            one.shape[axis] = 1;
            one.data = (char *)view->data +
                       index * view->stride[axis] * (int64_t)nissl_type_size(view->type);
        } else if (plan->padded_to > 0 && view->role[axis] == NISSL_AXIS_POSITION &&
                   view->shape[axis] == plan->padded_to) {
            one.shape[axis] = nissl_stimuli_length(plan->stimuli, index_in_set);
        }
    }
    return one;
}

/* Padded stimuli one by one, each as if it had its own tokens alone. */
static nissl_status summarise_padded(const watch *w, const nissl_view *view, float *value,
                                     uint32_t *active, nissl_error *err)
{
    const nissl_plan *plan = w->rec->plan;
    nissl_status status = NISSL_OK;
    int64_t n_units = 1;
    for (int axis = 0; axis < view->rank; axis++)
        n_units *= view->role[axis] == NISSL_AXIS_UNIT ? view->shape[axis] : 1;
    for (int64_t i = 0; i < w->n_stimuli && status == NISSL_OK; i++) {
        nissl_view one = one_stimulus(plan, view, i, w->first_in_set + i);
        status = nissl__summarise(w->rec->kernels, plan->summary, &one, 1, w->scratch,
                                  value + i * n_units, active ? active + i * n_units : NULL, err);
    }
    return status;
}

/* Quadrants from index first of those of a gated site that n_task stimuli fill. */
static nissl__quadrants quadrants_at(const slot *of, const nissl__planned_site *site,
                                     int64_t n_task, int64_t first)
{
    int64_t at = NISSL_N_QUADRANTS * (site->first_gated * n_task + first * site->site.n_units);
    return (nissl__quadrants){of->quadrants.count + at, of->quadrants.position + at,
                              of->quadrants.value + at};
}

/* The inputs of a gated site leave their signs; the site then meets them. */
static void observe_gates(const watch *w, const nissl__planned_site *site, const nissl_view *view)
{
    const nissl_plan *plan = w->rec->plan;
    const nissl__planned_site *product = site->product < 0 ? site : &plan->sites[site->product];
    nissl_view signs = nissl__signs_beside(view, w->signs + product->signs_at);
    if (site->product >= 0) {
        nissl__signs_note(view, w->n_stimuli, site->shift, &signs);
        return;
    }
    for (int64_t i = 0; i < w->n_stimuli; i++) {
        nissl_view one = one_stimulus(plan, view, i, w->first_in_set + i);
        nissl_view beside = one_stimulus(plan, &signs, i, w->first_in_set + i);
        nissl__quadrants_reduce(&one, &beside,
                                quadrants_at(w->slot, site, w->n_task, w->first + i));
    }
}

static nissl_status observe(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    const watch *w = user;
    const nissl_plan *plan = w->rec->plan;
    int64_t index = w->subject->site_of[site], at;
    nissl_status status;
    if (index < 0)
        return NISSL_OK;
    at = plan->sites[index].first_unit * w->n_task + w->first * plan->sites[index].site.n_units;
    float *value = w->slot->value + at;
    uint32_t *active = w->slot->active ? w->slot->active + at : NULL;
    status = plan->sites[index].token_axes
                 ? summarise_padded(w, view, value, active, err)
                 : nissl__summarise(w->rec->kernels, plan->summary, view, w->n_stimuli, w->scratch,
                                    value, active, err);
    if (status != NISSL_OK)
        nissl__error_prefix(err, "site %s", plan->sites[index].name);
    else if (plan->sites[index].site.gated || plan->sites[index].product >= 0)
        observe_gates(w, &plan->sites[index], view);
    return status;
}

/* Only where every site is recorded by its mean and none is padded. */
static nissl_status observe_chain(void *user, const nissl__chain *chain, const nissl_view *first,
                                  const nissl_view *scaled, const nissl_view *clipped,
                                  nissl_error *err)
{
    const watch *w = user;
    const nissl_plan *plan = w->rec->plan;
    const int sites[3] = {chain->first, chain->scaled, chain->clipped};
    nissl__summary_of of[3];
    memset(of, 0, sizeof of);
    (void)err;
    for (int i = 0; i < 3; i++) {
        if (sites[i] < 0)
            continue;
        const nissl__planned_site *planned = &plan->sites[w->subject->site_of[sites[i]]];
        int64_t at = planned->first_unit * w->n_task + w->first * planned->site.n_units;
        of[i].value = w->slot->value + at;
        of[i].active = w->slot->active ? w->slot->active + at : NULL;
    }
    nissl__summarise_chain(w->rec->kernels, chain, first, scaled, clipped, w->n_stimuli, w->scratch,
                           of);
    return NISSL_OK;
}

/* The micro-batch that begins with stimulus first of the task. */
static nissl_status run_batch(recorder *rec, int64_t task, int64_t first, int worker,
                              nissl_error *err)
{
    const nissl_plan *plan = rec->plan;
    int64_t n_task = task_size(plan, task), n = NISSL__MIN(plan->batch, n_task - first);
    size_t size = (size_t)plan->stimulus_size * nissl_type_size(plan->input.type);
    char *input = rec->inputs[worker];
    int64_t first_in_set = task * plan->task_stimuli + first;
    nissl_view view = plan->input;
    nissl_status status = nissl_stimuli_load(plan->stimuli, first_in_set, n, input, err);
    /* the tail is filled up with its last stimulus; nobody sees what comes of that */
    for (int64_t i = n; i < plan->batch && status == NISSL_OK; i++)
        memcpy(input + (size_t)i * size, input + (size_t)(n - 1) * size, size);
    view.data = input;
    for (size_t s = 0; s < rec->n_subjects && status == NISSL_OK; s++) {
        subject *of = &rec->subjects[s];
        watch w = {rec,
                   of,
                   &of->slots[task % rec->n_slots],
                   n_task,
                   first,
                   n,
                   first_in_set,
                   rec->scratch[worker],
                   rec->signs[worker]};
        status = nissl__run_forward_chaining(of->runs[worker], &view, 1, observe,
                                             of->chains ? observe_chain : NULL, &w, err);
    }
    return status;
}

static nissl_status run_task(recorder *rec, int64_t task, int worker, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    for (int64_t first = 0; first < task_size(rec->plan, task) && status == NISSL_OK;
         first += rec->plan->batch)
        status = nissl_context_cancelled(rec->ctx)
                     ? NISSL__FAIL(err, NISSL_ERR_CANCELLED, "cancelled")
                     : run_batch(rec, task, first, worker, err);
    return status;
}

/* ---- stages ---- */

/* (stimulus, position) pairs of a task at a site that are no padding. */
static int64_t count_samples(const nissl_plan *plan, size_t site, int64_t first, int64_t n)
{
    const nissl__planned_site *planned = &plan->sites[site];
    int64_t total = 0, other = planned->site.n_positions;
    for (int k = 0; k < planned->token_axes; k++)
        other /= plan->padded_to;
    if (planned->token_axes == 0)
        return n * other;
    for (int64_t i = first; i < first + n; i++) {
        int64_t count = other;
        for (int k = 0; k < planned->token_axes; k++)
            count *= nissl_stimuli_length(plan->stimuli, i);
        total += count;
    }
    return total;
}

static nissl_status take_slot(recorder *rec, size_t index, int64_t task, nissl_error *err)
{
    const nissl_plan *plan = rec->plan;
    size_t site = index % plan->n_sites;
    const subject *of = &rec->subjects[index / plan->n_sites];
    const slot *from = &of->slots[task % rec->n_slots];
    const nissl_reducer_site *about = &plan->sites[site].site;
    int64_t n = task_size(plan, task), at = plan->sites[site].first_unit * n;
    nissl_batch b = {.first = task * plan->task_stimuli,
                     .n_stimuli = n,
                     .n_units = about->n_units,
                     .n_positions = about->n_positions,
                     .n_samples = count_samples(plan, site, task * plan->task_stimuli, n),
                     .value = from->value + at,
                     .active = from->active ? from->active + at : NULL};
    nissl_status status = NISSL_OK;
    if (about->gated) {
        nissl__quadrants quadrants = quadrants_at(from, &plan->sites[site], n, 0);
        b.quadrant_count = quadrants.count;
        b.quadrant_position = quadrants.position;
        b.quadrant_value = quadrants.value;
    }
    for (size_t r = 0; r < plan->n_reducers && status == NISSL_OK; r++) {
        nissl__states *states = &of->states[site * plan->n_reducers + r];
        if (plan->reducers[r]->needs & NISSL_REDUCER_STREAM)
            status = nissl__store_responses(of->store, site, b.first, n, b.value, err);
        else if (states->reducer)
            nissl__states_update(states, &b);
    }
    return status;
}

/* Takes slots through every stage that is free and whose next slot is there, until there is none.
 * The lock is held on entry and on return. */
static nissl_status drain(recorder *rec, nissl_error *err)
{
    size_t n = rec->n_subjects * rec->plan->n_sites;
    bool moved = true;
    while (moved && !rec->failed) {
        moved = false;
        for (size_t i = 0; i < n && !rec->failed; i++) {
            stage *s = &rec->stages[i];
            int64_t place = s->next % rec->n_slots, task = s->next;
            nissl_status status;
            if (s->busy || rec->ready[place] != task)
                continue;
            s->busy = true;
            pthread_mutex_unlock(&rec->lock);
            status = take_slot(rec, i, task, err);
            pthread_mutex_lock(&rec->lock);
            s->busy = false;
            s->next++;
            if (status != NISSL_OK)
                return status;
            moved = true;
            if (--rec->left[place] == 0) {
                rec->ready[place] = -1;
                rec->done++;
                pthread_cond_broadcast(&rec->freed);
            }
        }
    }
    return NISSL_OK;
}

/* A set of runs and buffers that no other task uses; there are as many as tasks can be at work. */
static int take_worker(recorder *rec)
{
    int worker = 0;
    while (rec->worker_taken[worker])
        worker++;
    rec->worker_taken[worker] = true;
    return worker;
}

/* Wakes up now and then: a cancelled context starts no tasks, so a slot may never come free. */
static nissl_status wait_for_slot(recorder *rec, nissl_error *err)
{
    struct timespec until;
    if (nissl_context_cancelled(rec->ctx))
        return NISSL__FAIL(err, NISSL_ERR_CANCELLED, "cancelled");
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&rec->freed, &rec->lock, &until);
    return NISSL_OK;
}

static nissl_status record_task(void *user, int64_t task, int thread, nissl_error *err)
{
    recorder *rec = user;
    nissl_status status = NISSL_OK;
    int worker;
    pthread_mutex_lock(&rec->lock);
    while (!rec->failed && status == NISSL_OK && task >= rec->done + rec->n_slots)
        status = wait_for_slot(rec, err);
    if (!rec->failed && status == NISSL_OK) {
        worker = take_worker(rec);
        pthread_mutex_unlock(&rec->lock);
        status = run_task(rec, task, worker, err);
        pthread_mutex_lock(&rec->lock);
        rec->worker_taken[worker] = false;
        if (status == NISSL_OK) {
            rec->left[task % rec->n_slots] = (int64_t)(rec->n_subjects * rec->plan->n_sites);
            rec->ready[task % rec->n_slots] = task;
            status = drain(rec, err);
        }
    }
    if (status != NISSL_OK && !rec->failed) {
        rec->failed = true;
        rec->status = status;
        if (err)
            rec->error = *err;
        pthread_cond_broadcast(&rec->freed);
    } else if (rec->failed) {
        /* whoever stops because of a failure reports that one */
        status = rec->status;
        if (err)
            *err = rec->error;
    }
    pthread_mutex_unlock(&rec->lock);
    if (status == NISSL_OK) {
        uint64_t n = (uint64_t)task_size(rec->plan, task);
        uint64_t bytes = n * (uint64_t)rec->plan->n_units * sizeof(float) * rec->n_subjects;
        nissl__progress_add(&rec->progress, n, rec->plan->streams ? bytes : 0);
    }
    return status;
}

/* ---- before and after ---- */

static nissl_status compile_subject(nissl_context *ctx, recorder *rec, subject *of,
                                    const nissl_network *network, nissl_error *err)
{
    const nissl_plan *plan = rec->plan;
    nissl_program_options opt = nissl_program_options_default();
    size_t n, n_found = 0;
    nissl_status status;
    opt.batch = plan->batch;
    opt.threads = 1;
    opt.observe = plan->observe;
    opt.n_observe = plan->n_sites;
    opt.input_shapes = &plan->input;
    opt.n_input_shapes = 1;
    of->program = plan->program;
    if (network != plan->network) {
        status = nissl_program_compile(ctx, network, &opt, &of->compiled, err);
        if (status != NISSL_OK)
            return status;
        of->program = of->compiled;
    }
    n = nissl_program_n_sites(of->program);
    /* where signs wait was laid out for the order of the plan's program */
    for (size_t i = 0; plan->n_gated > 0 && i < n; i++) {
        const nissl_site *site = nissl_program_site(plan->program, i);
        if (!site || strcmp(site->name, nissl_program_site(of->program, i)->name) != 0)
            return NISSL__FAIL(err, NISSL_ERR_SHAPE, "%s computes site %s in another order",
                               nissl_network_path(network),
                               nissl_program_site(of->program, i)->name);
    }
    of->site_of = nissl__alloc(n, sizeof *of->site_of);
    if (!of->site_of)
        return NISSL__NO_MEMORY(err, n * sizeof *of->site_of);
    for (size_t i = 0; i < n; i++) {
        const nissl_site *site = nissl_program_site(of->program, i);
        of->site_of[i] = -1;
        for (size_t k = 0; k < plan->n_sites && of->site_of[i] < 0; k++) {
            const nissl_reducer_site *planned = &plan->sites[k].site;
            if (strcmp(plan->sites[k].name, site->name) != 0)
                continue;
            if (planned->n_units != site->n_units || planned->n_positions != site->n_positions)
                return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                                   "site %s of %s has %lld units and %lld positions, of the plan "
                                   "%lld and %lld",
                                   site->name, nissl_network_path(network),
                                   (long long)site->n_units, (long long)site->n_positions,
                                   (long long)planned->n_units, (long long)planned->n_positions);
            of->site_of[i] = (int64_t)k;
            n_found++;
        }
    }
    if (n_found != plan->n_sites || nissl_program_batch(of->program) != plan->batch)
        return NISSL__FAIL(
            err, NISSL_ERR_SHAPE,
            "%s has %zu of the plan's %zu sites and micro-batch %lld, the plan %lld: "
            "another graph",
            nissl_network_path(network), n_found, plan->n_sites,
            (long long)nissl_program_batch(of->program), (long long)plan->batch);
    of->chains = n_found == n && plan->summary == NISSL_SUMMARY_MEAN && plan->padded_to == 0 &&
                 plan->n_gated == 0;
    rec->allocated += nissl_program_weight_bytes(of->program);
    return NISSL_OK;
}

static nissl_status new_quadrants(recorder *rec, size_t n, nissl__quadrants *out, nissl_error *err)
{
    out->count = take(rec, n, sizeof *out->count);
    out->position = take(rec, n, sizeof *out->position);
    out->value = take(rec, n, sizeof *out->value);
    return out->count && out->position && out->value
               ? NISSL_OK
               : NISSL__NO_MEMORY(err, n * NISSL__QUADRANT_BYTES);
}

static nissl_status new_buffers(recorder *rec, subject *of, nissl_error *err)
{
    const nissl_plan *plan = rec->plan;
    size_t n = (size_t)(plan->task_stimuli * plan->n_units);
    size_t n_gated = (size_t)(plan->task_stimuli * NISSL_N_QUADRANTS * plan->n_gated);
    nissl_status status = NISSL_OK;
    of->runs = nissl__alloc((size_t)plan->workers, sizeof *of->runs);
    of->slots = nissl__alloc((size_t)rec->n_slots, sizeof *of->slots);
    of->states = nissl__alloc(plan->n_sites * plan->n_reducers, sizeof *of->states);
    if (!of->runs || !of->slots || !of->states)
        return NISSL__NO_MEMORY(err, plan->n_sites * plan->n_reducers * sizeof *of->states);
    for (int w = 0; w < plan->workers && status == NISSL_OK; w++) {
        status = nissl_run_new(of->program, &of->runs[w], err);
        rec->allocated += status == NISSL_OK ? nissl_program_run_bytes(of->program) : 0;
    }
    for (int64_t i = 0; i < rec->n_slots && status == NISSL_OK; i++) {
        of->slots[i].value = take(rec, n, sizeof(float));
        if (plan->needs_active)
            of->slots[i].active = take(rec, n, sizeof(uint32_t));
        if (!of->slots[i].value || (plan->needs_active && !of->slots[i].active))
            status = NISSL__NO_MEMORY(err, n * sizeof(float));
        if (status == NISSL_OK && n_gated > 0)
            status = new_quadrants(rec, n_gated, &of->slots[i].quadrants, err);
    }
    for (size_t i = 0; i < plan->n_sites * plan->n_reducers && status == NISSL_OK; i++) {
        const nissl_reducer *reducer = plan->reducers[i % plan->n_reducers];
        const nissl_reducer_site *site = &plan->sites[i / plan->n_reducers].site;
        if (nissl__states_bytes(reducer, site, plan->leaf_stimuli) > 0)
            status = nissl__states_new(reducer, site, plan->leaf_stimuli, &of->states[i],
                                       &rec->allocated, err);
    }
    return status;
}

static nissl_status new_shared(recorder *rec, nissl_error *err)
{
    const nissl_plan *plan = rec->plan;
    size_t workers = (size_t)plan->workers;
    size_t input = (size_t)(plan->batch * plan->stimulus_size);
    rec->inputs = nissl__alloc(workers, sizeof *rec->inputs);
    rec->scratch = nissl__alloc(workers, sizeof *rec->scratch);
    rec->signs = nissl__alloc(workers, sizeof *rec->signs);
    rec->worker_taken = nissl__alloc(workers, sizeof *rec->worker_taken);
    rec->stages = nissl__alloc(rec->n_subjects * plan->n_sites, sizeof *rec->stages);
    rec->ready = nissl__alloc((size_t)rec->n_slots, sizeof *rec->ready);
    rec->left = nissl__alloc((size_t)rec->n_slots, sizeof *rec->left);
    if (!rec->inputs || !rec->scratch || !rec->signs || !rec->worker_taken || !rec->stages ||
        !rec->ready || !rec->left)
        return NISSL__NO_MEMORY(err, rec->n_subjects * plan->n_sites * sizeof *rec->stages);
    for (int64_t i = 0; i < rec->n_slots; i++)
        rec->ready[i] = -1;
    for (size_t w = 0; w < workers; w++) {
        rec->inputs[w] = take(rec, input, nissl_type_size(plan->input.type));
        rec->scratch[w] = take(rec, 3 * (size_t)plan->max_units, sizeof(double));
        if (!rec->inputs[w] || !rec->scratch[w])
            return NISSL__NO_MEMORY(err, input * nissl_type_size(plan->input.type));
        rec->signs[w] = plan->sign_bytes ? take(rec, (size_t)plan->sign_bytes, 1) : NULL;
        if (plan->sign_bytes && !rec->signs[w])
            return NISSL__NO_MEMORY(err, (size_t)plan->sign_bytes);
    }
    return NISSL_OK;
}

/* Runs and values are given back before results are made. */
static void free_buffers(recorder *rec, subject *of)
{
    for (int w = 0; of->runs && w < rec->plan->workers; w++)
        nissl_run_free(of->runs[w]);
    for (int64_t i = 0; of->slots && i < rec->n_slots; i++) {
        nissl__free(of->slots[i].value);
        nissl__free(of->slots[i].active);
        nissl__free(of->slots[i].quadrants.count);
        nissl__free(of->slots[i].quadrants.position);
        nissl__free(of->slots[i].quadrants.value);
    }
    nissl__free(of->runs);
    nissl__free(of->slots);
    nissl__free(of->site_of);
    nissl_program_free(of->compiled);
    of->runs = NULL;
    of->slots = NULL;
    of->site_of = NULL;
    of->compiled = NULL;
    of->program = NULL;
}

static void free_recorder(recorder *rec)
{
    const nissl_plan *plan = rec->plan;
    for (size_t s = 0; rec->subjects && s < rec->n_subjects; s++) {
        subject *of = &rec->subjects[s];
        free_buffers(rec, of);
        for (size_t i = 0; of->states && i < plan->n_sites * plan->n_reducers; i++)
            nissl__states_free(&of->states[i]);
        nissl__free(of->states);
        nissl__store_free(of->store);
        nissl__free(of->provenance);
    }
    for (int w = 0; w < plan->workers; w++) {
        if (rec->inputs)
            nissl__free(rec->inputs[w]);
        if (rec->scratch)
            nissl__free(rec->scratch[w]);
        if (rec->signs)
            nissl__free(rec->signs[w]);
    }
    nissl__free(rec->subjects);
    nissl__free(rec->inputs);
    nissl__free(rec->scratch);
    nissl__free(rec->signs);
    nissl__free(rec->worker_taken);
    nissl__free(rec->stages);
    nissl__free(rec->ready);
    nissl__free(rec->left);
    pthread_cond_destroy(&rec->freed);
    pthread_mutex_destroy(&rec->lock);
}

/* Where an array that a reducer emits belongs. */
typedef struct emission {
    nissl__store *store;
    size_t site;
    const char *reducer;
} emission;

static nissl_status emit(void *user, const char *name, const char *unit, const char *description,
                         const nissl_array *array, nissl_error *err)
{
    const emission *e = user;
    char *full = nissl__format("%s/%s", e->reducer, name);
    nissl_status status =
        full ? nissl__store_array(e->store, e->site, full, unit, description, array, err)
             : NISSL__NO_MEMORY(err, strlen(name));
    nissl__free(full);
    return status;
}

static nissl_status write_results(recorder *rec, subject *of, nissl_error *err)
{
    const nissl_plan *plan = rec->plan;
    nissl_status status = nissl__store_reopen(of->store, err);
    for (size_t r = 0; r < plan->n_reducers; r++) {
        for (size_t i = 0; i < plan->n_sites && status == NISSL_OK; i++) {
            nissl__states *states = &of->states[i * plan->n_reducers + r];
            emission e = {of->store, i, plan->reducers[r]->name};
            if (!states->reducer)
                continue;
            status =
                states->reducer->finish(nissl__states_finish(states), states->site, emit, &e, err);
            nissl__states_free(states);
        }
        for (size_t i = 0; i < plan->n_sites && status == NISSL_OK; i++)
            if (!(plan->reducers[r]->needs & NISSL_REDUCER_STREAM) &&
                plan->reducers[r]->bytes(&plan->sites[i].site, 1) == 0)
                status = nissl__store_absent(of->store, i, plan->reducers[r]->name, err);
    }
    return status == NISSL_OK ? nissl__store_close(of->store, err) : status;
}

static nissl_status open_store(nissl_context *ctx, recorder *rec, subject *of,
                               const nissl_subject *given, uint64_t stimuli_hash,
                               const nissl_record_options *opt, const char *started,
                               nissl_error *err)
{
    nissl__store_info info = {.role = given->role ? given->role : "network",
                              .model = nissl_network_path(given->network),
                              .source = nissl_stimuli_source(rec->plan->stimuli),
                              .command = opt->command,
                              .started = started};
    nissl_status status = nissl__provenance(ctx, rec->plan, given, stimuli_hash, opt->command,
                                            started, &info.identity, &of->provenance, err);
    info.provenance = of->provenance;
    return status == NISSL_OK
               ? nissl__store_create(rec->plan, given->path, opt->overwrite, &info, &of->store, err)
               : status;
}

static nissl_status check_arguments(const nissl_plan *plan, const nissl_stimuli *stimuli,
                                    const nissl_subject *subjects, size_t n_subjects,
                                    nissl_error *err)
{
    if (n_subjects < 1)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "no network to record");
    if (stimuli != plan->stimuli)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                           "the plan was made for the stimuli %s, not for %s",
                           nissl_stimuli_source(plan->stimuli), nissl_stimuli_source(stimuli));
    for (size_t i = 0; i < n_subjects; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(subjects[i].path, subjects[k].path) == 0)
                return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "two recordings are to be %s",
                                   subjects[i].path);
    return NISSL_OK;
}

nissl_status nissl__record(nissl_context *ctx, const nissl_plan *plan, const nissl_stimuli *stimuli,
                           const nissl_subject *subjects, size_t n_subjects,
                           const nissl_record_options *opt, uint64_t *allocated, nissl_error *err)
{
    nissl_record_options options = opt ? *opt : (nissl_record_options){0};
    recorder rec = {.ctx = ctx, .plan = plan, .n_subjects = n_subjects};
    uint64_t stimuli_hash = 0;
    char started[40];
    time_t now = time(NULL);
    struct tm utc;
    nissl_status status = check_arguments(plan, stimuli, subjects, n_subjects, err);
    if (status != NISSL_OK)
        return status;
    gmtime_r(&now, &utc);
    strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%S+00:00", &utc);
    pthread_mutex_init(&rec.lock, NULL);
    pthread_cond_init(&rec.freed, NULL);
    rec.kernels = nissl__summary_kernels_of(nissl__summary_isa());
    rec.n_slots = nissl__plan_slots(plan);
    rec.subjects = nissl__alloc(n_subjects, sizeof *rec.subjects);
    status = rec.subjects ? new_shared(&rec, err)
                          : NISSL__NO_MEMORY(err, n_subjects * sizeof *rec.subjects);
    if (status == NISSL_OK)
        status = nissl_stimuli_hash(ctx, stimuli, &stimuli_hash, err);
    for (size_t s = 0; s < n_subjects && status == NISSL_OK; s++) {
        status = open_store(ctx, &rec, &rec.subjects[s], &subjects[s], stimuli_hash, &options,
                            started, err);
        if (status == NISSL_OK)
            status = compile_subject(ctx, &rec, &rec.subjects[s], subjects[s].network, err);
        if (status == NISSL_OK)
            status = new_buffers(&rec, &rec.subjects[s], err);
    }
    if (status != NISSL_OK)
        goto done;
    nissl__progress_begin(&rec.progress, ctx, "recording", "stimuli", (uint64_t)plan->n_stimuli);
    status = nissl__parallel(ctx, plan->n_tasks, record_task, &rec, err);
    nissl__progress_end(&rec.progress);
    if (status == NISSL_OK && rec.done != plan->n_tasks)
        status = NISSL__FAIL(err, NISSL_ERR_INTERNAL, "%lld of %lld tasks were reduced",
                             (long long)rec.done, (long long)plan->n_tasks);
    for (size_t s = 0; s < n_subjects; s++)
        free_buffers(&rec, &rec.subjects[s]);
    for (size_t s = 0; s < n_subjects && status == NISSL_OK; s++)
        status = write_results(&rec, &rec.subjects[s], err);
    for (size_t s = 0; s < n_subjects && status == NISSL_OK; s++)
        status = nissl__store_publish(rec.subjects[s].store, err);
    if (status == NISSL_OK && allocated)
        *allocated = rec.allocated;

done:
    free_recorder(&rec);
    return status;
}

nissl_status nissl_record(nissl_context *ctx, const nissl_plan *plan, const nissl_stimuli *stimuli,
                          const nissl_subject *subjects, size_t n_subjects,
                          const nissl_record_options *opt, nissl_error *err)
{
    return nissl__record(ctx, plan, stimuli, subjects, n_subjects, opt, NULL, err);
}
