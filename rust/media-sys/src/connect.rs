//! TCP connections begun without waiting, so that several addresses can be tried side by side.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::address::RawAddress;
use crate::option;

/// Begin a TCP connection; the stream is non-blocking and writable once it is decided (see `connect_result`).
///
/// # Errors
/// When the attempt fails at once: no route, no descriptor, or a refusal on the same host.
pub fn start_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    // SAFETY: socket takes no pointers; a result that is not negative is a descriptor that nobody else owns.
    let stream = unsafe {
        let descriptor = libc::socket(family, libc::SOCK_STREAM, 0);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        TcpStream::from(OwnedFd::from_raw_fd(descriptor))
    };
    stream.set_nonblocking(true)?;
    let raw = RawAddress::new(address);
    // SAFETY: connect reads `length` bytes of a valid sockaddr.
    let result = unsafe {
        libc::connect(
            stream.as_raw_fd(),
            (&raw const raw.storage).cast(),
            raw.length,
        )
    };
    if result != 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINPROGRESS) {
            return Err(error);
        }
    }
    Ok(stream)
}

/// What became of an attempt whose stream is writable.
///
/// # Errors
/// The reason why the connection failed.
pub fn connect_result(stream: &TcpStream) -> io::Result<()> {
    match stream.take_error()? {
        Some(error) => Err(error),
        None => stream.peer_addr().map(|_| ()),
    }
}

/// Wait until one of `streams` is writable or has failed, at most `timeout_ms`; which ones are is the result.
///
/// # Errors
/// Only when the system is out of memory.
pub fn wait_writable(streams: &[&TcpStream], timeout_ms: i32) -> io::Result<Vec<bool>> {
    let mut watched: Vec<libc::pollfd> = streams
        .iter()
        .map(|stream| libc::pollfd {
            fd: stream.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        })
        .collect();
    // SAFETY: poll reads and writes `len` pollfd structures of a live vector.
    let result = unsafe {
        libc::poll(
            watched.as_mut_ptr(),
            watched.len() as libc::nfds_t,
            timeout_ms,
        )
    };
    if result < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(watched.iter().map(|one| one.revents != 0).collect())
}

/// A stream of our own for a connected socket that somebody else holds open: each closes its own, and the connection lasts
/// as long as either is open.
///
/// # Errors
/// When `descriptor` is none, or the process is out of them.
pub fn share_stream(descriptor: RawFd) -> io::Result<TcpStream> {
    if descriptor < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is borrowed for this one duplication, which fails where the number is of nothing that is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(TcpStream::from(borrowed.try_clone_to_owned()?))
}

/// Keep little in the system's send buffer: audio that waits there is late, and can't be dropped any more.
pub fn shrink_send_buffer(stream: &TcpStream, bytes: usize) {
    // The system's default is as good as it gets where this is not permitted.
    let _ = option::set(
        stream.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_SNDBUF,
        bytes as libc::c_int,
    );
}
