//! Register maps of the devices that guests see: state machines without clock, lock or I/O.

pub mod acpi_pm;
pub mod cmos_rtc;
pub mod frequency;
pub(crate) mod isa;
pub mod pit8254;
pub mod pl011;
pub mod pl031;
pub mod pl061;
pub mod power;
mod primecell;
mod receive_fifo;
pub mod reset_port;
pub mod serial;
pub mod uart16550;
pub(crate) mod wire;
