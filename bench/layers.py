"""Where a forward pass goes, by kind of layer, beside what the machine can do.

    bench/run.sh layers.py BUILD/bench/bench_peak BUILD/bench/bench_layers [DATA] [--only NAME]

One thread, one stimulus: each step's fastest of 30 passes. Prints the limits, then a table per network.
"""
import argparse
import subprocess
import tempfile

import networks

parser = argparse.ArgumentParser()
parser.add_argument("peak")
parser.add_argument("layers")
parser.add_argument("data", nargs="?", default=networks.DATA)
parser.add_argument("--only", default="")
arguments = parser.parse_args()

peak, first, second, memory = subprocess.run([arguments.peak], stdout=subprocess.PIPE, check=True,
                                             text=True).stdout.split()
print(f"One thread: {peak} GFLOP/s of float32 multiply-adds; reads {first} GB/s from first-level cache (16 KiB), {second} "
      f"from second-level cache (512 KiB), {memory} from memory (256 MiB).")
with tempfile.TemporaryDirectory() as folder:
    paths = networks.convolutional(arguments.data, folder)
    paths.update({name: made[0] for name, made in networks.transformers(folder).items()})
    for name, path in paths.items():
        if arguments.only not in name:
            continue
        table = subprocess.run([arguments.layers, path, peak, "1"], stdout=subprocess.PIPE, check=True, text=True).stdout
        print(f"\n**{name}**\n\n| layer | steps | ms | of the time | rate | of the peak |\n|---|---|---|---|---|---|\n" +
              table, end="", flush=True)
