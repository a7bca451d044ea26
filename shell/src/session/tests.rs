use crate::error::Error;
use crate::host::{Cursor, Host, LogLevel, LogLine, VmId, VmState};
use crate::session::{Lifetime, Options, SessionId, TerminalKind};
use crate::terminal_size::TerminalSize;
use crate::testing::fake_host::{FakeHost, crash};
use crate::testing::noise::Noise;
use crate::testing::user::User;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn user() -> User {
    let mut user = User::plain(FakeHost::with_two());
    user.sees();
    user
}

/// What a line answers, without the line itself and the prompt after it.
fn says(user: &mut User, line: &str) -> String {
    let seen = user.types(format!("{line}\r")).replace("\r\n", "\n");
    let answer =
        seen.strip_prefix(&format!("{line}\n")).unwrap_or_else(|| panic!("no echo: {seen:?}"));
    answer.strip_suffix("roost> ").unwrap_or_else(|| panic!("no prompt: {seen:?}")).into()
}

fn answer(line: &str) -> String {
    says(&mut user(), line)
}

#[test]
fn the_session_of_the_manual_looks_as_printed() {
    let mut user = User::plain(FakeHost::new());
    user.sees();
    assert_eq!(says(&mut user, "vm create linux"), "vm 1 'linux' created: 1 vCPU, 256 MiB\n");
    assert_eq!(says(&mut user, "vm start 1"), "");
    user.host.vm(1).summary.cpu_percent = 3;
    user.host.vm(1).summary.uptime_ns = 12_000_000_000;
    assert_eq!(
        says(&mut user, "vm list"),
        "ID  NAME    STATE    VCPUS  MEMORY   CPU%  UPTIME\n\
         1   linux   running  1      256 MiB  3     0:00:12\n"
    );
}

#[test]
fn listings_are_tables_and_json() {
    let json = |line: &str| -> serde_json::Value {
        let text = answer(&format!("{line} --json"));
        assert_eq!(text.lines().count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    };
    let vms = json("vm list");
    assert_eq!(
        vms[0].to_string(),
        r#"{"cpu_percent":3,"id":1,"memory_bytes":268435456,"name":"linux","state":"running","uptime_ns":12345678901,"vcpus":1}"#
    );
    assert_eq!(vms[1]["state"], "created");

    assert_eq!(
        answer("vcpu list web"),
        "VM   VCPU  STATE  CPU  AFFINITY  WEIGHT  CPU TIME  EXITS\n\
         web  0     off    -    0-1,3     100     3.214 s   1234\n"
    );
    assert_eq!(answer("vcpu list").lines().count(), 3);
    assert_eq!(json("vcpu list linux")[0]["affinity"].to_string(), "[0,1,3]");

    assert_eq!(
        answer("cpu list").lines().nth(2),
        Some("1    online  3      1      linux/0  0x1       Cortex-A57 r1p0")
    );
    assert_eq!(json("cpu list")[2]["state"], "failed");
    assert_eq!(json("mem")["guests_bytes"], 8 << 20);
    assert_eq!(answer("mem").lines().nth(7), Some("  heap, 98 KiB used  2 MiB     2097152"));

    assert_eq!(
        answer("image list"),
        "NAME                  SIZE    KIND               SOURCE\n\
         linux/Image           30 MiB  Linux arm64 Image  initrd\n\
         linux/initrd.cpio.gz  1 MiB   gzip               vda1 'roost' ext4\n"
    );
    assert_eq!(json("image list")[0]["size_bytes"], 31_457_280);
    assert_eq!(
        answer("disk list"),
        "DISK  PARTITION  SIZE    LABEL    USED BY\n\
         vda   -          64 MiB  -        linux\n\
         vda   1          16 MiB  data1    linux\n\
         vda   2          16 MiB  x\\u{7}y  -\n"
    );
    let user = "linux  1          10        2        4 KiB  8 KiB    1       0     12 ms";
    assert!(answer("disk info vda").contains(user), "{}", answer("disk info vda"));
    assert_eq!(json("disk info vda")["partitions"][0]["label"], "data1");
    assert!(answer("disk info vda").contains("serial      QM\\u{1b}[2J\n"), "nothing to obey");
    assert!(answer("disk info vdb").contains("no disk 'vdb': the host has vda"));
    let configs = answer("config list");
    assert!(configs.contains("linux-smp  1      256 MiB  linux/Image  initrd\n"), "{configs}");
    assert!(configs.contains("broken is not valid: broken.toml:3: memory = \"lots\""), "{configs}");
    assert_eq!(json("config list")[1]["error"], serde_json::Value::Null);
    assert_eq!(json("uptime")["uptime_ns"], 83_456_000_000_u64);
    assert_eq!(json("version")["architecture"], "AArch64 EL2");
    assert_eq!(json("vm info 1")["vcpu_list"][0]["exits_by_reason"][0]["count"], 34);
    assert_eq!(json("vm info 1")["devices"][0]["address"], "0x9000000");
    assert_eq!(json("vm why 1"), serde_json::Value::Null);
}

#[test]
fn details_of_a_vm_are_shown() {
    assert_eq!(
        answer("vm info linux"),
        "vm 1 'linux' is running, up 0:00:12\n  \
           config      linux\n  \
           memory      256 MiB\n  \
           interrupts  GICv3\n  \
           restarts    2\n  \
           console     8.4 MiB printed\n\
         \n\
         VCPU  STATE  CPU  CPU TIME  EXITS  BY REASON\n\
         0     idle   1    3.214 s   1234   hvc 34\n\
         \n\
         DEVICE  ADDRESS    INTERRUPT\n\
         PL011   0x9000000  33\n\
         note: SVE is hidden\n"
    );
    let mut user = user();
    assert_eq!(says(&mut user, "vm why 1"), "vm 1 'linux' has not crashed; it is running\n");
    user.host.vm(1).crash = Some(crash());
    let why = says(&mut user, "vm why linux");
    assert!(
        why.starts_with(
            "vm 1 'linux' crashed 12.345678 s after power-on, on vCPU 0:\n  instruction fetch"
        ),
        "{why}"
    );
    assert!(
        why.contains(
            "  x0 0x0000000000000000  x1 0x0000000000000001  x2 0x0000000000000002\n  x3 "
        ),
        "{why}"
    );
    assert!(
        why.ends_with("last exits, the last one last:\n  hvc 0x84000000\n  fetch 0xdead0000\n"),
        "{why}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&says(&mut user, "vm why 1 --json")).unwrap();
    assert_eq!(json["pc"], "0xdead0000");
    assert_eq!(json["registers"][3]["value"], "0x3");
}

#[test]
fn the_machine_and_the_session_answer() {
    assert_eq!(
        answer("version"),
        "Roost 0.1.0 (abc1234), AArch64 EL2 on linux,dummy-virt: 2 CPUs, GICv3\n"
    );
    assert_eq!(answer("uptime"), "up 0:01:23\n");
    assert_eq!(answer("echo  a 'b  c' --x"), "a b  c --x\n");
    assert_eq!(answer("config show linux"), "name = \"linux\"\nvcpus = 1\n");
    assert_eq!(answer("config check linux"), "config 'linux' is valid: 1 vCPU, 256 MiB\n");
    assert_eq!(answer("clear"), "");
    assert_eq!(answer("echo a; echo b # c"), "a\nb\n");
    let mut user = user();
    says(&mut user, "echo 1");
    assert_eq!(says(&mut user, "history"), "   1  echo 1\n   2  history\n");
}

#[test]
fn errors_say_what_was_wrong_and_what_would_be_right() {
    for (line, error) in [
        ("vm start 7", "no VM 7: 'vm list' shows 1 and 2"),
        ("vm start wbe", "no VM 'wbe': 'vm list' shows linux and web"),
        ("vm start", "VM is missing: vm start VM..."),
        ("vm list x", "'x' is one too many: vm list [--json]"),
        ("vm list --jsn", "'vm list' has no option --jsn; it has --json"),
        ("vm pause 1 --force", "'vm pause' has no option --force; it has none"),
        ("vm list --json=1", "--json takes no value: vm list [--json]"),
        (
            "vm create linux --name",
            "NAME is missing after --name: vm create CONFIG [KEY=VALUE...] [--name NAME]",
        ),
        ("vm create linux 128M", "'128M' is no KEY=VALUE, such as memory=128M"),
        ("vm create linux --name 3", "a VM's name is not empty and no number: numbers are ids"),
        ("vm create absent", "no configuration 'absent': 'config list' shows linux and broken"),
        ("vm start 1", "vm 1 'linux' is running already"),
        ("vm crate linux", "no command 'vm crate': did you mean 'vm create'?"),
        (
            "vm",
            "'vm' takes one of list, create, start, pause, resume, stop, reset, destroy, info, why, set, disk, console, \
                log, wait, send, expect, check",
        ),
        ("echo 'a", "a quote ' is not closed: echo 'a"),
        ("vm set 1 weight=0", "weight is a number from 1, not '0'"),
        ("vm set 1 weight=20000", "weight is a number from 1 to 10000, not 20000"),
        (
            "vm set 1 colour=red",
            "no setting 'colour=red': write weight=N, memory=SIZE or affinity=CPUS, such as affinity=0,2-3",
        ),
        ("vm set 1 affinity=x", "'x' is no set of CPUs: write it as 0,2-3; 'cpu list' shows them"),
        (
            "vm wait 1 --state ready",
            "no state 'ready': one of created, loading, running, paused, stopped or crashed",
        ),
        (
            "sleep soon",
            "'soon' is no duration: write it as 500ms, 30s, 2m or 1h, or as a number of seconds",
        ),
        (
            "vm stop 1 --force --timeout 1s",
            "--force does not wait: leave out --timeout, or --force",
        ),
        ("set escape ^M", "'^M' cannot leave a console: it is the Enter key"),
        ("log level loud", "no log level 'loud': one of off, error, warn, info, debug, trace"),
        ("exit 256", "an exit status is a number from 0 to 255, not '256'"),
        ("exit", "CODE is missing: exit CODE"),
        ("on-error stop", "on-error is for scripts: here, the first error ends the line"),
        ("vm log 1 --lines 0", "--lines is a number from 1, not '0'"),
        ("vm expect 1 ''", "the text has 1 to 512 bytes, not 0"),
        (r"vm send 1 '\q'", r"unknown escape in '\q': \n, \r, \t, \e, \\ and \xNN are known"),
        ("config show nothing", "no configuration 'nothing'"),
    ] {
        assert_eq!(answer(line), format!("error: {error}\n"), "{line}");
    }
    let mut nobody = User::plain(FakeHost::new());
    nobody.sees();
    assert_eq!(
        says(&mut nobody, "vm info x"),
        "error: no VM 'x': there is none yet; 'vm create CONFIG' makes one\n"
    );
    assert_eq!(says(&mut nobody, "vm list --json"), "[]\n");
}

#[test]
fn the_first_error_ends_a_line() {
    assert_eq!(
        answer("echo a; vm start 9; echo b"),
        "a\nerror: no VM 9: 'vm list' shows 1 and 2\n"
    );
    assert_eq!(answer("echo a; echo 'b"), "error: a quote ' is not closed: echo 'b\n");
}

#[test]
fn vms_are_ordered_about() {
    let mut user = user();
    says(&mut user, "vm pause linux");
    assert_eq!(user.host.vm_state(VmId(1)), Some(VmState::Paused));
    says(&mut user, "vm resume 1; vm stop linux --timeout 5s; vm stop 2 --force; vm reset 1 web 1");
    says(&mut user, "vm create linux memory=128M vcpus=2 --name=three");
    assert_eq!(user.host.orders[..4], ["stop 1 Ask(5s)", "stop 2 Force", "reset 1", "reset 2"]);
    assert_eq!(
        user.host.orders[4],
        "create CreateRequest { config: \"linux\", name: Some(\"three\"), \
         overrides: [(\"memory\", \"128M\"), (\"vcpus\", \"2\")] }"
    );
    says(&mut user, "vm set three weight=200 affinity=0,2-3");
    assert_eq!(user.host.vm(3).settings.affinity, Some(vec![0, 2, 3]));
    assert_eq!(user.host.vm(3).settings.weight, Some(200));
}

#[test]
fn disks_of_vms_come_and_go() {
    let mut user = user();
    assert_eq!(
        says(&mut user, "vm disk list linux"),
        "SLOT  BACKING          SIZE    STATE     ACCESS       READS  WRITES  FLUSHES  READ   WRITTEN  FAILED\n\
         vda   partition:data1  16 MiB  attached  read, write  1      2       3        4 KiB  8 KiB    5\n\
         vdb   -                -       empty     -            1      2       3        4 KiB  8 KiB    5\n"
    );
    assert_eq!(says(&mut user, "vm disk list web"), "vm 2 'web' has no disks\n");
    assert_eq!(
        says(&mut user, "vm disk attach linux ram:16M --slot vdb --readonly"),
        "vm 1 'linux', vdb: ram:16M attached, 16 MiB\n"
    );
    assert_eq!(says(&mut user, "vm disk detach linux vdb"), "vdb detached\n");
    assert_eq!(
        user.host.orders,
        [
            "attach 1 AttachRequest { backing: \"ram:16M\", slot: Some(\"vdb\"), is_read_only: true }",
            "detach 1 vdb"
        ]
    );
}

#[test]
fn a_slip_in_the_last_name_leaves_the_first_ones_alone() {
    let mut user = user();
    assert_eq!(says(&mut user, "vm stop 1 9"), "error: no VM 9: 'vm list' shows 1 and 2\n");
    assert_eq!(user.host.orders, [""; 0]);
}

#[test]
fn a_running_vm_is_only_destroyed_by_force() {
    let mut user = user();
    assert_eq!(
        says(&mut user, "vm destroy web linux"),
        "error: vm 1 'linux' is running: 'vm stop linux' stops it, 'vm destroy linux --force' destroys it as it is\n"
    );
    assert_eq!(user.host.orders, [""; 0]);
    assert_eq!(says(&mut user, "vm destroy web; vm destroy linux --force"), "");
    assert_eq!(user.host.orders, ["destroy 2 Normal", "destroy 1 Force"]);
}

#[test]
fn help_lists_all_and_explains_each() {
    let all = answer("help");
    for command in crate::commands::all() {
        assert!(all.contains(&format!("  {:14} {}\n", command.name(), command.summary)));
        let one = answer(&format!("help {}", command.name()));
        assert!(one.starts_with(&command.usage()), "{one}");
        assert!(one.ends_with(&format!("Example: {}\n", command.example)), "{one}");
        assert!(one.lines().all(|line| line.len() <= 110), "{one}");
        assert!(all.lines().all(|line| line.len() <= 79), "{all}");
        let itself = answer(&format!("{} --help", command.name()));
        assert_eq!(itself, one);
    }
    assert!(answer("help vm").contains("vm create"));
    assert_eq!(answer("vm create linux --help"), answer("help vm create"));
    assert!(!answer("vm send linux --help").contains("Example"));
    assert_eq!(
        answer("help vm crate"),
        "error: no command 'vm crate': did you mean 'vm create'?\n"
    );
}

#[test]
fn every_example_in_the_table_can_be_parsed() {
    for command in crate::commands::all() {
        let words = crate::words::split(command.example).unwrap();
        let (found, used) = crate::command::find(&words).unwrap();
        assert_eq!(found.name(), command.name());
        crate::arguments::Arguments::parse(found, &words[used..]).unwrap();
    }
}

#[test]
fn progress_is_rewritten_on_a_terminal_and_silent_elsewhere() {
    let mut host = FakeHost::with_two();
    host.job_polls = 5;
    let mut user = User::vt100(host, 24, 80);
    user.types("vm create linux\r");
    assert_eq!(user.screen().last_lines(1), "loading linux/Image  12/30 MiB");
    assert!(user.session.waits_for_host());
    for _ in 0..6 {
        user.waits(SECOND / 10);
    }
    assert_eq!(
        user.screen().text(),
        "roost> vm create linux\nvm 3 'linux' created: 1 vCPU, 256 MiB\nroost>"
    );
    let mut host = FakeHost::with_two();
    host.job_polls = 5;
    let mut user = User::plain(host);
    user.types("vm create linux\r");
    let mut seen = String::new();
    (0..6).for_each(|_| seen += &user.waits(SECOND / 10));
    assert_eq!(seen, "vm 3 'linux' created: 1 vCPU, 256 MiB\r\nroost> ");
}

#[test]
fn ctrl_c_abandons_a_job_or_leaves_it_alone() {
    let mut host = FakeHost::with_two();
    host.job_polls = 1000;
    let mut user = User::plain(host);
    user.types("vm create linux; echo after\r");
    assert_eq!(user.types("type-ahead\x03"), "^C\r\nroost> ");
    assert!(user.host.orders.contains(&"cancel 1".to_string()));
    user.host.refuses_cancel = true;
    // Typed ahead, it works as well.
    assert!(
        user.types("vm create linux\r\x03")
            .ends_with("it goes on without you: the image is loaded by half\r\n^C\r\nroost> ")
    );
}

#[test]
fn wait_ends_with_the_state_the_time_or_the_crash() {
    let mut user = user();
    user.types("vm wait linux --state stopped,paused --timeout 60s\r");
    assert_eq!(user.session.next_deadline(), Some(60 * SECOND));
    assert_eq!(user.waits(59 * SECOND), "");
    user.host.ends(1, VmState::Stopped, "the guest turned itself off");
    assert_eq!(user.waits(Duration::ZERO), "vm 1 'linux' is stopped\r\nroost> ");

    user.types("vm wait web --timeout 2s\r");
    assert_eq!(
        user.waits(2 * SECOND),
        "error: vm 2 'web' is created, not stopped, after 2 s\r\nroost> "
    );

    user.types("vm wait web --state running\r");
    user.host.ends(2, VmState::Crashed, "instruction fetch from 0xdead0000");
    assert_eq!(
        user.waits(SECOND),
        "error: vm 2 'web' crashed before it was running: instruction fetch from 0xdead0000\r\nroost> "
    );
    assert_eq!(says(&mut user, "vm wait 2 --state crashed"), "vm 2 'web' is crashed\n");

    user.types("vm wait web --state running\r");
    user.host.vms.pop();
    assert_eq!(
        user.waits(SECOND),
        "error: vm 2 'web' was destroyed before it was running\r\nroost> "
    );
}

#[test]
fn send_types_as_fast_as_the_guest_reads() {
    let mut user = user();
    user.host.vm(1).appetite = 3;
    user.types("vm send linux \"uname -a\\r\"\r");
    assert_eq!(user.host.vm(1).typed, b"una");
    user.host.vm(1).appetite = 100;
    assert_eq!(user.waits(SECOND), "roost> ");
    assert_eq!(user.host.vm(1).typed, b"uname -a\r");

    user.host.vm(1).appetite = 2;
    user.types("vm send linux abc\r");
    assert_eq!(
        user.waits(10 * SECOND),
        "error: vm 1 'linux' has read 2 of 3 bytes in 10 s: it is not reading its console\r\nroost> "
    );
    user.host.ends(1, VmState::Stopped, "");
    assert_eq!(
        says(&mut user, "vm send linux x"),
        "error: vm 1 'linux' is stopped: nothing reads its console\n"
    );
}

#[test]
fn expect_finds_each_text_once_and_says_what_it_saw_instead() {
    let mut user = user();
    user.host.prints(1, "Booting\r\nlogin: ");
    assert_eq!(says(&mut user, "vm expect linux 'login: '"), "");
    user.types("vm expect linux 'login: ' --timeout 5s\r");
    user.host.prints(1, "root\r\nPassword: ");
    assert_eq!(
        user.waits(5 * SECOND),
        "error: vm 1 'linux' has run for 5 s without showing 'login: '; its last line is 'Password:'\r\nroost> "
    );
    user.types("vm expect web 'login: ' --timeout 5s\r");
    assert_eq!(
        user.waits(5 * SECOND),
        "error: vm 2 'web' is created after 5 s without showing 'login: '\r\nroost> "
    );
    user.types("vm expect linux '# '\r");
    user.host.prints(1, format!("{}\r\n# ", "x".repeat(5000)));
    assert_eq!(user.waits(SECOND), "roost> ");
    user.types("vm expect linux never\r");
    user.host.prints(1, "panic!");
    user.host.ends(1, VmState::Crashed, "");
    assert_eq!(
        user.waits(SECOND),
        "error: vm 1 'linux' crashed without showing 'never'; its last line is 'panic!'\r\nroost> "
    );
    // The output of a VM that has ended can still be searched.
    assert_eq!(says(&mut user, "vm expect linux panic"), "");
}

#[test]
fn logs_of_consoles_are_shown_without_attaching() {
    let mut user = user();
    user.host.prints(1, "one\r\ntwo\x1b[6n\r\nthree\r\nfou");
    assert_eq!(says(&mut user, "vm log 1"), "one\ntwo\nthree\nfou\n");
    assert_eq!(says(&mut user, "console log linux --lines 2"), "three\nfou\n");
    assert_eq!(says(&mut user, "vm log 1 --lines 99"), "one\ntwo\nthree\nfou\n");
    assert_eq!(says(&mut user, "vm log web"), "");
    assert!(user.host.vm(1).watchers.is_empty());
    let long: String = (0..5000).map(|n| format!("line {n}\r\n")).collect();
    user.host.prints(1, &long);
    assert!(says(&mut user, "vm log 1").ends_with("line 4998\nline 4999\n"));
    assert_eq!(says(&mut user, "vm log 1 --lines 1"), "line 4999\n");
}

#[test]
fn a_log_that_is_overwritten_while_it_is_shown_says_so() {
    let mut user = user();
    let lines: String = (100..200).map(|n| format!("line {n}\r\n")).collect();
    user.host.prints(1, lines.repeat(3));
    user.host.vm(1).drops_per_read = 700;
    let log = says(&mut user, "vm log 1");
    let (before, after) = log.split_once("\n[188 bytes of output were lost]\n").unwrap();
    assert!(before.starts_with("line 170\n"), "{log}");
    assert!(after.starts_with("line 140\n"), "{log}");

    // The last lines are looked for where they are, not counted from the first.
    user.host.vm(1).dropped = 0;
    user.host.vm(1).drops_per_read = 10;
    assert_eq!(says(&mut user, "vm log 1 --lines 2"), "line 198\nline 199\n");
}

#[test]
fn roosts_own_log_is_shown() {
    let mut user = user();
    assert_eq!(says(&mut user, "log show --json"), "[]\n");
    for sequence in 0..20 {
        user.host.log.push(LogLine {
            sequence: sequence + 5,
            time_ns: sequence * 1_000_001_000,
            level: LogLevel::Warn,
            target: "gic".into(),
            text: format!("line {sequence}"),
        });
    }
    assert_eq!(
        says(&mut user, "log show --lines 2"),
        "   18.000018 warn  gic: line 18\n   19.000019 warn  gic: line 19\n"
    );
    assert_eq!(says(&mut user, "log show").lines().count(), 20);
    let json: serde_json::Value =
        serde_json::from_str(&says(&mut user, "log show --json")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 20);
    assert_eq!(json[1]["time_ns"], 1_000_001_000);
    assert_eq!(says(&mut user, "log level"), "log level info\n");
    assert_eq!(says(&mut user, "log level debug; log level"), "log level debug\n");
}

#[test]
fn a_console_is_replayed_once_and_then_live() {
    let mut user = user();
    user.host.prints(1, "old\x1b[6n\r\n/ # ");
    assert_eq!(
        user.types("vm console linux\r\n"),
        "vm console linux\r\nattached to vm 1 'linux': Ctrl-\\ leaves\r\nold\r\n/ # "
    );
    user.host.prints(1, "\x1b[6nnew\r\n");
    assert_eq!(user.waits(Duration::ZERO), "\x1b[6nnew\r\n");
    // Everything goes to the guest, Ctrl-C too.
    user.types("ls\r\x03\x04\t\x1b[A");
    assert_eq!(user.host.vm(1).typed, b"ls\r\x03\x04\t\x1b[A");
    user.host.prints(1, "/ # ");
    assert_eq!(
        user.types("\x1cecho back\r"),
        "detached from vm 1 'linux'\r\nroost> echo back\r\nback\r\nroost> "
    );
    assert_eq!(user.waits(SECOND), "");
    assert!(user.host.vm(1).watchers.is_empty());
    // Again, with what came meanwhile.
    user.host.prints(1, "x");
    assert!(user.types("vm console 1\r").ends_with("old\r\n/ # new\r\n/ # x"));
}

#[test]
fn a_console_has_the_size_of_the_terminal_that_types_on_it() {
    let mut user = User::vt100(FakeHost::with_two(), 30, 100);
    user.types("vm console 1\r");
    // What the prompt knew, and what the terminal says now. The answer is not typed.
    assert_eq!(user.host.orders, ["resize 1 100x30", "resize 1 100x30"]);
    user.types("x");
    assert_eq!(user.host.vm(1).typed, b"x");
    user.session.set_size(TerminalSize { columns: 132, rows: 43 });
    user.settle();
    assert_eq!(user.host.orders.last().map(String::as_str), Some("resize 1 132x43"));
}

#[test]
fn typing_waits_for_a_terminals_answer_but_not_for_long() {
    let mut user = User::vt100(FakeHost::with_two(), 30, 100);
    user.mute();
    user.types("vm console 1\rls");
    assert_eq!(user.host.vm(1).typed, b"");
    user.waits(SECOND);
    assert_eq!(user.host.vm(1).typed, b"ls");
    user.types("\x1cvm console 1\rabc");
    // The key that leaves does not wait.
    assert!(user.types("\x1c").contains("detached"));
    assert_eq!(user.host.vm(1).typed, b"lsabc");
}

#[test]
fn who_only_watches_or_is_no_terminal_has_no_say_in_the_size() {
    let mut user = user();
    user.types("vm console 1\r");
    assert_eq!(user.host.orders, [""; 0]);
    let mut user = User::vt100(FakeHost::with_two(), 30, 100);
    user.host.vms[0].holder = Some(SessionId(7));
    user.types("vm console 1\r");
    assert_eq!(user.host.orders, [""; 0]);
}

#[test]
fn escape_keys_can_be_chosen() {
    let mut user = user();
    assert!(user.types("vm console 1 --escape ^A\r").contains("Ctrl-A leaves"));
    user.types("\x1c\x01");
    assert_eq!(user.host.vm(1).typed, b"\x1c");
    says(&mut user, "set escape ^]");
    assert!(user.types("vm console 1\r").contains("Ctrl-] leaves"));
    assert!(user.types("\x1d").contains("detached"));
}

#[test]
fn a_console_ends_with_its_guest_and_says_why() {
    let mut user = user();
    user.types("vm console 1\r");
    user.host.prints(1, "bye");
    user.host.ends(1, VmState::Stopped, "the guest turned itself off");
    assert_eq!(
        user.waits(Duration::ZERO),
        "bye\r\nvm 1 'linux' stopped: the guest turned itself off\r\nroost> "
    );
    assert!(
        user.types("vm console 1\r")
            .ends_with("bye\r\nvm 1 'linux' stopped: the guest turned itself off\r\nroost> ")
    );
    user.host.ends(1, VmState::Crashed, "SError");
    assert!(
        user.types("vm console 1\r")
            .contains("vm 1 'linux' crashed: SError ('vm why 1' tells more)\r\n")
    );
    assert!(user.types("vm console 2\r").contains("leaves; it has not been started\r\n"));
    user.host.vms.pop();
    assert_eq!(user.waits(Duration::ZERO), "vm 2 'web' was destroyed\r\nroost> ");
}

#[test]
fn a_guest_that_reads_nothing_holds_no_user() {
    let mut user = user();
    user.host.vm(1).appetite = 2;
    user.types("vm console 1\rabc");
    assert_eq!(user.host.vm(1).typed, b"ab");
    user.host.vm(1).appetite = 1;
    user.waits(SECOND);
    assert_eq!(user.host.vm(1).typed, b"abc");
    user.types("defg");
    user.session.input(&[b'x'; 5000]);
    user.settle();
    assert_eq!(user.session.input_room(), 0);
    assert!(user.types("\x1c").contains("detached"));
    assert_eq!(user.host.vm(1).typed, b"abc");
}

#[test]
fn only_the_first_session_types() {
    let mut user = user();
    user.host
        .console_open(VmId(1), crate::session::SessionId(9), crate::host::Attendance::Type)
        .unwrap();
    assert!(user.types("vm console 1\r").contains("leaves; you only watch, user 9 types\r\n"));
    user.types("abc");
    assert_eq!(user.host.vm(1).typed, b"");
    assert!(user.types("\x1c").contains("detached"));
}

#[test]
fn lost_console_output_is_counted() {
    let mut user = user();
    user.host.prints(1, "0123456789");
    user.host.vm(1).dropped = 4;
    assert!(user.types("vm console 1\r").ends_with("leaves\r\n456789"));
    user.host.prints(1, "abcdef");
    user.host.vm(1).dropped = 13;
    assert_eq!(user.waits(SECOND), "\r\n[3 bytes of output were lost]\r\ndef");
}

#[test]
fn a_flood_of_output_waits_for_the_terminal() {
    let mut user = user();
    user.types("vm console 1\r");
    user.host.prints(1, "x".repeat(100_000));
    for _ in 0..100 {
        user.session.poll(&mut user.host, user.now);
    }
    let mut buf = [0; 100_000];
    let waiting = user.session.take_output(&mut buf);
    assert!(waiting <= 3000, "{waiting}");
    assert!(user.session.needs_poll());
    user.settle();
    assert_eq!(user.sees().len() + waiting, 100_000);
}

#[test]
fn a_terminal_is_tidy_after_a_guest() {
    let mut user = User::vt100(FakeHost::with_two(), 24, 80);
    user.host.prints(1, "\x1b[1;31mred");
    user.types("vm console 1\r");
    assert!(user.types("\x1c").starts_with("\x1b[0m\x1b[?25h\r\ndetached"));
}

#[test]
fn scripts_look_as_if_they_were_typed() {
    let mut user = User::silent(FakeHost::with_two());
    user.session.run_script("autostart", "# boot\necho a; echo b\n\nvm list --json # x\n");
    user.settle();
    let seen = user.sees();
    assert!(
        seen.starts_with("roost> echo a\r\na\r\nroost> echo b\r\nb\r\nroost> vm list --json\r\n[{"),
        "{seen}"
    );
    // Only then is the terminal looked for.
    assert!(seen.ends_with("}]\r\n\x1b7\x1b[999;999H\x1b[6n\x1b8"), "{seen}");
}

#[test]
fn errors_in_scripts_name_their_place_and_follow_on_error() {
    let run = |text: &str| {
        let mut user = user();
        user.session.run_script("autostart", text);
        user.settle();
        (user.sees(), user.host.orders)
    };
    let (seen, _) = run("echo a\n\nvm start 9\necho b\n");
    assert_eq!(
        seen,
        "\r\nroost> echo a\r\na\r\nroost> vm start 9\r\nautostart:3: error: no VM 9: 'vm list' shows 1 and 2\r\nroost> "
    );
    let (seen, _) = run("on-error continue\nvm start 9\necho b\n");
    assert!(seen.contains("autostart:2: error: ") && seen.contains("echo b\r\nb\r\n"), "{seen}");
    let (seen, orders) = run("on-error exit 3\nvm start 9\necho b\n");
    assert!(!seen.contains("echo b"), "{seen}");
    assert_eq!(orders, ["exit 3"]);
    let mut user = user();
    user.session.run_commands("roost.cmd", "echo a; vm start 9; echo b");
    user.settle();
    let seen = user.sees();
    assert!(seen.contains("roost.cmd: command 2: error: no VM 9"), "{seen}");
    assert!(!seen.contains("echo b"), "{seen}");
}

#[test]
fn scripts_wait_without_blocking_and_can_be_interrupted() {
    let mut user = user();
    user.session.run_script("autostart", "sleep 2s\nvm wait linux --timeout 60s\necho never\n");
    user.settle();
    assert!(user.session.is_running_script());
    assert_eq!(user.session.next_deadline(), Some(2 * SECOND));
    user.sees();
    assert!(user.waits(3 * SECOND).contains("vm wait linux"));
    assert_eq!(user.types("\x03"), "^C\r\nautostart:2: interrupted\r\nroost> ");
    assert!(!user.session.is_running_script());
}

#[test]
fn a_script_can_attach_to_a_console() {
    let mut user = user();
    user.session.run_script("autostart", "vm console linux\necho after\n");
    user.settle();
    user.types("ls\r");
    assert_eq!(user.host.vm(1).typed, b"ls\r");
    assert!(user.types("\x1c").contains("roost> echo after\r\nafter\r\n"));
}

#[test]
fn the_machine_ends_after_the_last_word_was_heard() {
    let mut user = user();
    user.session.input(b"echo done; poweroff\r");
    for _ in 0..10 {
        user.session.poll(&mut user.host, user.now);
    }
    assert!(user.host.orders.is_empty());
    user.settle();
    assert_eq!(user.sees(), "echo done; poweroff\r\ndone\r\n");
    assert_eq!(user.host.orders, ["poweroff"]);
    // Were it not to come, the user would get the shell back.
    assert_eq!(user.waits(5 * SECOND), "error: the machine is still on\r\nroost> ");
    assert_eq!(
        says(&mut user, "reboot"),
        "error: this machine cannot restart: 'poweroff' turns it off\n"
    );
    user.types("exit 7\r");
    assert_eq!(user.host.orders, ["poweroff", "exit 7"]);
}

#[test]
fn notices_wait_while_a_guest_has_the_terminal() {
    let mut user = user();
    user.types("vm console 1\r");
    (0..10).for_each(|n| user.session.notify(&format!("notice {n}")));
    user.settle();
    assert_eq!(user.sees(), "");
    let seen = user.types("\x1c");
    assert!(seen.contains("detached from vm 1 'linux'\r\nnotice 0\r\n"), "{seen}");
    assert!(seen.contains("notice 7\r\n[2 more messages]\r\nroost> "), "{seen}");
}

#[test]
fn a_closed_session_lets_go_of_its_console() {
    let mut user = user();
    user.types("vm console 1\r");
    assert_eq!(user.host.vm(1).watchers.len(), 1);
    user.session.close(&mut user.host, SECOND);
    assert!(user.host.vm(1).watchers.is_empty());
}

#[test]
fn sessions_can_move_between_cpus() {
    fn is_send<T: Send>() {}
    is_send::<crate::session::Session>();
}

#[test]
fn host_errors_are_printed_as_they_are() {
    assert_eq!(Error::from("no such thing").to_string(), "no such thing");
    assert_eq!(Cursor::OLDEST, Cursor(0));
}

/// Bytes that are hostile, likely, or both.
fn piece(noise: &mut Noise) -> Vec<u8> {
    const PIECES: &[&str] = &[
        "\x1b[24;80R",
        "\x1b[0;0R",
        "\x1b[9999;9999R",
        "\x1b[1;1R",
        "\x1b[",
        "\x1b[999999999999999999999R",
        "\x1b[A",
        "\x1b[B",
        "\x1b[C",
        "\x1b[D",
        "\x1b[H",
        "\x1b[3~",
        "\x1b",
        "\t",
        "\t\t",
        "\r",
        "\r\n",
        "\x03",
        "\x1c",
        "\x0c",
        "\x15",
        "\x17",
        "\x01",
        "\x05",
        "\x7f",
        "\x7f\x7f\x7f",
        "é",
        "€",
        "漢",
        "'",
        "\"",
        ";",
        "#",
        "vm ",
        "vm list",
        "vm console 1\r",
        "vm log 1",
        "vm create linux\r",
        "vm wait 1 --timeout 1s\r",
        "help\r",
        "vm expect 1 zz --timeout 2s\r",
        "vm send 1 abc\r",
        "echo ",
        "vm info 1 --json\r",
        "sleep 1s\r",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ];
    if noise.below(3) == 0 {
        PIECES[noise.below(PIECES.len())].into()
    } else {
        (0..=noise.below(12)).map(|_| u8::try_from(noise.below(256)).unwrap()).collect()
    }
}

#[test]
fn a_million_random_bytes_do_no_harm() {
    let mut noise = Noise::new(0x5eed);
    let mut total = 0;
    while total < 1_000_000 {
        let mut host = FakeHost::with_two();
        host.job_polls = u32::try_from(noise.below(5)).unwrap();
        host.prints(1, "boot\r\n\x1b[6n/ # ");
        let mut user = match noise.below(4) {
            0 => User::plain(host),
            1 => User::silent(host),
            _ => User::vt100(host, 2 + noise.below(40), 4 + noise.below(100)),
        };
        if noise.below(4) == 0 {
            user.session.run_script("noise", &String::from_utf8_lossy(&piece(&mut noise)));
        }
        // Long lines are slow to draw, so that few sessions have many.
        let haste = [4, 20, 20, 500][noise.below(4)];
        for _ in 0..noise.below(2000) {
            let typed = if noise.below(haste) == 0 { b"\r".into() } else { piece(&mut noise) };
            total += user.session.input(&typed);
            for _ in 0..noise.below(3) {
                user.session.poll(&mut user.host, user.now);
            }
            user.now += Duration::from_millis(noise.below(50) as u64);
            let mut buf = [0; 4096];
            let room = noise.below(buf.len());
            user.session.take_output(&mut buf[..room]);
            if noise.below(20) == 0 {
                user.host.prints(1, piece(&mut noise));
                user.session.notify("noise");
            }
            // Only `help` and listings exceed the soft limit, once.
            assert!(user.session.take_output(&mut [0; 0]) == 0);
            assert!(user.session.output_len() < 40_000, "{}", user.session.output_len());
            user.host.vm(1).printed.truncate(60_000);
        }
    }
}

#[test]
fn a_session_is_small() {
    // What it allocates is bounded by the capacities of its queues and of the history.
    let size = size_of::<crate::session::Session>();
    assert!(size < 1024, "{size}");
}

#[test]
fn a_login_ends_by_logout_and_by_the_key_for_the_end() {
    let anna = || User::remote(FakeHost::with_two(), crate::access::User::local());
    for keys in ["logout\r", "\x04"] {
        let mut user = anna();
        assert_eq!(user.types(keys), "logout\r\n");
        assert!(user.session.has_ended());
        assert!(!user.session.needs_poll());
        assert_eq!(user.types("echo on\r"), "");
    }
    let mut user = anna();
    // In a line that has something, and at a serial port that nobody logs in at, the key means nothing.
    assert!(user.types("echo a\x04\r").ends_with("a\r\nroost> "));
    assert_eq!(answer("logout"), "error: nobody has logged in here: there is nothing to end\n");
    let mut serial = self::user();
    assert_eq!(serial.types("\x04"), "");
}

#[test]
fn a_session_for_a_script_ends_with_it_and_obeys_nobody() {
    let options = Options { lifetime: Lifetime::Script, ..Options::local(TerminalKind::Plain) };
    let mut user = User::with_options(FakeHost::with_two(), options);
    user.session.run_script("autostart", "vm pause linux");
    user.session.input(b"vm stop web --force\r");
    user.settle();
    assert!(user.session.has_ended());
    assert!(user.host.orders.is_empty());
    assert_eq!(user.sees(), "roost> vm pause linux\r\n");
}

#[test]
fn lines_that_the_other_end_has_shown_are_not_shown_again() {
    let options = Options::local(TerminalKind::Lines);
    let mut user = User::with_options(FakeHost::with_two(), options);
    user.settle();
    user.sees();
    assert_eq!(user.types("echo\ta\n"), "a\r\nroost> ");
}

#[test]
fn sessions_are_listed_and_ended() {
    assert_eq!(
        answer("session list"),
        "ID  USER   FROM      LINK    SINCE    IDLE     LOST  DOING\n\
         0*  local  serial    serial  0:00:00  0:00:05  0     -\n\
         3   anna   10.0.2.2  telnet  0:00:00  0:00:05  36    vm console \\u{1b}[2J\n"
    );
    assert!(answer("who").ends_with("anna   10.0.2.2  0:00:00\n"));
    let json: serde_json::Value = serde_json::from_str(&answer("session list --json")).unwrap();
    assert_eq!(json[1]["id"], 3);
    assert_eq!(answer("session kill 0"), "error: that is this session: 'logout' ends it\n");
    let mut user = user();
    assert_eq!(says(&mut user, "session kill 3"), "");
    assert_eq!(user.host.registry.notes, ["0 Command(\"session kill 3\")", "kill 3"]);
}

#[test]
fn the_audit_is_shown() {
    assert_eq!(
        answer("audit"),
        "[9 earlier entries are no longer kept]\n    1.500000 - from 10.0.2.2: login failed\n    \
            1.500000 anna from 10.0.2.2: login failed (7 times)\n"
    );
    let json: serde_json::Value = serde_json::from_str(&answer("audit --json --lines 1")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown_or_kept() {
    let mut user = user();
    let seen = user.types("passwd admin\rsecret78X\x7f\rsecret78\r");
    assert_eq!(
        seen,
        "passwd admin\r\nchanging the password of admin; Ctrl-C leaves it as it is\r\n\
         new password: \r\nagain: \r\nchanged\r\nroost> "
    );
    let change = &user.host.registry.changes[0];
    assert_eq!((&*change.user, &change.old, &*change.new), ("admin", &None, &b"secret78"[..]));
    assert_eq!(user.session.history_lines(), ["passwd admin"]);
    assert_eq!(format!("{change:?}"), "PasswordChange { user: \"admin\", .. }");
}

#[test]
fn who_changes_the_own_password_gives_the_old_one() {
    let anna = crate::access::User { name: "anna".into(), ..crate::access::User::local() };
    let mut user = User::remote(FakeHost::with_two(), anna);
    let seen = user.types("passwd\rbefore\rafterwards\rafterwards\r");
    assert!(seen.contains("old password: \r\nnew password: \r\nagain: \r\nchanged"), "{seen}");
    assert_eq!(user.host.registry.changes[0].old.as_deref(), Some(&b"before"[..]));
}

#[test]
fn a_password_that_is_not_meant_changes_nothing() {
    for (keys, why) in [
        ("short\r", "error: a password has at least 8 bytes; it stays as it is"),
        (
            "long enough\rlong enouhg\r",
            "error: the two are not the same; the password stays as it is",
        ),
        ("long eno\x03", "error: the password stays as it is"),
    ] {
        let mut user = user();
        let seen = user.types(format!("passwd admin\r{keys}"));
        assert!(seen.contains(why), "{seen}");
        assert!(user.host.registry.changes.is_empty());
    }
    let long = "x".repeat(129);
    assert!(user().types(format!("passwd admin\r{long}\r")).contains("128 bytes are the most"));
    assert!(
        answer("passwd nobody").contains("no user 'nobody': configs/host.toml names admin, anna")
    );
}

#[test]
fn a_keyboard_that_is_taken_or_comes_free_is_told() {
    let mut user = user();
    user.types("vm console 1\ra");
    user.host.vm(1).holder = Some(SessionId(7));
    assert_eq!(user.waits(SECOND), "[user 7 has taken the keyboard, you only watch]\r\n");
    user.types("b");
    user.host.vm(1).holder = Some(SessionId(0));
    assert_eq!(user.waits(SECOND), "[you type now]\r\n");
    user.types("c\x1c");
    assert_eq!(user.host.vm(1).typed, b"ac");
    user.host.vm(1).holder = Some(SessionId(7));
    let seen = user.types("vm console 1\r");
    assert!(seen.contains("; you only watch, user 7 types\r\n"), "{seen}");
    user.types("\x1cvm console 1 --take\rd");
    assert_eq!(user.host.vm(1).typed, b"acd");
}
