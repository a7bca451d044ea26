#!/bin/sh
# Installs what the build, the emulator and the guest images need, where it is missing, and writes to
# build/toolchain.mk which cargo to call. Quick and quiet when nothing is to do.
#
#   tools/setup.sh ARCH
set -eu

arch=${1:-aarch64}
root=$(cd "$(dirname "$0")/.." && pwd)
toolchain="$root/build/toolchain.mk"
targets="aarch64-unknown-none-softfloat x86_64-unknown-none"
web_packages="rustc-web cargo-web rust-web-src libstd-rust-web-dev lld-22"

say() { echo "setup: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

is_debian() { has apt-get && has dpkg; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        say "root is needed for: $*"
        say "become root, or install sudo, and run 'make setup' again"
        exit 1
    fi
}

# Prints the packages of Debian that bring the commands that are missing.
missing_packages() {
    has "qemu-system-$arch" || case $arch in
        aarch64) echo qemu-system-arm ;;
        *) echo qemu-system-x86 ;;
    esac
    has cc || echo gcc libc6-dev
    has gzip || echo gzip
    has git || echo git
}

install_packages() {
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    # The lists may be absent (a container) or too old (a package that has moved since).
    as_root apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 ||
        { as_root apt-get update -qq && as_root apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }
}

# The standard library for the bare-metal targets, from rustup.
has_targets() {
    for target in $targets; do
        directory=$(rustc --print target-libdir --target "$target" 2>/dev/null) && [ -d "$directory" ] || return 1
    done
}

write_toolchain() {
    mkdir -p "$root/build"
    content="# Written by tools/setup.sh.
CARGO := $1
CARGO_BARE := $2
BUILD_STD := $3"
    [ -f "$toolchain" ] && [ "$(cat "$toolchain")" = "$content" ] || printf '%s\n' "$content" >"$toolchain"
}

setup_rust() {
    if has rustc && has cargo && has_targets; then
        write_toolchain cargo cargo ""
        return
    fi
    if has rustup; then
        say "adding the Rust targets $targets"
        # shellcheck disable=SC2086 # a list of words
        if rustup target add $targets >&2; then
            write_toolchain cargo cargo ""
            return
        fi
        say "rustup could not add them"
    fi
    if ! is_debian; then
        say "install Rust with rustup, and then: rustup target add $targets"
        exit 1
    fi
    # Without rustup's ready-made targets, core and alloc are built from their sources, which
    # a stable compiler allows under RUSTC_BOOTSTRAP only. Their linker is not rustup's either.
    missing=
    for package in $web_packages; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        say "falling back to Debian's Rust, which builds core itself"
        # shellcheck disable=SC2086 # a list of words
        install_packages $missing || {
            say "install Rust with rustup instead, and then: rustup target add $targets"
            exit 1
        }
    fi
    linker="CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER=ld.lld-22"
    write_toolchain 'PATH=/usr/bin:$(PATH) cargo' "PATH=/usr/bin:\$(PATH) RUSTC_BOOTSTRAP=1 $linker cargo" "-Zbuild-std=core,alloc"
}

packages=$(missing_packages)
if [ -n "$packages" ]; then
    if is_debian; then
        # shellcheck disable=SC2086 # a list of words
        install_packages $packages
    else
        say "not a Debian or Ubuntu system: install what these packages of Debian hold, and run this again:"
        # shellcheck disable=SC2086 # a list of words
        say $packages
        exit 1
    fi
fi
setup_rust
