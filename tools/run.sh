#!/bin/sh
# Boots Roost in QEMU with the serial port on this terminal.
#
#   tools/run.sh BUILD-DIRECTORY
#
# From the environment: CPUS, MEM, GIC, CPU, CMD (shell commands to run at boot), APPEND (more of Roost's
# command line), QEMU_FLAGS. The exit status is what the shell's `exit CODE` says.
set -eu

build=$1
append=${APPEND:-}
if [ -n "${CMD:-}" ]; then
    quoted=$(printf '%s' "$CMD" | sed 's/\\/\\\\/g; s/"/\\"/g')
    append="$append roost.cmd=\"$quoted\""
fi
[ ! -t 0 ] || echo "QEMU: Ctrl-A x quits it, Ctrl-A h lists more; everything else, Ctrl-C too, goes to Roost." >&2

# shellcheck disable=SC2086 # QEMU_FLAGS is a list of words
exec qemu-system-aarch64 \
    -M "virt,virtualization=on,gic-version=${GIC:-3}" -cpu "${CPU:-cortex-a57}" -smp "${CPUS:-2}" -m "${MEM:-2G}" \
    -nodefaults -display none -serial mon:stdio \
    -semihosting-config enable=on,target=native \
    -kernel "$build/roost.bin" -initrd "$build/bundle.cpio" -append "$append" ${QEMU_FLAGS:-}
