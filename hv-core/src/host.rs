//! What the composition root may ask of the CPU that runs it, and of the others.

use crate::arch::current as arch;
use crate::machine::{End, HostEvent};
use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;

/// Now.
#[inline]
#[must_use]
pub fn now() -> Instant {
    arch::now()
}

/// The number of this CPU.
#[inline]
#[must_use]
pub fn cpu_index() -> usize {
    arch::cpu_index()
}

/// What CPU `index` calls itself, and its number in the hardware: affinity fields, or an APIC identifier.
#[must_use]
pub fn cpu_description(index: usize) -> (String, u64) {
    arch::cpu_description(index)
}

/// Takes CPU `index` out of its guest or its sleep.
pub fn kick(index: usize) {
    arch::kick(index);
}

/// Sleeps until an interrupt waits for this CPU.
#[inline]
pub fn sleep() {
    arch::sleep();
}

/// Tells the CPU that another one is waited for.
#[inline]
pub fn pause() {
    arch::pause();
}

/// Raises [`HostEvent::Timer`] at `deadline` on this CPU, once, or never.
#[inline]
pub fn set_timer(deadline: Instant) {
    arch::set_timer(deadline);
}

/// The next interrupt that waits for this CPU, taken.
#[inline]
#[must_use]
pub fn next_event() -> Option<HostEvent> {
    arch::next_event()
}

/// Starts all other CPUs, each of which then runs `main` with its number. Returns how many run, and a note for
/// each that does not.
#[must_use]
pub fn start_cpus(main: fn(usize) -> !) -> (usize, Vec<String>) {
    arch::start_cpus(main)
}

/// Ends the machine; returns only if it cannot be ended so.
pub fn end(end: End) {
    arch::end(end);
}

/// Deactivates the interrupt of [`HostEvent::GuestTimer`] on this CPU.
pub fn deactivate_guest_timer() {
    arch::deactivate_guest_timer();
}

/// What the host's interrupt controller is called.
#[must_use]
pub fn interrupt_controller() -> &'static str {
    arch::interrupt_controller()
}

/// The architecture and how it is virtualized, such as `AArch64 EL2`.
#[must_use]
pub fn architecture() -> &'static str {
    arch::architecture()
}

/// A random number from the hardware, if this CPU has a source and that has one now.
#[must_use]
pub fn random() -> Option<u64> {
    arch::random()
}

/// Why no guest can run on this machine, if none can.
#[must_use]
pub fn why_no_guests() -> Option<String> {
    arch::why_no_guests()
}
