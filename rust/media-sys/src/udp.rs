//! UDP sockets for RTP and RTCP, read and written in batches.

use std::io;
use std::mem::size_of;
use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::address::RawAddress;
use crate::{Driver, option};

/// A datagram may have this many bytes; a longer one is no RTP of ours and counted as cut.
const PACKET_BYTES: usize = 2048;
/// Datagrams that one system call may bring. A call's own socket seldom holds more than one, and each costs a set-up.
const RECEIVE_PACKETS: usize = 8;
/// Datagrams that wait for a flush at most before one happens by itself.
const SEND_PACKETS: usize = 64;
/// Room for the control messages that a datagram can carry (SO_RXQ_OVFL; on the error queue one sock_extended_err).
#[cfg(target_os = "linux")]
const CONTROL_BYTES: usize = 128;

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
    socket: StdSocket,
    driver: Driver,
    receive_buffer: usize,
}

impl UdpSocket {
    /// Bind exactly `address`; an IPv6 address is bound for IPv6 alone.
    ///
    /// # Errors
    /// When the port is taken, the address is not this host's, or the process is out of descriptors. A buffer size or code
    /// point that the system refuses is no error: see `receive_buffer`.
    pub fn bind(address: SocketAddr, options: UdpOptions, driver: Driver) -> io::Result<Self> {
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
            socket,
            driver,
            receive_buffer,
        })
    }

    /// What it is bound to.
    ///
    /// # Errors
    /// Never for a live socket.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The descriptor to watch.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Bytes of receive buffer that the system really gave (Linux counts twice what it can hold of payload).
    #[must_use]
    pub fn receive_buffer(&self) -> usize {
        self.receive_buffer
    }

    /// Read what waits into `batch`, replacing what was in it. Fewer than a full batch means that nothing waits any more.
    pub fn receive(&self, batch: &mut ReceiveBatch) {
        batch.count = 0;
        match self.driver {
            #[cfg(target_os = "linux")]
            Driver::Linux => batch.receive_many(self.descriptor()),
            _ => batch.receive_each(&self.socket),
        }
    }

    /// The next error that came back for a packet of ours, until there is none.
    #[must_use]
    pub fn take_error(&self) -> Option<IcmpError> {
        #[cfg(target_os = "linux")]
        if self.driver == Driver::Linux {
            return read_error_queue(self.descriptor());
        }
        let errno = self.socket.take_error().ok()??.raw_os_error()?;
        Some(IcmpError {
            destination: None,
            errno,
        })
    }
}

/// Datagrams read by one call, and the room for them. One serves all sockets of a thread.
pub struct ReceiveBatch {
    bytes: Box<[[u8; PACKET_BYTES]; RECEIVE_PACKETS]>,
    addresses: Box<[RawAddress; RECEIVE_PACKETS]>,
    lengths: [usize; RECEIVE_PACKETS],
    cut: [bool; RECEIVE_PACKETS],
    count: usize,
    overflow: Option<u32>,
    #[cfg(target_os = "linux")]
    control: Box<[Control; RECEIVE_PACKETS]>,
}

/// Control messages must be aligned as `cmsghdr` is.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl ReceiveBatch {
    /// Room for a batch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![[0; PACKET_BYTES]; RECEIVE_PACKETS]
                .try_into()
                .expect("the length is the constant"),
            addresses: Box::new([RawAddress::empty(); RECEIVE_PACKETS]),
            lengths: [0; RECEIVE_PACKETS],
            cut: [false; RECEIVE_PACKETS],
            count: 0,
            overflow: None,
            #[cfg(target_os = "linux")]
            control: Box::new([Control([0; CONTROL_BYTES]); RECEIVE_PACKETS]),
        }
    }

    /// How many datagrams the last read brought.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the last read brought nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether more may wait than the last read could bring.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == RECEIVE_PACKETS
    }

    /// One datagram: where it came from and its bytes; `None` if it was too long or of an unknown family.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(SocketAddr, &[u8])> {
        if index >= self.count || self.cut[index] {
            return None;
        }
        Some((
            self.addresses[index].address()?,
            &self.bytes[index][..self.lengths[index]],
        ))
    }

    /// The same, to be changed in place.
    #[must_use]
    pub fn get_mut(&mut self, index: usize) -> Option<(SocketAddr, &mut [u8])> {
        let source = self.get(index)?.0;
        Some((source, &mut self.bytes[index][..self.lengths[index]]))
    }

    /// The socket's running count of datagrams that the system dropped, if the last read brought one (SO_RXQ_OVFL).
    #[must_use]
    pub fn overflow(&self) -> Option<u32> {
        self.overflow
    }

    fn receive_each(&mut self, socket: &StdSocket) {
        self.overflow = None;
        while self.count < RECEIVE_PACKETS {
            match socket.recv_from(&mut self.bytes[self.count]) {
                Ok((length, source)) => {
                    self.addresses[self.count] = RawAddress::new(source);
                    self.lengths[self.count] = length;
                    // A datagram that fills the buffer to the last byte may have been longer.
                    self.cut[self.count] = length == PACKET_BYTES;
                    self.count += 1;
                }
                // An ICMP error of an earlier packet comes out of the next call; the datagrams behind it are good.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn receive_many(&mut self, descriptor: RawFd) {
        use std::mem::MaybeUninit;
        self.overflow = None;
        let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; RECEIVE_PACKETS];
        let mut heads = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; RECEIVE_PACKETS];
        for index in 0..RECEIVE_PACKETS {
            parts[index].write(libc::iovec {
                iov_base: self.bytes[index].as_mut_ptr().cast(),
                iov_len: PACKET_BYTES,
            });
            // SAFETY: mmsghdr is plain integers and pointers, for which all zeroes is a value (musl pads it).
            let mut head: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            head.msg_hdr.msg_name = (&raw mut self.addresses[index].storage).cast();
            head.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            head.msg_hdr.msg_iov = parts[index].as_mut_ptr();
            head.msg_hdr.msg_iovlen = 1;
            head.msg_hdr.msg_control = self.control[index].0.as_mut_ptr().cast();
            head.msg_hdr.msg_controllen = CONTROL_BYTES as _;
            heads[index].write(head);
        }
        let mut tries = 0;
        let count = loop {
            // SAFETY: all heads are initialised and point to buffers that live in `self` and `parts` during the call.
            let count = unsafe {
                libc::recvmmsg(
                    descriptor,
                    heads.as_mut_ptr().cast(),
                    RECEIVE_PACKETS as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                    std::ptr::null_mut(),
                )
            };
            tries += 1;
            // An ICMP error is reported once by the next call and hides the datagrams behind it; ask again.
            if count >= 0
                || tries > 2
                || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
            {
                break count;
            }
        };
        self.count = count.max(0) as usize;
        for (index, head) in heads.iter().enumerate().take(self.count) {
            // SAFETY: initialised above and filled by the call.
            let head = unsafe { head.assume_init_ref() };
            self.lengths[index] = head.msg_len as usize;
            self.cut[index] = head.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            self.addresses[index].length = head.msg_hdr.msg_namelen;
            if head.msg_hdr.msg_controllen > 0 {
                // SAFETY: the header points to the control buffer of this index, whose used length the kernel has set.
                unsafe {
                    let message = libc::CMSG_FIRSTHDR(&raw const head.msg_hdr);
                    if !message.is_null()
                        && (*message).cmsg_level == libc::SOL_SOCKET
                        && (*message).cmsg_type == libc::SO_RXQ_OVFL
                    {
                        self.overflow =
                            Some(libc::CMSG_DATA(message).cast::<u32>().read_unaligned());
                    }
                }
            }
        }
    }
}

/// Datagrams that wait to be sent, from any sockets; neighbours of the same socket leave in one call.
pub struct SendBatch {
    bytes: Box<[[u8; PACKET_BYTES]; SEND_PACKETS]>,
    entries: Vec<Entry>,
    failed: u64,
}

struct Entry {
    socket: Arc<UdpSocket>,
    to: RawAddress,
    length: usize,
}

impl Default for SendBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl SendBatch {
    /// Room for a batch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![[0; PACKET_BYTES]; SEND_PACKETS]
                .try_into()
                .expect("the length is the constant"),
            entries: Vec::with_capacity(SEND_PACKETS),
            failed: 0,
        }
    }

    /// Add a datagram; a full batch is flushed first. One that is too long counts as failed.
    pub fn push(&mut self, socket: &Arc<UdpSocket>, to: SocketAddr, packet: &[u8]) {
        if packet.len() > PACKET_BYTES {
            self.failed += 1;
            return;
        }
        if self.entries.len() == SEND_PACKETS {
            self.flush();
        }
        self.bytes[self.entries.len()][..packet.len()].copy_from_slice(packet);
        self.entries.push(Entry {
            socket: Arc::clone(socket),
            to: RawAddress::new(to),
            length: packet.len(),
        });
    }

    /// Send all that waits. A datagram that the system refuses is skipped and counted, the others leave.
    pub fn flush(&mut self) {
        let mut start = 0;
        while start < self.entries.len() {
            let socket = Arc::as_ptr(&self.entries[start].socket);
            let run = self.entries[start..]
                .iter()
                .take_while(|entry| Arc::as_ptr(&entry.socket) == socket)
                .count();
            self.send_run(start, run);
            start += run;
        }
        self.entries.clear();
    }

    /// How many datagrams could not be sent since this was last asked.
    pub fn take_failed(&mut self) -> u64 {
        std::mem::take(&mut self.failed)
    }

    fn send_run(&mut self, start: usize, run: usize) {
        #[cfg(target_os = "linux")]
        if run > 1 && self.entries[start].socket.driver == Driver::Linux {
            let mut sent = 0;
            while sent < run {
                let now = self.send_many(start + sent, run - sent);
                sent += now;
                if sent < run {
                    // The first of the rest was refused: it gets its one repetition alone and is passed over.
                    self.send_one(start + sent);
                    sent += 1;
                }
            }
            return;
        }
        for index in start..start + run {
            self.send_one(index);
        }
    }

    fn send_one(&mut self, index: usize) {
        let entry = &self.entries[index];
        for attempt in 0..2 {
            // SAFETY: sendto reads `length` bytes of a live buffer and `to.length` bytes of a valid sockaddr.
            let sent = unsafe {
                libc::sendto(
                    entry.socket.descriptor(),
                    self.bytes[index].as_ptr().cast(),
                    entry.length,
                    0,
                    (&raw const entry.to.storage).cast(),
                    entry.to.length,
                )
            };
            if sent >= 0 {
                return;
            }
            // The error may be an ICMP answer to an earlier packet, reported here once: then the second try goes through.
            // A full buffer is not worth waiting for, the next packet comes in 20 ms.
            if attempt == 1 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock {
                self.failed += 1;
                return;
            }
        }
    }

    /// How many left before the first that was refused.
    #[cfg(target_os = "linux")]
    fn send_many(&mut self, start: usize, run: usize) -> usize {
        use std::mem::MaybeUninit;
        let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; SEND_PACKETS];
        let mut heads = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; SEND_PACKETS];
        for offset in 0..run {
            let entry = &mut self.entries[start + offset];
            parts[offset].write(libc::iovec {
                iov_base: self.bytes[start + offset].as_mut_ptr().cast(),
                iov_len: entry.length,
            });
            // SAFETY: mmsghdr is plain integers and pointers, for which all zeroes is a value.
            let mut head: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            head.msg_hdr.msg_name = (&raw mut entry.to.storage).cast();
            head.msg_hdr.msg_namelen = entry.to.length;
            head.msg_hdr.msg_iov = parts[offset].as_mut_ptr();
            head.msg_hdr.msg_iovlen = 1;
            heads[offset].write(head);
        }
        // SAFETY: `run` heads are initialised and point to buffers that live in `self` and `parts` during the call.
        let sent = unsafe {
            libc::sendmmsg(
                self.entries[start].socket.descriptor(),
                heads.as_mut_ptr().cast(),
                run as libc::c_uint,
                0,
            )
        };
        sent.max(0) as usize
    }
}

#[cfg(target_os = "linux")]
fn read_error_queue(descriptor: RawFd) -> Option<IcmpError> {
    use std::mem::MaybeUninit;
    let mut address = RawAddress::empty();
    let mut control = Control([0; CONTROL_BYTES]);
    // SAFETY: msghdr is plain integers and pointers, for which all zeroes is a value.
    let mut head: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    head.msg_name = (&raw mut address.storage).cast();
    head.msg_namelen = address.length;
    head.msg_control = control.0.as_mut_ptr().cast();
    head.msg_controllen = CONTROL_BYTES as _;
    // SAFETY: the header points to live buffers of the lengths given; no data part is asked for.
    let result = unsafe {
        libc::recvmsg(
            descriptor,
            &raw mut head,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if result < 0 {
        return None;
    }
    address.length = head.msg_namelen;
    // SAFETY: the kernel has filled the control buffer and set its length; each message is checked before it is read.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&raw const head);
        while !message.is_null() {
            let kind = ((*message).cmsg_level, (*message).cmsg_type);
            if kind == (libc::IPPROTO_IP, libc::IP_RECVERR)
                || kind == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            {
                let errno = libc::CMSG_DATA(message)
                    .cast::<libc::sock_extended_err>()
                    .read_unaligned()
                    .ee_errno;
                return Some(IcmpError {
                    destination: address.address(),
                    errno: errno as i32,
                });
            }
            message = libc::CMSG_NXTHDR(&raw const head, message);
        }
    }
    Some(IcmpError {
        destination: address.address(),
        errno: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interest, Poller};

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
    fn a_batch_arrives_whole_and_in_order() {
        for driver in drivers() {
            let (near, far) = (bind(driver), bind(driver));
            let to = far.local_address().expect("bound");
            let mut out = SendBatch::new();
            for number in 0..100u8 {
                out.push(&near, to, &[number; 172]);
            }
            out.flush();
            assert_eq!(out.take_failed(), 0);
            let mut batch = ReceiveBatch::new();
            let mut seen = Vec::new();
            loop {
                far.receive(&mut batch);
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
            out.push(&near, to, b"one");
            out.push(
                &near,
                "[::1]:9".parse().expect("an address"),
                b"wrong family",
            );
            out.push(&near, to, b"two");
            out.flush();
            assert_eq!(out.take_failed(), 1);
            let mut batch = ReceiveBatch::new();
            far.receive(&mut batch);
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
            near.socket.send_to(&[1; 5000], to).expect("sent");
            near.socket.send_to(&[2; 20], to).expect("sent");
            let mut batch = ReceiveBatch::new();
            far.receive(&mut batch);
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
        out.push(&near, gone, b"nobody there");
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
        out.push(&near, near.local_address().expect("bound"), b"to myself");
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
        near.receive(&mut batch);
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
            out.push(&near, to, &[0; 1000]);
        }
        out.flush();
        far.receive(&mut batch);
        out.push(&near, to, &[0; 10]);
        out.flush();
        far.receive(&mut batch);
        assert!(
            batch.overflow().is_some_and(|dropped| dropped > 100),
            "{:?}",
            batch.overflow()
        );
    }
}
