#!/usr/bin/env python3
"""Builds everything with gcc and with clang, every warning an error. Prints what failed."""

import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COMPILERS = (("gcc", "g++"), ("clang", "clang++"))


def main():
    failed = False
    for c, cpp in COMPILERS:
        if not shutil.which(c):
            print(f"{c}: not found")
            failed = True
            continue
        build = os.path.join(ROOT, f"build-lint-{c}")
        env = dict(os.environ, CC=c, CXX=cpp)
        if not os.path.exists(os.path.join(build, "build.ninja")):
            done = subprocess.run(["meson", "setup", build, ROOT, "-Dwerror=true", "-Dbundles=disabled"], env=env,
                                  capture_output=True, text=True, errors="replace", check=False)
            if done.returncode != 0:
                print(done.stdout + done.stderr)
                failed = True
                continue
        done = subprocess.run(["ninja", "-C", build, "--quiet", "-k", "0"], capture_output=True,
                              text=True, errors="replace", check=False)
        if done.returncode != 0:
            print(done.stdout + done.stderr)
            failed = True
        print(f"{c}: {'warnings or errors' if done.returncode else 'no warnings'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
