//! Numbers in what was read: both file systems have them in little-endian order.

use super::VolumeError;

const CUT: VolumeError = VolumeError::Damaged("a structure ends too early");

pub(crate) fn byte(bytes: &[u8], at: usize) -> Result<u8, VolumeError> {
    bytes.get(at).copied().ok_or(CUT)
}

pub(crate) fn half(bytes: &[u8], at: usize) -> Result<u16, VolumeError> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.map(|field| u16::from_le_bytes(*field)).ok_or(CUT)
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Result<u32, VolumeError> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.map(|field| u32::from_le_bytes(*field)).ok_or(CUT)
}

pub(crate) fn part(bytes: &[u8], at: usize, length: usize) -> Result<&[u8], VolumeError> {
    at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or(CUT)
}
