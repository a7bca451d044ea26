//! Virtio: the same Linux makes the same requests to devices of Roost and, on bare QEMU, to QEMU's.
//!
//! ```text
//!   bare   helper ─► Linux ─► QEMU's virtio-blk on virtio-mmio ─► a disk that takes no time
//!   RAM    helper ─► Linux ─► Roost's virtio-blk ─► pages of Roost
//!   host   helper ─► Linux ─► Roost's virtio-blk ─► Roost's driver ─► QEMU's virtio-blk ─► a disk that takes no time
//! ```
//!
//! QEMU's own work is free, it counts no instruction: what a figure holds against the bare one is all that Roost does. With one
//! CPU and a disk that takes no time, hardly anybody waits, and so instructions are time: `bare / Roost` is also the ratio of throughput.

use machine_tests::{Guests, Machine};
use serde_json::Value;

use crate::bare::{Bare, Board, Clock, PATIENCE};
use crate::figure::{Figure, Unit};
use crate::lines::documents;

const PROMPT: &str = "linux:~# ";
/// What the guest is called.
const NAME: &str = "load";
/// Of QEMU's disk and of the RAM disk.
const MIB: u64 = 64;
/// What `vm info` and `vm list` call the devices.
const CONSOLE: &str = "virtio console";
const DISK: &str = "virtio disk";

/// Requests of one kind.
struct Load {
    name: &'static str,
    /// What `helper load FILE` gets behind the file.
    words: &'static str,
    /// The least part of bare QEMU's throughput.
    least: f64,
}

const SMALL: f64 = 0.6;
const LARGE: f64 = 0.9;
const LOADS: [Load; 6] = [
    Load { name: "4 KiB random read, depth 1", words: "read random 4096 1 2000", least: SMALL },
    Load { name: "4 KiB random write, depth 1", words: "write random 4096 1 2000", least: SMALL },
    Load { name: "4 KiB random read, depth 32", words: "read random 4096 32 8000", least: SMALL },
    Load { name: "4 KiB random write, depth 32", words: "write random 4096 32 8000", least: SMALL },
    Load { name: "1 MiB sequential read", words: "read sequential 1048576 1 64", least: LARGE },
    Load { name: "1 MiB sequential write", words: "write sequential 1048576 1 64", least: LARGE },
];
/// Each page of a disk is written before anything is measured.
const FILL: &str = "write sequential 1048576 1 64";
const LINES: &str = "helper lines 400";

/// What one load took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Taken {
    requests: f64,
    /// How often the guest's kernel was given requests.
    batches: f64,
    /// Of the median batch.
    ticks: f64,
}

/// What a device and its guest's CPU had done at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    exits: f64,
    notifications: f64,
    interrupts: f64,
}

/// Measures; on bare QEMU on that board.
pub(crate) fn measure(board: Board) -> Vec<Figure> {
    eprintln!("bench: virtio (about a minute)");
    let instructions_per_tick = match board {
        Board::Virt => 16.0,
        Board::Pc | Board::Microvm => 1.0,
    };
    let each = |taken: &Taken| taken.ticks * instructions_per_tick * taken.batches / taken.requests;
    let bare = on_bare_qemu(board);
    let text = on_roost(board);
    let roost = taken(&text);
    let counters = counters(&documents(&text));
    let mut figures = Vec::new();
    // As `script` has it: lines; then for each disk its filling and the loads.
    let steps = std::iter::once(("80 characters to the virtio console", "", None, 0)).chain(
        [("RAM disk", 1), ("host disk", 2 + LOADS.len())].into_iter().flat_map(|(disk, first)| {
            LOADS
                .iter()
                .enumerate()
                .map(move |(index, load)| (load.name, disk, Some(load.least), first + 1 + index))
        }),
    );
    for (index, (name, disk, least, step)) in steps.enumerate() {
        // On bare QEMU there is one disk.
        let bare_index = if index == 0 { 0 } else { 1 + (index - 1) % LOADS.len() };
        let bare = bare.get(bare_index).map(each);
        let value = roost.get(step).map(each);
        let name = if disk.is_empty() { name.to_owned() } else { format!("{name}, {disk}") };
        figures.push(Figure {
            name: name.clone(),
            unit: Unit::Instructions,
            value,
            bare,
            target: bare.zip(least).map(|(bare, least)| bare / least),
        });
        let Some((taken, count)) = roost.get(step).zip(counters.get(step)) else { continue };
        let per_request = |what: &str, value: f64, target| {
            let value = Some(value / taken.requests);
            Figure::without_bare(&format!("{name}: {what}"), Unit::PerRequest, value, target)
        };
        // At most one notification for what the guest's kernel was given at once; the console has no batches.
        let most = least.map(|_| taken.batches / taken.requests);
        figures.push(per_request("exits", count.exits, None));
        figures.push(per_request("notifications", count.notifications, most));
        figures.push(per_request("interrupts", count.interrupts, None));
    }
    figures
}

fn on_bare_qemu(board: Board) -> Vec<Taken> {
    let kernel = match board {
        Board::Virt => "images/linux/Image",
        Board::Pc | Board::Microvm => "images/linux/bzImage",
    };
    let bare = Bare {
        board,
        kernel,
        initrd: Some("images/linux/initrd.cpio.gz"),
        command_line: "console=hvc0 quiet",
        device_tree: None,
        cpus: 1,
        clock: Clock::Counted,
    };
    let disk = null_disk();
    let devices = [
        "-global",
        "virtio-mmio.force-legacy=false",
        "-chardev",
        "stdio,id=console",
        "-device",
        // One port, or the guest's /dev/console is not there yet when it is opened.
        "virtio-serial-device,max_ports=1",
        "-device",
        "virtconsole,chardev=console",
        "-blockdev",
        &disk,
        "-device",
        "virtio-blk-device,drive=disk",
    ];
    let Some(mut running) = bare.start(&devices) else { return Vec::new() };
    let mut text = String::new();
    let fill = format!("helper load /dev/vda {FILL}");
    let loads = LOADS.iter().map(|load| format!("helper load /dev/vda {}", load.words));
    let mut commands = [LINES.to_owned(), fill].into_iter().chain(loads);
    while let Some(printed) = running.serial.find(PROMPT, PATIENCE) {
        text.push_str(&printed);
        let Some(command) = commands.next() else { break };
        running.serial.send(&format!("{command}\r"));
    }
    let mut taken = taken(&text);
    // What filled the disk is no figure.
    if taken.len() > 1 {
        taken.remove(1);
    }
    taken
}

/// QEMU's disk that takes no time. While a file's would be waited for, virtual time would jump to the guest's next timer; and
/// even so, QEMU's main thread is sometimes late to say that a request has ended, which is why the median batch counts.
fn null_disk() -> String {
    format!("driver=null-co,node-name=disk,size={},read-zeroes=on", MIB << 20)
}

fn on_roost(board: Board) -> String {
    let (machine, kernel, device) = match board {
        Board::Virt => (Machine::virt(), "linux/Image", "virtio-blk-device,drive=disk"),
        Board::Pc | Board::Microvm => {
            (Machine::svm(), "linux/bzImage", "virtio-blk-pci,drive=disk,disable-legacy=on")
        }
    };
    let config = format!(
        "name = \"{NAME}\"\nmemory = \"256M\"\nconsole = \"virtio\"\n\
         [boot]\nkernel = \"{kernel}\"\ninitrd = \"linux/initrd.cpio.gz\"\ncmdline = \"console=hvc0 quiet\"\n\
         [[disk]]\nbacking = \"ram:{MIB}M\"\n[[disk]]\nbacking = \"disk:vda\"\n"
    );
    let mut roost = machine
        .cpus(1)
        .memory_mib(2048)
        .guests(Guests::All)
        .file("configs/load.toml", config)
        .file("autostart", script())
        .counted()
        .flags(&["-global", "virtio-mmio.force-legacy=false"])
        .flags(&["-blockdev", &null_disk(), "-device", device])
        .switch_on();
    roost.wait_for_exit_within(PATIENCE);
    roost.serial().transcript()
}

/// One boot that does all. What the guest's devices have done is told before each load and behind the last.
fn script() -> String {
    let mut script =
        format!("vm create {NAME}\nvm start {NAME}\nvm expect {NAME} '{PROMPT}' --timeout 1h\n");
    let disks = ["/dev/vda", "/dev/vdb"].into_iter().flat_map(|disk| {
        let words = std::iter::once(FILL).chain(LOADS.iter().map(|load| load.words));
        words.map(move |words| format!("helper load {disk} {words}"))
    });
    for command in std::iter::once(LINES.to_owned()).chain(disks) {
        script.push_str(&format!(
            "vm info {NAME} --json\n\
             vm send {NAME} '{command}\\r'\n\
             vm expect {NAME} ' ticks' --timeout 1h\n\
             vm expect {NAME} '{PROMPT}' --timeout 1h\n"
        ));
    }
    script.push_str(&format!("vm info {NAME} --json\nvm log {NAME}\npoweroff\n"));
    script
}

/// What the helper says: `load: 2000 requests, 2000 batches, 123 ticks`, in its order.
fn taken(text: &str) -> Vec<Taken> {
    let parse = |line: &str| {
        let (_, rest) = line.split_once("load: ")?;
        let mut numbers = rest.split(", ").map(|part| part.split(' ').next()?.parse().ok());
        let mut number = || numbers.next()?;
        Some(Taken { requests: number()?, batches: number()?, ticks: number()? })
    };
    text.lines().filter_map(parse).collect()
}

/// What was done between each two of the documents of `vm info`.
fn counters(documents: &[Value]) -> Vec<Counters> {
    let infos: Vec<&Value> =
        documents.iter().filter(|document| document.get("vcpu_list").is_some()).collect();
    let between = |(index, pair): (usize, &[&Value])| {
        let [before, after] = pair else { return Counters::default() };
        // The console has the first load, its disks have one half of the others each.
        let device = match index {
            0 => (CONSOLE, 0),
            _ => (DISK, (index - 1) / (1 + LOADS.len())),
        };
        let difference = |of: fn(&Value, (&str, usize)) -> Option<f64>| {
            of(after, device).unwrap_or(0.0) - of(before, device).unwrap_or(0.0)
        };
        Counters {
            exits: difference(|info, _| exits(info)),
            notifications: difference(|info, device| activity(info, device, "notifications")),
            interrupts: difference(|info, device| activity(info, device, "interrupts")),
        }
    };
    infos.windows(2).enumerate().map(between).collect()
}

fn exits(info: &Value) -> Option<f64> {
    let reasons = info.get("vcpu_list")?.get(0)?.get("exits_by_reason")?.as_array()?;
    Some(reasons.iter().filter_map(|reason| reason.get("count")?.as_f64()).sum())
}

/// A counter of the nth device of that name.
fn activity(info: &Value, (name, index): (&str, usize), counter: &str) -> Option<f64> {
    let devices = info.get("devices")?.as_array()?;
    let is_it = |device: &&Value| device.get("name").and_then(Value::as_str) == Some(name);
    devices.iter().filter(is_it).nth(index)?.get("activity")?.get(counter)?.as_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Taken, counters, taken};

    #[test]
    fn what_a_load_took_is_found_among_other_lines() {
        let text =
            "helper load /dev/vda read\r\nload: 64 requests, 32 batches, 500 ticks\r\nlinux:~# ";
        assert_eq!(taken(text), [Taken { requests: 64.0, batches: 32.0, ticks: 500.0 }]);
        assert_eq!(taken("load: many requests"), []);
    }

    #[test]
    fn counters_are_those_between_two_documents() {
        let info = |exits: u64, notifications: u64| {
            json!({
                "vcpu_list": [{ "exits_by_reason": [{ "count": exits }, { "count": 1 }] }],
                "devices": [
                    { "name": "virtio console",
                      "activity": { "notifications": notifications, "interrupts": 0 } },
                ],
            })
        };
        let counters = counters(&[info(10, 2), json!({}), info(25, 5)]);
        let found: Vec<_> =
            counters.iter().map(|counters| (counters.exits, counters.notifications)).collect();
        assert_eq!(found, [(15.0, 3.0)]);
    }
}
