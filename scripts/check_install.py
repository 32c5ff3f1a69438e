#!/usr/bin/env python3
"""Installs into a temporary folder and builds and runs a small program against what lies there.

usage: check_install.py BUILD
"""

import os
import subprocess
import sys
import tempfile

PROGRAM = """#include <nissl.h>
#include <stdio.h>
int main(void)
{
    nissl_error error = {0};
    nissl_context *ctx = NULL;
    if (nissl_context_new(NULL, &ctx, &error) != NISSL_OK)
        return 1;
    nissl_context_free(ctx);
    return puts(nissl_version()) < 0;
}
"""


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                          **more)
    if done.returncode != 0:
        print(" ".join(command))
        print(done.stdout + done.stderr)
        sys.exit(1)
    return done.stdout


def find(folder, name):
    for place, _, names in os.walk(folder):
        if name in names:
            return os.path.join(place, name)
    print(f"{name} was not installed")
    sys.exit(1)


def main():
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", folder])
        config = find(folder, "nissl.pc")
        program = find(folder, "nissl")
        # The file names the folder it was configured for; what lies there is below DESTDIR.
        with open(config, encoding="utf-8") as file:
            prefix = file.readline().strip().removeprefix("prefix=")
        with open(config, encoding="utf-8") as file:
            version = next(line.split()[1] for line in file if line.startswith("Version:"))
        env = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(config))
        flags = run(["pkg-config", f"--define-variable=prefix={folder}{prefix}", "--cflags",
                     "--libs", "nissl"], env=env).split()
        source, consumer = os.path.join(folder, "use.c"), os.path.join(folder, "use")
        with open(source, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        run(["cc", "-std=c17", "-Wall", "-Wextra", "-Werror", source, "-o", consumer] + flags)
        said = run([consumer]).strip()
        if said != version or version not in run([program, "version"]):
            print(f"nissl.pc says {version}, the library {said}")
            return 1
        print(f"installed, {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
