/* Compiled once per instruction set: NISSL__ISA names it. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "network/kernels/kernels.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)
#define TEXT2(a)    #a
#define TEXT(a)     TEXT2(a)

/* e^x to about one unit in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes'
 * coefficients). */
static inline float exponential(float x)
{
    float clamped = x < -87.3f ? -87.3f : x > 88.7f ? 88.7f : x;
    float n = (clamped * 1.44269504088896341f + 12582912.0f) - 12582912.0f; /* nearest integer */
    float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    /* n is -126 .. 128; 128 overflows to infinity as it should */
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    float y = p * power;
    y = x < -103.9f ? 0.0f : y;
    return x != x ? x : y;
}

static inline float hyperbolic_tangent(float x)
{
    float z = x * x;
    float small = -5.70498872745e-3f;
    small = small * z + 2.06390887954e-2f;
    small = small * z - 5.37397155531e-2f;
    small = small * z + 1.33314422036e-1f;
    small = small * z - 3.33332819422e-1f;
    small = small * z * x + x;
    float a = x < 0 ? -x : x;
    float capped = a > 20.0f ? 20.0f : a;
    float large = 1.0f - 2.0f / (exponential(2.0f * capped) + 1.0f);
    large = x < 0 ? -large : large;
    float y = a < 0.625f ? small : large;
    return x != x ? x : y;
}

/* erf: its series below 1/2, beyond 1 - erfc by Chebyshev fitting (Numerical Recipes, relative
 * error 1.2e-7). */
static inline float error_function(float x)
{
    float a = x < 0 ? -x : x, z = x * x;
    float small = -1.0f / 1320;
    small = small * z + 1.0f / 216;
    small = small * z - 1.0f / 42;
    small = small * z + 1.0f / 10;
    small = small * z - 1.0f / 3;
    small = (small * z + 1.0f) * x * 1.12837917f;
    float t = 1.0f / (1.0f + 0.5f * a);
    float p = 0.17087277f;
    p = p * t - 0.82215223f;
    p = p * t + 1.48851587f;
    p = p * t - 1.13520398f;
    p = p * t + 0.27886807f;
    p = p * t - 0.18628806f;
    p = p * t + 0.09678418f;
    p = p * t + 0.37409196f;
    p = p * t + 1.00002368f;
    p = p * t - 1.26551223f;
    float large = 1.0f - t * exponential(-a * a + p);
    large = x < 0 ? -large : large;
    float y = a < 0.5f ? small : large;
    return x != x ? x : y;
}

#define EACH(expression)                                                                           \
    for (int64_t i = 0; i < n; i++) {                                                              \
        float v = x[i];                                                                            \
        y[i] = (expression);                                                                       \
    }                                                                                              \
    break

static void unary(nissl__unary op, int64_t n, const float *x, float *y, float alpha, float beta)
{
    switch (op) {
    case NISSL__UNARY_RELU: EACH(v < 0 ? 0 : v);
    case NISSL__UNARY_LEAKY_RELU: EACH(v < 0 ? alpha * v : v);
    case NISSL__UNARY_CLIP: EACH(v < alpha ? alpha : v > beta ? beta : v);
    case NISSL__UNARY_SIGMOID: EACH(1.0f / (1.0f + exponential(-v)));
    case NISSL__UNARY_TANH: EACH(hyperbolic_tangent(v));
    case NISSL__UNARY_HARD_SIGMOID:
        EACH(alpha * v + beta < 0 ? 0 : alpha * v + beta > 1 ? 1 : alpha * v + beta);
    case NISSL__UNARY_HARD_SWISH:
        EACH(v * (v * (1.0f / 6) + 0.5f < 0   ? 0
                  : v * (1.0f / 6) + 0.5f > 1 ? 1
                                              : v * (1.0f / 6) + 0.5f));
    case NISSL__UNARY_EXP: EACH(exponential(v));
    case NISSL__UNARY_SQRT: EACH(sqrtf(v));
    case NISSL__UNARY_NEG: EACH(-v);
    case NISSL__UNARY_ABS: EACH(fabsf(v));
    case NISSL__UNARY_RECIPROCAL: EACH(1.0f / v);
    case NISSL__UNARY_SQUARE: EACH(v * v);
    case NISSL__UNARY_CUBE: EACH(v * v * v);
    case NISSL__UNARY_ERF: EACH(error_function(v));
    case NISSL__UNARY_GELU: EACH(0.5f * v * (1.0f + error_function(v * 0.70710678f)));
    case NISSL__UNARY_GELU_TANH:
        EACH(0.5f * v * (1.0f + hyperbolic_tangent(0.79788456f * (v + 0.044715f * v * v * v))));
    case NISSL__UNARY_SWISH: EACH(v / (1.0f + exponential(-alpha * v)));
    default: break;
    }
}

#define PAIR(expression)                                                                           \
    if (a_stride && b_stride) {                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                          \
            float u = a[i], v = b[i];                                                              \
            y[i] = (expression);                                                                   \
        }                                                                                          \
    } else if (a_stride) {                                                                         \
        float v = b[0];                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                          \
            float u = a[i];                                                                        \
            y[i] = (expression);                                                                   \
        }                                                                                          \
    } else {                                                                                       \
        float u = a[0];                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                          \
            float v = b[i * b_stride];                                                             \
            y[i] = (expression);                                                                   \
        }                                                                                          \
    }                                                                                              \
    break

static void binary(nissl__binary op, int64_t n, const float *a, int64_t a_stride, const float *b,
                   int64_t b_stride, float *y)
{
    switch (op) {
    case NISSL__BINARY_ADD: PAIR(u + v);
    case NISSL__BINARY_SUB: PAIR(u - v);
    case NISSL__BINARY_MUL: PAIR(u * v);
    case NISSL__BINARY_DIV: PAIR(u / v);
    case NISSL__BINARY_MAX: PAIR(u != u ? u : v > u || v != v ? v : u);
    case NISSL__BINARY_MIN: PAIR(u != u ? u : v < u || v != v ? v : u);
    default: break;
    }
}

static void scale_shift(int64_t n, const float *x, const float *scale, const float *shift, int relu,
                        float *y)
{
    if (relu) {
        for (int64_t i = 0; i < n; i++) {
            float v = x[i] * scale[i] + shift[i];
            y[i] = v < 0 ? 0 : v;
        }
    } else {
        for (int64_t i = 0; i < n; i++)
            y[i] = x[i] * scale[i] + shift[i];
    }
}

#define BLOCK 64 /* channels whose result stays in registers over all taps */

static inline void pool_max_block(int64_t n, int64_t at, const nissl__window *window,
                                  float *restrict y)
{
    float best[BLOCK];
    for (int64_t i = 0; i < n; i++)
        best[i] = window->first[at + i];
    for (int64_t ty = 0; ty < window->taps_y; ty++) {
        for (int64_t tx = 0; tx < window->taps_x; tx++) {
            const float *x = window->first + ty * window->step_y + tx * window->step_x + at;
            for (int64_t i = 0; i < n; i++)
                best[i] = x[i] > best[i] || x[i] != x[i] ? x[i] : best[i];
        }
    }
    for (int64_t i = 0; i < n; i++)
        y[at + i] = best[i];
}

static void pool_max(int64_t channels, const nissl__window *window, float *restrict y)
{
    int64_t at = 0;
    if (window->taps_y <= 0 || window->taps_x <= 0) {
        for (int64_t i = 0; i < channels; i++)
            y[i] = -INFINITY;
        return;
    }
    for (; at + BLOCK <= channels; at += BLOCK)
        pool_max_block(BLOCK, at, window, y);
    for (; at + 16 <= channels; at += 16)
        pool_max_block(16, at, window, y);
    if (at < channels)
        pool_max_block(channels - at, at, window, y);
}

static void pool_sum(int64_t channels, const nissl__window *window, float factor, float *restrict y)
{
    memset(y, 0, (size_t)channels * sizeof *y);
    for (int64_t ty = 0; ty < window->taps_y; ty++) {
        for (int64_t tx = 0; tx < window->taps_x; tx++) {
            const float *x = window->first + ty * window->step_y + tx * window->step_x;
            for (int64_t i = 0; i < channels; i++)
                y[i] += x[i];
        }
    }
    for (int64_t i = 0; i < channels; i++)
        y[i] *= factor;
}

static void lrn(int64_t channels, const float *x, int size, float alpha, float beta, float k,
                float *y)
{
    int64_t before = (size - 1) / 2, after = size - 1 - before;
    for (int64_t i = 0; i < channels; i++) {
        int64_t from = i > before ? i - before : 0,
                to = i + after < channels ? i + after : channels - 1;
        float sum = 0;
        for (int64_t j = from; j <= to; j++)
            sum += x[j] * x[j];
        float base = k + alpha / (float)size * sum;
        if (beta == 0.75f) {
            float root = sqrtf(base);
            y[i] = x[i] / (root * sqrtf(root));
        } else {
            y[i] = x[i] / powf(base, beta);
        }
    }
}

#define LANES 16

static void softmax(int64_t n, const float *x, int log, float *y)
{
    float largest = x[0], lanes[LANES] = {0}, total = 0;
    for (int64_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    int64_t whole = n / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++) {
            float e = exponential(x[i + j] - largest);
            lanes[j] += e;
            if (!log)
                y[i + j] = e;
        }
    for (int64_t i = whole; i < n; i++) {
        float e = exponential(x[i] - largest);
        lanes[i - whole] += e;
        if (!log)
            y[i] = e;
    }
    for (int j = 0; j < LANES; j++)
        total += lanes[j];
    if (log) {
        float shift = largest + logf(total);
        for (int64_t i = 0; i < n; i++)
            y[i] = x[i] - shift;
    } else {
        float factor = 1.0f / total;
        for (int64_t i = 0; i < n; i++)
            y[i] *= factor;
    }
}

#define TILE 16

static void transpose(int64_t rows, int64_t columns, const float *x, int64_t x_row, float *y,
                      int64_t y_row)
{
    for (int64_t i0 = 0; i0 < rows; i0 += TILE) {
        int64_t i1 = i0 + TILE < rows ? i0 + TILE : rows;
        for (int64_t j0 = 0; j0 < columns; j0 += TILE) {
            int64_t j1 = j0 + TILE < columns ? j0 + TILE : columns;
            for (int64_t j = j0; j < j1; j++)
                for (int64_t i = i0; i < i1; i++)
                    y[j * y_row + i] = x[i * x_row + j];
        }
    }
}

static double sum(int64_t n, const float *x, int64_t stride)
{
    double lanes[LANES] = {0}, total = 0;
    int64_t whole = n / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++)
            lanes[j] += (double)x[(i + j) * stride];
    for (int64_t i = whole; i < n; i++)
        lanes[i - whole] += (double)x[i * stride];
    for (int j = 0; j < LANES; j++)
        total += lanes[j];
    return total;
}

/* Sums in float32 lanes over blocks of 1,024, blocks in float64. */
static double lane_sum(int64_t n, const float *x, float shift, int square)
{
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += 1024) {
        int64_t end = begin + 1024 < n ? begin + 1024 : n,
                whole = begin + (end - begin) / LANES * LANES;
        float lanes[LANES] = {0};
        if (square) {
            for (int64_t i = begin; i < whole; i += LANES)
                for (int64_t j = 0; j < LANES; j++)
                    lanes[j] += (x[i + j] - shift) * (x[i + j] - shift);
            for (int64_t i = whole; i < end; i++)
                lanes[i - whole] += (x[i] - shift) * (x[i] - shift);
        } else {
            for (int64_t i = begin; i < whole; i += LANES)
                for (int64_t j = 0; j < LANES; j++)
                    lanes[j] += x[i + j];
            for (int64_t i = whole; i < end; i++)
                lanes[i - whole] += x[i];
        }
        for (int j = 0; j < LANES; j++)
            total += (double)lanes[j];
    }
    return total;
}

static void layer_norm(int64_t n, const float *x, const float *scale, const float *shift,
                       float epsilon, int rms, float *y, float *moments)
{
    float mean = rms ? 0.0f : (float)(lane_sum(n, x, 0, 0) / (double)n);
    float factor = (float)(1.0 / sqrt(lane_sum(n, x, mean, 1) / (double)n + (double)epsilon));
    if (scale && shift)
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * factor * scale[i] + shift[i];
    else if (scale)
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * factor * scale[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - mean) * factor;
    if (moments) {
        moments[0] = mean;
        moments[1] = factor;
    }
}

extern const nissl__kernels JOIN(nissl__kernels_, NISSL__ISA);
const nissl__kernels JOIN(nissl__kernels_, NISSL__ISA) = {
    .isa = TEXT(NISSL__ISA),
    .unary = unary,
    .binary = binary,
    .scale_shift = scale_shift,
    .pool_max = pool_max,
    .pool_sum = pool_sum,
    .lrn = lrn,
    .softmax = softmax,
    .transpose = transpose,
    .sum = sum,
    .layer_norm = layer_norm,
};
