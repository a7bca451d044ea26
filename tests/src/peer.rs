//! The other end of a TCP connection, which does what a good client never would.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use rustix::net::{AddressFamily, SocketType, connect, socket};

/// How long a connection may take to be made, and a write to be taken.
const MOMENT: Duration = Duration::from_secs(60);

/// How a wait for the end of a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The other side has closed the connection, or broken it off.
    Closed,
    /// It is still there.
    Open,
}

/// A connection. Nothing is read but what a method reads.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    /// Where the next [`Peer::expect`] looks from.
    position: usize,
}

impl Peer {
    /// Connects to a port of the loopback interface.
    ///
    /// # Panics
    /// When nothing listens there.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, MOMENT).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(MOMENT))?;
            Ok(stream)
        });
        match stream {
            Ok(stream) => Self { stream, received: Vec::new(), position: 0 },
            Err(error) => panic!("port {port}: {error}"),
        }
    }

    /// As [`Peer::connect`], with as little room as there can be for what comes and is not read.
    ///
    /// # Panics
    /// When nothing listens there.
    #[must_use]
    pub fn connect_deaf(port: u16) -> Self {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        // The kernel gives more than nothing, but only what is said before the connection is made bounds its window.
        let stream = socket(AddressFamily::INET, SocketType::STREAM, None).and_then(|socket| {
            set_socket_recv_buffer_size(&socket, 1)?;
            connect(&socket, &address)?;
            Ok(TcpStream::from(socket))
        });
        match stream {
            Ok(stream) => Self { stream, received: Vec::new(), position: 0 },
            Err(error) => panic!("port {port}: {error}"),
        }
    }

    /// Sends bytes; whether the connection was there to take them, within a minute.
    pub fn send(&mut self, bytes: &[u8]) -> End {
        match self.stream.write_all(bytes) {
            Ok(()) => End::Open,
            Err(_) => End::Closed,
        }
    }

    /// Sends as many of the bytes as are taken while each piece of them is taken within `patience`, and returns how many.
    pub fn push(&mut self, bytes: &[u8], patience: Duration) -> usize {
        let mut sent = 0;
        self.must(self.stream.set_write_timeout(Some(patience)));
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count @ 1..) => sent += count,
                Ok(0) | Err(_) => break,
            }
        }
        self.must(self.stream.set_write_timeout(Some(MOMENT)));
        sent
    }

    /// Waits until `text` has come, behind what was found before, and returns what came before it.
    ///
    /// # Panics
    /// When it does not come in time, or never can.
    pub fn expect(&mut self, text: &[u8], limit: Duration) -> Vec<u8> {
        let deadline = Instant::now() + limit;
        let mut from = self.position;
        loop {
            let unseen = self.received.get(from..).unwrap_or_default();
            if let Some(at) = unseen.windows(text.len()).position(|window| window == text) {
                let before = self.received.get(self.position..from + at).unwrap_or_default();
                self.position = from + at + text.len();
                return before.to_vec();
            }
            // What was searched is not searched again, but the text may have begun to come.
            from = self.received.len().saturating_sub(text.len()).max(from);
            if self.read_until(deadline) == End::Closed {
                self.fail(&format!("it was closed before {:?} came", text.escape_ascii()));
            }
            if Instant::now() >= deadline {
                self.fail(&format!("waited {limit:?} in vain for {:?}", text.escape_ascii()));
            }
        }
    }

    /// Reads, and forgets, until the other side ends the connection or the time is over.
    pub fn wait_for_end(&mut self, limit: Duration) -> End {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.read_until(deadline) == End::Closed {
                return End::Closed;
            }
        }
        End::Open
    }

    /// Says that nothing more will be sent, and stays to read.
    pub fn finish(&mut self) {
        // One that is closed is finished.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection by a reset, without a goodbye.
    pub fn reset(self) {
        self.must(set_socket_linger(&self.stream, Some(Duration::ZERO)).map_err(Into::into));
    }

    /// All that was read.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Fails the test, and shows what was read last.
    ///
    /// # Panics
    /// Always: that is what it is for.
    pub fn fail(&self, why: &str) -> ! {
        let shown = self.received.get(self.received.len().saturating_sub(1000)..);
        panic!("{why}; the last that came: {}", shown.unwrap_or_default().escape_ascii());
    }

    /// Takes what comes next, or returns at the deadline.
    fn read_until(&mut self, deadline: Instant) -> End {
        // Zero would be no limit.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.must(self.stream.set_read_timeout(Some(left)));
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(count @ 1..) => {
                self.received.extend(buffer.get(..count).unwrap_or_default());
                End::Open
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                End::Open
            }
            Ok(0) | Err(_) => End::Closed,
        }
    }

    fn must(&self, result: std::io::Result<()>) {
        if let Err(error) = result {
            self.fail(&format!("a socket's option: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::{End, Peer};

    const LIMIT: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    fn connect() -> (Peer, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let peer = Peer::connect(listener.local_addr().unwrap().port());
        (peer, listener.accept().unwrap().0)
    }

    #[test]
    fn it_waits_for_bytes_and_for_the_end() {
        let (mut peer, mut server) = connect();
        server.write_all(b"\xff\xfb\x01login: ").unwrap();
        assert_eq!(peer.expect(b"login: ", LIMIT), b"\xff\xfb\x01");
        assert_eq!(peer.wait_for_end(SHORT), End::Open);
        drop(server);
        assert_eq!(peer.wait_for_end(LIMIT), End::Closed);
    }

    #[test]
    fn it_finishes_and_reads_on() {
        let (mut peer, mut server) = connect();
        assert_eq!(peer.send(b"abc"), End::Open);
        peer.finish();
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"abc");
        server.write_all(b"bye").unwrap();
        peer.expect(b"bye", LIMIT);
    }

    #[test]
    fn a_reset_is_no_goodbye() {
        let (peer, mut server) = connect();
        peer.reset();
        assert!(server.read(&mut [0]).is_err());
    }

    #[test]
    fn a_server_that_does_not_read_takes_only_so_much() {
        let (mut peer, _server) = connect();
        let bytes = vec![b'x'; 64 << 20];
        assert!(peer.push(&bytes, SHORT) < bytes.len());
    }
}
