/**
 * Verification: does Nissl compute what another framework computed, and does a network classify as
 * well as it should?
 */
#ifndef NISSL_VERIFY_H
#define NISSL_VERIFY_H

#include "nissl/network.h"
#include "nissl/stimuli.h"
#include "nissl/table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nissl_verify_options {
    double tolerance; /* largest |difference| allowed, as a fraction of the reference's range
                         (maximum - minimum over the stored tensor); 0 = 1e-4 */
    int64_t batch;    /* stimuli per run; 0 = as many as are stored, at most 32 */
} nissl_verify_options;

nissl_verify_options nissl_verify_options_default(void);

/** How the stored tensors were reproduced. Owned; free with nissl_verification_free. */
typedef struct nissl_verification {
    nissl_table tensors; /* a row per stored tensor: tensor, kind, stimuli, values, max_difference,
                            range, ratio, top1_agreement, verdict ("ok", "differs", "absent") */
    int64_t n_inputs;    /* stored inputs */
    int64_t n_compared;
    int64_t n_failed;      /* ratio above the tolerance */
    int64_t n_absent;      /* tensors that this network does not have under that name */
    double worst_ratio;    /* over those compared */
    double top1_agreement; /* fraction of inputs whose largest output is the same; NaN if none */
    double tolerance;
    bool passed; /* something was compared and nothing failed */
    char *json;  /* all of this, with a "sentence" for people; what a report shows as parity */
} nissl_verification;

/**
 * Runs the inputs of a reference folder and compares every tensor stored there.
 *
 * The folder holds reference_input.npy [n, ...] and reference_logits.npy, reference_output.npy or
 * both, or input.npy and output.npy
 * (and output1.npy ... for further outputs). preprocess.json there may name the tensors
 * ("logits_tensor", "graph_output_tensor"); without it they are the network's first output. A
 * subfolder reference_sites or sites may hold more tensors, listed in its sites.json as {"sites":
 * [{"tensor", "file", "channels_kept"}]}, or simply one .npy per tensor, whose file name is the
 * tensor's with every character outside letters, digits, "_", "." and "-" replaced by "." and
 * leading dots dropped. In sites.json "equals_in_folded_file" may name the tensor that has the same
 * value in a file whose batch normalisations are folded into its convolutions; it is compared where
 * "tensor" is absent, and what is stored under its own name is left out. Fewer stimuli than inputs
 * may be stored: they are the first. A reference that is NaN agrees with NaN alone.
 *
 * @param network   one input.
 * @param directory the reference folder.
 * @param opt       NULL for defaults.
 * @param out       written on success, which includes tensors that differ: see passed.
 * @return NISSL_OK; NISSL_ERR_IO; NISSL_ERR_FORMAT; NISSL_ERR_SHAPE when a stored tensor has
 * another number of values; NISSL_ERR_NAME when no stored tensor is one of the network's.
 *
 * Cost: one forward pass per input; memory for the stored tensors as float32.
 */
nissl_status nissl_verify_reference(nissl_context *ctx, const nissl_network *network,
                                    const char *directory, const nissl_verify_options *opt,
                                    nissl_verification *out, nissl_error *err);
void nissl_verification_free(nissl_verification *verification);

/**
 * Writes inputs for another framework to run: input.npy, float32 [n, ...], whole or not at all.
 * @param stimuli  the first n of them, or NULL: standard normal numbers, keyed by the context's
 * seed.
 * @param shape    of one input without the batch; NULL = the network's, whose dimensions must then
 * be fixed. Ignored with stimuli.
 * @return NISSL_OK; NISSL_ERR_SHAPE when a dimension is left open; NISSL_ERR_RANGE; NISSL_ERR_IO.
 */
nissl_status nissl_verify_write_input(nissl_context *ctx, const nissl_network *network,
                                      const nissl_stimuli *stimuli, const nissl_view *shape,
                                      int64_t n, const char *path, nissl_error *err);

typedef struct nissl_accuracy_options {
    const char *classes; /* CSV or tab-separated file that says which output stands for which label,
                            or NULL: see nissl_accuracy_measure */
    int64_t class_offset; /* added to every index: 1 where output 0 is a background class */
    int64_t batch;        /* stimuli per run; 0 = automatic */
} nissl_accuracy_options;

nissl_accuracy_options nissl_accuracy_options_default(void);

/** How well a network classifies. Owned; free with nissl_accuracy_free. */
typedef struct nissl_accuracy {
    int64_t n_stimuli;
    int64_t n_labelled; /* of them with a known class; the others are left out */
    int64_t n_outputs;
    int64_t n_top1;
    int64_t n_top5;      /* among the five largest outputs; -1 with fewer than 6 outputs */
    nissl_table classes; /* a row per class that was shown: label, output, stimuli, top1, top5,
                            most_confused_with */
    char *json;
} nissl_accuracy;

/**
 * Top-1 and top-5 accuracy of the network's first output on labelled stimuli.
 *
 * A class file has a row per class: a column of output indices (named "index" or "output" in the
 * header, otherwise the first column that holds whole numbers only) and any other columns, each a
 * name of the class. A stimulus belongs to the class one of whose names is its label; a stimulus
 * set without labels goes by file names: "n01440764_tench.JPEG" belongs to the class that has the
 * name n01440764. Without a class file, labels that are whole numbers are indices, and as many
 * other labels as there are outputs are indices in their sorted order. Of equal outputs the one
 * with the smaller index counts as the larger.
 *
 * @return NISSL_OK; NISSL_ERR_FORMAT; NISSL_ERR_NAME if no stimulus has a known class;
 * NISSL_ERR_RANGE if a class index lies outside the network's output.
 *
 * Cost: one forward pass per stimulus.
 */
nissl_status nissl_accuracy_measure(nissl_context *ctx, const nissl_network *network,
                                    const nissl_stimuli *stimuli, const nissl_accuracy_options *opt,
                                    nissl_accuracy *out, nissl_error *err);
void nissl_accuracy_free(nissl_accuracy *accuracy);

#ifdef __cplusplus
}
#endif
#endif
