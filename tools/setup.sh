#!/bin/sh
# Installs what the build, the emulators and the guest images need, where it is missing, and writes to
# build/toolchain.mk which cargo to call. Quick and quiet when nothing is to do.
#
#   tools/setup.sh WHAT...
#
# WHAT: aarch64 or x86_64 (all that is used for it), or parts of the latter: qemu-x86_64, bochs, iso, disk, network, debian; or fuzz.
set -eu

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

# Prints the packages of Debian that bring what is missing for one WHAT.
missing_for() {
    case $1 in
        aarch64)
            missing_for disk
            missing_for network
            has qemu-system-aarch64 || echo qemu-system-arm
            ;;
        x86_64)
            missing_for qemu-x86_64
            missing_for bochs
            missing_for disk
            missing_for network
            # Tests disassemble ACPI tables, and boot by UEFI.
            has iasl || echo acpica-tools
            [ -d /usr/share/OVMF ] || [ -d /usr/share/ovmf ] || echo ovmf
            [ -d /usr/lib/grub/x86_64-efi ] || echo grub-efi-amd64-bin
            ;;
        qemu-x86_64) has qemu-system-x86_64 || echo qemu-system-x86 ;;
        bochs)
            has bochs || echo bochs
            [ -e /usr/share/bochs/BIOS-bochs-latest ] || echo bochsbios
            [ -e /usr/share/bochs/VGABIOS-lgpl-latest ] || [ -e /usr/share/vgabios/vgabios.bin ] || echo vgabios
            missing_for iso
            ;;
        iso)
            has grub-mkrescue || echo grub-common
            [ -d /usr/lib/grub/i386-pc ] || echo grub-pc-bin
            has xorriso || echo xorriso
            has mformat || echo mtools
            ;;
        disk)
            # Debian has it where only root's PATH leads.
            has mke2fs || [ -x /usr/sbin/mke2fs ] || [ -x /sbin/mke2fs ] || echo e2fsprogs
            has mformat || echo mtools
            ;;
        debian)
            has mmdebstrap || echo mmdebstrap
            has fakeroot || echo fakeroot
            missing_for disk
            ;;
        network)
            # Tests are clients of Roost as people are.
            has telnet || echo inetutils-telnet
            has setsid || echo util-linux
            has curl || echo curl
            has python3 || echo python3-minimal
            ;;
        fuzz) has c++ || echo g++ ;;
        *)
            say "what is $1? There are aarch64, x86_64, qemu-x86_64, bochs, iso, disk, network, debian, fuzz"
            exit 1
            ;;
    esac
}

# Prints the packages of Debian that bring the commands that are missing.
missing_packages() {
    for what in "$@"; do
        missing_for "$what" || return
    done
    has cc || echo gcc libc6-dev
    has gzip || echo gzip
    has git || echo git
    # Tests make file systems on disks, and check them.
    PATH="$PATH:/usr/sbin:/sbin" has mke2fs || echo e2fsprogs
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
    linkers="CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER=ld.lld-22 CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER=ld.lld-22"
    write_toolchain 'PATH=/usr/bin:$(PATH) cargo' "PATH=/usr/bin:\$(PATH) RUSTC_BOOTSTRAP=1 $linkers cargo" "-Zbuild-std=core,alloc"
}

# Prometheus' check of metrics, for tests. Its package would bring a server that runs, so that only this program is taken from it.
setup_promtool() {
    promtool="$root/build/promtool"
    if has promtool || [ -x "$promtool" ]; then
        return
    fi
    debs="${ROOST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/roost}/debs"
    mkdir -p "$debs" "$root/build"
    deb=$(find "$debs" -name 'prometheus_*.deb' | head -n 1)
    if [ -z "$deb" ]; then
        say "fetching promtool"
        (cd "$debs" && apt-get download -qq prometheus >/dev/null 2>&1) ||
            { as_root apt-get update -qq && (cd "$debs" && apt-get download -qq prometheus >/dev/null); } ||
            { say "cannot fetch Debian's package prometheus: put promtool into PATH"; exit 1; }
        deb=$(find "$debs" -name 'prometheus_*.deb' | head -n 1)
    fi
    dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/bin/promtool >"$promtool.partial"
    chmod +x "$promtool.partial"
    mv "$promtool.partial" "$promtool"
}

# What is for tests of the network only, as with `missing_for`.
wants_promtool() {
    for what in "$@"; do
        case $what in
            aarch64 | x86_64 | network) return 0 ;;
        esac
    done
    return 1
}

[ $# -gt 0 ] || set -- aarch64
packages=$(missing_packages "$@")
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
if wants_promtool "$@"; then
    if is_debian; then
        setup_promtool
    else
        has promtool || say "tests of the metrics need promtool, a part of Prometheus, in PATH"
    fi
fi
setup_rust
