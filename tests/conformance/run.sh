#!/bin/sh
# Runs the ONNX backend tests of FOLDER or, without one, of the archive in the reference data.
# usage: run.sh PROGRAM BUILD_FOLDER [FOLDER [OPTION...]]
# Exits with 77 (skipped) where there is neither.
set -eu
program=$1 build=$2
folder=${3:-}
[ $# -gt 2 ] && shift 3 || shift 2
if [ -z "$folder" ]; then
    data=${NISSL_DATA:-$(dirname "$0")/../../../shared/data}
    archive=$data/onnx_backend/onnx_backend_node_dev.tar.xz
    folder=$build/onnx_backend
    [ -f "$archive" ] || { echo "no backend tests: $archive is absent" >&2; exit 77; }
    if [ ! "$folder/.complete" -nt "$archive" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        tar -xJf "$archive" -C "$folder"
        touch "$folder/.complete"
    fi
fi
exec "$program" "$@" "$folder"
