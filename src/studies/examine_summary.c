/*
 * Each site of an examination in numbers: quartiles of every index over its units beside the
 * twin's, and how often a unit of the network exceeds one of the twin.
 */
#include "studies/distribution.h"
#include "studies/examination.h"

#define BLOCK_BYTES ((int64_t)16 << 20) /* of responses that are read at once */

/* ---- activity over all stimuli ---- */

typedef struct activity {
    int64_t constant;   /* units with one value */
    int64_t negative;   /* units below 0 on some stimulus */
    double *lifetime;   /* [n_units] */
    double *population; /* [n_stimuli] */
} activity;

static void free_activity(activity *a)
{
    nissl__free(a->lifetime);
    nissl__free(a->population);
    *a = (activity){0};
}

/* x: responses [n_stimuli, n_units] of a block; sum, squares: [n_stimuli] of rectified responses */
static void add_block(const float *x, int64_t n_stimuli, int64_t n_units, double *sum,
                      double *squares, double *lifetime, activity *a)
{
    for (int64_t s = 0; s < n_stimuli; s++)
        for (int64_t u = 0; u < n_units; u++) {
            const double rate = NISSL__MAX(x[s * n_units + u], 0.0f);
            sum[s] += rate;
            squares[s] += rate * rate;
        }
    for (int64_t u = 0; u < n_units; u++) {
        bool same = true, negative = false;
        for (int64_t s = 0; s < n_stimuli; s++) {
            same = same && x[s * n_units + u] == x[u];
            negative = negative || x[s * n_units + u] < 0.0f;
        }
        a->constant += same;
        a->negative += negative;
        lifetime[u] = nissl_sparseness_vinje_gallant(x + u, n_stimuli, n_units);
    }
}

static nissl_status read_activity(const nissl_recording *recording, size_t site, activity *out,
                                  nissl_error *err)
{
    const int64_t n_stimuli = nissl_recording_n_stimuli(recording);
    const int64_t n_units = nissl_recording_site(recording, site)->n_units;
    const int64_t block =
        NISSL__MIN(n_units, NISSL__MAX(1, BLOCK_BYTES / ((int64_t)sizeof(float) * n_stimuli)));
    nissl_status status = NISSL_OK;
    activity a = {.lifetime = nissl__alloc((size_t)n_units, sizeof(double)),
                  .population = nissl__alloc((size_t)n_stimuli, sizeof(double))};
    double *sum = nissl__alloc((size_t)n_stimuli, 2 * sizeof(double));
    float *x = nissl__alloc((size_t)n_stimuli, (size_t)block * sizeof(float));
    if (a.lifetime == NULL || a.population == NULL || sum == NULL || x == NULL) {
        status = NISSL__NO_MEMORY(err, (size_t)(n_stimuli * block) * sizeof(float));
        goto done;
    }
    double *squares = sum + n_stimuli;
    for (int64_t first = 0; first < n_units; first += block) {
        const int64_t n = NISSL__MIN(block, n_units - first);
        status = nissl_recording_responses(recording, site, first, n, x, err);
        if (status != NISSL_OK)
            goto done;
        add_block(x, n_stimuli, n, sum, squares, a.lifetime + first, &a);
    }
    for (int64_t s = 0; s < n_stimuli; s++) {
        const double n = (double)n_units, fraction = sum[s] * sum[s] / (n * squares[s]);
        a.population[s] =
            squares[s] > 0.0 && n_units > 1 ? (1.0 - fraction) / (1.0 - 1.0 / n) : NAN;
    }
    *out = a;
    a = (activity){0};
done:
    free_activity(&a);
    nissl__free(sum);
    nissl__free(x);
    return status;
}

/* ---- comparisons ---- */

/* x: [n]; twin: [n_twin] or NULL. interval: bootstrap the exceedance, keyed by stream. */
static nissl_status compare_with_twin(const double *x, int64_t n, const double *twin,
                                      int64_t n_twin, bool interval, uint64_t seed, uint64_t stream,
                                      nissl__comparison *out, nissl_error *err)
{
    nissl__comparison c = {.beyond = NAN, .exceeds = NAN, .low = NAN, .high = NAN};
    nissl_status status = NISSL_OK;
    double *a = nissl__alloc((size_t)(n + n_twin + 1), sizeof *a), *b = a == NULL ? NULL : a + n;
    if (a == NULL)
        return NISSL__NO_MEMORY(err, (size_t)(n + n_twin + 1) * sizeof *a);
    c.n = nissl__sort_defined(x, n, a);
    c.twin_n = twin == NULL ? 0 : nissl__sort_defined(twin, n_twin, b);
    for (int q = 0; q < 3; q++) {
        c.quartile[q] = nissl__quantile(a, c.n, 0.25 * (q + 1));
        c.twin_quartile[q] = nissl__quantile(b, c.twin_n, 0.25 * (q + 1));
    }
    if (c.twin_n > 0) {
        c.beyond = nissl__share_above(a, c.n, nissl__quantile(b, c.twin_n, 0.95));
        c.exceeds = nissl__exceedance(a, c.n, b, c.twin_n);
        if (interval && c.n > 1 && c.twin_n > 1)
            status = nissl__bootstrap_exceedance(seed, stream, a, c.n, b, c.twin_n, &c.low, &c.high,
                                                 err);
    }
    if (status == NISSL_OK)
        *out = c;
    nissl__free(a);
    return status;
}

typedef struct summary_job {
    const nissl_examination *e;
    uint64_t seed;
    nissl__summary *summary;
    nissl__progress *progress;
} summary_job;

/* Summarises the tuning of one site to one factor. */
static nissl_status compare_tuning(void *user, int64_t task, int worker, nissl_error *err)
{
    (void)worker;
    const summary_job *job = user;
    const nissl_tuning *t = &job->e->tuning[task];
    const nissl_tuning *w = job->e->twin_tuning == NULL ? NULL : &job->e->twin_tuning[task];
    nissl__factor_summary *out = &job->summary->factors[task];
    const struct {
        const double *x, *twin;
        nissl__comparison *out;
        bool interval;
    } part[] = {
        {t->selectivity, w == NULL ? NULL : w->selectivity, &out->selectivity, true},
        {t->selectivity_heldout, w == NULL ? NULL : w->selectivity_heldout, &out->heldout, true},
        {t->auroc, w == NULL ? NULL : w->auroc, &out->auroc, true},
        {t->dprime, w == NULL ? NULL : w->dprime, &out->dprime, false},
    };
    for (uint64_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        const nissl_status status = compare_with_twin(
            part[i].x, t->n_units, part[i].twin, w == NULL ? 0 : w->n_units, part[i].interval,
            job->seed, 0x6578616d00000000u + 4 * (uint64_t)task + i, part[i].out, err);
        if (status != NISSL_OK)
            return status;
    }
    nissl__progress_add(job->progress, 1, 0);
    return NISSL_OK;
}

static nissl_status summarise_site(const nissl_examination *e, size_t site, uint64_t seed,
                                   nissl__site_summary *out, nissl_error *err)
{
    activity a = {0}, b = {0};
    const int64_t n_units = nissl_recording_site(e->recording, site)->n_units;
    const int64_t n_stimuli = nissl_recording_n_stimuli(e->recording);
    nissl_status status = read_activity(e->recording, site, &a, err);
    if (status == NISSL_OK && e->twin != NULL)
        status = read_activity(e->twin, site, &b, err);
    if (status == NISSL_OK)
        status = compare_with_twin(a.lifetime, n_units, b.lifetime, e->twin == NULL ? 0 : n_units,
                                   true, seed, 0x6c69666500000000u + site, &out->lifetime, err);
    if (status == NISSL_OK)
        status =
            compare_with_twin(a.population, n_stimuli, b.population,
                              e->twin == NULL ? 0 : n_stimuli, false, 0, 0, &out->population, err);
    out->constant = a.constant;
    out->is_signed = 2 * a.negative > n_units;
    out->twin_constant = b.constant;
    free_activity(&a);
    free_activity(&b);
    return status;
}

/* ---- factors ---- */

static nissl_status count_levels(const nissl_factor *factor, int64_t n_stimuli,
                                 nissl__factor_design *out, nissl_error *err)
{
    int64_t *count = nissl__alloc((size_t)factor->n_levels, sizeof *count);
    if (count == NULL)
        return NISSL__NO_MEMORY(err, (size_t)factor->n_levels * sizeof *count);
    nissl__factor_design d = {.fewest = INT64_MAX};
    for (int64_t i = 0; i < n_stimuli; i++)
        if (factor->level[i] >= 0) {
            count[factor->level[i]]++;
            d.n_stimuli++;
        }
    for (int k = 0; k < factor->n_levels; k++) {
        d.fewest = NISSL__MIN(d.fewest, count[k]);
        d.most = NISSL__MAX(d.most, count[k]);
    }
    nissl__free(count);
    *out = d;
    return NISSL_OK;
}

/* Does another tuned factor vary among the stimuli that have a level of factor f? */
static bool is_crossed(const nissl_examination *e, int f)
{
    const int32_t *own = nissl_recording_factor(e->recording, e->factors[f])->level;
    const int64_t n = nissl_recording_n_stimuli(e->recording);
    for (int g = 0; g < e->n_factors; g++) {
        const int32_t *level = nissl_recording_factor(e->recording, e->factors[g])->level;
        int64_t first = -1;
        for (int64_t i = 0; i < n && g != f; i++) {
            if (own[i] < 0)
                continue;
            if (first >= 0 && level[i] != level[first])
                return true;
            first = i;
        }
    }
    return false;
}

static nissl_status summarise_factor(const nissl_examination *e, int f, nissl__summary *s,
                                     nissl_error *err)
{
    const size_t n_factors = (size_t)e->n_factors;
    int64_t heldout = 0, defined = 0;
    const nissl_status status =
        count_levels(nissl_recording_factor(e->recording, e->factors[f]),
                     nissl_recording_n_stimuli(e->recording), &s->designs[f], err);
    for (size_t i = 0; i < e->n_sites; i++) {
        heldout += s->factors[i * n_factors + (size_t)f].auroc.n;
        defined += s->factors[i * n_factors + (size_t)f].selectivity.n;
    }
    s->designs[f].speaker = 2 * heldout <= defined ? NISSL__SPEAKER_SELECTIVITY
                            : is_crossed(e, f)     ? NISSL__SPEAKER_HELDOUT
                                                   : NISSL__SPEAKER_AUROC;
    return status;
}

nissl_status nissl__summary_new(nissl_context *ctx, const nissl_examination *e, nissl__summary *out,
                                nissl_error *err)
{
    const size_t n_factors = (size_t)e->n_factors, n_pairs = e->n_sites * n_factors;
    nissl_status status = NISSL_OK;
    nissl__progress progress;
    nissl__summary s = {.sites = nissl__alloc(e->n_sites + 1, sizeof *s.sites),
                        .factors = nissl__alloc(n_pairs + 1, sizeof *s.factors),
                        .designs = nissl__alloc(n_factors + 1, sizeof *s.designs)};
    summary_job job = {e, nissl_context_seed(ctx), &s, &progress};
    nissl__progress_begin(&progress, ctx, "comparing", "sites", e->n_sites + n_pairs);
    if (s.sites == NULL || s.factors == NULL || s.designs == NULL) {
        status = NISSL__NO_MEMORY(err, (e->n_sites + 1) * sizeof *s.sites);
        goto done;
    }
    for (size_t i = 0; i < e->n_sites; i++) { /* reads files, so one at a time */
        status = nissl_context_cancelled(ctx)
                     ? NISSL__FAIL(err, NISSL_ERR_CANCELLED, "cancelled while comparing")
                     : summarise_site(e, i, job.seed, &s.sites[i], err);
        if (status != NISSL_OK)
            goto done;
        nissl__progress_add(&progress, 1, 0);
    }
    status = nissl__parallel(ctx, (int64_t)n_pairs, compare_tuning, &job, err);
    for (int f = 0; f < e->n_factors && status == NISSL_OK; f++)
        status = summarise_factor(e, f, &s, err);
    if (status != NISSL_OK)
        goto done;
    *out = s;
    s = (nissl__summary){0};
done:
    nissl__progress_end(&progress);
    nissl__summary_free(&s);
    return status;
}

void nissl__summary_free(nissl__summary *summary)
{
    nissl__free(summary->sites);
    nissl__free(summary->factors);
    nissl__free(summary->designs);
    *summary = (nissl__summary){0};
}
