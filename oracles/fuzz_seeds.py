#!/usr/bin/env python3
"""Writes the small files in tests/fuzz/seeds that the fuzz targets start from.

Made with onnx 1.23.2, numpy 2.4.6. Usage: python3 oracles/fuzz_seeds.py
"""

import json
import os
import struct

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEEDS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "fuzz",
                     "seeds")


def save(graph, name, opset, folder="onnx", **extra):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)],
                              producer_name="fuzz_seeds", ir_version=8, **extra)
    if folder == "onnx":  # the others leave the shapes of their outputs open
        onnx.checker.check_model(model)
    onnx.save(model, os.path.join(SEEDS, folder, name))


def floats(shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 16


def noise(*shape):
    return np.sin(np.arange(1, 1 + np.prod(shape), dtype=np.float32) ** 2).reshape(shape)


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


def network(name, nodes, inputs, outputs, **constants):
    """A graph for tests/fuzz/fuzz_network.c: outputs without a shape, constants as initialisers."""
    tensors = [numpy_helper.from_array(np.array(v), k) for k, v in constants.items()]
    made = [helper.make_node(op, ["" if n == "-" else n for n in i.split()], o.split(), **a)
            for op, i, o, a in nodes]
    save(helper.make_graph(made, name, inputs, [value(o, None) for o in outputs], tensors),
         name + ".onnx", 18, folder="network")


def networks():
    """Operators that the networks of tests/fixtures do not have."""
    i64 = np.int64
    x = [value("x", ["batch", 4, 6])]
    network("pick", [
        ("GatherElements", "x index", "a", {"axis": 1}),
        ("GatherND", "x pairs", "b", {"batch_dims": 1}),
        ("Compress", "x keep", "c", {"axis": 2}),
        ("ReverseSequence", "x lengths", "d", {"batch_axis": 0, "time_axis": 1}),
        ("NonZero", "keep", "e", {}),
    ], [value("x", [2, 4, 6])], ["a", "b", "c", "d", "e"],
        index=np.ones((2, 2, 6), i64), pairs=i64([[[1, 2], [3, -1]], [[0, 0], [1, 1]]]),
        keep=[True, False, True], lengths=i64([2, 4]))
    network("scatter", [
        ("ScatterND", "x places rows", "a", {"reduction": "add"}),
        ("ScatterElements", "a index entries", "b", {"axis": -1, "reduction": "max"}),
        ("OneHot", "where depth hot", "c", {"axis": 1}),
    ], [value("x", [2, 4, 6])], ["b", "c"], places=i64([[[0, 1], [1, 3]]]), rows=floats((1, 2, 6)),
        index=np.zeros((2, 1, 2), i64), entries=floats((2, 1, 2)), where=i64([0, -1, 2]),
        depth=i64(3), hot=np.float32([0, 1]))
    network("order", [
        ("TopK", "x k", "a b", {"axis": 1, "largest": 0}),
        ("ArgMax", "x", "c", {"axis": 2, "keepdims": 0, "select_last_index": 1}),
        ("ArgMin", "x", "d", {"axis": 1}),
        ("CumSum", "x axis", "e", {"exclusive": 1, "reverse": 1}),
        ("Trilu", "x", "f", {"upper": 0}),
    ], x, ["a", "b", "c", "d", "e", "f"], k=i64([2]), axis=i64(1))
    network("view", [
        ("Split", "x", "a b c", {"axis": 2, "num_outputs": 3}),
        ("Expand", "a shape", "d", {}),
        ("Tile", "b repeats", "e", {}),
        ("Range", "zero four one", "f", {}),
        ("Reshape", "x four_axes", "g", {}),
        ("DepthToSpace", "g", "h", {"blocksize": 2}),
        ("SpaceToDepth", "h", "i", {"blocksize": 2}),
        ("Add", "d c", "y", {}),
    ], x, ["y", "e", "f", "i"], shape=i64([3, 1, 4, 2]), repeats=i64([1, 2, 3]), zero=i64(0),
        four=i64(4), one=i64(1), four_axes=i64([0, 4, 2, 3]))
    network("cast", [
        ("Cast", "x", "a", {"to": TensorProto.FLOAT16}),
        ("CastLike", "k a", "b", {}),
        ("Cast", "a", "c", {"to": TensorProto.UINT64}),
        ("BitwiseNot", "c", "d", {}),
        ("BitShift", "d c", "e", {"direction": "RIGHT"}),
        ("Clip", "x low", "f", {}),
        ("EyeLike", "k", "g", {"k": 1}),
        ("Size", "x", "h", {}),
        ("Mul", "b b", "i", {}),
    ], x, ["e", "f", "g", "h", "i"], k=np.float64([[1, 2], [3, 4]]), low=np.float32(0.5))
    network("norm", [
        ("LayerNormalization", "x scale", "a", {"axis": -1}),
        ("MatMul", "a w", "b", {}),
        ("Softmax", "b", "c", {"axis": -1}),
        ("Transpose", "c", "d", {"perm": [0, 2, 1]}),
        ("ReduceMax", "d axes", "e", {"keepdims": 0}),
        ("Einsum", "c a", "f", {"equation": "bij,bik->bjk"}),
        ("Where", "truth e e", "g", {}),
    ], x, ["f", "g"], scale=floats((6,)), w=floats((6, 4)), axes=i64([1]), truth=np.array(True))
    heads = {"perm": [0, 2, 1, 3]}
    network("transformer", [  # one block, its second norm written out
        ("Gather", "table ids", "x0", {}),
        ("LayerNormalization", "x0 scale shift", "n1", {"axis": -1}),
        ("MatMul", "n1 wq", "q0", {}), ("Reshape", "q0 split", "q1", {}),
        ("MatMul", "n1 wk", "k0", {}), ("Reshape", "k0 split", "k1", {}),
        ("MatMul", "n1 wv", "v0", {}), ("Reshape", "v0 split", "v1", {}),
        ("Transpose", "q1", "q", heads), ("Transpose", "k1", "k", {"perm": [0, 2, 3, 1]}),
        ("Transpose", "v1", "v", heads), ("MatMul", "q k", "s", {}),
        ("Softmax", "s", "p", {"axis": -1}), ("MatMul", "p v", "z0", {}),
        ("Transpose", "z0", "z", heads), ("Reshape", "z joined", "z1", {}),
        ("MatMul", "z1 wo", "a", {}), ("Add", "x0 a", "x1", {}),
        ("ReduceMean", "x1 last", "m", {}), ("Sub", "x1 m", "d", {}), ("Mul", "d d", "dd", {}),
        ("ReduceMean", "dd last", "var", {}), ("Sqrt", "var", "std", {}),
        ("Div", "d std", "n2", {}), ("MatMul", "n2 wu", "u", {}), ("Relu", "u", "post", {}),
        ("MatMul", "post wd", "mlp", {}), ("Add", "x1 mlp", "x2", {}),
        ("MatMul", "x2 wl", "logits", {}),
    ], [value("ids", ["batch", "tokens"], TensorProto.INT64)], ["logits"],
        table=noise(11, 4), scale=np.ones(4, np.float32), shift=np.zeros(4, np.float32),
        wq=noise(4, 4), wk=noise(4, 4), wv=noise(4, 4), wo=noise(4, 4), wu=noise(4, 6),
        wd=noise(6, 4), wl=noise(4, 11), split=i64([0, 0, 2, 2]), joined=i64([0, 0, 4]),
        last=i64([-1]))
    network("image", [
        ("ConvTranspose", "x w", "a", {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("InstanceNormalization", "a scale shift", "b", {}),
        ("Resize", "b - scales", "c", {"mode": "linear"}),
        ("PRelu", "c slope", "d", {}),
    ], [value("x", ["batch", 2, 4, 4])], ["d"], w=floats((2, 3, 3, 3)), scale=floats((3,)),
        shift=floats((3,)), scales=np.float32([1, 1, 2, 2]), slope=floats((3, 1, 1)))
    network("recurrent", [
        ("LSTM", "x w r", "a b c", {"hidden_size": 3}),
        ("GRU", "x wg rg", "d", {"hidden_size": 3, "direction": "reverse"}),
    ], [value("x", [5, 2, 4])], ["a", "b", "c", "d"], w=floats((1, 12, 4)), r=floats((1, 12, 3)),
        wg=floats((1, 9, 4)), rg=floats((1, 9, 3)))


def write(folder, name, data):
    with open(os.path.join(SEEDS, folder, name), "wb") as file:
        file.write(data)


def safetensors():
    """Escapes, metadata, an empty tensor and a scalar; then a plain one."""
    for name, header, n_data in (
            ("forms", ' {"a\\u00e9\\ud83d\\ude00": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}, '
             '"__metadata__": {"format": "pt"}, '
             '"none": {"data_offsets": [3, 3], "dtype": "BF16", "shape": [0, 4]}, '
             '"one": {"shape": [], "dtype": "F16", "data_offsets": [3, 5]}}   ', 5),
            ("plain", '{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},'
             '"b":{"dtype":"F32","shape":[2],"data_offsets":[24,32]}}', 32)):
        text = header.encode()
        write("safetensors", name, struct.pack("<Q", len(text)) + text + bytes(range(n_data)))


def llama2c():
    """One layer, with a shared classifier and with its own."""
    for name, vocab in (("shared", 3), ("own", -3)):
        header = struct.pack("<7i", 4, 4, 1, 2, 1, vocab, 3)
        count = 12 + 4 + 16 + 8 + 8 + 16 + 4 + 16 * 3 + 4 + 2 * 3 + (12 if vocab < 0 else 0)
        write("llama2c", name, header + floats((count,)).tobytes())


def configs():
    small = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
             "num_attention_heads": 2, "vocab_size": 11}
    for name, config in (
            ("gpt2", {"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2,
                      "vocab_size": 11, "activation_function": "gelu_new", "n_inner": None}),
            ("neox", {"model_type": "gpt_neox", "rotary_pct": 0.5, "rotary_emb_base": 10000,
                      "use_parallel_residual": True, **small}),
            ("llama", {"model_type": "llama", "num_key_value_heads": 1, "rms_norm_eps": 1e-5,
                       "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
                                        "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                        "original_max_position_embeddings": 64}, **small}),
            ("qwen3", {"model_type": "qwen3", "head_dim": 4, "tie_word_embeddings": True,
                       "layer_types": ["full_attention", "full_attention"],
                       "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}, **small}),
            ("bert", {"model_type": "bert", "layer_norm_eps": 1e-12, "hidden_act": "gelu",
                      "position_embedding_type": "absolute", **small})):
        write("config", name + ".json", json.dumps(config).encode())


def main():
    for folder in ("onnx", "network", "safetensors", "llama2c", "config"):
        os.makedirs(os.path.join(SEEDS, folder), exist_ok=True)
    safetensors()
    llama2c()
    configs()
    networks()
    convolution()
    typed_data()
    nested()


if __name__ == "__main__":
    main()
