/* What each index of a report is, in a line, with formula and source. */
#include "report/pages.h"

static const nissl__index indices[NISSL__INDEX_COUNT] = {
    [NISSL__INDEX_SELECTIVITY] =
        {
            .key = "selectivity",
            .name = "Selectivity",
            .label = "Selectivity",
            .axis = "selectivity",
            .text =
                "How far the best condition stands above the mean of the others: 0 all alike, 1 "
                "an answer to one condition only. The best is chosen and measured on the same "
                "stimuli, so chance alone lifts it; compare it with the twin's.",
            .formula = "(μ_best − μ_rest) / (μ_best + μ_rest + 1e-7), of condition means of "
                       "max(x, 0); μ_rest is the mean of the other condition means",
            .source = "Morcos, Barrett, Rabinowitz & Botvinick 2018",
            .low = 0,
            .high = 1,
            .depth = true,
            .table = true,
            .sheet = true,
            .sort = true,
            .distribution = true,
        },
    [NISSL__INDEX_SELECTIVITY_HELDOUT] =
        {
            .key = "selectivity_heldout",
            .name = "Selectivity, held out",
            .label = "Held out",
            .axis = "selectivity, held out",
            .text = "The same with the best condition chosen on one half of the stimuli and "
                    "measured on the other: chance does not lift it. It can be negative.",
            .formula = "(μ_best − μ_rest) / (μ_best + μ_rest + 1e-7)",
            .source = "Morcos, Barrett, Rabinowitz & Botvinick 2018; stratified halves",
            .low = 0,
            .high = 1,
            .depth = true,
            .table = true,
            .sheet = true,
            .sort = true,
            .distribution = true,
        },
    [NISSL__INDEX_AUROC] =
        {
            .key = "auroc",
            .name = "auROC, best against rest",
            .label = "auROC",
            .axis = "auROC",
            .text = "Chance that a stimulus of the best condition gives a larger value than one of "
                    "another; ½ is none. The best is chosen on one half, measured on the other.",
            .formula = "U / (n₁ n₂), ties count ½",
            .source = "Mann & Whitney 1947; Hanley & McNeil 1982",
            .low = 0.5,
            .high = 1,
            .depth = true,
            .table = true,
            .sheet = true,
            .distribution = true,
        },
    [NISSL__INDEX_DPRIME] =
        {
            .key = "dprime",
            .name = "d′, best against rest",
            .label = "d′",
            .axis = "d′",
            .text = "Distance between the best condition and the rest in standard deviations. The "
                    "best is chosen on one half, measured on the other.",
            .formula = "(μ₁ − μ₂) / √((s₁² + s₂²) / 2), n − 1 in the variances",
            .source = "Green & Swets 1966",
            .low = NAN,
            .high = NAN,
            .depth = true,
            .table = true,
            .sheet = true,
            .distribution = true,
        },
    [NISSL__INDEX_LIFETIME] =
        {
            .key = "lifetime_sparseness",
            .name = "Lifetime sparseness",
            .label = "Sparseness",
            .axis = "lifetime sparseness",
            .text = "How unevenly a unit's response is spread over stimuli: 0 the same to all, 1 a "
                    "response to a single one.",
            .formula = "(1 − a) / (1 − 1/n), a = (Σx/n)² / (Σx²/n), x rectified, n stimuli",
            .source = "Rolls & Tovee 1995; Vinje & Gallant 2000",
            .low = 0,
            .high = 1,
            .depth = true,
            .table = true,
            .sheet = true,
            .sort = true,
            .distribution = true,
        },
    [NISSL__INDEX_POPULATION] =
        {
            .key = "population_sparseness",
            .name = "Population sparseness",
            .label = "Population",
            .axis = "population sparseness",
            .text = "How unevenly the response to one stimulus is spread over the units of the "
                    "site: 0 all units alike, 1 a single unit responds. One value per stimulus.",
            .formula = "(1 − a) / (1 − 1/n), a = (Σx/n)² / (Σx²/n), x rectified, n units",
            .source = "Rolls & Tovee 1995; Vinje & Gallant 2000",
            .low = 0,
            .high = 1,
            .over_stimuli = true,
            .depth = true,
            .distribution = true,
        },
    [NISSL__INDEX_ACTIVE] =
        {
            .key = "active",
            .name = "Activation frequency",
            .label = "Active",
            .axis = "share of samples above 0",
            .text = "Share of (stimulus, position) samples at which the unit is above zero.",
            .low = 0,
            .high = 1,
            .percent = true,
            .depth = true,
            .table = true,
            .sheet = true,
            .distribution = true,
        },
    [NISSL__INDEX_MEAN] =
        {
            .key = "mean",
            .name = "Mean",
            .label = "Mean",
            .axis = "mean over stimuli",
            .text = "Mean of the unit's value over stimuli, in the units of the network.",
            .low = NAN,
            .high = NAN,
            .table = true,
            .sheet = true,
            .distribution = true,
        },
    [NISSL__INDEX_SD] =
        {
            .key = "sd",
            .name = "Standard deviation",
            .label = "SD",
            .axis = "standard deviation",
            .text = "Of the unit's value over stimuli; 0 is a silent unit.",
            .low = NAN,
            .high = NAN,
            .table = true,
            .sheet = true,
        },
};

const nissl__index *nissl__report_index(nissl__index_key key)
{
    return &indices[key];
}

json_t *nissl__report_indices(void)
{
    json_t *out = json_array();
    bool failed = false;
    for (int k = 0; k < NISSL__INDEX_COUNT; k++) {
        const nissl__index *i = &indices[k];
        json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:s}", "key", i->key, "name", i->name,
                                  "short", i->label, "axis", i->axis, "text", i->text);
        const struct {
            const char *name;
            bool value;
        } flags[] = {
            {"per_factor", k < NISSL__INDEX_PER_FACTOR},
            {"percent", i->percent},
            {"depth", i->depth},
            {"table", i->table},
            {"sheet", i->sheet},
            {"sort", i->sort},
            {"distribution", i->distribution},
        };
        if (i->formula != NULL)
            nissl__json_put(entry, "formula", json_string(i->formula), &failed);
        if (i->source != NULL)
            nissl__json_put(entry, "source", json_string(i->source), &failed);
        if (i->over_stimuli)
            nissl__json_put(entry, "over", json_string("stimuli"), &failed);
        if (i->high > i->low)
            nissl__json_put(entry, "range", json_pack("[f, f]", i->low, i->high), &failed);
        for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++)
            if (flags[f].value)
                nissl__json_put(entry, flags[f].name, json_true(), &failed);
        nissl__json_add(out, entry, &failed);
    }
    if (failed) {
        json_decref(out);
        return NULL;
    }
    return out;
}
