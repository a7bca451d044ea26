//! Registers that a hypervisor traps to hide what the host has.

use guest::arch::cpu;
use guest::board::Board;

use crate::batch::measure;

const PAT: u32 = 0x277;

pub(super) fn cpuid(_: &'static Board, name: &str) {
    measure(name, || {
        core::hint::black_box(cpu::cpuid(0, 0));
    });
}

pub(super) fn pat(_: &'static Board, name: &str) {
    measure(name, || {
        cpu::read_msr(PAT);
    });
}
