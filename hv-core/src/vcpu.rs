//! The one seam between policy and hardware: a CPU that runs a guest until it exits.

use crate::exit::Exit;
use alloc::vec::Vec;

/// Name and value of registers, for the operator.
pub type RegisterDump = Vec<(&'static str, u64)>;

/// A guest CPU. `arch::Vcpu` is the real one; tests script their own.
pub trait GuestCpu: Send {
    /// Exits that only this architecture has.
    type ArchExit;
    /// Runs the guest until it exits. The CPU must be loaded.
    fn run(&mut self) -> Exit<Self::ArchExit>;
    /// Completes the device read that the last exit asked for, and steps past the instruction.
    fn finish_read(&mut self, value: u64);
    /// Steps past the instruction that caused the last exit.
    fn finish(&mut self);
    /// Fails the device access that the last exit asked for, as a bus without a device there does.
    fn fail_access(&mut self);
    /// The address of the instruction that it is at.
    fn pc(&self) -> u64;
}
