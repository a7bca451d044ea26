//! The machine as its guests see it.

mod devices;
mod psci;
mod system;
