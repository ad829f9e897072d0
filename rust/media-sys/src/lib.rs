//! The system calls of the media engine, and the only unsafe code of the media plane.
//!
//! Two drivers stand behind one interface: `Linux` (epoll, eventfd, `recvmmsg`, `sendmmsg`, socket error queues) is where
//! offhook serves; `Portable` (`poll`, one call a packet) is what every POSIX system has, macOS above all. The environment
//! variable `OFFHOOK_MEDIA_DRIVER=portable` picks the second on Linux, so that tests can run both. A third, `Memory`, has no
//! network: datagrams are kept for whoever carries them, which is how a call is rehearsed.
#![warn(missing_docs)]

mod address;
mod clock;
mod connect;
mod option;
mod poll;
mod thread;
mod udp;
mod wake;

pub use clock::monotonic_ns;
pub use connect::{connect_result, share_stream, shrink_send_buffer, start_connect, wait_writable};
pub use poll::{Interest, Poller, Ready};
pub use thread::raise_priority;
pub use udp::{Carried, IcmpError, ReceiveBatch, SendBatch, UdpOptions, UdpSocket};
pub use wake::Wake;

/// How the engine talks to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// epoll, eventfd and batched UDP with error queues.
    Linux,
    /// poll and one system call a packet; every POSIX system.
    Portable,
    /// As `Portable`, but UDP sockets are only addresses, and no port is taken: see [`SendBatch::take_carried`].
    Memory,
}

impl Driver {
    /// The best driver of this system, or the one that `OFFHOOK_MEDIA_DRIVER` asks for.
    #[must_use]
    pub fn pick() -> Self {
        let portable =
            std::env::var_os("OFFHOOK_MEDIA_DRIVER").is_some_and(|name| name == "portable");
        if cfg!(target_os = "linux") && !portable {
            Self::Linux
        } else {
            Self::Portable
        }
    }

    /// Its name, for people and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Portable => "portable",
            Self::Memory => "memory",
        }
    }
}
