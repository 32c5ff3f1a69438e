/* Provenance as JSON text. */
#include <jansson.h>
#include <stdio.h>

#include "recording/provenance.h"
#include "foundation/foundation.h"

static json_t *hash_text(uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    return json_string(text);
}

/* JSON integers end at 2^63 - 1 here; larger seeds are texts. */
static json_t *seed_value(uint64_t seed)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    return seed <= INT64_MAX ? json_integer((json_int_t)seed) : json_string(text);
}

static json_t *text_or_null(const char *text)
{
    json_t *value = text ? json_string(text) : NULL;
    return value ? value : json_null(); /* also for text that is not UTF-8 */
}

/* JSON text as a value; a text that is no JSON stays a text. */
static json_t *parsed(const char *text)
{
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return value ? value : text_or_null(text);
}

static json_t *describe_plan(const nissl_plan *plan)
{
    json_t *reducers = json_array(), *sites = json_array();
    for (size_t i = 0; i < plan->n_reducers; i++)
        json_array_append_new(reducers, json_string(plan->reducers[i]->name));
    for (size_t i = 0; i < plan->n_sites; i++)
        json_array_append_new(sites, text_or_null(plan->sites[i].name));
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "summary",
                     nissl__summary_name(plan->summary), "batch", (json_int_t)plan->batch,
                     "leaf_stimuli", (json_int_t)plan->leaf_stimuli, "top_k",
                     (json_int_t)plan->top_k, "reducers", reducers, "sites", sites);
}

nissl_status nissl__provenance(nissl_context *ctx, const nissl_plan *plan,
                               const nissl_subject *subject, uint64_t stimuli_hash,
                               const char *command, const char *started, uint64_t *identity,
                               char **out, nissl_error *err)
{
    const nissl_network *network = subject->network;
    const nissl_stimuli *stimuli = plan->stimuli;
    int64_t shape[NISSL_MAX_RANK];
    int rank = nissl_stimuli_shape(stimuli, shape);
    json_t *root = json_object(), *axes = json_array(), *model, *shown;
    char *version = nissl_version_json(), *text = NULL;
    nissl__hash hash;
    nissl_status status = NISSL_OK;
    for (int i = 0; i < rank; i++)
        json_array_append_new(axes, json_integer(shape[i]));
    model = json_pack("{s:o, s:o, s:o, s:I}", "path", text_or_null(nissl_network_path(network)),
                      "hash", hash_text(nissl_network_hash(network)), "format",
                      text_or_null(nissl_network_format(network)), "parameters",
                      (json_int_t)nissl_network_parameters(network));
    shown = json_pack("{s:o, s:o, s:I, s:o, s:o}", "source",
                      text_or_null(nissl_stimuli_source(stimuli)), "hash", hash_text(stimuli_hash),
                      "count", (json_int_t)plan->n_stimuli, "shape", axes, "preprocessing",
                      parsed(nissl_stimuli_preprocess(stimuli)));
    json_object_set_new(root, "role", text_or_null(subject->role));
    json_object_set_new(root, "seed", seed_value(nissl_context_seed(ctx)));
    json_object_set_new(root, "model", model);
    json_object_set_new(root, "stimuli", shown);
    json_object_set_new(root, "plan", describe_plan(plan));
    text = json_dumps(root, JSON_COMPACT);
    if (!text) {
        status = NISSL__NO_MEMORY(err, 1);
        goto done;
    }
    nissl__hash_begin(&hash);
    nissl__hash_add(&hash, text, strlen(text));
    *identity = nissl__hash_end(&hash);
    free(text);
    json_object_set_new(root, "command", text_or_null(command));
    json_object_set_new(root, "started", text_or_null(started));
    json_object_set_new(root, "program", parsed(version));
    text = json_dumps(root, JSON_INDENT(1));
    *out = text ? nissl__strdup(text) : NULL;
    if (!*out)
        status = NISSL__NO_MEMORY(err, text ? strlen(text) : 1);

done:
    free(text);
    free(version);
    json_decref(root);
    return status;
}
