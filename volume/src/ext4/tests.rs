use crate::catalogue::Catalogue;
use crate::file_system::{self, FileSystem};
use crate::testing::{self, Memory, content};
use crate::{FileMap, Kind, Run, VolumeError};
use proptest::prelude::*;
use std::boxed::Box;
use std::string::{String, ToString};
use std::sync::OnceLock;
use std::vec::Vec;
use std::{format, vec};
use xtask::disk::Content;

/// An ext4 file system of 16 MiB with the files of a bundle.
fn bundle() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| testing::volume("ext4", Content::Ext4, 16 << 20, &testing::files()))
}

/// All files below a directory, by path.
fn walk(disk: &mut Memory) -> Vec<(String, Vec<u8>)> {
    let system = FileSystem::open(disk).unwrap();
    let mut found = Vec::new();
    let mut directories = vec![(String::new(), system.root(disk).unwrap())];
    while let Some((above, directory)) = directories.pop() {
        for entry in system.list(disk, &directory).unwrap() {
            let path = format!("{above}/{}", entry.name);
            match entry.handle.kind() {
                Kind::Directory => directories.push((path, entry.handle)),
                Kind::File => {
                    let map = system.map(disk, &entry.handle).unwrap();
                    found.push((path, file_system::read(disk, &map).unwrap()));
                }
                Kind::Other => {}
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_is_what_was_put_there_and_what_another_reader_finds() {
    let mut disk = Memory::new(bundle().to_vec());
    let found = walk(&mut disk);
    let oracle = ext4_view::Ext4::load(Box::new(disk.bytes)).unwrap();
    assert_eq!(found.len(), testing::files().len());
    for (path, bytes) in testing::files() {
        let path = format!("/{path}");
        let here = found.iter().find(|(name, _)| *name == path).unwrap();
        assert!(here.1 == bytes, "{path}");
        assert!(oracle.read(path.as_str()).unwrap() == bytes, "{path}");
    }
}

#[test]
fn a_file_in_hundreds_of_extents_is_read_through_its_tree() {
    // Every other block is written: more extents than an inode holds, and than a block of 1 KiB does.
    let mut sparse = Vec::new();
    for n in 0..400 {
        sparse.extend(content(4096, n));
        sparse.extend([0; 4096]);
    }
    let files = [("images/sparse", sparse)];
    let mut disk = Memory::new(testing::volume("sparse", Content::Ext4, 16 << 20, &files));
    assert!(
        walk(&mut disk)
            .iter()
            .any(|(path, bytes)| path == "/images/sparse" && *bytes == files[0].1)
    );
}

#[test]
fn a_large_directory_is_read_though_it_is_hashed() {
    let names: Vec<String> =
        (0..300).map(|n| format!("images/a-rather-long-name-{n:04}")).collect();
    let files: Vec<_> =
        names.iter().map(|name| (name.as_str(), name.clone().into_bytes())).collect();
    let mut disk = Memory::new(testing::volume("large", Content::Ext4, 16 << 20, &files));
    assert_eq!(walk(&mut disk).len(), 300);
}

#[test]
fn a_bundle_is_catalogued() {
    let mut disk = Memory::new(bundle().to_vec());
    let catalogue = Catalogue::read(&mut disk).unwrap();
    assert_eq!(catalogue.file_system, "ext4");
    assert_eq!(catalogue.notes, Vec::<String>::new());
    assert_eq!(catalogue.configs.keys().collect::<Vec<_>>(), ["a-name-that-is-longer", "linux"]);
    assert_eq!(catalogue.configs["linux"], b"memory = \"64M\"\n");
    assert_eq!(catalogue.autostart.as_deref(), Some(&b"vm list\n"[..]));
    let images: Vec<_> = catalogue.images.keys().collect();
    assert_eq!(images, ["empty", "linux/Image", "linux/initrd.cpio.gz"]);
    let image = &catalogue.images["linux/Image"];
    assert_eq!((image.map.bytes(), image.head.len()), (3_000_001, 1024));
    assert!(disk.reads < 200, "{} reads", disk.reads);
}

/// What is said of the file system with these bytes of the superblock changed. Its checksum is not looked at.
fn changed(changes: &[(usize, u32)]) -> Result<Catalogue, VolumeError> {
    let mut bytes = bundle().to_vec();
    for (at, value) in changes {
        bytes[1024 + at..][..4].copy_from_slice(&value.to_le_bytes());
    }
    Catalogue::read(&mut Memory::new(bytes))
}

#[test]
fn a_superblock_that_cannot_be_is_an_error() {
    let features = u32::from_le_bytes(bundle()[1024 + 0x60..][..4].try_into().unwrap());
    let error = changed(&[(0x60, features | 4)]).unwrap_err().to_string();
    assert!(error.contains("not unmounted"), "{error}");
    let error = changed(&[(0x60, features | 0x8000)]).unwrap_err();
    assert!(matches!(error, VolumeError::Unsupported(_)), "{error}");
    let error = changed(&[(0x18, 6)]).unwrap_err();
    assert!(matches!(error, VolumeError::Unsupported(_)), "{error}");
    for (at, value) in [(0x4, u32::MAX), (0x28, 0), (0x58, 0), (0x14, u32::MAX)] {
        let error = changed(&[(at, value)]).unwrap_err();
        assert!(matches!(error, VolumeError::Damaged(_)), "{at:#x}: {error}");
    }
    assert_eq!(changed(&[(0x38, 0)]).unwrap_err(), VolumeError::Unknown);
    let short = Memory::new(bundle()[..1 << 20].to_vec());
    let error = Catalogue::read(&mut { short }).unwrap_err();
    assert_eq!(error, VolumeError::Damaged("it is larger than its partition"));
    assert_eq!(Catalogue::read(&mut Memory::new(vec![])).unwrap_err(), VolumeError::Unknown);
}

#[test]
fn a_map_of_single_blocks_is_followed_through_its_levels() {
    let mut disk = Memory::new(bundle().to_vec());
    let FileSystem::Ext4(volume) = FileSystem::open(&mut disk).unwrap() else { panic!("ext4") };
    let size = volume.block_bytes as usize;
    // The last blocks of the volume are free: one of numbers, of which the second is a hole.
    let (numbers, data) = (volume.blocks as u32 - 1, volume.blocks as u32 - 4);
    let mut root = [0; 60];
    root[0..4].copy_from_slice(&data.to_le_bytes());
    root[48..52].copy_from_slice(&numbers.to_le_bytes());
    let block = &mut disk.bytes[numbers as usize * size..][..size];
    block.fill(0);
    block[0..4].copy_from_slice(&(data + 1).to_le_bytes());
    block[8..12].copy_from_slice(&(data + 2).to_le_bytes());
    let inode = super::Inode { kind: Kind::File, bytes: 15 * size as u64, flags: 0, root };
    let map = file_system::map_of(&disk, inode.bytes);
    let map: FileMap = super::blocks::map(&volume, &mut disk, &inode, map).unwrap();
    let (size, data) = (size as u64, u64::from(data));
    let run = |from, blocks, at: Option<u64>| Run {
        from: from * size,
        bytes: blocks * size,
        at: at.map(|block| block * size),
    };
    assert_eq!(
        map.runs(),
        [
            run(0, 1, Some(data)),
            run(1, 11, None),
            run(12, 1, Some(data + 1)),
            run(13, 1, None),
            run(14, 1, Some(data + 2))
        ]
    );
    // A block of numbers that is its own: bounded by the file's length and by the number of such blocks.
    root[56..60].copy_from_slice(&numbers.to_le_bytes());
    disk.bytes[numbers as usize * size as usize..][..size as usize]
        .as_chunks_mut::<4>()
        .0
        .fill(numbers.to_le_bytes());
    let inode = super::Inode { kind: Kind::File, bytes: 4 << 30, flags: 0, root };
    let map = file_system::map_of(&disk, inode.bytes);
    assert!(super::blocks::map(&volume, &mut disk, &inode, map).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_is_damaged_reading_it_ends_soon(
        damage in prop::collection::vec((0usize..1 << 20, any::<u8>()), 1..40),
        metadata in prop::collection::vec((0usize..8192, any::<u8>()), 0..20),
    ) {
        let mut bytes = bundle()[..4 << 20].to_vec();
        bytes.resize(16 << 20, 0);
        for (at, value) in damage {
            bytes[at] = value;
        }
        // The superblock and the descriptors of groups, and what they lead to first.
        for (at, value) in metadata {
            bytes[1024 + at] = value;
        }
        let mut disk = Memory::new(bytes);
        let _ = Catalogue::read(&mut disk);
        prop_assert!(disk.reads < 100_000, "{} reads", disk.reads);
    }
}
