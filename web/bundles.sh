#!/bin/sh
# Fetches the chart bundles that package-lock.json pins: sh bundles.sh NPM SOURCE WORK OUT required|automatic.
# Writes vega.min.js, vega-lite.min.js, vega-embed.min.js and bundle-licences.txt into OUT. Where that fails (no
# network), "automatic" leaves empty files, which reports take as absent, and says how to try again.
set -u
npm=$1 source=$2 work=$3 out=$4 need=$5
files="vega.min.js vega-lite.min.js vega-embed.min.js bundle-licences.txt"

fetch() {
    mkdir -p "$work" || return 1
    cp "$source/package.json" "$source/package-lock.json" "$source/.npmrc" "$work/" || return 1
    (cd "$work" && "$npm" ci --no-fund --no-audit --loglevel=error) >"$work/npm.log" 2>&1 || return 1
    for name in vega vega-lite vega-embed; do
        cp "$work/node_modules/$name/build/$name.min.js" "$out/$name.min.js" || return 1
    done
    for licence in "$work"/node_modules/*/LICENSE*; do
        folder=${licence%/*}
        case ${folder##*/} in
        vega*|d3*|topojson*|internmap|delaunator|robust-predicates|fast-json-patch|json-stringify-pretty-compact|semver)
            printf '==== %s ====\n\n' "${folder##*/}"
            cat "$licence"
            printf '\n'
            ;;
        esac
    done >"$out/bundle-licences.txt"
}

if fetch; then
    exit 0
fi
if [ "$need" = required ]; then
    tail -n 20 "$work/npm.log" >&2
    exit 1
fi
echo "chart bundles could not be fetched (see $work/npm.log); reports will have no charts." >&2
echo "To try again: touch $source/package-lock.json and build." >&2
for file in $files; do
    : >"$out/$file"
done
