//! A stand-in until guests run: see the parts of VMX and SVM.

use crate::paging::{MapError, Mapping, Tables};

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Translation(u64);
impl Translation {
    pub(crate) fn new(root: u64, _space: Option<&SpaceId>) -> Self {
        Self(root)
    }
}
#[derive(Debug)]
pub struct SpaceId;
impl SpaceId {
    #[must_use]
    pub fn new() -> Option<Self> {
        Some(Self)
    }
    pub(crate) fn retire(self, _translation: Translation) {}
}
#[derive(Debug, Default)]
pub struct LastHere;
impl LastHere {
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}
#[derive(Debug)]
pub(super) struct Unsupported;
impl core::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("nothing there yet")
    }
}
pub(super) fn enable_on_this_cpu() -> Result<(), Unsupported> {
    Err(Unsupported)
}
pub(super) fn leave_guest_state() {}
pub(crate) fn map_guest(
    tables: &mut impl Tables,
    root: u64,
    mapping: Mapping,
) -> Result<(), MapError> {
    crate::paging::map::<super::npt::Npt>(tables, root, mapping)
}
