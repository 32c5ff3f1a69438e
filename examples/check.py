#!/usr/bin/env python3
"""Runs an example and checks what it prints. usage: check.py NAME FOLDER_OF_PROGRAMS"""

import csv
import os
import struct
import subprocess
import sys
import tempfile

FOLDER = os.path.abspath(sys.argv[2])


def run(name, *arguments):
    done = subprocess.run([os.path.join(FOLDER, "example_" + name)] + list(arguments),
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_npy(path, kind, shape, values):
    """A version 1.0 numpy file; kind is '<f4' or '<i8'."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack(f"<{len(values)}{'f' if kind == '<f4' else 'q'}", *values))


def check_record(folder):
    lines = run("record", f"{folder}/cortex.onnx", f"{folder}/cortex.nwb").splitlines()
    strongest = {}
    for line in lines:
        unit, mean = line.split()
        strongest[unit.rsplit(":", 1)[0]] = float(mean)
    assert any(site.startswith("S1/") for site in strongest), lines
    assert all(mean > 0 for site, mean in strongest.items() if site.startswith("C1/")), lines


def check_sites(folder):
    run("record", f"{folder}/cortex.onnx", f"{folder}/cortex.nwb")
    lines = run("sites", f"{folder}/cortex.onnx").splitlines()
    rows = [line.split() for line in lines[1:]]
    rectified = [row for row in rows if row[0] == "S1/scale0/rectified"]
    assert len(rectified) == 1, lines
    assert rectified[0][1] == "Relu" and int(rectified[0][2]) % 8 == 0, lines


def check_tune(folder):
    """Unit 0 answers condition 1 only, unit 1 all alike, unit 2 condition 2 most."""
    responses, labels = [], []
    for sample in range(60):
        condition = sample % 3
        wobble = (sample * 7 % 5) / 100
        labels.append(condition)
        responses += [5 + wobble if condition == 1 else 0, 1.0, condition + wobble]
    write_npy(f"{folder}/responses.npy", "<f4", (60, 3), responses)
    write_npy(f"{folder}/labels.npy", "<i8", (60,), labels)
    rows = list(csv.DictReader(run("tune", f"{folder}/responses.npy",
                                   f"{folder}/labels.npy").splitlines()))
    assert len(rows) == 3, rows
    assert rows[0]["preferred"] == "1" and rows[2]["preferred"] == "2", rows
    assert float(rows[0]["auroc"]) == 1.0, rows
    assert float(rows[0]["selectivity"]) > 0.999, rows


def main():
    with tempfile.TemporaryDirectory() as folder:
        {"record": check_record, "sites": check_sites, "tune": check_tune}[sys.argv[1]](folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
