//! Segments, the task state, and the interrupt descriptor table. SDM vol. 3A, 3.4.5, 6.14 and 7.7.

use super::insn;
use alloc::boxed::Box;
use spin::Once;

/// The selector of the task state segment.
const TASK: u16 = 0x28;
const CODE: u16 = 0x08;
/// NMI, #DF and #MC find a stack of their own, whatever state the CPU's is in.
const STACKS: [(u8, u8); 3] = [(2, 1), (8, 2), (18, 3)];
const STACK_BYTES: usize = 8 << 10;

/// A 64-bit task state segment (figure 7-11), without a map of ports.
#[derive(Debug)]
#[repr(C, packed(4))]
struct TaskState {
    reserved_0: u32,
    privileged_stacks: [u64; 3],
    reserved_1: u64,
    interrupt_stacks: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    port_map: u16,
}

const _: () = assert!(size_of::<TaskState>() == 104);

/// The tables of one CPU.
#[derive(Debug)]
pub(super) struct Descriptors {
    gdt: [u64; 7],
    task: &'static TaskState,
}

impl Descriptors {
    /// Tables with stacks of their own. Never freed.
    pub(super) fn new() -> &'static Self {
        let mut interrupt_stacks = [0; 7];
        for ((_, number), slot) in STACKS.iter().zip(&mut interrupt_stacks) {
            debug_assert!(*number >= 1);
            let stack: &'static mut [u128] =
                Box::leak(alloc::vec![0_u128; STACK_BYTES / 16].into());
            *slot = stack.as_ptr_range().end.expose_provenance() as u64;
        }
        let task: &'static TaskState = Box::leak(Box::new(TaskState {
            reserved_0: 0,
            privileged_stacks: [0; 3],
            reserved_1: 0,
            interrupt_stacks,
            reserved_2: 0,
            reserved_3: 0,
            port_map: size_of::<TaskState>() as u16,
        }));
        let base = core::ptr::from_ref(task).expose_provenance() as u64;
        let [low, high] = task_descriptor(base);
        let gdt = [
            0,
            0x00af_9b00_0000_ffff,
            0x00cf_9300_0000_ffff,
            0x00cf_9300_0000_ffff,
            0x00cf_9b00_0000_ffff,
            low,
            high,
        ];
        Box::leak(Box::new(Self { gdt, task }))
    }

    /// Has the CPU that runs this use them.
    pub(super) fn load(&'static self) {
        insn::load_descriptors(&self.gdt, interrupt_table(), TASK);
    }

    /// The address of the task state.
    pub(super) fn task_address(&self) -> u64 {
        core::ptr::from_ref(self.task).expose_provenance() as u64
    }

    /// The address of the GDT.
    pub(super) fn gdt_address(&self) -> u64 {
        self.gdt.as_ptr().expose_provenance() as u64
    }
}

/// The address of the interrupt descriptor table.
pub(super) fn interrupt_table_address() -> u64 {
    interrupt_table().as_ptr().expose_provenance() as u64
}

/// The selector of the task state segment.
pub(super) const fn task_selector() -> u16 {
    TASK
}

/// The descriptor of an available 64-bit task state segment (figure 7-4).
const fn task_descriptor(base: u64) -> [u64; 2] {
    const PRESENT_AVAILABLE: u64 = 0x89 << 40;
    let limit = size_of::<TaskState>() as u64 - 1;
    let low = limit | (base & 0xff_ffff) << 16 | PRESENT_AVAILABLE | (base >> 24 & 0xff) << 56;
    [low, base >> 32]
}

/// The one table, for all CPUs.
fn interrupt_table() -> &'static [u128; 256] {
    static TABLE: Once<[u128; 256]> = Once::new();
    TABLE.call_once(|| {
        let stubs = insn::interrupt_stubs();
        core::array::from_fn(|vector| {
            let stack = STACKS.iter().find(|(of, _)| usize::from(*of) == vector);
            gate(stubs + 16 * vector as u64, stack.map_or(0, |(_, stack)| *stack))
        })
    })
}

/// An interrupt gate (figure 6-8).
const fn gate(handler: u64, stack: u8) -> u128 {
    const PRESENT_INTERRUPT: u128 = 0x8e << 40;
    let handler = handler as u128;
    handler & 0xffff
        | (CODE as u128) << 16
        | (stack as u128) << 32
        | PRESENT_INTERRUPT
        | (handler >> 16) << 48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_has_the_address_in_three_parts() {
        let gate = gate(0xffff_8000_1234_5678, 2);
        assert_eq!(gate, 0x0000_0000_ffff_8000_1234_8e02_0008_5678);
    }

    #[test]
    fn a_task_descriptor_has_the_base_in_four_parts() {
        let [low, high] = task_descriptor(0x1_89ab_cdef);
        assert_eq!((low, high), (0x8900_89ab_cdef_0067, 1));
    }
}
