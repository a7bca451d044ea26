//! All leaves of CPUID.

use guest::arch::cpu::{self, feature};
use guest::board::Board;
use guest::println;

use crate::report::{Outcome, check};

const VMX: u32 = 1 << 5;
const SVM: u32 = 1 << 2;

pub(super) fn run(board: &'static Board) -> Outcome {
    let mut sum = 0_u32;
    for base in [0, 0x4000_0000, 0x8000_0000, 0xc000_0000_u32] {
        for leaf in base..base + 0x40 {
            for subleaf in 0..8 {
                let found = cpu::cpuid(leaf, subleaf);
                sum = sum.wrapping_add(found.eax ^ found.ebx ^ found.ecx ^ found.edx);
            }
        }
    }
    for leaf in [u32::MAX, 0x7fff_ffff, 0x4fff_ffff, 0xdead_beef] {
        cpu::cpuid(leaf, u32::MAX);
    }
    let names = [cpu::cpuid(0, 0), cpu::cpuid(0x4000_0000, 0)];
    let name = |words: [u32; 3]| words.map(u32::to_le_bytes);
    let vendor = name([names[0].ebx, names[0].edx, names[0].ecx]);
    let hypervisor = name([names[1].ebx, names[1].ecx, names[1].edx]);
    println!(
        "probe: info cpuid vendor={} hypervisor={} sum={sum:#x}",
        vendor.as_flattened().escape_ascii(),
        hypervisor.as_flattened().escape_ascii()
    );
    if cpu::has(feature::HYPERVISOR) && hypervisor.as_flattened() != b"TCGTCGTCGTCG" {
        let virtualization = cpu::cpuid(1, 0).ecx & VMX | cpu::cpuid(0x8000_0001, 0).ecx & SVM;
        check(virtualization == 0, "it offers virtualization", u64::from(virtualization))?;
    }
    let own = u64::from(cpu::cpuid(1, 0).ebx >> 24);
    check(board.cpus().first() == Some(&own), "another APIC id than ACPI says", own)
}
