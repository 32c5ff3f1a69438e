#!/usr/bin/env python3
"""Exports models of tests/fixtures/families to ONNX, beside what they compute (families.py).

One exporter and opset each; names of files tell which. To keep the files small, documentation and
metadata, which only say where in Python a node comes from, are left out, names of values between
nodes are short, and only matrix products keep the names of their nodes.

Made with torch 2.13.0, transformers 5.24.0, onnx 1.23.2. Usage: python3 oracles/families_onnx.py
"""

import logging
import os
import warnings

import onnx
import torch
import transformers as tf

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
FIXTURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests",
                        "fixtures", "families")
EXPORTS = [("gpt2", tf.GPT2LMHeadModel, "torchscript", 17),
           ("neox", tf.GPTNeoXForCausalLM, "dynamo", 18),
           ("llama", tf.LlamaForCausalLM, "torchscript", 13),
           ("qwen3", tf.Qwen3ForCausalLM, "dynamo", 20),
           ("bert", tf.BertForMaskedLM, "torchscript", 13)]


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        more = {} if self.model.config.model_type == "bert" else {"use_cache": False}
        return self.model(input_ids=ids, attention_mask=torch.ones_like(ids), **more).logits


def strip(model):
    model.doc_string = ""
    del model.metadata_props[:]
    for graph in [model.graph, *model.functions]:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for part in [*graph.node, *graph.value_info, *getattr(graph, "input", [])]:
            if hasattr(part, "doc_string"):
                part.doc_string = ""
            if hasattr(part, "metadata_props"):
                del part.metadata_props[:]
    del model.graph.value_info[:]
    kept = {v.name for v in [*model.graph.input, *model.graph.output]}
    kept |= {t.name for t in model.graph.initializer}
    short = {}
    for node in model.graph.node:
        if node.op_type not in ("MatMul", "Gemm"):
            node.name = ""
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name and name not in kept:
                    names[i] = short.setdefault(name, f"v{len(short)}")
    return model


for name, kind, exporter, opset in EXPORTS:
    folder = os.path.join(FIXTURES, name)
    path = os.path.join(folder, f"{exporter}_{opset}.onnx")
    model = Logits(kind.from_pretrained(folder, attn_implementation="eager",
                                        dtype=torch.float32)).eval()
    ids = torch.randint(0, 53, (2, 9))
    names = dict(input_names=["input_ids"], output_names=["output"], opset_version=opset)
    if exporter == "torchscript":
        torch.onnx.export(model, (ids,), path, dynamo=False,
                          dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}}, **names)
    else:
        axes = {0: torch.export.Dim("batch", min=1, max=64),
                1: torch.export.Dim("tokens", min=2, max=32)}
        torch.onnx.export(model, (ids,), path, dynamo=True, verbose=False, external_data=False,
                          dynamic_shapes=(axes,), **names)
    onnx.save(strip(onnx.load(path)), path)
    print(path, os.path.getsize(path))
