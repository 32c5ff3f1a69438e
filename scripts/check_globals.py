#!/usr/bin/env python3
"""Names mutable globals in the library; there may be none but those listed here.

The object of the one C++ file is left out: Boost.Math's templates bring initialisers of their own.

usage: check_globals.py LIBRARY
"""

import re
import shutil
import subprocess
import sys

ALLOWED = {
    "fail_at": "tests make the n-th allocation fail",
    "inside_job": "thread-local: a worker knows that it is one",
    "this_worker": "thread-local: a worker's number",
}
MUTABLE = re.compile(r"\s(\.t?(?:data|bss)(?:\.(?!rel\.ro)\S+)?)\t([0-9a-f]+)\s+(?:\.\w+ )?(\S+)$")


def main():
    if not shutil.which("objdump"):
        print("objdump is missing")
        return 77
    done = subprocess.run(["objdump", "-t", sys.argv[1]], capture_output=True, text=True,
                          check=True)
    member, found, failures = "", 0, 0
    for line in done.stdout.splitlines():
        if "file format" in line:
            member = line.split(":")[0]
        match = MUTABLE.search(line)
        if not match or int(match.group(2), 16) == 0 or match.group(3).startswith("."):
            continue
        found += 1
        name = re.sub(r"\.\d+$", "", match.group(3))
        if member.endswith(".cpp.o"):
            continue
        if name not in ALLOWED:
            failures += 1
            print(f"{member}: mutable global {name} ({match.group(1)})")
    print(f"globals: {found} mutable, {failures} not allowed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
