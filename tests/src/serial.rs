//! The other end of a serial port: a thread collects what comes, and tests wait for text in it.

use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much of the transcript a failure shows.
const SHOWN_BYTES: usize = 6000;

/// What has come, and whether more can.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    is_closed: bool,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Received>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Received> {
        // The thread that could have panicked with the lock held only appends.
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A serial port, with all that came from it.
pub struct Serial {
    shared: Arc<Shared>,
    writer: Box<dyn Write + Send>,
    /// Where the next [`Serial::expect`] looks from.
    position: usize,
}

impl Serial {
    /// Starts collecting.
    pub fn new(
        mut reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let sink = Arc::clone(&shared);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                sink.lock().bytes.extend(buffer.get(..length).unwrap_or_default());
                sink.changed.notify_all();
            }
            sink.lock().is_closed = true;
            sink.changed.notify_all();
        });
        Self { shared, writer: Box::new(writer), position: 0 }
    }

    /// Types.
    ///
    /// # Panics
    /// When the emulator is gone.
    pub fn send(&mut self, text: &str) {
        if let Err(error) =
            self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush())
        {
            self.fail(&format!("cannot type {text:?}: {error}"));
        }
    }

    /// Waits until `text` comes, behind what was found before, and returns what came before it.
    ///
    /// # Panics
    /// When it does not come in time, or never can.
    pub fn expect(&mut self, text: &str, limit: Duration) -> String {
        match self.find(text, limit) {
            Some(before) => before,
            None => self.fail(&format!("waited {limit:?} in vain for {text:?}")),
        }
    }

    /// As [`Serial::expect`], but tells when the text does not come.
    pub fn find(&mut self, text: &str, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        let wanted = text.as_bytes();
        let mut from = self.position;
        let mut received = self.shared.lock();
        loop {
            let unseen = received.bytes.get(from..).unwrap_or_default();
            if let Some(at) = unseen.windows(wanted.len()).position(|window| window == wanted) {
                let start = from + at;
                let before = received.bytes.get(self.position..start).unwrap_or_default();
                let before = String::from_utf8_lossy(before).into_owned();
                self.position = start + wanted.len();
                return Some(before);
            }
            // What was searched is not searched again, but the text may have begun to come.
            from = received.bytes.len().saturating_sub(wanted.len()).max(from);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || received.is_closed {
                return None;
            }
            let waited = self.shared.changed.wait_timeout(received, left);
            received = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What comes within `span`.
    pub fn listen(&mut self, span: Duration) -> String {
        thread::sleep(span);
        let received = self.shared.lock();
        let text = String::from_utf8_lossy(received.bytes.get(self.position..).unwrap_or_default());
        let text = text.into_owned();
        self.position = received.bytes.len();
        text
    }

    /// All that ever came.
    #[must_use]
    pub fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().bytes).into_owned()
    }

    /// Fails the test, and shows the end of the transcript.
    ///
    /// # Panics
    /// Always: that is what it is for.
    pub fn fail(&self, why: &str) -> ! {
        let transcript = self.transcript();
        let start = transcript.len().saturating_sub(SHOWN_BYTES);
        let start = (start..=transcript.len()).find(|at| transcript.is_char_boundary(*at));
        let shown = transcript.get(start.unwrap_or(0)..).unwrap_or_default();
        panic!("{why}\n--- the last of the {} bytes that came ---\n{shown}\n---", transcript.len());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, sink};
    use std::time::{Duration, Instant};

    use super::Serial;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn text_is_looked_for_behind_what_was_found_before() {
        let mut serial = Serial::new(Cursor::new("one two one three"), sink());
        assert_eq!(serial.expect("one", LIMIT), "");
        assert_eq!(serial.expect("one", LIMIT), " two ");
        assert_eq!(serial.find("one", LIMIT), None);
        assert_eq!(serial.expect("three", LIMIT), " ");
    }

    #[test]
    fn nothing_is_waited_for_when_the_port_is_closed() {
        let start = Instant::now();
        assert_eq!(Serial::new(Cursor::new("all"), sink()).find("more", LIMIT), None);
        assert!(start.elapsed() < LIMIT);
    }

    #[test]
    fn text_is_found_that_comes_in_pieces() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut serial = Serial::new(reader, sink());
        let typist = std::thread::spawn(move || {
            for piece in ["roo", "st", "> "] {
                std::thread::sleep(Duration::from_millis(20));
                std::io::Write::write_all(&mut writer, piece.as_bytes()).unwrap();
            }
        });
        assert_eq!(serial.expect("roost> ", LIMIT), "");
        typist.join().unwrap();
    }
}
