/* Folds of samples for cross-validation, and permutations of labels that leave the folds valid. */
#include "analyses/population_decode.h"

#define FOLD_NAME    ((uint64_t)0x6664 << 48) /* "fd": keeps streams apart */
#define PERMUTE_NAME ((uint64_t)0x706d << 48) /* "pm" */

void nissl__folds_free(nissl__folds *folds)
{
    nissl__free(folds->sample);
    nissl__free(folds->label);
    nissl__free(folds->fold);
    nissl__free(folds->group);
    nissl__free(folds->group_label);
    nissl__free(folds->group_fold);
    nissl__free(folds->class_of);
    *folds = (nissl__folds){0};
}

typedef struct numbered {
    int64_t id, index;
} numbered;

static int by_id(const void *a, const void *b)
{
    const numbered *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Numbers groups in the order of their first samples. */
static nissl_status number_groups(nissl__folds *f, const int64_t *group, nissl_error *err)
{
    numbered *list;
    if (!group) {
        for (int64_t i = 0; i < f->n; i++)
            f->group[i] = i;
        f->n_groups = f->n;
        return NISSL_OK;
    }
    list = nissl__alloc((size_t)f->n, sizeof *list);
    if (!list)
        return NISSL__NO_MEMORY(err, (size_t)f->n * sizeof *list);
    for (int64_t i = 0; i < f->n; i++)
        list[i] = (numbered){group[f->sample[i]], i};
    qsort(list, (size_t)f->n, sizeof *list, by_id);
    for (int64_t i = 0; i < f->n; i++) { /* each sample: the first of its group */
        bool same = i > 0 && list[i].id == list[i - 1].id;
        f->group[list[i].index] = same ? f->group[list[i - 1].index] : list[i].index;
    }
    for (int64_t i = 0; i < f->n; i++) /* firsts come before those that name them */
        f->group[i] = f->group[i] == i ? f->n_groups++ : f->group[f->group[i]];
    nissl__free(list);
    return NISSL_OK;
}

/* Every group has one label and, if folds are given, one fold. */
static nissl_status label_groups(nissl__folds *f, const int32_t *fold, nissl_error *err)
{
    for (int64_t g = 0; g < f->n_groups; g++)
        f->group_label[g] = f->group_fold[g] = -1;
    for (int64_t i = 0; i < f->n; i++) {
        int32_t *label = &f->group_label[f->group[i]], *place = &f->group_fold[f->group[i]];
        int32_t here = fold ? fold[f->sample[i]] : -1;
        if (*label >= 0 && *label != f->label[i])
            return NISSL__FAIL(
                err, NISSL_ERR_ARGUMENT, "sample %lld has label %d, others of its group %d",
                (long long)f->sample[i], (int)f->class_of[f->label[i]], (int)f->class_of[*label]);
        *label = f->label[i];
        if (!fold)
            continue;
        if (here < 0 || here >= f->n_folds)
            return NISSL__FAIL(err, NISSL_ERR_RANGE, "fold %d of sample %lld is outside 0 .. %d",
                               (int)here, (long long)f->sample[i], f->n_folds - 1);
        if (*place >= 0 && *place != here)
            return NISSL__FAIL(err, NISSL_ERR_ARGUMENT,
                               "sample %lld is in fold %d, others of its group in %d",
                               (long long)f->sample[i], (int)here, (int)*place);
        *place = here;
    }
    return NISSL_OK;
}

/* Deals the groups of each class, shuffled, to the folds in turn. */
static nissl_status deal(nissl__folds *f, uint64_t seed, nissl_error *err)
{
    int64_t *member = nissl__alloc((size_t)f->n_groups, sizeof *member);
    int64_t *order = nissl__alloc((size_t)f->n_groups, sizeof *order), next = 0;
    nissl_status status = NISSL_OK;
    if (!member || !order) {
        status = NISSL__NO_MEMORY(err, (size_t)f->n_groups * sizeof *order);
        goto done;
    }
    for (int c = 0; c < f->n_classes; c++) {
        int64_t count = 0;
        for (int64_t g = 0; g < f->n_groups; g++)
            if (f->group_label[g] == c)
                member[count++] = g;
        nissl__random_permutation(seed, FOLD_NAME | (uint64_t)c, count, order);
        for (int64_t i = 0; i < count; i++)
            f->group_fold[member[order[i]]] = (int32_t)(next++ % f->n_folds);
    }

done:
    nissl__free(member);
    nissl__free(order);
    return status;
}

/* Every class must be left when one fold, or two, are left out. */
static nissl_status check_folds(const nissl__folds *f, bool nested, nissl_error *err)
{
    int64_t *count = nissl__alloc((size_t)f->n_classes * (size_t)f->n_folds, sizeof *count);
    nissl_status status = NISSL_OK;
    if (!count)
        return NISSL__NO_MEMORY(err, (size_t)f->n_classes * (size_t)f->n_folds * sizeof *count);
    for (int64_t g = 0; g < f->n_groups; g++)
        count[f->group_label[g] * f->n_folds + f->group_fold[g]]++;
    for (int c = 0; c < f->n_classes && status == NISSL_OK; c++) {
        int64_t total = 0, most = 0, second = 0;
        for (int k = 0; k < f->n_folds; k++) {
            int64_t here = count[c * f->n_folds + k];
            total += here;
            if (here > most) {
                second = most;
                most = here;
            } else if (here > second) {
                second = here;
            }
        }
        if (total - most - (nested ? second : 0) < 1)
            status = NISSL__FAIL(err, NISSL_ERR_SHAPE,
                                 "class %d has %lld samples (or groups) in too few folds: none is "
                                 "left to learn from when %s left out",
                                 (int)f->class_of[c], (long long)total,
                                 nested ? "two folds are" : "a fold is");
    }
    nissl__free(count);
    return status;
}

nissl_status nissl__folds_make(int64_t n_samples, const int32_t *label, int64_t n_classes,
                               const nissl_decode_options *opt, bool nested, nissl__folds *out,
                               nissl_error *err)
{
    nissl__folds f = {.n_folds = opt->n_folds};
    int32_t *number = NULL;
    nissl_status status = NISSL_OK;
    size_t n = (size_t)n_samples;
    if (n_classes < 1 || n_classes > INT32_MAX / 2)
        return NISSL__FAIL(err, NISSL_ERR_RANGE, "%lld classes are outside 1 .. %d",
                           (long long)n_classes, INT32_MAX / 2);
    number = nissl__alloc((size_t)n_classes, sizeof *number);
    f.sample = nissl__alloc(n, sizeof *f.sample);
    f.label = nissl__alloc(n, sizeof *f.label);
    f.fold = nissl__alloc(n, sizeof *f.fold);
    f.group = nissl__alloc(n, sizeof *f.group);
    f.group_label = nissl__alloc(n, sizeof *f.group_label);
    f.group_fold = nissl__alloc(n, sizeof *f.group_fold);
    f.class_of = nissl__alloc((size_t)n_classes, sizeof *f.class_of);
    if (!number || !f.sample || !f.label || !f.fold || !f.group || !f.group_label ||
        !f.group_fold || !f.class_of) {
        status = NISSL__NO_MEMORY(err, n * sizeof *f.group);
        goto done;
    }
    for (int64_t i = 0; i < n_samples; i++) {
        if (label[i] < -1 || label[i] >= n_classes) {
            status = NISSL__FAIL(err, NISSL_ERR_RANGE,
                                 "label %d of sample %lld is outside -1 .. "
                                 "%lld",
                                 (int)label[i], (long long)i, (long long)(n_classes - 1));
            goto done;
        }
        if (label[i] < 0)
            continue;
        number[label[i]] = 1;
        f.sample[f.n++] = i;
    }
    for (int64_t c = 0; c < n_classes; c++)
        if (number[c]) {
            f.class_of[f.n_classes] = (int32_t)c;
            number[c] = f.n_classes++;
        }
    if (f.n_classes < 2) {
        status = NISSL__FAIL(err, NISSL_ERR_SHAPE,
                             "%d of %lld classes have samples; at least 2 "
                             "are needed",
                             f.n_classes, (long long)n_classes);
        goto done;
    }
    for (int64_t i = 0; i < f.n; i++)
        f.label[i] = number[label[f.sample[i]]];
    status = number_groups(&f, opt->group, err);
    if (status == NISSL_OK)
        status = label_groups(&f, opt->fold, err);
    if (status == NISSL_OK && (f.n_folds < 2 + nested || f.n_folds > f.n_groups))
        status =
            NISSL__FAIL(err, NISSL_ERR_RANGE, "%d folds are outside %d .. %lld samples (or groups)",
                        f.n_folds, 2 + nested, (long long)f.n_groups);
    if (status == NISSL_OK && !opt->fold)
        status = deal(&f, opt->seed, err);
    if (status == NISSL_OK)
        status = check_folds(&f, nested, err);
    for (int64_t i = 0; i < f.n && status == NISSL_OK; i++)
        f.fold[i] = f.group_fold[f.group[i]];
    if (status == NISSL_OK) {
        *out = f;
        f = (nissl__folds){0};
    }

done:
    nissl__free(number);
    nissl__folds_free(&f);
    return status;
}

void nissl__folds_permute(const nissl__folds *folds, uint64_t seed, int64_t permutation,
                          int32_t *label, int64_t *scratch)
{
    int64_t *member = scratch, *order = scratch + folds->n_groups;
    int64_t *permuted = scratch + 2 * folds->n_groups;
    if (permutation == 0) {
        memcpy(label, folds->label, (size_t)folds->n * sizeof *label);
        return;
    }
    for (int k = 0; k < folds->n_folds; k++) {
        int64_t count = 0;
        for (int64_t g = 0; g < folds->n_groups; g++)
            if (folds->group_fold[g] == k)
                member[count++] = g;
        nissl__random_permutation(seed, PERMUTE_NAME | (uint64_t)permutation << 16 | (uint64_t)k,
                                  count, order);
        for (int64_t i = 0; i < count; i++)
            permuted[member[i]] = folds->group_label[member[order[i]]];
    }
    for (int64_t i = 0; i < folds->n; i++)
        label[i] = (int32_t)permuted[folds->group[i]];
}
