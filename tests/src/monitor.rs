//! QEMU's monitor (QMP): what happens to a machine from outside.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::disk::scratch;

/// How long QEMU may take to come up, and to answer.
const MOMENT: Duration = Duration::from_secs(60);

/// Whether a cable is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plugged {
    /// It is.
    In,
    /// It is not.
    Out,
}

/// The monitor of one machine.
pub struct Monitor {
    path: PathBuf,
    stream: Option<BufReader<UnixStream>>,
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Monitor {
    /// A monitor of no machine yet.
    #[must_use]
    pub fn new() -> Self {
        // Names of sockets are short (108 bytes), and directories of builds may not be.
        let name = scratch("monitor").file_name().unwrap_or_default().to_owned();
        Self { path: std::env::temp_dir().join(name), stream: None }
    }

    /// What the machine must have on its command line.
    #[must_use]
    pub fn flags(&self) -> [String; 2] {
        ["-qmp".into(), format!("unix:{},server=on,wait=off", self.path.display())]
    }

    /// Pulls the cable of a card or a network backend, or puts it in.
    ///
    /// # Panics
    /// When QEMU does not do it.
    pub fn set_link(&mut self, name: &str, plugged: Plugged) {
        let is_up = plugged == Plugged::In;
        self.run(&json!({"execute": "set_link", "arguments": {"name": name, "up": is_up}}));
    }

    /// Runs a command.
    ///
    /// # Panics
    /// When it fails.
    fn run(&mut self, command: &Value) {
        if self.stream.is_none() {
            self.stream = Some(self.connect());
            self.run(&json!({"execute": "qmp_capabilities"}));
        }
        let Some(stream) = &mut self.stream else { return };
        if let Err(error) = stream.get_mut().write_all(format!("{command}\n").as_bytes()) {
            panic!("QEMU's monitor: {error}");
        }
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(1..) => {}
                ended => panic!("QEMU's monitor: {ended:?}"),
            }
            let answer: Value = serde_json::from_str(&line).unwrap_or_default();
            assert!(answer.get("error").is_none(), "{command}: {answer}");
            // Events and the greeting come in between.
            if answer.get("return").is_some() {
                return;
            }
        }
    }

    fn connect(&self) -> BufReader<UnixStream> {
        let deadline = Instant::now() + MOMENT;
        loop {
            match UnixStream::connect(&self.path) {
                Ok(stream) => {
                    let limited = stream.set_read_timeout(Some(MOMENT));
                    assert!(limited.is_ok(), "QEMU's monitor: {limited:?}");
                    return BufReader::new(stream);
                }
                Err(error) => assert!(Instant::now() < deadline, "QEMU's monitor: {error}"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // What is left behind does no harm.
        let _ = fs::remove_file(&self.path);
    }
}
