//! What the engine, a leg and a wire are made with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::MediaError;
use super::ports::PortRange;

/// What the whole engine is made with.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The address that legs bind unless they name their own.
    pub address: IpAddr,
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
}

/// Threads beyond this gain nothing: a thread serves some thousand calls.
const MAX_THREADS: usize = 64;

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
#[derive(Debug, Clone)]
pub struct LegSettings {
    /// The address to bind, if not the engine's own.
    pub address: Option<IpAddr>,
    /// The address that SDP will name. An engine that listens on all addresses binds it where it is one of this host's, so that
    /// RTP leaves from where the peer sends to.
    pub sdp_address: Option<IpAddr>,
    /// Agent audio that may wait to be played.
    pub playout_limit: Duration,
    /// After how long without RTP that is told.
    pub media_timeout: Option<Duration>,
    /// The RTCP name; empty makes a random one.
    pub cname: String,
}

impl LegSettings {
    /// The address to try before `engine`'s own.
    ///
    /// Loopback is not: a proxy on this host may carry signalling for media that comes from outside.
    pub(super) fn first_choice(&self, engine: IpAddr) -> Option<IpAddr> {
        self.address.or_else(|| {
            self.sdp_address.filter(|told| {
                engine.is_unspecified()
                    && told.is_ipv4() == engine.is_ipv4()
                    && !told.is_unspecified()
                    && !told.is_loopback()
            })
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn first_choice(engine: &str, bind: Option<&str>, told: Option<&str>) -> Option<IpAddr> {
        let address = |text: &str| text.parse().expect("an address");
        let settings = LegSettings {
            address: bind.map(address),
            sdp_address: told.map(address),
            playout_limit: Duration::from_secs(1),
            media_timeout: None,
            cname: String::new(),
        };
        settings.first_choice(address(engine))
    }

    #[test]
    fn a_leg_binds_what_sdp_says_where_the_engine_listens_on_everything() {
        let is = |text: &str| Some(text.parse().expect("an address"));
        let told = Some("192.0.2.7");
        assert_eq!(first_choice("0.0.0.0", None, told), is("192.0.2.7"));
        assert_eq!(
            first_choice("::", None, Some("2001:db8::7")),
            is("2001:db8::7")
        );
        assert_eq!(
            first_choice("0.0.0.0", Some("192.0.2.8"), told),
            is("192.0.2.8")
        );
        // Who configured an address gets it, and the other IP version is no choice.
        assert_eq!(first_choice("192.0.2.9", None, told), None);
        assert_eq!(first_choice("::", None, told), None);
        for told in [None, Some("127.0.0.1"), Some("0.0.0.0")] {
            assert_eq!(first_choice("0.0.0.0", None, told), None);
        }
    }
}
