#!/bin/sh
# Makes the Linux guest: Debian's cloud kernel, and an initramfs of busybox and ./init.
#
#   images/linux/build.sh ARCH OUT-DIRECTORY XTASK HELPER
#
# Packages come through this machine's own apt sources, with apt state kept aside, so that neither root
# nor a foreign architecture in dpkg is needed. They are cached, and not fetched again.
#
# ARCH is aarch64 or x86_64.
#
#   ROOST_CACHE   where downloads are kept (default ~/.cache/roost)
#   KERNEL_DEB, BUSYBOX_DEB   packages to use instead of fetching any
set -eu

arch=$1
out=$2
xtask=$3
helper=$4
case $arch in
    aarch64) debian=arm64 image=Image ;;
    x86_64) debian=amd64 image=bzImage ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
cache=${ROOST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/roost}
debs="$cache/debs"
work="$out/unpacked"

say() { echo "linux: $*" >&2; }
die() {
    say "$@"
    exit 1
}

command -v dpkg-deb >/dev/null || die "the Linux guest is made from Debian packages: dpkg-deb is needed." \
    "On another system, put a kernel for $arch at $out/$image (on AArch64 uncompressed) and an initramfs at $out/initrd.cpio.gz."

# apt with lists and cache of its own, for the guest's architecture, from this machine's sources.
apt() {
    APT_CONFIG="$cache/apt/$debian/apt.conf" "$@"
}

apt_prepare() {
    command -v apt-get >/dev/null || die "apt-get is needed to fetch Debian packages; or set KERNEL_DEB and BUSYBOX_DEB"
    state="$cache/apt/$debian"
    mkdir -p "$state/lists/partial" "$state/archives/partial"
    : >"$state/status"
    cat >"$state/apt.conf" <<CONF
APT::Architecture "$debian";
APT::Architectures { "$debian"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Debug::NoLocking "true";
Dir::State "$state";
Dir::State::lists "$state/lists";
Dir::State::status "$state/status";
Dir::Cache "$state";
Dir::Cache::archives "$state/archives";
CONF
}

apt_update() {
    say "fetching the package lists of $debian"
    apt apt-get update -qq || die "apt-get update failed: is the network there?"
}

# The package that the metapackage of the cloud kernel stands for today.
kernel_package() {
    apt apt-cache show linux-image-cloud-$debian 2>/dev/null |
        sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -n 1
}

# Downloads a package to the cache. Lists that name a version which the archive no longer has are refreshed once.
download() {
    say "fetching $1"
    (cd "$debs" && apt apt-get download -qq "$1") ||
        { apt_update && (cd "$debs" && apt apt-get download -qq "$1"); } ||
        die "cannot fetch $1"
}

newest() {
    # shellcheck disable=SC2012 # names of packages have no blanks
    ls -t "$debs"/$1 2>/dev/null | head -n 1
}

fetch() {
    mkdir -p "$debs"
    KERNEL_DEB=${KERNEL_DEB:-$(newest "linux-image-*-cloud-${debian}_*_$debian.deb")}
    BUSYBOX_DEB=${BUSYBOX_DEB:-$(newest "busybox-static_*_$debian.deb")}
    [ -n "$KERNEL_DEB" ] && [ -n "$BUSYBOX_DEB" ] && return
    apt_prepare
    package=$(kernel_package)
    if [ -z "$package" ]; then
        apt_update
        package=$(kernel_package)
    fi
    [ -n "$package" ] || die "this system's apt sources have no $debian cloud kernel (they are not Debian's?):" \
        "set KERNEL_DEB and BUSYBOX_DEB to Debian's packages linux-image-*-cloud-$debian and busybox-static of $debian"
    [ -n "$BUSYBOX_DEB" ] || download busybox-static
    [ -n "$KERNEL_DEB" ] || download "$package"
    KERNEL_DEB=$(newest "linux-image-*-cloud-${debian}_*_$debian.deb")
    BUSYBOX_DEB=$(newest "busybox-static_*_$debian.deb")
}

# Debian ships the arm64 kernel as a plain Image; a compressed one is unpacked. Both kinds say what they are.
install_kernel() {
    kernel=$(find "$work/kernel/boot" -name 'vmlinuz-*' | head -n 1)
    case $(od -An -tx1 -N2 "$kernel" | tr -d ' ') in
        1f8b) gzip -dc "$kernel" >"$out/$image.partial" ;;
        *) cp "$kernel" "$out/$image.partial" ;;
    esac
    case $arch in
        aarch64) offset=56 expected=41524d64 ;;
        x86_64) offset=514 expected=48647253 ;;
    esac
    magic=$(od -An -tx1 -j$offset -N4 "$out/$image.partial" | tr -d ' ')
    [ "$magic" = $expected ] || die "$kernel is no $image of $arch"
    mv "$out/$image.partial" "$out/$image"
}

# Drivers that are modules of Debian's cloud kernel: those for virtio devices, see ./virtio, and on a PC those for its power
# key, see ./power-key.
modules() {
    echo "dir  lib 755"
    modules="virtio/virtio virtio/virtio_ring virtio/virtio_mmio block/virtio_blk char/virtio_console char/hw_random/virtio-rng virtio/virtio_balloon net/net_failover net/virtio_net"
    [ "$arch" != x86_64 ] || modules="$modules acpi/button input/evdev"
    for module in $modules; do
        echo "file lib/${module##*/}.ko 644 $(find "$work/kernel/lib/modules" -path "*/drivers/$module.ko")"
    done
    echo "file lib/failover.ko 644 $(find "$work/kernel/lib/modules" -path "*/net/core/failover.ko")"
}

# The initramfs: see ./init for what it does.
install_initrd() {
    busybox=$(find "$work/busybox" -type f -path '*bin/busybox' | head -n 1)
    "$xtask" cpio "$out/initrd.cpio" <<MANIFEST
dir  bin 755
dir  dev 755
dir  etc 755
dir  proc 555
dir  root 700
dir  run 755
dir  sbin 755
dir  sys 555
dir  tmp 1777
dir  usr 755
dir  usr/bin 755
dir  usr/sbin 755
node dev/console 600 5 1
node dev/null 666 1 3
file bin/busybox 755 $busybox
link bin/sh busybox
file init 755 $here/init
file sbin/power-key 755 $here/power-key
file sbin/virtio 755 $here/virtio
file sbin/network 755 $here/network
file sbin/lease 755 $here/lease
file sbin/disk-root 755 $here/disk-root
file sbin/helper 755 $helper
file etc/passwd 644 $here/passwd
file etc/profile 644 $here/profile
$(modules)
MANIFEST
    gzip -9 -n -f "$out/initrd.cpio"
}

fetch
rm -rf "$work"
mkdir -p "$work"
dpkg-deb -x "$KERNEL_DEB" "$work/kernel"
dpkg-deb -x "$BUSYBOX_DEB" "$work/busybox"
install_kernel
install_initrd
rm -rf "$work"
say "$(basename "$KERNEL_DEB" .deb), initramfs of $(($(wc -c <"$out/initrd.cpio.gz") / 1024)) KiB"
