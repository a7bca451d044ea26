//! Roost as programs see it: `roostctl`, the client for Python, Prometheus, and the ports of consoles.
#![expect(clippy::panic, reason = "a failed expectation fails the test that has it")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use machine_tests::{Machine, Peer, Roost, Telnet, Window, tool};
use serde_json::Value;

const PROGRAMS: u16 = 2324;
const METRICS: u16 = 9100;
const CONSOLE: u16 = 2301;
const LIMIT: Duration = Duration::from_secs(100);
/// All have the password "password", whose hash is made in no time.
const HOST: &str = r#"
[[user]]
name = "admin"
role = "admin"
password = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI"

[[user]]
name = "vera"
role = "viewer"
password = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI"

[[user]]
name = "otto"
grants = ["hello:operator"]
password = "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI"

[metrics]
port = 9100
"#;

/// A machine, and a desk from which it is reached.
struct Desk {
    roost: Roost,
    host: String,
}

/// What came of a program.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    out: String,
    errors: String,
}

impl Desk {
    /// Boots the machine, and waits until it answers.
    fn new(machine: Machine) -> Self {
        let machine = machine.file("configs/host.toml", HOST);
        let roost = machine.network(&[PROGRAMS, METRICS, CONSOLE]).boot();
        let host = format!("127.0.0.1:{}", roost.port(PROGRAMS));
        let desk = Self { roost, host };
        // It has no address before the network has given it one.
        let deadline = Instant::now() + LIMIT;
        while desk.ctl(&["version"]).status != Some(0) {
            assert!(Instant::now() < deadline, "{:?}", desk.ctl(&["version"]));
        }
        desk
    }

    fn ctl(&self, words: &[&str]) -> Ran {
        self.ctl_with("password", words, "")
    }

    fn ctl_with(&self, password: &str, words: &[&str], input: &str) -> Ran {
        let mut command = Command::new(tool("roostctl"));
        command.args(words).envs([("ROOST_HOST", &*self.host), ("ROOST_PASSWORD", password)]);
        run(command, input)
    }

    /// A command that must do well, and what it says.
    fn succeed(&self, words: &[&str]) -> String {
        let ran = self.ctl(words);
        assert_eq!((ran.status, &*ran.errors), (Some(0), ""), "{words:?}");
        ran.out
    }

    fn json(&self, words: &[&str]) -> Value {
        let out = self.succeed(&[words, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words:?}: {error}: {out}"))
    }

    /// Of the port for metrics.
    fn curl(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("curl");
        let url = format!("http://127.0.0.1:{}/metrics", self.roost.port(METRICS));
        command.args(["--silent", "--show-error", "--max-time", "60"]).args(arguments).arg(url);
        run(command, "")
    }
}

/// Runs a program to its end.
fn run(mut command: Command, input: &str) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("{command:?}: {error}; `make setup` installs it"),
    };
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it says so by its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let out = child.stdout.take().map(read_all);
    let errors = child.stderr.take().map(read_all);
    let status = wait(&mut child);
    let text = |reader: Option<thread::JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    Ran { status, out: text(out), errors: text(errors) }
}

fn read_all(mut stream: impl std::io::Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.code(),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("a program does not end");
            }
        }
    }
}

fn roostctl_does_what_the_shell_does_and_its_status_says_so(machine: Machine) {
    let mut desk = Desk::new(machine);
    assert_eq!(desk.succeed(&["vm", "create", "hello"]), "vm 1 'hello' created: 1 vCPU, 16 MiB\n");
    assert_eq!(desk.succeed(&["vm", "start", "hello"]), "");
    assert_eq!(desk.succeed(&["vm wait hello --timeout 60s"]), "vm 1 'hello' is stopped\n");
    assert!(desk.succeed(&["vm", "list"]).starts_with("ID  NAME "));
    assert!(desk.succeed(&["vm", "log", "hello"]).contains("hello: goodbye\n"));
    let vms = desk.json(&["vm", "list"]);
    assert_eq!((&vms[0]["name"], &vms[0]["state"]), (&"hello".into(), &"stopped".into()));
    assert_eq!(desk.roost.list("vm list")[0]["name"], vms[0]["name"]);
    assert_eq!(desk.succeed(&["echo", "a b", "'c'; \"d\""]), "a b 'c'; \"d\"\n");

    let failed = desk.ctl(&["vm", "start", "nobody"]);
    let why = "roostctl: no VM 'nobody': 'vm list' shows hello\n";
    assert_eq!((failed.status, &*failed.errors, &*failed.out), (Some(1), why, ""));
    assert_eq!(desk.ctl(&["--frobnicate", "mem"]).status, Some(2));
    assert_eq!(desk.ctl(&["echo a; echo b"]).status, Some(1));

    let script =
        "vm reset hello\n# a comment\n\nvm wait hello --state stopped\nvm crate\necho never\n";
    let script = desk.ctl_with("password", &["-"], script);
    let error = "roostctl: line 5: no command 'vm crate': did you mean 'vm create'?\n";
    assert_eq!((script.status, &*script.errors), (Some(1), error));
    assert!(!script.out.contains("never"));
    desk.roost.power_off();
}

fn who_may_not_is_told_so_and_noted(machine: Machine) {
    let mut desk = Desk::new(machine);
    desk.succeed(&["vm", "create", "hello"]);
    assert!(desk.ctl(&["-u", "vera", "vm", "list"]).out.contains("hello"));
    let forbidden = desk.ctl(&["-u", "vera", "vm", "start", "hello"]);
    assert_eq!(forbidden.status, Some(3), "{forbidden:?}");
    assert!(forbidden.errors.contains("needs the role operator"), "{forbidden:?}");
    assert_eq!(desk.ctl(&["-u", "otto", "vm", "start", "hello"]).status, Some(0));
    assert_eq!(desk.ctl(&["-u", "otto", "vm", "create", "probe"]).status, Some(3));
    let wrong = desk.ctl_with("wrong", &["mem"], "");
    assert_eq!((wrong.status, &*wrong.errors), (Some(3), "roostctl: wrong name or password\n"));
    // The next one waits for a while, and is let in.
    assert_eq!(desk.succeed(&["echo", "in"]), "in\n");
    let audit = desk.roost.succeed("audit");
    for line in ["vm start hello", "login failed", "vm create hello"] {
        assert!(audit.contains(line), "{audit}");
    }
    // Nothing is done for nobody, and what is no line does not end the connection.
    let mut nobody = Peer::connect(desk.roost.port(PROGRAMS));
    nobody.expect(b"\"hello\":\"roost\"", LIMIT);
    for (line, kind) in [("vm list", "login"), ("login a", "line"), ("a\x1b[2J", "line")] {
        nobody.send(format!("{line}\n").as_bytes());
        nobody.expect(format!("\"kind\":\"{kind}\"").as_bytes(), LIMIT);
    }
    nobody.send(&[b'x'; 100_000]);
    nobody.send(b"\nlogin admin password\nvm list\nquit\n");
    nobody.expect(b"\"message\":\"the line is too long\"", LIMIT);
    nobody.expect(b"\"role\":\"admin\"", LIMIT);
    nobody.expect(b"\"name\":\"hello\"", LIMIT);
    nobody.wait_for_end(LIMIT);
    desk.roost.power_off();
}

fn programs_that_go_away_leave_nothing(machine: Machine) {
    let mut desk = Desk::new(machine);
    desk.succeed(&["vm", "create", "hello"]);
    let before = desk.roost.json("mem");
    // A command waits, and a console is watched: both go with their programs.
    let mut waiter = Peer::connect(desk.roost.port(PROGRAMS));
    waiter.send(b"login admin password\nvm wait hello --timeout 1h\n");
    waiter.expect(b"\"role\":\"admin\"", LIMIT);
    let mut watcher = Peer::connect(desk.roost.port(PROGRAMS));
    watcher.send(b"login vera password\nvm console hello\n");
    watcher.expect(b"\"attached\":true", LIMIT);
    assert_eq!(desk.roost.list("session list").len(), 3);
    waiter.reset();
    watcher.reset();
    let deadline = Instant::now() + LIMIT;
    while desk.roost.list("session list").len() != 1 {
        assert!(Instant::now() < deadline, "{}", desk.roost.run("session list"));
    }
    // What is sent whole, with its end, is done whole.
    let mut script = Peer::connect(desk.roost.port(PROGRAMS));
    script
        .send(b"login admin password\nvm list\nsleep 1500ms\nsleep 1500ms\nformat text\nvm list\n");
    script.finish();
    script.expect(b"[{\"id\":1", LIMIT);
    script.expect(b"\"result\":\"ID  NAME", LIMIT);
    script.wait_for_end(LIMIT);
    desk.roost.check_memory(&before);
    desk.roost.power_off();
}

fn a_console_is_at_the_desk(machine: Machine) {
    let mut desk = Desk::new(machine.linux_with("desk", ""));
    desk.succeed(&["vm", "create", "desk", "console.port=2301"]);
    let twice = desk.ctl(&["vm create desk --name other console.port=2301"]);
    assert!(twice.errors.contains("port 2301 leads to the console of vm 1 'desk'"), "{twice:?}");
    let taken = desk.ctl(&["vm create desk --name other console.port=2324"]);
    assert!(taken.errors.contains("2324 is that of [programs]"), "{taken:?}");
    desk.succeed(&["vm", "start", "desk"]);
    desk.roost.wait_for_linux("desk");

    let tool = tool("roostctl").display().to_string();
    let variables = [("ROOST_HOST", &*desk.host), ("ROOST_PASSWORD", "password")];
    let window = Window { columns: 101, rows: 31 };
    let console = |user: &str| {
        Telnet::on_terminal(&[&tool, "-u", user, "console", "desk"], &variables, window)
    };
    let mut first = console("admin");
    first.expect("attached to vm 1 'desk': Ctrl-] leaves\r\n", LIMIT);
    // What was printed before is shown first.
    first.expect("linux:~# ", LIMIT);
    first.send("stty size; echo $((40 + 2)) here\r");
    first.expect("31 101", LIMIT);
    first.expect("42 here", LIMIT);
    let mut watcher = console("vera");
    watcher.expect("you only watch", LIMIT);
    watcher.send("echo $((6 * 9)) there\r");
    first.send("echo $((6 * 7)) seen\r");
    watcher.expect("42 seen", LIMIT);
    assert!(!watcher.transcript().contains("54 there"));
    for client in [&mut first, &mut watcher] {
        client.send("\x1d");
        client.expect("detached from vm 1 'desk'", LIMIT);
        assert_eq!(client.wait_for_status(), Some(0));
    }

    // The same by telnet, on the port of its own.
    let mut telnet = Telnet::connect(desk.roost.port(CONSOLE));
    telnet.expect("login: ", LIMIT);
    telnet.send_line("admin");
    telnet.expect("password: ", LIMIT);
    telnet.send_line("password");
    telnet.expect("attached to vm 1 'desk'", LIMIT);
    telnet.send("echo $((40 + 3)) here\r");
    telnet.expect("43 here", LIMIT);
    telnet.send("\x1c");
    telnet.wait_for_end(LIMIT);
    // The port goes with the VM, and comes with the next one.
    desk.succeed(&["vm", "destroy", "desk", "--force"]);
    desk.succeed(&["vm", "create", "desk", "console.port=2301"]);
    let mut telnet = Telnet::connect(desk.roost.port(CONSOLE));
    telnet.expect("login: ", LIMIT);
    for port in 2401..2412 {
        desk.roost.succeed(&format!("vm create hello --name of-{port} console.port={port}"));
    }
    let error = desk.roost.refuse("vm create hello console.port=2412");
    assert!(error.contains("12 consoles have a port"), "{error}");
    desk.roost.power_off();
}

fn python_does_it_too(machine: Machine) {
    let desk = Desk::new(machine);
    let client: PathBuf = tool("roost.py");
    let python = |arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.arg(&client).args(arguments).env("ROOST_PASSWORD", "password");
        run(command, "")
    };
    let test = python(&["--self-test"]);
    assert_eq!(test.status, Some(0), "{test:?}");
    let created = python(&[&desk.host, "vm", "create", "hello"]);
    assert_eq!(created.out, "\"vm 1 'hello' created: 1 vCPU, 16 MiB\"\n", "{created:?}");
    let list = python(&[&desk.host, "vm list"]);
    assert!(list.out.contains("\"name\": \"hello\""), "{list:?}");
    assert_eq!(python(&[&desk.host, "vm start nobody"]).status, Some(1));
    desk.roost.power_off();
}

fn prometheus_gets_figures(machine: Machine) {
    let mut desk = Desk::new(machine);
    // A label may have what a name may; names with quotes are no VM's.
    desk.succeed(&["vm", "create", "hello", "--name", "we.b-1"]);
    desk.succeed(&["vm", "start", "we.b-1"]);
    desk.succeed(&["vm", "wait", "we.b-1"]);
    let figures = desk.curl(&[]);
    assert_eq!((figures.status, &*figures.errors), (Some(0), ""));
    let promtool = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|path| path.join("promtool")).find(|path| path.exists())
    });
    let mut check = Command::new(promtool.unwrap_or_else(|| tool("promtool")));
    check.args(["check", "metrics"]);
    let checked = run(check, &figures.out);
    assert_eq!((checked.status, &*checked.errors), (Some(0), ""), "{}", figures.out);
    let figure = |name: &str| -> f64 {
        let line = figures.out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {}", figures.out))
    };
    assert!(figure("roost_vm_cpu_seconds_total{vm=\"we.b-1\",vcpu=\"0\"}") > 0.0);
    assert!(figure("roost_vms{state=\"stopped\"}") == 1.0);
    assert!(figure("roost_memory_bytes") > figure("roost_memory_free_bytes"));
    assert!(figure("roost_sessions{link=\"serial\"}") == 1.0);
    assert!(figure("roost_network_receive_bytes_total") > 0.0);
    assert!(figure("roost_tcp_accepted_total{port=\"9100\"}") >= 1.0);

    let status = |arguments: &[&str]| {
        let write = ["--output", "/dev/null", "--write-out", "%{http_code}"];
        let ran = desk.curl(&[&write, arguments].concat());
        format!("{}{}", ran.out, ran.errors)
    };
    assert_eq!(status(&["--http1.0"]), "200");
    assert_eq!(status(&["--head"]), "200");
    assert_eq!(status(&["--data", "x"]), "405");
    assert_eq!(status(&["--request-target", "/"]), "404");
    // Whoever is slow has a quarter of a minute; meanwhile others are answered.
    let mut slow: Vec<Peer> = (0..4).map(|_| Peer::connect(desk.roost.port(METRICS))).collect();
    for peer in &mut slow {
        peer.send(b"GET /metrics HT");
    }
    assert_eq!(status(&[]), "200");
    for peer in &mut slow {
        peer.wait_for_end(LIMIT);
    }
    assert!(desk.roost.succeed("vm list").contains("we.b-1"));
    desk.roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        roostctl_does_what_the_shell_does_and_its_status_says_so(Machine::virt());
        who_may_not_is_told_so_and_noted(Machine::virt());
        programs_that_go_away_leave_nothing(Machine::virt());
        a_console_is_at_the_desk(Machine::virt());
        python_does_it_too(Machine::virt());
        prometheus_gets_figures(Machine::virt());
    }
    svm {
        roostctl_does_what_the_shell_does_and_its_status_says_so(Machine::svm());
        programs_that_go_away_leave_nothing(Machine::svm());
        a_console_is_at_the_desk(Machine::svm());
        prometheus_gets_figures(Machine::svm());
    }
}
