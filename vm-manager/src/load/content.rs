//! The content of a kernel's file: as it is, or as it will be once it is unpacked.

use super::error::LoadError;
use super::gzip::{GzipError, Inflater, Member};
use super::request::File;
use super::source::ReadError;

/// As far as this into a packed file its headers may reach: to read them, all before is unpacked.
const PACKED_HEADERS_MAX: u64 = 64 << 10;

/// What is done to a file's bytes before they are the content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Packing {
    /// Nothing.
    Plain,
    /// They are unpacked.
    Gzip(Member),
}

/// The content of a file.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) file: File,
    pub(super) packing: Packing,
}

impl Content {
    /// The bytes of `file` as they are.
    pub(super) fn plain(file: &File) -> Self {
        Self { file: file.clone(), packing: Packing::Plain }
    }

    /// The bytes of `file`, unpacked if they are packed.
    pub(super) fn unpacked(file: &File) -> Result<Self, LoadError> {
        let member = Member::find(&*file.source).map_err(|error| gzip_error(file, error))?;
        let packing = member.map_or(Packing::Plain, Packing::Gzip);
        Ok(Self { file: file.clone(), packing })
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        match &self.packing {
            Packing::Plain => self.file.source.len(),
            Packing::Gzip(member) => member.unpacked_bytes(),
        }
    }

    /// Reads a header: fills `buf` from `offset` on.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), LoadError> {
        let file = &self.file;
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.bytes());
        let Some(end) = end else {
            return Err(read_error(file, ReadError::PastEnd));
        };
        let member = match &self.packing {
            Packing::Plain => {
                return file.source.read_at(offset, buf).map_err(|error| read_error(file, error));
            }
            Packing::Gzip(member) => member,
        };
        if end > PACKED_HEADERS_MAX {
            return Err(LoadError::Malformed {
                file: file.name.clone(),
                problem: "its headers lie too far in for a compressed file".into(),
            });
        }
        let mut inflater = Inflater::new(member.clone());
        let mut at = 0;
        while at < end {
            let run = inflater
                .next(&*file.source, (end - at) as usize)
                .map_err(|error| gzip_error(file, error))?;
            for (position, &byte) in (at..).zip(run.bytes) {
                let slot =
                    position.checked_sub(offset).and_then(|index| buf.get_mut(index as usize));
                if let Some(slot) = slot {
                    *slot = byte;
                }
            }
            at += run.bytes.len() as u64;
            if run.is_last && at < end {
                return Err(read_error(file, ReadError::PastEnd));
            }
        }
        Ok(())
    }
}

pub(super) fn read_error(file: &File, error: ReadError) -> LoadError {
    LoadError::Read { file: file.name.clone(), error }
}

pub(super) fn gzip_error(file: &File, error: GzipError) -> LoadError {
    match error {
        GzipError::Malformed(problem) => LoadError::Malformed { file: file.name.clone(), problem },
        GzipError::Read(error) => read_error(file, error),
    }
}
