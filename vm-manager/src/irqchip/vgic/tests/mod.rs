//! Tests that drive the virtual GIC as guests do, on list registers that behave as hardware does.

mod levels;
mod linux_v2;
mod linux_v3;
mod machine;
mod model;
mod overflow;
mod registers;
mod sgis;
mod threads;
mod timers;
