//! Addresses and ranges of them, an IPv4 address in IPv6 clothes being the IPv4 address that it is.
use std::net::{IpAddr, SocketAddr};

/// A range of addresses, as in `198.51.100.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The range of all addresses that share `prefix` bits with `address`; a longer prefix than the address means the address alone.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        let address = plain(address);
        Network {
            address,
            prefix: prefix.min(if address.is_ipv4() { 32 } else { 128 }),
        }
    }

    /// The address alone.
    pub fn host(address: IpAddr) -> Self {
        Self::new(address, 128)
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        share_bits(self.address, plain(address), self.prefix)
    }

    /// Whether an address lies in both.
    pub fn overlaps(&self, other: &Network) -> bool {
        share_bits(self.address, other.address, self.prefix.min(other.prefix))
    }
}

fn share_bits(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    match (one, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let shift = 32 - u32::from(bits.min(32));
            u32::from(a).checked_shr(shift) == u32::from(b).checked_shr(shift)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let shift = 128 - u32::from(bits.min(128));
            u128::from(a).checked_shr(shift) == u128::from(b).checked_shr(shift)
        }
        _ => false,
    }
}

/// IPv4 in IPv6 clothes compares as IPv4.
pub fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// The same for an address with its port; a zone and a flow label are left out.
pub fn plain_address(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(plain(address.ip()), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn network(text: &str, prefix: u8) -> Network {
        Network::new(ip(text), prefix)
    }

    #[test]
    fn networks_hold_their_addresses() {
        let wide = network("10.1.0.0", 16);
        assert!(wide.contains(ip("10.1.255.255")) && !wide.contains(ip("10.2.0.0")));
        let all = network("0.0.0.0", 0);
        assert!(all.contains(ip("8.8.8.8")) && !all.contains(ip("::1")));
        assert!(network("10.1.2.3", 32).contains(ip("::ffff:10.1.2.3")));
        let six = network("2001:db8::", 32);
        assert!(six.contains(ip("2001:db8::9")) && !six.contains(ip("2001:db9::")));
    }

    #[test]
    fn networks_overlap_where_an_address_lies_in_both() {
        let wide = network("10.1.0.0", 16);
        assert!(wide.overlaps(&network("10.0.0.0", 8)));
        assert!(wide.overlaps(&Network::host(ip("10.1.2.3"))));
        assert!(!wide.overlaps(&network("10.2.0.0", 16)));
        assert!(!network("::", 0).overlaps(&network("0.0.0.0", 0)));
        assert!(network("::ffff:10.1.2.3", 128).overlaps(&wide));
    }
}
