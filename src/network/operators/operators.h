/* The families of operators; each table ends with an entry without a name. */
#ifndef NISSL__NETWORK_OPERATORS_H
#define NISSL__NETWORK_OPERATORS_H

#include "network/backend_dnnl.h"
#include "network/kernels/kernels.h"
#include "network/program.h"

extern const nissl__operator nissl__operators_conv[];
extern const nissl__operator nissl__operators_matmul[];
extern const nissl__operator nissl__operators_pool[];
extern const nissl__operator nissl__operators_normalise[];
extern const nissl__operator nissl__operators_unary[];
extern const nissl__operator nissl__operators_binary[];
extern const nissl__operator nissl__operators_reshape[];
extern const nissl__operator nissl__operators_move[];
extern const nissl__operator nissl__operators_reduce[];
extern const nissl__operator nissl__operators_softmax[];
extern const nissl__operator nissl__operators_conv_transpose[];
extern const nissl__operator nissl__operators_resize[];
extern const nissl__operator nissl__operators_einsum[];
extern const nissl__operator nissl__operators_recurrent[];
extern const nissl__operator nissl__operators_resize[];
extern const nissl__operator nissl__operators_einsum[];
extern const nissl__operator nissl__operators_recurrent[];
extern const nissl__operator nissl__operators_layernorm[];
extern const nissl__operator nissl__operators_constant[];
extern const nissl__operator nissl__operators_cast[];
extern const nissl__operator nissl__operators_view[];
extern const nissl__operator nissl__operators_pick[];
extern const nissl__operator nissl__operators_scatter[];
extern const nissl__operator nissl__operators_order[];
extern const nissl__operator nissl__operators_fill[];

/* The type a TensorProto.DataType is computed in, and what the file keeps it in (see
 * nissl__value.storage). */
nissl_status nissl__type_of_code(const nissl__compiler *c, int64_t code, nissl_type *type,
                                 nissl_type *storage, nissl_error *err);

/* Fails if indices are neither int64 nor int32. */
nissl_status nissl__check_indices(nissl__compiler *c, const nissl__value *index, nissl_error *err);
/* The index at an offset of a view, made non-negative; NISSL_ERR_RANGE outside -size .. size - 1.
 */
nissl_status nissl__read_index(const char *kind, const nissl_view *index, int64_t offset,
                               int64_t size, int64_t *out, nissl_error *err);

/* Output 0 has the type and shape of input 0. */
nissl_status nissl__infer_same(nissl__compiler *c, const nissl__node *node, nissl_error *err);

/* Kernel, stride, dilation and padding of Conv and pooling. */
typedef struct nissl__spatial {
    int n;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
} nissl__spatial;

/* Reads them from a node's attributes for an input [n, c, spatial...]; kernel is given by the
 * caller or kernel_shape. */
nissl_status nissl__spatial_of(nissl__compiler *c, const nissl__node *node, const nissl__value *in,
                               const int64_t *kernel, bool ceil_mode, nissl__spatial *out,
                               nissl_error *err);

/* Adds the step of a convolution of a channels-last input (of the pixel distance in spec), and
 * copies where oneDNN wants other strides. summand: a value to accumulate into, or -1. */
nissl_status nissl__add_convolution(nissl__compiler *c, nissl__conv_spec *spec, int in, int out,
                                    int summand, nissl_error *err);
/* The data of a constant float operand; NULL if it is absent. `what` names it in messages. */
nissl_status nissl__constant_floats(nissl__compiler *c, const nissl__value *value, const char *what,
                                    const float **out, nissl_error *err);

/* Fails if one of the first n inputs is there and is not float32. */
nissl_status nissl__check_float32(nissl__compiler *c, const nissl__node *node, int n,
                                  nissl_error *err);

/* Whether an operand or the output has no elements: oneDNN divides by the sizes of axes. */
bool nissl__any_empty(nissl__compiler *c, const nissl__node *node);

/* Convolution, pooling and matrix products element by element: slow, but of any type and shape. */
typedef struct nissl__pooling {
    bool maximum;       /* otherwise the mean, or with a power the norm */
    bool count_padding; /* in the mean */
    bool column_major;  /* of the indices of maxima */
    double power;       /* p of the norm; 0 = the mean */
} nissl__pooling;
nissl_status nissl__add_direct_conv(nissl__compiler *c, const nissl__node *node,
                                    const nissl__spatial *spatial, nissl_error *err);
nissl_status nissl__add_direct_pool(nissl__compiler *c, const nissl__node *node,
                                    const nissl__spatial *spatial, nissl__pooling how,
                                    nissl_error *err);
nissl_status nissl__add_direct_product(nissl__compiler *c, const nissl__node *node,
                                       nissl_error *err);

/* Padding for which oneDNN would generate code position by position: 3.8 GB for a million. */
bool nissl__wide_padding(const nissl__spatial *spatial);

/* If the value's only consumer is an activation that a kernel can apply, absorbs it: returns the
 * value that then holds the result and fills the epilogue. Otherwise returns the value itself. */
int nissl__absorb_activation(nissl__compiler *c, int value, nissl__epilogue *epilogue);

/* Adds the step out = a op b with broadcasting. */
nissl_status nissl__add_binary(nissl__compiler *c, nissl__binary op, int a, int b, int out,
                               nissl_error *err);

/* The shape of two operands broadcast together. */
nissl_status nissl__broadcast(nissl__compiler *c, const nissl__value *a, const nissl__value *b,
                              int *rank, int64_t *shape, nissl_error *err);

/* The kernel of an elementwise node of float32, with its settings; false if it has none. */
bool nissl__unary_kernel(const nissl__node *node, nissl__unary *kernel, float *alpha, float *beta);
bool nissl__binary_kernel(const nissl__node *node, nissl__binary *kernel);

#endif
