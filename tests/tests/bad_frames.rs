//! Frames that no kernel sends, from the network that Roost is on: floods, forgeries, and packets that are none. The host's stack
//! answers afterwards as before, guests run on, and memory is as it was.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use machine_tests::packet::{
    ACK, BROADCAST, Ends, Mac, SYN, arp_answer, frame, ipv4_contents, ipv6,
};
use machine_tests::{Cable, Machine, Roost};

const LIMIT: Duration = Duration::from_secs(60);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 2);
const PEER: (Mac, Ipv4Addr) = ([2, 0, 0, 0, 0, 7], Ipv4Addr::new(10, 9, 8, 7));
const HOST: &str = "[management]\nipv4 = \"10.9.8.2/24\"\n";

/// Roost at the other end of a cable, with a guest that ticks.
struct Stage {
    roost: Roost,
    cable: Cable,
    ends: Ends,
    echoes: u16,
    random: u64,
}

impl Stage {
    fn new(machine: Machine) -> Self {
        let mut cable = Cable::new();
        let mut roost = machine
            .file("configs/host.toml", HOST)
            .probe("bystander", "test=pause lines=1000000")
            .flags(&["-netdev", &cable.netdev("cable")])
            .card("cable")
            .boot();
        roost.start("bystander");
        let question = Ends { from: PEER, to: (BROADCAST, OWN) };
        cable.send(&question.arp_request());
        let mac = cable.wait_for("an answer to ARP", LIMIT, |frame| arp_answer(frame, OWN));
        let ends = Ends { from: PEER, to: (mac, OWN) };
        let mut stage = Self { roost, cable, ends, echoes: 0, random: 1 };
        stage.check();
        stage
    }

    /// The host answers the network and the serial port, and the guest runs.
    fn check(&mut self) {
        self.echoes += 1;
        self.cable.drain();
        // It may ask for our station first, as often as it likes: it is told anew what it may have been told wrongly.
        self.cable.send(&self.ends.arp_reply());
        self.cable.send(&self.ends.echo_request(self.echoes));
        let (answer, ends) = (self.echoes.to_be_bytes(), self.ends);
        self.cable.wait_for("an echo", LIMIT, |frame| {
            let contents = ipv4_contents(frame, ends.to.1, 1)?;
            (contents.first() == Some(&0) && contents.get(6..8)? == answer).then_some(())
        });
        assert!(self.roost.succeed("vm list").contains("bystander"));
        self.roost.wait_for_ticks("bystander");
    }

    /// Sends frames, and looks what has become of Roost.
    fn send(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) {
        for (number, frame) in (1..).zip(frames) {
            self.cable.send(&frame);
            // What comes back is read at times, or the machine would wait for us, and we for it.
            if number % 32 == 0 {
                self.cable.drain();
            }
        }
        self.check();
    }

    /// The next number of xorshift64: the same in each run.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.random().to_le_bytes()[3]).collect()
    }
}

/// A frame of each kind that the host reads.
fn samples(ends: Ends) -> Vec<Vec<u8>> {
    let discovery = [&[2, 1, 6, 0][..], &[0; 232], &[99, 130, 83, 99, 53, 1, 5, 255]].concat();
    let link_local = |mac: Mac| {
        let [a, b, c, d, e, f] = mac.map(u16::from);
        Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f)
    };
    let (from, to) = ((ends.from.0, link_local(ends.from.0)), (ends.to.0, link_local(ends.to.0)));
    let solicitation = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &to.1.octets(), &[1, 0]].concat();
    let advertisement = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &to.1.octets(), &[2, 1]].concat();
    vec![
        ends.arp_request(),
        ends.arp_reply(),
        ends.echo_request(7),
        ends.segment((4000, 23), 1, 0, SYN),
        ends.segment((4000, 23), 1, 1, ACK | SYN),
        ends.datagram((67, 68), &discovery),
        ends.datagram((4000, 9), &[0; 600]),
        // What TCP calls unreachable, and a redirect to ourselves.
        ends.packet(1, &[&[3, 1, 0, 0, 0, 0, 0, 0][..], &[0x45; 28]].concat()),
        ends.packet(1, &[&[5, 1, 0, 0][..], &ends.from.1.octets(), &[0x45; 28]].concat()),
        ends.packet(2, &[0x11, 0, 0, 0, 224, 0, 0, 1]),
        ipv6(from, to, 58, &solicitation),
        ipv6(from, to, 58, &advertisement),
        // Options within options, a fragment, and a routing header.
        ipv6(from, to, 0, &[58, 0, 5, 2, 0, 0, 1, 0]),
        ipv6(from, to, 44, &[58, 0, 0, 1, 0, 0, 0, 1, 128, 0]),
        ipv6(from, to, 43, &[58, 200, 0, 255]),
    ]
}

/// What QEMU's cable does not carry is not sent: a frame has two addresses.
fn cut(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    frame.truncate(length.max(12));
    frame
}

fn frames_that_are_none_change_nothing(machine: Machine) {
    let mut stage = Stage::new(machine);
    let before = stage.roost.json("mem");
    let ends = stage.ends;
    // Bytes by chance, with an address that makes the card take them.
    let raw: Vec<_> = (0..2000)
        .map(|_| {
            let length = usize::try_from(stage.random() % 1500).unwrap_or_default();
            [&ends.to.0[..], &stage.bytes(length)].concat()
        })
        .collect();
    stage.send(raw);
    // Everything that has a meaning, cut off everywhere.
    for sample in samples(ends) {
        stage.send((12..sample.len().min(120)).map(|length| cut(sample.clone(), length)));
    }
    // And with a byte of it wrong, everywhere.
    for sample in samples(ends) {
        let wrong: Vec<_> = (12..sample.len().min(120))
            .map(|at| {
                let mut frame = sample.clone();
                frame[at] ^= stage.random().to_le_bytes()[0] | 1;
                frame
            })
            .collect();
        stage.send(wrong);
    }
    // The longest that go through a cable, and longer ones.
    stage.send(
        (1500..1540).map(|length| frame(ends.to.0, ends.from.0, [8, 0], &vec![0x45; length])),
    );
    stage.roost.check_memory(&before);
    stage.roost.power_off();
}

fn forgeries_do_not_stop_the_host(machine: Machine) {
    let mut stage = Stage::new(machine);
    let before = stage.roost.json("mem");
    let ends = stage.ends;
    // Somebody else says that he is the host, or everybody.
    let own = |mac| Ends { from: (mac, OWN), to: (BROADCAST, OWN) }.arp_reply();
    let everybody = |last: u8| {
        let address = Ipv4Addr::new(10, 9, 8, last);
        Ends { from: ([2, 0, 0, 0, 9, last], address), to: ends.to }.arp_reply()
    };
    stage.send((0..100).map(|_| own(PEER.0)).chain((0..=255).cycle().take(3000).map(everybody)));
    // Nobody is at these addresses, or everybody.
    let strange = [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(10, 9, 8, 255),
        OWN,
    ];
    let strange = strange.into_iter().flat_map(|from| {
        [PEER.0, BROADCAST, ends.to.0].map(|mac| Ends { from: (mac, from), to: ends.to })
    });
    stage.send(strange.flat_map(samples));
    // A flood from everywhere.
    let stations: Vec<_> = (0..5000).map(|_| stage.random()).collect();
    let flood = stations.into_iter().map(|random| {
        let [a, b, c, d, e, f, g, h] = random.to_le_bytes();
        let from = ([2, a, b, c, d, e], Ipv4Addr::new(10, 9, f, g));
        let ends = Ends { from, to: ends.to };
        if h & 1 == 0 { ends.echo_request(9) } else { ends.segment((4000, 23), 1, 0, SYN) }
    });
    stage.send(flood);
    stage.roost.check_memory(&before);
    stage.roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        frames_that_are_none_change_nothing(Machine::virt());
        forgeries_do_not_stop_the_host(Machine::virt());
    }
    svm {
        frames_that_are_none_change_nothing(Machine::svm());
        forgeries_do_not_stop_the_host(Machine::svm());
    }
}
