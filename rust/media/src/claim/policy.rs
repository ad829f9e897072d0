//! What a leg's trunk says about the sources of its media.
use super::network::{Network, plain};
use super::target::is_unroutable;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a leg's trunk says about the sources of its media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where the leg's signalling comes from; media of the same address may be learned.
    pub signalling: IpAddr,
    /// Further ranges from which media may be learned.
    pub media_allow: Vec<Network>,
    /// The peer is known to be behind NAT: send where it sends from.
    pub nat: bool,
    /// The trunk is on this machine: loopback addresses are as good as others.
    pub loopback: bool,
}

impl Policy {
    /// That of a leg of which nothing is known yet: nothing may be learned, nothing sent to loopback.
    pub fn nobody() -> Self {
        Policy {
            signalling: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            media_allow: Vec::new(),
            nat: false,
            loopback: false,
        }
    }

    /// Whether media from `source` may be learned; an IPv4 address in plain form.
    pub fn may_learn(&self, source: IpAddr) -> bool {
        source == plain(self.signalling)
            || self
                .media_allow
                .iter()
                .any(|network| network.contains(source))
    }

    /// Whether there may be a host whose media both could learn.
    pub fn shares_hosts(&self, other: &Policy) -> bool {
        self.networks()
            .any(|mine| other.networks().any(|theirs| mine.overlaps(&theirs)))
    }

    /// Whether a leg whose SDP names `remote` may be heard from elsewhere only: its peer is behind NAT, or the address is one
    /// that can't be reached, or is not known yet because our offer goes first.
    pub fn must_learn(&self, remote: Option<SocketAddr>) -> bool {
        self.nat || remote.is_none_or(|remote| is_unroutable(remote.ip(), self.signalling))
    }

    fn networks(&self) -> impl Iterator<Item = Network> {
        std::iter::once(Network::host(self.signalling)).chain(self.media_allow.iter().copied())
    }
}
