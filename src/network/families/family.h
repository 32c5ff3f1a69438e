/*
 * Families: transformers whose graph is known from a configuration, so that weights alone make a
 * network. A family's file writes the graph in standard ONNX operators; the weights stay in their
 * mapped files.
 *
 * Every tensor that people have a name for carries it: TransformerLens' as its name, Hugging Face's
 * module path (whose output it is) as an alias. What lies between is plumbing: values that are no
 * sites unless asked for.
 *
 * Token ids below 0 are padding. Behind the tokens of a stimulus they change nothing before them.
 */
#ifndef NISSL__NETWORK_FAMILY_H
#define NISSL__NETWORK_FAMILY_H

#include "nissl/network.h"

/* Whether a path is a folder, a llama2.c checkpoint, a safetensors file or its configuration or
 * index, told by content. False where it cannot be read. */
bool nissl__family_claims(const char *path);

/* Opens what nissl__family_claims. NISSL_ERR_UNSUPPORTED for a family or setting that is not
 * built, naming it. */
nissl_status nissl__family_open(nissl_context *ctx, const char *path, nissl_network **out,
                                nissl_error *err);

#endif
