/* Has a Python script run a network with onnxruntime. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "files.h"
#include "nissl/verify.h"
#include "runtime.h"

#define SCRIPT     "onnxruntime_reference.py"
#define NO_PACKAGE 3 /* the script's exit code when an import fails */

extern char **environ;

/* The script of the installation or of the source tree that this program lies in. malloc'ed. */
static char *find_script(void)
{
    static const char *const places[] = {"../share/nissl/" SCRIPT, "../scripts/" SCRIPT,
                                         "../../scripts/" SCRIPT};
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash;
    if (n <= 0)
        return NULL;
    program[n] = '\0';
    if (!(slash = strrchr(program, '/')))
        return NULL;
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *path = cli_path_join(program, places[i]);
        if (path && access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static nissl_status make_folder(const cli_settings *set, cli_runtime *out, nissl_error *err)
{
    if (!set->save)
        return cli_temporary_folder(&out->folder, err);
    if (mkdir(set->save, 0777) != 0)
        return errno == EEXIST
                   ? cli_fail(err, NISSL_ERR_EXISTS,
                              "%.300s exists already; --save needs a new folder", set->save)
                   : cli_fail(err, NISSL_ERR_IO, "cannot make the folder %.300s: %s", set->save,
                              strerror(errno));
    out->keep = true;
    if (!(out->folder = strdup(set->save)))
        return cli_fail(err, NISSL_ERR_MEMORY, "out of memory");
    return NISSL_OK;
}

/* Which tensors the script is to store: every site of the network at the input's shape. */
static nissl_status write_request(cli_app *app, const cli_subject *subject, const nissl_view *shape,
                                  const char *folder)
{
    nissl_program_options opt = nissl_program_options_default();
    nissl_program *program = NULL;
    nissl_status status;
    opt.shapes_only = true;
    opt.observe_all = true;
    opt.input_shapes = shape;
    opt.n_input_shapes = 1;
    status = nissl_program_compile(app->ctx, subject->network, &opt, &program, &app->err);
    if (status != NISSL_OK)
        return status;
    json_t *sites = json_array(), *root = json_pack("{s:o}", "sites", sites);
    char *path = cli_path_join(folder, "request.json");
    for (size_t i = 0; i < nissl_program_n_sites(program); i++)
        json_array_append_new(sites, json_string(nissl_program_site(program, i)->name));
    if (!path || json_dump_file(root, path, JSON_COMPACT) != 0)
        status = cli_fail(&app->err, NISSL_ERR_IO, "cannot write %.300s/request.json: %s", folder,
                          strerror(errno));
    free(path);
    json_decref(root);
    nissl_program_free(program);
    return status;
}

/* Reads what the script says until it ends; keeps the last line. A cancelled context ends it. */
static void collect(const cli_app *app, int descriptor, pid_t child, char *line, size_t size)
{
    struct pollfd poller = {.fd = descriptor, .events = POLLIN};
    char buffer[1024];
    size_t length = 0;
    line[0] = '\0';
    for (;;) {
        int ready = poll(&poller, 1, 100);
        if (nissl_context_cancelled(app->ctx))
            kill(child, SIGTERM);
        if (ready <= 0)
            continue;
        ssize_t n = read(descriptor, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        for (ssize_t i = 0; i < n; i++) {
            if (length > 0 && line[length - 1] == '\n')
                length = 0;
            if (length + 1 < size)
                line[length++] = buffer[i];
            line[length] = '\0';
        }
    }
}

static nissl_status run_script(cli_app *app, const char *script, const char *model,
                               const char *folder)
{
    const char *python = getenv("NISSL_PYTHON");
    char line[400];
    int ends[2], how = 0, failed;
    pid_t child;
    posix_spawn_file_actions_t actions;
    char *copies[4] = {strdup(python && *python ? python : "python3"), strdup(script),
                       strdup(model), strdup(folder)};
    char *argv[5] = {copies[0], copies[1], copies[2], copies[3], NULL};
    nissl_status status = NISSL_OK;
    if (!copies[0] || !copies[1] || !copies[2] || !copies[3] || pipe(ends) != 0) {
        status = cli_fail(&app->err, NISSL_ERR_MEMORY, "cannot start Python: out of memory");
        goto done;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    failed = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed) {
        status = cli_fail(&app->err, NISSL_ERR_UNSUPPORTED,
                          "--runtime onnxruntime needs Python, and %.200s does not start: %s",
                          argv[0], strerror(failed));
    } else {
        collect(app, ends[0], child, line, sizeof line);
        while (waitpid(child, &how, 0) < 0 && errno == EINTR)
            continue;
        line[strcspn(line, "\n")] = '\0';
        if (nissl_context_cancelled(app->ctx))
            status = cli_fail(&app->err, NISSL_ERR_CANCELLED, "cancelled");
        else if (WIFEXITED(how) && WEXITSTATUS(how) == NO_PACKAGE)
            status = cli_fail(&app->err, NISSL_ERR_UNSUPPORTED, "%s", line);
        else if (!WIFEXITED(how) || WEXITSTATUS(how) != 0)
            status = cli_fail(&app->err, NISSL_ERR_IO, "%s", *line ? line : "Python failed");
    }
    close(ends[0]);

done:
    for (int i = 0; i < 4; i++)
        free(copies[i]);
    return status;
}

nissl_status cli_runtime_run(cli_app *app, const cli_subject *subject, cli_runtime *out)
{
    char *script = find_script(), *input = NULL;
    int64_t n = app->set.n_random;
    nissl_view shape;
    nissl_status status = NISSL_OK;
    if (!script)
        return cli_fail(&app->err, NISSL_ERR_IO,
                        SCRIPT " is neither in ../share/nissl nor in ../scripts beside this "
                               "program");
    status = cli_input_shape(app, subject->network, &shape);
    if (status == NISSL_OK && subject->stimuli) {
        int64_t one[NISSL_MAX_RANK], all[NISSL_MAX_RANK] = {1};
        int rank = nissl_stimuli_shape(subject->stimuli, one);
        for (int i = 0; i < rank && i + 1 < NISSL_MAX_RANK; i++)
            all[i + 1] = one[i];
        shape = nissl_view_of(NULL, NISSL_FLOAT32, rank + 1, all);
        if (n > nissl_stimuli_count(subject->stimuli))
            n = nissl_stimuli_count(subject->stimuli);
    }
    if (status == NISSL_OK)
        status = make_folder(&app->set, out, &app->err);
    if (status == NISSL_OK && !(input = cli_path_join(out->folder, "input.npy")))
        status = cli_fail(&app->err, NISSL_ERR_MEMORY, "out of memory");
    if (status == NISSL_OK)
        status = nissl_verify_write_input(app->ctx, subject->network, subject->stimuli, &shape, n,
                                          input, &app->err);
    if (status == NISSL_OK)
        status = write_request(app, subject, &shape, out->folder);
    if (status == NISSL_OK)
        status = run_script(app, script, nissl_network_path(subject->network), out->folder);
    if (status != NISSL_OK)
        out->keep = false; /* nothing half made stays */
    free(script);
    free(input);
    return status;
}

void cli_runtime_close(cli_runtime *runtime)
{
    if (runtime->folder && !runtime->keep)
        cli_remove_tree(runtime->folder);
    free(runtime->folder);
    *runtime = (cli_runtime){0};
}
