use super::{LONGEST_ANSWER, Listings, Outcome};
use crate::host::{VmId, VmState};
use crate::terminal_size::TerminalSize;
use crate::testing::fake_host::FakeHost;
use crate::testing::user::User;
use std::time::Duration;

fn program() -> User {
    User::program(FakeHost::with_two())
}

fn outcome(user: &mut User, line: &str, listings: Listings) -> Option<Outcome> {
    user.session.execute(line, listings);
    user.settle();
    assert_eq!(user.sees(), "");
    user.session.take_outcome()
}

fn json(user: &mut User, line: &str) -> serde_json::Value {
    match outcome(user, line, Listings::Json) {
        Some(Outcome::Json(text)) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn text(user: &mut User, line: &str) -> String {
    match outcome(user, line, Listings::Json) {
        Some(Outcome::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn error(user: &mut User, line: &str) -> String {
    match outcome(user, line, Listings::Json) {
        Some(Outcome::Failed(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn listings_are_documents_without_being_asked_and_tables_if_asked() {
    let mut user = program();
    assert_eq!(json(&mut user, "vm list")[0]["name"], "linux");
    assert_eq!(json(&mut user, "vm list --json")[1]["name"], "web");
    assert_eq!(json(&mut user, "  log show # all of it")[0], serde_json::Value::Null);
    let table = outcome(&mut user, "vm list", Listings::Text);
    assert!(matches!(&table, Some(Outcome::Text(text)) if text.starts_with("ID  NAME ")));
    let asked = outcome(&mut user, "vm list --json", Listings::Text);
    assert!(matches!(asked, Some(Outcome::Json(_))));
}

#[test]
fn what_a_command_says_is_text_without_echo_and_prompt() {
    let mut user = program();
    assert_eq!(text(&mut user, "echo a 'b  c'"), "a b  c");
    assert_eq!(text(&mut user, "vm start web"), "");
    assert_eq!(text(&mut user, ""), "");
    assert_eq!(text(&mut user, "vm list --help").lines().next(), Some("vm list [--json]"));
    user.host.prints(1, "one\r\ntwo\r\n");
    assert_eq!(text(&mut user, "vm log 1"), "one\ntwo");
    // Nobody is there to be told.
    user.session.notify("something");
    assert_eq!(text(&mut user, "echo b"), "b");
}

#[test]
fn errors_are_told_as_the_shell_words_them() {
    let mut user = program();
    assert_eq!(error(&mut user, "vm start 9"), "no VM 9: 'vm list' shows 1 and 2");
    assert_eq!(error(&mut user, "vm crate x"), "no command 'vm crate': did you mean 'vm create'?");
    assert_eq!(error(&mut user, "echo 'a"), "a quote ' is not closed: echo 'a");
    assert!(error(&mut user, "echo a; echo b").starts_with("there is more than one command"));
    assert_eq!(text(&mut user, "echo 'a;b';"), "a;b");
}

#[test]
fn a_command_that_takes_time_is_told_when_it_is_done() {
    let mut user = program();
    user.host.job_polls = 3;
    user.session.execute("vm start web", Listings::Json);
    user.session.poll(&mut user.host, user.now);
    assert!(user.session.waits_for_host());
    assert_eq!(user.session.take_outcome(), None);
    // Another one is not begun meanwhile.
    user.session.execute("echo no", Listings::Json);
    for _ in 0..4 {
        user.session.poll(&mut user.host, user.now);
    }
    assert_eq!(user.session.take_outcome(), Some(Outcome::Text(String::new())));
    assert_eq!(user.session.take_outcome(), None);
}

#[test]
fn a_program_that_goes_away_gives_up_what_runs() {
    let mut user = program();
    user.host.job_polls = 3;
    assert_eq!(outcome(&mut user, "vm start web", Listings::Json), None);
    user.session.close(&mut user.host, user.now);
    assert!(user.session.has_ended() && user.host.orders.contains(&"cancel 1".into()));
}

#[test]
fn an_answer_without_end_is_an_error_and_not_kept() {
    let mut user = program();
    user.host.prints(1, "line\r\n".repeat(LONGEST_ANSWER));
    assert!(error(&mut user, "vm log 1").contains("--lines"));
    assert_eq!(text(&mut user, "vm log 1 --lines 2"), "line\nline");
}

#[test]
fn the_end_of_the_machine_is_answered() {
    let mut user = program();
    assert_eq!(text(&mut user, "poweroff"), "");
    assert_eq!(user.host.orders, ["poweroff"]);
    assert!(error(&mut user, "reboot").contains("cannot restart"));
}

#[test]
fn a_console_is_bytes_both_ways_until_its_end() {
    let mut user = program();
    user.session.set_size(TerminalSize { columns: 100, rows: 30 });
    user.host.prints(1, "old\x1b[6n\r\n");
    user.session.execute("vm console linux", Listings::Json);
    user.settle();
    let Some(Outcome::Attached(document)) = user.session.take_outcome() else { panic!("no") };
    assert_eq!(document, r#"{"id":1,"name":"linux","keyboard":"yours"}"#);
    assert!(user.session.is_attached());
    assert_eq!(user.sees(), "old\r\n");
    assert_eq!(user.host.orders, ["resize 1 100x30"]);
    user.types("ls\r\x03\x1c\x1d");
    assert_eq!(user.host.vm(1).typed, b"ls\r\x03\x1c\x1d");
    user.host.prints(1, "bye\r\n");
    user.host.ends(1, VmState::Stopped, "the guest turned itself off");
    assert_eq!(
        user.waits(Duration::ZERO),
        "bye\r\nvm 1 'linux' stopped: the guest turned itself off\r\n"
    );
    assert!(!user.session.is_attached());
    assert_eq!(user.session.take_outcome(), None);
    assert_eq!(text(&mut user, "echo on"), "on");
}

#[test]
fn a_console_is_let_go_when_the_program_goes() {
    let mut user = program();
    user.session.execute("vm console 1 --escape ^A", Listings::Json);
    user.settle();
    assert_eq!(user.host.vm(1).watchers.len(), 1);
    user.session.close(&mut user.host, user.now);
    assert_eq!(user.host.vm(1).watchers, []);

    let mut user = program();
    let other = crate::session::SessionId(7);
    crate::host::Host::console_open(&mut user.host, VmId(1), other, crate::host::Attendance::Type)
        .unwrap();
    user.session.execute("vm console 1", Listings::Json);
    user.settle();
    let Some(Outcome::Attached(document)) = user.session.take_outcome() else { panic!("no") };
    assert!(document.contains(r#""keyboard":"taken""#));
}
