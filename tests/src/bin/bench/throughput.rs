//! Guests on a network: how fast one copies from another and from a server outside, and how long an answer takes.
//!
//! ```text
//!   bare    Linux ─► QEMU's virtio-net ─► a socket ─► QEMU's virtio-net ─► Linux        Linux ─► QEMU's user network ─► server
//!   Roost   Linux ─► Roost's virtio-net ─► switch ─► Roost's virtio-net ─► Linux        Linux ─► NAT ─► card ─► the same
//! ```
//!
//! In wall time, one after the other on the same machine: two machines have no common count of instructions. The best of several
//! runs counts, for others only take time away.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use machine_tests::{Machine, Roost};

use crate::bare::{Bare, Board, Clock, Running};
use crate::figure::{Figure, Unit};

const PROMPT: &str = "linux:~# ";
/// How long a guest may take to boot, and a run.
const LIMIT: Duration = Duration::from_secs(180);
/// What is copied at once, and how often in a run.
const MIB: usize = 50;
const COPIES: usize = 8;
const RUNS: usize = 3;
/// Whom the guests are.
const SERVER: &str = "10.9.0.1";
const CLIENT: &str = "10.9.0.2";
/// The machine that QEMU runs on, as its user network shows it.
const OUTSIDE: &str = "10.0.2.2";

/// What one machine did, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// For 1 MiB.
    copy: Option<f64>,
    /// For a question and its answer.
    echo: Option<f64>,
}

/// All of it.
pub(crate) fn measure(machine: Machine, board: Board) -> Vec<Figure> {
    let Ok(port) = serve() else { return Vec::new() };
    let (between, outside) = on_roost(machine, port);
    let bare_between = between_bare(board).unwrap_or_default();
    let bare_outside = outside_bare(board, port).unwrap_or_default();
    let figure = |name: &str, value, bare| Figure {
        name: name.into(),
        unit: Unit::Milliseconds,
        value,
        bare,
        target: None,
    };
    vec![
        figure("1 MiB from guest to guest", between.copy, bare_between.copy),
        figure("round trip from guest to guest", between.echo, bare_between.echo),
        figure("1 MiB from outside to a guest", outside.copy, bare_outside.copy),
        figure("round trip from a guest to outside", outside.echo, bare_outside.echo),
    ]
}

/// A guest's shell.
trait Shell {
    /// Runs a command, and returns what its console shows.
    fn run(&mut self, command: &str) -> Option<String>;

    /// Waits until `host` answers.
    fn wait_for(&mut self, host: &str) -> Option<String> {
        self.run(&format!("until ping -c 1 -W 1 {host} >/dev/null; do sleep 1; done"))
    }

    fn measure(&mut self, host: &str, url: &str) -> Option<Taken> {
        self.wait_for(host)?;
        let copies = format!(
            "read a r </proc/uptime; for i in $(seq {COPIES}); do wget -q -O /dev/null {url}; done; \
             read b r </proc/uptime; echo took $a $b"
        );
        let mut taken = Taken::default();
        for _ in 0..RUNS {
            let seconds = interval(&self.run(&copies)?);
            let each = seconds.map(|seconds| seconds * 1000.0 / (COPIES * MIB) as f64);
            taken.copy = least(taken.copy, each);
            let text = self.run(&format!("ping -A -q -c 300 {host}"))?;
            taken.echo = least(taken.echo, average(&text));
        }
        Some(taken)
    }
}

fn least(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).min_by(f64::total_cmp)
}

/// Between the two times of `took 12.34 15.67`.
fn interval(text: &str) -> Option<f64> {
    let parse = |line: &str| {
        let mut times = line.strip_prefix("took ")?.split_whitespace().map(str::parse::<f64>);
        let (begin, end) = (times.next()?.ok()?, times.next()?.ok()?);
        Some(end - begin)
    };
    text.lines().filter_map(parse).next_back()
}

/// The second of `round-trip min/avg/max = 0.1/0.2/0.3 ms`.
fn average(text: &str) -> Option<f64> {
    let (_, figures) = text.rsplit_once("min/avg/max = ")?;
    figures.split('/').nth(1)?.parse().ok()
}

/// A guest of Roost.
struct Guest<'a> {
    roost: &'a mut Roost,
    name: &'a str,
}

impl Shell for Guest<'_> {
    fn run(&mut self, command: &str) -> Option<String> {
        self.roost.does(self.name, &format!("{{ {command}; }}"));
        Some(self.roost.succeed(&format!("vm log {} --lines 12", self.name)).replace('\r', ""))
    }
}

fn on_roost(machine: Machine, port: u16) -> (Taken, Taken) {
    let networks = "[[network]]\nname = \"lan\"\n\
        [[network]]\nname = \"nat\"\nkind = \"nat\"\nsubnet = \"192.168.76.0/24\"\n";
    let mut roost = machine
        .cpus(2)
        .memory_mib(1536)
        .file("configs/host.toml", networks)
        .linux_with("server", "[[net]]\nnetwork = \"lan\"\n")
        .linux_with("client", "[[net]]\nnetwork = \"lan\"\n")
        .linux_with("inside", "[[net]]\nnetwork = \"nat\"\n")
        .network(&[])
        .boot();
    for (name, words) in [("server", SERVER), ("client", CLIENT)] {
        let cmdline = format!("'cmdline=console=hvc0 quiet roost.ip={words}/24'");
        roost.succeed(&format!("vm create {name} memory=256M {cmdline}"));
        roost.succeed(&format!("vm start {name}"));
    }
    for name in ["server", "client"] {
        roost.wait_for_text(name, PROMPT);
    }
    provide(&mut Guest { roost: &mut roost, name: "server" });
    let mut client = Guest { roost: &mut roost, name: "client" };
    let between = client.measure(SERVER, &format!("http://{SERVER}/data"));
    roost.destroy("client");
    roost.destroy("server");
    roost.start("inside");
    roost.wait_for_text("inside", PROMPT);
    let mut inside = Guest { roost: &mut roost, name: "inside" };
    let outside = inside.measure(OUTSIDE, &format!("http://{OUTSIDE}:{port}/"));
    (between.unwrap_or_default(), outside.unwrap_or_default())
}

/// Has a guest serve the data.
fn provide(shell: &mut dyn Shell) -> Option<String> {
    shell.run(&format!("dd if=/dev/zero of=/tmp/data bs=1M count={MIB} 2>/dev/null"))?;
    shell.run("httpd -p 80 -h /tmp")
}

impl Shell for Running {
    fn run(&mut self, command: &str) -> Option<String> {
        self.serial.send(&format!("{command}\r"));
        // The first line is the command itself.
        let text = self.serial.find(PROMPT, LIMIT)?.replace('\r', "");
        text.split_once('\n').map(|(_, rest)| rest.to_owned())
    }
}

/// A bare machine with a network card, at its first prompt.
fn bare(board: Board, netdev: &str, mac: &str, words: &str) -> Option<Running> {
    let (kernel, console) = match board {
        Board::Virt => ("images/linux/Image", "ttyAMA0"),
        Board::Pc | Board::Microvm => ("images/linux/bzImage", "ttyS0"),
    };
    let command_line = format!("console={console} quiet {words}");
    let bare = Bare {
        board,
        kernel,
        initrd: Some("images/linux/initrd.cpio.gz"),
        command_line: &command_line,
        device_tree: None,
        cpus: 1,
        clock: Clock::Wall,
    };
    let card = format!("virtio-net-device,netdev=n,mac={mac}");
    let modern = "virtio-mmio.force-legacy=false";
    let devices =
        ["-serial", "stdio", "-global", modern, "-netdev", netdev, "-device", card.as_str()];
    let mut running = bare.start(&devices)?;
    running.serial.find(PROMPT, LIMIT)?;
    Some(running)
}

fn between_bare(board: Board) -> Option<Taken> {
    let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let netdev = |what: &str| format!("socket,id=n,{what}=127.0.0.1:{port}");
    let words = |address: &str| format!("roost.ip={address}/24");
    let mut server = bare(board, &netdev("listen"), "52:54:00:00:00:01", &words(SERVER))?;
    provide(&mut server)?;
    let mut client = bare(board, &netdev("connect"), "52:54:00:00:00:02", &words(CLIENT))?;
    client.measure(SERVER, &format!("http://{SERVER}/data"))
}

fn outside_bare(board: Board, port: u16) -> Option<Taken> {
    let mut guest = bare(board, "user,id=n", "52:54:00:00:00:01", "")?;
    guest.measure(OUTSIDE, &format!("http://{OUTSIDE}:{port}/"))
}

/// Serves the data on a port of the loopback interface, for as long as this program runs.
fn serve() -> std::io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who hangs up wants no more.
            thread::spawn(move || answer(&stream));
        }
    });
    Ok(port)
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut request = BufReader::new(stream);
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", MIB << 20)?;
    let piece = vec![0; 1 << 20];
    (0..MIB).try_for_each(|_| stream.write_all(&piece))
}

#[cfg(test)]
mod tests {
    use super::{average, interval};

    #[test]
    fn times_are_found_in_what_a_console_shows() {
        let text = "linux:~# echo took $a $b\ntook 10.50 12.75\nlinux:~# ";
        assert_eq!(interval(text), Some(2.25));
        assert_eq!(interval("took long"), None);
        let text = "3 packets received\nround-trip min/avg/max = 0.211/0.5/1.000 ms\n";
        assert_eq!(average(text), Some(0.5));
    }
}
