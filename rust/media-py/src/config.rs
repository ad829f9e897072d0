//! The frozen values that Python makes things with.

mod agreed;
mod leg;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use offhook_media::claim::{Network, Policy};
use offhook_media::engine::{EngineSettings, MediaError, PortRange, RecordingSettings};
use offhook_media::recorder::{Format, SealKey};
use offhook_media::rehearsal::NetworkProfile;
use pyo3::prelude::*;

pub(crate) use agreed::{OpusWishes, RemoteMedia, SrtpKeys};
pub(crate) use leg::LegConfig;
pub(crate) use wire::{CallConfig, WireConfig};

use super::error::raise;

fn address(text: &str) -> Result<IpAddr, MediaError> {
    text.parse()
        .map_err(|_| MediaError::BadAddress(format!("`{text}` is not an IP address")))
}

fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// What the whole engine is made with.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct EngineConfig {
    addresses: Vec<String>,
    port_min: u16,
    port_max: u16,
    threads: usize,
    quarantine_ms: u64,
    dscp: u8,
    receive_buffer: usize,
    max_legs: usize,
    max_wires: usize,
    event_limit: usize,
    dial_threads: usize,
    dial_queue: usize,
    speech_weights: Option<Vec<u8>>,
}

#[pymethods]
impl EngineConfig {
    #[new]
    #[pyo3(signature = (*, addresses = vec!["127.0.0.1".to_owned()], port_min = 40000, port_max = 41999, threads = 0,
        quarantine_ms = 2000, dscp = 46, receive_buffer = 262_144, max_legs = 4096, max_wires = 4096,
        event_limit = 65536, dial_threads = 32, dial_queue = 1024, speech_weights = None))]
    #[pyo3(
        text_signature = "(*, addresses=['127.0.0.1'], port_min=40000, port_max=41999, threads=0, \
        quarantine_ms=2000, dscp=46, receive_buffer=262144, max_legs=4096, max_wires=4096, \
        event_limit=65536, dial_threads=32, dial_queue=1024, speech_weights=None)"
    )]
    #[allow(clippy::too_many_arguments)]
    fn new(
        addresses: Vec<String>,
        port_min: u16,
        port_max: u16,
        threads: usize,
        quarantine_ms: u64,
        dscp: u8,
        receive_buffer: usize,
        max_legs: usize,
        max_wires: usize,
        event_limit: usize,
        dial_threads: usize,
        dial_queue: usize,
        speech_weights: Option<Vec<u8>>,
    ) -> Self {
        Self {
            addresses,
            port_min,
            port_max,
            threads,
            quarantine_ms,
            dscp,
            receive_buffer,
            max_legs,
            max_wires,
            event_limit,
            dial_threads,
            dial_queue,
            speech_weights,
        }
    }
}

impl EngineConfig {
    pub(crate) fn settings(&self) -> Result<EngineSettings, MediaError> {
        Ok(EngineSettings {
            addresses: self
                .addresses
                .iter()
                .map(|text| address(text))
                .collect::<Result<_, _>>()?,
            ports: PortRange {
                min: self.port_min,
                max: self.port_max,
            },
            threads: self.threads,
            quarantine: millis(self.quarantine_ms),
            dscp: self.dscp,
            receive_buffer: self.receive_buffer,
            max_legs: self.max_legs,
            max_wires: self.max_wires,
            event_limit: self.event_limit,
            dial_threads: self.dial_threads,
            dial_queue: self.dial_queue,
            speech_weights: self.speech_weights.clone(),
        })
    }
}

/// An address to send to, if it is one: 0.0.0.0 and port 0 are the ways of SDP to name none.
pub(crate) fn socket_address(host: &str, port: u16) -> Result<Option<SocketAddr>, MediaError> {
    let host = address(host)?;
    Ok((port > 0 && !host.is_unspecified()).then(|| SocketAddr::new(host, port)))
}

fn policy(
    signalling: IpAddr,
    media_allow: &[String],
    nat: bool,
    allow_loopback: bool,
) -> Result<Policy, MediaError> {
    let media_allow = media_allow.iter().map(|text| network(text));
    Ok(Policy {
        signalling,
        media_allow: media_allow.collect::<Result<_, _>>()?,
        nat,
        loopback: allow_loopback || signalling.is_loopback(),
    })
}

fn network(text: &str) -> Result<Network, MediaError> {
    let bad =
        || MediaError::BadAddress(format!("`{text}` is not a network such as 198.51.100.0/24"));
    let (address, prefix) = text
        .split_once('/')
        .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(bits), |prefix| prefix.parse().map_err(|_| bad()))?;
    if prefix > bits {
        Err(bad())
    } else {
        Ok(Network::new(address, prefix))
    }
}

/// How one leg is recorded. Its key is shown to nobody.
#[pyclass(frozen, module = "offhook._media")]
pub(crate) struct RecordingConfig {
    #[pyo3(get)]
    path: PathBuf,
    #[pyo3(get)]
    format: String,
    #[pyo3(get)]
    rate: u32,
    seal: Option<SealKey>,
}

#[pymethods]
impl RecordingConfig {
    #[new]
    #[pyo3(signature = (path, *, format = "wav".to_owned(), rate = 8000, key = None, nonce_prefix = None, header = None))]
    #[pyo3(
        text_signature = "(path, *, format='wav', rate=8000, key=None, nonce_prefix=None, header=None)"
    )]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        format: String,
        rate: u32,
        key: Option<&[u8]>,
        nonce_prefix: Option<&[u8]>,
        header: Option<&[u8]>,
    ) -> PyResult<Self> {
        let bad = |what: &str| raise(py, &MediaError::BadConfig(what.to_owned()));
        let seal = match (key, nonce_prefix, header) {
            (None, None, None) => None,
            (Some(key), Some(prefix), Some(header)) => Some(
                SealKey::new(key, prefix, header)
                    .ok_or_else(|| bad("key: 32 bytes, nonce_prefix: 7"))?,
            ),
            _ => return Err(bad("key, nonce_prefix and header belong together")),
        };
        Ok(Self {
            path,
            format,
            rate,
            seal,
        })
    }
}

impl RecordingConfig {
    pub(crate) fn settings(&self) -> Result<RecordingSettings, MediaError> {
        let format = match self.format.as_str() {
            "wav" => Format::Wav,
            "flac" => Format::Flac,
            _ => return Err(MediaError::BadConfig("format: wav or flac".to_owned())),
        };
        Ok(RecordingSettings {
            path: self.path.clone(),
            format,
            rate: self.rate,
            seal: self.seal.clone(),
        })
    }
}

/// What the network of a rehearsed call does.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct NetworkConfig {
    delay_ms: f64,
    jitter_ms: f64,
    loss: f64,
    burst: f64,
    reorder: f64,
    duplicate: f64,
}

#[pymethods]
impl NetworkConfig {
    #[new]
    #[pyo3(signature = (*, delay_ms = 20.0, jitter_ms = 0.0, loss = 0.0, burst = 1.0, reorder = 0.0, duplicate = 0.0))]
    #[pyo3(
        text_signature = "(*, delay_ms=20.0, jitter_ms=0.0, loss=0.0, burst=1.0, reorder=0.0, duplicate=0.0)"
    )]
    fn new(
        delay_ms: f64,
        jitter_ms: f64,
        loss: f64,
        burst: f64,
        reorder: f64,
        duplicate: f64,
    ) -> Self {
        Self {
            delay_ms,
            jitter_ms,
            loss,
            burst,
            reorder,
            duplicate,
        }
    }
}

impl NetworkConfig {
    pub(crate) fn profile(&self) -> Result<NetworkProfile, MediaError> {
        let shares = [self.loss, self.reorder, self.duplicate];
        if !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            let what = "loss, reorder and duplicate: shares from 0 to 1";
            return Err(MediaError::BadConfig(what.to_owned()));
        }
        let delays = [self.delay_ms, self.jitter_ms];
        if !delays.iter().all(|delay| (0.0..=10_000.0).contains(delay)) {
            let what = "delay_ms and jitter_ms: 0 to 10000";
            return Err(MediaError::BadConfig(what.to_owned()));
        }
        if !(1.0..=1_000.0).contains(&self.burst) {
            return Err(MediaError::BadConfig("burst: 1 to 1000".to_owned()));
        }
        Ok(NetworkProfile {
            delay: Duration::from_secs_f64(self.delay_ms / 1e3),
            jitter: Duration::from_secs_f64(self.jitter_ms / 1e3),
            loss: self.loss,
            burst: self.burst,
            reorder: self.reorder,
            duplicate: self.duplicate,
        })
    }
}
