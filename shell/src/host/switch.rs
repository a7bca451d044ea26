//! The networks of guests.

use super::vm::Count;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// A network of guests: a switch.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SwitchSummary {
    /// Its name.
    pub name: String,
    /// What it is connected to: `isolated`, `host-only`, `bridged`, `nat`.
    pub kind: &'static str,
    /// The addresses that are given out, such as `192.168.76.0/24`.
    pub subnet: Option<String>,
    /// Whether its guests are kept from each other.
    pub isolates: bool,
    /// Frames that there was no memory for.
    pub lost_frames: u64,
    /// Its ports.
    pub ports: Vec<SwitchPort>,
}

/// A port of a switch.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SwitchPort {
    /// What is there: a VM's card, or a part of Roost.
    pub name: String,
    /// The address of a guest.
    pub mac: Option<String>,
    /// The IP addresses that it has.
    pub addresses: Vec<String>,
    /// The addresses that were learnt to be behind it, if it is no guest's.
    pub learnt: Vec<String>,
    /// Frames that it sent and that went on.
    pub sent_frames: u64,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// Frames that were for it.
    pub received_frames: u64,
    /// Bytes of them.
    pub received_bytes: u64,
    /// Frames that were for it and had no room.
    pub dropped_frames: u64,
    /// Bytes of them.
    pub dropped_bytes: u64,
    /// Frames that it sent and that were refused, by reason.
    pub refused: Vec<Count>,
}
