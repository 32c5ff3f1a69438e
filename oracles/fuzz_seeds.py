#!/usr/bin/env python3
"""Writes the small files in tests/fuzz/seeds that the fuzz targets start from.

Made with onnx 1.23.2, numpy 2.4.6. Usage: python3 oracles/fuzz_seeds.py
"""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEEDS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "fuzz",
                     "seeds")


def save(graph, name, opset, **extra):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                              producer_name="fuzz_seeds", ir_version=8, **extra)
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(SEEDS, "onnx", name))


def floats(shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 16


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def convolution():
    """Raw weights in float32 and float16, a symbolic batch, attributes of most kinds."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1],
                         kernel_shape=[3, 3], group=1),
        helper.make_node("LeakyRelu", ["c"], ["r"], alpha=0.125),
        helper.make_node("Cast", ["half"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["r", "wide"], ["m"]),
        helper.make_node("GlobalAveragePool", ["m"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"], axis=1),
    ]
    weights = [numpy_helper.from_array(floats((2, 1, 3, 3)), "w"),
               numpy_helper.from_array(floats((2,)), "b"),
               numpy_helper.from_array(np.float16([[[0.5]]]), "half")]
    save(helper.make_graph(nodes, "convolution", [value("x", ["batch", 1, 4, 4])],
                           [value("y", ["batch", 2])], weights, value_info=[
                               value("c", ["batch", 2, 4, 4])]), "convolution.onnx", 13)


def typed_data():
    """Weights in the typed fields instead of raw bytes, integers among them; old-style inputs."""
    w = helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1, 2, 3, 4, 5, 6])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 3])
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["f"]),
             helper.make_node("MatMul", ["f", "w"], ["y"]),
             helper.make_node("Constant", [], ["k"], value=helper.make_tensor(
                 "k", TensorProto.DOUBLE, [2], [0.5, 2.5])),
             helper.make_node("Cast", ["k"], ["kf"], to=TensorProto.FLOAT),
             helper.make_node("Add", ["y", "kf"], ["z"])]
    save(helper.make_graph(nodes, "typed", [value("x", [1, 3]), value("w", [3, 2])],
                           [value("z", [1, 2])], [w, shape]), "typed_data.onnx", 13)


def nested():
    """Graphs inside attributes, strings, and lists of numbers."""
    then = helper.make_graph([helper.make_node("Identity", ["x"], ["a"])], "then", [],
                             [value("a", [2])])
    other = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "else", [],
                              [value("b", [2])])
    nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=0),
             helper.make_node("Cast", ["m"], ["flag"], to=TensorProto.BOOL),
             helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other)]
    save(helper.make_graph(nodes, "nested", [value("x", [2])], [value("y", [2])],
                           doc_string="seed"), "nested.onnx", 13)


def main():
    os.makedirs(os.path.join(SEEDS, "onnx"), exist_ok=True)
    convolution()
    typed_data()
    nested()


if __name__ == "__main__":
    main()
