//! TLS under the agent's WebSocket and under our SIP, and the certificate that both ends of a measurement share.

use rcgen::CertifiedKey;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where `certificate` writes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// File for the certificate, which is its own CA
    #[arg(long)]
    pub certificate: PathBuf,
    /// File for its private key
    #[arg(long)]
    pub key: PathBuf,
    /// Names and addresses that it proves
    #[arg(long, default_values = ["127.0.0.1", "localhost"])]
    pub name: Vec<String>,
}

/// Makes a certificate with a new key and writes both in PEM.
pub fn write_certificate(options: &Options) -> io::Result<()> {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(options.name.clone()).map_err(io::Error::other)?;
    fs::write(&options.certificate, cert.pem())?;
    fs::write(&options.key, signing_key.serialize_pem())
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// What a server shows.
pub fn server(certificate: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| io::Error::other(format!("{}: {error}", key.display())))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

/// A client that trusts the certificates of one file and takes up no earlier session: each connection costs the whole
/// handshake.
pub fn client(trusted: &Path) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(trusted)? {
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// A non-blocking TCP connection, in the clear or encrypted.
pub struct Stream {
    socket: TcpStream,
    session: Option<Box<Connection>>,
    /// Bytes decrypted and not yet read.
    waiting: usize,
}

impl Stream {
    /// In the clear.
    pub fn plain(socket: TcpStream) -> Self {
        Self {
            socket,
            session: None,
            waiting: 0,
        }
    }

    /// The server's end.
    pub fn serve(socket: TcpStream, config: &Arc<ServerConfig>) -> io::Result<Self> {
        let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        Ok(Self {
            socket,
            session: Some(Box::new(session.into())),
            waiting: 0,
        })
    }

    /// The client's end, towards a server that proves the address connected to.
    pub fn connect(socket: TcpStream, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::from(socket.peer_addr()?.ip());
        let session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        Ok(Self {
            socket,
            session: Some(Box::new(session.into())),
            waiting: 0,
        })
    }

    /// Reads what is there; 0 bytes once the other end has closed.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return self.socket.read(buffer);
        };
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.waiting -= count;
                    return Ok(count);
                }
                other => return other,
            }
            if session.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            let state = session.process_new_packets();
            // The handshake's answer, or the alert that says what was wrong.
            flush(session, &mut self.socket)?;
            self.waiting = state.map_err(io::Error::other)?.plaintext_bytes_to_read();
        }
    }

    /// Whether more can be read of which the socket knows nothing.
    pub fn has_more(&self) -> bool {
        self.waiting > 0
    }

    /// Writes what is taken.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &mut self.session else {
            return self.socket.write(bytes);
        };
        flush(session, &mut self.socket)?;
        let count = session.writer().write(bytes)?;
        flush(session, &mut self.socket)?;
        if count == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }

    /// Writes what is encrypted and waits.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.session {
            Some(session) => flush(session, &mut self.socket),
            None => Ok(()),
        }
    }

    /// Whether `flush` has something left to write.
    pub fn wants_to_write(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.wants_write())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            // Whoever does not take it sees the connection end all the same.
            let _ = flush(session, &mut self.socket);
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn flush(session: &mut Connection, socket: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(socket) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn both_ends_of_a_fresh_certificate_talk_and_see_the_end() {
        let directory = std::env::temp_dir().join(format!("offhook-bench-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let options = Options {
            certificate: directory.join("certificate.pem"),
            key: directory.join("key.pem"),
            name: vec!["127.0.0.1".into()],
        };
        write_certificate(&options).unwrap();
        let (server, client) = (
            server(&options.certificate, &options.key).unwrap(),
            client(&options.certificate).unwrap(),
        );
        fs::remove_dir_all(&directory).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        for socket in [&dialled, &accepted] {
            socket.set_nonblocking(true).unwrap();
        }
        let mut near = Some(Stream::connect(dialled, &client).unwrap());
        let mut far = Stream::serve(accepted, &server).unwrap();
        // Said before there is a handshake, longer than a record, and heard in pieces shorter than one.
        let said: Vec<u8> = (0..40_000u32).map(|index| index as u8).collect();
        let (mut taken, mut heard) = (0, Vec::new());
        let mut buffer = [0; 1_000];
        loop {
            if let Some(stream) = &mut near {
                taken += given(stream.write(&said[taken..])).unwrap_or(0);
                given(stream.read(&mut [0; 1]));
                let shakes = stream.session.as_ref().unwrap().is_handshaking();
                if taken == said.len() && !shakes && !stream.wants_to_write() {
                    near = None;
                }
            }
            match given(far.read(&mut buffer)) {
                Some(0) => break,
                Some(count) => heard.extend_from_slice(&buffer[..count]),
                None => assert!(!far.has_more()),
            }
        }
        assert_eq!(heard, said);
    }

    /// What was read or written, unless the socket was not ready.
    fn given(result: io::Result<usize>) -> Option<usize> {
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            other => Some(other.unwrap()),
        }
    }
}
