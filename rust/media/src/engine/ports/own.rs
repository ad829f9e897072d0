//! Our own media ports as the far side of a call: a circle that nothing may be sent into.

use std::collections::HashSet;
use std::net::{IpAddr, UdpSocket};

use crate::claim::plain;

/// Addresses of ours that are remembered at most; a gateway has a handful.
const MAX_ADDRESSES: usize = 64;

/// The addresses under which peers know us.
#[derive(Debug, Default)]
pub(super) struct OwnAddresses {
    told: HashSet<IpAddr>,
}

/// Whose a port of an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// The address is not of this host, or nobody's business of ours.
    Elsewhere,
    /// It is ours, or free and so may become ours.
    Us,
    /// Some socket of this host holds it.
    Somebody,
}

impl OwnAddresses {
    /// Our SDP names this address, which may be that of a router in front of us.
    pub fn tell(&mut self, address: IpAddr) {
        if self.told.len() < MAX_ADDRESSES {
            self.told.insert(plain(address));
        }
    }

    /// Whether our SDP has named this address.
    pub fn is_told(&self, address: IpAddr) -> bool {
        self.told.contains(&plain(address))
    }

    /// Whose a port is, if `address` is one under which we are known.
    pub fn holder(&self, address: IpAddr, port: u16) -> Holder {
        let address = plain(address);
        match UdpSocket::bind((address, port)) {
            Ok(_) => Holder::Us,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Holder::Somebody,
            // None of this host: then a router passes it on to us, or it is somebody else's.
            Err(_) if self.told.contains(&address) => Holder::Us,
            Err(_) => Holder::Elsewhere,
        }
    }
}

/// Whether `address` is one of this host.
pub fn is_of_this_host(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
