#!/usr/bin/env python3
"""Runs clang-tidy (.clang-tidy) over the sources, or over those that are named.

usage: check_tidy.py [--build DIR] [FILE]...
"""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def tidy(command):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = [line for line in done.stdout.splitlines()
             if not re.match(r"^\d+ warnings? (generated|treated)", line)]
    return done.returncode, "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    if not shutil.which("clang-tidy"):
        print("clang-tidy is missing")
        return 77
    build = os.path.join(ROOT, args.build)
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    sources = sorted({os.path.normpath(os.path.join(e["directory"], e["file"])) for e in entries})
    sources = [s for s in sources if s.startswith(os.path.join(ROOT, "src") + os.sep)]
    if args.files:
        wanted = {os.path.abspath(name) for name in args.files}
        sources = [s for s in sources if s in wanted]
    failures = 0
    commands = [["clang-tidy", "--quiet", "-p", build, source] for source in sources]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, words in pool.map(tidy, commands):
            if code != 0:
                failures += 1
                print(words)
    print(f"tidy: {len(sources)} files, {failures} with findings")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
