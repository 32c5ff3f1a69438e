#!/bin/sh
# browser.sh MAKE_REPORT WEB BROWSER_MJS SYNTHETIC_MJS SOURCE_WEB: opens reports in headless Chromium.
# Exit code 77 (skipped) where node, playwright-core, the bundles or chromium are missing.
make_report=$1 web=$2 test=$3 synthetic=$4 source=$5
skip() { echo "skipped: $1"; exit 77; }
command -v node >/dev/null || skip "node is not installed"
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "chromium is not installed"
[ -d "$web/npm/node_modules/playwright-core" ] || skip "playwright-core is not in $web/npm/node_modules (npm ci did not run)"
[ -s "$web/vega.min.js" ] || skip "the chart bundles were not fetched"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT INT TERM
mkdir "$work/hostile" "$work/plain"
"$make_report" "$work/hostile" "$web" || exit 1
"$make_report" "$work/plain" "$source" || exit 1 # without bundles
node "$synthetic" "$source" "$web" "$work/labels" labels || exit 1
node "$synthetic" "$source" "$web" "$work/gratings" gratings || exit 1
node "$test" "$web/npm/node_modules/playwright-core" "$chromium" "$work/hostile/report" \
    "$work/labels" "$work/gratings" --plain "$work/plain/report"
