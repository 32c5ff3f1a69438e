/* make_report DIRECTORY WEB: writes the report of hostile names for the browser test. */
#include <stdio.h>

#include "hostile.h"

int main(int argc, char **argv)
{
    nissl_context *ctx = NULL;
    nissl_error err = {0};
    nissl_status status;
    if (argc != 3)
        return 2;
    status = nissl_context_new(NULL, &ctx, &err);
    if (status == NISSL_OK)
        status = hostile_report_write(ctx, argv[1], argv[2], &err);
    nissl_context_free(ctx);
    if (status != NISSL_OK)
        fprintf(stderr, "%s\n", err.message);
    return status != NISSL_OK;
}
