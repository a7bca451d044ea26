//! What a machine must be able to do for the exit loop: the seam between what all guests' machines share and one kind of
//! machine ([`crate::personality`]).

use crate::bus::Reply;
use crate::config::VmConfig;
use crate::error::Error;
use crate::load::{Loader, Request};
use crate::platform::Platform;
use crate::plug::{Activity, Placed, Plug};
use crate::run::Stop;
use crate::sink::ConsoleSink;
use crate::slot::{Core, Start, VcpuSlot};
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::time::Duration;
use hv_core::exit::Access;
use hv_core::guest::Level;
use hv_core::machine::{HostEvent, Range};
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

/// What a board is made of.
pub struct Parts<'a, P: Platform> {
    /// The VM's configuration.
    pub config: &'a VmConfig,
    /// Its vCPUs.
    pub slots: &'a [Arc<VcpuSlot<P>>],
    /// Where its serial port sends to.
    pub sink: Arc<ConsoleSink>,
    /// Seconds since 1970 when the machine's clock read zero.
    pub epoch: Duration,
    /// What is plugged into it: each has the slot of its place in the list.
    pub plugs: Vec<Box<dyn Plug>>,
}

/// A device, for listings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceInfo {
    /// What it is.
    pub name: &'static str,
    /// Its first address.
    pub address: u64,
    /// Bytes of registers.
    pub bytes: u64,
    /// The number of its interrupt at the guest's controller.
    pub interrupt: Option<u32>,
    /// What it has done, if it was plugged in.
    pub activity: Option<Activity>,
}

/// The machine that a guest sees around its CPUs and RAM.
pub trait Board<P: Platform<Board = Self>>: Send + Sync + Sized {
    /// What a vCPU has to itself, beside its registers.
    type Private: Send;
    /// What [`Self::exit_index`] counts, by index.
    const EXIT_NAMES: &'static [&'static str];

    /// Builds the machine.
    ///
    /// # Errors
    ///
    /// Says which part of the configuration this machine cannot be.
    fn new(parts: Parts<'_, P>, ram: &mut P::Ram) -> Result<Self, String>;
    /// The vCPU of `slot`, off; `None` if there is not enough memory for it.
    fn new_core(&self, slot: &VcpuSlot<P>, ram: &P::Ram) -> Option<(P::Cpu, Self::Private)>;
    /// Where a guest with so much memory has its RAM: in ascending order.
    fn ram(memory_bytes: u64) -> Vec<Range>;
    /// Whether what is asked for can be loaded.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, or does not fit.
    fn check(config: &VmConfig, request: &Request) -> Result<(), Error>;
    /// What is to be loaded, the description of the machine (a device tree, ACPI tables) included, and how the guest starts
    /// then.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    fn prepare(
        &self,
        config: &VmConfig,
        request: &Request,
        seed: [u64; 4],
    ) -> Result<(Loader, Start<P>), Error>;
    /// Returns all devices to the state after power-on. No vCPU is loaded.
    fn reset(&self);
    /// The power key.
    fn set_power_key(&self, level: Level);
    /// Types on the serial port; returns how many bytes it took.
    fn type_in(&self, bytes: &[u8]) -> usize;
    /// Its devices.
    fn devices(&self) -> Vec<DeviceInfo>;
    /// What was plugged into it.
    fn plugged(&self) -> &[Placed];
    /// Its interrupt controller, such as `GICv3`.
    fn interrupt_controller(&self) -> &'static str;

    /// The vCPU was just reset, so what the board keeps for it is, too. It is not loaded.
    fn restarted(&self, core: &mut Core<P>);
    /// The vCPU was just loaded.
    fn loaded(&self, core: &mut Core<P>);
    /// The vCPU is about to be put.
    fn unloading(&self, core: &mut Core<P>);
    /// The vCPU's attention was asked for: brings pending interrupts to it. It may turn out that it must stop, or that one of
    /// its timers is due sooner than it was.
    fn attend(&self, core: &mut Core<P>) -> ControlFlow<Stop>;
    /// The vCPU waits for an interrupt: whether one is there already, so that it must not sleep. It is loaded.
    fn has_pending(&self, core: &mut Core<P>) -> bool;
    /// Whether it sleeps on, though its CPU is about to run it: nothing was asked of it since it went to sleep. Where an
    /// interrupt may wake a CPU for nothing, it does not matter.
    fn must_sleep(&self, _core: &mut Core<P>) -> bool {
        false
    }
    /// An interrupt of the host that is for the loaded vCPU.
    fn host_event(&self, event: HostEvent, core: &mut Core<P>);
    /// An access to a device.
    fn access(&self, access: Access, core: &mut Core<P>, platform: &P) -> Reply;
    /// An exit that only this architecture has.
    fn handle(
        &self,
        exit: &<P::Cpu as GuestCpu>::ArchExit,
        core: &mut Core<P>,
        vm: &Vm<P>,
    ) -> ControlFlow<Stop>;
    /// Which of [`Self::EXIT_NAMES`] an exit counts as.
    fn exit_index(exit: &<P::Cpu as GuestCpu>::ArchExit) -> usize;
    /// When the loaded vCPU's emulated timers want [`Self::tick`].
    fn deadline(&self, core: &Core<P>) -> Instant;
    /// The loaded vCPU's emulated timers look at the time.
    fn tick(&self, core: &mut Core<P>);
    /// When a vCPU that was put must be woken for one of its timers.
    fn wake_time(&self, core: &Core<P>) -> Instant;
}
