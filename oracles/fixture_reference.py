"""Operators in plain numpy, straight from the text of the ONNX specification.

They stand in for those of onnx.reference (1.23.2) that do not follow it: BatchNormalization of
opset 9 normalises with the batch's own statistics, LRN leaves a channel out, Softmax below opset 13
does not flatten, pooling rounds the size of SAME_LOWER down and fails in one dimension, Pad cannot
crop, and Dropout below opset 12 drops.
"""

import itertools
import math

import numpy as np
from onnx.reference.op_run import OpRun


class BatchNormalization(OpRun):
    def _run(self, x, scale, shift, mean, variance, epsilon=1e-5, **_):
        shape = [1, -1] + [1] * (x.ndim - 2)
        normal = (x.astype(np.float64) - mean.reshape(shape)) / np.sqrt(variance.reshape(shape)
                                                                       + epsilon)
        return ((normal * scale.reshape(shape) + shift.reshape(shape)).astype(x.dtype),)


class LRN(OpRun):
    def _run(self, x, alpha=1e-4, beta=0.75, bias=1.0, size=None):
        wide, out = x.astype(np.float64), np.empty_like(x)
        for c in range(x.shape[1]):
            first = max(0, c - (size - 1) // 2)
            last = min(x.shape[1] - 1, c + math.ceil((size - 1) / 2))
            total = np.sum(wide[:, first:last + 1] ** 2, axis=1)
            out[:, c] = wide[:, c] / (bias + alpha / size * total) ** beta
        return (out,)


class FlattenedSoftmax(OpRun):
    def _run(self, x, **_):
        given = {a.name: a.i for a in self.onnx_node.attribute}
        axis = given.get("axis", 1) % x.ndim
        flat = x.reshape(int(np.prod(x.shape[:axis])), -1).astype(np.float64)
        power = np.exp(flat - flat.max(axis=1, keepdims=True))
        return ((power / power.sum(axis=1, keepdims=True)).reshape(x.shape).astype(x.dtype),)


FlattenedSoftmax.__name__ = "Softmax"


def pool_axis(size, kernel, stride, dilation, before, after, auto_pad, ceil_mode):
    """The number of windows along an axis, and where the first begins."""
    reach = (kernel - 1) * dilation + 1
    if auto_pad.startswith("SAME"):
        n = math.ceil(size / stride)
        total = max(0, (n - 1) * stride + reach - size)
        before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        return n, before, total - before
    if auto_pad == "VALID":
        before = after = 0
    room = size + before + after - reach
    n = (math.ceil if ceil_mode else math.floor)(room / stride) + 1
    if ceil_mode and (n - 1) * stride >= size + before:
        n -= 1  # a window that would begin in the padding after the end
    return n, before, after


def pool(x, reduce, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode):
    """reduce(values inside, positions inside the padded input)."""
    d = len(kernel_shape)
    strides, dilations = strides or [1] * d, dilations or [1] * d
    pads = pads or [0] * (2 * d)
    axes = [pool_axis(x.shape[2 + i], kernel_shape[i], strides[i], dilations[i], pads[i],
                      pads[d + i], auto_pad or "NOTSET", ceil_mode) for i in range(d)]
    out = np.empty((*x.shape[:2], *(a[0] for a in axes)), x.dtype)
    for at in itertools.product(*(range(a[0]) for a in axes)):
        begins = [at[i] * strides[i] - axes[i][1] for i in range(d)]
        steps = [[begins[i] + k * dilations[i] for k in range(kernel_shape[i])] for i in range(d)]
        inside = [[p for p in steps[i] if 0 <= p < x.shape[2 + i]] for i in range(d)]
        padded = [sum(p < x.shape[2 + i] + axes[i][2] for p in steps[i]) for i in range(d)]
        values = x[(slice(None), slice(None), *np.ix_(*inside))]
        out[(slice(None), slice(None), *at)] = reduce(values.reshape(*x.shape[:2], -1),
                                                      math.prod(padded))
    return out


class MaxPool(OpRun):
    def _run(self, x, kernel_shape=None, strides=None, pads=None, dilations=None, auto_pad=None,
             ceil_mode=0, storage_order=0):
        return (pool(x, lambda values, _: values.max(axis=-1), kernel_shape, strides, pads,
                     dilations, auto_pad, ceil_mode),)


class AveragePool(OpRun):
    def _run(self, x, kernel_shape=None, strides=None, pads=None, dilations=None, auto_pad=None,
             ceil_mode=0, count_include_pad=0):
        def mean(values, n_padded):
            n = n_padded if count_include_pad else values.shape[-1]
            return values.astype(np.float64).sum(axis=-1) / n

        return (pool(x, mean, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode),)


class Pad(OpRun):
    def _run(self, x, pads=None, value=None, axes=None, mode="constant"):
        """pads and value as inputs; as attributes the package's own operator is used."""
        axes = list(range(x.ndim)) if axes is None else [int(a) % x.ndim for a in axes]
        before, after = [0] * x.ndim, [0] * x.ndim
        for i, axis in enumerate(axes):
            before[axis], after[axis] = int(pads[i]), int(pads[len(axes) + i])
        cut = tuple(slice(max(0, -b), n - max(0, -a)) for b, a, n in zip(before, after, x.shape))
        widths = [(max(0, b), max(0, a)) for b, a in zip(before, after)]
        extra = {"constant_values": 0 if value is None else value} if mode == "constant" else {}
        return (np.pad(x[cut], widths, mode=mode, **extra),)


class Dropout(OpRun):
    def _run(self, x, *_, **__):
        return (x, np.ones(x.shape, bool))[:len(self.onnx_node.output)]


def operators(opset):
    chosen = [BatchNormalization, LRN, MaxPool, AveragePool]
    if opset < 13:
        chosen.append(FlattenedSoftmax)
    if opset < 12:
        chosen.append(Dropout)
    if opset >= 11:
        chosen.append(Pad)
    return chosen
