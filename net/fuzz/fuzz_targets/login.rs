//! Whatever is typed and whoever connects and leaves, nobody comes in without a password, and connections are bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::login::{
    Answer, Dialog, Directory, Echo, Gate, Limits, PasswordHash, Role, Status, User, Working,
};
use net::time::Instant;
use std::time::Duration;

/// Of "password"; its memory is the least there is.
const HASH: &str =
    "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI";

fuzz_target!(|input: (String, Vec<(u8, u16, Vec<u8>)>)| {
    let (text, steps) = input;
    let _ = PasswordHash::parse(&text);
    let user = User::new("anna", HASH, Some(Role::Admin), Vec::new()).unwrap();
    let mut gate = Gate::new(Directory::new(vec![user]).unwrap(), Limits::default(), Instant(0));
    let mut connections = Vec::new();
    let mut now = Instant(0);
    let mut output = Vec::new();
    for (what, millis, bytes) in steps {
        now = now + Duration::from_millis(millis.into());
        let index = usize::from(what >> 2).checked_rem(connections.len()).unwrap_or(0);
        match (what % 4, connections.get_mut(index)) {
            (0, _) => {
                let ticket = gate.connect([10, 0, 0, what].into(), now);
                connections.extend(ticket.map(|ticket| (ticket, Dialog::new())));
            }
            (1, Some((ticket, dialog))) => {
                for byte in bytes {
                    match dialog.feed(byte, Echo::Server, &mut output) {
                        Some(Answer::Login { name, password }) if password != b"password" => {
                            gate.answer(*ticket, &name, password);
                        }
                        Some(Answer::Login { .. } | Answer::Leave) | None => {}
                    }
                }
            }
            (2, Some(_)) => {
                let (ticket, _) = connections.swap_remove(index);
                gate.disconnect(ticket, now);
            }
            _ => while gate.work(1000, now) == Working::More {},
        }
        assert!(connections.len() <= 16);
        for (ticket, _) in &connections {
            assert_ne!(gate.poll(*ticket, now), Status::In);
        }
    }
    assert!(!output.contains(&0x1b));
});
