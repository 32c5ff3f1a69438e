/* Attention without its pattern: see attention.c. */
#ifndef NISSL__NETWORK_ATTENTION_H
#define NISSL__NETWORK_ATTENTION_H

#include "network/program.h"

/* At the MatMul of queries and keys: takes it and what follows up to the product with the values,
 * if nobody asks for the parts. *done: nothing is left to lower here; the step comes with the last
 * product. */
void nissl__attention_begin(nissl__compiler *c, bool *done);

/* At any MatMul: the step of an attention that ends here. */
nissl_status nissl__attention_end(nissl__compiler *c, bool *done, nissl_error *err);

#endif
