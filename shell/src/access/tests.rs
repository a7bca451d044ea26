use super::*;
use crate::command;
use crate::commands;
use crate::host::{LogLevel, LogLine};
use crate::testing::fake_host::FakeHost;
use crate::testing::user;
use crate::words;

fn person(role: Option<Role>, grants: &[(&str, Role)]) -> User {
    let grants = grants.iter().map(|&(vm, role)| Grant { vm: vm.into(), role }).collect();
    User { name: "anna".into(), from: "10.0.2.2".into(), role, grants }
}

fn terminal(role: Option<Role>, grants: &[(&str, Role)]) -> user::User {
    user::User::remote(FakeHost::with_two(), person(role, grants))
}

fn answer(terminal: &mut user::User, line: &str) -> String {
    let seen = terminal.types(format!("{line}\r")).replace("\r\n", "\n");
    let answer = seen.strip_prefix(&format!("{line}\n")).unwrap().to_string();
    answer.strip_suffix("roost> ").unwrap_or(&answer).into()
}

/// What a role may use with the example of each command, which is about the VM `linux`.
fn refused(person: &User) -> Vec<String> {
    let mut host = FakeHost::with_two();
    host.add("guests", crate::host::VmState::Created);
    let refused = commands::all().filter(|one| {
        let words = words::split(one.example).unwrap();
        let (found, used) = command::find(&words).unwrap();
        let arguments = Arguments::parse(found, &words[used..]).unwrap();
        matches!(check(found, &arguments, person, &host), Err(Error::Forbidden(_)))
    });
    refused.map(Command::name).collect()
}

#[test]
fn a_viewer_changes_nothing() {
    let may_not = refused(&person(Some(Role::Viewer), &[]));
    for command in commands::all() {
        assert_eq!(
            may_not.contains(&command.name()),
            command.needs.is_for_changes(),
            "{}",
            command.name()
        );
    }
}

#[test]
fn an_operator_runs_vms_and_an_admin_may_everything() {
    assert_eq!(
        refused(&person(Some(Role::Operator), &[])),
        [
            "vm set",
            "vm disk attach",
            "vm disk detach",
            "poweroff",
            "reboot",
            "log level",
            "session kill",
            "audit",
            "passwd",
            "exit"
        ]
    );
    assert!(refused(&person(Some(Role::Admin), &[])).is_empty());
}

#[test]
fn what_is_only_about_the_session_is_for_all() {
    let may_not = refused(&person(None, &[]));
    for name in ["help", "history", "echo", "sleep", "set escape", "clear", "logout", "version"] {
        assert!(!may_not.contains(&name.into()), "{name}");
    }
    assert!(may_not.contains(&"mem".into()));
}

#[test]
fn a_refusal_names_the_role_that_is_needed_and_the_one_that_is_there() {
    let mut viewer = terminal(Some(Role::Viewer), &[]);
    assert_eq!(
        answer(&mut viewer, "vm stop linux"),
        "error: 'vm stop' needs the role operator on VM 'linux'; you are viewer\n"
    );
    assert_eq!(
        answer(&mut viewer, "poweroff"),
        "error: 'poweroff' needs the role admin; you are viewer\n"
    );
    assert_eq!(
        answer(&mut viewer, "vm console linux --take"),
        "error: 'vm console --take' needs the role operator on VM 'linux'; you are viewer\n"
    );
    assert_eq!(
        answer(&mut viewer, "passwd admin"),
        "error: 'passwd' needs the role admin; you are viewer\n"
    );
    assert!(viewer.host.orders.is_empty());
    let notes = &viewer.host.registry.notes;
    assert_eq!(notes[0], "0 Refused(\"vm stop linux\")");
}

#[test]
fn a_grant_is_for_one_vm_and_others_do_not_exist() {
    let mut web = terminal(None, &[("web", Role::Operator)]);
    assert_eq!(answer(&mut web, "vm start web"), "");
    assert_eq!(answer(&mut web, "vm stop linux"), "error: no VM 'linux': 'vm list' shows web\n");
    assert_eq!(answer(&mut web, "vm stop 1"), "error: no VM 1: 'vm list' shows 2\n");
    assert_eq!(answer(&mut web, "vm list").lines().count(), 2);
    assert_eq!(answer(&mut web, "vcpu list").lines().count(), 2);
    assert_eq!(
        answer(&mut web, "vm destroy web"),
        "error: 'vm destroy' needs the role operator; you have none on the machine\n"
    );
    assert_eq!(web.types("vm info \t").replace("vm info ", ""), "web ");
    assert_eq!(web.host.orders, ["start 2"]);
}

#[test]
fn who_may_look_at_no_vm_is_not_told_to_make_one() {
    let said = |role| answer(&mut terminal(role, &[("db", Role::Operator)]), "vm info 1");
    assert_eq!(said(None), "error: no VM 1: there is none that you may look at\n");
    let mut viewer = user::User::remote(FakeHost::new(), person(Some(Role::Viewer), &[]));
    assert_eq!(answer(&mut viewer, "vm info 1"), "error: no VM 1: there is none yet\n");
}

#[test]
fn the_higher_of_two_roles_counts() {
    let mut both = terminal(Some(Role::Viewer), &[("web", Role::Operator)]);
    assert_eq!(answer(&mut both, "vm start web"), "");
    assert!(answer(&mut both, "vm stop linux").contains("needs the role operator"));
    assert_eq!(
        person(Some(Role::Admin), &[("web", Role::Viewer)]).role_on("web"),
        Some(Role::Admin)
    );
}

#[test]
fn a_vm_among_several_that_one_may_not_stops_all() {
    let mut both = terminal(Some(Role::Viewer), &[("web", Role::Operator)]);
    assert!(answer(&mut both, "vm stop web linux").contains("on VM 'linux'"));
    assert!(both.host.orders.is_empty());
}

#[test]
fn a_viewer_watches_a_console_and_types_nothing() {
    let mut viewer = terminal(Some(Role::Viewer), &[]);
    viewer.host.prints(1, "booting");
    let seen = viewer.types("vm console linux\rls\r");
    assert!(seen.contains("you only watch\r\nbooting"), "{seen}");
    assert_eq!(viewer.host.vm(1).typed, b"");
    assert!(viewer.types("\x1c").contains("detached"));
}

#[test]
fn changes_are_noted_and_what_is_typed_for_guests_is_not() {
    let mut admin = terminal(Some(Role::Admin), &[]);
    answer(&mut admin, "vm send linux \"secret\\r\"; vm list; vm create linux --name x memory=1G");
    assert_eq!(
        admin.host.registry.notes,
        ["0 Command(\"vm send linux ...\")", "0 Command(\"vm create linux memory=1G --name x\")"]
    );
}

#[test]
fn what_is_no_users_name_may_be_a_password_and_is_not_noted() {
    let mut admin = terminal(Some(Role::Admin), &[]);
    assert!(answer(&mut admin, "passwd hunter2").contains("no user 'hunter2'"));
    answer(&mut admin, "passwd admin");
    let mut viewer = terminal(Some(Role::Viewer), &[]);
    assert!(answer(&mut viewer, "passwd hunter2").contains("needs the role admin"));
    assert_eq!(
        admin.host.registry.notes,
        ["0 Command(\"passwd ...\")", "0 Command(\"passwd admin\")"]
    );
    assert_eq!(viewer.host.registry.notes, ["0 Refused(\"passwd ...\")"]);
}

#[test]
fn the_audit_in_the_log_is_for_those_who_may_see_the_audit() {
    let line = |sequence, target: &str| LogLine {
        sequence,
        time_ns: 0,
        level: LogLevel::Info,
        target: target.into(),
        text: format!("line {sequence}"),
    };
    let log = |role| {
        let mut user = terminal(Some(role), &[]);
        user.host.log = (0..20).map(|n| line(n, ["audit", "roost"][n as usize % 2])).collect();
        (answer(&mut user, "log show"), answer(&mut user, "log show --json"))
    };
    let (text, json) = log(Role::Admin);
    assert_eq!(text.lines().count(), 20);
    assert_eq!(json.matches("audit").count(), 10);
    for role in [Role::Viewer, Role::Operator] {
        let (text, json) = log(role);
        assert_eq!((text.lines().count(), text.contains("audit")), (10, false));
        assert_eq!((json.matches("line").count(), json.contains("audit")), (10, false));
    }
}

#[test]
fn completion_names_nothing_that_one_may_not_see() {
    let completed = |role, line: &str| {
        let mut user = terminal(role, &[("web", Role::Operator)]);
        user.types(format!("{line}\t\t"))
    };
    assert!(completed(Some(Role::Admin), "passwd ").contains("admin"));
    assert_eq!(completed(Some(Role::Viewer), "passwd ").trim_end_matches('\x07'), "passwd anna ");
    assert!(completed(Some(Role::Viewer), "vm create linux kernel=").contains("linux/Image"));
    assert!(!completed(None, "vm create linux kernel=").contains("linux/"));
}

#[test]
fn help_shows_what_can_be_used() {
    let help = answer(&mut terminal(None, &[("web", Role::Viewer)]), "help");
    assert!(help.contains("  vm info") && help.contains("  vm console"), "{help}");
    assert!(!help.contains("  vm start") && !help.contains("poweroff"), "{help}");
    assert!(!help.contains("The machine:\n  cpu"), "{help}");
}
