"""Checks the built-in model of early visual cortex against its formulas.

usage: visual_cortex.py MODEL.onnx [SIDE ORIENTATIONS SCALES]

Recomputes every tensor of the model with numpy and scipy from the formulas at the head of
src/studies/visual_cortex.c (Serre et al. 2007, table 1), runs the file in onnxruntime on random
images and gratings, and compares. Then measures how far the best grating of each filter is from
its nominal one. Exits with 1 if a tensor differs by more than 1e-5 of its largest value, or a best grating
by more than 5 % in frequency or 2 degrees in orientation.

Ran with numpy 2.4.6, scipy 1.17.1, onnx 1.23.2, onnxruntime 1.32.0.
"""
import sys

import numpy as np
import onnx
import onnxruntime
from scipy.ndimage import maximum_filter
from scipy.signal import correlate2d

WAVELENGTH = [3.5, 4.6, 5.6, 6.8, 7.9, 9.1, 10.3, 11.5, 12.7, 14.1, 15.4, 16.8, 18.2, 19.7, 21.2, 22.8]
WIDTH = [2.8, 3.6, 4.5, 5.4, 6.3, 7.3, 8.2, 9.2, 10.2, 11.3, 12.3, 13.4, 14.6, 15.8, 17.0, 18.2]


def gabor(scale, orientation, phase):
    """Filter [k, k] with its coordinates; orientation of the bars and phase in degrees."""
    k = 7 + 2 * scale
    y, x = np.mgrid[:k, :k] - k // 2
    t = np.radians(90 - orientation)
    u, v = x * np.cos(t) + y * np.sin(t), -x * np.sin(t) + y * np.cos(t)
    g = np.exp(-(u**2 + 0.09 * v**2) / (2 * WIDTH[scale] ** 2))
    g *= np.cos(2 * np.pi * u / WAVELENGTH[scale] + np.radians(phase))
    disc = x**2 + y**2 <= k * k / 4
    g = np.where(disc, g - g[disc].mean(), 0)
    return g / np.sqrt((g**2).sum()), x, y


def pool(maps, n):
    """Maximum over n x n, stride n / 2, no padding. maps: [cell, y, x]"""
    out = maximum_filter(maps, size=(1, n, n), origin=(0, -(n // 2), -(n // 2)), mode="nearest")
    side = maps.shape[1]
    return out[:, : side - n + 1 : n // 2, : side - n + 1 : n // 2]


def forward(image, orientations, scales):
    """All tensors of one image [side, side] by name."""
    tensors, contrast = {}, image - 0.5
    tensors["retina/contrast"] = contrast[None]
    pooled, readout = {}, []
    for s in range(scales):
        maps = [correlate2d(contrast, gabor(s, 180 * i / orientations, p)[0], mode="same")
                for p in (0, 90) for i in range(orientations)]
        tensors[f"S1/scale{s}/simple"] = np.stack(maps)
        tensors[f"S1/scale{s}/rectified"] = np.maximum(maps, 0)
        pooled[s] = tensors[f"C1/scale{s}/pooled"] = pool(np.maximum(maps, 0), 8 + 2 * (s // 2))
    for b in range((scales + 1) // 2):
        members = [pooled[s].reshape(2, orientations, *pooled[s].shape[1:])
                   for s in (2 * b, 2 * b + 1) if s < scales]
        cells = np.concatenate(members).max(0)
        tensors[f"C1/band{b}/complex"] = cells
        readout.append(cells.mean((1, 2)))
    tensors["readout"] = np.concatenate(readout)
    return tensors


def grating(side, orientation, frequency, phase):
    y, x = (np.mgrid[:side, :side] + 0.5 - side / 2) / side
    t = np.radians(90 - orientation)
    return 0.5 + 0.5 * np.cos(2 * np.pi * frequency * (x * np.cos(t) + y * np.sin(t)) + np.radians(phase))


def best_grating(scale, orientation, phase):
    """Relative frequency and angle from nominal of the maximum of the transfer function."""
    g, x, y = gabor(scale, orientation, phase)

    def gain(frequency, degrees):
        t = np.radians(90 - degrees)
        return abs((g * np.exp(2j * np.pi * frequency * (x * np.cos(t) + y * np.sin(t)))).sum())

    ratios = np.linspace(0.5, 1.5, 401)
    angles = np.linspace(-30, 30, 601)
    ratio = ratios[np.argmax([gain(r / WAVELENGTH[scale], orientation) for r in ratios])]
    angle = angles[np.argmax([gain(1 / WAVELENGTH[scale], orientation + a) for a in angles])]
    return abs(ratio - 1), abs(angle)


def main():
    path = sys.argv[1]
    side, orientations, scales = (int(a) for a in (sys.argv[2:5] or (64, 8, 4)))
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    names = [v.name for v in inferred.graph.value_info]
    model.graph.output.extend(v for v in inferred.graph.value_info)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    images = np.stack([rng.uniform(0, 1, (side, side)), rng.uniform(0, 1, (side, side)),
                       grating(side, 22.5, side / 4.6, 30), grating(side, 135, side / 6.8, 200)])
    got = dict(zip([o.name for o in session.get_outputs()],
                   session.run(None, {"image": images[:, None].astype(np.float32)})))
    failed = 0
    for image in range(len(images)):
        for name, want in forward(images[image], orientations, scales).items():
            difference = abs(got[name][image].reshape(want.shape) - want).max() / abs(want).max()
            if difference > 1e-5:
                print(f"image {image} {name}: differs by {difference:.3g} of its largest value")
                failed += 1
    print(f"{len(names) + 1} tensors, {sum(int(np.prod(i.dims)) for i in model.graph.initializer)} "
          f"constants, {failed} differ by more than 1e-5 of their largest value")
    off = np.array([best_grating(s, 180 * i / orientations, p)
                    for s in range(scales) for i in range(orientations) for p in (0, 90)])
    print(f"best grating off by at most {100 * off[:, 0].max():.1f} % in frequency, "
          f"{off[:, 1].max():.1f} degrees in orientation")
    return int(failed > 0 or off[:, 0].max() > 0.05 or off[:, 1].max() > 2)


if __name__ == "__main__":
    sys.exit(main())
