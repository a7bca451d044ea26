//! A network cable whose other end the test holds: Ethernet frames as they are, to and from the machine.
//!
//! ```text
//!    the machine's card ── hub ──┬── QEMU's user network ── forwarded ports ── telnet, as everywhere
//!                                └── Cable (a stream over a Unix socket) ── frames that no kernel would send
//! ```
//!
//! So floods, forgeries and malformed packets come from the same network as the sessions that must not mind them. The stream carries
//! frames behind their length in four bytes, the highest first (QEMU's `-netdev stream`), and none of them is lost.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::disk::scratch;

/// How long QEMU may take to come, and to take a frame.
const MOMENT: Duration = Duration::from_secs(60);
/// The longest frame that is believed.
const LONGEST: usize = 1 << 16;

/// The end that is not in the machine.
pub struct Cable {
    path: PathBuf,
    listener: UnixListener,
    stream: Option<UnixStream>,
    /// What has come of the next frame and its length.
    received: Vec<u8>,
}

impl Default for Cable {
    fn default() -> Self {
        Self::new()
    }
}

impl Cable {
    /// A cable that nothing is connected to.
    ///
    /// # Panics
    /// When there is no place for its socket.
    #[must_use]
    pub fn new() -> Self {
        // Names of sockets are short (108 bytes), and directories of builds may not be.
        let name = scratch("cable").file_name().unwrap_or_default().to_owned();
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Self { path, listener, stream: None, received: Vec::new() },
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    /// What comes after `-netdev` for a machine that is to be at the other end.
    #[must_use]
    pub fn netdev(&self, id: &str) -> String {
        let path = self.path.display();
        format!("stream,id={id},server=off,addr.type=unix,addr.path={path}")
    }

    /// Sends a frame, padded to the shortest there may be (60 bytes without the checksum).
    ///
    /// # Panics
    /// When the machine is not there.
    pub fn send(&mut self, frame: &[u8]) {
        let mut frame = frame.to_vec();
        frame.resize(frame.len().max(60), 0);
        let length = u32::try_from(frame.len()).unwrap_or_default().to_be_bytes();
        let sent = self.stream().write_all(&[&length[..], &frame].concat());
        if let Err(error) = sent {
            panic!("cannot send a frame of {} bytes: {error}", frame.len());
        }
    }

    /// The next frame that comes within `limit`.
    ///
    /// # Panics
    /// When the machine is gone.
    pub fn receive(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            // Zero would be no limit.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let mut buffer = [0; 1 << 14];
            let stream = self.stream();
            let read = stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut buffer));
            match read {
                Ok(count @ 1..) => {
                    self.received.extend(buffer.get(..count).unwrap_or_default());
                }
                Ok(0) => panic!("the machine has left the cable"),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => panic!("the cable: {error}"),
            }
        }
    }

    /// Waits for a frame for which `found` has something, and passes over others.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut found: impl FnMut(&[u8]) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + limit;
        while let Some(frame) = self.receive(deadline.saturating_duration_since(Instant::now())) {
            if let Some(found) = found(&frame) {
                return found;
            }
        }
        panic!("waited {limit:?} in vain for {what} on the cable");
    }

    /// Forgets what has come so far.
    pub fn drain(&mut self) {
        while self.receive(Duration::from_millis(1)).is_some() {}
    }

    /// The first frame that is whole.
    fn take(&mut self) -> Option<Vec<u8>> {
        let (length, rest) = self.received.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        assert!(length <= LONGEST, "a frame of {length} bytes");
        let frame = rest.get(..length)?.to_vec();
        self.received.drain(..4 + length);
        Some(frame)
    }

    /// The stream, once QEMU has come.
    fn stream(&mut self) -> &mut UnixStream {
        let deadline = Instant::now() + MOMENT;
        while self.stream.is_none() {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let ready = stream
                        .set_nonblocking(false)
                        .and_then(|()| stream.set_write_timeout(Some(MOMENT)));
                    assert!(ready.is_ok(), "the cable: {ready:?}");
                    self.stream = Some(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "no machine comes to the cable");
                    thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("the cable: {error}"),
            }
        }
        match &mut self.stream {
            Some(stream) => stream,
            None => panic!("no machine comes to the cable"),
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // What is left behind does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::Cable;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn frames_come_whole_and_go_padded() {
        let mut cable = Cable::new();
        let netdev = cable.netdev("n");
        let path = netdev.split_once("addr.path=").unwrap().1;
        let mut machine = UnixStream::connect(path).unwrap();
        machine.write_all(&[0, 0, 0, 2, 1]).unwrap();
        assert_eq!(cable.receive(Duration::from_millis(20)), None);
        machine.write_all(&[2, 0, 0, 0, 1, 3]).unwrap();
        assert_eq!(cable.receive(LIMIT), Some(vec![1, 2]));
        let found = cable.wait_for("a three", LIMIT, |frame| (frame == [3]).then_some(7));
        assert_eq!(found, 7);
        cable.send(&[9; 14]);
        let mut sent = [0; 64];
        machine.read_exact(&mut sent).unwrap();
        assert_eq!(sent[..5], [0, 0, 0, 60, 9]);
    }
}
