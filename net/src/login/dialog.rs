//! The questions for name and password, on a terminal.

use super::user::LONGEST_NAME;
use alloc::vec::Vec;

/// The longest password.
const LONGEST_PASSWORD: usize = 128;

/// Who shows what is typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Echo {
    /// The server, and so never a password.
    Server,
    /// The client.
    Client,
}

/// What was answered.
#[derive(Debug, Eq, PartialEq)]
pub enum Answer {
    /// A name and a password. They may be anything.
    Login {
        /// The name.
        name: Vec<u8>,
        /// The password; who takes it fills it with zeroes after use.
        password: Vec<u8>,
    },
    /// The client wants to leave.
    Leave,
}

#[derive(Debug, Eq, PartialEq)]
enum Question {
    Name,
    Password { name: Vec<u8> },
}

/// A dialog, which asks until somebody stops asking it.
#[derive(Debug)]
pub struct Dialog {
    question: Question,
    line: Vec<u8>,
    /// More was typed than there is room for: the line is wrong, and is not taken for a shorter one.
    is_too_long: bool,
    follows_cr: bool,
}

impl Default for Dialog {
    fn default() -> Self {
        Self::new()
    }
}

impl Dialog {
    /// A dialog before its first question.
    #[must_use]
    pub fn new() -> Self {
        Self { question: Question::Name, line: Vec::new(), is_too_long: false, follows_cr: false }
    }

    /// What is to be shown first, and again after each [`Answer::Login`] that was wrong.
    #[must_use]
    pub fn prompt(&self) -> &'static [u8] {
        match self.question {
            Question::Name => b"login: ",
            Question::Password { .. } => b"password: ",
        }
    }

    /// Takes a byte. What is to be shown goes to `output`: at most some ten bytes.
    pub fn feed(&mut self, byte: u8, echo: Echo, output: &mut Vec<u8>) -> Option<Answer> {
        const CONTROL_C: u8 = 3;
        const CONTROL_D: u8 = 4;
        const BACKSPACE: u8 = 8;
        const CONTROL_U: u8 = 21;
        const DELETE: u8 = 127;
        let follows_cr = core::mem::replace(&mut self.follows_cr, byte == b'\r');
        match byte {
            b'\n' if follows_cr => {}
            b'\r' | b'\n' => return self.end_line(echo, output),
            CONTROL_C => return Some(Answer::Leave),
            CONTROL_D if self.line.is_empty() => return Some(Answer::Leave),
            BACKSPACE | DELETE => {
                if let Some(byte) = self.line.pop() {
                    self.erase(byte, echo, output);
                }
            }
            CONTROL_U => {
                self.is_too_long = false;
                while let Some(byte) = self.line.pop() {
                    self.erase(byte, echo, output);
                }
            }
            // Never anything that a terminal obeys.
            0..=31 => {}
            _ => self.add(byte, echo, output),
        }
        None
    }

    fn add(&mut self, byte: u8, echo: Echo, output: &mut Vec<u8>) {
        let most = if self.is_secret() { LONGEST_PASSWORD } else { LONGEST_NAME };
        if self.line.len() >= most {
            self.is_too_long = true;
            return;
        }
        self.line.push(byte);
        if echo == Echo::Server && !self.is_secret() && byte.is_ascii() {
            output.push(byte);
        }
    }

    fn erase(&self, byte: u8, echo: Echo, output: &mut Vec<u8>) {
        if echo == Echo::Server && !self.is_secret() && byte.is_ascii() {
            output.extend(b"\x08 \x08");
        }
    }

    fn end_line(&mut self, echo: Echo, output: &mut Vec<u8>) -> Option<Answer> {
        if echo == Echo::Server {
            output.extend(b"\r\n");
        }
        let mut line = core::mem::take(&mut self.line);
        if core::mem::take(&mut self.is_too_long) {
            // Nobody's name, and nobody's password.
            line.clear();
            line.push(0);
        }
        match core::mem::replace(&mut self.question, Question::Name) {
            Question::Name if line.is_empty() => {
                output.extend(self.prompt());
                None
            }
            Question::Name => {
                self.question = Question::Password { name: line };
                output.extend(self.prompt());
                None
            }
            Question::Password { name } => Some(Answer::Login { name, password: line }),
        }
    }

    fn is_secret(&self) -> bool {
        matches!(self.question, Question::Password { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(input: &[u8], echo: Echo) -> (Vec<Answer>, String) {
        let mut dialog = Dialog::new();
        let mut output = dialog.prompt().to_vec();
        let answers = input.iter().filter_map(|byte| dialog.feed(*byte, echo, &mut output));
        let answers = answers.collect();
        (answers, String::from_utf8_lossy(&output).into_owned())
    }

    fn login(name: &[u8], password: &[u8]) -> Answer {
        Answer::Login { name: name.to_vec(), password: password.to_vec() }
    }

    #[test]
    fn a_password_is_not_shown() {
        let (answers, output) = run(b"root\rse\x7fecret\r", Echo::Server);
        assert_eq!(answers, [login(b"root", b"secret")]);
        assert_eq!(output, "login: root\r\npassword: \r\n");
    }

    #[test]
    fn a_client_that_shows_it_itself_is_not_echoed() {
        let (answers, output) = run(b"\nroot\r\nsecret\r\n", Echo::Client);
        assert_eq!(answers, [login(b"root", b"secret")]);
        assert_eq!(output, "login: login: password: ");
    }

    #[test]
    fn keys_correct_and_leave() {
        let (answers, output) = run(b"xy\x08\x15root\rwrong\x15right\r\x04", Echo::Server);
        assert_eq!(answers, [login(b"root", b"right"), Answer::Leave]);
        assert!(output.starts_with("login: xy\x08 \x08\x08 \x08root\r\n"));
        assert_eq!(run(b"ro\x04\x03", Echo::Server).0, [Answer::Leave]);
    }

    #[test]
    fn a_line_that_is_too_long_is_not_a_shorter_one() {
        let name = vec![b'a'; LONGEST_NAME];
        let password = vec![b'b'; LONGEST_PASSWORD];
        let line = |name: &[u8], password: &[u8]| [name, b"\r", password, b"\r"].concat();
        assert_eq!(run(&line(&name, &password), Echo::Server).0, [login(&name, &password)]);
        let longer = [&password[..], &vec![b'b'; 1 << 20]].concat();
        assert_eq!(run(&line(&name, &longer), Echo::Server).0, [login(&name, &[0])]);
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_echoed(input in prop::collection::vec(any::<u8>(), 0..400)) {
            let (_, output) = run(&input, Echo::Server);
            for char in output.chars() {
                prop_assert!(!char.is_control() || "\r\n\x08".contains(char));
            }
        }
    }
}
