/**
 * The context: thread count, seed, budget, log and progress. One per application; pass it to what
 * does work.
 *
 * No mutable global exists beside it. A context may be used by one caller thread at a time; the
 * library's own workers are inside it.
 */
#ifndef NISSL_CONTEXT_H
#define NISSL_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nissl/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nissl_context nissl_context;

typedef enum nissl_log_level { NISSL_LOG_INFO, NISSL_LOG_WARNING } nissl_log_level;

/** One line of text without a newline. Called from the caller's thread only. */
typedef void (*nissl_log_fn)(void *user, nissl_log_level level, const char *line);

/** A snapshot of long work. Rates are over the whole task so far; remaining is < 0 while unknown.
 */
typedef struct nissl_progress {
    const char *task; /* "recording" */
    const char *noun; /* what done and total count: "stimuli" */
    uint64_t done;    /* so far */
    uint64_t total;   /* 0 when unknown */
    uint64_t bytes;   /* read or written so far; 0 when it says nothing */
    double seconds;   /* since the task began */
    double rate;      /* done per second */
    double remaining; /* seconds, < 0 when unknown */
    bool finished;    /* the last call for this task */
} nissl_progress;

/** Called at most ten times a second, never by two threads at once, and once with finished set. */
typedef void (*nissl_progress_fn)(void *user, const nissl_progress *progress);

typedef struct nissl_context_options {
    int threads;           /* workers; 0 = the CPUs this process may use */
    uint64_t seed;         /* root of every random choice */
    uint64_t memory_limit; /* bytes that readers may allocate for one file; 0 = automatic (half of
                              memory) */
    nissl_log_fn log;      /* NULL = silent */
    void *log_user;
    nissl_progress_fn progress; /* NULL = silent */
    void *progress_user;
} nissl_context_options;

nissl_context_options nissl_context_options_default(void);

/**
 * Makes a context and starts its workers.
 * @param opt NULL for defaults.
 * @return NISSL_OK; NISSL_ERR_RANGE if threads < 0 or > 1024; NISSL_ERR_MEMORY.
 */
nissl_status nissl_context_new(const nissl_context_options *opt, nissl_context **out,
                               nissl_error *err);
void nissl_context_free(nissl_context *ctx);

int nissl_context_threads(const nissl_context *ctx);
uint64_t nissl_context_seed(const nissl_context *ctx);

/** Asks running work to stop; it returns NISSL_ERR_CANCELLED soon. Async-signal-safe. */
void nissl_context_cancel(nissl_context *ctx);
bool nissl_context_cancelled(const nissl_context *ctx);

/** Version of the library, "0.1.0". Static. */
const char *nissl_version(void);

/**
 * What this build is and what it runs on: version, compiler, libraries with versions, the
 * instruction sets chosen by the kernels and by the BLAS, and warnings such as a BLAS that is
 * slower than this CPU allows. Writes JSON text.
 * @return a malloc'ed string the caller frees, NULL when out of memory.
 */
char *nissl_version_json(void);

#ifdef __cplusplus
}
#endif
#endif
