//! What the system says beside a datagram, and what it is told: control messages of `recvmsg` and `sendmsg`.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use super::IcmpError;
use crate::address::RawAddress;

/// Room for the control messages that a datagram can carry (SO_RXQ_OVFL and packet information; on the error queue one
/// sock_extended_err with an address).
const CONTROL_BYTES: usize = 128;
/// Room for the source address of a datagram that leaves.
const SOURCE_BYTES: usize = 48;

/// Control messages must be aligned as `cmsghdr` is.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; CONTROL_BYTES]);

/// The control message that names the source address of a datagram that leaves.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Source([u8; SOURCE_BYTES]);

/// What came beside a datagram.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside {
    /// Datagrams that the socket has dropped so far.
    pub overflow: Option<u32>,
    /// The address of ours that it was sent to.
    pub local: Option<IpAddr>,
}

impl Control {
    pub const EMPTY: Self = Self([0; CONTROL_BYTES]);

    /// Let `head` point here.
    pub fn attach(&mut self, head: &mut libc::msghdr) {
        head.msg_control = self.0.as_mut_ptr().cast();
        head.msg_controllen = CONTROL_BYTES as _;
    }
}

/// Read the control messages of a datagram.
///
/// # Safety
/// `head` must have been filled by `recvmsg` or `recvmmsg`, and the buffer that it points to must be alive.
pub(super) unsafe fn read_beside(head: &libc::msghdr) -> Beside {
    let mut beside = Beside::default();
    // SAFETY: our caller promises a head whose control length the kernel has set; the macros stay within it, and what a
    // message holds is read only after its level and type were checked.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(head);
        while !message.is_null() {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    beside.overflow = Some(data.cast::<u32>().read_unaligned());
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    let octets = info.ipi_addr.s_addr.to_ne_bytes();
                    beside.local = Some(IpAddr::V4(Ipv4Addr::from(octets)));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    beside.local = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(head, message);
        }
    }
    beside
}

impl Source {
    pub const EMPTY: Self = Self([0; SOURCE_BYTES]);

    /// Let the datagram of `head` leave from `address`.
    pub fn attach(&mut self, head: &mut libc::msghdr, address: IpAddr) {
        let any = match address {
            // The interface is the route's business.
            IpAddr::V4(ip) => self.write(
                head,
                (libc::IPPROTO_IP, libc::IP_PKTINFO),
                libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr {
                        s_addr: u32::from_ne_bytes(ip.octets()),
                    },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                },
            ),
            IpAddr::V6(ip) => self.write(
                head,
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
                libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: ip.octets(),
                    },
                    ipi6_ifindex: 0,
                },
            ),
        };
        debug_assert!(any, "the room is that of the longer one");
    }

    fn write<T>(&mut self, head: &mut libc::msghdr, kind: (i32, i32), info: T) -> bool {
        let length = size_of::<T>() as libc::c_uint;
        // SAFETY: CMSG_SPACE is arithmetic.
        let space = unsafe { libc::CMSG_SPACE(length) } as usize;
        if space > SOURCE_BYTES {
            return false;
        }
        head.msg_control = self.0.as_mut_ptr().cast();
        head.msg_controllen = space as _;
        // SAFETY: the buffer is aligned and has room for one message of `length` bytes, so its header and data lie within.
        unsafe {
            let message = libc::CMSG_FIRSTHDR(head);
            (*message).cmsg_level = kind.0;
            (*message).cmsg_type = kind.1;
            (*message).cmsg_len = libc::CMSG_LEN(length) as _;
            libc::CMSG_DATA(message).cast::<T>().write_unaligned(info);
        }
        true
    }
}

/// The next error that waits in a socket's error queue.
pub(super) fn read_error_queue(descriptor: RawFd) -> Option<IcmpError> {
    use std::mem::MaybeUninit;
    let mut address = RawAddress::empty();
    let mut control = Control::EMPTY;
    // SAFETY: msghdr is plain integers and pointers, for which all zeroes is a value.
    let mut head: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    head.msg_name = (&raw mut address.storage).cast();
    head.msg_namelen = address.length;
    control.attach(&mut head);
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
