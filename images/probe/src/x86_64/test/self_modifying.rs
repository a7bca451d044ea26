//! An instruction that accesses a device, and that another CPU changes meanwhile, for `seconds` (2): who emulates it may
//! read another one than the CPU has executed.

use core::sync::atomic::{AtomicBool, Ordering};

use guest::arch::ioapic;
use guest::board::Board;
use guest::{cpu, println, smp, time, trap};

use super::code::{self, Code};
use crate::report::{Failure, Outcome, equal};

/// Each as long as the others: `mov eax, [rdi]`, `mov [rdi], eax`, `mov eax, ecx`, `ud2`, `hlt; nop`.
const FORMS: [[u8; 2]; 5] = [[0x8b, 0x07], [0x89, 0x07], [0x89, 0xc8], [0x0f, 0x0b], [0xf4, 0x90]];
const RET: u8 = 0xc3;
/// HLT wakes up for nothing here, so that the last form is for CPUs with interrupts on only.
const FORMS_AWAKE: usize = 4;

static CODE: Code = Code::new();
static STOP: AtomicBool = AtomicBool::new(false);

pub(super) fn run(board: &'static Board) -> Outcome {
    let device = ioapic::registers().ok_or(Failure { what: "no IOAPIC", value: 0 })?;
    CODE.put(0, &FORMS[0]);
    CODE.put(2, &[RET]);
    if board.cpu_count > 1 {
        equal(smp::start(board, 1, change), 0, "start")?;
    } else {
        println!("probe: info self-modifying alone");
    }
    let end = time::now() + time::ticks_of_ms(1000 * board.number("seconds", 2));
    let (mut rounds, mut traps) = (0_u64, 0_u64);
    while time::now() < end {
        if board.cpu_count == 1 {
            CODE.put(0, FORMS.get(rounds as usize % FORMS_AWAKE).unwrap_or(&FORMS[0]));
        }
        let trap = trap::expect(|| {
            code::call(CODE.address(), device.address() as u64, 0);
        });
        traps += u64::from(trap.is_some());
        rounds += 1;
    }
    STOP.store(true, Ordering::SeqCst);
    println!("probe: info self-modifying rounds={rounds} traps={traps}");
    Ok(())
}

extern "C" fn change(_: usize) {
    for form in FORMS.iter().take(FORMS_AWAKE).cycle() {
        if STOP.load(Ordering::SeqCst) {
            return;
        }
        CODE.put(0, form);
        cpu::yield_now();
    }
}
