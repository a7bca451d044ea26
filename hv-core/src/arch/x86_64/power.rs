//! The end of the machine: by ACPI (6.5, 4.8.3.2 and 4.8.3.6), by an emulator's device, or by what PCs always had.

use super::discovery::Platform;
use super::insn;
use super::{boot, uart};
use crate::machine::End;

/// Ends the machine; returns only if it cannot be ended so.
pub(crate) fn end(end: End) {
    uart::drain();
    match (end, boot::platform()) {
        (End::Off, Some(platform)) => switch_off(platform),
        (End::Restart, platform) => restart(platform),
        (End::Exit(status), _) => exit(status),
        (End::Off, None) => {}
    }
}

/// QEMU's isa-debug-exit ends it with 2 * status + 1, but 1 is also what QEMU's own failures end with: 0 is left to switching
/// off. Where there is none, the status goes to the console, for whoever reads that.
fn exit(status: u8) {
    const DEBUG_EXIT: u16 = 0xf4;
    if status != 0 {
        insn::out32(DEBUG_EXIT, u32::from(status));
    }
    for byte in b"\r\nroost: exit status " {
        uart::emergency_write(*byte);
    }
    for digit in [status / 100, status / 10 % 10, status % 10] {
        uart::emergency_write(b'0' + digit);
    }
    for byte in b"\r\n" {
        uart::emergency_write(*byte);
    }
    uart::drain();
}

fn switch_off(platform: &Platform) {
    const SLEEP_ENABLE: u16 = 1 << 13;
    const SLEEP_TYPE: u16 = 7 << 10;
    const SCI_ENABLE: u16 = 1;
    const PATIENCE: u32 = 1_000_000;
    let Some(sleep_type) = platform.sleep_type else { return };
    let ports = || platform.pm_control.iter().flatten().copied();
    // Power is the firmware's until it is asked for.
    if let (Some((port, value)), Some(control)) = (platform.acpi_enable, ports().next())
        && insn::in16(control) & SCI_ENABLE == 0
    {
        insn::out8(port, value);
        for _ in 0..PATIENCE {
            if insn::in16(control) & SCI_ENABLE != 0 {
                break;
            }
        }
    }
    for port in ports() {
        let old = insn::in16(port) & !SLEEP_TYPE;
        insn::out16(port, old | u16::from(sleep_type & 7) << 10 | SLEEP_ENABLE);
    }
    for _ in 0..PATIENCE {
        insn::pause();
    }
}

fn restart(platform: Option<&Platform>) {
    const PATIENCE: u32 = 1_000_000;
    let wait = || (0..PATIENCE).for_each(|_| insn::pause());
    if let Some(register) = platform.and_then(|platform| platform.reset) {
        insn::out8(register.port, register.value);
        wait();
    }
    // The reset control register of chipsets, the keyboard controller, and a CPU that cannot go on.
    for (port, value) in [(0xcf9, 2), (0xcf9, 6), (0x64, 0xfe)] {
        insn::out8(port, value);
        wait();
    }
    insn::triple_fault();
}
