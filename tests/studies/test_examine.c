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

/* ---- results ---- */

/* The bytes of a file in the bench's folder; the caller frees them. */
static char *read_file(const bench *b, const char *name, size_t *size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", b->folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("no file %s", path);
    *size = (size_t)file_size(b, name);
    char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    bytes[*size] = '\0';
    fclose(file);
    return bytes;
}

static const char *const tables[] = {"sites", "units", "findings", "not_tested"};

static void bits_do_not_depend_on_threads(void **state)
{
    bench one, two;
    open_bench(&one, 1, 0, FEW_GRATINGS "+shapes:sizes=0.5,positions=2");
    open_bench(&two, 2, 0, FEW_GRATINGS "+shapes:sizes=0.5,positions=2");
    examine_well(&one, NULL);
    examine_well(&two, NULL);
    for (int i = 0; i < 8; i++) {
        char name[64];
        size_t n_one, n_two;
        snprintf(name, sizeof name, "%s.%s", tables[i / 2], i % 2 == 0 ? "csv" : "json");
        char *a = read_file(&one, name, &n_one), *b = read_file(&two, name, &n_two);
        assert_int_equal(n_one, n_two);
        assert_memory_equal(a, b, n_one);
        free(a);
        free(b);
    }
    const int64_t n_stimuli = nissl_recording_n_stimuli(one.e.recording);
    for (size_t i = 0; i < one.e.n_sites; i++) {
        const int64_t n = nissl_recording_site(one.e.recording, i)->n_units;
        const size_t bytes = (size_t)(n * n_stimuli) * sizeof(float);
        float *a = malloc(bytes), *b = malloc(bytes);
        nissl_recording *const recordings[2][2] = {{one.e.recording, two.e.recording},
                                                   {one.e.twin, two.e.twin}};
        for (int k = 0; k < 2; k++) {
            assert_int_equal(nissl_recording_responses(recordings[k][0], i, 0, n, a, NULL),
                             NISSL_OK);
            assert_int_equal(nissl_recording_responses(recordings[k][1], i, 0, n, b, NULL),
                             NISSL_OK);
            assert_memory_equal(a, b, bytes);
        }
        free(a);
        free(b);
    }
    close_bench(&one);
    close_bench(&two);
}

/* A JSON file's rows have a value per column, as many rows as its table. */
static void check_json(const bench *b, const char *name, int64_t n_rows, int n_columns)
{
    char file[64];
    size_t size;
    snprintf(file, sizeof file, "%s.json", name);
    char *text = read_file(b, file, &size);
    json_t *json = json_loadb(text, size, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "name")), name);
    assert_int_equal(json_array_size(json_object_get(json, "columns")), n_columns);
    assert_int_equal(json_array_size(json_object_get(json, "rows")), n_rows);
    for (int64_t i = 0; i < n_rows; i++)
        assert_int_equal(json_array_size(json_array_get(json_object_get(json, "rows"), (size_t)i)),
                         n_columns);
    json_decref(json);
    free(text);
}

static void tables_are_complete(void **state)
{
    static const char *const wanted[] = {
        "units",
        "positions",
        "parameters",
        "constant_units",
        "twin_constant_units",
        "stimuli",
        "selectivity_n",
        "auroc_n",
        "auroc_twin_n",
        "conditions",
        "lifetime_sparseness_n",
        "fewest_per_condition",
        "most_per_condition",
    };
    bench b;
    open_bench(&b, 2, 0, FEW_GRATINGS);
    examine_well(&b, NULL);
    const nissl_examination *e = &b.e;
    assert_int_equal(e->n_factors, 3); /* orientation, frequency, phase; one contrast is shown */
    assert_int_equal(e->sites.n_rows, e->n_sites * 3);
    int64_t n_units = 0;
    for (size_t i = 0; i < e->n_sites; i++)
        n_units += nissl_recording_site(e->recording, i)->n_units;
    assert_int_equal(e->units.n_rows, n_units * 3);

    for (size_t k = 0; k < sizeof wanted / sizeof wanted[0]; k++) {
        const int column = nissl_table_find(&e->sites, wanted[k]);
        if (column < 0 || e->sites.columns[column].type != NISSL_COLUMN_INTEGER)
            fail_msg("no column %s of integers", wanted[k]);
        for (int64_t row = 0; row < e->sites.n_rows; row++)
            assert_true(e->sites.columns[column].integer[row] >= 0);
    }
    const int64_t *n = e->sites.columns[nissl_table_find(&e->sites, "auroc_n")].integer;
    const int64_t *twin_n = e->sites.columns[nissl_table_find(&e->sites, "auroc_twin_n")].integer;
    const double *median = real_column(&e->sites, "auroc_median");
    const double *q1 = real_column(&e->sites, "auroc_q1"), *q3 = real_column(&e->sites, "auroc_q3");
    const double *exceeds = real_column(&e->sites, "auroc_exceeds_twin");
    const double *low = real_column(&e->sites, "auroc_exceeds_twin_low");
    const double *high = real_column(&e->sites, "auroc_exceeds_twin_high");
    const double *beyond = real_column(&e->sites, "auroc_beyond_twin");
    for (int64_t row = 0; row < e->sites.n_rows; row++) {
        if (n[row] == 0)
            continue;
        assert_true(0.0 <= q1[row] && q1[row] <= median[row] && median[row] <= q3[row]);
        assert_true(q3[row] <= 1.0);
        if (twin_n[row] < 2 || n[row] < 2)
            continue;
        assert_true(0.0 <= low[row] && low[row] <= exceeds[row]);
        assert_true(exceeds[row] <= high[row] && high[row] <= 1.0);
        assert_true(0.0 <= beyond[row] && beyond[row] <= 1.0);
    }

    /* What the table says of a unit is what the recording holds. */
    const int top = nissl_table_find(&e->units, "top_stimulus");
    const int bottom = nissl_table_find(&e->units, "bottom_stimulus");
    const double *frequency = real_column(&e->units, "frequency");
    const int64_t site = nissl_recording_find_site(e->recording, "C1/band1/complex");
    const int64_t n_stimuli = nissl_recording_n_stimuli(e->recording);
    float *x = malloc((size_t)(n_stimuli * 8) * sizeof *x);
    assert_int_equal(nissl_recording_responses(e->recording, (size_t)site, 0, 8, x, NULL),
                     NISSL_OK);
    for (int64_t u = 0; u < 8; u++) {
        const int64_t row = find_row(&e->units, "C1/band1/complex", u, "phase");
        int64_t most = 0, least = 0;
        for (int64_t i = 1; i < n_stimuli; i++) {
            most = x[i * 8 + u] > x[most * 8 + u] ? i : most;
            least = x[i * 8 + u] < x[least * 8 + u] ? i : least;
        }
        assert_string_equal(e->units.columns[top].text[row],
                            nissl_recording_stimulus_id(e->recording, most));
        assert_string_equal(e->units.columns[bottom].text[row],
                            nissl_recording_stimulus_id(e->recording, least));
        assert_true(0.0 <= frequency[row] && frequency[row] <= 1.0);
    }
    free(x);

    /* The cost of a convolution is known: two operations per weight and position. */
    const int64_t simple = nissl_recording_find_site(e->recording, "S1/scale1/simple");
    const int operations = nissl_table_find(&e->sites, "operations");
    assert_int_equal(
        e->sites.columns[nissl_table_find(&e->sites, "parameters")].integer[simple * 3],
        16 * 9 * 9);
    assert_true(e->sites.columns[operations].real[simple * 3] > 1.9 * 16 * 81 * 64 * 64);
    assert_true(e->sites.columns[operations].real[simple * 3] <= 2.0 * 16 * 82 * 64 * 64);

    const int64_t rows[] = {e->sites.n_rows, e->units.n_rows, (int64_t)e->n_findings,
                            (int64_t)e->n_not_tested};
    const int columns[] = {e->sites.n_columns, e->units.n_columns, 11, 1};
    for (int i = 0; i < 4; i++)
        check_json(&b, tables[i], rows[i], columns[i]);
    assert_int_equal(count_files(&b), 11); /* the model, two recordings, four tables twice */
    assert_true(e->planned_bytes > 0 && e->resident_bytes > e->baseline_bytes);
    close_bench(&b);
}

/* ---- findings ---- */

static bool says(const nissl_examination *e, const char *words)
{
    for (size_t i = 0; i < e->n_not_tested; i++)
        if (strstr(e->not_tested[i], words) != NULL)
            return true;
    return false;
}

static void findings_rest_on_numbers(void **state)
{
    bench b;
    open_bench(&b, 2, 0, NISSL_VISUAL_CORTEX_STIMULI);
    examine_well(&b, NULL);
    bool orientation = false, untuned = false;
    for (size_t i = 0; i < b.e.n_findings; i++) {
        const nissl_finding *f = &b.e.findings[i];
        assert_true(strlen(f->text) > 20 && strlen(f->sample) > 5 && strlen(f->threat) > 20);
        assert_true(f->low <= f->effect && f->effect <= f->high);
        assert_true(f->n > 1 && isfinite(f->control));
        if (strcmp(f->factor, "orientation") == 0 && strstr(f->text, "more tuned") != NULL) {
            orientation = true;
            assert_true(f->effect > 2.0 * f->control);
        }
        if (strncmp(f->text, "No site", 7) == 0) {
            untuned = true; /* averaged over positions, no cell knows where a shape is */
            assert_non_null(strstr(f->text, "x ("));
            assert_null(strstr(f->text, "orientation ("));
        }
    }
    assert_true(orientation);
    assert_true(untuned);
    assert_true(says(&b.e, "Cause:"));
    assert_true(says(&b.e, "Tuning to contrast"));
    assert_true(says(&b.e, "several positions"));
    assert_false(says(&b.e, "no twin was recorded"));
    close_bench(&b);
}

/* A shuffled network is no more tuned than its own twin: hardly an interval may exclude one half.
 */
static void shuffled_networks_do_not_differ(void **state)
{
    int64_t excluded = 0, n = 0;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        bench b;
        nissl_error err = {0};
        nissl_network *shuffled = NULL;
        nissl_examination e = {0};
        open_bench(&b, 2, 0, "gratings:orientations=8,frequencies=7,11,15,phases=2");
        assert_int_equal(nissl_network_twin(b.ctx, b.network, 900 + seed, &shuffled, &err),
                         NISSL_OK);
        nissl_examine_options options = nissl_examine_options_default();
        options.plan.sites = "*/rectified";
        assert_int_equal(nissl_examine(b.ctx, shuffled, b.stimuli, &options, b.folder, &e, &err),
                         NISSL_OK);
        const double *low = real_column(&e.sites, "selectivity_heldout_exceeds_twin_low");
        const double *high = real_column(&e.sites, "selectivity_heldout_exceeds_twin_high");
        for (int64_t row = 0; row < e.sites.n_rows; row++) {
            if (isnan(low[row]))
                continue;
            n++;
            excluded += low[row] > 0.5 || high[row] < 0.5;
        }
        assert_true(says(&e, "Sites other than those that match */rectified"));
        nissl_examination_free(&e);
        nissl_network_free(shuffled);
        close_bench(&b);
    }
    print_message("%lld of %lld intervals exclude one half\n", (long long)excluded, (long long)n);
    assert_true(n >= 30);
    assert_true(5 * excluded <= n); /* about 1 of 20, and sites are not independent */
}

static void without_a_twin_it_says_so(void **state)
{
    bench b;
    nissl_examine_options options = nissl_examine_options_default();
    options.twin = false;
    open_bench(&b, 1, 0, FEW_GRATINGS);
    examine_well(&b, NULL); /* leaves a twin, which the next does not */
    nissl_examination_free(&b.e);
    assert_true(file_size(&b, "twin.nwb") > 0);
    examine_well(&b, &options);
    assert_int_equal(file_size(&b, "twin.nwb"), -1);
    assert_null(b.e.twin);
    assert_null(b.e.twin_tuning);
    assert_int_equal(nissl_table_find(&b.e.sites, "auroc_twin_median"), -1);
    assert_true(nissl_table_find(&b.e.sites, "auroc_median") > 0);
    for (size_t i = 0; i < b.e.n_findings; i++)
        assert_true(isnan(b.e.findings[i].control));
    assert_true(b.e.n_findings > 0);
    assert_true(says(&b.e, "no twin was recorded"));
    close_bench(&b);
}

static void noise_has_no_factors(void **state)
{
    bench b;
    open_bench(&b, 2, 0, "noise:n=30");
    examine_well(&b, NULL);
    assert_int_equal(b.e.n_factors, 0);
    assert_int_equal(b.e.sites.n_rows, b.e.n_sites);
    assert_true(nissl_table_find(&b.e.units, "mean") > 0);
    const double *mean = real_column(&b.e.units, "mean"), *sd = real_column(&b.e.units, "sd");
    for (int64_t row = 0; row < b.e.units.n_rows; row++)
        assert_true(isfinite(mean[row]) && sd[row] >= 0.0);
    assert_true(says(&b.e, "Tuning: the stimuli have no label or factor"));
    close_bench(&b);
}

/* ---- failing ---- */

static void bad_plans_run_nothing(void **state)
{
    bench b;
    nissl_error err = {0};
    nissl_examine_options options = nissl_examine_options_default();
    open_bench(&b, 1, 0, FEW_GRATINGS);
    options.plan.reducers = "moments, exemplars";
    assert_int_equal(examine(&b, &options, &err), NISSL_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "responses"));
    options = nissl_examine_options_default();
    options.plan.sites = "V4/*";
    assert_int_equal(examine(&b, &options, &err), NISSL_ERR_NAME);
    assert_non_null(strstr(err.message, "V4/*"));
    assert_int_equal(count_files(&b), 1); /* the model */
    assert_null(b.e.recording);
    close_bench(&b);

    open_bench(&b, 1, 50000, FEW_GRATINGS);
    assert_int_equal(examine(&b, NULL, &err), NISSL_ERR_LIMIT);
    assert_non_null(strstr(err.message, "50000"));
    assert_int_equal(count_files(&b), 1);
    close_bench(&b);
}

static void unwritable_folders_are_named(void **state)
{
    bench b;
    nissl_error err = {0};
    nissl_examination e = {0};
    open_bench(&b, 1, 0, FEW_GRATINGS);
    assert_int_equal(
        nissl_examine(b.ctx, b.network, b.stimuli, NULL, "/nonexistent-folder", &e, &err),
        NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent-folder"));
    assert_null(e.recording);

    /* A table that cannot be written: its name is taken by a folder. */
    char path[128];
    snprintf(path, sizeof path, "%s/units.json", b.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(examine(&b, NULL, &err), NISSL_ERR_IO);
    assert_non_null(strstr(err.message, "units.json"));
    assert_null(b.e.recording);
    rmdir(path);
    close_bench(&b);
}

/* Each of the first allocations fails, later ones are sampled. */
static void running_out_of_memory_leaves_nothing(void **state)
{
    bench b;
    nissl_error err = {0};
    int n_failed = 0;
    open_bench(&b, 1, 0, FEW_GRATINGS);
    nissl_examine_options options = nissl_examine_options_default();
    options.plan.sites = "C1/*";
    for (uint64_t n = 1;; n += 1 + n / 8, n_failed++) {
        nissl__alloc_fail_at(n);
        const nissl_status status = examine(&b, &options, &err);
        nissl__alloc_fail_at(0);
        if (status == NISSL_OK)
            break;
        if (status != NISSL_ERR_MEMORY)
            fail_msg("allocation %llu: %s", (unsigned long long)n, err.message);
        assert_null(b.e.recording);
    }
    assert_true(n_failed > 30);
    assert_true(file_size(&b, "units.csv") > 0);
    close_bench(&b);
}

static void cancelling_leaves_no_tables(void **state)
{
    bench b;
    nissl_error err = {0};
    open_bench(&b, 1, 0, FEW_GRATINGS);
    nissl_context_cancel(b.ctx);
    assert_int_equal(examine(&b, NULL, &err), NISSL_ERR_CANCELLED);
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.csv", tables[i]);
        assert_int_equal(file_size(&b, name), -1);
    }
    assert_null(b.e.recording);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_in_is_recovered),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(tables_are_complete),
        cmocka_unit_test(findings_rest_on_numbers),
        cmocka_unit_test(shuffled_networks_do_not_differ),
        cmocka_unit_test(without_a_twin_it_says_so),
        cmocka_unit_test(noise_has_no_factors),
        cmocka_unit_test(bad_plans_run_nothing),
        cmocka_unit_test(unwritable_folders_are_named),
        cmocka_unit_test(running_out_of_memory_leaves_nothing),
        cmocka_unit_test(cancelling_leaves_no_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
