#!/bin/sh
# Tries the Windows programs of build-windows/ under Wine; called by `./dev windows [--all]`.
# usage: WINE=/path/to/wine64 windows_check.sh [--all]
# Always: only DLLs of the system are imported, `lora version` runs. --all: doctor, inspect, parity on
# three golden cases, and twenty steps of the demo in a folder with a Chinese name and spaces, whose
# losses must agree with the Linux build: 1e-5 at the first step, 1e-3 at the twentieth.
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in "" | --all) ;; *) sed -n '2,6s/^# //p' "$0"; exit 2 ;; esac
bin=$PWD/build-windows/bin
WINEPREFIX=$PWD/build-windows/wine
export WINEPREFIX WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="

[ -x "${WINE:-}" ] || { echo "error: wine64 is missing (${WINE:-WINE is not set}); run ./dev setup" >&2; exit 1; }

for program in lora.exe lora_parity.exe; do
    [ -f "$bin/$program" ] || { echo "error: $bin/$program was not built" >&2; exit 1; }
    foreign=$(x86_64-w64-mingw32-objdump -p "$bin/$program" | sed -n 's/.*DLL Name: //p' |
        grep -viE '^(kernel32|msvcrt|advapi32|user32|shell32|ole32|oleaut32|ws2_32|winhttp|windowscodecs|bcrypt|ntdll|api-ms-win-[a-z0-9-]*)\.dll$' || true)
    [ -z "$foreign" ] || { echo "error: $program wants DLLs that Windows does not have: $foreign" >&2; exit 1; }
done

if [ ! -d "$WINEPREFIX" ]; then
    mkdir -p "$WINEPREFIX"
fi
wine() { "$WINE" "$@" </dev/null; }

wine "$bin/lora.exe" version
if [ "${1:-}" != --all ]; then exit 0; fi

folder="$PWD/build-windows/訓練 資料 夾"
rm -rf "$folder"
mkdir -p "$folder"
cp "$bin/lora.exe" "$bin/lora_parity.exe" "$folder/"
cp -R assets "$folder/assets"
cases=$PWD/tests/golden/cases
cd "$folder"
wine ./lora.exe doctor
wine ./lora.exe inspect assets/mini/mini-sd.safetensors
for case in unet_0 train_lora sample_ddim; do
    cp "$cases/$case.safetensors" .
    wine ./lora_parity.exe --backend cpu --dtype fp32 "$case.safetensors"
done

# Twenty steps cannot learn the concept: the verdict (exit 1) is expected, any other failure is not.
demo_steps() {
    code=0
    "$@" demo --out "示範 結果" --max_train_steps 20 </dev/null || code=$?
    [ "$code" -le 1 ] || { echo "error: the demo failed with exit code $code" >&2; exit 1; }
}
demo_steps "$WINE" ./lora.exe
linux="$folder/../linux demo"
rm -rf "$linux"
mkdir -p "$linux"
cp -R assets "$linux/assets"
program=$bin/../../build/bin/lora
(cd "$linux" && demo_steps "$program")
python3 -B "$bin/../../scripts/compare_losses.py" "$linux" "$folder" 1=1e-5 20=1e-3
