//! Which leg gets which port: an even one for RTP and the odd one above it for RTCP (RFC 3550 section 11).
//!
//! Every pair has one leg for now. Sharing a pair between calls will change `Pair` and the choice in `open`, and nothing
//! around them: the caller asks for a leg's sockets and gives them back.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use offhook_media_sys::{Driver, UdpOptions, UdpSocket};

/// The two sockets of a leg.
#[derive(Debug, Clone)]
pub struct LegSockets {
    /// RTP, on an even port.
    pub rtp: Arc<UdpSocket>,
    /// RTCP, on the port above.
    pub rtcp: Arc<UdpSocket>,
    /// What RTP is bound to.
    pub address: SocketAddr,
}

/// Why no ports were given.
#[derive(Debug)]
pub enum PortError {
    /// Every pair is in use, in quarantine, or taken by somebody else.
    Exhausted {
        /// Pairs in use by legs of ours on this address.
        in_use: usize,
        /// Pairs freed a moment ago.
        quarantined: usize,
        /// Pairs that another process holds.
        taken: usize,
    },
    /// The address can't be bound at all.
    Address(io::Error),
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

    fn rtp_port(self, pair: usize) -> u16 {
        self.min + self.min % 2 + 2 * pair as u16
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pair {
    Free,
    InUse,
    Quarantined { until_ns: u64 },
}

/// Hands out ports, for each local address apart. A pair rests after its use, so that packets still under way to the old
/// call don't reach the next; the one that has rested longest is taken first.
#[derive(Debug)]
pub struct PortAllocator {
    range: PortRange,
    quarantine_ns: u64,
    options: UdpOptions,
    driver: Driver,
    hosts: HashMap<IpAddr, Host>,
}

#[derive(Debug)]
struct Host {
    pairs: Vec<Pair>,
    /// Where the search goes on, so that neighbours in time are no neighbours in number.
    cursor: usize,
    in_use: usize,
}

impl PortAllocator {
    /// An allocator over a range.
    #[must_use]
    pub fn new(range: PortRange, quarantine_ns: u64, options: UdpOptions, driver: Driver) -> Self {
        Self {
            range,
            quarantine_ns,
            options,
            driver,
            hosts: HashMap::new(),
        }
    }

    /// Bind a pair on `address`.
    ///
    /// # Errors
    /// When there is none, or the address isn't one of this host.
    pub fn open(&mut self, address: IpAddr, now_ns: u64) -> Result<LegSockets, PortError> {
        let count = self.range.pairs();
        let host = self.hosts.entry(address).or_insert_with(|| Host {
            pairs: vec![Pair::Free; count],
            cursor: 0,
            in_use: 0,
        });
        let mut quarantined = 0;
        let mut taken = 0;
        for step in 0..count {
            let index = (host.cursor + step) % count;
            match host.pairs[index] {
                Pair::InUse => continue,
                Pair::Quarantined { until_ns } if until_ns > now_ns => {
                    quarantined += 1;
                    continue;
                }
                Pair::Free | Pair::Quarantined { .. } => {}
            }
            match bind_pair(
                address,
                self.range.rtp_port(index),
                self.options,
                self.driver,
            ) {
                Ok(sockets) => {
                    host.pairs[index] = Pair::InUse;
                    host.in_use += 1;
                    host.cursor = (index + 1) % count;
                    return Ok(sockets);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken += 1,
                Err(error) => return Err(PortError::Address(error)),
            }
        }
        Err(PortError::Exhausted {
            in_use: host.in_use,
            quarantined,
            taken,
        })
    }

    /// Take back the ports of a leg whose sockets are closed or about to be.
    pub fn release(&mut self, address: SocketAddr, now_ns: u64) {
        let Some(host) = self.hosts.get_mut(&address.ip()) else {
            return;
        };
        let index = usize::from(address.port() - self.range.rtp_port(0)) / 2;
        if let Some(pair @ Pair::InUse) = host.pairs.get_mut(index) {
            *pair = Pair::Quarantined {
                until_ns: now_ns + self.quarantine_ns,
            };
            host.in_use -= 1;
        }
    }

    /// Pairs that each local address has.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.range.pairs()
    }

    /// Pairs that rest.
    #[must_use]
    pub fn quarantined(&self, now_ns: u64) -> usize {
        let rests =
            |pair: &&Pair| matches!(pair, Pair::Quarantined { until_ns } if *until_ns > now_ns);
        self.hosts
            .values()
            .map(|host| host.pairs.iter().filter(rests).count())
            .sum()
    }
}

fn bind_pair(
    address: IpAddr,
    port: u16,
    options: UdpOptions,
    driver: Driver,
) -> io::Result<LegSockets> {
    let rtp = UdpSocket::bind(SocketAddr::new(address, port), options, driver)?;
    let rtcp = UdpSocket::bind(SocketAddr::new(address, port + 1), options, driver)?;
    let address = rtp.local_address()?;
    Ok(LegSockets {
        rtp: Arc::new(rtp),
        rtcp: Arc::new(rtcp),
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const SECOND: u64 = 1_000_000_000;

    /// A range that no other test of this crate uses.
    fn allocator(min: u16, max: u16) -> PortAllocator {
        let options = UdpOptions {
            receive_buffer: 65536,
            dscp: 46,
        };
        PortAllocator::new(PortRange { min, max }, 2 * SECOND, options, Driver::pick())
    }

    #[test]
    fn a_range_holds_whole_pairs_only() {
        for (min, max, pairs) in [
            (40000, 40015, 8),
            (40001, 40015, 7),
            (40000, 40014, 7),
            (40000, 40000, 0),
        ] {
            assert_eq!(PortRange { min, max }.pairs(), pairs, "{min}-{max}");
        }
        assert_eq!(
            PortRange {
                min: 65534,
                max: 65535
            }
            .pairs(),
            1
        );
    }

    #[test]
    fn rtp_is_even_and_rtcp_follows() {
        let mut ports = allocator(23_001, 23_010);
        let leg = ports.open(LOOPBACK, 0).expect("a pair");
        assert_eq!(leg.address.port() % 2, 0);
        assert_eq!(
            leg.rtcp.local_address().expect("bound").port(),
            leg.address.port() + 1
        );
    }

    #[test]
    fn exhaustion_says_what_holds_the_pairs_and_a_freed_pair_rests() {
        let mut ports = allocator(23_020, 23_025);
        let other = std::net::UdpSocket::bind("127.0.0.1:23023").expect("free");
        let legs: Vec<_> = (0..2)
            .map(|_| ports.open(LOOPBACK, 0).expect("a pair"))
            .collect();
        ports.release(legs[0].address, SECOND);
        drop(legs);
        let Err(PortError::Exhausted {
            in_use: 1,
            quarantined: 1,
            taken: 1,
        }) = ports.open(LOOPBACK, SECOND)
        else {
            panic!("one leg, one resting pair and one foreign socket fill the range");
        };
        assert_eq!(ports.quarantined(SECOND), 1);
        ports.open(LOOPBACK, 3 * SECOND).expect("rested");
        drop(other);
        ports
            .open(LOOPBACK, 3 * SECOND)
            .expect("the other process has gone");
    }

    #[test]
    fn ports_are_taken_in_turn_and_released_once() {
        let mut ports = allocator(23_040, 23_047);
        let first = ports.open(LOOPBACK, 0).expect("a pair").address;
        ports.release(first, 0);
        ports.release(first, 10 * SECOND);
        let second = ports.open(LOOPBACK, 5 * SECOND).expect("a pair").address;
        assert_ne!(
            first, second,
            "the pair that has rested longest comes first"
        );
        assert_eq!(
            ports.quarantined(5 * SECOND),
            0,
            "a second release changes nothing"
        );
    }

    #[test]
    fn a_foreign_address_is_told_apart_from_a_full_range() {
        let mut ports = allocator(23_060, 23_061);
        let foreign = "192.0.2.1".parse().expect("an address");
        assert!(matches!(ports.open(foreign, 0), Err(PortError::Address(_))));
    }
}
