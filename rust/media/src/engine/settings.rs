//! What the engine, a leg and a wire are made with.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::error::MediaError;
use super::ports::{Family, PortRange, is_of_this_host};
use crate::claim::Policy;

/// What the whole engine is made with.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The addresses that legs bind, one of each family at most.
    pub addresses: Vec<IpAddr>,
    /// Where their ports come from.
    pub ports: PortRange,
    /// Media threads; 0 picks by the number of cores.
    pub threads: usize,
    /// How long a freed port pair rests.
    pub quarantine: Duration,
    /// Differentiated services code point of RTP and RTCP; 0 leaves it alone.
    pub dscp: u8,
    /// Bytes of receive buffer asked for per socket.
    pub receive_buffer: usize,
    /// Legs at most.
    pub max_legs: usize,
    /// Wires at most, those being dialled included.
    pub max_wires: usize,
    /// Droppable events that may wait for Python.
    pub event_limit: usize,
    /// Helper threads that dial.
    pub dial_threads: usize,
    /// Dials that may wait for one.
    pub dial_queue: usize,
    /// The weights of the network that tells speech from noise; without them the gate decides alone.
    pub speech_weights: Option<Vec<u8>>,
}

/// Threads beyond this gain nothing: a thread serves some thousand calls.
const MAX_THREADS: usize = 64;

/// More legs of a port than these don't make its buffer larger.
const MOST_LEGS_IN_BUFFER: usize = 32;
/// The largest buffer that is asked for of ourselves.
const MAX_BUFFER: usize = 1 << 26;

impl EngineSettings {
    /// Check the ranges that the types don't.
    ///
    /// # Errors
    /// `BadConfig` with the name of the setting.
    pub fn check(&self) -> Result<(), MediaError> {
        let refuse = |what: &str| Err(MediaError::BadConfig(what.to_owned()));
        if self.ports.min == 0 || self.ports.pairs() == 0 {
            return refuse("port_min and port_max must enclose an even port and the one above it");
        }
        let of = |family| {
            let own = self.addresses.iter();
            own.filter(|address| Family::of(**address) == family)
                .count()
        };
        if self.addresses.is_empty() || of(Family::V4) > 1 || of(Family::V6) > 1 {
            return refuse("addresses: one for IPv4, one for IPv6, or one of both");
        }
        if self.threads > MAX_THREADS {
            return refuse("threads: at most 64");
        }
        if self.dscp > 63 {
            return refuse("dscp: a code point is a number from 0 to 63");
        }
        if !(2048..=1 << 26).contains(&self.receive_buffer) {
            return refuse("receive_buffer: from 2048 bytes to 64 MiB");
        }
        if self.max_legs == 0 || self.max_wires == 0 || self.event_limit == 0 {
            return refuse("max_legs, max_wires and event_limit: at least 1");
        }
        if self.dial_threads == 0 || self.dial_queue == 0 {
            return refuse("dial_threads and dial_queue: at least 1");
        }
        Ok(())
    }

    /// Bytes of receive buffer to ask for: where many legs share a port it has room for the packets of all.
    #[must_use]
    pub fn port_buffer(&self) -> usize {
        let legs = self.max_legs.div_ceil(self.ports.pairs().max(1));
        (self.receive_buffer * legs.min(MOST_LEGS_IN_BUFFER)).clamp(self.receive_buffer, MAX_BUFFER)
    }

    /// Media threads to start: all cores but one, which signalling needs.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        if self.threads > 0 {
            return self.threads;
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        cores.saturating_sub(1).clamp(1, 16)
    }
}

/// What one leg is made with.
#[derive(Debug, Clone, Default)]
pub struct LegSettings {
    /// The peer's version of IP; without it that of `remote`, of `sdp_address`, of the signalling, of the engine's first address.
    pub family: Option<Family>,
    /// The address that SDP will name. An engine that listens on all addresses sends from it where it is one of this host's, so
    /// that RTP leaves from where the peer sends to.
    pub sdp_address: Option<IpAddr>,
    /// Where the peer's SDP wants its RTP; `None` where our offer goes first.
    pub remote: Option<SocketAddr>,
    /// Which sources may be the peer's; `None` means that it is not known yet and could be any.
    pub policy: Option<Policy>,
    /// Agent audio that may wait to be played.
    pub playout_limit: Duration,
    /// After how long without RTP that is told.
    pub media_timeout: Option<Duration>,
    /// The RTCP name; empty makes a random one.
    pub cname: String,
}

impl LegSettings {
    /// The version of IP that the leg's port must have, for an engine of these addresses.
    pub(super) fn family(&self, engine: &[IpAddr]) -> Family {
        let signalling = self.policy.as_ref().map(|policy| policy.signalling);
        let remote = self.remote.map(|remote| remote.ip());
        let known = remote.or(self.sdp_address).or(signalling);
        let first = engine
            .first()
            .map_or(Family::V4, |first| Family::of(*first));
        self.family.or(known.map(Family::of)).unwrap_or(first)
    }

    /// The address to send from on a socket of all addresses, if it is one of this host's.
    ///
    /// Loopback is not: a proxy on this host may carry signalling for media that comes from outside.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.sdp_address
            .filter(|told| !told.is_unspecified() && !told.is_loopback())
            .filter(|told| is_of_this_host(*told))
    }
}

/// What one wire is dialled with.
#[derive(Debug, Clone)]
pub struct WireSettings {
    /// Where the agent is.
    pub url: String,
    /// The dialect's description, JSON.
    pub dialect: String,
    /// Fixed values of its templates.
    pub values: Vec<(String, String)>,
    /// Headers of the upgrade request.
    pub headers: Vec<(String, String)>,
    /// Subprotocols offered.
    pub subprotocols: Vec<String>,
    /// The Origin header.
    pub origin: Option<String>,
    /// Whether a `wss` server has to prove its name.
    pub tls_verify: bool,
    /// The PEM file by which it is judged, if not by the system's certificates.
    pub tls_ca: Option<PathBuf>,
    /// The wire's audio as `encoding/rate`; empty is the dialect's own.
    pub format: String,
    /// The limit of each step of the dial.
    pub step_timeout: Duration,
    /// The limit of the whole dial.
    pub total_timeout: Duration,
    /// How often an idle agent is asked for a sign of life; zero never.
    pub ping_interval: Duration,
    /// How long it has for that.
    pub pong_timeout: Duration,
    /// Audio bytes that may wait for a slow reader.
    pub send_limit: usize,
    /// Bytes of its messages that may wait for Python.
    pub text_limit: usize,
}

/// What one call on a worker's connection is made with.
#[derive(Debug, Clone)]
pub struct CallSettings {
    /// The dialect's description, JSON; its audio is binary.
    pub dialect: String,
    /// The call's audio as `encoding/rate`; empty is the dialect's own.
    pub format: String,
    /// Caller audio in milliseconds that is sent before the worker asks for more; `None` is all.
    pub credit_ms: Option<u32>,
    /// Audio bytes that may wait for the worker.
    pub send_limit: usize,
    /// Bytes of its messages that may wait for Python.
    pub text_limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_family_is_the_peers_as_far_as_it_is_known() {
        let both = [ip("0.0.0.0"), ip("::")];
        let signalling = |text| Policy {
            signalling: ip(text),
            media_allow: vec![],
            nat: false,
            loopback: false,
        };
        let mut settings = LegSettings::default();
        assert_eq!(settings.family(&both), Family::V4);
        assert_eq!(settings.family(&both[1..]), Family::V6);
        settings.policy = Some(signalling("2001:db8::1"));
        assert_eq!(settings.family(&both), Family::V6);
        settings.sdp_address = Some(ip("192.0.2.1"));
        assert_eq!(settings.family(&both), Family::V4);
        settings.remote = Some("[2001:db8::9]:4000".parse().expect("an address"));
        assert_eq!(settings.family(&both), Family::V6);
        settings.remote = Some("[::ffff:192.0.2.9]:4000".parse().expect("an address"));
        assert_eq!(settings.family(&both), Family::V4);
        settings.family = Some(Family::V6);
        assert_eq!(settings.family(&both), Family::V6);
    }

    #[test]
    fn a_leg_sends_from_the_address_in_its_sdp_where_that_is_one_of_this_host() {
        let source = |told: &str| {
            let settings = LegSettings {
                sdp_address: Some(ip(told)),
                ..LegSettings::default()
            };
            settings.source()
        };
        for none in ["192.0.2.1", "127.0.0.1", "0.0.0.0"] {
            assert_eq!(source(none), None, "{none}");
        }
    }
}
