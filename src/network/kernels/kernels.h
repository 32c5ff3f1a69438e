/*
 * Our own kernels: what oneDNN lacks or does slowly. kernels.c is compiled once per instruction
 * set; a program takes the best table this CPU runs, or a lesser one named by the environment
 * variable NISSL_MAX_ISA (default, avx2, avx512).
 *
 * All work on float32. Sums are taken in an order that does not depend on the vector width, and
 * products are never contracted into fused multiply-adds, so that every table gives the same bits.
 */
#ifndef NISSL__NETWORK_KERNELS_H
#define NISSL__NETWORK_KERNELS_H

#include <stdint.h>

typedef enum nissl__unary {
    NISSL__UNARY_RELU,
    NISSL__UNARY_LEAKY_RELU, /* alpha */
    NISSL__UNARY_CLIP,       /* alpha .. beta */
    NISSL__UNARY_SIGMOID,
    NISSL__UNARY_TANH,
    NISSL__UNARY_HARD_SIGMOID, /* max(0, min(1, alpha x + beta)) */
    NISSL__UNARY_HARD_SWISH,
    NISSL__UNARY_EXP,
    NISSL__UNARY_SQRT,
    NISSL__UNARY_NEG,
    NISSL__UNARY_ABS,
    NISSL__UNARY_RECIPROCAL,
    NISSL__UNARY_SQUARE,
    NISSL__UNARY_CUBE,
    NISSL__UNARY_ERF,
    NISSL__UNARY_GELU,      /* x / 2 (1 + erf(x / sqrt 2)) */
    NISSL__UNARY_GELU_TANH, /* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
    NISSL__UNARY_SWISH,     /* x / (1 + exp(-alpha x)) */
    NISSL__UNARY_COUNT
} nissl__unary;

typedef enum nissl__binary {
    NISSL__BINARY_ADD,
    NISSL__BINARY_SUB,
    NISSL__BINARY_MUL,
    NISSL__BINARY_DIV,
    NISSL__BINARY_MAX,
    NISSL__BINARY_MIN,
    NISSL__BINARY_COUNT
} nissl__binary;

/* A window of pooling at one output pixel: taps_y x taps_x input pixels that exist. */
typedef struct nissl__window {
    const float *first; /* input pixel of the first tap */
    int64_t taps_y, taps_x;
    int64_t step_y, step_x; /* elements between taps */
} nissl__window;

typedef struct nissl__kernels {
    const char *isa;
    void (*unary)(nissl__unary op, int64_t n, const float *x, float *y, float alpha, float beta);
    /* b_stride and a_stride are 0 or 1 */
    void (*binary)(nissl__binary op, int64_t n, const float *a, int64_t a_stride, const float *b,
                   int64_t b_stride, float *y);
    /* y[c] = x[c] * scale[c] + shift[c], then max(0, .) if relu */
    void (*scale_shift)(int64_t n, const float *x, const float *scale, const float *shift, int relu,
                        float *y);
    void (*pool_max)(int64_t channels, const nissl__window *window, float *y);
    /* sum of the taps times factor */
    void (*pool_sum)(int64_t channels, const nissl__window *window, float factor, float *y);
    /* x / (k + alpha / size * sum of squares over the window of channels)^beta for one pixel */
    void (*lrn)(int64_t channels, const float *x, int size, float alpha, float beta, float k,
                float *y);
    /* y = softmax(x) over n contiguous values; log: log of it */
    void (*softmax)(int64_t n, const float *x, int log, float *y);
    /* y[j * y_row + i] = x[i * x_row + j] */
    void (*transpose)(int64_t rows, int64_t columns, const float *x, int64_t x_row, float *y,
                      int64_t y_row);
    double (*sum)(int64_t n, const float *x, int64_t stride);
    /* y[i] = (x[i] - mean) / sqrt(variance + epsilon) * scale[i] + shift[i] over one row; scale and
     * shift may be NULL. rms: mean is taken as 0. moments receives mean and 1 / sqrt(variance +
     * epsilon) if it is not NULL. */
    void (*layer_norm)(int64_t n, const float *x, const float *scale, const float *shift,
                       float epsilon, int rms, float *y, float *moments);
} nissl__kernels;

const nissl__kernels *nissl__kernels_best(void);

#endif
