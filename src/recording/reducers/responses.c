/* Responses: every value, float32 [n_stimuli, n_units], which the recorder writes as it comes. */
#include "recording/reducers/reducer.h"

static uint64_t result_bytes(const nissl_reducer_site *site)
{
    return (uint64_t)site->n_stimuli * (uint64_t)site->n_units * sizeof(float);
}

const nissl_reducer nissl__reducer_responses = {
    .name = "responses",
    .summary = "the value of every unit on every stimulus",
    .needs = NISSL_REDUCER_STREAM,
    .result_bytes = result_bytes,
};
