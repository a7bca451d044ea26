//! The guests' second-level tables: EPT or NPT, whichever the CPU has.

use super::ept::Ept;
use super::npt::Npt;
use super::virt::{self, Kind};
use crate::paging::{self, MapError, Mapping, Memory, Perms, Tables};

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

/// What `gpa` is mapped to in a guest's tables, and how many bytes from there on are.
pub(crate) fn translate_guest(tables: &impl Tables, root: u64, gpa: u64) -> Option<(u64, u64)> {
    match virt::kind() {
        Some(Kind::Vmx) => paging::translate::<Ept>(tables, root, gpa),
        Some(Kind::Svm) | None => paging::translate::<Npt>(tables, root, gpa),
    }
}

/// Takes a page of RAM out of a guest's tables: see [`paging::unmap_page`].
pub(crate) fn unmap_guest_page(
    tables: &mut impl Tables,
    root: u64,
    gpa: u64,
) -> Result<Option<u64>, MapError> {
    let (perms, memory) = (Perms::RWX, Memory::Normal);
    match virt::kind() {
        Some(Kind::Vmx) => paging::unmap_page::<Ept>(tables, root, gpa, perms, memory),
        Some(Kind::Svm) | None => paging::unmap_page::<Npt>(tables, root, gpa, perms, memory),
    }
}
