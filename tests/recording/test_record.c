/* Recording end to end on a small network: contents, memory, threads, and what failure leaves. */
#include "bench_model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static nissl_plan *plan_of(bench_model *b, const nissl_plan_options *opt)
{
    nissl_plan *plan = NULL;
    nissl_error err = {0};
    check_ok(nissl_plan_new(b->ctx, b->network, b->stimuli, opt, &plan, &err), err);
    return plan;
}

static nissl_recording *open_recording(bench_model *b, const char *name)
{
    char path[600];
    nissl_recording *r = NULL;
    nissl_error err = {0};
    check_ok(nissl_recording_open(b->ctx, in_folder(b, name, path, sizeof path), &r, &err), err);
    return r;
}

static nissl_array array_of(const nissl_recording *r, size_t site, const char *name)
{
    nissl_array a = {0};
    nissl_error err = {0};
    check_ok(nissl_recording_array(r, site, name, &a, &err), err);
    return a;
}

static float *responses_of(const nissl_recording *r, size_t site)
{
    int64_t n_units = nissl_recording_site(r, site)->n_units;
    size_t n = (size_t)(nissl_recording_n_stimuli(r) * n_units);
    float *x = nissl__alloc(n, sizeof *x);
    nissl_error err = {0};
    check_ok(nissl_recording_responses(r, site, 0, n_units, x, &err), err);
    return x;
}

/* What the reducers say agrees with the responses; names, ids and factors come back. */
static void test_contents(void **state)
{
    bench_model b;
    nissl_plan *plan;
    nissl_recording *r;
    nissl_error err = {0};
    uint64_t allocated = 0;
    char path[600];
    struct stat about;
    bench_model_open(&b, 2, STIMULI);
    plan = plan_of(&b, NULL);
    check_ok(record_both(&b, plan, "a", &allocated, &err), err);
    assert_int_equal(allocated, nissl_plan_memory(plan, 2));
    assert_int_equal(stat(in_folder(&b, "a.nwb", path, sizeof path), &about), 0);
    if (llabs((long long)about.st_size - (long long)nissl_plan_disk(plan)) > (64 << 10) &&
        fabs((double)about.st_size / (double)nissl_plan_disk(plan) - 1) > 0.05)
        fail_msg("%lld bytes, planned %llu", (long long)about.st_size,
                 (unsigned long long)nissl_plan_disk(plan));
    r = open_recording(&b, "a.nwb");
    assert_int_equal(nissl_recording_n_stimuli(r), nissl_stimuli_count(b.stimuli));
    for (int64_t i = 0; i < nissl_recording_n_stimuli(r); i++)
        assert_string_equal(nissl_recording_stimulus_id(r, i), nissl_stimuli_id(b.stimuli, i));
    assert_int_equal(nissl_recording_n_factors(r), nissl_stimuli_n_factors(b.stimuli));
    for (int f = 0; f < nissl_recording_n_factors(r); f++) {
        const nissl_factor *found = nissl_recording_factor(r, f);
        const nissl_factor *given = nissl_stimuli_factor(b.stimuli, f);
        assert_string_equal(found->name, given->name);
        assert_string_equal(found->unit, given->unit);
        assert_int_equal(found->kind, given->kind);
        assert_int_equal(found->n_levels, given->n_levels);
        for (int l = 0; l < given->n_levels; l++)
            assert_string_equal(found->levels[l], given->levels[l]);
        for (int64_t i = 0; i < nissl_recording_n_stimuli(r); i++) {
            assert_int_equal(found->level[i], given->level[i]);
            if (given->value)
                check_close(found->value[i], given->value[i], 0);
        }
    }
    assert_non_null(strstr(nissl_recording_provenance(r), "\"command\": \"nissl record\""));
    for (size_t s = 0; s < nissl_recording_n_sites(r); s++) {
        const nissl_recorded_site *site = nissl_recording_site(r, s);
        int64_t n = nissl_recording_n_stimuli(r), u_n = site->n_units;
        float *x = responses_of(r, s);
        nissl_array mean = array_of(r, s, "moments/mean"), max = array_of(r, s, "moments/max");
        nissl_array best = array_of(r, s, "exemplars/top_stimulus");
        nissl_array often = array_of(r, s, "frequency/frequency");
        nissl_array tuned = array_of(r, s, "by-condition/orientation/mean");
        const nissl_factor *factor = NULL;
        for (int f = 0; f < nissl_recording_n_factors(r); f++)
            if (strcmp(nissl_recording_factor(r, f)->name, "orientation") == 0)
                factor = nissl_recording_factor(r, f);
        assert_non_null(factor);
        assert_int_equal(mean.type, NISSL_FLOAT64);
        assert_int_equal(mean.shape[0], u_n);
        assert_int_equal(tuned.shape[1], factor->n_levels);
        assert_int_equal(nissl_recording_find_site(r, site->name), s);
        for (int64_t u = 0; u < u_n; u++) {
            double sum = 0, of_level = 0;
            int64_t top = 0, n_level = 0;
            for (int64_t i = 0; i < n; i++) {
                sum += (double)x[i * u_n + u];
                if (x[i * u_n + u] > x[top * u_n + u])
                    top = i;
                if (factor->level[i] == 2) {
                    of_level += (double)x[i * u_n + u];
                    n_level++;
                }
            }
            check_close(((double *)mean.data)[u], sum / (double)n, 1e-9);
            check_close(((double *)max.data)[u], x[top * u_n + u], 0);
            assert_int_equal(((int64_t *)best.data)[u * best.shape[1]], top);
            assert_true(((double *)often.data)[u] >= 0 && ((double *)often.data)[u] <= 1);
            check_close(((float *)tuned.data)[u * tuned.shape[1] + 2], of_level / (double)n_level,
                        1e-6);
        }
        if (u_n > 1) { /* a block of units is the same numbers */
            float *part = nissl__alloc((size_t)n, sizeof *part);
            check_ok(nissl_recording_responses(r, s, u_n - 1, 1, part, &err), err);
            for (int64_t i = 0; i < n; i++)
                assert_true(part[i] == x[i * u_n + u_n - 1]);
            nissl__free(part);
        }
        nissl_array_free(&mean);
        nissl_array_free(&max);
        nissl_array_free(&best);
        nissl_array_free(&often);
        nissl_array_free(&tuned);
        nissl__free(x);
    }
    nissl_recording_free(r);
    nissl_plan_free(plan);
    bench_model_close(&b);
}

/* All arrays and responses of two recordings have the same bits. */
static void same_bits(const nissl_recording *a, const nissl_recording *b)
{
    static const char *const names[] = {"moments/mean",
                                        "moments/variance",
                                        "moments/rectified_mean_square",
                                        "by-condition/orientation/mean",
                                        "by-condition/orientation/variance",
                                        "histogram/counts",
                                        "histogram/quantiles",
                                        "exemplars/top_stimulus",
                                        "exemplars/bottom_value",
                                        "frequency/active"};
    for (size_t s = 0; s < nissl_recording_n_sites(a); s++) {
        const nissl_recorded_site *site = nissl_recording_site(a, s);
        float *x = responses_of(a, s), *y = responses_of(b, s);
        size_t n = (size_t)(nissl_recording_n_stimuli(a) * site->n_units);
        assert_memory_equal(x, y, n * sizeof *x);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            nissl_array p = array_of(a, s, names[i]), q = array_of(b, s, names[i]);
            assert_memory_equal(p.data, q.data,
                                (size_t)nissl_array_count(&p) * nissl_type_size(p.type));
            nissl_array_free(&p);
            nissl_array_free(&q);
        }
        nissl__free(x);
        nissl__free(y);
    }
}

static void test_threads_do_not_matter(void **state)
{
    nissl_recording *one = NULL, *twin = NULL;
    bench_model first;
    bench_model_open(&first, 1, STIMULI "+noise:n=1500,seed=3");
    for (int threads = 1; threads <= 5; threads += 2) {
        bench_model b;
        nissl_plan *plan;
        nissl_error err = {0};
        nissl_plan_options opt = nissl_plan_options_default();
        bench_model *use = threads == 1 ? &first : &b;
        opt.batch = 7;
        if (threads > 1)
            bench_model_open(&b, threads, STIMULI "+noise:n=1500,seed=3");
        plan = plan_of(use, &opt);
        check_ok(record_both(use, plan, "a", NULL, &err), err);
        nissl_plan_free(plan);
        if (threads == 1) {
            one = open_recording(use, "a.nwb");
            twin = open_recording(use, "a.twin.nwb");
        } else {
            nissl_recording *r = open_recording(use, "a.nwb");
            same_bits(one, r);
            nissl_recording_free(r);
            r = open_recording(use, "a.twin.nwb");
            same_bits(twin, r);
            nissl_recording_free(r);
            bench_model_close(&b);
        }
    }
    nissl_recording_free(one);
    nissl_recording_free(twin);
    bench_model_close(&first);
}

/* The tail's padding reaches nobody, whatever the micro-batch. */
static void test_any_batch(void **state)
{
    bench_model b;
    nissl_recording *r[3];
    static const int64_t batches[3] = {1, 16, 64};
    static const char *const names[3] = {"b1", "b16", "b64"};
    nissl_error err = {0};
    bench_model_open(&b, 2, STIMULI);
    for (int i = 0; i < 3; i++) {
        nissl_plan_options opt = nissl_plan_options_default();
        nissl_plan *plan;
        char name[20];
        opt.batch = batches[i];
        plan = plan_of(&b, &opt);
        check_ok(record_both(&b, plan, names[i], NULL, &err), err);
        nissl_plan_free(plan);
        snprintf(name, sizeof name, "%s.nwb", names[i]);
        r[i] = open_recording(&b, name);
    }
    for (size_t s = 0; s < nissl_recording_n_sites(r[0]); s++) {
        nissl_array active = array_of(r[0], s, "frequency/active");
        for (int i = 1; i < 3; i++) {
            float *x = responses_of(r[0], s), *y = responses_of(r[i], s);
            nissl_array n = array_of(r[i], s, "moments/n");
            int64_t units = nissl_recording_site(r[0], s)->n_units;
            for (int64_t k = 0; k < nissl_recording_n_stimuli(r[0]) * units; k++)
                check_close(x[k], y[k], 1e-5);
            for (int64_t u = 0; u < units; u++)
                assert_int_equal(((int64_t *)n.data)[u], nissl_recording_n_stimuli(r[0]));
            nissl_array_free(&n);
            nissl__free(x);
            nissl__free(y);
        }
        nissl_array_free(&active);
    }
    for (int i = 0; i < 3; i++)
        nissl_recording_free(r[i]);
    bench_model_close(&b);
}

/* What a site's units say does not depend on which other sites are recorded, though what is fused
 * and what is summarised together does. */
static void test_any_sites(void **state)
{
    bench_model b;
    nissl_recording *all, *one;
    nissl_error err = {0};
    char path[600];
    bench_model_open(&b, 2, STIMULI);
    nissl_plan *plan = plan_of(&b, NULL);
    check_ok(record_both(&b, plan, "a", NULL, &err), err);
    nissl_plan_free(plan);
    all = open_recording(&b, "a.nwb");
    for (size_t s = 0; s < nissl_recording_n_sites(all); s++) {
        const nissl_recorded_site *site = nissl_recording_site(all, s);
        nissl_plan_options opt = {.sites = site->name};
        nissl_record_options overwrite = {.overwrite = true};
        nissl_subject subject = {b.network, in_folder(&b, "one.nwb", path, sizeof path), NULL};
        plan = plan_of(&b, &opt);
        check_ok(nissl_record(b.ctx, plan, b.stimuli, &subject, 1, &overwrite, &err), err);
        one = open_recording(&b, "one.nwb");
        float *x = responses_of(all, s), *y = responses_of(one, 0);
        nissl_array often_x = array_of(all, s, "frequency/active");
        nissl_array often_y = array_of(one, 0, "frequency/active");
        assert_memory_equal(x, y,
                            (size_t)(nissl_recording_n_stimuli(all) * site->n_units) * sizeof *x);
        assert_memory_equal(often_x.data, often_y.data, (size_t)site->n_units * sizeof(int64_t));
        nissl_array_free(&often_x);
        nissl_array_free(&often_y);
        nissl__free(x);
        nissl__free(y);
        nissl_recording_free(one);
        nissl_plan_free(plan);
    }
    nissl_recording_free(all);
    bench_model_close(&b);
}

static void test_plan_names(void **state)
{
    bench_model b;
    nissl_plan *plan, *some;
    nissl_plan_options opt = nissl_plan_options_default();
    nissl_error err = {0};
    char globs[300];
    const char *name;
    size_t all;
    bench_model_open(&b, 1, STIMULI);
    opt.reducers = "moments";
    plan = plan_of(&b, &opt);
    all = nissl_plan_n_costs(plan);
    name = nissl_plan_cost_at(plan, 0)->site;
    assert_true(all > 3);
    snprintf(globs, sizeof globs, "*, !%s", name);
    opt.sites = globs;
    some = plan_of(&b, &opt);
    assert_int_equal(nissl_plan_n_costs(some), all - 1);
    for (size_t i = 0; i < all - 1; i++)
        assert_string_not_equal(nissl_plan_cost_at(some, i)->site, name);
    nissl_plan_free(some);
    opt.sites = "no such site";
    assert_int_equal(nissl_plan_new(b.ctx, b.network, b.stimuli, &opt, &some, &err),
                     NISSL_ERR_NAME);
    assert_non_null(strstr(err.message, name)); /* lists what there is */
    opt.sites = NULL;
    opt.reducers = "moments,mode";
    assert_int_equal(nissl_plan_new(b.ctx, b.network, b.stimuli, &opt, &some, &err),
                     NISSL_ERR_NAME);
    assert_non_null(strstr(err.message, "by-condition"));
    opt.reducers = NULL;
    opt.batch = -1;
    assert_int_equal(nissl_plan_new(b.ctx, b.network, b.stimuli, &opt, &some, &err),
                     NISSL_ERR_RANGE);
    nissl_plan_free(plan);
    bench_model_close(&b);
}

/* A recording without responses says so, and one of chosen reducers holds only theirs. */
static void test_chosen_reducers(void **state)
{
    bench_model b;
    nissl_plan_options opt = nissl_plan_options_default();
    nissl_plan *plan;
    nissl_recording *r;
    nissl_array a = {0};
    nissl_error err = {0};
    float x;
    bench_model_open(&b, 1, STIMULI);
    opt.reducers = "exemplars";
    opt.top_k = 2;
    opt.summary = NISSL_SUMMARY_MAX;
    plan = plan_of(&b, &opt);
    check_ok(record_both(&b, plan, "a", NULL, &err), err);
    r = open_recording(&b, "a.nwb");
    assert_false(nissl_recording_has(r, 0, "responses"));
    assert_true(nissl_recording_has(r, 0, "exemplars/top_value"));
    assert_int_equal(nissl_recording_responses(r, 0, 0, 1, &x, &err), NISSL_ERR_NAME);
    assert_int_equal(nissl_recording_array(r, 0, "moments/mean", &a, &err), NISSL_ERR_NAME);
    assert_non_null(strstr(err.message, "exemplars/bottom_value"));
    a = array_of(r, 0, "exemplars/top_value");
    assert_int_equal(a.shape[1], 2);
    nissl_array_free(&a);
    nissl_recording_free(r);
    nissl_plan_free(plan);
    bench_model_close(&b);
}

static void test_existing_file_stays(void **state)
{
    bench_model b;
    nissl_plan *plan;
    nissl_error err = {0};
    char path[600];
    nissl_subject subject;
    nissl_record_options options = {.overwrite = true};
    nissl_recording *r;
    int fd;
    bench_model_open(&b, 1, STIMULI);
    fd = open(in_folder(&b, "a.nwb", path, sizeof path), O_CREAT | O_WRONLY, 0666);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    plan = plan_of(&b, NULL);
    assert_int_equal(record_both(&b, plan, "a", NULL, &err), NISSL_ERR_EXISTS);
    assert_non_null(strstr(err.message, "a.nwb exists"));
    assert_int_equal(count_files(&b), 1);
    subject = (nissl_subject){b.network, path, "network"};
    check_ok(nissl_record(b.ctx, plan, b.stimuli, &subject, 1, &options, &err), err);
    r = open_recording(&b, "a.nwb");
    nissl_recording_free(r);
    nissl_plan_free(plan);
    bench_model_close(&b);
}

/* Allocations failing, one at a time: an error and no file, or both recordings whole. */
static void test_out_of_memory(void **state)
{
    bench_model b;
    nissl_plan_options opt = nissl_plan_options_default();
    int n_failed = 0;
    bench_model_open(&b, 1, "gratings:orientations=3,frequencies=1,phases=1");
    opt.batch = 2;
    for (uint64_t n = 1; n < 1500; n += 1 + n / 12) {
        nissl_plan *plan = plan_of(&b, &opt);
        nissl_error err = {0};
        nissl_status status;
        char path[600];
        nissl__alloc_fail_at(n);
        status = record_both(&b, plan, "a", NULL, &err);
        nissl__alloc_fail_at(0);
        if (status == NISSL_OK) {
            nissl_recording_free(open_recording(&b, "a.nwb"));
            nissl_recording_free(open_recording(&b, "a.twin.nwb"));
            unlink(in_folder(&b, "a.nwb", path, sizeof path));
            unlink(in_folder(&b, "a.twin.nwb", path, sizeof path));
        } else {
            assert_true(err.message[0] != '\0');
            n_failed++;
        }
        assert_int_equal(count_files(&b), 0);
        nissl_plan_free(plan);
    }
    assert_true(n_failed > 30);
    bench_model_close(&b);
}

/* Killed in the middle: nothing has the final name, and the next recording works. */
static void test_killed(void **state)
{
    bench_model b;
    char path[600];
    struct stat about;
    nissl_error err = {0};
    nissl_plan *plan;
    pid_t child;
    int status = 0;
    bench_model_folder(&b);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (bench_model_load(&b, 2, STIMULI "+noise:n=20000", NULL) == NISSL_OK &&
            nissl_plan_new(b.ctx, b.network, b.stimuli, NULL, &plan, NULL) == NISSL_OK)
            record_both(&b, plan, "a", NULL, NULL);
        _exit(0);
    }
    in_folder(&b, "a.twin.nwb.partial", path, sizeof path);
    for (int i = 0; i < 3000 && stat(path, &about) != 0; i++)
        usleep(10000);
    usleep(150000);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(stat(in_folder(&b, "a.nwb", path, sizeof path), &about), -1);
    assert_int_equal(stat(in_folder(&b, "a.twin.nwb", path, sizeof path), &about), -1);
    check_ok(bench_model_load(&b, 1, STIMULI, &err), err);
    plan = plan_of(&b, NULL);
    check_ok(record_both(&b, plan, "a", NULL, &err), err);
    assert_int_equal(count_files(&b), 2); /* what the killed one left was used up */
    nissl_plan_free(plan);
    bench_model_close(&b);
}

/* A file system without room: one line with both numbers, and no file. */
static void test_full_disk(void **state)
{
    bench_model b;
    nissl_plan *plan;
    pid_t child;
    int status = 0;
    bench_model_open(&b, 1, STIMULI);
    plan = plan_of(&b, NULL);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        struct rlimit limit = {100000, 100000};
        nissl_error err = {0};
        char needs[40];
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        snprintf(needs, sizeof needs, "%llu bytes", (unsigned long long)nissl_plan_disk(plan));
        if (record_both(&b, plan, "a", NULL, &err) != NISSL_ERR_IO)
            _exit(1);
        if (!strstr(err.message, needs) || !strstr(err.message, "free") ||
            strchr(err.message, '\n'))
            _exit(2);
        _exit(count_files(&b) == 0 ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    nissl_plan_free(plan);
    bench_model_close(&b);
}

static void cancel_at_quarter(void *user, const nissl_progress *progress)
{
    if (progress->done > progress->total / 4)
        nissl_context_cancel(*(nissl_context **)user);
}

/* Cancelling stops soon and leaves no file. */
static void test_cancelled(void **state)
{
    bench_model b;
    nissl_context *ctx = NULL;
    nissl_context_options options = nissl_context_options_default();
    nissl_plan *plan;
    nissl_error err = {0};
    nissl_plan_options opt = nissl_plan_options_default();
    bench_model_open(&b, 1, STIMULI "+noise:n=20000");
    options.threads = 3;
    options.progress = cancel_at_quarter;
    options.progress_user = &ctx;
    check_ok(nissl_context_new(&options, &ctx, &err), err);
    opt.batch = 4;
    check_ok(nissl_plan_new(ctx, b.network, b.stimuli, &opt, &plan, &err), err);
    nissl_context_free(b.ctx);
    b.ctx = ctx;
    assert_int_equal(record_both(&b, plan, "a", NULL, &err), NISSL_ERR_CANCELLED);
    assert_int_equal(count_files(&b), 0);
    nissl_plan_free(plan);
    bench_model_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_any_batch),
        cmocka_unit_test(test_any_sites),
        cmocka_unit_test(test_plan_names),
        cmocka_unit_test(test_chosen_reducers),
        cmocka_unit_test(test_existing_file_stays),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
