#!/usr/bin/env python3
"""Sign quadrants of the gated units of tests/fixtures/families/llama, from numpy 2.4 over what
torch's modules saw, as tests/recording/golden_quadrants.h.

    python3 oracles/quadrants.py | clang-format > tests/recording/golden_quadrants.h

Each text runs alone. Fails where a sign or an order hangs on rounding. Made with torch 2.13.0,
transformers 5.24.0.
"""

import os

import numpy as np
import torch
import transformers as tf

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYERS, UNITS, K = 2, 40, 2
SIGNS = [(1, 1), (1, -1), (-1, 1), (-1, -1)]

rng = np.random.default_rng(7)
texts = [rng.integers(0, 53, size=n) for n in [5, 9, 1, 3, 9, 2, 7, 4, 6, 8, 2, 9, 5, 3, 1, 7, 6, 4, 8]]
for text, first in zip(texts, rng.permutation(53)):
    text[0] = first  # two that begin alike would tie there
model = tf.LlamaForCausalLM.from_pretrained(os.path.join(ROOT, "tests/fixtures/families/llama")).eval()
seen = {}
for i, layer in enumerate(model.model.layers):
    for name, part in (("gate", layer.mlp.gate_proj), ("linear", layer.mlp.up_proj)):
        part.register_forward_hook(lambda m, x, y, key=(i, name): seen.__setitem__(key, y[0].numpy()))
    layer.mlp.down_proj.register_forward_hook(
        lambda m, x, y, key=(i, "product"): seen.__setitem__(key, x[0][0].numpy()))
samples = {(i, n): [] for i in range(LAYERS) for n in ("gate", "linear", "product")}
for ids in texts:
    with torch.no_grad():
        model(torch.tensor(ids)[None])
    for key, rows in samples.items():
        rows.append(seen[key].astype(np.float64))

count = np.zeros((LAYERS, UNITS, 4), int)
value = np.full((LAYERS, 4, UNITS, K), np.nan)
stimulus = np.full((LAYERS, 4, UNITS, K), -1)
position = np.full((LAYERS, 4, UNITS, K), -1)
for i in range(LAYERS):
    assert min(np.abs(x).min() for n in ("gate", "linear") for x in samples[i, n]) > 2e-6
    for q, (g, l) in enumerate(SIGNS):
        for u in range(UNITS):
            best = []
            for s in range(len(texts)):
                inside = ((np.sign(samples[i, "gate"][s][:, u]) == g) &
                          (np.sign(samples[i, "linear"][s][:, u]) == l))
                count[i, u, q] += inside.sum()
                if inside.any():
                    size = np.where(inside, np.abs(samples[i, "product"][s][:, u]), -1)
                    best.append((-size.max(), s, size.argmax()))
            best.sort()
            for (a, _, _), (b, _, _) in zip(best[:K], best[1:K + 1]):
                assert b - a > 1e-6 * -a, (i, q, u)
            for k, (_, s, p) in enumerate(best[:K]):
                stimulus[i, q, u, k], position[i, q, u, k] = s, p
                value[i, q, u, k] = samples[i, "product"][s][p, u]


def show(kind, name, array, text):
    flat = np.asarray(array).ravel()
    print(f"static const {kind} {name}[{len(flat)}] = {{")
    line = "   "
    for item in flat:
        word = " " + text(item) + ","
        if len(line) + len(word) > 100:
            print(line)
            line = "   "
        line += word
    print(line)
    print("};")


print("/* Made by oracles/quadrants.py with torch 2.13.0 and numpy. */")
print(f"enum {{ N_TEXTS = {len(texts)}, N_LAYERS = {LAYERS}, N_UNITS = {UNITS}, TOP_K = {K} }};")
print("static const char texts[] =")
print("\n".join('    "' + " ".join(map(str, ids)) + '\\n"' for ids in texts) + ";")
show("int64_t", "count", count, str)
show("int64_t", "top_stimulus", stimulus, str)
show("int64_t", "top_position", position, str)
show("float", "top_value", value, lambda v: "NAN" if np.isnan(v) else f"{v:.8e}f")
