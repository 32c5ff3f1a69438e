/*
 * Lists the sites of a network: what can be recorded of it.
 *
 *     sites MODEL.onnx
 */
#include <inttypes.h>
#include <stdio.h>

#include <nissl.h>

int main(int argc, char **argv)
{
    nissl_error error = {0};
    nissl_context *ctx = NULL;
    nissl_network *network = NULL;
    nissl_program *program = NULL;
    nissl_program_options options = nissl_program_options_default();
    int result = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL.onnx\n", argv[0]);
        return 2;
    }
    options.observe_all = true; /* every tensor counts, none is fused away */
    options.shapes_only = true; /* nothing will run */
    if (nissl_context_new(NULL, &ctx, &error) != NISSL_OK ||
        nissl_network_open(ctx, argv[1], &network, &error) != NISSL_OK ||
        nissl_program_compile(ctx, network, &options, &program, &error) != NISSL_OK)
        goto done;

    printf("%-24s %-20s %10s %10s\n", "site", "operator", "units", "positions");
    for (size_t i = 0; i < nissl_program_n_sites(program); i++) {
        const nissl_site *site = nissl_program_site(program, i);
        printf("%-24s %-20s %10" PRId64 " %10" PRId64 "\n", site->name, site->op, site->n_units,
               site->n_positions);
    }
    result = 0;
done:
    if (result)
        fprintf(stderr, "%s\n", error.message);
    nissl_program_free(program);
    nissl_network_free(network);
    nissl_context_free(ctx);
    return result;
}
