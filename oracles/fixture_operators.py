"""Networks that cover every operator and form that Nissl runs, a family of operators in each."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fixture_builder import BATCH, Net

INT64_MAX = np.iinfo(np.int64).max
INT64_MIN = np.iinfo(np.int64).min

# ---- convolution and dense layers ----


def conv_forms():
    net = Net("conv_forms", 13, (4, 11, 9), "asymmetric pads and strides, groups, depthwise with "
              "multiplier, dilation, 1x1, no bias, no kernel_shape")
    a = net.op("Conv", "x", net.weights(6, 4, 3, 3), net.weights(6, name="b"), out="asymmetric",
               kernel_shape=[3, 3], pads=[0, 1, 2, 1], strides=[2, 1])
    b = net.op("Conv", a, net.weights(8, 3, 3, 3), out="grouped", group=2, pads=[1, 1, 1, 1])
    c = net.op("Conv", b, net.weights(16, 1, 3, 2), net.weights(16, name="b"), out="depthwise",
               group=8, pads=[1, 0, 1, 1])
    d = net.op("Conv", c, net.weights(5, 16, 3, 3), out="dilated", dilations=[2, 3],
               pads=[2, 3, 2, 3], kernel_shape=[3, 3])
    net.out(net.op("Conv", d, net.weights(7, 5, 1, 1), net.weights(7, name="b"), out="pointwise",
                   strides=[2, 2]))
    return net


def conv_auto_pad():
    net = Net("conv_auto_pad", 11, (3, 10, 7), "auto_pad of Conv with odd and even kernels")
    for i, mode in enumerate(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]):
        y = net.op("Conv", "x", net.weights(4, 3, 3, 2), net.weights(4, name="b"), out=mode.lower(),
                   auto_pad=mode, kernel_shape=[3, 2], strides=[2, 2],
                   **({"pads": [1, 0, 0, 1]} if mode == "NOTSET" else {}))
        if mode.startswith("SAME"):
            y = net.op("Conv", y, net.weights(4, 4, 4, 4), out=mode.lower() + "_even",
                       auto_pad=mode, kernel_shape=[4, 4])
        net.out(net.op("Relu", y, out=f"relu_{i}"))
    return net


def conv_1d():
    net = Net("conv_1d", 13, (4, 40), "one spatial dimension: convolution, pooling, normalisation")
    a = net.op("Conv", "x", net.weights(6, 4, 5), net.weights(6, name="b"), pads=[3, 1],
               strides=[2], kernel_shape=[5])
    a = net.op("BatchNormalization", a, net.const(net.rng.uniform(.5, 2, 6).astype(np.float32)),
               net.weights(6, name="shift"), net.weights(6, name="mean"),
               net.const(net.rng.uniform(.5, 2, 6).astype(np.float32), "variance"))
    b = net.op("MaxPool", net.op("Relu", a), kernel_shape=[3], strides=[2], pads=[1, 0])
    c = net.op("Conv", b, net.weights(6, 2, 3), dilations=[2], group=3)
    d = net.op("AveragePool", c, kernel_shape=[2], strides=[1])
    net.out(net.op("Flatten", net.op("GlobalAveragePool", d)))
    return net


def gemm_forms():
    net = Net("gemm_forms", 13, (6,), "transB, alpha, beta, every shape of C, no C")
    a = net.op("Gemm", "x", net.weights(8, 6), net.weights(8, name="b"), transB=1)
    b = net.op("Gemm", a, net.weights(8, 5), net.weights(1, 5, name="b"), alpha=0.5, beta=2.0)
    c = net.op("Gemm", b, net.weights(5, 7), alpha=1.5)
    d = net.op("Gemm", c, net.weights(7, 4), net.const(np.float32(0.25)), beta=-1.0)
    net.out(net.op("Gemm", d, net.weights(3, 4), net.const(np.array([0.5], np.float32)), transB=1,
                   beta=0.0))
    return net


def gemm_transposed():
    net = Net("gemm_transposed", 11, (1, 6, 4), "transA, C of one column, C of the whole shape",
              batch=1)
    a = net.op("Squeeze", "x", axes=[0, 1])
    a = net.op("Gemm", a, net.weights(6, 3), net.weights(4, 1, name="b"), transA=1)
    a = net.op("Gemm", a, net.weights(5, 4), net.weights(3, 5, name="b"), transA=1, transB=1)
    net.out(net.op("Unsqueeze", a, axes=[0]))
    return net


def matmul_forms():
    net = Net("matmul_forms", 13, (2, 3, 4), "constants of 1 to 4 dimensions on either side, and a "
              "product of activations")
    a = net.op("MatMul", "x", net.weights(4, 5, name="right"))
    b = net.op("MatMul", a, net.weights(2, 5, 4, name="batched"))
    c = net.op("MatMul", net.weights(6, 3, name="left"), b)
    d = net.op("MatMul", c, net.op("Transpose", "x", perm=[0, 1, 3, 2]), out="activations")
    e = net.op("MatMul", d, net.weights(3, name="vector"))
    f = net.op("MatMul", net.weights(2, name="row"), e)
    net.out(d, f)
    return net


def matmul_mlp():
    net = Net("matmul_mlp", 9, (12,), "dense layers as MatMul and Add")
    y = "x"
    for n, m in [(12, 16), (16, 8), (8, 4)]:
        y = net.op("Add", net.op("MatMul", y, net.weights(n, m)), net.weights(m, name="b"))
        y = net.op("Relu", y) if m != 4 else net.op("Softmax", y)
    net.out(y)
    return net


# ---- normalisation and activations ----


def batch_normalization(opset):
    net = Net(f"batch_normalization_{opset}", opset, (5, 4, 3), "4 and 2 dimensions, epsilon")

    def normalise(y, n, **attributes):
        return net.op("BatchNormalization", y,
                      net.const(net.rng.uniform(.5, 2, n).astype(np.float32), "scale"),
                      net.weights(n, name="shift"), net.weights(n, name="mean"),
                      net.const(net.rng.uniform(.01, 2, n).astype(np.float32), "variance"),
                      **attributes)

    a = normalise("x", 5, epsilon=0.1, momentum=0.5)
    b = net.op("Conv", a, net.weights(5, 5, 2, 2))
    c = normalise(b, 5)
    d = net.op("Relu", c)
    e = net.op("Flatten", d)
    net.out(normalise(e, 30, epsilon=1e-3))
    return net


def lrn():
    net = Net("lrn", 13, (7, 4, 3), "windows of 3 and 5 channels, one wider than the channels, and "
              "defaults")
    a = net.op("LRN", "x", size=5, alpha=0.5, beta=0.75, bias=2.0)
    b = net.op("LRN", net.op("Mul", a, net.const(np.float32(20))), size=3)
    net.out(net.op("LRN", b, size=9, alpha=2.0, beta=0.5, bias=0.5))
    return net


def activations():
    net = Net("activations", 14, (4, 5, 5), "each activation with default and given parameters")
    x = net.op("Mul", "x", net.const(np.float32(2)), out="wide")
    limit = [net.const(np.float32(v), "limit") for v in (-0.5, 6)]
    parts = [
        net.op("Relu", x),
        net.op("LeakyRelu", x),
        net.op("LeakyRelu", x, alpha=0.25),
        net.op("Sigmoid", x),
        net.op("Tanh", x),
        net.op("HardSigmoid", x),
        net.op("HardSigmoid", x, alpha=0.3, beta=0.4),
        net.op("HardSwish", x),
        net.op("Clip", x, limit[0], limit[1]),
        net.op("Clip", x, limit[0]),
        net.op("Clip", x, "", limit[1]),
        net.op("Clip", x),
    ]
    net.out(net.op("Concat", *parts, axis=1))
    return net


def clip_attributes():
    net = Net("clip_attributes", 6, (3, 4, 4), "Clip with attributes, opset 6")
    a = net.op("Clip", "x", min=-1.0, max=0.5)
    b = net.op("Clip", a, min=-0.25)
    c = net.op("Clip", net.op("Conv", b, net.weights(4, 3, 3, 3)), max=0.1)
    net.out(net.op("Clip", c))
    return net


def softmax_flattened():
    net = Net("softmax_flattened", 11, (3, 4, 2), "Softmax over all dimensions from an axis on, "
              "opset below 13")
    net.out(net.op("Softmax", "x"), net.op("Softmax", "x", axis=2), net.op("Softmax", "x", axis=-1))
    return net


def softmax_axis():
    net = Net("softmax_axis", 13, (3, 4, 2), "Softmax over one axis, opset 13")
    big = net.op("Mul", "x", net.const(np.float32(100)), out="big")
    net.out(net.op("Softmax", "x"), net.op("Softmax", "x", axis=1), net.op("Softmax", big, axis=-2))
    return net


# ---- pooling ----


def max_pool():
    net = Net("max_pool", 12, (3, 11, 8), "ceil_mode, dilations, pads, auto_pad, strides of 1")
    # A window that would begin in the padding after the end is left out by onnxruntime and torch;
    # the formula of opset 12 counts it.
    net.check_shapes = False
    net.out(
        net.op("MaxPool", "x", out="plain", kernel_shape=[2, 2], strides=[2, 2]),
        net.op("MaxPool", "x", out="ceil", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        net.op("MaxPool", "x", out="ceil_pads", kernel_shape=[3, 2], strides=[3, 3], ceil_mode=1,
               pads=[1, 0, 1, 1]),
        net.op("MaxPool", "x", out="dilated", kernel_shape=[3, 2], dilations=[2, 3],
               pads=[1, 0, 0, 1]),
        net.op("MaxPool", "x", out="same_upper", kernel_shape=[2, 3], strides=[2, 2],
               auto_pad="SAME_UPPER"),
        net.op("MaxPool", "x", out="same_lower", kernel_shape=[2, 3], strides=[2, 2],
               auto_pad="SAME_LOWER"),
        net.op("MaxPool", "x", out="valid", kernel_shape=[4, 3], strides=[3, 2], auto_pad="VALID"),
        net.op("MaxPool", "x", out="strides", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    )
    return net


def average_pool():
    net = Net("average_pool", 19, (3, 11, 8), "ceil_mode, count_include_pad, dilations, auto_pad")
    net.out(
        net.op("AveragePool", "x", out="plain", kernel_shape=[2, 2], strides=[2, 2]),
        net.op("AveragePool", "x", out="ceil", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        net.op("AveragePool", "x", out="pads", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        net.op("AveragePool", "x", out="pads_counted", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
               count_include_pad=1),
        net.op("AveragePool", "x", out="asymmetric", kernel_shape=[3, 2], strides=[2, 2],
               pads=[0, 1, 2, 0], count_include_pad=1),
        net.op("AveragePool", "x", out="ceil_counted", kernel_shape=[3, 3], strides=[2, 2],
               ceil_mode=1, pads=[1, 1, 1, 1], count_include_pad=1),
        net.op("AveragePool", "x", out="same_upper", kernel_shape=[2, 3], strides=[2, 2],
               auto_pad="SAME_UPPER"),
        net.op("AveragePool", "x", out="same_lower", kernel_shape=[2, 3], strides=[2, 2],
               auto_pad="SAME_LOWER"),
        net.op("AveragePool", "x", out="dilated", kernel_shape=[2, 2], dilations=[2, 3]),
    )
    return net


def average_pool_old():
    net = Net("average_pool_old", 7, (4, 9, 9), "average pooling as GoogLeNet and DenseNet "
              "files of opset 7 have it")
    a = net.op("AveragePool", "x", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    b = net.op("AveragePool", a, kernel_shape=[2, 2], strides=[2, 2])
    net.out(net.op("Reshape", net.op("AveragePool", b, kernel_shape=[4, 4]), net.ints([-1, 4])))
    return net


def global_pool():
    net = Net("global_pool", 13, (6, 5, 7), "global average pooling and the mean that equals it")
    net.out(net.op("GlobalAveragePool", "x"), net.op("ReduceMean", "x", axes=[2, 3]))
    return net


# ---- arithmetic ----


def arithmetic():
    net = Net("arithmetic", 7, (4, 3, 5), "Add, Sub, Mul, Div with every kind of broadcast")
    a = net.op("Add", "x", net.weights(4, 1, 1, name="channel"))
    b = net.op("Sub", net.weights(1, name="one"), a)
    c = net.op("Mul", b, net.weights(5, name="row"))
    d = net.op("Div", c, net.const(np.float32(0.7)))
    e = net.op("Div", net.const(np.float32(2)), net.op("Add", net.op("Mul", d, d),
                                                       net.const(np.float32(1))), out="inverse")
    pooled = net.op("GlobalAveragePool", e)
    f = net.op("Mul", e, net.op("Sigmoid", pooled), out="gate")
    g = net.op("Sub", f, net.weights(1, 4, 3, 1, name="map"))
    net.out(net.op("Add", g, "x"))
    return net


def integers_and_constants():
    net = Net("constant_forms", 13, (2, 3), "every form of Constant, ConstantOfShape")
    tensor = numpy_helper.from_array(np.array([[1, -2, 3]], np.float32))
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [2, 1], [0.5, 0.25])
    a = net.op("Add", "x", net.op("Constant", value=tensor))
    b = net.op("Mul", a, net.op("Constant", value=typed))
    c = net.op("Add", b, net.op("Constant", value_float=0.125))
    d = net.op("Sub", c, net.op("Constant", value_floats=[1.0, 2.0, 3.0]))
    axis = net.op("Constant", value_ints=[1])
    e = net.op("Unsqueeze", d, axis)
    index = net.op("Constant", value_int=1)
    f = net.op("Gather", e, index, axis=2)
    shape = net.op("Constant", value=numpy_helper.from_array(np.array([3], np.int64)))
    zeros = net.op("ConstantOfShape", shape)
    filled = net.op("ConstantOfShape", shape,
                    value=numpy_helper.from_array(np.array([2.5], np.float32)))
    counts = net.op("ConstantOfShape", shape,
                    value=numpy_helper.from_array(np.array([7], np.int64)))
    g = net.op("Add", f, net.op("Add", zeros, filled))
    net.out(net.op("Add", g, net.op("Cast", counts, to=TensorProto.FLOAT)))
    return net


def identity_dropout(opset):
    net = Net(f"identity_dropout_{opset}", opset, (3, 4), "operators that do nothing in inference")
    a = net.op("Identity", "x")
    if opset < 12:
        b = net.op("Dropout", a, ratio=0.3)
    else:
        b = net.op("Dropout", a, net.const(np.float32(0.3)), net.const(np.bool_(False)))
    c = net.op("Relu", b)
    d, _ = net.op("Dropout", c, outs=2) if opset >= 12 else net.op("Dropout", c, outs=2, ratio=0.5)
    net.out(net.op("Identity", d), b)
    return net


def cast():
    net = Net("cast", 13, (3, 4), "between floating, integer and truth values")
    wide = net.op("Mul", "x", net.const(np.float32(3)))
    whole = net.op("Cast", net.op("Cast", wide, to=TensorProto.INT64), to=TensorProto.FLOAT,
                   out="whole")
    small = net.op("Cast", net.op("Cast", wide, to=TensorProto.INT32), to=TensorProto.FLOAT,
                   out="small")
    truth = net.op("Cast", net.op("Cast", net.op("Relu", "x"), to=TensorProto.BOOL),
                   to=TensorProto.FLOAT, out="truth")
    double = net.op("Cast", net.op("Cast", "x", to=TensorProto.DOUBLE), to=TensorProto.FLOAT,
                    out="double")
    net.out(net.op("Concat", whole, small, truth, double, axis=-1))
    return net


# ---- shape ----


def concat_flatten():
    net = Net("concat_flatten", 13, (3, 4, 5), "Concat on each axis, Flatten with each axis that "
              "keeps the batch first")
    a = net.op("Concat", "x", net.op("Relu", "x"), net.op("Tanh", "x"), axis=1)
    b = net.op("Concat", a, a, axis=-1)
    c = net.op("Concat", b, axis=2)
    flat = net.op("Flatten", c)
    net.out(flat, net.op("Flatten", c, axis=-3, out="same"))
    return net


def flatten_one():
    net = Net("flatten_one", 13, (2, 3, 4), "a fixed batch of 1: Flatten with axes 0, 1, negative "
              "ones and behind the last", batch=1)
    net.out(net.op("Flatten", net.op("Relu", "x"), axis=0), net.op("Flatten", "x", axis=1),
            net.op("Flatten", net.op("Reshape", net.op("Flatten", "x", axis=-2),
                                     net.ints([1, 2, 12])), axis=-2))
    return net


def reshape():
    net = Net("reshape", 14, (4, 3, 6), "0, -1, both, allowzero without a zero")
    a = net.op("Reshape", "x", net.ints([0, 2, 2, -1]))
    b = net.op("Relu", net.op("Reshape", a, net.ints([-1, 12, 6])))
    c = net.op("Reshape", b, net.ints([0, 0, 3, 2]))
    d = net.op("Reshape", c, net.ints([-1, 4, 18]), allowzero=1)
    net.out(net.op("Reshape", d, net.ints([0, -1])))
    return net


def reshape_old():
    net = Net("reshape_old", 6, (4, 6), "Reshape of opset 6, shape as an initializer that is "
              "listed as an input",
              ir_version=3)
    net.constants_are_inputs = True
    net.out(net.op("Relu", net.op("Reshape", "x", net.ints([0, 2, -1]))))
    return net


def transpose():
    net = Net("transpose", 13, (2, 3, 4), "permutations that keep the batch first, and channels "
              "last")
    a = net.op("Transpose", "x", perm=[0, 2, 3, 1])
    b = net.op("Mul", a, net.weights(2, name="channel"))
    c = net.op("Transpose", b, perm=[0, 3, 1, 2])
    d = net.op("Reshape", c, net.ints([0, 2, 3, 2, 2]))
    net.out(net.op("Transpose", d, perm=[0, 4, 2, 1, 3]))
    return net


def transpose_one():
    net = Net("transpose_one", 13, (2, 4), "a fixed batch of 1: Transpose without perm "
              "reverses all axes", batch=1)
    a = net.op("Add", net.op("Transpose", "x"), net.weights(4, 1, 1, name="column"))
    net.out(net.op("Transpose", a, perm=[2, 0, 1]))
    return net


def squeeze_attributes():
    net = Net("squeeze_attributes", 11, (3, 1, 4, 1), "axes as attributes, negative ones, none",
              batch=BATCH)
    a = net.op("Squeeze", "x", axes=[2])
    b = net.op("Squeeze", a, axes=[-1])
    c = net.op("Unsqueeze", b, axes=[1, 4])
    d = net.op("Squeeze", c)
    net.out(net.op("Unsqueeze", d, axes=[-1, 1]))
    return net


def squeeze_inputs():
    net = Net("squeeze_inputs", 13, (3, 1, 4, 1), "axes as inputs, negative ones, none",
              batch=BATCH)
    a = net.op("Squeeze", "x", net.ints([2, -1]))
    b = net.op("Unsqueeze", a, net.ints([-1, 1]))
    c = net.op("Squeeze", b)
    net.out(net.op("Unsqueeze", c, net.ints([3])))
    return net


def slice_attributes():
    net = Net("slice_attributes", 9, (4, 6, 5), "starts, ends and axes as attributes")
    a = net.op("Slice", "x", starts=[1, 0], ends=[3, -1], axes=[1, 3])
    b = net.op("Slice", a, starts=[-4], ends=[INT64_MAX], axes=[2])
    net.out(net.op("Slice", b, starts=[0, 0, 1], ends=[INT64_MAX, 9, 100]))
    return net


def slice_inputs():
    net = Net("slice_inputs", 13, (4, 6, 5), "starts, ends, axes, steps as inputs, backwards too")
    a = net.op("Slice", "x", net.ints([1]), net.ints([INT64_MAX]), net.ints([1]))
    b = net.op("Slice", a, net.ints([-1, 0]), net.ints([INT64_MIN, 5]), net.ints([2, -1]),
               net.ints([-1, 2]))
    c = net.op("Slice", b, net.ints([4]), net.ints([0]), net.ints([-2]), net.ints([-2]))
    net.out(net.op("Slice", c, net.ints([0, 0]), net.ints([INT64_MAX, 2])))
    return net


def gather():
    net = Net("gather", 13, (5, 4), "index vectors, a matrix, one index, negative ones")
    a = net.op("Gather", "x", net.ints([3, 0, -1, 0]), axis=1)
    b = net.op("Gather", a, net.ints([[0, 2], [-1, 1]]), axis=-1)
    c = net.op("Gather", b, net.const(np.int64(1)), axis=2)
    net.out(net.op("Gather", c, net.const(np.array([0, -2], np.int32)), axis=1))
    return net


def embedding():
    values = np.random.default_rng(7).integers(0, 10, (BATCH, 6)).astype(np.int64)
    net = Net("embedding", 13, (6,), "whole numbers in, rows of a table out", dtype=np.int64,
              values=values)
    a = net.op("Gather", net.weights(10, 8, name="table"), "x")
    b = net.op("ReduceMean", a, axes=[1], keepdims=0)
    net.out(net.op("Gemm", b, net.weights(4, 8), transB=1))
    return net


def pad_attributes():
    net = Net("pad_attributes", 10, (2, 4, 5), "constant, reflect, edge; pads as an attribute")
    a = net.op("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 1])
    b = net.op("Pad", a, pads=[0, 1, 0, 0, 0, 0, 0, 0], mode="constant", value=-1.5)
    c = net.op("Pad", b, pads=[0, 0, 2, 1, 0, 0, 1, 3], mode="reflect")
    net.out(net.op("Pad", c, pads=[0, 0, 1, 0, 0, 0, 2, 1], mode="edge"))
    return net


def pad_inputs(opset):
    net = Net(f"pad_inputs_{opset}", opset, (2, 4, 5), "constant, reflect, edge; pads as an input")
    a = net.op("Pad", "x", net.ints([0, 0, 1, 2, 0, 0, 0, 1]), net.const(np.float32(0.5)))
    b = net.op("Pad", a, net.ints([0, 1, 0, 0, 0, 0, 0, 0]))
    c = net.op("Pad", b, net.ints([0, 0, 2, 1, 0, 0, 1, 3]), mode="reflect")
    d = net.op("Pad", c, net.ints([0, 0, 1, 0, 0, 0, 2, 1]), mode="edge")
    e = net.op("Pad", d, net.ints([0, 0, -1, 1, 0, -1, -2, 0]), out="cropped")
    if opset >= 18:
        e = net.op("Pad", e, net.ints([1, 2, 0, 1]), "", net.ints([-1, 2]), out="axes")
    net.out(e)
    return net


def shape_chain(opset):
    net = Net(f"shape_chain_{opset}", opset, (4, 6, 6), "shapes computed from the input's, as "
              "exporters write view, flatten and chunk")

    def axes(values):
        return [net.ints(values)] if opset >= 13 else []

    def unsqueeze(y):
        if opset >= 13:
            return net.op("Unsqueeze", y, net.ints([0]))
        return net.op("Unsqueeze", y, axes=[0])

    shape = net.op("Shape", "x")
    batch = net.op("Gather", shape, net.const(np.int64(0)))
    side = net.op("Gather", shape, net.const(np.int64(2)))
    half = net.op("Div", side, net.const(np.int64(2)))
    target = net.op("Concat", unsqueeze(batch), net.ints([2, -1]), unsqueeze(half), axis=0)
    a = net.op("Relu", net.op("Reshape", "x", target))
    # The spatial size, halved: rows from there on.
    sizes = net.op("Slice", shape, net.ints([2]), net.ints([3]), net.ints([0]))
    start = net.op("Cast", net.op("Mul", net.op("Cast", sizes, to=TensorProto.FLOAT),
                                  net.const(np.float32(0.5))), to=TensorProto.INT64)
    b = net.op("Slice", "x", start, net.ints([INT64_MAX]), net.ints([2]), out="lower_half")
    ones = net.op("ConstantOfShape", net.op("Shape", b),
                  value=numpy_helper.from_array(np.array([1], np.float32)))
    c = net.op("Add", b, ones)
    if opset >= 15:
        tail = net.op("Shape", "x", start=1, end=-1)
        last = net.op("Shape", "x", start=-1)
        merged = net.op("Mul", tail, net.const(np.array([1, 1], np.int64)))
        d = net.op("Reshape", "x", net.op("Concat", net.ints([-1]), last, merged, axis=0))
        net.out(d)
    flat = net.op("Reshape", c, net.op("Concat", unsqueeze(batch), net.ints([-1]), axis=0))
    net.out(flat, a)
    return net


def reduce_mean_attributes():
    net = Net("reduce_mean_attributes", 11, (3, 4, 5), "axes as an attribute, kept or not")
    net.out(net.op("ReduceMean", "x", axes=[2, 3], keepdims=1),
            net.op("ReduceMean", "x", axes=[-1], keepdims=0),
            net.op("ReduceMean", "x", axes=[1]))
    return net


def reduce_mean_inputs():
    net = Net("reduce_mean_inputs", 18, (3, 4, 5), "axes as an input, and none, for no mean at all")
    same = net.op("ReduceMean", "x", noop_with_empty_axes=1, out="same")
    net.out(net.op("ReduceMean", same, net.ints([2, 3]), keepdims=0),
            net.op("ReduceMean", same, net.ints([-1]), keepdims=1))
    return net


def reduce_mean_one():
    net = Net("reduce_mean_one", 18, (3, 4), "a fixed batch of 1: means over everything", batch=1)
    net.out(net.op("ReduceMean", "x"), net.op("ReduceMean", "x", net.ints([0, 2])))
    return net


# ---- where weights lie ----


def typed_data():
    net = Net("typed_data", 13, (3, 5, 5), "weights in float_data, double_data, int64_data, "
              "int32_data; float16 in both forms")
    a = net.op("Conv", "x", net.weights(4, 3, 3, 3, typed=True),
               net.weights(4, name="b", typed=True))
    half = net.op("Cast", net.weights(4, 4, 1, 1, dtype=np.float16), to=TensorProto.FLOAT)
    b = net.op("Conv", a, half)
    half = net.op("Cast", net.weights(4, 1, 1, dtype=np.float16, typed=True, name="half"),
                  to=TensorProto.FLOAT)
    c = net.op("Add", b, half)
    double = net.op("Cast", net.weights(3, dtype=np.float64, typed=True, name="double"),
                    to=TensorProto.FLOAT)
    d = net.op("Mul", c, double)
    net.out(net.op("Reshape", d, net.const(np.array([0, -1], np.int64), typed=True)))
    return net


def external_data():
    net = Net("external_data", 13, (3, 6, 6), "weights in a file beside the model")
    net.external = "weights.bin"
    a = net.op("Relu", net.op("Conv", "x", net.weights(4, 3, 3, 3), net.weights(4, name="b")))
    net.out(net.op("Gemm", net.op("Flatten", a), net.weights(64, 5), net.weights(5, name="b")))
    return net


def float16():
    net = Net("float16", 13, (3, 6, 6), "a network wholly in float16", dtype=np.float16,
              tolerance=5e-3)
    a = net.op("Conv", "x", net.weights(4, 3, 3, 3, dtype=np.float16),
               net.weights(4, dtype=np.float16, name="b"), pads=[1, 1, 1, 1])
    b = net.op("MaxPool", net.op("Relu", a), kernel_shape=[2, 2], strides=[2, 2])
    c = net.op("Flatten", b)
    d = net.op("Gemm", c, net.weights(36, 5, dtype=np.float16), net.weights(5, dtype=np.float16,
                                                                           name="b"))
    net.out(net.op("Softmax", d))
    return net


def old_style():
    net = Net("initializers_as_inputs", 7, (3, 8, 8), "weights listed as graph inputs, IR "
              "version 3",
              ir_version=3)
    net.constants_are_inputs = True
    a = net.op("Relu", net.op("Conv", "x", net.weights(4, 3, 3, 3), net.weights(4, name="b")))
    b = net.op("Dropout", net.op("MaxPool", a, kernel_shape=[3, 3], strides=[2, 2]), ratio=0.5)
    c = net.op("GlobalAveragePool", net.op("Conv", b, net.weights(5, 4, 1, 1)))
    net.out(net.op("Softmax", net.op("Flatten", c)))
    return net


def networks():
    return [
        conv_forms(), conv_auto_pad(), conv_1d(), gemm_forms(), gemm_transposed(), matmul_forms(),
        matmul_mlp(), batch_normalization(9), batch_normalization(15), lrn(), activations(),
        clip_attributes(), softmax_flattened(), softmax_axis(), max_pool(), average_pool(),
        average_pool_old(), global_pool(), arithmetic(), integers_and_constants(),
        identity_dropout(7), identity_dropout(13), cast(), concat_flatten(), flatten_one(),
        reshape(), reshape_old(), transpose(), transpose_one(), squeeze_attributes(),
        squeeze_inputs(), slice_attributes(), slice_inputs(), gather(), embedding(),
        pad_attributes(), pad_inputs(13), pad_inputs(18), shape_chain(11), shape_chain(15),
        reduce_mean_attributes(), reduce_mean_inputs(), reduce_mean_one(), typed_data(),
        external_data(), float16(), old_style(),
    ]
