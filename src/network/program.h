/*
 * Programs from the inside: values with physical strides, steps that compute them, and the
 * compiler's state.
 *
 * Compiling goes through passes, each in its own file: infer (shapes, types, constants), select
 * (what is needed, layouts, where concatenated parts are placed), lower (a step per node or group
 * of nodes), memory (offsets in one arena).
 */
#ifndef NISSL__NETWORK_PROGRAM_H
#define NISSL__NETWORK_PROGRAM_H

#include "foundation/foundation.h"
#include "network/graph.h"
#include "network/run.h"

#define NISSL__MAX_OPERANDS 64

typedef enum nissl__layout {
    NISSL__PLAIN,        /* row-major in the file's axis order */
    NISSL__CHANNELS_LAST /* axis 1 innermost: N, spatial axes, C */
} nissl__layout;

/* Where the memory of a value begins. */
typedef enum nissl__home {
    NISSL__HOME_NONE,     /* fused away or not needed */
    NISSL__HOME_CONSTANT, /* data of the network or the program */
    NISSL__HOME_INPUT,    /* the caller's array */
    NISSL__HOME_ARENA     /* the run's buffer */
} nissl__home;

typedef struct nissl__value {
    const char *name; /* "" for values the compiler adds */
    nissl_type type;
    nissl_type storage; /* NISSL_FLOAT16 or NISSL_BFLOAT16 if this float32 value is one of those in
                           the file; otherwise NISSL_FLOAT32 */
    int rank;
    int64_t shape[NISSL_MAX_RANK];
    bool inferred;
    bool dynamic;         /* depends on the stimulus */
    int unit_axis;        /* which axis counts units, -1 = by default rule */
    const void *constant; /* row-major data when known at compile time */
    bool unread;          /* a large constant whose data a program of shapes leaves alone: it may be
                             NULL or narrower than type */

    bool needed;
    bool observed; /* a plan asked for it: must exist exactly */
    bool output;
    int n_uses;      /* by needed nodes */
    int n_step_uses; /* of a root: by steps, which read its memory when they run */
    nissl__layout layout;

    int root;       /* the value whose memory it lives in: itself or another */
    int64_t offset; /* elements from the root's beginning */
    int64_t stride[NISSL_MAX_RANK];
    nissl__home home;          /* of a root */
    bool placed;               /* its root and strides were settled before it is computed (part of a
                                  concatenation) */
    int def_step;              /* after which it is complete; -1 = before the first step */
    int first_step, last_step; /* life of a root in the arena */
    int64_t arena_offset;      /* bytes */
    int input;                 /* index for NISSL__HOME_INPUT */
} nissl__value;

typedef struct nissl__step nissl__step;

/* One execution of a step. */
typedef struct nissl__call {
    const nissl_view *in[NISSL__MAX_OPERANDS]; /* NULL = absent */
    nissl_view *out[NISSL__MAX_OPERANDS];
    void *scratch;
    int threads;
    void **bound; /* the step's slot in this run, NULL at first; see nissl__step.unbind */
} nissl__call;

struct nissl__step {
    int node; /* for messages */
    const char *kind;
    int n_inputs, n_outputs;
    int inputs[NISSL__MAX_OPERANDS];
    int outputs[NISSL__MAX_OPERANDS];
    bool in_place; /* output 0 may take the memory of input 0 if that dies here and has the same
                      strides */
    bool empty;    /* no output has elements: there is nothing to do */
    int overwrite; /* input whose memory output 0 takes over because the kernel accumulates into it,
                      or -1 */
    size_t scratch_bytes;
    nissl_status (*execute)(const nissl__step *step, nissl__call *call, nissl_error *err);
    void (*destroy)(void *state);
    void (*unbind)(void *bound);
    void *state;
    size_t weight_bytes; /* packed weights in state */
    double operations;   /* of convolutions and products, per run */
    bool clips;          /* output 0 = min(max(input 0, low), high), NaN kept */
    float low, high;
    const float *scale, *shift; /* [channels]: output 0 = input 0 * scale + shift; or NULL */
};

typedef struct nissl__compiler {
    nissl_context *ctx;
    const nissl_network *network;
    const nissl_program_options *opt;
    int64_t batch;
    int threads;
    int n_values, capacity;
    nissl__value *values;
    int n_steps, step_capacity;
    nissl__step *steps;
    bool *absorbed;                      /* [n_nodes] computed inside another node's step */
    struct nissl__attention **attention; /* [n_nodes] that ends at a node; NULL elsewhere */
    void **owned;                        /* constant data made while compiling */
    int n_owned, owned_capacity;
    int node;     /* being worked on */
    bool folding; /* evaluating a constant node */
} nissl__compiler;

struct nissl_program {
    const nissl_network *network;
    int64_t batch;
    int threads;
    int n_values;
    nissl__value *values;
    int n_steps;
    nissl__step *steps;
    void **owned;
    int n_owned;
    int n_sites;
    nissl_site *sites;    /* observed, in execution order */
    int *site_values;     /* [n_sites] */
    int *site_step;       /* [n_sites] step after which it is reported, -1 = before the first */
    nissl__chain *chains; /* [n_steps] that end with a step; see run.h */
    bool *chained_step;   /* [n_steps] done by the chain that ends with the next step */
    bool *chained_site;   /* [n_sites] reported by a chain */
    int n_inputs;
    nissl_site *inputs;
    uint64_t arena_bytes, scratch_bytes, weight_bytes;
    double operations;
};

/* ---- what operators use ---- */

typedef struct nissl__operator {
    const char *name;
    int min_inputs, max_inputs; /* max -1 = any */
    /* Sets type and shape of every output from those of the inputs; may set constant. */
    nissl_status (*infer)(nissl__compiler *c, const nissl__node *node, nissl_error *err);
    /* Adds the steps that compute the node, or aliases its outputs. */
    nissl_status (*lower)(nissl__compiler *c, const nissl__node *node, nissl_error *err);
    bool channels_last; /* reads and makes rank >= 3 values channels-last; their axis 1 counts units
                         */
    bool follows;       /* takes layout and unit axis of its inputs: elementwise, concatenation */
} nissl__operator;

const nissl__operator *nissl__operator_find(const char *domain, const char *name);

/* Input or output i of a node, NULL if absent. */
nissl__value *nissl__in(nissl__compiler *c, const nissl__node *node, int i);
nissl__value *nissl__out(nissl__compiler *c, const nissl__node *node, int i);
int nissl__value_index(const nissl__compiler *c, const nissl__value *value);

/* Failing with the node in front: "node conv1 (Conv): ...". */
#ifndef __clang_analyzer__
#define NISSL__NODE_FAIL(c, err, code, ...)                                                        \
    nissl__node_fail((c), (err), (code), __func__, __LINE__, __VA_ARGS__)
#else /* as NISSL__FAIL */
#define NISSL__NODE_FAIL(c, err, code, ...)                                                        \
    (nissl__node_fail((c), (err), (code), __func__, __LINE__, __VA_ARGS__), (code))
#endif
nissl_status nissl__node_fail(const nissl__compiler *c, nissl_error *err, nissl_status code,
                              const char *function, int line, const char *format, ...)
    NISSL__PRINTF(6, 7);

nissl_status nissl__set_shape(nissl__compiler *c, nissl__value *out, nissl_type type, int rank,
                              const int64_t *shape, nissl_error *err);
/* An axis attribute made non-negative, or -1 with err set. */
int nissl__axis(const nissl__compiler *c, int64_t axis, int rank, nissl_error *err);
/* Constant integers of an input (int64 or int32), into a buffer of at most max. Fails if not
 * constant. */
nissl_status nissl__constant_ints(nissl__compiler *c, const nissl__node *node, int input,
                                  int64_t *out, int max, int *n, nissl_error *err);
/* A constant float scalar input, or fallback if the input is absent. */
nissl_status nissl__constant_float(nissl__compiler *c, const nissl__node *node, int input,
                                   float fallback, float *out, nissl_error *err);
/* Memory owned by the program being compiled. */
void *nissl__own(nissl__compiler *c, size_t bytes);

/* Adds a value without a name that lives in the arena. */
int nissl__new_value(nissl__compiler *c, nissl_type type, int rank, const int64_t *shape,
                     nissl__layout layout, nissl_error *err);
/* Row-major or channels-last strides. */
void nissl__dense_strides(int rank, const int64_t *shape, nissl__layout layout, int64_t *stride);
bool nissl__is_dense(const nissl__value *value, nissl__layout layout);
/* channels-last with any distance between pixels: stride of axis 1 is 1 and the rest is as if C
 * were wider. *pixel receives that distance. */
bool nissl__is_channels_last(const nissl__value *value, int64_t *pixel);

/* The index of a value with the same contents that is dense in a layout; adds a copying step where
 * needed. */
nissl_status nissl__dense(nissl__compiler *c, int value, nissl__layout layout, int *out,
                          nissl_error *err);
/* Settles the memory of an output in its layout (or leaves it where it was placed). */
void nissl__place(nissl__compiler *c, nissl__value *out);
/* Makes out a view of another value's memory: no step. */
void nissl__alias(nissl__compiler *c, nissl__value *out, int in, int64_t offset,
                  const int64_t *stride);

/* Adds a step with operands; returns it, or NULL when out of memory. Values must be placed. */
nissl__step *nissl__add_step(nissl__compiler *c, const char *kind, int n_inputs, const int *inputs,
                             int n_outputs, const int *outputs, size_t state_bytes);
/* The only needed consumer of a value that may be fused away, or -1: not observed, not an output,
 * one use. */
int nissl__sole_consumer(const nissl__compiler *c, int value);

nissl_view nissl__value_view(const nissl__value *value, void *data);

/* ---- for measuring ---- */

/* nissl_run_forward without observers that adds each step's seconds to seconds [n_steps]. */
nissl_status nissl__run_timed(nissl_run *run, const nissl_view *inputs, size_t n_inputs,
                              double *seconds, nissl_error *err);

/* ---- passes ---- */

nissl_status nissl__infer(nissl__compiler *c, nissl_error *err);
nissl_status nissl__select(nissl__compiler *c, nissl_error *err);
nissl_status nissl__lower(nissl__compiler *c, nissl_error *err);
/* Lowers the node being worked on together with elementwise nodes after it, if they make a group:
 * *done. */
nissl_status nissl__fuse(nissl__compiler *c, bool *done, nissl_error *err);
nissl_status nissl__plan_memory(nissl__compiler *c, uint64_t *arena_bytes, uint64_t *scratch_bytes,
                                nissl_error *err);
/* After list_sites: where the recorder may do the work of steps. */
nissl_status nissl__find_chains(const nissl__compiler *c, nissl_program *program, nissl_error *err);
double nissl__node_operations(nissl__compiler *c, const nissl__node *node, uint64_t *parameters);

/* ---- kernels shared by operators ---- */

/* dst = src, same shape and type, any strides. */
void nissl__copy_view(const nissl_view *src, const nissl_view *dst, int threads);
/* The step that does it from input 0 to output 0. */
nissl_status nissl__execute_copy(const nissl__step *step, nissl__call *call, nissl_error *err);

#endif
