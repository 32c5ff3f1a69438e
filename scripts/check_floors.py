#!/usr/bin/env python3
"""Checks the house rules that a compiler does not know. Prints one line per breach.

- Includes go down the floors only; rooms of src/analyses never include one another.
- src/cli includes only public headers; public headers include only public headers.
- The library (src outside src/cli) never prints to a standard stream, exits or aborts.
- No path of somebody's machine, no unfinished marks, no file that has outgrown one idea.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

FLOORS = {
    "foundation": 0,
    "math": 0,
    "formats": 1,
    "network": 2,
    "recording": 3,
    "analyses": 4,
    "studies": 5,
    "report": 6,
    "serve": 6,
    "cli": 7,
}
MOST_LINES = 1000

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.MULTILINE)
TALKING = re.compile(
    r"(?<![\w.>])(printf|vprintf|puts|putchar|perror|exit|_exit|_Exit|quick_exit|abort|assert)\s*\("
    r"|(?<!\w)(stdout|stderr)\b")
MACHINE = re.compile(r"(?<![\w./-])/(work|root|home|Users)/\w")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked():
    """Files of the project: those git tracks or would track, or all where there is no git."""
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
                          capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return sorted(set(done.stdout.splitlines()))
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith(("build", ".", "node_modules"))]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return sorted(found)


def without_comments(text, strings=True):
    """Blanks comments, and string literals if asked; keeps line numbers."""
    def blank(match):
        token = match.group(0)
        if token.startswith("/") or strings:
            return re.sub(r"[^\n]", " ", token)
        return token
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.DOTALL)


def room_of_analysis(path):
    """The room a file of src/analyses belongs to: its subfolder, or the first word of its name."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else re.split(r"[_.]", parts[1])[0]


def check_include(path, style, name):
    """Returns what is wrong with including name in path, or None."""
    parts = path.split("/")
    public = name == "nissl.h" or name.startswith("nissl/")
    if parts[0] == "include":
        if style == '"' and not public:
            return f"public header includes the private \"{name}\""
        return None
    if parts[0] != "src" or style == "<":
        return None
    room = parts[1]
    if room not in FLOORS:
        return f"src/{room} is not on the list of floors"
    if public:
        if name != "nissl.h" and not os.path.exists(os.path.join(ROOT, "include", name)):
            return f"there is no public header \"{name}\""
        return None
    if room == "cli":
        inside = name.startswith("cli/") or "/" not in name
        return None if inside else f"src/cli includes the private \"{name}\""
    if "/" not in name:
        return f"include \"{name}\" names no room: write \"{room}/{name}\""
    other = name.split("/")[0]
    if other not in FLOORS:
        return f"include \"{name}\": no such room"
    if FLOORS[other] > FLOORS[room]:
        return f"floor {FLOORS[room]} ({room}) includes floor {FLOORS[other]} (\"{name}\")"
    if FLOORS[other] == FLOORS[room] and other != room and FLOORS[room] != 0:
        return f"{room} includes its neighbour \"{name}\""
    if room == "analyses" and other == "analyses":
        here, there = room_of_analysis("/".join(parts[1:])), room_of_analysis(name)
        if here != there and there != "analyses":
            return f"analysis {here} includes analysis {there} (\"{name}\")"
    return None


def check_file(path, complain):
    try:
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = file.read()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return
    code = path.endswith((".c", ".h", ".cpp", ".hpp"))
    itself = path.startswith("scripts/check_")
    for number, line in enumerate(text.splitlines(), 1):
        if not itself and MACHINE.search(line):
            complain(path, number, "path of one machine")
        if code and UNFINISHED.search(line):
            complain(path, number, "unfinished mark")
    if not code:
        return
    if len(text.splitlines()) > MOST_LINES:
        complain(path, MOST_LINES, f"{len(text.splitlines())} lines, more than {MOST_LINES}")
    bare = without_comments(text, strings=False)
    for match in INCLUDE.finditer(bare):
        wrong = check_include(path, match.group(1), match.group(2))
        if wrong:
            complain(path, bare.count("\n", 0, match.start()) + 1, wrong)
    if path.startswith("src/") and not path.startswith("src/cli/"):
        bare = without_comments(text)
        for match in TALKING.finditer(bare):
            word = match.group(1) or match.group(2)
            complain(path, bare.count("\n", 0, match.start()) + 1, f"the library must not use {word}")


def main():
    breaches = []
    files = tracked()
    for path in files:
        check_file(path, lambda p, n, what: breaches.append(f"{p}:{n}: {what}"))
    for breach in breaches:
        print(breach)
    print(f"floors: {len(files)} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
