"""Writes a ResNet-50-shaped network with random weights as ONNX: bottlenecks with batch normalisation folded into the
convolutions, as exporters write it. Only its speed is of interest."""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def build(path, seed=0):
    rng = np.random.default_rng(seed)
    nodes, weights = [], []

    def conv(x, out_channels, in_channels, kernel, stride, name, relu=True):
        fan = in_channels * kernel * kernel
        w = (rng.standard_normal((out_channels, in_channels, kernel, kernel)) * np.sqrt(2 / fan)).astype(np.float32)
        b = np.zeros(out_channels, np.float32)
        weights.append(numpy_helper.from_array(w, name + ".weight"))
        weights.append(numpy_helper.from_array(b, name + ".bias"))
        pad = kernel // 2
        nodes.append(helper.make_node("Conv", [x, name + ".weight", name + ".bias"], [name], name=name,
                                      kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4))
        if not relu:
            return name
        nodes.append(helper.make_node("Relu", [name], [name + "_relu"], name=name + "_relu"))
        return name + "_relu"

    x = conv("input", 64, 3, 7, 2, "stem")
    nodes.append(helper.make_node("MaxPool", [x], ["pool"], name="pool", kernel_shape=[3, 3], strides=[2, 2],
                                  pads=[1, 1, 1, 1]))
    x, channels = "pool", 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            stride = 2 if stage and not block else 1
            y = conv(x, width, channels, 1, 1, name + ".conv1")
            y = conv(y, width, width, 3, stride, name + ".conv2")
            y = conv(y, width * 4, width, 1, 1, name + ".conv3", relu=False)
            if not block:
                x = conv(x, width * 4, channels, 1, stride, name + ".downsample", relu=False)
            nodes.append(helper.make_node("Add", [y, x], [name + ".add"], name=name + ".add"))
            nodes.append(helper.make_node("Relu", [name + ".add"], [name + ".out"], name=name + ".out"))
            x, channels = name + ".out", width * 4
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["gap"], name="gap"))
    nodes.append(helper.make_node("Flatten", ["gap"], ["flat"], name="flat"))
    weights.append(numpy_helper.from_array((rng.standard_normal((1000, 2048)) * 0.02).astype(np.float32), "fc.weight"))
    weights.append(numpy_helper.from_array(np.zeros(1000, np.float32), "fc.bias"))
    nodes.append(helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["logits"], name="fc", transB=1))
    graph = helper.make_graph(
        nodes, "resnet50-shaped", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1000])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


if __name__ == "__main__":
    build(sys.argv[1])
