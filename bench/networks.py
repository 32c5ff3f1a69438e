"""The networks that the benchmarks run: files of DATA, and shapes with random weights made in a folder."""
import os

import numpy as np
import onnx

import resnet50
import transformer

DATA = os.environ.get("NISSL_DATA", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../shared/data"))


def convolutional(data, folder):
    """Name -> path of an ONNX file, for those whose file is there."""
    path = os.path.join(folder, "resnet50.onnx")
    if not os.path.exists(path):
        resnet50.build(path)
    found = {
        "SqueezeNet 1.1": f"{data}/models/squeezenet1.1/SqueezeNet1.1_fp32_derived.onnx",
        "MobileNet v1 0.5/160": f"{data}/models/mobilenet_v1_0.5_160/mobilenet_v1_0.5_160_fp32_derived.onnx",
        "ResNet-20": f"{data}/models/resnet20_cifar10/resnet20_bn.onnx",
        "ResNet-50 shape": path,
    }
    return {name: path for name, path in found.items() if os.path.exists(path)}


def transformers(folder):
    """Name -> (path, kind, tokens, batches)."""
    made = {"ViT-B/16 shape": ("vit", 197, (1, 8)), "GPT-2 shape, 128 tokens": ("gpt2", 128, (1, 8)),
            "GPT-2 shape, 512 tokens": ("gpt2", 512, (1,))}
    result = {}
    for name, (kind, tokens, batches) in made.items():
        path = os.path.join(folder, f"{kind}{tokens}.onnx")
        if not os.path.exists(path):
            transformer.build(kind, path, tokens)
        result[name] = path, kind, tokens, batches
    return result


def input_of(path, batch, seed=1):
    """An array that a network of this module takes."""
    given = [v for v in onnx.load(path, load_external_data=False).graph.input][0].type.tensor_type
    shape = [batch] + [d.dim_value for d in given.shape.dim][1:]
    rng = np.random.default_rng(seed)
    if given.elem_type == onnx.TensorProto.INT64:
        return rng.integers(0, transformer.VOCABULARY, shape)
    return rng.uniform(-0.5, 0.5, shape).astype(np.float32)
