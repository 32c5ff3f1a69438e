/*
 * The sentences of an examination: the strongest true statements, each with its effect, interval,
 * control, sample and the reason why it may not hold.
 *
 * A unit that seems tuned is compared with the units of the twin at the same site. Each factor that
 * some site is tuned to has a sentence about the site whose units exceed those of the twin most
 * often, and about how many sites and units do; what no site is tuned to is said in one. Then come
 * silent units, sparseness, and how tuning changes with depth. The strength that orders them is
 * |2 p - 1| of the exceedance p, or the distance of a share or correlation from the twin's.
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

/* The index that speaks for a factor. */
static const nissl__comparison *speaker(const study *s, size_t site, int f)
{
    const nissl__factor_summary *p = pair(s, site, f);
    switch (s->summary->designs[f].speaker) {
    case NISSL__SPEAKER_AUROC: return &p->auroc;
    case NISSL__SPEAKER_HELDOUT: return &p->heldout;
    case NISSL__SPEAKER_SELECTIVITY: break;
    }
    return &p->selectivity;
}

static const char *speaker_name(const study *s, int f)
{
    static const char *const names[] = {
        [NISSL__SPEAKER_AUROC] = "held-out auROC",
        [NISSL__SPEAKER_HELDOUT] = "held-out selectivity index",
        [NISSL__SPEAKER_SELECTIVITY] = "in-sample selectivity index (nothing could be held out)",
    };
    return names[s->summary->designs[f].speaker];
}

/* What the index is, or is below, in units that are not tuned; in sample there is no such value. */
static double chance(const study *s, int f)
{
    static const double values[] = {[NISSL__SPEAKER_AUROC] = 0.5,
                                    [NISSL__SPEAKER_HELDOUT] = 0.0,
                                    [NISSL__SPEAKER_SELECTIVITY] = -INFINITY};
    return values[s->summary->designs[f].speaker];
}

/* Its value of every unit of a site. */
static const double *speaker_values(const study *s, size_t site, int f)
{
    const nissl_tuning *t = &s->e->tuning[site * (size_t)s->e->n_factors + (size_t)f];
    switch (s->summary->designs[f].speaker) {
    case NISSL__SPEAKER_AUROC: return t->auroc;
    case NISSL__SPEAKER_HELDOUT: return t->selectivity_heldout;
    case NISSL__SPEAKER_SELECTIVITY: break;
    }
    return t->selectivity;
}

/* May a site be spoken about? Not an output, whose units are tuned to labels by training; without a
 * twin its own units suffice. */
static bool comparable(const study *s, size_t site, int f)
{
    const nissl__comparison *c = speaker(s, site, f);
    return !s->summary->sites[site].is_output && c->n >= FEWEST_UNITS &&
           (s->e->twin == NULL || c->twin_n >= FEWEST_UNITS) &&
           (s->summary->designs[f].speaker == NISSL__SPEAKER_AUROC ||
            !s->summary->sites[site].is_signed);
}

/* Why a comparison of units may not hold, the most serious reason first. */
static char *units_threat(const study *s, int f, size_t site, int64_t n_choices)
{
    const nissl__factor_design *d = &s->summary->designs[f];
    const char *factor = nissl_recording_factor(s->e->recording, s->e->factors[f])->name;
    const int64_t n_units = site_of(s, site)->n_units;
    const int64_t silent = s->summary->sites[site].twin_constant;
    if (d->speaker == NISSL__SPEAKER_SELECTIVITY)
        return nissl__format(
            "The rarest condition of %s has %lld of %lld stimuli, too few to choose a condition on "
            "some and measure it on others: its curve is no deeper than that, and the best of many "
            "conditions is best by luck as well, in the twin too.",
            factor, (long long)d->fewest, (long long)d->n_stimuli);
    if (s->e->twin == NULL)
        return nissl__strdup("No control: a network with shuffled weights may do as well.");
    if (d->fewest < 4)
        return nissl__format(
            "Conditions of %s have as few as %lld stimuli, halved between choosing "
            "and measuring, so the value of a single unit is imprecise.",
            factor, (long long)d->fewest);
    if (4 * silent > n_units)
        return nissl__format("%lld of the twin's %lld units are constant and left out, so the "
                             "control is what remains of it.",
                             (long long)silent, (long long)n_units);
    return nissl__format(
        "The site is the strongest of %lld and the interval does not include that choice; units of "
        "one site share inputs, so they are not independent; there is one twin.",
        (long long)n_choices);
}

/* ---- factors ---- */

/* Over all sites that can be compared. */
typedef struct overview {
    int64_t n, more, less; /* sites; those whose interval lies above and below one half */
    double units, beyond;  /* units; those above the twin's 95th percentile at their site */
    bool found;
    size_t best;    /* the site that is tuned and exceeds the twin most */
    size_t largest; /* of the largest median, tuned or not */
} overview;

/* Is a the better site to speak of? It exceeds the twin more often, or has more units to say so, or
 * the larger median. */
static bool prefers(bool twin, const nissl__comparison *a, const nissl__comparison *b)
{
    if (twin && a->exceeds != b->exceeds)
        return a->exceeds > b->exceeds;
    if (twin && a->n != b->n)
        return a->n > b->n;
    return a->quartile[1] > b->quartile[1];
}

static overview look_over(const study *s, int f)
{
    overview o = {0};
    for (size_t i = 0; i < s->e->n_sites; i++) {
        const nissl__comparison *c = speaker(s, i, f), *best = speaker(s, o.best, f);
        if (!comparable(s, i, f))
            continue;
        if (o.n == 0 || c->quartile[1] > speaker(s, o.largest, f)->quartile[1])
            o.largest = i;
        o.n++;
        o.units += (double)c->n;
        o.beyond += s->e->twin == NULL ? 0.0 : c->beyond * (double)c->n;
        o.more += c->low > 0.5;
        o.less += c->high < 0.5;
        if (!(c->quartile[1] > chance(s, f)) || (s->e->twin != NULL && !(c->low > 0.5)))
            continue;
        if (!o.found || prefers(s->e->twin != NULL, c, best))
            o.best = i;
        o.found = true;
    }
    return o;
}

static nissl_status median_interval(const study *s, int f, size_t site, nissl_finding *found,
                                    nissl_error *err)
{
    const int64_t n_units = site_of(s, site)->n_units;
    double *sorted = nissl__alloc((size_t)n_units, sizeof *sorted);
    if (sorted == NULL)
        return NISSL__NO_MEMORY(err, (size_t)n_units * sizeof *sorted);
    found->n = nissl__sort_defined(speaker_values(s, site, f), n_units, sorted);
    const nissl_status status =
        nissl__bootstrap_median(s->seed, 0x6265737400000000u + (uint64_t)f, sorted, found->n,
                                &found->low, &found->high, err);
    nissl__free(sorted);
    found->effect = speaker(s, site, f)->quartile[1];
    found->control = s->e->twin == NULL ? NAN : speaker(s, site, f)->twin_quartile[1];
    return status;
}

/* The sentence about a factor's best site and, where there is a twin, about all sites. */
static char *tuned_text(const study *s, int f, const overview *o, const nissl_finding *found)
{
    const char *factor = nissl_recording_factor(s->e->recording, s->e->factors[f])->name;
    const char *site = site_of(s, o->best)->name;
    const nissl__comparison *c = speaker(s, o->best, f), *auroc = &pair(s, o->best, f)->auroc;
    char also[96] = "";
    if (s->e->twin == NULL)
        return nissl__format(
            "Units of %s are tuned to %s: their median %s is %.2f [%.2f, %.2f]; no "
            "twin was recorded, so nothing says how much of it a network with "
            "shuffled weights would show.",
            site, factor, speaker_name(s, f), found->effect, found->low, found->high);
    if (s->summary->designs[f].speaker == NISSL__SPEAKER_HELDOUT && auroc->n >= FEWEST_UNITS)
        snprintf(also, sizeof also, " (held-out auROC %.2f against %.2f)", auroc->quartile[1],
                 auroc->twin_quartile[1]);
    return nissl__format(
        "Units of %s are more tuned to %s than the twin's: their median %s is %.2f [%.2f, %.2f] "
        "against %.2f%s, and one exceeds a unit of the twin with probability %.2f [%.2f, %.2f]. "
        "Over "
        "%lld sites %.0f %% of units lie above the 95th percentile of the twin's (5 %% if they "
        "were "
        "alike); at %lld sites the network's are the more tuned, at %lld the twin's, at %lld "
        "neither can be told.",
        site, factor, speaker_name(s, f), found->effect, found->low, found->high, found->control,
        also, c->exceeds, c->low, c->high, (long long)o->n, 100.0 * o->beyond / o->units,
        (long long)o->more, (long long)o->less, (long long)(o->n - o->more - o->less));
}

static nissl_status tuned_factor(const study *s, int f, const overview *o, list *l,
                                 nissl_error *err)
{
    const nissl_factor *factor = nissl_recording_factor(s->e->recording, s->e->factors[f]);
    const nissl_recorded_site *site = site_of(s, o->best);
    nissl_finding found = {0};
    const nissl_status status = median_interval(s, f, o->best, &found, err);
    if (status != NISSL_OK)
        return status;
    found.text = tuned_text(s, f, o, &found);
    found.site = nissl__strdup(site->name);
    found.factor = nissl__strdup(factor->name);
    found.measure = nissl__format("median %s over units", speaker_name(s, f));
    found.sample = nissl__format(
        "%lld of %lld units, %lld stimuli, %d conditions of %lld to %lld", (long long)found.n,
        (long long)site->n_units, (long long)s->summary->designs[f].n_stimuli, factor->n_levels,
        (long long)s->summary->designs[f].fewest, (long long)s->summary->designs[f].most);
    found.threat = units_threat(s, f, o->best, o->n);
    const double exceeds = speaker(s, o->best, f)->exceeds;
    return add(l, found, s->e->twin == NULL ? 0.0 : fabs(2.0 * exceeds - 1.0), err);
}

/* Appends to a growing sentence; takes both, returns NULL when out of memory. */
static char *append(char *text, char *more)
{
    char *joined = text == NULL || more == NULL ? NULL : nissl__format("%s%s", text, more);
    nissl__free(text);
    nissl__free(more);
    return joined;
}

/* One sentence for the factors that no site is tuned to. */
static nissl_status untuned_factors(const study *s, const overview *overviews, list *l,
                                    nissl_error *err)
{
    int n = 0;
    int64_t most_sites = 0;
    nissl_finding found = {.effect = NAN, .low = NAN, .high = NAN, .control = NAN};
    found.text = nissl__strdup("");
    for (int f = 0; f < s->e->n_factors; f++) {
        const overview *o = &overviews[f];
        if (o->found || o->n == 0)
            continue;
        const nissl__comparison *c = speaker(s, o->largest, f);
        if (n++ == 0) { /* the numbers of the finding are those of the first */
            const nissl_status status = median_interval(s, f, o->largest, &found, err);
            if (status != NISSL_OK) {
                free_finding(&found);
                return status;
            }
            found.factor =
                nissl__strdup(nissl_recording_factor(s->e->recording, s->e->factors[f])->name);
            found.site = nissl__strdup(site_of(s, o->largest)->name);
            found.measure = nissl__format("largest median %s of a site", speaker_name(s, f));
        }
        most_sites = NISSL__MAX(most_sites, o->n);
        found.text =
            append(found.text,
                   nissl__format("%s%s (largest median %s %.2f at %s%s", n > 1 ? ", " : "",
                                 nissl_recording_factor(s->e->recording, s->e->factors[f])->name,
                                 speaker_name(s, f), c->quartile[1], site_of(s, o->largest)->name,
                                 s->e->twin == NULL ? ")" : ""));
        if (s->e->twin != NULL)
            found.text = append(found.text, nissl__format(", twin %.2f)", c->twin_quartile[1]));
    }
    if (n == 0) {
        free_finding(&found);
        return NISSL_OK;
    }
    found.text = append(nissl__strdup(s->e->twin == NULL
                                          ? "No site is reliably tuned to "
                                          : "No site is tuned above chance and above the twin to "),
                        append(found.text, nissl__strdup(".")));
    found.sample = nissl__format("up to %lld sites with at least %d defined units; the numbers are "
                                 "those of the first factor",
                                 (long long)most_sites, FEWEST_UNITS);
    found.threat = nissl__strdup("No evidence is not evidence of none: a unit's positions are "
                                 "summarised, and a curve averages over all other factors.");
    return add(l, found, -1.0, err);
}

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
        "stimuli; the largest share is at %s (%lld of %lld).",
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
        const nissl__site_summary *summary = &s->summary->sites[i];
        const nissl__comparison *c = &summary->lifetime;
        if (summary->is_signed || summary->is_output)
            continue; /* silence below 0 is no sparseness */
        if (c->n < FEWEST_UNITS || c->twin_n < FEWEST_UNITS || (c->low <= 0.5 && c->high >= 0.5))
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

/* Fills in effect, interval and control; n = 0 if there is no trend to speak of. */
static nissl_status measure_trend(const study *s, int f, nissl_finding *found, nissl_error *err)
{
    int64_t n = 0;
    nissl_status status = NISSL_OK;
    double *median = nissl__alloc(s->e->n_sites, 2 * sizeof *median);
    if (median == NULL)
        return NISSL__NO_MEMORY(err, s->e->n_sites * 2 * sizeof *median);
    double *twin = median + s->e->n_sites;
    *found = (nissl_finding){0};
    for (size_t i = 0; i < s->e->n_sites; i++) {
        const nissl__comparison *c = speaker(s, i, f);
        if (!comparable(s, i, f))
            continue;
        median[n] = c->quartile[1];
        twin[n++] = c->twin_quartile[1];
    }
    if (n >= FEWEST_SITES) {
        const trend t = {median, n};
        found->effect = nissl__rank_trend(median, n, NULL);
        found->control = nissl__rank_trend(twin, n, NULL);
        status = nissl__bootstrap(s->seed, 0x6465707468000000u + (uint64_t)f, n, 0, trend_of, &t,
                                  &found->low, &found->high, err);
        found->n = found->low > 0.0 || found->high < 0.0 ? n : 0;
    }
    nissl__free(median);
    return status;
}

/* The factor whose trend differs most from the twin's. */
static nissl_status depth(const study *s, list *l, nissl_error *err)
{
    nissl_finding found = {0};
    int where = -1;
    double strength = 0.0;
    for (int f = 0; f < s->e->n_factors; f++) {
        nissl_finding candidate;
        const nissl_status status = measure_trend(s, f, &candidate, err);
        if (status != NISSL_OK)
            return status;
        const double difference = 0.5 * fabs(candidate.effect - candidate.control);
        if (candidate.n == 0 || !(difference > strength))
            continue;
        found = candidate;
        strength = difference;
        where = f;
    }
    if (where < 0)
        return NISSL_OK;
    const char *factor = nissl_recording_factor(s->e->recording, s->e->factors[where])->name;
    const char *measure = speaker_name(s, where);
    found.text = nissl__format("Tuning to %s %s with depth: the rank correlation of a site's place "
                               "in the network with its "
                               "median %s is %.2f [%.2f, %.2f], in the twin %.2f.",
                               factor, found.effect > 0.0 ? "grows" : "fades", measure,
                               found.effect, found.low, found.high, found.control);
    found.site = nissl__strdup("");
    found.factor = nissl__strdup(factor);
    found.measure = nissl__format("Spearman correlation of depth and median %s", measure);
    found.sample = nissl__format("%lld sites with at least %d defined units; sites were resampled",
                                 (long long)found.n, FEWEST_UNITS);
    found.threat =
        nissl__strdup("Sites follow one another, so they are not independent; those that "
                      "copy another count again; and later sites have other numbers of "
                      "units and positions.");
    return add(l, found, strength, err);
}

nissl_status nissl__findings(nissl_context *ctx, const nissl__summary *summary,
                             nissl_examination *e, nissl_error *err)
{
    const study s = {e, summary, nissl_context_seed(ctx), nissl_recording_n_stimuli(e->recording)};
    list l = {.capacity = (size_t)e->n_factors + 4};
    nissl_status status = NISSL_OK;
    overview *overviews = nissl__alloc((size_t)e->n_factors + 1, sizeof *overviews);
    l.finding = nissl__alloc(l.capacity, sizeof *l.finding);
    l.strength = nissl__alloc(l.capacity, sizeof *l.strength);
    if (overviews == NULL || l.finding == NULL || l.strength == NULL)
        status = NISSL__NO_MEMORY(err, l.capacity * sizeof *l.finding);
    for (int f = 0; f < e->n_factors && status == NISSL_OK; f++) {
        overviews[f] = look_over(&s, f);
        if (overviews[f].found)
            status = tuned_factor(&s, f, &overviews[f], &l, err);
    }
    if (status == NISSL_OK)
        status = silent_units(&s, &l, err);
    if (status == NISSL_OK && e->twin != NULL)
        status = sparseness(&s, &l, err);
    if (status == NISSL_OK && e->twin != NULL)
        status = depth(&s, &l, err);
    while (l.n > (status == NISSL_OK ? MOST_FINDINGS - 1 : 0))
        free_finding(&l.finding[--l.n]);
    if (status == NISSL_OK) /* last, and never cut off */
        status = untuned_factors(&s, overviews, &l, err);
    if (status == NISSL_OK) {
        e->findings = l.finding;
        e->n_findings = l.n;
        l.finding = NULL;
    }
    while (l.finding != NULL && l.n > 0)
        free_finding(&l.finding[--l.n]);
    nissl__free(l.finding);
    nissl__free(l.strength);
    nissl__free(overviews);
    return status;
}
