//! Whatever frames come from the cable, the host's stack goes on: it neither panics nor spins, and a listener listens again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::stack::{
    Card, Connection, Ipv4Config, Ipv6Config, Link, ListenConfig, Polled, Sent, Stack, StackConfig,
};
use net::switch::MacAddr;
use net::time::Instant;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORT: u16 = 23;
const BUDGET: usize = 16;
const CONNECTIONS: usize = 4;

/// What comes from the cable, or what the session does.
#[derive(arbitrary::Arbitrary, Debug)]
enum Step {
    /// A frame as it is.
    Raw(Vec<u8>),
    /// A frame to us, of one of the protocols that we have.
    Frame { kind: u8, rest: Vec<u8> },
    /// A packet of IPv4 to us with sums that are right.
    Packet { from: u8, protocol: u8, contents: Vec<u8> },
    /// A segment of TCP with numbers near those that are right.
    Segment {
        from: u8,
        port: u8,
        sequence: i8,
        ack: i8,
        flags: u8,
        window: u16,
        options: Vec<u8>,
        data: u8,
    },
    /// An answer of a DHCP server.
    Dhcp { kind: u8, address: u8, options: Vec<u8> },
    /// Time passes.
    Wait { millis: u16 },
    /// The cable is pulled, or put in.
    Cable,
    /// Whoever is connected is told something, and what it said is read.
    Talk { bytes: u16 },
    /// A connection ends.
    Close { number: u8, now: bool },
    /// The card takes nothing more for one poll.
    Full,
}

/// A cable whose other end is the fuzzer's.
struct Cable {
    link: Link,
    is_full: bool,
    come: VecDeque<Vec<u8>>,
    sent: usize,
    /// Where the last segment of ours ended, and what it acknowledged.
    sequence: u32,
    ack: u32,
    /// The number of the last DHCP request.
    transaction: [u8; 4],
}

impl Cable {
    fn watch(&mut self, frame: &[u8]) {
        let is_ipv4 = frame.get(12..14) == Some(&[8, 0]);
        match frame.get(23) {
            Some(6) if is_ipv4 && frame.len() >= 54 => {
                let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
                let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
                let data = total - 20 - usize::from(frame[46] >> 4) * 4;
                let ends = u32::from(frame[47] & 1) + u32::from(frame[47] >> 1 & 1);
                self.sequence = word(38).wrapping_add(data as u32).wrapping_add(ends);
                self.ack = word(42);
            }
            Some(17) if is_ipv4 && frame.len() >= 50 => {
                self.transaction = frame[46..50].try_into().unwrap();
            }
            // Who has that address? One half of the network answers.
            _ if frame.get(12..14) == Some(&[8, 6]) && frame[21] == 1 && frame[41] < 128 => {
                let asker = [&MAC.0[..], &frame[28..32]].concat();
                let answer = [&[0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9], &frame[38..42], &asker];
                self.come.push_back(self::frame([8, 6], &answer.concat()));
            }
            _ => {}
        }
    }
}

impl Card for Cable {
    fn mac(&self) -> MacAddr {
        MAC
    }

    fn link(&self) -> Link {
        self.link
    }

    fn can_send(&self) -> bool {
        !self.is_full
    }

    fn send(&mut self, frame: &[u8]) -> Sent {
        assert!((14..=1514).contains(&frame.len()) && !self.is_full);
        assert_eq!(frame[6..12], MAC.0);
        self.sent += 1;
        self.watch(frame);
        Sent::Yes
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let come = self.come.pop_front()?;
        let len = come.len().min(frame.len());
        frame[..len].copy_from_slice(&come[..len]);
        Some(len)
    }
}

/// The sum of RFC 1071.
fn sum(parts: &[&[u8]]) -> [u8; 2] {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// None, mostly; or some around the right number, or one that is far off.
fn offset(number: i8) -> i32 {
    let number = i32::from(number);
    match number {
        -32..=95 => 0,
        96.. => number - 112,
        _ => number << 24,
    }
}

fn frame(kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
    [&MAC.0[..], &[2, 0, 0, 0, 0, 9], &kind, rest].concat()
}

fn packet(from: u8, to: Ipv4Addr, protocol: u8, mut contents: Vec<u8>) -> Vec<u8> {
    contents.truncate(1480);
    let source = [10, 0, 0, from];
    let len = (contents.len() as u16).to_be_bytes();
    let at = match protocol {
        1 => Some(2),
        6 => Some(16),
        17 => Some(6),
        _ => None,
    };
    if let Some(at) = at
        && contents.len() >= at + 2
    {
        contents[at..at + 2].fill(0);
        let pseudo = [&source[..], &to.octets(), &[0, protocol], &len].concat();
        let pseudo = if protocol == 1 { &[] } else { &pseudo[..] };
        let sum = sum(&[pseudo, &contents]);
        contents[at..at + 2].copy_from_slice(&sum);
    }
    let total = (contents.len() as u16 + 20).to_be_bytes();
    let mut header =
        [&[0x45, 0], &total[..], &[0, 0, 0, 0, 64, protocol, 0, 0], &source, &to.octets()].concat();
    let checksum = sum(&[&header]);
    header[10..12].copy_from_slice(&checksum);
    frame([8, 0], &[header, contents].concat())
}

fn datagram(from: u8, to: Ipv4Addr, ports: [u16; 2], contents: &[u8]) -> Vec<u8> {
    let [source, destination] = ports.map(u16::to_be_bytes);
    let len = (contents.len() as u16 + 8).to_be_bytes();
    packet(from, to, 17, [&source, &destination, &len, &[0, 0], contents].concat())
}

fn dhcp(transaction: [u8; 4], kind: u8, address: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 1, 6, 0];
    bytes.extend(transaction);
    bytes.extend([0; 8]);
    bytes.extend([10, 0, 0, address]);
    bytes.extend([0; 8]);
    bytes.extend(MAC.0);
    bytes.resize(236, 0);
    bytes.extend([99, 130, 83, 99, 53, 1, kind % 8, 54, 4, 10, 0, 0, 9]);
    if address != 0 {
        bytes.extend([
            1, 4, 255, 255, 255, 0, 51, 4, 0, 0, 0, 60, 3, 4, 10, 0, 0, 9, 6, 4, 10, 0, 0, 8,
        ]);
    }
    bytes.extend(options.iter().take(400));
    bytes.push(255);
    datagram(9, Ipv4Addr::BROADCAST, [67, 68], &bytes)
}

fn contents(step: &Step, cable: &Cable) -> Option<Vec<u8>> {
    Some(match step {
        Step::Raw(bytes) => bytes.clone(),
        Step::Frame { kind, rest } => {
            let kinds = [[8, 0], [8, 6], [0x86, 0xdd], [0x81, 0]];
            frame(kinds[usize::from(kind % 4)], rest)
        }
        Step::Packet { from, protocol, contents } => {
            packet(*from, OWN, *protocol, contents.clone())
        }
        Step::Segment { from, port, sequence, ack, flags, window, options, data } => {
            let sequence = cable.ack.wrapping_add_signed(offset(*sequence));
            let ack = cable.sequence.wrapping_add_signed(offset(*ack));
            let mut options = options[..options.len().min(40)].to_vec();
            options.resize(options.len().next_multiple_of(4), 0);
            let words = (5 + options.len() / 4) as u8;
            let mut segment = [[0x40, *port], PORT.to_be_bytes()].concat();
            segment.extend([sequence.to_be_bytes(), ack.to_be_bytes()].concat());
            segment.extend([words << 4, flags & 0x3f]);
            segment.extend(window.to_be_bytes());
            segment.extend([0; 4]);
            segment.extend(options);
            segment.extend(vec![b'x'; (*data).into()]);
            packet(*from, OWN, 6, segment)
        }
        Step::Dhcp { kind, address, options } => dhcp(cable.transaction, *kind, *address, options),
        Step::Wait { .. } | Step::Cable | Step::Talk { .. } | Step::Close { .. } | Step::Full => {
            return None;
        }
    })
}

fuzz_target!(|input: (bool, Vec<Step>)| {
    let (is_dhcp, steps) = input;
    let mut cable = Cable {
        link: Link::Up,
        is_full: false,
        come: VecDeque::new(),
        sent: 0,
        sequence: 0,
        ack: 0,
        transaction: [0; 4],
    };
    let ipv4 = if is_dhcp {
        Ipv4Config::Dhcp
    } else {
        Ipv4Config::Static { address: OWN, prefix: 24, gateway: None }
    };
    let config = StackConfig { ipv4, ipv6: Ipv6Config::LinkLocal };
    let mut now = Instant(1_000_000_000);
    let mut stack = Stack::new(&config, &mut cable, 1, now).unwrap();
    let listening = ListenConfig {
        connections: CONNECTIONS,
        receive_bytes: 512,
        send_bytes: 512,
        ..ListenConfig::default()
    };
    let listener = stack.listen(PORT, &listening).unwrap();
    let mut connections: Vec<Connection> = Vec::new();
    for step in steps {
        match &step {
            Step::Wait { millis } => now = now + Duration::from_millis((*millis).into()),
            Step::Cable => {
                cable.link = if cable.link == Link::Up { Link::Down } else { Link::Up };
            }
            Step::Talk { bytes } => {
                for connection in &connections {
                    let _ = stack.receive(*connection, &mut [0; 1000]);
                    let _ = stack.send(*connection, &vec![b'y'; (*bytes).into()]);
                }
            }
            Step::Close { number, now: at_once } if !connections.is_empty() => {
                let index = usize::from(*number) % connections.len();
                let connection = connections.swap_remove(index);
                if *at_once { stack.abort(connection, now) } else { stack.close(connection, now) }
            }
            Step::Full => cable.is_full = true,
            _ => cable.come.extend(contents(&step, &cable)),
        }
        cable.sent = 0;
        // It comes to rest: time that it names has not come yet.
        let mut polls = 0;
        loop {
            cable.sent = 0;
            let polled = stack.poll(&mut cable, BUDGET, now);
            assert!(cable.sent <= BUDGET);
            polls += 1;
            assert!(polls < 64, "it never rests");
            let is_at_rest = matches!(polled, Polled::Until(at) if at > now);
            if is_at_rest || cable.is_full {
                break;
            }
        }
        cable.is_full = false;
        cable.come.clear();
        while let Some(connection) = stack.accept(listener) {
            connections.push(connection);
        }
        assert!(connections.len() <= CONNECTIONS);
        let _ = stack.pong();
    }
    // Whatever was begun is over when everybody is gone and there was time.
    for connection in connections {
        stack.abort(connection, now);
    }
    cable.link = Link::Up;
    for _ in 0..1000 {
        now = now + Duration::from_secs(1);
        while let Some(connection) = stack.accept(listener) {
            stack.abort(connection, now);
        }
        stack.poll(&mut cable, BUDGET, now);
        if stack.listening(listener) == CONNECTIONS {
            break;
        }
    }
    assert_eq!(stack.listening(listener), CONNECTIONS);
});
