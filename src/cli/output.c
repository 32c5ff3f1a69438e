/* Partial files and folders, renamed when whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "nissl/context.h"
#include "options.h"
#include "output.h"
#include "print.h"

/* Says of a folder that this program made it and may replace it. */
#define MARKER ".nissl"

static char *with_ending(const char *path, const char *ending)
{
    size_t n = strlen(path) + strlen(ending) + 1;
    char *text = malloc(n);
    if (text)
        snprintf(text, n, "%s%s", path, ending);
    return text;
}

static bool empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    int n = 0;
    if (!folder)
        return false;
    while (n <= 2 && readdir(folder))
        n++;
    closedir(folder);
    return n <= 2; /* "." and ".." */
}

nissl_status cli_output_check(const char *path, bool force, nissl_error *err)
{
    struct stat info;
    if (!*path)
        return cli_fail(err, NISSL_ERR_ARGUMENT, "the output's name is empty");
    if (strcmp(path, "-") == 0 || lstat(path, &info) != 0)
        return NISSL_OK;
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode) && !S_ISLNK(info.st_mode))
        return NISSL_OK; /* a device or a pipe is written to, not replaced */
    if (S_ISDIR(info.st_mode) && empty_folder(path))
        return NISSL_OK;
    if (!force)
        return cli_fail(err, NISSL_ERR_EXISTS,
                        "%.300s exists already; give another -o, or --force to replace it", path);
    return NISSL_OK;
}

/* Whether a folder may be replaced: this program made it, or nothing is in it. */
static bool replaceable(const char *folder)
{
    if (empty_folder(folder))
        return true;
    char *marker = cli_path_join(folder, MARKER);
    bool made = marker && access(marker, F_OK) == 0;
    free(marker);
    return made;
}

static nissl_status remove_leftover(const char *partial, const char *path, cli_terminal *terminal,
                                    nissl_error *err)
{
    struct stat info;
    if (lstat(partial, &info) != 0)
        return NISSL_OK;
    if (!S_ISDIR(info.st_mode))
        return cli_fail(err, NISSL_ERR_EXISTS, "%.300s is in the way and is not a folder", partial);
    int descriptor = open(partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        close(descriptor);
        return cli_fail(err, NISSL_ERR_EXISTS, "another nissl is writing %.300s", path);
    }
    if (descriptor >= 0)
        close(descriptor);
    if (!replaceable(partial))
        return cli_fail(err, NISSL_ERR_EXISTS,
                        "%.300s is in the way and was not written by nissl; remove it", partial);
    cli_terminal_note(terminal, "note: replacing %s, left by a run that was killed", partial);
    if (cli_remove_tree(partial) != 0)
        return cli_fail(err, NISSL_ERR_IO, "cannot remove %.300s: %s", partial, strerror(errno));
    return NISSL_OK;
}

/* Writes the marker: the program and its version. */
static nissl_status mark(const char *folder, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    char *name = cli_path_join(folder, MARKER);
    FILE *file = name ? fopen(name, "w") : NULL;
    if (!file || fprintf(file, "written by nissl %s\n", nissl_version()) < 0)
        status = cli_fail(err, NISSL_ERR_IO, "cannot write %.300s: %s", name ? name : folder,
                          strerror(errno));
    if (file && fclose(file) != 0 && status == NISSL_OK)
        status = cli_fail(err, NISSL_ERR_IO, "cannot write %.300s: %s", name, strerror(errno));
    free(name);
    return status;
}

nissl_status cli_output_begin_folder(const char *path, bool force, cli_terminal *terminal,
                                     cli_output *out, nissl_error *err)
{
    cli_output output = {.force = force, .folder = true, .lock = -1};
    nissl_status status = cli_output_check(path, force, err);
    struct stat info;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (status != NISSL_OK)
        return status;
    if ((output.path = strndup(path, length)))
        output.partial = with_ending(output.path, ".partial");
    if (!output.partial) {
        status = cli_fail(err, NISSL_ERR_MEMORY, "out of memory");
        goto done;
    }
    if (lstat(output.path, &info) == 0 && !(S_ISDIR(info.st_mode) && replaceable(output.path))) {
        status = cli_fail(err, NISSL_ERR_EXISTS,
                          "%.300s was not written by nissl, so --force does not replace it", path);
        goto done;
    }
    if ((status = remove_leftover(output.partial, output.path, terminal, err)) != NISSL_OK)
        goto done;
    if (mkdir(output.partial, 0777) != 0) {
        status = cli_fail(err, NISSL_ERR_IO, "cannot make the folder %.300s: %s", output.partial,
                          strerror(errno));
        goto done;
    }
    output.lock = open(output.partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (output.lock >= 0)
        flock(output.lock, LOCK_EX | LOCK_NB);
    if ((status = mark(output.partial, err)) != NISSL_OK)
        goto done;
    *out = output;
    return NISSL_OK;

done:
    if (output.lock >= 0) /* then the folder is ours */
        cli_output_abandon(&output);
    free(output.path);
    free(output.partial);
    return status;
}

nissl_status cli_output_begin_file(const char *path, bool force, cli_output *out, nissl_error *err)
{
    cli_output output = {.force = force, .lock = -1};
    nissl_status status = cli_output_check(path, force, err);
    struct stat info;
    bool replaced;
    if (status != NISSL_OK)
        return status;
    if (strcmp(path, "-") == 0) {
        output.file = stdout;
        output.standard = true;
        *out = output;
        return NISSL_OK;
    }
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return cli_fail(err, NISSL_ERR_EXISTS, "%.300s is a folder", path);
    replaced = stat(path, &info) != 0 || S_ISREG(info.st_mode);
    output.path = strdup(path);
    output.partial = replaced ? with_ending(path, ".partial") : NULL;
    if (!output.path || (replaced && !output.partial)) {
        status = cli_fail(err, NISSL_ERR_MEMORY, "out of memory");
    } else {
        const char *written = replaced ? output.partial : output.path;
        if (!(output.file = fopen(written, "w")))
            status =
                cli_fail(err, NISSL_ERR_IO, "cannot write %.300s: %s", written, strerror(errno));
    }
    if (status != NISSL_OK) {
        free(output.path);
        free(output.partial);
        return status;
    }
    *out = output;
    return NISSL_OK;
}

/* Renames partial over path. A folder that is there is exchanged for the new one, then removed. */
static int put_in_place(const cli_output *output)
{
    if (rename(output->partial, output->path) == 0)
        return 0;
    if (!output->folder || !output->force || (errno != ENOTEMPTY && errno != EEXIST))
        return -1;
    if (renameat2(AT_FDCWD, output->partial, AT_FDCWD, output->path, RENAME_EXCHANGE) == 0)
        return cli_remove_tree(output->partial);
    /* a file system without exchange: the old one steps aside first */
    char *aside = with_ending(output->path, ".replaced");
    int result = aside ? rename(output->path, aside) : -1;
    if (result == 0 && (result = rename(output->partial, output->path)) != 0) {
        int reason = errno;
        rename(aside, output->path);
        errno = reason;
    } else if (result == 0) {
        result = cli_remove_tree(aside);
    }
    free(aside);
    return result;
}

nissl_status cli_output_commit(cli_output *output, nissl_error *err)
{
    nissl_status status = NISSL_OK;
    if (output->standard) {
        *output = (cli_output){.lock = -1};
        return NISSL_OK; /* main flushes stdout and says whether that worked */
    }
    if (output->file) {
        int failed = ferror(output->file) || fflush(output->file) != 0;
        failed |= fclose(output->file) != 0;
        output->file = NULL;
        if (failed)
            status = cli_fail(err, NISSL_ERR_IO, "cannot write %.300s: %s", output->path,
                              strerror(errno));
    }
    if (status == NISSL_OK && output->partial && put_in_place(output) != 0)
        status = cli_fail(err, NISSL_ERR_IO, "cannot rename %.240s to %.240s: %s", output->partial,
                          output->path, strerror(errno));
    if (status == NISSL_OK) {
        free(output->partial);
        output->partial = NULL;
    }
    cli_output_abandon(output);
    return status;
}

void cli_output_abandon(cli_output *output)
{
    if (output->file && !output->standard)
        fclose(output->file);
    if (output->partial) {
        if (output->folder)
            cli_remove_tree(output->partial);
        else
            unlink(output->partial);
    }
    if (output->lock >= 0)
        close(output->lock);
    free(output->path);
    free(output->partial);
    *output = (cli_output){.lock = -1};
}

nissl_status cli_output_table(const nissl_table *table, const char *path, bool force,
                              nissl_error *err)
{
    cli_output output = {.lock = -1};
    const char *ending = strrchr(path, '.');
    nissl_status status = cli_output_begin_file(path, force, &output, err);
    if (status != NISSL_OK)
        return status;
    if (ending && strcmp(ending, ".json") == 0)
        status = nissl_table_write_json(table, output.file, err);
    else if (ending && strcmp(ending, ".tsv") == 0)
        cli_table_write_tabs(table, output.file);
    else
        status = nissl_table_write_csv(table, output.file, err);
    if (status == NISSL_OK)
        return cli_output_commit(&output, err);
    cli_output_abandon(&output);
    return status;
}
