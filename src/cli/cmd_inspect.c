/* nissl inspect */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "commands.h"
#include "print.h"
#include "subject.h"

/* "float32 [N, 3, 224, 224]": symbolic dimensions by name, "?" where they have none */
static const char *port_text(const nissl_port *port, char *buffer, size_t size)
{
    size_t n = (size_t)snprintf(buffer, size, "%s [", nissl_type_name(port->type));
    for (int i = 0; i < port->rank && n < size; i++) {
        const char *gap = i ? ", " : "";
        if (port->shape[i] >= 0)
            n += (size_t)snprintf(buffer + n, size - n, "%s%" PRId64, gap, port->shape[i]);
        else
            n += (size_t)snprintf(buffer + n, size - n, "%s%s", gap,
                                  port->symbol[i] ? port->symbol[i] : "?");
    }
    if (n < size)
        snprintf(buffer + n, size - n, "]");
    return buffer;
}

static json_t *port_json(const nissl_port *port)
{
    json_t *shape = json_array();
    for (int i = 0; i < port->rank; i++)
        json_array_append_new(shape, port->shape[i] >= 0 ? json_integer(port->shape[i])
                                     : port->symbol[i]   ? json_string(port->symbol[i])
                                                         : json_null());
    return json_pack("{s:s, s:s, s:o}", "name", port->name, "type", nissl_type_name(port->type),
                     "shape", shape);
}

static nissl_status add_text(nissl_table *table, const char *name, const char *description,
                             nissl_error *err)
{
    return nissl_table_add_column(table, NISSL_COLUMN_TEXT, name, "", description, NULL, err);
}

/* ---- sites ---- */

#define DEFAULT_TOKENS 16
#define MAX_PACKED                                                                                 \
    ((uint64_t)1 << 30) /* bytes of weights that inspect packs to know their memory */

static char *joined(const char *const *names, size_t n)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; out && i < n; i++)
        fprintf(out, "%s%s", i ? " " : "", *names[i] ? names[i] : "-");
    if (out)
        fclose(out);
    return text;
}

static nissl_status site_row(const nissl_site *site, bool named, nissl_table *table,
                             nissl_error *err)
{
    int64_t row = table->n_rows;
    char shape[160];
    nissl_status status = nissl_table_add_rows(table, 1, err);
    cli_text_shape(site->rank - 1, site->shape + 1, shape, sizeof shape);
    if (status == NISSL_OK)
        status = nissl_table_set_text(table, row, 0, site->name, err);
    if (status == NISSL_OK)
        status = nissl_table_set_text(table, row, 1, site->op, err);
    if (status == NISSL_OK)
        status = nissl_table_set_text(table, row, 2, shape, err);
    char *aliases = site->n_aliases ? joined(site->aliases, site->n_aliases) : NULL;
    if (status == NISSL_OK && named)
        status = nissl_table_set_text(table, row, 7, aliases ? aliases : "", err);
    free(aliases);
    if (status != NISSL_OK)
        return status;
    table->columns[3].integer[row] = site->n_units;
    table->columns[4].integer[row] = site->n_positions;
    table->columns[5].integer[row] = (int64_t)site->parameters;
    table->columns[6].real[row] = site->operations;
    return NISSL_OK;
}

static nissl_status site_table(const nissl_program *program, const char *globs, nissl_table *out,
                               nissl_error *err)
{
    static const char *const numbers[][3] = {
        {"units", "1", "indices along the unit axes"},
        {"positions", "1", "places (pixels, tokens) at which each unit is computed"},
        {"parameters", "1", "weights of the node that makes it"}};
    nissl_table table = {0};
    nissl_status status = nissl_table_new(
        "sites", "Named tensors that depend on the stimulus, in execution order", &table, err);
    if (status == NISSL_OK)
        status = add_text(&table, "site", "name of the tensor", err);
    if (status == NISSL_OK)
        status = add_text(&table, "op", "operator that makes it", err);
    if (status == NISSL_OK)
        status = add_text(&table, "shape", "shape for one stimulus", err);
    for (int i = 0; status == NISSL_OK && i < 3; i++)
        status = nissl_table_add_column(&table, NISSL_COLUMN_INTEGER, numbers[i][0], numbers[i][1],
                                        numbers[i][2], NULL, err);
    if (status == NISSL_OK)
        status = nissl_table_add_column(&table, NISSL_COLUMN_REAL, "operations", "operations",
                                        "per stimulus, a multiply-add counted as two", NULL, err);
    bool named = false; /* a column of aliases where there are any */
    for (size_t i = 0; i < nissl_program_n_sites(program); i++)
        named |= nissl_program_site(program, i)->n_aliases > 0;
    if (status == NISSL_OK && named)
        status = add_text(&table, "aliases", "other names of the tensor", err);
    for (size_t i = 0; status == NISSL_OK && i < nissl_program_n_sites(program); i++) {
        const nissl_site *site = nissl_program_site(program, i);
        if (cli_glob_match_site(globs, site))
            status = site_row(site, named, &table, err);
    }
    if (status == NISSL_OK && table.n_rows == 0) {
        const char *names[256];
        size_t n = 0;
        for (; n < nissl_program_n_sites(program) && n < sizeof names / sizeof *names; n++)
            names[n] = nissl_program_site(program, n)->name;
        const char *near = cli_suggest(globs, names, n);
        status = cli_fail(err, NISSL_ERR_NAME, "no site matches '%.200s'; %s '%.200s'", globs,
                          near ? "did you mean" : "the first of them is",
                          near ? near
                          : n  ? names[0]
                               : "");
    }
    if (status == NISSL_OK)
        *out = table;
    else
        nissl_table_free(&table);
    return status;
}

/* ---- nodes ---- */

static nissl_status node_table(const nissl_network *network, nissl_table *out, nissl_error *err)
{
    nissl_table table = {0};
    nissl_status status = nissl_table_new("nodes", "Operators in the file's order", &table, err);
    if (status == NISSL_OK)
        status = add_text(&table, "node", "name of the node", err);
    if (status == NISSL_OK)
        status = add_text(&table, "op", "operator", err);
    if (status == NISSL_OK)
        status = add_text(&table, "inputs", "tensors it reads; - is an absent one", err);
    if (status == NISSL_OK)
        status = add_text(&table, "outputs", "tensors it makes", err);
    if (status == NISSL_OK)
        status = nissl_table_add_rows(&table, (int64_t)nissl_network_n_nodes(network), err);
    for (size_t i = 0; status == NISSL_OK && i < nissl_network_n_nodes(network); i++) {
        const nissl_node *node = nissl_network_node(network, i);
        char *inputs = joined(node->inputs, node->n_inputs);
        char *outputs = joined(node->outputs, node->n_outputs);
        status = nissl_table_set_text(&table, (int64_t)i, 0, node->name, err);
        if (status == NISSL_OK)
            status = nissl_table_set_text(&table, (int64_t)i, 1, node->op, err);
        if (status == NISSL_OK)
            status = nissl_table_set_text(&table, (int64_t)i, 2, inputs, err);
        if (status == NISSL_OK)
            status = nissl_table_set_text(&table, (int64_t)i, 3, outputs, err);
        free(inputs);
        free(outputs);
    }
    if (status == NISSL_OK)
        *out = table;
    else
        nissl_table_free(&table);
    return status;
}

/* ---- the command ---- */

/* Every dimension but the batch must be known before shapes can be. */
static nissl_status require_shape(cli_app *app, const nissl_network *network,
                                  const nissl_view *shape)
{
    char text[256];
    for (int i = 1; i < shape->rank; i++)
        if (shape->shape[i] < 0)
            return cli_fail(&app->err, NISSL_ERR_SHAPE,
                            "%.200s leaves dimensions of its input open: %s; give them, e.g. "
                            "--shape 3x224x224",
                            nissl_network_path(network),
                            port_text(nissl_network_input(network, 0), text, sizeof text));
    return NISSL_OK;
}

/* Two programs: one of shapes that knows every site, one that only computes the outputs and whose
 * memory is therefore what a plain run needs. */
static nissl_status compile(cli_app *app, const nissl_network *network, nissl_program **sites,
                            nissl_program **plain)
{
    nissl_program_options opt = nissl_program_options_default();
    nissl_view shape;
    nissl_status status = cli_input_shape(app, network, &shape);
    const nissl_port *port = nissl_network_input(network, 0);
    if (status == NISSL_OK && shape.rank == 2 && shape.shape[1] < 0 && port->type == NISSL_INT64)
        shape.shape[1] = DEFAULT_TOKENS;
    if (status == NISSL_OK)
        status = require_shape(app, network, &shape);
    if (status != NISSL_OK)
        return status;
    if (nissl_network_n_inputs(network) == 1) {
        opt.input_shapes = &shape;
        opt.n_input_shapes = 1;
    }
    if (nissl_network_parameters(network) <= MAX_PACKED / sizeof(float))
        status = nissl_program_compile(app->ctx, network, &opt, plain, &app->err);
    opt.shapes_only = true;
    opt.observe_all = true;
    opt.batch = 1;
    if (status == NISSL_OK)
        status = nissl_program_compile(app->ctx, network, &opt, sites, &app->err);
    return status;
}

static void print_ports(const nissl_network *network)
{
    char text[256];
    for (size_t i = 0; i < nissl_network_n_inputs(network); i++)
        cli_print_fact("input", "%s %s", nissl_network_input(network, i)->name,
                       port_text(nissl_network_input(network, i), text, sizeof text));
    for (size_t i = 0; i < nissl_network_n_outputs(network); i++)
        cli_print_fact("output", "%s %s", nissl_network_output(network, i)->name,
                       port_text(nissl_network_output(network, i), text, sizeof text));
}

static void print_text(const nissl_network *network, const nissl_program *program,
                       const nissl_table *table)
{
    char text[3][32];
    cli_print_fact("model", "%s", nissl_network_path(network));
    cli_print_fact("format", "%s", nissl_network_format(network));
    print_ports(network);
    cli_print_fact("nodes", "%zu", nissl_network_n_nodes(network));
    cli_print_fact("parameters", "%" PRIu64, nissl_network_parameters(network));
    if (!program && table->n_rows) {
        double bytes = (double)nissl_network_parameters(network) * sizeof(float);
        cli_print_fact("memory", "%s weights in float32",
                       cli_text_bytes((uint64_t)bytes, text[0], sizeof text[0]));
    }
    if (program) {
        cli_print_fact("operations", "%s per stimulus",
                       cli_text_count(nissl_program_operations(program), text[0], sizeof text[0]));
        cli_print_fact("memory", "%s weights, %s for a plain run of %" PRId64,
                       cli_text_bytes(nissl_program_weight_bytes(program), text[1], sizeof text[1]),
                       cli_text_bytes(nissl_program_run_bytes(program), text[2], sizeof text[2]),
                       nissl_program_batch(program));
    }
    cli_print_table(table);
}

static void print_json(const nissl_network *network, const nissl_program *program,
                       const nissl_table *table)
{
    json_t *inputs = json_array(), *outputs = json_array(), *root;
    bool large = nissl_network_parameters(network) > MAX_PACKED / sizeof(float);
    char hash[24];
    if (!large) /* the hash reads every byte */
        snprintf(hash, sizeof hash, "%016" PRIx64, nissl_network_hash(network));
    for (size_t i = 0; i < nissl_network_n_inputs(network); i++)
        json_array_append_new(inputs, port_json(nissl_network_input(network, i)));
    for (size_t i = 0; i < nissl_network_n_outputs(network); i++)
        json_array_append_new(outputs, port_json(nissl_network_output(network, i)));
    root =
        json_pack("{s:s, s:s, s:s?, s:o, s:o, s:I, s:I}", "model", nissl_network_path(network),
                  "format", nissl_network_format(network), "hash", large ? NULL : hash, "inputs",
                  inputs, "outputs", outputs, "nodes", (json_int_t)nissl_network_n_nodes(network),
                  "parameters", (json_int_t)nissl_network_parameters(network));
    if (program) {
        json_object_set_new(root, "operations", json_real(nissl_program_operations(program)));
        json_object_set_new(root, "batch", json_integer(nissl_program_batch(program)));
        json_object_set_new(root, "weight_bytes",
                            json_integer((json_int_t)nissl_program_weight_bytes(program)));
        json_object_set_new(root, "run_bytes",
                            json_integer((json_int_t)nissl_program_run_bytes(program)));
    }
    json_object_set_new(root, "table", cli_table_json(table));
    cli_print_json(root);
}

static int run(cli_app *app)
{
    nissl_network *network = NULL;
    nissl_program *sites = NULL, *plain = NULL;
    nissl_table table = {0};
    nissl_status status = nissl_network_open(app->ctx, app->set.operand[0], &network, &app->err);
    if (status == NISSL_OK && app->set.nodes)
        status = node_table(network, &table, &app->err);
    else if (status == NISSL_OK && (status = compile(app, network, &sites, &plain)) == NISSL_OK)
        status = site_table(sites, app->set.sites, &table, &app->err);
    if (status == NISSL_OK && app->set.json)
        print_json(network, plain, &table);
    else if (status == NISSL_OK)
        print_text(network, plain, &table);
    nissl_table_free(&table);
    nissl_program_free(sites);
    nissl_program_free(plain);
    nissl_network_free(network);
    return cli_exit_code(status);
}

static const cli_operand operands[] = {
    {"MODEL", "ONNX file, folder with safetensors, or llama2.c file"}, {0}};
static const cli_option options[] = {
    {.name = "sites",
     .letter = 's',
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, sites),
     .argument = "GLOBS",
     .help = "list only these sites: names or globs, comma-separated, ! excludes [all]"},
    {.name = "nodes",
     .type = CLI_FLAG,
     .offset = offsetof(cli_settings, nodes),
     .help = "list operators instead of sites"},
    {.name = "shape",
     .type = CLI_TEXT,
     .offset = offsetof(cli_settings, shape),
     .argument = "DIMS",
     .help = "shape of one input without the batch, e.g. 3x224x224, where the file leaves it open "
             "[tokens: 16]"},
    {0}};
static const cli_option *const groups[] = {options, cli_common_options, NULL};
static const cli_example examples[] = {
    {"what is in a file", "nissl inspect squeezenet.onnx"},
    {"the ten most expensive sites",
     "nissl inspect squeezenet.onnx | grep -v '^#' | sort -t$'\\t' -k7,7gr | head"},
    {"sites as JSON objects",
     "nissl inspect net.onnx --json | jq '.table | [.columns[].name] as $n | .rows[] | "
     "[$n, .] | transpose | map({(.[0]): .[1]}) | add'"},
    {0}};

const cli_command cli_command_inspect = {
    .name = "inspect",
    .title = "list a network's sites, units, parameters and cost",
    .synopsis = "MODEL [options]",
    .description =
        "Says what a network file holds: format, inputs, outputs, parameters, operations "
        "and memory, then a row per site, the named tensors whose units can be "
        "recorded. Nothing is run.",
    .operands = operands,
    .min_operands = 1,
    .max_operands = 1,
    .groups = groups,
    .examples = examples,
    .run = run,
};
