"""Recording moments, histogram, exemplars and frequency of every unit at every site: Nissl's recorder beside its own plain
forward pass, and beside torch with hooks that compute the same statistics, all in alternation.

    bench/run.sh record.py BUILD/bench/bench_record [DATA] [--stimuli 500] [--repetitions 5] [--only NAME] [--threads 1,2]

The statistics are compared before times are printed. Torch runs each batch of BATCHES once and keeps the fastest.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import h5py
import numpy as np
import onnx
import torch

import networks
import peers

BATCHES = (1, 5, 20, 50)
STEPS = ("plain", "exact", "summary", "record")

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("data", nargs="?", default=networks.DATA)
parser.add_argument("--stimuli", type=int, default=500)
parser.add_argument("--repetitions", type=int, default=5)
parser.add_argument("--only", default="")
parser.add_argument("--threads", default="1,2")
arguments = parser.parse_args()


class Nissl:
    def __init__(self, model, stimuli, threads, recording):
        self.process = subprocess.Popen([arguments.program, model, stimuli, str(threads), recording],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.passes = []
        self.batch, self.n, self.n_sites, self.n_units = map(int, self.process.stdout.readline().split())

    def step(self, word):
        def run():
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
            ms, *of_pass = map(float, self.process.stdout.readline().split())
            self.passes += of_pass
            return ms
        return run

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Hooked:
    """Torch over all stimuli with the statistics' hooks."""

    def __init__(self, path, x, threads):
        self.x, self.threads, self.path, self.made = x, threads, path, {}
        self.batch = min(BATCHES, key=self.time_of)

    def time_of(self, batch):
        self.batch = batch
        self()
        return self()

    def __call__(self):
        if self.batch not in self.made:
            model = peers.set_batch(onnx.load(self.path), self.batch)
            observer = peers.Statistics()
            network = peers.Torch(model, self.x[:self.batch], self.threads, observer.observe)
            parts = [torch.from_numpy(self.x[i:i + self.batch]) for i in range(0, len(self.x), self.batch)]
            parts = [p.contiguous(memory_format=torch.channels_last) if p.dim() == 4 else p for p in parts]
            self.made[self.batch] = network, observer, parts
        network, observer, parts = self.made[self.batch]
        torch.set_num_threads(self.threads)
        begin = time.perf_counter()
        observer.reset()
        for part in parts:
            network.x = part
            network.forward()
        self.result = observer.finish()
        return (time.perf_counter() - begin) * 1e3


def compare(path, result, name):
    """Both compute float32 networks in another order, so values agree to rounding, not to the bit."""
    with h5py.File(path) as file:
        sites, units = file["processing/network/sites"], file["units"]
        names = [s.decode() for s in sites["site"][:]]
        assert set(names) == set(result), set(names) ^ set(result)
        table = {k: units[k][:] for k in next(iter(result.values()))}
        moved = total = 0
        for site, first, n in zip(names, sites["first_unit"][:], sites["n_units"][:]):
            ours = {k: v[first:first + n] for k, v in table.items()}
            theirs = {k: v.numpy() for k, v in result[site].items()}
            scale = max(np.abs(ours["moments_max"]).max(), np.abs(ours["moments_min"]).max(), 1e-6)
            for k in ("moments_mean", "moments_min", "moments_max", "moments_rectified_mean", "exemplars_top_value",
                      "exemplars_bottom_value"):
                worst = np.abs(ours[k] - theirs[k]).max() / scale
                assert worst < 1e-4, (name, site, k, worst)
            assert np.abs(ours["moments_variance"] - theirs["moments_variance"]).max() < 1e-4 * scale ** 2
            assert np.abs(ours["frequency_frequency"] - theirs["frequency_frequency"]).max() < 2e-3
            same = ours["histogram_top"] == theirs["histogram_top"]
            moved += np.abs(ours["histogram_counts"].astype(np.int64) - theirs["histogram_counts"])[same].sum() / 2
            total += ours["histogram_counts"].sum()
            assert same.mean() > 0.99, (name, site)
    assert moved < 5e-3 * total, (name, moved / total)


def cell(times):
    return f"{statistics.median(times):.0f} ({min(times):.0f}-{max(times):.0f})"


def measure(name, path, x, threads, with_torch):
    """One row."""
    stimuli, recording = os.path.join(folder, "stimuli.npy"), os.path.join(folder, "recording.nwb")
    np.save(stimuli, x)
    nissl = Nissl(path, stimuli, threads, recording)
    words = STEPS if with_torch else ("plain", "record")
    runners = {word: nissl.step(word) for word in words}
    if with_torch:
        runners["torch"] = Hooked(path, x, threads)
        runners["record"]()
        compare(recording, runners["torch"].result, name)
    times = {word: [] for word in runners}
    nissl.passes.clear()
    for _ in range(arguments.repetitions):
        for word, run in runners.items():
            time.sleep(0.05)
            times[word].append(run())
    nissl.close()
    times["pass"] = nissl.passes
    middle = {word: statistics.median(t) for word, t in times.items()}
    cells = [cell(times[word]) if word in times else "" for word in ("plain", "exact", "summary", "pass", "record")]
    ratios = [f"{middle[word] / middle['plain']:.2f}" for word in ("pass", "record")]
    peer = [cell(times["torch"]), f"{middle['torch'] / middle['record']:.2f}"] if with_torch else ["", ""]
    print(f"| {name} | {len(x)} | {nissl.n_sites} | {nissl.n_units} | {threads} | " + " | ".join(cells + ratios + peer) +
          " |", flush=True)


folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
try:
    print(f"torch {torch.__version__}, every site and unit; milliseconds\n")
    print("| network | stimuli | sites | units | threads | plain | exact | + summaries | pass | whole recording | "
          "pass / plain | recording / plain | torch, hooks | torch / recording |\n"
          "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    rows = [(name, path, arguments.stimuli, True) for name, path in
            networks.convolutional(arguments.data, folder).items()]
    rows += [(name, made[0], max(arguments.stimuli // 16, 1), False) for name, made in
             networks.transformers(folder).items() if made[2] < 512]
    for name, path, n, with_torch in rows:
        for threads in map(int, arguments.threads.split(",")) if arguments.only in name else ():
            measure(name, path, networks.input_of(path, n), threads, with_torch)
finally:
    shutil.rmtree(folder)
