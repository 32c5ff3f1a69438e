#!/usr/bin/env python3
"""Exports transformers and vision networks with random weights, and tabulates parity.

For every family, exporter and opset: exports with torch.onnx, stores an input and torch's output,
runs `nissl verify`, and writes the table of docs/parity.md: the largest difference as a fraction of
the range of the output, and how many names of blocks were recognised.

    python3 oracles/exports.py --nissl build/nissl [--out build-exports] [--table docs/parity.md]
                               [FAMILY...]

Made with torch 2.13.0, transformers 5.24.0, onnx 1.23.2, onnxscript 0.7.2.
"""

import argparse
import contextlib
import io
import json
import logging
import math
import os
import subprocess
import warnings

import numpy as np
import torch
import transformers as tf
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
VARIANTS = [("TorchScript", 13), ("TorchScript", 17), ("TorchScript", 18), ("dynamo", 18),
            ("dynamo", 20)]
common = dict(vocab_size=101, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
              max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=None)
gated = dict(common, intermediate_size=80, num_key_value_heads=2)
gemma = dict(gated, head_dim=8)


class Block(nn.Module):
    """A ViT block, attention written out."""

    def __init__(self, d, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(d, 1e-6), nn.LayerNorm(d, 1e-6)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.heads = heads

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(self.ln_1(x)).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        p = (q @ k.transpose(-1, -2) / math.sqrt(d // self.heads)).softmax(-1)
        x = x + self.out((p @ v).transpose(1, 2).reshape(b, n, d))
        return x + self.mlp(self.ln_2(x))


class ViT(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.patch = nn.Conv2d(3, d, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, d))
        self.place = nn.Parameter(torch.zeros(1, 17, d))
        self.blocks = nn.Sequential(Block(d, 4), Block(d, 4))
        self.norm, self.head = nn.LayerNorm(d, 1e-6), nn.Linear(d, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NextBlock(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(d, d, 7, padding=3, groups=d))
        self.norm, self.grow = nn.LayerNorm(d, 1e-6), nn.Linear(d, 4 * d)
        self.act, self.shrink = nn.GELU(), nn.Linear(4 * d, d)
        self.scale = nn.Parameter(torch.ones(d, 1, 1))

    def forward(self, x):
        y = self.norm(self.block(x).permute(0, 2, 3, 1))
        return x + self.scale * self.shrink(self.act(self.grow(y))).permute(0, 3, 1, 2)


class ConvNeXt(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 16, 4, 4), ChannelNorm(16, 1e-6), NextBlock(16),
                         ChannelNorm(16, 1e-6), nn.Conv2d(16, 32, 2, 2), NextBlock(32),
                         nn.AdaptiveAvgPool2d(1), ChannelNorm(32, 1e-6), nn.Flatten(),
                         nn.Linear(32, 10))


class Logits(nn.Module):
    """One input, one output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        more = {} if self.model.config.model_type == "bert" else {"use_cache": False}
        # a mask keeps the search for packed sequences, which TorchScript cannot export, out
        out = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), **more)
        return out["logits"] if "logits" in out else out["last_hidden_state"]


def language(kind, config):
    def make():
        config._attn_implementation = "eager"
        return Logits(kind(config))
    return make


FAMILIES = {
    "GPT-2": language(tf.GPT2LMHeadModel, tf.GPT2Config(
        n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=101)),
    "Pythia": language(tf.GPTNeoXForCausalLM, tf.GPTNeoXConfig(**common, intermediate_size=128)),
    "BERT": language(tf.BertForMaskedLM, tf.BertConfig(
        **dict(common, pad_token_id=0), intermediate_size=128)),
    "Llama": language(tf.LlamaForCausalLM, tf.LlamaConfig(**gated)),
    "Qwen2": language(tf.Qwen2ForCausalLM, tf.Qwen2Config(**gated)),
    "Qwen3": language(tf.Qwen3ForCausalLM, tf.Qwen3Config(**gated, head_dim=8)),
    "Gemma": language(tf.GemmaForCausalLM, tf.GemmaConfig(**gemma)),
    "Gemma 2": language(tf.Gemma2ForCausalLM, tf.Gemma2Config(
        **gemma, sliding_window=4, query_pre_attn_scalar=8)),
    "Gemma 3": language(tf.Gemma3ForCausalLM, tf.Gemma3TextConfig(
        **gemma, sliding_window=4, query_pre_attn_scalar=8)),
    "ViT": ViT,
    "ConvNeXt": ConvNeXt,
}


def randomise(model):
    for name, p in model.named_parameters():
        norm = "norm" in name.lower() or ".ln_" in name
        fan = p[0].numel() if p.dim() > 1 else 1
        spread = 0.2 if p.dim() == 1 else 1.0 / fan ** 0.5 * (3 if "emb" in name else 1)
        with torch.no_grad():
            p.normal_(0, spread).add_(1.0 if norm and name.endswith("weight") else 0.0)


def export(model, x, path, exporter, opset):
    ids = x.dtype == torch.int64
    names = {"input_names": ["input_ids" if ids else "image"], "output_names": ["logits"]}
    if exporter == "TorchScript":
        axes = {0: "batch", 1: "tokens"} if ids else {0: "batch"}
        torch.onnx.export(model, (x,), path, opset_version=opset, dynamo=False,
                          dynamic_axes={names["input_names"][0]: axes}, **names)
    else:
        shapes = ({0: torch.export.Dim("batch", min=1, max=64),
                   1: torch.export.Dim("tokens", min=2, max=64)} if ids
                  else {0: torch.export.Dim("batch", min=1, max=64)},)
        torch.onnx.export(model, (x,), path, opset_version=opset, dynamo=True, verbose=False,
                          external_data=False, dynamic_shapes=shapes, **names)


def run(name, exporter, opset, out, nissl):
    """The largest difference as a fraction of the range, or what stood in the way."""
    folder = os.path.join(out, f"{name}-{exporter}-{opset}".replace(" ", ""))
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(1)
    model = FAMILIES[name]().eval()
    randomise(model)
    ids = not name.startswith(("ViT", "ConvNeXt"))
    x = torch.randint(0, 101, (3, 11)) if ids else torch.randn(3, 3, 32, 32)
    path = os.path.join(folder, "model.onnx")
    other = torch.randint(0, 101, (2, 7)) if ids else torch.randn(2, 3, 32, 32)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            export(model, x, path, exporter, opset)
    except Exception as problem:  # pylint: disable=broad-except
        return "no export: " + str(problem).strip().split("\n")[0][:90]
    with torch.no_grad():
        y = model(other).numpy()  # of another batch and length than was exported with
    np.save(os.path.join(folder, "input.npy"), other.numpy())
    np.save(os.path.join(folder, "output.npy"), y)
    done = subprocess.run([nissl, "verify", path, "--reference", folder, "--json"],
                          capture_output=True, text=True, check=False)
    try:
        rows = json.loads(done.stdout)
    except json.JSONDecodeError:
        return done.stderr.strip().split("\n")[-1]
    return rows["worst_ratio"], count_names(nissl, path)


def count_names(nissl, path):
    """How many sites of blocks have a name that people use."""
    sites = json.loads(subprocess.run([nissl, "inspect", path, "--json"], capture_output=True,
                                      text=True, check=True).stdout)["table"]
    names = [c["name"] for c in sites["columns"]]
    if "aliases" not in names:
        return 0
    aliases = " ".join(row[names.index("aliases")] for row in sites["rows"]).split()
    return sum(a.startswith("blocks.") for a in aliases)


def cell(result):
    return f"{result[0]:.1e}, {result[1]}" if isinstance(result, tuple) else result


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nissl", default="build/nissl")
    parser.add_argument("--out", default="build-exports")
    parser.add_argument("--table")
    parser.add_argument("families", nargs="*")
    args = parser.parse_args()
    lines = ["| family | " + " | ".join(f"{e} {o}" for e, o in VARIANTS) + " |",
             "|---" * (len(VARIANTS) + 1) + "|"]
    for name in args.families or FAMILIES:
        results = [run(name, e, o, args.out, args.nissl) for e, o in VARIANTS]
        lines.append(f"| {name} | " + " | ".join(map(cell, results)) + " |")
        print(lines[-1], flush=True)
    if args.table:
        with open(args.table, encoding="utf-8") as file:
            before, _, rest = file.read().partition("<!-- exports -->\n")
        after = rest.partition("<!-- end -->\n")[2]
        with open(args.table, "w", encoding="utf-8") as file:
            file.write(before + "<!-- exports -->\n" + "\n".join(lines) + "\n<!-- end -->\n" + after)


if __name__ == "__main__":
    main()
