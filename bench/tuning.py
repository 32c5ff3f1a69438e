"""Times nissl_tuning_compute beside vectorised numpy and scipy on the same arrays.

    bench/run.sh tuning.py build/bench/bench_tuning

Both compute, for every unit, mean, deviation, tuning curve with standard errors, preferred
condition, class selectivity in sample and held out, d' and auROC held out, lifetime and population
sparseness. numpy's part is one statement per statistic over all units; ranks are scipy's. Results
are compared before times are printed.
"""

import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy
from scipy import stats

REPETITIONS = 7
DESIGNS = [  # stimuli, units, conditions
    (500, 12000, 500),
    (1000, 12000, 500),
    (500, 12000, 10),
    (4000, 3000, 10),
]
M32 = 0xFFFFFFFF


def random_bits(seed, stream, index):
    """Philox4x32-10, the low 64 bits, over an array of indices."""
    x = [index & M32, index >> 32, np.full_like(index, stream & M32), np.full_like(index, stream >> 32)]
    k = [seed & M32, seed >> 32]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [(p1 >> 32) ^ x[1] ^ k[0], p1 & M32, (p0 >> 32) ^ x[3] ^ k[1], p0 & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return (x[1] << np.uint64(32)) | x[0]


def choosing_half(condition, n_conditions):
    """The split that Nissl draws for seed 0; not timed."""
    chooses = np.zeros(len(condition), bool)
    for c in range(n_conditions):
        members = np.flatnonzero(condition == c)
        bits = random_bits(0, 0x74756E65 << 32 | c, np.arange(len(members), dtype=np.uint64))
        drawn = [0] * len(members)
        for i, b in enumerate(bits):
            j = int(b) * (i + 1) >> 64
            drawn[i] = drawn[j]
            drawn[j] = i
        chooses[members[drawn[: len(members) // 2]]] = True
    return chooses


def vinje_gallant(total, squares, n):
    with np.errstate(invalid="ignore", divide="ignore"):
        return (1 - total**2 / (n * squares)) / (1 - 1 / n)


def segment_sums(x, counts):
    """Sums over consecutive groups of rows, none of them empty."""
    return np.add.reduceat(x, np.r_[0, np.cumsum(counts)[:-1]], axis=0)


def selectivity(means, best):
    top = np.take_along_axis(means, best[None], axis=0)[0]
    rest = (means.sum(axis=0) - top) / (len(means) - 1)
    return (top - rest) / (top + rest + 1e-7)


def peer(x, condition, n_conditions, chooses):
    order = np.lexsort((~chooses, condition))
    sorted_condition, sorted_chooses = condition[order], chooses[order]
    xs = x[order].astype(np.float64)
    n, n_units = xs.shape
    counts = np.bincount(condition, minlength=n_conditions)
    rectified = np.maximum(xs, 0)
    curve = segment_sums(xs, counts) / counts[:, None]
    deviations = xs - np.repeat(curve, counts, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        se = np.sqrt(segment_sums(deviations**2, counts) / (counts * (counts - 1.0))[:, None])
    class_means = segment_sums(rectified, counts) / counts[:, None]
    out = {
        "mean": xs.mean(axis=0),
        "sd": xs.std(axis=0, ddof=1),
        "se": se,
        "preferred": curve.argmax(axis=0),
        "selectivity": selectivity(class_means, class_means.argmax(axis=0)),
        "lifetime": vinje_gallant(rectified.sum(axis=0), (rectified**2).sum(axis=0), n),
        "population": vinje_gallant(rectified.sum(axis=1), (rectified**2).sum(axis=1), n_units),
        "curve": curve.T.copy(),
    }
    nothing = np.full(n_units, np.nan)
    out["heldout"], out["dprime"], out["auroc"] = nothing, nothing, nothing
    if not chooses.any():
        return out
    counts_a = np.bincount(condition[chooses], minlength=n_conditions)
    able = np.flatnonzero(counts_a)
    mean_a = segment_sums(xs[sorted_chooses], counts_a[able]) / counts_a[able, None]
    best = able[mean_a.argmax(axis=0)]
    xb, condition_b = xs[~sorted_chooses], sorted_condition[~sorted_chooses]
    counts_b = counts - counts_a
    sums_b = segment_sums(xb, counts_b)
    rectified_b = segment_sums(rectified[~sorted_chooses], counts_b) / counts_b[:, None]
    out["heldout"] = selectivity(rectified_b, best)
    is_best = condition_b[:, None] == best[None]
    n_best = counts_b[best]
    n_rest = len(xb) - n_best
    sum_best = np.take_along_axis(sums_b, best[None], axis=0)[0]
    mean_best, mean_rest = sum_best / n_best, (sums_b.sum(axis=0) - sum_best) / n_rest
    squares = (xb - np.where(is_best, mean_best, mean_rest)) ** 2
    squares_best = np.where(is_best, squares, 0).sum(axis=0)
    squares_rest = squares.sum(axis=0) - squares_best
    with np.errstate(invalid="ignore", divide="ignore"):
        variances = squares_best / (n_best - 1) + squares_rest / (n_rest - 1)
        out["dprime"] = np.where(n_best > 1, (mean_best - mean_rest) / np.sqrt(variances / 2), np.nan)
    ranks = stats.rankdata(np.ascontiguousarray(xb.T), axis=1)
    u = np.where(is_best.T, ranks, 0).sum(axis=1) - n_best * (n_best + 1) / 2
    out["auroc"] = u / (n_best * n_rest)
    return out


class Program:
    def __init__(self, path, data, design, threads):
        self.design = design
        self.process = subprocess.Popen(
            [path, data, *map(str, design), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def run(self):
        return float(self.ask("run"))

    def results(self, path):
        assert self.ask(f"write {path}") == "written\n"
        numbers = np.fromfile(path)
        _, n_units, n_conditions = self.design
        names = ["selectivity", "heldout", "dprime", "auroc", "lifetime"]
        out = {name: numbers[i * n_units : (i + 1) * n_units] for i, name in enumerate(names)}
        out["curve"] = numbers[len(names) * n_units :].reshape(n_units, n_conditions)
        return out

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def compare(ours, theirs):
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-7, atol=1e-9, err_msg=name)


def processor():
    for line in open("/proc/cpuinfo", encoding="ascii"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def measure(path, folder, design):
    n_stimuli, n_units, n_conditions = design
    rng = np.random.default_rng(0)
    condition = (np.arange(n_stimuli) % n_conditions).astype(np.int32)
    gain = (condition[:, None] == np.arange(n_units)[None] % n_conditions).astype(np.float32)
    x = np.maximum(rng.standard_normal((n_stimuli, n_units), dtype=np.float32) + gain, 0)
    chooses = choosing_half(condition, n_conditions)
    data = folder / "data"
    data.write_bytes(condition.tobytes() + x.tobytes())
    programs = {t: Program(path, data, design, t) for t in (1, 2)}
    times = {1: [], 2: [], "peer": []}
    for repetition in range(REPETITIONS + 1):
        for threads, program in programs.items():
            times[threads].append(program.run())
        started = time.perf_counter()
        theirs = peer(x, condition, n_conditions, chooses)
        times["peer"].append((time.perf_counter() - started) * 1e3)
        if repetition == 0:
            for program in programs.values():
                compare(program.results(folder / "results"), theirs)
    for program in programs.values():
        program.close()
    median = {k: statistics.median(v[1:]) for k, v in times.items()}
    spread = {k: f"{min(v[1:]):.0f} .. {max(v[1:]):.0f}" for k, v in times.items()}
    bytes_moved = 4 * x.size * 2 + 16 * n_units * n_conditions
    print(
        f"| {n_stimuli} x {n_units}, {n_conditions} | {median[1]:.0f} ({spread[1]}) "
        f"| {median[2]:.0f} ({spread[2]}) | {median['peer']:.0f} ({spread['peer']}) "
        f"| {median['peer'] / median[1]:.1f} | {median['peer'] / median[2]:.1f} "
        f"| {bytes_moved / 1e6 / median[1]:.2f} |",
        flush=True,
    )


def main():
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        if name in os.environ:
            sys.exit(f"unset {name} first: it holds numpy's kernels back")
    print(f"{processor()}, {os.cpu_count()} cores; numpy {np.__version__}, scipy {scipy.__version__}")
    print("| stimuli x units, conditions | Nissl, 1 thread, ms | 2 threads | numpy + scipy | ratio, 1 | ratio, 2 | GB/s, 1 |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for design in DESIGNS:
            measure(sys.argv[1], pathlib.Path(folder), design)


main()
