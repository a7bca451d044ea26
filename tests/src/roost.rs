//! Roost, running.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::artifact::Arch;
use crate::emulator::Emulator;
use crate::serial::Serial;

/// The shell's prompt.
const PROMPT: &str = "roost> ";
/// How long anything may take that takes a moment.
const MOMENT: Duration = Duration::from_secs(60);
/// How long a guest may take to boot.
const BOOT: Duration = Duration::from_secs(180);

/// What the shell remembers: 8 KiB of lines, each in an allocation of its own.
const HISTORY_BYTES: u64 = 16 << 10;

/// An emulator with Roost in it. It is killed when this is dropped.
pub struct Roost {
    emulator: Emulator,
    serial: Serial,
    /// What was made for it.
    files: Vec<PathBuf>,
    /// How many times as long as elsewhere things may take.
    slowness: u32,
    arch: Arch,
    /// Ports of Roost, and those of the loopback interface that lead there.
    ports: Vec<(u16, u16)>,
}

impl Roost {
    pub(crate) fn new(
        emulator: Emulator,
        serial: Serial,
        files: Vec<PathBuf>,
        slowness: u32,
        arch: Arch,
    ) -> Self {
        Self { emulator, serial, files, slowness, arch, ports: Vec::new() }
    }

    pub(crate) fn with_ports(mut self, ports: impl Iterator<Item = (u16, u16)>) -> Self {
        self.ports.extend(ports);
        self
    }

    /// The port of the loopback interface that leads to this one of Roost.
    ///
    /// # Panics
    /// When the machine has none, see [`Machine::network`](crate::Machine::network).
    #[must_use]
    pub fn port(&self, inside: u16) -> u16 {
        match self.ports.iter().find(|(port, _)| *port == inside) {
            Some((_, outside)) => *outside,
            None => panic!("no port leads to port {inside} of Roost"),
        }
    }

    /// What it runs on.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The serial port.
    pub fn serial(&mut self) -> &mut Serial {
        &mut self.serial
    }

    /// Waits for the shell's next prompt, and returns what came before it.
    pub fn wait_for_prompt(&mut self) -> String {
        self.serial.expect(PROMPT, MOMENT * self.slowness)
    }

    /// Runs a command of the shell, and returns what it printed.
    pub fn run(&mut self, command: &str) -> String {
        self.run_within(command, MOMENT)
    }

    /// As [`Roost::run`], for a command that may take long.
    pub fn run_within(&mut self, command: &str, limit: Duration) -> String {
        self.serial.send(&format!("{command}\r"));
        let output = self.serial.expect(PROMPT, limit * self.slowness).replace('\r', "");
        // The first line is the command itself.
        output.split_once('\n').map_or(String::new(), |(_, rest)| rest.to_owned())
    }

    /// Runs a command that must not fail.
    pub fn succeed(&mut self, command: &str) -> String {
        let output = self.run(command);
        if output.contains("error:") {
            self.serial.fail(&format!("'{command}' failed: {output}"));
        }
        output
    }

    /// Runs a command that must fail, and returns the error.
    pub fn refuse(&mut self, command: &str) -> String {
        let output = self.run(command);
        match output.split_once("error: ") {
            Some((_, error)) => error.trim_end().to_owned(),
            None => self.serial.fail(&format!("'{command}' did not fail: {output}")),
        }
    }

    /// Runs a command with `--json`, and returns what it says.
    pub fn json(&mut self, command: &str) -> Value {
        let output = self.succeed(&format!("{command} --json"));
        let parsed = serde_json::from_str(output.trim());
        match parsed {
            Ok(value) => value,
            Err(error) => self.serial.fail(&format!("'{command} --json': {error}: {output}")),
        }
    }

    /// As [`Roost::json`], for a listing.
    pub fn list(&mut self, command: &str) -> Vec<Value> {
        let answer = self.json(command);
        match answer.as_array() {
            Some(list) => list.clone(),
            None => self.serial.fail(&format!("'{command} --json' is no list: {answer}")),
        }
    }

    /// CPU time that the VM has used, in nanoseconds.
    pub fn cpu_time_ns(&mut self, name: &str) -> u64 {
        let vcpus = self.list(&format!("vcpu list {name}"));
        vcpus.iter().filter_map(|vcpu| vcpu.get("cpu_time_ns")?.as_u64()).sum()
    }

    /// The VM's line in `vm list`.
    pub fn vm(&mut self, name: &str) -> Value {
        let vms = self.list("vm list");
        let found = vms.iter().find(|vm| vm.get("name").and_then(Value::as_str) == Some(name));
        match found {
            Some(vm) => vm.clone(),
            None => self.serial.fail(&format!("no VM '{name}' in {vms:?}")),
        }
    }

    /// The VM's state.
    pub fn state(&mut self, name: &str) -> String {
        let vm = self.vm(name);
        vm.get("state").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Waits until the VM is in one of these states (`running`, or `stopped,crashed`).
    pub fn wait_for_state(&mut self, name: &str, states: &str) {
        let seconds = 50 * self.slowness;
        self.succeed(&format!("vm wait {name} --state {states} --timeout {seconds}s"));
    }

    /// Waits until a text is on the VM's console, behind what was found before.
    pub fn wait_for_text(&mut self, name: &str, text: &str) {
        let seconds = 170 * self.slowness;
        let command = format!("vm expect {name} \"{text}\" --timeout {seconds}s");
        let output = self.run_within(&command, BOOT);
        if output.contains("error:") {
            let log = self.run(&format!("vm log {name} --lines 40"));
            let why = self.run(&format!("vm why {name}"));
            self.serial.fail(&format!("'{command}' failed: {output}\n{log}\n{why}"));
        }
    }

    /// Waits until a VM that runs the probe's test `pause` has ticked twice from now on.
    pub fn wait_for_ticks(&mut self, name: &str) {
        let log = self.log(name);
        // The last line may have been cut while it was written, and the oldest while it was read.
        let number = |rest: &str| rest.split_once(' ').and_then(|(number, _)| number.parse().ok());
        let last: u64 = log.split("probe: tick ").filter_map(number).last().unwrap_or(0);
        self.wait_for_text(name, &format!("probe: tick {} ", last + 2));
    }

    /// Types a line on the VM's console. It has neither single quotes nor backslashes.
    pub fn type_line(&mut self, name: &str, line: &str) {
        self.succeed(&format!("vm send {name} '{line}\\r'"));
    }

    /// Types a command that must do well in the VM's shell. What says so is not in the line itself.
    pub fn does(&mut self, name: &str, command: &str) {
        self.type_line(name, &format!("{command} && echo went $((40 + 2)) well"));
        self.wait_for_text(name, "went 42 well");
    }

    /// Waits until the VM has Linux's prompt.
    pub fn wait_for_linux(&mut self, name: &str) {
        self.wait_for_text(name, "Welcome to Linux");
        self.wait_for_text(name, "linux:~# ");
    }

    /// Creates and starts a VM.
    pub fn start(&mut self, config: &str) {
        self.succeed(&format!("vm create {config}"));
        self.succeed(&format!("vm start {config}"));
    }

    /// Destroys a VM, whatever it does.
    pub fn destroy(&mut self, name: &str) {
        self.succeed(&format!("vm destroy {name} --force"));
    }

    /// Where the memory is. What is used of the heap is left out: it depends on what was typed.
    pub fn memory(&mut self) -> Value {
        let mut memory = self.json("mem");
        if let Some(fields) = memory.as_object_mut() {
            fields.remove("heap_used_bytes");
        }
        memory
    }

    /// Waits until memory is as `mem` said before, but for what the shell remembers of what was typed meanwhile.
    ///
    /// # Panics
    /// When it stays otherwise.
    pub fn check_memory(&mut self, before: &Value) {
        let deadline = Instant::now() + MOMENT * self.slowness;
        let number = |memory: &Value, name| memory.get(name).and_then(Value::as_u64).unwrap_or(0);
        let is_equal = |after: &Value, name| number(before, name) == number(after, name);
        loop {
            let after = self.json("mem");
            let more =
                number(&after, "heap_used_bytes").saturating_sub(number(before, "heap_used_bytes"));
            let guests = ["guests_bytes", "tables_bytes", "stacks_bytes"];
            if guests.iter().all(|name| is_equal(&after, name)) && more < HISTORY_BYTES {
                return;
            }
            // Who was connected may be gone without that being known yet.
            if Instant::now() >= deadline {
                self.serial.fail(&format!("memory does not come back: {before}, then {after}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What is kept of the VM's console.
    pub fn log(&mut self, name: &str) -> String {
        self.succeed(&format!("vm log {name}"))
    }

    /// Waits until the emulator ends, and returns its status.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait_for_exit(&mut self) -> i32 {
        self.wait_for_exit_within(MOMENT)
    }

    /// As [`Roost::wait_for_exit`], with another limit.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait_for_exit_within(&mut self, limit: Duration) -> i32 {
        let deadline = Instant::now() + limit * self.slowness;
        loop {
            match self.emulator.try_status(&self.serial) {
                Some(status) => return status,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
                None => self.serial.fail("the emulator goes on"),
            }
        }
    }

    /// Powers the machine off, which must end the emulator with status 0.
    ///
    /// # Panics
    /// When it does not.
    pub fn power_off(mut self) {
        self.serial.send("poweroff\r");
        let status = self.wait_for_exit();
        if status != 0 {
            self.serial.fail(&format!("'poweroff' ended the emulator with status {status}"));
        }
    }
}

impl Drop for Roost {
    fn drop(&mut self) {
        self.emulator.kill();
        for file in &self.files {
            // What is left behind does no harm.
            let _ = fs::remove_file(file);
        }
    }
}
