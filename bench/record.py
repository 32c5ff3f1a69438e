"""Recording moments, histogram, exemplars and frequency of every unit at every site: Nissl's recorder beside its own plain
forward pass, and beside torch with hooks that compute the same statistics, all in alternation.

    bench/run.sh record.py BUILD/bench/bench_record DATA [--stimuli 500] [--repetitions 5] [--only NAME] [--threads 1,2]

The statistics are compared before times are printed. Torch runs each batch of BATCHES once and keeps the fastest.
"""
import argparse
import os
import shutil
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
STEPS = ("plain", "exact", "summary", "record", "files")

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("data")
parser.add_argument("--stimuli", type=int, default=500)
parser.add_argument("--repetitions", type=int, default=5)
parser.add_argument("--only", default="")
parser.add_argument("--threads", default="1,2")
arguments = parser.parse_args()


class Nissl:
    def __init__(self, model, stimuli, threads, recording):
        self.process = subprocess.Popen([arguments.program, model, stimuli, str(threads), recording],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.batch, self.n, self.n_sites, self.n_units = map(int, self.process.stdout.readline().split())

    def step(self, word):
        def run():
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
            return float(self.process.stdout.readline())
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
            statistics = peers.Statistics()
            network = peers.Torch(model, self.x[:self.batch], self.threads, statistics.observe)
            parts = [torch.from_numpy(self.x[i:i + self.batch]) for i in range(0, len(self.x), self.batch)]
            parts = [p.contiguous(memory_format=torch.channels_last) if p.dim() == 4 else p for p in parts]
            self.made[self.batch] = network, statistics, parts
        network, statistics, parts = self.made[self.batch]
        torch.set_num_threads(self.threads)
        begin = time.perf_counter()
        statistics.reset()
        for part in parts:
            network.x = part
            network.forward()
        self.result = statistics.finish()
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


folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
try:
    print(f"torch {torch.__version__}, {arguments.stimuli} stimuli, every site and unit\n")
    print("| network | sites | units | threads | plain ms | exact | + summaries | whole recording | of it files | "
          "(recording - files) / plain | recording / plain | torch, hooks ms | torch / recording |\n"
          "|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, path in networks.convolutional(arguments.data, folder).items():
        if arguments.only and arguments.only not in name:
            continue
        shape = [d.dim_value for d in onnx.load(path).graph.input[0].type.tensor_type.shape.dim][1:]
        x = np.random.default_rng(1).uniform(-0.5, 0.5, [arguments.stimuli] + shape).astype(np.float32)
        stimuli, recording = os.path.join(folder, "stimuli.npy"), os.path.join(folder, "recording.nwb")
        np.save(stimuli, x)
        for threads in map(int, arguments.threads.split(",")):
            nissl, hooked = Nissl(path, stimuli, threads, recording), Hooked(path, x, threads)
            nissl.step("record")()
            compare(recording, hooked.result, name)
            runners = {word: nissl.step(word) for word in STEPS}
            runners["torch"] = hooked
            t = peers.alternate(runners, arguments.repetitions, warm=0)
            nissl.close()
            cells = [f"{t[k][0]:.0f} ({t[k][1]:.0f}-{t[k][2]:.0f})" for k in STEPS]
            print(f"| {name} | {nissl.n_sites} | {nissl.n_units} | {threads} | " + " | ".join(cells) +
                  f" | {(t['record'][0] - t['files'][0]) / t['plain'][0]:.2f} | {t['record'][0] / t['plain'][0]:.2f} | {t['torch'][0]:.0f} ({t['torch'][1]:.0f}-"
                  f"{t['torch'][2]:.0f}) | {t['torch'][0] / t['record'][0]:.2f} |", flush=True)
finally:
    shutil.rmtree(folder)
