use crate::VolumeError;
use crate::catalogue::Catalogue;
use crate::file_system::{self, FileSystem};
use crate::testing::{self, Memory, content};
use proptest::prelude::*;
use std::string::ToString;
use std::sync::OnceLock;
use std::vec::Vec;
use virtio::disk::reader::ReadAt;
use xtask::disk::Content;

/// A FAT file system of so many MiB with the files of a bundle.
fn bundle(mebibytes: u64) -> Vec<u8> {
    let name = std::format!("fat{mebibytes}");
    testing::volume(&name, Content::Fat, mebibytes << 20, &testing::files())
}

fn small() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| bundle(8))
}

fn check(disk: &mut dyn ReadAt) {
    let catalogue = Catalogue::read(disk).unwrap();
    assert_eq!(catalogue.file_system, "FAT");
    assert_eq!(catalogue.notes, Vec::<std::string::String>::new());
    assert_eq!(catalogue.configs.keys().collect::<Vec<_>>(), ["a-name-that-is-longer", "linux"]);
    assert_eq!(catalogue.autostart.as_deref(), Some(&b"vm list\n"[..]));
    let images: Vec<_> = catalogue.images.keys().collect();
    assert_eq!(images, ["empty", "linux/Image", "linux/initrd.cpio.gz"]);
    let image = &catalogue.images["linux/Image"];
    assert!(file_system::read(disk, &image.map).unwrap() == content(3_000_001, 1));
}

#[test]
fn a_bundle_is_catalogued_whatever_the_width_of_the_table() {
    let width = |bytes: &[u8]| match FileSystem::open(&mut Memory::new(bytes.to_vec())) {
        Ok(FileSystem::Fat(fat)) => fat.width,
        other => panic!("{other:?}"),
    };
    // mformat takes larger clusters for larger volumes: which width comes of that is up to it.
    let bytes = bundle(64);
    assert_eq!(width(&bytes), super::Width::Bits16);
    check(&mut Memory::new(bytes));
    check(&mut Memory::new(small().to_vec()));
}

#[test]
fn a_table_of_32_bits_is_followed() {
    let mut disk = testing::volume_on_file("fat32", Content::Fat, 520 << 20, &testing::files());
    let FileSystem::Fat(fat) = FileSystem::open(&mut disk).unwrap() else { panic!("FAT") };
    assert_eq!(fat.width, super::Width::Bits32);
    check(&mut disk);
}

#[test]
fn a_chain_that_ends_too_early_or_leads_nowhere_is_noted() {
    let FileSystem::Fat(fat) = FileSystem::open(&mut Memory::new(small().to_vec())).unwrap() else {
        panic!("FAT");
    };
    let (start, length) = (fat.table_at as usize, fat.table_bytes as usize);
    for value in [0xff, 0x00] {
        let mut bytes = small().to_vec();
        // The small files and directories are before.
        bytes[start + 64..start + length].fill(value);
        let catalogue = Catalogue::read(&mut Memory::new(bytes)).unwrap();
        assert!(!catalogue.notes.is_empty(), "{value}");
        assert!(
            catalogue.notes.iter().all(|note| note.contains("damaged")),
            "{:?}",
            catalogue.notes
        );
    }
}

#[test]
fn what_is_larger_than_its_partition_is_an_error() {
    let error = Catalogue::read(&mut Memory::new(small()[..1 << 20].to_vec())).unwrap_err();
    assert!(error.to_string().contains("more than its partition"), "{error}");
    assert_eq!(
        Catalogue::read(&mut Memory::new([0; 4096].to_vec())).unwrap_err(),
        VolumeError::Unknown
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_is_damaged_reading_it_ends_soon(
        boot in prop::collection::vec((0usize..64, any::<u8>()), 0..3),
        damage in prop::collection::vec((512usize..128 << 10, any::<u8>()), 1..60),
    ) {
        let mut bytes = small().to_vec();
        for (at, value) in boot.into_iter().chain(damage) {
            bytes[at] = value;
        }
        let mut disk = Memory::new(bytes);
        let _ = Catalogue::read(&mut disk);
        prop_assert!(disk.reads < 100_000, "{} reads", disk.reads);
    }
}
