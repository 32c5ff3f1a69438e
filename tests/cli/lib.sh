# Helpers for tests of the command line. A test script sources this, runs checks and ends with
# `finish`. Each check prints one line as cmocka does, so that the test runner counts it.
#
# Given by Meson: NISSL (the program), SOURCE (root of the source tree). NISSL_PYTHON may name a Python
# that has onnxruntime.
set -u
export LC_ALL=C.UTF-8 COLUMNS=80
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
PYTHON=${NISSL_PYTHON:-python3}
unset NISSL_PYTHON
FIXTURES=$SOURCE/tests/fixtures
NETWORKS=$FIXTURES/networks
failures=0
checks=0

work=$(mktemp -d "${TMPDIR:-/tmp}/nissl-cli-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

pass() {
    checks=$((checks + 1))
    echo "[       OK ] $1"
}

# fail NAME [what went wrong]
fail() {
    checks=$((checks + 1))
    failures=$((failures + 1))
    echo "[  FAILED  ] $1"
    shift
    printf '    %s\n' "$@"
}

skip() {
    echo "[  SKIPPED ] $1"
}

# run COMMAND...: runs the program; exit code in $code, outputs in files out and err
run() {
    "$NISSL" "$@" >"$work/out" 2>"$work/err"
    code=$?
}

# expect NAME CODE COMMAND...: the exit code is CODE, and a failure says one line on stderr
expect() {
    local name=$1 wanted=$2
    shift 2
    run "$@"
    if [ "$code" != "$wanted" ]; then
        fail "$name" "nissl $*" "exit code $code, not $wanted" "$(cat "$work/err")"
    elif [ "$wanted" != 0 ] && [ "$(grep -vc '^nissl: warning: OpenBLAS\|^nissl: warning: OPENBLAS' "$work/err")" != 1 ]; then
        fail "$name" "nissl $*" "not one line on stderr:" "$(cat "$work/err")"
    else
        pass "$name"
    fi
}

# error NAME CODE PATTERN COMMAND...: it fails with one line that matches an extended regexp
error() {
    local name=$1 wanted=$2 pattern=$3
    shift 3
    run "$@"
    if [ "$code" != "$wanted" ]; then
        fail "$name" "nissl $*" "exit code $code, not $wanted" "$(cat "$work/err")"
    elif [ "$(grep -v '^nissl: warning: OpenBLAS\|^nissl: warning: OPENBLAS' "$work/err" | grep -c .)" != 1 ]; then
        fail "$name" "nissl $*" "not one line on stderr:" "$(cat "$work/err")"
    elif ! grep -Eq "^nissl: .*($pattern)" "$work/err"; then
        fail "$name" "nissl $*" "stderr does not match $pattern:" "$(cat "$work/err")"
    elif [ -s "$work/out" ]; then
        fail "$name" "nissl $*" "stdout is not empty:" "$(head -3 "$work/out")"
    else
        pass "$name"
    fi
}

# same NAME FILE: stdout of the last run equals a golden file
same() {
    if [ "${UPDATE_GOLDEN:-}" = 1 ]; then
        cp "$work/out" "$SOURCE/tests/cli/golden/$2"
    fi
    if difference=$(diff -u "$SOURCE/tests/cli/golden/$2" "$work/out"); then
        pass "$1"
    else
        fail "$1" "$difference"
    fi
}

# holds NAME COMMAND...: a shell command succeeds
holds() {
    local name=$1
    shift
    if "$@"; then pass "$name"; else fail "$name" "$*"; fi
}

# near NAME A B TOLERANCE: two numbers differ by at most a fraction of the larger
near() {
    if awk -v a="$2" -v b="$3" -v t="$4" 'BEGIN { d = a - b; if (d < 0) d = -d; m = a < 0 ? -a : a
            n = b < 0 ? -b : b; if (n > m) m = n; exit !(d <= t * m || d == 0) }'; then
        pass "$1"
    else
        fail "$1" "$2 and $3 differ by more than $4"
    fi
}

# json FILTER: what jq says of the last stdout, without jq: a member's scalar value by its name
json() {
    sed -n 's/^.*"'"$1"'": *"\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' "$work/out" | head -1
}

finish() {
    echo "$checks checks, $failures failed"
    [ "$failures" = 0 ]
    exit
}
