//! What belongs to one vCPU: its private interrupts, and the book on its list registers.

use super::bank::{Bank, Bit};
use super::{MAX_VCPUS, Version};
use core::sync::atomic::AtomicU32;
use hv_core::arch::aarch64::list_register::Underflow;
use hv_core::sync::{Mutex, MutexGuard};

/// As many list registers are used; GICv3 has no more (IHI 0069 12.4.9), GICv2 in theory 64.
pub(super) const MAX_LIST_REGISTERS: usize = 16;

/// The software-generated interrupts among the private ones.
pub(super) const SGIS: u32 = 0x0000_ffff;

/// One vCPU, as the whole VM sees it. A line of its own in every cache: others write `spi_work`.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct SharedCpu {
    /// The state. Lock order: before the shared interrupts; never two vCPUs' at once.
    state: Mutex<Cpu>,
    /// Where to look: the banks with shared interrupts that may want a list register, or whose
    /// state in one may have to change. Bit 0 means any other change that needs a whole exchange.
    /// Set after the change and before the client is notified, with Release; taken with Acquire by
    /// who then takes the lock of the shared interrupts: who sees the bit sees the change.
    pub(super) spi_work: AtomicU32,
}

impl SharedCpu {
    /// A vCPU after power-on.
    pub(super) fn new(version: Version) -> Self {
        Self { state: Mutex::new(Cpu::new(version)), spi_work: AtomicU32::new(0) }
    }

    /// Locks the state, to change it.
    #[inline]
    pub(super) fn change(&self) -> MutexGuard<'_, Cpu> {
        let mut cpu = self.state.lock();
        cpu.armed = 0;
        cpu
    }

    /// Locks the state, to look at it, or to change no more than [`Cpu::armed`] stands.
    #[inline]
    pub(super) fn peek(&self) -> MutexGuard<'_, Cpu> {
        self.state.lock()
    }
}

/// What is known of one list register in use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// The interrupt in it.
    pub(super) intid: u16,
    /// The vCPU that sent it: for SGIs of GICv2 only.
    pub(super) sender: Option<u8>,
    /// What the guest's deactivation means for a physical interrupt.
    pub(super) physical: Physical,
}

/// Whether a physical interrupt stands behind one in a list register, and who deactivates it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Physical {
    /// Nothing physical.
    #[default]
    None,
    /// The hardware does, when the guest deactivates the virtual one.
    Linked,
    /// The client does, after a maintenance interrupt: a linked one gives none, and here one is
    /// needed.
    Owed,
}

/// What only private interrupts have.
#[derive(Debug)]
pub(super) struct Private {
    /// GICv2: the senders from which each SGI is pending, one bit each. All zero on GICv3.
    pub(super) sources: [u8; 16],
    /// GICv2: the sender of each SGI that is active outside of list registers.
    pub(super) active_sender: [u8; 16],
    /// Latches behind which a physical interrupt stands.
    pub(super) hw_latch: u32,
    /// Active outside of list registers, and a physical interrupt stands behind it.
    pub(super) hw_active: u32,
    /// Those whose physical interrupts the guest has ended otherwise than through a list register:
    /// they are to be deactivated on the CPU that has the vCPU loaded.
    pub(super) released: u32,
    /// The physical interrupts.
    pub(super) physical: [u16; 32],
}

/// The state of one vCPU.
#[derive(Debug)]
pub(super) struct Cpu {
    /// Interrupts 0 to 31.
    pub(super) bank: Bank,
    /// What only these have.
    pub(super) private: Private,
    /// The list registers that are used, also those that the guest emptied meanwhile.
    pub(super) used: u32,
    /// Of these, those that hold shared interrupts.
    pub(super) used_by_spis: u32,
    /// Of these, those whose end gives a maintenance interrupt.
    pub(super) announced: u32,
    /// Of these, those that were pending and not active when last seen.
    pub(super) pending_only: u32,
    /// What each of these holds.
    pub(super) slots: [Slot; MAX_LIST_REGISTERS],
    /// Private interrupts that went straight into a list register, and whose state and list
    /// register nobody but the guest has touched since. If the guest has emptied that, the next one
    /// of the same kind needs nothing but the same content once more.
    pub(super) armed: u32,
    /// Where each resident private interrupt is.
    pub(super) slot_of: [u8; 32],
    /// What the hardware was last told.
    pub(super) underflow: Underflow,
    /// Whether interrupts were left waiting for want of list registers.
    pub(super) is_crowded: bool,
    /// GICv3: `GICR_WAKER.ProcessorSleep`. It gates nothing: a sleeping guest CPU is a blocked
    /// vCPU, which is woken by any interrupt.
    pub(super) is_asleep: bool,
}

impl Cpu {
    /// A vCPU after power-on, with empty list registers.
    pub(super) fn new(version: Version) -> Self {
        let group1 = match version {
            Version::V2 => 0,
            Version::V3 => u32::MAX,
        };
        let mut bank = Bank::new(u32::MAX, SGIS, group1);
        if version == Version::V2 {
            // SGIs cannot be disabled: IHI 0048 4.3.5 leaves that choice, GIC-400 made it so, and
            // guests rely on it.
            bank.enabled = SGIS;
        }
        Self {
            bank,
            private: Private {
                sources: [0; 16],
                active_sender: [0; 16],
                hw_latch: 0,
                hw_active: 0,
                released: 0,
                physical: [0; 32],
            },
            used: 0,
            armed: 0,
            used_by_spis: 0,
            pending_only: 0,
            announced: 0,
            slots: [Slot::default(); MAX_LIST_REGISTERS],
            slot_of: [0; 32],
            underflow: Underflow::Quiet,
            is_crowded: false,
            is_asleep: true,
        }
    }

    /// What list register `index` holds.
    pub(super) const fn slot(&self, index: usize) -> Slot {
        self.slots[index % MAX_LIST_REGISTERS]
    }

    /// The list register in which a resident private interrupt is.
    pub(super) const fn slot_of(&self, bit: Bit) -> usize {
        self.slot_of[bit.index()] as usize % MAX_LIST_REGISTERS
    }

    /// GICv2: the sender of the SGI that is pending in a list register, as far as known.
    pub(super) const fn listed_sender(&self, sgi: Bit) -> Option<u8> {
        if self.bank.lr_pending & sgi.mask() == 0 {
            return None;
        }
        self.slot(self.slot_of(sgi)).sender
    }

    /// GICv2: all senders from which the SGI is pending.
    pub(super) fn senders(&self, sgi: Bit) -> u8 {
        let listed = match self.listed_sender(sgi) {
            Some(sender) if self.bank.drop_pending & sgi.mask() == 0 => 1 << sender,
            Some(_) | None => 0,
        };
        listed | self.private.sources(sgi)
    }
}

impl Private {
    /// The guest takes back the pending state of `bits`: what stood behind it is released.
    pub(super) const fn release_pending(&mut self, bits: u32) {
        self.released |= self.hw_latch & bits;
        self.hw_latch &= !bits;
    }

    /// The guest ends the active state of `bits`: what stood behind it is released.
    pub(super) const fn release_active(&mut self, bits: u32) {
        self.released |= self.hw_active & bits;
        self.hw_active &= !bits;
    }

    /// The pending senders of one SGI.
    pub(super) fn sources(&self, bit: Bit) -> u8 {
        self.sources.get(bit.index()).copied().unwrap_or(0)
    }

    /// The first pending sender of one SGI.
    pub(super) fn first_sender(&self, bit: Bit) -> u8 {
        self.sources(bit).trailing_zeros() as u8 % MAX_VCPUS as u8
    }

    /// The sender of one SGI that is active outside of list registers.
    pub(super) fn active_sender(&self, bit: Bit) -> u8 {
        self.active_sender.get(bit.index()).copied().unwrap_or(0)
    }

    /// Makes one SGI pending from `source` (GICv2).
    pub(super) fn add_sources(&mut self, bit: Bit, sources: u8) {
        if let Some(pending) = self.sources.get_mut(bit.index()) {
            *pending |= sources;
        }
    }

    /// Takes back one SGI from `sources`, and returns those that are left.
    pub(super) fn remove_sources(&mut self, bit: Bit, sources: u8) -> u8 {
        self.sources.get_mut(bit.index()).map_or(0, |pending| {
            *pending &= !sources;
            *pending
        })
    }
}

const _: () = assert!(MAX_VCPUS <= 8, "GICv2 has eight CPU interfaces, and sources are a byte");
