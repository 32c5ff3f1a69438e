/* Which sites of a plan are gated units, and where the signs of their inputs wait. */
#include "recording/quadrants.h"
#include "foundation/foundation.h"

/* From a site of the program to that of the plan, -1 = not recorded. */
static int64_t planned(const nissl_plan *plan, int64_t site)
{
    const char *name = site < 0 ? "" : nissl_program_site(plan->program, (size_t)site)->name;
    for (size_t i = 0; i < plan->n_sites; i++)
        if (strcmp(plan->sites[i].name, name) == 0)
            return (int64_t)i;
    return -1;
}

static bool same_shape(const nissl_site *a, const nissl_site *b)
{
    return a->rank == b->rank && memcmp(a->role, b->role, (size_t)a->rank) == 0 &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

/* The gate and linear projection that a name of a site says it is the product of. They are free and
 * come before it, of its shape, or there is no match. inputs: sites of the program. */
static nissl_status find_inputs(const nissl_plan *plan, int64_t product, const char *name,
                                int64_t inputs[2], bool *found, nissl_error *err)
{
    static const char *const wanted[2] = {"hook_pre", "hook_pre_linear"};
    size_t length = strlen(name), suffix = strlen("hook_post");
    *found = false;
    if (length <= suffix || strcmp(name + length - suffix, "hook_post") != 0)
        return NISSL_OK;
    for (int k = 0; k < 2; k++) {
        char *full = nissl__format("%.*s%s", (int)(length - suffix), name, wanted[k]);
        int64_t at;
        if (!full)
            return NISSL__NO_MEMORY(err, length + suffix);
        inputs[k] = nissl_program_find_site(plan->program, full);
        nissl__free(full);
        at = planned(plan, inputs[k]);
        if (at < 0 || inputs[k] >= product || plan->sites[at].product >= 0 ||
            plan->sites[at].site.gated ||
            !same_shape(nissl_program_site(plan->program, (size_t)inputs[k]),
                        nissl_program_site(plan->program, (size_t)product)))
            return NISSL_OK;
    }
    *found = inputs[0] != inputs[1];
    return NISSL_OK;
}

/* When the signs of a gated site wait: from its first input to itself, as sites of the program. */
typedef struct waiting {
    int64_t from, to, bytes, buffer;
} waiting;

/* Gives each the first buffer that nobody uses meanwhile; sets where they begin. */
static nissl_status lay_out(nissl_plan *plan, waiting *list, int64_t n, nissl_error *err)
{
    int64_t *size = nissl__alloc((size_t)n, sizeof *size);
    if (!size)
        return NISSL__NO_MEMORY(err, (size_t)n * sizeof *size);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < i; k++)
            if (list[k].buffer == list[i].buffer && list[k].from <= list[i].to &&
                list[i].from <= list[k].to) {
                list[i].buffer++;
                k = -1; /* again from the first */
            }
        size[list[i].buffer] = NISSL__MAX(size[list[i].buffer], list[i].bytes);
    }
    for (int64_t i = 0; i < n; i++)
        plan->sign_bytes += size[i];
    for (size_t s = 0; s < plan->n_sites; s++) {
        nissl__planned_site *site = &plan->sites[s];
        for (int64_t k = 0; site->site.gated && k < list[site->gate].buffer; k++)
            site->signs_at += size[k];
    }
    nissl__free(size);
    return NISSL_OK;
}

nissl_status nissl__plan_gates(nissl_plan *plan, nissl_error *err)
{
    waiting *list = nissl__alloc(plan->n_sites, sizeof *list);
    int64_t n = 0;
    nissl_status status = NISSL_OK;
    if (!list)
        return NISSL__NO_MEMORY(err, plan->n_sites * sizeof *list);
    for (size_t s = 0; s < plan->n_sites && status == NISSL_OK; s++) {
        nissl__planned_site *site = &plan->sites[s];
        int64_t at = nissl_program_find_site(plan->program, site->name), inputs[2];
        const nissl_site *of = nissl_program_site(plan->program, (size_t)at);
        bool found = false;
        status = find_inputs(plan, at, site->name, inputs, &found, err);
        for (size_t k = 0; k < of->n_aliases && !found && status == NISSL_OK; k++)
            status = find_inputs(plan, at, of->aliases[k], inputs, &found, err);
        if (!found || status != NISSL_OK || site->product >= 0)
            continue;
        for (int k = 0; k < 2; k++) {
            nissl__planned_site *input = &plan->sites[planned(plan, inputs[k])];
            input->product = (int64_t)s;
            input->shift = 2 * k;
        }
        list[n] = (waiting){.from = NISSL__MIN(inputs[0], inputs[1]),
                            .to = at,
                            .bytes = plan->batch * of->n_positions * of->n_units};
        site->site.gated = true;
        site->gate = n++;
        site->first_gated = plan->n_gated;
        plan->n_gated += of->n_units;
    }
    if (status == NISSL_OK && n == 0)
        status = NISSL__FAIL(err, NISSL_ERR_NAME,
                             "quadrants are of gated units: of the %zu sites to record none is a "
                             "hook_post whose hook_pre and hook_pre_linear are recorded too",
                             plan->n_sites);
    if (status == NISSL_OK)
        status = lay_out(plan, list, n, err);
    nissl__free(list);
    return status;
}
