"""Plain forward passes: Nissl, onnxruntime and torch in alternation.

    bench/run.sh forward.py BUILD/bench/forward [DATA] [--repetitions 11] [--only NAME] [--batches 1,32] [--threads 1,2]

The outputs are compared before the clock starts. Rows that would take more than 30 seconds are repeated less often, but at
least 5 times. Prints a table: milliseconds (median, range) and the ratio of each
peer's median to Nissl's.
"""
import argparse
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch

import networks
import peers
import transformer

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("data", nargs="?", default=networks.DATA)
parser.add_argument("--repetitions", type=int, default=11)
parser.add_argument("--only", default="")
parser.add_argument("--batches", default="1,32")
parser.add_argument("--threads", default="1,2")
arguments = parser.parse_args()
all_threads = [int(t) for t in arguments.threads.split(",")]


def measure(name, path, batch, threads, torch_peer):
    """One row. torch_peer(model, x, threads) makes torch's runner."""
    model, x = peers.set_batch(onnx.load(path), batch), networks.input_of(path, batch)
    nissl = peers.Nissl(arguments.program, path, x, threads)
    runners = {"nissl": nissl, "onnxruntime": peers.Onnxruntime(model, x, threads)}
    runners["torch"] = torch_peer(model, x, threads)
    runners["onnxruntime"]()
    runners["torch"]()
    expected = runners["onnxruntime"].result[0].ravel()
    for who, result in (("Nissl", nissl.output()), ("torch", runners["torch"].result.numpy().ravel())):
        difference = np.abs(result - expected).max() / max(np.abs(expected).max(), 1e-6)
        assert difference < 1e-4, (name, who, difference)
    seconds = sum(run() for run in runners.values()) * 2e-3
    t = peers.alternate(runners, min(arguments.repetitions, max(5, int(30 / seconds))), warm=1)
    nissl.close()
    cells = [f"{t[k][0]:.2f} ({t[k][1]:.2f}-{t[k][2]:.2f})" for k in runners]
    ratios = [f"{t[k][0] / t['nissl'][0]:.2f}" for k in ("onnxruntime", "torch")]
    print(f"| {name} | {batch} | {threads} | " + " | ".join(cells + ratios) +
          f" | {nissl.operations / t['nissl'][0] / 1e6:.0f} |", flush=True)


with tempfile.TemporaryDirectory() as folder:
    print(f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}\n")
    print("| network | batch | threads | Nissl ms | onnxruntime ms | torch ms | onnxruntime / Nissl | torch / Nissl | "
          "GFLOP/s |\n|---|---|---|---|---|---|---|---|---|")
    for name, path in networks.convolutional(arguments.data, folder).items():
        if arguments.only not in name:
            continue
        for batch in map(int, arguments.batches.split(",")):
            for threads in all_threads:
                measure(name, path, batch, threads, peers.Torch)
    for name, (path, kind, tokens, batches) in networks.transformers(folder).items():
        if arguments.only not in name:
            continue
        module = transformer.Module(kind, tokens)
        for batch in batches:
            for threads in all_threads:
                measure(name, path, batch, threads, lambda m, x, t: peers.Module(module, x, t))
