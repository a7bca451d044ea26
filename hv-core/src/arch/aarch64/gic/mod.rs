//! The interrupt controller of the host, and the list registers that it gives to guests.
//!
//! Interrupts stay masked in EL2: they take a running guest out, or wake a sleeping CPU, and are
//! acknowledged by polling. `EOImode` is 1: ending an interrupt drops its priority, and deactivating
//! it is a second step, which the guest's own EOI does for its virtual timer.

mod v2;
mod v3;

use super::discovery::{GicNode, Interrupt};
use super::list_register::{ListRegister, ListRegisters, Underflow};
use super::percpu;
use spin::Once;

/// The interrupt by which CPUs take each other out of a guest or of sleep.
pub(super) const KICK_SGI: u32 = 0;
/// The priority of all interrupts of the host; lower than 0xf0, the mask.
const HOST_PRIORITY: u8 = 0x80;
/// INTIDs from here on are special: nothing is pending.
const FIRST_SPECIAL: u32 = 1020;

/// The one controller of the machine.
#[derive(Debug)]
pub(super) enum Gic {
    V2(v2::Gic),
    V3(v3::Gic),
}

static GIC: Once<Gic> = Once::new();

/// The host's controller. Only [`init`] runs before it exists.
pub(super) fn get() -> Option<&'static Gic> {
    GIC.get()
}

/// Why the controller cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum GicError {
    /// No redistributor says that it is this CPU's.
    NoRedistributor,
    /// The CPU has no virtual interface: no list registers.
    NoVirtualInterface,
}

impl core::fmt::Display for GicError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoRedistributor => "the GIC has no redistributor for this CPU",
            Self::NoVirtualInterface => "the GIC has no virtual CPU interface",
        })
    }
}

/// Sets the distributor up, with every shared interrupt off.
pub(super) fn init(node: &GicNode) {
    GIC.call_once(|| match node {
        GicNode::V2(node) => Gic::V2(v2::Gic::new(node)),
        GicNode::V3(node) => Gic::V3(v3::Gic::new(node)),
    });
}

/// Sets this CPU's interface up and enables the private interrupts `private`.
pub(super) fn init_cpu(private: &[Interrupt]) -> Result<CpuInterface, GicError> {
    match get() {
        Some(Gic::V2(gic)) => gic.init_cpu(private),
        Some(Gic::V3(gic)) => gic.init_cpu(private),
        None => Err(GicError::NoRedistributor),
    }
}

/// What a CPU must know of its own interface.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuInterface {
    /// GICv3: the physical address of the redistributor's two frames. GICv2: unused.
    pub(super) redistributor: u64,
    /// GICv2: the bit of this CPU's interface in target masks. GICv3: unused.
    pub(super) target: u8,
    /// How many list registers there are.
    pub(super) list_registers: usize,
    /// How many active-priority registers each group has, 1 to 4.
    pub(super) priority_registers: usize,
}

macro_rules! either {
    ($self:expr, $gic:ident => $call:expr) => {
        match $self {
            Gic::V2($gic) => $call,
            Gic::V3($gic) => $call,
        }
    };
}

impl Gic {
    /// Acknowledges the most urgent pending interrupt, if there is one.
    #[inline]
    pub(super) fn acknowledge(&self) -> Option<u32> {
        let intid = either!(self, gic => gic.acknowledge());
        (intid & 0x3ff < FIRST_SPECIAL).then_some(intid)
    }

    /// Drops the priority of an acknowledged interrupt, which stays active.
    #[inline]
    pub(super) fn drop_priority(&self, acknowledged: u32) {
        either!(self, gic => gic.drop_priority(acknowledged));
    }

    /// Deactivates an interrupt.
    #[inline]
    pub(super) fn deactivate(&self, acknowledged: u32) {
        either!(self, gic => gic.deactivate(acknowledged));
    }

    /// Makes this CPU's private interrupt `intid` active or inactive.
    pub(super) fn set_private_active(&self, intid: u32, activity: Activity) {
        either!(self, gic => gic.set_private_active(intid, activity));
    }

    /// Routes the shared interrupt `interrupt` to this CPU and enables it.
    pub(super) fn enable_shared(&self, interrupt: Interrupt) {
        either!(self, gic => gic.enable_shared(interrupt));
    }

    /// Sends the kick interrupt to CPU `target`.
    pub(super) fn kick(&self, target: &percpu::PerCpu) {
        either!(self, gic => gic.kick(target));
    }

    /// Lets the guest's virtual interface run or not.
    pub(super) fn set_virtual_interface(&self, power: Power) {
        either!(self, gic => gic.set_virtual_interface(power));
    }

    /// Saves the virtual interface of a vCPU whose list registers are empty.
    pub(super) fn save(&self, state: &mut VirtualInterface) {
        either!(self, gic => gic.save(state));
    }

    /// Loads the virtual interface of a vCPU; its list registers stay empty.
    pub(super) fn restore(&self, state: &VirtualInterface) {
        either!(self, gic => gic.restore(state));
    }
}

/// Whether an interrupt is active.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Activity {
    Active,
    Inactive,
}

/// Whether a thing runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Power {
    On,
    Off,
}

/// What a vCPU's virtual interface holds besides list registers: control and mask (`VMCR`), and the
/// active priorities of both groups.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VirtualInterface {
    control: u64,
    active_priorities: [[u64; 4]; 2],
}

/// The list registers of the CPU that runs this code. A token: whoever holds it has a vCPU loaded.
#[derive(Debug)]
pub struct HostListRegisters {
    count: usize,
    gic: Option<&'static Gic>,
}

impl HostListRegisters {
    /// Of a vCPU that is loaded nowhere: none.
    pub(super) const NONE: Self = Self { count: 0, gic: None };

    /// Those of this CPU, of which there are `count`.
    pub(super) fn of_this_cpu(count: usize) -> Self {
        // The seam counts them in a mask of 64 bits.
        Self { count: count.min(63), gic: get() }
    }
}

impl ListRegisters for HostListRegisters {
    #[inline(always)]
    fn count(&self) -> usize {
        self.count
    }

    #[inline(always)]
    fn empty(&self) -> u64 {
        let mask = (1 << (self.count & 63)) - 1;
        self.gic.map_or(0, |gic| either!(gic, gic => gic.empty_list_registers())) & mask
    }

    #[inline]
    fn get(&self, index: usize) -> Option<ListRegister> {
        if index >= self.count {
            return None;
        }
        match self.gic? {
            Gic::V2(gic) => ListRegister::decode_v2(gic.list_register(index)),
            Gic::V3(gic) => ListRegister::decode_v3(gic.list_register(index)),
        }
    }

    #[inline(always)]
    fn set(&mut self, index: usize, content: Option<ListRegister>) {
        if index >= self.count {
            return;
        }
        match self.gic {
            Some(Gic::V2(gic)) => {
                gic.set_list_register(index, content.map_or(0, ListRegister::encode_v2));
            }
            Some(Gic::V3(gic)) => {
                gic.set_list_register(index, content.map_or(0, ListRegister::encode_v3));
            }
            None => {}
        }
    }

    #[inline]
    fn set_underflow(&mut self, underflow: Underflow) {
        if let Some(gic) = self.gic {
            either!(gic, gic => gic.set_underflow(underflow));
        }
    }
}
