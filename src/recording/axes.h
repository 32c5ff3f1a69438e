/* Walking a view by the roles of its axes, whatever its strides. */
#ifndef NISSL__AXES_H
#define NISSL__AXES_H

#include "foundation/foundation.h"
#include "nissl/array.h"

/* Some axes of a view, in order, with strides. */
typedef struct nissl__axes {
    int n;
    int64_t size[NISSL_MAX_RANK], stride[NISSL_MAX_RANK];
    int64_t count;
} nissl__axes;

/* Collects the axes of one role; neighbours that can be walked with one stride become one. */
static inline nissl__axes nissl__axes_of(const nissl_view *view, nissl_axis_role role)
{
    nissl__axes a = {.count = 1};
    for (int i = 0; i < view->rank; i++) {
        if (view->role[i] != role)
            continue;
        a.count *= view->shape[i];
        if (view->shape[i] == 1)
            continue;
        if (a.n > 0 && a.stride[a.n - 1] == view->shape[i] * view->stride[i]) {
            a.size[a.n - 1] *= view->shape[i];
            a.stride[a.n - 1] = view->stride[i];
        } else {
            a.size[a.n] = view->shape[i];
            a.stride[a.n++] = view->stride[i];
        }
    }
    return a;
}

/* Offset of the index-th element in row-major order. */
static inline int64_t nissl__axes_offset(const nissl__axes *a, int64_t index)
{
    int64_t offset = 0;
    for (int i = a->n - 1; i >= 0; i--) {
        offset += index % a->size[i] * a->stride[i];
        index /= a->size[i];
    }
    return offset;
}

static inline float nissl__view_element(const nissl_view *view, int64_t offset)
{
    switch (view->type) {
    case NISSL_FLOAT32: return ((const float *)view->data)[offset];
    case NISSL_FLOAT64: return (float)((const double *)view->data)[offset];
    case NISSL_FLOAT16: return nissl__half_to_float(((const uint16_t *)view->data)[offset]);
    default: return nissl__bfloat_to_float(((const uint16_t *)view->data)[offset]);
    }
}

/* A walk over axes in row-major order. */
typedef struct nissl__walk {
    const nissl__axes *a;
    int64_t index[NISSL_MAX_RANK], offset;
} nissl__walk;

static inline int64_t nissl__walk_next(nissl__walk *w)
{
    int64_t offset = w->offset;
    for (int i = w->a->n - 1; i >= 0; i--) {
        w->offset += w->a->stride[i];
        if (++w->index[i] < w->a->size[i])
            break;
        w->offset -= w->a->size[i] * w->a->stride[i];
        w->index[i] = 0;
    }
    return offset;
}

#endif
