#!/bin/sh
# Makes a bootable image of Roost and its bundle, for a CD or a USB stick, by BIOS or UEFI.
#
#   tools/iso.sh ROOST-ELF BUNDLE OUT
#
# From the environment: CMD (shell commands to run at boot), APPEND (more of Roost's command line).
set -eu

elf=$1
bundle=$2
out=$3
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# A word of GRUB's language that stands for itself.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

command=
[ -z "${CMD:-}" ] || command=$(quoted "roost.cmd=$CMD")

mkdir -p "$tree/root/boot/grub"
cp "$elf" "$tree/root/boot/roost.elf"
cp "$bundle" "$tree/root/boot/bundle.cpio"
cat >"$tree/root/boot/grub/grub.cfg" <<CONFIG
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
menuentry "Roost" {
    multiboot2 /boot/roost.elf ${APPEND:-} $command
    module2 /boot/bundle.cpio
}
CONFIG

grub-mkrescue -o "$out.partial" --locales= --fonts= --themes= --compress=no \
    --install-modules="multiboot multiboot2 serial terminal normal iso9660 part_msdos part_gpt fat" \
    "$tree/root" >"$tree/log" 2>&1 || {
    cat "$tree/log" >&2
    exit 1
}
mv "$out.partial" "$out"
