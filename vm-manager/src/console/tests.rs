//! The ring against a model that keeps everything.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

fn filled(size: usize, bytes: &[u8]) -> Output {
    let output = Output::new(size);
    bytes.iter().for_each(|&byte| output.push(byte));
    output
}

fn read_all(output: &Output, cursor: &mut Cursor) -> (Vec<u8>, u64) {
    let (mut all, mut lost, mut buf) = (Vec::new(), 0, [0; 7]);
    loop {
        let read = output.read(cursor, &mut buf);
        lost += read.lost;
        if read.bytes == 0 {
            return (all, lost);
        }
        all.extend_from_slice(&buf[..read.bytes]);
    }
}

fn tail(output: &Output, lines: usize) -> String {
    let mut cursor = output.tail_lines(lines);
    String::from_utf8(read_all(output, &mut cursor).0).unwrap()
}

#[test]
fn a_reader_gets_everything_once_and_then_what_is_new() {
    let output = filled(64, b"hello");
    let mut cursor = Cursor::BEGINNING;
    assert_eq!(read_all(&output, &mut cursor), (b"hello".to_vec(), 0));
    assert_eq!(read_all(&output, &mut cursor), (vec![], 0));
    output.push(b'!');
    assert_eq!(read_all(&output, &mut cursor), (b"!".to_vec(), 0));
}

#[test]
fn a_late_reader_learns_how_much_it_missed() {
    let bytes: Vec<u8> = (0..100).collect();
    let output = filled(16, &bytes);
    let mut cursor = Cursor::BEGINNING;
    assert_eq!(read_all(&output, &mut cursor), (bytes[85..].to_vec(), 85));
    assert_eq!((output.total_bytes(), output.overwritten_bytes()), (100, 85));
    assert_eq!(output.capacity_bytes(), 15);
}

#[test]
fn a_cursor_from_the_future_reads_only_what_is_new() {
    let output = filled(16, b"abc");
    let mut cursor = Cursor(1000);
    assert_eq!(output.read(&mut cursor, &mut [0; 8]), Read::default());
    output.push(b'd');
    assert_eq!(read_all(&output, &mut cursor), (b"d".to_vec(), 0));
}

#[test]
fn the_tail_is_counted_in_lines() {
    let output = filled(64, b"one\ntwo\nthree\n");
    assert_eq!(tail(&output, 0), "");
    assert_eq!(tail(&output, 1), "three\n");
    assert_eq!(tail(&output, 2), "two\nthree\n");
    assert_eq!(tail(&output, 9), "one\ntwo\nthree\n");
    output.push(b'$');
    assert_eq!(tail(&output, 1), "$");
    assert_eq!(tail(&output, 2), "three\n$");
    assert_eq!(tail(&filled(8, b""), 3), "");
    assert_eq!(tail(&filled(8, b"\n\n\n"), 2), "\n\n");
}

#[test]
fn a_search_goes_on_where_it_stopped() {
    let output = filled(64, b"login: lo");
    let mut cursor = Cursor::BEGINNING;
    assert_eq!(output.search(b"login:", &mut cursor, 100), Search::Found);
    assert_eq!(cursor.position(), 6);
    assert_eq!(output.search(b"login:", &mut cursor, 100), Search::NotYet);
    b"gin:".iter().for_each(|&byte| output.push(byte));
    assert_eq!(output.search(b"login:", &mut cursor, 100), Search::Found);
    assert_eq!(cursor, output.end());
}

#[test]
fn a_search_keeps_to_its_budget() {
    let output = filled(64, b"........x");
    let mut cursor = Cursor::BEGINNING;
    assert_eq!(output.search(b"x", &mut cursor, 4), Search::Unfinished);
    assert_eq!(cursor.position(), 4);
    assert_eq!(output.search(b"x", &mut cursor, 4), Search::Unfinished);
    assert_eq!(output.search(b"x", &mut cursor, 4), Search::Found);
}

#[test]
fn a_text_longer_than_the_ring_is_not_found_and_no_error() {
    let output = filled(4, b"aaaaaaaa");
    let mut cursor = Cursor::BEGINNING;
    assert_eq!(output.search(b"aaaaaaaa", &mut cursor, 100), Search::NotYet);
}

#[test]
fn a_reader_beside_a_writer_sees_an_ordered_part_of_what_was_written() {
    const TOTAL: u64 = 300_000;
    let output = Arc::new(Output::new(64));
    let writer = {
        let output = output.clone();
        // A byte tells its position modulo 251, which no power of two divides.
        std::thread::spawn(move || (0..TOTAL).for_each(|at| output.push((at % 251) as u8)))
    };
    let (mut cursor, mut buf, mut seen) = (Cursor::BEGINNING, [0; 48], 0);
    while cursor.position() < TOTAL {
        let before = cursor.position();
        let read = output.read(&mut cursor, &mut buf);
        assert_eq!(before + read.lost + read.bytes as u64, cursor.position());
        for (byte, at) in buf[..read.bytes].iter().zip(before + read.lost..) {
            assert_eq!(u64::from(*byte), at % 251);
            seen += 1;
        }
    }
    writer.join().unwrap();
    assert!(seen > 0);
}

proptest! {
    #[test]
    fn any_reader_of_any_ring_gets_the_newest_bytes_and_counts_the_rest(
        size in 0..200usize,
        steps in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..150), 0..60usize), 0..20),
    ) {
        let output = Output::new(size);
        let (mut all, mut cursor, mut at) = (Vec::new(), Cursor::BEGINNING, 0);
        for (bytes, room) in steps {
            bytes.iter().for_each(|&byte| output.push(byte));
            all.extend(bytes);
            let mut buf = vec![0; room];
            let read = output.read(&mut cursor, &mut buf);
            let kept = all.len().saturating_sub(output.capacity_bytes());
            let start = kept.max(at);
            prop_assert_eq!(read.lost as usize, start - at);
            prop_assert_eq!(&buf[..read.bytes], &all[start..start + read.bytes]);
            prop_assert_eq!(read.bytes, room.min(all.len() - start));
            at = start + read.bytes;
        }
    }

    #[test]
    fn a_search_in_steps_finds_what_a_search_at_once_would(
        bytes in proptest::collection::vec(0..3u8, 0..100),
        text in proptest::collection::vec(0..3u8, 0..5),
        budget in 1..10usize,
    ) {
        let output = Output::new(128);
        let mut cursor = Cursor::BEGINNING;
        let mut found = None;
        for &byte in &bytes {
            output.push(byte);
            if found.is_none() && output.search(&text, &mut cursor, budget) == Search::Found {
                found = Some(cursor.position() as usize);
            }
        }
        while found.is_none() {
            match output.search(&text, &mut cursor, budget) {
                Search::Found => found = Some(cursor.position() as usize),
                Search::NotYet => break,
                Search::Unfinished => {}
            }
        }
        let expected = if text.is_empty() { Some(0) } else {
            bytes.windows(text.len()).position(|window| window == text).map(|at| at + text.len())
        };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_tail_begins_behind_a_newline_or_with_the_oldest_byte(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x')], 0..60), lines in 0..20usize,
    ) {
        let output = filled(32, &bytes);
        let start = output.tail_lines(lines).position() as usize;
        let oldest = output.oldest_kept().position() as usize;
        let shown = String::from_utf8(bytes[start..].to_vec()).unwrap();
        let at_least = String::from_utf8(bytes[oldest..].to_vec()).unwrap().lines().count().min(lines);
        prop_assert_eq!(shown.lines().count(), at_least);
        prop_assert!(start == oldest || start == bytes.len() || bytes[start - 1] == b'\n');
    }
}
