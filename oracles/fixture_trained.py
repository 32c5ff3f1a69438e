"""Small networks of the known families as torch's exporters write them; two are trained here."""

import io
import warnings

import numpy as np
import onnx
import onnxscript
import torch
from torch import nn

from fixture_builder import BATCH, Net

SIDE = 12
CLASSES = ["horizontal bar", "vertical bar", "cross", "ring"]


def versions():
    return {"torch": str(torch.__version__), "onnxscript": onnxscript.__version__}


def drawings(n, seed):
    """n noisy drawings [n, 1, SIDE, SIDE] and their classes, from a generator of their own."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 0.25, (n, 1, SIDE, SIDE)).astype(np.float32)
    labels = np.arange(n) % len(CLASSES)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    for image, label in zip(images[:, 0], labels):
        y, x = rng.integers(3, SIDE - 3, 2)
        if label in (0, 2):
            image[y, x - 3:x + 4] += 1
        if label in (1, 2):
            image[y - 3:y + 4, x] += 1
        if label == 3:
            distance = np.hypot(rows - y, columns - x)
            image[np.abs(distance - 2.5) < 0.6] += 1
    return torch.from_numpy(images), torch.from_numpy(labels)


def train(model, steps, rate):
    torch.manual_seed(1)
    images, labels = drawings(2048, 1)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    for step in range(steps):
        chosen = torch.from_numpy(np.random.default_rng(step).integers(0, len(images), 64))
        loss = nn.functional.cross_entropy(model.train()(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, labels = drawings(1000, 2)
    accuracy = float((model.eval()(images).argmax(1) == labels).float().mean())
    assert accuracy > 0.9, accuracy
    return f"trained on drawings of {', '.join(CLASSES)}; {accuracy:.1%} of 1000 new ones right"


def settle(model):
    """Running statistics that differ from 0 and 1, as after training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model.eval()


class Exported(Net):
    def __init__(self, name, opset, about, module, values, *, dynamo, batch="batch"):
        super().__init__(name, opset, values.shape[1:], about, batch=batch, values=values)
        x = torch.from_numpy(values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if dynamo:
                dynamic = ({0: torch.export.Dim(batch)},) if batch != BATCH else None
                model = torch.onnx.export(module, (x,), dynamo=True, opset_version=opset,
                                          input_names=["x"], output_names=["y"], verbose=False,
                                          dynamic_shapes=dynamic, external_data=False).model_proto
            else:
                memory = io.BytesIO()
                dynamic = {"x": {0: batch}, "y": {0: batch}} if batch != BATCH else None
                torch.onnx.export(module, (x,), memory, dynamo=False, opset_version=opset,
                                  input_names=["x"], output_names=["y"], dynamic_axes=dynamic)
                model = onnx.load_from_string(memory.getvalue())
        self.model = strip(model)


def strip(model):
    """Without the places in source files that exporters leave."""
    graph = model.graph
    for part in [model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info,
                 *graph.initializer]:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return model


class Bottleneck(nn.Module):
    def __init__(self, n, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n, n, 3, stride, 1, bias=False), nn.BatchNorm2d(n), nn.ReLU(),
            nn.Conv2d(n, n, 3, 1, 1, bias=False), nn.BatchNorm2d(n))
        self.skip = nn.Sequential()
        if stride > 1:
            self.skip = nn.Sequential(nn.Conv2d(n, n, 1, stride, bias=False), nn.BatchNorm2d(n))

    def forward(self, x):
        return torch.relu(self.body(x) + self.skip(x))


class Gate(nn.Module):
    """Squeeze and excitation as in MobileNet v3."""

    def __init__(self, n):
        super().__init__()
        self.down, self.up = nn.Conv2d(n, 4, 1), nn.Conv2d(4, n, 1)

    def forward(self, x):
        pooled = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * nn.functional.hardsigmoid(self.up(torch.relu(self.down(pooled))))


class Fire(nn.Module):
    def __init__(self, n, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(n, squeeze, 1)
        self.one = nn.Conv2d(squeeze, expand, 1)
        self.three = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], 1)


class Inception(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.one = nn.Conv2d(n, 3, 1)
        self.three = nn.Sequential(nn.Conv2d(n, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 3, padding=1))
        self.five = nn.Sequential(nn.Conv2d(n, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 5, padding=2))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), nn.Conv2d(n, 2, 1))

    def forward(self, x):
        branches = [self.one, self.three, self.five, self.pooled]
        return torch.cat([torch.relu(branch(x)) for branch in branches], 1)


class Dense(nn.Module):
    def __init__(self, n, growth):
        super().__init__()
        self.body = nn.Sequential(nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, 6, 1, bias=False),
                                  nn.BatchNorm2d(6), nn.ReLU(),
                                  nn.Conv2d(6, growth, 3, padding=1, bias=False))

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


class View(nn.Module):
    """x.view(x.size(0), -1): a shape computed in the graph."""

    def forward(self, x):
        return x.view(x.size(0), -1)


class Unmixed(nn.Module):
    """Half of the channels through a depthwise convolution, then shuffled, as in ShuffleNet."""

    def __init__(self, n):
        super().__init__()
        self.n = n
        self.depthwise = nn.Conv2d(n // 2, n // 2, 3, padding=1, groups=n // 2)

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        x = torch.cat([left, self.depthwise(right)], 1)
        b, c, h, w = x.shape
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


def images(name, channels, side):
    rng = np.random.default_rng(len(name) * 1000 + channels * 100 + side)
    return rng.standard_normal((BATCH, channels, side, side)).astype(np.float32)


def networks():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    found = []

    def add(name, opset, about, build, values=None, **options):
        torch.manual_seed(sum(map(ord, name)))
        module = build()
        if values is None:
            module = settle(module)
            values = images(name, 3, 14)
        else:
            about += "; " + train(module, 2000, 3e-3)
        with torch.no_grad():
            found.append(Exported(name, opset, about, module.eval(), values, **options))

    shown = drawings(BATCH, 3)[0].numpy()
    add("trained_cnn", 13, "a convolutional network, TorchScript exporter", lambda: nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.LeakyReLU(0.1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4)), shown, dynamo=False)
    add("trained_mlp", 18, "a dense network, torch.export exporter, batch of 3", lambda:
        nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 24), nn.Tanh(), nn.Linear(24, 16),
                      nn.Sigmoid(), nn.Linear(16, 4)), shown, dynamo=True, batch=BATCH)
    add("resnet", 18, "residual blocks, torch.export exporter", lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), Bottleneck(6, 1),
        Bottleneck(6, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)), dynamo=True)
    add("mobilenet", 14, "inverted residual with gate, TorchScript exporter", lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6(), Gate(8),
        nn.Conv2d(8, 6, 1), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(6, 5)), dynamo=False)
    add("squeezenet", 9, "fire modules, ceil_mode pooling, opset 9", lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(6, 3, 4),
        Fire(8, 3, 5), nn.Dropout(), nn.Conv2d(10, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Softmax(1)), dynamo=False)
    add("googlenet", 12, "an inception module, opset 12", lambda: nn.Sequential(
        nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Inception(6),
        nn.AvgPool2d(3), View(), nn.Linear(12, 5)), dynamo=False)
    add("densenet", 11, "a dense block and its transition, opset 11", lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, bias=False), Dense(6, 3), Dense(9, 3), nn.BatchNorm2d(12),
        nn.ReLU(), nn.Conv2d(12, 6, 1, bias=False), nn.AvgPool2d(2, 2), nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), View(), nn.Linear(6, 5)), dynamo=False)
    add("shufflenet", 17, "channels split, shuffled and joined, opset 17", lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), Unmixed(8), nn.ReLU(), Unmixed(8),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)), dynamo=False)
    return found
