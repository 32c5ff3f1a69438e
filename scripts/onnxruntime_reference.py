#!/usr/bin/env python3
"""Runs a network with onnxruntime and stores what it computes, for `nissl verify`.

usage: onnxruntime_reference.py MODEL FOLDER

FOLDER holds input.npy [n, ...] and request.json {"sites": [tensor names]}. Written there: output.npy,
the first graph output, and sites/*.npy with sites/sites.json, the requested tensors. Graph
optimisations are off, so that every tensor is what the file says. Exit code 3: a package is missing.
"""
import json
import os
import re
import sys


def fail(code, message):
    print(message, file=sys.stderr)
    sys.exit(code)


def package(name):
    try:
        return __import__(name)
    except ImportError as error:
        fail(3, f"Python ({sys.executable}) cannot import {name}: {error}; "
                f"try: {os.path.basename(sys.executable)} -m pip install onnx onnxruntime numpy")


def with_outputs(onnx, path, names):
    """The model's bytes with the named tensors added to its outputs, and the names that it has."""
    model = onnx.load(path)
    made = {name for node in model.graph.node for name in node.output if name}
    present = {output.name for output in model.graph.output}
    kept = [name for name in names if name in made]
    for name in kept:
        if name not in present:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    return model.SerializeToString(), kept


def main():
    if len(sys.argv) != 3:
        fail(2, "usage: onnxruntime_reference.py MODEL FOLDER")
    path, folder = sys.argv[1:]
    np, onnx, runtime = package("numpy"), package("onnx"), package("onnxruntime")
    with open(os.path.join(folder, "request.json"), encoding="utf-8") as file:
        wanted = json.load(file)["sites"]
    x = np.load(os.path.join(folder, "input.npy"))
    data, names = with_outputs(onnx, path, wanted)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    first = session.get_outputs()[0].name
    if port.type == "tensor(float16)":
        x = x.astype(np.float16)
    # one at a time where the file fixes its batch, or where it only claims not to
    step = len(x)
    if isinstance(port.shape[0], int) and port.shape[0] != step:
        step = 1
    outputs = list(dict.fromkeys([first] + names))

    def run(step):
        parts = [session.run(outputs, {port.name: x[i:i + step]}) for i in range(0, len(x), step)]
        return dict(zip(outputs, (np.concatenate(p) for p in zip(*parts))))

    try:
        values = run(step)
    except Exception:  # a graph with a batch of 1 inside, e.g. in the shape of a Reshape
        if step == 1:
            raise
        values = run(1)
    np.save(os.path.join(folder, "output.npy"), values[first].astype(np.float32))
    os.makedirs(os.path.join(folder, "sites"), exist_ok=True)
    listed = []
    for i, name in enumerate(names):
        value = values[name]
        if name == first or value.ndim < 1 or value.shape[0] != len(x) or value.dtype.kind != "f":
            continue
        safe = re.sub(r"[^A-Za-z0-9_.-]", ".", name).lstrip(".")[:100]
        file_name = f"{i:04d}_{safe}.npy"
        np.save(os.path.join(folder, "sites", file_name), value.astype(np.float32))
        listed.append({"tensor": name, "file": file_name})
    with open(os.path.join(folder, "sites", "sites.json"), "w", encoding="utf-8") as file:
        json.dump({"sites": listed}, file, indent=1)
    with open(os.path.join(folder, "preprocess.json"), "w", encoding="utf-8") as file:
        json.dump({"evaluator": f"onnxruntime {runtime.__version__}", "input_tensor": port.name,
                   "graph_output_tensor": first}, file, indent=1)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # one line for the caller
        fail(1, " ".join(f"onnxruntime: {error}".split()))
