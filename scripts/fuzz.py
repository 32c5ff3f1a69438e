#!/usr/bin/env python3
"""Runs each fuzz target under libFuzzer with the address and undefined-behaviour sanitizers.

usage: fuzz.py [--seconds N] [--build DIR] [NAME]...

N seconds for each target (default 60). What was found useful stays in DIR/corpus/NAME, so that a
later run goes on from there; a crash is written to DIR/crash-NAME-*.
"""

import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(command, **more):
    return subprocess.run(command, text=True, errors="replace", check=False, **more)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--build", default=os.path.join(ROOT, "build-fuzz"))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    if not os.path.exists(os.path.join(build, "build.ninja")):
        done = run(["meson", "setup", build, ROOT, "-Dfuzz=true", "-Dbench=false", "-Dbundles=disabled",
                    "-Db_sanitize=address,undefined", "-Db_lundef=false",
                    "-Dbuildtype=debugoptimized"],
                   env=dict(os.environ, CC="clang", CXX="clang++"), capture_output=True)
        if done.returncode != 0:
            print(done.stdout + done.stderr)
            return 1
    done = run(["meson", "introspect", "--tests", build], capture_output=True)
    tests = [t for t in json.loads(done.stdout) if any(s.endswith("fuzz") for s in t["suite"])]
    failures = 0
    for test in tests:
        name = test["name"].removeprefix("fuzz_")
        if args.names and name not in args.names:
            continue
        program = test["cmd"][0]
        done = run(["ninja", "-C", build, "--quiet", os.path.relpath(program, build)],
                   capture_output=True)
        if done.returncode != 0:
            print(done.stdout + done.stderr)
            failures += 1
            continue
        corpus = os.path.join(build, "corpus", name)
        os.makedirs(corpus, exist_ok=True)
        done = run([program, f"-max_total_time={args.seconds}", "-timeout=20", "-rss_limit_mb=2048",
                    "-max_len=65536", f"-artifact_prefix={build}/crash-{name}-", corpus]
                   + test["cmd"][1:], capture_output=True, stdin=subprocess.DEVNULL)
        words = done.stderr.splitlines()
        if done.returncode != 0:
            failures += 1
            print("\n".join(words[-40:]))
        last = next((w for w in reversed(words) if w.startswith("Done")), "")
        print(f"{name}: {'failed' if done.returncode else 'nothing found'}. {last}", flush=True)
    print(f"fuzz: {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
