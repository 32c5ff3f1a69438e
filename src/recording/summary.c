/* One value per stimulus and unit from a view of any strides; see summary.h for the order. */
#include "foundation/foundation.h"
#include "recording/summary.h"

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

/* Some axes of a view, in order, with strides. */
typedef struct axes {
    int n;
    int64_t size[NISSL_MAX_RANK], stride[NISSL_MAX_RANK];
    int64_t count;
} axes;

/* Collects the axes of one role; neighbours that can be walked with one stride become one. */
static axes axes_of(const nissl_view *view, nissl_axis_role role)
{
    axes a = {.count = 1};
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
static int64_t offset_of(const axes *a, int64_t index)
{
    int64_t offset = 0;
    for (int i = a->n - 1; i >= 0; i--) {
        offset += index % a->size[i] * a->stride[i];
        index /= a->size[i];
    }
    return offset;
}

static float element(const nissl_view *view, int64_t offset)
{
    switch (view->type) {
    case NISSL_FLOAT32: return ((const float *)view->data)[offset];
    case NISSL_FLOAT64: return (float)((const double *)view->data)[offset];
    case NISSL_FLOAT16: return nissl__half_to_float(((const uint16_t *)view->data)[offset]);
    default: return nissl__bfloat_to_float(((const uint16_t *)view->data)[offset]);
    }
}

/* Any strides and types, element by element, in the order of the kernels. */
static void summarise_plain(const nissl_view *view, int64_t origin, bool max, const axes *units,
                            const axes *positions, float *value, uint32_t *active)
{
    for (int64_t u = 0; u < units->count; u++) {
        int64_t base = origin + offset_of(units, u);
        double sum = 0;
        float best = element(view, base + offset_of(positions, 0));
        uint32_t count = 0;
        for (int64_t first = 0; first < positions->count; first += 64) {
            int64_t n = NISSL__MIN(64, positions->count - first);
            float t[8] = {0};
            for (int64_t i = 0; i < n; i++) {
                float v = element(view, base + offset_of(positions, first + i));
                t[i % 8] += v;
                best = v > best || v != v ? v : best;
                count += v > 0;
            }
            sum += (double)(((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7])));
        }
        value[u] = plain(max ? best : (float)(sum / (double)positions->count));
        if (active)
            active[u] = count;
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
    axes stimuli = axes_of(view, NISSL_AXIS_STIMULUS);
    axes units = axes_of(view, NISSL_AXIS_UNIT);
    axes positions = axes_of(view, NISSL_AXIS_POSITION);
    bool max = summary == NISSL_SUMMARY_MAX, is_float = view->type == NISSL_FLOAT32;
    bool unit_stride = is_float && units.n <= 1 && (units.n == 0 || units.stride[0] == 1);
    bool one_stride = positions.n <= 1;
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
        int64_t origin = offset_of(&stimuli, s);
        const float *x = (const float *)view->data + (is_float ? origin : 0);
        float *v = value + s * n_units;
        uint32_t *a = active ? active + s * n_units : NULL;
        if (summary != NISSL_SUMMARY_CENTRE || active) {
            if (n_positions == 1 && unit_stride) {
                copy_units(x, n_units, v, a);
            } else if (unit_stride && one_stride) {
                if (max)
                    kernels->max_units(x, n_units, n_positions, positions.stride[0], v, a);
                else
                    kernels->mean_units(x, n_units, n_positions, positions.stride[0], scratch, v,
                                        a);
            } else if (is_float && units.n <= 1 && positions.n == 1 && positions.stride[0] == 1) {
                int64_t stride = units.n ? units.stride[0] : 0;
                if (max)
                    kernels->max_positions(x, n_units, n_positions, stride, v, a);
                else
                    kernels->mean_positions(x, n_units, n_positions, stride, v, a);
            } else {
                summarise_plain(view, origin, max, &units, &positions, v, a);
            }
        }
        if (summary == NISSL_SUMMARY_CENTRE)
            for (int64_t u = 0; u < n_units; u++)
                v[u] = plain(element(view, origin + centre + offset_of(&units, u)));
    }
    return NISSL_OK;
}
