#!/bin/sh
# Installs the Debian packages of the named groups that are missing (scripts/packages.txt).
# usage: scripts/bootstrap.sh GROUP...
# As root it installs them with apt-get. Otherwise it says which are missing and exits with 1.
# Packages of the groups web and browser are optional: without them it goes on with a note.
# Ends at once and silently when nothing is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
list=$here/packages.txt
[ $# -gt 0 ] || { echo "usage: $0 GROUP... (groups: build check web browser)" >&2; exit 2; }

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "note: this is no Debian system; the packages that Nissl needs are in scripts/packages.txt" >&2
    exit 0
fi

# Prints the packages of a group that are absent or older than the list says.
missing() {
    wanted=$(awk -v group="$1" '!/^#/ && NF && $3 == group { print $1 }' "$list")
    [ -n "$wanted" ] || { echo "bootstrap: no group \"$1\" in scripts/packages.txt" >&2; exit 2; }
    # shellcheck disable=SC2086
    installed=$(dpkg-query -W -f='${Package} ${Version} ${db:Status-Status}\n' $wanted 2>/dev/null |
        awk '$3 == "installed" { print $1, $2 }') || true
    awk -v group="$1" '!/^#/ && NF && $3 == group { print $1, $2, $4 }' "$list" |
    while read -r package minimum program; do
        if [ "$program" != - ] && command -v "$program" >/dev/null 2>&1; then
            continue
        fi
        # The epoch says nothing about the program's own version.
        have=$(echo "$installed" | awk -v p="$package" '$1 == p { sub(/^[0-9]+:/, "", $2); print $2; exit }')
        if [ -n "$have" ] && dpkg --compare-versions "$have" ge "$minimum"; then
            continue
        fi
        printf '%s ' "$package"
    done
}

install() {
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $1 </dev/null >"$log" 2>&1
}

optional() {
    [ "$1" = web ] || [ "$1" = browser ]
}

if [ "$(id -u)" -ne 0 ]; then
    needed= wished=
    for group in "$@"; do
        packages=$(missing "$group")
        if optional "$group"; then wished=$wished$packages; else needed=$needed$packages; fi
    done
    if [ -n "$needed" ]; then
        echo "missing packages: ${needed% }; install them with: sudo apt-get install ${needed% }" >&2
        exit 1
    fi
    if [ -n "$wished" ]; then
        echo "note: going on without optional packages: ${wished% }" >&2
    fi
    exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
updated=no
for group in "$@"; do
    packages=$(missing "$group")
    packages=${packages% }
    [ -n "$packages" ] || continue
    echo "installing: $packages" >&2
    done=no
    # An index that is absent or stale makes the first try fail; then it is fetched once.
    if install "$packages"; then
        done=yes
    elif [ $updated = no ]; then
        updated=yes
        apt-get update -qq </dev/null >"$log" 2>&1 || true
        if install "$packages"; then done=yes; fi
    fi
    if [ $done = no ]; then
        tail -n 5 "$log" >&2
        if optional "$group"; then
            echo "note: going on without the optional packages: $packages" >&2
            continue
        fi
        echo "could not install: $packages" >&2
        exit 1
    fi
    left=$(missing "$group")
    if [ -n "$left" ] && ! optional "$group"; then
        echo "installed, but still missing or too old: $left" >&2
        exit 1
    fi
done
