//! Port numbers, and the IP versions that each has them for.

use std::net::IpAddr;

use crate::claim::plain;

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, and IPv4 addresses in IPv6 clothes.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if plain(address).is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// The range that pairs come from.
#[derive(Debug, Clone, Copy)]
pub struct PortRange {
    /// The first port that may be used.
    pub min: u16,
    /// The last port that may be used.
    pub max: u16,
}

impl PortRange {
    /// Pairs in the range.
    #[must_use]
    pub fn pairs(self) -> usize {
        let first = u32::from(self.min) + u32::from(self.min % 2);
        (u32::from(self.max) + 1).saturating_sub(first) as usize / 2
    }

    /// The even port of a pair.
    #[must_use]
    pub fn rtp_port(self, pair: usize) -> u16 {
        self.min + self.min % 2 + 2 * pair as u16
    }

    /// The pair that a port belongs to.
    #[must_use]
    pub fn pair_of(self, port: u16) -> Option<usize> {
        let pair = usize::from(port.checked_sub(self.rtp_port(0))?) / 2;
        (pair < self.pairs()).then_some(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_whole_pairs_only() {
        for (min, max, pairs) in [
            (40000, 40015, 8),
            (40001, 40015, 7),
            (40000, 40014, 7),
            (40000, 40000, 0),
            (65534, 65535, 1),
        ] {
            assert_eq!(PortRange { min, max }.pairs(), pairs, "{min}-{max}");
        }
    }

    #[test]
    fn both_ports_of_a_pair_are_its_own() {
        let range = PortRange {
            min: 40001,
            max: 40008,
        };
        let pairs: Vec<_> = (40000..40010).map(|port| range.pair_of(port)).collect();
        let (one, two, three) = (Some(0), Some(1), Some(2));
        assert_eq!(
            pairs,
            [None, None, one, one, two, two, three, three, None, None]
        );
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_ipv4() {
        let family = |text: &str| Family::of(text.parse().expect("an address"));
        assert_eq!(family("::ffff:192.0.2.1"), Family::V4);
        assert_eq!(family("2001:db8::1"), Family::V6);
    }
}
