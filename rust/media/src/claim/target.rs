//! Where a leg may send.
use super::network::plain;
use super::policy::Policy;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Whether media may ever be sent to `address`; `loopback` says that the trunk is on this machine.
pub fn is_sendable(address: SocketAddr, loopback: bool) -> bool {
    if address.port() == 0 {
        return false;
    }
    match plain(address.ip()) {
        IpAddr::V4(ip) => {
            let first = ip.octets()[0];
            // 0.0.0.0/8 is this host, 240.0.0.0/4 with the broadcast address is nobody.
            first != 0 && first < 240 && !ip.is_multicast() && (loopback || !ip.is_loopback())
        }
        IpAddr::V6(ip) => {
            !(ip.is_unspecified() || ip.is_multicast()) && (loopback || !ip.is_loopback())
        }
    }
}

/// Whether an address named in SDP cannot be reached from here though the signalling of the same peer can:
/// a private address behind a public one (pain of every NAT), or one of another link.
pub fn is_unroutable(sdp: IpAddr, signalling: IpAddr) -> bool {
    let (sdp, signalling) = (plain(sdp), plain(signalling));
    sdp.is_loopback() && !signalling.is_loopback()
        || is_link_local(sdp) && !is_link_local(signalling)
        || is_private(sdp) && !is_private(signalling)
}

/// Where to send: SDP's address, unless it is unroutable or the trunk is behind NAT; then the learned source,
/// or until one is learned what SDP says, if that can be sent to at all.
pub fn send_to(
    sdp: SocketAddr,
    learned: Option<SocketAddr>,
    policy: &Policy,
) -> Option<SocketAddr> {
    let unroutable = is_unroutable(sdp.ip(), policy.signalling);
    let target = if policy.nat || unroutable {
        learned.or((!unroutable).then_some(sdp))
    } else {
        Some(sdp)
    };
    target
        .filter(|&target| is_sendable(target, policy.loopback))
        .and_then(|target| with_zone(target, learned))
}

/// A link-local address of IPv6 needs the zone, which SDP has no place for: that of the peer's packets.
fn with_zone(target: SocketAddr, learned: Option<SocketAddr>) -> Option<SocketAddr> {
    match target {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            match learned? {
                SocketAddr::V6(seen) if seen.scope_id() != 0 => Some(SocketAddr::V6(
                    SocketAddrV6::new(*v6.ip(), v6.port(), 0, seen.scope_id()),
                )),
                _ => None,
            }
        }
        _ => Some(target),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip == Ipv4Addr::UNSPECIFIED
                || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip == Ipv6Addr::UNSPECIFIED
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}
