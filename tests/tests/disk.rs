//! Disks of the host: shared, failing, late, damaged, and switched off in the middle of writes.

use machine_tests::{Disk, Machine, Roost};
use serde_json::Value;

/// A probe that ticks for ever, with a disk.
fn ticker_with_disk(machine: Machine, name: &str, backing: &str) -> Machine {
    let config = format!(
        "name = \"{name}\"\nmemory = \"32M\"\n[boot]\nkernel = \"probe/probe.elf\"\ncmdline = \"test=pause lines=1000000\"\n\
         [[disk]]\nbacking = \"{backing}\"\n"
    );
    machine.file(&format!("configs/{name}.toml"), config)
}

fn start_linux(roost: &mut Roost, name: &str) {
    roost.start(name);
    roost.wait_for_linux(name);
}

/// What `disk info vda` says of itself.
fn info(roost: &mut Roost) -> Value {
    roost.json("disk info vda")
}

fn number(value: &Value, field: &str) -> u64 {
    let found = value.get(field).and_then(Value::as_u64);
    assert!(found.is_some(), "no number '{field}' in {value}");
    found.unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn array(value: &Value, field: &str) -> Vec<Value> {
    value.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// What the guest says in lines `synced NUMBER SUM`, as far as they are whole.
fn synced(log: &str) -> Vec<(u32, String)> {
    let of_line = |line: &str| {
        let mut words = line.trim_end().strip_prefix("synced ")?.split(' ');
        let (number, sum) = (words.next()?.parse().ok()?, words.next()?);
        (sum.len() == 64).then(|| (number, sum.to_owned()))
    };
    log.lines().filter_map(of_line).collect()
}

fn what_was_synced_survives_a_power_cut(machine: fn() -> Machine) {
    let disk = Disk::new(&[("other", 1), ("data", 128)]);
    disk.make_ext4("data");
    let boot = || machine().disk(&disk).linux_with_disk("writer", "partition:data").boot();
    let mount = "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt";

    let mut roost = boot();
    start_linux(&mut roost, "writer");
    roost.does("writer", mount);
    roost.type_line(
        "writer",
        "n=1; while dd if=/dev/urandom of=/mnt/$n bs=64k count=4 2>/dev/null && sync; do \
         echo synced $n $(sha256sum /mnt/$n | cut -c 1-64); n=$((n + 1)); done",
    );
    roost.wait_for_text("writer", "synced 8 ");
    let log = roost.log("writer");
    assert!(number(&info(&mut roost), "flushes") > 0);
    // The emulator is killed while the guest goes on.
    drop(roost);
    let synced = synced(&log);
    assert!(synced.len() >= 7, "{log}");
    disk.check_ext4("data");

    let mut roost = boot();
    start_linux(&mut roost, "writer");
    roost.does("writer", mount);
    for (number, sum) in synced {
        roost.does("writer", &format!("[ $(sha256sum /mnt/{number} | cut -c 1-64) = {sum} ]"));
    }
    roost.does("writer", "umount /mnt");
    roost.power_off();
    disk.check_ext4("data");
    assert!(disk.read("other").iter().all(|byte| *byte == 0));
}

fn a_disk_that_fails_fails_who_asked_and_nobody_else(machine: Machine) {
    let disk = Disk::new(&[("bad", 16), ("good", 16)]);
    // One sector of the first partition cannot be written, and another one not be read.
    let sector = |mib: u64| (disk.start("bad") + (mib << 20)) / 512;
    let (no_write, no_read) = (sector(4), sector(8));
    let drive = format!(
        "driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename={},\
         file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.sector={no_write},\
         file.inject-error.0.errno=5,file.inject-error.1.event=none,file.inject-error.1.iotype=read,\
         file.inject-error.1.sector={no_read},file.inject-error.1.errno=5",
        disk.path().display()
    );
    let machine = machine.drive(&drive).linux_with_disk("unlucky", "partition:bad");
    let mut roost = machine.linux_with_disk("lucky", "partition:good").boot();
    start_linux(&mut roost, "unlucky");
    start_linux(&mut roost, "lucky");
    let write = "dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct";
    let read = "dd if=/dev/vda of=/dev/null bs=4k count=1 iflag=direct";
    roost.does("unlucky", &format!("{write} seek=1023"));
    roost.does("unlucky", &format!("! {write} seek=1024"));
    roost.does("unlucky", &format!("{read} skip=1024"));
    roost.does("unlucky", &format!("! {read} skip=2048"));
    roost.does("unlucky", "dmesg | grep -q \"I/O error, dev vda, sector 16384\"");
    assert!(number(&info(&mut roost), "errors") >= 2);
    // What the other one does goes well, where the same sectors of its own partition are.
    roost.does("lucky", "dd if=/dev/urandom of=/tmp/all bs=1M count=16");
    roost.does(
        "lucky",
        "dd if=/tmp/all of=/dev/vda bs=64k && sync && echo 3 >/proc/sys/vm/drop_caches",
    );
    roost.does("lucky", "cmp -n 16777216 /tmp/all /dev/vda");
    roost.power_off();
}

fn a_disk_that_is_slow_makes_its_user_wait_and_nobody_else(machine: Machine) {
    let disk = Disk::new(&[("slow", 16)]);
    let drive = format!("file={},format=raw,throttling.iops-total=20", disk.path().display());
    let machine = machine.drive(&drive).probe("ticker", "test=pause lines=1000000");
    let mut roost = machine.linux_with_disk("patient", "partition:slow").boot();
    roost.start("ticker");
    start_linux(&mut roost, "patient");
    roost.type_line(
        "patient",
        "dd if=/dev/zero of=/dev/vda bs=4k count=100 oflag=direct && echo went $((40 + 3)) well",
    );
    roost.wait_for_ticks("ticker");
    assert_eq!(array(&info(&mut roost), "partitions").len(), 1);
    roost.wait_for_ticks("ticker");
    roost.wait_for_text("patient", "went 43 well");
    assert!(number(&info(&mut roost), "written_bytes") >= 100 << 12);
    assert_eq!(number(&info(&mut roost), "errors"), 0);
    roost.power_off();
}

/// A configuration per case, each with the disk that its name says.
fn with_bad_disks(machine: Machine) -> Machine {
    let cases = [("one", "partition:one"), ("none", "partition:none"), ("absent", "disk:vdz")];
    cases.iter().fold(machine, |machine, (name, backing)| ticker_with_disk(machine, name, backing))
}

fn a_partition_that_is_not_there_is_an_error_that_says_what_is(machine: Machine) {
    let disk = Disk::new(&[("one", 2), ("two", 2)]);
    let mut roost = with_bad_disks(machine.disk(&disk)).boot();
    let before = roost.memory();
    let error = roost.refuse("vm create none");
    assert!(
        error.contains("none.toml:6: disk.backing: no disk of the host has a partition"),
        "{error}"
    );
    assert!(error.contains("there is one, two"), "{error}");
    let error = roost.refuse("vm create absent");
    assert!(error.contains("the host has no such disk: there is vda"), "{error}");
    assert_eq!(roost.memory(), before);

    roost.start("one");
    roost.wait_for_ticks("one");
    let error = roost.refuse("vm create one --name other");
    assert!(error.contains("somebody else has it open: one"), "{error}");
    assert!(roost.succeed("disk list").contains("one"));
    roost.destroy("one");
    roost.succeed("vm create one --name other");
    roost.power_off();
}

fn a_damaged_partition_table_is_read_from_its_copy(machine: Machine) {
    let disk = Disk::new(&[("one", 2)]);
    disk.overwrite(512 + 40, &[0xff; 8]);
    let mut roost = with_bad_disks(machine.disk(&disk)).boot();
    let info = info(&mut roost);
    assert!(text(&info, "table_note").contains("copy at the disk's end"), "{info}");
    roost.start("one");
    roost.wait_for_ticks("one");
    roost.power_off();
}

fn a_disk_without_a_whole_partition_table_has_no_partitions(machine: Machine, damage: fn(&Disk)) {
    let disk = Disk::new(&[("one", 2), ("two", 2)]);
    damage(&disk);
    let mut roost = with_bad_disks(machine.disk(&disk)).boot();
    let info = info(&mut roost);
    let note = text(&info, "table_note").to_owned();
    assert!(!note.is_empty() && array(&info, "partitions").is_empty(), "{info}");
    let error = roost.refuse("vm create one");
    assert!(error.contains(&format!("vda: {note}")), "{error}");
    roost.succeed("vm create hello");
    roost.power_off();
}

/// Both copies of the table.
fn damage_both(disk: &Disk) {
    disk.overwrite(512 + 40, &[0xff; 8]);
    disk.overwrite(disk.bytes() - 512 + 40, &[0xff; 8]);
}

/// The second partition ends behind the disk.
fn cut_off_the_end(disk: &Disk) {
    disk.truncate(4 << 20);
}

fn a_guest_that_is_killed_in_the_middle_of_writes_leaves_nothing_behind(machine: Machine) {
    let disk = Disk::new(&[("data", 64)]);
    let mut roost = machine.disk(&disk).linux_with_disk("writer", "partition:data").boot();
    let mut after = Vec::new();
    for name in ["first", "second", "third"] {
        roost.succeed(&format!("vm create writer --name {name}"));
        roost.succeed(&format!("vm start {name}"));
        roost.wait_for_linux(name);
        // Behind the shell, so that the next command does not wait for its end.
        let write = "while :; do dd if=/dev/urandom of=/dev/vda bs=1M 2>/dev/null; done &";
        roost.type_line(name, write);
        let written = number(&info(&mut roost), "written_bytes");
        while number(&info(&mut roost), "written_bytes") < written + (4 << 20) {}
        roost.destroy(name);
        let memory = roost.json("mem");
        after.push((number(&memory, "guests_bytes"), number(&memory, "heap_used_bytes")));
        assert_eq!(array(&info(&mut roost), "used_by").len(), 0);
    }
    // The first one may have let the heap grow. The buffers of a disk take 640 KiB.
    assert!(
        matches!(after[..], [_, (guests, heap), (guests_again, heap_again)]
            if guests == guests_again && heap_again < heap + (256 << 10)),
        "{after:?}"
    );
    roost.power_off();
}

fn two_guests_hammer_two_partitions_of_one_disk(machine: Machine) {
    let names = ["left", "right"];
    let disk = Disk::new(&[("left", 32), ("right", 32)]);
    for name in names {
        disk.make_ext4(name);
    }
    let with =
        |machine: Machine, name: &&str| machine.linux_with_disk(name, &format!("partition:{name}"));
    let mut roost = names.iter().fold(machine.disk(&disk), with).boot();
    for name in names {
        start_linux(&mut roost, name);
        roost.does(name, "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt");
        roost.does(name, &format!("yes of-{name} | head -c 2097152 >/tmp/data"));
    }
    let error = roost.refuse("vm create left --name thief");
    assert!(error.contains("somebody else has it open: left"), "{error}");
    for name in names {
        roost.type_line(
            name,
            "for n in 1 2 3 4; do cp /tmp/data /mnt/$n && sync || break; done; \
             echo 3 >/proc/sys/vm/drop_caches; \
             for n in 1 2 3 4; do cmp /tmp/data /mnt/$n || break; done; \
             [ $n = 4 ] && umount /mnt && echo went $((40 + 4)) well",
        );
    }
    let seen = info(&mut roost);
    assert_eq!(seen.get("used_by"), Some(&serde_json::json!(names)));
    for name in names {
        roost.wait_for_text(name, "went 44 well");
    }
    let users = array(&info(&mut roost), "users");
    assert_eq!(users.len(), 2);
    for (user, name) in users.iter().zip(names) {
        assert_eq!(text(user, "name"), name);
        assert!(number(user, "written_bytes") >= 8 << 20 && number(user, "flushes") >= 4, "{user}");
        assert_eq!((number(user, "errors"), number(user, "late")), (0, 0));
    }
    roost.power_off();
    for (name, other) in [("left", "right"), ("right", "left")] {
        disk.check_ext4(name);
        let bytes = disk.read(name);
        let has = |name: &str| {
            let mark = format!("of-{name}\n");
            bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
        };
        assert!(has(name) && !has(other), "{name}");
    }
}

/// What `vm disk list` says of the first slot.
fn first_slot(roost: &mut Roost, name: &str) -> Value {
    roost.list(&format!("vm disk list {name}")).first().cloned().unwrap_or_default()
}

fn disks_come_and_go_while_a_guest_runs(machine: Machine) {
    let disk = Disk::new(&[("data", 32)]);
    disk.make_ext4("data");
    let machine = machine.disk(&disk).linux_with_disk("changer", "none");
    let mut roost = machine.linux_with_disk("next", "partition:data").boot();
    start_linux(&mut roost, "changer");
    roost.does("changer", "[ $(cat /sys/block/vda/size) = 0 ]");

    // The guest hears of it without being asked.
    let attached = roost.succeed("vm disk attach changer partition:data");
    assert!(
        attached.contains("vm 1 'changer', vda: partition:data attached, 32 MiB"),
        "{attached}"
    );
    let wait =
        |size: u64| format!("until [ $(cat /sys/block/vda/size) = {size} ]; do sleep 1; done");
    roost.does("changer", &wait(65536));
    roost.does("changer", "[ $(cat /sys/block/vda/serial) = data ]");
    roost.does(
        "changer",
        "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && echo hello >/mnt/file && umount /mnt",
    );
    assert!(roost.refuse("vm disk attach changer ram:1M").contains("has no empty slot"));
    assert!(roost.refuse("vm disk attach changer ram:1M --slot vda").contains("is in that slot"));
    assert!(roost.refuse("vm create next").contains("somebody else has it open: changer"));
    let detached = roost.succeed("vm disk detach changer vda");
    assert!(detached.contains("vm 1 'changer', vda detached"), "{detached}");
    roost.does("changer", &wait(0));
    disk.check_ext4("data");

    // Another one, in memory; then the first again, which only may be read.
    roost.succeed("vm disk attach changer ram:8M");
    roost.does("changer", &wait(16384));
    roost.does(
        "changer",
        "cmp -n 8388608 /dev/vda /dev/zero && echo here | dd of=/dev/vda conv=notrunc,fsync",
    );
    roost.succeed("vm disk detach changer vda");
    roost.does("changer", &wait(0));
    roost.succeed("vm disk attach changer partition:data --readonly");
    roost.does("changer", &wait(65536));
    roost.does(
        "changer",
        "mount -t ext4 -o ro,noload /dev/vda /mnt && [ $(cat /mnt/file) = hello ] && umount /mnt",
    );
    roost.does("changer", "! dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct");
    roost.succeed("vm disk detach changer vda");
    for (backing, problem) in [
        ("vda", "found 'vda', allowed \"ram:SIZE\""),
        ("partition:nowhere", "no disk of the host has a partition of that label: there is data"),
        ("disk:vdb", "the host has no such disk: there is vda"),
        ("image:nothing", "no image 'nothing'"),
    ] {
        let error = roost.refuse(&format!("vm disk attach changer {backing}"));
        assert!(error.contains(problem), "{error}");
    }
    assert!(roost.refuse("vm disk detach changer vda").contains("there is no disk in that slot"));
    assert!(
        roost
            .refuse("vm disk detach changer vdb")
            .contains("no disk 'vdb': vm 1 'changer' has vda")
    );
    roost.power_off();
}

fn a_disk_is_detached_while_its_guest_writes(machine: Machine) {
    let disk = Disk::new(&[("data", 64)]);
    disk.make_ext4("data");
    let machine = machine.disk(&disk).linux_with_disk("busy", "partition:data");
    let mut roost = machine.boot();
    start_linux(&mut roost, "busy");
    roost.does("busy", "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt");
    // It ends when it cannot write any more.
    roost.type_line(
        "busy",
        "n=0; while dd if=/dev/zero of=/mnt/data bs=64k count=64 conv=fsync 2>/dev/null; do n=$((n + 1)); \
         echo wrote $n times; done; echo ended by $((1 + 2)) errors",
    );
    roost.wait_for_text("busy", "wrote 2 times");
    let detached = roost.succeed("vm disk detach busy vda");
    assert!(detached.contains("vda detached"), "{detached}");
    let slot = first_slot(&mut roost, "busy");
    assert_eq!((text(&slot, "state"), slot.get("backing")), ("empty", Some(&Value::Null)));
    roost.wait_for_text("busy", "ended by 3 errors");
    roost.does("busy", "[ $(cat /sys/block/vda/size) = 0 ]");
    // What the guest had begun is on the disk, as if the power had gone; and another one can have it.
    disk.check_ext4("data");
    roost.succeed("vm create busy --name next");
    let users = array(&info(&mut roost), "users");
    assert_eq!(users.iter().map(|user| text(user, "name")).collect::<Vec<_>>(), ["next"]);
    roost.succeed("vm start next");
    roost.wait_for_linux("next");
    roost.does("next", "mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && umount /mnt");
    roost.destroy("next");
    roost.does("busy", "true");
    roost.power_off();
}

/// A guest `stuck` that waits for a disk which does not answer any more, beside one that ticks.
fn with_a_stuck_guest(machine: Machine, disk: &Disk) -> Roost {
    // A mebibyte at once, for the table and what the guest looks at first, and then next to nothing.
    let drive = format!(
        "file={},format=raw,throttling.bps-total=100,throttling.bps-total-max=1048576",
        disk.path().display()
    );
    let machine = machine.drive(&drive).linux_with_disk("stuck", "partition:data");
    let mut roost = machine.probe("ticker", "test=pause lines=1000000").boot();
    roost.start("ticker");
    start_linux(&mut roost, "stuck");
    roost.type_line(
        "stuck",
        "dd if=/dev/zero of=/dev/vda bs=64k oflag=direct; echo ended $((1 + 2))",
    );
    // Until the mebibyte is used up, and a request waits.
    loop {
        let info = info(&mut roost);
        let moved = number(&info, "read_bytes") + number(&info, "written_bytes");
        if moved >= 1 << 20 && number(&info, "in_flight") > 0 {
            return roost;
        }
    }
}

fn a_disk_that_does_not_answer_is_detached_all_the_same(machine: Machine) {
    let disk = Disk::new(&[("data", 64)]);
    let mut roost = with_a_stuck_guest(machine, &disk);
    let detached = roost.succeed("vm disk detach stuck vda");
    assert!(detached.contains("requests that had not ended after 10 s have failed"), "{detached}");
    roost.wait_for_text("stuck", "ended 3");
    assert_eq!(array(&info(&mut roost), "users").len(), 0);
    roost.wait_for_ticks("ticker");
    // What the disk still has keeps nobody from being destroyed.
    roost.destroy("stuck");
    roost.power_off();
}

fn a_disk_that_does_not_answer_fails_its_user_in_the_end(machine: Machine) {
    let disk = Disk::new(&[("data", 64)]);
    let mut roost = with_a_stuck_guest(machine, &disk);
    roost.wait_for_ticks("ticker");
    roost.wait_for_text("stuck", "ended 3");
    assert!(number(&info(&mut roost), "late") > 0);
    assert!(number(&first_slot(&mut roost, "stuck"), "errors") > 0);
    roost.wait_for_ticks("ticker");
    roost.destroy("stuck");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        disks_come_and_go_while_a_guest_runs(Machine::virt());
        a_disk_is_detached_while_its_guest_writes(Machine::virt());
        a_disk_that_does_not_answer_is_detached_all_the_same(Machine::virt());
        #[ignore = "slow: a disk has half a minute to answer"]
        a_disk_that_does_not_answer_fails_its_user_in_the_end(Machine::virt());
        what_was_synced_survives_a_power_cut(Machine::virt);
        two_guests_hammer_two_partitions_of_one_disk(Machine::virt());
        a_disk_that_fails_fails_who_asked_and_nobody_else(Machine::virt());
        a_disk_that_is_slow_makes_its_user_wait_and_nobody_else(Machine::virt());
        a_partition_that_is_not_there_is_an_error_that_says_what_is(Machine::virt());
        a_damaged_partition_table_is_read_from_its_copy(Machine::virt());
        both_tables_damaged =
            a_disk_without_a_whole_partition_table_has_no_partitions(Machine::virt(), damage_both);
        a_partition_behind_the_disks_end =
            a_disk_without_a_whole_partition_table_has_no_partitions(Machine::virt(), cut_off_the_end);
        a_guest_that_is_killed_in_the_middle_of_writes_leaves_nothing_behind(Machine::virt());
    }
    svm {
        disks_come_and_go_while_a_guest_runs(Machine::svm());
        a_disk_is_detached_while_its_guest_writes(Machine::svm());
        what_was_synced_survives_a_power_cut(Machine::svm);
        two_guests_hammer_two_partitions_of_one_disk(Machine::svm());
        a_disk_that_fails_fails_who_asked_and_nobody_else(Machine::svm());
        a_partition_that_is_not_there_is_an_error_that_says_what_is(Machine::svm());
        a_guest_that_is_killed_in_the_middle_of_writes_leaves_nothing_behind(Machine::svm());
    }
}
