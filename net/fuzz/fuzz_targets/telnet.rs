//! Whatever a client sends, events and replies are bounded, and output reaches it as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::telnet::{Event, Telnet};
use net::time::Instant;

/// Replies within a second: the bucket's burst and its rate, and the opening.
const MOST_REPLIES: usize = 3 * (64 + 4 + 4);

fuzz_target!(|pieces: Vec<(Vec<u8>, Vec<u8>)>| {
    let mut telnet = Telnet::new(Instant(0));
    let mut replies = 0;
    let mut is_dead = false;
    for (input, output) in pieces {
        let mut events = 0;
        telnet.receive(&input, Instant(1_000_000_000), &mut |event| {
            assert!(!is_dead);
            is_dead = matches!(event, Event::Violation(_));
            events += 1;
        });
        assert!(events <= input.len());
        replies += telnet.replies().len();
        assert!(replies <= MOST_REPLIES && telnet.replies().len().is_multiple_of(3));
        telnet.replied(usize::MAX);
        let mut room = vec![0; 2 * output.len() + 1];
        let (taken, written) = telnet.encode(&output, &mut room);
        assert_eq!(taken, output.len());
        assert!((taken..=room.len()).contains(&written));
    }
});
