"""Plain forward passes: Nissl, onnxruntime and torch in alternation.

    python bench/forward.py BUILD/bench/forward DATA [--repetitions 11] [--only NAME] [--batches 1,32] [--threads 1,2]

Prints a table: milliseconds (median, range) and the ratio of each peer's median to Nissl's.
"""
import argparse
import os
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch

import peers
import resnet50

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("data")
parser.add_argument("--repetitions", type=int, default=11)
parser.add_argument("--only", default="")
parser.add_argument("--batches", default="1,32")
parser.add_argument("--threads", default="1,2")
arguments = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    resnet50.build(os.path.join(folder, "resnet50.onnx"))
    models = {
        "SqueezeNet 1.1": f"{arguments.data}/models/squeezenet1.1/SqueezeNet1.1_fp32_derived.onnx",
        "MobileNet v1 0.5/160": f"{arguments.data}/models/mobilenet_v1_0.5_160/mobilenet_v1_0.5_160_fp32_derived.onnx",
        "ResNet-20": f"{arguments.data}/models/resnet20_cifar10/resnet20_bn.onnx",
        "ResNet-50 shape": os.path.join(folder, "resnet50.onnx"),
    }
    print(f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}")
    print("| network | batch | threads | Nissl ms | onnxruntime ms | torch ms | onnxruntime / Nissl | torch / Nissl | "
          "GFLOP/s |\n|---|---|---|---|---|---|---|---|---|")
    for name, path in models.items():
        if arguments.only and arguments.only not in name:
            continue
        for batch in map(int, arguments.batches.split(",")):
            for threads in map(int, arguments.threads.split(",")):
                model = peers.set_batch(onnx.load(path), batch)
                shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
                x = np.random.default_rng(1).uniform(-0.5, 0.5, shape).astype(np.float32)
                nissl = peers.Nissl(arguments.program, path, batch, threads)
                runners = {"nissl": nissl, "onnxruntime": peers.Onnxruntime(model, x, threads)}
                try:
                    runners["torch"] = peers.Torch(model, x, threads)
                    runners["torch"]()
                    runners["onnxruntime"]()
                    difference = np.abs(runners["torch"].result.numpy() - runners["onnxruntime"].result[0]).max()
                    assert difference < 1e-2 * max(1.0, np.abs(runners["onnxruntime"].result[0]).max()), difference
                except NotImplementedError as missing:
                    print(f"(torch: no {missing})")
                    runners.pop("torch", None)
                t = peers.alternate(runners, arguments.repetitions)
                nissl.close()
                cells = [f"{t[k][0]:.2f} ({t[k][1]:.2f}-{t[k][2]:.2f})" if k in t else "-"
                         for k in ("nissl", "onnxruntime", "torch")]
                ratios = [f"{t[k][0] / t['nissl'][0]:.2f}" if k in t else "-" for k in ("onnxruntime", "torch")]
                rate = float(nissl.header[1]) * batch / t["nissl"][0] / 1e6
                print(f"| {name} | {batch} | {threads} | " + " | ".join(cells + ratios) + f" | {rate:.0f} |", flush=True)
