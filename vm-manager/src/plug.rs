//! Devices that the composition root plugs into a VM: this crate knows their windows and wires, and nothing else of them.
//!
//! ```text
//!   Platform::plugs ──Plug──► Board::new: a slot of the machine ──Socket──► Plug::build ──Plugged──► bus, Placed
//!                                                                                                        │
//!   the vCPU that runs ◄──attention── Recall ◄──ring── device: "call me again"      Handle::go_on ◄──────┘
//! ```
//!
//! What a device has left to do is done by its own VM's vCPUs, in their time, a bounded piece each time that they leave the
//! guest. So a guest that floods a device has nobody but itself to wait for it.

pub mod disk;

use crate::board::DeviceInfo;
use crate::bus::SharedDevice;
use crate::config::VmConfig;
use crate::load::Images;
use crate::platform::Platform;
use crate::sink::{Bell, ConsoleSink};
use crate::slot::{ATTENTION, VcpuSlot};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use disk::DiskSlot;
use hv_core::guest::{GuestMemory, IrqLine, Lender};

/// What the maker of devices has to know.
pub struct Order<'a> {
    /// The VM's configuration.
    pub config: &'a VmConfig,
    /// Where images are found.
    pub images: &'a dyn Images,
    /// The console that is shown.
    pub sink: &'a Arc<ConsoleSink>,
    /// Rung by a device that wants [`Handle::go_on`]. It may be rung with the device locked.
    pub bell: Arc<dyn Bell>,
    /// Rung by a device that has something for the manager, likewise.
    pub manager: Arc<dyn Bell>,
}

/// A device that is about to get its place.
pub trait Plug: Send {
    /// What listings call it.
    fn name(&self) -> &'static str;
    /// Makes the device.
    ///
    /// # Errors
    ///
    /// Says what is missing.
    fn build(self: Box<Self>, socket: Socket) -> Result<Plugged, String>;
}

/// What a device is connected to.
pub struct Socket {
    /// The guest's RAM.
    pub memory: Arc<dyn GuestMemory + Send + Sync>,
    /// What pages of it are lent to, if they can be.
    pub lender: Option<Arc<dyn Lender>>,
    /// Its interrupt.
    pub line: Arc<dyn IrqLine>,
}

/// A device that was made.
pub struct Plugged {
    /// Its registers. The machine resets them with everything else.
    pub device: SharedDevice,
    /// What else its machine and the manager do with it.
    pub handle: Arc<dyn Handle>,
}

/// Whether a device wants to be called again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Again {
    /// It has nothing left to do.
    No,
    /// It stopped early, so that others have their turn.
    Yes,
}

/// A device beside its registers.
pub trait Handle: Send + Sync {
    /// A bounded piece of what it has left to do, after it rang.
    fn go_on(&self) -> Again;

    /// Types on it; how many bytes it took. `None` if it is no console.
    fn type_in(&self, bytes: &[u8]) -> Option<usize> {
        let _ = bytes;
        None
    }

    /// Whoever types on it has a terminal with so many characters in a line, and lines.
    fn resize(&self, columns: u16, rows: u16) {
        let _ = (columns, rows);
    }

    /// What it lends, if it is a balloon.
    fn balloon(&self) -> Option<&dyn Balloon> {
        None
    }

    /// Its machine starts anew: what was meant for the old guest is forgotten.
    fn reset(&self) {}

    /// The slot for disks that it is, if it is one.
    fn disk(&self) -> Option<Arc<dyn DiskSlot>> {
        None
    }

    /// What it has done.
    fn activity(&self) -> Activity;
}

/// A guest's balloon, as the manager sees it.
pub trait Balloon {
    /// Wants the guest to lend so many bytes in all.
    fn set_target(&self, bytes: u64);
    /// How it gets along. It asks the guest for statistics, which come some time later.
    fn state(&self) -> BalloonState;
    /// Whether it waits for pages that there is no memory for.
    fn waits_for_memory(&self) -> bool;
    /// Tries again what had to wait for memory.
    fn retry(&self);
}

/// How a balloon gets along.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BalloonState {
    /// Bytes that the guest shall lend.
    pub target_bytes: u64,
    /// Bytes that it says it lends. It may say anything.
    pub claimed_bytes: u64,
    /// What it said last of its memory, in its own numbers: bytes, and page faults.
    pub statistics: Vec<(&'static str, u64)>,
}

/// What a device has done since its machine was made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Activity {
    /// How often its driver notified it.
    pub notifications: u64,
    /// How often it interrupted its driver.
    pub interrupts: u64,
    /// What its driver did wrong, and how often.
    pub faults: Vec<(&'static str, u32)>,
}

/// A device at its place.
pub struct Placed {
    /// What listings call it.
    pub name: &'static str,
    /// Its first address.
    pub address: u64,
    /// Bytes of registers.
    pub bytes: u64,
    /// The number of its interrupt at the guest's controller.
    pub interrupt: u32,
    /// The device.
    pub handle: Arc<dyn Handle>,
}

impl Placed {
    /// For listings.
    #[must_use]
    pub fn info(&self) -> DeviceInfo {
        DeviceInfo {
            name: self.name,
            address: self.address,
            bytes: self.bytes,
            interrupt: Some(self.interrupt),
            activity: Some(self.handle.activity()),
        }
    }
}

/// A VM's list of who wants to be called again.
pub(crate) struct Recall<P: Platform> {
    slots: Vec<Arc<VcpuSlot<P>>>,
    is_wanted: AtomicBool,
}

impl<P: Platform> Recall<P> {
    pub(crate) fn new(slots: &[Arc<VcpuSlot<P>>]) -> Arc<Self> {
        Arc::new(Self { slots: slots.to_vec(), is_wanted: AtomicBool::new(false) })
    }

    /// The vCPU of `slot` is about to run here: first it does a piece of what is left to do.
    #[inline]
    pub(crate) fn serve(&self, slot: &VcpuSlot<P>, placed: &[Placed]) {
        // Relaxed: whoever rings asks for attention then, which is what is ordered.
        if self.is_wanted.load(Ordering::Relaxed) {
            self.go_on(slot, placed);
        }
    }

    #[cold]
    fn go_on(&self, slot: &VcpuSlot<P>, placed: &[Placed]) {
        // SeqCst, as the events of vCPUs: what rings from here on is served again.
        self.is_wanted.store(false, Ordering::SeqCst);
        let again = placed.iter().fold(Again::No, |again, placed| match placed.handle.go_on() {
            Again::Yes => Again::Yes,
            Again::No => again,
        });
        if again == Again::Yes {
            self.is_wanted.store(true, Ordering::SeqCst);
            slot.ask(ATTENTION);
            // The guest goes on in between, but not far.
            let platform = slot.shared().platform();
            platform.kick(platform.cpu_index());
        }
    }
}

impl<P: Platform> Bell for Recall<P> {
    fn ring(&self) {
        self.is_wanted.store(true, Ordering::SeqCst);
        let is_here = |slot: &&Arc<VcpuSlot<P>>| {
            slot.running_on() == Some(slot.shared().platform().cpu_index())
        };
        // Who accessed the device looks before it runs on. Otherwise it is one of those that run, or the first.
        let runs = |slot: &&Arc<VcpuSlot<P>>| slot.running_on().is_some();
        let slot = self.slots.iter().find(is_here).or_else(|| self.slots.iter().find(runs));
        if let Some(slot) = slot.or_else(|| self.slots.first()) {
            slot.attend();
        }
    }
}

/// Says that a machine has fewer places than are wanted.
pub(crate) fn check_room(plugs: &[Box<dyn Plug>], places: usize) -> Result<(), String> {
    let wanted = plugs.len();
    if wanted <= places {
        return Ok(());
    }
    Err(alloc::format!(
        "{wanted} virtio devices are wanted, and this machine has room for {places}"
    ))
}
