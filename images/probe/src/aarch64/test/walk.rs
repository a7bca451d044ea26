//! Translation tables that are not in memory: a hypervisor sees a stage-2 fault of the table walk.

use guest::board::Board;
use guest::{cpu, println, read_register, trap, write_register};

use crate::report::Outcome;

const TCR_WALKS_OF_TTBR1_OFF: u64 = 1 << 23;
/// The lowest address that TTBR1 translates with 39 bits.
const UPPER_HALF: u64 = 0xffff_ff80_0000_0000;

/// The tables of the upper half are nowhere; the guest runs on in the lower half.
pub(super) fn run(board: &'static Board) -> Outcome {
    for table in [board.ram.end() as u64, 0x0f00_0000, 0x7f_ffff_f000] {
        write_register!("ttbr1_el1", table);
        write_register!("tcr_el1", read_register!("tcr_el1") & !TCR_WALKS_OF_TTBR1_OFF);
        cpu::flush_tlb();
        println!("probe: info walk of {table:#x}");
        let trap = trap::expect(|| {
            // SAFETY: traps, and is skipped; nothing of Rust's is there.
            unsafe {
                core::arch::asm!("ldr x9, [{}]", in(reg) UPPER_HALF, out("x9") _, options(nostack))
            };
        });
        let (syndrome, address) = trap.map_or((0, 0), |trap| (trap.syndrome, trap.address));
        println!("probe: info walk esr={syndrome:#x} far={address:#x}");
        write_register!("tcr_el1", read_register!("tcr_el1") | TCR_WALKS_OF_TTBR1_OFF);
    }
    Ok(())
}

/// All tables are nowhere: not even a handler can be fetched.
pub(super) fn crash(board: &'static Board) -> Outcome {
    println!("probe: info walk of tables behind RAM, for all");
    write_register!("ttbr0_el1", board.ram.end() as u64);
    cpu::flush_tlb();
    Ok(())
}
