#!/bin/sh
# Runs every fuzz target of a build (preset fuzz) for some seconds, as many at a time as there are cores.
# usage: fuzz.sh BUILD_FOLDER SECONDS
# New inputs stay in BUILD_FOLDER/corpus/TARGET; a crashing one is left in BUILD_FOLDER/crash-*.
set -eu
cd "$(dirname "$0")/.."
[ $# -eq 2 ] || { sed -n '2,4s/^# //p' "$0"; exit 2; }
build=$(cd "$1" && pwd)
seconds=$2
set -- "$build"/bin/fuzz_*
[ -x "$1" ] || { echo "error: no fuzz targets in $build/bin" >&2; exit 1; }
for program in "$@"; do basename "$program"; done |
    LORA_BUILD=$build LORA_SECONDS=$seconds xargs -P "$(nproc)" -I NAME sh -c '
        corpus=tests/fuzz/corpus/$(echo NAME | sed s/^fuzz_//)
        mkdir -p "$LORA_BUILD/corpus/NAME"
        if "$LORA_BUILD/bin/NAME" -max_total_time="$LORA_SECONDS" -timeout=20 -rss_limit_mb=3000 \
            -artifact_prefix="$LORA_BUILD/crash-NAME-" "$LORA_BUILD/corpus/NAME" "$corpus" \
            >"$LORA_BUILD/NAME.log" 2>&1; then
            echo "NAME: clean, $(tail -n 1 "$LORA_BUILD/NAME.log")"
        else
            tail -n 40 "$LORA_BUILD/NAME.log"
            echo "NAME: FAILED"
            exit 1
        fi'
