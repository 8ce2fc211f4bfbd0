#!/bin/sh
# Tries the Windows programs of build-windows/ under Wine; called by `./dev windows [--all]`.
# usage: WINE=/path/to/wine64 windows_check.sh [--all | --package ZIP]
# Always: only DLLs of the system are imported, `lora version` runs. --all: the folder that `./dev package`
# packs (or the one in ZIP), in a fresh prefix and below a path with Chinese characters, spaces and
# brackets: doctor, inspect, parity on three golden cases; twenty steps of the demo, whose losses must agree
# with the Linux build (1e-5 at the first step, 1e-3 at the twentieth); a stopped run that goes on to the
# same bytes; 8-bit AdamW; tag; merge; a path of 300 characters; a folder that may not be written; lora.bat and what is
# dropped onto it; no driver from PATH; and, where the programs hold CUDA kernels, a run against the stand-in for the
# driver whose calls must be those of Linux.
set -eu
cd "$(dirname "$0")/.."
zip=
case ${1:-} in
    "" | --all) ;;
    --package) zip=$(readlink -f "$2") ;;
    *) sed -n '2,10s/^# //p' "$0"; exit 2 ;;
esac
root=$PWD
bin=$root/build-windows/bin
WINEPREFIX=$root/build-windows/wine
export WINEPREFIX WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
die() { echo "error: $*" >&2; exit 1; }

[ -x "${WINE:-}" ] || die "wine64 is missing (${WINE:-WINE is not set}); run ./dev setup"

for program in lora.exe lora_parity.exe; do
    [ -f "$bin/$program" ] || die "$bin/$program was not built"
    foreign=$(x86_64-w64-mingw32-objdump -p "$bin/$program" | sed -n 's/.*DLL Name: //p' |
        grep -viE '^(kernel32|msvcrt|advapi32|user32|shell32|ole32|oleaut32|ws2_32|winhttp|windowscodecs|bcrypt|ntdll|api-ms-win-[a-z0-9-]*)\.dll$' || true)
    [ -z "$foreign" ] || die "$program wants DLLs that Windows does not have: $foreign"
done

wine() { "$WINE" "$@" </dev/null; }
say() { echo "-- $*"; }

mkdir -p "$WINEPREFIX"
wine "$bin/lora.exe" version
if [ $# -eq 0 ]; then exit 0; fi

# ---- the package's folder, in a prefix that nothing was done in ----------------------------------

WINEPREFIX=$root/build-windows/wine-fresh
rm -rf "$WINEPREFIX"
mkdir -p "$WINEPREFIX"
top="$root/build-windows/訓練 資料 夾"
rm -rf "$top"
mkdir -p "$top"
if [ -n "$zip" ]; then
    unzip -q "$zip" -d "$top"
else
    sh scripts/package.sh --stage "$top" windows build-windows >/dev/null
fi
folder="$top/lora (1)"
mv "$top"/lora-*-windows-x86_64 "$folder"
(cd "$folder" && sha256sum -c --quiet SHA256SUMS)
cp "$bin/lora_parity.exe" "$folder/"
cases=$root/tests/golden/cases
model=assets/mini/mini-sd.safetensors
cd "$folder"
for part in models train output logs cache; do
    [ -s "$part/README.txt" ] || die "no hint on what goes into $part"
done

# expect CODE COMMAND...: its output in said.txt; the end of the run unless it exits with CODE.
expect() {
    wanted=$1
    shift
    code=0
    "$@" >"$top/said.txt" 2>&1 </dev/null || code=$?
    [ "$code" = "$wanted" ] || { cat "$top/said.txt" >&2; die "exit code $code, not $wanted, of: $*"; }
}
said() { grep -qF -e "$1" "$top/said.txt" || { cat "$top/said.txt" >&2; die "nothing said: $1"; }; }

say "doctor, inspect, parity"
expect 0 "$WINE" ./lora.exe doctor
cat "$top/said.txt"
if ! grep -q "built without CUDA kernels" "$top/said.txt"; then said "backend cuda: there is no NVIDIA driver"; fi
wine ./lora.exe inspect "$model"
for case in unet_0 train_lora sample_ddim; do
    cp "$cases/$case.safetensors" .
    wine ./lora_parity.exe --backend cpu --dtype fp32 "$case.safetensors"
done
wine ./lora.exe fetch --list

if [ -f lib/onnxruntime.dll ]; then
    say "tag, the same as on Linux"
    mkdir -p models/tagger 標籤
    cp "$root"/tests/data/tagger/plain/* models/tagger/
    cp "$root/tests/data/tagger/pictures/grows.png" 標籤/
    expect 0 "$WINE" ./lora.exe tag 標籤 --model models/tagger
    mv 標籤/grows.txt "$top/wine.txt"
    "$root/build/bin/lora" tag 標籤 --model models/tagger
    cmp "$top/wine.txt" 標籤/grows.txt
    cat "$top/wine.txt"
    echo
    # As where Microsoft's runtime is missing: not to be opened.
    mv lib/onnxruntime.dll "$top/"
    echo "no library" >lib/onnxruntime.dll
    expect 6 "$WINE" ./lora.exe tag 標籤 --model models/tagger
    said "vc_redist.x64.exe"
    mv "$top/onnxruntime.dll" lib/
fi

say "twenty steps of the demo, here and on Linux"
# Twenty steps cannot learn the concept: the verdict (exit 1) is expected, any other failure is not.
demo_steps() {
    code=0
    "$@" demo --out "示範 結果" --max_train_steps 20 </dev/null || code=$?
    [ "$code" -le 1 ] || die "the demo failed with exit code $code"
}
demo_steps "$WINE" ./lora.exe
linux="$top/linux demo"
mkdir -p "$linux"
cp -R assets "$linux/assets"
program=$root/build/bin/lora
(cd "$linux" && demo_steps "$program")
python3 -B "$root/scripts/compare_losses.py" "$linux" "$folder/示範 結果" 1=1e-5 20=1e-3

# tiny NAME STEPS OPTION...: a run of seconds, written to output/NAME
tiny() {
    name=$1
    steps=$2
    shift 2
    set -- train --pretrained_model "$model" --train_data_dir assets/demo --output_name "$name" \
        --output_dir "output/$name" --logging_dir "logs/$name" --resolution 64 --min_bucket_reso 64 \
        --max_bucket_reso 128 --network_dim 4 --network_alpha 2 --train_batch_size 2 --max_train_steps "$steps" \
        --learning_rate 1e-3 --clip_skip 1 --max_token_length 75 --seed 7 --lr_scheduler constant "$@"
    SOURCE_DATE_EPOCH=1700000000 "$runner" "$program" "$@"
}
runner=$WINE
program=./lora.exe

say "a stopped run goes on to the same bytes"
expect 0 tiny whole 8 --mixed_precision no
expect 0 tiny parts 8 --mixed_precision no --save_every_n_steps 4 --save_state
state=output/parts/parts-step00000004-state
[ -d "$state" ] || die "no state was saved"
cp output/parts/parts.safetensors "$top/uninterrupted.safetensors"
rm output/parts/parts.safetensors
expect 0 tiny parts 8 --mixed_precision no --save_every_n_steps 4 --save_state --resume "$state"
cmp output/parts/parts.safetensors "$top/uninterrupted.safetensors" || die "the resumed run ended otherwise"

say "8-bit AdamW"
expect 0 tiny eight 2 --mixed_precision no --optimizer_type AdamW8bit

say "merge, and a path of 300 characters"
expect 0 "$WINE" ./lora.exe merge --models output/whole/whole.safetensors output/parts/parts.safetensors \
    --ratios 0.5 0.5 --save_to output/both.safetensors
long=output
while [ ${#long} -lt 300 ]; do long="$long/一個很長的資料夾名稱 with spaces"; done
expect 0 tiny whole 2 --mixed_precision no --output_dir "$long" --logging_dir "$long/logs"
[ -f "$long/whole.safetensors" ] || die "nothing came to a path of ${#long} characters"
expect 0 "$WINE" ./lora.exe inspect "$long/whole.safetensors"

say "lora.bat, and what is dropped onto it"
# As the Explorer hands it over.
dropped() { expect "$1" "$WINE" cmd /c lora.bat "Z:$(echo "$2" | tr / '\\')"; }
expect 5 "$WINE" cmd /c lora.bat
said "models/model.safetensors"
said "failed, code 5"
expect 0 "$WINE" cmd /c lora.bat version
said "finished"
cat >settings.toml <<END
pretrained_model = "$model"
train_data_dir = "nowhere"
output_name = "not this"
resolution = "64"
min_bucket_reso = 64
max_bucket_reso = 128
network_dim = 4
max_train_steps = 2
mixed_precision = "no"
END
mkdir -p "$top/圖片 & 更多 (2)"
cp -R assets/demo/5_zorp "$top/圖片 & 更多 (2)/"
dropped 0 "$top/圖片 & 更多 (2)"
said "errors: 0"
said "finished"
[ -f "output/圖片 & 更多 (2).safetensors" ] || die "a dropped folder was not trained"
dropped 0 "$PWD/output/圖片 & 更多 (2).safetensors"
said "rank"
dropped 1 "$top/圖片 & 更多 (2)/5_zorp"
said "wrong_level"
said "nothing was trained"
said "failed, code 1"

say "a folder that may not be written"
read_only() {
    chmod -R a-w .
    if [ "$(id -u)" = 0 ]; then
        # Root may write anywhere: somebody else, with a prefix of his own.
        chmod a+rx "$root" "$root/build-windows" "$top" 2>/dev/null
        mkdir -p "$top/prefix"
        chown 65534 "$top/prefix"
        WINEPREFIX=$top/prefix HOME=$top/prefix setpriv --reuid 65534 --regid 65534 --clear-groups \
            "$WINE" ./lora.exe demo --out output/demo --max_train_steps 1
    else
        "$WINE" ./lora.exe demo --out output/demo --max_train_steps 1
    fi
}
expect 5 read_only
chmod -R u+w .
said "the folder or file may not be written or read"

if [ -f "$root/build-windows/fake_driver/nvcuda.dll" ]; then
    say "a driver on PATH is not looked for"
    WINEPATH=Z:$(echo "$root/build-windows/fake_driver" | tr / '\\')
    export WINEPATH
    expect 0 "$WINE" cmd /c path
    said "fake_driver"
    expect 0 "$WINE" ./lora.exe doctor
    said "backend cuda: there is no NVIDIA driver"
    unset WINEPATH
fi

if [ -f "$root/build-windows/fake_driver/nvcuda.dll" ] && [ -f "$root/build/fake_driver/libcuda.so.1" ]; then
    say "the calls of a run on a card are those of Linux"
    cp "$root/build-windows/fake_driver/nvcuda.dll" .
    (
        export FAKE_CUDA_LOG=calls.txt
        expect 0 tiny card 3 --backend cuda --mixed_precision bf16
    )
    cp "$root/build/bin/lora" "$linux/lora"
    (
        cd "$linux"
        runner=env
        program=./lora
        export LD_LIBRARY_PATH="$root/build/fake_driver" FAKE_CUDA_LOG=calls.txt
        expect 0 tiny card 3 --backend cuda --mixed_precision bf16
    )
    if grep WRONG calls.txt "$linux/calls.txt"; then die "calls that the driver would refuse"; fi
    cmp calls.txt "$linux/calls.txt" || die "the calls differ"
    echo "$(wc -l <calls.txt) calls, the same on both"
fi
say "all of it works under Wine"
