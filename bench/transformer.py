"""Writes networks of the shape of GPT-2 small and ViT-B/16 with random weights as ONNX, as torch exports them (opset 17:
LayerNormalization whole, GELU in its parts, attention as products and a softmax), and makes the same networks as torch
modules with fused attention. Only their speed is of interest."""
import math
import sys

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, LAYERS = 768, 12, 12
GPT2_TOKENS, VOCABULARY = 1024, 50257
IMAGE, PATCH, CLASSES = 224, 16, 1000


def weights_of(kind, seed=0):
    """Name -> array; products are x @ w."""
    rng = np.random.default_rng(seed)

    def normal(*shape, scale=0.02):
        return (rng.standard_normal(shape, np.float32) * np.float32(scale))

    w = {}
    if kind == "gpt2":
        w["wte"], w["wpe"] = normal(VOCABULARY, WIDTH), normal(GPT2_TOKENS, WIDTH, scale=0.01)
        w["head"] = normal(WIDTH, VOCABULARY)
    else:
        w["patch.weight"], w["patch.bias"] = normal(WIDTH, 3, PATCH, PATCH), normal(WIDTH)
        w["class"], w["positions"] = normal(1, 1, WIDTH), normal(1, (IMAGE // PATCH) ** 2 + 1, WIDTH)
        w["head"], w["head.bias"] = normal(WIDTH, CLASSES), normal(CLASSES)
    for i in range(LAYERS):
        for name, n_in, n_out in (("q", WIDTH, WIDTH), ("k", WIDTH, WIDTH), ("v", WIDTH, WIDTH), ("o", WIDTH, WIDTH),
                                  ("up", WIDTH, 4 * WIDTH), ("down", 4 * WIDTH, WIDTH)):
            w[f"{i}.{name}"], w[f"{i}.{name}.bias"] = normal(n_in, n_out), normal(n_out)
        for name in ("norm1", "norm2"):
            w[f"{i}.{name}"], w[f"{i}.{name}.bias"] = 1 + normal(WIDTH), normal(WIDTH)
    w["norm"], w["norm.bias"] = 1 + normal(WIDTH), normal(WIDTH)
    return w


def build(kind, path, tokens=128):
    """kind: "gpt2" (ids [batch, tokens] -> logits) or "vit" (image [batch, 3, 224, 224] -> logits)."""
    weights, nodes = weights_of(kind), []
    constants = {"half": np.float32(0.5), "one": np.float32(1), "sqrt2": np.float32(math.sqrt(2)),
                 "three": np.float32(3), "cubic": np.float32(0.044715), "slope": np.float32(math.sqrt(2 / math.pi)),
                 "scale": np.float32(math.sqrt(WIDTH // HEADS))}

    def node(op, inputs, name, **attributes):
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def linear(x, name):
        return node("Add", [node("MatMul", [x, name], name + ".product"), name + ".bias"], name + ".out")

    def norm(x, name):
        return node("LayerNormalization", [x, name, name + ".bias"], name + ".out", axis=-1, epsilon=1e-5)

    def gelu(x, i):
        if kind == "gpt2":  # the tanh form of GPT-2
            cube = node("Mul", [node("Pow", [x, "three"], f"{i}.cube"), "cubic"], f"{i}.cubic")
            inner = node("Mul", [node("Add", [x, cube], f"{i}.inner"), "slope"], f"{i}.slope")
            gate = node("Add", [node("Tanh", [inner], f"{i}.tanh"), "one"], f"{i}.gate")
            return node("Mul", [node("Mul", [x, "half"], f"{i}.half"), gate], f"{i}.gelu")
        erf = node("Erf", [node("Div", [x, "sqrt2"], f"{i}.div")], f"{i}.erf")
        gated = node("Mul", [x, node("Add", [erf, "one"], f"{i}.gate")], f"{i}.gated")
        return node("Mul", [gated, "half"], f"{i}.gelu")

    if kind == "gpt2":
        constants["positions"] = weights.pop("wpe")[None, :tokens]
        x = node("Add", [node("Gather", ["wte", "input"], "embedding"), "positions"], "embedded")
        constants["mask"] = np.triu(np.full((tokens, tokens), np.finfo(np.float32).min, np.float32), 1)[None, None]
        given = helper.make_tensor_value_info("input", TensorProto.INT64, ["batch", tokens])
        result = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", tokens, VOCABULARY])
    else:
        tokens = (IMAGE // PATCH) ** 2 + 1
        constants["flat"] = np.array([0, WIDTH, -1], np.int64)
        constants["class_shape"] = np.array([1, 1, WIDTH], np.int64)
        x = node("Conv", ["input", "patch.weight", "patch.bias"], "patches", kernel_shape=[PATCH] * 2,
                 strides=[PATCH] * 2)
        x = node("Transpose", [node("Reshape", [x, "flat"], "patches.flat")], "patches.last", perm=[0, 2, 1])
        constants["first"], constants["last"] = np.array([0], np.int64), np.array([-1], np.int64)
        node("Shape", ["input"], "shape")
        node("Gather", ["shape", "first"], "batch", axis=0)
        constants["rest"] = np.array([1, WIDTH], np.int64)
        node("Concat", ["batch", "rest"], "class.shape", axis=0)
        x = node("Concat", [node("Expand", ["class", "class.shape"], "class.all"), x], "sequence", axis=1)
        x = node("Add", [x, "positions"], "embedded")
        given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, IMAGE, IMAGE])
        result = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])
    constants["heads"] = np.array([0, tokens, HEADS, WIDTH // HEADS], np.int64)
    constants["merged"] = np.array([0, tokens, WIDTH], np.int64)
    for i in range(LAYERS):
        y = norm(x, f"{i}.norm1")
        parts = {}
        for name, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            split = node("Reshape", [linear(y, f"{i}.{name}"), "heads"], f"{i}.{name}.split")
            parts[name] = node("Transpose", [split], f"{i}.{name}.heads", perm=perm)
        scores = node("Div", [node("MatMul", [parts["q"], parts["k"]], f"{i}.product"), "scale"], f"{i}.scores")
        if kind == "gpt2":
            scores = node("Add", [scores, "mask"], f"{i}.masked")
        pattern = node("Softmax", [scores], f"{i}.pattern", axis=-1)
        mixed = node("Transpose", [node("MatMul", [pattern, parts["v"]], f"{i}.mixed")], f"{i}.mixed.last",
                     perm=[0, 2, 1, 3])
        x = node("Add", [x, linear(node("Reshape", [mixed, "merged"], f"{i}.merged"), f"{i}.o")], f"{i}.middle")
        y = gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up"), i)
        x = node("Add", [x, linear(y, f"{i}.down")], f"{i}.end")
    x = norm(x, "norm")
    if kind == "gpt2":
        node("MatMul", [x, "head"], "logits")
    else:
        constants["zero"] = np.array(0, np.int64)
        x = node("Gather", [x, "zero"], "class.token", axis=1)
        node("Gemm", [x, "head", "head.bias"], "logits")
    used = {name for n in nodes for name in n.input}
    tensors = [numpy_helper.from_array(np.array(a, order="C"), name) for name, a in {**weights, **constants}.items()
               if name in used]
    graph = helper.make_graph(nodes, kind + "-shaped", [given], [result], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


class Module(torch.nn.Module):
    """The same network as one would write it in torch for speed."""

    def __init__(self, kind, tokens):
        super().__init__()
        self.kind, self.tokens = kind, tokens
        self.w = {k: torch.from_numpy(np.ascontiguousarray(v.T)) if v.ndim == 2 and k not in ("wte", "wpe")
                  else torch.from_numpy(v) for k, v in weights_of(kind).items()}
        for i in range(LAYERS):  # one product for query, key and value
            self.w[f"{i}.qkv"] = torch.cat([self.w[f"{i}.{n}"] for n in "qkv"])
            self.w[f"{i}.qkv.bias"] = torch.cat([self.w[f"{i}.{n}.bias"] for n in "qkv"])

    def linear(self, x, name):
        return F.linear(x, self.w[name], self.w.get(name + ".bias"))

    def norm(self, x, name):
        return F.layer_norm(x, (WIDTH,), self.w[name], self.w[name + ".bias"], 1e-5)

    @torch.inference_mode()
    def forward(self, x):
        n = x.shape[0]
        if self.kind == "gpt2":
            x = F.embedding(x, self.w["wte"]) + self.w["wpe"][:self.tokens]
        else:
            x = F.conv2d(x, self.w["patch.weight"], self.w["patch.bias"], PATCH).flatten(2).transpose(1, 2)
            x = torch.cat([self.w["class"].expand(n, 1, WIDTH), x], 1) + self.w["positions"]
        for i in range(LAYERS):
            parts = self.linear(self.norm(x, f"{i}.norm1"), f"{i}.qkv").view(n, -1, 3, HEADS, WIDTH // HEADS)
            q, k, v = parts.permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.kind == "gpt2")
            x = x + self.linear(y.transpose(1, 2).reshape(n, -1, WIDTH), f"{i}.o")
            y = F.gelu(self.linear(self.norm(x, f"{i}.norm2"), f"{i}.up"),
                       approximate="tanh" if self.kind == "gpt2" else "none")
            x = x + self.linear(y, f"{i}.down")
        x = self.norm(x, "norm")
        return self.linear(x if self.kind == "gpt2" else x[:, 0], "head")


if __name__ == "__main__":
    build(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 128)
