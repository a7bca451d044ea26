//! Interrupt controllers of guests: pure state machines, over a client trait that wakes vCPUs.
//!
//! Nothing here touches hardware: the list registers of the CPU come in through
//! [`hv_core::arch::aarch64::list_register::ListRegisters`], so all of it is tested on any host.

pub mod apic_message;
pub mod ioapic;
pub mod lapic;
pub mod pic8259;
pub mod vgic;
