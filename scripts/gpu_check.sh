#!/bin/sh
# Checks the cuda backend where there is a card: parity cases, kernels against each other, golden cases in
# fp32, fp16 and bf16, and compute-sanitizer (memcheck, racecheck) on steps of the mini model. Needs a driver and
# programs that were built before, nothing else; without compute-sanitizer its lines say so.
# usage: gpu_check.sh [FOLDER]   where lora, lora_parity, parity_test and backend_cuda_unit_tests lie; else build/bin
# Logs stay in gpu-check/ (or $LORA_CHECK_LOGS); one table at the end; exit code 1 if any line is not ok.
set -u
cd "$(dirname "$0")/.." || exit 1
if [ "${1:-}" = "--help" ]; then sed -n '2,6s/^# //p' "$0"; exit 0; fi
folder=${1:-build/bin}
logs=${LORA_CHECK_LOGS:-gpu-check}
mkdir -p "$logs"
table=$logs/table.txt
: >"$table"
bad=0

lora=$folder/lora
for program in lora lora_parity parity_test backend_cuda_unit_tests; do
    [ -x "$folder/$program" ] || { echo "error: there is no $folder/$program; build it first" >&2; exit 2; }
done
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
model=assets/mini/mini-sd.safetensors

# line NAME SECONDS RESULT REMARK
line() {
    printf '%-34s %6s s  %-8s %s\n' "$1" "$2" "$3" "$4" >>"$table"
    [ "$3" = ok ] || [ "$3" = skipped ] || bad=1
}

# check NAME COMMAND...   its output in NAME.log, of which the last line is the remark
check() {
    name=$1
    shift
    begin=$(date +%s)
    if "$@" >"$logs/$name.log" 2>&1; then result=ok; else result=FAILED; fi
    line "$name" $(($(date +%s) - begin)) "$result" "$(tail -n 1 "$logs/$name.log" | cut -c1-60)"
}

# All parity cases of the card, in as many processes as help.
parity_cases() {
    shards=8
    pids=
    i=0
    while [ $i -lt $shards ]; do
        GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$i "$folder/parity_test" --gtest_filter='*cuda*' --gtest_brief=1 \
            >"$logs/parity_cases.$i.log" 2>&1 &
        pids="$pids $!"
        i=$((i + 1))
    done
    status=0
    for pid in $pids; do wait "$pid" || status=1; done
    cat "$logs"/parity_cases.[0-9].log
    sed -n 's/^\[  PASSED  \] \([0-9]*\) tests.*/\1/p' "$logs"/parity_cases.[0-9].log |
        awk -v bad=$status '{sum += $1} END {print sum " tests passed" (bad || sum == 0 ? ", others failed" : ""); exit sum == 0}' &&
        return $status
}

# Sets `floor` to the least share of the whole gradient on which a case's gradients are judged in bf16, or "none".
bf16_floor() {
    while read -r pattern backend floor; do
        case $pattern in '#'*) continue ;; esac
        case $backend in any | cuda) ;; *) continue ;; esac
        # shellcheck disable=SC2254
        case $1 in $pattern) return ;; esac
    done <tests/golden/bf16_bounds.txt
}

# golden TYPE   every golden case
golden() {
    status=0
    for case in tests/golden/cases/*.safetensors; do
        floor=0.001
        [ "$1" != bf16 ] || bf16_floor "$(basename "$case" .safetensors)"
        [ "$floor" != none ] || continue
        "$folder/lora_parity" --backend cuda --dtype "$1" --gradient_floor $floor "$case" >"$logs/golden.part" 2>&1 || status=1
        cat "$logs/golden.part"
        grep -q ' ok$' "$logs/golden.part" || { echo "$case: not computed"; status=1; }
    done >"$logs/golden_$1.all" 2>&1
    cat "$logs/golden_$1.all"
    echo "$(grep -c ' ok$' "$logs/golden_$1.all") tensors ok, $(grep -c ' OFF$' "$logs/golden_$1.all") off"
    return $status
}

# step TOOL TYPE SIZE BATCH STEPS [ALGO]   a training of the mini model under compute-sanitizer; with ALGO of LyCORIS'
step() {
    data=$logs/data-$1-$2-${6:-lora}
    rm -rf "$data"
    mkdir -p "$data/$4_zorp"
    picture=$(ls assets/demo/*/*.png | head -n 1)
    cp "$picture" "$data/$4_zorp/a.png"
    cp "${picture%.png}.txt" "$data/$4_zorp/a.txt"
    network=
    [ -z "${6:-}" ] || network="--network_module lycoris.kohya --network_args algo=$6 conv_dim=4"
    # shellcheck disable=SC2086
    "$sanitizer" --tool "$1" --error-exitcode 9 "$lora" train $network \
        --backend cuda --no_autotune --mixed_precision "$2" --pretrained_model_name_or_path $model \
        --train_data_dir "$data" --caption_extension .txt --resolution "$3" --min_bucket_reso 64 \
        --max_bucket_reso 256 --train_batch_size "$4" --network_dim 8 --max_train_steps "$5" \
        --max_token_length 75 --output_dir "$data/out" --output_name check --logging_dir ""
}

sanitize() {
    if [ -z "$sanitizer" ]; then
        line "$1_$2${6:+_$6}" 0 skipped "compute-sanitizer is not installed"
    else
        check "$1_$2${6:+_$6}" step "$@"
    fi
}

check kernels "$folder/backend_cuda_unit_tests" --gtest_brief=1
check parity_cases parity_cases
check golden_fp32 golden fp32
check golden_fp16 golden fp16
check golden_bf16 golden bf16
sanitize memcheck bf16 128 2 2
sanitize memcheck no 128 2 2
sanitize memcheck bf16 128 2 2 loha
sanitize racecheck bf16 64 1 1
sanitize racecheck bf16 64 1 1 loha

cat "$table"
exit $bad
