#!/usr/bin/env python3
"""Compiles every header alone, strictly. Prints the compiler's words for each that fails.

Public headers: as C17 and as C++17, with gcc and with clang, without extensions.
Private headers: as C17 with the library's own flags. A header without an include guard whose
first comment says by whom it is "included by" is a template and is compiled where it is used.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]


def headers(folder):
    found = []
    for place, _, names in os.walk(os.path.join(ROOT, folder)):
        found += [os.path.relpath(os.path.join(place, name), os.path.join(ROOT, folder))
                  for name in names if name.endswith(".h")]
    return sorted(found)


def is_template(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return "included by" in text[:400] and not re.search(r"^#ifndef \w+_H\b", text, re.MULTILINE)


def hdf5_flags():
    """Debian keeps the HDF5 headers in a folder of their own."""
    done = subprocess.run(["pkg-config", "--cflags", "hdf5"], capture_output=True, text=True,
                          check=False)
    return done.stdout.split() if done.returncode == 0 else []


def compile_alone(job):
    command, name = job
    done = subprocess.run(command, input=f'#include "{name}"\n', capture_output=True, text=True,
                          errors="replace", check=False)
    return done.returncode, " ".join(command), name, done.stderr


def main():
    c_compilers = [c for c in ("gcc", "clang") if shutil.which(c)]
    cpp_compilers = [c for c in ("g++", "clang++") if shutil.which(c)]
    if not c_compilers or not cpp_compilers:
        print("check_headers: no compiler found")
        return 1
    include = "-I" + os.path.join(ROOT, "include")
    source = "-I" + os.path.join(ROOT, "src")
    private = [include, source, "-D_GNU_SOURCE"] + hdf5_flags()
    jobs = []
    for name in headers("include"):
        jobs += [([c, "-std=c17"] + STRICT + [include, "-x", "c", "-"], name) for c in c_compilers]
        jobs += [([c, "-std=c++17"] + STRICT + [include, "-x", "c++", "-"], name)
                 for c in cpp_compilers]
    for name in headers("src"):
        if is_template(os.path.join(ROOT, "src", name)):
            continue
        jobs += [([c, "-std=c17"] + STRICT + private + ["-x", "c", "-"], name)
                 for c in c_compilers]
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, command, name, words in pool.map(compile_alone, jobs):
            if code != 0:
                failures += 1
                print(f"{name} does not compile alone: {command}\n{words}")
    print(f"headers: {len(jobs)} compilations, {failures} failed ({', '.join(c_compilers)})")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
