/*
 * What an examination did not test, from what was and was not run.
 */
#include <stdio.h>

#include "studies/examination.h"

#define MOST_SENTENCES 24

typedef struct sentences {
    char *text[MOST_SENTENCES];
    size_t n;
    bool failed;
} sentences;

/* Takes text. */
static void say(sentences *s, char *text)
{
    if (text == NULL || s->n == MOST_SENTENCES) {
        nissl__free(text);
        s->failed = true;
        return;
    }
    s->text[s->n++] = text;
}

/* Factors that were not tuned to, and why; those whose conditions are too few to hold any out. */
static void say_factors(sentences *s, const nissl__summary *summary, const nissl_examination *e)
{
    int n_single = 0;
    const char *single = NULL;
    for (int i = 0; i < nissl_recording_n_factors(e->recording); i++) {
        const nissl_factor *factor = nissl_recording_factor(e->recording, i);
        if (factor->n_levels == 0 || factor->n_levels > 1000)
            say(s,
                nissl__format("Tuning to %s: it has %s, and tuning curves need 2 to 1000 levels.",
                              factor->name,
                              factor->n_levels == 0 ? "too many different values"
                                                    : "more than 1000 levels"));
        else if (factor->n_levels == 1 && n_single++ == 0)
            single = factor->name;
    }
    if (n_single > 0)
        say(s, nissl__format("Tuning to %s%s: only one level was shown.", single,
                             n_single > 1 ? " and other factors" : ""));
    if (e->n_factors == 0)
        say(s, nissl__strdup("Tuning: the stimuli have no label or factor with 2 to 1000 levels."));
    for (int f = 0; f < e->n_factors; f++)
        if (summary->designs[f].speaker == NISSL__SPEAKER_SELECTIVITY)
            say(s, nissl__format("Whether selectivity for %s holds on other stimuli: the rarest of "
                                 "its %d conditions has %lld, so most held-out indices are "
                                 "undefined.",
                                 nissl_recording_factor(e->recording, e->factors[f])->name,
                                 nissl_recording_factor(e->recording, e->factors[f])->n_levels,
                                 (long long)summary->designs[f].fewest));
    if (e->n_factors > 1)
        say(s, nissl__strdup("Interactions between factors: each curve averages over the others."));
}

static void say_positions(sentences *s, const nissl_examination *e, nissl_summary summary)
{
    static const char *const names[] = {[NISSL_SUMMARY_MEAN] = "mean",
                                        [NISSL_SUMMARY_MAX] = "maximum",
                                        [NISSL_SUMMARY_CENTRE] = "value at the centre"};
    size_t n = 0;
    for (size_t i = 0; i < e->n_sites; i++)
        n += nissl_recording_site(e->recording, i)->n_positions > 1;
    if (n > 0)
        say(s, nissl__format("Where in a stimulus units respond: at %zu of %zu sites a unit has "
                             "several positions, and its %s over them stands for it%s.",
                             n, e->n_sites, names[summary],
                             summary == NISSL_SUMMARY_MEAN
                                 ? " (of a linear unit, opposite signs cancel in it)"
                                 : ""));
}

nissl_status nissl__not_tested(const nissl__summary *summary, const nissl_network *network,
                               const nissl_stimuli *stimuli, const nissl_examine_options *opt,
                               nissl_examination *e, nissl_error *err)
{
    sentences s = {0};
    char **out = NULL;
    say_factors(&s, summary, e);
    say_positions(&s, e, opt->plan.summary);
    if (opt->plan.sites != NULL)
        say(&s, nissl__format("Sites other than those that match %s.", opt->plan.sites));
    say(&s, nissl__format("Stimuli outside the set: %lld of %s were shown, and nothing here says "
                          "how units respond to others.",
                          (long long)nissl_recording_n_stimuli(e->recording),
                          nissl_stimuli_source(stimuli)));
    if (e->twin == NULL)
        say(&s,
            nissl__strdup("A control: no twin was recorded, so no index stands beside that of a "
                          "network with shuffled weights."));
    else
        say(&s,
            nissl__strdup("How twins differ among themselves: one was made. An untrained network "
                          "or a second training of this one may be the better control."));
    say(&s,
        nissl__strdup("Cause: no unit was silenced, driven or patched, so a tuned unit need not "
                      "be one that the output depends on."));
    if (nissl_network_n_outputs(network) > 0)
        say(&s, nissl__strdup("How well the network does its task, and on whom it fails."));
    say(&s, nissl__strdup("Codes of populations: units were taken one at a time; what several tell "
                          "together was not measured."));
    say(&s, nissl__strdup("Agreement with another runtime: this examination does not "
                          "compare; what nissl verify found, if it ran, stands under parity."));
    if (!s.failed)
        out = nissl__alloc(s.n, sizeof *out);
    if (out == NULL) {
        for (size_t i = 0; i < s.n; i++)
            nissl__free(s.text[i]);
        return NISSL__NO_MEMORY(err, sizeof s);
    }
    memcpy(out, s.text, s.n * sizeof *out);
    e->not_tested = out;
    e->n_not_tested = s.n;
    return NISSL_OK;
}
