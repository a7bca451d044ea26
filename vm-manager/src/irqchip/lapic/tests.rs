//! The local APIC as its drivers see it.

mod machine;
mod messages;
mod model;
mod modes;
mod pins;
mod priorities;
mod timers;
