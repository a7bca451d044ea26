//! Linux on virtio devices: its console, a disk in memory, and a source of entropy, with either layout of queues.

use machine_tests::{Guests, Machine, Roost};
use serde_json::Value;
use std::time::Duration;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(180);
const PROMPT: &str = "linux:~# ";
const NAME: &str = "linux-virtio";

/// What the device with this name has done; null if there is none that counts.
fn activity(roost: &mut Roost, name: &str) -> Value {
    let info = roost.json(&format!("vm info {NAME}"));
    let devices = info.get("devices").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_it = |device: &&Value| device.get("name").and_then(Value::as_str) == Some(name);
    let found = devices.iter().find(is_it).and_then(|device| device.get("activity"));
    found.cloned().unwrap_or_default()
}

fn linux_lives_on_virtio_and_its_ram_disk_survives_a_reset(machine: Machine) {
    live(machine, "split");
}

fn linux_lives_on_packed_queues_and_its_ram_disk_survives_a_reset(machine: Machine) {
    live(machine, "packed");
}

/// Linux on virtio devices with this layout of queues.
fn live(machine: Machine, ring: &str) {
    let create = format!("vm create {NAME} 'cmdline=console=hvc0 quiet' virtio.ring={ring}");
    // Whether drivers took VIRTIO_F_RING_PACKED, feature 34 (virtio 1.2, 6): Linux lists them from 0 on.
    let packed = match ring {
        "packed" => "1",
        _ => "0",
    };
    let mut roost = machine.guests(Guests::All).boot();
    let before = roost.memory();
    roost.succeed(&create);
    roost.succeed(&format!("vm start {NAME}"));
    roost.wait_for_text(NAME, PROMPT);
    let taken = "[ \"$(cut -c 35 /sys/bus/virtio/devices/*/features | sort -u)\" = ";
    roost.does(NAME, &format!("{taken}{packed} ]"));
    roost.does(NAME, "grep -q virtio /sys/class/misc/hw_random/rng_current");
    roost.does(NAME, "[ $(head -c 1024 /dev/hwrng | md5sum | wc -c) = 36 ]");
    roost.does(NAME, "mke2fs -q /dev/vda");
    roost.does(NAME, "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt");
    roost.does(NAME, "dd if=/dev/urandom of=/mnt/data bs=64k count=256 && sync");
    roost.does(NAME, "sha256sum /mnt/data | cut -c 1-64 >/mnt/sum && sync");

    roost.succeed(&format!("vm reset {NAME}"));
    roost.wait_for_text(NAME, "Welcome to Linux");
    roost.wait_for_text(NAME, PROMPT);
    roost.does(NAME, "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt");
    roost.does(NAME, "[ $(stat -c %s /mnt/data) = 16777216 ]");
    roost.does(NAME, "[ $(sha256sum /mnt/data | cut -c 1-64) = $(cat /mnt/sum) ]");

    for device in ["virtio console", "virtio disk", "virtio rng"] {
        let activity = activity(&mut roost, device);
        for counter in ["notifications", "interrupts"] {
            let count = activity.get(counter).and_then(Value::as_u64);
            assert!(count.is_some_and(|count| count > 0), "{device}: {activity}");
        }
        assert_eq!(activity.get("faults"), Some(&Value::Array(Vec::new())), "{device}");
    }

    // The disk goes with its VM, and the next one has nothing of it.
    roost.destroy(NAME);
    let used = |memory: &Value| memory.get("guests_bytes").and_then(Value::as_u64);
    assert_eq!(used(&roost.memory()), used(&before));
    roost.succeed(&create);
    roost.succeed(&format!("vm start {NAME}"));
    roost.wait_for_text(NAME, PROMPT);
    roost.does(NAME, "cmp -n 67108864 /dev/vda /dev/zero");
    roost.power_off();
}

fn the_console_has_the_size_of_the_terminal(machine: Machine) {
    const QUERY: &str = "\x1b[999;999H\x1b[6n";
    const ANSWER: &str = "\x1b[37;113R";
    let mut roost = machine.guests(Guests::All).switch_on();
    let serial = roost.serial();
    // An answer that comes too late for this prompt counts for the next one.
    serial.expect(QUERY, LIMIT);
    serial.send(&format!("{ANSWER}\r"));
    serial.expect("roost> ", LIMIT);
    serial.send(&format!("\rvm create {NAME}; vm start {NAME}\r"));
    serial.send(&format!("vm expect {NAME} '{PROMPT}' --timeout 170s; echo booted\r"));
    serial.expect("\nbooted", LIMIT);
    serial.send(&format!("vm console {NAME}\r"));
    serial.expect(QUERY, LIMIT);
    serial.send(ANSWER);
    serial.expect(PROMPT, LIMIT);
    // Not on the line with an answer that may have come too late, which the guest got then.
    serial.send("\x03stty size\r");
    serial.expect("\n37 113\r", LIMIT);
}

fn a_guest_that_floods_its_console_holds_nobody_up(machine: Machine) {
    let mut roost = machine.guests(Guests::All).boot();
    roost.start(NAME);
    roost.wait_for_text(NAME, PROMPT);
    roost.type_line(NAME, "yes a flood of $((40 + 2))");
    roost.wait_for_text(NAME, "flood of 42");
    roost.start("hello");
    roost.wait_for_text("hello", "goodbye");
    assert_eq!(roost.state(NAME), "running");
    // It listens, too.
    roost.succeed(&format!("vm send {NAME} '\\x03'"));
    roost.wait_for_text(NAME, PROMPT);
    roost.does(NAME, "true");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        the_console_has_the_size_of_the_terminal(Machine::virt());
        a_guest_that_floods_its_console_holds_nobody_up(Machine::virt());
        linux_lives_on_virtio_and_its_ram_disk_survives_a_reset(Machine::virt());
        linux_lives_on_packed_queues_and_its_ram_disk_survives_a_reset(Machine::virt());
    }
    svm {
        the_console_has_the_size_of_the_terminal(Machine::svm());
        a_guest_that_floods_its_console_holds_nobody_up(Machine::svm());
        linux_lives_on_virtio_and_its_ram_disk_survives_a_reset(Machine::svm());
        linux_lives_on_packed_queues_and_its_ram_disk_survives_a_reset(Machine::svm());
    }
}
