#!/bin/sh
# Makes a Python environment for a folder's requirements.txt and prints its interpreter.
# usage: scripts/venv.sh FOLDER      (FOLDER/requirements.txt -> .venv/FOLDER)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -eq 1 ] && [ -f "$root/$1/requirements.txt" ] || {
    echo "usage: $0 FOLDER, where FOLDER/requirements.txt exists: oracles, bench" >&2
    exit 2
}
venv=$root/.venv/$1
stamp=$venv/requirements.txt
if ! cmp -s "$root/$1/requirements.txt" "$stamp"; then
    python3 -m venv "$venv" || { echo "python3-venv is needed: apt-get install python3-venv" >&2; exit 1; }
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$root/$1/requirements.txt" >&2
    cp "$root/$1/requirements.txt" "$stamp"
fi
echo "$venv/bin/python"
