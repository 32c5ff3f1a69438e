/* Going through the elements of views one by one, in row-major order, for what is not hot. */
#ifndef NISSL__NETWORK_WALK_H
#define NISSL__NETWORK_WALK_H

#include <string.h>

#include "nissl/array.h"

/* The next index; after the last one, the first again. */
static inline void nissl__walk_next(int rank, const int64_t *shape, int64_t *at)
{
    for (int i = rank - 1; i >= 0 && ++at[i] == shape[i]; i--)
        at[i] = 0;
}

/* Elements from the beginning of a view to an index. */
static inline int64_t nissl__walk_offset(const nissl_view *view, const int64_t *at)
{
    int64_t offset = 0;
    for (int i = 0; i < view->rank; i++)
        offset += at[i] * view->stride[i];
    return offset;
}

static inline char *nissl__walk_at(const nissl_view *view, int64_t offset)
{
    return (char *)view->data + offset * (int64_t)nissl_type_size(view->type);
}

/* One element. */
static inline void nissl__walk_copy(const nissl_view *src, int64_t from, const nissl_view *dst,
                                    int64_t to)
{
    size_t size = nissl_type_size(dst->type);
    if (size == 4)
        memcpy(nissl__walk_at(dst, to), nissl__walk_at(src, from), 4);
    else
        memcpy(nissl__walk_at(dst, to), nissl__walk_at(src, from), size);
}

/* The same view without its first axes, or without its last. */
static inline nissl_view nissl__walk_tail(const nissl_view *view, int skip)
{
    nissl_view tail = *view;
    tail.rank = view->rank - skip;
    for (int i = 0; i < tail.rank; i++) {
        tail.shape[i] = view->shape[i + skip];
        tail.stride[i] = view->stride[i + skip];
    }
    return tail;
}

static inline nissl_view nissl__walk_head(const nissl_view *view, int keep)
{
    nissl_view head = *view;
    head.rank = keep;
    return head;
}

/* The same view with one axis cut to length 1 (its stride stays). */
static inline nissl_view nissl__walk_without(const nissl_view *view, int axis)
{
    nissl_view rest = *view;
    rest.shape[axis] = 1;
    return rest;
}

#endif
