//! The guests' second-level tables: EPT or NPT, whichever the CPU has.

use super::ept::Ept;
use super::npt::Npt;
use super::virt::{self, Kind};
use crate::paging::{self, MapError, Mapping, Tables};

/// Maps a range in a guest's tables.
pub(crate) fn map_guest(
    tables: &mut impl Tables,
    root: u64,
    mapping: Mapping,
) -> Result<(), MapError> {
    match virt::kind() {
        Some(Kind::Vmx) => paging::map::<Ept>(tables, root, mapping),
        // Without virtualization there are no vCPUs either.
        Some(Kind::Svm) | None => paging::map::<Npt>(tables, root, mapping),
    }
}
