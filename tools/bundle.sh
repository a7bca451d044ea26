#!/bin/sh
# Packs configurations, images and an optional autostart script into a bundle for the boot loader.
#
#   tools/bundle.sh XTASK BUILD-DIRECTORY [AUTOSTART]
set -eu

xtask=$1
build=$2
autostart=${3:-}
root=$(cd "$(dirname "$0")/.." && pwd)

manifest() {
    for config in "$root"/configs/*.toml; do
        echo "file configs/$(basename "$config") 644 $config"
    done
    (cd "$build/images" && find . -type f ! -name '*.partial' ! -name '.*' | sed 's|^\./||') | while read -r image; do
        echo "file images/$image 644 $build/images/$image"
    done
    [ -z "$autostart" ] || echo "file autostart 644 $autostart"
}

if [ -n "$autostart" ] && [ ! -f "$autostart" ]; then
    echo "bundle: AUTOSTART=$autostart: no such file" >&2
    exit 1
fi
manifest | "$xtask" cpio "$build/bundle.cpio"
