/* What a recording says of how it came about. */
#ifndef NISSL__PROVENANCE_H
#define NISSL__PROVENANCE_H

#include "recording/plan.h"

/*
 * JSON text: program (nissl_version_json), command, role, seed, model, stimuli, plan, time. Nothing
 * in it depends on the number of threads.
 * @param identity hash of all of it but program, command and time.
 * @param out      allocated.
 */
nissl_status nissl__provenance(nissl_context *ctx, const nissl_plan *plan,
                               const nissl_subject *subject, uint64_t stimuli_hash,
                               const char *command, const char *started, uint64_t *identity,
                               char **out, nissl_error *err);

#endif
