#!/usr/bin/env python3
"""Small .npy files of every type and order, as numpy writes them, for tests/formats/test_npy.c.

Every array holds the integers 0, 1, 2 ... (booleans: i % 2, signed: less 5, floats: halves) in row-major order of its
logical shape. Made with numpy 2.4.6. Usage: python3 oracles/npy.py
"""

import os

import numpy as np
from numpy.lib import format as npy

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "tests", "fixtures", "npy")


def values(kind, shape):
    count = np.arange(int(np.prod(shape)))
    if kind == "?":
        return (count % 2).astype(bool).reshape(shape)
    if kind[0] == "f":
        return (count / 2).astype(kind).reshape(shape)
    if kind[0] == "i":
        return (count - 5).astype(kind).reshape(shape)
    return count.astype(kind).reshape(shape)


def write(name, array, version):
    with open(os.path.join(FOLDER, name), "wb") as out:
        npy.write_array(out, array, version=version)


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for kind in ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]:
        write("c_%s.npy" % kind.replace("?", "b1"), values(kind, (3, 4, 2)), (1, 0))
    write("fortran_f4.npy", np.asfortranarray(values("f4", (3, 4, 2))), (1, 0))
    write("fortran_u1.npy", np.asfortranarray(values("u1", (5, 3))), (1, 0))
    write("version2_f4.npy", values("f4", (2, 3)), (2, 0))
    write("version3_i4.npy", values("i4", (2, 3)), (3, 0))
    write("scalar_f8.npy", np.array(2.5), (1, 0))
    write("empty_f4.npy", np.zeros((0, 3), np.float32), (1, 0))
    write("vector_i8.npy", values("i8", (7,)), (1, 0))
    write("big_endian.npy", np.arange(3, dtype=">f4"), (1, 0))
    write("complex.npy", np.arange(3).astype(np.complex64), (1, 0))
    write("structured.npy", np.zeros(2, [("a", "<f4"), ("b", "<i4")]), (1, 0))


if __name__ == "__main__":
    main()
