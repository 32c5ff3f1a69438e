/* Paths and folders. */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include "nissl/error.h"

/* "folder/name", malloc'ed; NULL when out of memory. */
char *cli_path_join(const char *folder, const char *name);
/* A new folder under $TMPDIR or /tmp, malloc'ed in out. */
nissl_status cli_temporary_folder(char **out, nissl_error *err);
/* Removes a folder and what is in it, following no links. 0, or -1 and errno. */
int cli_remove_tree(const char *path);

#endif
