use super::*;
use crate::testing::{self, Memory};
use std::vec;
use virtio::disk::DiskError;
use xtask::disk::Content;

/// A disk that fails from some read on.
struct Failing(Memory, usize);

impl ReadAt for Failing {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn block_bytes(&self) -> u32 {
        512
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        if self.0.reads >= self.1 {
            return Err(DiskError::Late);
        }
        self.0.read_at(offset, buf)
    }
}

#[test]
fn a_disk_that_fails_is_an_error_and_not_an_empty_bundle() {
    let bytes = testing::volume("failing", Content::Ext4, 16 << 20, &testing::files());
    for reads in [0, 1, 5, 20, 30] {
        let mut disk = Failing(Memory::new(bytes.clone()), reads);
        assert_eq!(Catalogue::read(&mut disk).unwrap_err(), VolumeError::Disk(DiskError::Late));
    }
}

#[test]
fn what_is_too_long_is_noted_and_the_rest_is_there() {
    let files = [
        ("configs/long.toml", vec![b'#'; 100_000]),
        ("configs/short.toml", b"#".to_vec()),
        ("autostart", vec![b'#'; 100_000]),
    ];
    let bytes = testing::volume("long", Content::Fat, 8 << 20, &files);
    let catalogue = Catalogue::read(&mut Memory::new(bytes)).unwrap();
    assert_eq!(catalogue.configs.keys().collect::<Vec<_>>(), ["short"]);
    assert_eq!(catalogue.autostart, None);
    assert_eq!(catalogue.notes.len(), 2);
}
