#!/bin/sh
# Runs a program of this folder with the peers of requirements.txt installed.
# usage: bench/run.sh PROGRAM.py ARGUMENT...
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/../scripts/venv.sh" bench)
program=$1
shift
exec env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE "$python" "$here/$program" "$@"
