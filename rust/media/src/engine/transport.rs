//! The byte stream under a wire, plain or TLS, read and written without waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

use rustls::ClientConnection;

/// One TCP connection, with TLS on it or not.
#[derive(Debug)]
pub struct Transport {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Transport {
    /// Wrap a connected stream.
    #[must_use]
    pub fn new(stream: TcpStream, tls: Option<Box<ClientConnection>>) -> Self {
        Self { stream, tls }
    }

    /// The descriptor to watch.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// The stream itself, for its time limits.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether bytes may wait that the descriptor doesn't tell of.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Read what is there; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there yet; else the connection is lost.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return retry(|| self.stream.read(buffer));
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A peer that closes TCP without close_notify: the WebSocket's own close frame says whether that is a loss.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            // At the end of the stream this reads nothing, and the reader above tells it.
            retry(|| tls.read_tls(&mut self.stream))?;
            tls.process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    /// Write as much as goes.
    ///
    /// # Errors
    /// `WouldBlock` when nothing goes; else the connection is lost.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.tls.is_none() {
            return retry(|| self.stream.write(bytes));
        }
        // What was encrypted before leaves first, so that a slow reader is felt here and not in a growing buffer.
        self.flush()?;
        let tls = self.tls.as_mut().expect("tested above");
        let written = tls.writer().write(bytes)?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(written),
        }
    }

    /// Write what TLS still holds.
    ///
    /// # Errors
    /// `WouldBlock` when not all of it goes; else the connection is lost.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                if retry(|| tls.write_tls(&mut self.stream))? == 0 {
                    return Err(ErrorKind::WriteZero.into());
                }
            }
        }
        Ok(())
    }

    /// Whether TLS holds bytes that have not left.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }
}

fn retry(mut action: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match action() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
