//! People who log in, and people who should not.

use super::*;
use crate::login::{Cost, Role, User};
use proptest::prelude::*;

const NOW: Instant = Instant(1);
const SECOND: Duration = Duration::from_secs(1);
/// Of "password".
const HASH: &str =
    "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI";

fn address(number: u8) -> IpAddr {
    [10, 0, 0, number].into()
}

fn gate_with(limits: Limits) -> Gate {
    let user = |name| User::new(name, HASH, Some(Role::Viewer), Vec::new()).unwrap();
    Gate::new(Directory::new(vec![user("anna"), user("bert")]).unwrap(), limits, NOW)
}

fn gate() -> Gate {
    gate_with(Limits::default())
}

/// How many slices an attempt takes, and what it comes to.
fn attempt(
    gate: &mut Gate,
    ticket: Ticket,
    name: &str,
    password: &str,
    now: Instant,
) -> (u32, Status) {
    gate.answer(ticket, name.as_bytes(), password.into());
    let mut slices = 0;
    while gate.work(10, now) == Working::More {
        slices += 1;
        assert!(slices < 1000);
    }
    (slices, gate.poll(ticket, now))
}

#[test]
fn the_right_password_lets_in_and_the_wrong_one_does_not() {
    let mut gate = gate();
    let ticket = gate.connect(address(1), NOW).unwrap();
    assert_eq!(gate.poll(ticket, NOW), Status::Asking);
    assert_eq!(attempt(&mut gate, ticket, "anna", "Password", NOW).1, Status::Wrong);
    assert_eq!(gate.poll(ticket, NOW), Status::Wrong);
    gate.ask_again(ticket);
    assert_eq!(gate.poll(ticket, NOW), Status::Asking);
    let later = NOW + SECOND;
    assert_eq!(attempt(&mut gate, ticket, "anna", "password", later).1, Status::In);
    assert_eq!(gate.user(ticket).map(User::name), Some("anna"));
    gate.disconnect(ticket, later);
    let acts: Vec<_> = gate.audit().iter().map(|entry| entry.act.to_string()).collect();
    assert_eq!(acts, ["login failed", "logged in", "logged out: connection closed"]);
    assert_eq!(gate.poll(ticket, later), Status::Closed(Closed::Unknown));
}

#[test]
fn a_name_that_nobody_has_takes_as_long_and_is_not_kept() {
    let mut slices = Vec::new();
    for (number, name) in (1..).zip(["anna", "nobody", "", "s3cret-password", "\x1b[2J"]) {
        let mut gate = gate();
        let ticket = gate.connect(address(number), NOW).unwrap();
        let (count, status) = attempt(&mut gate, ticket, name, "wrong", NOW);
        assert_eq!(status, Status::Wrong);
        slices.push(count);
        let who = gate.audit().iter().next().and_then(|entry| entry.who.clone());
        assert_eq!(who.as_deref(), Some("anna").filter(|_| name == "anna"));
    }
    assert!(slices.iter().all(|count| *count == slices[0]), "{slices:?}");
    assert!(slices[0] > 10);
}

#[test]
fn nobody_is_let_in_by_the_hash_that_nobody_has() {
    let mut gate = gate();
    let ticket = gate.connect(address(1), NOW).unwrap();
    gate.find(ticket).unwrap().state = State::Hashing;
    gate.decide(ticket, "nobody", true, NOW);
    assert_eq!(gate.poll(ticket, NOW), Status::Wrong);
}

#[test]
fn each_failure_delays_the_next_attempt_also_on_another_connection() {
    let mut gate = gate();
    let one = gate.connect(address(1), NOW).unwrap();
    let two = gate.connect(address(2), NOW).unwrap();
    attempt(&mut gate, one, "anna", "wrong", NOW);
    // By name.
    assert_eq!(attempt(&mut gate, two, "anna", "password", NOW), (0, Status::Busy));
    // By address.
    assert_eq!(attempt(&mut gate, one, "bert", "password", NOW), (0, Status::Busy));
    let later = NOW + SECOND;
    while gate.work(100, later) == Working::More {}
    assert_eq!([gate.poll(one, later), gate.poll(two, later)], [Status::In; 2]);
}

#[test]
fn attempts_at_once_are_no_more_than_attempts_in_a_row() {
    let limits = Limits { strangers: 100, strangers_of_address: 100, ..Limits::default() };
    let mut gate = gate_with(limits);
    let tickets: Vec<_> = (0..50).map(|_| gate.connect(address(1), NOW).unwrap()).collect();
    for ticket in &tickets {
        gate.answer(*ticket, b"anna", b"wrong".to_vec());
    }
    while gate.work(1000, NOW) == Working::More {}
    let is_wrong = |ticket: &&Ticket| gate.poll(**ticket, NOW) == Status::Wrong;
    assert_eq!(tickets.iter().filter(is_wrong).count(), 1);
}

#[test]
fn too_many_failures_lock_out_by_name_and_by_address_for_a_while() {
    let mut gate = gate();
    let lock_after = gate.limits.throttle.lock_after;
    let mut now = NOW;
    for number in 0..lock_after {
        now = now + SECOND * 20;
        let ticket = gate.connect(address(number as u8), now).unwrap();
        assert_eq!(attempt(&mut gate, ticket, "anna", "wrong", now).1, Status::Wrong);
        gate.disconnect(ticket, now);
    }
    let ticket = gate.connect(address(99), now).unwrap();
    let closed = Status::Closed(Closed::TooManyAttempts);
    assert_eq!(attempt(&mut gate, ticket, "anna", "password", now), (0, closed));
    assert!(gate.audit().iter().any(|entry| entry.act == Act::LockedOut));
    for _ in 0..lock_after {
        now = now + SECOND * 20;
        let ticket = gate.connect(address(200), now).unwrap();
        attempt(&mut gate, ticket, "nobody", "wrong", now);
        gate.disconnect(ticket, now);
    }
    assert_eq!(gate.connect(address(200), now), Err(Rejected::LockedOut));
    let later = now + gate.limits.throttle.lock;
    let ticket = gate.connect(address(200), later).unwrap();
    assert_eq!(attempt(&mut gate, ticket, "anna", "password", later).1, Status::In);
}

#[test]
fn one_who_is_locked_out_does_not_hold_up_another() {
    let mut gate = gate();
    let [one, two] = [1, 2].map(|number| gate.connect(address(number), NOW).unwrap());
    for _ in 0..20 {
        gate.by_name.fail("anna".into(), NOW);
    }
    gate.answer(one, b"anna", b"password".to_vec());
    gate.answer(two, b"bert", b"password".to_vec());
    assert_eq!(gate.work(10, NOW), Working::More);
    assert_eq!(gate.poll(one, NOW), Status::Closed(Closed::TooManyAttempts));
    while gate.work(10, NOW) == Working::More {}
    assert_eq!(gate.poll(two, NOW), Status::In);
}

#[test]
fn an_administrator_can_lift_a_lock() {
    let mut gate = gate();
    for _ in 0..20 {
        gate.by_name.fail("anna".into(), NOW);
        gate.by_address.fail(Network::of_one(address(1)), NOW);
    }
    assert_eq!(gate.connect(address(1), NOW), Err(Rejected::LockedOut));
    gate.forgive("anna");
    let ticket = gate.connect(address(1), NOW).unwrap();
    assert_eq!(attempt(&mut gate, ticket, "anna", "password", NOW).1, Status::In);
}

#[test]
fn a_connection_has_a_few_attempts() {
    let mut gate = gate();
    let ticket = gate.connect(address(1), NOW).unwrap();
    let mut now = NOW;
    for _ in 0..2 {
        assert_eq!(attempt(&mut gate, ticket, "anna", "wrong", now).1, Status::Wrong);
        now = now + SECOND * 5;
    }
    let closed = Status::Closed(Closed::TooManyAttempts);
    assert_eq!(attempt(&mut gate, ticket, "anna", "wrong", now).1, closed);
    assert_eq!(attempt(&mut gate, ticket, "anna", "password", now + SECOND * 9), (0, closed));
}

#[test]
fn strangers_are_limited_and_those_who_are_in_are_not_strangers() {
    let mut gate = gate();
    for _ in 0..4 {
        gate.connect(address(1), NOW).unwrap();
    }
    assert_eq!(gate.connect(address(1), NOW), Err(Rejected::Strangers));
    let of_six = |number: u16| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, number]);
    for number in 0..4 {
        gate.connect(of_six(number), NOW).unwrap();
    }
    assert_eq!(gate.connect(of_six(9), NOW), Err(Rejected::Strangers));
    for number in 2..10 {
        gate.connect(address(number), NOW).unwrap();
    }
    assert_eq!(gate.connect(address(10), NOW), Err(Rejected::Strangers));
    let first = Ticket(0);
    assert_eq!(attempt(&mut gate, first, "anna", "password", NOW).1, Status::In);
    gate.connect(address(10), NOW).unwrap();
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    let mut gate = gate();
    for number in 0..10_000u32 {
        let now = NOW + Duration::from_millis(u64::from(number));
        let ticket = gate.connect(address(number as u8), now).unwrap();
        gate.answer(ticket, b"anna", b"wrong".to_vec());
        gate.disconnect(ticket, now);
    }
    assert!(gate.connections.is_empty() && gate.work.is_none());
    assert_eq!(gate.audit().iter().count(), 0);
}

#[test]
fn refusals_do_not_push_all_else_out_of_the_audit() {
    let networks = Networks(vec!["192.168.0.0/16".parse().unwrap()]);
    let mut gate = gate_with(Limits { networks, ..Limits::default() });
    for number in 0..10_000 {
        let refused = gate.connect(address(number as u8), NOW);
        assert_eq!(refused, Err(Rejected::Network));
    }
    assert_eq!(gate.audit().iter().count(), 10);
}

#[test]
fn without_users_nobody_is_asked() {
    let mut gate = Gate::new(Directory::default(), Limits::default(), NOW);
    assert_eq!(gate.connect(address(1), NOW), Err(Rejected::NoUsers));
}

#[test]
fn who_waits_too_long_is_gone() {
    let mut gate = gate();
    let [one, two] = [1, 2].map(|number| gate.connect(address(number), NOW).unwrap());
    assert_eq!(attempt(&mut gate, two, "anna", "password", NOW).1, Status::In);
    let later = NOW + SECOND * 60;
    gate.touch(one, later);
    assert_eq!(gate.poll(one, later), Status::Closed(Closed::LoginTimeout));
    let idle = gate.limits.idle_timeout.unwrap();
    gate.touch(two, later);
    assert_eq!(gate.poll(two, NOW + idle), Status::In);
    assert_eq!(gate.poll(two, later + idle), Status::Closed(Closed::Idle));
    assert_eq!(gate.user(two).map(User::name), None);
}

#[test]
fn sessions_are_limited_and_can_be_killed() {
    let mut gate = gate_with(Limits { sessions: 1, ..Limits::default() });
    let [one, two] = [1, 2].map(|number| gate.connect(address(number), NOW).unwrap());
    assert_eq!(attempt(&mut gate, one, "anna", "password", NOW).1, Status::In);
    let closed = Status::Closed(Closed::TooManySessions);
    assert_eq!(attempt(&mut gate, two, "anna", "password", NOW).1, closed);
    let last = gate.audit().iter().next_back().unwrap();
    assert_eq!(last.who.as_deref(), Some("anna"));
    assert_eq!(last.act.to_string(), "connection refused: too many sessions");
    gate.kill(one, NOW);
    assert_eq!(gate.poll(one, NOW), Status::Closed(Closed::Killed));
    gate.disconnect(two, NOW);
    let three = gate.connect(address(3), NOW).unwrap();
    assert_eq!(attempt(&mut gate, three, "anna", "password", NOW).1, Status::In);
}

#[test]
fn a_peer_that_goes_while_it_is_hashed_for_makes_room() {
    let mut gate = gate();
    let [one, two] = [1, 2].map(|number| gate.connect(address(number), NOW).unwrap());
    gate.answer(one, b"anna", b"password".to_vec());
    assert_eq!(gate.work(10, NOW), Working::More);
    gate.disconnect(one, NOW);
    assert_eq!(attempt(&mut gate, two, "anna", "password", NOW).1, Status::In);
}

#[test]
fn a_password_that_was_changed_is_the_one() {
    let mut gate = gate();
    let cost = Cost::new(64, 1, 1).unwrap();
    let Progress::Done(tag) = Hasher::new(b"new", &[7; 16], cost).unwrap().step(usize::MAX) else {
        panic!("it has an end")
    };
    let hash = PasswordHash::new(cost, [7; 16], tag);
    gate.users_mut().set_password("anna", hash).unwrap();
    let ticket = gate.connect(address(1), NOW).unwrap();
    assert_eq!(attempt(&mut gate, ticket, "anna", "new", NOW).1, Status::In);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn only_who_knows_the_password_comes_in(
        steps in prop::collection::vec((0..5u8, 0..6u64, 0..3usize, any::<bool>()), 1..60),
    ) {
        let mut gate = gate();
        let mut now = NOW;
        let mut knows = std::collections::BTreeSet::new();
        let mut attempts = std::collections::BTreeMap::<Ticket, Vec<bool>>::new();
        let names = ["anna", "bert", "nobody"];
        for (what, which, name, is_right) in steps {
            now = now + SECOND;
            let ticket = Ticket(which);
            match what {
                0 | 1 => drop(gate.connect(address(which as u8), now)),
                2 => {
                    let password = if is_right { "password" } else { "wrong" };
                    if matches!(gate.poll(ticket, now), Status::Asking | Status::Wrong) {
                        attempts.entry(ticket).or_default().push(is_right && name < 2);
                    }
                    gate.answer(ticket, names[name].as_bytes(), password.into());
                }
                3 => gate.disconnect(ticket, now),
                _ => while gate.work(50, now) == Working::More {},
            }
            for (ticket, tried) in &attempts {
                if tried.contains(&true) {
                    knows.insert(*ticket);
                }
                if gate.poll(*ticket, now) == Status::In {
                    prop_assert!(knows.contains(ticket));
                }
            }
            prop_assert!(gate.connections.len() <= 16 + 8);
        }
    }
}

#[test]
fn who_guesses_from_afar_keeps_nobody_from_the_serial_line() {
    let limits = Limits { attempts: 1, sessions: 0, ..Limits::default() };
    let mut gate = gate_with(limits);
    let mut now = NOW;
    for number in 0..12 {
        now = now + 60 * SECOND;
        if let Ok(ticket) = gate.connect(address(number), now) {
            attempt(&mut gate, ticket, "anna", "wrong", now);
            gate.disconnect(ticket, now);
        }
    }
    let here = gate.connect_serial(now);
    let later = now + 600 * SECOND;
    assert_eq!(gate.poll(here, later), Status::Asking, "there is no hurry");
    assert_eq!(attempt(&mut gate, here, "anna", "password", later).1, Status::In);
    assert!(!gate.is_busy());
}
