//! `SocketAddr` to and from the system's form.

use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for any address, with the length in use.
#[derive(Clone, Copy)]
pub(crate) struct RawAddress {
    pub storage: libc::sockaddr_storage,
    pub length: libc::socklen_t,
}

impl RawAddress {
    pub fn empty() -> Self {
        // SAFETY: sockaddr_storage is plain integers, for which all zeroes is a value.
        let storage = unsafe { MaybeUninit::zeroed().assume_init() };
        Self {
            storage,
            length: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    pub fn new(address: SocketAddr) -> Self {
        let mut raw = Self::empty();
        match address {
            SocketAddr::V4(v4) => {
                let target = (&raw mut raw.storage).cast::<libc::sockaddr_in>();
                // SAFETY: sockaddr_storage is large enough and aligned for every sockaddr, and `raw` outlives the writes.
                unsafe {
                    (*target).sin_family = libc::AF_INET as libc::sa_family_t;
                    (*target).sin_port = v4.port().to_be();
                    (*target).sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                }
                raw.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(v6) => {
                let target = (&raw mut raw.storage).cast::<libc::sockaddr_in6>();
                // SAFETY: as above.
                unsafe {
                    (*target).sin6_family = libc::AF_INET6 as libc::sa_family_t;
                    (*target).sin6_port = v6.port().to_be();
                    (*target).sin6_flowinfo = v6.flowinfo();
                    (*target).sin6_addr.s6_addr = v6.ip().octets();
                    (*target).sin6_scope_id = v6.scope_id();
                }
                raw.length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        raw
    }

    /// The address that the system wrote, or `None` if it is of another family or cut short.
    pub fn address(&self) -> Option<SocketAddr> {
        let length = self.length as usize;
        if i32::from(self.storage.ss_family) == libc::AF_INET
            && length >= size_of::<libc::sockaddr_in>()
        {
            // SAFETY: the family and length say that a sockaddr_in was written here; alignment is that of the storage.
            let v4 = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::V4(SocketAddrV4::new(
                ip,
                u16::from_be(v4.sin_port),
            )))
        } else if i32::from(self.storage.ss_family) == libc::AF_INET6
            && length >= size_of::<libc::sockaddr_in6>()
        {
            // SAFETY: as above, a sockaddr_in6.
            let v6 = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let scope = v6.sin6_scope_id;
            Some(SocketAddr::V6(SocketAddrV6::new(
                ip,
                u16::from_be(v6.sin6_port),
                v6.sin6_flowinfo,
                scope,
            )))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip() {
        for text in [
            "192.0.2.7:40000",
            "[2001:db8::7]:40001",
            "127.0.0.1:1",
            "[::1]:65535",
        ] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(RawAddress::new(address).address(), Some(address));
        }
        assert_eq!(RawAddress::empty().address(), None);
    }
}
