//! Datagrams as they come, several a system call.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
#[cfg(target_os = "linux")]
use std::os::fd::RawFd;

use super::PACKET_BYTES;
#[cfg(target_os = "linux")]
use super::control::{Control, read_beside};
use crate::address::RawAddress;

/// Datagrams that one system call may bring from the socket of one call, which seldom holds more than one; each costs a set-up.
const FEW: usize = 8;
/// And from a socket that many calls share.
const MANY: usize = 64;

/// Datagrams read by one call, and the room for them. One serves all sockets of a thread.
pub struct ReceiveBatch {
    bytes: Vec<[u8; PACKET_BYTES]>,
    addresses: Vec<RawAddress>,
    local: [Option<IpAddr>; MANY],
    lengths: [usize; MANY],
    cut: [bool; MANY],
    count: usize,
    /// How many the last read could have brought.
    room: usize,
    overflow: Option<u32>,
    #[cfg(target_os = "linux")]
    control: Vec<Control>,
}

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
            bytes: vec![[0; PACKET_BYTES]; MANY],
            addresses: vec![RawAddress::empty(); MANY],
            local: [None; MANY],
            lengths: [0; MANY],
            cut: [false; MANY],
            count: 0,
            room: FEW,
            overflow: None,
            #[cfg(target_os = "linux")]
            control: vec![Control::EMPTY; MANY],
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
        self.count == self.room
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
        if index >= self.count || self.cut[index] {
            return None;
        }
        Some((
            self.addresses[index].address()?,
            &mut self.bytes[index][..self.lengths[index]],
        ))
    }

    /// The address of ours that a datagram was sent to, where the socket is bound to all of them and the system says so.
    #[must_use]
    pub fn local(&self, index: usize) -> Option<IpAddr> {
        self.local[index]
    }

    /// The socket's running count of datagrams that the system dropped, if the last read brought one (SO_RXQ_OVFL).
    #[must_use]
    pub fn overflow(&self) -> Option<u32> {
        self.overflow
    }

    /// Forget the last read; the next one may bring many or few.
    pub(super) fn begin(&mut self, many: bool) {
        self.room = if many { MANY } else { FEW };
        self.count = 0;
        self.overflow = None;
    }

    pub(super) fn receive_each(&mut self, socket: &StdSocket) {
        while self.count < self.room {
            match socket.recv_from(&mut self.bytes[self.count]) {
                Ok((length, source)) => {
                    self.addresses[self.count] = RawAddress::new(source);
                    self.lengths[self.count] = length;
                    self.local[self.count] = None;
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
    pub(super) fn receive_many(&mut self, descriptor: RawFd) {
        use std::mem::{MaybeUninit, size_of};
        let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; MANY];
        let mut heads = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MANY];
        for index in 0..self.room {
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
            self.control[index].attach(&mut head.msg_hdr);
            heads[index].write(head);
        }
        let mut tries = 0;
        let count = loop {
            // SAFETY: `room` heads are initialised and point to buffers that live in `self` and `parts` during the call.
            let count = unsafe {
                libc::recvmmsg(
                    descriptor,
                    heads.as_mut_ptr().cast(),
                    self.room as libc::c_uint,
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
            self.local[index] = None;
            if head.msg_hdr.msg_controllen > 0 {
                // SAFETY: filled by the call, and the control buffer lives in `self`.
                let beside = unsafe { read_beside(&head.msg_hdr) };
                self.overflow = beside.overflow.or(self.overflow);
                self.local[index] = beside.local;
            }
        }
    }
}
