//! The shell over telnet, with the client that people have.

use std::time::{Duration, Instant};

use machine_tests::{End, Machine, Peer, Roost, Telnet, Window};

const LIMIT: Duration = Duration::from_secs(90);
const PROMPT: &str = "roost> ";
const PASSWORD: &str = "correct horse";

/// Users whose password is "password"; the hash is a cheap one.
fn users(head: &str, users: &[(&str, &str)]) -> String {
    const HASH: &str =
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$FqGkmHNGCd0BRW2kBt6fPZ2pPmyGwwChL8FGUhTOSSI";
    let user = |(name, may): &(&str, &str)| {
        format!("[[user]]\nname = \"{name}\"\n{may}\npassword = \"{HASH}\"\n")
    };
    format!("{head}\n{}", users.iter().map(user).collect::<String>())
}

const ADMIN: (&str, &str) = ("anna", "role = \"admin\"");
const VIEWER: (&str, &str) = ("vera", "role = \"viewer\"");
const GRANTED: (&str, &str) = ("otto", "grants = [\"idle:operator\"]");

fn with_users(machine: Machine, head: &str, list: &[(&str, &str)]) -> Machine {
    machine.file("configs/host.toml", users(head, list)).network(&[23])
}

/// Gives the user of the shipped configuration a password.
fn open(roost: &mut Roost) {
    let serial = roost.serial();
    serial.send("passwd admin\r");
    serial.expect("new password: ", LIMIT);
    serial.send(&format!("{PASSWORD}\r"));
    serial.expect("again: ", LIMIT);
    serial.send(&format!("{PASSWORD}\r"));
    serial.expect("admin has a new password", LIMIT);
    serial.expect(PROMPT, LIMIT);
    assert!(!serial.transcript().contains(PASSWORD));
}

fn answer(client: &mut Telnet, name: &str, password: &str) {
    client.expect("login: ", LIMIT);
    client.send_line(name);
    client.expect("password: ", LIMIT);
    client.send_line(password);
}

fn log_in(roost: &Roost, name: &str, password: &str) -> Telnet {
    let mut client = Telnet::connect(roost.port(23));
    answer(&mut client, name, password);
    client.expect(&format!("Logged in as {name}"), LIMIT);
    client.expect(PROMPT, LIMIT);
    client
}

/// What a command says.
fn run(client: &mut Telnet, command: &str) -> String {
    client.send_line(command);
    client.expect(command, LIMIT);
    client.expect(PROMPT, LIMIT)
}

/// Waits until there are so many sessions, with the serial port's.
fn wait_for_sessions(roost: &mut Roost, count: usize) {
    let deadline = Instant::now() + LIMIT;
    while roost.list("session list").len() != count {
        assert!(Instant::now() < deadline, "there are not {count} sessions");
    }
}

fn nobody_is_let_in_before_somebody_has_a_password(machine: Machine) {
    let mut roost = machine.network(&[23]).boot();
    let mut peer = Peer::connect(roost.port(23));
    assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
    assert_eq!(peer.received(), b"");
    open(&mut roost);
    let mut admin = log_in(&roost, "admin", PASSWORD);
    assert!(!admin.transcript().contains(PASSWORD));
    // The password is one's own to change, by who knows it.
    admin.send_line("passwd");
    for (question, answer) in
        [("old", "wrong one"), ("new", "another one"), ("again", "another one")]
    {
        admin.expect(question, LIMIT);
        admin.send_line(answer);
    }
    admin.expect("error: the old password is wrong", LIMIT);
    admin.expect(PROMPT, LIMIT);
    assert!(!run(&mut admin, "history").contains("another one"));
    admin.send("\x04");
    admin.wait_for_end(LIMIT);
    roost.power_off();
}

fn a_guest_is_made_and_typed_to_from_afar(machine: Machine) {
    let mut roost = machine.linux_with("web", "").network(&[23]).boot();
    open(&mut roost);
    let window = Window { columns: 97, rows: 31 };
    let mut client = Telnet::connect_from(roost.port(23), window);
    answer(&mut client, "admin", PASSWORD);
    client.expect(PROMPT, LIMIT);
    assert!(run(&mut client, "vm create web").contains("created"));
    run(&mut client, "vm start web");
    client.send_line("vm console web");
    client.expect("Ctrl-\\ leaves", LIMIT);
    client.expect("# ", LIMIT * 2);
    client.send_line("echo $((6*7))th");
    client.expect("42th", LIMIT);
    client.expect("# ", LIMIT);
    // Ctrl-C is the guest's, as a key and as telnet's own command.
    // The shell itself misses it between two commands: what says that it has begun must be what is to be ended.
    client.send_line("sh -c \"echo be''gun; exec sleep 1000\"");
    client.expect("begun", LIMIT);
    client.command("send ip");
    client.expect("# ", LIMIT);
    client.resize(Window { columns: 120, rows: 40 });
    let mut size = String::new();
    while !size.contains("40 120") {
        client.send_line("stty size; echo do''ne");
        size = client.expect("done", LIMIT);
        client.expect("# ", LIMIT);
    }
    client.send("\x1c");
    client.expect("detached from", LIMIT);
    client.expect(PROMPT, LIMIT);
    client.command("send ayt");
    client.expect("Roost is here", LIMIT);
    client.send_line("logout");
    client.wait_for_end(LIMIT);
    roost.power_off();
}

fn sessions_are_each_their_own(machine: Machine) {
    let mut roost = with_users(machine, "", &[ADMIN]).probe("idle", "test=idle").boot();
    roost.start("idle");
    // What the first one leaves behind is kept for the next ones.
    log_in(&roost, "anna", "password").close();
    wait_for_sessions(&mut roost, 1);
    let before = roost.json("mem");
    let mut first = log_in(&roost, "anna", "password");
    let mut second = log_in(&roost, "anna", "password");
    let mut third = log_in(&roost, "anna", "password");
    let mut clients = [&mut first, &mut second, &mut third];
    for (number, client) in clients.iter_mut().enumerate() {
        assert!(run(client, &format!("echo I am {number}")).contains(&format!("I am {number}")));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let history = run(client, "history");
        let others = (0..3).filter(|other| history.contains(&format!("echo I am {other}")));
        assert_eq!(others.collect::<Vec<_>>(), [number]);
    }
    // One keyboard, which goes where it is taken, and comes back.
    first.send_line("vm console idle");
    first.expect("attached", LIMIT);
    second.send_line("vm console idle");
    second.expect("you only watch, anna from 10.0.2.2 types", LIMIT);
    second.send("\x1c");
    second.expect(PROMPT, LIMIT);
    second.send_line("vm console idle --take");
    first.expect("[anna from 10.0.2.2 has taken the keyboard, you only watch]", LIMIT);
    second.send("\x1c");
    first.expect("[you type now]", LIMIT);
    let sessions = roost.list("session list");
    assert_eq!(sessions.len(), 4, "{sessions:?}");
    assert_eq!(sessions[1]["doing"], "vm console idle");
    // One that is killed lets go of what it holds; the others stay.
    roost.succeed(&format!("session kill {}", sessions[1]["id"]));
    first.expect("[ended by an administrator]", LIMIT);
    first.wait_for_end(LIMIT);
    assert!(run(&mut third, "who").contains("anna"));
    second.expect(PROMPT, LIMIT);
    second.send_line("vm console idle");
    second.expect("attached", LIMIT);
    second.send("\x1c");
    second.expect(PROMPT, LIMIT);
    second.send_line("logout");
    second.wait_for_end(LIMIT);
    third.send_line("logout");
    third.wait_for_end(LIMIT);
    wait_for_sessions(&mut roost, 1);
    roost.check_memory(&before);
    let audit = roost.succeed("audit");
    for what in [
        "anna from 10.0.2.2: logged in",
        "anna from 10.0.2.2: logged out: ended by an administrator",
        "anna from 10.0.2.2: logged out: by the user",
        "anna from 10.0.2.2: command: vm console idle --take",
        "local from serial: command: session kill",
    ] {
        assert!(audit.contains(what), "{what}: {audit}");
    }
    assert!(roost.succeed("log show").contains("audit: anna from 10.0.2.2: logged in"));
    roost.power_off();
}

fn who_may_not_is_told_what_it_takes(machine: Machine) {
    let machine = with_users(machine, "", &[ADMIN, VIEWER, GRANTED]);
    let mut roost = machine.probe("idle", "test=idle").boot();
    roost.start("idle");
    roost.succeed("vm create hello");
    let mut viewer = log_in(&roost, "vera", "password");
    let refused = run(&mut viewer, "vm stop idle");
    assert!(
        refused.contains("error: 'vm stop' needs the role operator on VM 'idle'; you are viewer"),
        "{refused}"
    );
    assert!(run(&mut viewer, "poweroff").contains("needs the role admin; you are viewer"));
    assert!(run(&mut viewer, "vm list").contains("hello"));
    viewer.send_line("vm console idle");
    viewer.expect("you only watch", LIMIT);
    viewer.send("\x1c");
    viewer.expect(PROMPT, LIMIT);
    // A VM that is not granted is not there.
    let mut granted = log_in(&roost, "otto", "password");
    let list = run(&mut granted, "vm list");
    assert!(list.contains("idle") && !list.contains("hello"), "{list}");
    assert!(run(&mut granted, "vm info hello").contains("no VM 'hello': 'vm list' shows idle"));
    assert!(!run(&mut granted, "vm pause idle").contains("error"));
    assert_eq!(roost.state("idle"), "paused");
    assert!(
        run(&mut granted, "mem").contains("needs the role viewer; you have none on the machine")
    );
    let audit = roost.succeed("audit");
    assert!(audit.contains("vera from 10.0.2.2: command refused: vm stop idle"), "{audit}");
    // An administrator ends the machine from afar, and all are told.
    let mut admin = log_in(&roost, "anna", "password");
    admin.send_line("poweroff");
    viewer.expect("[anna from 10.0.2.2 ends the machine]", LIMIT);
    roost.wait_for_exit();
}

fn wrong_passwords_end_a_connection_and_cost_time(machine: Machine) {
    let mut roost = with_users(machine, "", &[ADMIN]).boot();
    let mut client = Telnet::connect(roost.port(23));
    answer(&mut client, "anna", "wrong\x1b[2Jone");
    client.expect("Login incorrect.", LIMIT);
    answer(&mut client, "nobody", "password");
    client.expect("Login incorrect.", LIMIT);
    let before = Instant::now();
    answer(&mut client, "\x1b]0;x\x07anna", "");
    client.expect("too many wrong passwords", LIMIT);
    client.wait_for_end(LIMIT);
    let audit = roost.succeed("audit");
    assert!(audit.contains("anna from 10.0.2.2: login failed"), "{audit}");
    assert!(audit.contains("- from 10.0.2.2: login failed"), "{audit}");
    assert!(!audit.contains("nobody"), "what is no name may be a password: {audit}");
    // Three failures: what comes next waits for four seconds, and then is let in.
    log_in(&roost, "anna", "password").close();
    assert!(before.elapsed() >= Duration::from_secs(4), "{:?}", before.elapsed());
    roost.power_off();
}

fn who_guesses_for_long_is_locked_out(machine: Machine) {
    let mut roost = with_users(machine, "", &[ADMIN]).boot();
    let mut inside = log_in(&roost, "anna", "password");
    let mut failures = 0;
    while failures < 10 {
        let mut client = Telnet::connect(roost.port(23));
        while failures < 10 {
            answer(&mut client, "anna", "wrong");
            failures += 1;
            client.expect(if failures % 3 == 0 { "too many" } else { "incorrect" }, LIMIT);
            if failures % 3 == 0 {
                break;
            }
        }
    }
    let mut peer = Peer::connect(roost.port(23));
    assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
    assert_eq!(peer.received(), b"");
    assert!(roost.succeed("audit").contains("locked out"));
    // Who is in stays in.
    assert!(run(&mut inside, "uptime").contains("up "));
    roost.power_off();
}

fn who_does_nothing_is_logged_out(machine: Machine) {
    // Long enough for the client to log in on a machine that is busy.
    let head = "[telnet]\nidle = \"4s\"\n[login]\ntimeout = \"15s\"";
    let mut roost = with_users(machine, head, &[ADMIN]).boot();
    let mut idle = log_in(&roost, "anna", "password");
    let mut silent = Telnet::connect(roost.port(23));
    silent.expect("login: ", LIMIT);
    idle.expect("[idle for too long]", LIMIT);
    idle.wait_for_end(LIMIT);
    silent.expect("[no login in time]", LIMIT);
    silent.wait_for_end(LIMIT);
    let audit = roost.succeed("audit");
    assert!(audit.contains("logged out: idle for too long"), "{audit}");
    roost.power_off();
}

fn connections_come_only_from_where_they_may(machine: Machine) {
    let head = "[login]\nallow = [\"192.168.0.0/16\"]";
    let mut roost = with_users(machine, head, &[ADMIN]).boot();
    let mut peer = Peer::connect(roost.port(23));
    assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
    assert_eq!(peer.received(), b"");
    let audit = roost.succeed("audit");
    assert!(audit.contains("connection refused: its network is not allowed"), "{audit}");
    roost.power_off();
}

fn a_script_without_a_terminal_gets_plain_lines(machine: Machine) {
    let roost = with_users(machine, "", &[ADMIN]).boot();
    let mut peer = Peer::connect(roost.port(23));
    peer.expect(b"login: ", LIMIT);
    peer.send(b"anna\n");
    peer.expect(b"password: ", LIMIT);
    peer.send(b"password\nversion --json\n");
    peer.expect(b"roost> {\"version\":", LIMIT);
    peer.expect(b"}\r\nroost> ", LIMIT);
    peer.send(b"logout\n");
    assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
    assert!(!peer.received().contains(&0x1b), "no control sequences");
    roost.power_off();
}

fn the_serial_port_asks_as_well_if_it_shall(machine: Machine) {
    let machine = with_users(machine, "[login]\nserial = true", &[ADMIN, VIEWER]);
    let mut roost = machine.file("autostart", "echo booted\n").switch_on();
    let serial = roost.serial();
    serial.expect("\r\nbooted\r\n", LIMIT);
    serial.expect("login: ", LIMIT);
    serial.send("vera\r");
    serial.expect("password: ", LIMIT);
    serial.send("password\r");
    serial.expect("Logged in as vera", LIMIT);
    roost.wait_for_prompt();
    assert!(roost.refuse("poweroff").contains("you are viewer"));
    let serial = roost.serial();
    serial.send("logout\r");
    serial.expect("login: ", LIMIT);
    serial.send("anna\r");
    serial.expect("password: ", LIMIT);
    serial.send("password\r");
    roost.wait_for_prompt();
    assert!(roost.succeed("audit").contains("vera from serial: logged out: by the user"));
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        nobody_is_let_in_before_somebody_has_a_password(Machine::virt());
        a_guest_is_made_and_typed_to_from_afar(Machine::virt());
        sessions_are_each_their_own(Machine::virt());
        who_may_not_is_told_what_it_takes(Machine::virt());
        wrong_passwords_end_a_connection_and_cost_time(Machine::virt());
        who_does_nothing_is_logged_out(Machine::virt());
        a_script_without_a_terminal_gets_plain_lines(Machine::virt());
        the_serial_port_asks_as_well_if_it_shall(Machine::virt());
    }
    svm {
        nobody_is_let_in_before_somebody_has_a_password(Machine::svm());
        a_guest_is_made_and_typed_to_from_afar(Machine::svm());
        sessions_are_each_their_own(Machine::svm());
        who_may_not_is_told_what_it_takes(Machine::svm());
        wrong_passwords_end_a_connection_and_cost_time(Machine::svm());
        #[ignore = "slow: ten passwords, the last ones 16 s after each other"]
        who_guesses_for_long_is_locked_out(Machine::svm());
        who_does_nothing_is_logged_out(Machine::svm());
        connections_come_only_from_where_they_may(Machine::svm());
        a_script_without_a_terminal_gets_plain_lines(Machine::svm());
        the_serial_port_asks_as_well_if_it_shall(Machine::svm());
    }
}
