/* Shared by the files that decode. */
#ifndef NISSL__POPULATION_DECODE_H
#define NISSL__POPULATION_DECODE_H

#include "math/classify.h"
#include "nissl/population.h"

nissl__classifier nissl__decoder_kind(nissl_decoder decoder);

/* Samples that count, their folds and what may be permuted. Owned. */
typedef struct nissl__folds {
    int64_t n;            /* samples that count */
    int64_t *sample;      /* [n] index in the input */
    int32_t *label;       /* [n] renumbered over classes that have samples */
    int32_t *fold;        /* [n] */
    int64_t *group;       /* [n] 0 .. n_groups - 1 */
    int32_t *group_label; /* [n_groups] */
    int32_t *group_fold;  /* [n_groups] */
    int32_t *class_of;    /* [n_classes] class of the input */
    int64_t n_groups;
    int n_folds, n_classes;
} nissl__folds;

/* nested: a penalty is to be chosen, so that two folds are left out at once. */
nissl_status nissl__folds_make(int64_t n_samples, const int32_t *label, int64_t n_classes,
                               const nissl_decode_options *opt, bool nested, nissl__folds *out,
                               nissl_error *err);
void nissl__folds_free(nissl__folds *folds);
/* Labels of samples with those of groups exchanged within folds; permutation 0 changes nothing.
 * label: [n]; scratch: [3 n_groups]. */
void nissl__folds_permute(const nissl__folds *folds, uint64_t seed, int64_t permutation,
                          int32_t *label, int64_t *scratch);

#endif
