//! Debian with systemd, on a root file system of its own: a partition of a disk of the machine.

use machine_tests::{Guests, Machine, Roost, built};

const NAME: &str = "debian";

fn log_in(roost: &mut Roost) {
    roost.wait_for_text(NAME, "debian login: ");
    roost.type_line(NAME, "root");
    roost.wait_for_text(NAME, "root@debian:~# ");
}

fn debian_boots_to_a_login_and_finds_what_it_synced_after_a_reset(machine: Machine) {
    let disk = built(machine.arch(), "debian.img");
    // What is written goes with the machine: the next test starts from the same disk.
    let drive = format!("file={},format=raw,snapshot=on", disk.display());
    let mut roost = machine.guests(Guests::All).drive(&drive).boot();
    roost.start(NAME);
    log_in(&mut roost);
    roost.does(NAME, "[ $(systemctl is-system-running --wait) = running ]");
    roost.does(
        NAME,
        "findmnt -no SOURCE / | grep -qx /dev/vda && findmnt -no FSTYPE / | grep -qx ext4",
    );
    roost.does(NAME, "dpkg --audit && dpkg --verify libc6");
    roost.does(NAME, "head -c 1048576 /dev/urandom >data && sha256sum data >sum && sync");

    roost.succeed(&format!("vm reset {NAME}"));
    log_in(&mut roost);
    roost.does(NAME, "sha256sum -c sum");
    roost.succeed("vm stop debian --timeout 120s");
    assert_eq!(roost.state(NAME), "stopped");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        debian_boots_to_a_login_and_finds_what_it_synced_after_a_reset(Machine::virt());
    }
    svm {
        #[ignore = "slow: Debian is installed for another architecture; `make test-all`"]
        debian_boots_to_a_login_and_finds_what_it_synced_after_a_reset(Machine::svm());
    }
}
