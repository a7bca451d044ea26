//! Peers that do what no good one does. Whatever they do, the serial shell answers, the telnet session of somebody else answers,
//! guests run on, and in the end memory is as it was.

use std::time::{Duration, Instant};

use machine_tests::packet::{BROADCAST, Ends, Mac, SYN, arp_answer};
use machine_tests::{Cable, End, Machine, Monitor, Peer, Plugged, Roost, Telnet};
use std::net::Ipv4Addr;

const TELNET: u16 = 23;
const LIMIT: Duration = Duration::from_secs(60);
/// How long one connection of many may take.
const MOMENT: Duration = Duration::from_secs(20);
/// A user and her password, "password", whose hash is made in no time.
const ANNA: &str = "[[user]]\nname = \"anna\"\nrole = \"admin\"\n\
    password = \"$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI\"\n";

/// Roost, with a guest that ticks and a session that goes on.
struct Field {
    roost: Roost,
    session: Telnet,
    port: u16,
    lines: u32,
    random: u64,
}

impl Field {
    /// On a network of its own, where logging in may take so long.
    fn new(machine: Machine, login_timeout: &str) -> Self {
        Self::on(machine.network(&[TELNET]), login_timeout)
    }

    /// On a machine with a card.
    fn on(machine: Machine, login_timeout: &str) -> Self {
        let mut roost = machine
            .file("configs/host.toml", format!("[login]\ntimeout = \"{login_timeout}\"\n{ANNA}"))
            .probe("bystander", "test=pause lines=1000000")
            .boot();
        roost.start("bystander");
        let port = roost.port(TELNET);
        let session = log_in(port);
        let mut field = Self { roost, session, port, lines: 0, random: 1 };
        field.check();
        field
    }

    /// Everybody else goes on.
    fn check(&mut self) {
        self.lines += 1;
        self.session.send_line(&format!("echo still here {}", self.lines));
        self.session.expect(&format!("\nstill here {}", self.lines), LIMIT);
        assert!(self.roost.succeed("vm list").contains("bystander"));
        self.roost.wait_for_ticks("bystander");
    }

    /// What was done leaves nothing behind.
    fn end(mut self, before: &serde_json::Value) {
        self.check();
        self.roost.check_memory(before);
        self.roost.power_off();
    }

    fn peer(&self) -> Peer {
        Peer::connect(self.port)
    }

    /// Bytes by chance (xorshift64), the same in each run, but none by which a name or password would end.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            self.random.to_le_bytes()[3]
        };
        (0..count)
            .map(|_| next())
            .map(|byte| if matches!(byte, 10 | 13) { 7 } else { byte })
            .collect()
    }
}

/// Logs in as people do.
fn log_in(port: u16) -> Telnet {
    let deadline = Instant::now() + LIMIT;
    // The host may have no address yet, and then nobody is there.
    loop {
        let mut session = Telnet::connect(port);
        if session.find("login: ", MOMENT).is_some() {
            session.send_line("anna");
            session.expect("password: ", LIMIT);
            session.send_line("password");
            session.expect("roost> ", LIMIT);
            return session;
        }
        if Instant::now() > deadline {
            session.fail("nobody asks for a name");
        }
    }
}

/// Logs a peer in that speaks no telnet.
fn enter(mut peer: Peer) -> Peer {
    for (question, answer) in
        [(&b"login: "[..], &b"anna\r\n"[..]), (b"password: ", b"password\r\n")]
    {
        peer.expect(question, LIMIT);
        assert_eq!(peer.send(answer), End::Open);
    }
    peer.expect(b"roost> ", LIMIT);
    peer
}

/// The client agrees that the server shows what is typed, and sends no "go ahead".
const CHARACTER_MODE: &[u8] = &[255, 253, 1, 255, 253, 3];

fn bytes_that_mean_nothing_or_too_much_harm_nobody(machine: Machine) {
    let mut field = Field::new(machine, "10m");
    let before = field.roost.json("mem");
    // By chance.
    for _ in 0..20 {
        let bytes = field.bytes(50_000);
        let mut peer = field.peer();
        peer.push(&bytes, MOMENT);
    }
    field.check();
    // Storms: of options, of questions whether somebody is there, and of both without ever reading what is answered.
    for unit in [
        &[255, 253, 24][..],
        &[255, 251, 39, 255, 252, 39],
        &[255, 246],
        &[255, 253, 1, 255, 254, 1],
    ] {
        let storm = unit.repeat(300_000 / unit.len());
        let mut peer = field.peer();
        peer.push(&storm, MOMENT);
        field.check();
    }
    // A subnegotiation without end.
    let mut peer = field.peer();
    peer.push(&[&[255, 250, 24][..], &vec![b'x'; 1 << 20]].concat(), MOMENT);
    assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
    field.check();
    // Lines of a megabyte, as a name and as a password.
    let mut peer = field.peer();
    peer.expect(b"login: ", LIMIT);
    let line = [&vec![b'x'; 1 << 20][..], b"\r\n"].concat();
    assert_eq!(peer.push(&line, MOMENT), line.len());
    peer.expect(b"password: ", 3 * LIMIT);
    assert_eq!(peer.push(&line, MOMENT), line.len());
    peer.expect(b"Login incorrect.", 3 * LIMIT);
    drop(peer);
    // And as a command.
    let mut peer = enter(field.peer());
    assert_eq!(peer.push(&line, MOMENT), line.len());
    assert_eq!(peer.send(b"echo what comes next\r\n"), End::Open);
    peer.expect(b"what comes next", 3 * LIMIT);
    drop(peer);
    field.end(&before);
}

fn nothing_that_a_terminal_obeys_reaches_anybody_else(machine: Machine) {
    const SEQUENCE: &[u8] = b"\x1b]0;owned\x07\x1b[2J\x9b31m\x08\x7f\x00anna";
    let mut field = Field::new(machine, "1m");
    let before = field.roost.json("mem");
    let mut peer = field.peer();
    peer.send(CHARACTER_MODE);
    peer.expect(b"login: ", LIMIT);
    peer.send(&[SEQUENCE, b"\r\0"].concat());
    peer.expect(b"password: ", LIMIT);
    peer.send(&[SEQUENCE, b"\r\0"].concat());
    peer.expect(b"Login incorrect.", LIMIT);
    // It has not even got it back.
    assert!(!peer.received().contains(&0x1b));
    assert!(!peer.received().contains(&0x9b));
    drop(peer);
    // Those who are in are no better: what they type is shown to who asks what was done.
    let mut peer = enter(field.peer());
    peer.send(&[b"vm info '", SEQUENCE, b"'\r\n"].concat());
    peer.send(b"vm info \"\xc2\x9b31m\xe2\x80\xaeowned\"\r\n");
    peer.send(b"echo do''ne\r\n");
    peer.expect(b"done", LIMIT);
    for command in ["audit", "log show", "session list", "who", "audit --json", "log show --json"] {
        let shown = field.roost.run(command);
        let is_harmless = |char: char| !char.is_control() || char == '\n';
        let harm: Vec<char> = shown.chars().filter(|char| !is_harmless(*char)).collect();
        assert!(harm.is_empty() && !shown.contains('\u{202e}'), "{command}: {harm:?} in {shown:?}");
    }
    field.check();
    assert!(!field.session.transcript().contains("owned"));
    drop(peer);
    field.end(&before);
}

fn who_only_connects_keeps_nobody_out_for_long(machine: Machine) {
    let mut field = Field::new(machine, "10s");
    let before = field.roost.json("mem");
    // Four of one address are asked who they are, and no more.
    let mut silent: Vec<Peer> = (0..4).map(|_| field.peer()).collect();
    for peer in &mut silent {
        peer.expect(b"login: ", LIMIT);
    }
    for _ in 0..8 {
        assert_eq!(field.peer().wait_for_end(LIMIT), End::Closed);
    }
    field.check();
    // One of them types so slowly that it is always busy; it is logged out all the same.
    let start = Instant::now();
    let mut slow = silent.remove(0);
    while slow.send(b"a") == End::Open && slow.wait_for_end(MOMENT / 40) == End::Open {
        assert!(start.elapsed() < LIMIT, "it is never logged out");
    }
    for mut peer in silent {
        assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
    }
    // Some go without a goodbye, and some say it and stay.
    for number in 0..40 {
        let mut peer = field.peer();
        if number % 2 == 0 {
            peer.reset();
        } else {
            peer.finish();
            assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
        }
    }
    drop(log_in(field.port));
    field.end(&before);
}

/// Connections in a row, each of another kind.
/// They leave after the greeting: QEMU's user network takes up to a second for one that is gone before it has come about.
/// Those are in the flood of SYNs.
fn connect_and_leave(field: &mut Field, count: u32) {
    for number in 0..count {
        let mut peer = field.peer();
        peer.expect(b"login: ", LIMIT);
        match number % 4 {
            0 => peer.reset(),
            1 => drop(peer),
            2 => {
                peer.send(b"anna\r\npass");
                peer.reset();
            }
            _ => {
                peer.send(&[255, 253, 1, 255, 251, 31, 255, 250]);
                peer.finish();
                assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
            }
        }
        if number % 500 == 0 {
            field.check();
        }
    }
}

fn ten_thousand_connections_in_a_row_leave_nothing_behind(machine: Machine) {
    let mut field = Field::new(machine, "1m");
    // What is made once, for the first.
    connect_and_leave(&mut field, 20);
    let before = field.roost.json("mem");
    connect_and_leave(&mut field, 10_000);
    drop(log_in(field.port));
    field.end(&before);
}

fn who_stops_reading_loses_output_and_nobody_waits(machine: Machine) {
    let mut field = Field::new(machine, "1m");
    let before = field.roost.json("mem");
    let mut deaf = enter(Peer::connect_deaf(field.port));
    let deadline = Instant::now() + 3 * LIMIT;
    let lost = |roost: &mut Roost| {
        let sessions = roost.list("session list");
        let lost = sessions.iter().filter_map(|session| session.get("lost_bytes")?.as_u64());
        lost.sum::<u64>()
    };
    // What is on the way between is a matter of buffers elsewhere.
    while lost(&mut field.roost) == 0 {
        deaf.push(&b"help\r\n".repeat(2000), Duration::from_secs(1));
        field.check();
        assert!(Instant::now() < deadline, "nothing was lost");
    }
    // It is told when it listens again.
    deaf.expect(b"bytes of output were lost]", LIMIT);
    drop(deaf);
    field.end(&before);
}

/// Half-open connections from everywhere: SYNs (RFC 9293, 3.5) that nobody acknowledges the answers to.
fn a_flood_of_syns_keeps_nobody_out_for_long(machine: Machine) {
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
    let mut cable = Cable::new();
    let mut field = Field::on(machine.network_beside(&cable, &[TELNET]), "1m");
    let before = field.roost.json("mem");
    let station = |number: u8| -> (Mac, Ipv4Addr) {
        ([2, 0, 0, 0, 7, number], Ipv4Addr::new(10, 0, 2, number))
    };
    let question = Ends { from: station(100), to: (BROADCAST, OWN) };
    cable.send(&question.arp_request());
    let mac = cable.wait_for("an answer to ARP", LIMIT, |frame| arp_answer(frame, OWN));
    for number in 0..6000_u16 {
        let [high, low] = number.to_be_bytes();
        let ends = Ends { from: station(100 + low % 100), to: (mac, OWN) };
        if high == 0 || number % 16 == 0 {
            // It is there, so that the answer leaves.
            cable.send(&ends.arp_reply());
        }
        cable.send(&ends.segment((5000 + number, TELNET), u32::from(number) << 8, 0, SYN));
        if number % 32 == 0 {
            cable.drain();
        }
        if number % 2000 == 0 {
            field.check();
        }
    }
    field.check();
    // The flood may go on for as long as it takes somebody to come in.
    drop(log_in(field.port));
    field.end(&before);
}

fn the_cable_may_be_pulled_and_the_addresses_may_go(machine: Machine) {
    const LINK_DOWN: &str = "network link down";
    const ADDRESS: &str = "network address 10.0.2.15/24";
    const LOST: &str = "the network address is lost";
    let mut monitor = Monitor::new();
    let [option, socket] = monitor.flags();
    let cable = Cable::new();
    let machine = machine.network_beside(&cable, &[TELNET]).flags(&[&option, &socket]);
    let mut field = Field::on(machine, "1m");
    let before = field.roost.json("mem");
    let count = |field: &mut Field, text: &str| field.roost.run("log show").matches(text).count();
    let addresses = count(&mut field, ADDRESS);
    let wait_for = |field: &mut Field, text: &str, times: usize| {
        let deadline = Instant::now() + LIMIT;
        while count(field, text) < times {
            assert!(Instant::now() < deadline, "not in the log, {times} times: {text}");
        }
    };
    monitor.set_link("card", Plugged::Out);
    wait_for(&mut field, LINK_DOWN, 1);
    field.roost.wait_for_ticks("bystander");
    monitor.set_link("card", Plugged::In);
    wait_for(&mut field, ADDRESS, addresses + 1);
    // Who was in is in, for nobody has said goodbye.
    field.check();
    // Nobody answers DHCP.
    monitor.set_link("outside", Plugged::Out);
    monitor.set_link("card", Plugged::Out);
    wait_for(&mut field, LINK_DOWN, 2);
    let lost = count(&mut field, LOST);
    monitor.set_link("card", Plugged::In);
    wait_for(&mut field, LOST, lost + 1);
    field.roost.wait_for_ticks("bystander");
    monitor.set_link("outside", Plugged::In);
    wait_for(&mut field, ADDRESS, addresses + 2);
    // Without an address nobody could say goodbye.
    field.session = log_in(field.port);
    field.end(&before);
}

machine_tests::tests! {
    aarch64 {
        bytes_that_mean_nothing_or_too_much_harm_nobody(Machine::virt());
        nothing_that_a_terminal_obeys_reaches_anybody_else(Machine::virt());
        who_only_connects_keeps_nobody_out_for_long(Machine::virt());
        ten_thousand_connections_in_a_row_leave_nothing_behind(Machine::virt());
        who_stops_reading_loses_output_and_nobody_waits(Machine::virt());
        a_flood_of_syns_keeps_nobody_out_for_long(Machine::virt());
        the_cable_may_be_pulled_and_the_addresses_may_go(Machine::virt());
    }
    svm {
        bytes_that_mean_nothing_or_too_much_harm_nobody(Machine::svm());
        nothing_that_a_terminal_obeys_reaches_anybody_else(Machine::svm());
        who_only_connects_keeps_nobody_out_for_long(Machine::svm());
        ten_thousand_connections_in_a_row_leave_nothing_behind(Machine::svm());
        who_stops_reading_loses_output_and_nobody_waits(Machine::svm());
        a_flood_of_syns_keeps_nobody_out_for_long(Machine::svm());
        the_cable_may_be_pulled_and_the_addresses_may_go(Machine::svm());
    }
}
