//! The host's own network: addresses, the cable, and guests that go outside by it. The other side is QEMU's user network, which
//! has 10.0.2.2 for this machine's loopback interface.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use machine_tests::{Arch, End, Machine, Monitor, Peer, Plugged, Roost};
use serde_json::Value;
use std::time::Duration;

/// What a test waits for: another minute of a slow machine is no failure.
const MOMENT: Duration = Duration::from_secs(60);

/// Runs `net` until the text is in its JSON.
fn wait_for(roost: &mut Roost, text: &str) -> Value {
    for _ in 0..120 {
        let network = roost.json("net");
        if network.to_string().contains(text) {
            return network;
        }
        roost.succeed("sleep 500ms");
    }
    let network = roost.run("net");
    roost.serial().fail(&format!("no {text} in 'net': {network}"))
}

fn answers(roost: &mut Roost, address: &str, count: u64) {
    let answer = roost.json(&format!("ping {address} --count {count} --timeout 10s"));
    assert_eq!(answer.get("answered").and_then(Value::as_u64), Some(count), "{answer}");
}

/// A machine that spins on all CPUs.
fn busy(machine: Machine) -> Machine {
    ["one", "two"].iter().fold(machine, |machine, name| machine.probe(name, "test=spin"))
}

fn an_address_comes_by_dhcp_and_others_are_reached(machine: Machine) {
    let mut roost = machine.network(&[]).boot();
    let network = wait_for(&mut roost, "10.0.2.15/24");
    for part in [r#""gateway":"10.0.2.2""#, r#""name_servers":["10.0.2.3"]"#, r#""link":"up""#] {
        assert!(network.to_string().contains(part), "{part}: {network}");
    }
    let text = roost.succeed("net");
    assert!(text.contains("ipv4     10.0.2.15/24, by DHCP of 10.0.2.2"), "{text}");
    assert!(text.contains("ipv6     fe80::"), "{text}");
    answers(&mut roost, "10.0.2.2", 3);
    answers(&mut roost, "fe80::2", 1);
    assert!(roost.refuse("ping 10.0.2.77 --count 1").contains("10.0.2.77 does not answer"));
    assert!(roost.refuse("ping 10.0.2.15 --count 1").contains("is the host's own address"));
    assert!(roost.refuse("ping 2001:db8::1 --count 1").contains("there is no route to it"));
    // One that does not answer holds up no other.
    answers(&mut roost, "10.0.2.2", 1);
    let statistics = roost.json("net stats");
    let received = statistics.get("received_frames").and_then(Value::as_u64);
    assert!(received.is_some_and(|frames| frames > 5), "{statistics}");
    let log = roost.succeed("log show");
    assert!(log.contains("network address 10.0.2.15/24"), "{log}");
    roost.power_off();
}

fn an_address_can_be_static(machine: Machine) {
    let config =
        "[management]\nipv4 = \"10.0.2.77/24\"\ngateway = \"10.0.2.2\"\nipv6 = \"fec0::77/64\"\n";
    let mut roost = machine.network(&[]).file("configs/host.toml", config).boot();
    let text = roost.succeed("net");
    assert!(text.contains("ipv4     10.0.2.77/24, static"), "{text}");
    assert!(text.contains("fec0::77/64") && text.contains("static"), "{text}");
    answers(&mut roost, "10.0.2.2", 1);
    answers(&mut roost, "fec0::2", 1);
    roost.power_off();
}

fn a_cable_that_is_pulled_and_put_in_again_is_noticed(machine: Machine) {
    let mut monitor = Monitor::new();
    let flags = monitor.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut roost = machine.network(&[]).flags(&flags).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    answers(&mut roost, "10.0.2.2", 1);
    monitor.set_link("card", Plugged::Out);
    wait_for(&mut roost, r#""link":"down""#);
    assert!(roost.refuse("ping 10.0.2.2").contains("the network link is down"));
    monitor.set_link("card", Plugged::In);
    wait_for(&mut roost, r#""link":"up""#);
    wait_for(&mut roost, "10.0.2.15/24");
    answers(&mut roost, "10.0.2.2", 1);
    let log = roost.succeed("log show");
    assert!(log.contains("network link down") && log.contains("network link up"), "{log}");
    roost.power_off();
}

fn without_a_card_there_is_an_answer_that_says_so(machine: Machine) {
    let mut roost = machine.boot();
    let text = roost.succeed("net");
    assert!(text.contains("the host has no network card"), "{text}");
    assert!(roost.refuse("ping 10.0.2.2").contains("the host has no network card"));
    assert!(roost.refuse("ping example").contains("is no address"));
    roost.succeed("net stats");
    roost.power_off();
}

fn guests_that_are_busy_do_not_keep_the_network_waiting(machine: Machine) {
    let mut roost = busy(machine.cpus(2).network(&[])).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    for name in ["one", "two"] {
        roost.start(name);
        roost.wait_for_state(name, "running");
    }
    answers(&mut roost, "10.0.2.2", 3);
    for name in ["one", "two"] {
        assert_eq!(roost.state(name), "running");
        assert!(roost.cpu_time_ns(name) > 0);
    }
    for name in ["one", "two"] {
        roost.destroy(name);
    }
    roost.power_off();
}

/// Answers each connection by so many bytes over HTTP, until the test ends.
fn serve(bytes: usize) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
                let body = vec![b'x'; bytes];
                // A guest that gives up early is seen by its own test.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            });
        }
    });
    address.port()
}

const GATEWAY: &str = "192.168.76.1";
const NAT: &str = "[[network]]\nname = \"nat\"\nkind = \"nat\"\nsubnet = \"192.168.76.0/24\"\n";

fn guest(machine: Machine, host: &str) -> Machine {
    machine
        .memory_mib(1024)
        .file("configs/host.toml", host)
        .linux_with("guest", "[[net]]\nnetwork = \"nat\"\n")
}

/// Waits until the guest has an address.
fn boot_guest(roost: &mut Roost) {
    roost.start("guest");
    roost.wait_for_text("guest", "linux:~# ");
    let wait = "until ip addr show eth0 | grep -q inet.[0-9]; do sleep 1; done";
    roost.does("guest", wait);
}

fn a_guest_goes_outside_over_the_hosts_address(machine: Machine) {
    let port = serve(50 << 20);
    let mut roost = guest(machine.network(&[23]), NAT).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    boot_guest(&mut roost);
    roost.does("guest", "ip addr show eth0 | grep -q inet.192.168.76.");
    roost.does("guest", &format!("ip route | grep -q default.via.{GATEWAY}"));
    roost.does("guest", &format!("ping -c 2 -W 10 {GATEWAY}"));
    roost.does("guest", "ping -c 1 -W 10 10.0.2.2");
    roost.does("guest", &format!("[ $(wget -q -O - http://10.0.2.2:{port}/ | wc -c) = 52428800 ]"));
    // An answer is an answer, also one that says that there is no such name.
    let query = format!("nslookup nothing.invalid {GATEWAY} 2>&1 | grep -q Address:.*{GATEWAY}");
    roost.does("guest", &query);
    // Nothing of Roost's own is reached that way.
    for address in ["10.0.2.15", GATEWAY] {
        for port in [23, 2324] {
            roost.does("guest", &format!("! nc -w 2 {address} {port} </dev/null"));
        }
    }
    roost.does("guest", "! ping -c 1 -W 2 10.0.2.15");
    let statistics = roost.json("net stats");
    let inbound = statistics.pointer("/nat/inbound").and_then(Value::as_u64);
    assert!(inbound.is_some_and(|packets| packets > 8), "{statistics}");
    roost.destroy("guest");
    roost.power_off();
}

fn a_host_only_network_has_roost_and_nobody_else(machine: Machine) {
    let host = NAT.replace("kind = \"nat\"", "kind = \"host-only\"");
    let mut roost = guest(machine.network(&[]), &host).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    boot_guest(&mut roost);
    roost.does("guest", &format!("ping -c 2 -W 10 {GATEWAY}"));
    roost.does("guest", "! ip route | grep -q default");
    roost
        .does("guest", &format!("ip route add default via {GATEWAY} && ! ping -c 1 -W 2 10.0.2.2"));
    roost.destroy("guest");
    roost.power_off();
}

fn guests_of_the_management_network_reach_the_shell(machine: Machine) {
    let host = format!(
        "[management]\nnetwork = \"nat\"\n{}{}",
        NAT.replace("kind = \"nat\"", "kind = \"host-only\""),
        "[[user]]\nname = \"anna\"\nrole = \"admin\"\n"
    );
    let mut roost = guest(machine.network(&[]), &host).boot();
    let text = roost.succeed("net");
    assert!(text.contains("network 'nat'") && text.contains("192.168.76.1/24"), "{text}");
    boot_guest(&mut roost);
    roost.does("guest", &format!("ping -c 2 -W 10 {GATEWAY}"));
    answers(&mut roost, "192.168.76.2", 1);
    roost.destroy("guest");
    roost.power_off();
}

fn a_bridged_guest_is_on_the_cards_network_and_kept_from_the_host(machine: Machine) {
    let port = serve(10 << 10);
    let host = "[[network]]\nname = \"nat\"\nkind = \"bridged\"\n";
    let mut roost = guest(machine.network(&[]), host).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    boot_guest(&mut roost);
    // QEMU's own DHCP server gives the guest another address than the host's.
    roost.does("guest", "ip addr show eth0 | grep -q inet.10.0.2.1[6-9]");
    roost.does("guest", &format!("wget -q -O /tmp/got http://10.0.2.2:{port}/"));
    roost.does("guest", "[ $(wc -c </tmp/got) = 10240 ]");
    roost.does("guest", "! ping -c 1 -W 2 10.0.2.15");
    // Nor can it take the address of the router, which others would send to, or the host's.
    let refused = |roost: &mut Roost| {
        let switch = roost.json("net switch nat").to_string();
        switch.contains(r#""name":"address""#)
    };
    assert!(!refused(&mut roost));
    roost.does("guest", "ip addr add 10.0.2.2/32 dev eth0");
    roost.does("guest", "arping -U -c 2 -I eth0 -s 10.0.2.2 10.0.2.2");
    roost.does("guest", "ip addr del 10.0.2.2/32 dev eth0");
    assert!(refused(&mut roost));
    roost.does(
        "guest",
        "ip addr add 10.0.2.15/24 dev eth0 && ! ping -c 1 -W 2 -I 10.0.2.15 10.0.2.2",
    );
    answers(&mut roost, "10.0.2.2", 1);
    roost.destroy("guest");
    roost.power_off();
}

fn the_host_can_be_on_the_bridged_network(machine: Machine) {
    let host = "[management]\nnetwork = \"nat\"\n[[network]]\nname = \"nat\"\nkind = \"bridged\"\n";
    let mut roost = guest(machine.network(&[]), host).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    answers(&mut roost, "10.0.2.2", 1);
    boot_guest(&mut roost);
    roost.does("guest", "ping -c 2 -W 10 10.0.2.15");
    roost.destroy("guest");
    roost.power_off();
}

/// A card on PCI.
fn pci(machine: Machine) -> Machine {
    assert_eq!(machine.arch(), Arch::Aarch64, "elsewhere there is nothing else");
    machine.flags(&["-netdev", "user,id=pci", "-device", "virtio-net-pci,netdev=pci,romfile="])
}

fn a_card_on_pci_serves_as_well(machine: Machine) {
    let mut roost = pci(machine).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    let text = roost.succeed("net");
    assert!(text.contains("at PCI 00:"), "{text}");
    answers(&mut roost, "10.0.2.2", 2);
    roost.power_off();
}

fn a_second_card_is_told_of_and_left_alone(machine: Machine) {
    let mut roost = pci(machine.network(&[])).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    let text = roost.succeed("net");
    assert!(text.contains("unused   52:54:00:"), "{text}");
    roost.power_off();
}

/// A port that nobody listens on refuses connections: there is a stack.
fn ports_that_nobody_listens_on_are_closed(machine: Machine) {
    let mut roost = machine.network(&[7]).boot();
    wait_for(&mut roost, "10.0.2.15/24");
    let mut peer = Peer::connect(roost.port(7));
    assert_eq!(peer.wait_for_end(MOMENT), End::Closed);
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        an_address_comes_by_dhcp_and_others_are_reached(Machine::virt());
        a_card_on_pci_serves_as_well(Machine::virt());
        a_second_card_is_told_of_and_left_alone(Machine::virt());
        an_address_can_be_static(Machine::virt());
        a_cable_that_is_pulled_and_put_in_again_is_noticed(Machine::virt());
        without_a_card_there_is_an_answer_that_says_so(Machine::virt());
        guests_that_are_busy_do_not_keep_the_network_waiting(Machine::virt());
        ports_that_nobody_listens_on_are_closed(Machine::virt());
        a_guest_goes_outside_over_the_hosts_address(Machine::virt());
        a_host_only_network_has_roost_and_nobody_else(Machine::virt());
        guests_of_the_management_network_reach_the_shell(Machine::virt());
        a_bridged_guest_is_on_the_cards_network_and_kept_from_the_host(Machine::virt());
        the_host_can_be_on_the_bridged_network(Machine::virt());
    }
    svm {
        an_address_comes_by_dhcp_and_others_are_reached(Machine::svm());
        a_cable_that_is_pulled_and_put_in_again_is_noticed(Machine::svm());
        without_a_card_there_is_an_answer_that_says_so(Machine::svm());
        guests_that_are_busy_do_not_keep_the_network_waiting(Machine::svm());
        a_guest_goes_outside_over_the_hosts_address(Machine::svm());
    }
}
