//! Disks for tests: bytes in memory, and file systems that the tools of the build make.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;
use std::{fs, process};
use virtio::disk::DiskError;
use virtio::disk::reader::ReadAt;
use xtask::disk::{self, Content, Partition};

/// A disk in memory, and how often it was read.
pub(crate) struct Memory {
    pub(crate) bytes: Vec<u8>,
    pub(crate) reads: usize,
}

impl Memory {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, reads: 0 }
    }
}

impl ReadAt for Memory {
    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn block_bytes(&self) -> u32 {
        512
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.reads += 1;
        let start = usize::try_from(offset).map_err(|_| DiskError::OutOfRange)?;
        let end = start.checked_add(buf.len()).ok_or(DiskError::OutOfRange)?;
        buf.copy_from_slice(self.bytes.get(start..end).ok_or(DiskError::OutOfRange)?);
        Ok(())
    }
}

/// The content of a file: bytes that differ from place to place.
pub(crate) fn content(bytes: usize, seed: u32) -> Vec<u8> {
    (0..bytes as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed as u8).collect()
}

/// The files of a bundle.
pub(crate) fn files() -> Vec<(&'static str, Vec<u8>)> {
    std::vec![
        ("configs/linux.toml", b"memory = \"64M\"\n".to_vec()),
        ("configs/a-name-that-is-longer.toml", b"x".to_vec()),
        ("configs/readme", b"no".to_vec()),
        ("images/linux/Image", content(3_000_001, 1)),
        ("images/linux/initrd.cpio.gz", content(70_000, 2)),
        ("images/empty", Vec::new()),
        ("autostart", b"vm list\n".to_vec()),
        ("etc/other", b"other".to_vec()),
    ]
}

/// A disk in a file, from some byte on.
pub(crate) struct OnFile {
    file: File,
    start: u64,
    bytes: u64,
}

impl ReadAt for OnFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn block_bytes(&self) -> u32 {
        512
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.bytes) {
            return Err(DiskError::OutOfRange);
        }
        let sought = self.file.seek(SeekFrom::Start(self.start + offset));
        sought.and_then(|_| self.file.read_exact(buf)).map_err(|_| DiskError::Medium)
    }
}

/// A file system of this kind with these files, in memory. Of several calls each has a name of its own.
pub(crate) fn volume(
    name: &str,
    kind: fn(PathBuf) -> Content,
    bytes: u64,
    files: &[(&str, Vec<u8>)],
) -> Vec<u8> {
    let mut disk = volume_on_file(name, kind, bytes, files);
    let mut all = std::vec![0; bytes as usize];
    disk.read_at(0, &mut all).unwrap();
    all
}

/// The same, left in its file.
pub(crate) fn volume_on_file(
    name: &str,
    kind: fn(PathBuf) -> Content,
    bytes: u64,
    files: &[(&str, Vec<u8>)],
) -> OnFile {
    let directory = std::env::temp_dir().join(std::format!("volume-{}-{name}", process::id()));
    let source = directory.join("files");
    for (path, bytes) in files {
        let path = source.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let image = directory.join("disk");
    let partition =
        Partition { label: String::from("p"), content: kind(source), bytes: Some(bytes) };
    disk::build(&image, &[partition]).unwrap();
    let file = File::open(&image).unwrap();
    // It is there for as long as it is open.
    fs::remove_dir_all(&directory).unwrap();
    OnFile { file, start: 1 << 20, bytes }
}
