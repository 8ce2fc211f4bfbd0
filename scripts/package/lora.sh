#!/bin/sh
# For a double click ("run in terminal"): trains with settings.toml of this folder. With what is given,
# - a folder that holds folders of pictures: it is checked, and trained where no error is found, with
#   settings.toml but that folder's pictures and name,
# - another settings file (.toml, or the train.ps1 of another package): it is trained,
# - a LoRA (.safetensors): what it is is shown.
# With other words the same as ./lora. The window stays open.
given=${1:-}
# Before this script goes to its own folder.
case $given in
    "" | /*) ;;
    *) if [ -e "$given" ]; then given=$PWD/$given; fi ;;
esac
case $0 in */*) cd "${0%/*}" || exit 5 ;; esac

train_folder() {
    while [ "${given%/}" != "$given" ] && [ "$given" != / ]; do given=${given%/}; done
    ./lora data check "$given" || {
        code=$?
        echo
        echo "nothing was trained: mend the errors above and give the folder again"
        echo "沒有開始訓練:請先修正上面的錯誤,再重試一次"
        return $code
    }
    ./lora train --config_file settings.toml --train_data_dir "$given" --output_name "${given##*/}"
}

if [ -d "$given" ]; then
    train_folder
else
    case $given in
        "") ./lora train --config_file settings.toml ;;
        *.toml) ./lora train --config_file "$given" ;;
        *.ps1) ./lora train --from "$given" ;;
        *.safetensors) ./lora inspect "$given" ;;
        *) ./lora "$@" ;;
    esac
fi
code=$?
echo
if [ "$code" = 0 ]; then echo "finished  完成"; else echo "failed, code $code  失敗,代碼 $code"; fi
if [ -t 0 ]; then
    printf 'Enter closes this window  按 Enter 關閉視窗 '
    read -r _ || :
fi
exit "$code"
