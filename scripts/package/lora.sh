#!/bin/sh
# For a double click ("run in terminal"): trains with settings.toml of this folder, or with the file
# that is given (.toml, or the train.ps1 of another package); shows what a .safetensors file is. With
# other words the same as ./lora. The window stays open.
case $0 in */*) cd "${0%/*}" || exit 5 ;; esac
case ${1:-} in
    "") ./lora train --config_file settings.toml ;;
    *.toml) ./lora train --config_file "$1" ;;
    *.ps1) ./lora train --from "$1" ;;
    *.safetensors) ./lora inspect "$1" ;;
    *) ./lora "$@" ;;
esac
code=$?
if [ "$code" = 0 ]; then echo "finished  完成"; else echo "failed, code $code  失敗,代碼 $code"; fi
if [ -t 0 ]; then
    printf 'Enter closes this window  按 Enter 關閉視窗 '
    read -r _ || :
fi
exit "$code"
