//! A guest that drives its virtio devices as no driver should: they need a reset and then work, Roost counts why, and the
//! others run on.

use machine_tests::{Machine, Roost};
use serde_json::Value;

const CONFIG: &str = "name = \"bad\"\nmemory = \"32M\"\nrng = true\nballoon = true\n\
    [boot]\nkernel = \"probe/probe.elf\"\n[[net]]\nnetwork = \"nat\"\n[[disk]]\nbacking = \"ram:1M\"\n";

/// The probe's tests and the devices that they misuse, as `vm info` names them.
const DEVICES: [(&str, &str); 5] = [
    ("virtio-block", "virtio disk"),
    ("virtio-entropy", "virtio rng"),
    ("virtio-balloon", "virtio balloon"),
    ("virtio-net", "virtio net"),
    ("virtio-console", "virtio console"),
];

/// What every device must have been done wrong, as `vm info` says it.
const FAULTS: [&str; 18] = [
    "a queue has an impossible size",
    "a part of a queue is not aligned",
    "a part of a queue is outside of RAM",
    "parts of a queue overlap",
    "the driver skipped a step of the initialization",
    "a queue that does not exist was notified",
    "the available index ran away",
    "a descriptor's index is not in its table",
    "a chain of descriptors loops or is too long",
    "a segment has no bytes",
    "a segment is outside of RAM",
    "a readable segment follows a writable one",
    "a segment to be written overlaps another, or the queue",
    "the segments of a chain have more than 4 GiB together",
    "an indirect descriptor was not agreed on",
    "an indirect descriptor is in an indirect table",
    "an indirect descriptor is chained",
    "an indirect table has an odd size",
];

/// What the heap may hold more in the end: less than a disk's buffers.
const HEAP_BYTES: u64 = 64 << 10;

/// How often a device was used in this wrong way.
fn count(info: &Value, device: &str, fault: &str) -> u64 {
    let devices = info.get("devices").and_then(Value::as_array).into_iter().flatten();
    let has_name = |value: &&Value, name| value.get("name").and_then(Value::as_str) == Some(name);
    let device = devices.into_iter().find(|found| has_name(found, device));
    let faults = device.and_then(|device| device.get("activity")?.get("faults")?.as_array());
    let found = faults.into_iter().flatten().find(|found| has_name(found, fault));
    found.and_then(|found| found.get("count")?.as_u64()).unwrap_or(0)
}

/// All memory is back, apart from what the heap has grown by and what the shell remembers.
fn check_memory(before: &Value, after: &Value) {
    for of_guests in ["guests_bytes", "tables_bytes", "stacks_bytes"] {
        assert_eq!(before.get(of_guests), after.get(of_guests), "{of_guests}");
    }
    let used = |memory: &Value| memory.get("heap_used_bytes").and_then(Value::as_u64).unwrap_or(0);
    assert!(used(after) < used(before) + HEAP_BYTES, "{before}\n{after}");
}

/// The switch has counted who the guest pretended to be.
fn check_port(roost: &mut Roost) {
    let switch = roost.json("net switch nat").to_string();
    for why in ["mac", "address"] {
        assert!(switch.contains(&format!("\"name\":\"{why}\"")), "{why}: {switch}");
    }
}

/// Runs the probe's test of a device to its end, and returns what `vm info` says then.
fn misuse(roost: &mut Roost, test: &str) -> Value {
    let console = if test == "virtio-console" { "virtio" } else { "serial" };
    roost.succeed(&format!("vm create bad 'cmdline=test={test}' console={console}"));
    roost.succeed("vm start bad");
    roost.wait_for_text("bad", "probe: done");
    roost.wait_for_state("bad", "stopped,crashed");
    let log = roost.log("bad");
    assert!(log.contains(&format!("probe: ok {test}")), "{test}: {log}");
    let info = roost.json("vm info bad");
    if test == "virtio-net" {
        check_port(roost);
    }
    roost.destroy("bad");
    // The other guest runs on.
    roost.wait_for_ticks("bystander");
    assert_eq!(roost.state("bystander"), "running");
    info
}

fn a_device_that_was_misused_needs_a_reset_and_works_again(machine: Machine) {
    let mut roost = machine
        .probe("bystander", "test=pause lines=1000000")
        .file("configs/bad.toml", CONFIG)
        .boot();
    roost.start("bystander");
    let before = roost.json("mem");
    for (test, device) in DEVICES {
        let info = misuse(&mut roost, test);
        for fault in FAULTS {
            assert!(count(&info, device, fault) > 0, "{device}, {fault}: {info}");
        }
        if test == "virtio-net" {
            for (fault, times) in [
                ("frames of an impossible length", 4),
                ("frames whose header asks for the impossible", 6),
                ("commands that were refused", 6),
                ("a request is too malformed to be answered", 3),
            ] {
                assert_eq!(count(&info, device, fault), times, "{fault}: {info}");
            }
        }
        if test == "virtio-block" {
            let fault = "a request is too malformed to be answered";
            assert_eq!(count(&info, device, fault), 3, "{info}");
        }
    }
    check_memory(&before, &roost.json("mem"));
    roost.power_off();
}

fn a_packed_queue_that_was_misused_works_again(machine: Machine) {
    let config = format!("{CONFIG}[virtio]\nring = \"packed\"\n");
    let mut roost = machine
        .probe("bystander", "test=pause lines=1000000")
        .file("configs/bad.toml", config)
        .boot();
    roost.start("bystander");
    let info = misuse(&mut roost, "virtio-packed");
    for fault in
        ["a chain of descriptors loops or is too long", "an indirect descriptor is chained"]
    {
        assert!(count(&info, "virtio disk", fault) > 0, "{fault}: {info}");
    }
    roost.power_off();
}

fn a_queue_that_changes_while_it_is_read_harms_nobody_else(machine: Machine) {
    let mut roost = machine
        .probe("bystander", "test=pause lines=1000000")
        .file("configs/bad.toml", format!("vcpus = 2\n{CONFIG}"))
        .boot();
    roost.start("bystander");
    let before = roost.json("mem");
    misuse(&mut roost, "virtio-race");
    check_memory(&before, &roost.json("mem"));
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        a_device_that_was_misused_needs_a_reset_and_works_again(Machine::virt());
        a_packed_queue_that_was_misused_works_again(Machine::virt());
        a_queue_that_changes_while_it_is_read_harms_nobody_else(Machine::virt());
    }
    svm {
        a_device_that_was_misused_needs_a_reset_and_works_again(Machine::svm());
        a_packed_queue_that_was_misused_works_again(Machine::svm());
        a_queue_that_changes_while_it_is_read_harms_nobody_else(Machine::svm());
    }
}
