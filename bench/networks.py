"""The networks that the benchmarks run: files of DATA, and shapes with random weights made in a folder."""
import os

import resnet50


def convolutional(data, folder):
    """Name -> path of an ONNX file."""
    path = os.path.join(folder, "resnet50.onnx")
    if not os.path.exists(path):
        resnet50.build(path)
    return {
        "SqueezeNet 1.1": f"{data}/models/squeezenet1.1/SqueezeNet1.1_fp32_derived.onnx",
        "MobileNet v1 0.5/160": f"{data}/models/mobilenet_v1_0.5_160/mobilenet_v1_0.5_160_fp32_derived.onnx",
        "ResNet-20": f"{data}/models/resnet20_cifar10/resnet20_bn.onnx",
        "ResNet-50 shape": path,
    }
