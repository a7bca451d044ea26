//! Linux guests with network cards: they reach each other over a switch of Roost's, and nobody else.

use machine_tests::{Machine, Roost};
use serde_json::Value;

const PROMPT: &str = "linux:~# ";

const NETWORKS: &str = "[[network]]\nname = \"lan\"\n\
     [[network]]\nname = \"other\"\n\
     [[network]]\nname = \"apart\"\nisolate = true\n";

/// A machine with these networks, and a configuration of Linux for each card: its VM's name, and lines of its `[[net]]`.
fn with_cards(machine: Machine, cards: &[(&str, &str)]) -> Machine {
    let machine = machine.memory_mib(1536).file("configs/host.toml", NETWORKS);
    cards.iter().fold(machine, |machine, (name, lines)| {
        machine.linux_with(name, &format!("[[net]]\n{lines}\n"))
    })
}

/// Starts Linux with its card at 10.9.0.NUMBER.
fn start(roost: &mut Roost, name: &str, number: usize) {
    roost.succeed(&format!(
        "vm create {name} memory=256M 'cmdline=console=hvc0 quiet roost.ip=10.9.0.{number}/24'"
    ));
    roost.succeed(&format!("vm start {name}"));
}

fn start_all(roost: &mut Roost, names: &[&str]) {
    for (name, number) in names.iter().zip(1..) {
        start(roost, name, number);
    }
    for name in names {
        roost.wait_for_text(name, PROMPT);
    }
}

/// The port of a VM's first card, as `net switch` has it.
fn port(roost: &mut Roost, network: &str, name: &str) -> Value {
    let switch = roost.json(&format!("net switch {network}"));
    let ports = switch.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
    let label = format!("{name} net0");
    let is_it = |port: &Value| port.get("name").and_then(Value::as_str) == Some(&label);
    ports.into_iter().find(is_it).unwrap_or_default()
}

fn number(port: &Value, key: &str) -> u64 {
    port.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// How many frames of the port were refused for this reason.
fn refused(port: &Value, why: &str) -> u64 {
    let reasons = port.get("refused").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_it = |reason: &&Value| reason.get("name").and_then(Value::as_str) == Some(why);
    reasons.iter().find(is_it).map_or(0, |reason| number(reason, "count"))
}

fn guests_of_a_network_reach_each_other_and_nobody_else(machine: Machine) {
    let cards = [
        ("one", "network = \"lan\""),
        ("two", "network = \"lan\""),
        ("three", "network = \"other\""),
    ];
    let mut roost = with_cards(machine, &cards).boot();
    start_all(&mut roost, &["one", "two", "three"]);
    roost.does("one", "ping -c 3 -W 10 10.9.0.2");
    roost.does("two", "ping -c 3 -W 10 10.9.0.1");
    roost.does("three", "! ping -c 2 -W 2 10.9.0.1");
    for name in ["one", "two"] {
        let port = port(&mut roost, "lan", name);
        assert!(number(&port, "sent_frames") >= 6, "{port}");
        assert!(port.get("addresses").is_some_and(|all| all.to_string().contains("10.9.0.")));
    }
    let alone = port(&mut roost, "other", "three");
    assert_eq!(number(&alone, "received_frames"), 0, "{alone}");

    // A card keeps its address when its VM is reset, and its port goes with the VM.
    let mac = port(&mut roost, "lan", "two").get("mac").cloned();
    roost.succeed("vm reset two");
    roost.wait_for_text("two", "Welcome to Linux");
    roost.wait_for_text("two", PROMPT);
    assert_eq!(port(&mut roost, "lan", "two").get("mac").cloned(), mac);
    roost.does("one", "ping -c 1 -W 10 10.9.0.2");
    roost.destroy("two");
    assert_eq!(port(&mut roost, "lan", "two"), Value::Null);
    roost.does("one", "! ping -c 1 -W 2 10.9.0.2");
    roost.power_off();
}

fn a_large_copy_arrives_as_it_was_sent(machine: Machine) {
    let cards = [("one", "network = \"lan\""), ("two", "network = \"lan\"")];
    let mut roost = with_cards(machine, &cards).boot();
    start_all(&mut roost, &["one", "two"]);
    roost.does("one", "dd if=/dev/urandom of=/tmp/data bs=1M count=50");
    roost.does("one", "md5sum </tmp/data >/tmp/sum");
    // By large writes, of which TCP makes large frames.
    roost.does("one", "httpd -p 80 -h /tmp");
    roost.does("two", "wget -q -O /tmp/data http://10.9.0.1/data && md5sum </tmp/data >/tmp/sum");
    // And the sum back, by the same way.
    roost.type_line("one", "nc -l -p 5001 >/tmp/back; cmp /tmp/sum /tmp/back && echo sa\"\"me");
    roost.does("two", "until nc 10.9.0.1 5001 </tmp/sum; do sleep 1; done");
    roost.wait_for_text("one", "same");
    // What TCP had put together was not taken apart.
    let port = port(&mut roost, "lan", "two");
    let (frames, bytes) = (number(&port, "received_frames"), number(&port, "received_bytes"));
    assert!(bytes >= 50 << 20 && bytes / frames > 1514, "{port}");
    roost.power_off();
}

fn a_guest_that_pretends_to_be_another_is_refused(machine: Machine) {
    let cards =
        [("one", "network = \"lan\""), ("two", "network = \"lan\"\nmac = \"52:54:00:00:00:02\"")];
    let mut roost = with_cards(machine, &cards).boot();
    start_all(&mut roost, &["one", "two"]);
    roost.does("one", "ping -c 1 -W 10 10.9.0.2");
    // The other one's IP address.
    roost.does("one", "ip addr add 10.9.0.2/24 dev eth0");
    roost.does("one", "arping -U -c 3 -I eth0 -s 10.9.0.2 10.9.0.2");
    let sender = port(&mut roost, "lan", "one");
    assert!(refused(&sender, "address") >= 3, "{sender}");
    roost.does("one", "ip addr del 10.9.0.2/24 dev eth0");
    roost.does("two", "ping -c 1 -W 10 10.9.0.1");
    // Another MAC address: the card does not take it.
    roost.does("one", "! ifconfig eth0 hw ether 52:54:00:00:00:02");
    roost.does("two", "ping -c 1 -W 10 10.9.0.1");
    roost.power_off();
}

fn guests_that_are_kept_apart_do_not_reach_each_other(machine: Machine) {
    let cards = [("one", "network = \"apart\""), ("two", "network = \"apart\"")];
    let mut roost = with_cards(machine, &cards).boot();
    start_all(&mut roost, &["one", "two"]);
    roost.does("one", "! ping -c 2 -W 2 10.9.0.2");
    let port = port(&mut roost, "apart", "two");
    assert_eq!(number(&port, "received_frames"), 0, "{port}");
    roost.power_off();
}

fn a_guest_sends_no_more_than_its_rate(machine: Machine) {
    const RATE: u64 = 256 << 10;
    const SECONDS: u64 = 10;
    let cards = [("one", "network = \"lan\"\nrate = \"256K\""), ("two", "network = \"lan\"")];
    let mut roost = with_cards(machine, &cards).boot();
    start_all(&mut roost, &["one", "two"]);
    roost.does("one", "ping -c 1 -W 10 10.9.0.2");
    // As much as TCP gets through.
    roost.type_line("two", "nc -l -p 9 >/dev/null");
    roost.does("one", "until nc -w 20 10.9.0.2 9 </dev/null; do sleep 1; done");
    roost.type_line("two", "nc -l -p 9 >/dev/null");
    let before = number(&port(&mut roost, "lan", "one"), "sent_bytes");
    roost.type_line(
        "one",
        &format!("sleep 1; timeout {SECONDS} nc 10.9.0.2 9 </dev/zero; echo en\"\"ded"),
    );
    roost.wait_for_text("one", "ended");
    let sender = port(&mut roost, "lan", "one");
    let sent = number(&sender, "sent_bytes") - before;
    // The burst comes on top, and the last segments after the time. What TCP makes of losses is less than what it may send.
    assert!(sent < 2 * RATE * SECONDS, "{sender}");
    assert!(sent > RATE * SECONDS / 8, "{sender}");
    assert!(refused(&sender, "rate") > 0, "{sender}");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        guests_of_a_network_reach_each_other_and_nobody_else(Machine::virt());
        a_large_copy_arrives_as_it_was_sent(Machine::virt());
        a_guest_that_pretends_to_be_another_is_refused(Machine::virt());
        guests_that_are_kept_apart_do_not_reach_each_other(Machine::virt());
        a_guest_sends_no_more_than_its_rate(Machine::virt());
    }
    svm {
        guests_of_a_network_reach_each_other_and_nobody_else(Machine::svm());
        a_large_copy_arrives_as_it_was_sent(Machine::svm());
        a_guest_that_pretends_to_be_another_is_refused(Machine::svm());
    }
}
