//! Where the bytes of a file are.

use super::VolumeError;
use alloc::vec::Vec;

/// A file in more parts than this is not read: each takes memory of the hypervisor.
const MOST_RUNS: usize = 8192;

/// Bytes of a file that are together on the disk, or nowhere because they are zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// The first byte in the file.
    pub from: u64,
    /// How many there are; not zero.
    pub bytes: u64,
    /// Where the first one is in the partition; `None` for zeroes.
    pub at: Option<u64>,
}

/// Where the bytes of a file are: its runs follow each other without a gap from its first byte to its last.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FileMap {
    bytes: u64,
    runs: Vec<Run>,
}

impl FileMap {
    /// How long the file is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its runs.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The rest of a run, from a byte of the file on; `None` behind the end.
    #[must_use]
    pub fn rest_at(&self, offset: u64) -> Option<Run> {
        let index = self.runs.partition_point(|run| run.from + run.bytes <= offset);
        let run = self.runs.get(index)?;
        let skipped = offset.checked_sub(run.from)?;
        let at = run.at.map(|at| at + skipped);
        Some(Run { from: offset, bytes: run.bytes - skipped, at })
    }
}

/// A map in the making.
pub(crate) struct MapBuilder {
    map: FileMap,
    /// How much of the file is mapped.
    done: u64,
    /// How large the partition is.
    limit: u64,
}

impl MapBuilder {
    /// For a file of so many bytes, on a partition of `limit` bytes.
    pub(crate) fn new(bytes: u64, limit: u64) -> Self {
        Self { map: FileMap { bytes, runs: Vec::new() }, done: 0, limit }
    }

    /// How much of the file is mapped.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    pub(crate) fn is_full(&self) -> bool {
        self.done == self.map.bytes
    }

    /// The next bytes; those behind the end of the file are left out.
    pub(crate) fn push(&mut self, at: Option<u64>, bytes: u64) -> Result<(), VolumeError> {
        if let Some(at) = at
            && at.checked_add(bytes).is_none_or(|end| end > self.limit)
        {
            return Err(VolumeError::Damaged("a file has blocks behind the end"));
        }
        let bytes = bytes.min(self.map.bytes - self.done);
        if bytes == 0 {
            return Ok(());
        }
        let from = self.done;
        self.done += bytes;
        if let Some(last) = self.map.runs.last_mut()
            && at == last.at.map(|at| at + last.bytes)
        {
            last.bytes += bytes;
            return Ok(());
        }
        if self.map.runs.len() >= MOST_RUNS {
            return Err(VolumeError::TooLarge("a file is in more than 8192 parts"));
        }
        self.map.runs.push(Run { from, bytes, at });
        Ok(())
    }

    /// Zeroes up to this byte of the file.
    pub(crate) fn skip_to(&mut self, offset: u64) -> Result<(), VolumeError> {
        self.push(None, offset.saturating_sub(self.done))
    }

    /// The map; what is not mapped is zero.
    pub(crate) fn finish(mut self) -> Result<FileMap, VolumeError> {
        self.skip_to(self.map.bytes)?;
        Ok(self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_run_and_gaps_are_zeroes() {
        let mut builder = MapBuilder::new(10_000, 1 << 20);
        builder.push(Some(4096), 1024).unwrap();
        builder.push(Some(5120), 1024).unwrap();
        builder.skip_to(4096).unwrap();
        builder.push(Some(8192), 1024).unwrap();
        let map = builder.finish().unwrap();
        let run = |from, bytes, at| Run { from, bytes, at };
        assert_eq!(
            map.runs(),
            [
                run(0, 2048, Some(4096)),
                run(2048, 2048, None),
                run(4096, 1024, Some(8192)),
                run(5120, 4880, None)
            ]
        );
        assert_eq!(map.rest_at(100), Some(run(100, 1948, Some(4196))));
        assert_eq!(map.rest_at(9_999), Some(run(9_999, 1, None)));
        assert_eq!(map.rest_at(10_000), None);
        assert_eq!(FileMap::default().rest_at(0), None);
    }

    #[test]
    fn what_is_behind_the_end_of_the_disk_is_an_error_and_of_the_file_is_left_out() {
        let mut builder = MapBuilder::new(100, 8192);
        assert!(builder.push(Some(8000), 512).is_err());
        assert!(builder.push(Some(u64::MAX), 512).is_err());
        builder.push(Some(4096), 4096).unwrap();
        assert!(builder.is_full());
        builder.push(Some(0), 4096).unwrap();
        assert_eq!(builder.finish().unwrap().runs().len(), 1);
    }

    #[test]
    fn a_file_in_too_many_parts_is_refused() {
        let mut builder = MapBuilder::new(u64::MAX, u64::MAX);
        let parts = (0..=MOST_RUNS as u64).try_for_each(|n| builder.push(Some(n * 1024), 512));
        assert_eq!(parts, Err(VolumeError::TooLarge("a file is in more than 8192 parts")));
    }
}
