#!/bin/sh
# Boots Roost in an emulator with the serial port on this terminal.
#
#   tools/run.sh BUILD-DIRECTORY
#
# From the environment: ARCH, MACHINE (qemu, bochs), CPUS, MEM, GIC, CPU, CMD (shell commands to run at boot), APPEND
# (more of Roost's command line), DISK (the file of a disk, in QEMU), QEMU_FLAGS. The exit status is what the shell's `exit CODE` says.
set -eu

build=$1
arch=${ARCH:-$(basename "$build")}
append=${APPEND:-}
if [ -n "${CMD:-}" ]; then
    quoted=$(printf '%s' "$CMD" | sed 's/\\/\\\\/g; s/"/\\"/g')
    append="$append roost.cmd=\"$quoted\""
fi

# Roost flushes a disk when its guests do: the file is as safe as they are.
disk=
if [ -n "${DISK:-}" ]; then
    [ -e "$DISK" ] || { echo "run: $DISK: there is no such file; 'make disk' makes build/$arch/disk.img" >&2; exit 1; }
    case $DISK in
        *[[:space:],]*) echo "run: DISK=$DISK: QEMU wants a name without blanks and commas" >&2; exit 1 ;;
    esac
    disk="-drive file=$DISK,if=none,id=disk,format=raw"
    case $arch in
        x86_64) disk="$disk -device virtio-blk-pci,drive=disk" ;;
        *) disk="$disk -device virtio-blk-device,drive=disk" ;;
    esac
fi

announce() {
    [ ! -t 0 ] || echo "$1: Ctrl-A x quits it${2:-}; everything else, Ctrl-C too, goes to Roost." >&2
}

# KVM runs Roost if it offers hardware virtualization to its guests.
has_nested_kvm() {
    [ -w /dev/kvm ] || return 1
    case $(cat /sys/module/kvm_intel/parameters/nested /sys/module/kvm_amd/parameters/nested 2>/dev/null) in
        *[Y1]*) return 0 ;;
    esac
    return 1
}

# Roost ends QEMU by a device that makes status 2n+1 of code n; codes are up to 127. QEMU's own failures are 1.
run_qemu_x86_64() {
    if [ -z "${CPU:-}" ] && has_nested_kvm; then
        accelerator="-accel kvm -cpu host"
    else
        accelerator="-accel tcg,thread=multi -cpu ${CPU:-max}"
    fi
    status=0
    # shellcheck disable=SC2086 # lists of words
    qemu-system-x86_64 -M q35 $accelerator -smp "${CPUS:-2}" -m "${MEM:-2G}" \
        -nodefaults -display none -serial mon:stdio \
        -device isa-debug-exit,iobase=0xf4,iosize=4 \
        -kernel "$build/roost.elf" -initrd "$build/bundle.cpio" -append "$append" $disk ${QEMU_FLAGS:-} || status=$?
    if [ $status -gt 1 ] && [ $((status % 2)) = 1 ]; then
        status=$((status / 2))
    fi
    exit $status
}

run_qemu_aarch64() {
    # shellcheck disable=SC2086 # lists of words
    exec qemu-system-aarch64 \
        -M "virt,virtualization=on,gic-version=${GIC:-3}" -cpu "${CPU:-cortex-a57}" -smp "${CPUS:-2}" -m "${MEM:-2G}" \
        -nodefaults -display none -serial mon:stdio \
        -semihosting-config enable=on,target=native \
        -kernel "$build/roost.bin" -initrd "$build/bundle.cpio" -append "$append" $disk ${QEMU_FLAGS:-}
}

case "$arch,${MACHINE:-qemu}" in
    aarch64,qemu)
        announce QEMU ", Ctrl-A h lists more"
        run_qemu_aarch64
        ;;
    x86_64,qemu)
        announce QEMU ", Ctrl-A h lists more"
        run_qemu_x86_64
        ;;
    x86_64,bochs)
        announce Bochs
        exec "${XTASK:-xtask}" bochs "$build/roost.iso" "${CPUS:-1}" "${MEM:-1G}" "${CPU:-corei7_haswell_4770}"
        ;;
    *)
        echo "run: ARCH=$arch MACHINE=${MACHINE:-qemu}: there are ARCH=aarch64, and ARCH=x86_64 with MACHINE=qemu or bochs" >&2
        exit 1
        ;;
esac
