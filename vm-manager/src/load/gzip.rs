//! Unpacks gzip (RFC 1952), a slice at a time, with the window of 32 KiB that deflate needs and
//! no more.
//!
//! One member fills the file, so the length of what is unpacked (modulo 4 GiB) is in the file's last
//! four bytes, and known before anything is unpacked. It is believed for planning and
//! enforced when unpacking: a file that unpacks to more is refused at the first byte too many.

use super::source::{self, ReadError, Source};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use crc32fast::Hasher;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress_with_limit, inflate_flags};

const WINDOW: usize = 32 << 10;
/// A header holds a file name and perhaps a comment; more is not looked for.
const HEADER_MAX: u64 = 4 << 10;
const TRAILER_SIZE: u64 = 8;

/// Flags of the header (2.3.1).
mod flag {
    pub(super) const HEADER_CRC: u8 = 1 << 1;
    pub(super) const EXTRA: u8 = 1 << 2;
    pub(super) const NAME: u8 = 1 << 3;
    pub(super) const COMMENT: u8 = 1 << 4;
    pub(super) const RESERVED: u8 = 0xe0;
}

/// Why a file cannot be unpacked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum GzipError {
    Malformed(String),
    Read(ReadError),
}

impl From<ReadError> for GzipError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

fn malformed(problem: &str) -> GzipError {
    GzipError::Malformed(format!("damaged gzip file: {problem}"))
}

/// The one member of a gzip file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Member {
    /// Where the deflated data is in the file.
    data: Range<u64>,
    crc32: u32,
    unpacked_bytes: u32,
}

impl Member {
    /// Reads header and trailer of a file; `None` if it is no gzip file.
    pub(super) fn find(source: &dyn Source) -> Result<Option<Self>, GzipError> {
        let mut head = vec![0; usize::try_from(source.len().min(HEADER_MAX)).unwrap_or(0)];
        source.read_at(0, &mut head)?;
        if !head.starts_with(&[0x1f, 0x8b]) {
            return Ok(None);
        }
        let start =
            header_bytes(&head).ok_or_else(|| malformed("its header is not as RFC 1952 says"))?;
        let end = source.len().checked_sub(TRAILER_SIZE).filter(|end| *end >= start);
        let end = end.ok_or_else(|| malformed("it ends too early"))?;
        let mut trailer = [0; 8];
        source.read_at(end, &mut trailer)?;
        let [c0, c1, c2, c3, s0, s1, s2, s3] = trailer;
        Ok(Some(Self {
            data: start..end,
            crc32: u32::from_le_bytes([c0, c1, c2, c3]),
            unpacked_bytes: u32::from_le_bytes([s0, s1, s2, s3]),
        }))
    }

    /// How much there will be, says the file.
    pub(super) fn unpacked_bytes(&self) -> u64 {
        u64::from(self.unpacked_bytes)
    }
}

/// The length of the header that `head` begins with (2.3).
fn header_bytes(head: &[u8]) -> Option<u64> {
    let &[_, _, method, flags, ..] = head else { return None };
    const DEFLATE: u8 = 8;
    if method != DEFLATE || flags & flag::RESERVED != 0 {
        return None;
    }
    let mut rest = head.get(10..)?;
    if flags & flag::EXTRA != 0 {
        let (&length, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(length))..)?;
    }
    for text in [flag::NAME, flag::COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|&byte| byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & flag::HEADER_CRC != 0 {
        rest = rest.get(2..)?;
    }
    Some((head.len() - rest.len()) as u64)
}

/// A run of unpacked bytes.
pub(super) struct Run<'a> {
    /// The bytes, which follow those of the run before. There may be none.
    pub(super) bytes: &'a [u8],
    /// How many packed bytes were looked at for it.
    pub(super) packed_bytes: usize,
    /// Whether all is unpacked, and found to be right.
    pub(super) is_last: bool,
}

/// Unpacks one member from its beginning to its end.
pub(super) struct Inflater {
    member: Member,
    decompressor: Box<DecompressorOxide>,
    /// What was unpacked last, which the packed data refers to. It is a ring.
    window: Vec<u8>,
    window_at: usize,
    packed_at: u64,
    unpacked: u64,
    hasher: Hasher,
    scratch: Vec<u8>,
}

impl Inflater {
    pub(super) fn new(member: Member) -> Self {
        Self {
            packed_at: member.data.start,
            member,
            decompressor: Box::default(),
            window: vec![0; WINDOW],
            window_at: 0,
            unpacked: 0,
            hasher: Hasher::new(),
            scratch: Vec::new(),
        }
    }

    /// Unpacks the next bytes: no more than `at_most`, from no more than as many packed ones, so
    /// that data which unpacks to nothing takes no longer. A run that is not the last may be empty.
    ///
    /// After an error, or behind the last run, there is nothing more to be had.
    pub(super) fn next(
        &mut self,
        source: &dyn Source,
        at_most: usize,
    ) -> Result<Run<'_>, GzipError> {
        let left = self.member.data.end - self.packed_at;
        let offered = usize::try_from(left).unwrap_or(usize::MAX).min(at_most.max(1));
        let packed = source::view(source, self.packed_at, offered, &mut self.scratch)?;
        let more =
            if packed.len() as u64 == left { 0 } else { inflate_flags::TINFL_FLAG_HAS_MORE_INPUT };
        let start = self.window_at;
        let (status, taken, given) = decompress_with_limit(
            &mut self.decompressor,
            packed,
            &mut self.window,
            start,
            at_most.max(1),
            more,
        );
        self.packed_at += taken as u64;
        self.unpacked += given as u64;
        self.window_at = (start + given) % WINDOW;
        let bytes = self.window.get(start..start + given).unwrap_or_default();
        self.hasher.update(bytes);
        if self.unpacked > self.member.unpacked_bytes() {
            return Err(malformed("it unpacks to more than it says"));
        }
        let is_last = match status {
            TINFLStatus::Done => true,
            TINFLStatus::HasMoreOutput | TINFLStatus::NeedsMoreInput => false,
            TINFLStatus::FailedCannotMakeProgress => {
                return Err(malformed("its data ends too early"));
            }
            TINFLStatus::Failed | TINFLStatus::BadParam | TINFLStatus::Adler32Mismatch | _ => {
                return Err(malformed("its data is not what deflate produces"));
            }
        };
        if is_last {
            if self.packed_at != self.member.data.end {
                return Err(malformed("there is something behind its data"));
            }
            if self.unpacked != self.member.unpacked_bytes() {
                return Err(malformed("it unpacks to less than it says"));
            }
            if self.hasher.clone().finalize() != self.member.crc32 {
                return Err(malformed("wrong checksum"));
            }
        }
        Ok(Run { bytes, packed_bytes: taken, is_last })
    }
}

#[cfg(test)]
pub(super) mod tests;
