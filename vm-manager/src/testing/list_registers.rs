//! The list registers of a CPU, and the virtual CPU interface that a guest sees on top of them.

use super::sim::Sim;
use hv_core::arch::aarch64::list_register::{
    Backing, ListRegister, ListRegisters, State, Underflow,
};
use std::sync::Arc;

/// One list register, and whether an end of interrupt in it asks for maintenance.
#[derive(Clone, Copy, Debug, Default)]
struct Register {
    content: Option<ListRegister>,
    has_ended: bool,
}

/// The list registers in the hardware of one CPU.
#[derive(Debug)]
pub(crate) struct Bank {
    registers: Vec<Register>,
    underflow: Underflow,
}

impl Bank {
    pub(crate) fn new(count: usize) -> Self {
        Self { registers: vec![Register::default(); count], underflow: Underflow::Quiet }
    }

    /// Whether the maintenance interrupt is asserted.
    pub(crate) fn wants_maintenance(&self) -> bool {
        let valid = self.registers.iter().filter(|register| register.content.is_some()).count();
        self.registers.iter().any(|register| register.has_ended)
            || self.underflow == Underflow::Signalled && valid <= 1
    }

    /// Whether nothing is left in them.
    pub(crate) fn is_empty(&self) -> bool {
        self.registers.iter().all(|register| register.content.is_none())
    }

    /// A read of the interrupt acknowledge register; `running` are the interrupts that are not ended.
    pub(crate) fn acknowledge(&mut self, running: &mut Vec<(u8, u32, u8)>) -> Option<u32> {
        let limit = running.last().map_or(u8::MAX, |&(priority, ..)| priority);
        let content = self
            .registers
            .iter_mut()
            .filter_map(|register| register.content.as_mut())
            .filter(|content| content.state == State::Pending && content.priority < limit)
            .min_by_key(|content| (content.priority, content.intid))?;
        content.state = State::Active;
        running.push((content.priority, content.intid, content.source));
        Some(content.intid)
    }

    /// A write to the end of interrupt register. Returns the physical interrupt that it deactivates.
    pub(crate) fn end(&mut self, running: &mut Vec<(u8, u32, u8)>) -> Option<u32> {
        let (_, intid, source) = running.pop()?;
        let is_it = |content: ListRegister| {
            (content.intid, content.source) == (intid, source) && content.state != State::Pending
        };
        let register =
            self.registers.iter_mut().find(|register| register.content.is_some_and(is_it))?;
        let content = register.content.as_mut()?;
        let physical = match content.backing {
            Backing::Hardware(physical) => Some(physical),
            Backing::Software | Backing::SoftwareEoi => None,
        };
        if content.state == State::PendingAndActive {
            content.state = State::Pending;
            return physical;
        }
        register.has_ended = content.backing == Backing::SoftwareEoi;
        register.content = None;
        physical
    }
}

/// The list registers of CPU `cpu`, as the hypervisor reaches them.
#[derive(Debug)]
pub(crate) struct FakeListRegisters {
    pub(crate) sim: Arc<Sim>,
    pub(crate) cpu: usize,
}

impl ListRegisters for FakeListRegisters {
    fn count(&self) -> usize {
        self.sim.with_cpu(self.cpu, |cpu| cpu.bank.registers.len())
    }

    fn empty(&self) -> u64 {
        self.sim.with_cpu(self.cpu, |cpu| {
            cpu.bank.registers.iter().enumerate().fold(0, |bits, (index, register)| {
                bits | u64::from(register.content.is_none() && !register.has_ended) << index
            })
        })
    }

    fn get(&self, index: usize) -> Option<ListRegister> {
        self.sim.with_cpu(self.cpu, |cpu| cpu.bank.registers.get(index)?.content)
    }

    fn set(&mut self, index: usize, content: Option<ListRegister>) {
        self.sim.with_cpu(self.cpu, |cpu| {
            if let Some(content) = content {
                let is_twice = |(other, register): (usize, &Register)| {
                    other != index && register.content.is_some_and(|c| c.intid == content.intid)
                };
                assert!(
                    !cpu.bank.registers.iter().enumerate().any(is_twice),
                    "{content:?} is there twice"
                );
            }
            cpu.bank.registers[index] = Register { content, has_ended: false };
        });
    }

    fn set_underflow(&mut self, underflow: Underflow) {
        self.sim.with_cpu(self.cpu, |cpu| cpu.bank.underflow = underflow);
    }
}
