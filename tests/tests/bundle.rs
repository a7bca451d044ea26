//! Bundles on disks of the host: configurations and images that are in no initrd.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use machine_tests::{Arch, Disk, Guests, Machine, Roost, Stage, built};
use serde_json::Value;
use xtask::bundle::Bundle;
use xtask::disk::{Content, Partition};

/// A machine whose boot loader brings nothing, with a disk with this bundle.
fn machine_with(machine: Machine, disk: &Disk) -> Machine {
    let empty = Bundle::new().archive();
    machine.raw_bundle(empty.unwrap_or_default()).disk(disk)
}

fn disk_of(stage: &Stage, label: &str, kind: fn(PathBuf) -> Content) -> Disk {
    let other = Partition { bytes: Some(1 << 20), ..Partition::new("other", Content::Empty) };
    Disk::of(&[other, Partition::new(label, kind(stage.path().to_owned()))])
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Where `image list` or `config list` has this file.
fn source(roost: &mut Roost, command: &str, name: &str) -> String {
    let all = roost.list(command);
    let found = all.iter().find(|entry| text(entry, "name") == name);
    found.map_or_else(String::new, |entry| text(entry, "source").to_owned())
}

fn linux_boots_from_an_ext4_partition(machine: Machine) {
    let arch = machine.arch();
    let stage = Stage::with_guests(arch, Guests::All);
    let writer = "memory = \"16M\"\n[boot]\nkernel = \"hello/hello.elf\"\n\
                  [[disk]]\nbacking = \"partition:roost\"\n";
    let stage = stage.file("configs/writer.toml", writer.as_bytes());
    let disk = disk_of(&stage, "roost", Content::Ext4);
    let mut roost = machine_with(machine, &disk).boot();
    for file in ["linux/initrd.cpio.gz", "hello/hello.elf"] {
        assert_eq!(source(&mut roost, "image list", file), "vda2 'roost' ext4");
    }
    assert_eq!(source(&mut roost, "config list", "linux"), "vda2 'roost' ext4");
    assert!(roost.succeed("config check linux").contains("is valid"));
    let before = roost.memory();

    // Nobody may write where images are.
    assert!(roost.refuse("vm create writer").contains("the bundle"));
    let elsewhere = roost.refuse("vm create linux kernel=partition:none/linux");
    assert!(elsewhere.contains("images/"), "{elsewhere}");

    roost.succeed("vm create partition:roost/linux --name one");
    roost.succeed("vm start one");
    roost.start("hello");
    roost.wait_for_text("one", "linux:~# ");
    assert!(roost.run("disk list").contains("the bundle, one"));
    roost.wait_for_state("hello", "stopped");
    // Loaded again from the disk.
    roost.succeed("vm reset one");
    roost.wait_for_text("one", "Welcome to Linux");
    roost.wait_for_text("one", "linux:~# ");
    roost.destroy("one");
    roost.destroy("hello");
    let free = |memory: &Value| memory.get("guests_bytes").and_then(Value::as_u64);
    assert_eq!(free(&roost.memory()), free(&before));
    roost.power_off();
}

fn hello_runs_from_a_fat_partition_that_the_boot_line_names(machine: Machine) {
    let stage = Stage::with_guests(machine.arch(), Guests::Bare);
    let packed =
        "memory = \"16M\"\n[boot]\nkernel = \"hello/hello.elf.gz\"\ncmdline = \"count=1\"\n";
    let stage = stage.file("configs/packed.toml", packed.as_bytes());
    let stage = stage.file("configs/hello.toml", b"memory = \"lots\"\n");
    let disk = disk_of(&stage, "my images", Content::Fat);
    // The boot loader's bundle has one of that name, too.
    let machine = machine.disk(&disk).append("roost.bundle=\"partition:my images\"");
    let mut roost = machine.boot();
    assert_eq!(source(&mut roost, "config list", "hello"), "initrd");
    let other = "partition:my images/hello";
    assert_eq!(source(&mut roost, "config list", other), "vda2 'my images' FAT");
    assert!(roost.refuse(&format!("vm create \"{other}\"")).contains("memory"));
    roost.succeed("vm create packed");
    roost.succeed("vm start packed");
    roost.wait_for_text("packed", "goodbye");
    // An image of the other bundle, by its full path.
    roost.succeed("vm create hello --name two \"kernel=partition:my images/hello/hello.elf\"");
    roost.succeed("vm start two");
    roost.wait_for_text("two", "goodbye");
    roost.power_off();
}

fn a_load_from_a_slow_disk_holds_nobody_up_and_can_be_given_up(machine: Machine) {
    let stage = Stage::with_guests(machine.arch(), Guests::All);
    let disk = disk_of(&stage, "roost", Content::Ext4);
    let drive = format!("file={},format=raw,throttling.bps-total=500000", disk.path().display());
    let machine = machine.drive(&drive).probe("ticker", "test=pause");
    let mut roost = machine.boot();
    roost.start("ticker");
    roost.succeed("vm create partition:roost/linux --name slow");
    for _ in 0..2 {
        // All of it takes more than half a minute.
        roost.serial().send("vm start slow\r");
        roost.serial().expect("vm start slow\r\n", Duration::from_secs(60));
        roost.serial().send("\x03");
        roost.wait_for_prompt();
        let state = roost.state("slow");
        assert!(state == "stopped" || state == "created", "{state}");
        roost.wait_for_ticks("ticker");
    }
    roost.succeed("vm destroy slow");
    roost.power_off();
}

fn a_disk_that_fails_under_an_image_fails_its_vm_and_no_other(machine: Machine) {
    let name = match machine.arch() {
        Arch::Aarch64 => "Image",
        Arch::X86_64 => "bzImage",
    };
    let stage = Stage::with_guests(machine.arch(), Guests::All);
    let disk = disk_of(&stage, "roost", Content::Ext4);
    // A block in the middle of the kernel: file systems have blocks of 1 KiB or more.
    let kernel =
        fs::read(built(machine.arch(), &format!("images/linux/{name}"))).unwrap_or_default();
    let wanted = &kernel[kernel.len() / 2 / 4096 * 4096..][..1024];
    let partition = disk.read("roost");
    let block = partition.chunks(1024).position(|block| block == wanted);
    assert!(block.is_some(), "the kernel is not on the disk");
    let sector = disk.start("roost") / 512 + 2 * block.unwrap_or_default() as u64;
    let drive = format!(
        "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={},\
         file.inject-error.0.event=none,file.inject-error.0.iotype=read,\
         file.inject-error.0.sector={sector},file.inject-error.0.errno=5",
        disk.path().display()
    );
    let empty = Bundle::new().archive();
    let mut roost = machine.raw_bundle(empty.unwrap_or_default()).drive(&drive).boot();
    roost.start("hello");
    roost.succeed("vm create linux");
    for _ in 0..2 {
        let error = roost.refuse("vm start linux");
        assert!(error.contains("the medium that it is on has failed"), "{error}");
        assert_eq!(roost.state("linux"), "stopped");
    }
    roost.wait_for_text("hello", "goodbye");
    roost.succeed("vm destroy linux");
    roost.power_off();
}

fn a_partition_that_holds_no_bundle_is_told_of_and_does_no_harm(machine: Machine) {
    let disk = Disk::new(&[("roost", 1)]);
    let machine = machine.disk(&disk).append("roost.bundle=partition:roost,partition:absent");
    let mut roost = machine.switch_on();
    let warnings = roost.wait_for_prompt();
    let nothing = "no bundle on partition 'roost': there is neither an ext4 nor a FAT file system";
    assert!(warnings.contains(nothing), "{warnings}");
    assert!(warnings.contains("no bundle on partition 'absent'"), "{warnings}");
    roost.start("hello");
    roost.wait_for_text("hello", "greetings");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        linux_boots_from_an_ext4_partition(Machine::virt());
        hello_runs_from_a_fat_partition_that_the_boot_line_names(Machine::virt());
        a_load_from_a_slow_disk_holds_nobody_up_and_can_be_given_up(Machine::virt());
        a_disk_that_fails_under_an_image_fails_its_vm_and_no_other(Machine::virt());
        a_partition_that_holds_no_bundle_is_told_of_and_does_no_harm(Machine::virt());
    }
    svm {
        linux_boots_from_an_ext4_partition(Machine::svm());
        hello_runs_from_a_fat_partition_that_the_boot_line_names(Machine::svm());
        a_load_from_a_slow_disk_holds_nobody_up_and_can_be_given_up(Machine::svm());
        a_disk_that_fails_under_an_image_fails_its_vm_and_no_other(Machine::svm());
        a_partition_that_holds_no_bundle_is_told_of_and_does_no_harm(Machine::svm());
    }
}
