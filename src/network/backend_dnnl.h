/*
 * The one place that knows oneDNN: convolution and matrix multiplication with weights packed once.
 *
 * Every function turns a step (made by nissl__add_step, without state) into one that runs a oneDNN
 * primitive. Scratch memory is the run's, never the library's: a shared library scratchpad gives
 * wrong rows when two threads run one primitive.
 */
#ifndef NISSL__NETWORK_BACKEND_DNNL_H
#define NISSL__NETWORK_BACKEND_DNNL_H

#include "network/program.h"

typedef enum nissl__activation {
    NISSL__ACT_NONE,
    NISSL__ACT_RELU, /* alpha = slope below zero */
    NISSL__ACT_CLIP, /* alpha .. beta */
} nissl__activation;

/* What follows a kernel inside the same step. */
typedef struct nissl__epilogue {
    bool accumulate; /* output 0 holds a summand (nissl__step.overwrite) */
    nissl__activation activation;
    float alpha, beta;
} nissl__epilogue;

typedef struct nissl__conv_spec {
    int n_spatial; /* 1 .. 3 */
    int64_t batch, groups, in_channels, out_channels;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int64_t in_pixel,
        out_pixel; /* elements between neighbouring pixels of the channels-last input and output */
    bool transposed;     /* ConvTranspose: pads are those of its output */
    const float *weight; /* [out_channels, in_channels / groups, kernel...]; transposed:
                            [in_channels, out_channels / groups, kernel...] */
    const float *bias;   /* [out_channels] or NULL */
    nissl__epilogue epilogue;
} nissl__conv_spec;

/* Convolution of input 0 to output 0. *good is false when only a slow reference kernel would take
 * these strides; the step is then left as it was. */
nissl_status nissl__dnnl_conv(nissl__compiler *c, nissl__step *step, const nissl__conv_spec *spec,
                              bool *good, nissl_error *err);

typedef struct nissl__matmul_spec {
    int rank; /* >= 2: batch axes, rows, columns */
    int64_t a_shape[NISSL_MAX_RANK], a_stride[NISSL_MAX_RANK];
    int64_t b_shape[NISSL_MAX_RANK], b_stride[NISSL_MAX_RANK];
    int64_t out_shape[NISSL_MAX_RANK], out_stride[NISSL_MAX_RANK];
    const float *b;    /* constant right-hand side, packed; NULL: input 1 of the step */
    const float *bias; /* [columns] or NULL */
    nissl__epilogue epilogue;
} nissl__matmul_spec;

nissl_status nissl__dnnl_matmul(nissl__compiler *c, nissl__step *step,
                                const nissl__matmul_spec *spec, nissl_error *err);

/* c[m, n] = a[m, k] b + (add ? c : 0), row-major, b given as [n, k] if b_transposed, else [k, n].
 * Single-threaded callers get single-threaded work. */
nissl_status nissl__dnnl_sgemm(int64_t m, int64_t n, int64_t k, const float *a, const float *b,
                               bool b_transposed, bool add, float *c, nissl_error *err);

/* c = a b with any distance between rows: a [m, k] of lda, b [k, n] of ldb or, transposed, [n, k];
 * c [m, n] of ldc. */
nissl_status nissl__dnnl_sgemm_strided(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda,
                                       const float *b, int64_t ldb, bool b_transposed, float *c,
                                       int64_t ldc, nissl_error *err);

/* This thread's number inside an OpenMP region. */
int nissl__thread_number(void);

#endif
