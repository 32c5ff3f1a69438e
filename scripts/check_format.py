#!/usr/bin/env python3
"""Names the C and C++ files that clang-format would lay out otherwise (`make format` does it).

Exits with 77 (skipped) where clang-format is missing or is not the version the layout is made for.
"""

import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAJOR = 14  # Debian 12; other versions lay out some constructs otherwise


def main():
    if not shutil.which("clang-format"):
        print("clang-format is missing")
        return 77
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True,
                             check=True).stdout
    major = re.search(r"version (\d+)", version)
    if not major or int(major.group(1)) != MAJOR:
        print(f"clang-format {MAJOR} is wanted, this is: {version.strip()}")
        return 77
    files = []
    for folder in ("include", "src", "tests", "examples", "bench"):
        for place, _, names in os.walk(os.path.join(ROOT, folder)):
            files += [os.path.join(place, n) for n in names if n.endswith((".c", ".h", ".cpp"))]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", "--style=file"] + sorted(files),
                          capture_output=True, text=True, errors="replace", check=False)
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines()
                    if "-Wclang-format-violations" in line})
    for name in wrong:
        print(f"{os.path.relpath(name, ROOT)}: run clang-format -i")
    if done.returncode != 0 and not wrong:
        print(done.stderr)
    print(f"format: {len(files)} files, {len(wrong)} to lay out")
    return 1 if done.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
