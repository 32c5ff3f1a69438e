/* Running a program: one arena, the steps in order, each observed site reported while it is hot. */
#include <omp.h>

#include "network/run.h"
#include "network/program.h"

struct nissl_run {
    const nissl_program *program;
    char *arena;
    void *scratch;
    void **bound;      /* [n_steps] */
    nissl_view *views; /* [n_values] */
    void **input_data; /* [n_inputs] */
    bool ran;
};

uint64_t nissl_program_run_bytes(const nissl_program *program)
{
    return program->arena_bytes + program->scratch_bytes +
           (uint64_t)program->n_values * sizeof(nissl_view) +
           (uint64_t)program->n_steps * sizeof(void *) +
           (uint64_t)program->n_inputs * sizeof(void *);
}

nissl_status nissl_run_new(const nissl_program *program, nissl_run **out, nissl_error *err)
{
    nissl_run *run = nissl__alloc(1, sizeof *run);
    if (!run)
        return NISSL__NO_MEMORY(err, sizeof *run);
    run->program = program;
    run->arena = nissl__alloc(program->arena_bytes, 1);
    run->scratch = nissl__alloc(program->scratch_bytes, 1);
    run->bound = nissl__alloc((size_t)program->n_steps, sizeof *run->bound);
    run->views = nissl__alloc((size_t)program->n_values, sizeof *run->views);
    run->input_data = nissl__alloc((size_t)program->n_inputs, sizeof *run->input_data);
    if (!run->arena || !run->scratch || !run->bound || !run->views || !run->input_data) {
        nissl_run_free(run);
        return NISSL__NO_MEMORY(err, nissl_program_run_bytes(program));
    }
    for (int i = 0; i < program->n_values; i++) {
        const nissl__value *value = &program->values[i];
        const nissl__value *root = &program->values[value->root];
        void *data = NULL;
        if (root->home == NISSL__HOME_ARENA)
            data = run->arena + root->arena_offset;
        else if (root->home == NISSL__HOME_CONSTANT)
            memcpy(&data, &root->constant, sizeof data); /* steps only read it */
        if (value->inferred)
            run->views[i] = nissl__value_view(value, data);
    }
    for (int i = 0; i < program->n_sites; i++)
        memcpy(run->views[program->site_values[i]].role, program->sites[i].role,
               sizeof program->sites[i].role);
    *out = run;
    return NISSL_OK;
}

void nissl_run_free(nissl_run *run)
{
    if (!run)
        return;
    for (int i = 0; run->bound && i < run->program->n_steps; i++)
        if (run->bound[i] && run->program->steps[i].unbind)
            run->program->steps[i].unbind(run->bound[i]);
    nissl__free(run->arena);
    nissl__free(run->scratch);
    nissl__free(run->bound);
    nissl__free(run->views);
    nissl__free(run->input_data);
    nissl__free(run);
}

static nissl_status take_inputs(nissl_run *run, const nissl_view *inputs, size_t n_inputs,
                                nissl_error *err)
{
    const nissl_program *program = run->program;
    if (n_inputs != (size_t)program->n_inputs)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "%zu inputs given, the network has %d",
                           n_inputs, program->n_inputs);
    for (int i = 0; i < program->n_inputs; i++) {
        const nissl_site *site = &program->inputs[i];
        if (program->values[program->network->inputs[i]].constant)
            continue;
        if (inputs[i].type != site->type)
            return NISSL__FAIL(err, NISSL_ERR_TYPE, "input %s is %s, the network wants %s",
                               site->name, nissl_type_name(inputs[i].type),
                               nissl_type_name(site->type));
        bool same = inputs[i].rank == site->rank && nissl_view_contiguous(&inputs[i]);
        for (int j = 0; j < site->rank && same; j++)
            same = inputs[i].shape[j] == site->shape[j];
        if (!same)
            return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                               "input %s has rank %d and %lld elements, the program wants rank %d",
                               site->name, inputs[i].rank, (long long)nissl_view_count(&inputs[i]),
                               site->rank);
        run->input_data[i] = inputs[i].data;
    }
    for (int i = 0; i < program->n_values; i++) {
        const nissl__value *value = &program->values[i];
        const nissl__value *root = &program->values[value->root];
        if (value->inferred && root->home == NISSL__HOME_INPUT)
            run->views[i].data = (char *)run->input_data[root->input] +
                                 value->offset * (int64_t)nissl_type_size(value->type);
    }
    return NISSL_OK;
}

static nissl_status execute_step(nissl_run *run, int index, nissl_error *err)
{
    const nissl__step *step = &run->program->steps[index];
    if (step->empty)
        return NISSL_OK;
    nissl__call call = {
        .scratch = run->scratch, .threads = run->program->threads, .bound = &run->bound[index]};
    for (int i = 0; i < step->n_inputs; i++)
        if (step->inputs[i] >= 0)
            call.in[i] = &run->views[step->inputs[i]];
    for (int i = 0; i < step->n_outputs; i++)
        if (step->outputs[i] >= 0)
            call.out[i] = &run->views[step->outputs[i]];
    return step->execute(step, &call, err);
}

static const nissl_view *site_view(const nissl_run *run, int site)
{
    return site < 0 ? NULL : &run->views[run->program->site_values[site]];
}

nissl_status nissl__run_forward_chaining(nissl_run *run, const nissl_view *inputs, size_t n_inputs,
                                         nissl_observe_fn observe, nissl__chain_fn chain,
                                         void *user, nissl_error *err)
{
    const nissl_program *program = run->program;
    int site = 0, saved_threads = omp_get_max_threads();
    nissl_status status = take_inputs(run, inputs, n_inputs, err);
    omp_set_num_threads(program->threads);
    for (int i = -1; i < program->n_steps && status == NISSL_OK; i++) {
        const nissl__chain *ends = i >= 0 && chain ? &program->chains[i] : NULL;
        if (ends && ends->first >= 0)
            status = chain(user, ends, site_view(run, ends->first), site_view(run, ends->scaled),
                           site_view(run, ends->clipped), err);
        else if (i >= 0 && !(chain && program->chained_step[i]))
            status = execute_step(run, i, err);
        for (; site < program->n_sites && program->site_step[site] <= i && status == NISSL_OK;
             site++)
            if (observe && !(chain && program->chained_site[site]))
                status = observe(user, (size_t)site, &run->views[program->site_values[site]], err);
    }
    omp_set_num_threads(saved_threads);
    run->ran = status == NISSL_OK;
    return status;
}

nissl_status nissl_run_forward(nissl_run *run, const nissl_view *inputs, size_t n_inputs,
                               nissl_observe_fn observe, void *user, nissl_error *err)
{
    return nissl__run_forward_chaining(run, inputs, n_inputs, observe, NULL, user, err);
}

nissl_status nissl__run_timed(nissl_run *run, const nissl_view *inputs, size_t n_inputs,
                              double *seconds, nissl_error *err)
{
    int saved_threads = omp_get_max_threads();
    nissl_status status = take_inputs(run, inputs, n_inputs, err);
    omp_set_num_threads(run->program->threads);
    for (int i = 0; i < run->program->n_steps && status == NISSL_OK; i++) {
        double begin = nissl__now();
        status = execute_step(run, i, err);
        seconds[i] += nissl__now() - begin;
    }
    omp_set_num_threads(saved_threads);
    return status;
}

nissl_status nissl_run_output(const nissl_run *run, size_t index, nissl_view *out, nissl_error *err)
{
    const nissl_network *network = run->program->network;
    if (index >= (size_t)network->n_outputs)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "output %zu of %d", index, network->n_outputs);
    if (!run->ran)
        return NISSL__FAIL(err, NISSL_ERR_ARGUMENT, "the run has not run");
    *out = run->views[network->outputs[index]];
    return NISSL_OK;
}
