//! Exceptions of EL2 itself: bugs of ours, but for the semihosting call where nobody takes it.

// UNSAFETY: it reads the instruction that faulted, and frame records on the stack.
#![expect(unsafe_code)]

use super::{insn, percpu};

/// Called by the vectors, on the emergency stack. Returns only after it has stepped over an instruction that may be
/// undefined.
pub(super) extern "C" fn host_exception(kind: u64, frame_pointer: u64) {
    const SYNCHRONOUS: u64 = 0;
    const CLASS_UNKNOWN: u64 = 0;
    let (esr, elr, far) = (insn::esr_el2::read(), insn::elr_el2::read(), insn::far_el2::read());
    let image = insn::image_layout();
    if kind == SYNCHRONOUS
        && esr >> 26 == CLASS_UNKNOWN
        && (image.start..image.text_end).contains(&elr)
    {
        // SAFETY: within our own text, which is mapped and readable.
        let instruction =
            unsafe { core::ptr::with_exposed_provenance::<u32>(elr as usize).read_volatile() };
        if instruction == insn::HLT_SEMIHOSTING {
            insn::elr_el2::write(elr + 4);
            return;
        }
    }
    let what = match kind {
        SYNCHRONOUS => "synchronous exception",
        1 => "IRQ",
        2 => "FIQ",
        _ => "SError",
    };
    let cpu = percpu::this().map_or(0, percpu::PerCpu::index);
    let report = format_args!(
        "{what} in the hypervisor on CPU {cpu}: ESR {esr:#x}, ELR {elr:#x} (image + {:#x}), FAR {far:#x}",
        elr.wrapping_sub(image.start)
    );
    crate::panic::die(report, frame_pointer);
}

/// The frame pointer of the function that calls this.
#[inline(always)]
pub(crate) fn frame_pointer() -> u64 {
    insn::frame_pointer()
}

/// The return addresses that the chain of frame records from `frame_pointer` gives, as offsets into our image; AAPCS64 6.4.6.
pub(crate) fn backtrace(frame_pointer: u64) -> impl Iterator<Item = u64> {
    const MAX_FRAMES: usize = 32;
    let image = insn::image_layout();
    let mut frame = frame_pointer;
    core::iter::from_fn(move || {
        if frame == 0 || !frame.is_multiple_of(8) {
            return None;
        }
        let record = core::ptr::with_exposed_provenance::<[u64; 2]>(frame as usize);
        // SAFETY: a chain of records is on the stack of this CPU, which is mapped. If it is damaged, the worst is a
        // second exception, which ends the report: we are dying anyway.
        let [next, return_address] = unsafe { record.read_volatile() };
        if !(image.start..image.text_end).contains(&return_address) || next <= frame && next != 0 {
            return None;
        }
        frame = next;
        Some(return_address - image.start)
    })
    .take(MAX_FRAMES)
}
