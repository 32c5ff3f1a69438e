/*
 * Writing a recording: an NWB file whose responses are written with pwrite while HDF5 has it
 * closed, under PATH.partial until it is whole.
 *
 *   nissl__store_create    objects, names, trials, units, room for responses; space on disk taken
 *   nissl__store_responses as micro-batches finish, from any thread
 *   nissl__store_reopen    then nissl__store_array for every array of every reducer
 *   nissl__store_close     the file is whole and on disk
 *   nissl__store_publish   PATH.partial becomes PATH
 */
#ifndef NISSL__STORE_H
#define NISSL__STORE_H

#include "recording/plan.h"

typedef struct nissl__store nissl__store;

/* What a recording says of itself. Borrowed. */
typedef struct nissl__store_info {
    uint64_t identity;      /* hash of all that decides the results */
    const char *role;       /* "network" or "twin" */
    const char *model;      /* path of the network */
    const char *source;     /* of the stimuli */
    const char *command;    /* may be NULL */
    const char *started;    /* ISO 8601 with time zone */
    const char *provenance; /* JSON text */
} nissl__store_info;

nissl_status nissl__store_create(const nissl_plan *plan, const char *path, bool overwrite,
                                 const nissl__store_info *info, nissl__store **out,
                                 nissl_error *err);
/* value: [n_stimuli, n_units] of a site. Thread-safe. */
nissl_status nissl__store_responses(nissl__store *store, size_t site, int64_t first,
                                    int64_t n_stimuli, const float *value, nissl_error *err);
nissl_status nissl__store_reopen(nissl__store *store, nissl_error *err);
/* name is "moments/mean". */
nissl_status nissl__store_array(nissl__store *store, size_t site, const char *name,
                                const char *unit, const char *description, const nissl_array *array,
                                nissl_error *err);
/* Rows of a site at which a reducer has nothing to do, in the arrays that it emitted elsewhere:
 * NaN, and -1 in whole numbers. */
nissl_status nissl__store_absent(nissl__store *store, size_t site, const char *reducer,
                                 nissl_error *err);
nissl_status nissl__store_close(nissl__store *store, nissl_error *err);
nissl_status nissl__store_publish(nissl__store *store, nissl_error *err);
/* Removes PATH.partial if it was not published. */
void nissl__store_free(nissl__store *store);

#endif
