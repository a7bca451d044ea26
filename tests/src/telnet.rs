//! The real `telnet` (that of inetutils), on a terminal of its own, with a typist who waits for text.
//!
//! ```text
//!    test ── Telnet ── pty ── telnet(1) ── TCP on loopback ── the port that the emulator forwards
//! ```
//!
//! The client is a session leader with the pty as its controlling terminal, so that a change of the window's size reaches it as a
//! signal (SIGWINCH), as in a window that somebody drags.

use std::fs::File;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::serial::Serial;

/// What makes `telnet` read a command of its own: Ctrl-].
const ESCAPE: &str = "\x1d";
/// How long the client may take for what it does by itself.
const MOMENT: Duration = Duration::from_secs(60);

/// The size of a terminal's window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl Default for Window {
    /// A VT100's.
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}

impl From<Window> for Winsize {
    fn from(window: Window) -> Self {
        Self { ws_row: window.rows, ws_col: window.columns, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

/// A `telnet` that runs. It is killed when this is dropped.
pub struct Telnet {
    child: Child,
    terminal: File,
    screen: Serial,
}

impl Telnet {
    /// Connects to a port of the loopback interface, from a window of the usual size.
    ///
    /// # Panics
    /// When there is no terminal, or no `telnet`.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        Self::connect_from(port, Window::default())
    }

    /// As [`Telnet::connect`], from a window of this size.
    ///
    /// # Panics
    /// When there is no terminal, or no `telnet`.
    #[must_use]
    pub fn connect_from(port: u16, window: Window) -> Self {
        Self::on_terminal(&["telnet", "--no-rc", "127.0.0.1", &port.to_string()], &[], window)
    }

    /// Any other program in the place of the client, with these words of its command line and these variables.
    ///
    /// # Panics
    /// When there is no terminal, or no such program.
    #[must_use]
    pub fn on_terminal(words: &[&str], variables: &[(&str, &str)], window: Window) -> Self {
        match start(words, variables, window) {
            Ok(telnet) => telnet,
            Err(error) => panic!("setsid {words:?}: {error}; `make setup` installs it"),
        }
    }

    /// Waits until a text is on the screen, behind what was found before, and returns what came before it.
    ///
    /// # Panics
    /// When it does not come in time, or never can.
    pub fn expect(&mut self, text: &str, limit: Duration) -> String {
        self.screen.expect(text, limit)
    }

    /// As [`Telnet::expect`], but tells when the text does not come.
    pub fn find(&mut self, text: &str, limit: Duration) -> Option<String> {
        self.screen.find(text, limit)
    }

    /// Types.
    ///
    /// # Panics
    /// When the client is gone.
    pub fn send(&mut self, text: &str) {
        self.screen.send(text);
    }

    /// Types a line, and the key that ends it.
    ///
    /// # Panics
    /// When the client is gone.
    pub fn send_line(&mut self, line: &str) {
        self.send(&format!("{line}\r"));
    }

    /// Types a command of the client itself, such as `send ayt`.
    ///
    /// # Panics
    /// When the client is gone.
    pub fn command(&mut self, command: &str) {
        self.send(ESCAPE);
        self.expect("telnet> ", MOMENT);
        self.send_line(command);
    }

    /// Drags the window to another size.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&mut self, window: Window) {
        if let Err(error) = tcsetwinsize(&self.terminal, window.into()) {
            self.screen.fail(&format!("cannot resize the window: {error}"));
        }
    }

    /// Waits until the client has ended because the other side closed the connection.
    ///
    /// # Panics
    /// When that does not happen in time.
    pub fn wait_for_end(&mut self, limit: Duration) {
        self.expect("Connection closed by foreign host.", limit);
        self.wait_for_exit();
    }

    /// Ends the client as people do: Ctrl-], `quit`.
    ///
    /// # Panics
    /// When it does not end.
    pub fn close(mut self) {
        self.command("quit");
        self.wait_for_exit();
    }

    /// All that ever was on the screen.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.screen.transcript()
    }

    /// Fails the test, and shows the screen.
    ///
    /// # Panics
    /// Always: that is what it is for.
    pub fn fail(&self, why: &str) -> ! {
        self.screen.fail(why)
    }

    /// Waits until the client has ended by itself, and returns its status.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_for_status(&mut self) -> Option<i32> {
        self.wait_for_exit().code()
    }

    fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + MOMENT;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status,
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                Ok(None) => self.screen.fail("telnet goes on"),
                Err(error) => self.screen.fail(&format!("telnet: {error}")),
            }
        }
    }
}

impl Drop for Telnet {
    fn drop(&mut self) {
        // Whether it is there any more does not matter here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(words: &[&str], variables: &[(&str, &str)], window: Window) -> io::Result<Telnet> {
    let (terminal, line) = open_terminal(window)?;
    let child = Command::new("setsid")
        .arg("--ctty")
        .args(words)
        .envs([("TERM", "xterm"), ("LC_ALL", "C")])
        .envs(variables.iter().copied())
        .stdin(line.try_clone()?)
        .stdout(line.try_clone()?)
        .stderr(line)
        .spawn()?;
    let screen = Serial::new(terminal.try_clone()?, terminal.try_clone()?);
    Ok(Telnet { child, terminal, screen })
}

/// A pseudo-terminal: the end that we hold, and the one that programs run on.
fn open_terminal(window: Window) -> io::Result<(File, File)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = openpt(flags)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    tcsetwinsize(&terminal, window.into())?;
    // The client makes it its controlling terminal: it must not become the test's.
    let line = ioctl_tiocgptpeer(&terminal, flags)?;
    Ok((File::from(terminal), File::from(line)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::{Telnet, Window};

    const LIMIT: Duration = Duration::from_secs(60);
    /// Will echo, will suppress go ahead, do report the window.
    const OPENING: [u8; 9] = [255, 251, 1, 255, 251, 3, 255, 253, 31];

    /// A client of a server that asks for what Roost asks for.
    fn connect() -> (Telnet, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let client = Telnet::connect(listener.local_addr().unwrap().port());
        let (mut server, _) = listener.accept().unwrap();
        server.set_read_timeout(Some(LIMIT)).unwrap();
        server.write_all(&OPENING).unwrap();
        (client, server)
    }

    /// Reads until `text` has come.
    fn wait_for(server: &mut TcpStream, text: &[u8]) {
        let mut come = Vec::new();
        while !come.windows(text.len()).any(|window| window == text) {
            let mut byte = [0];
            server.read_exact(&mut byte).unwrap();
            come.extend(byte);
        }
    }

    #[test]
    fn what_is_typed_reaches_the_server_and_what_it_says_is_on_the_screen() {
        let (mut client, mut server) = connect();
        wait_for(&mut server, &[255, 250, 31, 0, 80, 0, 24, 255, 240]);
        client.resize(Window { columns: 132, rows: 50 });
        wait_for(&mut server, &[255, 250, 31, 0, 132, 0, 50, 255, 240]);
        server.write_all(b"login: ").unwrap();
        client.expect("login: ", LIMIT);
        client.send_line("anna");
        wait_for(&mut server, b"anna\r\0");
        client.command("send ayt");
        wait_for(&mut server, &[255, 246]);
        client.close();
        assert!(matches!(server.read(&mut [0]), Ok(0)));
    }

    #[test]
    fn the_end_of_the_connection_is_the_clients_end() {
        let (mut client, mut server) = connect();
        // What a client has not had yet would be lost by closing.
        wait_for(&mut server, &[255, 250, 31, 0, 80, 0, 24, 255, 240]);
        server.write_all(b"bye\r\n").unwrap();
        client.expect("bye", LIMIT);
        drop(server);
        client.wait_for_end(LIMIT);
        assert!(client.find("more", LIMIT).is_none());
        assert!(client.transcript().contains("Escape character"));
    }
}
