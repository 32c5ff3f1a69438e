/* Compiling a program: the passes in order, and what a caller may ask of the result. */
#include "network/program.h"

#include <omp.h>

#define ACTIVATION_TARGET                                                                          \
    (1 << 20) /* bytes of the largest tensor of a micro-batch: half of a second-level cache */
#define MAX_AUTOMATIC_BATCH 64

nissl_program_options nissl_program_options_default(void)
{
    return (nissl_program_options){0};
}

static void free_steps(nissl__step *steps, int n)
{
    for (int i = 0; i < n; i++)
        if (steps[i].destroy)
            steps[i].destroy(steps[i].state);
        else
            nissl__free(steps[i].state);
    nissl__free(steps);
}

static void free_owned(void **owned, int n)
{
    for (int i = 0; i < n; i++)
        nissl__free(owned[i]);
    nissl__free(owned);
}

/* Frees constants that no step reads: weights are packed by now. Counts those that stay. */
static uint64_t drop_packed_constants(nissl__compiler *c)
{
    uint64_t kept = 0;
    int n = 0;
    for (int i = 0; i < c->n_owned; i++) {
        bool read = false;
        for (int j = 0; j < c->n_values && !read; j++)
            read = c->values[j].constant == c->owned[i] && c->values[j].n_step_uses > 0;
        if (!read) {
            nissl__free(c->owned[i]);
            continue;
        }
        c->owned[n++] = c->owned[i];
    }
    c->n_owned = n;
    for (int j = 0; j < c->n_values; j++) {
        const nissl__value *value = &c->values[j];
        uint64_t bytes = nissl_type_size(value->type);
        for (int i = 0; i < value->rank; i++)
            bytes *= (uint64_t)value->shape[i];
        if (value->constant && value->n_step_uses > 0)
            kept += bytes;
    }
    return kept;
}

/* What absorbed nodes add is not counted. */
static void count_operations(nissl__compiler *c)
{
    for (int i = 0; i < c->n_steps; i++) {
        nissl__step *step = &c->steps[i];
        const nissl__node *node = &c->network->nodes[step->node];
        c->node = step->node;
        if (strcmp(step->kind, "conv") == 0 || strcmp(step->kind, "matmul") == 0)
            step->operations = nissl__node_operations(c, node, NULL);
    }
}

static void compiler_free(nissl__compiler *c)
{
    free_steps(c->steps, c->n_steps);
    free_owned(c->owned, c->n_owned);
    nissl__free(c->values);
    nissl__free(c->absorbed);
    nissl__free(c->attention);
}

static bool is_float(nissl_type type)
{
    return type == NISSL_FLOAT32 || type == NISSL_FLOAT64;
}

/* Sites are floating-point tensors that depend on the stimulus and keep one entry per stimulus
 * along axis 0. */
static bool is_site(const nissl__compiler *c, const nissl__value *value)
{
    return !c->opt->exact && value->inferred && value->dynamic && !value->constant &&
           is_float(value->type) && value->name[0] && value->rank >= 1 &&
           value->shape[0] == c->batch && value->home != NISSL__HOME_INPUT;
}

static nissl_status mark_observed(nissl__compiler *c, nissl_error *err)
{
    const nissl_program_options *opt = c->opt;
    for (int i = 0; i < c->network->n_values && opt->observe_all; i++) {
        const nissl__label *label = nissl__network_label(c->network, i);
        c->values[i].observed = is_site(c, &c->values[i]) && !(label && label->plumbing);
    }
    for (size_t i = 0; i < opt->n_observe; i++) {
        int value = nissl__network_find_value(c->network, opt->observe[i]);
        if (value < 0 || c->opt->exact || !c->values[value].inferred || !c->values[value].dynamic ||
            c->values[value].rank < 1 || c->values[value].shape[0] != c->batch)
            return NISSL__FAIL(err, NISSL_ERR_NAME, "%s: no site is named %s", c->network->path,
                               opt->observe[i]);
        c->values[value].observed = true;
    }
    return NISSL_OK;
}

/* The node that computes a value: what only shows plumbing in another shape is looked through. */
static int maker_of(const nissl_network *network, int value)
{
    int maker = network->producer[value];
    while (maker >= 0) {
        const nissl__node *node = &network->nodes[maker];
        const nissl__label *label = node->n_inputs && node->inputs[0] >= 0
                                        ? nissl__network_label(network, node->inputs[0])
                                        : NULL;
        if (!label || !label->plumbing || network->producer[node->inputs[0]] < 0 ||
            (strcmp(node->onnx->op, "Reshape") != 0 && strcmp(node->onnx->op, "Transpose") != 0))
            break;
        maker = network->producer[node->inputs[0]];
    }
    return maker;
}

static void fill_site(nissl__compiler *c, int index, nissl_site *site)
{
    const nissl__value *value = &c->values[index];
    int producer = maker_of(c->network, index);
    *site = (nissl_site){.name = value->name,
                         .type = value->type,
                         .rank = value->rank,
                         .n_units = 1,
                         .n_positions = 1};
    site->op = producer >= 0 ? c->network->nodes[producer].onnx->op : "Input";
    site->node = producer >= 0 ? c->network->nodes[producer].name : value->name;
    site->is_output = value->output;
    int unit = value->unit_axis > 0 ? value->unit_axis : value->rank - 1;
    const nissl__label *label = nissl__network_label(c->network, index);
    bool told = label && strlen(label->roles) == (size_t)value->rank;
    if (label) {
        site->aliases = label->aliases;
        site->n_aliases = label->n_aliases;
    }
    for (int i = 0; i < value->rank; i++) {
        bool is_unit = told ? label->roles[i] == 'u' : i == unit;
        site->shape[i] = value->shape[i];
        site->role[i] = i == 0    ? NISSL_AXIS_STIMULUS
                        : is_unit ? NISSL_AXIS_UNIT
                                  : NISSL_AXIS_POSITION;
        if (i > 0 && is_unit)
            site->n_units *= value->shape[i];
        else if (i > 0)
            site->n_positions *= value->shape[i];
    }
    if (producer >= 0) {
        c->node = producer;
        site->operations =
            nissl__node_operations(c, &c->network->nodes[producer], &site->parameters) /
            (double)c->batch;
    }
}

static nissl_status list_sites(nissl__compiler *c, nissl_program *program, nissl_error *err)
{
    int n = 0;
    for (int i = 0; i < c->network->n_values; i++)
        n += c->values[i].observed || (c->values[i].output && is_site(c, &c->values[i]));
    program->sites = nissl__alloc((size_t)n, sizeof *program->sites);
    program->site_values = nissl__alloc((size_t)n, sizeof *program->site_values);
    program->site_step = nissl__alloc((size_t)n, sizeof *program->site_step);
    program->inputs = nissl__alloc((size_t)c->network->n_inputs, sizeof *program->inputs);
    if (!program->sites || !program->site_values || !program->site_step || !program->inputs)
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *program->sites);
    for (int i = 0; i < c->network->n_values; i++) {
        const nissl__value *value = &c->values[i];
        int at = program->n_sites;
        if (!value->observed && !(value->output && is_site(c, value)))
            continue;
        while (at > 0 && c->values[program->site_values[at - 1]].def_step > value->def_step) {
            program->site_values[at] = program->site_values[at - 1];
            at--;
        }
        program->site_values[at] = i;
        program->n_sites++;
    }
    for (int i = 0; i < program->n_sites; i++) {
        program->site_step[i] = c->values[program->site_values[i]].def_step;
        fill_site(c, program->site_values[i], &program->sites[i]);
    }
    program->n_inputs = c->network->n_inputs;
    for (int i = 0; i < program->n_inputs; i++)
        fill_site(c, c->network->inputs[i], &program->inputs[i]);
    for (int i = 0; i < c->network->n_nodes; i++) {
        c->node = i;
        program->operations +=
            nissl__node_operations(c, &c->network->nodes[i], NULL) / (double)c->batch;
    }
    return NISSL_OK;
}

/* The batch that the file itself fixes: -1 = free. */
static int64_t file_batch(const nissl_network *network)
{
    return network->n_inputs && network->input_ports[0].rank > 0 &&
                   network->input_ports[0].shape[0] > 0
               ? network->input_ports[0].shape[0]
               : -1;
}

static nissl_status check_batch_kept(const nissl__compiler *c, nissl_error *err)
{
    for (int i = 0; i < c->network->n_outputs && !c->opt->exact; i++) {
        const nissl__value *value = &c->values[c->network->outputs[i]];
        if (value->dynamic && (value->rank < 1 || value->shape[0] != c->batch))
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "%s: output %s has %lld entries along axis 0 for %lld stimuli",
                               c->network->path, value->name,
                               (long long)(value->rank ? value->shape[0] : 1), (long long)c->batch);
    }
    return NISSL_OK;
}

static nissl_status compile_for_batch(nissl__compiler *c, nissl_program **out, nissl_error *err)
{
    nissl_status status;
    nissl_program *program = NULL;
    int saved_threads = omp_get_max_threads();
    c->capacity = c->network->n_values + 64;
    for (int i = 0; i < c->network->n_nodes; i++)
        c->capacity += c->network->nodes[i].n_inputs + 8;
    c->n_values = c->network->n_values;
    c->values = nissl__alloc((size_t)c->capacity, sizeof *c->values);
    c->absorbed = nissl__alloc((size_t)c->network->n_nodes, sizeof *c->absorbed);
    c->attention = nissl__alloc((size_t)c->network->n_nodes, sizeof *c->attention);
    program = nissl__alloc(1, sizeof *program);
    if (!c->values || !c->absorbed || !c->attention || !program) {
        status = NISSL__NO_MEMORY(err, (size_t)c->capacity * sizeof *c->values);
        goto done;
    }
    omp_set_num_threads(c->threads); /* oneDNN divides its work when a primitive is made */
    if ((status = nissl__infer(c, err)) != NISSL_OK ||
        (status = check_batch_kept(c, err)) != NISSL_OK ||
        (status = mark_observed(c, err)) != NISSL_OK)
        goto done;
    if (!c->opt->shapes_only) {
        if ((status = nissl__select(c, err)) != NISSL_OK ||
            (status = nissl__lower(c, err)) != NISSL_OK ||
            (status = nissl__plan_memory(c, &program->arena_bytes, &program->scratch_bytes, err)) !=
                NISSL_OK)
            goto done;
        count_operations(c);
        program->weight_bytes = drop_packed_constants(c);
        uint64_t bytes = program->arena_bytes + program->scratch_bytes,
                 limit = nissl__memory_limit(c->ctx);
        if (bytes > limit) {
            status = NISSL__FAIL(err, NISSL_ERR_LIMIT,
                                 "%s: a run of %lld stimuli needs %llu bytes, the limit is %llu",
                                 c->network->path, (long long)c->batch, (unsigned long long)bytes,
                                 (unsigned long long)limit);
            goto done;
        }
    } else {
        for (int i = 0; i < c->network->n_values; i++) {
            int producer = c->network->producer[i];
            c->values[i].def_step = producer;
        }
        for (int i = 0; i < c->network->n_outputs; i++)
            c->values[c->network->outputs[i]].output = true;
    }
    if ((status = list_sites(c, program, err)) != NISSL_OK ||
        (status = nissl__find_chains(c, program, err)) != NISSL_OK)
        goto done;
    program->network = c->network;
    program->batch = c->batch;
    program->threads = c->threads;
    program->n_values = c->n_values;
    program->values = c->values;
    program->n_steps = c->n_steps;
    program->steps = c->steps;
    program->owned = c->owned;
    program->n_owned = c->n_owned;
    for (int i = 0; i < c->n_steps; i++)
        program->weight_bytes += c->steps[i].weight_bytes;
    c->values = NULL;
    c->steps = NULL;
    c->owned = NULL;
    c->n_steps = c->n_owned = 0;
    *out = program;
    program = NULL;
done:
    omp_set_num_threads(saved_threads);
    nissl_program_free(program);
    compiler_free(c);
    return status;
}

static nissl_status compile(nissl_context *ctx, const nissl_network *network,
                            const nissl_program_options *opt, int64_t batch, nissl_program **out,
                            nissl_error *err)
{
    nissl__compiler c = {.ctx = ctx,
                         .network = network,
                         .opt = opt,
                         .batch = batch,
                         .threads = NISSL__MAX(opt->threads, 1)};
    return compile_for_batch(&c, out, err);
}

/* Large enough to use every weight many times, small enough that a tensor stays in cache until it
 * has been seen. */
static int64_t automatic_batch(const nissl_program *one)
{
    double largest = 0;
    bool spatial = false;
    for (int i = 0; i < one->n_values; i++) {
        const nissl__value *value = &one->values[i];
        double count = 4;
        if (!value->inferred || !value->dynamic || value->constant)
            continue;
        for (int j = 1; j < value->rank; j++)
            count *= (double)value->shape[j];
        spatial |= value->rank >= 3;
        largest = NISSL__MAX(largest, count);
    }
    int64_t batch = 1;
    while (batch < MAX_AUTOMATIC_BATCH && (double)(2 * batch) * largest <= ACTIVATION_TARGET)
        batch *= 2;
    return spatial ? batch : NISSL__MAX(batch, 32);
}

nissl_status nissl_program_compile(nissl_context *ctx, const nissl_network *network,
                                   const nissl_program_options *opt, nissl_program **out,
                                   nissl_error *err)
{
    nissl_program_options options = opt ? *opt : nissl_program_options_default();
    nissl_status status;
    int64_t fixed = file_batch(network), batch = options.batch;
    if (batch < 0 || batch > 65536)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "batch = %lld is outside 0 .. 65536",
                           (long long)batch);
    if (options.exact)
        return compile(ctx, network, &options, 1, out, err);
    if (fixed > 1)
        batch = fixed;
    if (batch == 0) {
        nissl_program_options shapes = options;
        nissl_program *one = NULL;
        shapes.shapes_only = true;
        if ((status = compile(ctx, network, &shapes, 1, &one, err)) != NISSL_OK)
            return status;
        batch = automatic_batch(one);
        nissl_program_free(one);
    }
    status = compile(ctx, network, &options, batch, out, err);
    if (status == NISSL_ERR_SHAPE && fixed == 1 && batch > 1) {
        nissl_error second = {0};
        if (compile(ctx, network, &options, 1, out, &second) == NISSL_OK)
            return NISSL_OK;
    }
    return status;
}

void nissl_program_free(nissl_program *program)
{
    if (!program)
        return;
    free_steps(program->steps, program->n_steps);
    free_owned(program->owned, program->n_owned);
    nissl__free(program->values);
    nissl__free(program->sites);
    nissl__free(program->site_values);
    nissl__free(program->site_step);
    nissl__free(program->chains);
    nissl__free(program->chained_step);
    nissl__free(program->chained_site);
    nissl__free(program->inputs);
    nissl__free(program);
}

int64_t nissl_program_batch(const nissl_program *program)
{
    return program->batch;
}

size_t nissl_program_n_inputs(const nissl_program *program)
{
    return (size_t)program->n_inputs;
}

const nissl_site *nissl_program_input(const nissl_program *program, size_t index)
{
    return index < (size_t)program->n_inputs ? &program->inputs[index] : NULL;
}

size_t nissl_program_n_sites(const nissl_program *program)
{
    return (size_t)program->n_sites;
}

const nissl_site *nissl_program_site(const nissl_program *program, size_t index)
{
    return index < (size_t)program->n_sites ? &program->sites[index] : NULL;
}

int64_t nissl_program_find_site(const nissl_program *program, const char *name)
{
    for (int i = 0; i < program->n_sites; i++)
        if (strcmp(program->sites[i].name, name) == 0)
            return i;
    for (int i = 0; i < program->n_sites; i++)
        for (size_t k = 0; k < program->sites[i].n_aliases; k++)
            if (strcmp(program->sites[i].aliases[k], name) == 0)
                return i;
    return -1;
}

uint64_t nissl_program_weight_bytes(const nissl_program *program)
{
    return program->weight_bytes;
}

double nissl_program_operations(const nissl_program *program)
{
    return program->operations;
}
