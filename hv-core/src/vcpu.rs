//! The one seam between policy and hardware: a CPU that runs a guest until it exits.

use crate::exit::Exit;
use crate::guest::GuestPhysAddr;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Name and value of registers, for the operator.
pub type RegisterDump = Vec<(&'static str, u64)>;

/// A guest CPU. `arch::Vcpu` is the real one; tests script their own.
pub trait GuestCpu: Send {
    /// Exits that only this architecture has.
    type ArchExit;
    /// The state in which it can start.
    type Start: Copy + Send;
    /// Goes to the state after a reset, about to start so. It is not loaded.
    fn reset(&mut self, start: Self::Start);
    /// Puts its state into the CPU that runs this code; guest time is `behind` the host's.
    fn load(&mut self, behind: Duration);
    /// Takes its state out of the CPU again.
    fn put(&mut self);
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
    /// Name and value of every register, for a crash record. It is loaded.
    fn dump(&mut self) -> RegisterDump;
    /// Its last exits, the oldest first, in words.
    fn last_exits(&self) -> Vec<String>;
    /// The guest physical address of that instruction, if the guest maps it. It is loaded.
    fn instruction_address(&self) -> Option<GuestPhysAddr>;
}
