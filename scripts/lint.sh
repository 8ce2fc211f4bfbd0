#!/bin/sh
# Everything that judges the text of the code: format, layering, file sizes, forbidden text, clang-tidy.
# usage: lint.sh [--quick] [build folder]   --quick leaves out clang-tidy; the folder is where layers.txt
# and compile_commands.json lie (default build, for clang-tidy build-clang).
set -u
cd "$(dirname "$0")/.." || exit 1
quick=no
if [ "${1:-}" = "--help" ]; then sed -n '2,4s/^# //p' "$0"; exit 0; fi
if [ "${1:-}" = "--quick" ]; then quick=yes; shift; fi
build=${1:-build}
bad=0
sh scripts/check_format.sh || bad=1
python3 scripts/check_layering.py "$build/layers.txt" || bad=1
python3 scripts/check_file_sizes.py || bad=1
python3 scripts/check_text.py || bad=1
python3 scripts/check_requirements.py || bad=1
if [ "$quick" = no ]; then
    python3 scripts/run_tidy.py "${2:-build-clang}" || bad=1
fi
exit $bad
