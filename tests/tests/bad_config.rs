//! Configurations and images that are no good: an error says where and why, and nothing changes.

use machine_tests::{Arch, Machine};

/// Name, text, and what the error must say.
const BAD: [(&str, &str, &[&str]); 9] = [
    (
        "unknown-key",
        "name = \"a\"\nmemroy = \"64M\"\n[boot]\nkernel = \"hello/hello.elf\"\n",
        &["unknown-key.toml:2", "memroy", "memory"],
    ),
    ("no-toml", "name = \"a\nvcpus = 1\n", &["no-toml.toml:1"]),
    (
        "too-many-vcpus",
        "name = \"a\"\nvcpus = 99\n[boot]\nkernel = \"hello/hello.elf\"\n",
        &["too-many-vcpus.toml:2", "vcpus", "99", "8"],
    ),
    (
        "no-image",
        "name = \"a\"\nmemory = \"16M\"\n[boot]\nkernel = \"no/such.elf\"\n",
        &["no-image.toml:4", "kernel", "no/such.elf"],
    ),
    (
        "too-much-memory",
        "name = \"a\"\nmemory = \"512G\"\n[boot]\nkernel = \"hello/hello.elf\"\n",
        &["memory", "512"],
    ),
    (
        "no-kernel",
        "name = \"a\"\nmemory = \"16M\"\n[boot]\nkernel = \"junk/text\"\n",
        &["junk/text"],
    ),
    (
        "empty-kernel",
        "name = \"a\"\nmemory = \"16M\"\n[boot]\nkernel = \"junk/empty\"\n",
        &["junk/empty"],
    ),
    (
        "cut-short",
        "name = \"a\"\nmemory = \"16M\"\n[boot]\nkernel = \"junk/cut.elf.gz\"\n",
        &["junk/cut.elf.gz"],
    ),
    (
        "overlap",
        "name = \"a\"\nmemory = \"16M\"\n[boot]\nkernel = \"hello/hello.elf\"\n\
         [[load]]\nfile = \"junk/text\"\naddress = LOADED\n",
        &["overlap", "hello/hello.elf", "junk/text"],
    ),
];

fn an_error_names_file_line_and_key_and_nothing_changes(machine: Machine) {
    // Where hello is loaded, for the one that is to overlap with it.
    let loaded = match machine.arch() {
        Arch::Aarch64 => "0x40200000",
        Arch::X86_64 => "0x200000",
    };
    let mut machine = machine
        .file("images/junk/text", "This is no kernel. It is text, and some of it.\n".repeat(100))
        .file("images/junk/empty", "")
        .file("images/junk/cut.elf.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x00".as_slice());
    for (name, text, _) in BAD {
        machine = machine.file(&format!("configs/{name}.toml"), text.replace("LOADED", loaded));
    }
    let mut roost = machine.boot();
    roost.succeed("vm create hello");
    let before = (roost.memory(), roost.json("vm list"));
    for (name, _, expected) in BAD {
        // Some faults show only when the image is loaded.
        let error = match roost.run(&format!("vm create {name}")) {
            output if output.contains("error: ") => output,
            _ => {
                let error = roost.refuse(&format!("vm start {name}"));
                roost.destroy(name);
                error
            }
        };
        for word in expected {
            assert!(error.contains(word), "{name}: no '{word}' in: {error}");
        }
        let after = (roost.memory(), roost.json("vm list"));
        assert_eq!(after, before, "{name} left something behind");
    }
    // The configurations that are good are still good.
    roost.succeed("vm start hello");
    roost.wait_for_state("hello", "stopped");
    roost.power_off();
}

fn a_bundle_that_is_none_leaves_a_shell_to_say_so(machine: Machine) {
    let mut roost = machine.raw_bundle("this is no archive").boot();
    let output = roost.run("config list");
    assert!(!output.contains("hello"), "{output}");
    roost.refuse("vm create hello");
    roost.power_off();
}

fn mistyped_commands_say_what_would_be_right(machine: Machine) {
    let mut roost = machine.boot();
    assert!(roost.refuse("vm lst").contains("list"));
    assert!(roost.refuse("vm start 7").contains("no VM 7"));
    assert!(roost.refuse("vm create helo").contains("hello"));
    assert!(roost.refuse("vm start \"hello").contains("quote"));
    assert!(roost.refuse("vm create hello memory=lots").contains("memory"));
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        an_error_names_file_line_and_key_and_nothing_changes(Machine::virt());
        a_bundle_that_is_none_leaves_a_shell_to_say_so(Machine::virt());
        mistyped_commands_say_what_would_be_right(Machine::virt());
    }
    svm {
        an_error_names_file_line_and_key_and_nothing_changes(Machine::svm());
        a_bundle_that_is_none_leaves_a_shell_to_say_so(Machine::svm());
        mistyped_commands_say_what_would_be_right(Machine::svm());
    }
}
