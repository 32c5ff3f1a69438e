"""Small networks with stored outputs: what oracles/fixtures.py builds and saves them with.

Outputs and sites are those of onnxruntime without graph optimisations. Every tensor is also
computed by the onnx package's reference evaluator with the operators of fixture_reference.py, and a
difference beyond 1e-5 of the tensor's range is an error.
"""

import math
import os
import re
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import fixture_reference

BATCH = 3
MOST_BYTES = 100_000  # of one network's folder

TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.bool_): TensorProto.BOOL,
}


class Net:
    """A network under construction with one input, "x" [batch, *shape].

    batch is a symbol or a fixed number. The first axis of every output is the batch, and no
    operator mixes its entries.
    """

    def __init__(self, name, opset, shape, about, *, batch="batch", ir_version=None,
                 dtype=np.float32, tolerance=1e-4, values=None):
        self.name, self.opset, self.about, self.batch = name, opset, about, batch
        self.ir_version = ir_version or (4 if opset < 9 else 7 if opset < 16 else 8)
        self.tolerance = tolerance
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes, self.initializers, self.outputs = [], [], []
        self.constants_are_inputs = False
        self.check_shapes = True  # against the package's shape inference
        self.model = None
        self.external = None  # name of a file for the initializers' data
        self.count = {}
        self.input_shape, self.dtype = list(shape), np.dtype(dtype)
        if values is None:
            n = BATCH if isinstance(batch, str) else batch
            values = self.rng.standard_normal((n, *shape)).astype(dtype)
        self.x = values

    # ---- building ----

    def unique(self, stem):
        n = self.count[stem] = self.count.get(stem, 0) + 1
        return stem if n == 1 else f"{stem}_{n}"

    def const(self, array, name="const", typed=False):
        """An initializer, as raw data or in a typed field."""
        array = np.asarray(array)
        name = self.unique(name)
        if typed:
            tensor = helper.make_tensor(name, TYPES[array.dtype], array.shape, array.flatten())
            assert not tensor.raw_data
        else:
            tensor = numpy_helper.from_array(array, name)
        self.initializers.append(tensor)
        return name

    def ints(self, values, name="ints"):
        return self.const(np.array(values, np.int64), name)

    def weights(self, *shape, scale=None, dtype=np.float32, name="w", typed=False):
        fan_in = math.prod(shape[1:])
        scale = scale or 1 / np.sqrt(fan_in)
        array = (self.rng.standard_normal(shape) * scale).astype(dtype)
        return self.const(array, name, typed)

    def op(self, kind, *inputs, out=None, outs=1, **attributes):
        """Adds a node; returns the name of its output, or a list of them."""
        stem = out or kind.lower()
        names = [self.unique(stem) for _ in range(outs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names,
                                           name=f"{kind}_{len(self.nodes)}", **attributes))
        return names[0] if outs == 1 else names

    def out(self, *names):
        self.outputs += names

    # ---- the model ----

    def make(self):
        if self.model is not None:
            return self.model
        shape = [self.batch, *self.input_shape]
        inputs = [helper.make_tensor_value_info("x", TYPES[self.dtype], shape)]
        if self.constants_are_inputs:
            inputs += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims))
                       for t in self.initializers]
        outputs = [onnx.ValueInfoProto(name=n) for n in self.outputs]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.initializers)
        self.model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)],
                                       ir_version=self.ir_version, producer_name="nissl fixtures")
        return self.model


def depends_on_input(graph):
    """Names of the tensors that change with the values of the input."""
    live = {graph.input[0].name}
    for node in graph.node:
        if node.op_type in ("Shape", "ConstantOfShape"):
            continue
        if any(i in live for i in node.input):
            live.update(node.output)
    return live


def evaluate(net, model):
    """All tensors by onnxruntime, checked against the reference evaluator."""
    graph = model.graph
    every = [o for n in graph.node for o in n.output if o]
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    known = {v.name for v in graph.output}
    wide.graph.output.extend(onnx.ValueInfoProto(name=n) for n in every if n not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(wide.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    tensors = dict(zip(names, session.run(names, {session.get_inputs()[0].name: net.x})))
    opset = next(o.version for o in model.opset_import if not o.domain)
    reference = ReferenceEvaluator(wide, new_ops=fixture_reference.operators(opset))
    expected = dict(zip(reference.output_names,
                        reference.run(reference.output_names, {graph.input[0].name: net.x})))
    masks = {o for n in graph.node if n.op_type == "Dropout" for o in n.output[1:]}
    for name, got in tensors.items():
        if name in masks:  # not defined in inference
            continue
        want = np.asarray(expected[name])
        assert got.shape == want.shape, (net.name, name, got.shape, want.shape)
        if got.size == 0:
            continue
        span = max(float(np.ptp(want.astype(np.float64))), float(np.abs(want).max()), 1e-3)
        worst = float(np.max(np.abs(got.astype(np.float64) - want.astype(np.float64)))) / span
        limit = 1e-5 if net.tolerance <= 1e-4 else net.tolerance
        assert worst <= limit, f"{net.name}: {name} differs by {worst:g} of its range"
    return tensors


def type_outputs(net, model, tensors):
    """Types and shapes of graph outputs from their values; the batch is the first dimension."""
    for output in model.graph.output:
        if output.type.HasField("tensor_type"):
            continue
        array = tensors[output.name]
        shape = list(array.shape)
        if isinstance(net.batch, str) and shape and shape[0] == BATCH:
            shape[0] = net.batch
        output.CopyFrom(helper.make_tensor_value_info(output.name, TYPES[array.dtype], shape))


def file_name(tensor):
    """As `nissl verify` names them."""
    return re.sub(r"[^A-Za-z0-9_.-]", ".", tensor).lstrip(".") + ".npy"


def save(net, folder):
    """Writes the network's folder; returns its entry in the manifest."""
    model = net.make()
    tensors = evaluate(net, model)
    type_outputs(net, model, tensors)
    onnx.checker.check_model(model, full_check=net.check_shapes)
    live = depends_on_input(model.graph)
    outputs = [o.name for o in model.graph.output]
    sites = [n for node in model.graph.node
             for n in (node.output[:1] if node.op_type == "Dropout" else node.output)
             if n in live and n not in outputs and tensors[n].dtype == np.float32
             and tensors[n].shape[:1] == net.x.shape[:1]]
    home = os.path.join(folder, net.name)
    os.makedirs(os.path.join(home, "sites"))
    if net.external:
        onnx.save(model, os.path.join(home, "model.onnx"), save_as_external_data=True,
                  location=net.external, size_threshold=0)
    else:
        onnx.save(model, os.path.join(home, "model.onnx"))
    # Halves as floats, which hold them exactly: the input of a network that computes in float32.
    np.save(os.path.join(home, "input.npy"),
            net.x.astype(np.float32) if net.dtype == np.float16 else net.x)
    files = []
    for i, name in enumerate(outputs):
        files.append({"tensor": name, "file": f"output{i or ''}.npy"})
        np.save(os.path.join(home, files[-1]["file"]), tensors[name])
    for name in sites:
        np.save(os.path.join(home, "sites", file_name(name)), tensors[name])
    if not sites:
        os.rmdir(os.path.join(home, "sites"))
    size = sum(os.path.getsize(os.path.join(root, f))
               for root, _, found in os.walk(home) for f in found)
    assert size < MOST_BYTES, f"{net.name} takes {size} bytes"
    opset = next(o.version for o in model.opset_import if not o.domain)
    return {
        "name": net.name,
        "about": net.about,
        "opset": opset,
        "batch": net.batch,
        "operators": sorted({n.op_type for n in model.graph.node}),
        "outputs": files,
        "sites": [{"tensor": n, "file": file_name(n)} for n in sites],
        "tolerance": net.tolerance,
        "bytes": size,
    }
