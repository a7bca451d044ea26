//! Two hosts on a wire: the stack, and a client.

use super::*;
use crate::stack::{Card, Sent};
use proptest::prelude::*;
use smoltcp::socket::tcp::{self, State};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 23;
/// Frames that a card keeps.
const RING: usize = 64;
const MILLISECOND: Duration = Duration::from_millis(1);

/// One end of a wire.
struct End {
    mac: MacAddr,
    link: Link,
    incoming: Queue,
    outgoing: Queue,
}

impl Card for End {
    fn mac(&self) -> MacAddr {
        self.mac
    }
    fn link(&self) -> Link {
        self.link
    }
    fn can_send(&self) -> bool {
        self.outgoing.borrow().len() < RING
    }
    fn send(&mut self, frame: &[u8]) -> Sent {
        if !self.can_send() {
            return Sent::Full;
        }
        self.outgoing.borrow_mut().push_back(frame.to_vec());
        Sent::Yes
    }
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let next = self.incoming.borrow_mut().pop_front()?;
        frame.get_mut(..next.len())?.copy_from_slice(&next);
        Some(next.len())
    }
}

/// A host with smoltcp's own sockets.
struct Client {
    card: End,
    frames: Frames,
    interface: Interface,
    sockets: SocketSet<'static>,
    next_port: u16,
}

impl Client {
    fn connect(&mut self, to: IpAddr) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 2048]);
        let handle = self.sockets.add(tcp::Socket::new(buffer(), buffer()));
        self.next_port += 1;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.connect(self.interface.context(), (to, PORT), self.next_port).unwrap();
        handle
    }
    fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }
    fn poll(&mut self, now: Instant) {
        let mut device = polling(&mut self.card, &mut self.frames, 1000);
        self.interface.poll(time(now), &mut device, &mut self.sockets);
    }
}

struct World {
    now: Instant,
    card: End,
    stack: Stack,
    listener: ListenerId,
    client: Client,
}

impl World {
    fn new(connections: usize) -> Self {
        let now = Instant(1_000_000_000);
        let (one, two) = (Queue::default(), Queue::default());
        let mac = |number| MacAddr([2, 0, 0, 0, 0, number]);
        let end = |number, incoming: &Queue, outgoing: &Queue| End {
            mac: mac(number),
            link: Link::Up,
            incoming: Rc::clone(incoming),
            outgoing: Rc::clone(outgoing),
        };
        let mut card = end(1, &one, &two);
        let ipv4 = Ipv4Config::Static { address: SERVER, prefix: 24, gateway: None };
        let config = StackConfig { ipv4, ipv6: Ipv6Config::LinkLocal };
        let mut stack = Stack::new(&config, &mut card, 7, now).unwrap();
        let listener = ListenConfig { connections, ..ListenConfig::default() };
        let listener = stack.listen(PORT, &listener).unwrap();
        let mut client = end(2, &two, &one);
        let mut frames = Frames::new();
        let hardware = Config::new(HardwareAddress::Ethernet(EthernetAddress(client.mac.0)));
        let mut interface =
            Interface::new(hardware, &mut polling(&mut client, &mut frames, 0), time(now));
        interface.update_ip_addrs(|own| {
            own.push(IpCidr::Ipv4(Ipv4Cidr::new(CLIENT, 24))).unwrap();
            own.push(IpCidr::Ipv6(Ipv6Cidr::new(client.mac.link_local(), 64))).unwrap();
        });
        let sockets = SocketSet::new(Vec::new());
        let client = Client { card: client, frames, interface, sockets, next_port: 40_000 };
        Self { now, card, stack, listener, client }
    }

    /// Lets a millisecond pass.
    fn step(&mut self) {
        self.now = self.now + MILLISECOND;
        let _ = self.stack.poll(&mut self.card, 16, self.now);
        self.client.poll(self.now);
    }

    /// Lets time pass until something is so, for at most ten seconds.
    fn until<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        for _ in 0..10_000 {
            self.step();
            if let Some(found) = what(self) {
                return found;
            }
        }
        panic!("it never was");
    }

    /// Connects. It may be refused at times, as people are who then try again.
    fn connect(&mut self, to: IpAddr) -> (SocketHandle, Connection) {
        let mut handle = self.client.connect(to);
        let connection = self.until(|world| {
            if world.client.socket(handle).state() == State::Closed {
                handle = world.client.connect(to);
            }
            world.stack.accept(world.listener)
        });
        (handle, connection)
    }

    fn read(&mut self, connection: Connection) -> Vec<u8> {
        self.until(|world| {
            let mut buf = [0; 100];
            let len = world.stack.receive(connection, &mut buf).unwrap();
            (len != 0).then(|| buf[..len].to_vec())
        })
    }
}

#[test]
fn bytes_go_both_ways_over_both_protocols() {
    for server in [SERVER.into(), MacAddr([2, 0, 0, 0, 0, 1]).link_local().into()] {
        let mut world = World::new(2);
        let (handle, connection) = world.connect(server);
        let peer = world.stack.peer(connection).unwrap();
        assert_eq!((peer.is_ipv4(), peer.port()), (server.is_ipv4(), 40_001));
        world.client.socket(handle).send_slice(b"vm list\r").unwrap();
        assert_eq!(world.read(connection), b"vm list\r");
        assert_eq!(world.stack.send(connection, b"none\r\n"), Ok(6));
        let got = world.until(|world| {
            let socket = world.client.socket(handle);
            socket.can_recv().then(|| socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap())
        });
        assert_eq!(got, b"none\r\n");
        world.until(|world| (world.stack.unsent(connection) == 0).then_some(()));
        world.client.socket(handle).close();
        let mut buf = [0];
        world.until(|world| world.stack.receive(connection, &mut buf).err());
        let now = world.now;
        world.stack.close(connection, now);
        assert_eq!(world.stack.send(connection, b"x"), Err(Gone));
        world.until(|world| (world.stack.listening(world.listener) == 2).then_some(()));
    }
}

#[test]
fn hundreds_of_connections_in_a_row_come_about_and_leave_nothing() {
    let mut world = World::new(3);
    for number in 0..300 {
        let (handle, connection) = world.connect(SERVER.into());
        let now = world.now;
        match number % 3 {
            // Ours is in TIME-WAIT, theirs is, and it is cut.
            0 => world.stack.close(connection, now),
            1 => {
                world.client.socket(handle).close();
                world.step();
                world.stack.close(connection, now);
            }
            _ => world.client.socket(handle).abort(),
        }
        world.step();
        world.step();
        world.client.socket(handle).close();
        world.step();
        world.stack.close(connection, now);
        world.client.socket(handle).abort();
        world.step();
        world.client.sockets.remove(handle);
    }
    world.until(|world| (world.stack.listening(world.listener) == 3).then_some(()));
    assert!(world.stack.sockets.iter().count() == 3 + 8);
}

#[test]
fn as_many_can_come_at_once_as_there_are_sockets_that_nobody_uses() {
    let mut world = World::new(6);
    for _ in 0..6 {
        let (handle, connection) = world.connect(SERVER.into());
        let now = world.now;
        world.stack.close(connection, now);
        world
            .until(|world| (world.client.socket(handle).state() == State::CloseWait).then_some(()));
        world.client.socket(handle).close();
        world.step();
        world.step();
    }
    let old = world.stack.counters().given_up;
    // All but one are in TIME-WAIT; the SYNs come in one batch.
    assert_eq!(world.stack.listening(world.listener), 1);
    let handles: Vec<_> = (0..6).map(|_| world.client.connect(SERVER.into())).collect();
    let mut accepted = 0;
    world.until(|world| {
        while world.stack.accept(world.listener).is_some() {
            accepted += 1;
        }
        (accepted == 6).then_some(())
    });
    for handle in handles {
        assert_eq!(world.client.socket(handle).state(), State::Established);
    }
    assert_eq!(world.stack.counters().given_up, old);
}

#[test]
fn a_peer_is_told_at_once_that_its_connection_was_cut_also_while_frames_come() {
    let mut world = World::new(2);
    let (handle, connection) = world.connect(SERVER.into());
    let now = world.now;
    world.stack.abort(connection, now);
    world.card.incoming.borrow_mut().push_back(syn(1));
    world.step();
    world.step();
    assert_eq!(world.client.socket(handle).state(), State::Closed);
    world.until(|world| (world.stack.listening(world.listener) >= 1).then_some(()));
}

#[test]
fn a_half_open_connection_wakes_nobody_while_others_can_come() {
    let mut world = World::new(2);
    world.card.incoming.borrow_mut().push_back(syn(1));
    for _ in 0..7000 {
        world.now = world.now + MILLISECOND;
        let polled = world.stack.poll(&mut world.card, 16, world.now);
        world.card.outgoing.borrow_mut().clear();
        assert!(matches!(polled, Polled::Until(at) if at > world.now), "{polled:?}");
    }
    assert_eq!(world.stack.listening(world.listener), 2);
}

#[test]
fn a_connection_that_does_not_end_soon_makes_room_when_no_socket_listens() {
    let mut world = World::new(2);
    let (handle, one) = world.connect(SERVER.into());
    let _other = world.connect(SERVER.into());
    let now = world.now;
    world.stack.close(one, now);
    // The peer says nothing more but that it has heard so.
    world.until(|world| (world.client.socket(handle).state() == State::CloseWait).then_some(()));
    world.step();
    assert_eq!(world.stack.listening(world.listener), 0);
    let polled = world.stack.poll(&mut world.card, 16, world.now);
    let Polled::Until(at) = polled else { panic!("{polled:?}") };
    assert!(at > world.now && at < now + Duration::from_secs(1));
    let _ = world.stack.poll(&mut world.card, 16, at);
    assert_eq!(world.stack.listening(world.listener), 1);
}

#[test]
fn a_connection_that_both_sides_have_closed_was_not_given_up() {
    let mut world = World::new(2);
    let (handle, connection) = world.connect(SERVER.into());
    let now = world.now;
    world.stack.close(connection, now);
    world.until(|world| (world.client.socket(handle).state() == State::CloseWait).then_some(()));
    world.client.socket(handle).close();
    // It is in TIME-WAIT for ten seconds.
    for _ in 0..2 {
        let end = world.now + Duration::from_secs(8);
        world.until(|world| (world.now >= end).then_some(()));
    }
    assert_eq!(world.stack.listening(world.listener), 2);
    assert_eq!(world.stack.counters().given_up, 0);
}

/// A SYN of somebody who does not exist.
fn syn(number: u32) -> Vec<u8> {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{
        EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet, Ipv4Repr,
        TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
    };
    let checksum = ChecksumCapabilities::default();
    let source = Ipv4Addr::from_bits(SERVER.to_bits() + 10 + number % 200);
    let tcp = TcpRepr {
        src_port: 1024 + (number % 60_000) as u16,
        dst_port: PORT,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(number as i32),
        ack_number: None,
        window_len: 1000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let ip = Ipv4Repr {
        src_addr: source,
        dst_addr: SERVER,
        next_header: IpProtocol::Tcp,
        payload_len: tcp.buffer_len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress([2, 0, 0, 0, 0, 9]),
        dst_addr: EthernetAddress([2, 0, 0, 0, 0, 1]),
        ethertype: EthernetProtocol::Ipv4,
    };
    let mut bytes = vec![0; 14 + 20 + tcp.buffer_len()];
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut bytes[..]));
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[14..]), &checksum);
    tcp.emit(
        &mut TcpPacket::new_unchecked(&mut bytes[34..]),
        &source.into(),
        &SERVER.into(),
        &checksum,
    );
    bytes
}

#[test]
fn a_flood_of_syns_keeps_nobody_out_for_long_and_leaves_nothing() {
    let mut world = World::new(4);
    for number in 0..50 {
        world.card.incoming.borrow_mut().push_back(syn(number));
    }
    for _ in 0..20 {
        world.step();
    }
    assert_eq!(world.stack.listening(world.listener), 0);
    // While it goes on, one for every ten milliseconds.
    let mut number = 50;
    let mut handle = world.client.connect(SERVER.into());
    let connection = world.until(|world| {
        number += 1;
        if number % 10 == 0 {
            world.card.incoming.borrow_mut().push_back(syn(number));
        }
        // It is refused at times, as people are who then try again.
        if world.client.socket(handle).state() == State::Closed {
            handle = world.client.connect(SERVER.into());
        }
        world.stack.accept(world.listener)
    });
    let now = world.now;
    world.stack.abort(connection, now);
    world.client.socket(handle).abort();
    world.until(|world| (world.stack.listening(world.listener) == 4).then_some(()));
    assert!(world.stack.counters().given_up > 0);
}

#[test]
fn a_peer_that_does_not_read_holds_up_itself_only() {
    let mut world = World::new(2);
    let (_, slow) = world.connect(SERVER.into());
    let (fast_handle, fast) = world.connect(SERVER.into());
    let mut taken = 0;
    for _ in 0..200 {
        taken += world.stack.send(slow, &[b'x'; 1000]).unwrap();
        world.step();
    }
    // Its own buffer and ours.
    assert!(taken <= 2048 + (8 << 10), "{taken}");
    assert_eq!(world.stack.send(slow, b"x"), Ok(0));
    world.client.socket(fast_handle).send_slice(b"hello").unwrap();
    assert_eq!(world.read(fast), b"hello");
    // When it is closed, it has some seconds.
    let now = world.now;
    world.stack.close(slow, now);
    world.until(|world| (world.stack.listening(world.listener) == 1).then_some(()));
}

#[test]
fn a_peer_that_is_gone_is_noticed() {
    let mut world = World::new(1);
    let (_, connection) = world.connect(SERVER.into());
    world.client.card.incoming = Queue::default();
    let mut buf = [0];
    let mut result = Ok(0);
    for _ in 0..100 {
        world.now = world.now + Duration::from_secs(1);
        world.step();
        world.card.outgoing.borrow_mut().clear();
        result = world.stack.receive(connection, &mut buf);
    }
    assert_eq!(result, Err(Gone));
}

#[test]
fn a_port_that_is_given_up_leaves_nothing_and_can_be_had_again() {
    let mut world = World::new(2);
    let before = world.stack.sockets.iter().count();
    let config = ListenConfig { connections: 3, ..ListenConfig::default() };
    let other = world.stack.listen(99, &config).unwrap();
    assert_eq!(world.stack.listen(99, &config), Err(Error::Port));
    assert_eq!(world.stack.listening(other), 3);
    world.stack.unlisten(other);
    world.stack.unlisten(other);
    assert_eq!(world.stack.sockets.iter().count(), before);
    assert_eq!((world.stack.listening(other), world.stack.accept(other)), (0, None));
    let again = world.stack.listen(99, &config).unwrap();
    assert_ne!(again, other);
    // The other port goes on. Whoever was connected to one that is gone is told at the next word.
    let (client, connection) = world.connect(IpAddr::V4(SERVER));
    world.stack.unlisten(world.listener);
    assert_eq!(world.stack.receive(connection, &mut [0; 8]), Err(Gone));
    assert_eq!(world.stack.send(connection, b"x"), Err(Gone));
    world.client.socket(client).send_slice(b"x").unwrap();
    world.until(|world| (world.client.socket(client).state() == State::Closed).then_some(()));
}

#[test]
fn a_poll_moves_no_more_frames_than_it_may() {
    let mut world = World::new(1);
    for number in 0..60 {
        world.card.incoming.borrow_mut().push_back(syn(number));
    }
    let now = world.now;
    assert_eq!(world.stack.poll(&mut world.card, 5, now), Polled::More);
    assert!(world.stack.counters().received <= 5 && world.stack.counters().sent <= 5);
    assert!(world.card.incoming.borrow().len() >= 55);
    for _ in 0..100 {
        let _ = world.stack.poll(&mut world.card, 5, now);
    }
    assert!(matches!(world.stack.poll(&mut world.card, 5, now), Polled::Until(at) if at > now));
}

#[test]
fn echoes_are_asked_for_and_given() {
    let mut world = World::new(1);
    let own = MacAddr([2, 0, 0, 0, 0, 2]).link_local();
    for (sequence, to) in [(1, IpAddr::from(CLIENT)), (2, own.into())] {
        world.stack.ping(to, sequence, world.now).unwrap();
        let pong = world.until(|world| world.stack.pong());
        assert_eq!((pong.from, pong.sequence, pong.bytes), (to, sequence, 40));
    }
    for sequence in 0..100 {
        world.stack.ping(CLIENT.into(), sequence, world.now).unwrap();
    }
    let mut count = 0;
    world.step();
    world.step();
    while world.stack.pong().is_some() {
        count += 1;
    }
    assert!(
        (1..=8).contains(&count),
        "requests that have not left make room for new ones: {count}"
    );
}

#[test]
fn an_echo_is_not_asked_for_where_no_way_leads() {
    let mut world = World::new(1);
    let now = world.now;
    let mut ping = |to: &str| world.stack.ping(to.parse().unwrap(), 1, now);
    for to in ["10.0.1.255", "8.8.8.8", "2001:db8::1", "0.0.0.0"] {
        assert_eq!(ping(to), Err(Error::Unreachable), "{to}");
    }
    for to in ["10.0.0.2", "10.0.0.255", "fe80::1", "ff02::1"] {
        assert_eq!(ping(to), Ok(()), "{to}");
    }
    let ipv4 = Ipv4Config::Static { address: SERVER, prefix: 24, gateway: Some(CLIENT) };
    let config = StackConfig { ipv4, ipv6: Ipv6Config::LinkLocal };
    let mut stack = Stack::new(&config, &mut world.card, 7, now).unwrap();
    assert_eq!(stack.ping(Ipv4Addr::new(8, 8, 8, 8).into(), 1, now), Ok(()));
    assert_eq!(stack.ping(IpAddr::V6(Ipv6Addr::LOCALHOST), 1, now), Err(Error::Unreachable));
    let (address, gateway) = ("fd00::1".parse().unwrap(), "fd00::2".parse().ok());
    let ipv6 = Ipv6Config::Static { address, prefix: 64, gateway };
    let mut stack = Stack::new(&StackConfig { ipv4, ipv6 }, &mut world.card, 7, now).unwrap();
    for nobody in ["0.0.0.0", "::"] {
        assert_eq!(stack.ping(nobody.parse().unwrap(), 1, now), Err(Error::Unreachable));
    }
}

#[test]
fn an_echo_of_nobody_holds_up_no_other() {
    let mut world = World::new(1);
    let nobody = Ipv4Addr::new(10, 0, 0, 99);
    for sequence in 0..20 {
        world.stack.ping(nobody.into(), sequence, world.now).unwrap();
        world.step();
    }
    world.stack.ping(CLIENT.into(), 20, world.now).unwrap();
    let start = world.now;
    let pong = world.until(|world| world.stack.pong());
    assert_eq!(pong.sequence, 20);
    assert!(world.now.since(start) < Duration::from_secs(4), "{:?}", world.now.since(start));
    for _ in 0..3000 {
        world.step();
    }
    let quiet = world.stack.poll(&mut world.card, 16, world.now);
    assert!(
        matches!(quiet, Polled::Until(at) if at > world.now + Duration::from_secs(2)),
        "{quiet:?}"
    );
}

#[test]
fn what_cannot_be_configured_is_refused() {
    let mut world = World::new(1);
    let mut new = |ipv4, mac| {
        world.card.mac = mac;
        let config = StackConfig { ipv4, ipv6: Ipv6Config::Off };
        Stack::new(&config, &mut world.card, 7, Instant(0)).map(|_| ())
    };
    let own = MacAddr([2, 0, 0, 0, 0, 1]);
    let address = |address, prefix| Ipv4Config::Static { address, prefix, gateway: None };
    assert_eq!(new(Ipv4Config::Off, MacAddr::BROADCAST), Err(Error::NotUnicast));
    assert_eq!(new(address(Ipv4Addr::BROADCAST, 24), own), Err(Error::Address));
    assert_eq!(new(address(Ipv4Addr::UNSPECIFIED, 24), own), Err(Error::Address));
    assert_eq!(new(address(SERVER, 33), own), Err(Error::Address));
    assert_eq!(new(address(SERVER, 32), own), Ok(()));
    let config = ListenConfig { connections: 1, ..ListenConfig::default() };
    assert_eq!(world.stack.listen(PORT, &config), Err(Error::Port));
    assert_eq!(world.stack.listen(0, &config), Err(Error::Port));
}

#[test]
fn a_client_of_dhcp_asks_again_when_the_cable_comes_back() {
    let mut world = World::new(1);
    let config = StackConfig { ipv4: Ipv4Config::Dhcp, ipv6: Ipv6Config::Off };
    let mut stack = Stack::new(&config, &mut world.card, 7, world.now).unwrap();
    let asked = |world: &mut World, stack: &mut Stack| {
        let _ = stack.poll(&mut world.card, 16, world.now);
        let frames: Vec<_> = world.card.outgoing.borrow_mut().drain(..).collect();
        frames.iter().filter(|frame| frame[..6] == [0xff; 6]).count()
    };
    assert_eq!(asked(&mut world, &mut stack), 1);
    assert_eq!(asked(&mut world, &mut stack), 0);
    world.card.link = Link::Down;
    assert_eq!(asked(&mut world, &mut stack), 0);
    world.card.link = Link::Up;
    assert_eq!(asked(&mut world, &mut stack), 1);
    assert_eq!(stack.addresses(), Addresses::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_frames_are_survived(
        frames in prop::collection::vec(
            (any::<bool>(), 0..80usize, prop::collection::vec(any::<u8>(), 0..200)),
            0..100,
        ),
    ) {
        let mut world = World::new(2);
        for (number, (is_like_syn, at, bytes)) in (0..).zip(frames) {
            let mut frame = bytes.clone();
            if is_like_syn {
                frame = syn(number);
                for (place, byte) in frame.iter_mut().skip(at).zip(bytes.iter().take(4)) {
                    *place = *byte;
                }
            }
            world.card.incoming.borrow_mut().push_back(frame);
            world.step();
        }
        world.client.card.incoming.borrow_mut().clear();
        let (handle, connection) = world.connect(SERVER.into());
        world.client.socket(handle).send_slice(b"x").unwrap();
        prop_assert_eq!(world.read(connection), b"x");
    }
}
