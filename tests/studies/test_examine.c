/* The main job on the model whose truth is known: what is built in is recovered, the twin's is not,
 * results do not depend on threads, and failing leaves nothing that looks whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/foundation.h"
#include "nissl/examine.h"
#include "studies/examination.h"

/* Enough for the smaller tests: 4 orientations, 3 frequencies, 2 phases. */
#define FEW_GRATINGS "gratings:orientations=4,frequencies=6,10,14,phases=2"

/* An examination with everything that it needs. */
typedef struct bench {
    char folder[64];
    nissl_context *ctx;
    nissl_network *network;
    nissl_stimuli *stimuli;
    nissl_visual_cortex_unit *units;
    size_t n_units;
    nissl_examination e;
} bench;

static const int64_t default_side = 64;

static void open_bench(bench *b, int threads, uint64_t memory_limit, const char *stimuli)
{
    nissl_error err = {0};
    *b = (bench){.folder = "/tmp/nissl-examine-XXXXXX"};
    assert_non_null(mkdtemp(b->folder));
    nissl_context_options context = nissl_context_options_default();
    context.threads = threads;
    context.memory_limit = memory_limit;
    context.seed = 20;
    assert_int_equal(nissl_context_new(&context, &b->ctx, &err), NISSL_OK);
    char path[128];
    snprintf(path, sizeof path, "%s/cortex.onnx", b->folder);
    assert_int_equal(nissl_visual_cortex_write(NULL, path, &b->units, &b->n_units, &err), NISSL_OK);
    assert_int_equal(nissl_network_open(b->ctx, path, &b->network, &err), NISSL_OK);
    nissl_stimuli_options options = nissl_stimuli_options_default();
    const nissl_view shape = {
        .type = NISSL_FLOAT32, .rank = 4, .shape = {1, 1, default_side, default_side}};
    options.input_shape = &shape;
    const nissl_status status = nissl_stimuli_open(b->ctx, stimuli, &options, &b->stimuli, &err);
    if (status != NISSL_OK)
        fail_msg("%s: %s", stimuli, err.message);
}

static nissl_status examine(bench *b, const nissl_examine_options *opt, nissl_error *err)
{
    return nissl_examine(b->ctx, b->network, b->stimuli, opt, b->folder, &b->e, err);
}

static void examine_well(bench *b, const nissl_examine_options *opt)
{
    nissl_error err = {0};
    if (examine(b, opt, &err) != NISSL_OK)
        fail_msg("%s", err.message);
}

/* The size of a file in the bench's folder, -1 if there is none. */
static int64_t file_size(const bench *b, const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static int count_files(const bench *b)
{
    int n = 0;
    DIR *folder = opendir(b->folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return n;
}

static void close_bench(bench *b)
{
    nissl_examination_free(&b->e);
    nissl_examination_free(&b->e); /* idempotent */
    free(b->units);
    nissl_stimuli_free(b->stimuli);
    nissl_network_free(b->network);
    nissl_context_free(b->ctx);
    DIR *folder = opendir(b->folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", b->folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(path);
    }
    closedir(folder);
    assert_int_equal(rmdir(b->folder), 0);
}

/* The factor of that name among those that were tuned to. */
static int find_factor(const nissl_examination *e, const char *name)
{
    for (int f = 0; f < e->n_factors; f++)
        if (strcmp(nissl_recording_factor(e->recording, e->factors[f])->name, name) == 0)
            return f;
    fail_msg("no factor %s", name);
    return -1;
}

/* The row of a unit and factor in the units table. */
static int64_t find_row(const nissl_table *t, const char *site, int64_t unit, const char *factor)
{
    const nissl_column *sites = &t->columns[nissl_table_find(t, "site")];
    const nissl_column *units = &t->columns[nissl_table_find(t, "unit")];
    const nissl_column *factors = &t->columns[nissl_table_find(t, "factor")];
    for (int64_t row = 0; row < t->n_rows; row++)
        if (units->integer[row] == unit && strcmp(sites->text[row], site) == 0 &&
            strcmp(factors->text[row], factor) == 0)
            return row;
    fail_msg("no row for %s:%lld and %s", site, (long long)unit, factor);
    return -1;
}

static const double *real_column(const nissl_table *t, const char *name)
{
    const int column = nissl_table_find(t, name);
    if (column < 0)
        fail_msg("no column %s", name);
    assert_int_equal(t->columns[column].type, NISSL_COLUMN_REAL);
    return t->columns[column].real;
}

/* ---- planted truth ---- */

static void what_is_built_in_is_recovered(void **state)
{
    static const double half_step[] = {180.0 / 16 / 2, 1.0}; /* of what is shown */
    static const double period[] = {180.0, 1e9};
    static const char *const names[] = {"orientation", "frequency"};
    bench b;
    open_bench(&b, 2, 0, NISSL_VISUAL_CORTEX_STIMULI);
    examine_well(&b, NULL);
    const double *average = real_column(&b.e.units, "preferred_value");
    const double *preferred = real_column(&b.e.units, "preferred_value_at_best");
    const double *strength = real_column(&b.e.units, "vector_strength_at_best");
    int twin_hits[2] = {0};
    assert_int_equal(b.n_units, 4 * 16 + 2 * 8);
    for (size_t i = 0; i < b.n_units; i++) {
        const nissl_visual_cortex_unit *u = &b.units[i];
        const double truth[] = {u->orientation, u->frequency};
        const int64_t site = nissl_recording_find_site(b.e.recording, u->site);
        assert_true(site >= 0);
        for (int k = 0; k < 2; k++) {
            double twin[64], unused[64];
            const int64_t row = find_row(&b.e.units, u->site, u->unit, names[k]);
            const double off = fabs(remainder(preferred[row] - truth[k], period[k]));
            if (!(off <= half_step[k]))
                fail_msg("%s:%lld prefers %s %g, built in: %g", u->site, (long long)u->unit,
                         names[k], preferred[row], truth[k]);
            if (k == 0) { /* what is averaged over does not turn an orientation */
                assert_true(fabs(remainder(average[row] - truth[0], 180.0)) <= half_step[0]);
                assert_true(strength[row] > 0.5);
            }
            assert_int_equal(nissl_examination_preferences(&b.e, b.e.twin, (size_t)site,
                                                           find_factor(&b.e, names[k]), twin,
                                                           unused, NULL),
                             NISSL_OK);
            twin_hits[k] += fabs(remainder(twin[u->unit] - truth[k], period[k])) <= half_step[k];
        }
    }
    print_message(
        "of %zu units in the twin, %d prefer the orientation and %d the frequency that is "
        "built into the network\n",
        b.n_units, twin_hits[0], twin_hits[1]);
    /* By chance 1 of 16 orientations and about 1 of 9 frequencies agrees. */
    assert_in_range(twin_hits[0], 0, b.n_units / 4);
    assert_in_range(twin_hits[1], 0, b.n_units / 3);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_in_is_recovered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
