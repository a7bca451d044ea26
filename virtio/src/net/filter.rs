//! Which frames the driver wants (5.1.6.5.1, 5.1.6.5.2). Broadcasts, and those for its own address, always.

use alloc::vec::Vec;

/// A MAC address.
pub type Mac = [u8; 6];

/// Addresses in the table: with more, all are taken.
pub(super) const TABLE: usize = 64;

/// How much of something is received.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Reach {
    /// What is for this card.
    #[default]
    Own,
    /// Everything.
    All,
}

/// What is received.
#[derive(Debug)]
pub(super) struct Filter {
    all: Reach,
    multicast: Reach,
    table: Vec<Mac>,
}

impl Filter {
    /// Of a driver that has said nothing: everything.
    pub(super) fn new() -> Self {
        Self { all: Reach::All, multicast: Reach::Own, table: Vec::new() }
    }

    pub(super) fn set_promiscuous(&mut self, is_on: bool) {
        self.all = reach(is_on);
    }

    pub(super) fn set_all_multicast(&mut self, is_on: bool) {
        self.multicast = reach(is_on);
    }

    /// Replaces the table.
    pub(super) fn set_table(&mut self, table: Vec<Mac>) {
        self.table = table;
    }

    /// Whether the card of the address `own` receives `frame`.
    pub(super) fn takes(&self, frame: &[u8], own: Mac) -> bool {
        let Some(&to) = frame.first_chunk::<6>() else { return false };
        let is_group = to[0] & 1 != 0;
        self.all == Reach::All
            || to == own
            || to == [0xff; 6]
            || is_group && self.multicast == Reach::All
            || self.table.contains(&to)
    }
}

fn reach(is_on: bool) -> Reach {
    if is_on { Reach::All } else { Reach::Own }
}
