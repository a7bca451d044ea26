//! Linux guests with network cards: they reach each other over a switch of Roost's, and nobody else.

use machine_tests::{Machine, Roost};

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
        "vm create {name} 'cmdline=console=hvc0 quiet roost.ip=10.9.0.{number}/24'"
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

fn guests_of_a_network_reach_each_other_and_nobody_else(machine: Machine) {
    let cards = [
        ("one", "network = \"lan\""),
        ("two", "network = \"lan\""),
        ("three", "network = \"other\""),
    ];
    let mut roost = with_cards(machine, &cards).boot();
    start_all(&mut roost, &["one", "two", "three"]);
    roost.does("one", "ping -c 3 -W 5 10.9.0.2");
    roost.does("two", "ping -c 3 -W 5 10.9.0.1");
    roost.does("three", "! ping -c 2 -W 2 10.9.0.1");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        guests_of_a_network_reach_each_other_and_nobody_else(Machine::virt());
    }
    svm {
        guests_of_a_network_reach_each_other_and_nobody_else(Machine::svm());
    }
}
