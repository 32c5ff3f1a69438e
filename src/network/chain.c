/* Chains of sites that follow one another element by element; see run.h. */
#include "network/program.h"

static int find_site(const nissl_program *program, int value)
{
    for (int i = 0; i < program->n_sites; i++)
        if (program->site_values[i] == value)
            return i;
    return -1;
}

/* A site that a chain may hold: channels-last, its channels the units. */
static int chainable(const nissl__compiler *c, const nissl_program *program, int value)
{
    int64_t pixel;
    int site = find_site(program, value);
    bool good = site >= 0 && !program->chained_site[site] && c->values[value].unit_axis == 1 &&
                c->values[value].type == NISSL_FLOAT32 &&
                nissl__is_channels_last(&c->values[value], &pixel);
    return good ? site : -1;
}

static int64_t bytes_of(const nissl__value *root)
{
    int64_t bytes = (int64_t)nissl_type_size(root->type);
    for (int i = 0; i < root->rank; i++)
        bytes *= root->shape[i];
    return bytes;
}

/* Whether one may be read while the other is written, element after element. */
static bool apart_or_same(const nissl__compiler *c, int a, int b)
{
    const nissl__value *x = &c->values[a], *y = &c->values[b];
    const nissl__value *x_root = &c->values[x->root], *y_root = &c->values[y->root];
    bool same = x->root == y->root && x->offset == y->offset;
    for (int i = 0; i < x->rank && same; i++)
        same = x->shape[i] == 1 || x->stride[i] == y->stride[i];
    if (same || x_root->home != NISSL__HOME_ARENA || y_root->home != NISSL__HOME_ARENA)
        return true;
    return x_root->arena_offset + bytes_of(x_root) <= y_root->arena_offset ||
           y_root->arena_offset + bytes_of(y_root) <= x_root->arena_offset;
}

/* The chain that ends with a step, if it is one. */
static nissl__chain chain_of(const nissl__compiler *c, const nissl_program *program, int index)
{
    const nissl__chain none = {.first = -1, .scaled = -1, .clipped = -1};
    const nissl__step *step = &c->steps[index], *scaling = NULL;
    const nissl__step *before = index > 0 ? &c->steps[index - 1] : NULL;
    nissl__chain chain = none;
    int in = step->n_inputs > 0 ? step->inputs[0] : -1, out = step->outputs[0], scaled = -1;
    if (step->empty || in < 0 || (!step->clips && !step->scale))
        return none;
    if (step->clips) {
        chain.clipped = chainable(c, program, out);
        chain.low = step->low;
        chain.high = step->high;
        if (before && before->scale && !before->empty && before->outputs[0] == in &&
            chainable(c, program, in) >= 0 && chainable(c, program, before->inputs[0]) >= 0) {
            scaling = before;
            scaled = in;
            in = before->inputs[0];
        }
    } else {
        scaling = step;
        scaled = out;
    }
    if (scaling) {
        chain.scaled = chainable(c, program, scaled);
        chain.scale = scaling->scale;
        chain.shift = scaling->shift;
        chain.keeps_scaled = !step->clips || c->values[scaled].root != c->values[out].root;
    }
    chain.first = chainable(c, program, in);
    /* what else is reported where the scaling stood would be reported too early */
    for (int i = 0; i < program->n_sites && scaling && step->clips; i++)
        if (program->site_step[i] == index - 1 && i != chain.scaled)
            return none;
    bool whole = chain.first >= 0 && (!step->clips || chain.clipped >= 0) &&
                 (!scaling || chain.scaled >= 0) && program->site_step[chain.first] < index &&
                 apart_or_same(c, in, out) && (scaled < 0 || apart_or_same(c, in, scaled)) &&
                 (scaled < 0 || apart_or_same(c, scaled, out));
    return whole ? chain : none;
}

nissl_status nissl__find_chains(const nissl__compiler *c, nissl_program *program, nissl_error *err)
{
    program->chains = nissl__alloc((size_t)c->n_steps, sizeof *program->chains);
    program->chained_step = nissl__alloc((size_t)c->n_steps, sizeof *program->chained_step);
    program->chained_site = nissl__alloc((size_t)program->n_sites, sizeof *program->chained_site);
    if (!program->chains || !program->chained_step || !program->chained_site)
        return NISSL__NO_MEMORY(err, (size_t)c->n_steps * sizeof *program->chains);
    for (int i = 0; i < c->n_steps; i++)
        program->chains[i].first = -1;
    for (int i = c->n_steps - 1; i >= 0; i--) { /* backwards: a clip takes the scaling before it */
        nissl__chain chain =
            program->chained_step[i] ? (nissl__chain){.first = -1} : chain_of(c, program, i);
        program->chains[i] = chain;
        if (chain.first < 0)
            continue;
        program->chained_site[chain.first] = true;
        if (chain.scaled >= 0)
            program->chained_site[chain.scaled] = true;
        if (chain.clipped >= 0)
            program->chained_site[chain.clipped] = true;
        if (chain.scaled >= 0 && chain.clipped >= 0)
            program->chained_step[i - 1] = true;
    }
    return NISSL_OK;
}
