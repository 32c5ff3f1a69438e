"""What the benchmarks share: a Nissl process that runs on command, onnxruntime, and a small torch interpreter of ONNX
graphs (torch has no reader of its own), all timed in alternation."""
import os
import statistics
import subprocess
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import numpy_helper

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)


class Nissl:
    """bench/forward.c on an array, in a process of its own."""

    def __init__(self, program, model, x, threads, *more):
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        given = os.path.join(self.folder.name, "input.npy")
        np.save(given, x)
        self.process = subprocess.Popen([program, model, given, str(threads), *map(str, more)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        header = self.process.stdout.readline().split()
        self.micro_batch, self.operations = int(header[0]), float(header[1]) * len(x)

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def __call__(self):
        return self.ask("run")

    def output(self):
        path = os.path.join(self.folder.name, "output")
        self.ask("write " + path)
        return np.fromfile(path, np.float32)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()


def set_batch(model, batch):
    """The same file with its batch axis set: peers need it where a file fixes it to 1."""
    weights = {t.name for t in model.graph.initializer}
    inputs = [v for v in model.graph.input if v.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in list(model.graph.input) + list(model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].dim_value = batch
    shapes = {n.input[1] for n in model.graph.node if n.op_type == "Reshape"}
    for tensor in model.graph.initializer:
        if tensor.name in shapes:
            shape = numpy_helper.to_array(tensor).copy()
            if shape[0] == 1:
                shape[0] = batch
                tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    del model.graph.value_info[:]
    return model


class Onnxruntime:
    def __init__(self, model, x, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                                    providers=["CPUExecutionProvider"])
        self.feed = {self.session.get_inputs()[0].name: x}

    def __call__(self):
        begin = time.perf_counter()
        self.result = self.session.run(None, self.feed)
        return (time.perf_counter() - begin) * 1e3


class Torch:
    """Runs a CNN's ONNX graph with torch operators, channels-last, as a module would."""

    def __init__(self, model, x, threads, observe=None):
        torch.set_num_threads(threads)
        self.threads = threads
        self.weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
        for name, w in self.weights.items():
            if w.dim() == 4:
                self.weights[name] = w.contiguous(memory_format=torch.channels_last)
        self.nodes = [(n.op_type, list(n.input), list(n.output), {a.name: onnx.helper.get_attribute_value(a)
                                                                for a in n.attribute}) for n in model.graph.node]
        self.input = model.graph.input[0].name
        self.output = model.graph.output[0].name
        self.x = torch.from_numpy(x)
        if self.x.dim() == 4:
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.observe = observe

    def step(self, op, args, attributes):
        if op == "Conv":
            x, pads = args[0], attributes.get("pads", [0, 0, 0, 0])
            if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
                raise NotImplementedError("auto_pad")
            pad = tuple(pads[:2])
            if pads[:2] != pads[2:]:
                x, pad = F.pad(x, (pads[1], pads[3], pads[0], pads[2])), (0, 0)
            return F.conv2d(x, args[1], args[2] if len(args) > 2 else None, attributes.get("strides", [1, 1]), pad,
                            attributes.get("dilations", [1, 1]), attributes.get("group", 1))
        if op == "Relu":
            return F.relu(args[0])
        if op == "Clip":
            low = args[1] if len(args) > 1 else attributes["min"]
            high = args[2] if len(args) > 2 else attributes["max"]
            return torch.clamp(args[0], float(low), float(high))
        if op == "BatchNormalization":
            return F.batch_norm(args[0], args[3], args[4], args[1], args[2], eps=attributes.get("epsilon", 1e-5))
        if op == "MaxPool":
            pads = attributes.get("pads", [0, 0, 0, 0])
            return F.max_pool2d(args[0], attributes["kernel_shape"], attributes.get("strides"), pads[:2],
                                ceil_mode=bool(attributes.get("ceil_mode", 0)))
        if op == "AveragePool":
            return F.avg_pool2d(args[0], attributes["kernel_shape"], attributes.get("strides"))
        if op == "GlobalAveragePool":
            return args[0].mean((2, 3), keepdim=True)
        if op in ("Dropout", "Identity"):
            return args[0]
        if op == "Concat":
            return torch.cat(args, attributes["axis"])
        if op == "Add":
            return args[0] + args[1]
        if op == "Flatten":
            return args[0].flatten(1)
        if op == "Reshape":
            return args[0].reshape(args[0].shape[0], -1)
        if op == "Gemm":
            return F.linear(args[0], args[1] if attributes.get("transB") else args[1].t(), args[2])
        if op == "Softmax":
            return torch.softmax(args[0], 1)
        if op == "Slice":
            starts, ends, axes, steps = (a.tolist() for a in args[1:5])
            index = [slice(None)] * args[0].dim()
            for s, e, a, p in zip(starts, ends, axes, steps):
                index[a] = slice(s, min(e, args[0].shape[a]), p)
            return args[0][tuple(index)]
        if op == "Pad":
            pads = args[1].tolist()
            n = len(pads) // 2
            return F.pad(args[0], [p for i in reversed(range(n)) for p in (pads[i], pads[n + i])])
        if op == "Constant":
            return torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy())
        raise NotImplementedError(op)

    @torch.inference_mode()
    def forward(self):
        values = dict(self.weights)
        values[self.input] = self.x
        for op, inputs, outputs, attributes in self.nodes:
            values[outputs[0]] = self.step(op, [values[i] for i in inputs if i], attributes)
            if self.observe and op != "Constant":
                self.observe(outputs[0], values[outputs[0]])
        return values[self.output]

    def __call__(self):
        torch.set_num_threads(self.threads)
        begin = time.perf_counter()
        self.result = self.forward()
        return (time.perf_counter() - begin) * 1e3


class Module:
    """A torch module on an array."""

    def __init__(self, module, x, threads):
        self.module, self.x, self.threads = module, torch.from_numpy(x), threads

    def __call__(self):
        torch.set_num_threads(self.threads)
        begin = time.perf_counter()
        self.result = self.module(self.x)
        return (time.perf_counter() - begin) * 1e3


class Statistics:
    """What Nissl's reducers moments, histogram, exemplars and frequency say of every unit at every site, with torch, as
    forward hooks that keep one value per stimulus and unit: the mean over positions, and the count of positions above
    zero. The rest is one vectorised statement per statistic over all units at the end. This is the fastest of the forms
    tried (sums of float comparisons in a kept buffer are 4x as fast as sums of booleans; running statistics in each hook
    are slower)."""

    TOP = 9

    def __init__(self):
        self.buffers, self.begin = {}, {}
        self.reset()

    def reset(self):
        self.values, self.counts, self.positions = {}, {}, {}

    def observe(self, name, x):
        if x.dim() == 4:
            buffer = self.buffers.get(x.shape)
            if buffer is None:
                buffer = self.buffers[x.shape] = torch.empty_like(x)
            mean, count = x.mean((2, 3)), torch.gt(x, 0, out=buffer).sum((2, 3))
        elif x.dim() == 3:
            mean, count = x.mean(1), (x > 0).float().sum(1)
        else:
            mean, count = x, (x > 0).float()
        self.values.setdefault(name, []).append(mean)
        self.counts.setdefault(name, []).append(count)
        self.positions[name] = x[0].numel() // mean[0].numel()

    @torch.inference_mode()
    def finish(self):
        result = {}
        for name in self.values:
            x, count = torch.cat(self.values[name]), torch.cat(self.counts[name])
            n, units = x.shape
            wide, rectified = x.double(), x.clamp(min=0).double()
            bits = x.view(torch.int32)
            exponent = bits >> 23 & 255
            top = exponent.amax(0)
            place = ((exponent - (top - 15)) * 8 + (bits >> 20 & 7)).long()
            column = torch.where((place < 0) | (exponent == 0), 128, torch.where(bits < 0, 127 - place, 129 + place))
            histogram = torch.zeros(units, 257, dtype=torch.int32)
            histogram.scatter_add_(1, column.t(), torch.ones(1, dtype=torch.int32).expand(units, n))
            best, worst = x.topk(self.TOP, 0), x.topk(self.TOP, 0, largest=False)
            result[name] = {
                "moments_mean": wide.mean(0), "moments_variance": wide.var(0), "moments_min": x.amin(0),
                "moments_max": x.amax(0), "moments_rectified_mean": rectified.mean(0),
                "moments_rectified_mean_square": rectified.square().mean(0), "histogram_counts": histogram,
                "histogram_top": top - 127, "exemplars_top_value": best[0].t(), "exemplars_top_stimulus": best[1].t(),
                "exemplars_bottom_value": worst[0].t(), "exemplars_bottom_stimulus": worst[1].t(),
                "frequency_frequency": count.sum(0).double() / (n * self.positions[name])}
        return result


def alternate(runners, repetitions, warm=2, settle=0.05):
    """Milliseconds per runner: median, minimum, maximum. Before each timed run the others' worker threads get time to stop
    spinning (settle seconds), and one run is thrown away."""
    times = {name: [] for name in runners}
    for i in range(repetitions + warm):
        for name, run in runners.items():
            time.sleep(settle)
            run()
            ms = run()
            if i >= warm:
                times[name].append(ms)
    return {name: (statistics.median(t), min(t), max(t)) for name, t in times.items()}
