"""Makes tests/fixtures/networks: small networks, an input, and the outputs of onnxruntime.

    python oracles/fixtures.py [--out DIR] [NAME...]

Needs torch 2.13.0 (CPU), onnx 1.23.2, onnxruntime 1.32.0, onnxscript and numpy; the versions used
stand in manifest.json. Each network is a folder NAME:

    model.onnx       and weights.bin where data is external
    input.npy        the one input: a batch of 3, or of 1 where the file fixes that
    output.npy       the first output; output1.npy ... the others
    sites/*.npy      every other float32 tensor [batch, ...] that depends on the input's values,
                     named as `nissl verify` names them

All weights are ours: random, or trained here on drawings made here.
"""

import argparse
import json
import os
import shutil
import sys

import numpy
import onnx
import onnxruntime

import fixture_operators
import fixture_trained
from fixture_builder import save

MOST_BYTES = 1_500_000  # of all networks


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--out", default=os.path.join(here, "..", "tests", "fixtures", "networks"))
    parser.add_argument("names", nargs="*", help="only these, without a manifest")
    args = parser.parse_args()
    networks = fixture_operators.networks() + fixture_trained.networks()
    chosen = [n for n in networks if not args.names or n.name in args.names]
    entries = []
    for net in chosen:
        shutil.rmtree(os.path.join(args.out, net.name), ignore_errors=True)
        entries.append(save(net, args.out))
        print(f"{net.name}: {entries[-1]['bytes']} bytes, {len(entries[-1]['sites'])} sites")
    if args.names:
        return 0
    total = sum(e["bytes"] for e in entries)
    assert total < MOST_BYTES, f"{total} bytes in all"
    manifest = {
        "made_by": "oracles/fixtures.py",
        "versions": {"python": sys.version.split()[0], "numpy": numpy.__version__,
                     "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__,
                     **fixture_trained.versions()},
        "networks": entries,
    }
    with open(os.path.join(args.out, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.write("\n")
    print(f"{len(entries)} networks, {total} bytes, operators: "
          + " ".join(sorted({o for e in entries for o in e["operators"]})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
