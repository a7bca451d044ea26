//! Files packed by hand and by miniz_oxide's other half, whole and damaged.

use super::*;
use proptest::prelude::*;

/// A gzip file, as `gzip -n` writes it.
pub(in crate::load) fn pack(data: &[u8]) -> Vec<u8> {
    pack_with_header(data, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3])
}

fn pack_with_header(data: &[u8], header: &[u8]) -> Vec<u8> {
    let mut file = header.to_vec();
    file.extend(miniz_oxide::deflate::compress_to_vec(data, 6));
    file.extend(crc32fast::hash(data).to_le_bytes());
    file.extend((data.len() as u32).to_le_bytes());
    file
}

fn unpack(file: &[u8], at_most: usize) -> Result<Vec<u8>, GzipError> {
    let member = Member::find(&file)?.ok_or_else(|| malformed("no gzip"))?;
    let promised = member.unpacked_bytes() as usize;
    let mut inflater = Inflater::new(member);
    let mut data = Vec::new();
    for _ in 0..1_000_000 {
        let run = inflater.next(&file, at_most)?;
        assert!(run.bytes.len() <= at_most.max(1) && run.packed_bytes <= at_most.max(1));
        data.extend_from_slice(run.bytes);
        assert!(data.len() <= promised, "never more than was promised");
        if run.is_last {
            return Ok(data);
        }
    }
    panic!("does not come to an end");
}

fn sample(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * at / 1000) as u8).collect()
}

#[test]
fn what_was_packed_is_unpacked() {
    for size in [0, 1, 1000, WINDOW, 3 * WINDOW + 17] {
        let data = sample(size);
        assert_eq!(unpack(&pack(&data), 1 << 20).unwrap(), data);
    }
}

#[test]
fn all_fields_of_a_header_are_skipped() {
    let mut header = vec![0x1f, 0x8b, 8, 0x1e, 1, 2, 3, 4, 0, 3];
    header.extend([3, 0, b'x', b'y', b'z']);
    header.extend(b"Image\0a comment\0");
    header.extend([0xaa, 0xbb]);
    let data = sample(100);
    assert_eq!(unpack(&pack_with_header(&data, &header), 64).unwrap(), data);
}

#[test]
fn what_is_no_gzip_file_is_none() {
    for file in [&b""[..], b"\x1f", b"MZ", b"\x7fELF"] {
        assert_eq!(Member::find(&file), Ok(None));
    }
}

#[test]
fn a_truncated_file_is_an_error_at_every_length() {
    let file = pack(&sample(500));
    for length in 2..file.len() {
        assert!(unpack(&file[..length], 4096).is_err(), "{length}");
    }
}

#[test]
fn a_file_that_unpacks_to_more_or_less_than_it_says_is_refused() {
    let data = sample(100_000);
    for (says, problem) in [(99_999u32, "more"), (100_001, "less"), (0, "more")] {
        let mut file = pack(&data);
        let end = file.len() - 4;
        file[end..].copy_from_slice(&says.to_le_bytes());
        let GzipError::Malformed(text) = unpack(&file, 1000).unwrap_err() else { panic!() };
        assert!(text.contains(problem), "{text}");
    }
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut file = pack(&sample(100));
    let at = file.len() - 5;
    file[at] ^= 1;
    assert_eq!(unpack(&file, 1000), Err(malformed("wrong checksum")));
}

#[test]
fn something_behind_the_data_is_refused() {
    let mut file = pack(&sample(100));
    let at = file.len() - 8;
    file.insert(at, 0);
    assert_eq!(unpack(&file, 1000), Err(malformed("there is something behind its data")));
}

#[test]
fn empty_blocks_without_end_take_no_longer_than_their_budget() {
    // A stored block of length zero, many times: 5 bytes each that unpack to nothing.
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    file.extend([0, 0, 0, 0xff, 0xff].repeat(10_000));
    file.extend([1, 0, 0, 0xff, 0xff]);
    file.extend([0; 8]);
    assert_eq!(unpack(&file, 100).unwrap(), b"");
}

proptest! {
    #[test]
    fn any_data_survives_any_slicing(
        data in proptest::collection::vec(any::<u8>(), 0..5000), at_most in 0..3000usize,
    ) {
        prop_assert_eq!(unpack(&pack(&data), at_most).unwrap(), data);
    }

    #[test]
    fn a_damaged_file_is_refused_or_unpacks_to_what_it_promises(
        edits in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..5), at_most in 1..5000usize,
    ) {
        let data = sample(2000);
        let mut file = pack(&data);
        for (at, byte) in edits {
            let at = at % file.len();
            file[at] = byte;
        }
        if let Ok(found) = unpack(&file, at_most) {
            prop_assert_eq!(found, data);
        }
    }

    #[test]
    fn any_bytes_behind_the_magic_have_an_answer(bytes: Vec<u8>) {
        let mut file = vec![0x1f, 0x8b, 8, 0];
        file.extend(bytes);
        let _ = unpack(&file, 100);
    }
}
