//! What a guest says of its memory (5.5.6.3, 5.5.6.4).

use crate::config_space;
use crate::queue::Chain;
use hv_core::guest::{GuestMemory, Width};

/// Statistics of a guest, as it gives them; what it does not give is `None`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// Bytes swapped in.
    pub swapped_in_bytes: Option<u64>,
    /// Bytes swapped out.
    pub swapped_out_bytes: Option<u64>,
    /// Page faults that took a disk access.
    pub major_faults: Option<u64>,
    /// Page faults that took none.
    pub minor_faults: Option<u64>,
    /// Bytes that are used for nothing at all.
    pub free_bytes: Option<u64>,
    /// Bytes in all.
    pub total_bytes: Option<u64>,
    /// Bytes that new programs could use without swapping.
    pub available_bytes: Option<u64>,
    /// Bytes that cache files.
    pub cache_bytes: Option<u64>,
}

/// Bytes of an entry: a tag of 2 and a value of 8.
const ENTRY: usize = 10;
/// More entries than there are tags.
const MOST_ENTRIES: usize = 32;

impl Statistics {
    /// Reads the entries of `chain`, in any order; those that nobody knows are ignored.
    pub(super) fn read(chain: &Chain, memory: &dyn GuestMemory) -> Option<Self> {
        let mut statistics = Self::default();
        let mut bytes = [0; ENTRY * MOST_ENTRIES];
        let len = usize::try_from(chain.readable_len()).unwrap_or(bytes.len()).min(bytes.len());
        let bytes = bytes.get_mut(..len)?;
        chain.read_at(memory, 0, bytes).ok()?;
        for entry in bytes.chunks_exact(ENTRY) {
            let value = config_space::read(entry, 2, Width::B8);
            if let Some(field) = statistics.field(config_space::read(entry, 0, Width::B2)) {
                *field = Some(value);
            }
        }
        Some(statistics)
    }

    fn field(&mut self, tag: u64) -> Option<&mut Option<u64>> {
        Some(match tag {
            0 => &mut self.swapped_in_bytes,
            1 => &mut self.swapped_out_bytes,
            2 => &mut self.major_faults,
            3 => &mut self.minor_faults,
            4 => &mut self.free_bytes,
            5 => &mut self.total_bytes,
            6 => &mut self.available_bytes,
            7 => &mut self.cache_bytes,
            _ => return None,
        })
    }
}
