/* One value per stimulus and unit from a view of any strides; see summary.h for the order. */
#include "foundation/foundation.h"
#include "recording/axes.h"
#include "recording/summary.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef float float_4 __attribute__((vector_size(16)));
typedef int32_t int_4 __attribute__((vector_size(16)));
typedef double double_4 __attribute__((vector_size(32)));
typedef float float_8 __attribute__((vector_size(32)));
typedef int32_t int_8 __attribute__((vector_size(32)));
typedef double double_8 __attribute__((vector_size(64)));
typedef float float_16 __attribute__((vector_size(64)));
typedef int32_t int_16 __attribute__((vector_size(64)));
typedef double double_16 __attribute__((vector_size(128)));

/* One zero and one NaN, whatever order found them. */
static inline float plain(float value)
{
    return value != value ? NAN : value + 0.0f;
}

/* v = min(max(v, low_), high_) with NaN kept. */
#if defined(__x86_64__)
#define CLIP_4(v) ((v) = (float_4)_mm_min_ps((__m128)high_, _mm_max_ps((__m128)low_, (__m128)(v))))
#define CLIP_8(v)                                                                                  \
    ((v) = (float_8)_mm256_min_ps((__m256)high_, _mm256_max_ps((__m256)low_, (__m256)(v))))
#define CLIP_16(v)                                                                                 \
    ((v) = (float_16)_mm512_min_ps((__m512)high_, _mm512_max_ps((__m512)low_, (__m512)(v))))
#else
#define CLIP_4(v)                                                                                  \
    do {                                                                                           \
        int_4 m_ = (v) < low_;                                                                     \
        (v) = (float_4)((m_ & (int_4)low_) | (~m_ & (int_4)(v)));                                  \
        m_ = (v) > high_;                                                                          \
        (v) = (float_4)((m_ & (int_4)high_) | (~m_ & (int_4)(v)));                                 \
    } while (0)
#endif

#define TARGET
#define NAME(x) x##_base
#define WIDEST  4
#include "recording/summary_kernel.inc"
#undef TARGET
#undef NAME
#undef WIDEST

#if defined(__x86_64__)
#define TARGET  __attribute__((target("avx2")))
#define NAME(x) x##_avx2
#define WIDEST  8
#include "recording/summary_kernel.inc"
#undef TARGET
#undef NAME
#undef WIDEST

#define TARGET  __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))
#define NAME(x) x##_avx512
#define WIDEST  16
#include "recording/summary_kernel.inc"
#undef TARGET
#undef NAME
#undef WIDEST
#endif

nissl__isa nissl__summary_isa(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return NISSL__ISA_AVX512;
    if (__builtin_cpu_supports("avx2"))
        return NISSL__ISA_AVX2;
#endif
    return NISSL__ISA_BASE;
}

const nissl__summary_kernels *nissl__summary_kernels_of(nissl__isa isa)
{
#if defined(__x86_64__)
    if (isa == NISSL__ISA_AVX512)
        return &kernels_avx512;
    if (isa == NISSL__ISA_AVX2)
        return &kernels_avx2;
#endif
    return &kernels_base;
}

/* The positions of a block and the units of a chunk side by side: packed [n, n_units]. */
static void pack(const nissl_view *view, int64_t origin, const int64_t *position, int64_t n,
                 const int64_t *unit, int64_t n_units, float *packed)
{
    const float *x = view->data;
    if (view->type == NISSL_FLOAT32 && unit[n_units - 1] - unit[0] == n_units - 1) {
        for (int64_t p = 0; p < n; p++)
            memcpy(packed + p * n_units, x + origin + position[p] + unit[0],
                   (size_t)n_units * sizeof *x);
    } else if (view->type == NISSL_FLOAT32) {
        for (int64_t u = 0; u < n_units; u++)
            for (int64_t p = 0; p < n; p++)
                packed[p * n_units + u] = x[origin + unit[u] + position[p]];
    } else {
        for (int64_t u = 0; u < n_units; u++)
            for (int64_t p = 0; p < n; p++)
                packed[p * n_units + u] = nissl__view_element(view, origin + unit[u] + position[p]);
    }
}

/* Any strides and types: packs 64 units by 64 positions at a time. */
static void summarise_packed(const nissl__summary_kernels *kernels, const nissl_view *view,
                             int64_t origin, bool max, const nissl__axes *units,
                             const nissl__axes *positions, double *sum, float *value,
                             uint32_t *active)
{
    float packed[64 * 64];
    int64_t unit[64], position[64];
    nissl__walk along_units = {.a = units};
    for (int64_t u = 0; u < units->count; u += 64) {
        int64_t n_units = NISSL__MIN(64, units->count - u);
        uint32_t *a = active ? active + u : NULL;
        nissl__walk along_positions = {.a = positions};
        for (int64_t i = 0; i < n_units; i++)
            unit[i] = nissl__walk_next(&along_units);
        for (int64_t first = 0; first < positions->count; first += 64) {
            int64_t n = NISSL__MIN(64, positions->count - first);
            for (int64_t i = 0; i < n; i++)
                position[i] = nissl__walk_next(&along_positions);
            pack(view, origin, position, n, unit, n_units, packed);
            if (max)
                kernels->max_block(packed, n_units, n, n_units, value + u, a);
            else
                kernels->mean_block(packed, n_units, n, n_units, sum + u, a);
        }
    }
}

/* One stimulus, block by block: units adjacent and one stride between positions, or any view. */
static void summarise_blocks(const nissl__summary_kernels *kernels, const nissl_view *view,
                             int64_t origin, bool max, const nissl__axes *units,
                             const nissl__axes *positions, double *sum, float *value,
                             uint32_t *active)
{
    int64_t n_units = units->count, n_positions = positions->count;
    for (int64_t u = 0; u < n_units; u++) {
        sum[u] = 0;
        value[u] = -INFINITY;
    }
    if (active)
        memset(active, 0, (size_t)n_units * sizeof *active);
    if (view->type == NISSL_FLOAT32 &&
        (units->n == 0 || (units->n == 1 && units->stride[0] == 1)) && positions->n <= 1) {
        int64_t stride = positions->n ? positions->stride[0] : 0;
        const float *x = (const float *)view->data + origin;
        for (int64_t first = 0; first < n_positions; first += 64) {
            int64_t n = NISSL__MIN(64, n_positions - first);
            if (max)
                kernels->max_block(x + first * stride, n_units, n, stride, value, active);
            else
                kernels->mean_block(x + first * stride, n_units, n, stride, sum, active);
        }
    } else {
        summarise_packed(kernels, view, origin, max, units, positions, sum, value, active);
    }
    if (max)
        for (int64_t u = 0; u < n_units; u++)
            value[u] = plain(value[u]);
    else
        kernels->mean_of_sum(n_units, sum, n_positions, value);
}

/* Where a site of a chain lies: [stimuli, positions, units] with adjacent units. */
typedef struct lay {
    nissl__axes stimuli;
    int64_t stride; /* of positions */
    float *data;
} lay;

static lay lay_of(const nissl_view *view)
{
    lay l = {.stimuli = {.count = 0}};
    if (view) {
        nissl__axes positions = nissl__axes_of(view, NISSL_AXIS_POSITION);
        l.stimuli = nissl__axes_of(view, NISSL_AXIS_STIMULUS);
        l.stride = positions.n ? positions.stride[0] : 0;
        l.data = view->data;
    }
    return l;
}

void nissl__summarise_chain(const nissl__summary_kernels *kernels, const nissl__chain *chain,
                            const nissl_view *first, const nissl_view *scaled,
                            const nissl_view *clipped, int64_t n_stimuli, double *scratch,
                            const nissl__summary_of of[3])
{
    const nissl_view *const views[3] = {first, scaled, clipped};
    lay lays[3] = {lay_of(first), lay_of(scaled), lay_of(clipped)};
    int64_t n_units = nissl__axes_of(first, NISSL_AXIS_UNIT).count;
    int64_t n_positions = nissl__axes_of(first, NISSL_AXIS_POSITION).count;
    for (int64_t s = 0; s < lays[0].stimuli.count; s++) {
        nissl__chain_block b = {.first_stride = lays[0].stride,
                                .scaled_stride = lays[1].stride,
                                .clipped_stride = lays[2].stride,
                                .scale = chain->scale,
                                .shift = chain->shift,
                                .low = chain->low,
                                .high = chain->high};
        float *data[3] = {NULL};
        memset(scratch, 0, 3 * (size_t)n_units * sizeof *scratch);
        for (int k = 0; k < 3; k++) {
            if (!views[k])
                continue;
            data[k] = lays[k].data + nissl__axes_offset(&lays[k].stimuli, s);
            b.sum[k] = scratch + k * n_units;
            b.active[k] = s < n_stimuli && of[k].active ? of[k].active + s * n_units : NULL;
            if (b.active[k])
                memset(b.active[k], 0, (size_t)n_units * sizeof *b.active[k]);
        }
        for (int64_t at = 0; at < n_positions; at += 64) {
            b.first = data[0] + at * lays[0].stride;
            b.scaled = chain->keeps_scaled ? data[1] + at * lays[1].stride : NULL;
            b.clipped = clipped ? data[2] + at * lays[2].stride : NULL;
            kernels->chain_block(&b, n_units, NISSL__MIN(64, n_positions - at));
        }
        for (int k = 0; k < 3 && s < n_stimuli; k++)
            if (views[k])
                kernels->mean_of_sum(n_units, b.sum[k], n_positions, of[k].value + s * n_units);
    }
}

static void copy_units(const float *x, int64_t n_units, float *value, uint32_t *active)
{
    for (int64_t u = 0; u < n_units; u++)
        value[u] = plain(x[u]);
    if (active)
        for (int64_t u = 0; u < n_units; u++)
            active[u] = x[u] > 0;
}

static int64_t centre_offset(const nissl_view *view)
{
    int64_t offset = 0;
    for (int i = 0; i < view->rank; i++)
        if (view->role[i] == NISSL_AXIS_POSITION)
            offset += view->shape[i] / 2 * view->stride[i];
    return offset;
}

nissl_status nissl__summarise(const nissl__summary_kernels *kernels, nissl_summary summary,
                              const nissl_view *view, int64_t n_stimuli, double *scratch,
                              float *value, uint32_t *active, nissl_error *err)
{
    nissl__axes stimuli = nissl__axes_of(view, NISSL_AXIS_STIMULUS);
    nissl__axes units = nissl__axes_of(view, NISSL_AXIS_UNIT);
    nissl__axes positions = nissl__axes_of(view, NISSL_AXIS_POSITION);
    bool max = summary == NISSL_SUMMARY_MAX, is_float = view->type == NISSL_FLOAT32;
    bool adjacent_units = units.n == 0 || (units.n == 1 && units.stride[0] == 1);
    bool adjacent_positions = units.n <= 1 && positions.n == 1 && positions.stride[0] == 1;
    int64_t n_units = units.count, n_positions = positions.count;
    int64_t centre = centre_offset(view);

    if (view->type != NISSL_FLOAT32 && view->type != NISSL_FLOAT64 && view->type != NISSL_FLOAT16 &&
        view->type != NISSL_BFLOAT16)
        return NISSL__FAIL(err, NISSL_ERR_TYPE, "a site of type %s has no summary",
                           nissl_type_name(view->type));
    if (n_stimuli > stimuli.count || n_units < 1 || n_positions < 1)
        return NISSL__FAIL(err, NISSL_ERR_SHAPE,
                           "a summary of %lld stimuli of a site with %lld stimuli, %lld units, "
                           "%lld positions",
                           (long long)n_stimuli, (long long)stimuli.count, (long long)n_units,
                           (long long)n_positions);
    for (int64_t s = 0; s < n_stimuli; s++) {
        int64_t origin = nissl__axes_offset(&stimuli, s);
        float *v = value + s * n_units;
        uint32_t *a = active ? active + s * n_units : NULL;
        if (summary == NISSL_SUMMARY_CENTRE && !active) {
            /* nothing to count, so one position of each unit is all that is read */
        } else if (is_float && n_positions == 1 && adjacent_units) {
            copy_units((const float *)view->data + origin, n_units, v, a);
        } else if (is_float && adjacent_positions && !(adjacent_units && n_units > 1)) {
            const float *x = (const float *)view->data + origin;
            int64_t stride = units.n ? units.stride[0] : 0;
            if (max)
                kernels->max_positions(x, n_units, n_positions, stride, v, a);
            else
                kernels->mean_positions(x, n_units, n_positions, stride, v, a);
        } else {
            summarise_blocks(kernels, view, origin, max, &units, &positions, scratch, v, a);
        }
        if (summary == NISSL_SUMMARY_CENTRE)
            for (int64_t u = 0; u < n_units; u++)
                v[u] = plain(
                    nissl__view_element(view, origin + centre + nissl__axes_offset(&units, u)));
    }
    return NISSL_OK;
}
