//! Linux on virtio devices: its console, a disk in memory, and a source of entropy.

use machine_tests::{Guests, Machine, Roost};
use serde_json::Value;

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
    let mut roost = machine.guests(Guests::All).boot();
    let before = roost.memory();
    roost.succeed(&format!("vm create {NAME} 'cmdline=console=hvc0 quiet'"));
    roost.succeed(&format!("vm start {NAME}"));
    roost.wait_for_text(NAME, PROMPT);
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
    roost.succeed(&format!("vm create {NAME} 'cmdline=console=hvc0 quiet'"));
    roost.succeed(&format!("vm start {NAME}"));
    roost.wait_for_text(NAME, PROMPT);
    roost.does(NAME, "cmp -n 67108864 /dev/vda /dev/zero");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        linux_lives_on_virtio_and_its_ram_disk_survives_a_reset(Machine::virt());
    }
    svm {
        linux_lives_on_virtio_and_its_ram_disk_survives_a_reset(Machine::svm());
    }
}
