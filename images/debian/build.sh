#!/bin/sh
# Makes the Debian guest: a root file system (ext4) with systemd, as large as a guest needs to be looked at. Its kernel and its
# initramfs are those of images/linux.
#
#   images/debian/build.sh ARCH OUT-FILE LINUX-DIRECTORY
#
# mmdebstrap downloads and unpacks Debian's packages, from this machine's own apt sources and without root. They are installed by
# the architecture that they are for: in an emulator, whose first process is ./second-stage. What comes out is cached, until
# a file here changes.
#
# ARCH is aarch64 or x86_64.
#
#   ROOST_CACHE   where it is kept (default ~/.cache/roost)
set -eu

arch=$1
out=$2
linux=$3
case $arch in
    aarch64) debian=arm64 kernel=Image links="bin sbin lib" ;;
    x86_64) debian=amd64 kernel=bzImage links="bin sbin lib lib64" ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
cache=${ROOST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/roost}/debian
size=512M
packages=apt,login,procps,systemd-sysv,udev,usr-is-merged
# Debian has mke2fs where only root's PATH leads.
PATH=$PATH:/usr/sbin:/sbin

say() { echo "debian: $*" >&2; }
die() {
    say "$@"
    exit 1
}

# The sources of this machine that are Debian's, as lines of a sources.list. Whose they are, their lists say, which are fetched to a
# place of ours.
sources() {
    mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial"
    : >"$work/apt/status"
    cat >"$work/apt/apt.conf" <<CONF
APT::Sandbox::User "";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir::State "$work/apt";
Dir::State::lists "$work/apt/lists";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt";
CONF
    export APT_CONFIG="$work/apt/apt.conf"
    apt-get update -qq || die "apt-get update failed: is the network there?"
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
        awk '$4 == "Debian" && !seen[$0]++ { print "deb", $1, $2, $3 }'
    unset APT_CONFIG
}

# Unpacks the packages to $root, and the list of packages with them: what dpkg knows once it has unpacked them. dpkg itself would
# run programs of the packages for that, which are another machine's.
first_stage() {
    sources >"$work/sources.list"
    [ -s "$work/sources.list" ] || die "this system's apt sources are not Debian's"
    suite=$(awk '{ print $3; exit }' "$work/sources.list")
    # Debian's /bin and its like are links, which no package brings.
    links="for link in $links; do mkdir -p \"\$1/usr/\$link\" && ln -s usr/\$link \"\$1/\$link\" || exit 1; done"
    mmdebstrap --quiet --mode=root --variant=extract --format=directory --architectures=$debian \
        --include='?essential' --include=$packages --setup-hook="$links" \
        --extract-hook='mkdir "$1/debs" && ln "$1"/var/cache/apt/archives/*.deb "$1/debs"' \
        "$suite" "$root" "$work/sources.list" || die "mmdebstrap failed: is the network there?"
    for package in "$root"/debs/*.deb; do
        register "$package"
    done
    rm -rf "$root/debs" "$root/usr/share/doc" "$root/usr/share/info" "$root/usr/share/locale" "$root/usr/share/man"
    cp "$here/path-exclude" "$root/etc/dpkg/dpkg.cfg.d/roost"
    # What base-passwd's own script does before it is unpacked.
    for list in passwd group; do
        cp "$root/usr/share/base-passwd/$list.master" "$root/etc/$list"
    done
    install -m 755 "$here/second-stage" "$root/second-stage"
}

# Enters a package that is unpacked into the files of dpkg (deb-control(5), deb-triggers(5)).
register() {
    state="$root/var/lib/dpkg"
    control="$work/control"
    rm -rf "$control"
    dpkg-deb --control "$1" "$control"
    package=$(dpkg-deb --field "$1" Package)
    name=$package
    [ "$(dpkg-deb --field "$1" Multi-Arch)" != same ] || name=$package:$debian
    # Fields, of which the description is long and comes last.
    sed "/^Package:/a Status: install ok unpacked" "$control/control" | sed '/^$/d' >>"$state/status"
    if [ -s "$control/conffiles" ]; then
        echo "Conffiles:"
        sed -n 's,^/,,p' "$control/conffiles" | (cd "$root" && xargs md5sum) | sed -n 's,^\([^ ]*\)  \(.*\), /\2 \1,p'
    fi >>"$state/status"
    echo >>"$state/status"
    dpkg-deb --fsys-tarfile "$1" | tar -t | sed 's,^\./,/,; s,\(.\)/$,\1,; s,^/$,/.,' >"$state/info/$name.list"
    if [ -e "$control/triggers" ]; then
        sed -n "s,^interest\\(-await\\)* \(.*\),\2 $name,p; s,^interest-noawait \(.*\),\1 $name/noawait,p" "$control/triggers" |
            while read -r trigger waiting; do
                case $trigger in
                    /*) echo "$trigger $waiting" >>"$state/triggers/File" ;;
                    *) echo "$waiting" >>"$state/triggers/$trigger" ;;
                esac
            done
    fi
    rm "$control/control"
    for file in "$control"/*; do
        [ ! -e "$file" ] || mv "$file" "$state/info/$name.${file##*/}"
    done
}

make_file_system() {
    truncate -s $size "$work/root.img"
    mke2fs -q -t ext4 -m 0 -L debian -d "$root" "$work/root.img"
}

# Installs them. The emulator ends when it is done, and a limit of time ends it if it is not.
second_stage() {
    words="root=/dev/vda init=/second-stage panic=-1 quiet"
    case $arch in
        aarch64) machine="qemu-system-aarch64 -M virt -cpu cortex-a57" words="$words console=ttyAMA0" ;;
        x86_64)
            machine="qemu-system-x86_64 -M microvm,acpi=on,rtc=on -accel tcg,thread=multi -cpu max"
            # The rate of its clock is given, because measuring it fails when this machine is busy.
            words="$words console=ttyS0 reboot=t tsc_early_khz=2000000"
            ;;
    esac
    # shellcheck disable=SC2086 # a list of words
    timeout 1200 $machine -smp 2 -m 1G -nodefaults -display none -serial stdio -no-reboot \
        -kernel "$linux/$kernel" -initrd "$linux/initrd.cpio.gz" -append "$words" \
        -drive "file=$work/root.img,if=none,id=disk,format=raw,cache=unsafe,discard=unmap" \
        -device virtio-blk-device,drive=disk </dev/null >"$work/log" 2>&1 || true
    if ! grep -q 'second stage.*went well' "$work/log"; then
        tail -n 50 "$work/log" >&2
        die "the packages could not be installed"
    fi
}

# Under fakeroot, so that files belong to whom they shall, and have modes that only root gives.
if [ "${4:-}" = first-stage ]; then
    work=$5
    root="$work/root"
    first_stage
    make_file_system
    exit
fi

for tool in mmdebstrap fakeroot mke2fs dpkg-deb; do
    command -v $tool >/dev/null || die "$tool is needed: 'make setup' installs it on Debian"
done
key=$(cat "$here"/* | sha256sum | cut -c 1-16)
kept="$cache/$debian-$key.img"
if [ ! -e "$kept" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM
    say "downloading and unpacking packages for $debian"
    fakeroot "$0" "$arch" "$out" "$linux" first-stage "$work"
    say "installing them in an emulator, which takes a few minutes"
    second_stage
    rm -f "$cache/$debian"-*.img
    mv "$work/root.img" "$kept"
fi
cp --sparse=always "$kept" "$out"
say "a root file system of $(($(du -k "$out" | cut -f 1) / 1024)) MiB"
