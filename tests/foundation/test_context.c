#include <stdatomic.h>
#include <time.h>

#include "../check.h"
#include "foundation/foundation.h"

static nissl_context *context_of(int threads)
{
    nissl_context_options opt = nissl_context_options_default();
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    opt.threads = threads;
    opt.seed = 17;
    check_ok(nissl_context_new(&opt, &ctx, &err), err);
    return ctx;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

typedef struct tally {
    nissl_context *ctx;
    _Atomic int *runs;   /* per task */
    _Atomic int *inside; /* per worker: 1 while it works */
    int64_t fail_from;   /* tasks from here on fail */
    _Atomic int64_t started;
    _Atomic int wrong; /* workers must not jump out of an assertion */
} tally;

static nissl_status count_task(void *user, int64_t task, int worker, nissl_error *err)
{
    tally *t = user;
    if (worker < 0 || worker >= nissl_context_threads(t->ctx) ||
        atomic_exchange(&t->inside[worker], 1) != 0) {
        atomic_store(&t->wrong, 1);
        return NISSL_OK;
    }
    atomic_fetch_add(&t->runs[task], 1);
    atomic_store(&t->inside[worker], 0);
    return NISSL_OK;
}

static void every_task_runs_once(void **state)
{
    enum { n = 5000 };
    _Atomic int *runs = calloc(n, sizeof *runs);
    nissl_error err = {0};
    for (int threads = 1; threads <= 4; threads++) {
        nissl_context *ctx = context_of(threads);
        _Atomic int inside[4] = {0};
        tally t = {.ctx = ctx, .runs = runs, .inside = inside};
        assert_int_equal(nissl_context_threads(ctx), threads);
        assert_true(nissl_context_seed(ctx) == 17);
        for (int round = 0; round < 20; round++)
            for (int64_t m = 0; m < n; m = 3 * m + 1) {
                for (int64_t i = 0; i < n; i++)
                    atomic_store(&runs[i], 0);
                check_ok(nissl__parallel(ctx, m, count_task, &t, &err), err);
                for (int64_t i = 0; i < n; i++)
                    assert_int_equal(atomic_load(&runs[i]), i < m);
            }
        assert_int_equal(atomic_load(&t.wrong), 0);
        nissl_context_free(ctx);
    }
    free(runs);
}

static nissl_status failing_task(void *user, int64_t task, int worker, nissl_error *err)
{
    tally *t = user;
    atomic_fetch_add(&t->started, 1);
    /* The lower the task the longer it takes, so that later failures are reported first. */
    for (int64_t i = task; i < t->fail_from + 4; i++)
        nap();
    if (task >= t->fail_from)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "task %lld", (long long)task);
    return NISSL_OK;
}

static void the_lowest_failure_wins(void **state)
{
    for (int threads = 1; threads <= 4; threads++) {
        nissl_context *ctx = context_of(threads);
        nissl_error err = {0};
        tally t = {.ctx = ctx, .fail_from = 10};
        assert_int_equal(nissl__parallel(ctx, 1000, failing_task, &t, &err), NISSL_ERR_RANGE);
        assert_string_equal(err.message, "task 10");
        assert_true(atomic_load(&t.started) <= 10 + threads); /* no new task after the failure */
        assert_int_equal(nissl__parallel(ctx, 1000, failing_task, &t, NULL), NISSL_ERR_RANGE);
        nissl_context_free(ctx);
    }
}

typedef struct outer {
    nissl_context *ctx;
    _Atomic int64_t sum;
    _Atomic int wrong_worker;
} outer;

typedef struct inner {
    outer *outer;
    int worker;
} inner;

static nissl_status inner_task(void *user, int64_t task, int worker, nissl_error *err)
{
    inner *in = user;
    if (worker != in->worker)
        atomic_store(&in->outer->wrong_worker, 1);
    atomic_fetch_add(&in->outer->sum, task);
    return NISSL_OK;
}

static nissl_status outer_task(void *user, int64_t task, int worker, nissl_error *err)
{
    outer *out = user;
    inner in = {out, worker};
    return nissl__parallel(out->ctx, 10, inner_task, &in, err);
}

static void nested_calls_stay_on_their_worker(void **state)
{
    nissl_context *ctx = context_of(3);
    nissl_error err = {0};
    outer out = {.ctx = ctx};
    check_ok(nissl__parallel(ctx, 200, outer_task, &out, &err), err);
    assert_int_equal(atomic_load(&out.sum), 200 * 45);
    assert_int_equal(atomic_load(&out.wrong_worker), 0);
    nissl_context_free(ctx);
}

static nissl_status cancelling_task(void *user, int64_t task, int worker, nissl_error *err)
{
    tally *t = user;
    atomic_fetch_add(&t->started, 1);
    if (task == 5)
        nissl_context_cancel(t->ctx);
    return NISSL_OK;
}

static void cancelling_stops_the_work(void **state)
{
    for (int threads = 1; threads <= 2; threads++) {
        nissl_context *ctx = context_of(threads);
        nissl_error err = {0};
        tally t = {.ctx = ctx};
        assert_false(nissl_context_cancelled(ctx));
        assert_int_equal(nissl__parallel(ctx, 1 << 30, cancelling_task, &t, &err),
                         NISSL_ERR_CANCELLED);
        assert_true(atomic_load(&t.started) < 1 << 30);
        assert_true(nissl_context_cancelled(ctx));
        nissl_context_free(ctx);
    }
}

static void bad_options_are_refused(void **state)
{
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    nissl_context_options opt = {.threads = -1};
    assert_int_equal(nissl_context_new(&opt, &ctx, &err), NISSL_ERR_RANGE);
    assert_non_null(strstr(err.message, "-1"));
    opt.threads = 1025;
    assert_int_equal(nissl_context_new(&opt, &ctx, &err), NISSL_ERR_RANGE);
    opt.threads = 2;
    for (uint64_t n = 1; n <= 2; n++) {
        nissl__alloc_fail_at(n);
        assert_int_equal(nissl_context_new(&opt, &ctx, &err), NISSL_ERR_MEMORY);
    }
    assert_null(ctx);
    nissl_context_free(NULL);
    check_ok(nissl_context_new(NULL, &ctx, &err), err); /* automatic */
    assert_true(nissl_context_threads(ctx) >= 1);
    assert_true(nissl__memory_limit(ctx) >= 1u << 20);
    nissl_context_free(ctx);
    opt.memory_limit = 12345;
    check_ok(nissl_context_new(&opt, &ctx, &err), err);
    assert_true(nissl__memory_limit(ctx) == 12345);
    nissl_context_free(ctx);
}

typedef struct reports {
    int n, n_finished, n_wrong;
    uint64_t last_done;
    nissl_progress last;
    char line[64];
    nissl_log_level level;
} reports;

static void on_progress(void *user, const nissl_progress *progress)
{
    reports *r = user;
    r->n_wrong += progress->done < r->last_done;
    r->n_wrong += progress->remaining >= 0 && progress->rate <= 0;
    r->last_done = progress->done;
    r->last = *progress;
    r->n++;
    r->n_finished += progress->finished;
}

static void on_log(void *user, nissl_log_level level, const char *line)
{
    reports *r = user;
    r->level = level;
    snprintf(r->line, sizeof r->line, "%s", line);
}

static nissl_status progressing_task(void *user, int64_t task, int worker, nissl_error *err)
{
    nap();
    nissl__progress_add(user, 1, 100);
    return NISSL_OK;
}

static void progress_is_counted_rarely_told_and_ended(void **state)
{
    reports r = {0};
    nissl_context_options opt = {
        .threads = 2, .progress = on_progress, .progress_user = &r, .log = on_log, .log_user = &r};
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    nissl__progress progress;
    check_ok(nissl_context_new(&opt, &ctx, &err), err);
    double started = nissl__now();
    nissl__progress_begin(&progress, ctx, "testing", "tasks", 800);
    check_ok(nissl__parallel(ctx, 800, progressing_task, &progress, &err), err);
    nissl__progress_end(&progress);
    double seconds = nissl__now() - started;
    assert_int_equal(r.n_finished, 1);
    assert_int_equal(r.n_wrong, 0);
    assert_true(r.last.finished);
    assert_int_equal(r.last.done, 800);
    assert_int_equal(r.last.bytes, 80000);
    assert_int_equal(r.last.total, 800);
    assert_string_equal(r.last.noun, "tasks");
    assert_true(r.last.remaining == 0);
    assert_true(r.n <= 1 + seconds / 0.1); /* at most ten times a second, and the last */
    nissl__log(ctx, NISSL_LOG_WARNING, "%d of %d", 1, 2);
    assert_string_equal(r.line, "1 of 2");
    assert_int_equal(r.level, NISSL_LOG_WARNING);
    nissl_context_free(ctx);
    ctx = context_of(1); /* silent without callbacks */
    nissl__progress_begin(&progress, ctx, "testing", "tasks", 1);
    nissl__progress_add(&progress, 1, 0);
    nissl__progress_end(&progress);
    nissl__log(ctx, NISSL_LOG_INFO, "unheard");
    nissl__log(NULL, NISSL_LOG_INFO, "unheard");
    nissl_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(the_lowest_failure_wins),
        cmocka_unit_test(nested_calls_stay_on_their_worker),
        cmocka_unit_test(cancelling_stops_the_work),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(progress_is_counted_rarely_told_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
