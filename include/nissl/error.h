/**
 * Status codes and the caller-owned error.
 *
 * Every fallible function returns a nissl_status and takes a nissl_error * last, which may be NULL.
 * The library never exits, prints or aborts. A message names what failed, which one, and both
 * numbers: "n_components = 9 exceeds min(samples = 3, units = 2)".
 */
#ifndef NISSL_ERROR_H
#define NISSL_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* code, text */
#define NISSL_STATUS_LIST(X)                                                                       \
    X(OK, "ok")                                                                                    \
    X(ERR_MEMORY, "out of memory")                                                                 \
    X(ERR_IO, "input or output failed")                                                            \
    X(ERR_FORMAT, "malformed file")                                                                \
    X(ERR_LIMIT, "larger than the allowed budget")                                                 \
    X(ERR_UNSUPPORTED, "not supported")                                                            \
    X(ERR_ARGUMENT, "invalid argument")                                                            \
    X(ERR_NAME, "no such name")                                                                    \
    X(ERR_SHAPE, "shapes do not agree")                                                            \
    X(ERR_TYPE, "types do not agree")                                                              \
    X(ERR_RANGE, "value out of range")                                                             \
    X(ERR_NONFINITE, "not a finite number")                                                        \
    X(ERR_EXISTS, "already exists")                                                                \
    X(ERR_NOT_CONVERGED, "did not converge")                                                       \
    X(ERR_CANCELLED, "cancelled")                                                                  \
    X(ERR_INTERNAL, "internal error")

typedef enum nissl_status {
#define NISSL_STATUS_ENUM(code, text) NISSL_##code,
    NISSL_STATUS_LIST(NISSL_STATUS_ENUM)
#undef NISSL_STATUS_ENUM
        NISSL_STATUS_COUNT
} nissl_status;

/** What went wrong, where. Zero-initialise; the library writes it only on failure. */
typedef struct nissl_error {
    nissl_status code;
    int line;             /* of the source file that reported it */
    const char *function; /* static string, or NULL */
    char message[512];
} nissl_error;

/** The text of a status code, never NULL: "shapes do not agree". Static. */
const char *nissl_status_text(nissl_status status);

/** The name of a status code, never NULL: "NISSL_ERR_SHAPE". Static. */
const char *nissl_status_name(nissl_status status);

#ifdef __cplusplus
}
#endif
#endif
