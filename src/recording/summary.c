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

void nissl__summarise_clip(const nissl__summary_kernels *kernels, const nissl_view *in,
                           const nissl_view *out, float low, float high, int64_t n_stimuli,
                           double *scratch, nissl__summary_of of_in, nissl__summary_of of_out)
{
    nissl__axes stimuli = nissl__axes_of(in, NISSL_AXIS_STIMULUS),
                positions = nissl__axes_of(in, NISSL_AXIS_POSITION);
    nissl__axes out_stimuli = nissl__axes_of(out, NISSL_AXIS_STIMULUS);
    nissl__axes out_positions = nissl__axes_of(out, NISSL_AXIS_POSITION);
    int64_t n_units = nissl__axes_of(in, NISSL_AXIS_UNIT).count, n_positions = positions.count;
    int64_t stride = positions.n ? positions.stride[0] : 0;
    int64_t out_stride = out_positions.n ? out_positions.stride[0] : 0;
    for (int64_t s = 0; s < stimuli.count; s++) {
        const float *x = (const float *)in->data + nissl__axes_offset(&stimuli, s);
        float *y = (float *)out->data + nissl__axes_offset(&out_stimuli, s);
        uint32_t *active = NULL, *out_active = NULL;
        memset(scratch, 0, 2 * (size_t)n_units * sizeof *scratch);
        if (s < n_stimuli && of_in.active) {
            active = of_in.active + s * n_units;
            out_active = of_out.active + s * n_units;
            memset(active, 0, (size_t)n_units * sizeof *active);
            memset(out_active, 0, (size_t)n_units * sizeof *out_active);
        }
        for (int64_t first = 0; first < n_positions; first += 64)
            kernels->clip_block(x + first * stride, n_units, NISSL__MIN(64, n_positions - first),
                                stride, low, high, y + first * out_stride, out_stride, scratch,
                                scratch + n_units, active, out_active);
        if (s >= n_stimuli)
            continue;
        kernels->mean_of_sum(n_units, scratch, n_positions, of_in.value + s * n_units);
        kernels->mean_of_sum(n_units, scratch + n_units, n_positions, of_out.value + s * n_units);
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
