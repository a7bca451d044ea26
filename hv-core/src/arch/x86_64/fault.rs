//! Exceptions of the hypervisor itself: bugs of ours.

// UNSAFETY: it reads what the CPU pushed, and frame records on the stack.
#![expect(unsafe_code)]

use super::{apic, insn};

/// What is on the stack when a stub has pushed vector and error code. SDM vol. 3A, figure 6-9.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Frame {
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Called by the stubs. Never returns.
pub(super) extern "C" fn host_exception(frame: u64, frame_pointer: u64) {
    let pointer = core::ptr::with_exposed_provenance::<Frame>(frame as usize);
    // SAFETY: the stub gives the address of what it and the CPU have pushed.
    let frame = unsafe { pointer.read() };
    let what = match frame.vector {
        0 => "division error (#DE)",
        6 => "invalid instruction (#UD)",
        8 => "double fault (#DF)",
        10 => "invalid task state (#TS)",
        11 => "segment not present (#NP)",
        12 => "stack fault (#SS)",
        13 => "general protection (#GP)",
        14 => "page fault (#PF)",
        18 => "machine check (#MC)",
        _ => "exception",
    };
    let image = insn::image_layout();
    let report = format_args!(
        "{what} in the hypervisor on the CPU of APIC {}: vector {}, error {:#x}, RIP {:#x} (image + {:#x}), CR2 {:#x}, RSP {:#x}",
        apic::id(),
        frame.vector,
        frame.error,
        frame.rip,
        frame.rip.wrapping_sub(image.start),
        insn::cr2::read(),
        frame.rsp,
    );
    crate::panic::die(report, frame_pointer);
}

/// The frame pointer of the function that calls this.
#[inline(always)]
pub(crate) fn frame_pointer() -> u64 {
    insn::frame_pointer()
}

/// The return addresses that the chain of frame records from `frame_pointer` gives, as offsets into our image.
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
