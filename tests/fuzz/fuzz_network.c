/* Hostile graphs: whatever the reader accepts is made a network, looked at for transformers,
 * compiled under a small memory limit and, where that is little work, run once; its outputs are
 * read to the last element. */
#include <string.h>

#include "foundation/foundation.h"
#include "formats/onnx.h"
#include "fuzz.h"
#include "network/families/recognise.h"
#include "nissl/network.h"

#define MOST_BYTES      ((uint64_t)16 << 20)
#define MOST_OPERATIONS 1e8
#define MOST_INPUTS     16
#define FREE_SIZE       3 /* of an axis that the file leaves open */

static volatile double sink; /* keeps the reading from being left out */

static void read_view(const nissl_view *view)
{
    int64_t n = nissl_view_count(view);
    double *copy = n <= 1 << 20 ? nissl__alloc((size_t)n, sizeof *copy) : NULL;
    nissl_error error = {0};
    if (copy && nissl_view_copy(view, NISSL_FLOAT64, copy, &error) == NISSL_OK)
        for (int64_t i = 0; i < n; i++)
            sink = copy[i];
    nissl__free(copy);
}

static nissl_status look(void *user, size_t site, const nissl_view *view, nissl_error *err)
{
    (void)user;
    (void)site;
    (void)err;
    read_view(view);
    return NISSL_OK;
}

/* Ones and twos, so that an index may lie inside. */
static nissl_status make_inputs(const nissl_program *program, nissl_array *arrays,
                                nissl_view *views, nissl_error *err)
{
    for (size_t i = 0; i < nissl_program_n_inputs(program); i++) {
        const nissl_site *site = nissl_program_input(program, i);
        int64_t n = 1;
        for (int j = 0; j < site->rank; j++)
            if (!nissl__mul(n, site->shape[j], &n) || n > (int64_t)MOST_BYTES)
                return NISSL_ERR_LIMIT;
        nissl_status status = nissl_array_new(site->type, site->rank, site->shape, &arrays[i], err);
        if (status != NISSL_OK)
            return status;
        views[i] = nissl_array_view(&arrays[i]);
        size_t bytes = (size_t)nissl_view_count(&views[i]) * nissl_type_size(site->type);
        if (site->type >= NISSL_INT8 && bytes)
            memset(arrays[i].data, 1, bytes);
    }
    return NISSL_OK;
}

static void run_once(const nissl_program *program, size_t n_outputs)
{
    nissl_run *run = NULL;
    nissl_array arrays[MOST_INPUTS] = {{0}};
    nissl_view views[MOST_INPUTS], out;
    nissl_error error = {0};
    size_t n = nissl_program_n_inputs(program);
    if (nissl_run_new(program, &run, &error) == NISSL_OK &&
        make_inputs(program, arrays, views, &error) == NISSL_OK &&
        nissl_run_forward(run, views, n, look, NULL, &error) == NISSL_OK)
        for (size_t i = 0; i < n_outputs; i++)
            if (nissl_run_output(run, i, &out, &error) == NISSL_OK)
                read_view(&out);
    for (size_t i = 0; i < n; i++)
        nissl_array_free(&arrays[i]);
    nissl_run_free(run);
}

static void compile_and_run(nissl_context *ctx, const nissl_network *network,
                            const nissl_program_options *opt)
{
    nissl_program *program = NULL;
    nissl_error error = {0};
    if (nissl_program_compile(ctx, network, opt, &program, &error) == NISSL_OK &&
        nissl_program_run_bytes(program) <= 4 * MOST_BYTES &&
        nissl_program_operations(program) * (double)nissl_program_batch(program) <= MOST_OPERATIONS)
        run_once(program, nissl_network_n_outputs(network));
    nissl_program_free(program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    nissl_context_options options = nissl_context_options_default();
    nissl_context *ctx = NULL;
    nissl__onnx_model *model = NULL;
    nissl_network *network = NULL;
    nissl_program_options opt = nissl_program_options_default();
    nissl_view shapes[MOST_INPUTS] = {{0}};
    nissl_error error = {0};
    options.threads = 1;
    options.memory_limit = MOST_BYTES;
    if (nissl_context_new(&options, &ctx, &error) != NISSL_OK ||
        nissl__onnx_parse("fuzz", data, size, MOST_BYTES, &model, &error) != NISSL_OK ||
        nissl__network_of_model(ctx, model, "fuzz", "ONNX", 0, &network, &error) != NISSL_OK ||
        nissl_network_n_inputs(network) > MOST_INPUTS ||
        nissl__recognise(ctx, network, MOST_OPERATIONS, &error) != NISSL_OK)
        goto done;
    for (size_t i = 0; i < nissl_network_n_inputs(network); i++) {
        const nissl_port *port = nissl_network_input(network, i);
        shapes[i].rank = NISSL__MAX(port->rank, 0);
        for (int j = 0; j < shapes[i].rank; j++)
            shapes[i].shape[j] = port->shape[j] >= 0 ? port->shape[j] : FREE_SIZE;
    }
    opt.input_shapes = shapes;
    opt.n_input_shapes = nissl_network_n_inputs(network);
    opt.observe_all = size % 2 == 1; /* by something that mutations change */
    opt.batch = size % 4 < 2 ? 0 : 2;
    compile_and_run(ctx, network, &opt);
    opt.exact = true;
    compile_and_run(ctx, network, &opt);
done:
    nissl_network_free(network);
    nissl_context_free(ctx);
    return 0;
}
