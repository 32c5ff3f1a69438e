/* Paths and folders. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "options.h"

char *cli_path_join(const char *folder, const char *name)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s/%s", folder, name);
    return path;
}

nissl_status cli_temporary_folder(char **out, nissl_error *err)
{
    const char *temporary = getenv("TMPDIR");
    char *folder = cli_path_join(temporary && *temporary ? temporary : "/tmp", "nissl-XXXXXX");
    nissl_status status = NISSL_OK;
    if (!folder)
        return cli_fail(err, NISSL_ERR_MEMORY, "out of memory");
    if (mkdtemp(folder)) {
        *out = folder;
        return NISSL_OK;
    }
    status =
        cli_fail(err, NISSL_ERR_IO, "cannot make the folder %.300s: %s", folder, strerror(errno));
    free(folder);
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)place;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

int cli_remove_tree(const char *path)
{
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
