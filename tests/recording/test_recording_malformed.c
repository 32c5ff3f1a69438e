/* Malformed recordings, by name of defect: each is refused with a line that names the place. */
#include "bench_model.h"

#include <fcntl.h>
#include <hdf5.h>

static void unlink_object(hid_t file, const char *path)
{
    assert_true(H5Ldelete(file, path, H5P_DEFAULT) >= 0);
}

static void put(hid_t file, const char *path, hid_t type, int rank, const hsize_t *dims,
                const void *data)
{
    hid_t space = rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t set = H5Dcreate2(file, path, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    if (data)
        assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

/* Changes one number of a dataset of int64. */
static void set_number(hid_t file, const char *path, hsize_t index, int64_t value)
{
    hid_t set = H5Dopen2(file, path, H5P_DEFAULT), space = H5Dget_space(set);
    hid_t one = H5Screate(H5S_SCALAR);
    hsize_t count = 1;
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &index, NULL, &count, NULL);
    assert_true(H5Dwrite(set, H5T_NATIVE_INT64, one, space, H5P_DEFAULT, &value) >= 0);
    H5Sclose(one);
    H5Sclose(space);
    H5Dclose(set);
}

static void no_units(hid_t file)
{
    unlink_object(file, "/units");
}

static void no_sites(hid_t file)
{
    unlink_object(file, "/processing/network/sites/site");
}

static void no_processing(hid_t file)
{
    unlink_object(file, "/processing");
}

static void no_trials(hid_t file)
{
    unlink_object(file, "/intervals/trials/stimulus");
}

static void no_provenance(hid_t file)
{
    unlink_object(file, "/general/notes");
}

static void no_level_column(hid_t file)
{
    unlink_object(file, "/intervals/trials/orientation_level");
}

static void no_factor_name(hid_t file)
{
    H5Adelete_by_name(file, "/processing/conditions/orientation", "factor", H5P_DEFAULT);
}

static void units_overlap(hid_t file)
{
    set_number(file, "/processing/network/sites/first_unit", 1, 0);
}

static void units_negative(hid_t file)
{
    set_number(file, "/processing/network/sites/n_units", 0, -5);
}

static void units_too_many(hid_t file)
{
    set_number(file, "/processing/network/sites/n_units", 0, INT64_MAX - 3);
}

static void rank_too_large(hid_t file)
{
    set_number(file, "/processing/network/sites/rank", 0, 1000);
}

static void level_out_of_range(hid_t file)
{
    set_number(file, "/intervals/trials/orientation_level", 3, 77);
}

static void stimuli_differ(hid_t file)
{
    hsize_t dims = 5;
    hid_t type = H5Tcopy(H5T_C_S1);
    const char *ids[5] = {"a", "b", "c", "d", "e"};
    H5Tset_size(type, H5T_VARIABLE);
    unlink_object(file, "/intervals/trials/stimulus");
    put(file, "/intervals/trials/stimulus", type, 1, &dims, ids);
    H5Tclose(type);
}

static void stimuli_are_numbers(hid_t file)
{
    hsize_t dims = 2;
    unlink_object(file, "/intervals/trials/stimulus");
    put(file, "/intervals/trials/stimulus", H5T_NATIVE_INT, 1, &dims, (int[2]){1, 2});
}

/* 2^58 texts, none of them written. */
static void stimuli_without_end(hid_t file)
{
    hsize_t dims = (hsize_t)1 << 58, chunk = 1024;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), type = H5Tcopy(H5T_C_S1);
    hid_t space = H5Screate_simple(1, &dims, NULL), set;
    H5Tset_size(type, H5T_VARIABLE);
    H5Pset_chunk(list, 1, &chunk);
    unlink_object(file, "/intervals/trials/stimulus");
    set =
        H5Dcreate2(file, "/intervals/trials/stimulus", type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
    H5Pclose(list);
}

static void column_short(hid_t file)
{
    hsize_t dims = 2;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attr;
    const char *name = "moments/mean";
    H5Tset_size(type, strlen(name));
    unlink_object(file, "/units/moments_mean");
    put(file, "/units/moments_mean", H5T_NATIVE_DOUBLE, 1, &dims, (double[2]){1, 2});
    attr = H5Acreate_by_name(file, "/units/moments_mean", "array", type, space, H5P_DEFAULT,
                             H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attr, type, name);
    H5Aclose(attr);
    H5Sclose(space);
    H5Tclose(type);
}

/* The name of the first time series, as the file has it. */
static void first_series(hid_t file, char *path, size_t size)
{
    hid_t group = H5Gopen2(file, "/processing/ann", H5P_DEFAULT);
    char name[200];
    H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, 0, name, sizeof name, H5P_DEFAULT);
    snprintf(path, size, "/processing/ann/%s/data", name);
    H5Gclose(group);
}

static void responses_missing(hid_t file)
{
    char path[300];
    first_series(file, path, sizeof path);
    unlink_object(file, path);
}

static void responses_transposed(hid_t file)
{
    char path[300];
    hsize_t dims[2] = {3, 59};
    first_series(file, path, sizeof path);
    unlink_object(file, path);
    put(file, path, H5T_IEEE_F32LE, 2, dims, NULL);
}

static void responses_elsewhere(hid_t file)
{
    char path[300];
    first_series(file, path, sizeof path);
    unlink_object(file, path);
    H5Lcreate_external("/etc/passwd", "/data", file, path, H5P_DEFAULT, H5P_DEFAULT);
}

static void responses_in_raw_file(hid_t file)
{
    char path[300];
    hsize_t dims[2] = {59, 3};
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, dims, NULL), set;
    first_series(file, path, sizeof path);
    unlink_object(file, path);
    H5Pset_external(list, "/etc/passwd", 0, 59 * 3 * 4);
    set = H5Dcreate2(file, path, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(list);
}

/* Overwrites bytes of the first reference of a dataset of texts: length, address, index. */
static void change_reference(hid_t file, int at, int n, uint64_t value)
{
    hid_t set = H5Dopen2(file, "/intervals/trials/stimulus", H5P_DEFAULT);
    haddr_t offset = H5Dget_offset(set);
    char name[600];
    int fd;
    H5Dclose(set);
    assert_true(H5Fget_name(file, name, sizeof name) > 0);
    H5Fflush(file, H5F_SCOPE_LOCAL);
    fd = open(name, O_WRONLY);
    assert_int_equal(pwrite(fd, &value, (size_t)n, (off_t)offset + at), n);
    close(fd);
}

static void text_too_long(hid_t file)
{
    change_reference(file, 0, 4, 0xffffffff);
}

static void text_beyond_file(hid_t file)
{
    change_reference(file, 4, 8, UINT64_MAX - 7);
}

static void text_in_no_heap(hid_t file)
{
    change_reference(file, 4, 8, 48);
}

static void text_not_in_heap(hid_t file)
{
    change_reference(file, 12, 4, 65000);
}

static const struct {
    const char *defect;
    void (*change)(hid_t file);
    nissl_status status;
    const char *place; /* in the message */
} defects[] = {
    {"no units", no_units, NISSL_ERR_FORMAT, "/units"},
    {"no sites", no_sites, NISSL_ERR_FORMAT, "/processing/network/sites/site is missing"},
    {"no processing", no_processing, NISSL_ERR_FORMAT, "sites"},
    {"no trials", no_trials, NISSL_ERR_FORMAT, "/intervals/trials/stimulus is missing"},
    {"no provenance", no_provenance, NISSL_ERR_FORMAT, "/general/notes is missing"},
    {"no level column", no_level_column, NISSL_ERR_FORMAT, "orientation_level is missing"},
    {"no factor name", no_factor_name, NISSL_ERR_FORMAT, "attribute factor is missing"},
    {"units overlap", units_overlap, NISSL_ERR_FORMAT, "site 1"},
    {"units negative", units_negative, NISSL_ERR_FORMAT, "-5 units"},
    {"units too many", units_too_many, NISSL_ERR_FORMAT, "site 1"},
    {"rank too large", rank_too_large, NISSL_ERR_FORMAT, "rank 1000"},
    {"level out of range", level_out_of_range, NISSL_ERR_FORMAT, "row 3 is level 77 of 6"},
    {"stimuli differ", stimuli_differ, NISSL_ERR_FORMAT, "rows where there are 5"},
    {"stimuli are numbers", stimuli_are_numbers, NISSL_ERR_FORMAT, "texts"},
    {"stimuli without end", stimuli_without_end, NISSL_ERR_LIMIT, "bytes are allowed"},
    {"text too long", text_too_long, NISSL_ERR_FORMAT, "of 4294967295 bytes"},
    {"text beyond file", text_beyond_file, NISSL_ERR_FORMAT, "no global heap at byte"},
    {"text in no heap", text_in_no_heap, NISSL_ERR_FORMAT, "no global heap at byte 48"},
    {"text not in heap", text_not_in_heap, NISSL_ERR_FORMAT, "no object 65000"},
    {"column short", column_short, NISSL_ERR_FORMAT, "/units/moments_mean has 2 rows"},
    {"responses missing", responses_missing, NISSL_ERR_FORMAT, "data is missing"},
    {"responses transposed", responses_transposed, NISSL_ERR_FORMAT, "[3, 59]"},
    {"responses elsewhere", responses_elsewhere, NISSL_ERR_FORMAT, "is missing"},
    {"responses in raw file", responses_in_raw_file, NISSL_ERR_FORMAT, "other files"},
};

static void copy_bytes(const char *from, const char *to, off_t limit)
{
    int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_TRUNC | O_WRONLY, 0666);
    char block[65536];
    ssize_t n;
    for (off_t done = 0; done < limit && (n = read(in, block, sizeof block)) > 0; done += n)
        assert_true(write(out, block, (size_t)NISSL__MIN((off_t)n, limit - done)) > 0);
    close(in);
    close(out);
}

typedef struct good_recording {
    bench_model model;
    char path[600], bad[600];
    off_t bytes;
} good_recording;

static int make_good(void **state)
{
    good_recording *g = calloc(1, sizeof *g);
    nissl_plan *plan = NULL;
    nissl_error err = {0};
    struct stat about;
    bench_model_open(&g->model, 1, STIMULI);
    check_ok(nissl_plan_new(g->model.ctx, g->model.network, g->model.stimuli, NULL, &plan, &err),
             err);
    check_ok(record_both(&g->model, plan, "good", NULL, &err), err);
    nissl_plan_free(plan);
    in_folder(&g->model, "good.nwb", g->path, sizeof g->path);
    in_folder(&g->model, "bad.nwb", g->bad, sizeof g->bad);
    assert_int_equal(stat(g->path, &about), 0);
    g->bytes = about.st_size;
    *state = g;
    return 0;
}

static int drop_good(void **state)
{
    good_recording *g = *state;
    bench_model_close(&g->model);
    free(g);
    return 0;
}

static void refused(good_recording *g, nissl_status status, const char *place)
{
    nissl_recording *r = NULL;
    nissl_error err = {0};
    nissl_status found = nissl_recording_open(g->model.ctx, g->bad, &r, &err);
    if (found != status || !strstr(err.message, place) || !strstr(err.message, g->bad) ||
        strchr(err.message, '\n'))
        fail_msg("%s, not %s with \"%s\": %s", nissl_status_name(found), nissl_status_name(status),
                 place, err.message);
    assert_null(r);
}

static void test_defects(void **state)
{
    good_recording *g = *state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        hid_t file;
        print_message("%s\n", defects[i].defect);
        copy_bytes(g->path, g->bad, g->bytes);
        file = H5Fopen(g->bad, H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(file >= 0);
        defects[i].change(file);
        H5Fclose(file);
        refused(g, defects[i].status, defects[i].place);
    }
}

/* Cut at any length, a recording is refused. */
static void test_truncated(void **state)
{
    good_recording *g = *state;
    for (off_t n = 0; n < g->bytes; n += 1 + n / 5) {
        copy_bytes(g->path, g->bad, n);
        refused(g, NISSL_ERR_FORMAT, "HDF5 file");
    }
    copy_bytes(g->path, g->bad, g->bytes - 1);
    refused(g, NISSL_ERR_FORMAT, "cut short");
}

static void test_no_recording(void **state)
{
    good_recording *g = *state;
    nissl_recording *r = NULL;
    nissl_error err = {0};
    hid_t file;
    unlink(g->bad);
    assert_int_equal(nissl_recording_open(g->model.ctx, g->bad, &r, &err), NISSL_ERR_IO);
    copy_bytes(g->model.model, g->bad, 1000);
    refused(g, NISSL_ERR_FORMAT, "not an HDF5 file");
    file = H5Fcreate(g->bad, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    refused(g, NISSL_ERR_FORMAT, "/processing/network/sites/site is missing");
    assert_int_equal(nissl_recording_open(g->model.ctx, "/", &r, &err), NISSL_ERR_FORMAT);
}

/* A budget smaller than the names is told with both numbers. */
static void test_budget(void **state)
{
    good_recording *g = *state;
    nissl_context_options options = nissl_context_options_default();
    nissl_context *ctx = NULL;
    nissl_recording *r = NULL;
    nissl_error err = {0};
    options.threads = 1;
    options.memory_limit = 1000;
    check_ok(nissl_context_new(&options, &ctx, &err), err);
    assert_int_equal(nissl_recording_open(ctx, g->path, &r, &err), NISSL_ERR_LIMIT);
    assert_non_null(strstr(err.message, "bytes are allowed"));
    nissl_context_free(ctx);
}

static void test_arguments(void **state)
{
    good_recording *g = *state;
    nissl_recording *r = NULL;
    nissl_array a = {0};
    float x[1];
    nissl_error err = {0};
    check_ok(nissl_recording_open(g->model.ctx, g->path, &r, &err), err);
    assert_int_equal(nissl_recording_array(r, 10000, "moments/mean", &a, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_recording_responses(r, 10000, 0, 1, x, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_recording_responses(r, 0, -1, 1, x, &err), NISSL_ERR_RANGE);
    assert_int_equal(nissl_recording_responses(r, 0, 0, INT64_MAX, x, &err), NISSL_ERR_RANGE);
    assert_null(nissl_recording_site(r, 10000));
    assert_null(nissl_recording_stimulus_id(r, -1));
    assert_null(nissl_recording_factor(r, 99));
    assert_int_equal(nissl_recording_find_site(r, "no such site"), -1);
    nissl_recording_free(r);
    nissl_recording_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defects),      cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_no_recording), cmocka_unit_test(test_budget),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, make_good, drop_good);
}
