//! The virtual GIC against a model that has no list registers: whatever guests, devices and the CPU
//! loop do, the guest is given what the model says, no less, no more, and in that order.

use super::machine::Machine;
use crate::irqchip::vgic::{HwState, Version};
use hv_core::guest::Level;
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use proptest::test_runner::Config;

const VCPUS: usize = 3;
const TIMER: u32 = 27;
/// Those that the model has: some SGIs, private ones, and a few SPIs of two banks.
const INTIDS: [u32; 16] = [0, 1, 2, 15, 16, 27, 30, 31, 32, 33, 34, 40, 63, 64, 65, 127];

#[derive(Clone, Copy, Debug, Default)]
struct Interrupt {
    enabled: bool,
    priority: u8,
    edge: bool,
    line: bool,
    latch: bool,
    senders: u8,
    /// Which vCPU has it active, and who sent it.
    active: Option<(usize, u8)>,
    target: usize,
    group1: bool,
    /// A physical interrupt stands behind the latch, behind the active state.
    hw_latch: bool,
    hw_active: bool,
}

impl Interrupt {
    fn is_pending(&self) -> bool {
        self.latch || self.senders != 0 || (self.line && !self.edge)
    }
}

struct Model {
    version: Version,
    groups: u8,
    /// By vCPU, then by place in `INTIDS`; shared ones are those of vCPU 0.
    interrupts: [[Interrupt; INTIDS.len()]; VCPUS],
    running: [Vec<(u8, usize, u8)>; VCPUS],
    is_physical_active: [bool; VCPUS],
}

impl Model {
    fn new(version: Version) -> Self {
        let interrupt = |vcpu: usize, intid: u32| Interrupt {
            enabled: true,
            priority: 0xa0,
            edge: intid < 16,
            target: if intid < 32 { vcpu } else { 0 },
            group1: version == Version::V3,
            ..Interrupt::default()
        };
        Self {
            version,
            groups: 3,
            interrupts: [0, 1, 2].map(|vcpu| INTIDS.map(|intid| interrupt(vcpu, intid))),
            running: Default::default(),
            is_physical_active: [false; VCPUS],
        }
    }

    fn at(&mut self, vcpu: usize, which: usize) -> &mut Interrupt {
        &mut self.interrupts[if INTIDS[which] < 32 { vcpu } else { 0 }][which]
    }

    fn ready(&mut self, vcpu: usize) -> Vec<(u8, u32, usize)> {
        let groups = self.groups;
        let mut ready = Vec::new();
        for (which, intid) in INTIDS.into_iter().enumerate() {
            let irq = *self.at(vcpu, which);
            let is_open = groups >> u8::from(irq.group1) & 1 != 0;
            if irq.is_pending()
                && irq.enabled
                && is_open
                && irq.active.is_none()
                && irq.target == vcpu
            {
                ready.push((irq.priority, intid, which));
            }
        }
        ready.sort_unstable();
        ready
    }

    fn running_priority(&self, vcpu: usize) -> u8 {
        self.running[vcpu].last().map_or(u8::MAX, |running| running.0)
    }

    fn acknowledge(&mut self, vcpu: usize, which: usize, sender: u8) {
        let is_banked = self.version == Version::V2 && INTIDS[which] < 16;
        let irq = self.at(vcpu, which);
        if is_banked {
            assert_ne!(irq.senders >> sender & 1, 0, "{sender} has not sent it");
            irq.senders &= !(1 << sender);
        }
        irq.latch = false;
        irq.active = Some((vcpu, sender));
        irq.hw_active = std::mem::take(&mut irq.hw_latch);
        let priority = irq.priority;
        self.running[vcpu].push((priority, which, sender));
    }

    fn end(&mut self, vcpu: usize) {
        let Some((_, which, sender)) = self.running[vcpu].pop() else { return };
        if self.at(vcpu, which).active == Some((vcpu, sender)) {
            self.deactivate(vcpu, which);
        }
    }

    fn deactivate(&mut self, vcpu: usize, which: usize) {
        let irq = self.at(vcpu, which);
        irq.active = None;
        if std::mem::take(&mut irq.hw_active) {
            self.is_physical_active[vcpu] = false;
        }
    }

    fn unpend(&mut self, vcpu: usize, which: usize) {
        let irq = self.at(vcpu, which);
        irq.latch = false;
        if std::mem::take(&mut irq.hw_latch) {
            self.is_physical_active[vcpu] = false;
        }
    }
}

/// What happens; `which` is a place in `INTIDS`.
#[derive(Clone, Copy, Debug)]
enum Op {
    Line { vcpu: usize, which: usize, level: bool },
    Enable { by: usize, vcpu: usize, which: usize, on: bool },
    Pend { by: usize, vcpu: usize, which: usize, on: bool },
    Deactivate { by: usize, vcpu: usize, which: usize },
    Priority { by: usize, vcpu: usize, which: usize, priority: u8 },
    Edge { by: usize, vcpu: usize, which: usize },
    Group { by: usize, vcpu: usize, which: usize, group1: bool },
    Groups { by: usize, groups: u8 },
    Route { by: usize, which: usize, target: usize },
    Send { from: usize, targets: u32, which: usize },
    Fire { vcpu: usize },
    Take { vcpu: usize },
    End { vcpu: usize },
    Handle { vcpu: usize },
    Migrate { vcpu: usize },
    Fold { vcpu: usize },
    Look { vcpu: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let vcpu = || 0..VCPUS;
    let which = || 0..INTIDS.len();
    let any = proptest::bool::ANY;
    prop_oneof![
        8 => (vcpu(), which(), any).prop_map(|(vcpu, which, level)| Op::Line { vcpu, which, level }),
        3 => (vcpu(), vcpu(), which(), proptest::bool::weighted(0.6))
            .prop_map(|(by, vcpu, which, on)| Op::Enable { by, vcpu, which, on }),
        3 => (vcpu(), vcpu(), which(), any)
            .prop_map(|(by, vcpu, which, on)| Op::Pend { by, vcpu, which, on }),
        1 => (vcpu(), vcpu(), which()).prop_map(|(by, vcpu, which)| Op::Deactivate { by, vcpu, which }),
        2 => (vcpu(), vcpu(), which(), 0..30_u8).prop_map(|(by, vcpu, which, priority)| {
            Op::Priority { by, vcpu, which, priority: priority * 8 }
        }),
        2 => (vcpu(), vcpu(), which()).prop_map(|(by, vcpu, which)| Op::Edge { by, vcpu, which }),
        1 => (vcpu(), vcpu(), which(), any)
            .prop_map(|(by, vcpu, which, group1)| Op::Group { by, vcpu, which, group1 }),
        1 => (vcpu(), 0..8_u8).prop_map(|(by, groups)| Op::Groups { by, groups: groups.min(3) }),
        2 => (vcpu(), which(), vcpu()).prop_map(|(by, which, target)| Op::Route { by, which, target }),
        6 => (vcpu(), 0..8_u32, which()).prop_map(|(from, targets, which)| {
            Op::Send { from, targets, which: which % 4 }
        }),
        3 => vcpu().prop_map(|vcpu| Op::Fire { vcpu }),
        8 => vcpu().prop_map(|vcpu| Op::Take { vcpu }),
        8 => vcpu().prop_map(|vcpu| Op::End { vcpu }),
        2 => vcpu().prop_map(|vcpu| Op::Handle { vcpu }),
        2 => vcpu().prop_map(|vcpu| Op::Migrate { vcpu }),
        1 => vcpu().prop_map(|vcpu| Op::Fold { vcpu }),
        2 => vcpu().prop_map(|vcpu| Op::Look { vcpu }),
    ]
}

/// Both, side by side.
struct Pair {
    machine: Machine,
    model: Model,
    list_registers: usize,
    is_physical_active: [bool; VCPUS],
}

impl Pair {
    fn new(version: Version, list_registers: usize) -> Self {
        Self {
            machine: Machine::ready(version, VCPUS, list_registers),
            model: Model::new(version),
            list_registers,
            is_physical_active: [false; VCPUS],
        }
    }

    /// Who writes a register of `vcpu`: on GICv2 only itself can.
    fn writer(&self, by: usize, vcpu: usize, which: usize) -> usize {
        if self.model.version == Version::V2 && INTIDS[which] < 32 { vcpu } else { by }
    }

    /// Writes a bit of a register of bits.
    fn write(&mut self, by: usize, vcpu: usize, which: usize, base: u64) {
        let intid = INTIDS[which];
        let by = self.writer(by, vcpu, which);
        let (frame, offset) =
            self.machine.place(vcpu, intid / 32, base + u64::from(intid / 32 * 4));
        let value = 1 << (intid % 32);
        self.machine.access(by, frame, offset, hv_core::guest::Width::B4, value);
    }

    fn apply(&mut self, op: Op) {
        let is_v2 = self.model.version == Version::V2;
        match op {
            Op::Line { vcpu, which, level } => {
                let intid = INTIDS[which];
                if intid < 16 || intid == TIMER {
                    return;
                }
                let irq = self.model.at(vcpu, which);
                irq.latch |= level && !irq.line && irq.edge;
                irq.line = level;
                if intid < 32 {
                    self.machine.vgic.set_private_level(vcpu, intid, Level::from(level));
                } else {
                    self.machine.line(intid, Level::from(level));
                }
            }
            Op::Enable { by, vcpu, which, on } => {
                if !is_v2 || INTIDS[which] >= 16 {
                    self.model.at(vcpu, which).enabled = on;
                }
                self.write(by, vcpu, which, if on { 0x100 } else { 0x180 });
            }
            Op::Pend { by, vcpu, which, on } => {
                if !is_v2 || INTIDS[which] >= 16 {
                    if on {
                        self.model.at(vcpu, which).latch = true;
                    } else {
                        self.model.unpend(vcpu, which);
                    }
                }
                self.write(by, vcpu, which, if on { 0x200 } else { 0x280 });
            }
            Op::Deactivate { by, vcpu, which } => {
                self.model.deactivate(vcpu, which);
                self.write(by, vcpu, which, 0x380);
            }
            Op::Priority { by, vcpu, which, priority } => {
                self.model.at(vcpu, which).priority = priority;
                let by = self.writer(by, vcpu, which);
                let intid = INTIDS[which];
                let (frame, offset) =
                    self.machine.place(vcpu, intid / 32, 0x400 + u64::from(intid));
                let width = hv_core::guest::Width::B1;
                self.machine.access(by, frame, offset, width, u64::from(priority));
            }
            Op::Edge { by, vcpu, which } => {
                let by = if INTIDS[which] < 32 { vcpu } else { by };
                self.model.at(vcpu, which).edge = true;
                self.machine.set_edge(by, INTIDS[which]);
            }
            Op::Group { by, vcpu, which, group1 } => {
                self.model.at(vcpu, which).group1 = group1;
                let intid = INTIDS[which];
                let by = self.writer(by, vcpu, which);
                let base = 0x080 + u64::from(intid / 32 * 4);
                let (frame, offset) = self.machine.place(vcpu, intid / 32, base);
                let width = hv_core::guest::Width::B4;
                let old = self.machine.read(by, frame, offset, width);
                let mask = 1 << (intid % 32);
                let new = if group1 { old | mask } else { old & !mask };
                self.machine.access(by, frame, offset, width, new);
            }
            Op::Groups { by, groups } => {
                self.model.groups = groups;
                self.machine.write(by, 0, u32::from(groups));
            }
            Op::Route { by, which, target } => {
                if INTIDS[which] >= 32 {
                    self.model.at(0, which).target = target;
                    self.machine.route(by, INTIDS[which], target);
                }
            }
            Op::Send { from, targets, which } => {
                for to in (0..VCPUS).filter(|to| targets >> to & 1 != 0) {
                    let irq = self.model.at(to, which);
                    if is_v2 {
                        irq.senders |= 1 << from;
                    } else {
                        irq.latch = true;
                    }
                }
                self.machine.send(from, targets, INTIDS[which]);
            }
            Op::Fire { vcpu } => self.fire(vcpu),
            Op::Take { vcpu } => {
                self.take(vcpu);
            }
            Op::End { vcpu } => self.end(vcpu),
            Op::Handle { vcpu } => self.handle(vcpu),
            Op::Migrate { vcpu } => {
                self.machine.migrate(vcpu);
                let has_ready = !self.model.ready(vcpu).is_empty();
                assert_eq!(self.machine.vgic.has_pending(vcpu, None), has_ready);
                self.collect();
                let state = self.machine.vgic.hw_state(vcpu, TIMER);
                let is_active = self.model.is_physical_active[vcpu];
                assert_eq!(state == HwState::PendingOrActive, is_active);
            }
            Op::Fold { vcpu } => {
                self.machine.vgic.fold(vcpu, &mut self.machine.cpus[vcpu]);
            }
            Op::Look { vcpu } => self.look(vcpu),
        }
        self.check();
    }

    fn fire(&mut self, vcpu: usize) {
        if std::mem::replace(&mut self.model.is_physical_active[vcpu], true) {
            return;
        }
        self.is_physical_active[vcpu] = true;
        let which = INTIDS.iter().position(|&intid| intid == TIMER).unwrap();
        let irq = self.model.at(vcpu, which);
        irq.latch = true;
        irq.hw_latch = true;
        self.machine.enter(vcpu);
        self.machine.vgic.inject_hw(vcpu, TIMER, TIMER, &mut self.machine.cpus[vcpu]);
    }

    /// Lets the guest acknowledge, unless it has nested as deep as there are list registers.
    fn take(&mut self, vcpu: usize) -> bool {
        if self.model.running[vcpu].len() >= self.list_registers {
            return false;
        }
        let limit = self.model.running_priority(vcpu);
        let ready = self.model.ready(vcpu);
        let taken = self.machine.acknowledge_from(vcpu);
        let Some((intid, sender)) = taken else {
            assert!(ready.iter().all(|ready| ready.0 >= limit), "lost: {ready:?}");
            return false;
        };
        let found = ready.iter().find(|ready| ready.1 == intid);
        let Some(&(priority, _, which)) = found else {
            panic!("{intid} is not pending: {ready:?}")
        };
        if self.list_registers > 1 {
            assert_eq!(ready.first().map(|first| first.1), Some(intid), "out of order: {ready:?}");
        }
        assert!(priority < limit);
        self.model.acknowledge(vcpu, which, sender);
        true
    }

    fn end(&mut self, vcpu: usize) {
        self.machine.end(vcpu);
        self.model.end(vcpu);
    }

    /// Handles all that is ready now; a line that stays high would never end.
    fn handle(&mut self, vcpu: usize) {
        for _ in 0..INTIDS.len() {
            if !self.take(vcpu) {
                return;
            }
            self.end(vcpu);
        }
    }

    /// The vCPU reads what is pending and active. That of others is only known once they fold.
    fn look(&mut self, vcpu: usize) {
        for other in 0..VCPUS {
            self.machine.enter(other);
            self.machine.vgic.fold(other, &mut self.machine.cpus[other]);
        }
        for bank in 0..4 {
            let pending = self.machine.read_bits(vcpu, bank, 0x200);
            let active = self.machine.read_bits(vcpu, bank, 0x300);
            for (which, intid) in INTIDS.into_iter().enumerate().filter(|(_, i)| i / 32 == bank) {
                let irq = *self.model.at(vcpu, which);
                assert_eq!(pending >> (intid % 32) & 1 != 0, irq.is_pending(), "{intid}");
                assert_eq!(active >> (intid % 32) & 1 != 0, irq.active.is_some(), "{intid}");
            }
        }
    }

    /// Physical interrupts that were deactivated.
    fn collect(&mut self) {
        for vcpu in 0..VCPUS {
            for physical in self.machine.deactivated(vcpu) {
                assert_eq!(physical, TIMER);
                assert!(self.is_physical_active[vcpu], "deactivated twice");
                self.is_physical_active[vcpu] = false;
            }
        }
    }

    fn check(&mut self) {
        for vcpu in 0..VCPUS {
            self.machine.enter(vcpu);
        }
        self.collect();
        assert_eq!(self.is_physical_active, self.model.is_physical_active);
        for vcpu in 0..VCPUS {
            let has_ready = !self.model.ready(vcpu).is_empty();
            assert_eq!(self.machine.has_pending(vcpu), has_ready, "vCPU {vcpu}");
        }
    }

    /// In the end all lines fall, all is handled, and nothing is left.
    fn drain(&mut self) {
        for vcpu in 0..VCPUS {
            for which in 0..INTIDS.len() {
                self.apply(Op::Line { vcpu, which, level: false });
            }
            while !self.model.running[vcpu].is_empty() {
                self.end(vcpu);
            }
        }
        for vcpu in 0..VCPUS {
            self.handle(vcpu);
            if self.list_registers > 1 {
                assert_eq!(self.model.ready(vcpu), []);
            }
        }
        self.check();
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_guest_is_given_what_the_model_says(
        is_v2: bool,
        list_registers in prop_oneof![Just(1_usize), Just(2), Just(4), Just(16)],
        ops in proptest::collection::vec(op(), 1..250),
    ) {
        let version = if is_v2 { Version::V2 } else { Version::V3 };
        let mut pair = Pair::new(version, list_registers);
        for op in ops {
            pair.apply(op);
        }
        pair.drain();
    }
}
