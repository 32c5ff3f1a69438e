/* Walking several strided tensors of one shape together: axes merged where all agree, the output's
 * fastest axis innermost. */
#ifndef NISSL__NETWORK_LOOP_H
#define NISSL__NETWORK_LOOP_H

#include "nissl/array.h"

#define NISSL__LOOP_VIEWS 4

typedef struct nissl__loop {
    int rank; /* >= 1; the last axis is innermost */
    int n_views;
    int64_t shape[NISSL_MAX_RANK];
    int64_t stride[NISSL__LOOP_VIEWS][NISSL_MAX_RANK];
    int64_t n_rows; /* product of all but the last axis */
} nissl__loop;

/* views[0] is the output and gives the shape; others are broadcast to it, right-aligned. */
void nissl__loop_make(nissl__loop *loop, int n_views, const nissl_view *const *views);
/* Element offsets of a row in every view. */
void nissl__loop_row(const nissl__loop *loop, int64_t row, int64_t *offset);

#endif
