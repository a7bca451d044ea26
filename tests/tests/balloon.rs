//! Memory that Linux lends by its balloon, and that comes back.

use machine_tests::{Guests, Machine, Roost};
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

const PROMPT: &str = "linux:~# ";
const NAME: &str = "linux-virtio";
const MIB: u64 = 1 << 20;

/// Types a command that must do well. What says so is not in the line itself.
fn does(roost: &mut Roost, command: &str) {
    roost.type_line(NAME, &format!("{command} && echo went $((40 + 2)) well"));
    roost.wait_for_text(NAME, "went 42 well");
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).expect(name)
}

fn balloon(roost: &mut Roost) -> Value {
    roost.json(&format!("vm info {NAME}")).get("balloon").cloned().expect("a balloon")
}

/// Has the guest keep so much, and waits until it lends the rest.
fn keep(roost: &mut Roost, mib: u64) {
    roost.succeed(&format!("vm set {NAME} memory={mib}M"));
    wait_until_kept(roost, mib);
}

fn wait_until_kept(roost: &mut Roost, mib: u64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let kept = number(&roost.vm(NAME), "memory_bytes");
        if kept == mib * MIB {
            return;
        }
        assert!(Instant::now() < deadline, "{kept} bytes are kept: {}", balloon(roost));
        thread::sleep(Duration::from_millis(100));
    }
}

fn what_a_guest_lends_is_for_others_until_it_is_wanted_back(machine: Machine) {
    let mut roost = machine.guests(Guests::All).memory_mib(640).boot();
    let before = roost.memory();
    roost.succeed(&format!("vm create {NAME} balloon=true 'cmdline=console=hvc0 quiet'"));
    roost.succeed(&format!("vm start {NAME}"));
    roost.wait_for_text(NAME, PROMPT);
    let full = roost.memory();

    keep(&mut roost, 128);
    let lean = roost.memory();
    let gained = number(&lean, "free_bytes") + number(&lean, "heap_bytes")
        - number(&full, "free_bytes")
        - number(&full, "heap_bytes");
    // The rest are tables that show what is left page by page.
    assert!(gained >= 127 * MIB, "{gained} bytes");
    does(&mut roost, "[ $(grep MemTotal /proc/meminfo | tr -dc 0-9) -lt 131072 ]");
    let info = balloon(&mut roost);
    assert_eq!(number(&info, "lent_bytes"), 128 * MIB);
    assert_eq!(number(&info, "claimed_bytes"), 128 * MIB);
    assert!(info.get("statistics").and_then(Value::as_array).is_some_and(|all| !all.is_empty()));

    // Another VM that would not have fitted.
    let wanted = number(&full, "free_bytes") / MIB / 2 * 2 + 64;
    roost.succeed(&format!("vm create hello memory={wanted}M"));
    roost.succeed("vm start hello");
    roost.wait_for_state("hello", "stopped");
    let refused = roost.refuse(&format!("vm set {NAME} memory=256M"));
    assert!(refused.contains("no memory for"), "{refused}");
    does(&mut roost, "true");
    let refused = roost.refuse(&format!("vm set {NAME} memory=257M"));
    assert!(refused.contains("up to 256 MiB"), "{refused}");
    let refused = roost.refuse("vm set hello memory=2M");
    assert!(refused.contains("has no balloon"), "{refused}");
    // It does not get back what it lent, and says so.
    let refused = roost.refuse(&format!("vm reset {NAME}"));
    assert!(refused.contains("no memory for"), "{refused}");
    roost.destroy("hello");
    roost.succeed(&format!("vm start {NAME}"));
    roost.wait_for_text(NAME, PROMPT);
    wait_until_kept(&mut roost, 128);

    keep(&mut roost, 256);
    does(&mut roost, "mkdir /big && mount -t tmpfs -o size=180m none /big");
    does(&mut roost, "dd if=/dev/zero of=/big/much bs=1M count=150 && rm /big/much");
    does(&mut roost, "dd if=/dev/urandom of=/dev/vda bs=1M count=24");
    does(&mut roost, "dd if=/dev/vda bs=1M count=24 of=/big/a");
    // Over and over, while it works.
    for mib in [140, 200, 128, 256] {
        keep(&mut roost, mib);
        does(&mut roost, "cmp -n 25165824 /big/a /dev/vda");
    }
    roost.destroy(NAME);
    let after = roost.memory();
    assert_eq!(number(&after, "guests_bytes"), number(&before, "guests_bytes"));
    let all = |memory: &Value| number(memory, "free_bytes") + number(memory, "heap_bytes");
    assert_eq!(all(&after), all(&before));
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        what_a_guest_lends_is_for_others_until_it_is_wanted_back(Machine::virt());
    }
    svm {
        what_a_guest_lends_is_for_others_until_it_is_wanted_back(Machine::svm());
    }
}
