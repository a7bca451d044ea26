#!/bin/sh
# Boots Roost in an emulator with the serial port on this terminal.
#
#   tools/run.sh BUILD-DIRECTORY
#
# From the environment: ARCH, MACHINE (qemu, bochs), CPUS, MEM, GIC, CPU, CMD (shell commands to run at boot), APPEND
# (more of Roost's command line), DISK (the file of a disk, in QEMU), NET (its network in QEMU: user, none, or flags of QEMU),
# QEMU_FLAGS. The exit status is what the shell's `exit CODE` says.
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

# Whether nobody listens on a TCP port of the loopback interface. Linux tells: local address and state 0A in hexadecimal.
is_free() {
    [ -r /proc/net/tcp ] || return 0
    ! awk -v port="$(printf '%04X' "$1")" '
        { split($2, local, ":") }
        $4 == "0A" && local[2] == port && local[1] ~ /^(0100007F|0+|0000000000000000FFFF00000100007F|0+1000000)$/ { found = 1 }
        END { exit !found }' /proc/net/tcp $([ -r /proc/net/tcp6 ] && echo /proc/net/tcp6)
}

# The first free port of some, from $1 on in steps of 2.
free_port() {
    port=$1
    while [ "$port" -lt $(($1 + 40)) ]; do
        ! is_free "$port" || { echo "$port"; return; }
        port=$((port + 2))
    done
}

# A card on QEMU's user network. Ports of this machine lead to the shell for people (23) and for programs (2324).
network=
announce_network() {
    [ ! -t 0 ] || echo "Network: $1" >&2
}
user_network() {
    forwards=
    said=
    for wanted in 2323:23:telnet 2324:2324:programs; do
        rest=${wanted#*:}
        outside=$(free_port "${wanted%%:*}")
        if [ -z "$outside" ]; then
            echo "run: no port of 127.0.0.1 is free for Roost's port ${rest%:*} (${rest#*:})" >&2
            continue
        fi
        forwards="$forwards,hostfwd=tcp:127.0.0.1:$outside-:${rest%:*}"
        said="$said${said:+, }127.0.0.1:$outside for ${rest#*:}"
    done
    network="-netdev user,id=net$forwards -device $1,netdev=net"
    announce_network "$said, once somebody has a password ('passwd admin'). NET=none for none."
}
if [ "${MACHINE:-qemu}" = qemu ]; then
    case ${NET:-user} in
        user)
            case $arch in
                x86_64) user_network virtio-net-pci,romfile= ;;
                *) user_network virtio-net-device ;;
            esac
            ;;
        none) ;;
        -*) network=$NET ;;
        *)
            echo "run: NET=$NET: there are user, none, and flags of QEMU such as NET='-netdev user,id=n -device virtio-net-pci,netdev=n'" >&2
            exit 1
            ;;
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
        -kernel "$build/roost.elf" -initrd "$build/bundle.cpio" -append "$append" $disk $network ${QEMU_FLAGS:-} || status=$?
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
        -kernel "$build/roost.bin" -initrd "$build/bundle.cpio" -append "$append" $disk $network ${QEMU_FLAGS:-}
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
