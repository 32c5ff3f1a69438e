/* The context: options, the worker pool, progress and log. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "foundation/foundation.h"

/* One nissl__parallel call. */
typedef struct pool_job {
    int64_t n;
    nissl__task_fn task;
    void *user;
    _Atomic int64_t next;
    _Atomic bool failed;
    int64_t failed_task; /* guarded by the context's lock */
    nissl_status status;
    nissl_error error;
} pool_job;

struct nissl_context {
    nissl_context_options opt;
    _Atomic bool cancelled;
    pthread_t *workers; /* threads - 1 of them; the caller is worker 0 */
    int n_started;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pool_job *job;       /* the current one, or NULL */
    uint64_t generation; /* counts jobs */
    int n_active;        /* workers still inside the current job */
    bool stop;
    pthread_mutex_t progress_lock;
};

typedef struct worker_start {
    nissl_context *ctx;
    int worker;
} worker_start;

static _Thread_local bool inside_job; /* a nested nissl__parallel runs inline */
static _Thread_local int this_worker;

static int usable_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return 1;
}

nissl_context_options nissl_context_options_default(void)
{
    return (nissl_context_options){0};
}

static void work_on(nissl_context *ctx, pool_job *job, int worker)
{
    bool outer = inside_job;
    inside_job = true;
    this_worker = worker;
    while (!atomic_load(&job->failed)) {
        int64_t task = atomic_fetch_add(&job->next, 1);
        nissl_error error = {0};
        nissl_status status;
        if (task >= job->n)
            break;
        if (atomic_load(&ctx->cancelled))
            status = NISSL__FAIL(&error, NISSL_ERR_CANCELLED, "cancelled");
        else
            status = job->task(job->user, task, worker, &error);
        if (status != NISSL_OK) {
            pthread_mutex_lock(&ctx->lock);
            if (!atomic_load(&job->failed) || task < job->failed_task) {
                job->failed_task = task;
                job->status = status;
                job->error = error;
            }
            atomic_store(&job->failed, true);
            pthread_mutex_unlock(&ctx->lock);
        }
    }
    inside_job = outer;
}

static void *worker_main(void *argument)
{
    worker_start start = *(worker_start *)argument;
    nissl_context *ctx = start.ctx;
    uint64_t seen = 0;
    free(argument);
    pthread_mutex_lock(&ctx->lock);
    for (;;) {
        while (!ctx->stop && ctx->generation == seen)
            pthread_cond_wait(&ctx->wake, &ctx->lock);
        if (ctx->stop)
            break;
        seen = ctx->generation;
        pool_job *current = ctx->job;
        if (!current)
            continue;
        ctx->n_active++;
        pthread_mutex_unlock(&ctx->lock);
        work_on(ctx, current, start.worker);
        pthread_mutex_lock(&ctx->lock);
        if (--ctx->n_active == 0)
            pthread_cond_signal(&ctx->done);
    }
    pthread_mutex_unlock(&ctx->lock);
    return NULL;
}

nissl_status nissl_context_new(const nissl_context_options *opt, nissl_context **out,
                               nissl_error *err)
{
    nissl_context_options options = opt ? *opt : nissl_context_options_default();
    nissl_context *ctx = NULL;
    if (options.threads < 0 || options.threads > 1024)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "threads = %d is outside 0 .. 1024",
                           options.threads);
    if (options.threads == 0)
        options.threads = usable_cpus();
    ctx = nissl__alloc(1, sizeof *ctx);
    if (!ctx)
        return NISSL__NO_MEMORY(err, sizeof *ctx);
    ctx->opt = options;
    pthread_mutex_init(&ctx->lock, NULL);
    pthread_mutex_init(&ctx->progress_lock, NULL);
    pthread_cond_init(&ctx->wake, NULL);
    pthread_cond_init(&ctx->done, NULL);
    ctx->workers = nissl__alloc((size_t)options.threads, sizeof *ctx->workers);
    if (!ctx->workers) {
        nissl_context_free(ctx);
        return NISSL__NO_MEMORY(err, (size_t)options.threads * sizeof *ctx->workers);
    }
    for (int i = 1; i < options.threads; i++) {
        worker_start *start = malloc(sizeof *start);
        if (start)
            *start = (worker_start){ctx, i};
        if (!start ||
            pthread_create(&ctx->workers[ctx->n_started], NULL, worker_main, start) != 0) {
            free(start);
            nissl_context_free(ctx);
            return NISSL__FAIL(err, NISSL_ERR_MEMORY, "cannot start worker %d of %d", i + 1,
                               options.threads);
        }
        ctx->n_started++;
    }
    *out = ctx;
    return NISSL_OK;
}

void nissl_context_free(nissl_context *ctx)
{
    if (!ctx)
        return;
    pthread_mutex_lock(&ctx->lock);
    ctx->stop = true;
    pthread_cond_broadcast(&ctx->wake);
    pthread_mutex_unlock(&ctx->lock);
    for (int i = 0; i < ctx->n_started; i++)
        pthread_join(ctx->workers[i], NULL);
    pthread_cond_destroy(&ctx->wake);
    pthread_cond_destroy(&ctx->done);
    pthread_mutex_destroy(&ctx->lock);
    pthread_mutex_destroy(&ctx->progress_lock);
    nissl__free(ctx->workers);
    nissl__free(ctx);
}

int nissl_context_threads(const nissl_context *ctx)
{
    return ctx->opt.threads;
}

uint64_t nissl_context_seed(const nissl_context *ctx)
{
    return ctx->opt.seed;
}

void nissl_context_cancel(nissl_context *ctx)
{
    atomic_store(&ctx->cancelled, true);
}

bool nissl_context_cancelled(const nissl_context *ctx)
{
    return atomic_load(&ctx->cancelled);
}

uint64_t nissl__memory_limit(const nissl_context *ctx)
{
    if (ctx && ctx->opt.memory_limit)
        return ctx->opt.memory_limit;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : (uint64_t)1 << 30;
}

nissl_status nissl__parallel(nissl_context *ctx, int64_t n, nissl__task_fn task, void *user,
                             nissl_error *err)
{
    pool_job current = {.n = n, .task = task, .user = user};
    if (inside_job || ctx->opt.threads == 1 || n <= 1) {
        work_on(ctx, &current, inside_job ? this_worker : 0);
    } else {
        pthread_mutex_lock(&ctx->lock);
        ctx->job = &current;
        ctx->generation++;
        pthread_cond_broadcast(&ctx->wake);
        pthread_mutex_unlock(&ctx->lock);
        work_on(ctx, &current, 0);
        pthread_mutex_lock(&ctx->lock);
        ctx->job = NULL;
        while (ctx->n_active > 0)
            pthread_cond_wait(&ctx->done, &ctx->lock);
        pthread_mutex_unlock(&ctx->lock);
    }
    if (atomic_load(&current.failed)) {
        if (err)
            *err = current.error;
        return current.status;
    }
    return NISSL_OK;
}

double nissl__now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void nissl__progress_begin(nissl__progress *progress, nissl_context *ctx, const char *task,
                           const char *noun, uint64_t total)
{
    *progress = (nissl__progress){
        .ctx = ctx, .state = {.task = task, .noun = noun, .total = total, .remaining = -1}};
    progress->started = progress->last = nissl__now();
}

static void report(nissl__progress *progress, double now)
{
    nissl_progress *state = &progress->state;
    state->seconds = now - progress->started;
    state->rate = state->seconds > 0 ? (double)state->done / state->seconds : 0;
    state->remaining = state->rate > 0 && state->total >= state->done
                           ? (double)(state->total - state->done) / state->rate
                           : -1;
    progress->last = now;
    progress->ctx->opt.progress(progress->ctx->opt.progress_user, state);
}

void nissl__progress_add(nissl__progress *progress, uint64_t done, uint64_t bytes)
{
    if (!progress->ctx || !progress->ctx->opt.progress)
        return;
    pthread_mutex_lock(&progress->ctx->progress_lock);
    progress->state.done += done;
    progress->state.bytes += bytes;
    double now = nissl__now();
    if (now - progress->last >= 0.1)
        report(progress, now);
    pthread_mutex_unlock(&progress->ctx->progress_lock);
}

void nissl__progress_end(nissl__progress *progress)
{
    if (!progress->ctx || !progress->ctx->opt.progress)
        return;
    pthread_mutex_lock(&progress->ctx->progress_lock);
    progress->state.finished = true;
    report(progress, nissl__now());
    pthread_mutex_unlock(&progress->ctx->progress_lock);
}

void nissl__log(nissl_context *ctx, nissl_log_level level, const char *format, ...)
{
    char line[1024];
    va_list args;
    if (!ctx || !ctx->opt.log)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ctx->opt.log(ctx->opt.log_user, level, line);
}
