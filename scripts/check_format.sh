#!/bin/sh
# Compares our C++ files with .clang-format; `check_format.sh --fix` rewrites them instead.
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
    --fix) mode=-i ;;
    "") mode="--dry-run -Werror" ;;
    *) echo "usage: check_format.sh [--fix]"; exit 2 ;;
esac
tool=$(command -v clang-format-14 || command -v clang-format) || {
    echo "clang-format is missing; run ./dev setup" >&2
    exit 1
}
# shellcheck disable=SC2086
find src tests bench -type f \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print0 2>/dev/null |
    xargs -0 -r -n 8 -P "$(nproc)" "$tool" $mode --style=file
echo "format: $("$tool" --version), clean"
