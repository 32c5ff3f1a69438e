/*
 * The sentences of an examination: the strongest true statements, each with its effect, interval,
 * control, sample and the reason why it may not hold.
 *
 * A unit that seems tuned is compared with the units of the twin at the same site. Per factor, one
 * sentence is about the site whose units exceed those of the twin most often, one about all sites.
 * Then come silent units, sparseness, and how selectivity changes with depth. The strength that
 * orders them is |2 p - 1| of the exceedance p, or the distance of a share or correlation from the
 * twin's.
 */
#include <stdio.h>

#include "studies/distribution.h"
#include "studies/examination.h"

#define FEWEST_UNITS  8 /* a site with fewer is not compared */
#define FEWEST_SITES  6 /* for a trend over depth */
#define MOST_FINDINGS 12

/* A list under construction. */
typedef struct list {
    nissl_finding *finding;
    double *strength;
    size_t n, capacity;
} list;

static void free_finding(nissl_finding *f)
{
    nissl__free(f->text);
    nissl__free(f->site);
    nissl__free(f->factor);
    nissl__free(f->measure);
    nissl__free(f->sample);
    nissl__free(f->threat);
    *f = (nissl_finding){0};
}

/* Takes the strings of f, also on failure. */
static nissl_status add(list *l, nissl_finding f, double strength, nissl_error *err)
{
    if (f.text == NULL || f.site == NULL || f.factor == NULL || f.measure == NULL ||
        f.sample == NULL || f.threat == NULL || l->n == l->capacity) {
        free_finding(&f);
        return NISSL__NO_MEMORY(err, sizeof f);
    }
    size_t at = l->n++;
    for (; at > 0 && l->strength[at - 1] < strength; at--) { /* equal strengths keep their order */
        l->finding[at] = l->finding[at - 1];
        l->strength[at] = l->strength[at - 1];
    }
    l->finding[at] = f;
    l->strength[at] = strength;
    return NISSL_OK;
}

/* What every sentence is made from. */
typedef struct study {
    const nissl_examination *e;
    const nissl__summary *summary;
    uint64_t seed;
    int64_t n_stimuli;
} study;

static const nissl_recorded_site *site_of(const study *s, size_t i)
{
    return nissl_recording_site(s->e->recording, i);
}

static const nissl__factor_summary *pair(const study *s, size_t site, int f)
{
    return &s->summary->factors[site * (size_t)s->e->n_factors + (size_t)f];
}

/* The index that speaks for a factor: held out where its design allows. */
static const nissl__comparison *speaker(const study *s, size_t site, int f)
{
    return s->summary->designs[f].heldout ? &pair(s, site, f)->auroc
                                          : &pair(s, site, f)->selectivity;
}

static const char *speaker_name(const study *s, int f)
{
    return s->summary->designs[f].heldout ? "held-out auROC" : "in-sample selectivity index";
}

static bool comparable(const nissl__comparison *c)
{
    return c->n >= FEWEST_UNITS && c->twin_n >= FEWEST_UNITS;
}

/* Why a comparison of units may not hold, the most serious reason first. */
static char *units_threat(const study *s, int f, int64_t n_choices, int64_t n_units,
                          int64_t twin_constant)
{
    const nissl__factor_design *d = &s->summary->designs[f];
    const char *factor = nissl_recording_factor(s->e->recording, s->e->factors[f])->name;
    if (!d->heldout)
        return nissl__format(
            "%s has as few as %lld stimuli per condition (%lld stimuli in all), too few to choose "
            "and measure on different ones: its curves are in-sample, and largest of many "
            "conditions is biased upwards, in the twin as well.",
            factor, (long long)d->fewest, (long long)d->n_stimuli);
    if (d->fewest < 4)
        return nissl__format(
            "Conditions of %s have as few as %lld stimuli, halved between choosing "
            "and measuring; a unit's own value is imprecise.",
            factor, (long long)d->fewest);
    if (4 * twin_constant > n_units)
        return nissl__format("%lld of the twin's %lld units are constant and left out, so the "
                             "control is what remains of it.",
                             (long long)twin_constant, (long long)n_units);
    return nissl__format(
        "The site is the largest of %lld and the interval does not include that choice; units of "
        "one site share inputs, so they are not independent, and there is one twin.",
        (long long)n_choices);
}

/* ---- one factor, its best site ---- */

static nissl_status best_site(const study *s, int f, list *l, nissl_error *err)
{
    const nissl_factor *factor = nissl_recording_factor(s->e->recording, s->e->factors[f]);
    const nissl__comparison *best = NULL;
    size_t where = 0;
    int64_t n_choices = 0;
    for (size_t i = 0; i < s->e->n_sites; i++) {
        const nissl__comparison *c = speaker(s, i, f);
        if (c->n < FEWEST_UNITS || (s->e->twin != NULL && !comparable(c)))
            continue;
        n_choices++;
        const double gain = best == NULL || s->e->twin == NULL ? 0.0 : c->exceeds - best->exceeds;
        if (best == NULL || gain > 0.0 || (gain == 0.0 && c->quartile[1] > best->quartile[1])) {
            best = c; /* of equals the one with the larger median */
            where = i;
        }
    }
    if (best == NULL)
        return NISSL_OK;
    const nissl_recorded_site *site = site_of(s, where);
    const nissl_tuning *t = &s->e->tuning[where * (size_t)s->e->n_factors + (size_t)f];
    const bool heldout = s->summary->designs[f].heldout;
    const char *measure = speaker_name(s, f);
    nissl_finding found = {.effect = best->quartile[1],
                           .control = s->e->twin == NULL ? NAN : best->twin_quartile[1],
                           .n = best->n};
    double *sorted = nissl__alloc((size_t)t->n_units, sizeof *sorted);
    if (sorted == NULL)
        return NISSL__NO_MEMORY(err, (size_t)t->n_units * sizeof *sorted);
    const int64_t n = nissl__sort_defined(heldout ? t->auroc : t->selectivity, t->n_units, sorted);
    nissl_status status = nissl__bootstrap_median(s->seed, 0x6265737400000000u + (uint64_t)f,
                                                  sorted, n, &found.low, &found.high, err);
    nissl__free(sorted);
    if (status != NISSL_OK)
        return status;
    if (s->e->twin == NULL)
        found.text = nissl__format(
            "Units of %s tell their best %s from the rest with a median %s of %.2f [%.2f, %.2f]; "
            "no "
            "twin was recorded, so nothing says how much of it a shuffled network would show.",
            site->name, factor->name, measure, found.effect, found.low, found.high);
    else if (best->low > 0.5)
        found.text = nissl__format(
            "Units of %s tell their best %s from the rest with a median %s of %.2f [%.2f, %.2f], "
            "the twin's with %.2f; a unit exceeds one of the twin with probability %.2f "
            "[%.2f, %.2f].",
            site->name, factor->name, measure, found.effect, found.low, found.high, found.control,
            best->exceeds, best->low, best->high);
    else
        found.text = nissl__format(
            "At no site do units tell their best %s from the rest reliably better than the twin's: "
            "at the best, %s, the median %s is %.2f [%.2f, %.2f] against %.2f.",
            factor->name, site->name, measure, found.effect, found.low, found.high, found.control);
    found.site = nissl__strdup(site->name);
    found.factor = nissl__strdup(factor->name);
    found.measure = nissl__format("median %s over units", measure);
    found.sample = nissl__format("%lld of %lld units, %lld stimuli, %d conditions",
                                 (long long)best->n, (long long)site->n_units,
                                 (long long)s->summary->designs[f].n_stimuli, factor->n_levels);
    found.threat =
        s->e->twin == NULL
            ? nissl__strdup("No control: a network with shuffled weights may do as well.")
            : units_threat(s, f, n_choices, site->n_units, s->summary->sites[where].twin_constant);
    return add(l, found, s->e->twin == NULL ? 0.0 : fabs(2.0 * best->exceeds - 1.0), err);
}

/* ---- one factor, all sites ---- */

/* Shares pooled over sites; a resample draws sites. */
typedef struct pool {
    const double *hits, *total; /* [n_sites] */
    int64_t n;
} pool;

static double pooled_share(const void *user, const int32_t *count, const int32_t *unused)
{
    (void)unused;
    const pool *p = user;
    double hits = 0.0, total = 0.0;
    for (int64_t i = 0; i < p->n; i++) {
        const double w = count == NULL ? 1.0 : count[i];
        hits += w * p->hits[i];
        total += w * p->total[i];
    }
    return total > 0.0 ? hits / total : NAN;
}

static nissl_status all_sites(const study *s, int f, list *l, nissl_error *err)
{
    const nissl_factor *factor = nissl_recording_factor(s->e->recording, s->e->factors[f]);
    const char *measure = speaker_name(s, f);
    int64_t n = 0, more = 0, less = 0, units = 0;
    nissl_status status = NISSL_OK;
    double *hits = nissl__alloc(s->e->n_sites, 2 * sizeof *hits);
    if (hits == NULL)
        return NISSL__NO_MEMORY(err, s->e->n_sites * 2 * sizeof *hits);
    double *total = hits + s->e->n_sites;
    for (size_t i = 0; i < s->e->n_sites; i++) {
        const nissl__comparison *c = speaker(s, i, f);
        if (!comparable(c))
            continue;
        hits[n] = c->beyond * (double)c->n;
        total[n++] = (double)c->n;
        units += c->n;
        more += c->low > 0.5;
        less += c->high < 0.5;
    }
    if (n < 2)
        goto done;
    const pool p = {hits, total, n};
    nissl_finding found = {.effect = pooled_share(&p, NULL, NULL), .control = 0.05, .n = n};
    status = nissl__bootstrap(s->seed, 0x616c6c0000000000u + (uint64_t)f, n, 0, pooled_share, &p,
                              &found.low, &found.high, err);
    if (status != NISSL_OK)
        goto done;
    found.text = nissl__format(
        "%.0f %% of units [%.0f, %.0f] at %lld sites have a %s for %s above the 95th percentile of "
        "the twin's units at their site (5 %% if they were alike). At %lld sites the network's "
        "units are the more selective, at %lld the twin's, at %lld neither can be told.",
        100.0 * found.effect, 100.0 * found.low, 100.0 * found.high, (long long)n, measure,
        factor->name, (long long)more, (long long)less, (long long)(n - more - less));
    found.site = nissl__strdup("");
    found.factor = nissl__strdup(factor->name);
    found.measure =
        nissl__format("share of units beyond the twin's 95th percentile in %s", measure);
    found.sample = nissl__format("%lld sites with at least %d defined units, %lld units, %lld "
                                 "stimuli; sites were resampled",
                                 (long long)n, FEWEST_UNITS, (long long)units,
                                 (long long)s->summary->designs[f].n_stimuli);
    found.threat = nissl__format(
        "%sSites that only copy or rectify another count again, and there is one twin.",
        s->summary->designs[f].heldout
            ? ""
            : "In-sample: there are too few stimuli per condition to hold any out. ");
    status = add(l, found, fabs(found.effect - 0.05) / 0.95, err);
done:
    nissl__free(hits);
    return status;
}

/* ---- silent units ---- */

static nissl_status silent_units(const study *s, list *l, nissl_error *err)
{
    int64_t units = 0, silent = 0, twin_silent = 0;
    size_t worst = 0;
    nissl_status status = NISSL_OK;
    double *hits = nissl__alloc(s->e->n_sites, 2 * sizeof *hits);
    if (hits == NULL)
        return NISSL__NO_MEMORY(err, s->e->n_sites * 2 * sizeof *hits);
    double *total = hits + s->e->n_sites;
    for (size_t i = 0; i < s->e->n_sites; i++) {
        const nissl__site_summary *site = &s->summary->sites[i];
        hits[i] = (double)site->constant;
        total[i] = (double)site_of(s, i)->n_units;
        units += site_of(s, i)->n_units;
        silent += site->constant;
        twin_silent += site->twin_constant;
        if (hits[i] * total[worst] > hits[worst] * total[i])
            worst = i;
    }
    if (silent == 0)
        goto done;
    const pool p = {hits, total, (int64_t)s->e->n_sites};
    nissl_finding found = {.effect = pooled_share(&p, NULL, NULL),
                           .control =
                               s->e->twin == NULL ? NAN : (double)twin_silent / (double)units,
                           .n = (int64_t)s->e->n_sites};
    status = nissl__bootstrap(s->seed, 0x73696c656e740000u, p.n, 0, pooled_share, &p, &found.low,
                              &found.high, err);
    if (status != NISSL_OK)
        goto done;
    char twin[64] = "";
    if (s->e->twin != NULL)
        snprintf(twin, sizeof twin, " (twin: %lld)", (long long)twin_silent);
    found.text = nissl__format(
        "%lld of %lld units%s gave one and the same value to all %lld "
        "stimuli, most of them at %s (%lld of %lld).",
        (long long)silent, (long long)units, twin, (long long)s->n_stimuli, site_of(s, worst)->name,
        (long long)s->summary->sites[worst].constant, (long long)site_of(s, worst)->n_units);
    found.site = nissl__strdup(site_of(s, worst)->name);
    found.factor = nissl__strdup("");
    found.measure = nissl__strdup("share of units constant over stimuli");
    found.sample = nissl__format("%lld units at %zu sites, %lld stimuli; sites were resampled",
                                 (long long)units, s->e->n_sites, (long long)s->n_stimuli);
    found.threat =
        nissl__strdup("Other stimuli may wake them; a unit that copies another counts again.");
    status = add(l, found, s->e->twin == NULL ? 0.0 : fabs(found.effect - found.control), err);
done:
    nissl__free(hits);
    return status;
}

/* ---- sparseness ---- */

static nissl_status sparseness(const study *s, list *l, nissl_error *err)
{
    const nissl__comparison *best = NULL;
    size_t where = 0;
    int64_t n_choices = 0;
    for (size_t i = 0; i < s->e->n_sites; i++) {
        const nissl__comparison *c = &s->summary->sites[i].lifetime;
        if (!comparable(c) || (c->low <= 0.5 && c->high >= 0.5))
            continue;
        n_choices++;
        if (best == NULL || fabs(c->exceeds - 0.5) > fabs(best->exceeds - 0.5)) {
            best = c;
            where = i;
        }
    }
    if (best == NULL)
        return NISSL_OK;
    const nissl_recorded_site *site = site_of(s, where);
    nissl_finding found = {.effect = best->exceeds,
                           .low = best->low,
                           .high = best->high,
                           .control = 0.5,
                           .n = best->n};
    found.text = nissl__format(
        "Units of %s respond to %s of the stimuli than the twin's: lifetime sparseness %.2f "
        "against "
        "%.2f (medians); a unit exceeds one of the twin with probability %.2f [%.2f, %.2f].",
        site->name, best->exceeds > 0.5 ? "fewer" : "more", best->quartile[1],
        best->twin_quartile[1], best->exceeds, best->low, best->high);
    found.site = nissl__strdup(site->name);
    found.factor = nissl__strdup("");
    found.measure = nissl__strdup("probability that a unit's lifetime sparseness exceeds a twin's");
    found.sample =
        nissl__format("%lld and %lld units of %lld, %lld stimuli", (long long)best->n,
                      (long long)best->twin_n, (long long)site->n_units, (long long)s->n_stimuli);
    found.threat = nissl__format(
        "Shuffling weights also shifts a unit's threshold, which alone changes sparseness; the "
        "largest of %lld sites is shown.",
        (long long)n_choices);
    return add(l, found, fabs(2.0 * best->exceeds - 1.0), err);
}

/* ---- depth ---- */

typedef struct trend {
    const double *median; /* [n] */
    int64_t n;
} trend;

static double trend_of(const void *user, const int32_t *count, const int32_t *unused)
{
    (void)unused;
    const trend *t = user;
    return nissl__rank_trend(t->median, t->n, count);
}

static nissl_status depth(const study *s, int f, list *l, nissl_error *err)
{
    const nissl_factor *factor = nissl_recording_factor(s->e->recording, s->e->factors[f]);
    const char *measure = speaker_name(s, f);
    int64_t n = 0;
    nissl_status status = NISSL_OK;
    double *median = nissl__alloc(s->e->n_sites, 2 * sizeof *median);
    if (median == NULL)
        return NISSL__NO_MEMORY(err, s->e->n_sites * 2 * sizeof *median);
    double *twin = median + s->e->n_sites;
    for (size_t i = 0; i < s->e->n_sites; i++) {
        const nissl__comparison *c = speaker(s, i, f);
        if (!comparable(c))
            continue;
        median[n] = c->quartile[1];
        twin[n++] = c->twin_quartile[1];
    }
    if (n < FEWEST_SITES)
        goto done;
    const trend t = {median, n};
    nissl_finding found = {.effect = nissl__rank_trend(median, n, NULL),
                           .control = nissl__rank_trend(twin, n, NULL),
                           .n = n};
    status = nissl__bootstrap(s->seed, 0x6465707468000000u + (uint64_t)f, n, 0, trend_of, &t,
                              &found.low, &found.high, err);
    if (status != NISSL_OK || !(found.low > 0.0 || found.high < 0.0))
        goto done; /* no trend to speak of */
    found.text = nissl__format(
        "Tuning to %s %s with depth: the rank correlation of a site's place with its median %s is "
        "%.2f [%.2f, %.2f], in the twin %.2f.",
        factor->name, found.effect > 0.0 ? "grows" : "fades", measure, found.effect, found.low,
        found.high, found.control);
    found.site = nissl__strdup("");
    found.factor = nissl__strdup(factor->name);
    found.measure = nissl__format("Spearman correlation of depth and median %s", measure);
    found.sample = nissl__format("%lld sites with at least %d defined units; sites were resampled",
                                 (long long)n, FEWEST_UNITS);
    found.threat = nissl__strdup("Sites follow one another, so they are not independent, and "
                                 "sites with more units or coarser positions are compared as they "
                                 "are.");
    status =
        add(l, found, isnan(found.control) ? 0.0 : 0.5 * fabs(found.effect - found.control), err);
done:
    nissl__free(median);
    return status;
}

nissl_status nissl__findings(nissl_context *ctx, const nissl__summary *summary,
                             nissl_examination *e, nissl_error *err)
{
    const study s = {e, summary, nissl_context_seed(ctx), nissl_recording_n_stimuli(e->recording)};
    list l = {.capacity = 3 * (size_t)e->n_factors + 2};
    nissl_status status = NISSL_OK;
    l.finding = nissl__alloc(l.capacity, sizeof *l.finding);
    l.strength = nissl__alloc(l.capacity, sizeof *l.strength);
    if (l.finding == NULL || l.strength == NULL)
        status = NISSL__NO_MEMORY(err, l.capacity * sizeof *l.finding);
    for (int f = 0; f < e->n_factors && status == NISSL_OK; f++) {
        status = best_site(&s, f, &l, err);
        if (status == NISSL_OK && e->twin != NULL)
            status = all_sites(&s, f, &l, err);
        if (status == NISSL_OK && e->twin != NULL)
            status = depth(&s, f, &l, err);
    }
    if (status == NISSL_OK)
        status = silent_units(&s, &l, err);
    if (status == NISSL_OK && e->twin != NULL)
        status = sparseness(&s, &l, err);
    while (l.n > (status == NISSL_OK ? MOST_FINDINGS : 0))
        free_finding(&l.finding[--l.n]);
    if (status == NISSL_OK) {
        e->findings = l.finding;
        e->n_findings = l.n;
        l.finding = NULL;
    }
    nissl__free(l.finding);
    nissl__free(l.strength);
    return status;
}
