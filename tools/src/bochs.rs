//! Bochs, which has Intel's VMX: how it is configured and started headless, with its serial port on a socket.
//!
//! The serial port is a connection that Bochs opens to us, so that no port number can be taken by someone else meanwhile.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// Instructions in an emulated second. Few, because a character on the serial port takes 87 µs, however many that is.
pub const INSTRUCTIONS_PER_SECOND: u32 = 20_000_000;

/// How long Bochs may take until it opens its serial port.
const PATIENCE: Duration = Duration::from_secs(60);

/// How emulated time goes by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pace {
    /// As fast as the emulator runs; a machine that sleeps skips to what wakes it. Runs repeat.
    Free,
    /// No faster than real time: for people.
    Real,
}

/// A machine, before it is switched on.
#[derive(Clone, Debug)]
pub struct Bochs {
    /// The image in its CD-ROM drive.
    pub iso: PathBuf,
    /// How many CPUs it has.
    pub cpus: u32,
    /// Its memory.
    pub memory_mib: u32,
    /// Its processor, as `bochs --help cpu` lists them.
    pub model: String,
    /// How its time goes by.
    pub pace: Pace,
}

/// A machine that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    directory: PathBuf,
}

impl Bochs {
    /// Switches it on. Its configuration and its log are kept in `directory` while it runs.
    ///
    /// # Errors
    /// When Bochs is not there, or ends before it has opened its serial port.
    pub fn start(&self, directory: &Path) -> Result<(Running, TcpStream), Error> {
        let name = |path: &Path| path.display().to_string();
        fs::create_dir_all(directory).map_err(|e| Error::io(&name(directory), &e))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| Error::io("a port", &e))?;
        let port = listener.local_addr().map_err(|e| Error::io("a port", &e))?.port();
        let (rc, commands) = (directory.join("bochsrc"), directory.join("commands"));
        for (path, text) in
            [(&rc, self.configuration(&directory.join("log"), port)), (&commands, "c\n".into())]
        {
            fs::write(path, text).map_err(|e| Error::io(&name(path), &e))?;
        }
        let child = Command::new("bochs")
            .arg("-q")
            .arg("-f")
            .arg(&rc)
            // Debian's Bochs starts in its debugger, which this tells to go on; others do not know the option.
            .args(has_debugger().then_some("-rc"))
            .args(has_debugger().then_some(&commands))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| Error::new(format!("bochs: {e}; `make setup` installs it")))?;
        let mut running = Running { child, directory: directory.to_owned() };
        let port = running.accept(&listener)?;
        Ok((running, port))
    }

    /// Sound goes nowhere: Debian's Bochs aborts where ALSA finds no card, even when nothing makes a sound.
    fn configuration(&self, log: &Path, port: u16) -> String {
        let Self { iso, cpus, memory_mib, model, pace } = self;
        let sync = match pace {
            Pace::Free => "none",
            Pace::Real => "slowdown",
        };
        format!(
            "config_interface: textconfig\n\
             display_library: rfb, options=\"timeout=0\"\n\
             romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot\n\
             vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest\n\
             cpu: model={model}, count={cpus}, ips={INSTRUCTIONS_PER_SECOND}, reset_on_triple_fault=0\n\
             memory: guest={memory_mib}, host={memory_mib}\n\
             clock: sync={sync}, time0=1704067200\n\
             boot: cdrom\n\
             ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
             ata0-master: type=cdrom, path=\"{iso}\", status=inserted\n\
             com1: enabled=1, mode=socket-client, dev=localhost:{port}\n\
             pci: enabled=1, chipset=i440fx\n\
             speaker: enabled=0\n\
             sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy\n\
             log: {log}\n\
             panic: action=fatal\n\
             error: action=report\n\
             info: action=ignore\n\
             debug: action=ignore\n",
            iso = iso.display(),
            log = log.display(),
        )
    }
}

impl Running {
    /// The end of Bochs, with what its last word was.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn wait(&mut self) -> Result<Verdict, Error> {
        loop {
            if let Some(verdict) = self.try_wait()? {
                return Ok(verdict);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// As [`Running::wait`], when it has ended already.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn try_wait(&mut self) -> Result<Option<Verdict>, Error> {
        let status = self.child.try_wait().map_err(|e| Error::io("bochs", &e))?;
        let Some(_) = status else { return Ok(None) };
        let log = self.log();
        let off = ["soft power off", "shutdown requested"];
        Ok(Some(match off.iter().any(|words| log.contains(words)) {
            true => Verdict::Off,
            false => Verdict::Failed(log.lines().last().unwrap_or_default().into()),
        }))
    }

    /// What Bochs logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.directory.join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Ends it.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn accept(&mut self, listener: &TcpListener) -> Result<TcpStream, Error> {
        let failed = |e: io::Error| Error::io("Bochs's serial port", &e);
        listener.set_nonblocking(true).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match listener.accept() {
                Ok((port, _)) => {
                    port.set_nonblocking(false).map_err(failed)?;
                    port.set_nodelay(true).map_err(failed)?;
                    return Ok(port);
                }
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(failed(e)),
                Err(_) => {}
            }
            if self.try_wait()?.is_some() || Instant::now() > deadline {
                let log = self.log();
                return Err(Error::new(format!("bochs did not start:\n{}", log.trim_end())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        // What is left behind does no harm.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// How Bochs ended. Its exit status says nothing: it is 1 even when the machine was switched off.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The machine was switched off.
    Off,
    /// Something else, by the last line of the log.
    Failed(String),
}

/// Whether the Bochs here was built with its debugger.
fn has_debugger() -> bool {
    let help = Command::new("bochs").arg("--help").stdin(Stdio::null()).output();
    help.is_ok_and(|help| {
        [help.stdout, help.stderr].iter().any(|text| String::from_utf8_lossy(text).contains("-rc "))
    })
}

/// The status in the last line `roost: exit status N` of a console: Bochs has no way to hand one on.
#[must_use]
pub fn exit_status(console: &str) -> Option<i32> {
    let (_, rest) = console.rsplit_once("roost: exit status ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::exit_status;

    #[test]
    fn the_last_status_of_a_console_counts() {
        assert_eq!(exit_status("roost: exit status 1\r\n... roost: exit status 42\r\n"), Some(42));
        assert_eq!(exit_status("roost> exit 3\r\n"), None);
        assert_eq!(exit_status("roost: exit status x"), None);
    }
}
