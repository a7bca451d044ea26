//! Some CPUs with their local APICs, and the way between them.

use crate::devices::frequency::Frequency;
use crate::irqchip::apic_message::Message;
use crate::irqchip::lapic::{
    BASE_MSR, Effect, Interrupt, LocalApic, Reception, Role, Scope, targets,
};
use hv_core::guest::Width;
use hv_core::time::Instant;

pub(super) const ID: u64 = 0x20;
pub(super) const TPR: u64 = 0x80;
pub(super) const PPR: u64 = 0xa0;
pub(super) const EOI: u64 = 0xb0;
pub(super) const LDR: u64 = 0xd0;
pub(super) const DFR: u64 = 0xe0;
pub(super) const SVR: u64 = 0xf0;
pub(super) const ISR: u64 = 0x100;
pub(super) const TMR: u64 = 0x180;
pub(super) const IRR: u64 = 0x200;
pub(super) const ESR: u64 = 0x280;
pub(super) const ICR: u64 = 0x300;
pub(super) const ICR_HIGH: u64 = 0x310;
pub(super) const LVT_TIMER: u64 = 0x320;
pub(super) const LVT_LINT0: u64 = 0x350;
pub(super) const LVT_LINT1: u64 = 0x360;
pub(super) const LVT_ERROR: u64 = 0x370;
pub(super) const INITIAL: u64 = 0x380;
pub(super) const CURRENT: u64 = 0x390;
pub(super) const DIVIDE: u64 = 0x3e0;

pub(super) struct Machine {
    pub(super) apics: Vec<LocalApic>,
    /// What came in, by CPU, but for vectors.
    pub(super) received: Vec<(usize, Reception)>,
    pub(super) ended: Vec<u8>,
    pub(super) now: Instant,
}

impl Machine {
    pub(super) fn new(cpus: u32) -> Self {
        let apic = |id| {
            let role = if id == 0 { Role::Bootstrap } else { Role::Application };
            LocalApic::new(id, role, Frequency::from_hertz(1_000_000_000))
        };
        let apics = (0..cpus).map(apic).collect();
        Self { apics, received: Vec::new(), ended: Vec::new(), now: Instant(0) }
    }

    /// All APICs as Linux sets them up: flat logical IDs, enabled.
    pub(super) fn enabled(cpus: u32) -> Self {
        let mut machine = Self::new(cpus);
        for cpu in 0..machine.apics.len() {
            machine.write(cpu, DFR, 0xffff_ffff);
            machine.write(cpu, LDR, 1 << (24 + cpu));
            machine.write(cpu, TPR, 0x10);
            machine.write(cpu, SVR, 0x1ff);
            machine.write(cpu, LVT_ERROR, 0xfe);
        }
        machine
    }

    /// The same with x2APICs.
    pub(super) fn x2apic(cpus: u32) -> Self {
        let mut machine = Self::new(cpus);
        for cpu in 0..machine.apics.len() {
            let base = machine.apics[cpu].base();
            machine.apics[cpu].set_base(base | 1 << 10).unwrap();
            machine.write_msr(cpu, 0x80f, 0x1ff);
        }
        machine
    }

    pub(super) fn read(&mut self, cpu: usize, offset: u64) -> u32 {
        self.apics[cpu].read_page(offset, Width::B4, self.now) as u32
    }

    pub(super) fn write(&mut self, cpu: usize, offset: u64, value: u32) {
        let effect = self.apics[cpu].write_page(offset, Width::B4, u64::from(value), self.now);
        self.pass_on(cpu, effect);
    }

    pub(super) fn read_msr(&mut self, cpu: usize, msr: u32) -> u64 {
        match msr {
            BASE_MSR => self.apics[cpu].base(),
            _ => self.apics[cpu].read_msr(msr, self.now).unwrap(),
        }
    }

    pub(super) fn write_msr(&mut self, cpu: usize, msr: u32, value: u64) {
        let effect = self.apics[cpu].write_msr(msr, value, self.now).unwrap();
        self.pass_on(cpu, effect);
    }

    /// An IPI by an xAPIC.
    pub(super) fn send(&mut self, cpu: usize, high: u32, low: u32) {
        self.write(cpu, ICR_HIGH, high << 24);
        self.write(cpu, ICR, low);
    }

    pub(super) fn deliver(&mut self, message: &Message) {
        let chosen = targets(message, self.apics.iter().map(LocalApic::address));
        for cpu in (0..self.apics.len()).filter(|cpu| chosen >> cpu & 1 != 0) {
            let reception = self.apics[cpu].receive(message);
            if reception != Reception::Waits {
                self.received.push((cpu, reception));
            }
        }
    }

    fn pass_on(&mut self, sender: usize, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::EndOfInterrupt(vector) => self.ended.push(vector),
            Effect::Send { message, scope } => {
                let chosen = targets(&message, self.apics.iter().map(LocalApic::address));
                let excluded = if scope == Scope::Others { 1 << sender } else { 0 };
                for cpu in (0..self.apics.len()).filter(|cpu| chosen & !excluded & 1 << cpu != 0) {
                    let reception = self.apics[cpu].receive(&message);
                    if reception != Reception::Waits {
                        self.received.push((cpu, reception));
                    }
                }
            }
        }
    }

    /// Takes what interrupts, if a vector does.
    pub(super) fn take(&mut self, cpu: usize) -> Option<u8> {
        self.apics[cpu].poll(self.now);
        match self.apics[cpu].pending()? {
            Interrupt::Vector(vector) => {
                self.apics[cpu].acknowledge(vector);
                Some(vector)
            }
            Interrupt::External => None,
        }
    }

    /// Takes and ends all that interrupts.
    pub(super) fn drain(&mut self, cpu: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Some(vector) = self.take(cpu) {
            taken.push(vector);
            let effect = match self.apics[cpu].page() {
                Some(_) => self.apics[cpu].write_page(EOI, Width::B4, 0, self.now),
                None => self.apics[cpu].write_msr(0x80b, 0, self.now).unwrap(),
            };
            self.pass_on(cpu, effect);
        }
        taken
    }

    /// What each CPU has to take.
    pub(super) fn drain_all(&mut self) -> Vec<Vec<u8>> {
        (0..self.apics.len()).map(|cpu| self.drain(cpu)).collect()
    }
}
