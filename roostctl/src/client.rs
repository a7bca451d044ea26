//! A connection to Roost.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use rustix::net::sockopt;
use serde_json::Value;

use crate::failure::Failure;
use crate::reply::{self, Reply};

/// How long a machine has to take a connection and to say hello.
const PATIENCE: Duration = Duration::from_secs(20);
/// After this time without a word, the machine is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(15);
/// More than this on one line is not Roost's: its answers are shorter.
const LONGEST_LINE: usize = 4 << 20;

/// What came of a command.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Its result.
    Result(Value),
    /// The connection is a console's, about which this tells.
    Attached(Value),
}

/// A connection over which commands go.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// What has come and was not looked at yet.
    received: Vec<u8>,
}

fn lost(error: &io::Error) -> Failure {
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    Failure::Connection(if is(&[io::ErrorKind::UnexpectedEof]) {
        "the connection was closed".into()
    } else if is(&[io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut]) {
        "the machine does not answer".into()
    } else {
        format!("the connection is lost: {error}")
    })
}

impl Client {
    /// Connects, and waits for hello.
    ///
    /// # Errors
    ///
    /// If nobody is there, or it is not Roost.
    pub(crate) fn connect(host: &str, port: u16) -> Result<Self, Failure> {
        let stream = reach(host, port)?;
        // Without these, it is only slower to see that nobody is there.
        let _ = stream.set_nodelay(true);
        let _ = sockopt::set_socket_keepalive(&stream, true);
        let _ = sockopt::set_tcp_keepidle(&stream, QUIET);
        let _ = sockopt::set_tcp_keepintvl(&stream, QUIET);
        let mut client = Self { stream, received: Vec::new() };
        client.wait_at_most(Some(PATIENCE))?;
        let hello = client.reply()?;
        client.wait_at_most(None)?;
        match hello {
            Reply::Hello => Ok(client),
            // From there, or now, nobody may log in.
            Reply::Failed(failure) => Err(Failure::Login(failure.to_string())),
            Reply::Done(_) | Reply::Attached(_) | Reply::Other => {
                Err(Failure::Connection("that is not Roost's protocol for programs".into()))
            }
        }
    }

    /// Logs in.
    ///
    /// # Errors
    ///
    /// If the machine does not want that user, or that password.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> Result<(), Failure> {
        // They would be the end of the line, and what is behind them a command.
        if [user, password].iter().any(|word| word.chars().any(char::is_control)) {
            return Err(Failure::Login("no name and no password has control characters".into()));
        }
        let line = shlex::try_join(["login", user, password])
            .map_err(|_| Failure::Login("no password has a zero byte".into()))?;
        match self.ask(&line) {
            Ok(_) => Ok(()),
            // Too many attempts, too many sessions: that is a login that was refused.
            Err(Failure::Closing(why)) => Err(Failure::Login(why)),
            Err(failure) => Err(failure),
        }
    }

    /// Runs a line.
    ///
    /// # Errors
    ///
    /// If it was not done.
    pub(crate) fn ask(&mut self, line: &str) -> Result<Answer, Failure> {
        let line = format!("{line}\n");
        self.stream.write_all(line.as_bytes()).map_err(|error| lost(&error))?;
        loop {
            match self.reply()? {
                Reply::Done(result) => return Ok(Answer::Result(result)),
                Reply::Attached(result) => return Ok(Answer::Attached(result)),
                Reply::Failed(failure) => return Err(failure),
                Reply::Hello | Reply::Other => {}
            }
        }
    }

    /// The stream, and what has come on it already, when it is a console's.
    pub(crate) fn into_console(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.received)
    }

    fn wait_at_most(&self, limit: Option<Duration>) -> Result<(), Failure> {
        self.stream.set_read_timeout(limit).map_err(|error| lost(&error))
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        let mut looked_at = 0;
        loop {
            let new = self.received.get(looked_at..).unwrap_or_default();
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                let rest = self.received.split_off(looked_at + end + 1);
                let line = std::mem::replace(&mut self.received, rest);
                return reply::parse(&line);
            }
            looked_at = self.received.len();
            if looked_at > LONGEST_LINE {
                return Err(Failure::Connection("its answer has no end".into()));
            }
            let mut buf = [0; 4096];
            let count = self.stream.read(&mut buf).map_err(|error| lost(&error))?;
            if count == 0 {
                return Err(lost(&io::ErrorKind::UnexpectedEof.into()));
            }
            self.received.extend(buf.get(..count).unwrap_or_default());
        }
    }
}

/// Connects to the first of the machine's addresses that can be.
fn reach(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let failed = |why: &io::Error| Failure::Connection(format!("{host}, port {port}: {why}"));
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in (host, port).to_socket_addrs().map_err(|error| failed(&error))? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(failed(&last))
}
