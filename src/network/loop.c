/* Merged strided loops and the copies made with them. */
#include "network/loop.h"
#include "network/kernels/kernels.h"
#include "network/program.h"

void nissl__loop_make(nissl__loop *loop, int n_views, const nissl_view *const *views)
{
    const nissl_view *out = views[0];
    int order[NISSL_MAX_RANK], n = 0;
    int64_t stride[NISSL__LOOP_VIEWS][NISSL_MAX_RANK] = {{0}};
    *loop = (nissl__loop){.n_views = n_views, .n_rows = 1};
    for (int v = 0; v < n_views; v++)
        for (int i = 0; i < views[v]->rank; i++) {
            int axis = i + out->rank - views[v]->rank;
            stride[v][axis] = views[v]->shape[i] == 1 ? 0 : views[v]->stride[i];
        }
    for (int i = 0; i < out->rank; i++) { /* slowest axis of the output first */
        int at = n;
        if (out->shape[i] == 1)
            continue;
        while (at > 0 && stride[0][order[at - 1]] < stride[0][i])
            at--;
        memmove(order + at + 1, order + at, (size_t)(n - at) * sizeof *order);
        order[at] = i;
        n++;
    }
    for (int i = 0; i < n; i++) {
        int axis = order[i];
        bool merge = loop->rank > 0;
        for (int v = 0; v < n_views && merge; v++)
            merge = loop->stride[v][loop->rank - 1] == stride[v][axis] * out->shape[axis];
        if (merge) {
            loop->shape[loop->rank - 1] *= out->shape[axis];
        } else {
            loop->shape[loop->rank] = out->shape[axis];
            loop->rank++;
        }
        for (int v = 0; v < n_views; v++)
            loop->stride[v][loop->rank - 1] = stride[v][axis];
    }
    if (loop->rank == 0) { /* a single element */
        loop->rank = 1;
        loop->shape[0] = 1;
    }
    for (int i = 0; i < loop->rank - 1; i++)
        loop->n_rows *= loop->shape[i];
}

void nissl__loop_row(const nissl__loop *loop, int64_t row, int64_t *offset)
{
    for (int v = 0; v < loop->n_views; v++)
        offset[v] = 0;
    for (int i = loop->rank - 2; i >= 0; i--) {
        int64_t index = row % loop->shape[i];
        row /= loop->shape[i];
        for (int v = 0; v < loop->n_views; v++)
            offset[v] += index * loop->stride[v][i];
    }
}

static void copy_run(size_t size, int64_t n, const char *src, int64_t src_stride, char *dst,
                     int64_t dst_stride)
{
    if (src_stride == 1 && dst_stride == 1) {
        memcpy(dst, src, (size_t)n * size);
    } else if (size == 4) {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + 4 * i * dst_stride, src + 4 * i * src_stride, 4);
    } else if (size == 8) {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + 8 * i * dst_stride, src + 8 * i * src_stride, 8);
    } else {
        for (int64_t i = 0; i < n; i++)
            memcpy(dst + (int64_t)size * i * dst_stride, src + (int64_t)size * i * src_stride,
                   size);
    }
}

/* Where the source's fastest axis is another than the destination's: transposed tiles instead of
 * strided rows. */
static bool copy_transposed(const nissl__loop *loop, const nissl_view *src, const nissl_view *dst,
                            int threads)
{
    int last = loop->rank - 1, fast = -1;
    int64_t n_outer = 1;
    if (dst->type != NISSL_FLOAT32 || loop->rank < 2 || loop->stride[0][last] != 1 ||
        loop->stride[1][last] == 1)
        return false;
    for (int i = 0; i < last; i++) {
        if (loop->stride[1][i] == 1)
            fast = i;
        else
            n_outer *= loop->shape[i];
    }
    if (fast < 0)
        return false;
    const nissl__kernels *kernels = nissl__kernels_best();
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t outer = 0; outer < n_outer; outer++) {
        int64_t rest = outer, to = 0, from = 0;
        for (int i = last - 1; i >= 0; i--) {
            if (i == fast)
                continue;
            int64_t index = rest % loop->shape[i];
            rest /= loop->shape[i];
            to += index * loop->stride[0][i];
            from += index * loop->stride[1][i];
        }
        kernels->transpose(loop->shape[last], loop->shape[fast], (const float *)src->data + from,
                           loop->stride[1][last], (float *)dst->data + to, loop->stride[0][fast]);
    }
    return true;
}

void nissl__copy_view(const nissl_view *src, const nissl_view *dst, int threads)
{
    nissl__loop loop;
    size_t size = nissl_type_size(dst->type);
    if (nissl_view_count(dst) == 0)
        return;
    nissl__loop_make(&loop, 2, (const nissl_view *const[]){dst, src});
    if (copy_transposed(&loop, src, dst, threads))
        return;
    int last = loop.rank - 1;
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t row = 0; row < loop.n_rows; row++) {
        int64_t offset[NISSL__LOOP_VIEWS];
        nissl__loop_row(&loop, row, offset);
        copy_run(size, loop.shape[last], (const char *)src->data + offset[1] * (int64_t)size,
                 loop.stride[1][last], (char *)dst->data + offset[0] * (int64_t)size,
                 loop.stride[0][last]);
    }
}
