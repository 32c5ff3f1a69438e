#!/usr/bin/env python3
"""Runs the tests and counts single cases.

usage: run_tests.py [--build DIR] [--sanitize] [--also TARGET]...

Every test runs twice: with the instruction set that this processor has, and with oneDNN, the BLAS
and Nissl's own kernels held to AVX2. An OPENBLAS_CORETYPE that is set already is left alone in
both. With --sanitize the tests run once, under AddressSanitizer and UndefinedBehaviorSanitizer.
--also counts `make TARGET` as one case more, and --also sanitize the cases of that run.

A cmocka program counts as its cases, any other program as one. A program that fails without a
failed case (a crash, a leak, a time-out) counts as one failure more. The last line is

    N passed, N failed, N skipped

and the exit code is nonzero if anything failed or nothing passed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CASE = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] \S+$", re.MULTILINE)
SLOW_SECONDS = 20.0
LOG_LINES = 60


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def say(text):
    print(text, flush=True)


def count_test(test):
    """Counts the cases of one entry of Meson's test log."""
    counts = Counts()
    cases = CASE.findall(test.get("stdout", ""))
    counts.passed = cases.count("OK")
    counts.failed = cases.count("FAILED")
    counts.skipped = cases.count("SKIPPED")
    result = test["result"]
    if result in ("OK", "EXPECTEDFAIL"):
        if not cases:
            counts.passed = 1
    elif result == "SKIP":
        if not cases:
            counts.skipped = 1
    elif counts.failed == 0:
        counts.failed = 1
    return counts


def print_log(test):
    lines = (test.get("stdout", "") + test.get("stderr", "")).splitlines()
    say(f"---- {test['name']}: {test['result']} after {test['duration']:.1f} s")
    if len(lines) > LOG_LINES:
        say(f"     (the last {LOG_LINES} of {len(lines)} lines)")
    for line in lines[-LOG_LINES:]:
        say("     " + line)


def run_pass(build, name, title, setup, env):
    """One pass over the tests. Returns counts and the names of failed tests."""
    say(f"== {title}")
    log = os.path.join(build, "meson-logs", f"testlog-{name}.json")
    if os.path.exists(log):
        os.unlink(log)
    command = ["meson", "test", "-C", build, "--no-rebuild", "--setup", setup, "--logbase",
               f"testlog-{name}"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL, text=True, errors="replace")
    output = []
    for line in process.stdout:
        output.append(line)
        if re.match(r"^ *\d+/\d+ ", line):
            say("  " + line.rstrip())
    process.wait()
    # Meson puts the name of the setup into the log's name when it is not the default one.
    candidates = [log, log[:-5] + f"-{setup}.json"]
    log = next((path for path in candidates if os.path.exists(path)), None)
    total = Counts()
    if log is None and any("No suitable tests" in line for line in output):
        say("  no tests here")
        return total
    if log is None:
        say("".join(output))
        say("meson test wrote no log")
        total.failed = 1
        return total
    slow = []
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            test = json.loads(line)
            counts = count_test(test)
            total.add(counts)
            if counts.failed:
                print_log(test)
            if test["duration"] > SLOW_SECONDS:
                slow.append((test["duration"], test["name"]))
    if process.returncode != 0 and total.failed == 0:
        say("".join(output[-20:]))
        say(f"meson test ended with {process.returncode}")
        total.failed = 1
    for seconds, test_name in sorted(slow, reverse=True):
        say(f"  slow: {test_name}, {seconds:.0f} s")
    say(f"  {title}: {total}")
    return total


def build_all(build, options):
    """Configures where needed and builds. Returns whether that worked."""
    if not os.path.exists(os.path.join(build, "build.ninja")):
        done = subprocess.run(["meson", "setup", build, ROOT] + options, capture_output=True,
                              text=True, errors="replace", check=False)
        if done.returncode != 0:
            say(done.stdout + done.stderr)
            return False
    say("== build")
    done = subprocess.run(["ninja", "-C", build, "--quiet"], capture_output=True, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0 or "warning:" in done.stdout:
        say(done.stdout.strip() + done.stderr.strip())
    return done.returncode == 0


def base_environment():
    env = dict(os.environ)
    if "NISSL_DATA" not in env:
        beside = os.path.normpath(os.path.join(ROOT, "..", "shared", "data"))
        if os.path.isdir(beside):
            env["NISSL_DATA"] = beside
    return env


def run_sanitized(build):
    env = base_environment()
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:halt_on_error=1:allocator_may_return_null=1")
    env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    options = ["-Db_sanitize=address,undefined", "-Dbuildtype=debugoptimized", "-Db_lundef=false",
               "-Dbundles=disabled"]
    if not build_all(build, options):
        counts = Counts()
        counts.failed = 1
        return counts
    return run_pass(build, "sanitize", "address and undefined-behaviour sanitizers", "sanitize", env)


def run_target(target):
    say(f"== make {target}")
    started = time.monotonic()
    done = subprocess.run(["make", "--no-print-directory", "-C", ROOT, target],
                          stdin=subprocess.DEVNULL, check=False)
    counts = Counts()
    if done.returncode == 0:
        counts.passed = 1
    else:
        counts.failed = 1
    outcome = "passed" if counts.passed else "failed"
    say(f"  make {target}: {outcome} after {time.monotonic() - started:.0f} s")
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--also", action="append", default=[], metavar="TARGET")
    args = parser.parse_args()
    started = time.monotonic()
    total = Counts()
    env = base_environment()
    data = env.get("NISSL_DATA")

    if args.sanitize:
        total.add(run_sanitized(args.build))
    elif not build_all(args.build, []):
        total.failed += 1
    else:
        total.add(run_pass(args.build, "native", "this processor's instruction set", "native", env))
        narrow = dict(env)
        narrow.setdefault("OPENBLAS_CORETYPE", "Haswell")
        total.add(run_pass(args.build, "avx2", "held to AVX2", "avx2", narrow))

    for target in args.also:
        if target == "sanitize":
            total.add(run_sanitized(args.build + "-sanitize"))
        else:
            total.add(run_target(target))

    if not data:
        say("no reference data (set NISSL_DATA to its folder): tests that need it were skipped")
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    say(f"time: {minutes} min {seconds} s")
    say(str(total))
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
