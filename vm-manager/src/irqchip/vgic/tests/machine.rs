//! A machine to test on: list registers with the CPU interface of a guest on top, a CPU loop that
//! keeps the virtual GIC's contract, and physical timers.

use crate::irqchip::vgic::{Frame, GicClient, MAX_VCPUS, SgiRegister, Version, Vgic};
use hv_core::arch::aarch64::list_register::{
    Backing, Group, ListRegister, ListRegisters, State, Underflow,
};
use hv_core::guest::{Level, Width};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// One list register, and whether an end of interrupt in it asks for maintenance.
#[derive(Clone, Copy, Debug, Default)]
struct Register {
    content: Option<ListRegister>,
    has_ended: bool,
}

/// The list registers of one CPU, and the virtual CPU interface that works on them.
#[derive(Debug)]
pub(super) struct Hardware {
    registers: Vec<Register>,
    underflow: Underflow,
    /// What the guest acknowledged and has not yet ended: priority, number, sender.
    running: Vec<(u8, u32, u8)>,
    /// Physical interrupts that a list register deactivated.
    deactivated: Vec<u32>,
}

impl Hardware {
    pub(super) fn new(count: usize) -> Self {
        Self {
            registers: vec![Register::default(); count],
            underflow: Underflow::Quiet,
            running: Vec::new(),
            deactivated: Vec::new(),
        }
    }

    /// Whether the maintenance interrupt is asserted.
    pub(super) fn wants_maintenance(&self) -> bool {
        let valid = self.registers.iter().filter(|register| register.content.is_some()).count();
        self.registers.iter().any(|register| register.has_ended)
            || (self.underflow == Underflow::Signalled && valid <= 1)
    }

    fn running_priority(&self) -> u8 {
        self.running.last().map_or(u8::MAX, |running| running.0)
    }

    /// What a read of the interrupt acknowledge register does.
    pub(super) fn acknowledge(&mut self) -> Option<(u32, u8)> {
        let limit = self.running_priority();
        let register = self
            .registers
            .iter_mut()
            .filter_map(|register| register.content.as_mut())
            .filter(|content| content.state == State::Pending && content.priority < limit)
            .min_by_key(|content| (content.priority, content.intid, content.source))?;
        register.state = State::Active;
        self.running.push((register.priority, register.intid, register.source));
        Some((register.intid, register.source))
    }

    /// What writes to the end of interrupt register do: priority drop and deactivation.
    pub(super) fn end(&mut self) -> Option<u32> {
        let (_, intid, source) = self.running.pop()?;
        self.deactivate(intid, source);
        Some(intid)
    }

    fn deactivate(&mut self, intid: u32, source: u8) {
        let found = self.registers.iter_mut().find(|register| {
            register.content.is_some_and(|content| {
                content.intid == intid
                    && content.source == source
                    && content.state != State::Pending
            })
        });
        let Some(register) = found else { return };
        let Some(content) = register.content.as_mut() else { return };
        if let Backing::Hardware(physical) = content.backing {
            self.deactivated.push(physical);
        }
        if content.state == State::PendingAndActive {
            content.state = State::Pending;
            return;
        }
        register.has_ended = content.backing == Backing::SoftwareEoi;
        register.content = None;
    }

    pub(super) fn contents(&self) -> Vec<ListRegister> {
        self.registers.iter().filter_map(|register| register.content).collect()
    }

    pub(super) fn underflow(&self) -> Underflow {
        self.underflow
    }

    fn check(&self) {
        let contents = self.contents();
        for (index, content) in contents.iter().enumerate() {
            let is_twice = contents.iter().skip(index + 1).any(|c| c.intid == content.intid);
            assert!(!is_twice, "{} is in two list registers: {contents:?}", content.intid);
            if let Backing::Hardware(_) = content.backing {
                assert_ne!(content.state, State::PendingAndActive, "hardware forbids {content:?}");
            }
        }
    }
}

impl ListRegisters for Hardware {
    fn count(&self) -> usize {
        self.registers.len()
    }

    fn empty(&self) -> u64 {
        self.registers.iter().enumerate().fold(0, |bits, (index, register)| {
            bits | u64::from(register.content.is_none() && !register.has_ended) << index
        })
    }

    fn get(&self, index: usize) -> Option<ListRegister> {
        self.registers.get(index)?.content
    }

    fn set(&mut self, index: usize, content: Option<ListRegister>) {
        self.registers[index] = Register { content, has_ended: false };
    }

    fn set_underflow(&mut self, underflow: Underflow) {
        self.underflow = underflow;
    }
}

/// What the manager would do about notifications: remember them.
#[derive(Debug, Default)]
pub(super) struct Client {
    attention: [AtomicBool; MAX_VCPUS],
    notifications: AtomicU32,
    deactivated: Mutex<Vec<(usize, u32)>>,
}

impl GicClient for Client {
    fn notify(&self, vcpu: usize) {
        self.attention[vcpu].store(true, Ordering::Relaxed);
        self.notifications.fetch_add(1, Ordering::Relaxed);
    }

    fn deactivate(&self, vcpu: usize, physical: u32) {
        self.deactivated.lock().unwrap().push((vcpu, physical));
    }
}

/// A VM with a virtual GIC, each vCPU of which is loaded on a CPU of its own.
pub(super) struct Machine {
    pub(super) vgic: Arc<Vgic>,
    pub(super) cpus: Vec<Hardware>,
    pub(super) client: Arc<Client>,
}

impl Machine {
    pub(super) fn new(version: Version, vcpus: usize, list_registers: usize) -> Self {
        let client = Arc::new(Client::default());
        let vgic = Vgic::new(version, vcpus, 96, Arc::<Client>::clone(&client)).unwrap();
        let cpus = (0..vcpus).map(|_| Hardware::new(list_registers)).collect();
        Self { vgic, cpus, client }
    }

    /// A machine whose guest has enabled everything, at priority 0xa0; SPIs go to vCPU 0.
    pub(super) fn ready(version: Version, vcpus: usize, list_registers: usize) -> Self {
        let mut machine = Self::new(version, vcpus, list_registers);
        machine.write(0, 0x000, 3);
        for bank in 0..4 {
            machine.enable(0, bank, u32::MAX);
            for intid in 32 * bank..32 * (bank + 1) {
                machine.set_priority(0, intid, 0xa0);
                if version == Version::V2 {
                    machine.access(0, Frame::Distributor, 0x800 + u64::from(intid), Width::B1, 1);
                }
            }
        }
        for vcpu in 1..vcpus {
            machine.enable(vcpu, 0, u32::MAX);
            for intid in 0..32 {
                machine.set_priority(vcpu, intid, 0xa0);
            }
        }
        machine
    }

    /// The frame in which `vcpu` finds bank `bank`, and the offset of what is at `offset` there.
    pub(super) fn place(&self, vcpu: usize, bank: u32, offset: u64) -> (Frame, u64) {
        match self.vgic.version() {
            Version::V3 if bank == 0 => (Frame::Redistributor(vcpu), 0x1_0000 + offset),
            Version::V2 | Version::V3 => (Frame::Distributor, offset),
        }
    }

    /// Writes one of the registers of bits.
    pub(super) fn write_bits(&mut self, vcpu: usize, bank: u32, base: u64, bits: u32) {
        let (frame, offset) = self.place(vcpu, bank, base + u64::from(4 * bank));
        self.access(vcpu, frame, offset, Width::B4, u64::from(bits));
    }

    /// Reads one of the registers of bits.
    pub(super) fn read_bits(&mut self, vcpu: usize, bank: u32, base: u64) -> u32 {
        let (frame, offset) = self.place(vcpu, bank, base + u64::from(4 * bank));
        self.read(vcpu, frame, offset, Width::B4) as u32
    }

    pub(super) fn enable(&mut self, vcpu: usize, bank: u32, bits: u32) {
        self.write_bits(vcpu, bank, 0x100, bits);
    }

    pub(super) fn disable(&mut self, vcpu: usize, bank: u32, bits: u32) {
        self.write_bits(vcpu, bank, 0x180, bits);
    }

    pub(super) fn set_priority(&mut self, vcpu: usize, intid: u32, priority: u8) {
        let (frame, offset) = self.place(vcpu, intid / 32, 0x400 + u64::from(intid));
        self.access(vcpu, frame, offset, Width::B1, u64::from(priority));
    }

    pub(super) fn set_edge(&mut self, vcpu: usize, intid: u32) {
        let base = 0xc00 + u64::from(intid / 16 * 4);
        let (frame, offset) = self.place(vcpu, intid / 32, base);
        let old = self.read(vcpu, frame, offset, Width::B4);
        self.access(vcpu, frame, offset, Width::B4, old | 2 << (intid % 16 * 2));
    }

    /// Routes an SPI to one vCPU.
    pub(super) fn route(&mut self, vcpu: usize, intid: u32, target: usize) {
        let (offset, width, value) = match self.vgic.version() {
            Version::V2 => (0x800 + u64::from(intid), Width::B1, 1 << target),
            Version::V3 => (0x6000 + u64::from(8 * intid), Width::B8, target as u64),
        };
        self.access(vcpu, Frame::Distributor, offset, width, value);
    }

    /// Writes a word of the distributor.
    pub(super) fn write(&mut self, vcpu: usize, offset: u64, value: u32) {
        self.access(vcpu, Frame::Distributor, offset, Width::B4, u64::from(value));
    }

    pub(super) fn read(&mut self, vcpu: usize, frame: Frame, offset: u64, width: Width) -> u64 {
        self.enter(vcpu);
        self.vgic.read(vcpu, frame, offset, width, &mut self.cpus[vcpu])
    }

    pub(super) fn access(
        &mut self,
        vcpu: usize,
        frame: Frame,
        offset: u64,
        width: Width,
        value: u64,
    ) {
        self.enter(vcpu);
        self.vgic.write(vcpu, frame, offset, width, value, &mut self.cpus[vcpu]);
    }

    /// Sends an SGI to the vCPUs in `targets`.
    pub(super) fn send(&mut self, vcpu: usize, targets: u32, sgi: u32) {
        self.enter(vcpu);
        match self.vgic.version() {
            Version::V2 => self.write(vcpu, 0xf00, targets << 16 | sgi),
            Version::V3 => {
                let value = u64::from(sgi << 24 | targets);
                self.vgic.send_sgi(vcpu, SgiRegister::Sgi1r, value, &mut self.cpus[vcpu]);
            }
        }
    }

    pub(super) fn line(&mut self, intid: u32, level: Level) {
        self.vgic.set_level(intid, level);
    }

    /// What happens before a vCPU enters the guest, until nothing asks for it any more.
    pub(super) fn enter(&mut self, vcpu: usize) {
        for _ in 0..3 {
            let is_asked = self.client.attention[vcpu].swap(false, Ordering::Relaxed);
            if !is_asked && !self.cpus[vcpu].wants_maintenance() {
                return;
            }
            self.vgic.flush(vcpu, &mut self.cpus[vcpu]);
            self.cpus[vcpu].check();
        }
        panic!("vCPU {vcpu} gets no further: {:?}", self.cpus[vcpu]);
    }

    /// The guest acknowledges an interrupt.
    pub(super) fn acknowledge(&mut self, vcpu: usize) -> Option<u32> {
        self.acknowledge_from(vcpu).map(|(intid, _)| intid)
    }

    /// The guest acknowledges an interrupt, and looks who sent it.
    pub(super) fn acknowledge_from(&mut self, vcpu: usize) -> Option<(u32, u8)> {
        self.enter(vcpu);
        self.cpus[vcpu].acknowledge()
    }

    /// The guest ends the interrupt that it acknowledged last.
    pub(super) fn end(&mut self, vcpu: usize) -> Option<u32> {
        self.enter(vcpu);
        let ended = self.cpus[vcpu].end();
        self.enter(vcpu);
        ended
    }

    /// The guest handles interrupts until there are none, and at most `limit`.
    pub(super) fn handle_all(&mut self, vcpu: usize, limit: usize) -> Vec<u32> {
        let mut handled = Vec::new();
        while let Some(intid) = self.acknowledge(vcpu) {
            handled.push(intid);
            assert_eq!(self.end(vcpu), Some(intid));
            assert!(handled.len() <= limit, "the storm of {handled:?} never ends");
        }
        handled
    }

    /// The vCPU leaves its CPU, and comes back to one whose list registers are empty.
    pub(super) fn migrate(&mut self, vcpu: usize) {
        self.vgic.fold_all(vcpu, &mut self.cpus[vcpu]);
        assert!(self.cpus[vcpu].contents().is_empty());
        assert_eq!(self.cpus[vcpu].underflow(), Underflow::Quiet);
        self.client.attention[vcpu].store(true, Ordering::Relaxed);
    }

    pub(super) fn group(&self, vcpu: usize) -> Vec<Group> {
        self.cpus[vcpu].contents().iter().map(|content| content.group).collect()
    }

    pub(super) fn has_pending(&self, vcpu: usize) -> bool {
        self.vgic.has_pending(vcpu, Some(&self.cpus[vcpu]))
    }

    pub(super) fn is_asked(&self, vcpu: usize) -> bool {
        self.client.attention[vcpu].load(Ordering::Relaxed)
    }

    pub(super) fn notifications(&self) -> u32 {
        self.client.notifications.load(Ordering::Relaxed)
    }

    /// The physical interrupts that were deactivated on behalf of `vcpu` since this was last asked,
    /// by list registers and by the client.
    pub(super) fn deactivated(&mut self, vcpu: usize) -> Vec<u32> {
        let mut all = std::mem::take(&mut self.cpus[vcpu].deactivated);
        self.client.deactivated.lock().unwrap().retain(|&(owner, physical)| {
            if owner == vcpu {
                all.push(physical);
            }
            owner != vcpu
        });
        all
    }
}
