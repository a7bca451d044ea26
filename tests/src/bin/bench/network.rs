//! The shell over telnet: how long an answer takes while guests want all CPUs, and what a session costs. In wall time: what
//! people wait for. Counted instructions would not say it, for QEMU's network is on time of its own.

use std::time::{Duration, Instant};

use machine_tests::{Machine, Peer, Roost};
use serde_json::Value;

use crate::figure::{Figure, Unit};

const TELNET: u16 = 23;
const LIMIT: Duration = Duration::from_secs(60);
const ROUND_TRIPS: usize = 500;
const SESSIONS: usize = 8;
/// The aim: what is typed is shown within this.
const LONGEST_MS: f64 = 20.0;
const MOST_BYTES: f64 = 65536.0;
/// What is set aside for each connection when the port is opened: two buffers.
const BUFFERS: f64 = 10240.0;
/// Of "password", and made in no time.
const HOST: &str = "[[user]]\nname = \"anna\"\nrole = \"admin\"\n\
    password = \"$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI\"\n";

/// Both.
pub(crate) fn measure(machine: Machine) -> Vec<Figure> {
    let mut roost = machine
        .file("configs/host.toml", HOST)
        .probe("one", "test=spin")
        .probe("two", "test=spin")
        .network(&[TELNET])
        .boot();
    let port = roost.port(TELNET);
    let mut first = log_in(port);
    let idle = round_trips(&mut first);
    roost.start("one");
    roost.start("two");
    let busy = round_trips(&mut first);
    drop(first);
    let before = heap(&mut roost, 0);
    let _sessions: Vec<Peer> = (0..SESSIONS).map(|_| log_in(port)).collect();
    let each = (heap(&mut roost, SESSIONS) - before) / SESSIONS as f64 + BUFFERS;
    let figure = |name: &str, value, target| {
        Figure::without_bare(name, Unit::Milliseconds, Some(value), target)
    };
    vec![
        figure("telnet round trip, idle, median", percentile(&idle, 50), None),
        figure("telnet round trip, busy, median", percentile(&busy, 50), None),
        figure("telnet round trip, busy, p99", percentile(&busy, 99), Some(LONGEST_MS)),
        Figure::without_bare("memory of a session", Unit::Bytes, Some(each), Some(MOST_BYTES)),
    ]
}

fn log_in(port: u16) -> Peer {
    let mut peer = Peer::connect(port);
    for (question, answer) in [("login: ", "anna\r\n"), ("password: ", "password\r\n")] {
        peer.expect(question.as_bytes(), LIMIT);
        peer.send(answer.as_bytes());
    }
    peer.expect(b"roost> ", LIMIT);
    peer
}

/// How long answers take, in milliseconds, the shortest first.
fn round_trips(peer: &mut Peer) -> Vec<f64> {
    let mut times: Vec<f64> = (0..ROUND_TRIPS)
        .map(|number| {
            let start = Instant::now();
            peer.send(format!("echo answer {number}.\r\n").as_bytes());
            peer.expect(format!("answer {number}.").as_bytes(), LIMIT);
            let time = start.elapsed().as_secs_f64() * 1000.0;
            peer.expect(b"roost> ", LIMIT);
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn percentile(times: &[f64], percent: usize) -> f64 {
    times.get(times.len() * percent / 100).copied().unwrap_or(f64::NAN)
}

/// What the heap holds while there are so many sessions.
fn heap(roost: &mut Roost, sessions: usize) -> f64 {
    let deadline = Instant::now() + LIMIT;
    // The serial port's is one more.
    while roost.list("session list").len() != sessions + 1 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    roost.json("mem").get("heap_used_bytes").and_then(Value::as_f64).unwrap_or(f64::NAN)
}
