#!/usr/bin/env python3
"""Greedy continuations of a llama2.c checkpoint, computed with numpy alone, in float64.

Usage: python3 oracles/llama2c.py stories260K.bin tok512.bin. Prints, per prompt, the ids that
tests/network/test_llama2c.c holds, the text, and how far the best score was ahead of the second
at the closest step. Made with numpy 2.4.6.
"""

import struct
import sys

import numpy as np

STEPS = 48
PROMPTS = ["", "Once upon a time", "The sky"]


def load(path):
    data = open(path, "rb").read()
    dim, hidden, layers, heads, kv_heads, vocab, length = struct.unpack("<7i", data[:28])
    numbers = np.frombuffer(data, "<f4", offset=28).astype(np.float64)
    size, kv = dim // heads, dim // heads * kv_heads
    at = 0

    def take(*shape):
        nonlocal at
        n = int(np.prod(shape))
        at += n
        return numbers[at - n:at].reshape(shape)

    w = {"embedding": take(abs(vocab), dim), "att": take(layers, dim),
         "wq": take(layers, dim, dim), "wk": take(layers, kv, dim), "wv": take(layers, kv, dim),
         "wo": take(layers, dim, dim), "ffn": take(layers, dim), "w1": take(layers, hidden, dim),
         "w2": take(layers, dim, hidden), "w3": take(layers, hidden, dim), "final": take(dim)}
    take(2, length, size // 2)  # tables that are recomputed
    w["cls"] = w["embedding"] if vocab > 0 else take(abs(vocab), dim)
    assert at == numbers.size
    return w, heads, kv_heads, size


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def rotate(x, position):
    """x [heads, size]: neighbours turn together."""
    size = x.shape[-1]
    angle = position / 10000 ** (np.arange(0, size, 2) / size)
    c, s = np.cos(angle), np.sin(angle)
    out = np.empty_like(x)
    out[:, 0::2] = x[:, 0::2] * c - x[:, 1::2] * s
    out[:, 1::2] = x[:, 0::2] * s + x[:, 1::2] * c
    return out


class Model:
    """One token at a time with a cache of keys and values, as run.c does it."""

    def __init__(self, path):
        self.w, self.heads, self.kv_heads, self.size = load(path)
        self.keys = [[] for _ in self.w["att"]]
        self.values = [[] for _ in self.w["att"]]
        self.position = 0

    def step(self, token):
        w = self.w
        x = w["embedding"][token]
        for i in range(len(w["att"])):
            y = norm(x, w["att"][i])
            q = rotate((w["wq"][i] @ y).reshape(self.heads, self.size), self.position)
            k = rotate((w["wk"][i] @ y).reshape(self.kv_heads, self.size), self.position)
            self.keys[i].append(k)
            self.values[i].append((w["wv"][i] @ y).reshape(self.kv_heads, self.size))
            keys, values = np.array(self.keys[i]), np.array(self.values[i])
            z = np.empty((self.heads, self.size))
            for h in range(self.heads):
                g = h * self.kv_heads // self.heads
                score = keys[:, g] @ q[h] / np.sqrt(self.size)
                p = np.exp(score - score.max())
                z[h] = p / p.sum() @ values[:, g]
            x = x + w["wo"][i] @ z.ravel()
            y = norm(x, w["ffn"][i])
            gate = w["w1"][i] @ y
            x = x + w["w2"][i] @ (gate / (1 + np.exp(-gate)) * (w["w3"][i] @ y))
        self.position += 1
        return w["cls"] @ norm(x, w["final"])


def tokenizer(path):
    data = open(path, "rb").read()
    at, pieces = 4, []
    while at < len(data):
        score, n = struct.unpack_from("<fi", data, at)
        pieces.append((data[at + 8:at + 8 + n], score))
        at += 8 + n
    return pieces


def encode(pieces, text):
    ids = {p: i for i, (p, _) in enumerate(pieces)}
    tokens = [1]
    if text:
        tokens += [ids[c.encode()] for c in " " + text]
    while True:
        pairs = [(pieces[ids[p]][1], i) for i in range(1, len(tokens) - 1)
                 for p in [pieces[tokens[i]][0] + pieces[tokens[i + 1]][0]] if p in ids]
        if not pairs:
            return tokens
        best = max(pairs, key=lambda x: (x[0], -x[1]))[1]
        tokens[best:best + 2] = [ids[pieces[tokens[best]][0] + pieces[tokens[best + 1]][0]]]


pieces = tokenizer(sys.argv[2])
for prompt in PROMPTS:
    model, tokens, margin = Model(sys.argv[1]), encode(pieces, prompt), np.inf
    n_prompt = len(tokens)
    for i in range(STEPS - 1):
        logits = model.step(tokens[i])
        if i + 1 >= n_prompt:
            best = np.sort(logits)
            margin = min(margin, best[-1] - best[-2])
            tokens.append(int(logits.argmax()))
    print(n_prompt, "{" + ", ".join(map(str, tokens)) + "}", f"margin {margin:.4f}")
    print(b"".join(pieces[t][0] for t in tokens[1:]).decode(errors="replace"))
