use crate::context::Display;
use crate::host::VmState;
use crate::terminal_size::TerminalSize;
use crate::testing::fake_host::FakeHost;
use crate::testing::noise::Noise;
use crate::testing::user::User;
use std::time::Duration;

fn vt100() -> User {
    User::vt100(FakeHost::with_two(), 24, 80)
}

/// What is on the screen's last line.
fn line_after(keys: &str) -> String {
    let mut user = vt100();
    user.types(keys);
    user.screen().last_lines(1)
}

#[test]
fn a_terminal_that_answers_gets_an_editor() {
    let user = vt100();
    assert_eq!(user.session.display(), Display::Terminal);
    assert_eq!(user.screen().text(), "roost>");
    assert_eq!(user.screen().cursor(), (0, 7));
}

#[test]
fn a_terminal_that_is_silent_gets_plain_lines_after_200_ms() {
    let mut user = User::silent(FakeHost::with_two());
    assert!(!user.types("ec").contains("roost>"));
    assert!(!user.waits(Duration::from_millis(199)).contains("roost>"));
    assert_eq!(user.waits(Duration::from_millis(1)), "roost> ec");
    assert_eq!(user.types("ho hi\r"), "ho hi\r\nhi\r\nroost> ");
    assert_eq!(user.session.display(), Display::Plain);
}

#[test]
fn what_is_typed_ahead_is_never_lost() {
    let script = "echo 1\necho 2; echo 3\r\necho 4\r";
    let mut user = User::silent(FakeHost::with_two());
    user.types(script);
    assert_eq!(
        user.waits(Duration::from_millis(200)),
        "roost> echo 1\r\n1\r\nroost> echo 2; echo 3\r\n2\r\n3\r\nroost> echo 4\r\n4\r\nroost> "
    );
    // The terminal's answer comes in the middle of what is typed.
    let mut user = User::silent(FakeHost::with_two());
    user.types("echo 1\recho \x1b[24;80R2\r");
    let seen = user.sees() + &user.waits(Duration::from_secs(1));
    assert_eq!(user.session.display(), Display::Terminal);
    assert!(!seen.contains("error"), "{seen}");
    user.types("history\r");
    assert_eq!(user.session.history_lines(), ["echo 1", "echo 2", "history"]);
}

#[test]
fn a_late_answer_is_used_from_the_next_prompt_on() {
    let mut user = User::silent(FakeHost::with_two());
    user.waits(Duration::from_millis(200));
    assert_eq!(user.session.display(), Display::Plain);
    user.types("\x1b[24;80R");
    assert_eq!(user.types("echo x\r").lines().next(), Some("echo x"));
    assert_eq!(user.session.display(), Display::Terminal);
}

#[test]
fn plain_lines_can_be_corrected() {
    let mut user = User::plain(FakeHost::with_two());
    assert_eq!(user.sees(), "roost> ");
    assert_eq!(
        user.types("ecc\x08ho a b\x17c\r"),
        "ecc\x08 \x08ho a b\x08 \x08c\r\na c\r\nroost> "
    );
    assert_eq!(user.types("xy\x15echo z\r"), "xy\x08 \x08\x08 \x08echo z\r\nz\r\nroost> ");
    assert_eq!(user.types("nothing\x03"), "nothing^C\r\nroost> ");
    assert_eq!(user.types("\r\r"), "\r\nroost> \r\nroost> ");
    assert_eq!(user.types("ec\x1b[D\x1b[H\x01ho é\x7fe\r"), "echo é\x08 \x08e\r\ne\r\nroost> ");
}

#[test]
fn plain_output_has_no_control_sequences() {
    let mut user = User::plain(FakeHost::with_two());
    let seen = user
        .types("\x1b[A\x1b[B\x0c\x1bOP\x1b[3~\x0b\x1b[Cvm \t\tclear\rvm list\r\x1b[A\t\x1b[A\r");
    assert!(!seen.contains('\x1b'), "{seen:?}");
}

#[test]
fn keys_edit_the_line_where_the_cursor_is() {
    assert_eq!(line_after("eco\x1b[Dh"), "roost> echo");
    assert_eq!(line_after("echo one two\x17\x17three"), "roost> echo three");
    assert_eq!(line_after("b c\x01a \x05 d"), "roost> a b c d");
    assert_eq!(line_after("one two three\x1b[1;5D\x1bb\x15"), "roost> two three");
    assert_eq!(line_after("one two\x1bb\x0b"), "roost> one");
    assert_eq!(line_after("one\x1b[H\x1b[3~\x04"), "roost> e");
    assert_eq!(line_after("naïve €uro\x1b[D\x1b[D\x7f"), "roost> naïve €ro");
}

#[test]
fn typing_costs_one_byte_per_character() {
    let mut user = vt100();
    user.sees();
    assert_eq!(user.types("vm list"), "vm list");
    assert_eq!(user.types("\x1b[D"), "\x08");
}

#[test]
fn long_lines_wrap_and_can_be_edited() {
    let mut user = User::vt100(FakeHost::with_two(), 6, 20);
    user.types("0123456789abcdefghijklmnopqrstuvwxyz");
    assert_eq!(user.screen().text(), "roost> 0123456789abc\ndefghijklmnopqrstuvw\nxyz");
    user.types("\x01_");
    assert_eq!(user.screen().text(), "roost> _0123456789ab\ncdefghijklmnopqrstuv\nwxyz");
    assert_eq!(user.screen().cursor(), (0, 8));
    user.types("\x1b[3~\x1b[3~\x05!");
    assert_eq!(user.screen().text(), "roost> _23456789abcd\nefghijklmnopqrstuvwx\nyz!");
    user.types("\x15");
    assert_eq!(user.screen().text(), "roost>");
    // To the last column exactly, and back.
    user.types("0123456789abc");
    assert_eq!(user.screen().cursor(), (1, 0));
    user.types("\x7f");
    assert_eq!(user.screen().text(), "roost> 0123456789ab");
    assert_eq!(user.screen().cursor(), (0, 19));
}

#[test]
fn lines_wrap_at_the_bottom_of_the_screen() {
    let mut user = User::vt100(FakeHost::with_two(), 4, 20);
    user.types("\r\r\r\r");
    assert_eq!(user.screen().cursor(), (3, 7));
    user.types("0123456789abcdefghij");
    assert_eq!(user.screen().last_lines(2), "roost> 0123456789abc\ndefghij");
    user.types("\x01_");
    assert_eq!(user.screen().last_lines(2), "roost> _0123456789ab\ncdefghij");
    assert_eq!(user.screen().cursor(), (2, 8));
}

#[test]
fn arrows_bring_lines_back_and_keep_the_one_that_was_begun() {
    let mut user = vt100();
    user.types("echo one\recho two\rbegun");
    user.types("\x1b[A");
    assert_eq!(user.screen().last_lines(1), "roost> echo two");
    user.types("\x1b[A\x1b[A\x1b[A");
    assert_eq!(user.screen().last_lines(1), "roost> echo one");
    user.types("\x1b[B");
    assert_eq!(user.screen().last_lines(1), "roost> echo two");
    user.types("\x1b[B\x1b[B");
    assert_eq!(user.screen().last_lines(1), "roost> begun");
    user.types("\x1b[A\x1b[A!\r");
    assert_eq!(user.screen().last_lines(2), "one!\nroost>");
}

#[test]
fn plain_terminals_have_history_too() {
    let mut user = User::plain(FakeHost::with_two());
    user.types("echo one\rech");
    assert_eq!(user.types("\x10\r"), "\x08 \x08\x08 \x08\x08 \x08echo one\r\none\r\nroost> ");
}

#[test]
fn tab_completes_what_is_unique() {
    assert_eq!(line_after("vm cre\t"), "roost> vm create");
    assert_eq!(line_after("he\tvm i\t"), "roost> help vm info");
    assert_eq!(line_after("vm start w\t;"), "roost> vm start web ;");
    assert_eq!(line_after("vm info 2\t"), "roost> vm info 2");
    assert_eq!(line_after("vm create linux-\t--n\tx"), "roost> vm create linux-smp --name x");
    assert_eq!(line_after("vm create linux mem\t1"), "roost> vm create linux memory=1");
    assert_eq!(
        line_after("vm create linux kernel=linux/I\t"),
        "roost> vm create linux kernel=linux/Image"
    );
    assert_eq!(
        line_after("vm wait web --state running,st\t"),
        "roost> vm wait web --state running,stopped"
    );
    assert_eq!(line_after("log level de\t"), "roost> log level debug");
    assert_eq!(line_after("vm set web aff\t"), "roost> vm set web affinity=");
    assert_eq!(line_after("on-error cont\t"), "roost> on-error continue");
    assert_eq!(line_after("echo a; mem --j\t"), "roost> echo a; mem --json");
}

#[test]
fn tab_in_the_middle_of_a_line_keeps_its_end() {
    assert_eq!(line_after("vm sta linux\x1bb\x1b[D\t"), "roost> vm start linux");
}

#[test]
fn tab_completes_to_the_common_prefix_and_then_lists() {
    let mut user = vt100();
    user.types("vm create li\t");
    assert_eq!(user.screen().text(), "roost> vm create linux");
    assert_eq!(user.screen().cursor(), (0, 22));
    user.types("\t");
    assert_eq!(
        user.screen().text(),
        "roost> vm create linux\nlinux      linux-smp\nroost> vm create linux"
    );
    assert_eq!(user.screen().cursor(), (2, 22));
    user.types("-\t memory=64M\r");
    assert!(user.host.orders[0].contains("linux-smp"), "{:?}", user.host.orders);
}

#[test]
fn listing_keeps_the_cursor_in_the_middle_of_the_line() {
    let mut user = vt100();
    user.types("vm create linux x=1\x1bb\x1bb\x1b[D\t");
    assert_eq!(user.screen().cursor(), (0, 17));
    let mut user = vt100();
    user.types("vm p x\x1b[D\x1b[D\x7f\t\t");
    assert!(user.screen().last_lines(1).starts_with("roost> vm  x"), "{}", user.screen().text());
    assert_eq!(user.screen().cursor().1, 10);
}

#[test]
fn tab_on_nothing_rings_the_bell_and_changes_nothing() {
    let mut user = vt100();
    user.types("frobnicate \t");
    assert_eq!(user.screen().bells, 1);
    assert_eq!(user.screen().text(), "roost> frobnicate");
    user.types("\x15# \t\t");
    assert_eq!(user.screen().bells, 3);
}

#[test]
fn names_that_need_quotes_get_them() {
    let mut host = FakeHost::new();
    host.add("my vm", VmState::Created);
    let mut user = User::vt100(host, 24, 80);
    user.types("vm start m\t");
    assert_eq!(user.screen().last_lines(1), "roost> vm start 'my vm'");
    user.types("\r");
    assert_eq!(user.host.orders, ["start 1"]);
}

#[test]
fn tab_works_on_plain_terminals() {
    let mut user = User::plain(FakeHost::with_two());
    user.sees();
    assert_eq!(user.types("vm cr\t"), "vm create ");
    assert_eq!(user.types("li\t"), "linux");
    assert_eq!(user.types("\t"), "\r\nlinux      linux-smp\r\nroost> vm create linux");
    assert_eq!(user.types("\r").lines().nth(1), Some("vm 3 'linux' created: 1 vCPU, 256 MiB"));
}

#[test]
fn ctrl_c_gives_up_the_line_and_ctrl_l_keeps_it() {
    let mut user = vt100();
    user.types("one two\x1b[D\x03");
    assert_eq!(user.screen().text(), "roost> one two^C\nroost>");
    user.types("three\x1b[D\x0c");
    assert_eq!(user.screen().text(), "roost> three");
    assert_eq!(user.screen().cursor(), (0, 11));
}

#[test]
fn notices_go_above_the_line_that_is_typed() {
    let mut user = User::vt100(FakeHost::with_two(), 24, 20);
    user.types("echo one two three four\x1b[D");
    user.session.notify("vm 1 'linux' crashed");
    user.settle();
    assert_eq!(user.screen().text(), "vm 1 'linux' crashed\nroost> echo one two\nthree four");
    assert_eq!(user.screen().cursor().1, 9);
    let mut user = User::plain(FakeHost::with_two());
    user.types("ech");
    user.session.notify("hello");
    user.settle();
    assert_eq!(user.sees(), "\r\nhello\r\nroost> ech");
}

#[test]
fn a_line_that_is_too_long_is_not_run() {
    for mut user in [vt100(), User::plain(FakeHost::with_two())] {
        let seen = user.types(format!("echo {}\r", "x".repeat(2000)));
        assert!(seen.contains("error: the line is too long"), "{seen}");
        let seen = user.types(format!("echo {}\r", "y".repeat(995)));
        assert!(seen.replace("\r\n", "").contains(&"y".repeat(995)), "{seen}");
        assert!(!seen.contains("error"), "{seen}");
    }
}

#[test]
fn narrow_terminals_get_plain_lines() {
    let user = User::vt100(FakeHost::with_two(), 24, 19);
    assert_eq!(user.session.display(), Display::Plain);
    for report in ["\x1b[0;0R", "\x1b[1;1R", "\x1b[9999;0R"] {
        let mut user = User::silent(FakeHost::with_two());
        user.types(report);
        assert_eq!(user.session.display(), Display::Plain);
    }
}

#[test]
fn a_window_that_changes_its_size_is_followed() {
    let mut user = vt100();
    user.session.set_size(TerminalSize { columns: 10, rows: 24 });
    user.types("\r");
    assert_eq!(user.session.display(), Display::Plain);
    user.session.set_size(TerminalSize { columns: 40, rows: 24 });
    user.types("\r");
    assert_eq!(user.session.display(), Display::Terminal);
}

/// What a line looks like on a terminal of this width, and where its cursor is.
fn drawn(before: &str, after: &str, columns: usize) -> (Vec<String>, (usize, usize)) {
    let text: Vec<char> = format!("roost> {before}{after}").chars().collect();
    let rows =
        text.chunks(columns).map(|row| row.iter().collect::<String>().trim_end().to_string());
    let place = 7 + before.chars().count();
    (rows.collect(), (place / columns, place % columns))
}

#[test]
fn the_screen_always_shows_the_line() {
    const KEYS: &[&str] = &[
        "a",
        "b",
        " ",
        "é",
        "word",
        "vm ",
        "l",
        "\t",
        "\t",
        "\x1b[A",
        "\x1b[B",
        "\x1b[C",
        "\x1b[D",
        "\x1b[H",
        "\x1b[F",
        "\x1b[3~",
        "\x7f",
        "\x7f",
        "\x17",
        "\x15",
        "\x0b",
        "\x1bb",
        "\x1bf",
        "\x0c",
        "0123456789012345678901234567",
        "\x1b[1;1R",
        "\x1b",
        "\x1b[",
        "\r",
        "\x03",
        "\x00",
        "\x1f",
    ];
    let mut noise = Noise::new(7);
    for _ in 0..60 {
        let columns = 20 + noise.below(50);
        // Lines are kept short enough for the screen: beyond it, they cannot be shown in any case.
        let rows = 6 + noise.below(40);
        let mut user = User::vt100(FakeHost::with_two(), rows, columns);
        for _ in 0..300 {
            user.types(KEYS[noise.below(KEYS.len())]);
            let (before, after) = user.session.line();
            if before.chars().count() + after.chars().count() + 7 > columns * (rows - 2) {
                user.types("\x03");
                continue;
            }
            let (expected, (row, column)) = drawn(before, after, columns);
            let cursor = user.screen().cursor();
            assert_eq!(cursor.1, column, "{before}|{after} at {columns}");
            let top = cursor.0 - row;
            let shown = (top..top + expected.len()).map(|row| user.screen().line(row));
            assert_eq!(shown.collect::<Vec<_>>(), expected, "{before}|{after} at {columns}");
            let mut below = (top + expected.len()..rows).map(|row| user.screen().line(row));
            assert!(below.all(|line| line.is_empty()), "{}", user.screen().text());
        }
    }
}
