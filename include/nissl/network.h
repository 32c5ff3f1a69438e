/**
 * Networks, programs and runs.
 *
 * A network is an immutable graph of operators over named tensors with its weights. A program is a
 * network compiled for a batch size, a set of sites to keep exactly, and (later) interventions and
 * gradients. A run is a program's buffers while it works: one thread uses a run at a time; many
 * runs may share a program.
 */
#ifndef NISSL_NETWORK_H
#define NISSL_NETWORK_H

#include "nissl/array.h"
#include "nissl/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nissl_network nissl_network;
typedef struct nissl_program nissl_program;
typedef struct nissl_run nissl_run;

/** A graph input or output. Strings live as long as the network. */
typedef struct nissl_port {
    const char *name;
    nissl_type type;
    int rank;
    int64_t shape[NISSL_MAX_RANK];      /* -1: symbolic */
    const char *symbol[NISSL_MAX_RANK]; /* NULL or the name of the symbolic dimension */
} nissl_port;

/** One operator. Strings live as long as the network. */
typedef struct nissl_node {
    const char *name; /* the file's, or "<op>_<index>" where the file has none */
    const char *op;
    const char *domain;
    size_t n_inputs, n_outputs;
    const char *const *inputs; /* "" is an absent optional input */
    const char *const *outputs;
} nissl_node;

/**
 * Opens a network, told by content: an ONNX file; a folder with config.json and model.safetensors
 * (or model.safetensors.index.json and its files) of GPT-2, GPT-NeoX, Llama, Qwen2, Qwen3 or BERT;
 * one of those files; a llama2.c checkpoint. Weights stay in the mapped files until a program packs
 * them, so a network larger than memory opens at once.
 *
 * What is built from a configuration takes int64 token ids [batch, tokens] and names its sites as
 * docs/transformers.md lists them. Ids below 0 are padding, allowed behind the tokens of a
 * stimulus.
 * @return NISSL_OK; NISSL_ERR_IO; NISSL_ERR_FORMAT, NISSL_ERR_LIMIT with file, place and both
 * numbers; NISSL_ERR_UNSUPPORTED naming every unsupported operator with its node and opset.
 */
nissl_status nissl_network_open(nissl_context *ctx, const char *path, nissl_network **out,
                                nissl_error *err);

/**
 * A twin: the same graph with the entries of each floating-point weight tensor permuted among
 * themselves, keyed (seed, tensor index), so that every weight distribution is kept and every
 * learned arrangement is lost. Tensors of one element and shape constants stay. Batch
 * normalisation's scale, shift, mean and variance are permuted with one permutation per node, so
 * that variances keep their means.
 * @param network must outlive the twin.
 */
nissl_status nissl_network_twin(nissl_context *ctx, const nissl_network *network, uint64_t seed,
                                nissl_network **out, nissl_error *err);
void nissl_network_free(nissl_network *network);

const char *nissl_network_path(const nissl_network *network);
const char *
nissl_network_format(const nissl_network *network); /* "ONNX, opset 13, pytorch 1.13.0" */
uint64_t
nissl_network_parameters(const nissl_network *network); /* floating-point initialiser elements */
uint64_t nissl_network_hash(
    const nissl_network *network); /* of the files' bytes (XXH64-style, own); of
                                     safetensors and llama2.c read when first asked for */
/** Whether token ids below 0 are padding: allowed behind the tokens of a stimulus, and without
 * influence on what is computed for those. */
bool nissl_network_masks_padding(const nissl_network *network);
size_t nissl_network_n_nodes(const nissl_network *network);
const nissl_node *nissl_network_node(const nissl_network *network, size_t index);
size_t nissl_network_n_inputs(const nissl_network *network); /* without initialisers */
const nissl_port *nissl_network_input(const nissl_network *network, size_t index);
size_t nissl_network_n_outputs(const nissl_network *network);
const nissl_port *nissl_network_output(const nissl_network *network, size_t index);

/** A site of a compiled program: a named floating-point tensor that depends on the stimulus. Lives
 * with the program. */
typedef struct nissl_site {
    const char *name; /* the tensor's */
    const char *op;   /* of the node that makes it; "Input" for a graph input */
    const char *node;
    const char *const *aliases; /* other names of the tensor: "blocks.4.hook_resid_pre" */
    size_t n_aliases;
    nissl_type type;
    int rank;
    int64_t shape[NISSL_MAX_RANK]; /* logical, batch included */
    uint8_t role[NISSL_MAX_RANK];  /* nissl_axis_role */
    int64_t n_units;               /* product over unit axes */
    int64_t n_positions;           /* product over position axes, 1 if none */
    double operations;   /* multiply-adds counted as two, per stimulus, of the node that makes it */
    uint64_t parameters; /* weight elements of that node */
    bool is_output;
} nissl_site;

/** A value given to a network input when a program is compiled. What follows from it alone is
 * computed then, so a shape that such an input holds (of Reshape, Expand, Slice) is as good as one
 * that the file holds. */
typedef struct nissl_binding {
    const char *name; /* of the input */
    nissl_view value; /* copied; float16 and bfloat16 are widened */
} nissl_binding;

typedef struct nissl_program_options {
    int64_t batch; /* stimuli per run (the micro-batch); 0 = automatic: see nissl_program_batch */
    int threads;   /* threads that work inside one run; 0 and 1 = one. Bits do not depend on it. */
    bool shapes_only; /* no weights packed, no buffers: for inspect and dry runs */
    bool observe_all; /* every site is computed and reported exactly as the file writes it */
    const char *const *observe; /* names or aliases of sites to report; outputs always are */
    size_t n_observe;
    const nissl_view *input_shapes; /* one per network input: shape for symbolic dimensions (axis 0
                                       is ignored); or NULL */
    size_t n_input_shapes;
    bool exact; /* inputs have exactly the shapes of input_shapes, axis 0 included (the file's where
                   none is given): no axis counts stimuli, no tensor is a site, batch is ignored */
    const nissl_binding *bindings; /* inputs whose values are known now */
    size_t n_bindings;
} nissl_program_options;

nissl_program_options nissl_program_options_default(void);

/**
 * Compiles: binds dimensions, folds constants, chooses layouts and kernels, packs weights, plans
 * memory.
 *
 * A file that fixes its batch to 1 is compiled for larger batches where every shape in it allows
 * that, and otherwise for batch 1 (nissl_program_batch tells). Tensors that nobody observes may be
 * fused away; observed ones never are.
 *
 * @param network must outlive the program.
 * @return NISSL_OK; NISSL_ERR_SHAPE or NISSL_ERR_TYPE naming the node; NISSL_ERR_UNSUPPORTED;
 * NISSL_ERR_NAME for an unknown observed name; NISSL_ERR_MEMORY.
 */
nissl_status nissl_program_compile(nissl_context *ctx, const nissl_network *network,
                                   const nissl_program_options *opt, nissl_program **out,
                                   nissl_error *err);
void nissl_program_free(nissl_program *program);

int64_t nissl_program_batch(const nissl_program *program); /* stimuli per run */
size_t nissl_program_n_inputs(const nissl_program *program);
const nissl_site *nissl_program_input(const nissl_program *program,
                                      size_t index);        /* bound shapes */
size_t nissl_program_n_sites(const nissl_program *program); /* observed sites, in execution order */
const nissl_site *nissl_program_site(const nissl_program *program, size_t index);
/** Index of the observed site of that name or alias, or -1. */
int64_t nissl_program_find_site(const nissl_program *program, const char *name);
uint64_t
nissl_program_weight_bytes(const nissl_program *program);       /* packed weights, shared by runs */
uint64_t nissl_program_run_bytes(const nissl_program *program); /* buffers of one run */
double nissl_program_operations(const nissl_program *program);  /* per stimulus */

/** Allocates a run's buffers: nissl_program_run_bytes() bytes. The program must outlive it. */
nissl_status nissl_run_new(const nissl_program *program, nissl_run **out, nissl_error *err);
void nissl_run_free(nissl_run *run);

/**
 * Called right after a site has been computed, while it is hot in cache and before anything may
 * overwrite it. The view has the site's logical shape and roles and the program's physical strides.
 * Return other than NISSL_OK to stop the run.
 */
typedef nissl_status (*nissl_observe_fn)(void *user, size_t site, const nissl_view *view,
                                         nissl_error *err);

/**
 * Runs one micro-batch.
 * @param inputs  per network input a row-major contiguous array of the bound shape. Borrowed. The
 * entry of an input that was bound to a value at compile time is not read.
 * @param observe called for each observed site in execution order; NULL to call none.
 */
nissl_status nissl_run_forward(nissl_run *run, const nissl_view *inputs, size_t n_inputs,
                               nissl_observe_fn observe, void *user, nissl_error *err);

/** View of a graph output after a run, valid until the next. Index as in nissl_network_output. */
nissl_status nissl_run_output(const nissl_run *run, size_t index, nissl_view *out,
                              nissl_error *err);

#ifdef __cplusplus
}
#endif
#endif
