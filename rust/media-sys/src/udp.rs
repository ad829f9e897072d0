//! UDP sockets for RTP and RTCP, read and written in batches.

#[cfg(target_os = "linux")]
mod control;
mod receive;
mod send;

use std::io;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::address::RawAddress;
use crate::{Driver, option};

pub use receive::ReceiveBatch;
pub use send::{Carried, SendBatch};

/// A datagram may have this many bytes; a longer one is no RTP of ours and counted as cut.
const PACKET_BYTES: usize = 2048;

/// How a socket is set up.
#[derive(Debug, Clone, Copy)]
pub struct UdpOptions {
    /// Bytes asked for with SO_RCVBUF.
    pub receive_buffer: usize,
    /// Differentiated services code point, 46 for EF (RFC 3246); 0 leaves it alone.
    pub dscp: u8,
}

/// An ICMP error (or a local one) that came back for something we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Where the packet was going, if the system says so.
    pub destination: Option<SocketAddr>,
    /// The system's error number, such as ECONNREFUSED for "port unreachable".
    pub errno: i32,
}

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    behind: Behind,
    driver: Driver,
    receive_buffer: usize,
    /// It is bound to all addresses, and each datagram's is told and chosen (IP_PKTINFO).
    tells_local: bool,
}

/// What is behind a socket.
#[derive(Debug)]
enum Behind {
    System(StdSocket),
    /// Nothing but an address, with [`Driver::Memory`].
    Memory(SocketAddr),
}

impl UdpSocket {
    /// Bind exactly `address`; an IPv6 address is bound for IPv6 alone.
    ///
    /// # Errors
    /// When the port is taken, the address is not this host's, or the process is out of descriptors. A buffer size or code
    /// point that the system refuses is no error: see `receive_buffer`.
    pub fn bind(address: SocketAddr, options: UdpOptions, driver: Driver) -> io::Result<Self> {
        if driver == Driver::Memory {
            return Ok(Self {
                behind: Behind::Memory(address),
                driver,
                receive_buffer: options.receive_buffer,
                tells_local: false,
            });
        }
        let family = if address.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        // SAFETY: socket takes no pointers; a result that is not negative is a descriptor that nobody else owns.
        let socket = unsafe {
            let descriptor = libc::socket(family, libc::SOCK_DGRAM, 0);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
            StdSocket::from(OwnedFd::from_raw_fd(descriptor))
        };
        socket.set_nonblocking(true)?;
        let fd = socket.as_raw_fd();
        if address.is_ipv6() {
            option::set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        let raw = RawAddress::new(address);
        // SAFETY: bind reads `length` bytes of a valid sockaddr.
        if unsafe { libc::bind(fd, (&raw const raw.storage).cast(), raw.length) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let _ = option::set(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            options.receive_buffer as libc::c_int,
        );
        let receive_buffer = option::get(fd, libc::SOL_SOCKET, libc::SO_RCVBUF)? as usize;
        if options.dscp != 0 {
            let field = libc::c_int::from(options.dscp) << 2;
            let _ = if address.is_ipv4() {
                option::set(fd, libc::IPPROTO_IP, libc::IP_TOS, field)
            } else {
                option::set(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, field)
            };
        }
        let tells_local =
            cfg!(target_os = "linux") && driver == Driver::Linux && address.ip().is_unspecified();
        #[cfg(target_os = "linux")]
        if tells_local && address.is_ipv4() {
            option::set(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        } else if tells_local {
            option::set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
        #[cfg(target_os = "linux")]
        if driver == Driver::Linux {
            option::set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
            if address.is_ipv4() {
                option::set(fd, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
            } else {
                option::set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
            }
        }
        Ok(Self {
            behind: Behind::System(socket),
            driver,
            receive_buffer,
            tells_local,
        })
    }

    /// What it is bound to.
    ///
    /// # Errors
    /// Never for a live socket.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.behind {
            Behind::System(socket) => socket.local_addr(),
            Behind::Memory(address) => Ok(*address),
        }
    }

    /// The descriptor to watch; in memory there is none, and what stands for it is never ready.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        match &self.behind {
            Behind::System(socket) => socket.as_raw_fd(),
            Behind::Memory(_) => -1,
        }
    }

    /// Bytes of receive buffer that the system really gave (Linux counts twice what it can hold of payload).
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Read what waits into `batch`, replacing what was in it. Fewer than a full batch means that nothing waits any more.
    ///
    /// `many`: read many datagrams at once, for a socket that many calls share.
    pub fn receive(&self, batch: &mut ReceiveBatch, many: bool) {
        batch.begin(many);
        match &self.behind {
            #[cfg(target_os = "linux")]
            Behind::System(_) if self.driver == Driver::Linux => {
                batch.receive_many(self.descriptor());
            }
            Behind::System(socket) => batch.receive_each(socket),
            Behind::Memory(_) => {}
        }
    }

    /// The next error that came back for a packet of ours, until there is none.
    #[must_use]
    pub fn take_error(&self) -> Option<IcmpError> {
        #[cfg(target_os = "linux")]
        if self.driver == Driver::Linux {
            return control::read_error_queue(self.descriptor());
        }
        let Behind::System(socket) = &self.behind else {
            return None;
        };
        let errno = socket.take_error().ok()??.raw_os_error()?;
        Some(IcmpError {
            destination: None,
            errno,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interest, Poller};
    use std::sync::Arc;

    const OPTIONS: UdpOptions = UdpOptions {
        receive_buffer: 65536,
        dscp: 46,
    };

    fn drivers() -> [Driver; 2] {
        [Driver::pick(), Driver::Portable]
    }

    fn bind(driver: Driver) -> Arc<UdpSocket> {
        let address = "127.0.0.1:0".parse().expect("an address");
        Arc::new(UdpSocket::bind(address, OPTIONS, driver).expect("bound"))
    }

    #[test]
    fn what_a_socket_in_memory_sends_is_there_to_be_carried() {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let bind = |port| {
            let bound = UdpSocket::bind(at(port), OPTIONS, Driver::Memory);
            Arc::new(bound.expect("no port is taken"))
        };
        let (one, same) = (bind(4000), bind(4000));
        assert_eq!(one.local_address().expect("known"), at(4000));
        let mut out = SendBatch::new();
        // More than a batch.
        for number in 0..100u8 {
            out.push(
                if number < 50 { &one } else { &same },
                None,
                at(5000),
                &[number; 20],
            );
        }
        out.flush();
        let carried = out.take_carried();
        assert_eq!(carried.len(), 100);
        for (number, datagram) in (0..).zip(&carried) {
            assert_eq!((datagram.from, datagram.to), (at(4000), at(5000)));
            assert_eq!(datagram.bytes, [number; 20]);
        }
        assert!(out.take_carried().is_empty() && out.take_failed() == 0);
        let mut batch = ReceiveBatch::new();
        one.receive(&mut batch, true);
        assert!(batch.is_empty() && one.take_error().is_none());
    }

    #[test]
    fn a_batch_arrives_whole_and_in_order() {
        for driver in drivers() {
            let (near, far) = (bind(driver), bind(driver));
            let to = far.local_address().expect("bound");
            let mut out = SendBatch::new();
            for number in 0..100u8 {
                out.push(&near, None, to, &[number; 172]);
            }
            out.flush();
            assert_eq!(out.take_failed(), 0);
            let mut batch = ReceiveBatch::new();
            let mut seen = Vec::new();
            loop {
                far.receive(&mut batch, false);
                for index in 0..batch.len() {
                    let (source, packet) = batch.get(index).expect("whole");
                    assert_eq!(source, near.local_address().expect("bound"));
                    assert_eq!(packet.len(), 172);
                    seen.push(packet[0]);
                }
                if !batch.is_full() {
                    break;
                }
            }
            assert_eq!(seen, (0..100).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn a_refused_message_of_a_batch_is_skipped_and_counted() {
        for driver in drivers() {
            let (near, far) = (bind(driver), bind(driver));
            let to = far.local_address().expect("bound");
            let mut out = SendBatch::new();
            out.push(&near, None, to, b"one");
            out.push(
                &near,
                None,
                "[::1]:9".parse().expect("an address"),
                b"wrong family",
            );
            out.push(&near, None, to, b"two");
            out.flush();
            assert_eq!(out.take_failed(), 1);
            let mut batch = ReceiveBatch::new();
            far.receive(&mut batch, false);
            let packets: Vec<&[u8]> = (0..batch.len())
                .filter_map(|i| batch.get(i))
                .map(|(_, bytes)| bytes)
                .collect();
            assert_eq!(packets, [b"one", b"two"]);
        }
    }

    #[test]
    fn an_over_long_datagram_is_not_taken_for_a_short_one() {
        for driver in drivers() {
            let (near, far) = (bind(driver), bind(driver));
            let to = far.local_address().expect("bound");
            let Behind::System(socket) = &near.behind else {
                unreachable!("the driver has a network");
            };
            socket.send_to(&[1; 5000], to).expect("sent");
            socket.send_to(&[2; 20], to).expect("sent");
            let mut batch = ReceiveBatch::new();
            far.receive(&mut batch, false);
            assert_eq!(batch.len(), 2);
            assert!(batch.get(0).is_none());
            assert_eq!(batch.get(1).expect("whole").1, [2; 20]);
        }
    }

    #[test]
    fn a_taken_port_is_an_error() {
        for driver in drivers() {
            let near = bind(driver);
            let again = UdpSocket::bind(near.local_address().expect("bound"), OPTIONS, driver);
            assert_eq!(again.expect_err("taken").kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_icmp_error_names_the_destination_and_hides_no_datagram() {
        let near = bind(Driver::Linux);
        let gone = bind(Driver::Linux).local_address().expect("bound");
        let mut out = SendBatch::new();
        out.push(&near, None, gone, b"nobody there");
        out.flush();
        let mut poller = Poller::new(Driver::Linux).expect("a poller");
        poller
            .add(near.descriptor(), 1, Interest::READ)
            .expect("added");
        let mut ready = Vec::new();
        poller
            .wait(&mut ready, Some(1_000_000_000))
            .expect("waited");
        assert!(ready[0].error);
        // The pending error must not swallow what we send and receive next.
        out.push(
            &near,
            None,
            near.local_address().expect("bound"),
            b"to myself",
        );
        out.flush();
        assert_eq!(out.take_failed(), 0);
        let error = near.take_error().expect("an error");
        assert_eq!(
            error,
            IcmpError {
                destination: Some(gone),
                errno: libc::ECONNREFUSED
            }
        );
        assert_eq!(near.take_error(), None);
        let mut batch = ReceiveBatch::new();
        near.receive(&mut batch, false);
        assert_eq!(batch.get(0).expect("whole").1, b"to myself");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_full_buffer_dropped_is_counted() {
        let address = "127.0.0.1:0".parse().expect("an address");
        let options = UdpOptions {
            receive_buffer: 4096,
            dscp: 0,
        };
        let far = UdpSocket::bind(address, options, Driver::Linux).expect("bound");
        assert!(
            far.receive_buffer() >= 4096 && far.receive_buffer() < 65536,
            "{}",
            far.receive_buffer()
        );
        let near = bind(Driver::Linux);
        let mut out = SendBatch::new();
        let mut batch = ReceiveBatch::new();
        let to = far.local_address().expect("bound");
        for _ in 0..200 {
            out.push(&near, None, to, &[0; 1000]);
        }
        out.flush();
        far.receive(&mut batch, false);
        out.push(&near, None, to, &[0; 10]);
        out.flush();
        far.receive(&mut batch, false);
        assert!(
            batch.overflow().is_some_and(|dropped| dropped > 100),
            "{:?}",
            batch.overflow()
        );
    }

    #[test]
    fn a_shared_socket_is_read_many_at_a_time() {
        for driver in drivers() {
            let (near, far) = (bind(driver), bind(driver));
            let to = far.local_address().expect("bound");
            let mut out = SendBatch::new();
            for number in 0..50u8 {
                out.push(&near, None, to, &[number]);
            }
            out.flush();
            let mut batch = ReceiveBatch::new();
            far.receive(&mut batch, false);
            assert!(batch.is_full() && batch.len() < 50);
            let few = batch.len();
            far.receive(&mut batch, true);
            assert_eq!(batch.len(), 50 - few);
            assert!(!batch.is_full());
            assert_eq!(batch.get(0).expect("whole").1, [few as u8]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_of_all_addresses_answers_from_the_one_that_was_asked() {
        for (any, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
            let any = any.parse().expect("an address");
            let near = UdpSocket::bind(any, OPTIONS, Driver::Linux).expect("bound");
            let near = Arc::new(near);
            let asked: std::net::IpAddr = asked.parse().expect("an address");
            let port = near.local_address().expect("bound").port();
            let far = StdSocket::bind((asked, 0)).expect("bound");
            far.send_to(b"question", (asked, port)).expect("sent");
            let mut batch = ReceiveBatch::new();
            near.receive(&mut batch, false);
            let source = batch.get(0).expect("whole").0;
            assert_eq!(batch.local(0), Some(asked));
            let mut out = SendBatch::new();
            // One alone and several go different ways.
            for count in [1, 3] {
                for _ in 0..count {
                    out.push(&near, batch.local(0), source, b"answer");
                }
                out.flush();
                for _ in 0..count {
                    let mut room = [0; 10];
                    let (length, from) = far.recv_from(&mut room).expect("an answer");
                    assert_eq!((length, from), (6, SocketAddr::new(asked, port)));
                }
            }
            // Without a choice it is the route's, which for loopback is the first address.
            out.push(&near, None, source, b"answer");
            out.push(
                &near,
                Some("192.0.2.1".parse().expect("an address")),
                source,
                b"none of ours",
            );
            out.flush();
            assert_eq!(out.take_failed(), u64::from(asked.is_ipv4()));
        }
    }
}
