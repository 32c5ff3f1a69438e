/**
 * Recordings: what a plan's reducers saw of networks on a stimulus set, in an NWB 2 (HDF5) file.
 */
#ifndef NISSL_RECORDING_H
#define NISSL_RECORDING_H

#include "nissl/network.h"
#include "nissl/reducer.h"
#include "nissl/stimuli.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nissl_plan nissl_plan;
typedef struct nissl_recording nissl_recording;

typedef struct nissl_plan_options {
    const char *sites; /* comma-separated globs over site names and aliases, "!glob" excludes; NULL
                          = all */
    const char *reducers;  /* comma-separated names; NULL =
                              "moments,by-condition,histogram,exemplars,frequency,responses" */
    nissl_summary summary; /* how positions become a unit's value */
    int64_t top_k;         /* exemplars at each end; 0 = 9 */
    int64_t batch;         /* micro-batch; 0 = automatic */
} nissl_plan_options;

nissl_plan_options nissl_plan_options_default(void);

/** What one reducer costs at one site; one entry for each that has something to do there. */
typedef struct nissl_plan_cost {
    const char *site;
    const char *reducer;
    int64_t n_units;
    int64_t n_positions;
    uint64_t memory; /* bytes of states, all levels of the merge tree, for one network */
    uint64_t disk;   /* bytes of results in the recording */
} nissl_plan_cost;

/**
 * Makes a plan for a network on a stimulus set: sites, reducers, micro-batch, memory, disk. Runs
 * nothing, but packs the network's weights, which recording it then uses. Network and stimulus set
 * must outlive the plan.
 * @return NISSL_OK; NISSL_ERR_NAME if a glob matches no site or a reducer is unknown (the message
 * lists what there is); NISSL_ERR_SHAPE if stimuli and network do not agree, with both shapes.
 */
nissl_status nissl_plan_new(nissl_context *ctx, const nissl_network *network,
                            const nissl_stimuli *stimuli, const nissl_plan_options *opt,
                            nissl_plan **out, nissl_error *err);
void nissl_plan_free(nissl_plan *plan);
size_t nissl_plan_n_costs(const nissl_plan *plan);
const nissl_plan_cost *nissl_plan_cost_at(const nissl_plan *plan, size_t index);
/** The planned allocations of recording n_subjects networks at once with this context's threads:
 * weights, runs, states, buffers. */
uint64_t nissl_plan_memory(const nissl_plan *plan, int n_subjects);
/** The peak resident size that recording is expected to reach: what this process has now (program,
 * libraries, generated kernels, the packed network) and the planned allocations that are still to
 * come. 0 where the system does not tell. */
uint64_t nissl_plan_resident(const nissl_plan *plan, int n_subjects);
uint64_t nissl_plan_disk(const nissl_plan *plan); /* bytes of one recording, within 5 % or 64 KiB */
int64_t nissl_plan_batch(const nissl_plan *plan);

/** One network to record and where to. */
typedef struct nissl_subject {
    const nissl_network *network;
    const char *path; /* of the recording to write; must not exist unless overwrite is set */
    const char *role; /* "network" or "twin"; into provenance */
} nissl_subject;

typedef struct nissl_record_options {
    bool overwrite;
    const char *command; /* the command line, for provenance; may be NULL */
} nissl_record_options;

/**
 * Records networks of one graph on the same stimuli in one pass: each micro-batch is loaded once
 * and shown to every subject. A recording appears under its name only when it is whole.
 */
nissl_status nissl_record(nissl_context *ctx, const nissl_plan *plan, const nissl_stimuli *stimuli,
                          const nissl_subject *subjects, size_t n_subjects,
                          const nissl_record_options *opt, nissl_error *err);

/** What a recording says of one site. Lives with the recording. */
typedef struct nissl_recorded_site {
    const char *name, *op, *node;
    int rank;
    int64_t shape[NISSL_MAX_RANK]; /* logical, batch axis = 1 */
    int64_t n_units, n_positions;
    int64_t first_unit; /* row of its first unit in the units table */
} nissl_recorded_site;

/** Opens a recording for reading. Malformed files are refused with a line that names what is
 * missing. */
nissl_status nissl_recording_open(nissl_context *ctx, const char *path, nissl_recording **out,
                                  nissl_error *err);
void nissl_recording_free(nissl_recording *recording);

size_t nissl_recording_n_sites(const nissl_recording *recording);
const nissl_recorded_site *nissl_recording_site(const nissl_recording *recording, size_t index);
int64_t nissl_recording_find_site(const nissl_recording *recording,
                                  const char *name); /* -1 if none */
int64_t nissl_recording_n_stimuli(const nissl_recording *recording);
const char *nissl_recording_stimulus_id(const nissl_recording *recording, int64_t index);
int nissl_recording_n_factors(const nissl_recording *recording);
const nissl_factor *nissl_recording_factor(const nissl_recording *recording, int index);
/** Provenance: JSON text (program, compiler, libraries, seed, command, hashes, summary, batch,
 * preprocessing, time). */
const char *nissl_recording_provenance(const nissl_recording *recording);

/**
 * Reads a reducer's array at a site, e.g. "moments/mean" -> float64 [n_units].
 * @return NISSL_OK; NISSL_ERR_NAME if the recording does not hold it, naming those it does.
 */
nissl_status nissl_recording_array(const nissl_recording *recording, size_t site, const char *name,
                                   nissl_array *out, nissl_error *err);
bool nissl_recording_has(const nissl_recording *recording, size_t site, const char *name);
/**
 * Reads responses: the value of units first_unit .. first_unit + n_units - 1 of a site on every
 * stimulus.
 * @param out float32 [n_stimuli, n_units]. Needs the "responses" reducer to have run.
 */
nissl_status nissl_recording_responses(const nissl_recording *recording, size_t site,
                                       int64_t first_unit, int64_t n_units, float *out,
                                       nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
