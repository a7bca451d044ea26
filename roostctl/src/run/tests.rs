use super::*;
use std::io::BufReader;
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

const HELLO: &str = r#"{"hello":"roost","protocol":1,"version":"0.1.0"}"#;
const DONE: &str = r#"{"ok":true,"result":""}"#;

/// A server of one connection, which says the first line, expects each line and answers it with the next ones.
fn server(hello: &str, script: &[(&str, &str)]) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script: Vec<(String, String)> =
        script.iter().map(|(line, answer)| ((*line).into(), (*answer).into())).collect();
    let hello = format!("{hello}\n");
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(hello.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut seen = Vec::new();
        for (_, answer) in &script {
            let Some(Ok(line)) = lines.next() else { return seen };
            seen.push(line);
            stream.write_all(answer.as_bytes()).unwrap();
            stream.write_all(b"\n").unwrap();
        }
        assert_eq!(seen, script.into_iter().map(|(line, _)| line).collect::<Vec<_>>());
        seen
    });
    (port, thread)
}

struct Ran {
    status: u8,
    out: String,
    errors: String,
}

fn ran(port: u16, words: &[&str], input: &str) -> Ran {
    let host = format!("127.0.0.1:{port}");
    let arguments = [&["-H", &host, "-u", "anna"], words].concat();
    let environment = |name: &str| (name == "ROOST_PASSWORD").then(|| "p w".into());
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let arguments = arguments.into_iter().map(OsString::from);
    let mut streams = Streams {
        input: &mut input.as_bytes(),
        keys: Keys::Nothing,
        out: &mut out,
        errors: &mut errors,
    };
    let status = run(arguments, &environment, &mut streams);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status, out: text(out), errors: text(errors) }
}

fn talk(words: &[&str], script: &[(&str, &str)]) -> Ran {
    let login = ("login anna 'p w'", r#"{"ok":true,"result":{"user":"anna","role":"admin"}}"#);
    let text = ("format text", DONE);
    let first = if words.contains(&"--json") { vec![login] } else { vec![login, text] };
    let (port, server) = server(HELLO, &[&first, script].concat());
    let ran = ran(port, words, "# a script\n\nvm start 1\nvm start 2\nvm start 3\n");
    server.join().unwrap();
    ran
}

#[test]
fn a_command_prints_what_the_shell_says() {
    let table =
        "{\"event\":\"state\",\"data\":{}}\n{\"ok\":true,\"result\":\"ID  NAME\\n1   linux\"}";
    let listing = talk(&["vm", "list"], &[("vm list", table)]);
    assert_eq!((listing.status, listing.out.as_str()), (0, "ID  NAME\n1   linux\n"));
    let silent = talk(&["vm", "start", "linux"], &[("vm start linux", DONE)]);
    assert_eq!((silent.status, silent.out.as_str(), silent.errors.as_str()), (0, "", ""));
}

#[test]
fn documents_are_printed_as_documents() {
    let answer = r#"{"ok":true,"result":[{"id":1,"name":"linux"}]}"#;
    let listing = talk(&["vm", "list", "--json"], &[("vm list", answer)]);
    assert_eq!(listing.out, "[{\"id\":1,\"name\":\"linux\"}]\n");
    let text = talk(&["vm", "start", "1", "--json"], &[("vm start 1", DONE)]);
    assert_eq!(text.out, "\"\"\n");
}

#[test]
fn the_status_says_what_went_wrong() {
    let failed = |kind: &str| {
        let answer =
            format!(r#"{{"ok":false,"error":{{"kind":"{kind}","message":"no VM is called x"}}}}"#);
        talk(&["vm", "start", "x"], &[("vm start x", &answer)])
    };
    let command = failed("command");
    assert_eq!((command.status, command.errors.as_str()), (1, "roostctl: no VM is called x\n"));
    assert_eq!(command.out, "");
    assert_eq!(failed("line").status, 2);
    assert_eq!(failed("forbidden").status, 3);
    assert_eq!(failed("closing").status, 4);
}

#[test]
fn a_wrong_password_and_a_machine_that_is_locked_are_logins_that_failed() {
    for kind in ["login", "closing"] {
        let answer = format!(r#"{{"ok":false,"error":{{"kind":"{kind}","message":"no"}}}}"#);
        let (port, server) = server(HELLO, &[("login anna 'p w'", &answer)]);
        assert_eq!(ran(port, &["mem"], "").status, 3);
        server.join().unwrap();
    }
}

#[test]
fn a_name_or_a_password_is_never_the_beginning_of_a_command() {
    let (port, server) = server(HELLO, &[("never", DONE)]);
    let refused = ran(port, &["-u", "anna x\nvm destroy 1", "mem"], "");
    assert_eq!(refused.status, 3, "{}", refused.errors);
    assert_eq!(server.join().unwrap(), Vec::<String>::new());
}

#[test]
fn without_a_machine_that_talks_there_is_no_connection() {
    let (port, held) = server("SSH-2.0-OpenSSH", &[]);
    assert_eq!(ran(port, &["mem"], "").status, 4);
    held.join().unwrap();
    // It refuses before it says hello.
    let refusal = r#"{"ok":false,"error":{"kind":"closing","message":"locked out"}}"#;
    let (port, held) = server(refusal, &[]);
    let refused = ran(port, &["mem"], "");
    assert_eq!((refused.status, refused.errors.as_str()), (3, "roostctl: locked out\n"));
    held.join().unwrap();
    // It is gone in the middle.
    let (port, held) = server(HELLO, &[("login anna 'p w'", DONE), ("format text", DONE)]);
    let gone = ran(port, &["mem"], "");
    assert_eq!(gone.status, 4);
    held.join().unwrap();
    // Nobody listens there any more.
    assert_eq!(ran(port, &["mem"], "").status, 4);
}

#[test]
fn a_script_ends_with_its_first_failure_and_names_the_line() {
    let no = r#"{"ok":false,"error":{"kind":"command","message":"it runs"}}"#;
    let said = r#"{"ok":true,"result":"started"}"#;
    let script = talk(&["-"], &[("vm start 1", said), ("vm start 2", no)]);
    assert_eq!((script.status, script.out.as_str()), (1, "started\n"));
    assert_eq!(script.errors, "roostctl: line 4: it runs\n");
}

#[test]
fn a_console_is_shown_until_it_ends() {
    let attached = "{\"ok\":true,\"attached\":true,\"result\":{\"id\":1,\"name\":\"linux\",\"keyboard\":\"taken\"}}\n/ # \x1b[m\r\nvm 1 'linux' stopped";
    let shown = talk(&["console", "1"], &[("vm console 1", attached)]);
    assert_eq!(shown.status, 0, "{}", shown.errors);
    assert!(shown.out.starts_with("/ # \x1b[m\r\nvm 1 'linux' stopped"), "{}", shown.out);
    assert!(shown.errors.starts_with("attached to vm 1 'linux': Ctrl-] leaves; you only watch"));
}

#[test]
fn a_password_may_be_in_a_file() {
    let path = std::env::temp_dir().join(format!("roostctl-{}", std::process::id()));
    fs::write(&path, "p w\nrest\n").unwrap();
    let (port, server) = server(HELLO, &[("login anna 'p w'", DONE), ("mem", DONE)]);
    let host = format!("127.0.0.1:{port}");
    let words =
        ["-H", &host, "-u", "anna", "--password-file", path.to_str().unwrap(), "--json", "mem"];
    let words = words.into_iter().map(OsString::from);
    let mut ignored = Vec::new();
    let mut streams = Streams {
        input: &mut io::empty(),
        keys: Keys::Nothing,
        out: &mut Vec::new(),
        errors: &mut ignored,
    };
    let status = run(words, &|_| None, &mut streams);
    assert_eq!((status, ignored), (0, Vec::new()));
    server.join().unwrap();
    fs::remove_file(path).unwrap();
}
