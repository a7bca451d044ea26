//! Clients as they were recorded, on 2026-11-22, and hostile ones.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

const NOW: Instant = Instant(0);
/// Will echo, will suppress go-ahead, do window size, do suppress go-ahead: what the clients were recorded with.
const OPENING: &[u8] = b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x1f\xff\xfd\x03";

/// A connection, and all that it said.
struct Tried {
    telnet: Telnet,
    events: Vec<Event>,
    replies: Vec<u8>,
}

impl Tried {
    fn new() -> Self {
        let mut new = Self { telnet: Telnet::new(NOW), events: Vec::new(), replies: Vec::new() };
        new.drain();
        assert_eq!(new.replies, OPENING);
        new.replies.clear();
        new
    }

    fn drain(&mut self) {
        self.replies.extend(self.telnet.replies());
        self.telnet.replied(usize::MAX);
    }

    fn receive(&mut self, bytes: &[u8]) -> Vec<Event> {
        let before = self.events.len();
        self.telnet.receive(bytes, NOW, &mut |event| self.events.push(event));
        self.drain();
        self.events[before..].to_vec()
    }

    fn output(&mut self, output: &[u8]) -> Vec<u8> {
        let mut room = vec![0; 2 * output.len() + 1];
        let (taken, written) = self.telnet.encode(output, &mut room);
        assert_eq!(taken, output.len());
        room[..written].to_vec()
    }
}

fn typed(text: &[u8]) -> Vec<Event> {
    text.iter().map(|byte| Event::Byte(*byte)).collect()
}

const WINDOW: Event = Event::Resize(WindowSize { columns: 97, rows: 31 });

/// inetutils 2.4, on a port that is not 23.
#[test]
fn the_telnet_of_debian_is_in_character_mode_and_reports_its_window() {
    let mut tried = Tried::new();
    let answer =
        b"\xff\xfd\x01\xff\xfd\x03\xff\xfb\x1f\xff\xfa\x1f\x00a\x00\x1f\xff\xf0\xff\xfb\x03";
    assert_eq!(tried.receive(answer), [Event::Mode(Mode::Character), WINDOW]);
    assert_eq!(tried.replies, b"");
    assert_eq!(tried.receive(b"ab\r\0"), typed(b"ab\r"));
    assert_eq!(tried.receive(b"\xff\xff\xfe"), typed(b"\xff\xfe"));
    assert_eq!(tried.receive(b"\x03"), typed(b"\x03"));
    let sent = tried.receive(b"\xff\xf6\xff\xf3\xff\xf4");
    assert_eq!(sent, [Event::AreYouThere, Event::Break, Event::Interrupt]);
    assert_eq!(tried.output(b"a\xff\r\nb\rc"), b"a\xff\xff\r\nb\r\0c");
}

/// PuTTY 0.78 (`plink -telnet`), which begins before it has heard anything.
#[test]
fn putty_is_refused_what_nobody_needs_and_is_in_character_mode() {
    let mut tried = Tried::new();
    let opening = b"\xff\xfb\x1f\xff\xfb \xff\xfb\x18\xff\xfb'\xff\xfd\x01\xff\xfb\x03\xff\xfd\x03";
    assert_eq!(tried.receive(opening), [Event::Mode(Mode::Character)]);
    // Speed, type and environment: "don't".
    assert_eq!(tried.replies, b"\xff\xfe \xff\xfe\x18\xff\xfe'");
    assert_eq!(tried.receive(b"\xff\xfa\x1f\x00a\x00\x1f\xff\xf0"), [WINDOW]);
    assert_eq!(tried.receive(b"ab\r\0"), typed(b"ab\r"));
}

/// telnetlib3 5.0.1, whose return key is a CR alone.
#[test]
fn telnetlib3_is_in_character_mode_and_its_lines_end_at_once() {
    let mut tried = Tried::new();
    let answer =
        b"\xff\xfd\x01\xff\xfd\x03\xff\xfb\x1f\xff\xfa\x1f\x00a\x00\x1f\xff\xf0\xff\xfb\x03";
    assert_eq!(tried.receive(answer), [Event::Mode(Mode::Character), WINDOW]);
    assert_eq!(tried.receive(b"ab\r"), typed(b"ab\r"));
    assert_eq!(tried.receive(b"cd\r"), typed(b"cd\r"));
}

/// netcat-openbsd 1.219.
#[test]
fn a_client_without_telnet_is_in_line_mode_and_gets_bytes_as_they_are() {
    let mut tried = Tried::new();
    assert_eq!(tried.receive(b"ab\n"), typed(b"ab\n"));
    assert_eq!(tried.telnet.mode(), Mode::Line);
    assert_eq!(tried.output(b"a\xff\r\nb\rc"), b"a\xff\r\nb\rc");
    assert_eq!(tried.replies, b"");
}

#[test]
fn a_client_that_refuses_to_be_echoed_is_in_line_mode() {
    let mut tried = Tried::new();
    assert_eq!(tried.receive(b"\xff\xfe\x01\xff\xfd\x03\xff\xfc\x1f\xff\xfb\x03"), []);
    assert_eq!(tried.telnet.mode(), Mode::Line);
    assert_eq!(tried.receive(b"\xff\xfd\x01"), [Event::Mode(Mode::Character)]);
    assert_eq!(tried.receive(b"\xff\xfe\x01"), [Event::Mode(Mode::Line)]);
    assert_eq!(tried.replies, b"\xff\xfb\x01\xff\xfc\x01");
}

#[test]
fn each_way_to_end_a_line_is_one_carriage_return() {
    let mut tried = Tried::new();
    assert_eq!(tried.receive(b"a\r\nb\r\0c\rd\r"), typed(b"a\rb\rc\rd\r"));
    assert_eq!(tried.receive(b"\n\n\r\r\n\0"), typed(b"\n\r\r\0"));
}

#[test]
fn a_binary_client_has_its_line_ends_left_alone() {
    let mut tried = Tried::new();
    tried.receive(b"\xff\xfb\x00\xff\xfd\x00");
    assert_eq!(tried.replies, b"\xff\xfd\x00\xff\xfb\x00");
    assert_eq!(tried.receive(b"\r\n\r\0\xff\xff"), typed(b"\r\n\r\0\xff"));
    assert_eq!(tried.output(b"\rx\xff"), b"\rx\xff\xff");
}

#[test]
fn a_window_is_believed_only_from_a_client_that_announced_it_and_in_full() {
    let mut tried = Tried::new();
    let report = b"\xff\xfa\x1f\x00a\x00\x1f\xff\xf0";
    assert_eq!(tried.receive(report), []);
    assert_eq!(tried.receive(b"\xff\xfb\x1f\xff\xfa\x1f\x00a\x00\xff\xf0"), []);
    assert_eq!(tried.receive(report), [WINDOW]);
    assert_eq!(tried.receive(report), []);
    assert_eq!(tried.telnet.window(), Some(WindowSize { columns: 97, rows: 31 }));
    assert_eq!(tried.telnet.counts().ignored, 2);
}

#[test]
fn erase_keys_are_what_terminals_send_for_them() {
    let mut tried = Tried::new();
    assert_eq!(
        tried.receive(b"\xff\xf7\xff\xf8\xff\xf5"),
        [Event::Byte(0x7f), Event::Byte(0x15), Event::AbortOutput]
    );
}

#[test]
fn a_thousand_questions_at_once_are_one() {
    let mut tried = Tried::new();
    assert_eq!(tried.receive(&b"\xff\xf6".repeat(1000)), [Event::AreYouThere]);
}

#[test]
fn after_an_endless_subnegotiation_nothing_is_read() {
    let mut tried = Tried::new();
    let events = tried.receive(&[b"\xff\xfa\x18".to_vec(), vec![b'x'; 1 << 20]].concat());
    assert_eq!(events, [Event::Violation(Violation::EndlessSubnegotiation)]);
    assert_eq!(tried.receive(b"\xff\xf0vm destroy all\r\n"), []);
}

#[test]
fn a_storm_of_options_is_answered_by_a_bounded_number_of_replies() {
    let mut tried = Tried::new();
    for _ in 0..1000 {
        tried.receive(b"\xff\xfd\x18\xff\xfd\x01\xff\xfe\x01\xff\xfb\x20");
    }
    assert_eq!(tried.replies.len(), 64 * 3);
    assert!(tried.telnet.counts().dropped > 2000);
    // And the option is not changed by a request that was dropped.
    assert_eq!(tried.receive(b"a"), typed(b"a"));
    let later = NOW + Duration::from_secs(10);
    tried.telnet.receive(&b"\xff\xfd\x18".repeat(100), later, &mut |_| {});
    assert_eq!(tried.telnet.replies().len(), 40 * 3);
}

#[test]
fn replies_to_a_peer_that_does_not_read_do_not_pile_up() {
    let mut telnet = Telnet::new(NOW);
    for second in 0..1000 {
        let now = NOW + Duration::from_secs(second);
        telnet.receive(&b"\xff\xfd\x18".repeat(100), now, &mut |_| {});
        assert!(telnet.replies().len() <= 256);
    }
}

#[test]
fn a_peer_that_sends_back_what_it_gets_is_not_answered_for_ever() {
    let mut tried = Tried::new();
    let mut bytes = OPENING.to_vec();
    for round in 0..100 {
        tried.replies.clear();
        tried.receive(&bytes);
        bytes = tried.replies.clone();
        if bytes.is_empty() {
            assert!(round < 5);
            return;
        }
    }
    panic!("it goes on");
}

/// Bytes of which many are commands.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(255u8),
        3 => 239..=255u8,
        2 => prop::sample::select(vec![0u8, 1, 3, 24, 31]),
        2 => prop::sample::select(b"\r\n\0a".to_vec()),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..500)
}

proptest! {
    #[test]
    fn pieces_mean_what_the_whole_means(bytes in hostile(), cuts in prop::collection::vec(0..20usize, 1..100)) {
        let is_question = |event: &Event| *event == Event::AreYouThere;
        let mut whole = Tried::new();
        whole.receive(&bytes);
        let mut pieces = Tried::new();
        let mut rest = &bytes[..];
        for cut in cuts.into_iter().cycle().take(1000).chain([500]) {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.receive(piece);
            rest = after;
        }
        whole.events.retain(|event| !is_question(event));
        pieces.events.retain(|event| !is_question(event));
        prop_assert_eq!(whole.events, pieces.events);
        prop_assert_eq!(whole.telnet.counts(), pieces.telnet.counts());
    }

    #[test]
    fn every_reply_is_a_whole_negotiation_and_they_are_bounded(bytes in hostile()) {
        let mut tried = Tried::new();
        tried.receive(&bytes);
        prop_assert!(tried.replies.len() <= 64 * 3);
        for reply in tried.replies.chunks(3) {
            prop_assert!(reply.len() == 3 && reply[0] == 255 && (251..=254).contains(&reply[1]));
        }
    }

    #[test]
    fn no_more_events_come_out_than_bytes_went_in(bytes in hostile()) {
        let events = Tried::new().receive(&bytes);
        prop_assert!(events.len() <= bytes.len());
    }

    #[test]
    fn what_is_encoded_comes_out_as_it_was(output in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut sender = Tried::new();
        // A client that speaks telnet, so that output is escaped.
        sender.receive(b"\xff\xfd\x01");
        let bytes = sender.output(&output);
        // As RFC 854 tells clients to read: 255 twice is one, CR NUL is CR.
        let mut decoded = Vec::new();
        let mut bytes = bytes.into_iter().peekable();
        while let Some(byte) = bytes.next() {
            decoded.push(byte);
            match byte {
                255 => prop_assert_eq!(bytes.next(), Some(255)),
                b'\r' => drop(bytes.next_if_eq(&0)),
                _ => {}
            }
        }
        prop_assert_eq!(decoded, output);
    }
}
