#!/usr/bin/env python3
"""Tests of the scripts that judge the others: planted breaches are found, cases are counted right."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(ROOT, "scripts")
# Written in pieces, so that this file holds no such path or mark itself.
HOME = "/ho" "me/somebody/data"
MARK = "TO" "DO"

FINE = {
    "include/nissl.h": '#include "nissl/a.h"\n',
    "include/nissl/a.h": "int nissl_a(void);\n",
    "src/foundation/foundation.h": "int nissl__f(void);\n",
    "src/formats/x.c": '#include "foundation/foundation.h"\n#include "formats/x.h"\n#include <stdio.h>\n'
                       'int g(char *s) { return snprintf(s, 9, "exit(1) /* printf() */"); }\n',
    "src/formats/x.h": '#include "nissl/a.h"\n',
    "src/analyses/tuning.c": '#include "analyses/tuning.h"\n#include "recording/r.h"\n',
    "src/analyses/tuning_table.c": '#include "analyses/tuning.h"\n',
    "src/analyses/tuning.h": "",
    "src/cli/main.c": '#include "nissl.h"\n#include "app.h"\n#include <stdio.h>\n'
                      'int main(void) { return puts("hello"); }\n',
    "tests/t.c": '#include "formats/x.h"\n',
}

BREACHES = {
    "a lower floor includes a higher": ("src/formats/y.c", '#include "network/graph.h"\n'),
    "neighbours": ("src/analyses/probes.c", '#include "analyses/tuning.h"\n'),
    "neighbours in folders": ("src/analyses/probes/a.c", '#include "analyses/tuning/b.h"\n'),
    "a public header shows a private one": ("include/nissl/b.h", '#include "formats/x.h"\n'),
    "the command line reaches inside": ("src/cli/cmd.c", '#include "formats/x.h"\n'),
    "no such public header": ("src/formats/y.c", '#include "nissl/none.h"\n'),
    "an unnamed room": ("src/formats/y.c", '#include "x.h"\n'),
    "an unknown room": ("src/attic/y.c", '#include "foundation/foundation.h"\n'),
    "printing": ("src/formats/y.c", 'void f(void) { printf("x"); }\n'),
    "printing to stderr": ("src/formats/y.c", 'void f(void) { fprintf(stderr, "x"); }\n'),
    "exit": ("src/network/y.c", "void f(void) { exit(1); }\n"),
    "abort": ("src/network/y.cpp", "void f() { abort(); }\n"),
    "assert": ("src/network/y.c", "void f(int x) { assert(x); }\n"),
    "a path of one machine": ("docs/page.md", f"see {HOME}\n"),
    "an unfinished mark": ("src/network/y.c", f"/* {MARK} */\n"),
    "too long": ("src/network/y.c", "\n" * 1200),
}


def load(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(SCRIPTS, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Floors(unittest.TestCase):
    def check(self, extra):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "scripts"))
            shutil.copy(os.path.join(SCRIPTS, "check_floors.py"), os.path.join(folder, "scripts"))
            for path, text in {**FINE, **extra}.items():
                os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
                with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
                    file.write(text)
            return subprocess.run([sys.executable, os.path.join(folder, "scripts/check_floors.py")],
                                  capture_output=True, text=True, check=False)

    def test_sound_tree_passes(self):
        done = self.check({})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_planted_breaches_are_found(self):
        for name, (path, text) in BREACHES.items():
            with self.subTest(name):
                done = self.check({path: text})
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn(path, done.stdout)


class Counting(unittest.TestCase):
    def count(self, result, stdout=""):
        counts = load("run_tests").count_test({"result": result, "stdout": stdout})
        return counts.passed, counts.failed, counts.skipped

    def test_cases_of_cmocka(self):
        text = ("[==========] Running 3 test(s).\n[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n"
                "[  FAILED  ] b\n[ RUN      ] c\n[  SKIPPED ] c\n[==========] 3 test(s) run.\n")
        self.assertEqual(self.count("FAIL", text), (1, 1, 1))

    def test_crash_after_passed_cases_fails(self):
        self.assertEqual(self.count("FAIL", "[       OK ] a\n[ RUN      ] b\n"), (1, 1, 0))
        self.assertEqual(self.count("TIMEOUT", "[       OK ] a\n"), (1, 1, 0))

    def test_other_programs_count_once(self):
        self.assertEqual(self.count("OK", "fine\n"), (1, 0, 0))
        self.assertEqual(self.count("SKIP"), (0, 0, 1))
        self.assertEqual(self.count("FAIL"), (0, 1, 0))
        self.assertEqual(self.count("ERROR"), (0, 1, 0))
        self.assertEqual(self.count("UNEXPECTEDPASS"), (0, 1, 0))


class Globals(unittest.TestCase):
    @unittest.skipUnless(shutil.which("cc") and shutil.which("objdump"), "no compiler")
    def test_writable_data_is_found(self):
        sources = {"int counter;": 1, "static int n; int f(void) { return ++n; }": 1,
                   "int table[2] = {1, 2};": 1, "_Thread_local int mine = 3;": 1,
                   "const int table[2] = {1, 2};": 0,
                   'static const char *const names[] = {"a"}; const char *f(int i) { return names[i]; }': 0}
        for source, wanted in sources.items():
            with self.subTest(source), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "x.o")
                subprocess.run(["cc", "-fPIE", "-x", "c", "-c", "-", "-o", path], input=source,
                               text=True, check=True)
                done = subprocess.run([sys.executable, os.path.join(SCRIPTS, "check_globals.py"),
                                       path], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, wanted, done.stdout)


if __name__ == "__main__":
    unittest.main()
