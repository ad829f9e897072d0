//! Datagrams that leave, several a system call.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[cfg(target_os = "linux")]
use super::control::Source;
use super::{Behind, PACKET_BYTES, UdpSocket};
use crate::Driver;
use crate::address::RawAddress;

/// Datagrams that wait for a flush at most before one happens by itself.
const SEND_PACKETS: usize = 64;

/// Datagrams of sockets in memory that wait to be carried at most; more count as failed.
const MAX_CARRIED: usize = 4096;

/// A datagram that a socket in memory has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The socket's address.
    pub from: SocketAddr,
    /// Where it is to go.
    pub to: SocketAddr,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Datagrams that wait to be sent, from any sockets; neighbours of the same socket leave in one call.
pub struct SendBatch {
    bytes: Box<[[u8; PACKET_BYTES]; SEND_PACKETS]>,
    entries: Vec<Entry>,
    carried: Vec<Carried>,
    failed: u64,
}

struct Entry {
    socket: Arc<UdpSocket>,
    from: Option<IpAddr>,
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
            carried: Vec::new(),
            failed: 0,
        }
    }

    /// Add a datagram; a full batch is flushed first. One that is too long counts as failed.
    ///
    /// `from` is the address of ours that it leaves from, if the socket is bound to all of them and the driver can do it;
    /// without one the route decides.
    pub fn push(
        &mut self,
        socket: &Arc<UdpSocket>,
        from: Option<IpAddr>,
        to: SocketAddr,
        packet: &[u8],
    ) {
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
            from: from.filter(|from| socket.tells_local && from.is_ipv4() == to.is_ipv4()),
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
            match self.entries[start].socket.behind {
                Behind::System(_) => self.send_run(start, run),
                Behind::Memory(from) => self.carry_run(from, start, run),
            }
            start += run;
        }
        self.entries.clear();
    }

    /// What sockets in memory have sent since this was last asked, in order.
    pub fn take_carried(&mut self) -> Vec<Carried> {
        std::mem::take(&mut self.carried)
    }

    fn carry_run(&mut self, from: SocketAddr, start: usize, run: usize) {
        for index in start..start + run {
            let entry = &self.entries[index];
            match entry.to.address() {
                Some(to) if self.carried.len() < MAX_CARRIED => self.carried.push(Carried {
                    from,
                    to,
                    bytes: self.bytes[index][..entry.length].to_vec(),
                }),
                _ => self.failed += 1,
            }
        }
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
        let mut part = MaybeUninit::uninit();
        #[cfg(target_os = "linux")]
        let mut source = Source::EMPTY;
        #[cfg_attr(not(target_os = "linux"), allow(unused_mut))]
        let mut head = self.head(index, &mut part);
        #[cfg(target_os = "linux")]
        if let Some(from) = self.entries[index].from {
            source.attach(&mut head, from);
        }
        for attempt in 0..2 {
            // SAFETY: the head points to one initialised part, the address and the control message of live values.
            let sent = unsafe {
                libc::sendmsg(self.entries[index].socket.descriptor(), &raw const head, 0)
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

    /// The description of a datagram, whose bytes `part` describes.
    fn head(&mut self, index: usize, part: &mut MaybeUninit<libc::iovec>) -> libc::msghdr {
        let entry = &mut self.entries[index];
        part.write(libc::iovec {
            iov_base: self.bytes[index].as_mut_ptr().cast(),
            iov_len: entry.length,
        });
        // SAFETY: msghdr is plain integers and pointers, for which all zeroes is a value (musl pads it).
        let mut head: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        head.msg_name = (&raw mut entry.to.storage).cast();
        head.msg_namelen = entry.to.length;
        head.msg_iov = part.as_mut_ptr();
        head.msg_iovlen = 1;
        head
    }

    /// How many left before the first that was refused.
    #[cfg(target_os = "linux")]
    fn send_many(&mut self, start: usize, run: usize) -> usize {
        let mut parts = [const { MaybeUninit::<libc::iovec>::uninit() }; SEND_PACKETS];
        let mut heads = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; SEND_PACKETS];
        let mut sources = [const { MaybeUninit::<Source>::uninit() }; SEND_PACKETS];
        for offset in 0..run {
            let mut head = libc::mmsghdr {
                msg_hdr: self.head(start + offset, &mut parts[offset]),
                msg_len: 0,
            };
            if let Some(from) = self.entries[start + offset].from {
                let source = sources[offset].write(Source::EMPTY);
                source.attach(&mut head.msg_hdr, from);
            }
            heads[offset].write(head);
        }
        // SAFETY: `run` heads are initialised and point to buffers that live in `self` and the arrays here during the call.
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
