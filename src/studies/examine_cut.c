/*
 * Preferred values at the best stimulus.
 *
 * A tuning curve averages over the other factors, and where factors interact its peak is not that
 * of the joint response: averaged over orientations, an odd Gabor filter peaks at a lower frequency
 * than at its own orientation. So, as in an experiment, each numeric factor is also looked at where
 * all other factors are those of the stimulus to which the unit responds most.
 */
#include "analyses/tuning.h"
#include "studies/examination.h"

#define BLOCK_BYTES ((int64_t)16 << 20) /* of responses that are read at once */

/* Stimuli that agree in every other factor, side by side. */
typedef struct design {
    const nissl_factor *factor;
    double *value;    /* [n_levels] */
    int64_t *order;   /* [n_stimuli] stimuli, those of a group together */
    int64_t *first;   /* [n_stimuli] where in order the stimulus' group begins */
    int64_t *n_group; /* [n_stimuli] its size */
} design;

static void free_design(design *d)
{
    nissl__free(d->value);
    nissl__free(d->order);
    nissl__free(d->first);
    nissl__free(d->n_group);
    *d = (design){0};
}

typedef struct others {
    const nissl_examination *e;
    int factor; /* that may differ */
} others;

static int compare_levels(const others *o, int64_t a, int64_t b)
{
    for (int f = 0; f < o->e->n_factors; f++) {
        const nissl_factor *factor = nissl_recording_factor(o->e->recording, o->e->factors[f]);
        if (f != o->factor && factor->level[a] != factor->level[b])
            return factor->level[a] < factor->level[b] ? -1 : 1;
    }
    return 0;
}

static int compare_stimuli(const void *a, const void *b, void *user)
{
    const int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    const int c = compare_levels(user, i, j);
    return c != 0 ? c : (i > j) - (i < j);
}

static nissl_status make_design(const nissl_examination *e, int f, design *out, nissl_error *err)
{
    const int64_t n = nissl_recording_n_stimuli(e->recording);
    const size_t size = (size_t)n;
    others o = {e, f};
    design d = {.factor = nissl_recording_factor(e->recording, e->factors[f])};
    d.value = nissl__alloc((size_t)d.factor->n_levels, sizeof *d.value);
    d.order = nissl__alloc(size, sizeof *d.order);
    d.first = nissl__alloc(size, sizeof *d.first);
    d.n_group = nissl__alloc(size, sizeof *d.n_group);
    if (d.value == NULL || d.order == NULL || d.first == NULL || d.n_group == NULL) {
        free_design(&d);
        return NISSL__NO_MEMORY(err, 3 * size * sizeof *d.order);
    }
    const nissl_status status = nissl_tuning_level_values(d.factor, d.value, err);
    if (status != NISSL_OK) {
        free_design(&d);
        return status;
    }
    for (int64_t i = 0; i < n; i++)
        d.order[i] = i;
    qsort_r(d.order, size, sizeof *d.order, compare_stimuli, &o);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && compare_levels(&o, d.order[i], d.order[end]) == 0;)
            end++;
        for (int64_t k = i; k < end; k++) {
            d.first[d.order[k]] = i;
            d.n_group[d.order[k]] = end - i;
        }
    }
    *out = d;
    return NISSL_OK;
}

/* x: responses of one unit, stride apart. curve, count: [n_levels] scratch */
static void cut_unit(const design *d, const float *x, int64_t stride, int64_t n_stimuli,
                     double *curve, int64_t *count, double *preferred, double *strength)
{
    const int32_t *level = d->factor->level;
    int64_t best = -1;
    bool varies = false;
    *preferred = *strength = NAN;
    for (int64_t i = 0; i < n_stimuli; i++) {
        if (level[i] < 0)
            continue;
        varies = varies || (best >= 0 && x[i * stride] != x[best * stride]);
        if (best < 0 || x[i * stride] > x[best * stride])
            best = i;
    }
    if (!varies)
        return;
    for (int k = 0; k < d->factor->n_levels; k++) {
        curve[k] = 0.0;
        count[k] = 0;
    }
    for (int64_t k = d->first[best]; k < d->first[best] + d->n_group[best]; k++) {
        const int64_t i = d->order[k];
        if (level[i] < 0)
            continue;
        curve[level[i]] += x[i * stride];
        count[level[i]]++;
    }
    int n_levels = 0;
    for (int k = 0; k < d->factor->n_levels; k++) {
        curve[k] = count[k] > 0 ? curve[k] / (double)count[k] : NAN;
        n_levels += count[k] > 0;
    }
    if (n_levels > 1)
        nissl__tuning_prefer(d->factor, curve, d->value, preferred, strength);
}

nissl_status nissl_examination_preferences(const nissl_examination *e,
                                           const nissl_recording *recording, size_t site, int f,
                                           double *preferred, double *strength, nissl_error *err)
{
    const int64_t n_stimuli = nissl_recording_n_stimuli(recording);
    const int64_t n_units = nissl_recording_site(recording, site)->n_units;
    const int64_t block =
        NISSL__MIN(n_units, NISSL__MAX(1, BLOCK_BYTES / ((int64_t)sizeof(float) * n_stimuli)));
    nissl_status status = NISSL_OK;
    design d = {0};
    double *curve = NULL;
    int64_t *count = NULL;
    float *x = NULL;
    for (int64_t u = 0; u < n_units; u++)
        preferred[u] = strength[u] = NAN;
    if (nissl_recording_factor(e->recording, e->factors[f])->value == NULL)
        return NISSL_OK;
    status = make_design(e, f, &d, err);
    if (status != NISSL_OK)
        return status == NISSL_ERR_TYPE ? NISSL_OK : status; /* levels that are no numbers */
    const size_t n_levels = (size_t)d.factor->n_levels;
    curve = nissl__alloc(n_levels, sizeof *curve);
    count = nissl__alloc(n_levels, sizeof *count);
    x = nissl__alloc((size_t)n_stimuli, (size_t)block * sizeof *x);
    if (curve == NULL || count == NULL || x == NULL) {
        status = NISSL__NO_MEMORY(err, (size_t)(n_stimuli * block) * sizeof *x);
        goto done;
    }
    for (int64_t first = 0; first < n_units; first += block) {
        const int64_t n = NISSL__MIN(block, n_units - first);
        status = nissl_recording_responses(recording, site, first, n, x, err);
        if (status != NISSL_OK)
            goto done;
        for (int64_t u = 0; u < n; u++)
            cut_unit(&d, x + u, n, n_stimuli, curve, count, &preferred[first + u],
                     &strength[first + u]);
    }
done:
    free_design(&d);
    nissl__free(curve);
    nissl__free(count);
    nissl__free(x);
    return status;
}
